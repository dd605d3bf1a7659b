//! Patterns that stay on the device: a row for each frame, NaN until its pattern is there. Host side of `cuda/integrate/keep.cu`.
//!
//! A reducer that is told to ([`crate::cuda::CudaReducer::keep`]) leaves each good frame's intensities here as well as sending its sums
//! to the host, for whoever goes on with them on the same GPU ([`crate::cuda::tomo`]).

use std::sync::Arc;

use crate::cuda::driver::{Context, DeviceBuffer, Kernel, Module, PinnedBuffer, Stream};
use crate::cuda::error::CudaError;
use crate::cuda::params::{XrdctKeep, XrdctRows};

const PURPOSE: &str = "patterns that stay on the device";
/// Part of the free device memory that patterns may take: the rest is for those who make them and go on with them.
const SHARE_OF_FREE: f64 = 0.4;
/// Every byte of a NaN.
const NAN_BYTE: u8 = 0xFF;

/// The kernel that leaves them there.
pub(super) fn kernel(context: &Arc<Context>) -> Result<Kernel<XrdctKeep>, CudaError> {
    Kernel::load(&Module::of(context, "keep")?, "xrdct_patterns")
}

/// Where a frame's pattern goes, and what its normalisation is multiplied by.
#[derive(Debug, Clone, Copy)]
pub struct KeptRow {
    /// KeptRow of the patterns.
    pub row: usize,
    /// [`crate::frame::Frame::factor`].
    pub factor: f64,
}

/// `[frame][bin]`, float32.
#[derive(Debug)]
pub struct DevicePatterns {
    pub(in crate::cuda) values: DeviceBuffer<f32>,
    context: Arc<Context>,
    frames: usize,
    npt: usize,
}

impl DevicePatterns {
    /// Room for so many patterns, all NaN.
    ///
    /// # Errors
    /// [`CudaError::OutOfMemory`] when they would take more than their share of the free memory; what the driver refuses.
    pub fn new(context: &Arc<Context>, frames: usize, npt: usize) -> Result<DevicePatterns, CudaError> {
        let len = frames * npt;
        check_share(context, len * size_of::<f32>())?;
        let values = DeviceBuffer::take(context, len, PURPOSE)?;
        let stream = Stream::new(context)?;
        stream.enqueue_fill(&values, 0, len, NAN_BYTE)?;
        stream.wait()?;
        Ok(DevicePatterns { values, context: Arc::clone(context), frames, npt })
    }

    /// Patterns of the host, rows of `npt` bins, brought there.
    ///
    /// # Errors
    /// As [`DevicePatterns::new`].
    pub fn holding(
        context: &Arc<Context>,
        patterns: &[f32],
        npt: usize,
    ) -> Result<DevicePatterns, CudaError> {
        check_share(context, size_of_val(patterns))?;
        let values = DeviceBuffer::holding(context, patterns, PURPOSE)?;
        Ok(DevicePatterns { values, context: Arc::clone(context), frames: patterns.len() / npt.max(1), npt })
    }

    /// Number of rows.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Bins of a row.
    pub fn npt(&self) -> usize {
        self.npt
    }

    /// The GPU they are on.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Where the frames of a batch, at most [`XRDCT_MAX_BATCH`], go; checked, because the kernel does not.
    pub(super) fn rows_for(&self, rows: &[KeptRow], npt: usize, empty: f32) -> Result<XrdctRows, CudaError> {
        let mut target = XrdctRows { empty, ..XrdctRows::default() };
        for ((place, factor), &KeptRow { row, factor: own }) in
            target.row.iter_mut().zip(&mut target.factor).zip(rows)
        {
            if row >= self.frames || npt != self.npt {
                let (len, size) = (npt * size_of::<f32>(), self.values.len() * size_of::<f32>());
                return Err(CudaError::OutsideBuffer { offset: row * len, len, size });
            }
            (*place, *factor) = (row as u32, own);
        }
        Ok(target)
    }

    /// Takes the pattern of a frame that turned out to be bad away again; blocks. Whoever made it must have been waited for.
    ///
    /// # Errors
    /// When there is no such row, or what the driver refuses.
    pub fn forget(&self, row: usize) -> Result<(), CudaError> {
        let stream = Stream::new(&self.context)?;
        stream.enqueue_fill(&self.values, row * self.npt, self.npt, NAN_BYTE)?;
        stream.wait()
    }

    /// All of them, brought to the host; blocks. Whoever fills them must have been waited for.
    ///
    /// # Errors
    /// What the driver refuses.
    pub fn read(&self) -> Result<Vec<f32>, CudaError> {
        self.context.bind()?;
        let len = self.values.len();
        let mut host = PinnedBuffer::take(&self.context, len * size_of::<f32>())?;
        let stream = Stream::new(&self.context)?;
        // SAFETY: the buffer is read after `wait`.
        unsafe { stream.enqueue_download(&self.values, 0, &mut host.floats_mut()[..len]) }?;
        stream.wait()?;
        Ok(host.floats()[..len].to_vec())
    }
}

fn check_share(context: &Context, asked: usize) -> Result<(), CudaError> {
    let (free, _) = context.memory()?;
    match asked as f64 <= free as f64 * SHARE_OF_FREE {
        true => Ok(()),
        false => Err(CudaError::OutOfMemory { purpose: PURPOSE, asked, free }),
    }
}
