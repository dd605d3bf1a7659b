//! What the SIMD decoders share: finding the codes in a block of 16 packed bytes without walking along them.
//!
//! A byte `80` is an escape unless it lies in the payload of an escape before it. Most blocks have no escape, or a few whose
//! payloads hold no `80`: then every mark is an escape, and a shift by one and by two marks the payloads. Only where marks
//! lie close together does the code look at them one by one. Payload bytes may reach two bytes into the next block; they are
//! carried over as a mask, so that the next block's loads need not wait for this one.
//!
//! Escapes of 7 and 15 bytes are left to the scalar code: their payload does not fit the picture and they are rare
//! (at most 15 codes in 100 000 in any of the real Pilatus frames that the tests read).

use super::{At, code};
use crate::codec::Pixel;

/// Packed bytes looked at in one step.
pub(super) const BLOCK: usize = 16;
/// Packed bytes that a step may read: an escape in the block's last byte has two more.
pub(super) const REACH: usize = BLOCK + 2;

/// Where codes begin in a block of 16 bytes; bit i stands for byte i.
pub(super) struct Codes {
    /// Codes that are escapes.
    pub(super) escapes: u32,
    /// Bytes in payloads of escapes; bits 16 and 17 belong to the next block.
    pub(super) payload: u32,
}

impl Codes {
    /// `marks`: bytes equal to `80`; `covered`: bytes in the payload of the block before.
    #[inline(always)]
    pub(super) fn new(marks: u32, covered: u32) -> Codes {
        let mut escapes = marks & !covered;
        if escapes & ((escapes << 1) | (escapes << 2)) != 0 {
            escapes = walk(escapes);
        }
        Codes { escapes, payload: (escapes << 1) | (escapes << 2) | covered }
    }
}

/// Keeps the marks that no escape before them covers.
#[cold]
fn walk(mut marks: u32) -> u32 {
    let mut escapes = 0;
    while marks != 0 {
        let first = marks & marks.wrapping_neg();
        escapes |= first;
        marks &= !(first | (first << 1) | (first << 2));
    }
    escapes
}

/// Unpacks the codes of 7 and 15 bytes that stand at `at.byte` one after the other; returns how many there were.
///
/// Keeps `at.byte` and `at.value` up to date; `at.pixel` is the caller's. Stops before a code that is not complete.
pub(super) fn unpack_long<T: Pixel>(at: &mut At, packed: &[u8], out: &mut [T]) -> usize {
    let mut done = 0;
    while done < out.len() && packed[at.byte..].starts_with(&[0x80, 0x00, 0x80]) {
        let Some((delta, length)) = code(&packed[at.byte..]) else { break };
        at.value = at.value.wrapping_add(delta);
        at.byte += length;
        out[done] = T::from_i64(at.value);
        done += 1;
    }
    done
}
