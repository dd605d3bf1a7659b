//! Sixteen lanes in one register: a step is six instructions, of which four wait for each other.
//!
//! A block of each lane is a row of sixteen words; transposed, a register holds the same word of all lanes. Bound by the chain
//! of 4 × 64 dependent instructions a block (256 cycles for 1 KiB) and by two vector ports (224 cycles).

use std::arch::x86_64::*;

use super::lanes::{Messages, State};
use super::{LANES, SINES, rounds};

/// Adds `blocks` blocks of each row to the state of its lane.
///
/// # Safety
/// The CPU has AVX-512 F; each row points to `64 · blocks` readable bytes.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn add_blocks(state: &mut State, rows: &Messages, blocks: usize) {
    // SAFETY: a row of the state is 64 bytes.
    let mut s: [__m512i; 4] =
        std::array::from_fn(|i| unsafe { _mm512_loadu_si512(state[i].as_ptr().cast()) });
    for block in 0..blocks {
        // SAFETY: the caller's promise.
        let words = unsafe { words(rows, 64 * block) };
        let before = s;
        macro_rules! step {
            ($round:tt, $a:tt $b:tt $c:tt $d:tt, $i:expr, $word:expr, $rotation:expr) => {
                let mixed = _mm512_ternarylogic_epi32::<{ MIX[$round] }>(s[$b], s[$c], s[$d]);
                // What does not wait for the step before comes first.
                let ready = _mm512_add_epi32(words[$word], _mm512_set1_epi32(SINES[$i] as i32));
                let sum = _mm512_add_epi32(_mm512_add_epi32(s[$a], ready), mixed);
                s[$a] = _mm512_add_epi32(_mm512_rol_epi32::<$rotation>(sum), s[$b]);
            };
        }
        rounds!(step);
        for (now, before) in s.iter_mut().zip(before) {
            *now = _mm512_add_epi32(*now, before);
        }
    }
    for (row, register) in state.iter_mut().zip(s) {
        // SAFETY: a row of the state is 64 bytes.
        unsafe { _mm512_storeu_si512(row.as_mut_ptr().cast(), register) };
    }
}

/// Truth tables of F, G, H and I over (b, c, d).
const MIX: [i32; 4] = [0xca, 0xe4, 0x96, 0x39];

/// The sixteen words of the blocks at `offset`, each of all lanes.
///
/// # Safety
/// The CPU has AVX-512 F; each row has 64 bytes at `offset`.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn words(rows: &Messages, offset: usize) -> [__m512i; LANES] {
    // SAFETY: the caller's promise.
    let r: [__m512i; LANES] =
        std::array::from_fn(|lane| unsafe { _mm512_loadu_si512(rows[lane].add(offset).cast()) });
    // Pairs of rows, then fours, within 128 bits; then the 128 bits change places.
    let mut t = [_mm512_setzero_si512(); LANES];
    for i in 0..8 {
        t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    let mut q = [_mm512_setzero_si512(); LANES];
    for i in 0..4 {
        q[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        q[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        q[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        q[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    for i in 0..4 {
        t[i] = _mm512_shuffle_i32x4::<0x88>(q[i], q[i + 4]);
        t[i + 4] = _mm512_shuffle_i32x4::<0xdd>(q[i], q[i + 4]);
        t[i + 8] = _mm512_shuffle_i32x4::<0x88>(q[i + 8], q[i + 12]);
        t[i + 12] = _mm512_shuffle_i32x4::<0xdd>(q[i + 8], q[i + 12]);
    }
    for i in 0..4 {
        q[i] = _mm512_shuffle_i32x4::<0x88>(t[i], t[i + 8]);
        q[i + 8] = _mm512_shuffle_i32x4::<0xdd>(t[i], t[i + 8]);
        q[i + 4] = _mm512_shuffle_i32x4::<0x88>(t[i + 4], t[i + 12]);
        q[i + 12] = _mm512_shuffle_i32x4::<0xdd>(t[i + 4], t[i + 12]);
    }
    q
}
