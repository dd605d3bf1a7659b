//! What the paper's Table 1 says: azimuthal integration of 1202 frames of a Pilatus3 2M CdTe, CBF files to HDF5, frames a second.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cache::StartFrom;

/// The paper, as it is cited under a table.
pub const CITED: &str = "Kieffer, Petitdemange & Vincent, J. Synchrotron Rad. (2018) 25, 612–617, Table 1: \
    two Xeon E5-2643 v3, an Intel P3700, a Titan X; medians of 5 runs";

/// What the paper says of a row, frames a second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Published {
    /// Median of its runs.
    pub median: f64,
    /// Median absolute deviation from it.
    pub mad: f64,
}

/// Median and median absolute deviation.
type Figure = (f64, f64);

/// Rows by key, hot and cold. The paper's pools and OpenCL ran hot only.
const TABLE: [(&str, Figure, Option<Figure>); 10] = [
    ("sequential-cpu", (31.6, 0.9), Some((28.2, 0.3))),
    ("sequential-gpu", (74.6, 1.3), Some((53.1, 1.4))),
    ("pool-1", (167.0, 3.0), None),
    ("pool-2", (192.0, 7.0), None),
    ("pool-3", (155.0, 5.0), None),
    ("pool-4", (190.0, 4.0), None),
    ("pool-6", (168.0, 18.0), None),
    ("pool-12", (121.0, 4.0), None),
    ("pool-24", (88.0, 2.0), None),
    ("gpu-gpu", (253.0, 2.0), None),
];

/// The paper's figures for a row; none for one that is not its own.
pub fn published(key: &str) -> BTreeMap<StartFrom, Published> {
    let row = TABLE.iter().find(|(name, ..)| *name == key);
    let figures = row.map(|(_, hot, cold)| [(StartFrom::Mem, Some(*hot)), (StartFrom::Ssd, *cold)]);
    let figures = figures.into_iter().flatten();
    figures
        .filter_map(|(source, figure)| figure.map(|(median, mad)| (source, Published { median, mad })))
        .collect()
}
