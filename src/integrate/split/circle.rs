//! The circle of χ, cut open: where the azimuthal axis begins and ends, and which turn a pixel's χ is counted in.
//!
//! pyFAI cuts it at ±180° or, when told so (`chi_discontinuity_at_0`), at 0. A sector that is asked for must lie on one side of the cut: pyFAI
//! takes the part of it that does, and warns. Here the cut goes where the sector does not reach: to the other of the two places, and
//! if the sector lies across both, to the middle of what is left out. So the axis has the whole sector, and where pyFAI can
//! have it, too, it is the same to the last bit.

use super::{Limits, MatrixRequest, SplitError};
use crate::geometry::position::Points;
use std::f64::consts::{PI, TAU};

/// Where χ jumps, and the sector that is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Circle {
    /// χ is from here to a turn above, radians.
    cut: f64,
    /// Ends of the axis, radians; none: as far as there are pixels.
    range: Option<(f64, f64)>,
}

/// The two places where pyFAI can cut.
const AT_PI: f64 = -PI;
const AT_ZERO: f64 = 0.0;

impl Circle {
    /// As `atan2` has it.
    pub(super) const PLAIN: Circle = Circle { cut: AT_PI, range: None };

    /// That of an axis with these limits.
    pub(super) fn new(request: &MatrixRequest) -> Result<Circle, SplitError> {
        let (usual, other) = match request.chi_at_zero {
            false => (AT_PI, AT_ZERO),
            true => (AT_ZERO, AT_PI),
        };
        let Some((from, to)) = request.azimuth_range else { return Ok(Circle { cut: usual, range: None }) };
        if !(from.is_finite() && to.is_finite()) || to - from > 360.0 {
            return Err(SplitError::AzimuthRange(from, to));
        }
        let of = |cut: f64| Circle { cut, range: Some(sector(from, to, cut)) };
        let whole = [usual, other].map(of).into_iter().find(Circle::holds_range);
        Ok(whole.unwrap_or_else(|| {
            let (lower, upper) = sector(from, to, usual);
            Circle { cut: 0.5 * (lower + upper) - PI, range: Some((lower, upper)) }
        }))
    }

    fn holds_range(&self) -> bool {
        self.range.is_none_or(|(lower, upper)| lower >= self.cut && upper <= self.cut + TAU)
    }

    /// χ of a centre.
    #[inline]
    pub(super) fn centre(self, x: f64, y: f64) -> f64 {
        let mut chi = y.atan2(x);
        while chi < self.cut {
            chi += TAU;
        }
        chi
    }

    /// χ of a corner, with the roundings of pyFAI.
    #[inline]
    pub(super) fn corner(self, x: f64, y: f64, points: Points) -> f32 {
        if self.cut == AT_ZERO && points == Points::Corners {
            return ((y.atan2(x) + TAU) % TAU) as f32;
        }
        self.centre(x, y) as f32
    }

    /// Where the corners of a pixel on the cut go that are just above it, and how high its centre may be then.
    #[inline]
    pub(super) fn recentre(self, chi: &mut [f64; 4]) {
        for chi in chi.iter_mut().filter(|chi| **chi < self.cut + PI) {
            *chi += TAU;
        }
        let [a, b, c, d] = *chi;
        if 0.25 * (a + b + c + d) > self.cut + TAU {
            chi.iter_mut().for_each(|chi| *chi -= TAU);
        }
    }

    /// Lower and upper limit of the axis: what was asked for, or where the pixels are, but no more than a turn (in float32, as in pyFAI).
    pub(super) fn ends(self, found: Limits) -> (f64, f64) {
        let half_turn = f64::from(PI as f32);
        self.range.unwrap_or_else(|| match self.cut == AT_ZERO {
            true => (found.lower.max(0.0), found.highest.min(2.0 * half_turn)),
            false => (found.lower.max(-half_turn), found.highest.min(half_turn)),
        })
    }
}

/// A sector in radians, its lower end within a turn above the cut; pyFAI's arithmetic.
fn sector(from: f64, to: f64, cut: f64) -> (f64, f64) {
    let radians = |degrees: f64| {
        let half_turns = (degrees / 180.0).rem_euclid(2.0);
        (if cut < 0.0 && half_turns >= 1.0 { half_turns - 2.0 } else { half_turns }) * PI
    };
    let (lower, upper) = (radians(from), radians(to));
    (lower, if upper <= lower { upper + TAU } else { upper })
}
