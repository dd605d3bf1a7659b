//! Kernels, and how they are launched.

use std::ffi::{CString, c_int, c_void};
use std::marker::PhantomData;
use std::sync::Arc;

use cudarc::driver::{result, sys};

use super::module::Module;
use super::stream::Stream;
use super::symbol::symbol;
use crate::cuda::error::CudaError;

/// Most blocks along x, and along y (compute capability 7.5 and later).
const MOST_BLOCKS: (usize, usize) = (i32::MAX as usize, 65_535);
/// Most threads of a block.
const MOST_THREADS: usize = 1024;

/// A kernel that takes one structure of `cuda/params.h`.
#[derive(Debug)]
pub struct Kernel<A> {
    raw: sys::CUfunction,
    module: Arc<Module>,
    arguments: PhantomData<fn(&A)>,
}

// SAFETY: function handles may be used from any thread.
unsafe impl<A> Send for Kernel<A> {}
// SAFETY: as above.
unsafe impl<A> Sync for Kernel<A> {}

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

impl Launch {
    /// Blocks along x and y, threads and bytes, as the driver takes them.
    fn checked(self) -> Result<(u32, u32, u32, u32), CudaError> {
        let Launch { grid: (x, y), threads, shared } = self;
        let fits = |count: usize, most: usize| (1..=most).contains(&count);
        if fits(x, MOST_BLOCKS.0) && fits(y, MOST_BLOCKS.1) && fits(threads, MOST_THREADS) {
            Ok((x as u32, y as u32, threads as u32, u32::try_from(shared).unwrap_or(u32::MAX)))
        } else {
            Err(CudaError::Launch { x, y, threads })
        }
    }
}

/// `cuFuncGetParamInfo`, which drivers have from CUDA 12.4 on: where a kernel's parameter begins, and its size.
type ParameterInfo = unsafe extern "C" fn(sys::CUfunction, usize, *mut usize, *mut usize) -> sys::CUresult;

impl<A: Copy> Kernel<A> {
    /// The kernel of that name.
    ///
    /// # Errors
    /// When there is none, or it takes something of another size (which older drivers cannot tell).
    pub fn load(module: &Arc<Module>, name: &str) -> Result<Kernel<A>, CudaError> {
        let failed = |e| CudaError::driver("looking up a kernel", e);
        module.context.bind()?;
        let called = CString::new(name).map_err(|_| CudaError::Kernel { name: name.to_owned() })?;
        // SAFETY: the module is loaded.
        let raw = unsafe { result::module::get_function(module.raw, called) }.map_err(failed)?;
        let kernel = Kernel { raw, module: Arc::clone(module), arguments: PhantomData };
        match symbol("cuFuncGetParamInfo").map(|info| kernel.takes(info)) {
            Some(found) if found != [Some(size_of::<A>()), None] => {
                Err(CudaError::Arguments { name: name.to_owned(), found, given: size_of::<A>() })
            }
            _ => Ok(kernel),
        }
    }

    /// The sizes of its first two parameters.
    fn takes(&self, info: ParameterInfo) -> [Option<usize>; 2] {
        [0, 1].map(|parameter| {
            let (mut offset, mut size) = (0, 0);
            // SAFETY: the function's module is loaded; two numbers are written.
            let found = unsafe { info(self.raw, parameter, &mut offset, &mut size) };
            (found == sys::CUresult::CUDA_SUCCESS).then_some(size)
        })
    }

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
    /// `A` must be what the kernel takes. The pointers in it must be valid for what the kernel does with them until it has run.
    ///
    /// # Errors
    /// When there is nothing to launch or too much, or the driver refuses.
    pub unsafe fn enqueue(&self, stream: &Stream, launch: Launch, arguments: &A) -> Result<(), CudaError> {
        let (x, y, threads, shared) = launch.checked()?;
        let mut all: [*mut c_void; 1] = [std::ptr::from_ref(arguments).cast_mut().cast()];
        // SAFETY: the caller's promise; the driver copies the structure during the call.
        unsafe { result::launch_kernel(self.raw, (x, y, 1), (threads, 1, 1), shared, stream.raw, &mut all) }
            .map_err(|e| CudaError::driver("launching a kernel", e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launches_of_nothing_or_too_much_are_refused() {
        let checked = |x, y, threads| Launch { grid: (x, y), threads, shared: 16 }.checked();
        assert_eq!(checked(70_000, 65_535, 1024), Ok((70_000, 65_535, 1024, 16)));
        for (x, y, threads) in
            [(0, 1, 32), (1, 0, 32), (1, 1, 0), (1, 65_536, 32), (1 << 31, 1, 32), (1, 1, 1025)]
        {
            assert_eq!(checked(x, y, threads), Err(CudaError::Launch { x, y, threads }));
        }
    }
}
