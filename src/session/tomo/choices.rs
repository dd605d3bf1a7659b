//! What the options mean for a scan: which bins, which monitor, which slices, which axis, which regions.

use std::ops::Range;

use super::columns;
use super::options::{Algorithm, FilterName, TomoOptions};
use crate::geometry::letters::ends;
use crate::output::result::{BinAxis, Patterns};
use crate::session::error::{Concern, OrAbout, SessionError, refuse};
use crate::source::monitor::FACTOR;
use crate::tomo::centre::{self, CentreMethod};
use crate::tomo::filter::Filter;
use crate::tomo::region::Region;
use crate::tomo::{
    Grid, HostReconstructor, Method, Rays, Reconstruction, Reconstructor, Sinograms, TomoError,
};

/// Regions that are looked at when nobody names one.
const SUGGESTED_REGIONS: usize = 3;

/// The bins that are asked for.
pub(super) fn bins(options: &TomoOptions, patterns: &Patterns) -> Result<Range<usize>, SessionError> {
    let centres = &patterns.radial().centres;
    let [low, high] = options.radial_range[..] else { return Ok(0..centres.len()) };
    let inside: Vec<usize> = (0..centres.len()).filter(|&i| (low..=high).contains(&centres[i])).collect();
    match (inside.first(), inside.last()) {
        (Some(first), Some(last)) => Ok(*first..last + 1),
        _ => {
            let BinAxis { name, unit, .. } = patterns.radial();
            let ends = ends(name, centres, unit).unwrap_or_default();
            refuse!(Usage, "--radial-range {low} {high}: no bin lies in it; they go from {ends}")
        }
    }
}

/// What each row is multiplied by: mean monitor / its monitor.
pub(super) fn monitor(source: &str, patterns: &Patterns) -> Result<Vec<f32>, SessionError> {
    if patterns.number(FACTOR).is_some() {
        refuse!(
            Usage,
            "--monitor {source}: the frames were divided by their monitor when they were integrated; it is not done twice"
        );
    }
    let values = columns::each(source, "--monitor", patterns).or_about(Concern::Usage)?;
    let known: Vec<f64> = (0..values.len()).filter(|&r| patterns.good[r]).map(|r| values[r]).collect();
    if let Some(value) = known.iter().find(|v| !(v.is_finite() && **v > 0.0)) {
        refuse!(
            Usage,
            "--monitor {source}: a good frame has the value {value}, which nothing can be divided by"
        );
    }
    let mean = known.iter().sum::<f64>() / known.len() as f64;
    Ok(values.into_iter().map(|v| (mean / v) as f32).collect())
}

/// What is to be reconstructed of these rays, and how; the rotation axis is still where they have it.
pub(super) fn reconstruction(options: &TomoOptions, rays: Rays) -> Reconstruction {
    let side = options.size.unwrap_or(rays.translations);
    let pixel = options.pixel_size.unwrap_or(1.0);
    let corner = -(side as f64 - 1.0) / 2.0 * pixel;
    let filter = match options.filter.unwrap_or(FilterName::Ramp) {
        FilterName::Ramp => Filter::Ramp,
        FilterName::SheppLogan => Filter::SheppLogan,
        FilterName::Cosine => Filter::Cosine,
        FilterName::Hamming => Filter::Hamming,
        FilterName::Hann => Filter::Hann,
        FilterName::None => Filter::None,
    };
    let method = match options.algorithm.unwrap_or(Algorithm::Fbp) {
        Algorithm::Fbp => Method::Fbp { filter },
        Algorithm::Sirt => Method::Sirt {
            iterations: options.iterations.unwrap_or(100),
            non_negative: options.negative != Some(true),
        },
        Algorithm::Mlem => Method::Mlem { iterations: options.iterations.unwrap_or(30) },
    };
    let grid = Grid { x0: corner, y0: corner, pixel, ..Grid::square(side) };
    Reconstruction { rays, grid, method, circle: options.no_circle != Some(true) }
}

/// Where the rotation axis is, and how that is known.
pub(super) fn axis(
    options: &TomoOptions,
    total: &Sinograms,
    wanted: &Reconstruction,
) -> Result<(f64, String), SessionError> {
    let shift = options.centre_shift.unwrap_or(0.0);
    let method = match options.centre.as_deref().unwrap_or("auto") {
        "auto" => CentreMethod::Auto,
        "mass" => CentreMethod::Mass,
        "mirror" => CentreMethod::Mirror,
        "sharpness" => CentreMethod::Sharpness,
        word => match word.parse::<f64>() {
            Ok(step) if step.is_finite() => {
                return Ok((step + shift, format!("rotation axis at step {:.2}, as asked", step + shift)));
            }
            _ => {
                refuse!(Usage, "--centre {word}: choose auto, mass, mirror, sharpness or a translation step")
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
    let found = centre::find(total, method, slice).or_about(Concern::Input)?;
    let added = if shift == 0.0 { String::new() } else { format!(", and {shift:+} as asked") };
    Ok((found.axis + shift, found.note + &added))
}

/// The regions that are named, or the strongest peaks of the mean pattern within `bins`; `centres` and `mean` are of all bins.
pub(super) fn regions(
    options: &TomoOptions,
    centres: &[f64],
    mean: &[f32],
    bins: &Range<usize>,
    notes: &mut Vec<String>,
) -> Result<Vec<Region>, SessionError> {
    let mut regions = match options.region.is_empty() {
        false => {
            let named: Result<_, TomoError> = options.region.iter().map(|text| Region::parse(text)).collect();
            named.or_about(Concern::Usage)?
        }
        true => {
            let found = Region::suggest(&centres[bins.clone()], &mean[bins.clone()], SUGGESTED_REGIONS);
            notes.push(format!("no --region was named: the {} strongest peaks are taken", found.len()));
            found
        }
    };
    regions.sort_by(|a, b| a.from.total_cmp(&b.from).then_with(|| a.name.cmp(&b.name)));
    for (i, region) in regions.iter().enumerate() {
        region.weights(centres).or_about(Concern::Usage)?;
        if regions[..i].iter().any(|r| r.name == region.name) {
            refuse!(Usage, "--region: two are called `{}`", region.name);
        }
    }
    if options.regions_only == Some(true) && regions.is_empty() {
        refuse!(Usage, "--regions-only: there is no region; name one with --region NAME=LOW:HIGH");
    }
    Ok(regions)
}
