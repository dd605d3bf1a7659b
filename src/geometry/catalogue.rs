//! The DECTRIS detectors that pyFAI 2026.9.0 knows: names, aliases and sizes.
//!
//! A detector class is a [`Family`] (module size, gaps, pixel size, wafer columns) and a size in pixels. A family's
//! own class (`Pilatus`, `Eiger2CdTe`, …) has no size: a PONI that names it gives `max_shape` itself.
//!
//! How pyFAI finds a class is kept: first the class name exactly as spelled, then, for classes that have a size,
//! the name or an alias in any case, with spaces written, left out, or replaced by underscores.
//!
//! Source: `pyFAI/detectors/_dectris.py` of 2026.9.0; a test compares every class with pyFAI itself.

use crate::frame::Shape;

/// Modules tiled on a grid: what the detectors of one product line share. Pairs are (slow, fast).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Family {
    /// Name of the family's own class in pyFAI.
    pub name: &'static str,
    /// Pixels of one module; `None` for a detector that is no grid of modules and has no mask.
    pub module: Option<(usize, usize)>,
    /// Pixels between modules.
    pub gap: (usize, usize),
    /// Columns masked in the middle of each module, where two CdTe wafers meet: first column relative to half
    /// the module's width, and how many.
    pub wafer: Option<(isize, usize)>,
    /// Pixel size in metres.
    pub pixel: (f64, f64),
    /// Value of pixels that hold no count, and how far from it a value may be: −2 ± 1.5.
    pub dummy: Option<(i64, f64)>,
}

/// One detector that can be bought.
#[derive(Debug, Clone, Copy)]
pub struct Class {
    /// Name of pyFAI's class.
    pub name: &'static str,
    /// Other names.
    pub aliases: &'static [&'static str],
    /// What it shares with its family.
    pub family: &'static Family,
    /// Its size; `None` for a family's own class.
    pub shape: Option<Shape>,
}

const DECTRIS_DUMMY: Option<(i64, f64)> = Some((-2, 1.5));

macro_rules! families {
    ($($id:ident = $name:literal, $module:expr, $gap:expr, $wafer:expr, $pixel:expr;)*) => {
        $(static $id: Family = Family {
            name: $name, module: Some($module), gap: $gap, wafer: $wafer, pixel: ($pixel, $pixel), dummy: DECTRIS_DUMMY,
        };)*
    };
}

families! {
    PILATUS = "Pilatus", (195, 487), (17, 7), None, 172e-6;
    PILATUS_CDTE = "PilatusCdTe", (195, 487), (17, 7), Some((-1, 3)), 172e-6;
    PILATUS4 = "Pilatus4", (255, 513), (20, 7), None, 150e-6;
    PILATUS4_CDTE = "Pilatus4_CdTe", (255, 513), (20, 7), Some((0, 1)), 150e-6;
    EIGER = "Eiger", (514, 1030), (37, 10), None, 75e-6;
    EIGER2 = "Eiger2", (512, 1028), (38, 12), None, 75e-6;
    EIGER2_CDTE = "Eiger2CdTe", (512, 1028), (38, 12), Some((-1, 2)), 75e-6;
}

static MYTHEN: Family =
    Family { name: "Mythen", module: None, gap: (0, 0), wafer: None, pixel: (8e-3, 50e-6), dummy: None };

macro_rules! classes {
    ($($name:literal, $family:ident, $shape:expr, $aliases:expr;)*) => {
        &[$(Class { name: $name, aliases: &$aliases, family: &$family, shape: $shape },)*]
    };
}

const fn size(slow: usize, fast: usize) -> Option<Shape> {
    Some(Shape { slow, fast })
}

/// Every class, families first.
pub static CLASSES: &[Class] = classes! {
    "Pilatus", PILATUS, None, [];
    "PilatusCdTe", PILATUS_CDTE, None, [];
    "Pilatus4", PILATUS4, None, [];
    "Pilatus4_CdTe", PILATUS4_CDTE, None, [];
    "Eiger", EIGER, None, [];
    "Eiger2", EIGER2, None, [];
    "Eiger2CdTe", EIGER2_CDTE, None, [];
    "Mythen", MYTHEN, size(1, 1280), ["Mythen 1280"];
    "Pilatus100k", PILATUS, size(195, 487), ["Pilatus 100k"];
    "Pilatus200k", PILATUS, size(407, 487), ["Pilatus 200k"];
    "Pilatus300k", PILATUS, size(619, 487), ["Pilatus 300k"];
    "Pilatus300kw", PILATUS, size(195, 1475), ["Pilatus 300kw"];
    "Pilatus900k", PILATUS, size(619, 1475), ["Pilatus 900k"];
    "Pilatus1M", PILATUS, size(1043, 981), ["Pilatus 1M"];
    "Pilatus2M", PILATUS, size(1679, 1475), ["Pilatus 2M"];
    "Pilatus6M", PILATUS, size(2527, 2463), ["Pilatus 6M"];
    "PilatusCdTe300k", PILATUS_CDTE, size(619, 487),
        ["Pilatus CdTe 300k", "Pilatus 300k CdTe", "Pilatus300k CdTe", "Pilatus300kCdTe"];
    "PilatusCdTe300kw", PILATUS_CDTE, size(195, 1475),
        ["Pilatus CdTe 300kw", "Pilatus 300kw CdTe", "Pilatus300kw CdTe", "Pilatus300kwCdTe"];
    "PilatusCdTe900kw", PILATUS_CDTE, size(195, 4439),
        ["Pilatus CdTe 900kw", "Pilatus 900kw CdTe", "Pilatus900kw CdTe", "Pilatus900kwCdTe"];
    "PilatusCdTe1M", PILATUS_CDTE, size(1043, 981),
        ["Pilatus CdTe 1M", "Pilatus 1M CdTe", "Pilatus1M CdTe", "Pilatus1MCdTe"];
    "PilatusCdTe2M", PILATUS_CDTE, size(1679, 1475),
        ["Pilatus CdTe 2M", "Pilatus 2M CdTe", "Pilatus2M CdTe", "Pilatus2MCdTe"];
    "Pilatus4_1M", PILATUS4, size(1080, 1033), ["Pilatus4 1M"];
    "Pilatus4_2M", PILATUS4, size(1630, 1553), ["Pilatus4 2M"];
    "Pilatus4_4M", PILATUS4, size(2180, 2073), ["Pilatus4 4M"];
    "Pilatus4_260k", PILATUS4, size(530, 513), ["Pilatus4 260k"];
    "Pilatus4_260kw", PILATUS4, size(255, 1033), ["Pilatus4 260kw"];
    "Pilatus4_CdTe_1M", PILATUS4_CDTE, size(1080, 1033), ["Pilatus4 1M CdTe"];
    "Pilatus4_CdTe_2M", PILATUS4_CDTE, size(1630, 1553), ["Pilatus4 2M CdTe"];
    "Pilatus4_CdTe_4M", PILATUS4_CDTE, size(2180, 2073), ["Pilatus4 4M CdTe"];
    "Pilatus4_CdTe_260k", PILATUS4_CDTE, size(530, 513), ["Pilatus4 260k CdTe"];
    "Pilatus4_CdTe_260kw", PILATUS4_CDTE, size(255, 1033), ["Pilatus4 260kw CdTe"];
    "Eiger500k", EIGER, size(514, 1030), ["Eiger 500k"];
    "Eiger1M", EIGER, size(1065, 1030), ["Eiger 1M"];
    "Eiger4M", EIGER, size(2167, 2070), ["Eiger 4M"];
    "Eiger9M", EIGER, size(3269, 3110), ["Eiger 9M"];
    "Eiger16M", EIGER, size(4371, 4150), ["Eiger 16M"];
    "Eiger2_250k", EIGER2, size(512, 512), ["Eiger2 250k"];
    "Eiger2_500k", EIGER2, size(512, 1028), ["Eiger2 500k"];
    "Eiger2_1M", EIGER2, size(1062, 1028), ["Eiger2 1M"];
    "Eiger2_1MW", EIGER2, size(512, 2068), ["Eiger2 1M-W"];
    "Eiger2_2MW", EIGER2, size(512, 4148), ["Eiger2 2M-W"];
    "Eiger2_4M", EIGER2, size(2162, 2068), ["Eiger2 4M"];
    "Eiger2_9M", EIGER2, size(3262, 3108), ["Eiger2 9M"];
    "Eiger2_16M", EIGER2, size(4362, 4148), ["Eiger2 16M"];
    "Eiger2CdTe_500k", EIGER2_CDTE, size(512, 1028), ["Eiger2 CdTe 500k"];
    "Eiger2CdTe_1M", EIGER2_CDTE, size(1062, 1028), ["Eiger2 CdTe 1M"];
    "Eiger2CdTe_1MW", EIGER2_CDTE, size(512, 2068), ["Eiger2 CdTe 1M-W"];
    "Eiger2CdTe_2MW", EIGER2_CDTE, size(512, 4148), ["Eiger2 CdTe 2M-W"];
    "Eiger2CdTe_4M", EIGER2_CDTE, size(2162, 2068), ["Eiger2 CdTe 4M"];
    "Eiger2CdTe_9M", EIGER2_CDTE, size(3262, 3108), ["Eiger2 CdTe 9M"];
    "Eiger2CdTe_16M", EIGER2_CDTE, size(4362, 4148), ["Eiger2 CdTe 16M"];
};

/// The class with so many pixels of that size (metres); where silicon and CdTe detectors have as many, the sensor decides.
pub fn of_size(shape: Shape, pixel: (f64, f64), is_cdte: Option<bool>) -> Option<&'static Class> {
    let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
    let fits = |class: &&Class| {
        let (slow, fast) = class.family.pixel;
        class.shape == Some(shape) && near(slow, pixel.0) && near(fast, pixel.1)
    };
    let mut found = CLASSES.iter().filter(fits);
    match is_cdte {
        Some(is_cdte) => found.find(|class| class.family.name.contains("CdTe") == is_cdte),
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
    CLASSES.iter().filter(|c| c.shape.is_some()).find(|class| {
        let aliases = class.aliases.iter().map(|a| a.to_lowercase());
        aliases
            .flat_map(|a| [a.replace(' ', "_"), a.replace(' ', "")])
            .chain([class.name.to_lowercase()])
            .any(|known| wanted.contains(&known))
    })
}
