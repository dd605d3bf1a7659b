//! What single crystals and gamma rays leave in a frame of powder rings, and the mean of a bin takes for intensity.
//!
//! A **spot** lies on a ring of what is in the beam: a few pixels wide, ten to three hundred times as strong as the powder there. A **hit**
//! is a short track of pixels anywhere. Both are others in every frame, as a crystal reflects at one rotation only.

use std::collections::HashSet;

use super::poisson::{Draws, Level};
use super::scene::COUNT_CUTOFF;
use crate::frame::Shape;

/// How many there are in each frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Strays {
    /// Spots of single crystals.
    pub spots: usize,
    /// Tracks of gamma rays.
    pub hits: usize,
    /// Where the random numbers start.
    pub seed: u64,
}

/// What makes the stream of random numbers another one than that of the frame's noise.
const STREAM: u64 = 0x5b07_5000_0000_0000;
/// A spot's height over what the powder has there, evenly in its logarithm.
const SPOT_HEIGHTS: [f64; 2] = [10.0, 300.0];
/// A spot's width: the standard deviation, pixels; and how far it reaches.
const SPOT_WIDTH: f64 = 1.2;
const SPOT_REACH: isize = 4;
/// Places that are tried for a spot before there is none.
const TRIES: usize = 10_000;
/// Counts of a pixel that a gamma ray met, evenly in their logarithm.
const HIT_COUNTS: [f64; 2] = [1e3, 1e5];
/// Longest track, pixels.
const LONGEST_HIT: usize = 6;

impl Strays {
    /// Adds those of frame `index` to its counts; `levels` are what is expected without them, but of `hot` pixels.
    pub(super) fn add(
        self,
        index: usize,
        shape: Shape,
        levels: &[Level],
        hot: &HashSet<usize>,
        pixels: &mut [i32],
    ) {
        if self.spots == 0 && self.hits == 0 {
            return;
        }
        let mut stream = Draws::new(self.seed ^ STREAM, index as u64);
        let powder = levels.iter().enumerate().filter(|(pixel, _)| !hot.contains(pixel));
        let highest = powder.map(|(_, level)| level.expected()).fold(0.0, f64::max);
        for _ in 0..self.spots {
            let mut place = || {
                let pixel = stream.below(levels.len());
                // Where there is more powder there are more of its grains.
                let share = levels[pixel].expected() / highest;
                (stream.unit() < share && !hot.contains(&pixel)).then_some(pixel)
            };
            let Some(pixel) = (0..TRIES).find_map(|_| place()) else { break };
            let [low, high] = SPOT_HEIGHTS;
            let height = levels[pixel].expected() * low * (high / low).powf(stream.unit());
            for (y, x) in around(SPOT_REACH) {
                let distance = (y * y + x * x) as f64;
                let counts = height * (-distance / (2.0 * SPOT_WIDTH * SPOT_WIDTH)).exp();
                count(shape, pixel, y, x, counts, pixels);
            }
        }
        for _ in 0..self.hits {
            let pixel = stream.below(levels.len());
            let (sine, cosine) = (stream.unit() * std::f64::consts::TAU).sin_cos();
            let [low, high] = HIT_COUNTS;
            for step in 0..=stream.below(LONGEST_HIT) {
                let counts = low * (high / low).powf(stream.unit());
                let along = |direction: f64| (step as f64 * direction).round() as isize;
                count(shape, pixel, along(sine), along(cosine), counts, pixels);
            }
        }
    }
}

/// Steps to all pixels so far away in rows and columns.
fn around(reach: isize) -> impl Iterator<Item = (isize, isize)> {
    (-reach..=reach).flat_map(move |y| (-reach..=reach).map(move |x| (y, x)))
}

/// Adds counts to the pixel so many rows and columns from another one, if there is one.
fn count(shape: Shape, from: usize, y: isize, x: isize, counts: f64, pixels: &mut [i32]) {
    let row = (from / shape.fast).checked_add_signed(y).filter(|row| *row < shape.slow);
    let column = (from % shape.fast).checked_add_signed(x).filter(|column| *column < shape.fast);
    if let (Some(row), Some(column)) = (row, column) {
        let pixel = &mut pixels[row * shape.fast + column];
        *pixel = pixel.saturating_add(counts as i32).min(COUNT_CUTOFF);
    }
}
