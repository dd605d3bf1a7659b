//! What can be asked for: plain values under pyFAI's names where it has one, before anything is opened.
//!
//! A door fills them from what its users know (a command line, keywords, a form); [`configuration`](super::configuration) makes
//! the same structure of a file, so that [`Options::config`] repeats a run: what a door says wins over the file.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::{SessionError, refuse};
use crate::geometry::poni::Poni;
pub use crate::output::result::SegmentSize;
pub use crate::source::selection::{MOST_PARTS, ScanPart, Selection, Slice};

/// More bins than any detector has pixels are a slip of the finger.
pub const MOST_BINS: usize = 10_000_000;

/// More threads than any machine has cores are a slip of the finger, and would only fight each other.
pub const MOST_COUNT: usize = 1024;

/// Which pixels share their counts with which bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Splitting {
    /// A pixel goes to the bin of its centre
    No,
    /// A pixel is shared by the bins that its bounding box covers
    Bbox,
    /// A pixel is shared by area: its corners' polygon cut at the bin edges
    Full,
}

/// Which pixels of a bin its intensity is the mean of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StatisticName {
    /// All of them
    Mean,
    /// Those that are left when outliers are thrown out, as pyFAI's `sigma_clip_ng`
    Clip,
    /// The one in the middle, as pyFAI's `medfilt1d_ng`
    Median,
    /// Those between two quantiles, as pyFAI's `medfilt1d_ng`
    Quantile,
}

impl StatisticName {
    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            StatisticName::Mean => "mean",
            StatisticName::Clip => "clip",
            StatisticName::Median => "median",
            StatisticName::Quantile => "quantile",
        }
    }
}

/// How uncertainties are estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorModelName {
    /// Variance of a pixel = its counts (at least 1)
    Poisson,
    /// From how the pixels of a bin differ
    Azimuthal,
    /// Outliers are known by how pixels differ; what is left has Poisson's
    Hybrid,
    /// No uncertainties
    None,
}

impl ErrorModelName {
    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            ErrorModelName::Poisson => "poisson",
            ErrorModelName::Azimuthal => "azimuthal",
            ErrorModelName::Hybrid => "hybrid",
            ErrorModelName::None => "none",
        }
    }
}

/// How NeXus defines patterns: the result has them so, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DefinitionName {
    /// Patterns of one axis
    NXazint1d,
    /// Patterns of two axes
    NXazint2d,
}

impl DefinitionName {
    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            DefinitionName::NXazint1d => "NXazint1d",
            DefinitionName::NXazint2d => "NXazint2d",
        }
    }
}

/// From which count on pixels are saturated and left out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SaturationFrom {
    /// From this one.
    Count(f64),
    /// From the `Count_cutoff` of each frame's header.
    Header(HeaderWord),
}

/// The word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeaderWord {
    /// `header`
    Header,
}

impl FromStr for SaturationFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<SaturationFrom, String> {
        match text {
            "header" => Ok(SaturationFrom::Header(HeaderWord::Header)),
            _ => text
                .parse()
                .map(SaturationFrom::Count)
                .map_err(|_| "must be `header` or a number of counts".into()),
        }
    }
}

/// How the corridor is manned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StrategyName {
    /// Gpu where there is one; else pool, unless there is only one frame
    Auto,
    /// Read, decode, integrate, write, one frame after the other
    Sequential,
    /// Readers and workers side by side; with a GPU, readers decode and the GPU integrates
    Pool,
    /// Compressed frames go to the GPU, which decodes and integrates
    Gpu,
}

/// What a bad frame does to the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BadFramesName {
    /// A NaN row and a status; the run goes on and ends with exit code 10
    Keep,
    /// The run ends at the first one
    Stop,
}

/// A motor of a map, without its number of points.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MotorRange {
    /// Its name; empty when nobody said.
    pub name: String,
    /// Position at the first and at the last point; counted from 0 when nobody said.
    pub range: Option<(f64, f64)>,
}

/// Everything that an integration can be told. What is `None` or empty was not said, and gets its default.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Frames: CBF, TIFF, EDF or npy files, folders of them, globs in quotes, or @list.txt with one name a line. Inputs and the lines of a
    /// list keep their order and repetitions; what a folder or a glob brings is sorted by the numbers in the names
    pub inputs: Vec<String>,
    /// Geometry: a PONI file (v1, v2, v2.1 or v3), as pyFAI-calib2 writes it
    pub poni: Option<PathBuf>,
    /// Mask: non-zero pixels are left out (npy, EDF, TIFF, CBF, or HDF5 as file.h5::/path).
    /// Replaces the detector's own mask, as in pyFAI; see --combine-mask
    pub mask: Option<String>,
    /// Leave out what either --mask or the detector's own mask leaves out
    pub combine_mask: Option<bool>,
    /// Dark current, subtracted from every frame; repeated, the files are averaged
    pub dark: Vec<String>,
    /// Flat field, divided out; repeated, the files are averaged. Pixels where it is 0 are left out
    pub flat: Vec<String>,
    /// Polarisation factor, from -1 (vertical) to 1 (horizontal); left out: no correction
    pub polarization: Option<f64>,
    /// Do not correct for the solid angle of the pixels
    pub no_solid_angle: Option<bool>,
    /// Value of pixels to be ignored [default: the detector's own, -2 +- 1.5 for DECTRIS]
    pub dummy: Option<f64>,
    /// Pixels within this distance of --dummy are ignored too [default: 0, exact]
    pub delta_dummy: Option<f64>,
    /// Leave out saturated pixels: those with this many counts or more, or `header` for the Count_cutoff of each frame's header
    /// [default: pixels at the header's Count_cutoff are counted, and count]
    pub saturation: Option<SaturationFrom>,
    /// Divide all intensities by this number
    pub normalization: Option<f64>,
    /// Divide each frame by its own monitor, too: a number of its header (`flux`, `counter/bmon`), a column of a table (TABLE.csv::COLUMN), or
    /// a dataset (FILE.h5::/path), which have a value for each frame
    pub monitor: Option<String>,
    /// Uncertainties [default: none; with `--statistic clip` azimuthal]
    pub error_model: Option<ErrorModelName>,
    /// Variance of each pixel, an image; takes the place of an error model
    pub variance: Option<String>,
    /// Which pixels of a bin count [default: mean, of all of them]
    pub statistic: Option<StatisticName>,
    /// Outliers are this many standard deviations off, or more where that is Chauvenet's criterion [default: 5]
    pub clip: Option<f64>,
    /// Times to throw outliers out at most [default: 5]
    pub clip_cycles: Option<usize>,
    /// The two quantiles of a bin that pixels count between, from 0 to 1
    pub quantile: Vec<f64>,
    /// Number of radial bins [default: 1000]
    pub npt: Option<usize>,
    /// Number of azimuthal bins: patterns of two axes, (azimuthal, radial), as pyFAI's integrate2d; 1 is one axis [default: 1]
    pub npt_azim: Option<usize>,
    /// With `npt_azim`: the azimuthal axis goes from 0 to 360 degrees [default: from -180 to 180; with `azimuth_range` wherever that is]
    pub chi_discontinuity_at_0: Option<bool>,
    /// Radial unit: q_nm^-1, q_A^-1, 2th_deg, 2th_rad, r_mm, r_m, d*2_nm^-2, … [default: q_nm^-1]
    pub unit: Option<String>,
    /// Pixel splitting [default: bbox; with `--statistic clip` no]
    pub method: Option<Splitting>,
    /// Lower and upper end of the radial axis, in its unit [default: all pixels]
    pub radial_range: Vec<f64>,
    /// Sector to integrate, in degrees from x towards y; it may cross 180: 170 190 [default: the whole circle]
    pub azimuth_range: Vec<f64>,
    /// Value of bins that no pixel contributes to [default: 0]
    pub empty: Option<f32>,
    /// Points along the slow axis of the scan; the result is then (slow, fast, npt)
    pub slow: Option<usize>,
    /// Points along the fast axis of the scan
    pub fast: Option<usize>,
    /// Every other line of the scan runs backwards
    pub zigzag: Option<bool>,
    /// Frames to leave out at the start
    pub offset: Option<usize>,
    /// Frames to take of those, as Python slices: 0:1000:2, :100, -10:; a single number takes one
    pub frames: Option<Slice>,
    /// Channel to take of images that have several, such as the thresholds of a DECTRIS detector, counted from 0 [default: 0, with a
    /// note]
    pub channel: Option<usize>,
    /// Part K of N of these frames, in whole lines of a map (pairs of lines with `zigzag`); N results are [merged](super::Merge)
    pub part: Option<ScanPart>,
    /// Keep the float64 sums behind the patterns too, to merge or renormalise them later; 3 to 5 times the size
    pub sums: Option<bool>,
    /// Write the result as segments of about this size (256M, 1G), which a master shows as one; off: as one file, however large; auto: of 256M
    /// where one file would be larger than 2G [default: auto]
    pub segments: Option<SegmentSize>,
    /// Show the patterns as this application definition of NeXus has them, too, in an entry of its own
    pub definition: Option<DefinitionName>,
    /// Result file
    pub output: Option<PathBuf>,
    /// Settings of an earlier run, or pyFAI's: JSON of pyFAI-integrate or pyFAI-diffmap, or a result file; options given here win
    pub config: Option<PathBuf>,
    /// Where to compute: auto, cpu, cuda, cuda:N, cuda:N,N,... or cuda:all [default: auto]
    pub device: Option<String>,
    /// How threads share the work [default: auto]
    pub strategy: Option<StrategyName>,
    /// Batches under way at once on a GPU [default: chosen for it]
    pub lanes: Option<usize>,
    /// Most frames of a batch on a GPU [default: chosen for it]
    pub batch: Option<usize>,
    /// Threads that read files [default: a third of --threads, with a GPU three quarters, with several more]
    pub readers: Option<usize>,
    /// Threads that compute [default: three quarters of the cores, which leaves some to the readers]
    pub threads: Option<usize>,
    /// What a bad frame does to the run [default: keep]
    pub bad_frames: Option<BadFramesName>,
    /// Do not compare each frame's bytes with the Content-MD5 of its header
    pub no_verify: Option<bool>,
    /// Geometry that a configuration holds; wins over `poni`, which then only says where it came from.
    pub geometry: Option<Poni>,
    /// Slow motor of a map, as a configuration names it.
    pub slow_motor: Option<MotorRange>,
    /// Fast motor of a map, as a configuration names it.
    pub fast_motor: Option<MotorRange>,
    /// What a configuration calls the experiment.
    pub experiment_title: Option<String>,
}

impl Options {
    /// Which frames are wanted.
    pub fn selection(&self) -> Selection {
        // Each part of a zigzag map is one by itself: its first line runs forwards.
        let lines = if self.zigzag == Some(true) { 2 } else { 1 };
        Selection {
            offset: self.offset.unwrap_or(0),
            slice: self.frames.unwrap_or_default(),
            channel: self.channel,
            part: self.part,
            line: self.slow.and(self.fast).unwrap_or(0).saturating_mul(lines),
        }
    }
}

/// Each number alone. `named` says how a number is called where it was said: its option, or its key.
pub(super) fn check_values(args: &Options, named: fn(&str) -> String) -> Result<(), SessionError> {
    for (option, npt) in [("--npt", args.npt), ("--npt-azim", args.npt_azim)] {
        if let Some(npt) = npt
            && !(1..=MOST_BINS).contains(&npt)
        {
            refuse!(Usage, "{} {npt}: must be from 1 to {MOST_BINS}", named(option));
        }
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
            refuse!(Usage, "{} {n}: must be from 1 to {MOST_COUNT}", named(option));
        }
    }
    if let Some(f) = args.polarization
        && !(-1.0..=1.0).contains(&f)
    {
        refuse!(Usage, "{} {f}: must be between -1 and 1", named("--polarization"));
    }
    if let Some(v) = args.normalization
        && !((v as f32).is_normal() && v > 0.0)
    {
        refuse!(Usage, "{} {v}: must be a positive number that float32 holds", named("--normalization"));
    }
    if let Some(SaturationFrom::Count(count)) = args.saturation
        && !((count as f32).is_finite() && count as f32 > 0.0)
    {
        refuse!(Usage, "{} {count}: must be a positive number of counts, or `header`", named("--saturation"));
    }
    if let Some(v) = args.dummy
        && !v.is_finite()
    {
        refuse!(Usage, "{} {v}: must be a finite number", named("--dummy"));
    }
    if let Some(v) = args.delta_dummy
        && !(v.is_finite() && v >= 0.0)
    {
        refuse!(Usage, "{} {v}: must be 0 or a positive number", named("--delta-dummy"));
    }
    for (option, range) in [("--radial-range", &args.radial_range), ("--azimuth-range", &args.azimuth_range)]
    {
        match range.as_slice() {
            [] => {}
            [a, b] if a.is_finite() && b.is_finite() && a < b => {}
            [a, b] => refuse!(Usage, "{} {a} {b}: the first must be below the second", named(option)),
            other => refuse!(Usage, "{}: needs two numbers, got {}", named(option), other.len()),
        }
    }
    if let [a, b] = args.azimuth_range[..]
        && b - a > 360.0
    {
        refuse!(Usage, "{} {a} {b}: more than a whole turn, which is 360 degrees", named("--azimuth-range"));
    }
    Ok(())
}

/// Options that need each other; one may come from a configuration.
pub(super) fn check_pairs(args: &Options) -> Result<(), SessionError> {
    let pairs = [
        ("--combine-mask", args.combine_mask == Some(true), "--mask", args.mask.is_some()),
        ("--delta-dummy", args.delta_dummy.is_some(), "--dummy", args.dummy.is_some()),
        (
            "--chi-discontinuity-at-0",
            args.chi_discontinuity_at_0 == Some(true),
            "--npt-azim",
            args.npt_azim.is_some(),
        ),
        ("--slow", args.slow.is_some(), "--fast", args.fast.is_some()),
        ("--fast", args.fast.is_some(), "--slow", args.slow.is_some()),
        ("--zigzag", args.zigzag == Some(true), "--slow and --fast", args.slow.is_some()),
    ];
    for (option, is_given, needed, is_there) in pairs {
        if is_given && !is_there {
            refuse!(Usage, "{option} needs {needed}");
        }
    }
    Ok(())
}

/// The key of a configuration that says what an option says.
pub(super) fn key_of(option: &str) -> String {
    match option {
        "--npt" => "nbpt_rad".to_owned(),
        "--npt-azim" => "nbpt_azim".to_owned(),
        "--polarization" => "polarization_factor".to_owned(),
        "--normalization" => "normalization_factor".to_owned(),
        "--dummy" => "val_dummy".to_owned(),
        other => other.trim_start_matches('-').replace('-', "_"),
    }
}

/// What [`Options::poni`] is when the frames' own words are to be taken.
const AUTO: &str = "auto";

/// Whether a PONI file's name stands for what the frames say themselves.
pub fn is_auto(poni: &Path) -> bool {
    poni == Path::new(AUTO) && !poni.exists()
}
