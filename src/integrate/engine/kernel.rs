//! The inner loops: lay eight frames side by side, and add (weight · count) to sums.
//!
//! Eight frames share each entry of the matrix: their counts of one pixel lie in one [`Counts`], their sums of one bin in
//! one [`BinSums`]. Each loop exists in plain Rust, which says what it computes, and for x86-64 with AVX2 and AVX-512, written
//! with intrinsics because the compiler does not find this shape by itself (profiles/notes/engine-cpu.md).
//!
//! All give the same bits: a product of two `f32` is exact in `f64`, so is the square of a weight; each product is then
//! rounded once into its sum, in the order of the rows, with a multiplication and an addition (never fused).
#![allow(
    clippy::needless_range_loop,
    reason = "segments are numbered: bins, places, weights and sums go in step"
)]

use super::tile::{SIDE, TileView, Weights};
use crate::codec::byte_offset::Simd;

/// Frames side by side: one AVX-512 register of sums.
pub(super) const GROUP: usize = 8;

/// Counts of one pixel in each frame.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C, align(32))]
pub(super) struct Counts(pub(super) [f32; GROUP]);

/// Counts as plain arrays, for loops that the compiler arranges.
pub(super) fn plain(counts: &[Counts]) -> &[[f32; GROUP]] {
    // SAFETY: `Counts` is its array and nothing else, and no array has a stricter alignment.
    unsafe { std::slice::from_raw_parts(counts.as_ptr().cast(), counts.len()) }
}

/// Sums of one bin for each frame.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C, align(64))]
pub(super) struct BinSums(pub(super) [f64; GROUP]);

/// Which power of the weights is summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    /// Σ c·x, the signal.
    One,
    /// Σ c²·x, the variance.
    Two,
}

/// Adds the tile's entries to the sums of eight frames.
///
/// `counts` has one place for each pixel of a full tile, `sums` one for each bin and one more, which takes what is added
/// for absent segments.
///
/// # Panics
/// When `counts` or `sums` is shorter than the entries reach.
pub(super) fn accumulate(
    simd: Simd,
    power: Power,
    tile: TileView<'_>,
    reach: Reach,
    counts: &[Counts],
    sums: &mut [BinSums],
) {
    assert!(counts.len() >= reach.pixels && sums.len() > reach.bins);
    match simd {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `Simd` values above Scalar exist only on CPUs that have them (`Engine` asks); the assertion above and
        // the invariant of `Tiles` keep every index in bounds.
        Simd::Avx512 => unsafe { x86::accumulate_avx512(power, tile, counts, sums) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Simd::Avx2 => unsafe { x86::accumulate_avx2(power, tile, counts, sums) },
        _ => accumulate_plain(power, tile, counts, sums),
    }
}

/// How far the entries of a matrix in tiles reach.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    /// Every place is below this.
    pub(super) pixels: usize,
    /// Every bin is at most this.
    pub(super) bins: usize,
}

/// Rows whose weights are made `f64` at a time: reading them back one by one costs less than converting one by one.
const CHUNK: usize = 32;

/// Weights of one row as they are multiplied.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C, align(64))]
struct Wide([f64; SIDE]);

fn widen(power: Power, weights: &[Weights], wide: &mut [Wide; CHUNK]) {
    for (wide, weights) in wide.iter_mut().zip(weights) {
        for s in 0..SIDE {
            let weight = f64::from(weights.0[s]);
            wide.0[s] = if power == Power::Two { weight * weight } else { weight };
        }
    }
}

/// What [`accumulate`] computes.
fn accumulate_plain(power: Power, tile: TileView<'_>, counts: &[Counts], sums: &mut [BinSums]) {
    let mut wide = [Wide::default(); CHUNK];
    for (pack, places, weights) in tile.packs() {
        let mut side: [BinSums; SIDE] = std::array::from_fn(|s| sums[pack.bins[s] as usize]);
        for (places, weights) in places.chunks(CHUNK).zip(weights.chunks(CHUNK)) {
            widen(power, weights, &mut wide);
            for (places, wide) in places.iter().zip(&wide) {
                for s in 0..SIDE {
                    let counts = &counts[usize::from(places.0[s])].0;
                    for (sum, count) in side[s].0.iter_mut().zip(counts) {
                        *sum += wide.0[s] * f64::from(*count);
                    }
                }
            }
        }
        for (bin, sum) in pack.bins.into_iter().zip(side) {
            sums[bin as usize] = sum;
        }
    }
}

/// [`accumulate`] for one frame alone, whose counts are `f64` already: each is used about twice.
///
/// # Panics
/// As [`accumulate`].
pub(super) fn accumulate_one(
    power: Power,
    tile: TileView<'_>,
    reach: Reach,
    counts: &[f64],
    sums: &mut [f64],
) {
    assert!(counts.len() >= reach.pixels && sums.len() > reach.bins);
    let mut wide = [Wide::default(); CHUNK];
    for (pack, places, weights) in tile.packs() {
        let mut side: [f64; SIDE] = std::array::from_fn(|s| sums[pack.bins[s] as usize]);
        for (places, weights) in places.chunks(CHUNK).zip(weights.chunks(CHUNK)) {
            widen(power, weights, &mut wide);
            for (places, wide) in places.iter().zip(&wide) {
                for s in 0..SIDE {
                    // SAFETY: places are below `reach.pixels`, which the assertion above compared.
                    let count = unsafe { *counts.get_unchecked(usize::from(places.0[s])) };
                    side[s] += wide.0[s] * count;
                }
            }
        }
        for (bin, sum) in pack.bins.into_iter().zip(side) {
            sums[bin as usize] = sum;
        }
    }
}

/// Lays the frames' counts side by side: `out[p]` gets pixel `p` of each lane.
///
/// Lane `l` is `lanes[l * stride..]`.
///
/// # Panics
/// When the lanes are shorter than `out`, or `out` is not a multiple of 4 pixels long.
pub(super) fn side_by_side(simd: Simd, lanes: &[f32], stride: usize, out: &mut [Counts]) {
    assert!(out.len().is_multiple_of(4) && out.len() <= stride && lanes.len() >= GROUP * stride);
    match simd {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: both imply AVX2; the assertion above keeps every load and store in bounds.
        Simd::Avx2 | Simd::Avx512 => unsafe { x86::side_by_side_avx2(lanes, stride, out) },
        _ => {
            for (lane, counts) in lanes.chunks_exact(stride).take(GROUP).enumerate() {
                for (out, count) in out.iter_mut().zip(counts) {
                    out.0[lane] = *count;
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{BinSums, CHUNK, Counts, GROUP, Power, SIDE, TileView, Weights, Wide};

    /// # Safety
    /// AVX-512F; every place of the tile is an index of `counts`, every bin one of `sums`.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn accumulate_avx512(
        power: Power,
        tile: TileView<'_>,
        counts: &[Counts],
        sums: &mut [BinSums],
    ) {
        let mut wide = [Wide::default(); CHUNK];
        for (pack, places, weights) in tile.packs() {
            // SAFETY: bins are indices of `sums`, and `BinSums` is 64 bytes on a boundary of 64.
            let mut side: [__m512d; SIDE] = std::array::from_fn(|s| unsafe {
                _mm512_load_pd(sums.get_unchecked(pack.bins[s] as usize).0.as_ptr())
            });
            for (places, weights) in places.chunks(CHUNK).zip(weights.chunks(CHUNK)) {
                widen_avx512(power, weights, &mut wide);
                for (places, wide) in places.iter().zip(&wide) {
                    for s in 0..SIDE {
                        // SAFETY: places are indices of `counts`, and `Counts` is 32 bytes on a boundary of 32.
                        let count = unsafe {
                            _mm256_load_ps(counts.get_unchecked(usize::from(places.0[s])).0.as_ptr())
                        };
                        let product = _mm512_mul_pd(_mm512_set1_pd(wide.0[s]), _mm512_cvtps_pd(count));
                        side[s] = _mm512_add_pd(side[s], product);
                    }
                }
            }
            for s in 0..SIDE {
                // SAFETY: as for the loads.
                unsafe {
                    let sum = sums.get_unchecked_mut(pack.bins[s] as usize);
                    _mm512_store_pd(sum.0.as_mut_ptr(), side[s]);
                }
            }
        }
    }

    /// # Safety
    /// AVX2; every place of the tile is an index of `counts`, every bin one of `sums`.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn accumulate_avx2(
        power: Power,
        tile: TileView<'_>,
        counts: &[Counts],
        sums: &mut [BinSums],
    ) {
        // Sixteen registers hold the sums of half a pack, and what is added to them.
        const HALF: usize = SIDE / 2;
        let mut wide = [Wide::default(); CHUNK];
        for (pack, places, weights) in tile.packs() {
            for half in [0, HALF] {
                // SAFETY: bins are indices of `sums`, and `BinSums` is 64 bytes on a boundary of 64.
                let mut side: [[__m256d; 2]; HALF] = std::array::from_fn(|s| unsafe {
                    let sum = sums.get_unchecked(pack.bins[half + s] as usize).0.as_ptr();
                    [_mm256_load_pd(sum), _mm256_load_pd(sum.add(4))]
                });
                for (places, weights) in places.chunks(CHUNK).zip(weights.chunks(CHUNK)) {
                    widen_avx2(power, weights, &mut wide);
                    for (places, wide) in places.iter().zip(&wide) {
                        for s in 0..HALF {
                            // SAFETY: places are indices of `counts`, and `Counts` is 32 bytes on a boundary of 32.
                            let [low, high] = unsafe {
                                let place = usize::from(places.0[half + s]);
                                let count = counts.get_unchecked(place).0.as_ptr();
                                [_mm_load_ps(count), _mm_load_ps(count.add(4))]
                            };
                            let weight = _mm256_set1_pd(wide.0[half + s]);
                            let low = _mm256_mul_pd(weight, _mm256_cvtps_pd(low));
                            let high = _mm256_mul_pd(weight, _mm256_cvtps_pd(high));
                            side[s] = [_mm256_add_pd(side[s][0], low), _mm256_add_pd(side[s][1], high)];
                        }
                    }
                }
                for s in 0..HALF {
                    // SAFETY: as for the loads.
                    unsafe {
                        let sum = sums.get_unchecked_mut(pack.bins[half + s] as usize).0.as_mut_ptr();
                        _mm256_store_pd(sum, side[s][0]);
                        _mm256_store_pd(sum.add(4), side[s][1]);
                    }
                }
            }
        }
    }

    #[target_feature(enable = "avx512f")]
    fn widen_avx512(power: Power, weights: &[Weights], wide: &mut [Wide; CHUNK]) {
        for (wide, weights) in wide.iter_mut().zip(weights) {
            // SAFETY: `Weights` is 32 bytes on a boundary of 32, `Wide` 64 on a boundary of 64.
            unsafe {
                let weight = _mm512_cvtps_pd(_mm256_load_ps(weights.0.as_ptr()));
                let square = _mm512_mul_pd(weight, weight);
                _mm512_store_pd(wide.0.as_mut_ptr(), if power == Power::Two { square } else { weight });
            }
        }
    }

    #[target_feature(enable = "avx2")]
    fn widen_avx2(power: Power, weights: &[Weights], wide: &mut [Wide; CHUNK]) {
        for (wide, weights) in wide.iter_mut().zip(weights) {
            for half in [0, SIDE / 2] {
                // SAFETY: four of eight aligned weights, as `half` is 0 or 4.
                unsafe {
                    let weight = _mm256_cvtps_pd(_mm_load_ps(weights.0.as_ptr().add(half)));
                    let square = _mm256_mul_pd(weight, weight);
                    let weight = if power == Power::Two { square } else { weight };
                    _mm256_store_pd(wide.0.as_mut_ptr().add(half), weight);
                }
            }
        }
    }

    /// Four pixels of eight lanes at a time: two 4 × 4 transposes in one set of registers.
    ///
    /// # Safety
    /// AVX2; `lanes` holds [`GROUP`] lanes of `stride` counts; `out` is a multiple of 4 and at most `stride` long.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn side_by_side_avx2(lanes: &[f32], stride: usize, out: &mut [Counts]) {
        for (block, out) in out.chunks_exact_mut(4).enumerate() {
            // SAFETY: pixels 4·block … 4·block + 3 are below `out.len()` and so within each lane.
            let pair: [__m256; GROUP / 2] = std::array::from_fn(|lane| unsafe {
                let low = lanes.as_ptr().add(lane * stride + 4 * block);
                let high = lanes.as_ptr().add((lane + GROUP / 2) * stride + 4 * block);
                _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(_mm_loadu_ps(low)), _mm_loadu_ps(high))
            });
            let low = [_mm256_unpacklo_ps(pair[0], pair[1]), _mm256_unpacklo_ps(pair[2], pair[3])];
            let high = [_mm256_unpackhi_ps(pair[0], pair[1]), _mm256_unpackhi_ps(pair[2], pair[3])];
            let pixels = [
                _mm256_shuffle_ps::<0x44>(low[0], low[1]),
                _mm256_shuffle_ps::<0xee>(low[0], low[1]),
                _mm256_shuffle_ps::<0x44>(high[0], high[1]),
                _mm256_shuffle_ps::<0xee>(high[0], high[1]),
            ];
            for (out, pixel) in out.iter_mut().zip(pixels) {
                // SAFETY: `Counts` is 32 bytes on a boundary of 32.
                unsafe { _mm256_store_ps(out.0.as_mut_ptr(), pixel) };
            }
        }
    }
}
