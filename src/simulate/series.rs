//! Makes a series of frames on all cores and gives each to the files that take it: names, times, what exists already.
//!
//! Frames are independent: each has its own random stream, so any number of threads writes the same bytes. A
//! thread keeps one set of buffers (levels, pixels) and makes frame after frame in it; the next one is always the first that
//! nobody has begun.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::SignedDuration;
use jiff::civil::DateTime;

use super::cbf::{self, Moment};
use super::error::SimulateError;
use super::instrument::Instrument;
use super::poisson::{Draws, Level, Sampler};
use super::scene::Scene;
use super::strays::Strays;
use crate::frame::Shape;
use crate::output::draft;

/// Clock time of the first frame. Fixed: the same request always gives the same files.
const START: DateTime = DateTime::constant(2026, 1, 1, 8, 0, 0, 0);

/// Digits of the number in a frame's name, as DECTRIS writes them.
const DIGITS: usize = 5;

/// Where frames go and what they are called.
#[derive(Debug, Clone, PartialEq)]
pub struct Destination {
    /// The folder; made when it is not there.
    pub folder: PathBuf,
    /// Names begin with it: `<prefix>_00001.cbf`, `<prefix>_master.h5`.
    pub prefix: String,
    /// Number of the first frame.
    pub first: usize,
    /// Whether existing files may be replaced.
    pub overwrite: bool,
}

impl Destination {
    /// Name of frame `index` (counted from 0), without its ending.
    pub fn stem(&self, index: usize) -> String {
        format!("{}_{:0DIGITS$}", self.prefix, self.first + index)
    }

    /// Path of frame `index`, where each frame is a file.
    pub fn frame(&self, index: usize) -> PathBuf {
        self.folder.join(format!("{}.cbf", self.stem(index)))
    }

    /// Makes the folder and sees that nothing is lost when these files are written.
    ///
    /// # Errors
    /// [`SimulateError::Prefix`], [`SimulateError::Folder`], [`SimulateError::Exists`].
    pub fn prepare(&self, files: impl Iterator<Item = PathBuf>) -> Result<(), SimulateError> {
        if self.prefix.is_empty()
            || self.prefix.contains(|c: char| std::path::is_separator(c) || c.is_control())
        {
            return Err(SimulateError::Prefix { prefix: self.prefix.clone() });
        }
        std::fs::create_dir_all(&self.folder)
            .map_err(|source| SimulateError::Folder { path: self.folder.clone(), source })?;
        if self.overwrite {
            return Ok(());
        }
        let mut existing = files.filter(|path| path.exists());
        match existing.next() {
            None => Ok(()),
            Some(path) => Err(SimulateError::Exists { path, others: existing.count() }),
        }
    }

    /// Writes one file; an existing one is replaced only if that was asked for.
    ///
    /// # Errors
    /// [`SimulateError::Output`].
    pub fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), SimulateError> {
        Ok(draft::write_whole(path, bytes, self.overwrite)?)
    }
}

/// Files that take frames. Frames are begun in their order, by any number of threads.
pub(super) trait FrameFiles: Sync {
    /// Takes frame `index` and says how many bytes that made.
    ///
    /// # Errors
    /// When it cannot be written; no frame after it is taken then.
    fn put(&self, index: usize, shot: &Shot, pixels: &[i32]) -> Result<u64, SimulateError>;

    /// Some frame will never come: nobody may wait for it.
    fn give_up(&self) {}

    /// All frames are there.
    ///
    /// # Errors
    /// When what belongs to all of them cannot be written.
    fn finish(self: Box<Self>) -> Result<(), SimulateError> {
        Ok(())
    }
}

/// A CBF file each.
pub(super) struct CbfFiles<'a> {
    pub destination: &'a Destination,
    pub instrument: &'a Instrument,
    pub shape: Shape,
}

impl FrameFiles for CbfFiles<'_> {
    fn put(&self, index: usize, shot: &Shot, pixels: &[i32]) -> Result<u64, SimulateError> {
        let moment = Moment {
            name: self.destination.stem(index),
            date: date(index, self.instrument.exposure_period),
            angle: shot.angle,
            position: shot.position,
        };
        let file = cbf::file(self.instrument, &moment, self.shape, pixels);
        self.destination.write(&self.destination.frame(index), &file)?;
        Ok(file.len() as u64)
    }
}

/// What one frame shows: how much of each part of the scene, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Shot {
    /// Units of each part of the scene.
    pub weights: Vec<f32>,
    /// Rotation of the sample, degrees.
    pub angle: f64,
    /// Position of the beam, m.
    pub position: f64,
}

/// Noise of the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noise {
    /// None: expected counts, rounded.
    None,
    /// Poisson, from this seed.
    Poisson(u64),
}

/// What makes a frame differ from what is expected of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Disturbance {
    pub noise: Noise,
    pub strays: Strays,
}

/// One frame after the other, in the same buffers.
struct Workplace<'a> {
    scene: &'a Scene,
    disturbance: Disturbance,
    hot: HashSet<usize>,
    weights: Vec<f32>,
    levels: Vec<Level>,
    pixels: Vec<i32>,
}

impl<'a> Workplace<'a> {
    fn new(scene: &'a Scene, disturbance: Disturbance) -> Workplace<'a> {
        let pixels = scene.shape.pixels();
        let (levels, pixels) = (vec![Level::default(); pixels], vec![0; pixels]);
        Workplace { scene, disturbance, hot: scene.hot(), weights: Vec::new(), levels, pixels }
    }

    /// The counts of frame `index`.
    fn make(&mut self, index: usize, shot: &Shot, sampler: &Sampler) -> &[i32] {
        // Frames of a still sample all expect the same.
        if self.weights != shot.weights {
            self.scene.expect(&shot.weights, &mut self.levels);
            self.weights.clone_from(&shot.weights);
        }
        match self.disturbance.noise {
            Noise::None => self.scene.round(&self.levels, &mut self.pixels),
            Noise::Poisson(seed) => {
                let mut stream = Draws::new(seed, index as u64);
                self.scene.draw(&self.levels, sampler, &mut stream, &mut self.pixels);
            }
        }
        self.disturbance.strays.add(index, self.scene.shape, &self.levels, &self.hot, &mut self.pixels);
        self.scene.overlay(&mut self.pixels);
        &self.pixels
    }
}

/// Has files that are no longer filled let go of whoever waits for them, a thread's panic included.
struct Filling<'a> {
    files: &'a dyn FrameFiles,
    is_done: bool,
}

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.files.give_up();
        }
    }
}

/// Makes one frame a shot, gives it to the files, and returns how many bytes that made. `done` is called after each frame, from any
/// thread.
///
/// # Errors
/// The first of [`FrameFiles::put`].
pub(super) fn write(
    files: &dyn FrameFiles,
    scene: &Scene,
    shots: &[Shot],
    disturbance: Disturbance,
    done: &(dyn Fn() + Sync),
) -> Result<u64, SimulateError> {
    let sampler = Sampler::new();
    let next = AtomicUsize::new(0);
    let fill = || {
        let mut place = Workplace::new(scene, disturbance);
        let mut bytes = 0;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(shot) = shots.get(index) else { return Ok(bytes) };
            bytes += files.put(index, shot, place.make(index, shot, &sampler))?;
            done();
        }
    };
    let work = |_: rayon::BroadcastContext<'_>| -> Result<u64, SimulateError> {
        let mut filling = Filling { files, is_done: false };
        let filled = fill();
        match &filled {
            Ok(_) => filling.is_done = true,
            Err(_) => next.store(shots.len(), Ordering::Relaxed),
        }
        filled
    };
    rayon::broadcast(work).into_iter().sum()
}

/// Clock time of a frame, ISO 8601 with milliseconds.
pub(super) fn date(index: usize, period: f64) -> String {
    let since = SignedDuration::from_millis((index as f64 * period * 1000.0).round() as i64);
    let time = START.saturating_add(since);
    time.strftime("%Y-%m-%dT%H:%M:%S%.3f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_times_count_up() {
        let folder = PathBuf::from("out");
        let destination = Destination { folder, prefix: "scan".to_owned(), first: 1, overwrite: false };
        assert_eq!(destination.frame(0), PathBuf::from("out/scan_00001.cbf"));
        assert_eq!(destination.stem(123_455), "scan_123456");
        assert_eq!(date(0, 0.1), "2026-01-01T08:00:00.000");
        assert_eq!(date(36_001, 0.1), "2026-01-01T09:00:00.100");
    }
}
