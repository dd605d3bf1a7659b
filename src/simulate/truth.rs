//! Saves what the phantom really is beside its frames: `truth.h5`, a NeXus file.
//!
//! ```text
//! /                     NXroot        default = "phantom"
//! /phantom              NXentry       default = the first phase; title, definition_of_axes (text);
//!                                     attributes: step, field, diameter, axis, range, wavelength
//!   /<phase>            NXdata        map (y, x): part of the volume, 0 … 1; x, y in mm,
//!                                     ascending (row 0 is the lowest)
//!   /<phase>_sinogram   NXdata        sinogram (rotation, translation): length on the ray, mm
//!   /<phase>_lines      NXcollection  d (Å), q (nm^-1), two_theta (deg), area; attribute region:
//!                                     q limits of a line that no other phase disturbs
//!   /frames             NXcollection  rotation (deg), translation (mm), row, column of each frame
//! ```

use std::path::Path;

use hdf5::types::VarLenUnicode;
use hdf5::{Group, Location};
use ndarray::ArrayView2;

use super::pattern::Ring;
use super::phantom::{Trajectory, Truth};
use crate::files::library;
use crate::h5;
use crate::tomo::centre::correlation;

/// How to read angles, axes and signs; written into the file word for word.
const CONVENTIONS: &str = "x points right, y up, both ascending with the index: map[0, :] is the lowest row. \
    The sample turns counter-clockwise by the rotation; the beam runs along +y of the laboratory at x = translation. \
    A ray collects what lies on x*cos(rotation) - y*sin(rotation) = translation - axis. \
    The beam is as wide as one translation step; sinograms are mean lengths over that width.";

/// One phase of the phantom with everything known about it.
#[derive(Debug, Clone)]
pub struct Phase {
    /// Name: the substance, or `glass`.
    pub name: String,
    /// Map and sinogram.
    pub truth: Truth,
    /// Its rings; none for the glass.
    pub rings: Vec<Ring>,
    /// Limits in q, nm⁻¹, of a line of its own.
    pub region: Option<[f64; 2]>,
}

/// The maps of a `truth.h5`, open for reading.
pub struct TrueMaps(h5::File);

impl TrueMaps {
    /// Opens the file.
    ///
    /// # Errors
    /// When it is not an HDF5 file, or one that cannot be read.
    pub fn open(path: &Path) -> h5::Result<TrueMaps> {
        h5::File::open(path).map(TrueMaps)
    }

    /// The map (y, x) of a phase and its correlation with a slice of that shape; `None` when there is no map of this name and
    /// shape.
    ///
    /// # Errors
    /// When there is one and it cannot be read.
    pub fn beside(
        &self,
        phase: &str,
        shape: [usize; 2],
        slice: &[f32],
    ) -> h5::Result<Option<(Vec<f32>, f64)>> {
        let Ok(dataset) = self.0.dataset(&format!("phantom/{phase}/map")) else { return Ok(None) };
        if dataset.shape() != shape {
            return Ok(None);
        }
        let map: Vec<f32> = dataset.read_raw()?;
        let pairs = slice.iter().zip(&map).map(|(a, b)| (f64::from(*a), f64::from(*b)));
        let correlation = correlation(pairs);
        Ok(Some((map, correlation)))
    }
}

/// Row and column in the sinogram of each frame, in the order of the files.
pub type Visits = Vec<[usize; 2]>;

/// Writes it into an empty file.
pub fn write(
    file: &std::fs::File,
    scan: &Trajectory,
    phases: &[Phase],
    visits: &Visits,
    wavelength: f64,
) -> hdf5::Result<()> {
    let file = library::create_timeless(file)?;
    text(&file, "NX_class", "NXroot")?;
    text(&file, "creator", "xrdct")?;
    text(&file, "default", "phantom")?;
    let entry = group(&file, "phantom", "NXentry")?;
    if let Some(phase) = phases.first() {
        text(&entry, "default", &phase.name)?;
    }
    string(&entry, "title", "simulated XRD-CT scan of a capillary: what is true")?;
    string(&entry, "program_name", concat!("xrdct ", env!("CARGO_PKG_VERSION")))?;
    string(&entry, "definition_of_axes", CONVENTIONS)?;
    number(&entry, "step_mm", scan.step())?;
    number(&entry, "field_mm", scan.field)?;
    number(&entry, "diameter_mm", scan.diameter)?;
    number(&entry, "axis_mm", scan.axis_offset * scan.step())?;
    number(&entry, "rotation_range_deg", scan.range)?;
    number(&entry, "wavelength_angstrom", wavelength)?;
    for phase in phases {
        write_phase(&entry, scan, phase, wavelength)?;
    }
    write_frames(&entry, scan, visits)?;
    drop(entry);
    file.close()
}

/// A phase in a file, without its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseShape {
    /// Its name.
    pub name: String,
    /// (y, x)
    pub map: [usize; 2],
    /// (rotation, translation)
    pub sinogram: [usize; 2],
}

/// The phases of a file that [`write()`] wrote; `None` when it is another's.
pub fn phases(path: &Path) -> Option<Vec<PhaseShape>> {
    let entry = h5::File::open(path).ok()?.group("phantom").ok()?;
    let shape = |name: String| <[usize; 2]>::try_from(entry.dataset(&name).ok()?.shape()).ok();
    let names = entry.member_names().ok()?.into_iter();
    let phase = |name: String| {
        let (map, sinogram) = (shape(format!("{name}/map"))?, shape(format!("{name}_sinogram/sinogram"))?);
        Some(PhaseShape { name, map, sinogram })
    };
    Some(names.filter_map(phase).collect::<Vec<_>>()).filter(|phases| !phases.is_empty())
}

fn write_phase(entry: &Group, scan: &Trajectory, phase: &Phase, wavelength: f64) -> hdf5::Result<()> {
    let Phase { name, truth, rings, region } = phase;
    let n = scan.translations;
    let positions = scan.positions();

    let map = nxdata(entry, name, &format!("{name}: part of the volume"), "map", ["y", "x"])?;
    image(&map, "map", [n, n], &truth.map)?;
    axis(&map, "y", &positions, "mm", "y (up)")?;
    axis(&map, "x", &positions, "mm", "x (right)")?;

    let title = format!("{name}: length on the ray (mm)");
    let axes = ["rotation", "translation"];
    let sinogram = nxdata(entry, &format!("{name}_sinogram"), &title, "sinogram", axes)?;
    image(&sinogram, "sinogram", [scan.rotations, n], &truth.sinogram)?;
    axis(&sinogram, "rotation", &scan.angles(), "deg", "rotation, counter-clockwise")?;
    axis(&sinogram, "translation", &positions, "mm", "position of the beam")?;

    if rings.is_empty() {
        return Ok(());
    }
    let lines = group(entry, &format!("{name}_lines"), "NXcollection")?;
    if let Some(limits) = region {
        lines.new_attr_builder().with_data(limits).create("region")?;
    }
    let column = |f: &dyn Fn(&Ring) -> f64| -> Vec<f64> { rings.iter().map(f).collect() };
    let two_theta = |ring: &Ring| ring.two_theta(wavelength).unwrap_or(f64::NAN).to_degrees();
    axis(&lines, "d", &column(&|ring| ring.d), "angstrom", "lattice spacing")?;
    axis(&lines, "q", &column(&Ring::q), "nm^-1", "momentum transfer")?;
    axis(&lines, "two_theta", &column(&two_theta), "deg", "scattering angle")?;
    axis(&lines, "area", &column(&|ring| ring.area), "", "area of the peak on the 2theta axis")
}

fn write_frames(entry: &Group, scan: &Trajectory, visits: &Visits) -> hdf5::Result<()> {
    let frames = group(entry, "frames", "NXcollection")?;
    let (angles, positions) = (scan.angles(), scan.positions());
    let column = |f: &dyn Fn(&[usize; 2]) -> f64| -> Vec<f64> { visits.iter().map(f).collect() };
    axis(&frames, "rotation", &column(&|&[row, _]| angles[row]), "deg", "rotation of the sample")?;
    axis(&frames, "translation", &column(&|&[_, column]| positions[column]), "mm", "position of the beam")?;
    for (place, name) in ["row", "column"].into_iter().enumerate() {
        let places: Vec<u32> = visits.iter().map(|visit| visit[place] as u32).collect();
        frames.new_dataset_builder().with_data(&places).create(name)?;
    }
    Ok(())
}

fn group(parent: &Group, name: &str, class: &str) -> hdf5::Result<Group> {
    let group = parent.create_group(name)?;
    text(&group, "NX_class", class)?;
    Ok(group)
}

fn nxdata(entry: &Group, name: &str, title: &str, signal: &str, axes: [&str; 2]) -> hdf5::Result<Group> {
    let data = group(entry, name, "NXdata")?;
    text(&data, "signal", signal)?;
    let axes = [unicode(axes[0])?, unicode(axes[1])?];
    data.new_attr_builder().with_data(&axes).create("axes")?;
    string(&data, "title", title)?;
    Ok(data)
}

fn image(data: &Group, name: &str, shape: [usize; 2], values: &[f32]) -> hdf5::Result<()> {
    let view = ArrayView2::from_shape((shape[0], shape[1]), values)
        .map_err(|error| hdf5::Error::from(format!("{name}: {error}")))?;
    let dataset = data.new_dataset_builder().with_data(view).create(name)?;
    text(&dataset, "interpretation", "image")
}

fn axis(data: &Group, name: &str, values: &[f64], units: &str, long_name: &str) -> hdf5::Result<()> {
    let dataset = data.new_dataset_builder().with_data(values).create(name)?;
    text(&dataset, "units", units)?;
    let long_name = if units.is_empty() { long_name.to_owned() } else { format!("{long_name} ({units})") };
    text(&dataset, "long_name", &long_name)
}

fn unicode(value: &str) -> hdf5::Result<VarLenUnicode> {
    value.parse().map_err(|error| hdf5::Error::from(format!("'{value}': {error}")))
}

fn text(place: &Location, name: &str, value: &str) -> hdf5::Result<()> {
    place.new_attr::<VarLenUnicode>().create(name)?.write_scalar(&unicode(value)?)
}

fn number(place: &Location, name: &str, value: f64) -> hdf5::Result<()> {
    place.new_attr::<f64>().create(name)?.write_scalar(&value)
}

fn string(group: &Group, name: &str, value: &str) -> hdf5::Result<()> {
    group.new_dataset::<VarLenUnicode>().create(name)?.write_scalar(&unicode(value)?)
}
