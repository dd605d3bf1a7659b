//! The doors of the corridor, open: readers, reducers, and the slots between them. Nothing else opens any.

use std::sync::Arc;

use super::budget;
use super::crew::{Crew, Decode, Reducers, Traffic};
use super::device::Device;
use super::engines::Engines;
use super::error::{Concern, OrAbout, SessionError};
use super::near;
use super::plan::Plan;
use super::store::PatternStore;
use crate::cuda::driver::Context;
use crate::cuda::{CudaEngine, CudaError, CudaReducer, DevicePatterns, LaneSizes, numa, pinned};
use crate::frame::SlotPool;
use crate::output::sink::Sink;
use crate::pipeline::{
    self, BadFrames, Corridor, MOST_WAITING, PipelineError, Report, Stop, Strategy, Watch,
};
use crate::reduce::Reducer;
use crate::reduce::host::{BATCH, HostReducer};
use crate::source::decoded::Decoding;
use crate::source::{Reader, Source};
use crate::trace::{self, Timeline};

/// Doors, open, and who stands behind them.
pub struct Doors {
    /// The first door.
    pub source: Box<dyn Source>,
    /// Second doors.
    pub readers: Vec<Box<dyn Reader>>,
    /// Third doors.
    pub reducers: Vec<Box<dyn Reducer>>,
    /// What the source receives into.
    pub packed: SlotPool,
    /// What frames travel in.
    pub slots: SlotPool,
    /// How they are manned.
    pub strategy: Strategy,
    /// Whether the cores may take the place of reducers that fail: where nobody asked for these.
    pub may_go_on: bool,
    /// What is not as it was wanted.
    pub notes: Vec<String>,
}

impl Doors {
    /// Opens them; frames travel in slots that are `pinned` already, if there are any. With a timeline, a GPU's lanes are recorded in
    /// it; with a store, patterns stay on the GPU too, if it is one and they fit.
    ///
    /// # Errors
    /// When there is no GPU and the crew needs one, or it refuses.
    pub fn open(
        crew: &Crew,
        engines: &Engines,
        source: Box<dyn Source>,
        traffic: Traffic,
        pinned: Option<Pinned>,
        timeline: Option<&Timeline>,
        kept: Option<&mut PatternStore>,
    ) -> Result<Doors, SessionError> {
        let bytes = traffic.bytes(crew);
        let mut notes = vec![];
        let readers: Vec<_> = (0..crew.reading()).map(|_| reader(crew, source.as_ref())).collect();
        let (readers, reducers, slots) = match crew.reducers {
            Reducers::Host(workers) => {
                let engine = engines.host()?;
                // One frame at a time gains nothing from waiting for company.
                let batch = if crew.readers.is_none() { 1 } else { BATCH };
                let reducer =
                    |_| Box::new(HostReducer::with_batch(Arc::clone(engine), batch)) as Box<dyn Reducer>;
                (
                    readers,
                    (0..workers).map(reducer).collect(),
                    SlotPool::on_host(budget::slots(crew, traffic.frames), bytes),
                )
            }
            Reducers::Gpus(gpus, wanted) => {
                let engines = engines.gpus(gpus)?;
                // Patterns of several GPUs meet in the host's memory only.
                let mut kept = kept.filter(|_| engines.len() == 1);
                let reducer =
                    |engine| cuda_reducer((crew, wanted), engine, traffic, timeline, kept.as_deref_mut());
                let reducers = engines.iter().copied().map(reducer).collect::<Result<Vec<_>, _>>()?;
                // The GPUs may have had no room for all that was wanted.
                let fitted = reducers.iter().map(CudaReducer::options);
                let fitted = fitted.max_by_key(|sizes| sizes.lanes * sizes.batch).unwrap_or(wanted);
                let fitted = Crew { reducers: Reducers::Gpus(engines.len(), fitted), ..*crew };
                let Pinned { slots, note } = match pinned {
                    Some(pinned) => pinned,
                    None => {
                        let contexts: Vec<_> = engines.iter().map(|gpu| Arc::clone(gpu.context())).collect();
                        Pinned::take(&contexts, &fitted, traffic).or_about(Concern::Device)?
                    }
                };
                notes.extend(note);
                let reducers = reducers.into_iter().map(|reducer| Box::new(reducer) as _).collect();
                (near::at_nodes(readers, &engines), reducers, slots)
            }
        };
        let packed = packed_slots(crew, readers.len(), &slots);
        let strategy = crew.strategy();
        Ok(Doors { source, readers, reducers, packed, slots, strategy, may_go_on: false, notes })
    }

    /// Doors to reducers that are there already, what is left of those of a run, for the frames of another source. They travel in slots
    /// that are there, too; those that did not come home are replaced.
    ///
    /// # Errors
    /// When no GPU is left that the crew needs.
    pub(super) fn to_those_left(
        crew: &Crew,
        engines: &Engines,
        source: Box<dyn Source>,
        traffic: Traffic,
        reducers: Vec<Box<dyn Reducer>>,
        slots: SlotPool,
    ) -> Result<Doors, SessionError> {
        let readers: Vec<_> = (0..crew.reading()).map(|_| reader(crew, source.as_ref())).collect();
        let (readers, crew) = match crew.reducers {
            Reducers::Host(_) => (readers, *crew),
            Reducers::Gpus(gpus, sizes) => {
                let crew = Crew { reducers: Reducers::Gpus(reducers.len(), sizes), ..*crew };
                (near::at_nodes(readers, &engines.gpus(gpus)?), crew)
            }
        };
        slots.refill(budget::slots(&crew, traffic.frames));
        let packed = packed_slots(&crew, readers.len(), &slots);
        let strategy = crew.strategy();
        Ok(Doors { source, readers, reducers, packed, slots, strategy, may_go_on: false, notes: vec![] })
    }

    /// Walks frames through them, to be measured: the first bad frame ends it, and a device that fails.
    pub fn walk<'a>(
        self,
        sink: &'a mut dyn Sink,
        stop: Stop,
        timeline: Option<Timeline>,
        watchers: Vec<&'a mut dyn Watch>,
    ) -> (Report, Result<(), PipelineError>) {
        let Doors { source, readers, reducers, packed, slots, strategy, .. } = self;
        let corridor = Corridor {
            source,
            readers,
            reducers,
            sink,
            packed,
            slots,
            waiting: MOST_WAITING,
            bad_frames: BadFrames::Stop,
            stop,
            timeline,
            watchers,
        };
        pipeline::run(corridor, strategy)
    }
}

/// Slots that are pinned.
#[derive(Clone)]
pub struct Pinned {
    slots: SlotPool,
    /// That there are fewer than were wanted.
    note: Option<String>,
}

impl Pinned {
    /// Pins what a crew wants, or as much of it as this machine locks; with a slot for each reader and one on its way the corridor
    /// still moves.
    fn take(gpus: &[Arc<Context>], crew: &Crew, traffic: Traffic) -> Result<Pinned, CudaError> {
        let ordinals: Vec<usize> = gpus.iter().map(|context| context.ordinal()).collect();
        let (slots, nodes) = (budget::slots(crew, traffic.frames), numa::nodes(&ordinals));
        Pinned::lock(pinned::Ready::new(slots, traffic.bytes(crew), &nodes), gpus, crew)
    }

    /// Likewise, of memory that is there already.
    fn lock(ready: pinned::Ready, gpus: &[Arc<Context>], crew: &Crew) -> Result<Pinned, CudaError> {
        let wanted = ready.count();
        let least = (crew.readers.unwrap_or(0) + 1).min(wanted);
        let _range = trace::pin(wanted);
        let (slots, had) = ready.lock(gpus, least)?;
        let note = (had < wanted).then(|| {
            format!(
                "pinned memory for {had} frames instead of {wanted}: this machine locks no more, and readers may wait"
            )
        });
        Ok(Pinned { slots, note })
    }

    /// What frames travel in when a GPU has failed: slots that are there, if they are enough; that GPU may have kept some, which are replaced.
    /// Nothing is pinned then, as that may wait for a GPU that hangs: the driver copies what is in ordinary memory, and takes longer.
    pub(super) fn after_a_loss(pinned: Option<Pinned>, crew: &Crew, traffic: Traffic) -> Pinned {
        let count = budget::slots(crew, traffic.frames);
        match pinned {
            Some(pinned) => {
                pinned.slots.refill(count);
                pinned
            }
            None => {
                let note = crew.needs_gpu().then(|| {
                    "a GPU failed before: frames travel in ordinary memory, which is slower".to_owned()
                });
                Pinned { slots: SlotPool::on_host(count, traffic.bytes(crew)), note }
            }
        }
    }

    /// What pins the slots of a plan's runs, beside other work; `None` when it needs none.
    pub(super) fn of(plan: &Plan) -> Option<impl FnOnce() -> Option<Pinned> + Send + use<>> {
        let Device::Cuda { gpus, .. } = &plan.device else { return None };
        let (gpus, crew, traffic, timeline) = (gpus.clone(), plan.crew, plan.traffic(), trace::followed());
        Some(move || {
            let _follows = trace::follow(timeline.as_ref(), "pinning");
            let slots = budget::slots(&crew, traffic.frames);
            let nodes = gpus.nodes();
            let range = trace::pages(slots);
            let ready = pinned::Ready::new(slots, traffic.bytes(&crew), &nodes);
            drop(range);
            Pinned::lock(ready, gpus.wait().ok()?, &crew).ok()
        })
    }
}

/// What the source receives into. Who waits for a slot to decode into must not hold one of those: packed frames have their own then.
fn packed_slots(crew: &Crew, readers: usize, slots: &SlotPool) -> SlotPool {
    match crew.decode {
        Decode::Reader => SlotPool::on_host(2 * readers + 1, 0),
        Decode::Reducer => slots.clone(),
    }
}

/// A reader of the source's tickets, which decodes them if it is the crew's to do so.
fn reader(crew: &Crew, source: &dyn Source) -> Box<dyn Reader> {
    match crew.decode {
        Decode::Reader => Box::new(Decoding::new(source.reader())),
        Decode::Reducer => source.reader(),
    }
}

fn cuda_reducer(
    (crew, wanted): (&Crew, LaneSizes),
    engine: &Arc<CudaEngine>,
    traffic: Traffic,
    timeline: Option<&Timeline>,
    kept: Option<&mut PatternStore>,
) -> Result<CudaReducer, SessionError> {
    // Where the GPU has no room for all patterns, the host's copy is brought back block by block.
    let patterns = match &kept {
        None => None,
        Some(kept) => match DevicePatterns::new(engine.context(), traffic.frames, kept.npt()) {
            Err(CudaError::OutOfMemory { .. }) => None,
            made => Some(Arc::new(made.or_about(Concern::Device)?)),
        },
    };
    let mut reducer = CudaReducer::new(Arc::clone(engine), wanted).or_about(Concern::Device)?;
    if crew.verify && crew.decode == Decode::Reducer {
        reducer.verify(traffic.frames).or_about(Concern::Device)?;
    }
    if let Some(patterns) = &patterns {
        reducer.keep(Arc::clone(patterns));
    }
    if let Some(timeline) = timeline {
        let of_several = matches!(crew.reducers, Reducers::Gpus(2.., _));
        let name = if of_several { format!("GPU {}", engine.context().ordinal()) } else { "GPU".to_owned() };
        reducer.record(timeline.clone(), name).or_about(Concern::Device)?;
    }
    if let Some(kept) = kept {
        kept.on_device = patterns;
    }
    Ok(reducer)
}
