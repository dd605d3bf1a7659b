//! Outliers of a bin, thrown out again and again: pyFAI's `sigma_clip_ng`.
//!
//! In a cycle each pixel is compared with mean and standard deviation of those that the cycles before it left, and is thrown out for good
//! when |b − mean| > cut · std, where b = signal / norm and cut is the cutoff, or Chauvenet's for so many pixels where that is larger. It ends when nothing is thrown out, or after so many cycles. With hybrid errors the standard deviation is
//! azimuthal, and the variance of what is left in the end Poisson's.
//!
//! pyFAI keeps what was thrown out in one image for all bins, so that with pixel splitting a pixel that one bin throws out is missing in
//! the next, or not, as its threads come along. Here each bin has its own pixels: without splitting there is no difference.

use super::super::azimuthal::{Moments, not_negative};
use super::{Bin, BinSum};
use crate::integrate::reduction::{ErrorModel, chauvenet};

/// Sums over the pixels that are left.
#[derive(Debug, Clone, Copy)]
struct Left<const L: usize> {
    moments: Moments<L>,
    normalization_squared: [f64; L],
    count: [f64; L],
    /// How many were thrown out on the way.
    out: [f64; L],
}

/// The sums of a bin in each frame.
#[inline(always)]
pub(super) fn clip<const L: usize>(
    bin: &mut Bin<L>,
    errors: &ErrorModel,
    cutoff: f64,
    cycles: u32,
) -> [BinSum; L] {
    let is_azimuthal = matches!(errors, ErrorModel::None | ErrorModel::Azimuthal | ErrorModel::Hybrid);
    let pass = |bin: &mut Bin<L>, mean: [f64; L], limit: [f64; L]| match is_azimuthal {
        true => pass::<L, true>(bin, mean, limit),
        false => pass::<L, false>(bin, mean, limit),
    };
    let mut left = pass(bin, [0.0; L], [f64::INFINITY; L]);
    let mut is_done = [false; L];
    for _ in 0..cycles {
        let (mut mean, mut limit) = ([0.0; L], [f64::INFINITY; L]);
        for l in 0..L {
            let (norms, squares) = (left.moments.norm[l], left.normalization_squared[l]);
            is_done[l] |= norms == 0.0 || left.count[l] == 0.0;
            if !is_done[l] {
                mean[l] = left.moments.signal[l] / norms;
                limit[l] = chauvenet(cutoff, left.count[l]) * (left.moments.variance[l] / squares).sqrt();
            }
        }
        if is_done == [true; L] {
            break;
        }
        left = pass(bin, mean, limit);
        for l in 0..L {
            is_done[l] |= left.out[l] == 0.0;
        }
    }
    if *errors == ErrorModel::Hybrid {
        left.moments.variance = of_pixels(bin);
    }
    std::array::from_fn(|l| BinSum {
        signal: left.moments.signal[l],
        variance: not_negative(left.moments.variance[l]),
        normalization: left.moments.norm[l],
        normalization_squared: left.normalization_squared[l],
        count: left.count[l],
    })
}

/// Throws out the pixels that are further than `limit` from `mean`, and sums what is left. A limit of NaN throws out none.
#[inline(always)]
fn pass<const L: usize, const AZIMUTHAL: bool>(
    bin: &mut Bin<L>,
    mean: [f64; L],
    limit: [f64; L],
) -> Left<L> {
    let zeros = [0.0; L];
    let mut left = Left { moments: Moments::default(), normalization_squared: zeros, count: zeros, out: zeros };
    let Bin { weights, norms, signal, quotient, variance } = bin;
    let mut variance = variance.iter();
    let entries = weights.iter().zip(norms.iter()).zip(signal.iter()).zip(quotient.iter_mut());
    for (((weight, norm), signal), quotient) in entries {
        let w = weight * norm;
        let (square, signal) = (w * w, signal.map(f64::from));
        let mut of = *quotient;
        for l in 0..L {
            let is_out = (of[l] - mean[l]).abs() > limit[l];
            left.out[l] += if is_out { 1.0 } else { 0.0 };
            of[l] = if is_out { f64::NAN } else { of[l] };
            let is_valid = of[l] == of[l];
            left.normalization_squared[l] += if is_valid { square } else { 0.0 };
            left.count[l] += if is_valid { *weight } else { 0.0 };
        }
        *quotient = of;
        if AZIMUTHAL {
            left.moments.add(*weight, *norm, signal, of);
        } else {
            // As many as there are pixels, but never another length: a pixel without one has none.
            let own = variance.next().map_or([0.0; L], |own| own.map(f64::from));
            let weight_squared = weight * weight;
            for l in 0..L {
                let is_valid = of[l] == of[l];
                left.moments.signal[l] += if is_valid { weight * signal[l] } else { 0.0 };
                left.moments.norm[l] += if is_valid { w } else { 0.0 };
                left.moments.variance[l] += if is_valid { weight_squared * own[l] } else { 0.0 };
            }
        }
    }
    left
}

/// Σ c²·var over what is left.
#[inline(always)]
fn of_pixels<const L: usize>(bin: &Bin<L>) -> [f64; L] {
    let mut sums = [0.0; L];
    for ((weight, variance), quotient) in bin.weights.iter().zip(&bin.variance).zip(&bin.quotient) {
        let square = weight * weight;
        for l in 0..L {
            sums[l] += if quotient[l] == quotient[l] { square * f64::from(variance[l]) } else { 0.0 };
        }
    }
    sums
}
