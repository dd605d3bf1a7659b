//! What is to be reconstructed and how, checked once; and the host's reconstructor, all cores.
//!
//! Bins are taken [`GROUP`] at a time, laid side by side, so that one interpolation weight serves them all; groups and
//! image rows are shared out to the cores. A slice's bits depend on its sinogram alone, not on its neighbours or the threads.

use rayon::prelude::*;

use super::filter::{Filter, RowFilter};
use super::{GROUP, Grid, Rays, ReconstructError, Reconstructor, TomoError, fbp, iterative};
use crate::budget;

/// Bytes of one pixel, or of one ray, in a group of bins that is worked on: as it comes, between, and as it goes.
const GROUP_BYTES: usize = 3 * GROUP * size_of::<f32>();

/// A slice does not change any more long before so many.
const MOST_ITERATIONS: usize = 100_000;

/// How slices are made of sinograms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Filtered back-projection (Kak & Slaney, *Principles of Computerized Tomographic Imaging*, ch. 3).
    Fbp {
        /// Window over the ramp.
        filter: Filter,
    },
    /// Simultaneous iterative reconstruction (Gilbert 1972, in the form of Gregor & Benson, IEEE TMI 2008):
    /// x ← x + C·Aᵀ·R·(y − A·x), R and C the inverse row and column sums of A.
    Sirt {
        /// Steps.
        iterations: usize,
        /// Negative values are set to 0 after each step.
        non_negative: bool,
    },
    /// Maximum likelihood by expectation maximisation (Shepp & Vardi, IEEE TMI 1982): x ← x·Aᵀ(y / A·x) / Aᵀ1. Slices are
    /// never negative; negative sinogram values count as 0.
    Mlem {
        /// Steps.
        iterations: usize,
    },
}

/// A reconstruction: geometry and method, for any number of bins.
#[derive(Debug, Clone, PartialEq)]
pub struct Reconstruction {
    /// The lines that were measured.
    pub rays: Rays,
    /// The pixels that are wanted.
    pub grid: Grid,
    /// How.
    pub method: Method,
    /// Pixels that some rotation does not see are 0.
    pub circle: bool,
}

impl Reconstruction {
    /// Checks that an image can come out.
    ///
    /// # Errors
    /// [`TomoError::TooSmall`], [`TomoError::NotANumber`] or [`TomoError::Impossible`].
    pub fn check(&self) -> Result<(), TomoError> {
        let Rays { angles, translations, axis } = &self.rays;
        if angles.len() < 2 || *translations < 2 {
            return Err(TomoError::TooSmall { rotations: angles.len(), translations: *translations });
        }
        if let Some((frame, &value)) = angles.iter().enumerate().find(|(_, a)| !a.is_finite()) {
            return Err(TomoError::NotANumber { what: "rotation", frame, value });
        }
        let Grid { rows, columns, x0, y0, pixel } = self.grid;
        if rows == 0
            || columns == 0
            || !(pixel > 0.0 && pixel.is_finite() && x0.is_finite() && y0.is_finite())
        {
            return Err(TomoError::Impossible(format!(
                "a grid of {rows} x {columns} pixels of {pixel} steps"
            )));
        }
        if !axis.is_finite() || *axis < -(*translations as f64) || *axis > 2.0 * *translations as f64 {
            return Err(TomoError::Impossible(format!(
                "the rotation axis at translation step {axis}, with {translations} translations"
            )));
        }
        budget::allow(
            format_args!("a slice of {rows} x {columns} pixels of {} x {translations} rays", angles.len()),
            budget::bytes_of(&[rows, columns], GROUP_BYTES)
                .saturating_add(budget::bytes_of(&[angles.len(), *translations], GROUP_BYTES)),
        )?;
        match self.method {
            Method::Sirt { iterations, .. } | Method::Mlem { iterations }
                if !(1..=MOST_ITERATIONS).contains(&iterations) =>
            {
                Err(TomoError::Impossible(format!(
                    "{iterations} iterations: from 1 to {MOST_ITERATIONS} make sense"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Whether each pixel (row by row) is kept: with `circle`, those that every rotation sees.
    pub fn kept(&self) -> Vec<bool> {
        let Grid { rows, columns, x0, y0, pixel } = self.grid;
        let radius = self.rays.axis.min(self.rays.translations as f64 - 1.0 - self.rays.axis) + 0.5;
        let inside = |i: usize| {
            let (y, x) = (y0 + (i / columns) as f64 * pixel, x0 + (i % columns) as f64 * pixel);
            !self.circle || x.hypot(y) <= radius
        };
        (0..rows * columns).map(inside).collect()
    }

    /// Lengths of a whole number of bins; how many.
    ///
    /// # Errors
    /// [`TomoError::Mismatch`], or [`TomoError::Hole`] at the first value that is not finite.
    pub fn bins_of(&self, sinograms: &[f32], slices: &[f32]) -> Result<usize, TomoError> {
        let each = self.rays.len();
        let bins = sinograms.len() / each;
        if bins * each != sinograms.len() {
            return Err(TomoError::Mismatch {
                what: "values of sinograms",
                found: sinograms.len(),
                expected: bins * each,
            });
        }
        if slices.len() != bins * self.grid.pixels() {
            let expected = bins * self.grid.pixels();
            return Err(TomoError::Mismatch { what: "pixels of slices", found: slices.len(), expected });
        }
        // All at once is quick; the place is looked for only when there is one.
        let whole = |piece: &[f32]| piece.iter().fold(true, |all, v| all & v.is_finite());
        if sinograms.par_chunks(1 << 16).all(whole) {
            return Ok(bins);
        }
        match sinograms.iter().position(|v| !v.is_finite()) {
            None => Ok(bins),
            Some(place) => Err(TomoError::Hole {
                bin: place / each,
                rotation: place % each / self.rays.translations,
                translation: place % self.rays.translations,
            }),
        }
    }
}

/// Reconstructs on this machine's cores.
#[derive(Debug)]
pub struct HostReconstructor {
    wanted: Reconstruction,
    kept: Vec<bool>,
    filter: RowFilter,
}

impl HostReconstructor {
    /// Prepares what all bins share.
    ///
    /// # Errors
    /// As [`Reconstruction::check`].
    pub fn new(wanted: &Reconstruction) -> Result<HostReconstructor, TomoError> {
        wanted.check()?;
        let filter = match wanted.method {
            Method::Fbp { filter } => filter,
            Method::Sirt { .. } | Method::Mlem { .. } => Filter::None,
        };
        Ok(HostReconstructor {
            kept: wanted.kept(),
            filter: RowFilter::new(filter, wanted.rays.translations),
            wanted: wanted.clone(),
        })
    }

    /// One group of bins, side by side: `[rotation][translation][GROUP]` to `[pixel][GROUP]`.
    fn group(&self, mut rows: Vec<[f32; GROUP]>) -> Vec<[f32; GROUP]> {
        let Reconstruction { rays, grid, method, .. } = &self.wanted;
        let mut image = match *method {
            Method::Fbp { .. } => {
                self.filter.apply(&mut rows);
                fbp::back_project(rays, grid, &rows)
            }
            Method::Sirt { iterations, non_negative } => {
                iterative::sirt(rays, grid, &rows, &self.kept, iterations, non_negative)
            }
            Method::Mlem { iterations } => iterative::mlem(rays, grid, &rows, &self.kept, iterations),
        };
        for (pixel, _) in image.iter_mut().zip(&self.kept).filter(|(_, kept)| !**kept) {
            *pixel = [0.0; GROUP];
        }
        image
    }
}

impl Reconstructor for HostReconstructor {
    fn reconstruct(&mut self, sinograms: &[f32], slices: &mut [f32]) -> Result<(), ReconstructError> {
        self.wanted.bins_of(sinograms, slices)?;
        let (each, pixels) = (self.wanted.rays.len(), self.wanted.grid.pixels());
        let groups = sinograms.par_chunks(GROUP * each).zip(slices.par_chunks_mut(GROUP * pixels));
        groups.for_each(|(sinograms, slices)| {
            let image = self.group(side_by_side(sinograms, each));
            for (lane, slice) in slices.chunks_mut(pixels).enumerate() {
                slice.iter_mut().zip(&image).for_each(|(value, lanes)| *value = lanes[lane]);
            }
        });
        Ok(())
    }
}

/// `[bin][value]` to `[value][GROUP]`; lanes without a bin are 0.
fn side_by_side(bins: &[f32], each: usize) -> Vec<[f32; GROUP]> {
    let mut lanes = vec![[0.0; GROUP]; each];
    for (lane, bin) in bins.chunks(each).enumerate() {
        lanes.iter_mut().zip(bin).for_each(|(all, value)| all[lane] = *value);
    }
    lanes
}
