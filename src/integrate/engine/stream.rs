//! One frame on its way through the engine: pixels come out of it tile by tile, or a reason why they do not.
//!
//! A lane hides how the frame is packed. The first thing that goes wrong is kept and ends the lane; the lanes beside it do
//! not notice.

use crate::codec::Pixel;
use crate::codec::byte_offset::{DecodeError, Decoder, Simd};
use crate::frame::{BadFrame, Codec, Frame, FrameStatus, PixelType, Shape};

/// A frame that is being integrated.
pub(super) struct PixelStream<'a> {
    frame: &'a Frame,
    state: Result<Stream<'a>, BadFrame>,
}

/// Where the next pixels come from.
enum Stream<'a> {
    Packed(Decoder<'a>),
    /// What has not been taken yet.
    Raw(&'a [u8]),
}

impl<'a> PixelStream<'a> {
    /// Begins with the frame's first pixel.
    pub(super) fn open(frame: &'a Frame, shape: Shape, pixel: PixelType, simd: Simd) -> PixelStream<'a> {
        PixelStream {
            frame,
            state: open(frame, shape, pixel, simd).map_err(|(status, cause)| bad(frame, status, &cause)),
        }
    }

    /// Fills `pixels` with the frame's next ones; false when the frame is bad.
    pub(super) fn next<T: Pixel>(&mut self, pixels: &mut [T]) -> bool {
        let next = match &mut self.state {
            Err(_) => return false,
            Ok(Stream::Packed(decoder)) => decoder.next(pixels),
            Ok(Stream::Raw(bytes)) => {
                let (now, later) = bytes.split_at(size_of_val(pixels));
                *bytes = later;
                take(now, pixels);
                Ok(())
            }
        };
        if let Err(error) = next {
            self.state = Err(not_decoded(self.frame, &error));
        }
        self.state.is_ok()
    }

    /// Whether something went wrong.
    pub(super) fn is_bad(&self) -> bool {
        self.state.is_err()
    }

    /// Ends after the frame's last pixel.
    ///
    /// # Errors
    /// What went wrong first; bytes that are left over count too.
    pub(super) fn close(self) -> Result<&'a Frame, BadFrame> {
        match self.state? {
            Stream::Packed(decoder) => {
                decoder.finish().map_err(|error| not_decoded(self.frame, &error))?;
            }
            Stream::Raw(_) => {}
        }
        Ok(self.frame)
    }
}

fn open(
    frame: &Frame,
    shape: Shape,
    pixel: PixelType,
    simd: Simd,
) -> Result<Stream<'_>, (FrameStatus, String)> {
    let (encoding, bytes) = (frame.encoding, frame.bytes());
    if encoding.shape != shape || encoding.pixel != pixel {
        let cause = format!(
            "it is {} {}, the first frame was {shape} {}",
            encoding.shape,
            encoding.pixel.name(),
            pixel.name()
        );
        return Err((FrameStatus::OtherShape, cause));
    }
    match encoding.codec {
        Codec::ByteOffset => Ok(Stream::Packed(Decoder::with_simd(bytes, simd))),
        Codec::Raw => {
            let (expected, found) = (shape.pixels() * pixel.size(), bytes.len());
            let status = match found.cmp(&expected) {
                std::cmp::Ordering::Equal => return Ok(Stream::Raw(bytes)),
                std::cmp::Ordering::Less => FrameStatus::Truncated,
                std::cmp::Ordering::Greater => FrameStatus::Overlong,
            };
            Err((status, format!("{found} bytes, but {shape} {} are {expected}", pixel.name())))
        }
    }
}

/// Little-endian bytes as pixels.
fn take<T: Pixel>(bytes: &[u8], pixels: &mut [T]) {
    for (pixel, bytes) in pixels.iter_mut().zip(bytes.chunks_exact(size_of::<T>())) {
        let mut wide = [0; 8];
        wide[..size_of::<T>()].copy_from_slice(bytes);
        *pixel = T::from_i64(i64::from_le_bytes(wide));
    }
}

fn not_decoded(frame: &Frame, error: &DecodeError) -> BadFrame {
    error.bad_frame(frame.id, &frame.origin, frame.encoding.shape)
}

fn bad(frame: &Frame, status: FrameStatus, cause: &str) -> BadFrame {
    BadFrame { id: frame.id, status, message: format!("{}: {cause}", frame.origin) }
}
