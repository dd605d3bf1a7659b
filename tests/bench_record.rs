//! A record is the best that a bench ever reached: what is worse fails, and only somebody with a reason makes it less.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use xrdct::bench::BenchError;
use xrdct::bench::machine::Machine;
use xrdct::bench::measure::{Amount, Measure, digest};
use xrdct::bench::record::Record;
use xrdct::bench::verdict::{BenchRun, Finding, Intent, Verdict, compare, conclude, keep_better, suspects};
use xrdct::codec::byte_offset;

use crate::support::{names, small_pixels};

const CLASS: &str = "fake";

fn machine(kernel: &str) -> Machine {
    Machine {
        cpu: "a processor".into(),
        cores: 2,
        memory: 1,
        gpu: None,
        gpus: None,
        driver: None,
        kernel: kernel.into(),
    }
}

fn measure(name: &str, ratio: f64) -> Measure {
    Measure::new(name, Amount { bytes: 1, pixels: 1 }, digest([1]), 1.0, ("ceiling", ratio))
}

/// A run of all benches.
fn run(measures: &[Measure]) -> BenchRun {
    BenchRun { date: "2026-02-02".into(), ..BenchRun::new(CLASS, machine("Linux"), measures.to_vec(), true) }
}

fn save() -> Intent {
    Intent { save: true, ..Intent::default() }
}

fn replace(name: &str, because: &str) -> Intent {
    Intent { replace: vec![name.into()], because: Some(because.into()), ..Intent::default() }
}

fn retire(name: &str, because: &str) -> Intent {
    Intent { retire: vec![name.into()], because: Some(because.into()), ..Intent::default() }
}

/// A folder with a record of these benches.
fn recorded(measures: &[Measure]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    assert!(conclude(root.path(), &run(measures), &save()).unwrap().is_good);
    root
}

fn read(root: &TempDir) -> Record {
    Record::read(root.path(), CLASS).unwrap()
}

fn best(root: &TempDir, name: &str) -> Option<f64> {
    read(root).of(name).map(|kept| kept.measure.ratio)
}

#[track_caller]
fn good(root: &TempDir, measures: &[Measure], intent: &Intent) -> String {
    let Verdict { text, is_good } = conclude(root.path(), &run(measures), intent).unwrap();
    assert!(is_good, "{text}");
    text
}

#[track_caller]
fn bad(root: &TempDir, measures: &[Measure], intent: &Intent, words: &str) {
    let Verdict { text, is_good } = conclude(root.path(), &run(measures), intent).unwrap();
    assert!(!is_good && text.contains(words), "no `{words}` in {text}");
}

/// Decoding small frames `times` times over: one call of a bench.
fn decode_bench(times: usize, spoil: u64) -> Measure {
    let packed = byte_offset::encode(&small_pixels(0).repeat(20));
    let mut pixels = vec![0_i32; small_pixels(0).len() * 20];
    byte_offset::decode(&packed, &mut pixels).unwrap();
    let truth = digest(pixels.iter().map(|pixel| *pixel as u64 ^ spoil));
    let mut limit = pixels.clone();
    let mut work = || (0..times).for_each(|_| byte_offset::decode(&packed, &mut pixels).unwrap());
    let amount = Amount { bytes: packed.len(), pixels: limit.len() };
    let mut once = || byte_offset::decode(&packed, &mut limit).unwrap();
    Measure::take("decode", amount, truth, 0.05, &mut work, ("decode once", &mut once))
}

#[test]
fn a_slowed_kernel_is_caught() {
    let fast = decode_bench(1, 0);
    let root = recorded(std::slice::from_ref(&fast));
    assert_eq!(read(&root).best[0].measure, fast, "what is read is what was written");

    // The same kernel, doing everything three times, and one that computes something else.
    let slowed = [decode_bench(3, 0)];
    bad(&root, &slowed, &Intent::default(), "SLOWER  decode");
    assert_eq!(suspects(root.path(), &run(&slowed)).unwrap(), ["decode"]);
    bad(&root, &[decode_bench(1, 1)], &Intent::default(), "OTHER RESULT  decode");
}

#[test]
fn a_run_can_only_raise_a_record() {
    let root = recorded(&[measure("x", 0.90)]);
    // A little less is noise, and is not kept.
    good(&root, &[measure("x", 0.85)], &save());
    assert_eq!(best(&root, "x"), Some(0.90));
    // 8 % below the run before, but not 10 % of the best may be lost.
    bad(
        &root,
        &[measure("x", 0.78)],
        &save(),
        "SLOWER  x: 0.780 of its ceiling, 0.900 on 2026-02-02 (-13 %)",
    );
    assert_eq!(best(&root, "x"), Some(0.90));
    // Better is kept when asked for.
    assert!(good(&root, &[measure("x", 0.95)], &Intent::default()).contains("better  x"));
    assert_eq!(best(&root, "x"), Some(0.90));
    good(&root, &[measure("x", 0.95)], &save());
    assert_eq!(best(&root, "x"), Some(0.95));
    bad(&root, &[measure("x", f64::NAN)], &save(), "SLOWER  x");
    assert!(read(&root).ended.is_empty());
}

#[test]
fn a_bench_without_a_record_fails_until_it_is_kept() {
    let root = recorded(&[measure("x", 0.9)]);
    let two = [measure("x", 0.9), measure("y", 0.1)];
    bad(&root, &two, &Intent::default(), "NOT RECORDED  y");
    good(&root, &two, &save());
    good(&root, &two, &Intent::default());
    // Nothing that is no figure becomes one.
    let three = [&two[..], &[measure("z", f64::INFINITY)]].concat();
    bad(&root, &three, &save(), "NOT RECORDED  z");
    let nowhere = tempfile::tempdir().unwrap();
    bad(&nowhere, &two, &Intent::default(), "2 bad findings");
    assert_eq!(names(nowhere.path()), Vec::<String>::new(), "nobody asked to keep anything");
}

#[test]
fn a_bench_that_is_gone_is_missed() {
    let root = recorded(&[measure("x", 0.9), measure("old name", 0.5)]);
    bad(&root, &[measure("x", 0.9)], &save(), "MISSING  old name");
    // A run of some benches misses nothing.
    let some = BenchRun { whole: false, ..run(&[measure("x", 0.9)]) };
    assert!(conclude(root.path(), &some, &Intent::default()).unwrap().is_good);
    good(&root, &[measure("x", 0.9)], &retire("old name", "it is part of x now"));
    assert_eq!(best(&root, "old name"), None);
    let record = read(&root);
    let ended = &record.ended[0];
    assert_eq!((ended.was.measure.ratio, ended.because.as_str()), (0.5, "it is part of x now"));
    good(&root, &[measure("x", 0.9)], &Intent::default());
}

#[test]
fn less_is_a_record_only_on_purpose_and_with_a_reason() {
    let root = recorded(&[measure("x", 0.9), measure("y", 0.5)]);
    let now = [measure("x", 0.6), measure("y", 0.3)];
    let because = "checks every digest since";
    // Only what is named.
    bad(&root, &now, &replace("x", because), "SLOWER  y");
    assert_eq!((best(&root, "x"), best(&root, "y")), (Some(0.6), Some(0.5)));
    good(&root, &now, &replace("y", because));
    good(&root, &now, &Intent::default());
    let record = read(&root);
    let was: Vec<_> =
        record.ended.iter().map(|e| (e.was.measure.name.as_str(), e.was.measure.ratio)).collect();
    assert_eq!(was, [("x", 0.9), ("y", 0.5)], "what they were stays");
    assert!(record.ended.iter().all(|e| e.because == because && e.ended == "2026-02-02"));

    // Another result or ceiling is a record only on purpose, too.
    let other = [Measure { digest: digest([2]), ..measure("x", 0.7) }, measure("y", 0.3)];
    bad(&root, &other, &save(), "OTHER RESULT  x");
    assert_eq!(best(&root, "x"), Some(0.6));
    good(&root, &other, &replace("x", "the corrections changed"));
    let other = [Measure { ceiling: "another".into(), ..other[0].clone() }, measure("y", 0.3)];
    bad(&root, &other, &save(), "OTHER CEILING  x: beside \"another\", was beside \"ceiling\"");
    good(&root, &other, &replace("x", "the ceiling was none"));
}

#[test]
fn intentions_that_mean_nothing_are_refused() {
    let root = recorded(&[measure("x", 0.9), measure("y", 0.5)]);
    let before = fs::read(Record::path(root.path(), CLASS)).unwrap();
    let refused = |intent: Intent, words: &str| {
        let measures = [measure("x", 0.2), measure("new", f64::NAN)];
        let error = conclude(root.path(), &run(&measures), &intent).unwrap_err();
        assert!(matches!(error, BenchError::Intent(_)) && error.to_string().contains(words), "{error}");
    };
    refused(Intent { because: None, ..replace("x", "") }, "--because");
    refused(Intent { because: None, ..retire("y", "") }, "--because");
    refused(replace("x", "  "), "a reason");
    refused(Intent { because: Some("why not".into()), ..save() }, "goes with");
    refused(replace("z", "a typing error"), "z: it has no record in fake");
    refused(replace("new", "it never had one"), "no record");
    refused(retire("z", "a typing error"), "no record");
    refused(replace("y", "it was not run"), "has not measured it");
    refused(retire("x", "it is slow"), "has measured it");
    conclude(root.path(), &run(&[measure("x", f64::NAN)]), &replace("x", "it is zero by zero")).unwrap_err();
    assert_eq!(fs::read(Record::path(root.path(), CLASS)).unwrap(), before);
}

#[test]
fn figures_remember_their_machine_and_their_day() {
    let root = recorded(&[measure("x", 0.5), measure("y", 0.5)]);
    let later = BenchRun {
        date: "2026-03-03".into(),
        machine: machine("another"),
        ..run(&[measure("x", 0.6), measure("y", 0.4)])
    };
    conclude(root.path(), &later, &save()).unwrap();
    let record = read(&root);
    let of = |name: &str| {
        let kept = record.of(name).unwrap();
        (kept.date.as_str(), record.machines[kept.machine].kernel.as_str())
    };
    assert_eq!((of("x"), of("y")), (("2026-03-03", "another"), ("2026-02-02", "Linux")));
    // The same machine is told once.
    conclude(root.path(), &BenchRun { measures: vec![measure("x", 0.7)], ..later }, &save()).unwrap();
    assert_eq!(read(&root).machines.len(), 2);
}

#[test]
fn another_class_of_machine_has_its_own_record() {
    let root = recorded(&[measure("x", 0.9)]);
    let elsewhere = BenchRun { class: "other".into(), ..run(&[measure("x", 0.1)]) };
    assert_eq!(
        compare(&elsewhere, &Record::read(root.path(), "other").unwrap()),
        [("x".into(), Finding::NotRecorded)]
    );
    assert!(conclude(root.path(), &elsewhere, &save()).unwrap().is_good);
    assert_eq!(best(&root, "x"), Some(0.9));
}

#[test]
fn a_second_measurement_counts_where_it_is_better() {
    let mut measures = [measure("x", 0.5), measure("y", 0.5)];
    let other = Measure { digest: digest([2]), ..measure("y", 0.9) };
    keep_better(&mut measures, vec![measure("x", 0.6), other, measure("new", 1.0)]);
    assert_eq!(measures, [measure("x", 0.6), measure("y", 0.5)]);
    keep_better(&mut measures, vec![measure("x", 0.4)]);
    assert_eq!(measures[0], measure("x", 0.6));
}

#[test]
fn what_is_no_record_is_an_error() {
    let root = recorded(&[measure("x", 0.9)]);
    let path = Record::path(root.path(), CLASS);
    let text = fs::read_to_string(&path).unwrap();
    for (broken, words) in [
        ("{}".to_owned(), "missing field"),
        (text.replace("\"format\": 2", "\"format\": 3"), "its format is 3"),
        (text.replace("\"class\": \"fake\"", "\"class\": \"other\""), "class other"),
        (text.replace("\"machine\": 0", "\"machine\": 1"), "none of its 1"),
    ] {
        assert_ne!(broken, text);
        fs::write(&path, broken).unwrap();
        let error = conclude(root.path(), &run(&[measure("x", 0.9)]), &save()).unwrap_err();
        let said = error.to_string();
        assert!(matches!(error, BenchError::Record { .. }) && said.contains(words), "{said}");
    }
}

#[test]
fn the_projects_own_records_are_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/record");
    for class in names(&root) {
        let record = Record::read(&root, &class).unwrap();
        assert!(record.best.len() > 10, "{class}: {} benches", record.best.len());
        assert!(record.best.iter().all(|kept| kept.measure.ratio.is_finite() && kept.measure.ratio > 0.0));
        assert!(record.ended.iter().all(|ended| ended.because.len() > 10), "{class}: a reason is a sentence");
    }
}
