//! `xrdct plot`: one picture of a result or of a tomogram, as PNG or SVG.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use clap::{Args, ValueEnum};

use super::exit::{Exit, Failure, OrExit};
use super::say;
use super::words::with_unit;
use crate::output::draft::{leftovers, write_whole};
use crate::output::result::{BinAxis, Patterns};
use crate::output::tomogram::Tomogram;
use crate::picture::colour::ColourMap;
use crate::picture::curve::Mark;
use crate::picture::sheet::{self, Curve, Look, Map, RegionMaps};
use crate::picture::svg::Svg;
use crate::simulate::truth::TrueMaps;

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Of a tomogram: mean pattern, sinograms and slices of all regions; of a result: mean and all patterns
    Overview,
    /// One pattern (--frame), or the mean of all
    Pattern,
    /// All patterns, one a row
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
        return of_result(args, what, look, size);
    }
    let tomo = Tomogram::open(&args.input).or_exit(Exit::Input)?;
    match what {
        What::Overview => overview(&tomo, args.truth.as_deref(), look),
        What::Pattern => Ok(sheet::one_pattern(&mean_of(&tomo), look, size)),
        What::Sinogram | What::Tomogram => {
            let chosen = Chosen::of(args, &tomo).or_exit(Exit::Usage)?;
            let map = chosen.map(&tomo, what == What::Sinogram).or_exit(Exit::Input)?;
            sheet::one_map(&map, look, what == What::Tomogram, size).or_exit(Exit::Failure)
        }
        What::Patterns | What::Map => {
            Err(anyhow!("a tomogram has no single patterns; draw {} instead", tomo.layout.input))
                .or_exit(Exit::Usage)
        }
    }
}

/// A bin or a region of a tomogram.
enum Chosen {
    Bin(usize),
    Region(usize),
}

impl Chosen {
    fn of(args: &PlotArgs, tomo: &Tomogram) -> anyhow::Result<Chosen> {
        let layout = &tomo.layout;
        if let Some(name) = &args.region {
            let names: Vec<&str> = layout.regions.iter().map(|r| r.name.as_str()).collect();
            return names
                .iter()
                .position(|known| known == name)
                .map(Chosen::Region)
                .ok_or_else(|| anyhow!("--region {name}: there are {}", names.join(", ")));
        }
        match bin(args, &layout.axis)? {
            Some(bin) => Ok(Chosen::Bin(bin)),
            None if layout.regions.is_empty() => Ok(Chosen::Bin(0)),
            None => Ok(Chosen::Region(0)),
        }
    }

    fn map(&self, tomo: &Tomogram, sinogram: bool) -> anyhow::Result<Map> {
        let layout = &tomo.layout;
        let (name, values) = match *self {
            Chosen::Bin(bin) => {
                let values = if sinogram { tomo.sinogram(bin)? } else { tomo.slice(bin)? };
                let axis = &layout.axis;
                (with_unit(format!("{} = {:.5}", axis.name, axis.centres[bin]), &axis.unit), values)
            }
            Chosen::Region(region) => {
                let images = tomo.region(region)?;
                let values = if sinogram { images.sinogram } else { images.tomogram };
                (layout.regions[region].name.clone(), values)
            }
        };
        Ok(if sinogram { sinogram_map(tomo, &name, values) } else { slice_map(tomo, &name, values) })
    }
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

fn sinogram_map(tomo: &Tomogram, name: &str, values: Vec<f32>) -> Map {
    let layout = &tomo.layout;
    // Rotations are drawn evenly, in their own order.
    Map {
        title: format!("{name}: sinogram"),
        values,
        x: layout.translation.clone(),
        y: layout.rotation.clone(),
        x_label: format!("Translation ({})", layout.unit),
        y_label: "Rotation (°)".into(),
    }
}

fn slice_map(tomo: &Tomogram, name: &str, values: Vec<f32>) -> Map {
    let layout = &tomo.layout;
    Map {
        title: format!("{name}: tomogram"),
        values,
        x: layout.x.clone(),
        y: layout.y.clone(),
        x_label: format!("x ({})", layout.unit),
        y_label: format!("y ({})", layout.unit),
    }
}

fn mean_of(tomo: &Tomogram) -> Curve {
    let layout = &tomo.layout;
    let mark =
        |r: &crate::output::tomogram::RegionEntry| Mark { from: r.from, to: r.to, name: r.name.clone() };
    Curve {
        title: "Mean pattern".into(),
        x: layout.axis.centres.clone(),
        y: layout.mean.clone(),
        x_label: layout.axis.long_name.clone(),
        marks: layout.regions.iter().map(mark).collect(),
    }
}

/// The overview of a tomogram.
pub(super) fn overview(tomo: &Tomogram, truth: Option<&Path>, look: Look) -> Result<Svg, Failure> {
    let layout = &tomo.layout;
    let mut regions = Vec::new();
    for (i, region) in layout.regions.iter().enumerate() {
        let images = tomo.region(i).or_exit(Exit::Input)?;
        let truth = match truth {
            Some(path) => true_map(path, &region.name, tomo, &images.tomogram).or_exit(Exit::Input)?,
            None => None,
        };
        regions.push(RegionMaps {
            sinogram: sinogram_map(tomo, &region.name, images.sinogram),
            tomogram: slice_map(tomo, &region.name, images.tomogram),
            truth,
        });
    }
    let name = Path::new(&layout.input)
        .file_name()
        .map_or(layout.input.clone(), |n| n.to_string_lossy().into_owned());
    let title =
        format!("{name}: {} rotations × {} translations", layout.rotation.len(), layout.translation.len());
    let remarks: Vec<String> =
        layout.repairs.iter().filter(|r| !r.starts_with("no --region")).cloned().collect();
    sheet::overview(&title, &remarks, &mean_of(tomo), &regions, look).or_exit(Exit::Failure)
}

/// The true map of a phase, when the file has one of that name and size, and its correlation with a slice.
fn true_map(path: &Path, name: &str, tomo: &Tomogram, slice: &[f32]) -> anyhow::Result<Option<(Map, f64)>> {
    let truth = TrueMaps::open(path).with_context(|| format!("--truth {}", path.display()))?;
    let shape = [tomo.layout.y.len(), tomo.layout.x.len()];
    let Some((values, correlation)) = truth.beside(name, shape, slice)? else { return Ok(None) };
    Ok(Some((Map { title: format!("{name}: truth"), ..slice_map(tomo, name, values) }, correlation)))
}

fn of_result(args: &PlotArgs, what: What, look: Look, size: [f64; 2]) -> Result<Svg, Failure> {
    let patterns = Patterns::open(&args.input).or_exit(Exit::Input)?;
    let mean = Sheet::of(&patterns).or_exit(Exit::Input)?;
    match what {
        What::Overview | What::Patterns => mean.patterns(&patterns, look, size),
        What::Pattern => {
            let pattern = match args.frame {
                Some(frame) => mean.frame(&patterns, frame).or_exit(Exit::Usage)?,
                None => mean.pattern.clone(),
            };
            Ok(sheet::one_pattern(&pattern, look, size))
        }
        What::Map => {
            let Some((slow, fast)) = patterns.map else {
                return Err(anyhow!("{}: no map; integrate with --slow and --fast", args.input.display()))
                    .or_exit(Exit::Usage);
            };
            let chosen = bin(args, patterns.radial()).or_exit(Exit::Usage)?;
            let Some(bin) = chosen else {
                return Err(anyhow!("which bin? name it with --bin or --at")).or_exit(Exit::Usage);
            };
            let npt = patterns.npt();
            let axis = patterns.radial();
            let map = Map {
                title: with_unit(format!("{} = {:.5}", axis.name, axis.centres[bin]), &axis.unit),
                values: mean.values.chunks(npt).map(|row| row[bin]).collect(),
                x: (0..fast).map(|i| i as f64).collect(),
                y: (0..slow).map(|i| i as f64).collect(),
                x_label: "fast".into(),
                y_label: "slow".into(),
            };
            sheet::one_map(&map, look, false, size).or_exit(Exit::Failure)
        }
        What::Sinogram | What::Tomogram => {
            Err(anyhow!("{}: patterns, no tomogram; make one with `xrdct tomo`", args.input.display()))
                .or_exit(Exit::Usage)
        }
    }
}

/// All patterns of a result, and their mean.
pub(super) struct Sheet {
    values: Vec<f32>,
    pub pattern: Curve,
}

impl Sheet {
    pub fn of(patterns: &Patterns) -> anyhow::Result<Sheet> {
        let npt = patterns.npt();
        let values = patterns.read(0..npt)?;
        let mut sums = vec![(0.0_f64, 0_u32); npt];
        for row in values.chunks(npt) {
            for ((sum, count), value) in sums.iter_mut().zip(row).filter(|(_, v)| v.is_finite()) {
                *sum += f64::from(*value);
                *count += 1;
            }
        }
        let mean =
            sums.into_iter().map(|(sum, n)| if n == 0 { f32::NAN } else { (sum / f64::from(n)) as f32 });
        let good = patterns.good.iter().filter(|good| **good).count();
        let pattern = Curve {
            title: format!("Mean of {good} patterns"),
            x: patterns.radial().centres.clone(),
            y: mean.collect(),
            x_label: patterns.radial().long_name.clone(),
            marks: vec![],
        };
        Ok(Sheet { values, pattern })
    }

    fn frame(&self, patterns: &Patterns, frame: usize) -> anyhow::Result<Curve> {
        let row = patterns.frames.iter().position(|f| *f == Some(frame));
        let row = row.ok_or_else(|| anyhow!("--frame {frame}: the result has no such frame"))?;
        ensure!(patterns.good[row], "--frame {frame}: this frame is bad, see `xrdct info`");
        let npt = patterns.npt();
        let y = self.values[row * npt..(row + 1) * npt].to_vec();
        Ok(Curve { title: format!("Frame {frame}"), y, ..self.pattern.clone() })
    }

    /// The mean above all patterns, as far as there are any: the last lines of a map may have none.
    pub fn patterns(&self, patterns: &Patterns, look: Look, size: [f64; 2]) -> Result<Svg, Failure> {
        let rows = patterns.good.iter().rposition(|good| *good).map_or(patterns.rows(), |last| last + 1);
        let all = Map {
            title: "All patterns".into(),
            values: self.values[..rows * patterns.npt()].to_vec(),
            x: self.pattern.x.clone(),
            y: (0..rows).map(|i| i as f64).collect(),
            x_label: crate::picture::axis::label(&self.pattern.x_label),
            y_label: if patterns.map.is_some() { "Point of the map" } else { "Frame" }.into(),
        };
        sheet::patterns(&self.pattern, &all, look, size).or_exit(Exit::Failure)
    }
}
