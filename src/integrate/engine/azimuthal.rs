//! The variance of a bin from how its pixels differ, one pixel after the other: pyFAI's one-pass formula.
//!
//! With b = signal / norm and ω = c·norm of a pixel, V += ω²·(m − b)·(m′ − b), where m = S / N is the mean of the pixels before it and m′
//! the mean with it; the first pixel of a bin adds nothing. This depends on the order of the pixels, and is not Σ ω²·(b − m)² with
//! the mean of all of them: on real frames the two differ by up to 0.5 % without pixel splitting and by up to 30 % with it
//! (profiles/notes/semantics.md). pyFAI's pixels ascend in a bin as ours do, so its order is followed, and its variance found to some 1e-15.
//!
//! Pixels that are not valid count NaN here.

use super::kernel::{Counts, GROUP, plain};
use super::tile::TileView;
#[cfg(target_arch = "x86_64")]
use super::wide::{Avx2, Avx512};
use super::wide::{Lanes, PlainLanes, Wide};
use crate::codec::byte_offset::Simd;

/// What is known of a bin's pixels so far, of `L` frames.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Moments<const L: usize> {
    signal: [f64; L],
    norm: [f64; L],
    /// NaN before the first pixel.
    mean: [f64; L],
    variance: [f64; L],
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
}

/// The same while pixels are added.
#[derive(Clone, Copy)]
pub(super) struct Running<W> {
    pub(super) signal: W,
    pub(super) norm: W,
    mean: W,
    pub(super) variance: W,
}

impl<W> Running<W> {
    /// Of no pixel yet.
    ///
    /// # Safety
    /// The CPU has the instructions of `W`.
    #[inline(always)]
    pub(super) unsafe fn none<const L: usize>() -> Running<W>
    where
        W: Wide<L>,
    {
        // SAFETY: the caller's.
        let (zero, no_mean) = unsafe { (W::splat(0.0), W::splat(f64::NAN)) };
        Running { signal: zero, norm: zero, mean: no_mean, variance: zero }
    }

    /// Adds a pixel with weight, norm and signal.
    ///
    /// # Safety
    /// The CPU has the instructions of `W`.
    #[inline(always)]
    pub(super) unsafe fn enter<const L: usize>(&mut self, weight: f64, norm: f64, signal: W)
    where
        W: Wide<L>,
    {
        let w = weight * norm;
        // SAFETY: the caller's.
        let (own, wide, square) = unsafe { (W::splat(weight).times(signal), W::splat(w), W::splat(w * w)) };
        self.add(own, wide, square, signal.over_float(norm));
    }

    /// Adds a pixel: c·signal, ω and ω², and b. Frames in which b is NaN are left out.
    #[inline(always)]
    pub(super) fn add<const L: usize>(&mut self, signal: W, w: W, square: W, quotient: W)
    where
        W: Wide<L>,
    {
        let is_valid = quotient.is_number();
        // Adding 0 changes no sum, and so no mean.
        self.signal = self.signal.plus(signal.only(is_valid));
        self.norm = self.norm.plus(w.only(is_valid));
        let mean = self.signal.over(self.norm);
        let step = square.times(self.mean.minus(quotient)).times(mean.minus(quotient));
        self.variance = self.variance.plus(step.only(W::and(is_valid, self.mean.is_number())));
        self.mean = mean;
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
    let counts = plain(counts);
    match simd {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `Simd` values above Scalar exist only on CPUs that have them (`Engine` asks).
        Simd::Avx512 => unsafe { accumulate_avx512(tile, norms, counts, moments) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Simd::Avx2 => unsafe { accumulate_avx2(tile, norms, counts, moments) },
        // SAFETY: plain Rust needs nothing.
        _ => unsafe { accumulate_as::<PlainLanes<GROUP>, _, GROUP>(tile, norms, counts, moments) },
    }
}

/// [`accumulate`] for one frame alone.
pub(super) fn accumulate_one(tile: TileView<'_>, norms: &[f32], counts: &[f64], moments: &mut [Moments<1>]) {
    // SAFETY: plain Rust needs nothing.
    unsafe { accumulate_as::<PlainLanes<1>, _, 1>(tile, norms, counts.as_chunks::<1>().0, moments) };
}

/// # Safety
/// AVX-512 F, BW and VL.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn accumulate_avx512(
    tile: TileView<'_>,
    norms: &[f32],
    counts: &[[f32; GROUP]],
    moments: &mut [Moments<GROUP>],
) {
    // SAFETY: the caller's.
    unsafe { accumulate_as::<Avx512, _, GROUP>(tile, norms, counts, moments) };
}

/// # Safety
/// AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn accumulate_avx2(
    tile: TileView<'_>,
    norms: &[f32],
    counts: &[[f32; GROUP]],
    moments: &mut [Moments<GROUP>],
) {
    // SAFETY: the caller's.
    unsafe { accumulate_as::<Avx2, _, GROUP>(tile, norms, counts, moments) };
}

/// Segment by segment: what a pixel adds depends on those before it. Divisions fill the time that sums wait for each other.
///
/// # Safety
/// The CPU has the instructions of `W`.
#[inline(always)]
unsafe fn accumulate_as<W: Wide<L>, C: Lanes<L>, const L: usize>(
    tile: TileView<'_>,
    norms: &[f32],
    counts: &[C],
    moments: &mut [Moments<L>],
) {
    for (pack, places, weights) in tile.packs() {
        for (side, bin) in pack.bins.into_iter().enumerate() {
            let of = &mut moments[bin as usize];
            // SAFETY: the caller's; so below.
            let mut running = unsafe {
                Running {
                    signal: W::load(&of.signal),
                    norm: W::load(&of.norm),
                    mean: W::load(&of.mean),
                    variance: W::load(&of.variance),
                }
            };
            for (places, weights) in places.iter().zip(weights) {
                let (place, weight) = (usize::from(places.0[side]), f64::from(weights.0[side]));
                // The segment has ended.
                if weight == 0.0 {
                    break;
                }
                // SAFETY: as above.
                unsafe { running.enter(weight, f64::from(norms[place]), counts[place].wide()) };
            }
            running.signal.store(&mut of.signal);
            running.norm.store(&mut of.norm);
            running.mean.store(&mut of.mean);
            running.variance.store(&mut of.variance);
        }
    }
}
