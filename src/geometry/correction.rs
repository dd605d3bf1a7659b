//! What a pixel sees of the intensity scattered towards it: solid angle, polarisation, and their product.
//!
//! One float32 a pixel, in C order. Counts are divided by the sum of these, so a correction is a *normalisation*.
//! The formulas and roundings are pyFAI's: solid angle from positions in float32, polarisation in float64, both
//! rounded to float32 at the end, and the product taken in float32 in the order factor · flat · polarisation · solid
//! angle.
//!
//! The solid angle is relative to that of a pixel at the PONI, seen along the detector's normal; tilts do not enter. Where a detector is
//! not flat, the normal is each pixel's own. Parallax does not enter either.

use super::catalogue::PixelLayout;
use super::poni::Poni;
use super::position::{Scattered, Unplaced, map_centres};
use super::surface::{PixelSheet, Points, axes};
use crate::frame::Shape;
use rayon::prelude::*;

/// Solid angle of each pixel relative to one at the PONI: cos³ of the incidence angle.
///
/// # Errors
/// [`Unplaced`] when the detector does not say where its pixels are.
pub fn solid_angle(poni: &Poni, shape: Shape) -> Result<Vec<f32>, Unplaced> {
    let mut values = vec![0_f32; shape.pixels()];
    let rows = values.par_chunks_mut(shape.fast.max(1)).enumerate();
    let l = poni.distance;
    let of = |p1: f64, p2: f64| {
        let cosine = l / ((l * l) + ((p1 * p1) + (p2 * p2))).sqrt();
        (cosine * cosine * cosine) as f32
    };
    let (poni1, poni2) = (poni.poni1, poni.poni2);
    if poni.detector.layout() == PixelLayout::Grid && PixelSheet::is_lattice(&poni.detector) {
        let (p1, p2) = rounded_centres(poni, shape);
        rows.for_each(|(row, values)| {
            let p1 = f64::from(p1[row]);
            values.iter_mut().zip(&p2).for_each(|(value, &p2)| *value = of(p1, f64::from(p2)));
        });
        return Ok(values);
    }
    if let Some(centres) = axes(&poni.detector, shape, Points::Centres).filter(|axes| axes.behind.is_empty())
    {
        rows.for_each(|(row, values)| {
            let p1 = centres.slow[row] - poni1;
            values.iter_mut().zip(&centres.fast).for_each(|(value, &p2)| *value = of(p1, p2 - poni2));
        });
        return Ok(values);
    }
    let unplaced = || Unplaced::Detector(poni.detector.name.clone(), shape);
    let sheet = PixelSheet::new(&poni.detector, shape).ok_or_else(unplaced)?;
    let scattered = Scattered::new(&Poni { parallax: false, ..poni.clone() }, shape, Points::Centres)?;
    let rounded = |p: f64, poni: f64| f64::from(p as f32 - poni as f32);
    rows.for_each(|(row, values)| {
        for (column, value) in values.iter_mut().enumerate() {
            *value = if sheet.is_flat() {
                let [_, p1, p2] = sheet.centre(row, column);
                of(rounded(p1, poni1), rounded(p2, poni2))
            } else {
                scattered.cosine(row, column).powi(3) as f32
            };
        }
    });
    Ok(values)
}

/// Distances from the PONI of the centres of equal pixels along both axes, in float32.
fn rounded_centres(poni: &Poni, shape: Shape) -> (Vec<f32>, Vec<f32>) {
    let detector = &poni.detector;
    let axis = |pixels: usize, pixel: f64, flipped: bool, poni: f64| -> Vec<f32> {
        let index = |i: usize| (if flipped { pixels - 1 - i } else { i }) as f32;
        (0..pixels).map(|i| pixel as f32 * (0.5 + index(i)) - poni as f32).collect()
    };
    (
        axis(shape.slow, detector.pixel1, detector.orientation.flips_slow(), poni.poni1),
        axis(shape.fast, detector.pixel2, detector.orientation.flips_fast(), poni.poni2),
    )
}

/// Polarisation of the scattered beam: ½[1 + cos²2θ − f·cos 2χ·(1 − cos²2θ)].
///
/// `factor` is f = (I_h − I_v)/(I_h + I_v): 1 for a beam polarised along x, −1 along y, 0 unpolarised. (No correction at
/// all is not the same as 0.)
///
/// # Errors
/// [`Unplaced`] when the detector does not say where its pixels are.
pub fn polarization(poni: &Poni, shape: Shape, factor: f64) -> Result<Vec<f32>, Unplaced> {
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
