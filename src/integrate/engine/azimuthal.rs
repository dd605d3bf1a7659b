//! The variance of a bin from how its pixels differ, one pixel after the other: pyFAI's one-pass formula.
//!
//! With b = signal / norm and ω = c·norm of a pixel, V += ω²·(m − b)·(m′ − b), where m = S / N is the mean of the pixels before it and m′
//! the mean with it; the first pixel of a bin adds nothing. This depends on the order of the pixels, and is not Σ ω²·(b − m)² with
//! the mean of all of them: on real frames the two differ by up to 0.5 % without pixel splitting and by up to 10 % with it
//! (docs/from-pyfai.md). pyFAI's pixels ascend in a bin as ours do, so its order is followed, and its variance found to some 1e-15.
//!
//! Pixels that are not valid count NaN here.

use super::kernel::{Counts, GROUP};
use super::tile::TileView;
use crate::codec::byte_offset::Simd;

/// What is known of a bin's pixels so far, of `L` frames.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Moments<const L: usize> {
    pub(super) signal: [f64; L],
    pub(super) norm: [f64; L],
    /// NaN before the first pixel.
    pub(super) mean: [f64; L],
    pub(super) variance: [f64; L],
}

impl<const L: usize> Default for Moments<L> {
    fn default() -> Self {
        let zeros = [0.0; L];
        Moments { signal: zeros, norm: zeros, mean: [f64::NAN; L], variance: zeros }
    }
}

impl<const L: usize> Moments<L> {
    /// S and V of a frame.
    pub(super) fn sums(&self, at: usize) -> (f64, f64) {
        (self.signal[at], not_negative(self.variance[at]))
    }

    /// Adds a pixel: its weight, its norm, its signal in each frame, and that divided by the norm. One where `quotient` is NaN is left out.
    #[inline(always)]
    pub(super) fn add(&mut self, weight: f64, norm: f64, signal: [f64; L], quotient: [f64; L]) {
        let w = weight * norm;
        let square = w * w;
        for l in 0..L {
            let is_valid = quotient[l] == quotient[l];
            let sum = self.signal[l] + weight * signal[l];
            let norms = self.norm[l] + w;
            let mean = sum / norms;
            let step = square * (self.mean[l] - quotient[l]) * (mean - quotient[l]);
            let step = if self.mean[l] == self.mean[l] { step } else { 0.0 };
            let variance = self.variance[l] + step;
            self.signal[l] = if is_valid { sum } else { self.signal[l] };
            self.norm[l] = if is_valid { norms } else { self.norm[l] };
            self.mean[l] = if is_valid { mean } else { self.mean[l] };
            self.variance[l] = if is_valid { variance } else { self.variance[l] };
        }
    }
}

/// Pixels that count the same differ by nothing; rounding may make that a little less.
pub(super) fn not_negative(variance: f64) -> f64 {
    if variance < 0.0 { 0.0 } else { variance }
}

/// Adds the tile's entries to the moments of eight frames. `norms` are those of the tile's pixels.
pub(super) fn accumulate(
    simd: Simd,
    tile: TileView<'_>,
    norms: &[f32],
    counts: &[Counts],
    moments: &mut [Moments<GROUP>],
) {
    match simd {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `Simd` values above Scalar exist only on CPUs that have them (`Engine` asks).
        Simd::Avx512 => unsafe { accumulate_avx512(tile, norms, counts, moments) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Simd::Avx2 => unsafe { accumulate_avx2(tile, norms, counts, moments) },
        _ => accumulate_inline(tile, norms, |place| counts[place].0.map(f64::from), moments),
    }
}

/// [`accumulate`] for one frame alone.
pub(super) fn accumulate_one(
    tile: TileView<'_>,
    norms: &[f32],
    counts: &[f64],
    moments: &mut [Moments<1>],
) {
    accumulate_inline(tile, norms, |place| [counts[place]], moments);
}

/// # Safety
/// AVX-512 F, BW and VL.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn accumulate_avx512(
    tile: TileView<'_>,
    norms: &[f32],
    counts: &[Counts],
    moments: &mut [Moments<GROUP>],
) {
    accumulate_inline(tile, norms, |place| counts[place].0.map(f64::from), moments);
}

/// # Safety
/// AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn accumulate_avx2(
    tile: TileView<'_>,
    norms: &[f32],
    counts: &[Counts],
    moments: &mut [Moments<GROUP>],
) {
    accumulate_inline(tile, norms, |place| counts[place].0.map(f64::from), moments);
}

/// Segment by segment: what a pixel adds depends on those before it. Divisions fill the time that sums wait for each other.
#[inline(always)]
fn accumulate_inline<const L: usize>(
    tile: TileView<'_>,
    norms: &[f32],
    count: impl Fn(usize) -> [f64; L],
    moments: &mut [Moments<L>],
) {
    for (pack, places, weights) in tile.packs() {
        for (side, bin) in pack.bins.into_iter().enumerate() {
            let mut of = moments[bin as usize];
            for (places, weights) in places.iter().zip(weights) {
                let (place, weight) = (usize::from(places.0[side]), weights.0[side]);
                // The segment has ended.
                if weight == 0.0 {
                    break;
                }
                let (norm, signal) = (f64::from(norms[place]), count(place));
                of.add(f64::from(weight), norm, signal, signal.map(|signal| signal / norm));
            }
            moments[bin as usize] = of;
        }
    }
}
