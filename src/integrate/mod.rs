//! From pixels to bins: the radial axis, pixel splitting, the sparse matrix, and the engine that applies it.
pub mod axis;
pub mod csr;
pub mod engine;
pub mod split;
