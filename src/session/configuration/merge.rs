//! Options of an earlier run beneath those typed now.

use crate::geometry::units::Unit;
use crate::session::options::Options;
use crate::session::statistic::said;

/// A setting of the file that means something else under an option that was typed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--unit {typed}: the radial_range of the configuration is in {earlier}; give --radial-range too")]
pub struct RangeOfAnotherUnit {
    typed: String,
    earlier: String,
}

/// What was typed, and for the rest what was earlier. A list that was typed replaces the earlier one. A value and the
/// values that belong to it go together: a typed `--dummy` does not keep an earlier `delta_dummy`.
///
/// # Errors
/// `RangeOfAnotherUnit`.
pub fn over(typed: &Options, earlier: Options) -> Result<Options, RangeOfAnotherUnit> {
    // Without `..`, so that a new option cannot be forgotten.
    let Options {
        inputs,
        poni,
        geometry,
        mask,
        combine_mask,
        dark,
        flat,
        polarization,
        no_solid_angle,
        dummy,
        delta_dummy,
        saturation,
        normalization,
        monitor,
        error_model,
        variance,
        statistic,
        clip,
        clip_cycles,
        quantile,
        npt,
        npt_azim,
        chi_discontinuity_at_0,
        unit,
        method,
        radial_range,
        azimuth_range,
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
        output,
        config,
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
    } = typed.clone();
    if radial_range.is_empty() && !earlier.radial_range.is_empty() {
        let is = |name: &Option<String>| name.as_deref().unwrap_or(Unit::QNm.name()).to_owned();
        if unit.is_some() && is(&unit) != is(&earlier.unit) {
            return Err(RangeOfAnotherUnit { typed: is(&unit), earlier: is(&earlier.unit) });
        }
    }
    let list = |typed: Vec<String>, earlier: Vec<String>| if typed.is_empty() { earlier } else { typed };
    let range = |typed: Vec<f64>, earlier: Vec<f64>| if typed.is_empty() { earlier } else { typed };
    let has_poni = poni.is_some();
    let has_dummy = dummy.is_some();
    // What belongs to another statistic goes with it, and one word for errors replaces the other.
    let (now, before) = (said(typed), said(&earlier));
    let is_same = now.is_none() || now == before;
    let has_errors = error_model.is_some() || variance.is_some();
    Ok(Options {
        inputs: list(inputs, earlier.inputs),
        poni: poni.or(earlier.poni),
        geometry: geometry.or(earlier.geometry.filter(|_| !has_poni)),
        mask: mask.or(earlier.mask),
        combine_mask: combine_mask.or(earlier.combine_mask),
        dark: list(dark, earlier.dark),
        flat: list(flat, earlier.flat),
        polarization: polarization.or(earlier.polarization),
        no_solid_angle: no_solid_angle.or(earlier.no_solid_angle),
        dummy: dummy.or(earlier.dummy),
        delta_dummy: delta_dummy.or(earlier.delta_dummy.filter(|_| !has_dummy)),
        saturation: saturation.or(earlier.saturation),
        normalization: normalization.or(earlier.normalization),
        monitor: monitor.or(earlier.monitor),
        error_model: error_model.or(earlier.error_model.filter(|_| !has_errors)),
        variance: variance.or(earlier.variance.filter(|_| !has_errors)),
        statistic: statistic.or(earlier.statistic.filter(|_| is_same)),
        clip: clip.or(earlier.clip.filter(|_| is_same)),
        clip_cycles: clip_cycles.or(earlier.clip_cycles.filter(|_| is_same)),
        quantile: range(quantile, if is_same { earlier.quantile } else { Vec::new() }),
        npt: npt.or(earlier.npt),
        npt_azim: npt_azim.or(earlier.npt_azim),
        chi_discontinuity_at_0: chi_discontinuity_at_0.or(earlier.chi_discontinuity_at_0),
        unit: unit.or(earlier.unit),
        method: method.or(earlier.method),
        radial_range: range(radial_range, earlier.radial_range),
        azimuth_range: range(azimuth_range, earlier.azimuth_range),
        empty: empty.or(earlier.empty),
        slow: slow.or(earlier.slow),
        fast: fast.or(earlier.fast),
        zigzag: zigzag.or(earlier.zigzag),
        offset: offset.or(earlier.offset),
        frames: frames.or(earlier.frames),
        channel: channel.or(earlier.channel),
        part: part.or(earlier.part),
        slow_motor: slow_motor.or(earlier.slow_motor),
        fast_motor: fast_motor.or(earlier.fast_motor),
        experiment_title: experiment_title.or(earlier.experiment_title),
        output: output.or(earlier.output),
        device: device.or(earlier.device),
        strategy: strategy.or(earlier.strategy),
        lanes: lanes.or(earlier.lanes),
        batch: batch.or(earlier.batch),
        readers: readers.or(earlier.readers),
        threads: threads.or(earlier.threads),
        bad_frames: bad_frames.or(earlier.bad_frames),
        no_verify: no_verify.or(earlier.no_verify),
        sums: sums.or(earlier.sums),
        segments: segments.or(earlier.segments),
        definition: definition.or(earlier.definition),
        config,
    })
}
