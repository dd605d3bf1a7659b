//! Frames as plain pixels: decoded a batch at a time, on the cores or on a GPU, and verified on the way.
//!
//! Pixels are whole numbers and the same wherever they are decoded. So a GPU that nobody asked for by name, and that cannot be used or
//! fails, is no error: the cores decode the frames that it had, and those that follow.

use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::device::Device;
use super::error::{Concern, OrAbout, SessionError};
use crate::budget;
use crate::codec::pixel::bytes_of;
use crate::codec::{self, md5};
use crate::cuda::decoder::{CudaDecoder, Decoded};
use crate::cuda::device::OpeningGpus;
use crate::cuda::driver::Context;
use crate::cuda::{self, CudaError, pinned};
use crate::frame::{BadFrame, Encoding, Frame, FrameId, Shape, SlotPool, Slots};
use crate::source::select::{Select, WantedIds};
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
    gpu: Option<OnGpu>,
    notes: Vec<String>,
}

/// A GPU that decodes.
struct OnGpu {
    decode: DecodeBatch,
    /// Where slots are pinned for it; none in tests.
    context: Option<Arc<Context>>,
    /// Whether the user named it: then nothing else will do.
    asked: bool,
}

/// Decodes frames; for each, in their order, its pixels.
type DecodeBatch = Box<dyn FnMut(Vec<Frame>) -> Result<Vec<Decoded>, CudaError>>;

impl OnGpu {
    fn open(gpus: &OpeningGpus, encoding: Encoding, batch: usize, asked: bool) -> Result<OnGpu, CudaError> {
        let mut decoder = CudaDecoder::new(gpus.first()?.ordinal(), encoding, batch)?;
        let context = Some(Arc::clone(decoder.context()));
        Ok(OnGpu { decode: Box::new(move |frames| decoder.decode(frames)), context, asked })
    }
}

impl StackDecoder {
    /// A decoder of such frames, but for those that are done (`true` at the number of one), where the device is.
    ///
    /// # Errors
    /// When there is no memory for a batch, or the device refuses.
    pub fn new(
        device: &Device,
        frames: &dyn Frames,
        verify: bool,
        done: Vec<bool>,
    ) -> Result<StackDecoder, SessionError> {
        let threads = rayon::current_num_threads();
        let (batch, encoding) = (FRAMES_A_THREAD * threads, frames.about().encoding);
        allow(batch, encoding)?;
        let mut notes = Vec::new();
        let gpu = match device {
            Device::Cpu { .. } => None,
            Device::Cuda { .. } if !cuda::decodes(encoding.codec) => {
                notes.push(format!("the GPU does not decode {}: the CPU does", encoding.codec.name()));
                None
            }
            Device::Cuda { gpus, asked, .. } => match OnGpu::open(gpus, encoding, batch, *asked) {
                Err(reason) if !asked => {
                    notes.push(format!("the GPU cannot be used: {reason}; decoding on the CPU"));
                    None
                }
                opened => Some(opened.or_about(Concern::Device)?),
            },
        };
        let mut source = frames.source(frames.count(), verify);
        if done.contains(&true) {
            source = Box::new(Select::new(source, WantedIds::all_but(done)));
        }
        Ok(StackDecoder {
            readers: (0..threads).map(|_| Mutex::new(source.reader())).collect(),
            slots: slots(gpu.as_ref(), batch, encoding)?,
            source,
            encoding,
            verified: 0,
            batch,
            left: None,
            gpu,
            notes,
        })
    }

    /// What is not as it was wanted, since this was asked last.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Frames so far whose bytes had the digest of their header.
    pub fn verified(&self) -> usize {
        self.verified
    }

    /// The next batch, in order: pixels of each frame as little-endian bytes, or why there are none. Empty after the last frame.
    ///
    /// # Errors
    /// When the source breaks, or the device that was asked for fails.
    pub fn next_batch(&mut self) -> Result<Vec<(FrameId, Decoded)>, SessionError> {
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
        let decoded = self.decoded(good)?;
        for ((id, has_digest), decoded) in ids.into_iter().zip(decoded) {
            self.verified += usize::from(has_digest && decoded.is_ok());
            outcomes.push((id, decoded));
        }
        outcomes.sort_by_key(|(id, _)| *id);
        Ok(outcomes)
    }

    /// Decodes frames; where a device that nobody named fails, the cores do.
    fn decoded(&mut self, frames: Vec<Frame>) -> Result<Vec<Decoded>, SessionError> {
        if let Some(gpu) = &mut self.gpu {
            match (gpu.decode)(frames.clone()) {
                Err(reason) if !gpu.asked => {
                    let from = frames
                        .first()
                        .map_or_else(String::new, |frame| format!(" from frame {}", frame.id.0));
                    self.notes.push(format!("{reason}; the CPU goes on{from}"));
                    self.gpu = None;
                    // It may still fetch from slots that it had.
                    self.slots = slots(None, self.batch, self.encoding)?;
                }
                decoded => return decoded.or_about(Concern::Device),
            }
        }
        Ok(frames.into_par_iter().map(|frame| decode_on_host(&frame)).collect())
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
            self.slots = slots(self.gpu.as_ref(), frames, self.encoding)?;
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
fn slots(gpu: Option<&OnGpu>, frames: usize, encoding: Encoding) -> Result<SlotPool, SessionError> {
    match gpu.and_then(|gpu| gpu.context.as_ref()) {
        None => Ok(SlotPool::on_host(frames, 0)),
        Some(context) => pinned::slots(context, frames, encoding.shape.pixels()).or_about(Concern::Device),
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
    with_pixel!(frame.encoding.pixel, T => {
        let mut pixels = vec![T::default(); frame.encoding.shape.pixels()];
        codec::decode(frame.encoding, frame.bytes(), &mut pixels)
            .map(|()| bytes_of(&pixels).to_vec())
            .map_err(|error| error.bad_frame(frame.id, &frame.origin, frame.encoding))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::PixelType;
    use crate::source::memory::MemoryFrames;

    const SHAPE: Shape = Shape { slow: 2, fast: 3 };

    fn images(count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|image| (0..6).map(|pixel| (7 * image + pixel) as u8).collect()).collect()
    }

    /// A decoder with a device in which the second batch fails, after it had its frames.
    fn failing(batches: usize, asked: bool) -> (StackDecoder, Vec<Vec<u8>>) {
        let cpu = Device::Cpu { why: "a test".into() };
        let images = images(batches * FRAMES_A_THREAD * rayon::current_num_threads());
        let frames = MemoryFrames::new(SHAPE, PixelType::U8, images.clone());
        let mut decoder = StackDecoder::new(&cpu, &frames, true, Vec::new()).expect("a decoder");
        let mut batches = 0;
        let decode: DecodeBatch = Box::new(move |frames| {
            batches += 1;
            match batches {
                1 => Ok(frames.iter().map(decode_on_host).collect()),
                2 => Err(CudaError::GivenUp),
                _ => panic!("a device that failed is asked again"),
            }
        });
        decoder.gpu = Some(OnGpu { decode, context: None, asked });
        (decoder, images)
    }

    #[test]
    fn the_cores_go_on_where_a_device_that_nobody_named_fails() {
        let (mut decoder, images) = failing(3, false);
        let (mut decoded, mut notes) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            decoded.extend(decoder.next_batch().expect("somebody decodes"));
            notes.extend(decoder.take_notes());
        }
        assert!(decoder.next_batch().expect("the end").is_empty());
        assert_eq!(decoded.len(), images.len());
        for (number, ((id, pixels), image)) in decoded.into_iter().zip(images).enumerate() {
            assert_eq!((id, pixels), (FrameId(number), Ok(image)));
        }
        let second = FRAMES_A_THREAD * rayon::current_num_threads();
        let said = format!("{}; the CPU goes on from frame {second}", CudaError::GivenUp);
        assert_eq!(notes, [said]);
    }

    #[test]
    fn a_device_that_was_named_and_fails_is_an_error() {
        let (mut decoder, _) = failing(2, true);
        decoder.next_batch().expect("the first batch is good");
        let error = decoder.next_batch().expect_err("nothing else will do");
        assert_eq!((error.about, error.to_string()), (Concern::Device, CudaError::GivenUp.to_string()));
    }
}
