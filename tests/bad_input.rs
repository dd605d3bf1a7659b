//! Bad input through the program: one clear message, the documented exit code, and what is left on disk.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use tempfile::TempDir;
use xrdct::codec::byte_offset;

use crate::support::{
    Done, SMALL, SMALL_PONI, ask_oracle, cbf_bytes, data, names, small_pixels, write_small_frame,
    write_small_scan, xrdct,
};

const FRAMES: usize = 6;

fn scan() -> TempDir {
    let folder = tempfile::tempdir().expect("a scratch folder");
    write_small_scan(folder.path(), FRAMES);
    folder
}

fn integrate(folder: &TempDir, more: &[&str]) -> Done {
    let mut arguments = vec!["integrate", "--poni", "small.poni", "-o", "out.h5", "--npt", "50", "scan"];
    arguments.extend(more);
    xrdct(folder.path(), &arguments)
}

/// A run that ended with an error: its code, all of these words in its message, nothing written.
#[track_caller]
fn refused(folder: &TempDir, done: &Done, code: i32, words: &[&str]) {
    assert_eq!(done.code, code, "{}", done.stderr);
    said(done, words);
    assert_eq!(done.stdout, "", "nothing was done, so nothing is reported");
    let left = names(folder.path());
    assert!(!left.iter().any(|n| n.contains("out.h5")), "{left:?}");
}

#[track_caller]
fn said(done: &Done, words: &[&str]) {
    for word in words {
        assert!(done.stderr.contains(word), "no '{word}' in: {}", done.stderr);
    }
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
}

/// Spoils frame 3 of a scan of six and checks that the run goes on around it.
#[track_caller]
fn one_bad_frame(spoil: impl Fn(&Path), status: &str, words: &[&str], more: &[&str]) {
    let folder = scan();
    let bad = folder.path().join("scan/small_00003.cbf");
    spoil(&bad);
    let done = integrate(&folder, more);
    assert_eq!(done.code, 10, "{}", done.stderr);
    said(&done, &["small_00003.cbf"]);
    said(&done, words);
    let left = ask_oracle("bad_frames.py", &[&folder.path().join("out.h5"), Path::new(status)]);
    assert_eq!(left.trim(), "rows 0 1 2 4 5 are good, row 3 is NaN, status and message are kept");

    // The same frame, when bad frames are to stop the run: what came before stays, and the file says how it ended.
    let folder = scan();
    spoil(&folder.path().join("scan/small_00003.cbf"));
    let done = integrate(&folder, &[more, &["--bad-frames", "stop", "--strategy", "sequential"]].concat());
    assert_eq!(done.code, 10, "{}", done.stderr);
    said(&done, &["small_00003.cbf", "stopped", "out.h5"]);
    let info = xrdct(folder.path(), &["info", "out.h5"]);
    for word in ["failed", "3 good", &format!("1 {status}"), "2 pending"] {
        assert!(info.stdout.contains(word), "no '{word}' in: {}", info.stdout);
    }
}

fn rewrite(path: &Path, edit: impl Fn(String) -> String) {
    let packed = byte_offset::encode(&small_pixels(3));
    fs::write(path, cbf_bytes(&packed, SMALL, 3, edit)).expect("writable");
}

/// Flips one bit of the packed bytes; the frame still decodes.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).expect("readable");
    let start = bytes.windows(4).position(|w| w == [0x0c, 0x1a, 0x04, 0xd5]).expect("a binary section");
    bytes[start + 500] ^= 1;
    fs::write(path, bytes).expect("writable");
}

#[test]
fn a_poni_that_cannot_be_used() {
    let cases: [(&str, &str, &[&str]); 8] = [
        ("Distance: 0.05\n", "", &["Distance"]),
        ("Distance: 0.05", "Distance: far", &["Distance", "far"]),
        ("Distance: 0.05", "Distance: nan", &["Distance"]),
        ("Wavelength: 1e-10\n", "", &["Wavelength", "2th_deg"]),
        ("Wavelength: 1e-10", "Wavelength: -1e-10", &["Wavelength"]),
        ("\"pixel1\": 0.000172", "\"pixel1\": 0", &["pixel1"]),
        ("Detector: Detector", "Detector: Nonesuch", &["Nonesuch"]),
        ("\"max_shape\": [61, 47]", "\"max_shape\": [61, 48]", &["61 x 48", "61 x 47"]),
    ];
    for (from, to, words) in cases {
        let folder = scan();
        let text = SMALL_PONI.replace(from, to);
        assert_ne!(text, SMALL_PONI);
        fs::write(folder.path().join("small.poni"), text).expect("writable");
        let done = integrate(&folder, &[]);
        refused(&folder, &done, 4, &["small.poni"]);
        said(&done, words);
    }
    let folder = scan();
    fs::remove_file(folder.path().join("small.poni")).expect("removable");
    refused(&folder, &integrate(&folder, &[]), 4, &["small.poni"]);
}

#[test]
fn calibration_images_that_cannot_be_used() {
    let folder = scan();
    let wrong = folder.path().join("wrong.cbf");
    let packed = byte_offset::encode(&[0_i32; 200]);
    let shape = xrdct::frame::Shape { slow: 10, fast: 20 };
    fs::write(&wrong, cbf_bytes(&packed, shape, 0, |h| h)).expect("writable");
    for option in ["--mask", "--dark", "--flat"] {
        refused(
            &folder,
            &integrate(&folder, &[option, "wrong.cbf"]),
            4,
            &["wrong.cbf", "10 x 20", "61 x 47"],
        );
        refused(&folder, &integrate(&folder, &[option, "none.npy"]), 4, &["none.npy"]);
    }
    let packed = byte_offset::encode(&vec![1_i32; SMALL.pixels()]);
    fs::write(&wrong, cbf_bytes(&packed, SMALL, 0, |h| h)).expect("writable");
    refused(&folder, &integrate(&folder, &["--mask", "wrong.cbf"]), 4, &["wrong.cbf", "no pixel"]);
}

#[test]
fn ranges_that_hold_nothing() {
    let folder = scan();
    refused(&folder, &integrate(&folder, &["--radial-range", "900", "1000"]), 4, &["range"]);
    refused(&folder, &integrate(&folder, &["--radial-range", "9", "1"]), 2, &["--radial-range"]);
    refused(&folder, &integrate(&folder, &["--npt", "0"]), 2, &["npt"]);
    refused(&folder, &integrate(&folder, &["--npt", "1000000000000"]), 2, &["npt"]);
    refused(&folder, &integrate(&folder, &["--zigzag"]), 2, &["--zigzag", "--slow"]);
    refused(&folder, &integrate(&folder, &["--delta-dummy", "1"]), 2, &["--delta-dummy", "--dummy"]);
    refused(&folder, &integrate(&folder, &["--unit", "furlongs"]), 2, &["furlongs"]);
    refused(&folder, &integrate(&folder, &["--slow", "2", "--fast", "2"]), 2, &["6 frames", "4 points"]);
    refused(&folder, &integrate(&folder, &["--device", "tpu"]), 2, &["tpu", "cpu"]);
}

#[test]
fn an_output_that_exists_is_left_alone() {
    let folder = scan();
    let out = folder.path().join("out.h5");
    fs::write(&out, "precious").expect("writable");
    let done = integrate(&folder, &[]);
    assert_eq!(done.code, 5, "{}", done.stderr);
    said(&done, &["out.h5", "already a file", "--overwrite"]);
    assert_eq!(fs::read(&out).expect("readable"), b"precious");

    // A run that fails before its first frame must not have touched it either.
    let done = integrate(&folder, &["--overwrite", "--radial-range", "900", "1000"]);
    assert_eq!(done.code, 4, "{}", done.stderr);
    assert_eq!(fs::read(&out).expect("readable"), b"precious");

    // Nor may the output be what the run reads.
    let frame = folder.path().join("scan/small_00002.cbf");
    let before = fs::read(&frame).expect("readable");
    let arguments = [
        "integrate",
        "--poni",
        "small.poni",
        "--overwrite",
        "-o",
        "scan/small_00002.cbf",
        "--npt",
        "50",
        "scan",
    ];
    let done = xrdct(folder.path(), &arguments);
    assert_eq!(done.code, 5, "{}", done.stderr);
    said(&done, &["small_00002.cbf", "reads"]);
    assert_eq!(fs::read(&frame).expect("readable"), before);
    let done = integrate(&folder, &["--overwrite", "--trace", "small.poni"]);
    assert_eq!(done.code, 5, "{}", done.stderr);
    said(&done, &["--trace", "small.poni"]);

    assert_eq!(integrate(&folder, &["--overwrite"]).code, 0);
    assert!(fs::read(&out).expect("readable").starts_with(b"\x89HDF"));
    assert_eq!(names(folder.path()), ["out.h5", "scan", "small.poni"]);
}

#[test]
fn a_folder_that_cannot_be_written() {
    let folder = scan();
    let arguments = ["integrate", "--poni", "small.poni", "-o", "no/such/out.h5", "scan"];
    refused(&folder, &xrdct(folder.path(), &arguments), 5, &["no/such"]);
    let arguments = ["integrate", "--poni", "small.poni", "-o", "/proc/out.h5", "scan"];
    refused(&folder, &xrdct(folder.path(), &arguments), 5, &["/proc"]);
}

#[test]
fn a_full_disk() {
    let folder = scan();
    // A file-size limit is a full disk that a test can have anywhere; the shell sets it for one process.
    let line = format!(
        "ulimit -f 20; exec {} integrate --poni small.poni -o out.h5 --npt 5000 scan",
        env!("CARGO_BIN_EXE_xrdct")
    );
    let done = std::process::Command::new("sh")
        .arg("-c")
        .arg(line)
        .current_dir(folder.path())
        .output()
        .expect("sh runs");
    let done = Done {
        code: done.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&done.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
    };
    refused(&folder, &done, 5, &["out.h5"]);
    assert_eq!(names(folder.path()), ["scan", "small.poni"], "no temporary file is left");
}

#[test]
fn convert_has_the_same_manners() {
    let folder = scan();
    let done = xrdct(folder.path(), &["convert", "-o", "out.h5", "nowhere.cbf"]);
    refused(&folder, &done, 3, &["nowhere.cbf"]);
    let done = xrdct(folder.path(), &["convert", "-o", "no/such/out.h5", "scan"]);
    refused(&folder, &done, 5, &["no/such"]);
    fs::write(folder.path().join("scan/small_00003.cbf"), "").expect("writable");
    let done = xrdct(folder.path(), &["convert", "-o", "out.h5", "scan"]);
    assert_eq!(done.code, 10, "{}", done.stderr);
    said(&done, &["small_00003.cbf", "empty"]);
    let done = xrdct(folder.path(), &["convert", "-o", "out.h5", "scan"]);
    assert_eq!(done.code, 5, "{}", done.stderr);
    said(&done, &["out.h5", "already a file", "--overwrite"]);
}

#[test]
fn a_frame_list_and_its_order() {
    let folder = scan();
    write_small_frame(&folder.path().join("scan"), 10);
    fs::write(folder.path().join("list.txt"), "scan/small_00010.cbf\nscan/small_00002.cbf\n")
        .expect("writable");
    let done = xrdct(
        folder.path(),
        &["integrate", "--poni", "small.poni", "-o", "out.h5", "--npt", "50", "@list.txt"],
    );
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stdout.contains("2 of 2"), "{}", done.stdout);
    fs::write(folder.path().join("list.txt"), "scan/small_00010.cbf\nscan/gone.cbf\n").expect("writable");
    let done = xrdct(
        folder.path(),
        &["integrate", "--poni", "small.poni", "-o", "new.h5", "--npt", "50", "@list.txt"],
    );
    assert_eq!(done.code, 3, "{}", done.stderr);
    said(&done, &["list.txt", "gone.cbf"]);
}

mod needs_oracle {
    use super::*;

    #[test]
    fn a_missing_frame() {
        let folder = scan();
        let done =
            xrdct(folder.path(), &["integrate", "--poni", "small.poni", "-o", "out.h5", "nowhere.cbf"]);
        refused(&folder, &done, 3, &["nowhere.cbf", "no such file"]);
        let done = xrdct(folder.path(), &["integrate", "--poni", "small.poni", "-o", "out.h5", "scan/*.tif"]);
        refused(&folder, &done, 3, &["scan/*.tif"]);
        one_bad_frame(
            |path| {
                fs::remove_file(path).expect("removable");
                std::os::unix::fs::symlink("gone.cbf", path).expect("linkable");
            },
            "unreadable",
            &["cannot be"],
            &[],
        );
    }

    #[test]
    fn an_empty_frame() {
        one_bad_frame(|path| fs::write(path, b"").expect("writable"), "bad_header", &["empty"], &[]);
    }

    #[test]
    fn a_frame_that_ends_early() {
        let cut = |keep: f64| {
            move |path: &Path| {
                let bytes = fs::read(path).expect("readable");
                fs::write(path, &bytes[..(bytes.len() as f64 * keep) as usize]).expect("writable");
            }
        };
        one_bad_frame(cut(0.05), "bad_header", &[], &[]);
        one_bad_frame(cut(0.30), "truncated", &["byte"], &[]);
    }

    #[test]
    fn a_file_that_is_not_cbf() {
        one_bad_frame(|path| fs::write(path, [7_u8; 20_000]).expect("writable"), "bad_header", &["CBF"], &[]);
        let folder = scan();
        fs::write(folder.path().join("only.cbf"), "not a frame at all").expect("writable");
        let done = xrdct(folder.path(), &["integrate", "--poni", "small.poni", "-o", "out.h5", "only.cbf"]);
        refused(&folder, &done, 3, &["only.cbf", "CBF"]);
    }

    #[test]
    fn another_compression() {
        for other in ["CBF_PACKED", "CBF_CANONICAL", "CBF_NIBBLE_OFFSET"] {
            one_bad_frame(
                |path| rewrite(path, |h| h.replace("x-CBF_BYTE_OFFSET", &format!("x-{other}"))),
                "bad_header",
                &[other],
                &[],
            );
        }
    }

    #[test]
    fn header_and_data_disagree() {
        let edits: [(&str, &str, &str, &[&str]); 4] = [
            ("Size-Fastest-Dimension: 47", "Size-Fastest-Dimension: 48", "bad_header", &["2867", "48"]),
            ("Number-of-Elements: 2867", "Number-of-Elements: 2866", "bad_header", &["2866"]),
            ("X-Binary-Size: ", "X-Binary-Size: 9", "truncated", &["byte"]),
            ("X-Binary-Size: ", "X-Binary-Size: -", "bad_header", &["X-Binary-Size"]),
        ];
        for (from, to, status, words) in edits {
            one_bad_frame(|path| rewrite(path, |h| h.replace(from, to)), status, words, &[]);
        }
    }

    #[test]
    fn the_decoder_runs_under_and_over() {
        let with = |change: fn(&mut Vec<u8>)| {
            move |path: &Path| {
                let mut packed = byte_offset::encode(&small_pixels(3));
                change(&mut packed);
                fs::write(path, cbf_bytes(&packed, SMALL, 3, |h| h)).expect("writable");
            }
        };
        let shorten = |packed: &mut Vec<u8>| packed.truncate(packed.len() - 10);
        let lengthen = |packed: &mut Vec<u8>| packed.extend([1, 2, 3]);
        one_bad_frame(with(shorten), "truncated", &["pixel"], &[]);
        one_bad_frame(with(lengthen), "overlong", &["3 compressed bytes are left"], &[]);
    }

    #[test]
    fn a_frame_of_another_shape() {
        one_bad_frame(
            |path| {
                let shape = xrdct::frame::Shape { slow: 10, fast: 20 };
                let packed = byte_offset::encode(&[5_i32; 200]);
                fs::write(path, cbf_bytes(&packed, shape, 3, |h| h)).expect("writable");
            },
            "other_shape",
            &["10 x 20", "61 x 47"],
            &[],
        );
    }

    #[test]
    fn a_flipped_bit_is_found_by_default() {
        one_bad_frame(flip, "md5_mismatch", &["MD5", "the data are damaged"], &[]);
        let folder = scan();
        let done = integrate(&folder, &[]);
        assert_eq!(done.code, 0, "right sums pass: {}", done.stderr);
        assert!(done.stdout.contains("6 verified, 0 unverified, 0 failed"), "{}", done.stdout);

        flip(&folder.path().join("scan/small_00003.cbf"));
        for strategy in ["sequential", "pool"] {
            let done = integrate(&folder, &["--overwrite", "--strategy", strategy]);
            assert_eq!(done.code, 10, "{strategy}");
            assert!(done.stdout.contains("5 verified, 0 unverified, 1 failed"), "{}", done.stdout);
        }
        let done = integrate(&folder, &["--overwrite", "--no-verify"]);
        assert_eq!(done.code, 0, "unread when told so");
        assert!(done.stdout.contains("not compared (--no-verify)"), "{}", done.stdout);
    }

    #[test]
    fn a_frame_without_a_digest_stays_good() {
        let folder = scan();
        rewrite(&folder.path().join("scan/small_00003.cbf"), |h| h.replace("Content-MD5", "X-Other"));
        let done = integrate(&folder, &[]);
        assert_eq!(done.code, 0, "{}", done.stderr);
        assert!(
            done.stdout.contains("5 verified, 1 unverified (no Content-MD5), 0 failed"),
            "{}",
            done.stdout
        );
        // But what is there must be a digest.
        let spoil = |path: &Path| rewrite(path, |h| h.replace("Content-MD5: ", "Content-MD5: !"));
        one_bad_frame(spoil, "bad_header", &["Content-MD5", "base64"], &[]);
    }

    #[test]
    fn packed_files_and_stacks_are_verified_too() {
        let folder = scan();
        let packed = |name: &str, bytes: Vec<u8>| {
            fs::write(folder.path().join("scan").join(name), bytes).expect("writable")
        };
        let plain = folder.path().join("scan/small_00003.cbf");
        flip(&plain);
        let bytes = fs::read(&plain).expect("readable");
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&bytes).expect("packed");
        packed("small_00006.cbf.gz", gz.finish().expect("packed"));
        let mut bz2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bz2.write_all(&bytes).expect("packed");
        packed("small_00007.cbf.bz2", bz2.finish().expect("packed"));

        let done = integrate(&folder, &[]);
        assert_eq!(done.code, 10, "{}", done.stderr);
        assert!(done.stdout.contains("5 verified, 0 unverified, 3 failed"), "{}", done.stdout);
        said(&done, &["small_00003.cbf:", "small_00006.cbf.gz:", "small_00007.cbf.bz2:"]);

        let done = xrdct(folder.path(), &["convert", "scan", "-o", "stack.h5"]);
        assert_eq!(done.code, 10, "{}", done.stderr);
        assert!(done.stdout.contains("5 verified, 0 unverified, 3 failed"), "{}", done.stdout);
        let done = xrdct(folder.path(), &["convert", "scan", "-o", "stack.h5", "--overwrite", "--no-verify"]);
        assert_eq!(done.code, 0, "{}", done.stderr);
    }
}

mod needs_data {
    use super::*;

    #[test]
    fn real_frames_of_other_kinds_are_refused() {
        let refused_data = data("refused");
        let names = names(&refused_data);
        assert!(names.len() >= 3, "{names:?}");
        for name in names {
            let folder = scan();
            let frame = refused_data.join(&name);
            let frame = frame.to_string_lossy();
            let done = xrdct(folder.path(), &["integrate", "--poni", "small.poni", "-o", "out.h5", &frame]);
            refused(&folder, &done, 3, &[&name]);
        }
    }
}
