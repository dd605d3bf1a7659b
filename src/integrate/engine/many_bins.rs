//! The route of means with many bins, such as those of two axes: frames are decoded as a whole, then it goes bin by bin.
//!
//! The sums of a group's bins are 64 bytes each. When all of them do not fit in a core's cache, adding an entry while frames are decoded means to
//! fetch and to write back a bin's sums for one to three pixels of a tile. Here each bin is written once, and what is fetched are
//! the 32 bytes of each entry's pixel, most of them in lines that bins nearby have just used.
//!
//! Entries are added in ascending pixels, as everywhere: the bits are those of the fused route.

use super::azimuthal::{Running, not_negative};
use super::kernel::GROUP;
use super::stream::PixelStream;
use super::whole::{Planes, ask_ahead};
#[cfg(target_arch = "x86_64")]
use super::wide::{Avx2, Avx512};
use super::wide::{Lanes, PlainLanes, Wide};
use super::{Engine, Scratch};
use crate::codec::Pixel;
use crate::codec::simd::Simd;
use crate::frame::{Frame, Outcome};
use crate::integrate::pattern;

/// What a bin's sums are made of.
#[derive(Debug)]
pub(super) struct ManyBins {
    /// Whether errors come from how the pixels of a bin differ.
    is_azimuthal: bool,
    has_variance: bool,
}

/// S, and V where there is one, of a frame: a value for each bin.
#[derive(Debug, Default)]
struct Found {
    signal: Vec<f64>,
    variance: Vec<f64>,
}

impl ManyBins {
    pub(super) fn new(is_azimuthal: bool, has_variance: bool) -> ManyBins {
        ManyBins { is_azimuthal, has_variance }
    }

    /// Integrates up to [`GROUP`] frames together.
    pub(super) fn group<T: Pixel>(
        &self,
        engine: &Engine,
        frames: &[Frame],
        scratch: &mut Scratch,
        outcomes: &mut Vec<Outcome>,
    ) {
        let lanes = scratch.decode_whole::<T>(engine, frames);
        let variances = if self.has_variance { engine.bins } else { 0 };
        let none = || Found { signal: vec![0.0; engine.bins], variance: vec![0.0; variances] };
        let mut found: Vec<Found> = frames.iter().map(|_| none()).collect();
        if !lanes.iter().all(PixelStream::is_bad) {
            // SAFETY: `Simd` values above Scalar exist only on CPUs that have them (`Engine` asks); plain Rust needs nothing.
            unsafe {
                match (frames.len(), engine.simd) {
                    (1, _) => self.bins::<PlainLanes<1>, 1>(engine, scratch.whole.of_one(), &mut found),
                    #[cfg(target_arch = "x86_64")]
                    (_, Simd::Avx512) => self.bins_avx512(engine, scratch.whole.of_group(), &mut found),
                    #[cfg(target_arch = "x86_64")]
                    (_, Simd::Avx2) => self.bins_avx2(engine, scratch.whole.of_group(), &mut found),
                    _ => self.bins::<PlainLanes<GROUP>, GROUP>(engine, scratch.whole.of_group(), &mut found),
                }
            }
        }
        for ((at, lane), Found { signal, variance }) in lanes.into_iter().enumerate().zip(found) {
            outcomes.push(lane.close().and_then(|frame| {
                let variance = self.has_variance.then_some(variance);
                let norms = engine.norms.without(&scratch.invalid[at], None);
                engine.pattern(
                    frame,
                    pattern::Sums { signal, variance, norms, chosen: false },
                    scratch.saturated[at],
                )
            }));
        }
    }

    /// # Safety
    /// AVX-512 F, BW and VL.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn bins_avx512(&self, engine: &Engine, planes: Planes<'_, GROUP>, found: &mut [Found]) {
        // SAFETY: the caller's.
        unsafe { self.bins::<Avx512, GROUP>(engine, planes, found) };
    }

    /// # Safety
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn bins_avx2(&self, engine: &Engine, planes: Planes<'_, GROUP>, found: &mut [Found]) {
        // SAFETY: the caller's.
        unsafe { self.bins::<Avx2, GROUP>(engine, planes, found) };
    }

    /// # Safety
    /// The CPU has the instructions of `W`.
    #[inline(always)]
    unsafe fn bins<W: Wide<L>, const L: usize>(
        &self,
        engine: &Engine,
        planes: Planes<'_, L>,
        found: &mut [Found],
    ) {
        let (csr, norms) = (engine.norms.csr(), engine.norms.normalization());
        let (mut signals, mut variances) = ([0.0; L], [0.0; L]);
        for bin in 0..engine.bins {
            let (indices, weights) = csr.row(bin);
            let entries = indices.iter().map(|pixel| *pixel as usize).zip(weights.iter().copied());
            let first = csr.indptr[bin] as usize;
            let asking = entries.clone().zip(first..).map(|(entry, at)| {
                ask_ahead(planes.signal, &csr.indices, at);
                entry
            });
            // SAFETY: the caller's.
            unsafe {
                if self.is_azimuthal {
                    let mut running = Running::<W>::none();
                    for (pixel, weight) in asking {
                        let signal = planes.signal[pixel].wide();
                        running.enter(f64::from(weight), f64::from(norms[pixel]), signal);
                    }
                    running.signal.store(&mut signals);
                    running.variance.store(&mut variances);
                    variances = variances.map(not_negative);
                } else {
                    let (mut signal, mut variance) = (W::splat(0.0), W::splat(0.0));
                    for (pixel, weight) in asking {
                        let weight = W::splat(f64::from(weight));
                        signal = signal.plus(weight.times(planes.signal[pixel].wide()));
                    }
                    if self.has_variance {
                        for (pixel, weight) in entries {
                            let square = W::splat(f64::from(weight) * f64::from(weight));
                            variance = variance.plus(square.times(planes.variance[pixel].wide()));
                        }
                    }
                    signal.store(&mut signals);
                    variance.store(&mut variances);
                }
            }
            for ((found, signal), variance) in found.iter_mut().zip(signals).zip(variances) {
                found.signal[bin] = signal;
                if self.has_variance {
                    found.variance[bin] = variance;
                }
            }
        }
    }
}
