//! All frames of a scan in a list: those of each input, those of missing files where their number is known, of one kind.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::facts::EntryWords;
use super::find::{self, ImageDatasets, Piece};
use super::index::{FramePlace, Holder, Indexer, Unfolded};
use super::numbers::{Columns, Numbers};
use super::shelf::{Identity, NotThere, Shelf};
use super::split_name;
use super::stack::FrameKind;
use crate::frame::{Codec, Encoding, FrameHeader, FrameStatus, Origin};
use crate::source::About;
use crate::source::facts::DetectorFacts;

/// All frames of a scan, listed.
#[derive(Debug)]
pub(super) struct List {
    pub parts: Arc<[Holder]>,
    pub places: Vec<FramePlace>,
    pub numbers: Numbers,
    pub about: Arc<About>,
}

impl List {
    /// The files that have the frames, or should, each once.
    pub(super) fn files(&self) -> Arc<[PathBuf]> {
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
    pub(super) fn origin(&self, place: FramePlace) -> Origin {
        let file = Arc::clone(self.parts[place.part as usize].file());
        Origin { file, image: Some(place.frame as usize) }
    }

    /// How many frames from this one on come out of the same chunks.
    pub(super) fn together(&self, first: usize) -> usize {
        let place = self.places[first];
        let Holder::Stack(stack) = &self.parts[place.part as usize] else { return 1 };
        let slab = stack.slab(place.frame as usize);
        let same = |next: &&FramePlace| next.part == place.part && stack.slab(next.frame as usize) == slab;
        self.places[first..].iter().take_while(same).count().max(1)
    }
}

/// What one input gives.
struct Input<'a> {
    name: &'a Path,
    file: Arc<Path>,
    /// The entry that its images are in; none where the file cannot be opened.
    entry: Option<String>,
    places: Vec<FramePlace>,
}

/// Lists the frames of these inputs.
pub(super) fn list(shelf: &mut Shelf, inputs: &[PathBuf], channel: Option<usize>) -> Result<List, NotThere> {
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
                    (None, (0..count.unwrap_or(1) as u32).map(|frame| FramePlace { part, frame }).collect())
                }
            };
            Input { name, file, entry, places }
        })
        .collect();
    let first = listed.first().map(|input| Arc::clone(&input.file));
    let kept = without_repeated(&mut indexer, &listed);
    let mut parts = indexer.parts;
    let listed: Vec<Input<'_>> =
        listed.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(input, _)| input).collect();
    let places: Vec<FramePlace> = listed.iter().flat_map(|input| &input.places).copied().collect();
    let first = first.as_deref().unwrap_or(Path::new(""));
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
) -> Result<Numbers, NotThere> {
    let (mut of_frames, mut cutoff) = (Vec::with_capacity(inputs.len()), None);
    for Input { file, entry, places, .. } in inputs {
        let mut words: (Columns, String) = Default::default();
        if let (Some(path), Ok(open)) = (entry, shelf.file(file)) {
            let entry = EntryWords::new(open, path);
            words = (entry.columns(places.len()), entry.date());
            if about.facts == DetectorFacts::default() {
                about.facts = entry.facts(about.encoding.shape, channel.unwrap_or(0));
                cutoff = entry.count_cutoff();
                if about.facts != DetectorFacts::default() {
                    about.facts.file = Some(Arc::clone(file));
                }
            }
        }
        of_frames.push((places.len(), words.0, words.1));
    }
    let mut numbers = Numbers::of(of_frames).map_err(|cause| NotThere::new(Path::new("HDF5"), cause))?;
    numbers.count_cutoff = cutoff;
    Ok(numbers)
}

/// The frames of the images of a file; those of files that are missing, too, where their number is known.
fn of_images(
    indexer: &mut Indexer<'_>,
    file: &Arc<Path>,
    images: ImageDatasets,
    channel: Option<usize>,
) -> Result<Vec<FramePlace>, NotThere> {
    let several = images.pieces.len() > 1;
    let mut found: Vec<Result<Vec<FramePlace>, NotThere>> = Vec::new();
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
        return Err(NotThere::new(&first.file, why));
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
                places.extend((0..count as u32).map(|frame| FramePlace { part, frame }));
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
pub(super) fn planned(shelf: &mut Shelf, file: &Path, entry: &str) -> Option<usize> {
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
    frames: &Unfolded,
    channel: Option<usize>,
) -> Result<Vec<FramePlace>, NotThere> {
    let channels = match (&frames.leading[..], channel) {
        (&[_, channels], Some(_)) => channels,
        (&[_, channels], None) if is_nxmx(shelf, file, entry) => channels,
        (_, None | Some(0)) => return Ok(frames.places.to_vec()),
        (leading, Some(_)) => {
            let why = format!("its images have no channels to choose of: there are {leading:?} of them");
            return Err(NotThere::new(file, why));
        }
    };
    let taken = channel.unwrap_or(0);
    if taken >= channels {
        let why = format!("there is no channel {taken}: its images have {channels}, counted from 0");
        return Err(NotThere::new(file, why));
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
            Holder::Stack(stack) => Some((stack.identity, stack.file == input.file)),
            Holder::Absent { .. } => None,
        });
        stacks.collect::<Vec<_>>()
    };
    let all: Vec<_> = inputs.iter().map(of).collect();
    let linked: HashSet<_> =
        all.iter().flatten().filter(|(_, is_own)| !is_own).map(|(identity, _)| *identity).collect();
    let is_repeated = |stacks: &Vec<((Identity, u64), bool)>| {
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
fn agree(file: &Path, parts: &mut [Holder], places: &[FramePlace]) -> Result<About, NotThere> {
    let nothing = || {
        let first = places.first().map(|place| &parts[place.part as usize]);
        match first {
            Some(Holder::Absent { file, why, .. }) => NotThere::new(file, why),
            _ => NotThere::new(file, "there are no images in it"),
        }
    };
    let stacks = places.iter().filter_map(|place| match &parts[place.part as usize] {
        Holder::Stack(stack) => Some((stack.kind, stack.codec(), stack.undone())),
        Holder::Absent { .. } => None,
    });
    let (kind, codec, undone): (FrameKind, Codec, Option<String>) =
        stacks.into_iter().next().ok_or_else(nothing)?;
    let mut slot_bytes = 0;
    for part in parts.iter_mut() {
        let Holder::Stack(stack) = part else { continue };
        if stack.kind == kind {
            slot_bytes = slot_bytes.max(stack.longest());
            continue;
        }
        let named = |kind: FrameKind| format!("{} {}", kind.shape, kind.pixel.name());
        let why = format!(
            "`{}`: its images are {}, the first ones {}",
            stack.dataset,
            named(stack.kind),
            named(kind)
        );
        *part = Holder::Absent { file: Arc::clone(&stack.file), status: FrameStatus::OtherShape, why };
    }
    Ok(About {
        encoding: Encoding { codec, pixel: kind.pixel, shape: kind.shape },
        undone: undone.map(Into::into),
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
}
