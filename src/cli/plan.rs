//! What the options mean: every file opened, every default filled in, everything checked, nothing started.
//!
//! A [`Plan`] is what `--dry-run` prints and what `cli::integrate` runs. Making it reads the PONI, the mask, darks
//! and flats and the first usable frame's header, so most mistakes are found before anything is computed or written.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};

use super::args::{
    BadFramesName, ErrorModelName, IntegrateArgs, MOST_COUNT, SaturationFrom, Splitting, StrategyName,
};
use super::configuration::{self, ConfigError};
use super::exit::{Exit, Failure, OrExit};
use super::memory;
use super::place::Device;
use crate::cuda::LaneSizes;
use crate::frame::{Encoding, Shape};
use crate::geometry::correction;
use crate::geometry::detector::Dummy;
use crate::geometry::mask::Mask;
use crate::geometry::poni::Poni;
use crate::geometry::units::Unit;
use crate::integrate::corrections::{Corrections, Given};
use crate::integrate::engine::{ErrorModel, Saturation};
use crate::integrate::split::Split;
use crate::output::result::Raster;
use crate::pipeline::{BadFrames, Strategy, gpu_readers, host_readers, host_workers};
use crate::source::cbf::{CbfHeader, probe};
use crate::source::image::read_image_of;
use crate::source::listing::{Listing, expand, list};

/// More bins than any detector has pixels are a slip of the finger.
pub(super) const MOST_BINS: usize = 10_000_000;

/// Bins when nobody says how many.
const DEFAULT_NPT: usize = 1000;

/// Everything a run needs to know, checked.
pub struct Plan {
    /// The options, with those of `--config` filled in and names made absolute.
    pub args: IntegrateArgs,
    /// Frames, in order; those before `--offset` are left out.
    pub files: Vec<PathBuf>,
    /// Those before `--offset`.
    pub left_out: Vec<PathBuf>,
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
    /// Which pixels are saturated, and whether they are left out.
    pub saturation: Saturation,
    /// Radial unit.
    pub unit: Unit,
    /// Bins.
    pub npt: usize,
    /// Pixel splitting.
    pub split: Split,
    /// Uncertainties.
    pub error_model: ErrorModel,
    /// Map that the frames are points of.
    pub scan: Option<Raster>,
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
    pub place: Device,
    /// Whether readers decode, so that plain pixels go to the reducers.
    pub readers_decode: bool,
    /// Sizes of the GPU's batches.
    pub cuda: LaneSizes,
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
        let mut warnings = Vec::new();
        let args = settled(args, &mut warnings)?;
        if args.output.is_none() && !args.dry_run {
            return Err(anyhow!("no result file: name one with --output FILE.h5")).or_exit(Exit::Usage);
        }
        check_values(&args, |option| option.to_owned()).or_exit(Exit::Usage)?;
        check_pairs(&args).or_exit(Exit::Usage)?;

        let Frames { files, left_out, first } = frames(&args, &mut warnings)?;
        check_outputs(&args, &files).or_exit(Exit::Output)?;
        let encoding = first.encoding;
        memory::check_frames(encoding.shape).or_exit(Exit::Input)?;
        let poni = geometry(&args, encoding.shape)?;
        warnings.extend(poni.notes.iter().map(|note| format!("{}: {note}", geometry_name(&args))));
        let unit: Unit = match &args.unit {
            Some(name) => name.parse().or_exit(Exit::Usage)?,
            None => Unit::QNm,
        };
        if unit.needs_wavelength() && poni.wavelength.is_none() {
            return Err(anyhow!(
                "{}: no Wavelength, which unit {} needs; add it to the PONI or choose 2th_deg or r_mm",
                geometry_name(&args),
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
        let saturation = saturation(&args, &files, &first).or_exit(Exit::Input)?;
        let scan = scan(&args, files.len()).or_exit(Exit::Usage)?;
        let crew = crew(&args, files.len())?;
        Ok(Plan {
            npt: args.npt.unwrap_or(DEFAULT_NPT),
            split: match args.method.unwrap_or(Splitting::Bbox) {
                Splitting::No => Split::No,
                Splitting::Bbox => Split::BBox,
                Splitting::Full => Split::Full,
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
            left_out,
            first,
            poni,
            mask,
            dark,
            flat,
            dummy,
            saturation,
            unit,
            scan,
            crew,
            warnings,
        })
    }

    /// Every file that the inputs name, also those before `--offset`.
    pub fn all_files(&self) -> impl Iterator<Item = &PathBuf> {
        self.left_out.iter().chain(&self.files)
    }

    /// Where the geometry comes from: a PONI file, or the configuration that holds it.
    pub fn geometry_name(&self) -> String {
        geometry_name(&self.args)
    }

    /// Encoding of every frame of the scan.
    pub fn encoding(&self) -> Encoding {
        self.first.encoding
    }

    /// Flat, dark, polarisation, solid angle and normalisation, looked at pixel by pixel.
    ///
    /// # Errors
    /// When frames cannot be corrected so.
    pub fn corrections(&self) -> Result<Corrections, Failure> {
        let shape = self.encoding().shape;
        let polarization = self.args.polarization.map(|f| correction::polarization(&self.poni, shape, f));
        let solid_angle =
            (self.args.no_solid_angle != Some(true)).then(|| correction::solid_angle(&self.poni, shape));
        Corrections::study(&Given {
            shape,
            mask: self.mask.as_ref(),
            factor: self.args.normalization.unwrap_or(1.0),
            flat: self.flat.as_deref(),
            dark: self.dark.as_deref(),
            polarization: polarization.as_deref(),
            solid_angle: solid_angle.as_deref(),
        })
        .or_exit(Exit::Calibration)
    }

    /// Radial range in the displayed unit.
    pub fn radial_range(&self) -> Option<(f64, f64)> {
        pair(&self.args.radial_range)
    }

    /// Azimuthal range in degrees.
    pub fn azimuth_range(&self) -> Option<(f64, f64)> {
        pair(&self.args.azimuth_range)
    }
}

/// Where the geometry comes from, for messages.
fn geometry_name(args: &IntegrateArgs) -> String {
    let name = if args.geometry.is_some() { args.config.as_ref() } else { args.poni.as_ref() };
    name.map_or_else(String::new, |path| path.display().to_string())
}

fn pair(values: &[f64]) -> Option<(f64, f64)> {
    match values {
        [a, b] => Some((*a, *b)),
        _ => None,
    }
}

/// What was typed over what the configuration says, with names that mean the same everywhere.
fn settled(typed: &IntegrateArgs, warnings: &mut Vec<String>) -> Result<IntegrateArgs, Failure> {
    let mut args = match &typed.config {
        None => typed.clone(),
        Some(path) => {
            let at = || format!("--config {}", path.display());
            let earlier = configuration::read(path, typed).map_err(|error| Failure {
                exit: match error {
                    ConfigError::Geometry(_) => Exit::Calibration,
                    _ => Exit::Usage,
                },
                error: error.into(),
            })?;
            check_values(&earlier.args, key_of).with_context(at).or_exit(Exit::Usage)?;
            warnings.extend(earlier.warnings);
            configuration::over(typed, earlier.args).or_exit(Exit::Usage)?
        }
    };
    args = configuration::made_absolute(args).context("the current folder").or_exit(Exit::Usage)?;
    args.dark = expanded(&args.dark).or_exit(Exit::Calibration)?;
    args.flat = expanded(&args.flat).or_exit(Exit::Calibration)?;
    Ok(args)
}

/// Names of images, globs among them.
fn expanded(names: &[String]) -> anyhow::Result<Vec<String>> {
    let mut files = Vec::new();
    for name in names {
        match configuration::is_pattern(name) && !Path::new(name).exists() {
            true => files.extend(expand(std::slice::from_ref(name))?.iter().map(|p| p.display().to_string())),
            false => files.push(name.clone()),
        }
    }
    Ok(files)
}

/// The frames, and the header of the first one that has a usable one.
struct Frames {
    files: Vec<PathBuf>,
    left_out: Vec<PathBuf>,
    first: CbfHeader,
}

fn frames(args: &IntegrateArgs, warnings: &mut Vec<String>) -> Result<Frames, Failure> {
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
    let left_out = files.drain(..offset).collect();
    let first = first_usable(&files).or_exit(Exit::Input)?;
    Ok(Frames { files, left_out, first })
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
    let poni = match (&args.geometry, &args.poni) {
        (Some(geometry), _) => geometry.clone(),
        (None, Some(path)) => Poni::read(path).or_exit(Exit::Calibration)?,
        (None, None) => {
            return Err(anyhow!("no geometry: name a PONI file with --poni FILE.poni")).or_exit(Exit::Usage);
        }
    };
    if let Some(shape) = poni.detector.shape
        && shape != frames
    {
        return Err(anyhow!(
            "{}: its detector {} has {shape} pixels, the frames have {frames}; \
             is this the PONI of these frames?",
            geometry_name(args),
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

/// Mean of the images of a list.
fn average(files: &[String], what: &str, shape: Shape) -> anyhow::Result<Option<Vec<f32>>> {
    if files.is_empty() {
        return Ok(None);
    }
    let mut sum = vec![0.0_f64; shape.pixels()];
    for name in files {
        let image = read_image_of(name, shape).with_context(|| format!("the {what}"))?;
        sum.iter_mut().zip(&image.data).for_each(|(sum, value)| *sum += value);
    }
    let count = files.len() as f64;
    Ok(Some(sum.iter().map(|sum| (sum / count) as f32).collect()))
}

/// From which count on pixels are saturated. The first frame's header speaks for those that say nothing themselves.
fn saturation(args: &IntegrateArgs, files: &[PathBuf], first: &CbfHeader) -> anyhow::Result<Saturation> {
    let cutoff = first.frame.count_cutoff.map_or(f32::INFINITY, |cutoff| cutoff as f32);
    match args.saturation {
        None => Ok(Saturation { cutoff, by_header: true, masked: false }),
        Some(SaturationFrom::Count(count)) => {
            Ok(Saturation { cutoff: count as f32, by_header: false, masked: true })
        }
        Some(SaturationFrom::Header(_)) if cutoff.is_finite() => {
            Ok(Saturation { cutoff, by_header: true, masked: true })
        }
        Some(SaturationFrom::Header(_)) => bail!(
            "--saturation header: {}: its header has no Count_cutoff; give a number of counts",
            files.first().map_or_else(String::new, |file| file.display().to_string())
        ),
    }
}

/// What is written must not be what is read, nor written twice.
fn check_outputs(args: &IntegrateArgs, files: &[PathBuf]) -> anyhow::Result<()> {
    let whole = |path: &Path| std::fs::canonicalize(path).ok();
    let images = args.mask.iter().chain(&args.dark).chain(&args.flat).map(Path::new);
    let read: Vec<&Path> = args.poni.iter().map(PathBuf::as_path).chain(images).collect();
    let beside = [("--trace", &args.trace), ("--tomo", &args.tomo), ("--save-config", &args.save_config)];
    for (option, written) in [("--output", &args.output)].into_iter().chain(beside) {
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
    for (option, path) in beside {
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

/// The key of a configuration that says what an option says.
fn key_of(option: &str) -> String {
    match option {
        "--npt" => "nbpt_rad".to_owned(),
        "--polarization" => "polarization_factor".to_owned(),
        "--normalization" => "normalization_factor".to_owned(),
        "--dummy" => "val_dummy".to_owned(),
        other => other.trim_start_matches('-').replace('-', "_"),
    }
}

/// Each number alone. `named` says how a number is called where it was said: its option, or its key.
fn check_values(args: &IntegrateArgs, named: fn(&str) -> String) -> anyhow::Result<()> {
    if let Some(npt) = args.npt
        && !(1..=MOST_BINS).contains(&npt)
    {
        bail!("{} {npt}: must be from 1 to {MOST_BINS}", named("--npt"));
    }
    let counts = [
        ("--threads", args.threads),
        ("--readers", args.readers),
        ("--lanes", args.lanes),
        ("--batch", args.batch),
    ];
    for (option, count) in counts {
        if let Some(n) = count
            && !(1..=MOST_COUNT).contains(&n)
        {
            bail!("{} {n}: must be from 1 to {MOST_COUNT}", named(option));
        }
    }
    if let Some(f) = args.polarization
        && !(-1.0..=1.0).contains(&f)
    {
        bail!("{} {f}: must be between -1 and 1", named("--polarization"));
    }
    if let Some(v) = args.normalization
        && !((v as f32).is_normal() && v > 0.0)
    {
        bail!("{} {v}: must be a positive number that float32 holds", named("--normalization"));
    }
    if let Some(SaturationFrom::Count(count)) = args.saturation
        && !((count as f32).is_finite() && count as f32 > 0.0)
    {
        bail!("{} {count}: must be a positive number of counts, or `header`", named("--saturation"));
    }
    if let Some(v) = args.dummy
        && !v.is_finite()
    {
        bail!("{} {v}: must be a finite number", named("--dummy"));
    }
    if let Some(v) = args.delta_dummy
        && !(v.is_finite() && v >= 0.0)
    {
        bail!("{} {v}: must be 0 or a positive number", named("--delta-dummy"));
    }
    for (option, range) in [("--radial-range", &args.radial_range), ("--azimuth-range", &args.azimuth_range)]
    {
        match range.as_slice() {
            [] => {}
            [a, b] if a.is_finite() && b.is_finite() && a < b => {}
            [a, b] => bail!("{} {a} {b}: the first must be below the second", named(option)),
            other => bail!("{}: needs two numbers, got {}", named(option), other.len()),
        }
    }
    if let [a, b] = args.azimuth_range[..]
        && b - a > 360.0
    {
        bail!("{} {a} {b}: more than a whole turn, which is 360 degrees", named("--azimuth-range"));
    }
    Ok(())
}

/// Options that need each other; one may come from a configuration.
fn check_pairs(args: &IntegrateArgs) -> anyhow::Result<()> {
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
    Ok(())
}

fn scan(args: &IntegrateArgs, frames: usize) -> anyhow::Result<Option<Raster>> {
    let (Some(slow), Some(fast)) = (args.slow, args.fast) else { return Ok(None) };
    let points = slow.checked_mul(fast).filter(|n| *n > 0);
    let Some(points) = points else { bail!("--slow {slow} --fast {fast}: a map needs at least one point") };
    if frames > points {
        bail!("--slow {slow} --fast {fast}: {frames} frames do not fit a map of {points} points");
    }
    let mut scan = Raster::new(slow, fast, args.zigzag == Some(true));
    for (motor, said) in [(&mut scan.slow, &args.slow_motor), (&mut scan.fast, &args.fast_motor)] {
        let Some(said) = said else { continue };
        if !said.name.is_empty() {
            motor.name.clone_from(&said.name);
        }
        motor.range = said.range.unwrap_or(motor.range);
    }
    Ok(Some(scan))
}

fn crew(args: &IntegrateArgs, frames: usize) -> Result<Crew, Failure> {
    let place = Device::choose(args.device.as_deref().unwrap_or("auto"))?;
    let on_gpu = matches!(place, Device::Cuda { .. });
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
    let default = LaneSizes::default();
    Ok(Crew {
        readers_decode: on_gpu && matches!(asked, StrategyName::Sequential | StrategyName::Pool),
        cuda: LaneSizes {
            lanes: args.lanes.unwrap_or(default.lanes),
            batch: args.batch.unwrap_or(default.batch),
        },
        place,
        strategy,
        readers: args.readers.unwrap_or(default_readers),
        threads,
    })
}
