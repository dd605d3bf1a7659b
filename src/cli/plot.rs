//! `xrdct plot`: one picture of a result or of a tomogram, as PNG or SVG.

mod result;
mod tomogram;

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use clap::{Args, ValueEnum};

use super::exit::{Exit, Failure, OrExit};
use super::say;
use super::words::with_unit;
use crate::output::draft::{leftovers, write_whole};
use crate::output::result::BinAxis;
use crate::output::tomogram::Tomogram;
use crate::picture::colour::ColourMap;
use crate::picture::sheet::Look;
use crate::picture::svg::Svg;

pub(super) use result::{Sheet, overview as overview_of_cakes};
pub(super) use tomogram::overview;

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Of a tomogram: mean pattern, sinograms and slices of all regions; of a result: mean and all patterns, with an azimuthal axis mean pattern and mean cake
    Overview,
    /// One pattern (--frame), or the mean of all; with an azimuthal axis the cake, or the pattern of a --sector
    Pattern,
    /// All patterns, one a row, with an azimuthal axis those of all azimuth or of a --sector
    Patterns,
    /// Sinogram of a region or a bin
    Sinogram,
    /// Slice of a region or a bin
    Tomogram,
    /// Intensity of a bin over the points of a mapped result
    Map,
}

/// Colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum ColourName {
    Viridis,
    Inferno,
    Magma,
    Cividis,
    Grey,
}

/// A picture of a result or a tomogram, as PNG or SVG
#[derive(Debug, Clone, Args)]
pub struct PlotArgs {
    /// Result of `xrdct integrate` or tomogram of `xrdct tomo`
    #[arg(value_name = "FILE.h5")]
    pub input: PathBuf,

    /// What to draw [default: overview]
    #[arg(value_name = "WHAT")]
    pub what: Option<What>,

    /// Picture to write; its suffix says how: .png or .svg
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,

    /// Replace the picture if it exists
    #[arg(long)]
    pub overwrite: bool,

    /// Frame whose pattern is drawn, counted from 0
    #[arg(long, value_name = "N", conflicts_with_all = ["bin", "at", "region"])]
    pub frame: Option<usize>,

    /// Bin, counted from 0
    #[arg(long, value_name = "N", conflicts_with_all = ["at", "region"])]
    pub bin: Option<usize>,

    /// Bin at this place of the radial axis, in its unit
    #[arg(long, value_name = "VALUE", conflicts_with = "region")]
    pub at: Option<f64>,

    /// Region of the tomogram, by name
    #[arg(long, value_name = "NAME")]
    pub region: Option<String>,

    /// Of a result with an azimuthal axis a sector LOW HIGH, degrees, which may cross 180: 170 190; of a tomogram with
    /// sectors the number of one, from 0
    #[arg(long, num_args = 1..=2, value_names = ["LOW", "HIGH"], allow_negative_numbers = true)]
    pub sector: Vec<f64>,

    /// truth.h5 of a simulated scan: true maps beside the slices, with their correlation
    #[arg(long, value_name = "FILE")]
    pub truth: Option<PathBuf>,

    /// Colours, perceptually uniform
    #[arg(long, value_name = "NAME", default_value = "viridis")]
    pub colormap: ColourName,

    /// Logarithmic intensity
    #[arg(long)]
    pub log: bool,

    /// Ends of the colours (of a pattern: of the height)
    #[arg(long, num_args = 2, value_names = ["LOW", "HIGH"], allow_negative_numbers = true)]
    pub range: Vec<f64>,

    /// Width of the page, px
    #[arg(long, value_name = "PX", default_value_t = 900.0)]
    pub width: f64,

    /// Height of the page, px
    #[arg(long, value_name = "PX", default_value_t = 640.0)]
    pub height: f64,

    /// Pixels of a PNG for each px of the page
    #[arg(long, value_name = "N", default_value_t = 2.0)]
    pub scale: f64,
}

/// Largest page, px.
const LARGEST: f64 = 8000.0;

/// Runs the command.
pub(super) fn run(args: &PlotArgs) -> Result<Exit, Failure> {
    let form = Form::of(&args.output).or_exit(Exit::Usage)?;
    let sizes = [args.width, args.height];
    if sizes.iter().any(|s| !(200.0..=LARGEST).contains(s)) || !(0.25..=8.0).contains(&args.scale) {
        return Err(anyhow!("--width and --height must be from 200 to {LARGEST}, --scale from 0.25 to 8"))
            .or_exit(Exit::Usage);
    }
    refuse_existing(&args.output, args.overwrite).or_exit(Exit::Output)?;
    super::warn_of_leftovers(leftovers(&args.output));
    let svg = draw(args)?;
    let bytes = match form {
        Form::Svg => svg.finish().into_bytes(),
        Form::Png => svg.png(args.scale).or_exit(Exit::Failure)?,
    };
    write_whole(&args.output, &bytes, args.overwrite).or_exit(Exit::Output)?;
    say::summary(&format!("{}\n", args.output.display()));
    Ok(Exit::Success)
}

/// What a picture is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Png,
    Svg,
}

impl Form {
    fn of(path: &Path) -> anyhow::Result<Form> {
        match path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
            Some("png") => Ok(Form::Png),
            Some("svg") => Ok(Form::Svg),
            _ => Err(anyhow!("--output {}: name a .png or .svg file", path.display())),
        }
    }
}

/// Says at once that a file is in the way.
pub(super) fn refuse_existing(path: &Path, overwrite: bool) -> anyhow::Result<()> {
    ensure!(
        overwrite || !path.exists(),
        "{}: there is already a file of that name. Choose another name, or allow it to be replaced (--overwrite)",
        path.display()
    );
    Ok(())
}

fn look(args: &PlotArgs) -> Look {
    Look {
        map: match args.colormap {
            ColourName::Viridis => ColourMap::Viridis,
            ColourName::Inferno => ColourMap::Inferno,
            ColourName::Magma => ColourMap::Magma,
            ColourName::Cividis => ColourMap::Cividis,
            ColourName::Grey => ColourMap::Grey,
        },
        log: args.log,
        limits: match args.range[..] {
            [low, high] => Some((low, high)),
            _ => None,
        },
    }
}

fn draw(args: &PlotArgs) -> Result<Svg, Failure> {
    let look = look(args);
    let size = [args.width, args.height];
    let what = args.what.unwrap_or(What::Overview);
    let tomogram = crate::files::open(&args.input)
        .with_context(|| args.input.display().to_string())
        .or_exit(Exit::Input)
        .map(|_| Tomogram::is_one(&args.input))?;
    if !tomogram {
        return result::draw(args, what, look, size);
    }
    tomogram::draw(args, what, look, size)
}

/// The bin that `--bin` or `--at` names.
fn bin(args: &PlotArgs, axis: &BinAxis) -> anyhow::Result<Option<usize>> {
    let centres = &axis.centres;
    if let Some(bin) = args.bin {
        ensure!(bin < centres.len(), "--bin {bin}: there are {}", centres.len());
        return Ok(Some(bin));
    }
    let Some(at) = args.at else { return Ok(None) };
    let (first, last) = (centres.first().copied().unwrap_or(0.0), centres.last().copied().unwrap_or(0.0));
    let range = with_unit(format!("{first:.6} to {last:.6}"), &axis.unit);
    ensure!((first..=last).contains(&at), "--at {at}: bins go from {range}");
    Ok((0..centres.len()).min_by(|&a, &b| (centres[a] - at).abs().total_cmp(&(centres[b] - at).abs())))
}
