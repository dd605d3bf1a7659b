//! Results that look like measurements are measurements: what cannot be one is refused, marked or counted.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use tempfile::{TempDir, tempdir};
use xrdct::codec::Pixel;
use xrdct::codec::byte_offset::encode;
use xrdct::frame::{FrameHeader, FrameId, FrameStatus, Norms, Pattern};
use xrdct::geometry::poni::Poni;
use xrdct::geometry::units::Unit;
use xrdct::output::result::{BinAxis, Ending, Layout, Patterns, Progress, ResultFile, ResultInfo};
use xrdct::output::tomogram::Tomogram;

use crate::support::{Done, SMALL, SMALL_PONI, cbf_bytes, names, small_pixels, write_small_scan, xrdct};

/// A folder with a scan of small frames of these pixels, and their geometry.
fn scan_of<T: Pixel>(frames: &[Vec<T>], edit: impl Fn(String) -> String) -> TempDir {
    let folder = tempdir().unwrap();
    write_small_scan(folder.path(), 0);
    for (number, pixels) in frames.iter().enumerate() {
        let file = folder.path().join(format!("scan/small_{number:05}.cbf"));
        fs::write(file, cbf_bytes(&encode(pixels), SMALL, number, &edit)).unwrap();
    }
    folder
}

/// Three small frames as they are.
fn three() -> Vec<Vec<i32>> {
    (0..3).map(small_pixels).collect()
}

/// An image file of small frames.
fn write_npy(path: &Path, values: &[f32]) {
    let shape = format!("({}, {})", SMALL.slow, SMALL.fast);
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    header.push_str(&" ".repeat(117 - header.len()));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    fs::write(path, bytes).unwrap();
}

fn image(edit: impl Fn(usize) -> f32) -> Vec<f32> {
    (0..SMALL.pixels()).map(edit).collect()
}

const INTEGRATE: [&str; 8] = ["integrate", "--device", "cpu", "--poni", "small.poni", "scan", "--npt", "50"];

fn integrate(folder: &Path, output: &str, options: &[&str]) -> Done {
    xrdct(folder, &[&INTEGRATE[..], &["-o", output], options].concat())
}

/// Every intensity of a result, as bits.
fn intensities(file: &Path) -> Vec<u32> {
    let patterns = Patterns::open(file).unwrap();
    patterns.read(0..patterns.npt()).unwrap().into_iter().map(f32::to_bits).collect()
}

/// A run that must be refused before anything is written.
#[track_caller]
fn refused(folder: &Path, options: &[&str], code: i32, words: &[&str]) {
    let before = names(folder);
    let done = integrate(folder, "refused.h5", options);
    assert_eq!(done.code, code, "{options:?}: {}{}", done.stdout, done.stderr);
    for word in words {
        assert!(done.stderr.contains(word), "{options:?}: no `{word}` in {}", done.stderr);
    }
    assert_eq!(names(folder), before, "{options:?} left something");
}

#[test]
fn a_frame_without_a_valid_pixel_is_bad() {
    let mut frames = three();
    frames[1] = vec![-2; SMALL.pixels()];
    let folder = scan_of(&frames, |header| header);
    let options = ["--dummy", "-2", "--delta-dummy", "1.5"];
    let done = integrate(folder.path(), "result.h5", &options);
    assert_eq!(done.code, 10, "{}", done.stderr);
    assert!(done.stdout.contains("1: 1 no_pixels (rows of NaN"), "{}", done.stdout);
    let info = ResultInfo::open(&folder.path().join("result.h5")).unwrap();
    assert_eq!(info.progress, Progress::Complete);
    assert_eq!(info.statuses, [(FrameStatus::Good, 2), (FrameStatus::NoPixels, 1)]);
    assert!(info.bad_frames[0].contains("small_00001.cbf: no valid pixel"), "{:?}", info.bad_frames);
    let patterns = Patterns::open(&folder.path().join("result.h5")).unwrap();
    let rows = patterns.read(0..50).unwrap();
    let is_number = |row: usize| rows[row * 50..][..50].iter().all(|value| value.is_finite());
    assert!(is_number(0) && is_number(2) && rows[50..100].iter().all(|value| value.is_nan()));
    assert!(xrdct(folder.path(), &["info", "result.h5"]).stdout.contains("no_pixels"));
}

#[test]
fn a_frame_with_a_bin_that_is_not_finite_is_bad() {
    let mut frames: Vec<Vec<i64>> =
        three().into_iter().map(|pixels| pixels.into_iter().map(i64::from).collect()).collect();
    frames[1][1000] = 4_000_000_000_000_000_000;
    let folder = scan_of(&frames, |header| header.replace("signed 32-bit", "signed 64-bit"));
    // 4e18 / 1e-28 is beyond float32, though not what a 32-bit detector counts.
    let done = integrate(folder.path(), "result.h5", &["--normalization", "1e-28"]);
    assert_eq!(done.code, 10, "{}", done.stderr);
    let info = ResultInfo::open(&folder.path().join("result.h5")).unwrap();
    assert_eq!(info.statuses, [(FrameStatus::Good, 2), (FrameStatus::NotFinite, 1)]);
    assert!(info.bad_frames[0].contains("the intensity of bin"), "{:?}", info.bad_frames);
}

#[test]
fn a_run_of_nothing_but_dummies_is_an_error() {
    // The whole detector, off; with its own dummies, and with those that were typed.
    let folder = scan_of(&vec![vec![-1; SMALL.pixels()]; 3], |header| header);
    let own = SMALL_PONI.replace("Detector: Detector\n", "Detector: Pilatus\n");
    fs::write(folder.path().join("own.poni"), own).unwrap();
    let cases = [
        (&["--poni", "own.poni"][..], 3, "dummy -2 +- 1.5, the detector's own"),
        (&["--poni", "small.poni", "--dummy", "-1"], 4, "dummy -1 +- 0, --dummy"),
    ];
    for (n, (options, code, words)) in cases.into_iter().enumerate() {
        let output = format!("{n}.h5");
        let common = ["integrate", "--device", "cpu", "scan", "--npt", "50", "-o", &output];
        let done = xrdct(folder.path(), &[&common[..], options].concat());
        assert_eq!(done.code, code, "{}", done.stderr);
        assert!(done.stderr.contains("not one of 3 frames gave a pattern"), "{}", done.stderr);
        assert!(done.stderr.contains(words), "{}", done.stderr);
        let info = ResultInfo::open(&folder.path().join(&output)).unwrap();
        assert!(
            matches!(&info.progress, Progress::Failed(why) if why.contains(words)),
            "{:?}",
            info.progress
        );
        assert_eq!(info.statuses, [(FrameStatus::NoPixels, 3)]);
    }
}

#[test]
fn a_run_of_nothing_finite_is_an_error() {
    let folder = scan_of(&three(), |header| header);
    write_npy(&folder.path().join("dark.npy"), &image(|_| -3e38));
    let done = integrate(folder.path(), "result.h5", &["--dark", "dark.npy", "--normalization", "0.1"]);
    assert_eq!(done.code, 4, "{}", done.stderr);
    for word in ["not one of 3 frames", "not finite", "normalisation 0.1, the dark"] {
        assert!(done.stderr.contains(word), "{}", done.stderr);
    }
}

#[test]
fn a_range_beside_the_axis_names_both_and_the_slip() {
    let folder = scan_of(&three(), |header| header);
    let words =
        ["--radial-range 2 9 lies outside the axis", "from 0 to 1.241 q_A^-1", "In q_nm^-1 the axis goes"];
    refused(folder.path(), &["--unit", "q_A^-1", "--radial-range", "2", "9"], 4, &words);
    let words = ["--radial-range 0.3 8 lies outside", "2th_deg"];
    refused(folder.path(), &["--unit", "2th_rad", "--radial-range", "0.3", "8"], 4, &words);
    let words = ["--radial-range 500 900 lies outside the axis"];
    refused(folder.path(), &["--unit", "q_A^-1", "--radial-range", "500", "900"], 4, &words);
    // Beside the pixels for the most part: said, not refused.
    let done = integrate(folder.path(), "wide.h5", &["--radial-range", "1", "90"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stderr.contains("warning: --radial-range 1 90: pixels lie between"), "{}", done.stderr);
}

#[test]
fn pixels_that_flat_and_dark_cannot_correct_are_left_out_and_counted() {
    let folder = scan_of(&three(), |header| header);
    let at = |name: &str| folder.path().join(name);
    let bad = [0.0, -1.5, f32::NAN, f32::INFINITY, 1e-42];
    write_npy(&at("flat.npy"), &image(|p| if p % 7 == 3 { bad[p % 5] } else { 2.0 }));
    write_npy(&at("even.npy"), &image(|_| 2.0));
    write_npy(&at("mask.npy"), &image(|p| f32::from(u8::from(p % 7 == 3))));
    write_npy(&at("dark.npy"), &image(|p| if p % 7 == 3 { [f32::NAN, f32::INFINITY][p % 2] } else { 1.0 }));
    write_npy(&at("ones.npy"), &image(|_| 1.0));
    let count = (0..SMALL.pixels()).filter(|p| p % 7 == 3).count();
    let pairs = [
        (["--flat", "flat.npy"], ["--flat", "even.npy"], "the flat is 0, negative or not finite"),
        (["--dark", "dark.npy"], ["--dark", "ones.npy"], "the dark is not finite"),
    ];
    let range = ["--radial-range", "1", "9"];
    for (n, (options, fine, words)) in pairs.into_iter().enumerate() {
        let (options, fine) = ([&options[..], &range].concat(), [&fine[..], &range].concat());
        let (left_out, masked) = (format!("out{n}.h5"), format!("masked{n}.h5"));
        let said = format!("left out      {count} pixels of {}: {words}", SMALL.pixels());
        let dry = integrate(folder.path(), &left_out, &[&options[..], &["--dry-run"]].concat());
        assert!(dry.stdout.contains(&said), "{}", dry.stdout);
        let done = integrate(folder.path(), &left_out, &options);
        assert!(done.code == 0 && done.stdout.contains(&said), "{}{}", done.stdout, done.stderr);
        assert_eq!(integrate(folder.path(), &masked, &[&fine[..], &["--mask", "mask.npy"]].concat()).code, 0);
        assert!(
            intensities(&at(&left_out)) == intensities(&at(&masked)),
            "{words}: not as if they were masked"
        );
    }
}

#[test]
fn corrections_that_leave_nothing_or_leave_float32_are_refused() {
    let folder = scan_of(&three(), |header| header);
    for (name, value) in [("zeros.npy", 0.0), ("nans.npy", f32::NAN)] {
        write_npy(&folder.path().join(name), &image(|_| value));
        let words = ["the corrections leave no pixel", "2867 pixels of 2867: the flat"];
        refused(folder.path(), &["--flat", name], 4, &words);
        refused(folder.path(), &["--flat", name, "--dry-run"], 4, &words);
    }
    refused(folder.path(), &["--dark", "nans.npy"], 4, &["2867 pixels of 2867: the dark"]);
    for value in ["1e300", "1e-60", "1e-40"] {
        refused(folder.path(), &["--normalization", value], 2, &["--normalization", "float32"]);
    }
    for value in ["1e-35", "2e38"] {
        refused(folder.path(), &["--normalization", value], 4, &["out of float32", "row 0, column 0"]);
    }
}

/// A header whose detector stops at so many counts.
fn with_cutoff(header: String, cutoff: &str) -> String {
    header.replace("# Exposure_time", &format!("# Count_cutoff {cutoff} counts\r\n# Exposure_time"))
}

/// Three small frames, of which the second has three pixels at or above 60000 counts, one of them masked.
fn overexposed() -> Vec<Vec<i32>> {
    let mut frames = three();
    (frames[1][700], frames[1][1000], frames[1][2000]) = (60_000, 60_001, 70_000);
    frames
}

#[test]
fn saturated_pixels_are_counted_by_the_frames_own_cutoff() {
    let folder = scan_of(&overexposed(), |header| with_cutoff(header, "60000"));
    write_npy(&folder.path().join("mask.npy"), &image(|pixel| f32::from(u8::from(pixel == 700))));
    let done = integrate(folder.path(), "result.h5", &["--mask", "mask.npy"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let said =
        "saturated     2 pixels in 1 of 3 frames, at most 2 in one (frame 1), from 60000 counts; counted";
    assert!(done.stdout.contains(said), "{}", done.stdout);
    let info = ResultInfo::open(&folder.path().join("result.h5")).unwrap();
    assert_eq!(info.saturated, Some((1, 2)));
    assert!(xrdct(folder.path(), &["info", "result.h5"]).stdout.contains("2 pixels in 1 frame"));
    let dry = integrate(folder.path(), "dry.h5", &["--dry-run"]);
    assert!(dry.stdout.contains("saturation    from 60000 counts (Count_cutoff), counted"), "{}", dry.stdout);
    // Nothing is said where nothing is saturated, and nothing is claimed where nobody knows.
    let fine = scan_of(&three(), |header| with_cutoff(header, "60000"));
    let done = integrate(fine.path(), "result.h5", &[]);
    assert!(done.code == 0 && !done.stdout.contains("saturated"), "{}", done.stdout);
    assert_eq!(ResultInfo::open(&fine.path().join("result.h5")).unwrap().saturated, Some((0, 0)));
    let unknown = scan_of(&overexposed(), |header| header);
    let done = integrate(unknown.path(), "result.h5", &[]);
    assert!(done.code == 0 && !done.stdout.contains("saturated"), "{}", done.stdout);
    assert_eq!(ResultInfo::open(&unknown.path().join("result.h5")).unwrap().saturated, None);
}

#[test]
fn saturated_pixels_are_left_out_when_asked_for() {
    let folder = scan_of(&overexposed(), |header| with_cutoff(header, "60000"));
    let range = ["--radial-range", "1", "9"];
    let dummies = overexposed().into_iter().map(|mut pixels| {
        pixels.iter_mut().filter(|count| **count >= 60_000).for_each(|count| *count = -7);
        pixels
    });
    let expected = scan_of(&dummies.collect::<Vec<_>>(), |header| header);
    let done = integrate(expected.path(), "expected.h5", &[&range[..], &["--dummy", "-7"]].concat());
    assert_eq!(done.code, 0, "{}", done.stderr);
    let expected = intensities(&expected.path().join("expected.h5"));
    for (option, output) in [("header", "header.h5"), ("60000", "number.h5")] {
        let done = integrate(folder.path(), output, &[&range[..], &["--saturation", option]].concat());
        assert!(done.code == 0 && done.stdout.contains("3 pixels in 1 of 3 frames"), "{}", done.stdout);
        assert!(done.stdout.contains("from 60000 counts; left out"), "{}", done.stdout);
        assert!(
            intensities(&folder.path().join(output)) == expected,
            "{option}: not as if they were dummies"
        );
        // A result's settings make it again.
        let again = format!("again-{output}");
        let done = xrdct(folder.path(), &["integrate", "--device", "cpu", "--config", output, "-o", &again]);
        assert_eq!(done.code, 0, "{}", done.stderr);
        assert!(intensities(&folder.path().join(&again)) == expected, "{option}: --config forgets it");
    }
    let words = ["--saturation", "header"];
    for value in ["0", "-5", "nan", "some"] {
        refused(folder.path(), &[&format!("--saturation={value}")], 2, &words);
    }
    let silent = scan_of(&three(), |header| header);
    refused(
        silent.path(),
        &["--saturation", "header"],
        3,
        &["small_00000.cbf: its header has no Count_cutoff"],
    );
    // Everything saturated is nothing measured.
    let done = integrate(
        folder.path(),
        "none.h5",
        &["--saturation", "0.5", "--dummy", "-2", "--delta-dummy", "1.5"],
    );
    assert_eq!(done.code, 4, "{}", done.stderr);
    assert!(done.stderr.contains("--saturation from 0.5 counts"), "{}", done.stderr);
}

#[test]
fn a_sector_across_180_degrees_is_taken_whole() {
    let folder = scan_of(&three(), |header| header);
    let sums = |output: &str, range: [&str; 2]| {
        let options = ["--radial-range", "1", "6", "--method", "full", "--azimuth-range", range[0], range[1]];
        let done = integrate(folder.path(), output, &options);
        assert_eq!(done.code, 0, "{}", done.stderr);
        let patterns = Patterns::open(&folder.path().join(output)).unwrap();
        patterns.read(0..patterns.npt()).unwrap()
    };
    // The pixels on the cut are in both parts, so the whole is not quite their sum: it is the turned geometry's.
    let across = sums("across.h5", ["150", "215"]);
    let turned = SMALL_PONI.replace("Rot3: 0.1", &format!("Rot3: {}", 0.1 + std::f64::consts::PI));
    fs::write(folder.path().join("small.poni"), turned).unwrap();
    let expected = sums("turned.h5", ["-30", "35"]);
    assert!(across.iter().filter(|value| **value > 0.0).count() > 20, "{across:?}");
    for (bin, (found, expected)) in across.iter().zip(&expected).enumerate() {
        assert!((found - expected).abs() <= 1e-3 * expected, "bin {bin}: {found}, not {expected}");
    }
    refused(folder.path(), &["--azimuth-range", "0", "361"], 2, &["more than a whole turn"]);
    assert_eq!(integrate(folder.path(), "turn.h5", &["--azimuth-range", "0", "360"]).code, 0);
}

/// Twenty small frames, some of which hold only dummies (-7) where `is_dead` says so of frame and q in nm⁻¹.
fn small_tomography(is_dead: impl Fn(usize, f64) -> bool) -> TempDir {
    let poni = Poni::parse(SMALL_PONI, "small.poni").unwrap();
    let q = xrdct::geometry::position::radial(&poni, SMALL, Unit::QNm).unwrap();
    let frame = |number: usize| -> Vec<i32> {
        let bright = 1 + [0, 3, 9, 3, 0][number % 5];
        let count =
            |(pixel, count): (usize, i32)| if is_dead(number, q[pixel]) { -7 } else { count * bright };
        small_pixels(number).into_iter().enumerate().map(count).collect()
    };
    scan_of(&(0..20).map(frame).collect::<Vec<_>>(), |header| header)
}

/// Two bins, cut at 6 nm⁻¹, NaN where they are empty.
const TWO_BINS: [&str; 14] = [
    "integrate",
    "--device",
    "cpu",
    "--poni",
    "small.poni",
    "scan",
    "--npt",
    "2",
    "--method",
    "no",
    "--empty",
    "nan",
    "--dummy",
    "-7",
];
const RANGE: [&str; 3] = ["--radial-range", "0", "12"];
const BY_ORDER: [&str; 12] = [
    "--rotations",
    "4",
    "--translations",
    "5",
    "--rotation",
    "0:135:4",
    "--centre",
    "2",
    "--keep-spikes",
    "--region",
    "low=1:5:none",
    "--region=both=1:11:none",
];

#[test]
fn a_tomogram_of_nothing_is_an_error() {
    let folder = small_tomography(|frame, q| frame == 6 && q < 6.01 || frame == 13 && q > 5.99);
    let at = |name: &str| folder.path().join(name);
    let made = xrdct(folder.path(), &[&TWO_BINS[..], &RANGE, &["-o", "scan.h5"]].concat());
    assert_eq!(made.code, 0, "{}", made.stderr);
    let tomo = ["tomo", "scan.h5", "--device", "cpu", "-o", "tomo.h5"];
    let done = xrdct(folder.path(), &[&tomo[..], &BY_ORDER].concat());
    let options = BY_ORDER.join(" ");
    let both = ["-o", "again.h5", "--tomo", "both.h5", "--tomo-options", &options];
    let both = xrdct(folder.path(), &[&TWO_BINS[..], &RANGE, &both].concat());
    for (done, file) in [(done, "tomo.h5"), (both, "both.h5")] {
        assert_eq!(done.code, 3, "{}{}", done.stdout, done.stderr);
        assert!(
            done.stderr.contains("the tomogram is empty: every one of its 4 slices is NaN"),
            "{}",
            done.stderr
        );
        assert_eq!(Tomogram::open(&at(file)).unwrap().status, "failed");
    }
}

#[test]
fn bins_and_frames_without_numbers_are_said_and_their_slices_are_not_zero() {
    let folder = small_tomography(|frame, q| frame == 6 && q < 6.01);
    let made = xrdct(folder.path(), &[&TWO_BINS[..], &RANGE, &["-o", "scan.h5"]].concat());
    assert_eq!(made.code, 0, "{}", made.stderr);
    let tomo = ["tomo", "scan.h5", "--device", "cpu", "-o", "tomo.h5"];
    let done = xrdct(folder.path(), &[&tomo[..], &BY_ORDER].concat());
    assert_eq!(done.code, 0, "{}", done.stderr);
    for words in [
        "1 of 2 bins hold no data at some point: their sinograms and slices are NaN",
        "region low: 1 of its 1 bins hold no data at some point; its slice is NaN",
        "region both: 1 of its 2 bins hold no data at some point; its slice is of the others",
    ] {
        assert!(done.stdout.contains(words), "no `{words}` in {}", done.stdout);
    }
    let tomo = Tomogram::open(&folder.path().join("tomo.h5")).unwrap();
    let is_nan = |values: Vec<f32>| values.iter().all(|value| value.is_nan());
    assert!(is_nan(tomo.slice(0).unwrap()) && !is_nan(tomo.slice(1).unwrap()));
    let regions: Vec<bool> = (0..2).map(|n| is_nan(tomo.region(n).unwrap().tomogram)).collect();
    assert_eq!(regions, [false, true], "of both and low: {:?}", tomo.layout.regions);
}

#[test]
fn a_good_row_of_nothing_is_a_missing_frame() {
    // As other programs write a frame that they could not use: a row of NaN, and nothing that says so.
    let folder = tempdir().unwrap();
    let centres = (0..4).map(|bin| f64::from(bin) + 0.5).collect();
    let axis = BinAxis { name: "q".into(), unit: "nm^-1".into(), long_name: "q".into(), centres };
    let mut file =
        ResultFile::create(&folder.path().join("scan.h5"), &Layout::new(20, vec![axis]), false).unwrap();
    for n in 0..20 {
        let value = if n == 7 { f32::NAN } else { [1.0, 4.0, 9.0, 4.0, 1.0][n % 5] };
        file.put(Ok(Pattern {
            id: FrameId(n),
            header: FrameHeader::default(),
            intensity: vec![value; 4],
            sem: None,
            std: None,
            count: None,
            signal: vec![0.0; 4],
            variance: None,
            norms: Arc::new(Norms {
                normalization: vec![1.0; 4],
                normalization_squared: vec![1.0; 4],
                count: vec![1.0; 4],
            }),
            saturated: 0,
        }))
        .unwrap();
    }
    file.finish(&Ending::Complete).unwrap();
    let tomo = ["tomo", "scan.h5", "--device", "cpu", "-o", "tomo.h5", "--region", "all=0:4:none"];
    let done = xrdct(folder.path(), &[&tomo[..], &BY_ORDER[..9]].concat());
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stdout.contains("1 frame holds no number and counts as missing"), "{}", done.stdout);
    let tomo = Tomogram::open(&folder.path().join("tomo.h5")).unwrap();
    assert!((0..4).all(|bin| tomo.slice(bin).unwrap().iter().all(|value| value.is_finite())));
}
