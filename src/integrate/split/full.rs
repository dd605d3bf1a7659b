//! Pixels as polygons in the plane of radial coordinate and χ.
//!
//! The area of a polygon within a bin is the sum, over its sides, of the signed area under the side within the bin.
//! pyFAI adds these up in a float32 buffer, whose rounding shows in the shares at 1e-5; the same buffer is used here, so that
//! the shares are equal to pyFAI's and not merely close.
//!
//! A pixel on the χ = ±π cut has corners on both sides. It is recognised by the sign of its (approximate) area, which is
//! opposite for orientations that flip one axis, and its corners are then brought to one side.

use super::circle::Circle;
use super::places::Extents;
use super::sort::{BinRange, Cells, Shares};
use super::{MatrixRequest, Sector};
use crate::geometry::position::{Lattice, Points};
use crate::geometry::units::Formula;
use crate::integrate::axis::Axis;
use rayon::prelude::*;

/// Radial coordinate and χ of all (slow + 1) × (fast + 1) corners, float32 as pyFAI has them.
pub(super) struct Corners {
    pub(super) places: Vec<[f32; 2]>,
    /// Whether neighbours share them; else there are four for each pixel.
    pub(super) are_shared: bool,
}

impl Corners {
    /// Finds all corners; `None` when they are on no lattice.
    pub(super) fn new(request: &MatrixRequest, formula: Formula, circle: Circle) -> Option<Corners> {
        let points = Points::corners_for(request.unit);
        let lattice = Lattice::new(request.poni, request.shape, points)?;
        let mut places = vec![[0_f32; 2]; lattice.slow() * lattice.fast()];
        places.par_chunks_mut(lattice.fast()).enumerate().for_each(|(row, places)| {
            for (place, (x, y, z)) in places.iter_mut().zip(lattice.row(row)) {
                *place = [formula.rounded_at(x, y, z), circle.corner(x, y, points)];
            }
        });
        Some(Corners { places, are_shared: true })
    }

    /// How far the pixels reach that are not masked.
    pub(super) fn extents(&self, request: &MatrixRequest) -> Extents {
        let fast = request.shape.fast;
        (0..request.shape.slow)
            .into_par_iter()
            .map(|row| {
                let mut extents = Extents::NONE;
                for pixel in row * fast..(row + 1) * fast {
                    if !request.mask.is_some_and(|m| m.masked[pixel]) {
                        for [radial, chi] in self.of(pixel, fast) {
                            extents.radial.include(radial, radial);
                            extents.chi.include(chi, chi);
                        }
                    }
                }
                extents
            })
            .reduce(|| Extents::NONE, Extents::and)
    }

    /// Corners of a pixel in pyFAI's order: (0, 0), (1, 0), (1, 1), (0, 1) along (slow, fast).
    #[inline]
    pub(super) fn of(&self, pixel: usize, fast: usize) -> Polygon {
        if !self.are_shared {
            let first = 4 * pixel;
            return [first, first + 1, first + 2, first + 3].map(|i| self.places[i].map(f64::from));
        }
        let above = pixel + pixel / fast;
        let below = above + fast + 1;
        [above, below, below + 1, above + 1].map(|i| self.places[i].map(f64::from))
    }
}

/// Radial coordinate and χ of the corners of a pixel.
pub(super) type Polygon = [[f64; 2]; 4];

pub(super) struct Polygons<'a> {
    pub(super) corners: &'a Corners,
    pub(super) request: &'a MatrixRequest<'a>,
    pub(super) azimuth: Option<Sector>,
    pub(super) axis: &'a Axis,
}

impl Polygons<'_> {
    /// The polygon with radial coordinates in bins; its bins when it is not masked and in range.
    #[inline]
    fn place(&self, pixel: usize) -> Option<(Polygon, BinRange)> {
        if self.request.mask.is_some_and(|m| m.masked[pixel]) {
            return None;
        }
        let corners = self.corners.of(pixel, self.request.shape.fast);
        let polygon = corners.map(|[radial, chi]| [self.axis.bin(radial), chi]);
        let (lower, upper) = extent(&polygon, 0);
        let npt = self.axis.npt();
        if !(lower.is_finite() && upper.is_finite()) || upper < 0.0 || lower >= npt as f64 {
            return None;
        }
        if let Some(sector) = self.azimuth {
            let (least, most) = extent(&self.recentred(corners), 1);
            if !sector.touches(least, most) {
                return None;
            }
        }
        // Casts truncate towards zero and stop at zero: the floor, for what is in range.
        Some((polygon, BinRange { first: lower as usize, last: (upper as usize).min(npt - 1) }))
    }

    /// The corners of a pixel on the χ cut, brought to one side of it.
    #[inline]
    fn recentred(&self, corners: Polygon) -> Polygon {
        recentred(corners, Circle::PLAIN, is_mirrored(self.request))
    }
}

impl Shares for Polygons<'_> {
    /// Areas by bin; zero between pixels.
    type Scratch = Vec<f32>;

    fn scratch(&self) -> Vec<f32> {
        vec![0.0; self.axis.npt()]
    }

    #[inline]
    fn cells(&self, pixel: usize) -> Option<Cells> {
        self.place(pixel).map(|(_, bins)| Cells::on_line(bins))
    }

    #[inline]
    fn shares(&self, pixel: usize, areas: &mut Vec<f32>, mut put: impl FnMut(usize, f32)) {
        let Some((mut polygon, BinRange { first, last })) = self.place(pixel) else { return };
        let (lower, upper) = extent(&polygon, 0);
        if floor(lower) == floor(upper) {
            return put(first, 1.0);
        }
        // The sign that tells a pixel on the cut is taken before radial coordinates are in bins, as in pyFAI.
        let recentred = self.recentred(self.corners.of(pixel, self.request.shape.fast));
        for (corner, [_, chi]) in polygon.iter_mut().zip(recentred) {
            corner[1] = chi;
        }
        let [a, b, c, d] = polygon;
        for (from, to) in [(a, b), (b, c), (c, d), (d, a)] {
            add_side(areas, from, to);
        }
        let areas = &mut areas[first..=last];
        let sum: f64 = areas.iter().map(|&area| f64::from(area)).sum();
        let inverse = 1.0 / sum;
        for (bin, area) in (first..).zip(areas) {
            // A polygon without area has no shares (pyFAI would divide by zero).
            let share = if sum == 0.0 { 0.0 } else { (f64::from(*area) * inverse) as f32 };
            put(bin, share);
            *area = 0.0;
        }
    }
}

/// Largest whole number that is not above `value`: an instruction or two for what fits in 64 bits, where the library's
/// `floor` is a call on the oldest x86-64 processors that are supported.
#[inline]
fn floor(value: f64) -> f64 {
    let truncated = value as i64 as f64;
    if truncated > value { truncated - 1.0 } else { truncated }
}

/// Smallest and largest coordinate of the corners; NaN does not count.
#[inline]
pub(super) fn extent(polygon: &Polygon, axis: usize) -> (f64, f64) {
    let values = polygon.map(|corner| corner[axis]);
    (values.into_iter().fold(f64::INFINITY, f64::min), values.into_iter().fold(f64::NEG_INFINITY, f64::max))
}

/// The corners of a pixel, those of one on the cut of χ brought to one side of it. `mirrored`: the detector's orientation flips one axis.
pub(super) fn recentred(mut polygon: Polygon, circle: Circle, mirrored: bool) -> Polygon {
    let [[a0, a1], [b0, b1], [c0, c1], [d0, d1]] = polygon;
    // pyFAI's approximate area: only its sign matters, negative unless the polygon crosses itself at the cut.
    let area = 0.5 * ((c0 - a0) * (d1 - b1)) - ((c1 - a1) * (d0 - b0));
    let crosses = if mirrored { area < 0.0 } else { area > 0.0 };
    if crosses {
        let mut chi = polygon.map(|corner| corner[1]);
        circle.recentre(&mut chi);
        for (corner, chi) in polygon.iter_mut().zip(chi) {
            corner[1] = chi;
        }
    }
    polygon
}

/// Whether the detector's orientation flips one axis: corners are then passed the other way round.
pub(super) fn is_mirrored(request: &MatrixRequest) -> bool {
    let orientation = request.poni.detector.orientation;
    orientation.flips_slow() != orientation.flips_fast()
}

/// Adds the signed area under one side to the bins that it passes.
#[inline]
fn add_side(areas: &mut [f32], [start0, start1]: [f64; 2], [stop0, stop1]: [f64; 2]) {
    if stop0 == start0 {
        return;
    }
    let slope = (stop1 - start1) / (stop0 - start0);
    let intercept = start1 - slope * start0;
    let npt = areas.len() as f64;
    let mut add = |bin: f64, from: f64, to: f64| {
        let area = (to - from) * (0.5 * slope * (to + from) + intercept);
        let sum = &mut areas[bin as usize];
        *sum = (f64::from(*sum) + area) as f32;
    };
    let inside = |place: f64| 0.0 <= place && place < npt;
    let (start_bin, stop_bin) = (floor(start0), floor(stop0));
    if start_bin == stop_bin {
        if inside(start0) {
            add(start_bin, start0, stop0);
        }
    } else if stop0 > start0 {
        if inside(start0) {
            add(start_bin, start0, start_bin + 1.0);
        }
        let mut bin = (start_bin + 1.0).max(0.0);
        while bin < stop_bin.min(npt) {
            add(bin, bin, bin + 1.0);
            bin += 1.0;
        }
        if inside(stop0) {
            add(stop_bin, stop_bin, stop0);
        }
    } else {
        if inside(start0) {
            add(start_bin, start0, start_bin);
        }
        let mut bin = start_bin.min(npt) - 1.0;
        while bin > stop_bin.max(-1.0) {
            add(bin, bin + 1.0, bin);
            bin -= 1.0;
        }
        if inside(stop0) {
            add(stop_bin, stop_bin + 1.0, stop0);
        }
    }
}
