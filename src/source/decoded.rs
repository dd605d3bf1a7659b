//! A reader that decodes: frames leave it as plain pixels.
//!
//! This is where the paper's strategies differ. Its pools of readers decompress on the host, so that decompressed frames
//! cross to the GPU (its Table 1, "pool of n"); the third strategy sends them compressed. Here the first kind is a reader
//! wrapped in [`Decoding`], the second the reader alone.

use super::{Reader, Ticket};
use crate::codec::pixel::pixels_in;
use crate::codec::{byte_offset, md5};
use crate::frame::{BadFrame, Codec, Encoding, Frame, FrameStatus, Slot, SlotPool};
use crate::{trace, with_pixel};

/// Decodes what another reader reads.
pub struct Decoding<R> {
    inner: R,
    /// One slot of its own, for the packed bytes.
    packed: SlotPool,
}

impl<R: Reader> Decoding<R> {
    /// A reader that decodes what `inner` reads.
    pub fn new(inner: R) -> Decoding<R> {
        Decoding { inner, packed: SlotPool::on_host(1, 0) }
    }
}

impl<R: Reader> Reader for Decoding<R> {
    fn read(&mut self, ticket: &Ticket, mut slot: Slot) -> Result<Frame, BadFrame> {
        let packed = self.inner.read(ticket, self.packed.take())?;
        if let Some(bad) = md5::damage_of(&packed) {
            return Err(bad);
        }
        let encoding = packed.encoding;
        let bytes = encoding.shape.pixels() * encoding.pixel.size();
        let memory = slot.memory_mut();
        // Room to begin at a multiple of the pixel's size.
        memory.grow(bytes + encoding.pixel.size()).map_err(|cause| BadFrame {
            id: ticket.id,
            status: FrameStatus::Unreadable,
            message: format!("{}: no memory for {bytes} bytes of pixels: {cause}", ticket.path.display()),
        })?;
        let range = trace::decode(1);
        let start = match encoding.codec {
            Codec::Raw => {
                memory.bytes_mut()[..bytes].copy_from_slice(packed.bytes());
                0
            }
            Codec::ByteOffset => with_pixel!(encoding.pixel, T => {
                let (start, pixels) = pixels_in::<T>(memory.bytes_mut());
                byte_offset::decode(packed.bytes(), &mut pixels[..encoding.shape.pixels()])
                    .map_err(|error| error.bad_frame(ticket.id, &ticket.path, encoding.shape))?;
                start
            }),
        };
        drop(range);
        Ok(Frame {
            id: packed.id,
            origin: packed.origin.clone(),
            encoding: Encoding { codec: Codec::Raw, ..encoding },
            slot,
            payload: start..start + bytes,
            // Still with the digest: its bytes were verified here.
            header: packed.header.clone(),
        })
    }
}
