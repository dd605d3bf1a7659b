//! A lane: everything that a block of bins needs on the GPU, taken once, used block after block.
//!
//! ```text
//! upload ─▶ side by side ─┬─▶ filter ▶ back-project ──────────────┬─▶ apart ─▶ download
//! gather ┘                └─▶ (forward ▶ backward) × iterations ──┘
//! ```
//!
//! all in the lane's own stream. Sinograms are uploaded, or made of patterns that lie on the device and then downloaded too. Slices are downloaded into pinned memory; [`SliceLane::wait`] brings them from there to where they
//! belong, on all cores, while other lanes go on.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::assembly::{DeviceAssembly, Targets};
use super::kernels::Iteration;
use super::{GROUP, Shared};
use crate::cuda::driver::{DeviceBuffer, Event, PinnedBuffer, Stream};
use crate::cuda::error::CudaError;
use crate::cuda::kernels::Address;
use crate::cuda::params::XrdctTomo;
use crate::tomo::Method;

const FLOAT: usize = size_of::<f32>();
/// Bytes of a bin's mark.
const MARK: usize = size_of::<u32>();
/// Values that one core copies at a time.
const PIECE: usize = 1 << 16;

/// Copies on all cores.
fn copy(from: &[f32], to: &mut [f32]) {
    to.par_chunks_mut(PIECE).zip(from.par_chunks(PIECE)).for_each(|(to, from)| to.copy_from_slice(from));
}

/// Rays and pixels of one bin.
fn sizes(tomo: &XrdctTomo) -> (usize, usize) {
    (tomo.rotations as usize * tomo.translations as usize, tomo.rows as usize * tomo.columns as usize)
}

/// Device bytes that a group of bins takes in a lane.
pub(super) fn bytes_of_group(shared: &Shared) -> usize {
    let (rays, pixels) = sizes(&shared.tomo);
    let (mark, means) = shared.assembly.as_ref().map_or((0, 0), DeviceAssembly::bytes_of_bin);
    GROUP * (FLOAT * (3 * rays + 2 * pixels) + mark + means)
}

/// See the module.
pub(super) struct SliceLane {
    // The stream goes first: it is waited for while everything that it uses is alive.
    stream: Stream,
    began: Event,
    ended: Event,
    /// Bins of the block that is under way.
    busy: Option<usize>,
    /// Sinograms of the host, on their way there or back.
    up: PinnedBuffer,
    down: PinnedBuffer,
    sinograms: DeviceBuffer,
    /// Marks of bins without data, there and here, and the means of columns: for sinograms that are made of patterns.
    empty: DeviceBuffer,
    marks: PinnedBuffer,
    means: DeviceBuffer,
    /// Measured rows, side by side.
    rows: DeviceBuffer,
    /// Filtered rows, or what is left of them.
    work: DeviceBuffer,
    image: DeviceBuffer,
    slices: DeviceBuffer,
    shared: Arc<Shared>,
}

impl SliceLane {
    /// A lane for blocks of up to `bins` bins, a whole number of groups.
    pub(super) fn new(shared: &Arc<Shared>, bins: usize) -> Result<SliceLane, CudaError> {
        let context = &shared.context;
        let (rays, pixels) = sizes(&shared.tomo);
        let (mark, means) = shared.assembly.as_ref().map_or((0, 0), DeviceAssembly::bytes_of_bin);
        let take = |values: usize| DeviceBuffer::take(context, bins * values * FLOAT, "a block of slices");
        Ok(SliceLane {
            stream: Stream::new(context)?,
            began: Event::new(context)?,
            ended: Event::new(context)?,
            busy: None,
            up: PinnedBuffer::take(context, bins * rays * FLOAT)?,
            down: PinnedBuffer::take(context, bins * pixels * FLOAT)?,
            sinograms: take(rays)?,
            empty: DeviceBuffer::take(context, bins * mark, "a block of slices")?,
            marks: PinnedBuffer::take(context, bins * mark)?,
            means: DeviceBuffer::take(context, bins * means, "a block of slices")?,
            rows: take(rays)?,
            work: take(rays)?,
            image: take(pixels)?,
            slices: take(pixels)?,
            shared: Arc::clone(shared),
        })
    }

    /// Whether a block is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.is_some()
    }

    /// Starts a block; the lane must not be busy. Does not wait for the device.
    pub(super) fn enqueue(&mut self, sinograms: &[f32]) -> Result<(), CudaError> {
        let bins = sinograms.len() / sizes(&self.shared.tomo).0;
        let bytes = size_of_val(sinograms);
        self.busy = Some(bins);
        let pieces = self.up.bytes_mut()[..bytes].par_chunks_mut(PIECE * FLOAT);
        pieces.zip(sinograms.par_chunks(PIECE)).for_each(|(to, from)| {
            to.chunks_exact_mut(FLOAT)
                .zip(from)
                .for_each(|(to, from)| to.copy_from_slice(&from.to_ne_bytes()));
        });
        // SAFETY: `up` and `down` are not touched before `wait` or `abandon` has waited for the stream.
        unsafe {
            self.stream.enqueue_upload(&self.sinograms, 0, &self.up.bytes()[..bytes])?;
            self.began.enqueue(&self.stream)?;
            self.enqueue_slices(bins, 0)
        }
    }

    /// Starts a block of bins whose sinograms are made of patterns on the device; with or without their slices. The lane must
    /// not be busy. Does not wait for the device.
    pub(super) fn enqueue_assembled(
        &mut self,
        assembly: &DeviceAssembly,
        bins: Range<usize>,
        slices: bool,
    ) -> Result<(), CudaError> {
        let count = bins.len();
        self.busy = Some(count);
        self.began.enqueue(&self.stream)?;
        let targets =
            Targets { sinograms: &self.sinograms, spare: &self.work, empty: &self.empty, means: &self.means };
        let (empty, bytes) = (self.empty.pointer(), count * sizes(&self.shared.tomo).0 * FLOAT);
        // SAFETY: as in `enqueue`; whoever asks for bins has compared them with those of the patterns, and with this lane's.
        unsafe {
            assembly.enqueue(&self.stream, bins, targets)?;
            self.stream.enqueue_download(&self.sinograms, 0, &mut self.up.bytes_mut()[..bytes])?;
            self.stream.enqueue_download(&self.empty, 0, &mut self.marks.bytes_mut()[..count * MARK])?;
            match slices {
                true => self.enqueue_slices(count, empty),
                false => self.ended.enqueue(&self.stream),
            }
        }
    }

    /// From sinograms on the device to slices on the host.
    ///
    /// # Safety
    /// `down` must not be touched before `wait` or `abandon` has waited for the stream.
    unsafe fn enqueue_slices(&mut self, bins: usize, empty: Address) -> Result<(), CudaError> {
        let bytes = bins * sizes(&self.shared.tomo).1 * FLOAT;
        // SAFETY: the lane's buffers live until the stream has run: it is waited for before they go.
        unsafe {
            self.enqueue_kernels(bins, empty)?;
            self.ended.enqueue(&self.stream)?;
            self.stream.enqueue_download(&self.slices, 0, &mut self.down.bytes_mut()[..bytes])
        }
    }

    /// Waits for the block and brings its slices to `slices`; milliseconds that its kernels took.
    pub(super) fn wait(&mut self, slices: &mut [f32]) -> Result<f64, CudaError> {
        self.stream.wait()?;
        self.busy = None;
        copy(&self.down.floats()[..slices.len()], slices);
        Ok(f64::from(self.began.milliseconds_to(&self.ended)?))
    }

    /// [`SliceLane::wait`] after [`SliceLane::enqueue_assembled`]: brings the sinograms too, with 0 in bins without data, and says
    /// which these are.
    pub(super) fn wait_assembled(
        &mut self,
        sinograms: &mut [f32],
        slices: &mut [f32],
    ) -> Result<(f64, Vec<usize>), CudaError> {
        let milliseconds = self.wait(slices)?;
        copy(&self.up.floats()[..sinograms.len()], sinograms);
        let rays = sizes(&self.shared.tomo).0;
        let marks = self.marks.bytes().chunks_exact(MARK).take(sinograms.len() / rays);
        let empty: Vec<usize> = marks
            .enumerate()
            .filter(|(_, mark)| mark.iter().any(|byte| *byte != 0))
            .map(|(bin, _)| bin)
            .collect();
        empty.iter().for_each(|bin| sinograms[bin * rays..(bin + 1) * rays].fill(0.0));
        Ok((milliseconds, empty))
    }

    /// Waits for the block, if any, and forgets it.
    pub(super) fn abandon(&mut self) {
        let _ = self.stream.wait();
        self.busy = None;
    }

    /// # Safety
    /// The lane's buffers must live until the stream has run, which they do: it is waited for before they go.
    unsafe fn enqueue_kernels(&self, bins: usize, empty: Address) -> Result<(), CudaError> {
        let shared = &*self.shared;
        let tomo = XrdctTomo { bins: bins as u32, ..shared.tomo };
        let (kernels, stream) = (&shared.kernels, &self.stream);
        let [rows, work, image] = [&self.rows, &self.work, &self.image].map(DeviceBuffer::pointer);
        let [kept, views] = [&shared.kept, &shared.views].map(DeviceBuffer::pointer);
        // SAFETY: buffers of whole groups of bins, alive as the caller promises.
        unsafe {
            kernels.enqueue_side_by_side(stream, [self.sinograms.pointer(), empty, rows], &tomo)?;
            let (step, iterations) = match shared.method {
                Method::Fbp { .. } => {
                    kernels.enqueue_filter(stream, [rows, shared.taps.pointer(), work], &tomo)?;
                    kernels.enqueue_back_project(stream, [work, shared.turns.pointer(), image], &tomo)?;
                    (Iteration::Sirt, 0)
                }
                Method::Sirt { iterations, .. } => {
                    stream.enqueue_fill(&self.image, 0, self.image.len(), 0)?;
                    (Iteration::Sirt, iterations)
                }
                Method::Mlem { iterations } => {
                    kernels.enqueue_start(stream, [kept, image], &tomo)?;
                    (Iteration::Mlem, iterations)
                }
            };
            let (row_scales, column_scales) = (shared.row_scales.pointer(), shared.column_scales.pointer());
            for _ in 0..iterations {
                kernels.enqueue_forward(stream, step, [image, rows, views, row_scales, work], &tomo)?;
                kernels.enqueue_backward(stream, step, [work, views, column_scales, kept, image], &tomo)?;
            }
            kernels.enqueue_apart(stream, [image, kept, self.slices.pointer()], &tomo)
        }
    }
}
