//! Makes frames that look like a beamline's: powder rings on any known detector, with everything that
//! disturbs them.
//!
//! Two kinds of series come out of one [`Simulation`]: **frames** of a still powder (for calibration, tests and
//! measurements), and a **phantom**, an XRD-CT scan of several phases in a capillary whose true maps are
//! saved beside the frames. Both are written as CBF files with true mini-CBF headers, or as HDF5 files of an Eiger
//! ([`mod@format`]), together with the PONI file that belongs to them.
//!
//! The way of a count: [`crystal`] (lines of a substance) → [`pattern`] (intensity over 2θ) → [`scene`]
//! (expected counts of each pixel: polarisation, solid angle, gaps, defects) → [`poisson`] (drawn counts) → [`strays`] (spots, hits) →
//! [`series`] (all cores) → [`cbf`] or `stacks` (files). [`phantom`] says how much of each phase every ray meets,
//! [`truth`] saves that.
//!
//! The same request gives the same bytes, on any number of threads.

pub mod cbf;
mod check;
pub mod crystal;
pub mod error;
pub mod format;
pub mod instrument;
pub mod pattern;
pub mod phantom;
pub mod poisson;
pub mod scene;
pub mod series;
mod stacks;
pub mod strays;
pub mod truth;
mod view;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::frame::Shape;
use crate::geometry::poni::Poni;
use crate::output::OutputError;
use crate::output::draft::Draft;
use crystal::Substance;
pub use error::SimulateError;
use format::SeriesFormat;
use instrument::Instrument;
use pattern::{Pattern1d, PeakShape, Ring};
use phantom::Trajectory;
use scene::{Defects, Scene, SceneView};
use series::{CbfFiles, Destination, Disturbance, FrameFiles, Noise, Shot};
use stacks::StackFiles;
use strays::Strays;
use truth::Phase;

/// Energy times wavelength, keV·Å: the value that pyFAI uses.
pub const HC_KEV_ANGSTROM: f64 = 12.398_419_843_320_026;

/// Name of the geometry file that is written beside the frames.
pub const PONI_NAME: &str = "geometry.poni";

/// Name of the file with a phantom's true maps.
pub const TRUTH_NAME: &str = "truth.h5";

/// A line is taken for a picture of its phase when the lines of other phases are this many widths away.
const CLEAR_WIDTHS: f64 = 2.0;

/// Half of the region around such a line, in widths.
const REGION_WIDTHS: f64 = 1.0;

/// What is in the beam.
#[derive(Debug, Clone, PartialEq)]
pub enum Sample {
    /// A still powder: a mixture in equal amounts (by the height of the highest peak), in a glass capillary.
    Powder {
        /// Substances of the mixture.
        substances: Vec<Substance>,
        /// Further rings, as a powder of its own.
        rings: Vec<Ring>,
        /// Number of frames.
        frames: usize,
    },
    /// A capillary with a few phases, rotated and translated.
    Phantom {
        /// Its phases: one to three.
        substances: Vec<Substance>,
        /// How it is scanned.
        scan: Trajectory,
        /// In which order.
        order: FrameOrder,
    },
}

/// Order of a scan's frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameOrder {
    /// Rotation is the fast axis; else translation is.
    pub rotation_fast: bool,
    /// Every second line of the scan runs backwards.
    pub zigzag: bool,
}

impl FrameOrder {
    /// Rotation and translation (their numbers) of every frame, in order.
    fn visits(self, rotations: usize, translations: usize) -> Vec<[usize; 2]> {
        let (slow, fast) =
            if self.rotation_fast { (translations, rotations) } else { (rotations, translations) };
        let visit = |frame: usize| {
            let (i, j) = (frame / fast, frame % fast);
            let j = if self.zigzag && i % 2 == 1 { fast - 1 - j } else { j };
            if self.rotation_fast { [j, i] } else { [i, j] }
        };
        (0..slow * fast).map(visit).collect()
    }
}

/// Everything that a simulation needs to know.
#[derive(Debug, Clone)]
pub struct Simulation {
    /// Where the frames go.
    pub destination: Destination,
    /// What files they are written to.
    pub format: SeriesFormat,
    /// Where the detector is, and which wavelength falls on the sample.
    pub poni: Poni,
    /// Size of the frames when the detector has none of its own.
    pub shape: Option<Shape>,
    /// What is in the beam.
    pub sample: Sample,
    /// Full width of a peak at half maximum, rad in 2θ; `None` is three pixels at the beam's distance.
    pub fwhm: Option<f64>,
    /// Lorentzian part of a peak, 0 … 1.
    pub eta: f64,
    /// Counts at the top of the highest peak (in a phantom: when the ray meets the phase over a whole
    /// diameter).
    pub peak: f64,
    /// Counts at the maximum of the smooth background (half air, half glass; in a phantom: where the ray
    /// crosses the middle).
    pub background: f64,
    /// Part of the beam that is polarised horizontally, −1 … 1, as pyFAI's polarisation factor.
    pub polarization: f64,
    /// Radius of the beamstop's shadow on the detector, m.
    pub beamstop: Option<f64>,
    /// How many pixels read −2.
    pub bad_pixels: usize,
    /// How many pixels count by themselves.
    pub hot_pixels: usize,
    /// Spots of single crystals in each frame.
    pub spots: usize,
    /// Tracks of gamma rays in each frame.
    pub hits: usize,
    /// Time from one frame to the next, s.
    pub exposure: f64,
    /// Whether counts are drawn (else rounded).
    pub noise: bool,
    /// Where the random numbers start.
    pub seed: u64,
}

/// What was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The folder.
    pub folder: PathBuf,
    /// First and last file with frames.
    pub frames: [PathBuf; 2],
    /// The file that leads to all frames, where there is one.
    pub master: Option<PathBuf>,
    /// How many frames.
    pub count: usize,
    /// Size of a frame.
    pub shape: Shape,
    /// Bytes of a pixel that is not packed.
    pub pixel_bytes: usize,
    /// Bytes of all frames.
    pub bytes: u64,
    /// The geometry.
    pub poni: PathBuf,
    /// The true maps of a phantom, with rotations and translations of the scan and whether rotation was the
    /// slow axis.
    pub truth: Option<(PathBuf, [usize; 2], FrameOrder)>,
    /// Names of the phases in the beam.
    pub phases: Vec<String>,
    /// Other frames of this prefix in the folder, left from before.
    pub strangers: Vec<PathBuf>,
}

impl Summary {
    /// Size of the raw frames over that of the packed ones.
    pub fn compression(&self) -> f64 {
        (self.count * self.shape.pixels() * self.pixel_bytes) as f64 / self.bytes as f64
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = self.bytes as f64 / 1e6;
        writeln!(
            f,
            "{} of {} pixels ({}): {megabytes:.1} MB, {:.3} MB each, {:.2} times smaller than raw",
            counted(self.count, "frame"),
            self.shape,
            self.phases.join(", "),
            megabytes / self.count as f64,
            self.compression()
        )?;
        if let Some(master) = &self.master {
            writeln!(f, "  master    {}", master.display())?;
        }
        let [first, last] = &self.frames;
        write!(f, "  frames    {}", first.display())?;
        if first != last {
            write!(f, " … {}", file_name(last))?;
        }
        writeln!(f)?;
        write!(f, "  geometry  {}", self.poni.display())?;
        if let Some((path, [rotations, translations], order)) = &self.truth {
            let (slow, fast) = (counted(*rotations, "rotation"), counted(*translations, "translation"));
            let (slow, fast) = if order.rotation_fast { (fast, slow) } else { (slow, fast) };
            let zigzag = if order.zigzag { ", zig-zag" } else { "" };
            write!(f, "\n  truth     {}\n  scan      {slow} (slow) x {fast} (fast){zigzag}", path.display())?;
        }
        if let Some(first) = self.strangers.first() {
            let others = counted(self.strangers.len(), "other frame");
            write!(
                f,
                "\n  warning   the folder holds {others} of this prefix, from {} on",
                file_name(first)
            )?;
        }
        Ok(())
    }
}

/// `1 frame`, `2 frames`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn file_name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// What was expected: for tests, and for those who want to compare.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// How each pixel sees the sample.
    pub view: SceneView,
    /// Expected images.
    pub scene: Scene,
    /// One entry a frame.
    pub shots: Vec<Shot>,
    /// The phases of a phantom, or the powder's; the last one is the glass.
    pub phases: Vec<Phase>,
}

/// Makes all frames of the request and writes them. `done` is called after each frame, from any thread.
///
/// # Errors
/// A setting out of range, a folder or file that cannot be written or exists already; see [`SimulateError`]. When a
/// frame cannot be written (a full disk) the frames before it stay.
pub fn simulate(request: &Simulation, done: &(dyn Fn() + Sync)) -> Result<Summary, SimulateError> {
    check::check(request)?;
    let destination = &request.destination;
    let expectation = expect(request)?;
    let Expectation { scene, shots, phases, .. } = &expectation;
    let format = request.format;
    let poni_path = destination.folder.join(PONI_NAME);
    let truth_path = destination.folder.join(TRUTH_NAME);
    let truth = matches!(request.sample, Sample::Phantom { .. }).then(|| truth_path.clone());
    let beside = [Some(poni_path.clone()), truth, format.master(destination)];
    let files = || format.frame_files(destination, shots.len());
    destination.prepare(files().chain(beside.into_iter().flatten()))?;

    destination.write(&poni_path, request.poni.to_text().as_bytes())?;
    let mut summary = Summary {
        folder: destination.folder.clone(),
        frames: [files().next(), files().last()].map(Option::unwrap_or_default),
        master: format.master(destination),
        count: shots.len(),
        shape: scene.shape,
        pixel_bytes: format.pixel_bytes(),
        bytes: 0,
        poni: poni_path,
        truth: None,
        phases: phases.iter().map(|phase| phase.name.clone()).collect(),
        strangers: format.strangers(destination, shots.len()),
    };
    if let Sample::Phantom { scan, order, .. } = &request.sample {
        let visits = order.visits(scan.rotations, scan.translations);
        let wavelength = wavelength(&request.poni)?;
        let draft = Draft::begin(&truth_path, destination.overwrite, 0)?;
        truth::write(draft.file(), scan, phases, &visits, wavelength)
            .map_err(|e| OutputError::from_hdf5(&truth_path, "writing the true maps", 0, e))?;
        draft.publish()?;
        summary.truth = Some((truth_path, [scan.rotations, scan.translations], *order));
    }
    let noise = if request.noise { Noise::Poisson(request.seed) } else { Noise::None };
    let instrument = &Instrument::of(request, scene.shape)?;
    let files: Box<dyn FrameFiles> = match format {
        SeriesFormat::Cbf => Box::new(CbfFiles { destination, instrument, shape: scene.shape }),
        SeriesFormat::Hdf5(stacking) => {
            let sample = summary.phases.join(", ");
            Box::new(StackFiles::begin(destination, stacking, instrument, scene, shots, sample)?)
        }
    };
    let strays = Strays { spots: request.spots, hits: request.hits, seed: request.seed };
    summary.bytes = series::write(&*files, scene, shots, Disturbance { noise, strays }, done)?;
    files.finish()?;
    Ok(summary)
}

/// What the frames of a request are expected to show.
///
/// # Errors
/// As [`simulate`], less what has to do with files.
pub fn expect(request: &Simulation) -> Result<Expectation, SimulateError> {
    let wavelength = wavelength(&request.poni)?;
    let view = view::view(&request.poni, request.shape, request.polarization)?;
    let [nearest, furthest] = view.range();
    let pixel = request.poni.detector.pixel1.max(request.poni.detector.pixel2);
    let fwhm = request.fwhm.unwrap_or_else(|| (3.0 * pixel / request.poni.distance).atan());
    check::width(fwhm)?;
    let shape = PeakShape { fwhm, eta: request.eta };

    let (substances, rings): (&[Substance], &[Ring]) = match &request.sample {
        Sample::Powder { substances, rings, .. } => (substances, rings),
        Sample::Phantom { substances, .. } => (substances, &[]),
    };
    for substance in substances {
        check::lines(*substance, wavelength, furthest)?;
    }
    let mut powders: Vec<(String, Vec<Ring>)> = substances
        .iter()
        .map(|s| (s.name().to_owned(), pattern::rings_of(*s, wavelength, furthest)))
        .collect();
    if !rings.is_empty() {
        powders.push(("rings".to_owned(), rings.to_vec()));
    }
    let is_seen = |ring: &Ring| ring.two_theta(wavelength).is_some_and(|a| (nearest..=furthest).contains(&a));
    if !powders.is_empty() && !powders.iter().flat_map(|(_, rings)| rings).any(is_seen) {
        let [nearest, furthest] = [nearest, furthest].map(f64::to_degrees);
        return Err(SimulateError::NoRings { nearest, furthest });
    }

    let mut parts: Vec<Pattern1d> =
        powders.iter().map(|(_, rings)| Pattern1d::powder(rings, shape, wavelength, furthest)).collect();
    parts.push(Pattern1d::smooth(pattern::glass, wavelength, furthest));
    parts.push(Pattern1d::smooth(pattern::air, wavelength, furthest));

    let beamstop = request.beamstop.map(|radius| (radius / request.poni.distance).atan());
    let defects = Defects { bad: request.bad_pixels, hot: request.hot_pixels, seed: request.seed };
    let scene = Scene::new(&view, &parts, beamstop, defects)?;
    let (shots, truths) = match &request.sample {
        Sample::Powder { frames, .. } => (still(request, powders.len(), *frames), Vec::new()),
        Sample::Phantom { scan, order, .. } => scanned(request, scan, *order, powders.len()),
    };
    let regions: Vec<_> =
        (0..powders.len()).map(|i| region(&powders, i, shape, wavelength, [nearest, furthest])).collect();
    powders.push(("glass".to_owned(), Vec::new()));
    let mut truths = truths.into_iter();
    let phases = powders
        .into_iter()
        .enumerate()
        .map(|(i, (name, rings))| Phase {
            name,
            truth: truths.next().unwrap_or_default(),
            rings,
            region: regions.get(i).copied().flatten(),
        })
        .collect();
    Ok(Expectation { view, scene, shots, phases })
}

/// Frames that all expect the same: each powder at its peak, background half of glass and half of air.
fn still(request: &Simulation, powders: usize, frames: usize) -> Vec<Shot> {
    let mut weights = vec![request.peak as f32; powders];
    weights.extend([0.5 * request.background as f32; 2]);
    vec![Shot { weights, angle: 0.0, position: 0.0 }; frames]
}

/// Frames of a scan, and the truth behind them: each phase by the length of its ray, measured in diameters.
fn scanned(
    request: &Simulation,
    scan: &Trajectory,
    order: FrameOrder,
    powders: usize,
) -> (Vec<Shot>, Vec<phantom::Truth>) {
    let truths = phantom::truth(scan, powders);
    let (angles, positions) = (scan.angles(), scan.positions());
    let shot = |[row, column]: [usize; 2]| {
        let place = row * scan.translations + column;
        // Counts per mm: a powder's peak is that of a whole diameter, the glass that of both walls in the
        // middle.
        let counts = |part: usize| match part < powders {
            true => request.peak / scan.diameter,
            false => 0.5 * request.background / (scan.diameter * phantom::WALLS),
        };
        let lengths = truths.iter().map(|truth| truth.sinogram[place]);
        let mut weights: Vec<f32> =
            lengths.enumerate().map(|(part, length)| length * counts(part) as f32).collect();
        weights.push(0.5 * request.background as f32);
        Shot { weights, angle: angles[row], position: positions[column] * 1e-3 }
    };
    let shots = order.visits(scan.rotations, scan.translations).into_iter().map(shot).collect();
    (shots, truths)
}

/// Limits in q, nm⁻¹, around the strongest line of powder `own` that lines of the others leave alone.
fn region(
    powders: &[(String, Vec<Ring>)],
    own: usize,
    shape: PeakShape,
    wavelength: f64,
    [nearest, furthest]: [f64; 2],
) -> Option<[f64; 2]> {
    let angles =
        |rings: &[Ring]| -> Vec<f64> { rings.iter().filter_map(|ring| ring.two_theta(wavelength)).collect() };
    let others: Vec<f64> = powders
        .iter()
        .enumerate()
        .filter(|(i, _)| *i != own)
        .flat_map(|(_, (_, rings))| angles(rings))
        .collect();
    let half = REGION_WIDTHS * shape.fwhm;
    let clear = |centre: f64| {
        let room = CLEAR_WIDTHS * shape.fwhm;
        centre - half >= nearest
            && centre + half <= furthest
            && others.iter().all(|other| (other - centre).abs() > room)
    };
    let candidates = powders[own].1.iter().filter_map(|ring| Some((ring.two_theta(wavelength)?, ring.area)));
    let (centre, _) = candidates.filter(|(centre, _)| clear(*centre)).max_by(|a, b| a.1.total_cmp(&b.1))?;
    let q = |two_theta: f64| 40.0 * std::f64::consts::PI / wavelength * (two_theta / 2.0).sin();
    Some([q(centre - half), q(centre + half)])
}

/// Wavelength, Å.
fn wavelength(poni: &Poni) -> Result<f64, SimulateError> {
    poni.wavelength.map(|metres| metres * 1e10).ok_or(SimulateError::NoWavelength)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_in_the_order_of_the_scan() {
        let order = |rotation_fast, zigzag| FrameOrder { rotation_fast, zigzag }.visits(2, 3);
        assert_eq!(order(false, false), [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]);
        assert_eq!(order(false, true), [[0, 0], [0, 1], [0, 2], [1, 2], [1, 1], [1, 0]]);
        assert_eq!(order(true, false), [[0, 0], [1, 0], [0, 1], [1, 1], [0, 2], [1, 2]]);
        assert_eq!(order(true, true), [[0, 0], [1, 0], [1, 1], [0, 1], [0, 2], [1, 2]]);
    }

    #[test]
    fn a_clear_line_is_found() {
        let rings = |substance| pattern::rings_of(substance, 0.2, 0.3);
        let powders = vec![
            ("LaB6".to_owned(), rings(Substance::LaB6)),
            ("CeO2".to_owned(), rings(Substance::CeO2)),
            ("Al2O3".to_owned(), rings(Substance::Al2O3)),
        ];
        let shape = PeakShape { fwhm: 0.0015, eta: 0.3 };
        let within = |own: usize, d: f64| {
            let [low, high] = region(&powders, own, shape, 0.2, [0.01, 0.3]).unwrap();
            assert!((low..high).contains(&(20.0 * std::f64::consts::PI / d)), "{own}: {low} {high}");
        };
        within(0, 2.9393);
        within(1, 3.1244);
        within(2, 2.5511);
    }
}
