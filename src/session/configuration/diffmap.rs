//! The configuration of pyFAI-diffmap: a map around a worker configuration, which is in `ai`.
//!
//! Version 1 has `slow_motor` and `fast_motor`; files from before it have `nbpt_slow`, `slow_motor_name`,
//! `slow_motor_range` and so on.

use std::path::Path;

use serde_json::{Map, Value};

use super::values::{Fault, Keys};
use super::worker::{self, Defaults};
use super::{ConfigError, Reading, own};
use crate::output::result::Motor;
use crate::session::options::{MotorRange, Options};
use crate::source::listing::expand;

/// The newest version that pyFAI 2026.9.0 knows.
pub(super) const NEWEST: u64 = 1;

/// Whether a configuration is one of a map.
pub(super) fn is_one(map: &Map<String, Value>) -> bool {
    ["ai", "diffmap_config_version", "slow_motor", "fast_motor"].iter().any(|key| map.contains_key(*key))
}

/// Reads all keys of a map's configuration.
pub(super) fn read(mut keys: Keys, reading: &mut Reading) -> Result<Options, ConfigError> {
    let path = reading.path;
    let ai = keys.object("ai").map_err(|fault| fault.of(path))?.unwrap_or_default();
    let mut ai = Keys::new("ai.", ai);
    for (old, new) in [("npt_rad", "nbpt_rad"), ("npt_azim", "nbpt_azim")] {
        if let Some(value) = keys.take(old) {
            ai.offer(new, value);
        }
    }
    let mut args = worker::read(ai, Defaults::OfPyfai, reading)?;
    scan(&mut keys, &mut args).map_err(|fault| fault.of(path))?;
    reading.unknown.extend(keys.left().map(|key| keys.name(key)));
    Ok(args)
}

fn scan(keys: &mut Keys, args: &mut Options) -> Result<(), Fault> {
    if let Some(version) = keys.take("diffmap_config_version")
        && version.as_u64() != Some(NEWEST)
    {
        return Err(keys.fault("diffmap_config_version", &version, format!("version {NEWEST} is known")));
    }
    let (slow, slow_motor) = axis(keys, "slow")?;
    let (fast, fast_motor) = axis(keys, "fast")?;
    // pyFAI-diffmap takes one line where only the points of a line are said.
    args.slow = slow.or(fast.map(|_| 1));
    args.fast = fast;
    (args.slow_motor, args.fast_motor) = (slow_motor, fast_motor);
    args.zigzag = keys.flag("zigzag_scan")?.filter(|zigzag| *zigzag);
    args.offset = keys.count("offset")?.filter(|offset| *offset > 0);
    args.experiment_title = keys.text("experiment_title")?.filter(|title| !title.is_empty());
    args.output = keys.text("output_file")?.filter(|name| !name.is_empty()).map(Into::into);
    let inputs = inputs(keys)?;
    // The names that were typed, where they still mean the same frames; else the frames.
    let same = !args.inputs.is_empty()
        && expand(&args.inputs).is_ok_and(|now| now.iter().map(Path::new).eq(inputs.iter().map(Path::new)));
    if !same && !inputs.is_empty() {
        args.inputs = inputs;
    }
    Ok(())
}

/// Points and motor of one axis, whichever way they are said.
fn axis(keys: &mut Keys, axis: &str) -> Result<(Option<usize>, Option<MotorRange>), Fault> {
    let key = format!("{axis}_motor");
    let mut points = match keys.peek(&key).and_then(|motor| motor.get("points")).cloned() {
        Some(value) => {
            let mut inner = Keys::new(&format!("{key}."), Map::from_iter([("points".to_owned(), value)]));
            inner.count("points")?
        }
        None => None,
    };
    let motor = own::motor(keys, &key)?;
    let mut old = MotorRange::default();
    for name in [format!("nbpt_{axis}"), format!("npt_{axis}"), format!("{axis}_motor_points")] {
        points = points.or(keys.count(&name)?);
    }
    old.name = keys.text(&format!("{axis}_motor_name"))?.unwrap_or_default();
    if let Some([Some(start), Some(stop)]) = keys.range(&format!("{axis}_motor_range"))? {
        old.range = Some((start, stop));
    }
    let mut motor = motor.unwrap_or(old);
    // What is so without being said.
    let counted = Motor::counted(axis, points.unwrap_or(0));
    if motor.name == counted.name {
        motor.name.clear();
    }
    motor.range = motor.range.filter(|range| *range != counted.range);
    Ok((points.filter(|n| *n > 0), Some(motor).filter(|motor| *motor != MotorRange::default())))
}

/// Frames: a list of names, of `[path, h5, nframes, shape]`, or of objects with a `path`.
fn inputs(keys: &mut Keys) -> Result<Vec<String>, Fault> {
    let Some(value) = keys.take("input_data") else { return Ok(Vec::new()) };
    let name = |item: &Value| match item {
        Value::String(name) => Some(name.clone()),
        Value::Array(set) => set.first()?.as_str().map(str::to_owned),
        Value::Object(set) => set.get("path")?.as_str().map(str::to_owned),
        _ => None,
    };
    let names = value.as_array().and_then(|items| items.iter().map(name).collect());
    names.ok_or_else(|| keys.fault("input_data", &value, "a list of files is wanted"))
}
