//! SIRT and MLEM on [`GROUP`] bins side by side; the formulas are at [`super::reconstruction::Method`].
//!
//! Rays that meet no kept pixel say nothing about the image: their rows of A are 0 and they are left out.

use super::project::{self, View};
use super::{GROUP, Grid, Rays};

/// Sums smaller than this (of weights around 1) are 0.
const NOTHING: f32 = 1e-6;

/// A with what both methods need of it.
pub struct Model<'a> {
    rays: &'a Rays,
    grid: &'a Grid,
    kept: &'a [bool],
    /// How pixels are seen by each rotation.
    pub views: Vec<View>,
    /// 1 / row sums of A, 0 where they are 0: one a ray.
    pub rows: Vec<f32>,
    /// 1 / column sums of A, 0 where they are 0: one a pixel.
    pub columns: Vec<f32>,
}

impl<'a> Model<'a> {
    /// Sums up rows and columns over the pixels that are kept.
    pub fn new(rays: &'a Rays, grid: &'a Grid, kept: &'a [bool]) -> Model<'a> {
        let views = project::views(rays, grid);
        let ones: Vec<[f32; GROUP]> = kept.iter().map(|&kept| [f32::from(u8::from(kept)); GROUP]).collect();
        let inverse = |sums: Vec<[f32; GROUP]>| {
            sums.iter().map(|sum| if sum[0] > NOTHING { 1.0 / sum[0] } else { 0.0 }).collect()
        };
        let rows = inverse(project::forward(rays, grid, &views, &ones));
        let columns = inverse(project::backward(rays, grid, &views, &vec![[1.0; GROUP]; rays.len()], kept));
        Model { rays, grid, kept, views, rows, columns }
    }

    fn forward(&self, image: &[[f32; GROUP]]) -> Vec<[f32; GROUP]> {
        project::forward(self.rays, self.grid, &self.views, image)
    }

    fn backward(&self, rows: &[[f32; GROUP]]) -> Vec<[f32; GROUP]> {
        project::backward(self.rays, self.grid, &self.views, rows, self.kept)
    }
}

/// `iterations` steps from an empty image: `[rotation][translation]` to `[row][column]`.
pub fn sirt(
    rays: &Rays,
    grid: &Grid,
    measured: &[[f32; GROUP]],
    kept: &[bool],
    iterations: usize,
    non_negative: bool,
) -> Vec<[f32; GROUP]> {
    let model = Model::new(rays, grid, kept);
    let least = if non_negative { 0.0 } else { f32::NEG_INFINITY };
    let mut image = vec![[0.0; GROUP]; grid.pixels()];
    for _ in 0..iterations {
        let mut rest = model.forward(&image);
        for ((rest, measured), scale) in rest.iter_mut().zip(measured).zip(&model.rows) {
            rest.iter_mut().zip(measured).for_each(|(rest, measured)| *rest = (measured - *rest) * scale);
        }
        let step = model.backward(&rest);
        for ((pixel, step), scale) in image.iter_mut().zip(&step).zip(&model.columns) {
            pixel.iter_mut().zip(step).for_each(|(value, step)| *value = (*value + step * scale).max(least));
        }
    }
    image
}

/// `iterations` steps from an even image: `[rotation][translation]` to `[row][column]`.
pub fn mlem(
    rays: &Rays,
    grid: &Grid,
    measured: &[[f32; GROUP]],
    kept: &[bool],
    iterations: usize,
) -> Vec<[f32; GROUP]> {
    let model = Model::new(rays, grid, kept);
    let mut image: Vec<[f32; GROUP]> = kept.iter().map(|&kept| [f32::from(u8::from(kept)); GROUP]).collect();
    for _ in 0..iterations {
        let mut ratio = model.forward(&image);
        for ((ratio, measured), scale) in ratio.iter_mut().zip(measured).zip(&model.rows) {
            for (ratio, measured) in ratio.iter_mut().zip(measured) {
                *ratio =
                    if *scale > 0.0 && *ratio > f32::MIN_POSITIVE { measured.max(0.0) / *ratio } else { 0.0 };
            }
        }
        let step = model.backward(&ratio);
        for ((pixel, step), scale) in image.iter_mut().zip(&step).zip(&model.columns) {
            pixel.iter_mut().zip(step).for_each(|(value, step)| *value *= step * scale);
        }
    }
    image
}
