//! The route of means: decoded pixels are summed while they are in cache.
//!
//! ```text
//! frame 0  decode T pixels ─▶ signal, invalid pixels ─┐
//! frame 1  decode T pixels ─▶ signal, invalid pixels ─┼─▶ side by side ─▶ the tile's entries ─▶ sums[bin][8]
//!   ⋮                                                 │    [pixel][8]      are read once
//! ```
//!
//! so decoded pixels never leave the cache and the matrix is read once for eight frames, tile by tile of a few thousand pixels.

use std::time::Instant;

use super::azimuthal::{self, Moments};
use super::kernel::{self, BinSums, Counts, GROUP, Power, Reach};
use super::prepare::Prepared;
use super::stream::PixelStream;
use super::tile::FusedMatrix;
use super::{Engine, RUN, STRIDE, Scratch};
use crate::codec::Pixel;
use crate::codec::byte_offset::Simd;
use crate::frame::{Frame, Outcome};
use crate::integrate::csr::Csr;
use crate::integrate::pattern;

/// The matrix in tiles.
#[derive(Debug)]
pub(super) struct FusedRoute {
    tiles: FusedMatrix,
    /// Whether errors come from how the pixels of a bin differ.
    is_azimuthal: bool,
}

/// Tiles of pixels, sums.
#[derive(Debug, Default)]
pub(super) struct FusedScratch {
    signal: Kind,
    /// Empty where pixels have no variance.
    variance: Kind,
    /// What pixels are compared with, frames side by side; or of the only frame. Empty without azimuthal errors.
    moments: Vec<Moments<GROUP>>,
    moments_one: Vec<Moments<1>>,
}

/// What is summed with one power of the weights.
#[derive(Debug, Default)]
struct Kind {
    /// A run of pixels, frame after frame.
    lanes: Vec<f32>,
    /// A tile of pixels, frames side by side; or of the only frame.
    counts: Vec<Counts>,
    one: Vec<f64>,
    /// Sums of the bins, frames side by side; or of the only frame.
    sums: Vec<BinSums>,
    sums_one: Vec<f64>,
}

impl FusedRoute {
    /// Cuts a matrix in tiles.
    pub(super) fn new(csr: &Csr, tile_pixels: usize, is_azimuthal: bool) -> FusedRoute {
        // The transpose takes four pixels at a time.
        let tile_pixels = tile_pixels.clamp(4, 1 << 16).next_multiple_of(4);
        FusedRoute { tiles: FusedMatrix::new(csr, tile_pixels), is_azimuthal }
    }

    /// Bytes that one pass over the matrix reads.
    pub(super) fn matrix_bytes(&self) -> usize {
        self.tiles.bytes()
    }

    /// Integrates up to [`GROUP`] frames together.
    pub(super) fn group<T: Pixel>(
        &self,
        engine: &Engine,
        frames: &[Frame],
        scratch: &mut Scratch,
        outcomes: &mut Vec<Outcome>,
    ) {
        scratch.fused.clear(engine, self);
        let open = |frame| PixelStream::open(frame, engine.shape, engine.pixel, engine.simd);
        let mut lanes: Vec<PixelStream> = frames.iter().map(open).collect();
        let cutoffs: Vec<f32> = frames.iter().map(|f| engine.saturation.cutoff_of(&f.header)).collect();
        let mut raw = [T::default(); RUN];
        for tile in 0..self.tiles.len() {
            let pixels = self.tiles.pixels(tile);
            for first in pixels.clone().step_by(RUN) {
                let raw = &mut raw[..RUN.min(pixels.end - first)];
                for (at, lane) in lanes.iter_mut().enumerate() {
                    let begun = scratch.decoding.is_some().then(Instant::now);
                    let is_good = lane.next(raw);
                    if let (Some(decoding), Some(begun)) = (&mut scratch.decoding, begun) {
                        *decoding += begun.elapsed();
                    }
                    if is_good {
                        engine.prepare.run(engine.simd, first, raw, cutoffs[at], scratch.lane(at, raw.len()));
                    }
                }
                scratch.fused.lay_side_by_side(engine.simd, frames.len(), first - pixels.start, raw.len());
            }
            if lanes.iter().all(PixelStream::is_bad) {
                break;
            }
            self.sum(engine, tile, frames.len(), &mut scratch.fused);
        }
        for (at, lane) in lanes.into_iter().enumerate() {
            outcomes.push(lane.close().and_then(|frame| {
                let sums = self.sums(engine, at, frames.len(), scratch);
                engine.pattern(frame, sums, scratch.saturated[at])
            }));
        }
    }

    /// Adds a tile of all frames to their sums.
    fn sum(&self, engine: &Engine, tile: usize, frames: usize, scratch: &mut FusedScratch) {
        let view = self.tiles.view(tile);
        let reach = Reach { pixels: self.tiles.tile_pixels(), bins: self.tiles.bins() };
        if self.is_azimuthal {
            let norms = &engine.norms.normalization()[self.tiles.pixels(tile)];
            let FusedScratch { signal, moments, moments_one, .. } = scratch;
            match frames {
                1 => azimuthal::accumulate_one(view, norms, &signal.one, moments_one),
                _ => azimuthal::accumulate(engine.simd, view, norms, &signal.counts, moments),
            }
            return;
        }
        let with_variance = engine.prepare.has_variance();
        for (kind, power) in [(&mut scratch.signal, Power::One), (&mut scratch.variance, Power::Two)] {
            if power == Power::Two && !with_variance {
                continue;
            }
            match frames {
                1 => kernel::accumulate_one(power, view, reach, &kind.one, &mut kind.sums_one),
                _ => kernel::accumulate(engine.simd, power, view, reach, &kind.counts, &mut kind.sums),
            }
        }
    }

    /// The sums of the frame in lane `at`.
    fn sums(&self, engine: &Engine, at: usize, frames: usize, scratch: &Scratch) -> pattern::Sums {
        let norms = engine.norms.without(&scratch.invalid[at], Some(&self.tiles));
        let npt = self.tiles.bins();
        let FusedScratch { signal, variance, moments, moments_one } = &scratch.fused;
        if self.is_azimuthal {
            let (signal, variance) = match frames {
                1 => moments_one[..npt].iter().map(|of| of.sums(0)).unzip(),
                _ => moments[..npt].iter().map(|of| of.sums(at)).unzip(),
            };
            return pattern::Sums { signal, variance: Some(variance), norms, chosen: false };
        }
        let sums = |kind: &Kind| -> Vec<f64> {
            match frames {
                1 => kind.sums_one[..npt].to_vec(),
                _ => kind.sums[..npt].iter().map(|sums| sums.0[at]).collect(),
            }
        };
        pattern::Sums {
            signal: sums(signal),
            variance: engine.prepare.has_variance().then(|| sums(variance)),
            norms,
            chosen: false,
        }
    }
}

impl Scratch {
    /// Where the first `pixels` pixels of a run of frame `at` go.
    fn lane(&mut self, at: usize, pixels: usize) -> Prepared<'_> {
        let lane = at * STRIDE..at * STRIDE + pixels;
        Prepared {
            signal: &mut self.fused.signal.lanes[lane.clone()],
            variance: self.fused.variance.lanes.get_mut(lane),
            invalid: &mut self.invalid[at],
            saturated: &mut self.saturated[at],
        }
    }
}

impl FusedScratch {
    /// Makes room for the engine's tiles and sets all sums to 0.
    fn clear(&mut self, engine: &Engine, fused: &FusedRoute) {
        let kinds = [(&mut self.signal, true), (&mut self.variance, engine.prepare.has_variance())];
        for (kind, is_there) in kinds {
            let size = |size: usize| if is_there { size } else { 0 };
            kind.lanes.resize(size(GROUP * STRIDE), 0.0);
            kind.counts.resize(size(fused.tiles.tile_pixels()), Counts::default());
            kind.one.resize(size(fused.tiles.tile_pixels()), 0.0);
            kind.sums.clear();
            kind.sums.resize(size(engine.bins + 1), BinSums::default());
            kind.sums_one.clear();
            kind.sums_one.resize(size(engine.bins + 1), 0.0);
        }
        let bins = if fused.is_azimuthal { engine.bins + 1 } else { 0 };
        self.moments.clear();
        self.moments.resize(bins, Moments::default());
        self.moments_one.clear();
        self.moments_one.resize(bins, Moments::default());
    }

    /// Puts a run of `pixels` pixels in its place `at` in the tile.
    fn lay_side_by_side(&mut self, simd: Simd, frames: usize, at: usize, pixels: usize) {
        for kind in [&mut self.signal, &mut self.variance] {
            if kind.lanes.is_empty() {
                continue;
            }
            if frames == 1 {
                for (one, count) in kind.one[at..].iter_mut().zip(&kind.lanes[..pixels]) {
                    *one = f64::from(*count);
                }
            } else {
                let out = &mut kind.counts[at..at + pixels.next_multiple_of(4)];
                kernel::side_by_side(simd, &kind.lanes, STRIDE, out);
            }
        }
    }
}
