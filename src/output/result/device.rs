//! `frame_device`: which rows were made elsewhere than planned. Only a result that has such rows has it. And `lost_devices`, beside rows
//! that are as planned.
//!
//! It comes into the file when the first of them is about to. From then on marks are written like statuses, before them: a row that says
//! `good` is marked, whatever happens next.

use std::fs::File;

use hdf5::{Dataset, Group, Result};

use super::arrays::{Arrays, leading};
use super::layout::Layout;

use crate::files::library;
use crate::h5;
use crate::output::nexus;

const NAME: &str = "frame_device";
const LOST: &str = "lost_devices";
const REASON: &str = "reason";

/// A row that was made where it was planned, or that no frame came for.
const AS_PLANNED: u8 = 0;
/// A row that the CPU made.
pub(super) const CPU: u8 = 1;

/// What is written for a row.
pub(super) const fn mark(by_cpu: bool) -> u8 {
    if by_cpu { CPU } else { AS_PLANNED }
}

/// Bytes that the dataset takes in the file at most, for `rows` rows.
pub(super) fn room(rows: usize) -> u64 {
    (1 << 16) + rows as u64
}

/// Puts the dataset into a file that is there; where its bytes are, one a row. They must still be written.
pub(super) fn reserve(file: &File, layout: &Layout, why: &str) -> Result<u64> {
    let file = library::open_to_change(file)?;
    let process = file.group("entry_0000/xrdct")?;
    let (device, place) = nexus::reserve::<u8>(&process, NAME, leading(layout))?;
    describe(&device, why)?;
    drop((device, process));
    file.close()?;
    Ok(place.offset)
}

/// Shows the datasets of other files in one, in a file that is being made.
pub(super) fn show(process: &Group, arrays: &Arrays<'_>) -> Result<()> {
    let marked = arrays.layout.shows.iter().filter(|part| part.gone_over.is_some());
    let Some(why) = marked.clone().find_map(|part| part.gone_over.as_deref()) else { return Ok(()) };
    let device = arrays.show::<u8>(process, NAME, marked, AS_PLANNED)?;
    describe(&device, why)
}

fn describe(device: &Dataset, why: &str) -> Result<()> {
    nexus::attribute(device, "legend", &format!("{AS_PLANNED} = as_planned, {CPU} = cpu"))?;
    nexus::attribute(device, "long_name", "Where each frame was reduced")?;
    nexus::attribute(device, REASON, why)
}

/// Writes why devices were lost, one text each, in the place of those that are there.
pub(super) fn note_lost(file: &File, why: &[String]) -> Result<()> {
    let file = library::open_to_change(file)?;
    let process = file.group("entry_0000/xrdct")?;
    if process.link_exists(LOST) {
        process.unlink(LOST)?;
    }
    let lost = nexus::texts(&process, LOST, why)?;
    nexus::attribute(&lost, "long_name", "Devices that failed, whose frames others of their kind did again")?;
    drop((lost, process));
    file.close()
}

/// Why devices were lost; none where every one did its frames to the end.
pub(super) fn lost(process: &h5::Group) -> h5::Result<Vec<String>> {
    if process.link_exists(LOST) { nexus::read_texts(process, LOST) } else { Ok(vec![]) }
}

/// The mark of each row; `None` where every row was made where it was planned.
pub(super) fn marks(process: &h5::Group) -> h5::Result<Option<Vec<u8>>> {
    match process.link_exists(NAME) {
        true => Ok(Some(process.dataset(NAME)?.read_raw()?)),
        false => Ok(None),
    }
}

/// How many rows the CPU made, and why; `None` where every row was made where it was planned.
pub(super) fn read(process: &h5::Group) -> h5::Result<Option<(usize, String)>> {
    let Some(marks) = marks(process)? else { return Ok(None) };
    let why = nexus::read_attribute(&process.dataset(NAME)?, REASON).unwrap_or_default();
    Ok(Some((marks.iter().filter(|mark| **mark == CPU).count(), why)))
}
