//! Builds the whole result file before the first frame, and says where its numbers go.
//!
//! ```text
//! /                      NXroot     default=entry_0000
//!   [azint1d | azint2d]  NXentry    the same as an application definition has it: see `azint.rs`
//!   entry_0000           NXentry    default=xrdct/result; title start_time end_time program_name
//!     pyFAI -> xrdct                where today's viewers look
//!     xrdct              NXprocess  program version date [route] status message duration frame_status [saturated] bad_frames
//!                                   [frame_device]: see `device.rs`
//!       configuration    NXnote     type data
//!       input            NXcollection   file_names date exposure_time …   (one value a frame)
//!       result           NXdata     intensity [errors] [std] [count] [azimuthal] <radial axis> frame | [map] map_ptr slow fast
//!       [measured]       NXcollection   the lines that frames come for, of a map that has more lines
//!       [sums]           NXcollection   signal [variance] norms norms_of: see `sums.rs`
//!       [part]                          of a part: which one, of what whole (JSON, `part.rs`)
//!       [merged_from]    NXcollection   file_names entry_identifier_uuids: the parts that it was merged from
//!       [segments]       NXcollection   of a master: file_names first_frames of (JSON): the files that have its rows, see `segments.rs`
//!       [segment]                       of a segment: which one, of what (JSON, `part.rs`)
//! ```
//! The names, attributes and the transposed `map` are those of pyFAI-diffmap, so that its viewer and the scripts made for
//! it read the file. `map` is a real array, not a virtual one: an image of one bin is one contiguous read.
//! Its signal is `map`, as diffmap's, unless there are errors: NeXus wants `errors` to have the shape of the signal, so
//! then the signal is `intensity`. So it is when bins have two axes: intensity is (frames, azimuthal, radial) or (slow, fast, azimuthal, radial)
//! then, and there is no `map`.
//!
//! A map whose last lines no frame will come for does not pay for them: its arrays in `result` (and `sums`) are virtual, the
//! lines in `measured` first and NaN (0 in `sums`) below. One mapping shows each array, so readers notice no difference.
//! A result that shows its parts has nothing else than virtual arrays, a mapping a part, of everything that has a value a row or a frame;
//! where a part is not there, its rows are pending. A master shows its segments the same way, from before the first of them is there.
use std::fs::File;

use hdf5::types::FixedUnicode;
use hdf5::{Group, Result};

use super::arrays::{Arrays, leading};
use super::azint;
use super::beside::Beside;
use super::device;
use super::layout::{BinAxis, FileStamp, Layout};
use super::part::MergedFrom;
use super::raster::{FrameNumbers, Raster};
use super::segments;
use super::sums::{SumPlaces, index_bytes};
use crate::files::library;
use crate::frame::{Column, Digest, FrameStatus};
use crate::output::nexus;

/// Longest date that is kept: DECTRIS writes at most 26 characters.
pub(in crate::output) const DATE_LEN: usize = 32;
/// Longest word for the status of a run.
pub(in crate::output) const STATUS_LEN: usize = 16;
/// Longest reason for the failure of a run.
pub(in crate::output) const MESSAGE_LEN: usize = 1024;

/// Bytes of a digest.
pub(super) const DIGEST_LEN: usize = size_of::<Digest>();

/// The status of a run that has not ended.
pub(in crate::output) const RUNNING: &str = "running";

/// What `row_crc` is made of, for people.
const CRC_OF: &str = "CRC-32 (zlib's) of the row's intensity, errors, std, count, sums/signal, sums/variance, its norms (N, then N2, then C), \
                                 saturated, the frame's numbers in input in their order, and its date, as far as they are there; 0: no pattern";

/// Where the numbers of a run go. Rows are points of the map, or frames, as far as they are stored.
#[derive(Debug, Clone, Default)]
pub(super) struct RowOffsets {
    /// f32 (rows, bins of each axis)
    pub intensity: u64,
    /// f32 (rows, bins of each axis) each
    pub beside: Vec<(Beside, u64)>,
    /// f32 (npt, rows)
    pub map: Option<u64>,
    pub sums: Option<SumPlaces>,
    /// u8 (rows, stored or not)
    pub frame_status: u64,
    /// u32 (rows)
    pub row_crc: u64,
    /// u32 (rows)
    pub saturated: Option<u64>,
    /// u8 (rows, stored or not), from when on rows are made elsewhere than planned
    pub frame_device: Option<u64>,
    /// f64 (frames): place in the header's numbers, offset
    pub header: Vec<(usize, u64)>,
    /// 16 bytes (frames)
    pub digests: Option<u64>,
    /// text of `DATE_LEN` (frames)
    pub date: u64,
    /// text of `DATE_LEN`, `STATUS_LEN`, `MESSAGE_LEN`
    pub end_time: u64,
    /// f64
    pub duration: u64,
    pub status: u64,
    pub message: u64,
}

/// At least how many bytes the file will have.
pub(super) fn size(layout: &Layout) -> u64 {
    if !layout.shows.is_empty() {
        return 0;
    }
    let per_row = (layout.npt() as u64).saturating_mul(bytes_of_bin(layout));
    let per_frame = (DATE_LEN + 8 * layout.header_numbers().len()) as u64;
    let rows = (layout.stored_rows() as u64).saturating_mul(per_row);
    rows.saturating_add((layout.frames as u64).saturating_mul(per_frame)).saturating_add(layout.rows() as u64)
}

/// Bytes of the file for each bin of each row, norms left out.
pub(super) fn bytes_of_bin(layout: &Layout) -> u64 {
    let arrays =
        [(true, 4), (layout.has_map(), 4), (layout.sums, 8), (layout.sums && layout.has(Beside::Errors), 8)];
    let beside = 4 * layout.beside.len() as u64;
    beside + arrays.iter().filter(|(is_there, _)| *is_there).map(|(_, bytes)| bytes).sum::<u64>()
}

/// Makes an empty file the skeleton.
pub(super) fn build(draft: &File, layout: &Layout) -> Result<RowOffsets> {
    let file = match layout.sums {
        true => library::create_with(draft, |access| access.meta_block_size(index_bytes(layout))),
        false => library::create_in(draft),
    }?;
    let mut places = RowOffsets::default();
    nexus::attribute(&file, "NX_class", "NXroot")?;
    nexus::attribute(&file, "default", "entry_0000")?;
    nexus::attribute(&file, "creator", "xrdct")?;
    nexus::attribute(&file, "file_time", &nexus::now())?;

    let entry = nexus::group(&file, "entry_0000", "NXentry")?;
    nexus::attribute(&entry, "default", "xrdct/result")?;
    nexus::text(&entry, "title", &layout.title)?;
    nexus::text(&entry, "program_name", "xrdct")?;
    let new = || (uuid::Uuid::new_v4().to_string(), nexus::now());
    let (uuid, start_time) = layout.goes_on.clone().unwrap_or_else(new);
    nexus::text(&entry, "entry_identifier_uuid", &uuid)?;
    nexus::text(&entry, "start_time", &start_time)?;
    places.end_time = nexus::reserve::<FixedUnicode<DATE_LEN>>(&entry, "end_time", ())?.1.offset;
    entry.link_soft("/entry_0000/xrdct", "pyFAI")?;

    let process = nexus::group(&entry, "xrdct", "NXprocess")?;
    nexus::attribute(&process, "default", "result")?;
    let is_short = layout.stored_rows() < layout.rows() && layout.shows.is_empty();
    let measured = match is_short {
        true => Some(nexus::group(&process, "measured", "NXcollection")?),
        false => None,
    };
    let arrays = Arrays { layout, measured: measured.as_ref() };
    describe(&process, layout, &mut places)?;
    rows(&process, &arrays, &mut places)?;
    input(&process, &arrays, &mut places)?;
    result(&process, &arrays, &mut places)?;
    if let Some(definition) = &layout.definition {
        azint::build(&file, layout, definition)?;
    }
    // The last: nothing may come after its table.
    if layout.sums {
        places.sums = Some(sums(&process, &arrays)?);
    }
    drop((entry, process, measured));
    file.close()?;
    Ok(places)
}

/// What ran, on what, and how far it came.
fn describe(process: &Group, layout: &Layout, places: &mut RowOffsets) -> Result<()> {
    nexus::text(process, "program", "xrdct")?;
    nexus::text(process, "version", env!("CARGO_PKG_VERSION"))?;
    nexus::text(process, "date", &nexus::now())?;
    for (name, file) in [("PONIfile", &layout.poni_file), ("maskfile", &layout.mask_file)] {
        if let Some(file) = file {
            nexus::text(process, name, file)?;
        }
    }
    for (name, files) in [("darkfiles", &layout.dark_files), ("flatfiles", &layout.flat_files)] {
        if !files.is_empty() {
            nexus::texts(process, name, files)?;
        }
    }
    nexus::number(process, "offset", layout.offset as i64)?;
    if let Some(scan) = &layout.scan {
        for (name, motor) in [("dim0", &scan.slow), ("dim1", &scan.fast)] {
            let dim = nexus::number(process, name, motor.points as i64)?;
            nexus::attribute(&dim, "axis", &motor.name)?;
            nexus::attribute_numbers(&dim, "range", &[motor.range.0, motor.range.1])?;
        }
        let radial = layout.bins().last().copied().unwrap_or(0);
        let dim = nexus::number(process, "dim2", radial as i64)?;
        nexus::attribute(&dim, "axis", "diffraction")?;
    }
    if let Some(route) = &layout.route {
        nexus::text(process, "route", route)?;
    }
    if let Some(part) = &layout.part {
        let part = serde_json::to_string(part).map_err(|e| e.to_string())?;
        nexus::text(process, "part", &part)?;
    }
    if !layout.merged_from.is_empty() {
        let merged = nexus::group(process, "merged_from", "NXcollection")?;
        let of = |name: fn(&MergedFrom) -> &str| layout.merged_from.iter().map(name).collect::<Vec<_>>();
        nexus::texts(&merged, "file_names", &of(|part| &part.name))?;
        nexus::texts(&merged, "entry_identifier_uuids", &of(|part| &part.uuid))?;
    }
    if layout.is_master {
        segments::describe(process, layout)?;
    }
    if let Some(segment) = &layout.segment {
        let segment = serde_json::to_string(segment).map_err(|e| e.to_string())?;
        nexus::text(process, "segment", &segment)?;
    }
    let configuration = nexus::group(process, "configuration", "NXnote")?;
    nexus::text(&configuration, "type", "application/json")?;
    nexus::text(&configuration, "data", &format!("{:#}", layout.configuration))?;
    nexus::text(&configuration, "recipe", &format!("{:#}", layout.recipe))?;

    places.status = nexus::reserve::<FixedUnicode<STATUS_LEN>>(process, "status", ())?.1.offset;
    places.message = nexus::reserve::<FixedUnicode<MESSAGE_LEN>>(process, "message", ())?.1.offset;
    places.duration =
        nexus::reserve_duration(process, "From the first frame to the last, and the file whole")?.offset;
    Ok(())
}

/// What became of each row.
fn rows(process: &Group, arrays: &Arrays<'_>, places: &mut RowOffsets) -> Result<()> {
    let (status, place) = arrays.values(process, "frame_status", FrameStatus::Pending as u8)?;
    nexus::attribute(&status, "legend", &nexus::status_legend())?;
    nexus::attribute(&status, "long_name", "What became of each frame")?;
    places.frame_status = place;
    let (crc, place) = arrays.values(process, "row_crc", 0_u32)?;
    nexus::attribute(&crc, "long_name", CRC_OF)?;
    places.row_crc = place;
    if arrays.layout.saturated {
        let (saturated, place) = arrays.values(process, "saturated", 0_u32)?;
        nexus::attribute(&saturated, "long_name", "Saturated pixels of each frame, of those that count")?;
        places.saturated = Some(place);
    }
    device::show(process, arrays)?;
    let bad = process
        .new_dataset::<hdf5::types::VarLenUnicode>()
        .chunk(64)
        .shape(hdf5::SimpleExtents::resizable([0]))
        .create("bad_frames")?;
    nexus::attribute(&bad, "long_name", "Why frames are bad, in the order of their numbers")
}

/// Names of the input files, and what each frame's header said.
fn input(process: &Group, arrays: &Arrays<'_>, places: &mut RowOffsets) -> Result<()> {
    let layout = arrays.layout;
    let input = nexus::group(process, "input", "NXcollection")?;
    nexus::texts(&input, "file_names", &layout.inputs)?;
    process.link_soft("input/file_names", "inputfiles")?;
    stamps(&input, &layout.stamps)?;
    if layout.digests {
        let (digests, place) = arrays.of_frames(&input, "content_md5", Some(DIGEST_LEN), 0_u8)?;
        nexus::attribute(
            &digests,
            "long_name",
            "MD5 of each frame's packed bytes, verified; zeros: not verified",
        )?;
        places.digests = Some(place);
    }
    places.date = arrays.of_frames(&input, "date", None, FixedUnicode::<DATE_LEN>::new())?.1;
    for (i, Column { name, unit }) in layout.header_numbers() {
        let (dataset, place) = arrays.of_frames(&input, name, None, f64::NAN)?;
        if !unit.is_empty() {
            nexus::attribute(&dataset, "units", unit)?;
        }
        places.header.push((i, place));
    }
    Ok(())
}

/// What the input files are, one value each.
pub(in crate::output) fn stamps(input: &Group, stamps: &[FileStamp]) -> Result<()> {
    let stamps = || stamps.iter();
    let count = [stamps().len()];
    let sizes = nexus::numbers(input, "file_sizes", count, &stamps().map(|s| s.size).collect::<Vec<_>>())?;
    nexus::attribute(&sizes, "long_name", "Bytes of each file when the run began; -1: not there")?;
    let times = nexus::numbers(input, "file_times", count, &stamps().map(|s| s.time).collect::<Vec<_>>())?;
    nexus::attribute(&times, "long_name", "When each file was last changed, since 1970 (UTC)")?;
    nexus::attribute(&times, "units", "ns")?;
    let heads = nexus::numbers(input, "file_heads", count, &stamps().map(|s| s.head).collect::<Vec<_>>())?;
    nexus::attribute(&heads, "long_name", "CRC-32 of the first 4 KiB of each file; 0: not looked at")
}

/// The patterns and their axes.
fn result(process: &Group, arrays: &Arrays<'_>, places: &mut RowOffsets) -> Result<()> {
    let layout = arrays.layout;
    let data = nexus::group(process, "result", "NXdata")?;
    let names: Vec<&str> = layout.axes.iter().map(|axis| axis.name.as_str()).collect();
    let each_is = if names.len() == 1 { "spectrum" } else { "image" };

    let (intensity, place) = arrays.patterns(&data, "intensity", f32::NAN)?;
    nexus::attribute(&intensity, "interpretation", each_is)?;
    nexus::attribute(&intensity, "long_name", "Intensity")?;
    places.intensity = place;
    for &beside in &layout.beside {
        let (dataset, place) = arrays.patterns(&data, beside.name(), f32::NAN)?;
        nexus::attribute(&dataset, "interpretation", each_is)?;
        nexus::attribute(&dataset, "long_name", beside.meaning())?;
        places.beside.push((beside, place));
    }
    for BinAxis { name, unit, long_name, centres } in &layout.axes {
        let axis = nexus::numbers(&data, name, [centres.len()], centres)?;
        nexus::attribute(&axis, "unit", unit)?;
        nexus::attribute(&axis, "units", unit)?;
        nexus::attribute(&axis, "long_name", long_name)?;
        nexus::attribute(&axis, "interpretation", "scalar")?;
    }

    let leading: &[&str] = match &layout.scan {
        None => {
            let FrameNumbers { first, step } = layout.numbers;
            let numbers: Vec<i64> = (0..layout.frames).map(|n| (first + n * step) as i64).collect();
            let frame = nexus::numbers(&data, "frame", [layout.frames], &numbers)?;
            nexus::attribute(&frame, "long_name", "Frame")?;
            &["frame"]
        }
        Some(scan) => {
            places.map = map(&data, arrays, scan)?;
            &["slow", "fast"]
        }
    };
    if layout.has_map() && !layout.has(Beside::Errors) {
        nexus::attribute(&data, "signal", "map")?;
        return nexus::attribute_list(&data, "axes", &[&names[..], leading].concat());
    }
    nexus::attribute(&data, "signal", "intensity")?;
    nexus::attribute_list(&data, "axes", &[leading, &names[..]].concat())
}

/// What only a map has: positions, which frame is where, and, of powder patterns, all with the bins first.
fn map(data: &Group, arrays: &Arrays<'_>, scan: &Raster) -> Result<Option<u64>> {
    let layout = arrays.layout;
    let (slow, fast) = (scan.slow.points, scan.fast.points);
    for (name, motor) in [("slow", &scan.slow), ("fast", &scan.fast)] {
        let positions = nexus::numbers(data, name, [motor.points], &motor.positions())?;
        nexus::attribute(&positions, "long_name", &motor.name)?;
        nexus::attribute(&positions, "interpretation", "scalar")?;
    }
    let mut frames = vec![-1_i32; scan.points()];
    for n in 0..layout.frames {
        frames[scan.point(n)] = i32::try_from(n + layout.offset).unwrap_or(i32::MAX);
    }
    let pointer = nexus::numbers(data, "map_ptr", [slow, fast], &frames)?;
    nexus::attribute(&pointer, "interpretation", "image")?;
    nexus::attribute(&pointer, "long_name", "Frame index for given map position")?;
    if !layout.has_map() {
        return Ok(None);
    }
    let (map, place) = arrays.turned(data, "map")?;
    nexus::attribute(&map, "interpretation", "image")?;
    nexus::attribute(&map, "long_name", "Intensity")?;
    Ok(Some(place))
}

/// The sums of the matrix, so that results can be merged and normalised again.
fn sums(process: &Group, arrays: &Arrays<'_>) -> Result<SumPlaces> {
    let layout = arrays.layout;
    let sums = nexus::group(process, "sums", "NXcollection")?;
    let rows = |name: &str, meaning: &str| -> Result<u64> {
        let (dataset, place) = arrays.patterns(&sums, name, 0.0_f64)?;
        nexus::attribute(&dataset, "long_name", meaning)?;
        nexus::attribute(&dataset, "interpretation", "spectrum")?;
        Ok(place)
    };
    let signal = rows("signal", "Sum of c·(raw - dark)")?;
    let variance = match layout.has(Beside::Errors) {
        true => Some(rows("variance", "Sum of c²·variance")?),
        false => None,
    };
    let (norms_of, place) = nexus::reserve::<u32>(&sums, "norms_of", leading(layout))?;
    nexus::attribute(&norms_of, "long_name", "Which row of norms each frame has; 0: no frame, or a bad one")?;
    SumPlaces::reserve(&sums, layout, signal, variance, place.offset)
}
