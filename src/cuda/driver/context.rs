//! A device.

use std::ffi::c_int;
use std::sync::Arc;

use cudarc::driver::{result, sys};

use crate::cuda::error::CudaError;

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
