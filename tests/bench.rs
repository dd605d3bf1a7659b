//! Benches tell the truth: rows that are there or say why not, a bottleneck that is one, and losses that are caught.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use serde_json::Value;
use xrdct::bench::cache::{Cold, chill, warm};
use xrdct::bench::outcome::{Rate, Table};
use xrdct::bench::profile::{self, Part, Profile, Who};
use xrdct::bench::subject::Subject;
use xrdct::bench::walk::{Pass, agree};
use xrdct::bench::{BenchError, table1};
use xrdct::frame::{BadFrame, Frame, Outcome, Slots};
use xrdct::geometry::poni::Poni;
use xrdct::pipeline::Stage;
use xrdct::reduce::{ReduceError, Reducer};
use xrdct::session::Engines;
use xrdct::session::{Crew, Doors};
use xrdct::source::{Reader, Ticket};
use xrdct::trace::Timeline;

use crate::support::{names, oracle, write_small_scan, xrdct};

const TABLE1: [&str; 13] = [
    "bench",
    "table1",
    "--frames",
    "scan",
    "--poni",
    "small.poni",
    "--npt",
    "60",
    "--row-time",
    "1",
    "--device",
    "cpu",
    "--quiet",
];

fn frames(folder: &Path) -> Vec<PathBuf> {
    names(&folder.join("scan")).iter().map(|name| folder.join("scan").join(name)).collect()
}

fn subject(folder: &Path) -> Subject {
    let path = folder.join("small.poni");
    Subject::new(&frames(folder), &path, &Poni::read(&path).unwrap(), 60).unwrap()
}

#[test]
fn table1_has_every_row_or_says_why_not() {
    let folder = tempfile::tempdir().unwrap();
    write_small_scan(folder.path(), 6);
    let told = [&TABLE1[..], &["--runs", "2", "-o", "out", "--chart", "chart.SVG"]].concat();
    let done = xrdct(folder.path(), &told);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();

    let json = read("out/table1.json");
    let table: Table = serde_json::from_str(&json).unwrap();
    let wanted: Vec<String> =
        table1::rows(table.threads, 1).into_iter().map(|wanted| wanted.row.key).collect();
    assert_eq!(table.rows.iter().map(|row| row.key.clone()).collect::<Vec<_>>(), wanted);
    for pool in [1, 2, 3, 4, 6, 12, 24] {
        assert!(wanted.contains(&format!("pool-{pool}")), "a pool of {pool} is a row of the paper");
    }
    let plain: Value = serde_json::from_str(&json).unwrap();
    for row in plain["rows"].as_array().unwrap() {
        let on_gpu = row["ceiling"] == "read-upload"
            || ["read-pinned", "read-upload", "upload"].iter().any(|k| row["key"] == *k);
        let hot = &row["cells"]["mem"];
        match on_gpu {
            true => assert!(hot["missing"].as_str().unwrap().contains("--device cpu"), "{row}"),
            false => assert!(hot["measured"]["median"].as_f64().unwrap() > 0.0, "{row}"),
        }
        // A cold start is measured or has a reason, nothing else.
        let cold = &row["cells"]["ssd"];
        assert!(cold["measured"]["median"].as_f64().is_some() != cold["missing"].as_str().is_some(), "{row}");
        assert!(cold["missing"].as_str().is_none_or(|reason| reason.len() > 20), "{row}");
    }
    assert!(
        table.rate("cpu-pool", xrdct::bench::cache::StartFrom::Mem).is_some_and(|rate| rate.runs.len() == 2)
    );

    let markdown = read("out/table1.md");
    let header = markdown.lines().find(|line| line.starts_with("| strategy")).unwrap();
    assert!(header.ends_with("| paper |") && header.contains("MEM") && header.contains("SSD"), "{header}");
    let csv = read("out/table1.csv");
    assert_eq!(csv.lines().count(), 1 + 2 * wanted.len());
    // Every row that is the paper's has its figures; its pools and OpenCL ran hot only.
    let published = [
        ("sequential CPU/CPU", "31.6, SSD 28.2", "31.6 ± 0.9, SSD 28.2 ± 0.3"),
        ("sequential CPU/GPU", "74.6, SSD 53.1", "74.6 ± 1.3, SSD 53.1 ± 1.4"),
        ("pool of 1 reader + GPU", "167", "167 ± 3"),
        ("pool of 2 readers + GPU", "192", "192 ± 7"),
        ("pool of 3 readers + GPU", "155", "155 ± 5"),
        ("pool of 4 readers + GPU", "190", "190 ± 4"),
        ("pool of 6 readers + GPU", "168", "168 ± 18"),
        ("pool of 12 readers + GPU", "121", "121 ± 4"),
        ("pool of 24 readers + GPU", "88", "88 ± 2"),
        ("GPU/GPU", "253", "253 ± 2"),
    ];
    for (name, terminal, full) in published {
        let line = done.stdout.lines().find(|line| line.trim_start().starts_with(name)).expect(name);
        assert!(line.ends_with(&format!("  {terminal}")), "{line}");
        let line = markdown.lines().find(|line| line.starts_with(&format!("| {name} |"))).expect(name);
        assert!(line.ends_with(&format!("| {full} |")), "{line}");
    }
    for source in ["MEM", "SSD"] {
        let line =
            csv.lines().find(|line| line.starts_with(&format!("sequential-cpu,paper,{source},"))).unwrap();
        assert!(line.contains(if source == "MEM" { ",31.6," } else { ",28.2," }), "{line}");
    }
    assert!(
        done.stdout.contains("J. Synchrotron Rad. (2018) 25, 612–617") && !markdown.contains("not found")
    );

    // The table of a run from before the figures were at hand is printed with them.
    let mut old: Value = serde_json::from_str(&json).unwrap();
    old["rows"].as_array_mut().unwrap().iter_mut().for_each(|row| row["published"] = "not-found".into());
    fs::write(folder.path().join("old.json"), old.to_string()).unwrap();
    let again = xrdct(folder.path(), &["bench", "table1", "--from", "old.json"]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(again.stdout, done.stdout);
    assert!(read("chart.SVG").contains("250 frames/s"));
    assert!(fs::read(folder.path().join("out/table1.png")).unwrap().starts_with(b"\x89PNG"));
    assert!(done.stdout.contains("sequential CPU/CPU") && done.stdout.contains("missing"), "{}", done.stdout);
    assert!(done.stdout.lines().take(24).all(|line| line.chars().count() <= 110), "{}", done.stdout);
}

#[test]
fn table1_refuses_what_it_cannot_mean() {
    let folder = tempfile::tempdir().unwrap();
    write_small_scan(folder.path(), 2);
    let refused = |arguments: &[&str], words: &[&str]| {
        let done = xrdct(folder.path(), arguments);
        assert_eq!(done.code, 2, "{}", done.stderr);
        words.iter().for_each(|word| assert!(done.stderr.contains(word), "{}", done.stderr));
    };
    refused(&[&TABLE1[..], &["--rows", "pool-5"]].concat(), &["pool-5", "pool-4", "cpu-pool"]);
    refused(&[&TABLE1[..], &["--chart", "x.pdf"]].concat(), &["--chart", ".svg"]);
    refused(&[&TABLE1[..], &["--peers=no-such-python"]].concat(), &["no-such-python", "does not start"]);
    refused(&["bench", "table1", "--frames", "scan"], &["--poni"]);
    refused(
        &["bench", "profile", "--strategy", "read", "--frames", "scan", "-p", "small.poni"],
        &["ceiling"],
    );
    assert_eq!(names(folder.path()), ["scan", "small.poni"], "nothing is left behind");
}

#[test]
fn a_run_is_cut_by_its_time_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    write_small_scan(folder.path(), 400);
    let told =
        ["--rows", "sequential-cpu", "--source", "mem", "--runs", "1", "--csv", "t.csv", "--json", "t.json"];
    let mut arguments = [&TABLE1[..], &told].concat();
    let at = arguments.iter().position(|word| *word == "1").unwrap();
    arguments[at] = "0.002";
    let done = xrdct(folder.path(), &arguments);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let table: Table =
        serde_json::from_str(&fs::read_to_string(folder.path().join("t.json")).unwrap()).unwrap();
    let rate = table.rate("sequential-cpu", xrdct::bench::cache::StartFrom::Mem).unwrap();
    assert!(rate.frames < 400, "{rate:?}");
    assert!(done.stdout.contains("cut short by --row-time"), "{}", done.stdout);
}

#[test]
fn another_result_is_a_defect() {
    let expected = [1.0, 2.0, 0.0];
    agree("row", &[1.0, 2.000_001, 0.0], &expected).unwrap();
    for wrong in [[1.0, 2.1, 0.0], [1.0, f32::NAN, 0.0], [1.0, 2.0, 1e-9]] {
        let error = agree("row", &wrong, &expected).unwrap_err();
        assert!(matches!(error, BenchError::Disagrees { .. }) && error.is_defect(), "{error}");
    }
    assert!(agree("row", &[1.0], &expected).unwrap_err().is_defect());
}

#[test]
fn statistics_are_the_papers() {
    let rate = Rate::of(vec![10.0, 14.0, 11.0, 100.0, 12.0], 7).unwrap();
    assert_eq!((rate.median, rate.mad, rate.frames), (12.0, 2.0, 7));
    assert_eq!(Rate::of(vec![1.0, 3.0], 1).unwrap().median, 2.0);
    assert_eq!(Rate::of(vec![], 0), None);
}

#[test]
fn a_cold_start_is_verified() {
    let folder = tempfile::tempdir().unwrap();
    write_small_scan(folder.path(), 3);
    let files = subject(folder.path()).files;
    warm(&files).unwrap();
    match chill(&files).unwrap() {
        Cold::Yes => {}
        Cold::No(reason) => assert!(reason.len() > 20, "{reason}"),
    }
    // Pages that a process holds mapped are not dropped, whatever is asked for.
    let file = fs::File::open(&files[1]).unwrap();
    let length = file.metadata().unwrap().len() as usize;
    let (protection, flags) = (ProtFlags::READ, MapFlags::SHARED | MapFlags::POPULATE);
    // SAFETY: a new mapping at a place that the kernel chooses, of a file that nobody cuts; it is read below and unmapped once.
    let mapped = unsafe { mmap(std::ptr::null_mut(), length, protection, flags, &file, 0) }.unwrap();
    // SAFETY: as above.
    assert_eq!(unsafe { mapped.cast::<u8>().read_volatile() }, b'#');
    assert!(matches!(chill(&files).unwrap(), Cold::No(reason) if reason.len() > 20));
    // SAFETY: the mapping from above.
    unsafe { munmap(mapped, length) }.unwrap();
}

/// A reader that takes its time.
struct Throttled(Box<dyn Reader>);

impl Reader for Throttled {
    fn read(&mut self, ticket: Ticket, slots: &mut Slots<'_>, out: &mut dyn FnMut(Result<Frame, BadFrame>)) {
        sleep(Duration::from_millis(4));
        self.0.read(ticket, slots, out);
    }
}

/// A reducer that does.
struct Slow(Box<dyn Reducer>);

impl Reducer for Slow {
    fn capacity(&self) -> usize {
        self.0.capacity()
    }
    fn submit(&mut self, frame: Frame) -> Result<(), ReduceError> {
        sleep(Duration::from_millis(4));
        self.0.submit(frame)
    }
    fn flush(&mut self) -> Result<(), ReduceError> {
        self.0.flush()
    }
    fn is_ready(&self) -> Result<bool, ReduceError> {
        self.0.is_ready()
    }
    fn collect(&mut self) -> Result<Vec<Outcome>, ReduceError> {
        self.0.collect()
    }
    fn abandon(&mut self) -> Vec<xrdct::frame::FrameId> {
        self.0.abandon()
    }
}

/// Profile of a host pool whose crew `change` has changed, and its timeline.
fn profile_of(plan: Crew, change: impl Fn(Doors) -> Doors) -> (Profile, Timeline) {
    let folder = tempfile::tempdir().unwrap();
    write_small_scan(folder.path(), 20);
    let subject = subject(folder.path());
    let engines = Engines::on_host(subject.recipe.clone(), "left out").unwrap();
    let crew = change(subject.doors(&plan, &engines, 100, None).unwrap());
    let timeline = Timeline::default();
    let pass = Pass {
        frames: 100,
        output: Some(folder.path().join("out.h5")),
        timeline: Some(timeline.clone()),
        ..Pass::default()
    };
    (profile::run(&subject, &plan, "test", crew, &pass).unwrap(), timeline)
}

#[test]
fn the_bottleneck_is_the_stage_that_is_slow() {
    let plan = Crew::host_pool(2);
    let throttled = |reader| Box::new(Throttled(reader)) as Box<dyn Reader>;
    let slow = |reducer| Box::new(Slow(reducer)) as Box<dyn Reducer>;
    let (readers, _) =
        profile_of(plan, |crew| Doors { readers: crew.readers.into_iter().map(throttled).collect(), ..crew });
    assert_eq!(readers.who, Some(Who::Readers), "{readers:?}");
    assert!(readers.bottleneck.starts_with("the readers: 1 thread is busy"), "{}", readers.bottleneck);
    let (workers, _) =
        profile_of(plan, |crew| Doors { reducers: crew.reducers.into_iter().map(slow).collect(), ..crew });
    assert_eq!(workers.who, Some(Who::Workers), "{workers:?}");
    let (alone, _) = profile_of(Crew::SEQUENTIAL, |crew| Doors {
        readers: crew.readers.into_iter().map(throttled).collect(),
        ..crew
    });
    assert!(alone.bottleneck.starts_with("read: "), "{}", alone.bottleneck);
}

#[test]
fn a_profile_is_its_timeline_added_up() {
    for plan in [Crew::host_pool(2), Crew::SEQUENTIAL] {
        let (profile, timeline) = profile_of(plan, |crew| crew);
        assert_eq!(profile.frames, 100);
        let seconds =
            |part: Part| profile.parts.iter().find(|time| time.part == part).map_or(0.0, |time| time.seconds);
        let bars = |name: &str| {
            let spans = timeline.spans();
            spans
                .iter()
                .filter(|span| span.name == name)
                .map(|span| (span.end - span.start) / 1e6)
                .sum::<f64>()
        };
        let near = |a: f64, b: f64| assert!((a - b).abs() <= 0.01 * b.max(1e-4), "{a} and {b}: {profile:?}");
        near(seconds(Part::Read) + seconds(Part::Header), bars("read"));
        near(seconds(Part::Header), bars("header"));
        near(seconds(Part::Decode) + seconds(Part::Integrate), bars(Stage::Reduce.name()));
        near(seconds(Part::Decode), bars("decode"));
        near(seconds(Part::Write), bars("write"));
        assert!(seconds(Part::Header) > 0.0 && seconds(Part::Decode) > 0.0 && seconds(Part::Integrate) > 0.0);
        near(profile.parts.iter().map(|time| time.share).sum(), 1.0);
    }
}

#[test]
fn profile_prints_stages_and_writes_the_timeline_they_are_from() {
    let folder = tempfile::tempdir().unwrap();
    write_small_scan(folder.path(), 12);
    let arguments = [
        "bench",
        "profile",
        "--frames",
        "scan",
        "--poni",
        "small.poni",
        "--npt",
        "60",
        "--strategy",
        "pool",
        "--passes",
        "3",
        "--json",
        "p.json",
        "--trace",
        "t.json",
        "--device",
        "cpu",
    ];
    let done = xrdct(folder.path(), &arguments);
    assert_eq!(done.code, 0, "{}", done.stderr);
    for word in ["read", "header", "decode", "integrate", "write", "ms a frame", "bottleneck: "] {
        assert!(done.stdout.contains(word), "{word}: {}", done.stdout);
    }
    let json = |name: &str| -> Value {
        serde_json::from_str(&fs::read_to_string(folder.path().join(name)).unwrap()).unwrap()
    };
    let (profile, trace) = (json("p.json"), json("t.json"));
    assert_eq!(profile[0]["frames"], 36);
    let bars = trace["traceEvents"].as_array().unwrap().iter().filter(|event| event["name"] == "write");
    let traced: f64 = bars.map(|bar| bar["dur"].as_f64().unwrap() / 1e6).sum();
    let parts = profile[0]["parts"].as_array().unwrap();
    let told = parts.iter().find(|part| part["part"] == "write").unwrap()["seconds"].as_f64().unwrap();
    assert!((told - traced).abs() <= 0.01 * traced, "{told} and {traced}");
}

mod needs_oracle {
    use super::*;

    #[test]
    fn peers_are_measured_on_the_same_frames_and_agree() {
        let folder = tempfile::tempdir().unwrap();
        write_small_scan(folder.path(), 5);
        let peers = format!("--peers={}", oracle().display());
        let rows = "cpu-pool,peer-sequential,peer-pool-2,peer-processes,peer-opencl";
        let told =
            ["--source", "mem", "--runs", "2", "--threads", "2", "--json", "t.json", "--rows", rows, &peers];
        let done = xrdct(folder.path(), &[&TABLE1[..], &told].concat());
        assert_eq!(done.code, 0, "{}", done.stderr);
        let table: Table =
            serde_json::from_str(&fs::read_to_string(folder.path().join("t.json")).unwrap()).unwrap();
        for key in ["peer-sequential", "peer-pool-2", "peer-processes"] {
            let row = table.row(key).unwrap_or_else(|| panic!("{key} is a row"));
            let cell = &row.cells[&xrdct::bench::cache::StartFrom::Mem];
            assert!(cell.rate().is_some_and(|rate| rate.median > 0.0 && rate.frames == 5), "{row:?}");
        }
        // OpenCL is there or the row says why not.
        let opencl = &table.row("peer-opencl").unwrap().cells[&xrdct::bench::cache::StartFrom::Mem];
        assert!(opencl.rate().is_some() || format!("{opencl:?}").contains("OpenCL"), "{opencl:?}");
        assert!(table.versions.contains_key("pyFAI") && done.stdout.contains("peers: "), "{}", done.stdout);
        assert!(
            table.ratios().iter().any(|ratio| ratio.name.contains("CPU pool / FabIO + pyFAI, sequential"))
        );
    }

    #[test]
    fn slices_are_timed_beside_their_floors_and_scikit_image() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let small =
            ["bench", "tomo", "--bins", "20", "--rotations", "20", "--translations", "31", "--runs", "1"];
        let more = [
            "--time",
            "0.1",
            "--device",
            "cpu",
            "--threads",
            "2",
            "--json",
            "tomo.json",
            "--markdown",
            "tomo.md",
        ];
        let peers = format!("--peers={}", oracle().display());
        let done = xrdct(folder.path(), &[&small[..], &more, &[&peers]].concat());
        assert_eq!(done.code, 0, "{}", done.stderr);
        let text = fs::read_to_string(folder.path().join("tomo.json")).expect("written");
        let table: xrdct::bench::tomo::SliceTable = serde_json::from_str(&text).expect("reads back");
        let row = |key: &str| table.rows.iter().find(|row| row.key == key).expect(key);
        for key in ["cpu", "cpu-1"] {
            let (floor, _) = row(key).floor.clone().expect("a floor");
            assert!(row(key).seconds.is_some_and(|seconds| seconds > 0.0 && floor > 0.0), "{key}");
        }
        assert!(row("scikit-image").seconds.is_some(), "{:?}", row("scikit-image").missing);
        assert_eq!(row("gpu").missing.as_deref(), Some("--device cpu"));
        assert!(done.stdout.contains("CPU, 2 threads / scikit-image iradon"), "{}", done.stdout);
        assert!(
            fs::read_to_string(folder.path().join("tomo.md")).expect("written").contains("| CPU, 1 thread |")
        );
        let wrong = xrdct(folder.path(), &["bench", "tomo", "--rotations", "1"]);
        assert!(wrong.code == 2 && wrong.stderr.contains("at least 2"), "{}", wrong.stderr);
    }
}
