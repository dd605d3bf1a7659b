//! One dataset as frames: how many, of what kind, and where each lies in the file.
//!
//! The last two dimensions are the image; the frames are counted over all others, in C order. A chunk that is one whole frame is
//! the simple case. Else frames share *slabs*: all chunks that hold the same frames, several of them or pieces of them.

use std::path::Path;
use std::sync::Arc;

use super::pipeline::{Pipeline, Undone};
use super::shelf::{Identity, NotThere, Shelf, Spot, identity};
use crate::budget;
use crate::frame::{Codec, FrameStatus, PixelType, Shape};
use crate::h5::links::Thing;
use crate::h5::storage::{Arrangement, Chunk, Mapping, NumberClass, Numeric, Storage};
use crate::h5::{self, Dataset, File};

/// Images of one dataset: more than a day of a thousand a second.
pub(super) const MOST_FRAMES: usize = 1 << 27;

/// Where `xrdct convert` puts images.
const CONVERTED: &str = "entry_0000/data/data";

/// What the pixels of frames are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameKind {
    pub pixel: PixelType,
    pub shape: Shape,
}

impl FrameKind {
    /// Bytes of one frame.
    pub(super) fn bytes(self) -> usize {
        self.shape.pixels() * self.pixel.size()
    }
}

/// Frames of one dataset.
#[derive(Debug)]
pub(super) struct Stack {
    pub file: Arc<Path>,
    /// Bytes of the file when it was listed.
    pub length: u64,
    /// The dataset as the system and the library know it, whatever its names.
    pub identity: (Identity, u64),
    /// Name of the dataset, without links.
    pub dataset: String,
    pub kind: FrameKind,
    /// Whether the first byte of a pixel is the most significant one.
    pub swapped: bool,
    /// Sizes of the dimensions before the image.
    pub leading: Vec<usize>,
    pub access: Access,
    /// Frames that there is a place but no image of, as `xrdct convert` says in its `frame_status`; ascending.
    pub blank: Vec<usize>,
}

/// How the bytes of frames are got.
#[derive(Debug)]
pub(super) enum Access {
    /// One after the other, from this byte on; none was written when there is none.
    Together(Option<u64>),
    /// In chunks.
    Chunks(Chunks),
    /// Only the library can say.
    Library,
}

/// The chunks of a dataset.
#[derive(Debug)]
pub(super) struct Chunks {
    pub pipeline: Pipeline,
    /// Sizes of a chunk before the image.
    leading: Vec<usize>,
    /// Size of a chunk in the image.
    pub tile: Shape,
    /// Chunks that an image is cut into.
    pub tiles: Shape,
    /// Slabs along each dimension before the image.
    slabs: Vec<usize>,
    /// Those that are in the file, by their number in the grid.
    table: Vec<(u64, InFile)>,
}

/// A chunk in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct InFile {
    pub place: u64,
    pub size: u64,
    pub skipped: u32,
}

/// What a dataset turns out to be.
pub(super) enum Dissected {
    /// Frames that are in its file.
    Stack(Box<Stack>),
    /// Frames that are elsewhere.
    Virtual { kind: FrameKind, leading: Vec<usize>, mappings: Vec<Mapping> },
}

/// Looks at a dataset.
pub(super) fn dissect(shelf: &mut Shelf, spot: &Spot) -> Result<Dissected, NotThere> {
    let lost = |why: String| NotThere::new(&spot.file, format!("`{}`: {why}", spot.path));
    let (dataset, storage) = shelf.ask(&spot.file, |file| {
        let dataset = file.dataset(&spot.path)?;
        let storage = dataset.storage()?;
        Ok((dataset, storage))
    })?;
    let shape = dataset.shape();
    let Some((leading, &[slow, fast])) = shape.split_last_chunk::<2>() else {
        return Err(lost(format!("its shape is {shape:?}, and images have two dimensions or more")));
    };
    let leading = leading.to_vec();
    let number = storage.number.ok_or_else(|| {
        lost(format!(
            "it holds {} ({}), which are not pixels",
            dataset.facts().kind,
            dataset.facts().type_name
        ))
    })?;
    let pixel =
        pixel(number).ok_or_else(|| lost(format!("pixels of {} are not read", dataset.facts().type_name)))?;
    if slow == 0 || fast == 0 {
        return Err(lost(format!("its images have no pixels: its shape is {shape:?}")));
    }
    // Twice: as it is read and as it is unpacked.
    budget::allow(
        format_args!("an image of {slow} x {fast} pixels"),
        budget::bytes_of(&[slow, fast, 2], pixel.size()),
    )
    .map_err(|cause| lost(cause.to_string()))?;
    let kind = FrameKind { pixel, shape: Shape { slow, fast } };
    if let Arrangement::Virtual(mappings) = storage.layout {
        return Ok(Dissected::Virtual { kind, leading, mappings });
    }
    let access = access(shelf, &dataset, &storage, kind, &leading).map_err(lost)?;
    let blank = match access {
        Access::Together(_) if spot.path.trim_start_matches('/') == CONVERTED => {
            let frames = leading.iter().try_fold(1_usize, |all, size| all.checked_mul(*size));
            shelf.ask(&spot.file, |file| blank(file, frames))?
        }
        Access::Together(_) | Access::Chunks(_) | Access::Library => Vec::new(),
    };
    let (known, length) = identity(&spot.file)?;
    let address = match spot.what {
        Thing::Dataset { address, .. } => address,
        Thing::Group { .. } | Thing::Other => u64::MAX,
    };
    Ok(Dissected::Stack(Box::new(Stack {
        file: Arc::clone(&spot.file),
        length,
        identity: (known, address),
        dataset: spot.path.clone(),
        kind,
        swapped: number.big_endian,
        leading,
        access,
        blank,
    })))
}

/// Frames of a stack of `xrdct convert` that could not be read, or did not come before its run ended: they have fill values.
fn blank(file: &File, frames: Option<usize>) -> h5::Result<Vec<usize>> {
    let entry = file.group("entry_0000")?;
    if !entry.link_exists("frame_status") || !entry.link_exists("image_crc") {
        return Ok(Vec::new());
    }
    let statuses = entry.dataset("frame_status")?;
    // More than that are not read of one dataset; as many as there are images are statuses.
    if frames.is_none_or(|frames| frames > MOST_FRAMES || statuses.shape() != [frames]) {
        return Err(
            format!("frame_status has the shape {:?}, not one value an image", statuses.shape()).into()
        );
    }
    let statuses: Vec<u32> = statuses.read_raw()?;
    let good = FrameStatus::Good as u32;
    Ok(statuses.iter().enumerate().filter(|(_, status)| **status != good).map(|(frame, _)| frame).collect())
}

/// What the corridor calls such numbers.
fn pixel(number: Numeric) -> Option<PixelType> {
    Some(match (number.class, number.size) {
        (NumberClass::Unsigned, 1) => PixelType::U8,
        (NumberClass::Unsigned, 2) => PixelType::U16,
        (NumberClass::Unsigned, 4) => PixelType::U32,
        (NumberClass::Unsigned, 8) => PixelType::U64,
        (NumberClass::Signed, 1) => PixelType::I8,
        (NumberClass::Signed, 2) => PixelType::I16,
        (NumberClass::Signed, 4) => PixelType::I32,
        (NumberClass::Signed, 8) => PixelType::I64,
        (NumberClass::Float, 4) => PixelType::F32,
        (NumberClass::Float, 8) => PixelType::F64,
        _ => return None,
    })
}

fn access(
    shelf: &mut Shelf,
    dataset: &Dataset,
    storage: &Storage,
    kind: FrameKind,
    leading: &[usize],
) -> Result<Access, String> {
    let by_library = |shelf: &mut Shelf, why: &str| {
        shelf.note(format!("images are read through the HDF5 library, one after the other: {why}"));
        Ok(Access::Library)
    };
    let (chunk, written) = match &storage.layout {
        Arrangement::Compact => {
            return by_library(shelf, "they are stored compactly, in the description of the dataset");
        }
        Arrangement::Contiguous(place) => return Ok(Access::Together(*place)),
        Arrangement::Chunked { chunk, written } => (chunk, *written),
        Arrangement::Outside => {
            return Err("its values are in other files that are no HDF5 files, which are not read".into());
        }
        Arrangement::Virtual(_) => return Err("a virtual dataset is not stored".into()),
    };
    let pipeline = match Pipeline::of(&storage.filters, kind.pixel.size()) {
        Ok(Undone::Here(pipeline)) => pipeline,
        Ok(Undone::ByLibrary(names)) => return by_library(shelf, &format!("they went through {names}")),
        Err(name) => {
            return Err(format!(
                "its chunks are packed with {name}, which is not read; h5repack can change that"
            ));
        }
    };
    if storage.filters.len() > 32 {
        return Err("its chunks went through more than 32 filters".into());
    }
    let Some((in_front, &[slow, fast])) = chunk.split_last_chunk::<2>() else {
        return Err("its chunks do not have its dimensions".into());
    };
    let tile = Shape { slow, fast };
    let tiles = Shape { slow: kind.shape.slow.div_ceil(slow), fast: kind.shape.fast.div_ceil(fast) };
    if storage.partial_unfiltered && has_partial(leading, in_front, kind.shape, tile) {
        return by_library(shelf, "chunks at the edge did not go through the filters");
    }
    let slabs: Vec<usize> =
        leading.iter().zip(in_front).map(|(&size, &chunk)| size.div_ceil(chunk)).collect();
    budget::allow(
        format_args!("a chunk of {chunk:?} pixels"),
        budget::bytes_of(chunk, 2 * kind.pixel.size())
            .saturating_add(budget::bytes_of(in_front, kind.bytes())),
    )
    .map_err(|cause| cause.to_string())?;
    let chunks = dataset.chunks(written).map_err(|cause| cause.to_string())?;
    let entry = |Chunk { number, place, size, skipped }: Chunk| (number, InFile { place, size, skipped });
    let mut table: Vec<(u64, InFile)> = chunks.into_iter().map(entry).collect();
    table.sort_unstable_by_key(|(number, _)| *number);
    Ok(Access::Chunks(Chunks { pipeline, leading: in_front.to_vec(), tile, tiles, slabs, table }))
}

/// Whether a chunk reaches beyond the dataset.
fn has_partial(leading: &[usize], in_front: &[usize], image: Shape, tile: Shape) -> bool {
    leading.iter().zip(in_front).any(|(size, chunk)| !size.is_multiple_of(*chunk))
        || !image.slow.is_multiple_of(tile.slow)
        || !image.fast.is_multiple_of(tile.fast)
}

/// Where a frame is among those that share its chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InSlab {
    /// Which slab.
    pub slab: usize,
    /// Which frame of it.
    pub at: usize,
}

impl Stack {
    /// How many frames there are, when a number can say it.
    pub(super) fn frames(&self) -> Option<usize> {
        count(&self.leading)
    }

    /// Which slab a frame is in; frames that are read together are in the same.
    pub(super) fn slab(&self, frame: usize) -> usize {
        match &self.access {
            Access::Chunks(chunks) => chunks.find(&self.leading, frame).slab,
            Access::Together(_) | Access::Library => frame,
        }
    }

    /// What most frames of it are packed with when they leave a reader.
    pub(super) fn codec(&self) -> Codec {
        match &self.access {
            Access::Chunks(chunks) if self.is_handed_on() => chunks.pipeline.codec(0).unwrap_or(Codec::Raw),
            _ => Codec::Raw,
        }
    }

    /// What a reader undoes before it hands a frame on, in words, if anything.
    pub(super) fn undone(&self) -> Option<String> {
        match &self.access {
            Access::Together(_) => None,
            Access::Chunks(chunks) if self.codec() == Codec::Raw => chunks.pipeline.words(),
            Access::Chunks(_) => None,
            Access::Library => Some("through the HDF5 library".to_owned()),
        }
    }

    /// Whether chunks are frames, in the byte order of the corridor.
    pub(super) fn is_handed_on(&self) -> bool {
        match &self.access {
            Access::Chunks(chunks) => chunks.frames() == 1 && chunks.tile == self.kind.shape && !self.swapped,
            Access::Together(_) | Access::Library => false,
        }
    }

    /// Bytes that hold any of its frames as it leaves a reader.
    pub(super) fn longest(&self) -> usize {
        let bytes = self.kind.bytes();
        let Access::Chunks(chunks) = &self.access else { return bytes };
        if self.codec() == Codec::Raw {
            return bytes;
        }
        let most = chunks.pipeline.longest(bytes) as u64;
        let sizes = chunks.table.iter().map(|(_, chunk)| chunk.size).filter(|&size| size <= most);
        // Those that are not packed are as long as their pixels.
        let unpacked = chunks.table.iter().any(|(_, chunk)| chunk.skipped != 0);
        let floor = if unpacked { bytes as u64 } else { 0 };
        sizes.max().unwrap_or(0).max(floor) as usize
    }
}

/// A product that a number can say.
pub(super) fn count(sizes: &[usize]) -> Option<usize> {
    sizes.iter().try_fold(1_usize, |product, &size| product.checked_mul(size))
}

impl Chunks {
    /// Frames that one chunk has, or has pieces of.
    pub(super) fn frames(&self) -> usize {
        self.leading.iter().product()
    }

    /// Pixels of one chunk.
    pub(super) fn pixels(&self) -> usize {
        self.frames() * self.tile.pixels()
    }

    /// Where a frame is.
    pub(super) fn find(&self, leading: &[usize], frame: usize) -> InSlab {
        let (mut rest, mut slab, mut at) = (frame, 0, 0);
        let (mut slabs, mut frames) = (1, 1);
        // The last dimension is the fastest.
        for ((&size, &chunk), &along) in leading.iter().zip(&self.leading).zip(&self.slabs).rev() {
            let place = rest % size;
            rest /= size;
            slab += place / chunk * slabs;
            at += place % chunk * frames;
            slabs *= along;
            frames *= chunk;
        }
        InSlab { slab, at }
    }

    /// The chunks of a slab, in C order of their tiles; `None` for one that is not in the file.
    pub(super) fn of(&self, slab: usize) -> impl Iterator<Item = Option<InFile>> {
        let first = slab as u64 * self.tiles.pixels() as u64;
        (first..first + self.tiles.pixels() as u64).map(|number| {
            let at = self.table.binary_search_by_key(&number, |(number, _)| *number).ok()?;
            Some(self.table[at].1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_in_their_slabs() {
        let leading = [5, 7];
        let chunks = Chunks {
            pipeline: Pipeline::default(),
            leading: vec![2, 3],
            tile: Shape { slow: 4, fast: 4 },
            tiles: Shape { slow: 2, fast: 1 },
            slabs: vec![3, 3],
            table: vec![(5, InFile { place: 1, size: 2, skipped: 0 })],
        };
        let find = |i: usize, j: usize| chunks.find(&leading, i * 7 + j);
        assert_eq!(find(0, 0), InSlab { slab: 0, at: 0 });
        assert_eq!(find(1, 2), InSlab { slab: 0, at: 5 });
        assert_eq!(find(0, 3), InSlab { slab: 1, at: 0 });
        assert_eq!(find(4, 6), InSlab { slab: 8, at: 0 });
        assert_eq!(find(3, 4), InSlab { slab: 4, at: 4 });
        assert_eq!((chunks.frames(), chunks.pixels()), (6, 96));
        let there = |slab| chunks.of(slab).map(|chunk| chunk.is_some()).collect::<Vec<_>>();
        assert_eq!((there(2), there(3)), (vec![false, true], vec![false, false]));
    }
}
