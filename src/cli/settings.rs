//! The settings of a run in words, from the JSON that its file holds: pyFAI's keys, and ours under `xrdct`.
//!
//! What was not set is said where a reader would ask (mask, ranges, corrections) and left out elsewhere. A key that has no words
//! here is shown by its name, so that nothing is hidden when options are added.

use serde_json::{Map, Value};

use super::words::{count, energy, with_unit};
use crate::session::Unit;

/// Name and value.
pub(super) type Setting = (String, String);

/// Names of a list that are shown; of more, the first and the last.
const NAMED: usize = 3;

/// Keys that are said under another one's name, or that tell a reader nothing.
const SILENT: [&str; 23] = [
    "application",
    "version",
    "nbpt_azim",
    "delta_dummy",
    "poni_file",
    "combine_mask",
    "zigzag",
    "fast",
    "input_data",
    "polarization_description",
    "polarization_factor",
    "chi_discontinuity_at_0",
    "integrator_class",
    "integrator_method",
    "extra_options",
    "statistic",
    "clip",
    "clip_cycles",
    "quantile",
    "unit",
    "shape",
    "no_solid_angle",
    "not_in_pyfai",
];

/// Names that say more than their keys.
const NAMES: [(&str, &str); 8] = [
    ("saturation", "saturated, left out"),
    ("empty", "value of empty bins"),
    ("offset", "frames left out at the start"),
    ("frames", "frames taken of those"),
    ("channel", "channel of the images"),
    ("part", "part of the scan"),
    ("sums", "float64 sums kept"),
    ("segments", "size of segments"),
];

/// Keys of a run, those of `xrdct` beside pyFAI's; what is null or empty is not there.
struct Keys(Map<String, Value>);

impl Keys {
    fn of(configuration: &Value) -> Keys {
        let mut keys = Map::new();
        // A worker's configuration stands in `ai` of a map's.
        let parts = [Some(configuration), configuration.get("ai")];
        for part in parts.into_iter().flatten() {
            let inner = part.get("xrdct").and_then(Value::as_object);
            for (name, value) in part.as_object().into_iter().flatten().chain(inner.into_iter().flatten()) {
                if is_said(value) && !["ai", "xrdct"].contains(&name.as_str()) {
                    // `poni` is the geometry; under `xrdct` it may be the name of its file.
                    let name = if name == "poni" && value.is_string() { "poni_file" } else { name };
                    keys.entry(name).or_insert_with(|| value.clone());
                }
            }
        }
        Keys(keys)
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.get(name)?.as_f64()
    }

    fn is_set(&self, name: &str) -> bool {
        self.get(name).and_then(Value::as_bool) == Some(true)
    }

    fn list(&self, name: &str) -> Vec<f64> {
        self.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_f64).collect()
    }

    /// Names of files: a text or a list of them.
    fn names(&self, name: &str) -> Vec<&str> {
        match self.get(name) {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }
}

fn is_said(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty() && !items.iter().all(Value::is_null),
        Value::Object(map) => map.values().any(is_said),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

/// The settings of an integration.
pub(super) fn integration(configuration: &Value) -> Vec<Setting> {
    let keys = Keys::of(configuration);
    let mut rows: Vec<Setting> = Vec::new();
    let mut say = |name: &str, value: Option<String>| {
        rows.extend(value.map(|value| (name.to_owned(), value)));
    };
    let poni = keys.get("poni");
    let of_poni = |name: &str| poni.and_then(|poni| poni.get(name)).and_then(Value::as_f64);
    say("geometry", geometry(&keys));
    say(
        "point of normal incidence",
        of_poni("poni1").zip(of_poni("poni2")).map(|(slow, fast)| format!("{slow} m slow, {fast} m fast")),
    );
    let rotations: Vec<String> =
        ["rot1", "rot2", "rot3"].iter().filter_map(|name| of_poni(name)).map(|r| r.to_string()).collect();
    say("rotations", (!rotations.is_empty()).then(|| format!("{} rad", rotations.join(", "))));
    say("wavelength", of_poni("wavelength").map(energy));
    say(
        "pixels",
        match keys.list("shape")[..] {
            [slow, fast] => Some(format!("{slow} x {fast} (slow x fast)")),
            _ => None,
        },
    );
    let known: Option<Unit> = keys.text("unit").and_then(|name| name.parse().ok());
    let symbol = known.map_or("", Unit::unit_symbol);
    say(
        "bins",
        keys.number("nbpt_rad").map(|npt| {
            let of = keys.text("unit").map_or_else(String::new, |name| format!(" in {name}"));
            format!("{}{of}", count(npt as usize, "bin"))
        }),
    );
    say(
        "azimuthal bins",
        keys.number("nbpt_azim").filter(|npt| *npt > 1.0).map(|npt| {
            let cut = if keys.is_set("chi_discontinuity_at_0") { ", the circle cut at 0" } else { "" };
            format!("{} in chi_deg{cut}", count(npt as usize, "bin"))
        }),
    );
    say("pixel splitting", method(&keys));
    let ends = |name: &str, symbol: &str| match keys.list(name)[..] {
        [from, to] => Some(with_unit(format!("{from} … {to}"), symbol)),
        _ => None,
    };
    say("radial range", ends("radial_range", symbol).or(Some("all pixels".into())));
    say("azimuthal range", ends("azimuth_range", "°").or(Some("the whole circle".into())));
    say("mask", Some(mask(&keys)));
    say(
        "pixels to ignore",
        Some(match (keys.number("val_dummy"), keys.number("delta_dummy")) {
            (Some(value), Some(delta)) if delta != 0.0 => format!("those that count {value} ± {delta}"),
            (Some(value), _) => format!("those that count {value}"),
            (None, _) => "the detector's own dummies".into(),
        }),
    );
    let none = || Some("none".to_owned());
    say("dark current", files(&keys.names("dark_current")).or_else(none));
    say("flat field", files(&keys.names("flat_field")).or_else(none));
    let solid_angle = keys.get("correct_solid_angle").map_or(!keys.is_set("no_solid_angle"), |v| *v == true);
    say("solid angle", Some(if solid_angle { "corrected" } else { "not corrected" }.into()));
    let factor =
        keys.number("polarization_factor").or(keys.list("polarization_description").first().copied());
    say("polarisation", Some(factor.map_or("not corrected".into(), |f| format!("corrected, factor {f}"))));
    let divisor = keys.number("normalization_factor").filter(|factor| *factor != 1.0);
    say("normalisation", divisor.map(|factor| format!("all intensities divided by {factor}")));
    let monitor = keys.text("monitor").or(keys.text("monitor_name"));
    say("monitor", monitor.map(|name| format!("each frame divided by its own: {name}")));
    say(
        "uncertainties",
        Some(match keys.text("error_model") {
            None | Some("no" | "none") => "none".into(),
            Some("poisson") => "Poisson: the variance of a pixel is its counts, at least 1".into(),
            Some("azimuthal") => "azimuthal: from how the pixels of a bin differ".into(),
            Some("hybrid") => "hybrid: outliers by how pixels differ, then Poisson's".into(),
            Some("variance") => {
                format!("variances of pixels from {}", keys.text("variance").unwrap_or("nobody knows where"))
            }
            Some(other) => other.into(),
        }),
    );
    say("statistic", statistic(&keys));
    say(
        "map",
        match (keys.number("slow"), keys.number("fast")) {
            (Some(slow), Some(fast)) => {
                let zigzag = if keys.is_set("zigzag") { ", every other one backwards" } else { "" };
                Some(format!("{slow} lines of {fast} points{zigzag}"))
            }
            _ => None,
        },
    );
    let said = [
        "poni",
        "nbpt_rad",
        "method",
        "radial_range",
        "azimuth_range",
        "mask_file",
        "val_dummy",
        "dark_current",
        "flat_field",
        "correct_solid_angle",
        "normalization_factor",
        "monitor",
        "monitor_name",
        "error_model",
        "variance",
        "slow",
    ];
    rows.extend(others(&keys, &said));
    rows
}

/// The settings of a tomogram: how it was made, and what was asked for besides.
pub(super) fn tomogram(configuration: &Value) -> Vec<Setting> {
    let mut rows = vec![("algorithm".to_owned(), algorithm(configuration))];
    rows.extend(others(&Keys::of(configuration), &["algorithm", "filter", "iterations"]));
    rows
}

/// How slices were made; what is not in the configuration was the default.
pub(super) fn algorithm(configuration: &Value) -> String {
    let word = |name: &str| configuration.get(name).and_then(Value::as_str);
    let iterations = configuration.get("iterations").and_then(Value::as_u64);
    match (word("algorithm").unwrap_or("fbp"), iterations) {
        ("fbp", _) => format!("filtered back-projection, filter {}", word("filter").unwrap_or("ramp")),
        (name, Some(iterations)) => format!("{}, {iterations} iterations", name.to_uppercase()),
        (name, None) => name.to_uppercase(),
    }
}

fn geometry(keys: &Keys) -> Option<String> {
    let poni = keys.get("poni")?;
    let detector = poni.get("detector").and_then(Value::as_str).unwrap_or("a detector");
    let distance = poni.get("dist").and_then(Value::as_f64);
    let distance = distance.map_or_else(String::new, |metres| format!(", {metres} m behind the sample"));
    let file = keys.text("poni_file").map_or_else(String::new, |file| format!(" ({file})"));
    Some(format!("{detector}{distance}{file}"))
}

fn method(keys: &Keys) -> Option<String> {
    let name = match keys.get("method")? {
        Value::String(name) => name.as_str(),
        Value::Array(parts) => parts.first()?.as_str()?,
        _ => return None,
    };
    Some(match name {
        "no" => "none: a pixel goes to the bin of its centre".into(),
        "bbox" => "bounding box: a pixel is shared by the bins that its box covers".into(),
        "full" => "full: a pixel is shared by area".into(),
        other => other.to_owned(),
    })
}

/// What is more than the mean of all pixels.
fn statistic(keys: &Keys) -> Option<String> {
    let told = |name: &str| keys.get("extra_options").and_then(|options| options.get(name));
    let number = |name: &str| told(name).map_or_else(|| "some".to_owned(), words);
    Some(match keys.text("integrator_method")? {
        "sigma_clip_ng" => format!(
            "pixels beyond {} standard deviations are thrown out, in {} cycles at most",
            number("thres"),
            number("max_iter")
        ),
        "medfilt1d_ng" => match (keys.list("quantile")[..].first_chunk(), told("percentile")) {
            (Some([from, to]), _) if from == to => format!("the pixel at quantile {from}"),
            (Some([from, to]), _) => format!("pixels between quantiles {from} and {to}"),
            (None, Some(percent)) if percent.as_f64() == Some(50.0) => "the median".to_owned(),
            (None, percent) => format!("at {} %", percent.map_or_else(String::new, words)),
        },
        _ => return None,
    })
}

fn mask(keys: &Keys) -> String {
    match (keys.text("mask_file"), keys.is_set("combine_mask")) {
        (Some(file), true) => format!("{file}, and the detector's own"),
        (Some(file), false) => format!("{file}, instead of the detector's own"),
        (None, _) => "the detector's own".into(),
    }
}

fn files(names: &[&str]) -> Option<String> {
    match names {
        [] => None,
        [first, .., last] if names.len() > NAMED => {
            Some(format!("mean of {} files, {first} … {last}", names.len()))
        }
        names => Some(names.join(", ")),
    }
}

/// Keys that were set and are said by nobody else.
fn others(keys: &Keys, said: &[&str]) -> Vec<Setting> {
    let is_new = |name: &str| !said.contains(&name) && !SILENT.contains(&name);
    let rest = keys.0.iter().filter(|(name, _)| is_new(name));
    let label = |key: &str| NAMES.iter().find(|(known, _)| *known == key).map(|(_, name)| (*name).to_owned());
    rest.map(|(key, value)| (label(key).unwrap_or_else(|| key.replace('_', " ")), words(value))).collect()
}

/// Any value without brackets, quotes and nulls.
fn words(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.into(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.len() > 2 * NAMED => {
            let [first, last] =
                [items.first(), items.last()].map(|item| item.map_or_else(String::new, words));
            format!("{first} … {last} ({} in all)", items.len())
        }
        Value::Array(items) => items.iter().filter(|i| is_said(i)).map(words).collect::<Vec<_>>().join(", "),
        Value::Object(map) => {
            let pairs = map.iter().filter(|(_, value)| is_said(value));
            pairs.map(|(name, value)| format!("{name} {}", words(value))).collect::<Vec<_>>().join(", ")
        }
    }
}
