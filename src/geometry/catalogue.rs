//! The detectors that pyFAI 2026.9.0 knows: names, sizes, and which rules say where their pixels are and which of them are none.
//!
//! A row of the [`table`] is a class of pyFAI's. Classes without a size (`Pilatus`, `Eiger2CdTe`, …) are what others are made
//! of: a PONI that names one gives `max_shape` itself.
//!
//! How pyFAI finds a class is kept: first the class name exactly as spelled, then, for classes that have a size,
//! the name or an alias in any case, with spaces written, left out, or replaced by underscores.
//!
//! The table is made by `scripts/detectors.py` from pyFAI itself; tests/detectors.rs compares every pixel.

pub mod table;

pub use table::CLASSES;

use crate::frame::Shape;

/// A detector class. Pairs are (slow, fast), lengths metres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Class {
    /// Name of pyFAI's class.
    pub name: &'static str,
    /// Other names.
    pub aliases: &'static [&'static str],
    /// Pixels of the bare detector; `None` for a class that others are made of.
    pub max_shape: Option<Shape>,
    /// Pixels of one module, where modules decide on masks or positions.
    pub module: Option<(usize, usize)>,
    /// Pixel size where nothing else is said.
    pub pixel: (f64, f64),
    /// What another pixel size means for the size of an image.
    pub sizes: PixelSizes,
    /// Where pixels are.
    pub layout: PixelLayout,
    /// Which pixels are none.
    pub masking: Masking,
    /// Value of pixels that hold no count, and how far from it a value may be.
    pub dummy: Option<(i64, f64)>,
    /// Keys of `Detector_config` that mean something, in lower case; `binning` always does.
    pub keys: &'static [&'static str],
}

/// What a pixel size in a PONI means for the size of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PixelSizes {
    /// Pixels that are larger than these are binned ones: the ratio, rounded.
    Binned(f64, f64),
    /// Each binning has its pixel size, and any other pixel is taken as unbinned.
    Modes(&'static [(usize, f64)]),
    /// Always binned, in halves of this size: twice the ratio, truncated (Perkin).
    Halves(f64),
    /// Always a multiple of this size: the ratio, rounded (Pixium).
    Multiples(f64),
    /// As many pixels of that size as cover what those of this size do (Mar345).
    Scaled(f64),
    /// Any size; the number of pixels stays.
    Free,
    /// The class's own, whatever is said.
    Fixed,
}

/// Where pixels are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PixelLayout {
    /// On one regular grid.
    Grid,
    /// Side by side, larger by this factor where two modules meet.
    Tiles {
        /// How much larger.
        border: f64,
        /// What an orientation turns.
        turn: Turn,
    },
    /// Larger along the fast axis where two modules meet, and modules stand apart (Xpad S540).
    Spaced {
        /// How much larger.
        border: f64,
        /// Between modules.
        gap: (f64, f64),
    },
    /// Bent along the fast axis to this radius, towards the sample.
    Cylinder(f64),
    /// Twenty flat modules in an arc (CirPAD).
    Cirpad,
    /// Hexagons so far apart; every other row is shifted by half of that.
    Hexagons(f64),
}

/// What an orientation other than 3 turns of a tiled detector: pyFAI turns either what it integrates over in 2θ, q and r, or the corners
/// that it takes for other units, but not both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Centres, and corners for 2θ, q and r.
    Integrated,
    /// Corners for other units.
    Corners,
}

/// Which pixels are none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Masking {
    /// All are.
    Nothing,
    /// Gaps between modules.
    Modules {
        /// Pixels between modules.
        gap: (usize, usize),
        /// Columns in the middle of each module, where two wafers meet: first column relative to half the module's width,
        /// and how many.
        wafer: Option<(isize, usize)>,
    },
    /// The outermost lines of each module.
    Borders,
    /// What is outside the circle.
    Disc,
    /// What is outside the chips, whose first pixels these are.
    Chips(&'static [(usize, usize)]),
    /// These rows and columns: first, and how many.
    Lines(&'static [(usize, usize)], &'static [(usize, usize)]),
}

/// A table of classes, one a row.
macro_rules! class_table {
    ($($name:literal, [$($alias:literal),*], $size:expr, $module:expr, $pixel:expr, $sizes:expr, $layout:expr,
       $masking:expr, $dummy:expr, $keys:expr;)*) => {
        &[$($crate::geometry::catalogue::Class {
            name: $name,
            aliases: &[$($alias),*],
            max_shape: $crate::geometry::catalogue::shape($size),
            module: $module,
            pixel: $pixel,
            sizes: $sizes,
            layout: $layout,
            masking: $masking,
            dummy: $dummy,
            keys: $keys,
        },)*]
    };
}
pub(crate) use class_table;

/// A size as the table has it.
const fn shape(size: Option<(usize, usize)>) -> Option<Shape> {
    match size {
        Some((slow, fast)) => Some(Shape { slow, fast }),
        None => None,
    }
}

impl Class {
    /// Whether DECTRIS makes it.
    pub fn is_dectris(&self) -> bool {
        ["Pilatus", "Eiger", "Mythen"].iter().any(|line| self.name.starts_with(line))
    }
}

/// The DECTRIS class with so many pixels of that size (metres); where silicon and CdTe detectors have as many, the sensor decides.
pub fn of_size(shape: Shape, pixel: (f64, f64), is_cdte: Option<bool>) -> Option<&'static Class> {
    let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
    let fits = |class: &&Class| {
        let (slow, fast) = class.pixel;
        class.is_dectris() && class.max_shape == Some(shape) && near(slow, pixel.0) && near(fast, pixel.1)
    };
    let mut found = CLASSES.iter().filter(fits);
    match is_cdte {
        Some(is_cdte) => found.find(|class| class.name.contains("CdTe") == is_cdte),
        None => found.next().filter(|_| found.next().is_none()),
    }
}

/// The class of that name or alias, as pyFAI would find it.
pub fn find(name: &str) -> Option<&'static Class> {
    if let Some(class) = CLASSES.iter().find(|c| c.name == name) {
        return Some(class);
    }
    let lower = name.to_lowercase();
    let wanted = [lower.replace(' ', "_"), lower];
    CLASSES.iter().filter(|c| c.max_shape.is_some()).find(|class| {
        let aliases = class.aliases.iter().map(|a| a.to_lowercase());
        aliases
            .flat_map(|a| [a.replace(' ', "_"), a.replace(' ', "")])
            .chain([class.name.to_lowercase()])
            .any(|known| wanted.contains(&known))
    })
}
