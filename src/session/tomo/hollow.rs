//! Slices without numbers: which there are, what is said of them, and when a tomogram is none.

use crate::output::result::Sector;
use crate::output::tomogram::TomogramLayout;
use crate::session::error::{SessionError, refuse};
use crate::tomo::region::Region;

/// A region, and what its bins hold.
struct Counted {
    name: String,
    /// Bins that it counts.
    bins: usize,
    /// How many of those hold no data at some point of the scan.
    empty: usize,
}

/// What was found while slices were made.
pub struct Hollow {
    /// Bins of which there are slices.
    of_bins: usize,
    /// Those whose slice is NaN, because some point of the scan has no data in them.
    bins: usize,
    /// Of each region in each sector.
    regions: Vec<Counted>,
    sectors: usize,
    /// Slices with a pixel that is not finite though their sinogram is.
    broken: usize,
}

impl Hollow {
    /// Nothing found yet of so many bins of each sector; `weights` are those of each region, one a bin.
    pub(super) fn new(
        of_bins: usize,
        regions: &[Region],
        sectors: &[Sector],
        weights: &[Vec<f32>],
    ) -> Hollow {
        let places = match sectors {
            [] => vec![String::new()],
            sectors => sectors.iter().map(|sector| format!(", {}", sector.name())).collect(),
        };
        let counted = |(region, weights): (&Region, &Vec<f32>)| {
            let bins = weights.iter().filter(|w| **w != 0.0).count();
            let of = |place: &String| Counted { name: region.name.clone() + place, bins, empty: 0 };
            places.iter().map(of).collect::<Vec<_>>()
        };
        Hollow {
            of_bins: of_bins * places.len(),
            bins: 0,
            regions: regions.iter().zip(weights).flat_map(counted).collect(),
            sectors: places.len(),
            broken: 0,
        }
    }

    /// A bin of a sector that holds no data at some point; `has_slice` when the file has one for it.
    pub(super) fn add_bin(&mut self, sector: usize, bin: usize, has_slice: bool, weights: &[Vec<f32>]) {
        self.bins += usize::from(has_slice);
        let of_sector = self.regions.iter_mut().skip(sector).step_by(self.sectors);
        for (region, weights) in of_sector.zip(weights) {
            region.empty += usize::from(weights[bin] != 0.0);
        }
    }

    /// Whether none of a region's bins holds data.
    pub(super) fn is_nothing(&self, region: usize) -> bool {
        self.regions[region].bins == self.regions[region].empty
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
    pub(super) fn check(&self, layout: &TomogramLayout) -> Result<(), SessionError> {
        let nothing = (0..self.regions.len()).filter(|region| self.is_nothing(*region)).count();
        if layout.slices() > self.bins + nothing {
            return Ok(());
        }
        refuse!(
            Input,
            "the tomogram is empty: every one of its {} slices is NaN, because each bin holds no data at some point of the scan; \
             integrate again with a mask that is the same for all frames, or with fewer bins",
            layout.slices()
        )
    }

    /// What is not whole, a line each; empty when everything is.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.bins > 0 {
            notes.push(format!(
                "{} of {} bins hold no data at some point: their sinograms and slices are NaN",
                self.bins, self.of_bins
            ));
        }
        for Counted { name, bins, empty } in self.regions.iter().filter(|region| region.empty > 0) {
            let so = if empty == bins { "its slice is NaN" } else { "its slice is of the others" };
            notes.push(format!("region {name}: {empty} of its {bins} bins hold no data at some point; {so}"));
        }
        if self.broken > 0 {
            notes.push(format!("{} slices have pixels that are not finite", self.broken));
        }
        notes
    }
}
