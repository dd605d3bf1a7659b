//! A result in segments before its run begins: its master, whole and without a name, and what an earlier run left of its segments.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::super::division::Division;
use super::super::earlier::EarlierResult;
use super::super::layout::Layout;
use super::super::segment_names::SegmentNames;
use super::super::segments::Segments;
use super::super::{Carried, ResultDraft, ResultFile, carry, skeleton};
use super::maker::{Ahead, Aside, Blueprint};
use super::{SegmentedResult, Tally};
use crate::files::temporary::Temporary;
use crate::files::{folder_of, free_bytes};
use crate::frame::{BadFrame, FrameId, FrameStatus, Outcome};
use crate::output::OutputError;
use crate::output::draft::leftovers_in;
use crate::output::lock::Lock;
use crate::output::nexus;

/// A result in segments whose master is whole and has no name yet; dropped, nothing of it is left.
pub struct SegmentedDraft {
    // Before the folder that its file is in.
    ahead: Option<Ahead>,
    /// The folder, where this run made it.
    folder: Option<Temporary>,
    master: ResultDraft,
    blueprint: Arc<Blueprint>,
    aside: Aside,
    tally: Vec<Tally>,
}

impl SegmentedResult {
    /// Makes the master of a result, which shows segments that are not there yet, and begins to make the first of them. `earlier`: the segments of the
    /// run that this one goes on with; then their rows are to be [taken over](SegmentedDraft::carry).
    ///
    /// # Errors
    /// As [`ResultFile::draft`]; [`OutputError::Full`] when there is no room for all segments.
    pub fn draft(
        lock: Lock,
        layout: &Layout,
        division: Division,
        overwrite: bool,
        earlier: Option<&Segments>,
        aside: Aside,
    ) -> Result<SegmentedDraft, OutputError> {
        let path = lock.output().to_path_buf();
        let has_locks = lock.note().is_none();
        if let Err(problem) = layout.check() {
            return Err(OutputError::Layout { path, problem });
        }
        let names = match earlier {
            Some(segments) => segments.names.first().and_then(|name| SegmentNames::like(name)),
            None => SegmentNames::new(&path),
        };
        let Some(names) = names else {
            let problem = "HDF5 cannot say this name, which is not UTF-8: segments need another".into();
            return Err(OutputError::Layout { path, problem });
        };
        let run = || (uuid::Uuid::new_v4().to_string(), nexus::now());
        let layout = Layout {
            shows: division.files(&names),
            is_master: true,
            goes_on: Some(layout.goes_on.clone().unwrap_or_else(run)),
            ..layout.clone()
        };
        let mut master = ResultFile::make(&path, Some(lock), &layout, overwrite, false)?;
        master.keeps_old = earlier.is_none();
        let blueprint = Blueprint::new(&path, &layout, division, names);
        let folder = make_folder(&blueprint.folder())?;
        if has_locks {
            // Nobody else writes segments of this result: what is there was left by runs that are gone.
            leftovers_in(&blueprint.folder(), |_| true).iter().for_each(|left| drop(fs::remove_file(left)));
        }
        let tally = (0..division.count())
            .map(|segment| Tally { left: division.frames_of(segment).len(), closed: None })
            .collect();
        let mut draft =
            SegmentedDraft { ahead: None, folder, master, blueprint: Arc::new(blueprint), aside, tally };
        if earlier.is_none() {
            draft.begin()?;
        }
        Ok(draft)
    }
}

/// Makes the folder of segments; one that is there already stays, whatever becomes of this run.
fn make_folder(path: &Path) -> Result<Option<Temporary>, OutputError> {
    let refused = |cause| OutputError::Folder { folder: folder_of(path).to_path_buf(), cause };
    match Temporary::make(path, || fs::create_dir(path)) {
        Ok((folder, ())) => Ok(Some(folder)),
        Err(there) if there.kind() == io::ErrorKind::AlreadyExists => match fs::metadata(path) {
            Ok(there) if there.is_dir() => Ok(None),
            Ok(_) => Err(OutputError::NotAFile { path: path.into() }),
            Err(cause) => Err(refused(cause)),
        },
        Err(cause) => Err(refused(cause)),
    }
}

impl SegmentedDraft {
    /// Looks whether there is room for what is still to be made, and begins with the first of it.
    fn begin(&mut self) -> Result<(), OutputError> {
        let path = &self.master.file.path;
        let division = self.blueprint.division;
        let of_frame = skeleton::size(&self.blueprint.layout(0)) / division.frames_of(0).len() as u64;
        let missing = self.tally.iter().enumerate().filter(|(_, tally)| tally.closed.is_none());
        let frames: usize = missing.map(|(segment, _)| division.frames_of(segment).len()).sum();
        let needed = of_frame.saturating_mul(frames as u64);
        if let Some(free) = free_bytes(path).filter(|free| *free < needed) {
            let cause = io::ErrorKind::StorageFull.into();
            return Err(OutputError::Full { path: path.clone(), needed, free: Some(free), cause });
        }
        if let Some(first) = self.tally.iter().position(|tally| tally.left > 0) {
            let ahead = Ahead::begin(&self.blueprint, self.aside, first);
            let action = "starting a thread for the segments";
            let ahead = ahead.map_err(|cause| OutputError::Io { path: path.clone(), action, cause });
            self.ahead = Some(ahead?);
        }
        Ok(())
    }

    /// Takes over what an earlier run left. A segment that is complete stays what it is; of one that is not, rows that are whole go into a
    /// new file when the first frame comes that it lacks.
    ///
    /// # Errors
    /// As [`ResultDraft::carry`], with the segment's path.
    pub fn carry(&mut self, earlier: &EarlierResult, retry_bad: bool) -> Result<Carried, OutputError> {
        let division = self.blueprint.division;
        let mut carried = Carried { done: vec![false; self.master.file.layout.frames], ..Carried::default() };
        for segment in 0..division.count() {
            let path = self.blueprint.path(segment);
            if !path.exists() {
                continue;
            }
            let there = EarlierResult::open(&path)?;
            if there.uuid != earlier.uuid {
                let master = earlier.info.path.display();
                return Err(there.not(format!("it is no segment of {master}, but of another run")));
            }
            let layout = self.blueprint.layout(segment);
            let bad = there.info.frames_done() - there.info.count(FrameStatus::Good);
            let is_whole = there.is_complete(layout.frames) && !(retry_bad && bad > 0);
            let of_it = match is_whole {
                true => self.show_whole(segment, &there, &layout)?,
                false => self.look_through(segment, &there, &layout, retry_bad)?,
            };
            let first = division.frames_of(segment).start;
            carried.done[first..first + layout.frames].copy_from_slice(&of_it.done);
            carried.good += of_it.good;
            carried.bad += of_it.bad;
            carried.damaged += of_it.damaged;
            let left = of_it.done.iter().filter(|done| !**done).count();
            let closed =
                if is_whole { fs::metadata(&path).ok().map(|it| (it.dev(), it.ino())) } else { None };
            self.tally[segment] = Tally { left, closed };
        }
        self.master.file.by_cpu = false;
        let _ = self.blueprint.retry_bad.set(retry_bad);
        self.begin()?;
        Ok(carried)
    }

    /// Notes what a complete segment holds.
    fn show_whole(
        &mut self,
        segment: usize,
        there: &EarlierResult,
        layout: &Layout,
    ) -> Result<Carried, OutputError> {
        if there.rows() != layout.rows() {
            return Err(there.not(format!("it has {} rows, there are {} now", there.rows(), layout.rows())));
        }
        let first = self.blueprint.division.frames_of(segment).start;
        self.master.mark_gone_over(there)?;
        let file = &mut self.master.file;
        if let Some(place) = file.writer.places.frame_device {
            let marks: Vec<u8> = (0..layout.rows()).map(|row| there.mark(row)).collect();
            file.write_at(&marks, place + first as u64, "writing frame_device")?;
        }
        self.master.show_part(there, layout, first)?;
        let good = there.info.count(FrameStatus::Good);
        Ok(Carried { done: vec![true; layout.frames], good, bad: layout.frames - good, damaged: 0 })
    }

    /// Notes which rows of a segment are whole.
    fn look_through(
        &mut self,
        segment: usize,
        there: &EarlierResult,
        layout: &Layout,
        retry_bad: bool,
    ) -> Result<Carried, OutputError> {
        let first = self.blueprint.division.frames_of(segment).start;
        self.master.mark_gone_over(there)?;
        let file = &mut self.master.file;
        carry::whole_rows(there, layout, retry_bad, &mut |frame, by_cpu, outcome| {
            file.by_cpu = by_cpu;
            file.note(&numbered(outcome, first + frame))
        })
    }

    /// Gives the master its name; the run begins. A result that it replaces is kept beside it, its segments with it, until this one is
    /// complete.
    ///
    /// # Errors
    /// [`OutputError::Exists`], or what the operating system says.
    pub fn publish(self) -> Result<SegmentedResult, OutputError> {
        let SegmentedDraft { mut ahead, folder, master, blueprint, aside, tally } = self;
        // Without room for the first one nothing begins.
        if let Some(first) = &mut ahead {
            first.settle(&master.file.path)?;
        }
        let master = master.publish()?;
        if let Some(folder) = folder {
            folder.keep();
        }
        let mut result = SegmentedResult::begin(master, blueprint, aside, tally, ahead);
        result.close_what_is_done()?;
        Ok(result)
    }
}

/// The same of another frame.
pub(super) fn numbered(outcome: Outcome, frame: usize) -> Outcome {
    let id = FrameId(frame);
    match outcome {
        Ok(pattern) => Ok(crate::frame::Pattern { id, ..pattern }),
        Err(bad) => Err(BadFrame { id, ..bad }),
    }
}
