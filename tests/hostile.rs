//! Files that were damaged or made to do harm: the program says so, and neither crashes, nor hangs, nor takes the machine's memory.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use xrdct::h5::child::Child;
use xrdct::h5::{File, Kind};

use crate::support::{Done, ask_oracle, names, write_small_scan, xrdct};

/// A folder with a small scan and the files of `tests/oracle/hostile.py`.
fn hostile() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a scratch folder");
    write_small_scan(folder.path(), 2);
    ask_oracle("hostile.py", &[folder.path()]);
    folder
}

fn integrate(folder: &Path, more: &[&str]) -> Done {
    let common =
        ["integrate", "--poni", "small.poni", "-o", "out.h5", "--npt", "50", "--device", "cpu", "scan"];
    xrdct(folder, &[&common, more].concat())
}

/// A run that ended with this code, all of these words in its message, and nothing written.
#[track_caller]
fn refused(folder: &Path, done: &Done, code: i32, words: &[&str]) {
    assert_eq!(done.code, code, "{}", done.stderr);
    for word in words {
        assert!(done.stderr.contains(word), "no '{word}' in: {}", done.stderr);
    }
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
    assert!(!names(folder).iter().any(|name| name.contains("out.h5")), "{:?}", names(folder));
}

/// Runs `xrdct` with at most two gigabytes of address space, so that whoever takes more dies of it.
fn limited(folder: &Path, arguments: &[&str]) -> Done {
    let started = Instant::now();
    let done = Command::new("sh")
        .current_dir(folder)
        .args(["-c", "ulimit -v 2000000; ulimit -c 0; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_xrdct")])
        .args(arguments)
        .output()
        .expect("xrdct starts");
    assert!(started.elapsed() < Duration::from_secs(60), "{arguments:?} took {:?}", started.elapsed());
    Done {
        code: done.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&done.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
    }
}

/// That a command ended by itself, whatever it said.
#[track_caller]
fn survived(folder: &Path, arguments: &[&str]) -> Done {
    let done = limited(folder, arguments);
    assert!((0..=10).contains(&done.code), "{arguments:?} ended with {}: {}", done.code, done.stderr);
    assert!(!done.stderr.contains("panicked"), "{arguments:?}: {}", done.stderr);
    assert!(done.stderr.len() < 20_000, "{arguments:?}: {} bytes of words", done.stderr.len());
    done
}

/// That a command was refused with this code and all of these words.
#[track_caller]
fn refused_within_limits(folder: &Path, arguments: &[&str], code: i32, words: &[&str]) {
    let done = survived(folder, arguments);
    assert_eq!(done.code, code, "{arguments:?}: {}", done.stderr);
    for word in words {
        assert!(done.stderr.contains(word), "{arguments:?}: no '{word}' in: {}", done.stderr);
    }
}

/// A small scan that may be integrated.
fn scan(frames: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a scratch folder");
    write_small_scan(folder.path(), frames);
    folder
}

/// Three gigabytes of zeros after `start`, in a few kilobytes: gzip members follow each other.
fn bomb(start: &[u8]) -> Vec<u8> {
    let member = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).expect("memory takes it");
        encoder.finish().expect("memory takes it")
    };
    let zeros = member(&vec![0; 64 << 20]);
    let mut bytes = member(start);
    (0..48).for_each(|_| bytes.extend(&zeros));
    bytes
}

#[test]
fn bins_and_rows_beyond_memory_are_refused_before_anything_is_made() {
    let folder = scan(6);
    let words = ["10000000 bins", "would take", "of memory", "are allowed here", "ulimit -v"];
    let command = ["integrate", "--poni", "small.poni", "-o", "out.h5", "--device", "cpu", "scan", "--npt"];
    let bins = [&command[..], &["10000000", "--error-model", "poisson"]].concat();
    refused_within_limits(folder.path(), &bins, 2, &words);
    let rows = [&command[..], &["1", "--slow", "100000", "--fast", "100000"]].concat();
    refused_within_limits(folder.path(), &rows, 2, &["10000000000 rows", "are allowed here"]);
    // Pixels of a small detector far away from it are not many, but each lies in many bins.
    let matrix = [
        &command[..],
        &["1500000", "--radial-range", "2.5", "3.5", "--strategy", "sequential", "--threads", "1"],
    ]
    .concat();
    refused_within_limits(folder.path(), &matrix, 4, &["a matrix of 1500000 bins", "are allowed here"]);
    assert_eq!(names(folder.path()), ["scan", "small.poni"]);
}

#[test]
fn images_that_unpack_to_gigabytes_are_refused() {
    let folder = scan(2);
    let at = folder.path();
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (50000, 60000), }";
    let mut npy = b"\x93NUMPY\x01\x00".to_vec();
    npy.extend((header.len() as u16).to_le_bytes());
    npy.extend(header.as_bytes());
    fs::write(at.join("bomb.npy.gz"), bomb(&npy)).expect("writable");
    let edf = "{\nDataType = UnsignedByte ;\nDim_1 = 50000 ;\nDim_2 = 60000 ;\n}\n";
    fs::write(at.join("bomb.edf.gz"), bomb(edf.as_bytes())).expect("writable");
    let inside = "{\nDataType = UnsignedByte ;\nDim_1 = 50000 ;\nDim_2 = 60000 ;\nCompression = GZIP ;\nSize = 9999999 ;\n}\n";
    fs::write(at.join("inside.edf"), [inside.as_bytes(), &bomb(b"")].concat()).expect("writable");
    let command = ["integrate", "--poni", "small.poni", "-o", "out.h5", "--device", "cpu", "scan"];
    for option in ["--mask", "--dark", "--flat"] {
        for (file, words) in [
            ("bomb.npy.gz", ["it is longer than", "61 x 47 pixels"]),
            ("bomb.edf.gz", ["it is longer than", "61 x 47 pixels"]),
            ("inside.edf", ["60000 x 50000", "61 x 47"]),
        ] {
            refused_within_limits(
                at,
                &[&command[..], &[option, file]].concat(),
                4,
                &[&[file], &words[..]].concat(),
            );
        }
    }
    assert!(!names(at).iter().any(|name| name.contains("out.h5")));
}

#[test]
fn a_frame_that_unpacks_to_gigabytes_is_a_bad_frame() {
    let folder = scan(4);
    let at = folder.path();
    let frame = fs::read(at.join("scan/small_00002.cbf")).expect("readable");
    fs::write(at.join("scan/small_00002.cbf"), bomb(&frame)).expect("writable");
    let done = survived(
        at,
        &["integrate", "--poni", "small.poni", "-o", "out.h5", "--device", "cpu", "--npt", "50", "scan"],
    );
    assert_eq!(done.code, 10, "{}", done.stderr);
    assert!(
        done.stderr.contains("small_00002.cbf") && done.stderr.contains("it unpacks to more"),
        "{}",
        done.stderr
    );
    let done = survived(at, &["convert", "scan", "-o", "stack.h5"]);
    assert_eq!(done.code, 10, "{}", done.stderr);
}

#[test]
fn what_image_headers_claim_is_refused() {
    let folder = scan(1);
    let at = folder.path();
    let tiff = |width: u32, height: u32| {
        let entry = |tag: u16, kind: u16, value: u32| {
            [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &1_u32.to_le_bytes(), &value.to_le_bytes()].concat()
        };
        let mut bytes = b"II*\x00\x08\x00\x00\x00\x08\x00".to_vec();
        for (tag, kind, value) in [
            (256, 4, width),
            (257, 4, height),
            (258, 3, 8),
            (259, 3, 1),
            (262, 3, 1),
            (273, 4, 8),
            (278, 4, height),
            (279, 4, u32::MAX),
        ] {
            bytes.extend(entry(tag, kind, value));
        }
        bytes.extend([0; 4]);
        bytes
    };
    let npy = |shape: &str| {
        let header = format!("{{'descr': '<f8', 'fortran_order': True, 'shape': {shape}, }}");
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes()].concat()
    };
    let files: [(&str, Vec<u8>); 8] = [
        ("wide.tif", tiff(u32::MAX, u32::MAX)),
        ("large.tif", tiff(60_000, 60_000)),
        ("wide.npy", npy("(18446744073709551615, 18446744073709551615)")),
        ("large.npy", npy("(4294967296, 4294967296)")),
        ("wide.edf", b"{\nDim_1 = 18446744073709551615 ;\nDim_2 = 18446744073709551615 ;\n}\n".to_vec()),
        ("size.edf", b"{\nDim_1 = 47 ;\nDim_2 = 61 ;\nSize = 18446744073709551615 ;\n}\n".to_vec()),
        ("negative.edf", b"{\nDim_1 = -1 ;\nDim_2 = 61 ;\n}\n".to_vec()),
        ("many.edf", [&b"{\n}\n"[..]; 1 << 16].concat()),
    ];
    for (name, bytes) in files {
        fs::write(at.join(name), bytes).expect("writable");
        let command =
            ["integrate", "--poni", "small.poni", "-o", "out.h5", "--device", "cpu", "scan", "--mask", name];
        refused_within_limits(at, &command, 4, &[name]);
    }
}

#[test]
fn simulations_that_no_machine_holds_are_refused() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let cases: [(&[&str], i32, &str); 24] = [
        (&["-n", "99999999999"], 2, "99999999999 frames"),
        (&["-n", "3000000"], 5, "are free there"),
        (&["-n", "18446744073709551615"], 2, "there are no numbers"),
        (&["--first", "18446744073709551615"], 2, "there are no numbers"),
        (&["--detector", "Detector", "--shape", "99999999", "99999999"], 2, "side of the detector"),
        (&["--detector", "Detector", "--shape", "900000", "900000"], 2, "900000 x 900000 pixels"),
        (&["--detector", "Detector", "--shape", "18446744073709551615", "2"], 2, "side of the detector"),
        (&["--distance", "inf"], 2, "distance"),
        (&["--distance", "1e300"], 2, "distance"),
        (&["--beam", "nan", "nan"], 2, "beam"),
        (&["--detector", "Detector", "--shape", "9", "9", "--pixel-size", "1e-300"], 2, "pixel size"),
        (&["--wavelength", "1e-300"], 2, "wavelength"),
        (&["--wavelength", "0.0005"], 2, "wavelength"),
        (&["--energy", "1e300"], 2, "wavelength"),
        (&["--peak", "inf"], 2, "peak"),
        (&["--background", "nan"], 2, "background"),
        (&["--exposure", "inf"], 2, "exposure"),
        (&["--beamstop", "inf"], 2, "beamstop"),
        (&["--bad-pixels", "18446744073709551615"], 2, "bad pixels"),
        (&["--phantom", "--rotations", "18446744073709551615"], 2, "frames"),
        (&["--phantom", "--rotations", "9000000000"], 2, "frames of"),
        (&["--phantom", "--field", "inf"], 2, "field"),
        (&["--phantom", "--diameter", "1e-310", "--field", "1e-310"], 2, "diameter"),
        (&["--phantom", "--axis-offset", "inf"], 2, "axis offset"),
    ];
    for (options, code, word) in cases {
        refused_within_limits(folder.path(), &[&["simulate", "-o", "sim"], options].concat(), code, &[word]);
    }
    assert!(names(folder.path()).is_empty());
}

#[test]
fn odd_settings_of_a_simulation_do_no_harm() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let small =
        ["simulate", "-o", "sim", "--overwrite", "-n", "1", "--detector", "Detector", "--shape", "7", "5"];
    for options in [
        &["--peak", "1e300"][..],
        &["--exposure", "1e300"],
        &["--exposure", "1e-300"],
        &["--ring", "1e-300"],
        &["--ring", "1e300:1e300"],
        &["--ring", "1e-300", "--ring-unit", "q_nm^-1"],
        &["--ring", "1e300", "--ring-unit", "2th_deg"],
        &["--beamstop", "1e300"],
        &["--beam", "1e9", "-1e9"],
        &["--distance", "1e-6"],
        &["--eta", "1", "--fwhm", "28"],
        &["--hot-pixels", "17", "--seed", "18446744073709551615"],
    ] {
        survived(folder.path(), &[&small[..], options].concat());
    }
}

#[test]
fn benches_that_no_machine_holds_are_refused() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let at = folder.path();
    for time in ["nan", "inf", "-1", "0", "1e300"] {
        refused_within_limits(at, &["bench", "table1", &format!("--row-time={time}")], 2, &["--row-time"]);
        refused_within_limits(at, &["bench", "profile", &format!("--time={time}")], 2, &["--time"]);
        refused_within_limits(at, &["bench", "tomo", &format!("--time={time}")], 2, &["--time"]);
    }
    refused_within_limits(at, &["bench", "table1", "--npt", "18446744073709551615"], 2, &["--npt"]);
    refused_within_limits(at, &["bench", "table1", "--count", "999999999999"], 5, &["999999999999 frames"]);
    let sinograms = ["bench", "tomo", "--bins", "1024", "--rotations", "1024", "--translations", "1024"];
    refused_within_limits(at, &sinograms, 2, &["1024 sinograms of 1024 x 1024", "are allowed here"]);
}

#[test]
fn a_detector_of_more_pixels_than_any_is_refused() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let poni = "Distance: 1\nPoni1: 0\nPoni2: 0\nRot1: 0\nRot2: 0\nRot3: 0\n\
                Detector: Pilatus2M\nDetector_config: {\"max_shape\": [1048576, 1048576]}\n";
    fs::write(folder.path().join("huge.poni"), poni).expect("writable");
    refused_within_limits(folder.path(), &["info", "huge.poni"], 4, &["max_shape", "billion"]);
    let deep = poni.replace("[1048576, 1048576]", &"[".repeat(1 << 20));
    fs::write(folder.path().join("deep.poni"), deep).expect("writable");
    refused_within_limits(folder.path(), &["info", "deep.poni"], 4, &["JSON"]);
    let long = poni.replace("1048576, 1048576", &vec!["1"; 1 << 20].join(", "));
    fs::write(folder.path().join("long.poni"), long).expect("writable");
    refused_within_limits(folder.path(), &["info", "long.poni"], 4, &["max_shape", "…"]);
}

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % n.max(1)
    }
}

/// Spoils one to six bytes, most of them where the file says what it is: not in pixels and not in room that nobody uses.
fn spoil(bytes: &mut [u8], random: &mut Random) {
    let words: Vec<usize> = (0..bytes.len().min(4096)).filter(|&at| bytes[at] != 0).collect();
    for _ in 0..=random.below(5) {
        let at = match random.below(8) {
            0 => random.below(bytes.len()),
            _ => (words[random.below(words.len())] + random.below(3)).min(bytes.len() - 1),
        };
        bytes[at] = match random.below(6) {
            0 => 0,
            1 => 0xff,
            2 => 0x80,
            3 => random.below(256) as u8,
            _ => bytes[at] ^ 1 << random.below(8),
        };
    }
}

/// Everything that is asked of a mask, and a little more.
fn read_all(file: &File) {
    let root = file.root();
    let _ = root.member_names();
    for place in [Ok(root.clone()), root.group("data")].into_iter().flatten() {
        let _ = (place.attribute_texts("signal"), place.attribute_numbers("signal"));
        for name in ["data", "image", "names"] {
            let Ok(dataset) = place.dataset(name) else { continue };
            let _ = dataset.read_raw::<f64>();
            if dataset.facts().kind == Kind::Text {
                let _ = dataset.read_texts();
            }
        }
    }
}

/// Tests that begin with files that h5py wrote.
mod needs_oracle {
    use super::*;

    #[test]
    fn masks_that_claim_what_no_machine_holds_are_refused() {
        let folder = hostile();
        let at = folder.path();
        for option in ["--mask", "--dark", "--flat"] {
            let command =
                ["integrate", "--poni", "small.poni", "-o", "out.h5", "--device", "cpu", "scan", option];
            let words = ["huge.h5", "2147483648 x 2147483648", "61 x 47"];
            refused_within_limits(at, &[&command[..], &["huge.h5::/data"]].concat(), 4, &words);
            refused_within_limits(
                at,
                &[&command[..], &["huge.h5::/line"]].concat(),
                4,
                &["huge.h5", "1099511627776"],
            );
        }
        assert!(!names(at).iter().any(|name| name.contains("out.h5")));
    }

    #[test]
    fn mutated_masks_never_reach_the_c_library_of_this_process() {
        const MOST: usize = 4000;
        let folder = hostile();
        let masks: Vec<Vec<u8>> = names(folder.path())
            .iter()
            .filter(|name| name.starts_with("mask_"))
            .map(|name| fs::read(folder.path().join(name)).expect("readable"))
            .collect();
        assert_eq!(masks.len(), 14);
        let program = PathBuf::from(env!("CARGO_BIN_EXE_xrdct"));
        let path = folder.path().join("mutated.h5");
        let mut random = Random(0x2545_f491_4f6c_dd1d);
        let (mut child, mut opened, mut died) = (None, 0, 0);
        let start = Instant::now();
        let mut runs = 0;
        while runs < MOST && start.elapsed() < Duration::from_secs(15) {
            let mut bytes = masks[runs % masks.len()].clone();
            if runs >= masks.len() {
                spoil(&mut bytes, &mut random);
            }
            fs::write(&path, &bytes).expect("writable");
            let reader = child.take().unwrap_or_else(|| Child::start(&program, 1).expect("a child"));
            // Whatever is in the file, this process is here to see it.
            if let Ok(file) = File::open_in(reader, &path) {
                opened += 1;
                read_all(&file);
                child = file.into_child();
                died += usize::from(child.is_none());
            }
            runs += 1;
        }
        println!("{runs} files, {opened} opened, {died} ended their reader, {:?}", start.elapsed());
        assert!(runs > 500 && opened > runs / 4, "{runs} files, {opened} opened");
    }

    #[test]
    fn a_mask_that_crashes_the_library_is_an_error() {
        let folder = hostile();
        let specimen = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/crashing_mask.h5");
        fs::copy(specimen, folder.path().join("crashing.h5")).expect("writable");
        for option in ["--mask", "--dark", "--flat"] {
            let done = integrate(folder.path(), &[option, "crashing.h5::/data"]);
            refused(folder.path(), &done, 4, &["crashing.h5", "damaged, or made to do harm", "signal"]);
        }
    }

    #[test]
    fn a_mask_that_keeps_the_library_busy_for_ever_is_an_error() {
        let folder = hostile();
        let specimen = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/endless_mask.h5");
        fs::copy(specimen, folder.path().join("endless.h5")).expect("writable");
        let start = Instant::now();
        let done = integrate(folder.path(), &["--mask", "endless.h5::/data"]);
        refused(folder.path(), &done, 4, &["endless.h5", "still busy with it after 10 seconds"]);
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    }

    /// A result of a 4 x 6 scan, and its tomogram.
    fn results() -> tempfile::TempDir {
        let folder = scan(24);
        let at = folder.path();
        let map = ["--slow", "4", "--fast", "6", "--npt", "40"];
        let done = xrdct(
            at,
            &[&["integrate", "--poni", "small.poni", "-o", "r.h5", "--device", "cpu", "scan"], &map[..]]
                .concat(),
        );
        assert_eq!(done.code, 0, "{}", done.stderr);
        let done = xrdct(at, &["tomo", "r.h5", "-o", "t.h5", "--device", "cpu", "--rotation", "0:180:4"]);
        assert_eq!(done.code, 0, "{}", done.stderr);
        folder
    }

    #[test]
    fn scans_with_more_positions_than_frames_are_refused() {
        let folder = results();
        let at = folder.path();
        let plain: [&str; 6] = ["tomo", "r.h5", "-o", "out.h5", "--device", "cpu"];
        let many = "99999999999";
        for (options, code, words) in [
            (&["--rotation", "0:180:99999999999"][..], 3, [many, "24"]),
            (&["--translation", "0:1:99999999999", "--rotation", "0+1"], 3, [many, "24"]),
            (&["--rotations", many, "--rotation", "0+1"], 3, [many, "24"]),
            (&["--rotations", many, "--translations", many, "--rotation", "0+1"], 3, [many, "24"]),
            (
                &["--rotations", "8589934592", "--translations", "2147483649", "--rotation", "0+1"],
                3,
                ["8589934592", "24"],
            ),
            (&["--rotations", "0", "--translations", "0", "--rotation", "0+1"], 3, ["0 rotations", "24"]),
            (&["--interleave", many, "--rotation", "0:180:4"], 3, [many, "4 rotations"]),
            (&["--offset", many, "--rotation", "0:180:4"], 3, [many, "24"]),
            (&["--iterations", many, "--algorithm", "sirt", "--rotation", "0:180:4"], 2, [many, "100000"]),
            (&["--size", many, "--rotation", "0:180:4"], 2, ["--size", "1024"]),
        ] {
            refused_within_limits(at, &[&plain[..], options].concat(), code, &words);
            assert!(!names(at).iter().any(|name| name.contains("out.h5")));
        }
        for options in [
            &["--air", many][..],
            &["--memory", "1T"],
            &["--memory", "1"],
            &["--pixel-size", "1e300"],
            &["--pixel-size", "1e-300"],
            &["--pixel-size", "nan"],
            &["--centre", "1e300"],
            &["--centre-shift", "nan"],
            &["--radial-range", "nan", "inf"],
            &["--region", "a=-1e308:1e308"],
            &["--region", "a=0:1e-320"],
            &["--monitor", "exposure_time", "--jitter", "--stripes", "--constant-total", "--air", "1"],
        ] {
            survived(at, &[&plain[..], &["--rotation", "0:180:4", "--overwrite"], options].concat());
        }
    }

    #[test]
    fn positions_that_are_none_are_refused() {
        let folder = results();
        let at = folder.path();
        let lines: [(&str, String); 6] = [
            ("hash.csv", "#\n".into()),
            ("empty.csv", String::new()),
            ("nan.csv", "nan\n".repeat(24)),
            ("huge.csv", (0..24).map(|i| format!("{}e307\n", i % 18)).collect()),
            ("tiny.csv", (0..24).map(|i| format!("{i}e-322\n")).collect()),
            (
                "apart.csv",
                (0..24).map(|i| format!("{}\n", 1e-9 * f64::from(i) + f64::from(i * i) * 1e3)).collect(),
            ),
        ];
        for (name, text) in lines {
            fs::write(at.join(name), text).expect("writable");
            for option in ["--rotation", "--translation", "--monitor"] {
                let both = ["--rotation", name, "--translation", "apart.csv"];
                let plain = ["tomo", "r.h5", "-o", "out.h5", "--overwrite", "--device", "cpu"];
                survived(at, &[&plain[..], &[option, name]].concat());
                survived(at, &[&plain[..], &both].concat());
            }
        }
        ask_oracle("hostile.py", &[at]);
        for name in ["huge.h5::/line", "huge.h5::/data", "huge.h5::/none", "mask_new.h5::/data/names"] {
            refused_within_limits(at, &["tomo", "r.h5", "-o", "out2.h5", "--rotation", name], 3, &[name]);
        }
    }

    #[test]
    fn pages_are_as_large_as_memory_allows() {
        let folder = results();
        let plot = ["plot", "r.h5", "-o", "out.png", "--width", "8000", "--height", "8000", "--scale", "8"];
        refused_within_limits(folder.path(), &plot, 1, &["64000 x 64000 pixels", "are allowed here"]);
        for options in [
            &["--range", "nan", "nan"][..],
            &["--range", "5", "5"],
            &["--range", "inf", "-inf"],
            &["--range", "-1e308", "1e308", "--log"],
            &["--range", "0", "5e-324"],
        ] {
            for what in ["overview", "pattern", "patterns"] {
                survived(
                    folder.path(),
                    &[&["plot", "r.h5", what, "-o", "out.svg", "--overwrite"], options].concat(),
                );
            }
            for what in ["overview", "pattern", "sinogram", "tomogram"] {
                survived(
                    folder.path(),
                    &[&["plot", "t.h5", what, "-o", "out.png", "--overwrite"], options].concat(),
                );
            }
        }
        survived(folder.path(), &["plot", "r.h5", "map", "--at", "nan", "-o", "out.png", "--overwrite"]);
    }

    #[test]
    fn spoilt_results_are_errors_or_pictures() {
        let folder = results();
        let at = folder.path();
        ask_oracle("hostile_results.py", &[at, &at.join("r.h5"), &at.join("t.h5")]);
        let all = names(at);
        let of =
            |kind: &'static str| all.iter().filter(move |name| name.starts_with(kind)).map(String::as_str);
        assert!(of("result_").count() > 60 && of("tomo_").count() > 25);
        for result in of("result_") {
            survived(at, &["info", result]);
            survived(at, &["report", result, "-o", "out.html", "--overwrite"]);
            survived(at, &["plot", result, "-o", "out.svg", "--overwrite"]);
            survived(
                at,
                &["plot", result, "pattern", "-o", "out.png", "--overwrite", "--log", "--scale", "0.5"],
            );
            survived(at, &["plot", result, "map", "--bin", "3", "-o", "out.svg", "--overwrite"]);
            survived(at, &["tomo", result, "-o", "out.h5", "--overwrite", "--device", "cpu"]);
            let lines = ["--rotation", "0:180:4", "--monitor", "exposure_time"];
            survived(
                at,
                &[&["tomo", result, "-o", "out.h5", "--overwrite", "--device", "cpu"], &lines[..]].concat(),
            );
            survived(at, &["integrate", "--config", result, "--dry-run", "--device", "cpu", "scan"]);
        }
        for tomo in of("tomo_") {
            survived(at, &["info", tomo]);
            survived(at, &["report", "r.h5", "--tomo", tomo, "-o", "out.html", "--overwrite"]);
            for what in ["overview", "pattern", "sinogram", "tomogram"] {
                survived(at, &["plot", tomo, what, "-o", "out.png", "--overwrite", "--scale", "0.25"]);
            }
            survived(at, &["plot", tomo, "tomogram", "--bin", "39", "-o", "out.svg", "--overwrite"]);
            survived(at, &["tomo", "r.h5", "--config", tomo, "--dry-run", "--device", "cpu"]);
            survived(
                at,
                &["tomo", "r.h5", "-o", tomo, "--resume", "--device", "cpu", "--rotation", "0:180:4"],
            );
        }
    }

    #[test]
    fn a_mask_may_lie_in_another_file() {
        let folder = hostile();
        for mask in
            ["outside.h5::/data", "virtual.h5::/data", "mask_new.h5::/data", "mask_gzip_bool.h5::data"]
        {
            let done = integrate(folder.path(), &["--mask", mask, "--dry-run"]);
            assert_eq!(done.code, 0, "{}", done.stderr);
            assert!(done.stdout.contains("150 of 2867 pixels"), "{mask}: {}", done.stdout);
        }
    }
}
