//! Reconstruction on a GPU: the twin of `tomo::HostReconstructor`.
//!
//! Sinograms go up and slices come down in blocks of bins, in several lanes: while one block is computed the next one is
//! uploaded and the one before downloaded. Slices agree with the host's within the bound that `tests/gpu/tomo.rs` states:
//! rows are filtered by a plain convolution instead of transforms, and multiply-adds are fused. A slice's bits depend on its
//! sinogram alone, not on the blocks.

mod kernels;
mod lane;

use std::sync::Arc;

use super::driver::{Context, DeviceBuffer};
use super::error::CudaError;
use super::params::{self, XrdctTomo, XrdctTurn, XrdctView};
use crate::tomo::iterative::Model;
use crate::tomo::project::View;
use crate::tomo::{Method, ReconstructError, Reconstruction, Reconstructor, fbp, filter};
use kernels::Kernels;
use lane::Lane;

/// Part of the free device memory that lanes may take.
const SHARE_OF_FREE: f64 = 0.8;
/// Bins that a thread works on side by side.
const GROUP: usize = params::XRDCT_TOMO_BINS as usize;

/// Sizes of a reconstructor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Blocks under way at once.
    pub lanes: usize,
    /// Most bins of a block.
    pub bins: usize,
}

impl Default for Options {
    /// Three lanes, one for each direction of the link and one that computes (profiles/notes/fbp.md).
    fn default() -> Self {
        Options { lanes: 3, bins: 64 }
    }
}

/// Reconstructs on one GPU.
pub struct CudaReconstructor {
    // Lanes go first: their streams are waited for while everything they use is alive.
    lanes: Vec<Lane>,
    shared: Arc<Shared>,
    wanted: Reconstruction,
    options: Options,
    kernel_milliseconds: f64,
}

/// What is the same for every block of a run.
struct Shared {
    kernels: Kernels,
    method: Method,
    tomo: XrdctTomo,
    kept: DeviceBuffer,
    turns: DeviceBuffer,
    taps: DeviceBuffer,
    views: DeviceBuffer,
    row_scales: DeviceBuffer,
    column_scales: DeviceBuffer,
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
        options: Options,
    ) -> Result<CudaReconstructor, ReconstructError> {
        wanted.check()?;
        let shared = Arc::new(Shared::new(context, wanted)?);
        let (free, _) = context.memory()?;
        let lanes = options.lanes.max(1);
        let each = (free as f64 * SHARE_OF_FREE) as usize / lanes / lane::bytes_of_group(&shared.tomo);
        let bins = options.bins.div_ceil(GROUP).min(each).max(1) * GROUP;
        let lanes = (0..lanes).map(|_| Lane::new(&shared, bins)).collect::<Result<Vec<_>, CudaError>>()?;
        let options = Options { lanes: lanes.len(), bins };
        Ok(CudaReconstructor { lanes, shared, wanted: wanted.clone(), options, kernel_milliseconds: 0.0 })
    }

    /// The sizes that fitted.
    pub fn options(&self) -> Options {
        self.options
    }

    /// Milliseconds that kernels took in the last call, from each lane's own clock: with several lanes these overlap.
    pub fn kernel_milliseconds(&self) -> f64 {
        self.kernel_milliseconds
    }

    fn run(&mut self, sinograms: &[f32], slices: &mut [f32]) -> Result<(), CudaError> {
        self.shared.context.bind()?;
        let (each, pixels) = (self.wanted.rays.len(), self.wanted.grid.pixels());
        let mut blocks = sinograms.chunks(self.options.bins * each);
        let mut targets = slices.chunks_mut(self.options.bins * pixels);
        self.kernel_milliseconds = 0.0;
        let mut at = 0;
        loop {
            let lane = &mut self.lanes[at % self.options.lanes];
            if lane.is_busy()
                && let Some(target) = targets.next()
            {
                self.kernel_milliseconds += lane.wait(target)?;
            }
            match blocks.next() {
                Some(block) => lane.enqueue(block)?,
                None if self.lanes.iter().any(Lane::is_busy) => {}
                None => return Ok(()),
            }
            at += 1;
        }
    }
}

impl Reconstructor for CudaReconstructor {
    fn reconstruct(&mut self, sinograms: &[f32], slices: &mut [f32]) -> Result<(), ReconstructError> {
        self.wanted.bins_of(sinograms, slices)?;
        let done = self.run(sinograms, slices);
        if done.is_err() {
            // What is under way must not reach the next call.
            self.lanes.iter_mut().for_each(Lane::abandon);
        }
        Ok(done?)
    }
}

impl Shared {
    fn new(context: &Arc<Context>, wanted: &Reconstruction) -> Result<Shared, CudaError> {
        let Geometry { tomo, kept, turns, taps, views, row_scales, column_scales } = Geometry::new(wanted);
        let what = "the geometry of a reconstruction";
        Ok(Shared {
            kernels: Kernels::load(context)?,
            method: wanted.method,
            tomo,
            kept: DeviceBuffer::holding(context, &kept, what)?,
            turns: DeviceBuffer::holding(context, &turns, what)?,
            taps: DeviceBuffer::holding(context, &taps, what)?,
            views: DeviceBuffer::holding(context, &views, what)?,
            row_scales: DeviceBuffer::holding(context, &row_scales, what)?,
            column_scales: DeviceBuffer::holding(context, &column_scales, what)?,
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
