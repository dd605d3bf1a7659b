//! Sinograms of patterns that lie on the device: `tomo::assembly`'s steps, each with the same bits. Host side of
//! `cuda/tomo/assembly.cu`.

use std::ops::Range;
use std::sync::Arc;

use crate::cuda::driver::{Context, DeviceBuffer, Kernel, Launch, Module, Stream};
use crate::cuda::error::CudaError;
use crate::cuda::integrate::keep::DevicePatterns;
use crate::cuda::params::{
    self, XrdctAir, XrdctAssembly, XrdctColumnMeans, XrdctGather, XrdctScale, XrdctShare, XrdctShift,
    XrdctSource, XrdctStripes,
};
use crate::tomo::assembly::Assembly;

const THREADS: usize = params::XRDCT_THREADS as usize;
/// Values and bins that a block of the gathering kernel takes.
const SIDE: usize = 32;

/// An assembly as the kernels take it (cuda/params.h).
#[derive(Debug, Clone, Default)]
pub struct AssemblyTables {
    /// The part of each frame in each point, point after point.
    pub shares: Vec<XrdctShare>,
    /// Where each point's shares begin; one more than there are points.
    pub starts: Vec<u32>,
    /// Where each value of a mended sinogram comes from.
    pub sources: Vec<XrdctSource>,
    /// What each rotation is multiplied by; empty when by nothing.
    pub factors: Vec<f32>,
    /// By how much each rotation is moved; empty when it is not.
    pub shifts: Vec<f32>,
    /// Sizes; `first` and `bins` are 0, `edge` is 0 when no air is taken off.
    pub sizes: XrdctAssembly,
}

impl AssemblyTables {
    /// What an assembly means to the kernels. `frame_of` gives the row of the patterns on the device for a row of the result;
    /// none when there is none.
    pub fn new(assembly: &Assembly, npt: usize, frame_of: impl Fn(usize) -> Option<usize>) -> AssemblyTables {
        let Assembly { grid, monitor, holes, air, row_factors, shifts, .. } = assembly;
        let rays = assembly.rays();
        let mut tables = AssemblyTables { starts: vec![0], ..AssemblyTables::default() };
        for point in 0..grid.points() {
            for &(row, weight) in grid.frames_of(point) {
                let Some(frame) = frame_of(row as usize) else { continue };
                let factor = monitor.as_ref().map_or(1.0, |monitor| monitor[row as usize]);
                let factor = f64::from(weight) * f64::from(factor);
                tables.shares.push(XrdctShare { factor, weight, frame: frame as u32 });
            }
            tables.starts.push(tables.shares.len() as u32);
        }
        let source = |(left, right, share)| XrdctSource { left: left as u32, right: right as u32, share };
        // Points that are not believed are holes; no other point takes from them.
        tables.sources = holes.sources().into_iter().map(source).collect();
        tables.factors = row_factors.clone().unwrap_or_default();
        tables.shifts = shifts.clone().unwrap_or_default();
        tables.sizes = XrdctAssembly {
            npt: npt as u32,
            rotations: rays.angles.len() as u32,
            translations: rays.translations as u32,
            edge: air.map_or(0, |edge| edge.clamp(1, rays.translations / 2)) as u32,
            ..XrdctAssembly::default()
        };
        tables
    }
}

/// The kernels.
struct AssemblyKernels {
    gather: Kernel<XrdctGather>,
    air: Kernel<XrdctAir>,
    scale: Kernel<XrdctScale>,
    shift: Kernel<XrdctShift>,
    column_means: Kernel<XrdctColumnMeans>,
    stripes: Kernel<XrdctStripes>,
}

impl AssemblyKernels {
    fn load(context: &Arc<Context>) -> Result<AssemblyKernels, CudaError> {
        let module = Module::of(context, "assembly")?;
        Ok(AssemblyKernels {
            gather: Kernel::load(&module, "xrdct_tomo_gather")?,
            air: Kernel::load(&module, "xrdct_tomo_air")?,
            scale: Kernel::load(&module, "xrdct_tomo_scale")?,
            shift: Kernel::load(&module, "xrdct_tomo_shift")?,
            column_means: Kernel::load(&module, "xrdct_tomo_column_means")?,
            stripes: Kernel::load(&module, "xrdct_tomo_stripes")?,
        })
    }
}

/// A thread an item.
fn flat(items: usize) -> Launch {
    Launch { grid: (items.div_ceil(THREADS), 1), threads: THREADS, shared: 0 }
}

/// Patterns, and how sinograms are made of them: the same for every block.
pub(super) struct DeviceAssembly {
    pub(super) patterns: Arc<DevicePatterns>,
    kernels: AssemblyKernels,
    sizes: XrdctAssembly,
    stripes: bool,
    shares: DeviceBuffer<XrdctShare>,
    starts: DeviceBuffer<u32>,
    sources: DeviceBuffer<XrdctSource>,
    factors: DeviceBuffer<f32>,
    shifts: DeviceBuffer<f32>,
}

/// A lane's buffers, for blocks of some bins.
pub(super) struct Targets<'a> {
    /// `[bin][ray]`.
    pub(super) sinograms: &'a DeviceBuffer<f32>,
    /// As large; whatever it held is lost.
    pub(super) spare: &'a DeviceBuffer<f32>,
    /// u32 a bin.
    pub(super) empty: &'a DeviceBuffer<u32>,
    /// f64 a column of each bin.
    pub(super) means: &'a DeviceBuffer<f64>,
}

impl DeviceAssembly {
    pub(super) fn new(
        context: &Arc<Context>,
        patterns: Arc<DevicePatterns>,
        assembly: &Assembly,
        frame_of: impl Fn(usize) -> Option<usize>,
    ) -> Result<DeviceAssembly, CudaError> {
        let frames = patterns.frames();
        let tables =
            AssemblyTables::new(assembly, patterns.npt(), |row| frame_of(row).filter(|f| *f < frames));
        let what = "how sinograms are made";
        Ok(DeviceAssembly {
            kernels: AssemblyKernels::load(context)?,
            sizes: tables.sizes,
            stripes: assembly.stripes,
            shares: DeviceBuffer::holding(context, &tables.shares, what)?,
            starts: DeviceBuffer::holding(context, &tables.starts, what)?,
            sources: DeviceBuffer::holding(context, &tables.sources, what)?,
            factors: DeviceBuffer::holding(context, &tables.factors, what)?,
            shifts: DeviceBuffer::holding(context, &tables.shifts, what)?,
            patterns,
        })
    }

    /// Bins of a pattern.
    pub(super) fn npt(&self) -> usize {
        self.sizes.npt as usize
    }

    /// Bytes that a bin of a lane needs besides its rays: its mark, and its columns' means.
    pub(super) fn bytes_of_bin(&self) -> (usize, usize) {
        let means = if self.stripes { self.sizes.translations as usize * size_of::<f64>() } else { 0 };
        (size_of::<u32>(), means)
    }

    /// Enqueues the sinograms of some bins.
    ///
    /// # Safety
    /// `bins` must be bins of the patterns and fit into the targets, all of which must live until the stream has run; whoever
    /// fills the patterns must have been waited for.
    pub(super) unsafe fn enqueue(
        &self,
        stream: &Stream,
        bins: Range<usize>,
        to: Targets<'_>,
    ) -> Result<(), CudaError> {
        let sizes = XrdctAssembly { first: bins.start as u32, bins: bins.len() as u32, ..self.sizes };
        let (bins, rotations) = (sizes.bins as usize, sizes.rotations as usize);
        let rays = rotations * sizes.translations as usize;
        let values = flat(bins * rays);
        let (sinograms, means) = (to.sinograms.pointer(), to.means.pointer());
        stream.enqueue_fill(to.empty, 0, to.empty.len(), 0)?;
        let kernels = &self.kernels;
        // SAFETY: the caller's promise; tables were made for these rays; each structure is its kernel's.
        unsafe {
            let gather = XrdctGather {
                patterns: self.patterns.values.pointer(),
                shares: self.shares.pointer(),
                starts: self.starts.pointer(),
                sources: self.sources.pointer(),
                sinograms,
                empty: to.empty.pointer(),
                sizes,
            };
            let grid = (rays.div_ceil(SIDE), bins.div_ceil(SIDE));
            kernels.gather.enqueue(stream, Launch { grid, threads: THREADS, shared: 0 }, &gather)?;
            if sizes.edge > 0 {
                kernels.air.enqueue(stream, flat(bins * rotations), &XrdctAir { sinograms, sizes })?;
            }
            if !self.factors.is_empty() {
                let scale = XrdctScale { sinograms, factors: self.factors.pointer(), sizes };
                kernels.scale.enqueue(stream, values, &scale)?;
            }
            if !self.shifts.is_empty() {
                let (shifts, shifted) = (self.shifts.pointer(), to.spare.pointer());
                kernels.shift.enqueue(stream, values, &XrdctShift { sinograms, shifts, shifted, sizes })?;
                stream.enqueue_copy(to.spare, to.sinograms, bins * rays)?;
            }
            if self.stripes {
                let columns = flat(bins * sizes.translations as usize);
                let of_columns = XrdctColumnMeans { sinograms, means, sizes };
                kernels.column_means.enqueue(stream, columns, &of_columns)?;
                kernels.stripes.enqueue(stream, values, &XrdctStripes { sinograms, means, sizes })?;
            }
        }
        Ok(())
    }
}
