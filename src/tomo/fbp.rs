//! Back-projection with linear interpolation.
//!
//! Pixel (x, y) is seen by rotation ω at u = axis + x·cos ω − y·sin ω translation steps; it collects the filtered row's value
//! there, interpolated between the two neighbours, 0 outside the row, times the angle's weight: as scikit-image's `iradon`.
//!
//! **Weights.** Half the distance to the neighbouring angles on both sides, all angles taken modulo 180°, so that they add
//! up to π/2·2 = π: uniform angles get π/n each, and a scan over 360°, with doubled ends, interleaved or with rotations
//! missing comes out right too.

use rayon::prelude::*;

use super::{GROUP, Grid, Rays};

/// Side of a tile of pixels: what a tile sees of a row, and its sums, stay in the first-level cache.
const TILE: usize = 16;

/// Angles closer than this (degrees) are the same direction, seen twice.
const SAME: f64 = 1e-6;

/// Share of each angle in the half circle, radians; they add up to π. Divided by 2: filters are twice the ramp.
pub fn weights(angles: &[f64]) -> Vec<f64> {
    let folded: Vec<f64> = angles.iter().map(|a| (a.rem_euclid(180.0) + SAME / 2.0) % 180.0).collect();
    let mut order: Vec<usize> = (0..angles.len()).collect();
    order.sort_by(|&a, &b| folded[a].total_cmp(&folded[b]));
    // Directions, each with those who look along it.
    let mut groups: Vec<(f64, Vec<usize>)> = Vec::new();
    for i in order {
        match groups.last_mut() {
            Some((angle, members)) if folded[i] - *angle < SAME => members.push(i),
            _ => groups.push((folded[i], vec![i])),
        }
    }
    let mut weights = vec![0.0; angles.len()];
    let count = groups.len();
    for (g, (angle, members)) in groups.iter().enumerate() {
        let before = groups[(g + count - 1) % count].0 - if g == 0 { 180.0 } else { 0.0 };
        let after = groups[(g + 1) % count].0 + if g + 1 == count { 180.0 } else { 0.0 };
        debug_assert!(before <= *angle && *angle <= after);
        let share = ((after - before) / 2.0).to_radians() / members.len() as f64;
        members.iter().for_each(|&i| weights[i] = share);
    }
    weights
}

/// Cosine, sine and half the weight of each rotation.
pub fn turns(rays: &Rays) -> Vec<[f32; 3]> {
    let turn = |(angle, weight): (&f64, f64)| {
        let (sin, cos) = angle.to_radians().sin_cos();
        [cos as f32, sin as f32, (weight / 2.0) as f32]
    };
    rays.angles.iter().zip(weights(&rays.angles)).map(turn).collect()
}

/// What back-projection is, in the simplest words: one bin, filtered rows `[rotation][translation]` to `[row][column]`.
pub fn back_project_reference(rays: &Rays, grid: &Grid, rows: &[f32]) -> Vec<f64> {
    let weights = weights(&rays.angles);
    let pixel = |i: usize| {
        let x = grid.x0 + (i % grid.columns) as f64 * grid.pixel;
        let y = grid.y0 + (i / grid.columns) as f64 * grid.pixel;
        let mut sum = 0.0;
        for ((row, angle), weight) in rows.chunks(rays.translations).zip(&rays.angles).zip(&weights) {
            let (sin, cos) = angle.to_radians().sin_cos();
            let u = rays.axis + x * cos - y * sin;
            let left = u.floor();
            if left >= 0.0 && u <= rays.translations as f64 - 1.0 {
                let right = (left as usize + 1).min(rays.translations - 1);
                let value =
                    f64::from(row[left as usize]) * (1.0 - (u - left)) + f64::from(row[right]) * (u - left);
                sum += weight / 2.0 * value;
            }
        }
        sum
    };
    (0..grid.pixels()).map(pixel).collect()
}

/// The same for [`GROUP`] bins side by side, on all cores: `[rotation][translation]` to `[row][column]`.
pub fn back_project(rays: &Rays, grid: &Grid, rows: &[[f32; GROUP]]) -> Vec<[f32; GROUP]> {
    let turns = turns(rays);
    let mut image = vec![[0.0; GROUP]; grid.pixels()];
    image.par_chunks_mut(TILE * grid.columns).enumerate().for_each(|(strip, pixels)| {
        let tile = |first: usize, pixels: &mut [[f32; GROUP]]| {
            let work =
                Patch { rays, grid, turns: &turns, rows, first_row: strip * TILE, first_column: first };
            work.run(pixels);
        };
        (0..grid.columns).step_by(TILE).for_each(|first| tile(first, pixels));
    });
    image
}

/// The pixels of a tile: what they share.
struct Patch<'a> {
    rays: &'a Rays,
    grid: &'a Grid,
    turns: &'a [[f32; 3]],
    rows: &'a [[f32; GROUP]],
    first_row: usize,
    first_column: usize,
}

impl Patch<'_> {
    /// Adds every rotation to the tile's pixels in `strip`, whole rows of the image.
    fn run(&self, strip: &mut [[f32; GROUP]]) {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            unsafe { self.run_avx2(strip) };
            return;
        }
        self.add(strip);
    }

    /// # Safety
    /// The processor must have AVX2.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    unsafe fn run_avx2(&self, strip: &mut [[f32; GROUP]]) {
        self.add(strip);
    }

    /// No fused multiply-add, so that the bits are the same with and without AVX2.
    #[inline(always)]
    fn add(&self, strip: &mut [[f32; GROUP]]) {
        let Grid { columns, x0, y0, pixel, .. } = *self.grid;
        let n = self.rays.translations;
        let last = (n - 1) as f32;
        let width = (columns - self.first_column).min(TILE);
        for (turn, row) in self.turns.iter().zip(self.rows.chunks_exact(n)) {
            let &[cos, sin, weight] = turn;
            let x = (x0 + self.first_column as f64 * pixel) as f32;
            for (j, line) in strip.chunks_exact_mut(columns).enumerate() {
                let y = (y0 + (self.first_row + j) as f64 * pixel) as f32;
                let start = self.rays.axis as f32 + (x * cos - y * sin);
                let step = pixel as f32 * cos;
                for (i, sums) in line[self.first_column..self.first_column + width].iter_mut().enumerate() {
                    let u = start + i as f32 * step;
                    if !(0.0..=last).contains(&u) {
                        continue;
                    }
                    let left = u as usize;
                    let right = (left + 1).min(n - 1);
                    let (near, far) = (&row[left], &row[right]);
                    let part = (u - left as f32) * weight;
                    let rest = weight - part;
                    for lane in 0..GROUP {
                        sums[lane] += near[lane] * rest + far[lane] * part;
                    }
                }
            }
        }
    }
}
