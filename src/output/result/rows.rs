//! Puts rows into their places with plain writes: no HDF5 call, no lock, no copy of the patterns.
//!
//! A block of outcomes is sorted by row and cut into runs of consecutive rows. Each run is one `pwritev` per dataset,
//! gathered straight from the patterns' vectors; a bad frame contributes a shared row of NaN (zeros for the sums, if they are
//! kept: that is what "no pixel" adds up to). For the transposed `map` the run is turned in memory and written bin by bin.
//! The statuses go last: a row that says `good` is complete in the file, whatever happens next.
//!
//! Blocks are large enough that a write costs little beside the copy into the page cache, and small enough that the
//! patterns waiting for it stay within a few tens of megabytes.
use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::beside::Beside;
use super::block::RowBlock;
use super::device;
use super::layout::Layout;
use super::plain::{Plain, bytes, fixed, write_slices_at};
use super::skeleton::{DATE_LEN, DIGEST_LEN, RowOffsets};
use super::sums::{NormsTable, SumPlaces};
use crate::frame::{FrameHeader, FrameStatus, Norms, Pattern};

/// Most slices that one `pwritev` takes (Linux: `IOV_MAX`).
const MOST_SLICES: usize = 1024;

/// A frame's outcome and where it goes.
pub(super) struct FrameRow {
    /// Point of the map, or frame.
    pub row: usize,
    /// Frame, in the order of the input.
    pub frame: usize,
    /// The pattern; `None` for a bad frame.
    pub pattern: Option<Pattern>,
    /// What is written as its status.
    pub status: FrameStatus,
    /// Whether the CPU made it although a GPU was planned.
    pub by_cpu: bool,
}

/// Writes rows into the places of one file.
pub(super) struct RowWriter {
    pub file: File,
    pub places: RowOffsets,
    pub npt: usize,
    /// Rows that have a place in the file.
    pub rows: usize,
    /// Sets of norms that are in the file, when sums are kept.
    pub norms: NormsTable,
    checked: Checked,
    nan: Vec<f32>,
    zero: Vec<f64>,
    turned: Vec<f32>,
}

impl RowWriter {
    pub(super) fn new(file: File, places: RowOffsets, layout: &Layout) -> RowWriter {
        let npt = layout.npt();
        RowWriter {
            file,
            places,
            npt,
            rows: layout.stored_rows(),
            checked: Checked::of(layout),
            norms: NormsTable::default(),
            nan: vec![f32::NAN; npt],
            zero: vec![0.0; npt],
            turned: Vec::new(),
        }
    }

    /// Writes the whole block; it is sorted by row afterwards.
    pub(super) fn write(&mut self, block: &mut [FrameRow]) -> io::Result<()> {
        block.sort_unstable_by_key(|row| row.frame);
        for run in runs(block, |row| row.frame) {
            self.write_headers(&block[run])?;
        }
        block.sort_unstable_by_key(|row| row.row);
        for run in runs(block, |row| row.row) {
            self.write_run(&block[run])?;
        }
        Ok(())
    }

    /// What the headers of consecutive frames said.
    fn write_headers(&self, run: &[FrameRow]) -> io::Result<()> {
        let first = run[0].frame as u64;
        let header =
            |row: &FrameRow| row.pattern.as_ref().map_or_else(FrameHeader::default, |p| p.header.clone());
        let headers: Vec<FrameHeader> = run.iter().map(header).collect();
        for &(number, offset) in &self.places.header {
            let values: Vec<f64> = headers.iter().map(|h| h.number(number)).collect();
            self.file.write_all_at(bytes(&values), offset + first * 8)?;
        }
        if let Some(place) = self.places.digests {
            let digests: Vec<u8> = headers.iter().flat_map(|h| h.digest.unwrap_or_default()).collect();
            self.file.write_all_at(&digests, place + first * DIGEST_LEN as u64)?;
        }
        let dates: Vec<u8> = headers.iter().flat_map(|h| fixed::<DATE_LEN>(&h.date)).collect();
        self.file.write_all_at(&dates, self.places.date + first * DATE_LEN as u64)
    }

    /// Consecutive rows: patterns first, statuses last.
    fn write_run(&mut self, run: &[FrameRow]) -> io::Result<()> {
        let places = self.places.clone();
        let nan = &self.nan;
        self.gather(run, places.intensity, |p| Some(&p.intensity), nan)?;
        for &(beside, offset) in &places.beside {
            self.gather(run, offset, |p| beside.of(p), nan)?;
        }
        if let Some(sums) = &places.sums {
            self.write_sums(run, sums)?;
        }
        if let Some(offset) = places.map {
            self.write_map(run, offset)?;
        }
        if let Some(offset) = places.saturated {
            let count = |row: &FrameRow| row.pattern.as_ref().map_or(0, |pattern| pattern.saturated);
            let counts: Vec<u8> = run.iter().flat_map(|row| count(row).to_ne_bytes()).collect();
            self.file.write_all_at(&counts, offset + (run[0].row * size_of::<u32>()) as u64)?;
        }
        if let Some(offset) = places.frame_device {
            let marks: Vec<u8> = run.iter().map(|row| device::mark(row.by_cpu)).collect();
            self.file.write_all_at(&marks, offset + run[0].row as u64)?;
        }
        let crc = |row: &FrameRow| row.pattern.as_ref().map_or(0, |pattern| self.checked.crc(pattern));
        let crcs: Vec<u8> = run.iter().flat_map(|row| crc(row).to_ne_bytes()).collect();
        self.file.write_all_at(&crcs, places.row_crc + (run[0].row * size_of::<u32>()) as u64)?;
        let statuses: Vec<u8> = run.iter().map(|row| row.status as u8).collect();
        self.file.write_all_at(&statuses, places.frame_status + run[0].row as u64)
    }

    /// The sums of consecutive rows: norms first, then who has them.
    fn write_sums(&mut self, run: &[FrameRow], places: &SumPlaces) -> io::Result<()> {
        let zero = &self.zero;
        self.gather(run, places.signal, |p| Some(&p.signal), zero)?;
        if let Some(offset) = places.variance {
            self.gather(run, offset, |p| p.variance.as_deref(), zero)?;
        }
        let mut numbers = Vec::with_capacity(run.len());
        for row in run {
            numbers.push(match &row.pattern {
                Some(pattern) => self.norms.number_of(&pattern.norms, &self.file, places)?,
                None => 0,
            });
        }
        self.file.write_all_at(bytes(&numbers), places.norms_of + run[0].row as u64 * 4)
    }

    /// One dataset of a run; `missing` stands in for bad frames.
    fn gather<T: Plain>(
        &self,
        run: &[FrameRow],
        place: u64,
        part: impl Fn(&Pattern) -> Option<&[T]>,
        missing: &[T],
    ) -> io::Result<()> {
        let row_bytes = (self.npt * size_of::<T>()) as u64;
        let mut offset = place + run[0].row as u64 * row_bytes;
        for rows in run.chunks(MOST_SLICES) {
            let values = rows.iter().map(|row| row.pattern.as_ref().and_then(&part).unwrap_or(missing));
            let mut slices: Vec<IoSlice<'_>> = values.map(|v| IoSlice::new(bytes(v))).collect();
            write_slices_at(&self.file, &mut slices, offset)?;
            offset += rows.len() as u64 * row_bytes;
        }
        Ok(())
    }

    /// A run of the transposed map: bin by bin, the same few points.
    fn write_map(&mut self, run: &[FrameRow], place: u64) -> io::Result<()> {
        self.turned.resize(self.npt * run.len(), 0.0);
        for (i, row) in run.iter().enumerate() {
            let values = row.pattern.as_ref().map_or(&self.nan, |p| &p.intensity);
            for (bin, &value) in values.iter().enumerate() {
                self.turned[bin * run.len() + i] = value;
            }
        }
        for (bin, values) in self.turned.chunks_exact(run.len()).enumerate() {
            self.file.write_all_at(bytes(values), self.in_map(place, bin, run[0].row))?;
        }
        Ok(())
    }

    /// Where a bin of a row is in the transposed map at `place`.
    pub(super) fn in_map(&self, place: u64, bin: usize, row: usize) -> u64 {
        place + ((bin * self.rows + row) * size_of::<f32>()) as u64
    }

    /// Fills every row with NaN.
    pub(super) fn write_nan(&self) -> io::Result<()> {
        let beside = self.places.beside.iter().map(|(_, place)| *place);
        let mut places = beside.chain([self.places.intensity]).chain(self.places.map);
        places.try_for_each(|place| self.fill(f32::NAN, place, self.rows * self.npt))
    }

    /// A block of another file's rows, which begin at row `first` here; all but the transposed map, which is written of many blocks at once
    /// (`band.rs`).
    pub(super) fn write_block(&self, first: usize, block: &RowBlock) -> io::Result<()> {
        let rows = first + block.rows.start;
        self.write_bins(self.places.intensity, rows, &block.intensity)?;
        for ((_, place), values) in self.places.beside.iter().zip(&block.beside) {
            self.write_bins(*place, rows, values)?;
        }
        if let (Some(places), Some(signal)) = (&self.places.sums, &block.signal) {
            self.write_bins(places.signal, rows, signal)?;
            if let (Some(place), Some(variance)) = (places.variance, &block.variance) {
                self.write_bins(place, rows, variance)?;
            }
        }
        Ok(())
    }

    fn write_bins<T: Plain>(&self, place: u64, row: usize, values: &[T]) -> io::Result<()> {
        self.file.write_all_at(bytes(values), place + (row * self.npt * size_of::<T>()) as u64)
    }

    /// Which sets of norms the rows from `first` on have.
    pub(super) fn write_norms_of(&self, first: usize, norms_of: &[u32]) -> io::Result<()> {
        match &self.places.sums {
            Some(places) => {
                self.file.write_all_at(bytes(norms_of), places.norms_of + (first * size_of::<u32>()) as u64)
            }
            None => Ok(()),
        }
    }

    /// Writes `value` `count` times from `offset` on, in pieces of 64 Ki values.
    pub(super) fn fill<T: Plain>(&self, value: T, offset: u64, count: usize) -> io::Result<()> {
        let block = vec![value; count.min(1 << 16)];
        let mut offset = offset;
        for start in (0..count).step_by(block.len().max(1)) {
            let piece = bytes(&block[..block.len().min(count - start)]);
            self.file.write_all_at(piece, offset)?;
            offset += piece.len() as u64;
        }
        Ok(())
    }
}

/// What a row's checksum covers, of what a file may have.
pub(super) struct Checked {
    beside: Vec<Beside>,
    sums: bool,
    saturated: bool,
    /// Places in the header's numbers.
    numbers: Vec<usize>,
}

impl Checked {
    /// Everything that a file of this layout has.
    pub(super) fn of(layout: &Layout) -> Checked {
        let numbers = layout.header_numbers().into_iter().map(|(number, _)| number).collect();
        Checked { beside: layout.beside.clone(), sums: layout.sums, saturated: layout.saturated, numbers }
    }

    /// The checksum of a pattern's row.
    pub(super) fn crc(&self, pattern: &Pattern) -> u32 {
        let numbers: Vec<f64> = self.numbers.iter().map(|number| pattern.header.number(*number)).collect();
        let sums = || SumsOfRow {
            signal: &pattern.signal,
            variance: pattern.variance.as_deref(),
            norms: &pattern.norms,
        };
        let parts = RowParts {
            intensity: &pattern.intensity,
            beside: self.beside.iter().filter_map(|beside| beside.of(pattern)).collect(),
            sums: self.sums.then(sums),
            saturated: self.saturated.then_some(pattern.saturated),
            numbers: &numbers,
            date: &fixed::<DATE_LEN>(&pattern.header.date),
        };
        parts.crc()
    }
}

/// What the checksum of a row is made of.
pub(super) struct RowParts<'a> {
    pub intensity: &'a [f32],
    /// What the row has beside it.
    pub beside: Vec<&'a [f32]>,
    pub sums: Option<SumsOfRow<'a>>,
    pub saturated: Option<u32>,
    /// Those that have a dataset, in the order of these.
    pub numbers: &'a [f64],
    /// Text of `DATE_LEN`.
    pub date: &'a [u8],
}

/// The sums of a row.
pub(super) struct SumsOfRow<'a> {
    pub signal: &'a [f64],
    pub variance: Option<&'a [f64]>,
    pub norms: &'a Norms,
}

impl RowParts<'_> {
    /// CRC-32, as zlib has it, of everything that is written of a row, in the order that its dataset tells (`CRC_OF`).
    pub(super) fn crc(&self) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(bytes(self.intensity));
        self.beside.iter().for_each(|values| crc.update(bytes(values)));
        if let Some(SumsOfRow { signal, variance, norms }) = &self.sums {
            crc.update(bytes(signal));
            crc.update(bytes(variance.unwrap_or_default()));
            let Norms { normalization, normalization_squared, count } = norms;
            [normalization, normalization_squared, count]
                .into_iter()
                .for_each(|sums| crc.update(bytes(sums)));
        }
        if let Some(saturated) = self.saturated {
            crc.update(&saturated.to_ne_bytes());
        }
        crc.update(bytes(self.numbers));
        crc.update(self.date);
        crc.finalize()
    }
}

/// Cuts a sorted block into runs of consecutive numbers.
fn runs(block: &[FrameRow], number: impl Fn(&FrameRow) -> usize) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut start = 0;
    for i in 1..=block.len() {
        if i == block.len() || number(&block[i]) != number(&block[i - 1]) + 1 {
            runs.push(start..i);
            start = i;
        }
    }
    runs
}
