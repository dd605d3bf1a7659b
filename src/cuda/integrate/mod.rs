//! Pixels to bins on the device: a file a unit of `cuda/integrate/`, and what those are given.
//!
//! ```text
//! fused   decodes and sums in one kernel      matrix  its matrix, as it reads it
//! form    which of its kernels                 norms   what frames share
//! keep    patterns that stay on the device
//! ```

pub mod form;
pub mod fused;
pub mod keep;
pub mod matrix;
pub(super) mod norms;
