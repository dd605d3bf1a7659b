//! `Detector` and `Detector_config`: a detector's class and the JSON object that configures it.
//!
//! Keys of the object, in any case: `pixel1`, `pixel2`, `max_shape`, `orientation`, `sensor`, `binning`, and for modular detectors
//! `module_size`. A pixel size larger than the class's means a binned detector. Keys that pyFAI would
//! ignore are noted, not refused.

use super::error::{PoniError, Problem};
use super::text::Entries;
use crate::frame::Shape;
use crate::geometry::detector::{Detector, Orientation, Sensor};
use serde_json::{Map, Value, json};

/// Upper bound of a size in pixels along one axis: far above any detector, far below what overflows.
const LARGEST_SIZE: u64 = 1 << 20;

/// Pixels of all: fifty times the largest detector, a gigabyte of mask.
const MOST_PIXELS: usize = 1 << 30;

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
            let value = pixel_size(&config, key).map_err(at_config)?;
            value.ok_or_else(|| entries.missing(shown))
        };
        Detector::plain(
            size("pixel1", "pixel1 in Detector_config")?,
            size("pixel2", "pixel2 in Detector_config")?,
            None,
        )
    } else {
        by_name(entries, name)?
    };
    configure(&mut detector, &config, notes).map_err(at_config)?;
    Ok(detector)
}

/// A class of the catalogue.
pub(super) fn by_name(entries: &Entries, name: &str) -> Result<Detector, PoniError> {
    let nexus = name.eq_ignore_ascii_case("nexusdetector") || name.ends_with(".h5") || name.ends_with(".nxs");
    Detector::by_name(name).ok_or_else(|| {
        let name = name.to_owned();
        let problem = if nexus { Problem::NexusDetector(name) } else { Problem::UnknownDetector(name) };
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
    if detector.family().is_some() {
        detector.module_size = pair(config, "module_size")?;
        set_pixel_size(detector, pixel_size(config, "pixel1")?, pixel_size(config, "pixel2")?)?;
    }
    if let Some(value) = config.get("orientation").filter(|v| !v.is_null()) {
        detector.orientation =
            value.as_u64().and_then(Orientation::from_number).ok_or_else(|| Problem::Config {
                key: "orientation",
                value: value.to_string(),
                expected: "an orientation from 1 to 4 is wanted",
            })?;
    }
    if let Some(value) = config.get("binning").filter(|v| !v.is_null()) {
        set_binning(detector, value)?;
    }
    detector.sensor = sensor(config)?;
    const KNOWN: [&str; 10] = [
        "pixel1",
        "pixel2",
        "max_shape",
        "module_size",
        "orientation",
        "binning",
        "sensor",
        "splinefile",
        "x_offset_file",
        "y_offset_file",
    ];
    for key in config.keys().filter(|k| !KNOWN.contains(&k.as_str())) {
        notes.push(format!("\"{key}\" in Detector_config is not known and has no effect"));
    }
    Ok(())
}

/// Sets the pixel size (metres) of a class that has one. Larger pixels are binned ones: the ratio, rounded, is the
/// binning, and the image is smaller by it.
pub(super) fn set_pixel_size(
    detector: &mut Detector,
    pixel1: Option<f64>,
    pixel2: Option<f64>,
) -> Result<(), Problem> {
    let Some(family) = detector.family() else { return Ok(()) };
    let factor =
        |size: f64, own: f64| if size / own > 1.0 { (size / own).round_ties_even() as usize } else { 1 };
    if let Some(size) = pixel1 {
        detector.pixel1 = size;
        detector.binning.0 = factor(size, family.pixel.0);
    }
    if let Some(size) = pixel2 {
        detector.pixel2 = size;
        detector.binning.1 = factor(size, family.pixel.1);
    }
    set_binned_shape(detector)
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
    detector.pixel1 *= binning.0 as f64 / detector.binning.0 as f64;
    detector.pixel2 *= binning.1 as f64 / detector.binning.1 as f64;
    detector.binning = binning;
    set_binned_shape(detector)
}

fn set_binned_shape(detector: &mut Detector) -> Result<(), Problem> {
    if let Some(full) = detector.max_shape {
        let shape = Shape { slow: full.slow / detector.binning.0, fast: full.fast / detector.binning.1 };
        if shape.pixels() == 0 {
            return Err(Problem::Config {
                key: "binning",
                value: format!("{} x {}", detector.binning.0, detector.binning.1),
                expected: "the detector has fewer pixels than that (pixel sizes are in metres)",
            });
        }
        detector.shape = Some(shape);
    }
    Ok(())
}

/// A pixel size; absent, null and 0 mean "the class's own", as in pyFAI.
fn pixel_size(config: &Map<String, Value>, key: &'static str) -> Result<Option<f64>, Problem> {
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
    let mut config = json!({
        "pixel1": detector.pixel1,
        "pixel2": detector.pixel2,
        "orientation": detector.orientation.number(),
    });
    let own = Detector::by_name(&detector.name).and_then(|d| d.max_shape);
    // Binning is told by pixels larger than the class's; a plain detector has no class to compare with.
    let size = if detector.family().is_some() { detector.max_shape } else { detector.shape };
    if let Some(shape) = size.filter(|_| size != own) {
        config["max_shape"] = json!([shape.slow, shape.fast]);
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
