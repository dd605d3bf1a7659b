//! Writes frames as Eiger detectors do: data files of many frames, and a master that leads to them and says all that is known.
//!
//! ```text
//! PREFIX_master.h5          /entry …                what is known, and the way to the frames: [`eiger`] or [`nxmx`]
//! PREFIX_data_000001.h5     /entry/data/data        (frames, slow, fast): [`part`]
//! PREFIX_data_000002.h5     …
//! ```
//!
//! Threads pack frames side by side and write them one after the other: each waits for its frame's turn, so a thread holds one frame
//! and the files are the same for any number of threads. A data file gets its name when it has all of its frames, the master when
//! all data files are there; where one is to be replaced, the old master goes first, lest it lead to frames of both.

mod axes;
mod eiger;
mod master;
mod nxmx;
mod part;

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use self::master::Contents;
use self::part::DataFile;
use super::error::SimulateError;
use super::format::{BitDepth, MasterLayout, Stacking};
use super::instrument::Instrument;
use super::scene::{COUNT_CUTOFF, Scene};
use super::series::{Destination, FrameFiles, Shot};
use crate::codec::blocks;
use crate::files::library;
use crate::frame::{ChunkFilter, Shape};
use crate::output::OutputError;
use crate::output::draft::Draft;

/// Counts from which on a pixel is saturated, as [`scene`](super::scene) counts; with fewer bits, the largest that they hold beside
/// "no count".
fn count_cutoff(depth: BitDepth) -> u32 {
    (COUNT_CUTOFF as u32).min(depth.no_count() - 1)
}

/// Data files in the making.
pub(super) struct StackFiles<'a> {
    destination: &'a Destination,
    stacking: Stacking,
    shape: Shape,
    contents: Contents<'a>,
    turn: Mutex<Turn>,
    came: Condvar,
}

/// Whose turn it is to write.
#[derive(Default)]
struct Turn {
    /// The frame that is next.
    frame: usize,
    /// Nobody's any more.
    is_over: bool,
    /// Data files that are complete.
    complete: usize,
    open: Option<DataFile>,
}

impl<'a> StackFiles<'a> {
    /// Begins a series of one frame a shot.
    ///
    /// # Errors
    /// [`SimulateError::Output`] when an old master cannot be removed.
    pub fn begin(
        destination: &'a Destination,
        stacking: Stacking,
        instrument: &'a Instrument,
        scene: &Scene,
        shots: &'a [Shot],
        sample: String,
    ) -> Result<StackFiles<'a>, SimulateError> {
        let files = StackFiles {
            destination,
            stacking,
            shape: scene.shape,
            contents: Contents {
                instrument,
                first: destination.first,
                shots,
                shape: scene.shape,
                pixel_mask: scene.pixel_mask(),
                depth: stacking.depth,
                data: stacking
                    .parts(shots.len())
                    .enumerate()
                    .map(|(part, frames)| (Stacking::part_name(destination, part), frames))
                    .collect(),
                sample,
            },
            turn: Mutex::default(),
            came: Condvar::new(),
        };
        let master = files.master();
        if destination.overwrite && master.exists() {
            std::fs::remove_file(&master)
                .map_err(|e| OutputError::from_io(&master, "removing the old master", 0, e))?;
        }
        Ok(files)
    }

    fn master(&self) -> PathBuf {
        self.destination.folder.join(Stacking::master_name(self.destination))
    }

    /// What a chunk holds: pixels without a count, and those that count more than their bits hold, have all bits set.
    fn pack(&self, pixels: &[i32]) -> Vec<u8> {
        let (no_count, cutoff) = (self.stacking.depth.no_count(), count_cutoff(self.stacking.depth));
        let stored = |count: &i32| u32::try_from(*count).ok().filter(|&c| c <= cutoff).unwrap_or(no_count);
        let counts = pixels.iter().map(stored);
        let bytes: Vec<u8> = match self.stacking.depth {
            BitDepth::Sixteen => counts.flat_map(|count| (count as u16).to_le_bytes()).collect(),
            BitDepth::ThirtyTwo => counts.flat_map(u32::to_le_bytes).collect(),
        };
        blocks::encode(ChunkFilter::BitshuffleLz4, self.stacking.depth.pixel().size(), &bytes, None)
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the frame whose turn it is; where it is the last one of its file, that is complete.
    fn write(&self, turn: &mut Turn, packed: &[u8]) -> Result<(), SimulateError> {
        let file = match &mut turn.open {
            Some(file) => file,
            none => {
                let (name, frames) = &self.contents.data[turn.complete];
                let path = self.destination.folder.join(name);
                let first = self.destination.first + turn.frame;
                let depth = self.stacking.depth;
                let overwrite = self.destination.overwrite;
                none.insert(DataFile::begin(&path, first, *frames, self.shape, depth, overwrite)?)
            }
        };
        file.put(packed)?;
        if file.is_complete()
            && let Some(file) = turn.open.take()
        {
            file.finish()?;
            turn.complete += 1;
        }
        Ok(())
    }
}

impl FrameFiles for StackFiles<'_> {
    fn put(&self, index: usize, _: &Shot, pixels: &[i32]) -> Result<u64, SimulateError> {
        let packed = self.pack(pixels);
        let waits = |turn: &mut Turn| turn.frame != index && !turn.is_over;
        let mut turn = self.came.wait_while(self.turn(), waits).unwrap_or_else(PoisonError::into_inner);
        if turn.is_over {
            return Ok(0);
        }
        self.write(&mut turn, &packed)?;
        turn.frame += 1;
        self.came.notify_all();
        Ok(packed.len() as u64)
    }

    fn give_up(&self) {
        self.turn().is_over = true;
        self.came.notify_all();
    }

    fn finish(self: Box<Self>) -> Result<(), SimulateError> {
        let draft = Draft::begin(&self.master(), self.destination.overwrite, 0)?;
        let write = || -> hdf5::Result<()> {
            let file = library::create_timeless(draft.file())?;
            match self.stacking.master {
                MasterLayout::Eiger => eiger::write(&file, &self.contents)?,
                MasterLayout::Nxmx => nxmx::write(&file, &self.contents)?,
            }
            file.close()
        };
        write().map_err(|e| OutputError::from_hdf5(draft.path(), "writing the master", 0, e))?;
        draft.publish()?;
        Ok(())
    }
}
