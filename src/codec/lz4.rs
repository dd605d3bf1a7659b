//! LZ4 blocks: literals and repetitions of what came before.
//!
//! A block is a chain of sequences; each is
//!
//! | part | bytes | what |
//! |---|---|---|
//! | token | 1 | high four bits: number of literals; low four: length of the match − 4 |
//! | more literals | 0 … | if the high bits are 15: bytes to be added, up to and with the first that is not 255 |
//! | literals | as many | copied |
//! | offset | 2, little endian | how far back the match begins, 1 … 65535 |
//! | more match | 0 … | if the low bits are 15: as for literals |
//!
//! A match may reach into what it is writing itself: an offset of 1 repeats one byte. The last sequence ends with its literals. A
//! block does not say how long it is, packed or unpacked: whoever holds it knows both.
//!
//! [`decode_reference`] is the law; [`decode`] is fast and equal to it, errors included: it leaves what it does not like to
//! the law, to say what is wrong. Format: `doc/lz4_Block_format.md` of lz4/lz4. A writer keeps the last 5 bytes literals and
//! begins no match in the last 12; a reader does not mind.

mod fast;

/// Why a packed block is not the bytes that it was said to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lz4Error {
    /// The packed bytes end inside a sequence, or where one must begin.
    #[error("its bytes end before the sequence at byte {byte} is complete")]
    Truncated {
        /// Where the sequence begins, in bytes from the start of the block.
        byte: usize,
    },
    /// A match begins before the block, or is of itself.
    #[error("the sequence at byte {byte} repeats what is {offset} bytes back, where {written} are written")]
    Offset {
        /// Where the sequence begins.
        byte: usize,
        /// How far back its match begins.
        offset: usize,
        /// How far back it may.
        written: usize,
    },
    /// More comes out of the block than it holds.
    #[error("the sequence at byte {byte} goes on beyond the {expected} bytes of the block")]
    TooLong {
        /// Where the sequence begins.
        byte: usize,
        /// Bytes that the block must unpack to.
        expected: usize,
    },
    /// Less comes out of the block than it holds.
    #[error("it unpacks to {written} bytes instead of {expected}")]
    TooShort {
        /// Bytes that it unpacks to.
        written: usize,
        /// Bytes that it must unpack to.
        expected: usize,
    },
}

/// Unpacks a block that fills `out`: simple, safe and checked. What it says is the law.
///
/// # Errors
/// When the block does not fill `out`, or not with all of its bytes, or a match is of something that is not there.
pub fn decode_reference(packed: &[u8], out: &mut [u8]) -> Result<(), Lz4Error> {
    let expected = out.len();
    let (mut at, mut written) = (0, 0);
    loop {
        let byte = at;
        let truncated = || Lz4Error::Truncated { byte };
        let token = *packed.get(at).ok_or_else(truncated)?;
        at += 1;

        let literals = length(token >> 4, packed, &mut at).ok_or_else(truncated)?;
        let from = packed[at..].get(..literals).ok_or_else(truncated)?;
        let to = out[written..].get_mut(..literals).ok_or(Lz4Error::TooLong { byte, expected })?;
        to.copy_from_slice(from);
        at += literals;
        written += literals;
        if at == packed.len() {
            return match written == expected {
                true => Ok(()),
                false => Err(Lz4Error::TooShort { written, expected }),
            };
        }

        let offset = packed[at..].first_chunk().ok_or_else(truncated)?;
        let offset = usize::from(u16::from_le_bytes(*offset));
        at += 2;
        let repeated = 4 + length(token & 15, packed, &mut at).ok_or_else(truncated)?;
        if offset == 0 || offset > written {
            return Err(Lz4Error::Offset { byte, offset, written });
        }
        if repeated > expected - written {
            return Err(Lz4Error::TooLong { byte, expected });
        }
        for _ in 0..repeated {
            out[written] = out[written - offset];
            written += 1;
        }
    }
}

/// A length whose first four bits are `short`; `None` when the bytes end in it.
#[inline(always)]
fn length(short: u8, packed: &[u8], at: &mut usize) -> Option<usize> {
    let mut length = usize::from(short);
    if short == 15 {
        loop {
            let more = *packed.get(*at)?;
            *at += 1;
            // At most 255 for each packed byte: no sum of these overflows.
            length += usize::from(more);
            if more != 255 {
                break;
            }
        }
    }
    Some(length)
}

/// Unpacks a block that fills `out`; equal to [`decode_reference`].
///
/// # Errors
/// As [`decode_reference`].
pub fn decode(packed: &[u8], out: &mut [u8]) -> Result<(), Lz4Error> {
    if fast::decode(packed, out) { Ok(()) } else { decode_reference(packed, out) }
}

/// The last bytes of a block are literals.
const LAST_LITERALS: usize = 5;
/// No match begins in the last bytes of a block.
const NO_MATCH: usize = 12;
/// Farthest back that a match may begin.
const FARTHEST: usize = 0xffff;
/// Bits of a hash: its table fits into the first-level cache.
const HASH_BITS: u32 = 12;

/// Packs bytes as one block, after what `packed` holds: greedily, taking the last place where the same four bytes were seen, as LZ4's
/// own fast mode does.
///
/// # Panics
/// When there are 4 GiB of them or more.
pub fn encode(bytes: &[u8], packed: &mut Vec<u8>) {
    assert!(u32::try_from(bytes.len()).is_ok(), "an LZ4 block is smaller than 4 GiB");
    // Places + 1, so that 0 is none.
    let mut seen = [0_u32; 1 << HASH_BITS];
    let (mut at, mut anchor, mut misses) = (0, 0, 0);
    while at + NO_MATCH < bytes.len() {
        let last = std::mem::replace(&mut seen[hash(bytes, at)], at as u32 + 1) as usize;
        let is_match = last > 0 && at - (last - 1) <= FARTHEST && word(bytes, last - 1) == word(bytes, at);
        if !is_match {
            // Bytes that do not repeat are passed faster and faster.
            misses += 1;
            at += 1 + (misses >> 6);
            continue;
        }
        let (from, offset) = (last - 1, at - (last - 1));
        let after = common(&bytes[from + 4..], &bytes[at + 4..bytes.len() - LAST_LITERALS]);
        let before = bytes[anchor..at].iter().rev().zip(bytes[..from].iter().rev());
        let before = before.take_while(|(a, b)| a == b).count();
        sequence(packed, &bytes[anchor..at - before], Some((offset, before + 4 + after)));
        at += 4 + after;
        (anchor, misses) = (at, 0);
        if at + NO_MATCH < bytes.len() {
            seen[hash(bytes, at - 2)] = at as u32 - 1;
        }
    }
    sequence(packed, &bytes[anchor..], None);
}

/// A hash of five bytes, as LZ4's own of long blocks: of small numbers in four bytes each, four bytes would find the nearest place that
/// is alike, not the place where more is. Eight bytes must be there.
fn hash(bytes: &[u8], at: usize) -> usize {
    let five = u64::from_le_bytes(*bytes[at..].first_chunk().expect("no match begins so near the end")) << 24;
    (five.wrapping_mul(889_523_592_379) >> (64 - HASH_BITS)) as usize
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// How many of their first bytes are the same; `b` is not longer than `a`.
fn common(a: &[u8], b: &[u8]) -> usize {
    let (a_words, b_words) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    let words = a_words.iter().zip(b_words).take_while(|(a, b)| a == b).count();
    let rest = a[8 * words..].iter().zip(&b[8 * words..]);
    8 * words + rest.take_while(|(a, b)| a == b).count()
}

/// Writes a sequence: literals, and an offset and a length, which the last one has not.
fn sequence(packed: &mut Vec<u8>, literals: &[u8], repeated: Option<(usize, usize)>) {
    let short = |length: usize| length.min(15) as u8;
    let more = |packed: &mut Vec<u8>, length: usize| {
        if let Some(more) = length.checked_sub(15) {
            packed.resize(packed.len() + more / 255, 255);
            packed.push((more % 255) as u8);
        }
    };
    let of_match = repeated.map_or(0, |(_, length)| length - 4);
    packed.push(short(literals.len()) << 4 | short(of_match));
    more(packed, literals.len());
    packed.extend_from_slice(literals);
    if let Some((offset, _)) = repeated {
        packed.extend_from_slice(&(offset as u16).to_le_bytes());
        more(packed, of_match);
    }
}
