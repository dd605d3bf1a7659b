//! The fused route: packed frames, or plain pixels, times the matrix, without a pixel in device memory. Host side of
//! `cuda/integrate/fused.cu`; what is the same for every batch of a run.

use std::ptr::null;
use std::sync::Arc;

use super::form::Form;
use super::keep::{self, DevicePatterns, KeptRow};
use super::matrix::{CsrRows, Limits, Sorted, SubTiles};
use super::norms::{Fixed, static_norms, used_pixels};
use crate::cuda::driver::{Context, DeviceBuffer, Kernel, Launch, Module, Stream};
use crate::cuda::error::CudaError;
use crate::cuda::params::{
    self, XrdctBatch, XrdctBins, XrdctItem, XrdctKeep, XrdctMatrix, XrdctPacked, XrdctPart, XrdctPass,
    XrdctPlain, XrdctRecipe, XrdctTables, XrdctTerms, XrdctVerdict,
};
use crate::frame::Norms;
use crate::integrate::engine::Recipe;

const THREADS: usize = params::XRDCT_THREADS as usize;

/// Choices that change the speed, and by the order of additions the last bits of a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CudaTuning {
    /// Sub-tiles of an item: longer items write fewer partial sums, shorter ones fill the GPU better.
    pub subtiles: usize,
    /// Most slots of an item.
    pub slots: usize,
    /// Most entries of a row.
    pub row: usize,
    /// Take 4 frames a block where 8 would fit.
    pub narrow: bool,
}

impl Default for CudaTuning {
    /// What was fastest (profiles/notes/tiles.md).
    fn default() -> Self {
        CudaTuning { subtiles: 16, slots: usize::MAX, row: 8, narrow: false }
    }
}

/// How the kernels of a form end.
fn suffix(form: Form) -> &'static str {
    match (form.variance, form.dark, form.group == params::XRDCT_GROUP_WIDE as usize) {
        (true, true, _) => "dark_variance",
        (false, true, _) => "dark",
        (true, false, _) => "variance",
        (false, false, true) => "wide",
        (false, false, false) => "narrow",
    }
}

/// The matrix on the device.
#[derive(Debug)]
struct MatrixBuffers {
    items: DeviceBuffer<XrdctItem>,
    parts: DeviceBuffer<XrdctPart>,
    passes: DeviceBuffer<XrdctPass>,
    row_slot: DeviceBuffer<u16>,
    entry_pixel: DeviceBuffer<u16>,
    entry_weight: DeviceBuffer<f32>,
    slot_bin: DeviceBuffer<u32>,
    bin_first: DeviceBuffer<u32>,
    position: DeviceBuffer<u32>,
}

/// What of a recipe's layout is the same on every device.
#[derive(Debug)]
pub(in crate::cuda) struct Groundwork {
    sorted: Sorted,
    norms: Arc<Norms>,
    fixed: Arc<Fixed>,
    /// [`used_pixels`].
    used: Vec<u32>,
}

impl Groundwork {
    /// Does it on rayon's threads of the caller.
    pub(in crate::cuda) fn new(recipe: &Recipe) -> Groundwork {
        let rows = CsrRows {
            pixels: recipe.shape.pixels(),
            indptr: &recipe.csr.indptr,
            indices: &recipe.csr.indices,
            weights: &recipe.csr.weights,
        };
        let (sorted, ((norms, fixed), used)) = rayon::join(
            || Sorted::new(rows, &|pixel| recipe.is_valid(pixel)),
            || rayon::join(|| static_norms(recipe), || used_pixels(recipe)),
        );
        Groundwork { sorted, norms: Arc::new(norms), fixed: Arc::new(fixed), used }
    }

    /// Lays the recipe out for blocks that have room for so many slots.
    pub(in crate::cuda) fn lay_out(self, slots: usize, tuning: CudaTuning) -> LaidOut {
        let Groundwork { sorted, norms, fixed, used } = self;
        let limits = Limits { slots: slots.min(tuning.slots), subtiles: tuning.subtiles, row: tuning.row };
        LaidOut { matrix: sorted.cut(limits), norms, fixed, used }
    }
}

/// A recipe as a form of the kernels reads it, on the host.
#[derive(Debug)]
pub(in crate::cuda) struct LaidOut {
    matrix: SubTiles,
    norms: Arc<Norms>,
    fixed: Arc<Fixed>,
    used: Vec<u32>,
}

/// The kernels of a form.
#[derive(Debug)]
pub(in crate::cuda) struct Kernels {
    packed: Kernel<XrdctPacked>,
    plain: Kernel<XrdctPlain>,
    bins: Kernel<XrdctBins>,
    keep: Kernel<XrdctKeep>,
    form: Form,
}

impl Kernels {
    /// Loads them.
    ///
    /// # Errors
    /// When the binary holds none, or none for this GPU.
    pub(in crate::cuda) fn load(context: &Arc<Context>, form: Form) -> Result<Kernels, CudaError> {
        let module = Module::of(context, "fused")?;
        Ok(Kernels {
            packed: Kernel::load(&module, &format!("xrdct_packed_{}", suffix(form)))?,
            plain: Kernel::load(&module, &format!("xrdct_plain_{}", suffix(form)))?,
            bins: Kernel::load(&module, "xrdct_bins")?,
            keep: keep::kernel(context)?,
            form,
        })
    }
}

/// Kernels, matrix and norms of a recipe.
#[derive(Debug)]
pub struct Fused {
    kernels: Kernels,
    /// Most slots of an item.
    slots: usize,
    pub(in crate::cuda) recipe: XrdctRecipe,
    pub(in crate::cuda) empty: f32,
    pub(in crate::cuda) norms: Arc<Norms>,
    fixed: Arc<Fixed>,
    matrix: MatrixBuffers,
    dark: DeviceBuffer<f32>,
    normalization: DeviceBuffer<f32>,
    /// One bit a pixel: it has an entry.
    used: DeviceBuffer<u32>,
    /// N and N₂ of each bin, and both in fixed point: for patterns that stay on the device.
    device_norms: DeviceBuffer<f64>,
    device_fixed: DeviceBuffer<i64>,
    pub(in crate::cuda) matrix_bytes: usize,
}

/// A lane's partial sums.
#[derive(Debug)]
pub struct FusedBuffers {
    /// Decoded pixels, of frames whose pixels are too wide to be decoded in shared memory; else none.
    pub(in crate::cuda) pixels: DeviceBuffer<u8>,
    signal: DeviceBuffer<f64>,
    variance: DeviceBuffer<f64>,
}

impl FusedBuffers {
    /// Buffers of a lane: bytes of pixels, and partial sums of a batch.
    ///
    /// # Errors
    /// [`CudaError::OutOfMemory`], or the driver's refusal.
    pub(in crate::cuda) fn new(
        context: &Arc<Context>,
        form: Form,
        (pixels, partials): (usize, usize),
    ) -> Result<FusedBuffers, CudaError> {
        let what = "a lane's partial sums";
        Ok(FusedBuffers {
            pixels: DeviceBuffer::take(context, pixels, "a lane's pixels")?,
            signal: DeviceBuffer::take(context, partials, what)?,
            variance: DeviceBuffer::take(context, if form.variance { partials } else { 0 }, what)?,
        })
    }
}

/// Where a lane's results are on the device, one part after another.
#[derive(Debug, Clone, Copy)]
pub(in crate::cuda) struct Results {
    pub(in crate::cuda) verdicts: *mut XrdctVerdict,
    pub(in crate::cuda) saturated: *mut u32,
    pub(in crate::cuda) signal: *mut f64,
    pub(in crate::cuda) variance: *mut f64,
    pub(in crate::cuda) deficits: *mut i64,
}

impl Fused {
    /// Brings a recipe to a device, laid out for the form of the kernels.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub(in crate::cuda) fn new(
        context: &Arc<Context>,
        recipe: &Recipe,
        kernels: Kernels,
        LaidOut { matrix, norms, fixed, used }: &LaidOut,
    ) -> Result<Fused, CudaError> {
        context.bind()?;
        let form = kernels.form;
        let what = "the sparse matrix";
        let dark = recipe.dark.as_deref().unwrap_or(&[]);
        let device_norms = [norms.normalization.as_slice(), &norms.normalization_squared].concat();
        let device_fixed = [fixed.sums[0].as_slice(), &fixed.sums[1]].concat();
        let dummy = recipe.dummy;
        kernels.packed.allow_shared(form.shared_bytes(matrix.max_slots))?;
        kernels.plain.allow_shared(form.shared_bytes(matrix.max_slots))?;
        Ok(Fused {
            kernels,
            slots: matrix.max_slots,
            recipe: XrdctRecipe {
                bins: matrix.bins as u32,
                total_slots: matrix.slot_bin.len() as u32,
                has_invalid: u32::from(dummy.is_some() || recipe.saturation.masked),
                mask_saturated: u32::from(recipe.saturation.masked),
                dummy: dummy.map_or(f32::NAN, |d| d.value as f32),
                delta_dummy: dummy.map_or(0.0, |d| d.delta as f32),
                scale_n: fixed.scales[0] as f32,
                scale_n2: fixed.scales[1] as f32,
                scale_c: fixed.scales[2] as f32,
            },
            empty: recipe.empty,
            norms: Arc::clone(norms),
            fixed: Arc::clone(fixed),
            matrix: MatrixBuffers {
                items: DeviceBuffer::holding(context, &matrix.items, what)?,
                parts: DeviceBuffer::holding(context, &matrix.parts, what)?,
                passes: DeviceBuffer::holding(context, &matrix.passes, what)?,
                row_slot: DeviceBuffer::holding(context, &matrix.row_slot, what)?,
                entry_pixel: DeviceBuffer::holding(context, &matrix.entry_pixel, what)?,
                entry_weight: DeviceBuffer::holding(context, &matrix.entry_weight, what)?,
                slot_bin: DeviceBuffer::holding(context, &matrix.slot_bin, what)?,
                bin_first: DeviceBuffer::holding(context, &matrix.bin_first, what)?,
                position: DeviceBuffer::holding(context, &matrix.position, what)?,
            },
            dark: DeviceBuffer::holding(context, dark, "the dark image")?,
            normalization: DeviceBuffer::holding(context, &recipe.normalization, "the normalisation")?,
            used: DeviceBuffer::holding(context, used, "which pixels count")?,
            device_norms: DeviceBuffer::holding(context, &device_norms, "the norms")?,
            device_fixed: DeviceBuffer::holding(context, &device_fixed, "the norms")?,
            matrix_bytes: matrix.bytes(),
        })
    }

    /// Which of the kernels.
    pub(in crate::cuda) fn form(&self) -> Form {
        self.kernels.form
    }

    /// The norms of a frame, given what its invalid pixels take away.
    pub(in crate::cuda) fn norms_without(&self, deficits: &[i64]) -> Norms {
        self.fixed.norms_without(&self.norms, deficits)
    }

    /// A block an item and group of frames.
    fn over_items(&self, batch: &XrdctBatch) -> Launch {
        Launch {
            grid: ((batch.frames as usize).div_ceil(self.kernels.form.group), self.matrix.items.len()),
            threads: params::XRDCT_INTEGRATE_THREADS as usize,
            shared: self.kernels.form.shared_bytes(self.slots),
        }
    }

    /// A thread a bin, a row of blocks a frame.
    fn over_bins(&self, frames: usize) -> Launch {
        let grid = ((self.recipe.bins as usize).div_ceil(THREADS), frames);
        Launch { grid, threads: THREADS, shared: 0 }
    }

    fn matrix(&self) -> XrdctMatrix {
        let MatrixBuffers { items, parts, passes, row_slot, entry_pixel, entry_weight, .. } = &self.matrix;
        XrdctMatrix {
            items: items.pointer(),
            parts: parts.pointer(),
            passes: passes.pointer(),
            row_slot: row_slot.pointer(),
            entry_pixel: entry_pixel.pointer(),
            entry_weight: entry_weight.pointer(),
        }
    }

    fn terms(&self, buffers: &FusedBuffers, results: Results) -> XrdctTerms {
        XrdctTerms {
            dark: self.dark.pointer(),
            normalization: self.normalization.pointer(),
            slot_bin: self.matrix.slot_bin.pointer(),
            used: self.used.pointer(),
            deficits: results.deficits,
            saturated: results.saturated,
            signal: buffers.signal.pointer(),
            variance: buffers.variance.pointer(),
        }
    }

    /// Decodes and integrates: fills the items' partial sums.
    ///
    /// # Errors
    /// When the driver refuses the launch.
    ///
    /// # Safety
    /// Arena, tables, buffers and results must be large enough for the batch and live until the stream has run; the index of the
    /// batch must have been enqueued before.
    pub(in crate::cuda) unsafe fn enqueue_packed(
        &self,
        stream: &Stream,
        (arena, tables): (&DeviceBuffer<u8>, XrdctTables),
        buffers: &FusedBuffers,
        results: Results,
        batch: &XrdctBatch,
    ) -> Result<(), CudaError> {
        let arguments = XrdctPacked {
            arena: arena.pointer(),
            verdicts: results.verdicts,
            tables,
            matrix: self.matrix(),
            terms: self.terms(buffers, results),
            batch: *batch,
            recipe: self.recipe,
        };
        // SAFETY: the caller's promise; the structure is the kernel's.
        unsafe { self.kernels.packed.enqueue(stream, self.over_items(batch), &arguments) }
    }

    /// Integrates decoded pixels: fills the items' partial sums.
    ///
    /// # Errors
    /// When the driver refuses the launch.
    ///
    /// # Safety
    /// As [`Fused::enqueue_packed`]; the pixels must be where the batch says.
    pub(in crate::cuda) unsafe fn enqueue_plain(
        &self,
        stream: &Stream,
        pixels: &DeviceBuffer<u8>,
        buffers: &FusedBuffers,
        results: Results,
        batch: &XrdctBatch,
    ) -> Result<(), CudaError> {
        let arguments = XrdctPlain {
            pixels: pixels.pointer(),
            verdicts: results.verdicts,
            matrix: self.matrix(),
            terms: self.terms(buffers, results),
            batch: *batch,
            recipe: self.recipe,
        };
        // SAFETY: the caller's promise; the structure is the kernel's.
        unsafe { self.kernels.plain.enqueue(stream, self.over_items(batch), &arguments) }
    }

    /// Adds up the partial sums of each bin.
    ///
    /// # Errors
    /// When the driver refuses a launch.
    ///
    /// # Safety
    /// As [`Fused::enqueue_packed`]; the partial sums must have been enqueued before.
    pub(in crate::cuda) unsafe fn enqueue_bins(
        &self,
        stream: &Stream,
        buffers: &FusedBuffers,
        results: Results,
        frames: usize,
    ) -> Result<(), CudaError> {
        let bins = |partials: &DeviceBuffer<f64>, sums: *mut f64| {
            let arguments = XrdctBins {
                partials: partials.pointer(),
                bin_first: self.matrix.bin_first.pointer(),
                position: self.matrix.position.pointer(),
                verdicts: results.verdicts,
                sums,
                recipe: self.recipe,
            };
            // SAFETY: the caller's promise; the structure is the kernel's.
            unsafe { self.kernels.bins.enqueue(stream, self.over_bins(frames), &arguments) }
        };
        bins(&buffers.signal, results.signal)?;
        if self.kernels.form.variance { bins(&buffers.variance, results.variance) } else { Ok(()) }
    }

    /// Leaves the patterns of a batch on the device, one in each of the rows.
    ///
    /// # Errors
    /// When a row is not there, or the driver refuses the launch.
    ///
    /// # Safety
    /// As [`Fused::enqueue_bins`], which must have been enqueued before.
    pub(in crate::cuda) unsafe fn enqueue_patterns(
        &self,
        stream: &Stream,
        results: Results,
        kept: &DevicePatterns,
        rows: &[KeptRow],
    ) -> Result<(), CudaError> {
        let arguments = XrdctKeep {
            signal: results.signal,
            deficits: if self.recipe.has_invalid == 0 { null() } else { results.deficits },
            verdicts: results.verdicts,
            norms: self.device_norms.pointer(),
            fixed: self.device_fixed.pointer(),
            patterns: kept.values.pointer(),
            recipe: self.recipe,
            rows: kept.rows_for(rows, self.recipe.bins as usize, self.empty)?,
        };
        // SAFETY: the caller's promise; rows and bins are those of `kept`; the structure is the kernel's.
        unsafe { self.kernels.keep.enqueue(stream, self.over_bins(rows.len()), &arguments) }
    }
}
