//! One thread, one frame at a time: the first rows of the paper's Table 1, and the simplest thing that is right.

use std::thread;
use std::time::Instant;

use super::relay::{Relay, give_up};
use super::report::{Listed, LostReducer};
use super::{Corridor, Landing, Passage, PipelineError, Report, Stage, StageTimes};
use crate::frame::{BadFrame, Frame, Outcome, SlotLosses, SlotPool, Slots};
use crate::reduce::{ReduceError, Reducer};
use crate::source::{Next, Place, Reader, Ticket};
use crate::trace;

pub(super) fn run(corridor: Corridor<'_>, mut report: Report) -> Passage {
    let Corridor {
        mut source,
        mut readers,
        mut reducers,
        sink,
        packed,
        slots,
        bad_frames,
        stop,
        timeline,
        watchers,
        ..
    } = corridor;
    let (before, relay) = (report.done, Relay::of(&reducers));
    let start = Instant::now();
    let reader = &mut readers[0];
    let reducer = &mut reducers[0];
    let times = std::mem::take(&mut report.times).go_on(timeline);
    let mut landing = Landing { sink, bad_frames, watchers, report: &mut report, times: &times };
    let _follows = trace::follow(times.timeline(), thread::current().name().unwrap_or("unnamed"));
    let listed = Listed::default();
    let mut ending = times.on_core(|| {
        listed.expect(source.as_mut())?;
        while !stop.is_raised() {
            match source.next(&packed)? {
                Next::End => {
                    listed.end();
                    break;
                }
                Next::Quiet => landing.pause()?,
                Next::Bad(bad) => {
                    listed.add(1);
                    landing.put(Err(bad))?;
                }
                Next::Read(ticket) => {
                    listed.add(ticket.ids.len());
                    let mut ending = Ok(());
                    read(reader.as_mut(), ticket, (&slots, relay.losses()), &times, &mut |frame| {
                        let outcomes = match frame {
                            _ if matches!(ending, Err(PipelineError::Reduce(_))) => return,
                            Ok(frame) => reduce_one(reducer.as_mut(), frame, &times),
                            Err(bad) => Ok(vec![Err(bad)]),
                        };
                        let landed = outcomes.map_err(PipelineError::from).and_then(|outcomes| {
                            outcomes.into_iter().try_for_each(|outcome| landing.put(outcome))
                        });
                        if ending.is_ok() {
                            ending = landed;
                        }
                    });
                    ending?;
                }
            }
        }
        Ok(())
    });
    if let Err(PipelineError::Reduce(ReduceError::Device(why))) = &ending {
        let (device, why) = (reducer.device(), why.clone());
        let mut landed = Ok(());
        let mut put = |outcome| {
            if landed.is_ok() {
                landed = landing.put(outcome);
            }
        };
        let given_up = times.on_core(|| give_up(reducer.as_mut(), &mut put));
        ending = landed.and(ending);
        report.lost.push(LostReducer { device, why, frames: given_up.len() });
        report.given_up.extend(given_up);
        // There is no other.
        reducers.clear();
    }
    report.times = times;
    report.close(report.done - before, start.elapsed(), &listed, ending.is_ok());
    Passage { report, ended: ending, left: reducers }
}

/// Reads a ticket's frames, into slots of a pool as long as they come home; shared with the concurrent corridor. Waiting for the first slot is
/// not reading.
pub(super) fn read(
    reader: &mut dyn Reader,
    ticket: Ticket,
    (slots, losses): (&SlotPool, &SlotLosses),
    times: &StageTimes,
    out: &mut dyn FnMut(Result<Frame, BadFrame>),
) {
    let mut slots = match ticket.place {
        Place::Held { .. } => Slots::of(slots),
        Place::File(_) | Place::Listed(_) => Slots::waited_for(slots, losses),
    };
    let (first, mut left) = (ticket.first(), ticket.ids.len());
    let _range = trace::read(first);
    let mut clock = Some(times.start(Stage::Read, first.0));
    reader.read(ticket, &mut slots, &mut |frame| {
        // What becomes of a frame is not reading either.
        if let Some(clock) = clock.take() {
            times.stop(clock);
        }
        out(frame);
        left = left.saturating_sub(1);
        clock = (left > 0).then(|| times.start(Stage::Read, first.0));
    });
    if let Some(clock) = clock {
        times.stop(clock);
    }
}

/// Submits one frame and waits for what becomes of it.
fn reduce_one(
    reducer: &mut dyn Reducer,
    frame: Frame,
    times: &StageTimes,
) -> Result<Vec<Outcome>, ReduceError> {
    times.book(Stage::Reduce, 1, || {
        reducer.submit(frame)?;
        reducer.flush()?;
        reducer.collect()
    })
}
