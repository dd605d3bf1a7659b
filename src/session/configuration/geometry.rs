//! The geometry in a worker configuration: the object `poni` (version 4 on), the name of a PONI file, or keys beside
//! all others (versions 1 to 3), which win over the file's.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::ConfigError;
use super::names::found;
use super::values::Keys;
use crate::geometry::poni::{Poni, PoniError};

/// Keys of the first three versions that `poni` holds since.
const NUMBERS: [&str; 7] = ["dist", "poni1", "poni2", "rot1", "rot2", "rot3", "wavelength"];
const DETECTOR: [&str; 7] =
    ["detector", "detector_config", "pixel1", "pixel2", "splineFile", "splinefile", "poni_version"];

/// The last version that has the geometry's keys beside all others.
const LAST_FLAT: u8 = 3;

/// The PONI file that the configuration names, and the geometry that it holds itself; the second wins.
pub(super) fn take(
    keys: &mut Keys,
    version: u8,
    path: &Path,
) -> Result<(Option<PathBuf>, Option<Poni>), ConfigError> {
    let mut file = None;
    let mut geometry = match keys.take("poni") {
        None => Map::new(),
        Some(Value::Object(map)) => map,
        Some(Value::String(name)) => {
            file = Some(PathBuf::from(&name)).filter(|_| !name.is_empty());
            Map::new()
        }
        Some(other) => {
            let fault = keys.fault("poni", &other, "an object or the name of a PONI file is wanted");
            return Err(fault.of(path));
        }
    };
    if version <= LAST_FLAT {
        lay_flat_keys_over(
            keys,
            &mut geometry,
            file.as_deref().map(|name| found(&name.to_string_lossy(), path)),
        )
        .map_err(ConfigError::Geometry)?;
    }
    let is_there = geometry.values().any(|value| !value.is_null());
    let poni = is_there.then(|| Poni::from_json(&geometry, path)).transpose();
    Ok((file, poni.map_err(ConfigError::Geometry)?))
}

/// Forgets the geometry: another one was typed.
pub(super) fn forget(keys: &mut Keys, version: u8) {
    keys.take("poni");
    if version <= LAST_FLAT {
        NUMBERS.iter().chain(&DETECTOR).for_each(|key| drop(keys.take(key)));
    }
}

/// The geometry's keys beside all others, over what the PONI file says, if there is one.
fn lay_flat_keys_over(
    keys: &mut Keys,
    geometry: &mut Map<String, Value>,
    file: Option<PathBuf>,
) -> Result<(), PoniError> {
    let numbers = NUMBERS.map(|key| (key, keys.take(key)));
    let [name, config, pixel1, pixel2, spline, other_spline, _] = DETECTOR.map(|key| keys.take(key));
    let shape = keys.peek("shape").cloned();
    let plain = |name: &Value| name.as_str().is_some_and(|name| name.eq_ignore_ascii_case("detector"));
    let has_pixels = pixel1.is_some() && pixel2.is_some();
    let mut detector = match (name, config) {
        (Some(name), Some(config)) => vec![("detector", name), ("detector_config", config)],
        (Some(name), None) if plain(&name) => plain_detector(pixel1, pixel2, shape),
        (Some(name), None) => vec![("detector", name)],
        (None, _) if has_pixels && (shape.is_some() || file.is_none()) => {
            plain_detector(pixel1, pixel2, shape)
        }
        (None, _) => vec![],
    };
    // The reader of PONI files says why this cannot be followed.
    if let Some(spline) = spline.or(other_spline).filter(|name| name.as_str() != Some("")) {
        detector.push(("splinefile", spline));
    }
    let over: Vec<(&str, Value)> =
        numbers.into_iter().filter_map(|(key, value)| Some((key, value?))).chain(detector).collect();
    if over.is_empty() {
        return Ok(());
    }
    if let Some(Value::Object(of_file)) = file.map(Poni::read).transpose()?.map(|poni| poni.to_json()) {
        *geometry = of_file;
    }
    if over.iter().any(|(key, _)| *key == "detector") {
        geometry.remove("detector_config");
        geometry.remove("poni_version");
    }
    geometry.extend(over.into_iter().map(|(key, value)| (key.to_owned(), value)));
    Ok(())
}

fn plain_detector(
    pixel1: Option<Value>,
    pixel2: Option<Value>,
    shape: Option<Value>,
) -> Vec<(&'static str, Value)> {
    let config = json!({ "pixel1": pixel1, "pixel2": pixel2, "max_shape": shape });
    vec![("detector", "Detector".into()), ("detector_config", config)]
}
