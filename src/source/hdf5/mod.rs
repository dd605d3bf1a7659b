//! Images in HDF5 files: DECTRIS masters and data files, NXmx, virtual datasets, LImA, BLISS, areaDetector, plain stacks.
//!
//! ```text
//!   file.h5[::/path] ─find─▶ datasets ─index─▶ a list of frames: part, frame      once, through a child process (crate::h5)
//!                                                  │
//!   ticket: number in the list ─reader─▶ pread ─▶ slot                            each frame, without the library
//! ```
//!
//! The library says once where everything is: which datasets are the images ([`find`]), of which others a virtual one is made
//! ([`index`]), where the chunks of each lie and what they went through ([`stack`]). After that frames are read as those of any other
//! file, by as many readers as there are. A chunk that is one frame is handed on packed; what the corridor has no word for (gzip,
//! several frames a chunk, frames in pieces, pixels of the other byte order) a reader unpacks ([`pipeline`]); what only the library
//! reads it reads in a child, and a note says so.
//!
//! Frames that cannot be read are bad frames, each with its place: the file of a link is not there, the file ends before the chunk
//! does, the chunk does not unpack. So is a frame that nobody wrote: what the library would give for it, the fill value, is
//! no measurement, and a mean over such frames would be wrong without a word.
mod facts;
mod find;
mod index;
mod numbers;
mod pipeline;
mod reader;
mod shelf;
mod stack;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use facts::EntryWords;
use find::{Images, Piece};
use index::{Indexer, Listed, Part, Place};
use numbers::{Columns, Numbers};
use reader::ListReader;
use shelf::{Lost, Shelf};
use stack::Kind;

use crate::files;
use crate::frame::{Codec, Encoding, FrameHeader, FrameStatus, Origin, SlotPool};
use crate::source::facts::DetectorFacts;
use crate::source::{About, Frames, Next, Place as TicketPlace, Reader, Source, SourceError, Ticket};

/// The first bytes of an HDF5 file without a user block.
pub const MAGIC: [u8; 8] = *b"\x89HDF\r\n\x1a\n";

/// All frames of a scan, listed.
#[derive(Debug)]
struct List {
    parts: Arc<[Part]>,
    places: Vec<Place>,
    numbers: Numbers,
    about: Arc<About>,
}

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
        let mut shelf = Shelf::default();
        let listed = list(&mut shelf, inputs, channel);
        let list = listed
            .map_err(|lost| SourceError { origin: lost.file.display().to_string(), cause: lost.why })?;
        Ok(Hdf5Frames { files: list.files(), list: Arc::new(list), notes: shelf.into_notes().into() })
    }

    /// Those of them that are wanted, in this order.
    pub fn selected(&self, wanted: impl Iterator<Item = usize>) -> Hdf5Frames {
        let wanted: Vec<usize> = wanted.filter(|frame| *frame < self.list.places.len()).collect();
        let places: Vec<Place> = wanted.iter().map(|frame| self.list.places[*frame]).collect();
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
        Ok(Next::Read(Ticket { ids: first..self.given, place: TicketPlace::Listed(listed) }))
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(ListReader::new(Arc::clone(&self.list)))
    }
}

impl List {
    /// The files that have the frames, or should, each once.
    fn files(&self) -> Arc<[PathBuf]> {
        let mut met = HashSet::new();
        let mut files: Vec<PathBuf> = Vec::new();
        for place in self.places.iter().filter(|place| met.insert(place.part)) {
            let file = self.parts[place.part as usize].file();
            if !files.iter().any(|known| **known == **file) {
                files.push(file.to_path_buf());
            }
        }
        files.into()
    }

    /// Where a frame is, for messages.
    fn origin(&self, place: Place) -> Origin {
        let file = Arc::clone(self.parts[place.part as usize].file());
        Origin { file, image: Some(place.frame as usize) }
    }

    /// How many frames from this one on come out of the same chunks.
    fn together(&self, first: usize) -> usize {
        let place = self.places[first];
        let Part::Stack(stack) = &self.parts[place.part as usize] else { return 1 };
        let slab = stack.slab(place.frame as usize);
        let same = |next: &&Place| next.part == place.part && stack.slab(next.frame as usize) == slab;
        self.places[first..].iter().take_while(same).count().max(1)
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

/// What one input gives.
struct Input<'a> {
    name: &'a Path,
    file: Arc<Path>,
    /// The entry that its images are in; none where the file cannot be opened.
    entry: Option<String>,
    places: Vec<Place>,
}

fn list(shelf: &mut Shelf, inputs: &[PathBuf], channel: Option<usize>) -> Result<List, Lost> {
    let mut indexer = Indexer::new(shelf);
    let mut listed = Vec::new();
    for name in inputs {
        let (file, dataset) = split_name(name);
        let file: Arc<Path> = file.into();
        let places = match indexer.shelf.file(&file).map(|_| ()) {
            // One of many that cannot be opened: its images are bad frames.
            Err(lost) if inputs.len() > 1 => Err(lost),
            Err(lost) => return Err(lost),
            Ok(()) => {
                let images = find::images(indexer.shelf, &file, dataset)?;
                let entry = images.entry.clone();
                Ok((entry, of_images(&mut indexer, &file, images, channel)?))
            }
        };
        listed.push((name, file, places));
    }
    let counts: Vec<Option<usize>> =
        listed.iter().map(|(.., found)| found.as_ref().ok().map(|(_, places)| places.len())).collect();
    let mut lost = None;
    let listed: Vec<Input<'_>> = listed
        .into_iter()
        .zip(guessed(&counts, None))
        .map(|((name, file, found), count)| {
            let (entry, places) = match found {
                Ok((entry, places)) => (Some(entry), places),
                Err(cause) => {
                    let part = indexer.absent(&cause, FrameStatus::Unreadable);
                    lost.get_or_insert(cause);
                    // At least one: nothing that was named is left out in silence.
                    (None, (0..count.unwrap_or(1) as u32).map(|frame| Place { part, frame }).collect())
                }
            };
            Input { name, file, entry, places }
        })
        .collect();
    let listed_first = listed.first().map(|input| Arc::clone(&input.file));
    let kept = without_repeated(&mut indexer, &listed);
    let mut parts = indexer.parts;
    let listed: Vec<Input<'_>> =
        listed.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(input, _)| input).collect();
    let places: Vec<Place> = listed.iter().flat_map(|input| &input.places).copied().collect();
    let first = listed_first.as_deref().unwrap_or(Path::new(""));
    let mut about = agree(first, &mut parts, &places).map_err(|why| lost.unwrap_or(why))?;
    let numbers = said(shelf, &listed, &mut about, channel)?;
    (about.columns, about.header) = (Arc::clone(&numbers.columns), numbers.header(0));
    Ok(List { parts: parts.into(), places, numbers, about: Arc::new(about) })
}

/// What the files say of their frames; of the detector, the first that says anything.
fn said(
    shelf: &mut Shelf,
    inputs: &[Input<'_>],
    about: &mut About,
    channel: Option<usize>,
) -> Result<Numbers, Lost> {
    let (mut of_frames, mut cutoff) = (Vec::with_capacity(inputs.len()), None);
    for Input { file, entry, places, .. } in inputs {
        let mut words: (Columns, String) = Default::default();
        if let (Some(path), Ok(open)) = (entry, shelf.file(file)) {
            let entry = EntryWords::new(open, path);
            words = (entry.columns(places.len()), entry.date());
            if about.facts == DetectorFacts::default() {
                about.facts = entry.facts(about.encoding.shape, channel.unwrap_or(0));
                cutoff = entry.count_cutoff();
            }
        }
        of_frames.push((places.len(), words.0, words.1));
    }
    let mut numbers = Numbers::of(of_frames).map_err(|cause| Lost::new(Path::new("HDF5"), cause))?;
    numbers.count_cutoff = cutoff;
    Ok(numbers)
}

/// The frames of the images of a file; those of files that are missing, too, where their number is known.
fn of_images(
    indexer: &mut Indexer<'_>,
    file: &Arc<Path>,
    images: Images,
    channel: Option<usize>,
) -> Result<Vec<Place>, Lost> {
    let several = images.pieces.len() > 1;
    let mut found: Vec<Result<Vec<Place>, Lost>> = Vec::new();
    for piece in images.pieces {
        let frames = match piece {
            Piece::Dataset(spot) => indexer
                .frames(&spot, 0)
                .and_then(|frames| chosen(indexer.shelf, file, &images.entry, &frames, channel)),
            Piece::Absent(lost) => Err(lost),
        };
        match frames {
            Err(lost) if !several => return Err(lost),
            other => found.push(other),
        }
    }
    if let Some(Err(first)) = found.first()
        && found.iter().all(Result::is_err)
    {
        let why = format!(
            "{} (none of the {} files that {} links to can be read)",
            first.why,
            found.len(),
            file.display()
        );
        return Err(Lost::new(&first.file, why));
    }
    let counts: Vec<Option<usize>> = found.iter().map(|frames| frames.as_ref().ok().map(Vec::len)).collect();
    let counts = match counts.contains(&None) {
        true => guessed(&counts, planned(indexer.shelf, file, &images.entry)),
        false => counts,
    };
    let mut places = Vec::new();
    for (frames, count) in found.into_iter().zip(counts) {
        match (frames, count) {
            (Ok(frames), _) => places.extend(frames),
            (Err(lost), Some(count)) => {
                let part = indexer.absent(&lost, FrameStatus::Unreadable);
                places.extend((0..count as u32).map(|frame| Place { part, frame }));
            }
            (Err(lost), None) => indexer.shelf.note(format!(
                "{}: {}; how many images it held is not known: none is counted",
                lost.file.display(),
                lost.why
            )),
        }
    }
    Ok(places)
}

/// Numbers of images, with those of missing files as far as they follow: every file but the last has as many as the fullest, and all
/// together have as many as were planned.
fn guessed(counts: &[Option<usize>], planned: Option<usize>) -> Vec<Option<usize>> {
    let last = counts.len().saturating_sub(1);
    let each = counts[..last].iter().flatten().copied().max();
    let mut counts: Vec<Option<usize>> =
        counts.iter().enumerate().map(|(at, count)| count.or(if at < last { each } else { None })).collect();
    // What is left of the plan belongs to the one file that nothing else is known of.
    let known: usize = counts.iter().flatten().sum();
    let mut unknown = counts.iter_mut().filter(|count| count.is_none());
    if let (Some(one), None, Some(planned)) = (unknown.next(), unknown.next(), planned)
        && planned > known
    {
        *one = Some(planned - known);
    }
    counts
}

/// How many images the detector was to take: `nimages` × `ntrigger` of a DECTRIS master.
fn planned(shelf: &mut Shelf, file: &Path, entry: &str) -> Option<usize> {
    let mut number = |name: &str| {
        let path = format!("{entry}/instrument/detector/detectorSpecific/{name}");
        let values = shelf.ask(file, |open| open.dataset(&path)?.read_raw::<f64>()).ok()?;
        values.first().copied().filter(|&value| (1.0..1e9).contains(&value)).map(|value| value as usize)
    };
    Some(number("nimages")? * number("ntrigger").unwrap_or(1))
}

/// The frames of one channel, where there are channels.
fn chosen(
    shelf: &mut Shelf,
    file: &Path,
    entry: &str,
    frames: &Listed,
    channel: Option<usize>,
) -> Result<Vec<Place>, Lost> {
    let channels = match (&frames.leading[..], channel) {
        (&[_, channels], Some(_)) => channels,
        (&[_, channels], None) if is_nxmx(shelf, file, entry) => channels,
        (_, None | Some(0)) => return Ok(frames.places.to_vec()),
        (leading, Some(_)) => {
            let why = format!("its images have no channels to choose of: there are {leading:?} of them");
            return Err(Lost::new(file, why));
        }
    };
    let taken = channel.unwrap_or(0);
    if taken >= channels {
        let why = format!("there is no channel {taken}: its images have {channels}, counted from 0");
        return Err(Lost::new(file, why));
    }
    if channel.is_none() && channels > 1 {
        shelf.note(format!(
            "{}: its images have {channels} channels, and the first is taken: --channel takes another",
            file.display()
        ));
    }
    Ok(frames.places.iter().skip(taken).step_by(channels).copied().collect())
}

/// Whether an entry says of itself that it is NXmx, where a dimension between number and image is that of channels.
fn is_nxmx(shelf: &mut Shelf, file: &Path, entry: &str) -> bool {
    let path = format!("{entry}/definition");
    let texts = shelf.ask(file, |open| open.dataset(&path)?.read_texts());
    texts.is_ok_and(|texts| texts.iter().any(|text| text.trim() == "NXmx"))
}

/// Which inputs are to be read: a data file that was given beside its master is there already.
fn without_repeated(indexer: &mut Indexer<'_>, inputs: &[Input<'_>]) -> Vec<bool> {
    // The datasets of an input, and whether its own file has them.
    let of = |input: &Input<'_>| {
        let parts: HashSet<u32> = input.places.iter().map(|place| place.part).collect();
        let stacks = parts.iter().filter_map(|&part| match &indexer.parts[part as usize] {
            Part::Stack(stack) => Some((stack.identity, stack.file == input.file)),
            Part::Absent { .. } => None,
        });
        stacks.collect::<Vec<_>>()
    };
    let all: Vec<_> = inputs.iter().map(of).collect();
    let linked: HashSet<_> =
        all.iter().flatten().filter(|(_, is_own)| !is_own).map(|(identity, _)| *identity).collect();
    let is_repeated = |stacks: &Vec<((shelf::Identity, u64), bool)>| {
        !stacks.is_empty() && stacks.iter().all(|(identity, is_own)| *is_own && linked.contains(identity))
    };
    let kept: Vec<bool> = all.iter().map(|stacks| !is_repeated(stacks)).collect();
    let repeated = kept.iter().filter(|kept| !**kept).count();
    if let Some((input, _)) = inputs.iter().zip(&kept).find(|(_, kept)| !**kept) {
        indexer.shelf.note(match repeated {
            1 => format!(
                "{}: its images are those of a master that was given, too: they are read once",
                input.name.display()
            ),
            _ => format!(
                "{} and {} more: their images are those of masters that were given, too: they are read once",
                input.name.display(),
                repeated - 1
            ),
        });
    }
    kept
}

/// What the frames are, as the first that is there says; the others are bad frames.
fn agree(file: &Path, parts: &mut [Part], places: &[Place]) -> Result<About, Lost> {
    let nothing = || {
        let first = places.first().map(|place| &parts[place.part as usize]);
        match first {
            Some(Part::Absent { file, why, .. }) => Lost::new(file, why),
            _ => Lost::new(file, "there are no images in it"),
        }
    };
    let stacks = places.iter().filter_map(|place| match &parts[place.part as usize] {
        Part::Stack(stack) => Some((stack.kind, stack.codec())),
        Part::Absent { .. } => None,
    });
    let (kind, codec): (Kind, Codec) = stacks.into_iter().next().ok_or_else(nothing)?;
    let mut slot_bytes = 0;
    for part in parts.iter_mut() {
        let Part::Stack(stack) = part else { continue };
        if stack.kind == kind {
            slot_bytes = slot_bytes.max(stack.longest());
            continue;
        }
        let named = |kind: Kind| format!("{} {}", kind.shape, kind.pixel.name());
        let why = format!(
            "`{}`: its images are {}, the first ones {}",
            stack.dataset,
            named(stack.kind),
            named(kind)
        );
        *part = Part::Absent { file: Arc::clone(&stack.file), status: FrameStatus::OtherShape, why };
    }
    Ok(About {
        encoding: Encoding { codec, pixel: kind.pixel, shape: kind.shape },
        count: Some(places.len()),
        slot_bytes,
        columns: Arc::default(),
        header: FrameHeader::default(),
        facts: DetectorFacts::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_missing_files_are_counted_where_they_follow() {
        let some =
            |counts: &[usize]| counts.iter().map(|&count| (count != 0).then_some(count)).collect::<Vec<_>>();
        assert_eq!(guessed(&some(&[10, 0, 4]), None), some(&[10, 10, 4]));
        assert_eq!(guessed(&some(&[10, 10, 0]), None), some(&[10, 10, 0]));
        assert_eq!(guessed(&some(&[10, 10, 0]), Some(27)), some(&[10, 10, 7]));
        assert_eq!(guessed(&some(&[0, 10, 0]), Some(27)), some(&[10, 10, 7]));
        assert_eq!(guessed(&some(&[0, 7]), Some(17)), some(&[10, 7]));
        assert_eq!(guessed(&some(&[0, 0, 7]), Some(27)), some(&[0, 0, 7]));
        assert_eq!(guessed(&some(&[10, 0]), Some(10)), some(&[10, 0]));
    }

    #[test]
    fn a_name_after_two_colons_is_a_dataset() {
        let split = |text: &'static str| split_name(Path::new(text));
        assert_eq!(split("a.h5::/entry/data"), (Path::new("a.h5"), Some("/entry/data")));
        assert_eq!(split("a.h5"), (Path::new("a.h5"), None));
    }
}
