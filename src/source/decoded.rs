//! A reader that decodes: frames leave it as plain pixels.
//!
//! This is where the paper's strategies differ. Its pools of readers decompress on the host, so that decompressed frames
//! cross to the GPU (its Table 1, "pool of n"); the third strategy sends them compressed. Here the first kind is a reader
//! wrapped in [`Decoding`], the second the reader alone.

use std::sync::Arc;

use super::{Reader, Ticket};
use crate::codec::pixel::pixels_in;
use crate::codec::{self, md5};
use crate::frame::{BadFrame, Codec, Encoding, Frame, FrameStatus, Slot, SlotPool, Slots};
use crate::{trace, with_pixel};

/// Decodes what another reader reads.
pub struct Decoding {
    inner: Box<dyn Reader>,
    /// One slot of its own, for the packed bytes.
    packed: SlotPool,
}

impl Decoding {
    /// A reader that decodes what `inner` reads.
    pub fn new(inner: Box<dyn Reader>) -> Decoding {
        Decoding { inner, packed: SlotPool::on_host(1, 0) }
    }
}

impl Reader for Decoding {
    fn read(&mut self, ticket: Ticket, slots: &mut Slots<'_>, out: &mut dyn FnMut(Result<Frame, BadFrame>)) {
        // Each frame is decoded and its packed bytes gone before the next slot is taken: one is enough.
        let mut packed = Slots::of(&self.packed);
        self.inner.read(ticket, &mut packed, &mut |frame| {
            out(frame.and_then(|frame| decode(&frame, slots.take())))
        });
    }
}

/// The frame's pixels, in a slot of their own.
fn decode(packed: &Frame, mut slot: Slot) -> Result<Frame, BadFrame> {
    if let Some(bad) = md5::damage_of(packed) {
        return Err(bad);
    }
    let encoding = packed.encoding;
    let bytes = encoding.shape.pixels() * encoding.pixel.size();
    let memory = slot.memory_mut();
    // Room to begin at a multiple of the pixel's size.
    memory.grow(bytes + encoding.pixel.size()).map_err(|cause| BadFrame {
        id: packed.id,
        status: FrameStatus::Unreadable,
        message: format!("{}: no memory for {bytes} bytes of pixels: {cause}", packed.origin),
    })?;
    let range = trace::decode(1);
    let start = with_pixel!(encoding.pixel, T => {
        let (start, pixels) = pixels_in::<T>(memory.bytes_mut());
        codec::decode(encoding, packed.bytes(), &mut pixels[..encoding.shape.pixels()])
            .map_err(|error| error.bad_frame(packed.id, &packed.origin, encoding))?;
        start
    });
    drop(range);
    Ok(Frame {
        id: packed.id,
        origin: packed.origin.clone(),
        encoding: Encoding { codec: Codec::Raw, ..encoding },
        slot: Arc::new(slot),
        payload: start..start + bytes,
        // Still with the digest: its bytes were verified here.
        header: packed.header.clone(),
        factor: packed.factor,
    })
}
