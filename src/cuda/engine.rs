//! What is the same for every batch of a run: what the frames are, the decoder, and the route that their pixels take.
//!
//! Made once, shared by all lanes through an `Arc`.

use std::sync::Arc;

use rayon::prelude::*;

use super::codec::byte_offset::ByteOffset;
use super::codec::pixel_code;
use super::device::{self, OpeningGpus};
use super::driver::Context;
use super::error::CudaError;
use super::integrate::form::Form;
use super::integrate::fused::{CudaTuning, Fused, Groundwork, Kernels};
use super::integrate::matrix::SUBTILE;
use super::params::XrdctBatch;
use crate::frame::{Encoding, Norms, PixelType, Shape};
use crate::integrate::engine::{Recipe, Saturation};
use crate::integrate::reduction::{ErrorModel, Reduction, Statistic};
use crate::trace;

/// What becomes of the pixels.
#[derive(Debug)]
pub(super) enum Route {
    /// They are wanted themselves.
    Pixels,
    /// They are summed where they are decoded.
    Fused(Box<Fused>),
}

/// A GPU that is ready for frames of one kind.
#[derive(Debug)]
pub struct CudaEngine {
    pub(super) context: Arc<Context>,
    pub(super) decoder: ByteOffset,
    pub(super) pixel: PixelType,
    /// What kernels call it.
    pixel_code: u32,
    pub(super) shape: Shape,
    pub(super) saturation: Saturation,
    pub(super) route: Route,
}

impl CudaEngine {
    /// Brings a recipe to GPU `ordinal`.
    ///
    /// # Errors
    /// When there is no such GPU, no kernels for it, or not enough memory.
    pub fn new(ordinal: usize, recipe: &Recipe) -> Result<CudaEngine, CudaError> {
        CudaEngine::with_tuning(ordinal, recipe, CudaTuning::default())
    }

    /// [`CudaEngine::new`] with other choices than the default ones.
    ///
    /// # Errors
    /// As [`CudaEngine::new`].
    pub fn with_tuning(ordinal: usize, recipe: &Recipe, tuning: CudaTuning) -> Result<CudaEngine, CudaError> {
        device::look(ordinal)?;
        let engines = CudaEngine::build(|| Ok(std::slice::from_ref(&ordinal)), recipe, tuning)?;
        engines.into_iter().next().ok_or(CudaError::NoDevice)
    }

    /// [`CudaEngine::new`] on each of some GPUs that are being opened, while they are; in their order.
    ///
    /// # Errors
    /// As [`CudaEngine::new`].
    pub fn opening(gpus: &OpeningGpus, recipe: &Recipe) -> Result<Vec<CudaEngine>, CudaError> {
        CudaEngine::build(|| gpus.ordinals(), recipe, CudaTuning::default())
    }

    /// First what can be done without a device, then what needs to know which they are, and what needs them open. The matrix is laid out
    /// once, for all of them.
    fn build<'a>(
        find: impl FnOnce() -> Result<&'a [usize], CudaError>,
        recipe: &Recipe,
        tuning: CudaTuning,
    ) -> Result<Vec<CudaEngine>, CudaError> {
        if !integrates(&recipe.reduction) {
            return Err(CudaError::NoKernelsForReduction);
        }
        let bins = recipe.csr.bins();
        let range = trace::sort(bins);
        let groundwork = Groundwork::new(recipe);
        drop(range);
        let ordinals = find()?;
        let variance = recipe.reduction.errors.has_variance();
        let (form, slots) = Form::choose(ordinals, variance, recipe.dark.is_some(), tuning.narrow)?;
        let timeline = trace::followed();
        let kernels = |ordinal: &usize| {
            let _follows = trace::follow(timeline.as_ref(), "kernels");
            let context = Context::open(*ordinal)?;
            let _range = trace::kernels();
            Ok((ByteOffset::load(&context)?, Kernels::load(&context, form)?, context))
        };
        let all_kernels = || ordinals.par_iter().map(kernels).collect::<Result<Vec<_>, CudaError>>();
        let lay_out = || {
            let _range = trace::layout(bins);
            groundwork.lay_out(slots, tuning)
        };
        let (laid_out, kernels) = rayon::join(lay_out, all_kernels);
        let _range = trace::matrix_to_device(bins);
        let engine = |(decoder, kernels, context): (_, _, Arc<Context>)| {
            Ok(CudaEngine {
                decoder,
                pixel: recipe.pixel,
                pixel_code: known(recipe.pixel)?,
                shape: recipe.shape,
                saturation: recipe.saturation,
                route: Route::Fused(Box::new(Fused::new(&context, recipe, kernels, &laid_out)?)),
                context,
            })
        };
        let engines = kernels?.into_par_iter().map(engine).collect();
        // Giving so much memory back takes milliseconds.
        rayon::spawn(move || drop(laid_out));
        engines
    }

    /// A GPU that decodes frames of that kind and does no more.
    ///
    /// # Errors
    /// When there is no such GPU, or no kernels for it.
    pub fn decoding(ordinal: usize, encoding: Encoding) -> Result<CudaEngine, CudaError> {
        let context = device::open(ordinal)?;
        Ok(CudaEngine {
            decoder: ByteOffset::load(&context)?,
            pixel: encoding.pixel,
            pixel_code: known(encoding.pixel)?,
            shape: encoding.shape,
            saturation: Saturation::default(),
            route: Route::Pixels,
            context,
        })
    }

    /// The route of frames that are integrated.
    pub(super) fn fused(&self) -> Option<&Fused> {
        match &self.route {
            Route::Pixels => None,
            Route::Fused(fused) => Some(fused),
        }
    }

    /// A batch of no frames, as kernels take it.
    pub(super) fn empty_batch(&self) -> XrdctBatch {
        XrdctBatch {
            pixels: self.shape.pixels() as u32,
            pixel: self.pixel_code,
            wide: u32::from(self.pixel.size() == 8),
            subtiles: self.shape.pixels().div_ceil(SUBTILE) as u32,
            cutoff: self.saturation.cutoff,
            ..XrdctBatch::default()
        }
    }

    /// Number of bins; none where frames are only decoded.
    pub fn npt(&self) -> usize {
        self.fused().map_or(0, |fused| fused.recipe.bins as usize)
    }

    /// Bytes of the matrix on the device.
    pub fn matrix_bytes(&self) -> usize {
        self.fused().map_or(0, |fused| fused.matrix_bytes)
    }

    /// N, N₂ and C of a frame without invalid pixels of its own.
    pub fn static_norms(&self) -> Arc<Norms> {
        self.fused().map_or_else(Arc::default, |fused| Arc::clone(&fused.norms))
    }

    /// The context that slots and lanes are taken in.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }
}

/// Whether there are kernels for it.
pub fn integrates(reduction: &Reduction) -> bool {
    let known = matches!(reduction.errors, ErrorModel::None | ErrorModel::Poisson | ErrorModel::Hybrid);
    reduction.statistic == Statistic::Mean && known
}

fn known(pixel: PixelType) -> Result<u32, CudaError> {
    pixel_code(pixel).ok_or(CudaError::NoKernelsFor { what: pixel.name() })
}
