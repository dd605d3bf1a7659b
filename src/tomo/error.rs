//! What can be wrong with a scan, a region or a reconstruction, each with its place and a way out.

use crate::budget::OverBudget;

/// Why no sinogram or slice can be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TomoError {
    /// There is too little to make an image of.
    #[error(
        "{rotations} rotations x {translations} translations are too few: a tomogram needs at least 2 x 2"
    )]
    TooSmall {
        /// Rotations found.
        rotations: usize,
        /// Translations found.
        translations: usize,
    },
    /// A motor whose every position is the same, or unknown.
    #[error("the {axis} does not change over the {frames} frames; say where it is, see --{axis}")]
    Unmoved {
        /// `rotation` or `translation`.
        axis: &'static str,
        /// How many frames were looked at.
        frames: usize,
    },
    /// Lists that should belong together do not.
    #[error("{what}: there are {found}, not {expected}")]
    Mismatch {
        /// What was counted.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there must be.
        expected: usize,
    },
    /// A number that cannot be used.
    #[error("{what} of frame {frame} is {value}, not a number to work with")]
    NotANumber {
        /// Which.
        what: &'static str,
        /// Frame it belongs to.
        frame: usize,
        /// The value.
        value: f64,
    },
    /// A region that cannot be understood.
    #[error("region `{text}`: {problem}; write NAME=LOW:HIGH, or NAME=LOW:HIGH:none to keep the background")]
    Region {
        /// As typed.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A grid, an axis or a number of iterations that makes no image.
    #[error("{0}")]
    Impossible(String),
    /// More memory than is allowed.
    #[error(transparent)]
    TooLarge(#[from] OverBudget),
    /// A value that was not measured reached a reconstruction.
    #[error(
        "sinogram {bin} has no value at rotation {rotation}, translation {translation}; fill missing points first"
    )]
    Hole {
        /// Bin, counted from 0.
        bin: usize,
        /// Rotation, counted from 0.
        rotation: usize,
        /// Translation, counted from 0.
        translation: usize,
    },
}
