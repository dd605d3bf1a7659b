//! `--poni auto`: the geometry that files of frames hold. That is where a detector was sent, not where a calibrant found it.
//!
//! Distance and beam centre are said in plain fields, and by vectors and transformations (NXmx). Where both are said they must agree: which
//! one is wrong only a person knows.

use std::sync::Arc;

use super::error::{SessionError, refuse};
use crate::frame::{Origin, Shape};
use crate::geometry::catalogue;
use crate::geometry::detector::Detector;
use crate::geometry::placement::{BeamSpot, Placement, Pose};
use crate::geometry::poni::Poni;
use crate::source::facts::DetectorFacts;
use crate::source::{About, Frames};

/// How far distances may differ that are said twice, of 1.
const DISTANCE: f64 = 1e-3;

/// How far beam centres may differ that are said twice, pixels: some count from the middle of a pixel, some from its corner.
const CENTRE: f64 = 1.0;

/// Turned no more than this, radians, a detector is across the beam.
const ACROSS: f64 = 1e-4;

/// The geometry that frames hold; notes say what was taken.
pub(super) fn own_geometry(of: &dyn Frames, notes: &mut Vec<String>) -> Result<Poni, SessionError> {
    let About { encoding, facts, .. } = &**of.about();
    let origin = facts.file.as_ref().map_or_else(|| of.origin(0), |file| Origin::file(Arc::clone(file)));
    let found = placement(facts).and_then(|placement| {
        let pose = placement.pose(encoding.shape).zip(placement.beam());
        let pose = pose.ok_or("its vectors put the sample, or the beam, into the plane of the detector")?;
        Ok((placement, pose))
    });
    let (Placement { pixel, .. }, (pose, beam)) = match found {
        Ok(found) => found,
        Err(why) => refuse!(Calibration, "--poni auto: {origin}: {why}; name a PONI file"),
    };
    let detector = detector(facts, encoding.shape, pixel, &pose);
    let turned = match pose.rotations {
        [0.0, 0.0, 0.0] => "no tilt".to_owned(),
        [rot1, rot2, rot3] => format!("rotations {rot1:.6}, {rot2:.6}, {rot3:.6} rad"),
    };
    let orientation = match &facts.placement {
        Some(_) => format!("orientation {}, ", detector.orientation.number()),
        None => String::new(),
    };
    notes.push(format!(
        "--poni auto: geometry of {origin}: {}, {:.6} m, beam at pixel {:.2} (slow), {:.2} (fast), {orientation}{turned}; a \
         calibrant knows better",
        detector.name, pose.distance, beam.centre.0, beam.centre.1
    ));
    let Pose { distance, poni, rotations: [rot1, rot2, rot3], .. } = pose;
    Ok(Poni {
        distance,
        poni1: poni.0,
        poni2: poni.1,
        rot1,
        rot2,
        rot3,
        wavelength: positive(facts.wavelength),
        detector,
        parallax: false,
        version: 2.1,
        notes: vec![],
    })
}

fn positive(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite() && *value > 0.0)
}

/// The detector of this size, by what it is made of where that decides.
fn detector(facts: &DetectorFacts, shape: Shape, pixel: (f64, f64), pose: &Pose) -> Detector {
    let says_cdte = |text: &str| text.to_ascii_lowercase().contains("cdte");
    let sensor = facts.sensor.as_ref().map(|sensor| says_cdte(&sensor.material));
    let is_cdte = sensor.or_else(|| facts.description.as_deref().map(says_cdte));
    let class = catalogue::of_size(shape, pixel, is_cdte);
    let mut detector = class
        .and_then(|class| Detector::by_name(class.name))
        .unwrap_or_else(|| Detector::plain(pixel.0, pixel.1, Some(shape)));
    detector.sensor.clone_from(&facts.sensor);
    detector.orientation = pose.orientation;
    detector
}

/// Where the detector stands.
fn placement(facts: &DetectorFacts) -> Result<Placement, String> {
    let both = |pair: Option<(f64, f64)>| pair.filter(|(a, b)| a.is_finite() && b.is_finite());
    let distance = positive(facts.distance);
    // Where nobody set it, DECTRIS writes 0, 0.
    let centre = both(facts.beam_centre).filter(|centre| *centre != (0.0, 0.0));
    let pixel = both(facts.pixel_size).filter(|(slow, fast)| *slow > 0.0 && *fast > 0.0);
    let vectors = match &facts.placement {
        Some(said) => said.clone()?,
        // As pyFAI takes them: rows upwards, columns to the right.
        None => Placement {
            fast: [-1.0, 0.0, 0.0],
            slow: [0.0, 1.0, 0.0],
            pixel: pixel.ok_or_else(|| missing(distance, centre, pixel))?,
            corner: [0.0; 3],
        },
    };
    let [x, y, z] = vectors.corner;
    // A first pixel on the beam is what files say that do not say where it is.
    let is_placed = x.hypot(y) > 1e-9;
    if !is_placed && vectors.tilt() > ACROSS {
        return Err(format!(
            "its vectors turn the detector by {:.3}° out of the plane across the beam, and do not say where its first pixel is",
            vectors.tilt().to_degrees()
        ));
    }
    let said = match is_placed {
        true => vectors.beam().ok_or("its vectors let the beam run along the detector")?,
        false => BeamSpot { distance: z, centre: centre.unwrap_or_default() },
    };
    // A detector at the sample is one whose place nobody said.
    let is_distance_said = is_placed || z != 0.0;
    if let Some(distance) = distance.filter(|_| is_distance_said)
        && !agrees(distance, &vectors, &said)
    {
        let upstream = if said.distance < 0.0 { ", upstream of the sample" } else { "" };
        return Err(format!(
            "its distance is {distance} m, and its transformations make it {} m{upstream}",
            said.distance
        ));
    }
    if let Some(centre) = centre.filter(|_| is_placed)
        && (centre.0 - said.centre.0).abs().max((centre.1 - said.centre.1).abs()) > CENTRE
    {
        return Err(format!(
            "its beam centre is pixel {:.2} (slow), {:.2} (fast), and its transformations make it {:.2}, {:.2}",
            centre.0, centre.1, said.centre.0, said.centre.1
        ));
    }
    if vectors.tilt() > ACROSS {
        return Ok(vectors);
    }
    let distance = distance.or(positive(Some(said.distance)));
    let centre = centre.or(is_placed.then_some(said.centre));
    match (distance, centre) {
        (Some(distance), Some(centre)) => {
            Ok(Placement::across(vectors.fast, vectors.slow, vectors.pixel, BeamSpot { distance, centre }))
        }
        _ if said.distance < 0.0 => {
            Err(format!("its transformations put the detector {} m upstream of the sample", -said.distance))
        }
        _ => Err(missing(distance, centre, Some(vectors.pixel))),
    }
}

/// Whether a distance is that of the vectors: along the beam, or perpendicular to the detector.
fn agrees(distance: f64, vectors: &Placement, said: &BeamSpot) -> bool {
    let perpendicular = said.distance * vectors.tilt().cos();
    [said.distance, perpendicular].iter().any(|said| (said / distance - 1.0).abs() <= DISTANCE)
}

/// What is not said.
fn missing(distance: Option<f64>, centre: Option<(f64, f64)>, pixel: Option<(f64, f64)>) -> String {
    let all = [
        ("distance", distance.is_none()),
        ("beam centre", centre.is_none()),
        ("pixel size", pixel.is_none()),
    ];
    let missing: Vec<&str> =
        all.iter().filter(|(_, is_missing)| *is_missing).map(|(name, _)| *name).collect();
    format!("it does not say the {}", missing.join(", "))
}
