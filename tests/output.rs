//! Result files and stacks: what h5py, silx and pyFAI's viewer read in them, and what is left when things go wrong.
mod mended;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use xrdct::frame::{
    BadFrame, Column, FrameHeader, FrameId, FrameStatus, Norms, Outcome, Pattern, PixelType, Shape,
};
use xrdct::output::OutputError;
use xrdct::output::result::{Beside, BinAxis, Ending, Layout, Progress, Raster, ResultFile, ResultInfo};
use xrdct::output::stack::{StackLayout, StackWriter};

use crate::support::{ask_oracle, one_test_passed};

/// Runs checks of tests/oracle/output.py, `+` between them; what they print.
fn oracle<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> String {
    ask_oracle("output.py", &arguments.iter().map(Path::new).collect::<Vec<_>>())
}

fn axis(npt: usize) -> BinAxis {
    BinAxis {
        name: "q".into(),
        unit: "nm^-1".into(),
        long_name: "Scattering vector".into(),
        centres: (0..npt).map(|i| 0.5 + i as f64).collect(),
    }
}

fn layout(frames: usize, npt: usize) -> Layout {
    let mut layout = Layout::new(frames, vec![axis(npt)]);
    layout.title = "a série".into();
    layout.configuration = json!({ "answer": 42 });
    layout.inputs = (0..frames).map(|n| format!("f_{n:05}.cbf")).collect();
    // One of them is not in any header.
    let columns = [("exposure_time", "s"), ("phi", "deg"), ("omega", "deg")];
    let column = |(name, unit): (&str, &str)| Column { name: name.into(), unit: unit.into() };
    layout.columns = columns.into_iter().map(column).collect();
    layout.header = header(0);
    layout
}

fn header(n: usize) -> FrameHeader {
    let numbers = vec![0.25, f64::NAN, n as f64 * 0.5];
    FrameHeader { date: format!("2024-01-01T00:00:{n:02}"), numbers, ..FrameHeader::default() }
}

/// Frame n: intensity 1000·n + bin; errors and sums are multiples of it, each by its own factor; there are three sets of norms,
/// of which frame n has set n mod 3: multiples of 1000·set + bin + 1.
fn pattern(n: usize, npt: usize, errors: bool) -> Outcome {
    pattern_of_sets(n, npt, errors, 3)
}

/// What such patterns have beside their intensity.
fn beside(errors: bool) -> Vec<Beside> {
    if errors { Beside::ALL.to_vec() } else { vec![] }
}

/// The same with another number of sets of norms.
fn pattern_of_sets(n: usize, npt: usize, errors: bool, sets: usize) -> Outcome {
    let times = |factor: f64| (0..npt).map(|bin| factor * (1000 * n + bin) as f64).collect::<Vec<f64>>();
    let norms =
        |factor: f64| (0..npt).map(|bin| factor * (1000 * (n % sets) + bin + 1) as f64).collect::<Vec<f64>>();
    let times32 = |factor: f32| (0..npt).map(|bin| factor * (1000 * n + bin) as f32).collect::<Vec<f32>>();
    Ok(Pattern {
        id: FrameId(n),
        header: header(n),
        intensity: times32(1.0),
        sem: errors.then(|| times32(0.125)),
        std: errors.then(|| times32(0.25)),
        count: errors.then(|| times32(0.5)),
        signal: times(2.0),
        variance: errors.then(|| times(3.0)),
        norms: Arc::new(Norms {
            normalization: norms(4.0),
            normalization_squared: norms(5.0),
            count: norms(6.0),
        }),
        saturated: n as u32 % 3,
    })
}

fn bad(n: usize, status: FrameStatus, message: &str) -> Outcome {
    Err(BadFrame { id: FrameId(n), status, message: message.into() })
}

/// An order without much order: every number below `n` once.
fn shuffled(n: usize) -> impl Iterator<Item = usize> {
    let step = (1..n).rev().find(|s| gcd(*s, n) == 1 && *s < n / 2 + 2).unwrap_or(1);
    (0..n).map(move |i| i * step % n)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[test]
fn one_frame_reaches_a_spectrum() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.h5");
    let mut file = ResultFile::create(&path, &layout(1, 9), false).unwrap();
    file.put(pattern(0, 9, false)).unwrap();
    file.finish(&Ending::Complete).unwrap();
    let info = ResultInfo::open(&path).unwrap();
    assert_eq!((info.shape, info.progress), (vec![1, 9], Progress::Complete));
}

#[test]
fn info_reads_back_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result.h5");
    let mut layout = layout(6, 5);
    layout.scan = Some(Raster::new(2, 3, true));
    let mut file = ResultFile::create(&path, &layout, false).unwrap();
    assert_eq!(ResultInfo::open(&path).unwrap().progress, Progress::Running);
    file.put(pattern(4, 5, false)).unwrap();
    file.put(bad(1, FrameStatus::OtherShape, "f_00001.cbf: 3 x 3, not 4 x 4")).unwrap();
    file.finish(&Ending::Failed("the moon is full".into())).unwrap();
    let info = ResultInfo::open(&path).unwrap();
    assert_eq!(info.shape, [2, 3, 5]);
    assert_eq!(info.axes, [axis(5)]);
    assert_eq!(info.progress, Progress::Failed("the moon is full".into()));
    let counts = [(FrameStatus::Good, 1), (FrameStatus::Pending, 4), (FrameStatus::OtherShape, 1)];
    assert_eq!(info.statuses, counts);
    assert_eq!(info.bad_frames, ["frame 1: f_00001.cbf: 3 x 3, not 4 x 4"]);
    assert_eq!((info.inputs, info.configuration), (layout.inputs, layout.configuration));
    assert!(info.beside.is_empty() && !info.end_time.is_empty());
}

#[test]
fn info_says_why_a_file_is_not_a_result() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5");
    let message = || ResultInfo::open(&path).unwrap_err().to_string();
    assert!(message().contains("No such file"), "{}", message());
    fs::write(&path, b"text").unwrap();
    assert!(message().contains("not an HDF5 file"), "{}", message());
    drop(hdf5::File::create(&path).unwrap());
    assert!(message().contains("/entry_0000/xrdct"), "{}", message());
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.h5");
    let mut too_small = layout(7, 5);
    too_small.scan = Some(Raster::new(2, 3, false));
    let refused = ResultFile::create(&path, &too_small, false).err().unwrap();
    assert!(refused.to_string().contains("7 frames do not fit into a map of 2 x 3"), "{refused}");
    assert!(ResultFile::create(&path, &layout(0, 5), false).is_err());
    assert!(!path.exists());

    let mut file = ResultFile::create(&path, &layout(2, 5), false).unwrap();
    file.put(pattern(1, 5, false)).unwrap();
    for (outcome, why) in [
        (pattern(1, 5, false), "before"),
        (pattern(2, 5, false), "frames 0 to 1"),
        (pattern(0, 4, false), "5 bins"),
        (pattern(0, 5, true), "errors"),
        (bad(0, FrameStatus::Good, ""), "status good"),
    ] {
        let refused = file.put(outcome).unwrap_err();
        assert!(
            matches!(refused, OutputError::Misfit { .. }) && refused.to_string().contains(why),
            "{refused}"
        );
    }
    assert_eq!(file.finish(&Ending::Interrupted).unwrap().pending, 1);
}

#[test]
fn existing_files_are_replaced_only_when_allowed_and_only_by_whole_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.h5");
    fs::write(&path, "precious").unwrap();
    let stack = StackLayout::new(1, Shape { slow: 1, fast: 1 }, PixelType::U8);
    assert!(matches!(ResultFile::create(&path, &layout(1, 1), false), Err(OutputError::Exists { .. })));
    assert!(matches!(StackWriter::create(&path, &stack, false), Err(OutputError::Exists { .. })));
    // More than any disk has.
    let huge = ResultFile::create(&path, &Layout::new(1 << 40, vec![axis(99)]), true).err().unwrap();
    assert!(matches!(huge, OutputError::Full { .. }) && huge.to_string().contains("are free"), "{huge}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "temporary files are left");

    // A stack replaces it when it is finished, a result when it is created.
    drop(StackWriter::create(&path, &stack, true).unwrap());
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    let link = folder.path().join("link.h5");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    drop(ResultFile::create(&link, &layout(1, 1), true).unwrap());
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(ResultInfo::open(&path).unwrap().progress, Progress::Running);

    for (path, words) in [
        (folder.path().join("no/where/r.h5"), "No such file"),
        (folder.path().to_path_buf(), "not an ordinary file"),
        (PathBuf::from("/dev/null"), "not an ordinary file"),
        (PathBuf::from("/proc/r.h5"), "cannot create a file"),
    ] {
        let refused = ResultFile::create(&path, &layout(1, 1), true).err().unwrap().to_string();
        assert!(refused.contains(words), "{refused}");
    }
}

/// Lines that no frame comes for take no room, and sums cost what they are: norms of which there is one set are there once.
#[test]
fn a_file_is_as_large_as_what_was_measured() {
    let folder = tempfile::tempdir().unwrap();
    let (npt, frames) = (1000, 930);
    for (errors, sums, bytes_of_bin) in [(false, false, 8), (true, false, 20), (true, true, 36)] {
        let path = folder.path().join("map.h5");
        let mut layout = layout(frames, npt);
        layout.scan = Some(Raster::new(180, 200, true));
        (layout.beside, layout.sums) = (beside(errors), sums);
        let Ok(template) = pattern(0, npt, errors) else { unreachable!() };
        let mut file = ResultFile::create(&path, &layout, true).unwrap();
        for n in 0..frames {
            file.put(Ok(Pattern { id: FrameId(n), ..template.clone() })).unwrap();
        }
        let written = file.finish(&Ending::Complete).unwrap();
        assert_eq!((written.good, written.pending), (frames, 180 * 200 - frames));
        // Five lines of 200 points; what there is once a frame, once a point and once a file.
        let least = (1000 * npt * bytes_of_bin + frames * (32 + 2 * 8) + 180 * 200 * (1 + 4)) as u64;
        let most = least + least / 10 + 200_000;
        let there = fs::metadata(&path).unwrap();
        assert_eq!(there.len(), written.bytes);
        assert!((least..most).contains(&there.len()), "{} bytes, not {least} to {most}", there.len());
        let on_disk = std::os::unix::fs::MetadataExt::blocks(&there) * 512;
        assert!(on_disk < most + 4096, "{on_disk} bytes on disk, not {most}");
    }
}

const KILLED_FRAMES: usize = 400;
const KILLED_NPT: usize = 50;

/// Not a test of its own: the child of the next one. It writes as fast as it can until it is killed.
#[test]
fn child_that_writes() {
    let Some(path) = std::env::var_os("XRDCT_TEST_CHILD_WRITES") else { return };
    let path = PathBuf::from(path);
    let mut layout = layout(KILLED_FRAMES, KILLED_NPT);
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    layout.scan =
        name.contains("map").then(|| Raster::new(if name.contains("long") { 50 } else { 20 }, 20, true));
    layout.sums = name.contains("sums");
    loop {
        let mut file = ResultFile::create(&path, &layout, true).unwrap();
        for n in shuffled(KILLED_FRAMES) {
            let outcome = match n % 97 {
                7 => bad(n, FrameStatus::Truncated, &"long ".repeat(200)),
                _ => pattern(n, KILLED_NPT, false),
            };
            file.put(outcome).unwrap();
            if n % 13 == 0 {
                file.flush().unwrap();
            }
        }
        file.finish(&Ending::Complete).unwrap();
    }
}

/// A limit on the size of files stands for a full disk: the same path through the code, and no root needed.
#[test]
fn no_room_is_said_at_the_start_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.h5");
    if std::env::var_os("XRDCT_TEST_CHILD_FULL").is_some() {
        let path = PathBuf::from(std::env::var_os("XRDCT_TEST_CHILD_FULL").unwrap());
        let refused = ResultFile::create(&path, &layout(1000, 1000), true).err().unwrap();
        let words = refused.to_string();
        assert!(matches!(refused, OutputError::Full { .. }), "{words}");
        assert!(
            words.contains("r.h5") && words.contains("are needed") && words.contains("ulimit -f"),
            "{words}"
        );
        return;
    }
    let command = format!(
        "ulimit -f 2000; exec {:?} --exact output::no_room_is_said_at_the_start_and_nothing_is_left",
        std::env::current_exe().unwrap()
    );
    let done =
        Command::new("sh").args(["-c", &command]).env("XRDCT_TEST_CHILD_FULL", &path).output().unwrap();
    one_test_passed(&done);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something is left");
}

/// The disk fills up under a run: again a limit stands for it, set once the file has its place.
#[test]
fn no_room_later_is_an_error_and_what_was_written_stays() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.h5");
    if let Some(path) = std::env::var_os("XRDCT_TEST_CHILD_FILLS") {
        let mut file = ResultFile::create(Path::new(&path), &layout(100, 1000), true).unwrap();
        (0..50).for_each(|n| file.put(pattern(n, 1000, false)).unwrap());
        file.flush().unwrap();
        // The intensities are the only large array of the file: 100 rows of 4000 bytes.
        let maximum = getrlimit(Resource::Fsize).maximum;
        setrlimit(Resource::Fsize, Rlimit { current: Some(200_000), maximum }).unwrap();
        (50..60).for_each(|n| file.put(pattern(n, 1000, false)).unwrap());
        let refused = file.flush().unwrap_err();
        assert!(matches!(refused, OutputError::Full { .. }), "{refused}");
        let written = file.finish(&Ending::Complete).unwrap();
        assert_eq!((written.good, written.pending), (50, 50));

        let shape = Shape { slow: 100, fast: 100 };
        let layout = StackLayout { gzip: Some(1), ..StackLayout::new(100, shape, PixelType::U8) };
        let mut stack =
            StackWriter::create(&Path::new(&path).with_extension("stack"), &layout, false).unwrap();
        let noise = |n: u64| {
            let mut pixels = vec![0; 10_000];
            rand::RngCore::fill_bytes(
                &mut <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(n),
                &mut pixels,
            );
            pixels
        };
        let refused = (0..100).find_map(|n| stack.put(FrameId(n), &noise(n as u64)).err()).unwrap();
        assert!(matches!(refused, OutputError::Full { .. }), "{refused}");
        assert!(stack.finish().is_err());
        return;
    }
    // The shell lets the signal be ignored that the kernel sends beside the error.
    let command = format!(
        "trap '' XFSZ; exec {:?} --exact output::no_room_later_is_an_error_and_what_was_written_stays",
        std::env::current_exe().unwrap()
    );
    let done =
        Command::new("sh").args(["-c", &command]).env("XRDCT_TEST_CHILD_FILLS", &path).output().unwrap();
    one_test_passed(&done);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "half a stack is left");
    let info = ResultInfo::open(&path).unwrap();
    assert!(matches!(&info.progress, Progress::Failed(why) if why.contains("no room to write")), "{info:?}");
    assert_eq!(info.statuses, [(FrameStatus::Good, 50), (FrameStatus::Pending, 50)]);
}

/// Prints how fast patterns are written; run with `--ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a test"]
fn writing_rate() {
    let folder = tempfile::tempdir().unwrap();
    for (name, scan, errors, sums) in [
        ("series", false, false, false),
        ("series with errors", false, true, false),
        ("series with errors and sums", false, true, true),
        ("map with errors", true, true, false),
        ("map with errors and sums", true, true, true),
    ] {
        let frames = 20_000;
        let mut layout = layout(frames, 1000);
        layout.scan = scan.then(|| Raster::new(100, 200, false));
        (layout.beside, layout.sums) = (beside(errors), sums);
        let start = Instant::now();
        let mut file = ResultFile::create(&folder.path().join("r.h5"), &layout, true).unwrap();
        println!("{name}: created in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
        let Ok(template) = pattern(0, 1000, errors) else { unreachable!() };
        let mut in_put = Duration::ZERO;
        for n in 0..frames {
            let pattern = Pattern { id: FrameId(n), ..template.clone() };
            let start = Instant::now();
            file.put(Ok(pattern)).unwrap();
            in_put += start.elapsed();
        }
        let start = Instant::now();
        let written = file.finish(&Ending::Complete).unwrap();
        in_put += start.elapsed();
        println!(
            "{name}: {:.0} frames/s, {:.0} MB/s",
            frames as f64 / in_put.as_secs_f64(),
            written.bytes as f64 / 1e6 / in_put.as_secs_f64()
        );
    }
    for gzip in [None, Some(1)] {
        let shape = Shape { slow: 1679, fast: 1475 };
        let layout = StackLayout { gzip, ..StackLayout::new(100, shape, PixelType::I32) };
        let frame: Vec<u8> = (0..shape.pixels()).flat_map(|i| ((i * i % 17) as i32).to_le_bytes()).collect();
        let mut stack = StackWriter::create(&folder.path().join("s.h5"), &layout, true).unwrap();
        let start = Instant::now();
        (0..100).for_each(|n| stack.put(FrameId(n), &frame).unwrap());
        stack.finish().unwrap();
        println!("stack, gzip {gzip:?}: {:.0} frames of 9.9 MB/s", 100.0 / start.elapsed().as_secs_f64());
    }
}

mod needs_oracle {
    use super::*;

    #[test]
    fn series_is_what_h5py_and_silx_expect() {
        let folder = tempfile::tempdir().unwrap();
        let mut checks = Vec::new();
        // Sets of norms: none kept, few, more than are remembered, one a frame; more frames than the table has chunks.
        for (frames, npt, errors, sets) in [
            (40, 17, false, 0),
            (40, 17, true, 0),
            (40, 17, false, 1),
            (40, 17, true, 3),
            (40, 17, true, 11),
            (40, 17, true, 40),
            (9000, 3, false, 2),
            (9000, 3, true, 9000),
        ] {
            let path = folder.path().join(format!("series_{}.h5", checks.len()));
            let mut layout = layout(frames, npt);
            (layout.beside, layout.sums) = (beside(errors), sets > 0);
            let mut file = ResultFile::create(&path, &layout, false).unwrap();
            for n in shuffled(frames) {
                let outcome = match n {
                    3 => bad(3, FrameStatus::Truncated, "too short — é"),
                    4 => bad(4, FrameStatus::Unreadable, "gone"),
                    _ => pattern_of_sets(n, npt, errors, sets.max(1)),
                };
                file.put(outcome).unwrap();
                if n % 7 == 0 {
                    file.flush().unwrap();
                }
            }
            let written = file.finish(&Ending::Complete).unwrap();
            assert_eq!((written.good, written.bad, written.pending), (frames - 2, 2, 0));
            assert_eq!(written.bytes, fs::metadata(&path).unwrap().len());
            let (numbers, errors) =
                ([frames, npt, sets].map(|n| n.to_string()), if errors { "errors" } else { "" });
            let [frames, npt, sets] = &numbers;
            checks
                .extend(["+", "series", path.to_str().unwrap(), frames, npt, errors, sets].map(String::from));
        }
        oracle(&checks[1..]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 8, "temporary files are left");
    }

    #[test]
    fn map_is_laid_out_as_diffmap_does() {
        let folder = tempfile::tempdir().unwrap();
        let mut checks = Vec::new();
        for (zigzag, frames, errors, sums, offset) in [
            (false, 35, false, false, 0),
            (true, 35, true, false, 2),
            (true, 33, false, true, 0),
            (false, 30, true, true, 1),
            (true, 9, false, false, 0),
            (false, 7, true, false, 3),
            (true, 12, true, true, 0),
        ] {
            let path = folder.path().join(format!("map_{}.h5", checks.len()));
            let mut layout = layout(frames, 13);
            layout.scan = Some(Raster::new(5, 7, zigzag));
            (layout.beside, layout.sums) = (beside(errors), sums);
            layout.offset = offset;
            layout.numbers.first = offset;
            let mut file = ResultFile::create(&path, &layout, true).unwrap();
            for n in shuffled(frames) {
                file.put(pattern(n, 13, errors)).unwrap();
                if n % 10 == 0 {
                    file.flush().unwrap();
                }
            }
            let ending = if frames < 35 { Ending::Interrupted } else { Ending::Complete };
            let written = file.finish(&ending).unwrap();
            assert_eq!((written.good, written.bad, written.pending), (frames, 0, 35 - frames));
            let zigzag = if zigzag { "zigzag" } else { "" };
            let (frames, offset) = (frames.to_string(), offset.to_string());
            let (errors, sums) = (if errors { "errors" } else { "" }, if sums { "3" } else { "0" });
            let check =
                ["+", "scan", path.to_str().unwrap(), "5", "7", zigzag, &frames, "13", errors, sums, &offset];
            checks.extend(check.map(String::from));
        }
        oracle(&checks[1..]);
    }

    #[test]
    fn map_opens_in_the_viewer_of_pyfai_diffmap() {
        let folder = tempfile::tempdir().unwrap();
        // The last map has lines that no frame came for.
        for (errors, slow) in [(false, 3), (true, 3), (false, 30), (true, 30)] {
            let path = folder.path().join("map.h5");
            let mut layout = layout(12, 13);
            layout.scan = Some(Raster::new(slow, 4, false));
            layout.beside = beside(errors);
            layout.configuration = json!({
                "application": "worker", "version": 5, "unit": "q_nm^-1", "nbpt_rad": 13, "shape": [195, 487],
                "poni": { "poni_version": 2.1, "detector": "Pilatus100k", "detector_config": {}, "dist": 0.1,
                    "poni1": 0.01, "poni2": 0.01, "rot1": 0.0, "rot2": 0.0, "rot3": 0.0, "wavelength": 1e-10 },
            });
            let mut file = ResultFile::create(&path, &layout, true).unwrap();
            (0..12).for_each(|n| file.put(pattern(n, 13, errors)).unwrap());
            file.finish(&Ending::Complete).unwrap();
            oracle(&["viewer", path.to_str().unwrap(), &slow.to_string(), "4", "13"]);
        }
    }

    #[test]
    fn stack_is_what_h5py_expects() {
        let folder = tempfile::tempdir().unwrap();
        let mut checks = Vec::new();
        for pixel in [PixelType::I32, PixelType::U8, PixelType::I16, PixelType::U64] {
            for gzip in [None, Some(1), Some(6)] {
                let path = folder.path().join(format!("stack_{}.h5", checks.len()));
                let layout = StackLayout {
                    gzip,
                    inputs: ["a", "b", "c", "d", "e"].map(String::from).to_vec(),
                    ..StackLayout::new(5, Shape { slow: 4, fast: 6 }, pixel)
                };
                let mut stack = StackWriter::create(&path, &layout, true).unwrap();
                for n in [2, 0, 1] {
                    let pixel = |i: u64| (n as u64 * 20 + i).to_le_bytes()[..pixel.size()].to_vec();
                    stack.put(FrameId(n), &(0..24).flat_map(pixel).collect::<Vec<u8>>()).unwrap();
                }
                stack
                    .put_bad(&BadFrame {
                        id: FrameId(3),
                        status: FrameStatus::Unreadable,
                        message: "gone".into(),
                    })
                    .unwrap();
                assert!(stack.put(FrameId(0), &vec![0; 24 * pixel.size()]).is_err());
                assert!(stack.put(FrameId(4), &[0]).is_err());
                assert!(stack.put(FrameId(5), &vec![0; 24 * pixel.size()]).is_err());
                assert_eq!(stack.finish().unwrap(), path);
                let gzip = gzip.map_or("none".to_string(), |level| level.to_string());
                checks.extend(["+", "stack", path.to_str().unwrap(), pixel.name(), &gzip].map(String::from));
            }
        }
        oracle(&checks[1..]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 12, "temporary files are left");
    }

    #[test]
    fn killed_at_any_time_leaves_a_file_that_opens_and_tells_the_truth() {
        let folder = tempfile::tempdir().unwrap();
        let mut checks = Vec::new();
        for attempt in 0..40_u64 {
            let kind = ["series", "map_sums", "series_sums", "map_long", "map"][attempt as usize % 5];
            let path = folder.path().join(format!("{kind}_{attempt}.h5"));
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "output::child_that_writes"])
                .env("XRDCT_TEST_CHILD_WRITES", &path)
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            let started = Instant::now();
            while !path.exists() {
                assert!(started.elapsed() < Duration::from_secs(60), "the child writes nothing");
                std::thread::sleep(Duration::from_micros(200));
            }
            // The child makes a file in a few milliseconds; odd fractions of one hit every part of its life.
            std::thread::sleep(Duration::from_micros(attempt * 1_237 % 9_000));
            child.kill().unwrap();
            child.wait().unwrap();
            let progress = ResultInfo::open(&path).unwrap().progress;
            assert!(matches!(progress, Progress::Running | Progress::Complete), "{progress:?}");
            checks.extend(["+", "killed", path.to_str().unwrap(), &KILLED_NPT.to_string()].map(String::from));
        }
        // Good rows and status of each: all of the files are checked, and some were killed half way.
        let seen = oracle(&checks[1..]);
        let good: Vec<usize> =
            seen.lines().map(|line| line.split_once(' ').unwrap().0.parse().unwrap()).collect();
        assert_eq!(good.len(), 40, "{seen}");
        assert!(
            good.iter().any(|&good| 0 < good && good < KILLED_FRAMES - 10),
            "none was killed half way: {seen}"
        );
    }
}
