//! The CUDA half: kernels under an emulator (always), the same properties on a GPU (ignored unless asked for).
// Helpers of tests may unwrap, and say on the terminal what they skip.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "gpu/assembly_cases.rs"]
mod assembly_cases;
#[path = "gpu/emulated.rs"]
mod emulated;
#[path = "gpu/emulated_assembly.rs"]
mod emulated_assembly;
#[path = "gpu/emulated_md5.rs"]
mod emulated_md5;
#[path = "gpu/emulated_tomo.rs"]
mod emulated_tomo;
#[path = "gpu/device.rs"]
mod gpu;
#[path = "gpu/assembly.rs"]
mod gpu_assembly;
#[path = "gpu/going_over.rs"]
mod gpu_going_over;
#[path = "gpu/route.rs"]
mod gpu_route;
#[path = "gpu/several.rs"]
mod gpu_several;
#[path = "gpu/tomo.rs"]
mod gpu_tomo;
#[path = "gpu/nvtx.rs"]
mod nvtx;
#[path = "gpu/streams.rs"]
mod streams;
#[path = "gpu/tomo_cases.rs"]
mod tomo_cases;
