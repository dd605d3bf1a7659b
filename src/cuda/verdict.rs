//! What the device says of a frame, in words: which frames cannot be good, and what became of those that were decoded.

use super::engine::CudaEngine;
use super::params::{XRDCT_LONGEST_CODE, XRDCT_OVERLONG, XRDCT_TRUNCATED, XrdctVerdict};
use crate::frame::{BadFrame, Codec, Frame, FrameId, FrameStatus, Origin};

/// A frame that cannot be good whatever its bytes are; it is not uploaded.
pub(super) fn refuse(engine: &CudaEngine, frame: &Frame) -> Option<BadFrame> {
    let encoding = frame.encoding;
    let (pixels, len) = (engine.shape.pixels(), frame.payload.len());
    let bad = |status, cause: String| {
        let message = format!("{}: {cause}", frame.origin);
        Some(BadFrame { id: frame.id, status, message })
    };
    if encoding.shape != engine.shape || encoding.pixel != engine.pixel {
        let cause = format!(
            "it is {} {}, the first frame was {} {}",
            encoding.shape,
            encoding.pixel.name(),
            engine.shape,
            engine.pixel.name()
        );
        return bad(FrameStatus::OtherShape, cause);
    }
    let (least, most) = match encoding.codec {
        Codec::ByteOffset => (pixels, pixels * XRDCT_LONGEST_CODE as usize),
        Codec::Raw => (pixels * engine.pixel.size(), pixels * engine.pixel.size()),
        Codec::Filtered(_) => {
            let cause = format!("there are no kernels for {}: readers must decode it", encoding.codec.name());
            return bad(FrameStatus::Unreadable, cause);
        }
    };
    let status = match len {
        _ if len < least => FrameStatus::Truncated,
        _ if len > most => FrameStatus::Overlong,
        _ => return None,
    };
    bad(status, format!("{len} bytes cannot be {} pixels: the data are damaged", engine.shape))
}

/// What the decoder found wrong with a frame; `None` when it is good.
pub(super) fn bad_frame(
    engine: &CudaEngine,
    verdict: &XrdctVerdict,
    id: FrameId,
    origin: &Origin,
) -> Option<BadFrame> {
    let shape = engine.shape;
    let (status, cause) = match verdict.status {
        XRDCT_TRUNCATED => {
            let pixel = verdict.codes as usize;
            let (row, column) = (pixel / shape.fast.max(1), pixel % shape.fast.max(1));
            let cause =
                format!("row {row}, column {column} of {shape} pixels: the compressed bytes end before it");
            (FrameStatus::Truncated, cause)
        }
        XRDCT_OVERLONG => {
            let cause = format!("compressed bytes are left after the last of {shape} pixels");
            (FrameStatus::Overlong, cause)
        }
        _ => return None,
    };
    Some(BadFrame { id, status, message: format!("{origin}: {cause}: the data are damaged") })
}
