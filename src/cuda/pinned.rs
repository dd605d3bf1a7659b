//! Slots in page-locked host memory: what readers fill and the device fetches by itself, at the link's full rate.

use std::any::Any;
use std::io;
use std::sync::Arc;

use super::driver::{
    Context, LockedPages, LockedPart, Pages, PinnedBuffer, bytes_of_parts, one_was_given_up,
};
use super::error::CudaError;
use super::numa::{self, NumaNode};
use crate::frame::{SlotMemory, SlotPool};

type Memory = Box<dyn SlotMemory>;

/// GPUs that fetch from the same slots: what is pinned for one is pinned for all.
type Gpus = Arc<[Arc<Context>]>;

/// A slot's memory, pinned.
#[derive(Debug)]
pub struct PinnedSlot {
    memory: PinnedMemory,
    /// What it had before it grew. Giving pinned memory back waits for every device, so it stays: less than the slot has now.
    outgrown: Vec<PinnedMemory>,
    gpus: Gpus,
}

#[derive(Debug)]
enum PinnedMemory {
    /// One of many that were locked together.
    Part(LockedPart),
    /// Taken by itself.
    Alone(PinnedBuffer),
    /// The system's, where the driver gave none: because the host cannot lock more, or because a GPU hangs, which is no fault of
    /// the frame that is read.
    Plain(Vec<u8>),
}

impl SlotMemory for PinnedSlot {
    fn bytes(&self) -> &[u8] {
        match &self.memory {
            PinnedMemory::Part(part) => part.bytes(),
            PinnedMemory::Alone(buffer) => buffer.bytes(),
            PinnedMemory::Plain(bytes) => bytes,
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.memory {
            PinnedMemory::Part(part) => part.bytes_mut(),
            PinnedMemory::Alone(buffer) => buffer.bytes_mut(),
            PinnedMemory::Plain(bytes) => bytes,
        }
    }

    fn grow(&mut self, len: usize) -> io::Result<()> {
        if len > self.bytes().len() {
            let len = len.max(2 * self.bytes().len());
            // Nothing is pinned once a GPU hangs: the driver may wait for it.
            let pinned = if one_was_given_up() { None } else { alone(&self.gpus, len).ok() };
            let larger = match pinned {
                Some(buffer) => PinnedMemory::Alone(buffer),
                None => PinnedMemory::Plain(plain(len)?),
            };
            self.outgrown.push(std::mem::replace(&mut self.memory, larger));
        }
        Ok(())
    }

    fn node(&self) -> Option<usize> {
        match &self.memory {
            PinnedMemory::Part(part) => part.node(),
            PinnedMemory::Alone(_) | PinnedMemory::Plain(_) => None,
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn plain(len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|error| io::Error::new(io::ErrorKind::OutOfMemory, error))?;
    bytes.resize(len, 0);
    Ok(bytes)
}

/// Memory by itself, of the first GPU that has not been given up.
fn alone(gpus: &[Arc<Context>], len: usize) -> Result<PinnedBuffer, CudaError> {
    let mut failed = CudaError::NoDevice;
    for context in gpus {
        match PinnedBuffer::take(context, len) {
            Err(error) => failed = error,
            taken => return taken,
        }
    }
    Err(failed)
}

/// A pool of `count` pinned slots of `len` bytes.
///
/// # Errors
/// When the host cannot lock so much memory.
pub fn slots(context: &Arc<Context>, count: usize, len: usize) -> Result<SlotPool, CudaError> {
    slots_for(std::slice::from_ref(context), count, len)
}

/// [`slots`] from which any of some GPUs fetches.
///
/// # Errors
/// As [`slots`].
pub fn slots_for(gpus: &[Arc<Context>], count: usize, len: usize) -> Result<SlotPool, CudaError> {
    let ordinals: Vec<usize> = gpus.iter().map(|context| context.ordinal()).collect();
    Ready::new(count, len, &numa::nodes(&ordinals)).lock(gpus, count).map(|(slots, _)| slots)
}

/// Memory for slots that is there, but not locked yet: most of the work, for which no device is needed.
#[derive(Debug)]
pub struct Ready {
    /// None where the system gives none: then the driver is asked.
    pages: Option<Pages>,
    count: usize,
    len: usize,
}

impl Ready {
    /// Memory for `count` slots of `len` bytes, near the nodes of GPUs in equal shares.
    pub fn new(count: usize, len: usize, nodes: &[Option<NumaNode>]) -> Ready {
        Ready { pages: Pages::take(bytes_of_parts(count, len), nodes).ok(), count, len }
    }

    /// For how many slots.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Locks it for some GPUs and makes a pool of its slots, and says how many there are. What cannot be locked so is taken from the driver, slot by
    /// slot: half as many as often as the host cannot lock so much memory, but `least`.
    ///
    /// A run goes on with few: a slot comes home as soon as its bytes are on the device. Readers then wait for each other.
    ///
    /// # Errors
    /// When the host cannot lock as much as `least` slots take.
    pub fn lock(self, gpus: &[Arc<Context>], least: usize) -> Result<(SlotPool, usize), CudaError> {
        let Ready { pages, count, len } = self;
        let first = gpus.first().ok_or(CudaError::NoDevice)?;
        let gpus = Gpus::from(gpus);
        let slot =
            |memory| Box::new(PinnedSlot { memory, outgrown: vec![], gpus: Arc::clone(&gpus) }) as Memory;
        if let Some(Ok(pages)) = pages.map(|pages| LockedPages::lock(first, pages)) {
            let parts = pages.cut(count, len).map(|part| slot(PinnedMemory::Part(part)));
            return Ok((SlotPool::new(parts), count));
        }
        let take = |count| -> Result<Vec<Memory>, CudaError> {
            (0..count).map(|_| Ok(slot(PinnedMemory::Alone(alone(&gpus, len)?)))).collect()
        };
        let (slots, count) = fewer(count, least, take)?;
        Ok((SlotPool::new(slots), count))
    }
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
