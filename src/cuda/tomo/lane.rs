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
use std::ptr::null;
use std::sync::Arc;
use std::time::Duration;

use rayon::prelude::*;

use super::assembly::{DeviceAssembly, Targets};
use super::iterative::Iteration;
use super::{GROUP, Shared};
use crate::cuda::driver::{DeviceBuffer, Event, LIMIT, PinnedBuffer, Stream};
use crate::cuda::error::CudaError;
use crate::cuda::params::{
    XrdctApart, XrdctBackProject, XrdctBackward, XrdctFilter, XrdctForward, XrdctSideBySide, XrdctStart,
    XrdctTomo,
};
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

/// How long a block may take: as long as each of its launches may, and those of the other lanes that have their turn meanwhile.
pub(super) fn limit(method: Method, lanes: usize) -> Duration {
    let iterations = match method {
        Method::Fbp { .. } => 0,
        Method::Sirt { iterations, .. } | Method::Mlem { iterations } => iterations,
    };
    // Before and after the iterations: what makes sinograms, lays them side by side, filters, takes them apart.
    let launches = 2 * iterations + 10;
    LIMIT.saturating_mul(u32::try_from(launches * lanes).unwrap_or(u32::MAX))
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
    sinograms: DeviceBuffer<f32>,
    /// Marks of bins without data, there and here, and the means of columns: for sinograms that are made of patterns.
    empty: DeviceBuffer<u32>,
    marks: PinnedBuffer,
    means: DeviceBuffer<f64>,
    /// Measured rows, side by side.
    rows: DeviceBuffer<f32>,
    /// Filtered rows, or what is left of them.
    work: DeviceBuffer<f32>,
    image: DeviceBuffer<f32>,
    slices: DeviceBuffer<f32>,
    shared: Arc<Shared>,
}

impl SliceLane {
    /// A lane for blocks of up to `bins` bins, a whole number of groups.
    pub(super) fn new(shared: &Arc<Shared>, bins: usize) -> Result<SliceLane, CudaError> {
        let context = &shared.context;
        let (rays, pixels) = sizes(&shared.tomo);
        let (mark, means) = shared.assembly.as_ref().map_or((0, 0), DeviceAssembly::bytes_of_bin);
        let take = |values: usize| DeviceBuffer::take(context, bins * values, "a block of slices");
        Ok(SliceLane {
            stream: Stream::new(context)?,
            began: Event::new(context)?,
            ended: Event::new(context)?,
            busy: None,
            up: PinnedBuffer::take(context, bins * rays * FLOAT)?,
            down: PinnedBuffer::take(context, bins * pixels * FLOAT)?,
            sinograms: take(rays)?,
            empty: DeviceBuffer::take(context, bins * mark / size_of::<u32>(), "a block of slices")?,
            marks: PinnedBuffer::take(context, bins * mark)?,
            means: DeviceBuffer::take(context, bins * means / size_of::<f64>(), "a block of slices")?,
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
        let count = sinograms.len();
        self.busy = Some(bins);
        copy(sinograms, &mut self.up.floats_mut()[..count]);
        // SAFETY: `up` and `down` are not touched before `wait` or `abandon` has waited for the stream.
        unsafe {
            self.stream.enqueue_upload(&self.sinograms, 0, &self.up.floats()[..count])?;
            self.began.enqueue(&self.stream)?;
            self.enqueue_slices(bins, null())
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
        let (empty, rays) = (self.empty.pointer(), count * sizes(&self.shared.tomo).0);
        // SAFETY: as in `enqueue`; whoever asks for bins has compared them with those of the patterns, and with this lane's.
        unsafe {
            assembly.enqueue(&self.stream, bins, targets)?;
            self.stream.enqueue_download(&self.sinograms, 0, &mut self.up.floats_mut()[..rays])?;
            self.stream.enqueue_download(&self.empty, 0, &mut self.marks.words_mut()[..count])?;
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
    unsafe fn enqueue_slices(&mut self, bins: usize, empty: *const u32) -> Result<(), CudaError> {
        let pixels = bins * sizes(&self.shared.tomo).1;
        // SAFETY: the lane's buffers live until the stream has run: it is waited for before they go.
        unsafe {
            self.enqueue_kernels(bins, empty)?;
            self.ended.enqueue(&self.stream)?;
            self.stream.enqueue_download(&self.slices, 0, &mut self.down.floats_mut()[..pixels])
        }
    }

    /// Waits for the block and brings its slices to `slices`; milliseconds that its kernels took.
    pub(super) fn wait(&mut self, slices: &mut [f32]) -> Result<f64, CudaError> {
        self.stream.wait_within(self.shared.limit)?;
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
        let marks = self.marks.bytes().chunks_exact(size_of::<u32>()).take(sinograms.len() / rays);
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
        let _ = self.stream.wait_within(self.shared.limit);
        self.busy = None;
    }

    /// # Safety
    /// The lane's buffers must live until the stream has run, which they do: it is waited for before they go.
    unsafe fn enqueue_kernels(&self, bins: usize, empty: *const u32) -> Result<(), CudaError> {
        let shared = &*self.shared;
        let tomo = XrdctTomo { bins: bins as u32, ..shared.tomo };
        let Shared { fbp, iterative, .. } = shared;
        let stream = &self.stream;
        let [rows, work, image] = [&self.rows, &self.work, &self.image].map(DeviceBuffer::pointer);
        let (kept, views) = (shared.kept.pointer().cast_const(), shared.views.pointer().cast_const());
        let sinograms = self.sinograms.pointer();
        // SAFETY: buffers of whole groups of bins, alive as the caller promises.
        unsafe {
            fbp.enqueue_side_by_side(stream, &XrdctSideBySide { bins: sinograms, empty, rows, tomo })?;
            let (step, iterations) = match shared.method {
                Method::Fbp { .. } => {
                    let (taps, turns) = (shared.taps.pointer(), shared.turns.pointer());
                    fbp.enqueue_filter(stream, &XrdctFilter { rows, taps, filtered: work, tomo })?;
                    fbp.enqueue_back_project(stream, &XrdctBackProject { rows: work, turns, image, tomo })?;
                    (Iteration::Sirt, 0)
                }
                Method::Sirt { iterations, .. } => {
                    stream.enqueue_fill(&self.image, 0, self.image.len(), 0)?;
                    (Iteration::Sirt, iterations)
                }
                Method::Mlem { iterations } => {
                    iterative.enqueue_start(stream, &XrdctStart { kept, image, tomo })?;
                    (Iteration::Mlem, iterations)
                }
            };
            let scales = shared.row_scales.pointer();
            let forward = XrdctForward { image, measured: rows, views, scales, rest: work, tomo };
            let scales = shared.column_scales.pointer();
            let backward = XrdctBackward { rest: work, views, scales, kept, image, tomo };
            for _ in 0..iterations {
                iterative.enqueue_forward(stream, step, &forward)?;
                iterative.enqueue_backward(stream, step, &backward)?;
            }
            fbp.enqueue_apart(stream, &XrdctApart { image, kept, slices: self.slices.pointer(), tomo })
        }
    }
}
