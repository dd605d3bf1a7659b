//! Detectors: size, pixels, orientation, the pixels that do not exist and the values that are no counts.
//!
//! A [`Detector`] is what a PONI file or a name of the [`catalogue`](super::catalogue::find) says, or a NeXus file
//! ([`DetectorFile`]). Gaps between modules count as ordinary pixels for positions and are masked, where a class does not say
//! otherwise. `detector/sizes.rs` has what pixel sizes and binnings mean, `own_mask.rs` which pixels are none; where they are is
//! [`surface`](super::surface)'s.
//!
//! Orientation says from which corner the image is counted. Orientations other than 3 (pyFAI's native one, and the
//! default of every class although DECTRIS says 2) re-index the pixels: 1 flips both axes, 2 the slow one, 4
//! the fast one. Nothing else depends on it: since 2026.09 pyFAI no longer flips the laboratory axes a second
//! time (#2911), and this program follows that release.

mod own_mask;
mod sizes;

use std::path::PathBuf;
use std::sync::Arc;

use super::catalogue::{self, Class, PixelLayout};
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

/// The layer that stops the photons, as a version 3 PONI names it: what a parallax correction is computed with.
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

/// What a NeXus file says of a detector, as pyFAI writes it.
#[derive(Debug, Clone, PartialEq)]
pub struct FileContent {
    /// Size of an image.
    pub shape: Shape,
    /// Size before binning.
    pub max_shape: Shape,
    /// Pixels of the bare detector in one pixel of the image.
    pub binning: (usize, usize),
    /// Pixel size, metres, where it says one.
    pub pixel: Option<(f64, f64)>,
    /// From which corner the image is counted.
    pub orientation: Orientation,
    /// The layer that stops the photons.
    pub sensor: Option<Sensor>,
    /// Corners of each pixel, metres: (row, column, corner, [behind, slow, fast]), C order. `None` for a regular grid.
    pub corners: Option<Vec<f32>>,
    /// Corners of a pixel: 4 or 6.
    pub corners_each: usize,
    /// Whether the file calls it flat: what lies behind the plane does not count then.
    pub is_flat: bool,
    /// Whether neighbours share their corners.
    pub is_contiguous: bool,
    /// Pixels that are masked.
    pub mask: Option<Mask>,
    /// What its counts are divided by.
    pub flat: Option<Vec<f32>>,
    /// What is subtracted from them.
    pub dark: Option<Vec<f32>>,
    /// Value of pixels that hold no count, and how far from it a value may be.
    pub dummy: Option<(f64, f64)>,
}

/// A detector that a NeXus file describes.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectorFile {
    /// The file.
    pub path: PathBuf,
    /// What it says; `None` until somebody read it.
    pub content: Option<Arc<FileContent>>,
    /// Whether the PONI says the orientation, and the file does not.
    pub keeps_orientation: bool,
}

/// A detector. Pairs are (slow, fast).
#[derive(Debug, Clone, PartialEq)]
pub struct Detector {
    /// Name of pyFAI's class: "PilatusCdTe2M", …, "Detector", "NexusDetector".
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
    /// Pixels of one module, where a PONI says otherwise than the class.
    pub module_size: Option<(usize, usize)>,
    /// To which radius it is bent, metres, where a PONI says otherwise than the class.
    pub radius: Option<f64>,
    /// How far hexagons are apart, metres, where a PONI says otherwise than the class.
    pub pitch: Option<f64>,
    /// The layer that stops the photons, when said.
    pub sensor: Option<Sensor>,
    /// The NeXus file that describes it.
    pub file: Option<DetectorFile>,
    class: Option<&'static Class>,
}

impl Detector {
    /// Detector of a class or alias, as pyFAI finds it. `None` for other names and for "Detector",
    /// which has no pixel size of its own ([`Detector::plain`]).
    pub fn by_name(name: &str) -> Option<Detector> {
        catalogue::find(name).map(|class| {
            let mut detector = Detector::plain(class.pixel.0, class.pixel.1, class.max_shape);
            class.name.clone_into(&mut detector.name);
            detector.class = Some(class);
            // What the table says fits together: a test makes every class.
            let _ = detector.set_pixels(None, None);
            detector
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
            radius: None,
            pitch: None,
            sensor: None,
            file: None,
            class: None,
        }
    }

    /// pyFAI's "NexusDetector": the file says everything, once it is read.
    pub fn of_file(path: PathBuf) -> Detector {
        let file = Some(DetectorFile { path, content: None, keeps_orientation: false });
        Detector { name: "NexusDetector".to_owned(), file, ..Detector::plain(0.0, 0.0, None) }
    }

    /// Takes over what its file says. The PONI's own words on orientation and sensor go first.
    pub fn describe(&mut self, content: FileContent) {
        let Some(file) = &mut self.file else { return };
        (self.shape, self.max_shape) = (Some(content.shape), Some(content.max_shape));
        self.binning = content.binning;
        (self.pixel1, self.pixel2) = content.pixel.unwrap_or_default();
        if !file.keeps_orientation {
            self.orientation = content.orientation;
        }
        if self.sensor.is_none() {
            self.sensor.clone_from(&content.sensor);
        }
        file.content = Some(Arc::new(content));
    }

    /// Names of all detectors that have a size, for help texts.
    pub fn names() -> impl Iterator<Item = &'static str> {
        catalogue::CLASSES.iter().filter(|c| c.max_shape.is_some()).map(|c| c.name)
    }

    /// Its class; `None` for a plain one, and for one of a file.
    pub fn class(&self) -> Option<&'static Class> {
        self.class
    }

    /// What a NeXus file says of it.
    pub fn content(&self) -> Option<&Arc<FileContent>> {
        self.file.as_ref()?.content.as_ref()
    }

    /// Where its pixels are, as its class has it and a PONI configures it.
    pub fn layout(&self) -> PixelLayout {
        match self.class.map_or(PixelLayout::Grid, |class| class.layout) {
            PixelLayout::Cylinder(radius) => PixelLayout::Cylinder(self.radius.unwrap_or(radius)),
            PixelLayout::Hexagons(pitch) => PixelLayout::Hexagons(self.pitch.unwrap_or(pitch)),
            layout => layout,
        }
    }

    /// Pixels of one module.
    pub fn module(&self) -> Option<(usize, usize)> {
        self.module_size.or(self.class?.module)
    }

    /// The pixels that are no pixels: gaps between modules and columns between wafers. In the order of the image
    /// as the detector's software writes it: masks do not depend on the orientation (pyFAI's neither).
    ///
    /// `None` when the detector has no mask of its own, or no size.
    pub fn mask(&self) -> Option<Mask> {
        match self.content() {
            Some(content) => content.mask.clone(),
            None => own_mask::of(self),
        }
    }

    /// The raw values that hold no count, for frames of this type: for DECTRIS −2 ± 1.5 reinterpreted in the frame's type, in
    /// float32. So 65533–65535 for `uint16`, and everything from 2³² − 128 on for `uint32`.
    pub fn dummy(&self, pixel: PixelType) -> Option<Dummy> {
        let (value, delta) = match self.content() {
            Some(content) => content.dummy.map(|(value, delta)| (value as i64, delta))?,
            None => self.class?.dummy?,
        };
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
