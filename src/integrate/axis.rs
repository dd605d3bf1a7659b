//! The radial axis: equal bins from a lower to an upper limit.
//!
//! Work is done in base values (rad, nm⁻¹, m, …); the centres are in the displayed unit. The upper limit is always a
//! float32 rounding step above what was asked for or found, as in pyFAI: a range that ends at 60 ends at 60.0000072, so
//! that the outermost pixel still falls into the last bin. Centres are laid out as numpy's `linspace` lays them
//! out, to the last bit.

use crate::geometry::units::Unit;

/// pyFAI raises every upper limit by this factor: 1 + the relative step of float32.
const JUST_ABOVE: f64 = 1.0 + f32::EPSILON as f64;

/// Equal radial bins.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// What the axis measures.
    pub unit: Unit,
    /// Middle of each bin, in the displayed unit.
    pub centres: Vec<f64>,
    /// Lower limit of the first bin, base value.
    pub lower: f64,
    /// Upper limit of the last bin, base value, already raised.
    pub upper: f64,
    /// Width of a bin, base value.
    pub width: f64,
}

impl Axis {
    /// `npt` bins from `lower` to just above `highest` (base values).
    pub fn new(unit: Unit, lower: f64, highest: f64, npt: usize) -> Axis {
        let upper = if highest > 0.0 { highest * JUST_ABOVE } else { highest / JUST_ABOVE };
        let width = (upper - lower) / npt as f64;
        let scale = unit.scale();
        let centres = linspace(lower + 0.5 * width, upper - 0.5 * width, npt);
        Axis { unit, centres: centres.into_iter().map(|c| c * scale).collect(), lower, upper, width }
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

/// numpy's `linspace`, end point included.
fn linspace(start: f64, stop: f64, count: usize) -> Vec<f64> {
    let step = (stop - start) / count.saturating_sub(1).max(1) as f64;
    let mut values: Vec<f64> = (0..count).map(|i| i as f64 * step + start).collect();
    if count > 1 {
        values[count - 1] = stop;
    }
    values
}
