//! What inputs name, found: frames that can be walked any number of times.
//!
//! What the files are is known by the first bytes of the first one that can be opened, not by names. The others must be of the same
//! kind: one that is not is a bad frame among good ones.

use std::path::PathBuf;
use std::sync::Arc;

use super::Frames;
use super::cbf::CbfFrames;
use super::hdf5::{Hdf5Frames, is_hdf5, split_name};
use super::listing::{Listing, ListingError, list};
use super::selection::{NoneWanted, PartRange, Selection, WantedNumbers};
use super::series::SeriesFrames;

/// Frames, and how they were found.
pub struct Input {
    /// What kind of files they are in.
    pub format: &'static str,
    /// The frames that are wanted.
    pub frames: Arc<dyn Frames>,
    /// Which of all that were found the first one is.
    pub first: usize,
    /// How many were found.
    pub found: usize,
    /// Where they lie in the whole, if they are a part of one.
    pub part: Option<PartRange>,
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
    #[error("{selection} leaves nothing of {count} frames")]
    NothingLeft { selection: Selection, count: usize },
    /// There would be parts without a frame.
    #[error("--part: {} {most} parts at most", parts_of(*.line))]
    TooManyParts { line: usize, most: usize },
    /// A channel of images that have none.
    #[error("--channel {channel}: only images in HDF5 files have channels")]
    NoChannels { channel: usize },
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
    /// Finds the frames that `inputs` name: files, folders, globs, `@list.txt` (see [`listing`](super::listing)), and takes those that
    /// are wanted. `number` names one of their headers that is read, too, where there is no column of all of them.
    ///
    /// # Errors
    /// [`InputError`].
    pub fn open(inputs: &[String], selection: Selection, number: Option<&str>) -> Result<Input, InputError> {
        let Listing { files, mut notes } = list(inputs)?;
        let wanted = |count| {
            selection.of(count).map_err(|none| match none {
                NoneWanted::NothingLeft => InputError::NothingLeft { selection, count },
                NoneWanted::TooManyParts { most } => InputError::TooManyParts { line: selection.line, most },
            })
        };
        if files.iter().find(|file| split_name(file).0.exists()).is_some_and(|first| is_hdf5(first)) {
            let all = Hdf5Frames::open(&files, selection.channel)
                .map_err(|error| InputError::NoFrame(error.into()))?;
            notes.extend(all.notes().iter().cloned());
            let WantedNumbers { numbers, part } = wanted(all.count())?;
            let first = numbers.clone().next().unwrap_or(0);
            let found = all.count();
            let (files, frames) = (all.files().to_vec(), Arc::new(all.selected(numbers)));
            return Ok(Input { format: "HDF5", frames, first, found, part, files, notes });
        }
        if let Some(channel) = selection.channel {
            return Err(InputError::NoChannels { channel });
        }
        if SeriesFrames::is_one(&files) {
            let all = SeriesFrames::open_with(&files, number)
                .map_err(|first| no_frames(files.len(), first.into()))?;
            let WantedNumbers { numbers, part } = wanted(all.count())?;
            let (format, found, first) = (all.format(), all.count(), numbers.clone().next().unwrap_or(0));
            let frames = Arc::new(all.selected(numbers));
            notes.extend_from_slice(frames.notes());
            return Ok(Input { format, frames, first, found, part, files, notes });
        }
        let WantedNumbers { numbers, part } = wanted(files.len())?;
        let first = numbers.clone().next().unwrap_or(0);
        let left: Vec<PathBuf> = numbers.map(|n| files[n].clone()).collect();
        let frames =
            CbfFrames::open_with(&left, number).map_err(|first| no_frames(left.len(), first.into()))?;
        let found = files.len();
        Ok(Input { format: "CBF", frames: Arc::new(frames), first, found, part, files, notes })
    }
}

/// What can be shared out.
fn parts_of(line: usize) -> String {
    match line {
        0 | 1 => "these frames make".to_owned(),
        line => format!("in whole lines ({line} frames stay together) these frames make"),
    }
}

/// What is said of files of which none is usable.
fn no_frames(count: usize, first: Box<dyn std::error::Error + Send + Sync>) -> InputError {
    match count {
        1 => InputError::NoFrame(first),
        count => InputError::NoFrames { count, first },
    }
}
