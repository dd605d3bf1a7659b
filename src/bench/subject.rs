//! What is measured with: frames, their geometry, and everything that integrating them needs.
//!
//! Integration is the common case of a powder beamline and of the paper: bounding-box splitting, the detector's own mask and
//! dummy values, solid angle, no error model. Only the number of bins can be chosen.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::BenchError;
use super::error::at;
use crate::frame::{BadFrame, Encoding};
use crate::output::result::{BinAxis, Layout};
use crate::session::{
    Crew, Doors, Engines, ErrorModel, Options, Plan, Poni, Recipe, Reduction, Traffic, Unit, beside,
};
use crate::simulate::crystal::Substance;
use crate::simulate::format::{BitDepth, MasterLayout, SeriesFormat, Stacking};
use crate::simulate::series::Destination;
use crate::simulate::{Sample, Simulation as Scene, simulate};
use crate::trace::Timeline;

/// A Pilatus CdTe 2M, half a metre behind the sample, at 70 keV: close to the paper's beamline.
pub const SIMULATED_PONI: &str = "poni_version: 2.1\nDetector: PilatusCdTe2M\n\
    Detector_config: {\"orientation\": 3}\nDistance: 0.5\nPoni1: 0.144394\nPoni2: 0.12685\nRot1: 0.0\nRot2: 0.0\nRot3: 0.0\n\
    Wavelength: 1.7712e-11\n";

/// An Eiger2 CdTe 4M at the same place.
pub const SIMULATED_EIGER_PONI: &str = "poni_version: 2.1\nDetector: Eiger2CdTe_4M\n\
    Detector_config: {\"orientation\": 3}\nDistance: 0.5\nPoni1: 0.081075\nPoni2: 0.07755\nRot1: 0.0\nRot2: 0.0\nRot3: 0.0\n\
    Wavelength: 1.7712e-11\n";

/// Frames of a data file, as Eiger detectors have it.
const FRAMES_PER_FILE: usize = 1000;

/// Room that a slot has beyond the largest file, so that no slot ever has to grow.
const SPARE: usize = 4096;

/// Frames and how to integrate them.
pub struct Subject {
    /// How to integrate them, as the product would.
    pub plan: Plan,
    /// Files, in order.
    pub files: Vec<Arc<Path>>,
    /// What every frame is.
    pub encoding: Encoding,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes that hold any of the files.
    pub slot_bytes: usize,
    /// How to integrate.
    pub recipe: Recipe,
    /// The axes of the result.
    pub axes: Vec<BinAxis>,
    /// pyFAI's name of its unit.
    pub unit: String,
    /// Geometry, as a file that others can read.
    pub poni: PathBuf,
}

impl Subject {
    /// Prepares to integrate `files` with the geometry of a PONI file into `npt` bins.
    ///
    /// # Errors
    /// When there is no frame, the first is not usable, or the geometry is not theirs.
    pub fn new(files: &[PathBuf], path: &Path, poni: &Poni, npt: usize) -> Result<Subject, BenchError> {
        let unit = if poni.wavelength.is_some() { Unit::QNm } else { Unit::TwoThetaDeg };
        let plan = Plan::new(Options {
            inputs: files.iter().map(|file| file.display().to_string()).collect(),
            poni: Some(path.to_path_buf()),
            geometry: Some(poni.clone()),
            npt: Some(npt),
            unit: Some(unit.name().to_owned()),
            // Rows say where they run; engines are made for all of them.
            device: Some("cpu".to_owned()),
            ..Options::default()
        })?;
        let prepared = plan.prepare()?;
        // A master's frames are in other files.
        let holders = plan.frames.files();
        let sizes = holders.iter().map(|file| at(file, file.metadata()).map(|m| m.len()));
        let sizes = sizes.collect::<Result<Vec<u64>, BenchError>>()?;
        let is_one_frame = holders.len() == plan.frames.count();
        let largest = sizes.iter().max().filter(|_| is_one_frame).map_or(0, |len| *len as usize);
        let largest = largest.max(plan.frames.about().slot_bytes);
        Ok(Subject {
            files: files.iter().map(|file| Arc::from(file.as_path())).collect(),
            encoding: plan.encoding(),
            bytes: sizes.iter().sum(),
            slot_bytes: (largest + SPARE).next_multiple_of(SPARE),
            recipe: prepared.recipe,
            axes: prepared.axes,
            unit: unit.name().to_owned(),
            poni: path.to_path_buf(),
            plan,
        })
    }

    /// Simulates `frames` frames of a Pilatus CdTe 2M (LaB₆, about 2.5 MB each) in `folder`; their files and geometry.
    /// `done` is called after each frame, from any thread.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn simulate(
        folder: &Path,
        frames: usize,
        done: &(dyn Fn() + Sync),
    ) -> Result<(Vec<PathBuf>, PathBuf, Poni), BenchError> {
        let (destination, path, poni) =
            simulate_powder(folder, SIMULATED_PONI, SeriesFormat::Cbf, frames, done)?;
        let files: Vec<PathBuf> = (0..frames).map(|number| destination.frame(number)).collect();
        Ok((files, path, poni))
    }

    /// Likewise of an Eiger2 CdTe 4M, as a master and its data files (bitshuffle-LZ4, `uint32`): the master and its geometry.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn simulate_eiger(
        folder: &Path,
        frames: usize,
        done: &(dyn Fn() + Sync),
    ) -> Result<(PathBuf, PathBuf, Poni), BenchError> {
        let stacking = Stacking {
            master: MasterLayout::Eiger,
            depth: BitDepth::ThirtyTwo,
            frames_per_file: FRAMES_PER_FILE,
        };
        let (destination, path, poni) =
            simulate_powder(folder, SIMULATED_EIGER_PONI, SeriesFormat::Hdf5(stacking), frames, done)?;
        Ok((folder.join(Stacking::master_name(&destination)), path, poni))
    }
    /// Takes a dark image off every frame and carries Poisson variances along: the most that a bin makes of its pixels.
    pub fn add_dark_and_variance(&mut self) {
        // Small steps, so that no two neighbours have the same.
        let dark = |pixel: usize| (pixel % 13) as f32 * 0.125;
        self.recipe.dark = Some((0..self.recipe.shape.pixels()).map(dark).collect());
        self.recipe.reduction = Reduction::mean(ErrorModel::Poisson);
    }

    /// The doors of a run over so many of its frames, open. With a timeline, a GPU's lanes are recorded in it.
    ///
    /// # Errors
    /// When there is no GPU and the crew needs one, or it refuses.
    pub fn doors(
        &self,
        crew: &Crew,
        engines: &Engines,
        frames: usize,
        timeline: Option<&Timeline>,
    ) -> Result<Doors, BenchError> {
        let source = self.plan.frames.source(frames, crew.verify);
        Ok(Doors::open(crew, engines, source, self.traffic(frames), None, timeline, None)?)
    }

    /// A run over so many of its frames.
    fn traffic(&self, frames: usize) -> Traffic {
        Traffic { encoding: self.encoding, slot_bytes: self.slot_bytes, frames }
    }

    /// Bytes of a frame on the way: the mean of what the files have.
    pub fn frame_bytes(&self) -> f64 {
        self.bytes as f64 / self.plan.frames.count() as f64
    }

    /// The result file of a run over `frames` frames.
    pub fn layout(&self, frames: usize) -> Layout {
        let beside = beside(&self.recipe.reduction);
        Layout { inputs: vec![String::new(); frames], beside, ..Layout::new(frames, self.axes.clone()) }
    }

    /// Frame 0, integrated by itself with the host's engine: what every row must find.
    ///
    /// # Errors
    /// When it is bad.
    pub fn expected(&self, engines: &Engines) -> Result<Vec<f32>, BenchError> {
        let first = engines.first_of(self.plan.frames.as_ref())?;
        Ok(first.map_err(|bad: BadFrame| BenchError::BadFrame(bad.message))?.intensity)
    }
}

/// Powder rings of LaB₆ on a detector, in files of a format.
fn simulate_powder(
    folder: &Path,
    geometry: &str,
    format: SeriesFormat,
    frames: usize,
    done: &(dyn Fn() + Sync),
) -> Result<(Destination, PathBuf, Poni), BenchError> {
    let path = folder.join(crate::simulate::PONI_NAME);
    let poni = Poni::parse(geometry, &path)?;
    let destination =
        Destination { folder: folder.to_path_buf(), prefix: "frame".into(), first: 0, overwrite: false };
    let scene = Scene {
        destination: destination.clone(),
        format,
        poni: poni.clone(),
        shape: None,
        sample: Sample::Powder {
            substances: Substance::by_name("LaB6").into_iter().collect(),
            rings: vec![],
            frames,
        },
        fwhm: None,
        eta: 0.3,
        peak: 400.0,
        background: 15.0,
        polarization: 0.99,
        beamstop: None,
        bad_pixels: 247,
        hot_pixels: 0,
        spots: 0,
        hits: 0,
        exposure: 0.004,
        noise: true,
        seed: 1,
    };
    simulate(&scene, done)?;
    Ok((destination, path, poni))
}
