//! Devices that stand in for GPUs, each with a manner of its own.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use xrdct::frame::{Frame, FrameId, Outcome};
use xrdct::reduce::{ReduceError, Reducer};

use crate::going_over::{FRAMES, LIMIT};

/// A device that asks for no frame until others have failed.
pub(super) struct Patient {
    pub(super) inner: Box<dyn Reducer>,
    pub(super) name: String,
    pub(super) others: Vec<Arc<AtomicBool>>,
}

impl Reducer for Patient {
    fn capacity(&self) -> usize {
        let begun = Instant::now();
        while !self.others.iter().all(|failed| failed.load(Ordering::Acquire)) && begun.elapsed() < LIMIT {
            sleep(Duration::from_millis(1));
        }
        self.inner.capacity()
    }

    fn device(&self) -> Option<String> {
        Some(self.name.clone())
    }

    fn submit(&mut self, frame: Frame) -> Result<(), ReduceError> {
        self.inner.submit(frame)
    }

    fn flush(&mut self) -> Result<(), ReduceError> {
        self.inner.flush()
    }

    fn is_ready(&self) -> Result<bool, ReduceError> {
        self.inner.is_ready()
    }

    fn collect(&mut self) -> Result<Vec<Outcome>, ReduceError> {
        self.inner.collect()
    }

    fn abandon(&mut self) -> Vec<FrameId> {
        self.inner.abandon()
    }
}

/// Says when it is dropped.
pub(super) struct Dropping(pub(super) Box<dyn Reducer>, pub(super) Arc<AtomicBool>);

impl Drop for Dropping {
    fn drop(&mut self) {
        self.1.store(true, Ordering::Release);
    }
}

impl Reducer for Dropping {
    fn capacity(&self) -> usize {
        self.0.capacity()
    }

    fn submit(&mut self, frame: Frame) -> Result<(), ReduceError> {
        self.0.submit(frame)
    }

    fn flush(&mut self) -> Result<(), ReduceError> {
        self.0.flush()
    }

    fn is_ready(&self) -> Result<bool, ReduceError> {
        self.0.is_ready()
    }

    fn collect(&mut self) -> Result<Vec<Outcome>, ReduceError> {
        self.0.collect()
    }

    fn abandon(&mut self) -> Vec<FrameId> {
        self.0.abandon()
    }
}

/// Comes back long after the others have ended, and sees whether one of them is gone.
pub(super) struct Late {
    pub(super) inner: Modest,
    pub(super) dropped: Arc<AtomicBool>,
    pub(super) before: Arc<AtomicBool>,
}

impl Reducer for Late {
    fn capacity(&self) -> usize {
        self.inner.capacity()
    }

    fn wants(&self) -> bool {
        self.inner.wants()
    }

    fn submit(&mut self, frame: Frame) -> Result<(), ReduceError> {
        self.inner.submit(frame)
    }

    fn flush(&mut self) -> Result<(), ReduceError> {
        self.inner.flush()
    }

    fn is_ready(&self) -> Result<bool, ReduceError> {
        self.inner.is_ready()
    }

    fn collect(&mut self) -> Result<Vec<Outcome>, ReduceError> {
        sleep(Duration::from_millis(300));
        self.before.fetch_or(self.dropped.load(Ordering::Acquire), Ordering::AcqRel);
        self.inner.collect()
    }

    fn abandon(&mut self) -> Vec<FrameId> {
        self.inner.abandon()
    }
}

/// Gives nothing until frames of the other device have come, and wants no more than two meanwhile.
pub(super) struct Modest {
    pub(super) inner: Box<dyn Reducer>,
    pub(super) had: Arc<Mutex<Vec<usize>>>,
    pub(super) in_line: AtomicUsize,
    pub(super) others: Arc<AtomicUsize>,
}

impl Reducer for Modest {
    fn capacity(&self) -> usize {
        1000
    }

    fn wants(&self) -> bool {
        self.in_line.load(Ordering::Relaxed) < 2
    }

    fn submit(&mut self, frame: Frame) -> Result<(), ReduceError> {
        self.had.lock().expect("nobody panicked").push(frame.id.0);
        self.in_line.fetch_add(1, Ordering::Relaxed);
        self.inner.submit(frame)
    }

    fn flush(&mut self) -> Result<(), ReduceError> {
        Ok(())
    }

    fn is_ready(&self) -> Result<bool, ReduceError> {
        Ok(self.others.load(Ordering::Relaxed) >= FRAMES - 2)
    }

    fn collect(&mut self) -> Result<Vec<Outcome>, ReduceError> {
        self.inner.flush()?;
        self.in_line.store(0, Ordering::Relaxed);
        self.inner.collect()
    }

    fn abandon(&mut self) -> Vec<FrameId> {
        self.inner.abandon()
    }
}

/// Counts what comes through.
pub(super) struct Counting(pub(super) Box<dyn Reducer>, pub(super) Arc<AtomicUsize>);

impl Reducer for Counting {
    fn capacity(&self) -> usize {
        self.0.capacity()
    }

    fn submit(&mut self, frame: Frame) -> Result<(), ReduceError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.submit(frame)
    }

    fn flush(&mut self) -> Result<(), ReduceError> {
        self.0.flush()
    }

    fn is_ready(&self) -> Result<bool, ReduceError> {
        self.0.is_ready()
    }

    fn collect(&mut self) -> Result<Vec<Outcome>, ReduceError> {
        self.0.collect()
    }

    fn abandon(&mut self) -> Vec<FrameId> {
        self.0.abandon()
    }
}
