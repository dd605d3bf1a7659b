//! What a bin makes of its pixels: which of them count, and how the error of what comes out is known. Values, in pyFAI's words.

use std::f64::consts::PI;
use std::sync::Arc;

/// Which pixels of a bin its intensity is the weighted mean of.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Statistic {
    /// All of them: pyFAI's `integrate1d_ng`, `integrate2d_ng`.
    #[default]
    Mean,
    /// Those that are left when outliers are thrown out again and again: pyFAI's `sigma_clip_ng`.
    Clip {
        /// A pixel is an outlier when it is further from the mean than this many standard deviations (pyFAI's `thres`); a larger
        /// number takes its place where Chauvenet's criterion asks for it.
        cutoff: f64,
        /// Times to throw outliers out at most (pyFAI's `max_iter`).
        cycles: u32,
    },
    /// Those between two quantiles of the bin: pyFAI's `medfilt1d_ng`. Two equal quantiles choose one pixel, 0.5 the median.
    Quantile {
        /// From this one on, 0 … 1.
        from: f64,
        /// To this one, 0 … 1.
        to: f64,
    },
}

impl Statistic {
    /// Whether a frame's own counts decide which of its pixels count: its norms are its own then.
    pub const fn chooses(self) -> bool {
        !matches!(self, Statistic::Mean)
    }
}

/// How the variance of a bin is known.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum ErrorModel {
    /// Not at all: patterns have no errors.
    #[default]
    None,
    /// A pixel's is max(1, raw), before the dark is subtracted.
    Poisson,
    /// From how the pixels of the bin differ.
    Azimuthal,
    /// As [`Azimuthal`](ErrorModel::Azimuthal) while outliers are thrown out, as [`Poisson`](ErrorModel::Poisson) in the end.
    Hybrid,
    /// A pixel's is given (pyFAI's `variance`): one value a pixel.
    Variance(Arc<[f32]>),
}

impl ErrorModel {
    /// Whether patterns have errors.
    pub const fn has_variance(&self) -> bool {
        match self {
            ErrorModel::None => false,
            ErrorModel::Poisson | ErrorModel::Azimuthal | ErrorModel::Hybrid | ErrorModel::Variance(_) => {
                true
            }
        }
    }

    /// The variance of each pixel, where it is given.
    pub fn image(&self) -> Option<&[f32]> {
        match self {
            ErrorModel::Variance(image) => Some(image),
            _ => None,
        }
    }

    /// pyFAI's name.
    pub const fn name(&self) -> &'static str {
        match self {
            ErrorModel::None => "no",
            ErrorModel::Poisson => "poisson",
            ErrorModel::Azimuthal => "azimuthal",
            ErrorModel::Hybrid => "hybrid",
            ErrorModel::Variance(_) => "variance",
        }
    }
}

/// What a bin makes of its pixels.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reduction {
    /// Which pixels count.
    pub statistic: Statistic,
    /// How errors are known.
    pub errors: ErrorModel,
}

impl Reduction {
    /// The mean of all pixels with these errors.
    pub const fn mean(errors: ErrorModel) -> Reduction {
        Reduction { statistic: Statistic::Mean, errors }
    }
}

/// How many standard deviations a pixel of so many may be off its mean: the cutoff, or where that is larger Chauvenet's,
/// √(2·ln(n / √(2π))) of n pixels, three at least.
pub fn chauvenet(cutoff: f64, pixels: f64) -> f64 {
    let chauvenet = (2.0 * (pixels.max(3.0) / (2.0 * PI).sqrt()).ln()).sqrt();
    if cutoff > chauvenet { cutoff } else { chauvenet }
}

/// How the shares c·norm of pixels in a bin are added up, so that no order changes a sum: as whole multiples of a power of two so small
/// that every sum of them is exact. Only shares below 2⁻²⁸ / pixels of the largest lose digits.
#[derive(Debug, Clone, Copy)]
pub struct ExactShares {
    unit: f64,
}

impl ExactShares {
    /// For these shares.
    pub fn of(shares: impl Iterator<Item = f32>) -> ExactShares {
        let (mut largest, mut count) = (0.0_f32, 0_u64);
        for share in shares.filter(|share| share.is_finite()) {
            largest = largest.max(share);
            count += 1;
        }
        // `largest` is below two to this, and all of them are below two to `bits` more.
        let exponent = (f64::from(largest).to_bits() >> 52) as i32 - 1022;
        let bits = (u64::BITS - count.leading_zeros()) as i32;
        ExactShares { unit: 2.0_f64.powi(exponent + bits - (f64::MANTISSA_DIGITS as i32 - 1)) }
    }

    /// A share in units, one at least; 0 for a pixel that has none.
    pub fn units(self, share: f32) -> u64 {
        match share.is_finite() && share > 0.0 {
            true => (f64::from(share) / self.unit).round_ties_even().max(1.0) as u64,
            false => 0,
        }
    }

    /// [`ExactShares::units`] as a whole number in `f64`: no sum of them reaches 2⁵³.
    #[inline]
    pub fn whole_units(self, share: f32) -> f64 {
        let units = (f64::from(share) / self.unit).round_ties_even().max(1.0);
        if share > 0.0 && share < f32::INFINITY { units } else { 0.0 }
    }

    /// What so many units are.
    pub fn sum(self, units: u64) -> f64 {
        self.sum_whole(units as f64)
    }

    /// The same of a whole number in `f64`.
    #[inline]
    pub fn sum_whole(self, units: f64) -> f64 {
        units * self.unit
    }
}
