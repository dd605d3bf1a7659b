//! What an earlier run left of a stack, complete or not, for one that goes on with it.
//!
//! A child process asks the HDF5 library where things are; images are read without it, each compared with its checksum.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::Value;

use super::info::{self, StackInfo};
use crate::files;
use crate::frame::FrameStatus;
use crate::h5;
use crate::output::OutputError;
use crate::output::nexus::{self, ReservedBytes};
use crate::output::result::{FileStamp, opened, read_message, read_stamps};

/// An earlier run's stack, open.
#[derive(Debug)]
pub struct EarlierStack {
    /// What it says of itself.
    pub info: StackInfo,
    /// Its run.
    pub uuid: String,
    /// What decided its images beside the files.
    pub recipe: Value,
    /// What its input files were.
    pub stamps: Vec<FileStamp>,
    pub(super) file: File,
    /// Where its images are.
    pub(super) images: ReservedBytes,
    /// One a frame.
    statuses: Vec<u8>,
    pub(super) crcs: Vec<u32>,
    messages: BTreeMap<usize, String>,
}

impl EarlierStack {
    /// Opens a stack of this program, or what is left of one.
    ///
    /// # Errors
    /// [`OutputError::Io`] when it cannot be read; [`OutputError::NotAResult`] when it is something else, or compressed.
    pub fn open(path: &Path) -> Result<EarlierStack, OutputError> {
        let not = |problem: String| OutputError::NotAResult { path: path.into(), problem };
        let unread = |cause| OutputError::Io { path: path.into(), action: "opening the file", cause };
        let here = files::open(path).map_err(unread)?;
        let file = opened(path)?;
        let info = info::of(path, &file)?;
        let part =
            |name: &'static str| move |e: h5::Error| not(format!("{name} is missing or different ({e})"));
        let entry = file.group("entry_0000").map_err(part("entry_0000"))?;
        let text = |name: &'static str| nexus::read_text(&entry, name).map_err(part(name));
        if info.gzip.is_some() {
            return Err(not("its images are compressed, and one of those is not gone on with".into()));
        }
        let images = entry.dataset("data/data").map_err(part("data/data"))?;
        let place = images.facts().place.map(|(offset, bytes)| ReservedBytes { offset, bytes });
        let crcs = entry.dataset("image_crc").and_then(|crcs| crcs.read_raw()).map_err(part("image_crc"))?;
        let earlier = EarlierStack {
            uuid: text("entry_identifier_uuid")?,
            recipe: serde_json::from_str(&text("recipe")?).unwrap_or_default(),
            stamps: read_stamps(&entry).map_err(part("input"))?,
            file: here,
            images: place.ok_or_else(|| not("its images do not lie together".into()))?,
            statuses: entry
                .dataset("frame_status")
                .and_then(|statuses| statuses.read_raw())
                .map_err(part("frame_status"))?,
            crcs,
            messages: info.bad_frames.iter().filter_map(|line| read_message(line)).collect(),
            info,
        };
        let frames = earlier.info.shape.first().copied().unwrap_or_default();
        match earlier.crcs.len() == frames && earlier.statuses.len() == frames {
            true => Ok(earlier),
            false => Err(not("image_crc and frame_status do not have its number of frames".into())),
        }
    }

    /// What became of a frame.
    pub fn status(&self, frame: usize) -> Option<FrameStatus> {
        let status = self.statuses.get(frame)?;
        FrameStatus::ALL.into_iter().find(|known| *known as u8 == *status)
    }

    /// Why a frame is bad.
    pub(super) fn message(&self, frame: usize) -> Option<&str> {
        self.messages.get(&frame).map(String::as_str)
    }

    /// Frames of a kind.
    pub fn count(&self, wanted: impl Fn(FrameStatus) -> bool) -> usize {
        self.info.statuses.iter().filter(|(status, _)| wanted(*status)).map(|(_, count)| count).sum()
    }

    /// Bad frames.
    pub fn bad(&self) -> usize {
        self.count(|status| !matches!(status, FrameStatus::Good | FrameStatus::Pending))
    }

    /// Whether an image is what its checksum says; reads it. One that the file does not reach is not.
    pub(super) fn is_whole(&self, frame: usize, image: &mut [u8]) -> io::Result<bool> {
        let place = self.images.offset.saturating_add((frame * image.len()) as u64);
        match self.file.read_exact_at(image, place) {
            Ok(()) => Ok(crc32fast::hash(image) == self.crcs[frame]),
            Err(short) if short.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}
