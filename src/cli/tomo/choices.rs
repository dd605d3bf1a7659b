//! What the options of `xrdct tomo` mean for a scan: which bins, which monitor, which slices, which axis, which regions.

use std::ops::Range;

use anyhow::{anyhow, ensure};
use rayon::prelude::*;

use super::args::{Algorithm, FilterName, TomoArgs};
use super::{Study, points};
use crate::budget;
use crate::cli::exit::{Exit, Failure, OrExit};
use crate::cli::words::ends;
use crate::output::result::Patterns;
use crate::tomo::centre::{self, CentreMethod};
use crate::tomo::filter::Filter;
use crate::tomo::region::Region;
use crate::tomo::{
    Grid, HostReconstructor, Method, Rays, Reconstruction, Reconstructor, Sinograms, TomoError,
};

/// Rows that are summed up one after the other.
const TOGETHER: usize = 1024;
/// Regions that are looked at when nobody names one.
const SUGGESTED_REGIONS: usize = 3;

/// Bins outside the range that some region counts.
pub(super) fn outside(weights: &[Vec<f32>], bins: &Range<usize>) -> Vec<Range<usize>> {
    let counted = |bin: &usize| !bins.contains(bin) && weights.iter().any(|w| w[*bin] != 0.0);
    let all: Vec<usize> = (0..weights.first().map_or(0, Vec::len)).filter(counted).collect();
    all.chunk_by(|a, b| a + 1 == *b).map(|run| run[0]..run[run.len() - 1] + 1).collect()
}

/// The bins that are asked for.
pub(super) fn bins(args: &TomoArgs, patterns: &Patterns) -> anyhow::Result<Range<usize>> {
    let centres = &patterns.axis.centres;
    let [low, high] = args.radial_range[..] else { return Ok(0..centres.len()) };
    let inside: Vec<usize> = (0..centres.len()).filter(|&i| (low..=high).contains(&centres[i])).collect();
    match (inside.first(), inside.last()) {
        (Some(first), Some(last)) => Ok(*first..last + 1),
        _ => Err(anyhow!(
            "--radial-range {low} {high}: no bin lies in it; they go from {}",
            ends(&patterns.axis).unwrap_or_default()
        )),
    }
}

/// Sum of each row over the bins (NaN for bad ones and those without a number), and the mean over good rows of every bin.
pub(super) fn sums(
    patterns: &Patterns,
    whole: Option<&[f32]>,
    bins: &Range<usize>,
    chunk: usize,
) -> anyhow::Result<(Vec<f32>, Vec<f32>)> {
    let (rows, npt) = (patterns.rows(), patterns.npt());
    let mut sums = vec![0.0_f64; rows];
    let mut seen = vec![false; rows];
    budget::allow(
        format_args!("sums over {rows} rows of {npt} bins"),
        budget::bytes_of(&[rows.div_ceil(TOGETHER) + 2, npt], size_of::<f64>()),
    )?;
    // Some rows at a time on every core; how many decides the bits of the mean, and is always the same.
    let mut parts = vec![vec![0.0_f64; npt]; rows.div_ceil(TOGETHER)];
    let step = if whole.is_some() { npt } else { chunk };
    for first in (0..npt).step_by(step) {
        let range = first..(first + step).min(npt);
        let read = if whole.is_none() { patterns.read(range.clone())? } else { vec![] };
        let rows = whole.unwrap_or(&read).par_chunks(TOGETHER * range.len());
        let found = sums.par_chunks_mut(TOGETHER).zip(seen.par_chunks_mut(TOGETHER));
        let known = patterns.good.par_chunks(TOGETHER).zip(found);
        rows.zip(known).zip(&mut parts).for_each(|((rows, (good, (sums, seen))), part)| {
            let rows = rows.chunks(range.len()).zip(sums.iter_mut().zip(seen));
            for (row, (sum, seen)) in rows.zip(good).filter(|(_, good)| **good).map(|(row, _)| row) {
                for (bin, value) in range.clone().zip(row).filter(|(_, v)| v.is_finite()) {
                    part[bin] += f64::from(*value);
                    if bins.contains(&bin) {
                        *sum += f64::from(*value);
                        *seen = true;
                    }
                }
            }
        });
    }
    let mut mean = vec![0.0_f64; npt];
    parts.iter().for_each(|part| mean.iter_mut().zip(part).for_each(|(all, one)| *all += one));
    let good = patterns.good.iter().filter(|good| **good).count();
    ensure!(good > 0, "there is not one good frame in the result");
    ensure!(
        seen.contains(&true),
        "there is not one number in the bins of the {good} good frames of the result"
    );
    for (sum, _) in sums.iter_mut().zip(&seen).filter(|(_, seen)| !**seen) {
        *sum = f64::NAN;
    }
    let mean = mean.into_iter().map(|v| (v / good as f64) as f32).collect();
    Ok((sums.into_iter().map(|v| v as f32).collect(), mean))
}

/// What each row is multiplied by: mean monitor / its monitor.
pub(super) fn monitor(source: &str, patterns: &Patterns) -> anyhow::Result<Vec<f32>> {
    let values = points::each(source, "--monitor", patterns)?;
    let known: Vec<f64> = (0..values.len()).filter(|&r| patterns.good[r]).map(|r| values[r]).collect();
    if let Some(value) = known.iter().find(|v| !(v.is_finite() && **v > 0.0)) {
        return Err(anyhow!(
            "--monitor {source}: a good frame has the value {value}, which nothing can be divided by"
        ));
    }
    let mean = known.iter().sum::<f64>() / known.len() as f64;
    Ok(values.into_iter().map(|v| (mean / v) as f32).collect())
}

pub(super) fn reconstruction(args: &TomoArgs, rays: Rays) -> Reconstruction {
    let side = args.size.unwrap_or(rays.translations);
    let pixel = args.pixel_size.unwrap_or(1.0);
    let corner = -(side as f64 - 1.0) / 2.0 * pixel;
    let filter = match args.filter.unwrap_or(FilterName::Ramp) {
        FilterName::Ramp => Filter::Ramp,
        FilterName::SheppLogan => Filter::SheppLogan,
        FilterName::Cosine => Filter::Cosine,
        FilterName::Hamming => Filter::Hamming,
        FilterName::Hann => Filter::Hann,
        FilterName::None => Filter::None,
    };
    let method = match args.algorithm.unwrap_or(Algorithm::Fbp) {
        Algorithm::Fbp => Method::Fbp { filter },
        Algorithm::Sirt => Method::Sirt {
            iterations: args.iterations.unwrap_or(100),
            non_negative: args.negative != Some(true),
        },
        Algorithm::Mlem => Method::Mlem { iterations: args.iterations.unwrap_or(30) },
    };
    let grid = Grid { x0: corner, y0: corner, pixel, ..Grid::square(side) };
    Reconstruction { rays, grid, method, circle: args.no_circle != Some(true) }
}

/// Where the rotation axis is, and how that is known.
pub(super) fn axis(
    args: &TomoArgs,
    total: &Sinograms,
    wanted: &Reconstruction,
) -> Result<(f64, String), Failure> {
    let shift = args.centre_shift.unwrap_or(0.0);
    let method = match args.centre.as_deref().unwrap_or("auto") {
        "auto" => CentreMethod::Auto,
        "mass" => CentreMethod::Mass,
        "mirror" => CentreMethod::Mirror,
        "sharpness" => CentreMethod::Sharpness,
        word => match word.parse::<f64>() {
            Ok(step) if step.is_finite() => {
                return Ok((step + shift, format!("rotation axis at step {:.2}, as asked", step + shift)));
            }
            _ => {
                return Err(anyhow!(
                    "--centre {word}: choose auto, mass, mirror, sharpness or a translation step"
                ))
                .or_exit(Exit::Usage);
            }
        },
    };
    let square = Grid::square(wanted.rays.translations);
    let slice = |rays: &Rays| -> Result<Vec<f32>, TomoError> {
        let method = Method::Fbp { filter: Filter::Ramp };
        let trial = Reconstruction { rays: rays.clone(), grid: square.clone(), method, circle: false };
        let mut reconstructor = HostReconstructor::new(&trial)?;
        let mut image = vec![0.0; square.pixels()];
        reconstructor
            .reconstruct(&total.values, &mut image)
            .map_err(|e| TomoError::Impossible(e.to_string()))?;
        Ok(image)
    };
    let found = centre::find(total, method, slice).or_exit(Exit::Input)?;
    let added = if shift == 0.0 { String::new() } else { format!(", and {shift:+} as asked") };
    Ok((found.axis + shift, found.note + &added))
}

/// The regions that are named, or the strongest peaks.
pub(super) fn regions(args: &TomoArgs, scan: &Study, notes: &mut Vec<String>) -> anyhow::Result<Vec<Region>> {
    let centres = &scan.axis().centres;
    let mut regions = match args.region.is_empty() {
        false => args.region.iter().map(|text| Region::parse(text)).collect::<Result<Vec<_>, _>>()?,
        true => {
            let range = scan.bins.clone();
            let found = Region::suggest(&centres[range.clone()], &scan.mean[range], SUGGESTED_REGIONS);
            notes.push(format!("no --region was named: the {} strongest peaks are taken", found.len()));
            found
        }
    };
    regions.sort_by(|a, b| a.from.total_cmp(&b.from).then_with(|| a.name.cmp(&b.name)));
    for (i, region) in regions.iter().enumerate() {
        region.weights(centres)?;
        ensure!(
            regions[..i].iter().all(|r| r.name != region.name),
            "--region: two are called `{}`",
            region.name
        );
    }
    ensure!(
        !(args.regions_only == Some(true) && regions.is_empty()),
        "--regions-only: there is no region; name one with --region NAME=LOW:HIGH"
    );
    Ok(regions)
}
