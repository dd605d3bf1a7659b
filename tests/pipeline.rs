//! The corridor keeps its promises whatever happens: every id once, first error returned, no hang, no lost slot.
//!
//! Doors are fakes here, so that failures can be injected at each of them; real doors are tested through the CLI.

use std::cell::Cell;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use xrdct::frame::{
    BadFrame, Codec, Encoding, Frame, FrameHeader, FrameId, FrameStatus, Outcome, Pattern, PixelType, Shape,
    Slot, SlotPool,
};
use xrdct::pipeline::{BadFrames, Corridor, PipelineError, Report, Sink, SinkError, Stop, Strategy, run};
use xrdct::reduce::{ReduceError, Reducer};
use xrdct::source::{Reader, Ticket};

/// Which door fails, and how, at frame 57.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Fault {
    None,
    BadFrame,
    Reducer,
    ReducerPanics,
    ReaderPanics,
    Sink,
    Interrupt,
}

const AT: usize = 57;

struct FakeReader(Fault);

impl Reader for FakeReader {
    fn read(&mut self, ticket: &Ticket, slot: Slot) -> Result<Frame, BadFrame> {
        let id = ticket.id;
        if id.0 == AT && self.0 == Fault::BadFrame {
            return Err(BadFrame { id, status: FrameStatus::Truncated, message: "torn".into() });
        }
        assert!(!(id.0 == AT && self.0 == Fault::ReaderPanics), "a reader that panics");
        let encoding =
            Encoding { codec: Codec::Raw, pixel: PixelType::U8, shape: Shape { slow: 1, fast: 1 } };
        Ok(Frame {
            id,
            origin: Arc::clone(&ticket.path),
            encoding,
            slot,
            payload: 0..1,
            header: FrameHeader::default(),
        })
    }
}

struct FakeReducer {
    depth: usize,
    fault: Fault,
    queue: VecDeque<Frame>,
    asked: Cell<usize>,
}

impl Reducer for FakeReducer {
    fn capacity(&self) -> usize {
        self.depth
    }
    fn submit(&mut self, frame: Frame) -> Result<(), ReduceError> {
        if frame.id.0 == AT && self.fault == Fault::Reducer {
            return Err(ReduceError::Device("boom at 57".into()));
        }
        assert!(!(frame.id.0 == AT && self.fault == Fault::ReducerPanics), "a reducer that panics");
        self.queue.push_back(frame);
        Ok(())
    }
    fn flush(&mut self) -> Result<(), ReduceError> {
        Ok(())
    }
    fn is_ready(&self) -> Result<bool, ReduceError> {
        // Like a device: not at the first asking.
        self.asked.set(self.asked.get() + 1);
        Ok(self.asked.get().is_multiple_of(3))
    }
    fn collect(&mut self) -> Result<Vec<Outcome>, ReduceError> {
        // Two at a time, so that batches and capacities do not line up.
        let n = self.queue.len().min(2);
        let pattern = |frame: Frame| Pattern {
            id: frame.id,
            header: FrameHeader::default(),
            intensity: vec![frame.id.0 as f32],
            errors: None,
            signal: vec![],
            variance: None,
            norms: Arc::default(),
        };
        Ok(self.queue.drain(..n).map(pattern).map(Ok).collect())
    }
}

struct FakeSink {
    fault: Fault,
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
        if id == AT && self.fault == Fault::Sink {
            return Err("disk full at 57".into());
        }
        if id == AT && self.fault == Fault::Interrupt {
            self.stop.raise();
        }
        assert!(self.rows[id].replace(value).is_none(), "row {id} came twice");
        Ok(())
    }
}

struct Setup {
    readers: usize,
    reducers: usize,
    depth: usize,
    slots: usize,
    fault: Fault,
    bad_frames: BadFrames,
    strategy: Strategy,
}

fn walk(s: &Setup, frames: usize) -> (Report, Result<(), PipelineError>, Vec<Option<f32>>, usize) {
    let stop = Stop::default();
    let mut sink = FakeSink { fault: s.fault, stop: stop.clone(), rows: vec![None; frames] };
    let calls = AtomicUsize::new(0);
    let slots = SlotPool::on_host(s.slots, 8);
    let (report, ending) = run(
        Corridor {
            tickets: (0..frames).map(|i| Ticket { id: FrameId(i), path: Path::new("f").into() }).collect(),
            readers: (0..s.readers).map(|_| Box::new(FakeReader(s.fault)) as Box<dyn Reader>).collect(),
            reducers: (0..s.reducers)
                .map(|_| {
                    Box::new(FakeReducer {
                        depth: s.depth,
                        fault: s.fault,
                        queue: VecDeque::new(),
                        asked: Cell::new(0),
                    }) as Box<dyn Reducer>
                })
                .collect(),
            sink: &mut sink,
            slots: slots.clone(),
            bad_frames: s.bad_frames,
            stop,
            timeline: None,
            progress: &mut |_, _| {
                calls.fetch_add(1, Ordering::Relaxed);
            },
        },
        s.strategy,
    );
    // Every slot must be home again: taking them all would hang otherwise, so count them with a time limit.
    let all: Vec<Slot> = (0..s.slots).map(|_| slots.take()).collect();
    assert_eq!(all.len(), s.slots);
    (report, ending, sink.rows, calls.into_inner())
}

fn setups(fault: Fault, bad_frames: BadFrames) -> Vec<Setup> {
    let mut all = vec![];
    for readers in [1, 2, 7] {
        for reducers in [1, 2, 4] {
            for depth in [1, 2, 5] {
                for slots in [1, 2, 3, 16] {
                    all.push(Setup {
                        readers,
                        reducers,
                        depth,
                        slots,
                        fault,
                        bad_frames,
                        strategy: Strategy::Pool,
                    });
                }
            }
        }
    }
    all.push(Setup {
        readers: 1,
        reducers: 1,
        depth: 1,
        slots: 1,
        fault,
        bad_frames,
        strategy: Strategy::Sequential,
    });
    all
}

#[test]
fn every_frame_lands_once_in_its_row() {
    for s in setups(Fault::None, BadFrames::Keep) {
        let (report, ending, rows, calls) = walk(&s, 200);
        assert!(ending.is_ok());
        assert!(rows.iter().enumerate().all(|(i, r)| *r == Some(i as f32)));
        assert_eq!((report.done, calls, report.interrupted), (200, 200, false));
    }
}

#[test]
fn a_bad_frame_is_data_and_the_run_goes_on() {
    for s in setups(Fault::BadFrame, BadFrames::Keep) {
        let (report, ending, rows, _) = walk(&s, 200);
        assert!(ending.is_ok());
        assert_eq!(report.done, 200);
        assert_eq!(report.bad.len(), 1);
        assert!(rows[AT].is_some_and(f32::is_nan));
    }
}

#[test]
fn a_bad_frame_ends_the_run_when_asked_to() {
    for s in setups(Fault::BadFrame, BadFrames::Stop) {
        let (report, ending, rows, _) = walk(&s, 200);
        assert!(matches!(ending, Err(PipelineError::BadFrame(b)) if b.id.0 == AT));
        assert!(!report.interrupted);
        assert!(rows[AT].is_some_and(f32::is_nan), "the bad frame itself is recorded");
        assert_eq!(report.done, rows.iter().filter(|r| r.is_some()).count());
        assert!(s.readers > 1 || rows[..AT].iter().all(Option::is_some), "frames before it are kept");
    }
}

#[test]
fn a_failure_at_any_door_ends_with_that_error() {
    std::panic::set_hook(Box::new(|_| {}));
    for fault in [Fault::Reducer, Fault::ReducerPanics, Fault::ReaderPanics, Fault::Sink] {
        for s in setups(fault, BadFrames::Keep) {
            if s.strategy == Strategy::Sequential && format!("{fault:?}").contains("Panics") {
                continue; // on the caller's own thread a panic is the caller's
            }
            let (report, ending, rows, _) = walk(&s, 200);
            let error = ending.expect_err("the failure was injected").to_string();
            let expected = match fault {
                Fault::Reducer => "boom at 57",
                Fault::Sink => "disk full at 57",
                Fault::ReducerPanics => "the reducer thread panicked",
                _ => "the reader thread panicked",
            };
            assert!(error.contains(expected), "{fault:?}: {error}");
            assert!(report.done < 200 && rows[AT].is_none());
        }
    }
    let _ = std::panic::take_hook();
}

#[test]
fn an_interrupt_ends_cleanly_with_what_is_done() {
    for s in setups(Fault::Interrupt, BadFrames::Keep) {
        let (report, ending, rows, _) = walk(&s, 5000);
        assert!(ending.is_ok());
        assert_eq!(report.done, rows.iter().filter(|r| r.is_some()).count());
        assert_eq!(report.interrupted, report.done < 5000);
        assert!(rows[AT].is_some());
    }
}
