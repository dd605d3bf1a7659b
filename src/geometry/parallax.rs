//! Parallax: photons that come in at an angle are stopped deeper in the sensor, further out than where they met it.
//!
//! How far, on average, follows from the absorption coefficient of the sensor and its thickness ([`attenuation`]). As in pyFAI it is
//! computed for 1024 angles, turned round (where did a photon come in that was stopped here?), and interpolated.
//!
//! Reference: `pyFAI/parallax.py` and `Geometry.enable_parallax` of 2026.9.0.

mod attenuation;

use std::f64::consts::FRAC_PI_2;

use super::detector::Sensor;

/// Angles that are computed.
const ANGLES: usize = 1024;

/// What turns a wavelength in metres into an energy in keV.
const HC: f64 = 1e-10 * 12.398_419_843_320_026;

/// By how much to move a pixel, by the sine of the angle at which a ray meets it.
#[derive(Debug, Clone)]
pub(super) struct Parallax {
    sines: Vec<f64>,
    shifts: Vec<f64>,
}

impl Parallax {
    /// For a sensor at this distance, and light of this wavelength, both in metres.
    pub(super) fn new(
        distance: f64,
        wavelength: Option<f64>,
        sensor: Option<&Sensor>,
    ) -> Result<Parallax, String> {
        let sensor = sensor.ok_or(
            "the detector's sensor is not said: add \"sensor\": {\"material\": \"Si\", \"thickness\": 0.00045} to Detector_config",
        )?;
        let wavelength = wavelength.ok_or(
            "the wavelength is not said, and absorption depends on it: add a line \"Wavelength: …\"",
        )?;
        let energy = HC / wavelength;
        let absorption = attenuation::coefficient(&sensor.material, energy)?;
        let thickness = sensor.thickness.filter(|thickness| *thickness > 0.0);
        let angle =
            |i: usize| if i + 1 == ANGLES { FRAC_PI_2 } else { i as f64 * (FRAC_PI_2 / (ANGLES - 1) as f64) };
        let sines: Vec<f64> = (0..ANGLES).map(|i| angle(i).sin()).collect();
        let displaced: Vec<f64> =
            (0..ANGLES).map(|i| displacement(angle(i), absorption, thickness)).collect();
        let radius: Vec<f64> =
            sines.iter().map(|sine| distance * sine / (1.0 - sine * sine).sqrt()).collect();
        let moved: Vec<f64> = radius.iter().zip(&displaced).map(|(radius, by)| radius + by).collect();
        let shifts = radius.iter().map(|&at| interpolate(at, &moved, &radius) - at).collect();
        Ok(Parallax { sines, shifts })
    }

    /// Metres along the radius; negative, for pixels are nearer to the PONI than what they stop.
    pub(super) fn shift(&self, sine: f64) -> f64 {
        interpolate(sine, &self.sines, &self.shifts)
    }
}

/// Mean way along the sensor that a photon goes before it is stopped, metres: 1/µ sin α for a thick sensor, less for a thin one.
fn displacement(angle: f64, absorption: f64, thickness: Option<f64>) -> f64 {
    let Some(thickness) = thickness else { return angle.sin() / absorption };
    if angle >= FRAC_PI_2 {
        return 1.0 / absorption;
    }
    let depth = thickness * (absorption / angle.cos());
    let through = (-depth).exp();
    (angle.sin() / absorption) * (1.0 - (depth + 1.0) * through) / (1.0 - through)
}

/// numpy's `interp`: the value at `x` between places that ascend, the outermost values beyond.
fn interpolate(x: f64, places: &[f64], values: &[f64]) -> f64 {
    let above = places.partition_point(|&place| place <= x);
    match above {
        0 => values[0],
        above if above == places.len() => values[above - 1],
        above => {
            let below = above - 1;
            let slope = (values[above] - values[below]) / (places[above] - places[below]);
            slope * (x - places[below]) + values[below]
        }
    }
}
