//! Detectors: size, pixels, orientation, the pixels that do not exist and the values that are no counts.
//!
//! A [`Detector`] is what a PONI file or a name of the [`catalogue`](super::catalogue::find) says. All detectors here are flat
//! with pixels on one regular grid: gaps between modules count as ordinary pixels for positions and are masked.
//!
//! Orientation says from which corner the image is counted. Orientations other than 3 (pyFAI's native one, and the
//! default of every DECTRIS class although DECTRIS says 2) re-index the pixels: 1 flips both axes, 2 the slow one, 4
//! the fast one. Nothing else depends on it: since 2026.09 pyFAI no longer flips the laboratory axes a second
//! time (#2911), and this program follows that release.

use super::catalogue::{self, Family};
use super::mask::Mask;
use crate::frame::{PixelType, Shape};

/// Where the first pixel of the image is, seen from behind the detector (looking at the sample).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Orientation {
    /// Flips both axes with respect to [`Orientation::BottomRight`].
    TopLeft = 1,
    /// Flips the slow axis.
    TopRight = 2,
    /// pyFAI's native orientation.
    BottomRight = 3,
    /// Flips the fast axis.
    BottomLeft = 4,
}

impl Orientation {
    /// From the number in a PONI file; 0 means "not said", which is 3. `None` for numbers pyFAI does not support.
    pub const fn from_number(number: u64) -> Option<Orientation> {
        match number {
            0 | 3 => Some(Orientation::BottomRight),
            1 => Some(Orientation::TopLeft),
            2 => Some(Orientation::TopRight),
            4 => Some(Orientation::BottomLeft),
            _ => None,
        }
    }

    /// The number in PONI files.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Whether rows are counted backwards.
    pub const fn flips_slow(self) -> bool {
        matches!(self, Orientation::TopLeft | Orientation::TopRight)
    }

    /// Whether columns are counted backwards.
    pub const fn flips_fast(self) -> bool {
        matches!(self, Orientation::TopLeft | Orientation::BottomLeft)
    }
}

/// The layer that stops the photons, as a version 3 PONI names it. Kept and written back; not used in computations.
#[derive(Debug, Clone, PartialEq)]
pub struct Sensor {
    /// Chemical formula: "Si", "CdTe", …
    pub material: String,
    /// Metres; `None` for infinitely thick.
    pub thickness: Option<f64>,
}

/// Pixels whose raw value says "no count here".
///
/// A raw value, rounded to float32, is invalid when it equals `value` (delta = 0) or when |raw − value| ≤ delta,
/// computed in float32 as pyFAI does. Both numbers are exact float32 values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dummy {
    /// The value itself.
    pub value: f64,
    /// How far from it a value may be.
    pub delta: f64,
}

impl Dummy {
    /// A dummy as given by the user, rounded to float32.
    pub fn new(value: f64, delta: f64) -> Dummy {
        Dummy { value: f64::from(value as f32), delta: f64::from(delta as f32) }
    }

    /// Whether a raw value, already rounded to float32, holds no count.
    #[inline]
    pub fn matches(self, raw: f32) -> bool {
        if self.delta == 0.0 {
            raw == self.value as f32
        } else {
            (raw - self.value as f32).abs() <= self.delta as f32
        }
    }
}

/// A flat detector with pixels on a regular grid. Pairs are (slow, fast).
#[derive(Debug, Clone, PartialEq)]
pub struct Detector {
    /// Name of pyFAI's class: "PilatusCdTe2M", …, "Detector".
    pub name: String,
    /// Size of an image; `None` when only the first frame can tell.
    pub shape: Option<Shape>,
    /// Size before binning.
    pub max_shape: Option<Shape>,
    /// Pixels of the bare detector in one pixel of the image.
    pub binning: (usize, usize),
    /// Pixel size along the slow axis, metres.
    pub pixel1: f64,
    /// Pixel size along the fast axis, metres.
    pub pixel2: f64,
    /// From which corner the image is counted.
    pub orientation: Orientation,
    /// Pixels of one module, where a PONI says otherwise than the family.
    pub module_size: Option<(usize, usize)>,
    /// The layer that stops the photons, when said.
    pub sensor: Option<Sensor>,
    family: Option<&'static Family>,
}

impl Detector {
    /// Detector of a DECTRIS class or alias, as pyFAI finds it. `None` for other names and for "Detector",
    /// which has no pixel size of its own ([`Detector::plain`]).
    pub fn by_name(name: &str) -> Option<Detector> {
        catalogue::find(name).map(|class| Detector {
            name: class.name.to_owned(),
            shape: class.shape,
            max_shape: class.shape,
            binning: (1, 1),
            pixel1: class.family.pixel.0,
            pixel2: class.family.pixel.1,
            orientation: Orientation::BottomRight,
            module_size: None,
            sensor: None,
            family: Some(class.family),
        })
    }

    /// pyFAI's "Detector": nothing is known but the pixel size (metres). No mask, no dummy.
    pub fn plain(pixel1: f64, pixel2: f64, shape: Option<Shape>) -> Detector {
        Detector {
            name: "Detector".to_owned(),
            shape,
            max_shape: shape,
            binning: (1, 1),
            pixel1,
            pixel2,
            orientation: Orientation::BottomRight,
            module_size: None,
            sensor: None,
            family: None,
        }
    }

    /// Names of all detectors that have a size, for help texts.
    pub fn names() -> impl Iterator<Item = &'static str> {
        catalogue::CLASSES.iter().filter(|c| c.shape.is_some()).map(|c| c.name)
    }

    /// What the detector shares with its product line; `None` for a plain one.
    pub fn family(&self) -> Option<&'static Family> {
        self.family
    }

    /// The pixels that are no pixels: gaps between modules and columns between wafers. In the order of the image
    /// as the detector's software writes it: masks do not depend on the orientation (pyFAI's neither).
    ///
    /// `None` when the detector has no mask of its own, or no size.
    pub fn mask(&self) -> Option<Mask> {
        let (family, full, shape) = (self.family?, self.max_shape?, self.shape?);
        let module = self.module_size.or(family.module)?;
        let slow = gaps(full.slow, module.0, family.gap.0, None);
        let fast = gaps(full.fast, module.1, family.gap.1, family.wafer);
        let (slow, fast) = (bin(&slow, self.binning.0), bin(&fast, self.binning.1));
        let mut masked = Vec::with_capacity(shape.pixels());
        for &row in &slow[..shape.slow] {
            masked.extend(fast[..shape.fast].iter().map(|&column| row | column));
        }
        Some(Mask { shape, masked })
    }

    /// The raw values that hold no count, for frames of this type: −2 ± 1.5 reinterpreted in the frame's type, in
    /// float32. So 65533–65535 for `uint16`, and everything from 2³² − 128 on for `uint32`.
    pub fn dummy(&self, pixel: PixelType) -> Option<Dummy> {
        let (value, delta) = self.family?.dummy?;
        let seen = match pixel {
            PixelType::I8 => f32::from(value as i8),
            PixelType::U8 => f32::from(value as u8),
            PixelType::I16 => f32::from(value as i16),
            PixelType::U16 => f32::from(value as u16),
            PixelType::I32 => value as i32 as f32,
            PixelType::U32 => value as u32 as f32,
            PixelType::I64 => value as f32,
            PixelType::U64 => value as u64 as f32,
            PixelType::F32 | PixelType::F64 => value as f32,
        };
        Some(Dummy { value: f64::from(seen), delta })
    }
}

/// Which lines of one axis are masked: what lies between modules of `module` lines, and wafer columns.
fn gaps(length: usize, module: usize, gap: usize, wafer: Option<(isize, usize)>) -> Vec<bool> {
    let mut masked = vec![false; length];
    let period = (module + gap).max(1);
    let mut mask = |first: usize, count: usize| {
        let end = (first + count).min(length);
        masked[first.min(end)..end].fill(true);
    };
    (module..length).step_by(period).for_each(|first| mask(first, gap));
    if let Some((offset, count)) = wafer {
        (module / 2..length)
            .step_by(period)
            .for_each(|middle| mask(middle.saturating_add_signed(offset), count));
    }
    masked
}

/// A binned line is masked when one of its lines is. Lines that do not fill a bin fall away.
fn bin(lines: &[bool], binning: usize) -> Vec<bool> {
    lines.chunks_exact(binning.max(1)).map(|lines| lines.contains(&true)).collect()
}
