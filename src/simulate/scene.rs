//! What the detector is expected to count: images of every scattering part, gaps, bad, hot and shadowed
//! pixels.
//!
//! A [`Scene`] is made once: for each part (a powder, the glass, the air) an image of the counts that one
//! unit of it gives, with polarisation and the solid angle of each pixel in it. A frame is then a sum of
//! those images with the weights of that frame, and counts drawn around it. Bad pixels read −2, gaps and the
//! wafer joints that the detector's mask holds read −1, as DECTRIS writes them; hot pixels count by
//! themselves, whatever falls on them.

use std::collections::HashSet;

use rayon::prelude::*;

use super::error::SimulateError;
use super::pattern::Pattern1d;
use super::poisson::{Draws, Level, Sampler};
use crate::frame::Shape;

/// Counts at which the simulated detector stops: 20 bits, the Pilatus3 counter.
pub const COUNT_CUTOFF: i32 = 1_048_575;

/// Value of a pixel between modules.
pub const GAP: i32 = -1;

/// Value of a pixel that is known to be bad.
pub const BAD: i32 = -2;

/// Part of the intensity that passes the beamstop: enough to see its edge, as real ones scatter a little.
const BEHIND_BEAMSTOP: f32 = 0.01;

/// Expected counts of hot pixels lie between these, evenly in their logarithm.
const HOT_COUNTS: [f64; 2] = [1e3, 5e5];

/// Numbers of the random streams that choose pixels; frames have the small numbers.
const BAD_STREAM: u64 = u64::MAX;
const HOT_STREAM: u64 = u64::MAX - 1;

/// How each pixel sees the sample. All vectors have one value a pixel.
#[derive(Debug, Clone, PartialEq)]
pub struct SceneView {
    /// Size of the detector.
    pub shape: Shape,
    /// Scattering angle of the pixel's centre, rad.
    pub two_theta: Vec<f64>,
    /// Polarisation factor times relative solid angle.
    pub efficiency: Vec<f32>,
    /// Whether the pixel is a gap.
    pub gap: Vec<bool>,
}

impl SceneView {
    /// Smallest and largest scattering angle of pixels that count, rad; zeros when none does.
    pub fn range(&self) -> [f64; 2] {
        let seen = self.two_theta.iter().zip(&self.gap).filter(|(_, gap)| !**gap).map(|(&angle, _)| angle);
        let (low, high) = seen.fold((f64::MAX, 0.0), |(low, high), angle| (angle.min(low), angle.max(high)));
        [low.min(high), high]
    }
}

/// Pixels that do not count what falls on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Defects {
    /// How many pixels read −2.
    pub bad: usize,
    /// How many count by themselves.
    pub hot: usize,
    /// Which ones: the seed.
    pub seed: u64,
}

/// Expected images of all parts, and the pixels that do not follow them.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Size of the detector.
    pub shape: Shape,
    parts: Vec<Vec<f32>>,
    fixed: Vec<(usize, i32)>,
    hot: Vec<(usize, Level)>,
}

impl Scene {
    /// Images of `parts`, seen through `view`. Pixels nearer to the beam than `beamstop`, rad in 2θ, lie in
    /// shadow.
    ///
    /// # Errors
    /// [`SimulateError::Setting`] when there are more defects than pixels.
    pub fn new(
        view: &SceneView,
        parts: &[Pattern1d],
        beamstop: Option<f64>,
        defects: Defects,
    ) -> Result<Scene, SimulateError> {
        let shadow = beamstop.unwrap_or(0.0);
        let image = |pattern: &Pattern1d| -> Vec<f32> {
            let pixel = |(&two_theta, &efficiency): (&f64, &f32)| {
                let passes = if two_theta < shadow { BEHIND_BEAMSTOP } else { 1.0 };
                pattern.at(two_theta) * efficiency * passes
            };
            view.two_theta.par_iter().zip(&view.efficiency).map(pixel).collect()
        };
        let mut taken = view.gap.clone();
        let mut fixed: Vec<(usize, i32)> =
            taken.iter().enumerate().filter(|(_, gap)| **gap).map(|(pixel, _)| (pixel, GAP)).collect();
        let bad = choose(&mut taken, defects.bad, "bad pixels", &mut Draws::new(defects.seed, BAD_STREAM))?;
        fixed.extend(bad.into_iter().map(|pixel| (pixel, BAD)));
        let mut stream = Draws::new(defects.seed, HOT_STREAM);
        let hot = choose(&mut taken, defects.hot, "hot pixels", &mut stream)?
            .into_iter()
            .map(|pixel| {
                let [low, high] = HOT_COUNTS;
                (pixel, Level::nearest((low * (high / low).powf(stream.unit())) as f32))
            })
            .collect();
        Ok(Scene { shape: view.shape, parts: parts.iter().map(image).collect(), fixed, hot })
    }

    /// DECTRIS' and NeXus' `pixel_mask`, one value a pixel: bit 0 is a gap, bit 1 a dead pixel.
    pub fn pixel_mask(&self) -> Vec<u32> {
        let mut mask = vec![0; self.shape.pixels()];
        for &(pixel, value) in &self.fixed {
            mask[pixel] = if value == GAP { 1 } else { 1 << 1 };
        }
        mask
    }

    /// Pixels that count by themselves.
    pub fn hot(&self) -> HashSet<usize> {
        self.hot.iter().map(|(pixel, _)| *pixel).collect()
    }

    /// Expected levels of a frame in which part `i` has `weights[i]` units; `levels` has one a pixel.
    pub fn expect(&self, weights: &[f32], levels: &mut [Level]) {
        let mut sums = [0.0_f32; 512];
        for (block, levels) in levels.chunks_mut(sums.len()).enumerate() {
            let first = block * sums.len();
            let sums = &mut sums[..levels.len()];
            sums.fill(0.0);
            for (image, weight) in self.parts.iter().zip(weights) {
                for (sum, value) in sums.iter_mut().zip(&image[first..]) {
                    *sum += weight * value;
                }
            }
            for (level, sum) in levels.iter_mut().zip(sums) {
                *level = Level::nearest(*sum);
            }
        }
        for &(pixel, level) in &self.hot {
            levels[pixel] = level;
        }
    }

    /// Draws a frame around its expected levels; gaps and bad pixels are for [`Scene::overlay`].
    pub fn draw(&self, levels: &[Level], sampler: &Sampler, stream: &mut Draws, pixels: &mut [i32]) {
        for (pixel, level) in pixels.iter_mut().zip(levels) {
            *pixel = sampler.draw(*level, stream).min(COUNT_CUTOFF);
        }
    }

    /// The frame without noise: expected counts rounded to whole ones, likewise.
    pub fn round(&self, levels: &[Level], pixels: &mut [i32]) {
        for (pixel, level) in pixels.iter_mut().zip(levels) {
            *pixel = (level.expected().round() as i32).min(COUNT_CUTOFF);
        }
    }

    /// Puts gaps and bad pixels where they are.
    pub fn overlay(&self, pixels: &mut [i32]) {
        for &(pixel, value) in &self.fixed {
            pixels[pixel] = value;
        }
    }
}

/// Chooses `count` pixels that are not `taken` yet, takes them, and returns them.
fn choose(
    taken: &mut [bool],
    count: usize,
    name: &'static str,
    stream: &mut Draws,
) -> Result<Vec<usize>, SimulateError> {
    let free = taken.iter().filter(|taken| !**taken).count();
    // Half of the pixels keeps the search below short; real detectors have a few hundred bad ones.
    if count > free / 2 {
        return Err(SimulateError::Setting {
            name,
            value: count as f64,
            why: "at most half of the detector's pixels can be defective",
        });
    }
    let mut chosen = Vec::with_capacity(count);
    while chosen.len() < count {
        let pixel = stream.below(taken.len());
        if !taken[pixel] {
            taken[pixel] = true;
            chosen.push(pixel);
        }
    }
    Ok(chosen)
}
