//! Builds the whole result file before the first frame, and says where its numbers go.
//!
//! ```text
//! /                      NXroot     default=entry_0000
//!   entry_0000           NXentry    default=xrdct/result; title start_time end_time program_name
//!     pyFAI -> xrdct                where today's viewers look
//!     xrdct              NXprocess  program version date status message duration frame_status bad_frames
//!       configuration    NXnote     type data
//!       input            NXcollection   file_names date exposure_time …   (one value a frame)
//!       result           NXdata     intensity [errors] <radial axis> frame | map map_ptr slow fast
//!       sums             NXcollection   signal [variance] normalization normalization_squared count
//! ```
//! The names, attributes and the transposed `map` are those of pyFAI-diffmap, so that its viewer and the scripts made for
//! it read the file. `map` is a real array, not a virtual one: an image of one bin is one contiguous read.
//! Its signal is `map`, as diffmap's, unless there are errors: NeXus wants `errors` to have the shape of the signal, so
//! then the signal is `intensity`.
use std::path::Path;

use hdf5::types::FixedUnicode;
use hdf5::{Group, Result};

use super::layout::{Layout, Scan};
use crate::output::nexus::{self, Place};

/// Longest date that is kept: DECTRIS writes at most 26 characters.
pub(in crate::output) const DATE_LEN: usize = 32;
/// Longest word for the status of a run.
pub(in crate::output) const STATUS_LEN: usize = 16;
/// Longest reason for the failure of a run.
pub(in crate::output) const MESSAGE_LEN: usize = 1024;

/// The status of a run that has not ended.
pub(in crate::output) const RUNNING: &str = "running";

/// Where the numbers of a run go. Rows are points of the map, or frames.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    /// f32 (rows, npt)
    pub intensity: u64,
    /// f32 (rows, npt)
    pub errors: Option<u64>,
    /// f32 (npt, rows)
    pub map: Option<u64>,
    /// f64 (rows, npt) each
    pub signal: u64,
    pub variance: Option<u64>,
    pub normalization: u64,
    pub normalization_squared: u64,
    pub count: u64,
    /// u8 (rows)
    pub frame_status: u64,
    /// f64 (frames): place in the header's numbers, offset
    pub header: Vec<(usize, u64)>,
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
    let per_bin =
        4 + 4 * 8 + if layout.errors { 4 + 8 } else { 0 } + if layout.scan.is_some() { 4 } else { 0 };
    let bins = (layout.rows() as u64).saturating_mul(layout.npt() as u64);
    let per_frame = (DATE_LEN + 8 * layout.header_numbers().len() + 1) as u64;
    bins.saturating_mul(per_bin).saturating_add((layout.frames as u64).saturating_mul(per_frame))
}

/// Writes the skeleton into the file at `path` and closes it.
pub(super) fn build(path: &Path, layout: &Layout) -> Result<Places> {
    let file = nexus::builder().create(path)?;
    let mut places = Places::default();
    nexus::attribute(&file, "NX_class", "NXroot")?;
    nexus::attribute(&file, "default", "entry_0000")?;
    nexus::attribute(&file, "creator", "xrdct")?;
    nexus::attribute(&file, "file_time", &nexus::now())?;

    let entry = nexus::group(&file, "entry_0000", "NXentry")?;
    nexus::attribute(&entry, "default", "xrdct/result")?;
    nexus::text(&entry, "title", &layout.title)?;
    nexus::text(&entry, "program_name", "xrdct")?;
    nexus::text(&entry, "start_time", &nexus::now())?;
    places.end_time = nexus::reserve::<FixedUnicode<DATE_LEN>>(&entry, "end_time", ())?.1.offset;
    entry.link_soft("/entry_0000/xrdct", "pyFAI")?;

    let process = nexus::group(&entry, "xrdct", "NXprocess")?;
    nexus::attribute(&process, "default", "result")?;
    describe(&process, layout, &mut places)?;
    input(&process, layout, &mut places)?;
    result(&process, layout, &mut places)?;
    sums(&process, layout, &mut places)?;
    drop((entry, process));
    file.close()?;
    Ok(places)
}

/// What ran, on what, and how far it came.
fn describe(process: &Group, layout: &Layout, places: &mut Places) -> Result<()> {
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
        let dim = nexus::number(process, "dim2", layout.npt() as i64)?;
        nexus::attribute(&dim, "axis", "diffraction")?;
    }
    let configuration = nexus::group(process, "configuration", "NXnote")?;
    nexus::text(&configuration, "type", "application/json")?;
    nexus::text(&configuration, "data", &format!("{:#}", layout.configuration))?;

    places.status = nexus::reserve::<FixedUnicode<STATUS_LEN>>(process, "status", ())?.1.offset;
    places.message = nexus::reserve::<FixedUnicode<MESSAGE_LEN>>(process, "message", ())?.1.offset;
    places.duration =
        nexus::reserve_duration(process, "From the first frame to the last, and the file whole")?.offset;
    let (status, place) = nexus::reserve::<u8>(process, "frame_status", leading(layout))?;
    nexus::attribute(&status, "legend", &nexus::status_legend())?;
    nexus::attribute(&status, "long_name", "What became of each frame")?;
    places.frame_status = place.offset;
    let bad = process
        .new_dataset::<hdf5::types::VarLenUnicode>()
        .chunk(64)
        .shape(hdf5::SimpleExtents::resizable([0]))
        .create("bad_frames")?;
    nexus::attribute(&bad, "long_name", "Why frames are bad, in the order of their numbers")
}

/// Names of the input files, and what each frame's header said.
fn input(process: &Group, layout: &Layout, places: &mut Places) -> Result<()> {
    let input = nexus::group(process, "input", "NXcollection")?;
    nexus::texts(&input, "file_names", &layout.inputs)?;
    process.link_soft("input/file_names", "inputfiles")?;
    places.date = nexus::reserve::<FixedUnicode<DATE_LEN>>(&input, "date", [layout.frames])?.1.offset;
    for (i, name) in layout.header_numbers() {
        let (dataset, place) = nexus::reserve::<f64>(&input, name, [layout.frames])?;
        nexus::attribute(&dataset, "units", header_unit(name))?;
        places.header.push((i, place.offset));
    }
    Ok(())
}

/// Units of the numbers in DECTRIS headers, as NeXus spells them.
fn header_unit(name: &str) -> &'static str {
    match name {
        "exposure_time" | "exposure_period" => "s",
        "start_position" | "position_increment" => "m",
        "flux" => "1/s",
        _ => "deg",
    }
}

/// The patterns and their axes.
fn result(process: &Group, layout: &Layout, places: &mut Places) -> Result<()> {
    let data = nexus::group(process, "result", "NXdata")?;
    let rad = layout.axis.name.as_str();
    let mut shape = leading(layout);
    shape.push(layout.npt());

    let (intensity, place) = nexus::reserve::<f32>(&data, "intensity", shape.clone())?;
    nexus::attribute(&intensity, "interpretation", "spectrum")?;
    nexus::attribute(&intensity, "long_name", "Intensity")?;
    places.intensity = place.offset;
    if layout.errors {
        let (errors, place) = nexus::reserve::<f32>(&data, "errors", shape)?;
        nexus::attribute(&errors, "interpretation", "spectrum")?;
        nexus::attribute(&errors, "long_name", "Standard error of the intensity")?;
        places.errors = Some(place.offset);
    }
    let axis = nexus::numbers(&data, rad, [layout.npt()], &layout.axis.centres)?;
    nexus::attribute(&axis, "unit", &layout.axis.unit)?;
    nexus::attribute(&axis, "units", &layout.axis.unit)?;
    nexus::attribute(&axis, "long_name", &layout.axis.long_name)?;
    nexus::attribute(&axis, "interpretation", "scalar")?;

    match &layout.scan {
        None => {
            let numbers: Vec<i64> = (0..layout.frames).map(|n| (n + layout.offset) as i64).collect();
            let frame = nexus::numbers(&data, "frame", [layout.frames], &numbers)?;
            nexus::attribute(&frame, "long_name", "Frame")?;
            nexus::attribute(&data, "signal", "intensity")?;
            nexus::attribute_list(&data, "axes", &["frame", rad])
        }
        Some(scan) => {
            places.map = Some(map(&data, layout, scan)?.offset);
            if layout.errors {
                nexus::attribute(&data, "signal", "intensity")?;
                nexus::attribute_list(&data, "axes", &["slow", "fast", rad])
            } else {
                nexus::attribute(&data, "signal", "map")?;
                nexus::attribute_list(&data, "axes", &[rad, "slow", "fast"])
            }
        }
    }
}

/// What only a map has: positions, which frame is where, and the patterns with the bins first.
fn map(data: &Group, layout: &Layout, scan: &Scan) -> Result<Place> {
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
    let (map, place) = nexus::reserve::<f32>(data, "map", [layout.npt(), slow, fast])?;
    nexus::attribute(&map, "interpretation", "image")?;
    nexus::attribute(&map, "long_name", "Intensity")?;
    Ok(place)
}

/// The sums of the matrix, so that results can be merged and normalised again.
fn sums(process: &Group, layout: &Layout, places: &mut Places) -> Result<()> {
    let sums = nexus::group(process, "sums", "NXcollection")?;
    let mut shape = leading(layout);
    shape.push(layout.npt());
    let reserve = |name: &str, meaning: &str| -> Result<u64> {
        let (dataset, place) = nexus::reserve::<f64>(&sums, name, shape.clone())?;
        nexus::attribute(&dataset, "long_name", meaning)?;
        nexus::attribute(&dataset, "interpretation", "spectrum")?;
        Ok(place.offset)
    };
    places.signal = reserve("signal", "Sum of c·(raw - dark)")?;
    if layout.errors {
        places.variance = Some(reserve("variance", "Sum of c²·variance")?);
    }
    places.normalization = reserve("normalization", "Sum of c·norm")?;
    places.normalization_squared = reserve("normalization_squared", "Sum of (c·norm)²")?;
    places.count = reserve("count", "Sum of c")?;
    Ok(())
}

/// Shape of everything that has one value a row: (frames) or (slow, fast).
fn leading(layout: &Layout) -> Vec<usize> {
    match &layout.scan {
        Some(scan) => vec![scan.slow.points, scan.fast.points],
        None => vec![layout.frames],
    }
}
