//! Every reader and every reducer on a thread of its own; the sink on the caller's.
//!
//! Frames are handed on through channels that never fill up, because a frame needs a slot and slots are counted;
//! outcomes go through a bounded one, so a slow disk holds the reducers back and memory stays what it is.
//!
//! Why it cannot hang: a thread waits only for (a) a slot, which a reducer gives back when its batch is done (or until none is left),
//! (b) a frame, which a reader sends or the channel closes, (c) room for an outcome, which the sink's thread makes, (d) room for a
//! ticket, which a reader makes or the channel closes. A source waits a tick at most and is then asked again.
//! Whoever fails raises `stop` and goes on *draining* what it is sent until the channel closes; a reducer only when it is the last.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded, unbounded};

use super::relay::{Asking, Relay, drop_quietly, give_up};
use super::report::Listed;
use super::sequential::read;
use super::{Corridor, Landing, Passage, PipelineError, Report, Stage, StageTimes, Stop};
use crate::frame::{Frame, Outcome, SlotPool};
use crate::reduce::{ReduceError, Reducer};
use crate::source::{Next, Reader, Source, Ticket};
use crate::trace;

/// How long a reducer's thread waits for another frame before it asks whether a batch is done: a fraction of the 50 µs that
/// the upload of a frame takes.
const FEED: Duration = Duration::from_micros(20);

/// How long it goes on asking when no frame comes: then the batch is waited for, which has a limit, as asking has not. Where a device hangs,
/// readers wait for slots that it holds, and no frame will ever come.
const UNFED: Duration = Duration::from_secs(1);

/// Tickets that wait for each reader: what a source gives is not read long before it is wanted.
const AHEAD: usize = 2;

/// When no outcome comes for this long (frames that arrive while they are measured), the sink may catch up.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) fn run(corridor: Corridor<'_>, mut report: Report) -> Passage {
    let Corridor {
        source,
        readers,
        reducers,
        sink,
        packed,
        slots,
        waiting,
        bad_frames,
        stop,
        timeline,
        watchers,
    } = corridor;
    let (before, relay) = (report.done, Relay::of(&reducers));
    let listed = Listed::default();
    let start = Instant::now();
    let times = std::mem::take(&mut report.times).go_on(timeline);
    // The caller's thread is the sink's.
    let ending = times.on_core(|| {
        thread::scope(|scope| {
            let (ticket_out, ticket_in) = bounded::<Ticket>(AHEAD * readers.len().max(1));
            let (frame_out, frame_in) = unbounded::<Frame>();
            let (outcome_out, outcome_in) = bounded::<Outcome>(waiting);
            let mut threads = Vec::new();
            let mut started = Ok(());

            for reader in readers {
                let stage = ReaderThread {
                    tickets: ticket_in.clone(),
                    frames: frame_out.clone(),
                    outcomes: outcome_out.clone(),
                    slots: slots.clone(),
                    relay: &relay,
                    stop: &stop,
                    times: &times,
                };
                keep_first(
                    &mut started,
                    spawn(scope, ("reader", &stop, &times), &mut threads, move || stage.run(reader)),
                );
            }
            for (number, reducer) in reducers.into_iter().enumerate() {
                let stage = ReducerThread {
                    number,
                    frames: frame_in.clone(),
                    outcomes: outcome_out.clone(),
                    relay: &relay,
                    stop: &stop,
                    times: &times,
                };
                keep_first(
                    &mut started,
                    spawn(scope, ("reducer", &stop, &times), &mut threads, move || stage.run(reducer)),
                );
            }
            let stage = SourceThread {
                tickets: ticket_out,
                outcomes: outcome_out.clone(),
                packed,
                stop: &stop,
                listed: &listed,
            };
            keep_first(
                &mut started,
                spawn(scope, ("source", &stop, &times), &mut threads, move || stage.run(source)),
            );
            // From here on only the threads hold the ends: when they are gone, the channels close.
            drop((ticket_in, frame_out, frame_in, outcome_out));

            let mut landing = Landing { sink, bad_frames, watchers, report: &mut report, times: &times };
            let (mut landed, mut looked) = (Ok(()), Instant::now());
            loop {
                if looked.elapsed() >= PAUSE {
                    relay.slow(|note| landing.note(note));
                    looked = Instant::now();
                }
                let next = outcome_in.recv_timeout(PAUSE);
                // After a bad frame that ends the run, frames that were under way are still kept; a broken sink keeps nothing.
                let keeps = matches!(landed, Ok(()) | Err(PipelineError::BadFrame(_)));
                let put = match next {
                    Err(RecvTimeoutError::Disconnected) => break,
                    Ok(outcome) if keeps => landing.put(outcome),
                    Err(RecvTimeoutError::Timeout) if keeps => landing.pause(),
                    Ok(_) | Err(RecvTimeoutError::Timeout) => Ok(()),
                };
                if let Err(error) = put {
                    stop.raise();
                    if landed.is_ok() || matches!(error, PipelineError::Sink(_)) {
                        landed = Err(error);
                    }
                }
            }
            let mut ending = started.and(landed);
            for (name, thread) in threads {
                let result = thread.join().unwrap_or(Err(PipelineError::Panicked(name)));
                keep_first(&mut ending, result);
            }
            ending
        })
    });
    let closed = relay.close();
    let ending = ending.and(closed.error().map_or(Ok(()), |error| Err(error.into())));
    report.lost.extend(closed.lost);
    report.given_up.extend(closed.given_up);
    report.times = times;
    report.close(report.done - before, start.elapsed(), &listed, ending.is_ok());
    Passage { report, ended: ending, left: closed.done }
}

fn keep_first(ending: &mut Result<(), PipelineError>, next: Result<(), PipelineError>) {
    if ending.is_ok() {
        *ending = next;
    }
}

type Joiner<'scope> = (&'static str, thread::ScopedJoinHandle<'scope, Result<(), PipelineError>>);

/// Starts a named thread; if it fails or panics, the run is asked to stop.
fn spawn<'scope>(
    scope: &'scope Scope<'scope, '_>,
    (name, stop, times): (&'static str, &'scope Stop, &'scope StageTimes),
    threads: &mut Vec<Joiner<'scope>>,
    work: impl FnOnce() -> Result<(), PipelineError> + Send + 'scope,
) -> Result<(), PipelineError> {
    let thread_name = format!("{name} {}", threads.iter().filter(|(other, _)| *other == name).count());
    let named = thread_name.clone();
    let guarded = move || {
        trace::name_thread(&named);
        let _follows = trace::follow(times.timeline(), &named);
        let work = || times.on_core(work);
        let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(PipelineError::Panicked(name)));
        if result.is_err() {
            stop.raise();
        }
        result
    };
    let handle = thread::Builder::new().name(thread_name).spawn_scoped(scope, guarded);
    match handle {
        Ok(handle) => {
            threads.push((name, handle));
            Ok(())
        }
        Err(cause) => {
            stop.raise();
            Err(PipelineError::Thread(name, cause))
        }
    }
}

struct SourceThread<'a> {
    tickets: Sender<Ticket>,
    outcomes: Sender<Outcome>,
    packed: SlotPool,
    stop: &'a Stop,
    listed: &'a Listed,
}

impl SourceThread<'_> {
    /// Hands out tickets until the end, or until nobody wants them.
    fn run(self, mut source: Box<dyn Source>) -> Result<(), PipelineError> {
        self.listed.expect(source.as_mut())?;
        while !self.stop.is_raised() {
            // A closed channel means that the run is ending for a reason somebody else reports.
            let delivered = match source.next(&self.packed)? {
                Next::Quiet => true,
                Next::End => {
                    self.listed.end();
                    break;
                }
                Next::Bad(bad) => {
                    self.listed.add(1);
                    self.outcomes.send(Err(bad)).is_ok()
                }
                Next::Read(ticket) => {
                    self.listed.add(ticket.ids.len());
                    self.tickets.send(ticket).is_ok()
                }
            };
            if !delivered {
                break;
            }
        }
        Ok(())
    }
}

struct ReaderThread<'a> {
    tickets: Receiver<Ticket>,
    frames: Sender<Frame>,
    outcomes: Sender<Outcome>,
    slots: SlotPool,
    relay: &'a Relay,
    stop: &'a Stop,
    times: &'a StageTimes,
}

impl ReaderThread<'_> {
    fn run(self, mut reader: Box<dyn Reader>) -> Result<(), PipelineError> {
        for ticket in self.tickets {
            if self.stop.is_raised() {
                break;
            }
            // A closed channel means that the run is ending for a reason somebody else reports.
            let mut delivered = true;
            let slots = (&self.slots, self.relay.losses());
            read(reader.as_mut(), ticket, slots, self.times, &mut |frame| {
                delivered &= match frame {
                    Ok(frame) => self.frames.send(frame).is_ok(),
                    Err(bad) => self.outcomes.send(Err(bad)).is_ok(),
                };
            });
            if !delivered {
                break;
            }
        }
        Ok(())
    }
}

/// How a reducer's work ends that does not fail.
enum End {
    /// There are no more frames, and nothing is in flight.
    Done,
    /// Nobody takes outcomes any more.
    Unheard,
}

struct ReducerThread<'a> {
    number: usize,
    frames: Receiver<Frame>,
    outcomes: Sender<Outcome>,
    relay: &'a Relay,
    stop: &'a Stop,
    times: &'a StageTimes,
}

impl ReducerThread<'_> {
    fn run(self, mut reducer: Box<dyn Reducer>) -> Result<(), PipelineError> {
        let driven = catch_unwind(AssertUnwindSafe(|| {
            self.drive(reducer.as_mut()).map_err(|error| {
                // A closed channel means that the run is ending for a reason somebody else reports.
                let out = |outcome| drop(self.outcomes.send(outcome));
                let _asks = self.asks("giving up what it had", 0);
                (error, give_up(reducer.as_mut(), out))
            })
        }));
        // What one that failed had goes now: frames hold slots that readers wait for.
        let (result, ends) = match driven {
            Ok(Ok(End::Done)) => {
                self.relay.done(reducer);
                return Ok(());
            }
            Ok(Ok(End::Unheard)) => return Ok(()),
            Ok(Err((error, given_up))) => {
                let ends = self.relay.failed(self.number, error, given_up);
                drop_quietly(reducer);
                (Ok(()), ends)
            }
            Err(_) => {
                drop_quietly(reducer);
                (Err(PipelineError::Panicked("reducer")), true)
            }
        };
        if ends {
            self.stop.raise();
            self.relay.desert();
            // And so do those that were on their way.
            self.frames.iter().for_each(drop);
        }
        result
    }

    /// Keeps the reducer as full as the frames allow, starts what it has when no other frame waits, and waits for a batch
    /// only when there is nothing to hand in: a device that computes must go on being fed.
    fn drive(&self, reducer: &mut dyn Reducer) -> Result<End, ReduceError> {
        let mut in_flight = 0;
        let mut open = true;
        while open || in_flight > 0 {
            let mut fed = Instant::now();
            while open && in_flight < reducer.capacity() {
                let next = if in_flight == 0 {
                    self.frames.recv().map_err(|_| RecvTimeoutError::Disconnected)
                } else {
                    // Where others could begin at once, no frame waits in line here.
                    let is_full = self.relay.has_others() && !reducer.wants();
                    match if is_full { Err(TryRecvError::Empty) } else { self.frames.try_recv() } {
                        Err(TryRecvError::Empty) => {
                            self.times.book(Stage::Reduce, in_flight, || reducer.flush())?;
                            if reducer.is_ready()? || fed.elapsed() > UNFED {
                                break;
                            }
                            if is_full {
                                thread::sleep(FEED);
                                continue;
                            }
                            self.frames.recv_timeout(FEED)
                        }
                        next => next.map_err(|_| RecvTimeoutError::Disconnected),
                    }
                };
                match next {
                    Ok(frame) => {
                        let _asks = self.asks("taking a frame", in_flight);
                        self.times.book(Stage::Reduce, frame.id.0, || reducer.submit(frame))?;
                        in_flight += 1;
                        fed = Instant::now();
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => open = false,
                }
            }
            if in_flight == 0 {
                continue;
            }
            let asks = self.asks("waiting for a batch", in_flight);
            let outcomes = self.times.book(Stage::Reduce, in_flight, || {
                reducer.flush()?;
                reducer.collect()
            })?;
            drop(asks);
            in_flight = in_flight.saturating_sub(outcomes.len().max(1));
            for outcome in outcomes {
                if self.outcomes.send(outcome).is_err() {
                    return Ok(End::Unheard);
                }
            }
        }
        Ok(End::Done)
    }

    fn asks(&self, doing: &'static str, frames: usize) -> Asking<'_> {
        self.relay.asks(self.number, doing, frames)
    }
}
