//! What was typed: the options of `xrdct integrate` and `xrdct convert`, before anything is opened.
//!
//! What a run is told goes on as the session's [`Options`]; what is left is the command's own: where things go, what is said.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{ArgAction, Args, ValueEnum};

use crate::session::options::{
    BadFramesName, DefinitionName, ErrorModelName, MOST_COUNT, Options, SaturationFrom, ScanPart,
    SegmentSize, Slice, Splitting, StatisticName, StrategyName,
};

/// Seconds between two times that the disk is asked to keep what was written.
const FLUSH: f64 = 30.0;
/// Longest such time: a day.
const MOST_SECONDS: f64 = 86_400.0;

/// How much is said while running.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Saying {
    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say what is decided and why
    #[arg(short, long)]
    pub verbose: bool,
}

/// Azimuthal integration of a scan, to a NeXus/HDF5 file of powder patterns
#[derive(Debug, Clone, Default, Args)]
pub struct IntegrateArgs {
    /// Frames: HDF5 (masters, stacks, file.h5::/path), CBF, TIFF, EDF or npy files, folders of them, globs in quotes, or @list.txt with one
    /// name a line. Inputs and the lines of a list keep their order and repetitions; what a folder or a glob brings is sorted by
    /// the numbers in the names
    #[arg(value_name = "INPUT")]
    pub inputs: Vec<String>,

    /// Geometry: a PONI file (v1, v2, v2.1 or v3), as pyFAI-calib2 writes it
    #[arg(short, long, value_name = "FILE", help_heading = "Geometry and corrections")]
    pub poni: Option<PathBuf>,

    /// Mask: non-zero pixels are left out (npy, EDF, TIFF, CBF, or HDF5 as file.h5::/path).
    /// Replaces the detector's own mask, as in pyFAI; see --combine-mask
    #[arg(short, long, value_name = "FILE", help_heading = "Geometry and corrections")]
    pub mask: Option<String>,

    /// Leave out what either --mask or the detector's own mask leaves out
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Geometry and corrections")]
    pub combine_mask: Option<bool>,

    /// Dark current, subtracted from every frame; repeated, the files are averaged
    #[arg(short, long, value_name = "FILE", help_heading = "Geometry and corrections")]
    pub dark: Vec<String>,

    /// Flat field, divided out; repeated, the files are averaged. Pixels where it is 0 are left out
    #[arg(short, long, value_name = "FILE", help_heading = "Geometry and corrections")]
    pub flat: Vec<String>,

    /// Polarisation factor, from -1 (vertical) to 1 (horizontal); left out: no correction
    #[arg(long, value_name = "F", allow_negative_numbers = true, help_heading = "Geometry and corrections")]
    pub polarization: Option<f64>,

    /// Do not correct for the solid angle of the pixels
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Geometry and corrections")]
    pub no_solid_angle: Option<bool>,

    /// Value of pixels to be ignored [default: the detector's own, -2 +- 1.5 for DECTRIS]
    #[arg(long, value_name = "V", allow_negative_numbers = true, help_heading = "Geometry and corrections")]
    pub dummy: Option<f64>,

    /// Pixels within this distance of --dummy are ignored too [default: 0, exact]
    #[arg(long, value_name = "D", help_heading = "Geometry and corrections")]
    pub delta_dummy: Option<f64>,

    /// Leave out saturated pixels: those with this many counts or more, or `header` for the Count_cutoff of each frame's header
    /// [default: pixels at the header's Count_cutoff are counted, and count]
    #[arg(long, value_name = "COUNTS", value_parser = str::parse::<SaturationFrom>, help_heading = "Geometry and corrections")]
    pub saturation: Option<SaturationFrom>,

    /// Divide all intensities by this number
    #[arg(long, value_name = "V", help_heading = "Geometry and corrections")]
    pub normalization: Option<f64>,

    /// Divide each frame by its own monitor, too: a number of its header (`flux`, `counter/bmon`), or TABLE.csv::COLUMN or FILE.h5::/path with a
    /// value for each frame. A frame whose monitor is missing or zero is a bad one
    #[arg(long, value_name = "MONITOR", help_heading = "Geometry and corrections")]
    pub monitor: Option<String>,

    /// Uncertainties [default: none; with --statistic clip azimuthal]
    #[arg(long, value_name = "MODEL", help_heading = "Statistics and errors")]
    pub error_model: Option<ErrorModelName>,

    /// Variance of each pixel, an image, in the place of an error model
    #[arg(long, value_name = "FILE", help_heading = "Statistics and errors")]
    pub variance: Option<String>,

    /// Which pixels of a bin its intensity is the mean of [default: mean, all of them]
    #[arg(long, value_name = "STATISTIC", help_heading = "Statistics and errors")]
    pub statistic: Option<StatisticName>,

    /// --statistic clip: outliers are this many standard deviations off, or more where Chauvenet's criterion asks for more [default: 5]
    #[arg(long, value_name = "CUTOFF", help_heading = "Statistics and errors")]
    pub clip: Option<f64>,

    /// --statistic clip: times to throw outliers out at most [default: 5]
    #[arg(long, value_name = "N", help_heading = "Statistics and errors")]
    pub clip_cycles: Option<usize>,

    /// --statistic quantile: the two quantiles that pixels count between, from 0 to 1; two equal ones take one pixel
    #[arg(long, num_args = 2, value_names = ["LOW", "HIGH"], help_heading = "Statistics and errors")]
    pub quantile: Vec<f64>,

    /// Number of radial bins [default: 1000]
    #[arg(short = 'c', long, value_name = "N", help_heading = "Bins")]
    pub npt: Option<usize>,

    /// Number of azimuthal bins: patterns of two axes, (azimuthal, radial), as pyFAI's integrate2d; 1 is one axis [default: 1]
    #[arg(long, value_name = "N", help_heading = "Bins")]
    pub npt_azim: Option<usize>,

    /// With --npt-azim: the azimuthal axis goes from 0 to 360 degrees [default: from -180 to 180; with --azimuth-range wherever that is]
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Bins")]
    pub chi_discontinuity_at_0: Option<bool>,

    /// Radial unit: q_nm^-1, q_A^-1, 2th_deg, 2th_rad, r_mm, r_m, d*2_nm^-2, … [default: q_nm^-1]
    #[arg(short, long, value_name = "UNIT", help_heading = "Bins")]
    pub unit: Option<String>,

    /// Pixel splitting [default: bbox; with --statistic clip no]
    #[arg(long, value_name = "SPLIT", help_heading = "Bins")]
    pub method: Option<Splitting>,

    /// Lower and upper end of the radial axis, in its unit [default: all pixels]
    #[arg(long, num_args = 2, value_names = ["A", "B"], allow_negative_numbers = true, help_heading = "Bins")]
    pub radial_range: Vec<f64>,

    /// Sector to integrate, in degrees from x towards y; it may cross 180: 170 190 [default: the whole circle]
    #[arg(long, num_args = 2, value_names = ["A", "B"], allow_negative_numbers = true, help_heading = "Bins")]
    pub azimuth_range: Vec<f64>,

    /// Value of bins that no pixel contributes to [default: 0]
    #[arg(long, value_name = "V", allow_negative_numbers = true, help_heading = "Bins")]
    pub empty: Option<f32>,

    /// Points along the slow axis of the scan; the result is then (slow, fast, npt)
    #[arg(short = 'r', long, value_name = "N", help_heading = "Scan")]
    pub slow: Option<usize>,

    /// Points along the fast axis of the scan
    #[arg(short = 't', long, value_name = "N", help_heading = "Scan")]
    pub fast: Option<usize>,

    /// Every other line of the scan runs backwards
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Scan")]
    pub zigzag: Option<bool>,

    /// Frames to leave out at the start
    #[arg(short = 'O', long, value_name = "N", help_heading = "Scan")]
    pub offset: Option<usize>,

    /// Frames to take of those, as Python slices: 0:1000:2, :100, -10:; a single number takes one
    #[arg(long, value_name = "START:STOP:STEP", allow_hyphen_values = true, help_heading = "Scan")]
    pub frames: Option<Slice>,

    /// Channel to take of images that have several, such as the thresholds of a DECTRIS detector, counted from 0 [default: 0, with a
    /// note]
    #[arg(long, value_name = "N", help_heading = "Scan")]
    pub channel: Option<usize>,

    /// Only part K of N of these frames, in whole lines of a map (pairs of lines with --zigzag): the parts can be made side by side, on
    /// any machines, and `xrdct merge` makes one result of them
    #[arg(long, value_name = "K/N", value_parser = str::parse::<ScanPart>, conflicts_with = "tomo", help_heading = "Scan")]
    pub part: Option<ScanPart>,

    /// Keep the float64 sums behind the patterns too, to merge or renormalise them later; 3 to 5 times the size
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Output")]
    pub sums: Option<bool>,

    /// Write the result as segments of about this size (256M, 1G), ordinary results in NAME.parts, which the result file shows as one;
    /// off: as one file, however large; auto: of 256M where one file would be larger than 2G [default: auto]
    #[arg(long, value_name = "SIZE", value_parser = str::parse::<SegmentSize>, help_heading = "Output")]
    pub segments: Option<SegmentSize>,

    /// Show the patterns as this application definition of NeXus has them, too, in an entry of its own: q or 2theta, for GSAS-II and others
    #[arg(long, value_name = "NAME", help_heading = "Output")]
    pub definition: Option<DefinitionName>,

    /// Result file
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,

    /// Replace the result file (and --trace, --tomo) if it exists
    #[arg(long, help_heading = "Output")]
    pub overwrite: bool,

    /// Go on with a run that did not end, in its result file: what is there is kept, if frames and settings are what they were. Begins
    /// one where there is none
    #[arg(long, conflicts_with = "overwrite", requires = "output", help_heading = "Output")]
    pub resume: bool,

    /// With --resume: try the bad frames again
    #[arg(long, requires = "resume", help_heading = "Output")]
    pub retry_bad: bool,

    /// Have the disk itself keep what was written every so many seconds, so that a power cut costs no more; 0: only at the end [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = interval, help_heading = "Output")]
    pub flush: Option<f64>,

    /// Go on to sinograms and tomograms: the file that `xrdct tomo` would write, from patterns that are still in memory
    #[arg(long, value_name = "TOMO.h5", help_heading = "Output")]
    pub tomo: Option<PathBuf>,

    /// Options of `xrdct tomo` for it, in quotes: --tomo-options '--region LaB6=2.08:2.20 --filter hann'
    #[arg(
        long,
        value_name = "OPTIONS",
        requires = "tomo",
        allow_hyphen_values = true,
        help_heading = "Output"
    )]
    pub tomo_options: Option<String>,

    /// Settings of an earlier run, or pyFAI's: JSON of pyFAI-integrate or pyFAI-diffmap, or a result file; options given here win
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub config: Option<PathBuf>,

    /// Write the settings as JSON: a map's for pyFAI-diffmap, a series' for pyFAI-integrate -j; also with --dry-run
    #[arg(long, value_name = "FILE.json", help_heading = "Output")]
    pub save_config: Option<PathBuf>,

    /// Check options and inputs and say what would be done, but do not do it
    #[arg(long, help_heading = "Output")]
    pub dry_run: bool,

    /// Write a timeline of every stage, thread and lane (Chrome trace format: chrome://tracing, ui.perfetto.dev)
    #[arg(long, value_name = "FILE.json", help_heading = "Running")]
    pub trace: Option<PathBuf>,

    /// Where to compute: auto (one GPU, or the CPU), cpu, cuda, cuda:N, cuda:N,N,... or cuda:all; when a GPU fails the others go on, and the CPU after auto [default: auto]
    #[arg(long, value_name = "DEVICE", help_heading = "Running")]
    pub device: Option<String>,

    /// How threads share the work [default: auto]
    #[arg(long, value_name = "STRATEGY", help_heading = "Running")]
    pub strategy: Option<StrategyName>,

    /// Batches under way at once on a GPU [default: chosen for it]
    #[arg(long, value_name = "N", value_parser = count, help_heading = "Running")]
    pub lanes: Option<usize>,

    /// Most frames of a batch on a GPU [default: chosen for it]
    #[arg(long, value_name = "N", value_parser = count, help_heading = "Running")]
    pub batch: Option<usize>,

    /// Threads that read files [default: a third of --threads, with a GPU three quarters, with several more]
    #[arg(long, value_name = "N", value_parser = count, help_heading = "Running")]
    pub readers: Option<usize>,

    /// Threads that compute [default: three quarters of the cores, which leaves some to the readers]
    #[arg(long, value_name = "N", value_parser = count, help_heading = "Running")]
    pub threads: Option<usize>,

    /// What a bad frame does to the run [default: keep]
    #[arg(long, value_name = "WHAT", help_heading = "Running")]
    pub bad_frames: Option<BadFramesName>,

    /// Do not compare each frame's bytes with the Content-MD5 of its header
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Running")]
    pub no_verify: Option<bool>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub saying: Saying,
}

impl IntegrateArgs {
    /// How often the disk is asked to keep what was written, if before the end.
    pub(super) fn flush_interval(&self) -> Option<Duration> {
        let seconds = self.flush.unwrap_or(FLUSH);
        (seconds > 0.0).then(|| Duration::from_secs_f64(seconds))
    }

    /// What the session is told.
    pub fn options(&self) -> Options {
        // Without `..`, so that a new option cannot be forgotten.
        let IntegrateArgs {
            inputs,
            poni,
            mask,
            combine_mask,
            dark,
            flat,
            polarization,
            no_solid_angle,
            dummy,
            delta_dummy,
            saturation,
            normalization,
            monitor,
            error_model,
            variance,
            statistic,
            clip,
            clip_cycles,
            quantile,
            npt,
            npt_azim,
            chi_discontinuity_at_0,
            unit,
            method,
            radial_range,
            azimuth_range,
            empty,
            slow,
            fast,
            zigzag,
            offset,
            frames,
            channel,
            part,
            sums,
            segments,
            definition,
            output,
            overwrite: _,
            resume: _,
            retry_bad: _,
            flush: _,
            tomo: _,
            tomo_options: _,
            config,
            save_config: _,
            dry_run: _,
            trace: _,
            device,
            strategy,
            lanes,
            batch,
            readers,
            threads,
            bad_frames,
            no_verify,
            saying: _,
        } = self.clone();
        Options {
            inputs,
            poni,
            mask,
            combine_mask,
            dark,
            flat,
            polarization,
            no_solid_angle,
            dummy,
            delta_dummy,
            saturation,
            normalization,
            monitor,
            error_model,
            variance,
            statistic,
            clip,
            clip_cycles,
            quantile,
            npt,
            npt_azim,
            chi_discontinuity_at_0,
            unit,
            method,
            radial_range,
            azimuth_range,
            empty,
            slow,
            fast,
            zigzag,
            offset,
            frames,
            channel,
            part,
            sums,
            segments,
            definition,
            output,
            config,
            device,
            strategy,
            lanes,
            batch,
            readers,
            threads,
            bad_frames,
            no_verify,
            // Only a configuration says these.
            geometry: None,
            slow_motor: None,
            fast_motor: None,
            experiment_title: None,
        }
    }
}

/// The words of an option's values, with what `--help` says of each.
macro_rules! words {
    ($type:ident: $($variant:ident = $word:literal $help:literal),+) => {
        impl ValueEnum for $type {
            fn value_variants<'a>() -> &'a [Self] {
                &[$($type::$variant),+]
            }

            fn to_possible_value(&self) -> Option<PossibleValue> {
                Some(match self {
                    $($type::$variant => PossibleValue::new($word).help($help)),+
                })
            }
        }
    };
}
pub(super) use words;

words!(Splitting:
    No = "no" "A pixel goes to the bin of its centre",
    Bbox = "bbox" "A pixel is shared by the bins that its bounding box covers",
    Full = "full" "A pixel is shared by area: its corners' polygon cut at the bin edges");
words!(StatisticName:
    Mean = "mean" "All of them",
    Clip = "clip" "Those that are left when outliers are thrown out, as pyFAI's sigma_clip_ng",
    Median = "median" "The one in the middle, as pyFAI's medfilt1d_ng",
    Quantile = "quantile" "Those between the two of --quantile, as pyFAI's medfilt1d_ng");
words!(ErrorModelName:
    Poisson = "poisson" "Variance of a pixel = its counts (at least 1)",
    Azimuthal = "azimuthal" "From how the pixels of a bin differ",
    Hybrid = "hybrid" "Outliers are known by how pixels differ; what is left has Poisson's",
    None = "none" "No uncertainties");
words!(DefinitionName:
    NXazint1d = "NXazint1d" "Patterns of one axis",
    NXazint2d = "NXazint2d" "Patterns of two axes, with --npt-azim");
words!(StrategyName:
    Auto = "auto" "Gpu where there is one; else pool, unless there is only one frame",
    Sequential = "sequential" "Read, decode, integrate, write, one frame after the other",
    Pool = "pool" "Readers and workers side by side; with a GPU, readers decode and the GPU integrates",
    Gpu = "gpu" "Compressed frames go to the GPU, which decodes and integrates");
words!(BadFramesName:
    Keep = "keep" "A NaN row and a status; the run goes on and ends with exit code 10",
    Stop = "stop" "The run ends at the first one");

/// Decode frames into an HDF5 stack, /entry_0000/data/data
#[derive(Debug, Clone, Args)]
pub struct ConvertArgs {
    /// Frames: HDF5 (masters, stacks, file.h5::/path), CBF, TIFF, EDF or npy files, folders of them, globs in quotes, or @list.txt with one
    /// name a line. Inputs and the lines of a list keep their order and repetitions; what a folder or a glob brings is sorted by
    /// the numbers in the names
    #[arg(value_name = "INPUT", required = true)]
    pub inputs: Vec<String>,

    /// Stack to write
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,

    /// Replace the stack if it exists, once the new one is complete
    #[arg(long)]
    pub overwrite: bool,

    /// Go on with what a run left of this stack that did not end, if frames and settings are what they were. Begins one where there is
    /// none. Not with --gzip
    #[arg(long)]
    pub resume: bool,

    /// With --resume: try the bad frames again, those of a complete stack too
    #[arg(long, requires = "resume")]
    pub retry_bad: bool,

    /// Have the disk itself keep what was written every so many seconds, so that a power cut costs no more; 0: only at the end
    #[arg(long, value_name = "SECONDS", value_parser = interval, default_value_t = FLUSH)]
    pub flush: f64,

    /// Frames to take, as Python slices: 0:1000:2, :100, -10:; a single number takes one
    #[arg(long, value_name = "START:STOP:STEP", allow_hyphen_values = true)]
    pub frames: Option<Slice>,

    /// Channel to take of images that have several, such as the thresholds of a DECTRIS detector, counted from 0 [default: 0, with a
    /// note]
    #[arg(long, value_name = "N")]
    pub channel: Option<usize>,

    /// Compress with gzip, level 1 (fast) to 9 (small)
    #[arg(long, value_name = "LEVEL", num_args = 0..=1, require_equals = true, default_missing_value = "1", action = ArgAction::Set, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub gzip: Option<u8>,

    /// Where to decode: cpu, cuda, cuda:N (one GPU), or auto, which goes on on the CPU when a GPU fails; the frames are the same
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: String,

    /// Do not compare each frame's bytes with the Content-MD5 of its header
    #[arg(long)]
    pub no_verify: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub saying: Saying,
}

/// Seconds between two times; 0: never.
pub(super) fn interval(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=MOST_SECONDS).contains(&seconds) => Ok(seconds),
        _ => Err(format!("must be a number of seconds from 0 to {MOST_SECONDS}")),
    }
}

/// A count that makes sense for threads, lanes and the like.
pub(super) fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if (1..=MOST_COUNT).contains(&n) => Ok(n),
        _ => Err(format!("must be a whole number from 1 to {MOST_COUNT}")),
    }
}
