//! Slots in page-locked host memory: what readers fill and the device fetches by itself, at the link's full rate.

use std::any::Any;
use std::io;
use std::sync::Arc;

use super::driver::{Context, PinnedBuffer};
use super::error::CudaError;
use crate::frame::{SlotMemory, SlotPool};

type Memory = Box<dyn SlotMemory>;

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
    take(context, count, len).map(SlotPool::new)
}

/// [`slots`], or half as many as often as the host cannot lock so much memory, but `least`; and how many there are.
///
/// A run goes on with few: a slot comes home as soon as its bytes are on the device. Readers then wait for each other.
///
/// # Errors
/// When the host cannot lock as much as `least` slots take.
pub fn slots_or_fewer(
    context: &Arc<Context>,
    count: usize,
    least: usize,
    len: usize,
) -> Result<(SlotPool, usize), CudaError> {
    fewer(count, least, |count| take(context, count, len)).map(|(slots, count)| (SlotPool::new(slots), count))
}

fn take(context: &Arc<Context>, count: usize, len: usize) -> Result<Vec<Memory>, CudaError> {
    (0..count).map(|_| Ok(Box::new(PinnedSlot(PinnedBuffer::take(context, len)?)) as Memory)).collect()
}

/// What `take` gives for the largest of `count`, its half and so on down to `least`, and that number.
fn fewer<T>(
    mut count: usize,
    least: usize,
    take: impl Fn(usize) -> Result<T, CudaError>,
) -> Result<(T, usize), CudaError> {
    loop {
        match take(count) {
            Err(CudaError::OutOfPinnedMemory { .. }) if count > least => count = (count / 2).max(least),
            taken => return taken.map(|taken| (taken, count)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_had_is_tried_smaller() {
        let host = |locks: usize| {
            move |count: usize| match count {
                _ if count <= locks => Ok(()),
                _ => Err(CudaError::OutOfPinnedMemory { asked: count }),
            }
        };
        assert_eq!(fewer(100, 3, host(100)), Ok(((), 100)));
        assert_eq!(fewer(100, 3, host(30)), Ok(((), 25)));
        assert_eq!(fewer(100, 3, host(4)), Ok(((), 3)));
        assert_eq!(fewer(100, 3, host(2)), Err(CudaError::OutOfPinnedMemory { asked: 3 }));
        assert_eq!(fewer(2, 3, host(1)), Err(CudaError::OutOfPinnedMemory { asked: 2 }));
        let other = fewer(8, 1, |_| Err::<(), _>(CudaError::NoDevice));
        assert_eq!(other, Err(CudaError::NoDevice), "nothing else is tried again");
    }
}
