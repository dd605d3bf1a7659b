//! Where the rotation axis is, in translation steps.
//!
//! * **Mass**: the centre of mass of a row is axis + x·cos ω − y·sin ω, (x, y) being the sample's: a straight fit with three
//!   unknowns, repeated with outliers weighted down (Tukey's biweight).
//! * **Mirror**: a row and the one half a turn later are mirror images about the axis: the shift at which they agree best.
//! * **Sharpness**: the axis at which the slice has the smallest sum of absolute values (Donath et al., J. Opt. Soc. Am. A 23
//!   (2006) 1048): a wrong axis smears rays outside the sample, where positive and negative parts no longer cancel.
//!
//! `auto` takes the mass where it can be trusted: every row begins and ends outside the sample, and the rows follow the fit
//! closely. Elsewhere (a truncated sample, misplaced rows) it searches by sharpness nearby; it says so when methods disagree.

use super::{Rays, Sinograms, TomoError};

/// How the axis is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CentreMethod {
    /// Mass where it can be trusted, else sharpness.
    Auto,
    /// Centre of mass of the rows.
    Mass,
    /// Rows half a turn apart.
    Mirror,
    /// Sharpness of the slice, searched around the mass's.
    Sharpness,
}

/// An axis that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Centre {
    /// Translation steps from the first.
    pub axis: f64,
    /// How it was found, and what others say: one sentence.
    pub note: String,
}

/// How far (in steps) two methods may differ before it is worth a word.
const DISAGREE: f64 = 1.0;

/// Angles that differ by half a turn within this part of a rotation step are a pair.
const PAIR: f64 = 0.3;

/// Finds the axis on the first bin of `total`, which must have no holes. `slice` reconstructs with an axis put in.
///
/// # Errors
/// [`TomoError::Impossible`] when there is nothing to see, or for [`CentreMethod::Mirror`] without pairs.
pub fn find(
    total: &Sinograms,
    method: CentreMethod,
    mut slice: impl FnMut(&Rays) -> Result<Vec<f32>, TomoError>,
) -> Result<Centre, TomoError> {
    let rays = &total.rays;
    let values = &total.values[..rays.len()];
    let found = |axis: f64, note: String| Ok(Centre { axis, note });
    let mass = by_mass(rays, values);
    let mirror = by_mirror(rays, values);
    let middle = (rays.translations as f64 - 1.0) / 2.0;
    match method {
        CentreMethod::Mass => match mass {
            Some(axis) => found(axis, format!("rotation axis at step {axis:.2}, by centre of mass")),
            None => Err(TomoError::Impossible(
                "no centre of mass can be fitted: the sinogram is empty; give the axis with --centre STEP"
                    .into(),
            )),
        },
        CentreMethod::Mirror => match mirror {
            Some(axis) => found(axis, format!("rotation axis at step {axis:.2}, by rows half a turn apart")),
            None => Err(TomoError::Impossible(
                "no two rotations are half a turn apart; choose --centre mass or sharpness".into(),
            )),
        },
        CentreMethod::Auto | CentreMethod::Sharpness => {
            let start = mass.unwrap_or(middle);
            let (axis, how) = match method == CentreMethod::Auto && mass_is_sound(rays, values) {
                true => (start, "by centre of mass".to_owned()),
                false => {
                    let reach = if method == CentreMethod::Auto { 2.0 } else { (0.2 * middle).max(2.0) };
                    let sharp = by_sharpness(rays, start, reach, &mut slice)?;
                    (sharp, format!("by sharpness around the centre of mass ({start:.2})"))
                }
            };
            let mut note = format!("rotation axis at step {axis:.2}, {how}");
            if let Some(mirror) = mirror {
                note += &format!(", rows half a turn apart say {mirror:.2}");
            }
            if (mirror.unwrap_or(start) - axis).abs() > DISAGREE {
                note += "; these disagree, look at the slices and see --centre";
            }
            found(axis, note)
        }
    }
}

/// Rows whose ends see more than this part of the brightest point are cut off.
const CUT_OFF: f32 = 0.1;

/// Rows whose centres of mass scatter more than this (steps, the middle one) about the fit are misplaced.
const SCATTER: f64 = 0.25;

/// Whether all rows hold the whole sample, and follow the fit.
fn mass_is_sound(rays: &Rays, values: &[f32]) -> bool {
    let centres = masses(rays, values);
    let Some(fit) = fit(rays, &centres) else { return false };
    let mut rest: Vec<f64> =
        rays.angles.iter().zip(&centres).map(|(a, c)| (c - seen(fit, *a)).abs()).collect();
    rest.sort_by(f64::total_cmp);
    let lowest = values.iter().copied().fold(f32::INFINITY, f32::min);
    let brightest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max) - lowest;
    let cut = |row: &[f32]| (row[0] - lowest).max(row[row.len() - 1] - lowest) > CUT_OFF * brightest;
    let cut_rows = values.chunks(rays.translations).filter(|row| cut(row)).count();
    rest[rest.len() / 2] <= SCATTER && 10 * cut_rows <= rays.angles.len()
}

/// Fit of axis + x·cos ω − y·sin ω to the rows' centres of mass.
pub fn by_mass(rays: &Rays, values: &[f32]) -> Option<f64> {
    let centres = masses(rays, values);
    fit(rays, &centres).map(|fit| fit[0])
}

/// Centre of mass of each row above what the air scatters, steps; NaN for an empty row.
pub fn masses(rays: &Rays, values: &[f32]) -> Vec<f64> {
    let air = air(rays, values);
    let centre = |row: &[f32]| {
        // Not cut off at 0: noise in the air must cancel, or it pulls every row to the middle.
        let total: f64 = row.iter().map(|v| f64::from(*v) - air).sum();
        let first: f64 = row.iter().enumerate().map(|(t, v)| t as f64 * (f64::from(*v) - air)).sum();
        if total > 0.0 { first / total } else { f64::NAN }
    };
    values.chunks(rays.translations).map(centre).collect()
}

/// What is seen beside the sample: the middle of the means of rows' ends, of the side that sees less.
fn air(rays: &Rays, values: &[f32]) -> f64 {
    let n = rays.translations;
    let edge = (n / 20).max(2).min(n);
    let middle = |side: fn(&[f32], usize) -> &[f32]| {
        let mean = |row: &[f32]| side(row, edge).iter().map(|v| f64::from(*v)).sum::<f64>() / edge as f64;
        let mut means: Vec<f64> = values.chunks(n).map(mean).collect();
        means.sort_by(f64::total_cmp);
        means.get(means.len() / 2).copied().unwrap_or(0.0)
    };
    middle(|row, edge| &row[..edge]).min(middle(|row, edge| &row[row.len() - edge..]))
}

/// Robust fit of [axis, x, y] to the rows' centres.
pub fn fit(rays: &Rays, centres: &[f64]) -> Option<[f64; 3]> {
    let mut weights: Vec<f64> = centres.iter().map(|c| f64::from(u8::from(c.is_finite()))).collect();
    let mut solution = None;
    for _ in 0..8 {
        let mut normal = [[0.0; 4]; 3];
        for ((angle, centre), weight) in
            rays.angles.iter().zip(centres).zip(&weights).filter(|(_, w)| **w > 0.0)
        {
            let (sin, cos) = angle.to_radians().sin_cos();
            let row = [1.0, cos, -sin, *centre];
            for i in 0..3 {
                (0..4).for_each(|k| normal[i][k] += weight * row[i] * row[k]);
            }
        }
        let found = solve(normal)?;
        let rest: Vec<f64> = rays.angles.iter().zip(centres).map(|(a, c)| c - seen(found, *a)).collect();
        let mut sizes: Vec<f64> = rest.iter().filter(|r| r.is_finite()).map(|r| r.abs()).collect();
        sizes.sort_by(f64::total_cmp);
        let spread = (6.0 * sizes.get(sizes.len() / 2)?).max(0.05);
        for (weight, rest) in weights.iter_mut().zip(&rest) {
            let part = if rest.is_finite() { (rest / spread).abs().min(1.0) } else { 1.0 };
            *weight = (1.0 - part * part).powi(2);
        }
        solution = Some(found);
    }
    solution.filter(|s| s.iter().all(|v| v.is_finite()))
}

/// Where a fit expects a rotation's centre of mass.
pub fn seen([axis, x, y]: [f64; 3], angle: f64) -> f64 {
    let (sin, cos) = angle.to_radians().sin_cos();
    axis + x * cos - y * sin
}

/// Gauss's elimination of three equations; `None` when they are not independent.
fn solve(mut a: [[f64; 4]; 3]) -> Option<[f64; 3]> {
    for i in 0..3 {
        let pivot = (i..3).max_by(|&p, &q| a[p][i].abs().total_cmp(&a[q][i].abs()))?;
        a.swap(i, pivot);
        if a[i][i].abs() <= 1e-9 || a[i][i].is_nan() {
            return None;
        }
        for k in (0..3).filter(|&k| k != i) {
            let factor = a[k][i] / a[i][i];
            let row = a[i];
            a[k].iter_mut().zip(row).for_each(|(value, pivot)| *value -= factor * pivot);
        }
    }
    Some([a[0][3] / a[0][0], a[1][3] / a[1][1], a[2][3] / a[2][2]])
}

/// The axis about which rows half a turn apart are mirror images; `None` without such rows.
pub fn by_mirror(rays: &Rays, values: &[f32]) -> Option<f64> {
    let n = rays.translations;
    let mut sorted = rays.angles.clone();
    sorted.sort_by(f64::total_cmp);
    let steps: Vec<f64> = sorted.windows(2).map(|pair| pair[1] - pair[0]).filter(|s| *s > 1e-6).collect();
    let near = PAIR * steps.iter().copied().fold(f64::INFINITY, f64::min);
    let mut pairs = Vec::new();
    for (i, a) in rays.angles.iter().enumerate() {
        for (k, b) in rays.angles.iter().enumerate().skip(i + 1) {
            if ((b - a).rem_euclid(360.0) - 180.0).abs() <= near {
                pairs.push((&values[i * n..][..n], &values[k * n..][..n]));
            }
        }
    }
    if pairs.is_empty() {
        return None;
    }
    // b(t) = a(2·axis − t): the correlation for every sum 2·axis, then the top of a parabola.
    let score = |sum: i64| -> f64 {
        let mean: f64 = pairs.iter().map(|(a, b)| mirrored(a, b, sum)).sum();
        mean / pairs.len() as f64
    };
    let from = n as i64 / 2;
    let scores: Vec<f64> = (from..=2 * (n as i64 - 1) - from).map(score).collect();
    let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]))?;
    Some((from as f64 + best as f64 + top(&scores, best)) / 2.0)
}

/// Correlation of `a` mirrored about sum/2 with `b`, where both were measured; −1 when they hardly overlap.
fn mirrored(a: &[f32], b: &[f32], sum: i64) -> f64 {
    let n = a.len() as i64;
    let places = (0..n).filter(|t| (0..n).contains(&(sum - t)));
    let pairs: Vec<(f64, f64)> =
        places.map(|t| (f64::from(a[(sum - t) as usize]), f64::from(b[t as usize]))).collect();
    if (pairs.len() as i64) < n / 2 {
        return -1.0;
    }
    correlation(pairs.iter().copied())
}

/// Pearson's correlation; 0 when one side is constant.
pub fn correlation(pairs: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let (count, a, b) = pairs.clone().fold((0.0, 0.0, 0.0), |(n, a, b), (x, y)| (n + 1.0, a + x, b + y));
    let (a, b) = (a / count, b / count);
    let (aa, bb, ab) = pairs.fold((0.0, 0.0, 0.0), |(aa, bb, ab), (x, y)| {
        (aa + (x - a).powi(2), bb + (y - b).powi(2), ab + (x - a) * (y - b))
    });
    if aa > 0.0 && bb > 0.0 { ab / (aa * bb).sqrt() } else { 0.0 }
}

/// Top of the parabola through a value and its neighbours, from −½ to ½.
fn top(values: &[f64], best: usize) -> f64 {
    if best == 0 || best + 1 >= values.len() {
        return 0.0;
    }
    let (a, b, c) = (values[best - 1], values[best], values[best + 1]);
    let bend = a - 2.0 * b + c;
    if bend.abs() > 0.0 { (0.5 * (a - c) / bend).clamp(-0.5, 0.5) } else { 0.0 }
}

/// The axis with the smallest sum of absolute values, within `reach` steps: half a step at a time, then a twentieth.
fn by_sharpness(
    rays: &Rays,
    start: f64,
    reach: f64,
    slice: &mut impl FnMut(&Rays) -> Result<Vec<f32>, TomoError>,
) -> Result<f64, TomoError> {
    let mut search = |centre: f64, reach: f64, step: f64| -> Result<f64, TomoError> {
        let half = (reach / step).round() as i64;
        let mut scores = Vec::new();
        for i in -half..=half {
            let pixels = slice(&Rays { axis: centre + i as f64 * step, ..rays.clone() })?;
            scores.push(-pixels.iter().map(|v| f64::from(v.abs())).sum::<f64>());
        }
        let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap_or(0);
        Ok(centre + (best as f64 - half as f64 + top(&scores, best)) * step)
    };
    let coarse = search(start, reach, 0.5)?;
    search(coarse, 0.5, 0.1)
}
