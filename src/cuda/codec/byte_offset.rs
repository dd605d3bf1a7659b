//! Byte-offset on the device: host side of `cuda/codec/byte_offset.cu`, twin of [`crate::codec::byte_offset`].

use std::ptr::null_mut;
use std::sync::Arc;

use crate::cuda::driver::{Context, DeviceBuffer, Kernel, Launch, Module, Stream};
use crate::cuda::error::CudaError;
use crate::cuda::params::{
    self, XrdctBatch, XrdctCount, XrdctExits, XrdctPixels, XrdctPrefix, XrdctTables, XrdctVerdict,
};

const THREADS: usize = params::XRDCT_THREADS as usize;
const WARP: usize = 32;
/// Tiles that one block takes, one a warp.
const TILES_PER_BLOCK: usize = THREADS / WARP;
const STEP: usize = params::XRDCT_STEP_BYTES as usize;
/// Bytes that one thread looks at.
pub const CHUNK: usize = params::XRDCT_CHUNK_BYTES as usize;
/// Bytes of a tile, on whose edges frames begin in an arena.
pub const TILE: usize = params::XRDCT_TILE_BYTES as usize;

/// Running values, as wide as the pixels ask for.
#[derive(Debug)]
enum Values {
    Narrow { step: DeviceBuffer<u32>, tile: DeviceBuffer<u32> },
    Wide { step: DeviceBuffer<u64>, tile: DeviceBuffer<u64> },
}

/// What the index leaves behind for one arena.
#[derive(Debug)]
pub struct ByteOffsetTables {
    exits: DeviceBuffer<u64>,
    entries: DeviceBuffer<u8>,
    step_codes: DeviceBuffer<u16>,
    tile_pixel: DeviceBuffer<u32>,
    subtile_tile: DeviceBuffer<u32>,
    values: Values,
}

impl ByteOffsetTables {
    /// Tables for an arena of so many bytes with up to `frames` frames such as the batch says.
    ///
    /// # Errors
    /// [`CudaError::OutOfMemory`], or the driver's refusal.
    pub fn new(
        context: &Arc<Context>,
        arena: usize,
        frames: usize,
        batch: &XrdctBatch,
    ) -> Result<ByteOffsetTables, CudaError> {
        let what = "the decoder's tables";
        let (tiles, steps) = (arena / TILE + 1, arena / STEP + 1);
        Ok(ByteOffsetTables {
            exits: DeviceBuffer::take(context, tiles, what)?,
            entries: DeviceBuffer::take(context, arena / CHUNK, what)?,
            step_codes: DeviceBuffer::take(context, steps, what)?,
            tile_pixel: DeviceBuffer::take(context, tiles, what)?,
            subtile_tile: DeviceBuffer::take(context, frames * batch.subtiles as usize, what)?,
            values: match batch.wide {
                0 => Values::Narrow {
                    step: DeviceBuffer::take(context, steps, what)?,
                    tile: DeviceBuffer::take(context, tiles, what)?,
                },
                _ => Values::Wide {
                    step: DeviceBuffer::take(context, steps, what)?,
                    tile: DeviceBuffer::take(context, tiles, what)?,
                },
            },
        })
    }

    /// As kernels take them.
    pub(in crate::cuda) fn arguments(&self) -> XrdctTables {
        let (step_value, tile_value, wide_step_value, wide_tile_value) = match &self.values {
            Values::Narrow { step, tile } => (step.pointer(), tile.pointer(), null_mut(), null_mut()),
            Values::Wide { step, tile } => (null_mut(), null_mut(), step.pointer(), tile.pointer()),
        };
        XrdctTables {
            exits: self.exits.pointer(),
            entries: self.entries.pointer(),
            step_codes: self.step_codes.pointer(),
            tile_pixel: self.tile_pixel.pointer(),
            subtile_tile: self.subtile_tile.pointer(),
            step_value,
            tile_value,
            wide_step_value,
            wide_tile_value,
        }
    }
}

/// The decoder's kernels.
#[derive(Debug)]
pub struct ByteOffset {
    exits: Kernel<XrdctExits>,
    /// Of 32 and of 64 bits.
    count: [Kernel<XrdctCount>; 2],
    prefix: [Kernel<XrdctPrefix>; 2],
    /// Of 8, 16, 32 and 64 bits.
    pixels: [Kernel<XrdctPixels>; 4],
}

impl ByteOffset {
    /// Loads them.
    ///
    /// # Errors
    /// When the binary holds none, or none for this GPU.
    pub fn load(context: &Arc<Context>) -> Result<ByteOffset, CudaError> {
        let module = Module::of(context, "byte_offset")?;
        let pixels = |bits: &str| Kernel::load(&module, &format!("xrdct_byte_offset_pixels_{bits}"));
        Ok(ByteOffset {
            exits: Kernel::load(&module, "xrdct_byte_offset_exits")?,
            count: [
                Kernel::load(&module, "xrdct_byte_offset_count_32")?,
                Kernel::load(&module, "xrdct_byte_offset_count_64")?,
            ],
            prefix: [
                Kernel::load(&module, "xrdct_byte_offset_prefix_32")?,
                Kernel::load(&module, "xrdct_byte_offset_prefix_64")?,
            ],
            pixels: [pixels("8")?, pixels("16")?, pixels("32")?, pixels("64")?],
        })
    }

    /// Finds every code: fills the tables and the verdicts, one a frame.
    ///
    /// # Errors
    /// When the driver refuses a launch.
    ///
    /// # Safety
    /// The buffers must be large enough for the batch and its spans, and live until the stream has run.
    pub unsafe fn enqueue_index(
        &self,
        stream: &Stream,
        arena: &DeviceBuffer<u8>,
        tables: &ByteOffsetTables,
        verdicts: *mut XrdctVerdict,
        batch: &XrdctBatch,
    ) -> Result<(), CudaError> {
        let (arena, tables, batch) = (arena.pointer().cast_const(), tables.arguments(), *batch);
        let (launch, wide) = (over_tiles(&batch), batch.wide as usize);
        let frames = Launch {
            grid: (batch.frames as usize, 1),
            threads: params::XRDCT_FRAME_THREADS as usize,
            shared: 0,
        };
        // SAFETY: the caller's promise; each structure is its kernel's.
        unsafe {
            let exits = XrdctExits { arena, exits: tables.exits, batch };
            self.exits.enqueue(stream, launch, &exits)?;
            self.count[wide].enqueue(stream, launch, &XrdctCount { arena, tables, batch })?;
            self.prefix[wide].enqueue(stream, frames, &XrdctPrefix { tables, verdicts, batch })
        }
    }

    /// Writes the pixels of the good frames, one frame after another.
    ///
    /// # Errors
    /// When the driver refuses the launch.
    ///
    /// # Safety
    /// As [`ByteOffset::enqueue_index`], which must have been enqueued before.
    pub unsafe fn enqueue_pixels(
        &self,
        stream: &Stream,
        arena: &DeviceBuffer<u8>,
        tables: &ByteOffsetTables,
        (verdicts, pixels): (*const XrdctVerdict, &DeviceBuffer<u8>),
        batch: &XrdctBatch,
    ) -> Result<(), CudaError> {
        let arguments = XrdctPixels {
            arena: arena.pointer(),
            tables: tables.arguments(),
            verdicts,
            pixels: pixels.pointer(),
            batch: *batch,
        };
        // Types come in pairs, the signed one first, by width.
        let kernel = &self.pixels[(batch.pixel as usize / 2).min(3)];
        // SAFETY: the caller's promise; the structure is the kernel's.
        unsafe { kernel.enqueue(stream, over_tiles(batch), &arguments) }
    }
}

/// A warp a tile, as many as the longest frame has; a row of blocks a frame.
fn over_tiles(batch: &XrdctBatch) -> Launch {
    let spans = &batch.span[..batch.frames as usize];
    let tiles =
        spans.iter().map(|span| (span.end as usize).div_ceil(TILE) - span.first as usize / TILE).max();
    let blocks = tiles.unwrap_or(0).div_ceil(TILES_PER_BLOCK).max(1);
    Launch { grid: (blocks, batch.frames as usize), threads: THREADS, shared: 0 }
}
