//! What a source's files say of detector and beam, beside the frames: in SI units; pairs are (slow, fast).

use std::path::Path;
use std::sync::Arc;

use crate::geometry::detector::Sensor;
use crate::geometry::placement::Placement;

/// What is known of detector and beam; what nobody wrote is `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DetectorFacts {
    /// The file that says so, where it is not that of the first frame.
    pub file: Option<Arc<Path>>,
    /// The detector as its maker names it: `Dectris EIGER2 Si 1M`.
    pub description: Option<String>,
    /// Its serial number.
    pub serial_number: Option<String>,
    /// The layer that stops the photons.
    pub sensor: Option<Sensor>,
    /// Size of a pixel, metres.
    pub pixel_size: Option<(f64, f64)>,
    /// From the sample to the detector, metres.
    pub distance: Option<f64>,
    /// Where the direct beam meets the detector, in pixels from the corner of the first one.
    pub beam_centre: Option<(f64, f64)>,
    /// Where the detector stands by its vectors and transformations (NXmx), or why they are not followed.
    pub placement: Option<Result<Placement, String>>,
    /// Metres.
    pub wavelength: Option<f64>,
    /// Energy from which on a photon is counted, electronvolts.
    pub threshold: Option<f64>,
    /// Bits that a pixel counts with; its two or three largest values are no counts.
    pub bit_depth: Option<u32>,
    /// DECTRIS' and NeXus' `pixel_mask`, one value a pixel: 0 is a good one; bit 0 a gap, 1 dead, 2 under-responding, 3 over-responding,
    /// 4 noisy, 6 part of a cluster of bad ones, 8 left out by the user, 31 virtual.
    pub pixel_mask: Option<Arc<[u32]>>,
    /// What each pixel's counts are multiplied by to correct for its efficiency.
    pub flatfield: Option<Arc<[f32]>>,
    /// Whether the counts were multiplied by it already.
    pub flatfield_applied: Option<bool>,
}

/// What the bits of a `pixel_mask` mean, as NeXus defines them.
pub const MASK_BITS: [(u32, &str); 8] = [
    (0, "gap"),
    (1, "dead"),
    (2, "under-responding"),
    (3, "over-responding"),
    (4, "noisy"),
    (6, "in a cluster of bad pixels"),
    (8, "masked by the user"),
    (31, "virtual"),
];
