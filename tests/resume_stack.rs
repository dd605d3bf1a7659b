//! A `convert` that did not end leaves a draft, never the stack; `--resume` goes on with it, and what comes out is what would have come out.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Instant, SystemTime};

use hdf5::types::VarLenUnicode;
use xrdct::frame::FrameStatus;
use xrdct::output::result::Progress;
use xrdct::output::stack::StackInfo;

use crate::manners::disk;
use crate::resume::{begin, end, wait_for};
use crate::support::{Done, SMALL, names, one_line, write_small_frame, write_small_scan, xrdct};

const FRAMES: usize = 40;
const IMAGE: usize = 61 * 47 * 4;

fn words<'a>(laps: usize, options: &'a str, output: &'a str) -> Vec<&'a str> {
    let mut words = vec!["convert"];
    words.extend(std::iter::repeat_n("scan", laps));
    words.extend(["-o", output]);
    words.extend(options.split_whitespace());
    words
}

fn convert(folder: &Path, options: &str) -> Done {
    xrdct(folder, &words(1, options, "s.h5"))
}

/// What a run left that did not end.
fn draft(folder: &Path) -> Option<PathBuf> {
    names(folder).into_iter().find(|name| name.ends_with(".part")).map(|name| folder.join(name))
}

fn good(info: &StackInfo) -> usize {
    info.statuses.iter().filter(|(status, _)| *status == FrameStatus::Good).map(|(_, count)| count).sum()
}

/// Waits until a running stack has some frames.
fn wait_for_images(folder: &Path) {
    let has_some = |draft: PathBuf| StackInfo::open(&draft).is_ok_and(|info| good(&info) > 2);
    wait_for(|| draft(folder).is_some_and(has_some));
}

/// Begins a slow run, and kills it when it has some frames.
fn killed(folder: &Path, options: &str) {
    let mut run = begin(folder, &words(1, &format!("-q {options}"), "s.h5"), 20);
    wait_for_images(folder);
    run.kill().unwrap();
    run.wait().unwrap();
}

/// Pixels, statuses, checksums, messages.
fn content(path: &Path) -> (Vec<i32>, Vec<u8>, Vec<u32>, Vec<String>) {
    let file = hdf5::File::open(path).expect("a stack");
    let entry = file.group("entry_0000").expect("an entry");
    let messages = entry.dataset("bad_frames").unwrap().read_raw::<VarLenUnicode>().unwrap();
    (
        entry.dataset("data/data").unwrap().read_raw().unwrap(),
        entry.dataset("frame_status").unwrap().read_raw().unwrap(),
        entry.dataset("image_crc").unwrap().read_raw().unwrap(),
        messages.iter().map(|message| message.to_string()).collect(),
    )
}

/// Where a dataset's bytes lie.
fn place(path: &Path, name: &str) -> u64 {
    hdf5::File::open(path).unwrap().dataset(name).unwrap().offset().expect("one after the other")
}

#[test]
fn killed_at_random_moments_gone_on_with_and_the_same() {
    const LAPS: usize = 25;
    let folder = tempfile::tempdir().unwrap();
    write_small_scan(folder.path(), FRAMES);
    // One frame of the scan is bad, in every lap.
    let bad = folder.path().join("scan/small_00011.cbf");
    let whole = fs::read(&bad).unwrap();
    fs::write(&bad, &whole[..whole.len() - 5000]).unwrap();
    let begun = Instant::now();
    assert_eq!(xrdct(folder.path(), &words(LAPS, "", "whole.h5")).code, 10);
    let longest = begun.elapsed();
    let expected = content(&folder.path().join("whole.h5"));
    assert_eq!((expected.1.len(), expected.3.len()), (FRAMES * LAPS, LAPS));
    let (mut half_way, mut random) = (0, 1_u64);
    for attempt in 0..25 {
        let file = folder.path().join("s.h5");
        // Some are killed a second time.
        for more in ["", "--resume"].into_iter().take(1 + attempt % 2) {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let moment = longest.mul_f64(1.1 * (random >> 33) as f64 / (1_u64 << 31) as f64);
            let mut run = begin(folder.path(), &words(LAPS, &format!("-q {more}"), "s.h5"), 0);
            sleep(moment);
            run.kill().unwrap();
            run.wait().unwrap();
            if let Some(draft) = draft(folder.path()) {
                assert!(!file.exists(), "half a stack has the name of a whole one");
                half_way += StackInfo::open(&draft).map_or(0, |info| usize::from(good(&info) > 0));
            }
        }
        let resumed = xrdct(folder.path(), &words(LAPS, "-q --resume", "s.h5"));
        assert_eq!((resumed.code, resumed.stderr.as_str()), (10, ""), "{attempt}");
        assert!(content(&file) == expected, "{attempt}");
        fs::remove_file(&file).unwrap();
        // What was killed before its file was one is not gone on with, and stays.
        while let Some(draft) = draft(folder.path()) {
            assert!(StackInfo::open(&draft).is_err(), "{attempt}");
            fs::remove_file(draft).unwrap();
        }
    }
    assert!(half_way >= 5, "{half_way} were killed half way");
}

#[test]
fn stopped_and_out_of_room_gone_on_with_and_the_same() {
    let folder = tempfile::tempdir().unwrap();
    write_small_scan(folder.path(), FRAMES);
    assert_eq!(xrdct(folder.path(), &words(1, "", "whole.h5")).code, 0);
    let whole = folder.path().join("whole.h5");
    let expected = content(&whole);

    let run = begin(folder.path(), &words(1, "-q", "s.h5"), 20);
    wait_for_images(folder.path());
    // SAFETY: a signal to a child of ours.
    unsafe { libc::kill(run.id() as i32, libc::SIGTERM) };
    assert_eq!(end(run).0, Some(143));
    let left = draft(folder.path()).expect("something to go on with");
    assert_eq!(StackInfo::open(&left).unwrap().progress, Progress::Interrupted);
    let info = xrdct(folder.path(), &["info", left.to_str().unwrap()]).stdout;
    assert!(info.contains(" pending") && info.contains("convert --resume"), "{info}");
    let resumed = convert(folder.path(), "--resume");
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert!(one_line(&resumed.stdout, "resumed").ends_with("were there"), "{}", resumed.stdout);
    assert!(content(&folder.path().join("s.h5")) == expected);

    let room = place(&whole, "entry_0000/data/data") + 17 * IMAGE as u64;
    let mut command = Command::new(env!("CARGO_BIN_EXE_xrdct"));
    command.current_dir(folder.path()).args(words(1, "", "full.h5"));
    command.env("LD_PRELOAD", disk()).env("XRDCT_TEST_FULL", format!("full.h5:{room}"));
    let full = command.output().unwrap();
    let said = String::from_utf8_lossy(&full.stderr);
    assert!(full.status.code() == Some(5) && said.contains("no room to write"), "{said}");
    assert!(said.contains("17 of 40 frames are in"), "{said}");
    let left = StackInfo::open(&draft(folder.path()).unwrap()).unwrap();
    assert!(matches!(&left.progress, Progress::Failed(why) if why.contains("no room")), "{left:?}");
    let resumed = xrdct(folder.path(), &words(1, "--resume", "full.h5"));
    assert_eq!(one_line(&resumed.stdout, "resumed"), "resumed: 17 frames were there");
    assert!(content(&folder.path().join("full.h5")) == expected);
    assert_eq!(names(folder.path()), ["full.h5", "s.h5", "scan", "small.poni", "whole.h5"]);
}

#[test]
fn a_draft_that_goes_away_under_the_run_is_an_error() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 4] = [
        ("deleted", |file| fs::remove_file(file).unwrap()),
        ("renamed", |file| fs::rename(file, file.with_file_name("other.h5")).unwrap()),
        ("replaced", |file| {
            fs::write(file.with_file_name("new"), "precious").unwrap();
            fs::rename(file.with_file_name("new"), file).unwrap();
        }),
        ("its folder deleted", |file| fs::remove_dir_all(file.parent().unwrap()).unwrap()),
    ];
    for (what, harm) in harms {
        let folder = tempfile::tempdir().unwrap();
        write_small_scan(folder.path(), FRAMES);
        let out = folder.path().join("out");
        fs::create_dir(&out).unwrap();
        let run = begin(folder.path(), &words(1, "-q", "out/s.h5"), 20);
        wait_for_images(&out);
        let left = draft(&out).unwrap();
        harm(&left);
        let (code, said) = end(run);
        assert!(code == Some(5) && said.contains("deleted, renamed or replaced"), "{what}: {code:?} {said}");
        assert!(!out.join("s.h5").exists());
        if what == "replaced" {
            assert_eq!(fs::read(&left).unwrap(), b"precious");
        }
    }
}

#[test]
fn a_second_run_is_refused_at_once_and_the_first_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    write_small_scan(folder.path(), FRAMES);
    let first = begin(folder.path(), &words(1, "-q", "s.h5"), 30);
    wait_for(|| draft(folder.path()).is_some());
    for more in ["", "--overwrite", "--resume"] {
        let second = convert(folder.path(), more);
        let who = format!("process {}", first.id());
        assert!(second.code == 5 && second.stderr.contains(&who), "{more}: {}", second.stderr);
    }
    assert_eq!(end(first), (Some(0), String::new()));
    assert_eq!(names(folder.path()), ["s.h5", "scan", "small.poni"], "the lock is gone");
}

#[test]
fn what_is_replaced_stays_until_the_new_one_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    write_small_scan(folder.path(), FRAMES);
    let file = folder.path().join("s.h5");
    assert_eq!(convert(folder.path(), "--frames :3").code, 0);
    let old = fs::read(&file).unwrap();
    killed(folder.path(), "--overwrite");
    assert_eq!(fs::read(&file).unwrap(), old);
    let refused = convert(folder.path(), "--resume");
    assert!(refused.code == 5 && refused.stderr.contains("--overwrite"), "{}", refused.stderr);
    assert_eq!(fs::read(&file).unwrap(), old);
    let resumed = convert(folder.path(), "--resume --overwrite");
    assert_eq!((resumed.code, one_line(&resumed.stdout, "resumed").ends_with("were there")), (0, true));
    assert_eq!(names(folder.path()), ["s.h5", "scan", "small.poni"]);
    // Another stack of the name is not gone on with, and replaced only when that is said.
    let other = convert(folder.path(), "--resume --frames 1:");
    assert!(other.code == 5 && other.stderr.contains("frames: it was 40, it is 39"), "{}", other.stderr);
    assert_eq!(convert(folder.path(), "--resume --overwrite --frames 1:").code, 0);
    assert_eq!(content(&file).1.len(), 39);
    fs::write(&file, "precious").unwrap();
    let other = convert(folder.path(), "--resume");
    assert!(other.code == 5 && other.stderr.contains("not an HDF5 file"), "{}", other.stderr);
    assert_eq!(fs::read(&file).unwrap(), b"precious");
}

#[test]
fn a_complete_stack_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    write_small_scan(folder.path(), FRAMES);
    let file = folder.path().join("s.h5");
    assert_eq!(convert(folder.path(), "--resume").code, 0, "begins one where there is none");
    let before = fs::read(&file).unwrap();
    // A copy of a frame with another time is the same frame: its first bytes say so, among them its digest.
    let frame = File::options().write(true).open(folder.path().join("scan/small_00003.cbf")).unwrap();
    frame.set_modified(SystemTime::now()).unwrap();
    for more in ["", "--retry-bad"] {
        let again = convert(folder.path(), &format!("--resume {more}"));
        assert_eq!((again.code, again.stdout.as_str()), (0, "complete: 40 frames are in s.h5\n"));
        assert_eq!(fs::read(&file).unwrap(), before);
    }
}

#[test]
fn what_changed_is_named_and_nothing_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    write_small_scan(folder.path(), FRAMES);
    killed(folder.path(), "");
    let left = draft(folder.path()).unwrap();
    let before = fs::read(&left).unwrap();
    let refused = |options: &str, expected: &str| {
        let done = convert(folder.path(), &format!("{options} --resume"));
        assert!(
            done.code == 5 && done.stderr.contains(expected),
            "{expected}: {} {}",
            done.code,
            done.stderr
        );
        assert_eq!(fs::read(&left).unwrap(), before);
    };
    refused("--frames :39", "frames: it was 40, it is 39");
    refused("--frames 0:40", "slice: it was :, it is 0:40");
    refused("--no-verify", "verified: it was true, it is false");

    let (frame, kept) =
        ("scan/small_00001.cbf", fs::read(folder.path().join("scan/small_00001.cbf")).unwrap());
    let frame = folder.path().join(frame);
    fs::write(&frame, &kept[..kept.len() - 7]).unwrap();
    refused("", &format!("small_00001.cbf had {} bytes, and has {}", kept.len(), kept.len() - 7));
    // As long as before, another image.
    write_small_frame(&folder.path().join("scan"), 7);
    let mut other = fs::read(folder.path().join("scan/small_00007.cbf")).unwrap();
    other.resize(kept.len(), 0);
    fs::write(&frame, &other).unwrap();
    refused("", "small_00001.cbf begins with other bytes than it did");
    fs::remove_file(&frame).unwrap();
    refused("", "there were 40 input files, there are 39 now");
    fs::write(&frame, &kept).unwrap();

    // Images of another type.
    let (scan, aside) = (folder.path().join("scan"), folder.path().join("aside"));
    fs::rename(&scan, &aside).unwrap();
    fs::create_dir(&scan).unwrap();
    let pixels = vec![0; 61 * 47 * 2];
    let npy = crate::support::images::npy("<u2", false, &[SMALL.slow, SMALL.fast], &pixels);
    (0..FRAMES).for_each(|n| fs::write(scan.join(format!("small_{n:05}.npy")), &npy).unwrap());
    refused("", "pixel: it was int32, it is uint16");
    fs::remove_dir_all(&scan).unwrap();
    fs::rename(&aside, &scan).unwrap();

    let done = convert(folder.path(), "--resume");
    assert_eq!(done.code, 0, "as it was: {}", done.stderr);
}

#[test]
fn bad_frames_are_tried_again_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    write_small_scan(folder.path(), FRAMES);
    assert_eq!(xrdct(folder.path(), &words(1, "", "whole.h5")).code, 0);
    let frame = folder.path().join("scan/small_00005.cbf");
    let whole = fs::read(&frame).unwrap();
    fs::write(&frame, &whole[..whole.len() / 2]).unwrap();
    let file = folder.path().join("s.h5");
    assert_eq!(convert(folder.path(), "").code, 10);
    let bad = content(&file);
    assert_eq!((bad.2[5], bad.3.len()), (0, 1));
    assert!(bad.0[5 * SMALL.pixels()..6 * SMALL.pixels()].iter().all(|pixel| *pixel == -1));
    assert_eq!(convert(folder.path(), "--resume").code, 10, "it stays bad");
    assert_eq!(convert(folder.path(), "--resume --retry-bad").code, 10, "and is bad again");
    assert!(content(&file) == bad);
    fs::write(&frame, &whole).unwrap();
    let refused = convert(folder.path(), "--resume");
    assert!(refused.code == 5 && refused.stderr.contains("small_00005.cbf had"), "{}", refused.stderr);
    let mended = convert(folder.path(), "--resume --retry-bad");
    assert_eq!((mended.code, one_line(&mended.stdout, "resumed")), (0, "resumed: 39 frames were there"));
    assert!(content(&file) == content(&folder.path().join("whole.h5")));
    assert_eq!(names(folder.path()), ["s.h5", "scan", "small.poni", "whole.h5"]);
}

#[test]
fn what_a_power_cut_spoiled_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    write_small_scan(folder.path(), FRAMES);
    assert_eq!(xrdct(folder.path(), &words(1, "", "whole.h5")).code, 0);
    let (whole, file) = (folder.path().join("whole.h5"), folder.path().join("s.h5"));
    // Statuses are there, images are not, nor is the end of the file: as a complete draft looks that never reached the disk as a whole.
    let left = folder.path().join(".s.h5.4194303.part");
    fs::copy(&whole, &left).unwrap();
    let images = place(&whole, "entry_0000/data/data");
    let change = File::options().write(true).open(&left).unwrap();
    change.write_all_at(&vec![0; 2 * IMAGE], images + 7 * IMAGE as u64).unwrap();
    change.write_all_at(&[1], images + 20 * IMAGE as u64 + 99).unwrap();
    let resumed = convert(folder.path(), "--resume");
    let said = one_line(&resumed.stdout, "resumed");
    assert_eq!((resumed.code, said), (0, "resumed: 37 frames were there; 3 damaged frames made again"));
    assert!(content(&file) == content(&whole));

    // What the library cannot read is passed over, aloud.
    fs::remove_file(&file).unwrap();
    fs::copy(&whole, &left).unwrap();
    File::options().write(true).open(&left).unwrap().write_all_at(&[0; 600], 0).unwrap();
    let anew = convert(folder.path(), "--resume");
    assert_eq!(anew.code, 0);
    assert!(anew.stderr.contains("--resume passes this over"), "{}", anew.stderr);
    assert!(content(&file) == content(&whole) && left.exists());
}

#[test]
fn compressed_stacks_are_not_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    write_small_scan(folder.path(), 4);
    let refused = convert(folder.path(), "--gzip --resume");
    assert!(refused.code == 2 && refused.stderr.contains("Leave --gzip out"), "{}", refused.stderr);
    assert_eq!(convert(folder.path(), "--gzip").code, 0);
    let refused = convert(folder.path(), "--resume");
    assert!(refused.code == 5 && refused.stderr.contains("compressed"), "{}", refused.stderr);
}

#[test]
fn what_a_stack_has_no_image_of_is_a_bad_frame_for_others() {
    let folder = tempfile::tempdir().unwrap();
    write_small_scan(folder.path(), FRAMES);
    fs::write(folder.path().join("scan/small_00005.cbf"), "no frame").unwrap();
    killed(folder.path(), "");
    let left = draft(folder.path()).unwrap();
    let there = good(&StackInfo::open(&left).unwrap());
    let left = format!("{}::/entry_0000/data/data", left.display());
    for (stack, expected) in [(left.as_str(), there), ("s.h5", FRAMES - 1)] {
        if stack == "s.h5" {
            assert_eq!(convert(folder.path(), "--resume").code, 10);
        }
        let made = xrdct(folder.path(), &["convert", stack, "-o", "again.h5", "--overwrite"]);
        assert!(
            made.code == 10 && made.stderr.contains("had no image of it"),
            "{} {}",
            made.code,
            made.stderr
        );
        assert_eq!(good(&StackInfo::open(&folder.path().join("again.h5")).unwrap()), expected);
    }
}

pub mod needs_oracle {
    use super::*;
    use crate::support::ask_oracle_code;

    const OPENS: &str = "
import sys, zlib, h5py, fabio, numpy as np, silx.io
name = sys.argv[1]
with h5py.File(name) as h5:
    entry = h5['entry_0000']
    data, crcs = entry['data/data'][()], entry['image_crc'][()]
    assert data.dtype == np.int32 and all(zlib.crc32(image.tobytes()) == crc for image, crc in zip(data, crcs))
    assert entry['status'].asstr()[()] == 'complete' and not entry['frame_status'][()].any()
    assert h5[h5.attrs['default']].attrs['default'] == 'data'
with silx.io.open(name) as h5:
    assert np.array_equal(h5['/entry_0000/data/data'][()], data)
with fabio.open(name + '::/entry_0000/data/data') as image:
    assert image.nframes == len(data), image.nframes
    assert all(np.array_equal(image.get_frame(n).data, data[n]) for n in range(len(data)))
print('opens')
";

    #[test]
    fn a_stack_that_was_gone_on_with_opens_in_h5py_silx_and_fabio() {
        let folder = tempfile::tempdir().unwrap();
        write_small_scan(folder.path(), FRAMES);
        killed(folder.path(), "");
        assert_eq!(convert(folder.path(), "--resume").code, 0);
        assert_eq!(ask_oracle_code(OPENS, &[&folder.path().join("s.h5")]), "opens\n");
    }
}
