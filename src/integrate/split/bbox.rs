//! Pixels as intervals of the axis (bbox), or as points (no: intervals without extent).
//!
//! Shares are computed in float64 in pyFAI's order and rounded to float32 at the end: they are equal to pyFAI's.

use super::places::Centres;
use super::sort::{Bins, Shares};
use crate::integrate::axis::Axis;

pub(super) struct Intervals<'a> {
    places: &'a Centres,
    axis: &'a Axis,
    npt: f64,
}

impl<'a> Intervals<'a> {
    pub(super) fn new(places: &'a Centres, axis: &'a Axis) -> Intervals<'a> {
        Intervals { places, axis, npt: axis.npt() as f64 }
    }

    /// Both ends of a pixel, in bins from the lower limit.
    #[inline]
    fn ends(&self, pixel: usize) -> (f64, f64) {
        let (lower, upper) = self.places.ends(pixel);
        (self.axis.bin(lower), self.axis.bin(upper))
    }

    #[inline]
    fn bins_between(&self, lower: f64, upper: f64) -> Option<Bins> {
        // Casts truncate towards zero and stop at zero, so −0.9 is bin 0, as in pyFAI. NaN and infinity are in no bin.
        if !(upper > -1.0 && upper < f64::INFINITY && lower < self.npt) {
            return None;
        }
        Some(Bins { first: lower as u32 as usize, last: upper.min(self.npt - 1.0) as u32 as usize })
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
