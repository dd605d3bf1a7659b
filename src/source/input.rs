//! What inputs name, found: frames that can be walked any number of times.
//!
//! What the files are is known by the first bytes of the first one that can be opened, not by names. The others must be of the same
//! kind: one that is not is a bad frame among good ones.

use std::path::PathBuf;
use std::sync::Arc;

use super::Frames;
use super::cbf::CbfFrames;
use super::listing::{Listing, ListingError, list};

/// Frames, and how they were found.
pub struct Input {
    /// The frames that are wanted.
    pub frames: Arc<dyn Frames>,
    /// Every file that was named, those of frames that are left out too.
    pub files: Vec<PathBuf>,
    /// What somebody should know, a line each.
    pub notes: Vec<String>,
}

/// Why inputs give no frames.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum InputError {
    /// What was named is not there.
    #[error(transparent)]
    Listing(#[from] ListingError),
    /// So many left out, and nothing stays.
    #[error("--offset {offset} leaves nothing of {count} frames")]
    NothingLeft { offset: usize, count: usize },
    /// The only file is no frame that can be used.
    #[error(transparent)]
    NoFrame(Box<dyn std::error::Error + Send + Sync>),
    /// No file is.
    #[error("none of the {count} frames can be read; the first")]
    NoFrames {
        count: usize,
        #[source]
        first: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Input {
    /// Finds the frames that `inputs` name: files, folders, globs, `@list.txt` (see [`listing`](super::listing)); the first `offset`
    /// frames are left out.
    ///
    /// # Errors
    /// [`InputError`].
    pub fn open(inputs: &[String], offset: usize) -> Result<Input, InputError> {
        let Listing { files, notes } = list(inputs)?;
        let left = left(&files, offset)?;
        let frames = CbfFrames::open(left).map_err(|first| match (left.len(), first.into()) {
            (1, error) => InputError::NoFrame(error),
            (count, first) => InputError::NoFrames { count, first },
        })?;
        Ok(Input { frames: Arc::new(frames), files, notes })
    }
}

/// What an offset leaves.
fn left(all: &[PathBuf], offset: usize) -> Result<&[PathBuf], InputError> {
    let left = all.get(offset..).filter(|left| !left.is_empty());
    left.ok_or(InputError::NothingLeft { offset, count: all.len() })
}
