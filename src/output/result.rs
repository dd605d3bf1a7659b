//! The result file: patterns in a NeXus/HDF5 file that is whole from the start and survives being killed.
//!
//! [`ResultFile::create`] builds the complete file under a temporary name, reserves its disk space, gives it its final
//! name and closes the HDF5 library's hold on it. From then on [`ResultFile::put`] only writes numbers into places that
//! exist: rows first, then their `frame_status`. Killed at any instant, the file opens and its statuses tell the truth
//! (`status` says `running` then). The kernel keeps what was written when a process dies. Against a power failure, which takes
//! what the disk does not have yet in any order, it is sent to the disk at intervals ([`ResultFile::sync_every`]) and at the end, and
//! each row has a checksum (`row_crc`).
//! A row without a frame is NaN from the beginning.
//!
//! Rows are buffered and written in runs, at the latest a second after they came or when 16 MiB wait. One writer,
//! any order of frames. While it runs, the file can be opened and watched; it is not locked.
//!
//! At the end only `end_time`, `duration`, `message` and `status` change, in this order and in their places. When there are
//! bad frames or sums, the HDF5 library opens the file once more to store the messages and to cut the table of norms behind its
//! last set. It touches these two datasets only, so a kill in that millisecond may cost them, never a pattern or a status. A run whose
//! frames go over to another device, or that loses one of several, is opened once more then ([`ResultFile::go_over`], [`ResultFile::lose`]).
mod arrays;
mod azint;
mod band;
mod beside;
mod block;
mod carry;
mod copy;
mod definition;
mod device;
mod division;
mod earlier;
mod info;
mod layout;
mod length;
mod mend;
mod part;
mod patterns;
mod plain;
mod raster;
mod replaced;
mod rows;
mod sector;
mod segment_names;
mod segmented;
mod segments;
mod skeleton;
mod sums;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::IntoRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hdf5::types::VarLenUnicode;

use super::OutputError;
use super::disk::Disk;
use super::draft::{Draft, kept_old, settle_old};
use super::lock::{Lock, is_at};
use super::nexus;
use crate::files::{folder_of, library, sync_folder};
use crate::frame::{FrameStatus, Outcome, Pattern};
use band::MapBand;
pub(super) use plain::fixed;
use rows::{FrameRow, RowWriter};
pub(super) use skeleton::{DATE_LEN, MESSAGE_LEN, RUNNING, STATUS_LEN, stamps as write_stamps};
use sums::SumPlaces;

pub use beside::Beside;
pub use carry::Carried;
pub use definition::{Definition, RadialAxis};
pub use division::{Division, SegmentSize};
pub use earlier::EarlierResult;
pub(super) use earlier::{message as read_message, stamps as read_stamps};
pub(super) use info::opened;
pub use info::{Progress, ResultInfo};
pub use layout::{BinAxis, Ending, FileStamp, Layout};
pub use part::{MergedFrom, PartOf, SegmentOf, VirtualPart};
pub use patterns::{MeanCake, Patterns};
pub use raster::{FrameNumbers, Motor, Raster};
pub use sector::{Sector, SectorError, range_in_words};
pub use segmented::{Aside, SegmentedDraft, SegmentedResult};
pub use segments::Segments;

/// Patterns that may wait to be written, in bytes of the file.
///
/// 16 MiB is some 4000 patterns of 1000 bins, or 400 with their sums: larger blocks are not faster (`writing_rate` in the
/// tests), and smaller ones make the writes into `map` short.
const BLOCK_BYTES: usize = 16 << 20;
/// Rows that may wait, however short they are.
const BLOCK_ROWS: usize = 4096;
/// Longest time that a pattern waits, as long as others follow.
const BLOCK_TIME: Duration = Duration::from_secs(1);
/// Messages of bad frames that are kept; the statuses of all are.
const MOST_MESSAGES: usize = 10_000;

/// A result file that is being written.
///
/// Dropped without [`ResultFile::finish`], it writes what it has and its status stays `running`.
pub struct ResultFile {
    path: PathBuf,
    layout: Layout,
    writer: RowWriter,
    waiting: Vec<FrameRow>,
    most_waiting: usize,
    waiting_since: Instant,
    longest_wait: Duration,
    begun: Instant,
    /// One a row.
    statuses: Vec<FrameStatus>,
    messages: BTreeMap<usize, String>,
    messages_left_out: usize,
    /// Why patterns were lost, once a write has failed.
    broken: Option<String>,
    /// Whether rows that come now are made by the CPU although a GPU was planned.
    by_cpu: bool,
    /// Why devices were lost whose frames others did again.
    lost_devices: Vec<String>,
    /// Whether it has its name.
    is_named: bool,
    disk: Disk,
    /// A segment's is its master's.
    _lock: Option<Lock>,
}

/// What a finished file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The file.
    pub path: PathBuf,
    /// Rows with a pattern.
    pub good: usize,
    /// Rows of bad frames: NaN.
    pub bad: usize,
    /// Rows that no frame came for: NaN.
    pub pending: usize,
    /// Size of the file in bytes, segments included.
    pub bytes: u64,
    /// How many segments it has; 0: it is one file.
    pub segments: usize,
    /// Where the file is that this one replaces, for this one is not complete.
    pub old: Option<PathBuf>,
}

/// A result file that is whole and has no name yet; dropped, it is gone.
pub struct ResultDraft {
    file: ResultFile,
    draft: Draft,
    /// Whether a file that it replaces is kept: not when its rows were taken over.
    keeps_old: bool,
    /// Rows of a part on their way to `map`.
    band: MapBand,
}

impl ResultDraft {
    /// Gives the file its name; the run begins. A file that it replaces is kept beside it until this one is complete.
    ///
    /// # Errors
    /// [`OutputError::Exists`], or what the operating system says.
    pub fn publish(self) -> Result<ResultFile, OutputError> {
        let ResultDraft { mut file, draft, keeps_old, .. } = self;
        // What a run left that did not end is not kept beside what is kept already.
        let old = kept_old(&file.path);
        let unkept = if keeps_old && old.exists() { replaced::segments_at(&file.path) } else { Vec::new() };
        if keeps_old {
            draft.publish_beside_old()?
        } else {
            draft.publish()?
        };
        if !unkept.is_empty() {
            replaced::remove(&unkept, &file.path, &file.layout, &replaced::segments_at(&old));
        }
        // What is merged began with the file.
        if file.layout.merged_from.is_empty() {
            file.begun = Instant::now();
        }
        file.is_named = true;
        Ok(file)
    }
}

impl ResultFile {
    /// Creates the file with room for every frame of `layout`. An existing file is replaced only with `overwrite`, and
    /// only once the new one is complete and its disk space reserved.
    ///
    /// # Errors
    /// [`OutputError::Exists`], [`OutputError::NotAFile`], [`OutputError::Folder`], [`OutputError::Full`],
    /// [`OutputError::Layout`] when the frames do not fit the map, or what HDF5 says. Nothing is left on disk then, and
    /// an existing file is as it was.
    pub fn create(path: &Path, layout: &Layout, overwrite: bool) -> Result<ResultFile, OutputError> {
        ResultFile::draft(Lock::take(path)?, layout, overwrite)?.publish()
    }

    /// Makes the whole file, but does not give it its name yet.
    ///
    /// # Errors
    /// As [`ResultFile::create`].
    pub fn draft(lock: Lock, layout: &Layout, overwrite: bool) -> Result<ResultDraft, OutputError> {
        let path = lock.output().to_path_buf();
        ResultFile::make(&path, Some(lock), layout, overwrite, true)
    }

    /// Likewise, of a file whose frames have all come when it gets its name: it costs no more than what is put into it. One that
    /// [shows](Layout::shows) other files' rows has none of its own.
    ///
    /// # Errors
    /// As [`ResultFile::create`].
    pub fn draft_to_fill(lock: Lock, layout: &Layout, overwrite: bool) -> Result<ResultDraft, OutputError> {
        let path = lock.output().to_path_buf();
        let mut draft = ResultFile::make(&path, Some(lock), layout, overwrite, false)?;
        draft.file.disk.set(Some(Duration::ZERO));
        Ok(draft)
    }

    /// `blank`: whether rows are NaN until something is put there.
    fn make(
        path: &Path,
        lock: Option<Lock>,
        layout: &Layout,
        overwrite: bool,
        blank: bool,
    ) -> Result<ResultDraft, OutputError> {
        if let Err(problem) = layout.check() {
            return Err(OutputError::Layout { path: path.into(), problem });
        }
        let draft = Draft::begin(path, overwrite, skeleton::size(layout))?;
        let path = draft.path().to_path_buf();
        let places = skeleton::build(draft.file(), layout)
            .map_err(|e| OutputError::from_hdf5(&path, "creating the file", skeleton::size(layout), e))?;
        let io_error = |cause| OutputError::Io { path: path.clone(), action: "opening the new file", cause };
        let file = draft.file().try_clone().map_err(io_error)?;
        let bytes = file.metadata().map_err(io_error)?.len();
        // Most of the norms' table is never needed.
        draft.reserve(places.sums.as_ref().map_or(bytes, SumPlaces::table))?;
        let writer = RowWriter::new(file, places, layout);
        prepare(&writer, layout, blank)
            .map_err(|e| OutputError::from_io(&path, "preparing the file", bytes, e))?;

        let row_bytes = layout.npt() * skeleton::bytes_of_bin(layout) as usize;
        let file = ResultFile {
            path,
            writer,
            waiting: Vec::new(),
            most_waiting: (BLOCK_BYTES / row_bytes).clamp(1, BLOCK_ROWS),
            waiting_since: Instant::now(),
            longest_wait: BLOCK_TIME,
            begun: Instant::now(),
            statuses: vec![FrameStatus::Pending; layout.rows()],
            messages: BTreeMap::new(),
            messages_left_out: 0,
            broken: None,
            by_cpu: false,
            lost_devices: Vec::new(),
            is_named: false,
            disk: Disk::default(),
            _lock: lock,
            layout: layout.clone(),
        };
        Ok(ResultDraft { file, draft, keeps_old: layout.goes_on.is_none(), band: MapBand::default() })
    }

    /// Has the disk itself keep what was written this often, so that a power cut costs no more; `None`: only at the end. Patterns wait no
    /// longer than that.
    pub fn sync_every(&mut self, interval: Option<Duration>) {
        self.disk.set(interval);
        self.longest_wait = interval.map_or(BLOCK_TIME, |interval| interval.min(BLOCK_TIME));
    }

    /// That the file still has its name, once it had it.
    fn check_place(&self) -> Result<(), OutputError> {
        match !self.is_named || is_at(&self.writer.file, &self.path) {
            true => Ok(()),
            false => Err(OutputError::Gone { path: self.path.clone() }),
        }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts what became of one frame into its row; frames may come in any order, each once.
    ///
    /// # Errors
    /// [`OutputError::Misfit`] when the frame's number or the lengths of its vectors do not fit the file or its row is
    /// taken; [`OutputError::Full`] or [`OutputError::Io`] when the disk fails: the patterns of that block are lost.
    pub fn put(&mut self, outcome: Outcome) -> Result<(), OutputError> {
        let frame = match &outcome {
            Ok(pattern) => pattern.id.0,
            Err(bad) => bad.id.0,
        };
        if let Some(problem) = self.misfit(frame, &outcome) {
            return Err(OutputError::Misfit { path: self.path.clone(), frame, problem });
        }
        let row = self.layout.row(frame);
        let (pattern, status) = match outcome {
            Ok(mut pattern) => {
                if !self.layout.sums {
                    // Nobody wants them: they do not wait with the pattern.
                    (pattern.signal, pattern.variance, pattern.norms) = Default::default();
                }
                (Some(pattern), FrameStatus::Good)
            }
            Err(bad) => {
                self.keep_message(frame, bad.message);
                (None, bad.status)
            }
        };
        self.statuses[row] = status;
        if self.waiting.is_empty() {
            self.waiting_since = Instant::now();
        }
        self.waiting.push(FrameRow { row, frame, pattern, status, by_cpu: self.by_cpu });
        if self.waiting.len() >= self.most_waiting || self.waiting_since.elapsed() >= self.longest_wait {
            self.flush()?;
        }
        Ok(())
    }

    fn keep_message(&mut self, frame: usize, message: String) {
        if self.messages.len() < MOST_MESSAGES {
            self.messages.insert(frame, message);
        } else {
            self.messages_left_out += 1;
        }
    }

    fn misfit(&self, frame: usize, outcome: &Outcome) -> Option<String> {
        if frame >= self.layout.frames {
            return Some(format!("the file has room for frames 0 to {}", self.layout.frames - 1));
        }
        if self.statuses[self.layout.row(frame)] != FrameStatus::Pending {
            return Some("this frame was put before".into());
        }
        match outcome {
            Err(bad) if matches!(bad.status, FrameStatus::Good | FrameStatus::Pending) => {
                Some(format!("a bad frame cannot have the status {}", bad.status.word()))
            }
            Err(_) => None,
            Ok(pattern) => lengths_misfit(pattern, &self.layout),
        }
    }

    /// Writes what is buffered. [`ResultFile::put`] does so by itself at least once a second while frames come;
    /// call this when they pause.
    ///
    /// # Errors
    /// [`OutputError::Full`] or [`OutputError::Io`]; the patterns of that block are lost.
    pub fn flush(&mut self) -> Result<(), OutputError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let done = self.writer.write(&mut self.waiting);
        let bytes = self.waiting.len() * self.layout.npt() * size_of::<f64>();
        let done = done.map_err(|e| OutputError::from_io(&self.path, "writing patterns", bytes as u64, e));
        if let Err(e) = &done {
            self.broken.get_or_insert_with(|| e.to_string());
            for row in &self.waiting {
                self.statuses[row.row] = FrameStatus::Pending;
            }
        }
        self.waiting.clear();
        done?;
        self.check_place()?;
        let sent = self.disk.wrote(&self.writer.file);
        sent.map_err(|e| OutputError::from_io(&self.path, "sending patterns to the disk", bytes as u64, e))
    }

    /// Marks the rows that are put from here on as made by the CPU, for this reason: the file gets its `frame_device`.
    ///
    /// # Errors
    /// As [`ResultFile::flush`], or what HDF5 says.
    pub fn go_over(&mut self, why: &str) -> Result<(), OutputError> {
        self.flush()?;
        if self.writer.places.frame_device.is_none() {
            let rows = self.layout.rows();
            let room = self.make_room("making room for frame_device", device::room(rows))?;
            let place = device::reserve(&self.writer.file, &self.layout, why)
                .map_err(|e| OutputError::from_hdf5(&self.path, "adding frame_device", room, e))?;
            let written = self.writer.file.write_all_at(&vec![0; rows], place);
            written.map_err(|e| OutputError::from_io(&self.path, "writing frame_device", rows as u64, e))?;
            self.writer.places.frame_device = Some(place);
        }
        self.by_cpu = true;
        Ok(())
    }

    /// Notes that a device was lost, for this reason, and that others of its kind do its frames again: rows are what they would have been.
    /// The file gets its `lost_devices`.
    ///
    /// # Errors
    /// As [`ResultFile::flush`], or what HDF5 says.
    pub fn lose(&mut self, why: &str) -> Result<(), OutputError> {
        self.flush()?;
        if self.lost_devices.iter().any(|known| known == why) {
            return Ok(());
        }
        self.lost_devices.push(why.to_owned());
        let room = self.make_room("making room for lost_devices", device::room(0))?;
        device::note_lost(&self.writer.file, &self.lost_devices)
            .map_err(|e| OutputError::from_hdf5(&self.path, "adding lost_devices", room, e))
    }

    /// Makes the file longer before HDF5 changes it, so that a kill between the library's writes never leaves a file shorter than its
    /// header says; gives back by how much.
    fn make_room(&self, action: &'static str, room: u64) -> Result<u64, OutputError> {
        let file = &self.writer.file;
        let longer = file.metadata().and_then(|m| file.set_len(m.len() + room));
        longer.map_err(|e| OutputError::from_io(&self.path, action, room, e))?;
        Ok(room)
    }

    /// Writes what is buffered, stores the messages of bad frames, sends everything to the disk and marks how the run ended. A run that
    /// lost patterns to a failing disk has `failed`, whatever `ending` says. A complete file takes the place of the one that was kept.
    ///
    /// # Errors
    /// The first thing that fails here. What can still be written after it is written, the status last.
    pub fn finish(mut self, ending: &Ending) -> Result<Written, OutputError> {
        let flushed = self.flush();
        let listed = self.reopen();
        // Everything but the word for how it ended must be on the disk before that word is.
        let sent = self.send_to_disk().and_then(|()| self.send_to_server());
        let reason = self.broken.take().or_else(|| {
            let failed = [&flushed, &listed, &sent].into_iter().find_map(|done| done.as_ref().err());
            failed.map(ToString::to_string)
        });
        let ending = match (reason, ending) {
            (Some(reason), Ending::Complete | Ending::Interrupted) => Ending::Failed(reason),
            _ => ending.clone(),
        };
        let marked = self.mark(&ending).and_then(|()| self.send_to_disk());
        flushed.and(listed).and(sent).and(marked)?;
        self.check_place()?;
        let old = self.settle_old(ending == Ending::Complete);
        let count = |status| self.statuses.iter().filter(|&&s| s == status).count();
        let (good, pending) = (count(FrameStatus::Good), count(FrameStatus::Pending));
        let bytes = self.writer.file.metadata().map_or(0, |m| m.len());
        Ok(Written {
            path: self.path.clone(),
            good,
            bad: self.statuses.len() - good - pending,
            pending,
            bytes,
            segments: 0,
            old,
        })
    }

    /// What is still kept of a result that this one replaces; its segments go before it, so that none stays that no master names.
    fn settle_old(&self, is_complete: bool) -> Option<PathBuf> {
        let old = kept_old(&self.path);
        if is_complete && old.exists() {
            replaced::remove(&replaced::segments_at(&old), &self.path, &self.layout, &[]);
        }
        settle_old(&self.path, is_complete)
    }

    /// Has the disk itself keep the file and its name.
    fn send_to_disk(&mut self) -> Result<(), OutputError> {
        let sent = self.disk.wait().and_then(|()| self.writer.file.sync_all());
        let sent = sent.and_then(|()| sync_folder(folder_of(&self.path)));
        sent.map_err(|e| OutputError::from_io(&self.path, "sending the file to the disk", 0, e))
    }

    /// HDF5 opens the file again: messages of bad frames, and as many sets of norms as there are.
    fn reopen(&self) -> Result<(), OutputError> {
        if self.messages.is_empty() && !self.layout.sums {
            return Ok(());
        }
        let mut lines: Vec<String> = self.messages.iter().map(|(n, m)| format!("frame {n}: {m}")).collect();
        if self.messages_left_out > 0 {
            lines.push(format!("and {} more: see frame_status", self.messages_left_out));
        }
        // A reference of 16 bytes a line, the text, and what HDF5 keeps of it.
        let room = (1 << 20) + lines.iter().map(|line| 2 * line.len() + 64).sum::<usize>() as u64;
        self.make_room("making room for messages", room)?;
        let store = || -> hdf5::Result<()> {
            let file = library::open_to_change(&self.writer.file)?;
            if self.layout.sums {
                let norms = file.dataset("entry_0000/xrdct/sums/norms")?;
                norms.resize([self.writer.norms.sets(), self.layout.npt()])?;
            }
            if !lines.is_empty() {
                let dataset = file.dataset("entry_0000/xrdct/bad_frames")?;
                dataset.resize([lines.len()])?;
                let lines =
                    lines.iter().map(|l| nexus::unicode(l)).collect::<hdf5::Result<Vec<VarLenUnicode>>>()?;
                dataset.write_raw(&lines)?;
            }
            file.close()
        };
        store().map_err(|e| OutputError::from_hdf5(&self.path, "listing bad frames and norms", room, e))
    }

    /// Network file systems keep what is written and send it when a descriptor is closed: only then do they say that
    /// the server's disk is full. So a twin of ours is closed, and its answer heard. On a local disk this does nothing.
    fn send_to_server(&self) -> Result<(), OutputError> {
        let closed = self.writer.file.try_clone().and_then(|twin| {
            // SAFETY: the descriptor is the twin's own and is given up here; nobody else knows it.
            unsafe { rustix::io::try_close(twin.into_raw_fd()) }.map_err(io::Error::from)
        });
        closed.map_err(|e| OutputError::from_io(&self.path, "sending the file to its server", 0, e))
    }

    fn mark(&self, ending: &Ending) -> Result<(), OutputError> {
        let (file, places) = (&self.writer.file, &self.writer.places);
        let message = match ending {
            Ending::Failed(reason) => reason.as_str(),
            _ => "",
        };
        file.write_all_at(&fixed::<DATE_LEN>(&nexus::now()), places.end_time)
            .and_then(|()| {
                file.write_all_at(&self.begun.elapsed().as_secs_f64().to_ne_bytes(), places.duration)
            })
            .and_then(|()| file.write_all_at(&fixed::<MESSAGE_LEN>(message), places.message))
            .and_then(|()| file.write_all_at(&fixed::<STATUS_LEN>(ending.word()), places.status))
            .map_err(|e| OutputError::from_io(&self.path, "marking the end of the run", 0, e))
    }
}

impl Drop for ResultFile {
    fn drop(&mut self) {
        // Nobody is left to tell; the statuses tell which rows are there.
        let _ = self.flush();
    }
}

/// Everything that is not zero in a file whose run has just begun.
fn prepare(writer: &RowWriter, layout: &Layout, blank: bool) -> io::Result<()> {
    let (file, places): (&File, _) = (&writer.file, &writer.places);
    if layout.shows.is_empty() {
        file.write_all_at(&vec![FrameStatus::Pending as u8; layout.rows()], places.frame_status)?;
    }
    if blank {
        writer.write_nan()?;
        for &(_, place) in &places.header {
            writer.fill(f64::NAN, place, layout.frames)?;
        }
    }
    file.write_all_at(&fixed::<STATUS_LEN>(RUNNING), places.status)
}

fn lengths_misfit(pattern: &Pattern, layout: &Layout) -> Option<String> {
    let npt = layout.npt();
    let has_variance = layout.has(Beside::Errors);
    let differs = |beside: &Beside| layout.has(*beside) != beside.of(pattern).is_some();
    let other = Beside::ALL.into_iter().find(differs).map(Beside::name);
    let no_variance = layout.sums && has_variance != pattern.variance.is_some();
    if let Some(name) = other.or_else(|| no_variance.then_some("variance")) {
        return Some(format!("either the file or the pattern has `{name}`, the other has not"));
    }
    let norms = &pattern.norms;
    let sums = [
        pattern.signal.len(),
        pattern.variance.as_ref().map_or(npt, Vec::len),
        norms.normalization.len(),
        norms.normalization_squared.len(),
        norms.count.len(),
    ];
    let sums = if layout.sums { &sums[..] } else { &[] };
    let beside = layout.beside.iter().filter_map(|beside| beside.of(pattern)).map(<[f32]>::len);
    let lengths = beside.chain([pattern.intensity.len()]).chain(sums.iter().copied());
    let wrong = lengths.into_iter().find(|len| *len != npt)?;
    Some(format!("the file has {npt} bins, the pattern has {wrong}"))
}
