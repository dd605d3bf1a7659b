//! Where pixels are: from image indices through detector and tilts to the laboratory.
//!
//! A pixel (row, column) is first a point on the detector, in metres from the PONI (the foot of the perpendicular from
//! the sample), then, by three rotations, a point (x, y, z) in the laboratory. The rotation of a grid point is
//! linear in its row part and its column part, so [`Lattice`] keeps both apart and a point costs six additions.
//!
//! pyFAI computes the three lattices that are needed with three roundings, and bin limits depend on them, so they
//! are kept apart here too:
//! * centres: float64 throughout;
//! * corners: float64 indices and positions, the radial and azimuthal coordinates rounded to float32 (for 2θ, q, r);
//! * corners for all other units: positions on the detector are rounded to float32 first.
//!
//! All loops run over blocks of rows in parallel; a value never depends on how rows were shared out.

use super::detector::Detector;
use super::poni::Poni;
use super::units::{Formula, Space, Unit};
use crate::frame::Shape;
use rayon::prelude::*;

/// Which points of the pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Points {
    /// Centres: slow × fast points.
    Centres,
    /// Corners: (slow + 1) × (fast + 1) points; pixel (i, j) has corners (i…i+1, j…j+1).
    Corners,
    /// Corners whose position on the detector was rounded to float32.
    RoundedCorners,
}

impl Points {
    /// Corners as pyFAI makes them for this unit.
    pub fn corners_for(unit: Unit) -> Points {
        match unit.space() {
            Space::TwoTheta | Space::Q | Space::R => Points::Corners,
            _ => Points::RoundedCorners,
        }
    }
}

/// A grid of points in the laboratory, kept as row parts and column parts.
pub struct Lattice {
    rows: Vec<[f64; 3]>,
    columns: Vec<[f64; 3]>,
    /// What the distance contributes: subtracted from y and x, added to z.
    distance: [f64; 3],
}

impl Lattice {
    /// The points of an image of this shape.
    pub fn new(poni: &Poni, shape: Shape, points: Points) -> Lattice {
        let detector = &poni.detector;
        let (s1, c1) = poni.rot1.sin_cos();
        let (s2, c2) = poni.rot2.sin_cos();
        let (s3, c3) = poni.rot3.sin_cos();
        let flips = detector.orientation;
        let p1 = coordinates(shape.slow, detector.pixel1, flips.flips_slow(), points);
        let p2 = coordinates(shape.fast, detector.pixel2, flips.flips_fast(), points);
        // Products and sums in the order of pyFAI's f_t1, f_t2 and f_t3 (y, x, z).
        let row = |p: f64| [p * c2 * c3, p * c2 * s3, p * s2];
        let column = |p: f64| [p * (c3 * s1 * s2 - c1 * s3), p * (c1 * c3 + s1 * s2 * s3), p * c2 * s1];
        let l = poni.distance;
        Lattice {
            rows: p1.into_iter().map(|p| row(p - poni.poni1)).collect(),
            columns: p2.into_iter().map(|p| column(p - poni.poni2)).collect(),
            distance: [l * (c1 * c3 * s2 + s1 * s3), l * (-(c3 * s1) + c1 * s2 * s3), l * c1 * c2],
        }
    }

    /// Number of rows of points.
    pub fn slow(&self) -> usize {
        self.rows.len()
    }

    /// Number of points in a row.
    pub fn fast(&self) -> usize {
        self.columns.len()
    }

    /// The points of one row as (x, y, z), metres.
    #[inline]
    pub fn row(&self, row: usize) -> impl Iterator<Item = (f64, f64, f64)> + '_ {
        let [r1, r2, r3] = self.rows[row];
        let [d1, d2, d3] = self.distance;
        self.columns.iter().map(move |&[c1, c2, c3]| (r2 + c2 - d2, r1 + c1 - d1, r3 - c3 + d3))
    }
}

/// Positions along one axis of the detector, metres from the edge of its first pixel.
fn coordinates(pixels: usize, pixel: f64, flipped: bool, points: Points) -> Vec<f64> {
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

/// Distances from the PONI of the pixel centres along both axes, in float32 as pyFAI has them when it computes
/// solid angles.
pub(super) fn rounded_centres(poni: &Poni, shape: Shape) -> (Vec<f32>, Vec<f32>) {
    let detector: &Detector = &poni.detector;
    let axis = |pixels: usize, pixel: f64, flipped: bool, poni: f64| -> Vec<f32> {
        let index = |i: usize| (if flipped { pixels - 1 - i } else { i }) as f32;
        (0..pixels).map(|i| pixel as f32 * (0.5 + index(i)) - poni as f32).collect()
    };
    (
        axis(shape.slow, detector.pixel1, detector.orientation.flips_slow(), poni.poni1),
        axis(shape.fast, detector.pixel2, detector.orientation.flips_fast(), poni.poni2),
    )
}

/// One value a pixel, from the place of its centre (x, y, z).
pub fn map_centres<T: Send + Clone + Default>(
    poni: &Poni,
    shape: Shape,
    value: impl Fn(f64, f64, f64) -> T + Sync,
) -> Vec<T> {
    let lattice = Lattice::new(poni, shape, Points::Centres);
    let mut values = vec![T::default(); shape.pixels()];
    values.par_chunks_mut(shape.fast.max(1)).enumerate().for_each(|(row, values)| {
        for (out, (x, y, z)) in values.iter_mut().zip(lattice.row(row)) {
            *out = value(x, y, z);
        }
    });
    values
}

/// Radial coordinate of every pixel's centre, in the unit's base value (rad, nm⁻¹, m, …), C order.
///
/// # Errors
/// [`WavelengthMissing`] when the unit needs a wavelength and the PONI has none.
pub fn radial(poni: &Poni, shape: Shape, unit: Unit) -> Result<Vec<f64>, WavelengthMissing> {
    let formula = formula(poni, unit)?;
    Ok(map_centres(poni, shape, |x, y, z| formula.at(x, y, z)))
}

/// Scattering angle 2θ of every pixel's centre, radians.
pub fn two_theta(poni: &Poni, shape: Shape) -> Vec<f64> {
    map_centres(poni, shape, |x, y, z| (x * x + y * y).sqrt().atan2(z))
}

/// Azimuth χ of every pixel's centre: radians from x towards y, −π … π.
pub fn azimuthal(poni: &Poni, shape: Shape) -> Vec<f64> {
    map_centres(poni, shape, |x, y, _| y.atan2(x))
}

/// The unit needs a wavelength and the PONI has none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the unit {unit} needs the wavelength, and the PONI has none: add a line \"Wavelength: 1.0e-10\" (metres), or use 2th_deg or r_mm"
)]
pub struct WavelengthMissing {
    /// The unit asked for.
    pub unit: Unit,
}

/// The unit's formula with the PONI's wavelength in it.
///
/// # Errors
/// [`WavelengthMissing`] when it is needed and missing.
pub fn formula(poni: &Poni, unit: Unit) -> Result<Formula, WavelengthMissing> {
    match poni.wavelength {
        Some(wavelength) => Ok(unit.formula(wavelength)),
        None if unit.needs_wavelength() => Err(WavelengthMissing { unit }),
        None => Ok(unit.formula(1.0)),
    }
}
