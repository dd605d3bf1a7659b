//! `xrdct simulate`: what was typed, and what it means for [`crate::simulate`].
//!
//! Defaults make frames like those of a high-energy beamline: a Pilatus CdTe 2M half a metre behind LaB6 at
//! 70 keV. With `--phantom` they make an XRD-CT scan that is small enough for a laptop: a Pilatus 100k, 30
//! rotations, 31 translations. As HDF5 they are those of an Eiger2 CdTe, 4M and 500k.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use crate::frame::Shape;
use crate::session::{Detector, Poni, on_threads};
use crate::simulate::crystal::Substance;
use crate::simulate::format::{BitDepth, MasterLayout, SeriesFormat, Stacking};
use crate::simulate::pattern::Ring;
use crate::simulate::phantom::Trajectory;
use crate::simulate::series::Destination;
use crate::simulate::{FrameOrder, HC_KEV_ANGSTROM, Sample, SimulateError, Simulation, Summary, simulate};

/// Photon energy when neither PONI nor option gives one, keV.
const ENERGY: f64 = 70.0;

/// A detector this many times wider than high is put beside the beam, not around it.
const WIDE: usize = 2;

/// Frames of a data file, as Eiger detectors have it.
const FRAMES_PER_FILE: usize = 1000;

/// With `--strong`, peaks are this many times higher: one pixel in thirteen of a Pilatus CdTe 2M then needs a
/// 3-byte code.
const STRONG: f64 = 10.0;

/// Make frames: powder rings on any known detector, or an XRD-CT scan of a phantom.
///
/// Frames are CBF files with mini-CBF headers and MD5, as DECTRIS' Pilatus detectors write them, or HDF5 files of an Eiger (--format):
/// a master, and data files of bitshuffle-LZ4 frames. The PONI file that belongs to them is written beside them. The same options
/// always give the same files, and in every format the same counts.
#[derive(Debug, Clone, Args)]
pub struct SimulateArgs {
    /// Folder for the frames; made when it does not exist
    #[arg(short, long, value_name = "FOLDER")]
    pub output: PathBuf,

    /// Frames are named PREFIX_00001.cbf and so on; HDF5 files PREFIX_master.h5, PREFIX_data_000001.h5 and so on
    #[arg(long, default_value = "frame", value_name = "PREFIX")]
    pub prefix: String,

    /// Number of the first frame
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub first: usize,

    /// What files the frames are written to
    #[arg(long, value_enum, default_value_t = FrameFormat::Cbf, value_name = "FORMAT")]
    pub format: FrameFormat,

    /// Frames of an HDF5 data file [default: 1000]
    #[arg(long, value_name = "N")]
    pub frames_per_file: Option<usize>,

    /// Bits of a pixel in HDF5 files, 16 or 32; what does not fit is stored as no count, all bits set [default: 32]
    #[arg(long, value_name = "BITS")]
    pub bit_depth: Option<u8>,

    /// Replace files that exist
    #[arg(long)]
    pub overwrite: bool,

    /// Number of frames [default: 10]; a phantom's follow from its scan
    #[arg(short = 'n', long, value_name = "N", conflicts_with = "phantom")]
    pub frames: Option<usize>,

    /// Where the random numbers start
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,

    /// Threads to use [default: all cores]; the files are the same for any number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,

    /// Detector, by its pyFAI name, such as PilatusCdTe2M, Pilatus300k or Eiger2_4M; "Detector" takes --shape
    /// and --pixel-size [default: PilatusCdTe2M, for a phantom Pilatus100k; with HDF5 Eiger2CdTe_4M and Eiger2CdTe_500k]
    #[arg(long, value_name = "NAME", help_heading = "Geometry", conflicts_with = "poni")]
    pub detector: Option<String>,

    /// Take detector, position and wavelength from this PONI file
    #[arg(long, value_name = "FILE", help_heading = "Geometry")]
    pub poni: Option<PathBuf>,

    /// Rows and columns of a detector that has no size of its own
    #[arg(long, num_args = 2, value_names = ["ROWS", "COLUMNS"], help_heading = "Geometry")]
    pub shape: Option<Vec<usize>>,

    /// Pixel size, micrometres, of a detector that has none of its own
    #[arg(long, value_name = "UM", default_value_t = 100.0, help_heading = "Geometry")]
    pub pixel_size: f64,

    /// Distance from sample to detector, metres [default: 0.5; for a phantom 0.3]
    #[arg(long, value_name = "M", help_heading = "Geometry", conflicts_with = "poni")]
    pub distance: Option<f64>,

    /// Where the beam hits the detector, in pixels from its corner: column and row [default: the middle; for
    /// a detector much wider than high near its left edge]
    #[arg(
        long,
        num_args = 2,
        value_names = ["COLUMN", "ROW"],
        allow_negative_numbers = true,
        help_heading = "Geometry",
        conflicts_with = "poni"
    )]
    pub beam: Option<Vec<f64>>,

    /// Photon energy, keV [default: that of the PONI file, else 70]
    #[arg(long, value_name = "KEV", help_heading = "Geometry", conflicts_with = "wavelength")]
    pub energy: Option<f64>,

    /// Wavelength, angstrom
    #[arg(long, value_name = "A", help_heading = "Geometry")]
    pub wavelength: Option<f64>,

    /// What is in the beam: LaB6, CeO2, Si, AgBh, Al2O3, Cr2O3, ZnO, Al, Ni, Au; several with commas
    /// [default: LaB6; for a phantom LaB6,CeO2,Al2O3]
    #[arg(short, long, value_name = "NAME", value_delimiter = ',', help_heading = "Sample")]
    pub calibrant: Vec<String>,

    /// A ring of your own: its position and, after a colon, its strength (1 if not given), such as
    /// 3.1356:100; may be repeated
    #[arg(
        long,
        value_name = "RING",
        value_delimiter = ',',
        help_heading = "Sample",
        conflicts_with = "phantom"
    )]
    pub ring: Vec<String>,

    /// What the positions of rings are
    #[arg(long, value_enum, default_value_t = RingUnit::DA, value_name = "UNIT", help_heading = "Sample")]
    pub ring_unit: RingUnit,

    /// Full width of the peaks at half maximum, degrees in 2theta [default: three pixels]
    #[arg(long, value_name = "DEG", help_heading = "Sample")]
    pub fwhm: Option<f64>,

    /// Shape of the peaks: 0 is Gaussian, 1 Lorentzian, between them pseudo-Voigt
    #[arg(long, value_name = "ETA", default_value_t = 0.3, help_heading = "Sample")]
    pub eta: f64,

    /// Counts at the top of the highest ring; in a phantom, of a phase as thick as the capillary
    #[arg(long, value_name = "COUNTS", default_value_t = 800.0, help_heading = "Counting")]
    pub peak: f64,

    /// Ten times stronger rings, for frames that compress badly
    #[arg(long, help_heading = "Counting")]
    pub strong: bool,

    /// Counts of the smooth background where it is highest
    #[arg(long, value_name = "COUNTS", default_value_t = 15.0, help_heading = "Counting")]
    pub background: f64,

    /// No noise: expected counts, rounded
    #[arg(long, help_heading = "Counting")]
    pub no_noise: bool,

    /// Polarisation of the beam: 1 is horizontal, 0 none, -1 vertical
    #[arg(
        long,
        value_name = "F",
        default_value_t = 0.99,
        allow_negative_numbers = true,
        help_heading = "Counting"
    )]
    pub polarization: f64,

    /// Time from one frame to the next, seconds (for the headers)
    #[arg(long, value_name = "S", default_value_t = 1.0, help_heading = "Counting")]
    pub exposure: f64,

    /// Number of bad pixels, which read -2, or are dead in the pixel mask of HDF5 files [default: 1 in 10000]
    #[arg(long, value_name = "N", help_heading = "Counting")]
    pub bad_pixels: Option<usize>,

    /// Number of hot pixels, which count by themselves
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Counting")]
    pub hot_pixels: usize,

    /// Spots of single crystals in each frame, on its rings and elsewhere in every frame
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Counting")]
    pub spots: usize,

    /// Tracks of gamma rays in each frame
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Counting")]
    pub hits: usize,

    /// Radius of a beamstop's shadow on the detector, mm
    #[arg(long, value_name = "MM", help_heading = "Counting")]
    pub beamstop: Option<f64>,

    /// Scan a capillary with one to three phases instead; its true maps are saved as truth.h5
    #[arg(long, help_heading = "Phantom")]
    pub phantom: bool,

    /// Number of rotations
    #[arg(long, value_name = "N", default_value_t = 30, help_heading = "Phantom")]
    pub rotations: usize,

    /// Number of translations; also the side of the true maps in pixels
    #[arg(long, value_name = "N", default_value_t = 31, help_heading = "Phantom")]
    pub translations: usize,

    /// Range of the rotation, degrees; its end is not measured again
    #[arg(long, value_name = "DEG", default_value_t = 180.0, help_heading = "Phantom")]
    pub range: f64,

    /// Outer diameter of the capillary, mm
    #[arg(long, value_name = "MM", default_value_t = 1.0, help_heading = "Phantom")]
    pub diameter: f64,

    /// Length of the translation, mm [default: 1.15 diameters]
    #[arg(long, value_name = "MM", help_heading = "Phantom")]
    pub field: Option<f64>,

    /// The slow axis of the scan; the other one is fast
    #[arg(long, value_enum, default_value_t = SlowAxis::Rotation, help_heading = "Phantom")]
    pub slow_axis: SlowAxis,

    /// Run every second line of the scan backwards
    #[arg(long, help_heading = "Phantom")]
    pub zigzag: bool,

    /// Put the rotation axis this many translation steps off the middle
    #[arg(
        long,
        value_name = "STEPS",
        default_value_t = 0.0,
        allow_negative_numbers = true,
        help_heading = "Phantom"
    )]
    pub axis_offset: f64,
}

/// What files frames are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FrameFormat {
    /// A CBF file a frame, as Pilatus detectors write them
    Cbf,
    /// An Eiger's master with links to its data files, as DECTRIS' first file writer makes them
    Eiger,
    /// The same data files behind an NXmx master: one virtual dataset, all places as chains of axes
    Nxmx,
}

/// What the position of a ring is given in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RingUnit {
    /// Lattice spacing, angstrom
    #[value(name = "d_A")]
    DA,
    /// Scattering angle, degrees
    #[value(name = "2th_deg")]
    TwoThetaDeg,
    /// Momentum transfer, 1/nm
    #[value(name = "q_nm^-1")]
    QNm,
}

/// An axis of the scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SlowAxis {
    /// All translations at one rotation, then the next rotation
    Rotation,
    /// All rotations at one translation, then the next translation
    Translation,
}

/// Makes the frames and says what was written.
///
/// # Errors
/// An unknown detector or substance, a PONI file that cannot be read, a setting out of range, files that exist or
/// cannot be written.
pub fn run(args: &SimulateArgs) -> anyhow::Result<Summary> {
    let request = request(args)?;
    let frames = match &request.sample {
        Sample::Powder { frames, .. } => *frames,
        Sample::Phantom { scan, .. } => scan.rotations * scan.translations,
    };
    super::warn_of_leftovers(request.format.leftovers(&request.destination));
    // Hidden by itself when standard error is not a terminal.
    let bar = ProgressBar::new(frames as u64).with_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} frames  {per_sec}  {eta} left")
            .context("progress bar")?,
    );
    bar.enable_steady_tick(Duration::from_millis(200));
    let work = || simulate(&request, &|| bar.inc(1));
    let summary = match args.threads {
        None => work(),
        Some(threads) => on_threads(threads.into(), work)?,
    };
    bar.finish_and_clear();
    Ok(summary?)
}

/// What the options mean.
///
/// # Errors
/// As [`run`], less what has to do with writing.
pub fn request(args: &SimulateArgs) -> anyhow::Result<Simulation> {
    let poni = geometry(args)?;
    let shape = args.shape.as_deref().map(|s| Shape { slow: s[0], fast: s[1] });
    let pixels = poni.detector.shape.or(shape).map_or(0, Shape::pixels);
    let wavelength = poni.wavelength.unwrap_or(0.0) * 1e10;
    Ok(Simulation {
        destination: Destination {
            folder: args.output.clone(),
            prefix: args.prefix.clone(),
            first: args.first,
            overwrite: args.overwrite,
        },
        format: format(args)?,
        poni,
        shape,
        sample: sample(args, wavelength)?,
        fwhm: args.fwhm.map(f64::to_radians),
        eta: args.eta,
        peak: args.peak * if args.strong { STRONG } else { 1.0 },
        background: args.background,
        polarization: args.polarization,
        beamstop: args.beamstop.map(|mm| mm * 1e-3),
        bad_pixels: args.bad_pixels.unwrap_or(pixels / 10_000),
        hot_pixels: args.hot_pixels,
        spots: args.spots,
        hits: args.hits,
        exposure: args.exposure,
        noise: !args.no_noise,
        seed: args.seed,
    })
}

fn format(args: &SimulateArgs) -> anyhow::Result<SeriesFormat> {
    let master = match args.format {
        FrameFormat::Eiger => MasterLayout::Eiger,
        FrameFormat::Nxmx => MasterLayout::Nxmx,
        FrameFormat::Cbf if args.bit_depth.is_some() || args.frames_per_file.is_some() => {
            bail!("--bit-depth and --frames-per-file are those of HDF5 files: add --format eiger or nxmx");
        }
        FrameFormat::Cbf => return Ok(SeriesFormat::Cbf),
    };
    let depth = match args.bit_depth {
        Some(16) => BitDepth::Sixteen,
        None | Some(32) => BitDepth::ThirtyTwo,
        Some(other) => bail!("--bit-depth {other}: pixels have 16 or 32 bits"),
    };
    let frames_per_file = args.frames_per_file.unwrap_or(FRAMES_PER_FILE);
    Ok(SeriesFormat::Hdf5(Stacking { master, depth, frames_per_file }))
}

fn sample(args: &SimulateArgs, wavelength: f64) -> anyhow::Result<Sample> {
    let rings = args.ring.iter().map(|text| ring(text, args.ring_unit, wavelength));
    let rings = rings.collect::<anyhow::Result<Vec<Ring>>>()?;
    let default: &[&str] = match (args.phantom, rings.is_empty()) {
        (true, _) => &["LaB6", "CeO2", "Al2O3"],
        (false, true) => &["LaB6"],
        (false, false) => &[],
    };
    let typed = args.calibrant.iter().map(String::as_str);
    let names: Vec<&str> = if args.calibrant.is_empty() { default.to_vec() } else { typed.collect() };
    let substances = names.into_iter().map(substance).collect::<anyhow::Result<Vec<_>>>()?;
    if !args.phantom {
        return Ok(Sample::Powder { substances, rings, frames: args.frames.unwrap_or(10) });
    }
    let scan = Trajectory {
        rotations: args.rotations,
        translations: args.translations,
        range: args.range,
        field: args.field.unwrap_or(1.15 * args.diameter),
        diameter: args.diameter,
        axis_offset: args.axis_offset,
    };
    let order = FrameOrder { rotation_fast: args.slow_axis == SlowAxis::Translation, zigzag: args.zigzag };
    Ok(Sample::Phantom { substances, scan, order })
}

fn substance(name: &str) -> anyhow::Result<Substance> {
    Substance::by_name(name).with_context(|| {
        let known = Substance::ALL.map(Substance::name).join(", ");
        format!("'{name}' is no substance known here; choose from {known}, or give its rings with --ring")
    })
}

/// `3.1356` or `3.1356:100` in the given unit; wavelength in Å.
fn ring(text: &str, unit: RingUnit, wavelength: f64) -> anyhow::Result<Ring> {
    let (place, strength) = text.split_once(':').unwrap_or((text, "1"));
    let number = |part: &str| part.trim().parse::<f64>().ok().filter(|v| v.is_finite() && *v > 0.0);
    let (Some(place), Some(area)) = (number(place), number(strength)) else {
        bail!("'{text}' is no ring: it must read POSITION or POSITION:STRENGTH, both above zero");
    };
    let d = match unit {
        RingUnit::DA => place,
        RingUnit::TwoThetaDeg => wavelength / (2.0 * (place.to_radians() / 2.0).sin()),
        RingUnit::QNm => 20.0 * std::f64::consts::PI / place,
    };
    Ok(Ring { d, area })
}

/// The geometry: from the PONI file, or a detector that stands straight in the beam.
fn geometry(args: &SimulateArgs) -> anyhow::Result<Poni> {
    let given = args.wavelength.or(args.energy.map(|energy| HC_KEV_ANGSTROM / energy));
    if given.is_some_and(|wavelength| !(wavelength.is_finite() && wavelength > 0.0)) {
        bail!("--energy and --wavelength must be above zero");
    }
    if let Some(path) = &args.poni {
        let mut poni = Poni::read(path)?;
        poni.wavelength = given.map(|angstrom| angstrom * 1e-10).or(poni.wavelength);
        return Ok(poni);
    }
    let (pilatus, eiger, default_distance) = match args.phantom {
        true => ("Pilatus100k", "Eiger2CdTe_500k", 0.3),
        false => ("PilatusCdTe2M", "Eiger2CdTe_4M", 0.5),
    };
    let default_name = if args.format == FrameFormat::Cbf { pilatus } else { eiger };
    let name = args.detector.as_deref().unwrap_or(default_name);
    let shape = args.shape.as_deref().map(|s| Shape { slow: s[0], fast: s[1] });
    let pixel = args.pixel_size * 1e-6;
    let detector = if name.eq_ignore_ascii_case("detector") {
        if !(pixel.is_finite() && pixel > 0.0) {
            bail!("--pixel-size must be above zero");
        }
        Detector::plain(pixel, pixel, shape)
    } else {
        Detector::by_name(name).with_context(|| {
            format!("no detector is called '{name}'; names are pyFAI's, such as Pilatus1M, PilatusCdTe2M, Eiger2_4M or Detector")
        })?
    };
    let Some(shape) = detector.shape.or(shape) else {
        return Err(SimulateError::NoShape { detector: detector.name }.into());
    };
    let centre = |pixels: usize| pixels as f64 / 2.0;
    let [column, row] = match args.beam.as_deref() {
        Some(beam) => [beam[0], beam[1]],
        None if shape.fast > WIDE * shape.slow => [shape.fast as f64 / 20.0, centre(shape.slow)],
        None => [centre(shape.fast), centre(shape.slow)],
    };
    Ok(Poni {
        distance: args.distance.unwrap_or(default_distance),
        poni1: row * detector.pixel1,
        poni2: column * detector.pixel2,
        rot1: 0.0,
        rot2: 0.0,
        rot3: 0.0,
        wavelength: Some(given.unwrap_or(HC_KEV_ANGSTROM / ENERGY) * 1e-10),
        detector,
        parallax: false,
        version: 2.1,
        notes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        args: SimulateArgs,
    }

    fn typed(line: &str) -> anyhow::Result<Simulation> {
        let words = ["simulate", "-o", "out"].into_iter().chain(line.split_whitespace());
        request(&Typed::try_parse_from(words)?.args)
    }

    #[test]
    fn nothing_but_a_folder_makes_lab6_on_a_pilatus() {
        let request = typed("").unwrap();
        assert_eq!(request.poni.detector.name, "PilatusCdTe2M");
        let rings = Vec::new();
        assert_eq!(request.sample, Sample::Powder { substances: vec![Substance::LaB6], rings, frames: 10 });
        assert_eq!(request.bad_pixels, 247);
        assert!(request.noise && request.shape.is_none());
    }

    #[test]
    fn a_phantom_is_a_scan_of_three_phases() {
        let request = typed("--phantom --slow-axis translation --zigzag --axis-offset -1.5").unwrap();
        assert_eq!(request.poni.detector.name, "Pilatus100k");
        let Sample::Phantom { substances, scan, order } = request.sample else { panic!("no phantom") };
        assert_eq!(substances.len(), 3);
        assert_eq!((scan.rotations, scan.translations, scan.axis_offset), (30, 31, -1.5));
        assert_eq!(order, FrameOrder { rotation_fast: true, zigzag: true });
    }

    #[test]
    fn hdf5_files_are_those_of_an_eiger() {
        let request = typed("--format nxmx --bit-depth 16").unwrap();
        assert_eq!(request.poni.detector.name, "Eiger2CdTe_4M");
        let stacking =
            Stacking { master: MasterLayout::Nxmx, depth: BitDepth::Sixteen, frames_per_file: 1000 };
        assert_eq!(request.format, SeriesFormat::Hdf5(stacking));
        let request = typed("--format eiger --phantom --frames-per-file 7").unwrap();
        assert_eq!(request.poni.detector.name, "Eiger2CdTe_500k");
        let stacking =
            Stacking { master: MasterLayout::Eiger, depth: BitDepth::ThirtyTwo, frames_per_file: 7 };
        assert_eq!(request.format, SeriesFormat::Hdf5(stacking));
    }

    #[test]
    fn rings_are_read_in_every_unit() {
        let d = |line: &str| match typed(line).unwrap().sample {
            Sample::Powder { rings, .. } => rings.iter().map(|ring| ring.d).collect::<Vec<_>>(),
            Sample::Phantom { .. } => Vec::new(),
        };
        assert_eq!(d("--ring 3.1356:100,1.92"), [3.1356, 1.92]);
        assert!((d("--ring 20 --ring-unit q_nm^-1")[0] - std::f64::consts::PI).abs() < 1e-12);
        assert!((d("--ring 60 --ring-unit 2th_deg --wavelength 2")[0] - 2.0).abs() < 1e-12);
    }

    #[test]
    fn nonsense_is_refused_with_a_hint() {
        let message = |line: &str| typed(line).unwrap_err().to_string();
        assert!(message("--detector Pilatus9Z").contains("names are pyFAI's"));
        assert!(message("--calibrant Fe").contains("choose from LaB6, CeO2"));
        assert!(message("--ring 3:x").contains("POSITION:STRENGTH"));
        assert!(message("--ring -3").contains("unexpected argument"));
        assert!(message("--energy 0").contains("above zero"));
        assert!(message("--phantom -n 5").contains("cannot be used with"));
        assert!(message("--bit-depth 16").contains("--format eiger or nxmx"));
        assert!(message("--format eiger --bit-depth 24").contains("16 or 32 bits"));
        assert!(message("--threads 0").contains("1..=1024"));
    }
}
