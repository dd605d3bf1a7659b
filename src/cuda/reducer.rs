//! The reducer on a GPU: frames are uploaded as they come, computed a batch at a time, in several lanes.
//!
//! One lane gathers while others compute and send their results back. A batch starts when it is full, or when nobody waits
//! with another frame and the GPU has nothing else to do: under load batches grow by themselves, and a single live frame
//! starts at once. Frames that come when every lane is busy wait in line and are uploaded by the next `collect`.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use super::driver::{Event, Stream};
use super::engine::CudaEngine;
use super::error::CudaError;
use super::lane::{self, Lane, MAX_BATCH, Step, Sums};
use super::patterns::DevicePatterns;
use super::verdict;
use crate::frame::{BadFrame, Frame, FrameHeader, FrameId, Norms, Outcome, Pattern};
use crate::reduce::{ReduceError, Reducer};
use crate::trace::{self, Span, Timeline};

/// Part of the free device memory that lanes may take.
const SHARE_OF_FREE: f64 = 0.8;

/// Sizes of a reducer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Batches under way at once, the one that gathers included.
    pub lanes: usize,
    /// Most frames of a batch.
    pub batch: usize,
}

impl Default for Options {
    /// Two lanes: one uploads while the other computes, which takes a third of the time. 32 frames read the matrix four times.
    fn default() -> Self {
        Options { lanes: 2, batch: 32 }
    }
}

/// A frame of a batch, once its bytes are on their way.
#[derive(Debug)]
struct Gathered {
    id: FrameId,
    origin: Arc<Path>,
    header: FrameHeader,
    /// Already known to be bad: it was not uploaded.
    bad: Option<BadFrame>,
}

/// A lane and the frames of its batch, in the order in which they came.
struct Place {
    lane: Lane,
    gathered: Vec<Gathered>,
}

/// Reduces frames on one GPU.
pub struct CudaReducer {
    // Lanes go before the engine: their streams are waited for while everything they use is alive.
    places: Vec<Place>,
    /// The place that gathers.
    gathering: Option<usize>,
    /// Places that compute, oldest first.
    in_flight: VecDeque<usize>,
    idle: Vec<usize>,
    waiting: VecDeque<Frame>,
    options: Options,
    /// Norms of the frame before: most frames have the same invalid pixels.
    last_norms: Option<(Vec<i64>, Arc<Norms>)>,
    timeline: Option<Clock>,
    kept: Option<Arc<DevicePatterns>>,
    engine: Arc<CudaEngine>,
}

/// Ties the device's clock to a timeline's.
struct Clock {
    timeline: Timeline,
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
    pub fn new(engine: Arc<CudaEngine>, wanted: Options) -> Result<CudaReducer, CudaError> {
        let (free, _) = engine.context().memory()?;
        CudaReducer::with_memory(engine, wanted, (free as f64 * SHARE_OF_FREE) as usize)
    }

    /// [`CudaReducer::new`] with at most `memory` bytes of the device for all lanes together.
    ///
    /// # Errors
    /// As [`CudaReducer::new`].
    pub fn with_memory(
        engine: Arc<CudaEngine>,
        wanted: Options,
        memory: usize,
    ) -> Result<CudaReducer, CudaError> {
        let options = fit(&engine, wanted, memory)?;
        let place = |_| Ok(Place { lane: Lane::new(&engine, options.batch)?, gathered: Vec::new() });
        let places = (0..options.lanes).map(place).collect::<Result<Vec<_>, CudaError>>()?;
        Ok(CudaReducer {
            idle: (0..places.len()).rev().collect(),
            places,
            gathering: None,
            in_flight: VecDeque::new(),
            waiting: VecDeque::new(),
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

    /// Adds each batch's steps to a timeline from now on, one row a lane.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn record(&mut self, timeline: Timeline) -> Result<(), CudaError> {
        for place in &mut self.places {
            place.lane.time_uploads()?;
        }
        let context = self.engine.context();
        let (stream, epoch) = (Stream::new(context)?, Event::new(context)?);
        epoch.enqueue(&stream)?;
        epoch.wait()?;
        let offset = timeline.now();
        self.timeline = Some(Clock { timeline, epoch, offset });
        Ok(())
    }

    fn add_to_timeline(&self, at: usize, frames: usize) -> Result<(), CudaError> {
        let Some(clock) = &self.timeline else { return Ok(()) };
        for Step { name, start, end, frames } in self.places[at].lane.times_after(&clock.epoch, frames)? {
            let (start, end) = (clock.offset + start, clock.offset + end);
            clock.timeline.add(Span { track: format!("GPU lane {at}"), name, start, end, payload: frames });
        }
        Ok(())
    }

    /// The sizes that fitted.
    pub fn options(&self) -> Options {
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
        if let Some(place) = self.gathering {
            let place = &self.places[place];
            if place.gathered.len() >= self.options.batch || !place.lane.has_room(codec, len) {
                self.launch()?;
            }
        }
        let Some(at) = self.gathering.or_else(|| self.idle.pop()) else { return Ok(Some(frame)) };
        self.gathering = Some(at);
        let bad = verdict::refuse(&self.engine, &frame);
        let Frame { id, origin, header, slot, payload, .. } = frame;
        let place = &mut self.places[at];
        if bad.is_none() {
            let _range = trace::upload(id);
            place.lane.enqueue_upload(codec, slot, payload)?;
        }
        place.gathered.push(Gathered { id, origin, header, bad });
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
            let rows: Vec<usize> = uploaded.map(|frame| frame.id.0).collect();
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

    fn collect_oldest(&mut self) -> Result<Vec<Outcome>, CudaError> {
        self.engine.context().bind()?;
        if self.in_flight.is_empty() {
            self.launch()?;
        }
        let Some(at) = self.in_flight.pop_front() else { return Ok(Vec::new()) };
        let sums = {
            let _range = trace::download(self.places[at].gathered.len());
            self.places[at].lane.wait()?
        };
        let gathered = std::mem::take(&mut self.places[at].gathered);
        if !sums.is_empty() {
            self.add_to_timeline(at, sums.len())?;
        }
        self.idle.push(at);
        // Keep the GPU busy before turning sums into patterns.
        self.feed()?;
        self.release()?;
        if self.in_flight.is_empty() {
            self.launch()?;
        }
        let mut sums = sums.into_iter();
        Ok(gathered.into_iter().filter_map(|frame| self.outcome(frame, &mut sums)).collect())
    }

    /// One frame's outcome; takes the next sums unless the frame was refused.
    fn outcome(&mut self, frame: Gathered, sums: &mut impl Iterator<Item = Sums>) -> Option<Outcome> {
        if let Some(bad) = frame.bad {
            return Some(Err(bad));
        }
        let sums = sums.next()?;
        match verdict::bad_frame(&self.engine, &sums.verdict, frame.id, &frame.origin) {
            Some(bad) => Some(Err(bad)),
            None => Some(Ok(self.pattern(frame.id, frame.header, sums))),
        }
    }

    /// S and V over N: pyFAI's formulas, as in the host's engine.
    fn pattern(&mut self, id: FrameId, header: FrameHeader, sums: Sums) -> Pattern {
        let norms = self.norms(sums.deficits);
        let empty = self.engine.empty;
        let per_bin = |value: &dyn Fn(usize) -> f64| -> Vec<f32> {
            let squared = norms.normalization_squared.iter().enumerate();
            squared.map(|(bin, n2)| if *n2 <= 0.0 { empty } else { value(bin) as f32 }).collect()
        };
        let errors = sums
            .variance
            .as_ref()
            .map(|variance| per_bin(&|bin| variance[bin].sqrt() / norms.normalization[bin]));
        let intensity = per_bin(&|bin| sums.signal[bin] / norms.normalization[bin]);
        Pattern { id, header, intensity, errors, signal: sums.signal, variance: sums.variance, norms }
    }

    fn norms(&mut self, deficits: Option<Vec<i64>>) -> Arc<Norms> {
        let Some(deficits) = deficits else { return self.engine.static_norms() };
        match &self.last_norms {
            Some((same, norms)) if *same == deficits => Arc::clone(norms),
            _ => {
                let norms = Arc::new(self.engine.norms_without(&deficits));
                self.last_norms = Some((deficits, Arc::clone(&norms)));
                norms
            }
        }
    }
}

/// The largest sizes up to `wanted` that fit into `allowed` bytes.
fn fit(engine: &CudaEngine, wanted: Options, allowed: usize) -> Result<Options, CudaError> {
    let mut options = Options { lanes: wanted.lanes.max(1), batch: wanted.batch.clamp(1, MAX_BATCH) };
    loop {
        let needed = options.lanes * lane::bytes_needed(engine, options.batch);
        let addressable = lane::is_addressable(engine, options.batch);
        if addressable && needed <= allowed {
            return Ok(options);
        }
        // Two lanes overlap; below that, smaller batches do not help.
        match options {
            Options { batch: 2.., .. } => options.batch = options.batch.div_ceil(2),
            Options { lanes: 2.., .. } => options.lanes -= 1,
            _ if !addressable => return Err(CudaError::FrameTooLarge { pixels: engine.shape.pixels() }),
            _ => {
                return Err(CudaError::OutOfMemory {
                    purpose: "one lane for one frame",
                    asked: needed,
                    free: allowed,
                });
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
        self.options.lanes * self.options.batch
    }

    fn submit(&mut self, frame: Frame) -> Result<(), ReduceError> {
        self.engine.context().bind()?;
        self.release()?;
        self.waiting.push_back(frame);
        Ok(self.feed()?)
    }

    fn flush(&mut self) -> Result<(), ReduceError> {
        self.engine.context().bind()?;
        self.release()?;
        let mut busy = false;
        for at in &self.in_flight {
            busy |= !self.places[*at].lane.is_done().map_err(ReduceError::from)?;
        }
        if !busy {
            self.launch()?;
        }
        Ok(())
    }

    fn is_ready(&self) -> Result<bool, ReduceError> {
        self.engine.context().bind()?;
        match self.in_flight.front() {
            Some(at) => Ok(self.places[*at].lane.is_done()?),
            None => Ok(false),
        }
    }

    fn collect(&mut self) -> Result<Vec<Outcome>, ReduceError> {
        Ok(self.collect_oldest()?)
    }
}
