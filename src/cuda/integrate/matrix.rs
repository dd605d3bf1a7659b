//! The sparse matrix as the device reads it: cut by pixels, and within a cut by bins.
//!
//! A [`Csr`](crate::integrate::csr::Csr) has a row for each bin, and a bin's pixels lie all over the image. The device
//! holds 1024 neighbouring pixels of several frames at a time (a sub-tile), so it wants all entries of those pixels
//! together, ordered by bin:
//!
//! ```text
//! item  = up to 16 sub-tiles in a row and the bins they touch (its slots): what one block of threads does
//!   part  = one sub-tile of an item
//!     pass  = 32 rows of it, one a lane, in pairs of entries: pair k of lane r is number first + 32 k + r
//! ```
//!
//! All warps of a block wait for the slowest, so rows are cut into pieces of at most [`Limits::row`] entries: where a
//! ring runs along the rows of the detector a bin has a hundred pixels in one sub-tile, elsewhere five. Each piece has a
//! slot of its own. Rows are sorted by length, the long ones first, and padded to the longest of their pass, repeating
//! the last pixel with weight 0. Rows of the same length stay in the order of their bins: neighbours then read
//! neighbouring pixels.
//!
//! Each item leaves one partial sum a slot; `bin_first` and `position` say which of them belong to a bin. Items that
//! would touch more bins than a block has room for are made shorter, and a sub-tile that does so alone is given to several
//! items, each with some of its bins.

use rayon::prelude::*;

use crate::cuda::params::{self, XrdctItem, XrdctPart, XrdctPass};

/// Pixels in a sub-tile.
pub const SUBTILE: usize = params::XRDCT_SUBTILE_PIXELS as usize;
const ROWS: usize = params::XRDCT_PASS_ROWS as usize;
const NO_SLOT: u16 = params::XRDCT_NO_SLOT as u16;

/// A matrix by rows: what [`SubTiles::build`] starts from.
#[derive(Debug, Clone, Copy)]
pub struct CsrRows<'a> {
    /// Columns.
    pub pixels: usize,
    /// Where each bin's entries start; one more than there are bins.
    pub indptr: &'a [u32],
    /// Pixel of each entry, ascending within a bin.
    pub indices: &'a [u32],
    /// Its weight.
    pub weights: &'a [f32],
}

/// What a block of threads has room for.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bins of an item.
    pub slots: usize,
    /// Sub-tiles of an item.
    pub subtiles: usize,
    /// Entries of a row.
    pub row: usize,
}

/// The matrix on its way to the device, and how to put the items' sums together again.
#[derive(Debug, Clone, Default)]
pub struct SubTiles {
    /// Rows of the matrix.
    pub bins: usize,
    /// Sub-tiles of an image.
    pub subtiles: usize,
    /// What the blocks do.
    pub items: Vec<XrdctItem>,
    /// Sub-tiles of the items.
    pub parts: Vec<XrdctPart>,
    /// 32 rows each.
    pub passes: Vec<XrdctPass>,
    /// Slot of each row of each pass.
    pub row_slot: Vec<u16>,
    /// Where in the sub-tile an entry's pixel is, swizzled; two entries after one another are a pair.
    pub entry_pixel: Vec<u16>,
    /// Its weight.
    pub entry_weight: Vec<f32>,
    /// Bin of each slot of each item, one item after another.
    pub slot_bin: Vec<u32>,
    /// Where each bin's list in `position` starts; one more than there are bins.
    pub bin_first: Vec<u32>,
    /// Which partial sums belong to a bin, in the order in which they are added.
    pub position: Vec<u32>,
    /// Most slots that an item has.
    pub max_slots: usize,
}

/// Where the device keeps a pixel of a sub-tile (cuda/integrate/fused.cuh says why).
pub const fn swizzle(place: usize) -> usize {
    place ^ ((place >> 4) & 31)
}

/// Entries of all sub-tiles, one sub-tile after another; bins ascend within each. This is the same for every device.
#[derive(Debug)]
pub(super) struct Sorted {
    /// Rows of the matrix.
    bins: usize,
    first: Vec<usize>,
    bin: Vec<u32>,
    place: Vec<u16>,
    weight: Vec<f32>,
    /// Each sub-tile's rows, in the order of the bins; none of a part.
    rows: Vec<Vec<Row>>,
}

/// A bin's entries in one sub-tile: bin, first entry, how many.
type Row = (u32, usize, usize);

/// Bins that are sorted together: some dozens of parts for the usual matrix, whatever the number of threads.
const BINS_A_PART: usize = 32;

impl Sorted {
    /// Sorts parts of the bins side by side, then puts each sub-tile together from all parts, in the order of the bins.
    ///
    /// Pixels for which `valid` is false, and weights of 0, are left out.
    pub(super) fn new(rows: CsrRows<'_>, valid: &(impl Fn(usize) -> bool + Sync)) -> Sorted {
        let bins = rows.indptr.len().saturating_sub(1);
        let starts: Vec<usize> = (0..bins).step_by(BINS_A_PART).collect();
        let part = |&start: &usize| Sorted::part(rows, start..(start + BINS_A_PART).min(bins), valid);
        let parts: Vec<Sorted> = starts.par_iter().map(part).collect();
        let subtiles = rows.pixels.div_ceil(SUBTILE);
        let mut first = vec![0_usize; subtiles + 1];
        for subtile in 0..subtiles {
            let own: usize = parts.iter().map(|part| part.entries(subtile).len()).sum();
            first[subtile + 1] = first[subtile] + own;
        }
        let kept = first[subtiles];
        let mut all = Sorted {
            bins,
            first,
            bin: vec![0; kept],
            place: vec![0; kept],
            weight: vec![0.0; kept],
            rows: vec![],
        };
        let lengths = all.first.windows(2).map(|ends| ends[1] - ends[0]);
        let mut left = (all.bin.as_mut_slice(), all.place.as_mut_slice(), all.weight.as_mut_slice());
        let mut places = Vec::with_capacity(subtiles);
        for length in lengths {
            let (bin, place, weight) = left;
            let ((bin, bins), (place, more), (weight, weights)) =
                (bin.split_at_mut(length), place.split_at_mut(length), weight.split_at_mut(length));
            places.push((bin, place, weight));
            left = (bins, more, weights);
        }
        places.into_par_iter().enumerate().for_each(|(subtile, (bin, place, weight))| {
            let mut at = 0;
            for part in &parts {
                let (own, to) = (part.entries(subtile), at..at + part.entries(subtile).len());
                bin[to.clone()].copy_from_slice(&part.bin[own.clone()]);
                place[to.clone()].copy_from_slice(&part.place[own.clone()]);
                weight[to.clone()].copy_from_slice(&part.weight[own]);
                at = to.end;
            }
        });
        all.rows = (0..subtiles).into_par_iter().map(|subtile| all.find_rows(subtile)).collect();
        all
    }

    /// The same of some bins alone.
    fn part(
        rows: CsrRows<'_>,
        bins: std::ops::Range<usize>,
        valid: &(impl Fn(usize) -> bool + Sync),
    ) -> Sorted {
        let subtiles = rows.pixels.div_ceil(SUBTILE);
        let wanted = |entry: &usize| rows.weights[*entry] != 0.0 && valid(rows.indices[*entry] as usize);
        let of_bin = |bin: usize| (rows.indptr[bin] as usize..rows.indptr[bin + 1] as usize).filter(wanted);
        let mut first = vec![0_usize; subtiles + 1];
        for entry in bins.clone().flat_map(of_bin) {
            first[rows.indices[entry] as usize / SUBTILE + 1] += 1;
        }
        for subtile in 0..subtiles {
            first[subtile + 1] += first[subtile];
        }
        let kept = first[subtiles];
        let mut sorted = Sorted {
            bins: bins.len(),
            first: first.clone(),
            bin: vec![0; kept],
            place: vec![0; kept],
            weight: vec![0.0; kept],
            rows: vec![],
        };
        for bin in bins {
            for entry in of_bin(bin) {
                let pixel = rows.indices[entry] as usize;
                let at = &mut first[pixel / SUBTILE];
                sorted.bin[*at] = bin as u32;
                sorted.place[*at] = swizzle(pixel % SUBTILE) as u16;
                sorted.weight[*at] = rows.weights[entry];
                *at += 1;
            }
        }
        sorted
    }

    /// Where a sub-tile's entries are.
    fn entries(&self, subtile: usize) -> std::ops::Range<usize> {
        self.first[subtile]..self.first[subtile + 1]
    }

    /// The rows of one sub-tile.
    fn find_rows(&self, subtile: usize) -> Vec<Row> {
        let entries = self.entries(subtile);
        let mut at = entries.start;
        let row = |row: &[u32]| {
            at += row.len();
            (row[0], at - row.len(), row.len())
        };
        self.bin[entries].chunk_by(|a, b| a == b).map(row).collect()
    }

    /// The rows of one sub-tile.
    fn rows(&self, subtile: usize) -> impl Iterator<Item = Row> {
        self.rows[subtile].iter().copied()
    }

    /// Which sub-tiles and which slots go together.
    fn divide(&self, bins: usize, limits: Limits) -> Vec<Share> {
        let mut shares = Vec::new();
        // In which item a bin was last seen (counted from 1), and its slots there.
        let mut seen = vec![(0_usize, 0_u32); bins];
        let (mut start, mut item) = (0, 1);
        let (mut touched, mut slots) = (Vec::new(), 0_usize);
        for subtile in 0..self.first.len() - 1 {
            let needs = |row: (u32, usize, usize)| (row.0, row.2.div_ceil(limits.row) as u32);
            let had = |seen: &[(usize, u32)], bin: u32| {
                let (when, pieces) = seen[bin as usize];
                if when == item { pieces } else { 0 }
            };
            let more: usize = self
                .rows(subtile)
                .map(needs)
                .map(|(bin, pieces)| pieces.saturating_sub(had(&seen, bin)) as usize)
                .sum();
            if subtile > start && (slots + more > limits.slots || subtile - start >= limits.subtiles) {
                Share::close(&mut shares, start..subtile, &mut touched, &seen, limits.slots);
                (item, start, slots) = (item + 1, subtile, 0);
            }
            for (bin, pieces) in self.rows(subtile).map(needs) {
                let (when, own) = &mut seen[bin as usize];
                if *when != item {
                    (*when, *own) = (item, 0);
                    touched.push(bin);
                }
                slots += pieces.saturating_sub(*own) as usize;
                *own = pieces.max(*own);
            }
        }
        Share::close(&mut shares, start..self.first.len() - 1, &mut touched, &seen, limits.slots);
        shares
    }

    /// Cuts the matrix into what blocks with such limits do.
    pub(super) fn cut(self, limits: Limits) -> SubTiles {
        let limits = Limits {
            slots: limits.slots.clamp(1, NO_SLOT as usize),
            subtiles: limits.subtiles.max(1),
            row: limits.row.max(1),
        };
        let shares = self.divide(self.bins, limits);
        let pieces: Vec<Piece> = shares.par_iter().map(|share| self.passes(share, limits)).collect();
        let mut tiles = SubTiles { bins: self.bins, subtiles: self.first.len() - 1, ..SubTiles::default() };
        let all = |len: fn(&Piece) -> usize| pieces.iter().map(len).sum::<usize>();
        tiles.passes.reserve_exact(all(|piece| piece.passes.len()));
        tiles.row_slot.reserve_exact(all(|piece| piece.row_slot.len()));
        tiles.entry_pixel.reserve_exact(all(|piece| piece.entry_pixel.len()));
        tiles.entry_weight.reserve_exact(all(|piece| piece.entry_weight.len()));
        shares.into_iter().zip(pieces).for_each(|(share, piece)| tiles.add(&share, piece));
        tiles.gather();
        tiles
    }

    /// The passes of one item. Offsets count from the item's own first pass and entry.
    fn passes(&self, share: &Share, limits: Limits) -> Piece {
        let mut piece = Piece::default();
        let mut rows = Vec::new();
        for subtile in share.subtiles.clone() {
            rows.clear();
            for (bin, first, len) in self.rows(subtile) {
                for (number, from) in (0..len).step_by(limits.row).enumerate() {
                    if let Ok(slot) = share.slots.binary_search(&(bin, number as u32)) {
                        rows.push((slot as u16, first + from, limits.row.min(len - from)));
                    }
                }
            }
            // Stable: rows of one length stay in the order of their bins.
            rows.sort_by_key(|row| std::cmp::Reverse(row.2.div_ceil(2)));
            let first_pass = piece.passes.len() as u32;
            rows.chunks(ROWS).for_each(|rows| piece.push(self, rows));
            piece.parts.push(XrdctPart { first_pass, passes: piece.passes.len() as u32 - first_pass });
        }
        piece
    }
}

/// What one item is made of.
struct Share {
    subtiles: std::ops::Range<usize>,
    /// Bin, and which of its pieces; ascending.
    slots: Vec<(u32, u32)>,
    /// Whether it is the first that has these sub-tiles.
    counts: bool,
}

impl Share {
    /// Ends an item; more than one when it has more slots than a block has room for.
    fn close(
        shares: &mut Vec<Share>,
        subtiles: std::ops::Range<usize>,
        touched: &mut Vec<u32>,
        seen: &[(usize, u32)],
        most: usize,
    ) {
        touched.sort_unstable();
        let pieces = |bin: u32| (0..seen[bin as usize].1).map(move |piece| (bin, piece));
        let slots: Vec<(u32, u32)> = touched.drain(..).flat_map(pieces).collect();
        shares.extend(slots.chunks(most).enumerate().map(|(n, some)| Share {
            subtiles: subtiles.clone(),
            slots: some.to_vec(),
            counts: n == 0,
        }));
    }
}

/// What one item adds to the matrix.
#[derive(Default)]
struct Piece {
    parts: Vec<XrdctPart>,
    passes: Vec<XrdctPass>,
    row_slot: Vec<u16>,
    entry_pixel: Vec<u16>,
    entry_weight: Vec<f32>,
}

impl Piece {
    /// One pass: up to 32 rows of (slot, first entry, length).
    fn push(&mut self, sorted: &Sorted, rows: &[(u16, usize, usize)]) {
        let pairs = rows.iter().map(|row| row.2.div_ceil(2)).max().unwrap_or(0);
        let first_pair = (self.entry_pixel.len() / 2) as u32;
        self.passes.push(XrdctPass { first_pair, pairs: pairs as u32 });
        self.row_slot.extend(rows.iter().map(|row| row.0));
        self.row_slot.extend(std::iter::repeat_n(NO_SLOT, ROWS - rows.len()));
        for pair in 0..pairs {
            for lane in 0..ROWS {
                // Lanes without a row read what the first one reads, and throw it away.
                let (_, first, own) = rows[if lane < rows.len() { lane } else { 0 }];
                for k in [2 * pair, 2 * pair + 1] {
                    let entry = first + k.min(own - 1);
                    self.entry_pixel.push(sorted.place[entry]);
                    self.entry_weight.push(if k < own { sorted.weight[entry] } else { 0.0 });
                }
            }
        }
    }
}

impl SubTiles {
    /// Cuts a matrix. Pixels for which `valid` is false, and weights of 0, are left out. Same result for any number of threads.
    pub fn build(rows: CsrRows<'_>, valid: impl Fn(usize) -> bool + Sync, limits: Limits) -> SubTiles {
        Sorted::new(rows, &valid).cut(limits)
    }

    fn add(&mut self, share: &Share, piece: Piece) {
        let (first_pass, first_pair) = (self.passes.len() as u32, (self.entry_pixel.len() / 2) as u32);
        let (subtiles, slots) = (&share.subtiles, &share.slots);
        self.items.push(XrdctItem {
            first_subtile: subtiles.start as u32,
            subtiles: subtiles.len() as u32,
            first_part: self.parts.len() as u32,
            first_slot: self.slot_bin.len() as u32,
            slots: slots.len() as u32,
            counts: u32::from(share.counts),
        });
        self.max_slots = self.max_slots.max(slots.len());
        self.slot_bin.extend(slots.iter().map(|slot| slot.0));
        let shift = |part: XrdctPart| XrdctPart { first_pass: part.first_pass + first_pass, ..part };
        self.parts.extend(piece.parts.into_iter().map(shift));
        let shift = |pass: XrdctPass| XrdctPass { first_pair: pass.first_pair + first_pair, ..pass };
        self.passes.extend(piece.passes.into_iter().map(shift));
        self.row_slot.extend(piece.row_slot);
        self.entry_pixel.extend(piece.entry_pixel);
        self.entry_weight.extend(piece.entry_weight);
    }

    /// Lists each bin's slots, in the order of the items.
    fn gather(&mut self) {
        let mut first = vec![0_u32; self.bins + 1];
        self.slot_bin.iter().for_each(|&bin| first[bin as usize + 1] += 1);
        for bin in 0..self.bins {
            first[bin + 1] += first[bin];
        }
        self.bin_first.clone_from(&first);
        self.position = vec![0; self.slot_bin.len()];
        for (slot, &bin) in self.slot_bin.iter().enumerate() {
            let at = &mut first[bin as usize];
            self.position[*at as usize] = slot as u32;
            *at += 1;
        }
    }

    /// Bytes that the matrix takes on the device.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.items[..])
            + size_of_val(&self.parts[..])
            + size_of_val(&self.passes[..])
            + size_of_val(&self.row_slot[..])
            + size_of_val(&self.entry_pixel[..])
            + size_of_val(&self.entry_weight[..])
            + size_of_val(&self.slot_bin[..])
            + size_of_val(&self.bin_first[..])
            + size_of_val(&self.position[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A matrix in which pixel p lies in bin p·bins/pixels and a little in the next.
    fn ramp(bins: usize, pixels: usize) -> (Vec<u32>, Vec<u32>, Vec<f32>) {
        let mut rows = vec![Vec::new(); bins];
        for pixel in 0..pixels {
            let bin = (pixel * 7919 % pixels) * bins / pixels;
            rows[bin].push((pixel as u32, 0.75));
            if bin + 1 < bins {
                rows[bin + 1].push((pixel as u32, 0.25));
            }
        }
        let mut indptr = vec![0];
        let (mut indices, mut weights) = (Vec::new(), Vec::new());
        for mut row in rows {
            row.sort_by_key(|entry| entry.0);
            indices.extend(row.iter().map(|entry| entry.0));
            weights.extend(row.iter().map(|entry| entry.1));
            indptr.push(indices.len() as u32);
        }
        (indptr, indices, weights)
    }

    #[test]
    fn every_entry_is_there_once() {
        let (bins, pixels) = (300, 5000);
        let (indptr, indices, weights) = ramp(bins, pixels);
        for (slots, subtiles, row) in [(1000, 4, 3), (1000, 9, 100), (70, 16, 2)] {
            let limits = Limits { slots, subtiles, row };
            let rows = CsrRows { pixels, indptr: &indptr, indices: &indices, weights: &weights };
            let tiles = SubTiles::build(rows, |pixel| pixel != 17, limits);
            assert!(tiles.max_slots <= limits.slots);
            let mut sums = vec![0.0_f64; bins];
            for item in &tiles.items {
                for subtile in 0..item.subtiles {
                    let part = tiles.parts[(item.first_part + subtile) as usize];
                    for pass in part.first_pass..part.first_pass + part.passes {
                        let XrdctPass { first_pair, pairs } = tiles.passes[pass as usize];
                        for lane in 0..ROWS {
                            let slot = tiles.row_slot[pass as usize * ROWS + lane];
                            if slot == NO_SLOT {
                                continue;
                            }
                            let bin = tiles.slot_bin[item.first_slot as usize + slot as usize] as usize;
                            for k in 0..2 * pairs as usize {
                                let entry = 2 * (first_pair as usize + k / 2 * ROWS + lane) + k % 2;
                                let place = (0..SUBTILE)
                                    .find(|&p| swizzle(p) == tiles.entry_pixel[entry] as usize)
                                    .unwrap();
                                let pixel = (item.first_subtile + subtile) as usize * SUBTILE + place;
                                sums[bin] += f64::from(tiles.entry_weight[entry]) * (pixel + 1) as f64;
                            }
                        }
                    }
                }
            }
            for bin in 0..bins {
                let entries = indptr[bin] as usize..indptr[bin + 1] as usize;
                let expected: f64 = entries
                    .filter(|&entry| indices[entry] != 17)
                    .map(|entry| f64::from(weights[entry]) * f64::from(indices[entry] + 1))
                    .sum();
                assert_eq!(sums[bin], expected, "bin {bin}");
            }
            assert_eq!(tiles.position.len(), tiles.slot_bin.len());
        }
    }
}
