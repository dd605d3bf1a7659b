//! Machine code on a device.

use std::sync::Arc;

use cudarc::driver::{result, sys};

use super::context::{Context, version};
use crate::cuda::error::CudaError;
use crate::cuda::image;

/// A loaded fatbin.
#[derive(Debug)]
pub struct Module {
    pub(super) raw: sys::CUmodule,
    pub(super) context: Arc<Context>,
}

// SAFETY: module handles may be used from any thread.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

impl Module {
    /// Loads a unit of this program's kernels: a `.cu` file by its name without the ending.
    ///
    /// # Errors
    /// [`CudaError::NoKernels`] when the program was built without them, else as [`Module::load`].
    pub fn of(context: &Arc<Context>, unit: &str) -> Result<Arc<Module>, CudaError> {
        Ok(Arc::new(Module::load(context, image::find(unit).ok_or(CudaError::NoKernels)?)?))
    }

    /// Loads machine code that fits the device, or has its PTX compiled.
    ///
    /// # Errors
    /// [`CudaError::NotCovered`] when the image holds nothing for this device, [`CudaError::DriverTooOld`] when the driver does not know
    /// PTX so young, else the driver's refusal.
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
                Err(CudaError::NotCovered { built_for: image::ARCHITECTURES.to_vec() })
            }
            Err(e) if e.0 == sys::CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION => {
                Err(CudaError::DriverTooOld { found: version()?, needed: image::TOOLKIT })
            }
            Err(e) => Err(CudaError::driver("loading kernels", e)),
        }
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
