//! A run that did not end is gone on with, and what comes out is what would have come out: the same bits in every dataset. What changed since
//! is named, a second run on the same file is refused, and a file that is gone is never "complete".

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use xrdct::codec::byte_offset;
use xrdct::output::result::{Progress, ResultInfo};

use crate::manners::disk;
use crate::support::{SMALL, cbf_bytes, hear_signals, names, write_small_frame, write_small_scan, xrdct};

const FRAMES: usize = 40;
/// Each small file is read so often: a scan of a thousand frames.
const LAPS: usize = 25;
const LIMIT: Duration = Duration::from_secs(60);

/// What is made of the scan: name and options.
const KINDS: [(&str, &str); 4] = [
    ("series", "--device cpu -c 100"),
    ("sums", "--device cpu -c 60 --error-model poisson --sums"),
    ("map", "--device cpu -c 80 -r 20 -t 50 --zigzag"),
    ("short_map", "--device cpu -c 50 -r 40 -t 30 --sums --method full"),
];

fn words<'a>(laps: usize, options: &'a str, output: &'a str) -> Vec<&'a str> {
    let mut words = vec!["integrate"];
    words.extend(std::iter::repeat_n("scan", laps));
    words.extend(["-p", "small.poni", "-q", "-o", output]);
    words.extend(options.split_whitespace());
    words
}

/// Begins a run whose rows reach the file at once and whose reads take so many milliseconds each.
pub fn begin(folder: &Path, words: &[&str], milliseconds: usize) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xrdct"));
    command.current_dir(folder).args(words).args(["--flush", "0.001"]);
    if milliseconds > 0 {
        command.env("LD_PRELOAD", disk()).env("XRDCT_TEST_SLOW", format!("small_:{milliseconds}"));
    }
    hear_signals(&mut command);
    command.stderr(Stdio::piped()).spawn().expect("xrdct starts")
}

pub fn wait_for(what: impl Fn() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert!(begun.elapsed() < LIMIT, "it does not come");
        sleep(Duration::from_millis(1));
    }
}

/// Waits until a running result has rows.
fn wait_for_rows(path: &Path) {
    wait_for(|| ResultInfo::open(path).is_ok_and(|info| info.frames_done() > 2));
}

/// Exit code and words of a run that is to end.
pub fn end(mut child: Child) -> (Option<i32>, String) {
    let mut said = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut said).expect("a text");
    (child.wait().expect("ends").code(), said)
}

#[test]
fn a_second_run_is_refused_at_once_and_the_first_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    write_small_scan(folder.path(), FRAMES);
    let first = begin(folder.path(), &words(1, "--device cpu -c 50", "r.h5"), 30);
    wait_for(|| folder.path().join("r.h5").exists());
    for more in ["", "--overwrite", "--resume"] {
        let second = xrdct(folder.path(), &words(1, &format!("--device cpu -c 50 {more}"), "r.h5"));
        let who = format!("process {}", first.id());
        assert!(
            second.code == 5 && second.stderr.contains(&who),
            "{more}: {} {}",
            second.code,
            second.stderr
        );
    }
    assert_eq!(end(first), (Some(0), String::new()));
    assert_eq!(names(folder.path()), ["r.h5", "scan", "small.poni"], "the lock is gone");
}

#[test]
fn a_result_that_goes_away_under_the_run_is_an_error() {
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
        fs::create_dir(folder.path().join("out")).unwrap();
        let file = folder.path().join("out/r.h5");
        let run = begin(folder.path(), &words(1, "--device cpu -c 50", "out/r.h5"), 20);
        wait_for_rows(&file);
        harm(&file);
        let (code, said) = end(run);
        assert!(code == Some(5) && said.contains("deleted, renamed or replaced"), "{what}: {code:?} {said}");
        if what == "replaced" {
            assert_eq!(fs::read(&file).unwrap(), b"precious");
        }
    }
}

#[test]
fn what_is_replaced_stays_until_the_new_one_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    write_small_scan(folder.path(), FRAMES);
    let (file, old) = (folder.path().join("r.h5"), folder.path().join(".r.h5.old"));
    assert_eq!(xrdct(folder.path(), &words(1, "--device cpu -c 50", "r.h5")).code, 0);
    let first = fs::read(&file).unwrap();
    // Somebody's own backup is nobody's business.
    fs::write(folder.path().join("r.h5.old"), "precious").unwrap();
    let npt = |path: &Path| ResultInfo::open(path).unwrap().shape[1];

    for stopped in 0..2 {
        let mut run = begin(folder.path(), &words(1, "--device cpu -c 60 --overwrite", "r.h5"), 20);
        wait_for(|| old.exists() && npt(&file) == 60);
        wait_for_rows(&file);
        run.kill().unwrap();
        run.wait().unwrap();
        assert_eq!(fs::read(&old).unwrap(), first, "after {stopped} runs more that did not end");
    }
    let resumed = xrdct(folder.path(), &words(1, "--device cpu -c 60 --resume", "r.h5"));
    assert_eq!((resumed.code, resumed.stderr.as_str()), (0, ""));
    assert_eq!(npt(&file), 60);
    assert_eq!(names(folder.path()), ["r.h5", "r.h5.old", "scan", "small.poni"], "nothing is left");
    assert_eq!(fs::read(folder.path().join("r.h5.old")).unwrap(), b"precious");
}

#[test]
fn a_complete_result_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    write_small_scan(folder.path(), FRAMES);
    let run = |more: &str| {
        let options = format!("--device cpu -c 50 --resume {more}");
        let words: Vec<&str> = words(1, &options, "r.h5").into_iter().filter(|word| *word != "-q").collect();
        xrdct(folder.path(), &words)
    };
    assert_eq!(run("").code, 0, "begins one where there is none");
    let before = fs::read(folder.path().join("r.h5")).unwrap();
    // A copy of the scan with other times is the same scan: the digests say so.
    let frame = File::options().write(true).open(folder.path().join("scan/small_00003.cbf")).unwrap();
    frame.set_modified(std::time::SystemTime::now()).unwrap();
    let again = run("");
    assert_eq!((again.code, again.stdout.as_str()), (0, "complete: 40 frames are in r.h5\n"));
    assert_eq!(fs::read(folder.path().join("r.h5")).unwrap(), before);
}

#[test]
fn what_changed_is_named_and_nothing_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    write_small_scan(folder.path(), FRAMES);
    let at = |name: &str| folder.path().join(name);
    fs::write(at("mask.npy"), crate::support::images::npy("|u1", false, &[61, 47], &[0; 61 * 47])).unwrap();
    let variances = |of: f32| {
        let values: Vec<u8> = [of; 61 * 47].iter().flat_map(|value| value.to_le_bytes()).collect();
        fs::write(at("variance.npy"), crate::support::images::npy("<f4", false, &[61, 47], &values)).unwrap();
    };
    variances(2.0);
    let options = "--device cpu -c 50 --mask mask.npy --variance variance.npy";
    let mut run = begin(folder.path(), &words(1, options, "r.h5"), 20);
    wait_for_rows(&at("r.h5"));
    run.kill().unwrap();
    run.wait().unwrap();
    let before = fs::read(at("r.h5")).unwrap();
    let refused = |options: &str, expected: &str| {
        let done = xrdct(folder.path(), &words(1, &format!("{options} --resume"), "r.h5"));
        assert!(
            done.code == 5 && done.stderr.contains(expected),
            "{expected}: {} {}",
            done.code,
            done.stderr
        );
        assert_eq!(fs::read(at("r.h5")).unwrap(), before);
    };
    refused(&options.replace("-c 50", "-c 51"), "npt: it was 50, it is 51");
    refused(&format!("{options} --polarization 0.99"), "it was not given, it is [0.99,0.0]");
    refused("--device cpu -c 50 --variance variance.npy", "mask: it was crc32:");
    refused(&format!("{options} --frames :39"), "there were 40 input files, there are 39 now");

    let poni = fs::read_to_string(at("small.poni")).unwrap();
    fs::write(at("small.poni"), poni.replace("Distance: 0.05", "Distance: 0.051")).unwrap();
    refused(options, "poni.dist: it was 0.05, it is 0.051");
    fs::write(at("small.poni"), poni).unwrap();

    variances(3.0);
    refused(options, "variance_of_pixels: it holds other values than before");
    variances(2.0);

    let mut mask = [0; 61 * 47];
    mask[100] = 1;
    fs::write(at("mask.npy"), crate::support::images::npy("|u1", false, &[61, 47], &mask)).unwrap();
    refused(options, "mask: it holds other values than before");
    fs::write(at("mask.npy"), crate::support::images::npy("|u1", false, &[61, 47], &[0; 61 * 47])).unwrap();

    let (frame, kept) = (at("scan/small_00001.cbf"), fs::read(at("scan/small_00001.cbf")).unwrap());
    fs::write(&frame, &kept[..kept.len() - 7]).unwrap();
    refused(options, &format!("small_00001.cbf had {} bytes, and has {}", kept.len(), kept.len() - 7));
    // As long as before, another image: its digest is another.
    write_small_frame(&at("scan"), 7);
    let mut other = fs::read(at("scan/small_00007.cbf")).unwrap();
    other.resize(kept.len(), 0);
    fs::write(&frame, &other).unwrap();
    refused(options, "small_00001.cbf was written since");
    fs::remove_file(&frame).unwrap();
    refused(options, "there were 40 input files, there are 39 now");
    fs::write(&frame, &kept).unwrap();

    let done = xrdct(folder.path(), &words(1, &format!("{options} --resume"), "r.h5"));
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "as it was");
}

#[test]
fn bad_frames_are_tried_again_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    write_small_scan(folder.path(), FRAMES);
    let frame = folder.path().join("scan/small_00005.cbf");
    let whole = fs::read(&frame).unwrap();
    fs::write(&frame, &whole[..whole.len() / 2]).unwrap();
    let run = |more: &str| xrdct(folder.path(), &words(1, &format!("--device cpu -c 50 {more}"), "r.h5"));
    assert_eq!(run("").code, 10);
    assert_eq!(run("--resume").code, 10, "it stays bad");
    assert_eq!(run("--resume --retry-bad").code, 10, "and is bad again");
    fs::write(&frame, &whole).unwrap();
    let refused = run("--resume");
    assert!(refused.code == 5 && refused.stderr.contains("small_00005.cbf had"), "{}", refused.stderr);
    let mended = run("--resume --retry-bad");
    assert_eq!((mended.code, mended.stderr.as_str()), (0, ""));
    assert!(ResultInfo::open(&folder.path().join("r.h5")).unwrap().bad_frames.is_empty());
}

#[test]
fn a_last_frame_of_nothing_does_not_spoil_the_rows_that_are_there() {
    let folder = tempfile::tempdir().unwrap();
    write_small_scan(folder.path(), FRAMES);
    // Its pixels are all gaps: no bin has a valid one.
    let nothing = vec![-1; SMALL.pixels()];
    let frame = cbf_bytes(&byte_offset::encode(&nothing), SMALL, 39, |header| header);
    fs::write(folder.path().join("scan/small_00039.cbf"), frame).unwrap();
    let options = "--device cpu -c 50 --dummy -2 --delta-dummy 1.5";
    assert_eq!(xrdct(folder.path(), &words(1, options, "r.h5")).code, 10);
    let resumed = xrdct(folder.path(), &words(1, &format!("{options} --resume --retry-bad"), "r.h5"));
    assert_eq!((resumed.code, resumed.stderr.as_str()), (10, ""));
    let info = ResultInfo::open(&folder.path().join("r.h5")).unwrap();
    assert_eq!((info.frames_done(), info.progress), (FRAMES, Progress::Complete));
}

#[test]
fn a_row_that_is_not_what_its_checksum_says_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    write_small_scan(folder.path(), FRAMES);
    let file = folder.path().join("r.h5");
    assert_eq!(xrdct(folder.path(), &words(1, "--device cpu -c 50", "r.h5")).code, 0);
    let whole = fs::read(&file).unwrap();
    // As a power cut leaves it: the status is there, the row is not, and the run has not ended.
    let open = hdf5::File::open(&file).unwrap();
    let place = |name: &str| open.dataset(name).unwrap().offset().expect("one after the other");
    let (rows, status) = (place("entry_0000/xrdct/result/intensity"), place("entry_0000/xrdct/status"));
    drop(open);
    let change = File::options().write(true).open(&file).unwrap();
    change.write_all_at(&[0; 50 * 4], rows + 7 * 50 * 4).unwrap();
    change.write_all_at(b"running\0", status).unwrap();
    let words: Vec<&str> =
        words(1, "--device cpu -c 50 --resume", "r.h5").into_iter().filter(|word| *word != "-q").collect();
    let resumed = xrdct(folder.path(), &words);
    let said = crate::support::one_line(&resumed.stdout, "resumed");
    assert!(resumed.code == 0 && said.ends_with("39 frames were there; 1 damaged row made again"), "{said}");
    let again = fs::read(&file).unwrap();
    let range = rows as usize..rows as usize + FRAMES * 50 * 4;
    assert_eq!(whole[range.clone()], again[range]);
}

#[test]
fn rows_that_the_cpu_adds_to_a_gpus_are_marked() {
    let folder = tempfile::tempdir().unwrap();
    write_small_scan(folder.path(), FRAMES);
    let file = folder.path().join("r.h5");
    let mut run = begin(folder.path(), &words(1, "--device cpu -c 50", "r.h5"), 20);
    wait_for_rows(&file);
    run.kill().unwrap();
    run.wait().unwrap();
    let there = ResultInfo::open(&file).unwrap().frames_done();
    // As if a GPU had made them.
    let open = hdf5::File::open_rw(&file).unwrap();
    let recipe = open.dataset("entry_0000/xrdct/configuration/recipe").unwrap();
    let text = recipe.read_scalar::<hdf5::types::VarLenUnicode>().unwrap().replace("\"cpu\"", "\"cuda\"");
    recipe.write_scalar(&text.parse::<hdf5::types::VarLenUnicode>().unwrap()).unwrap();
    drop(recipe);
    open.close().unwrap();
    let resumed = xrdct(folder.path(), &words(1, "--device cpu -c 50 --resume", "r.h5"));
    assert_eq!((resumed.code, resumed.stderr.as_str()), (0, ""));
    let (marked, why) = ResultInfo::open(&file).unwrap().gone_over.expect("rows of the CPU's");
    assert!(marked == FRAMES - there && why.contains("resumed on the CPU"), "{marked} {there} {why}");
}

#[test]
fn the_cpus_rows_are_not_gone_on_with_on_a_gpu() {
    let folder = tempfile::tempdir().unwrap();
    write_small_scan(folder.path(), FRAMES);
    assert_eq!(xrdct(folder.path(), &words(1, "--device cpu -c 50", "r.h5")).code, 0);
    let refused = xrdct(folder.path(), &words(1, "--device cuda -c 50 --resume", "r.h5"));
    assert!(refused.code == 2 && refused.stderr.contains("leave --device out"), "{}", refused.stderr);
    let auto = xrdct(folder.path(), &words(1, "-c 50 --resume", "r.h5"));
    assert_eq!(auto.code, 0, "{}", auto.stderr);
}

pub mod needs_oracle {
    use super::*;
    use crate::support::ask_oracle_code;

    /// Compares pairs of results, dataset by dataset and attribute by attribute, but for times, and checks every row's checksum.
    pub const SAME: &str = "
import sys, zlib, h5py, numpy as np
TIMES = ('end_time', 'start_time', 'duration', 'date', 'entry_identifier_uuid', 'file_times', 'bad_frames')
def all_of(h5):
    found = {}
    def visit(name, item):
        found[name] = item
    h5.visititems(visit)
    return found
for a, b in zip(sys.argv[1::2], sys.argv[2::2]):
    with h5py.File(a) as a5, h5py.File(b) as b5:
        one, two = all_of(a5), all_of(b5)
        assert one.keys() == two.keys(), (a, b, one.keys() ^ two.keys())
        for name, item in one.items():
            assert dict(item.attrs).keys() == dict(two[name].attrs).keys(), (b, name)
            if isinstance(item, h5py.Dataset) and name.split('/')[-1] not in TIMES:
                x, y = item[()], two[name][()]
                same = x.tobytes() == y.tobytes() if isinstance(x, np.ndarray) and x.dtype != object else np.all(x == y)
                assert same, (b, name)
                assert item.id.get_offset() == two[name].id.get_offset(), (b, name)
        process = b5['entry_0000/xrdct']
        assert process['status'][()] == b'complete', b
        status, crc = process['frame_status'][()].ravel(), process['row_crc'][()].ravel()
        assert sorted(x for x in process['bad_frames'].asstr()) == sorted(a5['entry_0000/xrdct/bad_frames'].asstr())
        npt = process['result/intensity'].shape[-1]
        rows = process['result/intensity'][()].reshape(-1, npt)
        frames = np.arange(len(rows))
        if 'map_ptr' in process['result']:
            frames = process['result/map_ptr'][()].ravel()
            turned = process['result/map'][()].reshape(npt, -1).T
            assert np.array_equal(turned, rows, equal_nan=True), b
        skip = ('file_names', 'content_md5', 'date', 'file_sizes', 'file_times', 'file_heads')
        numbers = [name for name in process['input'] if name not in skip]
        for row in np.flatnonzero(status == 0):
            parts = [rows[row]]
            for name in ('errors', 'std', 'count'):
                if name in process['result']:
                    parts.append(process['result'][name][()].reshape(-1, npt)[row])
            if 'sums' in process:
                sums = process['sums']
                parts.append(sums['signal'][()].reshape(-1, npt)[row])
                if 'variance' in sums:
                    parts.append(sums['variance'][()].reshape(-1, npt)[row])
                norms = sums['norms'][sums['norms_of'][()].ravel()[row]]
                parts += [np.ascontiguousarray(norms[x]) for x in ('normalization', 'normalization_squared', 'count')]
            if 'saturated' in process:
                parts.append(process['saturated'][()].ravel()[row:row + 1])
            data = b''.join(x.tobytes() for x in parts)
            frame = frames[row]
            order = sorted(numbers, key=lambda n: process['input'][n].id.get_offset())
            data += b''.join(process['input'][n][frame:frame + 1].tobytes() for n in order)
            data += process['input/date'][frame:frame + 1].tobytes()
            assert zlib.crc32(data) == crc[row], (b, row)
            if row > 40: break
print('same')
";

    #[test]
    fn killed_at_a_hundred_moments_gone_on_with_and_the_same() {
        let folder = tempfile::tempdir().unwrap();
        write_small_scan(folder.path(), FRAMES);
        // One frame of the scan is bad, in every lap.
        let bad = folder.path().join("scan/small_00011.cbf");
        let whole = fs::read(&bad).unwrap();
        fs::write(&bad, &whole[..whole.len() - 5000]).unwrap();
        let mut longest = [Duration::ZERO; KINDS.len()];
        for ((kind, options), longest) in KINDS.iter().zip(&mut longest) {
            let begun = Instant::now();
            assert_eq!(xrdct(folder.path(), &words(LAPS, options, &format!("{kind}.h5"))).code, 10);
            *longest = begun.elapsed();
        }
        let (mut pairs, mut half_way, mut random) = (Vec::new(), 0, 1_u64);
        for attempt in 0..100 {
            let (kind, options) = KINDS[attempt % KINDS.len()];
            let name = format!("{kind}_{attempt}.h5");
            let file = folder.path().join(&name);
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let moment =
                longest[attempt % KINDS.len()].mul_f64(1.1 * (random >> 33) as f64 / (1_u64 << 31) as f64);
            let mut run = begin(folder.path(), &words(LAPS, options, &name), 0);
            sleep(moment);
            run.kill().unwrap();
            run.wait().unwrap();
            if let Ok(info) = ResultInfo::open(&file) {
                let done = info.frames_done();
                half_way +=
                    usize::from(info.progress == Progress::Running && 0 < done && done < FRAMES * LAPS);
            }
            let options = format!("{options} --resume");
            let resumed = xrdct(folder.path(), &words(LAPS, &options, &name));
            assert_eq!(resumed.code, 10, "{kind} after {moment:?}: {}", resumed.stderr);
            pairs.extend([folder.path().join(format!("{kind}.h5")), file]);
        }
        let pairs: Vec<&Path> = pairs.iter().map(|path| path.as_path()).collect();
        assert_eq!(ask_oracle_code(SAME, &pairs), "same\n");
        assert!(half_way >= 10, "{half_way} of a hundred were killed half way");
    }

    #[test]
    fn stopped_and_out_of_room_gone_on_with_and_the_same() {
        let folder = tempfile::tempdir().unwrap();
        write_small_scan(folder.path(), FRAMES);
        let (_, options) = KINDS[1];
        assert_eq!(xrdct(folder.path(), &words(1, options, "whole.h5")).code, 0);

        let run = begin(folder.path(), &words(1, options, "stopped.h5"), 20);
        wait_for_rows(&folder.path().join("stopped.h5"));
        // SAFETY: a signal to a child of ours.
        unsafe { libc::kill(run.id() as i32, libc::SIGTERM) };
        assert_eq!(end(run).0, Some(143));

        // The file has its room from the start, but for norms, which come last.
        let file = hdf5::File::open(folder.path().join("whole.h5")).unwrap();
        let variance = file.dataset("entry_0000/xrdct/sums/variance").unwrap();
        let room = variance.offset().unwrap() + variance.storage_size();
        drop((variance, file));
        let mut command = Command::new(env!("CARGO_BIN_EXE_xrdct"));
        command.current_dir(folder.path()).args(words(1, options, "full.h5"));
        command.env("LD_PRELOAD", disk()).env("XRDCT_TEST_FULL", format!("full.h5:{room}"));
        let full = command.output().unwrap();
        let said = String::from_utf8_lossy(&full.stderr);
        assert!(full.status.code() == Some(5) && said.contains("no room to write"), "{said}");

        for name in ["stopped.h5", "full.h5"] {
            let options = format!("{options} --resume");
            let resumed = xrdct(folder.path(), &words(1, &options, name));
            assert_eq!((resumed.code, resumed.stderr.as_str()), (0, ""), "{name}");
            let pair = ["whole.h5", name].map(|name| folder.path().join(name));
            assert_eq!(ask_oracle_code(SAME, &[&pair[0], &pair[1]]), "same\n");
        }
    }
}
