//! Puts the parts of a whole into its file, or shows them there.
//!
//! What a part has one after the other, the whole has one after the other, too: so its rows are copied in blocks, by as many threads as
//! there are, and each is compared with its checksum while it is in cache. A bad frame's row is made as a run makes it. `map` is written of many
//! blocks at once ([`super::band`]). Statuses come last.

use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rayon::prelude::*;

use super::ResultDraft;
use super::band::{MapBand, turn};
use super::block::RowBlock;
use super::earlier::{EarlierResult, StoredRows};
use super::layout::Layout;
use super::plain::bytes;
use super::rows::RowWriter;
use super::skeleton::{DATE_LEN, DIGEST_LEN};
use crate::frame::FrameStatus;
use crate::output::OutputError;

/// What is said of a bad frame whose reason was not kept: a file lists so many.
const NO_REASON: &str = "its part has more bad frames than it says why of";

/// A part that is copied, and where it goes.
struct PartCopy<'a> {
    part: &'a EarlierResult,
    layout: &'a Layout,
    rows: StoredRows<'a>,
    /// The numbers of the frames' headers that the whole has, each in its place there; NaN where the part has it not.
    numbers: Vec<(u64, Vec<f64>)>,
    /// Whether these are the part's own, so that checksums are, too.
    same_numbers: bool,
    /// Its first frame in the whole, which is its first row: parts of a map are whole lines.
    first: usize,
    to: &'a RowWriter,
}

/// Why a block was not copied.
enum Flaw {
    Read(io::Error),
    Write(io::Error),
    /// The row of this frame of the part is not what its checksum says.
    Damaged(usize),
}

impl ResultDraft {
    /// Copies a part, whose first frame is `first` here; every row must be whole. Rayon's threads of the caller do it; `see` is told how
    /// many more frames are there.
    ///
    /// # Errors
    /// [`OutputError::NotAResult`] with a frame whose row is not what its checksum says, or what goes wrong while reading and
    /// writing.
    pub fn copy_part(
        &mut self,
        part: &EarlierResult,
        layout: &Layout,
        first: usize,
        see: &(dyn Fn(usize) + Sync),
    ) -> Result<(), OutputError> {
        self.mark_gone_over(part)?;
        let rows = StoredRows::open(part, layout)?;
        let path = self.file.path.clone();
        let written = |cause| OutputError::from_io(&path, "writing patterns", 0, cause);
        let norms_of = self.norms_of(part, &rows, layout)?;
        let numbers = self.numbers(&rows, layout);
        let names = |of: &Layout| -> Vec<String> {
            of.header_numbers().into_iter().map(|(_, column)| column.name.clone()).collect()
        };
        let same_numbers = names(&self.file.layout) == names(layout);
        let copy = PartCopy { part, layout, rows, numbers, same_numbers, first, to: &self.file.writer };
        copy.values(&norms_of).map_err(written)?;
        let checksums = copy.all(&mut self.band, see).map_err(|flaw| match flaw {
            Flaw::Read(cause) => part.unread(cause),
            Flaw::Write(cause) => written(cause),
            Flaw::Damaged(frame) => {
                part.not(format!("the row of its frame {frame} is damaged: it is not what its checksum says"))
            }
        })?;
        copy.ending(&checksums).map_err(written)?;
        // The disk gets it while the next part is copied.
        self.file.disk.wrote(&self.file.writer.file).map_err(written)?;
        self.note_statuses(part, layout, first);
        Ok(())
    }

    /// Shows a part, whose first frame is `first` here, in a file that was [made for that](Layout::shows).
    ///
    /// # Errors
    /// What goes wrong while reading and writing.
    pub fn show_part(
        &mut self,
        part: &EarlierResult,
        layout: &Layout,
        first: usize,
    ) -> Result<(), OutputError> {
        if self.file.layout.sums {
            let rows = StoredRows::open(part, layout)?;
            let norms_of = self.norms_of(part, &rows, layout)?;
            self.file
                .writer
                .write_norms_of(first, &norms_of)
                .map_err(|cause| OutputError::from_io(&self.file.path, "writing norms", 0, cause))?;
        }
        self.note_statuses(part, layout, first);
        Ok(())
    }

    /// The number of each row's set of norms here, where new ones are put into the table.
    fn norms_of(
        &mut self,
        part: &EarlierResult,
        rows: &StoredRows<'_>,
        layout: &Layout,
    ) -> Result<Vec<u32>, OutputError> {
        let writer = &mut self.file.writer;
        let Some(places) = writer.places.sums.clone() else { return Ok(Vec::new()) };
        let (mut last, mut numbers) = (None, Vec::with_capacity(layout.rows()));
        for row in 0..layout.rows() {
            numbers.push(match part.status(row) {
                Some(FrameStatus::Good) => {
                    let norms = rows.norms(&mut last, row).map_err(|cause| part.unread(cause))?;
                    let number = writer.norms.number_of(&norms, &writer.file, &places);
                    number.map_err(|e| OutputError::from_io(&self.file.path, "writing norms", 0, e))?
                }
                _ => 0,
            });
        }
        Ok(numbers)
    }

    fn numbers(&self, rows: &StoredRows<'_>, layout: &Layout) -> Vec<(u64, Vec<f64>)> {
        let whole = &self.file.layout;
        let of_part = |place: usize| {
            let name = &whole.columns.get(place)?.name;
            let there = layout.columns.iter().position(|column| column.name == *name)?;
            rows.numbers.iter().find(|(place, _)| *place == there).map(|(_, values)| values.clone())
        };
        let header = self.file.writer.places.header.iter();
        header
            .map(|&(place, offset)| (offset, of_part(place).unwrap_or_else(|| vec![f64::NAN; layout.frames])))
            .collect()
    }

    fn note_statuses(&mut self, part: &EarlierResult, layout: &Layout, first: usize) {
        for frame in 0..layout.frames {
            let Some(status) = part.status(layout.row(frame)) else { continue };
            let row = self.file.layout.row(first + frame);
            self.file.statuses[row] = status;
            if !matches!(status, FrameStatus::Good | FrameStatus::Pending) {
                let message = part.message(frame).unwrap_or(NO_REASON).to_owned();
                self.file.keep_message(first + frame, message);
            }
        }
    }
}

impl PartCopy<'_> {
    /// Everything that has a value a frame or a row, but checksums and statuses.
    fn values(&self, norms_of: &[u32]) -> io::Result<()> {
        let (to, places) = (&self.to.file, &self.to.places);
        for (offset, values) in &self.numbers {
            to.write_all_at(bytes(values), offset + (self.first * size_of::<f64>()) as u64)?;
        }
        to.write_all_at(&self.rows.dates, places.date + (self.first * DATE_LEN) as u64)?;
        if let (Some(place), Some(digests)) = (places.digests, &self.rows.digests) {
            to.write_all_at(digests, place + (self.first * DIGEST_LEN) as u64)?;
        }
        if let (Some(place), Some(counts)) = (places.saturated, &self.rows.saturated) {
            to.write_all_at(bytes(counts), place + (self.first * size_of::<u32>()) as u64)?;
        }
        if let Some(place) = places.frame_device {
            let marks: Vec<u8> = (0..self.layout.rows()).map(|row| self.part.mark(row)).collect();
            to.write_all_at(&marks, place + self.first as u64)?;
        }
        self.to.write_norms_of(self.first, norms_of)
    }

    /// Copies all rows; gives back their checksums.
    fn all(&self, band: &mut MapBand, see: &(dyn Fn(usize) + Sync)) -> Result<Vec<u32>, Flaw> {
        let (blocks, map, npt) = (self.rows.blocks(), self.to.places.map, self.layout.npt());
        let together =
            if map.is_some() { band.most(self.rows.bytes_of_block()) } else { blocks.len().max(1) };
        let mut checksums = Vec::with_capacity(self.layout.rows());
        for blocks in blocks.chunks(together) {
            let copied = blocks.par_iter().zip(band.places(blocks.len())).map_init(
                RowBlock::default,
                |block, (rows, turned)| {
                    let checksums = self.block(block, rows.clone())?;
                    if map.is_some() {
                        turn(&block.intensity, npt, turned);
                    }
                    see(rows.clone().filter(|row| self.layout.row(*row) < self.layout.frames).count());
                    Ok(checksums)
                },
            );
            checksums.extend(copied.collect::<Result<Vec<_>, Flaw>>()?.concat());
            if let (Some(place), Some(rows)) = (map, blocks.first()) {
                let to = (place, self.first + rows.start);
                band.write(blocks.len(), self.to, to).map_err(Flaw::Write)?;
            }
        }
        Ok(checksums)
    }

    /// Copies a block of rows, but for `map`; gives back their checksums.
    fn block(&self, block: &mut RowBlock, rows: Range<usize>) -> Result<Vec<u32>, Flaw> {
        self.rows.load(block, rows.clone()).map_err(Flaw::Read)?;
        let mut checksums = Vec::with_capacity(rows.len());
        for row in rows {
            let frame = self.layout.row(row);
            if self.status(row) != FrameStatus::Good {
                self.blank(block, row);
                checksums.push(0);
                continue;
            }
            let Some(checked) = self.rows.checked(block, frame, row).map_err(Flaw::Read)? else {
                return Err(Flaw::Damaged(frame));
            };
            checksums.push(match self.same_numbers {
                true => checked,
                false => {
                    let numbers: Vec<f64> = self.numbers.iter().map(|(_, values)| values[frame]).collect();
                    self.rows.crc(block, frame, row, &numbers).map_err(Flaw::Read)?
                }
            });
        }
        self.to.write_block(self.first, block).map_err(Flaw::Write)?;
        Ok(checksums)
    }

    /// What became of the frame in a row; pending where none is.
    fn status(&self, row: usize) -> FrameStatus {
        let is_there = self.layout.row(row) < self.layout.frames;
        self.part.status(row).filter(|_| is_there).unwrap_or(FrameStatus::Pending)
    }

    /// What stands in the row of a frame that is bad, or not there.
    fn blank(&self, block: &mut RowBlock, row: usize) {
        let bins = block.bins(row, self.layout.npt());
        block.intensity[bins.clone()].fill(f32::NAN);
        block.beside.iter_mut().for_each(|values| values[bins.clone()].fill(f32::NAN));
        let sums = block.signal.iter_mut().chain(&mut block.variance);
        sums.for_each(|sums| sums[bins.clone()].fill(0.0));
    }

    /// Checksums, then statuses.
    fn ending(&self, checksums: &[u32]) -> io::Result<()> {
        let (to, places) = (&self.to.file, &self.to.places);
        to.write_all_at(bytes(checksums), places.row_crc + (self.first * size_of::<u32>()) as u64)?;
        let statuses: Vec<u8> = (0..self.layout.rows()).map(|row| self.status(row) as u8).collect();
        to.write_all_at(&statuses, places.frame_status + self.first as u64)
    }
}
