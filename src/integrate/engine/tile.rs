//! The sparse matrix, cut so that decoded pixels are used while they are in cache.
//!
//! A [`Csr`] row runs over the whole image; a decoder gives pixels in frame order. So the image is cut in tiles of pixels
//! in frame order, and each tile keeps its own entries: for each bin that the tile reaches, a *segment* of (pixel, weight).
//! Segments of nearly equal length are put side by side, eight to a *pack*, entry by entry (a sliced ELLPACK layout with
//! the tile as its sorting window): eight sums then grow at once, which hides the latency of an addition, and the inner
//! loop has no branch of its own.
//!
//! ```text
//! pack   bins      17   18  103  104  …        8 segments
//! row 0  (pixel,w) (pixel,w) (pixel,w) …       their first entries
//! row 1  (pixel,w) (pixel,w) (pixel,w) …       their second entries; a segment that has ended repeats its last pixel
//! …                                            with weight 0, which adds nothing
//! ```
//!
//! A bin has at most one segment in a tile and tiles follow each other in pixel order, so every bin is summed in ascending
//! order of its pixels, one entry at a time: the order of the matrix itself, whatever the size of the tiles.

use std::ops::Range;

use rayon::prelude::*;

use crate::integrate::csr::Csr;

/// Segments in a pack: what one 512-bit register of sums holds for a single frame, and how many independent sums it takes
/// to hide an addition of 4 cycles at 2 a cycle.
pub(super) const SIDE: usize = 8;

/// Pixels of one row of a pack, counted from the start of the tile.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(16))]
pub(super) struct PixelOffsets(pub(super) [u16; SIDE]);

/// Weights of one row of a pack.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(32))]
pub(super) struct Weights(pub(super) [f32; SIDE]);

/// Eight segments side by side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pack {
    /// The bin of each segment; [`FusedMatrix::bins`] (one past the last) for a place without a segment.
    pub(super) bins: [u32; SIDE],
    /// Rows: the length of the longest segment.
    pub(super) rows: u32,
}

/// A run of pixels and where its entries are.
#[derive(Debug, Clone, PartialEq)]
struct Tile {
    pixels: Range<usize>,
    packs: Range<usize>,
    rows: Range<usize>,
}

/// The entries of one tile.
#[derive(Debug, Clone, Copy)]
pub(super) struct TileView<'a> {
    packs: &'a [Pack],
    places: &'a [PixelOffsets],
    weights: &'a [Weights],
}

impl<'a> TileView<'a> {
    /// Each pack with its rows.
    #[inline(always)]
    pub(super) fn packs(self) -> impl Iterator<Item = (&'a Pack, &'a [PixelOffsets], &'a [Weights])> {
        let TileView { packs, mut places, mut weights } = self;
        packs.iter().map(move |pack| {
            let (these_places, later_places) = places.split_at(pack.rows as usize);
            let (these_weights, later_weights) = weights.split_at(pack.rows as usize);
            (places, weights) = (later_places, later_weights);
            (pack, these_places, these_weights)
        })
    }
}

/// A sparse matrix in tiles.
///
/// Holds for every view: each place is smaller than the number of pixels in the tile, each bin at most [`FusedMatrix::bins`],
/// and the packs' rows add up to the number of rows.
#[derive(Debug, Clone)]
pub(super) struct FusedMatrix {
    tile_pixels: usize,
    bins: usize,
    count: usize,
    /// Tiles in each part but the last: parts are made in parallel and stay where they were made.
    in_part: usize,
    parts: Vec<Part>,
}

/// Some consecutive tiles and their entries.
#[derive(Debug, Clone, Default)]
struct Part {
    tiles: Vec<Tile>,
    packs: Vec<Pack>,
    places: Vec<PixelOffsets>,
    weights: Vec<Weights>,
}

impl FusedMatrix {
    /// Cuts `csr`, whose rows must ascend in pixel, in tiles of `tile_pixels` (at most 65536, the reach of a place).
    pub(super) fn new(csr: &Csr, tile_pixels: usize) -> FusedMatrix {
        let tile_pixels = tile_pixels.clamp(1, 1 << 16);
        let count = csr.pixels.div_ceil(tile_pixels);
        // A part finds its first entries by bisection and walks on from there. Several parts a thread, because tiles
        // differ in entries.
        let in_part = count.div_ceil(8 * rayon::current_num_threads()).max(1);
        let firsts: Vec<usize> = (0..count).step_by(in_part).collect();
        let part = |first: usize| Part::new(csr, tile_pixels, first..(first + in_part).min(count));
        let parts = firsts.into_par_iter().map(part).collect();
        FusedMatrix { tile_pixels, bins: csr.bins(), count, in_part, parts }
    }

    /// Pixels in a tile; the last tile may have fewer.
    pub(super) fn tile_pixels(&self) -> usize {
        self.tile_pixels
    }

    /// Bins of the matrix.
    pub(super) fn bins(&self) -> usize {
        self.bins
    }

    /// Number of tiles.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Which pixels tile `tile` has.
    pub(super) fn pixels(&self, tile: usize) -> Range<usize> {
        self.parts[tile / self.in_part].tiles[tile % self.in_part].pixels.clone()
    }

    /// The entries of tile `tile`.
    pub(super) fn view(&self, tile: usize) -> TileView<'_> {
        let part = &self.parts[tile / self.in_part];
        let tile = &part.tiles[tile % self.in_part];
        TileView {
            packs: &part.packs[tile.packs.clone()],
            places: &part.places[tile.rows.clone()],
            weights: &part.weights[tile.rows.clone()],
        }
    }

    /// Bytes that one pass over the matrix reads.
    pub(super) fn bytes(&self) -> usize {
        let bytes = |part: &Part| {
            size_of_val(&part.packs[..]) + size_of_val(&part.places[..]) + size_of_val(&part.weights[..])
        };
        self.parts.iter().map(bytes).sum()
    }
}

impl Part {
    /// The tiles `which`.
    fn new(csr: &Csr, tile_pixels: usize, which: Range<usize>) -> Part {
        let mut part = Part::default();
        let mut cursors: Vec<usize> = (0..csr.bins())
            .map(|bin| {
                let row = csr.indptr[bin] as usize..csr.indptr[bin + 1] as usize;
                let before = |pixel: &u32| (*pixel as usize) < which.start * tile_pixels;
                row.start + csr.indices[row].partition_point(before)
            })
            .collect();
        let mut segments = Vec::new();
        for tile in which {
            let pixels = tile * tile_pixels..((tile + 1) * tile_pixels).min(csr.pixels);
            segments.clear();
            for (bin, cursor) in cursors.iter_mut().enumerate() {
                let rest = &csr.indices[*cursor..csr.indptr[bin + 1] as usize];
                let inside = rest.iter().take_while(|pixel| (**pixel as usize) < pixels.end).count();
                if inside > 0 {
                    segments.push(Segment { bin, entries: *cursor..*cursor + inside });
                }
                *cursor += inside;
            }
            part.push(csr, pixels, &mut segments);
        }
        part
    }

    /// Adds the tile that has these segments.
    fn push(&mut self, csr: &Csr, pixels: Range<usize>, segments: &mut [Segment]) {
        let (first_pack, first_row) = (self.packs.len(), self.places.len());
        segments.sort_unstable_by_key(|segment| (segment.entries.len(), segment.bin));
        for side in segments.chunks(SIDE) {
            let rows = side.iter().map(|segment| segment.entries.len()).max().unwrap_or(0);
            let mut bins = [csr.bins() as u32; SIDE];
            for (bin, segment) in bins.iter_mut().zip(side) {
                *bin = segment.bin as u32;
            }
            self.packs.push(Pack { bins, rows: rows as u32 });
            for row in 0..rows {
                let mut places = PixelOffsets([0; SIDE]);
                let mut weights = Weights([0.0; SIDE]);
                for (lane, segment) in side.iter().enumerate() {
                    let entry = segment.entries.start + row.min(segment.entries.len() - 1);
                    places.0[lane] = (csr.indices[entry] as usize - pixels.start) as u16;
                    if row < segment.entries.len() {
                        weights.0[lane] = csr.weights[entry];
                    }
                }
                self.places.push(places);
                self.weights.push(weights);
            }
        }
        self.tiles.push(Tile {
            pixels,
            packs: first_pack..self.packs.len(),
            rows: first_row..self.places.len(),
        });
    }
}

/// The entries of one bin in one tile.
struct Segment {
    bin: usize,
    /// In the matrix's own arrays.
    entries: Range<usize>,
}
