//! What a pixel sees of the intensity scattered towards it: solid angle, polarisation, and their product.
//!
//! One float32 a pixel, in C order. Counts are divided by the sum of these, so a correction is a *normalisation*.
//! The formulas and roundings are pyFAI's: solid angle from positions in float32, polarisation in float64, both
//! rounded to float32 at the end, and the product taken in float32 in the order factor · flat · polarisation · solid
//! angle.
//!
//! The solid angle is relative to that of a pixel at the PONI, seen along the detector's normal; tilts do not enter.

use super::poni::Poni;
use super::position::{map_centres, rounded_centres};
use crate::frame::Shape;
use rayon::prelude::*;

/// Solid angle of each pixel relative to one at the PONI: cos³ of the incidence angle.
pub fn solid_angle(poni: &Poni, shape: Shape) -> Vec<f32> {
    let (p1, p2) = rounded_centres(poni, shape);
    let l = poni.distance;
    let mut values = vec![0_f32; shape.pixels()];
    values.par_chunks_mut(shape.fast.max(1)).zip(&p1).for_each(|(row, &p1)| {
        let p1 = f64::from(p1);
        for (out, &p2) in row.iter_mut().zip(&p2) {
            let p2 = f64::from(p2);
            let cosine = l / ((l * l) + ((p1 * p1) + (p2 * p2))).sqrt();
            *out = (cosine * cosine * cosine) as f32;
        }
    });
    values
}

/// Polarisation of the scattered beam: ½[1 + cos²2θ − f·cos 2χ·(1 − cos²2θ)].
///
/// `factor` is f = (I_h − I_v)/(I_h + I_v): 1 for a beam polarised along x, −1 along y, 0 unpolarised. (No correction at
/// all is not the same as 0.)
pub fn polarization(poni: &Poni, shape: Shape, factor: f64) -> Vec<f32> {
    map_centres(poni, shape, |x, y, z| {
        let two_theta = (x * x + y * y).sqrt().atan2(z);
        let chi = y.atan2(x);
        let cosine = two_theta.cos();
        let squared = cosine * cosine;
        (0.5 * (1.0 + squared - factor * (2.0 * chi).cos() * (1.0 - squared))) as f32
    })
}

/// Everything that a frame's counts are divided by: one value a pixel.
///
/// `factor` is pyFAI's `normalization_factor`, the same for all pixels. Each array has `pixels` values or is left
/// out.
pub fn normalization(
    pixels: usize,
    factor: f32,
    flat: Option<&[f32]>,
    polarization: Option<&[f32]>,
    solid_angle: Option<&[f32]>,
) -> Vec<f32> {
    let mut product = vec![factor; pixels];
    for correction in [flat, polarization, solid_angle].into_iter().flatten() {
        product.par_iter_mut().zip(correction).for_each(|(value, &c)| *value *= c);
    }
    product
}
