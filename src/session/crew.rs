//! Who runs where, as a value: how many readers, where frames are decoded, who reduces them.
//!
//! | the paper's Table 1 | readers | decode at | reducers |
//! |---|---|---|---|
//! | sequential CPU/CPU | inline | reducer | host |
//! | sequential CPU/GPU | inline | reader | one GPU, one lane |
//! | pool of n / GPU | n | reader | one GPU, one lane |
//! | GPU/GPU ("OpenCL") | n | reducer | one GPU, one lane |
//! | beyond it: host pool | n | reducer | n host workers |
//! | beyond it: overlapped GPU | n | reducer | one GPU, k lanes of many frames |
//! | and several of them | n | reducer | as many GPUs, likewise |

use super::device::Device;
use super::error::{SessionError, refuse};
use super::options::{Options, StrategyName};
use crate::cuda::{self, LaneSizes};
use crate::frame::{Codec, Encoding};
use crate::pipeline::Strategy;

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
    /// So many GPUs, each with such lanes.
    Gpus(usize, LaneSizes),
}

/// Who runs where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crew {
    /// Threads that read; none: everything on one thread, one frame at a time.
    pub readers: Option<usize>,
    /// Where frames are decoded.
    pub decode: Decode,
    /// Who reduces.
    pub reducers: Reducers,
    /// Whether the digest that a frame carries is compared with that of its bytes.
    pub verify: bool,
}

/// What a crew is to handle.
#[derive(Debug, Clone, Copy)]
pub struct Traffic {
    /// What every frame is.
    pub encoding: Encoding,
    /// Bytes that hold any of them as it is read.
    pub slot_bytes: usize,
    /// How many there are.
    pub frames: usize,
}

impl Traffic {
    /// Bytes of a frame as a crew's readers leave it.
    pub(super) fn bytes(&self, crew: &Crew) -> usize {
        match crew.decode {
            Decode::Reader => (self.encoding.shape.pixels() + 1) * self.encoding.pixel.size(),
            Decode::Reducer => self.slot_bytes,
        }
    }
}

/// A GPU that takes one frame at a time, as the paper's did.
const ONE_AT_A_TIME: Reducers = Reducers::Gpus(1, LaneSizes { lanes: 1, batch: 1 });

/// Threads that compute when nobody says, on a machine without a GPU: readers want cores of their own. On 16 cores 4 readers
/// and 12 workers beat 8 and 16 by 18 % (profiles/notes/corridor.md).
pub const fn host_workers(cores: usize) -> usize {
    if cores > 1 { cores - cores / 4 } else { 1 }
}

/// Threads that read for so many workers.
const fn host_readers(workers: usize) -> usize {
    if workers > 3 { workers / 3 } else { 1 }
}

/// Threads that read for GPUs: nearly all there is to do, but the reducers' and the sink's threads want cores of their own
/// (12 and 14 readers of 16 cores beat 8 and 16). Several GPUs take more than three quarters of the cores can read.
fn gpu_readers(cores: usize, gpus: usize) -> usize {
    let usual = if cores > 1 { 3 * cores / 4 } else { 1 };
    if gpus > 1 { usual.max(cores.saturating_sub(gpus + 2)) } else { usual }
}

impl Crew {
    /// Everything on one thread.
    pub const SEQUENTIAL: Crew =
        Crew { readers: None, decode: Decode::Reducer, reducers: Reducers::Host(1), verify: false };

    /// One thread that reads and decodes, and waits for the GPU to integrate.
    pub const SEQUENTIAL_GPU: Crew =
        Crew { decode: Decode::Reader, reducers: ONE_AT_A_TIME, ..Crew::SEQUENTIAL };

    /// `readers` threads that read and decode; the GPU integrates.
    pub const fn decoding_pool(readers: usize) -> Crew {
        Crew { readers: Some(readers), ..Crew::SEQUENTIAL_GPU }
    }

    /// The paper's third strategy: packed frames to the GPU, one at a time.
    pub const fn gpu(readers: usize) -> Crew {
        Crew { readers: Some(readers), reducers: ONE_AT_A_TIME, ..Crew::SEQUENTIAL }
    }

    /// So many workers of this machine, and the readers that they need.
    pub const fn workers(workers: usize) -> Crew {
        Crew { readers: Some(host_readers(workers)), reducers: Reducers::Host(workers), ..Crew::SEQUENTIAL }
    }

    /// What `integrate` does with so many cores and no GPU: most of them reduce, some read.
    pub const fn host_pool(cores: usize) -> Crew {
        Crew::workers(host_workers(cores))
    }

    /// What `integrate` does with so many GPUs and cores: most of these read, batches overlap.
    pub fn overlapped(cores: usize, gpus: usize) -> Crew {
        let readers = Some(gpu_readers(cores, gpus));
        Crew { readers, reducers: Reducers::Gpus(gpus, LaneSizes::default()), ..Crew::SEQUENTIAL }
    }

    /// The same, with every frame's digest checked.
    pub const fn verified(self) -> Crew {
        Crew { verify: true, ..self }
    }

    /// What the options mean on a device, for so many frames of that codec.
    pub(super) fn asked(
        options: &Options,
        device: &Device,
        codec: Codec,
        frames: usize,
    ) -> Result<Crew, SessionError> {
        let gpus = device.gpus()?;
        let on_gpu = gpus > 0;
        let asked = options.strategy.unwrap_or(StrategyName::Auto);
        if asked == StrategyName::Gpu && !on_gpu {
            refuse!(Device, "--strategy gpu: there is no GPU to use: {}", device.name());
        }
        if asked == StrategyName::Sequential && gpus > 1 {
            refuse!(Usage, "--strategy sequential: one thread feeds one GPU, and --device names {gpus}");
        }
        let threads = threads(options, device);
        let mut crew = match on_gpu {
            true => Crew::overlapped(threads, gpus),
            false => Crew::workers(threads),
        };
        if let Reducers::Gpus(_, sizes) = &mut crew.reducers {
            sizes.lanes = options.lanes.unwrap_or(sizes.lanes);
            sizes.batch = options.batch.unwrap_or(sizes.batch);
            if matches!(asked, StrategyName::Sequential | StrategyName::Pool) || !cuda::decodes(codec) {
                crew.decode = Decode::Reader;
            }
        }
        let alone =
            asked == StrategyName::Sequential || asked == StrategyName::Auto && frames == 1 && !on_gpu;
        crew.readers = match alone {
            true => None,
            false => options.readers.or(crew.readers),
        };
        Ok(Crew { verify: options.no_verify != Some(true), ..crew })
    }

    /// Threads that read, the only one included.
    pub fn reading(&self) -> usize {
        self.readers.unwrap_or(1)
    }

    /// Whether it needs a GPU.
    pub fn needs_gpu(&self) -> bool {
        matches!(self.reducers, Reducers::Gpus(..))
    }

    /// How the doors are manned.
    pub fn strategy(&self) -> Strategy {
        if self.readers.is_some() { Strategy::Pool } else { Strategy::Sequential }
    }

    /// The crew in words.
    pub fn words(&self) -> String {
        let readers = match self.readers {
            None => "inline".to_owned(),
            Some(1) => "1 reader".to_owned(),
            Some(n) => format!("{n} readers"),
        };
        let decode = match (self.decode, self.reducers) {
            (Decode::Reader, _) => "decode on CPU",
            (Decode::Reducer, Reducers::Host(_)) => "decode on CPU",
            (Decode::Reducer, Reducers::Gpus(..)) => "decode on GPU",
        };
        let reducers = match self.reducers {
            Reducers::Host(1) => "1 worker".to_owned(),
            Reducers::Host(n) => format!("{n} workers"),
            Reducers::Gpus(1, LaneSizes { lanes: 1, batch: 1 }) => "1 frame at a time".to_owned(),
            Reducers::Gpus(1, LaneSizes { lanes, batch }) => format!("{lanes} lanes of {batch}"),
            Reducers::Gpus(gpus, LaneSizes { lanes, batch }) => {
                format!("{gpus} GPUs with {lanes} lanes of {batch} each")
            }
        };
        let verified = if self.verify { ", verified" } else { "" };
        format!("{readers}, {decode}, {reducers}{verified}")
    }
}

/// Threads that compute, and build the matrix.
pub(super) fn threads(options: &Options, device: &Device) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    options.threads.unwrap_or(match device {
        Device::Cuda { .. } => cores,
        Device::Cpu { .. } => host_workers(cores),
    })
}
