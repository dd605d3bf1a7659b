//! What a bin makes of its pixels: which of them count, and how the error of what comes out is known. Values, in pyFAI's words.

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
