//! Slices without numbers: which there are, what is said of them, and when a tomogram is none.

use anyhow::anyhow;

use super::Study;
use crate::cli::exit::{Exit, Failure, OrExit};
use crate::output::tomogram::TomogramLayout;

/// What was found while slices were made.
pub(super) struct Hollow {
    /// Bins in the file whose slice is NaN, because some point of the scan has no data in them.
    bins: usize,
    /// Of each region: bins that it counts, and how many of those hold no data at some point.
    regions: Vec<(usize, usize)>,
    /// Slices with a pixel that is not finite though their sinogram is.
    broken: usize,
}

impl Hollow {
    /// Nothing found yet; `weights` are those of each region, one a bin.
    pub(super) fn new(weights: &[Vec<f32>]) -> Hollow {
        let counted = |weights: &Vec<f32>| (weights.iter().filter(|w| **w != 0.0).count(), 0);
        Hollow { bins: 0, regions: weights.iter().map(counted).collect(), broken: 0 }
    }

    /// A bin that holds no data at some point; `has_slice` when the file has one for it.
    pub(super) fn add_bin(&mut self, bin: usize, has_slice: bool, weights: &[Vec<f32>]) {
        self.bins += usize::from(has_slice);
        for ((_, empty), weights) in self.regions.iter_mut().zip(weights) {
            *empty += usize::from(weights[bin] != 0.0);
        }
    }

    /// Whether none of a region's bins holds data.
    pub(super) fn is_nothing(&self, region: usize) -> bool {
        let (counted, empty) = self.regions[region];
        counted == empty
    }

    /// Looks for pixels that are not finite in slices that should be.
    pub(super) fn look_at<'a>(&mut self, slices: impl Iterator<Item = &'a [f32]>) {
        // Slices of bins without data are all NaN: those are known.
        let is_broken =
            |slice: &&[f32]| slice.iter().any(|v| !v.is_finite()) && !slice.iter().all(|v| v.is_nan());
        self.broken += slices.filter(is_broken).count();
    }

    /// Refuses a tomogram without a slice that holds numbers.
    ///
    /// # Errors
    /// What is missing in the result that it was made of.
    pub(super) fn check(&self, layout: &TomogramLayout) -> Result<(), Failure> {
        let nothing = (0..self.regions.len()).filter(|region| self.is_nothing(*region)).count();
        if layout.slices() > self.bins + nothing {
            return Ok(());
        }
        Err(anyhow!(
            "the tomogram is empty: every one of its {} slices is NaN, because each bin holds no data at some point of the scan; \
             integrate again with a mask that is the same for all frames, or with fewer bins",
            layout.slices()
        ))
        .or_exit(Exit::Input)
    }

    /// What is not whole, for people.
    pub(super) fn notes(&self, scan: &Study) -> Vec<String> {
        let mut notes = Vec::new();
        if self.bins > 0 {
            notes.push(format!(
                "{} of {} bins hold no data at some point: their sinograms and slices are NaN",
                self.bins,
                scan.bins.len()
            ));
        }
        for (region, (counted, empty)) in scan.regions.iter().zip(&self.regions).filter(|(_, (_, n))| *n > 0)
        {
            let so = if empty == counted { "its slice is NaN" } else { "its slice is of the others" };
            notes.push(format!(
                "region {}: {empty} of its {counted} bins hold no data at some point; {so}",
                region.name
            ));
        }
        if self.broken > 0 {
            notes.push(format!("{} slices have pixels that are not finite", self.broken));
        }
        notes
    }
}
