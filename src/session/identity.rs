//! What a run was made of, so that another one can tell whether it would be the same: input files and recipe.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::device::Device;
use super::plan::Plan;
use crate::files;
use crate::output::result::FileStamp;

/// Bytes of a file that are looked at.
const HEAD: usize = 4096;

/// A file that is not there.
const GONE: FileStamp = FileStamp { size: -1, time: 0, head: 0 };

/// Keys of the configuration that say how a run is done and not what comes out, or name files whose contents the recipe has.
const HOW: [&str; 15] = [
    "engine",
    "not_in_pyfai",
    "poni_file",
    "input_data",
    "device",
    "strategy",
    "lanes",
    "batch",
    "readers",
    "threads",
    "bad_frames",
    "no_verify",
    "mask_file",
    "dark_current",
    "flat_field",
];

/// What a file is now.
fn stamp(path: &Path, with_head: bool) -> FileStamp {
    let there = files::metadata(path).ok().filter(std::fs::Metadata::is_file);
    let Some(there) = there else { return GONE };
    let head = with_head.then(|| files::start(path, HEAD).ok()).flatten();
    FileStamp {
        size: i64::try_from(there.size()).unwrap_or(i64::MAX),
        time: there.mtime().saturating_mul(1_000_000_000).saturating_add(there.mtime_nsec()),
        head: head.map_or(0, |head| crc32fast::hash(&head)),
    }
}

/// What the plan's input files are now; with the first bytes of each where frames have no digests.
pub(super) fn stamps(plan: &Plan, with_heads: bool) -> Vec<FileStamp> {
    plan.frames.files().iter().map(|file| stamp(file, with_heads)).collect()
}

/// Whether each frame's header says what its bytes are; reads the first.
pub(super) fn has_digests(plan: &Plan) -> bool {
    plan.frames.written_digest(0).is_some()
}

/// What decides the patterns beside the configuration: the program, the kind of device, and what images of the calibration hold.
pub(super) fn recipe(plan: &Plan) -> Value {
    let crc = |bytes: &[u8]| format!("crc32:{:08x}", crc32fast::hash(bytes));
    let floats = |values: &Vec<f32>| {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        crc(&bytes)
    };
    let masked = |mask: &crate::geometry::mask::Mask| {
        let bytes: Vec<u8> = mask.masked.iter().map(|masked| u8::from(*masked)).collect();
        crc(&bytes)
    };
    let dummy = plan.dummy.map(|dummy| json!([dummy.value, dummy.delta]));
    json!({
        "program": concat!("xrdct ", env!("CARGO_PKG_VERSION")),
        "device": kind(&plan.device),
        "mask": plan.mask.as_ref().map(masked),
        "dark": plan.dark.as_ref().map(floats),
        "flat": plan.flat.as_ref().map(floats),
        "dummy": dummy,
        "saturation": if plan.saturation.masked { json!(plan.saturation.cutoff) } else { Value::Null },
    })
}

/// `cpu` or `cuda`: patterns of one kind of device have the same bits.
pub(super) const fn kind(device: &Device) -> &'static str {
    match device {
        Device::Cpu { .. } => "cpu",
        Device::Cuda { .. } => "cuda",
    }
}

/// What is not the same in two descriptions of a run, a phrase each: `npt: it was 1000, it is 500`.
pub(super) fn differences(was: &Value, is: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", was, is, &mut found);
    found
}

fn compare(name: &str, was: &Value, is: &Value, found: &mut Vec<String>) {
    if let (Value::Object(was), Value::Object(is)) = (was, is) {
        let known = |key: &&String| !is.contains_key(*key);
        for key in is.keys().chain(was.keys().filter(known)).filter(|key| !HOW.contains(&key.as_str())) {
            let of = |map: &Map<String, Value>| map.get(key).cloned().unwrap_or_default();
            let name = match (name, key.as_str()) {
                ("", "nbpt_rad") => "npt".to_owned(),
                ("", "nbpt_azim") => "npt_azim".to_owned(),
                ("" | "xrdct", _) => key.clone(),
                _ => format!("{name}.{key}"),
            };
            compare(&name, &of(was), &of(is), found);
        }
    } else if was != is {
        let (was, is) = (words(was), words(is));
        found.push(match was.starts_with("crc32:") && is.starts_with("crc32:") {
            true => format!("{name}: it holds other values than before"),
            false => format!("{name}: it was {was}, it is {is}"),
        });
    }
}

fn words(value: &Value) -> String {
    match value {
        Value::Null => "not given".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_named() {
        let was = json!({ "nbpt_rad": 1000, "poni": { "dist": 0.5, "rot1": 0 }, "xrdct": { "threads": 2, "sums": true } });
        assert!(differences(&was, &was).is_empty());
        let is = json!({ "nbpt_rad": 1000, "poni": { "dist": 0.25, "rot1": 0 }, "xrdct": { "threads": 9 }, "unit": "q_nm^-1" });
        let expected = [
            "poni.dist: it was 0.5, it is 0.25",
            "sums: it was true, it is not given",
            "unit: it was not given, it is q_nm^-1",
        ];
        assert_eq!(differences(&was, &is), expected);
        let (was, is) = (json!({ "flat": "crc32:00000001" }), json!({ "flat": "crc32:00000002" }));
        assert_eq!(differences(&was, &is), ["flat: it holds other values than before"]);
        assert_eq!(differences(&was, &json!({})), ["flat: it was crc32:00000001, it is not given"]);
    }
}
