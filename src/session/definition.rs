//! `--definition`: what NXazint1d and NXazint2d want to know, of what a configuration says. So a run and a merged whole say the same.

use serde_json::Value;

use super::error::{SessionError, refuse};
use super::options::DefinitionName;
use crate::geometry::units::Unit;
use crate::output::result::{Definition, RadialAxis};

/// What a result would be made of.
pub(super) struct Made<'a> {
    pub unit: Unit,
    pub has_two_axes: bool,
    pub wavelength: Option<f64>,
    /// Where the wavelength would come from.
    pub geometry: &'a str,
}

/// That it can be of the definition that is asked for.
///
/// # Errors
/// What it lacks.
pub(super) fn check(definition: DefinitionName, made: &Made<'_>) -> Result<(), SessionError> {
    let word = definition.word();
    match (definition, made.has_two_axes) {
        (DefinitionName::NXazint1d, true) => {
            refuse!(Usage, "--definition {word}: its patterns have one axis; bins of two are NXazint2d")
        }
        (DefinitionName::NXazint2d, false) => refuse!(Usage, "--definition {word} needs --npt-azim"),
        _ => {}
    }
    if radial(made.unit).is_none() {
        refuse!(Usage, "--definition {word}: its radial axis is q or 2theta, not {}", made.unit.name());
    }
    if made.wavelength.is_none() {
        refuse!(Calibration, "--definition {word} needs the wavelength, which {} has not", made.geometry);
    }
    Ok(())
}

const fn radial(unit: Unit) -> Option<RadialAxis> {
    let (name, units, word) = match unit {
        Unit::QNm => ("q", "1/nm", "q"),
        Unit::QA => ("q", "1/angstrom", "q"),
        Unit::TwoThetaDeg => ("2theta", "degrees", "2th"),
        Unit::TwoThetaRad => ("2theta", "radians", "2th"),
        _ => return None,
    };
    Some(RadialAxis { name, units, word })
}

/// What the definition has of a run with this configuration, when it was asked for.
pub(super) fn of(configuration: &Value) -> Option<Definition> {
    configuration["xrdct"].get("definition")?;
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "None".to_owned(),
        other => other.to_string(),
    };
    let parameters = [
        "poni",
        "error_model",
        "method",
        "mask_file",
        "dark_current",
        "flat_field",
        "radial_range",
        "azimuth_range",
    ];
    Some(Definition {
        solid_angle: configuration["correct_solid_angle"] == true,
        polarization: configuration["polarization_description"][0].as_f64(),
        monitor: !configuration["monitor_name"].is_null() || configuration["xrdct"].get("monitor").is_some(),
        wavelength: configuration["poni"]["wavelength"].as_f64()?,
        radial: radial(configuration["unit"].as_str()?.parse().ok()?)?,
        parameters: parameters.map(|key| (key.to_owned(), text(&configuration[key]))).to_vec(),
    })
}
