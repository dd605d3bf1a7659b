//! What both kinds of masters say in the same words: the detector, where it stands, and how the sample moves.

use hdf5::Group;

use super::axes::{LABORATORY, Motion, axis, column, moving_axis, quantity};
use super::{BitDepth, count_cutoff};
use crate::frame::Shape;
use crate::output::nexus;
use crate::simulate::instrument::{Instrument, SERIAL_NUMBER};
use crate::simulate::series::Shot;
use crate::simulate::view::PanelAxes;

/// Where the detector's corner, and so every pixel, hangs.
const CORNER: &str = "/entry/instrument/detector/module/module_offset";
const TRANSLATION: &str = "/entry/instrument/detector/transformations/translation";

/// Along the beam, up.
const Z: [f64; 3] = [0.0, 0.0, 1.0];
const Y: [f64; 3] = [0.0, 1.0, 0.0];
const X: [f64; 3] = [1.0, 0.0, 0.0];

/// Everything that a master says.
pub(super) struct Contents<'a> {
    pub instrument: &'a Instrument,
    /// Number of the first frame.
    pub first: usize,
    pub shots: &'a [Shot],
    pub shape: Shape,
    pub pixel_mask: Vec<u32>,
    pub depth: BitDepth,
    /// Name and number of frames of each data file.
    pub data: Vec<(String, usize)>,
    /// What is in the beam.
    pub sample: String,
}

impl Contents<'_> {
    /// What is known of the detector, but for what the two kinds call by different names.
    pub fn write_detector(&self, detector: &Group) -> hdf5::Result<()> {
        let Instrument { pixel: [height, width], beam: [beam_x, beam_y], .. } = *self.instrument;
        let text = |name: &str, value: &str| nexus::text(detector, name, value).map(|_| ());
        let number = |name: &str, value: f64, units: &str| quantity(detector, name, value, units).map(|_| ());
        let flag = |name: &str, value: bool| nexus::number(detector, name, i8::from(value)).map(|_| ());
        text("description", &description(&self.instrument.detector))?;
        text("type", "HPC")?;
        text("sensor_material", &self.instrument.sensor)?;
        number("sensor_thickness", self.instrument.thickness, "m")?;
        number("x_pixel_size", width, "m")?;
        number("y_pixel_size", height, "m")?;
        // A beam that runs beside the detector hits it nowhere.
        if beam_x.is_finite() && beam_y.is_finite() {
            number("beam_center_x", beam_x, "pixel")?;
            number("beam_center_y", beam_y, "pixel")?;
        }
        number("count_time", self.instrument.exposure_time, "s")?;
        number("frame_time", self.instrument.exposure_period, "s")?;
        number(
            "detector_readout_time",
            self.instrument.exposure_period - self.instrument.exposure_time,
            "s",
        )?;
        number("threshold_energy", self.instrument.threshold(), "eV")?;
        let bits = 8 * self.depth.pixel().size() as u32;
        nexus::number(detector, "bit_depth_image", bits)?;
        nexus::number(detector, "bit_depth_readout", 16_u32)?;
        nexus::number(detector, "saturation_value", i64::from(count_cutoff(self.depth)))?;
        flag("pixel_mask_applied", true)?;
        flag("countrate_correction_applied", false)?;
        flag("flatfield_correction_applied", false)?;
        flag("virtual_pixel_correction_applied", false)
    }

    /// The distance by the name that this kind of master has for it.
    pub fn write_distance(&self, detector: &Group, name: &str) -> hdf5::Result<()> {
        match self.instrument.distance {
            distance if distance.is_finite() => quantity(detector, name, distance, "m").map(|_| ()),
            _ => Ok(()),
        }
    }

    /// The detector's serial number by the name that this kind of master has for it.
    pub fn write_serial_number(&self, detector: &Group, name: &str) -> hdf5::Result<()> {
        nexus::text(detector, name, SERIAL_NUMBER).map(|_| ())
    }

    /// The mask: bit 0 is a gap, bit 1 a dead pixel.
    pub fn write_pixel_mask(&self, group: &Group) -> hdf5::Result<()> {
        let Shape { slow, fast } = self.shape;
        nexus::numbers(group, "pixel_mask", [slow, fast], &self.pixel_mask).map(|_| ())
    }

    /// Where every pixel is: the chain module → corner → distance → laboratory.
    pub fn write_place(&self, detector: &Group) -> hdf5::Result<()> {
        let PanelAxes { corner, fast, slow } = self.instrument.panel;
        let [height, width] = self.instrument.pixel;
        let distance = corner[2];
        let (offset, direction) = length_and_direction([corner[0], corner[1], 0.0]);
        nexus::text(detector, "depends_on", TRANSLATION)?;
        let transformations = nexus::group(detector, "transformations", "NXtransformations")?;
        axis(&transformations, "translation", distance, Motion::Translation, Z, LABORATORY)?;
        let module = nexus::group(detector, "module", "NXdetector_module")?;
        nexus::numbers(&module, "data_origin", [2], &[0_u32; 2])?;
        nexus::numbers(&module, "data_size", [2], &[self.shape.slow as u32, self.shape.fast as u32])?;
        nexus::number(&module, "module_index", 0_u32)?;
        axis(&module, "module_offset", offset, Motion::Translation, direction, TRANSLATION)?;
        axis(&module, "fast_pixel_direction", width, Motion::Translation, fast, CORNER)?;
        axis(&module, "slow_pixel_direction", height, Motion::Translation, slow, CORNER)
    }

    /// Sample and its axes: it turns about the vertical, on a stage that moves it across the beam.
    pub fn write_sample(&self, entry: &Group) -> hdf5::Result<Group> {
        let sample = nexus::group(entry, "sample", "NXsample")?;
        nexus::text(&sample, "name", &self.sample)?;
        nexus::text(&sample, "depends_on", "/entry/sample/transformations/phi")?;
        let axes = nexus::group(&sample, "transformations", "NXtransformations")?;
        let stage = "/entry/sample/transformations/start_position";
        moving_axis(&axes, "phi", &self.angles(), Motion::Rotation, Y, stage)?;
        column(&axes, "phi_end", &self.ends(), "degree")?;
        quantity(&axes, "phi_increment_set", self.instrument.angle_increment, "degree")?;
        moving_axis(&axes, "start_position", &self.positions(), Motion::Translation, X, LABORATORY)?;
        quantity(&axes, "start_position_increment_set", self.instrument.position_increment, "m")?;
        Ok(sample)
    }

    /// Wavelength and polarisation of the beam; the latter as Stokes vector, where 1, 1, 0, 0 is horizontal.
    pub fn write_beam(&self, parent: &Group) -> hdf5::Result<Group> {
        let beam = nexus::group(parent, "beam", "NXbeam")?;
        quantity(&beam, "incident_wavelength", self.instrument.wavelength, "angstrom")?;
        quantity(&beam, "incident_energy", self.instrument.energy(), "eV")?;
        let stokes = [1.0, self.instrument.polarization, 0.0, 0.0];
        nexus::numbers(&beam, "incident_polarisation_stokes", [4], &stokes)?;
        Ok(beam)
    }

    /// Degrees at which each frame begins.
    pub fn angles(&self) -> Vec<f64> {
        self.shots.iter().map(|shot| shot.angle).collect()
    }

    /// Degrees at which each frame ends.
    pub fn ends(&self) -> Vec<f64> {
        self.shots.iter().map(|shot| shot.angle + self.instrument.angle_increment).collect()
    }

    /// Degrees from where the first frame begins to where the last one ends.
    pub fn range(&self) -> f64 {
        match (self.shots.first(), self.shots.last()) {
            (Some(first), Some(last)) => last.angle + self.instrument.angle_increment - first.angle,
            _ => 0.0,
        }
    }

    /// Metres at which each frame begins.
    fn positions(&self) -> Vec<f64> {
        self.shots.iter().map(|shot| shot.position).collect()
    }
}

/// The detector as its maker names it.
fn description(plate: &str) -> String {
    let is_of_dectris = ["PILATUS", "EIGER"].iter().any(|family| plate.starts_with(family));
    if is_of_dectris { format!("Dectris {plate}") } else { plate.to_owned() }
}

fn length_and_direction(way: [f64; 3]) -> (f64, [f64; 3]) {
    let length = way.iter().map(|part| part * part).sum::<f64>().sqrt();
    if length > 0.0 { (length, way.map(|part| part / length)) } else { (0.0, X) }
}
