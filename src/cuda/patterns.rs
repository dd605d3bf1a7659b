//! Patterns that stay on the device: a row for each frame, NaN until its pattern is there.
//!
//! A reducer that is told to ([`super::CudaReducer::keep`]) leaves each good frame's intensities here as well as sending its sums
//! to the host, for whoever goes on with them on the same GPU ([`super::tomo`]).

use std::sync::Arc;

use super::driver::{Context, DeviceBuffer, PinnedBuffer, Stream};
use super::error::CudaError;
use super::params::{XRDCT_MAX_BATCH, XrdctRows};

const PURPOSE: &str = "patterns that stay on the device";
/// Part of the free device memory that patterns may take: the rest is for those who make them and go on with them.
const SHARE_OF_FREE: f64 = 0.4;
/// Every byte of a NaN.
const NAN_BYTE: u8 = 0xFF;

/// `[frame][bin]`, float32.
#[derive(Debug)]
pub struct DevicePatterns {
    pub(super) values: DeviceBuffer,
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
        let len = frames * npt * size_of::<f32>();
        check_share(context, len)?;
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

    /// Where the frames of a batch, at most [`super::lane::MAX_BATCH`], go; checked, because the kernel does not.
    pub(super) fn rows_for(&self, rows: &[usize], npt: usize, empty: f32) -> Result<XrdctRows, CudaError> {
        let mut target = XrdctRows { row: [0; XRDCT_MAX_BATCH as usize], empty };
        for (place, &row) in target.row.iter_mut().zip(rows) {
            if row >= self.frames || npt != self.npt {
                let len = npt * size_of::<f32>();
                return Err(CudaError::OutsideBuffer { offset: row * len, len, size: self.values.len() });
            }
            *place = row as u32;
        }
        Ok(target)
    }

    /// Takes the pattern of a frame that turned out to be bad away again; blocks. Whoever made it must have been waited for.
    ///
    /// # Errors
    /// When there is no such row, or what the driver refuses.
    pub fn forget(&self, row: usize) -> Result<(), CudaError> {
        let len = self.npt * size_of::<f32>();
        let stream = Stream::new(&self.context)?;
        stream.enqueue_fill(&self.values, row * len, len, NAN_BYTE)?;
        stream.wait()
    }

    /// All of them, brought to the host; blocks. Whoever fills them must have been waited for.
    ///
    /// # Errors
    /// What the driver refuses.
    pub fn read(&self) -> Result<Vec<f32>, CudaError> {
        self.context.bind()?;
        let mut host = PinnedBuffer::take(&self.context, self.values.len())?;
        let stream = Stream::new(&self.context)?;
        // SAFETY: the buffer is read after `wait`.
        unsafe { stream.enqueue_download(&self.values, 0, host.bytes_mut()) }?;
        stream.wait()?;
        Ok(host.floats().to_vec())
    }
}

fn check_share(context: &Context, asked: usize) -> Result<(), CudaError> {
    let (free, _) = context.memory()?;
    match asked as f64 <= free as f64 * SHARE_OF_FREE {
        true => Ok(()),
        false => Err(CudaError::OutOfMemory { purpose: PURPOSE, asked, free }),
    }
}
