//! The pixels of a bin between two quantiles: pyFAI's `medfilt1d_ng`.
//!
//! Pixels are ordered by b = signal / norm in `f32`, those with equal b as they are in the frame, and their weights c·norm are added up in that
//! order. With the sum before a pixel and with it, as `f32`, and the limits q = quantile · (sum of all), a pixel counts when both sums are within the
//! limits, or both limits within the sums: with two equal limits that is the pixel at the quantile, or the two that meet there.
//!
//! Nothing is sorted for that but the few pixels around each limit. Halves are set apart until they are found, which gives what sorting would
//! because sums do not depend on their order: weights are added as whole multiples of a power of two so small that every sum of them
//! is exact.

use super::{Bin, BinSum};
use crate::integrate::reduction::Shares;

/// So few pixels are sorted.
const FEW: usize = 48;

/// A pixel's rank among those of its bin: b, then its place.
type Rank = u64;

/// A rank above every pixel's.
const ABOVE: Rank = Rank::MAX;

/// What a thread needs for a bin of one frame.
#[derive(Debug, Default)]
pub(super) struct Ranks {
    /// Of each pixel that can be chosen; in order only around the limits.
    ranks: Vec<Rank>,
    /// Of every pixel, rounded to what can be added exactly.
    shares: Vec<f64>,
}

/// Ascends as the value does. −0 is 0.
fn ascending(value: f32) -> u32 {
    let bits = (value + 0.0).to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// Which pixels count.
#[derive(Debug, Clone, Copy)]
struct Chosen {
    /// From the first rank to before the second: those within the limits.
    within: (Rank, Rank),
    /// Those that have the limits within.
    around: (Rank, Rank),
}

/// The sums of a bin of frame `at`.
pub(super) fn quantile<const L: usize>(
    bin: &Bin<L>,
    at: usize,
    from: f64,
    to: f64,
    ranks: &mut Ranks,
) -> BinSum {
    let mut sum = BinSum::default();
    let Ranks { ranks, shares } = ranks;
    // What pixels have of the bin is the same for all frames.
    if at == 0 {
        let share = |(weight, norm): (&f64, &f64)| *norm as f32 * *weight as f32;
        let all = bin.weights.iter().zip(&bin.norms).map(share);
        let exact = Shares::of(all.clone());
        shares.clear();
        shares.extend(all.map(|share| exact.round(share)));
    }
    ranks.clear();
    let mut total = 0.0;
    for (place, ((signal, norm), share)) in bin.signal.iter().zip(&bin.norms).zip(&*shares).enumerate() {
        let b = signal[at] / *norm as f32;
        if b.is_nan() || *share == 0.0 {
            continue;
        }
        total += share;
        ranks.push(u64::from(ascending(b)) << 32 | place as u64);
    }
    if ranks.is_empty() {
        return sum;
    }
    let (low, high) = ((from * total) as f32, (to * total) as f32);
    let (from_low, past_low) = crossings(ranks, shares, low, |before, _| before);
    let (from_high, past_high) = crossings(ranks, shares, high, |_, after| after);
    let chosen = Chosen { within: (from_low, past_high), around: (from_high, past_low) };
    for (place, ((signal, norm), weight)) in bin.signal.iter().zip(&bin.norms).zip(&bin.weights).enumerate() {
        let b = signal[at] / *norm as f32;
        let rank = u64::from(ascending(b)) << 32 | place as u64;
        if !chosen.has(rank) || b.is_nan() || shares[place] == 0.0 {
            continue;
        }
        let w = weight * norm;
        sum.signal += weight * f64::from(signal[at]);
        sum.normalization += w;
        sum.normalization_squared += w * w;
        sum.count += 1.0;
        sum.variance += bin.variance.get(place).map_or(0.0, |own| weight * weight * f64::from(own[at]));
    }
    sum
}

impl Chosen {
    fn has(self, rank: Rank) -> bool {
        let is_in = |(from, to): (Rank, Rank)| from <= rank && rank < to;
        is_in(self.within) || is_in(self.around)
    }
}

/// The first rank whose sum is not below `limit`, and the first whose sum is above it; `of` takes one of the sums before a pixel and with it.
fn crossings(
    ranks: &mut [Rank],
    shares: &[f64],
    limit: f32,
    of: impl Fn(f32, f32) -> f32,
) -> (Rank, Rank) {
    let share = |rank: Rank| shares[(rank & u64::from(u32::MAX)) as usize];
    // Both are in `window`, or there are none: sums before it are below the limit, and its last one's, if any follow, is above it.
    let (mut window, mut base, mut is_last) = (ranks, 0.0, true);
    while window.len() > FEW {
        // A little off the middle, which may well be the limit itself.
        let middle = window.len() / 2 + 1;
        let (lower, _, _) = window.select_nth_unstable(middle);
        let before = base + lower.iter().map(|rank| share(*rank)).sum::<f64>();
        if before as f32 > limit {
            (window, is_last) = (&mut window[..=middle], false);
        } else if (before as f32) < limit {
            (window, base) = (&mut window[middle..], before);
        } else {
            break;
        }
    }
    window.sort_unstable();
    let (mut from, mut past) = (ABOVE, ABOVE);
    let mut before = base;
    for rank in window.iter() {
        let after = before + share(*rank);
        let sum = of(before as f32, after as f32);
        if from == ABOVE && sum >= limit {
            from = *rank;
        }
        if sum > limit {
            past = *rank;
            break;
        }
        before = after;
    }
    debug_assert!(is_last || past != ABOVE, "the last of a window is past the limit");
    (from, past)
}
