//! The host's integrator: frames in, powder patterns out. What it computes defines what the GPU must compute.
//!
//! A pattern is a sparse matrix (bins × pixels) times the corrected pixels, pyFAI's formulas (`ext/CSR_common.pxi`,
//! integrate_ng) in `f64`: S = Σ c·(raw − dark), V = Σ c²·var, N = Σ c·norm, N₂ = Σ (c·norm)², C = Σ c; intensity = S / N,
//! errors = √V / N (the standard error of the mean). Each bin is summed in ascending order of its pixels, one entry at a
//! time. The bits of a result therefore depend on the frame and the [`Recipe`] alone: not on the CPU's instructions, the
//! size of the tiles, the thread, or the frames it is integrated with.
//!
//! Up to eight frames go together, on one of three routes; all add in ascending pixels. What can be summed while pixels come, a mean
//! with any errors, is fused with decoding; but where its bins are too many for a core's cache, it goes bin by bin over frames that are decoded as
//! a whole. So does what must see a bin's pixels more than once, because some of them are left
//! out for what they counted. `integrate/law.rs` says what each must find, to the bit. A frame whose bytes do not decode drops out and leaves its neighbours alone.

use std::sync::Arc;
use std::time::Duration;

use crate::codec::byte_offset::Simd;
use crate::frame::{Frame, FrameHeader, Norms, Outcome, PixelType, Shape};
use crate::geometry::detector::Dummy;
use crate::integrate::csr::Csr;
use crate::integrate::pattern::{self, FrameFacts, Sums};
use crate::integrate::reduction::{ErrorModel, Reduction};
use crate::with_pixel;

mod azimuthal;
mod fused;
mod gather;
mod kernel;
mod many_bins;
mod norms;
mod prepare;
mod stream;
mod tile;
mod whole;
mod wide;

use fused::{FusedRoute, FusedScratch};
use gather::{Gather, GatherScratch};
use many_bins::ManyBins;
use norms::NormsOf;
use prepare::{InvalidRun, PixelVariance, Prepare};
use whole::WholeFrames;

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
            && self.reduction.errors.image().is_none_or(|variance| variance[pixel].is_finite())
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
        length("the variance", self.reduction.errors.image().map_or(pixels, <[f32]>::len))?;
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
    /// From so many bins on means go bin by bin.
    pub many_bins: usize,
}

impl Default for Tuning {
    /// The best instructions, and the tile that was fastest (profiles/notes/engine-cpu.md). Means go bin by bin when the sums of a group no longer fit in
    /// two megabytes (profiles/notes/semantics.md).
    fn default() -> Self {
        Tuning { simd: Simd::best(), tile_pixels: 4096, many_bins: MANY_BINS }
    }
}

/// See [`Tuning::default`].
const MANY_BINS: usize = 1 << 15;

/// Integrates frames; shared by threads, each of which has its own [`Scratch`].
#[derive(Debug)]
pub struct Engine {
    route: Route,
    prepare: Prepare,
    saturation: Saturation,
    norms: NormsOf,
    bins: usize,
    empty: f32,
    shape: Shape,
    pixel: PixelType,
    simd: Simd,
}

/// How frames become sums.
#[derive(Debug)]
enum Route {
    /// While they are decoded.
    Fused(FusedRoute),
    /// Bin by bin, when they are decoded.
    ManyBins(ManyBins),
    /// The same, with some of a bin's pixels chosen.
    Gather(Gather),
}

/// What one thread needs to integrate: pixels, sums. Made once, used for every frame.
#[derive(Debug, Default)]
pub struct Scratch {
    fused: FusedScratch,
    whole: WholeFrames,
    gather: GatherScratch,
    /// Invalid pixels of each frame.
    invalid: [Vec<InvalidRun>; GROUP],
    /// How many are saturated.
    saturated: [u32; GROUP],
    /// Time that decoding took since it was asked for; none when it was not.
    decoding: Option<Duration>,
}

/// Pixels that are decoded, prepared and laid side by side at a time: 32 KiB for eight frames. Half or double as many are
/// as fast (profiles/notes/engine-cpu.md).
const RUN: usize = 1024;

/// From one lane to the next. One cache line off a power of two, or eight lanes would share the sets of the cache.
const STRIDE: usize = RUN + 16;

/// Bytes that a thread takes of every pixel where it goes bin by bin over frames of a group that are decoded as a whole; none where it does not.
pub fn whole_pixel_bytes(reduction: &Reduction, bins: usize) -> usize {
    let planes = match (reduction.statistic.chooses(), &reduction.errors) {
        (true, _) => 1,
        (false, _) if bins < MANY_BINS => 0,
        (false, ErrorModel::None | ErrorModel::Azimuthal) => 1,
        (false, ErrorModel::Poisson | ErrorModel::Hybrid | ErrorModel::Variance(_)) => 2,
    };
    planes * GROUP * size_of::<f32>()
}

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
        let Recipe { csr, normalization, dark, dummy, saturation, reduction, empty, shape, pixel } = recipe;
        let bins = csr.bins();
        let (route, prepare) = if reduction.statistic.chooses() {
            // Raw counts, as many of them as there are entries that want to know: the dark is subtracted when they are gathered.
            let prepare = Prepare::new(used, None, dummy, saturation.masked, PixelVariance::None, f32::NAN);
            (Route::Gather(Gather::new(reduction, dark, &csr, &normalization)), prepare)
        } else {
            let is_azimuthal = reduction.errors == ErrorModel::Azimuthal;
            let has_variance = reduction.errors.has_variance();
            let variance = match reduction.errors {
                ErrorModel::None | ErrorModel::Azimuthal => PixelVariance::None,
                // A mean has no cycles before its last one.
                ErrorModel::Poisson | ErrorModel::Hybrid => PixelVariance::Poisson,
                ErrorModel::Variance(image) => PixelVariance::Given(image),
            };
            // A pixel that is not valid changes no sum by being 0; but it is not in a mean that others are compared with.
            let blank = if is_azimuthal { f32::NAN } else { 0.0 };
            let prepare = Prepare::new(used, dark, dummy, saturation.masked, variance, blank);
            let route = match bins >= tuning.many_bins {
                true => Route::ManyBins(ManyBins::new(is_azimuthal, has_variance)),
                false => Route::Fused(FusedRoute::new(&csr, tuning.tile_pixels, is_azimuthal)),
            };
            (route, prepare)
        };
        Ok(Engine {
            route,
            prepare,
            saturation,
            norms: NormsOf::new(csr, normalization),
            bins,
            empty,
            shape,
            pixel,
            simd: if tuning.simd.is_available() { tuning.simd } else { Simd::Scalar },
        })
    }

    /// Number of bins.
    pub fn npt(&self) -> usize {
        self.bins
    }

    /// N, N₂ and C of a frame without invalid pixels of its own, all of whose pixels count.
    pub fn static_norms(&self) -> Arc<Norms> {
        Arc::clone(self.norms.all_valid())
    }

    /// Bytes of the matrix that are read once for each group of frames.
    pub fn matrix_bytes(&self) -> usize {
        match &self.route {
            Route::Fused(fused) => fused.matrix_bytes(),
            Route::ManyBins(_) | Route::Gather(_) => self.norms.csr().bytes(),
        }
    }

    /// Integrates frames, [`GROUP`] at a time; outcomes are in the order of the frames.
    pub fn integrate(&self, frames: &[Frame], scratch: &mut Scratch) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(frames.len());
        for group in frames.chunks(GROUP) {
            scratch.invalid.iter_mut().for_each(Vec::clear);
            scratch.saturated = [0; GROUP];
            with_pixel!(self.pixel, T => match &self.route {
                Route::Fused(fused) => fused.group::<T>(self, group, scratch, &mut outcomes),
                Route::ManyBins(many) => many.group::<T>(self, group, scratch, &mut outcomes),
                Route::Gather(gather) => gather.group::<T>(self, group, scratch, &mut outcomes),
            });
        }
        outcomes
    }

    /// What became of a frame that was decoded.
    fn pattern(&self, frame: &Frame, sums: Sums, saturated: u32) -> Outcome {
        let of = FrameFacts {
            id: frame.id,
            origin: &frame.origin,
            header: frame.header.clone(),
            factor: frame.factor,
            saturated,
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
}
