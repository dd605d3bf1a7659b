//! What frames say of themselves is taken at its word: geometry, pixel masks, which of them are wanted.

use std::path::Path;

use hdf5::types::FixedAscii;

use crate::support::{SMALL_PONI, small_pixels, write_small_scan, xrdct};

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

const FRAMES: usize = 5;
const SIZE: [usize; 2] = [61, 47];

/// A master as a detector writes it: images, what is known of detector and beam, an angle and a monitor of each frame.
fn write_master(path: &Path) {
    let file = hdf5::File::create(path).expect("a file");
    let detector = file.create_group("entry/instrument/detector").expect("a group");
    let text = |group: &hdf5::Group, name: &str, text: &str| {
        let text = FixedAscii::<32>::from_ascii(text).expect("ASCII");
        group
            .new_dataset::<FixedAscii<32>>()
            .create(name)
            .and_then(|d| d.write_scalar(&text))
            .expect("a text");
    };
    let units = |dataset: &hdf5::Dataset, unit: &str| {
        let unit = FixedAscii::<16>::from_ascii(unit).expect("ASCII");
        let attribute = dataset.new_attr::<FixedAscii<16>>().create("units");
        attribute.and_then(|attribute| attribute.write_scalar(&unit)).expect("a unit");
    };
    let number = |group: &hdf5::Group, name: &str, value: f64, unit: &str| {
        let dataset = group.new_dataset::<f64>().create(name).expect("a dataset");
        dataset.write_scalar(&value).expect("a number");
        units(&dataset, unit);
    };
    text(&detector, "description", "Nobody's 3k");
    number(&detector, "detector_distance", 50.0, "mm");
    number(&detector, "x_pixel_size", 172.0, "um");
    number(&detector, "y_pixel_size", 172e-6, "m");
    number(&detector, "beam_center_x", 15.0, "pixel");
    number(&detector, "beam_center_y", 20.0 * 172e-6, "m");
    number(&detector, "saturation_value", 4000.0, "");
    number(&detector, "count_time", 0.25, "s");
    let beam = file.create_group("entry/instrument/beam").expect("a group");
    number(&beam, "incident_energy", 12.398_419_843_320_026, "keV");
    let mut mask = vec![0_u32; SIZE[0] * SIZE[1]];
    mask[..3 * SIZE[1]].fill(1);
    mask[40 * SIZE[1] + 7] = 1 << 4 | 1 << 1;
    let dataset = detector.new_dataset::<u32>().shape(SIZE).create("pixel_mask").expect("a dataset");
    dataset.write_raw(&mask).expect("a mask");
    let each = |group: &str, name: &str, values: &[f64], unit: &str| {
        let group = file.group(group).or_else(|_| file.create_group(group)).expect("a group");
        let dataset = group.new_dataset::<f64>().shape([values.len()]).create(name).expect("a dataset");
        dataset.write_raw(values).expect("numbers");
        units(&dataset, unit);
    };
    each("entry/sample/goniometer", "omega", &[0.0, 0.5, 1.0, 1.5, 2.0], "degree");
    each("entry/measurement", "ring_current", &[99.0, 98.0, 97.0, 96.0, 95.0], "mA");
    each("entry/measurement", "too_few", &[1.0, 2.0], "mA");
    let images: Vec<i32> = (0..FRAMES).flat_map(small_pixels).collect();
    let data = file.create_group("entry/data").expect("a group");
    let dataset = data.new_dataset::<i32>().chunk([1, 61, 47]).shape([FRAMES, 61, 47]).create("data");
    dataset.and_then(|dataset| dataset.write_raw(&images)).expect("images");
}

#[test]
fn a_master_says_what_its_detector_and_each_frame_are() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let folder = scratch.path();
    write_master(&folder.join("master.h5"));
    let explained = xrdct(folder, &["info", "master.h5"]);
    assert_eq!(explained.code, 0, "{}", explained.stderr);
    for words in [
        "frames           5\n",
        "Nobody's 3k",
        "172 x 172 µm",
        "0.05 m",
        "pixel 20.00 (slow), 15.00 (fast)",
        "1.000000 Å, 12.3984 keV",
        "142 pixels: 141 gap, 1 dead, 1 noisy",
        "from 4000 counts",
        "omega (deg)",
        "ring_current (mA)",
        "exposure_time (s)",
    ] {
        assert!(explained.stdout.contains(words), "no {words:?} in:\n{}", explained.stdout);
    }

    let auto =
        ["integrate", "master.h5", "--poni", "auto", "--dummy", "-1", "--delta-dummy", "1.5", "--npt", "60"];
    let said = done(folder, &[&auto[..], &["-o", "auto.h5"]].concat());
    assert!(said.contains("Detector, 0.050000 m"), "{said}");
    let input = |name: &str| numbers(&folder.join("auto.h5"), &format!("entry_0000/xrdct/input/{name}"));
    assert_eq!(input("omega"), [0.0, 0.5, 1.0, 1.5, 2.0]);
    assert_eq!(input("ring_current"), [99.0, 98.0, 97.0, 96.0, 95.0]);
    assert_eq!(input("exposure_time"), [0.25; FRAMES]);
    let saturated = numbers(&folder.join("auto.h5"), "entry_0000/xrdct/saturated");
    let expected: Vec<f64> = (0..FRAMES)
        .map(|number| {
            let pixels = small_pixels(number);
            let counted = pixels.iter().enumerate().filter(|(pixel, _)| *pixel >= 3 * SIZE[1]);
            counted.filter(|(pixel, value)| **value >= 4000 && *pixel != 40 * SIZE[1] + 7).count() as f64
        })
        .collect();
    assert_eq!(saturated, expected);

    // The same geometry and mask, named.
    let poni = SMALL_PONI
        .replace("Poni1: 0.0035", &format!("Poni1: {}", 20.0 * 172e-6))
        .replace("Poni2: 0.0026", &format!("Poni2: {}", 15.0 * 172e-6))
        .replace("Rot1: 0.01", "Rot1: 0.0")
        .replace("Rot2: -0.02", "Rot2: 0.0")
        .replace("Rot3: 0.1", "Rot3: 0.0");
    std::fs::write(folder.join("same.poni"), poni).expect("writable");
    let named = [
        "integrate",
        "master.h5",
        "--poni",
        "same.poni",
        "--mask",
        "master.h5::/entry/instrument/detector/pixel_mask",
    ];
    done(
        folder,
        &[&named[..], &["--dummy", "-1", "--delta-dummy", "1.5", "--npt", "60", "-o", "named.h5"]].concat(),
    );
    let intensity = |name: &str| numbers(&folder.join(name), "entry_0000/xrdct/result/intensity");
    for (auto, named) in intensity("auto.h5").iter().zip(intensity("named.h5")) {
        assert!((auto - named).abs() <= 1e-5 * named.abs(), "{auto} {named}");
    }

    // A master whose images are all somewhere else says the same of its detector.
    let file = hdf5::File::open_rw(folder.join("master.h5")).expect("writable");
    file.unlink("entry/data/data").expect("unlinked");
    for number in 1..3 {
        let name = format!("entry/data/data_00000{number}");
        file.link_external(&format!("away_{number}.h5"), "/entry/data/data", &name).expect("linked");
    }
    file.close().expect("whole");
    let explained = xrdct(folder, &["info", "master.h5"]);
    assert_eq!(explained.code, 0, "{}", explained.stderr);
    for words in [
        "none of its images can be read",
        "61 x 47 (slow x fast)",
        "away_1.h5: it is not there; `/entry/data/data_000001` of master.h5 links to it",
        "away_2.h5: it is not there; `/entry/data/data_000002` of master.h5 links to it",
        "Nobody's 3k",
        "0.05 m",
        "142 pixels: 141 gap, 1 dead, 1 noisy",
        "from 4000 counts",
        "exposure_time (s)",
    ] {
        assert!(explained.stdout.contains(words), "no {words:?} in:\n{}", explained.stdout);
    }
}

#[test]
fn columns_go_with_their_frames() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let folder = scratch.path();
    write_master(&folder.join("master.h5"));
    let auto =
        ["integrate", "master.h5", "--poni", "auto", "--dummy", "-1", "--delta-dummy", "1.5", "--npt", "60"];
    done(folder, &[&auto[..], &["--frames", "1::2", "-o", "some.h5"]].concat());
    assert_eq!(numbers(&folder.join("some.h5"), "entry_0000/xrdct/input/omega"), [0.5, 1.5]);
}
