//! Where the points of the scan are: what the user, the frames' headers and the result's map say, in this order.

use super::motors::{Positions, positions, rotation_of_headers, translation_of_headers};
use super::options::{FastName, TomoOptions, ZigZagName};
use crate::output::result::Patterns;
use crate::session::error::{Concern, OrAbout, SessionError, refuse};
use crate::tomo::repair::ZigZag;
use crate::tomo::scan::{FastAxis, Order, ScanGrid};
use crate::tomo::{Rays, Sinograms};

/// With positions known, lines are turned round only when they fit better by this much of a correlation.
const BEYOND_DOUBT: f64 = 0.2;

/// The scan, and what lengths are measured in.
#[derive(Debug)]
pub(super) struct ScanPoints {
    pub grid: ScanGrid,
    /// `mm`, or `step`.
    pub unit: &'static str,
    pub warnings: Vec<String>,
}

/// Finds out which point each row is. `total` is the sum over bins of each row, NaN for bad ones.
///
/// # Errors
/// Concern the input: it is not known, or contradicts itself.
pub(super) fn find(
    options: &TomoOptions,
    patterns: &Patterns,
    total: &[f32],
) -> Result<ScanPoints, SessionError> {
    let offset = options.offset.unwrap_or(0);
    let rows = patterns.rows();
    if offset >= rows {
        refuse!(Input, "--offset {offset}: there are only {rows} frames");
    }
    let counted = options.rotations.is_some() || options.translations.is_some();
    let rotation = match &options.rotation {
        Some(text) => Some(positions(text, "--rotation", patterns)?),
        None if counted => None,
        None => rotation_of_headers(patterns),
    };
    let translation = match &options.translation {
        Some(text) => Some(positions(text, "--translation", patterns)?),
        None if counted => None,
        None => translation_of_headers(patterns),
    };
    match (rotation, translation) {
        (Some(Positions::Each(rotation)), Some(Positions::Each(translation))) => {
            if counted || options.interleave.is_some() {
                refuse!(
                    Input,
                    "--rotations, --translations and --interleave are for scans without positions; here each frame has its own"
                );
            }
            let known = |row: usize| {
                row >= offset
                    && patterns.frames[row].is_some()
                    && rotation[row].is_finite()
                    && translation[row].is_finite()
            };
            let grid = ScanGrid::from_positions(&rotation, &translation, known).or_about(Concern::Input)?;
            Ok(turned(options, grid, total))
        }
        (rotation, translation) => by_order(options, patterns, total, rotation, translation),
    }
}

/// A scan with a position for each frame, whose lines may yet be the wrong way round.
fn turned(options: &TomoOptions, mut grid: ScanGrid, total: &[f32]) -> ScanPoints {
    let looks = ZigZag::look(&grid.gather(total, 1, 0..1, None));
    let mut warnings = Vec::new();
    match options.zigzag.unwrap_or(ZigZagName::Auto) {
        ZigZagName::Auto if looks.reversed > looks.as_is + BEYOND_DOUBT => {
            grid.turn_odd_rotations();
            grid.notes.push(format!(
                "every other line was turned round, against the positions in the headers: {}",
                looks.evidence()
            ));
        }
        ZigZagName::Auto => {}
        ZigZagName::Yes => {
            grid.turn_odd_rotations();
            grid.notes.push("every other line was turned round, as asked".into());
        }
        ZigZagName::No if looks.is_wrong() => {
            warnings.push(format!("--zigzag no looks wrong: {}", looks.evidence()));
        }
        ZigZagName::No => {}
    }
    ScanPoints { grid, unit: "mm", warnings }
}

/// A scan without a position for each frame: by the order of the rows, or of the map's points.
fn by_order(
    options: &TomoOptions,
    patterns: &Patterns,
    total: &[f32],
    rotation: Option<Positions>,
    translation: Option<Positions>,
) -> Result<ScanPoints, SessionError> {
    let fast = match options.fast_axis {
        Some(FastName::Rotation) => FastAxis::Rotation,
        Some(FastName::Translation) | None => FastAxis::Translation,
    };
    let offset = options.offset.unwrap_or(0);
    let frames = patterns.rows() - offset;
    let (rotations, translations) =
        counts(options, patterns.map, fast, frames, [rotation.as_ref(), translation.as_ref()])?;
    let Some(angles) = lines(rotation, rotations, "--rotation")? else {
        refuse!(Input, "the rotations are not known: give --rotation FIRST:LAST:COUNT or FIRST+STEP, degrees")
    };
    let positions = lines(translation, translations, "--translation")?;
    let unit = if positions.is_some() { "mm" } else { "step" };
    let mut positions = positions.unwrap_or_else(|| (0..translations).map(|t| t as f64).collect());
    let backwards = positions[positions.len() - 1] < positions[0];
    if backwards {
        positions.reverse();
    }
    let mut order =
        Order { angles, positions, fast, zigzag: false, interleave: options.interleave.unwrap_or(1) };
    let mut evidence = |zigzag: bool| -> Result<(ScanGrid, ZigZag), SessionError> {
        order.zigzag = zigzag;
        let mut grid = ScanGrid::from_order(&order, frames).or_about(Concern::Input)?;
        let seen = grid.gather(&total[offset..], 1, 0..1, None);
        let seen = if fast == FastAxis::Translation { seen } else { transposed(&seen) };
        if backwards {
            grid.turn_translations();
        }
        grid.skip(offset);
        Ok((grid, ZigZag::look(&seen)))
    };
    let mut warnings = Vec::new();
    let grid = match options.zigzag.unwrap_or(ZigZagName::Auto) {
        ZigZagName::Auto => {
            let (mut plain, looks) = evidence(false)?;
            if looks.is_wrong() {
                plain = evidence(true)?.0;
                plain.notes.push(format!("every other line was turned round: {}", looks.evidence()));
            }
            plain
        }
        chosen => {
            let (grid, looks) = evidence(chosen == ZigZagName::Yes)?;
            if looks.is_wrong() {
                warnings.push(format!("--zigzag looks wrong: {}", looks.evidence()));
            }
            grid
        }
    };
    Ok(ScanPoints { grid, unit, warnings })
}

/// How many rotations and translations so many frames are of, `given` what is said of either motor.
fn counts(
    options: &TomoOptions,
    map: Option<(usize, usize)>,
    fast: FastAxis,
    frames: usize,
    given: [Option<&Positions>; 2],
) -> Result<(usize, usize), SessionError> {
    let (mut of_rotation, mut of_translation) = (options.rotations, options.translations);
    for (given, count) in given.into_iter().zip([&mut of_rotation, &mut of_translation]) {
        match given {
            Some(Positions::Lines(values)) => *count = Some(values.len()),
            Some(Positions::Each(_)) => refuse!(
                Input,
                "positions of each frame are known for one motor only; give both --rotation and --translation so, or \
                 both by line (FIRST:LAST:COUNT)"
            ),
            Some(Positions::From(..)) | None => {}
        }
    }
    if let Some((slow, quick)) = map {
        let (rows, columns) = if fast == FastAxis::Translation { (slow, quick) } else { (quick, slow) };
        of_rotation = of_rotation.or(Some(rows));
        of_translation = of_translation.or(Some(columns));
    }
    let (rotations, translations) = match (of_rotation, of_translation) {
        (Some(r), Some(t)) => (r, t),
        (Some(r), None) => (r, frames.div_ceil(r.max(1))),
        (None, Some(t)) => (frames.div_ceil(t.max(1)), t),
        (None, None) => refuse!(
            Input,
            "where the frames were taken is not known: their headers do not say, and the result is no map. Give \
             --rotation and --translation, or --rotations N --translations N with --rotation FIRST:LAST:COUNT"
        ),
    };
    if rotations > frames || translations > frames {
        refuse!(Input, "{rotations} rotations x {translations} translations, but only {frames} frames");
    }
    let points = rotations.checked_mul(translations).filter(|points| *points > 0);
    if !points.is_some_and(|points| frames <= points || frames.is_multiple_of(points)) {
        refuse!(
            Input,
            "{frames} frames are neither one scan of {rotations} rotations x {translations} translations nor several"
        );
    }
    Ok((rotations, translations))
}

/// Positions of so many lines; `None` when nothing was said of them.
fn lines(given: Option<Positions>, count: usize, option: &str) -> Result<Option<Vec<f64>>, SessionError> {
    match given {
        Some(Positions::Lines(values)) if values.len() != count => {
            refuse!(Input, "{option} gives {} positions, there are {count}", values.len())
        }
        Some(Positions::Lines(values)) => Ok(Some(values)),
        Some(Positions::From(first, step)) => Ok(Some((0..count).map(|i| first + i as f64 * step).collect())),
        Some(Positions::Each(_)) | None => Ok(None),
    }
}

/// Rotations and translations change places.
fn transposed(total: &Sinograms) -> Sinograms {
    let (rotations, translations) = (total.rays.angles.len(), total.rays.translations);
    let values =
        (0..total.rays.len()).map(|i| total.values[i % rotations * translations + i / rotations]).collect();
    let angles = (0..translations).map(|t| t as f64).collect();
    Sinograms { rays: Rays::centred(angles, rotations), bins: 1, values }
}
