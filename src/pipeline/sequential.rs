//! One thread, one frame at a time: the first rows of the paper's Table 1, and the simplest thing that is right.

use std::thread;
use std::time::Instant;

use super::{Corridor, Landing, PipelineError, Report, Stage, StageTimes};
use crate::frame::{BadFrame, Frame, Outcome, Slot};
use crate::reduce::{ReduceError, Reducer};
use crate::source::{Reader, Ticket};
use crate::trace;

pub(super) fn run(corridor: Corridor<'_>) -> (Report, Result<(), PipelineError>) {
    let Corridor {
        tickets,
        mut readers,
        mut reducers,
        sink,
        slots,
        bad_frames,
        stop,
        timeline,
        watchers,
        ..
    } = corridor;
    let mut report = Report::new(tickets.len());
    let start = Instant::now();
    let reader = &mut readers[0];
    let reducer = &mut reducers[0];
    let times = StageTimes::new(timeline);
    let mut landing = Landing { sink, bad_frames, watchers, report: &mut report, times: &times };
    let _follows = trace::follow(times.timeline(), thread::current().name().unwrap_or("unnamed"));
    let mut ending = Ok(());
    times.on_core(|| {
        for ticket in &tickets {
            if stop.is_raised() || ending.is_err() {
                break;
            }
            let slot = slots.take();
            let outcomes = match read(reader.as_mut(), ticket, slot, &times) {
                Ok(frame) => reduce_one(reducer.as_mut(), frame, &times),
                Err(bad) => Ok(vec![Err(bad)]),
            };
            ending = outcomes
                .map_err(PipelineError::from)
                .and_then(|outcomes| outcomes.into_iter().try_for_each(|outcome| landing.put(outcome)));
        }
    });
    report.close(start.elapsed(), times, ending.is_ok());
    (report, ending)
}

/// Reads one frame; shared with the concurrent corridor.
pub(super) fn read(
    reader: &mut dyn Reader,
    ticket: &Ticket,
    slot: Slot,
    times: &StageTimes,
) -> Result<Frame, BadFrame> {
    let _range = trace::read(ticket.id);
    times.book(Stage::Read, ticket.id.0, || reader.read(ticket, slot))
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
