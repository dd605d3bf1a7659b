//! Where pixels are on a detector: metres along the slow and the fast axis, and behind the plane of the first.
//!
//! Most detectors are a lattice: a point's place along one axis depends on its index along that axis alone ([`Axes`]), be pixels all
//! alike, larger where modules meet, or on a cylinder. What is none is a [`PixelSheet`], which says the corners of each pixel by itself.
//!
//! The roundings are pyFAI's, and so is what an orientation turns: see [`Turn`] for where that is not the same for all points.

mod cirpad;
mod sheet;

pub use sheet::{MOST_CORNERS, PixelSheet};

use super::catalogue::{PixelLayout, Turn};
use super::detector::Detector;
use crate::frame::Shape;

/// Which points of the pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Points {
    /// Centres: slow × fast points.
    Centres,
    /// Corners: (slow + 1) × (fast + 1) points; pixel (i, j) has corners (i…i+1, j…j+1).
    Corners,
    /// Corners as pyFAI's table of them has them, in float32.
    RoundedCorners,
}

/// A lattice of points, metres.
#[derive(Debug, Clone, Default)]
pub struct Axes {
    /// Along the slow axis, for each row.
    pub slow: Vec<f64>,
    /// Along the fast axis, for each column.
    pub fast: Vec<f64>,
    /// Behind the plane, for each column; empty for a flat detector.
    pub behind: Vec<f64>,
}

/// The points of an image of this shape; `None` when they are no lattice.
pub fn axes(detector: &Detector, shape: Shape, points: Points) -> Option<Axes> {
    let flips = (detector.orientation.flips_slow(), detector.orientation.flips_fast());
    if !PixelSheet::is_lattice(detector) {
        return None;
    }
    match detector.layout() {
        PixelLayout::Grid => Some(Axes {
            slow: grid(shape.slow, detector.pixel1, flips.0, points),
            fast: grid(shape.fast, detector.pixel2, flips.1, points),
            behind: vec![],
        }),
        PixelLayout::Tiles { border, turn } => {
            let (module, pixel) = (detector.module()?, detector.class()?.pixel);
            let axis = |pixels: usize, module: usize, pixel: f64, flipped: bool| {
                tiles(&edges(&line_sizes(pixels, module, border, pixel)), flipped, turn, points)
            };
            Some(Axes {
                slow: axis(shape.slow, module.0, pixel.0, flips.0),
                fast: axis(shape.fast, module.1, pixel.1, flips.1),
                behind: vec![],
            })
        }
        PixelLayout::Cylinder(radius) => {
            let angle = |column: usize| column as f64 * (detector.pixel2 / radius);
            let rounded = |value: f64| f64::from(value as f32);
            let slow: Vec<f64> = (0..=shape.slow).map(|row| rounded(row as f64 * detector.pixel1)).collect();
            let fast: Vec<f64> =
                (0..=shape.fast).map(|column| rounded(radius * angle(column).sin())).collect();
            let behind: Vec<f64> =
                (0..=shape.fast).map(|column| rounded(radius * (angle(column).cos() - 1.0))).collect();
            Some(Axes {
                slow: bent(&slow, flips.0, points),
                fast: bent(&fast, flips.1, points),
                behind: bent(&behind, flips.1, points),
            })
        }
        PixelLayout::Spaced { .. } | PixelLayout::Cirpad | PixelLayout::Hexagons(_) => None,
    }
}

/// Points along one axis of a regular grid, metres from the edge of its first pixel.
fn grid(pixels: usize, pixel: f64, flipped: bool, points: Points) -> Vec<f64> {
    let count = if points == Points::Centres { pixels } else { pixels + 1 };
    (0..count)
        .map(|i| {
            let index = (if flipped { count - 1 - i } else { i }) as f64;
            match points {
                Points::Centres => pixel * (0.5 + index),
                Points::Corners => pixel * index,
                Points::RoundedCorners => f64::from(pixel as f32 * index as f32),
            }
        })
        .collect()
}

/// PixelSizes of pixels along one axis: larger by `border` on both sides of where two modules meet.
fn line_sizes(pixels: usize, module: usize, border: f64, pixel: f64) -> Vec<f64> {
    let mut sizes = vec![1.0; pixels];
    for meeting in (1..pixels / module.max(1)).map(|n| n * module) {
        sizes[meeting - 1] = border;
        sizes[meeting] = border;
    }
    sizes.into_iter().map(|size| pixel * size).collect()
}

/// Edges of pixels of these sizes.
fn edges(sizes: &[f64]) -> Vec<f64> {
    let mut at = 0.0;
    let after = sizes.iter().map(|size| {
        at += size;
        at
    });
    std::iter::once(0.0).chain(after).collect()
}

/// Points along one axis of a tiled detector. The arithmetic is that of numpy's `interp` on edges in the order that pyFAI has them in.
fn tiles(edges: &[f64], flipped: bool, turn: Turn, points: Points) -> Vec<f64> {
    let last = edges.len() - 1;
    // What ImXPads are integrated over is turned twice, which leaves it where it was; the way there still decides on the rounding.
    let edge = |i: usize| if flipped && turn == Turn::Corners { edges[last - i] } else { edges[i] };
    let index = |i: usize, count: usize| if flipped { count - 1 - i } else { i };
    match points {
        Points::Centres => (0..last)
            .map(|i| {
                let i = index(i, last);
                (edge(i + 1) - edge(i)) * 0.5 + edge(i)
            })
            .collect(),
        Points::Corners => (0..=last).map(|i| edge(index(i, last + 1))).collect(),
        Points::RoundedCorners => (0..=last).map(|i| f64::from(edge(i) as f32)).collect(),
    }
}

/// Points along one axis of a cylinder, from its rounded corners.
fn bent(corners: &[f64], flipped: bool, points: Points) -> Vec<f64> {
    let last = corners.len() - 1;
    match points {
        Points::Centres => (0..last)
            .map(|i| if flipped { last - 1 - i } else { i })
            .map(|i| {
                f64::from(
                    (corners[i] * 0.25 + corners[i] * 0.25 + corners[i + 1] * 0.25 + corners[i + 1] * 0.25)
                        as f32,
                )
            })
            .collect(),
        Points::Corners => (0..=last).map(|i| corners[if flipped { last - i } else { i }]).collect(),
        Points::RoundedCorners => corners.to_vec(),
    }
}
