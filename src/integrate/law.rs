//! What a bin makes of its pixels, said as simply as it can be: one frame, one bin, one pixel after the other, in `f64`.
//!
//! This is the definition; whatever else integrates is a claim about it, to the bit. Pixels ascend within a bin. A pixel has a weight
//! c, a norm, signal = raw − dark and a variance; ω = c·norm, b = signal / norm. Sums are S = Σ c·signal, V = Σ c²·var, N = Σ ω, N₂ = Σ ω² and
//! C = Σ c over the pixels that count. It is slow.

use std::cmp::Ordering;

use super::engine::Recipe;
use super::pattern::Sums;
use super::reduction::{ErrorModel, ExactShares, Statistic, chauvenet};
use crate::frame::Norms;

/// A pixel of a bin in one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pixel {
    weight: f64,
    norm: f64,
    signal: f64,
    variance: f64,
}

/// S, V, N, N₂, C.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Five {
    signal: f64,
    variance: f64,
    normalization: f64,
    normalization_squared: f64,
    count: f64,
}

/// The sums of a frame whose decoded pixels are `raw`; those at or above `cutoff` are saturated.
///
/// # Panics
/// When the recipe's arrays or the frame are too short for its matrix.
pub fn sums(recipe: &Recipe, raw: &[f32], cutoff: f32) -> Sums {
    let bins: Vec<Five> = (0..recipe.csr.bins()).map(|bin| five(recipe, raw, cutoff, bin)).collect();
    let all = |of: fn(&Five) -> f64| bins.iter().map(of).collect::<Vec<f64>>();
    let norms = Norms {
        normalization: all(|five| five.normalization),
        normalization_squared: all(|five| five.normalization_squared),
        count: all(|five| five.count),
    };
    let variance = recipe.reduction.errors.has_variance().then(|| all(|five| five.variance));
    let chosen = recipe.reduction.statistic.chooses();
    Sums { signal: all(|five| five.signal), variance, norms: norms.into(), chosen }
}

/// The valid pixels of a bin.
fn pixels(recipe: &Recipe, raw: &[f32], cutoff: f32, bin: usize) -> Vec<Pixel> {
    let (indices, weights) = recipe.csr.row(bin);
    let pixel = |(pixel, weight): (&u32, &f32)| {
        let at = *pixel as usize;
        let count = raw[at];
        let is_dummy = recipe.dummy.is_some_and(|dummy| match dummy.delta as f32 {
            0.0 => count == dummy.value as f32,
            delta => (count - dummy.value as f32).abs() <= delta,
        });
        let is_out = recipe.saturation.masked && count >= cutoff;
        if *weight == 0.0 || !recipe.is_valid(at) || !count.is_finite() || is_dummy || is_out {
            return None;
        }
        let signal = recipe.dark.as_ref().map_or(count, |dark| count - dark[at]);
        let variance = match &recipe.reduction.errors {
            ErrorModel::None | ErrorModel::Azimuthal => 0.0,
            ErrorModel::Poisson | ErrorModel::Hybrid => count.max(1.0),
            ErrorModel::Variance(image) => image[at],
        };
        Some(Pixel {
            weight: f64::from(*weight),
            norm: f64::from(recipe.normalization[at]),
            signal: f64::from(signal),
            variance: f64::from(variance),
        })
    };
    indices.iter().zip(weights).filter_map(pixel).collect()
}

fn five(recipe: &Recipe, raw: &[f32], cutoff: f32, bin: usize) -> Five {
    let (pixels, errors) = (pixels(recipe, raw, cutoff, bin), &recipe.reduction.errors);
    let five = match recipe.reduction.statistic {
        Statistic::Mean => sum(&pixels, *errors == ErrorModel::Azimuthal),
        Statistic::Clip { cutoff, cycles } => clip(pixels, errors, cutoff, cycles),
        Statistic::Quantile { from, to } => {
            let chosen = between(&pixels, shares(recipe, bin), from, to);
            Five { count: chosen.len() as f64, ..sum(&chosen, false) }
        }
    };
    // Pixels that count the same differ by nothing; rounding may make that a little less.
    Five { variance: if five.variance < 0.0 { 0.0 } else { five.variance }, ..five }
}

/// The sums of pixels; with azimuthal variance that of pyFAI's formula, V += ω²·(m − b)·(m′ − b), with the mean before a pixel and with it.
fn sum(pixels: &[Pixel], is_azimuthal: bool) -> Five {
    let mut five = Five::default();
    for (at, Pixel { weight, norm, signal, variance }) in pixels.iter().enumerate() {
        let (w, b) = (weight * norm, signal / norm);
        let mean = five.signal / five.normalization;
        five.signal += weight * signal;
        five.normalization += w;
        five.normalization_squared += w * w;
        five.count += weight;
        if !is_azimuthal {
            five.variance += weight * weight * variance;
        } else if at > 0 {
            five.variance += w * w * (mean - b) * (five.signal / five.normalization - b);
        }
    }
    five
}

/// Throws out what is further from the mean than it may, until nothing is, or so many times.
fn clip(mut pixels: Vec<Pixel>, errors: &ErrorModel, cutoff: f64, cycles: u32) -> Five {
    let is_azimuthal = matches!(errors, ErrorModel::None | ErrorModel::Azimuthal | ErrorModel::Hybrid);
    for _ in 0..cycles {
        let Five { signal, variance, normalization, normalization_squared, count } =
            sum(&pixels, is_azimuthal);
        let (mean, std) = (signal / normalization, (variance / normalization_squared).sqrt());
        let before = pixels.len();
        // Where rounding made the variance negative, nothing is further than NaN.
        pixels.retain(|p| {
            let off = (p.signal / p.norm - mean).abs().partial_cmp(&(chauvenet(cutoff, count) * std));
            off != Some(Ordering::Greater)
        });
        if pixels.len() == before {
            break;
        }
    }
    sum(&pixels, is_azimuthal && *errors != ErrorModel::Hybrid)
}

/// How the shares of a bin's pixels are added up: those of all that can be valid.
fn shares(recipe: &Recipe, bin: usize) -> ExactShares {
    let (indices, weights) = recipe.csr.row(bin);
    let entries = indices.iter().zip(weights).map(|(pixel, weight)| (*pixel as usize, *weight));
    let valid = entries.filter(|(pixel, weight)| *weight != 0.0 && recipe.is_valid(*pixel));
    ExactShares::of(valid.map(|(pixel, weight)| recipe.normalization[pixel] * weight))
}

/// The pixels between two quantiles: see `engine/gather/quantile.rs`.
fn between(pixels: &[Pixel], shares: ExactShares, from: f64, to: f64) -> Vec<Pixel> {
    let share = |pixel: &Pixel| pixel.norm as f32 * pixel.weight as f32;
    let mut order: Vec<usize> =
        (0..pixels.len()).filter(|at| shares.units(share(&pixels[*at])) > 0).collect();
    // −0 is 0.
    let b = |at: usize| pixels[at].signal as f32 / pixels[at].norm as f32 + 0.0;
    order.sort_by(|one, other| b(*one).total_cmp(&b(*other)).then(one.cmp(other)));
    let total = shares.sum(order.iter().map(|at| shares.units(share(&pixels[*at]))).sum());
    let (low, high) = ((from * total) as f32, (to * total) as f32);
    let mut sum = 0;
    let mut chosen = Vec::new();
    for at in order {
        let before = shares.sum(sum) as f32;
        sum += shares.units(share(&pixels[at]));
        let after = shares.sum(sum) as f32;
        let is_within = low <= before && after <= high;
        let is_around = low >= before && after >= high;
        if is_within || is_around {
            chosen.push(at);
        }
    }
    chosen.sort_unstable();
    chosen.into_iter().map(|at| pixels[at]).collect()
}
