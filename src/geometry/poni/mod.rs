//! PONI files: how detector and beam stand to each other.
//!
//! A text of `Key: value` lines; keys in any case, lines that begin with `#` are comments, a line without a colon is nothing,
//! and **the last value of a key wins**, because pyFAI appends to an existing file when it saves. Lengths are in
//! metres, angles in radians.
//!
//! * version 1: `Detector` and `PixelSize1/2` (both optional), `SplineFile`;
//! * version 2: `Detector` and `Detector_config`, a JSON object; 2.1: which may hold `orientation`;
//! * version 3: `Parallax: True/False`, and `sensor` in the JSON object.
//!
//! The same keys as a JSON object are pyFAI's other form, `poni` in its worker configurations ([`Poni::from_json`]).
//!
//! The version is `poni_version`, raised when the contents need it. Where pyFAI falls back to a default or logs
//! and goes on (no distance, no rotations, a sensor that is not known), this reader refuses with the reason: a geometry that
//! was guessed gives wrong patterns, not bad ones. Refused too, because positions would silently be wrong: spline and
//! offset files, and a parallax correction without a sensor and a wavelength to compute it with.
//!
//! A NeXus file that describes the detector is named here and read by who uses the geometry.
//!
//! Reference: `pyFAI/io/ponifile.py` and `pyFAI/detectors/_common.py` of 2026.9.0.

mod config;
mod error;
mod text;

pub use error::{PoniError, Problem};

use super::catalogue::PixelSizes;
use super::detector::Detector;
use super::parallax::Parallax;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use text::{Entries, Entry};

use crate::files;

/// A PONI takes 400 bytes, and pyFAI appends one at each saving: what is larger than this is something else (a frame, a result)
/// and is not read into memory.
const LARGEST_FILE: u64 = 16 << 20;

/// The newest version of the format that pyFAI 2026.9.0 writes.
const NEWEST_VERSION: f64 = 3.0;

/// Geometry of an experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Poni {
    /// Distance from the sample to the detector plane, metres; > 0.
    pub distance: f64,
    /// Foot of the perpendicular from the sample, along the slow axis, metres.
    pub poni1: f64,
    /// … and along the fast axis.
    pub poni2: f64,
    /// Rotation about axis 1, radians, left-handed.
    pub rot1: f64,
    /// Rotation about axis 2, radians, left-handed.
    pub rot2: f64,
    /// Rotation about the beam, radians, right-handed.
    pub rot3: f64,
    /// Wavelength in metres, when known.
    pub wavelength: Option<f64>,
    /// What stands there.
    pub detector: Detector,
    /// Whether positions are corrected for the way that photons go in the sensor.
    pub parallax: bool,
    /// Version of the file's format: 1, 2, 2.1 or 3.
    pub version: f64,
    /// Things in the file that have no effect and that the user may want to know of.
    pub notes: Vec<String>,
}

impl Poni {
    /// Reads a PONI file.
    ///
    /// # Errors
    /// When the file cannot be read, or as [`Poni::parse`].
    pub fn read(path: impl AsRef<Path>) -> Result<Poni, PoniError> {
        let path = path.as_ref();
        let error = |problem| PoniError { path: path.to_owned(), line: None, problem };
        let bytes = read_small(path).map_err(|cause| error(Problem::Unreadable(cause)))?;
        if bytes.len() as u64 > LARGEST_FILE {
            return Err(error(Problem::NoKeys));
        }
        Poni::parse(&String::from_utf8_lossy(&bytes), path)
    }

    /// Reads the text of a PONI file; `path` is for messages only.
    ///
    /// # Errors
    /// For missing or impossible values, unknown detectors, and features that are not supported.
    pub fn parse(text: &str, path: impl Into<PathBuf>) -> Result<Poni, PoniError> {
        Poni::from_entries(&Entries::new(text, path.into()))
    }

    /// Reads a geometry from the JSON object that pyFAI writes into its configurations; `path` is for messages only.
    ///
    /// # Errors
    /// As [`Poni::parse`].
    pub fn from_json(object: &Map<String, Value>, path: impl Into<PathBuf>) -> Result<Poni, PoniError> {
        Poni::from_entries(&Entries::from_json(object, path.into()))
    }

    fn from_entries(entries: &Entries) -> Result<Poni, PoniError> {
        let version = version(entries)?;
        let parallax = entries.get("parallax").is_some_and(|e| e.value.trim().eq_ignore_ascii_case("true"));
        let mut notes = Vec::new();
        let detector = if version >= 2.0 {
            config::detector(entries, &mut notes)?
        } else {
            version_1_detector(entries, &mut notes)?
        };
        let distance = if entries.get("distance").is_some() { "distance" } else { "dist" };
        let poni = Poni {
            distance: positive(entries, distance)?,
            poni1: number(entries, "poni1")?,
            poni2: number(entries, "poni2")?,
            rot1: number(entries, "rot1")?,
            rot2: number(entries, "rot2")?,
            rot3: number(entries, "rot3")?,
            wavelength: entries.get("wavelength").map(|_| positive(entries, "wavelength")).transpose()?,
            detector,
            parallax,
            version,
            notes,
        };
        // A NeXus file may say the sensor: who reads that asks again.
        if poni.detector.file.is_none() {
            poni.check_parallax().map_err(|why| entries.error("parallax", Problem::Parallax(why)))?;
        }
        Ok(poni)
    }

    /// Whether parallax can be corrected, if it is to be.
    ///
    /// # Errors
    /// What is missing.
    pub fn check_parallax(&self) -> Result<(), String> {
        self.parallax_correction().map(|_| ())
    }

    /// What moves pixels; `None` when nothing is to.
    pub(in crate::geometry) fn parallax_correction(&self) -> Result<Option<Parallax>, String> {
        let new = || Parallax::new(self.distance, self.wavelength, self.detector.sensor.as_ref());
        self.parallax.then(new).transpose()
    }

    /// The version of the format that says all of it: 2.1, or 3 where parallax is corrected.
    fn written_version(&self) -> f64 {
        if self.parallax { 3.0 } else { 2.1 }
    }

    /// The JSON object of the same geometry, which pyFAI and [`Poni::from_json`] read back.
    pub fn to_json(&self) -> Value {
        let mut object = json!({
            "poni_version": self.written_version(),
            "dist": self.distance,
            "poni1": self.poni1,
            "poni2": self.poni2,
            "rot1": self.rot1,
            "rot2": self.rot2,
            "rot3": self.rot3,
            "detector": self.detector.name,
            "detector_config": config::to_json(&self.detector),
            "wavelength": self.wavelength,
        });
        if self.parallax {
            object["parallax"] = json!(true);
        }
        object
    }

    /// Whether frames come out the same with the other: all but the version of the file and the remarks on it.
    pub fn same_geometry(&self, other: &Poni) -> bool {
        let bare = |poni: &Poni| Poni { version: 0.0, notes: Vec::new(), ..poni.clone() };
        bare(self) == bare(other)
    }

    /// The text of a PONI file, which pyFAI reads back as the same geometry.
    pub fn to_text(&self) -> String {
        let version = self.written_version();
        let mut text =
            format!("# Nota: C-Order, 1 refers to the Y axis, 2 to the X axis\nponi_version: {version}\n");
        let config = config::to_json(&self.detector);
        let mut line = |key: &str, value: &dyn std::fmt::Display| {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{key}: {value}");
        };
        line("Detector", &self.detector.name);
        line("Detector_config", &config);
        let numbers = [
            ("Distance", Some(self.distance)),
            ("Poni1", Some(self.poni1)),
            ("Poni2", Some(self.poni2)),
            ("Rot1", Some(self.rot1)),
            ("Rot2", Some(self.rot2)),
            ("Rot3", Some(self.rot3)),
            ("Wavelength", self.wavelength),
        ];
        for (key, value) in numbers {
            if let Some(value) = value {
                line(key, &format_args!("{value:?}"));
            }
        }
        if self.parallax {
            line("Parallax", &"True");
        }
        text
    }
}

/// The bytes of a file, but not many more than a PONI may have.
fn read_small(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    files::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The version that the contents need.
fn version(entries: &Entries) -> Result<f64, PoniError> {
    let mut version = match entries.get("poni_version") {
        Some(_) => number(entries, "poni_version")?,
        None => 1.0,
    };
    if let Some(config) = entries.get("detector_config") {
        version = version.max(if config.value.contains("orientation") { 2.1 } else { 2.0 });
    }
    if entries.get("parallax").is_some() {
        version = version.max(3.0);
    }
    // pyFAI knows no versions between 1 and 2 and would go on without any detector.
    if !(version == 1.0 || (2.0..=NEWEST_VERSION).contains(&version)) {
        return Err(entries.error("poni_version", Problem::Version(version)));
    }
    Ok(version)
}

/// Detector of a file without `Detector_config`.
fn version_1_detector(entries: &Entries, notes: &mut Vec<String>) -> Result<Detector, PoniError> {
    if let Some(spline) = entries.get("splinefile")
        && !spline.value.eq_ignore_ascii_case("none")
    {
        return Err(entries.error("splinefile", Problem::SplineFile(spline.value.clone())));
    }
    let size = |key| entries.get(key).map(|_| positive(entries, key)).transpose();
    let (pixel1, pixel2) = (size("pixelsize1")?, size("pixelsize2")?);
    let named = match entries.get("detector") {
        Some(Entry { value, .. }) if !value.eq_ignore_ascii_case("detector") => {
            Some(config::by_name(entries, value)?)
        }
        _ => None,
    };
    match (named, pixel1, pixel2) {
        (Some(detector), None, None) => Ok(detector),
        (Some(detector), _, _) if detector.file.is_some() => Ok(detector),
        (Some(detector), Some(pixel1), Some(pixel2))
            if detector.class().is_some_and(|c| c.sizes == PixelSizes::Fixed) =>
        {
            notes.push(format!("with pixel sizes a {} is any detector: no default mask", detector.name));
            Ok(Detector::plain(pixel1, pixel2, None))
        }
        (Some(mut detector), Some(pixel1), Some(pixel2)) => {
            config::set_pixel_size(&mut detector, Some(pixel1), Some(pixel2))
                .map_err(|problem| entries.error("pixelsize1", problem))?;
            Ok(detector)
        }
        (None, Some(pixel1), Some(pixel2)) => {
            notes.push("the file names no detector: no default mask and no dummy values".to_owned());
            Ok(Detector::plain(pixel1, pixel2, None))
        }
        (_, None, _) => Err(entries.missing("PixelSize1")),
        (_, _, None) => Err(entries.missing("PixelSize2")),
    }
}

/// A finite number that must be there.
fn number(entries: &Entries, key: &'static str) -> Result<f64, PoniError> {
    let entry = entries.get(key).ok_or_else(|| entries.missing(shown(key)))?;
    match entry.value.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err(entries.error(key, Problem::NotANumber { key: shown(key), value: entry.value.clone() })),
    }
}

/// A number that must be there and above zero.
fn positive(entries: &Entries, key: &'static str) -> Result<f64, PoniError> {
    let value = number(entries, key)?;
    if value > 0.0 {
        Ok(value)
    } else {
        Err(entries.error(key, Problem::NotPositive { key: shown(key), value }))
    }
}

/// A key as pyFAI writes it.
fn shown(key: &'static str) -> &'static str {
    match key {
        "distance" | "dist" => "Distance",
        "poni1" => "Poni1",
        "poni2" => "Poni2",
        "rot1" => "Rot1",
        "rot2" => "Rot2",
        "rot3" => "Rot3",
        "wavelength" => "Wavelength",
        "pixelsize1" => "PixelSize1",
        "pixelsize2" => "PixelSize2",
        other => other,
    }
}
