//! Makes the files of segments, before anybody waits for them: a thread of whoever owns threads does it while rows go into the one before.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, OnceLock};

use super::super::division::Division;
use super::super::earlier::EarlierResult;
use super::super::layout::{FileStamp, Layout};
use super::super::part::SegmentOf;
use super::super::raster::FrameNumbers;
use super::super::segment_names::SegmentNames;
use super::super::{ResultDraft, ResultFile};
use crate::output::OutputError;

/// Has work done by a thread of its own; the session starts it.
pub type Aside = fn(Box<dyn FnOnce() + Send>) -> io::Result<()>;

/// What somebody else makes.
pub(super) struct Awaited<T>(Receiver<T>);

impl<T: Send + 'static> Awaited<T> {
    pub(super) fn begin(aside: Aside, work: impl FnOnce() -> T + Send + 'static) -> io::Result<Awaited<T>> {
        let (done, wait) = sync_channel(1);
        // Whoever waited may be gone: then what was made is dropped.
        aside(Box::new(move || drop(done.send(work()))))?;
        Ok(Awaited(wait))
    }

    pub(super) fn wait(self) -> io::Result<T> {
        self.0.recv().map_err(|_| io::Error::other("the thread that does it panicked"))
    }
}

/// A segment's file in the making. Dropped, it is waited for: whoever makes it would leave it behind at the end of the process.
pub(super) struct Ahead {
    pub segment: usize,
    draft: Making,
}

enum Making {
    Begun(Awaited<Result<ResultDraft, OutputError>>),
    Done(Box<ResultDraft>),
    Over,
}

impl Ahead {
    pub(super) fn begin(blueprint: &Arc<Blueprint>, aside: Aside, segment: usize) -> io::Result<Ahead> {
        let blueprint = Arc::clone(blueprint);
        let begun = Awaited::begin(aside, move || blueprint.make(segment))?;
        Ok(Ahead { segment, draft: Making::Begun(begun) })
    }

    /// Waits until it is made; `master` is whose segment it is.
    pub(super) fn settle(&mut self, master: &Path) -> Result<(), OutputError> {
        let lost = |cause| OutputError::Io { path: master.into(), action: "making a segment", cause };
        self.draft = match std::mem::replace(&mut self.draft, Making::Over) {
            Making::Begun(begun) => Making::Done(Box::new(begun.wait().map_err(lost)??)),
            other => other,
        };
        Ok(())
    }

    /// The file, whole and without a name.
    pub(super) fn wait(mut self, master: &Path) -> Result<ResultDraft, OutputError> {
        self.settle(master)?;
        match std::mem::replace(&mut self.draft, Making::Over) {
            Making::Done(draft) => Ok(*draft),
            Making::Begun(_) | Making::Over => Err(OutputError::Gone { path: master.into() }),
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if let Making::Begun(begun) = std::mem::replace(&mut self.draft, Making::Over) {
            drop(begun.wait());
        }
    }
}

/// Everything that decides what segments are like.
pub(super) struct Blueprint {
    /// Where the master is.
    master: PathBuf,
    /// What the whole holds, but for its files.
    layout: Layout,
    inputs: Vec<String>,
    stamps: Vec<FileStamp>,
    pub division: Division,
    pub names: SegmentNames,
    /// Set where rows of an earlier run are taken over: whether its bad frames are not.
    pub retry_bad: OnceLock<bool>,
}

impl Blueprint {
    /// `layout` is that of the whole, whose run is known.
    pub(super) fn new(master: &Path, layout: &Layout, division: Division, names: SegmentNames) -> Blueprint {
        Blueprint {
            master: master.to_path_buf(),
            layout: Layout {
                inputs: Vec::new(),
                stamps: Vec::new(),
                shows: Vec::new(),
                is_master: false,
                definition: None,
                ..layout.clone()
            },
            inputs: layout.inputs.clone(),
            stamps: layout.stamps.clone(),
            division,
            names,
            retry_bad: OnceLock::new(),
        }
    }

    /// Where a segment's file is.
    pub(super) fn path(&self, segment: usize) -> PathBuf {
        self.master.with_file_name(self.names.of(segment))
    }

    /// Where the files of segments are.
    pub(super) fn folder(&self) -> PathBuf {
        self.master.with_file_name(self.names.folder())
    }

    /// What a segment holds, in its own numbers of frames and rows.
    pub(super) fn layout(&self, segment: usize) -> Layout {
        let whole = &self.layout;
        let frames = self.division.frames_of(segment);
        let FrameNumbers { first, step } = whole.numbers;
        let lines = |scan: &super::super::raster::Raster| {
            let first = frames.start / scan.fast.points;
            scan.lines(first..first + frames.len().div_ceil(scan.fast.points))
        };
        // Where a frame is a file, it has those of its frames; of files with many frames it has all, which are few.
        let is_of_each = |count: usize| count == whole.frames;
        Layout {
            frames: frames.len(),
            scan: whole.scan.as_ref().map(lines),
            offset: whole.offset + frames.start,
            numbers: FrameNumbers { first: first + frames.start * step, step },
            inputs: match is_of_each(self.inputs.len()) {
                true => self.inputs[frames.clone()].to_vec(),
                false => self.inputs.clone(),
            },
            stamps: match is_of_each(self.stamps.len()) {
                true => self.stamps[frames.clone()].to_vec(),
                false => self.stamps.clone(),
            },
            segment: Some(SegmentOf {
                number: segment,
                first: frames.start,
                frames: Some(whole.frames),
                master: self.master.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            }),
            part: None,
            ..whole.clone()
        }
    }

    /// Makes a segment's file, whole, with the rows that an earlier run has of it.
    ///
    /// # Errors
    /// As [`ResultFile::draft`] and [`ResultDraft::carry`].
    pub(super) fn make(&self, segment: usize) -> Result<ResultDraft, OutputError> {
        let path = self.path(segment);
        let earlier = self.retry_bad.get().filter(|_| path.exists());
        let mut draft = ResultFile::make(&path, None, &self.layout(segment), earlier.is_some(), true)?;
        if let Some(retry_bad) = earlier {
            draft.carry(&EarlierResult::open(&path)?, *retry_bad)?;
        }
        Ok(draft)
    }
}
