//! xrdct: X-ray diffraction scans to powder patterns, sinograms and tomograms.
//!
//! A frame walks one straight corridor: source → decode → integrate → write.
pub mod bench;
pub mod budget;
pub mod cli;
pub mod codec;
pub mod cuda;
pub mod files;
pub mod frame;
pub mod geometry;
pub mod h5;
pub mod integrate;
pub mod output;
pub mod picture;
pub mod pipeline;
pub mod reduce;
pub mod session;
pub mod simulate;
pub mod source;
pub mod tomo;
pub mod trace;
