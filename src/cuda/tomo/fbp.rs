//! Bins side by side, filtered, back-projected, and apart again: host side of `cuda/tomo/fbp.cu`.

use std::sync::Arc;

use super::geometry::{flat, planes, tiles};
use crate::cuda::driver::{Context, Kernel, Launch, Module, Stream};
use crate::cuda::error::CudaError;
use crate::cuda::params::{self, XrdctApart, XrdctBackProject, XrdctFilter, XrdctSideBySide};

const RUN: usize = params::XRDCT_TOMO_RUN as usize;
/// Planes that a block of the filter takes together.
const FILTERED_TOGETHER: usize = 2;

/// The kernels.
#[derive(Debug)]
pub(super) struct FbpKernels {
    side_by_side: Kernel<XrdctSideBySide>,
    filter: Kernel<XrdctFilter>,
    back_project: Kernel<XrdctBackProject>,
    apart: Kernel<XrdctApart>,
}

impl FbpKernels {
    pub(super) fn load(context: &Arc<Context>) -> Result<FbpKernels, CudaError> {
        let module = Module::of(context, "fbp")?;
        Ok(FbpKernels {
            side_by_side: Kernel::load(&module, "xrdct_tomo_side_by_side")?,
            filter: Kernel::load(&module, "xrdct_tomo_filter")?,
            back_project: Kernel::load(&module, "xrdct_tomo_back_project")?,
            apart: Kernel::load(&module, "xrdct_tomo_apart")?,
        })
    }

    /// `[bin][ray]` to planes.
    ///
    /// # Safety
    /// Here and below: what the structure points to must be large enough for its bins in whole groups, and live until the stream
    /// has run.
    pub(super) unsafe fn enqueue_side_by_side(
        &self,
        stream: &Stream,
        of: &XrdctSideBySide,
    ) -> Result<(), CudaError> {
        let rays = of.tomo.rotations as usize * of.tomo.translations as usize;
        // SAFETY: the caller's promise; the structure is the kernel's.
        unsafe { self.side_by_side.enqueue(stream, flat(rays, planes(&of.tomo)), of) }
    }

    /// Filtered rows of rows.
    ///
    /// # Safety
    /// As [`FbpKernels::enqueue_side_by_side`].
    pub(super) unsafe fn enqueue_filter(&self, stream: &Stream, of: &XrdctFilter) -> Result<(), CudaError> {
        let runs = (of.tomo.translations as usize).div_ceil(RUN);
        let grid = (of.tomo.rotations as usize * runs, planes(&of.tomo) / FILTERED_TOGETHER);
        // SAFETY: the caller's promise; the structure is the kernel's.
        unsafe { self.filter.enqueue(stream, Launch { grid, threads: RUN / 2, shared: 0 }, of) }
    }

    /// An image of filtered rows.
    ///
    /// # Safety
    /// As [`FbpKernels::enqueue_side_by_side`].
    pub(super) unsafe fn enqueue_back_project(
        &self,
        stream: &Stream,
        of: &XrdctBackProject,
    ) -> Result<(), CudaError> {
        // SAFETY: the caller's promise; the structure is the kernel's.
        unsafe { self.back_project.enqueue(stream, tiles(&of.tomo), of) }
    }

    /// Planes to `[bin][pixel]`.
    ///
    /// # Safety
    /// As [`FbpKernels::enqueue_side_by_side`].
    pub(super) unsafe fn enqueue_apart(&self, stream: &Stream, of: &XrdctApart) -> Result<(), CudaError> {
        let pixels = of.tomo.rows as usize * of.tomo.columns as usize;
        // SAFETY: the caller's promise; the structure is the kernel's.
        unsafe { self.apart.enqueue(stream, flat(pixels, planes(&of.tomo)), of) }
    }
}
