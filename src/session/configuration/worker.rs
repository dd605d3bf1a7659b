//! pyFAI's worker configuration, versions 1 to 5, as options.
//!
//! | version | what changed |
//! |---|---|
//! | 1 | all keys side by side; `method` is one word; lists of darks and flats are one text with commas |
//! | 2 | `detector` and `detector_config` in the place of `pixel1`, `pixel2`, `splineFile` |
//! | 3 | `method` is (split, algorithm, implementation), `opencl_device` beside it |
//! | 4 | the geometry is in `poni` |
//! | 5 | `polarization_description`, `correct_solid_angle`, `integrator_method`, `extra_options`; no `do_…` switches |
//!
//! Before version 5 a switch `do_…` that is false makes its settings void. pyFAI 2026.9.0 overlooks two of these,
//! `do_solid_angle` and `do_2D`, which its earlier releases followed: here they are, with a warning. What a file leaves
//! out has the defaults of pyFAI's worker, 2θ in degrees and full splitting.

use std::path::Path;

use serde_json::Value;

use super::values::{Fault, Keys, PERCENT, Taken};
use super::{ConfigError, Reading, geometry, method, own, url};
use crate::geometry::poni::Poni;
use crate::geometry::units::Unit;
use crate::session::options::{ErrorModelName, Options, Splitting, StatisticName};
use crate::session::statistic::{CUTOFF, CYCLES};

/// The newest version that pyFAI 2026.9.0 knows.
pub(super) const NEWEST: u8 = 5;
/// The newest version with `do_…` switches.
const LAST_WITH_SWITCHES: u8 = 4;

/// The quantile that is the median, in percent.
const MEDIAN: f64 = 50.0;

/// Names that keys had, or may have, beside the one that is read.
const RENAMED: [(&str, &str); 11] = [
    ("azimuthal_range_min", "azimuth_range_min"),
    ("azimuthal_range_max", "azimuth_range_max"),
    ("do_azimuth_range", "do_azimuthal_range"),
    ("flat_field_image", "flat_field"),
    ("dark_current_image", "dark_current"),
    ("mask_image", "mask_file"),
    ("mask", "mask_file"),
    ("dummy", "val_dummy"),
    ("integrator_name", "integrator_method"),
    ("npt", "nbpt_rad"),
    ("npt_azim", "nbpt_azim"),
];

/// Switches, and the keys that are void when they are false.
const SWITCHES: [(&str, &[&str]); 7] = [
    ("do_mask", &["mask_file"]),
    ("do_flat", &["flat_field"]),
    ("do_dark", &["dark_current"]),
    ("do_polarization", &["polarization_description", "polarization_factor", "polarization_offset"]),
    ("do_dummy", &["val_dummy", "delta_dummy"]),
    ("do_radial_range", &["radial_range", "radial_range_min", "radial_range_max"]),
    ("do_azimuthal_range", &["azimuth_range", "azimuth_range_min", "azimuth_range_max"]),
];

/// Applications whose configurations pyFAI integrates with.
const APPLICATIONS: [&str; 3] = ["pyfai-integrate", "worker", "poni"];

/// Whose defaults a file has for what it leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Defaults {
    /// pyFAI's worker's.
    OfPyfai,
    /// pyFAI's, if there is any key in it that only pyFAI writes; else ours.
    OfFile,
}

/// Reads all keys of a worker configuration.
pub(super) fn read(
    mut keys: Keys,
    defaults: Defaults,
    reading: &mut Reading,
) -> Result<Options, ConfigError> {
    let of = |path: &Path| {
        let path = path.to_path_buf();
        move |fault: Fault| fault.of(&path)
    };
    let is_pyfais = defaults == Defaults::OfPyfai || is_pyfais(&keys);
    let is_ours = own::unfold(&mut keys).map_err(of(reading.path))?;
    let version = version(&mut keys, is_pyfais).map_err(of(reading.path))?;
    for (old, new) in RENAMED {
        if let Some(value) = keys.take(old) {
            keys.offer(new, value);
        }
    }
    // Before the geometry, which in version 1 reads `shape`.
    let (poni, geometry) = match reading.typed.poni {
        Some(_) => {
            geometry::forget(&mut keys, version);
            (None, None)
        }
        None => geometry::take(&mut keys, version, reading.path)?,
    };
    let mut args = settings(&mut keys, version, is_pyfais, is_ours, reading).map_err(of(reading.path))?;
    (args.poni, args.geometry) = (poni, geometry);
    own::take(&mut keys, &mut args).map_err(of(reading.path))?;
    if let (Some(file), Some(geometry)) = (&args.poni, &args.geometry)
        && is_ours
        && Poni::read(file).is_ok_and(|now| !now.same_geometry(geometry))
    {
        let file = file.display();
        reading.warnings.push(format!(
            "{file} holds another geometry now; that of the earlier run is followed, --poni {file} takes the new one"
        ));
    }
    reading.unknown.extend(keys.left().map(|key| keys.name(key)));
    Ok(args)
}

fn is_pyfais(keys: &Keys) -> bool {
    let telling = ["application", "version", "chi_discontinuity_at_0", "dist", "poni_version"];
    telling.iter().any(|key| keys.has(key)) || keys.left().any(|key| key.starts_with("do_"))
}

fn version(keys: &mut Keys, is_pyfais: bool) -> Result<u8, Fault> {
    let Some(value) = keys.take("version") else { return Ok(if is_pyfais { 1 } else { NEWEST }) };
    match value.as_f64() {
        Some(n) if n.fract() == 0.0 && (1.0..=f64::from(NEWEST)).contains(&n) => Ok(n as u8),
        _ => {
            Err(keys.fault("version", &value, format!("versions 1 to {NEWEST} of pyFAI's format are known")))
        }
    }
}

/// Everything but the geometry.
fn settings(
    keys: &mut Keys,
    version: u8,
    is_pyfais: bool,
    is_ours: bool,
    reading: &mut Reading,
) -> Result<Options, Fault> {
    let gives_variance = reading.typed.variance.is_some() || keys.says("variance");
    let warnings = &mut reading.warnings;
    if let Some(application) = keys.text("application")?
        && !APPLICATIONS.contains(&application.as_str())
    {
        warnings.push(format!("application is \"{application}\", not one that pyFAI integrates with"));
    }
    follow_switches(keys, version, warnings)?;
    let statistic = statistic(keys)?;
    refuse_what_is_not_done(keys)?;
    let (dummy, delta_dummy) = (keys.number("val_dummy")?, keys.number("delta_dummy")?);
    if let (None, Some(delta)) = (dummy, delta_dummy) {
        let name = keys.name("delta_dummy");
        warnings
            .push(format!("{name} is {delta}, but there is no val_dummy: it has no effect, in pyFAI either"));
    }
    for unused in ["opencl_device", "do_OpenCL"] {
        if let Some(value) = keys.take(unused).filter(|value| *value != Value::Bool(false)) {
            let name = keys.name(unused);
            warnings.push(format!("{name} is {value}: --device says where xrdct computes"));
            if unused == "do_OpenCL" && version == 1 {
                keys.offer("method", "csr_ocl".into());
            }
        }
    }
    if version == 1 && is_pyfais && !keys.says("method") {
        keys.offer("method", "splitbbox".into());
    }
    let unit = unit(keys)?.or_else(|| is_pyfais.then(|| Unit::TwoThetaDeg.name().to_owned()));
    let method = method::take(keys, version, warnings)?.or_else(|| is_pyfais.then_some(Splitting::Full));
    let azimuth_range = sector(keys)?;
    let npt_azim = keys.count("nbpt_azim")?.filter(|npt| *npt > 1);
    let chi_jumps_at_0 = keys.flag("chi_discontinuity_at_0")?;
    // In ours it was written for pyFAI: the sector itself says all.
    if npt_azim.is_none()
        && !is_ours
        && chi_jumps_at_0 == Some(true)
        && !azimuth_range.is_empty()
        && method != Some(Splitting::No)
    {
        warnings.push(format!(
            "{} is true: a sector has the pixels that reach into it; pyFAI adds some of those that lie on the jump of χ",
            keys.name("chi_discontinuity_at_0")
        ));
    }
    Ok(Options {
        npt: keys.count("nbpt_rad")?,
        npt_azim,
        // Of one axis it says nothing.
        chi_discontinuity_at_0: chi_jumps_at_0.filter(|_| npt_azim.is_some()),
        unit,
        method,
        mask: mask(keys)?,
        dark: images(keys, "dark_current", version)?,
        flat: images(keys, "flat_field", version)?,
        polarization: polarization(keys)?,
        no_solid_angle: keys.flag("correct_solid_angle")?.map(|correct| !correct),
        dummy,
        delta_dummy: delta_dummy.filter(|_| dummy.is_some()),
        normalization: keys.number("normalization_factor")?.filter(|factor| *factor != 1.0),
        monitor: keys.text("monitor_name")?.filter(|name| !name.is_empty()),
        error_model: error_model(keys, gives_variance)?,
        radial_range: range(keys, "radial_range")?,
        azimuth_range,
        ..statistic
    })
}

fn follow_switches(keys: &mut Keys, version: u8, warnings: &mut Vec<String>) -> Result<(), Fault> {
    for (switch, settings) in SWITCHES {
        if keys.flag(switch)? != Some(false) {
            continue;
        }
        let set: Vec<&str> = settings.iter().copied().filter(|key| keys.says(key)).collect();
        if version <= LAST_WITH_SWITCHES {
            settings.iter().for_each(|key| drop(keys.take(key)));
        } else if !set.is_empty() {
            warnings.push(format!(
                "{} is false, but pyFAI does not heed it in version {version}: {} stays in force",
                keys.name(switch),
                set.join(", ")
            ));
        }
    }
    if let Some(correct) = keys.flag("do_solid_angle")? {
        if !correct && !keys.says("correct_solid_angle") {
            warnings.push(format!(
                "{} is false and is followed: no correction for the solid angle (pyFAI 2026.9.0 overlooks this key and corrects)",
                keys.name("do_solid_angle")
            ));
        }
        keys.offer("correct_solid_angle", correct.into());
    }
    if keys.flag("no_solid_angle")? == Some(true) {
        keys.offer("correct_solid_angle", false.into());
    }
    if keys.flag("do_poisson")? == Some(true) {
        keys.offer("error_model", "poisson".into());
    }
    if keys.flag("do_2D")? == Some(false) && keys.count("nbpt_azim")?.is_some_and(|n| n > 1) {
        warnings.push(format!(
            "{} is false and is followed: one pattern a frame (pyFAI 2026.9.0 overlooks this key and integrates in two dimensions)",
            keys.name("do_2D")
        ));
    }
    Ok(())
}

/// What would change the numbers and has no counterpart here.
fn refuse_what_is_not_done(keys: &mut Keys) -> Result<(), Fault> {
    let words: [(&str, &[&str], &str); 1] =
        [("integrator_class", &["", "AzimuthalIntegrator"], "only AzimuthalIntegrator has a counterpart")];
    for (key, known, problem) in words {
        if let Some(word) = keys.text(key)?
            && !known.contains(&word.as_str())
        {
            return Err(keys.fault(key, &word.into(), problem));
        }
    }
    // The frames say what their shape is.
    keys.take("shape");
    Ok(())
}

fn unit(keys: &mut Keys) -> Taken<String> {
    let Some(name) = keys.text("unit")? else { return Ok(None) };
    match name.parse::<Unit>() {
        Ok(unit) => Ok(Some(unit.name().to_owned())),
        Err(error) => Err(keys.fault("unit", &name.into(), error.to_string())),
    }
}

fn polarization(keys: &mut Keys) -> Taken<f64> {
    let described = keys.take("polarization_description").map(|value| ("polarization_description", value));
    let factor = keys.take("polarization_factor").map(|value| ("polarization_factor", value));
    let separate_offset = keys.number("polarization_offset")?;
    let Some((key, value)) = described.or(factor) else { return Ok(None) };
    // A worker of pyFAI writes [null, 0] for none.
    if value.get(0).or(value.get("polarization_factor")).is_some_and(Value::is_null) {
        return Ok(None);
    }
    let (factor, offset) = match &value {
        Value::Array(pair) => match pair.as_slice() {
            [factor] => (factor.as_f64(), None),
            [factor, offset] => (factor.as_f64(), offset.as_f64()),
            _ => (None, None),
        },
        Value::Object(named) => (
            named.get("polarization_factor").and_then(Value::as_f64),
            named.get("axis_offset").and_then(Value::as_f64),
        ),
        other => (other.as_f64(), None),
    };
    let Some(factor) = factor else {
        return Err(keys.fault(key, &value, "a factor from -1 to 1 is wanted, or [factor, 0]"));
    };
    match offset.or(separate_offset) {
        Some(offset) if offset != 0.0 => {
            let problem = "the axis of polarisation cannot be turned (nor does pyFAI's worker): an offset of 0 is wanted";
            Err(keys.fault(key, &value, problem))
        }
        _ => Ok(Some(factor)),
    }
}

/// Which of pyFAI's integrators is asked for, and what it is told.
fn statistic(keys: &mut Keys) -> Result<Options, Fault> {
    const MEANS: [&str; 5] = ["", "integrate1d", "integrate1d_ng", "integrate2d", "integrate2d_ng"];
    let mut options = Keys::new("extra_options.", keys.object("extra_options")?.unwrap_or_default());
    if let Some(model) = options.take("error_model") {
        keys.offer("error_model", model);
    }
    let mut args = Options::default();
    match keys.text("integrator_method")?.unwrap_or_default().as_str() {
        mean if MEANS.contains(&mean) => {}
        "sigma_clip" | "sigma_clip_ng" => {
            args.statistic = Some(StatisticName::Clip);
            args.clip = Some(options.number("thres")?.unwrap_or(CUTOFF));
            args.clip_cycles = Some(options.count("max_iter")?.unwrap_or(CYCLES));
        }
        "medfilt1d_ng" => {
            let percentile = options.take("percentile");
            let numbers: Option<Vec<f64>> = match &percentile {
                None => Some(vec![MEDIAN]),
                Some(Value::Array(ends)) => ends.iter().map(Value::as_f64).collect(),
                Some(one) => one.as_f64().map(|one| vec![one]),
            };
            // In any order, as pyFAI has it.
            let ends = numbers.filter(|numbers| !numbers.is_empty()).map(|numbers| {
                let ends = numbers.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), number| {
                    (low.min(*number), high.max(*number))
                });
                (ends.0 / PERCENT, ends.1 / PERCENT)
            });
            match ends {
                Some((low, high)) if low == high && low * PERCENT == MEDIAN => {
                    args.statistic = Some(StatisticName::Median);
                }
                Some((low, high)) => {
                    args.statistic = Some(StatisticName::Quantile);
                    args.quantile = vec![low, high];
                }
                None => {
                    let problem = "a number of percent, or two, is wanted";
                    return Err(options.fault("percentile", &percentile.unwrap_or_default(), problem));
                }
            }
        }
        other => {
            let problem = "only integrate1d_ng, sigma_clip_ng and medfilt1d_ng have a counterpart";
            return Err(keys.fault("integrator_method", &other.into(), problem));
        }
    }
    let left = options.left().next().cloned();
    if let Some((key, value)) = left.and_then(|key| options.take(&key).map(|value| (key, value))) {
        return Err(options.fault(&key, &value, "it has no counterpart for this integrator; leave it out"));
    }
    Ok(args)
}

/// `gives_variance`: whether a file is named for it.
fn error_model(keys: &mut Keys, gives_variance: bool) -> Taken<ErrorModelName> {
    /// pyFAI's names, in the order of its numbers.
    const NAMES: [&str; 5] = ["no", "variance", "poisson", "azimuthal", "hybrid"];
    let Some(value) = keys.take("error_model") else { return Ok(None) };
    let word = value.as_str().map(str::to_lowercase);
    let name = match (&word, value.as_u64()) {
        (Some(word), _) if word == "none" => Some("no"),
        (Some(word), _) => NAMES.into_iter().find(|name| name.starts_with(word.as_str())),
        (None, number) => number.and_then(|n| NAMES.get(n as usize).copied()),
    };
    match name {
        Some("no") => Ok(Some(ErrorModelName::None)),
        Some("poisson") => Ok(Some(ErrorModelName::Poisson)),
        Some("azimuthal") => Ok(Some(ErrorModelName::Azimuthal)),
        Some("hybrid") => Ok(Some(ErrorModelName::Hybrid)),
        Some("variance") if gives_variance => Ok(None),
        Some("variance") => Err(keys.fault("error_model", &value, "it needs --variance FILE")),
        _ => Err(keys.fault("error_model", &value, "no, poisson, azimuthal, hybrid or variance is wanted")),
    }
}

/// A range that is closed at both ends, as an option has it; empty when it is open at both.
fn range(keys: &mut Keys, key: &str) -> Result<Vec<f64>, Fault> {
    let said = keys.peek(key).cloned();
    let [mut from, mut to] = keys.range(key)?.unwrap_or_default();
    if let Some(end) = keys.end(&format!("{key}_min"))? {
        from = end;
    }
    if let Some(end) = keys.end(&format!("{key}_max"))? {
        to = end;
    }
    match (from, to) {
        (Some(from), Some(to)) => Ok(vec![from, to]),
        (None, None) => Ok(Vec::new()),
        _ => {
            let said = said.unwrap_or_else(|| vec![from, to].into());
            Err(keys.fault(key, &said, "a range needs both ends (pyFAI ignores it as a whole)"))
        }
    }
}

/// The sector in degrees. In pyFAI one that ends before it begins goes on over the jump of χ.
fn sector(keys: &mut Keys) -> Result<Vec<f64>, Fault> {
    let mut ends = range(keys, "azimuth_range")?;
    if let [from, to] = ends.as_mut_slice()
        && to <= from
    {
        *to += ((*from - *to) / 360.0).floor() * 360.0 + 360.0;
    }
    Ok(ends)
}

fn mask(keys: &mut Keys) -> Taken<String> {
    let name = keys.text("mask_file")?.filter(|name| !name.is_empty());
    name.map(|name| image(keys, "mask_file", name)).transpose()
}

fn images(keys: &mut Keys, key: &str, version: u8) -> Result<Vec<String>, Fault> {
    let mut names = keys.texts(key)?;
    if version == 1
        && let [one] = names.as_slice()
    {
        names = one.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
    }
    names.into_iter().map(|name| image(keys, key, name)).collect()
}

fn image(keys: &Keys, key: &str, name: String) -> Result<String, Fault> {
    url::image_name(&name).map_err(|problem| keys.fault(key, &name.into(), problem))
}
