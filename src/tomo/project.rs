//! The forward projection and its exact transpose, by Joseph's method (IEEE Trans. Med. Imaging 1 (1982) 192).
//!
//! A ray is followed along the image axis that it is steeper to, one line of pixels after the other, and interpolated between
//! the two pixels it passes between. In terms of where a pixel is seen, u = axis + x·cos ω − y·sin ω, that is the weight
//!
//! ```text
//!   a(ray t, pixel) = p/c · max(0, 1 − |t − u| / (c·p))      c = max(|cos ω|, |sin ω|), p the pixel's side
//! ```
//!
//! which both directions *gather* with: no atomics, the same order always, and ⟨A·x, y⟩ = ⟨x, Aᵀ·y⟩ to rounding.

use rayon::prelude::*;

use super::{GROUP, Grid, Rays};

/// What a rotation looks like to pixels: u = origin + column·along_x + row·along_y.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// u of pixel (0, 0).
    pub origin: f32,
    /// Change of u from column to column.
    pub along_x: f32,
    /// Change of u from row to row.
    pub along_y: f32,
    /// 1 / (c·p): how fast a weight falls with |t − u|.
    pub slope: f32,
    /// p/c: the weight of a pixel that the ray meets in the middle.
    pub height: f32,
}

/// The views of all rotations.
pub fn views(rays: &Rays, grid: &Grid) -> Vec<View> {
    let view = |angle: &f64| {
        let (sin, cos) = angle.to_radians().sin_cos();
        let c = sin.abs().max(cos.abs());
        View {
            origin: (rays.axis + grid.x0 * cos - grid.y0 * sin) as f32,
            along_x: (grid.pixel * cos) as f32,
            along_y: (-grid.pixel * sin) as f32,
            slope: (1.0 / (c * grid.pixel)) as f32,
            height: (grid.pixel / c) as f32,
        }
    };
    rays.angles.iter().map(view).collect()
}

/// A·x: `[row][column]` to `[rotation][translation]`.
pub fn forward(rays: &Rays, grid: &Grid, views: &[View], image: &[[f32; GROUP]]) -> Vec<[f32; GROUP]> {
    let n = rays.translations;
    let mut rows = vec![[0.0; GROUP]; rays.len()];
    rows.par_iter_mut().enumerate().for_each(|(i, sums)| {
        let (view, t) = (&views[i / n], (i % n) as f32);
        let by_rows = view.along_x.abs() >= view.along_y.abs();
        let (lines, across, along_line, along_across) = match by_rows {
            true => (grid.rows, grid.columns, view.along_y, view.along_x),
            false => (grid.columns, grid.rows, view.along_x, view.along_y),
        };
        for line in 0..lines {
            let start = view.origin + line as f32 * along_line;
            // Where the ray crosses this line, in pixels across it.
            let crossing = ((t - start) / along_across).floor() as i64;
            for place in [crossing, crossing + 1] {
                if !(0..across as i64).contains(&place) {
                    continue;
                }
                let u = start + place as f32 * along_across;
                let weight = view.height * (1.0 - (t - u).abs() * view.slope).max(0.0);
                let (row, column) = if by_rows { (line, place as usize) } else { (place as usize, line) };
                add(sums, weight, &image[row * grid.columns + column]);
            }
        }
    });
    rows
}

/// Aᵀ·y: `[rotation][translation]` to `[row][column]`; pixels that are not kept stay 0.
pub fn backward(
    rays: &Rays,
    grid: &Grid,
    views: &[View],
    rows: &[[f32; GROUP]],
    kept: &[bool],
) -> Vec<[f32; GROUP]> {
    let n = rays.translations;
    let mut image = vec![[0.0; GROUP]; grid.pixels()];
    image.par_iter_mut().enumerate().filter(|(i, _)| kept[*i]).for_each(|(i, sums)| {
        let (row, column) = ((i / grid.columns) as f32, (i % grid.columns) as f32);
        for (view, values) in views.iter().zip(rows.chunks_exact(n)) {
            let u = view.origin + row * view.along_y + column * view.along_x;
            let reach = 1.0 / view.slope;
            let first = (u - reach).ceil().max(0.0) as usize;
            let last = (u + reach).floor().min((n - 1) as f32);
            if last < 0.0 {
                continue;
            }
            for (t, value) in values.iter().enumerate().take(last as usize + 1).skip(first) {
                let weight = view.height * (1.0 - (t as f32 - u).abs() * view.slope).max(0.0);
                add(sums, weight, value);
            }
        }
    });
    image
}

#[inline(always)]
fn add(sums: &mut [f32; GROUP], weight: f32, values: &[f32; GROUP]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value);
}
