//! From pixels to bins: axes, pixel splitting, the sparse matrix, and the engine that applies it.
//!
//! [`split::build`] looks once at the geometry and makes [`axis::Bins`]: a radial [`axis::Axis`], or an azimuthal and a radial one, and a
//! sparse matrix [`csr::Csr`]: how much of each pixel belongs to each bin. The [`engine`] makes of each bin's pixels what a
//! [`reduction::Reduction`] says, as [`law`] defines it, [`pattern`] makes patterns of the sums.
pub mod axis;
pub mod corrections;
pub mod csr;
pub mod engine;
pub mod law;
pub mod pattern;
pub mod reduction;
pub mod split;
