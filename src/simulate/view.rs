//! From a geometry to what the scene and the headers need: angles and efficiencies of all pixels, beam
//! centre, axes of the panel, plate.

use super::error::SimulateError;
use super::scene::SceneView;
use crate::frame::Shape;
use crate::geometry::catalogue::PixelLayout;
use crate::geometry::correction;
use crate::geometry::detector::Detector;
use crate::geometry::poni::Poni;
use crate::geometry::position::{self, Lattice, Points};

/// How the pixels of this geometry see the sample; `shape` is used when the detector has none of its own.
///
/// # Errors
/// [`SimulateError::NoShape`] when neither says how large the detector is, [`SimulateError::NoGrid`] when its pixels are on none.
pub fn view(poni: &Poni, shape: Option<Shape>, polarization: f64) -> Result<SceneView, SimulateError> {
    let detector = &poni.detector;
    if detector.layout() != PixelLayout::Grid || detector.file.is_some() || poni.parallax {
        return Err(SimulateError::NoGrid { detector: detector.name.clone() });
    }
    let no_shape = || SimulateError::NoShape { detector: detector.name.clone() };
    let shape = detector.shape.or(shape).filter(|shape| shape.pixels() > 0).ok_or_else(no_shape)?;
    let mut efficiency = correction::solid_angle(poni, shape)?;
    for (value, factor) in efficiency.iter_mut().zip(correction::polarization(poni, shape, polarization)?) {
        *value *= factor;
    }
    let mask = detector.mask().filter(|mask| mask.shape == shape);
    Ok(SceneView {
        shape,
        two_theta: position::two_theta(poni, shape)?,
        efficiency,
        gap: mask.map_or_else(|| vec![false; shape.pixels()], |mask| mask.masked),
    })
}

/// Where the direct beam meets the detector: column and row in pixels from the corner of the first pixel, and
/// the way from the sample to there, m.
///
/// The point on the detector that the tilts bring to x = y = 0 (see [`position`] for the rotations).
pub fn beam(poni: &Poni, shape: Shape) -> ([f64; 2], f64) {
    let (s1, c1) = poni.rot1.sin_cos();
    let (s2, c2) = poni.rot2.sin_cos();
    let (s3, c3) = poni.rot3.sin_cos();
    // Two equations, y = 0 and x = 0: p1·a + p2·b = L·c.
    let y = [c2 * c3, c3 * s1 * s2 - c1 * s3, c1 * c3 * s2 + s1 * s3];
    let x = [c2 * s3, c1 * c3 + s1 * s2 * s3, c1 * s2 * s3 - c3 * s1];
    let determinant = y[0] * x[1] - y[1] * x[0];
    let p1 = poni.distance * (y[2] * x[1] - y[1] * x[2]) / determinant;
    let p2 = poni.distance * (y[0] * x[2] - y[2] * x[0]) / determinant;
    let detector = &poni.detector;
    let pixels = |metres: f64, pixel: f64, flipped: bool, count: usize| {
        let place = metres / pixel;
        if flipped { count as f64 - place } else { place }
    };
    let row = pixels(poni.poni1 + p1, detector.pixel1, detector.orientation.flips_slow(), shape.slow);
    let column = pixels(poni.poni2 + p2, detector.pixel2, detector.orientation.flips_fast(), shape.fast);
    ([column, row], (p1 * p1 + p2 * p2 + poni.distance * poni.distance).sqrt())
}

/// Where a detector stands in the laboratory of NeXus, with the sample at its origin: z along the beam, y up, x to the left of whoever
/// looks along the beam.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PanelAxes {
    /// The outer corner of the first pixel, m.
    pub corner: [f64; 3],
    /// Unit vector from a pixel to the next of its row.
    pub fast: [f64; 3],
    /// Unit vector from a row to the next.
    pub slow: [f64; 3],
}

/// The axes of the detector of this geometry. pyFAI's axis 1 points up, axis 2 to the right of whoever looks along the beam, axis 3
/// along it.
pub fn panel(poni: &Poni, shape: Shape) -> PanelAxes {
    // [`view`] lets only lattices in.
    let lattice = Lattice::new(poni, shape, Points::Corners);
    let point = |row: usize, column: usize| {
        let (x, y, z) = lattice.as_ref().and_then(|lattice| lattice.row(row).nth(column)).unwrap_or_default();
        [-x, y, z]
    };
    let corner = point(0, 0);
    let towards = |there: [f64; 3]| {
        let way: [f64; 3] = std::array::from_fn(|i| there[i] - corner[i]);
        let length = way.iter().map(|part| part * part).sum::<f64>().sqrt();
        way.map(|part| part / length)
    };
    PanelAxes { corner, fast: towards(point(0, shape.fast)), slow: towards(point(shape.slow, 0)) }
}

/// What DECTRIS writes on the plate of this pyFAI class: `PilatusCdTe2M` is a `PILATUS CdTe 2M`.
pub fn plate(class: &str) -> String {
    for (family, plate) in
        [("Pilatus4", "PILATUS4"), ("Pilatus", "PILATUS"), ("Eiger2", "EIGER2"), ("Eiger", "EIGER")]
    {
        if let Some(rest) = class.strip_prefix(family) {
            let (sensor, size) = rest.strip_prefix("CdTe").map_or(("", rest), |size| (" CdTe", size));
            let size = size.trim_start_matches(['_', ' ']).to_ascii_uppercase();
            return format!("{plate}{sensor} {size}").trim_end().to_owned();
        }
    }
    class.to_owned()
}

/// Material (`Si`, `CdTe`) and thickness, m, of a detector's sensor.
pub fn sensor(detector: &Detector) -> (String, f64) {
    let sensor = detector.sensor.as_ref();
    let material = match sensor {
        Some(sensor) => sensor.material.as_str(),
        None if detector.name.contains("CdTe") => "CdTe",
        None => "Si",
    };
    let usual = match (material, detector.name.starts_with("Eiger")) {
        ("CdTe", true) => 750e-6,
        ("CdTe", false) => 1e-3,
        (_, true) => 450e-6,
        (_, false) => 320e-6,
    };
    (material.to_owned(), sensor.and_then(|sensor| sensor.thickness).unwrap_or(usual))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_panel_is_where_the_pixels_are() {
        let text = "Detector: Pilatus100k\nDistance: 0.2\nPoni1: 0.01\nPoni2: 0.03\nRot1: 0.3\nRot2: -0.2\nRot3: 0.7\n";
        let poni = Poni::parse(text, std::path::Path::new("a.poni")).unwrap();
        let shape = poni.detector.shape.unwrap();
        let PanelAxes { corner, fast, slow } = panel(&poni, shape);
        let angles = position::two_theta(&poni, shape).unwrap();
        for (row, column) in [(0, 0), (7, 400), (194, 486)] {
            let [x, y, z]: [f64; 3] = std::array::from_fn(|i| {
                corner[i] + 172e-6 * ((row as f64 + 0.5) * slow[i] + (column as f64 + 0.5) * fast[i])
            });
            let expected = angles[row * shape.fast + column];
            assert!((x.hypot(y).atan2(z) - expected).abs() < 1e-12, "{row} {column}");
        }
    }

    #[test]
    fn plates_read_as_on_the_detector() {
        assert_eq!(plate("PilatusCdTe2M"), "PILATUS CdTe 2M");
        assert_eq!(plate("Pilatus300k"), "PILATUS 300K");
        assert_eq!(plate("Pilatus4_2M"), "PILATUS4 2M");
        assert_eq!(plate("Eiger2CdTe_1MW"), "EIGER2 CdTe 1MW");
        assert_eq!(plate("Eiger4M"), "EIGER 4M");
        assert_eq!(plate("Detector"), "Detector");
    }
}
