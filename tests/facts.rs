//! What frames say of themselves is taken at its word: geometry, pixel masks, which of them are wanted.

use std::path::Path;

use crate::support::{write_small_scan, xrdct};

fn numbers(file: &Path, name: &str) -> Vec<f64> {
    hdf5::File::open(file).expect("readable").dataset(name).expect("there").read_raw().expect("numbers")
}

#[track_caller]
fn done(folder: &Path, arguments: &[&str]) -> String {
    let done = xrdct(folder, arguments);
    assert_eq!(done.code, 0, "{}", done.stderr);
    done.stderr
}

#[test]
fn the_geometry_of_frames_is_that_of_their_poni_when_nothing_is_tilted() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let folder = scratch.path();
    let powder = ["simulate", "-o", "frames", "--detector", "Pilatus300k", "-n", "1", "--seed", "7"];
    done(folder, &powder);
    let poni = ["integrate", "frames", "--npt", "200", "--poni"];
    done(folder, &[&poni[..], &["frames/geometry.poni", "-o", "named.h5"]].concat());
    let said = done(folder, &[&poni[..], &["auto", "-o", "auto.h5"]].concat());
    assert!(said.contains("frame_00001.cbf: Pilatus300k, 0.5"), "{said}");
    let [named, auto] = ["named.h5", "auto.h5"].map(|name| folder.join(name));
    let q = "entry_0000/xrdct/result/q";
    for (named, auto) in numbers(&named, q).iter().zip(numbers(&auto, q)) {
        // The header has the beam's centre to a hundredth of a pixel.
        assert!((named / auto - 1.0).abs() < 1e-4, "{named} {auto}");
    }
    let worst = numbers(&named, "entry_0000/xrdct/result/intensity")
        .into_iter()
        .zip(numbers(&auto, "entry_0000/xrdct/result/intensity"))
        .map(|(named, auto)| (named - auto).abs() / named.abs().max(1.0))
        .fold(0.0, f64::max);
    assert!(worst < 0.5, "{worst}");
    // The run repeats itself: its geometry is in its file.
    done(folder, &["integrate", "--config", "auto.h5", "-o", "again.h5"]);
    let intensity = "entry_0000/xrdct/result/intensity";
    assert_eq!(numbers(&auto, intensity), numbers(&folder.join("again.h5"), intensity));
}

#[test]
fn frames_that_do_not_say_their_geometry_are_told_what_is_missing() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    write_small_scan(scratch.path(), 2);
    let refused = xrdct(scratch.path(), &["integrate", "scan", "--poni", "auto", "-o", "x.h5"]);
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    let expected = "--poni auto: ";
    assert!(refused.stderr.contains(expected) && refused.stderr.contains("distance"), "{}", refused.stderr);
    assert!(!scratch.path().join("x.h5").exists());
}

#[test]
fn a_slice_of_frames_has_the_rows_of_those_frames() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let folder = scratch.path();
    write_small_scan(folder, 9);
    let integrate = ["integrate", "scan", "--poni", "small.poni", "--npt", "40"];
    done(folder, &[&integrate[..], &["-o", "all.h5"]].concat());
    done(folder, &[&integrate[..], &["--offset", "1", "--frames", "0:-1:3", "-o", "some.h5"]].concat());
    let [all, some] = ["all.h5", "some.h5"].map(|name| folder.join(name));
    let intensity = "entry_0000/xrdct/result/intensity";
    let (all, rows) = (numbers(&all, intensity), numbers(&some, intensity));
    let expected: Vec<f64> = [1, 4, 7].iter().flat_map(|frame| &all[frame * 40..][..40]).copied().collect();
    assert_eq!(rows, expected);
    assert_eq!(numbers(&some, "entry_0000/xrdct/result/frame"), [1.0, 4.0, 7.0]);
    // The run repeats itself.
    done(folder, &["integrate", "--config", "some.h5", "-o", "again.h5"]);
    assert_eq!(numbers(&folder.join("again.h5"), intensity), expected);
    done(folder, &["convert", "scan", "--frames", "-2:", "-o", "stack.h5"]);
    let stack = hdf5::File::open(folder.join("stack.h5")).expect("readable");
    assert_eq!(stack.dataset("entry_0000/data/data").expect("there").shape()[0], 2);
    for (frames, code) in [("9:", 2), ("4:2", 2), ("x", 2), ("::0", 2)] {
        let refused = xrdct(folder, &[&integrate[..], &["--frames", frames, "-o", "none.h5"]].concat());
        assert_eq!(refused.code, code, "{frames}: {}", refused.stderr);
        assert!(refused.stderr.contains("--frames"), "{}", refused.stderr);
    }
}
