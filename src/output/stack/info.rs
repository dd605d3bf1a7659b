//! Reads back what a stack says of itself. The frames are not read.
use std::path::{Path, PathBuf};

use crate::frame::FrameStatus;
use crate::h5;
use crate::output::result::{Progress, opened};
use crate::output::{OutputError, nexus};

/// What a stack of `xrdct convert` holds, without its frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackInfo {
    /// The file.
    pub path: PathBuf,
    /// Program and version that wrote it.
    pub program: String,
    /// When the run began and ended, ISO 8601; empty while it runs.
    pub times: [String; 2],
    /// How far the run came that wrote it.
    pub progress: Progress,
    /// Frames, slow, fast.
    pub shape: Vec<usize>,
    /// Type of a pixel, as numpy spells it.
    pub pixel: String,
    /// Level of the gzip filter, if it is compressed.
    pub gzip: Option<u8>,
    /// Bytes that the frames take in the file.
    pub stored: u64,
    /// Number of frames of each status, only those that occur.
    pub statuses: Vec<(FrameStatus, usize)>,
    /// Messages of bad frames.
    pub bad_frames: Vec<String>,
    /// The input files.
    pub inputs: Vec<String>,
}

impl StackInfo {
    /// Whether an HDF5 file looks like a stack of ours.
    pub fn is_one(file: &h5::File) -> bool {
        file.link_exists("entry_0000/data/data")
            && file
                .group("entry_0000")
                .and_then(|entry| nexus::read_text(&entry, "title"))
                .is_ok_and(|t| t == super::TITLE)
    }

    /// Reads what a stack says of itself.
    ///
    /// # Errors
    /// [`OutputError::Io`] when it cannot be read, [`OutputError::NotAResult`] when it is something else.
    pub fn open(path: &Path) -> Result<StackInfo, OutputError> {
        of(path, &opened(path)?)
    }
}

/// The same of a file that is open.
pub(super) fn of(path: &Path, file: &h5::File) -> Result<StackInfo, OutputError> {
    let not = |problem: String| OutputError::NotAResult { path: path.into(), problem };
    if !StackInfo::is_one(file) {
        return Err(not("there is no /entry_0000/data/data of `xrdct convert` in it".into()));
    }
    read(path, file).map_err(|cause| not(format!("a part of the stack is missing or different ({cause})")))
}

fn read(path: &Path, file: &h5::File) -> h5::Result<StackInfo> {
    let entry = file.group("entry_0000")?;
    let frames = entry.dataset("data/data")?;
    let statuses: Vec<u8> = entry.dataset("frame_status")?.read_raw()?;
    let count = |status: FrameStatus| statuses.iter().filter(|&&s| s == status as u8).count();
    let progress = match entry.link_exists("status") {
        true => {
            let (word, message) = (nexus::read_text(&entry, "status")?, nexus::read_text(&entry, "message")?);
            Progress::parse(&word, || message)
                .ok_or_else(|| h5::Error::from(format!("its status is `{word}`")))?
        }
        // Earlier versions gave a stack its name at the end.
        false => Progress::Complete,
    };
    Ok(StackInfo {
        path: path.into(),
        progress,
        program: nexus::read_text(&entry, "program_name")?,
        times: [nexus::read_text(&entry, "start_time")?, nexus::read_text(&entry, "end_time")?],
        shape: frames.shape(),
        pixel: frames.facts().type_name.clone(),
        gzip: frames.facts().gzip,
        stored: frames.facts().stored,
        statuses: FrameStatus::ALL.into_iter().map(|s| (s, count(s))).filter(|(_, n)| *n > 0).collect(),
        bad_frames: nexus::read_texts(&entry, "bad_frames")?,
        inputs: nexus::read_texts(&entry, "input/file_names")?,
    })
}
