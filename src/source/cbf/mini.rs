//! mini-CBF: the lines `# Key value` that a DECTRIS detector writes about the exposure.
//!
//! The characters `# : = , ( )` count as blanks, so `# N_excluded_pixels: = 321` and `# N_excluded_pixels = 321` are the same.
//! The dialects (SLS_1.0, SLS/DECTRIS_1.1, PILATUS_1.2, none) differ in which keys they write and in the form of the date; all of
//! them are read alike. [`MiniCbf`] keeps every line with its key in DECTRIS' spelling, and gives the values that have a meaning
//! in this program as numbers. [`frame_header`] is the short cut that a reader takes for each frame: only the numbers
//! that change from frame to frame.
//! Source: DECTRIS, "Pilatus CBF header specification 1.4".

use std::sync::{Arc, LazyLock};

use crate::frame::{Column, FrameHeader};
use crate::geometry::detector::Sensor;
use crate::source::facts::DetectorFacts;
use crate::source::monitor::{column_name, find_column};

/// The keys of the specification and those that beamlines add, as DECTRIS spells them.
pub const KEYS: [&str; 47] = [
    "Detector",
    "Date",
    "Pixel_size",
    "Sensor",
    "Exposure_time",
    "Exposure_period",
    "Tau",
    "Count_cutoff",
    "Threshold_setting",
    "Gain_setting",
    "N_excluded_pixels",
    "Excluded_pixels",
    "Flat_field",
    "Trim_file",
    "Trim_directory",
    "Image_path",
    "Wavelength",
    "Energy_range",
    "Detector_distance",
    "Detector_Voffset",
    "Beam_xy",
    "Flux",
    "Filter_transmission",
    "Transmission",
    "Start_angle",
    "Angle_increment",
    "Detector_2theta",
    "Polarization",
    "Alpha",
    "Kappa",
    "Phi",
    "Phi_increment",
    "Chi",
    "Chi_increment",
    "Omega",
    "Omega_increment",
    "Oscillation_axis",
    "N_oscillations",
    "Start_position",
    "Position_increment",
    "Shutter_time",
    "CBF_template_file",
    "Timestamp",
    "Ratecorr_lut_directory",
    "Retrigger_mode",
    "Estimated_flux",
    "Comment",
];

/// Numbers that a detector writes into each frame's header and that change from frame to frame, and their units as NeXus spells them.
pub const NUMBERS: [(&str, &str); 16] = [
    ("exposure_time", "s"),
    ("exposure_period", "s"),
    ("start_angle", "deg"),
    ("angle_increment", "deg"),
    ("detector_2theta", "deg"),
    ("alpha", "deg"),
    ("kappa", "deg"),
    ("phi", "deg"),
    ("phi_increment", "deg"),
    ("chi", "deg"),
    ("chi_increment", "deg"),
    ("omega", "deg"),
    ("omega_increment", "deg"),
    ("start_position", "m"),
    ("position_increment", "m"),
    ("flux", "1/s"),
];

/// The same as columns, and one more that is asked for.
pub(in crate::source) fn columns_with(also: Option<&str>) -> Arc<[Column]> {
    let known = columns();
    match also.map(column_name) {
        Some(name) if find_column(&known, &name).is_none() => {
            let also = Column { name: name.to_ascii_lowercase(), unit: String::new() };
            known.iter().cloned().chain([also]).collect()
        }
        _ => known,
    }
}

/// Those that are always read.
pub(in crate::source) fn columns() -> Arc<[Column]> {
    static COLUMNS: LazyLock<Arc<[Column]>> = LazyLock::new(|| {
        NUMBERS.iter().map(|(name, unit)| Column { name: (*name).into(), unit: (*unit).into() }).collect()
    });
    Arc::clone(&COLUMNS)
}

/// One line of the detector's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderLine {
    /// The key, as DECTRIS spells it when it is one of `KEYS`. `Date` and `Sensor` stand for the two lines without a key.
    pub key: String,
    /// What follows, as written.
    pub value: String,
}

/// What the detector wrote about the exposure.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MiniCbf {
    /// `_array_data.header_convention`: `PILATUS_1.2`, `SLS_1.0`, …; `None` when there is none.
    pub convention: Option<String>,
    /// Every line, in order.
    pub entries: Vec<HeaderLine>,
}

impl MiniCbf {
    /// Reads the lines of `_array_data.header_contents`.
    pub(in crate::source) fn parse(convention: &[u8], contents: &[u8]) -> MiniCbf {
        let convention = (!convention.is_empty()).then(|| String::from_utf8_lossy(convention).into_owned());
        let entries = lines(contents)
            .map(|line| {
                let (key, value) = match line {
                    Line::Date(date) => ("Date", date),
                    Line::Sensor(sensor) => ("Sensor", sensor),
                    Line::Key(key, value) => {
                        (KEYS.into_iter().find(|name| name.eq_ignore_ascii_case(key)).unwrap_or(key), value)
                    }
                };
                HeaderLine { key: key.to_owned(), value: value.to_owned() }
            })
            .collect();
        MiniCbf { convention, entries }
    }

    /// What is written after `key` (any case); `None` when there is no such line or it says `(nil)`.
    pub fn text(&self, key: &str) -> Option<&str> {
        let entry = self.entries.iter().find(|entry| entry.key.eq_ignore_ascii_case(key))?;
        Some(entry.value.as_str()).filter(|value| *value != "(nil)" && !value.is_empty())
    }

    /// The numbers after `key`, up to the first two; what stands between them does not matter.
    fn numbers(&self, key: &str) -> impl Iterator<Item = f64> {
        self.text(key)
            .into_iter()
            .flat_map(|value| value.split(is_blank).filter_map(|word| word.parse().ok()))
    }

    /// The first number after `key`, in the unit that is written behind it (DECTRIS: s, m, eV, Å, degrees).
    pub fn number(&self, key: &str) -> Option<f64> {
        self.numbers(key).next()
    }

    /// The number that the value after `key` begins with, as [`frame_header`] reads it of each frame.
    pub(in crate::source) fn leading(&self, key: &str) -> Option<f64> {
        self.text(key)?.split(is_blank).next()?.parse().ok()
    }

    /// The two numbers after `key`: `Beam_xy` (pixels, fast axis first), `Energy_range` (eV).
    pub fn pair(&self, key: &str) -> Option<[f64; 2]> {
        let mut numbers = self.numbers(key);
        Some([numbers.next()?, numbers.next()?])
    }

    /// Model of the detector: `PILATUS 300K`.
    pub fn detector(&self) -> Option<&str> {
        self.text("Detector")?.split(',').map(str::trim).next()
    }

    /// Serial number of the detector: `3-0118`.
    pub fn serial_number(&self) -> Option<&str> {
        let words = self.text("Detector")?.split(',').map(str::trim);
        words.skip(1).map(|word| word.strip_prefix("S/N").unwrap_or(word).trim()).next()
    }

    /// Size of a pixel along the fast and the slow axis, in metres.
    pub fn pixel_size(&self) -> Option<[f64; 2]> {
        self.pair("Pixel_size")
    }

    /// Material of the sensor (`Silicon`, `CdTe`) and its thickness in metres.
    pub fn sensor(&self) -> Option<(&str, f64)> {
        Some((self.text("Sensor")?.split(is_blank).next()?, self.number("Sensor")?))
    }
}

/// Ångströms, metres.
const ANGSTROM: f64 = 1e-10;

impl MiniCbf {
    /// What is said of detector and beam.
    pub fn facts(&self) -> DetectorFacts {
        let slow_fast = |[fast, slow]: [f64; 2]| (slow, fast);
        DetectorFacts {
            description: self.detector().map(str::to_owned),
            serial_number: self.serial_number().map(str::to_owned),
            sensor: self.sensor().map(|(material, thickness)| Sensor {
                material: material.to_owned(),
                thickness: Some(thickness),
            }),
            pixel_size: self.pixel_size().map(slow_fast),
            distance: self.number("Detector_distance"),
            beam_centre: self.pair("Beam_xy").map(slow_fast),
            wavelength: self.number("Wavelength").map(|length| length * ANGSTROM),
            threshold: self.number("Threshold_setting"),
            ..DetectorFacts::default()
        }
    }
}

/// The values that change from frame to frame, and a number for each of these columns.
pub(in crate::source) fn frame_header(contents: &[u8], columns: &[Column]) -> FrameHeader {
    let mut header = FrameHeader { numbers: vec![f64::NAN; columns.len()], ..FrameHeader::default() };
    for line in lines(contents) {
        match line {
            Line::Date(date) => header.date = iso_date(date),
            Line::Sensor(_) => {}
            Line::Key(key, value) => {
                if key.eq_ignore_ascii_case("Count_cutoff") {
                    let cutoff = value.split(is_blank).next().and_then(|word| word.parse().ok());
                    header.count_cutoff = cutoff.filter(|cutoff: &f64| cutoff.is_finite() && *cutoff > 0.0);
                }
                let place = columns.iter().position(|column| column.name.eq_ignore_ascii_case(key));
                let Some(place) = place else { continue };
                let word = value.split(is_blank).next().unwrap_or_default();
                header.numbers[place] = word.parse().unwrap_or(f64::NAN);
            }
        }
    }
    header
}

enum Line<'a> {
    /// The line that is only a date.
    Date(&'a str),
    /// The line `Silicon sensor, thickness 0.000320 m`.
    Sensor(&'a str),
    /// A key and what follows it.
    Key(&'a str, &'a str),
}

/// Characters that the specification counts as blanks.
fn is_blank(c: char) -> bool {
    matches!(c, '#' | ':' | '=' | ',' | '(' | ')') || c.is_ascii_whitespace()
}

fn lines(contents: &[u8]) -> impl Iterator<Item = Line<'_>> {
    contents.split(|&byte| byte == b'\n').filter_map(|line| {
        let line = std::str::from_utf8(line.trim_ascii()).ok()?.strip_prefix('#')?;
        let line = line.trim_start_matches(is_blank);
        if line.as_bytes().first_chunk().is_some_and(|[a, b, c, d, dash]| {
            [a, b, c, d].iter().all(|byte| byte.is_ascii_digit()) && matches!(dash, b'-' | b'/')
        }) {
            return Some(Line::Date(line));
        }
        let end = line.find(is_blank).unwrap_or(line.len());
        let (key, rest) = line.split_at(end);
        if key.is_empty() {
            return None;
        }
        if rest.trim_start().starts_with("sensor") {
            return Some(Line::Sensor(line));
        }
        // Brackets belong to the value: `(nil)`, `(1230.10, 1310.50) pixels`.
        Some(Line::Key(key, rest.trim_start_matches(|c| is_blank(c) && c != '(')))
    })
}

/// The date in ISO 8601; as written when it is in no form that a detector is known to write.
///
/// Known: `2024-10-26T01:38:06.208`, `2011-Nov-01T17:59:04.733`, `2007/Oct/22 15:32:16.289`.
pub(in crate::source) fn iso_date(written: &str) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let parts = || {
        let (year, rest) = (written.get(..4)?, written.get(5..)?);
        let (month, rest) = rest.split_once(['-', '/'])?;
        let (day, time) = rest.split_once(['T', ' '])?;
        let month = match MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month)) {
            Some(place) => place + 1,
            None => month.parse().ok()?,
        };
        let day: u8 = day.parse().ok()?;
        Some(format!("{year}-{month:02}-{day:02}T{}", time.trim()))
    };
    parts().unwrap_or_else(|| written.trim().to_owned()).replace(|c: char| c.is_control(), "")
}
