//! What the options mean: every file opened, every default filled in, everything checked, nothing started.
//!
//! A [`Plan`] is what `--dry-run` prints and what `cli::integrate` runs. Making it reads the PONI, the mask, darks
//! and flats and the first usable frame's header, so most mistakes are found before anything is computed or written.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use serde_json::{Map, Value, json};

use super::args::{BadFramesName, ErrorModelName, IntegrateArgs, Method, StrategyName};
use super::exit::{Exit, Failure, OrExit};
use super::place::Place;
use crate::cuda::Options;
use crate::files;
use crate::frame::{Encoding, Shape};
use crate::geometry::correction;
use crate::geometry::detector::Dummy;
use crate::geometry::mask::Mask;
use crate::geometry::poni::Poni;
use crate::geometry::units::Unit;
use crate::integrate::engine::ErrorModel;
use crate::integrate::split::Split;
use crate::output::result::{ResultInfo, Scan};
use crate::pipeline::{BadFrames, Strategy, gpu_readers, host_readers, host_workers};
use crate::source::cbf::{CbfHeader, probe};
use crate::source::image::read_image_of;
use crate::source::listing::{Listing, expand, list};

/// First bytes of an HDF5 file.
pub(super) const HDF5_MAGIC: &[u8] = b"\x89HDF\r\n\x1a\n";

/// Longest file of settings that is read: one that names a million frames.
pub(super) const LONGEST_SETTINGS: u64 = 256 << 20;

/// More bins than any detector has pixels are a slip of the finger.
const MOST_BINS: usize = 10_000_000;

/// Bins when nobody says how many.
const DEFAULT_NPT: usize = 1000;

/// Everything a run needs to know, checked.
pub struct Plan {
    /// The options, with those of `--config` filled in and names made absolute.
    pub args: IntegrateArgs,
    /// Frames, in order; those before `--offset` are left out.
    pub files: Vec<PathBuf>,
    /// Header of the first usable frame: every other must have its encoding.
    pub first: CbfHeader,
    /// Geometry.
    pub poni: Poni,
    /// Pixels to leave out, if any.
    pub mask: Option<Mask>,
    /// Averaged dark current.
    pub dark: Option<Vec<f32>>,
    /// Averaged flat field.
    pub flat: Option<Vec<f32>>,
    /// Values that mean "not measured".
    pub dummy: Option<Dummy>,
    /// Radial unit.
    pub unit: Unit,
    /// Bins.
    pub npt: usize,
    /// Pixel splitting.
    pub split: Split,
    /// Uncertainties.
    pub error_model: ErrorModel,
    /// Map that the frames are points of.
    pub scan: Option<Scan>,
    /// Who runs where.
    pub crew: Crew,
    /// What a bad frame does.
    pub bad_frames: BadFrames,
    /// Things the user should know, one line each.
    pub warnings: Vec<String>,
}

/// Who runs where.
#[derive(Debug, Clone)]
pub struct Crew {
    /// Where frames are reduced.
    pub place: Place,
    /// Whether readers decode, so that plain pixels go to the reducers.
    pub readers_decode: bool,
    /// Sizes of the GPU's batches.
    pub cuda: Options,
    /// How the doors are manned.
    pub strategy: Strategy,
    /// Threads that read.
    pub readers: usize,
    /// Threads that compute (and build the matrix).
    pub threads: usize,
}

impl Plan {
    /// Opens and checks everything that the options name.
    ///
    /// # Errors
    /// The first thing that cannot be used, with the exit code of its kind.
    pub fn new(args: &IntegrateArgs) -> Result<Plan, Failure> {
        let args = match &args.config {
            Some(path) => merged(args, path).or_exit(Exit::Usage)?,
            None => args.clone(),
        };
        let args = made_absolute(args).or_exit(Exit::Usage)?;
        if args.output.is_none() && !args.dry_run {
            return Err(anyhow!("no result file: name one with --output FILE.h5")).or_exit(Exit::Usage);
        }
        check_numbers(&args).or_exit(Exit::Usage)?;
        let mut warnings = Vec::new();

        let (files, first) = frames(&args, &mut warnings)?;
        check_outputs(&args, &files).or_exit(Exit::Output)?;
        let encoding = first.encoding;
        let poni = geometry(&args, encoding.shape)?;
        warnings.extend(poni.notes.iter().map(|note| format!("{}: {note}", path_of(args.poni.as_ref()))));
        let unit: Unit = match &args.unit {
            Some(name) => name.parse().or_exit(Exit::Usage)?,
            None => Unit::QNm,
        };
        if unit.needs_wavelength() && poni.wavelength.is_none() {
            return Err(anyhow!(
                "{}: no Wavelength, which unit {} needs; add it to the PONI or choose 2th_deg or r_mm",
                path_of(args.poni.as_ref()),
                unit.name()
            ))
            .or_exit(Exit::Calibration);
        }
        let mask = mask(&args, &poni, encoding.shape, &mut warnings).or_exit(Exit::Calibration)?;
        let dark = average(&args.dark, "dark", encoding.shape).or_exit(Exit::Calibration)?;
        let flat = average(&args.flat, "flat", encoding.shape).or_exit(Exit::Calibration)?;
        let dummy = match (args.dummy, args.delta_dummy) {
            (Some(value), delta) => Some(Dummy::new(value, delta.unwrap_or(0.0))),
            (None, _) => poni.detector.dummy(encoding.pixel),
        };
        let scan = scan(&args, files.len()).or_exit(Exit::Usage)?;
        let crew = crew(&args, files.len())?;
        Ok(Plan {
            npt: args.npt.unwrap_or(DEFAULT_NPT),
            split: match args.method.unwrap_or(Method::Bbox) {
                Method::No => Split::No,
                Method::Bbox => Split::BBox,
                Method::Full => Split::Full,
            },
            error_model: match args.error_model {
                Some(ErrorModelName::Poisson) => ErrorModel::Poisson,
                Some(ErrorModelName::None) | None => ErrorModel::None,
            },
            bad_frames: match args.bad_frames {
                Some(BadFramesName::Stop) => BadFrames::Stop,
                Some(BadFramesName::Keep) | None => BadFrames::Keep,
            },
            args,
            files,
            first,
            poni,
            mask,
            dark,
            flat,
            dummy,
            unit,
            scan,
            crew,
            warnings,
        })
    }

    /// Encoding of every frame of the scan.
    pub fn encoding(&self) -> Encoding {
        self.first.encoding
    }

    /// What each pixel's counts are divided by: N₀ · flat · polarisation · solid angle.
    pub fn normalization(&self) -> Vec<f32> {
        let shape = self.encoding().shape;
        let polarization = self.args.polarization.map(|f| correction::polarization(&self.poni, shape, f));
        let solid_angle =
            (self.args.no_solid_angle != Some(true)).then(|| correction::solid_angle(&self.poni, shape));
        correction::normalization(
            shape.pixels(),
            self.args.normalization.unwrap_or(1.0) as f32,
            self.flat.as_deref(),
            polarization.as_deref(),
            solid_angle.as_deref(),
        )
    }

    /// Radial range in the displayed unit.
    pub fn radial_range(&self) -> Option<(f64, f64)> {
        pair(&self.args.radial_range)
    }

    /// Azimuthal range in degrees.
    pub fn azimuth_range(&self) -> Option<(f64, f64)> {
        pair(&self.args.azimuth_range)
    }

    /// The run as JSON: pyFAI's worker configuration (version 5), so that its viewers understand it, and under
    /// `xrdct` the options of this program, which `--config` reads back.
    pub fn configuration(&self) -> Value {
        let method = match self.split {
            Split::No => "no",
            Split::BBox => "bbox",
            Split::Full => "full",
        };
        json!({
            "application": "worker",
            "version": 5,
            "poni": {
                "poni_version": 2.1,
                "detector": self.poni.detector.name,
                "detector_config": self.poni.detector_config(),
                "dist": self.poni.distance,
                "poni1": self.poni.poni1,
                "poni2": self.poni.poni2,
                "rot1": self.poni.rot1,
                "rot2": self.poni.rot2,
                "rot3": self.poni.rot3,
                "wavelength": self.poni.wavelength,
            },
            "nbpt_rad": self.npt,
            "nbpt_azim": 1,
            "unit": self.unit.name(),
            "method": [method, "csr", "xrdct"],
            "correct_solid_angle": self.args.no_solid_angle != Some(true),
            "polarization_factor": self.args.polarization,
            "normalization_factor": self.args.normalization,
            "error_model": match self.error_model { ErrorModel::Poisson => Some("poisson"), ErrorModel::None => None },
            "val_dummy": self.dummy.as_ref().map(|d| d.value),
            "delta_dummy": self.dummy.as_ref().map(|d| d.delta),
            "mask_file": self.args.mask,
            "dark_current": self.args.dark,
            "flat_field": self.args.flat,
            "radial_range": self.radial_range().map(|(a, b)| [a, b]),
            "azimuth_range": self.azimuth_range().map(|(a, b)| [a, b]),
            "shape": [self.encoding().shape.slow, self.encoding().shape.fast],
            "xrdct": self.args,
        })
    }
}

fn path_of(path: Option<&PathBuf>) -> String {
    path.map_or_else(String::new, |p| p.display().to_string())
}

fn pair(values: &[f64]) -> Option<(f64, f64)> {
    match values {
        [a, b] => Some((*a, *b)),
        _ => None,
    }
}

/// Options of an earlier run beneath those typed now.
fn merged(typed: &IntegrateArgs, path: &Path) -> anyhow::Result<IntegrateArgs> {
    let at = || format!("--config {}", path.display());
    let earlier = match files::start(path, HDF5_MAGIC.len()).with_context(at)? == HDF5_MAGIC {
        true => ResultInfo::open(path)?.configuration,
        false => {
            serde_json::from_slice(&files::read(path, LONGEST_SETTINGS).with_context(at)?).with_context(at)?
        }
    };
    let earlier = match earlier {
        Value::Object(mut whole) => match whole.remove("xrdct") {
            Some(Value::Object(ours)) => ours,
            _ => whole,
        },
        _ => bail!("{}: not a JSON object", at()),
    };
    let Value::Object(now) = serde_json::to_value(typed)? else {
        bail!("the options do not serialise to an object: a defect of xrdct")
    };
    let mut both: Map<String, Value> = earlier;
    for (name, value) in now {
        let is_set = !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty());
        if is_set || !both.contains_key(&name) {
            both.insert(name, value);
        }
    }
    let args: IntegrateArgs = serde_json::from_value(Value::Object(both)).with_context(at)?;
    Ok(IntegrateArgs {
        output: typed.output.clone(),
        overwrite: typed.overwrite,
        dry_run: typed.dry_run,
        config: typed.config.clone(),
        trace: typed.trace.clone(),
        tomo: typed.tomo.clone(),
        tomo_options: typed.tomo_options.clone(),
        saying: typed.saying,
        ..args
    })
}

/// Names as they stand, seen from any folder: the configuration must mean the same tomorrow.
fn made_absolute(mut args: IntegrateArgs) -> anyhow::Result<IntegrateArgs> {
    let here = std::env::current_dir().context("the current folder")?;
    let fix = |name: &mut String| {
        let (mark, rest) = name.strip_prefix('@').map_or(("", name.as_str()), |rest| ("@", rest));
        if Path::new(rest).is_relative() {
            *name = format!("{mark}{}", here.join(rest).display());
        }
    };
    args.inputs.iter_mut().for_each(fix);
    args.dark.iter_mut().for_each(fix);
    args.flat.iter_mut().for_each(fix);
    args.mask.iter_mut().for_each(fix);
    if let Some(poni) = &mut args.poni {
        *poni = here.join(&*poni);
    }
    Ok(args)
}

/// The frames, and the header of the first one that has a usable one.
fn frames(args: &IntegrateArgs, warnings: &mut Vec<String>) -> Result<(Vec<PathBuf>, CbfHeader), Failure> {
    if args.inputs.is_empty() {
        return Err(anyhow!("no frames: name CBF files, folders, globs or @list.txt")).or_exit(Exit::Usage);
    }
    let Listing { mut files, notes } = list(&args.inputs).or_exit(Exit::Input)?;
    warnings.extend(notes);
    let offset = args.offset.unwrap_or(0);
    if offset >= files.len() {
        return Err(anyhow!("--offset {offset} leaves nothing of {} frames", files.len()))
            .or_exit(Exit::Usage);
    }
    files.drain(..offset);
    let first = first_usable(&files).or_exit(Exit::Input)?;
    Ok((files, first))
}

/// Header of the first file that has a usable one; the first file's error when none has.
pub(super) fn first_usable(files: &[PathBuf]) -> anyhow::Result<CbfHeader> {
    let mut first_error = None;
    for file in files {
        match probe(file) {
            Ok(header) => return Ok(header),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    match first_error {
        Some(error) if files.len() == 1 => Err(error.into()),
        Some(error) => Err(anyhow::Error::from(error)
            .context(format!("none of the {} frames can be read; the first", files.len()))),
        None => Err(anyhow!("no frames")),
    }
}

fn geometry(args: &IntegrateArgs, frames: Shape) -> Result<Poni, Failure> {
    let Some(path) = &args.poni else {
        return Err(anyhow!("no geometry: name a PONI file with --poni FILE.poni")).or_exit(Exit::Usage);
    };
    let poni = Poni::read(path).or_exit(Exit::Calibration)?;
    if let Some(shape) = poni.detector.shape
        && shape != frames
    {
        return Err(anyhow!(
            "{}: its detector {} has {shape} pixels, the frames have {frames}; \
             is this the PONI of these frames?",
            path.display(),
            poni.detector.name
        ))
        .or_exit(Exit::Calibration);
    }
    Ok(poni)
}

/// The user's mask or the detector's own; a user's replaces it, as in pyFAI, unless they are to be combined.
fn mask(
    args: &IntegrateArgs,
    poni: &Poni,
    shape: Shape,
    warnings: &mut Vec<String>,
) -> anyhow::Result<Option<Mask>> {
    let own = poni.detector.mask();
    let Some(name) = &args.mask else { return Ok(own) };
    let image = read_image_of(name, shape).context("the mask")?;
    let mut mask = Mask::from_values(shape, &image.data)?;
    if let Some(own) = own {
        if args.combine_mask == Some(true) {
            mask = mask.union(&own)?;
        } else {
            let let_in = own.masked.iter().zip(&mask.masked).filter(|(own, user)| **own && !**user).count();
            if let_in > 0 {
                warnings.push(format!(
                    "--mask replaces the mask of {}, as in pyFAI: {let_in} pixels that the detector masks are let in \
                     (gaps are still ignored by their dummy values); --combine-mask applies both",
                    poni.detector.name
                ));
            }
        }
    }
    if mask.count() == shape.pixels() {
        bail!("{name}: the mask leaves no pixel (non-zero means masked)");
    }
    Ok(Some(mask))
}

/// Mean of the images of a list; names may be globs.
fn average(names: &[String], what: &str, shape: Shape) -> anyhow::Result<Option<Vec<f32>>> {
    if names.is_empty() {
        return Ok(None);
    }
    let mut files: Vec<String> = Vec::new();
    for name in names {
        let is_pattern = name.contains(['*', '?']) && !name.contains("::");
        match is_pattern {
            true => files.extend(expand(std::slice::from_ref(name))?.iter().map(|p| p.display().to_string())),
            false => files.push(name.clone()),
        }
    }
    let mut sum = vec![0.0_f64; shape.pixels()];
    for name in &files {
        let image = read_image_of(name, shape).with_context(|| format!("the {what}"))?;
        sum.iter_mut().zip(&image.data).for_each(|(sum, value)| *sum += value);
    }
    let count = files.len() as f64;
    Ok(Some(sum.iter().map(|sum| (sum / count) as f32).collect()))
}

/// What is written must not be what is read, nor written twice.
fn check_outputs(args: &IntegrateArgs, files: &[PathBuf]) -> anyhow::Result<()> {
    let whole = |path: &Path| std::fs::canonicalize(path).ok();
    let images = args.mask.iter().chain(&args.dark).chain(&args.flat).map(Path::new);
    let read: Vec<&Path> = args.poni.iter().map(PathBuf::as_path).chain(images).collect();
    for (option, written) in [("--output", &args.output), ("--trace", &args.trace), ("--tomo", &args.tomo)] {
        let Some(path) = written else { continue };
        let Some(written) = whole(path) else { continue };
        let same = |other: &&Path| {
            other.file_name() == written.file_name() && whole(other).as_ref() == Some(&written)
        };
        let frames = files.iter().map(PathBuf::as_path);
        if let Some(input) = frames.chain(read.iter().copied()).find(same) {
            bail!("{option} {}: that is {}, which this run reads", path.display(), input.display());
        }
    }
    for (option, path) in [("--trace", &args.trace), ("--tomo", &args.tomo)] {
        let Some(path) = path else { continue };
        if args.output.as_ref().is_some_and(|o| o == path || whole(o).is_some_and(|o| whole(path) == Some(o)))
        {
            bail!("{option} {}: that is --output", path.display());
        }
        if path.exists() && !args.overwrite {
            bail!("{option} {}: there is already a file of that name; see --overwrite", path.display());
        }
    }
    Ok(())
}

fn check_numbers(args: &IntegrateArgs) -> anyhow::Result<()> {
    if let Some(npt) = args.npt
        && !(1..=MOST_BINS).contains(&npt)
    {
        bail!("--npt {npt}: must be from 1 to {MOST_BINS}");
    }
    // Of options that need each other one may come from --config, so they are checked here.
    let pairs = [
        ("--combine-mask", args.combine_mask == Some(true), "--mask", args.mask.is_some()),
        ("--delta-dummy", args.delta_dummy.is_some(), "--dummy", args.dummy.is_some()),
        ("--slow", args.slow.is_some(), "--fast", args.fast.is_some()),
        ("--fast", args.fast.is_some(), "--slow", args.slow.is_some()),
        ("--zigzag", args.zigzag == Some(true), "--slow and --fast", args.slow.is_some()),
    ];
    for (option, is_given, needed, is_there) in pairs {
        if is_given && !is_there {
            bail!("{option} needs {needed}");
        }
    }
    let counts = [
        ("--threads", args.threads),
        ("--readers", args.readers),
        ("--lanes", args.lanes),
        ("--batch", args.batch),
    ];
    for (option, count) in counts {
        if count == Some(0) {
            bail!("{option} 0: must be at least 1");
        }
    }
    if let Some(f) = args.polarization
        && !(-1.0..=1.0).contains(&f)
    {
        bail!("--polarization {f}: must be between -1 and 1");
    }
    if let Some(v) = args.normalization
        && !(v.is_finite() && v > 0.0)
    {
        bail!("--normalization {v}: must be a positive number");
    }
    for (name, range) in [("--radial-range", &args.radial_range), ("--azimuth-range", &args.azimuth_range)] {
        match range.as_slice() {
            [] => {}
            [a, b] if a.is_finite() && b.is_finite() && a < b => {}
            [a, b] => bail!("{name} {a} {b}: the first must be below the second"),
            other => bail!("{name}: needs two numbers, got {}", other.len()),
        }
    }
    Ok(())
}

fn scan(args: &IntegrateArgs, frames: usize) -> anyhow::Result<Option<Scan>> {
    let (Some(slow), Some(fast)) = (args.slow, args.fast) else { return Ok(None) };
    let points = slow.checked_mul(fast).filter(|n| *n > 0);
    let Some(points) = points else { bail!("--slow {slow} --fast {fast}: a map needs at least one point") };
    if frames > points {
        bail!("--slow {slow} --fast {fast}: {frames} frames do not fit a map of {points} points");
    }
    Ok(Some(Scan::new(slow, fast, args.zigzag == Some(true))))
}

fn crew(args: &IntegrateArgs, frames: usize) -> Result<Crew, Failure> {
    let place = Place::choose(args.device.as_deref().unwrap_or("auto"))?;
    let on_gpu = matches!(place, Place::Cuda { .. });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = args.threads.unwrap_or(if on_gpu { cores } else { host_workers(cores) });
    let asked = args.strategy.unwrap_or(StrategyName::Auto);
    let strategy = match asked {
        StrategyName::Gpu if !on_gpu => {
            return Err(anyhow!("--strategy gpu: there is no GPU to use: {}", place.name()))
                .or_exit(Exit::Device);
        }
        StrategyName::Sequential => Strategy::Sequential,
        StrategyName::Auto if frames == 1 && !on_gpu => Strategy::Sequential,
        StrategyName::Auto | StrategyName::Pool | StrategyName::Gpu => Strategy::Pool,
    };
    let default_readers = if on_gpu { gpu_readers(threads) } else { host_readers(threads) };
    let default = Options::default();
    Ok(Crew {
        readers_decode: on_gpu && matches!(asked, StrategyName::Sequential | StrategyName::Pool),
        cuda: Options {
            lanes: args.lanes.unwrap_or(default.lanes),
            batch: args.batch.unwrap_or(default.batch),
        },
        place,
        strategy,
        readers: args.readers.unwrap_or(default_readers),
        threads,
    })
}
