//! Memory of a device, and of the host where the device can reach it.

use std::marker::PhantomData;
use std::ptr::{NonNull, without_provenance_mut};
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::{result, sys};

use super::context::{Context, may_unpin};
use crate::cuda::error::CudaError;

/// Device memory for values of one type, not initialised.
#[derive(Debug)]
pub struct DeviceBuffer<T> {
    pub(super) pointer: sys::CUdeviceptr,
    /// Values.
    len: usize,
    context: Arc<Context>,
    values: PhantomData<T>,
}

impl<T> DeviceBuffer<T> {
    /// Takes room for `len` values for `purpose`; a buffer of none is a null pointer.
    ///
    /// # Errors
    /// [`CudaError::OutOfMemory`] with what was asked and what is free.
    pub fn take(
        context: &Arc<Context>,
        len: usize,
        purpose: &'static str,
    ) -> Result<DeviceBuffer<T>, CudaError> {
        context.bind()?;
        let bytes = len.saturating_mul(size_of::<T>());
        let pointer = match bytes {
            0 => 0,
            // SAFETY: uninitialised memory of plain bytes.
            _ => match unsafe { result::malloc_sync(bytes) } {
                Ok(pointer) => pointer,
                Err(e) if e.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                    let free = context.memory().map_or(0, |memory| memory.0);
                    return Err(CudaError::OutOfMemory { purpose, asked: bytes, free });
                }
                Err(e) => return Err(CudaError::driver("taking device memory", e)),
            },
        };
        Ok(DeviceBuffer { pointer, len, context: Arc::clone(context), values: PhantomData })
    }

    /// Where it is on the device, as kernels take it; null when it is empty.
    pub fn pointer(&self) -> *mut T {
        without_provenance_mut(self.pointer as usize)
    }

    /// Values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where on the device the values from `offset` on are, of which there must be `len`.
    pub(super) fn place(&self, offset: usize, len: usize) -> Result<sys::CUdeviceptr, CudaError> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len => Ok(self.pointer + (offset * size_of::<T>()) as u64),
            _ => {
                let [offset, len, size] = [offset, len, self.len].map(|n| n.saturating_mul(size_of::<T>()));
                Err(CudaError::OutsideBuffer { offset, len, size })
            }
        }
    }
}

impl DeviceBuffer<u8> {
    /// Where on the device the bytes from `offset` on are, as values of another type.
    pub fn pointer_at<T>(&self, offset: usize) -> *mut T {
        without_provenance_mut(self.pointer as usize + offset)
    }
}

impl<T> Drop for DeviceBuffer<T> {
    fn drop(&mut self) {
        if self.pointer != 0 && self.context.bind().is_ok() {
            // SAFETY: taken once, freed once; cuMemFree waits for work that uses it.
            let _ = unsafe { result::free_sync(self.pointer) };
        }
    }
}

/// Page-locked memory that cannot be given back because a device was given up: whoever gives it back, or takes some, may wait for that device.
/// So it is taken again.
static SPARE: Mutex<Vec<PinnedBuffer>> = Mutex::new(Vec::new());

/// Page-locked host memory, cached (not write-combined: the host reads it too).
#[derive(Debug)]
pub struct PinnedBuffer {
    pointer: NonNull<u8>,
    len: usize,
    context: Arc<Context>,
}

// SAFETY: plain memory with one owner.
unsafe impl Send for PinnedBuffer {}
// SAFETY: shared access only reads the memory.
unsafe impl Sync for PinnedBuffer {}

impl PinnedBuffer {
    /// Takes `len` bytes (at least 1), zeroed.
    ///
    /// # Errors
    /// When the host cannot lock that much.
    pub fn take(context: &Arc<Context>, len: usize) -> Result<PinnedBuffer, CudaError> {
        context.bind()?;
        let len = len.max(1);
        if let Some(spare) = PinnedBuffer::spare(context, len) {
            return Ok(spare);
        }
        // Flag 1 is CU_MEMHOSTALLOC_PORTABLE: pinned for every context.
        // SAFETY: the memory is zeroed below before anyone can read it.
        let pointer = unsafe { result::malloc_host(len, 1) }.map_err(|e| match e.0 {
            sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => CudaError::OutOfPinnedMemory { asked: len },
            _ => CudaError::driver("taking pinned memory", e),
        })?;
        let pointer: NonNull<u8> =
            NonNull::new(pointer.cast()).ok_or(CudaError::OutOfPinnedMemory { asked: len })?;
        // SAFETY: len bytes were just taken.
        unsafe { pointer.as_ptr().write_bytes(0, len) };
        Ok(PinnedBuffer { pointer, len, context: Arc::clone(context) })
    }

    /// One of those that could not be given back, zeroed.
    fn spare(context: &Context, len: usize) -> Option<PinnedBuffer> {
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |one: &PinnedBuffer| one.len == len && one.context.is_on_the_device_of(context);
        let mut buffer = spare.iter().position(fits).map(|place| spare.swap_remove(place))?;
        buffer.bytes_mut().fill(0);
        Some(buffer)
    }

    /// The whole buffer.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: len bytes, initialised, owned.
        unsafe { std::slice::from_raw_parts(self.pointer.as_ptr(), self.len) }
    }

    /// The whole buffer.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: len bytes, initialised, owned.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.as_ptr(), self.len) }
    }

    /// Where it is, for the host and (addresses are unified) for kernels that read and write it there.
    pub fn pointer<T>(&self) -> *mut T {
        self.pointer.as_ptr().cast()
    }

    /// The whole buffer as 32-bit floats; bytes that are left over at the end do not count.
    pub fn floats(&self) -> &[f32] {
        // SAFETY: page-aligned, initialised, owned; any bits are a float.
        unsafe { std::slice::from_raw_parts(self.pointer.as_ptr().cast(), self.len / size_of::<f32>()) }
    }

    /// The whole buffer as 32-bit words; bytes that are left over at the end do not count.
    pub fn words_mut(&mut self) -> &mut [u32] {
        // SAFETY: page-aligned, initialised, owned; any bits are a word.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.as_ptr().cast(), self.len / size_of::<u32>()) }
    }

    /// The whole buffer as 32-bit floats; bytes that are left over at the end do not count.
    pub fn floats_mut(&mut self) -> &mut [f32] {
        // SAFETY: page-aligned, initialised, owned; any bits are a float.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.as_ptr().cast(), self.len / size_of::<f32>()) }
    }
}

impl Drop for PinnedBuffer {
    fn drop(&mut self) {
        if may_unpin() && self.context.bind().is_ok() {
            // SAFETY: taken once, freed once.
            let _ = unsafe { result::free_host(self.pointer.as_ptr().cast()) };
        } else if !self.context.is_given_up() {
            let PinnedBuffer { pointer, len, ref context } = *self;
            let spare = PinnedBuffer { pointer, len, context: Arc::clone(context) };
            SPARE.lock().unwrap_or_else(PoisonError::into_inner).push(spare);
        }
    }
}
