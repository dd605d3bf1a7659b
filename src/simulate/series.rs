//! Writes a series of frames to a folder: names, times, what exists already, all cores.
//!
//! Frames are independent: each has its own random stream, so any number of threads writes the same bytes. A
//! worker keeps one set of buffers (levels, pixels) and makes frame after frame in it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::SignedDuration;
use jiff::civil::DateTime;
use rayon::prelude::*;

use super::cbf::{self, Instrument, Moment};
use super::error::SimulateError;
use super::poisson::{Draws, Level, Sampler};
use super::scene::Scene;
use super::{PONI_NAME, TRUTH_NAME};
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
    /// Frames are `<prefix>_00001.cbf` and so on.
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

    /// Path of frame `index`.
    pub fn frame(&self, index: usize) -> PathBuf {
        self.folder.join(format!("{}.cbf", self.stem(index)))
    }

    /// Makes the folder and sees that nothing is lost: with `frames` frames and the files `beside` them about
    /// to be written.
    ///
    /// # Errors
    /// [`SimulateError::Prefix`], [`SimulateError::Folder`], [`SimulateError::Exists`].
    pub fn prepare(&self, frames: usize, beside: &[&Path]) -> Result<(), SimulateError> {
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
        let mut existing = (0..frames)
            .map(|index| self.frame(index))
            .chain(beside.iter().map(|path| path.to_path_buf()))
            .filter(|path| path.exists());
        match existing.next() {
            None => Ok(()),
            Some(path) => Err(SimulateError::Exists { path, others: existing.count() }),
        }
    }

    /// Frames of this prefix in the folder that do not belong to a series of `frames` frames: left from
    /// before, and in the way of whoever reads the whole folder.
    pub fn strangers(&self, frames: usize) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        let is_stranger = |path: &PathBuf| {
            let number = path
                .file_name()
                .and_then(|name| name.to_str())
                .and_then(|name| name.strip_prefix(&self.prefix)?.strip_prefix('_')?.strip_suffix(".cbf"))
                .and_then(|number| number.parse::<usize>().ok());
            number.is_some_and(|number| !(self.first..self.first + frames).contains(&number))
        };
        let mut strangers: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(is_stranger).collect();
        strangers.sort();
        strangers
    }

    /// What runs that were killed left of files of this prefix, and of those beside them.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        let is_ours = |name: &str| {
            let number = name.strip_prefix(&self.prefix).and_then(|rest| rest.strip_prefix('_'));
            number.is_some_and(|number| number.ends_with(".cbf")) || [PONI_NAME, TRUTH_NAME].contains(&name)
        };
        draft::leftovers_in(&self.folder, is_ours)
    }

    /// Writes one file; an existing one is replaced only if that was asked for.
    ///
    /// # Errors
    /// [`SimulateError::Output`].
    pub fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), SimulateError> {
        Ok(draft::write_whole(path, bytes, self.overwrite)?)
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

/// Buffers of one worker.
struct Workplace {
    weights: Vec<f32>,
    levels: Vec<Level>,
    pixels: Vec<i32>,
}

/// Writes one frame a shot and returns how many bytes that made. `done` is called after each frame, from any
/// thread.
///
/// # Errors
/// [`SimulateError::Output`] for a frame that could not be written; frames written before it stay.
pub fn write(
    destination: &Destination,
    instrument: &Instrument,
    scene: &Scene,
    shots: &[Shot],
    noise: Noise,
    done: &(dyn Fn() + Sync),
) -> Result<u64, SimulateError> {
    let sampler = Sampler::new();
    let bytes_written = AtomicU64::new(0);
    let workplace = || {
        let pixels = scene.shape.pixels();
        Workplace { weights: Vec::new(), levels: vec![Level::default(); pixels], pixels: vec![0; pixels] }
    };
    shots.par_iter().enumerate().try_for_each_init(workplace, |place, (index, shot)| {
        // Frames of a still sample all expect the same.
        if place.weights != shot.weights {
            scene.expect(&shot.weights, &mut place.levels);
            place.weights.clone_from(&shot.weights);
        }
        match noise {
            Noise::None => scene.round(&place.levels, &mut place.pixels),
            Noise::Poisson(seed) => {
                let mut stream = Draws::new(seed, index as u64);
                scene.draw(&place.levels, &sampler, &mut stream, &mut place.pixels);
            }
        }
        let moment = Moment {
            name: destination.stem(index),
            date: date(index, instrument.exposure_period),
            angle: shot.angle,
            position: shot.position,
        };
        let file = cbf::file(instrument, &moment, scene.shape, &place.pixels);
        destination.write(&destination.frame(index), &file)?;
        bytes_written.fetch_add(file.len() as u64, Ordering::Relaxed);
        done();
        Ok::<(), SimulateError>(())
    })?;
    Ok(bytes_written.into_inner())
}

/// Clock time of a frame, ISO 8601 with milliseconds.
fn date(index: usize, period: f64) -> String {
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
