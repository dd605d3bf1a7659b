//! The doors of the corridor, open: readers, reducers, and the slots between them. Nothing else opens any.

use std::sync::Arc;

use super::budget;
use super::crew::{Crew, Decode, Reducers, Traffic};
use super::engines::Engines;
use super::error::{About, OrAbout, SessionError};
use super::store::PatternStore;
use crate::cuda::{CudaError, CudaReducer, DevicePatterns, pinned};
use crate::frame::SlotPool;
use crate::pipeline::Strategy;
use crate::reduce::Reducer;
use crate::reduce::host::{BATCH, HostReducer};
use crate::source::Reader;
use crate::source::cbf::CbfReader;
use crate::source::decoded::Decoding;
use crate::trace::Timeline;

/// Doors, open, and who stands behind them.
pub struct Doors {
    /// Second doors.
    pub readers: Vec<Box<dyn Reader>>,
    /// Third doors.
    pub reducers: Vec<Box<dyn Reducer>>,
    /// What frames travel in.
    pub slots: SlotPool,
    /// How they are manned.
    pub strategy: Strategy,
    /// What is not as it was wanted.
    pub notes: Vec<String>,
}

impl Doors {
    /// Opens them. With a timeline, a GPU's lanes are recorded in it; with a store, patterns stay on the GPU too, if they fit.
    ///
    /// # Errors
    /// When there is no GPU and the crew needs one, or it refuses.
    pub fn open(
        crew: &Crew,
        engines: &Engines,
        load: Traffic,
        timeline: Option<&Timeline>,
        kept: Option<&mut PatternStore>,
    ) -> Result<Doors, SessionError> {
        let bytes = load.bytes(crew);
        let mut notes = vec![];
        let (reducers, slots) = match crew.reducers {
            Reducers::Host(workers) => {
                let engine = engines.host()?;
                // One frame at a time gains nothing from waiting for company.
                let batch = if crew.readers.is_none() { 1 } else { BATCH };
                let reducer =
                    |_| Box::new(HostReducer::with_batch(Arc::clone(engine), batch)) as Box<dyn Reducer>;
                ((0..workers).map(reducer).collect(), SlotPool::on_host(budget::slots(crew), bytes))
            }
            Reducers::Gpu(_) => {
                let reducer = cuda_reducer(crew, engines, load, timeline, kept)?;
                // The GPU may have had no room for all that was wanted.
                let fitted = Crew { reducers: Reducers::Gpu(reducer.options()), ..*crew };
                // With one for each reader and one on its way the corridor still moves.
                let (wanted, least) = (budget::slots(&fitted), crew.readers.unwrap_or(0) + 1);
                let (slots, had) = pinned::slots_or_fewer(engines.gpu()?.context(), wanted, least, bytes)
                    .or_about(About::Device)?;
                if had < wanted {
                    notes.push(format!(
                        "pinned memory for {had} frames instead of {wanted}: this machine locks no more, and readers may wait"
                    ));
                }
                (vec![Box::new(reducer) as Box<dyn Reducer>], slots)
            }
        };
        Ok(Doors { readers: readers(crew, load), reducers, slots, strategy: crew.strategy(), notes })
    }
}

/// The second doors.
pub fn readers(crew: &Crew, load: Traffic) -> Vec<Box<dyn Reader>> {
    let reader = |_| {
        let reader = CbfReader::new(Some(load.encoding), crew.verify);
        match crew.decode {
            Decode::Reader => Box::new(Decoding::new(reader)) as Box<dyn Reader>,
            Decode::Reducer => Box::new(reader),
        }
    };
    (0..crew.reading()).map(reader).collect()
}

fn cuda_reducer(
    crew: &Crew,
    engines: &Engines,
    load: Traffic,
    timeline: Option<&Timeline>,
    kept: Option<&mut PatternStore>,
) -> Result<CudaReducer, SessionError> {
    let Reducers::Gpu(wanted) = crew.reducers else {
        return Err(SessionError::new(About::Device, "a crew of the host has no GPU"));
    };
    let engine = engines.gpu()?;
    // Where the GPU has no room for all patterns, the host's copy is brought back block by block.
    let patterns = match &kept {
        None => None,
        Some(kept) => match DevicePatterns::new(engine.context(), load.frames, kept.npt()) {
            Err(CudaError::OutOfMemory { .. }) => None,
            made => Some(Arc::new(made.or_about(About::Device)?)),
        },
    };
    let mut reducer = CudaReducer::new(Arc::clone(engine), wanted).or_about(About::Device)?;
    if crew.verify && crew.decode == Decode::Reducer {
        reducer.verify(load.frames).or_about(About::Device)?;
    }
    if let Some(patterns) = &patterns {
        reducer.keep(Arc::clone(patterns));
    }
    if let Some(timeline) = timeline {
        reducer.record(timeline.clone()).or_about(About::Device)?;
    }
    if let Some(kept) = kept {
        kept.on_device = patterns;
    }
    Ok(reducer)
}
