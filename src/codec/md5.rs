//! MD5 of many messages at once: whether packed frames are the bytes that the detector wrote.
//!
//! MD5 is serial in a message: each of its 64 steps a block waits for the one before. So messages are hashed side by side, one a lane
//! of a vector register, [`LANES`] at a time (`lanes`); [`digest`], the plain crate's, is the law and what is left on CPUs without
//! wide registers. Sixteen messages together take hardly longer than one: 7.8 GB/s with AVX-512 and 4.5 GB/s with AVX2, where
//! one at a time has 0.6 (one core, 2.48 MB frames, profiles/notes/md5.md).
//!
//! CBF's Content-MD5 is over the packed bytes (CBFlib manual; RFC 1864), the algorithm is RFC 1321.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod lanes;

use std::borrow::Borrow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::simd::Simd;
pub use crate::frame::Digest;
use crate::frame::{BadFrame, Codec, Frame, FrameStatus, Origin};

/// Messages that are hashed side by side.
pub const LANES: usize = 16;

/// Fewest messages for which lanes pay: below, most of them would be idle.
const FEWEST: usize = 2;

/// The MD5 of one message, by the plain crate. What it says is the law.
pub fn digest(message: &[u8]) -> Digest {
    use ::md5::Digest as _;
    ::md5::Md5::digest(message).into()
}

/// The MD5 of each message, in their order; equal to [`digest`] of each. Quickest for [`LANES`] messages of about one length.
pub fn digests(messages: &[&[u8]]) -> Vec<Digest> {
    digests_with(Simd::best(), messages)
}

/// Like [`digests`], with other instructions than the best; the plain crate where the CPU lacks them.
pub fn digests_with(simd: Simd, messages: &[&[u8]]) -> Vec<Digest> {
    match simd {
        #[cfg(target_arch = "x86_64")]
        _ if messages.len() < FEWEST || !simd.is_available() => one_by_one(messages),
        // SAFETY: the CPU has the instructions, as was just asked.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 => lanes::digests(messages, |state, rows, blocks| unsafe {
            avx512::add_blocks(state, rows, blocks);
        }),
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => lanes::digests(messages, |state, rows, blocks| unsafe {
            avx2::add_blocks(state, rows, blocks);
        }),
        _ => one_by_one(messages),
    }
}

fn one_by_one(messages: &[&[u8]]) -> Vec<Digest> {
    messages.iter().map(|message| digest(message)).collect()
}

/// The digest that a frame's bytes must have: none when its header has none, or when it was decoded (and verified then).
pub fn expected(frame: &Frame) -> Option<Digest> {
    frame.header.digest.filter(|_| frame.encoding.codec != Codec::Raw)
}

/// Compares the bytes of frames with the digests in their headers; one answer a frame, in their order, none where the frame is as it
/// was written or there is nothing to compare it with.
pub fn damage<F: Borrow<Frame>>(frames: &[F]) -> Vec<Option<BadFrame>> {
    let frames = || frames.iter().map(F::borrow);
    let messages: Vec<&[u8]> = frames().filter(|frame| expected(frame).is_some()).map(Frame::bytes).collect();
    let mut found = digests(&messages).into_iter();
    let answer = |frame: &Frame| mismatch(frame, expected(frame)?, found.next()?);
    frames().map(answer).collect()
}

/// Likewise, of one frame.
pub fn damage_of(frame: &Frame) -> Option<BadFrame> {
    let written = expected(frame)?;
    mismatch(frame, written, digest(frame.bytes()))
}

fn mismatch(frame: &Frame, written: Digest, found: Digest) -> Option<BadFrame> {
    (found != written).then(|| BadFrame {
        id: frame.id,
        status: FrameStatus::Md5Mismatch,
        message: damaged(&frame.origin, written, found),
    })
}

/// What is said of a frame whose bytes have another digest than its header says.
pub fn damaged(origin: &Origin, written: Digest, found: Digest) -> String {
    let (written, found) = (BASE64_STANDARD.encode(written), BASE64_STANDARD.encode(found));
    format!(
        "{origin}: the MD5 of the compressed bytes is {found}, but the header says {written}: the data are damaged"
    )
}

/// What one step of each round adds: ⌊2³² · |sin(i + 1)|⌋ (RFC 1321, 3.4).
#[cfg(target_arch = "x86_64")]
const SINES: [u32; 64] = [
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501, //
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, //
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8, //
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a, //
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70, //
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665, //
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1, //
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
];

/// The 64 steps of a block, for registers of any width: `$step!(round, a b c d, i, word, rotation)` is one of them, in which `a` is the
/// register that changes. Rounds are 0 to 3 (F, G, H, I of RFC 1321).
#[cfg(target_arch = "x86_64")]
macro_rules! rounds {
    ($step:ident) => {
        rounds!(@four $step, 0, 0, [0 1 2 3], [7 12 17 22]);
        rounds!(@four $step, 0, 4, [4 5 6 7], [7 12 17 22]);
        rounds!(@four $step, 0, 8, [8 9 10 11], [7 12 17 22]);
        rounds!(@four $step, 0, 12, [12 13 14 15], [7 12 17 22]);
        rounds!(@four $step, 1, 16, [1 6 11 0], [5 9 14 20]);
        rounds!(@four $step, 1, 20, [5 10 15 4], [5 9 14 20]);
        rounds!(@four $step, 1, 24, [9 14 3 8], [5 9 14 20]);
        rounds!(@four $step, 1, 28, [13 2 7 12], [5 9 14 20]);
        rounds!(@four $step, 2, 32, [5 8 11 14], [4 11 16 23]);
        rounds!(@four $step, 2, 36, [1 4 7 10], [4 11 16 23]);
        rounds!(@four $step, 2, 40, [13 0 3 6], [4 11 16 23]);
        rounds!(@four $step, 2, 44, [9 12 15 2], [4 11 16 23]);
        rounds!(@four $step, 3, 48, [0 7 14 5], [6 10 15 21]);
        rounds!(@four $step, 3, 52, [12 3 10 1], [6 10 15 21]);
        rounds!(@four $step, 3, 56, [8 15 6 13], [6 10 15 21]);
        rounds!(@four $step, 3, 60, [4 11 2 9], [6 10 15 21]);
    };
    (@four $step:ident, $round:tt, $i:expr, [$w0:tt $w1:tt $w2:tt $w3:tt], [$r0:tt $r1:tt $r2:tt $r3:tt]) => {
        $step!($round, 0 1 2 3, $i, $w0, $r0);
        $step!($round, 3 0 1 2, $i + 1, $w1, $r1);
        $step!($round, 2 3 0 1, $i + 2, $w2, $r2);
        $step!($round, 1 2 3 0, $i + 3, $w3, $r3);
    };
}
#[cfg(target_arch = "x86_64")]
use rounds;
