//! A sample whose truth is known: grains of several phases in a glass capillary, and what a pencil beam sees
//! of it.
//!
//! **Sample frame.** x points right, y up, origin on the rotation axis, looking along the axis against its
//! direction: angles count counter-clockwise. Maps are `map[row, column]` with `x[column]` and `y[row]` both
//! ascending: row 0 is the **lowest** row.
//!
//! **Scan.** The sample is rotated by ω counter-clockwise and the beam runs along laboratory y, at the
//! position t along laboratory x. A ray collects what lies on x·cos ω − y·sin ω = t − c, where c is the
//! position of the rotation axis (0 unless set). The sinogram is the length of phase on that ray, averaged
//! over the width of the beam, which is one translation step: strips tile the sample, and for every ω the sum
//! of a sinogram's row times the step is the area of the phase.
//!
//! Maps and sinograms are made from the same fine points, so that this rule holds to rounding. What is
//! ignored: absorption in the sample and scattering more than once.

use rayon::prelude::*;

/// Fine points along the side of a map: at least two per pixel, as many as fit in this.
const FINE_POINTS: usize = 2048;

/// Fine points along the side of one pixel, at most.
const FINE_PER_PIXEL: usize = 16;

/// Inner radius of the capillary as a part of the outer one.
const INNER: f64 = 0.90;

/// Length of glass on a ray through the middle, as a part of the diameter.
pub const WALLS: f64 = 1.0 - INNER;

/// Number of phases that the phantom has regions for (the glass is one more).
pub const MAX_PHASES: usize = 3;

/// One region of the sample. Lengths in outer radii of the capillary.
#[derive(Debug, Clone, Copy)]
enum Region {
    /// Ellipse with half axes `a`, `b`, turned counter-clockwise by `turn` degrees.
    Ellipse { at: [f64; 2], a: f64, b: f64, turn: f64 },
    /// Part of a ring around the centre, counter-clockwise `from` one angle `to` another, degrees in 0 … 360.
    Arc { inner: f64, outer: f64, from: f64, to: f64 },
}

impl Region {
    fn holds(self, x: f64, y: f64) -> bool {
        match self {
            Region::Ellipse { at: [x0, y0], a, b, turn } => {
                let (sin, cos) = turn.to_radians().sin_cos();
                let (dx, dy) = (x - x0, y - y0);
                let (u, v) = (dx * cos + dy * sin, dy * cos - dx * sin);
                (u / a).powi(2) + (v / b).powi(2) <= 1.0
            }
            Region::Arc { inner, outer, from, to } => {
                let angle = y.atan2(x).to_degrees().rem_euclid(360.0);
                (inner..=outer).contains(&x.hypot(y)) && (from..=to).contains(&angle)
            }
        }
    }
}

/// What fills a region: number of the phase and how much of the volume it takes (the rest is void).
type Filling = (usize, f64, Region);

/// The grains. No two are alike and nothing is symmetric, so that a mirrored or turned picture is seen to be
/// wrong. Later ones lie on top.
const GRAINS: [Filling; 9] = [
    // The first phase: a large disc at the upper left and two grains.
    (0, 1.0, Region::Ellipse { at: [-0.36, 0.34], a: 0.30, b: 0.30, turn: 0.0 }),
    (0, 1.0, Region::Ellipse { at: [0.10, -0.32], a: 0.11, b: 0.11, turn: 0.0 }),
    (0, 0.5, Region::Ellipse { at: [0.52, -0.16], a: 0.15, b: 0.10, turn: -20.0 }),
    // The second: a leaf at the upper right, a half dense grain, and a hole's worth inside the large disc.
    (1, 1.0, Region::Ellipse { at: [0.36, 0.36], a: 0.40, b: 0.17, turn: 35.0 }),
    (1, 0.5, Region::Ellipse { at: [-0.16, -0.14], a: 0.15, b: 0.15, turn: 0.0 }),
    (1, 1.0, Region::Ellipse { at: [-0.42, 0.40], a: 0.11, b: 0.11, turn: 0.0 }),
    // The third: an arc along the lower wall, a needle, a grain between the others.
    (2, 1.0, Region::Arc { inner: 0.58, outer: 0.80, from: 190.0, to: 315.0 }),
    (2, 0.7, Region::Ellipse { at: [0.02, 0.16], a: 0.24, b: 0.06, turn: 80.0 }),
    (2, 1.0, Region::Ellipse { at: [-0.62, -0.08], a: 0.10, b: 0.10, turn: 0.0 }),
];

/// How a phantom is scanned.
#[derive(Debug, Clone, PartialEq)]
pub struct Trajectory {
    /// Number of rotations.
    pub rotations: usize,
    /// Number of translations; also the side of the maps in pixels.
    pub translations: usize,
    /// Range of the rotation, degrees; the last rotation lies one step before its end.
    pub range: f64,
    /// Side of the square that is scanned, mm.
    pub field: f64,
    /// Outer diameter of the capillary, mm.
    pub diameter: f64,
    /// Where the rotation axis is on the translation scale, in steps.
    pub axis_offset: f64,
}

impl Trajectory {
    /// One translation step, mm: also the width of the beam and the side of a map's pixel.
    pub fn step(&self) -> f64 {
        self.field / self.translations as f64
    }

    /// Rotations, degrees.
    pub fn angles(&self) -> Vec<f64> {
        (0..self.rotations).map(|i| i as f64 * self.range / self.rotations as f64).collect()
    }

    /// Translations, mm: also x of a map's columns and y of its rows.
    pub fn positions(&self) -> Vec<f64> {
        let middle = (self.translations as f64 - 1.0) / 2.0;
        (0..self.translations).map(|i| (i as f64 - middle) * self.step()).collect()
    }
}

/// The true maps and sinograms of one phase.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Truth {
    /// Part of the volume that the phase takes, 0 … 1: (translations, translations), rows by y, columns by x.
    pub map: Vec<f32>,
    /// Length of the phase on the ray, mm: (rotations, translations).
    pub sinogram: Vec<f32>,
}

/// A fine point of the sample that holds something.
struct Point {
    x: f64,
    y: f64,
    phase: usize,
    amount: f64,
}

/// Maps and sinograms of `phases` phases (at most [`MAX_PHASES`]) and, last, of the glass.
pub fn truth(scan: &Trajectory, phases: usize) -> Vec<Truth> {
    let n = scan.translations;
    let fine = FINE_POINTS.checked_div(n).unwrap_or(1).clamp(2, FINE_PER_PIXEL);
    let spacing = scan.step() / fine as f64;
    let points = points(scan, phases, n * fine, spacing);
    let mut maps = vec![vec![0.0_f64; n * n]; phases + 1];
    for point in &points {
        let cell = |v: f64| ((v + scan.field / 2.0) / scan.step()) as usize;
        maps[point.phase][cell(point.y) * n + cell(point.x)] += point.amount / (fine * fine) as f64;
    }
    let rows: Vec<Vec<Vec<f64>>> =
        scan.angles().into_par_iter().map(|angle| project(scan, phases, &points, spacing, angle)).collect();
    let sinogram = |phase: usize| rows.iter().flat_map(|row| row[phase].iter().map(|&v| v as f32)).collect();
    maps.into_iter()
        .enumerate()
        .map(|(phase, map)| Truth {
            map: map.into_iter().map(|v| v as f32).collect(),
            sinogram: sinogram(phase),
        })
        .collect()
}

/// The fine points that hold something, `side` × `side` of them at most, `spacing` mm apart.
fn points(scan: &Trajectory, phases: usize, side: usize, spacing: f64) -> Vec<Point> {
    let radius = scan.diameter / 2.0;
    let place = |i: usize| (i as f64 + 0.5) * spacing - scan.field / 2.0;
    let row = |j: usize| {
        (0..side).filter_map(move |i| {
            let (x, y) = (place(i), place(j));
            let (phase, amount) = content(x / radius, y / radius, phases)?;
            Some(Point { x, y, phase, amount })
        })
    };
    (0..side).flat_map(row).collect()
}

/// Which phase is at a point (in radii of the capillary) and how dense; the glass is phase number `phases`.
fn content(x: f64, y: f64, phases: usize) -> Option<(usize, f64)> {
    let distance = x.hypot(y);
    if distance > 1.0 {
        return None;
    }
    if distance >= INNER {
        return Some((phases, 1.0));
    }
    let grain = GRAINS.iter().rev().find(|(phase, _, region)| *phase < phases && region.holds(x, y));
    grain.map(|&(phase, amount, _)| (phase, amount))
}

/// One row of each phase's sinogram, mm.
fn project(scan: &Trajectory, phases: usize, points: &[Point], spacing: f64, angle: f64) -> Vec<Vec<f64>> {
    let n = scan.translations;
    let step = scan.step();
    let (sin, cos) = angle.to_radians().sin_cos();
    let mut rows = vec![vec![0.0; n]; phases + 1];
    for point in points {
        let row = &mut rows[point.phase];
        // A point is as wide as its spacing; what it holds is shared between the two strips that it touches.
        let s = point.x * cos - point.y * sin + scan.axis_offset * step;
        let left = (s - spacing / 2.0 + scan.field / 2.0) / step;
        let strip = left.floor();
        let in_next = ((left + spacing / step - strip - 1.0) * step / spacing).max(0.0);
        let length = point.amount * spacing * spacing / step;
        for (strip, part) in [(strip, 1.0 - in_next), (strip + 1.0, in_next)] {
            if (0.0..n as f64).contains(&strip) {
                row[strip as usize] += part * length;
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan() -> Trajectory {
        Trajectory {
            rotations: 12,
            translations: 40,
            range: 180.0,
            field: 1.2,
            diameter: 1.0,
            axis_offset: 0.0,
        }
    }

    #[test]
    fn every_projection_holds_all_of_the_sample() {
        let scan = scan();
        for truth in truth(&scan, 3) {
            let area: f64 = truth.map.iter().map(|&v| f64::from(v)).sum::<f64>() * scan.step().powi(2);
            for row in truth.sinogram.chunks(scan.translations) {
                let sum: f64 = row.iter().map(|&v| f64::from(v)).sum::<f64>() * scan.step();
                assert!((sum - area).abs() < 1e-6 * area, "{sum} {area}");
            }
        }
    }

    #[test]
    fn projections_at_right_angles_are_sums_of_the_map() {
        let mut scan = scan();
        scan.rotations = 4;
        scan.range = 360.0;
        let n = scan.translations;
        for truth in truth(&scan, 2) {
            let along = |f: &dyn Fn(usize, usize) -> usize| -> Vec<f64> {
                let sum = |i| (0..n).map(|j| f64::from(truth.map[f(i, j)])).sum::<f64>() * scan.step();
                (0..n).map(sum).collect()
            };
            let expected = [
                along(&|i, j| j * n + i),           // 0°: t = x
                along(&|i, j| (n - 1 - i) * n + j), // 90°: t = −y
                along(&|i, j| j * n + (n - 1 - i)), // 180°: t = −x
                along(&|i, j| i * n + j),           // 270°: t = y
            ];
            for (row, expected) in truth.sinogram.chunks(n).zip(expected) {
                for (a, b) in row.iter().zip(expected) {
                    assert!((f64::from(*a) - b).abs() < 1e-5, "{a} {b}");
                }
            }
        }
    }

    #[test]
    fn regions_lie_where_they_are_said_to() {
        assert_eq!(content(-0.30, 0.10, 3), Some((0, 1.0)), "disc, upper left");
        assert_eq!(content(0.45, 0.42, 3), Some((1, 1.0)), "leaf, upper right");
        assert_eq!(content(0.0, -0.7, 3), Some((2, 1.0)), "arc, bottom");
        assert_eq!(content(0.0, 0.95, 3), Some((3, 1.0)), "glass");
        assert_eq!(content(0.0, -0.7, 2), None);
        assert_eq!(content(0.9, 0.9, 3), None, "air");
    }

    #[test]
    fn an_axis_out_of_place_moves_the_sinogram() {
        let mut moved = scan();
        moved.axis_offset = 3.0;
        let (at_home, away) = (truth(&scan(), 3), truth(&moved, 3));
        for (home, away) in at_home.iter().zip(&away) {
            assert_eq!(home.map, away.map);
            for (home, away) in home.sinogram.chunks(40).zip(away.sinogram.chunks(40)) {
                assert!(home[2..37].iter().zip(&away[5..]).all(|(a, b)| (a - b).abs() < 1e-5));
            }
        }
    }
}
