//! How the values of a dataset are stored: enough to read them without the library.
//!
//! What is said here came from the library, out of a file that may be anything: a reader checks every place and size against the
//! file itself. What contradicts itself is an error here already.
use serde::{Deserialize, Serialize};

use super::wire::{self, Question, Reply};
use super::{Dataset, Result};
use crate::budget;

/// A plain number: an integer in all of its bits, or an IEEE float.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NumberType {
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
    pub number: Option<NumberType>,
    /// Where they are.
    pub layout: Layout,
    /// What each chunk went through when it was written, in that order.
    pub filters: Vec<FilterUse>,
    /// Whether chunks that reach beyond the dataset went through none.
    pub partial_unfiltered: bool,
}

/// Where the values of a dataset are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
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
    pub here: Region,
    /// Which part of the other dataset it is.
    pub there: Region,
}

/// A part of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// Size of the dataset along each dimension.
    pub shape: Vec<u64>,
    /// Which part.
    pub part: Part,
}

/// Which part of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
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

impl Dataset {
    /// How its values are stored.
    ///
    /// # Errors
    /// What the library says, or when what it says makes no sense.
    pub fn storage(&self) -> Result<Storage> {
        let storage = match self.file.ask(&Question::Storage { path: self.path.clone() }, &mut [])? {
            Reply::Storage(storage) => storage,
            _ => return Err("nothing came about how a dataset is stored".into()),
        };
        let rank = self.facts.shape.len();
        let fits = match &storage.layout {
            Layout::Chunked { chunk, .. } => chunk.len() == rank && chunk.iter().all(|&size| size > 0),
            Layout::Virtual(mappings) => mappings.iter().all(|mapping| {
                mapping.here.shape.len() == rank && mapping.here.fits() && mapping.there.fits()
            }),
            Layout::Compact | Layout::Contiguous(_) | Layout::Outside => true,
        };
        let number = storage.number.is_none_or(|number| matches!(number.size, 1 | 2 | 4 | 8));
        match fits && number {
            true => Ok(storage),
            false => Err(format!("how `{}` is stored contradicts its shape", self.name).into()),
        }
    }

    /// Where its chunks are: as many as [`Layout::Chunked`] said, in no order.
    ///
    /// # Errors
    /// As [`Dataset::storage`]; when there are more than memory holds.
    pub fn chunks(&self, written: usize) -> Result<Vec<Chunk>> {
        budget::allow(
            format_args!("`{}`, {written} chunks,", self.name),
            budget::bytes_of(&[written, WORDS], size_of::<u64>()),
        )?;
        // No overflow: as many bytes are allowed.
        let mut words = vec![0_u64; written * WORDS];
        self.file.ask(&Question::Chunks { path: self.path.clone() }, wire::bytes_mut(&mut words))?;
        let (chunks, _) = words.as_chunks::<WORDS>();
        let chunk = |&[number, place, size, skipped]: &[u64; WORDS]| {
            Ok(Chunk {
                number,
                place,
                size,
                skipped: skipped.try_into().map_err(|_| "a mask of 33 filters")?,
            })
        };
        chunks.iter().map(chunk).collect()
    }
}

impl Region {
    /// Whether the part has as many dimensions as the dataset, and lies inside it as far as can be said without its real size.
    fn fits(&self) -> bool {
        match &self.part {
            Part::Regular(strides) => {
                strides.len() == self.shape.len() && strides.iter().all(|stride| stride.end().is_some())
            }
            Part::All | Part::Endless | Part::Irregular => true,
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
