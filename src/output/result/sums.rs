//! The float64 sums behind the patterns, when they are asked for: patterns can be merged and normalised again with them.
//!
//! ```text
//! sums                 NXcollection
//!   signal             f64 (rows, npt)    S = Σ c·(raw − dark)
//!   variance           f64 (rows, npt)    V = Σ c²·var, with an error model
//!   norms              (sets, npt)        fields normalization N, normalization_squared N₂, count C: f64 each
//!   norms_of           u32 (rows)         which set a row has; set 0 is all zeros: no frame, or a bad one
//! ```
//! Norms depend on which pixels are valid, not on what they counted, so most scans have one set of them: each set is
//! written once, in the order in which they come. How many there will be is not known before the last frame. So `norms` is
//! the last thing in the file, has an address for a set of every row's own from the start, and no disk space yet; when the
//! run ends it is cut behind its last set, and the file becomes as short as it can. A file whose writer was killed keeps the
//! long table: sets that no row names are zeros, and most file systems store none of them.
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use hdf5::plist::dataset_create::{AllocTime, FillTime};
use hdf5::{Group, H5Type, Result};

use super::layout::Layout;
use super::plain::bytes;
use crate::frame::Norms;
use crate::h5;
use crate::h5::storage::Arrangement;
use crate::output::nexus;

/// Most chunks of the table: each costs the HDF5 library some 100 bytes of index and a microsecond.
const MOST_CHUNKS: usize = 4096;
/// What the library's index takes of the file for each of them, rounded up.
const INDEX_BYTES: u64 = 256;
/// What the descriptions of all groups and datasets take, at most.
const DESCRIPTION_BYTES: u64 = 16 << 10;
/// Sets that are compared with a new row's. Frames of a detector mostly have one, or all different ones.
const REMEMBERED: usize = 8;

/// N, N₂ and C of one bin, as they stand in the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, H5Type)]
#[repr(C)]
struct NormsOfBin {
    normalization: f64,
    normalization_squared: f64,
    count: f64,
}

/// Where the sums go.
#[derive(Debug, Clone)]
pub(super) struct SumPlaces {
    /// f64 (rows, npt)
    pub signal: u64,
    /// f64 (rows, npt)
    pub variance: Option<u64>,
    /// u32 (rows)
    pub norms_of: u64,
    /// Each chunk of the table.
    norms: Arc<[u64]>,
    sets_of_chunk: usize,
}

impl SumPlaces {
    /// Reserves the table; `signal`, `variance` and `norms_of` are reserved already. Nothing may be added to the file after it.
    pub(super) fn reserve(
        sums: &Group,
        layout: &Layout,
        signal: u64,
        variance: Option<u64>,
        norms_of: u64,
    ) -> Result<SumPlaces> {
        let sets_of_chunk = sets_of_chunk(layout);
        let sets = layout.stored_rows() + 1;
        let table = sums
            .new_dataset::<NormsOfBin>()
            .chunk([sets_of_chunk, layout.npt()])
            .alloc_time(Some(AllocTime::Early))
            .fill_time(FillTime::Never)
            .shape([sets, layout.npt()])
            .create("norms")?;
        nexus::attribute(
            &table,
            "long_name",
            "Sums of c·norm, of (c·norm)² and of c, for each set of valid pixels",
        )?;
        let mut norms = vec![0; sets.div_ceil(sets_of_chunk)];
        table.chunks_visit(|chunk| {
            norms[chunk.offset[0] as usize / sets_of_chunk] = chunk.addr;
            0
        })?;
        match norms.contains(&0) {
            true => Err("the table of norms has no place in the file".into()),
            false => Ok(SumPlaces { signal, variance, norms_of, norms: norms.into(), sets_of_chunk }),
        }
    }

    /// Where the table begins: nothing but it comes from here on.
    pub(super) fn table(&self) -> u64 {
        self.norms.iter().copied().min().unwrap_or(u64::MAX)
    }
}

/// Sets in a chunk of the table: one, unless that makes too many chunks.
fn sets_of_chunk(layout: &Layout) -> usize {
    (layout.stored_rows() + 1).div_ceil(MOST_CHUNKS)
}

/// Bytes that the library needs for its own index of the table, and for what it says of everything else. They are claimed in one piece,
/// before the table.
pub(super) fn index_bytes(layout: &Layout) -> u64 {
    let chunks = (layout.stored_rows() + 1).div_ceil(sets_of_chunk(layout)) as u64;
    (chunks * INDEX_BYTES).next_power_of_two() + DESCRIPTION_BYTES
}

/// Which sets of norms are in the file.
#[derive(Debug, Default)]
pub(super) struct NormsTable {
    /// Sets written, the zeros not counted.
    written: u32,
    /// The last ones, newest first.
    recent: VecDeque<(Arc<Norms>, u32)>,
}

impl NormsTable {
    /// Sets in the file, the zeros counted.
    pub(super) fn sets(&self) -> usize {
        self.written as usize + 1
    }

    /// The number of the set that equals `norms`; a new one is written.
    pub(super) fn number_of(
        &mut self,
        norms: &Arc<Norms>,
        file: &File,
        places: &SumPlaces,
    ) -> io::Result<u32> {
        let same = |(known, _): &&(Arc<Norms>, u32)| Arc::ptr_eq(known, norms);
        let equal = |(known, _): &&(Arc<Norms>, u32)| **known == **norms;
        if let Some((_, number)) = self.recent.iter().find(same).or_else(|| self.recent.iter().find(equal)) {
            return Ok(*number);
        }
        let number = self.written + 1;
        let values = norms.normalization.iter().zip(&norms.normalization_squared).zip(&norms.count);
        let bins: Vec<f64> = values.flat_map(|((n, n2), count)| [*n, *n2, *count]).collect();
        let (chunk, at) = (number as usize / places.sets_of_chunk, number as usize % places.sets_of_chunk);
        file.write_all_at(bytes(&bins), places.norms[chunk] + (at * size_of_val(&bins[..])) as u64)?;
        self.written = number;
        self.recent.truncate(REMEMBERED - 1);
        self.recent.push_front((Arc::clone(norms), number));
        Ok(number)
    }
}

/// Where each set of norms of a file lies, of which there are at most so many; a set that has no place is at 0.
pub(super) fn places_of_sets(table: &h5::Dataset, npt: usize, most: usize) -> h5::Result<Vec<u64>> {
    let storage = table.storage()?;
    if !storage.filters.is_empty() {
        return Err("is packed: somebody wrote the file anew".into());
    }
    let Arrangement::Chunked { chunk, written } = storage.layout else {
        return Err("is not in chunks".into());
    };
    let [many, bins] = chunk[..] else { return Err("has not two dimensions".into()) };
    if bins != npt || table.shape().get(1) != Some(&npt) {
        return Err("has another number of bins".into());
    }
    let count = table.shape()[0];
    if count > most {
        return Err("has more sets than there are rows".into());
    }
    let mut places = vec![0; count];
    for chunk in table.chunks(written)? {
        let first = (chunk.number as usize).saturating_mul(many);
        for (at, place) in places.iter_mut().skip(first).take(many).enumerate() {
            *place = chunk.place.saturating_add((at * 3 * npt * size_of::<f64>()) as u64);
        }
    }
    Ok(places)
}
