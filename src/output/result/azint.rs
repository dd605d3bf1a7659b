//! The patterns once more as an application definition of NeXus has them: NXazint1d, or NXazint2d where bins have two axes.
//!
//! ```text
//! /azint1d                 NXentry    default=data: before entry_0000, where readers of such files look
//!   definition solid_angle_applied polarization_applied normalization_applied monitor_applied
//!   instrument             NXinstrument  name, monochromator (wavelength, energy), source
//!   reduction              NXprocess     program version date reference note
//!     input                NXparameters  what the integration was told; `configuration` is all of it
//!   [monitor]              NXmonitor     data: what each frame was divided by; not of a map
//!   data                   NXdata        I [I_errors] [azimuthal_axis] radial_axis
//! ```
//! I and I_errors show the arrays of the result, (frames, npt) or (frames, npt_azim, npt); of a map the points one after the other, line by
//! line. Nothing is written twice. Source: NeXus definitions v2025.11, `applications/NXazint1d.nxdl.xml`, `NXazint2d.nxdl.xml`.

use hdf5::{File, Group, Result};

use super::beside::Beside;
use super::definition::{Definition, RadialAxis};
use super::layout::Layout;
use crate::output::nexus;

/// What nobody said.
const UNKNOWN: &str = "unknown";
/// h·c, keV·Å.
const HC: f64 = 12.398_419_843_320_026;
/// Metres.
const ANGSTROM: f64 = 1e-10;
/// Whose formulas these are.
const REFERENCE: &str = "Ashiotis, G. et al. (2015). J. Appl. Cryst. 48, 510-519, https://doi.org/10.1107/S1600576715004306 (pyFAI)";
/// Where the angle is counted from.
const NOTE: &str = "Azimuthal angle chi of pyFAI: degrees from the axis of increasing column (x) towards that of increasing row (y), seen from the \
                    sample with orientation 3";

/// Adds the entry to a file whose result is there.
pub(super) fn build(file: &File, layout: &Layout, definition: &Definition) -> Result<()> {
    let is_cake = layout.axes.len() > 1;
    let (name, title) = if is_cake { ("azint2d", "NXazint2d") } else { ("azint1d", "NXazint1d") };
    let entry = nexus::group(file, name, "NXentry")?;
    nexus::attribute(&entry, "default", "data")?;
    nexus::text(&entry, "title", &layout.title)?;
    nexus::text(&entry, "definition", title)?;
    for (name, applied) in [
        ("solid_angle_applied", definition.solid_angle),
        ("polarization_applied", definition.polarization.is_some()),
        ("normalization_applied", true),
        ("monitor_applied", definition.monitor),
    ] {
        nexus::number(&entry, name, applied)?;
    }
    instrument(&entry, definition)?;
    reduction(&entry, layout, definition)?;
    let process = file.group("entry_0000/xrdct")?;
    if definition.monitor && layout.scan.is_none() {
        let monitor = nexus::group(&entry, "monitor", "NXmonitor")?;
        let factors = process.dataset("input/normalization_factor")?;
        nexus::show_as(&monitor, "data", &[layout.frames], &factors, f64::NAN)?;
    }
    data(&entry, &process, layout, definition)
}

fn instrument(entry: &Group, definition: &Definition) -> Result<()> {
    let instrument = nexus::group(entry, "instrument", "NXinstrument")?;
    nexus::text(&instrument, "name", UNKNOWN)?;
    let source = nexus::group(&instrument, "source", "NXsource")?;
    nexus::text(&source, "name", UNKNOWN)?;
    nexus::text(&source, "type", UNKNOWN)?;
    nexus::text(&source, "probe", "x-ray")?;
    let monochromator = nexus::group(&instrument, "monochromator", "NXmonochromator")?;
    let wavelength = definition.wavelength / ANGSTROM;
    let dataset = nexus::number(&monochromator, "wavelength", wavelength)?;
    nexus::attribute(&dataset, "units", "angstrom")?;
    let dataset = nexus::number(&monochromator, "energy", HC / wavelength)?;
    nexus::attribute(&dataset, "units", "keV")
}

fn reduction(entry: &Group, layout: &Layout, definition: &Definition) -> Result<()> {
    let reduction = nexus::group(entry, "reduction", "NXprocess")?;
    nexus::text(&reduction, "program", "xrdct")?;
    nexus::text(&reduction, "version", env!("CARGO_PKG_VERSION"))?;
    nexus::text(&reduction, "date", &nexus::now())?;
    nexus::text(&reduction, "reference", REFERENCE)?;
    nexus::text(&reduction, "note", NOTE)?;
    let input = nexus::group(&reduction, "input", "NXparameters")?;
    nexus::text(&input, "unit", definition.radial.word)?;
    let bins = layout.bins();
    nexus::number(&input, "radial_bins", bins.last().copied().unwrap_or(0) as i64)?;
    nexus::number(&input, "azimuth_bins", if bins.len() > 1 { bins[0] as i64 } else { 1 })?;
    nexus::number(&input, "solid_angle", definition.solid_angle)?;
    nexus::number(&input, "polarization_factor", definition.polarization.unwrap_or(0.0))?;
    for (name, value) in &definition.parameters {
        nexus::text(&input, name, value)?;
    }
    nexus::text(&input, "configuration", &format!("{:#}", layout.configuration)).map(drop)
}

fn data(entry: &Group, process: &Group, layout: &Layout, definition: &Definition) -> Result<()> {
    let data = nexus::group(entry, "data", "NXdata")?;
    let is_cake = layout.axes.len() > 1;
    let axes: &[&str] = if is_cake { &[".", "azimuthal_axis", "radial_axis"] } else { &[".", "radial_axis"] };
    nexus::attribute(&data, "signal", "I")?;
    nexus::attribute_list(&data, "axes", axes)?;
    nexus::attribute(&data, "interpretation", if is_cake { "image" } else { "spectrum" })?;
    let shape: Vec<usize> = std::iter::once(layout.rows()).chain(layout.bins()).collect();
    let arrays =
        [("I", "intensity", "intensity"), ("I_errors", Beside::Errors.name(), "estimated intensity error")];
    for (name, shown, meaning) in arrays.into_iter().take(1 + usize::from(layout.has(Beside::Errors))) {
        let there = process.dataset(&format!("result/{shown}"))?;
        let dataset = nexus::show_as(&data, name, &shape, &there, f32::NAN)?;
        nexus::attribute(&dataset, "long_name", meaning)?;
        nexus::attribute(&dataset, "units", "arbitrary units")?;
    }
    let [azimuthal @ .., radial] = &layout.axes[..] else { return Ok(()) };
    let RadialAxis { name, units, .. } = definition.radial;
    let azimuthal = azimuthal.iter().map(|axis| ("azimuthal_axis", axis, "azimuthal bin center", "degrees"));
    for (dataset, axis, long_name, units) in azimuthal.chain([("radial_axis", radial, name, units)]) {
        let dataset = nexus::numbers(&data, dataset, [axis.centres.len()], &axis.centres)?;
        nexus::attribute(&dataset, "long_name", long_name)?;
        nexus::attribute(&dataset, "units", units)?;
    }
    Ok(())
}
