//! Reducers of a run, as they fail: one that does hands its work over to the others, and what is left of them all is there in the end.
//!
//! A device that breaks may make others fail that are well: what they share belonged to it. So whoever fails is asked whether it can be used
//! again ([`Reducer::check`]), and in the end those that can are not counted as lost, if there is one that cannot: that was the cause.
//!
//! Reducers are not dropped before the last one has ended: giving memory back waits for every device of a process, and one that hangs would
//! have to be waited for without an end.

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
    ended: Mutex<Ended>,
    /// What each reducer is asked for at the moment.
    asked: Vec<Mutex<Option<Asked>>>,
}

#[derive(Default)]
struct Ended {
    /// Those that came to the end of their work.
    done: Vec<Box<dyn Reducer>>,
    failed: Vec<Failed>,
    /// The frames that they had.
    given_up: Vec<FrameId>,
}

/// One that failed.
struct Failed {
    lost: LostReducer,
    /// It can be used nevertheless.
    well: Option<Box<dyn Reducer>>,
}

/// What became of all.
pub(super) struct Closed {
    /// Why the first failed.
    pub(super) error: Option<ReduceError>,
    /// Those that were lost.
    pub(super) lost: Vec<LostReducer>,
    /// The frames that reducers had which failed.
    pub(super) given_up: Vec<FrameId>,
    /// Those that can go on.
    pub(super) left: Vec<Box<dyn Reducer>>,
    /// Whether some of these failed because of another.
    pub(super) some_were_led: bool,
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

    fn ended(&self) -> MutexGuard<'_, Ended> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a reducer that came to the end of its work; nothing of its is in flight.
    pub(super) fn done(&self, reducer: Box<dyn Reducer>) {
        self.ended().done.push(reducer);
    }

    /// Notes that the reducer of that number failed, and the frames that it gave up; whether it was the last. Of several each is named. One
    /// that is well nevertheless comes along.
    pub(super) fn failed(
        &self,
        number: usize,
        error: ReduceError,
        mut given_up: Vec<FrameId>,
        well: Option<Box<dyn Reducer>>,
    ) -> bool {
        let device = self.devices.get(number).cloned().flatten();
        let why = why(self.devices.len(), device.as_deref(), error);
        self.losses.lose(given_up.len());
        let mut ended = self.ended();
        let lost = LostReducer { device, why, frames: given_up.len() };
        ended.failed.push(Failed { lost, well });
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

    /// What became of them. When one failed, those that came to their end are asked whether they are well, too.
    pub(super) fn close(self) -> Closed {
        let Ended { done, mut failed, given_up } =
            self.ended.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut left = Vec::new();
        let someone_failed = !failed.is_empty();
        for mut reducer in done {
            match if someone_failed { reducer.check() } else { Ok(()) } {
                Ok(()) => left.push(reducer),
                Err(error) => {
                    let device = reducer.device();
                    let why = why(self.devices.len(), device.as_deref(), error);
                    failed.push(Failed { lost: LostReducer { device, why, frames: 0 }, well: None });
                }
            }
        }
        let is_somebodys_fault = failed.iter().any(|failed| failed.well.is_none());
        let (mut lost, mut some_were_led) = (Vec::new(), false);
        for Failed { lost: reducer, well } in failed {
            match well.filter(|_| is_somebodys_fault) {
                Some(well) => {
                    some_were_led = true;
                    left.push(well);
                }
                None => lost.push(reducer),
            }
        }
        let error = lost.first().map(|lost| ReduceError::Device(lost.why.clone()));
        Closed { error, lost, given_up, left, some_were_led }
    }
}

/// Why a reducer failed; of several it is named.
fn why(all: usize, device: Option<&str>, ReduceError::Device(why): ReduceError) -> String {
    match device {
        Some(device) if all > 1 => format!("{device}: {why}"),
        _ => why,
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

    /// A device of that name that does nothing, well or not.
    struct Idle(&'static str, bool);

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
        fn check(&mut self) -> Result<(), ReduceError> {
            if self.1 { Ok(()) } else { Err(ReduceError::Device("broken".into())) }
        }
        fn abandon(&mut self) -> Vec<FrameId> {
            vec![]
        }
    }

    fn reducers(devices: &[(&'static str, bool)]) -> Vec<Box<dyn Reducer>> {
        devices.iter().map(|(name, well)| Box::new(Idle(name, *well)) as _).collect()
    }

    fn names(left: &[Box<dyn Reducer>]) -> Vec<String> {
        left.iter().filter_map(|reducer| reducer.device()).collect()
    }

    fn fails(relay: &Relay, number: usize, frame: usize, well: Option<Box<dyn Reducer>>) -> bool {
        relay.failed(number, ReduceError::Device("failed".into()), vec![FrameId(frame)], well)
    }

    #[test]
    fn who_is_well_is_lost_only_if_everybody_who_failed_is() {
        for (broken_one_fails, lost) in [(true, vec!["cuda:0"]), (false, vec!["cuda:1"])] {
            let mut all = reducers(&[("cuda:0", !broken_one_fails), ("cuda:1", true), ("cuda:2", true)]);
            let relay = Relay::of(&all);
            let (third, second) = (all.pop(), all.pop());
            assert!(!fails(&relay, 1, 7, second));
            if broken_one_fails {
                assert!(!fails(&relay, 0, 3, None));
            } else {
                all.into_iter().for_each(|first| relay.done(first));
            }
            third.into_iter().for_each(|third| relay.done(third));
            let closed = relay.close();
            let found: Vec<_> = closed.lost.iter().filter_map(|lost| lost.device.as_deref()).collect();
            assert_eq!((found, closed.some_were_led), (lost.clone(), broken_one_fails));
            let left = if broken_one_fails { ["cuda:2", "cuda:1"] } else { ["cuda:0", "cuda:2"] };
            assert_eq!(names(&closed.left), left);
            assert_eq!(closed.error.map(|error| error.to_string()), Some(format!("{}: failed", lost[0])));
            assert_eq!(closed.given_up.len(), 1 + usize::from(broken_one_fails));
        }
    }

    #[test]
    fn one_that_broke_after_its_last_frame_is_found_when_another_fails() {
        let mut all = reducers(&[("cuda:0", false), ("cuda:1", true)]);
        let relay = Relay::of(&all);
        let second = all.pop();
        all.into_iter().for_each(|first| relay.done(first));
        assert!(!fails(&relay, 1, 7, second));
        let closed = relay.close();
        let expected = LostReducer { device: Some("cuda:0".into()), why: "cuda:0: broken".into(), frames: 0 };
        assert_eq!((closed.lost, names(&closed.left)), (vec![expected], vec!["cuda:1".to_owned()]));
        assert!(closed.some_were_led);
        // Where nobody failed nobody is asked.
        let all = reducers(&[("cuda:0", false)]);
        let relay = Relay::of(&all);
        all.into_iter().for_each(|first| relay.done(first));
        let closed = relay.close();
        assert!(closed.lost.is_empty() && closed.error.is_none() && closed.left.len() == 1);
    }

    #[test]
    fn a_device_that_does_not_answer_is_told_of_ever_more_seldom() {
        let relay = Relay::of(&reducers(&[("cuda:0", true), ("cuda:1", true)]));
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
