//! Pixels as intervals of an axis (bbox), or as points (no: intervals without extent); with two axes as boxes.
//!
//! Shares are computed in float64 in pyFAI's order and rounded to float32 at the end: they are equal to pyFAI's.

use super::places::Centres;
use super::sort::{BinRange, Cells, Shares};
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
    fn bins_between(&self, lower: f64, upper: f64) -> Option<BinRange> {
        // Casts truncate towards zero and stop at zero, so −0.9 is bin 0, as in pyFAI. NaN and infinity are in no bin.
        if !(upper > -1.0 && upper < f64::INFINITY && lower < self.npt) {
            return None;
        }
        Some(BinRange { first: lower as u32 as usize, last: upper.min(self.npt - 1.0) as u32 as usize })
    }
}

impl Shares for Intervals<'_> {
    type Scratch = ();

    fn scratch(&self) {}

    #[inline]
    fn cells(&self, pixel: usize) -> Option<Cells> {
        let (lower, upper) = self.ends(pixel);
        self.bins_between(lower, upper).map(Cells::on_line)
    }

    #[inline]
    fn shares(&self, pixel: usize, (): &mut (), mut put: impl FnMut(usize, f32)) {
        let (lower, upper) = self.ends(pixel);
        let Some(BinRange { first, last }) = self.bins_between(lower, upper) else { return };
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

/// Pixels as boxes: intervals of both axes. A pixel across the cut of χ is wholly on the side of its centre, as in pyFAI: what reaches
/// over is given to the outermost bin, like what reaches out of a range.
pub(super) struct Boxes<'a> {
    pub(super) azimuthal: Intervals<'a>,
    pub(super) radial: Intervals<'a>,
}

/// What a pixel is along one axis.
struct Side {
    lower: f64,
    upper: f64,
    bins: BinRange,
}

impl Side {
    fn of(axis: &Intervals<'_>, pixel: usize) -> Option<Side> {
        let (lower, upper) = axis.ends(pixel);
        axis.bins_between(lower, upper).map(|bins| Side { lower, upper, bins })
    }

    /// What its length counts for: a pixel inside one bin is not divided.
    #[inline]
    fn length(&self) -> f64 {
        if self.bins.first == self.bins.last { 1.0 } else { self.upper - self.lower }
    }

    /// How much of it is in a bin.
    #[inline]
    fn part(&self, bin: usize) -> f64 {
        match self.bins {
            BinRange { first, last } if first == last => 1.0,
            BinRange { first, .. } if bin == first => (first + 1) as f64 - self.lower,
            BinRange { last, .. } if bin == last => self.upper - last as f64,
            _ => 1.0,
        }
    }
}

impl Boxes<'_> {
    #[inline]
    fn sides(&self, pixel: usize) -> Option<(Side, Side)> {
        Some((Side::of(&self.azimuthal, pixel)?, Side::of(&self.radial, pixel)?))
    }
}

impl Shares for Boxes<'_> {
    type Scratch = ();

    fn scratch(&self) {}

    #[inline]
    fn cells(&self, pixel: usize) -> Option<Cells> {
        let (azimuthal, radial) = self.sides(pixel)?;
        Some(Cells { lines: azimuthal.bins, along: radial.bins })
    }

    #[inline]
    fn shares(&self, pixel: usize, (): &mut (), mut put: impl FnMut(usize, f32)) {
        let Some((azimuthal, radial)) = self.sides(pixel) else { return };
        let whole = 1.0 / (radial.length() * azimuthal.length());
        for line in azimuthal.bins.first..=azimuthal.bins.last {
            let part = azimuthal.part(line);
            let line = line * self.radial.axis.npt();
            for bin in radial.bins.first..=radial.bins.last {
                put(line + bin, (whole * radial.part(bin) * part) as f32);
            }
        }
    }
}
