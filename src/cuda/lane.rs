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

use super::codec::byte_offset::{ByteOffsetTables, CHUNK, TILE};
use super::driver::{Context, DeviceBuffer, Event, PinnedBuffer, Stream};
use super::engine::{CudaEngine, Route};
use super::error::CudaError;
use super::integrate::fused::{Fused, FusedBuffers, Results};
use super::integrate::keep::{DevicePatterns, KeptRow};
use super::params::{self, XrdctBatch, XrdctSpan, XrdctVerdict};
use crate::frame::{Codec, Slot};
pub(super) use sizes::fit;
use sizes::{DEFICITS, Offsets, Sizes};
pub use sizes::{LaneSizes, arena, arena_bytes, bytes_needed, is_addressable};

/// Frames that a launch can take.
pub const MAX_BATCH: usize = params::XRDCT_MAX_BATCH as usize;

/// What a route needs of its own.
enum RouteBuffers {
    /// Decoded pixels go where they are wanted.
    Pixels,
    Fused(FusedBuffers),
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
    arena: Arc<DeviceBuffer<u8>>,
    tables: ByteOffsetTables,
    route: RouteBuffers,
    results: DeviceBuffer<u8>,
    host: PinnedBuffer,
    batch: XrdctBatch,
    codec: Codec,
    used: usize,
    capacity: usize,
    on_the_way: OnTheWay,
    engine: Arc<CudaEngine>,
}

/// Slots whose bytes the device fetches, with the places of their frames. They go home, except from a device that was given up:
/// it may still fetch, and whoever fills them would have it read something else.
struct OnTheWay {
    slots: VecDeque<(usize, Arc<Slot>)>,
    context: Arc<Context>,
}

impl Drop for OnTheWay {
    fn drop(&mut self) {
        if self.context.is_given_up() {
            self.slots.drain(..).for_each(std::mem::forget);
        }
    }
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
        let batch = engine.empty_batch();
        let lane = Lane {
            stream: Stream::new(context)?,
            arrived: (0..capacity).map(|_| Event::new(context)).collect::<Result<_, _>>()?,
            departed: Vec::new(),
            begun: Event::new(context)?,
            indexed: Event::new(context)?,
            computed: Event::new(context)?,
            done: Event::new(context)?,
            arena: arena(engine, capacity)?,
            tables: ByteOffsetTables::new(context, sizes.arena, capacity, &batch)?,
            route: match &engine.route {
                Route::Pixels => RouteBuffers::Pixels,
                Route::Fused(fused) => {
                    let sizes = (sizes.pixels, sizes.partials);
                    RouteBuffers::Fused(FusedBuffers::new(context, fused.form(), sizes)?)
                }
            },
            results: DeviceBuffer::take(context, sizes.results, "a lane's results")?,
            host: PinnedBuffer::take(context, sizes.results)?,
            batch,
            codec: Codec::ByteOffset,
            used: 0,
            capacity,
            on_the_way: OnTheWay { slots: VecDeque::with_capacity(capacity), context: Arc::clone(context) },
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
    pub fn exchange(&mut self, arena: Arc<DeviceBuffer<u8>>) -> Arc<DeviceBuffer<u8>> {
        std::mem::replace(&mut self.arena, arena)
    }

    /// What holds the packed frames.
    pub fn arena(&self) -> &Arc<DeviceBuffer<u8>> {
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
        self.on_the_way.slots.push_back((index, slot));
        self.arrived[index].enqueue(&self.stream)
    }

    /// Sends home the slots whose bytes have been fetched; never blocks.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn release(&mut self) -> Result<(), CudaError> {
        while let Some((index, _)) = self.on_the_way.slots.front() {
            if !self.arrived[*index].is_done()? {
                break;
            }
            self.on_the_way.slots.pop_front();
        }
        Ok(())
    }

    /// Where the results of the batch are on the device.
    fn results(&self) -> Results {
        let (results, offsets) = (&self.results, Offsets::new(&self.engine, self.frames()));
        Results {
            verdicts: results.pointer_at(0),
            saturated: results.pointer_at(offsets.saturated),
            signal: results.pointer_at(offsets.signal),
            variance: results.pointer_at(offsets.variance),
            deficits: results.pointer_at(offsets.deficits),
        }
    }

    /// The fused route and this lane's part of it.
    fn fused(&self) -> Result<(&Fused, &FusedBuffers), CudaError> {
        match (&self.engine.route, &self.route) {
            (Route::Fused(fused), RouteBuffers::Fused(buffers)) => Ok((fused, buffers)),
            _ => Err(CudaError::NoMatrix),
        }
    }

    /// Enqueues the index of the packed frames: where every code starts, which frames are good.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn enqueue_index(&self) -> Result<(), CudaError> {
        let Lane { engine, stream, arena, tables, batch, .. } = self;
        // SAFETY: all buffers are this lane's and sized for its arena.
        unsafe { engine.decoder.enqueue_index(stream, arena, tables, self.results().verdicts, batch) }
    }

    /// Enqueues decoding to `pixels`, which must have room for the whole batch; after [`Lane::enqueue_index`].
    ///
    /// # Errors
    /// When there is no room, or the driver refuses.
    pub fn enqueue_pixels(&self, pixels: &DeviceBuffer<u8>) -> Result<(), CudaError> {
        let needed = self.frames() * self.engine.shape.pixels() * self.engine.pixel.size();
        if needed > pixels.len() {
            return Err(CudaError::OutsideBuffer { offset: 0, len: needed, size: pixels.len() });
        }
        let Lane { engine, stream, arena, tables, batch, .. } = self;
        let to = (self.results().verdicts.cast_const(), pixels);
        // SAFETY: as in `enqueue_index`; the size of `pixels` was checked.
        unsafe { engine.decoder.enqueue_pixels(stream, arena, tables, to, batch) }
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
        if self.fused()?.0.recipe.has_invalid != 0 {
            self.stream.enqueue_fill(&self.results, layout.deficits, layout.len - layout.deficits, 0)?;
        }
        Ok(())
    }

    /// Enqueues decoding and integration in one; after [`Lane::enqueue_index`].
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn enqueue_packed(&self) -> Result<(), CudaError> {
        let (fused, buffers) = self.fused()?;
        let packed = (&*self.arena, self.tables.arguments());
        // SAFETY: all buffers are this lane's and sized for its arena and batch.
        unsafe { fused.enqueue_packed(&self.stream, packed, buffers, self.results(), &self.batch) }
    }

    /// Enqueues integration of decoded frames: at their spans in the arena, or one after another in `pixels`.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn enqueue_plain(&self, pixels: Option<&DeviceBuffer<u8>>) -> Result<(), CudaError> {
        let (fused, buffers) = self.fused()?;
        let batch = XrdctBatch { contiguous: u32::from(pixels.is_some()), ..self.batch };
        let pixels = pixels.unwrap_or(&self.arena);
        // SAFETY: as in `enqueue_packed`; `enqueue_pixels` has checked the size of `pixels`.
        unsafe { fused.enqueue_plain(&self.stream, pixels, buffers, self.results(), &batch) }
    }

    /// Enqueues the last step: each bin's sum over the items.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn enqueue_bins(&self) -> Result<(), CudaError> {
        let (fused, buffers) = self.fused()?;
        // SAFETY: as in `enqueue_packed`.
        unsafe { fused.enqueue_bins(&self.stream, buffers, self.results(), self.frames()) }
    }

    /// Enqueues the patterns of the batch into `kept`, each good frame's into its row; after [`Lane::enqueue_bins`].
    ///
    /// # Errors
    /// When a row is not there, or the driver refuses.
    fn enqueue_patterns(&self, kept: &DevicePatterns, rows: &[KeptRow]) -> Result<(), CudaError> {
        let (fused, _) = self.fused()?;
        // SAFETY: as in `enqueue_packed`; the reducer holds `kept`.
        unsafe { fused.enqueue_patterns(&self.stream, self.results(), kept, &rows[..self.frames()]) }
    }

    /// Enqueues everything that turns the gathered frames into results on the host; with `kept`, their patterns stay in
    /// the rows that are given, one a frame, too. Does not block.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn enqueue_batch(&mut self, kept: Option<(&DevicePatterns, &[KeptRow])>) -> Result<(), CudaError> {
        self.engine.context().bind()?;
        self.begun.enqueue(&self.stream)?;
        if self.frames() > 0 {
            self.enqueue_clear()?;
            match self.codec {
                Codec::Raw => {
                    self.indexed.enqueue(&self.stream)?;
                    self.enqueue_plain(None)?;
                }
                Codec::ByteOffset => {
                    let (_, buffers) = self.fused()?;
                    self.enqueue_index()?;
                    if buffers.pixels.is_empty() {
                        self.indexed.enqueue(&self.stream)?;
                        self.enqueue_packed()?;
                    } else {
                        self.enqueue_pixels(&buffers.pixels)?;
                        self.indexed.enqueue(&self.stream)?;
                        self.enqueue_plain(Some(&buffers.pixels))?;
                    }
                }
                Codec::Filtered(_) => return Err(CudaError::NoKernelsFor { what: self.codec.name() }),
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
        self.on_the_way.slots.clear();
        let engine = Arc::clone(&self.engine);
        let fused = engine.fused().ok_or(CudaError::NoMatrix)?;
        let results = (0..self.frames()).map(|frame| self.sums(fused, frame)).collect();
        self.batch.frames = 0;
        self.used = 0;
        Ok(results)
    }

    /// Forgets the batch, after an error. Slots go home once the device has nothing to do with them any more; when that does not
    /// come to pass they stay with the lane, and so does everything else of it.
    ///
    /// # Errors
    /// What went wrong on the device; the lane must not be used again.
    pub fn abandon(&mut self) -> Result<(), CudaError> {
        let waited = self.engine.context().bind().and_then(|()| self.stream.wait());
        if !self.engine.context().is_given_up() {
            self.on_the_way.slots.clear();
        }
        self.batch.frames = 0;
        self.used = 0;
        waited
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
        self.on_the_way.slots.clear();
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

    fn sums(&self, fused: &Fused, frame: usize) -> FrameSums {
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
        let deficits: Option<Vec<i64>> = (fused.recipe.has_invalid != 0).then(|| {
            words(layout.deficits + frame * DEFICITS * npt * 8, DEFICITS * npt).map(|w| w as i64).collect()
        });
        FrameSums {
            verdict: XrdctVerdict { status: verdict as u32, codes: (verdict >> 32) as u32 },
            signal: per_bin(layout.signal),
            variance: fused.form().variance.then(|| per_bin(layout.variance)),
            deficits: deficits.filter(|deficits| deficits.iter().any(|lost| *lost != 0)),
            saturated,
        }
    }
}
