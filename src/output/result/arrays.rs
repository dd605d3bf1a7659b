//! The datasets that have a value or a pattern a row, or a value a frame: with room of their own, or showing those of other files.

use std::ops::Range;

use hdf5::types::OwnedDynValue;
use hdf5::{Dataset, Group, H5Type, Result};

use super::layout::Layout;
use super::part::VirtualPart;
use crate::output::nexus::{self, Elsewhere};

/// Makes them.
pub(super) struct Arrays<'a> {
    pub layout: &'a Layout,
    /// Where the stored lines are when there are fewer than the map has.
    pub measured: Option<&'a Group>,
}

/// What the places along one of an array's axes are.
#[derive(Clone, Copy)]
enum Along {
    /// Lines of the map, or frames where there is none.
    Lines,
    /// Frames.
    Frames,
}

impl Arrays<'_> {
    /// An array (rows, bins of each axis), in the shape of the map if there is one, and its place. Rows that are not stored read as `beyond`.
    pub(super) fn patterns<T: H5Type + Into<OwnedDynValue>>(
        &self,
        group: &Group,
        name: &str,
        beyond: T,
    ) -> Result<(Dataset, u64)> {
        let shape = |lines: Vec<usize>| [lines, self.layout.bins()].concat();
        self.of_lines(group, name, [leading(self.layout), stored(self.layout)].map(shape), 0, beyond)
    }

    /// An array (npt, slow, fast), likewise.
    pub(super) fn turned(&self, group: &Group, name: &str) -> Result<(Dataset, u64)> {
        let shape = |lines: Vec<usize>| [vec![self.layout.npt()], lines].concat();
        self.of_lines(group, name, [leading(self.layout), stored(self.layout)].map(shape), 1, f32::NAN)
    }

    /// A value a row, stored or not; `absent` where a file that it shows is not there.
    pub(super) fn values<T: H5Type + Into<OwnedDynValue>>(
        &self,
        group: &Group,
        name: &str,
        absent: T,
    ) -> Result<(Dataset, u64)> {
        match self.layout.shows[..] {
            [] => own::<T>(group, name, &leading(self.layout)),
            _ => Ok((self.show(group, name, self.layout.shows.iter(), absent)?, 0)),
        }
    }

    /// A value a row, shown as these files have it.
    pub(super) fn show<'p, T: H5Type + Into<OwnedDynValue>>(
        &self,
        group: &Group,
        name: &str,
        parts: impl Iterator<Item = &'p VirtualPart>,
        absent: T,
    ) -> Result<Dataset> {
        let places = self.places(parts, Along::Lines, 0);
        nexus::show_files(group, name, &leading(self.layout), &places, absent)
    }

    /// So many values a frame; `absent` where a file that it shows is not there.
    pub(super) fn of_frames<T: H5Type + Into<OwnedDynValue>>(
        &self,
        group: &Group,
        name: &str,
        each: Option<usize>,
        absent: T,
    ) -> Result<(Dataset, u64)> {
        let shape: Vec<usize> = std::iter::once(self.layout.frames).chain(each).collect();
        match self.layout.shows[..] {
            [] => own::<T>(group, name, &shape),
            _ => {
                let places = self.places(self.layout.shows.iter(), Along::Frames, 0);
                Ok((nexus::show_files(group, name, &shape, &places, absent)?, 0))
            }
        }
    }

    fn of_lines<T: H5Type + Into<OwnedDynValue>>(
        &self,
        group: &Group,
        name: &str,
        [shown, stored]: [Vec<usize>; 2],
        axis: usize,
        beyond: T,
    ) -> Result<(Dataset, u64)> {
        if !self.layout.shows.is_empty() {
            let places = self.places(self.layout.shows.iter(), Along::Lines, axis);
            return Ok((nexus::show_files(group, name, &shown, &places, beyond)?, 0));
        }
        let (dataset, place) = own::<T>(self.measured.unwrap_or(group), name, &stored)?;
        match self.measured {
            None => Ok((dataset, place)),
            Some(_) => Ok((nexus::show(group, name, &shown, &dataset, beyond)?, place)),
        }
    }

    /// Where along an axis the arrays of parts are shown.
    fn places<'p>(
        &self,
        parts: impl Iterator<Item = &'p VirtualPart>,
        along: Along,
        axis: usize,
    ) -> Vec<Elsewhere> {
        let range = |part: &VirtualPart| -> Range<usize> {
            match (along, &self.layout.scan) {
                (Along::Lines, Some(scan)) => {
                    let first = part.first / scan.fast.points;
                    first..first + part.frames.div_ceil(scan.fast.points)
                }
                _ => part.first..part.first + part.frames,
            }
        };
        parts.map(|part| Elsewhere { file: part.file.clone(), axis, range: range(part) }).collect()
    }
}

fn own<T: H5Type>(group: &Group, name: &str, shape: &[usize]) -> Result<(Dataset, u64)> {
    let (dataset, place) = nexus::reserve::<T>(group, name, shape)?;
    Ok((dataset, place.offset))
}

/// Shape of everything that has one value a row: (frames) or (slow, fast).
pub(super) fn leading(layout: &Layout) -> Vec<usize> {
    match &layout.scan {
        Some(scan) => vec![scan.slow.points, scan.fast.points],
        None => vec![layout.frames],
    }
}

/// The same of the rows that are stored.
fn stored(layout: &Layout) -> Vec<usize> {
    match &layout.scan {
        Some(scan) => vec![layout.stored_rows() / scan.fast.points, scan.fast.points],
        None => vec![layout.frames],
    }
}
