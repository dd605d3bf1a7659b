//! From decoded pixels to what is summed: signal and variance, with invalid pixels found and left out.
//!
//! pyFAI's rules, in `f32` as pyFAI's own (`ext/preproc.pyx`, c4_preproc): signal = raw − dark; Poisson variance =
//! max(1, raw) with raw taken before the dark is subtracted; a pixel whose raw value is the dummy contributes nothing.
//! Pixels that are invalid in every frame (masked, normalisation 0 or not finite, dark not finite) have no entries in the
//! matrix; what a frame says about them does not matter, and they are not reported. Usually that leaves no invalid pixel
//! in a frame, so a tile is first asked as a whole.
//!
//! The invalid pixels of a frame are kept as [`Run`]s: gaps between modules are long runs, so two frames' lists are short
//! and quickly compared.

use crate::codec::Pixel;
use crate::codec::byte_offset::Simd;
use crate::geometry::detector::Dummy;

/// Consecutive pixels, `start` to before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
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
    poisson: bool,
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
    /// Written as pyFAI writes it, so that NaN and infinity fall on the same side.
    #[inline(always)]
    pub(super) fn has(self, raw: f32) -> bool {
        if self.delta == 0.0 { raw == self.value } else { !((raw - self.value).abs() > self.delta) }
    }
}

/// Where the pixels of one tile go: as many counts as there are pixels.
pub(super) struct Prepared<'a> {
    pub(super) signal: &'a mut [f32],
    /// Only with an error model.
    pub(super) variance: Option<&'a mut [f32]>,
    /// Gets the tile's invalid pixels.
    pub(super) invalid: &'a mut Vec<Run>,
}

impl Prepare {
    /// `used` and `dark` have one value a pixel.
    pub(super) fn new(
        used: Vec<u8>,
        mut dark: Option<Vec<f32>>,
        dummy: Option<Dummy>,
        poisson: bool,
    ) -> Prepare {
        // Such a pixel has no entry; but a weight of 0 times an infinity would not be nothing.
        dark.iter_mut().flatten().filter(|dark| !dark.is_finite()).for_each(|dark| *dark = 0.0);
        Prepare { used, dark, dummy: dummy.map(Invalid::from), poisson }
    }

    /// Whether frames have a variance.
    pub(super) fn has_variance(&self) -> bool {
        self.poisson
    }

    /// Prepares the pixels from `first` on.
    ///
    /// # Panics
    /// When the slices are of different lengths or reach beyond the image.
    pub(super) fn tile<T: Pixel>(&self, simd: Simd, first: usize, raw: &[T], to: Prepared<'_>) {
        match simd {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `Simd` values above Scalar exist only on CPUs that have them (`Engine` asks).
            Simd::Avx512 => unsafe { self.tile_avx512(first, raw, to) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Simd::Avx2 => unsafe { self.tile_avx2(first, raw, to) },
            _ => self.tile_inline(first, raw, to),
        }
    }

    /// # Safety
    /// AVX-512 F, BW and VL.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn tile_avx512<T: Pixel>(&self, first: usize, raw: &[T], to: Prepared<'_>) {
        self.tile_inline(first, raw, to);
    }

    /// # Safety
    /// AVX2.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    unsafe fn tile_avx2<T: Pixel>(&self, first: usize, raw: &[T], to: Prepared<'_>) {
        self.tile_inline(first, raw, to);
    }

    /// One simple loop for each rule: all of a tile is in the first-level cache.
    #[inline(always)]
    fn tile_inline<T: Pixel>(&self, first: usize, raw: &[T], to: Prepared<'_>) {
        let Prepared { signal, variance, invalid } = to;
        assert_eq!(raw.len(), signal.len());
        let used = &self.used[first..first + raw.len()];
        for (signal, raw) in signal.iter_mut().zip(raw) {
            *signal = raw.to_f32();
        }
        let known = invalid.len();
        if let Some(dummy) = self.dummy
            && any(dummy, signal, used)
        {
            find(dummy, first, signal, used, invalid);
        }
        // The last run of the tile before may have been made longer: `known - 1` is looked at again.
        let found = &invalid[known.saturating_sub(1)..];
        let found = found
            .iter()
            .filter(|run| run.end as usize > first)
            .map(|run| (run.start as usize).max(first) - first..run.end as usize - first);
        if let Some(variance) = variance {
            for (variance, signal) in variance.iter_mut().zip(signal.iter()) {
                *variance = signal.max(1.0);
            }
            found.clone().for_each(|run| variance[run].fill(0.0));
        }
        if let Some(dark) = &self.dark {
            for (signal, dark) in signal.iter_mut().zip(&dark[first..first + raw.len()]) {
                *signal -= dark;
            }
        }
        found.for_each(|run| signal[run].fill(0.0));
    }
}

/// Whether any pixel that is used is invalid.
#[inline(always)]
fn any(dummy: Invalid, raw: &[f32], used: &[u8]) -> bool {
    // Two loops without a branch inside, so that each is vectorised.
    let mut any = 0;
    if dummy.delta == 0.0 {
        for (raw, used) in raw.iter().zip(used) {
            any |= u32::from(*raw == dummy.value) & u32::from(*used);
        }
    } else {
        for (raw, used) in raw.iter().zip(used) {
            any |= u32::from(!((raw - dummy.value).abs() > dummy.delta)) & u32::from(*used);
        }
    }
    any != 0
}

/// Lists the used pixels that are invalid, as maximal runs in ascending order.
fn find(dummy: Invalid, first: usize, raw: &[f32], used: &[u8], invalid: &mut Vec<Run>) {
    // Most of a tile is valid even when some of it is not.
    const CHUNK: usize = 64;
    for (chunk, (raw, used)) in raw.chunks(CHUNK).zip(used.chunks(CHUNK)).enumerate() {
        if !any(dummy, raw, used) {
            continue;
        }
        for (at, (raw, used)) in raw.iter().zip(used).enumerate() {
            if *used == 0 || !dummy.has(*raw) {
                continue;
            }
            let pixel = (first + chunk * CHUNK + at) as u32;
            match invalid.last_mut() {
                Some(run) if run.end == pixel => run.end += 1,
                _ => invalid.push(Run { start: pixel, end: pixel + 1 }),
            }
        }
    }
}
