//! Where frames come from: lists of files, CBF frames, calibration images.
pub mod cbf;
pub mod image;
pub mod listing;
