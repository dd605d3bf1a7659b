//! The sparse matrix: for each bin, which pixels and how much of each.
//!
//! Compressed rows, as scipy's `csr_matrix` and pyFAI have them: row `b` is `indices[indptr[b]..indptr[b + 1]]` with the
//! weights at the same places. Pixels ascend within a row. Pixels that are masked or lie outside the ranges are in no
//! row at all.

/// A sparse matrix of bins × pixels.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Csr {
    /// Number of columns: the pixels of an image.
    pub pixels: usize,
    /// Where each row begins; one more value than there are bins.
    pub indptr: Vec<u32>,
    /// Pixel of each entry.
    pub indices: Vec<u32>,
    /// Share of that pixel that belongs to the bin.
    pub weights: Vec<f32>,
}

impl Csr {
    /// Number of rows.
    pub fn bins(&self) -> usize {
        self.indptr.len().saturating_sub(1)
    }

    /// Number of entries.
    pub fn entries(&self) -> usize {
        self.indices.len()
    }

    /// Pixels and weights of one bin.
    pub fn row(&self, bin: usize) -> (&[u32], &[f32]) {
        let entries = self.indptr[bin] as usize..self.indptr[bin + 1] as usize;
        (&self.indices[entries.clone()], &self.weights[entries])
    }

    /// Bytes that the matrix takes in memory.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.indptr[..]) + size_of_val(&self.indices[..]) + size_of_val(&self.weights[..])
    }
}
