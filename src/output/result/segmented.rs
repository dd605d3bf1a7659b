//! A result in segments: rows go where their frames belong, into ordinary result files of their own, which their master shows as one.
//!
//! The master is there before the first row, as a file of virtual datasets: a segment that is not there yet reads as NaN and pending. A
//! segment is made ahead by a thread (`maker.rs`), gets its name when its first row comes, and is closed by a thread when its last has: then it is on
//! the disk and says that it is complete, whatever becomes of the run. Frames come in any order, so several may be open; a killed run leaves
//! these few, and one that goes on takes the others as they are (`draft.rs`).
//!
//! Only what needs all rows is the master's own: how the run ended, messages of bad frames, the table of norms with each row's number, which rows the
//! CPU made. It is written before the row that it belongs to, so a row that says `good` is complete through the master, too.
//!
//! Which segment a frame belongs to is known without knowing how many there will be; a source whose count is not known needs a master
//! that grows, and nothing here besides.

mod draft;
mod maker;

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{BLOCK_TIME, Ending, ResultFile, Written};
use crate::frame::{FrameStatus, Outcome};
use crate::output::OutputError;
use maker::{Ahead, Awaited, Blueprint};

pub use draft::SegmentedDraft;
pub use maker::Aside;

/// Segments that are closed at once: each is sent to the disk, and what waits for it is in memory.
const MOST_CLOSING: usize = 2;

/// A result in segments that is being written.
///
/// Dropped without [`SegmentedResult::finish`], it writes what it has and its status stays `running`.
pub struct SegmentedResult {
    master: ResultFile,
    blueprint: Arc<Blueprint>,
    aside: Aside,
    tally: Vec<Tally>,
    /// Those that have rows, and not all.
    open: BTreeMap<usize, ResultFile>,
    ahead: Option<Ahead>,
    closing: VecDeque<Awaited<Result<Written, OutputError>>>,
    interval: Option<Duration>,
    longest_wait: Duration,
    flushed: Instant,
    /// Why rows are made by the CPU from now on although a GPU was planned.
    gone_over: Option<String>,
    /// Why patterns were lost.
    broken: Option<String>,
}

/// How far a segment is.
struct Tally {
    /// Frames that have no row.
    left: usize,
    /// Which file it is, once it is complete.
    closed: Option<(u64, u64)>,
}

impl SegmentedResult {
    fn begin(
        master: ResultFile,
        blueprint: Arc<Blueprint>,
        aside: Aside,
        tally: Vec<Tally>,
        ahead: Option<Ahead>,
    ) -> SegmentedResult {
        SegmentedResult {
            master,
            blueprint,
            aside,
            tally,
            open: BTreeMap::new(),
            ahead,
            closing: VecDeque::new(),
            interval: None,
            longest_wait: BLOCK_TIME,
            flushed: Instant::now(),
            gone_over: None,
            broken: None,
        }
    }

    /// Where the master is.
    pub fn path(&self) -> &Path {
        &self.master.path
    }

    /// As [`ResultFile::sync_every`], for every segment.
    pub fn sync_every(&mut self, interval: Option<Duration>) {
        self.interval = interval;
        self.longest_wait = interval.map_or(BLOCK_TIME, |interval| interval.min(BLOCK_TIME));
        self.master.sync_every(interval);
        self.open.values_mut().for_each(|segment| segment.sync_every(interval));
    }

    /// Puts what became of one frame into its row; frames may come in any order, each once.
    ///
    /// # Errors
    /// As [`ResultFile::put`], with the segment's path.
    pub fn put(&mut self, outcome: Outcome) -> Result<(), OutputError> {
        let put = self.put_in_segment(outcome);
        put.map_err(|error| self.explained(error))
    }

    fn put_in_segment(&mut self, outcome: Outcome) -> Result<(), OutputError> {
        let frame = outcome.as_ref().map_or_else(|bad| bad.id.0, |pattern| pattern.id.0);
        // A frame that has no place is refused here.
        self.master.note(&outcome)?;
        let segment = self.blueprint.division.segment_of(frame);
        let first = self.blueprint.division.frames_of(segment).start;
        self.opened(segment)?.put(draft::numbered(outcome, frame - first))?;
        self.tally[segment].left -= 1;
        if self.tally[segment].left == 0 {
            self.close(segment)?;
        }
        if self.flushed.elapsed() >= self.longest_wait { self.flush_all() } else { Ok(()) }
    }

    /// A segment's file, which gets its name now if it has none yet.
    fn opened(&mut self, segment: usize) -> Result<&mut ResultFile, OutputError> {
        if !self.open.contains_key(&segment) {
            let mut file = self.made(segment)?.publish()?;
            file.sync_every(self.interval);
            if let Some(why) = &self.gone_over {
                file.go_over(why)?;
            }
            self.open.insert(segment, file);
            if self.ahead.is_none() {
                self.make_ahead(segment)?;
            }
        }
        let gone = || OutputError::Gone { path: self.blueprint.path(segment) };
        self.open.get_mut(&segment).ok_or_else(gone)
    }

    fn made(&mut self, segment: usize) -> Result<super::ResultDraft, OutputError> {
        match self.ahead.take() {
            Some(ahead) if ahead.segment == segment => ahead.wait(&self.master.path),
            // Frames overtake each other; and one that was left in a segment of before may come in the end.
            other => {
                self.ahead = other;
                self.blueprint.make(segment)
            }
        }
    }

    /// Begins with the next segment behind one that rows will come for.
    fn make_ahead(&mut self, segment: usize) -> Result<(), OutputError> {
        let is_next = |next: &usize| self.tally[*next].left > 0 && !self.open.contains_key(next);
        let next = (segment + 1..self.tally.len()).find(is_next);
        if let Some(next) = next {
            let ahead = Ahead::begin(&self.blueprint, self.aside, next);
            self.ahead =
                Some(ahead.map_err(|cause| self.no_thread("starting a thread for a segment", cause))?);
        }
        Ok(())
    }

    /// Has a segment closed whose rows are all there.
    fn close(&mut self, segment: usize) -> Result<(), OutputError> {
        let Some(file) = self.open.remove(&segment) else { return Ok(()) };
        self.tally[segment].closed = file.writer.file.metadata().ok().map(|it| (it.dev(), it.ino()));
        while self.closing.len() >= MOST_CLOSING {
            self.wait_for_one()?;
        }
        let closing = Awaited::begin(self.aside, move || file.finish(&Ending::Complete));
        let action = "starting a thread to close a segment";
        self.closing.push_back(closing.map_err(|cause| self.no_thread(action, cause))?);
        Ok(())
    }

    /// Those whose rows an earlier run had all written, and did not live to say so.
    fn close_what_is_done(&mut self) -> Result<(), OutputError> {
        for segment in 0..self.tally.len() {
            let Tally { left, closed } = self.tally[segment];
            if left == 0 && closed.is_none() {
                let file = self.blueprint.make(segment)?.publish()?;
                self.open.insert(segment, file);
                self.close(segment)?;
            }
        }
        Ok(())
    }

    fn wait_for_one(&mut self) -> Result<(), OutputError> {
        let Some(closing) = self.closing.pop_front() else { return Ok(()) };
        closing.wait().map_err(|cause| self.no_thread("closing a segment", cause))?.map(|_| ())
    }

    fn no_thread(&self, action: &'static str, cause: std::io::Error) -> OutputError {
        OutputError::Io { path: self.master.path.clone(), action, cause }
    }

    /// Notes that something was lost. Where the master or the folder of segments is no longer there, that is the reason.
    fn explained(&mut self, error: OutputError) -> OutputError {
        use OutputError::{Folder, Io, NotAResult};
        let error = match error {
            Io { .. } | Folder { .. } | NotAResult { .. } => self.check_places().err().unwrap_or(error),
            other => other,
        };
        self.broken.get_or_insert_with(|| error.to_string());
        // What a segment could not write is pending.
        for (segment, file) in &self.open {
            let first = self.blueprint.division.frames_of(*segment).start;
            self.master.statuses[first..first + file.statuses.len()].copy_from_slice(&file.statuses);
        }
        error
    }

    /// That the master, and every segment that is complete, are the files that they were.
    fn check_places(&self) -> Result<(), OutputError> {
        self.master.check_place()?;
        let folder = self.blueprint.folder();
        if !folder.is_dir() {
            return Err(OutputError::Gone { path: folder });
        }
        for (segment, tally) in self.tally.iter().enumerate() {
            let path = self.blueprint.path(segment);
            let is_it = |closed| fs::metadata(&path).is_ok_and(|it| (it.dev(), it.ino()) == closed);
            if !tally.closed.is_none_or(is_it) {
                return Err(OutputError::Gone { path });
            }
        }
        Ok(())
    }

    /// Writes what is buffered, as [`ResultFile::flush`].
    ///
    /// # Errors
    /// As [`ResultFile::flush`].
    pub fn flush(&mut self) -> Result<(), OutputError> {
        let flushed = self.flush_all();
        flushed.map_err(|error| self.explained(error))
    }

    fn flush_all(&mut self) -> Result<(), OutputError> {
        self.flushed = Instant::now();
        self.open.values_mut().try_for_each(ResultFile::flush)?;
        self.master.check_place()?;
        let master = &mut self.master;
        let sent = master.disk.wrote(&master.writer.file);
        sent.map_err(|cause| OutputError::from_io(&master.path, "sending the master to the disk", 0, cause))
    }

    /// As [`ResultFile::go_over`].
    ///
    /// # Errors
    /// As [`ResultFile::go_over`].
    pub fn go_over(&mut self, why: &str) -> Result<(), OutputError> {
        self.flush()?;
        self.master.go_over(why)?;
        self.open.values_mut().try_for_each(|segment| segment.go_over(why))?;
        self.gone_over = Some(why.to_owned());
        Ok(())
    }

    /// As [`ResultFile::lose`].
    ///
    /// # Errors
    /// As [`ResultFile::lose`].
    pub fn lose(&mut self, why: &str) -> Result<(), OutputError> {
        self.flush()?;
        self.master.lose(why)
    }

    /// Ends every segment, then the master, as [`ResultFile::finish`]: the word for how the run ended is the last thing that is written.
    ///
    /// # Errors
    /// The first thing that fails here. What can still be written after it is written.
    pub fn finish(mut self, ending: &Ending) -> Result<Written, OutputError> {
        drop(self.ahead.take());
        let mut first_error = None;
        for segment in std::mem::take(&mut self.open).into_values() {
            if let Err(error) = segment.finish(ending) {
                first_error.get_or_insert(error);
            }
        }
        while !self.closing.is_empty() {
            if let Err(error) = self.wait_for_one() {
                first_error.get_or_insert(error);
            }
        }
        if let Err(gone) = self.check_places() {
            first_error = Some(gone);
        }
        let reason = self.broken.take().or_else(|| first_error.as_ref().map(ToString::to_string));
        let ending = match (reason, ending) {
            (Some(reason), Ending::Complete | Ending::Interrupted) => Ending::Failed(reason),
            _ => ending.clone(),
        };
        let paths = (0..self.tally.len()).map(|segment| self.blueprint.path(segment));
        let paths: Vec<PathBuf> = paths.collect();
        let written = self.master.finish(&ending);
        if let Some(error) = first_error {
            return Err(error);
        }
        let written = written?;
        let bytes: u64 = paths.iter().filter_map(|path| fs::metadata(path).ok()).map(|it| it.len()).sum();
        Ok(Written { bytes: written.bytes + bytes, segments: paths.len(), ..written })
    }
}

impl ResultFile {
    /// Notes in a master what became of a frame whose row a segment gets.
    ///
    /// # Errors
    /// As [`ResultFile::put`].
    fn note(&mut self, outcome: &Outcome) -> Result<(), OutputError> {
        let frame = outcome.as_ref().map_or_else(|bad| bad.id.0, |pattern| pattern.id.0);
        if let Some(problem) = self.misfit(frame, outcome) {
            return Err(OutputError::Misfit { path: self.path.clone(), frame, problem });
        }
        let row = self.layout.row(frame);
        self.statuses[row] = match outcome {
            Ok(_) => FrameStatus::Good,
            Err(bad) => {
                self.keep_message(frame, bad.message.clone());
                bad.status
            }
        };
        if let (Some(places), Ok(pattern)) = (&self.writer.places.sums, outcome) {
            let places = places.clone();
            let number = self.writer.norms.number_of(&pattern.norms, &self.writer.file, &places);
            let written = number.and_then(|number| self.writer.write_norms_of(row, &[number]));
            written.map_err(|cause| OutputError::from_io(&self.path, "writing norms", 0, cause))?;
        }
        match self.writer.places.frame_device {
            Some(place) => {
                self.write_at(&[super::device::mark(self.by_cpu)], place + row as u64, "writing frame_device")
            }
            None => Ok(()),
        }
    }

    fn write_at(&self, bytes: &[u8], place: u64, action: &'static str) -> Result<(), OutputError> {
        use std::os::unix::fs::FileExt;
        let written = self.writer.file.write_all_at(bytes, place);
        written.map_err(|cause| OutputError::from_io(&self.path, action, bytes.len() as u64, cause))
    }
}
