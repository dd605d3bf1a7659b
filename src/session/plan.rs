//! What the options mean: every file opened, every default filled in, everything checked, nothing started.
//!
//! Making a [`Plan`] reads the PONI, the mask, darks and flats and the first usable frame's header, so most mistakes are found
//! before anything is computed or written. It is what `--dry-run` prints and what [`Session::open`](super::Session::open) takes.

use std::path::{Path, PathBuf};

use super::budget;
use super::calibration;
use super::configuration::{self, ConfigError};
use super::crew::{self, Crew, Traffic};
use super::device::Device;
use super::error::{Concern, OrAbout, SessionError, refuse};
use super::options::{BadFramesName, ErrorModelName, Options, Splitting, check_pairs, check_values, key_of};
use crate::frame::Encoding;
use crate::geometry::detector::Dummy;
use crate::geometry::mask::Mask;
use crate::geometry::poni::Poni;
use crate::geometry::units::Unit;
use crate::integrate::engine::{ErrorModel, Saturation};
use crate::integrate::split::Split;
use crate::output::result::Raster;
use crate::pipeline::BadFrames;
use crate::source::Source;
use crate::source::cbf::{CbfFiles, CbfHeader};
use crate::source::listing::{Listing, expand, list};

/// Bins when nobody says how many.
const DEFAULT_NPT: usize = 1000;

/// Everything a run needs to know, checked.
pub struct Plan {
    /// The options, with those of [`Options::config`] filled in and names made absolute.
    pub options: Options,
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
    /// Where frames are reduced.
    pub device: Device,
    /// Who runs where.
    pub crew: Crew,
    /// Threads that compute, and build the matrix.
    pub threads: usize,
    /// What a bad frame does.
    pub bad_frames: BadFrames,
    /// Things the user should know, one line each.
    pub notes: Vec<String>,
}

impl Plan {
    /// Opens and checks everything that the options name.
    ///
    /// # Errors
    /// The first thing that cannot be used.
    pub fn new(options: Options) -> Result<Plan, SessionError> {
        let mut notes = Vec::new();
        let options = settled(options, &mut notes)?;
        check_values(&options, |option| option.to_owned())?;
        check_pairs(&options)?;
        // A GPU opens while files are read.
        let device = Device::choose(options.device.as_deref().unwrap_or("auto"))?;

        let Frames { files, left_out, first } = frames(&options, &mut notes)?;
        let encoding = first.encoding;
        budget::check_frames(encoding.shape).or_about(Concern::Input)?;
        let poni = calibration::geometry(&options, encoding.shape)?;
        let geometry_name = calibration::geometry_name(&options);
        notes.extend(poni.notes.iter().map(|note| format!("{geometry_name}: {note}")));
        let unit = calibration::unit(&options, &poni)?;
        let mask = calibration::mask(&options, &poni, encoding.shape, &mut notes)?;
        let dark = calibration::average(&options.dark, "dark", encoding.shape)?;
        let flat = calibration::average(&options.flat, "flat", encoding.shape)?;
        let dummy = calibration::dummy(&options, &poni, encoding);
        let saturation = calibration::saturation(&options, &files, &first)?;
        let scan = raster(&options, files.len())?;
        let plan = Plan {
            npt: options.npt.unwrap_or(DEFAULT_NPT),
            split: match options.method.unwrap_or(Splitting::Bbox) {
                Splitting::No => Split::No,
                Splitting::Bbox => Split::BBox,
                Splitting::Full => Split::Full,
            },
            error_model: match options.error_model {
                Some(ErrorModelName::Poisson) => ErrorModel::Poisson,
                Some(ErrorModelName::None) | None => ErrorModel::None,
            },
            bad_frames: match options.bad_frames {
                Some(BadFramesName::Stop) => BadFrames::Stop,
                Some(BadFramesName::Keep) | None => BadFrames::Keep,
            },
            crew: Crew::asked(&options, &device, encoding.codec, files.len())?,
            threads: crew::threads(&options, &device),
            options,
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
            device,
            notes,
        };
        let rows = plan.scan.as_ref().map_or(plan.files.len(), Raster::points);
        budget::check(&plan.crew, &plan.traffic(), plan.npt, rows).or_about(Concern::Usage)?;
        Ok(plan)
    }

    /// Every file that the inputs name, also those before `--offset`.
    pub fn all_files(&self) -> impl Iterator<Item = &PathBuf> {
        self.left_out.iter().chain(&self.files)
    }

    /// Where the geometry comes from: a PONI file, or the configuration that holds it.
    pub fn geometry_name(&self) -> String {
        calibration::geometry_name(&self.options)
    }

    /// Encoding of every frame of the scan.
    pub fn encoding(&self) -> Encoding {
        self.first.encoding
    }

    /// The plan's frames.
    pub fn source(&self) -> Box<dyn Source> {
        self.laps(self.files.len(), self.crew.verify)
    }

    /// So many frames: the plan's, again and again.
    pub fn laps(&self, frames: usize, verify: bool) -> Box<dyn Source> {
        Box::new(CbfFiles::laps(self.files.as_slice(), &self.first, verify, frames))
    }

    /// What is to walk through the corridor.
    pub(super) fn traffic(&self) -> Traffic {
        Traffic {
            encoding: self.encoding(),
            // Frames of a scan differ a little in size; a slot that is too small grows, which is slow when pinned.
            slot_bytes: self.first.payload.end
                + if self.crew.needs_gpu() { self.first.payload.end / 4 } else { 0 },
            frames: self.files.len(),
        }
    }

    /// Radial range in the displayed unit.
    pub fn radial_range(&self) -> Option<(f64, f64)> {
        pair(&self.options.radial_range)
    }

    /// Azimuthal range in degrees.
    pub fn azimuth_range(&self) -> Option<(f64, f64)> {
        pair(&self.options.azimuth_range)
    }
}

fn pair(values: &[f64]) -> Option<(f64, f64)> {
    match values {
        [a, b] => Some((*a, *b)),
        _ => None,
    }
}

/// What was said over what the configuration says, with names that mean the same everywhere.
fn settled(said: Options, notes: &mut Vec<String>) -> Result<Options, SessionError> {
    let mut options = match &said.config {
        None => said,
        Some(path) => {
            let earlier = configuration::read(path, &said);
            let about = match earlier {
                Err(ConfigError::Geometry(_)) => Concern::Calibration,
                _ => Concern::Usage,
            };
            let earlier = earlier.or_about(about)?;
            check_values(&earlier.options, key_of)
                .or_about_in(Concern::Usage, format!("--config {}", path.display()))?;
            notes.extend(earlier.warnings);
            configuration::over(&said, earlier.options).or_about(Concern::Usage)?
        }
    };
    options = configuration::made_absolute(options).or_about_in(Concern::Usage, "the current folder")?;
    options.dark = expanded(&options.dark)?;
    options.flat = expanded(&options.flat)?;
    Ok(options)
}

/// Names of images, globs among them.
fn expanded(names: &[String]) -> Result<Vec<String>, SessionError> {
    let mut files = Vec::new();
    for name in names {
        match configuration::is_pattern(name) && !Path::new(name).exists() {
            true => {
                let found = expand(std::slice::from_ref(name)).or_about(Concern::Calibration)?;
                files.extend(found.iter().map(|path| path.display().to_string()));
            }
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

fn frames(options: &Options, notes: &mut Vec<String>) -> Result<Frames, SessionError> {
    if options.inputs.is_empty() {
        refuse!(Usage, "no frames: name CBF files, folders, globs or @list.txt");
    }
    let Listing { mut files, notes: more } = list(&options.inputs).or_about(Concern::Input)?;
    notes.extend(more);
    let offset = options.offset.unwrap_or(0);
    if offset >= files.len() {
        refuse!(Usage, "--offset {offset} leaves nothing of {} frames", files.len());
    }
    let left_out = files.drain(..offset).collect();
    let first = first_usable(&files)?;
    Ok(Frames { files, left_out, first })
}

/// Header of the first file that has a usable one.
///
/// # Errors
/// The first file's error when none has.
pub fn first_usable(files: &[PathBuf]) -> Result<CbfHeader, SessionError> {
    match CbfFiles::first_usable(files) {
        Ok(header) => Ok(header),
        Err(Some(error)) if files.len() == 1 => Err(error).or_about(Concern::Input),
        Err(Some(error)) => {
            let place = format!("none of the {} frames can be read; the first", files.len());
            Err(error).or_about_in(Concern::Input, place)
        }
        Err(None) => refuse!(Input, "no frames"),
    }
}

fn raster(options: &Options, frames: usize) -> Result<Option<Raster>, SessionError> {
    let (Some(slow), Some(fast)) = (options.slow, options.fast) else { return Ok(None) };
    let points = slow.checked_mul(fast).filter(|n| *n > 0);
    let Some(points) = points else {
        refuse!(Usage, "--slow {slow} --fast {fast}: a map needs at least one point")
    };
    if frames > points {
        refuse!(Usage, "--slow {slow} --fast {fast}: {frames} frames do not fit a map of {points} points");
    }
    let mut scan = Raster::new(slow, fast, options.zigzag == Some(true));
    for (motor, said) in [(&mut scan.slow, &options.slow_motor), (&mut scan.fast, &options.fast_motor)] {
        let Some(said) = said else { continue };
        if !said.name.is_empty() {
            motor.name.clone_from(&said.name);
        }
        motor.range = said.range.unwrap_or(motor.range);
    }
    Ok(Some(scan))
}
