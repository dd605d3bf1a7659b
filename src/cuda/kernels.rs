//! The kernels by name, and the one place where launches are enqueued.
//!
//! Every kernel takes pointers first and its parameter structures last (cuda/params.h). [`Kernels`] holds one handle for
//! each; the methods say in their signatures which pointers go where, in the order of the `.cu` file of the same name.

use std::ffi::c_void;
use std::sync::Arc;

use super::driver::{Context, Function, Launch, Module, Stream};
use super::error::CudaError;
use super::image;
use super::params::{self, XrdctBatch, XrdctRecipe, XrdctRows};
use crate::frame::PixelType;

/// A device address, as kernels take it.
pub type Address = u64;

const THREADS: usize = params::XRDCT_THREADS as usize;
const WARP: usize = 32;
/// Tiles that one block of the codec kernels takes, one a warp.
const TILES_PER_BLOCK: usize = THREADS / WARP;
/// Bytes of a tile.
pub const TILE: usize = params::XRDCT_TILE_BYTES as usize;

/// Tables of the byte-offset decoder, for one arena.
#[derive(Debug, Clone, Copy)]
pub struct Tables {
    /// u64 a tile.
    pub exits: Address,
    /// u8 a chunk.
    pub entries: Address,
    /// u16 a step.
    pub step_codes: Address,
    /// u32 (u64 when wide) a step.
    pub step_value: Address,
    /// u32 a tile: codes, later first pixel.
    pub tile_pixel: Address,
    /// u32 (u64 when wide) a tile: sum, later running value.
    pub tile_value: Address,
    /// u32 a sub-tile of each frame.
    pub subtile_tile: Address,
}

/// The matrix on the device, in the order in which the kernels take its arrays.
#[derive(Debug, Clone, Copy)]
pub struct MatrixAddresses(pub [Address; 6]);

/// dark, normalization, slot_bin, deficits, signal, variance, used, saturated: what else the integration kernels take; 0 is
/// null.
#[derive(Debug, Clone, Copy)]
pub struct TermAddresses(pub [Address; 8]);

/// Which of the integration kernels: how many frames a block takes, and what it sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// Frames of a group.
    pub group: usize,
    /// With variance.
    pub variance: bool,
    /// With dark.
    pub dark: bool,
}

impl Form {
    fn suffix(self) -> &'static str {
        match (self.variance, self.dark, self.group == params::XRDCT_GROUP_WIDE as usize) {
            (true, true, _) => "dark_variance",
            (false, true, _) => "dark",
            (true, false, _) => "variance",
            (false, false, true) => "wide",
            (false, false, false) => "narrow",
        }
    }

    /// Dynamic shared memory of a block whose items have up to `slots` slots.
    pub fn shared_bytes(self, slots: usize) -> usize {
        let ring = params::XRDCT_RING_PIXELS as usize * size_of::<f32>();
        let sums = slots * size_of::<f64>() * if self.variance { 2 } else { 1 };
        let dark = if self.dark { params::XRDCT_SUBTILE_PIXELS as usize * size_of::<f32>() } else { 0 };
        self.group * (ring + sums) + dark
    }
}

/// What the integration kernels are launched over.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Which kernel.
    pub form: Form,
    /// Items of the matrix.
    pub items: usize,
    /// Most slots of an item.
    pub slots: usize,
}

/// Handles of all kernels, loaded into one context.
#[derive(Debug)]
pub struct Kernels {
    exits: Function,
    count: [Function; 2],
    prefix: [Function; 2],
    pixels: [Function; 4],
    packed: Function,
    plain: Function,
    bins: Function,
    patterns: Function,
    form: Form,
}

impl Kernels {
    /// Loads the kernels for one form of integration.
    ///
    /// # Errors
    /// When the binary holds none, or none for this GPU.
    pub fn load(context: &Arc<Context>, form: Form, slots: usize) -> Result<Kernels, CudaError> {
        let (codec, tiles) = (module(context, "byte_offset")?, module(context, "tiles")?);
        let codec = |name: &str| codec.function(&format!("xrdct_byte_offset_{name}"));
        let kernels = Kernels {
            exits: codec("exits")?,
            count: [codec("count_32")?, codec("count_64")?],
            prefix: [codec("prefix_32")?, codec("prefix_64")?],
            pixels: [codec("pixels_8")?, codec("pixels_16")?, codec("pixels_32")?, codec("pixels_64")?],
            packed: tiles.function(&format!("xrdct_packed_{}", form.suffix()))?,
            plain: tiles.function(&format!("xrdct_plain_{}", form.suffix()))?,
            bins: tiles.function("xrdct_bins")?,
            patterns: module(context, "patterns")?.function("xrdct_patterns")?,
            form,
        };
        kernels.packed.allow_shared(form.shared_bytes(slots))?;
        kernels.plain.allow_shared(form.shared_bytes(slots))?;
        Ok(kernels)
    }

    /// The form they were loaded for.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Finds every code: fills the tables and the verdicts (`XrdctVerdict` a frame).
    ///
    /// # Errors
    /// When the driver refuses a launch.
    ///
    /// # Safety
    /// The addresses must belong to buffers large enough for the batch's arena, alive until the stream has run.
    pub unsafe fn enqueue_index(
        &self,
        stream: &Stream,
        arena: Address,
        tables: &Tables,
        verdicts: Address,
        batch: &XrdctBatch,
    ) -> Result<(), CudaError> {
        let shape = codec_shape(batch);
        let wide = batch.wide as usize;
        let t = tables;
        let count = [arena, t.exits, t.entries, t.step_codes, t.step_value, t.tile_pixel, t.tile_value];
        let prefix = [t.tile_pixel, t.tile_value, t.subtile_tile, verdicts];
        let frames = Launch {
            grid: (batch.frames as usize, 1),
            threads: params::XRDCT_FRAME_THREADS as usize,
            shared: 0,
        };
        // SAFETY: the caller's promise; pointers and structures in the kernels' order.
        unsafe {
            launch(&self.exits, stream, shape, &[arena, t.exits], &[by_value(batch)])?;
            launch(&self.count[wide], stream, shape, &count, &[by_value(batch)])?;
            launch(&self.prefix[wide], stream, frames, &prefix, &[by_value(batch)])
        }
    }

    /// Writes the pixels of the good frames, one frame after another.
    ///
    /// # Errors
    /// When the driver refuses the launch.
    ///
    /// # Safety
    /// As [`Kernels::enqueue_index`], which must have been enqueued before.
    pub unsafe fn enqueue_pixels(
        &self,
        stream: &Stream,
        (arena, verdicts, pixels): (Address, Address, Address),
        tables: &Tables,
        batch: &XrdctBatch,
    ) -> Result<(), CudaError> {
        let t = tables;
        let pointers =
            [arena, t.entries, t.step_codes, t.step_value, t.tile_pixel, t.tile_value, verdicts, pixels];
        let kernel = match size_of_pixel(batch.pixel) {
            1 => &self.pixels[0],
            2 => &self.pixels[1],
            4 => &self.pixels[2],
            _ => &self.pixels[3],
        };
        // SAFETY: the caller's promise; pointers and structures in the kernel's order.
        unsafe { launch(kernel, stream, codec_shape(batch), &pointers, &[by_value(batch)]) }
    }

    /// Decodes and integrates: fills the items' partial sums.
    ///
    /// # Errors
    /// When the driver refuses the launch.
    ///
    /// # Safety
    /// As [`Kernels::enqueue_index`], which must have been enqueued before.
    pub unsafe fn enqueue_packed(
        &self,
        stream: &Stream,
        (arena, verdicts): (Address, Address),
        tables: &Tables,
        (matrix, terms, extent): (&MatrixAddresses, &TermAddresses, Extent),
        (batch, recipe): (&XrdctBatch, &XrdctRecipe),
    ) -> Result<(), CudaError> {
        let t = tables;
        let mut pointers =
            vec![arena, t.entries, t.step_codes, t.step_value, t.tile_pixel, t.tile_value, t.subtile_tile];
        pointers.push(verdicts);
        pointers.extend(matrix.0);
        pointers.extend(terms.0);
        let shape = tiles_shape(batch, extent);
        // SAFETY: the caller's promise; pointers and structures in the kernel's order.
        unsafe { launch(&self.packed, stream, shape, &pointers, &[by_value(batch), by_value(recipe)]) }
    }

    /// Integrates decoded pixels: fills the items' partial sums.
    ///
    /// # Errors
    /// When the driver refuses the launch.
    ///
    /// # Safety
    /// As [`Kernels::enqueue_index`]; the pixels must be where the batch says.
    pub unsafe fn enqueue_plain(
        &self,
        stream: &Stream,
        (pixels, verdicts): (Address, Address),
        (matrix, terms, extent): (&MatrixAddresses, &TermAddresses, Extent),
        (batch, recipe): (&XrdctBatch, &XrdctRecipe),
    ) -> Result<(), CudaError> {
        let mut pointers = vec![pixels, verdicts];
        pointers.extend(matrix.0);
        pointers.extend(terms.0);
        let shape = tiles_shape(batch, extent);
        // SAFETY: the caller's promise; pointers and structures in the kernel's order.
        unsafe { launch(&self.plain, stream, shape, &pointers, &[by_value(batch), by_value(recipe)]) }
    }

    /// Adds up the partial sums of each bin.
    ///
    /// # Errors
    /// When the driver refuses the launch.
    ///
    /// # Safety
    /// As [`Kernels::enqueue_index`]; the partial sums must have been enqueued before.
    pub unsafe fn enqueue_bins(
        &self,
        stream: &Stream,
        pointers: [Address; 5],
        frames: usize,
        recipe: &XrdctRecipe,
    ) -> Result<(), CudaError> {
        let grid = ((recipe.bins as usize).div_ceil(THREADS), frames);
        // SAFETY: the caller's promise; pointers and structures in the kernel's order.
        unsafe {
            launch(
                &self.bins,
                stream,
                Launch { grid, threads: THREADS, shared: 0 },
                &pointers,
                &[by_value(recipe)],
            )
        }
    }

    /// Leaves the patterns of a batch on the device: signal, deficits (or 0), verdicts, norms, fixed, patterns.
    ///
    /// # Errors
    /// When the driver refuses the launch.
    ///
    /// # Safety
    /// As [`Kernels::enqueue_bins`], which must have been enqueued before; the rows must be rows of the patterns.
    pub unsafe fn enqueue_patterns(
        &self,
        stream: &Stream,
        pointers: [Address; 6],
        frames: usize,
        recipe: &XrdctRecipe,
        rows: &XrdctRows,
    ) -> Result<(), CudaError> {
        let grid = ((recipe.bins as usize).div_ceil(THREADS), frames);
        let shape = Launch { grid, threads: THREADS, shared: 0 };
        // SAFETY: the caller's promise; pointers and structures in the kernel's order.
        unsafe { launch(&self.patterns, stream, shape, &pointers, &[by_value(recipe), by_value(rows)]) }
    }
}

/// Loads a unit's kernels.
pub(super) fn module(context: &Arc<Context>, unit: &str) -> Result<Arc<Module>, CudaError> {
    Ok(Arc::new(Module::load(context, image::find(unit).ok_or(CudaError::NoKernels)?)?))
}

/// Bytes of a pixel of one of params.h's types.
pub fn size_of_pixel(pixel: u32) -> usize {
    1 << (pixel / 2)
}

/// The number that params.h gives a pixel type.
pub fn pixel_code(pixel: PixelType) -> u32 {
    match pixel {
        PixelType::I8 => params::XRDCT_I8,
        PixelType::U8 => params::XRDCT_U8,
        PixelType::I16 => params::XRDCT_I16,
        PixelType::U16 => params::XRDCT_U16,
        PixelType::I32 => params::XRDCT_I32,
        PixelType::U32 => params::XRDCT_U32,
        PixelType::I64 => params::XRDCT_I64,
        PixelType::U64 => params::XRDCT_U64,
    }
}

fn codec_shape(batch: &XrdctBatch) -> Launch {
    let spans = &batch.span[..batch.frames as usize];
    let tiles =
        spans.iter().map(|span| (span.end as usize).div_ceil(TILE) - span.first as usize / TILE).max();
    let blocks = tiles.unwrap_or(0).div_ceil(TILES_PER_BLOCK).max(1);
    Launch { grid: (blocks, batch.frames as usize), threads: THREADS, shared: 0 }
}

fn tiles_shape(batch: &XrdctBatch, extent: Extent) -> Launch {
    Launch {
        grid: ((batch.frames as usize).div_ceil(extent.form.group), extent.items),
        threads: params::XRDCT_INTEGRATE_THREADS as usize,
        shared: extent.form.shared_bytes(extent.slots),
    }
}

/// A parameter structure, as launches take it.
pub(super) fn by_value<T>(structure: &T) -> *mut c_void {
    std::ptr::from_ref(structure).cast_mut().cast()
}

/// The choke-point: all launches go through here.
///
/// # Safety
/// Pointers and structures must be the kernel's parameters, in order.
pub(super) unsafe fn launch(
    kernel: &Function,
    stream: &Stream,
    shape: Launch,
    pointers: &[Address],
    structures: &[*mut c_void],
) -> Result<(), CudaError> {
    let mut arguments: Vec<*mut c_void> = pointers.iter().map(by_value).collect();
    arguments.extend(structures);
    // SAFETY: the caller's promise; the driver copies the arguments during the call.
    unsafe { kernel.enqueue(stream, shape, &mut arguments) }
}
