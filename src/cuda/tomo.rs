//! Reconstruction on a GPU: the twin of `tomo::HostReconstructor`, and of `tomo::Assembly` where the patterns are there too.
//!
//! Sinograms go up and slices come down in blocks of bins, in several lanes: while one block is computed the next one is
//! uploaded and the one before downloaded. Slices agree with the host's within the bound that `tests/gpu/tomo.rs` states:
//! rows are filtered by a plain convolution instead of transforms, and multiply-adds are fused. A slice's bits depend on its
//! sinogram alone, not on the blocks.

mod assembly;
mod fbp;
mod geometry;
mod iterative;
mod lane;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::driver::{Context, DeviceBuffer, LIMIT};
use super::error::CudaError;
use super::integrate::keep::DevicePatterns;
use super::params::{self, XrdctTomo, XrdctTurn, XrdctView};
use crate::tomo::assembly::{Assembled, Assembly};
use crate::tomo::{Method, ReconstructError, Reconstruction, Reconstructor, TomoError};
pub use assembly::AssemblyTables;
use assembly::DeviceAssembly;
use fbp::FbpKernels;
pub use geometry::Geometry;
use iterative::IterativeKernels;
use lane::SliceLane;

/// Part of the free device memory that lanes may take.
const SHARE_OF_FREE: f64 = 0.8;
/// Bins that a thread works on side by side.
const GROUP: usize = params::XRDCT_TOMO_BINS as usize;

/// Sizes of a reconstructor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceSizes {
    /// Blocks under way at once.
    pub lanes: usize,
    /// Most bins of a block.
    pub bins: usize,
}

impl Default for SliceSizes {
    /// Three lanes, one for each direction of the link and one that computes (profiles/notes/fbp.md).
    fn default() -> Self {
        SliceSizes { lanes: 3, bins: 64 }
    }
}

/// Reconstructs on one GPU.
pub struct CudaReconstructor {
    // Lanes go first: their streams are waited for while everything they use is alive.
    lanes: Vec<SliceLane>,
    shared: Arc<Shared>,
    wanted: Reconstruction,
    options: SliceSizes,
    kernel_milliseconds: f64,
}

/// What is the same for every block of a run.
struct Shared {
    fbp: FbpKernels,
    iterative: IterativeKernels,
    method: Method,
    tomo: XrdctTomo,
    kept: DeviceBuffer<u8>,
    turns: DeviceBuffer<XrdctTurn>,
    taps: DeviceBuffer<f32>,
    views: DeviceBuffer<XrdctView>,
    row_scales: DeviceBuffer<f32>,
    column_scales: DeviceBuffer<f32>,
    assembly: Option<DeviceAssembly>,
    /// How long a block may take.
    limit: Duration,
    context: Arc<Context>,
}

impl CudaReconstructor {
    /// Prepares what all bins share, and takes the lanes' memory. Where the GPU has too little of it, blocks become smaller.
    ///
    /// # Errors
    /// As [`Reconstruction::check`], and when not even the smallest block fits.
    pub fn new(
        context: &Arc<Context>,
        wanted: &Reconstruction,
        options: SliceSizes,
    ) -> Result<CudaReconstructor, ReconstructError> {
        wanted.check()?;
        Ok(CudaReconstructor::of(Shared::new(context, wanted)?, wanted, options)?)
    }

    /// [`CudaReconstructor::new`] for patterns that are on the same GPU: [`CudaReconstructor::assemble`] makes sinograms of
    /// them. `frame_of` gives the row of `patterns` for a row of the assembly's; none when there is no such pattern.
    ///
    /// # Errors
    /// As [`CudaReconstructor::new`], and when the assembly's rays are not those of `wanted`.
    pub fn with_patterns(
        wanted: &Reconstruction,
        options: SliceSizes,
        patterns: Arc<DevicePatterns>,
        assembly: &Assembly,
        frame_of: impl Fn(usize) -> Option<usize>,
    ) -> Result<CudaReconstructor, ReconstructError> {
        wanted.check()?;
        if assembly.rays().len() != wanted.rays.len() {
            let (found, expected) = (assembly.rays().len(), wanted.rays.len());
            return Err(TomoError::Mismatch { what: "values of sinograms", found, expected }.into());
        }
        let context = Arc::clone(patterns.context());
        let mut shared = Shared::new(&context, wanted)?;
        shared.assembly = Some(DeviceAssembly::new(&context, patterns, assembly, frame_of)?);
        Ok(CudaReconstructor::of(shared, wanted, options)?)
    }

    fn of(
        mut shared: Shared,
        wanted: &Reconstruction,
        options: SliceSizes,
    ) -> Result<CudaReconstructor, CudaError> {
        let lanes = options.lanes.max(1);
        shared.limit = lane::limit(shared.method, lanes);
        let shared = Arc::new(shared);
        let (free, _) = shared.context.memory()?;
        let each = (free as f64 * SHARE_OF_FREE) as usize / lanes / lane::bytes_of_group(&shared);
        let bins = options.bins.div_ceil(GROUP).min(each).max(1) * GROUP;
        let lanes =
            (0..lanes).map(|_| SliceLane::new(&shared, bins)).collect::<Result<Vec<_>, CudaError>>()?;
        let options = SliceSizes { lanes: lanes.len(), bins };
        Ok(CudaReconstructor { lanes, shared, wanted: wanted.clone(), options, kernel_milliseconds: 0.0 })
    }

    /// The sizes that fitted.
    pub fn options(&self) -> SliceSizes {
        self.options
    }

    /// Milliseconds that kernels took in the last call, from each lane's own clock: with several lanes these overlap.
    pub fn kernel_milliseconds(&self) -> f64 {
        self.kernel_milliseconds
    }

    /// Whether patterns are there to make sinograms of.
    pub fn has_patterns(&self) -> bool {
        self.shared.assembly.is_some()
    }

    /// Sinograms of some bins, made of the patterns on the device, and their slices (bins, rows, columns); none are made when
    /// `slices` is empty. Slices of bins without data are 0, or what the method makes of 0.
    ///
    /// # Errors
    /// When there are no patterns or no such bins, the lengths do not fit, or the device fails.
    pub fn assemble(
        &mut self,
        bins: Range<usize>,
        slices: &mut [f32],
    ) -> Result<Assembled, ReconstructError> {
        let (each, pixels) = (self.wanted.rays.len(), self.wanted.grid.pixels());
        let (count, npt) = (bins.len(), self.shared.assembly.as_ref().map_or(0, DeviceAssembly::npt));
        if bins.end > npt {
            return Err(
                TomoError::Mismatch { what: "bins on the device", found: npt, expected: bins.end }.into()
            );
        }
        if !slices.is_empty() && slices.len() != count * pixels {
            let (found, expected) = (slices.len(), count * pixels);
            return Err(TomoError::Mismatch { what: "pixels of slices", found, expected }.into());
        }
        let mut values = vec![0.0; count * each];
        let mut empty = vec![];
        let done = self.run_assembled(bins, &mut values, slices, &mut empty);
        self.settled(done)?;
        Ok(Assembled { values, empty })
    }

    fn run_assembled(
        &mut self,
        bins: Range<usize>,
        values: &mut [f32],
        mut slices: &mut [f32],
        empty: &mut Vec<usize>,
    ) -> Result<(), CudaError> {
        let (each, pixels, block) = (self.wanted.rays.len(), self.wanted.grid.pixels(), self.options.bins);
        let shared = Arc::clone(&self.shared);
        let Some(assembly) = &shared.assembly else { return Ok(()) };
        let wants = !slices.is_empty();
        let end = bins.end;
        let blocks = bins.step_by(block).map(|first| first..(first + block).min(end));
        let mut targets = values.chunks_mut(block * each).enumerate();
        self.rounds(
            blocks,
            |lane, bins| lane.enqueue_assembled(assembly, bins, wants),
            |lane| {
                let Some((n, target)) = targets.next() else { return Ok(0.0) };
                let len = if wants { target.len() / each * pixels } else { 0 };
                let (images, rest) = std::mem::take(&mut slices).split_at_mut(len);
                slices = rest;
                let (milliseconds, without) = lane.wait_assembled(target, images)?;
                empty.extend(without.into_iter().map(|bin| n * block + bin));
                Ok(milliseconds)
            },
        )
    }

    fn run(&mut self, sinograms: &[f32], slices: &mut [f32]) -> Result<(), CudaError> {
        let (each, pixels, block) = (self.wanted.rays.len(), self.wanted.grid.pixels(), self.options.bins);
        let mut targets = slices.chunks_mut(block * pixels);
        self.rounds(sinograms.chunks(block * each), SliceLane::enqueue, |lane| {
            targets.next().map_or(Ok(0.0), |target| lane.wait(target))
        })
    }

    /// Block after block through the lanes, in turn: each lane's block is collected before it takes the next one. `collect`
    /// says how many milliseconds the block's kernels took.
    fn rounds<Block>(
        &mut self,
        blocks: impl IntoIterator<Item = Block>,
        mut enqueue: impl FnMut(&mut SliceLane, Block) -> Result<(), CudaError>,
        mut collect: impl FnMut(&mut SliceLane) -> Result<f64, CudaError>,
    ) -> Result<(), CudaError> {
        self.shared.context.bind()?;
        let mut blocks = blocks.into_iter();
        self.kernel_milliseconds = 0.0;
        let mut at = 0;
        loop {
            let lane = &mut self.lanes[at % self.options.lanes];
            if lane.is_busy() {
                self.kernel_milliseconds += collect(lane)?;
            }
            match blocks.next() {
                Some(block) => enqueue(lane, block)?,
                None if self.lanes.iter().any(SliceLane::is_busy) => {}
                None => return Ok(()),
            }
            at += 1;
        }
    }

    /// After an error, what is under way must not reach the next call.
    fn settled(&mut self, done: Result<(), CudaError>) -> Result<(), CudaError> {
        if done.is_err() {
            self.lanes.iter_mut().for_each(SliceLane::abandon);
        }
        done
    }
}

impl Reconstructor for CudaReconstructor {
    fn reconstruct(&mut self, sinograms: &[f32], slices: &mut [f32]) -> Result<(), ReconstructError> {
        self.wanted.bins_of(sinograms, slices)?;
        let done = self.run(sinograms, slices);
        Ok(self.settled(done)?)
    }
}

impl Shared {
    fn new(context: &Arc<Context>, wanted: &Reconstruction) -> Result<Shared, CudaError> {
        let Geometry { tomo, kept, turns, taps, views, row_scales, column_scales } = Geometry::new(wanted);
        let what = "the geometry of a reconstruction";
        Ok(Shared {
            fbp: FbpKernels::load(context)?,
            iterative: IterativeKernels::load(context)?,
            method: wanted.method,
            tomo,
            kept: DeviceBuffer::holding(context, &kept, what)?,
            turns: DeviceBuffer::holding(context, &turns, what)?,
            taps: DeviceBuffer::holding(context, &taps, what)?,
            views: DeviceBuffer::holding(context, &views, what)?,
            row_scales: DeviceBuffer::holding(context, &row_scales, what)?,
            column_scales: DeviceBuffer::holding(context, &column_scales, what)?,
            assembly: None,
            limit: LIMIT,
            context: Arc::clone(context),
        })
    }
}
