//! Where each pixel is and what its counts mean: PONI files, detectors, masks, corrections, units.
//!
//! A [`poni::Poni`] says how detector and beam stand to each other, a [`detector::Detector`] how large the pixels are and
//! which of them do not exist, [`surface`] where on it they are, [`placement`] is what vectors say instead, [`position`] turns all into the place of every pixel, [`units`] turns that place
//! into the number that patterns are plotted against, and [`correction`] says how much of the scattered intensity
//! a pixel there can see. Everything follows pyFAI 2026.9.0: names, conventions and, where results are compared,
//! the order of the arithmetic.
//!
//! Axis 1 is slow (rows, y), axis 2 is fast (columns, x). Lengths are metres, angles radians. The sample is the
//! origin; z runs along the beam, y (for orientation 3) along increasing rows, x along increasing columns.
pub mod catalogue;
pub mod correction;
pub mod detector;
pub mod letters;
pub mod mask;
mod parallax;
pub mod placement;
pub mod poni;
pub mod position;
pub mod surface;
pub mod units;
