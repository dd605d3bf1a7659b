//! The reconstruction kernels by name, and how each is launched (cuda/tomo).

use std::sync::Arc;

use crate::cuda::driver::{Context, Function, Launch, Stream};
use crate::cuda::error::CudaError;
use crate::cuda::kernels::{Address, by_value, launch, module};
use crate::cuda::params::{self, XrdctAssembly, XrdctTomo};

const THREADS: usize = params::XRDCT_THREADS as usize;
const TILE: usize = params::XRDCT_TOMO_TILE as usize;
const RUN: usize = params::XRDCT_TOMO_RUN as usize;
const PLANES: usize = params::XRDCT_TOMO_PLANES as usize;
/// Planes that a block of the filter takes together.
const FILTERED_TOGETHER: usize = 2;

/// Handles of all of them, loaded into one context.
#[derive(Debug)]
pub(super) struct SliceKernels {
    side_by_side: Function,
    filter: Function,
    back_project: Function,
    apart: Function,
    start: Function,
    /// SIRT's and MLEM's.
    forward: [Function; 2],
    backward: [Function; 2],
}

/// Which iteration.
#[derive(Debug, Clone, Copy)]
pub(super) enum Iteration {
    Sirt = 0,
    Mlem = 1,
}

/// Bins in whole groups, in planes of four.
fn planes(tomo: &XrdctTomo) -> usize {
    (tomo.bins as usize).div_ceil(params::XRDCT_TOMO_BINS as usize) * PLANES
}

fn rays(tomo: &XrdctTomo) -> usize {
    tomo.rotations as usize * tomo.translations as usize
}

fn pixels(tomo: &XrdctTomo) -> usize {
    tomo.rows as usize * tomo.columns as usize
}

/// A thread an item, a row of blocks for each of `groups`.
fn flat(items: usize, groups: usize) -> Launch {
    Launch { grid: (items.div_ceil(THREADS), groups), threads: THREADS, shared: 0 }
}

/// A block a tile of pixels.
fn tiles(tomo: &XrdctTomo) -> Launch {
    let count = (tomo.rows as usize).div_ceil(TILE) * (tomo.columns as usize).div_ceil(TILE);
    Launch {
        grid: (count, planes(tomo) / PLANES),
        threads: params::XRDCT_TOMO_TILE_THREADS as usize,
        shared: 0,
    }
}

impl SliceKernels {
    pub(super) fn load(context: &Arc<Context>) -> Result<SliceKernels, CudaError> {
        let (fbp, iterative) = (module(context, "fbp")?, module(context, "iterative")?);
        let fbp = |name: &str| fbp.function(&format!("xrdct_tomo_{name}"));
        let iterative = |name: &str| iterative.function(&format!("xrdct_tomo_{name}"));
        Ok(SliceKernels {
            side_by_side: fbp("side_by_side")?,
            filter: fbp("filter")?,
            back_project: fbp("back_project")?,
            apart: fbp("apart")?,
            start: iterative("start")?,
            forward: [iterative("forward_sirt")?, iterative("forward_mlem")?],
            backward: [iterative("backward_sirt")?, iterative("backward_mlem")?],
        })
    }

    /// `[bin][ray]` to planes; marks of empty bins may be 0: there are none then.
    ///
    /// # Safety
    /// Here and below: the addresses must belong to buffers large enough for `tomo`'s bins in whole groups, alive until the
    /// stream has run.
    pub(super) unsafe fn enqueue_side_by_side(
        &self,
        stream: &Stream,
        [bins, empty, rows]: [Address; 3],
        tomo: &XrdctTomo,
    ) -> Result<(), CudaError> {
        let shape = flat(rays(tomo), planes(tomo));
        // SAFETY: the caller's promise; pointers and structure in the kernel's order.
        unsafe { launch(&self.side_by_side, stream, shape, &[bins, empty, rows], &[by_value(tomo)]) }
    }

    /// Filtered rows of rows.
    ///
    /// # Safety
    /// As [`Kernels::enqueue_side_by_side`].
    pub(super) unsafe fn enqueue_filter(
        &self,
        stream: &Stream,
        [rows, taps, filtered]: [Address; 3],
        tomo: &XrdctTomo,
    ) -> Result<(), CudaError> {
        let runs = (tomo.translations as usize).div_ceil(RUN);
        let grid = (tomo.rotations as usize * runs, planes(tomo) / FILTERED_TOGETHER);
        let shape = Launch { grid, threads: RUN / 2, shared: 0 };
        // SAFETY: the caller's promise; pointers and structure in the kernel's order.
        unsafe { launch(&self.filter, stream, shape, &[rows, taps, filtered], &[by_value(tomo)]) }
    }

    /// An image of filtered rows.
    ///
    /// # Safety
    /// As [`Kernels::enqueue_side_by_side`].
    pub(super) unsafe fn enqueue_back_project(
        &self,
        stream: &Stream,
        [rows, turns, image]: [Address; 3],
        tomo: &XrdctTomo,
    ) -> Result<(), CudaError> {
        // SAFETY: the caller's promise; pointers and structure in the kernel's order.
        unsafe { launch(&self.back_project, stream, tiles(tomo), &[rows, turns, image], &[by_value(tomo)]) }
    }

    /// Planes to `[bin][pixel]`.
    ///
    /// # Safety
    /// As [`Kernels::enqueue_side_by_side`].
    pub(super) unsafe fn enqueue_apart(
        &self,
        stream: &Stream,
        [image, kept, slices]: [Address; 3],
        tomo: &XrdctTomo,
    ) -> Result<(), CudaError> {
        let shape = flat(pixels(tomo), planes(tomo));
        // SAFETY: the caller's promise; pointers and structure in the kernel's order.
        unsafe { launch(&self.apart, stream, shape, &[image, kept, slices], &[by_value(tomo)]) }
    }

    /// The even image that MLEM begins with.
    ///
    /// # Safety
    /// As [`Kernels::enqueue_side_by_side`].
    pub(super) unsafe fn enqueue_start(
        &self,
        stream: &Stream,
        [kept, image]: [Address; 2],
        tomo: &XrdctTomo,
    ) -> Result<(), CudaError> {
        let shape = flat(pixels(tomo), planes(tomo));
        // SAFETY: the caller's promise; pointers and structure in the kernel's order.
        unsafe { launch(&self.start, stream, shape, &[kept, image], &[by_value(tomo)]) }
    }

    /// What the image does not explain yet: image, measured, views, row scales, result.
    ///
    /// # Safety
    /// As [`Kernels::enqueue_side_by_side`].
    pub(super) unsafe fn enqueue_forward(
        &self,
        stream: &Stream,
        step: Iteration,
        pointers: [Address; 5],
        tomo: &XrdctTomo,
    ) -> Result<(), CudaError> {
        let shape = flat(rays(tomo), planes(tomo) / PLANES);
        // SAFETY: the caller's promise; pointers and structure in the kernel's order.
        unsafe { launch(&self.forward[step as usize], stream, shape, &pointers, &[by_value(tomo)]) }
    }

    /// A step of the image: what was left, views, column scales, kept, image.
    ///
    /// # Safety
    /// As [`Kernels::enqueue_side_by_side`].
    pub(super) unsafe fn enqueue_backward(
        &self,
        stream: &Stream,
        step: Iteration,
        pointers: [Address; 5],
        tomo: &XrdctTomo,
    ) -> Result<(), CudaError> {
        // SAFETY: the caller's promise; pointers and structure in the kernel's order.
        unsafe { launch(&self.backward[step as usize], stream, tiles(tomo), &pointers, &[by_value(tomo)]) }
    }
}

/// Values and bins that a block of the gathering kernel takes.
const SIDE: usize = 32;

/// Handles of the kernels that make sinograms of patterns (cuda/tomo/assembly.cu).
#[derive(Debug)]
pub(super) struct AssemblyKernels {
    gather: Function,
    air: Function,
    scale: Function,
    shift: Function,
    column_means: Function,
    stripes: Function,
}

/// Values of the sinograms of a block.
pub(super) fn values(sizes: &XrdctAssembly) -> usize {
    sizes.bins as usize * sizes.rotations as usize * sizes.translations as usize
}

impl AssemblyKernels {
    pub(super) fn load(context: &Arc<Context>) -> Result<AssemblyKernels, CudaError> {
        let assembly = module(context, "assembly")?;
        let assembly = |name: &str| assembly.function(&format!("xrdct_tomo_{name}"));
        Ok(AssemblyKernels {
            gather: assembly("gather")?,
            air: assembly("air")?,
            scale: assembly("scale")?,
            shift: assembly("shift")?,
            column_means: assembly("column_means")?,
            stripes: assembly("stripes")?,
        })
    }

    /// Patterns, shares, starts, sources to sinograms and marks of empty bins.
    ///
    /// # Safety
    /// Here and below: the addresses must belong to buffers large enough for `sizes`, alive until the stream has run.
    pub(super) unsafe fn enqueue_gather(
        &self,
        stream: &Stream,
        from: [Address; 4],
        to: [Address; 2],
        sizes: &XrdctAssembly,
    ) -> Result<(), CudaError> {
        let rays = sizes.rotations as usize * sizes.translations as usize;
        let grid = (rays.div_ceil(SIDE), (sizes.bins as usize).div_ceil(SIDE));
        let shape = Launch { grid, threads: THREADS, shared: 0 };
        let pointers = [from.as_slice(), &to].concat();
        // SAFETY: the caller's promise; pointers and structure in the kernel's order.
        unsafe { launch(&self.gather, stream, shape, &pointers, &[by_value(sizes)]) }
    }

    /// Takes off air.
    ///
    /// # Safety
    /// As [`AssemblyKernels::enqueue_gather`].
    pub(super) unsafe fn enqueue_air(
        &self,
        stream: &Stream,
        sinograms: Address,
        sizes: &XrdctAssembly,
    ) -> Result<(), CudaError> {
        let shape = flat(sizes.bins as usize * sizes.rotations as usize, 1);
        // SAFETY: the caller's promise; pointers and structure in the kernel's order.
        unsafe { launch(&self.air, stream, shape, &[sinograms], &[by_value(sizes)]) }
    }

    /// Multiplies rotations: sinograms, factors.
    ///
    /// # Safety
    /// As [`AssemblyKernels::enqueue_gather`].
    pub(super) unsafe fn enqueue_scale(
        &self,
        stream: &Stream,
        pointers: [Address; 2],
        sizes: &XrdctAssembly,
    ) -> Result<(), CudaError> {
        // SAFETY: the caller's promise; pointers and structure in the kernel's order.
        unsafe { launch(&self.scale, stream, flat(values(sizes), 1), &pointers, &[by_value(sizes)]) }
    }

    /// Moves rotations: sinograms, shifts, moved sinograms.
    ///
    /// # Safety
    /// As [`AssemblyKernels::enqueue_gather`].
    pub(super) unsafe fn enqueue_shift(
        &self,
        stream: &Stream,
        pointers: [Address; 3],
        sizes: &XrdctAssembly,
    ) -> Result<(), CudaError> {
        // SAFETY: the caller's promise; pointers and structure in the kernel's order.
        unsafe { launch(&self.shift, stream, flat(values(sizes), 1), &pointers, &[by_value(sizes)]) }
    }

    /// Takes off stripes: sinograms, room for the columns' means.
    ///
    /// # Safety
    /// As [`AssemblyKernels::enqueue_gather`].
    pub(super) unsafe fn enqueue_stripes(
        &self,
        stream: &Stream,
        pointers: [Address; 2],
        sizes: &XrdctAssembly,
    ) -> Result<(), CudaError> {
        let columns = flat(sizes.bins as usize * sizes.translations as usize, 1);
        // SAFETY: the caller's promise; pointers and structure in the kernels' order.
        unsafe {
            launch(&self.column_means, stream, columns, &pointers, &[by_value(sizes)])?;
            launch(&self.stripes, stream, flat(values(sizes), 1), &pointers, &[by_value(sizes)])
        }
    }
}
