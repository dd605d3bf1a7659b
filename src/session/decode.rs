//! Frames as plain pixels: decoded a batch at a time, on the cores or on a GPU, and verified on the way.

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::device::Device;
use super::error::{Concern, OrAbout, SessionError};
use crate::budget;
use crate::codec::pixel::bytes_of;
use crate::codec::{byte_offset, md5};
use crate::cuda::decoder::{CudaDecoder, Decoded};
use crate::cuda::pinned;
use crate::frame::{BadFrame, Codec, Encoding, Frame, FrameId, Shape, SlotPool, Slots};
use crate::source::{Frames, Next, Reader, Source, Ticket};
use crate::with_pixel;

/// Frames that each thread reads, verifies side by side and decodes before they are handed on.
const FRAMES_A_THREAD: usize = 4;

/// Verifies and decodes the frames of a scan a batch at a time.
pub struct StackDecoder {
    source: Box<dyn Source>,
    /// A reader for each thread.
    readers: Vec<Mutex<Box<dyn Reader>>>,
    encoding: Encoding,
    /// Frames whose bytes had the digest of their header.
    verified: usize,
    /// Frames that are read together, and slots for them.
    batch: usize,
    slots: SlotPool,
    /// A ticket that the last batch had no room for.
    left: Option<Ticket>,
    cuda: Option<CudaDecoder>,
}

impl StackDecoder {
    /// A decoder of such frames, where the device is.
    ///
    /// # Errors
    /// When there is no memory for a batch, or the device refuses.
    pub fn new(device: &Device, frames: &dyn Frames, verify: bool) -> Result<StackDecoder, SessionError> {
        let threads = rayon::current_num_threads();
        let (batch, encoding) = (FRAMES_A_THREAD * threads, frames.about().encoding);
        allow(batch, encoding)?;
        let cuda = match device {
            Device::Cpu { .. } => None,
            Device::Cuda { gpu, .. } => {
                let ordinal = gpu.ordinal().or_about(Concern::Device)?;
                Some(CudaDecoder::new(ordinal, encoding, batch).or_about(Concern::Device)?)
            }
        };
        let source = frames.source(frames.count(), verify);
        Ok(StackDecoder {
            readers: (0..threads).map(|_| Mutex::new(source.reader())).collect(),
            slots: slots(cuda.as_ref(), batch, encoding)?,
            source,
            encoding,
            verified: 0,
            batch,
            left: None,
            cuda,
        })
    }

    /// Frames so far whose bytes had the digest of their header.
    pub fn verified(&self) -> usize {
        self.verified
    }

    /// The next batch, in order: pixels of each frame as little-endian bytes, or why there are none. Empty after the last frame.
    ///
    /// # Errors
    /// When the source breaks, or the device fails.
    pub fn next(&mut self) -> Result<Vec<(FrameId, Decoded)>, SessionError> {
        let mut outcomes = Vec::new();
        let tickets = self.tickets(&mut outcomes)?;
        let mut good = Vec::new();
        for frame in self.read(tickets) {
            match frame {
                Ok(frame) => good.push(frame),
                Err(bad) => outcomes.push((bad.id, Err(bad))),
            }
        }
        let ids: Vec<_> = good.iter().map(|frame| (frame.id, frame.header.digest.is_some())).collect();
        let decoded: Vec<Decoded> = match &mut self.cuda {
            None => good.into_par_iter().map(|frame| decode_on_host(&frame)).collect(),
            Some(cuda) => cuda.decode(good).or_about(Concern::Device)?,
        };
        for ((id, has_digest), decoded) in ids.into_iter().zip(decoded) {
            self.verified += usize::from(has_digest && decoded.is_ok());
            outcomes.push((id, decoded));
        }
        outcomes.sort_by_key(|(id, _)| *id);
        Ok(outcomes)
    }

    /// Tickets for a batch; frames that are bad already become outcomes.
    fn tickets(&mut self, outcomes: &mut Vec<(FrameId, Decoded)>) -> Result<Vec<Ticket>, SessionError> {
        let (mut tickets, mut frames) = (Vec::new(), 0);
        while frames + outcomes.len() < self.batch {
            let ticket = match self.left.take() {
                Some(ticket) => ticket,
                None => match self.source.next(&self.slots).or_about(Concern::Input)? {
                    Next::Read(ticket) => ticket,
                    Next::Bad(bad) => {
                        outcomes.push((bad.id, Err(bad)));
                        continue;
                    }
                    Next::Quiet => continue,
                    Next::End => break,
                },
            };
            if frames > 0 && frames + ticket.ids.len() > self.batch {
                self.left = Some(ticket);
                break;
            }
            frames += ticket.ids.len();
            tickets.push(ticket);
        }
        if frames > self.batch {
            // One ticket of so many frames: they come together.
            allow(frames, self.encoding)?;
            self.slots = slots(self.cuda.as_ref(), frames, self.encoding)?;
            self.batch = frames;
        }
        Ok(tickets)
    }

    /// Frames, packed, and as they were written where their headers tell.
    fn read(&self, tickets: Vec<Ticket>) -> Vec<Result<Frame, BadFrame>> {
        let (readers, slots) = (&self.readers, &self.slots);
        let read = |tickets: Vec<Ticket>| {
            let mut frames = Vec::with_capacity(tickets.len());
            let reader = &readers[rayon::current_thread_index().unwrap_or(0) % readers.len()];
            let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            for ticket in tickets {
                reader.read(ticket, &mut Slots::of(slots), &mut |frame| frames.push(frame));
            }
            verified(frames)
        };
        tickets.into_par_iter().chunks(FRAMES_A_THREAD).flat_map_iter(read).collect()
    }
}

/// Sees that there is memory for so many frames, packed, in slots and as pixels.
fn allow(
    frames: usize,
    Encoding { shape: Shape { slow, fast }, pixel, .. }: Encoding,
) -> Result<(), SessionError> {
    budget::allow(
        format_args!("{frames} frames of {slow} x {fast} pixels at a time"),
        budget::bytes_of(&[frames, slow, fast], 3 * pixel.size()),
    )
    .or_about(Concern::Input)
}

/// Slots for so many frames; they grow to the frames' size when those are read.
fn slots(cuda: Option<&CudaDecoder>, frames: usize, encoding: Encoding) -> Result<SlotPool, SessionError> {
    match cuda {
        None => Ok(SlotPool::on_host(frames, 0)),
        Some(decoder) => {
            pinned::slots(decoder.context(), frames, encoding.shape.pixels()).or_about(Concern::Device)
        }
    }
}

/// The same, with frames that are not as they were written made bad ones.
fn verified(read: Vec<Result<Frame, BadFrame>>) -> Vec<Result<Frame, BadFrame>> {
    let mut damage = md5::damage(&read.iter().flatten().collect::<Vec<_>>()).into_iter();
    read.into_iter()
        .map(|frame| {
            let frame = frame?;
            damage.next().flatten().map_or(Ok(frame), Err)
        })
        .collect()
}

fn decode_on_host(frame: &Frame) -> Decoded {
    if frame.encoding.codec == Codec::Raw {
        return Ok(frame.bytes().to_vec());
    }
    with_pixel!(frame.encoding.pixel, T => {
        let mut pixels = vec![T::default(); frame.encoding.shape.pixels()];
        byte_offset::decode(frame.bytes(), &mut pixels)
            .map(|()| bytes_of(&pixels).to_vec())
            .map_err(|error| error.bad_frame(frame.id, &frame.origin, frame.encoding.shape))
    })
}
