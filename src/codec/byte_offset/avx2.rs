//! Byte-offset with AVX2: 16 packed bytes in a step, in two halves of 8 lanes.
//!
//! The same idea as with AVX-512. A dot product of bytes takes two instructions. AVX2 cannot compress lanes; a permutation from a table of 256 does it: lanes that begin
//! no code are made zero and go to the right, so that they add nothing to the prefix sum.

use std::arch::x86_64::*;

use super::At;
use super::block::{BLOCK, Codes, REACH, unpack_long};
use crate::codec::Pixel;

/// For each set of lanes that begin a code: those lanes in order, then a lane that does not.
static LEFT: [[u8; 8]; 256] = left();

const fn left() -> [[u8; 8]; 256] {
    let mut table = [[0; 8]; 256];
    let mut starts = 0;
    while starts < 256 {
        let mut place = 0;
        let mut other = 0;
        let mut lane = 0;
        while lane < 8 {
            if starts >> lane & 1 == 1 {
                table[starts][place] = lane as u8;
                place += 1;
            } else {
                other = lane as u8;
            }
            lane += 1;
        }
        while place < 8 {
            table[starts][place] = other;
            place += 1;
        }
        starts += 1;
    }
    table
}

/// Unpacks whole blocks while both the bytes and `out` have room for one; returns the pixels done.
///
/// # Safety
/// The CPU has AVX2, BMI1 and POPCNT.
#[target_feature(enable = "avx2,bmi1,popcnt")]
pub(super) unsafe fn unpack_blocks<T: Pixel>(at: &mut At, packed: &[u8], out: &mut [T]) -> usize {
    let mut done = 0;
    let mut covered = 0_u32;
    let mut last = Last::new::<T>(at.value);
    let mut byte = at.byte;

    while byte + REACH <= packed.len() && done + BLOCK <= out.len() {
        // SAFETY: the loop's condition leaves 18 bytes to read at `byte`.
        let (bytes, low, high) = unsafe {
            let p = packed.as_ptr().add(byte);
            (load(p), load(p.add(1)), load(p.add(2)))
        };
        let mark = _mm_set1_epi8(i8::MIN);
        let marks = _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, mark)) as u32;
        if marks | covered == 0 {
            // SAFETY: the loop's condition leaves 18 bytes to read and 16 pixels to write.
            unsafe {
                for half in [0, BLOCK / 2] {
                    let sums = prefix_sum_of_bytes(packed.as_ptr().add(byte + half));
                    last = last.store(sums, out.as_mut_ptr().add(done + half));
                }
            }
            done += BLOCK;
            byte += BLOCK;
            continue;
        }

        let codes = Codes::new(marks, covered);
        // A word of 80 00 steps on to a longer code: byte 1 is 00 and byte 2 is 80.
        let zeros = _mm_movemask_epi8(_mm_cmpeq_epi8(low, _mm_setzero_si128())) as u32;
        let long = codes.escapes & zeros & _mm_movemask_epi8(_mm_cmpeq_epi8(high, mark)) as u32;
        // Only codes before the first long one: all when there is none.
        let starts = !codes.payload & long.wrapping_sub(1) & !long & 0xffff;

        // SAFETY: the loop's condition leaves 16 pixels to write at `done`; the first half has at most 8 codes.
        unsafe {
            let deltas = select(bytes, low, high, codes.escapes & 0xff, starts & 0xff);
            last = last.store(prefix_sum(deltas), out.as_mut_ptr().add(done));
            done += (starts & 0xff).count_ones() as usize;
            let (bytes, low, high) =
                (_mm_srli_si128::<8>(bytes), _mm_srli_si128::<8>(low), _mm_srli_si128::<8>(high));
            let deltas = select(bytes, low, high, codes.escapes >> 8, starts >> 8);
            last = last.store(prefix_sum(deltas), out.as_mut_ptr().add(done));
            done += (starts >> 8).count_ones() as usize;
        }

        if long == 0 {
            byte += BLOCK;
            covered = codes.payload >> BLOCK;
        } else {
            at.byte = byte + long.trailing_zeros() as usize;
            at.value = last.value::<T>();
            let codes = unpack_long(at, packed, &mut out[done..]);
            done += codes;
            last = Last::new::<T>(at.value);
            byte = at.byte;
            covered = 0;
            if codes == 0 {
                break;
            }
        }
    }

    at.pixel += done;
    at.byte = byte + covered.count_ones() as usize;
    at.value = last.value::<T>();
    done
}

#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load(p: *const u8) -> __m128i {
    // SAFETY: the caller has 16 readable bytes at `p`; the load needs no alignment.
    unsafe { _mm_loadu_si128(p.cast()) }
}

/// The differences of the codes that begin in 8 bytes, in order, then zeros.
#[inline]
#[target_feature(enable = "avx2")]
fn select(bytes: __m128i, low: __m128i, high: __m128i, escapes: u32, starts: u32) -> __m256i {
    let words =
        _mm256_or_si256(_mm256_cvtepu8_epi32(low), _mm256_slli_epi32::<8>(_mm256_cvtepi8_epi32(high)));
    let deltas = _mm256_blendv_epi8(_mm256_cvtepi8_epi32(bytes), words, lanes(escapes));
    let deltas = _mm256_and_si256(deltas, lanes(starts));
    let order = _mm_set_epi64x(0, i64::from_le_bytes(LEFT[starts as usize & 0xff]));
    _mm256_permutevar8x32_epi32(deltas, _mm256_cvtepu8_epi32(order))
}

/// All bits of lane i set where bit i is.
#[inline]
#[target_feature(enable = "avx2")]
fn lanes(bits: u32) -> __m256i {
    let bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(bits as i32), bit), bit)
}

/// For group g of four bytes, byte k and lane i: whether byte 4 g + k is one of the bytes 0 … i.
static UP_TO: [[[u8; 4]; 8]; 2] = up_to();

const fn up_to() -> [[[u8; 4]; 8]; 2] {
    let mut table = [[[0; 4]; 8]; 2];
    let mut place = 0;
    while place < 8 {
        let mut lane = place;
        while lane < 8 {
            table[place / 4][lane][place % 4] = 1;
            lane += 1;
        }
        place += 1;
    }
    table
}

/// Lane i is the sum of the signed bytes 0 … i at `p`.
///
/// # Safety
/// 8 bytes may be read at `p`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn prefix_sum_of_bytes(p: *const u8) -> __m256i {
    let mut pairs = [_mm256_setzero_si256(); 2];
    for (group, pairs) in pairs.iter_mut().enumerate() {
        // SAFETY: the table has 32 bytes a group, and the caller has 8 readable bytes at `p`; neither needs alignment.
        unsafe {
            let ones = _mm256_loadu_si256(UP_TO[group].as_ptr().cast());
            let bytes = p.add(4 * group).cast::<i32>().read_unaligned();
            *pairs = _mm256_maddubs_epi16(ones, _mm256_set1_epi32(bytes));
        }
    }
    // Four bytes are at most 4 · 127: the sum of two such pairs fits 16 bits.
    _mm256_madd_epi16(_mm256_add_epi16(pairs[0], pairs[1]), _mm256_set1_epi16(1))
}

/// Lane i becomes the sum of lanes 0 … i.
#[inline]
#[target_feature(enable = "avx2")]
fn prefix_sum(x: __m256i) -> __m256i {
    let x = _mm256_add_epi32(x, _mm256_slli_si256::<4>(x));
    let x = _mm256_add_epi32(x, _mm256_slli_si256::<8>(x));
    // The shifts stay within halves: the total of the left half goes into the right one.
    let left = _mm256_permute2x128_si256::<0x08>(x, x);
    _mm256_add_epi32(x, _mm256_shuffle_epi32::<0xff>(left))
}

/// The value of the last pixel, in every lane: 4 lanes of 64 bits for 8-byte pixels, else 8 of 32.
#[derive(Clone, Copy)]
struct Last(__m256i);

impl Last {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new<T: Pixel>(value: i64) -> Last {
        if size_of::<T>() == 8 {
            Last(_mm256_set1_epi64x(value))
        } else {
            Last(_mm256_set1_epi32(value as i32))
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn value<T: Pixel>(self) -> i64 {
        let lane = _mm256_castsi256_si128(self.0);
        if size_of::<T>() == 8 { _mm_cvtsi128_si64(lane) } else { i64::from(_mm_cvtsi128_si32(lane)) }
    }

    /// Adds the last pixel to 8 sums, writes them as pixels, and returns the new last pixel.
    ///
    /// # Safety
    /// 8 pixels may be written at `out`.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn store<T: Pixel>(self, sums: __m256i, out: *mut T) -> Last {
        let total = _mm256_permutevar8x32_epi32(sums, _mm256_set1_epi32(7));
        let pixels = _mm256_add_epi32(sums, self.0);
        // SAFETY: 8 lanes narrowed to the pixel's width are 8 pixels; the stores need no alignment.
        unsafe {
            match size_of::<T>() {
                1 => _mm_storel_epi64(out.cast(), low_bytes(pixels)),
                2 => _mm_storeu_si128(out.cast(), low_words(pixels)),
                4 => _mm256_storeu_si256(out.cast(), pixels),
                _ => {
                    let left = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(sums));
                    let right = _mm256_cvtepi32_epi64(_mm256_extracti128_si256::<1>(sums));
                    _mm256_storeu_si256(out.cast(), _mm256_add_epi64(left, self.0));
                    _mm256_storeu_si256(out.add(4).cast(), _mm256_add_epi64(right, self.0));
                    let total = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(total));
                    return Last(_mm256_add_epi64(self.0, total));
                }
            }
        }
        Last(_mm256_add_epi32(self.0, total))
    }
}

/// The low 16 bits of 8 lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn low_words(lanes: __m256i) -> __m128i {
    let pick = _mm256_setr_epi8(
        0, 1, 4, 5, 8, 9, 12, 13, -1, -1, -1, -1, -1, -1, -1, -1, 0, 1, 4, 5, 8, 9, 12, 13, -1, -1, -1, -1,
        -1, -1, -1, -1,
    );
    let halves = _mm256_shuffle_epi8(lanes, pick);
    _mm_unpacklo_epi64(_mm256_castsi256_si128(halves), _mm256_extracti128_si256::<1>(halves))
}

/// The low 8 bits of 8 lanes, in the left half of the result.
#[inline]
#[target_feature(enable = "avx2")]
fn low_bytes(lanes: __m256i) -> __m128i {
    let words = low_words(lanes);
    let pick = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, -1, -1, -1, -1, -1, -1, -1, -1);
    _mm_shuffle_epi8(words, pick)
}
