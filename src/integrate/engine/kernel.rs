//! The inner loops: lay eight frames side by side, and add (weight · count) to sums.
//!
//! Eight frames share each entry of the matrix: their counts of one pixel lie in one [`Counts`], their sums of one bin in
//! one [`Sums`]. Each loop exists in plain Rust, which says what it computes, and for x86-64 with AVX2 and AVX-512, written
//! with intrinsics because the compiler does not find this shape by itself (profiles/notes/engine-cpu.md).
//!
//! All give the same bits: a product of two `f32` is exact in `f64`, so is the square of a weight; each product is then
//! rounded once into its sum, in the order of the rows, with a multiplication and an addition (never fused).

use super::tile::{SIDE, TileView};
use crate::codec::byte_offset::Simd;

/// Frames side by side: one AVX-512 register of sums.
pub(super) const LANES: usize = 8;

/// Counts of one pixel in each frame.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C, align(32))]
pub(super) struct Counts(pub(super) [f32; LANES]);

/// Sums of one bin for each frame.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C, align(64))]
pub(super) struct Sums(pub(super) [f64; LANES]);

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
/// When `counts` or `sums` is shorter than the tile's entries reach.
pub(super) fn accumulate(
    simd: Simd,
    power: Power,
    tile: TileView<'_>,
    reach: Reach,
    counts: &[Counts],
    sums: &mut [Sums],
) {
    assert!(counts.len() >= reach.pixels && sums.len() > reach.bins);
    match (simd, power) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `Simd` values above Scalar exist only on CPUs that have them (`Engine` asks); the assertion above and
        // the invariant of `Tiles` keep every index in bounds.
        (Simd::Avx512, Power::One) => unsafe { x86::accumulate_avx512::<false>(tile, counts, sums) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        (Simd::Avx512, Power::Two) => unsafe { x86::accumulate_avx512::<true>(tile, counts, sums) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        (Simd::Avx2, Power::One) => unsafe { x86::accumulate_avx2::<false>(tile, counts, sums) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        (Simd::Avx2, Power::Two) => unsafe { x86::accumulate_avx2::<true>(tile, counts, sums) },
        (_, power) => accumulate_plain(power, tile, counts, sums),
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

/// What [`accumulate`] computes.
fn accumulate_plain(power: Power, tile: TileView<'_>, counts: &[Counts], sums: &mut [Sums]) {
    let mut row = 0;
    for pack in tile.packs {
        let mut side: [Sums; SIDE] = std::array::from_fn(|s| sums[pack.bins[s] as usize]);
        for _ in 0..pack.rows {
            for (s, sum) in side.iter_mut().enumerate() {
                let weight = weight(power, tile.weights[row].0[s]);
                let counts = &counts[usize::from(tile.places[row].0[s])].0;
                for (sum, count) in sum.0.iter_mut().zip(counts) {
                    *sum += weight * f64::from(*count);
                }
            }
            row += 1;
        }
        for (bin, sum) in pack.bins.into_iter().zip(side) {
            sums[bin as usize] = sum;
        }
    }
}

/// [`accumulate`] for one frame alone.
///
/// # Panics
/// As [`accumulate`].
pub(super) fn accumulate_one(
    power: Power,
    tile: TileView<'_>,
    reach: Reach,
    counts: &[f32],
    sums: &mut [f64],
) {
    assert!(counts.len() >= reach.pixels && sums.len() > reach.bins);
    let mut row = 0;
    for pack in tile.packs {
        let mut side: [f64; SIDE] = std::array::from_fn(|s| sums[pack.bins[s] as usize]);
        let rows = row..row + pack.rows as usize;
        row = rows.end;
        for (places, weights) in tile.places[rows.clone()].iter().zip(&tile.weights[rows]) {
            for (s, sum) in side.iter_mut().enumerate() {
                // SAFETY: places are below `reach.pixels`, which the assertion above compared.
                let count = unsafe { *counts.get_unchecked(usize::from(places.0[s])) };
                *sum += weight(power, weights.0[s]) * f64::from(count);
            }
        }
        for (bin, sum) in pack.bins.into_iter().zip(side) {
            sums[bin as usize] = sum;
        }
    }
}

#[inline(always)]
fn weight(power: Power, weight: f32) -> f64 {
    let weight = f64::from(weight);
    match power {
        Power::One => weight,
        Power::Two => weight * weight,
    }
}

/// Lays the frames' counts side by side: `out[p]` gets pixel `p` of each lane.
///
/// Lane `l` is `lanes[l * stride..]`.
///
/// # Panics
/// When the lanes are shorter than `out`, or `out` is not a multiple of 4 pixels long.
pub(super) fn side_by_side(simd: Simd, lanes: &[f32], stride: usize, out: &mut [Counts]) {
    assert!(out.len() % 4 == 0 && out.len() <= stride && lanes.len() >= LANES * stride);
    match simd {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: both imply AVX2; the assertion above keeps every load and store in bounds.
        Simd::Avx2 | Simd::Avx512 => unsafe { x86::side_by_side_avx2(lanes, stride, out) },
        _ => {
            for (lane, counts) in lanes.chunks_exact(stride).take(LANES).enumerate() {
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

    use super::{Counts, LANES, SIDE, Sums, TileView};

    /// # Safety
    /// AVX-512F; every place of the tile is an index of `counts`, every bin one of `sums`.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn accumulate_avx512<const SQUARED: bool>(
        tile: TileView<'_>,
        counts: &[Counts],
        sums: &mut [Sums],
    ) {
        let mut row = 0;
        for pack in tile.packs {
            // SAFETY: bins are indices of `sums`, and `Sums` is 64 bytes on a boundary of 64.
            let mut side: [__m512d; SIDE] = std::array::from_fn(|s| unsafe {
                _mm512_load_pd(sums.get_unchecked(pack.bins[s] as usize).0.as_ptr())
            });
            let rows = row..row + pack.rows as usize;
            row = rows.end;
            for (places, weights) in tile.places[rows.clone()].iter().zip(&tile.weights[rows]) {
                for s in 0..SIDE {
                    let mut weight = _mm512_cvtps_pd(_mm256_set1_ps(weights.0[s]));
                    if SQUARED {
                        weight = _mm512_mul_pd(weight, weight);
                    }
                    // SAFETY: places are indices of `counts`, and `Counts` is 32 bytes on a boundary of 32.
                    let count =
                        unsafe { _mm256_load_ps(counts.get_unchecked(usize::from(places.0[s])).0.as_ptr()) };
                    side[s] = _mm512_add_pd(side[s], _mm512_mul_pd(weight, _mm512_cvtps_pd(count)));
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
    pub(super) unsafe fn accumulate_avx2<const SQUARED: bool>(
        tile: TileView<'_>,
        counts: &[Counts],
        sums: &mut [Sums],
    ) {
        // Sixteen registers hold the sums of half a pack, and what is added to them.
        const HALF: usize = SIDE / 2;
        let mut row = 0;
        for pack in tile.packs {
            let rows = row..row + pack.rows as usize;
            row = rows.end;
            for half in [0, HALF] {
                // SAFETY: bins are indices of `sums`, and `Sums` is 64 bytes on a boundary of 64.
                let mut side: [[__m256d; 2]; HALF] = std::array::from_fn(|s| unsafe {
                    let sum = sums.get_unchecked(pack.bins[half + s] as usize).0.as_ptr();
                    [_mm256_load_pd(sum), _mm256_load_pd(sum.add(4))]
                });
                let entries = tile.places[rows.clone()].iter().zip(&tile.weights[rows.clone()]);
                for (places, weights) in entries {
                    for s in 0..HALF {
                        let mut weight = _mm256_cvtps_pd(_mm_set1_ps(weights.0[half + s]));
                        if SQUARED {
                            weight = _mm256_mul_pd(weight, weight);
                        }
                        // SAFETY: places are indices of `counts`, and `Counts` is 32 bytes on a boundary of 32.
                        let [low, high] = unsafe {
                            let count = counts.get_unchecked(usize::from(places.0[half + s])).0.as_ptr();
                            [_mm_load_ps(count), _mm_load_ps(count.add(4))]
                        };
                        side[s][0] = _mm256_add_pd(side[s][0], _mm256_mul_pd(weight, _mm256_cvtps_pd(low)));
                        side[s][1] = _mm256_add_pd(side[s][1], _mm256_mul_pd(weight, _mm256_cvtps_pd(high)));
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

    /// Four pixels of eight lanes at a time: two 4 × 4 transposes in one set of registers.
    ///
    /// # Safety
    /// AVX2; `lanes` holds [`LANES`] lanes of `stride` counts; `out` is a multiple of 4 and at most `stride` long.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn side_by_side_avx2(lanes: &[f32], stride: usize, out: &mut [Counts]) {
        for (block, out) in out.chunks_exact_mut(4).enumerate() {
            // SAFETY: pixels 4·block … 4·block + 3 are below `out.len()` and so within each lane.
            let pair: [__m256; LANES / 2] = std::array::from_fn(|lane| unsafe {
                let low = lanes.as_ptr().add(lane * stride + 4 * block);
                let high = lanes.as_ptr().add((lane + LANES / 2) * stride + 4 * block);
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
