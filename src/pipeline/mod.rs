//! The corridor itself: who runs where, and how frames are handed on.
//!
//! ```text
//!            tickets            frames              outcomes
//!   source ──────────▶ readers ─────────▶ reducers ──────────▶ sink
//!                         ▲                  │
//!                         └──── slots ◀──────┘   (come home by themselves)
//! ```
//!
//! A [`Corridor`] holds the four doors, already open; [`Strategy`] says how many threads stand behind them.
//! `sequential` walks each frame through all doors in turn on the calling thread; `concurrent` gives every
//! reader and every reducer its own thread and leaves the sink to the caller's. Both give the same bits.
//!
//! *Bad frames are data, broken systems are errors.* A [`BadFrame`] goes on to the sink like any pattern. A failed
//! stage raises [`Stop`], everybody drains what they were given (a frame left in a channel would keep its slot and
//! starve the readers), and the first error is what the run returns. Of several reducers one that fails leaves its work to the others: only
//! the frames that it had are given up, and the error comes at the end. Whoever wants these frames after all walks them again ([`go_on`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::frame::{BadFrame, Outcome, SlotPool};
use crate::output::sink::{Sink, SinkError};
use crate::reduce::{ReduceError, Reducer};
use crate::source::{Reader, Source, SourceError};
use crate::trace::{self, Timeline};

mod concurrent;
mod relay;
mod report;
mod sequential;

pub use report::{GoneOver, LostReducer, Report, Saturated, Stage, StageTimes};

/// Asks a run to end: raised by Ctrl-C, by a failed stage, or by the first bad frame when asked to.
///
/// No new frame is started; those under way are finished and written.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    raised: Arc<AtomicBool>,
    /// Those that this one is a part of.
    whole: Option<Arc<Stop>>,
}

impl Stop {
    /// One for a part of what this one ends: raised with it, but by itself it ends the part alone.
    pub fn of_a_part(&self) -> Stop {
        Stop { raised: Arc::default(), whole: Some(Arc::new(self.clone())) }
    }

    /// Asks. Safe to call from a signal handler's thread, and more than once.
    pub fn raise(&self) {
        self.raised.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Relaxed) || self.whole.as_ref().is_some_and(|whole| whole.is_raised())
    }
}

/// What a bad frame does to the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadFrames {
    /// It gets a NaN row and a status; the run goes on.
    Keep,
    /// The run ends there; what came before is kept.
    Stop,
}

/// How the doors are manned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Read, decode, integrate, write: one frame after the other on one thread (Table 1, "sequential").
    Sequential,
    /// Every reader and every reducer on a thread of its own (Table 1, "pool of n readers").
    Pool,
}

/// Most outcomes that wait for the sink: a few batches' worth.
pub const MOST_WAITING: usize = 256;

/// How many outcomes of so many bytes may wait for the sink: [`MOST_WAITING`], but of long ones (48 kB at 1000 bins) not more
/// than 64 MiB.
pub const fn waiting(bytes: usize) -> usize {
    const BYTES: usize = 64 << 20;
    let fit = match BYTES.checked_div(bytes) {
        Some(fit) => fit,
        None => MOST_WAITING,
    };
    if fit < 2 {
        2
    } else if fit > MOST_WAITING {
        MOST_WAITING
    } else {
        fit
    }
}

/// Looks on as outcomes come: progress, a copy that stays in memory, a page. It copies what it wants and returns.
pub trait Watch {
    /// One more outcome, the `done`th of the run, on its way to the sink.
    fn see(&mut self, done: usize, outcome: &Outcome);

    /// Something that a person should know at once, although the run goes on.
    fn hear(&mut self, _news: &str) {}

    /// Something that a person may want to know who asks what goes on.
    fn note(&mut self, _note: &str) {}
}

/// Why a run ended before its last frame.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The source broke.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A reducer's device or engine failed.
    #[error(transparent)]
    Reduce(#[from] ReduceError),
    /// The output could not be written.
    #[error("{0}")]
    Sink(SinkError),
    /// A bad frame, when bad frames were to stop the run.
    #[error("{}", .0.message)]
    BadFrame(BadFrame),
    /// A stage panicked: a defect of xrdct.
    #[error("the {0} thread panicked; this is a defect of xrdct, please report it")]
    Panicked(&'static str),
    /// A thread could not be started.
    #[error("could not start a {0} thread: {1}")]
    Thread(&'static str, std::io::Error),
}

/// Everything a run needs, already open. One reader and one reducer for each thread that is to have one.
pub struct Corridor<'a> {
    /// The first door: what is to walk through.
    pub source: Box<dyn Source>,
    /// The second doors; at least one.
    pub readers: Vec<Box<dyn Reader>>,
    /// The third doors; at least one.
    pub reducers: Vec<Box<dyn Reducer>>,
    /// The fourth door.
    pub sink: &'a mut dyn Sink,
    /// The buffers that a source receives into; those of `slots`, unless readers decode.
    pub packed: SlotPool,
    /// The buffers that frames travel in: all the back-pressure there is.
    pub slots: SlotPool,
    /// How many outcomes may wait for the sink, see [`waiting`].
    pub waiting: usize,
    /// What a bad frame does.
    pub bad_frames: BadFrames,
    /// Asks the run to end early.
    pub stop: Stop,
    /// Where each stage's bars go, for `--trace`.
    pub timeline: Option<Timeline>,
    /// Who sees each outcome, on the sink's thread.
    pub watchers: Vec<&'a mut dyn Watch>,
}

/// Walks every frame through the corridor.
///
/// # Errors
/// The first failure of the system, see [`PipelineError`], with the report of what was done until then. Bad frames
/// are in the report.
pub fn run(corridor: Corridor<'_>, strategy: Strategy) -> (Report, Result<(), PipelineError>) {
    let Passage { report, ended, .. } = go_on(corridor, strategy, Report::default());
    (report, ended)
}

/// What became of a walk through a corridor.
pub struct Passage {
    /// What was done until then.
    pub report: Report,
    /// What ended it early, as [`run`] says.
    pub ended: Result<(), PipelineError>,
    /// Reducers that can go on. Of a walk that a device ended, those on other devices.
    pub left: Vec<Box<dyn Reducer>>,
}

/// Walks more frames of a run that has a report already, and goes on counting there.
pub fn go_on(corridor: Corridor<'_>, strategy: Strategy, report: Report) -> Passage {
    let _range = trace::run();
    match strategy {
        Strategy::Sequential => sequential::run(corridor, report),
        Strategy::Pool => concurrent::run(corridor, report),
    }
}

/// The sink's side of a run: puts outcomes, counts them, and stops at a bad frame when asked to.
struct Landing<'a, 'w> {
    sink: &'a mut dyn Sink,
    bad_frames: BadFrames,
    watchers: Vec<&'w mut dyn Watch>,
    report: &'a mut Report,
    times: &'a StageTimes,
}

impl Landing<'_, '_> {
    fn pause(&mut self) -> Result<(), PipelineError> {
        self.times.book(Stage::Write, 0, || self.sink.pause()).map_err(PipelineError::Sink)
    }

    fn note(&mut self, note: &str) {
        self.watchers.iter_mut().for_each(|watcher| watcher.note(note));
    }

    fn put(&mut self, outcome: Outcome) -> Result<(), PipelineError> {
        let bad = outcome.as_ref().err().cloned();
        let (id, saturated) =
            outcome.as_ref().map_or_else(|bad| (bad.id, 0), |pattern| (pattern.id, pattern.saturated));
        let verified = outcome.as_ref().is_ok_and(|pattern| pattern.header.digest.is_some());
        for watcher in &mut self.watchers {
            watcher.see(self.report.done + 1, &outcome);
        }
        let range = trace::write(id);
        self.times.book(Stage::Write, id.0, || self.sink.put(outcome)).map_err(PipelineError::Sink)?;
        drop(range);
        self.report.done += 1;
        self.report.verified += usize::from(verified);
        self.report.saturated.add(id, saturated);
        if let Some(bad) = bad {
            self.report.bad.push(bad.clone());
            if self.bad_frames == BadFrames::Stop {
                return Err(PipelineError::BadFrame(bad));
            }
        }
        Ok(())
    }
}
