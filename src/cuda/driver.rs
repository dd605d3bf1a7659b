//! The few words of the CUDA driver API that this crate speaks, as owners that give back what they took.
//!
//! One floor above cudarc's `result` functions and nothing more: a context, loaded kernels, streams, events, device and
//! pinned buffers. Nothing here allocates behind the caller's back, keeps events for slices, or synchronises on drop
//! except where a comment says so: lanes own their buffers, so none of that is needed.
//!
//! `enqueue_*` returns at once; `wait` is the only verb that blocks. All calls need the context to be current on the
//! calling thread: [`Context::bind`] costs well under a microsecond and is called by whoever comes from outside.

use std::ffi::{CString, c_int, c_void};
use std::ptr::NonNull;
use std::sync::Arc;

use cudarc::driver::{result, sys};

use super::error::CudaError;

/// A device's primary context, kept alive by everything that was made in it.
#[derive(Debug)]
pub struct Context {
    device: c_int,
    raw: sys::CUcontext,
}

// SAFETY: a CUcontext may be used from any thread; the driver locks it.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Context {
    /// Opens device `ordinal`. The driver must be initialised.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn open(ordinal: usize) -> Result<Arc<Context>, CudaError> {
        let failed = |e| CudaError::driver("opening the device", e);
        let device = result::device::get(ordinal as c_int).map_err(failed)?;
        // SAFETY: the device was just returned by the driver.
        let raw = unsafe { result::primary_ctx::retain(device) }.map_err(failed)?;
        let context = Context { device, raw };
        context.bind()?;
        Ok(Arc::new(context))
    }

    /// Whether memory of one is memory of the other.
    pub fn is_on_the_device_of(&self, other: &Context) -> bool {
        self.device == other.device
    }

    /// Makes the context current on this thread.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn bind(&self) -> Result<(), CudaError> {
        // SAFETY: the context lives as long as self.
        unsafe { result::ctx::set_current(self.raw) }.map_err(|e| CudaError::driver("binding the context", e))
    }

    /// One number that the driver knows about the device.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn attribute(&self, attribute: sys::CUdevice_attribute) -> Result<usize, CudaError> {
        // SAFETY: the device was returned by the driver.
        let value = unsafe { result::device::get_attribute(self.device, attribute) };
        value.map(|v| v.max(0) as usize).map_err(|e| CudaError::driver("asking for a device attribute", e))
    }

    /// Bytes a second that all first-level caches give at the highest clock (CUDA C++ Programming Guide: 128 a clock and
    /// multiprocessor).
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn cache_bandwidth(&self) -> Result<f64, CudaError> {
        use sys::CUdevice_attribute as Attribute;
        const BYTES_A_CLOCK: f64 = 128.0;
        let multiprocessors = self.attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
        let kilohertz = self.attribute(Attribute::CU_DEVICE_ATTRIBUTE_CLOCK_RATE)?;
        Ok(multiprocessors as f64 * kilohertz as f64 * 1e3 * BYTES_A_CLOCK)
    }

    /// Free and total bytes of device memory.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn memory(&self) -> Result<(usize, usize), CudaError> {
        self.bind()?;
        result::mem_get_info().map_err(|e| CudaError::driver("asking for free memory", e))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: retained in `open`, released once. A failure at this point helps nobody.
        let _ = unsafe { result::primary_ctx::release(self.device) };
    }
}

/// A loaded fatbin.
#[derive(Debug)]
pub struct Module {
    raw: sys::CUmodule,
    context: Arc<Context>,
}

// SAFETY: module handles may be used from any thread.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

impl Module {
    /// Loads machine code that fits the device, or has its PTX compiled.
    ///
    /// # Errors
    /// [`CudaError::NotCovered`] when the image holds nothing for this device, else the driver's refusal.
    pub fn load(context: &Arc<Context>, image: &[u8]) -> Result<Module, CudaError> {
        context.bind()?;
        // The driver wants the image aligned; a vector of words is.
        let mut words = vec![0_u64; image.len().div_ceil(8)];
        for (word, bytes) in words.iter_mut().zip(image.chunks(8)) {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_ne_bytes(padded);
        }
        // SAFETY: a complete fatbin made by nvcc, alive during the call.
        match unsafe { result::module::load_data(words.as_ptr().cast()) } {
            Ok(raw) => Ok(Module { raw, context: Arc::clone(context) }),
            Err(e) if e.0 == sys::CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU => {
                Err(CudaError::NotCovered { built_for: super::image::ARCHITECTURES.to_vec() })
            }
            Err(e) => Err(CudaError::driver("loading kernels", e)),
        }
    }

    /// The kernel of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn function(self: &Arc<Module>, name: &str) -> Result<Function, CudaError> {
        let failed = |e| CudaError::driver("looking up a kernel", e);
        let symbol = CString::new(name).map_err(|_| CudaError::Kernel { name: name.to_owned() })?;
        // SAFETY: the module is loaded.
        let raw = unsafe { result::module::get_function(self.raw, symbol) }.map_err(failed)?;
        Ok(Function { raw, module: Arc::clone(self) })
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        if self.context.bind().is_ok() {
            // SAFETY: loaded once, unloaded once; functions keep the module alive.
            let _ = unsafe { result::module::unload(self.raw) };
        }
    }
}

/// A kernel.
#[derive(Debug, Clone)]
pub struct Function {
    raw: sys::CUfunction,
    module: Arc<Module>,
}

// SAFETY: function handles may be used from any thread.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

/// Grid, block and dynamic shared memory of a launch.
#[derive(Debug, Clone, Copy)]
pub struct Launch {
    /// Blocks along x and y.
    pub grid: (usize, usize),
    /// Threads of a block.
    pub threads: usize,
    /// Bytes of dynamic shared memory.
    pub shared: usize,
}

impl Function {
    /// Allows launches with up to `bytes` of dynamic shared memory.
    ///
    /// # Errors
    /// When the device has less.
    pub fn allow_shared(&self, bytes: usize) -> Result<(), CudaError> {
        self.module.context.bind()?;
        let attribute = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        // SAFETY: the function's module is loaded.
        unsafe { result::function::set_function_attribute(self.raw, attribute, bytes as c_int) }
            .map_err(|e| CudaError::driver("asking for shared memory", e))
    }

    /// Enqueues a launch; does not block.
    ///
    /// # Safety
    /// `arguments` must point to values of the kernel's own parameter types, in order; device pointers among them must be
    /// valid for what the kernel does with them until it has run.
    ///
    /// # Errors
    /// When the driver refuses the launch.
    pub unsafe fn enqueue(
        &self,
        stream: &Stream,
        shape: Launch,
        arguments: &mut [*mut c_void],
    ) -> Result<(), CudaError> {
        let grid = (shape.grid.0 as u32, shape.grid.1 as u32, 1);
        // SAFETY: the caller's promise.
        unsafe {
            result::launch_kernel(
                self.raw,
                grid,
                (shape.threads as u32, 1, 1),
                shape.shared as u32,
                stream.raw,
                arguments,
            )
        }
        .map_err(|e| CudaError::driver("launching a kernel", e))
    }
}

/// An ordered queue of device work.
#[derive(Debug)]
pub struct Stream {
    raw: sys::CUstream,
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

    /// Enqueues a copy of host bytes to `offset` in a device buffer. Does not block when the bytes are pinned.
    ///
    /// # Safety
    /// The bytes must stay as they are until the copy has run.
    ///
    /// # Errors
    /// When they do not fit, or the driver refuses.
    pub unsafe fn enqueue_upload(
        &self,
        to: &DeviceBuffer,
        offset: usize,
        bytes: &[u8],
    ) -> Result<(), CudaError> {
        to.check(offset, bytes.len())?;
        // SAFETY: inside the buffer; the caller keeps the bytes.
        unsafe { result::memcpy_htod_async(to.pointer + offset as u64, bytes, self.raw) }
            .map_err(|e| CudaError::driver("uploading", e))
    }

    /// Enqueues a copy from `offset` in a device buffer to pinned host memory.
    ///
    /// # Safety
    /// The target must not be touched until the copy has run.
    ///
    /// # Errors
    /// When the range is outside the buffer, or the driver refuses.
    pub unsafe fn enqueue_download(
        &self,
        from: &DeviceBuffer,
        offset: usize,
        to: &mut [u8],
    ) -> Result<(), CudaError> {
        from.check(offset, to.len())?;
        // SAFETY: inside the buffer; the caller leaves the target alone.
        unsafe { result::memcpy_dtoh_async(to, from.pointer + offset as u64, self.raw) }
            .map_err(|e| CudaError::driver("downloading", e))
    }

    /// Enqueues setting bytes of a device buffer to one value.
    ///
    /// # Errors
    /// When the range is outside the buffer, or the driver refuses.
    pub fn enqueue_fill(
        &self,
        buffer: &DeviceBuffer,
        offset: usize,
        len: usize,
        value: u8,
    ) -> Result<(), CudaError> {
        buffer.check(offset, len)?;
        // SAFETY: inside the buffer.
        unsafe { result::memset_d8_async(buffer.pointer + offset as u64, value, len, self.raw) }
            .map_err(|e| CudaError::driver("clearing memory", e))
    }

    /// Enqueues a copy of the first `len` bytes of one device buffer to the beginning of another.
    ///
    /// # Errors
    /// When they are not there or do not fit, or the driver refuses.
    pub fn enqueue_copy(&self, from: &DeviceBuffer, to: &DeviceBuffer, len: usize) -> Result<(), CudaError> {
        from.check(0, len)?;
        to.check(0, len)?;
        // SAFETY: inside both buffers.
        unsafe { result::memcpy_dtod_async(to.pointer, from.pointer, len, self.raw) }
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

    /// Waits until everything enqueued so far has run.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn wait(&self) -> Result<(), CudaError> {
        // SAFETY: the stream is alive.
        unsafe { result::stream::synchronize(self.raw) }
            .map_err(|e| CudaError::driver("waiting for a stream", e))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.context.bind().is_ok() {
            // SAFETY: made once, destroyed once. Buffers that its work uses are dropped after it by their lane.
            let _ = unsafe { result::stream::synchronize(self.raw) };
            // SAFETY: as above.
            let _ = unsafe { result::stream::destroy(self.raw) };
        }
    }
}

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

    /// Waits until everything before the mark has run.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn wait(&self) -> Result<(), CudaError> {
        // SAFETY: the event is alive.
        unsafe { result::event::synchronize(self.raw) }
            .map_err(|e| CudaError::driver("waiting for an event", e))
    }

    /// Milliseconds from this mark to a later one; both must be done.
    ///
    /// # Errors
    /// When one is not.
    pub fn milliseconds_to(&self, later: &Event) -> Result<f32, CudaError> {
        // SAFETY: both are alive.
        unsafe { result::event::elapsed(self.raw, later.raw) }
            .map_err(|e| CudaError::driver("reading the clock", e))
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

/// Device memory, not initialised.
#[derive(Debug)]
pub struct DeviceBuffer {
    pointer: sys::CUdeviceptr,
    len: usize,
    context: Arc<Context>,
}

impl DeviceBuffer {
    /// Takes `len` bytes for `purpose`; a buffer of 0 bytes is a null pointer.
    ///
    /// # Errors
    /// [`CudaError::OutOfMemory`] with what was asked and what is free.
    pub fn take(
        context: &Arc<Context>,
        len: usize,
        purpose: &'static str,
    ) -> Result<DeviceBuffer, CudaError> {
        context.bind()?;
        let pointer = match len {
            0 => 0,
            // SAFETY: uninitialised memory of plain bytes.
            _ => match unsafe { result::malloc_sync(len) } {
                Ok(pointer) => pointer,
                Err(e) if e.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                    let free = context.memory().map_or(0, |memory| memory.0);
                    return Err(CudaError::OutOfMemory { purpose, asked: len, free });
                }
                Err(e) => return Err(CudaError::driver("taking device memory", e)),
            },
        };
        Ok(DeviceBuffer { pointer, len, context: Arc::clone(context) })
    }

    /// Takes memory for these values and copies them there; blocks until they are there.
    ///
    /// # Errors
    /// As [`DeviceBuffer::take`].
    pub fn holding<T: Copy>(
        context: &Arc<Context>,
        values: &[T],
        purpose: &'static str,
    ) -> Result<DeviceBuffer, CudaError> {
        let buffer = DeviceBuffer::take(context, size_of_val(values), purpose)?;
        if !values.is_empty() {
            // SAFETY: as many bytes as the buffer has.
            unsafe { result::memcpy_htod_sync(buffer.pointer, values) }
                .map_err(|e| CudaError::driver("uploading", e))?;
        }
        Ok(buffer)
    }

    /// Its address on the device, as a kernel argument; 0 when it is empty.
    pub fn pointer(&self) -> u64 {
        self.pointer
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn check(&self, offset: usize, len: usize) -> Result<(), CudaError> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len => Ok(()),
            _ => Err(CudaError::OutsideBuffer { offset, len, size: self.len }),
        }
    }
}

impl Drop for DeviceBuffer {
    fn drop(&mut self) {
        if self.pointer != 0 && self.context.bind().is_ok() {
            // SAFETY: taken once, freed once; cuMemFree waits for work that uses it.
            let _ = unsafe { result::free_sync(self.pointer) };
        }
    }
}

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
    pub fn address(&self) -> u64 {
        self.pointer.as_ptr() as u64
    }

    /// The whole buffer as 32-bit floats; bytes that are left over at the end do not count.
    pub fn floats(&self) -> &[f32] {
        // SAFETY: page-aligned, initialised, owned; any bits are a float.
        unsafe { std::slice::from_raw_parts(self.pointer.as_ptr().cast(), self.len / size_of::<f32>()) }
    }

    /// The whole buffer as 32-bit floats; bytes that are left over at the end do not count.
    pub fn floats_mut(&mut self) -> &mut [f32] {
        // SAFETY: page-aligned, initialised, owned; any bits are a float.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.as_ptr().cast(), self.len / size_of::<f32>()) }
    }

    /// The context it was taken in.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }
}

impl Drop for PinnedBuffer {
    fn drop(&mut self) {
        if self.context.bind().is_ok() {
            // SAFETY: taken once, freed once.
            let _ = unsafe { result::free_host(self.pointer.as_ptr().cast()) };
        }
    }
}
