//! What the options mean: every file opened, every default filled in, everything checked, nothing started.
//!
//! Making a [`Plan`] reads the PONI, the mask, darks and flats and the first usable frame's header, so most mistakes are found
//! before anything is computed or written. It is what `--dry-run` prints and what [`Session::open`](super::Session::open) takes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::budget;
use super::calibration;
use super::configuration::{self, ConfigError};
use super::crew::{self, Crew, Traffic};
use super::definition::{self, Made};
use super::device::Device;
use super::error::{Concern, OrAbout, SessionError, refuse};
use super::monitor;
use super::options::{
    BadFramesName, MOST_BINS, Options, Selection, Splitting, check_pairs, check_values, key_of,
};
use super::route::FrameRoute;
use super::statistic;
use crate::budget::OverBudget;
use crate::frame::Encoding;
use crate::geometry::detector::Dummy;
use crate::geometry::mask::Mask;
use crate::geometry::poni::Poni;
use crate::geometry::units::Unit;
use crate::integrate::engine::{Saturation, whole_pixel_bytes};
use crate::integrate::reduction::Reduction;
use crate::integrate::split::Split;
use crate::output::result::{FrameNumbers, PartOf, Raster};
use crate::pipeline::BadFrames;
use crate::source::input::{Input, InputError};
use crate::source::listing::expand;
use crate::source::selection::PartRange;
use crate::source::{Frames, Source};

/// Bins when nobody says how many.
const DEFAULT_NPT: usize = 1000;

/// Everything a run needs to know, checked.
pub struct Plan {
    /// The options, with those of [`Options::config`] filled in and names made absolute.
    pub options: Options,
    /// Frames, in order; those before `--offset` are left out.
    pub frames: Arc<dyn Frames>,
    /// Which frames of all that were named they are.
    pub numbers: FrameNumbers,
    /// What they are a part of, with [`Options::part`].
    pub part: Option<PartOf>,
    /// Every file that was named, those of frames that are left out too.
    pub named: Vec<PathBuf>,
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
    /// What tells the frames' monitor from another one.
    pub(super) monitor_recipe: Option<String>,
    /// Radial unit.
    pub unit: Unit,
    /// Radial bins.
    pub npt: usize,
    /// Azimuthal bins, where patterns have two axes.
    pub npt_azim: Option<usize>,
    /// Pixel splitting.
    pub split: Split,
    /// What a bin makes of its pixels.
    pub reduction: Reduction,
    /// Map that the frames are points of.
    pub scan: Option<Raster>,
    /// Where frames are reduced; whether a GPU is there is known when the plan is [settled](Plan::settle_device).
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
    /// Opens and checks everything that the options name, the frames of [`Options::inputs`] among it.
    ///
    /// # Errors
    /// The first thing that cannot be used.
    pub fn new(options: Options) -> Result<Plan, SessionError> {
        Plan::settle(options, |options| {
            if options.inputs.is_empty() {
                refuse!(
                    Usage,
                    "no frames: name files of frames (CBF, TIFF, EDF, npy), folders, globs or @list.txt"
                );
            }
            let number = options.monitor.as_deref().filter(|name| !monitor::is_file(name));
            input(&options.inputs, options.selection(), number)
        })
    }

    /// The same for frames that a program has: [`Options::inputs`], [`Options::offset`], [`Options::frames`] and [`Options::part`] are not
    /// looked at.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn of(options: Options, frames: Arc<dyn Frames>) -> Result<Plan, SessionError> {
        Plan::settle(options, |_| {
            let files = frames.files().to_vec();
            let found = frames.count();
            Ok(Input { format: "memory", files, frames, first: 0, found, part: None, notes: vec![] })
        })
    }

    fn settle(
        options: Options,
        input: impl FnOnce(&Options) -> Result<Input, SessionError>,
    ) -> Result<Plan, SessionError> {
        let mut notes = Vec::new();
        let options = settled(options, &mut notes)?;
        check_values(&options, |option| option.to_owned())?;
        statistic::check_values(&options, |option| option.to_owned())?;
        check_pairs(&options)?;
        // A GPU opens while files are read, and while the matrix is made.
        let npt_azim = options.npt_azim.filter(|npt| *npt > 1);
        let may = may_be_on_gpu(npt_azim).and(statistic::on_gpu(&options)?);
        let device = Device::begin_for(options.device.as_deref().unwrap_or("auto"), may)?;

        let Input { format, mut frames, first, found, part, files: named, notes: more } = input(&options)?;
        let numbers = FrameNumbers { first, step: options.selection().slice.step() };
        let mut monitor_recipe = None;
        if let Some(name) = &options.monitor {
            let monitored = monitor::monitored(frames, name, found, numbers)?;
            (frames, monitor_recipe) = (monitored.frames, Some(monitored.recipe));
        }
        notes.extend(more);
        let encoding = frames.about().encoding;
        budget::check_frames(encoding.shape).or_about(Concern::Input)?;
        let poni = calibration::geometry(&options, frames.as_ref(), &mut notes)?;
        let geometry_name = calibration::geometry_name(&options);
        notes.extend(poni.notes.iter().map(|note| format!("{geometry_name}: {note}")));
        let unit = calibration::unit(&options, &poni)?;
        let mask = calibration::mask(&options, &poni, frames.as_ref(), &mut notes)?;
        let dark = calibration::average(&options.dark, "dark", encoding.shape)?;
        let flat = calibration::average(&options.flat, "flat", encoding.shape)?;
        let content = poni.detector.content();
        let dark = calibration::own_image(dark, content.and_then(|c| c.dark.as_ref()), encoding.shape);
        let flat = calibration::own_image(flat, content.and_then(|c| c.flat.as_ref()), encoding.shape);
        let dummy = calibration::dummy(&options, &poni, frames.about(), &mut notes);
        let reduction = statistic::reduction(&options, encoding.shape, &mut notes)?;
        let saturation = calibration::saturation(&options, frames.as_ref())?;
        let whole = raster(&options, part.map_or(frames.count(), |part| part.whole))?;
        let part = part.map(|PartRange { part, first, whole: count }| PartOf {
            number: part.number,
            of: part.of,
            first,
            frames: count,
            offset: options.offset.unwrap_or(0),
            numbers: FrameNumbers { first: numbers.first - first * numbers.step, step: numbers.step },
            scan: whole.clone(),
            format: format.to_owned(),
            named: checksum_of_names(&named),
        });
        let scan = part.as_ref().map_or(whole, |part| part.raster(frames.count()));
        let mut plan = Plan {
            npt: options.npt.unwrap_or(DEFAULT_NPT),
            // As in pyFAI, one is as good as none.
            npt_azim,
            split: match options.method.unwrap_or(statistic::splitting(reduction.statistic)) {
                Splitting::No => Split::No,
                Splitting::Bbox => Split::BBox,
                Splitting::Full => Split::Full,
            },
            reduction,
            bad_frames: match options.bad_frames {
                Some(BadFramesName::Stop) => BadFrames::Stop,
                Some(BadFramesName::Keep) | None => BadFrames::Keep,
            },
            crew: Crew::asked(&options, &device, encoding.codec, frames.count())?,
            threads: crew::threads(&options, &device),
            options,
            frames,
            numbers,
            part,
            named,
            poni,
            mask,
            dark,
            flat,
            dummy,
            saturation,
            monitor_recipe,
            unit,
            scan,
            device,
            notes,
        };
        let bins = plan.npt.saturating_mul(plan.npt_azim.unwrap_or(1));
        if bins > MOST_BINS {
            refuse!(
                Usage,
                "--npt {} --npt-azim {}: {MOST_BINS} bins are the most",
                plan.npt,
                bins / plan.npt
            );
        }
        // Only a GPU that is there may be what there is too little memory for.
        if plan.check_memory().is_err() {
            plan.settle_device()?;
            plan.check_memory()?;
        }
        if let Some(name) = plan.options.definition {
            let (wavelength, geometry) = (plan.poni.wavelength, &plan.geometry_name());
            let has_two_axes = plan.npt_azim.is_some();
            definition::check(name, &Made { unit: plan.unit, has_two_axes, wavelength, geometry })?;
        }
        plan.division()?;
        Ok(plan)
    }

    /// Waits until it is known which device there is, a tenth of a second after the plan was begun. Without the GPU that nobody asked
    /// for by name, the cores take its place.
    ///
    /// # Errors
    /// When a GPU that is asked for is not there, or there is no memory for the run on the cores.
    pub fn settle_device(&mut self) -> Result<(), SessionError> {
        let was_gpu = matches!(self.device, Device::Cuda { .. });
        self.device.settle()?;
        if was_gpu && matches!(self.device, Device::Cpu { .. }) {
            self.crew = Crew::asked(&self.options, &self.device, self.encoding().codec, self.frames.count())?;
            self.threads = crew::threads(&self.options, &self.device);
            self.check_memory()?;
        }
        Ok(())
    }

    fn check_memory(&self) -> Result<(), SessionError> {
        self.check_crew(&self.crew).or_about(Concern::Usage)
    }

    /// Whether there is memory for the run with such a crew.
    pub(super) fn check_crew(&self, crew: &Crew) -> Result<(), OverBudget> {
        let rows = self.scan.as_ref().map_or(self.frames.count(), Raster::points);
        let whole_pixel = whole_pixel_bytes(&self.reduction, self.bins());
        budget::check(crew, &self.traffic(), self.bins(), rows, whole_pixel)
    }

    /// Bins of a pattern, along both axes.
    pub fn bins(&self) -> usize {
        self.npt * self.npt_azim.unwrap_or(1)
    }

    /// Where the geometry comes from: a PONI file, or the configuration that holds it.
    pub fn geometry_name(&self) -> String {
        calibration::geometry_name(&self.options)
    }

    /// Encoding of every frame of the scan.
    pub fn encoding(&self) -> Encoding {
        self.frames.about().encoding
    }

    /// Which way its frames go. Waits until it is known which GPU there is.
    pub fn route(&self) -> FrameRoute {
        FrameRoute::of(&self.crew, self.frames.about(), self.device.computer())
    }

    /// The plan's frames.
    pub fn source(&self) -> Box<dyn Source> {
        self.frames.source(self.frames.count(), self.crew.verify)
    }

    /// What is to walk through the corridor.
    pub(super) fn traffic(&self) -> Traffic {
        let about = self.frames.about();
        Traffic {
            encoding: about.encoding,
            // Frames of a scan differ a little in size; a slot that is too small grows, which is slow when pinned.
            slot_bytes: about.slot_bytes + if self.crew.needs_gpu() { about.slot_bytes / 4 } else { 0 },
            frames: self.frames.count(),
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

/// Whether a GPU may integrate to so many azimuthal bins; why not.
fn may_be_on_gpu(npt_azim: Option<usize>) -> Result<(), String> {
    match npt_azim {
        None => Ok(()),
        Some(_) => Err("bins of two axes (--npt-azim) are not done on a GPU yet".to_owned()),
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
                .and_then(|()| statistic::check_values(&earlier.options, key_of))
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

/// The frames that inputs name, of which some are wanted. `number` names one of their headers that is read, too.
///
/// # Errors
/// When there are none.
pub fn input(inputs: &[String], selection: Selection, number: Option<&str>) -> Result<Input, SessionError> {
    Input::open(inputs, selection, number).map_err(|error| {
        let about = match error {
            InputError::NothingLeft { .. }
            | InputError::TooManyParts { .. }
            | InputError::NoChannels { .. } => Concern::Usage,
            _ => Concern::Input,
        };
        SessionError::because(about, error.into())
    })
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

/// A checksum of the names of files, without their folders, in their order.
fn checksum_of_names(files: &[PathBuf]) -> String {
    let mut crc = crc32fast::Hasher::new();
    for file in files {
        crc.update(file.file_name().unwrap_or_default().as_encoded_bytes());
        crc.update(b"\0");
    }
    format!("crc32:{:08x}", crc.finalize())
}
