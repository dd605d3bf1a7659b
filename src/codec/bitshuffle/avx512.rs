//! Un-bitshuffle with AVX-512 and GFNI: 64 bytes of every plane in a step, 512 elements.
//!
//! The eight planes of one byte are interleaved within lanes of 16 bytes until each word of 8 bytes holds one byte of each plane:
//! register q, lane l has the groups of 8 elements number 16 l + 2 q and the next. `vgf2p8affineqb` multiplies each word as a matrix
//! of bits with the unit vectors, which transposes it; rows of its matrix go from the last byte to the first, so planes are taken
//! from the last to the first.
//!
//! So register q holds one byte of 16 elements in each lane, in four runs that lie 128 elements apart. One permutation across lanes
//! brings the elements that will share 16 bytes into one lane; then bytes are interleaved within lanes, and each register that
//! comes out is 64 consecutive bytes of one run.

use std::arch::x86_64::*;

/// Bytes of each plane in a step.
pub(super) const BYTES: usize = 64;

/// Elements in a lane's run before those of the next lane.
const RUN: usize = 128;

/// Whether this CPU has the instructions; Cascade Lake has AVX-512 and no GFNI.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("gfni")
}

/// 512 elements from 64 bytes of each plane; planes are `plane` bytes apart.
///
/// # Safety
/// AVX-512 F, BW and GFNI; 64 bytes can be read at `planes` and at each of the `8 * SIZE - 1` multiples of `plane` after it, and
/// `512 * SIZE` be written at `to`. `SIZE` is 1, 2, 4 or 8.
#[target_feature(enable = "avx512f,avx512bw,gfni")]
pub(super) unsafe fn tile<const SIZE: usize>(planes: *const u8, plane: usize, to: *mut u8) {
    let zero = _mm512_setzero_si512();
    // bytes[b][q]: byte b of the elements of register q.
    let mut bytes = [[zero; 8]; SIZE];
    let mut used = 0_u32;
    for (at, bytes) in bytes.iter_mut().enumerate() {
        let (mut rows, mut any) = ([zero; 8], zero);
        for bit in 0..8 {
            // SAFETY: plane 8 · at + bit of 8 · SIZE.
            rows[7 - bit] = unsafe { _mm512_loadu_si512(planes.add((8 * at + bit) * plane).cast()) };
            any = _mm512_or_si512(any, rows[7 - bit]);
        }
        if _mm512_test_epi8_mask(any, any) != 0 {
            used |= 1 << at;
            let units = _mm512_set1_epi64(0x8040_2010_0804_0201_u64 as i64);
            *bytes = interleave(rows);
            for word in bytes {
                *word = _mm512_gf2p8affine_epi64_epi8::<0>(units, *word);
            }
        }
    }
    for q in 0..8 {
        let mut of = [zero; SIZE];
        for (of, bytes) in of.iter_mut().zip(&bytes) {
            *of = bytes[q];
        }
        // SAFETY: register q and its lanes l are the elements 128 l + 16 q … + 15, which are below 512.
        unsafe {
            let to = to.add(SIZE * 16 * q);
            match SIZE {
                1 => store_u8(of[0], to),
                2 => store_u16([of[0], of[1 % SIZE]], to),
                4 if used <= 1 => store_low_u32(of[0], to),
                4 => store_u32([of[0], of[1 % SIZE], of[2 % SIZE], of[3 % SIZE]], to),
                _ => {
                    let mut all = [zero; 8];
                    all.iter_mut().zip(of).for_each(|(one, of)| *one = of);
                    store_u64(all, to);
                }
            }
        }
    }
}

/// Bytes of eight registers, one of each side by side: register q of the result has bytes 2 q and 2 q + 1 of each lane.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn interleave(of: [__m512i; 8]) -> [__m512i; 8] {
    let [a, b, c, d, e, f, g, h] = of;
    let (ab, ab_high) = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
    let (cd, cd_high) = (_mm512_unpacklo_epi8(c, d), _mm512_unpackhi_epi8(c, d));
    let (ef, ef_high) = (_mm512_unpacklo_epi8(e, f), _mm512_unpackhi_epi8(e, f));
    let (gh, gh_high) = (_mm512_unpacklo_epi8(g, h), _mm512_unpackhi_epi8(g, h));
    let (abcd_0, abcd_1) = (_mm512_unpacklo_epi16(ab, cd), _mm512_unpackhi_epi16(ab, cd));
    let (abcd_2, abcd_3) = (_mm512_unpacklo_epi16(ab_high, cd_high), _mm512_unpackhi_epi16(ab_high, cd_high));
    let (efgh_0, efgh_1) = (_mm512_unpacklo_epi16(ef, gh), _mm512_unpackhi_epi16(ef, gh));
    let (efgh_2, efgh_3) = (_mm512_unpacklo_epi16(ef_high, gh_high), _mm512_unpackhi_epi16(ef_high, gh_high));
    [
        _mm512_unpacklo_epi32(abcd_0, efgh_0),
        _mm512_unpackhi_epi32(abcd_0, efgh_0),
        _mm512_unpacklo_epi32(abcd_1, efgh_1),
        _mm512_unpackhi_epi32(abcd_1, efgh_1),
        _mm512_unpacklo_epi32(abcd_2, efgh_2),
        _mm512_unpackhi_epi32(abcd_2, efgh_2),
        _mm512_unpacklo_epi32(abcd_3, efgh_3),
        _mm512_unpackhi_epi32(abcd_3, efgh_3),
    ]
}

/// The four runs of 16 elements.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn store_u8(bytes: __m512i, to: *mut u8) {
    // SAFETY: the caller's.
    unsafe {
        _mm_storeu_si128(to.cast(), _mm512_extracti32x4_epi32::<0>(bytes));
        _mm_storeu_si128(to.add(RUN).cast(), _mm512_extracti32x4_epi32::<1>(bytes));
        _mm_storeu_si128(to.add(2 * RUN).cast(), _mm512_extracti32x4_epi32::<2>(bytes));
        _mm_storeu_si128(to.add(3 * RUN).cast(), _mm512_extracti32x4_epi32::<3>(bytes));
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn store_u16([a, b]: [__m512i; 2], to: *mut u8) {
    // Word r of lane l: the half l % 2 of run 2 r + l / 2.
    let order = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
    let (a, b) = (_mm512_permutexvar_epi64(order, a), _mm512_permutexvar_epi64(order, b));
    let halves = [_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b)];
    for (r, half) in halves.into_iter().enumerate() {
        // SAFETY: the caller's.
        unsafe {
            _mm256_storeu_si256(to.add(2 * RUN * 2 * r).cast(), _mm512_castsi512_si256(half));
            let high = _mm512_extracti64x4_epi64::<1>(half);
            _mm256_storeu_si256(to.add(2 * RUN * (2 * r + 1)).cast(), high);
        }
    }
}

/// The order that brings four elements of each run r into each lane l, as its double word r.
#[inline]
#[target_feature(enable = "avx512f")]
fn fours() -> __m512i {
    _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)
}

/// Elements of which only the lowest byte is not zero.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn store_low_u32(bytes: __m512i, to: *mut u8) {
    let bytes = _mm512_permutexvar_epi32(fours(), bytes);
    // The first four bytes of each lane, each with three zeros (the high bit of a place) after it.
    let first = _mm512_set4_epi32(
        0x8080_8003_u32 as i32,
        0x8080_8002_u32 as i32,
        0x8080_8001_u32 as i32,
        0x8080_8000_u32 as i32,
    );
    for r in 0..4 {
        let places = _mm512_add_epi32(first, _mm512_set1_epi32(4 * r as i32));
        // SAFETY: the caller's.
        unsafe { _mm512_storeu_si512(to.add(4 * RUN * r).cast(), _mm512_shuffle_epi8(bytes, places)) };
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn store_u32([a, b, c, d]: [__m512i; 4], to: *mut u8) {
    let order = fours();
    let (a, b) = (_mm512_permutexvar_epi32(order, a), _mm512_permutexvar_epi32(order, b));
    let (c, d) = (_mm512_permutexvar_epi32(order, c), _mm512_permutexvar_epi32(order, d));
    let (ab, ab_high) = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
    let (cd, cd_high) = (_mm512_unpacklo_epi8(c, d), _mm512_unpackhi_epi8(c, d));
    let runs = [
        _mm512_unpacklo_epi16(ab, cd),
        _mm512_unpackhi_epi16(ab, cd),
        _mm512_unpacklo_epi16(ab_high, cd_high),
        _mm512_unpackhi_epi16(ab_high, cd_high),
    ];
    for (r, run) in runs.into_iter().enumerate() {
        // SAFETY: the caller's.
        unsafe { _mm512_storeu_si512(to.add(4 * RUN * r).cast(), run) };
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn store_u64(mut bytes: [__m512i; 8], to: *mut u8) {
    // Two elements of each half run (r) into each lane (l), as its word r: word 4 (r % 2) + l of lane r / 2.
    let mut order = [0_u16; 32];
    for (at, word) in order.iter_mut().enumerate() {
        let (l, r) = (at / 8, at % 8);
        *word = (8 * (r / 2) + 4 * (r % 2) + l) as u16;
    }
    // SAFETY: 64 bytes.
    let order = unsafe { _mm512_loadu_si512(order.as_ptr().cast()) };
    for byte in &mut bytes {
        *byte = _mm512_permutexvar_epi16(order, *byte);
    }
    for (r, half) in interleave(bytes).into_iter().enumerate() {
        // SAFETY: the caller's.
        unsafe { _mm512_storeu_si512(to.add(8 * (RUN * (r / 2) + 8 * (r % 2))).cast(), half) };
    }
}
