//! CBF byte-offset: an image as a chain of signed differences.
//!
//! A running value starts at 0; each pixel adds one difference δ to it and takes the result. δ is written in little-endian
//! bytes, as short as it goes:
//!
//! | code                                | bytes | δ                   |
//! |-------------------------------------|-------|---------------------|
//! | `δ`                                 | 1     | −127 … 127          |
//! | `80`, δ                             | 3     | −32767 … 32767      |
//! | `80 00 80`, δ                       | 7     | −(2³¹−1) … 2³¹−1    |
//! | `80 00 80 00 00 00 80`, δ           | 15    | any of 64 bits      |
//!
//! The smallest value of each width (`80`, `00 80`, `00 00 00 80`) is therefore never a difference but the step to the next
//! width. A writer may use a longer code than it needs; a reader takes it. A byte `80` inside a payload is not an escape,
//! which is what makes the position of each code depend on all before it.
//!
//! Sums wrap modulo 2^bits of the element type, as in every int32 reader. [`decode_reference`] is the law; [`Decoder`] and
//! [`decode`] are fast and equal to it bit for bit, errors included. Format: CBFlib manual, "byte-offset compression"
//! (H. Powell, IUCr imgCIF dictionary `_array_structure.compression_type`).

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod block;

pub use super::simd::Simd;
use crate::codec::Pixel;
use crate::frame::{BadFrame, FrameId, FrameStatus, Origin, Shape};

/// Why packed bytes are not the image that they were said to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside or before a pixel's code.
    #[error("the compressed bytes end at byte {byte}, before pixel {pixel} is complete")]
    Truncated {
        /// First pixel that has no value, counted from 0 in C order.
        pixel: usize,
        /// Where its code begins, in bytes from the start of the packed bytes.
        byte: usize,
    },
    /// Every pixel has its value and bytes are left.
    #[error("{bytes_left} compressed bytes are left after the last pixel")]
    Overlong {
        /// How many.
        bytes_left: usize,
    },
}

impl DecodeError {
    /// The same as data: the frame that cannot be reduced.
    pub fn bad_frame(&self, id: FrameId, origin: &Origin, shape: Shape) -> BadFrame {
        let (status, place) = match *self {
            DecodeError::Truncated { pixel, .. } => {
                let place =
                    format!("row {}, column {}", pixel / shape.fast.max(1), pixel % shape.fast.max(1));
                (FrameStatus::Truncated, place)
            }
            DecodeError::Overlong { .. } => (FrameStatus::Overlong, "end of the image".to_owned()),
        };
        let message = format!("{origin}: {place} of {shape} pixels: {self}: the data are damaged");
        BadFrame { id, status, message }
    }
}

/// Unpacks an image one code at a time: simple, safe and checked. What it says is the law.
///
/// # Errors
/// [`DecodeError::Truncated`] when `packed` holds fewer codes than `pixels` has places (those before it are filled), and
/// [`DecodeError::Overlong`] when it holds more bytes than they need.
pub fn decode_reference<T: Pixel>(packed: &[u8], pixels: &mut [T]) -> Result<(), DecodeError> {
    let mut at = At::default();
    at.unpack(packed, pixels)?;
    at.finish(packed)
}

/// Unpacks an image; equal to [`decode_reference`] bit for bit.
///
/// # Errors
/// As [`decode_reference`].
pub fn decode<T: Pixel>(packed: &[u8], pixels: &mut [T]) -> Result<(), DecodeError> {
    let mut decoder = Decoder::new(packed);
    decoder.next(pixels)?;
    decoder.finish()
}

/// Unpacks an image a run of pixels at a time, so that the caller can use them while they are in cache.
///
/// All runs of an image have the same pixel type.
#[derive(Debug, Clone)]
pub struct Decoder<'a> {
    packed: &'a [u8],
    at: At,
    simd: Simd,
}

impl<'a> Decoder<'a> {
    /// Starts at the first pixel of `packed`.
    pub fn new(packed: &'a [u8]) -> Self {
        Decoder { packed, at: At::default(), simd: Simd::best() }
    }

    /// Like [`Decoder::new`], with other instructions than the best; `Scalar` where the CPU lacks them.
    pub fn with_simd(packed: &'a [u8], simd: Simd) -> Self {
        let simd = if simd.is_available() { simd } else { Simd::Scalar };
        Decoder { packed, at: At::default(), simd }
    }

    /// Fills `out` with the next pixels.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when the bytes end before `out` is full; what comes before that pixel is filled.
    pub fn next<T: Pixel>(&mut self, out: &mut [T]) -> Result<(), DecodeError> {
        let done = match self.simd {
            Simd::Scalar => 0,
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the constructors checked that this CPU has the instructions.
            Simd::Avx2 => unsafe { avx2::unpack_blocks(&mut self.at, self.packed, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Simd::Avx512 => unsafe { avx512::unpack_blocks(&mut self.at, self.packed, out) },
            #[cfg(not(target_arch = "x86_64"))]
            _ => 0,
        };
        self.at.unpack(self.packed, &mut out[done..])
    }

    /// Says that the image ends here.
    ///
    /// # Errors
    /// [`DecodeError::Overlong`] when bytes are left.
    pub fn finish(self) -> Result<(), DecodeError> {
        self.at.finish(self.packed)
    }
}

/// How far a decoder has come.
#[derive(Debug, Clone, Default)]
struct At {
    /// Pixels done.
    pixel: usize,
    /// Where the next code begins.
    byte: usize,
    /// Value of the last pixel; the bits above the pixel type's do not matter.
    value: i64,
}

impl At {
    /// Fills `out`, one code at a time.
    fn unpack<T: Pixel>(&mut self, packed: &[u8], out: &mut [T]) -> Result<(), DecodeError> {
        for pixel in out {
            let Some((delta, length)) = packed.get(self.byte..).and_then(code) else {
                return Err(DecodeError::Truncated { pixel: self.pixel, byte: self.byte });
            };
            self.value = self.value.wrapping_add(delta);
            self.byte += length;
            self.pixel += 1;
            *pixel = T::from_i64(self.value);
        }
        Ok(())
    }

    fn finish(&self, packed: &[u8]) -> Result<(), DecodeError> {
        match packed.len() - self.byte {
            0 => Ok(()),
            bytes_left => Err(DecodeError::Overlong { bytes_left }),
        }
    }
}

/// The difference at the start of `bytes` and the length of its code; `None` when it is not complete.
#[inline]
fn code(bytes: &[u8]) -> Option<(i64, usize)> {
    let short = *bytes.first()? as i8;
    if short != i8::MIN {
        return Some((i64::from(short), 1));
    }
    let word = i16::from_le_bytes(*bytes.get(1..)?.first_chunk()?);
    if word != i16::MIN {
        return Some((i64::from(word), 3));
    }
    let long = i32::from_le_bytes(*bytes.get(3..)?.first_chunk()?);
    if long != i32::MIN {
        return Some((i64::from(long), 7));
    }
    let longest = i64::from_le_bytes(*bytes.get(7..)?.first_chunk()?);
    Some((longest, 15))
}

/// Packs an image with the shortest codes, as DECTRIS and FabIO do.
///
/// Differences are those of the values themselves (2³²−1 after 0 is a difference of 2³²−1, in 15 bytes); between 64-bit
/// values they wrap. Decoding gives the pixels back.
pub fn encode<T: Pixel>(pixels: &[T]) -> Vec<u8> {
    // Almost every code of a counting detector's frame is one byte.
    let mut packed = Vec::with_capacity(pixels.len() + pixels.len() / 8);
    let mut last = 0_i64;
    for pixel in pixels {
        let value = pixel.to_i64();
        let delta = value.wrapping_sub(last);
        last = value;
        match delta {
            -0x7f..=0x7f => packed.push(delta as u8),
            -0x7fff..=0x7fff => {
                packed.push(0x80);
                packed.extend_from_slice(&(delta as i16).to_le_bytes());
            }
            -0x7fff_ffff..=0x7fff_ffff => {
                packed.extend_from_slice(&[0x80, 0x00, 0x80]);
                packed.extend_from_slice(&(delta as i32).to_le_bytes());
            }
            _ => {
                packed.extend_from_slice(&[0x80, 0x00, 0x80, 0x00, 0x00, 0x00, 0x80]);
                packed.extend_from_slice(&delta.to_le_bytes());
            }
        }
    }
    packed
}
