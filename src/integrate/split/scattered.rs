//! Places of pixels that share no corners: modules apart, arcs, hexagons, what a file lists, and wherever parallax is corrected.

use super::circle::Circle;
use super::full::Corners;
use super::places::{Azimuth, Extents, FoundPlaces, Places};
use super::{MatrixRequest, Split};
use crate::geometry::position::{Points, Scattered, Unplaced};
use crate::geometry::units::Formula;
use rayon::prelude::*;
use std::f64::consts::TAU;

/// Centres and farthest corners of all pixels, and how far those reach that are not masked.
pub(super) fn places(
    request: &MatrixRequest,
    formula: Formula,
    azimuth: Azimuth,
) -> Result<(Places, Extents), Unplaced> {
    let kind = Points::corners_for(request.unit);
    let points = Scattered::new(request.poni, request.shape, kind)?;
    let circle = match azimuth {
        Azimuth::Axis(circle) => circle,
        Azimuth::Any | Azimuth::Within(_) => Circle::PLAIN,
    };
    let one_by_one = OneByOne { request, formula, azimuth, circle, points, kind };
    Ok(Places::find(request, azimuth, |first, found| one_by_one.block(first, found)))
}

/// What all pixels share.
struct OneByOne<'a> {
    request: &'a MatrixRequest<'a>,
    formula: Formula,
    azimuth: Azimuth,
    circle: Circle,
    points: Scattered,
    kind: Points,
}

impl OneByOne<'_> {
    /// Finds the places of some rows from `first` on.
    fn block(&self, first: usize, found: FoundPlaces<'_>) -> Extents {
        let MatrixRequest { shape, mask, split, .. } = *self.request;
        let each = if split == Split::BBox { self.points.corners_each() } else { 0 };
        let mut extents = Extents::NONE;
        for at in 0..found.radial.len() {
            let (row, column) = (first + at / shape.fast, at % shape.fast);
            if mask.is_some_and(|mask| mask.masked[row * shape.fast + column]) {
                found.radial[at] = f64::NAN;
                continue;
            }
            let (x, y, z) = self.points.centre(row, column);
            let (centre, chi) = (self.formula.at(x, y, z), self.circle.centre(x, y));
            let (mut half, mut farthest) = (0.0, centre as f32);
            let (mut wide, mut farthest_chi) = (0.0_f64, chi as f32);
            for (x, y, z) in self.points.corners(row, column).into_iter().take(each) {
                let corner = self.formula.rounded_at(x, y, z);
                let distance = (f64::from(corner) - centre).abs();
                if distance >= half {
                    (half, farthest) = (distance, corner);
                }
                let corner = self.circle.corner(x, y, self.kind);
                let turned = (f64::from(corner) - chi).abs();
                let turned = turned.min(TAU - turned);
                if turned >= wide {
                    (wide, farthest_chi) = (turned, corner);
                }
            }
            extents.radial.include(centre - half, centre + half);
            let is_outside = match self.azimuth {
                Azimuth::Within(sector) => !sector.touches(chi - wide, chi + wide),
                Azimuth::Any | Azimuth::Axis(_) => false,
            };
            found.radial[at] = if is_outside { f64::NAN } else { centre };
            // Each where it is wanted.
            found.farthest.get_mut(at).into_iter().for_each(|place| *place = farthest);
            if let Some(place) = found.chi.get_mut(at) {
                extents.chi.include(chi - wide, chi + wide);
                *place = chi;
            }
            found.farthest_chi.get_mut(at).into_iter().for_each(|place| *place = farthest_chi);
        }
        extents
    }
}

/// Radial coordinate and χ of the corners of each pixel, four a pixel.
pub(super) fn corners(
    request: &MatrixRequest,
    formula: Formula,
    circle: Circle,
) -> Result<Corners, Unplaced> {
    let MatrixRequest { poni, shape, unit, .. } = *request;
    let kind = Points::corners_for(unit);
    let points = Scattered::new(poni, shape, kind)?;
    let mut places = vec![[0_f32; 2]; shape.pixels() * 4];
    places.par_chunks_mut(4 * shape.fast.max(1)).enumerate().for_each(|(row, places)| {
        for (column, places) in places.chunks_exact_mut(4).enumerate() {
            for (place, (x, y, z)) in places.iter_mut().zip(points.corners(row, column)) {
                *place = [formula.rounded_at(x, y, z), circle.corner(x, y, kind)];
            }
        }
    });
    Ok(Corners { places, are_shared: false })
}
