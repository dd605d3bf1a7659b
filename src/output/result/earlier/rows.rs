//! The rows of an earlier result, read without the HDF5 library, a block of consecutive ones at a time, and each compared with its checksum.

use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::super::beside::Beside;
use super::super::block::RowBlock;
use super::super::info::not_whole;
use super::super::layout::Layout;
use super::super::plain::{Plain, bytes_mut};
use super::super::rows::{RowParts, SumsOfRow};
use super::super::skeleton::{DATE_LEN, DIGEST_LEN};
use super::super::sums::places_of_sets;
use super::{DIGESTS, EarlierResult};
use crate::budget;
use crate::frame::{FrameHeader, FrameId, Norms, Pattern};
use crate::output::OutputError;

/// Bytes of a block's patterns, about: they are still in cache when they are looked at and written.
const BLOCK_BYTES: usize = 4 << 20;

/// What the rows of an earlier result are made of: what has a value a row or a frame, and where the rest is.
pub(in crate::output::result) struct StoredRows<'a> {
    earlier: &'a EarlierResult,
    npt: usize,
    rows: usize,
    intensity: u64,
    /// Each of what rows have beside their intensity.
    beside: Vec<(Beside, u64)>,
    sums: Option<StoredSums>,
    /// One a row.
    pub saturated: Option<Vec<u32>>,
    /// One a frame, of each number that is there, by its place in the header.
    pub numbers: Vec<(usize, Vec<f64>)>,
    columns: usize,
    /// Text of `DATE_LEN`, one a frame.
    pub dates: Vec<u8>,
    /// `DIGEST_LEN` bytes, one a frame; zeros where it was not verified.
    pub digests: Option<Vec<u8>>,
}

/// Where sums are.
struct StoredSums {
    signal: u64,
    variance: Option<u64>,
    /// Which set each row has.
    norms_of: Vec<u32>,
    /// Where each set is.
    sets: Vec<u64>,
}

impl<'a> StoredRows<'a> {
    /// Those of a result that has this layout.
    pub(in crate::output::result) fn open(
        earlier: &'a EarlierResult,
        layout: &Layout,
    ) -> Result<StoredRows<'a>, OutputError> {
        let numbers = layout.header_numbers();
        let each = DATE_LEN + DIGEST_LEN + size_of::<f64>() * (1 + numbers.len());
        let what = format_args!("what is known of {} frames", layout.frames);
        budget::allow(what, budget::bytes_of(&[layout.rows()], each))
            .map_err(|cause| earlier.not(cause.to_string()))?;
        let mut all_of = Vec::with_capacity(numbers.len());
        for (place, column) in numbers {
            all_of.push((place, earlier.all(&format!("input/{}", column.name), layout.frames)?));
        }
        let values = layout.stored_rows() * layout.npt();
        // Lines of a map that no frame came for are not stored: then what is stored is in a group of its own.
        let is_short = earlier.process.link_exists("measured");
        let place = |group: &str, name: &str, size: usize| {
            let group = if is_short { "measured" } else { group };
            earlier.place(&format!("{group}/{name}"), values * size)
        };
        let if_there = |is_there: bool, group: &str, name: &str, size: usize| {
            is_there.then(|| place(group, name, size)).transpose()
        };
        let sums = match layout.sums {
            true => Some(StoredSums {
                signal: place("sums", "signal", size_of::<f64>())?,
                variance: if_there(layout.has(Beside::Errors), "sums", "variance", size_of::<f64>())?,
                norms_of: earlier.all("sums/norms_of", layout.rows())?,
                sets: earlier.sets(layout.npt(), layout.rows() + 1)?,
            }),
            false => None,
        };
        let beside = layout
            .beside
            .iter()
            .map(|&beside| Ok((beside, place("result", beside.name(), size_of::<f32>())?)));
        let beside = beside.collect::<Result<Vec<_>, OutputError>>()?;
        Ok(StoredRows {
            earlier,
            npt: layout.npt(),
            rows: layout.stored_rows(),
            intensity: place("result", "intensity", size_of::<f32>())?,
            beside,
            sums,
            saturated: layout.saturated.then(|| earlier.all("saturated", layout.rows())).transpose()?,
            numbers: all_of,
            columns: layout.columns.len(),
            dates: earlier.all("input/date", layout.frames * DATE_LEN)?,
            digests: match earlier.digests {
                Some(_) => Some(earlier.all(DIGESTS, layout.frames * DIGEST_LEN)?),
                None => None,
            },
        })
    }

    /// All rows, in blocks.
    pub(in crate::output::result) fn blocks(&self) -> Vec<Range<usize>> {
        let rows = (BLOCK_BYTES / (self.npt * size_of::<f32>())).max(1);
        (0..self.rows).step_by(rows).map(|first| first..self.rows.min(first + rows)).collect()
    }

    /// Bytes of the intensities of a block, at most.
    pub(in crate::output::result) fn bytes_of_block(&self) -> usize {
        BLOCK_BYTES.max(self.npt * size_of::<f32>())
    }

    /// Reads a block.
    pub(in crate::output::result) fn load(&self, block: &mut RowBlock, rows: Range<usize>) -> io::Result<()> {
        let (from, count) = (rows.start * self.npt, rows.len() * self.npt);
        block.rows = rows;
        self.fill(&mut block.intensity, self.intensity, from, count)?;
        block.beside.resize_with(self.beside.len(), Vec::new);
        for (values, (_, place)) in block.beside.iter_mut().zip(&self.beside) {
            self.fill(values, *place, from, count)?;
        }
        if let Some(sums) = &self.sums {
            self.fill(block.signal.get_or_insert_default(), sums.signal, from, count)?;
            if let Some(place) = sums.variance {
                self.fill(block.variance.get_or_insert_default(), place, from, count)?;
            }
        }
        Ok(())
    }

    fn fill<T: Plain + Default>(
        &self,
        values: &mut Vec<T>,
        place: u64,
        from: usize,
        count: usize,
    ) -> io::Result<()> {
        values.resize(count, T::default());
        let place = place.saturating_add((from * size_of::<T>()) as u64);
        self.earlier.file.read_exact_at(bytes_mut(values), place)
    }

    /// The checksum that the file has of a row of a block; `None` where the row is not what that says.
    pub(in crate::output::result) fn checked(
        &self,
        block: &mut RowBlock,
        frame: usize,
        row: usize,
    ) -> io::Result<Option<u32>> {
        let numbers: Vec<f64> = self.numbers.iter().map(|(_, values)| values[frame]).collect();
        match self.crc(block, frame, row, &numbers) {
            Ok(crc) => Ok(Some(crc).filter(|crc| *crc == self.earlier.crcs[row])),
            // Its set of norms is not there.
            Err(error) if error.kind() == io::ErrorKind::Other => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The checksum of a row of a block, with these numbers.
    pub(in crate::output::result) fn crc(
        &self,
        block: &mut RowBlock,
        frame: usize,
        row: usize,
        numbers: &[f64],
    ) -> io::Result<u32> {
        let norms = self.norms(&mut block.last_norms, row)?;
        let bins = block.bins(row, self.npt);
        let signal = block.signal.as_ref().map(|signal| &signal[bins.clone()]);
        let parts = RowParts {
            intensity: &block.intensity[bins.clone()],
            beside: block.beside.iter().map(|values| &values[bins.clone()]).collect(),
            sums: signal.map(|signal| SumsOfRow {
                signal,
                variance: block.variance.as_ref().map(|variance| &variance[bins.clone()]),
                norms: &norms,
            }),
            saturated: self.saturated.as_ref().map(|counts| counts[row]),
            numbers,
            date: &self.dates[frame * DATE_LEN..(frame + 1) * DATE_LEN],
        };
        Ok(parts.crc())
    }

    /// A row of a block as the pattern that it was.
    pub(in crate::output::result) fn pattern(
        &self,
        block: &mut RowBlock,
        frame: usize,
        row: usize,
    ) -> io::Result<Pattern> {
        let mut numbers = vec![f64::NAN; self.columns];
        for (place, values) in &self.numbers {
            numbers[*place] = values[frame];
        }
        let date = String::from_utf8_lossy(&self.dates[frame * DATE_LEN..(frame + 1) * DATE_LEN]);
        let date = date.trim_end_matches('\0').to_owned();
        let norms = self.norms(&mut block.last_norms, row)?;
        let bins = block.bins(row, self.npt);
        let of = |wanted: Beside| {
            let place = self.beside.iter().position(|(beside, _)| *beside == wanted)?;
            Some(block.beside[place][bins.clone()].to_vec())
        };
        let doubles = |values: &Option<Vec<f64>>| values.as_ref().map(|values| values[bins.clone()].to_vec());
        Ok(Pattern {
            id: FrameId(frame),
            header: FrameHeader {
                date,
                numbers,
                digest: self.earlier.digest(frame),
                ..FrameHeader::default()
            },
            intensity: block.intensity[bins.clone()].to_vec(),
            sem: of(Beside::Errors),
            std: of(Beside::Std),
            count: of(Beside::Count),
            signal: doubles(&block.signal).unwrap_or_default(),
            variance: doubles(&block.variance),
            norms,
            saturated: self.saturated.as_ref().map_or(0, |counts| counts[row]),
        })
    }

    /// The norms of a row; empty where there are no sums.
    pub(in crate::output::result) fn norms(
        &self,
        last: &mut Option<(u32, Arc<Norms>)>,
        row: usize,
    ) -> io::Result<Arc<Norms>> {
        let Some(sums) = &self.sums else { return Ok(Arc::default()) };
        let number = sums.norms_of[row];
        if let Some((known, norms)) = last
            && *known == number
        {
            return Ok(Arc::clone(norms));
        }
        let no_set =
            || io::Error::other(format!("row {row} has the set of norms {number}, which is not there"));
        let place = sums.sets.get(number as usize).ok_or_else(no_set)?;
        let mut values = vec![0.0; 3 * self.npt];
        self.earlier.file.read_exact_at(bytes_mut(&mut values), *place)?;
        let every_third = |first: usize| values.iter().skip(first).step_by(3).copied().collect();
        let norms = Arc::new(Norms {
            normalization: every_third(0),
            normalization_squared: every_third(1),
            count: every_third(2),
        });
        *last = Some((number, Arc::clone(&norms)));
        Ok(norms)
    }
}

impl EarlierResult {
    /// Where the bytes of a dataset are, which has `bytes` of them.
    fn place(&self, name: &str, bytes: usize) -> Result<u64, OutputError> {
        let dataset = self.process.dataset(name).map_err(|e| not_whole(&self.path, name, &e))?;
        match dataset.facts().place {
            Some((place, has)) if has == bytes as u64 => Ok(place),
            _ => Err(self.not(format!("{name} is not {bytes} bytes one after the other"))),
        }
    }

    /// All values of a dataset of `count`.
    fn all<T: Plain + Default>(&self, name: &str, count: usize) -> Result<Vec<T>, OutputError> {
        let place = self.place(name, count * size_of::<T>())?;
        let mut values = vec![T::default(); count];
        let read = self.file.read_exact_at(bytes_mut(&mut values), place);
        read.map_err(|cause| self.unread(cause))?;
        Ok(values)
    }

    /// Where each set of norms is, of which there are at most so many.
    fn sets(&self, npt: usize, most: usize) -> Result<Vec<u64>, OutputError> {
        let table = self.process.dataset("sums/norms").and_then(|table| places_of_sets(&table, npt, most));
        table.map_err(|e| not_whole(&self.path, "sums/norms", &e))
    }

    pub(in crate::output::result) fn unread(&self, cause: io::Error) -> OutputError {
        OutputError::from_io(&self.path, "reading what an earlier run wrote", 0, cause)
    }
}
