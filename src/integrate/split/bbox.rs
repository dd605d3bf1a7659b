//! Pixels as intervals of the axis (bbox), or as points (no: intervals without extent).
//!
//! Shares are computed in float64 in pyFAI's order and rounded to float32 at the end: they are equal to pyFAI's.

use super::places::Places;
use super::sort::{Bins, Shares};
use crate::integrate::axis::Axis;

pub(super) struct Intervals<'a> {
    pub(super) places: &'a Places,
    pub(super) axis: &'a Axis,
}

impl Intervals<'_> {
    /// Both ends of a pixel, in bins from the lower limit.
    #[inline]
    fn ends(&self, pixel: usize) -> (f64, f64) {
        let (lower, upper) = self.places.ends(pixel);
        (self.axis.bin(lower), self.axis.bin(upper))
    }

    #[inline]
    fn bins_between(&self, lower: f64, upper: f64) -> Option<Bins> {
        if !(lower.is_finite() && upper.is_finite()) {
            return None;
        }
        // Truncation towards zero, as in pyFAI: −0.9 is bin 0.
        let (first, last, npt) = (lower as i64, upper as i64, self.axis.npt() as i64);
        if last < 0 || first >= npt {
            return None;
        }
        Some(Bins { first: first.max(0) as usize, last: last.min(npt - 1) as usize })
    }
}

impl Shares for Intervals<'_> {
    type Scratch = ();

    fn scratch(&self) {}

    #[inline]
    fn bins(&self, pixel: usize) -> Option<Bins> {
        let (lower, upper) = self.ends(pixel);
        self.bins_between(lower, upper)
    }

    #[inline]
    fn shares(&self, pixel: usize, (): &mut (), mut put: impl FnMut(usize, f32)) {
        let (lower, upper) = self.ends(pixel);
        let Some(Bins { first, last }) = self.bins_between(lower, upper) else { return };
        if first == last {
            return put(first, 1.0);
        }
        let whole = 1.0 / (upper - lower);
        put(first, (whole * ((first + 1) as f64 - lower)) as f32);
        for bin in first + 1..last {
            put(bin, whole as f32);
        }
        put(last, (whole * (upper - last as f64)) as f32);
    }
}
