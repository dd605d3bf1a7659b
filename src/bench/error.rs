//! Why a measurement could not be made.

use std::io;
use std::path::PathBuf;

use crate::output::OutputError;
use crate::session::{PipelineError, PoniError, SessionError};
use crate::simulate::SimulateError;

/// Why a measurement could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// There is nothing to measure with.
    #[error("no frames to measure with: name some with --frames")]
    NoFrames,
    /// The geometry cannot be read.
    #[error(transparent)]
    Poni(#[from] PoniError),
    /// The frames cannot be integrated so.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A frame that was read for a check is bad.
    #[error("{0}: a bench needs good frames")]
    BadFrame(String),
    /// A file or folder of the bench.
    #[error("{path}: {cause}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The result file.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Frames could not be simulated.
    #[error(transparent)]
    Simulate(#[from] SimulateError),
    /// Ended by the user.
    #[error("interrupted; nothing of this bench is kept")]
    Interrupted,
    /// Slices could not be made, or are not those of the other rows.
    #[error("{0}")]
    Tomo(String),
    /// There is no GPU.
    #[error("{0}")]
    NoGpu(String),
    /// The GPU failed.
    #[error("{0}")]
    Gpu(String),
    /// A run failed.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// A row computes something else than the others.
    #[error(
        "{row}: bin {bin} of frame 0 is {found}, the plain integration says {expected}: not a benchmark but a defect"
    )]
    Disagrees {
        /// The row.
        row: String,
        /// Where.
        bin: usize,
        /// What it computed.
        found: f32,
        /// What it should have.
        expected: f32,
    },
    /// Another number of bins.
    #[error("{row}: {found} bins instead of {expected}")]
    Bins {
        /// The row.
        row: String,
        /// What it computed.
        found: usize,
        /// What it should have.
        expected: usize,
    },
    /// Rows of the result are missing or bad.
    #[error(
        "{row}: {good} of {done} frames are good: not a benchmark; see the frames with `xrdct integrate`"
    )]
    Incomplete {
        /// The row.
        row: String,
        /// Good rows of the file.
        good: usize,
        /// Frames that were walked through.
        done: usize,
    },
    /// A row that nobody knows.
    #[error("{asked}: no such row; choose of {known}, or of the groups paper, ours, ceiling")]
    UnknownRow {
        /// What was asked for.
        asked: String,
        /// What there is.
        known: String,
    },
    /// The peers' python.
    #[error("{python}: {problem}")]
    Peers {
        /// Which python.
        python: PathBuf,
        /// What is wrong, and the way out.
        problem: String,
    },
    /// A change of a record that cannot be made.
    #[error("{0}")]
    Intent(String),
    /// A record that cannot be read.
    #[error("{path}: not a record of benches: {problem}")]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl BenchError {
    /// Whether the measurement itself is wrong (a defect), in contrast to a machine that cannot do it.
    pub fn is_defect(&self) -> bool {
        matches!(self, Self::Disagrees { .. } | Self::Bins { .. } | Self::Incomplete { .. })
    }
}

/// Gives an error of the system the path that it is about.
pub(super) fn at<T>(path: &std::path::Path, result: io::Result<T>) -> Result<T, BenchError> {
    result.map_err(|cause| BenchError::File { path: path.to_path_buf(), cause })
}
