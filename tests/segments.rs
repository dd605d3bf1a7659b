//! A result in segments is one result: for every reader the same bits as one file, whatever ends its run and whoever goes on with it. Each
//! segment is a result that is whole; what is missing, replaced or of another run is named by its path.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use xrdct::output::result::{Patterns, Progress, ResultInfo, Segments};

use crate::manners::disk;
use crate::resume::{begin, end, wait_for};
use crate::support::{Done, names, one_line, write_small_scan, xrdct};

const FRAMES: usize = 40;
/// Patterns of 50 bins: so many frames make a segment of some size.
const SERIES: &str = "--device cpu -c 50 --segments 2K";

fn words<'a>(laps: usize, options: &'a str, output: &'a str) -> Vec<&'a str> {
    let mut words = vec!["integrate"];
    words.extend(std::iter::repeat_n("scan", laps));
    words.extend(["-p", "small.poni", "-q", "-o", output]);
    words.extend(options.split_whitespace());
    words
}

fn integrate(folder: &Path, laps: usize, options: &str, output: &str) -> Done {
    xrdct(folder, &words(laps, options, output))
}

#[track_caller]
fn made(folder: &Path, laps: usize, options: &str, output: &str) {
    let done = integrate(folder, laps, options, output);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{options}");
}

#[track_caller]
fn refused(done: &Done, code: i32, words: &str) {
    assert!(done.code == code && done.stderr.contains(words), "{words}: {} {}", done.code, done.stderr);
}

fn segments(master: &Path) -> Segments {
    ResultInfo::open(master).unwrap().segments.expect("a master")
}

fn done_of(path: &Path) -> usize {
    ResultInfo::open(path).map_or(0, |info| info.frames_done())
}

fn rows_of(path: &Path) -> Vec<u32> {
    let patterns = Patterns::open(path).unwrap();
    patterns.read(0..patterns.radial().centres.len()).unwrap().into_iter().map(f32::to_bits).collect()
}

/// Begins a run and kills it when it has so many rows.
fn killed_after(folder: &Path, options: &str, output: &str, rows: usize) {
    let mut run = begin(folder, &words(1, options, output), 20);
    wait_for(|| done_of(&folder.join(output)) >= rows);
    run.kill().unwrap();
    run.wait().unwrap();
}

#[test]
fn each_segment_is_a_result_and_the_master_says_which_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_small_scan(at, FRAMES);
    made(at, 1, SERIES, "r.h5");
    assert_eq!(names(at), ["r.h5", "r.h5.parts", "scan", "small.poni"], "no lock, no draft");
    let all = segments(&at.join("r.h5"));
    assert!(all.count() > 3 && names(&at.join("r.h5.parts")).len() == all.count(), "{all:?}");
    let mut next = 0;
    for number in 0..all.count() {
        let info = ResultInfo::open(&all.path(number)).unwrap();
        assert_eq!((&info.progress, info.frames_done()), (&Progress::Complete, all.frames_of(number)));
        let of = info.segment.expect("a segment");
        assert_eq!(
            (of.number, of.first, of.frames, of.master.as_str()),
            (number, next, Some(FRAMES), "r.h5")
        );
        // Its own frames' files only.
        assert_eq!(info.inputs.len(), all.frames_of(number));
        assert!(info.inputs[0].ends_with(&format!("small_{next:05}.cbf")), "{:?}", info.inputs);
        next += all.frames_of(number);
    }
    assert_eq!(next, FRAMES);
    let said = xrdct(at, &["info", "r.h5"]).stdout;
    let line = one_line(&said, "segments");
    let last = format!("r.h5.parts/{:04}.h5", all.count() - 1);
    assert!(line.contains("r.h5.parts/0000.h5 … ") && line.ends_with(&last), "{said}");
    let said = xrdct(at, &["info", "r.h5.parts/0001.h5"]).stdout;
    assert!(one_line(&said, "segment").contains("1 of r.h5"), "{said}");
}

#[test]
fn only_what_is_large_is_divided_unless_somebody_asks() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_small_scan(at, FRAMES);
    let planned =
        |laps, options: &str| integrate(at, laps, &format!("--device cpu --dry-run {options}"), "r.h5");
    let line = |done: Done| done.stdout.lines().find(|line| line.starts_with("segments")).map(str::to_owned);
    assert_eq!(line(planned(1, "-c 1000")), None);
    // Of a thousand frames with half a million bins each: 2 GB and then some.
    assert_eq!(line(planned(25, "-c 500000")), None, "2.0e9 bytes are less than 2 GiB");
    let large = line(planned(25, "-c 600000")).expect("segments");
    assert!(large.contains("10 of up to 111 frames"), "{large}");
    assert_eq!(line(planned(25, "-c 600000 --segments off")), None);
    let asked = line(planned(1, "-c 1000 --segments 40K")).expect("segments");
    assert!(asked.contains("4 of up to "), "{asked}");
    refused(&planned(1, "--segments 1.5G"), 2, "must be auto, off, or a size such as 256M or 1G");
    let many = planned(1, "--frames :39 -c 10 --segments 1");
    assert_eq!(many.code, 0, "{}", many.stderr);
}

#[test]
fn a_second_run_is_refused_and_the_first_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_small_scan(at, FRAMES);
    let first = begin(at, &words(1, SERIES, "r.h5"), 30);
    wait_for(|| at.join("r.h5").exists());
    for more in ["", "--overwrite", "--resume"] {
        let second = integrate(at, 1, &format!("{SERIES} {more}"), "r.h5");
        refused(&second, 5, &format!("process {}", first.id()));
    }
    assert_eq!(end(first), (Some(0), String::new()));
    assert_eq!(done_of(&at.join("r.h5")), FRAMES);
}

#[test]
fn a_run_is_watched_through_its_master() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_small_scan(at, FRAMES);
    let run = begin(at, &words(1, SERIES, "r.h5"), 20);
    wait_for(|| done_of(&at.join("r.h5")) > 8);
    let patterns = Patterns::open(&at.join("r.h5")).unwrap();
    let rows = patterns.read(0..50).unwrap();
    let is_there = |row: &[f32]| row.iter().all(|value| value.is_finite());
    for (row, good) in rows.chunks(50).zip(&patterns.good) {
        assert!(if *good { is_there(row) } else { row.iter().all(|value| value.is_nan()) });
    }
    let there = patterns.good.iter().filter(|good| **good).count();
    assert!(there > 8 && there < FRAMES, "{there}");
    let all = segments(&at.join("r.h5"));
    assert!(!all.missing().is_empty(), "not all are born");
    let said = xrdct(at, &["info", "r.h5"]).stdout;
    assert!(one_line(&said, "segments").contains(" are there") && !said.contains("missing:"), "{said}");
    assert_eq!(end(run), (Some(0), String::new()));
}

#[test]
fn what_is_complete_is_not_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_small_scan(at, FRAMES);
    made(at, 1, SERIES, "whole.h5");
    killed_after(at, SERIES, "r.h5", 25);
    let all = segments(&at.join("r.h5"));
    let stamp =
        |number: usize| fs::metadata(all.path(number)).map(|it| (it.ino(), it.mtime(), it.mtime_nsec())).ok();
    let is_complete = |number: &usize| {
        ResultInfo::open(&all.path(*number)).is_ok_and(|info| info.progress == Progress::Complete)
    };
    let complete: Vec<_> =
        (0..all.count()).filter(is_complete).map(|number| (number, stamp(number))).collect();
    assert!(complete.len() > 1 && complete.len() < all.count(), "{complete:?}");
    // Another division is not gone on with, nor one file.
    let before = names(&at.join("r.h5.parts"));
    let other = |segments: &str| integrate(at, 1, &format!("--device cpu -c 50 --resume {segments}"), "r.h5");
    refused(&other("--segments off"), 2, "and stays so: leave --segments out");
    refused(&other("--segments 1K"), 2, "leave --segments out");
    assert_eq!(names(&at.join("r.h5.parts")), before);
    let resumed = other("");
    assert_eq!((resumed.code, resumed.stderr.as_str()), (0, ""));
    for (number, before) in complete {
        assert_eq!(stamp(number), before, "segment {number}");
    }
    assert_eq!(rows_of(&at.join("r.h5")), rows_of(&at.join("whole.h5")));
    assert_eq!(names(&at.join("r.h5.parts")).len(), all.count(), "drafts of the killed run are gone");
    // Of what is complete nothing is to be done.
    let words: Vec<&str> =
        words(1, "--device cpu -c 50 --resume", "r.h5").into_iter().filter(|w| *w != "-q").collect();
    assert_eq!(xrdct(at, &words).stdout, "complete: 40 frames are in r.h5\n");
}

#[test]
fn a_segment_that_is_lost_is_named_and_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_small_scan(at, FRAMES);
    made(at, 1, "--device cpu -c 50 -r 8 -t 5 --segments 2K", "r.h5");
    let whole = rows_of(&at.join("r.h5"));
    let lost = segments(&at.join("r.h5")).path(2);
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 2] = [
        ("is not there", |file| fs::remove_file(file).unwrap()),
        ("cannot be read, or is another file", |file| fs::write(file, "something else").unwrap()),
    ];
    for (what, harm) in harms {
        harm(&lost);
        let named = format!("r.h5.parts/0002.h5: this segment of r.h5 {what}");
        for words in [
            vec!["tomo", "r.h5", "-o", "t.h5", "--device", "cpu"],
            vec!["plot", "r.h5", "-o", "p.svg"],
            vec!["report", "r.h5", "-o", "p.html"],
        ] {
            refused(&xrdct(at, &words), 3, &named);
        }
        let merged = xrdct(at, &["merge", "-q", "r.h5", "-o", "one.h5"]);
        refused(&merged, 3, "r.h5.parts/0002.h5: this segment of r.h5");
        assert_eq!(names(at), ["r.h5", "r.h5.parts", "scan", "small.poni"], "nothing is left");
        let said = xrdct(at, &["info", "r.h5"]);
        if what == "is not there" {
            assert!(one_line(&said.stdout, "rows").contains("pending"), "{}", said.stdout);
            assert!(said.stdout.contains("missing: r.h5.parts/0002.h5"), "{}", said.stdout);
        } else {
            refused(&said, 3, &named);
            let done = integrate(at, 1, "--device cpu -c 50 -r 8 -t 5 --resume", "r.h5");
            refused(&done, 5, &named);
            fs::remove_file(&lost).unwrap();
        }
        made(at, 1, "--device cpu -c 50 -r 8 -t 5 --resume", "r.h5");
        assert_eq!(rows_of(&at.join("r.h5")), whole, "{what}");
    }
    // One of another run is not taken for it.
    made(at, 1, "--device cpu -c 50 -r 8 -t 5 --segments 2K", "other.h5");
    fs::copy(segments(&at.join("other.h5")).path(2), &lost).unwrap();
    refused(
        &xrdct(at, &["merge", "-q", "r.h5", "-o", "one.h5"]),
        3,
        "no segment of r.h5, but of another run",
    );
}

#[test]
fn what_goes_away_under_the_run_is_an_error() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 4] = [
        ("the master", |at| fs::remove_file(at.join("r.h5")).unwrap()),
        ("a segment that is complete", |at| fs::remove_file(at.join("r.h5.parts/0000.h5")).unwrap()),
        ("a segment, replaced", |at| {
            fs::write(at.join("new"), "precious").unwrap();
            fs::rename(at.join("new"), at.join("r.h5.parts/0000.h5")).unwrap();
        }),
        ("all segments", |at| fs::remove_dir_all(at.join("r.h5.parts")).unwrap()),
    ];
    for (what, harm) in harms {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        write_small_scan(at, FRAMES);
        let run = begin(at, &words(1, SERIES, "r.h5"), 20);
        let is_complete = || {
            ResultInfo::open(&at.join("r.h5.parts/0000.h5"))
                .is_ok_and(|info| info.progress == Progress::Complete)
        };
        wait_for(is_complete);
        harm(at);
        let (code, said) = end(run);
        assert!(code == Some(5) && said.contains("deleted, renamed or replaced"), "{what}: {code:?} {said}");
        if what == "a segment, replaced" {
            assert_eq!(fs::read(at.join("r.h5.parts/0000.h5")).unwrap(), b"precious");
        }
    }
}

#[test]
fn what_is_replaced_stays_whole_until_the_new_one_is_complete_and_then_all_of_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_small_scan(at, FRAMES);
    made(at, 1, SERIES, "r.h5");
    let (file, old) = (at.join("r.h5"), at.join(".r.h5.old"));
    let first = rows_of(&file);
    // Somebody's own file is nobody's business.
    fs::write(at.join("r.h5.parts/notes.txt"), "precious").unwrap();
    let npt = |path: &Path| ResultInfo::open(path).map_or(0, |info| info.shape[1]);
    let other = "--device cpu -c 60 --segments 3K --overwrite";
    for stopped in 0..2 {
        let mut run = begin(at, &words(1, other, "r.h5"), 20);
        wait_for(|| old.exists() && npt(&file) == 60 && done_of(&file) > 15);
        run.kill().unwrap();
        run.wait().unwrap();
        assert_eq!(rows_of(&old), first, "after {stopped} runs more that did not end");
    }
    made(at, 1, "--device cpu -c 60 --resume", "r.h5");
    assert_eq!((npt(&file), done_of(&file)), (60, FRAMES));
    assert_eq!(names(at), ["r.h5", "r.h5.parts", "scan", "small.poni"], "nothing is left");
    let of_now: Vec<PathBuf> =
        (0..segments(&file).count()).map(|number| segments(&file).path(number)).collect();
    assert_eq!(names(&at.join("r.h5.parts")).len(), of_now.len() + 1, "{:?}", names(&at.join("r.h5.parts")));
    assert!(of_now.iter().all(|path| path.exists()));
    // One file in their place: they go, and their folder with what is ours.
    made(at, 1, "--device cpu -c 50 --segments off --overwrite", "r.h5");
    assert_eq!(names(&at.join("r.h5.parts")), ["notes.txt"]);
    assert_eq!(rows_of(&file), first);
    fs::remove_dir_all(at.join("r.h5.parts")).unwrap();
    // And segments in the place of one file, and one file again.
    made(at, 1, &format!("{SERIES} --overwrite"), "r.h5");
    made(at, 1, "--device cpu -c 50 --segments off --overwrite", "r.h5");
    assert_eq!(names(at), ["r.h5", "scan", "small.poni"]);
}

#[test]
fn a_disk_without_room_leaves_nothing_or_what_was_done() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_small_scan(at, FRAMES);
    made(at, 1, SERIES, "whole.h5");
    let full = |name: &str, bytes: usize, output: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xrdct"));
        command.current_dir(at).args(words(1, SERIES, output));
        command.env("LD_PRELOAD", disk()).env("XRDCT_TEST_FULL", format!("{name}:{bytes}"));
        let done = command.output().unwrap();
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let (code, said) = full("first.h5.parts/.0000.h5", 100, "first.h5");
    assert!(code == Some(5) && said.contains("no room to write"), "{code:?} {said}");
    assert!(!names(at).iter().any(|name| name.contains("first")), "{:?}", names(at));
    for (number, bytes) in [(3, 100), (2, 6000)] {
        let output = format!("full{number}.h5");
        let name = format!("{output}.parts/.000{number}.h5");
        let (code, said) = full(&name, bytes, &output);
        assert!(code == Some(5) && said.contains("no room to write"), "{number}: {code:?} {said}");
        let there = done_of(&at.join(&output));
        assert!(there < FRAMES && there > 0, "{number}: {there}");
        let rest: Vec<String> =
            names(at).into_iter().filter(|name| name.starts_with(&format!(".{output}"))).collect();
        assert!(rest.is_empty(), "{rest:?}");
        made(at, 1, "--device cpu -c 50 --resume", &output);
        assert_eq!(rows_of(&at.join(&output)), rows_of(&at.join("whole.h5")), "{number}");
    }
    // More than any disk has.
    let huge = integrate(at, 25, "--device cpu -c 1000000000 --segments 1T", "huge.h5");
    assert_ne!(huge.code, 0);
    assert!(!names(at).iter().any(|name| name.contains("huge")), "{:?}", names(at));
}

#[test]
fn bad_frames_keep_their_reasons_and_are_tried_again_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_small_scan(at, FRAMES);
    made(at, 1, SERIES, "whole.h5");
    let frames = [3, 17, 38].map(|number| at.join(format!("scan/small_{number:05}.cbf")));
    let kept = frames.clone().map(|frame| fs::read(frame).unwrap());
    for (frame, kept) in frames.iter().zip(&kept) {
        fs::write(frame, &kept[..kept.len() / 2]).unwrap();
    }
    assert_eq!(integrate(at, 1, SERIES, "r.h5").code, 10);
    let bad = || ResultInfo::open(&at.join("r.h5")).unwrap().bad_frames;
    let numbers = || bad().iter().map(|line| line[..8].to_owned()).collect::<Vec<_>>();
    assert_eq!(numbers(), ["frame 3:", "frame 17", "frame 38"]);
    fs::remove_file(segments(&at.join("r.h5")).path(1)).unwrap();
    assert_eq!(integrate(at, 1, &format!("{SERIES} --resume"), "r.h5").code, 10);
    assert_eq!(numbers(), ["frame 3:", "frame 17", "frame 38"], "those of segments that stay are kept");
    for (frame, kept) in frames.iter().zip(&kept) {
        fs::write(frame, kept).unwrap();
    }
    made(at, 1, "--device cpu -c 50 --resume --retry-bad", "r.h5");
    assert!(bad().is_empty());
    assert_eq!(rows_of(&at.join("r.h5")), rows_of(&at.join("whole.h5")));
}

#[test]
fn rows_that_the_cpu_adds_to_a_gpus_are_marked() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_small_scan(at, FRAMES);
    killed_after(at, SERIES, "r.h5", 15);
    let there = done_of(&at.join("r.h5"));
    // As if a GPU had made them.
    let all = segments(&at.join("r.h5"));
    let paths = (0..all.count()).map(|number| all.path(number)).chain([at.join("r.h5")]);
    for path in paths.filter(|path| path.exists()) {
        let open = hdf5::File::open_rw(path).unwrap();
        let recipe = open.dataset("entry_0000/xrdct/configuration/recipe").unwrap();
        let text = recipe.read_scalar::<hdf5::types::VarLenUnicode>().unwrap().replace("\"cpu\"", "\"cuda\"");
        recipe.write_scalar(&text.parse::<hdf5::types::VarLenUnicode>().unwrap()).unwrap();
        drop(recipe);
        open.close().unwrap();
    }
    made(at, 1, "--device cpu -c 50 --resume", "r.h5");
    let gone_over = |path: &str| ResultInfo::open(&at.join(path)).unwrap().gone_over;
    let (marked, why) = gone_over("r.h5").expect("rows of the CPU's");
    assert!(marked == FRAMES - there && why.contains("resumed on the CPU"), "{marked} {there} {why}");
    for (more, name) in [("", "one.h5"), ("--virtual", "shown.h5")] {
        let mut words = vec!["merge", "-q", "r.h5", "-o", name];
        words.extend(more.split_whitespace());
        assert_eq!(xrdct(at, &words).code, 0, "{more}");
        assert_eq!(gone_over(name).map(|(marked, _)| marked), Some(FRAMES - there), "{more}");
    }
    // Marks stay when a run goes on once more.
    fs::remove_file(all.path(0)).unwrap();
    made(at, 1, "--device cpu -c 50 --resume", "r.h5");
    let (marked, _) = gone_over("r.h5").expect("rows of the CPU's");
    assert_eq!(marked, FRAMES - there + all.frames_of(0));
}

#[test]
fn master_and_segments_move_together_and_a_link_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_small_scan(at, FRAMES);
    made(at, 1, SERIES, "r.h5");
    let rows = rows_of(&at.join("r.h5"));
    fs::create_dir(at.join("away")).unwrap();
    for name in ["r.h5", "r.h5.parts"] {
        fs::rename(at.join(name), at.join("away").join(name)).unwrap();
    }
    std::os::unix::fs::symlink("away/r.h5", at.join("latest.h5")).unwrap();
    assert_eq!(rows_of(&at.join("away/r.h5")), rows);
    assert_eq!(rows_of(&at.join("latest.h5")), rows);
    fs::remove_file(at.join("away/r.h5.parts/0001.h5")).unwrap();
    made(at, 1, "--device cpu -c 50 --resume", "latest.h5");
    assert_eq!(rows_of(&at.join("away/r.h5")), rows);
    assert_eq!(names(at), ["away", "latest.h5", "scan", "small.poni"]);
}

#[test]
fn a_master_that_names_what_is_no_segment_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_small_scan(at, FRAMES);
    made(at, 1, SERIES, "r.h5");
    fs::write(at.join("precious.h5"), "precious").unwrap();
    let open = hdf5::File::open_rw(at.join("r.h5")).unwrap();
    let listed = open.dataset("entry_0000/xrdct/segments/file_names").unwrap();
    let mut said: Vec<hdf5::types::VarLenUnicode> = listed.read_raw().unwrap();
    said[1] = "precious.h5".parse().unwrap();
    listed.write_raw(&said).unwrap();
    drop(listed);
    open.close().unwrap();
    refused(&xrdct(at, &["info", "r.h5"]), 3, "`precious.h5` is not what a segment is called");
    let done = integrate(at, 1, "--device cpu -c 50 --resume", "r.h5");
    refused(&done, 5, "is not what a segment is called");
    made(at, 1, &format!("{SERIES} --overwrite"), "r.h5");
    assert_eq!(fs::read(at.join("precious.h5")).unwrap(), b"precious");
}

mod needs_oracle;
