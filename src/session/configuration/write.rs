//! The run as pyFAI's JSON: a worker configuration (version 5), which pyFAI-integrate, its viewers and `pyFAI.worker` read; for
//! a map also one of pyFAI-diffmap.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::values::PERCENT;
use super::{own, worker};
use crate::integrate::reduction::Statistic;
use crate::output::result::Motor;
use crate::session::monitor::is_file;
use crate::session::plan::Plan;

/// Degrees of a circle, and where χ jumps in pyFAI by default.
const CIRCLE: f64 = 360.0;
const JUMP: f64 = 180.0;

/// The run as a worker configuration.
pub fn worker(plan: &Plan) -> Value {
    let args = &plan.options;
    let shape = plan.encoding().shape;
    let (jumps_at_0, azimuth_range) = sector(plan);
    let value = json!({
        "application": "worker",
        "version": worker::NEWEST,
        "poni": plan.poni.to_json(),
        "nbpt_rad": plan.npt,
        "nbpt_azim": plan.npt_azim.unwrap_or(1),
        "unit": plan.unit.name(),
        "chi_discontinuity_at_0": jumps_at_0,
        "polarization_description": args.polarization.map(|factor| [factor, 0.0]),
        "normalization_factor": args.normalization.unwrap_or(1.0),
        // The user's own: a detector's dummies are pyFAI's too, by themselves.
        "val_dummy": args.dummy,
        "delta_dummy": args.delta_dummy,
        "correct_solid_angle": args.no_solid_angle != Some(true),
        "dark_current": some(&args.dark),
        "flat_field": some(&args.flat),
        "mask_file": args.mask,
        "error_model": plan.reduction.errors.name(),
        // pyFAI's names: the engine that ran is in our own part.
        "method": [plan.split.name(), "csr", "cython"],
        "opencl_device": null,
        "azimuth_range": azimuth_range,
        "radial_range": plan.radial_range().map(|(from, to)| [from, to]),
        "integrator_class": "AzimuthalIntegrator",
        "integrator_method": integrator_method(plan.reduction.statistic),
        "extra_options": extra_options(plan.reduction.statistic),
        "monitor_name": args.monitor.as_ref().filter(|name| !is_file(name)),
        "shape": [shape.slow, shape.fast],
    });
    with_section(value, own::section(args, &engine(plan), &not_in_pyfai(plan)).into())
}

/// The run as a configuration of pyFAI-diffmap; `None` when it is no map.
pub fn diffmap(plan: &Plan) -> Option<Value> {
    let scan = plan.part.as_ref().map_or(&plan.scan, |part| &part.scan).as_ref()?;
    let mut ai = worker(plan);
    // What is said outside is not said twice; but names of inputs are more than the files that they are.
    if let Some(section) = ai.get_mut(own::SECTION).and_then(Value::as_object_mut) {
        for key in ["slow", "fast", "zigzag", "offset", "slow_motor", "fast_motor", "experiment_title"] {
            section.shift_remove(key);
        }
    }
    let motor = |motor: &Motor| json!({ "start": motor.range.0, "stop": motor.range.1, "points": motor.points, "name": motor.name });
    let frame = |path: &PathBuf| json!([path.display().to_string(), null, null, null]);
    Some(json!({
        "diffmap_config_version": super::diffmap::NEWEST,
        "experiment_title": plan.options.experiment_title.as_deref().unwrap_or_default(),
        "slow_motor": motor(&scan.slow),
        "fast_motor": motor(&scan.fast),
        "offset": plan.options.offset.unwrap_or(0),
        "zigzag_scan": scan.zigzag,
        "ai": ai,
        "input_data": plan.named.iter().map(frame).collect::<Vec<_>>(),
        "output_file": plan.options.output.as_ref().map(|path| path.display().to_string()),
    }))
}

/// The configuration of a run for a file of its own: of pyFAI-diffmap for a map, of a worker for a series.
pub fn for_file(plan: &Plan) -> Value {
    diffmap(plan).unwrap_or_else(|| worker(plan))
}

fn with_section(mut value: Value, section: Value) -> Value {
    if let Some(map) = value.as_object_mut() {
        map.insert(own::SECTION.to_owned(), section);
    }
    value
}

/// Which of pyFAI's integrators a statistic is; null for the usual one.
const fn integrator_method(statistic: Statistic) -> Option<&'static str> {
    match statistic {
        Statistic::Mean => None,
        Statistic::Clip { .. } => Some("sigma_clip_ng"),
        Statistic::Quantile { .. } => Some("medfilt1d_ng"),
    }
}

/// What that integrator is told.
fn extra_options(statistic: Statistic) -> Value {
    match statistic {
        Statistic::Mean => Value::Null,
        Statistic::Clip { cutoff, cycles } => json!({ "thres": cutoff, "max_iter": cycles }),
        Statistic::Quantile { from, to } if from == to => json!({ "percentile": from * PERCENT }),
        Statistic::Quantile { from, to } => json!({ "percentile": [from * PERCENT, to * PERCENT] }),
    }
}

/// A list, or null for none: pyFAI would look for a file without a name.
fn some(names: &[String]) -> Value {
    if names.is_empty() { Value::Null } else { json!(names) }
}

/// What computes.
fn engine(plan: &Plan) -> String {
    format!("xrdct {} csr {}", env!("CARGO_PKG_VERSION"), plan.device.word())
}

/// The sector, and whether χ has to jump at 0 instead of ±180° for pyFAI to take all of it, or was asked to.
fn sector(plan: &Plan) -> (bool, Value) {
    let asked = plan.npt_azim.is_some() && plan.options.chi_discontinuity_at_0 == Some(true);
    let Some((from, to)) = plan.azimuth_range() else { return (asked, Value::Null) };
    let jumps_at_0 = !crosses(from, to, 0.0) && (asked || crosses(from, to, JUMP));
    (jumps_at_0, json!([from, to]))
}

/// Whether an angle, and what is whole circles from it, is inside a sector (degrees).
fn crosses(from: f64, to: f64, angle: f64) -> bool {
    let first = angle + ((from - angle) / CIRCLE).floor() * CIRCLE + CIRCLE;
    first < to
}

/// What a worker of pyFAI would do otherwise, in words.
fn not_in_pyfai(plan: &Plan) -> Vec<String> {
    let args = &plan.options;
    let both =
        plan.azimuth_range().is_some_and(|(from, to)| crosses(from, to, 0.0) && crosses(from, to, JUMP));
    [
        (args.combine_mask == Some(true))
            .then(|| "combine_mask: pyFAI replaces the detector's own mask by mask_file".to_owned()),
        args.empty.map(|empty| {
            format!("empty: bins without pixels hold {empty}; pyFAI's programs write val_dummy or NaN")
        }),
        args.variance
            .as_ref()
            .map(|file| format!("variance: {file}; pyFAI's worker is given one with each image")),
        args.monitor
            .as_ref()
            .filter(|name| is_file(name))
            .map(|file| format!("monitor: {file}; pyFAI's programs take it of headers alone")),
        args.saturation.is_some().then(|| "saturation: pyFAI leaves no saturated pixels out".to_owned()),
        args.part.map(|part| format!("{}pyFAI takes all frames, not part {part}", own::PART_REMARK)),
        both.then(|| {
            "azimuth_range: over 0 and over 180 degrees; pyFAI takes the part on one side".to_owned()
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}
