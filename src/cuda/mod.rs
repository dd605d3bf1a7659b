//! The CUDA engine: packed bytes up, patterns down.
//!
//! The device half is in `cuda/` at the root of the repository; each of its parts has a twin here.
//!
//! ```text
//! device    what there is: driver, GPUs, kernels in the binary, or why not
//! driver    the driver API's few words as owners          image     the fatbins
//! params    cuda/params.h                                 kernels   names and launches
//! tiles     the matrix as the device reads it             engine    what a run shares
//! pinned    slots that the device fetches by itself       lane      what a batch needs
//! reducer   the third door                                decoder   decoding alone, for checks
//! verdict   what the device says of a frame, in words    patterns  patterns that stay there
//! md5       whether frames are as they were written
//! tomo      patterns or sinograms to slices, lanes of its own
//! ```
//!
//! `enqueue_*` never blocks and never allocates; `wait` is the only verb that blocks.
pub mod decoder;
pub mod device;
pub mod driver;
pub mod engine;
pub mod error;
pub mod image;
pub mod kernels;
pub mod lane;
pub mod md5;
pub mod params;
pub mod patterns;
pub mod pinned;
pub mod reducer;
pub mod tiles;
pub mod tomo;
mod verdict;

pub use device::{Gpu, Survey, survey};
pub use engine::CudaEngine;
pub use error::CudaError;
pub use patterns::DevicePatterns;
pub use reducer::{CudaReducer, LaneSizes};
pub use tomo::CudaReconstructor;
