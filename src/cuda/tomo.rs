//! Reconstruction on a GPU: the twin of `tomo::HostReconstructor`, and of `tomo::Assembly` where the patterns are there too.
//!
//! Sinograms go up and slices come down in blocks of bins, in several lanes: while one block is computed the next one is
//! uploaded and the one before downloaded. Slices agree with the host's within the bound that `tests/gpu/tomo.rs` states:
//! rows are filtered by a plain convolution instead of transforms, and multiply-adds are fused. A slice's bits depend on its
//! sinogram alone, not on the blocks.

mod assembly;
mod kernels;
mod lane;

use std::ops::Range;
use std::sync::Arc;

use super::driver::{Context, DeviceBuffer};
use super::error::CudaError;
use super::params::{self, XrdctTomo, XrdctTurn, XrdctView};
use super::patterns::DevicePatterns;
use crate::tomo::assembly::{Assembled, Assembly};
use crate::tomo::iterative::Model;
use crate::tomo::project::View;
use crate::tomo::{Method, ReconstructError, Reconstruction, Reconstructor, TomoError, fbp, filter};
pub use assembly::AssemblyTables;
use assembly::DeviceAssembly;
use kernels::SliceKernels;
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
    kernels: SliceKernels,
    method: Method,
    tomo: XrdctTomo,
    kept: DeviceBuffer,
    turns: DeviceBuffer,
    taps: DeviceBuffer,
    views: DeviceBuffer,
    row_scales: DeviceBuffer,
    column_scales: DeviceBuffer,
    assembly: Option<DeviceAssembly>,
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
        shared: Shared,
        wanted: &Reconstruction,
        options: SliceSizes,
    ) -> Result<CudaReconstructor, CudaError> {
        let shared = Arc::new(shared);
        let (free, _) = shared.context.memory()?;
        let lanes = options.lanes.max(1);
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
            kernels: SliceKernels::load(context)?,
            method: wanted.method,
            tomo,
            kept: DeviceBuffer::holding(context, &kept, what)?,
            turns: DeviceBuffer::holding(context, &turns, what)?,
            taps: DeviceBuffer::holding(context, &taps, what)?,
            views: DeviceBuffer::holding(context, &views, what)?,
            row_scales: DeviceBuffer::holding(context, &row_scales, what)?,
            column_scales: DeviceBuffer::holding(context, &column_scales, what)?,
            assembly: None,
            context: Arc::clone(context),
        })
    }
}

/// A reconstruction as the kernels take it (cuda/params.h).
#[derive(Debug, Clone, Default)]
pub struct Geometry {
    /// Rays and pixels; `bins` is 0.
    pub tomo: XrdctTomo,
    /// Whether each pixel is kept, 1 or 0.
    pub kept: Vec<u8>,
    /// FBP: the rotations.
    pub turns: Vec<XrdctTurn>,
    /// FBP: the filter.
    pub taps: Vec<f32>,
    /// SIRT, MLEM: the rotations.
    pub views: Vec<XrdctView>,
    /// SIRT, MLEM: 1 / row sums, one a ray.
    pub row_scales: Vec<f32>,
    /// SIRT, MLEM: 1 / column sums, one a pixel.
    pub column_scales: Vec<f32>,
}

impl Geometry {
    /// What a sound reconstruction means to the kernels.
    pub fn new(wanted: &Reconstruction) -> Geometry {
        let Reconstruction { rays, grid, method, .. } = wanted;
        let kept = wanted.kept();
        let mut geometry = Geometry {
            tomo: XrdctTomo {
                x0: grid.x0,
                y0: grid.y0,
                pixel: grid.pixel,
                axis: rays.axis as f32,
                least: f32::NEG_INFINITY,
                rotations: rays.angles.len() as u32,
                translations: rays.translations as u32,
                rows: grid.rows as u32,
                columns: grid.columns as u32,
                ..XrdctTomo::default()
            },
            kept: kept.iter().map(|&kept| u8::from(kept)).collect(),
            ..Geometry::default()
        };
        match *method {
            Method::Fbp { filter } => {
                let turn = |[cosine, sine, weight]: [f32; 3]| XrdctTurn {
                    cosine,
                    sine,
                    weight,
                    step: grid.pixel as f32 * cosine,
                };
                geometry.turns = fbp::turns(rays).into_iter().map(turn).collect();
                geometry.taps = filter::taps(filter, rays.translations);
            }
            Method::Sirt { .. } | Method::Mlem { .. } => {
                let Model { views, rows, columns, .. } = Model::new(rays, grid, &kept);
                let view = |View { origin, along_x, along_y, slope, height }| XrdctView {
                    origin,
                    along_x,
                    along_y,
                    slope,
                    height,
                };
                geometry.views = views.into_iter().map(view).collect();
                (geometry.row_scales, geometry.column_scales) = (rows, columns);
            }
        }
        if let Method::Sirt { non_negative: true, .. } = method {
            geometry.tomo.least = 0.0;
        }
        geometry
    }
}
