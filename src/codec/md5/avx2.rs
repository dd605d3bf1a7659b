//! Two registers of eight lanes, step by step in turn: while one waits for its chain, the other computes.
//!
//! AVX2 has neither the three-input logic nor the rotation of AVX-512, so that a step is eleven instructions; with three vector
//! ports 470 cycles for the 1 KiB of sixteen lanes.

use std::arch::x86_64::*;

use super::lanes::{Messages, State};
use super::{LANES, SINES, rounds};

/// Lanes of a register.
const WIDTH: usize = 8;
/// Registers that take turns.
const TURNS: usize = LANES / WIDTH;

/// Adds `blocks` blocks of each row to the state of its lane.
///
/// # Safety
/// The CPU has AVX2; each row points to `64 · blocks` readable bytes.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn add_blocks(state: &mut State, rows: &Messages, blocks: usize) {
    let mut s = [[_mm256_setzero_si256(); 4]; TURNS];
    for (turn, s) in s.iter_mut().enumerate() {
        for (register, row) in s.iter_mut().zip(&*state) {
            // SAFETY: a row of the state is two registers long.
            *register = unsafe { _mm256_loadu_si256(row.as_ptr().add(WIDTH * turn).cast()) };
        }
    }
    for block in 0..blocks {
        let before = s;
        // SAFETY: the caller's promise.
        let words = unsafe { [words(&rows[..WIDTH], 64 * block), words(&rows[WIDTH..], 64 * block)] };
        macro_rules! step {
            ($round:tt, $a:tt $b:tt $c:tt $d:tt, $i:expr, $word:expr, $rotation:expr) => {
                for (s, words) in s.iter_mut().zip(&words) {
                    let mixed = mix::<$round>(s[$b], s[$c], s[$d]);
                    let ready = _mm256_add_epi32(words[$word], _mm256_set1_epi32(SINES[$i] as i32));
                    let sum = _mm256_add_epi32(_mm256_add_epi32(s[$a], ready), mixed);
                    let left = _mm256_slli_epi32::<$rotation>(sum);
                    let right = _mm256_srli_epi32::<{ 32 - $rotation }>(sum);
                    s[$a] = _mm256_add_epi32(_mm256_or_si256(left, right), s[$b]);
                }
            };
        }
        rounds!(step);
        for (now, before) in s.as_flattened_mut().iter_mut().zip(before.as_flattened()) {
            *now = _mm256_add_epi32(*now, *before);
        }
    }
    for (turn, s) in s.iter().enumerate() {
        for (register, row) in s.iter().zip(&mut *state) {
            // SAFETY: a row of the state is two registers long.
            unsafe { _mm256_storeu_si256(row.as_mut_ptr().add(WIDTH * turn).cast(), *register) };
        }
    }
}

/// F, G, H and I of RFC 1321, by the number of the round.
#[inline]
#[target_feature(enable = "avx2")]
fn mix<const ROUND: u32>(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
    match ROUND {
        0 => _mm256_xor_si256(d, _mm256_and_si256(b, _mm256_xor_si256(c, d))),
        1 => _mm256_xor_si256(c, _mm256_and_si256(d, _mm256_xor_si256(b, c))),
        2 => _mm256_xor_si256(b, _mm256_xor_si256(c, d)),
        _ => _mm256_xor_si256(c, _mm256_or_si256(b, _mm256_xor_si256(d, _mm256_set1_epi32(-1)))),
    }
}

/// The sixteen words of the blocks at `offset` of eight rows, each of all eight.
///
/// # Safety
/// The CPU has AVX2; each row has 64 bytes at `offset`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn words(rows: &[*const u8], offset: usize) -> [__m256i; 16] {
    // SAFETY: the caller's promise.
    let halves = unsafe { [transposed(rows, offset), transposed(rows, offset + 32)] };
    let mut words = [_mm256_setzero_si256(); 16];
    words[..8].copy_from_slice(&halves[0]);
    words[8..].copy_from_slice(&halves[1]);
    words
}

/// Eight words of eight rows, turned.
///
/// # Safety
/// As [`words`], for 32 bytes.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn transposed(rows: &[*const u8], offset: usize) -> [__m256i; WIDTH] {
    // SAFETY: the caller's promise.
    let r: [__m256i; WIDTH] =
        std::array::from_fn(|lane| unsafe { _mm256_loadu_si256(rows[lane].add(offset).cast()) });
    let mut t = [_mm256_setzero_si256(); WIDTH];
    for i in 0..4 {
        t[2 * i] = _mm256_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    let mut q = [_mm256_setzero_si256(); WIDTH];
    for i in 0..2 {
        q[4 * i] = _mm256_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        q[4 * i + 1] = _mm256_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        q[4 * i + 2] = _mm256_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        q[4 * i + 3] = _mm256_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    for i in 0..4 {
        t[i] = _mm256_permute2x128_si256::<0x20>(q[i], q[i + 4]);
        t[i + 4] = _mm256_permute2x128_si256::<0x31>(q[i], q[i + 4]);
    }
    t
}
