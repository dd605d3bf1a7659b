//! The corridor keeps its promises whatever happens: every id once, first error returned, no hang, no lost slot.
//!
//! Doors are fakes here, so that failures can be injected at each of them; real doors are tested through the CLI. What must end
//! early is tested with a list of frames that nobody could wait for: a run that does not stop does not pass.

use std::cell::Cell;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::thread::sleep;
use std::time::Duration;

use xrdct::frame::{
    BadFrame, Codec, Encoding, Frame, FrameHeader, FrameId, FrameStatus, Outcome, Pattern, PixelType, Shape,
    Slot, SlotPool, Slots,
};
use xrdct::output::sink::{Sink, SinkError};
use xrdct::pipeline::{
    BadFrames, Corridor, MOST_WAITING, Passage, PipelineError, Report, Stage, Stop, Strategy, Watch, go_on,
    run,
};
use xrdct::reduce::{ReduceError, Reducer};
use xrdct::source::{About, Next, Reader, Source, SourceError, Ticket};

use crate::support::within;

/// What happens at frame [`AT`], and at which door.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Event {
    Nothing,
    BadFrame,
    ReaderPanics,
    SubmitFails,
    SubmitPanics,
    FlushFails,
    ReadyFails,
    NeverReady,
    CollectFails,
    CollectPanics,
    /// As a device that does not answer: what it has stays with it.
    Hangs,
    SinkFails,
    Interrupt,
}

const AT: usize = 57;

/// Frames of a run that nothing but its end in good order, or its stop, can end…
const SOME: usize = 200;

/// …and of one that is to stop: beyond [`BRISK`] frames are slow, so that all of them would take a minute and more.
const ENDLESS: usize = 20_000;
const BRISK: usize = 1_000;
const SLOW: Duration = Duration::from_millis(20);

/// A run that takes so long does not end.
const LIMIT: Duration = Duration::from_secs(30);

const ON_PURPOSE: &str = "a panic on purpose";

/// Panics on purpose are not printed; those of other tests, which run at the same time, are.
fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if panic.payload().downcast_ref::<&str>() != Some(&ON_PURPOSE) {
                usual(panic);
            }
        }));
    });
}

/// What readers did.
#[derive(Default)]
struct Reads {
    all: AtomicUsize,
    /// Begun although the run had been asked to stop.
    late: AtomicUsize,
}

/// Lists so many frames; the readers are made beside it.
struct FakeSource {
    frames: usize,
    given: usize,
}

impl Source for FakeSource {
    fn about(&mut self) -> Result<Option<Arc<About>>, SourceError> {
        let encoding =
            Encoding { codec: Codec::Raw, pixel: PixelType::U8, shape: Shape { slow: 1, fast: 1 } };
        let (count, header) = (Some(self.frames), FrameHeader::default());
        Ok(Some(Arc::new(About {
            encoding,
            undone: None,
            count,
            slot_bytes: 1,
            columns: Arc::default(),
            header,
            facts: Default::default(),
        })))
    }

    fn next(&mut self, _: &SlotPool) -> Result<Next, SourceError> {
        if self.given == self.frames {
            return Ok(Next::End);
        }
        self.given += 1;
        Ok(Next::Read(Ticket::file(FrameId(self.given - 1), Path::new("f"))))
    }

    fn reader(&self) -> Box<dyn Reader> {
        unreachable!("readers are made beside it")
    }
}

struct FakeReader {
    event: Event,
    stop: Stop,
    reads: Arc<Reads>,
}

impl Reader for FakeReader {
    fn read(&mut self, ticket: Ticket, slots: &mut Slots<'_>, out: &mut dyn FnMut(Result<Frame, BadFrame>)) {
        out(self.frame(ticket.first(), slots.take()));
    }
}

impl FakeReader {
    fn frame(&mut self, id: FrameId, slot: Slot) -> Result<Frame, BadFrame> {
        self.reads.all.fetch_add(1, Ordering::Relaxed);
        self.reads.late.fetch_add(usize::from(self.stop.is_raised()), Ordering::Relaxed);
        if id.0 > BRISK {
            sleep(SLOW);
        }
        match self.event {
            Event::BadFrame if id.0 == AT => {
                return Err(BadFrame { id, status: FrameStatus::Truncated, message: "torn".into() });
            }
            Event::ReaderPanics if id.0 == AT => std::panic::panic_any(ON_PURPOSE),
            _ => {}
        }
        let encoding =
            Encoding { codec: Codec::Raw, pixel: PixelType::U8, shape: Shape { slow: 1, fast: 1 } };
        Ok(Frame {
            id,
            origin: Path::new("f").into(),
            encoding,
            slot: Arc::new(slot),
            payload: 0..1,
            header: FrameHeader::default(),
            factor: 1.0,
        })
    }
}

struct FakeReducer {
    depth: usize,
    event: Event,
    queue: VecDeque<Frame>,
    /// It was handed frame [`AT`].
    met: bool,
    asked: Cell<usize>,
    failed: Cell<bool>,
}

impl FakeReducer {
    /// A device that failed once fails always.
    fn fails(&self, event: Event) -> Result<(), ReduceError> {
        self.failed.set(self.failed.get() || self.met && self.event == event);
        match self.failed.get() {
            true => Err(ReduceError::Device("boom at 57".into())),
            false => Ok(()),
        }
    }
}

impl Reducer for FakeReducer {
    fn capacity(&self) -> usize {
        self.depth
    }
    fn submit(&mut self, frame: Frame) -> Result<(), ReduceError> {
        self.met |= frame.id.0 == AT;
        if self.met && self.event == Event::SubmitPanics {
            std::panic::panic_any(ON_PURPOSE);
        }
        self.queue.push_back(frame);
        self.fails(Event::SubmitFails)
    }
    fn flush(&mut self) -> Result<(), ReduceError> {
        self.fails(Event::FlushFails)
    }
    fn is_ready(&self) -> Result<bool, ReduceError> {
        self.fails(Event::ReadyFails)?;
        if self.met && self.event == Event::NeverReady {
            return Ok(false);
        }
        // Like a device: not at the first asking.
        self.asked.set(self.asked.get() + 1);
        Ok(self.asked.get().is_multiple_of(3))
    }
    fn collect(&mut self) -> Result<Vec<Outcome>, ReduceError> {
        if self.met && self.event == Event::CollectPanics {
            std::panic::panic_any(ON_PURPOSE);
        }
        self.fails(Event::Hangs)?;
        self.fails(Event::NeverReady)?;
        self.fails(Event::CollectFails)?;
        // Two at a time, so that batches and capacities do not line up.
        let n = self.queue.len().min(2);
        let pattern = |frame: Frame| Pattern {
            id: frame.id,
            header: FrameHeader::default(),
            intensity: vec![frame.id.0 as f32],
            sem: None,
            std: None,
            count: None,
            signal: vec![],
            variance: None,
            norms: Arc::default(),
            saturated: 0,
        };
        Ok(self.queue.drain(..n).map(pattern).map(Ok).collect())
    }
    fn abandon(&mut self) -> Vec<FrameId> {
        let frames = self.queue.drain(..);
        let give_up = |frame: Frame| {
            let id = frame.id;
            if self.event == Event::Hangs {
                std::mem::forget(frame);
            }
            id
        };
        frames.map(give_up).collect()
    }
}

struct FakeSink {
    event: Event,
    stop: Stop,
    rows: Vec<Option<f32>>,
}

impl Sink for FakeSink {
    fn pause(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
    fn put(&mut self, outcome: Outcome) -> Result<(), SinkError> {
        let (id, value) = match &outcome {
            Ok(p) => (p.id.0, p.intensity[0]),
            Err(b) => (b.id.0, f32::NAN),
        };
        if id == AT && self.event == Event::SinkFails {
            return Err("disk full at 57".into());
        }
        if id == AT && self.event == Event::Interrupt {
            self.stop.raise();
        }
        assert!(self.rows[id].replace(value).is_none(), "row {id} came twice");
        Ok(())
    }
}

#[derive(Clone, Copy, Debug)]
struct Setup {
    readers: usize,
    reducers: usize,
    depth: usize,
    slots: usize,
    event: Event,
    bad_frames: BadFrames,
    strategy: Strategy,
}

/// A watcher that counts, and sees that the run counts as it does.
struct Count(usize);

impl Watch for Count {
    fn see(&mut self, done: usize, _: &Outcome) {
        self.0 += 1;
        assert_eq!(done, self.0);
    }
}

/// What became of a run.
struct Walked {
    report: Report,
    ending: Result<(), PipelineError>,
    rows: Vec<Option<f32>>,
    /// Outcomes that each watcher saw.
    calls: usize,
    reads: usize,
    late: usize,
}

/// Walks `frames` frames through a corridor that was `stopped` before or not. Fails when that, or taking every slot afterwards,
/// does not end.
fn walk(setup: Setup, frames: usize, stopped: bool) -> Walked {
    hush();
    let slots = SlotPool::on_host(setup.slots, 8);
    let pool = slots.clone();
    let walked = within(LIMIT, &format!("a run with {setup:?}"), move || {
        let stop = Stop::default();
        if stopped {
            stop.raise();
        }
        let mut sink = FakeSink { event: setup.event, stop: stop.clone(), rows: vec![None; frames] };
        let (mut calls, mut others, reads) = (Count(0), Count(0), Arc::<Reads>::default());
        let reader =
            |_| Box::new(FakeReader { event: setup.event, stop: stop.clone(), reads: Arc::clone(&reads) });
        let reducer = |_| {
            let (depth, event) = (setup.depth, setup.event);
            let (queue, asked, failed) = (VecDeque::new(), Cell::new(0), Cell::new(false));
            Box::new(FakeReducer { depth, event, queue, met: false, asked, failed })
        };
        let (report, ending) = run(
            Corridor {
                source: Box::new(FakeSource { frames, given: 0 }),
                readers: (0..setup.readers).map(reader).map(|r| r as Box<dyn Reader>).collect(),
                reducers: (0..setup.reducers).map(reducer).map(|r| r as Box<dyn Reducer>).collect(),
                sink: &mut sink,
                packed: slots.clone(),
                slots,
                waiting: MOST_WAITING,
                bad_frames: setup.bad_frames,
                stop,
                timeline: None,
                watchers: vec![&mut calls, &mut others],
            },
            setup.strategy,
        );
        assert_eq!(calls.0, others.0);
        let calls = calls.0;
        let [reads, late] = [&reads.all, &reads.late].map(|count| count.load(Ordering::Relaxed));
        Walked { report, ending, rows: sink.rows, calls, reads, late }
    });
    let kept = if setup.event == Event::Hangs { walked.report.given_up.len() } else { 0 };
    let all = move || (kept..setup.slots).map(|_| pool.take()).collect::<Vec<Slot>>().len();
    within(LIMIT, &format!("taking all {} slots after {setup:?}", setup.slots), all);
    walked
}

impl Walked {
    fn landed(&self) -> usize {
        self.rows.iter().filter(|row| row.is_some()).count()
    }

    /// The run was asked to stop and did: nobody began a frame after that, but the readers that were about to.
    fn assert_stopped(&self, setup: &Setup) {
        let Walked { reads, late, report, .. } = self;
        assert!(*late <= setup.readers, "{late} frames were begun after the stop: {setup:?}");
        assert!(*reads < ENDLESS, "nobody asked the run to stop: {setup:?}");
        assert_eq!(report.done, self.landed(), "{setup:?}");
    }
}

fn setups(event: Event, bad_frames: BadFrames) -> Vec<Setup> {
    let alone = Setup {
        readers: 1,
        reducers: 1,
        depth: 1,
        slots: 1,
        event,
        bad_frames,
        strategy: Strategy::Sequential,
    };
    let mut all = vec![alone];
    for readers in [1, 2, 7] {
        for reducers in [1, 2, 4] {
            for depth in [1, 2, 5] {
                for slots in [1, 2, 3, 16] {
                    all.push(Setup { readers, reducers, depth, slots, strategy: Strategy::Pool, ..alone });
                }
            }
        }
    }
    all
}

#[test]
fn every_frame_lands_once_in_its_row() {
    for s in setups(Event::Nothing, BadFrames::Keep) {
        let walked = walk(s, SOME, false);
        assert!(walked.ending.is_ok());
        assert!(walked.rows.iter().enumerate().all(|(i, r)| *r == Some(i as f32)));
        let Walked { report, calls, reads, .. } = walked;
        assert_eq!((report.asked, report.done, calls, reads), (Some(SOME), SOME, SOME, SOME));
        assert!(!report.interrupted && report.bad.is_empty());
    }
}

#[test]
fn a_bad_frame_is_data_and_the_run_goes_on() {
    for s in setups(Event::BadFrame, BadFrames::Keep) {
        let Walked { report, ending, rows, .. } = walk(s, SOME, false);
        assert!(ending.is_ok());
        assert_eq!(report.done, SOME);
        assert_eq!(report.bad.iter().map(|bad| bad.id.0).collect::<Vec<_>>(), [AT]);
        for (i, row) in rows.into_iter().enumerate() {
            assert!(row.is_some_and(|value| if i == AT { value.is_nan() } else { value == i as f32 }));
        }
    }
}

#[test]
fn a_bad_frame_ends_the_run_when_asked_to() {
    for s in setups(Event::BadFrame, BadFrames::Stop) {
        let walked = walk(s, ENDLESS, false);
        walked.assert_stopped(&s);
        let Walked { report, ending, rows, reads, .. } = walked;
        assert!(matches!(ending, Err(PipelineError::BadFrame(b)) if b.id.0 == AT));
        assert!(!report.interrupted);
        assert!(rows[AT].is_some_and(f32::is_nan), "the bad frame itself is recorded");
        assert_eq!(report.done, reads, "frames that were under way are kept: {s:?}");
        assert!(s.readers > 1 || rows[..AT].iter().all(Option::is_some), "frames before it are kept");
    }
}

#[test]
fn an_interrupt_ends_cleanly_with_what_is_done() {
    for s in setups(Event::Interrupt, BadFrames::Keep) {
        let walked = walk(s, ENDLESS, false);
        walked.assert_stopped(&s);
        let Walked { report, ending, rows, reads, .. } = walked;
        assert!(ending.is_ok() && report.interrupted, "{s:?}");
        assert_eq!(report.done, reads, "frames that were under way are kept: {s:?}");
        assert!(rows[AT].is_some());
    }
}

#[test]
fn a_run_that_is_stopped_before_it_begins_reads_nothing() {
    for s in setups(Event::Nothing, BadFrames::Keep) {
        let Walked { report, ending, reads, .. } = walk(s, ENDLESS, true);
        assert!(ending.is_ok());
        assert_eq!((reads, report.done, report.interrupted), (0, 0, true), "{s:?}");
    }
}

/// Each door fails in turn, in every arrangement: the run stops there and says why. Of several reducers one that fails does not stop
/// it; see below.
fn assert_ends_with(event: Event, message: &str) {
    let fails = [Event::SubmitFails, Event::FlushFails, Event::CollectFails, Event::Hangs];
    for s in setups(event, BadFrames::Keep) {
        if fails.contains(&event) && s.reducers > 1 {
            continue;
        }
        // Alone on the caller's thread, a panic is the caller's.
        let own = [Event::ReaderPanics, Event::SubmitPanics, Event::CollectPanics];
        if s.strategy == Strategy::Sequential && own.contains(&event) {
            continue;
        }
        let walked = walk(s, ENDLESS, false);
        walked.assert_stopped(&s);
        let error = walked.ending.expect_err("the failure was injected").to_string();
        assert!(error.contains(message), "{s:?}: {error}");
        assert!(walked.rows[AT].is_none() && !walked.report.interrupted, "{s:?}");
        assert!(!fails.contains(&event) || walked.report.given_up.contains(&FrameId(AT)), "{s:?}");
    }
}

#[test]
fn a_reader_that_panics_ends_the_run() {
    assert_ends_with(Event::ReaderPanics, "the reader thread panicked");
}

#[test]
fn a_reducer_that_fails_or_panics_ends_the_run() {
    for event in [Event::SubmitFails, Event::FlushFails, Event::CollectFails] {
        assert_ends_with(event, "boom at 57");
    }
    for event in [Event::SubmitPanics, Event::CollectPanics] {
        assert_ends_with(event, "the reducer thread panicked");
    }
}

#[test]
fn a_device_that_cannot_say_whether_it_is_done_ends_the_run() {
    // One that is full is not asked.
    let setups = setups(Event::ReadyFails, BadFrames::Keep);
    for s in setups.into_iter().filter(|s| s.depth > 1 && s.reducers == 1) {
        let walked = walk(s, ENDLESS, false);
        walked.assert_stopped(&s);
        assert_eq!(walked.ending.expect_err("the failure was injected").to_string(), "boom at 57");
    }
}

#[test]
fn a_device_that_hangs_ends_the_run_although_its_slots_do_not_come_home() {
    assert_ends_with(Event::Hangs, "boom at 57");
}

#[test]
fn a_device_that_is_never_ready_is_waited_for_when_no_frame_comes_any_more() {
    // It holds every slot, and has room for more frames.
    for slots in [1, 2, 3] {
        let (event, bad_frames, strategy) = (Event::NeverReady, BadFrames::Keep, Strategy::Pool);
        let s = Setup { readers: 2, reducers: 1, depth: 5, slots, event, bad_frames, strategy };
        let walked = walk(s, ENDLESS, false);
        assert_eq!(walked.ending.expect_err("the failure was injected").to_string(), "boom at 57", "{s:?}");
    }
}

#[test]
fn of_several_reducers_one_that_fails_leaves_its_work_to_the_others() {
    for event in [Event::SubmitFails, Event::FlushFails, Event::CollectFails] {
        for s in setups(event, BadFrames::Keep).into_iter().filter(|s| s.reducers > 1) {
            let Walked { report, ending, rows, reads, .. } = walk(s, SOME, false);
            let error = ending.expect_err("the failure was injected");
            assert!(matches!(&error, PipelineError::Reduce(_)) && error.to_string() == "boom at 57", "{s:?}");
            // Every frame was read, and has a row or was given up.
            let missing: Vec<FrameId> = (0..SOME).filter(|id| rows[*id].is_none()).map(FrameId).collect();
            let mut given_up = report.given_up.clone();
            given_up.sort_unstable();
            assert_eq!((reads, &missing), (SOME, &given_up), "{s:?}");
            assert!(missing.contains(&FrameId(AT)) && missing.len() <= s.depth, "{s:?}: {missing:?}");
            assert_eq!((report.done, report.interrupted), (SOME - missing.len(), false), "{s:?}");
        }
    }
}

#[test]
fn a_run_that_goes_on_counts_on() {
    for s in [
        setups(Event::Nothing, BadFrames::Keep)[0],
        *setups(Event::Nothing, BadFrames::Keep).last().expect("some"),
    ] {
        let earlier = walk(s, SOME, false).report;
        let (read, wall) = (earlier.times.of(Stage::Read), earlier.wall);
        let stop = Stop::default();
        let mut sink = FakeSink { event: s.event, stop: stop.clone(), rows: vec![None; SOME] };
        let reads = Arc::<Reads>::default();
        let slots = SlotPool::on_host(s.slots, 8);
        let (queue, asked, failed) = (VecDeque::new(), Cell::new(0), Cell::new(false));
        let reducer = FakeReducer { depth: 1, event: s.event, queue, met: false, asked, failed };
        let mut seen = Count(SOME);
        let Passage { report, ended: ending, .. } = go_on(
            Corridor {
                source: Box::new(FakeSource { frames: SOME, given: SOME - 3 }),
                readers: vec![Box::new(FakeReader { event: s.event, stop: stop.clone(), reads })],
                reducers: vec![Box::new(reducer)],
                sink: &mut sink,
                packed: slots.clone(),
                slots,
                waiting: MOST_WAITING,
                bad_frames: s.bad_frames,
                stop,
                timeline: None,
                watchers: vec![&mut seen],
            },
            s.strategy,
            earlier,
        );
        ending.expect("a run");
        assert_eq!(
            (report.done, seen.0, report.asked, report.interrupted),
            (SOME + 3, SOME + 3, Some(SOME), false)
        );
        assert!(report.times.of(Stage::Read) > read && report.wall > wall);
    }
}

#[test]
fn a_stop_of_a_part_is_raised_with_the_whole_and_not_the_other_way_round() {
    let whole = Stop::default();
    let (one, other) = (whole.of_a_part(), whole.of_a_part());
    one.raise();
    assert_eq!([&whole, &one, &other].map(Stop::is_raised), [false, true, false]);
    whole.raise();
    assert!(other.is_raised() && other.of_a_part().is_raised());
}

#[test]
fn a_sink_that_fails_ends_the_run() {
    assert_ends_with(Event::SinkFails, "disk full at 57");
}
