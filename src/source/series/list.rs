//! Which images a list of files has, and where each is.

use std::iter::StepBy;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::words::{Words, frame_header};
use crate::budget;
use crate::files;
use crate::frame::{Codec, Column, Encoding, FrameHeader, FrameStatus, Origin};
use crate::source::plain::{Content, Flaw, Format, Packed, Picture, PixelStorage, Says, edf_header, look};

/// What may be read of a file to tell its kind.
const BEGINNING: usize = 4096;

/// The kind of the first of these files whose kind the first bytes tell, when it is one of those that are read here.
pub(super) fn format_of_first(files: &[PathBuf]) -> Option<Format> {
    for file in files {
        let Ok(start) = files::start(file, BEGINNING) else { continue };
        let start = match Packed::of(&start) {
            // bzip2 gives nothing before a whole block of 900 kB at most.
            Some(packed) => packed.beginning(&files::start(file, 1 << 20).unwrap_or_default(), 64),
            None => start,
        };
        match Format::of(&start) {
            Some(format) => return Some(format),
            None if start.is_empty() => {}
            None => return None,
        }
    }
    None
}

/// Which images there are.
#[derive(Debug)]
pub(super) struct Album {
    pub(super) format: Format,
    pub(super) encoding: Encoding,
    /// What the first image is packed with, if it is.
    pub(super) undone: Option<&'static str>,
    pub(super) files: Arc<[PathBuf]>,
    pieces: Vec<SeriesPart>,
    /// Images in all.
    pub(super) count: usize,
    /// What the headers say; nothing yet when files of one image are looked at when they are read.
    seen: Option<Words>,
    /// A number of the headers that is asked for.
    also: Option<Arc<str>>,
    /// The first file that is usable.
    usable: usize,
}

/// Images that lie together.
#[derive(Debug)]
pub(super) struct SeriesPart {
    /// Which file.
    pub(super) file: usize,
    /// Number of the first image of all.
    first: usize,
    pub(super) holds: Holds,
}

/// What is known of a piece.
#[derive(Debug)]
pub(super) enum Holds {
    /// One image, in a file that is looked at when it is read.
    Unseen,
    /// Images, one after the other.
    Images(Box<Stretch>),
    /// One that cannot be used.
    Bad(FrameStatus, String),
}

/// Images that lie one after the other in a file.
#[derive(Debug)]
pub(super) struct Stretch {
    /// The first.
    pub(super) picture: Picture,
    /// How many.
    pub(super) count: usize,
    /// Number of the first in its file.
    pub(super) first: usize,
    /// Where their header is, or what it said.
    pub(super) said: Said,
    /// Length of the file, unpacked, when it is packed.
    pub(super) unpacked: Option<u64>,
}

/// What a header said, or where it stands.
#[derive(Debug)]
pub(super) enum Said {
    Here(FrameHeader),
    Edf(u64),
}

/// How frames of that picture are handed on.
///
/// # Errors
/// When it has no pixels, or more than a number can say.
pub(super) fn encoding_of(picture: &Picture) -> Result<Encoding, Flaw> {
    let shape = picture.shape;
    let bytes = shape.slow.checked_mul(shape.fast).and_then(|pixels| pixels.checked_mul(8));
    match bytes.filter(|bytes| isize::try_from(*bytes).is_ok()) {
        None => Err(format!("its dimensions {shape} are too large").into()),
        Some(0) => Err(format!("it has no pixels: {shape}").into()),
        Some(_) => Ok(Encoding { codec: Codec::Raw, pixel: picture.number.pixel(), shape }),
    }
}

/// The format of a file, which must be the series'.
pub(super) fn format_of(content: &Content, wanted: Option<Format>) -> Result<Format, Flaw> {
    if content.length() == 0 {
        return Err("the file is empty; is it still being written, or was the disk full?".into());
    }
    match (Format::of(content.start()), wanted) {
        (None, _) => Err("this is neither TIFF, EDF nor NumPy".into()),
        (Some(found), Some(wanted)) if found != wanted => {
            Err(format!("this is {}, but this run's frames are {}", found.name(), wanted.name()).into())
        }
        (Some(found), _) => Ok(found),
    }
}

/// What the first image of a file is, and whether the file has more.
struct FirstImage {
    format: Format,
    encoding: Encoding,
    undone: Option<&'static str>,
    has_more: bool,
}

fn first_image(path: &Path) -> Result<FirstImage, Flaw> {
    let content = Content::open(path, budget::allowed().bytes)?;
    let format = format_of(&content, None)?;
    let packed = content.packed().map(Packed::name);
    let (mut first, mut count) = (None, 0_usize);
    let looked = look(&content, format, &mut |found| {
        if first.is_none() {
            first = Some((encoding_of(&found.picture)?, packed.or(found.picture.pixels.packing())));
        }
        count = count.saturating_add(found.images);
        Ok(count < 2)
    });
    match first.filter(|_| count > 0) {
        Some((encoding, undone)) => {
            Ok(FirstImage { format, encoding, undone, has_more: count > 1 || looked.is_err() })
        }
        None => Err(looked.err().unwrap_or_else(|| "it has no images".into())),
    }
}

impl Album {
    /// The images of these files: the first usable one says what they are. `also` names a number of their headers that is asked for.
    ///
    /// # Errors
    /// The first file's flaw when none is usable.
    pub(super) fn of(files: &[PathBuf], also: Option<&str>) -> Result<Album, (PathBuf, Flaw)> {
        let mut error = None;
        for (usable, file) in files.iter().enumerate() {
            match first_image(file) {
                Ok(first) => return Ok(Album::like(&first, files, usable, also)),
                Err(flaw) => error = error.or(Some((file.clone(), flaw))),
            }
        }
        Err(error.unwrap_or_else(|| (PathBuf::new(), "there are no files".into())))
    }

    fn like(first: &FirstImage, files: &[PathBuf], usable: usize, also: Option<&str>) -> Album {
        let &FirstImage { format, encoding, undone, has_more } = first;
        let mut album = Album {
            format,
            encoding,
            undone,
            files: files.into(),
            pieces: Vec::with_capacity(files.len()),
            count: 0,
            seen: None,
            also: also.map(Into::into),
            usable,
        };
        if !has_more {
            (0..files.len()).for_each(|file| album.push(file, Holds::Unseen));
            return album;
        }
        let mut words = Words::asking(album.also.clone());
        for file in 0..files.len() {
            album.look_at(file, &mut words);
        }
        album.seen = Some(words);
        album
    }

    fn push(&mut self, file: usize, holds: Holds) {
        let count = match &holds {
            Holds::Images(images) => images.count,
            Holds::Unseen | Holds::Bad(..) => 1,
        };
        self.pieces.push(SeriesPart { file, first: self.count, holds });
        self.count = self.count.saturating_add(count);
    }

    /// Looks at every header of a file. A flaw is one bad frame, after the images before it.
    fn look_at(&mut self, file: usize, words: &mut Words) {
        let mut found_here = 0_usize;
        let done = Content::open(&self.files[file], budget::allowed().bytes).and_then(|content| {
            let unpacked = content.packed().map(|_| content.length());
            let format = format_of(&content, Some(self.format))?;
            look(&content, format, &mut |found| {
                words.see(&found.says);
                if found.images > 0 {
                    let said = match &found.says {
                        Says::Edf { at, .. } => Said::Edf(*at),
                        says => Said::Here(frame_header(says, &words.columns())),
                    };
                    let (picture, count, first) = (found.picture, found.images, found_here);
                    let images = Stretch { picture, count, first, said, unpacked };
                    self.push(file, Holds::Images(Box::new(images)));
                    found_here = found_here.saturating_add(count);
                }
                Ok(true)
            })
        });
        match done {
            Err(flaw) => self.push(file, Holds::Bad(flaw.status(), flaw.to_string())),
            Ok(()) if found_here == 0 => {
                self.push(file, Holds::Bad(FrameStatus::BadHeader, "it has no images".into()));
            }
            Ok(()) => {}
        }
    }

    /// The piece that an image is in, and which of its images it is.
    pub(super) fn find(&self, number: usize) -> Option<(&SeriesPart, usize)> {
        if number >= self.count {
            return None;
        }
        let behind = self.pieces.partition_point(|piece| piece.first <= number);
        let piece = self.pieces.get(behind.checked_sub(1)?)?;
        Some((piece, number - piece.first))
    }

    /// Where an image comes from.
    pub(super) fn origin(&self, number: usize) -> Origin {
        let Some((piece, at)) = self.find(number) else { return Origin::file(Path::new("")) };
        let image = match &piece.holds {
            Holds::Images(images) => Some(images.first + at),
            Holds::Unseen | Holds::Bad(..) => None,
        };
        Origin { file: self.files[piece.file].as_path().into(), image }
    }

    /// The files of some images, each once.
    pub(super) fn files_of(&self, wanted: &Chosen) -> Vec<PathBuf> {
        let mut last = None;
        let mut files = Vec::new();
        for (at, piece) in self.pieces.iter().enumerate() {
            let end = self.pieces.get(at + 1).map_or(self.count, |next| next.first);
            if last != Some(piece.file) && wanted.has_of(&(piece.first..end)) {
                last = Some(piece.file);
                files.push(self.files[piece.file].clone());
            }
        }
        files
    }

    /// What the headers of some images say, as far as they are looked at, and that of the first.
    pub(super) fn words(&self, wanted: &Chosen) -> (Words, FrameHeader) {
        if let Some(words) = &self.seen {
            let first = wanted.number(0).and_then(|number| self.header(number, &words.columns()));
            return (words.clone(), first.unwrap_or_default());
        }
        let count = wanted.count;
        // A motor that goes back and forth may be at the last frame where it was at the first.
        let mut samples = vec![0, 1, count / 2, count.saturating_sub(1)];
        samples.sort_unstable();
        samples.dedup();
        if self.format != Format::Edf {
            samples.truncate(1);
        }
        let of_file = |file: usize| self.files.get(file).and_then(|path| says(path, self.format).ok());
        let file = |sample| Some(self.find(wanted.number(sample)?)?.0.file);
        let samples = samples.into_iter().filter(|sample| *sample < count).filter_map(file);
        let mut said: Vec<Says> = samples.filter_map(of_file).collect();
        if said.is_empty() {
            said.extend(of_file(self.usable));
        }
        let mut words = Words::asking(self.also.clone());
        said.iter().for_each(|says| words.see(says));
        let header = said.first().map(|says| frame_header(says, &words.columns()));
        (words, header.unwrap_or_default())
    }

    /// What the header of an image says that was looked at before.
    fn header(&self, number: usize, columns: &[Column]) -> Option<FrameHeader> {
        let (piece, _) = self.find(number)?;
        let Holds::Images(images) = &piece.holds else { return None };
        match &images.said {
            Said::Here(header) => Some(header.clone()),
            Said::Edf(at) => {
                let content = Content::open(&self.files[piece.file], budget::allowed().bytes).ok()?;
                let header = edf_header(&content, *at).ok()?;
                Some(super::words::edf_frame(&header, columns))
            }
        }
    }
}

/// What the first header of a file says.
fn says(path: &Path, format: Format) -> Result<Says, Flaw> {
    let content = Content::open(path, budget::allowed().bytes)?;
    let mut said = None;
    look(&content, format_of(&content, Some(format))?, &mut |found| {
        said = Some(found.says);
        Ok(false)
    })?;
    said.ok_or_else(|| "it has no images".into())
}

/// Images that are wanted of all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chosen {
    first: usize,
    step: usize,
    pub(super) count: usize,
}

impl Chosen {
    pub(super) fn of(mut wanted: StepBy<Range<usize>>) -> Chosen {
        let count = wanted.len();
        let first = wanted.next().unwrap_or(0);
        Chosen { first, step: wanted.next().map_or(1, |second| second - first), count }
    }

    /// Which of all images one of them is.
    pub(super) fn number(&self, which: usize) -> Option<usize> {
        (which < self.count).then(|| self.first + self.step * which)
    }

    /// Whether one of them is in a range of all images.
    fn has_of(&self, range: &Range<usize>) -> bool {
        let which = range.start.saturating_sub(self.first).div_ceil(self.step);
        self.number(which).is_some_and(|number| range.contains(&number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_images_are_found_by_arithmetic() {
        for (range, step) in [(0..10, 1), (3..10, 2), (0..10, 4), (9..10, 3), (2..3, 1)] {
            let chosen = Chosen::of(range.clone().step_by(step));
            let numbers: Vec<usize> = range.step_by(step).collect();
            let all: Vec<usize> = (0..).map_while(|which| chosen.number(which)).collect();
            assert_eq!(all, numbers);
            for start in 0..12 {
                for end in start..12 {
                    let range = start..end;
                    assert_eq!(chosen.has_of(&range), numbers.iter().any(|n| range.contains(n)), "{range:?}");
                }
            }
        }
    }
}
