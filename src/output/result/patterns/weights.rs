//! How much the azimuthal bins of a row count in a mean over some of them: what the file knows of it.
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;

use crate::files;
use crate::h5::{self, Group};
use crate::output::result::info::not_whole;
use crate::output::result::plain::bytes_mut;
use crate::output::result::sums::places_of_sets;
use crate::output::{OutputError, nexus};

/// Numbers of a bin in a set of norms: N, N₂ and C.
const FIELDS: usize = 3;

/// How much each bin of a row counts in a mean over some of them.
#[derive(Debug)]
pub(super) enum BinWeights {
    /// As much as its normalisation.
    Norms(StoredNorms),
    /// As much as any other; but not when it has no pixel.
    Alike {
        /// What such bins hold.
        empty: f32,
        /// Which they are, once it was looked.
        hollow: OnceLock<Vec<bool>>,
    },
}

/// The norms that a result keeps.
#[derive(Debug)]
pub(super) struct StoredNorms {
    file: File,
    /// Which set each row has.
    of_row: Vec<u32>,
    /// Where each set is.
    places: Vec<u64>,
}

impl BinWeights {
    /// Those that a result has; `bins` are all of a row.
    pub(super) fn of(
        path: &Path,
        process: &Group,
        rows: usize,
        bins: usize,
    ) -> Result<BinWeights, OutputError> {
        // Norms of quantiles are those of the one pixel or few that were chosen: no weights of a bin.
        if !process.link_exists("sums") || chooses_few(process) {
            return Ok(BinWeights::Alike { empty: value_of_empty(process), hollow: OnceLock::new() });
        }
        let part = |name: &'static str| move |e: h5::Error| not_whole(path, name, &e);
        let of_row = process.dataset("sums/norms_of").and_then(|rows| rows.read_raw::<u32>());
        let of_row = of_row.map_err(part("sums/norms_of"))?;
        if of_row.len() != rows {
            let words = format!("it has {} values, there are {rows} rows", of_row.len());
            return Err(not_whole(path, "sums/norms_of", &words.into()));
        }
        // One for each row, and the one for none.
        let places = process.dataset("sums/norms").and_then(|table| places_of_sets(&table, bins, rows + 1));
        let places = places.map_err(part("sums/norms"))?;
        let unread = |cause| OutputError::Io { path: path.into(), action: "opening the file", cause };
        Ok(BinWeights::Norms(StoredNorms { file: files::open(path).map_err(unread)?, of_row, places }))
    }
}

impl StoredNorms {
    /// Which set a row has.
    pub(super) fn set_of(&self, row: usize) -> u32 {
        self.of_row[row]
    }

    /// N of a block of bins, azimuthal × radial, of rows that have `npt` radial ones; 0 where it is no weight.
    pub(super) fn read(
        &self,
        set: u32,
        npt: usize,
        [azimuths, radial]: &[Range<usize>; 2],
    ) -> io::Result<Vec<f64>> {
        let no_set = || io::Error::other(format!("there is no set {set} of norms"));
        let place = self.places.get(set as usize).copied().filter(|place| *place > 0).ok_or_else(no_set)?;
        let mut weights = Vec::with_capacity(azimuths.len() * radial.len());
        let mut row = vec![0.0_f64; FIELDS * radial.len()];
        for azimuth in azimuths.clone() {
            let before = FIELDS * (azimuth * npt + radial.start) * size_of::<f64>();
            self.file.read_exact_at(bytes_mut(&mut row), place.saturating_add(before as u64))?;
            let normalization = row.iter().step_by(FIELDS);
            weights.extend(normalization.map(|n| if n.is_finite() && *n > 0.0 { *n } else { 0.0 }));
        }
        Ok(weights)
    }
}

/// Whether patterns are medians or other quantiles.
fn chooses_few(process: &Group) -> bool {
    configuration(process)["integrator_method"] == "medfilt1d_ng"
}

fn configuration(process: &Group) -> Value {
    let text = nexus::read_text(process, "configuration/data").unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// What bins without a pixel hold, as the run was told: xrdct's `empty`, or pyFAI's `dummy`.
fn value_of_empty(process: &Group) -> f32 {
    let configuration = configuration(process);
    let told = match configuration.get("xrdct") {
        Some(own) => own.get("empty"),
        None => configuration.get("dummy"),
    };
    let number = told.and_then(|told| told.as_f64().or_else(|| told.as_str()?.parse().ok()));
    number.unwrap_or(0.0) as f32
}
