//! One run: a crew walks frames through the corridor, to a result file or to nowhere, for so many frames or so long.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::BenchError;
use super::subject::Subject;
use crate::frame::{FrameId, Outcome};
use crate::output::result::{Ending, ResultFile};
use crate::output::sink::{Sink, SinkError};
use crate::pipeline::{Report, Stop, Watch};
use crate::session::Doors;
use crate::trace::Timeline;

/// What a run is to do.
#[derive(Debug, Clone, Default)]
pub struct Pass {
    /// Frames to walk through; more than the subject has begin again at its first.
    pub frames: usize,
    /// No new frame is begun after so long.
    pub time: Option<Duration>,
    /// Where patterns are written; nowhere for ceilings.
    pub output: Option<PathBuf>,
    /// Where each stage's bars go.
    pub timeline: Option<Timeline>,
    /// Ends the run early.
    pub stop: Stop,
}

/// What a run did.
#[derive(Debug)]
pub struct Passed {
    /// Time by stage, frames done.
    pub report: Report,
    /// Pattern of frame 0, when patterns are computed.
    pub first: Vec<f32>,
    /// Rows of the result file that are good.
    pub good: usize,
    /// Time that opening and closing the file took, which no rate includes.
    pub besides: Duration,
}

/// Walks.
///
/// # Errors
/// When the corridor or the file fails, or a frame is bad.
pub fn walk(subject: &Subject, doors: Doors, pass: &Pass) -> Result<Passed, BenchError> {
    let opening = Instant::now();
    let file = match &pass.output {
        Some(path) => Some(ResultFile::create(path, &subject.layout(pass.frames), true)?),
        None => None,
    };
    let mut besides = opening.elapsed();
    let mut sink = Keep { file, first: Vec::new() };
    let stop = Stop::default();
    let mut enough = Enough { pass, start: Instant::now(), stop: stop.clone() };
    let (report, ended) = doors.walk(&mut sink, stop, pass.timeline.clone(), vec![&mut enough]);
    ended?;
    let closing = Instant::now();
    let good = match sink.file {
        Some(file) => {
            file.finish(&if report.interrupted { Ending::Interrupted } else { Ending::Complete })?.good
        }
        None => 0,
    };
    besides += closing.elapsed();
    Ok(Passed { report, first: sink.first, good, besides })
}

/// Ends a pass that has had its time, or that somebody else stops.
struct Enough<'a> {
    pass: &'a Pass,
    start: Instant,
    stop: Stop,
}

impl Watch for Enough<'_> {
    fn see(&mut self, _: usize, _: &Outcome) {
        let time_is_up = self.pass.time.is_some_and(|time| self.start.elapsed() >= time);
        if self.pass.stop.is_raised() || time_is_up {
            self.stop.raise();
        }
    }
}

/// Keeps frame 0's pattern, and writes all when there is a file.
struct Keep {
    file: Option<ResultFile>,
    first: Vec<f32>,
}

impl Sink for Keep {
    fn put(&mut self, outcome: Outcome) -> Result<(), SinkError> {
        if let Ok(pattern) = &outcome
            && pattern.id == FrameId(0)
        {
            self.first.clone_from(&pattern.intensity);
        }
        match &mut self.file {
            Some(file) => Ok(file.put(outcome)?),
            None => Ok(()),
        }
    }

    fn pause(&mut self) -> Result<(), SinkError> {
        match &mut self.file {
            Some(file) => Ok(file.flush()?),
            None => Ok(()),
        }
    }
}

/// Whether a row found what it should: every bin within a millionth.
///
/// # Errors
/// The first bin that is not.
pub fn agree(row: &str, found: &[f32], expected: &[f32]) -> Result<(), BenchError> {
    if found.len() != expected.len() {
        return Err(BenchError::Bins { row: row.to_owned(), found: found.len(), expected: expected.len() });
    }
    for (bin, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        // Written so that a NaN disagrees.
        let same = (found - expected).abs() <= 1e-6 * expected.abs();
        if !same {
            return Err(BenchError::Disagrees { row: row.to_owned(), bin, found, expected });
        }
    }
    Ok(())
}
