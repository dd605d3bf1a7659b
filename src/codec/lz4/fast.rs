//! LZ4 blocks, fast: copies of 8 and 16 bytes that may write more than was asked for, where there is room for it.
//!
//! Every copy is preceded by a comparison with what is left of both slices; what fails one is not decoded further. Nothing
//! outside `packed` is read, nothing outside `out` is written or read. Most sequences have few literals and a short match: they take
//! one comparison and no loop, as in LZ4's own decoder.

use std::ptr::{copy_nonoverlapping, write_bytes};

/// Bytes of literals that are copied at a time.
const STEP: usize = 16;
/// Longest match whose length is in its token.
const SHORT: usize = 14 + 4;
/// Farthest that copying a match may write beyond its end.
const BEYOND: usize = 16;

/// Unpacks a block; false when it is damaged. What `out` holds then is not said.
pub(super) fn decode(packed: &[u8], out: &mut [u8]) -> bool {
    unpack(packed, out).is_some()
}

/// `None` when the block is damaged.
fn unpack(packed: &[u8], out: &mut [u8]) -> Option<()> {
    let room = out.len();
    let to = out.as_mut_ptr();
    let (mut at, mut written) = (0, 0);
    loop {
        let token = *packed.get(at)?;
        at += 1;

        let literals = usize::from(token >> 4);
        // 16 bytes are copied, whatever the number, and two more are the offset's: it is not the last sequence.
        if literals < 15 && packed.len() - at >= STEP + 2 && room - written >= STEP + SHORT {
            // SAFETY: 16 bytes are left in both, as was just asked; slices do not overlap.
            unsafe { copy_nonoverlapping(packed.as_ptr().add(at), to.add(written), STEP) };
            at += literals;
            written += literals;
            let length = usize::from(token & 15);
            let offset = usize::from(u16::from_le_bytes([packed[at], packed[at + 1]]));
            if length < 15 && offset >= 8 && offset <= written {
                // SAFETY: `offset` bytes before are there and 18 from here on; at most 14 of 34 are used up.
                unsafe {
                    let (from, to) = (to.add(written - offset), to.add(written));
                    // What is read was written: 8 bytes or more lie between.
                    copy_nonoverlapping(from, to, 8);
                    copy_nonoverlapping(from.add(8), to.add(8), 8);
                    copy_nonoverlapping(from.add(16), to.add(16), 2);
                }
                at += 2;
                written += length + 4;
                continue;
            }
        } else {
            let literals = super::length(token >> 4, packed, &mut at)?;
            if packed.len() - at < literals || room - written < literals {
                return None;
            }
            // SAFETY: so many bytes are left in both, as was just asked; slices do not overlap.
            unsafe { copy_nonoverlapping(packed.as_ptr().add(at), to.add(written), literals) };
            at += literals;
            written += literals;
            if at == packed.len() {
                return (written == room).then_some(());
            }
        }

        let offset = usize::from(u16::from_le_bytes(*packed.get(at..)?.first_chunk()?));
        at += 2;
        let length = 4 + super::length(token & 15, packed, &mut at)?;
        if offset == 0 || offset > written || room - written < length {
            return None;
        }
        // SAFETY: `offset` bytes before `written` are there, and `room - written` from it on, of which `length` are asked for.
        unsafe { repeat(to.add(written), offset, length, room - written) };
        written += length;
    }
}

/// Writes `length` bytes at `to`, each the one `offset` before it; may write [`BEYOND`] more, where `room` allows.
///
/// # Safety
/// `offset` bytes before `to` and `room` from it on are one piece of memory, and `length <= room`; `offset` is not 0.
#[inline(always)]
unsafe fn repeat(to: *mut u8, offset: usize, length: usize, room: usize) {
    // SAFETY: whatever is written ends at `length`, or at most 16 bytes later where there is room for them; what is read was
    // written, as it lies `offset` or a multiple of it before, and no copy reads what it writes.
    unsafe {
        if offset == 1 {
            return write_bytes(to, *to.sub(1), length);
        }
        if room - length < BEYOND {
            for i in 0..length {
                *to.add(i) = *to.add(i).sub(offset);
            }
            return;
        }
        if offset >= STEP {
            if length > 4 * STEP && offset >= length {
                return copy_nonoverlapping(to.sub(offset), to, length);
            }
            for done in (0..length).step_by(STEP) {
                copy_nonoverlapping(to.add(done).sub(offset), to.add(done), STEP);
            }
            return;
        }
        // The smallest multiple of the offset that is 8 or more; it is reached byte by byte.
        let (mut period, mut done) = (offset, 0);
        if offset < 8 {
            period = offset * 8_usize.div_ceil(offset);
            while done < 8 {
                *to.add(done) = *to.add(done).sub(offset);
                done += 1;
            }
        }
        while done < length {
            copy_nonoverlapping(to.add(done).sub(period), to.add(done), 8);
            done += 8;
        }
    }
}
