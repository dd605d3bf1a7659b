//! Reducers of a run, as they fail: one that does hands its work over to the others.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::report::LostReducer;
use crate::frame::{FrameId, Outcome, SlotLosses};
use crate::reduce::{ReduceError, Reducer};

/// How many reducers are left, and what became of the others.
#[derive(Debug)]
pub(super) struct Relay {
    /// At the beginning.
    all: usize,
    left: AtomicUsize,
    losses: SlotLosses,
    failed: Mutex<Failed>,
}

/// Those that failed.
#[derive(Debug, Default)]
pub(super) struct Failed {
    /// Why the first did.
    pub(super) error: Option<ReduceError>,
    /// All of them.
    pub(super) reducers: Vec<LostReducer>,
    /// The frames that they had.
    pub(super) given_up: Vec<FrameId>,
}

impl Relay {
    /// So many reducers.
    pub(super) fn of(reducers: usize) -> Relay {
        Relay {
            all: reducers,
            left: AtomicUsize::new(reducers),
            losses: SlotLosses::default(),
            failed: Mutex::default(),
        }
    }

    /// Whether somebody else reduces, too.
    pub(super) fn has_others(&self) -> bool {
        self.left.load(Ordering::Acquire) > 1
    }

    /// Notes that the reducer on a device failed, and the frames that it gave up; whether it was the last. Of several each is named.
    pub(super) fn failed(
        &self,
        device: Option<String>,
        error: ReduceError,
        mut given_up: Vec<FrameId>,
    ) -> bool {
        let ReduceError::Device(why) = error;
        let why = match &device {
            Some(device) if self.all > 1 => format!("{device}: {why}"),
            _ => why,
        };
        self.losses.lose(given_up.len());
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.error.get_or_insert_with(|| ReduceError::Device(why.clone()));
        failed.reducers.push(LostReducer { device, why, frames: given_up.len() });
        failed.given_up.append(&mut given_up);
        let was_last = self.left.fetch_sub(1, Ordering::AcqRel) == 1;
        if was_last {
            self.desert();
        }
        was_last
    }

    /// Nobody reduces any more, for whatever reason.
    pub(super) fn desert(&self) {
        self.losses.lose_all();
    }

    /// What readers that wait for a slot look at.
    pub(super) fn losses(&self) -> &SlotLosses {
        &self.losses
    }

    /// What became of those that failed.
    pub(super) fn close(self) -> Failed {
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
