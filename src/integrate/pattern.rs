//! From sums to a pattern: the one formula that every route ends with, and whether what comes out can be believed.
//!
//! intensity = S / (N·f), its standard error sem = √V / (N·f), the standard deviation of a pixel std = √(V / N₂) / f, f the factor of the frame, in `f64`, rounded once to `f32`; a bin with N₂ = 0 has no pixel and gets the value
//! for empty bins. Two things make a frame bad here, because a row of them would look like a measurement: not one valid pixel
//! in any bin, and a bin that has pixels but no finite value. The GPU's copy of the formula, for patterns that stay there, is
//! `cuda/integrate/keep.cu`.

use std::sync::Arc;

use crate::frame::{BadFrame, FrameHeader, FrameId, FrameStatus, Norms, Origin, Outcome, Pattern};

/// What is known of a frame beside its sums.
#[derive(Debug)]
pub struct FrameFacts<'a> {
    /// Which frame.
    pub id: FrameId,
    /// Where it came from, for messages.
    pub origin: &'a Origin,
    /// What its header said.
    pub header: FrameHeader,
    /// What its normalisation is multiplied by; N itself stays what frames share.
    pub factor: f64,
    /// How many of its pixels are saturated.
    pub saturated: u32,
}

/// The sums over a frame's valid pixels, one value a bin.
#[derive(Debug)]
pub struct Sums {
    /// S = Σ c·(raw − dark)
    pub signal: Vec<f64>,
    /// V = Σ c²·var, when an error model was asked for.
    pub variance: Option<Vec<f64>>,
    /// N, N₂ and C.
    pub norms: Arc<Norms>,
    /// Whether they are of pixels that the frame's own counts decided on: then its pattern tells how many.
    pub chosen: bool,
}

/// The pattern of a frame; `empty` is the value of bins without a pixel.
///
/// # Errors
/// The frame as a bad one: [`FrameStatus::NoPixels`] when no bin has a valid pixel, [`FrameStatus::NotFinite`] when the
/// intensity, error or deviation of a bin that has some is not a finite `f32`.
pub fn pattern(of: FrameFacts<'_>, sums: Sums, empty: f32) -> Outcome {
    let Sums { signal, variance, norms, chosen } = sums;
    let FrameFacts { id, origin, header, factor, saturated } = of;
    let bad = |status, cause: String| Err(BadFrame { id, status, message: format!("{origin}: {cause}") });
    if !(factor.is_finite() && factor > 0.0) {
        return bad(
            FrameStatus::NotFinite,
            format!("its normalisation factor is {factor}: it must be above zero"),
        );
    }
    let is_empty = |bin: usize| norms.normalization_squared[bin] <= 0.0;
    if (0..signal.len()).all(is_empty) {
        return bad(
            FrameStatus::NoPixels,
            "no valid pixel in any bin: every pixel that could count holds a dummy value or is saturated"
                .into(),
        );
    }
    let squared = &norms.normalization_squared;
    let intensity = per_bin(squared, empty, |bin| signal[bin] / (norms.normalization[bin] * factor));
    let sem = variance.as_ref().map(|variance| {
        per_bin(squared, empty, |bin| variance[bin].sqrt() / (norms.normalization[bin] * factor))
    });
    let std = variance
        .as_ref()
        .map(|variance| per_bin(squared, empty, |bin| (variance[bin] / squared[bin]).sqrt() / factor));
    for (what, values) in
        [("intensity", Some(&intensity)), ("error", sem.as_ref()), ("deviation", std.as_ref())]
    {
        let wrong = |bin: &usize| !is_empty(*bin) && values.is_some_and(|values| !values[*bin].is_finite());
        if let Some(bin) = (0..signal.len()).find(wrong) {
            let cause = format!(
                "the {what} of bin {bin} is not a finite number: it sums to {:e} and is divided by {:e}",
                signal[bin],
                norms.normalization[bin] * factor
            );
            return bad(FrameStatus::NotFinite, cause);
        }
    }
    let count = chosen.then(|| norms.count.iter().map(|count| *count as f32).collect());
    Ok(Pattern { id, header, intensity, sem, std, count, signal, variance, norms, saturated })
}

/// A value for each bin, `empty` where N₂ = 0. A loop of its own for each formula: with many bins a call for each took as long as summing them.
#[inline(always)]
fn per_bin(squared: &[f64], empty: f32, value: impl Fn(usize) -> f64) -> Vec<f32> {
    let all = squared.iter().enumerate();
    all.map(|(bin, squared)| if *squared <= 0.0 { empty } else { value(bin) as f32 }).collect()
}
