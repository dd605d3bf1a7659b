//! Slots in page-locked host memory: what readers fill and the device fetches by itself, at the link's full rate.

use std::any::Any;
use std::io;
use std::sync::Arc;

use super::driver::{Context, PinnedBuffer};
use super::error::CudaError;
use crate::frame::{SlotMemory, SlotPool};

/// A slot's memory, pinned.
#[derive(Debug)]
pub struct PinnedSlot(PinnedBuffer);

impl SlotMemory for PinnedSlot {
    fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.bytes_mut()
    }

    fn grow(&mut self, len: usize) -> io::Result<()> {
        if len > self.0.bytes().len() {
            let context = Arc::clone(self.0.context());
            self.0 = PinnedBuffer::take(&context, len)
                .map_err(|e| io::Error::new(io::ErrorKind::OutOfMemory, e.to_string()))?;
        }
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A pool of `count` pinned slots of `len` bytes.
///
/// # Errors
/// When the host cannot lock so much memory.
pub fn slots(context: &Arc<Context>, count: usize, len: usize) -> Result<SlotPool, CudaError> {
    let buffers: Result<Vec<_>, CudaError> =
        (0..count).map(|_| Ok(Box::new(PinnedSlot(PinnedBuffer::take(context, len)?)) as _)).collect();
    buffers.map(SlotPool::new)
}
