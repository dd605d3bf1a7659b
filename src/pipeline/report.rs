//! What a run did and where its time went.
//!
//! Every stage's threads add the time they were *busy* (not waiting for a frame or a slot) to one clock a stage, so
//! the shares say what the bottleneck is, whatever the number of threads.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::frame::{BadFrame, FrameId, FrameStatus};
use crate::output::result::Ending;
use crate::source::{Source, SourceError};
use crate::trace::{Span, Timeline};

/// The stages that time is booked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// File to slot, header parsed.
    Read,
    /// Slot to pattern: decode and integrate, which the engines do in one go.
    Reduce,
    /// Pattern to file.
    Write,
}

impl Stage {
    /// Every stage, in the order of the corridor.
    pub const ALL: [Stage; 3] = [Stage::Read, Stage::Reduce, Stage::Write];

    /// How the stage is named to people.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Read => "read",
            Stage::Reduce => "decode+integrate",
            Stage::Write => "write",
        }
    }
}

/// Time of a stage that is being booked.
pub(super) struct Clock {
    stage: Stage,
    payload: usize,
    start: Instant,
    begun: Option<f64>,
}

/// How many frames a source has listed, and whether it came to its end.
#[derive(Debug, Default)]
pub(super) struct Listed {
    expected: OnceLock<usize>,
    frames: AtomicUsize,
    ended: AtomicBool,
}

impl Listed {
    /// Asks how many there will be, if the source knows yet.
    pub(super) fn expect(&self, source: &mut dyn Source) -> Result<(), SourceError> {
        if let Some(count) = source.about()?.and_then(|about| about.count) {
            let _ = self.expected.set(count);
        }
        Ok(())
    }

    pub(super) fn add(&self, frames: usize) {
        self.frames.fetch_add(frames, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Whether so many frames are all that there were.
    fn are_all(&self, done: usize) -> bool {
        let all_listed = self.ended.load(Ordering::Relaxed) && done >= self.frames.load(Ordering::Relaxed);
        all_listed || self.expected.get().is_some_and(|expected| done >= *expected)
    }
}

/// Busy time by stage, summed over its threads; and the same as bars of a timeline, when one is kept.
#[derive(Debug, Default)]
pub struct StageTimes {
    nanos: [AtomicU64; Stage::ALL.len()],
    core_nanos: AtomicU64,
    timeline: Option<Timeline>,
}

impl StageTimes {
    /// The same, going on, with bars in a timeline if there is one.
    pub(super) fn go_on(self, timeline: Option<Timeline>) -> StageTimes {
        StageTimes { timeline, ..self }
    }

    /// Does some work of a stage and books the time it took. `payload` is the frame's id, or the number of frames.
    pub fn book<T>(&self, stage: Stage, payload: usize, work: impl FnOnce() -> T) -> T {
        let clock = self.start(stage, payload);
        let result = work();
        self.stop(clock);
        result
    }

    /// Begins to book time to a stage.
    pub(super) fn start(&self, stage: Stage, payload: usize) -> Clock {
        Clock { stage, payload, start: Instant::now(), begun: self.timeline.as_ref().map(Timeline::now) }
    }

    /// Books it.
    pub(super) fn stop(&self, clock: Clock) {
        let Clock { stage, payload, start, begun } = clock;
        let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.nanos[stage as usize].fetch_add(nanos, Ordering::Relaxed);
        if let (Some(timeline), Some(start)) = (&self.timeline, begun) {
            let track = std::thread::current().name().unwrap_or("unnamed").to_owned();
            timeline.add(Span { track, name: stage.name(), start, end: timeline.now(), payload });
        }
    }

    /// The timeline that bars are added to.
    pub(super) fn timeline(&self) -> Option<&Timeline> {
        self.timeline.as_ref()
    }

    /// Does the work of one of the run's threads and adds the time that it had a core.
    pub(super) fn on_core<T>(&self, work: impl FnOnce() -> T) -> T {
        let start = thread_time();
        let result = work();
        let nanos = u64::try_from(thread_time().saturating_sub(start).as_nanos()).unwrap_or(u64::MAX);
        self.core_nanos.fetch_add(nanos, Ordering::Relaxed);
        result
    }

    /// The time that the run's threads had a core: waiting, also for a disk, is not in it.
    pub fn on_cores(&self) -> Duration {
        Duration::from_nanos(self.core_nanos.load(Ordering::Relaxed))
    }

    /// The time booked to a stage so far.
    pub fn of(&self, stage: Stage) -> Duration {
        Duration::from_nanos(self.nanos[stage as usize].load(Ordering::Relaxed))
    }
}

/// Time that the calling thread had a core so far.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Saturated pixels of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Saturated {
    /// All of them.
    pub pixels: u64,
    /// Frames that have some.
    pub frames: usize,
    /// The frame with the most, and how many.
    pub most: Option<(FrameId, u32)>,
}

impl Saturated {
    pub(super) fn add(&mut self, id: FrameId, pixels: u32) {
        if pixels > 0 {
            self.pixels += u64::from(pixels);
            self.frames += 1;
            // Of frames with as many, the first: whatever the order in which they came.
            if self.most.is_none_or(|(at, most)| pixels > most || pixels == most && id < at) {
                self.most = Some((id, pixels));
            }
        }
    }
}

/// A reducer that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostReducer {
    /// What stood behind it ([`Reducer::device`](crate::reduce::Reducer::device)).
    pub device: Option<String>,
    /// Why it failed.
    pub why: String,
    /// Frames that it had in work: nothing came of them there.
    pub frames: usize,
}

/// What another device than the planned one took over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoneOver {
    /// Why.
    pub why: String,
    /// Frames that it did, good and bad.
    pub frames: usize,
}

/// What a run did.
#[derive(Debug, Default)]
pub struct Report {
    /// Frames that the source said there were; `None` when it did not know and the run ended before it did.
    pub asked: Option<usize>,
    /// Frames whose outcome reached the sink, good or bad.
    pub done: usize,
    /// Good frames whose bytes were compared with a digest.
    pub verified: usize,
    /// The bad ones, in the order they were met.
    pub bad: Vec<BadFrame>,
    /// Saturated pixels of the good frames.
    pub saturated: Saturated,
    /// Reducers that failed, in the order in which they did.
    pub lost: Vec<LostReducer>,
    /// Frames that were in a reducer when it failed: nothing came of them.
    pub given_up: Vec<FrameId>,
    /// What the cores did because a GPU failed.
    pub gone_over: Option<GoneOver>,
    /// Whether the run was asked to end before its last frame, and did so in good order.
    pub interrupted: bool,
    /// Wall time of the run, from the first ticket to the last row.
    pub wall: Duration,
    /// Busy time by stage.
    pub times: StageTimes,
}

impl Report {
    /// How a run that did not fail ended.
    pub fn ending(&self) -> Ending {
        if self.interrupted { Ending::Interrupted } else { Ending::Complete }
    }

    /// Adds a walk that did `done` frames.
    pub(super) fn close(&mut self, done: usize, wall: Duration, listed: &Listed, went_well: bool) {
        self.wall += wall;
        self.interrupted = went_well && !listed.are_all(done);
        let ended = listed.ended.load(Ordering::Relaxed).then(|| listed.frames.load(Ordering::Relaxed));
        self.asked = self.asked.or(listed.expected.get().copied()).or(ended);
    }

    /// Frames whose bytes do not have the digest that their header says.
    pub fn damaged(&self) -> usize {
        self.bad.iter().filter(|bad| bad.status == FrameStatus::Md5Mismatch).count()
    }

    /// Frames done per second of wall time.
    pub fn frames_per_second(&self) -> f64 {
        self.done as f64 / self.wall.as_secs_f64().max(1e-9)
    }
}
