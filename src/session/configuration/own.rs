//! What pyFAI has no word for: the object `xrdct` of our configurations. Its keys are read beside pyFAI's too, for files
//! that people write.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::values::{Fault, Keys, Taken, number_or_word};
use crate::session::monitor::is_file;
use crate::session::options::{MotorRange, Options, SaturationFrom};

/// Name of the object.
pub(super) const SECTION: &str = "xrdct";
/// How the remark begins that pyFAI knows no parts.
pub(super) const PART_REMARK: &str = "part: ";
/// Keys of the object that inform and set nothing.
const REMARKS: [&str; 2] = ["engine", "not_in_pyfai"];

/// Puts the keys of the object beside pyFAI's, and says whether there is one. What is said in both places must be the same.
pub(super) fn unfold(keys: &mut Keys) -> Result<bool, Fault> {
    let Some(section) = keys.object(SECTION)? else { return Ok(false) };
    for (key, value) in section.into_iter().filter(|(_, value)| !value.is_null()) {
        // The name of the file; `poni` is the geometry itself.
        let key = if key == "poni" && value.is_string() { "poni_file".to_owned() } else { key };
        match keys.peek(&key) {
            Some(other) if *other != value => {
                let problem = format!("but {SECTION}.{key} is {value}: which one?");
                return Err(keys.fault(&key, &other.clone(), problem));
            }
            _ => keys.offer(&key, value),
        }
    }
    REMARKS.iter().for_each(|key| drop(keys.take(key)));
    Ok(true)
}

/// Reads our keys into the options.
pub(super) fn take(keys: &mut Keys, args: &mut Options) -> Result<(), Fault> {
    if let Some(file) = keys.text("poni_file")? {
        args.poni = Some(file.into());
    }
    if let Some(empty) = keys.any_number("empty")? {
        args.empty = Some(empty as f32);
    }
    args.inputs = keys.texts("input_data")?;
    args.combine_mask = keys.flag("combine_mask")?;
    args.slow = keys.count("slow")?;
    args.fast = keys.count("fast")?;
    args.zigzag = keys.flag("zigzag")?;
    args.offset = keys.count("offset")?;
    args.frames = keys.parsed("frames", "START:STOP:STEP is wanted, as Python slices")?;
    args.channel = keys.count("channel")?;
    args.part = keys.parsed("part", "K/N is wanted: part K of N")?;
    args.slow_motor = motor(keys, "slow_motor")?;
    args.fast_motor = motor(keys, "fast_motor")?;
    args.experiment_title = keys.text("experiment_title")?.filter(|title| !title.is_empty());
    args.device = keys.text("device")?;
    args.strategy = keys.word("strategy")?;
    args.lanes = keys.count("lanes")?;
    args.batch = keys.count("batch")?;
    args.readers = keys.count("readers")?;
    args.threads = keys.count("threads")?;
    args.bad_frames = keys.word("bad_frames")?;
    args.no_verify = keys.flag("no_verify")?;
    args.sums = keys.flag("sums")?;
    args.segments = keys.parsed("segments", "auto, off or a size such as 256M is wanted")?;
    args.definition = keys.word("definition")?;
    args.variance = keys.text("variance")?;
    args.monitor = keys.text("monitor")?.or(args.monitor.take());
    args.statistic = keys.word("statistic")?.or(args.statistic);
    args.clip = keys.number("clip")?.or(args.clip);
    args.clip_cycles = keys.count("clip_cycles")?.or(args.clip_cycles);
    if let Some(ends) = keys.range("quantile")? {
        args.quantile = ends.into_iter().flatten().collect();
    }
    let by_header = matches!(keys.peek("saturation"), Some(Value::String(_)));
    args.saturation = match by_header {
        true => keys.word("saturation")?.map(SaturationFrom::Header),
        false => keys.number("saturation")?.map(SaturationFrom::Count),
    };
    Ok(())
}

/// A motor of a map: its name and the positions of its first and last point. `points` is for the caller.
pub(super) fn motor(keys: &mut Keys, key: &str) -> Taken<MotorRange> {
    let Some(map) = keys.object(key)? else { return Ok(None) };
    let mut motor = Keys::new(&format!("{}.", keys.name(key)), map);
    let (start, stop) = (motor.number("start")?, motor.number("stop")?);
    Ok(Some(MotorRange { name: motor.text("name")?.unwrap_or_default(), range: start.zip(stop) }))
}

/// Our keys, those that are set.
pub(super) fn section(args: &Options, engine: &str, not_in_pyfai: &[String]) -> Map<String, Value> {
    // Without `..`, so that a new option cannot be forgotten: it is said here, in pyFAI's keys, or not part of a run.
    let Options {
        // In pyFAI's keys.
        mask: _,
        dark: _,
        flat: _,
        polarization: _,
        no_solid_angle: _,
        dummy: _,
        delta_dummy: _,
        normalization: _,
        error_model: _,
        statistic: _,
        clip: _,
        clip_cycles: _,
        npt: _,
        npt_azim: _,
        chi_discontinuity_at_0: _,
        unit: _,
        method: _,
        radial_range: _,
        azimuth_range: _,
        geometry: _,
        // Where things go and what is said.
        output: _,
        config: _,
        // Ours.
        inputs,
        poni,
        combine_mask,
        empty,
        slow,
        fast,
        zigzag,
        offset,
        frames,
        channel,
        part,
        slow_motor,
        fast_motor,
        experiment_title,
        device,
        strategy,
        lanes,
        batch,
        readers,
        threads,
        bad_frames,
        no_verify,
        sums,
        segments,
        definition,
        saturation,
        variance,
        monitor,
        quantile,
    } = args;
    let named = [
        ("engine", json!(engine)),
        ("not_in_pyfai", list(not_in_pyfai)),
        ("poni_file", json!(poni.as_ref().map(|path| path.display().to_string()))),
        ("input_data", list(inputs)),
        ("combine_mask", json!(combine_mask)),
        ("empty", empty.map_or(Value::Null, |empty| number_or_word(f64::from(empty)))),
        ("slow", json!(slow)),
        ("fast", json!(fast)),
        ("zigzag", json!(zigzag)),
        ("offset", json!(offset)),
        ("frames", json!(frames.map(|frames| frames.to_string()))),
        ("channel", json!(channel)),
        ("part", json!(part.map(|part| part.to_string()))),
        ("slow_motor", slow_motor.as_ref().map_or(Value::Null, to_json)),
        ("fast_motor", fast_motor.as_ref().map_or(Value::Null, to_json)),
        ("experiment_title", json!(experiment_title)),
        ("device", json!(device)),
        ("strategy", json!(strategy)),
        ("lanes", json!(lanes)),
        ("batch", json!(batch)),
        ("readers", json!(readers)),
        ("threads", json!(threads)),
        ("bad_frames", json!(bad_frames)),
        ("no_verify", json!(no_verify)),
        ("sums", json!(sums)),
        ("segments", json!(segments.map(|size| size.to_string()))),
        ("definition", json!(definition)),
        ("saturation", json!(saturation)),
        ("variance", json!(variance)),
        // A number of headers stands in pyFAI's key.
        ("monitor", json!(monitor.as_ref().filter(|name| is_file(name)))),
        // pyFAI has them in percent, which may not be the same number.
        ("quantile", list(quantile)),
    ];
    named
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// The configuration of the whole that a run made a part of.
pub fn of_whole(configuration: &Value) -> Value {
    let mut whole = configuration.clone();
    let Some(section) = whole.get_mut(SECTION).and_then(Value::as_object_mut) else { return whole };
    section.shift_remove("part");
    // How the parts' files are is not how the whole's is.
    section.shift_remove("segments");
    let is_other = |remark: &Value| !remark.as_str().is_some_and(|remark| remark.starts_with(PART_REMARK));
    let remarks = section.get_mut("not_in_pyfai").and_then(Value::as_array_mut);
    let is_empty = remarks.is_some_and(|remarks| {
        remarks.retain(is_other);
        remarks.is_empty()
    });
    if is_empty {
        section.shift_remove("not_in_pyfai");
    }
    whole
}

fn list<T: Serialize>(items: &[T]) -> Value {
    if items.is_empty() { Value::Null } else { json!(items) }
}

fn to_json(motor: &MotorRange) -> Value {
    json!({ "name": motor.name, "start": motor.range.map(|r| r.0), "stop": motor.range.map(|r| r.1) })
}
