//! Decoding alone, back to the host: for checking the device's decoder against everybody else's.

use std::sync::Arc;

use super::driver::Context;
use super::engine::CudaEngine;
use super::error::CudaError;
use super::lane::Lane;
use super::verdict;
use crate::frame::{BadFrame, Encoding, Frame, FrameId, Origin};

/// A frame's pixels as little-endian bytes, or why there are none.
pub type Decoded = Result<Vec<u8>, BadFrame>;

/// Decodes batches of frames on a GPU and brings their pixels back.
#[derive(Debug)]
pub struct CudaDecoder {
    lane: Lane,
    engine: Arc<CudaEngine>,
}

impl CudaDecoder {
    /// A decoder for frames of one kind on GPU `ordinal`, up to `batch` at a time.
    ///
    /// # Errors
    /// When there is no such GPU, no kernels for it, or not enough memory.
    pub fn new(ordinal: usize, encoding: Encoding, batch: usize) -> Result<CudaDecoder, CudaError> {
        let engine = Arc::new(CudaEngine::decoding(ordinal, encoding)?);
        let lane = Lane::new(&engine, batch)?;
        Ok(CudaDecoder { lane, engine })
    }

    /// The context that slots for its frames are taken in.
    pub fn context(&self) -> &Arc<Context> {
        self.engine.context()
    }

    /// Decodes frames; for each, in their order, its pixels as little-endian bytes, or why there are none. Blocks.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn decode(&mut self, frames: Vec<Frame>) -> Result<Vec<Decoded>, CudaError> {
        let mut outcomes = Vec::with_capacity(frames.len());
        let mut gathered = Vec::new();
        for frame in frames {
            if let Some(bad) = verdict::refuse(&self.engine, &frame) {
                outcomes.push((frame.id, Err(bad)));
                continue;
            }
            if !self.lane.has_room(frame.encoding.codec, frame.payload.len()) {
                self.bring_back(&mut gathered, &mut outcomes)?;
            }
            gathered.push((frame.id, frame.origin.clone()));
            self.lane.enqueue_upload(frame.encoding.codec, frame.slot, frame.payload)?;
        }
        self.bring_back(&mut gathered, &mut outcomes)?;
        outcomes.sort_by_key(|(id, _)| *id);
        Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
    }

    fn bring_back(
        &mut self,
        gathered: &mut Vec<(FrameId, Origin)>,
        outcomes: &mut Vec<(FrameId, Decoded)>,
    ) -> Result<(), CudaError> {
        if gathered.is_empty() {
            return Ok(());
        }
        let size = self.engine.shape.pixels() * self.engine.pixel.size();
        let (verdicts, bytes) = self.lane.wait_for_pixels()?;
        for (((id, origin), verdict), pixels) in
            gathered.drain(..).zip(&verdicts).zip(bytes.chunks_exact(size))
        {
            let bad = verdict::bad_frame(&self.engine, verdict, id, &origin);
            outcomes.push((id, bad.map_or_else(|| Ok(pixels.to_vec()), Err)));
        }
        Ok(())
    }
}
