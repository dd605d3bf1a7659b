//! A list of CBF files as a source: a file a frame.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{CbfError, CbfHeader, CbfReader, mini, probe};
use crate::frame::{Column, Digest, FrameId, Origin, SlotPool};
use crate::source::{About, Frames, Next, Reader, Source, SourceError, Ticket};

/// CBF files, in order.
pub struct CbfFrames {
    about: Arc<About>,
    files: Arc<[PathBuf]>,
}

impl CbfFrames {
    /// These files, of which some may be bad, but not all: the first usable one says what frames are.
    ///
    /// # Errors
    /// The first file's error when none is usable.
    pub fn open(files: &[PathBuf]) -> Result<CbfFrames, CbfError> {
        CbfFrames::open_with(files, None)
    }

    /// The same, of whose headers one number more is read: what follows this key.
    ///
    /// # Errors
    /// As [`CbfFrames::open`].
    pub fn open_with(files: &[PathBuf], also: Option<&str>) -> Result<CbfFrames, CbfError> {
        let first = first_usable(files)?;
        let mut frames = CbfFrames::new(files, &first);
        let about = Arc::make_mut(&mut frames.about);
        about.columns = mini::columns_with(also);
        let number = |column: &Column| first.mini.leading(&column.name).unwrap_or(f64::NAN);
        let known = about.header.numbers.len();
        about.header.numbers.extend(about.columns.iter().skip(known).map(number));
        Ok(frames)
    }

    /// These files, whose first usable one has this header.
    pub fn new(files: impl Into<Arc<[PathBuf]>>, first: &CbfHeader) -> CbfFrames {
        let files = files.into();
        let about = About {
            encoding: first.encoding,
            undone: None,
            count: Some(files.len()),
            slot_bytes: first.payload.end,
            columns: mini::columns(),
            header: first.frame.clone(),
            facts: first.mini.facts(),
        };
        CbfFrames { about: Arc::new(about), files }
    }
}

impl Frames for CbfFrames {
    fn about(&self) -> &Arc<About> {
        &self.about
    }

    fn count(&self) -> usize {
        self.files.len()
    }

    fn files(&self) -> &[PathBuf] {
        &self.files
    }

    fn origin(&self, frame: usize) -> Origin {
        Origin::file(self.files.get(frame).map_or(Path::new(""), PathBuf::as_path))
    }

    fn written_digest(&self, frame: usize) -> Option<Digest> {
        probe(self.files.get(frame)?).ok()?.md5
    }

    fn source(&self, frames: usize, verify: bool) -> Box<dyn Source> {
        let about = Arc::new(About { count: Some(frames), ..(*self.about).clone() });
        Box::new(CbfSource { about, files: Arc::clone(&self.files), count: frames, given: 0, verify })
    }
}

/// Header of the first file that has a usable one.
fn first_usable(files: &[PathBuf]) -> Result<CbfHeader, CbfError> {
    let first = probe(files.first().map_or(Path::new(""), PathBuf::as_path));
    let mut others = files.iter().skip(1);
    first.or_else(|error| others.find_map(|file| probe(file).ok()).ok_or(error))
}

/// Lists files.
struct CbfSource {
    about: Arc<About>,
    files: Arc<[PathBuf]>,
    /// Frames in all; more than there are files begin again at the first.
    count: usize,
    given: usize,
    verify: bool,
}

impl Source for CbfSource {
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
        Box::new(
            CbfReader::new(Some(self.about.encoding), self.verify).reading(Arc::clone(&self.about.columns)),
        )
    }

    fn again(&self) -> Option<Box<dyn Source>> {
        let (about, files) = (Arc::clone(&self.about), Arc::clone(&self.files));
        Some(Box::new(CbfSource { about, files, given: 0, ..*self }))
    }
}
