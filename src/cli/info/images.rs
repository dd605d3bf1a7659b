//! What is known of images in others' files: of the detector, of each frame.

use crate::cli::words::{Sentences, count, energy};
use crate::frame::Column;
use crate::session::kind::{BareMaster, Input};
use crate::session::{DetectorFacts, MASK_BITS, Placement};

/// Columns that are named.
const NAMED: usize = 24;

/// Explains them.
pub(super) fn explain(input: &Input) -> Sentences {
    let about = input.frames.about();
    let (shape, pixel) = (about.encoding.shape, about.encoding.pixel);
    let mut facts = Sentences::default();
    facts.add("kind", format!("{} images, {}", input.format, about.encoding.codec.name()));
    facts.add("frames", input.frames.count());
    facts.add("pixels", format!("{shape} (slow x fast), {}", pixel.name()));
    facts.add_all("files", listed(input.frames.files().iter().map(|file| file.display().to_string())));
    detector(&mut facts, &about.facts);
    frames(&mut facts, about.header.count_cutoff, &about.header.date, &about.columns);
    facts.add_all("note", input.notes.iter());
    facts
}

/// Explains a master whose images are all missing.
pub(super) fn bare(master: &BareMaster) -> Sentences {
    let mut facts = Sentences::default();
    facts.add("kind", "HDF5 master; none of its images can be read");
    if let Some(planned) = master.planned {
        facts.add("frames", format!("{planned} were to be taken"));
    }
    if let Some(shape) = master.shape {
        facts.add("pixels", format!("{shape} (slow x fast)"));
    }
    facts.add_all("missing", listed(master.missing.iter().cloned()));
    detector(&mut facts, &master.facts);
    frames(&mut facts, master.count_cutoff, &master.date, &master.columns);
    facts
}

fn frames(facts: &mut Sentences, cutoff: Option<f64>, date: &str, columns: &[Column]) {
    if let Some(cutoff) = cutoff {
        facts.add("saturated", format!("from {cutoff} counts"));
    }
    if !date.is_empty() {
        facts.add("date", date);
    }
    facts.add_all(
        "each frame",
        listed(columns.iter().map(|column| match column.unit.as_str() {
            "" => column.name.clone(),
            unit => format!("{} ({unit})", column.name),
        })),
    );
}

fn detector(facts: &mut Sentences, of: &DetectorFacts) {
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            facts.add(name, value);
        }
    };
    let serial = of.serial_number.as_ref().map_or_else(String::new, |number| format!(", {number}"));
    add("detector", of.description.as_ref().map(|words| format!("{words}{serial}")));
    add(
        "sensor",
        of.sensor.as_ref().map(|sensor| match sensor.thickness {
            Some(thickness) => format!("{}, {:.0} µm", sensor.material, 1e6 * thickness),
            None => sensor.material.clone(),
        }),
    );
    add(
        "pixel size",
        of.pixel_size.map(|(slow, fast)| format!("{} x {} µm", micrometres(slow), micrometres(fast))),
    );
    add("distance", of.distance.map(|metres| format!("{metres} m")));
    add(
        "beam centre",
        of.beam_centre.map(|(slow, fast)| format!("pixel {slow:.2} (slow), {fast:.2} (fast)")),
    );
    add("placement", of.placement.as_ref().map(placement));
    add("wavelength", of.wavelength.map(energy));
    add("threshold", of.threshold.map(|volts| format!("{volts:.0} eV")));
    add("bit depth", of.bit_depth.map(|bits| bits.to_string()));
    add("pixel mask", of.pixel_mask.as_ref().map(|mask| masked(mask)));
    add(
        "flat field",
        of.flatfield.as_ref().map(|_| match of.flatfield_applied {
            Some(true) => "given, and in the counts already".to_owned(),
            Some(false) => "given, and not in the counts: --flat FILE.h5::/path applies it".to_owned(),
            None => "given".to_owned(),
        }),
    );
}

/// Where vectors put the detector, in NeXus's laboratory: x to the left seen along the beam, y up, z along it.
fn placement(said: &Result<Placement, String>) -> String {
    match said {
        Err(why) => format!("not clear: {why}"),
        Ok(Placement { fast, slow, corner, .. }) => {
            // Adding 0 makes a plain zero of a negative one.
            let words =
                |vector: [f64; 3]| vector.map(|c| ((c * 1e6).round() / 1e6 + 0.0).to_string()).join(" ");
            let [fast, slow, corner] = [*fast, *slow, *corner].map(words);
            format!("columns along {fast}, rows along {slow}, first pixel at {corner} m (NeXus x y z)")
        }
    }
}

/// How many pixels are masked, and why.
fn masked(mask: &[u32]) -> String {
    let all = mask.iter().filter(|bits| **bits != 0).count();
    let reasons: Vec<String> = MASK_BITS
        .iter()
        .filter_map(|(bit, why)| {
            let pixels = mask.iter().filter(|bits| *bits >> bit & 1 == 1).count();
            (pixels > 0).then(|| format!("{pixels} {why}"))
        })
        .collect();
    match reasons.is_empty() {
        true => count(all, "pixel"),
        false => format!("{}: {}", count(all, "pixel"), reasons.join(", ")),
    }
}

fn micrometres(metres: f64) -> f64 {
    (metres * 1e9).round() / 1e3
}

/// The first of many, and how many more there are.
fn listed(names: impl ExactSizeIterator<Item = String>) -> Vec<String> {
    let more = names.len().saturating_sub(NAMED);
    let mut lines: Vec<String> = names.take(NAMED).collect();
    if more > 0 {
        lines.push(format!("… and {more} more"));
    }
    lines
}
