//! The result file (to come)
mod info;
mod layout;

use std::path::{Path, PathBuf};

use super::OutputError;
use crate::frame::Outcome;

pub use info::{Progress, ResultInfo};
pub use layout::{Ending, Layout, Motor, RadialAxis, Scan};

/// A result file that is being written.
pub struct ResultFile {
    path: PathBuf,
}

/// What a finished file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The file.
    pub path: PathBuf,
    /// Rows with a pattern.
    pub good: usize,
    /// Rows of bad frames: NaN.
    pub bad: usize,
    /// Rows that no frame came for: NaN.
    pub pending: usize,
    /// Size of the file in bytes.
    pub bytes: u64,
}

impl ResultFile {
    /// Creates the file with room for every frame of `layout`.
    ///
    /// # Errors
    /// See [`OutputError`]; nothing is left on disk, and an existing file stays as it was.
    pub fn create(path: &Path, layout: &Layout, overwrite: bool) -> Result<ResultFile, OutputError> {
        let _ = (layout, overwrite);
        Ok(ResultFile { path: path.to_path_buf() })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts what became of one frame into its row; frames may come in any order, each once.
    ///
    /// # Errors
    /// When the disk is full or broken, or when the pattern does not fit the file.
    pub fn put(&mut self, outcome: Outcome) -> Result<(), OutputError> {
        let _ = outcome;
        Ok(())
    }

    /// Writes what is buffered. [`ResultFile::put`] does so by itself at least once a second while frames come;
    /// call it when they pause.
    ///
    /// # Errors
    /// When the disk is full or broken.
    pub fn flush(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    /// Writes what is buffered, fills the rows that no frame came for with NaN, and marks how the run ended.
    ///
    /// # Errors
    /// When the disk is full or broken.
    pub fn finish(self, ending: &Ending) -> Result<Written, OutputError> {
        let _ = ending;
        Ok(Written { path: self.path, good: 0, bad: 0, pending: 0, bytes: 0 })
    }
}
