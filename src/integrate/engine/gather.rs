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

use std::time::Instant;

use super::kernel::{self, Counts, GROUP};
use super::prepare::Prepared;
use super::stream::PixelStream;
#[cfg(target_arch = "x86_64")]
use super::wide::{Avx2, Avx512};
use super::wide::{PlainLanes, Wide};
use super::{Engine, RUN, STRIDE, Scratch};
use crate::codec::Pixel;
use crate::codec::simd::Simd;
use crate::frame::{Frame, Norms, Outcome};
use crate::integrate::pattern::Sums;
use crate::integrate::reduction::{ErrorModel, Reduction, Statistic};

mod clip;
mod quantile;

use quantile::Ranks;

/// Which pixels count, and what their variance is.
#[derive(Debug)]
pub(super) struct Gather {
    reduction: Reduction,
    dark: Option<Vec<f32>>,
}

/// Frames, decoded, and a bin of them.
#[derive(Debug, Default)]
pub(super) struct GatherScratch {
    /// A run of pixels, frame after frame.
    lanes: Vec<f32>,
    /// All pixels, frames side by side; or of the only frame.
    counts: Vec<Counts>,
    one: Vec<[f32; 1]>,
    bin: Bin<GROUP>,
    bin_one: Bin<1>,
    ranks: Ranks,
    /// Of each frame, bin after bin.
    found: [Vec<BinSum>; GROUP],
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

/// Where the pixels of a group lie, and in which frame.
struct Pixels<'a, const L: usize> {
    of: &'a [[f32; L]],
    frames: usize,
}

impl Gather {
    pub(super) fn new(reduction: Reduction, dark: Option<Vec<f32>>) -> Gather {
        Gather { reduction, dark }
    }

    /// Integrates up to [`GROUP`] frames together.
    pub(super) fn group<T: Pixel>(
        &self,
        engine: &Engine,
        frames: &[Frame],
        scratch: &mut Scratch,
        outcomes: &mut Vec<Outcome>,
    ) {
        let lanes = self.decode::<T>(engine, frames, scratch);
        if !lanes.iter().all(PixelStream::is_bad) {
            scratch.gather.found.iter_mut().for_each(Vec::clear);
            match engine.simd {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: `Simd` values above Scalar exist only on CPUs that have them (`Engine` asks).
                Simd::Avx512 => unsafe { self.bins_avx512(engine, frames.len(), &mut scratch.gather) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                Simd::Avx2 => unsafe { self.bins_avx2(engine, frames.len(), &mut scratch.gather) },
                // SAFETY: plain Rust needs nothing.
                _ => unsafe { self.bins::<PlainLanes<GROUP>>(engine, frames.len(), &mut scratch.gather) },
            }
        }
        for (at, lane) in lanes.into_iter().enumerate() {
            outcomes.push(lane.close().and_then(|frame| {
                let found = &scratch.gather.found[at];
                engine.pattern(frame, self.sums(found), scratch.saturated[at])
            }));
        }
    }

    /// Decodes all pixels of a group.
    fn decode<'a, T: Pixel>(
        &self,
        engine: &Engine,
        frames: &'a [Frame],
        scratch: &mut Scratch,
    ) -> Vec<PixelStream<'a>> {
        let Scratch { gather, invalid, saturated, decoding, .. } = scratch;
        let pixels = engine.shape.pixels();
        // The transpose takes four pixels at a time.
        let (one, many) = if frames.len() == 1 { (pixels, 0) } else { (0, pixels.next_multiple_of(4)) };
        gather.one.resize(one, [0.0]);
        gather.counts.resize(many, Counts::default());
        // Of lanes without a frame no pixel is valid.
        gather.lanes.clear();
        gather.lanes.resize(GROUP * STRIDE, f32::NAN);
        let open = |frame| PixelStream::open(frame, engine.shape, engine.pixel, engine.simd);
        let mut lanes: Vec<PixelStream> = frames.iter().map(open).collect();
        let cutoffs: Vec<f32> = frames.iter().map(|f| engine.saturation.cutoff_of(&f.header)).collect();
        let mut raw = [T::default(); RUN];
        for first in (0..pixels).step_by(RUN) {
            let raw = &mut raw[..RUN.min(pixels - first)];
            for (at, lane) in lanes.iter_mut().enumerate() {
                let begun = decoding.is_some().then(Instant::now);
                let is_good = lane.next(raw);
                if let (Some(decoding), Some(begun)) = (decoding.as_mut(), begun) {
                    *decoding += begun.elapsed();
                }
                if is_good {
                    let signal = match frames.len() {
                        1 => gather.one[first..first + raw.len()].as_flattened_mut(),
                        _ => &mut gather.lanes[at * STRIDE..at * STRIDE + raw.len()],
                    };
                    let (invalid, saturated) = (&mut invalid[at], &mut saturated[at]);
                    let to = Prepared { signal, variance: None, invalid, saturated };
                    engine.prepare.run(engine.simd, first, raw, cutoffs[at], to);
                }
            }
            if lanes.iter().all(PixelStream::is_bad) {
                break;
            }
            if frames.len() > 1 {
                let out = &mut gather.counts[first..first + raw.len().next_multiple_of(4)];
                kernel::side_by_side(engine.simd, &gather.lanes, STRIDE, out);
            }
        }
        lanes
    }

    /// # Safety
    /// AVX-512 F, BW and VL.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn bins_avx512(&self, engine: &Engine, frames: usize, scratch: &mut GatherScratch) {
        // SAFETY: the caller's.
        unsafe { self.bins::<Avx512>(engine, frames, scratch) };
    }

    /// # Safety
    /// AVX2.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    unsafe fn bins_avx2(&self, engine: &Engine, frames: usize, scratch: &mut GatherScratch) {
        // SAFETY: the caller's.
        unsafe { self.bins::<Avx2>(engine, frames, scratch) };
    }

    /// All bins of a group that is decoded.
    ///
    /// # Safety
    /// The CPU has the instructions of `W`.
    #[inline(always)]
    unsafe fn bins<W: Wide<GROUP>>(&self, engine: &Engine, frames: usize, scratch: &mut GatherScratch) {
        let GatherScratch { counts, one, bin, bin_one, ranks, found, .. } = scratch;
        // SAFETY: plain Rust needs nothing, and for the others it is the caller's.
        unsafe {
            match frames {
                1 => self.each_bin::<PlainLanes<1>, 1>(
                    engine,
                    Pixels { of: one, frames },
                    bin_one,
                    ranks,
                    found,
                ),
                _ => {
                    let pixels = Pixels { of: kernel::plain(counts), frames };
                    self.each_bin::<W, GROUP>(engine, pixels, bin, ranks, found);
                }
            }
        }
    }

    /// # Safety
    /// As [`Gather::bins`].
    #[inline(always)]
    unsafe fn each_bin<W: Wide<L>, const L: usize>(
        &self,
        engine: &Engine,
        pixels: Pixels<'_, L>,
        bin: &mut Bin<L>,
        ranks: &mut Ranks,
        found: &mut [Vec<BinSum>; GROUP],
    ) {
        for row in 0..engine.bins {
            // SAFETY: the caller's.
            unsafe { self.fill::<W, L>(engine, row, pixels.of, bin) };
            match self.reduction.statistic {
                Statistic::Clip { cutoff, cycles } => {
                    // SAFETY: the caller's.
                    let sums = unsafe { clip::clip::<W, L>(bin, &self.reduction.errors, cutoff, cycles) };
                    found.iter_mut().zip(sums).take(pixels.frames).for_each(|(found, sum)| found.push(sum));
                }
                Statistic::Quantile { from, to } => {
                    ranks.order(bin);
                    for (at, found) in found.iter_mut().enumerate().take(pixels.frames) {
                        found.push(quantile::quantile(bin, at, (from, to), ranks));
                    }
                }
                // Its route is another one.
                Statistic::Mean => {}
            }
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
        let (indices, weights) = engine.norms.csr().row(row);
        let normalization = engine.norms.normalization();
        bin.weights.clear();
        bin.norms.clear();
        bin.signal.clear();
        bin.quotient.clear();
        bin.variance.clear();
        bin.weights.extend(weights.iter().map(|weight| f64::from(*weight)));
        bin.norms.extend(indices.iter().map(|pixel| f64::from(normalization[*pixel as usize])));
        bin.signal.extend(indices.iter().map(|pixel| pixels[*pixel as usize]));
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
            bin.quotient.resize(bin.norms.len(), [0.0; L]);
            for ((quotient, signal), norm) in bin.quotient.iter_mut().zip(&bin.signal).zip(&bin.norms) {
                // SAFETY: the caller's.
                unsafe { W::widen(signal).over(W::splat(*norm)).store(quotient) };
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
