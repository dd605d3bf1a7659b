//! One frame on its way through the engine: pixels come out of it tile by tile, or a reason why they do not.
//!
//! A lane hides how the frame is packed. The first thing that goes wrong is kept and ends the lane; the lanes beside it do
//! not notice.

use crate::codec::simd::Simd;
use crate::codec::{Pixel, UnpackError, Unpacker};
use crate::frame::{BadFrame, Frame, FrameStatus, PixelType, Shape};

/// A frame that is being integrated.
pub(super) struct PixelStream<'a> {
    frame: &'a Frame,
    state: Result<Unpacker<'a>, BadFrame>,
}

impl<'a> PixelStream<'a> {
    /// Begins with the frame's first pixel.
    pub(super) fn open(frame: &'a Frame, shape: Shape, pixel: PixelType, simd: Simd) -> PixelStream<'a> {
        PixelStream { frame, state: open(frame, shape, pixel, simd) }
    }

    /// Fills `pixels` with the frame's next ones; false when the frame is bad.
    pub(super) fn next<T: Pixel>(&mut self, pixels: &mut [T]) -> bool {
        let next = match &mut self.state {
            Err(_) => return false,
            Ok(unpacker) => unpacker.next(pixels),
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
        self.state?.finish().map_err(|error| not_decoded(self.frame, &error))?;
        Ok(self.frame)
    }
}

fn open(frame: &Frame, shape: Shape, pixel: PixelType, simd: Simd) -> Result<Unpacker<'_>, BadFrame> {
    let encoding = frame.encoding;
    if encoding.shape != shape || encoding.pixel != pixel {
        let message = format!(
            "{}: it is {} {}, the first frame was {shape} {}",
            frame.origin,
            encoding.shape,
            encoding.pixel.name(),
            pixel.name()
        );
        return Err(BadFrame { id: frame.id, status: FrameStatus::OtherShape, message });
    }
    Unpacker::open(encoding, frame.bytes(), simd).map_err(|error| not_decoded(frame, &error))
}

fn not_decoded(frame: &Frame, error: &UnpackError) -> BadFrame {
    error.bad_frame(frame.id, &frame.origin, frame.encoding)
}
