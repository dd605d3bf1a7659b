//! The radial axis and the sparse matrix: equal to pyFAI's, and true to their own rules.

use std::path::Path;
use std::time::Instant;

use proptest::prelude::*;
use serde_json::json;
use xrdct::frame::Shape;
use xrdct::geometry::mask::Mask;
use xrdct::geometry::poni::Poni;
use xrdct::geometry::units::Unit;
use xrdct::geometry::{correction, position};
use xrdct::integrate::axis::{Axis, Bins};
use xrdct::integrate::csr::Csr;
use xrdct::integrate::split::{MatrixRequest, Split, SplitError, build};

use crate::geometry::ask_geometry;
use crate::support::{data, side_by_side};

/// Which mask a case uses.
#[derive(Clone, Copy, PartialEq)]
enum Masking {
    None,
    Default,
    /// Every pixel whose number is divisible by 7 or that is in the first rows.
    Own,
}

/// One geometry, axis and method, for both programs.
#[derive(Clone)]
struct Case {
    poni: String,
    shape: Shape,
    npt: usize,
    unit: Unit,
    split: Split,
    masking: Masking,
    radial_range: Option<(f64, f64)>,
    azimuth_range: Option<(f64, f64)>,
    corrections: bool,
    /// Whether pyFAI is to cut χ at 0, not at 180°.
    chi_at_zero: bool,
}

const POLARIZATION: f64 = 0.99;

impl Case {
    fn new(poni: impl Into<String>, shape: (usize, usize), unit: Unit, split: Split) -> Case {
        Case {
            poni: poni.into(),
            shape: Shape { slow: shape.0, fast: shape.1 },
            npt: 1000,
            unit,
            split,
            masking: Masking::Default,
            radial_range: None,
            azimuth_range: None,
            corrections: false,
            chi_at_zero: false,
        }
    }

    fn mask(&self, poni: &Poni) -> Option<Mask> {
        match self.masking {
            Masking::None => None,
            Masking::Default => poni.detector.mask(),
            Masking::Own => {
                let masked =
                    (0..self.shape.pixels()).map(|i| i % 7 == 0 || i < 5 * self.shape.fast).collect();
                Some(Mask { shape: self.shape, masked })
            }
        }
    }

    fn build(&self) -> (Poni, Axis, Csr, f64) {
        let poni = Poni::parse(&self.poni, "test.poni").expect("a PONI");
        let mask = self.mask(&poni);
        let began = Instant::now();
        let request = MatrixRequest {
            poni: &poni,
            shape: self.shape,
            npt: self.npt,
            unit: self.unit,
            split: self.split,
            mask: mask.as_ref(),
            radial_range: self.radial_range,
            azimuth_range: self.azimuth_range,
            npt_azim: None,
            chi_at_zero: false,
        };
        let (axis, csr) = one_axis(build(&request).expect("a matrix"));
        let seconds = began.elapsed().as_secs_f64();
        (poni, axis, csr, seconds)
    }

    fn describe(&self) -> String {
        let first = self.poni.lines().find(|l| l.starts_with("Detector:")).unwrap_or("Detector: -");
        let turned = self.poni.split_once("orientation\": ").map_or("3", |(_, rest)| &rest[..1]);
        format!(
            "{first} o{turned} {} {} radial {:?} azimuth {:?}",
            self.unit, self.split, self.radial_range, self.azimuth_range
        )
    }
}

/// The radial axis and the matrix of bins that have no other.
fn one_axis(bins: Bins) -> (Axis, Csr) {
    let [axis] = <[Axis; 1]>::try_from(bins.axes).expect("one axis");
    (axis, bins.matrix)
}

fn array<const N: usize, T>(folder: &Path, name: &str, from: fn([u8; N]) -> T) -> Vec<T> {
    let bytes = std::fs::read(folder.join(name)).expect("the oracle wrote it");
    bytes.chunks_exact(N).map(|c| from(c.try_into().expect("a whole value"))).collect()
}

/// Number of values that differ, and by how many float32 steps at most.
fn steps(ours: &[f32], theirs: &[f32]) -> (usize, u32) {
    assert_eq!(ours.len(), theirs.len());
    let different = ours.iter().zip(theirs).filter(|(a, b)| a != b);
    different.fold((0, 0), |(n, most), (a, b)| (n + 1, most.max(a.to_bits().abs_diff(b.to_bits()))))
}

/// Asserts that axis, matrix and corrections are pyFAI's, to the last bit.
fn compare(case: &Case, folder: &Path, pyfai_seconds: f64) {
    let (poni, axis, csr, seconds) = case.build();
    let name = case.describe();
    eprintln!("{name}: {} entries, {seconds:.3} s, pyFAI {pyfai_seconds:.3} s", csr.entries());
    assert_eq!(axis.centres, array(folder, "centres", f64::from_le_bytes), "{name}: bin centres");
    assert_eq!(csr.indptr, array(folder, "indptr", u32::from_le_bytes), "{name}: where rows begin");
    assert!(csr.indices == array(folder, "indices", u32::from_le_bytes), "{name}: pixels of the rows");
    let weights = array(folder, "weights", f32::from_le_bytes);
    assert_eq!(steps(&csr.weights, &weights), (0, 0), "{name}: weights that differ, and by how many steps");
    if !case.corrections {
        return;
    }
    let of = |name: &str| array(folder, name, f64::from_le_bytes);
    assert!(position::two_theta(&poni, case.shape).expect("a grid") == of("two_theta"), "{name}: 2th");
    assert!(position::azimuthal(&poni, case.shape).expect("a grid") == of("chi"), "{name}: chi");
    let radial = position::radial(&poni, case.shape, case.unit).expect("a wavelength");
    assert!(radial == of("radial"), "{name}: radial positions");
    let polarization = correction::polarization(&poni, case.shape, POLARIZATION).expect("a grid");
    let theirs = array(folder, "polarization", f32::from_le_bytes);
    assert_eq!(steps(&polarization, &theirs), (0, 0), "{name}: polarisation");
    // numpy's cube is a call of pow, which may be the C library's or numpy's own: a rare float32 step is allowed.
    let (differ, most) = steps(
        &correction::solid_angle(&poni, case.shape).expect("a grid"),
        &array(folder, "solid_angle", f32::from_le_bytes),
    );
    assert!(differ <= 3 && most <= 1, "{name}: {differ} solid angles differ by up to {most} steps");
}

/// Runs pyFAI on all cases, in one process, and compares.
fn conform(cases: &[Case]) {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let mut described = Vec::new();
    for case in cases {
        let mask = match case.masking {
            Masking::None => json!(null),
            Masking::Default => json!("default"),
            Masking::Own => {
                let path = scratch.path().join(format!("mask {}", case.shape));
                let poni = Poni::parse(&case.poni, "test.poni").expect("a PONI");
                let mask = case.mask(&poni).expect("own mask");
                let bytes: Vec<u8> = mask.masked.iter().map(|&m| u8::from(m)).collect();
                std::fs::write(&path, bytes).expect("written");
                json!(path)
            }
        };
        described.push(json!({
            "poni": case.poni, "shape": [case.shape.slow, case.shape.fast], "npt": case.npt,
            "unit": case.unit.name(), "split": case.split.name(), "mask": mask,
            "radial_range": case.radial_range.map(|(a, b)| [a, b]),
            "azimuth_range": case.azimuth_range.map(|(a, b)| [a, b]),
            "corrections": case.corrections, "polarization": POLARIZATION, "chi_at_zero": case.chi_at_zero,
        }));
    }
    let list = scratch.path().join("cases.json");
    std::fs::write(&list, json!(described).to_string()).expect("written");
    let times = ask_geometry(&["matrices".as_ref(), list.as_path(), scratch.path()]);
    assert_eq!(times.as_array().map(Vec::len), Some(cases.len()), "one time a case");
    for (i, case) in cases.iter().enumerate() {
        compare(case, &scratch.path().join(i.to_string()), times[i].as_f64().expect("seconds"));
    }
}

pub const SPLITS: [Split; 3] = [Split::No, Split::BBox, Split::Full];

fn real(name: &str) -> String {
    std::fs::read_to_string(data(&format!("poni/{name}"))).expect("a PONI")
}

/// A PONI with the beam on the detector (so that χ jumps within it) and all three tilts.
fn tilted(detector: &str, config: &str) -> String {
    format!(
        "poni_version: 2.1\nDetector: {detector}\nDetector_config: {config}\nDistance: 0.15\nPoni1: 0.031\nPoni2: 0.0372\n\
         Rot1: 0.21\nRot2: -0.13\nRot3: 0.7\nWavelength: 4.1e-11\n"
    )
}

/// A matrix of which only some pixels are left.
fn of_pixels(csr: &Csr, has: impl Fn(u32) -> bool) -> Csr {
    let mut left = Csr { pixels: csr.pixels, indptr: vec![0], ..Csr::default() };
    for bin in 0..csr.bins() {
        let (pixels, weights) = csr.row(bin);
        for (pixel, weight) in pixels.iter().zip(weights).filter(|(pixel, _)| has(**pixel)) {
            left.indices.push(*pixel);
            left.weights.push(*weight);
        }
        left.indptr.push(left.indices.len() as u32);
    }
    left
}

/// A sector across 180° is what its parts on both sides are, whole pixels on the cut included.
fn sector_is_its_parts(request: MatrixRequest, from: f64, to: f64) {
    let sector =
        |range| build(&MatrixRequest { azimuth_range: Some(range), ..request }).expect("a matrix").matrix;
    let parts = [sector((from, 180.0)), sector((-180.0, to - 360.0))];
    let mut has = vec![false; request.shape.pixels()];
    parts.iter().flat_map(|part| &part.indices).for_each(|pixel| has[*pixel as usize] = true);
    let all = build(&request).expect("a matrix").matrix;
    let expected = of_pixels(&all, |pixel| has[pixel as usize]);
    for turns in [-360.0, 0.0, 720.0] {
        let found = sector((from + turns, to + turns));
        assert!(found == expected, "{} {from} to {to}, {turns}: other pixels", request.split);
    }
}

#[test]
fn sectors_across_180_degrees_are_their_two_parts() {
    for orientation in 1..=4 {
        let poni = Poni::parse(&detector_of(90, 70, orientation), "a.poni").expect("a PONI");
        for split in SPLITS {
            let request = request(&poni, 50, Unit::QNm, split);
            for (from, to) in [(170.0, 190.0), (179.99, 180.01), (20.0, 350.0), (-179.0, 180.5), (5.0, 364.9)]
            {
                sector_is_its_parts(request, from, to);
            }
            let turn =
                |range| build(&MatrixRequest { azimuth_range: Some(range), ..request }).expect("a matrix");
            let whole = build(&request).expect("a matrix");
            for from in [-180.0, 0.0, 17.5] {
                assert!(turn((from, from + 360.0)) == whole, "{split}: a turn from {from} leaves pixels out");
            }
        }
    }
}

#[test]
fn sectors_across_180_degrees_are_those_of_the_turned_geometry() {
    for split in SPLITS {
        let poni = Poni::parse(&detector_of(90, 70, 3), "a.poni").expect("a PONI");
        let turned = Poni { rot3: poni.rot3 + std::f64::consts::PI, ..poni.clone() };
        let weights = |poni: &Poni, range| {
            let axis = MatrixRequest {
                azimuth_range: Some(range),
                // The pixel that holds the beam has no azimuth of its own; the sector ends at 11.3 nm⁻¹.
                radial_range: Some((2.0, 11.0)),
                ..request(poni, 50, Unit::QNm, split)
            };
            let csr = build(&axis).expect("a matrix").matrix;
            (0..50).map(|bin| csr.row(bin).1.iter().map(|w| f64::from(*w)).sum::<f64>()).collect::<Vec<f64>>()
        };
        let (found, expected) = (weights(&poni, (150.0, 215.0)), weights(&turned, (-30.0, 35.0)));
        assert!(expected.iter().filter(|weight| **weight > 0.0).count() > 15, "{expected:?}");
        for (bin, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!((found - expected).abs() < 1e-3, "{split}, bin {bin}: {found}, turned {expected}");
        }
    }
}

pub fn detector_of(slow: usize, fast: usize, orientation: u8) -> String {
    tilted(
        "Detector",
        &format!(
            "{{\"pixel1\": 0.001, \"pixel2\": 0.0013, \"max_shape\": [{slow}, {fast}], \"orientation\": {orientation}}}"
        ),
    )
}

pub fn request<'a>(poni: &'a Poni, npt: usize, unit: Unit, split: Split) -> MatrixRequest<'a> {
    let shape = poni.detector.shape.expect("a size");
    MatrixRequest {
        poni,
        shape,
        npt,
        npt_azim: None,
        unit,
        split,
        mask: None,
        radial_range: None,
        azimuth_range: None,
        chi_at_zero: false,
    }
}

#[derive(Debug, Clone)]
struct Any {
    poni: Poni,
    npt: usize,
    unit: Unit,
    split: Split,
    masked: usize,
}

fn any() -> impl Strategy<Value = Any> {
    let geometry =
        (0.05_f64..1.0, -0.05_f64..0.1, -0.05_f64..0.1, -1.0_f64..1.0, -1.0_f64..1.0, -3.2_f64..3.2);
    let image = (1_usize..40, 1_usize..40, 1_u8..=4);
    let bins = (1_usize..200, 0_usize..Unit::ALL.len(), 0_usize..3, 2_usize..9);
    (geometry, image, bins).prop_map(
        |((distance, poni1, poni2, rot1, rot2, rot3), (slow, fast, o), (npt, u, s, masked))| {
            let poni = Poni::parse(&detector_of(slow, fast, o), "any.poni").expect("a PONI");
            let poni = Poni { distance, poni1, poni2, rot1, rot2, rot3, ..poni };
            Any { poni, npt, unit: Unit::ALL[u], split: SPLITS[s], masked }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_unmasked_pixel_is_shared_out_wholly(any in any()) {
        let mut request = request(&any.poni, any.npt, any.unit, any.split);
        let masked = (0..request.shape.pixels()).map(|i| i % any.masked == 1).collect();
        let mask = Mask { shape: request.shape, masked };
        request.mask = Some(&mask);
        // A single pixel, or a pixel on the beam in a logarithmic unit, may leave no axis.
        let (axis, csr) = match build(&request) {
            Ok(built) => one_axis(built),
            Err(SplitError::Limits { .. } | SplitError::AllMasked(_)) => return Ok(()),
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        prop_assert_eq!(axis.npt(), any.npt);
        prop_assert_eq!(csr.bins(), any.npt);
        prop_assert!(axis.centres.is_sorted());
        let mut sums = vec![0.0_f64; request.shape.pixels()];
        for bin in 0..csr.bins() {
            let (pixels, weights) = csr.row(bin);
            prop_assert!(pixels.is_sorted_by(|a, b| a < b), "pixels ascend, none twice");
            for (&pixel, &weight) in side_by_side(pixels, weights) {
                prop_assert!(weight.is_finite());
                if any.split != Split::Full {
                    prop_assert!((0.0..=1.0).contains(&weight));
                }
                sums[pixel as usize] += f64::from(weight);
            }
        }
        for (sum, &masked) in sums.iter().zip(&mask.masked) {
            // Shares are float32: 6e-8 for each bin that a pixel covers.
            let wanted = if masked { 0.0 } else { 1.0 };
            prop_assert!((sum - wanted).abs() < 3e-5, "{} instead of {}", sum, wanted);
        }
    }

    #[test]
    fn sectors_across_180_degrees_are_the_two_parts_of_any_geometry(
        any in any(),
        from in -179.9_f64..179.9,
        share in 0.001_f64..0.999,
    ) {
        let request = request(&any.poni, any.npt, any.unit, any.split);
        if build(&request).is_ok() {
            // From 180 to a turn after the beginning.
            sector_is_its_parts(request, from, 180.0 + share * (from + 180.0));
        }
    }

    #[test]
    fn matrix_is_the_same_for_every_number_of_threads(any in any()) {
        let request = request(&any.poni, any.npt, any.unit, any.split);
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| build(&request))
        };
        let one = with(1);
        prop_assert_eq!(&with(2), &one);
        prop_assert_eq!(&with(7), &one);
    }

    #[test]
    fn quick_way_to_q_rounds_as_the_long_way(x in -1.0_f64..1.0, y in -1.0_f64..1.0, z in -1.0_f64..3.0, small in 0_i32..12) {
        let formula = Unit::QNm.formula(1.0e-10);
        let (x, y) = (x / 10_f64.powi(small), y / 10_f64.powi(small));
        prop_assert_eq!(formula.rounded_at(x, y, z).to_bits(), (formula.at(x, y, z) as f32).to_bits());
    }
}

#[test]
fn uniform_scatterer_gives_a_flat_pattern() {
    let poni = Poni::parse(&detector_of(90, 70, 2), "flat.poni").expect("a PONI");
    for split in SPLITS {
        let request = request(&poni, 50, Unit::QNm, split);
        let csr = build(&request).expect("a matrix").matrix;
        let solid_angle = correction::solid_angle(&poni, request.shape).expect("a grid");
        let polarization = correction::polarization(&poni, request.shape, POLARIZATION).expect("a grid");
        let pixels = request.shape.pixels();
        let norm = correction::normalization(pixels, 2.0, None, Some(&polarization), Some(&solid_angle));
        let counts: Vec<f64> = norm.iter().map(|&n| 42.0 * f64::from(n) / 2.0).collect();
        let filled = (0..csr.bins()).filter(|&bin| !csr.row(bin).0.is_empty()).count();
        assert!(filled > 40, "{split}: {filled} of 50 bins hold pixels");
        for bin in 0..csr.bins() {
            let (pixels, weights) = csr.row(bin);
            let sum = |of: &dyn Fn(usize) -> f64| -> f64 {
                side_by_side(pixels, weights).map(|(&p, &w)| f64::from(w) * of(p as usize)).sum()
            };
            let intensity = sum(&|p| counts[p]) / sum(&|p| f64::from(norm[p]));
            assert!(
                (intensity - 21.0).abs() < 1e-12 || pixels.is_empty(),
                "{split}: {intensity} in bin {bin}"
            );
        }
    }
}

#[test]
fn upper_limit_is_a_float32_step_above_what_was_asked() {
    let axis = Axis::new(Unit::QNm, 0.0, 60.0, 6);
    assert_eq!(axis.upper, 60.0 * (1.0 + 2_f64.powi(-23)));
    assert_eq!(Axis::new(Unit::LogQNm, -3.0, -2.0, 6).upper, -2.0 / (1.0 + 2_f64.powi(-23)));
    assert_eq!(axis.centres.len(), 6);
    assert_eq!(axis.bin(axis.upper), 6.0);
}

#[test]
fn impossible_requests_are_refused_with_the_reason() {
    let poni = Poni::parse(&detector_of(20, 30, 3), "bad.poni").expect("a PONI");
    let good = request(&poni, 10, Unit::QNm, Split::BBox);
    let refused = |request: MatrixRequest| build(&request).expect_err("refused");
    let shape = Shape { slow: 30, fast: 20 };
    let all = Mask { shape: good.shape, masked: vec![true; 600] };
    let without = Poni { wavelength: None, ..poni.clone() };

    assert_eq!(refused(MatrixRequest { npt: 0, ..good }), SplitError::NoBins);
    assert!(matches!(refused(MatrixRequest { shape, ..good }), SplitError::Shape { .. }));
    let other = Mask::empty(shape);
    assert!(matches!(refused(MatrixRequest { mask: Some(&other), ..good }), SplitError::MaskShape { .. }));
    assert_eq!(refused(MatrixRequest { mask: Some(&all), ..good }), SplitError::AllMasked(600));
    assert!(matches!(refused(MatrixRequest { poni: &without, ..good }), SplitError::Wavelength(_)));
    for range in [(1.0, 1.0), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
        let error = refused(MatrixRequest { radial_range: Some(range), ..good });
        assert!(matches!(error, SplitError::RadialRange(..)), "{error}");
    }
    for range in [(0.0, 361.0), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
        let error = refused(MatrixRequest { azimuth_range: Some(range), ..good });
        assert!(matches!(error, SplitError::AzimuthRange(..)), "{error}");
    }
    // A corner exactly on the beam: infinitely far in log(q), unless a range says where to begin.
    let (poni1, poni2) = (f64::from(0.001_f32 * 10.0), f64::from(0.0013_f32 * 10.0));
    let on_beam = Poni { poni1, poni2, rot1: 0.0, rot2: 0.0, rot3: 0.0, ..poni.clone() };
    let log = MatrixRequest { poni: &on_beam, unit: Unit::LogQNm, ..good };
    assert!(matches!(refused(log), SplitError::Limits { .. }));
    build(&MatrixRequest { radial_range: Some((0.0, 3.0)), ..log }).expect("a range helps");
    let message = refused(MatrixRequest { shape, ..good }).to_string();
    assert_eq!(
        message,
        "the frames have 30 x 20 pixels, but the PONI's detector Detector has 20 x 30: use the PONI of this detector, or \
         correct its Detector line"
    );
}

/// Ranges within and beyond the detector, and masks, for a geometry of 407 x 487 pixels.
fn ranges_and_masks(poni: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for split in SPLITS {
        let case = |unit| Case::new(poni, (407, 487), unit, split);
        let degrees = case(Unit::TwoThetaDeg);
        // The range begins and ends within the detector; the limits are in either order.
        cases.push(Case { radial_range: Some((3.0, 10.0)), ..degrees.clone() });
        cases.push(Case { radial_range: Some((21.5, 7.25)), npt: 77, ..degrees.clone() });
        // The range is wider than the detector, and reaches below zero.
        cases.push(Case { radial_range: Some((-5.0, 120.0)), ..degrees.clone() });
        cases.push(Case { azimuth_range: Some((-60.0, 95.5)), ..degrees.clone() });
        cases.push(Case { azimuth_range: Some((100.0, 180.0)), masking: Masking::Own, ..degrees.clone() });
        cases.push(Case { azimuth_range: Some((-180.0, -90.0)), masking: Masking::None, ..degrees });
        let both = case(Unit::QA);
        cases.push(Case {
            radial_range: Some((0.5, 1.5)),
            azimuth_range: Some((-90.0, 0.0)),
            ..both.clone()
        });
        cases.push(Case { masking: Masking::Own, npt: 1, ..both.clone() });
        cases.push(Case { masking: Masking::None, npt: 5000, ..both });
        // χ corners of a unit that has its own corners.
        cases.push(Case { azimuth_range: Some((10.0, 20.0)), ..case(Unit::DStar2A) });
    }
    cases
}

mod needs_data {
    use super::*;

    mod needs_oracle {
        use super::*;

        #[test]
        fn matrices_of_a_2m_detector_are_pyfais_in_every_orientation() {
            let poni = real("Ti64_908mm_refined.poni");
            let splits = [Split::BBox, Split::Full, Split::BBox, Split::Full];
            let cases: Vec<Case> = (1..=4)
                .zip(splits)
                .map(|(orientation, split)| {
                    let poni = poni.replace("\"orientation\": 3", &format!("\"orientation\": {orientation}"));
                    Case { corrections: true, ..Case::new(poni, (1679, 1475), Unit::QNm, split) }
                })
                .collect();
            conform(&cases);
        }

        #[test]
        fn matrices_of_real_geometries_are_pyfais() {
            let mut cases = Vec::new();
            for (name, shape) in
                [("PIL5.poni", (619, 487)), ("PIL9.poni", (407, 487)), ("PIL11.poni", (407, 487))]
            {
                let poni = real(name);
                for split in SPLITS {
                    for unit in [Unit::QNm, Unit::QA, Unit::TwoThetaRad, Unit::RM] {
                        cases.push(Case {
                            corrections: split == Split::No,
                            ..Case::new(&poni, shape, unit, split)
                        });
                    }
                }
            }
            // Version 1, no detector named, no wavelength.
            for (name, shape) in [("Pilatus1M.poni", (1043, 981)), ("Fairchild.poni", (500, 700))] {
                let poni = real(name);
                cases.push(Case {
                    corrections: true,
                    ..Case::new(&poni, shape, Unit::TwoThetaDeg, Split::BBox)
                });
                cases.push(Case::new(&poni, shape, Unit::RMm, Split::Full));
            }
            conform(&cases);
        }

        #[test]
        fn ranges_and_masks_of_a_real_geometry_are_pyfais() {
            conform(&ranges_and_masks(&real("PIL11.poni")));
        }

        /// Time of a matrix for 2 M pixels beside pyFAI's, on as many threads as there are; `--ignored --nocapture` shows it.
        #[test]
        #[ignore = "a measurement: run it on a machine that does nothing else"]
        fn matrix_of_a_2m_detector_takes_a_third_of_pyfais_time() {
            let poni = real("Ti64_908mm_refined.poni");
            let cases: Vec<Case> = [Split::BBox; 3]
                .map(|split| Case::new(&poni, (1679, 1475), Unit::QNm, split))
                .into_iter()
                .collect();
            let scratch = tempfile::tempdir().expect("a scratch folder");
            let list = scratch.path().join("cases.json");
            let described: Vec<_> = cases
        .iter()
        .map(|c| {
            json!({
                "poni": c.poni, "shape": [1679, 1475], "npt": c.npt, "unit": "q_nm^-1", "split": c.split.name(),
                "mask": "default", "radial_range": null, "azimuth_range": null, "corrections": false,
            })
        })
        .collect();
            std::fs::write(&list, json!(described).to_string()).expect("written");
            let times = ask_geometry(&["matrices".as_ref(), list.as_path(), scratch.path()]);
            let theirs = (0..3).map(|i| times[i].as_f64().expect("seconds")).fold(f64::INFINITY, f64::min);
            let ours = cases.iter().map(|c| c.build().3).fold(f64::INFINITY, f64::min);
            println!(
                "bbox matrix, 1679 x 1475, 1000 bins: {ours:.3} s; pyFAI's first integrate1d {theirs:.3} s"
            );
            assert!(ours * 3.0 <= theirs);
        }
    }
}

mod needs_oracle {
    use super::*;

    #[test]
    fn sectors_across_180_degrees_are_those_of_pyfai_cut_at_0() {
        let mut cases = Vec::new();
        for orientation in 1..=4 {
            let poni = tilted("Pilatus200k", &format!("{{\"orientation\": {orientation}}}"));
            // Its polygons (full splitting) on the cut at 0 count everywhere: those are compared below.
            for split in [Split::No, Split::BBox] {
                for range in [(170.0, 190.0), (100.0, 260.0), (179.5, 200.25), (-200.0, -150.0)] {
                    // pyFAI wants limits that it does not have to bring into 0 … 360.
                    let (azimuth_range, chi_at_zero) = (Some(range), true);
                    cases.push(Case {
                        azimuth_range,
                        chi_at_zero,
                        ..Case::new(&poni, (407, 487), Unit::TwoThetaDeg, split)
                    });
                }
            }
        }
        conform(&cases);
    }

    #[test]
    fn matrices_of_a_tilted_detector_are_pyfais_in_every_orientation() {
        let mut cases = Vec::new();
        for orientation in 1..=4 {
            let poni = tilted("PilatusCdTe300k", &format!("{{\"orientation\": {orientation}}}"));
            for split in SPLITS {
                for unit in [Unit::QNm, Unit::TwoThetaDeg, Unit::RMm] {
                    let case = Case::new(&poni, (619, 487), unit, split);
                    cases.push(Case { corrections: split == Split::No && unit == Unit::QNm, ..case });
                }
                let sector = Case::new(&poni, (619, 487), Unit::TwoThetaDeg, split);
                cases.push(Case { azimuth_range: Some((-60.0, 95.5)), ..sector });
            }
        }
        conform(&cases);
    }

    #[test]
    fn matrices_of_every_unit_are_pyfais() {
        let eiger = tilted("Eiger2CdTe_500k", "{}");
        let plain = tilted(
            "Detector",
            "{\"pixel1\": 0.0003, \"pixel2\": 0.0002, \"max_shape\": [231, 317], \"orientation\": 4}",
        );
        let mut cases = Vec::new();
        for unit in Unit::ALL {
            for split in SPLITS {
                cases.push(Case { npt: 300, ..Case::new(&plain, (231, 317), unit, split) });
            }
            let split = if unit.positive() { Split::BBox } else { Split::Full };
            cases.push(Case::new(&eiger, (512, 1028), unit, split));
        }
        conform(&cases);
    }

    #[test]
    fn ranges_and_masks_are_pyfais() {
        conform(&ranges_and_masks(&tilted("Pilatus200k", "{}")));
    }
}
