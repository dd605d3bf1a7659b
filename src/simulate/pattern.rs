//! What one piece of sample scatters, as a function of the scattering angle 2θ: a powder's peaks, or smooth
//! scattering.
//!
//! A [`Pattern1d`] is a table over 2θ of the intensity per solid angle, read by linear interpolation. A
//! powder puts a line's strength on a ring that grows with the angle, so its intensity per solid angle
//! carries the Lorentz factor 1 / (sin θ · sin 2θ) (Warren, *X-ray Diffraction*, ch. 4). Polarisation and the
//! solid angle of a pixel belong to the detector image and are applied there. Peaks are pseudo-Voigt
//! functions whose width holds everything: beam, sample size and the pixel itself.
//!
//! Powder patterns are scaled so that their highest peak is 1, smooth ones so that their maximum is 1.

use std::f64::consts::{LN_2, PI};

use super::crystal::Substance;

/// Points of the table in one full width at half maximum: linear interpolation is then good to 0.1 % of a
/// peak.
const POINTS_PER_WIDTH: f64 = 40.0;

/// A peak is followed this many widths to each side; its Lorentzian part has then fallen below 1e-4.
const REACH: f64 = 60.0;

/// Shape of a peak on the 2θ axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PeakShape {
    /// Full width at half maximum, rad.
    pub fwhm: f64,
    /// Lorentzian part of the pseudo-Voigt function: 0 is a Gaussian, 1 a Lorentzian.
    pub eta: f64,
}

impl PeakShape {
    /// Value of the peak of unit area at `offset` rad from its centre, 1/rad.
    pub fn at(self, offset: f64) -> f64 {
        let x = 2.0 * offset / self.fwhm;
        let gaussian = (LN_2 / PI).sqrt() * 2.0 / self.fwhm * (-LN_2 * x * x).exp();
        let lorentzian = 2.0 / (PI * self.fwhm * (1.0 + x * x));
        self.eta * lorentzian + (1.0 - self.eta) * gaussian
    }
}

/// One ring of a powder pattern.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ring {
    /// Spacing of the lattice planes, Å.
    pub d: f64,
    /// Area of the peak on the 2θ axis, any unit.
    pub area: f64,
}

impl Ring {
    /// Scattering angle 2θ, rad, at `wavelength`, Å; `None` when the spacing is too small to diffract.
    pub fn two_theta(&self, wavelength: f64) -> Option<f64> {
        let sine = wavelength / (2.0 * self.d);
        (sine <= 1.0).then(|| 2.0 * sine.asin())
    }

    /// Momentum transfer q = 2π/d, nm⁻¹.
    pub fn q(&self) -> f64 {
        20.0 * PI / self.d
    }
}

/// Smallest spacing, Å, that diffracts below the angle `two_theta_max`, rad, at `wavelength`, Å.
pub fn least_spacing(wavelength: f64, two_theta_max: f64) -> f64 {
    wavelength / (2.0 * (two_theta_max / 2.0).min(PI / 2.0).sin())
}

/// The rings of a substance below the angle `two_theta_max`, rad, at `wavelength`, Å; areas carry the Lorentz
/// factor.
pub fn rings_of(substance: Substance, wavelength: f64, two_theta_max: f64) -> Vec<Ring> {
    let d_min = least_spacing(wavelength, two_theta_max);
    let with_area = |line: super::crystal::Line| {
        let theta = (wavelength / (2.0 * line.d)).min(1.0).asin();
        let lorentz = 1.0 / (theta.sin() * (2.0 * theta).sin());
        Ring { d: line.d, area: line.strength * lorentz }
    };
    substance.lines(d_min).into_iter().map(with_area).collect()
}

/// Intensity per solid angle as a function of 2θ.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern1d {
    step: f64,
    values: Vec<f32>,
}

impl Pattern1d {
    /// A powder pattern from 0 to `two_theta_max`, rad; its highest peak is 1. Rings that do not diffract at
    /// `wavelength`, Å, are left out; without any ring the pattern is 0.
    pub fn powder(rings: &[Ring], shape: PeakShape, wavelength: f64, two_theta_max: f64) -> Pattern1d {
        let step = shape.fwhm / POINTS_PER_WIDTH;
        let points = (two_theta_max / step).ceil() as usize + 2;
        let mut sums = vec![0.0_f64; points];
        for ring in rings {
            let Some(centre) = ring.two_theta(wavelength) else { continue };
            let first = ((centre - REACH * shape.fwhm) / step).max(0.0) as usize;
            let last = ((centre + REACH * shape.fwhm) / step) as usize;
            for (i, sum) in sums.iter_mut().enumerate().take(last.saturating_add(1)).skip(first) {
                *sum += ring.area * shape.at(i as f64 * step - centre);
            }
        }
        Pattern1d::scaled(step, sums)
    }

    /// Smooth scattering from 0 to `two_theta_max`, rad: `intensity` is asked at many q, nm⁻¹. Its maximum
    /// becomes 1.
    pub fn smooth(intensity: impl Fn(f64) -> f64, wavelength: f64, two_theta_max: f64) -> Pattern1d {
        const POINTS: usize = 4096;
        let step = two_theta_max / (POINTS - 2) as f64;
        let q = |i: usize| 40.0 * PI / wavelength * (0.5 * i as f64 * step).sin();
        Pattern1d::scaled(step, (0..POINTS).map(|i| intensity(q(i))).collect())
    }

    fn scaled(step: f64, values: Vec<f64>) -> Pattern1d {
        let highest = values.iter().copied().fold(0.0, f64::max);
        let scale = if highest > 0.0 { 1.0 / highest } else { 0.0 };
        Pattern1d { step, values: values.into_iter().map(|v| (v * scale) as f32).collect() }
    }

    /// Intensity at `two_theta`, rad; beyond the table its last value.
    pub fn at(&self, two_theta: f64) -> f32 {
        let place = (two_theta / self.step).max(0.0);
        let left = (place as usize).min(self.values.len().saturating_sub(2));
        let (a, b) = (self.values[left], self.values[left + 1]);
        let part = ((place - left as f64) as f32).min(1.0);
        a + (b - a) * part
    }
}

/// Scattering of air and of the instrument at q, nm⁻¹: falls off smoothly and never ends.
pub fn air(q: f64) -> f64 {
    0.25 + 0.75 * (-q / 12.0).exp()
}

/// Scattering of an amorphous solid at q, nm⁻¹: silica glass, with its first sharp diffraction peak at 15.2
/// nm⁻¹ (4.1 Å) and the broad second and third maxima near 29 and 52 nm⁻¹.
pub fn glass(q: f64) -> f64 {
    let bump = |centre: f64, width: f64| (-((q - centre) / width).powi(2)).exp();
    0.08 + bump(15.2, 4.0) + 0.18 * bump(29.0, 6.0) + 0.22 * bump(52.0, 9.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_have_unit_area_and_their_width() {
        for eta in [0.0, 0.3, 1.0] {
            let shape = PeakShape { fwhm: 0.01, eta };
            let step = 1e-5;
            let area: f64 = (-400_000..400_000).map(|i| shape.at(f64::from(i) * step) * step).sum();
            assert!((area - 1.0).abs() < 2e-3, "{area}");
            assert!((shape.at(0.005) / shape.at(0.0) - 0.5).abs() < 1e-12);
        }
    }

    #[test]
    fn powder_peaks_stand_where_bragg_says() {
        let shape = PeakShape { fwhm: 1e-3, eta: 0.2 };
        let rings = rings_of(Substance::LaB6, 0.5, 0.6);
        let pattern = Pattern1d::powder(&rings, shape, 0.5, 0.6);
        let centre = rings[1].two_theta(0.5).unwrap();
        assert!((pattern.at(centre) - 1.0).abs() < 5e-3, "110 is the strongest: {}", pattern.at(centre));
        for ring in &rings {
            let centre = ring.two_theta(0.5).unwrap();
            assert!(pattern.at(centre) > 2.0 * pattern.at(centre + 4e-3));
            assert!(pattern.at(centre) > 2.0 * pattern.at(centre - 4e-3));
        }
        assert!(rings.iter().all(|r| r.two_theta(0.5).unwrap() <= 0.6 + 1e-9));
        assert!((rings[0].q() - 15.1153).abs() < 1e-3);
    }

    #[test]
    fn smooth_patterns_reach_one() {
        let pattern = Pattern1d::smooth(glass, 0.2, 0.5);
        let highest = (0..5000).map(|i| pattern.at(f64::from(i) * 1e-4)).fold(0.0, f32::max);
        assert!((highest - 1.0).abs() < 1e-4);
        assert_eq!(pattern.at(7.0), pattern.at(8.0), "beyond the table its last value");
    }
}
