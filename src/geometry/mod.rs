//! Where each pixel is and what its counts mean: PONI files, detectors, masks, corrections, units.
pub mod correction;
pub mod detector;
pub mod mask;
pub mod poni;
pub mod units;
