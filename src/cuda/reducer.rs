//! The reducer on a GPU: frames are uploaded as they come, computed a batch at a time, in several lanes.
//!
//! One lane gathers while others compute and send their results back. A batch starts when it is full, or when nobody waits
//! with another frame and the GPU has nothing else to do: under load batches grow by themselves, and a single live frame
//! starts at once. Frames that come when every lane is busy wait in line until one is free.
//!
//! A batch that has come back is *settled*. When frames are verified ([`CudaReducer::verify`]) its bytes stay on the device until their
//! digests are there, tens of milliseconds later, while the lane goes on with another arena; only then are its outcomes given.

use std::collections::VecDeque;
use std::sync::Arc;

use super::codec::md5::{Digests, MOST_ENTRIES};
use super::driver::{DeviceBuffer, Event, Stream};
use super::engine::CudaEngine;
use super::error::CudaError;
use super::integrate::fused::Fused;
use super::integrate::keep::{DevicePatterns, KeptRow};
use super::lane::{self, FrameSums, Lane, LaneSizes, TimedStep};
use super::verdict;
use crate::codec::md5;
use crate::frame::{BadFrame, Digest, Frame, FrameHeader, FrameId, FrameStatus, Norms, Origin, Outcome};
use crate::integrate::pattern::{self, FrameFacts};
use crate::reduce::{ReduceError, Reducer};
use crate::trace::{self, Span, Timeline};

/// Part of the free device memory that lanes may take.
const SHARE_OF_FREE: f64 = 0.8;
/// Batches whose digests are under way at once: as many as come in the time that a digest takes. Alone that is 30 ms for 2.48 MB, beside
/// everything else two or three times as long, so that fewer slow the corridor down (profiles/notes/md5.md).
const VERIFIED_AT_ONCE: usize = 60;
/// Fewest frames of a run for which the device makes digests: the host takes 4 ms for one of 2.48 MB, the device 30 for any number.
const FEWEST_VERIFIED: usize = 8;

/// A frame of a batch, once its bytes are on their way.
#[derive(Debug)]
struct Gathered {
    id: FrameId,
    origin: Origin,
    header: FrameHeader,
    factor: f64,
    /// What its bytes must have, when the device is to find that out.
    digest: Option<Digest>,
    /// Already known to be bad: it was not uploaded.
    bad: Option<BadFrame>,
}

/// A lane and the frames of its batch, in the order in which they came.
struct Batch {
    lane: Lane,
    gathered: Vec<Gathered>,
}

/// A batch that has come back.
struct Settled {
    outcomes: Vec<Outcome>,
    /// The entry of [`Verifying`] that makes its digests; what they are compared with, one a frame that was uploaded.
    entry: Option<(usize, Vec<Written>)>,
}

/// What a frame's header says of its bytes.
struct Written {
    /// Which of the batch's outcomes.
    outcome: usize,
    origin: Origin,
    digest: Option<Digest>,
}

/// Digests, and arenas that lanes go on with while the bytes in theirs are looked at.
struct Verifying {
    digests: Digests,
    spare: Vec<Arc<DeviceBuffer<u8>>>,
    /// Places whose arena is looked at, and for which there was no other.
    bare: Vec<usize>,
}

/// Reduces frames on one GPU.
pub struct CudaReducer {
    // Lanes go before the engine: their streams are waited for while everything they use is alive.
    places: Vec<Batch>,
    /// The place that gathers.
    gathering: Option<usize>,
    /// Places that compute, oldest first.
    in_flight: VecDeque<usize>,
    idle: Vec<usize>,
    /// Batches that have come back, oldest first.
    settled: VecDeque<Settled>,
    verifying: Option<Verifying>,
    waiting: VecDeque<Frame>,
    /// What went wrong beside outcomes that were there to be given first.
    failed: Option<CudaError>,
    options: LaneSizes,
    /// Norms of the frame before: most frames have the same invalid pixels.
    last_norms: Option<(Vec<i64>, Arc<Norms>)>,
    timeline: Option<Clock>,
    kept: Option<Arc<DevicePatterns>>,
    engine: Arc<CudaEngine>,
}

/// Ties the device's clock to a timeline's.
struct Clock {
    timeline: Timeline,
    gpu: String,
    /// Recorded when the timeline said `offset`.
    epoch: Event,
    offset: f64,
}

impl CudaReducer {
    /// Takes the lanes' memory. Where the GPU has too little of it, batches and then lanes become fewer: see
    /// [`CudaReducer::options`].
    ///
    /// # Errors
    /// When not even one lane for one frame fits.
    pub fn new(engine: Arc<CudaEngine>, wanted: LaneSizes) -> Result<CudaReducer, CudaError> {
        let (free, _) = engine.context().memory()?;
        CudaReducer::with_memory(engine, wanted, (free as f64 * SHARE_OF_FREE) as usize)
    }

    /// [`CudaReducer::new`] with at most `memory` bytes of the device for all lanes together.
    ///
    /// # Errors
    /// As [`CudaReducer::new`].
    pub fn with_memory(
        engine: Arc<CudaEngine>,
        wanted: LaneSizes,
        memory: usize,
    ) -> Result<CudaReducer, CudaError> {
        engine.fused().ok_or(CudaError::NoMatrix)?;
        let options = lane::fit(&engine, wanted, memory)?;
        let place = |_| Ok(Batch { lane: Lane::new(&engine, options.batch)?, gathered: Vec::new() });
        let places = (0..options.lanes).map(place).collect::<Result<Vec<_>, CudaError>>()?;
        Ok(CudaReducer {
            idle: (0..places.len()).rev().collect(),
            places,
            gathering: None,
            in_flight: VecDeque::new(),
            settled: VecDeque::new(),
            verifying: None,
            waiting: VecDeque::new(),
            failed: None,
            options,
            last_norms: None,
            timeline: None,
            kept: None,
            engine,
        })
    }

    /// Leaves every good frame's pattern in the row of its id, on the device, from now on.
    pub fn keep(&mut self, patterns: Arc<DevicePatterns>) {
        self.kept = Some(patterns);
    }

    /// Makes the digests of frames that have one on the device from now on; without this, the host makes them one by one.
    ///
    /// Takes memory for the bytes of the batches that are looked at, of a run of `frames` frames; where there is little, fewer are, which
    /// is slower. Where there is none, or there are few frames, the host goes on doing it.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn verify(&mut self, frames: usize) -> Result<(), CudaError> {
        let (free, _) = self.engine.context().memory()?;
        let fit =
            (free as f64 * SHARE_OF_FREE) as usize / lane::arena_bytes(&self.engine, self.options.batch);
        let spare = fit
            .min(frames.div_ceil(self.options.batch))
            .min(VERIFIED_AT_ONCE)
            .min(MOST_ENTRIES - self.options.lanes.min(MOST_ENTRIES));
        if spare > 0 && frames >= FEWEST_VERIFIED {
            let arena = |_| lane::arena(&self.engine, self.options.batch);
            self.verifying = Some(Verifying {
                digests: Digests::new(self.engine.context(), spare + self.options.lanes)?,
                spare: (0..spare).map(arena).collect::<Result<_, _>>()?,
                bare: Vec::new(),
            });
        }
        Ok(())
    }

    /// Adds each batch's steps to a timeline from now on, one row a lane; `gpu` says which GPU's they are.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn record(&mut self, timeline: Timeline, gpu: String) -> Result<(), CudaError> {
        for place in &mut self.places {
            place.lane.time_uploads()?;
        }
        let context = self.engine.context();
        let (stream, epoch) = (Stream::new(context)?, Event::new(context)?);
        epoch.enqueue(&stream)?;
        epoch.wait()?;
        let offset = timeline.now();
        self.timeline = Some(Clock { timeline, gpu, epoch, offset });
        Ok(())
    }

    fn add_to_timeline(&self, at: usize, frames: usize) -> Result<(), CudaError> {
        let Some(clock) = &self.timeline else { return Ok(()) };
        for TimedStep { name, start, end, frames } in
            self.places[at].lane.times_after(&clock.epoch, frames)?
        {
            let (start, end) = (clock.offset + start, clock.offset + end);
            let track = format!("{} lane {at}", clock.gpu);
            clock.timeline.add(Span { track, name, start, end, payload: frames });
        }
        Ok(())
    }

    /// The sizes that fitted.
    pub fn options(&self) -> LaneSizes {
        self.options
    }

    /// Takes in frames that wait, as far as there is room.
    fn feed(&mut self) -> Result<(), CudaError> {
        while let Some(frame) = self.waiting.pop_front() {
            if let Some(frame) = self.take_in(frame)? {
                self.waiting.push_front(frame);
                break;
            }
        }
        Ok(())
    }

    /// Puts a frame into the batch that gathers; gives it back when every lane is busy.
    fn take_in(&mut self, frame: Frame) -> Result<Option<Frame>, CudaError> {
        let (codec, len) = (frame.encoding.codec, frame.payload.len());
        let cutoff = self.engine.saturation.cutoff_of(&frame.header);
        if let Some(place) = self.gathering {
            let place = &self.places[place];
            let is_full = place.gathered.len() >= self.options.batch || !place.lane.has_room(codec, len);
            // A batch has one cutoff. Frames of a scan nearly always agree.
            if is_full || place.lane.cutoff() != cutoff {
                self.launch()?;
            }
        }
        let Some(at) = self.gathering.or_else(|| self.idle.pop()) else { return Ok(Some(frame)) };
        self.gathering = Some(at);
        let refused = verdict::refuse(&self.engine, &frame);
        // One that is not uploaded, or that the device is not to look at, is looked at here: the law itself.
        let on_device = refused.is_none() && self.verifying.is_some();
        let digest = md5::expected(&frame).filter(|_| on_device);
        let damaged = if on_device { None } else { md5::damage_of(&frame) };
        let bad = damaged.or(refused);
        let Frame { id, origin, header, factor, slot, payload, .. } = frame;
        let place = &mut self.places[at];
        let is_good = bad.is_none();
        // It is in flight from here on, whatever happens to it.
        place.gathered.push(Gathered { id, origin, header, factor, digest, bad });
        if is_good {
            let _range = trace::upload(id);
            place.lane.set_cutoff(cutoff);
            place.lane.enqueue_upload(codec, slot, payload)?;
        }
        if place.gathered.len() >= self.options.batch {
            self.launch()?;
        }
        Ok(None)
    }

    /// Starts the batch that gathers.
    fn launch(&mut self) -> Result<(), CudaError> {
        if let Some(at) = self.gathering.take() {
            let place = &mut self.places[at];
            let _range = trace::integrate(place.gathered.len());
            let uploaded = place.gathered.iter().filter(|frame| frame.bad.is_none());
            let row = |frame: &Gathered| KeptRow { row: frame.id.0, factor: frame.factor };
            let rows: Vec<KeptRow> = uploaded.map(row).collect();
            place.lane.enqueue_batch(self.kept.as_deref().map(|kept| (kept, &rows[..])))?;
            self.in_flight.push_back(at);
        }
        Ok(())
    }

    /// Sends home slots whose bytes have been fetched.
    fn release(&mut self) -> Result<(), CudaError> {
        let CudaReducer { places, in_flight, gathering, .. } = self;
        for at in in_flight.iter().chain(gathering.iter()) {
            places[*at].lane.release()?;
        }
        Ok(())
    }

    /// Takes in batches that have come back, without waiting for others.
    fn harvest(&mut self) -> Result<(), CudaError> {
        while let Some(&at) = self.in_flight.front() {
            if !self.places[at].lane.is_done()? {
                break;
            }
            self.settle()?;
        }
        match &mut self.verifying {
            Some(verifying) => verifying.digests.advance(),
            None => Ok(()),
        }
    }

    /// Waits for the oldest batch in flight and makes outcomes of it; its place is free for another.
    fn settle(&mut self) -> Result<(), CudaError> {
        let Some(at) = self.in_flight.pop_front() else { return Ok(()) };
        let sums = {
            let _range = trace::download(self.places[at].gathered.len());
            self.places[at].lane.wait()?
        };
        if !sums.is_empty() {
            self.add_to_timeline(at, sums.len())?;
        }
        let gathered = std::mem::take(&mut self.places[at].gathered);
        let entry = match self.begin_digests(at, &gathered) {
            Ok(entry) => entry,
            Err(error) => {
                // Nobody knows whether these are as they were written.
                self.places[at].gathered = gathered;
                return Err(error);
            }
        };
        // Keep the GPU busy before turning sums into patterns.
        let fed = self.go_on();
        self.later(fed);
        let mut sums = sums.into_iter();
        let outcomes: Vec<Outcome> =
            gathered.into_iter().filter_map(|frame| self.outcome(frame, &mut sums)).collect();
        if let Some(kept) = &self.kept {
            // These left a row on the device: only the host looks at the whole of it.
            let is_implausible = |status| matches!(status, FrameStatus::NoPixels | FrameStatus::NotFinite);
            let bad = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
            let mut bad = bad.filter(|bad| is_implausible(bad.status));
            let forgotten = bad.try_for_each(|bad| kept.forget(bad.id.0));
            self.later(forgotten);
        }
        self.settled.push_back(Settled { outcomes, entry });
        Ok(())
    }

    /// Gives the GPU what waits for it.
    fn go_on(&mut self) -> Result<(), CudaError> {
        self.feed()?;
        self.release()?;
        if self.in_flight.is_empty() { self.launch() } else { Ok(()) }
    }

    /// Keeps an error until outcomes that are there have been given.
    fn later(&mut self, done: Result<(), CudaError>) {
        self.failed = self.failed.take().or(done.err());
    }

    /// Has the digests of a batch made, if it has frames with one; the place is idle then, as soon as it has an arena.
    fn begin_digests(
        &mut self,
        at: usize,
        gathered: &[Gathered],
    ) -> Result<Option<(usize, Vec<Written>)>, CudaError> {
        let uploaded = gathered.iter().enumerate().filter(|(_, frame)| frame.bad.is_none());
        let written = |(outcome, frame): (usize, &Gathered)| Written {
            outcome,
            origin: frame.origin.clone(),
            digest: frame.digest,
        };
        let written: Vec<Written> = uploaded.map(written).collect();
        let Some(verifying) = self.verifying.as_mut().filter(|_| written.iter().any(|w| w.digest.is_some()))
        else {
            self.idle.push(at);
            return Ok(None);
        };
        let lane = &mut self.places[at].lane;
        let spans = &lane.spans()[..written.len()];
        // There is an entry for each arena.
        let entry = verifying.digests.begin(lane.arena(), spans, |frame| written[frame].digest.is_some())?;
        match verifying.spare.pop() {
            Some(arena) => {
                lane.exchange(arena);
                self.idle.push(at);
            }
            None => verifying.bare.push(at),
        }
        verifying.digests.advance()?;
        Ok(Some((entry, written)))
    }

    /// The oldest batch, if all is known of it.
    fn judged(&mut self) -> Result<Option<Vec<Outcome>>, CudaError> {
        if !self.is_judged()? {
            return Ok(None);
        }
        let Some(Settled { mut outcomes, entry }) = self.settled.pop_front() else { return Ok(None) };
        let (Some((entry, written)), Some(verifying)) = (entry, &mut self.verifying) else {
            return Ok(Some(outcomes));
        };
        let Some((digests, arena)) = verifying.digests.take(entry) else { return Ok(Some(outcomes)) };
        match verifying.bare.pop() {
            Some(at) => {
                self.places[at].lane.exchange(arena);
                self.idle.push(at);
            }
            None => verifying.spare.push(arena),
        }
        for (Written { outcome, origin, digest }, found) in written.iter().zip(digests) {
            let Some(digest) = digest.filter(|digest| *digest != found) else { continue };
            let outcome = &mut outcomes[*outcome];
            let id = outcome.as_ref().map_or_else(|bad| bad.id, |pattern| pattern.id);
            let message = md5::damaged(origin, digest, found);
            let forgotten = match (&self.kept, &*outcome) {
                (Some(kept), Ok(_)) => kept.forget(id.0),
                _ => Ok(()),
            };
            self.failed = self.failed.take().or(forgotten.err());
            *outcome = Err(BadFrame { id, status: FrameStatus::Md5Mismatch, message });
        }
        let fed = self.feed();
        self.later(fed);
        Ok(Some(outcomes))
    }

    fn is_judged(&self) -> Result<bool, CudaError> {
        match (self.settled.front().map(|settled| &settled.entry), &self.verifying) {
            (None, _) => Ok(false),
            (Some(Some((entry, _))), Some(verifying)) => verifying.digests.is_done(*entry),
            (Some(_), _) => Ok(true),
        }
    }

    fn collect_oldest(&mut self) -> Result<Vec<Outcome>, CudaError> {
        loop {
            // What has come back is good, even if the device is not any more.
            let harvested = self.ready().and_then(|()| self.harvest());
            self.later(harvested);
            if let Some(outcomes) = self.judged()? {
                return Ok(outcomes);
            }
            self.ready()?;
            if self.in_flight.is_empty() {
                self.launch()?;
            }
            match &mut self.verifying {
                _ if !self.in_flight.is_empty() => self.settle()?,
                Some(verifying) if !self.settled.is_empty() => {
                    let _range = trace::download(0);
                    verifying.digests.wait()?;
                }
                _ => return Ok(Vec::new()),
            }
        }
    }

    /// Whether the device can be asked for anything.
    fn ready(&self) -> Result<(), CudaError> {
        match &self.failed {
            Some(error) => Err(error.clone()),
            None => self.engine.context().bind(),
        }
    }

    /// Frames that were handed in and that no outcome was given for.
    fn frames_in_flight(&self) -> Vec<FrameId> {
        let gathered = self.places.iter().flat_map(|place| &place.gathered).map(|frame| frame.id);
        let settled = self.settled.iter().flat_map(|settled| &settled.outcomes);
        let settled = settled.map(|outcome| outcome.as_ref().map_or_else(|bad| bad.id, |pattern| pattern.id));
        settled.chain(gathered).chain(self.waiting.iter().map(|frame| frame.id)).collect()
    }

    /// An error, with the frames that it meets.
    fn name(&self, error: CudaError) -> ReduceError {
        let frames = self.frames_in_flight();
        match frames.is_empty() {
            true => error.into(),
            false => CudaError::InFlight { error: Box::new(error), frames }.into(),
        }
    }

    /// One frame's outcome; takes the next sums unless the frame was refused.
    fn outcome(&mut self, frame: Gathered, sums: &mut impl Iterator<Item = FrameSums>) -> Option<Outcome> {
        if let Some(bad) = frame.bad {
            return Some(Err(bad));
        }
        let sums = sums.next()?;
        if let Some(bad) = verdict::bad_frame(&self.engine, &sums.verdict, frame.id, &frame.origin) {
            return Some(Err(bad));
        }
        let engine = Arc::clone(&self.engine);
        let fused = engine.fused()?;
        let norms = self.norms(fused, sums.deficits);
        let of = FrameFacts {
            id: frame.id,
            origin: &frame.origin,
            header: frame.header,
            factor: frame.factor,
            saturated: sums.saturated,
        };
        let sums = pattern::Sums { signal: sums.signal, variance: sums.variance, norms, chosen: false };
        Some(pattern::pattern(of, sums, fused.empty))
    }

    fn norms(&mut self, fused: &Fused, deficits: Option<Vec<i64>>) -> Arc<Norms> {
        let Some(deficits) = deficits else { return Arc::clone(&fused.norms) };
        match &self.last_norms {
            Some((same, norms)) if *same == deficits => Arc::clone(norms),
            _ => {
                let norms = Arc::new(fused.norms_without(&deficits));
                self.last_norms = Some((deficits, Arc::clone(&norms)));
                norms
            }
        }
    }
}

impl From<CudaError> for ReduceError {
    fn from(error: CudaError) -> ReduceError {
        ReduceError::Device(error.to_string())
    }
}

impl Reducer for CudaReducer {
    fn capacity(&self) -> usize {
        let looked_at =
            self.verifying.as_ref().map_or(0, |verifying| verifying.digests.capacity() - self.options.lanes);
        (self.options.lanes + looked_at) * self.options.batch
    }

    /// Until another batch of them waits for the next lane that is free.
    fn wants(&self) -> bool {
        self.waiting.len() < self.options.batch
    }

    fn device(&self) -> Option<String> {
        Some(format!("cuda:{}", self.engine.context().ordinal()))
    }

    fn submit(&mut self, frame: Frame) -> Result<(), ReduceError> {
        // In flight from here on, whatever happens to it.
        self.waiting.push_back(frame);
        let taken = self.ready().and_then(|()| {
            self.release()?;
            self.harvest()?;
            self.feed()
        });
        taken.map_err(|error| self.name(error))
    }

    fn flush(&mut self) -> Result<(), ReduceError> {
        let started = self.ready().and_then(|()| {
            self.release()?;
            self.harvest()?;
            if self.in_flight.is_empty() { self.launch() } else { Ok(()) }
        });
        started.map_err(|error| self.name(error))
    }

    fn is_ready(&self) -> Result<bool, ReduceError> {
        let judged = self.engine.context().bind().and_then(|()| self.is_judged());
        judged.map_err(|error| self.name(error))
    }

    fn collect(&mut self) -> Result<Vec<Outcome>, ReduceError> {
        self.collect_oldest().map_err(|error| self.name(error))
    }

    /// Waits for the device as long as for a batch. When that works the reducer can be used again.
    fn abandon(&mut self) -> Vec<FrameId> {
        let frames = self.frames_in_flight();
        self.waiting.clear();
        self.settled.clear();
        self.gathering = None;
        self.in_flight.clear();
        for place in &mut self.places {
            place.gathered.clear();
            // An error comes again, should anybody go on.
            let _ = place.lane.abandon();
        }
        // Waits for the digests; then a lane's arena is its own again. Later frames' are made by the host.
        self.verifying = None;
        self.idle = (0..self.places.len()).rev().collect();
        self.failed = self.engine.context().bind().err();
        frames
    }
}
