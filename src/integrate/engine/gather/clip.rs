//! Outliers of a bin, thrown out again and again: pyFAI's `sigma_clip_ng`.
//!
//! In a cycle each pixel is compared with mean and standard deviation of those that the cycles before it left, and is thrown out for good
//! when |b − mean| > cut · std, where b = signal / norm and cut is the cutoff, or Chauvenet's for so many pixels where that is larger.
//! It ends when nothing is thrown out, or after so many cycles. With hybrid errors the standard deviation is
//! azimuthal, and the variance of what is left in the end Poisson's.
//!
//! pyFAI keeps what was thrown out in one image for all bins, so that with pixel splitting a pixel that one bin throws out is missing in
//! the next, or not, as its threads come along. Here each bin has its own pixels: without splitting there is no difference.

use super::super::azimuthal::{Running, not_negative};
use super::super::wide::Wide;
use super::{Bin, BinSum};
use crate::integrate::reduction::{ErrorModel, chauvenet};

/// Sums over the pixels that are left.
struct Left<const L: usize> {
    signal: [f64; L],
    variance: [f64; L],
    norm: [f64; L],
    norm_squared: [f64; L],
    count: [f64; L],
}

/// The sums of a bin in each frame.
///
/// # Safety
/// The CPU has the instructions of `W`.
#[inline(always)]
pub(super) unsafe fn clip<W: Wide<L>, const L: usize>(
    bin: &mut Bin<L>,
    errors: &ErrorModel,
    cutoff: f64,
    cycles: u32,
) -> [BinSum; L] {
    let is_azimuthal = matches!(errors, ErrorModel::None | ErrorModel::Azimuthal | ErrorModel::Hybrid);
    // SAFETY: the caller's.
    let mut left = unsafe { sum::<W, L>(bin, is_azimuthal) };
    let mut is_done = [false; L];
    for _ in 0..cycles {
        let (mut mean, mut limit) = ([0.0; L], [f64::INFINITY; L]);
        for l in 0..L {
            is_done[l] |= left.norm[l] == 0.0 || left.count[l] == 0.0;
            if !is_done[l] {
                mean[l] = left.signal[l] / left.norm[l];
                limit[l] =
                    chauvenet(cutoff, left.count[l]) * (left.variance[l] / left.norm_squared[l]).sqrt();
            }
        }
        // SAFETY: the caller's.
        let thrown_out = unsafe { throw_out::<W, L>(bin, &mean, &limit) };
        if thrown_out == 0 {
            break;
        }
        // SAFETY: the caller's.
        left = unsafe { sum::<W, L>(bin, is_azimuthal) };
        for (l, is_done) in is_done.iter_mut().enumerate() {
            *is_done |= thrown_out >> l & 1 == 0;
        }
    }
    if *errors == ErrorModel::Hybrid {
        left.variance = of_pixels(bin);
    }
    std::array::from_fn(|l| BinSum {
        signal: left.signal[l],
        variance: not_negative(left.variance[l]),
        normalization: left.norm[l],
        normalization_squared: left.norm_squared[l],
        count: left.count[l],
    })
}

/// Throws out the pixels that are further than `limit` from `mean`; a limit of NaN throws out none. Says of which frames there were any, the first
/// frame in the lowest bit.
///
/// Looking costs a fifth of what summing does with its divisions, and most often nothing is found.
///
/// # Safety
/// The CPU has the instructions of `W`.
#[inline(always)]
unsafe fn throw_out<W: Wide<L>, const L: usize>(bin: &mut Bin<L>, mean: &[f64; L], limit: &[f64; L]) -> u32 {
    // SAFETY: the caller's.
    let (mean, limit, out) = unsafe { (W::load(mean), W::load(limit), W::splat(f64::NAN)) };
    let mut thrown_out = 0;
    for quotient in &mut bin.quotient {
        // SAFETY: as above.
        let own = unsafe { W::load(quotient) };
        let is_out = own.minus(mean).magnitude().is_above(limit);
        let frames = W::bits(is_out);
        if frames != 0 {
            own.replaced(is_out, out).store(quotient);
            thrown_out |= frames;
        }
    }
    thrown_out
}

/// Sums what is left.
///
/// # Safety
/// The CPU has the instructions of `W`.
#[inline(always)]
unsafe fn sum<W: Wide<L>, const L: usize>(bin: &Bin<L>, is_azimuthal: bool) -> Left<L> {
    let Bin { weights, norms, signal, quotient, variance } = bin;
    // SAFETY: the caller's.
    let mut left = unsafe { Running::<W>::none() };
    // SAFETY: as above.
    let (mut norm_squared, mut count) = unsafe { (W::splat(0.0), W::splat(0.0)) };
    let entries = weights.iter().zip(norms).zip(signal).zip(quotient);
    // As many as there are pixels; one without has none.
    let zeros = [0.0_f32; L];
    for (at, (((weight, norm), signal), quotient)) in entries.enumerate() {
        let w = weight * norm;
        // SAFETY: as above.
        unsafe {
            let own = W::load(quotient);
            let is_valid = own.is_number();
            let square = W::splat(w * w);
            norm_squared = norm_squared.plus(square.only(is_valid));
            count = count.plus(W::splat(*weight).only(is_valid));
            let signal = W::splat(*weight).times(W::widen(signal));
            if is_azimuthal {
                left.add(signal, W::splat(w), square, own);
            } else {
                let variance = W::widen(variance.get(at).unwrap_or(&zeros));
                left.signal = left.signal.plus(signal.only(is_valid));
                left.norm = left.norm.plus(W::splat(w).only(is_valid));
                let variance = W::splat(weight * weight).times(variance);
                left.variance = left.variance.plus(variance.only(is_valid));
            }
        }
    }
    let stored = |wide: W| {
        let mut values = [0.0; L];
        wide.store(&mut values);
        values
    };
    Left {
        signal: stored(left.signal),
        variance: stored(left.variance),
        norm: stored(left.norm),
        norm_squared: stored(norm_squared),
        count: stored(count),
    }
}

/// Σ c²·var over what is left.
fn of_pixels<const L: usize>(bin: &Bin<L>) -> [f64; L] {
    let mut sums = [0.0; L];
    for ((weight, variance), quotient) in bin.weights.iter().zip(&bin.variance).zip(&bin.quotient) {
        let square = weight * weight;
        for l in 0..L {
            sums[l] += if quotient[l].is_nan() { 0.0 } else { square * f64::from(variance[l]) };
        }
    }
    sums
}
