//! A lane: everything that a block of bins needs on the GPU, taken once, used block after block.
//!
//! ```text
//! upload ─▶ side by side ─┬─▶ filter ▶ back-project ──────────────┬─▶ apart ─▶ download
//!                         └─▶ (forward ▶ backward) × iterations ──┘
//! ```
//!
//! all in the lane's own stream. Slices are downloaded into pinned memory; [`Lane::wait`] brings them from there to where they
//! belong, on all cores, while other lanes go on.

use std::sync::Arc;

use rayon::prelude::*;

use super::kernels::Step;
use super::{GROUP, Shared};
use crate::cuda::driver::{DeviceBuffer, Event, PinnedBuffer, Stream};
use crate::cuda::error::CudaError;
use crate::cuda::params::XrdctTomo;
use crate::tomo::Method;

const FLOAT: usize = size_of::<f32>();
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
pub(super) fn bytes_of_group(tomo: &XrdctTomo) -> usize {
    let (rays, pixels) = sizes(tomo);
    GROUP * FLOAT * (3 * rays + 2 * pixels)
}

/// See the module.
pub(super) struct Lane {
    // The stream goes first: it is waited for while everything that it uses is alive.
    stream: Stream,
    began: Event,
    ended: Event,
    /// Bins of the block that is under way.
    busy: Option<usize>,
    up: PinnedBuffer,
    down: PinnedBuffer,
    sinograms: DeviceBuffer,
    /// Measured rows, side by side.
    rows: DeviceBuffer,
    /// Filtered rows, or what is left of them.
    work: DeviceBuffer,
    image: DeviceBuffer,
    slices: DeviceBuffer,
    shared: Arc<Shared>,
}

impl Lane {
    /// A lane for blocks of up to `bins` bins, a whole number of groups.
    pub(super) fn new(shared: &Arc<Shared>, bins: usize) -> Result<Lane, CudaError> {
        let context = &shared.context;
        let (rays, pixels) = sizes(&shared.tomo);
        let take = |values: usize| DeviceBuffer::take(context, bins * values * FLOAT, "a block of slices");
        Ok(Lane {
            stream: Stream::new(context)?,
            began: Event::new(context)?,
            ended: Event::new(context)?,
            busy: None,
            up: PinnedBuffer::take(context, bins * rays * FLOAT)?,
            down: PinnedBuffer::take(context, bins * pixels * FLOAT)?,
            sinograms: take(rays)?,
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
        let (rays, pixels) = sizes(&self.shared.tomo);
        let bins = sinograms.len() / rays;
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
            self.enqueue_kernels(bins)?;
            self.ended.enqueue(&self.stream)?;
            let down = &mut self.down.bytes_mut()[..bins * pixels * FLOAT];
            self.stream.enqueue_download(&self.slices, 0, down)
        }
    }

    /// Waits for the block and brings its slices to `slices`; milliseconds that its kernels took.
    pub(super) fn wait(&mut self, slices: &mut [f32]) -> Result<f64, CudaError> {
        self.stream.wait()?;
        self.busy = None;
        copy(&self.down.floats()[..slices.len()], slices);
        Ok(f64::from(self.began.milliseconds_to(&self.ended)?))
    }

    /// Waits for the block, if any, and forgets it.
    pub(super) fn abandon(&mut self) {
        let _ = self.stream.wait();
        self.busy = None;
    }

    /// # Safety
    /// The lane's buffers must live until the stream has run, which they do: it is waited for before they go.
    unsafe fn enqueue_kernels(&self, bins: usize) -> Result<(), CudaError> {
        let shared = &*self.shared;
        let tomo = XrdctTomo { bins: bins as u32, ..shared.tomo };
        let (kernels, stream) = (&shared.kernels, &self.stream);
        let [rows, work, image] = [&self.rows, &self.work, &self.image].map(DeviceBuffer::pointer);
        let [kept, views] = [&shared.kept, &shared.views].map(DeviceBuffer::pointer);
        // SAFETY: buffers of whole groups of bins, alive as the caller promises.
        unsafe {
            kernels.enqueue_side_by_side(stream, [self.sinograms.pointer(), rows], &tomo)?;
            let (step, iterations) = match shared.method {
                Method::Fbp { .. } => {
                    kernels.enqueue_filter(stream, [rows, shared.taps.pointer(), work], &tomo)?;
                    kernels.enqueue_back_project(stream, [work, shared.turns.pointer(), image], &tomo)?;
                    (Step::Sirt, 0)
                }
                Method::Sirt { iterations, .. } => {
                    stream.enqueue_fill(&self.image, 0, self.image.len(), 0)?;
                    (Step::Sirt, iterations)
                }
                Method::Mlem { iterations } => {
                    kernels.enqueue_start(stream, [kept, image], &tomo)?;
                    (Step::Mlem, iterations)
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
