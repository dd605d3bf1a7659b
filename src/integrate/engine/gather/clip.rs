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
    /// Whether any were thrown out on the way.
    any_out: [bool; L],
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
    let mut left = unsafe { pass::<W, L>(bin, is_azimuthal, &[0.0; L], &[f64::INFINITY; L]) };
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
        if is_done == [true; L] {
            break;
        }
        // SAFETY: the caller's.
        left = unsafe { pass::<W, L>(bin, is_azimuthal, &mean, &limit) };
        is_done.iter_mut().zip(left.any_out).for_each(|(is_done, any_out)| *is_done |= !any_out);
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

/// Throws out the pixels that are further than `limit` from `mean`, and sums what is left. A limit of NaN throws out none.
///
/// # Safety
/// The CPU has the instructions of `W`.
#[inline(always)]
unsafe fn pass<W: Wide<L>, const L: usize>(
    bin: &mut Bin<L>,
    is_azimuthal: bool,
    mean: &[f64; L],
    limit: &[f64; L],
) -> Left<L> {
    let Bin { weights, norms, signal, quotient, variance } = bin;
    // SAFETY: the caller's.
    let (mean, limit, out) = unsafe { (W::load(mean), W::load(limit), W::splat(f64::NAN)) };
    // SAFETY: as above.
    let mut left = unsafe { Running::<W>::none() };
    // SAFETY: as above.
    let (mut norm_squared, mut count) = unsafe { (W::splat(0.0), W::splat(0.0)) };
    // Nowhere.
    let mut any_out = out.is_number();
    let entries = weights.iter().zip(norms.iter()).zip(signal.iter()).zip(quotient.iter_mut());
    // As many as there are pixels; one without has none.
    let zeros = [0.0_f32; L];
    for (at, (((weight, norm), signal), quotient)) in entries.enumerate() {
        let w = weight * norm;
        // SAFETY: as above.
        unsafe {
            let own = W::load(quotient);
            let is_out = own.minus(mean).magnitude().is_above(limit);
            any_out = W::or(any_out, is_out);
            let own = own.replaced(is_out, out);
            // Few are; what need not be written need not leave the cache again.
            if W::any(is_out) {
                own.store(quotient);
            }
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
        any_out: W::bools(any_out),
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
