//! Reduction on the host, in the thread that asks for it.
//!
//! Each worker thread has a [`HostReducer`] of its own over one shared [`Engine`]; together they are the pool. `submit` only
//! gathers, so a slot is held until its batch is integrated; `collect` (or `flush`) integrates what has been gathered and
//! sends the slots home before it gives the outcomes back. Nothing runs in the background and nothing can be lost.
//!
//! Frames whose header has a digest are verified before they are decoded, [`md5::LANES`] at a time, because that is how wide the digests
//! are quick; they are then integrated [`GROUP`] at a time.

use std::sync::Arc;
use std::time::Instant;

use super::{ReduceError, Reducer};
use crate::codec::md5;
use crate::frame::{BadFrame, Frame, FrameId, Outcome};
use crate::integrate::engine::{Engine, GROUP, Scratch};
use crate::trace;

/// Frames that fill the lanes of the digests, and a whole number of groups.
pub const BATCH: usize = md5::LANES.next_multiple_of(GROUP);

/// Verifies and integrates batches of frames in the calling thread.
pub struct HostReducer {
    engine: Arc<Engine>,
    scratch: Scratch,
    batch: usize,
    gathered: Vec<Frame>,
    done: Vec<Outcome>,
}

impl HostReducer {
    /// A reducer that takes [`BATCH`] frames at a time.
    pub fn new(engine: Arc<Engine>) -> HostReducer {
        HostReducer::with_batch(engine, BATCH)
    }

    /// A reducer that takes `batch` frames at a time (at least 1): fewer for less delay and fewer slots.
    pub fn with_batch(engine: Arc<Engine>, batch: usize) -> HostReducer {
        let batch = batch.max(1);
        let gathered = Vec::with_capacity(batch);
        HostReducer { engine, scratch: Scratch::default(), batch, gathered, done: Vec::new() }
    }
}

impl HostReducer {
    /// The frames whose bytes are as they were written; what became of the others is done.
    fn verified(&mut self, batch: Vec<Frame>) -> Vec<Frame> {
        if batch.iter().all(|frame| frame.header.digest.is_none()) {
            return batch;
        }
        let _range = trace::verify(batch.len());
        let damage = md5::damage(&batch);
        let keep = |(frame, damage): (Frame, Option<BadFrame>)| match damage {
            None => Some(frame),
            Some(bad) => {
                self.done.push(Err(bad));
                None
            }
        };
        batch.into_iter().zip(damage).filter_map(keep).collect()
    }
}

impl Reducer for HostReducer {
    fn capacity(&self) -> usize {
        self.batch
    }

    fn submit(&mut self, frame: Frame) -> Result<(), ReduceError> {
        self.gathered.push(frame);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ReduceError> {
        // Frames of a batch go home together as soon as it is done, before the next one begins.
        while !self.gathered.is_empty() {
            let count = self.gathered.len().min(self.batch);
            let batch: Vec<Frame> = self.gathered.drain(..count).collect();
            let batch = self.verified(batch);
            let count = batch.len();
            let range = trace::integrate(count);
            let begun = Instant::now();
            self.scratch.time_decoding(trace::is_followed());
            self.done.append(&mut self.engine.integrate(&batch, &mut self.scratch));
            if let Some(decoding) = self.scratch.decoding() {
                // They alternate tile by tile; a timeline shows how long each took, one after the other.
                let decoded = begun + decoding;
                trace::bar("decode", begun, decoded, count);
                trace::bar("integrate", decoded, Instant::now(), count);
            }
            drop(range);
        }
        Ok(())
    }

    fn is_ready(&self) -> Result<bool, ReduceError> {
        // The work is done in the calling thread: there is nothing to wait for.
        Ok(true)
    }

    fn collect(&mut self) -> Result<Vec<Outcome>, ReduceError> {
        if self.done.is_empty() {
            self.flush()?;
        }
        Ok(std::mem::take(&mut self.done))
    }

    fn abandon(&mut self) -> Vec<FrameId> {
        let done = self.done.drain(..).map(|done| done.map_or_else(|bad| bad.id, |pattern| pattern.id));
        done.chain(self.gathered.drain(..).map(|frame| frame.id)).collect()
    }
}
