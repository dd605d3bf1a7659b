//! Builds the tomogram file before its first slice, and says where the numbers go.
use std::fs::File;

use hdf5::types::FixedUnicode;
use hdf5::{Dataset, Group, Result};

use super::TomogramLayout;
use crate::files::library;
use crate::h5;
use crate::output::nexus;
use crate::output::result::{BinAxis, DATE_LEN, MESSAGE_LEN, STATUS_LEN};

/// How to read angles, axes and signs; written into the file word for word.
const CONVENTIONS: &str = "x points right, y up, both ascending with the index: tomogram[..., 0, :] is the lowest row; the \
    origin is on the rotation axis. The sample turns counter-clockwise by the rotation, and a sinogram's value is what lies on \
    x*cos(rotation) - y*sin(rotation) = translation - axis.";

/// Name of the axis of sectors, and of the dataset that has their ends.
pub(super) const AZIMUTHAL: &str = "azimuthal";
pub(super) const BOUNDS: &str = "azimuthal_bounds";

/// Where numbers and texts lie in the file.
#[derive(Debug, Clone, Default)]
pub(super) struct SliceOffsets {
    /// f32 ([sectors,] bins, rotation, translation); 0 without bins.
    pub sinogram: u64,
    /// f32 ([sectors,] bins, y, x)
    pub tomogram: u64,
    /// Sinograms and slices of each region.
    pub regions: Vec<(u64, u64)>,
    /// u8 (slices)
    pub done: u64,
    pub status: u64,
    pub message: u64,
    pub end_time: u64,
    pub duration: u64,
}

/// Makes an empty file the skeleton.
pub(super) fn build(draft: &File, layout: &TomogramLayout) -> Result<()> {
    let file = library::create_in(draft)?;
    nexus::attribute(&file, "NX_class", "NXroot")?;
    nexus::attribute(&file, "default", "entry_0000")?;
    nexus::attribute(&file, "creator", "xrdct")?;
    let entry = nexus::group(&file, "entry_0000", "NXentry")?;
    let first = layout.regions.first().map(|region| format!("tomo/regions/{}/tomogram", region.name));
    let default = if layout.all_bins { Some("tomo/tomogram".to_owned()) } else { first };
    nexus::attribute(&entry, "default", &default.unwrap_or_else(|| "tomo/mean_pattern".into()))?;
    nexus::text(&entry, "title", "xrdct tomo")?;
    nexus::text(&entry, "program_name", "xrdct")?;
    nexus::text(&entry, "start_time", &nexus::now())?;
    nexus::text(&entry, "definition_of_axes", CONVENTIONS)?;
    nexus::reserve::<FixedUnicode<DATE_LEN>>(&entry, "end_time", ())?;

    let process = nexus::group(&entry, "tomo", "NXprocess")?;
    nexus::text(&process, "program", "xrdct")?;
    nexus::text(&process, "version", env!("CARGO_PKG_VERSION"))?;
    nexus::text(&process, "date", &nexus::now())?;
    nexus::text(&process, "input_file", &layout.input)?;
    nexus::text(&process, "input_identity", &layout.input_identity)?;
    nexus::texts(&process, "repairs", &layout.repairs)?;
    let axis = nexus::number(&process, "axis", layout.centre)?;
    nexus::attribute(&axis, "long_name", "Rotation axis, translation steps from the first")?;
    nexus::reserve::<FixedUnicode<STATUS_LEN>>(&process, "status", ())?;
    nexus::reserve::<FixedUnicode<MESSAGE_LEN>>(&process, "message", ())?;
    nexus::reserve_duration(&process, "From the first slice to the last, of all runs that made some")?;
    let done = nexus::reserve::<u8>(&process, "bin_done", [layout.slices().max(1)])?.0;
    nexus::attribute(&done, "long_name", "1: this slice is complete (bins, then regions)")?;
    let configuration = nexus::group(&process, "configuration", "NXnote")?;
    nexus::text(&configuration, "type", "application/json")?;
    nexus::text(&configuration, "data", &format!("{:#}", layout.configuration))?;

    let mean = data(&process, "mean_pattern", "intensity", &[&layout.axis.name], layout)?;
    radial(&mean, &layout.axis)?;
    let shape = with_sectors(layout, [layout.axis.centres.len()]);
    let intensity = nexus::numbers(&mean, "intensity", shape, &layout.mean)?;
    nexus::attribute(&intensity, "long_name", "Mean intensity")?;
    if layout.all_bins {
        let name = layout.axis.name.as_str();
        let bins = layout.axis.centres.len();
        let group = data(&process, "sinogram", "sinogram", &[name, "rotation", "translation"], layout)?;
        radial(&group, &layout.axis)?;
        rays(&group, layout)?;
        let points = [layout.rotation.len(), layout.translation.len()];
        let shape = with_sectors(layout, [bins, points[0], points[1]]);
        image(&nexus::reserve::<f32>(&group, "sinogram", shape)?.0, "Intensity", None)?;
        let missing = nexus::numbers(&group, "missing", points, &layout.missing)?;
        nexus::attribute(&missing, "long_name", "1: this point was interpolated")?;
        let group = data(&process, "tomogram", "tomogram", &[name, "y", "x"], layout)?;
        radial(&group, &layout.axis)?;
        pixels(&group, layout)?;
        let shape = with_sectors(layout, [bins, layout.y.len(), layout.x.len()]);
        image(&nexus::reserve::<f32>(&group, "tomogram", shape)?.0, "Intensity", Some(&layout.unit))?;
    }
    let regions = nexus::group(&process, "regions", "NXcollection")?;
    for region in &layout.regions {
        let group = nexus::group(&regions, &region.name, "NXcollection")?;
        nexus::attribute_numbers(&group, "range", &[region.from, region.to])?;
        nexus::attribute(&group, "unit", &layout.axis.unit)?;
        nexus::attribute(&group, "background", &region.background)?;
        let sinogram = data(&group, "sinogram", "sinogram", &["rotation", "translation"], layout)?;
        rays(&sinogram, layout)?;
        let shape = with_sectors(layout, [layout.rotation.len(), layout.translation.len()]);
        nexus::attribute(&sinogram, "title", &region.name)?;
        image(&nexus::reserve::<f32>(&sinogram, "sinogram", shape)?.0, &region.name, None)?;
        let tomogram = data(&group, "tomogram", "tomogram", &["y", "x"], layout)?;
        pixels(&tomogram, layout)?;
        nexus::attribute(&tomogram, "title", &region.name)?;
        let shape = with_sectors(layout, [layout.y.len(), layout.x.len()]);
        image(&nexus::reserve::<f32>(&tomogram, "tomogram", shape)?.0, &region.name, Some(&layout.unit))?;
    }
    drop((entry, process));
    file.close()
}

/// Where the numbers of a file with this layout lie. Each place is as large as the layout says and inside the file: it is
/// going to be written to. `parts` is what HDF5 finds in `file`.
pub(super) fn find(parts: &h5::File, file: &File, layout: &TomogramLayout) -> h5::Result<SliceOffsets> {
    let length = file.metadata().map_err(|cause| cause.to_string())?.len();
    let place = |name: &str, wanted: usize| match parts.dataset(&format!("entry_0000/{name}"))?.facts().place
    {
        Some((offset, bytes))
            if bytes == wanted as u64 && offset.checked_add(bytes).is_some_and(|end| end <= length) =>
        {
            Ok(offset)
        }
        _ => Err(h5::Error::from(format!("`{name}` has not {wanted} bytes of its own in the file"))),
    };
    let (sinogram, slice) = (4 * layout.sinogram(), 4 * layout.slice());
    let region = |name: &str| -> h5::Result<(u64, u64)> {
        let place = |what: &str, bytes: usize| {
            place(&format!("tomo/regions/{name}/{what}/{what}"), layout.parts() * bytes)
        };
        Ok((place("sinogram", sinogram)?, place("tomogram", slice)?))
    };
    let bins = layout.bins();
    Ok(SliceOffsets {
        sinogram: if layout.all_bins { place("tomo/sinogram/sinogram", bins * sinogram)? } else { 0 },
        tomogram: if layout.all_bins { place("tomo/tomogram/tomogram", bins * slice)? } else { 0 },
        regions: layout.regions.iter().map(|r| region(&r.name)).collect::<h5::Result<_>>()?,
        done: place("tomo/bin_done", layout.slices().max(1))?,
        status: place("tomo/status", STATUS_LEN)?,
        message: place("tomo/message", MESSAGE_LEN)?,
        end_time: place("end_time", DATE_LEN)?,
        duration: place("tomo/duration", size_of::<f64>())?,
    })
}

/// Data with these axes, before which that of sectors comes if there are any.
fn data(parent: &Group, name: &str, signal: &str, axes: &[&str], layout: &TomogramLayout) -> Result<Group> {
    let group = nexus::group(parent, name, "NXdata")?;
    nexus::attribute(&group, "signal", signal)?;
    if layout.sectors.is_empty() {
        nexus::attribute_list(&group, "axes", axes)?;
        return Ok(group);
    }
    nexus::attribute_list(&group, "axes", &[&[AZIMUTHAL], axes].concat())?;
    let middle: Vec<f64> = layout.sectors.iter().map(|[low, high]| (low + high) / 2.0).collect();
    length(&group, AZIMUTHAL, &middle, "deg", "Middle of the sector, azimuthal angle (deg)")?;
    let axis = group.dataset(AZIMUTHAL)?;
    nexus::attribute(&axis, "bounds", BOUNDS)?;
    let bounds = nexus::numbers(&group, BOUNDS, [middle.len(), 2], layout.sectors.as_flattened())?;
    nexus::attribute(&bounds, "units", "deg")?;
    nexus::attribute(&bounds, "long_name", "Where each sector begins and ends (deg)")?;
    Ok(group)
}

/// A shape, before which the number of sectors comes if there are any.
fn with_sectors<const N: usize>(layout: &TomogramLayout, shape: [usize; N]) -> Vec<usize> {
    let sectors = (!layout.sectors.is_empty()).then_some(layout.sectors.len());
    sectors.into_iter().chain(shape).collect()
}

fn radial(group: &Group, axis: &BinAxis) -> Result<()> {
    let dataset = nexus::numbers(group, &axis.name, [axis.centres.len()], &axis.centres)?;
    nexus::attribute(&dataset, "unit", &axis.unit)?;
    nexus::attribute(&dataset, "units", &axis.unit)?;
    nexus::attribute(&dataset, "long_name", &axis.long_name)
}

fn rays(group: &Group, layout: &TomogramLayout) -> Result<()> {
    length(group, "rotation", &layout.rotation, "deg", "Rotation (deg)")?;
    length(group, "translation", &layout.translation, &layout.unit, &format!("Translation ({})", layout.unit))
}

fn pixels(group: &Group, layout: &TomogramLayout) -> Result<()> {
    length(group, "y", &layout.y, &layout.unit, &format!("y ({})", layout.unit))?;
    length(group, "x", &layout.x, &layout.unit, &format!("x ({})", layout.unit))
}

fn length(group: &Group, name: &str, values: &[f64], unit: &str, long_name: &str) -> Result<()> {
    let dataset = nexus::numbers(group, name, [values.len()], values)?;
    nexus::attribute(&dataset, "units", unit)?;
    nexus::attribute(&dataset, "long_name", long_name)
}

/// Says how an array of pictures is to be shown; `per` is the length that slices are a density over.
fn image(dataset: &Dataset, long_name: &str, per: Option<&str>) -> Result<()> {
    nexus::attribute(dataset, "interpretation", "image")?;
    nexus::attribute(dataset, "long_name", long_name)?;
    match per {
        Some(unit) => nexus::attribute(dataset, "units", &format!("1/{unit}")),
        None => Ok(()),
    }
}
