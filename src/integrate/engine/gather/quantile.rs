//! The pixels of a bin between two quantiles: pyFAI's `medfilt1d_ng`.
//!
//! Pixels are ordered by b = signal / norm in `f32`, those with equal b as they are in the frame, and their shares c·norm are added up in that
//! order. With the sum before a pixel and with it, as `f32`, and the limits q = quantile · (sum of all), a pixel counts when both sums are within the
//! limits, or both limits within the sums: with two equal limits that is the pixel at the quantile, or the two that meet there.
//!
//! Nothing is sorted for that but the few pixels around each limit. A sample of the bin gives some marks about where a limit must be; what is
//! below each mark is added up, and the pixels between the two marks that have the limit between them are sorted. Where the sample misled, more of them
//! are. Sums do not depend on their order ([`ExactShares`]), so what is found does not depend on the sample. Whatever looks at all pixels of a
//! bin does so for all frames at once.

use std::ops::Range;

use super::super::wide::{Lanes, Wide};
use super::{Bin, BinSum};
use crate::integrate::reduction::ExactShares;

/// So many pixels make the sample.
const SAMPLE: usize = 128;

/// And give so many marks about a limit.
const MARKS: usize = 6;

/// A pixel's rank among those of its bin: b, then its place.
type Rank = u64;

/// A rank above every pixel's.
const ABOVE: Rank = Rank::MAX;

/// What a thread needs for a bin of `L` frames.
#[derive(Debug)]
pub(super) struct Ranks<const L: usize> {
    /// Of each pixel its share, in units.
    units: Vec<f64>,
    /// b of each pixel, NaN where it cannot be chosen. −0 is 0.
    values: Vec<[f32; L]>,
    /// Some of these, of one frame, in order.
    sample: Vec<u32>,
    /// Pixels around a limit in each frame, in order.
    near: [Vec<Rank>; L],
}

impl<const L: usize> Default for Ranks<L> {
    fn default() -> Self {
        let near = std::array::from_fn(|_| Vec::new());
        Ranks { units: vec![], values: vec![], sample: vec![], near }
    }
}

/// A number that ascends with the value, which is not −0.
#[inline(always)]
fn ascending(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// The value back.
fn value_of(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key & !(1 << 31) } else { !key })
}

fn rank(value: f32, place: usize) -> Rank {
    u64::from(ascending(value)) << 32 | place as u64
}

fn place_of(rank: Rank) -> usize {
    (rank & u64::from(u32::MAX)) as usize
}

/// The sums of a bin between two quantiles, in each frame.
///
/// # Safety
/// The CPU has the instructions of `W`.
#[inline(always)]
pub(super) unsafe fn quantile<W: Wide<L>, const L: usize>(
    bin: &Bin<L>,
    exact: ExactShares,
    (from, to): (f64, f64),
    ranks: &mut Ranks<L>,
) -> [BinSum; L] {
    // SAFETY: the caller's; so below.
    let total = unsafe { ranks.order::<W>(bin, exact) };
    let limits = |quantile: f64| total.map(|units| (quantile * exact.sum_whole(units)) as f32);
    // SAFETY: as above.
    let low = unsafe { ranks.crossings::<W>(exact, from, &limits(from)) };
    if from == to {
        return std::array::from_fn(|at| ranks.sum_near(bin, at, chosen(low[at], low[at])));
    }
    // SAFETY: as above.
    let high = unsafe { ranks.crossings::<W>(exact, to, &limits(to)) };
    let chosen = std::array::from_fn(|at| chosen(low[at], high[at]));
    // SAFETY: as above.
    unsafe { ranks.sum::<W>(bin, &chosen) }
}

/// The first ranks whose sum is not below a limit, and is above it; [`ABOVE`] where there are none.
#[derive(Debug, Clone, Copy)]
struct Crossing {
    reached: Rank,
    passed: Rank,
}

/// Where a limit is crossed.
#[derive(Debug, Clone, Copy)]
struct Crossings {
    /// By the sum of the pixels before one.
    before: Crossing,
    /// By that sum with its own share.
    after: Crossing,
}

impl Crossing {
    const NOWHERE: Crossing = Crossing { reached: ABOVE, passed: ABOVE };

    #[inline(always)]
    fn look(&mut self, rank: Rank, sum: f32, limit: f32) {
        if self.reached == ABOVE && sum >= limit {
            self.reached = rank;
        }
        if self.passed == ABOVE && sum > limit {
            self.passed = rank;
        }
    }
}

/// The pixels that count. Both sums of a pixel are within the limits, or both limits within its sums: where there are pixels of both kinds, they follow
/// each other.
fn chosen(low: Crossings, high: Crossings) -> Range<Rank> {
    let within = low.before.reached..high.after.passed;
    let around = high.after.reached..low.before.passed;
    match (within.is_empty(), around.is_empty()) {
        (true, _) => around,
        (_, true) => within,
        _ => within.start.min(around.start)..within.end.max(around.end),
    }
}

/// What is known of a limit in each frame: which values it is between, and the units below the lower one.
struct Between<const L: usize> {
    low: [f64; L],
    high: [f64; L],
    below: [f64; L],
}

impl<const L: usize> Ranks<L> {
    /// Brings b of all frames, and the shares that pixels have of the bin, into order; all units of each frame.
    ///
    /// # Safety
    /// The CPU has the instructions of `W`.
    #[inline(always)]
    unsafe fn order<W: Wide<L>>(&mut self, bin: &Bin<L>, exact: ExactShares) -> [f64; L] {
        let pixels = bin.weights.iter().zip(&bin.norms);
        self.units.clear();
        self.units.extend(pixels.map(|(weight, norm)| exact.whole_units(*norm as f32 * *weight as f32)));
        self.values.clear();
        let pixels = bin.signal.iter().zip(&bin.norms).zip(&self.units);
        self.values.extend(pixels.map(|((signal, norm), units)| {
            let (norm, zero) = (*norm as f32, if *units > 0.0 { 0.0 } else { f32::NAN });
            signal.map(|signal| signal / norm + zero)
        }));
        // SAFETY: the caller's.
        let mut total = unsafe { W::splat(0.0) };
        for (values, units) in self.values.iter().zip(&self.units) {
            // SAFETY: as above.
            let (value, units) = unsafe { (values.wide::<W>(), W::splat(*units)) };
            total = total.plus(units.only(value.is_number()));
        }
        let mut units = [0.0; L];
        total.store(&mut units);
        units
    }

    /// Where the limit of a quantile is crossed in each frame; the pixels around it are in `near` then.
    ///
    /// # Safety
    /// As [`Ranks::order`].
    #[inline(always)]
    unsafe fn crossings<W: Wide<L>>(
        &mut self,
        exact: ExactShares,
        quantile: f64,
        limits: &[f32; L],
    ) -> [Crossings; L] {
        // SAFETY: the caller's.
        let between = unsafe { self.between::<W>(exact, quantile, limits) };
        // SAFETY: as above.
        unsafe { self.collect::<W>(&between) };
        std::array::from_fn(|at| self.look(exact, at, between.below[at], limits[at]))
    }

    /// Finds the marks that have the limits between them.
    ///
    /// # Safety
    /// As [`Ranks::order`].
    #[inline(always)]
    unsafe fn between<W: Wide<L>>(
        &mut self,
        exact: ExactShares,
        quantile: f64,
        limits: &[f32; L],
    ) -> Between<L> {
        let mut between = Between { low: [f64::NEG_INFINITY; L], high: [f64::INFINITY; L], below: [0.0; L] };
        if self.values.len() <= SAMPLE {
            return between;
        }
        let mut marks = [[0.0; L]; MARKS];
        for at in 0..L {
            self.take_sample(at);
            let count = self.sample.len() as f64;
            // Two and a half standard deviations of the sample's rank, and a bit.
            let margin = 2.5 * (quantile * (1.0 - quantile) * count).sqrt() + 2.0;
            for (step, mark) in marks.iter_mut().enumerate() {
                let rank = quantile * count + margin * (2.0 * step as f64 / (MARKS - 1) as f64 - 1.0);
                let key = self.sample.get(rank as usize).copied();
                let value = key.map_or(f64::INFINITY, |key| f64::from(value_of(key)));
                mark[at] = if rank < 0.0 { f64::NEG_INFINITY } else { value };
            }
        }
        // SAFETY: the caller's.
        let (wide, mut sums) = unsafe { (marks.map(|mark| W::load(&mark)), [W::splat(0.0); MARKS]) };
        for (values, units) in self.values.iter().zip(&self.units) {
            // SAFETY: as above.
            let (value, units) = unsafe { (values.wide::<W>(), W::splat(*units)) };
            for (sum, mark) in sums.iter_mut().zip(wide) {
                *sum = sum.plus(units.only(mark.is_above(value)));
            }
        }
        for (mark, sum) in marks.into_iter().zip(sums) {
            let mut units = [0.0; L];
            sum.store(&mut units);
            for at in 0..L {
                let sum = exact.sum_whole(units[at]) as f32;
                if sum < limits[at] {
                    (between.low[at], between.below[at]) = (mark[at], units[at]);
                } else if sum > limits[at] && between.high[at] == f64::INFINITY {
                    // A pixel has this value, so the sum before it is above the limit.
                    between.high[at] = mark[at];
                }
            }
        }
        between
    }

    /// Some pixels of a frame, in order.
    fn take_sample(&mut self, at: usize) {
        let some = self.values.iter().step_by(self.values.len().div_ceil(SAMPLE)).map(|values| values[at]);
        self.sample.clear();
        self.sample.extend(some.filter(|value| !value.is_nan()).map(ascending));
        self.sample.sort_unstable();
    }

    /// Brings the pixels between two values, these included, into order.
    ///
    /// # Safety
    /// As [`Ranks::order`].
    #[inline(always)]
    unsafe fn collect<W: Wide<L>>(&mut self, between: &Between<L>) {
        self.near.iter_mut().for_each(Vec::clear);
        // SAFETY: the caller's.
        let (low, high) = unsafe { (W::load(&between.low), W::load(&between.high)) };
        for (place, values) in self.values.iter().enumerate() {
            // SAFETY: as above.
            let value = unsafe { values.wide::<W>() };
            let mut bits = W::bits(W::and(value.is_from(low), high.is_from(value)));
            while bits != 0 {
                let at = bits.trailing_zeros() as usize;
                self.near[at].push(rank(values[at], place));
                bits &= bits - 1;
            }
        }
        self.near.iter_mut().for_each(|near| near.sort_unstable());
    }

    /// Where the pixels that are near cross a limit, with `below` units before them.
    fn look(&self, exact: ExactShares, at: usize, below: f64, limit: f32) -> Crossings {
        let mut found = Crossings { before: Crossing::NOWHERE, after: Crossing::NOWHERE };
        let (mut sum, mut before) = (below, exact.sum_whole(below) as f32);
        for rank in &self.near[at] {
            sum += self.units[place_of(*rank)];
            let after = exact.sum_whole(sum) as f32;
            found.before.look(*rank, before, limit);
            found.after.look(*rank, after, limit);
            if found.before.passed != ABOVE {
                break;
            }
            before = after;
        }
        found
    }

    /// The sums of a frame over some of the pixels that are near.
    fn sum_near(&mut self, bin: &Bin<L>, at: usize, chosen: Range<Rank>) -> BinSum {
        let near = &mut self.near[at];
        near.retain(|rank| chosen.contains(rank));
        near.sort_unstable_by_key(|rank| place_of(*rank));
        let mut sum = BinSum::default();
        for place in near.iter().map(|rank| place_of(*rank)) {
            let (weight, signal) = (bin.weights[place], f64::from(bin.signal[place][at]));
            let w = weight * bin.norms[place];
            sum.signal += weight * signal;
            sum.normalization += w;
            sum.normalization_squared += w * w;
            sum.count += 1.0;
            sum.variance += bin.variance.get(place).map_or(0.0, |own| weight * weight * f64::from(own[at]));
        }
        sum
    }

    /// The sums over the chosen pixels of each frame.
    ///
    /// # Safety
    /// As [`Ranks::order`].
    #[inline(always)]
    unsafe fn sum<W: Wide<L>>(&self, bin: &Bin<L>, chosen: &[Range<Rank>; L]) -> [BinSum; L] {
        // No value is above one that is no number.
        let value =
            |rank: Rank| if rank == ABOVE { f64::NAN } else { f64::from(value_of((rank >> 32) as u32)) };
        let bound = |of: fn(&Range<Rank>) -> Rank| {
            let ranks: [Rank; L] = std::array::from_fn(|at| of(&chosen[at]));
            (ranks.map(value), ranks.map(|rank| place_of(rank) as f64))
        };
        let (start, end) = (bound(|chosen| chosen.start), bound(|chosen| chosen.end));
        // SAFETY: the caller's.
        let [start, end] = unsafe { [start, end].map(|(value, place)| (W::load(&value), W::load(&place))) };
        // SAFETY: as above.
        let [mut signal, mut variance, mut norm, mut norm_squared, mut count] = unsafe { [W::splat(0.0); 5] };
        // As many as there are pixels; one without has none.
        let zeros = [0.0_f32; L];
        for (place, values) in self.values.iter().enumerate() {
            let (weight, w) = (bin.weights[place], bin.weights[place] * bin.norms[place]);
            // SAFETY: as above.
            unsafe {
                let (value, place_of_all) = (values.wide::<W>(), W::splat(place as f64));
                let is_from = |(from, at): (W, W)| {
                    W::or(value.is_above(from), W::and(value.is_from(from), place_of_all.is_from(at)))
                };
                let is_chosen = W::but(is_from(start), is_from(end));
                let own = W::splat(weight).times(bin.signal[place].wide());
                signal = signal.plus(own.only(is_chosen));
                norm = norm.plus(W::splat(w).only(is_chosen));
                norm_squared = norm_squared.plus(W::splat(w * w).only(is_chosen));
                count = count.plus(W::splat(1.0).only(is_chosen));
                let own = W::splat(weight * weight).times(bin.variance.get(place).unwrap_or(&zeros).wide());
                variance = variance.plus(own.only(is_chosen));
            }
        }
        let stored = |wide: W| {
            let mut values = [0.0; L];
            wide.store(&mut values);
            values
        };
        let [signal, variance] = [signal, variance].map(stored);
        let [normalization, normalization_squared, count] = [norm, norm_squared, count].map(stored);
        std::array::from_fn(|at| BinSum {
            signal: signal[at],
            variance: variance[at],
            normalization: normalization[at],
            normalization_squared: normalization_squared[at],
            count: count[at],
        })
    }
}
