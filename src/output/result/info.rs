//! Reading a result file back (to come).
use std::path::{Path, PathBuf};

use super::layout::RadialAxis;
use crate::frame::FrameStatus;
use crate::output::OutputError;

/// How far the run that wrote a file came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Still being written, or killed: the file does not say which.
    Running,
    /// The run ended by itself.
    Complete,
    /// The user stopped it.
    Interrupted,
    /// It could not go on, for this reason.
    Failed(String),
}

/// What a result file holds, without its patterns.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultInfo {
    /// The file.
    pub path: PathBuf,
    /// Program and version that wrote it.
    pub program: String,
    /// When the run began, ISO 8601.
    pub start_time: String,
    /// When it ended, ISO 8601; empty while it runs.
    pub end_time: String,
    /// How far it came.
    pub progress: Progress,
    /// Shape of `intensity`: (frames, npt) or (slow, fast, npt).
    pub shape: Vec<usize>,
    /// Bins.
    pub axis: RadialAxis,
    /// Whether there are errors.
    pub errors: bool,
    /// Number of rows of each status, only those that occur.
    pub statuses: Vec<(FrameStatus, usize)>,
    /// Messages of bad frames.
    pub bad_frames: Vec<String>,
    /// The input files.
    pub inputs: Vec<String>,
    /// The run.
    pub configuration: serde_json::Value,
}

impl ResultInfo {
    /// Reads what a result file says of itself.
    ///
    /// # Errors
    /// When the file cannot be read or is not one of ours.
    pub fn open(path: &Path) -> Result<ResultInfo, OutputError> {
        Err(OutputError::NotAResult { path: path.into(), problem: String::new() })
    }
}
