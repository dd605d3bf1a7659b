//! Un-bitshuffle with AVX2: 32 bytes of every plane in a step, 256 elements.
//!
//! As with AVX-512 (`avx512.rs`), but the 8 × 8 matrices of bits are transposed with shifts and masks, and each lane of a register is
//! stored by itself: lane l of register q are elements 128 l + 16 q … + 15.

use std::arch::x86_64::*;

/// Bytes of each plane in a step.
pub(super) const BYTES: usize = 32;

/// Elements in a lane's run before those of the next lane.
const RUN: usize = 128;

/// 256 elements from 32 bytes of each plane; planes are `plane` bytes apart.
///
/// # Safety
/// AVX2; 32 bytes can be read at `planes` and at each of the `8 * SIZE - 1` multiples of `plane` after it, and `256 * SIZE` be
/// written at `to`. `SIZE` is 1, 2, 4 or 8.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn tile<const SIZE: usize>(planes: *const u8, plane: usize, to: *mut u8) {
    let zero = _mm256_setzero_si256();
    // bytes[b][q]: byte b of the elements of register q.
    let mut bytes = [[zero; 8]; SIZE];
    for (at, bytes) in bytes.iter_mut().enumerate() {
        let (mut rows, mut any) = ([zero; 8], zero);
        for (bit, row) in rows.iter_mut().enumerate() {
            // SAFETY: plane 8 · at + bit of 8 · SIZE.
            *row = unsafe { _mm256_loadu_si256(planes.add((8 * at + bit) * plane).cast()) };
            any = _mm256_or_si256(any, *row);
        }
        if _mm256_testz_si256(any, any) == 0 {
            *bytes = interleave(rows);
            for word in bytes {
                *word = transpose(*word);
            }
        }
    }
    for q in 0..8 {
        let mut of = [zero; SIZE];
        for (of, bytes) in of.iter_mut().zip(&bytes) {
            *of = bytes[q];
        }
        // SAFETY: register q are the elements 16 q … + 15 of both runs, which are below 256.
        unsafe { store(of, to.add(SIZE * 16 * q)) };
    }
}

/// Interleaves the bytes of one lane of each register and stores them, lane by lane.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn store<const SIZE: usize>(of: [__m256i; SIZE], to: *mut u8) {
    let lo8 = |a, b| _mm256_unpacklo_epi8(a, b);
    let hi8 = |a, b| _mm256_unpackhi_epi8(a, b);
    // Parts of 16 bytes a lane, in the order of the elements.
    let mut parts = [_mm256_setzero_si256(); SIZE];
    match SIZE {
        1 => parts[0] = of[0],
        2 => {
            let (a, b) = (of[0], of[1 % SIZE]);
            (parts[0], parts[1 % SIZE]) = (lo8(a, b), hi8(a, b));
        }
        4 => {
            let [a, b, c, d] = [of[0], of[1 % SIZE], of[2 % SIZE], of[3 % SIZE]];
            let (ab, ab_high, cd, cd_high) = (lo8(a, b), hi8(a, b), lo8(c, d), hi8(c, d));
            parts[0] = _mm256_unpacklo_epi16(ab, cd);
            parts[1 % SIZE] = _mm256_unpackhi_epi16(ab, cd);
            parts[2 % SIZE] = _mm256_unpacklo_epi16(ab_high, cd_high);
            parts[3 % SIZE] = _mm256_unpackhi_epi16(ab_high, cd_high);
        }
        _ => {
            let mut all = [_mm256_setzero_si256(); 8];
            for (at, one) in all.iter_mut().enumerate() {
                *one = of[at % SIZE];
            }
            for (part, one) in parts.iter_mut().zip(interleave(all)) {
                *part = one;
            }
        }
    }
    for (r, part) in parts.into_iter().enumerate() {
        // SAFETY: the caller's.
        unsafe {
            _mm_storeu_si128(to.add(16 * r).cast(), _mm256_castsi256_si128(part));
            _mm_storeu_si128(to.add(SIZE * RUN + 16 * r).cast(), _mm256_extracti128_si256::<1>(part));
        }
    }
}

/// Bytes of eight registers, one of each side by side: register q of the result has bytes 2 q and 2 q + 1 of each lane.
#[inline]
#[target_feature(enable = "avx2")]
fn interleave(of: [__m256i; 8]) -> [__m256i; 8] {
    let [a, b, c, d, e, f, g, h] = of;
    let (ab, ab_high) = (_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b));
    let (cd, cd_high) = (_mm256_unpacklo_epi8(c, d), _mm256_unpackhi_epi8(c, d));
    let (ef, ef_high) = (_mm256_unpacklo_epi8(e, f), _mm256_unpackhi_epi8(e, f));
    let (gh, gh_high) = (_mm256_unpacklo_epi8(g, h), _mm256_unpackhi_epi8(g, h));
    let (abcd_0, abcd_1) = (_mm256_unpacklo_epi16(ab, cd), _mm256_unpackhi_epi16(ab, cd));
    let (abcd_2, abcd_3) = (_mm256_unpacklo_epi16(ab_high, cd_high), _mm256_unpackhi_epi16(ab_high, cd_high));
    let (efgh_0, efgh_1) = (_mm256_unpacklo_epi16(ef, gh), _mm256_unpackhi_epi16(ef, gh));
    let (efgh_2, efgh_3) = (_mm256_unpacklo_epi16(ef_high, gh_high), _mm256_unpackhi_epi16(ef_high, gh_high));
    [
        _mm256_unpacklo_epi32(abcd_0, efgh_0),
        _mm256_unpackhi_epi32(abcd_0, efgh_0),
        _mm256_unpacklo_epi32(abcd_1, efgh_1),
        _mm256_unpackhi_epi32(abcd_1, efgh_1),
        _mm256_unpacklo_epi32(abcd_2, efgh_2),
        _mm256_unpackhi_epi32(abcd_2, efgh_2),
        _mm256_unpacklo_epi32(abcd_3, efgh_3),
        _mm256_unpackhi_epi32(abcd_3, efgh_3),
    ]
}

/// The transposes of four matrices of 8 × 8 bits, as `super::transpose`.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose(mut x: __m256i) -> __m256i {
    macro_rules! swap {
        ($shift:literal, $mask:literal) => {
            let swapped = _mm256_and_si256(
                _mm256_xor_si256(x, _mm256_srli_epi64::<$shift>(x)),
                _mm256_set1_epi64x($mask),
            );
            x = _mm256_xor_si256(x, _mm256_xor_si256(swapped, _mm256_slli_epi64::<$shift>(swapped)));
        };
    }
    swap!(7, 0x00aa_00aa_00aa_00aa);
    swap!(14, 0x0000_cccc_0000_cccc);
    swap!(28, 0x0000_0000_f0f0_f0f0);
    x
}
