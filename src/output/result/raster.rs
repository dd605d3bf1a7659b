//! Which frames are in a result, and which points of a map they are.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// One axis of a map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Motor {
    /// Name of the motor, shown by viewers.
    pub name: String,
    /// Number of points.
    pub points: usize,
    /// Position at the first and at the last point.
    pub range: (f64, f64),
}

impl Motor {
    /// A motor without positions: points are counted from 0.
    pub fn counted(name: &str, points: usize) -> Motor {
        Motor { name: name.into(), points, range: (0.0, points.saturating_sub(1) as f64) }
    }

    /// The position of each point, evenly spaced.
    pub fn positions(&self) -> Vec<f64> {
        (0..self.points).map(|point| self.position(point)).collect()
    }

    /// The position of one point.
    fn position(&self, point: usize) -> f64 {
        let (start, stop) = self.range;
        let steps = self.points.saturating_sub(1).max(1) as f64;
        start + (stop - start) * point as f64 / steps
    }
}

/// How frames follow one another in a map: frame n is at row n ÷ fast, column n mod fast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Raster {
    /// The motor that moves once a row.
    pub slow: Motor,
    /// The motor that moves once a frame.
    pub fast: Motor,
    /// Whether odd rows run backwards.
    pub zigzag: bool,
}

impl Raster {
    /// A scan of `slow` rows of `fast` points without positions.
    pub fn new(slow: usize, fast: usize, zigzag: bool) -> Raster {
        Raster { slow: Motor::counted("slow", slow), fast: Motor::counted("fast", fast), zigzag }
    }

    /// Number of points of the map.
    pub fn points(&self) -> usize {
        self.slow.points.saturating_mul(self.fast.points)
    }

    /// Which point of the map (row · fast + column) frame `n` is.
    pub fn point(&self, n: usize) -> usize {
        let (row, column) = (n / self.fast.points, n % self.fast.points);
        match self.zigzag && row % 2 == 1 {
            true => row * self.fast.points + (self.fast.points - 1 - column),
            false => n,
        }
    }

    /// Some of its lines as a map of their own; with `zigzag` the first must run forwards.
    pub fn lines(&self, lines: Range<usize>) -> Raster {
        let range = (self.slow.position(lines.start), self.slow.position(lines.end.saturating_sub(1)));
        Raster { slow: Motor { name: self.slow.name.clone(), points: lines.len(), range }, ..self.clone() }
    }
}

/// Which frames of the input are in a file: every `step`th from `first` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameNumbers {
    /// The first.
    pub first: usize,
    /// From one to the next.
    pub step: usize,
}
