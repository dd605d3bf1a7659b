//! What detector and beam are in all frames of a series: what a CBF header and an HDF5 master say alike.

use super::error::SimulateError;
use super::{HC_KEV_ANGSTROM, Sample, Simulation, view, wavelength};
use crate::frame::Shape;

/// Serial number of a detector that does not exist.
pub const SERIAL_NUMBER: &str = "00-0000";

/// What is the same in every frame of a series. SI units but for the wavelength; angles in degrees as headers have them.
#[derive(Debug, Clone, PartialEq)]
pub struct Instrument {
    /// Name on the detector's plate, such as `PILATUS CdTe 2M`.
    pub detector: String,
    /// Material of the sensor, such as `Si`.
    pub sensor: String,
    /// Thickness of the sensor, m.
    pub thickness: f64,
    /// Pixel height and width, m.
    pub pixel: [f64; 2],
    /// Time that each frame counts, s.
    pub exposure_time: f64,
    /// Time from one frame to the next, s.
    pub exposure_period: f64,
    /// Wavelength, Å.
    pub wavelength: f64,
    /// Distance from the sample along the beam, m.
    pub distance: f64,
    /// Where the beam hits the detector: fast, slow, pixels.
    pub beam: [f64; 2],
    /// Where the detector stands.
    pub panel: view::PanelAxes,
    /// Part of the beam that is polarised in the horizontal plane.
    pub polarization: f64,
    /// Number of bad pixels.
    pub bad_pixels: usize,
    /// Image path as headers name it.
    pub image_path: String,
    /// Degrees that the rotation advances during a frame.
    pub angle_increment: f64,
    /// Metres that the translation advances during a frame.
    pub position_increment: f64,
}

impl Instrument {
    /// That of a request whose frames have this shape.
    ///
    /// # Errors
    /// [`SimulateError::NoWavelength`].
    pub fn of(request: &Simulation, shape: Shape) -> Result<Instrument, SimulateError> {
        let poni = &request.poni;
        let detector = &poni.detector;
        let (sensor, thickness) = view::sensor(detector);
        let (beam, distance) = view::beam(poni, shape);
        let (angle_increment, position_increment) = match &request.sample {
            Sample::Powder { .. } => (0.0, 0.0),
            Sample::Phantom { scan, .. } => (scan.range / scan.rotations as f64, scan.step() * 1e-3),
        };
        Ok(Instrument {
            detector: view::plate(&detector.name),
            sensor,
            thickness,
            pixel: [detector.pixel1, detector.pixel2],
            exposure_time: request.exposure * 0.995,
            exposure_period: request.exposure,
            wavelength: wavelength(poni)?,
            distance,
            beam,
            panel: view::panel(poni, shape),
            polarization: request.polarization,
            bad_pixels: request.bad_pixels,
            image_path: "simulated/".to_owned(),
            angle_increment,
            position_increment,
        })
    }

    /// Photon energy, eV.
    pub fn energy(&self) -> f64 {
        HC_KEV_ANGSTROM / self.wavelength * 1000.0
    }

    /// Energy from which on photons are counted, eV.
    pub fn threshold(&self) -> f64 {
        self.energy() / 2.0
    }
}
