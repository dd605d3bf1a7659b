//! How numbers, units and tables are said to people.

use std::time::Duration;

use crate::output::result::BinAxis;
use crate::picture::axis;
pub(super) use crate::picture::axis::{unit, with_unit};

/// Narrowest column of names.
const NAMES: usize = 17;

/// Names and values, a line each.
#[derive(Debug, Default)]
pub(super) struct Sentences(Vec<(String, String)>);

impl Sentences {
    /// Adds a line.
    pub(super) fn add(&mut self, name: impl Into<String>, value: impl std::fmt::Display) {
        self.0.push((name.into(), value.to_string()));
    }

    /// Adds a line for each value, the first of which has the name.
    pub(super) fn add_all(&mut self, name: &str, values: impl IntoIterator<Item = impl std::fmt::Display>) {
        for (i, value) in values.into_iter().enumerate() {
            self.add(if i == 0 { name } else { "" }, value);
        }
    }

    /// The lines, with all values in one column.
    pub(super) fn text(&self) -> String {
        let widest = self.0.iter().map(|(name, _)| name.chars().count() + 1).max().unwrap_or(0);
        let width = widest.max(NAMES);
        self.0.iter().map(|(name, value)| format!("{name:<width$}{value}\n")).collect()
    }
}

/// From the first bin to the last: `q 0.1 … 6.2 Å⁻¹`.
pub(super) fn ends(axis: &BinAxis) -> Option<String> {
    axis::ends(&axis.name, &axis.centres, &axis.unit)
}

/// hc in keV·Å, as pyFAI has it.
const KEV_ANGSTROM: f64 = 12.398_419_843_320_026;

/// A wavelength in metres, and its energy: `0.200000 Å, 61.9921 keV`.
pub(super) fn energy(wavelength: f64) -> String {
    let angstrom = 1e10 * wavelength;
    format!("{angstrom:.6} Å, {:.4} keV", KEV_ANGSTROM / angstrom)
}

/// How many of something: `1 frame`, `2 frames`.
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Time as people write it.
pub(super) fn seconds(time: Duration) -> String {
    match time.as_secs_f64() {
        s if s < 0.1 => format!("{:.1} ms", s * 1e3),
        s if s < 100.0 => format!("{s:.2} s"),
        s => format!("{:.0} min {:02.0} s", (s / 60.0).floor(), s % 60.0),
    }
}
