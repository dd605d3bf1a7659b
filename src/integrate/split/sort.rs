//! Counting sort of (bin, pixel, share) into rows, in parallel.
//!
//! Pixels are divided into blocks. The first pass counts, for each block, the entries of each bin; a running sum over
//! (bin, block) then gives every block its own stretch of every row; the second pass writes entries to their places.
//! Blocks follow each other in a row in the order of their pixels, so rows come out the same for any number of
//! blocks and threads.

use super::{SplitError, allow};
use crate::integrate::csr::Csr;
use rayon::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// Blocks for each thread, so that one slow block does not keep the others waiting.
const BLOCKS_PER_THREAD: usize = 4;

/// Counters of all blocks together: 16 Mi of them take 64 MiB.
const MOST_COUNTERS: usize = 1 << 24;

/// Bytes of a share: pixel and weight, and once more as the engine lays them out.
const ENTRY: usize = 16;

/// Bytes of a bin: its counters and where its row begins, in the matrix and in the engine.
const COUNTER: usize = 32;

/// Bins along one axis, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BinRange {
    pub(super) first: usize,
    pub(super) last: usize,
}

/// Bins that a pixel has entries in: a rectangle of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cells {
    /// Which lines of bins; the only one where there is one axis.
    pub(super) lines: BinRange,
    /// From where to where on each.
    pub(super) along: BinRange,
}

impl Cells {
    /// On the only line.
    pub(super) fn on_line(along: BinRange) -> Cells {
        Cells { lines: BinRange { first: 0, last: 0 }, along }
    }
}

/// How pixels are shared out.
pub(super) trait Shares: Sync {
    /// Working memory of one thread.
    type Scratch: Send;

    fn scratch(&self) -> Self::Scratch;

    /// The bins of a pixel; `None` when it is in no bin.
    fn cells(&self, pixel: usize) -> Option<Cells>;

    /// Puts one share for each bin that [`Shares::cells`] names.
    fn shares(&self, pixel: usize, scratch: &mut Self::Scratch, put: impl FnMut(usize, f32));
}

/// Makes the matrix of `lines` × `along` bins × `pixels`.
pub(super) fn sort<S: Shares>(
    pixels: usize,
    [lines, along]: [usize; 2],
    shares: &S,
) -> Result<Csr, SplitError> {
    let npt = lines * along;
    allow(format_args!("counting the shares of {npt} bins"), &[npt], COUNTER)?;
    let blocks = (rayon::current_num_threads() * BLOCKS_PER_THREAD).min(MOST_COUNTERS / npt).max(1);
    let block_pixels = pixels.div_ceil(blocks).max(1);
    let block = |i: usize| (i * block_pixels).min(pixels)..((i + 1) * block_pixels).min(pixels);

    let mut next: Vec<Vec<u32>> = (0..blocks)
        .into_par_iter()
        .map(|i| {
            // A pixel adds one from its first bin of a line on and takes it back after its last: a running sum then counts.
            let mut counts = vec![0_u32; npt + 1];
            for Cells { lines, along: bins } in block(i).filter_map(|pixel| shares.cells(pixel)) {
                for line in lines.first..=lines.last {
                    let (first, after) = (line * along + bins.first, line * along + bins.last + 1);
                    counts[first] = counts[first].wrapping_add(1);
                    counts[after] = counts[after].wrapping_sub(1);
                }
            }
            let mut running = 0_u32;
            for count in &mut counts {
                running = running.wrapping_add(*count);
                *count = running;
            }
            counts
        })
        .collect();

    let indptr = begin_rows(&mut next, npt)?;
    let entries = indptr[npt] as usize;
    allow(format_args!("a matrix of {npt} bins x {pixels} pixels with {entries} shares"), &[entries], ENTRY)?;
    // Every entry is written by exactly one block; atomics only make that legal, a relaxed store is a plain one.
    let indices: Vec<AtomicU32> = std::iter::repeat_with(AtomicU32::default).take(entries).collect();
    let weights: Vec<AtomicU32> = std::iter::repeat_with(AtomicU32::default).take(entries).collect();
    next.par_iter_mut().enumerate().for_each_init(
        || shares.scratch(),
        |scratch, (i, next)| {
            for pixel in block(i) {
                shares.shares(pixel, scratch, |bin, share| {
                    let place = next[bin] as usize;
                    next[bin] += 1;
                    // Checked when the request was: pixels fit in 32 bits.
                    indices[place].store(pixel as u32, Ordering::Relaxed);
                    weights[place].store(share.to_bits(), Ordering::Relaxed);
                });
            }
        },
    );
    Ok(Csr {
        pixels,
        indptr,
        indices: indices.into_iter().map(AtomicU32::into_inner).collect(),
        weights: weights.into_iter().map(|bits| f32::from_bits(bits.into_inner())).collect(),
    })
}

/// Turns the blocks' counts into the place of each block's first entry in each row; returns where rows begin.
fn begin_rows(counts: &mut [Vec<u32>], npt: usize) -> Result<Vec<u32>, SplitError> {
    let mut indptr = Vec::with_capacity(npt + 1);
    indptr.push(0);
    let mut place = 0_u64;
    for bin in 0..npt {
        for block in counts.iter_mut() {
            let count = block[bin];
            // Wraps only when the total does, which is an error below.
            block[bin] = place as u32;
            place += u64::from(count);
        }
        indptr.push(place as u32);
    }
    if place > u64::from(u32::MAX) {
        return Err(SplitError::TooLarge { entries: place });
    }
    Ok(indptr)
}
