//! What no plan can beat, measured with the product's own readers and corridor: reading alone, reading and uploading, and
//! uploading alone.
//!
//! [`Dropped`] and [`Uploads`] stand where a reducer stands, take frames and compute nothing. What a plan reaches of the
//! ceiling measured in the same run means more than its frames a second: machines differ and drift.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::BenchError;
use super::subject::Subject;
use crate::cuda::driver::{Context, DeviceBuffer, Event, Stream};
use crate::cuda::{CudaError, LaneSizes, pinned};
use crate::frame::{Frame, FrameHeader, FrameId, Norms, Outcome, Pattern, SlotPool};
use crate::pipeline::Strategy;
use crate::reduce::host::BATCH;
use crate::reduce::{ReduceError, Reducer};
use crate::session::Doors;
use crate::session::Engines;

/// A ceiling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ceiling {
    /// Files to ordinary memory.
    Read {
        /// Threads.
        readers: usize,
    },
    /// Files to pinned memory.
    ReadPinned {
        /// Threads.
        readers: usize,
    },
    /// Files to pinned memory to GPUs.
    ReadUpload {
        /// Threads.
        readers: usize,
        /// How many take turns.
        gpus: usize,
    },
    /// Pinned memory to the GPU; no files.
    Upload,
}

impl Ceiling {
    /// Whether it needs a GPU.
    pub fn needs_gpu(self) -> bool {
        !matches!(self, Ceiling::Read { .. })
    }

    /// The ceiling in words.
    pub fn words(self) -> String {
        match self {
            Ceiling::Read { readers } => format!("{readers} readers, frames dropped"),
            Ceiling::ReadPinned { readers } => {
                format!("{readers} readers into pinned memory, frames dropped")
            }
            Ceiling::ReadUpload { readers, gpus: 1 } => {
                format!("{readers} readers, frames uploaded and dropped")
            }
            Ceiling::ReadUpload { readers, gpus } => {
                format!("{readers} readers, frames uploaded to {gpus} GPUs and dropped")
            }
            Ceiling::Upload => "one frame's bytes after another, no files".to_owned(),
        }
    }

    /// The doors of a ceiling that reads files; [`Ceiling::Upload`] has none and is measured by [`upload`].
    ///
    /// # Errors
    /// When it needs a GPU and there is none, or it refuses.
    pub fn doors(self, subject: &Subject, engines: &Engines, frames: usize) -> Result<Doors, BenchError> {
        // As many slots as the plans have that are compared with it.
        let LaneSizes { lanes, batch } = LaneSizes::default();
        let (readers, reducers, slots): (_, Vec<Box<dyn Reducer>>, _) = match self {
            Ceiling::Read { readers } => {
                let slots = SlotPool::on_host(2 * BATCH * readers + readers, subject.slot_bytes);
                (readers, vec![Box::new(Dropped::default())], slots)
            }
            Ceiling::ReadPinned { readers } => {
                let slots = (lanes + 1) * batch + readers;
                let slots = pinned::slots(engines.gpu()?.context(), slots, subject.slot_bytes)?;
                (readers, vec![Box::new(Dropped::default())], slots)
            }
            Ceiling::ReadUpload { readers, gpus } => {
                let gpus: Vec<_> =
                    engines.gpus(gpus)?.iter().map(|engine| Arc::clone(engine.context())).collect();
                let slots = gpus.len() * (lanes + 1) * batch + readers;
                let uploads = |context| Ok(Box::new(Uploads::new(context, slots, subject.slot_bytes)?) as _);
                let reducers = gpus.iter().map(uploads).collect::<Result<_, BenchError>>()?;
                (readers, reducers, pinned::slots_for(&gpus, slots, subject.slot_bytes)?)
            }
            Ceiling::Upload => return Err(BenchError::NoFrames),
        };
        let source = subject.plan.frames.source(frames, false);
        Ok(Doors {
            readers: (0..readers).map(|_| source.reader()).collect(),
            source,
            reducers,
            packed: slots.clone(),
            slots,
            strategy: Strategy::Pool,
            may_go_on: false,
            notes: vec![],
        })
    }
}

impl From<CudaError> for BenchError {
    fn from(error: CudaError) -> BenchError {
        BenchError::Gpu(error.to_string())
    }
}

/// Frames a second when `len` bytes each are uploaded from pinned memory and nothing else happens.
///
/// # Errors
/// What went wrong on the device.
pub fn upload(context: &Arc<Context>, len: usize, time: Duration) -> Result<(f64, usize), BenchError> {
    /// Buffers in turn: more than any cache holds.
    const BUFFERS: usize = 64;
    /// Uploads between two waits.
    const AHEAD: usize = 256;
    context.bind()?;
    let room = len.next_multiple_of(4096);
    let slots = pinned::slots(context, BUFFERS, room)?;
    let held: Vec<_> = (0..BUFFERS).map(|_| slots.take()).collect();
    let target = DeviceBuffer::take(context, BUFFERS * room, "uploads")?;
    let streams = [Stream::new(context)?, Stream::new(context)?];
    let enqueue = |count: usize| -> Result<(), CudaError> {
        for n in 0..count {
            let at = n % BUFFERS;
            // SAFETY: the slots are held until the streams have been waited for.
            unsafe { streams[n % 2].enqueue_upload(&target, at * room, &held[at].memory().bytes()[..len]) }?;
        }
        streams.iter().try_for_each(Stream::wait)
    };
    enqueue(BUFFERS)?;
    let (start, mut done) = (Instant::now(), 0);
    while done == 0 || start.elapsed() < time {
        enqueue(AHEAD)?;
        done += AHEAD;
    }
    Ok((done as f64 / start.elapsed().as_secs_f64(), done))
}

fn nothing(id: FrameId) -> Outcome {
    Ok(Pattern {
        id,
        header: FrameHeader::default(),
        intensity: vec![],
        sem: None,
        std: None,
        count: None,
        signal: vec![],
        variance: None,
        norms: Arc::new(Norms::default()),
        saturated: 0,
    })
}

/// Takes frames and lets them go: what reading alone costs.
#[derive(Debug, Default)]
pub struct Dropped(Vec<FrameId>);

impl Reducer for Dropped {
    fn capacity(&self) -> usize {
        BATCH
    }

    fn submit(&mut self, frame: Frame) -> Result<(), ReduceError> {
        self.0.push(frame.id);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ReduceError> {
        Ok(())
    }

    fn is_ready(&self) -> Result<bool, ReduceError> {
        Ok(true)
    }

    fn collect(&mut self) -> Result<Vec<Outcome>, ReduceError> {
        Ok(self.0.drain(..).map(nothing).collect())
    }

    fn abandon(&mut self) -> Vec<FrameId> {
        std::mem::take(&mut self.0)
    }
}

/// Uploads frames and does nothing with them: the ceiling of anything on a GPU.
pub struct Uploads {
    // The stream goes first: it waits for its work while buffer and slots are alive.
    stream: Stream,
    arena: DeviceBuffer<u8>,
    events: Vec<Event>,
    flying: VecDeque<(usize, Frame)>,
    next: usize,
    room: usize,
}

impl Uploads {
    /// Room for `count` frames of up to `room` bytes under way.
    ///
    /// # Errors
    /// When the device has too little memory.
    pub fn new(context: &Arc<Context>, count: usize, room: usize) -> Result<Uploads, CudaError> {
        Ok(Uploads {
            stream: Stream::new(context)?,
            arena: DeviceBuffer::take(context, count * room, "uploaded frames")?,
            events: (0..count).map(|_| Event::new(context)).collect::<Result<_, _>>()?,
            flying: VecDeque::new(),
            next: 0,
            room,
        })
    }
}

impl Reducer for Uploads {
    fn capacity(&self) -> usize {
        self.events.len()
    }

    fn submit(&mut self, frame: Frame) -> Result<(), ReduceError> {
        self.stream.context().bind()?;
        let at = self.next;
        self.next = (at + 1) % self.events.len();
        let bytes = frame.bytes();
        if bytes.len() > self.room {
            return Err(ReduceError::Device(format!("a frame of {} bytes", bytes.len())));
        }
        // SAFETY: the frame is kept in `flying` until the event behind the copy is done, and the stream is dropped first.
        unsafe { self.stream.enqueue_upload(&self.arena, at * self.room, bytes) }?;
        self.events[at].enqueue(&self.stream)?;
        self.flying.push_back((at, frame));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ReduceError> {
        Ok(())
    }

    fn is_ready(&self) -> Result<bool, ReduceError> {
        self.flying.front().map_or(Ok(false), |(at, _)| Ok(self.events[*at].is_done()?))
    }

    fn collect(&mut self) -> Result<Vec<Outcome>, ReduceError> {
        let Some((at, _)) = self.flying.front() else { return Ok(vec![]) };
        self.events[*at].wait()?;
        let mut outcomes = Vec::new();
        while let Some((at, frame)) = self.flying.front() {
            if !self.events[*at].is_done()? {
                break;
            }
            outcomes.push(nothing(frame.id));
            self.flying.pop_front();
        }
        Ok(outcomes)
    }

    fn abandon(&mut self) -> Vec<FrameId> {
        let given_up = self.flying.iter().map(|(_, frame)| frame.id).collect();
        // Where that fails they stay until the stream is gone.
        if self.stream.wait().is_ok() {
            self.flying.clear();
        }
        given_up
    }
}
