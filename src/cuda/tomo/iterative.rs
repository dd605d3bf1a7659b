//! SIRT and MLEM: host side of `cuda/tomo/iterative.cu`.

use std::sync::Arc;

use super::geometry::{PLANES, flat, planes, tiles};
use crate::cuda::driver::{Context, Kernel, Module, Stream};
use crate::cuda::error::CudaError;
use crate::cuda::params::{XrdctBackward, XrdctForward, XrdctStart};

/// The kernels.
#[derive(Debug)]
pub(super) struct IterativeKernels {
    start: Kernel<XrdctStart>,
    /// SIRT's and MLEM's.
    forward: [Kernel<XrdctForward>; 2],
    backward: [Kernel<XrdctBackward>; 2],
}

/// Which iteration.
#[derive(Debug, Clone, Copy)]
pub(super) enum Iteration {
    Sirt = 0,
    Mlem = 1,
}

impl IterativeKernels {
    pub(super) fn load(context: &Arc<Context>) -> Result<IterativeKernels, CudaError> {
        let module = Module::of(context, "iterative")?;
        Ok(IterativeKernels {
            start: Kernel::load(&module, "xrdct_tomo_start")?,
            forward: [
                Kernel::load(&module, "xrdct_tomo_forward_sirt")?,
                Kernel::load(&module, "xrdct_tomo_forward_mlem")?,
            ],
            backward: [
                Kernel::load(&module, "xrdct_tomo_backward_sirt")?,
                Kernel::load(&module, "xrdct_tomo_backward_mlem")?,
            ],
        })
    }

    /// The even image that MLEM begins with.
    ///
    /// # Safety
    /// Here and below: what the structure points to must be large enough for its bins in whole groups, and live until the stream
    /// has run.
    pub(super) unsafe fn enqueue_start(&self, stream: &Stream, of: &XrdctStart) -> Result<(), CudaError> {
        let pixels = of.tomo.rows as usize * of.tomo.columns as usize;
        // SAFETY: the caller's promise; the structure is the kernel's.
        unsafe { self.start.enqueue(stream, flat(pixels, planes(&of.tomo)), of) }
    }

    /// What the image does not explain yet.
    ///
    /// # Safety
    /// As [`IterativeKernels::enqueue_start`].
    pub(super) unsafe fn enqueue_forward(
        &self,
        stream: &Stream,
        step: Iteration,
        of: &XrdctForward,
    ) -> Result<(), CudaError> {
        let rays = of.tomo.rotations as usize * of.tomo.translations as usize;
        // SAFETY: the caller's promise; the structure is the kernel's.
        unsafe { self.forward[step as usize].enqueue(stream, flat(rays, planes(&of.tomo) / PLANES), of) }
    }

    /// A step of the image.
    ///
    /// # Safety
    /// As [`IterativeKernels::enqueue_start`].
    pub(super) unsafe fn enqueue_backward(
        &self,
        stream: &Stream,
        step: Iteration,
        of: &XrdctBackward,
    ) -> Result<(), CudaError> {
        // SAFETY: the caller's promise; the structure is the kernel's.
        unsafe { self.backward[step as usize].enqueue(stream, tiles(&of.tomo), of) }
    }
}
