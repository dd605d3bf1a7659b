//! Reducers of a run, as they fail: one that does hands its work over to the others, and what is left of them all is there in the end.
//!
//! Reducers that are done are not dropped before the last one has ended: giving memory back waits for every device of a process, and one that
//! hangs would have to be waited for without an end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::report::LostReducer;
use crate::frame::{FrameId, Outcome, SlotLosses};
use crate::reduce::{ReduceError, Reducer};

/// After how long a device that is waited for is told of first; then as often as the time has doubled.
const SLOW: Duration = Duration::from_secs(10);

/// How many reducers are left, and what became of the others.
pub(super) struct Relay {
    /// Of each reducer at the beginning, what stands behind it.
    devices: Vec<Option<String>>,
    left: AtomicUsize,
    losses: SlotLosses,
    ended: Mutex<Closed>,
    /// What each reducer is asked for at the moment.
    asked: Vec<Mutex<Option<Asked>>>,
}

/// What became of those that have ended.
#[derive(Default)]
pub(super) struct Closed {
    /// Those that came to the end of their work, and can go on.
    pub(super) done: Vec<Box<dyn Reducer>>,
    /// Those that failed, in that order.
    pub(super) lost: Vec<LostReducer>,
    /// The frames that these had.
    pub(super) given_up: Vec<FrameId>,
}

impl Closed {
    /// Why the first failed.
    pub(super) fn error(&self) -> Option<ReduceError> {
        self.lost.first().map(|lost| ReduceError::Device(lost.why.clone()))
    }
}

/// A device is being asked for something.
struct Asked {
    doing: &'static str,
    frames: usize,
    since: Instant,
    /// When it is told next how long that takes.
    told_at: Duration,
}

/// While it lives, a device is being asked for something.
pub(super) struct Asking<'a>(Option<&'a Mutex<Option<Asked>>>);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if let Some(asked) = self.0 {
            *asked.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

impl Relay {
    /// Of these reducers.
    pub(super) fn of(reducers: &[Box<dyn Reducer>]) -> Relay {
        Relay {
            devices: reducers.iter().map(|reducer| reducer.device()).collect(),
            left: AtomicUsize::new(reducers.len()),
            losses: SlotLosses::default(),
            ended: Mutex::default(),
            asked: reducers.iter().map(|_| Mutex::default()).collect(),
        }
    }

    /// Whether somebody else reduces, too.
    pub(super) fn has_others(&self) -> bool {
        self.left.load(Ordering::Acquire) > 1
    }

    fn ended(&self) -> MutexGuard<'_, Closed> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a reducer that came to the end of its work; nothing of its is in flight.
    pub(super) fn done(&self, reducer: Box<dyn Reducer>) {
        self.ended().done.push(reducer);
    }

    /// Notes that the reducer of that number failed, and the frames that it gave up; whether it was the last. Of several each is named.
    pub(super) fn failed(&self, number: usize, error: ReduceError, mut given_up: Vec<FrameId>) -> bool {
        let device = self.devices.get(number).cloned().flatten();
        let ReduceError::Device(why) = error;
        let why = match &device {
            Some(device) if self.devices.len() > 1 => format!("{device}: {why}"),
            _ => why,
        };
        self.losses.lose(given_up.len());
        let mut ended = self.ended();
        ended.lost.push(LostReducer { device, why, frames: given_up.len() });
        ended.given_up.append(&mut given_up);
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

    /// Notes what the reducer of that number is asked for, until the answer is there.
    pub(super) fn asks(&self, number: usize, doing: &'static str, frames: usize) -> Asking<'_> {
        let place = self.asked.get(number);
        if let Some(place) = place {
            let asked = Asked { doing, frames, since: Instant::now(), told_at: SLOW };
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
        }
        Asking(place)
    }

    /// Says which devices have not answered for long.
    pub(super) fn slow(&self, mut say: impl FnMut(&str)) {
        for (place, device) in self.asked.iter().zip(&self.devices) {
            let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(asked) = place.as_mut() else { continue };
            let waited = asked.since.elapsed();
            if waited >= asked.told_at {
                let name = device.as_deref().unwrap_or("a reducer");
                let (seconds, frames) = (waited.as_secs(), asked.frames);
                asked.told_at = waited.max(asked.told_at) * 2;
                say(&format!(
                    "{name} has not answered for {seconds} s: {}, {frames} frames there",
                    asked.doing
                ));
            }
        }
    }

    /// What became of them.
    pub(super) fn close(self) -> Closed {
        self.ended.into_inner().unwrap_or_else(PoisonError::into_inner)
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

/// Drops a reducer, whatever comes of it.
pub(super) fn drop_quietly(reducer: Box<dyn Reducer>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(reducer)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frame;

    /// A device of that name that does nothing.
    struct Idle(&'static str);

    impl Reducer for Idle {
        fn capacity(&self) -> usize {
            1
        }
        fn device(&self) -> Option<String> {
            Some(self.0.to_owned())
        }
        fn submit(&mut self, _: Frame) -> Result<(), ReduceError> {
            Ok(())
        }
        fn flush(&mut self) -> Result<(), ReduceError> {
            Ok(())
        }
        fn is_ready(&self) -> Result<bool, ReduceError> {
            Ok(false)
        }
        fn collect(&mut self) -> Result<Vec<Outcome>, ReduceError> {
            Ok(vec![])
        }
        fn abandon(&mut self) -> Vec<FrameId> {
            vec![]
        }
    }

    fn reducers(devices: &[&'static str]) -> Vec<Box<dyn Reducer>> {
        devices.iter().map(|name| Box::new(Idle(name)) as _).collect()
    }

    #[test]
    fn those_that_are_done_are_left_and_each_that_failed_is_named() {
        let mut all = reducers(&["cuda:0", "cuda:1", "cuda:2"]);
        let relay = Relay::of(&all);
        let fails =
            |number, frame| relay.failed(number, ReduceError::Device("failed".into()), vec![FrameId(frame)]);
        assert!(!fails(1, 7) && relay.has_others());
        assert!(!fails(0, 3) && !relay.has_others());
        all.pop().into_iter().for_each(|third| relay.done(third));
        let closed = relay.close();
        assert_eq!(closed.error().map(|error| error.to_string()), Some("cuda:1: failed".into()));
        let lost: Vec<_> = closed.lost.iter().map(|lost| (lost.why.as_str(), lost.frames)).collect();
        assert_eq!(lost, [("cuda:1: failed", 1), ("cuda:0: failed", 1)]);
        assert_eq!(closed.given_up, [FrameId(7), FrameId(3)]);
        let left: Vec<_> = closed.done.iter().filter_map(|reducer| reducer.device()).collect();
        assert_eq!(left, ["cuda:2"]);
    }

    #[test]
    fn the_last_that_fails_is_told_so_and_one_alone_is_not_named() {
        let all = reducers(&["cuda:0"]);
        let relay = Relay::of(&all);
        assert!(relay.failed(0, ReduceError::Device("failed".into()), vec![]));
        let closed = relay.close();
        let device = Some("cuda:0".to_owned());
        assert_eq!(closed.lost, [LostReducer { device, why: "failed".into(), frames: 0 }]);
        assert!(closed.done.is_empty());
    }

    #[test]
    fn a_device_that_does_not_answer_is_told_of_ever_more_seldom() {
        let relay = Relay::of(&reducers(&["cuda:0", "cuda:1"]));
        let said = || {
            let mut said = vec![];
            relay.slow(|note| said.push(note.to_owned()));
            said
        };
        let asks = relay.asks(1, "waiting for a batch", 8);
        let later = |seconds| {
            let mut place = relay.asked[1].lock().expect("nobody panicked");
            let asked = place.as_mut().expect("it is asked");
            asked.since = Instant::now().checked_sub(Duration::from_secs(seconds)).expect("a time");
        };
        let note = |seconds| {
            vec![format!("cuda:1 has not answered for {seconds} s: waiting for a batch, 8 frames there")]
        };
        assert!(said().is_empty());
        later(11);
        assert_eq!((said(), said()), (note(11), vec![]));
        later(20);
        assert!(said().is_empty());
        later(23);
        assert_eq!(said(), note(23));
        drop(asks);
        assert!(said().is_empty());
    }
}
