//! Pictures of a result: powder patterns, or cakes, which have an azimuthal axis beside the radial one.

use std::ops::Range;

use anyhow::{anyhow, ensure};

use super::{PlotArgs, What, bin};
use crate::cli::exit::{Exit, Failure, OrExit};
use crate::cli::say;
use crate::cli::words::with_unit;
use crate::output::result::{MeanCake, Patterns, Sector};
use crate::picture::axis::label;
use crate::picture::sheet::{self, Curve, Look, Map};
use crate::picture::svg::Svg;

/// Label of an azimuthal axis whose file has none, as pyFAI-diffmap's.
const CHI: &str = "Azimuthal angle χ (°)";

/// Draws `what` of a result.
pub(super) fn draw(args: &PlotArgs, what: What, look: Look, size: [f64; 2]) -> Result<Svg, Failure> {
    let patterns = Patterns::open(&args.input).or_exit(Exit::Input)?;
    let sector = sector(args, &patterns).or_exit(Exit::Usage)?;
    let has_cakes = patterns.azimuthal().is_some() && sector.is_none();
    match what {
        What::Overview if has_cakes => overview(&patterns, look, size),
        What::Pattern if has_cakes => cake(args.frame, &patterns, look, size),
        What::Overview | What::Patterns => {
            say_averaging(&patterns);
            Sheet::of(&patterns, sector.as_ref()).or_exit(Exit::Input)?.patterns(&patterns, look, size)
        }
        What::Pattern => {
            say_averaging(&patterns);
            let frame = args.frame.map(|frame| row_of(frame, &patterns).map(|row| (frame, row)));
            let frame = frame.transpose().or_exit(Exit::Usage)?;
            let sheet = Sheet::of(&patterns, sector.as_ref()).or_exit(Exit::Input)?;
            Ok(sheet::one_pattern(&sheet.row(frame), look, size))
        }
        What::Map => map(args, &patterns, sector.as_ref(), look, size),
        What::Sinogram | What::Tomogram => {
            Err(anyhow!("{}: patterns, no tomogram; make one with `xrdct tomo`", args.input.display()))
                .or_exit(Exit::Usage)
        }
    }
}

/// The mean pattern over the whole azimuthal axis, and below it the mean cake.
pub(in crate::cli) fn overview(patterns: &Patterns, look: Look, size: [f64; 2]) -> Result<Svg, Failure> {
    say_averaging(patterns);
    let MeanCake { cake, pattern } = patterns.mean_cake().or_exit(Exit::Input)?;
    let good = patterns.good.iter().filter(|good| **good).count();
    let curve = curve(patterns, format!("Mean of {good} patterns, all azimuth"), pattern);
    let cake = cake_map(patterns, format!("Mean of {good} cakes"), cake);
    sheet::patterns(&curve, &cake, look, size).or_exit(Exit::Failure)
}

/// The cake of a frame, or the mean of all.
fn cake(frame: Option<usize>, patterns: &Patterns, look: Look, size: [f64; 2]) -> Result<Svg, Failure> {
    let (title, values) = match frame {
        Some(frame) => {
            let row = row_of(frame, patterns).or_exit(Exit::Usage)?;
            (format!("Frame {frame}"), patterns.cake(row).or_exit(Exit::Input)?)
        }
        None => ("Mean of all cakes".into(), patterns.mean_cake().or_exit(Exit::Input)?.cake),
    };
    sheet::one_map(&cake_map(patterns, title, values), look, false, size).or_exit(Exit::Failure)
}

/// A bin over the points of a map.
fn map(
    args: &PlotArgs,
    patterns: &Patterns,
    sector: Option<&Sector>,
    look: Look,
    size: [f64; 2],
) -> Result<Svg, Failure> {
    let Some((slow, fast)) = patterns.map else {
        return Err(anyhow!("{}: no map; integrate with --slow and --fast", args.input.display()))
            .or_exit(Exit::Usage);
    };
    let chosen = bin(args, patterns.radial()).or_exit(Exit::Usage)?;
    let Some(bin) = chosen else {
        return Err(anyhow!("which bin? name it with --bin or --at")).or_exit(Exit::Usage);
    };
    say_averaging(patterns);
    let axis = patterns.radial();
    let map = Map {
        title: with_unit(format!("{} = {:.5}", axis.name, axis.centres[bin]), &axis.unit) + &in_words(sector),
        values: read(patterns, sector, bin..bin + 1).or_exit(Exit::Input)?,
        x: (0..fast).map(|i| i as f64).collect(),
        y: (0..slow).map(|i| i as f64).collect(),
        x_label: "fast".into(),
        y_label: "slow".into(),
    };
    sheet::one_map(&map, look, false, size).or_exit(Exit::Failure)
}

/// Says how azimuthal bins are averaged where some are.
fn say_averaging(patterns: &Patterns) {
    if let Some(words) = patterns.averaging() {
        say::note(&words);
    }
}

/// The sector that is asked for.
fn sector(args: &PlotArgs, patterns: &Patterns) -> anyhow::Result<Option<Sector>> {
    match (args.sector[..].as_ref(), patterns.azimuthal()) {
        ([], _) => Ok(None),
        (_, None) => Err(anyhow!("--sector: the result has no azimuthal axis; integrate with --npt-azim")),
        ([low, high], Some(axis)) => Sector::between(&axis.centres, *low, *high)
            .map(Some)
            .map_err(|cause| anyhow!("--sector {low} {high}: {cause}")),
        _ => Err(anyhow!("--sector: of a result it is LOW HIGH, degrees")),
    }
}

/// `, χ 10 … 20°`
fn in_words(sector: Option<&Sector>) -> String {
    sector.map_or_else(String::new, |sector| format!(", {}", sector.name()))
}

/// Some bins of every row: of the sector, or of the whole azimuthal axis where there is one.
fn read(patterns: &Patterns, sector: Option<&Sector>, bins: Range<usize>) -> anyhow::Result<Vec<f32>> {
    Ok(match sector {
        Some(sector) => patterns.read_sectors(std::slice::from_ref(sector), bins)?,
        None => patterns.read(bins)?,
    })
}

/// The row of a frame whose pattern is there.
fn row_of(frame: usize, patterns: &Patterns) -> anyhow::Result<usize> {
    let row = patterns.frames.iter().position(|f| *f == Some(frame));
    let row = row.ok_or_else(|| anyhow!("--frame {frame}: the result has no such frame"))?;
    ensure!(patterns.good[row], "--frame {frame}: this frame is bad, see `xrdct info`");
    Ok(row)
}

fn curve(patterns: &Patterns, title: String, y: Vec<f32>) -> Curve {
    let axis = patterns.radial();
    Curve { title, x: axis.centres.clone(), y, x_label: axis.long_name.clone(), marks: vec![] }
}

/// A cake as a picture: radial axis below, χ at the side.
fn cake_map(patterns: &Patterns, title: String, values: Vec<f32>) -> Map {
    let (radial, azimuthal) = (patterns.radial(), patterns.azimuthal());
    let chi = azimuthal.map(|axis| label(&axis.long_name)).filter(|words| !words.is_empty());
    Map {
        title,
        values,
        x: radial.centres.clone(),
        y: azimuthal.map_or_else(Vec::new, |axis| axis.centres.clone()),
        x_label: label(&radial.long_name),
        y_label: chi.unwrap_or_else(|| CHI.into()),
    }
}

/// All powder patterns of a result, or those of a sector, and their mean.
pub(in crate::cli) struct Sheet {
    values: Vec<f32>,
    mean: Curve,
    sector: String,
}

impl Sheet {
    pub(in crate::cli) fn of(patterns: &Patterns, sector: Option<&Sector>) -> anyhow::Result<Sheet> {
        let npt = patterns.npt();
        let values = read(patterns, sector, 0..npt)?;
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
        let sector = in_words(sector);
        let mean = curve(patterns, format!("Mean of {good} patterns{sector}"), mean.collect());
        Ok(Sheet { values, mean, sector })
    }

    /// The pattern of a row, or the mean.
    fn row(&self, row: Option<(usize, usize)>) -> Curve {
        let Some((frame, row)) = row else { return self.mean.clone() };
        let npt = self.mean.x.len();
        let y = self.values[row * npt..(row + 1) * npt].to_vec();
        Curve { title: format!("Frame {frame}{}", self.sector), y, ..self.mean.clone() }
    }

    /// The mean above all patterns, as far as there are any: the last lines of a map may have none.
    pub(in crate::cli) fn patterns(
        &self,
        patterns: &Patterns,
        look: Look,
        size: [f64; 2],
    ) -> Result<Svg, Failure> {
        let rows = patterns.good.iter().rposition(|good| *good).map_or(patterns.rows(), |last| last + 1);
        let all = Map {
            title: format!("All patterns{}", self.sector),
            values: self.values[..rows * patterns.npt()].to_vec(),
            x: self.mean.x.clone(),
            y: (0..rows).map(|i| i as f64).collect(),
            x_label: label(&self.mean.x_label),
            y_label: if patterns.map.is_some() { "Point of the map" } else { "Frame" }.into(),
        };
        sheet::patterns(&self.mean, &all, look, size).or_exit(Exit::Failure)
    }
}
