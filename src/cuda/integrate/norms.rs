//! What the frames of a run share of a pattern: the sums N, N₂ and C, over the pixels that are valid in every frame.
//!
//! They are computed here, on the host. A frame with invalid pixels (dummies) gets what they take away from the device, in fixed
//! point, because integers can be added in any order and give the same bits; the static sums are held in the same fixed
//! point, so that a bin without a valid pixel ends at exactly zero.

use rayon::prelude::*;

use crate::frame::Norms;
use crate::integrate::engine::Recipe;

/// Fixed-point sums stay below 2 to this power.
const FIXED_BITS: i32 = 61;

/// The static sums in fixed point: N, N₂, C of each bin.
#[derive(Debug, Default)]
pub(in crate::cuda) struct Fixed {
    pub(in crate::cuda) sums: [Vec<i64>; 3],
    pub(in crate::cuda) scales: [f64; 3],
}

impl Fixed {
    /// The norms of a frame, given those of one in which all is valid and what its invalid pixels take away: three times as many
    /// fixed-point numbers as there are bins.
    pub(in crate::cuda) fn norms_without(&self, all_valid: &Norms, deficits: &[i64]) -> Norms {
        let npt = all_valid.normalization.len();
        let own = |term: usize, all_valid: &[f64]| -> Vec<f64> {
            let lost = &deficits[term * npt..][..npt];
            let sums = self.sums[term].iter().zip(lost).zip(all_valid);
            sums.map(|((sum, lost), all)| match lost {
                0 => *all,
                _ => (sum - lost) as f64 / self.scales[term],
            })
            .collect()
        };
        Norms {
            normalization: own(0, &all_valid.normalization),
            normalization_squared: own(1, &all_valid.normalization_squared),
            count: own(2, &all_valid.count),
        }
    }
}

/// One bit a pixel, the lowest first: it is valid and has an entry in the matrix.
pub(super) fn used_pixels(recipe: &Recipe) -> Vec<u32> {
    let mut bits = vec![0_u32; recipe.shape.pixels().div_ceil(32)];
    for (pixel, weight) in recipe.csr.indices.iter().map(|pixel| *pixel as usize).zip(&recipe.csr.weights) {
        if *weight != 0.0 && recipe.is_valid(pixel) {
            bits[pixel / 32] |= 1 << (pixel % 32);
        }
    }
    bits
}

/// N, N₂ and C of each bin, over the pixels that are valid in every frame; in float64 and in fixed point.
pub(super) fn static_norms(recipe: &Recipe) -> (Norms, Fixed) {
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
