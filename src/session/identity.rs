//! What a run was made of, so that another one can tell whether it would be the same: input files and recipe.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::{Map, Value, json};

use super::device::Device;
use super::error::{SessionError, refuse};
use super::plan::Plan;
use crate::files;
use crate::output::result::FileStamp;
use crate::source::Frames;

/// Bytes of a file that are looked at.
const HEAD: usize = 4096;

/// Things that changed that are named; the rest are counted.
const NAMED: usize = 8;

/// A file that is not there.
const GONE: FileStamp = FileStamp { size: -1, time: 0, head: 0 };

/// Keys of the configuration that say how a run is done and not what comes out, or name files whose contents the recipe has, under
/// another key.
const HOW: [&str; 18] = [
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
    "segments",
    "mask_file",
    "dark_current",
    "flat_field",
    "variance",
    "monitor",
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

/// What input files are now; with the first bytes of each where frames have no digests.
pub(super) fn stamps(files: &[PathBuf], with_heads: bool) -> Vec<FileStamp> {
    files.par_iter().map(|file| stamp(file, with_heads)).collect()
}

/// The input files of an earlier run.
pub(super) struct FilesThen<'a> {
    pub names: &'a [String],
    pub stamps: &'a [FileStamp],
}

impl FilesThen<'_> {
    /// What changed since, a phrase each. Files of frames that come again may be others; one whose time alone changed was copied, or
    /// came back from an archive: then its contents decide.
    pub(super) fn changed(
        &self,
        frames: &dyn Frames,
        comes_again: impl Fn(usize) -> bool,
        has_same_digest: impl Fn(usize) -> bool,
    ) -> Vec<String> {
        let (was, is) = (self.names, frames.files());
        if was.len() != is.len() {
            return vec![format!("there were {} input files, there are {} now", was.len(), is.len())];
        }
        // Heads are compared where the earlier run looked at them.
        let with_heads = self.stamps.iter().any(|stamp| stamp.head != 0);
        let stamps = stamps(is, with_heads);
        let known = self.stamps.iter().zip(&stamps);
        let files = was.iter().zip(is).zip(known).enumerate();
        let changed = files.filter_map(|(number, ((was, is), (before, now)))| {
            let name = |path: &Path| path.file_name().map(ToOwned::to_owned);
            if name(Path::new(was)) != name(is) {
                return Some(format!("input file {number} was {was}, it is {}", is.display()));
            }
            if has_one_frame_a_file(frames) && comes_again(number) {
                return None;
            }
            let cause = changed(before, now, || has_same_digest(number))?;
            Some(format!("{} {cause}", is.display()))
        });
        changed.collect()
    }
}

pub(super) fn has_one_frame_a_file(frames: &dyn Frames) -> bool {
    frames.files().len() == frames.count()
}

/// What is no longer so with a file.
fn changed(was: &FileStamp, is: &FileStamp, has_same_digest: impl Fn() -> bool) -> Option<String> {
    if is.size != was.size {
        return Some(match (was.size, is.size) {
            (-1, _) => "was not there, and is".to_owned(),
            (_, -1) => "is not there any more".to_owned(),
            (was, is) => format!("had {was} bytes, and has {is}"),
        });
    }
    if was.head != is.head && was.head != 0 {
        return Some("begins with other bytes than it did".to_owned());
    }
    let same = is.time == was.time || was.head != 0 && was.head == is.head || has_same_digest();
    (!same).then(|| "was written since".to_owned())
}

/// What to do instead of going on.
pub(super) const WITH_OVERWRITE: &str = "begin anew with --overwrite";

/// Refuses to go on with what is of another run, and says what to do `instead`.
///
/// # Errors
/// What changed, when something did.
pub(super) fn refuse_changed(path: &Path, changed: &[String], instead: &str) -> Result<(), SessionError> {
    if changed.is_empty() {
        return Ok(());
    }
    let (named, rest) = changed.split_at(changed.len().min(NAMED));
    let more = if rest.is_empty() { String::new() } else { format!("; and {} more", rest.len()) };
    refuse!(
        Output,
        "--resume: {} is of another run: {}{more}. Go back to what it was, or {instead}",
        path.display(),
        named.join("; ")
    )
}

/// Whether each frame's header says what its bytes are; reads the first.
pub(super) fn has_digests(frames: &dyn Frames) -> bool {
    frames.written_digest(0).is_some()
}

/// What decides the patterns beside the configuration: the program, the kind of device, and what images of the calibration hold.
pub(super) fn recipe(plan: &Plan) -> Value {
    let crc = |bytes: &[u8]| format!("crc32:{:08x}", crc32fast::hash(bytes));
    let floats = |values: &[f32]| {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        crc(&bytes)
    };
    let masked = |mask: &crate::geometry::mask::Mask| {
        let bytes: Vec<u8> = mask.masked.iter().map(|masked| u8::from(*masked)).collect();
        crc(&bytes)
    };
    let dummy = plan.dummy.map(|dummy| json!([dummy.value, dummy.delta]));
    let corners = plan.poni.detector.content().and_then(|content| content.corners.as_ref());
    let mut recipe = json!({
        "program": concat!("xrdct ", env!("CARGO_PKG_VERSION")),
        "device": kind(&plan.device),
        "mask": plan.mask.as_ref().map(masked),
        "dark": plan.dark.as_deref().map(floats),
        "flat": plan.flat.as_deref().map(floats),
        "monitor_of_frames": plan.monitor_recipe,
        "variance_of_pixels": plan.reduction.errors.image().map(floats),
        "dummy": dummy,
        "saturation": if plan.saturation.masked { json!(plan.saturation.cutoff) } else { Value::Null },
    });
    if let Some(corners) = corners {
        recipe["pixel_corners"] = json!(floats(corners));
    }
    recipe
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
