//! Images in HDF5 files: DECTRIS masters and data files, NXmx, virtual datasets, LImA, BLISS, areaDetector, plain stacks.
//!
//! ```text
//!   file.h5[::/path] ─find─▶ datasets ─index─▶ a list of frames: part, frame      once, through a child process (crate::h5)
//!                                                  │
//!   ticket: number in the list ─reader─▶ pread ─▶ slot                            each frame, without the library
//! ```
//!
//! The library says once where everything is: which datasets are the images (`find`), of which others a virtual one is made
//! (`index`), where the chunks of each lie and what they went through (`stack`). After that frames are read as those of any other
//! file, by as many readers as there are. A chunk that is one frame is handed on packed; what the corridor has no word for (gzip,
//! several frames a chunk, frames in pieces, pixels of the other byte order) a reader unpacks (`pipeline`); what only the library
//! reads it reads in a child, and a note says so.
//!
//! Frames that cannot be read are bad frames, each with its place: the file of a link is not there, the file ends before the chunk
//! does, the chunk does not unpack. So is a frame that nobody wrote: what the library would give for it, the fill value, is
//! no measurement, and a mean over such frames would be wrong without a word.
mod facts;
mod find;
mod index;
mod list;
mod master;
mod numbers;
mod pipeline;
mod placement;
mod reader;
mod shelf;
mod stack;
mod values;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use index::FramePlace;
use list::{List, list};
pub use master::BareMaster;
use reader::ListReader;
use shelf::Shelf;

use crate::files;
use crate::frame::{Origin, SlotPool};
use crate::h5::Opener;
use crate::source::{About, Frames, Next, Place, Reader, Source, SourceError, Ticket};

/// The first bytes of an HDF5 file without a user block.
const MAGIC: [u8; 8] = *b"\x89HDF\r\n\x1a\n";

/// Images of HDF5 files.
#[derive(Debug, Clone)]
pub struct Hdf5Frames {
    list: Arc<List>,
    files: Arc<[PathBuf]>,
    notes: Arc<[String]>,
}

impl Hdf5Frames {
    /// The images of these files, in this order: `file.h5`, or `file.h5::/path` for a dataset or a group. Of images with several
    /// channels (thresholds of a DECTRIS detector) one is taken, the first unless another is named.
    ///
    /// # Errors
    /// When there are no images, several datasets might be the images, or they are stored in a way that is not read.
    pub fn open(inputs: &[PathBuf], channel: Option<usize>) -> Result<Hdf5Frames, SourceError> {
        Hdf5Frames::opened_by(Opener::default(), inputs, channel)
    }

    /// The same, with files that `opener` opens.
    ///
    /// # Errors
    /// As [`Hdf5Frames::open`].
    pub fn opened_by(
        opener: Opener,
        inputs: &[PathBuf],
        channel: Option<usize>,
    ) -> Result<Hdf5Frames, SourceError> {
        let mut shelf = Shelf::new(opener);
        let listed = list(&mut shelf, inputs, channel);
        let list = listed
            .map_err(|lost| SourceError { origin: lost.file.display().to_string(), cause: lost.why })?;
        Ok(Hdf5Frames { files: list.files(), list: Arc::new(list), notes: shelf.into_notes().into() })
    }

    /// Those of them that are wanted, in this order.
    pub fn selected(&self, wanted: impl Iterator<Item = usize>) -> Hdf5Frames {
        let wanted: Vec<usize> = wanted.filter(|frame| *frame < self.list.places.len()).collect();
        let places: Vec<FramePlace> = wanted.iter().map(|frame| self.list.places[*frame]).collect();
        let numbers = self.list.numbers.selected(wanted.into_iter());
        let header = numbers.header(0);
        let about = About { count: Some(places.len()), header, ..(*self.list.about).clone() };
        let list = List { parts: Arc::clone(&self.list.parts), places, numbers, about: Arc::new(about) };
        Hdf5Frames { files: list.files(), list: Arc::new(list), notes: Arc::clone(&self.notes) }
    }

    /// What is to be told of them, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl Frames for Hdf5Frames {
    fn about(&self) -> &Arc<About> {
        &self.list.about
    }

    fn count(&self) -> usize {
        self.list.places.len()
    }

    fn files(&self) -> &[PathBuf] {
        &self.files
    }

    fn origin(&self, frame: usize) -> Origin {
        self.list.places.get(frame).map_or(Origin::file(Path::new("")), |place| self.list.origin(*place))
    }

    fn source(&self, frames: usize, _: bool) -> Box<dyn Source> {
        let about = Arc::new(About { count: Some(frames), ..(*self.list.about).clone() });
        Box::new(Hdf5Source { list: Arc::clone(&self.list), about, count: frames, given: 0 })
    }
}

/// Lists the images of HDF5 files.
struct Hdf5Source {
    list: Arc<List>,
    about: Arc<About>,
    count: usize,
    given: usize,
}

impl Source for Hdf5Source {
    fn about(&mut self) -> Result<Option<Arc<About>>, SourceError> {
        Ok(Some(Arc::clone(&self.about)))
    }

    fn next(&mut self, _: &SlotPool) -> Result<Next, SourceError> {
        let all = self.list.places.len();
        if self.given >= self.count || all == 0 {
            return Ok(Next::End);
        }
        let (first, listed) = (self.given, self.given % all);
        // Frames of one chunk are read together.
        let together = self.list.together(listed).min(self.count - self.given);
        self.given += together;
        Ok(Next::Read(Ticket { ids: first..self.given, place: Place::Listed(listed) }))
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(ListReader::new(Arc::clone(&self.list)))
    }

    fn again(&self) -> Option<Box<dyn Source>> {
        let (list, about) = (Arc::clone(&self.list), Arc::clone(&self.about));
        Some(Box::new(Hdf5Source { list, about, given: 0, ..*self }))
    }
}

/// Whether a file is one, by its first bytes, or by those after a block of a user's own.
pub fn is_hdf5(path: &Path) -> bool {
    const LAST: usize = 64 << 10;
    let Ok(start) = files::start(split_name(path).0, LAST + MAGIC.len()) else { return false };
    let places = std::iter::once(0).chain(std::iter::successors(Some(512), |place| Some(place * 2)));
    places
        .take_while(|&place| place <= LAST)
        .any(|place| start.get(place..).is_some_and(|at| at.starts_with(&MAGIC)))
}

/// `file.h5::/path` as a file and a name in it; a file that is called so is that file.
pub fn split_name(input: &Path) -> (&Path, Option<&str>) {
    match input.to_str().and_then(|text| text.split_once("::")) {
        Some((file, name)) if !input.exists() => (Path::new(file), Some(name)),
        _ => (input, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_after_two_colons_is_a_dataset() {
        let split = |text: &'static str| split_name(Path::new(text));
        assert_eq!(split("a.h5::/entry/data"), (Path::new("a.h5"), Some("/entry/data")));
        assert_eq!(split("a.h5"), (Path::new("a.h5"), None));
    }
}
