//! TIFF, EDF and npy files as a scan: one image a file, or many.
//!
//! ```text
//!   files ─Album─▶ pieces: images that lie one after the other in a file      the first usable file says what frames are
//!                    │
//!   ticket: number of an image ─reader─▶ pread ─▶ slot                        pixels as they are, or unpacked on the way
//! ```
//!
//! Of files with one image, as detectors write them by the thousand, the others are not opened before they are read. When the first
//! usable one has several, the headers of all are looked at, for how many there are. Frames are plain pixels
//! ([`Codec::Raw`](crate::frame::Codec::Raw)) of the file's own number type, bit for bit those of FabIO; only halves, which the
//! corridor has no word for, become `float32`, which holds all of them. gz and bz2 around a file are seen through.
mod list;
mod reader;
mod words;

use std::iter::StepBy;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use list::{Album, Chosen, Holds};
use reader::SeriesReader;

use crate::frame::{Origin, SlotPool};
use crate::source::{About, Frames, Next, Place, Reader, Source, SourceError, Ticket};

/// Images of a packed file that a ticket has: who reads it unpacks the file once.
const TOGETHER: usize = 32;

/// Why files are no series of images.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", path.display())]
pub struct SeriesError {
    /// The first of them.
    pub path: PathBuf,
    /// What is wrong with it.
    pub cause: String,
}

/// Images of TIFF, EDF or npy files, in order.
pub struct SeriesFrames {
    list: Arc<SeriesList>,
    files: Vec<PathBuf>,
    notes: Vec<String>,
}

/// What a source shares with its readers.
#[derive(Debug)]
struct SeriesList {
    album: Arc<Album>,
    chosen: Chosen,
    about: Arc<About>,
}

impl SeriesFrames {
    /// Whether files are such a series: the first one whose kind its first bytes tell is TIFF, EDF or npy.
    pub fn is_one(files: &[PathBuf]) -> bool {
        list::format_of_first(files).is_some()
    }

    /// All images of these files, of which some may be bad, but not all: the first usable one says what frames are.
    ///
    /// # Errors
    /// The first file's flaw when none is usable.
    pub fn open(files: &[PathBuf]) -> Result<SeriesFrames, SeriesError> {
        SeriesFrames::open_with(files, None)
    }

    /// The same, of whose headers one number is read whether it changes or not.
    ///
    /// # Errors
    /// As [`SeriesFrames::open`].
    pub fn open_with(files: &[PathBuf], also: Option<&str>) -> Result<SeriesFrames, SeriesError> {
        let album =
            Album::of(files, also).map_err(|(path, flaw)| SeriesError { path, cause: flaw.to_string() })?;
        let all = (0..album.count).step_by(1);
        Ok(SeriesFrames::some_of(Arc::new(album), all))
    }

    /// Some of them.
    pub fn selected(&self, wanted: StepBy<Range<usize>>) -> SeriesFrames {
        SeriesFrames::some_of(Arc::clone(&self.list.album), wanted)
    }

    fn some_of(album: Arc<Album>, wanted: StepBy<Range<usize>>) -> SeriesFrames {
        let chosen = Chosen::of(wanted);
        let (words, header) = album.words(&chosen);
        let about = About {
            encoding: album.encoding,
            undone: album.undone.map(Into::into),
            count: Some(chosen.count),
            slot_bytes: album.encoding.shape.pixels() * album.encoding.pixel.size(),
            columns: words.columns(),
            header,
            facts: words.facts(),
        };
        let files = album.files_of(&chosen);
        let notes = words.note().into_iter().collect();
        SeriesFrames { list: Arc::new(SeriesList { album, chosen, about: Arc::new(about) }), files, notes }
    }

    /// What is to be told of them, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Their format's name.
    pub fn format(&self) -> &'static str {
        self.list.album.format.name()
    }
}

impl Frames for SeriesFrames {
    fn about(&self) -> &Arc<About> {
        &self.list.about
    }

    fn count(&self) -> usize {
        self.list.chosen.count
    }

    fn files(&self) -> &[PathBuf] {
        &self.files
    }

    fn origin(&self, frame: usize) -> Origin {
        let number = self.list.chosen.number(frame);
        number.map_or(Origin::file(Path::new("")), |number| self.list.album.origin(number))
    }

    fn source(&self, frames: usize, _: bool) -> Box<dyn Source> {
        let about = Arc::new(About { count: Some(frames), ..(*self.list.about).clone() });
        Box::new(SeriesSource { list: Arc::clone(&self.list), about, count: frames, given: 0 })
    }
}

impl SeriesList {
    /// How many frames from the `which`-th on are read together.
    fn together(&self, which: usize) -> usize {
        let packed_in = |which| {
            let (piece, _) = self.album.find(self.chosen.number(which)?)?;
            matches!(&piece.holds, Holds::Images(images) if images.unpacked.is_some()).then_some(piece.file)
        };
        let Some(file) = packed_in(which) else { return 1 };
        (1..TOGETHER).find(|more| packed_in(which + more) != Some(file)).unwrap_or(TOGETHER)
    }
}

/// Lists images.
struct SeriesSource {
    list: Arc<SeriesList>,
    about: Arc<About>,
    /// Frames in all; more than there are images begin again at the first.
    count: usize,
    given: usize,
}

impl Source for SeriesSource {
    fn about(&mut self) -> Result<Option<Arc<About>>, SourceError> {
        Ok(Some(Arc::clone(&self.about)))
    }

    fn next(&mut self, _: &SlotPool) -> Result<Next, SourceError> {
        let all = self.list.chosen.count;
        if self.given >= self.count || all == 0 {
            return Ok(Next::End);
        }
        let (first, which) = (self.given, self.given % all);
        self.given += self.list.together(which).min(self.count - first);
        Ok(Next::Read(Ticket { ids: first..self.given, place: Place::Listed(which) }))
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(SeriesReader::new(Arc::clone(&self.list)))
    }

    fn again(&self) -> Option<Box<dyn Source>> {
        let (list, about) = (Arc::clone(&self.list), Arc::clone(&self.about));
        Some(Box::new(SeriesSource { list, about, count: self.count, given: 0 }))
    }
}
