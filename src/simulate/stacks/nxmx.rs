//! A master as the application definition NXmx wants it (NeXus 2024.02): all frames in one virtual dataset, and every place as a
//! chain of axes.

use hdf5::types::OwnedDynValue;
use hdf5::{File, Group, H5Type, Hyperslab, Selection};

use super::BitDepth;
use super::master::Contents;
use crate::frame::Shape;
use crate::output::nexus;
use crate::simulate::series::date;

/// Writes it into an empty file.
pub(super) fn write(file: &File, contents: &Contents<'_>) -> hdf5::Result<()> {
    let period = contents.instrument.exposure_period;
    nexus::attribute(file, "NX_class", "NXroot")?;
    nexus::attribute(file, "default", "entry")?;
    let entry = nexus::group(file, "entry", "NXentry")?;
    nexus::attribute(&entry, "default", "data")?;
    nexus::attribute(&entry, "version", "1.0")?;
    nexus::text(&entry, "definition", "NXmx")?;
    let program = nexus::text(&entry, "program_name", "xrdct")?;
    nexus::attribute(&program, "version", env!("CARGO_PKG_VERSION"))?;
    let utc = |frame: usize| format!("{}Z", date(frame, period));
    nexus::text(&entry, "start_time", &utc(0))?;
    nexus::text(&entry, "end_time_estimated", &utc(contents.shots.len()))?;

    let data = nexus::group(&entry, "data", "NXdata")?;
    nexus::attribute(&data, "signal", "data")?;
    nexus::attribute_list(&data, "axes", &["image_id", ".", "."])?;
    nexus::attribute_numbers(&data, "image_id_indices", &[0_i32])?;
    let numbers: Vec<u64> = (contents.first as u64..).take(contents.shots.len()).collect();
    nexus::numbers(&data, "image_id", [numbers.len()], &numbers)?;
    match contents.depth {
        BitDepth::Sixteen => all_frames(&data, contents, u16::MAX),
        BitDepth::ThirtyTwo => all_frames(&data, contents, u32::MAX),
    }?;

    let place = nexus::group(&entry, "instrument", "NXinstrument")?;
    nexus::text(&place, "name", "simulated beamline")?;
    nexus::text(&place, "time_zone", "+00:00")?;
    contents.write_beam(&place)?;
    let detector = nexus::group(&place, "detector", "NXdetector")?;
    contents.write_detector(&detector)?;
    contents.write_distance(&detector, "distance")?;
    contents.write_serial_number(&detector, "serial_number")?;
    contents.write_pixel_mask(&detector)?;
    nexus::number(&detector, "underload_value", 0_i64)?;
    contents.write_place(&detector)?;

    let sample = contents.write_sample(&entry)?;
    contents.write_beam(&sample)?;
    let source = nexus::group(&entry, "source", "NXsource")?;
    nexus::text(&source, "name", "simulated source").map(|_| ())
}

/// The frames of all data files; those of a file that is not there read as "no count".
fn all_frames<T: H5Type + Into<OwnedDynValue>>(
    data: &Group,
    contents: &Contents<'_>,
    no_count: T,
) -> hdf5::Result<()> {
    let Shape { slow, fast } = contents.shape;
    let shape = [contents.shots.len(), slow, fast];
    let mut builder = data.new_dataset::<T>().fill_value(no_count).shape(shape);
    let mut first = 0;
    for (name, frames) in &contents.data {
        // In names of parts a percent sign begins a pattern.
        let name = name.replace('%', "%%");
        let there = Hyperslab::from(vec![(first..first + frames).into(), (0..slow).into(), (0..fast).into()]);
        let stored = [*frames, slow, fast];
        builder = builder.virtual_map(&name, "/entry/data/data", stored, Selection::All, shape, there);
        first += frames;
    }
    let dataset = builder.create("data")?;
    nexus::attribute(&dataset, "interpretation", "image")
}
