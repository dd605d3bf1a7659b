//! Byte-offset streams that decoders like least. What they mean is what the reference decoder says.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use xrdct::codec::Pixel;
use xrdct::codec::byte_offset::decode_reference;

/// How a stream is put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One byte a pixel.
    Plain,
    /// Escapes in 0.2 % of the pixels, as in frames of weak signal.
    Weak,
    /// Escapes in 15 % of the pixels, in runs of 50 to 100, as in strong powder frames.
    Powder,
    /// Nothing but codes of 3, 7 or 15 bytes.
    Only(usize),
    /// Every byte of the stream is 0x80: codes of 3 bytes that look the same from every offset.
    All0x80,
    /// Payloads made of 0x80 and 0x00, so that every byte may be taken for an escape.
    Mimic,
    /// 1, 3, 7 and 15 bytes in turn.
    Alternating,
    /// All lengths, any payload.
    Any,
}

/// All kinds.
pub const KINDS: [Kind; 11] = [
    Kind::Plain,
    Kind::Weak,
    Kind::Powder,
    Kind::Only(3),
    Kind::Only(7),
    Kind::Only(15),
    Kind::All0x80,
    Kind::Mimic,
    Kind::Alternating,
    Kind::Any,
    Kind::Any,
];

/// Appends one code of `length` bytes with a payload of the given bytes, mended so that it is not read as a longer code.
fn push_code(bytes: &mut Vec<u8>, length: usize, mut payload: impl FnMut() -> u8) {
    let mut take = |n: usize, bytes: &mut Vec<u8>, escape: bool| {
        let start = bytes.len();
        bytes.extend((0..n).map(|_| payload()));
        let is_escape = bytes[start + n - 1] == 0x80 && bytes[start..start + n - 1].iter().all(|b| *b == 0);
        if escape && is_escape {
            bytes[start] = if n == 1 { 0x7F } else { 0x80 };
        }
    };
    match length {
        1 => take(1, bytes, true),
        3 => {
            bytes.push(0x80);
            take(2, bytes, true);
        }
        7 => {
            bytes.extend([0x80, 0, 0x80]);
            take(4, bytes, true);
        }
        _ => {
            bytes.extend([0x80, 0, 0x80, 0, 0, 0, 0x80]);
            take(8, bytes, false);
        }
    }
}

/// The packed bytes of `pixels` codes.
pub fn stream(kind: Kind, pixels: usize, seed: u64) -> Vec<u8> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut bytes = Vec::new();
    let mut run = 0;
    for pixel in 0..pixels {
        let length = match kind {
            Kind::Plain => 1,
            Kind::Weak if rng.random_bool(0.002) => 3,
            Kind::Weak => 1,
            Kind::Powder => {
                if run == 0 && rng.random_bool(0.0023) {
                    run = rng.random_range(50..100);
                }
                if run > 0 {
                    run -= 1;
                }
                if run > 0 { 3 } else { 1 }
            }
            Kind::Only(length) => length,
            Kind::All0x80 => 3,
            Kind::Mimic | Kind::Any => [1, 3, 7, 15][rng.random_range(0..4)],
            Kind::Alternating => [1, 3, 7, 15][pixel % 4],
        };
        match kind {
            Kind::All0x80 => bytes.extend([0x80; 3]),
            Kind::Mimic => push_code(&mut bytes, length, || if rng.random_bool(0.5) { 0x80 } else { 0 }),
            Kind::Weak | Kind::Powder | Kind::Plain if length == 1 => {
                push_code(&mut bytes, 1, || rng.random_range(-20_i8..20) as u8);
            }
            _ => push_code(&mut bytes, length, || rng.random()),
        }
    }
    bytes
}

/// A stream and what the reference decoder makes of it.
#[derive(Debug, Clone)]
pub struct Case<T> {
    pub name: String,
    pub bytes: Vec<u8>,
    /// `None` when it is corrupt.
    pub pixels: Option<Vec<T>>,
    /// What xrdct calls it: 0 good, 5 truncated, 6 overlong.
    pub status: u32,
}

impl<T: Pixel + Default> Case<T> {
    pub fn new(name: String, bytes: Vec<u8>, count: usize) -> Case<T> {
        let mut pixels = vec![T::default(); count];
        let status = match decode_reference(&bytes, &mut pixels) {
            Ok(()) => 0,
            Err(xrdct::codec::byte_offset::DecodeError::Truncated { .. }) => 5,
            Err(xrdct::codec::byte_offset::DecodeError::Overlong { .. }) => 6,
        };
        Case { name, bytes, pixels: (status == 0).then_some(pixels), status }
    }
}

/// Good and corrupt streams of every kind with `pixels` pixels.
pub fn corpus<T: Pixel + Default>(pixels: usize, seed: u64) -> Vec<Case<T>> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut cases = Vec::new();
    for (n, kind) in KINDS.into_iter().enumerate() {
        let good = stream(kind, pixels, seed + n as u64);
        let name = format!("{kind:?} x {pixels}");
        let mut add =
            |what: &str, bytes: Vec<u8>| cases.push(Case::new(format!("{name}, {what}"), bytes, pixels));
        let cut = rng.random_range(0..good.len());
        add("cut", good[..cut].to_vec());
        add("last byte missing", good[..good.len() - 1].to_vec());
        add("one byte more", [&good[..], &[rng.random()]].concat());
        add("tail of an escape", [&good[..], &[0x80]].concat());
        add("twice", [&good[..], &good[..]].concat());
        let mut noise = good.clone();
        for _ in 0..3 {
            let at = rng.random_range(0..noise.len());
            noise[at] = rng.random();
        }
        add("noise", noise);
        add("good", good);
    }
    cases
}
