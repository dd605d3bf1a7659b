//! Where each pixel is along the axes: its centre, and for bbox its farthest corner.
//!
//! Kept are the centre in float64 and the farthest corner in float32, the precision in which pyFAI has corners; the
//! half-width of a pixel is the distance between the two. Pixels that take no part have a centre of NaN.
//!
//! A block of rows is worked through row by row. A row of corners is computed once and serves the pixels above and
//! below it; only the first row of a block is computed twice. Pixels that share no corners come one by one ([`super::scattered`]).

use super::circle::Circle;
use super::{Limits, MatrixRequest, Sector, Split};
use crate::geometry::position::{Lattice, Points};
use crate::geometry::units::Formula;
use rayon::prelude::*;
use std::f64::consts::TAU;

/// Rows in a block: the first row of corners of each block is computed twice, so 1/32 of corners.
const BLOCK_ROWS: usize = 32;

/// Centres and farthest corners, one value a pixel, base values.
pub(super) struct Centres {
    /// NaN for pixels that take no part.
    pub(super) centres: Vec<f64>,
    /// Empty when pixels are not split.
    pub(super) farthest: Vec<f32>,
    /// Whether the values are angles, of which only the shorter way around counts.
    is_angle: bool,
}

/// Centres along both axes.
pub(super) struct Places {
    pub(super) radial: Centres,
    /// Without an azimuthal axis there are none.
    pub(super) chi: Centres,
}

/// How far the pixels reach that are not masked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extents {
    pub(super) radial: Limits,
    pub(super) chi: Limits,
}

impl Extents {
    pub(super) const NONE: Extents = Extents { radial: Limits::NONE, chi: Limits::NONE };

    pub(super) fn and(self, other: Extents) -> Extents {
        Extents { radial: self.radial.and(other.radial), chi: self.chi.and(other.chi) }
    }
}

/// What is asked of χ.
#[derive(Clone, Copy)]
pub(super) enum Azimuth {
    /// Nothing.
    Any,
    /// Pixels that are wholly outside take no part.
    Within(Sector),
    /// It is an axis.
    Axis(Circle),
}

impl Azimuth {
    fn circle(self) -> Option<Circle> {
        match self {
            Azimuth::Any => None,
            Azimuth::Within(_) => Some(Circle::PLAIN),
            Azimuth::Axis(circle) => Some(circle),
        }
    }
}

/// One row of corners: radial coordinates, and χ when something is asked of it.
#[derive(Default)]
struct CornerRow {
    radial: Vec<f32>,
    chi: Vec<f32>,
}

impl CornerRow {
    fn fill(&mut self, rows: &RowCentres, lattice: &Lattice, row: usize) {
        let RowCentres { formula, points, azimuth, .. } = *rows;
        self.radial.clear();
        self.radial.extend(lattice.row(row).map(|(x, y, z)| formula.rounded_at(x, y, z)));
        self.chi.clear();
        if let Some(circle) = azimuth.circle() {
            self.chi.extend(lattice.row(row).map(|(x, y, _)| circle.corner(x, y, points)));
        }
    }
}

/// What all rows share.
struct RowCentres<'a> {
    request: &'a MatrixRequest<'a>,
    formula: Formula,
    azimuth: Azimuth,
    centres: Lattice,
    points: Points,
    /// `None` when pixels are not split.
    corners: Option<Lattice>,
}

/// What is found of the pixels of some rows; empty where it is not wanted.
#[derive(Default)]
pub(super) struct FoundPlaces<'a> {
    pub(super) radial: &'a mut [f64],
    pub(super) farthest: &'a mut [f32],
    pub(super) chi: &'a mut [f64],
    pub(super) farthest_chi: &'a mut [f32],
}

impl<'a> FoundPlaces<'a> {
    /// The first so many pixels, and the rest.
    fn split(self, pixels: usize) -> (FoundPlaces<'a>, FoundPlaces<'a>) {
        let (radial, radial_left) = cut(self.radial, pixels);
        let (farthest, farthest_left) = cut(self.farthest, pixels);
        let (chi, chi_left) = cut(self.chi, pixels);
        let (farthest_chi, farthest_chi_left) = cut(self.farthest_chi, pixels);
        let left = FoundPlaces {
            radial: radial_left,
            farthest: farthest_left,
            chi: chi_left,
            farthest_chi: farthest_chi_left,
        };
        (FoundPlaces { radial, farthest, chi, farthest_chi }, left)
    }
}

fn cut<T>(values: &mut [T], at: usize) -> (&mut [T], &mut [T]) {
    values.split_at_mut(at.min(values.len()))
}

impl Places {
    /// Finds all places, and how far those reach that are not masked; `None` when pixels are on no lattice.
    pub(super) fn new(
        request: &MatrixRequest,
        formula: Formula,
        azimuth: Azimuth,
    ) -> Option<(Places, Extents)> {
        let MatrixRequest { poni, shape, unit, .. } = *request;
        let points = Points::corners_for(unit);
        let centres = Lattice::new(poni, shape, Points::Centres)?;
        let corners = match request.split {
            Split::BBox => Lattice::new(poni, shape, points),
            _ => None,
        };
        let rows = RowCentres { request, formula, azimuth, centres, points, corners };
        Some(Places::find(request, azimuth, |first, found| rows.block(first, found)))
    }

    /// Has `find` fill in blocks of some rows, of which it gets the first, and say how far their pixels reach.
    pub(super) fn find(
        request: &MatrixRequest,
        azimuth: Azimuth,
        find: impl Fn(usize, FoundPlaces<'_>) -> Extents + Sync,
    ) -> (Places, Extents) {
        let (shape, is_split) = (request.shape, request.split == Split::BBox);
        let of_chi = if matches!(azimuth, Azimuth::Axis(_)) { shape.pixels() } else { 0 };
        let mut radial = Centres::room(shape.pixels(), is_split, false);
        let mut chi = Centres::room(of_chi, is_split, true);
        let mut left = FoundPlaces {
            radial: &mut radial.centres,
            farthest: &mut radial.farthest,
            chi: &mut chi.centres,
            farthest_chi: &mut chi.farthest,
        };
        let mut blocks = Vec::new();
        for _ in 0..shape.slow.div_ceil(BLOCK_ROWS) {
            let (block, rest) = left.split(BLOCK_ROWS * shape.fast);
            blocks.push(block);
            left = rest;
        }
        let blocks = blocks.into_par_iter().enumerate();
        let extents =
            blocks.map(|(i, block)| find(i * BLOCK_ROWS, block)).reduce(|| Extents::NONE, Extents::and);
        (Places { radial, chi }, extents)
    }
}

impl Centres {
    fn room(pixels: usize, is_split: bool, is_angle: bool) -> Centres {
        let corners = if is_split { pixels } else { 0 };
        Centres { centres: vec![0.0; pixels], farthest: vec![0.0; corners], is_angle }
    }

    /// Lower and upper end of a pixel, base values; NaN for one that takes no part.
    #[inline]
    pub(super) fn ends(&self, pixel: usize) -> (f64, f64) {
        let centre = self.centres[pixel];
        match self.farthest.get(pixel) {
            Some(&corner) => {
                let far = (f64::from(corner) - centre).abs();
                let half = if self.is_angle { far.min(TAU - far) } else { far };
                (centre - half, centre + half)
            }
            None => (centre, centre),
        }
    }
}

impl RowCentres<'_> {
    /// Finds the places of one block of rows.
    fn block(&self, first: usize, mut left: FoundPlaces<'_>) -> Extents {
        let fast = self.request.shape.fast;
        let (mut above, mut below) = (CornerRow::default(), CornerRow::default());
        if let Some(corners) = &self.corners {
            below.fill(self, corners, first);
        }
        let mut extents = Extents::NONE;
        for row in first..self.request.shape.slow.min(first + BLOCK_ROWS) {
            if let Some(corners) = &self.corners {
                std::mem::swap(&mut above, &mut below);
                below.fill(self, corners, row + 1);
            }
            let (found, rest) = left.split(fast);
            left = rest;
            self.row(row, found, (&above, &below), &mut extents);
        }
        extents
    }

    fn row(
        &self,
        row: usize,
        found: FoundPlaces<'_>,
        (above, below): (&CornerRow, &CornerRow),
        extents: &mut Extents,
    ) {
        let fast = self.request.shape.fast;
        let masked = self.request.mask.map(|m| &m.masked[row * fast..(row + 1) * fast]);
        let FoundPlaces { radial, farthest, chi, farthest_chi } = found;
        for (j, (x, y, z)) in self.centres.row(row).enumerate() {
            if masked.is_some_and(|m| m[j]) {
                radial[j] = f64::NAN;
                continue;
            }
            let centre = self.formula.at(x, y, z);
            let mut half = 0.0;
            if let Some(farthest) = farthest.get_mut(j) {
                for corner in around(&above.radial, &below.radial, j) {
                    let distance = (f64::from(corner) - centre).abs();
                    if distance >= half {
                        half = distance;
                        *farthest = corner;
                    }
                }
            }
            extents.radial.include(centre - half, centre + half);
            radial[j] = centre;
            match self.azimuth {
                Azimuth::Any => {}
                Azimuth::Within(sector) => {
                    let chi = y.atan2(x);
                    let (half, _) = farthest_angle(chi, above, below, j);
                    if !sector.touches(chi - half, chi + half) {
                        radial[j] = f64::NAN;
                    }
                }
                Azimuth::Axis(circle) => {
                    let centre = circle.centre(x, y);
                    let (half, corner) = farthest_angle(centre, above, below, j);
                    extents.chi.include(centre - half, centre + half);
                    chi[j] = centre;
                    if let Some(farthest) = farthest_chi.get_mut(j) {
                        *farthest = corner;
                    }
                }
            }
        }
    }
}

/// The four corners of pixel `j`.
#[inline]
fn around(above: &[f32], below: &[f32], j: usize) -> [f32; 4] {
    [above[j], below[j], below[j + 1], above[j + 1]]
}

/// How far the corners of a pixel are from its χ at most, the shorter way around, and the χ of that corner; 0 for pixels that are not split.
fn farthest_angle(chi: f64, above: &CornerRow, below: &CornerRow, j: usize) -> (f64, f32) {
    let (mut half, mut farthest) = (0.0_f64, 0.0_f32);
    if !above.chi.is_empty() {
        for corner in around(&above.chi, &below.chi, j) {
            let distance = (f64::from(corner) - chi).abs();
            let distance = distance.min(TAU - distance);
            if distance >= half {
                (half, farthest) = (distance, corner);
            }
        }
    }
    (half, farthest)
}
