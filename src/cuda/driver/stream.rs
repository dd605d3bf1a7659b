//! What is enqueued on a device, in order, and what is waited for.

use std::sync::Arc;
use std::time::Duration;

use cudarc::driver::{result, sys};

use super::context::Context;
use super::memory::DeviceBuffer;
use super::symbol::symbol;
use super::wait::{LIMIT, until};
use crate::cuda::error::CudaError;

/// An ordered queue of device work.
#[derive(Debug)]
pub struct Stream {
    pub(super) raw: sys::CUstream,
    context: Arc<Context>,
}

// SAFETY: stream handles may be used from any thread.
unsafe impl Send for Stream {}

impl Stream {
    /// A stream that does not wait for the default stream.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn new(context: &Arc<Context>) -> Result<Stream, CudaError> {
        context.bind()?;
        let raw = result::stream::create(result::stream::StreamKind::NonBlocking)
            .map_err(|e| CudaError::driver("making a stream", e))?;
        Ok(Stream { raw, context: Arc::clone(context) })
    }

    /// Likewise, for long work that others need not wait for: kernels of other streams go first.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn in_the_background(context: &Arc<Context>) -> Result<Stream, CudaError> {
        context.bind()?;
        let raw = result::stream::get_priority_range()
            .and_then(|(least, _)| {
                result::stream::create_with_priority(result::stream::StreamKind::NonBlocking, least)
            })
            .map_err(|e| CudaError::driver("making a stream", e))?;
        Ok(Stream { raw, context: Arc::clone(context) })
    }

    /// The context it belongs to.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Enqueues a copy of host values to `offset` in a device buffer. Does not block when they are pinned.
    ///
    /// # Safety
    /// The values must stay as they are until the copy has run.
    ///
    /// # Errors
    /// When they do not fit, or the driver refuses.
    pub unsafe fn enqueue_upload<T: Copy>(
        &self,
        to: &DeviceBuffer<T>,
        offset: usize,
        values: &[T],
    ) -> Result<(), CudaError> {
        let place = to.place(offset, values.len())?;
        // SAFETY: inside the buffer; the caller keeps the values.
        unsafe { result::memcpy_htod_async(place, values, self.raw) }
            .map_err(|e| CudaError::driver("uploading", e))
    }

    /// Enqueues a copy from `offset` in a device buffer to pinned host memory.
    ///
    /// # Safety
    /// The target must not be touched until the copy has run.
    ///
    /// # Errors
    /// When the range is outside the buffer, or the driver refuses.
    pub unsafe fn enqueue_download<T: Copy>(
        &self,
        from: &DeviceBuffer<T>,
        offset: usize,
        to: &mut [T],
    ) -> Result<(), CudaError> {
        let place = from.place(offset, to.len())?;
        // SAFETY: inside the buffer; the caller leaves the target alone.
        unsafe { result::memcpy_dtoh_async(to, place, self.raw) }
            .map_err(|e| CudaError::driver("downloading", e))
    }

    /// Enqueues setting every byte of `len` values of a device buffer, from `offset` on.
    ///
    /// # Errors
    /// When the range is outside the buffer, or the driver refuses.
    pub fn enqueue_fill<T>(
        &self,
        buffer: &DeviceBuffer<T>,
        offset: usize,
        len: usize,
        byte: u8,
    ) -> Result<(), CudaError> {
        let place = buffer.place(offset, len)?;
        // SAFETY: inside the buffer.
        unsafe { result::memset_d8_async(place, byte, len * size_of::<T>(), self.raw) }
            .map_err(|e| CudaError::driver("clearing memory", e))
    }

    /// Enqueues a copy of the first `len` values of one device buffer to the beginning of another.
    ///
    /// # Errors
    /// When they are not there or do not fit, or the driver refuses.
    pub fn enqueue_copy<T>(
        &self,
        from: &DeviceBuffer<T>,
        to: &DeviceBuffer<T>,
        len: usize,
    ) -> Result<(), CudaError> {
        let (from, to) = (from.place(0, len)?, to.place(0, len)?);
        // SAFETY: inside both buffers.
        unsafe { result::memcpy_dtod_async(to, from, len * size_of::<T>(), self.raw) }
            .map_err(|e| CudaError::driver("copying", e))
    }

    /// Makes this stream wait for an event of another.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn enqueue_after(&self, event: &Event) -> Result<(), CudaError> {
        // SAFETY: both are alive.
        unsafe {
            result::stream::wait_event(self.raw, event.raw, sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT)
        }
        .map_err(|e| CudaError::driver("waiting for an event", e))
    }

    /// Waits until everything enqueued so far has run, at most [`LIMIT`].
    ///
    /// # Errors
    /// What went wrong on the device, or that it does not answer.
    pub fn wait(&self) -> Result<(), CudaError> {
        self.wait_within(LIMIT)
    }

    /// [`Stream::wait`] for many launches in a row.
    ///
    /// # Errors
    /// As [`Stream::wait`].
    pub fn wait_within(&self, limit: Duration) -> Result<(), CudaError> {
        until(&self.context, "waiting for a stream", limit, || self.is_done())
    }

    fn is_done(&self) -> Result<bool, CudaError> {
        // SAFETY: the stream is alive.
        match unsafe { sys::cuStreamQuery(self.raw) }.result() {
            Ok(()) => Ok(true),
            Err(e) if e.0 == sys::CUresult::CUDA_ERROR_NOT_READY => Ok(false),
            Err(e) => Err(CudaError::driver("waiting for a stream", e)),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let waited = self.context.bind().and_then(|()| self.wait());
        if !matches!(waited, Err(CudaError::Hung { .. } | CudaError::GivenUp)) {
            // SAFETY: made once, destroyed once. Buffers that its work uses are dropped after it by their lane.
            let _ = unsafe { result::stream::destroy(self.raw) };
        }
    }
}

impl<T: Copy> DeviceBuffer<T> {
    /// Takes memory for these values and copies them there; blocks until they are there.
    ///
    /// The copy goes through a stream and is waited for: the plain one returns while bytes that are not pinned are still on
    /// their way, and no stream of ours waits for those.
    ///
    /// # Errors
    /// As [`DeviceBuffer::take`].
    pub fn holding(
        context: &Arc<Context>,
        values: &[T],
        purpose: &'static str,
    ) -> Result<DeviceBuffer<T>, CudaError> {
        let buffer = DeviceBuffer::take(context, values.len(), purpose)?;
        if !values.is_empty() {
            let stream = Stream::new(context)?;
            // SAFETY: the values are borrowed until the copy has been waited for.
            unsafe { stream.enqueue_upload(&buffer, 0, values) }?;
            stream.wait()?;
        }
        Ok(buffer)
    }
}

/// `cuEventElapsedTime`: cudarc would ask for its second version, which drivers have from CUDA 12.8 on.
type ElapsedTime = unsafe extern "C" fn(*mut f32, sys::CUevent, sys::CUevent) -> sys::CUresult;

/// A mark in a stream that can be waited for, and timed.
#[derive(Debug)]
pub struct Event {
    raw: sys::CUevent,
    context: Arc<Context>,
}

// SAFETY: event handles may be used from any thread.
unsafe impl Send for Event {}

impl Event {
    /// An event that keeps time.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn new(context: &Arc<Context>) -> Result<Event, CudaError> {
        context.bind()?;
        let raw = result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT)
            .map_err(|e| CudaError::driver("making an event", e))?;
        Ok(Event { raw, context: Arc::clone(context) })
    }

    /// Enqueues the mark.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn enqueue(&self, stream: &Stream) -> Result<(), CudaError> {
        // SAFETY: both are alive.
        unsafe { result::event::record(self.raw, stream.raw) }
            .map_err(|e| CudaError::driver("recording an event", e))
    }

    /// Whether everything before the mark has run. True for an event that was never enqueued.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn is_done(&self) -> Result<bool, CudaError> {
        // SAFETY: the event is alive.
        match unsafe { result::event::query(self.raw) } {
            Ok(()) => Ok(true),
            Err(e) if e.0 == sys::CUresult::CUDA_ERROR_NOT_READY => Ok(false),
            Err(e) => Err(CudaError::driver("asking for an event", e)),
        }
    }

    /// Waits until everything before the mark has run, at most [`LIMIT`].
    ///
    /// # Errors
    /// What went wrong on the device, or that it does not answer.
    pub fn wait(&self) -> Result<(), CudaError> {
        until(&self.context, "waiting for an event", LIMIT, || self.is_done())
    }

    /// Milliseconds from this mark to a later one; both must be done.
    ///
    /// # Errors
    /// When one is not.
    pub fn milliseconds_to(&self, later: &Event) -> Result<f32, CudaError> {
        let Some(elapsed) = symbol::<ElapsedTime>("cuEventElapsedTime") else {
            let cause = "the driver has no cuEventElapsedTime".to_owned();
            return Err(CudaError::Driver { doing: "reading the clock", cause });
        };
        let mut milliseconds = 0.0;
        // SAFETY: both are alive; one number is written; the type is that of cuda.h.
        unsafe { elapsed(&mut milliseconds, self.raw, later.raw) }
            .result()
            .map_err(|e| CudaError::driver("reading the clock", e))?;
        Ok(milliseconds)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if self.context.bind().is_ok() {
            // SAFETY: made once, destroyed once.
            let _ = unsafe { result::event::destroy(self.raw) };
        }
    }
}
