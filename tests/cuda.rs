//! The CUDA half: kernels under an emulator (always), the same properties on a GPU (ignored unless asked for).
#[path = "gpu/emulated.rs"]
mod emulated;
#[path = "gpu/device.rs"]
mod gpu;
#[path = "gpu/nvtx.rs"]
mod nvtx;
#[path = "gpu/streams.rs"]
mod streams;
