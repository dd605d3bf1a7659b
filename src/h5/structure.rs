//! What a file is made of, asked: where links lead, what is in groups, how datasets are stored.

use super::links::{Found, Member};
use super::storage::{Arrangement, Chunk, Storage, WORDS};
use super::wire::{self, Question, Reply};
use super::{Dataset, File, Group, Result};
use crate::budget;

impl File {
    /// Where a name leads, from link to link, as far as this file knows.
    ///
    /// # Errors
    /// When links go round in a circle, or what the library says.
    pub fn follow(&self, path: &str) -> Result<Found> {
        match self.ask(&Question::Follow { path: path.to_owned() }, &mut [])? {
            Reply::Found(found) => Ok(found),
            _ => Err("nothing came about a link".into()),
        }
    }
}

impl Group {
    /// What is in it, and what each is.
    ///
    /// # Errors
    /// What the library says.
    pub fn members(&self) -> Result<Vec<Member>> {
        match self.file.ask(&Question::Links { path: self.path.clone() }, &mut [])? {
            Reply::Links(members) => Ok(members),
            _ => Err("nothing came about a group".into()),
        }
    }
}

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
            Arrangement::Chunked { chunk, .. } => chunk.len() == rank && chunk.iter().all(|&size| size > 0),
            Arrangement::Virtual(mappings) => mappings.iter().all(|mapping| {
                mapping.here.shape.len() == rank && mapping.here.fits() && mapping.there.fits()
            }),
            Arrangement::Compact | Arrangement::Contiguous(_) | Arrangement::Outside => true,
        };
        let number = storage.number.is_none_or(|number| matches!(number.size, 1 | 2 | 4 | 8));
        match fits && number {
            true => Ok(storage),
            false => Err(format!("how `{}` is stored contradicts its shape", self.name).into()),
        }
    }

    /// Where its chunks are: as many as [`Arrangement::Chunked`] said, in no order.
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
