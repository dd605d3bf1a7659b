//! `Detector` and `Detector_config`: a detector's class and the JSON object that configures it.
//!
//! Keys of the object, in any case, are those that the class has (`pixel1`, `max_shape`, `radius`, …), `orientation`, `sensor` and
//! `binning`. What a pixel size means for the size of an image the class decides
//! ([`Detector::set_pixels`]). Keys that pyFAI would ignore are noted, not refused.

use super::error::{PoniError, Problem};
use super::text::Entries;
use crate::frame::Shape;
use crate::geometry::catalogue::{PixelLayout, PixelSizes};
use crate::geometry::detector::{Detector, Orientation, Sensor};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// Upper bound of a size in pixels along one axis: far above any detector, far below what overflows.
const LARGEST_SIZE: u64 = 1 << 20;

/// Pixels of all: fifty times the largest detector, a gigabyte of mask.
const MOST_PIXELS: usize = 1 << 30;

/// Keys of a detector of which nothing is known.
const PLAIN: [&str; 6] = ["pixel1", "pixel2", "splinefile", "max_shape", "orientation", "sensor"];

/// Keys of a detector that a NeXus file describes.
const OF_FILE: [&str; 3] = ["filename", "orientation", "sensor"];

/// Classes of pyFAI's that have no pixels of their own.
const BASES: [&str; 3] = ["ModuleDetector", "CylindricalDetector", "HexDetector"];

/// Detector of a version 2 file.
pub(super) fn detector(entries: &Entries, notes: &mut Vec<String>) -> Result<Detector, PoniError> {
    let name = &entries.get("detector").ok_or_else(|| entries.missing("Detector"))?.value;
    let config = match entries.get("detector_config") {
        Some(entry) => parse(&entry.value).map_err(|p| entries.error("detector_config", p))?,
        None => Map::new(),
    };
    let at_config = |problem| entries.error("detector_config", problem);
    refuse_distortion(&config).map_err(at_config)?;
    let mut detector = if name.eq_ignore_ascii_case("detector") {
        let size = |key, shown| {
            let value = length(&config, key).map_err(at_config)?;
            value.ok_or_else(|| entries.missing(shown))
        };
        Detector::plain(
            size("pixel1", "pixel1 in Detector_config")?,
            size("pixel2", "pixel2 in Detector_config")?,
            None,
        )
    } else if name.eq_ignore_ascii_case("nexusdetector") {
        let file = config.get("filename").and_then(Value::as_str).filter(|file| !file.is_empty());
        Detector::of_file(PathBuf::from(file.ok_or_else(|| at_config(Problem::NoDetectorFile))?))
    } else {
        by_name(entries, name)?
    };
    if detector.file.is_some() && !name.eq_ignore_ascii_case("nexusdetector") {
        // As in pyFAI, a file that is named instead of a class says everything.
        return Ok(detector);
    }
    configure(&mut detector, &config, notes).map_err(at_config)?;
    Ok(detector)
}

/// A class of the catalogue, or a NeXus file.
pub(super) fn by_name(entries: &Entries, name: &str) -> Result<Detector, PoniError> {
    let is_file = [".h5", ".hdf5", ".nxs"].iter().any(|end| name.ends_with(end)) || Path::new(name).is_file();
    if is_file {
        return Ok(Detector::of_file(PathBuf::from(name)));
    }
    Detector::by_name(name).ok_or_else(|| {
        let problem = match name {
            name if name.eq_ignore_ascii_case("nexusdetector") => Problem::NoDetectorFile,
            name if BASES.contains(&name) => Problem::BaseClass(name.to_owned()),
            name => Problem::UnknownDetector(name.to_owned()),
        };
        entries.error("detector", problem)
    })
}

/// The object with its keys in lower case.
fn parse(text: &str) -> Result<Map<String, Value>, Problem> {
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) => Ok(map.into_iter().map(|(k, v)| (k.to_lowercase(), v)).collect()),
        Ok(other) => Err(Problem::Json(format!("it is {other}"))),
        Err(cause) => Err(Problem::Json(cause.to_string())),
    }
}

fn refuse_distortion(config: &Map<String, Value>) -> Result<(), Problem> {
    let given = |key: &str| config.get(key).filter(|v| !v.is_null()).map(Value::to_string);
    if let Some(file) = given("splinefile") {
        return Err(Problem::SplineFile(file.trim_matches('"').to_owned()));
    }
    let files: Vec<String> = ["x_offset_file", "y_offset_file"].into_iter().filter_map(given).collect();
    if files.is_empty() { Ok(()) } else { Err(Problem::OffsetFiles(files.join(", "))) }
}

fn configure(
    detector: &mut Detector,
    config: &Map<String, Value>,
    notes: &mut Vec<String>,
) -> Result<(), Problem> {
    if let Some(shape) = pair(config, "max_shape")? {
        if shape.0 * shape.1 > MOST_PIXELS {
            return Err(Problem::Config {
                key: "max_shape",
                value: format!("[{}, {}]", shape.0, shape.1),
                expected: "no detector has more than a billion pixels",
            });
        }
        detector.max_shape = Some(Shape { slow: shape.0, fast: shape.1 });
        detector.shape = detector.max_shape;
    }
    let has = |key: &str| detector.class().is_some_and(|class| class.keys.contains(&key));
    if has("module_size") {
        detector.module_size = pair(config, "module_size")?;
    }
    if matches!(detector.layout(), PixelLayout::Cylinder(_)) {
        detector.radius = length(config, "radius")?;
    }
    if let Some(pitch) =
        length(config, "pitch")?.filter(|_| matches!(detector.layout(), PixelLayout::Hexagons(_)))
    {
        (detector.pixel1, detector.pixel2) = (0.5 * pitch * 3.0_f64.sqrt(), pitch);
        detector.pitch = Some(pitch);
    }
    if detector.class().is_some() {
        set_pixel_size(detector, length(config, "pixel1")?, length(config, "pixel2")?)?;
    }
    if let Some(value) = config.get("orientation").filter(|v| !v.is_null()) {
        detector.orientation =
            value.as_u64().and_then(Orientation::from_number).ok_or_else(|| Problem::Config {
                key: "orientation",
                value: value.to_string(),
                expected: "an orientation from 1 to 4 is wanted",
            })?;
        let is_said = value.as_u64() != Some(0);
        if let Some(file) = &mut detector.file {
            file.keeps_orientation = is_said;
        }
    }
    if let Some(value) = config.get("binning").filter(|v| !v.is_null()) {
        set_binning(detector, value)?;
    }
    let keys: &[&str] = match (detector.class(), &detector.file) {
        (Some(class), _) => class.keys,
        (None, Some(_)) => &OF_FILE,
        (None, None) => &PLAIN,
    };
    let sensor = sensor(config)?;
    if keys.contains(&"sensor") {
        detector.sensor = sensor;
    }
    // Distortion was looked at before.
    let is_known = |key: &str| {
        keys.contains(&key) || ["binning", "splinefile", "x_offset_file", "y_offset_file"].contains(&key)
    };
    for key in config.keys().filter(|key| !is_known(key)) {
        notes.push(format!(
            "\"{key}\" in Detector_config is not known to {} and has no effect",
            detector.name
        ));
    }
    Ok(())
}

/// Sets the pixel size (metres) of a class.
pub(super) fn set_pixel_size(
    detector: &mut Detector,
    pixel1: Option<f64>,
    pixel2: Option<f64>,
) -> Result<(), Problem> {
    detector.set_pixels(pixel1, pixel2).map_err(|expected| Problem::Config {
        key: "binning",
        value: format!("{} x {}", detector.binning.0, detector.binning.1),
        expected,
    })
}

/// `binning` of the JSON object: one number or two.
fn set_binning(detector: &mut Detector, value: &Value) -> Result<(), Problem> {
    let wrong = || Problem::Config {
        key: "binning",
        value: value.to_string(),
        expected: "one or two whole numbers from 1 on are wanted",
    };
    let whole = |v: &Value| {
        let number = v.as_f64().filter(|n| (0.5..=LARGEST_SIZE as f64).contains(n));
        number.map(|n| n.round_ties_even() as usize).filter(|&n| n > 0).ok_or_else(wrong)
    };
    let binning = match value.as_array().map(Vec::as_slice) {
        None => (whole(value)?, whole(value)?),
        Some([slow, fast, ..]) => (whole(slow)?, whole(fast)?),
        Some(_) => return Err(wrong()),
    };
    let shown = format!("{} x {}", binning.0, binning.1);
    detector.set_binning(binning).map_err(|expected| Problem::Config {
        key: "binning",
        value: shown,
        expected,
    })
}

/// A length; absent, null and 0 mean "the class's own", as in pyFAI.
fn length(config: &Map<String, Value>, key: &'static str) -> Result<Option<f64>, Problem> {
    let Some(value) = config.get(key).filter(|v| !v.is_null()) else { return Ok(None) };
    let number = match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    };
    match number {
        Some(0.0) => Ok(None),
        Some(size) if size > 0.0 && size.is_finite() => Ok(Some(size)),
        _ => Err(Problem::Config {
            key,
            value: value.to_string(),
            expected: "a length above 0 in metres is wanted",
        }),
    }
}

/// Two sizes in pixels, (slow, fast).
fn pair(config: &Map<String, Value>, key: &'static str) -> Result<Option<(usize, usize)>, Problem> {
    let Some(value) = config.get(key).filter(|v| !v.is_null()) else { return Ok(None) };
    let size = |v: &Value| v.as_u64().filter(|n| (1..=LARGEST_SIZE).contains(n)).map(|n| n as usize);
    match value.as_array().map(Vec::as_slice) {
        Some([slow, fast]) => size(slow).zip(size(fast)),
        _ => None,
    }
    .map(Some)
    .ok_or_else(|| Problem::Config {
        key,
        value: value.to_string(),
        expected: "two sizes in pixels, [slow, fast], are wanted",
    })
}

fn sensor(config: &Map<String, Value>) -> Result<Option<Sensor>, Problem> {
    let Some(value) = config.get("sensor").filter(|v| !v.is_null()) else { return Ok(None) };
    let wrong = || Problem::Config {
        key: "sensor",
        value: value.to_string(),
        expected: "an object with a material, and a thickness in metres, is wanted",
    };
    let material = value.get("material").and_then(Value::as_str).ok_or_else(wrong)?.to_owned();
    let thickness = match value.get("thickness").filter(|v| !v.is_null()) {
        Some(number) => Some(number.as_f64().ok_or_else(wrong)?),
        None => None,
    };
    Ok(Some(Sensor { material, thickness }))
}

/// The object that describes this detector to pyFAI.
pub(super) fn to_json(detector: &Detector) -> Value {
    let mut config = json!({ "orientation": detector.orientation.number() });
    let class = detector.class();
    // What a pixel size does not tell of a binning has to be said.
    let is_told = class.is_none_or(|class| !matches!(class.sizes, PixelSizes::Free | PixelSizes::Fixed));
    let (slow, fast) = detector.binning;
    let bare = if is_told { (1, 1) } else { detector.binning };
    if bare != (1, 1) {
        config["binning"] = json!([slow, fast]);
    }
    if class.is_none_or(|class| class.keys.contains(&"pixel1")) {
        config["pixel1"] = json!(detector.pixel1 / bare.0 as f64);
        config["pixel2"] = json!(detector.pixel2 / bare.1 as f64);
    }
    if let Some(file) = &detector.file {
        // The file says the rest.
        config = json!({ "filename": file.path });
        if file.keeps_orientation {
            config["orientation"] = json!(detector.orientation.number());
        }
    }
    let own = detector.class().and_then(|class| class.max_shape);
    // Binning is told by pixels larger than the class's; a plain detector has no class to compare with.
    let size = if detector.class().is_some() { detector.max_shape } else { detector.shape };
    // Some classes take it from the pixel size, or have but one.
    let says_size = match detector.class() {
        Some(class) => class.keys.contains(&"max_shape") && !matches!(class.sizes, PixelSizes::Scaled(_)),
        None => detector.file.is_none(),
    };
    if let Some(shape) = size.filter(|_| says_size && size != own) {
        config["max_shape"] = json!([shape.slow, shape.fast]);
    }
    if let Some(radius) = detector.radius {
        config["radius"] = json!(radius);
    }
    if let Some(pitch) = detector.pitch {
        config["pitch"] = json!(pitch);
    }
    if let Some((slow, fast)) = detector.module_size {
        config["module_size"] = json!([slow, fast]);
    }
    if let Some(sensor) = &detector.sensor {
        config["sensor"] = json!({ "material": sensor.material });
        if let Some(thickness) = sensor.thickness {
            config["sensor"]["thickness"] = json!(thickness);
        }
    }
    config
}
