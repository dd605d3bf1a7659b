//! From patterns to slices of the sample: sinograms, their repair, and reconstruction. Pure functions on arrays; files are
//! `output`'s, choices are `session::tomo`'s, and the GPU's twins of the reconstructions are in `cuda::tomo`.
//!
//! ```text
//!   patterns by frame ──scan──▶ sinograms ──repair──▶ sinograms ──reconstruct──▶ slices
//!   (frames × bins)             (bin, rotation, translation)      (bin, row, column)
//! ```
//!
//! **Sample frame.** x points right, y up, the origin is on the rotation axis, and one unit is one translation step.
//! `slice[row, column]` has y ascending with the row and x with the column: row 0 is the **lowest** row. The sample turns
//! counter-clockwise by ω, and the value of a sinogram at translation index t is what lies on the line
//!
//! ```text
//!   x·cos ω − y·sin ω = t − axis
//! ```
//!
//! which is `simulate`'s phantom word for word, and, in array indices, scikit-image's `iradon` (whose rows count
//! downwards, and whose y therefore has the other sign).
//!
//! **Units.** A slice holds what its sinogram holds, per translation step; whoever knows the step divides by it.

pub mod assembly;
pub mod centre;
mod error;
pub mod fbp;
pub mod filter;
pub mod iterative;
pub mod project;
pub mod reconstruction;
pub mod region;
pub mod repair;
pub mod scan;

pub use error::TomoError;
pub use reconstruction::{HostReconstructor, Method, Reconstruction};

/// Bins that are worked on side by side: one cache line of `f32`.
pub const GROUP: usize = 16;

/// Which line through the sample each value of a sinogram stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct Rays {
    /// Rotation of each row, degrees; any order, any range.
    pub angles: Vec<f64>,
    /// Values in a row.
    pub translations: usize,
    /// Where the rotation axis is seen, in translation steps from the first: `(translations − 1) / 2` when it is centred.
    pub axis: f64,
}

impl Rays {
    /// Rays around an axis in the middle of the translations.
    pub fn centred(angles: Vec<f64>, translations: usize) -> Rays {
        Rays { angles, translations, axis: (translations as f64 - 1.0) / 2.0 }
    }

    /// Number of values in one sinogram.
    pub fn len(&self) -> usize {
        self.angles.len() * self.translations
    }

    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The pixels of a slice, in translation steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Pixels along y.
    pub rows: usize,
    /// Pixels along x.
    pub columns: usize,
    /// x of the centre of column 0.
    pub x0: f64,
    /// y of the centre of row 0, the lowest.
    pub y0: f64,
    /// Side of a pixel.
    pub pixel: f64,
}

impl Grid {
    /// A square of `side` × `side` pixels of one step, its middle on the rotation axis.
    pub fn square(side: usize) -> Grid {
        let corner = -(side as f64 - 1.0) / 2.0;
        Grid { rows: side, columns: side, x0: corner, y0: corner, pixel: 1.0 }
    }

    /// Number of pixels.
    pub fn pixels(&self) -> usize {
        self.rows * self.columns
    }
}

/// Sinograms of some bins (or regions): one measurement, many colours.
#[derive(Debug, Clone, PartialEq)]
pub struct Sinograms {
    /// Their rays, the same for all.
    pub rays: Rays,
    /// Number of bins.
    pub bins: usize,
    /// `values[(bin · rotations + rotation) · translations + translation]`; NaN where nothing was measured.
    pub values: Vec<f32>,
}

/// Makes slices of sinograms. The host's is `tomo`'s own; the GPU's is in `cuda::tomo`, with the same results within the
/// bound that tests state.
pub trait Reconstructor {
    /// Fills `slices` (bins, rows, columns) from `sinograms` (bins, rotations, translations), both whole numbers of bins.
    ///
    /// # Errors
    /// When the lengths do not fit each other, or the device fails.
    fn reconstruct(&mut self, sinograms: &[f32], slices: &mut [f32]) -> Result<(), ReconstructError>;
}

/// Whatever made a reconstruction fail.
pub type ReconstructError = Box<dyn std::error::Error + Send + Sync>;
