//! How the sinograms of every bin are made of patterns: which frames each point is a mean of, and what is mended. It is found
//! once, on the sum over bins; then it is the same for all bins, which may come in blocks of any size.
//!
//! The GPU's twin, for patterns that lie there, is `cuda/tomo/assembly.cu`: the same bits.

use std::ops::Range;

use super::repair::{self, Holes};
use super::scan::ScanGrid;
use super::{Rays, Sinograms};

/// What is done to every bin, in this order.
#[derive(Debug, Clone, PartialEq)]
pub struct Assembly {
    /// Points of the scan, and the frames that each is a mean of.
    pub grid: ScanGrid,
    /// What each row of patterns is multiplied by.
    pub monitor: Option<Vec<f32>>,
    /// Points that are not believed.
    pub spikes: Vec<usize>,
    /// Points that are filled, rotations that are left out.
    pub holes: Holes,
    /// Translations at either end that see air, which is taken off.
    pub air: Option<usize>,
    /// What each rotation is multiplied by.
    pub row_factors: Option<Vec<f32>>,
    /// Steps by which each rotation is moved.
    pub shifts: Option<Vec<f32>>,
    /// Whether stripes are taken off.
    pub stripes: bool,
}

/// Mended sinograms of some bins.
#[derive(Debug, Clone, PartialEq)]
pub struct Assembled {
    /// `[bin][rotation][translation]`, a number everywhere.
    pub values: Vec<f32>,
    /// Bins that hold no data at some point, ascending, counted from the first of these; their values are 0.
    pub empty: Vec<usize>,
}

impl Assembly {
    /// What is measured as it is: nothing is known to be wrong.
    pub fn plain(grid: ScanGrid) -> Assembly {
        let total = Sinograms { rays: grid.rays(), bins: 1, values: vec![0.0; grid.points()] };
        Assembly {
            grid,
            monitor: None,
            spikes: vec![],
            holes: Holes::find(&total),
            air: None,
            row_factors: None,
            shifts: None,
            stripes: false,
        }
    }

    /// The rays that are left.
    pub fn rays(&self) -> Rays {
        let rays = self.grid.rays();
        let angles = self.holes.kept().iter().map(|&rotation| rays.angles[rotation]).collect();
        Rays { angles, ..rays }
    }

    /// Sinograms of `bins`; `patterns` are rows of `width` bins.
    pub fn sinograms(&self, patterns: &[f32], width: usize, bins: Range<usize>) -> Assembled {
        let count = bins.len();
        let mut sinograms = self.grid.gather(patterns, width, bins, self.monitor.as_deref());
        let each = sinograms.rays.len();
        for bin in sinograms.values.chunks_mut(each) {
            self.spikes.iter().for_each(|&point| bin[point] = f32::NAN);
        }
        let mut sinograms = self.holes.mend(sinograms);
        let each = sinograms.rays.len();
        let of = |bin: usize| bin * each..(bin + 1) * each;
        let empty: Vec<usize> =
            (0..count).filter(|bin| sinograms.values[of(*bin)].iter().any(|v| !v.is_finite())).collect();
        empty.iter().for_each(|bin| sinograms.values[of(*bin)].fill(0.0));
        if let Some(edge) = self.air {
            repair::remove_air(&mut sinograms, edge);
        }
        if let Some(factors) = &self.row_factors {
            repair::scale_rows(&mut sinograms, factors);
        }
        if let Some(shifts) = &self.shifts {
            repair::shift_rows(&mut sinograms, shifts);
        }
        if self.stripes {
            repair::remove_stripes(&mut sinograms);
        }
        Assembled { values: sinograms.values, empty }
    }
}
