//! An axis of bins: equal ones from a lower to an upper limit, radial or azimuthal.
//!
//! Work is done in base values (rad, nm⁻¹, m, …); the centres are in the displayed unit. The upper limit is always a
//! float32 rounding step above what was asked for or found, as in pyFAI: a range that ends at 60 ends at 60.0000072, so
//! that the outermost pixel still falls into the last bin. Centres are laid out as numpy's `linspace` lays them
//! out, to the last bit.

use std::f64::consts::PI;
use std::fmt;

use super::csr::Csr;
use crate::geometry::units::Unit;

/// pyFAI raises every upper limit by this factor: 1 + the relative step of float32.
const JUST_ABOVE: f64 = 1.0 + f32::EPSILON as f64;

/// What an axis measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quantity {
    /// How far from the beam.
    Radial(Unit),
    /// Azimuth χ, in degrees from x towards y; its base value is in radians.
    Chi,
}

impl Quantity {
    /// pyFAI's name of the unit.
    pub const fn name(self) -> &'static str {
        match self {
            Quantity::Radial(unit) => unit.name(),
            Quantity::Chi => "chi_deg",
        }
    }

    /// Name of a data set: for χ that of pyFAI-diffmap's files.
    pub const fn short_name(self) -> &'static str {
        match self {
            Quantity::Radial(unit) => unit.short_name(),
            Quantity::Chi => "azimuthal",
        }
    }

    /// Symbol of the displayed unit.
    pub const fn unit_symbol(self) -> &'static str {
        match self {
            Quantity::Radial(unit) => unit.unit_symbol(),
            Quantity::Chi => "deg",
        }
    }

    /// Label for plots (LaTeX in dollars).
    pub const fn label(self) -> &'static str {
        match self {
            Quantity::Radial(unit) => unit.label(),
            Quantity::Chi => r"Azimuthal angle $\chi$ ($^{o}$)",
        }
    }

    /// Displayed value = base value × scale.
    pub const fn scale(self) -> f64 {
        match self {
            Quantity::Radial(unit) => unit.scale(),
            Quantity::Chi => 180.0 / PI,
        }
    }
}

impl From<Unit> for Quantity {
    fn from(unit: Unit) -> Quantity {
        Quantity::Radial(unit)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Equal bins of one quantity.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// What the axis measures.
    pub quantity: Quantity,
    /// Middle of each bin, in the displayed unit.
    pub centres: Vec<f64>,
    /// Lower limit of the first bin, base value.
    pub lower: f64,
    /// What was asked for or found as the highest base value.
    pub highest: f64,
    /// Upper limit of the last bin, base value: just above the highest.
    pub upper: f64,
    /// Width of a bin, base value.
    pub width: f64,
}

impl Axis {
    /// `npt` bins from `lower` to just above `highest` (base values).
    pub fn new(quantity: impl Into<Quantity>, lower: f64, highest: f64, npt: usize) -> Axis {
        let quantity = quantity.into();
        let upper = if highest > 0.0 { highest * JUST_ABOVE } else { highest / JUST_ABOVE };
        let width = (upper - lower) / npt as f64;
        let scale = quantity.scale();
        let centres = linspace(lower + 0.5 * width, upper - 0.5 * width, npt);
        let centres = centres.into_iter().map(|c| c * scale).collect();
        Axis { quantity, centres, lower, highest, upper, width }
    }

    /// Number of bins.
    pub fn npt(&self) -> usize {
        self.centres.len()
    }

    /// Place of a base value on the axis, in bins from the lower limit.
    #[inline]
    pub fn bin(&self, value: f64) -> f64 {
        (value - self.lower) / self.width
    }
}

/// Bins: what they are of, and which pixels they have.
///
/// Bins are numbered with the last axis fastest: with two axes bin `a · npt + r` is that of azimuth `a` and radius `r`, so that the values of
/// all bins are an array (azimuth, radial) in C order.
#[derive(Debug, Clone, PartialEq)]
pub struct Bins {
    /// The axes, slowest first: the radial one, or the azimuthal and the radial one.
    pub axes: Vec<Axis>,
    /// Bins × pixels.
    pub matrix: Csr,
}

/// numpy's `linspace`, end point included.
fn linspace(start: f64, stop: f64, count: usize) -> Vec<f64> {
    let step = (stop - start) / count.saturating_sub(1).max(1) as f64;
    let mut values: Vec<f64> = (0..count).map(|i| i as f64 * step + start).collect();
    if count > 1 {
        values[count - 1] = stop;
    }
    values
}
