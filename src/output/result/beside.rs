//! What a row has in each bin beside its intensity: float32 datasets of the shape of `intensity`, NaN where no pattern is.

use crate::frame::Pattern;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// Standard error of the mean, pyFAI's `sem`; NeXus's name for it.
    Errors,
    /// Standard deviation of a pixel, pyFAI's `std`.
    Std,
    /// How many pixels count, pyFAI's `count`: a number of each frame's own where its counts decide that.
    Count,
}

impl Beside {
    /// All of them, in the order in which they stand in a row's checksum.
    pub const ALL: [Beside; 3] = [Beside::Errors, Beside::Std, Beside::Count];

    /// Name of the dataset.
    pub const fn name(self) -> &'static str {
        match self {
            Beside::Errors => "errors",
            Beside::Std => "std",
            Beside::Count => "count",
        }
    }

    /// What it is, for people.
    pub(super) const fn meaning(self) -> &'static str {
        match self {
            Beside::Errors => "Standard error of the intensity (pyFAI's sem)",
            Beside::Std => "Standard deviation of a pixel of the bin (pyFAI's std)",
            Beside::Count => "Pixels that count, of clipping each by its share in the bin (pyFAI's count)",
        }
    }

    /// That of a pattern.
    pub(super) fn of(self, pattern: &Pattern) -> Option<&[f32]> {
        match self {
            Beside::Errors => pattern.sem.as_deref(),
            Beside::Std => pattern.std.as_deref(),
            Beside::Count => pattern.count.as_deref(),
        }
    }
}
