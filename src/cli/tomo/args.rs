//! What was typed: the options of `xrdct tomo`.
//!
//! What a tomogram is told goes on as the session's [`TomoOptions`]; what is left is the command's own: where it goes, what is said.

use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use crate::cli::args::{Saying, count, words};
use crate::session::tomo::{Algorithm, FastName, FilterName, TomoOptions, ZigZagName};

/// Sinograms and tomograms of a result, to a NeXus/HDF5 file
#[derive(Debug, Clone, Default, Args)]
pub struct TomoArgs {
    /// Result of `xrdct integrate` (or of pyFAI-diffmap)
    #[arg(value_name = "RESULT.h5")]
    pub input: PathBuf,

    /// Rotation of each frame, degrees: a header number (omega, phi, start_angle …), FILE.csv::COLUMN, FILE.h5::/PATH;
    /// or of each line: FIRST:LAST:COUNT, or FIRST+STEP [default: the header number that changes]
    #[arg(long, value_name = "SOURCE", allow_hyphen_values = true, help_heading = "Scan")]
    pub rotation: Option<String>,

    /// Translation of each frame or line, likewise, in mm [default: start_position of the headers; else counted]
    #[arg(long, value_name = "SOURCE", allow_hyphen_values = true, help_heading = "Scan")]
    pub translation: Option<String>,

    /// Rotations of a scan that is known by its order only
    #[arg(long, value_name = "N", help_heading = "Scan")]
    pub rotations: Option<usize>,

    /// Translations of a scan that is known by its order only
    #[arg(long, value_name = "N", help_heading = "Scan")]
    pub translations: Option<usize>,

    /// Motor that moves from frame to frame, of a scan that is known by its order only [default: translation]
    #[arg(long, value_name = "AXIS", help_heading = "Scan")]
    pub fast_axis: Option<FastName>,

    /// Whether every other line runs backwards [default: auto]
    #[arg(long, value_name = "WHAT", help_heading = "Scan")]
    pub zigzag: Option<ZigZagName>,

    /// Rotations come in K rounds: 0, K, 2K …, then 1, K+1 … [default: 1]
    #[arg(long, value_name = "K", help_heading = "Scan")]
    pub interleave: Option<usize>,

    /// Frames to leave out at the start
    #[arg(short = 'O', long, value_name = "N", help_heading = "Scan")]
    pub offset: Option<usize>,

    /// Only bins between A and B, in the unit of the radial axis
    #[arg(long, num_args = 2, value_names = ["A", "B"], allow_negative_numbers = true, help_heading = "Bins and regions")]
    pub radial_range: Vec<f64>,

    /// Slices of each azimuthal sector of a result that has --npt-azim: a number of equal ones, or ranges of χ in degrees,
    /// LOW:HIGH,LOW:HIGH …, which may cross 180 (170:190) [default: one of all azimuth]
    #[arg(long, value_name = "SECTORS", allow_hyphen_values = true, help_heading = "Bins and regions")]
    pub sectors: Option<String>,

    /// Region of interest NAME=LOW:HIGH, a peak's area above a straight background (:none keeps it); repeatable
    /// [default: the three strongest peaks]
    #[arg(long, value_name = "REGION", help_heading = "Bins and regions")]
    pub region: Vec<String>,

    /// Slices of regions only, not of every bin
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Bins and regions")]
    pub regions_only: Option<bool>,

    /// Divide each frame by its monitor: a header number, FILE.csv::COLUMN or FILE.h5::/PATH
    #[arg(long, value_name = "SOURCE", help_heading = "Corrections")]
    pub monitor: Option<String>,

    /// Take off what the outermost N translations see on either side
    #[arg(long, value_name = "N", help_heading = "Corrections")]
    pub air: Option<usize>,

    /// Believe single points that stand out from all their neighbours
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Corrections")]
    pub keep_spikes: Option<bool>,

    /// Scale each rotation to the same total
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Corrections")]
    pub constant_total: Option<bool>,

    /// Align rotations by their centres of mass
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Corrections")]
    pub jitter: Option<bool>,

    /// Take off stripes, which become rings: translations that differ at every rotation
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Corrections")]
    pub stripes: Option<bool>,

    /// Rotation axis: auto, mass, mirror, sharpness, or the translation step from the first [default: auto]
    #[arg(long, value_name = "HOW", allow_hyphen_values = true, help_heading = "Corrections")]
    pub centre: Option<String>,

    /// Add this to the rotation axis, steps
    #[arg(long, value_name = "STEPS", allow_negative_numbers = true, help_heading = "Corrections")]
    pub centre_shift: Option<f64>,

    /// How slices are made [default: fbp]
    #[arg(long, value_name = "HOW", help_heading = "Reconstruction")]
    pub algorithm: Option<Algorithm>,

    /// Filter of fbp [default: ramp]
    #[arg(long, value_name = "FILTER", help_heading = "Reconstruction")]
    pub filter: Option<FilterName>,

    /// Steps of sirt and mlem [default: 100, 30]
    #[arg(long, value_name = "N", help_heading = "Reconstruction")]
    pub iterations: Option<usize>,

    /// Let sirt give negative values
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Reconstruction")]
    pub negative: Option<bool>,

    /// Side of the slices, pixels [default: as many as translations]
    #[arg(long, value_name = "N", value_parser = count, help_heading = "Reconstruction")]
    pub size: Option<usize>,

    /// Side of a pixel, in translation steps [default: 1]
    #[arg(long, value_name = "STEPS", help_heading = "Reconstruction")]
    pub pixel_size: Option<f64>,

    /// Keep pixels that some rotations do not see
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Reconstruction")]
    pub no_circle: Option<bool>,

    /// Tomogram file
    #[arg(short, long, value_name = "TOMO.h5", help_heading = "Output")]
    pub output: Option<PathBuf>,

    /// Replace the tomogram file if it exists
    #[arg(long, help_heading = "Output")]
    pub overwrite: bool,

    /// Go on with a tomogram file that was left unfinished
    #[arg(long, conflicts_with = "overwrite", help_heading = "Output")]
    pub resume: bool,

    /// Settings of an earlier run: a JSON file or a tomogram file; options given here win
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub config: Option<PathBuf>,

    /// Look at the scan and say what would be done, but do not do it
    #[arg(long, help_heading = "Output")]
    pub dry_run: bool,

    /// Where to reconstruct: auto, cpu, cuda or cuda:N (one GPU) [default: auto]
    #[arg(long, value_name = "DEVICE", help_heading = "Running")]
    pub device: Option<String>,

    /// Threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = count, help_heading = "Running")]
    pub threads: Option<usize>,

    /// Memory to work in, such as 500M or 16G; bins are taken in blocks that fit [default: 4G]
    #[arg(long, value_name = "SIZE", value_parser = memory, help_heading = "Running")]
    pub memory: Option<u64>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub saying: Saying,
}

impl TomoArgs {
    /// What the session is told.
    pub fn options(&self) -> TomoOptions {
        // Without `..`, so that a new option cannot be forgotten.
        let TomoArgs {
            input,
            rotation,
            translation,
            rotations,
            translations,
            fast_axis,
            zigzag,
            interleave,
            offset,
            radial_range,
            sectors,
            region,
            regions_only,
            monitor,
            air,
            keep_spikes,
            constant_total,
            jitter,
            stripes,
            centre,
            centre_shift,
            algorithm,
            filter,
            iterations,
            negative,
            size,
            pixel_size,
            no_circle,
            output: _,
            overwrite: _,
            resume: _,
            config,
            dry_run: _,
            device,
            threads,
            memory,
            saying: _,
        } = self.clone();
        TomoOptions {
            input,
            rotation,
            translation,
            rotations,
            translations,
            fast_axis,
            zigzag,
            interleave,
            offset,
            radial_range,
            sectors,
            region,
            regions_only,
            monitor,
            air,
            keep_spikes,
            constant_total,
            jitter,
            stripes,
            centre,
            centre_shift,
            algorithm,
            filter,
            iterations,
            negative,
            size,
            pixel_size,
            no_circle,
            config,
            device,
            threads,
            memory,
        }
    }
}

words!(FastName:
    Translation = "translation" "A line of translations at each rotation",
    Rotation = "rotation" "A turn at each translation");
words!(ZigZagName:
    Auto = "auto" "What neighbouring lines say",
    Yes = "yes" "Turn every other line round",
    No = "no" "Leave lines as they are");
words!(Algorithm:
    Fbp = "fbp" "Filtered back-projection",
    Sirt = "sirt" "Simultaneous iterative reconstruction",
    Mlem = "mlem" "Maximum likelihood by expectation maximisation");
words!(FilterName:
    Ramp = "ramp" "Ram-Lak: sharpest, noisiest",
    SheppLogan = "shepp-logan" "Times a sinc",
    Cosine = "cosine" "Times a cosine",
    Hamming = "hamming" "Hamming's window",
    Hann = "hann" "Hann's window: smoothest",
    None = "none" "Plain back-projection");

/// Bytes of `500M`, `16G`, `1000000`.
fn memory(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.trim_end_matches(['B', 'b', 'i']).char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
        Some((at, 't' | 'T')) => (&text[..at], 1 << 40),
        _ => (text, 1_u64),
    };
    match digits.trim().parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok((number * unit as f64) as u64),
        _ => Err("must be a size such as 500M or 16G".into()),
    }
}
