//! Rows on their way to the `map` of another result, which has their values with the bins first.
//!
//! What a block of rows has of a bin is a short piece of `map`, and as many short writes as there are bins take longer than everything else that is
//! done with the block. So blocks are turned while they are in cache, and wait until there are many: then a bin of them all is one write.

use std::io::{self, IoSlice};

use super::plain::{bytes, write_slices_at};
use super::rows::RowWriter;
use crate::budget;

/// Bytes of rows that wait, where there is memory for them: with 1000 bins each write is of 128 kB.
const MOST: usize = 128 << 20;

/// Rows that are turned together: a line of the cache has so many bins.
const TOGETHER: usize = 16;

/// Blocks of rows that follow one another.
#[derive(Default)]
pub(super) struct MapBand {
    /// Arrays (npt, rows). Their memory is used again.
    blocks: Vec<Vec<f32>>,
}

impl MapBand {
    /// How many blocks of so many bytes may wait, at least 1.
    pub(super) fn most(&self, bytes: usize) -> usize {
        let mut most = (MOST / bytes).max(1);
        let is_allowed =
            |blocks| budget::allow("rows on their way to map", budget::bytes_of(&[blocks], bytes));
        while most > self.blocks.len().max(1) && is_allowed(most).is_err() {
            most /= 2;
        }
        most
    }

    /// Places for so many blocks.
    pub(super) fn places(&mut self, count: usize) -> &mut [Vec<f32>] {
        self.blocks.resize_with(count.max(self.blocks.len()), Vec::new);
        &mut self.blocks[..count]
    }

    /// Writes what was [turned](turn) into the first `count` places: the rows from `row` on, in the `map` at `place`.
    pub(super) fn write(&self, count: usize, to: &RowWriter, (place, row): (u64, usize)) -> io::Result<()> {
        (0..to.npt).try_for_each(|bin| {
            let of_bin = |block: &Vec<f32>| {
                let rows = block.len() / to.npt;
                bin * rows..(bin + 1) * rows
            };
            let mut slices: Vec<IoSlice<'_>> =
                self.blocks[..count].iter().map(|block| IoSlice::new(bytes(&block[of_bin(block)]))).collect();
            write_slices_at(&to.file, &mut slices, to.in_map(place, bin, row))
        })
    }
}

/// Turns rows of `npt` values, so that their bins come first; some rows at a time, so that what is written is whole lines of the cache.
pub(super) fn turn(values: &[f32], npt: usize, turned: &mut Vec<f32>) {
    let rows = values.len() / npt;
    turned.resize(values.len(), 0.0);
    for first in (0..rows).step_by(TOGETHER) {
        let last = rows.min(first + TOGETHER);
        for bin in 0..npt {
            for row in first..last {
                turned[bin * rows + row] = values[row * npt + bin];
            }
        }
    }
}
