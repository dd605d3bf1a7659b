//! What a run writes: one file, or segments with a master. Which of them is a value of the plan; whoever runs sees no difference.

use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::error::{Concern, SessionError};
use super::plan::Plan;
use super::statistic;
use crate::frame::Outcome;
use crate::output::OutputError;
use crate::output::result::{
    BinAxis, Carried, Division, EarlierResult, Ending, Layout, ResultDraft, ResultFile, SegmentSize,
    SegmentedDraft, SegmentedResult, Written,
};
use crate::output::sink::{Sink, SinkError};

/// A result that is whole and has no name yet; dropped, it is gone.
pub enum RunDraft {
    /// One file.
    One(Box<ResultDraft>),
    /// A master, and segments that come.
    Segments(Box<SegmentedDraft>),
}

/// The result of a run, being written.
///
/// Dropped without [`RunResult::finish`], it writes what it has and its status stays `running`.
pub enum RunResult {
    /// One file.
    One(Box<ResultFile>),
    /// A master and its segments.
    Segments(Box<SegmentedResult>),
}

/// The threads that make and close segments while rows come.
pub(super) fn aside(work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    thread::Builder::new().name("segments".into()).spawn(work).map(drop)
}

impl RunDraft {
    /// Takes over what an earlier run left.
    ///
    /// # Errors
    /// As [`ResultDraft::carry`].
    pub(super) fn carry(&mut self, earlier: &EarlierResult, retry_bad: bool) -> Result<Carried, OutputError> {
        match self {
            RunDraft::One(draft) => draft.carry(earlier, retry_bad),
            RunDraft::Segments(draft) => draft.carry(earlier, retry_bad),
        }
    }

    /// Gives the result its name; the run begins.
    ///
    /// # Errors
    /// As [`ResultDraft::publish`].
    pub fn publish(self) -> Result<RunResult, OutputError> {
        Ok(match self {
            RunDraft::One(draft) => RunResult::One(Box::new(draft.publish()?)),
            RunDraft::Segments(draft) => RunResult::Segments(Box::new(draft.publish()?)),
        })
    }
}

impl RunResult {
    /// Where the result is, or its master.
    pub fn path(&self) -> &Path {
        match self {
            RunResult::One(file) => file.path(),
            RunResult::Segments(result) => result.path(),
        }
    }

    /// As [`ResultFile::sync_every`].
    pub fn sync_every(&mut self, interval: Option<Duration>) {
        match self {
            RunResult::One(file) => file.sync_every(interval),
            RunResult::Segments(result) => result.sync_every(interval),
        }
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    /// As [`ResultFile::flush`].
    pub fn flush(&mut self) -> Result<(), OutputError> {
        match self {
            RunResult::One(file) => file.flush(),
            RunResult::Segments(result) => result.flush(),
        }
    }

    /// Says that a device was lost, and why.
    ///
    /// # Errors
    /// As [`ResultFile::lose`].
    pub fn lose(&mut self, why: &str) -> Result<(), OutputError> {
        match self {
            RunResult::One(file) => file.lose(why),
            RunResult::Segments(result) => result.lose(why),
        }
    }

    /// Marks the rows that are put from here on as made by the CPU, for this reason.
    ///
    /// # Errors
    /// As [`ResultFile::go_over`].
    pub fn go_over(&mut self, why: &str) -> Result<(), OutputError> {
        match self {
            RunResult::One(file) => file.go_over(why),
            RunResult::Segments(result) => result.go_over(why),
        }
    }

    /// As [`ResultFile::finish`].
    ///
    /// # Errors
    /// As [`ResultFile::finish`].
    pub fn finish(self, ending: &Ending) -> Result<Written, OutputError> {
        match self {
            RunResult::One(file) => file.finish(ending),
            RunResult::Segments(result) => result.finish(ending),
        }
    }
}

impl Sink for RunResult {
    fn put(&mut self, outcome: Outcome) -> Result<(), SinkError> {
        match self {
            RunResult::One(file) => file.put(outcome),
            RunResult::Segments(result) => result.put(outcome),
        }
        .map_err(SinkError::from)
    }

    fn pause(&mut self) -> Result<(), SinkError> {
        Ok(self.flush()?)
    }

    fn go_over(&mut self, why: &str) -> Result<(), SinkError> {
        Ok(RunResult::go_over(self, why)?)
    }

    fn lose(&mut self, why: &str) -> Result<(), SinkError> {
        Ok(RunResult::lose(self, why)?)
    }
}

impl Plan {
    /// Into which segments its result is divided; `None`: it is one file.
    ///
    /// # Errors
    /// When there would be too many.
    pub fn division(&self) -> Result<Option<Division>, SessionError> {
        let size = self.options.segments.unwrap_or_default();
        Division::of(&self.sizes(), size)
            .map_err(|problem| SessionError::new(Concern::Usage, format!("--segments: {problem}")))
    }

    /// A layout that is as large as that of its result.
    fn sizes(&self) -> Layout {
        let nameless = |name: &str, npt: usize| BinAxis {
            name: name.into(),
            unit: String::new(),
            long_name: String::new(),
            centres: vec![0.0; npt],
        };
        let azimuthal = self.npt_azim.map(|npt| nameless("azimuthal", npt));
        let axes: Vec<BinAxis> = azimuthal.into_iter().chain([nameless("r", self.npt)]).collect();
        Layout {
            scan: self.scan.clone(),
            beside: statistic::beside(&self.reduction),
            sums: self.options.sums == Some(true),
            columns: std::sync::Arc::clone(&self.frames.about().columns),
            header: self.frames.about().header.clone(),
            ..Layout::new(self.frames.count(), axes)
        }
    }

    /// The division that an earlier result has, which one that goes on with it keeps.
    ///
    /// # Errors
    /// When another one is asked for.
    pub(super) fn division_of(&self, earlier: &EarlierResult) -> Result<Option<Division>, SessionError> {
        let (path, asked) = (earlier.info.path.display(), self.options.segments);
        let there = match &earlier.info.segments {
            None => None,
            Some(segments) => {
                let each = segments.each().filter(|_| segments.whole.frames == self.frames.count());
                let there = each.and_then(|each| Division::as_there(&self.sizes(), each));
                if there.is_none() {
                    let problem =
                        format!("--resume: the segments of {path} are not those of a run over these frames");
                    return Err(SessionError::new(Concern::Output, problem));
                }
                there
            }
        };
        if matches!(asked, Some(SegmentSize::Off | SegmentSize::Bytes(_))) && self.division()? != there {
            let is = there.map_or("is one file".to_owned(), |there| {
                format!("is in {} segments of {} frames", there.count(), there.each())
            });
            let problem = format!("--resume: {path} {is}, and stays so: leave --segments out");
            return Err(SessionError::new(Concern::Usage, problem));
        }
        Ok(there)
    }
}
