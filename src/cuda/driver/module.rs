//! Kernels, and how they are launched.

use std::ffi::{CString, c_int, c_void};
use std::sync::Arc;

use cudarc::driver::{result, sys};

use super::context::Context;
use super::stream::Stream;
use crate::cuda::error::CudaError;
use crate::cuda::image;

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
                Err(CudaError::NotCovered { built_for: image::ARCHITECTURES.to_vec() })
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
