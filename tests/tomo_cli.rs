//! `xrdct tomo`, `plot` and `report` from the outside: a simulated scan whose truth is known, whole and damaged.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::{TempDir, tempdir};

use crate::support::{ask_oracle, hear_signals, names, xrdct};

/// Lines that each phase of the phantom has to itself, q in nm⁻¹ (`region` in truth.h5).
const REGIONS: [&str; 6] =
    ["--region", "LaB6=20.77:21.99", "--region", "CeO2=19.50:20.72", "--region", "Al2O3=24.02:25.24"];

fn run(folder: &Path, arguments: &[&str]) -> String {
    let done = xrdct(folder, arguments);
    assert_eq!(done.code, 0, "{arguments:?}: {}{}", done.stdout, done.stderr);
    done.stdout
}

fn simulate(folder: &Path, options: &[&str]) {
    let scan = ["simulate", "--phantom", "--rotations", "30", "--translations", "31", "-o", "scan"];
    run(folder, &[&scan[..], options].concat());
}

fn integrate(folder: &Path, options: &[&str]) -> i32 {
    let plain = [
        "integrate",
        "--poni",
        "scan/geometry.poni",
        "--npt",
        "500",
        "-o",
        "scan.h5",
        "scan",
        "--device",
        "cpu",
    ];
    xrdct(folder, &[&plain[..], options].concat()).code
}

/// An undamaged scan, integrated: made once for all tests that only read it.
fn whole() -> &'static Path {
    static WHOLE: OnceLock<TempDir> = OnceLock::new();
    let folder = WHOLE.get_or_init(|| {
        let folder = tempdir().expect("a scratch folder");
        simulate(folder.path(), &[]);
        assert_eq!(integrate(folder.path(), &[]), 0);
        folder
    });
    folder.path()
}

/// Tomogram of the undamaged scan, under a name of its own.
fn tomogram(name: &str, options: &[&str]) -> String {
    run(whole(), &[&["tomo", "scan.h5", "--device", "cpu", "-o", name], &REGIONS[..], options].concat())
}

/// Correlations by region, and repairs, as h5py finds them.
fn read_back(folder: &Path, name: &str) -> (Vec<(String, f64)>, String) {
    let printed = ask_oracle("tomo_file.py", &[&folder.join(name), &folder.join("scan/truth.h5")]);
    let close = printed.lines().filter(|line| !line.starts_with("repair: ")).filter_map(|line| {
        let (region, value) = line.split_once(' ')?;
        Some((region.to_owned(), value.parse().expect("a number")))
    });
    (close.collect(), printed.clone())
}

#[test]
fn integration_goes_on_to_the_tomogram_that_tomo_makes() {
    tomogram("after.h5", &["--filter", "hann"]);
    let folder = tempdir().expect("a scratch folder");
    let scan = whole().join("scan");
    let (frames, poni) = (scan.display().to_string(), scan.join("geometry.poni").display().to_string());
    let options = format!("{} --filter hann", REGIONS.join(" "));
    let common = ["integrate", "--poni", &poni, "--npt", "500", "--device", "cpu", &frames];
    let values = |path: &Path| {
        let tomo = xrdct::output::tomogram::Tomogram::open(path).expect("opens");
        let mut values: Vec<f32> =
            (0..tomo.layout.bins()).flat_map(|bin| tomo.slice(bin).expect("a slice")).collect();
        (0..3).for_each(|region| values.extend(tomo.region(region).expect("a region").sinogram));
        values.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    let expected = values(&whole().join("after.h5"));
    // Rows in the order of frames, as a map, and read back where memory is short.
    for (n, more) in [&[][..], &["--slow", "30", "--fast", "31"], &["--threads", "1"]].into_iter().enumerate()
    {
        let memory = if n == 2 { " --memory 1M" } else { "" };
        let (result, tomo, options) =
            (format!("{n}.h5"), format!("tomo-{n}.h5"), format!("{options}{memory}"));
        let last = ["-o", &result, "--tomo", &tomo, "--tomo-options", &options];
        let printed = run(folder.path(), &[&common[..], more, &last].concat());
        assert!(printed.contains("filtered back-projection, hann"), "{printed}");
        assert!(values(&folder.path().join(&tomo)) == expected, "{more:?}: other slices");
    }
    let before = names(folder.path());
    for (arguments, code, words) in [
        (&["-o", "new.h5", "--tomo", "new.h5"][..], 5, "that is --output"),
        (&["-o", "new.h5", "--tomo", "tomo-0.h5"], 5, "--overwrite"),
        (&["-o", "new.h5", "--tomo", "t.h5", "--tomo-options", "--filter sharp"], 2, "'sharp'"),
        (&["-o", "new.h5", "--tomo", "t.h5", "--tomo-options", "--region 'a"], 2, "a quote is not closed"),
        (&["-o", "new.h5", "--tomo", "t.h5", "--tomo-options", "-o u.h5"], 2, "named by --tomo"),
        (&["-o", "new.h5", "--tomo-options", "--filter hann"], 2, "--tomo"),
    ] {
        let done = xrdct(folder.path(), &[&common[..], arguments].concat());
        assert!(done.code == code && done.stderr.contains(words), "{arguments:?}: {}", done.stderr);
    }
    assert_eq!(names(folder.path()), before);
}

#[test]
fn ctrl_c_is_heard_while_slices_are_made() {
    let folder = tempdir().expect("a scratch folder");
    let scan = whole().join("scan");
    // So many iterations that the slices take minutes.
    let options = format!("{} --algorithm sirt --iterations 2000 --memory 4M", REGIONS.join(" "));
    let mut run = Command::new(env!("CARGO_BIN_EXE_xrdct"));
    hear_signals(&mut run);
    let mut run = run
        .current_dir(folder.path())
        .args(["integrate", "--device", "cpu", "--npt", "500", "-o", "scan.h5", "--tomo", "tomo.h5"])
        .args(["--tomo-options", &options, "--poni"])
        .args([&scan.join("geometry.poni"), &scan])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("xrdct starts");
    let start = Instant::now();
    while !folder.path().join("tomo.h5").exists() {
        assert!(start.elapsed() < Duration::from_secs(120), "no slices were begun");
        std::thread::sleep(Duration::from_millis(20));
    }
    Command::new("kill").args(["-INT", &run.id().to_string()]).status().expect("kill runs");
    let status = run.wait().expect("it ends");
    let mut said = String::new();
    run.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(said.contains("interrupted: finishing"), "{said}");
    let done = |name: &str| {
        let file = xrdct::output::tomogram::Tomogram::open(&folder.path().join(name)).expect("opens");
        file.done.iter().filter(|done| **done).count()
    };
    assert!(done("tomo.h5") < 503, "every slice was made before Ctrl-C was sent");
}

#[test]
fn mistakes_are_named_and_nothing_is_written() {
    tomogram("there.h5", &[]);
    fs::write(whole().join("words.txt"), "no HDF5").expect("writable");
    let before = names(whole());
    let cases: [(&[&str], i32, &str); 9] = [
        (&["words.txt", "-o", "new.h5"], 3, "words.txt"),
        (&["scan.h5", "-o", "there.h5"], 5, "--overwrite"),
        (&["scan.h5", "-o", "scan.h5", "--overwrite"], 5, "the result that is read"),
        (&["scan.h5", "-o", "new.h5", "--rotations", "30"], 3, "--rotation"),
        (&["scan.h5", "-o", "new.h5", "--rotation", "nothing.csv"], 3, "start_angle"),
        (&["scan.h5", "-o", "new.h5", "--centre", "left"], 2, "--centre left"),
        (&["scan.h5", "-o", "new.h5", "--region", "a=5:4"], 2, "not below"),
        (&["scan.h5", "-o", "new.h5", "--region", "a=5000:5001"], 2, "the axis goes from"),
        (&["scan.h5", "-o", "new.h5", "--radial-range", "900", "901"], 2, "no bin"),
    ];
    for (arguments, code, words) in cases {
        let done = xrdct(whole(), &[&["tomo", "--device", "cpu"], arguments].concat());
        assert!(
            done.code == code && done.stderr.contains(words),
            "{arguments:?}: {} {}",
            done.code,
            done.stderr
        );
    }
    let dry = run(whole(), &["tomo", "scan.h5", "--device", "cpu", "--dry-run"]);
    assert!(dry.contains("30 rotations x 31 translations") && dry.contains("nothing done"), "{dry}");
    // Other tests write beside this one; none of them writes new.h5.
    assert!(!names(whole()).iter().any(|name| name == "new.h5"), "{before:?}");
}

#[test]
fn pictures_and_reports_are_whole_files() {
    tomogram("drawn.h5", &[]);
    let plots: [&[&str]; 6] = [
        &["drawn.h5", "--truth", "scan/truth.h5", "-o", "overview.svg"],
        &["drawn.h5", "tomogram", "--region", "LaB6", "-o", "slice.png", "--scale", "1"],
        &["drawn.h5", "sinogram", "--at", "24.6", "-o", "sinogram.svg", "--colormap", "inferno"],
        &["scan.h5", "-o", "patterns.svg", "--log"],
        &["scan.h5", "pattern", "--frame", "400", "-o", "pattern.svg"],
        &["drawn.h5", "pattern", "-o", "mean.svg"],
    ];
    for arguments in plots {
        run(whole(), &[&["plot"], arguments].concat());
    }
    let overview = fs::read_to_string(whole().join("overview.svg")).expect("readable");
    for words in ["LaB6: tomogram", "CeO2: truth", "correlation 0.9", "y (mm)", "Rotation (°)"] {
        assert!(overview.contains(words), "no `{words}`");
    }
    assert!(fs::read(whole().join("slice.png")).expect("readable").starts_with(b"\x89PNG"));
    let report = ["report", "scan.h5", "--tomo", "drawn.h5", "-o", "report.html"];
    run(whole(), &report);
    let page = fs::read_to_string(whole().join("report.html")).expect("readable");
    assert!(page.contains("rotation axis at step 15.0") && page.ends_with("</html>\n"));
    for words in ["930 frames in ", " frames/s", "503 slices in ", " slices/s"] {
        assert!(page.contains(words), "no `{words}` in the report");
    }
    let fetched = ["src=\"http", "href=\"http", "url(http", "<script"];
    assert!(fetched.iter().all(|link| !page.contains(link)), "the page fetches something");
    assert_eq!(xrdct(whole(), &report).code, 5, "an existing page is not replaced");
    for (arguments, code) in [
        (&["plot", "drawn.h5", "-o", "picture.gif"][..], 2),
        (&["plot", "nowhere.h5", "-o", "picture.png"], 3),
        (&["plot", "drawn.h5", "tomogram", "--region", "gold", "-o", "picture.png"], 2),
        (&["plot", "scan.h5", "tomogram", "-o", "picture.png"], 2),
    ] {
        assert_eq!(xrdct(whole(), arguments).code, code, "{arguments:?}");
    }
    assert!(!whole().join("picture.png").exists());
}

mod needs_oracle {
    use super::*;

    #[test]
    fn every_phase_is_found_by_default_attributes_alone() {
        tomogram("whole.h5", &[]);
        let (close, printed) = read_back(whole(), "whole.h5");
        assert_eq!(close.len(), 3, "{printed}");
        assert!(close.iter().all(|(_, value)| *value >= 0.97), "{printed}");
    }

    #[test]
    fn a_damaged_scan_is_repaired_and_says_so() {
        let folder = tempdir().expect("a scratch folder");
        let scan = folder.path().join("scan");
        simulate(
            folder.path(),
            &["--zigzag", "--axis-offset", "1.4", "--diameter", "0.85", "--field", "1.15"],
        );
        // Two bad frames, and the last seven points were never measured.
        for number in [333, 605] {
            let frame = scan.join(format!("frame_{number:05}.cbf"));
            let bytes = fs::read(&frame).expect("readable");
            fs::write(&frame, &bytes[..bytes.len() / 2]).expect("writable");
        }
        (924..=930).for_each(|n| fs::remove_file(scan.join(format!("frame_{n:05}.cbf"))).expect("removable"));
        // The map is laid out as if the scan had not been zig-zag.
        assert_eq!(integrate(folder.path(), &["--slow", "30", "--fast", "31"]), 10, "two bad frames");
        let by_order = ["--rotations", "30", "--translations", "31", "--rotation", "0:174:30"];
        let tomo = ["tomo", "scan.h5", "--device", "cpu", "-o", "tomo.h5"];
        let printed = run(folder.path(), &[&tomo[..], &by_order, &REGIONS].concat());
        let (close, found) = read_back(folder.path(), "tomo.h5");
        assert!(close.len() == 3 && close.iter().all(|(_, value)| *value >= 0.95), "{found}");
        for word in [
            "turned round",
            "7 points of the scan were not measured",
            "2 frames are bad",
            "9 missing or bad points",
            "rotation axis at step 16.4",
        ] {
            assert!(found.contains(word) && printed.contains(word), "no `{word}` in {found}");
        }
        // Said outright, the wrong flag is obeyed, but not in silence.
        let wrong = [&tomo[..5], &["wrong.h5", "--zigzag", "no"], &by_order, &REGIONS].concat();
        let done = xrdct(folder.path(), &wrong);
        assert!(done.code == 0 && done.stderr.contains("--zigzag looks wrong"), "{}", done.stderr);
    }

    #[test]
    fn blocks_and_resuming_do_not_change_a_bit() {
        tomogram("large.h5", &[]);
        tomogram("small.h5", &["--memory", "1M", "--threads", "1"]);
        tomogram("cut.h5", &[]);
        ask_oracle("undo_bins.py", &[&whole().join("cut.h5")]);
        let again =
            [&["tomo", "scan.h5", "--device", "cpu", "-o", "cut.h5", "--resume"], &REGIONS[..]].concat();
        run(whole(), &again);
        let images = |name: &str| {
            let tomo = xrdct::output::tomogram::Tomogram::open(&whole().join(name)).expect("opens");
            assert!(tomo.done.len() == 503 && tomo.done.iter().all(|done| *done), "{name}: {:?}", tomo.done);
            let mut values: Vec<f32> =
                (0..tomo.layout.bins()).flat_map(|bin| tomo.slice(bin).expect("a slice")).collect();
            (0..3).for_each(|region| values.extend(tomo.region(region).expect("a region").tomogram));
            values.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        let large = images("large.h5");
        assert!(large == images("small.h5"), "--memory changes the slices");
        assert!(large == images("cut.h5"), "--resume changes the slices");
        let other = xrdct(whole(), &[&again[..], &["--filter", "hann"]].concat());
        assert!(other.code == 5 && other.stderr.contains("other options"), "{}", other.stderr);
        // The options of a tomogram make the same one again.
        run(whole(), &["tomo", "scan.h5", "--device", "cpu", "--config", "large.h5", "-o", "again.h5"]);
        assert!(large == images("again.h5"), "--config");
    }
}
