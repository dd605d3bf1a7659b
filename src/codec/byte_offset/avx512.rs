//! Byte-offset with AVX-512: 16 packed bytes in a step, up to 16 pixels.
//!
//! Most blocks have no escape: 16 codes of one byte. Their prefix sums are four dot products (VNNI), in which lane i counts the
//! bytes 0 … i.
//!
//! In other blocks each byte is widened to a 32-bit lane, and so are the two bytes after it, as the word that it would have if it were an
//! escape. Lanes that begin a code take one or the other and are compressed to the left; a prefix sum in the register
//! (16 · 32767 fits easily) and the last value before make pixels of them. One store writes 16 lanes, of which the first
//! `popcount(starts)` are final; the next step overwrites the rest. No branch depends on where in a block the escapes are, or how many.

use std::arch::x86_64::*;

use super::At;
use super::block::{BLOCK, Codes, REACH, unpack_long};
use crate::codec::Pixel;

/// Unpacks whole blocks while both the bytes and `out` have room for one; returns the pixels done.
///
/// # Safety
/// The CPU has AVX-512 F, BW, VL and VNNI, BMI1 and POPCNT.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi1,popcnt")]
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
        let marks = u32::from(_mm_cmpeq_epi8_mask(bytes, _mm_set1_epi8(i8::MIN)));
        if marks | covered == 0 {
            // SAFETY: the loop's condition leaves 18 bytes to read and 16 pixels to write.
            unsafe {
                let sums = prefix_sum_of_bytes(packed.as_ptr().add(byte));
                last = last.store(sums, out.as_mut_ptr().add(done));
            }
            done += BLOCK;
            byte += BLOCK;
            continue;
        }

        let codes = Codes::new(marks, covered);
        let escapes = codes.escapes as __mmask16;
        let mut starts = !codes.payload as __mmask16;

        let words =
            _mm512_or_si512(_mm512_cvtepu8_epi32(low), _mm512_slli_epi32::<8>(_mm512_cvtepi8_epi32(high)));
        let long = _mm512_mask_cmpeq_epi32_mask(escapes, words, _mm512_set1_epi32(i32::from(i16::MIN)));
        // Only codes before the first long one: all when there is none.
        starts &= long.wrapping_sub(1) & !long;

        let deltas = _mm512_mask_mov_epi32(_mm512_cvtepi8_epi32(bytes), escapes, words);
        let sums = prefix_sum(_mm512_maskz_compress_epi32(starts, deltas));
        // SAFETY: the loop's condition leaves 16 pixels to write at `done`.
        last = unsafe { last.store(sums, out.as_mut_ptr().add(done)) };
        let count = starts.count_ones() as usize;
        done += count;

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
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn load(p: *const u8) -> __m128i {
    // SAFETY: the caller has 16 readable bytes at `p`; the load needs no alignment.
    unsafe { _mm_loadu_si128(p.cast()) }
}

/// For group g of four bytes, byte k and lane i: whether byte 4 g + k is one of the bytes 0 … i.
static UP_TO: [[[u8; 4]; 16]; 4] = up_to();

const fn up_to() -> [[[u8; 4]; 16]; 4] {
    let mut table = [[[0; 4]; 16]; 4];
    let mut place = 0;
    while place < 16 {
        let mut lane = place;
        while lane < 16 {
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
/// 16 bytes may be read at `p`.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn prefix_sum_of_bytes(p: *const u8) -> __m512i {
    let mut sums = [_mm512_setzero_si512(); 4];
    for (group, sums) in sums.iter_mut().enumerate() {
        // SAFETY: the table has 64 bytes a group, and the caller has 16 readable bytes at `p`; neither needs alignment.
        unsafe {
            let ones = _mm512_loadu_si512(UP_TO[group].as_ptr().cast());
            let bytes = p.add(4 * group).cast::<i32>().read_unaligned();
            *sums = _mm512_dpbusd_epi32(*sums, ones, _mm512_set1_epi32(bytes));
        }
    }
    _mm512_add_epi32(_mm512_add_epi32(sums[0], sums[1]), _mm512_add_epi32(sums[2], sums[3]))
}

/// Lane i becomes the sum of lanes 0 … i.
#[inline]
#[target_feature(enable = "avx512f")]
fn prefix_sum(x: __m512i) -> __m512i {
    let zero = _mm512_setzero_si512();
    let x = _mm512_add_epi32(x, _mm512_alignr_epi32::<15>(x, zero));
    let x = _mm512_add_epi32(x, _mm512_alignr_epi32::<14>(x, zero));
    let x = _mm512_add_epi32(x, _mm512_alignr_epi32::<12>(x, zero));
    _mm512_add_epi32(x, _mm512_alignr_epi32::<8>(x, zero))
}

/// The value of the last pixel, in every lane: 8 lanes of 64 bits for 8-byte pixels, else 16 of 32.
#[derive(Clone, Copy)]
struct Last(__m512i);

impl Last {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn new<T: Pixel>(value: i64) -> Last {
        if size_of::<T>() == 8 {
            Last(_mm512_set1_epi64(value))
        } else {
            Last(_mm512_set1_epi32(value as i32))
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn value<T: Pixel>(self) -> i64 {
        let lane = _mm512_castsi512_si128(self.0);
        if size_of::<T>() == 8 { _mm_cvtsi128_si64(lane) } else { i64::from(_mm_cvtsi128_si32(lane)) }
    }

    /// Adds the last pixel to 16 sums, writes them as pixels, and returns the new last pixel.
    ///
    /// # Safety
    /// 16 pixels may be written at `out`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    unsafe fn store<T: Pixel>(self, sums: __m512i, out: *mut T) -> Last {
        let total = _mm512_permutexvar_epi32(_mm512_set1_epi32(15), sums);
        let pixels = _mm512_add_epi32(sums, self.0);
        // SAFETY: 16 lanes narrowed to the pixel's width are 16 pixels; the stores need no alignment.
        unsafe {
            match size_of::<T>() {
                1 => _mm_storeu_si128(out.cast(), _mm512_cvtepi32_epi8(pixels)),
                2 => _mm256_storeu_si256(out.cast(), _mm512_cvtepi32_epi16(pixels)),
                4 => _mm512_storeu_si512(out.cast(), pixels),
                _ => {
                    let left = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(sums));
                    let right = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64::<1>(sums));
                    _mm512_storeu_si512(out.cast(), _mm512_add_epi64(left, self.0));
                    _mm512_storeu_si512(out.add(8).cast(), _mm512_add_epi64(right, self.0));
                    let total = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(total));
                    return Last(_mm512_add_epi64(self.0, total));
                }
            }
        }
        Last(_mm512_add_epi32(self.0, total))
    }
}
