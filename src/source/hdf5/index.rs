//! All frames of a scan in their order: which dataset each is in, and which frame of it.
//!
//! A virtual dataset is taken apart until only datasets with bytes of their own are left; a part whose file is missing is a place, too,
//! so that its frames keep their numbers and what they lack is said of each.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::shelf::{NotThere, Shelf, Spot, beside};
use super::stack::{Dissected, FrameKind, MOST_FRAMES, Stack, count, dissect};
use crate::budget;
use crate::frame::FrameStatus;
use crate::h5::links::Thing;
use crate::h5::storage::{Extract, Mapping, Share, Stride};

/// Virtual datasets that may be made of each other.
const DEEPEST: usize = 8;

/// Where frames are.
#[derive(Debug)]
pub(super) enum Holder {
    /// In a dataset.
    Stack(Box<Stack>),
    /// Nowhere: their status, and why, as the end of a sentence that begins with the file.
    Absent { file: Arc<Path>, status: FrameStatus, why: String },
}

impl Holder {
    /// The file that has the frames, or should.
    pub(super) fn file(&self) -> &Arc<Path> {
        match self {
            Holder::Stack(stack) => &stack.file,
            Holder::Absent { file, .. } => file,
        }
    }
}

/// One frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FramePlace {
    /// Which part it is in.
    pub part: u32,
    /// Which frame of it.
    pub frame: u32,
}

/// Unfolded of one dataset, virtual or not.
#[derive(Debug, Clone)]
pub(super) struct Unfolded {
    /// Sizes of the dimensions before the image.
    pub leading: Vec<usize>,
    pub places: Rc<[FramePlace]>,
}

/// Takes datasets apart.
pub(super) struct Indexer<'a> {
    pub shelf: &'a mut Shelf,
    pub parts: Vec<Holder>,
    /// Datasets that were taken apart already, by file and name.
    known: HashMap<(PathBuf, String), Result<Unfolded, NotThere>>,
}

impl<'a> Indexer<'a> {
    pub(super) fn new(shelf: &'a mut Shelf) -> Indexer<'a> {
        Indexer { shelf, parts: Vec::new(), known: HashMap::new() }
    }

    /// Unfolded that are nowhere.
    pub(super) fn absent(&mut self, lost: &NotThere, status: FrameStatus) -> u32 {
        // A file that is missing is missing for each part that is in it.
        let is_last = match self.parts.last() {
            Some(Holder::Absent { file, status: last, why }) => {
                **file == lost.file && *last == status && *why == lost.why
            }
            _ => false,
        };
        if !is_last {
            let file = lost.file.as_path().into();
            self.parts.push(Holder::Absent { file, status, why: lost.why.clone() });
        }
        self.parts.len() as u32 - 1
    }

    /// The frames of a dataset.
    pub(super) fn frames(&mut self, spot: &Spot, depth: usize) -> Result<Unfolded, NotThere> {
        let key = (spot.file.to_path_buf(), spot.path.clone());
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let circle = format!("`{}`: it is a virtual dataset that is made of itself", spot.path);
        self.known.insert(key.clone(), Err(NotThere::new(&spot.file, circle)));
        let frames = self.taken_apart(spot, depth);
        self.known.insert(key, frames.clone());
        frames
    }

    fn taken_apart(&mut self, spot: &Spot, depth: usize) -> Result<Unfolded, NotThere> {
        let lost = |why: String| NotThere::new(&spot.file, format!("`{}`: {why}", spot.path));
        if depth > DEEPEST {
            return Err(lost(format!("virtual datasets are made of each other more than {DEEPEST} times")));
        }
        match dissect(self.shelf, spot)? {
            Dissected::Stack(stack) => {
                let frames = room(stack.frames()).map_err(lost)?;
                let (leading, part) = (stack.leading.clone(), self.parts.len() as u32);
                self.parts.push(Holder::Stack(stack));
                let places = (0..frames).map(|frame| FramePlace { part, frame }).collect();
                Ok(Unfolded { leading, places })
            }
            Dissected::Virtual { kind, leading, mappings } => {
                let frames = room(count(&leading)).map_err(lost)?;
                let nowhere =
                    NotThere::new(&spot.file, format!("`{}`: none of its parts has this image", spot.path));
                let part = self.absent(&nowhere, FrameStatus::Unreadable);
                let mut places: Vec<FramePlace> =
                    (0..frames).map(|frame| FramePlace { part, frame }).collect();
                // Parts do not overlap where anybody wants them to: with more frames than there are, something is wrong.
                let mut left = places.len() as u64;
                for (number, mapping) in mappings.iter().enumerate() {
                    left = self
                        .place(spot, &leading, kind, mapping, &mut places, left, depth)
                        .map_err(|why| lost(format!("its part {number} ({}) {why}", mapping.file)))?;
                }
                Ok(Unfolded { leading, places: places.into() })
            }
        }
    }

    /// Puts the frames of one part where they belong; how many more there may be.
    #[allow(clippy::too_many_arguments, reason = "all of one virtual dataset")]
    fn place(
        &mut self,
        spot: &Spot,
        leading: &[usize],
        kind: FrameKind,
        mapping: &Mapping,
        places: &mut [FramePlace],
        left: u64,
        depth: usize,
    ) -> Result<u64, String> {
        let here = Walk::over(&mapping.here, leading, kind)?;
        // Sizes that the part itself has come first; those that are written here will do when it is not there.
        let source = self.source(spot, mapping, depth);
        let said: Vec<usize> = mapping.there.shape.iter().map(|&size| size as usize).collect();
        let said = said.split_last_chunk::<2>().map(|(leading, _)| leading.to_vec());
        let there = match (&source, said) {
            // All of a dataset, whose size is not written: as many as there is room for, or as it has.
            (Ok(listed), None) => Walk::all(&listed.leading),
            (Err(_), None) => Walk::all(&[here.count as usize]),
            (Ok(listed), Some(said)) if listed.leading.len() == said.len() => {
                Walk::over(&mapping.there, &listed.leading, kind)?
            }
            (_, Some(said)) => Walk::over(&mapping.there, &said, kind)?,
        };
        if here.count != there.count {
            return Err("gives another number of images than it has room for".into());
        }
        let left = left.checked_sub(here.count).ok_or_else(|| "overlaps another part".to_owned())?;
        let source = source.map_err(|lost| self.absent(&lost, FrameStatus::Unreadable));
        let mut beyond = None;
        for n in 0..here.count {
            let Some(place) = here.index(n).and_then(|at| places.get_mut(at)) else {
                return Err("lies outside of it".into());
            };
            let index = there.index(n);
            *place = match &source {
                Ok(frames) => match index.and_then(|at| frames.places.get(at)) {
                    Some(found) => *found,
                    None => {
                        let file = beside(&spot.file, Path::new(&mapping.file));
                        let why = format!(
                            "`{}` has only {} images, and {} takes more of it",
                            mapping.dataset,
                            frames.places.len(),
                            spot.file.display()
                        );
                        let part = *beyond.get_or_insert_with(|| {
                            self.absent(&NotThere::new(&file, why), FrameStatus::Unreadable)
                        });
                        FramePlace { part, frame: index.unwrap_or(0) as u32 }
                    }
                },
                Err(part) => FramePlace { part: *part, frame: index.unwrap_or(0) as u32 },
            };
        }
        Ok(left)
    }

    /// The frames of the dataset that a part of a virtual one is in.
    fn source(&mut self, spot: &Spot, mapping: &Mapping, depth: usize) -> Result<Unfolded, NotThere> {
        // A name with `%b` goes with parts without an end, which are refused before this; `%%` is a percent sign.
        let plain = |name: &str| name.replace("%%", "%");
        let file = match plain(&mapping.file) {
            own if own == "." => spot.file.to_path_buf(),
            other => beside(&spot.file, Path::new(&other)),
        };
        if !file.exists() {
            return Err(NotThere::new(
                &file,
                format!("it is not there; {} takes images of it", spot.file.display()),
            ));
        }
        let found = self.shelf.follow(&file, &plain(&mapping.dataset))?;
        match found.what {
            Thing::Dataset { .. } => self.frames(&found, depth + 1),
            _ => Err(NotThere::new(&found.file, format!("`{}` is no dataset", found.path))),
        }
    }
}

/// A number of frames that may be listed.
fn room(frames: Option<usize>) -> Result<u32, String> {
    let too_many =
        |frames: &dyn std::fmt::Display| format!("{frames} images are more than are read of one dataset");
    let frames = frames.ok_or_else(|| too_many(&"more than 18 quintillion"))?;
    if frames > MOST_FRAMES {
        return Err(too_many(&frames));
    }
    budget::allow(
        format_args!("a list of {frames} images"),
        budget::bytes_of(&[frames], 4 * size_of::<FramePlace>()),
    )
    .map_err(|cause| cause.to_string())?;
    Ok(frames as u32)
}

/// Whole frames that a region takes, in order.
struct Walk {
    strides: Vec<Stride>,
    sizes: Vec<u64>,
    count: u64,
}

impl Walk {
    /// All frames of a dataset.
    fn all(leading: &[usize]) -> Walk {
        let sizes: Vec<u64> = leading.iter().map(|&size| size as u64).collect();
        let all = |&count: &u64| Stride { start: 0, step: 1, count, block: 1 };
        Walk { strides: sizes.iter().map(all).collect(), count: sizes.iter().product(), sizes }
    }

    fn over(region: &Extract, leading: &[usize], kind: FrameKind) -> Result<Walk, String> {
        let strides = match &region.part {
            Share::All => {
                region.shape.iter().map(|&size| Stride { start: 0, step: 1, count: size, block: 1 }).collect()
            }
            Share::Regular(strides) => strides.clone(),
            Share::Endless => {
                return Err("goes on without an end (unlimited, or a name with %b), which is not read".into());
            }
            Share::Irregular => return Err("is not a regular pattern of blocks, which is not read".into()),
        };
        let Some((strides, image)) = strides.split_last_chunk::<2>() else {
            return Err("has fewer than two dimensions".into());
        };
        let whole = [kind.shape.slow, kind.shape.fast].iter().zip(image).all(|(&size, stride)| {
            let together = stride.count == 1 || stride.step == stride.block;
            stride.start == 0 && together && stride.count.checked_mul(stride.block) == Some(size as u64)
        });
        if !whole {
            return Err(format!(
                "gives pieces of images, or images of another size than {}, which are not put together",
                kind.shape
            ));
        }
        if strides.len() != leading.len() {
            return Err("has other dimensions than the dataset".into());
        }
        let count = strides
            .iter()
            .try_fold(1_u64, |count, stride| count.checked_mul(stride.count.checked_mul(stride.block)?));
        let count = count.filter(|&count| count <= MOST_FRAMES as u64).ok_or("gives too many images")?;
        Ok(Walk {
            strides: strides.to_vec(),
            sizes: leading.iter().map(|&size| size as u64).collect(),
            count,
        })
    }

    /// Number of the n-th frame in its dataset; `None` when it lies outside.
    fn index(&self, n: u64) -> Option<usize> {
        let (mut rest, mut index, mut below) = (n, 0_u64, 1_u64);
        for (stride, &size) in self.strides.iter().zip(&self.sizes).rev() {
            let along = stride.len();
            let at = stride.index(rest % along);
            if at >= size {
                return None;
            }
            rest /= along;
            index = at.checked_mul(below)?.checked_add(index)?;
            below = below.checked_mul(size)?;
        }
        usize::try_from(index).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{PixelType, Shape};

    const KIND: FrameKind = FrameKind { pixel: PixelType::U16, shape: Shape { slow: 4, fast: 6 } };

    fn stride(start: u64, step: u64, count: u64, block: u64) -> Stride {
        Stride { start, step, count, block }
    }

    fn walk(strides: Vec<Stride>, leading: &[usize]) -> Result<Vec<Option<usize>>, String> {
        let shape = leading.iter().map(|&size| size as u64).chain([4, 6]).collect();
        let walk = Walk::over(&Extract { shape, part: Share::Regular(strides) }, leading, KIND)?;
        Ok((0..walk.count).map(|n| walk.index(n)).collect())
    }

    #[test]
    fn regions_of_whole_images_are_walked_in_order() {
        let image = [stride(0, 1, 4, 1), stride(0, 6, 1, 6)];
        let of = |leading: &[Stride], sizes: &[usize]| walk([leading, &image].concat(), sizes);
        assert_eq!(of(&[stride(1, 4, 3, 1)], &[12]), Ok(vec![Some(1), Some(5), Some(9)]));
        assert_eq!(of(&[stride(0, 4, 2, 2)], &[12]), Ok(vec![Some(0), Some(1), Some(4), Some(5)]));
        // One channel of two.
        assert_eq!(
            of(&[stride(0, 1, 3, 1), stride(1, 1, 1, 1)], &[3, 2]),
            Ok(vec![Some(1), Some(3), Some(5)])
        );
        assert_eq!(of(&[stride(3, 1, 3, 1)], &[5]), Ok(vec![Some(3), Some(4), None]));
        assert_eq!(of(&[], &[]), Ok(vec![Some(0)]));
        assert!(walk(vec![stride(0, 1, 3, 1), stride(0, 1, 2, 1), stride(0, 1, 6, 1)], &[3]).is_err());
        assert!(of(&[stride(0, 1, u64::MAX, 1)], &[3]).is_err());
    }
}
