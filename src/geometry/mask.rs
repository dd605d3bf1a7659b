//! Masks: which pixels never count.
//!
//! A mask has the shape of the detector and one truth value a pixel, in C order: true means *masked*, as a non-zero
//! value does in pyFAI. Where a mask comes from is not its business: detectors make their own from module gaps,
//! mask files are read elsewhere and turned into one by [`Mask::from_values`].
//!
//! pyFAI lets a user's mask *replace* the detector's; [`Mask::union`] is for those who want both.

use crate::frame::Shape;

/// Which pixels are masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// Size of the image that the mask belongs to.
    pub shape: Shape,
    /// One value a pixel, C order; true = masked.
    pub masked: Vec<bool>,
}

/// A mask does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MaskError {
    /// As many values as pixels are needed.
    #[error("a mask for an image of {shape} pixels needs {} values, not {found}", shape.pixels())]
    Length {
        /// The image.
        shape: Shape,
        /// How many values there were.
        found: usize,
    },
    /// Two masks of different shape cannot be combined.
    #[error(
        "a mask of {found} pixels cannot be combined with one of {expected}: make it again for this detector"
    )]
    Shape {
        /// Shape of the first mask.
        expected: Shape,
        /// Shape of the other.
        found: Shape,
    },
}

impl Mask {
    /// A mask that masks nothing.
    pub fn empty(shape: Shape) -> Mask {
        Mask { shape, masked: vec![false; shape.pixels()] }
    }

    /// A mask from the numbers of an image: everything but 0 is masked (NaN too).
    ///
    /// # Errors
    /// [`MaskError::Length`] when there are not as many values as pixels.
    pub fn from_values<T: Copy + Into<f64>>(shape: Shape, values: &[T]) -> Result<Mask, MaskError> {
        if values.len() != shape.pixels() {
            return Err(MaskError::Length { shape, found: values.len() });
        }
        Ok(Mask { shape, masked: values.iter().map(|&v| v.into() != 0.0).collect() })
    }

    /// Number of masked pixels.
    pub fn count(&self) -> usize {
        self.masked.iter().filter(|&&m| m).count()
    }

    /// A pixel is masked when it is in this mask or in the other.
    ///
    /// # Errors
    /// [`MaskError::Shape`] when the shapes differ.
    pub fn union(mut self, other: &Mask) -> Result<Mask, MaskError> {
        if self.shape != other.shape {
            return Err(MaskError::Shape { expected: self.shape, found: other.shape });
        }
        for (mine, theirs) in self.masked.iter_mut().zip(&other.masked) {
            *mine |= theirs;
        }
        Ok(self)
    }
}
