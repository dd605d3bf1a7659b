//! A device.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use cudarc::driver::{result, sys};

use crate::cuda::error::CudaError;

/// The CUDA version of the driver, which must be there: major, minor.
///
/// # Errors
/// When the driver refuses.
pub fn version() -> Result<(usize, usize), CudaError> {
    let mut version = 0;
    // SAFETY: writes one integer.
    unsafe { sys::cuDriverGetVersion(&mut version) }
        .result()
        .map_err(|e| CudaError::driver("asking for the driver's version", e))?;
    let version = version.max(0) as usize;
    Ok((version / 1000, version % 1000 / 10))
}

/// One number that the driver knows about a device, open or not. The driver must be initialised.
///
/// # Errors
/// When there is no such device, or the driver refuses.
pub fn attribute(ordinal: usize, attribute: sys::CUdevice_attribute) -> Result<usize, CudaError> {
    let device =
        result::device::get(ordinal as c_int).map_err(|e| CudaError::driver("looking for the device", e))?;
    attribute_of(device, attribute)
}

fn attribute_of(device: c_int, attribute: sys::CUdevice_attribute) -> Result<usize, CudaError> {
    // SAFETY: the device was returned by the driver.
    let value = unsafe { result::device::get_attribute(device, attribute) };
    value.map(|v| v.max(0) as usize).map_err(|e| CudaError::driver("asking for a device attribute", e))
}

/// Where a device is on the PCI bus: `0000:1B:00.0`. The driver must be initialised.
///
/// # Errors
/// When there is no such device, or the driver refuses.
pub fn pci_bus_id(ordinal: usize) -> Result<String, CudaError> {
    let failed = |e| CudaError::driver("asking where the device is", e);
    let device = result::device::get(ordinal as c_int).map_err(failed)?;
    let mut text = [0_u8; 32];
    // SAFETY: the device was returned by the driver, which writes at most so many bytes, the last of them a NUL.
    unsafe { sys::cuDeviceGetPCIBusId(text.as_mut_ptr().cast(), text.len() as c_int, device) }
        .result()
        .map_err(failed)?;
    Ok(text.iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect())
}

/// A device's primary context, kept alive by everything that was made in it.
#[derive(Debug)]
pub struct Context {
    ordinal: usize,
    device: c_int,
    raw: sys::CUcontext,
    given_up: AtomicBool,
}

/// What is open: a device has one context, and one fate. Each has a lock of its own, so that devices open side by side.
static OPEN: Mutex<Vec<(c_int, ContextPlace)>> = Mutex::new(Vec::new());

/// Whether a device of this process was given up.
static HANGS: AtomicBool = AtomicBool::new(false);

/// Whether pinned memory may be given back: it is every device's, and whoever gives it back waits for all of them. Where one hangs, it stays.
pub(super) fn may_unpin() -> bool {
    !HANGS.load(Ordering::Acquire)
}

/// Whether a device of this process was given up. A process with such a one should end without asking the driver to.
pub fn one_was_given_up() -> bool {
    !may_unpin()
}

/// Where the context of a device is while anybody has it.
type ContextPlace = Arc<Mutex<Weak<Context>>>;

fn place_of(device: c_int) -> ContextPlace {
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, place)) = open.iter().find(|(other, _)| *other == device) {
        return Arc::clone(place);
    }
    let place = ContextPlace::default();
    open.push((device, Arc::clone(&place)));
    place
}

// SAFETY: a CUcontext may be used from any thread; the driver locks it.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Context {
    /// Opens device `ordinal`, or takes part in it where it is open. The driver must be initialised.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn open(ordinal: usize) -> Result<Arc<Context>, CudaError> {
        let failed = |e| CudaError::driver("opening the device", e);
        let device = result::device::get(ordinal as c_int).map_err(failed)?;
        let place = place_of(device);
        let mut open = place.lock().unwrap_or_else(PoisonError::into_inner);
        let context = match open.upgrade() {
            Some(context) => context,
            None => {
                // SAFETY: the device was just returned by the driver.
                let raw = unsafe { result::primary_ctx::retain(device) }.map_err(failed)?;
                let context = Arc::new(Context { ordinal, device, raw, given_up: AtomicBool::new(false) });
                *open = Arc::downgrade(&context);
                context
            }
        };
        context.bind()?;
        Ok(context)
    }

    /// The device's number, counted from 0.
    pub fn ordinal(&self) -> usize {
        self.ordinal
    }

    /// Asks nothing of the device any more: it does not answer. What was made in this context stays as it is, for who frees memory
    /// of a device that hangs waits for ever, and who uses it again has the device write into it.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Release);
        HANGS.store(true, Ordering::Release);
    }

    /// Whether the device did not answer once.
    pub fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
    }

    /// Whether memory of one is memory of the other.
    pub fn is_on_the_device_of(&self, other: &Context) -> bool {
        self.device == other.device
    }

    /// Makes the context current on this thread.
    ///
    /// # Errors
    /// When the driver refuses, or the device was given up.
    pub fn bind(&self) -> Result<(), CudaError> {
        if self.is_given_up() {
            return Err(CudaError::GivenUp);
        }
        // SAFETY: the context lives as long as self.
        unsafe { result::ctx::set_current(self.raw) }.map_err(|e| CudaError::driver("binding the context", e))
    }

    /// One number that the driver knows about the device.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn attribute(&self, attribute: sys::CUdevice_attribute) -> Result<usize, CudaError> {
        attribute_of(self.device, attribute)
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
        // What is pinned goes with it, so this waits for every device, too.
        if may_unpin() && !self.is_given_up() {
            // SAFETY: retained in `open`, released once. A failure at this point helps nobody.
            let _ = unsafe { result::primary_ctx::release(self.device) };
        }
    }
}
