//! Settings that make no sense, or that no machine has memory or disk for: refused before anything is computed or written.

use std::path::Path;

use super::crystal::Substance;
use super::format::{SeriesFormat, Stacking};
use super::{Sample, SimulateError, Simulation, pattern, phantom};
use crate::budget;
use crate::files::free_bytes;
use crate::frame::Shape;

/// Longest side of a detector, pixels: as in PONI files.
const LONGEST_SIDE: usize = 1 << 20;

/// Reflections of a substance that are looked at: a second's work. At 70 keV a detector sees some ten thousand.
const MOST_REFLECTIONS: f64 = 1e7;

/// Most spots or hits of a frame: more are no powder any more.
const MOST_STRAYS: usize = 100_000;

const POSITIVE: &str = "it must be above zero";
const NOT_NEGATIVE: &str = "it must not be below zero";

/// One setting; NaN is never good, and what has no end only when it is said to be.
fn setting(name: &'static str, value: f64, good: bool, why: &'static str) -> Result<(), SimulateError> {
    if good && value.is_finite() { Ok(()) } else { Err(SimulateError::Setting { name, value, why }) }
}

/// Looks at everything that was asked for.
pub(super) fn check(request: &Simulation) -> Result<(), SimulateError> {
    let poni = &request.poni;
    let shape = poni.detector.shape.or(request.shape);
    if let Some(Shape { slow, fast }) = shape {
        for side in [slow, fast] {
            setting(
                "side of the detector",
                side as f64,
                side <= LONGEST_SIDE,
                "it must be 1048576 pixels at most",
            )?;
        }
    }
    setting(
        "distance",
        poni.distance,
        (1e-6..=1e6).contains(&poni.distance),
        "it must be 1e-6 to 1e6 metres",
    )?;
    for (name, value) in [("row of the beam", poni.poni1), ("column of the beam", poni.poni2)] {
        setting(name, value, value.abs() <= 1e6, "it must lie within 1e6 metres")?;
    }
    for pixel in [poni.detector.pixel1, poni.detector.pixel2] {
        setting("pixel size", pixel, (1e-9..=1.0).contains(&pixel), "it must be 1e-9 to 1 metre")?;
    }
    if let Some(wavelength) = poni.wavelength {
        let angstrom = wavelength * 1e10;
        setting("wavelength", angstrom, (1e-4..=1e4).contains(&angstrom), "it must be 1e-4 to 1e4 angstrom")?;
    }
    if let Some(fwhm) = request.fwhm {
        width(fwhm)?;
    }
    for (name, count) in [("spots", request.spots), ("hits", request.hits)] {
        setting(name, count as f64, count <= MOST_STRAYS, "a frame has 100000 at most")?;
    }
    setting("eta", request.eta, (0.0..=1.0).contains(&request.eta), "it must lie between 0 and 1")?;
    setting("peak", request.peak, request.peak >= 0.0, NOT_NEGATIVE)?;
    setting("background", request.background, request.background >= 0.0, NOT_NEGATIVE)?;
    let f = request.polarization;
    setting("polarization", f, (-1.0..=1.0).contains(&f), "it must lie between -1 and 1")?;
    setting("exposure", request.exposure, request.exposure > 0.0, POSITIVE)?;
    if let Some(radius) = request.beamstop {
        setting("beamstop", radius * 1e3, radius >= 0.0, NOT_NEGATIVE)?;
    }
    if let SeriesFormat::Hdf5(Stacking { frames_per_file, .. }) = request.format {
        setting("frames of a file", frames_per_file as f64, frames_per_file > 0, POSITIVE)?;
        let bytes = shape.map_or(0, Shape::pixels).saturating_mul(request.format.pixel_bytes());
        setting("bytes of a frame", bytes as f64, bytes < 1 << 32, "HDF5 holds frames of less than 4 GiB")?;
    }
    let (frames, parts) = match &request.sample {
        Sample::Powder { substances, rings, frames } => {
            setting("frames", *frames as f64, *frames > 0, POSITIVE)?;
            (Some(*frames), substances.len() + usize::from(!rings.is_empty()) + 2)
        }
        Sample::Phantom { substances, scan, .. } => {
            self::scan(scan, substances.len())?;
            (scan.rotations.checked_mul(scan.translations), substances.len() + 2)
        }
    };
    memory(request, frames.unwrap_or(usize::MAX), parts)
}

fn scan(scan: &phantom::Trajectory, phases: usize) -> Result<(), SimulateError> {
    let fits = (1..=phantom::MAX_PHASES).contains(&phases);
    setting("number of phases", phases as f64, fits, "the phantom has room for one to three")?;
    setting("rotations", scan.rotations as f64, scan.rotations > 0, POSITIVE)?;
    let pixels = scan.translations;
    setting("translations", pixels as f64, (1..=2048).contains(&pixels), "it must be 1 to 2048")?;
    let lengths = 1e-6..=1e6;
    setting("diameter", scan.diameter, lengths.contains(&scan.diameter), "it must be 1e-6 to 1e6 mm")?;
    let fits = scan.field >= scan.diameter && lengths.contains(&scan.field);
    setting("field", scan.field, fits, "the scan must be at least as wide as the capillary, 1e6 mm at most")?;
    setting("range", scan.range, scan.range > 0.0 && scan.range <= 360.0, "it must be 360 at most")?;
    let offset = scan.axis_offset;
    setting("axis offset", offset, offset.abs() <= 1e6, "it must lie within a million steps")
}

/// Width of a peak, rad.
pub(super) fn width(fwhm: f64) -> Result<(), SimulateError> {
    let good = (1e-5..0.5).contains(&fwhm);
    setting(
        "fwhm",
        fwhm.to_degrees(),
        good,
        "a peak is 0.001 to 28 degrees wide (by itself three pixels are)",
    )
}

/// How many lines a substance may have below an angle.
pub(super) fn lines(substance: Substance, wavelength: f64, two_theta_max: f64) -> Result<(), SimulateError> {
    let reflections = substance.reflections(pattern::least_spacing(wavelength, two_theta_max));
    let good = reflections <= MOST_REFLECTIONS;
    setting(
        "wavelength",
        wavelength,
        good,
        "the detector would see more than ten million lines of a substance",
    )
}

/// Memory for the pixels, the frames' settings and a scan, and disk for the frames.
fn memory(request: &Simulation, frames: usize, parts: usize) -> Result<(), SimulateError> {
    /// Angle, efficiency, gap, mask, and the frames' common lists, of a pixel.
    const PIXEL: usize = 36;
    /// Level, count and bytes of a pixel of the frame that a thread makes.
    const AT_WORK: usize = 2 + 4 + 16;
    /// Weights, angle, position, and place in the scan, of a frame.
    const FRAME: usize = 128;
    let destination = &request.destination;
    if destination.first.checked_add(frames).is_none() {
        let (name, value) = ("first", destination.first as f64);
        return Err(SimulateError::Setting { name, value, why: "there are no numbers for so many frames" });
    }
    let Some(Shape { slow, fast }) = request.poni.detector.shape.or(request.shape) else { return Ok(()) };
    let each = PIXEL + 4 * parts + AT_WORK * rayon::current_num_threads();
    let bytes =
        budget::bytes_of(&[slow, fast], each).saturating_add(budget::bytes_of(&[frames], FRAME + 16 * parts));
    let what = format_args!("{frames} frames of {slow} x {fast} pixels");
    budget::allow(what, bytes).map_err(SimulateError::TooLarge)?;
    let needed = budget::bytes_of(&[frames], request.format.least_bytes(Shape { slow, fast }));
    let there = destination.folder.ancestors().find(|folder| folder.exists());
    match free_bytes(&there.unwrap_or(Path::new("")).join("frames")) {
        Some(free) if free < needed => {
            Err(SimulateError::NoRoom { folder: destination.folder.clone(), frames, needed, free })
        }
        _ => Ok(()),
    }
}
