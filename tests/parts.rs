//! A scan that is shared out in parts and merged is one result, with the bits that one run gives: copied, or shown by virtual datasets. What does
//! not make a whole is refused by name, and nothing is left of it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use xrdct::output::result::{Patterns, ResultInfo};

use crate::manners::disk;
use crate::support::{Done, names, write_small_scan, xrdct};

const FRAMES: usize = 40;
const LIMIT: Duration = Duration::from_secs(60);

/// Integrates the small scan, so many times over.
fn integrate(folder: &Path, laps: usize, options: &str, output: &str) -> Done {
    let mut words = vec!["integrate"];
    words.extend(std::iter::repeat_n("scan", laps));
    words.extend(["-p", "small.poni", "--device", "cpu", "-q", "-o", output]);
    words.extend(options.split_whitespace());
    xrdct(folder, &words)
}

#[track_caller]
fn all_parts(folder: &Path, laps: usize, options: &str, parts: usize) -> Vec<String> {
    let make = |number: usize| {
        let name = format!("p{number}.h5");
        let done = integrate(folder, laps, &format!("{options} --part {number}/{parts}"), &name);
        assert!([0, 10].contains(&done.code), "{options} part {number}: {} {}", done.code, done.stderr);
        name
    };
    (1..=parts).map(make).collect()
}

fn merge(folder: &Path, parts: &[impl AsRef<str>], more: &str) -> Done {
    let mut words = vec!["merge", "-q"];
    words.extend(parts.iter().map(AsRef::as_ref));
    words.extend(more.split_whitespace());
    xrdct(folder, &words)
}

#[track_caller]
fn refused(done: &Done, code: i32, words: &str) {
    assert!(done.code == code && done.stderr.contains(words), "{words}: {} {}", done.code, done.stderr);
}

#[test]
fn parts_that_are_no_whole_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_small_scan(at, FRAMES);
    let parts = all_parts(at, 1, "-c 50", 4);
    let no = |parts: &[&str], words: &str| {
        let before = names(at);
        refused(&merge(at, parts, "-o whole.h5"), 3, words);
        assert_eq!(names(at), before, "nothing is left");
    };
    no(&["p4.h5", "p1.h5"], "parts 2 and 3 of 4 are missing");
    no(&["p2.h5", "p1.h5", "p4.h5"], "part 3 of 4 is missing");
    fs::copy(at.join("p2.h5"), at.join("again.h5")).unwrap();
    no(&["p1.h5", "p2.h5", "again.h5", "p3.h5", "p4.h5"], "p2.h5 and again.h5 are both part 2 of 4");

    let made = |options: &str, name: &str| assert_eq!(integrate(at, 1, options, name).code, 0, "{options}");
    made("-c 51 --part 2/4", "bins.h5");
    no(&["p1.h5", "bins.h5", "p3.h5", "p4.h5"], "p1.h5 and bins.h5 are not parts of one whole");
    no(&["p1.h5", "bins.h5"], "npt: it was 50, it is 51");
    made("-c 50 --part 2/5", "five.h5");
    no(&["p1.h5", "five.h5"], "parts: it was 4, it is 5");
    made("-c 50 --frames :39 --part 2/4", "less.h5");
    no(&["p1.h5", "less.h5"], "frames: it was 40, it is 39");
    made("-c 50", "whole.h5");
    no(&["p1.h5", "whole.h5"], "whole.h5: this is no part of anything: it was made without --part");
    refused(&merge(at, &parts, "-o whole.h5"), 5, "there is already a file of that name");
    refused(&merge(at, &parts, "-o p3.h5 --overwrite"), 5, "that is the part p3.h5");
    no(&["scan/small_00000.cbf"], "it is not an HDF5 file");
    no(&["nothing.h5"], "nothing.h5");

    // The same numbers of other frames.
    fs::rename(at.join("scan/small_00039.cbf"), at.join("scan/small_00040.cbf")).unwrap();
    made("-c 50 --part 2/4", "other.h5");
    no(&["p1.h5", "other.h5", "p3.h5", "p4.h5"], "list of files: it holds other values than before");
}

#[test]
fn a_damaged_row_is_refused_by_its_frame() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_small_scan(at, FRAMES);
    let parts = all_parts(at, 1, "-c 50", 2);
    let open = hdf5::File::open(at.join("p2.h5")).unwrap();
    let place = open.dataset("entry_0000/xrdct/result/intensity").unwrap().offset().expect("a place");
    drop(open);
    let change = File::options().write(true).open(at.join("p2.h5")).unwrap();
    change.write_all_at(&[1; 4], place + 7 * 50 * 4 + 100).unwrap();
    let before = names(at);
    refused(
        &merge(at, &parts, "-o whole.h5"),
        3,
        "p2.h5: this is not a result of xrdct: the row of its frame 7 is damaged",
    );
    assert_eq!(names(at), before);
}

#[test]
fn parts_without_frames_are_not_made() {
    let folder = tempfile::tempdir().unwrap();
    write_small_scan(folder.path(), FRAMES);
    let no = |options: &str, words: &str| refused(&integrate(folder.path(), 1, options, "p.h5"), 2, words);
    no("--part 1/41", "these frames make 40 parts at most");
    no("-r 4 -t 10 --part 5/5", "in whole lines (10 frames stay together) these frames make 4 parts at most");
    no("-r 4 -t 10 --zigzag --part 1/3", "(20 frames stay together) these frames make 2 parts at most");
    no("--part 0/3", "is not K/N");
    no("--part 4/3", "is not K/N");
    no("--part 1/2 --tomo t.h5", "--tomo");
    assert_eq!(names(folder.path()), ["scan", "small.poni"]);
}

#[test]
fn a_part_that_was_killed_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_small_scan(at, FRAMES);
    let parts = all_parts(at, 1, "-c 50", 2);
    fs::remove_file(at.join("p2.h5")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_xrdct"));
    command.current_dir(at).args([
        "integrate",
        "scan",
        "-p",
        "small.poni",
        "--device",
        "cpu",
        "-q",
        "-c",
        "50",
    ]);
    command.args(["--flush", "0.001", "--part", "2/2", "-o", "p2.h5"]);
    let mut run = command.env("LD_PRELOAD", disk()).env("XRDCT_TEST_SLOW", "small_:20").spawn().unwrap();
    let begun = Instant::now();
    while !ResultInfo::open(&at.join("p2.h5")).is_ok_and(|info| info.frames_done() > 2) {
        assert!(begun.elapsed() < LIMIT, "it does not come");
        sleep(Duration::from_millis(1));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    let missing = 20 - ResultInfo::open(&at.join("p2.h5")).unwrap().frames_done();
    let words = format!(
        "p2.h5: this part is not complete: {missing} of 20 frames are missing (its run goes on, or was killed)"
    );
    refused(&merge(at, &parts, "-o whole.h5"), 3, &words);
    refused(&integrate(at, 1, "-c 50 --part 1/2 --resume", "p2.h5"), 5, "part: it was 2/2, it is 1/2");
    assert_eq!(integrate(at, 1, "-c 50 --part 2/2 --resume", "p2.h5").code, 0);
    assert_eq!(merge(at, &parts, "-o whole.h5").code, 0);
    assert_eq!(ResultInfo::open(&at.join("whole.h5")).unwrap().frames_done(), FRAMES);
}

#[test]
fn a_saved_configuration_keeps_the_part_and_the_whole_map() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_small_scan(at, FRAMES);
    let options = "-c 50 -r 4 -t 10 --part 2/4 --save-config run.json";
    assert_eq!(integrate(at, 1, options, "p2.h5").code, 0);
    for (settings, name) in [("run.json", "by_file.h5"), ("p2.h5", "by_result.h5")] {
        let words = ["integrate", "--config", settings, "--device", "cpu", "-q", "-o", name];
        assert_eq!(xrdct(at, &words).code, 0, "{settings}");
        let [one, other] = ["p2.h5", name].map(|name| ResultInfo::open(&at.join(name)).unwrap());
        assert_eq!((other.shape, &other.part, other.inputs), (vec![1, 10, 50], &one.part, one.inputs));
    }
}

#[test]
fn rows_of_the_cpu_stay_marked() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_small_scan(at, FRAMES);
    let parts = all_parts(at, 1, "-c 50", 2);
    for name in &parts {
        // As if a GPU had made them.
        let open = hdf5::File::open_rw(at.join(name)).unwrap();
        let recipe = open.dataset("entry_0000/xrdct/configuration/recipe").unwrap();
        let text = recipe.read_scalar::<hdf5::types::VarLenUnicode>().unwrap().replace("\"cpu\"", "\"cuda\"");
        recipe.write_scalar(&text.parse::<hdf5::types::VarLenUnicode>().unwrap()).unwrap();
        // The last frames of the second part are to come.
        if name == "p2.h5" {
            let statuses = open.dataset("entry_0000/xrdct/frame_status").unwrap();
            statuses.write(&[[0_u8; 15].as_slice(), &[1; 5]].concat()).unwrap();
        }
        drop(recipe);
        open.close().unwrap();
    }
    assert_eq!(integrate(at, 1, "-c 50 --part 2/2 --resume", "p2.h5").code, 0);
    for more in ["", " --virtual"] {
        let done = merge(at, &parts, &format!("-o whole.h5 --overwrite{more}"));
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{more}");
        let (marked, why) = ResultInfo::open(&at.join("whole.h5")).unwrap().gone_over.expect("marked rows");
        assert!(marked == 5 && why.contains("resumed on the CPU"), "{more}: {marked} {why}");
        let marks: Vec<u8> = hdf5::File::open(at.join("whole.h5"))
            .unwrap()
            .dataset("entry_0000/xrdct/frame_device")
            .unwrap()
            .read_raw()
            .unwrap();
        assert_eq!(marks, [[0_u8; 35].as_slice(), &[1; 5]].concat(), "{more}");
    }
}

#[test]
fn a_whole_tells_of_every_device_that_its_parts_lost() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_small_scan(at, FRAMES);
    let parts = all_parts(at, 1, "-c 50", 3);
    let lost: [&[&str]; 3] =
        [&["cuda:1: failed", "cuda:0: hung"], &[], &["cuda:2: failed", "cuda:1: failed"]];
    for (name, whys) in parts.iter().zip(lost) {
        let open = hdf5::File::open_rw(at.join(name)).unwrap();
        let texts: Vec<hdf5::types::VarLenUnicode> = whys.iter().map(|why| why.parse().unwrap()).collect();
        if !texts.is_empty() {
            let process = open.group("entry_0000/xrdct").unwrap();
            process.new_dataset_builder().with_data(&texts).create("lost_devices").unwrap();
        }
        open.close().unwrap();
    }
    for more in ["", " --virtual"] {
        // In any order: it is that of the parts.
        let named = [&parts[2], &parts[0], &parts[1]];
        let done = merge(at, &named, &format!("-o whole.h5 --overwrite{more}"));
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{more}");
        let info = ResultInfo::open(&at.join("whole.h5")).unwrap();
        assert_eq!(info.lost_devices, ["cuda:1: failed", "cuda:0: hung", "cuda:2: failed"], "{more}");
    }
}

#[test]
fn a_virtual_whole_finds_its_parts_beside_itself_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_small_scan(at, FRAMES);
    let parts = all_parts(at, 1, "-c 50", 2);
    fs::create_dir_all(at.join("a/parts")).unwrap();
    let moved: Vec<String> = parts.iter().map(|name| format!("a/parts/50% {name}")).collect();
    for (from, to) in parts.iter().zip(&moved) {
        fs::rename(at.join(from), at.join(to)).unwrap();
    }
    let done = xrdct(at, &["merge", "-q", &moved[0], &moved[1], "--virtual", "-o", "a/whole.h5"]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    fs::rename(at.join("a"), at.join("b")).unwrap();
    // A file of the same name in the working directory is another one.
    let decoy = at.join("b/parts");
    fs::create_dir_all(at.join("parts")).unwrap();
    fs::write(at.join("parts/50% p1.h5"), "not it").unwrap();
    let rows = |of: &str| {
        let said = xrdct(at, &["info", of]);
        assert_eq!(said.code, 0, "{}", said.stderr);
        crate::support::one_line(&said.stdout, "rows").to_owned()
    };
    assert!(rows("b/whole.h5").ends_with(" 40 good"), "{}", rows("b/whole.h5"));
    let patterns = Patterns::open(&at.join("b/whole.h5")).unwrap();
    let values = patterns.read(0..50).unwrap();
    assert!(values.len() == FRAMES * 50 && values.iter().all(|value| value.is_finite()));

    fs::remove_file(decoy.join("50% p2.h5")).unwrap();
    assert!(rows("b/whole.h5").contains("20 good, 20 pending"), "{}", rows("b/whole.h5"));
    let read = Patterns::open(&at.join("b/whole.h5")).unwrap();
    let there = read.read(0..50).unwrap();
    assert!(there[..1000] == values[..1000] && there[1000..].iter().all(|value| value.is_nan()));
}

/// Bytes a second of merging beside those of `cp` with `sync`, on the disk of the temporary folder: run it alone, `--ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn merging_rate() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_small_scan(at, FRAMES);
    fs::write(at.join("list.txt"), "scan\n".repeat(500)).unwrap();
    for number in 1..=4 {
        let part = format!("{number}/4");
        let words = [
            "integrate",
            "@list.txt",
            "-p",
            "small.poni",
            "--device",
            "cpu",
            "-q",
            "-c",
            "10000",
            "--part",
            &part,
        ];
        let output = format!("p{number}.h5");
        assert_eq!(xrdct(at, &[&words[..], &["-o", &output]].concat()).code, 0);
    }
    let mut ratios = Vec::new();
    for _ in 0..5 {
        let _ = fs::remove_dir_all(at.join("copies"));
        let _ = fs::remove_file(at.join("whole.h5"));
        let begun = Instant::now();
        let copy = "mkdir copies && cp p?.h5 copies && sync copies/*";
        assert!(Command::new("sh").current_dir(at).args(["-c", copy]).status().unwrap().success());
        let copying = begun.elapsed();
        let begun = Instant::now();
        assert_eq!(merge(at, &["p1.h5", "p2.h5", "p3.h5", "p4.h5"], "-o whole.h5").code, 0);
        ratios.push(copying.as_secs_f64() / begun.elapsed().as_secs_f64());
    }
    ratios.sort_by(f64::total_cmp);
    let bytes = fs::metadata(at.join("whole.h5")).unwrap().len();
    println!(
        "{} MB: merge at {:.2} of cp and sync (median of 5: {ratios:.2?})",
        bytes / 1_000_000,
        ratios[2]
    );
}

mod needs_oracle {
    use super::*;
    use crate::support::ask_oracle;

    const LAPS: usize = 5;
    /// What is made of 200 frames, and of how many parts.
    const KINDS: [(&str, &str, usize); 6] = [
        ("series", "-c 100", 3),
        ("slice", "-c 60 --offset 2 --frames 1:150:2 --error-model poisson --sums", 4),
        ("map", "-c 80 -r 20 -t 10 --zigzag --sums", 3),
        ("motors", "-c 40 --config motors.json --error-model poisson", 4),
        ("short_map", "-c 50 -r 40 -t 9 --sums --error-model poisson --method full", 5),
        ("short_zigzag", "-c 30 -r 30 -t 15 --zigzag", 4),
    ];

    #[track_caller]
    fn same(pairs: &[(String, String)], folder: &Path, expected: &str) {
        let paths: Vec<_> = pairs.iter().flat_map(|(a, b)| [folder.join(a), folder.join(b)]).collect();
        let paths: Vec<&Path> = paths.iter().map(|path| path.as_path()).collect();
        assert_eq!(ask_oracle("parts.py", &paths), expected);
    }

    #[test]
    fn merged_and_shown_parts_are_one_run() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        write_small_scan(at, FRAMES);
        let bad = at.join("scan/small_00011.cbf");
        let whole = fs::read(&bad).unwrap();
        fs::write(&bad, &whole[..whole.len() - 5000]).unwrap();
        let motors = r#"{ "slow": 20, "fast": 10, "slow_motor": { "name": "rot", "start": -30.1, "stop": 149.7 },
            "fast_motor": { "name": "y", "start": 0.3, "stop": 1.1 } }"#;
        fs::write(at.join("motors.json"), motors).unwrap();
        let (mut pairs, mut expected) = (Vec::new(), String::new());
        for (kind, options, count) in KINDS {
            let one = format!("{kind}.h5");
            assert_eq!(integrate(at, LAPS, options, &one).code, 10);
            let parts = all_parts(at, LAPS, options, count);
            for (how, more) in [("copied", ""), ("virtual", " --virtual")] {
                let other = format!("{kind}_{how}.h5");
                let done = merge(at, &parts, &format!("-o {other}{more}"));
                assert_eq!((done.code, done.stderr.as_str()), (10, ""), "{kind} {how}");
                pairs.push((one.clone(), other));
                expected.push_str(&format!("{how} same\n"));
            }
            // What is shown must stay.
            for name in &parts {
                fs::rename(at.join(name), at.join(format!("{kind}_{name}"))).unwrap();
            }
            let parts: Vec<String> = parts.iter().map(|name| format!("{kind}_{name}")).collect();
            let done = merge(at, &parts, &format!("-o {kind}_virtual.h5 --overwrite --virtual"));
            assert_eq!((done.code, done.stderr.as_str()), (10, ""), "{kind}");
        }
        same(&pairs, at, &expected);
    }

    #[test]
    fn parts_of_hdf5_files_are_one_run_and_all_readers_see_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let simulated = "simulate -o scan --format eiger --frames-per-file 20 --phantom --detector Pilatus100k --rotations 6 \
                         --translations 9 --zigzag --seed 5";
        assert_eq!(xrdct(at, &simulated.split_whitespace().collect::<Vec<_>>()).code, 0);
        let run = |more: &str| {
            let words = "integrate scan/frame_master.h5 -p scan/geometry.poni --device cpu -q -c 200";
            let words: Vec<&str> = words.split(' ').chain(more.split(' ')).collect();
            let done = xrdct(at, &words);
            assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{more}");
        };
        let mut pairs = Vec::new();
        for (kind, options, count) in [("series", "--sums", 4), ("map", "-r 6 -t 9 --zigzag", 3)] {
            run(&format!("{options} -o {kind}.h5"));
            let part = |number| {
                run(&format!("{options} --part {number}/{count} -o {kind}_p{number}.h5"));
                format!("{kind}_p{number}.h5")
            };
            let parts: Vec<String> = (1..=count).map(part).collect();
            for (how, more) in [("copied", ""), ("virtual", " --virtual")] {
                let other = format!("{kind}_{how}.h5");
                let done = merge(at, &parts, &format!("-o {other}{more}"));
                assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{kind} {how}");
                pairs.push((format!("{kind}.h5"), other));
            }
        }
        same(&pairs, at, "copied same\nvirtual same\ncopied same\nvirtual same\n");

        let tomogram = |of: &str| {
            let made = xrdct(at, &["tomo", of, "-o", "t.h5", "--overwrite", "--device", "cpu", "-q"]);
            assert_eq!(made.code, 0, "{of}: {}", made.stderr);
            let file = hdf5::File::open(at.join("t.h5")).unwrap();
            file.dataset("entry_0000/tomo/tomogram/tomogram").unwrap().read_raw::<f32>().unwrap()
        };
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let expected = bits(tomogram("map.h5"));
        for other in ["map_copied.h5", "map_virtual.h5"] {
            assert_eq!(bits(tomogram(other)), expected, "{other}");
            for words in [
                vec!["plot", other, "-o", "o.svg", "--overwrite"],
                vec!["report", other, "-o", "o.html", "--overwrite"],
            ] {
                let done = xrdct(at, &words);
                assert_eq!(done.code, 0, "{words:?}: {}", done.stderr);
            }
            let said = xrdct(at, &["info", other]).stdout;
            assert!(said.contains("54 good") && said.contains("3 parts, map_p1.h5 … map_p3.h5"), "{said}");
        }
    }
}
