//! What a tomogram can be told: plain values, before anything is opened. Those that make its numbers are what its `configuration`
//! holds, so that [`TomoOptions::config`] repeats it: what a door says wins over the file.

use std::path::PathBuf;
use std::thread::available_parallelism;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::budget;
use crate::session::configuration;
use crate::session::error::{Concern, OrAbout, SessionError, refuse};
use crate::session::options::MOST_COUNT;

/// Memory to work in when nobody says.
const DEFAULT_MEMORY: u64 = 4 << 30;

/// Where a tomogram keeps its configuration.
const IN_TOMOGRAMS: [&str; 1] = ["entry_0000/tomo/configuration/data"];

/// Which motor moves from frame to frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FastName {
    /// A line of translations at each rotation
    Translation,
    /// A turn at each translation
    Rotation,
}

/// Whether every other line runs backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ZigZagName {
    /// What neighbouring lines say
    Auto,
    /// Turn every other line round
    Yes,
    /// Leave lines as they are
    No,
}

/// How slices are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// Filtered back-projection
    Fbp,
    /// Simultaneous iterative reconstruction
    Sirt,
    /// Maximum likelihood by expectation maximisation
    Mlem,
}

/// Window over the ramp of filtered back-projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FilterName {
    /// Ram-Lak: sharpest, noisiest
    Ramp,
    /// Times a sinc
    SheppLogan,
    /// Times a cosine
    Cosine,
    /// Hamming's window
    Hamming,
    /// Hann's window: smoothest
    Hann,
    /// Plain back-projection
    None,
}

/// Everything that a tomogram can be told. What is `None` or empty was not said, and gets its default.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TomoOptions {
    /// Result of `xrdct integrate` (or of pyFAI-diffmap)
    #[serde(skip)]
    pub input: PathBuf,
    /// Rotation of each frame, degrees: a header number (omega, phi, start_angle …), `FILE.csv::COLUMN`, `FILE.h5::/PATH`;
    /// or of each line: FIRST:LAST:COUNT, or FIRST+STEP [default: the header number that changes]
    pub rotation: Option<String>,
    /// Translation of each frame or line, likewise, in mm [default: start_position of the headers; else counted]
    pub translation: Option<String>,
    /// Rotations of a scan that is known by its order only
    pub rotations: Option<usize>,
    /// Translations of a scan that is known by its order only
    pub translations: Option<usize>,
    /// Motor that moves from frame to frame, of a scan that is known by its order only [default: translation]
    pub fast_axis: Option<FastName>,
    /// Whether every other line runs backwards [default: auto]
    pub zigzag: Option<ZigZagName>,
    /// Rotations come in K rounds: 0, K, 2K …, then 1, K+1 … [default: 1]
    pub interleave: Option<usize>,
    /// Frames to leave out at the start
    pub offset: Option<usize>,
    /// Only bins between A and B, in the unit of the radial axis
    pub radial_range: Vec<f64>,
    /// Slices of each azimuthal sector of a result of two axes: a number of equal ones, or ranges of χ in degrees, LOW:HIGH,LOW:HIGH …
    /// [default: one of all azimuth]
    // Left out where it is not said, as in files of before it was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sectors: Option<String>,
    /// Region of interest NAME=LOW:HIGH, a peak's area above a straight background (:none keeps it); repeatable
    /// [default: the three strongest peaks]
    pub region: Vec<String>,
    /// Slices of regions only, not of every bin
    pub regions_only: Option<bool>,
    /// Divide each frame by its monitor: a header number, `FILE.csv::COLUMN` or `FILE.h5::/PATH`
    pub monitor: Option<String>,
    /// Take off what the outermost N translations see on either side
    pub air: Option<usize>,
    /// Believe single points that stand out from all their neighbours
    pub keep_spikes: Option<bool>,
    /// Scale each rotation to the same total
    pub constant_total: Option<bool>,
    /// Align rotations by their centres of mass
    pub jitter: Option<bool>,
    /// Take off stripes, which become rings: translations that differ at every rotation
    pub stripes: Option<bool>,
    /// Rotation axis: auto, mass, mirror, sharpness, or the translation step from the first [default: auto]
    pub centre: Option<String>,
    /// Add this to the rotation axis, steps
    pub centre_shift: Option<f64>,
    /// How slices are made [default: fbp]
    pub algorithm: Option<Algorithm>,
    /// Filter of fbp [default: ramp]
    pub filter: Option<FilterName>,
    /// Steps of sirt and mlem [default: 100, 30]
    pub iterations: Option<usize>,
    /// Let sirt give negative values
    pub negative: Option<bool>,
    /// Side of the slices, pixels [default: as many as translations]
    pub size: Option<usize>,
    /// Side of a pixel, in translation steps [default: 1]
    pub pixel_size: Option<f64>,
    /// Keep pixels that some rotations do not see
    pub no_circle: Option<bool>,
    /// Settings of an earlier run: a JSON file or a tomogram file; options given here win
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Where to reconstruct: auto, cpu, cuda or cuda:N [default: auto]
    #[serde(skip)]
    pub device: Option<String>,
    /// Threads [default: all cores]
    #[serde(skip)]
    pub threads: Option<usize>,
    /// Memory to work in, such as 500M or 16G; bins are taken in blocks that fit [default: 4G]
    #[serde(skip)]
    pub memory: Option<u64>,
}

impl TomoOptions {
    /// The options of an earlier run, and those given now on top, where [`TomoOptions::config`] names one; it names none any more
    /// then.
    ///
    /// # Errors
    /// A configuration that cannot be read, or holds what no option is.
    pub fn settled(self) -> Result<TomoOptions, SessionError> {
        let Some(path) = &self.config else { return Ok(self) };
        let at = || format!("--config {}", path.display());
        let earlier = configuration::object(path, &IN_TOMOGRAMS);
        let mut settings = earlier.or_about_in(Concern::Usage, at())?;
        if let Value::Object(now) = self.configuration()? {
            let given = |value: &Value| !value.is_null() && value.as_array().is_none_or(|a| !a.is_empty());
            settings.extend(now.into_iter().filter(|(_, value)| given(value)));
        }
        let merged: TomoOptions =
            serde_json::from_value(settings.into()).or_about_in(Concern::Usage, at())?;
        if let Some(size) = merged.size
            && !(1..=MOST_COUNT).contains(&size)
        {
            refuse!(Usage, "{}: size {size}: must be from 1 to {MOST_COUNT}", at());
        }
        let TomoOptions { input, device, threads, memory, .. } = self;
        Ok(TomoOptions { input, config: None, device, threads, memory, ..merged })
    }

    /// Each number alone.
    ///
    /// # Errors
    /// Those that are a slip of the finger.
    pub(super) fn check(&self) -> Result<(), SessionError> {
        for (option, count) in [("--size", self.size), ("--threads", self.threads)] {
            if let Some(n) = count
                && !(1..=MOST_COUNT).contains(&n)
            {
                refuse!(Usage, "{option} {n}: must be from 1 to {MOST_COUNT}");
            }
        }
        Ok(())
    }

    /// What decides the numbers, under the options' names.
    pub(super) fn configuration(&self) -> Result<Value, SessionError> {
        serde_json::to_value(self).or_about(Concern::Usage)
    }

    /// Bytes to work in: as many as were asked for, but no more than may be taken.
    pub(super) fn working_memory(&self) -> usize {
        self.memory.unwrap_or(DEFAULT_MEMORY).min(budget::allowed().bytes) as usize
    }

    /// Threads that compute: as many as were asked for, else all cores.
    pub(super) fn threads(&self) -> usize {
        self.threads.unwrap_or_else(|| available_parallelism().map_or(1, usize::from))
    }
}
