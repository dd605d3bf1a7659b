//! The sums that depend on which pixels are valid, not on what they counted: N, N₂ and C.
//!
//! They are summed row by row over the matrix, in ascending order of pixels, exactly as pyFAI does (`ext/CSR_common.pxi`,
//! integrate_ng): w = c·norm (exact in `f64`), N = Σ w, N₂ = Σ w², C = Σ c. Frames without invalid pixels of their own all
//! share one set. A frame with invalid pixels needs its own: bins that none of these pixels touches are copied, the others
//! are summed again without them, in the same order. Such sets are remembered, because frames of one detector mostly have
//! the same invalid pixels (gaps and dead pixels that a user's mask does not cover): a set is found again by comparing the
//! whole list of pixels, so what is remembered never changes a result.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::prepare::InvalidRun;
use super::tile::FusedMatrix;
use crate::frame::Norms;
use crate::integrate::csr::Csr;

/// Sets that are remembered. A detector's frames have one set, or all different ones; a few more cover scans that
/// alternate between exposures.
const REMEMBERED: usize = 8;

/// Computes and remembers N, N₂ and C.
#[derive(Debug)]
pub(super) struct NormsOf {
    csr: Csr,
    /// norm of each pixel.
    normalization: Vec<f32>,
    /// When all pixels that have entries are valid.
    all_valid: Arc<Norms>,
    /// Most recently used first.
    remembered: Mutex<VecDeque<Remembered>>,
}

#[derive(Debug)]
struct Remembered {
    invalid: Vec<InvalidRun>,
    norms: Arc<Norms>,
}

/// N, N₂ and C of one bin.
type Three = [f64; 3];

impl NormsOf {
    pub(super) fn new(csr: Csr, normalization: Vec<f32>) -> NormsOf {
        let bins = csr.bins();
        let sums: Vec<Three> =
            (0..bins).into_par_iter().map(|bin| row(&csr, &normalization, bin, |_| true)).collect();
        let all_valid = Arc::new(Norms {
            normalization: sums.iter().map(|sums| sums[0]).collect(),
            normalization_squared: sums.iter().map(|sums| sums[1]).collect(),
            count: sums.iter().map(|sums| sums[2]).collect(),
        });
        NormsOf { csr, normalization, all_valid, remembered: Mutex::default() }
    }

    /// The matrix.
    pub(super) fn csr(&self) -> &Csr {
        &self.csr
    }

    /// norm of each pixel.
    pub(super) fn normalization(&self) -> &[f32] {
        &self.normalization
    }

    /// When all pixels that have entries are valid.
    pub(super) fn all_valid(&self) -> &Arc<Norms> {
        &self.all_valid
    }

    /// Without the pixels of `invalid`: maximal runs in ascending order. `tiles` is the same matrix in tiles, where there is one.
    pub(super) fn without(&self, invalid: &[InvalidRun], tiles: Option<&FusedMatrix>) -> Arc<Norms> {
        if invalid.is_empty() {
            return Arc::clone(&self.all_valid);
        }
        if let Some(norms) = self.recall(invalid) {
            return norms;
        }
        // Computed without the lock: other threads go on, at worst they compute the same set too.
        let norms = Arc::new(self.compute(invalid, tiles));
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.truncate(REMEMBERED - 1);
        remembered.push_front(Remembered { invalid: invalid.to_vec(), norms: Arc::clone(&norms) });
        norms
    }

    fn recall(&self, invalid: &[InvalidRun]) -> Option<Arc<Norms>> {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let at = remembered.iter().position(|set| set.invalid == invalid)?;
        let set = remembered.remove(at)?;
        let norms = Arc::clone(&set.norms);
        remembered.push_front(set);
        Some(norms)
    }

    fn compute(&self, invalid: &[InvalidRun], tiles: Option<&FusedMatrix>) -> Norms {
        let mut is_invalid = Bits::new(self.csr.pixels);
        for run in invalid {
            (run.start as usize..run.end as usize).for_each(|pixel| is_invalid.set(pixel));
        }
        let touched = match tiles {
            Some(tiles) => touched(invalid, &is_invalid, tiles),
            None => {
                (0..self.csr.bins()).map(|bin| has_any(self.csr.row(bin).0, invalid, &is_invalid)).collect()
            }
        };
        let mut norms = Norms::clone(&self.all_valid);
        for bin in (0..self.csr.bins()).filter(|bin| touched[*bin]) {
            let [n, n2, count] = row(&self.csr, &self.normalization, bin, |pixel| !is_invalid.has(pixel));
            norms.normalization[bin] = n;
            norms.normalization_squared[bin] = n2;
            norms.count[bin] = count;
        }
        norms
    }
}

/// N, N₂ and C of one bin over its valid pixels.
fn row(csr: &Csr, normalization: &[f32], bin: usize, is_valid: impl Fn(usize) -> bool) -> Three {
    let entries = csr.indptr[bin] as usize..csr.indptr[bin + 1] as usize;
    let [mut n, mut n2, mut count] = [0.0; 3];
    for (pixel, weight) in csr.indices[entries.clone()].iter().zip(&csr.weights[entries]) {
        let pixel = *pixel as usize;
        if is_valid(pixel) {
            let weight = f64::from(*weight);
            let w = weight * f64::from(normalization[pixel]);
            n += w;
            n2 += w * w;
            count += weight;
        }
    }
    [n, n2, count]
}

/// Bins that have an entry of an invalid pixel: only tiles that hold one are searched.
fn touched(invalid: &[InvalidRun], is_invalid: &Bits, tiles: &FusedMatrix) -> Vec<bool> {
    // One place more for the absent segments of a pack.
    let mut touched = vec![false; tiles.bins() + 1];
    let mut runs = invalid.iter().peekable();
    for tile in 0..tiles.len() {
        let pixels = tiles.pixels(tile);
        while runs.next_if(|run| run.end as usize <= pixels.start).is_some() {}
        if runs.peek().is_none_or(|run| run.start as usize >= pixels.end) {
            continue;
        }
        for (pack, places, _) in tiles.view(tile).packs() {
            for places in places {
                for (bin, place) in pack.bins.iter().zip(places.0) {
                    // A place without an entry repeats a pixel of the same segment (or has no bin): no harm.
                    touched[*bin as usize] |= is_invalid.has(pixels.start + usize::from(place));
                }
            }
        }
    }
    touched
}

/// Whether one of these pixels, which ascend, is invalid. Those of one bin of many lie close together, mostly where no run is.
fn has_any(pixels: &[u32], invalid: &[InvalidRun], is_invalid: &Bits) -> bool {
    let (Some(first), Some(last)) = (pixels.first(), pixels.last()) else { return false };
    let next = invalid.partition_point(|run| run.end <= *first);
    let may_have = invalid.get(next).is_some_and(|run| run.start <= *last);
    may_have && pixels.iter().any(|pixel| is_invalid.has(*pixel as usize))
}

/// One bit a pixel.
struct Bits(Vec<u64>);

impl Bits {
    fn new(len: usize) -> Bits {
        Bits(vec![0; len.div_ceil(64)])
    }

    fn set(&mut self, at: usize) {
        self.0[at / 64] |= 1 << (at % 64);
    }

    fn has(&self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 == 1
    }
}
