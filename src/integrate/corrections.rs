//! What flat, dark, polarisation and solid angle leave of the pixels: found before the first frame, not in its numbers.
//!
//! A pixel whose flat is 0, negative or not finite, whose dark is not finite, or that the geometry gives no intensity, cannot
//! count: its normalisation becomes 0, which every engine takes as "left out", and it is counted here under the first of these
//! reasons. What is left must keep the intensities of a frame within `f32`, or nothing is integrated at all: a factor that
//! takes them out of it is a slip, not a measurement.

use crate::frame::Shape;
use crate::geometry::correction;
use crate::geometry::mask::Mask;

/// Below this share of the intensity at the PONI a pixel sees nothing: polarisation vanishes at 2θ = 90°, in float32 to
/// something like 1e-33.
const LEAST_SEEN: f32 = 1e-20;
/// The normalisation that takes the largest count of a 32-bit detector to the largest `f32`.
const LEAST: f32 = u32::MAX as f32 / f32::MAX;
/// The one that takes a single count to the smallest `f32` of full precision.
const MOST: f32 = 1.0 / f32::MIN_POSITIVE;

/// What a frame is corrected by. Arrays have one value a pixel.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// Shape of the frames.
    pub shape: Shape,
    /// Pixels that are left out anyway.
    pub mask: Option<&'a Mask>,
    /// The same for all pixels: pyFAI's `normalization_factor`.
    pub factor: f64,
    /// Flat field.
    pub flat: Option<&'a [f32]>,
    /// Dark current.
    pub dark: Option<&'a [f32]>,
    /// Polarisation.
    pub polarization: Option<&'a [f32]>,
    /// Solid angle.
    pub solid_angle: Option<&'a [f32]>,
}

/// The corrections, looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Corrections {
    /// What each pixel's counts are divided by; 0 for pixels that are left out.
    pub normalization: Vec<f32>,
    /// Pixels that are left out, those of the mask not counted.
    pub lost: Lost,
}

/// How many pixels are left out for which reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lost {
    /// The flat is 0, negative or not finite.
    pub flat: usize,
    /// The dark is not finite.
    pub dark: usize,
    /// Polarisation or solid angle give the pixel nothing.
    pub geometry: usize,
    /// Pixels that the mask leaves.
    pub of: usize,
}

impl Lost {
    /// All of them.
    pub fn count(&self) -> usize {
        self.flat + self.dark + self.geometry
    }

    /// What was left out and why, for people; empty when nothing was.
    pub fn notes(&self) -> Vec<String> {
        let reasons = [
            (self.flat, "the flat is 0, negative or not finite"),
            (self.dark, "the dark is not finite"),
            (self.geometry, "polarisation or solid angle is 0 there"),
        ];
        let note = |(count, why): &(usize, &str)| match count {
            1 => format!("1 pixel of {}: {why}", self.of),
            _ => format!("{count} pixels of {}: {why}", self.of),
        };
        reasons.iter().filter(|(count, _)| *count > 0).map(note).collect()
    }
}

/// Corrections that nothing can be corrected with.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CorrectionError {
    /// The factor itself is no divisor.
    #[error("normalisation {0}: it must be a positive number that float32 holds")]
    Factor(f64),
    /// Intensities would leave `f32`.
    #[error(
        "normalisation {factor}: with the other corrections, row {row}, column {column} is divided by {value:e}, which takes \
         its counts out of float32; the divisor must be from {LEAST:e} to {MOST:e}"
    )]
    OutOfRange {
        /// The factor.
        factor: f64,
        /// Row of the first pixel of which that is true.
        row: usize,
        /// Its column.
        column: usize,
        /// What it would be divided by.
        value: f32,
    },
    /// No pixel is left.
    #[error("the corrections leave no pixel: {}", .0.notes().join("; "))]
    NothingLeft(Lost),
}

impl Corrections {
    /// Looks at every pixel.
    ///
    /// # Errors
    /// [`CorrectionError`] when frames cannot be corrected so.
    pub fn study(given: &Given<'_>) -> Result<Corrections, CorrectionError> {
        let Given { shape, mask, factor, flat, dark, polarization, solid_angle } = *given;
        let pixels = shape.pixels();
        if !((factor as f32).is_normal() && factor > 0.0) {
            return Err(CorrectionError::Factor(factor));
        }
        let mut normalization =
            correction::normalization(pixels, factor as f32, flat, polarization, solid_angle);
        let mut lost = Lost::default();
        let counts = |value: Option<f32>, least: f32| value.is_none_or(|v| v >= least && v < f32::INFINITY);
        for (pixel, value) in normalization.iter_mut().enumerate() {
            if mask.is_some_and(|mask| mask.masked[pixel]) {
                continue;
            }
            lost.of += 1;
            let at = |image: Option<&[f32]>| image.map(|image| image[pixel]);
            let reason = match () {
                () if !counts(at(flat), f32::MIN_POSITIVE) => &mut lost.flat,
                () if !at(dark).is_none_or(f32::is_finite) => &mut lost.dark,
                () if !(counts(at(polarization), LEAST_SEEN) && counts(at(solid_angle), LEAST_SEEN)) => {
                    &mut lost.geometry
                }
                () if (LEAST..=MOST).contains(value) => continue,
                () => {
                    let (row, column) = (pixel / shape.fast, pixel % shape.fast);
                    return Err(CorrectionError::OutOfRange { factor, row, column, value: *value });
                }
            };
            *reason += 1;
            *value = 0.0;
        }
        match lost.count() == lost.of {
            true => Err(CorrectionError::NothingLeft(lost)),
            false => Ok(Corrections { normalization, lost }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: Given<'_> = Given {
        shape: Shape { slow: 2, fast: 4 },
        mask: None,
        factor: 2.0,
        flat: None,
        dark: None,
        polarization: None,
        solid_angle: None,
    };

    #[test]
    fn pixels_that_cannot_count_are_left_out_once_each() {
        let flat = [1.0, 0.0, -0.5, f32::NAN, f32::INFINITY, 1e-40, 0.5, 1.0];
        let dark = [f32::NAN, f32::NAN, 0.0, 0.0, 0.0, 0.0, -3.0, 0.0];
        let polarization = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 4e-33];
        let given =
            Given { flat: Some(&flat), dark: Some(&dark), polarization: Some(&polarization), ..GIVEN };
        let found = Corrections::study(&given).unwrap();
        assert_eq!(found.lost, Lost { flat: 5, dark: 1, geometry: 1, of: 8 });
        assert_eq!(found.normalization, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        // Pixels that are masked anyway are nobody's loss.
        let masked = vec![false, true, true, true, true, true, false, false];
        let mask = Mask { shape: GIVEN.shape, masked };
        let found = Corrections::study(&Given { mask: Some(&mask), ..given }).unwrap();
        assert_eq!(found.lost, Lost { flat: 0, dark: 1, geometry: 1, of: 3 });
        assert_eq!(found.lost.notes().len(), 2);
    }

    #[test]
    fn what_leaves_float32_or_leaves_nothing_is_refused() {
        for factor in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300, 1e-60, 1e-40] {
            let refused = Corrections::study(&Given { factor, ..GIVEN });
            assert!(matches!(refused, Err(CorrectionError::Factor(_))), "{factor}: {refused:?}");
        }
        let mut flat = [1.0; 8];
        flat[6] = 1e-10;
        for factor in [1e-25, 1e-30, 1e38] {
            let refused = Corrections::study(&Given { factor, flat: Some(&flat), ..GIVEN });
            assert!(matches!(refused, Err(CorrectionError::OutOfRange { .. })), "{factor}: {refused:?}");
        }
        let refused = Corrections::study(&Given { flat: Some(&[0.0; 8]), ..GIVEN }).unwrap_err();
        assert!(refused.to_string().contains("8 pixels of 8: the flat"), "{refused}");
    }
}
