//! Any packed image as pixels, whatever its codec: the one way for readers, reducers and whoever else wants pixels.

use super::blocks::{BlockDecoder, BlockError};
use super::byte_offset::{DecodeError, Decoder};
use super::pixel::{Pixel, bytes_of_mut};
use super::simd::Simd;
use crate::frame::{BadFrame, Codec, Encoding, FrameId, FrameStatus, Origin};

/// Why bytes are not the image that they were said to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    /// Plain pixels of another number.
    #[error("{found} bytes, but {} {} are {expected}", .encoding.shape, .encoding.pixel.name())]
    Size {
        /// What they were to be.
        encoding: Encoding,
        /// How many bytes there are.
        found: usize,
        /// How many there must be.
        expected: usize,
    },
    /// Codes that are not the image's.
    #[error(transparent)]
    ByteOffset(#[from] DecodeError),
    /// Blocks that are not the image's.
    #[error(transparent)]
    Blocks(#[from] BlockError),
}

impl UnpackError {
    /// The same as data: the frame that cannot be reduced.
    pub fn bad_frame(&self, id: FrameId, origin: &Origin, encoding: Encoding) -> BadFrame {
        let status = match self {
            UnpackError::ByteOffset(error) => return error.bad_frame(id, origin, encoding.shape),
            UnpackError::Size { found, expected, .. } if found < expected => FrameStatus::Truncated,
            UnpackError::Size { .. } => FrameStatus::Overlong,
            UnpackError::Blocks(error) => match error {
                BlockError::NoHeader { .. } | BlockError::CutShort { .. } => FrameStatus::Truncated,
                BlockError::LeftOver { .. } => FrameStatus::Overlong,
                _ => FrameStatus::Corrupt,
            },
        };
        let damaged = match self {
            UnpackError::Blocks(_) => format!(": the data are damaged ({})", encoding.codec.name()),
            _ => String::new(),
        };
        let message = format!("{origin}: {self}{damaged}");
        BadFrame { id, status, message }
    }
}

/// Unpacks an image a run of pixels at a time, so that the caller can use them while they are in cache.
pub enum Unpacker<'a> {
    /// Pixels that have not been taken yet.
    Raw(&'a [u8]),
    /// Codes.
    ByteOffset(Decoder<'a>),
    /// Blocks.
    Blocks(Box<BlockDecoder<'a>>),
}

impl<'a> Unpacker<'a> {
    /// Starts at the first pixel of `packed`; slower instructions than `simd` where the CPU lacks them.
    ///
    /// # Errors
    /// When it is seen at the beginning that the bytes are not such an image.
    pub fn open(encoding: Encoding, packed: &'a [u8], simd: Simd) -> Result<Unpacker<'a>, UnpackError> {
        let (size, found) = (encoding.pixel.size(), packed.len());
        let expected = encoding.shape.pixels() * size;
        match encoding.codec {
            Codec::Raw if found == expected => Ok(Unpacker::Raw(packed)),
            Codec::Raw => Err(UnpackError::Size { encoding, found, expected }),
            Codec::ByteOffset => Ok(Unpacker::ByteOffset(Decoder::with_simd(packed, simd))),
            Codec::Filtered(filter) => {
                let decoder = BlockDecoder::with_simd(filter, size, packed, expected, simd)?;
                Ok(Unpacker::Blocks(Box::new(decoder)))
            }
        }
    }

    /// Fills `pixels` with the next ones.
    ///
    /// # Errors
    /// When the bytes of one of them are missing or damaged.
    ///
    /// # Panics
    /// When more are asked for than the image has, or others than its encoding says; those of [`Codec::ByteOffset`] are an error then.
    pub fn next<T: Pixel>(&mut self, pixels: &mut [T]) -> Result<(), UnpackError> {
        match self {
            Unpacker::Raw(bytes) => {
                let (now, later) = bytes.split_at(size_of_val(pixels));
                bytes_of_mut(pixels).copy_from_slice(now);
                *bytes = later;
            }
            Unpacker::ByteOffset(decoder) => decoder.next(pixels)?,
            Unpacker::Blocks(decoder) => decoder.next(bytes_of_mut(pixels))?,
        }
        Ok(())
    }

    /// Says that the image ends here.
    ///
    /// # Errors
    /// When bytes are left.
    pub fn finish(self) -> Result<(), UnpackError> {
        match self {
            Unpacker::Raw(_) => Ok(()),
            Unpacker::ByteOffset(decoder) => Ok(decoder.finish()?),
            Unpacker::Blocks(decoder) => Ok(decoder.finish()?),
        }
    }
}

/// Unpacks a whole image.
///
/// # Errors
/// When `packed` is not an image of that encoding.
///
/// # Panics
/// When `pixels` are not as many as the encoding says, or of another type.
pub fn decode<T: Pixel>(encoding: Encoding, packed: &[u8], pixels: &mut [T]) -> Result<(), UnpackError> {
    assert_eq!((encoding.pixel, encoding.shape.pixels()), (T::TYPE, pixels.len()));
    let mut unpacker = Unpacker::open(encoding, packed, Simd::best())?;
    unpacker.next(pixels)?;
    unpacker.finish()
}
