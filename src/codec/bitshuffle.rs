//! Bitshuffle: the bits of many elements, sorted by their weight.
//!
//! A block of n elements (a multiple of 8) of `size` bytes each is written as 8 · `size` planes of n / 8 bytes: plane 8b + k holds bit k
//! of byte b (little endian) of every element, element 8j + i in bit i of byte j. Small counts leave most planes zero, which
//! is what LZ4 makes use of. What surrounds blocks in a file is in [`super::blocks`].
//!
//! [`unshuffle_reference`] is the law; [`unshuffle`] is fast and equal to it. It takes 64 bytes of each plane at a time (32 with
//! AVX2): eight planes are interleaved to eight-byte words, each an 8 × 8 matrix of bits, which one instruction transposes
//! (GFNI; seven shifts and masks without); what comes out are bytes b of 8 elements. Bytes whose planes are all zero cost no more than
//! the look. Format: K. Masui et al., Astronomy and Computing 12 (2015) 181, and kiyo-masui/bitshuffle (`bshuf_trans_bit_elem`).

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

use super::simd::Simd;

/// Whether elements of so many bytes are taken.
pub const fn takes(size: usize) -> bool {
    matches!(size, 1 | 2 | 4 | 8)
}

/// Sorts the bits of a block back into elements, one by one: what it says is the law.
///
/// # Panics
/// When `shuffled` and `elements` are not of one length, or that is not a multiple of 8 elements of `size` bytes.
pub fn unshuffle_reference(shuffled: &[u8], size: usize, elements: &mut [u8]) {
    assert_eq!(shuffled.len(), elements.len());
    assert!(shuffled.len().is_multiple_of(8 * size));
    let plane = shuffled.len() / (8 * size);
    elements.fill(0);
    for (number, element) in elements.chunks_exact_mut(size).enumerate() {
        for (at, byte) in element.iter_mut().enumerate() {
            for bit in 0..8 {
                let of_eight = shuffled[(8 * at + bit) * plane + number / 8];
                *byte |= (of_eight >> (number % 8) & 1) << bit;
            }
        }
    }
}

/// The elements of a block from number `first` on, as many as `elements` has room for; equal to the same part of what
/// [`unshuffle_reference`] gives.
///
/// # Panics
/// When the block or `elements` is not a multiple of 8 elements long, `first` is none, the block has fewer elements, or their
/// size is not one that [`takes`] names.
pub fn unshuffle(simd: Simd, shuffled: &[u8], size: usize, first: usize, elements: &mut [u8]) {
    match size {
        1 => run::<1>(simd, shuffled, first, elements),
        2 => run::<2>(simd, shuffled, first, elements),
        4 => run::<4>(simd, shuffled, first, elements),
        8 => run::<8>(simd, shuffled, first, elements),
        _ => panic!("elements of {size} bytes cannot be shuffled"),
    }
}

fn run<const SIZE: usize>(simd: Simd, shuffled: &[u8], first: usize, elements: &mut [u8]) {
    assert!(shuffled.len().is_multiple_of(8 * SIZE) && elements.len().is_multiple_of(8 * SIZE));
    assert!(first.is_multiple_of(8));
    let (plane, first, groups) = (shuffled.len() / (8 * SIZE), first / 8, elements.len() / (8 * SIZE));
    assert!(groups <= plane && first <= plane - groups, "the block ends before these elements");
    #[cfg(target_arch = "x86_64")]
    {
        // A tile's last byte of a plane is before `first + groups`, which is at most `plane`: all planes of it are in `shuffled`.
        let from = |at: usize| shuffled[first + at..].as_ptr();
        if simd == Simd::Avx512 && groups >= avx512::BYTES && avx512::is_available() {
            // SAFETY: the CPU has the instructions; what is read is said above, and `tiles` gives room for what is written.
            let tile = |at, to| unsafe { avx512::tile::<SIZE>(from(at), plane, to) };
            return tiles::<SIZE>(avx512::BYTES, groups, elements, tile);
        }
        if simd != Simd::Scalar && groups >= avx2::BYTES && Simd::Avx2.is_available() {
            // SAFETY: as above.
            let tile = |at, to| unsafe { avx2::tile::<SIZE>(from(at), plane, to) };
            return tiles::<SIZE>(avx2::BYTES, groups, elements, tile);
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = simd;
    for (at, elements) in elements.chunks_exact_mut(8 * SIZE).enumerate() {
        for byte in 0..SIZE {
            let planes = (0..8).map(|bit| shuffled[(8 * byte + bit) * plane + first + at]);
            let matrix = planes.rev().fold(0, |matrix, plane| matrix << 8 | u64::from(plane));
            for (element, bits) in transpose(matrix).to_le_bytes().into_iter().enumerate() {
                elements[element * SIZE + byte] = bits;
            }
        }
    }
}

/// Calls `tile` for every `bytes` groups of 8 elements; the last tile begins so much earlier that it is a whole one, too.
#[cfg(target_arch = "x86_64")]
fn tiles<const SIZE: usize>(
    bytes: usize,
    groups: usize,
    elements: &mut [u8],
    mut tile: impl FnMut(usize, *mut u8),
) {
    for at in (0..groups).step_by(bytes) {
        let at = at.min(groups - bytes);
        tile(at, elements[at * 8 * SIZE..][..bytes * 8 * SIZE].as_mut_ptr());
    }
}

/// Sorts the bits of elements into planes.
///
/// # Panics
/// As [`unshuffle_reference`].
pub fn shuffle(elements: &[u8], size: usize, shuffled: &mut [u8]) {
    assert_eq!(shuffled.len(), elements.len());
    assert!(shuffled.len().is_multiple_of(8 * size));
    let plane = shuffled.len() / (8 * size);
    for (at, elements) in elements.chunks_exact(8 * size).enumerate() {
        for byte in 0..size {
            let bytes = elements.chunks_exact(size).map(|element| element[byte]);
            let matrix = bytes.rev().fold(0, |matrix, byte| matrix << 8 | u64::from(byte));
            for (bit, plane_byte) in transpose(matrix).to_le_bytes().into_iter().enumerate() {
                shuffled[(8 * byte + bit) * plane + at] = plane_byte;
            }
        }
    }
}

/// Bit i of byte k becomes bit k of byte i: 2 × 2 blocks of bits, of pairs, of fours change places (H. Warren, Hacker's Delight, 7-3).
fn transpose(matrix: u64) -> u64 {
    let mut x = matrix;
    for (shift, mask) in
        [(7, 0x00aa_00aa_00aa_00aa), (14, 0x0000_cccc_0000_cccc), (28, 0x0000_0000_f0f0_f0f0)]
    {
        let swapped = (x ^ x >> shift) & mask;
        x ^= swapped ^ swapped << shift;
    }
    x
}
