//! Where pixels are: from image indices through detector and tilts to the laboratory.
//!
//! A pixel (row, column) is first a point on the detector ([`super::surface`]), in metres from the PONI (the foot of the
//! perpendicular from the sample), then, by three rotations, a point (x, y, z) in the laboratory. The rotation of a point of a lattice
//! is linear in its row part and its column part, so [`Lattice`] keeps both apart and a point costs six additions. Pixels that are on no
//! lattice, or that a parallax correction moves, are turned one by one ([`Scattered`]).
//!
//! pyFAI computes the three kinds of points that are needed with three roundings, and bin limits depend on them, so they
//! are kept apart here too:
//! * centres: float64 throughout;
//! * corners: float64 indices and positions, the radial and azimuthal coordinates rounded to float32 (for 2θ, q, r);
//! * corners for all other units, and wherever parallax is corrected: positions on the detector are rounded to float32 first.
//!
//! All loops run over blocks of rows in parallel; a value never depends on how rows were shared out.

use super::parallax::Parallax;
use super::poni::Poni;
use super::surface::{self, Axes, MOST_CORNERS, PixelSheet};
use super::units::{Formula, Space, Unit};
use crate::frame::Shape;
use rayon::prelude::*;

pub use super::surface::Points;

impl Points {
    /// Corners as pyFAI makes them for this unit.
    pub fn corners_for(unit: Unit) -> Points {
        match unit.space() {
            Space::TwoTheta | Space::Q | Space::R => Points::Corners,
            _ => Points::RoundedCorners,
        }
    }
}

/// The three rotations. Products and sums are in the order of pyFAI's f_t1, f_t2 and f_t3 (y, x, z).
#[derive(Debug, Clone, Copy)]
struct Rotations {
    sines: [f64; 3],
    cosines: [f64; 3],
}

impl Rotations {
    fn of(poni: &Poni) -> Rotations {
        let angles = [poni.rot1, poni.rot2, poni.rot3];
        Rotations { sines: angles.map(f64::sin), cosines: angles.map(f64::cos) }
    }

    /// What a place along the slow axis adds.
    fn row(&self, p: f64) -> [f64; 3] {
        let ([_, s2, s3], [_, c2, c3]) = (self.sines, self.cosines);
        [p * c2 * c3, p * c2 * s3, p * s2]
    }

    /// What a place along the fast axis adds; taken off z.
    fn column(&self, p: f64) -> [f64; 3] {
        let ([s1, s2, s3], [c1, c2, c3]) = (self.sines, self.cosines);
        [p * (c3 * s1 * s2 - c1 * s3), p * (c1 * c3 + s1 * s2 * s3), p * c2 * s1]
    }

    /// What the distance takes off y and x, and adds to z.
    fn distance(&self, l: f64) -> [f64; 3] {
        let ([s1, s2, s3], [c1, c2, c3]) = (self.sines, self.cosines);
        [l * (c1 * c3 * s2 + s1 * s3), l * (-(c3 * s1) + c1 * s2 * s3), l * c1 * c2]
    }

    /// A point that is so far from the PONI along both axes, and so far from the sample: (x, y, z).
    fn point(&self, slow: f64, fast: f64, away: f64) -> Point {
        sum(self.row(slow), self.column(fast), self.distance(away))
    }
}

/// A place in the laboratory: x, y, z in metres.
pub type Point = (f64, f64, f64);

#[inline]
fn sum([r1, r2, r3]: [f64; 3], [c1, c2, c3]: [f64; 3], [d1, d2, d3]: [f64; 3]) -> Point {
    (r2 + c2 - d2, r1 + c1 - d1, r3 - c3 + d3)
}

/// A grid of points in the laboratory, kept as row parts and column parts.
pub struct Lattice {
    rows: Vec<[f64; 3]>,
    columns: Vec<[f64; 3]>,
    /// What the distance contributes: subtracted from y and x, added to z.
    distance: [f64; 3],
    /// The same for each column of a detector that is bent; else empty.
    distances: Vec<[f64; 3]>,
}

impl Lattice {
    /// The points of an image of this shape; `None` when they are no lattice.
    pub fn new(poni: &Poni, shape: Shape, points: Points) -> Option<Lattice> {
        if poni.parallax {
            return None;
        }
        let Axes { slow, fast, behind } = surface::axes(&poni.detector, shape, points)?;
        let rotations = Rotations::of(poni);
        Some(Lattice {
            rows: slow.into_iter().map(|p| rotations.row(p - poni.poni1)).collect(),
            columns: fast.into_iter().map(|p| rotations.column(p - poni.poni2)).collect(),
            distance: rotations.distance(poni.distance),
            distances: behind.into_iter().map(|p| rotations.distance(poni.distance + p)).collect(),
        })
    }

    /// Number of rows of points.
    pub fn slow(&self) -> usize {
        self.rows.len()
    }

    /// Number of points in a row.
    pub fn fast(&self) -> usize {
        self.columns.len()
    }

    /// The points of one row.
    #[inline]
    pub fn row(&self, row: usize) -> impl Iterator<Item = Point> + '_ {
        let (row, distance) = (self.rows[row], self.distance);
        let is_flat = self.distances.is_empty();
        self.columns
            .iter()
            .enumerate()
            .map(move |(j, &column)| sum(row, column, if is_flat { distance } else { self.distances[j] }))
    }
}

/// Points in the laboratory that are no lattice.
pub struct Scattered {
    sheet: PixelSheet,
    rotations: Rotations,
    poni: (f64, f64),
    distance: f64,
    parallax: Option<Parallax>,
    points: Points,
}

/// Why it is not known where the pixels of a detector are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unplaced {
    /// The detector does not say it.
    #[error("the detector {0} does not say where each of {1} pixels is")]
    Detector(String, Shape),
    /// Parallax cannot be corrected.
    #[error("parallax: {0}")]
    Parallax(String),
}

impl Scattered {
    /// The pixels of an image of this shape.
    ///
    /// # Errors
    /// [`Unplaced`] when that cannot be known.
    pub fn new(poni: &Poni, shape: Shape, points: Points) -> Result<Scattered, Unplaced> {
        let sheet = PixelSheet::new(&poni.detector, shape);
        let unplaced = || Unplaced::Detector(poni.detector.name.clone(), shape);
        Ok(Scattered {
            sheet: sheet.ok_or_else(unplaced)?,
            rotations: Rotations::of(poni),
            poni: (poni.poni1, poni.poni2),
            distance: poni.distance,
            parallax: poni.parallax_correction().map_err(Unplaced::Parallax)?,
            points,
        })
    }

    /// How many corners each pixel has.
    pub fn corners_each(&self) -> usize {
        self.sheet.corners_each()
    }

    /// The centre of a pixel.
    pub fn centre(&self, row: usize, column: usize) -> Point {
        let [behind, slow, fast] = self.sheet.centre(row, column);
        let (mut slow, mut fast) = (slow - self.poni.0, fast - self.poni.1);
        if let Some(parallax) = &self.parallax {
            let incidence = self.incidence(row, column, slow, fast);
            let length = slow.hypot(fast);
            if length > 0.0 {
                let moved = parallax.shift(incidence);
                (slow, fast) = (slow + moved * (slow / length), fast + moved * (fast / length));
            }
        }
        self.rotations.point(slow, fast, self.distance + behind)
    }

    /// Sine of the angle between the ray to a pixel and its normal.
    fn incidence(&self, row: usize, column: usize, slow: f64, fast: f64) -> f64 {
        if self.sheet.is_flat() {
            let r2 = slow * slow + fast * fast;
            return (r2 / (self.distance * self.distance + r2)).sqrt();
        }
        let cosine = self.cosine(row, column).clamp(0.0, 1.0);
        (1.0 - cosine * cosine).sqrt()
    }

    /// Cosine of the angle between the ray to a pixel and its normal, which is that of its diagonals.
    pub(super) fn cosine(&self, row: usize, column: usize) -> f64 {
        let place = |[behind, slow, fast]: [f64; 3]| {
            let (x, y, z) =
                self.rotations.point(slow - self.poni.0, fast - self.poni.1, self.distance + behind);
            [z, y, x]
        };
        let ray = place(self.sheet.centre(row, column));
        let [a, b, c, d] = [0, 1, 2, 3].map(|corner| place(self.sheet.corner(row, column, corner)));
        let way = |from: [f64; 3], to: [f64; 3]| [to[0] - from[0], to[1] - from[1], to[2] - from[2]];
        let (one, other) = (way(a, c), way(b, d));
        let normal = [
            one[1] * other[2] - one[2] * other[1],
            one[2] * other[0] - one[0] * other[2],
            one[0] * other[1] - one[1] * other[0],
        ];
        let unit = |v: [f64; 3]| {
            let length = (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).sqrt();
            v.map(|part| part / length)
        };
        let (ray, normal) = (unit(ray), unit(normal));
        ray[0] * normal[0] + ray[1] * normal[1] + ray[2] * normal[2]
    }

    /// Corners of a pixel; as many as [`Scattered::corners_each`] says, the rest repeat the first.
    pub fn corners(&self, row: usize, column: usize) -> [Point; MOST_CORNERS] {
        let each = self.sheet.corners_each();
        let corner = |k: usize| {
            let k = if k < each { k } else { 0 };
            let [behind, slow, fast] = match (self.points, &self.parallax) {
                (Points::Corners, None) => self.sheet.integrated_corner(row, column, k),
                _ => self.sheet.corner(row, column, k),
            };
            match &self.parallax {
                None => self.rotations.point(slow - self.poni.0, fast - self.poni.1, self.distance + behind),
                Some(parallax) => self.moved([behind, slow, fast], parallax),
            }
        };
        std::array::from_fn(corner)
    }

    /// A corner where parallax puts it, in float32 as pyFAI has it.
    fn moved(&self, [behind, slow, fast]: [f64; 3], parallax: &Parallax) -> Point {
        let (slow, fast) = (slow as f32 - self.poni.0 as f32, fast as f32 - self.poni.1 as f32);
        let away = self.distance as f32 + behind as f32;
        let length = (slow * slow + fast * fast).sqrt();
        let tangent = length / away;
        let sine = f64::from(tangent) / (1.0 + f64::from(tangent * tangent)).sqrt();
        let moved = parallax.shift(sine.clamp(0.0, 1.0));
        let length = if length == 0.0 { 1.0 } else { length };
        let along = |part: f32| f64::from((f64::from(part) + moved * f64::from(part / length)) as f32);
        self.rotations.point(along(slow), along(fast), f64::from(away))
    }
}

/// One value a pixel, from the place of its centre (x, y, z).
///
/// # Errors
/// [`Unplaced`] when the detector does not say where its pixels are.
pub fn map_centres<T: Send + Clone + Default>(
    poni: &Poni,
    shape: Shape,
    value: impl Fn(f64, f64, f64) -> T + Sync,
) -> Result<Vec<T>, Unplaced> {
    let mut values = vec![T::default(); shape.pixels()];
    let rows = values.par_chunks_mut(shape.fast.max(1)).enumerate();
    match Lattice::new(poni, shape, Points::Centres) {
        Some(lattice) => rows.for_each(|(row, values)| {
            for (out, (x, y, z)) in values.iter_mut().zip(lattice.row(row)) {
                *out = value(x, y, z);
            }
        }),
        None => {
            let scattered = Scattered::new(poni, shape, Points::Centres)?;
            rows.for_each(|(row, values)| {
                for (column, out) in values.iter_mut().enumerate() {
                    let (x, y, z) = scattered.centre(row, column);
                    *out = value(x, y, z);
                }
            });
        }
    }
    Ok(values)
}

/// Radial coordinate of every pixel's centre, in the unit's base value (rad, nm⁻¹, m, …), C order.
///
/// # Errors
/// [`PlaceError`] when the unit needs a wavelength and the PONI has none, or the detector does not say where its pixels are.
pub fn radial(poni: &Poni, shape: Shape, unit: Unit) -> Result<Vec<f64>, PlaceError> {
    let formula = formula(poni, unit)?;
    Ok(map_centres(poni, shape, |x, y, z| formula.at(x, y, z))?)
}

/// Scattering angle 2θ of every pixel's centre, radians.
///
/// # Errors
/// [`Unplaced`].
pub fn two_theta(poni: &Poni, shape: Shape) -> Result<Vec<f64>, Unplaced> {
    map_centres(poni, shape, |x, y, z| (x * x + y * y).sqrt().atan2(z))
}

/// Azimuth χ of every pixel's centre: radians from x towards y, −π … π.
///
/// # Errors
/// [`Unplaced`].
pub fn azimuthal(poni: &Poni, shape: Shape) -> Result<Vec<f64>, Unplaced> {
    map_centres(poni, shape, |x, y, _| y.atan2(x))
}

/// Why pixels have no radial coordinate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// No wavelength.
    #[error(transparent)]
    Wavelength(#[from] WavelengthMissing),
    /// No place.
    #[error(transparent)]
    Unplaced(#[from] Unplaced),
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
