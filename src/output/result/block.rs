//! Some consecutive rows on their way from one result to another.

use std::ops::Range;
use std::sync::Arc;

use crate::frame::Norms;

/// Arrays (rows, npt), those that a result has.
#[derive(Default)]
pub(super) struct RowBlock {
    /// Which rows they are.
    pub rows: Range<usize>,
    pub intensity: Vec<f32>,
    /// In the order of the file's.
    pub beside: Vec<Vec<f32>>,
    pub signal: Option<Vec<f64>>,
    pub variance: Option<Vec<f64>>,
    /// The set of norms that was read last, with its number: most rows have the same.
    pub last_norms: Option<(u32, Arc<Norms>)>,
}

impl RowBlock {
    /// Where the bins of a row are in the arrays.
    pub(super) fn bins(&self, row: usize, npt: usize) -> Range<usize> {
        let first = (row - self.rows.start) * npt;
        first..first + npt
    }
}
