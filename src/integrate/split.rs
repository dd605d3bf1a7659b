//! Pixel splitting: how much of each pixel belongs to each bin.
//!
//! [`build`] makes the axes and the sparse matrix of bins × pixels. Three ways to share a pixel out, all as in pyFAI:
//!
//! * **no**: a pixel counts in the bin of its centre;
//! * **bbox**: a pixel is an interval, its centre ± the distance to its farthest corner, and each bin gets its part of it;
//! * **full**: a pixel is the polygon of its corners in (radial, χ), and each bin gets its part of the area.
//!
//! A pixel inside one bin has weight 1 there, and the weights of a split pixel sum to 1: also when it crosses the end of
//! a range, where (bbox) the part outside is given to the outermost bin. A pixel that begins less than one
//! bin below the range still counts in the first bin, because bin numbers are truncated towards zero: pyFAI's rule.
//!
//! With an azimuthal axis pixels are shared out along both, again as pyFAI does: *no* by the centre, *bbox* as a box (the products
//! of both intervals' parts), *full* as a polygon cut along both axes (`areas.rs`). A pixel that reaches over the end of the azimuthal axis is
//! in its outermost bins, as at the ends of the radial one; where the circle is cut says `circle.rs`.
//!
//! The work: one pass over the pixels finds their places and, without a user's range, the limits of the axis; then a counting
//! sort in two passes (how many entries for each bin; entries to their rows). All three run in parallel over blocks of
//! rows; the matrix does not depend on the number of threads, because pixels always ascend within a row.
//! Beside the matrix they need 8 (no, full) or 12 (bbox) bytes a pixel, and as much again for an azimuthal axis.
//!
//! One rule of pyFAI is not followed: it lets an azimuth range reach past χ = 180°, warns, and uses the part below.
//! Here a sector across χ = 180° is taken whole, as the two parts on both sides.

mod areas;
mod bbox;
mod circle;
mod full;
mod places;
mod scattered;
mod sort;

use super::axis::{Axis, Bins, Quantity};
use crate::budget::{self, OverBudget};
use crate::frame::Shape;
use crate::geometry::catalogue::PixelLayout;
use crate::geometry::mask::Mask;
use crate::geometry::poni::Poni;
use crate::geometry::position::{self, Lattice, Points, Unplaced, WavelengthMissing};
use crate::geometry::units::{Formula, Unit};
use std::f64::consts::{PI, TAU};
use std::fmt;
use std::str::FromStr;

use areas::CutPolygons;
use bbox::{Boxes, Intervals};
use circle::Circle;
use full::{Corners, Polygons};
use places::{Azimuth, Places};

/// How a pixel is shared out among bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// Not at all: the bin of the centre.
    No,
    /// By its extent along the axis.
    BBox,
    /// By the area of its polygon.
    Full,
}

impl Split {
    /// pyFAI's name.
    pub const fn name(self) -> &'static str {
        match self {
            Split::No => "no",
            Split::BBox => "bbox",
            Split::Full => "full",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Split {
    type Err = SplitError;

    fn from_str(name: &str) -> Result<Split, SplitError> {
        [Split::No, Split::BBox, Split::Full]
            .into_iter()
            .find(|s| s.name() == name)
            .ok_or_else(|| SplitError::UnknownMethod(name.to_owned()))
    }
}

/// What the matrix is to be built for.
#[derive(Debug, Clone, Copy)]
pub struct MatrixRequest<'a> {
    /// Geometry of the experiment.
    pub poni: &'a Poni,
    /// Size of the frames.
    pub shape: Shape,
    /// Number of radial bins.
    pub npt: usize,
    /// Number of azimuthal bins; without an azimuthal axis, none.
    pub npt_azim: Option<usize>,
    /// What the radial axis measures.
    pub unit: Unit,
    /// How pixels are shared out.
    pub split: Split,
    /// Pixels to leave out. The detector's own mask is not added: pass it, or a union, if it is wanted.
    pub mask: Option<&'a Mask>,
    /// Lower and upper limit of the radial axis, in the displayed unit; all unmasked pixels when `None`.
    pub radial_range: Option<(f64, f64)>,
    /// Lower and upper limit of χ, degrees; at most a turn apart, and turns do not matter: 170 … 190 lies on both sides of
    /// χ = 180°. A pixel is left out when it is wholly outside. Of an azimuthal axis these are the limits.
    pub azimuth_range: Option<(f64, f64)>,
    /// Whether an azimuthal axis goes from 0 to 360° and not from −180 to 180° (pyFAI's `chi_discontinuity_at_0`).
    pub chi_at_zero: bool,
}

/// Why no matrix can be built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SplitError {
    /// Not one of no, bbox, full.
    #[error("unknown splitting method \"{0}\": use no, bbox or full")]
    UnknownMethod(String),
    /// The unit needs a wavelength.
    #[error(transparent)]
    Wavelength(#[from] WavelengthMissing),
    /// The detector does not say where its pixels are.
    #[error(transparent)]
    Unplaced(#[from] Unplaced),
    /// Hexagons have no areas here.
    #[error(
        "pixels of the detector {0} are no quadrilaterals, and \"full\" splits only those (pyFAI's too): use \"bbox\" or \"no\""
    )]
    NoQuadrilaterals(String),
    /// The frames are not of the detector in the PONI.
    #[error(
        "the frames have {shape} pixels, but the PONI's detector {detector} has {expected}: use the PONI of this detector, \
         or correct its Detector line"
    )]
    Shape {
        /// Name of the detector.
        detector: String,
        /// Its size.
        expected: Shape,
        /// Size of the frames.
        shape: Shape,
    },
    /// The mask is not for these frames.
    #[error("the mask has {found} pixels, but the frames have {shape}: make it again for this detector")]
    MaskShape {
        /// Size of the mask.
        found: Shape,
        /// Size of the frames.
        shape: Shape,
    },
    /// No bins were asked for.
    #[error("0 bins were asked for: at least 1 is needed")]
    NoBins,
    /// Every pixel is masked.
    #[error("all {0} pixels are masked: nothing is left to integrate")]
    AllMasked(usize),
    /// The pixels reach to infinity, or all lie at one place.
    #[error(
        "in {quantity} the pixels reach from {lower} to {upper}, which cannot be divided into bins: give a range"
    )]
    Limits {
        /// What was to be divided.
        quantity: Quantity,
        /// Lower limit found, base value.
        lower: f64,
        /// Upper limit found, base value.
        upper: f64,
    },
    /// The radial range is empty or not finite.
    #[error("the radial range {0} … {1} is empty: give two different finite numbers in the unit of the axis")]
    RadialRange(f64, f64),
    /// The azimuth range is not one.
    #[error("the azimuth range {0}° … {1}° is none: give two finite numbers, at most 360° apart")]
    AzimuthRange(f64, f64),
    /// More memory than is allowed.
    #[error("{0}; use fewer bins, or split \"no\"")]
    OverBudget(OverBudget),
    /// More entries than 32-bit offsets can count.
    #[error(
        "the matrix would have {entries} entries; {} are the most: use fewer bins, or split \"no\"",
        u32::MAX
    )]
    TooLarge {
        /// How many there would be.
        entries: u64,
    },
}

/// Builds the axes and the matrix.
///
/// # Errors
/// [`SplitError`] when the request contradicts itself or the geometry.
pub fn build(request: &MatrixRequest) -> Result<Bins, SplitError> {
    let formula = check(request)?;
    allow(
        format_args!("the places of {} pixels", request.shape),
        &[request.shape.slow, request.shape.fast, if request.npt_azim.is_some() { 2 } else { 1 }],
        if Lattice::new(request.poni, request.shape, Points::Centres).is_some() {
            PLACE
        } else {
            PLACE_APART
        },
    )?;
    match request.npt_azim {
        None => on_line(request, formula),
        Some(npt_azim) => on_grid(request, npt_azim, formula),
    }
}

/// Bins of a radial axis alone.
fn on_line(request: &MatrixRequest, formula: Formula) -> Result<Bins, SplitError> {
    let sector = request.azimuth_range.map(Sector::from_degrees).transpose()?.flatten();
    let pixels = request.shape.pixels();
    let (axis, matrix) = match request.split {
        Split::No | Split::BBox => {
            let (places, extents) =
                places_of(request, formula, sector.map_or(Azimuth::Any, Azimuth::Within))?;
            let axis = radial_axis(request, extents.radial)?;
            let matrix = sort::sort(pixels, [1, axis.npt()], &Intervals::new(&places.radial, &axis))?;
            (axis, matrix)
        }
        Split::Full => {
            let (corners, extents) = corners_of(request, formula, Circle::PLAIN)?;
            let axis = radial_axis(request, extents.radial)?;
            let polygons = Polygons { corners: &corners, request, azimuth: sector, axis: &axis };
            let matrix = sort::sort(pixels, [1, axis.npt()], &polygons)?;
            (axis, matrix)
        }
    };
    Ok(Bins { axes: vec![axis], matrix })
}

/// Bins of an azimuthal and a radial axis.
fn on_grid(request: &MatrixRequest, npt_azim: usize, formula: Formula) -> Result<Bins, SplitError> {
    let circle = Circle::new(request)?;
    let pixels = request.shape.pixels();
    let axes = |extents: places::Extents| -> Result<(Axis, Axis), SplitError> {
        let (lower, highest) = circle.ends(extents.chi);
        let azimuthal = Axis::new(Quantity::Chi, lower, highest, npt_azim);
        Ok((divided(azimuthal)?, radial_axis(request, extents.radial)?))
    };
    let (azimuthal, radial, matrix) = match request.split {
        Split::No | Split::BBox => {
            let (places, extents) = places_of(request, formula, Azimuth::Axis(circle))?;
            let (azimuthal, radial) = axes(extents)?;
            let boxes = Boxes {
                azimuthal: Intervals::new(&places.chi, &azimuthal),
                radial: Intervals::new(&places.radial, &radial),
            };
            let matrix = sort::sort(pixels, [npt_azim, radial.npt()], &boxes)?;
            (azimuthal, radial, matrix)
        }
        Split::Full => {
            let (corners, extents) = corners_of(request, formula, circle)?;
            let (azimuthal, radial) = axes(extents)?;
            let polygons =
                CutPolygons { corners: &corners, request, circle, azimuthal: &azimuthal, radial: &radial };
            let matrix = sort::sort(pixels, [npt_azim, radial.npt()], &polygons)?;
            (azimuthal, radial, matrix)
        }
    };
    Ok(Bins { axes: vec![azimuthal, radial], matrix })
}

/// Centres of pixels, on a lattice or not.
fn places_of(
    request: &MatrixRequest,
    formula: Formula,
    azimuth: Azimuth,
) -> Result<(Places, places::Extents), SplitError> {
    match Places::new(request, formula, azimuth) {
        Some(found) => Ok(found),
        None => Ok(scattered::places(request, formula, azimuth)?),
    }
}

/// Corners of pixels, on a lattice or not.
fn corners_of(
    request: &MatrixRequest,
    formula: Formula,
    circle: Circle,
) -> Result<(Corners, places::Extents), SplitError> {
    let corners = match Corners::new(request, formula, circle) {
        Some(corners) => corners,
        None => scattered::corners(request, formula, circle)?,
    };
    let extents = corners.extents(request);
    Ok((corners, extents))
}

/// Bytes of a pixel's place: centre and corner, or a corner with its angle, and the points between.
const PLACE: usize = 16;

/// The same for a pixel that shares no corners.
const PLACE_APART: usize = 48;

fn allow(what: impl fmt::Display, sizes: &[usize], each: usize) -> Result<(), SplitError> {
    budget::allow(what, budget::bytes_of(sizes, each)).map_err(SplitError::OverBudget)
}

/// Lowest and highest base value of all unmasked pixels.
#[derive(Debug, Clone, Copy)]
struct Limits {
    lower: f64,
    highest: f64,
}

impl Limits {
    const NONE: Limits = Limits { lower: f64::INFINITY, highest: f64::NEG_INFINITY };

    #[inline]
    fn include(&mut self, lower: f64, highest: f64) {
        self.lower = self.lower.min(lower);
        self.highest = self.highest.max(highest);
    }

    fn and(mut self, other: Limits) -> Limits {
        self.include(other.lower, other.highest);
        self
    }
}

fn check(request: &MatrixRequest) -> Result<Formula, SplitError> {
    let MatrixRequest { poni, shape, npt, npt_azim, unit, mask, .. } = *request;
    if npt == 0 || npt_azim == Some(0) {
        return Err(SplitError::NoBins);
    }
    let bins = npt.saturating_mul(npt_azim.unwrap_or(1));
    if u32::try_from(bins).is_err() {
        return Err(SplitError::TooLarge { entries: bins as u64 });
    }
    if let Some(expected) = poni.detector.shape
        && expected != shape
    {
        return Err(SplitError::Shape { detector: poni.detector.name.clone(), expected, shape });
    }
    let detector = &poni.detector;
    let is_listed_otherwise = detector.content().is_some_and(|content| content.corners_each != 4);
    let has_quadrilaterals = !matches!(detector.layout(), PixelLayout::Hexagons(_)) && !is_listed_otherwise;
    if request.split == Split::Full && !has_quadrilaterals {
        return Err(SplitError::NoQuadrilaterals(detector.name.clone()));
    }
    if let Some(mask) = mask {
        if mask.shape != shape || mask.masked.len() != shape.pixels() {
            return Err(SplitError::MaskShape { found: mask.shape, shape });
        }
        if mask.masked.iter().all(|&m| m) {
            return Err(SplitError::AllMasked(shape.pixels()));
        }
    }
    if shape.pixels() == 0 {
        return Err(SplitError::AllMasked(0));
    }
    if u32::try_from(shape.pixels()).is_err() {
        return Err(SplitError::TooLarge { entries: shape.pixels() as u64 });
    }
    Ok(position::formula(poni, unit)?)
}

/// The radial axis, from the user's range or from the limits of the pixels.
fn radial_axis(request: &MatrixRequest, limits: Limits) -> Result<Axis, SplitError> {
    let MatrixRequest { unit, npt, .. } = *request;
    if let Some((from, to)) = request.radial_range {
        let (from, to) = (from / unit.scale(), to / unit.scale());
        let axis = Axis::new(unit, from.min(to), from.max(to), npt);
        if !(from.is_finite() && to.is_finite() && from != to && axis.width > 0.0) {
            return Err(SplitError::RadialRange(from * unit.scale(), to * unit.scale()));
        }
        return Ok(axis);
    }
    let floor = if unit.positive() { 0.0 } else { f64::NEG_INFINITY };
    divided(Axis::new(unit, limits.lower.max(floor), limits.highest.max(floor), npt))
}

/// An axis from where to where pixels reach, if that can be divided into bins.
fn divided(axis: Axis) -> Result<Axis, SplitError> {
    let Axis { quantity, lower, highest, width, .. } = axis;
    match lower.is_finite() && highest.is_finite() && width > 0.0 {
        true => Ok(axis),
        false => Err(SplitError::Limits { quantity, lower, upper: highest }),
    }
}

/// A part of the circle, from `lower` to `upper`, radians.
#[derive(Debug, Clone, Copy)]
struct Sector {
    /// Within −π … π.
    lower: f64,
    /// Above `lower` by less than a turn; past π for a sector across χ = ±π.
    upper: f64,
}

impl Sector {
    /// From limits in degrees, brought into −180° … 180°; an upper limit that is then not above the lower one gets a turn
    /// added. `None` for a whole turn, which leaves nothing out.
    fn from_degrees((from, to): (f64, f64)) -> Result<Option<Sector>, SplitError> {
        if !(from.is_finite() && to.is_finite()) || to - from > 360.0 {
            return Err(SplitError::AzimuthRange(from, to));
        }
        let radians = |degrees: f64| {
            let half_turns = (degrees / 180.0).rem_euclid(2.0);
            (if half_turns >= 1.0 { half_turns - 2.0 } else { half_turns }) * PI
        };
        let (lower, upper) = (radians(from), radians(to));
        let upper = if upper <= lower { upper + TAU } else { upper };
        Ok((to - from < 360.0 && upper - lower < TAU).then_some(Sector { lower, upper }))
    }

    /// Whether a pixel whose χ reaches from `least` to `most` has a part in it. Its χ is cut at ±π; for a sector that the cut
    /// would divide it is counted on from the middle of what is left out, where no pixel is lost.
    #[inline]
    fn touches(self, least: f64, most: f64) -> bool {
        let crosses = self.upper > PI;
        let turn = if crosses && least + most < self.lower + self.upper - TAU { TAU } else { 0.0 };
        !(most + turn < self.lower || least + turn > self.upper)
    }
}
