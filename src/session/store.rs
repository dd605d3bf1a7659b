//! Patterns that stay in memory as they come out of the corridor, for a tomogram in the same run.

use std::sync::Arc;

use crate::budget;
use crate::cuda::DevicePatterns;
use crate::frame::Outcome;
use crate::output::result::Patterns;
use crate::pipeline::Watch;

/// Patterns frame by frame, NaN where none came.
pub struct PatternStore {
    npt: usize,
    values: Vec<f32>,
    /// The same patterns on the GPU that made them.
    pub on_device: Option<Arc<DevicePatterns>>,
}

impl PatternStore {
    /// Room for all patterns; none when that is more than `most` bytes: they are read back then.
    pub fn new(most: u64, frames: usize, npt: usize) -> Option<PatternStore> {
        let fits = budget::bytes_of(&[frames, npt], size_of::<f32>()) <= most;
        fits.then(|| PatternStore { npt, values: vec![f32::NAN; frames * npt], on_device: None })
    }

    /// Bins of a pattern.
    pub fn npt(&self) -> usize {
        self.npt
    }

    /// The rows of a result.
    pub fn rows(self, patterns: &Patterns) -> Vec<f32> {
        let in_order = patterns.frames.iter().enumerate().all(|(row, frame)| *frame == Some(row));
        if in_order && self.values.len() == patterns.rows() * self.npt {
            return self.values;
        }
        let mut rows = vec![f32::NAN; patterns.rows() * self.npt];
        for (row, frame) in rows.chunks_mut(self.npt).zip(&patterns.frames) {
            if let Some(pattern) = frame.and_then(|n| self.values.get(n * self.npt..(n + 1) * self.npt)) {
                row.copy_from_slice(pattern);
            }
        }
        rows
    }
}

impl Watch for PatternStore {
    fn see(&mut self, _: usize, outcome: &Outcome) {
        // The sink refuses a pattern that has no place, and says so.
        if let Ok(pattern) = outcome
            && let Some(place) = self.values.chunks_exact_mut(self.npt).nth(pattern.id.0)
        {
            place.copy_from_slice(&pattern.intensity);
        }
    }
}
