//! Several devices in one run: one queue, rows in place, the same bits; of those that fail the others do the frames again.
//!
//! The devices are fakes behind the same trait as a GPU's, as in `going_over.rs`. `gpu/several.rs` has the same with real ones.

mod fakes;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use xrdct::frame::SlotPool;
use xrdct::h5;
use xrdct::output::lock::Lock;
use xrdct::output::result::{Ending, Progress, ResultInfo};
use xrdct::pipeline::{PipelineError, Report, Stop};
use xrdct::session::RunResult;
use xrdct::session::options::StrategyName;
use xrdct::session::resume::what_is_left;
use xrdct::session::{Doors, Plan, Resume, Run, Session};

use self::fakes::{Counting, Dropping, Late, Modest, Patient};
use crate::going_over::{At, FRAMES, Failing, LIMIT, Scan, Seen, WHY, marks, planned, rows};
use crate::support::{one_line, within, xrdct};

/// Of three devices, `failing` give so many outcomes each and then fail.
#[derive(Debug, Clone)]
struct Failures {
    failing: Vec<(usize, usize)>,
    at: At,
    slots: usize,
    may_go_on: bool,
    stop_after: Option<usize>,
}

impl Failures {
    fn of(failing: &[(usize, usize)]) -> Failures {
        let failing = failing.to_vec();
        Failures { failing, at: At::Collect, slots: 12, may_go_on: false, stop_after: None }
    }

    /// The doors of a session of the host, with fakes behind the third.
    fn doors(&self, session: &Session) -> Doors {
        let mut doors = session.doors(session.plan().source(), None, None).expect("doors");
        let name = |number: usize| format!("cuda:{number}");
        let mut inner = std::mem::take(&mut doors.reducers).into_iter();
        assert_eq!(inner.len(), 3, "as many as there are threads");
        let mut flags = vec![];
        for (number, left) in &self.failing {
            let device =
                Failing::new(inner.next().expect("one of three"), *left, self.at, Some(name(*number)));
            flags.push(Arc::clone(&device.failed));
            doors.reducers.push(Box::new(device));
        }
        for (inner, number) in
            inner.zip((0..3).filter(|n| self.failing.iter().all(|(failing, _)| n != failing)))
        {
            let others = flags.clone();
            doors.reducers.push(Box::new(Patient { inner, name: name(number), others }));
        }
        doors.slots = SlotPool::on_host(self.slots, 100_000);
        doors.packed = doors.slots.clone();
        Doors { may_go_on: self.may_go_on, ..doors }
    }
}

struct Walked {
    report: Report,
    ended: Result<(), PipelineError>,
    seen: Seen,
    file: RunResult,
}

fn walk(scan: &Scan, failures: &Failures) -> Walked {
    let session =
        Session::open(Plan::new(scan.options(StrategyName::Pool)).expect("a plan")).expect("a session");
    let mut file = session.result(&scan.path("result.h5"), true).expect("a file");
    let failures = failures.clone();
    within(LIMIT, &format!("{failures:?}"), move || {
        let mut seen = Seen { stop_after: failures.stop_after, ..Seen::default() };
        let stop = seen.stop.clone();
        let run = Run { stop, watchers: vec![&mut seen], ..Run::default() };
        let (report, ended) = session.walk(failures.doors(&session), &mut file, run);
        Walked { report, ended, seen, file }
    })
}

fn lost_devices(scan: &Scan) -> Vec<String> {
    ResultInfo::open(&scan.path("result.h5")).expect("a result").lost_devices
}

/// A run in which some devices fail and others go on, and everything that must be so afterwards.
fn go_on(scan: &Scan, failures: &Failures) {
    let (expected, verified) = planned(scan, scan.options(StrategyName::Pool));
    let Walked { report, ended, seen, file } = walk(scan, failures);
    ended.unwrap_or_else(|error| panic!("{failures:?}: {error}"));
    file.finish(&report.ending()).expect("a result");
    let path = scan.path("result.h5");
    assert_eq!((rows(&path), marks(&path)), (expected, None), "{failures:?}");
    let mut ids: Vec<usize> = seen.frames.iter().map(|id| id.0).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..FRAMES).collect::<Vec<_>>(), "{failures:?}");
    let outcome = (report.done, report.asked, report.interrupted, report.verified);
    assert_eq!(outcome, (FRAMES, Some(FRAMES), false, verified), "{failures:?}");
    assert!(report.gone_over.is_none() && report.given_up.is_empty(), "{failures:?}");
    // Who was lost is told everywhere.
    let mut names: Vec<String> = report.lost.iter().filter_map(|lost| lost.device.clone()).collect();
    let whys: Vec<String> = names.iter().map(|name| format!("{name}: {WHY}")).collect();
    assert_eq!(report.lost.iter().map(|lost| lost.why.clone()).collect::<Vec<_>>(), whys, "{failures:?}");
    let told = |lost: &xrdct::pipeline::LostReducer| {
        assert!(lost.frames <= failures.slots, "{failures:?}: {lost:?}");
        format!("{}; the others go on, and do its {} frames again", lost.why, lost.frames)
    };
    assert_eq!(seen.news, report.lost.iter().map(told).collect::<Vec<_>>(), "{failures:?}");
    assert_eq!(lost_devices(scan), whys, "{failures:?}");
    names.sort_unstable();
    let mut failing: Vec<String> = failures.failing.iter().map(|(n, _)| format!("cuda:{n}")).collect();
    failing.sort_unstable();
    assert_eq!(names, failing, "{failures:?}");
}

#[test]
fn any_number_of_devices_gives_the_same_bits() {
    let scan = Scan::with_bad(&[2, 19, 39]);
    go_on(&scan, &Failures::of(&[]));
}

#[test]
fn of_several_devices_one_may_fail_anywhere() {
    let scan = Scan::with_bad(&[2, 19, 39]);
    for at in [At::Submit, At::Flush, At::Collect, At::Hang] {
        for after in [0, 1, 17, FRAMES - 6] {
            go_on(&scan, &Failures { at, ..Failures::of(&[(1, after)]) });
        }
    }
}

#[test]
fn and_so_may_all_but_one() {
    let scan = Scan::with_bad(&[7]);
    for at in [At::Submit, At::Flush, At::Collect, At::Hang] {
        go_on(&scan, &Failures { at, slots: 30, ..Failures::of(&[(0, 3), (2, 0)]) });
    }
}

#[test]
fn slots_that_a_device_keeps_for_ever_are_replaced() {
    let scan = Scan::with_bad(&[]);
    for slots in [1, 2, 5] {
        go_on(&scan, &Failures { at: At::Hang, slots, ..Failures::of(&[(0, 4)]) });
    }
}

#[test]
fn a_device_gives_nothing_back_while_another_may_hang() {
    let scan = Scan::with_bad(&[]);
    let session =
        Session::open(Plan::new(scan.options(StrategyName::Pool)).expect("a plan")).expect("a session");
    let mut file = session.result(&scan.path("result.h5"), true).expect("a file");
    let dropped = Arc::<AtomicBool>::default();
    let flag = Arc::clone(&dropped);
    let (before, report) = within(LIMIT, "a run with a slow device", move || {
        let mut doors = session.doors(session.plan().source(), None, None).expect("doors");
        let mut inner = std::mem::take(&mut doors.reducers).into_iter();
        let others = Arc::<AtomicUsize>::default();
        let counting = Counting(inner.next().expect("a reducer"), Arc::clone(&others));
        let early = Dropping(Box::new(counting), Arc::clone(&flag));
        let before = Arc::<AtomicBool>::default();
        let late = Late {
            inner: Modest {
                inner: inner.next().expect("another"),
                had: Arc::default(),
                in_line: AtomicUsize::new(0),
                others,
            },
            dropped: flag,
            before: Arc::clone(&before),
        };
        doors.reducers = vec![Box::new(early), Box::new(late)];
        doors.slots = SlotPool::on_host(FRAMES, 100_000);
        let (report, ended) = session.walk(doors, &mut file, Run::default());
        ended.expect("a run");
        (before.load(Ordering::Acquire), report)
    });
    assert_eq!(report.done, FRAMES);
    assert!(!before, "the first gave back what it had while the second was at work");
    assert!(dropped.load(Ordering::Acquire), "but it does so in the end");
}

#[test]
fn when_all_fail_the_run_ends_with_every_reason_or_goes_over_to_the_cores() {
    let scan = Scan::with_bad(&[5]);
    let (expected, _) = planned(&scan, scan.options(StrategyName::Pool));
    let all = Failures { slots: 30, ..Failures::of(&[(0, 3), (1, 3), (2, 3)]) };
    let reasons = |said: &str| {
        let mut reasons: Vec<String> = said.split("; ").map(str::to_owned).collect();
        reasons.sort_unstable();
        assert_eq!(reasons, [0, 1, 2].map(|n| format!("cuda:{n}: {WHY}")), "{said}");
    };
    let Walked { report, ended, seen, file } = walk(&scan, &all);
    let error = ended.expect_err("nobody is left");
    reasons(&error.to_string());
    // The bad frame is the readers', and may have come.
    assert!((9..=10).contains(&report.done) && seen.news.is_empty() && report.gone_over.is_none());
    let written = file.finish(&Ending::Failed(error.to_string())).expect("a result");
    assert_eq!((written.good, written.pending), (9, FRAMES - report.done));
    assert!(lost_devices(&scan).is_empty());

    let Walked { report, ended, seen, file } = walk(&scan, &Failures { may_go_on: true, ..all });
    ended.expect("the cores go on");
    let over = report.gone_over.as_ref().expect("it went over");
    reasons(&over.why);
    assert_eq!((seen.news.len(), report.lost.len(), report.done), (1, 0, FRAMES));
    file.finish(&report.ending()).expect("a result");
    let path = scan.path("result.h5");
    let marked = marks(&path).expect("marks").iter().filter(|mark| **mark == 1).count();
    assert_eq!((rows(&path), marked), (expected, over.frames));
}

#[test]
fn a_stop_beside_a_failure_is_an_interruption() {
    let scan = Scan::with_bad(&[]);
    // Raised as soon as somebody hears of the failure: frames that are to be done again are left.
    let failures = Failures { stop_after: Some(0), ..Failures::of(&[(0, 9)]) };
    let Walked { report, ended, seen, file } = walk(&scan, &failures);
    ended.expect("a stop is no failure");
    let left: usize = report.lost.iter().map(|lost| lost.frames).sum();
    assert!(report.interrupted && left > 0 && seen.news.len() == 1, "{:?}", report.lost);
    assert_eq!((report.done, report.given_up.len()), (FRAMES - left, left));
    let written = file.finish(&report.ending()).expect("a result");
    assert_eq!((written.good, written.pending), (FRAMES - left, left));
    assert_eq!(ResultInfo::open(&scan.path("result.h5")).expect("a result").progress, Progress::Interrupted);
}

#[test]
fn a_file_tells_which_devices_were_lost() {
    let scan = Scan::with_bad(&[]);
    go_on(&scan, &Failures { slots: 30, ..Failures::of(&[(0, 3), (2, 2)]) });
    let file = h5::File::open(&scan.path("result.h5")).expect("an HDF5 file");
    let lost =
        file.group("entry_0000/xrdct").and_then(|group| group.dataset("lost_devices")).expect("devices");
    assert_eq!(lost.shape(), [2]);
    let said = xrdct(scan.folder.path(), &["info", "result.h5"]);
    let line = one_line(&said.stdout, "lost ");
    assert!(line.contains(WHY) && line.ends_with("others did its frames again"), "{line}");
}

#[test]
fn a_run_that_goes_on_keeps_what_the_file_tells_of_devices() {
    let scan = Scan::with_bad(&[]);
    let path = scan.path("result.h5");
    let failures = Failures { stop_after: Some(0), ..Failures::of(&[(0, 9)]) };
    let Walked { report, ended, file, .. } = walk(&scan, &failures);
    ended.expect("a stop is no failure");
    file.finish(&report.ending()).expect("a result");
    let whys = lost_devices(&scan);
    assert_eq!(whys, [format!("cuda:0: {WHY}")]);
    let mut options = scan.options(StrategyName::Pool);
    let resume = Resume::open(&path, &mut options).expect("a result").expect("there is one");
    let session = Session::open(Plan::new(options).expect("a plan")).expect("a session");
    resume.check(session.plan(), false).expect("the same run");
    let lock = Lock::take(&path).expect("nobody else writes");
    let mut draft = session.result_draft(lock, true, Some(&resume)).expect("a draft");
    let carried = resume.carry(&mut draft, false).expect("rows");
    assert_eq!(carried.good, report.done);
    let mut file = draft.publish().expect("a file");
    let left = what_is_left(session.plan().source(), &carried);
    let (report, ended) =
        session.walk(session.doors(left, None, None).expect("doors"), &mut file, Run::default());
    ended.expect("a run");
    // Said twice, kept once.
    file.lose(&whys[0]).expect("a file that can be changed");
    file.finish(&report.ending()).expect("a result");
    let (expected, _) = planned(&scan, scan.options(StrategyName::Pool));
    assert_eq!((rows(&path), lost_devices(&scan)), (expected, whys));
}

#[test]
fn words_that_name_no_gpus_are_refused() {
    let scan = Scan::with_bad(&[]);
    let words = "auto, cpu, cuda, cuda:N, cuda:N,N,... or cuda:all";
    for (word, cause) in [
        ("cuda:1,0,1", "GPU 1 is named twice".to_owned()),
        ("cuda:0,", format!("unknown; choose {words}")),
        ("cuda:every", format!("unknown; choose {words}")),
    ] {
        let (poni, said) = (["--poni", "small.poni"], format!("--device {word}: {cause}"));
        let integrate = ["integrate", poni[0], poni[1], "-o", "r.h5", "scan", "--device", word];
        let convert = ["convert", "-o", "s.h5", "scan", "--device", word];
        for arguments in [&integrate[..], &convert[..]] {
            let done = xrdct(scan.folder.path(), arguments);
            assert_eq!(done.code, 2, "{arguments:?}: {}", done.stderr);
            assert!(done.stderr.contains(&said), "{arguments:?}: {}", done.stderr);
        }
    }
}

#[test]
fn frames_do_not_wait_in_line_at_one_device_while_another_is_free() {
    let scan = Scan::with_bad(&[]);
    let session =
        Session::open(Plan::new(scan.options(StrategyName::Pool)).expect("a plan")).expect("a session");
    let mut file = session.result(&scan.path("result.h5"), true).expect("a file");
    let had = Arc::<Mutex<Vec<usize>>>::default();
    let noted = Arc::clone(&had);
    let report = within(LIMIT, "a run with a slow device", move || {
        let mut doors = session.doors(session.plan().source(), None, None).expect("doors");
        let mut inner = std::mem::take(&mut doors.reducers).into_iter();
        let others = Arc::<AtomicUsize>::default();
        let counting = Counting(inner.next().expect("a reducer"), Arc::clone(&others));
        let inner = inner.next().expect("another");
        let modest = Modest { inner, had: noted, in_line: AtomicUsize::new(0), others };
        doors.reducers = vec![Box::new(counting), Box::new(modest)];
        doors.slots = SlotPool::on_host(FRAMES, 100_000);
        let (report, ended) = session.walk(doors, &mut file, Run { stop: Stop::default(), ..Run::default() });
        ended.expect("a run");
        report
    });
    assert_eq!(report.done, FRAMES);
    let had = had.lock().expect("nobody panicked");
    assert!(had.len() <= 2, "frames {had:?} waited in line");
}
