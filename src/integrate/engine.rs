//! The host's integrator: frames in, powder patterns out. What it computes defines what the GPU must compute.
//!
//! A pattern is a sparse matrix (bins × pixels) times the corrected pixels, pyFAI's formulas (`ext/CSR_common.pxi`,
//! integrate_ng) in `f64`: S = Σ c·(raw − dark), V = Σ c²·var, N = Σ c·norm, N₂ = Σ (c·norm)², C = Σ c; intensity = S / N,
//! errors = √V / N (the standard error of the mean). Each bin is summed in ascending order of its pixels, one entry at a
//! time. The bits of a result therefore depend on the frame and the [`Recipe`] alone: not on the CPU's instructions, the
//! size of the tiles, the thread, or the frames it is integrated with.
//!
//! The work is arranged for cache. Up to eight frames go together, tile by tile of a few thousand pixels:
//!
//! ```text
//! frame 0  decode T pixels ─▶ signal, invalid pixels ─┐
//! frame 1  decode T pixels ─▶ signal, invalid pixels ─┼─▶ side by side ─▶ the tile's entries ─▶ sums[bin][8]
//!   ⋮                                                 │    [pixel][8]      are read once
//! ```
//!
//! so decoded pixels never leave the cache and the matrix is read once for eight frames. A frame whose bytes do not decode
//! drops out and leaves its neighbours alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::codec::Pixel;
use crate::codec::byte_offset::Simd;
use crate::frame::{Frame, FrameHeader, Norms, Outcome, PixelType, Shape};
use crate::geometry::detector::Dummy;
use crate::integrate::csr::Csr;
use crate::integrate::pattern::{self, FrameFacts};
use crate::integrate::reduction::Reduction;
use crate::with_pixel;

mod kernel;
mod norms;
mod prepare;
mod stream;
mod tile;

use kernel::{BinSums, Counts, Power, Reach};
use norms::NormsOf;
use prepare::{InvalidRun, Prepare, Prepared};
use stream::PixelStream;
use tile::FusedMatrix;

/// Frames that share one pass over the matrix.
pub const GROUP: usize = kernel::GROUP;

/// From which count on a pixel is saturated, and what becomes of it.
///
/// Counts are compared as `f32`, as dummies are; a dummy is never saturated. Saturated pixels of the matrix are counted for
/// each frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Saturation {
    /// The cutoff of frames that do not say one themselves; infinite when nobody knows.
    pub cutoff: f32,
    /// Whether a frame's own `Count_cutoff` goes before.
    pub by_header: bool,
    /// Whether saturated pixels are invalid, like dummies.
    pub masked: bool,
}

impl Default for Saturation {
    /// Counted where a frame's header says from when on, and kept.
    fn default() -> Self {
        Saturation { cutoff: f32::INFINITY, by_header: true, masked: false }
    }
}

impl Saturation {
    /// The cutoff of one frame; positive, or infinite.
    pub fn cutoff_of(&self, header: &FrameHeader) -> f32 {
        match header.count_cutoff {
            Some(own) if self.by_header && own as f32 > 0.0 => own as f32,
            _ => self.cutoff,
        }
    }
}

/// Everything that an integrator needs to know before the first frame.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// Weights of pixels in bins. Entries of a row ascend in pixel.
    pub csr: Csr,
    /// N₀ · flat · polarisation · solid angle of each pixel. A pixel is invalid where this is 0 or not finite.
    pub normalization: Vec<f32>,
    /// Subtracted from each pixel. A pixel is invalid where this is not finite.
    pub dark: Option<Vec<f32>>,
    /// Raw values that mean "no value".
    pub dummy: Option<Dummy>,
    /// Which pixels are saturated.
    pub saturation: Saturation,
    /// What a bin makes of its pixels.
    pub reduction: Reduction,
    /// What intensity and errors are in a bin where N₂ = 0.
    pub empty: f32,
    /// Shape of the frames.
    pub shape: Shape,
    /// Type of the frames' pixels.
    pub pixel: PixelType,
}

/// Parts of a [`Recipe`] that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecipeError {
    /// An array has another length than the image has pixels.
    #[error("{what} has {found} values, but an image of {shape} has {}: make it for this detector", .shape.pixels())]
    Length {
        /// Which array.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The recipe's shape.
        shape: Shape,
    },
    /// The sparse matrix is not one.
    #[error("the sparse matrix is broken at bin {bin}: {cause}")]
    Matrix {
        /// The first row that is wrong.
        bin: usize,
        /// What is wrong with it.
        cause: &'static str,
    },
}

impl Recipe {
    /// Makes pixels invalid whose flat-field value is a dummy, as pyFAI does: without a dummy those whose flat is 0, with
    /// one those whose flat passes for it.
    ///
    /// To be called by whoever multiplies `flat` into the normalisation, with the same array.
    pub fn exclude_flat(&mut self, flat: &[f32]) {
        let dummy = self.dummy.unwrap_or(Dummy { value: 0.0, delta: 0.0 });
        let dummy = prepare::Invalid::from(dummy);
        for (normalization, flat) in self.normalization.iter_mut().zip(flat) {
            if dummy.has(*flat) {
                *normalization = 0.0;
            }
        }
    }

    /// Whether pixel `pixel` is valid as far as one can say without a frame.
    pub fn is_valid(&self, pixel: usize) -> bool {
        let normalization = self.normalization[pixel];
        normalization.is_finite()
            && normalization != 0.0
            && self.dark.as_ref().is_none_or(|dark| dark[pixel].is_finite())
    }

    fn check(&self) -> Result<(), RecipeError> {
        let pixels = self.shape.pixels();
        let length = |what, found| match found == pixels {
            true => Ok(()),
            false => Err(RecipeError::Length { what, found, shape: self.shape }),
        };
        length("the sparse matrix", self.csr.pixels)?;
        length("the normalisation", self.normalization.len())?;
        length("the dark image", self.dark.as_ref().map_or(pixels, Vec::len))?;
        let Csr { indptr, indices, weights, .. } = &self.csr;
        let broken = |bin, cause| Err(RecipeError::Matrix { bin, cause });
        if indices.len() != weights.len() || indptr.last().map_or(0, |end| *end as usize) != indices.len() {
            return broken(indptr.len().saturating_sub(1), "its arrays have different lengths");
        }
        for (bin, row) in indptr.windows(2).enumerate() {
            let Some(row) = indices.get(row[0] as usize..row[1] as usize) else {
                return broken(bin, "the row ends before it begins");
            };
            if !row.is_sorted() {
                return broken(bin, "pixels do not ascend");
            }
            if row.last().is_some_and(|last| *last as usize >= pixels) {
                return broken(bin, "a pixel is outside the image");
            }
        }
        Ok(())
    }

    /// Takes entries out of the matrix that contribute to no frame; says which pixels have one left.
    fn prune(&mut self) -> Vec<u8> {
        let mut used = vec![0; self.shape.pixels()];
        let mut kept = 0;
        let mut start = 0;
        for bin in 1..self.csr.indptr.len() {
            let end = self.csr.indptr[bin] as usize;
            for entry in start..end {
                let (pixel, weight) = (self.csr.indices[entry], self.csr.weights[entry]);
                if weight != 0.0 && self.is_valid(pixel as usize) {
                    used[pixel as usize] = 1;
                    self.csr.indices[kept] = pixel;
                    self.csr.weights[kept] = weight;
                    kept += 1;
                }
            }
            self.csr.indptr[bin] = kept as u32;
            start = end;
        }
        self.csr.indices.truncate(kept);
        self.csr.weights.truncate(kept);
        used
    }
}

/// Choices that change the speed and never a result.
#[derive(Debug, Clone, Copy)]
pub struct Tuning {
    /// Instructions to use; those that the CPU lacks are replaced by plain ones.
    pub simd: Simd,
    /// Pixels in a tile, at most 65536.
    pub tile_pixels: usize,
}

impl Default for Tuning {
    /// The best instructions, and the tile that was fastest (profiles/notes/engine-cpu.md).
    fn default() -> Self {
        Tuning { simd: Simd::best(), tile_pixels: 4096 }
    }
}

/// Integrates frames; shared by threads, each of which has its own [`Scratch`].
#[derive(Debug)]
pub struct Engine {
    tiles: FusedMatrix,
    prepare: Prepare,
    saturation: Saturation,
    norms: NormsOf,
    empty: f32,
    shape: Shape,
    pixel: PixelType,
    simd: Simd,
}

/// What one thread needs to integrate: tiles of pixels, sums. Made once, used for every frame.
#[derive(Debug, Default)]
pub struct Scratch {
    signal: Kind,
    /// Empty without an error model.
    variance: Kind,
    /// Invalid pixels of each frame.
    invalid: [Vec<InvalidRun>; GROUP],
    /// How many are saturated.
    saturated: [u32; GROUP],
    /// Time that decoding took since it was asked for; none when it was not.
    decoding: Option<Duration>,
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

/// Pixels that are decoded, prepared and laid side by side at a time: 32 KiB for eight frames. Half or double as many are
/// as fast (profiles/notes/engine-cpu.md).
const RUN: usize = 1024;

/// From one lane to the next. One cache line off a power of two, or eight lanes would share the sets of the cache.
const STRIDE: usize = RUN + 16;

impl Engine {
    /// Prepares for frames of one kind.
    ///
    /// # Errors
    /// When the recipe's arrays do not fit its shape or the matrix is not a valid one.
    pub fn new(recipe: Recipe) -> Result<Engine, RecipeError> {
        Engine::with_tuning(recipe, Tuning::default())
    }

    /// [`Engine::new`] with other choices than the default ones.
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub fn with_tuning(mut recipe: Recipe, tuning: Tuning) -> Result<Engine, RecipeError> {
        recipe.check()?;
        let used = recipe.prune();
        let poisson = recipe.reduction.errors.has_variance();
        // The transpose takes four pixels at a time.
        let tile_pixels = tuning.tile_pixels.clamp(4, 1 << 16).next_multiple_of(4);
        Ok(Engine {
            tiles: FusedMatrix::new(&recipe.csr, tile_pixels),
            prepare: Prepare::new(used, recipe.dark, recipe.dummy, recipe.saturation.masked, poisson),
            saturation: recipe.saturation,
            norms: NormsOf::new(recipe.csr, recipe.normalization),
            empty: recipe.empty,
            shape: recipe.shape,
            pixel: recipe.pixel,
            simd: if tuning.simd.is_available() { tuning.simd } else { Simd::Scalar },
        })
    }

    /// Number of bins.
    pub fn npt(&self) -> usize {
        self.tiles.bins()
    }

    /// N, N₂ and C of a frame without invalid pixels of its own.
    pub fn static_norms(&self) -> Arc<Norms> {
        Arc::clone(self.norms.all_valid())
    }

    /// Bytes of the matrix that are read once for each group of frames.
    pub fn matrix_bytes(&self) -> usize {
        self.tiles.bytes()
    }

    /// Integrates frames, [`GROUP`] at a time; outcomes are in the order of the frames.
    pub fn integrate(&self, frames: &[Frame], scratch: &mut Scratch) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(frames.len());
        for group in frames.chunks(GROUP) {
            with_pixel!(self.pixel, T => self.group::<T>(group, scratch, &mut outcomes));
        }
        outcomes
    }

    /// Integrates up to [`GROUP`] frames together.
    fn group<T: Pixel>(&self, frames: &[Frame], scratch: &mut Scratch, outcomes: &mut Vec<Outcome>) {
        scratch.clear(self);
        let open = |frame| PixelStream::open(frame, self.shape, self.pixel, self.simd);
        let mut lanes: Vec<PixelStream> = frames.iter().map(open).collect();
        let cutoffs: Vec<f32> = frames.iter().map(|f| self.saturation.cutoff_of(&f.header)).collect();
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
                        self.prepare.run(self.simd, first, raw, cutoffs[at], scratch.lane(at, raw.len()));
                    }
                }
                scratch.lay_side_by_side(self.simd, frames.len(), first - pixels.start, raw.len());
            }
            if lanes.iter().all(PixelStream::is_bad) {
                break;
            }
            self.sum(tile, frames.len(), scratch);
        }
        for (at, lane) in lanes.into_iter().enumerate() {
            outcomes.push(lane.close().and_then(|frame| self.pattern(frame, at, frames.len(), scratch)));
        }
    }

    /// Adds a tile of all frames to their sums.
    fn sum(&self, tile: usize, frames: usize, scratch: &mut Scratch) {
        let view = self.tiles.view(tile);
        let reach = Reach { pixels: self.tiles.tile_pixels(), bins: self.tiles.bins() };
        let with_variance = self.prepare.has_variance();
        for (kind, power) in [(&mut scratch.signal, Power::One), (&mut scratch.variance, Power::Two)] {
            if power == Power::Two && !with_variance {
                continue;
            }
            match frames {
                1 => kernel::accumulate_one(power, view, reach, &kind.one, &mut kind.sums_one),
                _ => kernel::accumulate(self.simd, power, view, reach, &kind.counts, &mut kind.sums),
            }
        }
    }

    /// What became of the frame in lane `at`, which was decoded.
    fn pattern(&self, frame: &Frame, at: usize, frames: usize, scratch: &Scratch) -> Outcome {
        let sums = |kind: &Kind| -> Vec<f64> {
            match frames {
                1 => kind.sums_one[..self.npt()].to_vec(),
                _ => kind.sums[..self.npt()].iter().map(|sums| sums.0[at]).collect(),
            }
        };
        let sums = pattern::Sums {
            signal: sums(&scratch.signal),
            variance: self.prepare.has_variance().then(|| sums(&scratch.variance)),
            norms: self.norms.without(&scratch.invalid[at], &self.tiles),
        };
        let of = FrameFacts {
            id: frame.id,
            origin: &frame.origin,
            header: frame.header.clone(),
            factor: frame.factor,
            saturated: scratch.saturated[at],
        };
        pattern::pattern(of, sums, self.empty)
    }
}

impl Scratch {
    /// Whether the time that decoding takes is to be kept, beginning at zero. The clock costs some percent, being read twice
    /// for each frame's thousand pixels.
    pub fn time_decoding(&mut self, on: bool) {
        self.decoding = on.then_some(Duration::ZERO);
    }

    /// The time that decoding took since [`Scratch::time_decoding`]; none when it is not kept.
    pub fn decoding(&self) -> Option<Duration> {
        self.decoding
    }

    /// Makes room for `engine`'s tiles and sets all sums to 0.
    fn clear(&mut self, engine: &Engine) {
        let kinds = [(&mut self.signal, true), (&mut self.variance, engine.prepare.has_variance())];
        for (kind, is_there) in kinds {
            let size = |size: usize| if is_there { size } else { 0 };
            kind.lanes.resize(size(GROUP * STRIDE), 0.0);
            kind.counts.resize(size(engine.tiles.tile_pixels()), Counts::default());
            kind.one.resize(size(engine.tiles.tile_pixels()), 0.0);
            kind.sums.clear();
            kind.sums.resize(size(engine.npt() + 1), BinSums::default());
            kind.sums_one.clear();
            kind.sums_one.resize(size(engine.npt() + 1), 0.0);
        }
        self.invalid.iter_mut().for_each(Vec::clear);
        self.saturated = [0; GROUP];
    }

    /// Where the first `pixels` pixels of a run of frame `at` go.
    fn lane(&mut self, at: usize, pixels: usize) -> Prepared<'_> {
        let lane = at * STRIDE..at * STRIDE + pixels;
        Prepared {
            signal: &mut self.signal.lanes[lane.clone()],
            variance: self.variance.lanes.get_mut(lane),
            invalid: &mut self.invalid[at],
            saturated: &mut self.saturated[at],
        }
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
