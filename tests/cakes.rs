//! Bins of two axes, azimuthal × radial: matrices equal to pyFAI's, true to their own rules, and an engine that gives the same bits
//! with any number of bins.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;
use xrdct::codec::byte_offset::{Simd, encode};
use xrdct::frame::{Codec, Encoding, Frame, FrameHeader, FrameId, Pattern, PixelType, SlotPool};
use xrdct::geometry::mask::Mask;
use xrdct::geometry::poni::Poni;
use xrdct::geometry::units::Unit;
use xrdct::integrate::axis::{Axis, Bins};
use xrdct::integrate::csr::Csr;
use xrdct::integrate::engine::{Engine, Recipe, Saturation, Scratch, Tuning};
use xrdct::integrate::reduction::{ErrorModel, Reduction};
use xrdct::integrate::split::{MatrixRequest, Split, SplitError, build};

use crate::geometry::ask_geometry;
use crate::integrate::{SPLITS, detector_of, request};
use crate::support::{ask_oracle, data, side_by_side, write_small_scan, xrdct};

/// One request, for both programs.
#[derive(Clone)]
struct Case {
    poni: String,
    npt: usize,
    npt_azim: usize,
    unit: Unit,
    split: Split,
    is_masked: bool,
    radial_range: Option<(f64, f64)>,
    azimuth_range: Option<(f64, f64)>,
    chi_at_zero: bool,
    /// Whether pyFAI is told to cut χ at 0; it must be for a sector across 180°.
    theirs_at_zero: bool,
}

impl Case {
    fn new(poni: impl Into<String>, unit: Unit, split: Split) -> Case {
        Case {
            poni: poni.into(),
            npt: 50,
            npt_azim: 36,
            unit,
            split,
            is_masked: false,
            radial_range: None,
            azimuth_range: None,
            chi_at_zero: false,
            theirs_at_zero: false,
        }
    }

    fn poni(&self) -> Poni {
        Poni::parse(&self.poni, "test.poni").expect("a PONI")
    }

    /// Every pixel whose number is divisible by 7, and some whole rows.
    fn mask(&self) -> Option<Mask> {
        let shape = self.poni().detector.shape.expect("a size");
        let masked = || (0..shape.pixels()).map(|i| i % 7 == 0 || i < 5 * shape.fast).collect();
        self.is_masked.then(|| Mask { shape, masked: masked() })
    }

    fn build(&self) -> Bins {
        let (poni, mask) = (self.poni(), self.mask());
        let plain = request(&poni, self.npt, self.unit, self.split);
        build(&MatrixRequest {
            npt_azim: Some(self.npt_azim),
            mask: mask.as_ref(),
            radial_range: self.radial_range,
            azimuth_range: self.azimuth_range,
            chi_at_zero: self.chi_at_zero,
            ..plain
        })
        .expect("a matrix")
    }

    fn describe(&self) -> String {
        format!(
            "{} {} {} x {}, radial {:?}, azimuth {:?}, at zero {}, mask {}, o{}",
            self.unit,
            self.split,
            self.npt_azim,
            self.npt,
            self.radial_range,
            self.azimuth_range,
            self.chi_at_zero,
            self.is_masked,
            self.poni.split_once("orientation\": ").map_or("3", |(_, rest)| &rest[..1])
        )
    }
}

fn array<const N: usize, T>(folder: &Path, name: &str, from: fn([u8; N]) -> T) -> Vec<T> {
    let bytes = std::fs::read(folder.join(name)).expect("the oracle wrote it");
    bytes.chunks_exact(N).map(|c| from(c.try_into().expect("a whole value"))).collect()
}

/// Asserts that axes and matrix are pyFAI's, to the last bit.
///
/// One pixel is left out where pixels are polygons: pyFAI adds the areas of its first one to memory that nobody has set, and finds
/// something else in every run.
fn compare(case: &Case, folder: &Path) {
    let name = case.describe();
    let Bins { axes, matrix } = case.build();
    let [azimuthal, radial] = &axes[..] else { panic!("{name}: {} axes", axes.len()) };
    assert_eq!(radial.centres, array(folder, "centres", f64::from_le_bytes), "{name}: radial centres");
    assert_eq!(azimuthal.centres, array(folder, "azimuthal", f64::from_le_bytes), "{name}: azimuths");
    let indptr = array(folder, "indptr", u32::from_le_bytes);
    assert!(matrix.indptr == indptr, "{name}: {} entries, pyFAI has {:?}", matrix.entries(), indptr.last());
    let indices = array(folder, "indices", u32::from_le_bytes);
    assert!(matrix.indices == indices, "{name}: pixels of the rows");
    assert!(matrix.entries() > 0, "{name}: an empty matrix proves nothing");
    let weights = array(folder, "weights", f32::from_le_bytes);
    let first = match case.split {
        Split::Full => indices.iter().copied().min(),
        Split::No | Split::BBox => None,
    };
    let both: Vec<_> = side_by_side(&matrix.weights, &weights).collect();
    let differ = side_by_side(&indices, &both)
        .filter(|(pixel, (ours, theirs))| ours != theirs && Some(**pixel) != first)
        .count();
    assert_eq!(differ, 0, "{name}: weights that differ, of {}", weights.len());
}

/// Runs pyFAI on all cases, in one process, and compares.
fn conform(cases: &[Case]) {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let mut described = Vec::new();
    for (i, case) in cases.iter().enumerate() {
        let shape = case.poni().detector.shape.expect("a size");
        let mask = case.mask().map(|mask| {
            let path = scratch.path().join(format!("mask {i}"));
            let bytes: Vec<u8> = mask.masked.iter().map(|&m| u8::from(m)).collect();
            std::fs::write(&path, bytes).expect("written");
            path
        });
        described.push(json!({
            "poni": case.poni, "shape": [shape.slow, shape.fast], "npt": case.npt, "npt_azim": case.npt_azim,
            "unit": case.unit.name(), "split": case.split.name(), "mask": mask,
            "radial_range": case.radial_range.map(|(a, b)| [a, b]),
            "azimuth_range": case.azimuth_range.map(|(a, b)| [a, b]),
            "corrections": false, "chi_at_zero": case.theirs_at_zero,
        }));
    }
    let list = scratch.path().join("cases.json");
    std::fs::write(&list, json!(described).to_string()).expect("written");
    let times = ask_geometry(&["matrices".as_ref(), list.as_path(), scratch.path()]);
    assert_eq!(times.as_array().map(Vec::len), Some(cases.len()), "one time a case");
    for (i, case) in cases.iter().enumerate() {
        compare(case, &scratch.path().join(i.to_string()));
    }
}

/// Axes, ranges, masks and cuts, for one geometry and one way to split.
fn cases(poni: &str, split: Split) -> Vec<Case> {
    let plain = Case::new(poni, Unit::QNm, split);
    let sector = |range, theirs_at_zero| Case { azimuth_range: Some(range), theirs_at_zero, ..plain.clone() };
    let mut cases = vec![
        plain.clone(),
        Case { npt: 200, npt_azim: 360, ..plain.clone() },
        Case { npt: 1, npt_azim: 2, ..plain.clone() },
        Case { npt: 3, npt_azim: 1, ..plain.clone() },
        Case { is_masked: true, ..plain.clone() },
        Case { radial_range: Some((2.0, 9.0)), ..plain.clone() },
        Case { radial_range: Some((-1.0, 900.0)), ..plain.clone() },
        sector((-60.0, 95.5), false),
        sector((100.0, 180.0), false),
        sector((-180.0, 180.0), false),
        sector((10.0, 11.0), false),
        // Over the cut, so pyFAI's must be elsewhere.
        sector((170.0, 190.0), true),
        sector((0.0, 360.0), true),
        sector((90.5, 271.0), true),
        Case { radial_range: Some((3.0, 8.0)), is_masked: true, ..sector((-90.0, -10.0), false) },
        Case { chi_at_zero: true, ..sector((20.0, 300.0), true) },
        // Over 0, where it was asked to cut: it is cut at 180°.
        Case { chi_at_zero: true, ..sector((-30.0, 40.0), false) },
    ];
    for unit in [Unit::TwoThetaDeg, Unit::RMm, Unit::QA] {
        cases.push(Case { unit, ..plain.clone() });
    }
    // Of other units pyFAI has no quick way to corners, and rounds those of a plain detector otherwise: `conformance` has them.
    // pyFAI's sparse integrators are not told where χ is cut when pixels are boxes: without a sector they lose those above 180°. Its
    // histograms are told; these are followed, and the sector above says the same.
    if split == Split::Full {
        cases.push(Case { chi_at_zero: true, theirs_at_zero: true, ..plain.clone() });
        cases.push(Case { chi_at_zero: true, theirs_at_zero: true, unit: Unit::TwoThetaDeg, ..plain });
    }
    cases
}

mod needs_oracle {
    use super::*;

    #[test]
    fn matrices_are_pyfais_in_every_orientation() {
        let all = (1..=4).flat_map(|orientation| {
            let poni = detector_of(90, 70, orientation);
            SPLITS.map(|split| cases(&poni, split)).concat()
        });
        conform(&all.collect::<Vec<_>>());
    }
}

mod needs_data {
    use super::*;

    mod needs_oracle {
        use super::*;

        #[test]
        fn matrices_of_real_geometries_are_pyfais() {
            let real = |name: &str| std::fs::read_to_string(data(&format!("poni/{name}"))).expect("a PONI");
            let large = |split| Case {
                npt: 1000,
                npt_azim: 360,
                ..Case::new(real("Ti64_908mm_refined.poni"), Unit::QNm, split)
            };
            let beside = SPLITS.map(|split| Case::new(real("PIL5.poni"), Unit::TwoThetaRad, split));
            conform(&[SPLITS.map(large), beside].concat());
        }
    }
}

/// Bins of one and of two axes for the same pixels.
fn both(request: MatrixRequest, npt_azim: usize) -> Result<(Bins, Bins), SplitError> {
    Ok((build(&request)?, build(&MatrixRequest { npt_azim: Some(npt_azim), ..request })?))
}

/// Share of each pixel in each radial bin, whatever the azimuth: one entry a (bin, pixel), sorted.
fn by_radius(matrix: &Csr, npt: usize) -> Vec<(usize, u32, f64)> {
    let mut entries: Vec<(usize, u32, f64)> = Vec::new();
    for bin in 0..matrix.bins() {
        let (pixels, weights) = matrix.row(bin);
        entries.extend(side_by_side(pixels, weights).map(|(p, w)| (bin % npt, *p, f64::from(*w))));
    }
    entries.sort_by_key(|(bin, pixel, _)| (*bin, *pixel));
    entries.dedup_by(|next, kept| {
        let is_same = (next.0, next.1) == (kept.0, kept.1);
        if is_same {
            kept.2 += next.2;
        }
        is_same
    });
    entries
}

#[derive(Debug, Clone)]
struct Any {
    poni: Poni,
    npt: usize,
    npt_azim: usize,
    split: Split,
}

fn any() -> impl Strategy<Value = Any> {
    let geometry =
        (0.05_f64..1.0, -0.05_f64..0.1, -0.05_f64..0.1, -1.0_f64..1.0, -1.0_f64..1.0, -3.2_f64..3.2);
    let image = (2_usize..40, 2_usize..40, 1_u8..=4);
    let bins = (1_usize..200, 1_usize..100, 0_usize..3);
    (geometry, image, bins).prop_map(
        |((distance, poni1, poni2, rot1, rot2, rot3), (slow, fast, o), (npt, npt_azim, s))| {
            let poni = Poni::parse(&detector_of(slow, fast, o), "any.poni").expect("a PONI");
            let poni = Poni { distance, poni1, poni2, rot1, rot2, rot3, ..poni };
            Any { poni, npt, npt_azim, split: SPLITS[s] }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn azimuths_together_are_the_powder_pattern(any in any(), chi_at_zero in proptest::bool::ANY) {
        // Polygons on the cut lose the part beyond it, so theirs are others.
        let split = if any.split == Split::Full { Split::BBox } else { any.split };
        let request = MatrixRequest { chi_at_zero, ..request(&any.poni, any.npt, Unit::QNm, split) };
        let (one, two) = both(request, any.npt_azim).expect("matrices");
        prop_assert_eq!(two.axes.len(), 2);
        prop_assert_eq!(&two.axes[1], &one.axes[0]);
        prop_assert_eq!(two.axes[0].npt(), any.npt_azim);
        prop_assert_eq!(two.matrix.bins(), any.npt * any.npt_azim);
        let (one, two) = (by_radius(&one.matrix, any.npt), by_radius(&two.matrix, any.npt));
        prop_assert_eq!(one.len(), two.len());
        for ((bin, pixel, share), other) in one.into_iter().zip(two) {
            prop_assert_eq!((bin, pixel), (other.0, other.1));
            prop_assert!((share - other.2).abs() < 1e-5, "pixel {} in bin {}: {} and {}", pixel, bin, share, other.2);
        }
    }

    #[test]
    fn matrix_is_the_same_for_every_number_of_threads(any in any()) {
        let request = MatrixRequest {
            npt_azim: Some(any.npt_azim),
            ..request(&any.poni, any.npt, Unit::QNm, any.split)
        };
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| build(&request))
        };
        let one = with(1);
        if let Ok(Bins { matrix, .. }) = &one {
            prop_assert!(matrix.weights.iter().all(|weight| weight.is_finite()));
            for bin in 0..matrix.bins() {
                prop_assert!(matrix.row(bin).0.is_sorted_by(|a, b| a < b), "pixels ascend, none twice");
            }
        }
        prop_assert_eq!(&with(2), &one);
        prop_assert_eq!(&with(7), &one);
    }

    #[test]
    fn sectors_are_whole_wherever_they_lie(any in any(), from in -720.0_f64..720.0, width in 1.0_f64..360.0) {
        let request = MatrixRequest {
            npt_azim: Some(any.npt_azim),
            azimuth_range: Some((from, from + width)),
            ..request(&any.poni, any.npt, Unit::QNm, Split::No)
        };
        let Bins { axes, matrix } = build(&request).expect("a matrix");
        let Axis { lower, highest, .. } = axes[0];
        prop_assert!((highest - lower - width.to_radians()).abs() < 1e-9, "{} to {}", lower, highest);
        // Every pixel whose centre is well within is in the bin of its azimuth.
        let chi = xrdct::geometry::position::azimuthal(&any.poni, request.shape).expect("a grid");
        let bin_of = |pixel: usize| {
            let turned = (chi[pixel] - from.to_radians()).rem_euclid(std::f64::consts::TAU);
            turned / width.to_radians() * any.npt_azim as f64
        };
        let mut found = vec![None; chi.len()];
        for bin in 0..matrix.bins() {
            matrix.row(bin).0.iter().for_each(|pixel| found[*pixel as usize] = Some(bin / any.npt));
        }
        for (pixel, found) in found.into_iter().enumerate() {
            let place = bin_of(pixel);
            let is_clear = (place - place.round()).abs() > 1e-4;
            if is_clear && place < any.npt_azim as f64 {
                prop_assert_eq!(found, Some(place as usize), "pixel {} at {}", pixel, place);
            }
        }
    }
}

#[test]
fn impossible_bins_are_refused_with_the_reason() {
    let poni = Poni::parse(&detector_of(20, 30, 3), "bad.poni").expect("a PONI");
    let good = MatrixRequest { npt_azim: Some(36), ..request(&poni, 10, Unit::QNm, Split::BBox) };
    let refused = |request: MatrixRequest| build(&request).expect_err("refused");
    assert_eq!(refused(MatrixRequest { npt_azim: Some(0), ..good }), SplitError::NoBins);
    let many = MatrixRequest { npt: 1 << 17, npt_azim: Some(1 << 17), ..good };
    assert!(matches!(refused(many), SplitError::TooLarge { .. }));
    for range in [(0.0, 361.0), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
        let error = refused(MatrixRequest { azimuth_range: Some(range), ..good });
        assert!(matches!(error, SplitError::AzimuthRange(..)), "{error}");
    }
}

fn frame(id: usize, counts: &[i32], encoding: Encoding) -> Frame {
    let bytes = encode(counts);
    let mut slot = SlotPool::on_host(1, bytes.len()).take();
    slot.memory_mut().bytes_mut().copy_from_slice(&bytes);
    Frame {
        id: FrameId(id),
        origin: Path::new("made").into(),
        encoding,
        slot: Arc::new(slot),
        payload: 0..bytes.len(),
        header: FrameHeader::default(),
        factor: 1.0,
    }
}

fn bits(pattern: &Pattern) -> (Vec<u32>, Vec<u64>, Vec<u64>) {
    let doubles = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect();
    (
        pattern.intensity.iter().map(|value| value.to_bits()).collect(),
        doubles(&pattern.signal),
        doubles(&pattern.norms.normalization),
    )
}

/// More bins than pixels, most of them empty, and a group of frames: every arrangement gives the bits of the plain product.
#[test]
fn many_bins_have_the_same_bits_in_every_arrangement() {
    let poni = Poni::parse(&detector_of(90, 70, 3), "cake.poni").expect("a PONI");
    for (split, errors) in [(Split::BBox, ErrorModel::None), (Split::Full, ErrorModel::Poisson)] {
        let plain = request(&poni, 100, Unit::QNm, split);
        let Bins { matrix, .. } = build(&MatrixRequest { npt_azim: Some(360), ..plain }).expect("a matrix");
        let encoding = Encoding { codec: Codec::ByteOffset, pixel: PixelType::I32, shape: plain.shape };
        let counts = |id: usize| -> Vec<i32> {
            (0..plain.shape.pixels()).map(|pixel| ((pixel * 7919 + id * 104_729) % 70_001) as i32).collect()
        };
        let frames: Vec<Frame> = (0..8).map(|id| frame(id, &counts(id), encoding)).collect();
        let recipe = Recipe {
            csr: matrix.clone(),
            normalization: (0..plain.shape.pixels()).map(|pixel| 0.5 + (pixel % 97) as f32 / 64.0).collect(),
            dark: None,
            dummy: None,
            saturation: Saturation::default(),
            reduction: Reduction::mean(errors),
            empty: 0.0,
            shape: plain.shape,
            pixel: PixelType::I32,
        };
        let signal = |id: usize| -> Vec<f64> {
            let counts = counts(id);
            let row = |bin| {
                let (pixels, weights) = matrix.row(bin);
                side_by_side(pixels, weights)
                    .fold(0.0, |sum, (p, w)| sum + f64::from(*w) * f64::from(counts[*p as usize] as f32))
            };
            (0..matrix.bins()).map(row).collect()
        };
        let mut expected = None;
        for simd in [Simd::Scalar, Simd::Avx2, Simd::Avx512] {
            let fused = usize::MAX;
            let arrangements = [
                (4096, 8, fused),
                (256, 8, fused),
                (65_536, 3, fused),
                (1024, 1, fused),
                (4096, 8, 0),
                (4096, 3, 0),
                (4096, 1, 0),
            ];
            for (tile_pixels, together, many_bins) in arrangements {
                let tuning = Tuning { simd, tile_pixels, many_bins };
                let engine = Engine::with_tuning(recipe.clone(), tuning).expect("fits");
                let mut scratch = Scratch::default();
                let outcomes = frames.chunks(together).flat_map(|some| engine.integrate(some, &mut scratch));
                let found: Vec<_> = outcomes.map(|outcome| bits(&outcome.expect("a pattern"))).collect();
                let expected = expected.get_or_insert_with(|| {
                    for (id, (_, sums, _)) in found.iter().enumerate() {
                        let plain: Vec<u64> = signal(id).iter().map(|sum| sum.to_bits()).collect();
                        assert!(*sums == plain, "{split}: frame {id} is not the plain product");
                    }
                    found.clone()
                });
                assert!(found == *expected, "{split}, {tuning:?}, {together} together");
            }
        }
    }
}

/// What the program is told of a small scan.
const SMALL: [&str; 8] = ["integrate", "--poni", "small.poni", "--npt", "40", "--npt-azim", "12", "scan"];

fn small_scan(frames: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    write_small_scan(folder.path(), frames);
    folder
}

#[test]
fn what_two_axes_do_not_go_with_is_refused() {
    let folder = small_scan(2);
    let refused = |more: &[&str], word: &str| {
        let done = xrdct(folder.path(), &[&SMALL[..], &["-o", "out.h5"], more].concat());
        assert_eq!(done.code, 2, "{more:?}: {}", done.stderr);
        assert!(done.stderr.contains(word), "{more:?}: {}", done.stderr);
    };
    refused(&["--device", "cuda"], "bins of two axes (--npt-azim) are not done on a GPU yet");
    refused(&["--tomo", "tomo.h5"], "leave --npt-azim out");
    refused(&["--npt-azim", "0"], "");
    let one = ["integrate", "--poni", "small.poni", "--chi-discontinuity-at-0", "scan", "-o", "out.h5"];
    let done = xrdct(folder.path(), &one);
    assert!(
        done.code == 2 && done.stderr.contains("--chi-discontinuity-at-0 needs --npt-azim"),
        "{}",
        done.stderr
    );
    let done = xrdct(folder.path(), &[&SMALL[..], &["-o", "out.h5"]].concat());
    assert_eq!(done.code, 0, "{}", done.stderr);
    let info = xrdct(folder.path(), &["info", "out.h5"]);
    assert!(
        info.code == 0 && info.stdout.contains("2 x 12 x 40 (frames x azimuthal x radial bins)"),
        "{}",
        info.stdout
    );
}

mod program {
    use super::*;

    mod needs_oracle {
        use super::*;

        #[test]
        fn the_same_bits_for_every_crew_and_in_parts() {
            let folder = small_scan(12);
            let run = |name: &str, more: &[&str]| {
                let output = ["--sums", "--error-model", "poisson", "-o", name];
                let done = xrdct(folder.path(), &[&SMALL[..], &output, more].concat());
                assert_eq!(done.code, 0, "{name}: {}", done.stderr);
                folder.path().join(name)
            };
            let map = ["--slow", "3", "--fast", "4"];
            let mut files = vec![run("whole.h5", &map)];
            files.push(run("one.h5", &[&map[..], &["--strategy", "sequential"]].concat()));
            files.push(run("two.h5", &[&map[..], &["--strategy", "pool", "--threads", "2"]].concat()));
            for part in ["1", "2", "3"] {
                run(&format!("part{part}.h5"), &[&map[..], &["--part", &format!("{part}/3")]].concat());
            }
            let merge = ["merge", "part1.h5", "part2.h5", "part3.h5", "-o", "merged.h5"];
            let done = xrdct(folder.path(), &merge);
            assert_eq!(done.code, 0, "{}", done.stderr);
            files.push(folder.path().join("merged.h5"));
            files.push(run("whole.h5", &[&map[..], &["--resume"]].concat()));
            let paths: Vec<&Path> = files.iter().map(|file| file.as_path()).collect();
            assert_eq!(ask_oracle("same_bits.py", &paths).trim(), "5 files hold the same bits");
        }
    }
}
