//! Pictures of a tomogram.

use std::path::Path;

use anyhow::{Context, anyhow, bail, ensure};

use super::{PlotArgs, What, bin};
use crate::cli::exit::{Exit, Failure, OrExit};
use crate::cli::words::with_unit;
use crate::output::result::range_in_words;
use crate::output::tomogram::Tomogram;
use crate::picture::axis::label;
use crate::picture::curve::Mark;
use crate::picture::sheet::{self, Curve, Look, Map, RegionMaps, SectorMaps};
use crate::picture::svg::Svg;
use crate::simulate::truth::TrueMaps;

/// Draws `what` of a tomogram.
pub(super) fn draw(args: &PlotArgs, what: What, look: Look, size: [f64; 2]) -> Result<Svg, Failure> {
    let tomo = Tomogram::open(&args.input).or_exit(Exit::Input)?;
    let sector = sector(args, &tomo).or_exit(Exit::Usage)?;
    match what {
        What::Overview => overview(&tomo, sector, args.truth.as_deref(), look),
        What::Pattern => Ok(sheet::one_pattern(&mean_of(&tomo, sector.unwrap_or(0)), look, size)),
        What::Sinogram | What::Tomogram => {
            let chosen = Chosen::of(args, &tomo).or_exit(Exit::Usage)?;
            let map = chosen.map(&tomo, sector.unwrap_or(0), what == What::Sinogram).or_exit(Exit::Input)?;
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

    fn map(&self, tomo: &Tomogram, sector: usize, sinogram: bool) -> anyhow::Result<Map> {
        let layout = &tomo.layout;
        let (name, values) = match *self {
            Chosen::Bin(bin) => {
                let number = layout.bin(sector, bin);
                let values = if sinogram { tomo.sinogram(number)? } else { tomo.slice(number)? };
                let axis = &layout.axis;
                (with_unit(format!("{} = {:.5}", axis.name, axis.centres[bin]), &axis.unit), values)
            }
            Chosen::Region(region) => {
                let images = tomo.region(layout.picture(sector, region))?;
                let values = if sinogram { images.sinogram } else { images.tomogram };
                (layout.regions[region].name.clone(), values)
            }
        };
        let name = name + &place_of(tomo, sector);
        Ok(if sinogram { sinogram_map(tomo, &name, values) } else { slice_map(tomo, &name, values) })
    }
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

/// The number of the sector that is asked for.
fn sector(args: &PlotArgs, tomo: &Tomogram) -> anyhow::Result<Option<usize>> {
    let sectors = &tomo.layout.sectors;
    let number = match args.sector[..] {
        [] => return Ok(None),
        _ if sectors.is_empty() => bail!("--sector: the tomogram is of all azimuth; make one with --sectors"),
        [number] => number,
        _ => bail!("--sector: of a tomogram it is one number, that of the sector"),
    };
    let is_there = number.fract() == 0.0 && (0.0..sectors.len() as f64).contains(&number);
    ensure!(
        is_there,
        "--sector {number}: there are {}",
        (0..sectors.len()).map(|n| numbered(tomo, n)).collect::<Vec<_>>().join(", ")
    );
    Ok(Some(number as usize))
}

/// `2 (χ 10 … 20°)`
fn numbered(tomo: &Tomogram, sector: usize) -> String {
    format!("{sector} ({})", range_in_words(tomo.layout.sectors[sector]))
}

/// `, χ 10 … 20°`; nothing of a tomogram of all azimuth.
fn place_of(tomo: &Tomogram, sector: usize) -> String {
    tomo.layout
        .sectors
        .get(sector)
        .map_or_else(String::new, |bounds| format!(", {}", range_in_words(*bounds)))
}

/// The mean pattern of a sector; NaN where the file has none.
fn mean_values(tomo: &Tomogram, sector: usize) -> Vec<f32> {
    let npt = tomo.layout.axis.centres.len();
    let mean = tomo.layout.mean.get(sector * npt..(sector + 1) * npt);
    mean.map_or_else(|| vec![f32::NAN; npt], <[f32]>::to_vec)
}

fn mean_of(tomo: &Tomogram, sector: usize) -> Curve {
    let layout = &tomo.layout;
    let mark =
        |r: &crate::output::tomogram::RegionEntry| Mark { from: r.from, to: r.to, name: r.name.clone() };
    Curve {
        title: "Mean pattern".to_owned() + &place_of(tomo, sector),
        x: layout.axis.centres.clone(),
        y: mean_values(tomo, sector),
        x_label: layout.axis.long_name.clone(),
        marks: layout.regions.iter().map(mark).collect(),
    }
}

/// The overview of a tomogram: of one sector, or of all beside each other where there are some.
pub(in crate::cli) fn overview(
    tomo: &Tomogram,
    sector: Option<usize>,
    truth: Option<&Path>,
    look: Look,
) -> Result<Svg, Failure> {
    let layout = &tomo.layout;
    let sector = match sector {
        None if !layout.sectors.is_empty() => return all_sectors(tomo, look),
        chosen => chosen.unwrap_or(0),
    };
    let mut regions = Vec::new();
    for (i, region) in layout.regions.iter().enumerate() {
        let images = tomo.region(layout.picture(sector, i)).or_exit(Exit::Input)?;
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
    let title = title(tomo) + &place_of(tomo, sector);
    sheet::overview(&title, &remarks(tomo), &mean_of(tomo, sector), &regions, look).or_exit(Exit::Failure)
}

/// Sectors that are drawn beside each other, at most.
const MOST_SECTORS: usize = 24;

/// The overview of all sectors: their mean patterns, and of each region the slice of every one.
fn all_sectors(tomo: &Tomogram, look: Look) -> Result<Svg, Failure> {
    let layout = &tomo.layout;
    let count = layout.sectors.len();
    let apart = count.div_ceil(MOST_SECTORS);
    let mut remarks = remarks(tomo);
    if apart > 1 {
        remarks.push(format!("slices of every {apart}. of {count} sectors; plot --sector N draws any"));
    }
    let axis = &layout.axis;
    let means = Map {
        title: "Mean pattern of each sector".into(),
        values: (0..count).flat_map(|sector| mean_values(tomo, sector)).collect(),
        x: axis.centres.clone(),
        y: (0..count).map(|sector| sector as f64).collect(),
        x_label: label(&axis.long_name),
        y_label: "Sector".into(),
    };
    let mut regions = Vec::new();
    for (i, region) in layout.regions.iter().enumerate() {
        let slice = |sector: usize| -> anyhow::Result<Map> {
            let values = tomo.region(layout.picture(sector, i))?.tomogram;
            Ok(Map { title: numbered(tomo, sector), ..slice_map(tomo, "", values) })
        };
        let tomograms =
            (0..count).step_by(apart).map(slice).collect::<anyhow::Result<_>>().or_exit(Exit::Input)?;
        regions.push(SectorMaps { name: region.name.clone(), tomograms });
    }
    sheet::sectors(&title(tomo), &remarks, &means, &regions, look).or_exit(Exit::Failure)
}

/// What the tomogram is of.
fn title(tomo: &Tomogram) -> String {
    let layout = &tomo.layout;
    let name = Path::new(&layout.input)
        .file_name()
        .map_or(layout.input.clone(), |n| n.to_string_lossy().into_owned());
    format!("{name}: {} rotations × {} translations", layout.rotation.len(), layout.translation.len())
}

fn remarks(tomo: &Tomogram) -> Vec<String> {
    tomo.layout.repairs.iter().filter(|r| !r.starts_with("no --region")).cloned().collect()
}

/// The true map of a phase, when the file has one of that name and size, and its correlation with a slice.
fn true_map(path: &Path, name: &str, tomo: &Tomogram, slice: &[f32]) -> anyhow::Result<Option<(Map, f64)>> {
    let truth = TrueMaps::open(path).with_context(|| format!("--truth {}", path.display()))?;
    let shape = [tomo.layout.y.len(), tomo.layout.x.len()];
    let Some((values, correlation)) = truth.beside(name, shape, slice)? else { return Ok(None) };
    Ok(Some((Map { title: format!("{name}: truth"), ..slice_map(tomo, name, values) }, correlation)))
}
