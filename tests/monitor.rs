//! Frames that are divided by their own monitor: wherever it comes from, the formula is one, what is missing is a bad frame, and parts and runs that
//! go on find the same.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use xrdct::codec::byte_offset;
use xrdct::frame::FrameStatus;
use xrdct::output::result::{Patterns, ResultInfo};

use crate::config::saved;
use crate::support::images::edf;
use crate::support::{Done, SMALL, SMALL_PONI, cbf_bytes, small_pixels, xrdct};

const FRAMES: usize = 12;

/// What stands in the headers: a flux that the detector's own key has, and a diode that a beamline writes; of frame 3 it is 0, of frame 5 it is
/// missing.
fn flux(frame: usize) -> f64 {
    1e3 + 125.0 * frame as f64
}

fn diode(frame: usize) -> Option<f64> {
    match frame {
        3 => Some(0.0),
        5 => None,
        _ => Some(0.5 + frame as f64),
    }
}

fn scan() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::create_dir(at.join("scan")).unwrap();
    for frame in 0..FRAMES {
        let packed = byte_offset::encode(&small_pixels(frame));
        let diode = diode(frame).map_or_else(String::new, |value| format!("# I0 {value} counts\r\n"));
        let said = format!("# Flux {} ph/s\r\n{diode}# Exposure_time", flux(frame));
        let bytes = cbf_bytes(&packed, SMALL, frame, |header| header.replace("# Exposure_time", &said));
        fs::write(at.join(format!("scan/small_{frame:05}.cbf")), bytes).unwrap();
    }
    fs::write(at.join("small.poni"), SMALL_PONI).unwrap();
    let rows =
        (0..FRAMES).map(|n| format!("{n},{},{}\n", diode(n).map_or(String::new(), |v| v.to_string()), n % 2));
    fs::write(at.join("table.csv"), format!("frame,diode,other\n{}", rows.collect::<String>())).unwrap();
    let file = hdf5::File::create(at.join("counters.h5")).unwrap();
    let values: Vec<f64> = (0..FRAMES).map(|n| diode(n).unwrap_or(f64::NAN)).collect();
    file.new_dataset_builder().with_data(&values).create("diode").unwrap();
    file.new_dataset_builder().with_data(&[2.5_f32]).create("one").unwrap();
    folder
}

#[track_caller]
fn run(folder: &Path, options: &[&str], output: &str) -> Done {
    let words = ["integrate", "scan", "-p", "small.poni", "-c", "40", "--device", "cpu", "-q", "-o", output];
    xrdct(folder, &[&words[..], options].concat())
}

#[track_caller]
fn good(folder: &Path, options: &[&str], output: &str, bad: usize) {
    let done = run(folder, options, output);
    assert_eq!(done.code, if bad > 0 { 10 } else { 0 }, "{options:?}: {}", done.stderr);
    let info = ResultInfo::open(&folder.join(output)).unwrap();
    assert_eq!(info.count(FrameStatus::NoMonitor), bad, "{options:?}: {:?}", info.statuses);
}

fn floats(file: &Path, name: &str) -> Vec<f64> {
    let file = hdf5::File::open(file).unwrap();
    file.dataset(&format!("entry_0000/xrdct/{name}")).unwrap().read_raw().unwrap()
}

/// What a file should hold whose frames, of those of `plain.h5`, were divided by these.
#[track_caller]
fn is_divided(at: &Path, output: &str, factors: &[Option<f64>], frames: impl Iterator<Item = usize> + Clone) {
    let npt = 40;
    let all = at.join("plain.h5");
    let (signal, variance) = (floats(&all, "sums/signal"), floats(&all, "sums/variance"));
    // One set of norms: (N, N2, C) of each bin.
    let norms = hdf5::File::open(&all).unwrap().dataset("entry_0000/xrdct/sums/norms").unwrap();
    let norms = norms.read_2d::<Norms>().unwrap();
    let file = at.join(output);
    let parts = ["intensity", "errors", "std"].map(|name| floats(&file, &format!("result/{name}")));
    let kept = floats(&file, "input/normalization_factor");
    for (row, (frame, factor)) in frames.clone().zip(factors).enumerate() {
        for bin in 0..npt {
            let at = frame * npt + bin;
            let Norms { normalization, normalization_squared, .. } = norms[(1, bin)];
            let expected = match factor {
                None => [f64::NAN; 3],
                Some(_) if normalization_squared == 0.0 => [0.0; 3],
                Some(factor) => [
                    signal[at] / (normalization * factor),
                    variance[at].sqrt() / (normalization * factor),
                    (variance[at] / normalization_squared).sqrt() / factor,
                ],
            };
            for (part, expected) in parts.iter().zip(expected) {
                let found = part[row * npt + bin];
                let same = found as f32 == expected as f32 || found.is_nan() && expected.is_nan();
                assert!(same, "{output}, frame {frame}, bin {bin}: {found}, not {expected}");
            }
        }
        let same = factor.map_or(kept[row].is_nan(), |factor| kept[row] == factor);
        assert!(same, "{output}, frame {frame}: {} is kept, not {factor:?}", kept[row]);
    }
    assert_eq!(kept.len(), frames.count());
}

#[derive(hdf5::H5Type, Clone, Copy)]
#[repr(C)]
struct Norms {
    normalization: f64,
    normalization_squared: f64,
    count: f64,
}

#[test]
fn each_frame_is_divided_by_its_own() {
    let folder = scan();
    let at = folder.path();
    let plain = ["--sums", "--error-model", "poisson"];
    good(at, &plain, "plain.h5", 0);
    let all = || 0..FRAMES;
    let fluxes: Vec<Option<f64>> = all().map(|n| Some(flux(n))).collect();
    let diodes: Vec<Option<f64>> = all().map(|n| diode(n).filter(|value| *value > 0.0)).collect();
    for (monitor, factors, bad) in [
        ("flux", &fluxes, 0),
        ("Flux", &fluxes, 0),
        ("I0", &diodes, 2),
        ("table.csv::diode", &diodes, 2),
        ("table.csv::2", &diodes, 2),
        ("counters.h5::/diode", &diodes, 2),
    ] {
        let name = format!("{}.h5", monitor.replace([':', '/'], "_"));
        good(at, &[&plain[..], &["--monitor", monitor]].concat(), &name, bad);
        is_divided(at, &name, factors, all());
        // The sums are of what was counted.
        let of = |name: &str| floats(&at.join(name), "sums/signal")[..40].to_vec();
        assert_eq!(of(&name), of("plain.h5"), "{monitor}");
    }
    let messages = ResultInfo::open(&at.join("I0.h5")).unwrap().bad_frames;
    let expected = [
        "small_00003.cbf: its monitor (I0) is 0, which is not above zero",
        "small_00005.cbf: its monitor (I0) is missing",
    ];
    assert!(messages.iter().zip(expected).all(|(found, words)| found.ends_with(words)), "{messages:?}");

    // Of some frames each has its own still; and both kinds of normalisation multiply.
    for monitor in ["I0", "table.csv::diode"] {
        let some =
            [&plain[..], &["--monitor", monitor, "--offset", "1", "--frames", "::2", "--overwrite"]].concat();
        good(at, &some, "some.h5", 2);
        is_divided(
            at,
            "some.h5",
            &diodes[1..].iter().step_by(2).copied().collect::<Vec<_>>(),
            (1..FRAMES).step_by(2),
        );
    }
    good(at, &["--monitor", "flux", "--normalization", "4"], "both.h5", 0);
    let (both, flux) =
        (floats(&at.join("both.h5"), "result/intensity"), floats(&at.join("flux.h5"), "result/intensity"));
    assert!(
        both.iter().zip(&flux).all(|(both, flux)| (4.0 * both / flux - 1.0).abs() < 1e-6 || *flux == 0.0)
    );
}

#[test]
fn parts_segments_and_runs_that_go_on_have_the_same_bits() {
    let folder = scan();
    let at = folder.path();
    for monitor in ["I0", "table.csv::diode"] {
        let options =
            ["--monitor", monitor, "--error-model", "poisson", "--slow", "4", "--fast", "3", "--overwrite"];
        good(at, &options, "one.h5", 2);
        for part in ["1/3", "2/3", "3/3"] {
            let name = format!("p{}.h5", &part[..1]);
            let done = run(at, &[&options[..], &["--part", part]].concat(), &name);
            assert!([0, 10].contains(&done.code), "{part}: {}", done.stderr);
        }
        for how in [&[][..], &["--virtual"]] {
            let merged = xrdct(
                at,
                &[&["merge", "p1.h5", "p2.h5", "p3.h5", "-q", "--overwrite", "-o", "whole.h5"], how].concat(),
            );
            assert_eq!(merged.code, 10, "{}", merged.stderr);
            same(at, "one.h5", "whole.h5");
        }
        // Bad ones are tried again, and are as bad as before.
        let again = run(at, &[&options[..8], &["--resume", "--retry-bad"]].concat(), "one.h5");
        assert_eq!(again.code, 10, "{}", again.stderr);
        same(at, "one.h5", "whole.h5");
    }
    // Another monitor is another run; the same numbers of another file are not.
    fs::copy(at.join("table.csv"), at.join("moved.csv")).unwrap();
    let same_numbers = [
        "--monitor",
        "moved.csv::diode",
        "--error-model",
        "poisson",
        "--slow",
        "4",
        "--fast",
        "3",
        "--resume",
    ];
    let done = run(at, &same_numbers, "one.h5");
    assert_eq!(done.code, 10, "{}", done.stderr);
    for (monitor, words) in [
        ("flux", "monitor_of_frames: it was crc32:"),
        ("table.csv::other", "monitor_of_frames: it holds other values than before"),
    ] {
        let other = run(at, &[&["--monitor", monitor], &same_numbers[2..]].concat(), "one.h5");
        assert!(
            other.code == 5 && other.stderr.contains(words),
            "{monitor}: {} {}",
            other.code,
            other.stderr
        );
    }
}

#[track_caller]
fn same(at: &Path, one: &str, other: &str) {
    for name in [
        "result/intensity",
        "result/errors",
        "result/std",
        "input/normalization_factor",
        "input/flux",
        "row_crc",
    ] {
        let of = |file: &str| floats(&at.join(file), name).into_iter().map(f64::to_bits).collect::<Vec<_>>();
        assert_eq!(of(one), of(other), "{name}");
    }
    let of = |file: &str| Patterns::open(&at.join(file)).unwrap().good;
    assert_eq!(of(one), of(other));
}

#[test]
fn what_is_no_monitor_is_refused_with_what_there_is() {
    let folder = scan();
    let at = folder.path();
    fs::write(at.join("short.csv"), "diode\n1\n2\n").unwrap();
    for (monitor, code, words) in [
        (
            "I1",
            2,
            "small_00000.cbf has no such number in its header; it has exposure_time, start_angle, flux",
        ),
        ("table.csv", 4, "it has 3 columns (frame, diode, other); which one?"),
        ("table.csv::no", 4, "it has no column `no`; it has frame, diode, other"),
        ("short.csv", 4, "it has 2 values, and there are 12 frames"),
        ("counters.h5", 4, "which dataset of it?"),
        ("counters.h5::one", 4, "it has 1 values, and there are 12 frames"),
        ("counters.h5::/none", 4, "none"),
        ("nothing.csv::a", 4, "nothing.csv"),
    ] {
        let done = run(at, &["--monitor", monitor], "no.h5");
        assert!(done.code == code && done.stderr.contains(words), "{monitor}: {} {}", done.code, done.stderr);
        assert!(!at.join("no.h5").exists(), "{monitor}");
    }
    // Not one frame that can be divided is no run at all.
    fs::write(at.join("zeros.csv"), "0\n".repeat(FRAMES)).unwrap();
    let done = run(at, &["--monitor", "zeros.csv"], "no.h5");
    let words = "not one of 12 frames gave a pattern: each is to be divided by its monitor";
    assert!(done.code == 4 && done.stderr.contains(words), "{} {}", done.code, done.stderr);
}

#[test]
fn a_tomogram_is_not_divided_once_more() {
    let folder = scan();
    let at = folder.path();
    good(at, &["--monitor", "flux", "--slow", "3", "--fast", "4"], "divided.h5", 0);
    let scan = ["--rotation", "0:120:3", "--translation", "0:3:4", "--device", "cpu", "-o", "tomo.h5"];
    let done = xrdct(at, &[&["tomo", "divided.h5", "--monitor", "flux"], &scan[..]].concat());
    assert!(done.code == 2 && done.stderr.contains("it is not done twice"), "{} {}", done.code, done.stderr);
    good(at, &["--slow", "3", "--fast", "4"], "plain.h5", 0);
    for (monitor, words) in
        [("table.csv", "which one?"), ("table.csv::diode", "a good frame has the value 0")]
    {
        let done = xrdct(at, &[&["tomo", "plain.h5", "--monitor", monitor], &scan[..]].concat());
        assert!(done.code == 2 && done.stderr.contains(words), "{monitor}: {} {}", done.code, done.stderr);
    }
}

#[test]
fn a_monitor_goes_to_pyfais_key_and_comes_back() {
    let folder = scan();
    let at = folder.path();
    let plain = saved(&folder, &[]);
    assert_eq!(plain["monitor_name"], Value::Null);
    let by_header = saved(&folder, &["--monitor", "flux"]);
    assert_eq!((&by_header["monitor_name"], &by_header["xrdct"]["monitor"]), (&json!("flux"), &Value::Null));
    let by_table = saved(&folder, &["--monitor", "table.csv::diode"]);
    let name = at.canonicalize().unwrap().join("table.csv::diode");
    assert_eq!(
        (&by_table["monitor_name"], &by_table["xrdct"]["monitor"]),
        (&Value::Null, &json!(name.to_str()))
    );
    for first in [by_header, by_table] {
        fs::write(at.join("first.json"), first.to_string()).unwrap();
        assert_eq!(saved(&folder, &["--config", "first.json"]), first);
    }
}

/// EDF headers have what never changes too, and counters by pyFAI's own words.
#[test]
fn counters_of_an_edf_are_monitors() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::create_dir(at.join("scan")).unwrap();
    fs::write(at.join("small.poni"), SMALL_PONI).unwrap();
    for frame in 0..4 {
        let keys = format!("counter_mne = bmon ic ;\ncounter_pos = {} 7.5 ;\nSteady = 3 ;\n", frame + 2);
        let data: Vec<u8> = small_pixels(frame).iter().flat_map(|pixel| pixel.to_le_bytes()).collect();
        fs::write(at.join(format!("scan/{frame}.edf")), edf(&keys, "SignedInteger", SMALL, &data)).unwrap();
    }
    let plain = ["--sums", "--error-model", "poisson"];
    good(at, &plain, "plain.h5", 0);
    let counts: Vec<Option<f64>> = (0..4).map(|n| Some(f64::from(n + 2))).collect();
    for (monitor, factors) in
        [("counter/bmon", counts), ("ic", vec![Some(7.5); 4]), ("Steady", vec![Some(3.0); 4])]
    {
        good(at, &[&plain[..], &["--monitor", monitor, "--overwrite"]].concat(), "divided.h5", 0);
        is_divided(at, "divided.h5", &factors, 0..4);
    }
}

mod needs_oracle {
    use super::*;
    use crate::support::ask_oracle;

    #[test]
    fn patterns_are_pyfais_with_a_normalization_factor() {
        let folder = scan();
        let at = folder.path();
        good(
            at,
            &["--monitor", "I0", "--error-model", "poisson", "--dummy", "-2", "--delta-dummy", "1.5"],
            "divided.h5",
            2,
        );
        println!("{}", ask_oracle("monitor.py", &[at]));
    }
}
