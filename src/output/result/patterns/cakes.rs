//! Reads patterns of two axes, azimuthal × radial: one whole, the mean of all, and sectors of every row.
//!
//! A sector's pattern is the mean over its azimuthal bins, for each radial bin. Bins differ in how many pixels they have, and with
//! what solid angle and flat, so the mean that those pixels would have given in one bin is ΣS / ΣN: it is had as ΣN·I / ΣN, where the
//! file keeps the norms N (`--sums`). A file that does not keep them cannot say how much a bin weighs: then the bins that have
//! pixels count alike. [`Patterns::averaging`] says which it is; neither counts a bin without a pixel. Such a bin holds a value of
//! its own (`--empty`, 0 unless it was asked for), which a bin may also have counted; without norms, one that holds it in every good row
//! is taken for a bin without a pixel.
use std::ops::Range;

use super::Patterns;
use super::weights::BinWeights;
use crate::budget;
use crate::output::OutputError;
use crate::output::result::sector::Sector;

/// Bytes of rows that are read at a time.
const PIECE_BYTES: usize = 16 << 20;

/// What a result of two axes is on the mean of all good rows.
#[derive(Debug, Clone, PartialEq)]
pub struct MeanCake {
    /// (azimuthal, radial); NaN where no row has a pixel.
    pub cake: Vec<f32>,
    /// (radial), the mean over the whole azimuthal axis.
    pub pattern: Vec<f32>,
}

/// A block of bins: which azimuths, which radii.
type Block = [Range<usize>; 2];

/// The block of bins of one row that is looked at.
struct RowOfBins<'a> {
    row: usize,
    /// The azimuth that it begins with.
    first: usize,
    values: &'a [f32],
    /// 0 for bins without a pixel.
    weights: &'a [f64],
}

impl RowOfBins<'_> {
    /// The mean over some azimuthal bins of the block for each radial one; NaN where none of them has a pixel.
    fn mean(&self, azimuths: &[usize], into: &mut [f32]) {
        let width = into.len();
        let mut sums = vec![(0.0_f64, 0.0_f64); width];
        for of in azimuths.iter().map(|a| a - self.first).map(|a| a * width..(a + 1) * width) {
            let bins = self.values[of.clone()].iter().zip(&self.weights[of]);
            for ((sum, weight), (value, w)) in sums.iter_mut().zip(bins) {
                if *w > 0.0 && value.is_finite() {
                    *sum += w * f64::from(*value);
                    *weight += w;
                }
            }
        }
        for (mean, (sum, weight)) in into.iter_mut().zip(sums) {
            *mean = if weight > 0.0 { (sum / weight) as f32 } else { f32::NAN };
        }
    }
}

impl Patterns {
    /// Numbers of azimuthal and radial bins; a result of one axis has one azimuthal bin.
    fn bins(&self) -> [usize; 2] {
        [self.azimuthal().map_or(1, |axis| axis.centres.len()), self.npt()]
    }

    /// All bins.
    fn whole(&self) -> Block {
        self.bins().map(|bins| 0..bins)
    }

    /// All bins of a row: (azimuthal, radial). NaN: bins without a pixel, and all bins of a row without a pattern.
    ///
    /// # Errors
    /// [`OutputError::Read`], [`OutputError::Io`].
    pub fn cake(&self, row: usize) -> Result<Vec<f32>, OutputError> {
        let mut cake = vec![f32::NAN; self.bins().iter().product()];
        self.walk(row..row + 1, self.whole(), &mut |row| {
            for ((bin, value), weight) in cake.iter_mut().zip(row.values).zip(row.weights) {
                *bin = if *weight > 0.0 { *value } else { f32::NAN };
            }
        })?;
        Ok(cake)
    }

    /// Some radial bins of some sectors of every row: `[row][sector][bin]`, in the order of the sectors. Each is the mean over
    /// the sector's azimuthal bins that have pixels (see [`Patterns::averaging`]). NaN: none of them has, or the row has no pattern.
    ///
    /// The values do not depend on which bins are read together. Takes memory for what it returns and for some 16 MiB of rows.
    ///
    /// # Errors
    /// [`OutputError::Read`] and [`OutputError::Io`]: the file cannot be read, or what is asked for does not fit into memory.
    pub fn read_sectors(&self, sectors: &[Sector], radial: Range<usize>) -> Result<Vec<f32>, OutputError> {
        let (rows, width) = (self.rows(), radial.len());
        budget::allow(
            format_args!("{} sectors of {rows} rows of {width} bins", sectors.len()),
            budget::bytes_of(&[rows, sectors.len(), width], size_of::<f32>()),
        )
        .map_err(|cause| self.failed(cause.into()))?;
        let mut patterns = vec![f32::NAN; rows * sectors.len() * width];
        if patterns.is_empty() {
            return Ok(patterns);
        }
        // Only what some sector has is read.
        let needed = || sectors.iter().flat_map(|sector| sector.bins.iter().copied());
        let azimuths = needed().min().unwrap_or(0)..needed().max().map_or(0, |last| last + 1);
        self.walk(0..rows, [azimuths, radial], &mut |row| {
            let place = row.row * sectors.len() * width;
            let of_row = patterns[place..place + sectors.len() * width].chunks_mut(width);
            of_row.zip(sectors).for_each(|(pattern, sector)| row.mean(&sector.bins, pattern));
        })?;
        Ok(patterns)
    }

    /// The mean over all good rows, of each bin that has pixels.
    ///
    /// # Errors
    /// As [`Patterns::cake`].
    pub fn mean_cake(&self) -> Result<MeanCake, OutputError> {
        let [azimuthal, radial] = self.bins();
        let all: Vec<usize> = (0..azimuthal).collect();
        let mut of_bins = vec![(0.0_f64, 0_u64); azimuthal * radial];
        let mut of_patterns = vec![(0.0_f64, 0_u64); radial];
        let mut pattern = vec![0.0; radial];
        let add = |(sum, count): &mut (f64, u64), value: f32| {
            if value.is_finite() {
                *sum += f64::from(value);
                *count += 1;
            }
        };
        self.walk(0..self.rows(), self.whole(), &mut |row| {
            let seen = row.values.iter().zip(row.weights);
            let bins = of_bins.iter_mut().zip(seen).filter(|(_, (_, weight))| **weight > 0.0);
            bins.for_each(|(bin, (value, _))| add(bin, *value));
            row.mean(&all, &mut pattern);
            of_patterns.iter_mut().zip(&pattern).for_each(|(bin, value)| add(bin, *value));
        })?;
        let means = |sums: Vec<(f64, u64)>| {
            // Nothing of nothing is not a number.
            sums.into_iter().map(|(sum, count)| (sum / count as f64) as f32).collect()
        };
        Ok(MeanCake { cake: means(of_bins), pattern: means(of_patterns) })
    }

    /// How the mean over azimuthal bins is taken, in words; `None` of a result of one axis.
    pub fn averaging(&self) -> Option<String> {
        Some(match self.weights.as_ref()? {
            BinWeights::Norms(_) => "azimuthal bins count by their normalisation (sums/norms)".into(),
            BinWeights::Alike { empty, .. } => {
                let alike = "azimuthal bins count alike: the result keeps no norms (integrate --sums does)";
                match empty.is_finite() {
                    true => format!("{alike}; one that holds {empty} in every frame is taken for empty"),
                    false => alike.into(),
                }
            }
        })
    }

    /// Shows a block of bins of each good row of some rows, a piece of the file after the other.
    fn walk(
        &self,
        rows: Range<usize>,
        block: Block,
        see: &mut dyn FnMut(RowOfBins<'_>),
    ) -> Result<(), OutputError> {
        let each = block[0].len() * block[1].len();
        let mut weights: Option<(u32, Vec<f64>)> = None;
        for piece in self.pieces(rows, each) {
            let values = self.read_rows(piece.clone(), &block)?;
            let good = piece.zip(values.chunks(each.max(1))).filter(|(row, _)| self.good[*row]);
            for (row, values) in good {
                let set = match &self.weights {
                    Some(BinWeights::Norms(norms)) => norms.set_of(row),
                    _ => 0,
                };
                if weights.as_ref().is_none_or(|(known, _)| *known != set) {
                    weights = Some((set, self.weights_of(set, &block)?));
                }
                let weights = weights.as_ref().map_or(&[][..], |(_, weights)| weights);
                see(RowOfBins { row, first: block[0].start, values, weights });
            }
        }
        Ok(())
    }

    /// How much each bin counts in rows that have this set of norms.
    fn weights_of(&self, set: u32, block: &Block) -> Result<Vec<f64>, OutputError> {
        let hollow = match &self.weights {
            None => &[][..],
            Some(BinWeights::Norms(norms)) => {
                let failed =
                    |cause| OutputError::Io { path: self.path.clone(), action: "reading norms", cause };
                return norms.read(set, self.npt(), block).map_err(failed);
            }
            Some(BinWeights::Alike { empty, .. }) if empty.is_nan() => &[],
            Some(BinWeights::Alike { empty, hollow }) => match hollow.get() {
                Some(known) => known,
                None => {
                    let found = self.hollow_bins(*empty)?;
                    hollow.get_or_init(|| found)
                }
            },
        };
        let is_hollow = |bin: usize| hollow.get(bin).is_some_and(|hollow| *hollow);
        let [azimuths, radial] = block;
        let bins = azimuths.clone().flat_map(|a| radial.clone().map(move |r| a * self.npt() + r));
        Ok(bins.map(|bin| if is_hollow(bin) { 0.0 } else { 1.0 }).collect())
    }

    /// Bins that hold this value in every good row.
    fn hollow_bins(&self, empty: f32) -> Result<Vec<bool>, OutputError> {
        let all: usize = self.bins().iter().product();
        let mut hollow = vec![true; all];
        for piece in self.pieces(0..self.rows(), all) {
            let values = self.read_rows(piece.clone(), &self.whole())?;
            for (_, values) in piece.zip(values.chunks(all)).filter(|(row, _)| self.good[*row]) {
                hollow.iter_mut().zip(values).for_each(|(hollow, value)| *hollow &= *value == empty);
            }
        }
        Ok(hollow)
    }

    /// Rows that are read together: whole lines of a map, or parts of a line.
    fn pieces(&self, rows: Range<usize>, bins: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let line = self.map.map_or(1, |(_, fast)| fast);
        let together = (PIECE_BYTES / (bins * size_of::<f32>()).max(1)).max(1);
        let step = if together >= line { together / line * line } else { together };
        let mut next = rows.start;
        std::iter::from_fn(move || {
            let first = next;
            // No further than the end of this line, unless whole lines are read.
            let end = if step < line || !first.is_multiple_of(line) {
                first / line * line + line
            } else {
                rows.end
            };
            next = (first + step).min(end).min(rows.end);
            (first < next).then_some(first..next)
        })
    }

    /// A block of bins of some rows, as the file has them: `[row][azimuthal][radial]`.
    fn read_rows(&self, rows: Range<usize>, block: &Block) -> Result<Vec<f32>, OutputError> {
        let mut part = match self.map {
            None => vec![rows],
            Some((_, fast)) => {
                let (line, at) = (rows.start / fast, rows.start % fast);
                match at + rows.len() <= fast {
                    true => vec![line..line + 1, at..at + rows.len()],
                    false => vec![line..rows.end.div_ceil(fast), 0..fast],
                }
            }
        };
        let [azimuths, radial] = block.clone();
        part.extend(self.azimuthal().map(|_| azimuths));
        part.push(radial);
        self.intensity.read_part(&part).map_err(|cause| self.failed(cause))
    }
}
