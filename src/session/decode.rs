//! Frames as plain pixels: files decoded a batch at a time, on the cores or on a GPU, and verified on the way.

use std::path::PathBuf;

use rayon::prelude::*;

use super::device::Device;
use super::error::{Concern, OrAbout, SessionError};
use crate::budget;
use crate::codec::pixel::bytes_of;
use crate::codec::{self, md5};
use crate::cuda::decoder::{CudaDecoder, Decoded};
use crate::cuda::{self, pinned};
use crate::frame::{BadFrame, Encoding, Frame, FrameId, Shape, SlotPool};
use crate::source::cbf::CbfReader;
use crate::with_pixel;

/// Frames that each thread reads, verifies side by side and decodes before they are handed on.
const FRAMES_A_THREAD: usize = 4;

/// Verifies and decodes files a batch at a time.
pub struct StackDecoder {
    encoding: Encoding,
    verify: bool,
    /// Frames whose bytes had the digest of their header.
    verified: usize,
    batch: usize,
    slots: SlotPool,
    cuda: Option<CudaDecoder>,
}

impl StackDecoder {
    /// A decoder of such frames, where the device is.
    ///
    /// # Errors
    /// When there is no memory for a batch, or the device refuses.
    pub fn new(device: &Device, encoding: Encoding, verify: bool) -> Result<StackDecoder, SessionError> {
        let batch = FRAMES_A_THREAD * rayon::current_num_threads();
        let Shape { slow, fast } = encoding.shape;
        budget::allow(
            format_args!("{batch} frames of {slow} x {fast} pixels at a time"),
            budget::bytes_of(&[batch, slow, fast], 3 * encoding.pixel.size()),
        )
        .or_about(Concern::Input)?;
        let (cuda, slots) = match device {
            Device::Cuda { gpu, .. } if cuda::decodes(encoding.codec) => {
                let decoder = CudaDecoder::new(gpu.ordinal(), encoding, batch).or_about(Concern::Device)?;
                // Grown to the frames' size when they are read.
                let slots = pinned::slots(decoder.context(), batch, encoding.shape.pixels())
                    .or_about(Concern::Device)?;
                (Some(decoder), slots)
            }
            Device::Cpu { .. } | Device::Cuda { .. } => (None, SlotPool::on_host(batch, 0)),
        };
        Ok(StackDecoder { encoding, verify, verified: 0, batch, slots, cuda })
    }

    /// Files of a batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Frames so far whose bytes had the digest of their header.
    pub fn verified(&self) -> usize {
        self.verified
    }

    /// Pixels of each file as little-endian bytes; the first file is frame `first`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn decode(&mut self, first: usize, files: &[PathBuf]) -> Result<Vec<Decoded>, SessionError> {
        let (mut good, mut outcomes) = (Vec::new(), Vec::new());
        for (id, frame) in (first..).map(FrameId).zip(self.read(first, files)) {
            match frame {
                Ok(frame) => good.push(frame),
                Err(bad) => outcomes.push((id, Err(bad))),
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
        Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
    }

    /// Each file's frame, packed, and as it was written where its header tells.
    fn read(&self, first: usize, files: &[PathBuf]) -> Vec<Result<Frame, BadFrame>> {
        let (encoding, verify, slots) = (self.encoding, self.verify, &self.slots);
        let read = |(number, path): (usize, &PathBuf)| {
            CbfReader::new(Some(encoding), verify).read_file(
                FrameId(first + number),
                &path.as_path().into(),
                slots.take(),
            )
        };
        files.par_iter().enumerate().map(read).chunks(FRAMES_A_THREAD).flat_map_iter(verified).collect()
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
