//! Reducers of a run, as they fail: one that does hands its work over to the others.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::frame::{FrameId, Outcome};
use crate::reduce::{ReduceError, Reducer};

/// How many reducers are left, and what became of the others.
#[derive(Debug)]
pub(super) struct Relay {
    left: AtomicUsize,
    /// Nobody reduces any more: slots that did not come home will not.
    deserted: AtomicBool,
    failed: Mutex<(Option<ReduceError>, Vec<FrameId>)>,
}

impl Relay {
    /// So many reducers.
    pub(super) fn of(reducers: usize) -> Relay {
        Relay { left: AtomicUsize::new(reducers), deserted: AtomicBool::new(false), failed: Mutex::default() }
    }

    /// Notes that a reducer failed, and the frames that it gave up; whether it was the last.
    pub(super) fn failed(&self, error: ReduceError, mut given_up: Vec<FrameId>) -> bool {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.0.get_or_insert(error);
        failed.1.append(&mut given_up);
        let was_last = self.left.fetch_sub(1, Ordering::AcqRel) == 1;
        if was_last {
            self.desert();
        }
        was_last
    }

    /// Nobody reduces any more, for whatever reason.
    pub(super) fn desert(&self) {
        self.deserted.store(true, Ordering::Release);
    }

    /// What readers that wait for a slot look at.
    pub(super) fn deserted(&self) -> &AtomicBool {
        &self.deserted
    }

    /// The first failure, and what was given up.
    pub(super) fn close(self) -> (Option<ReduceError>, Vec<FrameId>) {
        self.failed.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// After an error: outcomes that are there nevertheless go out, the rest is given up.
pub(super) fn give_up(reducer: &mut dyn Reducer, mut out: impl FnMut(Outcome)) -> Vec<FrameId> {
    while let Ok(outcomes) = reducer.collect()
        && !outcomes.is_empty()
    {
        outcomes.into_iter().for_each(&mut out);
    }
    reducer.abandon()
}
