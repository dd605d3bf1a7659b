//! A GPU that nobody named fails in the middle of a run: the cores do what is left, every row is there, and the file says which are theirs.
//!
//! The device is a fake behind the same trait as a GPU's: it takes frames a batch at a time, fails in every way in which a device does, and
//! keeps what it had. What stands in for a GPU's patterns are the host's, so rows must have the same bits. `gpu/going_over.rs` has the
//! same with a real one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use xrdct::frame::{BadFrame, Frame, FrameId, FrameStatus, Outcome, SlotPool};
use xrdct::h5;
use xrdct::output::result::{Ending, Patterns, Progress, ResultInfo};
use xrdct::pipeline::{PipelineError, Report, Stop, Watch};
use xrdct::reduce::{ReduceError, Reducer};
use xrdct::session::RunResult;
use xrdct::session::options::{BadFramesName, ErrorModelName, StrategyName};
use xrdct::session::{Options, Plan, Run, Session};
use xrdct::source::Source;
use xrdct::source::decoded::Decoding;
use xrdct::source::memory::MemorySource;

use crate::support::{SMALL, one_line, small_pixels, within, write_small_scan, xrdct};

pub(crate) const FRAMES: usize = 40;
const NPT: usize = 50;
/// A run that takes so long does not end.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
pub(crate) const WHY: &str = "the GPU failed while waiting for a batch: CUDA_ERROR_LAUNCH_FAILED";

/// Where a device fails.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum At {
    Submit,
    Flush,
    Collect,
    /// It does not answer: what it has stays with it.
    Hang,
}

/// A device that gives so many outcomes and then fails.
pub(crate) struct Failing {
    inner: Box<dyn Reducer>,
    left: usize,
    at: At,
    /// Its name, where there are several.
    name: Option<String>,
    /// Raised when it fails.
    pub(crate) failed: Arc<AtomicBool>,
    /// Outcomes that it has made and not given.
    made: Vec<Outcome>,
    held: Vec<Frame>,
}

impl Failing {
    pub(crate) fn new(inner: Box<dyn Reducer>, left: usize, at: At, name: Option<String>) -> Failing {
        Failing { inner, left, at, name, failed: Arc::default(), made: vec![], held: vec![] }
    }

    fn fails(&self, at: At) -> Result<(), ReduceError> {
        match self.left == 0 && (at == self.at || at == At::Collect) {
            true => {
                self.failed.store(true, Ordering::Release);
                Err(ReduceError::Device(WHY.into()))
            }
            false => Ok(()),
        }
    }
}

impl Reducer for Failing {
    fn capacity(&self) -> usize {
        8
    }

    fn device(&self) -> Option<String> {
        self.name.clone()
    }

    fn submit(&mut self, frame: Frame) -> Result<(), ReduceError> {
        if self.left == 0 {
            self.held.push(frame);
        } else {
            self.inner.submit(frame)?;
        }
        self.fails(At::Submit)
    }

    fn flush(&mut self) -> Result<(), ReduceError> {
        self.fails(At::Flush)?;
        self.inner.flush()
    }

    fn is_ready(&self) -> Result<bool, ReduceError> {
        self.inner.is_ready()
    }

    fn collect(&mut self) -> Result<Vec<Outcome>, ReduceError> {
        if self.made.is_empty() {
            self.made = self.inner.collect()?;
        }
        if self.made.is_empty() || self.left == 0 {
            self.fails(At::Collect)?;
        }
        let given: Vec<_> = self.made.drain(..self.left.min(3).min(self.made.len())).collect();
        self.left -= given.len();
        Ok(given)
    }

    fn abandon(&mut self) -> Vec<FrameId> {
        let id = |done: Outcome| done.map_or_else(|bad| bad.id, |pattern| pattern.id);
        let made = self.made.drain(..).map(id);
        let mut given_up: Vec<FrameId> = made.chain(self.inner.abandon()).collect();
        for frame in self.held.drain(..) {
            given_up.push(frame.id);
            if self.at == At::Hang {
                std::mem::forget(frame);
            }
        }
        given_up
    }
}

/// What a person who looks on sees.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) frames: Vec<FrameId>,
    /// Frames that were seen before the news.
    pub(crate) before: Option<usize>,
    pub(crate) news: Vec<String>,
    pub(crate) stop: Stop,
    /// Asks the run to stop so many frames after the news.
    pub(crate) stop_after: Option<usize>,
}

impl Watch for Seen {
    fn see(&mut self, done: usize, outcome: &Outcome) {
        self.frames.push(outcome.as_ref().map_or_else(|bad: &BadFrame| bad.id, |pattern| pattern.id));
        assert_eq!(done, self.frames.len(), "every frame is counted on");
        if let (Some(before), Some(after)) = (self.before, self.stop_after)
            && done == before + after
        {
            self.stop.raise();
        }
    }

    fn hear(&mut self, news: &str) {
        self.news.push(news.to_owned());
        self.before = Some(self.frames.len());
        if self.stop_after == Some(0) {
            self.stop.raise();
        }
    }
}

pub(crate) struct Scan {
    pub(crate) folder: tempfile::TempDir,
}

impl Scan {
    /// Small frames, some of which are torn.
    pub(crate) fn with_bad(bad: &[usize]) -> Scan {
        Scan::of(FRAMES, bad)
    }

    fn of(frames: usize, bad: &[usize]) -> Scan {
        let folder = tempfile::tempdir().expect("a scratch folder");
        write_small_scan(folder.path(), frames);
        for number in bad {
            let path = folder.path().join(format!("scan/small_{number:05}.cbf"));
            let bytes = std::fs::read(&path).expect("a frame");
            std::fs::write(&path, &bytes[..bytes.len() - 4500]).expect("writable");
        }
        Scan { folder }
    }

    pub(crate) fn options(&self, strategy: StrategyName) -> Options {
        Options {
            inputs: vec![self.path("scan").display().to_string()],
            poni: Some(self.path("small.poni")),
            npt: Some(NPT),
            strategy: Some(strategy),
            device: Some("cpu".into()),
            threads: Some(3),
            ..Options::default()
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A device that fails…
#[derive(Debug, Clone, Copy)]
struct Failure {
    after: usize,
    at: At,
    /// …in a crew whose readers decode, as those of `--strategy pool` on a GPU do.
    decodes: bool,
    slots: usize,
}

impl Failure {
    fn after(after: usize) -> Failure {
        Failure { after, at: At::Collect, decodes: false, slots: 12 }
    }
}

struct Walked {
    report: Report,
    ended: Result<(), PipelineError>,
    seen: Seen,
    session: Session,
}

/// Walks a session's frames with a device that fails, to a file.
fn walk(session: Session, file: &mut RunResult, failure: Failure, stop_after: Option<usize>) -> Walked {
    let mut seen = Seen { stop_after, ..Seen::default() };
    let mut doors = session.doors(session.plan().source(), None, None).expect("doors");
    assert!(!doors.may_go_on, "nobody goes over from the cores");
    let inner = doors.reducers.pop().expect("a reducer");
    let device = Failing::new(inner, failure.after, failure.at, None);
    doors.reducers = vec![Box::new(device)];
    doors.may_go_on = true;
    doors.slots = SlotPool::on_host(failure.slots, 100_000);
    doors.packed = doors.slots.clone();
    if failure.decodes {
        doors.readers =
            doors.readers.into_iter().map(|reader| Box::new(Decoding::new(reader)) as _).collect();
    }
    let stop = seen.stop.clone();
    let run = Run { stop, watchers: vec![&mut seen], ..Run::default() };
    let (report, ended) = session.walk(doors, file, run);
    Walked { report, ended, seen, session }
}

/// The bits of every row, and its status.
pub(crate) fn rows(path: &Path) -> (Vec<u32>, Vec<u8>) {
    let patterns = Patterns::open(path).expect("a result");
    let file = h5::File::open(path).expect("an HDF5 file");
    let statuses = file.group("entry_0000/xrdct").and_then(|g| g.dataset("frame_status"));
    let statuses = statuses.and_then(|d| d.read_raw()).expect("statuses");
    (patterns.read(0..NPT).expect("rows").iter().map(|v| v.to_bits()).collect(), statuses)
}

/// Which rows are marked; `None` where the file has no marks.
pub(crate) fn marks(path: &Path) -> Option<Vec<u8>> {
    let file = h5::File::open(path).expect("an HDF5 file");
    let process = file.group("entry_0000/xrdct").expect("a result");
    process
        .link_exists("frame_device")
        .then(|| process.dataset("frame_device").and_then(|d| d.read_raw()).expect("marks"))
}

/// What the cores alone make of the frames; and how many had the digest of their header.
pub(crate) fn planned(scan: &Scan, options: Options) -> ((Vec<u32>, Vec<u8>), usize) {
    let path = scan.path("planned.h5");
    let session = Session::open(Plan::new(options).expect("a plan")).expect("a session");
    let mut file = session.result(&path, true).expect("a file");
    let (report, ended) = session.run(&mut file, Run::default()).expect("doors");
    ended.expect("a run");
    file.finish(&report.ending()).expect("a result");
    assert_eq!((report.gone_over, marks(&path)), (None, None), "an ordinary result has no marks");
    (rows(&path), report.verified)
}

/// A run in which a device fails, and everything that must be so afterwards.
fn goes_over(scan: &Scan, options: Options, failure: Failure) {
    let (expected, verified) = planned(scan, options.clone());
    let path = scan.path("result.h5");
    let session = Session::open(Plan::new(options).expect("a plan")).expect("a session");
    let mut file = session.result(&path, true).expect("a file");
    let (walked, mut file) = within(LIMIT, &format!("{failure:?}"), move || {
        let walked = walk(session, &mut file, failure, None);
        (walked, file)
    });
    let Walked { report, ended, seen, session } = walked;
    ended.unwrap_or_else(|error| panic!("{failure:?}: {error}"));
    file.flush().expect("written");
    let written = file.finish(&report.ending()).expect("a result");
    assert_eq!(rows(&path), expected, "{failure:?}");
    // Everybody saw every frame once, and heard why.
    let mut ids: Vec<usize> = seen.frames.iter().map(|id| id.0).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..FRAMES).collect::<Vec<_>>(), "{failure:?}");
    let before = seen.before.expect("news");
    let left = FRAMES - before;
    let news = format!("{WHY}; the CPU goes on with the {left} frames that are left");
    assert_eq!(seen.news, [news], "{failure:?}");
    // The report is one run's.
    let over = report.gone_over.as_ref().expect("it went over");
    assert_eq!((over.frames, over.why.as_str(), report.done), (left, WHY, FRAMES), "{failure:?}");
    let count = |status: FrameStatus| expected.1.iter().filter(|s| **s == status as u8).count();
    let pending = count(FrameStatus::Pending);
    let bad = expected.1.len() - pending - count(FrameStatus::Good);
    assert_eq!((report.bad.len(), written.bad, written.pending), (bad, bad, pending), "{failure:?}");
    assert_eq!((report.asked, report.interrupted), (Some(FRAMES), false));
    assert_eq!(report.verified, verified);
    assert!(report.given_up.is_empty(), "{failure:?}");
    // Those of the cores are marked, and no others.
    let mut marked = vec![0; expected.1.len()];
    for id in &seen.frames[before..] {
        marked[session.plan().scan.as_ref().map_or(id.0, |scan| scan.point(id.0))] = 1;
    }
    assert_eq!(marks(&path), Some(marked), "{failure:?}");
    let info = ResultInfo::open(&path).expect("a result");
    assert_eq!((info.gone_over, info.progress), (Some((left, WHY.to_owned())), Progress::Complete));
}

#[test]
fn every_row_is_there_wherever_a_device_fails_and_whoever_reads() {
    let scan = Scan::with_bad(&[2, 19, 39]);
    for strategy in [StrategyName::Sequential, StrategyName::Pool, StrategyName::Auto] {
        for at in [At::Submit, At::Flush, At::Collect, At::Hang] {
            for (after, decodes) in [(0, false), (1, true), (17, false), (17, true), (FRAMES - 4, false)] {
                goes_over(&scan, scan.options(strategy), Failure { at, decodes, ..Failure::after(after) });
            }
        }
    }
}

#[test]
fn a_device_that_keeps_all_slots_does_not_stop_the_run() {
    let scan = Scan::with_bad(&[]);
    for slots in [1, 2, 9] {
        let failure = Failure { at: At::Hang, slots, ..Failure::after(10) };
        goes_over(&scan, scan.options(StrategyName::Pool), failure);
    }
}

#[test]
fn frames_of_a_stack_are_read_again_as_files_are() {
    let scan = Scan::with_bad(&[]);
    let made = xrdct(scan.folder.path(), &["convert", "scan", "-o", "stack.h5", "--gzip"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let inputs = vec![scan.path("stack.h5").display().to_string()];
    for strategy in [StrategyName::Sequential, StrategyName::Pool] {
        let options = Options { inputs: inputs.clone(), ..scan.options(strategy) };
        goes_over(&scan, options, Failure::after(13));
    }
}

#[test]
fn rows_of_a_map_with_errors_and_sums_are_marked_where_they_are() {
    let scan = Scan::with_bad(&[7]);
    let options = Options {
        slow: Some(9),
        fast: Some(6),
        zigzag: Some(true),
        sums: Some(true),
        error_model: Some(ErrorModelName::Poisson),
        ..scan.options(StrategyName::Pool)
    };
    goes_over(&scan, options, Failure::after(21));
}

#[test]
fn a_stop_on_the_cores_is_an_interruption_as_any_other() {
    // More than are ever under way.
    const MANY: usize = 400;
    let scan = Scan::of(MANY, &[1]);
    for strategy in [StrategyName::Sequential, StrategyName::Pool] {
        for after in [0, 5] {
            let session =
                Session::open(Plan::new(scan.options(strategy)).expect("a plan")).expect("a session");
            let path = scan.path("stopped.h5");
            let mut file = session.result(&path, true).expect("a file");
            let Walked { report, ended, seen, .. } = walk(session, &mut file, Failure::after(9), Some(after));
            ended.expect("a stop is no failure");
            assert!(report.interrupted && report.done < MANY, "{strategy:?} after {after}: {}", report.done);
            let over = report.gone_over.as_ref().expect("it went over").frames;
            assert_eq!(over, report.done - seen.before.expect("news"));
            assert!(over >= after, "{strategy:?}: those under way are kept");
            let written = file.finish(&report.ending()).expect("a result");
            assert_eq!((written.good + written.bad, written.pending), (report.done, MANY - report.done));
            let marked = marks(&path).expect("marks").into_iter().filter(|mark| *mark == 1).count();
            assert_eq!(marked, over, "rows that nobody made are not marked");
            assert_eq!(ResultInfo::open(&path).expect("a result").progress, Progress::Interrupted);
        }
    }
}

#[test]
fn a_stop_before_a_device_fails_is_an_interruption_and_no_core_is_asked() {
    let scan = Scan::with_bad(&[]);
    let session =
        Session::open(Plan::new(scan.options(StrategyName::Pool)).expect("a plan")).expect("a session");
    let path = scan.path("stopped.h5");
    let mut file = session.result(&path, true).expect("a file");
    let mut doors = session.doors(session.plan().source(), None, None).expect("doors");
    let stop = Stop::default();
    /// Fails at its first frame, while somebody asks the run to stop.
    struct Stopped(Stop);
    impl Reducer for Stopped {
        fn capacity(&self) -> usize {
            1
        }
        fn submit(&mut self, _: Frame) -> Result<(), ReduceError> {
            self.0.raise();
            Err(ReduceError::Device(WHY.into()))
        }
        fn flush(&mut self) -> Result<(), ReduceError> {
            Ok(())
        }
        fn is_ready(&self) -> Result<bool, ReduceError> {
            Ok(true)
        }
        fn collect(&mut self) -> Result<Vec<Outcome>, ReduceError> {
            Ok(vec![])
        }
        fn abandon(&mut self) -> Vec<FrameId> {
            vec![]
        }
    }
    doors.reducers = vec![Box::new(Stopped(stop.clone()))];
    doors.may_go_on = true;
    let (report, ended) = session.walk(doors, &mut file, Run { stop, ..Run::default() });
    ended.expect("a stop is no failure");
    assert!(report.interrupted && report.gone_over.is_some_and(|over| over.frames == 0));
    file.finish(&Ending::Interrupted).expect("a result");
    assert_eq!(marks(&path), None);
}

#[test]
fn a_bad_frame_ends_the_run_on_the_cores_too_where_it_is_to() {
    let scan = Scan::with_bad(&[25]);
    let options = Options { bad_frames: Some(BadFramesName::Stop), ..scan.options(StrategyName::Sequential) };
    let session = Session::open(Plan::new(options).expect("a plan")).expect("a session");
    let path = scan.path("bad.h5");
    let mut file = session.result(&path, true).expect("a file");
    let Walked { report, ended, .. } = walk(session, &mut file, Failure::after(9), None);
    assert!(matches!(ended, Err(PipelineError::BadFrame(bad)) if bad.id == FrameId(25)));
    assert_eq!((report.done, report.bad.len()), (26, 1));
    drop(file);
    // One that came before the device failed ended the run there.
    let options = Options { bad_frames: Some(BadFramesName::Stop), ..scan.options(StrategyName::Sequential) };
    let session = Session::open(Plan::new(options).expect("a plan")).expect("a session");
    let mut file = session.result(&path, true).expect("a file");
    let Walked { report, ended, .. } = walk(session, &mut file, Failure::after(30), None);
    assert!(matches!(ended, Err(PipelineError::BadFrame(_))) && report.gone_over.is_none());
}

#[test]
fn a_device_that_was_asked_for_ends_the_run_and_so_do_frames_that_come_but_once() {
    let scan = Scan::with_bad(&[]);
    let session =
        Session::open(Plan::new(scan.options(StrategyName::Pool)).expect("a plan")).expect("a session");
    let images =
        (0..FRAMES).map(|number| small_pixels(number).iter().flat_map(|count| count.to_le_bytes()).collect());
    let memory = MemorySource::of(SMALL, xrdct::frame::PixelType::I32, images.collect());
    let sources: [(bool, Box<dyn Source>); 2] = [(false, session.plan().source()), (true, Box::new(memory))];
    for (may_go_on, source) in sources {
        let path = scan.path("asked.h5");
        let mut file = session.result(&path, true).expect("a file");
        let mut doors = session.doors(source, None, None).expect("doors");
        let inner = doors.reducers.pop().expect("a reducer");
        doors.reducers = vec![Box::new(Failing::new(inner, 9, At::Collect, None))];
        doors.may_go_on = may_go_on;
        let (report, ended) = session.walk(doors, &mut file, Run::default());
        let error = ended.expect_err("nothing else will do");
        assert_eq!(error.to_string(), WHY);
        assert_eq!((report.done, report.gone_over.is_none()), (9, true), "what was complete is there");
        assert!(!report.given_up.is_empty() && report.given_up.len() <= 16);
        let written = file.finish(&Ending::Failed(error.to_string())).expect("a result");
        assert_eq!((written.good, written.pending), (9, FRAMES - 9));
    }
}

#[test]
fn a_session_whose_device_failed_goes_on_with_the_cores() {
    let scan = Scan::with_bad(&[]);
    let options = scan.options(StrategyName::Pool);
    let (expected, _) = planned(&scan, options.clone());
    let session = Session::open(Plan::new(options).expect("a plan")).expect("a session");
    let path = scan.path("first.h5");
    let mut file = session.result(&path, true).expect("a file");
    let Walked { session, ended, .. } = walk(session, &mut file, Failure::after(5), None);
    ended.expect("a run");
    let doors = session.doors(session.plan().source(), None, None).expect("doors");
    assert_eq!(doors.notes, [format!("{WHY}; computing on the CPU since then")]);
    let path = scan.path("second.h5");
    let mut file = session.result(&path, true).expect("a file");
    let (report, ended) = session.walk(doors, &mut file, Run::default());
    ended.expect("a run");
    file.finish(&report.ending()).expect("a result");
    assert_eq!((rows(&path), marks(&path), report.gone_over), (expected, None, None));
}

#[test]
fn a_file_whose_run_was_killed_on_the_cores_tells_what_is_whose() {
    let scan = Scan::with_bad(&[]);
    let session =
        Session::open(Plan::new(scan.options(StrategyName::Pool)).expect("a plan")).expect("a session");
    let path = scan.path("killed.h5");
    let mut file = session.result(&path, true).expect("a file");
    let Walked { ended, report, .. } = walk(session, &mut file, Failure::after(5), None);
    ended.expect("a run");
    // Whatever is in the file now was written before the end; the end itself never comes.
    file.flush().expect("written");
    let copy = scan.path("copy.h5");
    std::fs::copy(&path, &copy).expect("a copy");
    let info = ResultInfo::open(&copy).expect("a result");
    let over = report.gone_over.expect("it went over");
    assert_eq!((info.progress, info.gone_over), (Progress::Running, Some((over.frames, over.why))));
    let said = xrdct(scan.folder.path(), &["info", "copy.h5"]);
    let line = one_line(&said.stdout, "on the CPU");
    assert!(line.ends_with(&format!("{} rows, not on the GPU (frame_device): {WHY}", over.frames)), "{line}");
}

mod needs_oracle {
    use super::*;
    use crate::support::ask_oracle_code;

    #[test]
    fn h5py_reads_the_marks() {
        let scan = Scan::with_bad(&[]);
        let options = Options { slow: Some(8), fast: Some(5), ..scan.options(StrategyName::Pool) };
        goes_over(&scan, options, Failure::after(12));
        let said = ask_oracle_code(
            "import sys, h5py\nwith h5py.File(sys.argv[1]) as h5:\n    d = h5['entry_0000/xrdct/frame_device']\n    \
             print(d.shape, d.dtype, int(d[()].sum()), d.attrs['legend'], '|', d.attrs['reason'])",
            &[&scan.path("result.h5")],
        );
        let info = ResultInfo::open(&scan.path("result.h5")).expect("a result");
        let (count, why) = info.gone_over.expect("marks");
        assert_eq!(said.trim(), format!("(8, 5) uint8 {count} 0 = as_planned, 1 = cpu | {why}"));
    }
}
