//! Rows of parts on their way to the `map` of the whole, which has bins first.
//!
//! A bin of a block of rows is a few hundred bytes of `map`, and as many writes as there are bins take longer than everything else that is
//! done with the block. So rows are gathered, over the borders of parts, until a bin of them is tens of kilobytes.

use std::io;

use rayon::prelude::*;

use super::rows::RowWriter;
use crate::budget;

/// Bytes of rows that are gathered, about, where there is room for them.
const MOST: usize = 256 << 20;

/// Bins that are turned together: what a line of the cache has of a row.
const TOGETHER: usize = 16;

/// Rows that follow one another.
#[derive(Default)]
pub(super) struct MapBand {
    /// Row of the whole.
    first: usize,
    rows: usize,
    /// Arrays (rows, npt).
    blocks: Vec<Vec<f32>>,
}

impl MapBand {
    /// Bytes of rows that may be put here at once, half of what is gathered before it is written; 0 where there is no room: each block is
    /// written then, which takes longer.
    pub(super) fn step() -> usize {
        let is_allowed = budget::allow("rows on their way to map", (MOST + MOST / 2) as u64).is_ok();
        if is_allowed { MOST / 2 } else { 0 }
    }

    /// Takes blocks of rows, the first of which is `row` of the whole; writes what is there when it is two `step`s.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn put(
        &mut self,
        to: &RowWriter,
        place: u64,
        (row, blocks): (usize, Vec<Vec<f32>>),
        step: usize,
    ) -> io::Result<()> {
        if self.first + self.rows != row {
            self.write(to, place)?;
            self.first = row;
        }
        self.rows += blocks.iter().map(|block| block.len() / to.npt).sum::<usize>();
        self.blocks.extend(blocks);
        match self.rows.saturating_mul(to.npt * size_of::<f32>()) >= 2 * step {
            true => self.write(to, place),
            false => Ok(()),
        }
    }

    /// Writes what is there, a bin after the other; rayon's threads of the caller do it.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn write(&mut self, to: &RowWriter, place: u64) -> io::Result<()> {
        let (blocks, first, rows) = (std::mem::take(&mut self.blocks), self.first, self.rows);
        (self.first, self.rows) = (first + rows, 0);
        if rows == 0 {
            return Ok(());
        }
        (0..to.npt.div_ceil(TOGETHER)).into_par_iter().try_for_each_init(Vec::new, |turned, group| {
            let bins = group * TOGETHER..to.npt.min((group + 1) * TOGETHER);
            turned.resize(bins.len() * rows, 0.0);
            let of_rows = blocks.iter().flat_map(|block| block.chunks_exact(to.npt));
            for (row, values) in of_rows.enumerate() {
                for (bin, value) in values[bins.clone()].iter().enumerate() {
                    turned[bin * rows + row] = *value;
                }
            }
            to.write_bins_of_map(turned, bins.start, (first, rows), place)
        })
    }
}
