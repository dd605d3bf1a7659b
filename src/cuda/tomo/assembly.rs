//! Sinograms of patterns that lie on the device: `tomo::assembly`'s steps, each with the same bits.

use std::ops::Range;
use std::sync::Arc;

use super::kernels::{self, AssemblyKernels};
use crate::cuda::driver::{Context, DeviceBuffer, Stream};
use crate::cuda::error::CudaError;
use crate::cuda::kernels::Address;
use crate::cuda::params::{XrdctAssembly, XrdctShare, XrdctSource};
use crate::cuda::patterns::DevicePatterns;
use crate::tomo::assembly::Assembly;

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

/// Patterns, and how sinograms are made of them: the same for every block.
pub(super) struct DeviceAssembly {
    pub(super) patterns: Arc<DevicePatterns>,
    kernels: AssemblyKernels,
    sizes: XrdctAssembly,
    stripes: bool,
    shares: DeviceBuffer,
    starts: DeviceBuffer,
    sources: DeviceBuffer,
    factors: DeviceBuffer,
    shifts: DeviceBuffer,
}

/// A lane's buffers, for blocks of some bins.
pub(super) struct Targets<'a> {
    /// `[bin][ray]`.
    pub(super) sinograms: &'a DeviceBuffer,
    /// As large; whatever it held is lost.
    pub(super) spare: &'a DeviceBuffer,
    /// u32 a bin.
    pub(super) empty: &'a DeviceBuffer,
    /// f64 a column of each bin.
    pub(super) means: &'a DeviceBuffer,
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
        let [sinograms, spare, empty, means] =
            [to.sinograms, to.spare, to.empty, to.means].map(DeviceBuffer::pointer);
        let tables: [Address; 4] =
            [&self.patterns.values, &self.shares, &self.starts, &self.sources].map(DeviceBuffer::pointer);
        stream.enqueue_fill(to.empty, 0, to.empty.len(), 0)?;
        // SAFETY: the caller's promise; tables were made for these rays.
        unsafe {
            self.kernels.enqueue_gather(stream, tables, [sinograms, empty], &sizes)?;
            if sizes.edge > 0 {
                self.kernels.enqueue_air(stream, sinograms, &sizes)?;
            }
            if !self.factors.is_empty() {
                self.kernels.enqueue_scale(stream, [sinograms, self.factors.pointer()], &sizes)?;
            }
            if !self.shifts.is_empty() {
                self.kernels.enqueue_shift(stream, [sinograms, self.shifts.pointer(), spare], &sizes)?;
                stream.enqueue_copy(to.spare, to.sinograms, kernels::values(&sizes) * size_of::<f32>())?;
            }
            if self.stripes {
                self.kernels.enqueue_stripes(stream, [sinograms, means], &sizes)?;
            }
        }
        Ok(())
    }
}
