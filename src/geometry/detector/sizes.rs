//! What pixel sizes and binnings that a PONI names mean for the size of an image.

use super::Detector;
use crate::frame::Shape;
use crate::geometry::catalogue::{PixelLayout, PixelSizes};

/// Why a size cannot be: what would be right.
pub type Expected = &'static str;

impl Detector {
    /// Sets the pixel size of a detector of a class (metres); `None` is the class's own. What that means for the size of
    /// the image the class decides; a detector without one takes it as it is.
    ///
    /// # Errors
    /// When no pixel would be left.
    pub fn set_pixels(&mut self, pixel1: Option<f64>, pixel2: Option<f64>) -> Result<(), Expected> {
        let Some(class) = self.class else {
            self.pixel1 = pixel1.unwrap_or(self.pixel1);
            self.pixel2 = pixel2.unwrap_or(self.pixel2);
            return Ok(());
        };
        let own = class.pixel;
        let (slow, fast) = (pixel1.unwrap_or(own.0), pixel2.unwrap_or(own.1));
        let rounded = |size: f64, of: f64| (size / of).round_ties_even() as usize;
        let binned = |size: f64, of: f64| if size / of > 1.0 { rounded(size, of) } else { 1 };
        let binning = match class.sizes {
            PixelSizes::Fixed => return Ok(()),
            PixelSizes::Free => (1, 1),
            PixelSizes::Binned(slow_of, fast_of) => (binned(slow, slow_of), binned(fast, fast_of)),
            PixelSizes::Modes(modes) => {
                let of =
                    |size: f64| modes.iter().rev().find(|(_, pixel)| *pixel == size).map_or(1, |mode| mode.0);
                (of(slow), of(fast))
            }
            PixelSizes::Halves(of) => ((2.0 * slow / of) as usize, (2.0 * fast / of) as usize),
            PixelSizes::Multiples(of) => (rounded(slow, of), rounded(fast, of)),
            PixelSizes::Scaled(of) => {
                let scaled = |pixels: usize, size: f64| (pixels as f64 * of / size) as usize;
                let full = self
                    .max_shape
                    .map(|full| Shape { slow: scaled(full.slow, slow), fast: scaled(full.fast, fast) });
                self.max_shape = full;
                (1, 1)
            }
        };
        (self.pixel1, self.pixel2) = (slow, fast);
        self.bin(binning)
    }

    /// Sets the binning, and with it the pixel size.
    ///
    /// # Errors
    /// When no pixel would be left, or pixels of this detector cannot be binned.
    pub fn set_binning(&mut self, binning: (usize, usize)) -> Result<(), Expected> {
        if binning == self.binning {
            return Ok(());
        }
        if !matches!(self.layout(), PixelLayout::Grid | PixelLayout::Cylinder(_)) || self.file.is_some() {
            return Err("pixels of this detector are not all alike and cannot be binned: leave it out");
        }
        match self.class.map(|class| class.sizes) {
            Some(PixelSizes::Modes(modes)) => {
                let of = |binning: usize| modes.iter().find(|mode| mode.0 == binning).map(|mode| mode.1);
                let pixels = of(binning.0).zip(of(binning.1));
                (self.pixel1, self.pixel2) =
                    pixels.ok_or("this detector has no such binning, so its pixel size is not known")?;
            }
            _ => {
                self.pixel1 *= binning.0 as f64 / self.binning.0 as f64;
                self.pixel2 *= binning.1 as f64 / self.binning.1 as f64;
            }
        }
        self.bin(binning)
    }

    fn bin(&mut self, binning: (usize, usize)) -> Result<(), Expected> {
        const TOO_FEW: Expected = "the detector has fewer pixels than that (pixel sizes are in metres)";
        if binning.0 == 0 || binning.1 == 0 {
            return Err("pixels are smaller than the detector's (pixel sizes are in metres)");
        }
        self.binning = binning;
        if let Some(full) = self.max_shape {
            let shape = Shape { slow: full.slow / binning.0, fast: full.fast / binning.1 };
            if shape.pixels() == 0 {
                return Err(TOO_FEW);
            }
            self.shape = Some(shape);
        }
        Ok(())
    }
}
