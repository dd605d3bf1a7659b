//! What files, pages and lists say of themselves is so, as a user meets it at the command line.

use std::fs;
use std::os::unix::fs::MetadataExt;

use tempfile::TempDir;

use crate::support::{write_small_scan, xrdct};

fn scan(frames: usize) -> TempDir {
    let folder = tempfile::tempdir().expect("a scratch folder");
    write_small_scan(folder.path(), frames);
    folder
}

#[track_caller]
fn done(folder: &TempDir, arguments: &[&str]) -> String {
    let done = xrdct(folder.path(), arguments);
    assert_eq!(done.code, 0, "{}", done.stderr);
    done.stdout
}

const NPT: u64 = 1000;
const INTEGRATE: [&str; 6] = ["integrate", "--poni", "small.poni", "--npt", "1000", "scan"];

/// Bytes of a file, as its name says and on the disk.
fn sizes(folder: &TempDir, name: &str) -> (u64, u64) {
    let there = fs::metadata(folder.path().join(name)).expect("it was written");
    (there.len(), there.blocks() * 512)
}

#[test]
fn a_result_is_as_large_as_its_patterns_and_sums_are_asked_for() {
    let folder = scan(60);
    let intensities = 60 * NPT * 4;
    done(&folder, &[&INTEGRATE[..], &["-o", "plain.h5"]].concat());
    let (plain, on_disk) = sizes(&folder, "plain.h5");
    let besides = 60_000;
    assert!(plain < intensities + besides && on_disk < intensities + besides, "{plain}, {on_disk} on disk");

    // Dummies make the norms differ from those of all pixels, and they are the same for every frame.
    let sums = ["--sums", "--error-model", "poisson", "--dummy", "-2", "--delta-dummy", "1.5"];
    done(&folder, &[&INTEGRATE[..], &sums, &["-o", "sums.h5"]].concat());
    let (with_sums, on_disk) = sizes(&folder, "sums.h5");
    let (patterns, sums, norms) = (intensities * 2, intensities * 4, 2 * NPT * 3 * 8);
    let most = patterns + sums + norms + besides;
    assert!(with_sums < most && on_disk < most, "{with_sums} bytes, {on_disk} on disk, not {most}");

    let file = |name: &str| hdf5::File::open(folder.path().join(name)).expect("readable");
    assert!(!file("plain.h5").link_exists("entry_0000/xrdct/sums"));
    let sums = file("sums.h5");
    let signal: Vec<f64> =
        sums.dataset("entry_0000/xrdct/sums/signal").expect("there").read_raw().expect("numbers");
    assert_eq!(signal.len() as u64, 60 * NPT);
    assert_eq!(sums.dataset("entry_0000/xrdct/sums/norms").expect("there").shape(), [2, NPT as usize]);
    // The run says so of itself and repeats it.
    done(&folder, &["integrate", "--config", "sums.h5", "-o", "again.h5"]);
    assert!(file("again.h5").link_exists("entry_0000/xrdct/sums/norms"));
}

#[test]
fn a_map_does_not_pay_for_points_that_no_frame_comes_for() {
    let folder = scan(203);
    done(
        &folder,
        &[&INTEGRATE[..], &["--slow", "180", "--fast", "200", "--zigzag", "-o", "map.h5"]].concat(),
    );
    // Two lines of intensity and map, and what there is a point: its status and its frame.
    let most = 2 * 200 * NPT * 8 + 180 * 200 * 5 + 200_000;
    let (size, on_disk) = sizes(&folder, "map.h5");
    assert!(size < most && on_disk < most, "{size} bytes, {on_disk} on disk, not {most}");
    let file = hdf5::File::open(folder.path().join("map.h5")).expect("readable");
    let intensity = file.dataset("entry_0000/pyFAI/result/intensity").expect("there");
    assert_eq!(intensity.shape(), [180, 200, 1000]);
    let rows: Vec<f32> = intensity.read_raw().expect("numbers");
    let is_there = |point: usize| rows[point * NPT as usize..][..NPT as usize].iter().all(|v| !v.is_nan());
    // Odd lines run backwards.
    let there: Vec<usize> = (0..180 * 200).filter(|&point| is_there(point)).collect();
    let expected: Vec<usize> = (0..200).chain(397..400).collect();
    assert_eq!(there, expected);
}

/// Names of the frames in the order of a result's rows.
fn rows(folder: &TempDir, result: &str) -> Vec<String> {
    let file = hdf5::File::open(folder.path().join(result)).expect("readable");
    let names = file.dataset("entry_0000/xrdct/input/file_names").expect("there");
    let names: Vec<hdf5::types::VarLenUnicode> = names.read_raw().expect("texts");
    let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    names.iter().map(|name| last(name.as_str())).collect()
}

#[test]
fn a_list_keeps_its_order_and_its_repetitions() {
    let folder = scan(4);
    let name = |number: usize| format!("small_{number:05}.cbf");
    let order = [3, 0, 3, 1].map(name);
    let list: String = order.iter().map(|name| format!("scan/{name}\n")).collect();
    fs::write(folder.path().join("list.txt"), list).expect("writable");
    let integrate = ["integrate", "--poni", "small.poni", "--npt", "60"];
    let said = xrdct(folder.path(), &[&integrate[..], &["@list.txt", "-o", "list.h5"]].concat());
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("named again"), "it is said that a frame comes twice: {}", said.stderr);
    assert_eq!(rows(&folder, "list.h5"), order);
    done(&folder, &["integrate", "--config", "list.h5", "-o", "again.h5"]);
    assert_eq!(rows(&folder, "again.h5"), order);
    // Convert reads the same list.
    done(&folder, &["convert", "@list.txt", "-o", "stack.h5"]);
    let stack = hdf5::File::open(folder.path().join("stack.h5")).expect("readable");
    assert_eq!(stack.dataset("entry_0000/data/data").expect("there").shape()[0], 4);
    // What is typed keeps its order too; a folder is sorted.
    let typed = ["scan/small_00002.cbf", "scan/small_00001.cbf", "scan"];
    done(&folder, &[&integrate[..], &typed, &["-o", "typed.h5"]].concat());
    assert_eq!(rows(&folder, "typed.h5"), [2, 1, 0, 1, 2, 3].map(name));
}

#[test]
fn names_that_a_shell_sorted_are_taken_by_their_numbers_and_it_is_said() {
    let folder = scan(11);
    for number in 0..11 {
        let from = folder.path().join(format!("scan/small_{number:05}.cbf"));
        fs::rename(from, folder.path().join(format!("scan/f_{number}.cbf"))).expect("writable");
    }
    let command = format!(
        "LC_ALL=C; {} integrate --poni small.poni --npt 60 scan/*.cbf -o out.h5",
        env!("CARGO_BIN_EXE_xrdct")
    );
    let said = std::process::Command::new("sh").args(["-c", &command]).current_dir(folder.path()).output();
    let said = said.expect("sh runs");
    let errors = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{errors}");
    assert_eq!(rows(&folder, "out.h5"), (0..11).map(|n| format!("f_{n}.cbf")).collect::<Vec<_>>());
    assert!(errors.contains("f_10.cbf before") && errors.contains("@list keeps any order"), "{errors}");
}
