//! A lane: everything that a batch of frames needs on the GPU, taken once, used batch after batch.
//!
//! ```text
//! upload frame ─▶ arena ┐
//! upload frame ─▶ arena ┼─▶ exits ▶ count ▶ prefix ─▶ packed (decode + integrate) ─▶ bins ─▶ download
//! upload frame ─▶ arena ┘        the index                the sums                            results
//! ```
//!
//! all in the lane's own stream, so that the steps of one batch follow each other while other lanes' steps overlap them.
//! A frame's upload is enqueued the moment it arrives. Nothing is read back before the results, nothing is allocated per
//! frame. Frames of 64-bit pixels are decoded to device memory first and integrated from there.

mod sizes;

use std::collections::VecDeque;
use std::sync::Arc;

use super::driver::{DeviceBuffer, Event, PinnedBuffer, Stream};
use super::engine::CudaEngine;
use super::error::CudaError;
use super::kernels::{self, TILE, Tables, TermAddresses};
use super::params::{self, XrdctBatch, XrdctSpan, XrdctVerdict};
use super::patterns::DevicePatterns;
use crate::frame::{Codec, Slot};
use sizes::{DEFICITS, Offsets, Sizes};
pub use sizes::{arena, arena_bytes, bytes_needed, is_addressable};

const CHUNK: usize = params::XRDCT_CHUNK_BYTES as usize;
const STEP: usize = params::XRDCT_STEP_BYTES as usize;
/// Frames that a launch can take.
pub const MAX_BATCH: usize = params::XRDCT_MAX_BATCH as usize;
#[derive(Debug)]
struct TableBuffers {
    exits: DeviceBuffer,
    entries: DeviceBuffer,
    step_codes: DeviceBuffer,
    step_value: DeviceBuffer,
    tile_pixel: DeviceBuffer,
    tile_value: DeviceBuffer,
    subtile_tile: DeviceBuffer,
}

/// What came back for one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameSums {
    /// Status and number of codes.
    pub verdict: XrdctVerdict,
    /// S of each bin.
    pub signal: Vec<f64>,
    /// V of each bin, with an error model.
    pub variance: Option<Vec<f64>>,
    /// What invalid pixels take from N, N₂ and C, in fixed point; `None` when there are none.
    pub deficits: Option<Vec<i64>>,
    /// Pixels at or above the batch's cutoff.
    pub saturated: u32,
}

/// A step of a batch, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimedStep {
    /// What.
    pub name: &'static str,
    /// Begin.
    pub start: f64,
    /// End.
    pub end: f64,
    /// Of how many frames.
    pub frames: usize,
}

/// One of a reducer's places on the GPU.
pub struct Lane {
    // The stream goes first when a lane is dropped, and waits for its work; then the buffers, then the slots.
    stream: Stream,
    arrived: Vec<Event>,
    /// Before each frame's copy; none unless its time is wanted.
    departed: Vec<Event>,
    begun: Event,
    indexed: Event,
    computed: Event,
    done: Event,
    arena: Arc<DeviceBuffer>,
    tables: TableBuffers,
    pixels: DeviceBuffer,
    signal: DeviceBuffer,
    variance: DeviceBuffer,
    results: DeviceBuffer,
    host: PinnedBuffer,
    batch: XrdctBatch,
    codec: Codec,
    used: usize,
    capacity: usize,
    on_the_way: VecDeque<(usize, Arc<Slot>)>,
    engine: Arc<CudaEngine>,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("frames", &self.batch.frames).field("capacity", &self.capacity).finish()
    }
}

impl Lane {
    /// Takes a lane's memory: room for `capacity` frames.
    ///
    /// # Errors
    /// [`CudaError::OutOfMemory`], or the driver's refusal.
    pub fn new(engine: &Arc<CudaEngine>, capacity: usize) -> Result<Lane, CudaError> {
        let capacity = capacity.clamp(1, MAX_BATCH);
        let context = engine.context();
        let sizes = Sizes::new(engine, capacity);
        let take = |len, purpose| DeviceBuffer::take(context, len, purpose);
        let (tiles, steps, wide) = (sizes.arena / TILE + 1, sizes.arena / STEP + 1, engine.pixel.size() == 8);
        let value = if wide { 8 } else { 4 };
        let tables = "the decoder's tables";
        let subtiles = engine.shape.pixels().div_ceil(super::tiles::SUBTILE);
        let batch = XrdctBatch {
            pixels: engine.shape.pixels() as u32,
            pixel: kernels::pixel_code(engine.pixel),
            wide: u32::from(wide),
            subtiles: subtiles as u32,
            cutoff: engine.saturation.cutoff,
            ..XrdctBatch::default()
        };
        let variance = if engine.extent.form.variance { sizes.partials } else { 0 };
        let lane = Lane {
            stream: Stream::new(context)?,
            arrived: (0..capacity).map(|_| Event::new(context)).collect::<Result<_, _>>()?,
            departed: Vec::new(),
            begun: Event::new(context)?,
            indexed: Event::new(context)?,
            computed: Event::new(context)?,
            done: Event::new(context)?,
            arena: arena(engine, capacity)?,
            tables: TableBuffers {
                exits: take(tiles * 8, tables)?,
                entries: take(sizes.arena / CHUNK, tables)?,
                step_codes: take(steps * 2, tables)?,
                step_value: take(steps * value, tables)?,
                tile_pixel: take(tiles * 4, tables)?,
                tile_value: take(tiles * value, tables)?,
                subtile_tile: take(capacity * subtiles * 4, tables)?,
            },
            pixels: take(sizes.pixels, "a lane's pixels")?,
            signal: take(sizes.partials, "a lane's partial sums")?,
            variance: take(variance, "a lane's partial sums")?,
            results: take(sizes.results, "a lane's results")?,
            host: PinnedBuffer::take(context, sizes.results)?,
            batch,
            codec: Codec::ByteOffset,
            used: 0,
            capacity,
            on_the_way: VecDeque::with_capacity(capacity),
            engine: Arc::clone(engine),
        };
        lane.stream.enqueue_fill(&lane.results, 0, lane.results.len(), 0)?;
        Ok(lane)
    }

    /// Keeps the time of each frame's copy from now on, for [`Lane::times_after`].
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn time_uploads(&mut self) -> Result<(), CudaError> {
        let event = |_| Event::new(self.engine.context());
        self.departed = (0..self.capacity).map(event).collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Goes on with another arena and gives the one that it had.
    ///
    /// The lane is empty ([`Lane::wait`]), and the arena is one for as many frames ([`arena`]).
    pub fn exchange(&mut self, arena: Arc<DeviceBuffer>) -> Arc<DeviceBuffer> {
        std::mem::replace(&mut self.arena, arena)
    }

    /// What holds the packed frames.
    pub fn arena(&self) -> &Arc<DeviceBuffer> {
        &self.arena
    }

    /// Where in the arena the frames of this batch are, or of the last one when the lane is empty.
    pub fn spans(&self) -> &[XrdctSpan] {
        &self.batch.span
    }

    /// Frames gathered so far.
    pub fn frames(&self) -> usize {
        self.batch.frames as usize
    }

    /// From which count on pixels of the batch are saturated.
    pub fn cutoff(&self) -> f32 {
        self.batch.cutoff
    }

    /// From which count on pixels of the next batch are saturated, for a lane without frames. Kept until said otherwise.
    pub fn set_cutoff(&mut self, cutoff: f32) {
        self.batch.cutoff = cutoff;
    }

    /// Whether a frame of `len` bytes, packed so, still fits into the batch.
    pub fn has_room(&self, codec: Codec, len: usize) -> bool {
        let same = self.frames() == 0 || self.codec == codec;
        same && self.frames() < self.capacity && self.used + len + TILE <= self.arena.len()
    }

    /// Enqueues a frame's upload and takes it into the batch. The slot goes home once its bytes have been fetched.
    ///
    /// The caller has asked [`Lane::has_room`].
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn enqueue_upload(
        &mut self,
        codec: Codec,
        slot: Arc<Slot>,
        payload: std::ops::Range<usize>,
    ) -> Result<(), CudaError> {
        self.engine.context().bind()?;
        let index = self.frames();
        if let Some(departed) = self.departed.get(index) {
            departed.enqueue(&self.stream)?;
        }
        let bytes = &slot.memory().bytes()[payload];
        // Packed bytes keep their address modulo a chunk; the decoder begins anywhere, pixels do not.
        let shift = if codec == Codec::ByteOffset { bytes.as_ptr() as usize % CHUNK } else { 0 };
        let (first, end) = (self.used + shift, self.used + shift + bytes.len());
        // SAFETY: the slot is kept in `on_the_way` until the event after the copy is done.
        unsafe { self.stream.enqueue_upload(&self.arena, first, bytes) }?;
        self.batch.span[index] = XrdctSpan { first: first as u32, end: end as u32 };
        self.used = end.next_multiple_of(TILE);
        self.codec = codec;
        self.batch.frames += 1;
        self.on_the_way.push_back((index, slot));
        self.arrived[index].enqueue(&self.stream)
    }

    /// Sends home the slots whose bytes have been fetched; never blocks.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn release(&mut self) -> Result<(), CudaError> {
        while let Some((index, _)) = self.on_the_way.front() {
            if !self.arrived[*index].is_done()? {
                break;
            }
            self.on_the_way.pop_front();
        }
        Ok(())
    }

    fn table_addresses(&self) -> Tables {
        let t = &self.tables;
        Tables {
            exits: t.exits.pointer(),
            entries: t.entries.pointer(),
            step_codes: t.step_codes.pointer(),
            step_value: t.step_value.pointer(),
            tile_pixel: t.tile_pixel.pointer(),
            tile_value: t.tile_value.pointer(),
            subtile_tile: t.subtile_tile.pointer(),
        }
    }

    /// Enqueues the index of the packed frames: where every code starts, which frames are good.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn enqueue_index(&self) -> Result<(), CudaError> {
        let (arena, verdicts) = (self.arena.pointer(), self.results.pointer());
        // SAFETY: all buffers are this lane's and sized for its arena.
        unsafe {
            self.engine.kernels.enqueue_index(
                &self.stream,
                arena,
                &self.table_addresses(),
                verdicts,
                &self.batch,
            )
        }
    }

    /// Enqueues decoding to `pixels`, which must have room for the whole batch; after [`Lane::enqueue_index`].
    ///
    /// # Errors
    /// When there is no room, or the driver refuses.
    pub fn enqueue_pixels(&self, pixels: &DeviceBuffer) -> Result<(), CudaError> {
        let needed = self.frames() * self.engine.shape.pixels() * self.engine.pixel.size();
        if needed > pixels.len() {
            return Err(CudaError::OutsideBuffer { offset: 0, len: needed, size: pixels.len() });
        }
        let addresses = (self.arena.pointer(), self.results.pointer(), pixels.pointer());
        // SAFETY: as in `enqueue_index`; the size of `pixels` was checked.
        unsafe {
            self.engine.kernels.enqueue_pixels(&self.stream, addresses, &self.table_addresses(), &self.batch)
        }
    }

    fn terms(&self) -> TermAddresses {
        let engine = &self.engine;
        let layout = Offsets::new(engine, self.frames());
        TermAddresses([
            engine.dark.pointer(),
            engine.normalization.pointer(),
            engine.slot_bin.pointer(),
            self.results.pointer() + layout.deficits as u64,
            self.signal.pointer(),
            self.variance.pointer(),
            engine.used.pointer(),
            self.results.pointer() + layout.saturated as u64,
        ])
    }

    /// Clears what kernels add to; before the sums are enqueued.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn enqueue_clear(&self) -> Result<(), CudaError> {
        let layout = Offsets::new(&self.engine, self.frames());
        // Verdicts of plain frames: all good. Those of packed frames are written by the index.
        let first = if self.codec == Codec::Raw { 0 } else { layout.saturated };
        self.stream.enqueue_fill(&self.results, first, layout.signal - first, 0)?;
        if self.engine.recipe.has_invalid != 0 {
            self.stream.enqueue_fill(&self.results, layout.deficits, layout.len - layout.deficits, 0)?;
        }
        Ok(())
    }

    /// Enqueues decoding and integration in one; after [`Lane::enqueue_index`].
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn enqueue_packed(&self) -> Result<(), CudaError> {
        let engine = &self.engine;
        let (matrix, terms) = (engine.matrix(), self.terms());
        let addresses = (self.arena.pointer(), self.results.pointer());
        let over = (&matrix, &terms, engine.extent);
        // SAFETY: all buffers are this lane's and sized for its arena and batch.
        unsafe {
            let tables = self.table_addresses();
            engine.kernels.enqueue_packed(
                &self.stream,
                addresses,
                &tables,
                over,
                (&self.batch, &engine.recipe),
            )
        }
    }

    /// Enqueues integration of decoded frames: at their spans in the arena, or one after another in `pixels`.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn enqueue_plain(&self, pixels: Option<&DeviceBuffer>) -> Result<(), CudaError> {
        let engine = &self.engine;
        let mut batch = self.batch;
        batch.contiguous = u32::from(pixels.is_some());
        let (matrix, terms) = (engine.matrix(), self.terms());
        let addresses = (pixels.unwrap_or(&self.arena).pointer(), self.results.pointer());
        let over = (&matrix, &terms, engine.extent);
        // SAFETY: as in `enqueue_packed`; `enqueue_pixels` has checked the size of `pixels`.
        unsafe { engine.kernels.enqueue_plain(&self.stream, addresses, over, (&batch, &engine.recipe)) }
    }

    /// Enqueues the last step: each bin's sum over the items.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn enqueue_bins(&self) -> Result<(), CudaError> {
        let engine = &self.engine;
        let layout = Offsets::new(engine, self.frames());
        let results = self.results.pointer();
        let bins = |partials: &DeviceBuffer, sums: usize| {
            let pointers = [
                partials.pointer(),
                engine.bin_first.pointer(),
                engine.position.pointer(),
                results,
                results + sums as u64,
            ];
            // SAFETY: as in `enqueue_packed`.
            unsafe { engine.kernels.enqueue_bins(&self.stream, pointers, self.frames(), &engine.recipe) }
        };
        bins(&self.signal, layout.signal)?;
        if engine.extent.form.variance { bins(&self.variance, layout.variance) } else { Ok(()) }
    }

    /// Enqueues the patterns of the batch into `kept`, each good frame's into its row; after [`Lane::enqueue_bins`].
    ///
    /// # Errors
    /// When a row is not there, or the driver refuses.
    fn enqueue_patterns(&self, kept: &DevicePatterns, rows: &[usize]) -> Result<(), CudaError> {
        let (engine, frames, recipe) = (&self.engine, self.frames(), &self.engine.recipe);
        let target = kept.rows_for(&rows[..frames], engine.npt(), engine.empty)?;
        let (layout, results) = (Offsets::new(engine, frames), self.results.pointer());
        let pointers = [
            results + layout.signal as u64,
            if recipe.has_invalid == 0 { 0 } else { results + layout.deficits as u64 },
            results,
            engine.device_norms.pointer(),
            engine.device_fixed.pointer(),
            kept.values.pointer(),
        ];
        // SAFETY: as in `enqueue_packed`; rows and bins are those of `kept`, which the reducer holds.
        unsafe { engine.kernels.enqueue_patterns(&self.stream, pointers, frames, recipe, &target) }
    }

    /// Enqueues everything that turns the gathered frames into results on the host; with `kept`, their patterns stay in
    /// the rows that are given, one a frame, too. Does not block.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn enqueue_batch(&mut self, kept: Option<(&DevicePatterns, &[usize])>) -> Result<(), CudaError> {
        self.engine.context().bind()?;
        self.begun.enqueue(&self.stream)?;
        if self.frames() > 0 {
            self.enqueue_clear()?;
            match self.codec {
                Codec::Raw => {
                    self.indexed.enqueue(&self.stream)?;
                    self.enqueue_plain(None)?;
                }
                Codec::ByteOffset if self.pixels.is_empty() => {
                    self.enqueue_index()?;
                    self.indexed.enqueue(&self.stream)?;
                    self.enqueue_packed()?;
                }
                Codec::ByteOffset => {
                    self.enqueue_index()?;
                    self.enqueue_pixels(&self.pixels)?;
                    self.indexed.enqueue(&self.stream)?;
                    self.enqueue_plain(Some(&self.pixels))?;
                }
            }
            self.enqueue_bins()?;
            if let Some((kept, rows)) = kept {
                self.enqueue_patterns(kept, rows)?;
            }
            self.computed.enqueue(&self.stream)?;
            let len = Offsets::new(&self.engine, self.frames()).len;
            // SAFETY: the host buffer is read only after `done`.
            unsafe { self.stream.enqueue_download(&self.results, 0, &mut self.host.bytes_mut()[..len]) }?;
        }
        self.done.enqueue(&self.stream)
    }

    /// Whether the batch has come back; never blocks.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn is_done(&self) -> Result<bool, CudaError> {
        self.done.is_done()
    }

    /// Waits for the batch and gives what came back for its frames; the lane is empty afterwards.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn wait(&mut self) -> Result<Vec<FrameSums>, CudaError> {
        self.engine.context().bind()?;
        self.done.wait()?;
        self.on_the_way.clear();
        let frames = self.frames();
        let results = (0..frames).map(|frame| self.sums(frame)).collect();
        self.batch.frames = 0;
        self.used = 0;
        Ok(results)
    }

    /// Keeps the frames that are there: a bench runs the same batch again and again.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn wait_and_keep(&mut self) -> Result<Vec<FrameSums>, CudaError> {
        let (batch, used) = (self.batch, self.used);
        let sums = self.wait()?;
        (self.batch, self.used) = (batch, used);
        Ok(sums)
    }

    /// Decodes the gathered frames and brings their pixels to the host: verdicts, and the bytes of all frames one after
    /// another (those of bad frames are zeros). For checking; takes memory of its own and blocks. The lane is empty afterwards.
    ///
    /// # Errors
    /// When memory is short, or what went wrong on the device.
    pub fn wait_for_pixels(&mut self) -> Result<(Vec<XrdctVerdict>, Vec<u8>), CudaError> {
        let context = Arc::clone(self.engine.context());
        context.bind()?;
        let len = self.frames() * self.engine.shape.pixels() * self.engine.pixel.size();
        let device = DeviceBuffer::take(&context, len, "decoded frames")?;
        let mut host = PinnedBuffer::take(&context, len)?;
        self.stream.enqueue_fill(&device, 0, len, 0)?;
        self.enqueue_index()?;
        self.enqueue_pixels(&device)?;
        let verdicts = self.frames() * size_of::<XrdctVerdict>();
        // SAFETY: both host buffers are read after `wait`, and outlive it.
        unsafe {
            self.stream.enqueue_download(&device, 0, &mut host.bytes_mut()[..len])?;
            self.stream.enqueue_download(&self.results, 0, &mut self.host.bytes_mut()[..verdicts])?;
        }
        self.stream.wait()?;
        self.on_the_way.clear();
        let word = |b: &[u8]| u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        let verdicts = self.host.bytes()[..verdicts]
            .chunks_exact(8)
            .map(|b| XrdctVerdict { status: word(&b[..4]), codes: word(&b[4..]) })
            .collect();
        self.batch.frames = 0;
        self.used = 0;
        Ok((verdicts, host.bytes()[..len].to_vec()))
    }

    /// The lane's stream, for timing.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// When the steps of the last batch of `frames` frames were, in microseconds after `epoch`: each frame's copy (when
    /// [`Lane::time_uploads`] asked for it), the decoder's index, decoding and integration, the download. For a batch that
    /// has been waited for and had frames.
    ///
    /// # Errors
    /// When it is not done.
    pub fn times_after(&self, epoch: &Event, frames: usize) -> Result<Vec<TimedStep>, CudaError> {
        let at = |event: &Event| Ok::<_, CudaError>(f64::from(epoch.milliseconds_to(event)?) * 1e3);
        let step = |name, from: &Event, to: &Event, frames| {
            Ok::<_, CudaError>(TimedStep { name, start: at(from)?, end: at(to)?, frames })
        };
        let copies = self.departed.iter().zip(&self.arrived).take(frames);
        let mut steps: Vec<TimedStep> =
            copies.map(|(from, to)| step("upload", from, to, 1)).collect::<Result<_, CudaError>>()?;
        if self.codec != Codec::Raw {
            steps.push(step("index", &self.begun, &self.indexed, frames)?);
        }
        steps.push(step("decode + integrate", &self.indexed, &self.computed, frames)?);
        steps.push(step("download", &self.computed, &self.done, frames)?);
        Ok(steps)
    }

    fn sums(&self, frame: usize) -> FrameSums {
        let (frames, npt) = (self.frames(), self.engine.npt());
        let layout = Offsets::new(&self.engine, frames);
        let words = |from: usize, count: usize| {
            let bytes = &self.host.bytes()[from..from + count * 8];
            bytes
                .chunks_exact(8)
                .map(|b| u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
        };
        let verdict = words(frame * 8, 1).next().unwrap_or_default();
        let at = layout.saturated + frame * size_of::<u32>();
        let saturated = self.host.bytes()[at..].first_chunk().map_or(0, |b| u32::from_le_bytes(*b));
        let per_bin = |from: usize| words(from + frame * npt * 8, npt).map(f64::from_bits).collect();
        let deficits: Option<Vec<i64>> = (self.engine.recipe.has_invalid != 0).then(|| {
            words(layout.deficits + frame * DEFICITS * npt * 8, DEFICITS * npt).map(|w| w as i64).collect()
        });
        FrameSums {
            verdict: XrdctVerdict { status: verdict as u32, codes: (verdict >> 32) as u32 },
            signal: per_bin(layout.signal),
            variance: self.engine.extent.form.variance.then(|| per_bin(layout.variance)),
            deficits: deficits.filter(|deficits| deficits.iter().any(|lost| *lost != 0)),
            saturated,
        }
    }
}
