//! The CUDA engine (to come: this line is replaced below).
pub mod params;
pub mod tiles;
