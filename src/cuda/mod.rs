//! The CUDA engine: packed bytes up, patterns down.
//!
//! The device half is in `cuda/` at the root of the repository; each of its parts has a twin here.
//!
//! ```text
//! device    what there is: driver, GPUs, kernels in the binary, or why not
//! driver    the driver API's few words as owners          image      the fatbins
//! params    cuda/params.h                                 codec      packed frames, a file a unit
//! engine    what a run shares                             integrate  pixels to bins, likewise
//! lane      what a batch needs                            tomo       patterns or sinograms to slices, lanes of its own
//! pinned    slots that the device fetches by itself       decoder    decoding alone
//! reducer   the third door                                verdict    what the device says of a frame, in words
//! numa      where a GPU is
//! ```
//!
//! A kernel takes one structure of `cuda/params.h`, by value. `enqueue_*` never blocks and never allocates; `wait` is the only
//! verb that blocks.
pub mod codec;
pub mod decoder;
pub mod device;
pub mod driver;
pub mod engine;
pub mod error;
pub mod image;
pub mod integrate;
pub mod lane;
pub mod numa;
pub mod params;
pub mod pinned;
pub mod reducer;
pub mod tomo;
mod verdict;

pub use codec::decodes;
pub use device::{Gpu, Survey, survey};
pub use engine::{CudaEngine, integrates};
pub use error::CudaError;
pub use integrate::keep::DevicePatterns;
pub use lane::LaneSizes;
pub use reducer::CudaReducer;
pub use tomo::CudaReconstructor;
