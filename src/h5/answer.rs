//! The one place where foreign files meet the HDF5 library: a request in, numbers and a reply out.
//!
//! It runs in a child, or in this process where there is no program to be the child; either way a panic of the `hdf5` crate is
//! an error here.
mod links;
mod storage;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use hdf5::filters::Filter;
use hdf5::types::{FixedAscii, FixedUnicode, TypeDescriptor, VarLenAscii, VarLenUnicode};
use hdf5::{Container, Dataset, Hyperslab, Selection, SliceOrIndex};
use hdf5_sys::h5d::H5Dread;
use hdf5_sys::h5p::H5P_DEFAULT;
use ndarray::IxDyn;

use super::wire::{DatasetFacts, Element, Kind, Number, Question, Reply, bytes};
use super::{Error, Result};
use crate::budget;
use crate::files::{self, library};

/// Numbers are read and handed on in pieces of about this many bytes.
const PIECE: usize = 8 << 20;

/// Longest text of fixed length that is read.
const LONGEST_FIXED: usize = 4096;

/// Takes the next piece of numbers.
type Take<'a> = &'a mut dyn FnMut(&[u8]) -> Result<()>;

/// The library with, at most, one file open.
#[derive(Default)]
pub(super) struct Library {
    file: Option<hdf5::File>,
    /// Where it is.
    folder: PathBuf,
}

impl Library {
    /// Answers; numbers go to `take`, piece by piece.
    pub(super) fn answer(&mut self, request: &Question, take: Take<'_>) -> Result<Reply> {
        let answered = catch_unwind(AssertUnwindSafe(|| self.ask(request, take)));
        answered.unwrap_or_else(|_| Err(Error::Harmful("it made the reader of HDF5 fail".into())))
    }

    /// Answers; numbers must fill `numbers`.
    pub(super) fn answer_into(&mut self, request: &Question, numbers: &mut [u8]) -> Result<Reply> {
        let mut filled = 0;
        let reply = self.answer(request, &mut |piece| {
            let end = filled + piece.len();
            numbers.get_mut(filled..end).ok_or("more numbers than were asked for")?.copy_from_slice(piece);
            filled = end;
            Ok(())
        })?;
        match filled == numbers.len() {
            true => Ok(reply),
            false => Err("fewer numbers than were asked for".into()),
        }
    }

    fn ask(&mut self, request: &Question, take: Take<'_>) -> Result<Reply> {
        if let Question::Open { path, unfinished } = request {
            let path = Path::new(OsStr::from_bytes(path));
            self.file = None;
            let open = if *unfinished { library::open_unfinished } else { library::open };
            self.file = Some(open(path).map_err(|cause| Error::Said(cause.to_string()))?);
            let place = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
            self.folder = files::folder_of(&place).to_path_buf();
            return Ok(Reply::Done);
        }
        let file = self.file.as_ref().ok_or("no file is open")?;
        match request {
            Question::Open { .. } => Ok(Reply::Done),
            Question::Look { path } => look(file, path),
            Question::Follow { path } => Ok(Reply::Found(links::follow(file, path)?)),
            Question::Links { path } => Ok(Reply::Links(links::members(file, &group(file, path)?, path)?)),
            Question::Storage { path } => {
                Ok(Reply::Storage(storage::of(&file.dataset(path).map_err(said)?)?))
            }
            Question::Chunks { path } => {
                storage::chunks(&file.dataset(path).map_err(said)?, take)?;
                Ok(Reply::Done)
            }
            Question::Members { path } => Ok(Reply::Texts(group(file, path)?.member_names().map_err(said)?)),
            Question::Numbers { path, element, part } => {
                let dataset = library::dataset(file, path, &self.folder).map_err(said)?;
                match element {
                    Element::I8 => numbers::<i8>(&dataset, part, take),
                    Element::U8 => numbers::<u8>(&dataset, part, take),
                    Element::I16 => numbers::<i16>(&dataset, part, take),
                    Element::U16 => numbers::<u16>(&dataset, part, take),
                    Element::I32 => numbers::<i32>(&dataset, part, take),
                    Element::U32 => numbers::<u32>(&dataset, part, take),
                    Element::I64 => numbers::<i64>(&dataset, part, take),
                    Element::U64 => numbers::<u64>(&dataset, part, take),
                    Element::F32 => numbers::<f32>(&dataset, part, take),
                    Element::F64 => numbers::<f64>(&dataset, part, take),
                }?;
                Ok(Reply::Done)
            }
            Question::Texts { path } => {
                let dataset = library::dataset(file, path, &self.folder).map_err(said)?;
                Ok(Reply::Texts(texts(&dataset)?))
            }
            Question::AttributeTexts { path, name } => {
                let attribute = attribute(file, path, name)?;
                Ok(Reply::Texts(texts(&attribute)?))
            }
            Question::AttributeNumbers { path, name } => {
                let attribute = attribute(file, path, name)?;
                budget::allow(format_args!("attribute `{name}`"), budget::bytes_of(&attribute.shape(), 8))?;
                let values: Vec<f64> = attribute.read_raw().map_err(said)?;
                Ok(Reply::Numbers(values.into_iter().map(f64::to_bits).collect()))
            }
        }
    }
}

fn said(cause: hdf5::Error) -> Error {
    Error::Said(cause.to_string())
}

fn group(file: &hdf5::File, path: &str) -> Result<hdf5::Group> {
    match path.trim_matches('/').is_empty() {
        true => file.as_group().map_err(said),
        false => file.group(path).map_err(said),
    }
}

fn attribute(file: &hdf5::File, path: &str, name: &str) -> Result<hdf5::Attribute> {
    if let Ok(dataset) = file.dataset(path) {
        return dataset.attr(name).map_err(said);
    }
    group(file, path)?.attr(name).map_err(said)
}

fn look(file: &hdf5::File, path: &str) -> Result<Reply> {
    if let Ok(dataset) = file.dataset(path) {
        let stored = dataset.storage_size();
        let descriptor = dataset.dtype().map_err(said)?.to_descriptor();
        return Ok(Reply::Dataset(DatasetFacts {
            shape: dataset.get_shape().map_err(said)?,
            kind: kind(&dataset)?,
            type_name: descriptor.map_or_else(|_| "unknown".to_owned(), |descriptor| descriptor.to_string()),
            place: dataset.offset().map(|offset| (offset, stored)),
            stored,
            gzip: dataset.filters().into_iter().find_map(|filter| match filter {
                Filter::Deflate(level) => Some(level),
                _ => None,
            }),
        }));
    }
    Ok(if group(file, path).is_ok() { Reply::Group } else { Reply::Nothing })
}

fn kind(container: &Container) -> Result<Kind> {
    // A type that the crate has no words for is still a type.
    let descriptor = container.dtype().map_err(said)?.to_descriptor();
    Ok(match descriptor {
        Ok(TypeDescriptor::Boolean) => Kind::Boolean,
        Ok(TypeDescriptor::Integer(_) | TypeDescriptor::Unsigned(_)) => Kind::Integer,
        Ok(TypeDescriptor::Float(_)) => Kind::Float,
        Ok(
            TypeDescriptor::FixedAscii(_)
            | TypeDescriptor::FixedUnicode(_)
            | TypeDescriptor::VarLenAscii
            | TypeDescriptor::VarLenUnicode,
        ) => Kind::Text,
        Ok(other) => Kind::Other(other.to_string()),
        Err(cause) => Kind::Other(format!("values of an unknown type ({cause})")),
    })
}

/// Texts of any length, of any of HDF5's four kinds.
fn texts(container: &Container) -> Result<Vec<String>> {
    fn of<T: hdf5::H5Type + ToString>(container: &Container) -> Result<Vec<String>> {
        let bytes = budget::bytes_of(&container.get_shape().map_err(said)?, size_of::<T>());
        budget::allow("a list of texts", bytes)?;
        Ok(container.read_raw::<T>().map_err(said)?.iter().map(ToString::to_string).collect())
    }
    match container.dtype().and_then(|dtype| dtype.to_descriptor()).map_err(said)? {
        TypeDescriptor::FixedUnicode(_) => of::<FixedUnicode<LONGEST_FIXED>>(container),
        TypeDescriptor::FixedAscii(_) => of::<FixedAscii<LONGEST_FIXED>>(container),
        TypeDescriptor::VarLenAscii => of::<VarLenAscii>(container),
        _ => of::<VarLenUnicode>(container),
    }
}

/// Hands on the numbers of a part of a dataset, some rows at a time; a row is an index of the first dimension.
fn numbers<T: Number + hdf5::H5Type>(
    dataset: &Dataset,
    part: &[(usize, usize)],
    take: Take<'_>,
) -> Result<()> {
    let boolean = kind(dataset)? == Kind::Boolean;
    let mut hand_on = |selection: Selection, values: usize| match boolean {
        // Not as Rust's bool: a foreign file may hold other values than 0 and 1.
        true => {
            let stored = as_stored(dataset, selection, values)?;
            take(bytes(&stored.into_iter().map(|value| T::from(value != 0)).collect::<Vec<T>>()))
        }
        false => {
            let values = dataset.read_slice::<T, _, IxDyn>(selection).map_err(said)?;
            take(bytes(values.as_slice().ok_or("the library gave its numbers in another order")?))
        }
    };
    let Some((&(first, end), others)) = part.split_first() else {
        return hand_on(Selection::All, 1);
    };
    let in_row: usize = others.iter().map(|(first, end)| end.saturating_sub(*first)).product();
    let mut rows = (PIECE / (in_row * size_of::<T>()).max(1)).max(1);
    // A chunk is unpacked whole, so it is read whole.
    if let Some(chunk) = dataset.chunk().and_then(|chunk| chunk.first().copied()).filter(|&rows| rows > 0) {
        rows = rows.div_ceil(chunk).saturating_mul(chunk);
    }
    let mut start = first;
    while start < end && in_row > 0 {
        // Pieces begin where chunks do.
        let stop = (start / rows * rows).saturating_add(rows).min(end);
        let slab = [(start, stop)]
            .into_iter()
            .chain(others.iter().copied())
            .map(|(start, end)| SliceOrIndex::SliceTo { start, step: 1, end, block: 1 });
        hand_on(Hyperslab::from(slab.collect::<Vec<_>>()).into(), (stop - start) * in_row)?;
        start = stop;
    }
    Ok(())
}

/// Values of one byte each, as they are in the file.
fn as_stored(dataset: &Dataset, selection: Selection, values: usize) -> Result<Vec<u8>> {
    let (stored, space) = (dataset.dtype().map_err(said)?, dataset.space().map_err(said)?);
    let memory = hdf5::Dataspace::try_new([values]).map_err(said)?;
    let space = space.select(selection).map_err(said)?;
    if stored.size() != 1 || space.selection_size() != values {
        return Err("its booleans are not a byte each".into());
    }
    let mut read = vec![0_u8; values];
    let done = {
        let _lock = hdf5_sys::LOCK.lock();
        // SAFETY: the library is locked; the ids are those of live objects. As many values are selected in the file as there are in
        // `memory` and in `read`, each is one byte in the type of the file, which is also that of the memory.
        let code = unsafe {
            H5Dread(dataset.id(), stored.id(), memory.id(), space.id(), H5P_DEFAULT, read.as_mut_ptr().cast())
        };
        hdf5::h5check(code)
    };
    done.map_err(said)?;
    Ok(read)
}
