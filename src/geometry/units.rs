//! Radial units: what the horizontal axis of a powder pattern counts.
//!
//! Each unit is a function of the place of a pixel (its base value: rad, nm⁻¹, m, m, nm⁻²) times a scale that turns
//! the base value into what is displayed. Ranges given by the user are divided by the scale, work is done in base
//! values, and bin centres are multiplied by the scale at the very end: so `2th_deg` and `2th_rad` share a matrix.
//!
//! Names, labels, symbols and scales are those of pyFAI's `units.py`, and the formulas keep its order of arithmetic
//! (a centre may then equal pyFAI's to the last bit). Missing here are the units of grazing incidence and fibres, which
//! need the sample's angles.

use std::f64::consts::PI;
use std::fmt;
use std::str::FromStr;

/// A radial unit of pyFAI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Unit {
    QNm,
    QA,
    TwoThetaDeg,
    TwoThetaRad,
    RMm,
    RM,
    DM,
    DNm,
    DA,
    DStar2Nm,
    DStar2A,
    Log10QM,
    LogQNm,
    Log1pQNm,
    Log1pQA,
    AsinhQNm,
    AsinhQA,
    Qx,
    Qy,
}

/// What a unit measures. Units of one space differ only by their scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Space {
    /// Scattering angle 2θ, rad.
    TwoTheta,
    /// Scattering vector, nm⁻¹.
    Q,
    /// Distance from the beam axis, m.
    R,
    /// Lattice spacing, m.
    D,
    /// Reciprocal spacing squared, nm⁻².
    DStar2,
    /// log₁₀(q in m⁻¹).
    Log10Q,
    /// ln(q in nm⁻¹).
    LogQ,
    /// ln(1 + q), q in nm⁻¹ or Å⁻¹.
    Log1pQ,
    /// arcsinh(q), q in nm⁻¹ or Å⁻¹.
    AsinhQ,
    /// Scattering vector of the angle along x alone, nm⁻¹.
    Qx,
    /// Scattering vector of the angle along y alone, nm⁻¹.
    Qy,
}

/// `name` is not a radial unit that is supported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown unit \"{name}\": use one of {}", Unit::names())]
pub struct UnitError {
    /// What was asked for.
    pub name: String,
}

impl Unit {
    /// Every unit, the most used first.
    pub const ALL: [Unit; 19] = [
        Unit::QNm,
        Unit::QA,
        Unit::TwoThetaDeg,
        Unit::TwoThetaRad,
        Unit::RMm,
        Unit::RM,
        Unit::DM,
        Unit::DNm,
        Unit::DA,
        Unit::DStar2Nm,
        Unit::DStar2A,
        Unit::Log10QM,
        Unit::LogQNm,
        Unit::Log1pQNm,
        Unit::Log1pQA,
        Unit::AsinhQNm,
        Unit::AsinhQA,
        Unit::Qx,
        Unit::Qy,
    ];

    /// pyFAI's name, as typed on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Unit::QNm => "q_nm^-1",
            Unit::QA => "q_A^-1",
            Unit::TwoThetaDeg => "2th_deg",
            Unit::TwoThetaRad => "2th_rad",
            Unit::RMm => "r_mm",
            Unit::RM => "r_m",
            Unit::DM => "d_m",
            Unit::DNm => "d_nm",
            Unit::DA => "d_A",
            Unit::DStar2Nm => "d*2_nm^-2",
            Unit::DStar2A => "d*2_A^-2",
            Unit::Log10QM => "log10(q.m)_None",
            Unit::LogQNm => "log(q.nm)_None",
            Unit::Log1pQNm => "log(1+q.nm)_None",
            Unit::Log1pQA => "log(1+q.A)_None",
            Unit::AsinhQNm => "arcsinh(q.nm)_None",
            Unit::AsinhQA => "arcsinh(q.A)_None",
            Unit::Qx => "qx_nm^-1",
            Unit::Qy => "qy_nm^-1",
        }
    }

    /// All names, separated by commas, for messages and help.
    pub fn names() -> String {
        Unit::ALL.map(Unit::name).join(", ")
    }

    /// Label of an axis (LaTeX in dollars), `long_name` in NeXus files.
    pub const fn label(self) -> &'static str {
        match self {
            Unit::QNm => r"Scattering vector $q$ ($nm^{-1}$)",
            Unit::QA => r"Scattering vector $q$ ($\AA^{-1}$)",
            Unit::TwoThetaDeg => r"Scattering angle $2\theta$ ($^{o}$)",
            Unit::TwoThetaRad => r"Scattering angle $2\theta$ ($rad$)",
            Unit::RMm => r"Radius $r$ ($mm$)",
            Unit::RM => r"Radius $r$ ($m$)",
            Unit::DM => r"d-spacing $d$ ($m$)",
            Unit::DNm => r"d-spacing $d$ ($nm$)",
            Unit::DA => r"d-spacing $d$ ($\AA$)",
            Unit::DStar2Nm => r"Recip. spacing sq. $d^{*2}$ ($nm^{-2}$)",
            Unit::DStar2A => r"Recip. spacing sq. $d^{*2}$ ($\AA^{-2}$)",
            Unit::Log10QM => r"log10($q$.m)",
            Unit::LogQNm => r"log($q$.nm)",
            Unit::Log1pQNm => r"log(1+$q$.nm)",
            Unit::Log1pQA => r"log(1+$q$.$\AA$)",
            Unit::AsinhQNm => r"arcsinh($q$.nm)",
            Unit::AsinhQA => r"arcsinh($q$.$\AA$)",
            Unit::Qx => r"Rectilinear scattering vector $q_x$ ($nm^{-1}$)",
            Unit::Qy => r"Rectilinear scattering vector $q_y$ ($nm^{-1}$)",
        }
    }

    /// Symbol of the displayed unit as pyFAI writes it into NeXus files (LaTeX).
    pub const fn unit_symbol(self) -> &'static str {
        match self {
            Unit::QNm | Unit::Qx | Unit::Qy => "nm^{-1}",
            Unit::QA => r"\AA^{-1}",
            Unit::TwoThetaDeg => "deg",
            Unit::TwoThetaRad => "rad",
            Unit::RMm => "mm",
            Unit::RM | Unit::DM => "m",
            Unit::DNm => "nm",
            Unit::DA => r"\AA",
            Unit::DStar2Nm => "nm^{-2}",
            Unit::DStar2A => r"\AA^{-2}",
            Unit::Log10QM
            | Unit::LogQNm
            | Unit::Log1pQNm
            | Unit::Log1pQA
            | Unit::AsinhQNm
            | Unit::AsinhQA => "?",
        }
    }

    /// Short name of the quantity: the name of a data set or a column. (pyFAI's own short name of 2θ is the
    /// LaTeX `2\theta`; its files and this one use `2th`.)
    pub const fn short_name(self) -> &'static str {
        match self {
            Unit::QNm | Unit::QA => "q",
            Unit::TwoThetaDeg | Unit::TwoThetaRad => "2th",
            Unit::RMm | Unit::RM => "r",
            Unit::DM | Unit::DNm | Unit::DA => "d",
            Unit::DStar2Nm | Unit::DStar2A => "d*2",
            Unit::Log10QM => "log10(q.m)",
            Unit::LogQNm => "log(q.nm)",
            Unit::Log1pQNm => "log(1+q.nm)",
            Unit::Log1pQA => "log(1+q.A)",
            Unit::AsinhQNm => "arcsinh(q.nm)",
            Unit::AsinhQA => "arcsinh(q.A)",
            Unit::Qx => "qx",
            Unit::Qy => "qy",
        }
    }

    /// Displayed value = base value × scale.
    pub const fn scale(self) -> f64 {
        match self {
            Unit::TwoThetaDeg => 180.0 / PI,
            Unit::RMm => 1000.0,
            Unit::QA => 0.1,
            Unit::DStar2A => 0.01,
            Unit::DNm => 1e9,
            Unit::DA => 1e10,
            _ => 1.0,
        }
    }

    /// What the unit measures.
    pub const fn space(self) -> Space {
        match self {
            Unit::QNm | Unit::QA => Space::Q,
            Unit::TwoThetaDeg | Unit::TwoThetaRad => Space::TwoTheta,
            Unit::RMm | Unit::RM => Space::R,
            Unit::DM | Unit::DNm | Unit::DA => Space::D,
            Unit::DStar2Nm | Unit::DStar2A => Space::DStar2,
            Unit::Log10QM => Space::Log10Q,
            Unit::LogQNm => Space::LogQ,
            Unit::Log1pQNm | Unit::Log1pQA => Space::Log1pQ,
            Unit::AsinhQNm | Unit::AsinhQA => Space::AsinhQ,
            Unit::Qx => Space::Qx,
            Unit::Qy => Space::Qy,
        }
    }

    /// Whether values below zero cannot be: the lower limit of the axis is then clipped at 0.
    pub const fn positive(self) -> bool {
        !matches!(self, Unit::Log10QM | Unit::LogQNm | Unit::Qx | Unit::Qy)
    }

    /// Whether the wavelength is needed.
    pub const fn needs_wavelength(self) -> bool {
        !matches!(self.space(), Space::TwoTheta | Space::R)
    }

    /// The formula of this unit for one wavelength (metres; any number where it is not needed).
    pub fn formula(self, wavelength: f64) -> Formula {
        // Each factor in the order in which pyFAI's formula multiplies it.
        let factor = match self {
            Unit::QNm | Unit::QA | Unit::Qx | Unit::Qy => 4.0e-9 * PI / wavelength,
            Unit::LogQNm | Unit::Log1pQNm | Unit::AsinhQNm => 4e-9 * PI / wavelength,
            Unit::Log1pQA | Unit::AsinhQA => 4e-10 * PI / wavelength,
            Unit::Log10QM => 4.0 * PI / wavelength,
            Unit::DM | Unit::DNm | Unit::DA => 0.5 * wavelength,
            Unit::DStar2Nm | Unit::DStar2A => 2.0e-9 / wavelength,
            Unit::TwoThetaDeg | Unit::TwoThetaRad | Unit::RMm | Unit::RM => 1.0,
        };
        Formula { space: self.space(), factor }
    }
}

impl FromStr for Unit {
    type Err = UnitError;

    /// pyFAI's name; the `_None` of dimensionless units may be left out.
    fn from_str(name: &str) -> Result<Unit, UnitError> {
        Unit::ALL
            .into_iter()
            .find(|u| u.name() == name || u.name().strip_suffix("_None") == Some(name))
            .ok_or_else(|| UnitError { name: name.to_owned() })
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A unit with its wavelength put in: place of a point → base value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Formula {
    space: Space,
    factor: f64,
}

impl Formula {
    /// Base value at a point (metres, the sample at the origin, z along the beam).
    #[inline]
    pub fn at(self, x: f64, y: f64, z: f64) -> f64 {
        match self.space {
            Space::Qx => return self.factor * (x.atan2(z) / 2.0).sin(),
            Space::Qy => return self.factor * (y.atan2(z) / 2.0).sin(),
            _ => {}
        }
        let r = (x * x + y * y).sqrt();
        if self.space == Space::R {
            return r;
        }
        let two_theta = r.atan2(z);
        if self.space == Space::TwoTheta {
            return two_theta;
        }
        let sine = (0.5 * two_theta).sin();
        match self.space {
            Space::D => self.factor / sine,
            Space::DStar2 => {
                let reciprocal = self.factor * sine;
                reciprocal * reciprocal
            }
            Space::Log10Q => (self.factor * sine).log10(),
            Space::LogQ => (self.factor * sine).ln(),
            Space::Log1pQ => (self.factor * sine).ln_1p(),
            Space::AsinhQ => arcsinh(self.factor * sine),
            Space::Q | Space::Qx | Space::Qy | Space::TwoTheta | Space::R => self.factor * sine,
        }
    }
}

impl Formula {
    /// [`Formula::at`] rounded to float32, to the last bit, but for q about five times as fast.
    ///
    /// sin θ is also √(r² / 2h(h + z)) with h² = r² + z², which needs no angle. In front of the sample both ways agree
    /// within 7 units in the last place of float64, so they round to the same float32 unless a rounding
    /// boundary is that near; then (once in four million points) the long way decides.
    #[inline]
    pub fn rounded_at(self, x: f64, y: f64, z: f64) -> f32 {
        /// Units in the last place of float64 to keep from a boundary: nine times the bound above.
        const MARGIN: u64 = 64;
        /// The bits that float32 does not keep, and half of their range: the boundary.
        const LOST: u64 = (1 << 29) - 1;
        const HALF: u64 = 1 << 28;
        if self.space == Space::Q && z > 0.0 {
            let r2 = x * x + y * y;
            let h = (r2 + z * z).sqrt();
            let quick = self.factor * (r2 / (2.0 * h * (h + z))).sqrt();
            let from_boundary = (quick.to_bits() & LOST).abs_diff(HALF);
            if from_boundary > MARGIN && quick > f64::from(f32::MIN_POSITIVE) {
                return quick as f32;
            }
        }
        self.at(x, y, z) as f32
    }
}

/// arcsinh of a number that is not negative, as the C library computes it (Rust's own differs in the last bit).
fn arcsinh(x: f64) -> f64 {
    if x > 2.0 {
        (2.0 * x + 1.0 / ((x * x + 1.0).sqrt() + x)).ln()
    } else {
        let squared = x * x;
        (x + squared / (1.0 + (1.0 + squared).sqrt())).ln_1p()
    }
}
