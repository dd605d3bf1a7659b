//! What can go wrong while frames are made: each says where, why, and what to do.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::budget::{self, OverBudget};
use crate::geometry::position::Unplaced;
use crate::output::OutputError;

impl SimulateError {
    /// Whether it is about files rather than about what was asked for.
    pub fn is_about_writing(&self) -> bool {
        use SimulateError::{Exists, Folder, NoRoom, Output};
        matches!(self, Folder { .. } | Exists { .. } | NoRoom { .. } | Output(_))
    }
}

/// Why a simulation stopped.
#[derive(Debug, Error)]
pub enum SimulateError {
    /// The output folder cannot be made.
    #[error("cannot make the folder {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The frames' prefix is no beginning of a file name.
    #[error(
        "'{prefix}' cannot begin the names of files: give a --prefix without slashes, and --output for the folder"
    )]
    Prefix {
        /// The prefix.
        prefix: String,
    },
    /// A file that would be written exists.
    #[error(
        "{} exists already{}; choose another folder or prefix, or overwrite with --overwrite",
        path.display(),
        if *others > 0 { format!(" (and {others} more of the files to be written)") } else { String::new() }
    )]
    Exists {
        /// The first such file.
        path: PathBuf,
        /// How many more there are.
        others: usize,
    },
    /// The detector's pixels are on no regular grid.
    #[error(
        "frames are simulated of flat detectors with a regular grid of pixels, without parallax; {detector} is none here"
    )]
    NoGrid {
        /// Its name.
        detector: String,
    },
    /// Pixels without a place.
    #[error(transparent)]
    Unplaced(#[from] Unplaced),
    /// The disk is too small for what was asked for.
    #[error(
        "{}: {frames} frames take {} or more, and {} are free there",
        folder.display(), budget::size(*needed), budget::size(*free)
    )]
    NoRoom {
        /// Where the frames were to go.
        folder: PathBuf,
        /// How many.
        frames: usize,
        /// Bytes that they take at least.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// More memory than is allowed.
    #[error(transparent)]
    TooLarge(OverBudget),
    /// A file cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The geometry has no wavelength, so rings have no place.
    #[error("the geometry has no wavelength: add a Wavelength line to the PONI file, or give --energy")]
    NoWavelength,
    /// The detector has no fixed size.
    #[error("the detector '{detector}' has no size of its own: give --shape ROWS COLUMNS")]
    NoShape {
        /// Its name.
        detector: String,
    },
    /// A setting is out of its range.
    #[error("{name} = {value} cannot be used: {why}")]
    Setting {
        /// Which setting.
        name: &'static str,
        /// What it was.
        value: f64,
        /// What it must be.
        why: &'static str,
    },
    /// No ring falls on the detector.
    #[error(
        "none of the rings falls on the detector, which sees 2θ from {nearest:.3}° to {furthest:.3}°: \
         change the distance, the energy or the substance"
    )]
    NoRings {
        /// Smallest angle that a pixel sees, degrees.
        nearest: f64,
        /// Largest angle that a pixel sees, degrees.
        furthest: f64,
    },
}
