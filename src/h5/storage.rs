//! How the values of a dataset are stored: enough to read them without the library.
//!
//! What is said here came from the library, out of a file that may be anything: a reader checks every place and size against the
//! file itself. What contradicts itself is an error here already.
use serde::{Deserialize, Serialize};

/// A plain number: an integer in all of its bits, or an IEEE float.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Numeric {
    /// What it is.
    pub class: NumberClass,
    /// Bytes of one: 1, 2, 4 or 8.
    pub size: u8,
    /// Whether the first byte is the most significant one.
    pub big_endian: bool,
}

/// What a plain number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum NumberClass {
    Unsigned,
    Signed,
    Float,
}

/// How the values of a dataset are stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {
    /// What they are, if they are plain numbers.
    pub number: Option<Numeric>,
    /// Where they are.
    pub layout: Arrangement,
    /// What each chunk went through when it was written, in that order.
    pub filters: Vec<FilterUse>,
    /// Whether chunks that reach beyond the dataset went through none.
    pub partial_unfiltered: bool,
}

/// Where the values of a dataset are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Arrangement {
    /// Inside the description of the dataset: only the library reads them.
    Compact,
    /// Together, from this byte of the file on; nowhere when none was written.
    Contiguous(Option<u64>),
    /// In chunks.
    Chunked {
        /// Size of a chunk along each dimension.
        chunk: Vec<usize>,
        /// How many there are in the file.
        written: usize,
    },
    /// In other datasets, each of which gives a part.
    Virtual(Vec<Mapping>),
    /// In other files that are no HDF5 files.
    Outside,
}

/// One filter that the chunks of a dataset went through.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FilterUse {
    /// Its registered number.
    pub id: i32,
    /// Its settings.
    pub values: Vec<u32>,
}

/// A part of a virtual dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// The file that has it, as it is written here: `.` is this one.
    pub file: String,
    /// The dataset in that file.
    pub dataset: String,
    /// Which part of the virtual dataset it is.
    pub here: Extract,
    /// Which part of the other dataset it is.
    pub there: Extract,
}

/// A part of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extract {
    /// Size of the dataset along each dimension.
    pub shape: Vec<u64>,
    /// Which part.
    pub part: Share,
}

/// Which part of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Share {
    /// All of it.
    All,
    /// Blocks at equal distances, along each dimension.
    Regular(Vec<Stride>),
    /// Blocks without an end: as many as there are.
    Endless,
    /// Points, or blocks at other distances.
    Irregular,
}

/// Blocks at equal distances along one dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stride {
    /// Where the first begins.
    pub start: u64,
    /// From the begin of one to the begin of the next.
    pub step: u64,
    /// How many.
    pub count: u64,
    /// Size of one.
    pub block: u64,
}

/// A chunk in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Which one, counted in C order over the grid of chunks.
    pub number: u64,
    /// Its first byte in the file.
    pub place: u64,
    /// How many bytes it has there.
    pub size: u64,
    /// Bit *i* is set when it did not go through filter *i*.
    pub skipped: u32,
}

/// Numbers that say one chunk on the wire.
pub(super) const WORDS: usize = 4;

impl Extract {
    /// Whether the part has as many dimensions as the dataset, and lies inside it as far as can be said without its real size.
    pub(super) fn fits(&self) -> bool {
        match &self.part {
            Share::Regular(strides) => {
                strides.len() == self.shape.len() && strides.iter().all(|stride| stride.end().is_some())
            }
            Share::All | Share::Endless | Share::Irregular => true,
        }
    }
}

impl Stride {
    /// Where the last block ends; `None` when no number says it, or blocks overlap.
    pub fn end(&self) -> Option<u64> {
        if self.count == 0 || self.block == 0 || (self.count > 1 && self.step < self.block) {
            return None;
        }
        (self.count - 1).checked_mul(self.step)?.checked_add(self.start)?.checked_add(self.block)
    }

    /// Which index the n-th one of those that lie in blocks is.
    pub fn index(&self, n: u64) -> u64 {
        self.start + n / self.block * self.step + n % self.block
    }

    /// How many lie in blocks.
    pub fn len(&self) -> u64 {
        self.count * self.block
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
