//! From decoded pixels to what is summed: signal and variance, with invalid pixels found and left out.
//!
//! pyFAI's rules, in `f32` as pyFAI's own (`ext/preproc.pyx`, c4_preproc): signal = raw − dark; Poisson variance =
//! max(1, raw) with raw taken before the dark is subtracted, or as it is given; a pixel whose raw value is the dummy, or not finite, contributes nothing. A pixel
//! at or above the frame's cutoff is saturated: counted, and left out too when that is asked for.
//! Pixels that are invalid in every frame (masked, normalisation 0 or not finite, dark not finite) have no entries in the
//! matrix; what a frame says about them does not matter, and they are not reported. Usually that leaves no invalid pixel
//! in a frame, so pixels are asked in blocks.
//!
//! The invalid pixels of a frame are kept as [`InvalidRun`]s: gaps between modules are long runs, so two frames' lists are short
//! and quickly compared.

use std::sync::Arc;

use crate::codec::Pixel;
use crate::codec::byte_offset::Simd;
use crate::geometry::detector::Dummy;

/// Consecutive pixels, `start` to before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InvalidRun {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// What is the same for all frames.
#[derive(Debug)]
pub(super) struct Prepare {
    /// Whether the pixel has an entry in the matrix: 1 or 0.
    used: Vec<u8>,
    /// Subtracted from every pixel; finite.
    dark: Option<Vec<f32>>,
    dummy: Option<Invalid>,
    /// Whether saturated pixels are invalid.
    masks_saturated: bool,
    variance: PixelVariance,
    /// The signal of a pixel that is invalid.
    blank: f32,
}

/// The variance of a pixel.
#[derive(Debug)]
pub(super) enum PixelVariance {
    /// Nobody asks.
    None,
    /// max(1, raw).
    Poisson,
    /// Of each pixel, whatever it counted; finite where the pixel has an entry.
    Given(Arc<[f32]>),
}

/// The dummy test in `f32`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Invalid {
    value: f32,
    /// 0: exactly `value`.
    delta: f32,
}

impl From<Dummy> for Invalid {
    fn from(dummy: Dummy) -> Invalid {
        Invalid { value: dummy.value as f32, delta: dummy.delta as f32 }
    }
}

impl Invalid {
    #[inline(always)]
    pub(super) fn has(self, raw: f32) -> bool {
        if self.delta == 0.0 { self.is(raw) } else { self.is_near(raw) }
    }

    /// The test without a delta.
    #[inline(always)]
    fn is(self, raw: f32) -> bool {
        raw == self.value
    }

    /// The test with one. Written as pyFAI writes it, so that NaN falls on the same side: a dummy of NaN makes all invalid.
    #[inline(always)]
    #[allow(clippy::neg_cmp_op_on_partial_ord, reason = "NaN must not compare as valid")]
    fn is_near(self, raw: f32) -> bool {
        !((raw - self.value).abs() > self.delta)
    }
}

/// Where prepared pixels go: as many counts as there are pixels.
pub(super) struct Prepared<'a> {
    pub(super) signal: &'a mut [f32],
    /// Only with an error model.
    pub(super) variance: Option<&'a mut [f32]>,
    /// Gets the invalid pixels, after those of the pixels before.
    pub(super) invalid: &'a mut Vec<InvalidRun>,
    /// Grows by the saturated pixels.
    pub(super) saturated: &'a mut u32,
}

impl Prepare {
    /// `used` and `dark` have one value a pixel.
    pub(super) fn new(
        used: Vec<u8>,
        mut dark: Option<Vec<f32>>,
        dummy: Option<Dummy>,
        masks_saturated: bool,
        variance: PixelVariance,
        blank: f32,
    ) -> Prepare {
        // Such a pixel has no entry; but a weight of 0 times an infinity would not be nothing.
        dark.iter_mut().flatten().filter(|dark| !dark.is_finite()).for_each(|dark| *dark = 0.0);
        Prepare { used, dark, dummy: dummy.map(Invalid::from), masks_saturated, variance, blank }
    }

    /// Whether frames have a variance.
    pub(super) fn has_variance(&self) -> bool {
        !matches!(self.variance, PixelVariance::None)
    }

    /// Prepares the pixels from `first` on; those at or above `cutoff` are saturated.
    ///
    /// # Panics
    /// When the slices are of different lengths or reach beyond the image.
    pub(super) fn run<T: Pixel>(&self, simd: Simd, first: usize, raw: &[T], cutoff: f32, to: Prepared<'_>) {
        match simd {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `Simd` values above Scalar exist only on CPUs that have them (`Engine` asks).
            Simd::Avx512 => unsafe { self.run_avx512(first, raw, cutoff, to) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Simd::Avx2 => unsafe { self.run_avx2(first, raw, cutoff, to) },
            _ => self.run_inline(first, raw, cutoff, to),
        }
    }

    /// # Safety
    /// AVX-512 F, BW and VL.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn run_avx512<T: Pixel>(&self, first: usize, raw: &[T], cutoff: f32, to: Prepared<'_>) {
        self.run_inline(first, raw, cutoff, to);
    }

    /// # Safety
    /// AVX2.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    unsafe fn run_avx2<T: Pixel>(&self, first: usize, raw: &[T], cutoff: f32, to: Prepared<'_>) {
        self.run_inline(first, raw, cutoff, to);
    }

    /// One simple loop for each rule: a run of pixels is in the first-level cache.
    #[inline(always)]
    fn run_inline<T: Pixel>(&self, first: usize, raw: &[T], cutoff: f32, to: Prepared<'_>) {
        let Prepared { signal, variance, invalid, saturated } = to;
        assert_eq!(raw.len(), signal.len());
        let range = first..first + raw.len();
        let known = invalid.len();
        let find = Find { used: &self.used[range.clone()], first, cutoff, masks: self.masks_saturated };
        // Copies, so that no loop has a branch inside and each is vectorised.
        match self.dummy {
            // What is not finite counts as a dummy, whatever the dummy is.
            _ if T::IS_FLOAT => {
                let has = |raw: f32| !raw.is_finite() || self.dummy.is_some_and(|dummy| dummy.has(raw));
                find.convert(raw, signal, has, invalid, saturated);
                // Also where the pixel has no entry: a weight of 0 times an infinity would not be nothing.
                signal.iter_mut().filter(|raw| !raw.is_finite()).for_each(|raw| *raw = 0.0);
            }
            None if cutoff == f32::INFINITY => convert(raw, signal),
            None => find.convert(raw, signal, |_| false, invalid, saturated),
            Some(dummy) if dummy.delta == 0.0 => {
                find.convert(raw, signal, |raw| dummy.is(raw), invalid, saturated);
            }
            Some(dummy) => find.convert(raw, signal, |raw| dummy.is_near(raw), invalid, saturated),
        }
        // The last of the runs that were known may have grown: it is looked at again.
        let found = invalid[known.saturating_sub(1)..].iter().filter(|run| run.end as usize > first);
        let found = found.map(|run| (run.start as usize).max(first) - first..run.end as usize - first);
        if let Some(variance) = variance {
            match &self.variance {
                PixelVariance::None => {}
                PixelVariance::Poisson => {
                    for (variance, signal) in variance.iter_mut().zip(signal.iter()) {
                        *variance = signal.max(1.0);
                    }
                }
                PixelVariance::Given(image) => variance.copy_from_slice(&image[range.clone()]),
            }
            found.clone().for_each(|run| variance[run].fill(0.0));
        }
        if let Some(dark) = &self.dark {
            for (signal, dark) in signal.iter_mut().zip(&dark[range]) {
                *signal -= dark;
            }
        }
        found.for_each(|run| signal[run].fill(self.blank));
    }
}

#[inline(always)]
fn convert<T: Pixel>(raw: &[T], signal: &mut [f32]) {
    for (signal, raw) in signal.iter_mut().zip(raw) {
        *signal = raw.to_f32();
    }
}

/// What is looked for in a run of pixels.
struct Find<'a> {
    /// Of these pixels.
    used: &'a [u8],
    /// Number of the first one.
    first: usize,
    cutoff: f32,
    /// Whether saturated pixels are invalid.
    masks: bool,
}

impl Find<'_> {
    /// [`convert`]; lists the used pixels that are invalid and counts those that are saturated.
    #[inline(always)]
    fn convert<T: Pixel>(
        self,
        raw: &[T],
        signal: &mut [f32],
        is_dummy: impl Fn(f32) -> bool,
        invalid: &mut Vec<InvalidRun>,
        saturated: &mut u32,
    ) {
        let Find { used, first, cutoff, masks } = self;
        let mut any = 0;
        for ((raw, signal), used) in raw.iter().zip(&mut *signal).zip(used) {
            *signal = raw.to_f32();
            any |= u32::from(is_dummy(*signal) | (*signal >= cutoff)) & u32::from(*used);
        }
        if any == 0 {
            return;
        }
        // Most of a run is valid even when some of it is not. Blocks of fixed size keep their loops vectorised.
        const BLOCK: usize = 64;
        let (blocks, rest) = signal.as_chunks::<BLOCK>();
        let (used_blocks, used_rest) = used.as_chunks::<BLOCK>();
        let mut first = first as u32;
        let masks = u8::from(masks);
        let flags_of = |signal: f32, used: u8| {
            let dummy = u8::from(is_dummy(signal));
            let high = u8::from(signal >= cutoff) & !dummy;
            ((dummy | (high & masks)) & used, high & used)
        };
        for (signal, used) in blocks.iter().zip(used_blocks) {
            // 1 for each invalid and each saturated pixel, in steps that the compiler vectorises.
            let (mut flags, mut high) = ([0_u8; BLOCK], 0);
            for (flag, (signal, used)) in flags.iter_mut().zip(signal.iter().zip(used)) {
                let (is_invalid, is_high) = flags_of(*signal, *used);
                *flag = is_invalid;
                high += is_high;
            }
            if flags != [0; BLOCK] {
                push(bits(&flags), first, invalid);
            }
            *saturated += u32::from(high);
            first += BLOCK as u32;
        }
        for (signal, used) in rest.iter().zip(used_rest) {
            let (is_invalid, is_high) = flags_of(*signal, *used);
            push(u64::from(is_invalid), first, invalid);
            *saturated += u32::from(is_high);
            first += 1;
        }
    }
}

/// The lowest bit of each byte, the first byte's in the lowest bit.
fn bits(flags: &[u8; 64]) -> u64 {
    flags.as_chunks::<8>().0.iter().rev().fold(0, |bits, flags| {
        // The product brings bit 0 of byte k to bit 56 + k; no two meet on the way there.
        bits << 8 | u64::from_le_bytes(*flags).wrapping_mul(0x0102_0408_1020_4080) >> 56
    })
}

/// Adds the pixels `first` + place of each 1 in `bits`, as maximal runs in ascending order.
fn push(mut bits: u64, first: u32, invalid: &mut Vec<InvalidRun>) {
    while bits != 0 {
        let start = bits.trailing_zeros();
        let end = start + (bits >> start).trailing_ones();
        bits &= u64::MAX.checked_shl(end).unwrap_or(0);
        match invalid.last_mut() {
            Some(run) if run.end == first + start => run.end = first + end,
            _ => invalid.push(InvalidRun { start: first + start, end: first + end }),
        }
    }
}
