//! Pixels as polygons, cut along both axes.
//!
//! The area of a polygon in a cell of (radial, χ) is the sum over its sides of what lies under a side within the cell. As in pyFAI
//! (`ext/regrid_common.pxi`, `_integrate2d`) the area under a side within one radial bin is stacked up cell by cell from χ = 0, each cell taking at
//! most its width times its height: what is stacked too high by one side another side takes away. pyFAI keeps areas, slopes
//! and remainders in float32; here every rounding is the same, so the shares are equal to pyFAI's. (But for pyFAI's first pixel, whose areas are
//! added to memory that nobody has set.)
//!
//! What reaches out of the axes is cut off by moving corners to the limit; the shares are of what is left and sum to 1.

use super::MatrixRequest;
use super::circle::Circle;
use super::full::{Corners, Polygon, extent, is_mirrored, recentred};
use super::sort::{BinRange, Cells, Shares};
use crate::integrate::axis::Axis;

pub(super) struct CutPolygons<'a> {
    pub(super) corners: &'a Corners,
    pub(super) request: &'a MatrixRequest<'a>,
    pub(super) circle: Circle,
    pub(super) azimuthal: &'a Axis,
    pub(super) radial: &'a Axis,
}

impl CutPolygons<'_> {
    /// The polygon in bins, and the bins that it has a part in; none when it is masked or beside the axes.
    #[inline]
    fn place(&self, pixel: usize) -> Option<(Polygon, Cells)> {
        if self.request.mask.is_some_and(|m| m.masked[pixel]) {
            return None;
        }
        let corners = self.corners.of(pixel, self.request.shape.fast);
        let mut polygon = recentred(corners, self.circle, is_mirrored(self.request));
        if polygon.iter().flatten().any(|place| place.is_nan()) {
            return None;
        }
        let (radial, azimuthal) = (self.radial, self.azimuthal);
        let [(min0, max0), (min1, max1)] = [extent(&polygon, 0), extent(&polygon, 1)];
        let is_beside =
            max0 < radial.lower || min0 > radial.highest || max1 < azimuthal.lower || min1 >= azimuthal.upper;
        if is_beside {
            return None;
        }
        for [place, chi] in &mut polygon {
            *place = radial.bin(place.clamp(radial.lower, radial.highest));
            *chi = azimuthal.bin(chi.clamp(azimuthal.lower, azimuthal.highest));
        }
        Some((polygon, Cells { lines: span(&polygon, 1, azimuthal)?, along: span(&polygon, 0, radial)? }))
    }
}

/// The bins of an axis that a polygon reaches over; none where it has no extent.
#[inline]
fn span(polygon: &Polygon, which: usize, axis: &Axis) -> Option<BinRange> {
    let (lower, upper) = extent(polygon, which);
    let (first, end) = (lower.floor() as usize, (upper.ceil() as usize).min(axis.npt()));
    (first < end).then(|| BinRange { first, last: end - 1 })
}

/// Areas of the cells of one pixel, radial bin by radial bin; and one line and column more, for what roundings put there.
#[derive(Default)]
pub(super) struct Areas {
    cells: Vec<f32>,
    height: usize,
}

impl Areas {
    fn clear(&mut self, width: usize, height: usize) {
        self.height = height + 1;
        self.cells.clear();
        self.cells.resize((width + 1) * self.height, 0.0);
    }

    #[inline]
    fn of(&self, bin: usize) -> &[f32] {
        &self.cells[bin * self.height..(bin + 1) * self.height]
    }

    /// Stacks up the area under a side in one radial bin; `width` is how much of the bin the side passes.
    #[inline]
    fn stack(&mut self, bin: usize, width: f32, area: f32) {
        let mut left = area.abs();
        let mut part = width;
        for cell in &mut self.cells[bin * self.height..(bin + 1) * self.height] {
            if left <= 0.0 || left.is_nan() {
                return;
            }
            if part > left {
                part = left;
                left = -1.0;
            }
            *cell = (f64::from(*cell) + f64::from(part.copysign(area))) as f32;
            left -= part;
        }
    }

    /// Adds what is under one side, (radial, χ) to (radial, χ) in bins from the first cell.
    #[inline]
    fn add_side(&mut self, [start0, start1]: [f64; 2], [stop0, stop1]: [f64; 2]) {
        if start0 == stop0 {
            return;
        }
        let slope = ((stop1 - start1) / (stop0 - start0)) as f32;
        let line = Line { slope, intercept: (stop1 - f64::from(slope) * stop0) as f32 };
        if start0 < stop0 {
            let edge = start0.ceil() as f32;
            if f64::from(edge) > stop0 {
                return self.stack(start0 as usize, (stop0 - start0) as f32, line.area(start0, stop0));
            }
            let width = (f64::from(edge) - start0) as f32;
            if width > 0.0 {
                self.stack(edge as usize - 1, width, line.area_to_edge(start0 as f32, edge));
            }
            for bin in edge as usize..stop0.floor() as usize {
                self.stack(bin, 1.0, line.area(bin as f64, (bin + 1) as f64));
            }
            let edge = stop0.floor() as f32;
            let width = (stop0 - f64::from(edge)) as f32;
            if width > 0.0 {
                self.stack(edge as usize, width, line.area_to_edge(edge, stop0 as f32));
            }
        } else {
            let edge = start0.floor() as f32;
            if stop0 > f64::from(edge) {
                return self.stack(start0 as usize, (start0 - stop0) as f32, line.area(start0, stop0));
            }
            let width = (start0 - f64::from(edge)) as f32;
            if width > 0.0 {
                self.stack(edge as usize, width, line.area_to_edge(start0 as f32, edge));
            }
            for bin in (stop0.ceil() as usize..start0 as usize).rev() {
                self.stack(bin, 1.0, line.area((bin + 1) as f64, bin as f64));
            }
            let edge = stop0.ceil() as f32;
            let width = (f64::from(edge) - stop0) as f32;
            if width > 0.0 {
                self.stack(stop0 as usize, width, line.area_to_edge(edge, stop0 as f32));
            }
        }
    }
}

/// A side of a polygon.
#[derive(Clone, Copy)]
struct Line {
    slope: f32,
    intercept: f32,
}

impl Line {
    /// Signed area between two places.
    #[inline]
    fn area(self, from: f64, to: f64) -> f32 {
        let (slope, intercept) = (f64::from(self.slope), f64::from(self.intercept));
        ((to - from) * (0.5 * slope * (to + from) + intercept)) as f32
    }

    /// The same where one of them is the edge of a bin: pyFAI's compiler makes both float32 then.
    #[inline]
    fn area_to_edge(self, from: f32, to: f32) -> f32 {
        let height = 0.5 * f64::from(self.slope) * f64::from(to + from) + f64::from(self.intercept);
        (f64::from(to - from) * height) as f32
    }
}

impl Shares for CutPolygons<'_> {
    type Scratch = Areas;

    fn scratch(&self) -> Areas {
        Areas::default()
    }

    #[inline]
    fn cells(&self, pixel: usize) -> Option<Cells> {
        self.place(pixel).map(|(_, cells)| cells)
    }

    #[inline]
    fn shares(&self, pixel: usize, areas: &mut Areas, mut put: impl FnMut(usize, f32)) {
        let Some((polygon, Cells { lines, along })) = self.place(pixel) else { return };
        let (width, height) = (along.last + 1 - along.first, lines.last + 1 - lines.first);
        areas.clear(width, height);
        let origin = [along.first as f64, lines.first as f64];
        let [a, b, c, d] = polygon.map(|[place, chi]| [place - origin[0], chi - origin[1]]);
        for (from, to) in [(a, b), (b, c), (c, d), (d, a)] {
            areas.add_side(from, to);
        }
        let mut sum = 0.0_f64;
        for bin in 0..width {
            areas.of(bin)[..height].iter().for_each(|&area| sum += f64::from(area));
        }
        let inverse = 1.0 / sum;
        for line in 0..height {
            let first = (lines.first + line) * self.radial.npt() + along.first;
            for bin in 0..width {
                // A polygon without area has no shares (pyFAI would divide by zero).
                let area = if inverse.is_finite() { f64::from(areas.of(bin)[line]) } else { 0.0 };
                put(first + bin, if area == 0.0 { 0.0 } else { (area * inverse) as f32 });
            }
        }
    }
}
