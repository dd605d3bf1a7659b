//! Places of pixels that share no corners: modules apart, arcs, hexagons, what a file lists, and wherever parallax is corrected.

use super::full::Corners;
use super::places::Centres;
use super::{Limits, MatrixRequest, Sector, Split};
use crate::geometry::position::{Points, Scattered, Unplaced};
use crate::geometry::units::Formula;
use rayon::prelude::*;
use std::f64::consts::TAU;

/// Centres and farthest corners of all pixels, and the limits of those that are not masked.
pub(super) fn centres(
    request: &MatrixRequest,
    formula: Formula,
    azimuth: Option<Sector>,
) -> Result<(Centres, Limits), Unplaced> {
    let MatrixRequest { poni, shape, unit, mask, .. } = *request;
    let is_split = request.split == Split::BBox;
    let points = Scattered::new(poni, shape, Points::corners_for(unit))?;
    let each = points.corners_each();
    // Centre, farthest corner, and how far the pixel reaches; NaN for one that takes no part.
    let place = |pixel: usize| {
        if mask.is_some_and(|mask| mask.masked[pixel]) {
            return (f64::NAN, 0.0, Limits::NONE);
        }
        let (row, column) = (pixel / shape.fast, pixel % shape.fast);
        let (x, y, z) = points.centre(row, column);
        let (centre, chi) = (formula.at(x, y, z), y.atan2(x));
        let (mut half, mut farthest, mut wide) = (0.0, centre as f32, 0.0_f64);
        if is_split {
            for (x, y, z) in points.corners(row, column).into_iter().take(each) {
                let corner = formula.rounded_at(x, y, z);
                let distance = (f64::from(corner) - centre).abs();
                if distance >= half {
                    (half, farthest) = (distance, corner);
                }
                let turned = (f64::from(y.atan2(x) as f32) - chi).abs();
                wide = wide.max(turned.min(TAU - turned));
            }
        }
        let mut limits = Limits::NONE;
        limits.include(centre - half, centre + half);
        let is_outside = azimuth.is_some_and(|sector| !sector.touches(chi - wide, chi + wide));
        (if is_outside { f64::NAN } else { centre }, farthest, limits)
    };
    let pixels = shape.pixels();
    let mut centres = vec![0_f64; pixels];
    let mut farthest = vec![0_f32; if is_split { pixels } else { 0 }];
    let fast = shape.fast.max(1);
    let rows = centres.par_chunks_mut(fast).enumerate();
    let limits = if is_split {
        rows.zip(farthest.par_chunks_mut(fast))
            .map(|((row, centres), farthest)| {
                let mut limits = Limits::NONE;
                for (column, (centre, corner)) in centres.iter_mut().zip(farthest).enumerate() {
                    let (at, far, reach) = place(row * fast + column);
                    (*centre, *corner) = (at, far);
                    limits = limits.and(reach);
                }
                limits
            })
            .reduce(|| Limits::NONE, Limits::and)
    } else {
        rows.map(|(row, centres)| {
            let mut limits = Limits::NONE;
            for (column, centre) in centres.iter_mut().enumerate() {
                let (at, _, reach) = place(row * fast + column);
                *centre = at;
                limits = limits.and(reach);
            }
            limits
        })
        .reduce(|| Limits::NONE, Limits::and)
    };
    Ok((Centres { centres, farthest }, limits))
}

/// Radial coordinate and χ of the corners of each pixel, four a pixel.
pub(super) fn corners(request: &MatrixRequest, formula: Formula) -> Result<Corners, Unplaced> {
    let MatrixRequest { poni, shape, unit, .. } = *request;
    let points = Scattered::new(poni, shape, Points::corners_for(unit))?;
    let mut places = vec![[0_f32; 2]; shape.pixels() * 4];
    places.par_chunks_mut(4 * shape.fast.max(1)).enumerate().for_each(|(row, places)| {
        for (column, places) in places.chunks_exact_mut(4).enumerate() {
            for (place, (x, y, z)) in places.iter_mut().zip(points.corners(row, column)) {
                *place = [formula.rounded_at(x, y, z), y.atan2(x) as f32];
            }
        }
    });
    Ok(Corners { places, are_shared: false })
}
