//! The pixels of a bin between two quantiles: pyFAI's `medfilt1d_ng`.
//!
//! Pixels are ordered by b = signal / norm in `f32`, those with equal b as they are in the frame, and their shares c·norm are added up in that
//! order. With the sum before a pixel and with it, as `f32`, and the limits q = quantile · (sum of all), a pixel counts when both sums are within the
//! limits, or both limits within the sums: with two equal limits that is the pixel at the quantile, or the two that meet there.
//!
//! Nothing is sorted for that but the few pixels around each limit. A sample of the bin says between which two b a limit must be; what is below is
//! added up, what is between is sorted. Where the sample misled, everything is. Sums do not depend on their order ([`ExactShares`]), so what
//! is found does not depend on the sample.

use super::{Bin, BinSum};
use crate::integrate::reduction::ExactShares;

/// So many pixels make the sample.
const SAMPLE: usize = 128;

/// A pixel's rank among those of its bin: b, then its place.
type Rank = u64;

/// A rank above every pixel's.
const ABOVE: Rank = Rank::MAX;

/// b of a pixel that cannot be chosen.
const NONE: u32 = u32::MAX;

/// What a thread needs for a bin.
#[derive(Debug, Default)]
pub(super) struct Ranks {
    /// Of each pixel its share, in units.
    units: Vec<u64>,
    /// How units become sums.
    exact: Option<ExactShares>,
    /// b of each pixel as a number that ascends with it, frame after frame.
    keys: Vec<u32>,
    sample: Vec<u32>,
    /// Pixels around a limit.
    near: Vec<Rank>,
}

/// Ascends as the value does. −0 is 0, NaN is [`NONE`].
#[inline(always)]
fn ascending(value: f32) -> u32 {
    let bits = (value + 0.0).to_bits();
    let ascends = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    if value.is_nan() { NONE } else { ascends }
}

fn rank(key: u32, place: usize) -> Rank {
    u64::from(key) << 32 | place as u64
}

impl Ranks {
    /// Brings b of all frames, and the shares that pixels have of the bin in each, into order.
    #[inline(always)]
    pub(super) fn order<const L: usize>(&mut self, bin: &Bin<L>) {
        let share = |(weight, norm): (&f64, &f64)| *norm as f32 * *weight as f32;
        let all = bin.weights.iter().zip(&bin.norms).map(share);
        let exact = ExactShares::of(all.clone());
        self.units.clear();
        self.units.extend(all.map(|share| exact.units(share)));
        self.exact = Some(exact);
        let pixels = bin.norms.len();
        self.keys.resize(L * pixels, NONE);
        for (place, (signal, norm)) in bin.signal.iter().zip(&bin.norms).enumerate() {
            let norm = *norm as f32;
            let keys = signal.map(|signal| ascending(signal / norm));
            let is_there = self.units[place] > 0;
            for (at, key) in keys.into_iter().enumerate() {
                self.keys[at * pixels + place] = if is_there { key } else { NONE };
            }
        }
    }
}

/// The sums of a bin of frame `at`, between two quantiles.
#[inline(always)]
pub(super) fn quantile<const L: usize>(
    bin: &Bin<L>,
    at: usize,
    (from, to): (f64, f64),
    ranks: &mut Ranks,
) -> BinSum {
    let mut sum = BinSum::default();
    let pixels = bin.weights.len();
    let Ranks { units, exact, keys, sample, near } = ranks;
    let Some(exact) = exact.filter(|_| pixels > 0) else { return sum };
    let keys = &keys[at * pixels..][..pixels];
    let total = below(keys, units, NONE);
    if total == 0 {
        return sum;
    }
    let limit = |quantile: f64| (quantile * exact.sum(total)) as f32;
    sample.clear();
    sample.extend(keys.iter().step_by(pixels.div_ceil(SAMPLE)).filter(|key| **key != NONE));
    sample.sort_unstable();
    let mut searched = Searched { keys, units, exact, sample, near };
    let low = searched.crossings(from, limit(from));
    let high = if to == from { low } else { searched.crossings(to, limit(to)) };
    let within = low.before.reached..high.after.passed;
    let around = high.after.reached..low.before.passed;
    let is_chosen = |rank: Rank| within.contains(&rank) || around.contains(&rank);
    for (place, key) in keys.iter().enumerate() {
        if *key == NONE || !is_chosen(rank(*key, place)) {
            continue;
        }
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

/// Units of the pixels whose b is below a key.
#[inline(always)]
fn below(keys: &[u32], units: &[u64], key: u32) -> u64 {
    keys.iter().zip(units).map(|(own, units)| if *own < key { *units } else { 0 }).sum()
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

/// One bin of one frame.
struct Searched<'a> {
    keys: &'a [u32],
    units: &'a [u64],
    exact: ExactShares,
    /// Some of the keys, in order.
    sample: &'a [u32],
    near: &'a mut Vec<Rank>,
}

impl Searched<'_> {
    /// Where the limit of a quantile is crossed.
    #[inline(always)]
    fn crossings(&mut self, quantile: f64, limit: f32) -> Crossings {
        let count = self.sample.len() as f64;
        // Two and a half standard deviations of the sample's rank, and a bit.
        let (rank, margin) = (quantile * count, 2.5 * (quantile * (1.0 - quantile) * count).sqrt() + 2.0);
        let at = |rank: f64| self.sample.get(rank as usize).copied();
        let low = if rank > margin { at(rank - margin) } else { None };
        let high = at(rank + margin);
        let between = (low.unwrap_or(0), high.unwrap_or(NONE - 1));
        if let Some(found) = self.around(between, limit) {
            return found;
        }
        let nowhere = Crossings { before: Crossing::NOWHERE, after: Crossing::NOWHERE };
        self.around((0, NONE - 1), limit).unwrap_or(nowhere)
    }

    /// The same, if that is among the pixels with b from one key to another.
    #[inline(always)]
    fn around(&mut self, (low, high): (u32, u32), limit: f32) -> Option<Crossings> {
        let mut sum = below(self.keys, self.units, low);
        if low > 0 && self.exact.sum(sum) as f32 >= limit {
            return None;
        }
        self.near.resize(self.keys.len(), 0);
        let mut count = 0;
        for (place, key) in self.keys.iter().enumerate() {
            self.near[count] = rank(*key, place);
            count += usize::from(low <= *key && *key <= high);
        }
        let near = &mut self.near[..count];
        near.sort_unstable();
        let mut found = Crossings { before: Crossing::NOWHERE, after: Crossing::NOWHERE };
        let mut before = self.exact.sum(sum) as f32;
        for rank in near.iter() {
            sum += self.units[(rank & u64::from(u32::MAX)) as usize];
            let after = self.exact.sum(sum) as f32;
            found.before.look(*rank, before, limit);
            found.after.look(*rank, after, limit);
            if found.before.passed != ABOVE {
                break;
            }
            before = after;
        }
        // What follows may be where the sum is above.
        (found.before.passed != ABOVE || high == NONE - 1).then_some(found)
    }
}
