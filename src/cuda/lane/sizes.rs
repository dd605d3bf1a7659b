//! How large a lane's buffers are, and where its results lie.

use std::sync::Arc;

use crate::cuda::codec::byte_offset::TILE;
use crate::cuda::driver::{DeviceBuffer, Stream};
use crate::cuda::engine::CudaEngine;
use crate::cuda::error::CudaError;
use crate::cuda::integrate::fused::Fused;
use crate::cuda::params::{self, XrdctVerdict};

const LONGEST_CODE: usize = params::XRDCT_LONGEST_CODE as usize;
/// Sums that invalid pixels take something from.
pub(super) const DEFICITS: usize = params::XRDCT_DEFICITS as usize;
/// Room in the arena for each pixel of a batch of packed frames, in eighths of a byte: 1.25 bytes, frames with 10 % escapes.
/// A batch with more is launched before it is full.
const ARENA_EIGHTHS: usize = 10;
/// Results begin on such an edge.
const ALIGNMENT: usize = 256;

/// Sizes of a reducer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneSizes {
    /// Batches under way at once, the one that gathers included.
    pub lanes: usize,
    /// Most frames of a batch.
    pub batch: usize,
}

impl Default for LaneSizes {
    /// Two lanes: one uploads while the other computes, which takes a third of the time. 32 frames read the matrix four times.
    fn default() -> Self {
        LaneSizes { lanes: 2, batch: 32 }
    }
}

/// Sizes of a lane's buffers, in bytes; partial sums in values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) arena: usize,
    pub(super) pixels: usize,
    pub(super) partials: usize,
    pub(super) results: usize,
}

impl Sizes {
    pub(super) fn new(engine: &CudaEngine, batch: usize) -> Sizes {
        let pixels = engine.shape.pixels();
        let size = engine.pixel.size();
        // One frame of the longest codes always fits, and a batch of usual ones, packed or plain.
        let usual = batch * (pixels * ARENA_EIGHTHS / 8).next_multiple_of(TILE);
        let plain = batch.min(4) * (pixels * size).next_multiple_of(TILE);
        let longest = (pixels * LONGEST_CODE).next_multiple_of(TILE);
        Sizes {
            arena: usual.max(plain).max(longest) + 2 * TILE,
            pixels: if size == 8 && engine.fused().is_some() { batch * pixels * size } else { 0 },
            partials: batch * engine.fused().map_or(0, |fused| fused.recipe.total_slots as usize),
            results: Offsets::new(engine, batch).len,
        }
    }

    fn total(&self, engine: &CudaEngine) -> usize {
        let terms = if engine.fused().is_some_and(|fused| fused.form().variance) { 2 } else { 1 };
        let partials = self.partials * terms * size_of::<f64>();
        // The tables come to less than an eighth of the arena.
        self.arena + self.arena / 8 + self.pixels + partials + self.results
    }
}

/// Device bytes that a lane for `batch` frames takes.
pub fn bytes_needed(engine: &CudaEngine, batch: usize) -> usize {
    Sizes::new(engine, batch).total(engine)
}

/// Takes what holds the packed frames of a batch.
///
/// # Errors
/// [`CudaError::OutOfMemory`], or the driver's refusal.
pub fn arena(engine: &CudaEngine, batch: usize) -> Result<Arc<DeviceBuffer<u8>>, CudaError> {
    let len = Sizes::new(engine, batch).arena;
    let arena = DeviceBuffer::take(engine.context(), len, "a lane's packed frames")?;
    // Kernels read whole chunks: the few bytes around a frame are read and thrown away, but never uninitialised.
    let stream = Stream::new(engine.context())?;
    stream.enqueue_fill(&arena, 0, len, 0)?;
    stream.wait()?;
    Ok(Arc::new(arena))
}

/// Device bytes of [`arena`].
pub fn arena_bytes(engine: &CudaEngine, batch: usize) -> usize {
    Sizes::new(engine, batch).arena
}

/// Whether a lane for `batch` frames can be addressed: arenas end below 4 GiB.
pub fn is_addressable(engine: &CudaEngine, batch: usize) -> bool {
    Sizes::new(engine, batch).arena <= (u32::MAX - params::XRDCT_ARENA_PADDING) as usize
}

/// The largest sizes up to `wanted` that fit into `allowed` bytes.
pub(in crate::cuda) fn fit(
    engine: &CudaEngine,
    wanted: LaneSizes,
    allowed: usize,
) -> Result<LaneSizes, CudaError> {
    let mut options =
        LaneSizes { lanes: wanted.lanes.max(1), batch: wanted.batch.clamp(1, super::MAX_BATCH) };
    loop {
        let needed = options.lanes * bytes_needed(engine, options.batch);
        let addressable = is_addressable(engine, options.batch);
        if addressable && needed <= allowed {
            return Ok(options);
        }
        // Two lanes overlap; below that, smaller batches do not help.
        match options {
            LaneSizes { batch: 2.., .. } => options.batch = options.batch.div_ceil(2),
            LaneSizes { lanes: 2.., .. } => options.lanes -= 1,
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

/// Where a batch's results lie in the result buffer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offsets {
    pub(super) saturated: usize,
    pub(super) signal: usize,
    pub(super) variance: usize,
    pub(super) deficits: usize,
    pub(super) len: usize,
}

impl Offsets {
    pub(super) fn new(engine: &CudaEngine, frames: usize) -> Offsets {
        let sums = frames * engine.npt() * size_of::<f64>();
        let has = |what: fn(&Fused) -> bool| engine.fused().is_some_and(what);
        let saturated = frames * size_of::<XrdctVerdict>();
        let signal = (saturated + frames * size_of::<u32>()).next_multiple_of(ALIGNMENT);
        let variance = signal + sums;
        let deficits = variance + if has(|fused| fused.form().variance) { sums } else { 0 };
        let len = deficits + if has(|fused| fused.recipe.has_invalid != 0) { DEFICITS * sums } else { 0 };
        Offsets { saturated, signal, variance, deficits, len: len.max(ALIGNMENT) }
    }
}
