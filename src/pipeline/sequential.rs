//! One thread, one frame at a time: the first rows of the paper's Table 1, and the simplest thing that is right.

use std::time::Instant;

use super::{Corridor, Landing, PipelineError, Report, Stage, StageTimes};
use crate::frame::{Frame, Outcome};
use crate::reduce::{ReduceError, Reducer};

pub(super) fn run(corridor: Corridor<'_>) -> (Report, Result<(), PipelineError>) {
    let Corridor { tickets, mut readers, mut reducers, sink, slots, bad_frames, stop, progress } = corridor;
    let mut report = Report::new(tickets.len());
    let start = Instant::now();
    let reader = &mut readers[0];
    let reducer = &mut reducers[0];
    let times = StageTimes::default();
    let mut landing = Landing { sink, bad_frames, progress, report: &mut report, times: &times };
    let mut ending = Ok(());
    for ticket in &tickets {
        if stop.is_raised() || ending.is_err() {
            break;
        }
        let slot = slots.take();
        let outcomes = match times.book(Stage::Read, || reader.read(ticket, slot)) {
            Ok(frame) => reduce_one(reducer.as_mut(), frame, &times),
            Err(bad) => Ok(vec![Err(bad)]),
        };
        ending = outcomes
            .map_err(PipelineError::from)
            .and_then(|outcomes| outcomes.into_iter().try_for_each(|outcome| landing.put(outcome)));
    }
    report.close(start.elapsed(), times, ending.is_ok());
    (report, ending)
}

/// Submits one frame and waits for what becomes of it.
fn reduce_one(
    reducer: &mut dyn Reducer,
    frame: Frame,
    times: &StageTimes,
) -> Result<Vec<Outcome>, ReduceError> {
    times.book(Stage::Reduce, || {
        reducer.submit(frame)?;
        reducer.flush()?;
        reducer.collect()
    })
}
