//! What h5py, silx and the tomogram make of segments, beside one file.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::*;
use crate::support::{ask_oracle, ask_oracle_code};

const LAPS: usize = 5;
/// What is made of 200 frames, and into how large segments.
const KINDS: [(&str, &str, &str); 6] = [
    ("series", "-c 100", "12K"),
    ("slice", "-c 60 --offset 2 --frames 1:150:2 --error-model poisson --sums", "20K"),
    ("map", "-c 80 -r 20 -t 10 --zigzag --sums", "50K"),
    ("motors", "-c 40 --config motors.json --error-model poisson", "9K"),
    ("short_map", "-c 50 -r 40 -t 9 --sums --error-model poisson --method full", "30K"),
    ("short_zigzag", "-c 30 -r 30 -t 15 --zigzag", "1K"),
];

/// The small scan with a bad frame, and motors for a map of it.
fn scan(at: &Path) {
    write_small_scan(at, FRAMES);
    let bad = at.join("scan/small_00011.cbf");
    let whole = fs::read(&bad).unwrap();
    fs::write(&bad, &whole[..whole.len() - 5000]).unwrap();
    let motors = r#"{ "slow": 20, "fast": 10, "slow_motor": { "name": "rot", "start": -30.1, "stop": 149.7 },
        "fast_motor": { "name": "y", "start": 0.3, "stop": 1.1 } }"#;
    fs::write(at.join("motors.json"), motors).unwrap();
}

#[track_caller]
fn same(pairs: &[(String, String)], folder: &Path, expected: &str) {
    let paths: Vec<_> = pairs.iter().flat_map(|(a, b)| [folder.join(a), folder.join(b)]).collect();
    let paths: Vec<&Path> = paths.iter().map(|path| path.as_path()).collect();
    assert_eq!(ask_oracle("parts.py", &paths), expected);
}

#[track_caller]
fn merge(at: &Path, words: &[&str]) {
    let done = xrdct(at, &[&["merge", "-q"], words].concat());
    assert!([0, 10].contains(&done.code) && done.stderr.is_empty(), "{words:?}: {}", done.stderr);
}

#[test]
fn segments_are_one_file_and_parts_of_them_are_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    scan(at);
    let (mut pairs, mut expected) = (Vec::new(), String::new());
    let mut is_same = |one: &str, other: &str, how: &str| {
        pairs.push((format!("{one}.h5"), format!("{other}.h5")));
        expected.push_str(&format!("{how} same\n"));
    };
    for (kind, options, size) in KINDS {
        let options = format!("--device cpu {options}");
        assert_eq!(integrate(at, LAPS, &options, &format!("{kind}.h5")).code, 10);
        let divided = format!("{options} --segments {size}");
        let master = format!("{kind}_master.h5");
        assert_eq!(integrate(at, LAPS, &divided, &master).code, 10);
        assert!(segments(&at.join(&master)).count() > 2, "{kind}: {:?}", segments(&at.join(&master)));
        is_same(kind, &format!("{kind}_master"), "virtual");
        merge(at, &[&master, "-o", &format!("{kind}_one.h5")]);
        is_same(kind, &format!("{kind}_one"), "copied");
        merge(at, &[&master, "-o", &format!("{kind}_shown.h5"), "--virtual"]);
        is_same(kind, &format!("{kind}_shown"), "virtual");
        // One part in segments, the other in one file.
        for (number, options) in [(1, &divided), (2, &options)] {
            let part =
                integrate(at, LAPS, &format!("{options} --part {number}/2"), &format!("{kind}_p{number}.h5"));
            assert_eq!(part.code, 10, "{}", part.stderr);
        }
        let [one, two] = [1, 2].map(|number| format!("{kind}_p{number}.h5"));
        assert!(segments(&at.join(&one)).count() > 1, "{kind}");
        merge(at, &[&two, &one, "-o", &format!("{kind}_copied.h5")]);
        is_same(kind, &format!("{kind}_copied"), "copied");
        merge(at, &[&two, &one, "-o", &format!("{kind}_virtual.h5"), "--virtual"]);
        is_same(kind, &format!("{kind}_virtual"), "virtual");
    }
    same(&pairs, at, &expected);
}

#[test]
fn hdf5_files_in_segments_are_one_file_and_so_is_the_tomogram() {
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
    run("--sums -o series.h5");
    run("--sums --segments 32K -o series_master.h5");
    run("-r 6 -t 9 --zigzag -o map.h5");
    run("-r 6 -t 9 --zigzag --segments 16K --tomo in_one_go.h5 -o map_master.h5");
    let pairs = ["series", "map"].map(|kind| (format!("{kind}.h5"), format!("{kind}_master.h5")));
    same(&pairs, at, "virtual same\nvirtual same\n");
    assert_eq!(segments(&at.join("map_master.h5")).count(), 3, "pairs of lines");

    let values = |of: &str| {
        let file = hdf5::File::open(at.join(of)).unwrap();
        let values = file.dataset("entry_0000/tomo/tomogram/tomogram").unwrap().read_raw::<f32>().unwrap();
        values.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    for of in ["map", "map_master"] {
        let output = format!("{of}_tomo.h5");
        let made = xrdct(at, &["tomo", &format!("{of}.h5"), "-o", &output, "--device", "cpu", "-q"]);
        assert_eq!(made.code, 0, "{of}: {}", made.stderr);
        let again =
            xrdct(at, &["tomo", &format!("{of}.h5"), "-o", &output, "--device", "cpu", "-q", "--resume"]);
        assert_eq!(again.code, 0, "{of}: {}", again.stderr);
    }
    assert_eq!(values("map_tomo.h5"), values("map_master_tomo.h5"));
    assert_eq!(values("map_tomo.h5"), values("in_one_go.h5"));
    for words in [["plot", "map_master.h5", "-o", "o.svg"], ["report", "map_master.h5", "-o", "o.html"]] {
        let done = xrdct(at, &words);
        assert_eq!(done.code, 0, "{words:?}: {}", done.stderr);
    }
}

#[test]
fn killed_at_random_moments_gone_on_with_and_the_same() {
    const KILLS: usize = 24;
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    scan(at);
    let (mut pairs, mut half_way, mut random) = (Vec::new(), 0, 7_u64);
    let mut longest = [Duration::ZERO; KINDS.len()];
    for ((kind, options, size), longest) in KINDS.iter().zip(&mut longest) {
        assert_eq!(integrate(at, LAPS, &format!("--device cpu {options}"), &format!("{kind}.h5")).code, 10);
        let mut timed = Command::new(env!("CARGO_BIN_EXE_xrdct"));
        let divided = format!("--device cpu {options} --segments {size} --flush 0.001");
        timed.current_dir(at).args(words(LAPS, &divided, "timed.h5")).arg("--overwrite");
        let begun = Instant::now();
        assert_eq!(timed.output().unwrap().status.code(), Some(10), "{kind}");
        *longest = begun.elapsed();
    }
    for attempt in 0..KILLS {
        let (kind, options, size) = KINDS[attempt % KINDS.len()];
        let options = format!("--device cpu {options} --segments {size}");
        let name = format!("{kind}_{attempt}.h5");
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let moment = longest[attempt % KINDS.len()].mul_f64((random >> 33) as f64 / (1_u64 << 31) as f64);
        // Killed, gone on with, killed again, gone on with.
        for more in ["", " --resume"] {
            let options = format!("{options}{more}");
            let mut run = begin(at, &words(LAPS, &options, &name), 0);
            sleep(moment);
            run.kill().unwrap();
            run.wait().unwrap();
        }
        if let Ok(info) = ResultInfo::open(&at.join(&name)) {
            half_way += usize::from(info.progress == Progress::Running && info.frames_done() > 0);
        }
        let resumed = integrate(at, LAPS, &format!("{options} --resume"), &name);
        assert_eq!(resumed.code, 10, "{kind} after {moment:?}: {}", resumed.stderr);
        let there = segments(&at.join(&name));
        assert_eq!(names(&at.join(format!("{name}.parts"))).len(), there.count(), "{name}: drafts are left");
        pairs.push((format!("{kind}.h5"), name));
    }
    same(&pairs, at, &"virtual same\n".repeat(KILLS));
    assert!(half_way >= KILLS / 6, "{half_way} of {KILLS} were killed half way");
}

#[test]
fn a_viewer_sees_what_is_there_and_nothing_of_what_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_small_scan(at, FRAMES);
    killed_after(at, "--device cpu -c 50 -r 8 -t 5 --sums --segments 7K", "r.h5", 12);
    let looked = ask_oracle_code(
        "
import sys, h5py, numpy as np
with h5py.File(sys.argv[1]) as f:
    p = f['entry_0000/xrdct']
    good = p['frame_status'][()].ravel() == 0
    rows = p['result/intensity'][()].reshape(40, 50)
    turned = p['result/map'][()].reshape(50, 40).T
    assert np.isnan(rows[~good]).all() and np.isfinite(rows[good]).all() and np.array_equal(rows, turned, equal_nan=True)
    norms = p['sums/norms'][()][p['sums/norms_of'][()].ravel()]
    made = p['sums/signal'][()].reshape(40, 50)[good] / norms['normalization'][good]
    assert np.allclose(made, rows[good], rtol=1e-5, equal_nan=True)
    assert p['status'][()] == b'running' and 12 <= good.sum() < 40
print('seen')
",
        &[&at.join("r.h5")],
    );
    assert_eq!(looked, "seen\n");
}
