//! The route of statistics that choose among a bin's pixels: up to eight frames are decoded as a whole, then it goes bin by bin.
//!
//! ```text
//! frame 0  decode ─▶ raw, invalid = NaN ─┐                      ┌─▶ bin 0: its pixels of all frames, in cache ─▶ clip, or quantile
//! frame 1  decode ─▶ raw, invalid = NaN ─┼─▶ [pixel][8] of raw ─┼─▶ bin 1
//!   ⋮                                    │                      │     ⋮
//! ```
//!
//! A bin's pixels are read from memory once; all that is done with them happens in cache. Whatever a frame's pixels
//! count, those of the frames beside it are not touched: a pixel that is left out in one frame, or in one bin, stays in the others.

use rayon::prelude::*;

use super::kernel::GROUP;
use super::stream::PixelStream;
use super::whole::ask_ahead;
#[cfg(target_arch = "x86_64")]
use super::wide::{Avx2, Avx512};
use super::wide::{PlainLanes, Wide};
use super::{Engine, Scratch};
use crate::codec::Pixel;
use crate::codec::simd::Simd;
use crate::frame::{Frame, Norms, Outcome};
use crate::integrate::csr::Csr;
use crate::integrate::pattern::Sums;
use crate::integrate::reduction::{ErrorModel, ExactShares, Reduction, Statistic};

mod clip;
mod quantile;

use quantile::Ranks;

/// Which pixels count, and what their variance is.
#[derive(Debug)]
pub(super) struct Gather {
    reduction: Reduction,
    dark: Option<Vec<f32>>,
    /// How shares are added up in each bin. Only for quantiles.
    exact: Vec<ExactShares>,
}

/// A bin of a group, or of the only frame, and what was found.
#[derive(Debug, Default)]
pub(super) struct GatherScratch {
    group: BinScratch<GROUP>,
    one: BinScratch<1>,
    /// Of each frame, bin after bin.
    found: [Vec<BinSum>; GROUP],
}

/// What one bin needs.
#[derive(Debug, Default)]
struct BinScratch<const L: usize> {
    bin: Bin<L>,
    ranks: Ranks<L>,
}

/// The sums of one bin of one frame over the pixels that count.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BinSum {
    signal: f64,
    variance: f64,
    normalization: f64,
    normalization_squared: f64,
    count: f64,
}

/// The pixels of one bin, in ascending order, in `L` frames.
#[derive(Debug, Default)]
pub(super) struct Bin<const L: usize> {
    weights: Vec<f64>,
    norms: Vec<f64>,
    /// Raw − dark; NaN where the pixel is not valid.
    signal: Vec<[f32; L]>,
    /// Signal / norm; NaN where the pixel is not valid, or left out. Only for clipping.
    quotient: Vec<[f64; L]>,
    /// Where pixels have one.
    variance: Vec<[f32; L]>,
}

impl Gather {
    /// For a matrix without useless entries, and the norm of each pixel.
    pub(super) fn new(
        reduction: Reduction,
        dark: Option<Vec<f32>>,
        csr: &Csr,
        normalization: &[f32],
    ) -> Gather {
        let shares = |bin| {
            let (indices, weights) = csr.row(bin);
            let entries = indices.iter().zip(weights);
            ExactShares::of(entries.map(|(pixel, weight)| normalization[*pixel as usize] * weight))
        };
        let exact = match reduction.statistic {
            Statistic::Quantile { .. } => (0..csr.bins()).into_par_iter().map(shares).collect(),
            Statistic::Mean | Statistic::Clip { .. } => vec![],
        };
        Gather { reduction, dark, exact }
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
        let Scratch { whole, gather: GatherScratch { group, one, found }, .. } = scratch;
        found.iter_mut().for_each(Vec::clear);
        if !lanes.iter().all(PixelStream::is_bad) {
            let found = &mut found[..frames.len()];
            // SAFETY: `Simd` values above Scalar exist only on CPUs that have them (`Engine` asks); plain Rust needs nothing.
            unsafe {
                match (frames.len(), engine.simd) {
                    (1, _) => {
                        self.bins::<PlainLanes<1>, 1>(engine, whole.of_one().signal, one, found);
                    }
                    #[cfg(target_arch = "x86_64")]
                    (_, Simd::Avx512) => self.bins_avx512(engine, whole.of_group().signal, group, found),
                    #[cfg(target_arch = "x86_64")]
                    (_, Simd::Avx2) => self.bins_avx2(engine, whole.of_group().signal, group, found),
                    _ => {
                        let pixels = whole.of_group().signal;
                        self.bins::<PlainLanes<GROUP>, GROUP>(engine, pixels, group, found);
                    }
                }
            }
        }
        for (at, lane) in lanes.into_iter().enumerate() {
            outcomes.push(lane.close().and_then(|frame| {
                engine.pattern(frame, self.sums(&scratch.gather.found[at]), scratch.saturated[at])
            }));
        }
    }

    /// # Safety
    /// AVX-512 F, BW and VL.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn bins_avx512(
        &self,
        engine: &Engine,
        pixels: &[[f32; GROUP]],
        scratch: &mut BinScratch<GROUP>,
        found: &mut [Vec<BinSum>],
    ) {
        // SAFETY: the caller's.
        unsafe { self.bins::<Avx512, GROUP>(engine, pixels, scratch, found) };
    }

    /// # Safety
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn bins_avx2(
        &self,
        engine: &Engine,
        pixels: &[[f32; GROUP]],
        scratch: &mut BinScratch<GROUP>,
        found: &mut [Vec<BinSum>],
    ) {
        // SAFETY: the caller's.
        unsafe { self.bins::<Avx2, GROUP>(engine, pixels, scratch, found) };
    }

    /// All bins of frames that are decoded.
    ///
    /// # Safety
    /// The CPU has the instructions of `W`.
    #[inline(always)]
    unsafe fn bins<W: Wide<L>, const L: usize>(
        &self,
        engine: &Engine,
        pixels: &[[f32; L]],
        BinScratch { bin, ranks }: &mut BinScratch<L>,
        found: &mut [Vec<BinSum>],
    ) {
        for row in 0..engine.bins {
            // SAFETY: the caller's; so below.
            unsafe { self.fill::<W, L>(engine, row, pixels, bin) };
            let sums = match self.reduction.statistic {
                Statistic::Clip { cutoff, cycles } => {
                    // SAFETY: as above.
                    unsafe { clip::clip::<W, L>(bin, &self.reduction.errors, cutoff, cycles) }
                }
                Statistic::Quantile { from, to } => {
                    // SAFETY: as above.
                    unsafe { quantile::quantile::<W, L>(bin, self.exact[row], (from, to), ranks) }
                }
                // Its routes are others.
                Statistic::Mean => [BinSum::default(); L],
            };
            found.iter_mut().zip(sums).for_each(|(found, sum)| found.push(sum));
        }
    }

    /// Brings the pixels of a bin into cache.
    ///
    /// # Safety
    /// As [`Gather::bins`].
    #[inline(always)]
    unsafe fn fill<W: Wide<L>, const L: usize>(
        &self,
        engine: &Engine,
        row: usize,
        pixels: &[[f32; L]],
        bin: &mut Bin<L>,
    ) {
        let csr = engine.norms.csr();
        let (indices, weights) = csr.row(row);
        let normalization = engine.norms.normalization();
        bin.weights.clear();
        bin.norms.clear();
        bin.signal.clear();
        bin.variance.clear();
        bin.weights.extend(weights.iter().map(|weight| f64::from(*weight)));
        bin.norms.extend(indices.iter().map(|pixel| f64::from(normalization[*pixel as usize])));
        let entries = (csr.indptr[row] as usize..).zip(indices);
        bin.signal.extend(entries.map(|(entry, pixel)| {
            ask_ahead(pixels, &csr.indices, entry);
            pixels[*pixel as usize]
        }));
        match &self.reduction.errors {
            ErrorModel::None | ErrorModel::Azimuthal => {}
            // Of what was counted, before the dark is subtracted.
            ErrorModel::Poisson | ErrorModel::Hybrid => {
                bin.variance.extend(bin.signal.iter().map(|raw| raw.map(|raw| raw.max(1.0))));
            }
            ErrorModel::Variance(image) => {
                bin.variance.extend(indices.iter().map(|pixel| [image[*pixel as usize]; L]));
            }
        }
        if let Some(dark) = &self.dark {
            for (signal, pixel) in bin.signal.iter_mut().zip(indices) {
                let dark = dark[*pixel as usize];
                signal.iter_mut().for_each(|signal| *signal -= dark);
            }
        }
        if matches!(self.reduction.statistic, Statistic::Clip { .. }) {
            // All of it is written.
            bin.quotient.resize(bin.norms.len(), [0.0; L]);
            for ((quotient, signal), norm) in bin.quotient.iter_mut().zip(&bin.signal).zip(&bin.norms) {
                // SAFETY: the caller's.
                unsafe { W::widen(signal).over_float(*norm).store(quotient) };
            }
        }
    }

    /// What was found of a frame.
    fn sums(&self, found: &[BinSum]) -> Sums {
        let all = |of: fn(&BinSum) -> f64| found.iter().map(of).collect::<Vec<f64>>();
        let norms = Norms {
            normalization: all(|sum| sum.normalization),
            normalization_squared: all(|sum| sum.normalization_squared),
            count: all(|sum| sum.count),
        };
        let variance = self.reduction.errors.has_variance().then(|| all(|sum| sum.variance));
        Sums { signal: all(|sum| sum.signal), variance, norms: norms.into(), chosen: true }
    }
}
