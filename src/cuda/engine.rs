//! What is the same for every batch of a run: kernels, the matrix on the device, static norms.
//!
//! Made once, shared by all lanes through an `Arc`. The sums N, N₂ and C are computed here, on the host, for frames in
//! which every pixel of the matrix is valid. A frame with invalid pixels (dummies) gets what they take away from the
//! device, in fixed point, because integers can be added in any order and give the same bits; the static sums are
//! held in the same fixed point, so that a bin without a valid pixel ends at exactly zero.

use std::sync::Arc;

use rayon::prelude::*;

use super::driver::{Context, DeviceBuffer};
use super::error::CudaError;
use super::kernels::{Extent, Form, Kernels, MatrixAddresses};
use super::params::{self, XrdctRecipe};
use super::tiles::{CsrRows, Limits, SubTiles};
use crate::frame::{Norms, PixelType, Shape};
use crate::integrate::engine::{ErrorModel, Recipe, Saturation};

/// Fewest slots for which a form is worth its shared memory.
const FEWEST_SLOTS: usize = 256;
/// Shared memory that the driver keeps for itself in each block.
const RESERVED_SHARED: usize = 1024;
/// Fixed-point sums stay below 2 to this power.
const FIXED_BITS: i32 = 61;

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

/// A GPU that is ready to integrate frames of one kind.
#[derive(Debug)]
pub struct CudaEngine {
    pub(super) context: Arc<Context>,
    pub(super) kernels: Kernels,
    pub(super) extent: Extent,
    pub(super) recipe: XrdctRecipe,
    pub(super) pixel: PixelType,
    pub(super) shape: Shape,
    pub(super) empty: f32,
    pub(super) saturation: Saturation,
    pub(super) norms: Arc<Norms>,
    pub(super) fixed: Fixed,
    items: Vec<DeviceBuffer>,
    pub(super) dark: DeviceBuffer,
    pub(super) normalization: DeviceBuffer,
    /// One bit a pixel: it has an entry.
    pub(super) used: DeviceBuffer,
    pub(super) slot_bin: DeviceBuffer,
    pub(super) bin_first: DeviceBuffer,
    pub(super) position: DeviceBuffer,
    /// N and N₂ of each bin, and both in fixed point: for patterns that stay on the device.
    pub(super) device_norms: DeviceBuffer,
    pub(super) device_fixed: DeviceBuffer,
    matrix_bytes: usize,
}

/// The static sums in fixed point: N, N₂, C of each bin.
#[derive(Debug, Default)]
pub(super) struct Fixed {
    pub(super) sums: [Vec<i64>; 3],
    pub(super) scales: [f64; 3],
}

impl CudaEngine {
    /// Brings the matrix to GPU `ordinal`.
    ///
    /// # Errors
    /// When there is no such GPU, no kernels for it, or not enough memory.
    pub fn new(ordinal: usize, recipe: &Recipe) -> Result<CudaEngine, CudaError> {
        CudaEngine::with_tuning(ordinal, recipe, CudaTuning::default())
    }

    /// [`CudaEngine::new`] with other choices than the default ones.
    ///
    /// # Errors
    /// As [`CudaEngine::new`].
    pub fn with_tuning(ordinal: usize, recipe: &Recipe, tuning: CudaTuning) -> Result<CudaEngine, CudaError> {
        let context = super::device::open(ordinal)?;
        let variance = recipe.error_model == ErrorModel::Poisson;
        let (form, slots) = choose_form(&context, variance, recipe.dark.is_some(), tuning.narrow)?;
        let rows = CsrRows {
            pixels: recipe.shape.pixels(),
            indptr: &recipe.csr.indptr,
            indices: &recipe.csr.indices,
            weights: &recipe.csr.weights,
        };
        let limits = Limits { slots: slots.min(tuning.slots), subtiles: tuning.subtiles, row: tuning.row };
        let (tiles, (norms, fixed)) = rayon::join(
            || SubTiles::build(rows, |pixel| recipe.is_valid(pixel), limits),
            || static_norms(recipe),
        );
        let kernels = Kernels::load(&context, form, tiles.max_slots)?;
        let what = "the sparse matrix";
        let items = vec![
            DeviceBuffer::holding(&context, &tiles.items, what)?,
            DeviceBuffer::holding(&context, &tiles.parts, what)?,
            DeviceBuffer::holding(&context, &tiles.passes, what)?,
            DeviceBuffer::holding(&context, &tiles.row_slot, what)?,
            DeviceBuffer::holding(&context, &tiles.entry_pixel, what)?,
            DeviceBuffer::holding(&context, &tiles.entry_weight, what)?,
        ];
        let dark = recipe.dark.as_deref().unwrap_or(&[]);
        let device_norms = [norms.normalization.as_slice(), &norms.normalization_squared].concat();
        let device_fixed = [fixed.sums[0].as_slice(), &fixed.sums[1]].concat();
        let dummy = recipe.dummy;
        Ok(CudaEngine {
            kernels,
            extent: Extent { form, items: tiles.items.len(), slots: tiles.max_slots },
            recipe: XrdctRecipe {
                bins: tiles.bins as u32,
                total_slots: tiles.slot_bin.len() as u32,
                has_invalid: u32::from(dummy.is_some() || recipe.saturation.masked),
                mask_saturated: u32::from(recipe.saturation.masked),
                dummy: dummy.map_or(f32::NAN, |d| d.value as f32),
                delta_dummy: dummy.map_or(0.0, |d| d.delta as f32),
                scale_n: fixed.scales[0] as f32,
                scale_n2: fixed.scales[1] as f32,
                scale_c: fixed.scales[2] as f32,
            },
            pixel: recipe.pixel,
            shape: recipe.shape,
            empty: recipe.empty,
            saturation: recipe.saturation,
            norms: Arc::new(norms),
            fixed,
            items,
            dark: DeviceBuffer::holding(&context, dark, "the dark image")?,
            normalization: DeviceBuffer::holding(&context, &recipe.normalization, "the normalisation")?,
            used: DeviceBuffer::holding(&context, &used_pixels(recipe), "which pixels count")?,
            slot_bin: DeviceBuffer::holding(&context, &tiles.slot_bin, what)?,
            bin_first: DeviceBuffer::holding(&context, &tiles.bin_first, what)?,
            position: DeviceBuffer::holding(&context, &tiles.position, what)?,
            device_norms: DeviceBuffer::holding(&context, &device_norms, "the norms")?,
            device_fixed: DeviceBuffer::holding(&context, &device_fixed, "the norms")?,
            matrix_bytes: tiles.bytes(),
            context,
        })
    }

    /// Number of bins.
    pub fn npt(&self) -> usize {
        self.recipe.bins as usize
    }

    /// Bytes of the matrix on the device.
    pub fn matrix_bytes(&self) -> usize {
        self.matrix_bytes
    }

    /// N, N₂ and C of a frame without invalid pixels of its own.
    pub fn static_norms(&self) -> Arc<Norms> {
        Arc::clone(&self.norms)
    }

    /// The context that slots and lanes are taken in.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    pub(super) fn matrix(&self) -> MatrixAddresses {
        let mut addresses = [0; 6];
        addresses.iter_mut().zip(&self.items).for_each(|(address, buffer)| *address = buffer.pointer());
        MatrixAddresses(addresses)
    }

    /// The norms of a frame, given what its invalid pixels take away: three times `npt` fixed-point numbers.
    pub(super) fn norms_without(&self, deficits: &[i64]) -> Norms {
        let npt = self.npt();
        let own = |term: usize, all_valid: &[f64]| -> Vec<f64> {
            let lost = &deficits[term * npt..][..npt];
            let sums = self.fixed.sums[term].iter().zip(lost).zip(all_valid);
            sums.map(|((sum, lost), all)| match lost {
                0 => *all,
                _ => (sum - lost) as f64 / self.fixed.scales[term],
            })
            .collect()
        };
        Norms {
            normalization: own(0, &self.norms.normalization),
            normalization_squared: own(1, &self.norms.normalization_squared),
            count: own(2, &self.norms.count),
        }
    }
}

/// The widest form of which two blocks fit on a multiprocessor, else the narrow one; and how many slots it has room for.
fn choose_form(
    context: &Context,
    variance: bool,
    dark: bool,
    only_narrow: bool,
) -> Result<(Form, usize), CudaError> {
    use cudarc::driver::sys::CUdevice_attribute as Attribute;
    let block = context.attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?;
    let multiprocessor =
        context.attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR)?;
    let wide = Form { group: params::XRDCT_GROUP_WIDE as usize, variance, dark };
    let narrow = Form { group: params::XRDCT_GROUP_NARROW as usize, ..wide };
    let room = |form: Form, bytes: usize| {
        let fixed = form.shared_bytes(0);
        bytes.saturating_sub(fixed) / (form.shared_bytes(1) - fixed)
    };
    let half = block.min(multiprocessor / 2 - RESERVED_SHARED.min(multiprocessor / 2));
    let forms = if variance || dark || only_narrow { vec![narrow] } else { vec![wide, narrow] };
    let two_fit = forms.iter().find(|form| room(**form, half) >= FEWEST_SLOTS);
    match two_fit {
        Some(form) => Ok((*form, room(*form, half))),
        None if room(narrow, block) >= 1 => Ok((narrow, room(narrow, block))),
        None => Err(CudaError::TooSmall { available: block, needed: narrow.shared_bytes(1) }),
    }
}

/// One bit a pixel, the lowest first: it is valid and has an entry in the matrix.
fn used_pixels(recipe: &Recipe) -> Vec<u32> {
    let mut bits = vec![0_u32; recipe.shape.pixels().div_ceil(32)];
    for (pixel, weight) in recipe.csr.indices.iter().map(|pixel| *pixel as usize).zip(&recipe.csr.weights) {
        if *weight != 0.0 && recipe.is_valid(pixel) {
            bits[pixel / 32] |= 1 << (pixel % 32);
        }
    }
    bits
}

/// N, N₂ and C of each bin, over the pixels that are valid in every frame; in float64 and in fixed point.
fn static_norms(recipe: &Recipe) -> (Norms, Fixed) {
    let csr = &recipe.csr;
    // One entry's share of the three sums, as the device computes it.
    let share = |entry: usize| {
        let pixel = csr.indices[entry] as usize;
        let weight = f64::from(csr.weights[entry]);
        let norm = weight * f64::from(recipe.normalization[pixel]);
        (weight != 0.0 && recipe.is_valid(pixel)).then_some([norm, norm * norm, weight])
    };
    let rows: Vec<[f64; 4]> = csr
        .indptr
        .par_windows(2)
        .map(|row| {
            let mut sums = [0.0; 4];
            for [n, n2, c] in (row[0] as usize..row[1] as usize).filter_map(share) {
                sums = [sums[0] + n, sums[1] + n2, sums[2] + c, sums[3] + n.abs()];
            }
            sums
        })
        .collect();
    let scale = |term: usize| {
        let largest = rows.iter().map(|sums| sums[term]).fold(f64::MIN_POSITIVE, f64::max);
        // Scales travel as float32: keep the exponent in its range.
        2.0_f64.powi((FIXED_BITS - largest.log2().ceil() as i32).clamp(-120, 120))
    };
    let scales = [scale(3), scale(1), scale(2)];
    let fixed: Vec<[i64; 3]> = csr
        .indptr
        .par_windows(2)
        .map(|row| {
            let mut sums = [0_i64; 3];
            for share in (row[0] as usize..row[1] as usize).filter_map(share) {
                for term in 0..3 {
                    sums[term] =
                        sums[term].wrapping_add((share[term] * scales[term]).round_ties_even() as i64);
                }
            }
            sums
        })
        .collect();
    let column = |term: usize| rows.iter().map(|sums| sums[term]).collect();
    let fixed_column = |term: usize| fixed.iter().map(|sums| sums[term]).collect();
    (
        Norms { normalization: column(0), normalization_squared: column(1), count: column(2) },
        Fixed { sums: [fixed_column(0), fixed_column(1), fixed_column(2)], scales },
    )
}
