//! Where a motor was: what an option says of it, else what the frames' headers say.

use super::columns;
use crate::output::result::Patterns;
use crate::session::error::{Concern, OrAbout, SessionError, refuse};

/// Header numbers that may be the rotation, in the order in which they are looked at.
const ROTATIONS: [&str; 6] = ["start_angle", "omega", "phi", "kappa", "chi", "alpha"];

/// Positions of a motor: degrees, or mm.
pub(super) enum Positions {
    /// One a row of the result.
    Each(Vec<f64>),
    /// One a line of the scan.
    Lines(Vec<f64>),
    /// First and step; as many as the scan has.
    From(f64, f64),
}

/// The rotation, degrees, of the first header number that may be it and changes.
pub(super) fn rotation_of_headers(patterns: &Patterns) -> Option<Positions> {
    ROTATIONS.iter().find_map(|name| moving(patterns, name)).map(Positions::Each)
}

/// The translation, mm.
pub(super) fn translation_of_headers(patterns: &Patterns) -> Option<Positions> {
    let metres = moving(patterns, "start_position")?;
    Some(Positions::Each(metres.into_iter().map(|m| m * 1e3).collect()))
}

/// A header number that is not the same in all frames.
fn moving(patterns: &Patterns, name: &str) -> Option<Vec<f64>> {
    let values = patterns.number(name)?;
    let known = || values.iter().filter(|v| v.is_finite());
    let (low, high) = known().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
    (high - low > 1e-9).then_some(values)
}

/// What an option says of a motor.
///
/// # Errors
/// Concern the input: what is said does not fit the result, or names nothing.
pub(super) fn positions(text: &str, option: &str, patterns: &Patterns) -> Result<Positions, SessionError> {
    let number = |part: &str| part.trim().parse::<f64>().ok().filter(|v| v.is_finite());
    let parts: Vec<&str> = text.split(':').collect();
    if let [first, last, count] = parts[..]
        && let (Some(first), Some(last), Ok(count)) =
            (number(first), number(last), count.trim().parse::<usize>())
    {
        let rows = patterns.rows();
        if !(2..=rows.max(2)).contains(&count) {
            refuse!(
                Input,
                "{option} {text}: {count} positions, one a line of the scan; from 2 to {rows} are possible, as many as there are frames"
            );
        }
        let step = (last - first) / (count - 1) as f64;
        return Ok(Positions::Lines((0..count).map(|i| first + i as f64 * step).collect()));
    }
    if let Some((first, step)) = text.rsplit_once('+')
        && let (Some(first), Some(step)) = (number(first), number(step))
    {
        if step == 0.0 {
            refuse!(Input, "{option} {text}: the step is 0");
        }
        return Ok(Positions::From(first, step));
    }
    columns::each(text, option, patterns).map(Positions::Each).or_about(Concern::Input)
}
