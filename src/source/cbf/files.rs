//! A list of CBF files as a source: a file a frame.

use std::path::PathBuf;
use std::sync::Arc;

use super::{CbfError, CbfHeader, CbfReader, probe};
use crate::frame::{FrameId, SlotPool};
use crate::source::{About, Next, Reader, Source, SourceError, Ticket};

/// CBF files, in order.
pub struct CbfFiles {
    about: Arc<About>,
    files: Arc<[PathBuf]>,
    /// Frames in all; more than there are files begin again at the first.
    count: usize,
    given: usize,
    verify: bool,
}

impl CbfFiles {
    /// These files, whose first usable one has this header. With `verify`, frames carry the digest of their header.
    pub fn new(files: impl Into<Arc<[PathBuf]>>, first: &CbfHeader, verify: bool) -> CbfFiles {
        let files = files.into();
        let count = files.len();
        CbfFiles::laps(files, first, verify, count)
    }

    /// `count` frames, which begin again at the first file after the last.
    pub fn laps(files: impl Into<Arc<[PathBuf]>>, first: &CbfHeader, verify: bool, count: usize) -> CbfFiles {
        let files = files.into();
        let about = About {
            encoding: first.encoding,
            count: Some(count),
            slot_bytes: first.payload.end,
            header: first.frame.clone(),
        };
        CbfFiles { about: Arc::new(about), files, count, given: 0, verify }
    }

    /// Header of the first file that has a usable one.
    ///
    /// # Errors
    /// The first file's error when none has, with the number of files; `None` when there is no file.
    pub fn first_usable(files: &[PathBuf]) -> Result<CbfHeader, Option<CbfError>> {
        let mut first_error = None;
        for file in files {
            match probe(file) {
                Ok(header) => return Ok(header),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error)
    }
}

impl Source for CbfFiles {
    fn about(&mut self) -> Result<Option<Arc<About>>, SourceError> {
        Ok(Some(Arc::clone(&self.about)))
    }

    fn next(&mut self, _: &SlotPool) -> Result<Next, SourceError> {
        if self.given >= self.count || self.files.is_empty() {
            return Ok(Next::End);
        }
        let file = &self.files[self.given % self.files.len()];
        let id = FrameId(self.given);
        self.given += 1;
        Ok(Next::Read(Ticket::file(id, file.as_path())))
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(CbfReader::new(Some(self.about.encoding), self.verify))
    }
}
