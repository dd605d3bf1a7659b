//! Rows as values: how many readers, where frames are decoded, who reduces them.
//!
//! | the paper's Table 1 | readers | decode at | reducers |
//! |---|---|---|---|
//! | sequential CPU/CPU | inline | reducer | host |
//! | sequential CPU/GPU | inline | reader | one GPU, one lane |
//! | pool of n / GPU | n | reader | one GPU, one lane |
//! | GPU/GPU ("OpenCL") | n | reducer | one GPU, one lane |
//! | beyond it: host pool | n | reducer | n host workers |
//! | beyond it: overlapped GPU | n | reducer | one GPU, k lanes of many frames |
//!
//! A [`Plan`] becomes a [`Crew`]: the doors of the product's corridor, open. There is no other code path for a bench.

use std::sync::Arc;

use super::BenchError;
use super::subject::{Engines, Subject};
use crate::cuda::{CudaReducer, LaneSizes, pinned};
use crate::frame::SlotPool;
use crate::pipeline::{Strategy, gpu_readers, host_readers, host_workers};
use crate::reduce::Reducer;
use crate::reduce::host::{BATCH, HostReducer};
use crate::source::Reader;
use crate::source::cbf::CbfReader;
use crate::source::decoded::Decoding;
use crate::trace::Timeline;

/// Where frames are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decode {
    /// By the reader: plain pixels go on.
    Reader,
    /// By the reducer: packed bytes go on.
    Reducer,
}

/// Who reduces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reducers {
    /// So many threads of this machine.
    Host(usize),
    /// The first GPU.
    Gpu(LaneSizes),
}

/// A strategy of the corridor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Threads that read; none: everything on one thread, one frame at a time.
    pub readers: Option<usize>,
    /// Where frames are decoded.
    pub decode: Decode,
    /// Who reduces.
    pub reducers: Reducers,
    /// Whether the digest that a frame carries is compared with that of its bytes.
    pub verify: bool,
}

/// A GPU that takes one frame at a time, as the paper's did.
const GPU: Reducers = Reducers::Gpu(LaneSizes { lanes: 1, batch: 1 });

impl Plan {
    /// Everything on one thread.
    pub const SEQUENTIAL: Plan =
        Plan { readers: None, decode: Decode::Reducer, reducers: Reducers::Host(1), verify: false };

    /// One thread that reads and decodes, and waits for the GPU to integrate.
    pub const SEQUENTIAL_GPU: Plan = Plan { decode: Decode::Reader, reducers: GPU, ..Plan::SEQUENTIAL };

    /// `readers` threads that read and decode; the GPU integrates.
    pub const fn decoding_pool(readers: usize) -> Plan {
        Plan { readers: Some(readers), ..Plan::SEQUENTIAL_GPU }
    }

    /// The paper's third strategy: packed frames to the GPU, one at a time.
    pub const fn gpu(readers: usize) -> Plan {
        Plan { readers: Some(readers), reducers: GPU, ..Plan::SEQUENTIAL }
    }

    /// The product's CPU strategy: as many threads as `integrate` takes: most of them reduce, some read.
    pub fn host_pool(threads: usize) -> Plan {
        let workers = host_workers(threads);
        let readers = Some(host_readers(workers));
        Plan { readers, reducers: Reducers::Host(workers), ..Plan::SEQUENTIAL }
    }

    /// The product's GPU strategy: three quarters of the threads read, batches overlap.
    pub fn overlapped(threads: usize) -> Plan {
        let readers = Some(gpu_readers(threads));
        Plan { readers, reducers: Reducers::Gpu(LaneSizes::default()), ..Plan::SEQUENTIAL }
    }

    /// The same, with every frame's digest checked.
    pub const fn verified(self) -> Plan {
        Plan { verify: true, ..self }
    }

    /// Whether it needs a GPU.
    pub fn needs_gpu(&self) -> bool {
        matches!(self.reducers, Reducers::Gpu(_))
    }

    /// How the doors are manned.
    pub fn strategy(&self) -> Strategy {
        if self.readers.is_some() { Strategy::Pool } else { Strategy::Sequential }
    }

    /// The plan in words.
    pub fn words(&self) -> String {
        let readers = match self.readers {
            None => "inline".to_owned(),
            Some(1) => "1 reader".to_owned(),
            Some(n) => format!("{n} readers"),
        };
        let decode = match (self.decode, self.reducers) {
            (Decode::Reader, _) => "decode on CPU",
            (Decode::Reducer, Reducers::Host(_)) => "decode on CPU",
            (Decode::Reducer, Reducers::Gpu(_)) => "decode on GPU",
        };
        let reducers = match self.reducers {
            Reducers::Host(1) => "1 worker".to_owned(),
            Reducers::Host(n) => format!("{n} workers"),
            Reducers::Gpu(LaneSizes { lanes: 1, batch: 1 }) => "1 frame at a time".to_owned(),
            Reducers::Gpu(LaneSizes { lanes, batch }) => format!("{lanes} lanes of {batch}"),
        };
        let verified = if self.verify { ", verified" } else { "" };
        format!("{readers}, {decode}, {reducers}{verified}")
    }

    /// The plan's doors, open, for a run of so many frames. With a timeline, a GPU's lanes are recorded in it.
    ///
    /// # Errors
    /// When there is no GPU and the plan needs one ([`BenchError::NoGpu`]), or it refuses.
    pub fn crew(
        &self,
        subject: &Subject,
        engines: &Engines,
        frames: usize,
        timeline: Option<&Timeline>,
    ) -> Result<Crew, BenchError> {
        let count = self.readers.unwrap_or(1);
        let readers = (0..count)
            .map(|_| {
                let reader = CbfReader::new(Some(subject.encoding), self.verify);
                match self.decode {
                    Decode::Reader => Box::new(Decoding::new(reader)) as Box<dyn Reader>,
                    Decode::Reducer => Box::new(reader),
                }
            })
            .collect();
        let encoding = subject.encoding;
        let slot_bytes = match self.decode {
            Decode::Reader => (encoding.shape.pixels() + 1) * encoding.pixel.size(),
            Decode::Reducer => subject.slot_bytes,
        };
        let (reducers, slots) = match self.reducers {
            Reducers::Host(workers) => {
                let batch = if self.readers.is_none() { 1 } else { BATCH };
                let reducer = |_| {
                    Box::new(HostReducer::with_batch(Arc::clone(&engines.host), batch)) as Box<dyn Reducer>
                };
                let slots = if self.readers.is_none() { 1 } else { 2 * BATCH * workers + count };
                ((0..workers).map(reducer).collect(), SlotPool::on_host(slots, slot_bytes))
            }
            Reducers::Gpu(options) => {
                let engine = engines.gpu()?;
                let mut reducer = CudaReducer::new(Arc::clone(engine), options)?;
                if self.verify && self.decode == Decode::Reducer {
                    reducer.verify(frames)?;
                }
                if let Some(timeline) = timeline {
                    reducer.record(timeline.clone())?;
                }
                let LaneSizes { lanes, batch } = reducer.options();
                let slots = if self.readers.is_none() { 1 } else { (lanes + 1) * batch + count };
                let slots = pinned::slots(engine.context(), slots, slot_bytes)?;
                (vec![Box::new(reducer) as Box<dyn Reducer>], slots)
            }
        };
        Ok(Crew { readers, reducers, slots, strategy: self.strategy() })
    }
}

/// The doors of a corridor, open, and who stands behind them.
pub struct Crew {
    /// Second doors.
    pub readers: Vec<Box<dyn Reader>>,
    /// Third doors.
    pub reducers: Vec<Box<dyn Reducer>>,
    /// What frames travel in.
    pub slots: SlotPool,
    /// How they are manned.
    pub strategy: Strategy,
}
