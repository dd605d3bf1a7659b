//! Whether a run can give anything, and what was the likely cause when it did not.
//!
//! What can be known before the first frame is refused before the result file is made: a range beside the axis, a sector
//! without pixels, corrections that leave none. What only the frames can tell (they hold nothing but dummies) makes the run
//! an error when it is true of every one of them.

use super::error::{Concern, SessionError};
use super::plan::Plan;
use crate::frame::{BadFrame, FrameStatus};
use crate::geometry::units::Unit;
use crate::integrate::axis::Bins;
use crate::integrate::csr::Csr;
use crate::integrate::split::{self, MatrixRequest};
use crate::pipeline::Report;

/// Units that a range may have been meant in, tried after those that differ from the run's by their scale only.
const COMMON: [Unit; 4] = [Unit::QNm, Unit::QA, Unit::TwoThetaDeg, Unit::RMm];

/// Refuses a matrix without an entry that counts.
///
/// # Errors
/// What leaves no pixel: the ranges, with the axis beside them; or mask and corrections together.
pub(super) fn check_matrix(
    plan: &Plan,
    csr: &Csr,
    counts: impl Fn(usize) -> bool,
) -> Result<(), SessionError> {
    // A pixel that begins less than a bin below the range counts in its first bin (pyFAI's rule): so may all pixels there are,
    // where bins are wide.
    let only_below = filled(csr, plan.npt).skip(1).all(|has_pixels| !has_pixels);
    if let Some(cause) = only_below.then(|| beside_the_axis(plan)).flatten() {
        return Err(SessionError::new(Concern::Calibration, cause));
    }
    let mut entries = csr.indices.iter().zip(&csr.weights);
    if entries.any(|(pixel, weight)| *weight != 0.0 && counts(*pixel as usize)) {
        return Ok(());
    }
    let cause = match (csr.entries(), plan.azimuth_range()) {
        (1.., _) => "no pixel is left to integrate: the corrections (--flat, --dark) leave none of the pixels that mask and \
                     ranges leave"
            .to_owned(),
        (0, Some((from, to))) => format!(
            "no pixel is left to integrate: none lies in --azimuth-range {from} {to} (degrees from x towards y) within the \
             mask and the radial axis"
        ),
        (0, None) => {
            format!("no pixel is left to integrate: the mask leaves none in the radial range ({})", plan.unit.name())
        }
    };
    Err(SessionError::new(Concern::Calibration, cause))
}

/// Says so when no pixel lies in the radial range, and in which unit it may have been meant.
fn beside_the_axis(plan: &Plan) -> Option<String> {
    let (from, to) = plan.radial_range()?;
    let (lower, upper) = axis_of(plan, plan.unit).filter(|(lower, upper)| to < *lower || from > *upper)?;
    let same_space = Unit::ALL.into_iter().filter(|unit| unit.space() == plan.unit.space());
    let meant = same_space.chain(COMMON).filter(|unit| *unit != plan.unit).find_map(|unit| {
        let (lower, upper) = axis_of(plan, unit).filter(|(lower, upper)| to >= *lower && from <= *upper)?;
        Some((unit.name(), short(lower), short(upper)))
    });
    let slip = meant.map_or_else(String::new, |(unit, lower, upper)| {
        format!("; a slip of units? In {unit} the axis goes from {lower} to {upper}")
    });
    Some(format!(
        "--radial-range {from} {to} lies outside the axis, which goes from {} to {} {}{slip}",
        short(lower),
        short(upper),
        plan.unit.name()
    ))
}

/// From where to where the pixels reach that are not masked, in a unit.
fn axis_of(plan: &Plan, unit: Unit) -> Option<(f64, f64)> {
    let all = MatrixRequest {
        poni: &plan.poni,
        shape: plan.encoding().shape,
        npt: 1,
        npt_azim: None,
        unit,
        split: plan.split,
        mask: plan.mask.as_ref(),
        radial_range: None,
        azimuth_range: None,
        chi_at_zero: false,
    };
    let Bins { axes, .. } = split::build(&all).ok()?;
    let axis = axes.last()?;
    let ends = (axis.lower * unit.scale(), axis.upper * unit.scale());
    (ends.0.is_finite() && ends.1.is_finite()).then_some(ends)
}

/// A number as a person would write it: four digits.
fn short(value: f64) -> String {
    let digits = 3 - value.abs().max(1e-6).log10().floor() as i32;
    match digits {
        0..=9 => {
            let text = format!("{value:.*}", digits as usize);
            if text.contains('.') {
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            } else {
                text
            }
        }
        _ => format!("{value:.0}"),
    }
}

/// A warning when most radial bins of a range that was asked for are beside the pixels.
pub(super) fn mostly_empty(plan: &Plan, centres: &[f64], csr: &Csr) -> Option<String> {
    let (from, to) = plan.radial_range()?;
    let filled: Vec<usize> =
        filled(csr, plan.npt).enumerate().filter_map(|(bin, has_pixels)| has_pixels.then_some(bin)).collect();
    let (first, last) = (filled.first()?, filled.last()?);
    (2 * (last - first + 1) < plan.npt).then(|| {
        format!(
            "--radial-range {from} {to}: pixels lie between {} and {} {} only, {} of {} bins are empty",
            short(centres[*first]),
            short(centres[*last]),
            plan.unit.name(),
            plan.npt - filled.len(),
            plan.npt
        )
    })
}

/// For each radial bin whether it has pixels, at any azimuth.
fn filled(csr: &Csr, npt: usize) -> impl Iterator<Item = bool> + '_ {
    let has_pixels = |bin: usize| csr.indptr[bin] < csr.indptr[bin + 1];
    (0..npt).map(move |radius| (radius..csr.bins()).step_by(npt).any(has_pixels))
}

/// Why a run of which no frame gave a pattern that can be believed has failed; `None` when some did, or when its frames
/// are bad for other reasons.
pub fn barren(plan: &Plan, report: &Report) -> Option<SessionError> {
    let is_implausible = |bad: &&BadFrame| {
        matches!(bad.status, FrameStatus::NoPixels | FrameStatus::NotFinite | FrameStatus::NoMonitor)
    };
    let first = report.bad.iter().find(is_implausible)?;
    if report.interrupted || report.bad.len() < report.done {
        return None;
    }
    let (about, cause) = match first.status {
        FrameStatus::NoMonitor => (Concern::Calibration, "each is to be divided by its monitor".to_owned()),
        FrameStatus::NoPixels => {
            let dummy = plan.dummy.map(|dummy| format!("dummy {} +- {}", dummy.value, dummy.delta));
            let whose = if plan.options.dummy.is_some() { "--dummy" } else { "the detector's own" };
            let dummy = dummy.map(|dummy| format!("{dummy}, {whose}"));
            let saturation = plan
                .options
                .saturation
                .map(|_| format!("--saturation from {} counts", plan.saturation.cutoff));
            let asked = plan.options.dummy.is_some() || saturation.is_some();
            let about = if asked { Concern::Calibration } else { Concern::Input };
            let suspects: Vec<String> = dummy.into_iter().chain(saturation).collect();
            let cause = "every pixel that mask and ranges leave has a value that does not count";
            (about, format!("{cause} ({})", suspects.join("; ")))
        }
        _ => {
            let corrections = [
                plan.options.normalization.map(|v| format!("normalisation {v}")),
                plan.flat.is_some().then(|| "the flat".to_owned()),
                plan.dark.is_some().then(|| "the dark".to_owned()),
            ];
            let corrections: Vec<String> = corrections.into_iter().flatten().collect();
            let suspects = match corrections.is_empty() {
                true => "the frames' values".to_owned(),
                false => corrections.join(", "),
            };
            (Concern::Calibration, format!("the intensities are not finite float32; look at {suspects}"))
        }
    };
    let cause =
        format!("not one of {} frames gave a pattern: {cause}; the first: {}", report.done, first.message);
    Some(SessionError::new(about, cause))
}
