//! Where each pixel is along the axis: its centre, and for bbox its farthest corner.
//!
//! Kept are the centre in float64 and the farthest corner in float32, the precision in which pyFAI has corners; the
//! half-width of a pixel is the distance between the two. Pixels that take no part have a centre of NaN.
//!
//! A block of rows is worked through row by row. A row of corners is computed once and serves the pixels above and
//! below it; only the first row of a block is computed twice. Pixels that share no corners come one by one ([`super::scattered`]).

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
}

/// One row of corners: radial coordinates, and χ when there is an azimuth range.
#[derive(Default)]
struct CornerRow {
    radial: Vec<f32>,
    chi: Vec<f32>,
}

impl CornerRow {
    fn fill(&mut self, lattice: &Lattice, row: usize, formula: Formula, with_chi: bool) {
        self.radial.clear();
        self.radial.extend(lattice.row(row).map(|(x, y, z)| formula.rounded_at(x, y, z)));
        self.chi.clear();
        if with_chi {
            self.chi.extend(lattice.row(row).map(|(x, y, _)| y.atan2(x) as f32));
        }
    }
}

/// What all rows share.
struct RowCentres<'a> {
    request: &'a MatrixRequest<'a>,
    formula: Formula,
    azimuth: Option<Sector>,
    centres: Lattice,
    /// `None` when pixels are not split.
    corners: Option<Lattice>,
}

impl Centres {
    /// Finds all places, and the limits of those that are not masked; `None` when pixels are on no lattice.
    pub(super) fn new(
        request: &MatrixRequest,
        formula: Formula,
        azimuth: Option<Sector>,
    ) -> Option<(Centres, Limits)> {
        let MatrixRequest { poni, shape, unit, .. } = *request;
        let centres = Lattice::new(poni, shape, Points::Centres)?;
        let corners = match request.split {
            Split::BBox => Lattice::new(poni, shape, Points::corners_for(unit)),
            _ => None,
        };
        let rows = RowCentres { request, formula, azimuth, centres, corners };
        let mut centres = vec![0_f64; shape.pixels()];
        let mut farthest = vec![0_f32; if rows.corners.is_some() { shape.pixels() } else { 0 }];
        let block = BLOCK_ROWS * shape.fast;
        let limits = if rows.corners.is_some() {
            let blocks = centres.par_chunks_mut(block).zip(farthest.par_chunks_mut(block)).enumerate();
            blocks.map(|(i, (c, f))| rows.block(i, c, f)).reduce(|| Limits::NONE, Limits::and)
        } else {
            let blocks = centres.par_chunks_mut(block).enumerate();
            blocks.map(|(i, c)| rows.block(i, c, &mut [])).reduce(|| Limits::NONE, Limits::and)
        };
        Some((Centres { centres, farthest }, limits))
    }

    /// Lower and upper end of a pixel, base values; NaN for one that takes no part.
    #[inline]
    pub(super) fn ends(&self, pixel: usize) -> (f64, f64) {
        let centre = self.centres[pixel];
        match self.farthest.get(pixel) {
            Some(&corner) => {
                let half = (f64::from(corner) - centre).abs();
                (centre - half, centre + half)
            }
            None => (centre, centre),
        }
    }
}

impl RowCentres<'_> {
    /// Fills the rows of one block.
    fn block(&self, block: usize, centres: &mut [f64], farthest: &mut [f32]) -> Limits {
        let fast = self.request.shape.fast;
        let first = block * BLOCK_ROWS;
        let with_chi = self.azimuth.is_some();
        let (mut above, mut below) = (CornerRow::default(), CornerRow::default());
        if let Some(corners) = &self.corners {
            below.fill(corners, first, self.formula, with_chi);
        }
        let mut limits = Limits::NONE;
        for (i, centres) in centres.chunks_exact_mut(fast).enumerate() {
            let row = first + i;
            if let Some(corners) = &self.corners {
                std::mem::swap(&mut above, &mut below);
                below.fill(corners, row + 1, self.formula, with_chi);
            }
            let farthest = farthest.get_mut(i * fast..(i + 1) * fast).unwrap_or_default();
            self.row(row, centres, farthest, (&above, &below), &mut limits);
        }
        limits
    }

    fn row(
        &self,
        row: usize,
        centres: &mut [f64],
        farthest: &mut [f32],
        (above, below): (&CornerRow, &CornerRow),
        limits: &mut Limits,
    ) {
        let fast = self.request.shape.fast;
        let masked = self.request.mask.map(|m| &m.masked[row * fast..(row + 1) * fast]);
        for (j, (x, y, z)) in self.centres.row(row).enumerate() {
            if masked.is_some_and(|m| m[j]) {
                centres[j] = f64::NAN;
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
            limits.include(centre - half, centre + half);
            let outside =
                self.azimuth.is_some_and(|sector| outside(sector, y.atan2(x), &above.chi, &below.chi, j));
            centres[j] = if outside { f64::NAN } else { centre };
        }
    }
}

/// The four corners of pixel `j`.
#[inline]
fn around(above: &[f32], below: &[f32], j: usize) -> [f32; 4] {
    [above[j], below[j], below[j + 1], above[j + 1]]
}

/// Whether a pixel is wholly outside a sector: its χ is its centre's ± the distance to the farthest corner.
fn outside(sector: Sector, chi: f64, above: &[f32], below: &[f32], j: usize) -> bool {
    let mut half: f64 = 0.0;
    if !above.is_empty() {
        for corner in around(above, below, j) {
            let distance = (f64::from(corner) - chi).abs();
            half = half.max(distance.min(TAU - distance));
        }
    }
    !sector.touches(chi - half, chi + half)
}
