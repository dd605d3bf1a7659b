//! Detectors whose pixels have their corners for themselves: modules apart, in an arc, hexagons, and what a file says.

use std::f64::consts::PI;
use std::sync::Arc;

use super::cirpad::Cirpad;
use super::{Axes, Points, axes, edges, line_sizes};
use crate::frame::Shape;
use crate::geometry::catalogue::PixelLayout;
use crate::geometry::detector::{Detector, FileContent};

/// Most corners that a pixel has.
pub const MOST_CORNERS: usize = 6;

/// Places of pixels on any detector: behind the plane, along slow and along fast, metres.
#[derive(Debug, Clone)]
pub struct PixelSheet {
    shape: Shape,
    /// Which axes an orientation flips.
    flips: (bool, bool),
    places: PixelPlaces,
}

#[derive(Debug, Clone)]
enum PixelPlaces {
    /// A lattice: its centres and its rounded corners.
    Lattice {
        centres: Axes,
        corners: Axes,
    },
    /// Lower and upper edge of each row and column.
    Apart {
        rows: Vec<[f64; 2]>,
        columns: Vec<[f64; 2]>,
    },
    Cirpad(Cirpad),
    Hexagons {
        pitch: f32,
        around: [(f64, f64); MOST_CORNERS],
    },
    Listed(Arc<FileContent>),
}

impl PixelSheet {
    /// The pixels of a detector. `None` when it does not say enough: a class without its modules, a file that nobody read or that lists
    /// other pixels.
    pub fn new(detector: &Detector, shape: Shape) -> Option<PixelSheet> {
        let flips = (detector.orientation.flips_slow(), detector.orientation.flips_fast());
        if detector.file.is_some() && detector.content().is_none() {
            return None;
        }
        let listed = detector.content().filter(|content| content.corners.is_some());
        let places = match (listed, detector.layout()) {
            (Some(content), _) => {
                let listed = content.corners.as_ref()?.len();
                let is_all = content.shape == shape && listed == shape.pixels() * content.corners_each * 3;
                is_all.then(|| PixelPlaces::Listed(Arc::clone(content)))?
            }
            (None, PixelLayout::Spaced { border, gap }) => {
                let (module, pixels) = (detector.module()?, (detector.pixel1, detector.pixel2));
                PixelPlaces::Apart {
                    rows: apart(&vec![pixels.0; shape.slow], module.0, gap.0),
                    columns: apart(&line_sizes(shape.fast, module.1, border, pixels.1), module.1, gap.1),
                }
            }
            (None, PixelLayout::Cirpad) => PixelPlaces::Cirpad(Cirpad::new(shape.slow, shape.fast)),
            (None, PixelLayout::Hexagons(pitch)) => {
                PixelPlaces::Hexagons { pitch: pitch as f32, around: hexagon() }
            }
            (None, PixelLayout::Grid | PixelLayout::Tiles { .. } | PixelLayout::Cylinder(_)) => {
                PixelPlaces::Lattice {
                    centres: axes(detector, shape, Points::Centres)?,
                    corners: axes(detector, shape, Points::RoundedCorners)?,
                }
            }
        };
        Some(PixelSheet { shape, flips, places })
    }

    /// Whether it is known that corners are in the order of rows and columns: no file lists them, and none is yet to be read.
    pub fn is_lattice(detector: &Detector) -> bool {
        match (&detector.file, detector.content()) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(_), Some(content)) => content.corners.is_none(),
        }
    }

    /// Corners of a pixel.
    pub fn corners_each(&self) -> usize {
        match &self.places {
            PixelPlaces::Hexagons { .. } => 6,
            PixelPlaces::Listed(content) => content.corners_each,
            _ => 4,
        }
    }

    /// Whether all of it is in one plane.
    pub fn is_flat(&self) -> bool {
        match &self.places {
            PixelPlaces::Lattice { centres, .. } => centres.behind.is_empty(),
            PixelPlaces::Apart { .. } | PixelPlaces::Hexagons { .. } => true,
            PixelPlaces::Cirpad(_) => false,
            PixelPlaces::Listed(content) => content.is_flat,
        }
    }

    /// A corner of a pixel, as pyFAI's table of corners has it; they go round from the first: (0, 0), (1, 0), (1, 1), (0, 1) along
    /// (slow, fast).
    pub fn corner(&self, row: usize, column: usize, corner: usize) -> [f64; 3] {
        let (below, right) = (usize::from(corner == 1 || corner == 2), usize::from(corner >= 2));
        match &self.places {
            PixelPlaces::Lattice { corners, .. } => {
                let behind = corners.behind.get(column + right).copied().unwrap_or_default();
                [behind, corners.slow[row + below], corners.fast[column + right]]
            }
            PixelPlaces::Apart { rows, columns } => [0.0, rows[row][below], columns[column][right]],
            PixelPlaces::Cirpad(cirpad) => cirpad.corner(row, column, corner),
            PixelPlaces::Hexagons { pitch, around } => {
                let (across, up) = around[corner];
                let height = 0.5 * 3.0_f64.sqrt();
                let fast = (column as f64 + across) as f32 + if row % 2 == 1 { 0.5 } else { 0.0 };
                let slow = (row as f64 * height + up) as f32;
                [0.0, f64::from(slow * pitch), f64::from(fast * pitch)]
            }
            PixelPlaces::Listed(content) => {
                let first = ((row * self.shape.fast + column) * content.corners_each + corner) * 3;
                let corners = content.corners.as_deref().unwrap_or_default();
                std::array::from_fn(|i| corners.get(first + i).copied().map_or(f64::NAN, f64::from))
            }
        }
    }

    /// A corner as pyFAI has it when it integrates over 2θ, q or r: where neighbours share their corners, that of the pixel which
    /// has it as its first, counted as the orientation says.
    pub fn integrated_corner(&self, row: usize, column: usize, corner: usize) -> [f64; 3] {
        let PixelPlaces::Listed(content) = &self.places else { return self.corner(row, column, corner) };
        if !content.is_contiguous || content.corners_each != 4 {
            return self.corner(row, column, corner);
        }
        let turn = |index: usize, pixels: usize, flipped: bool| if flipped { pixels - index } else { index };
        let row = turn(row + usize::from(corner == 1 || corner == 2), self.shape.slow, self.flips.0);
        let column = turn(column + usize::from(corner >= 2), self.shape.fast, self.flips.1);
        let (beyond, across) = (row == self.shape.slow, column == self.shape.fast);
        let of = [[0, 3], [1, 2]][usize::from(beyond)][usize::from(across)];
        let [behind, slow, fast] = self.corner(row - usize::from(beyond), column - usize::from(across), of);
        [if content.is_flat { 0.0 } else { behind }, slow, fast]
    }

    /// The centre of a pixel: the mean of its first four corners.
    pub fn centre(&self, row: usize, column: usize) -> [f64; 3] {
        let (row, column) = match &self.places {
            PixelPlaces::Lattice { centres, .. } => {
                let behind = centres.behind.get(column).copied().unwrap_or_default();
                return [behind, centres.slow[row], centres.fast[column]];
            }
            PixelPlaces::Apart { .. } | PixelPlaces::Cirpad(_) => (row, column),
            PixelPlaces::Hexagons { .. } | PixelPlaces::Listed(_) => {
                let turn = |index: usize, pixels: usize, flipped: bool| {
                    if flipped { pixels - 1 - index } else { index }
                };
                (turn(row, self.shape.slow, self.flips.0), turn(column, self.shape.fast, self.flips.1))
            }
        };
        let [a, b, c, d] = [0, 1, 2, 3].map(|corner| self.corner(row, column, corner));
        let mean = |i: usize| f64::from((a[i] * 0.25 + b[i] * 0.25 + c[i] * 0.25 + d[i] * 0.25) as f32);
        [if self.is_flat() { 0.0 } else { mean(0) }, mean(1), mean(2)]
    }
}

/// Lower and upper edge of pixels of these sizes, in modules that stand apart.
fn apart(sizes: &[f64], module: usize, gap: f64) -> Vec<[f64; 2]> {
    let edges = edges(sizes);
    let whole = (sizes.len() / module.max(1)) * module;
    let line = |i: usize| {
        let mut centre = sizes[i] / 2.0 + edges[i];
        if i < whole {
            centre += (i / module) as f64 * gap;
        }
        [centre - sizes[i] / 2.0, centre + sizes[i] / 2.0].map(|edge| f64::from(edge as f32))
    };
    (0..sizes.len()).map(line).collect()
}

/// Corners of a hexagon whose neighbour is at distance 1, from the lowest one on: across and up, none of them negative.
fn hexagon() -> [(f64, f64); MOST_CORNERS] {
    let corner = |k: usize| {
        let (up, across) = ((k as f64 / 3.0 - 0.5) * PI).sin_cos();
        (across / 3.0_f64.sqrt(), up / 3.0_f64.sqrt())
    };
    let around: [(f64, f64); MOST_CORNERS] = std::array::from_fn(corner);
    let least = |of: fn(&(f64, f64)) -> f64| around.iter().map(of).fold(f64::INFINITY, f64::min);
    let (left, low) = (least(|c| c.0), least(|c| c.1));
    around.map(|(across, up)| (across - left, up - low))
}
