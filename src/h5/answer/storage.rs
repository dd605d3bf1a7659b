//! Asks the library how values are stored.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

use hdf5::Dataset;
use hdf5_sys::h5d::{H5D_layout_t, H5Dchunk_iter, H5Dget_create_plist, H5Dget_offset, H5Dget_type};
use hdf5_sys::h5i::hid_t;
use hdf5_sys::h5p::{
    H5P_DEFAULT, H5Pclose, H5Pget_chunk, H5Pget_chunk_opts, H5Pget_external_count, H5Pget_filter2,
    H5Pget_layout, H5Pget_nfilters, H5Pget_virtual_count, H5Pget_virtual_dsetname, H5Pget_virtual_filename,
    H5Pget_virtual_srcspace, H5Pget_virtual_vspace,
};
use hdf5_sys::h5s::{
    H5S_UNLIMITED, H5S_sel_type, H5Sclose, H5Sget_regular_hyperslab, H5Sget_select_type,
    H5Sget_simple_extent_dims, H5Sget_simple_extent_ndims, H5Sis_regular_hyperslab,
};
use hdf5_sys::h5t::{
    H5T_IEEE_F32BE, H5T_IEEE_F32LE, H5T_IEEE_F64BE, H5T_IEEE_F64LE, H5T_STD_I8BE, H5T_STD_I8LE,
    H5T_STD_I16BE, H5T_STD_I16LE, H5T_STD_I32BE, H5T_STD_I32LE, H5T_STD_I64BE, H5T_STD_I64LE, H5T_STD_U8BE,
    H5T_STD_U8LE, H5T_STD_U16BE, H5T_STD_U16LE, H5T_STD_U32BE, H5T_STD_U32LE, H5T_STD_U64BE, H5T_STD_U64LE,
    H5Tclose, H5Tequal,
};

use super::{PIECE, Take, said};
use crate::h5::storage::{
    Arrangement, Extract, FilterUse, Mapping, NumberClass, Numeric, Share, Storage, Stride, WORDS,
};
use crate::h5::{Result, wire};

/// `H5D_CHUNK_DONT_FILTER_PARTIAL_CHUNKS`.
const PARTIAL_UNFILTERED: c_uint = 2;

/// Most dimensions that the library knows.
const RANK: usize = 32;

/// Most settings of a filter.
const SETTINGS: usize = 64;

/// Longest name of a file or dataset that a part of a virtual dataset is in.
const LONGEST: usize = 4096;

/// Closes what was opened.
struct Open(hid_t, unsafe extern "C" fn(hid_t) -> c_int);

impl Drop for Open {
    fn drop(&mut self) {
        let _lock = hdf5_sys::LOCK.lock();
        // SAFETY: the library is locked, the id was opened here and is closed once, with its own kind's function.
        unsafe { (self.1)(self.0) };
    }
}

/// The types of numbers: class, bytes, little and big end first.
fn types() -> [(NumberClass, u8, hid_t, hid_t); 10] {
    use NumberClass::{Float, Signed, Unsigned};
    [
        (Unsigned, 1, *H5T_STD_U8LE, *H5T_STD_U8BE),
        (Unsigned, 2, *H5T_STD_U16LE, *H5T_STD_U16BE),
        (Unsigned, 4, *H5T_STD_U32LE, *H5T_STD_U32BE),
        (Unsigned, 8, *H5T_STD_U64LE, *H5T_STD_U64BE),
        (Signed, 1, *H5T_STD_I8LE, *H5T_STD_I8BE),
        (Signed, 2, *H5T_STD_I16LE, *H5T_STD_I16BE),
        (Signed, 4, *H5T_STD_I32LE, *H5T_STD_I32BE),
        (Signed, 8, *H5T_STD_I64LE, *H5T_STD_I64BE),
        (Float, 4, *H5T_IEEE_F32LE, *H5T_IEEE_F32BE),
        (Float, 8, *H5T_IEEE_F64LE, *H5T_IEEE_F64BE),
    ]
}

/// What the values are, if they are plain numbers in all of their bits.
pub(super) fn number(dataset: &Dataset) -> Result<Option<Numeric>> {
    let _lock = hdf5_sys::LOCK.lock();
    // SAFETY: the library is locked and the dataset is open.
    let stored = Open(hdf5::h5check(unsafe { H5Dget_type(dataset.id()) }).map_err(said)?, H5Tclose);
    // SAFETY: as above, for two types.
    let is = |other: hid_t| unsafe { H5Tequal(stored.0, other) } > 0;
    let order = |&(class, size, little, big): &(NumberClass, u8, hid_t, hid_t)| {
        // One byte has no order: what is the same either way is little.
        let big_endian = if is(little) {
            false
        } else if is(big) {
            size > 1
        } else {
            return None;
        };
        Some(Numeric { class, size, big_endian })
    };
    Ok(types().iter().find_map(order))
}

/// How the values of a dataset are stored.
pub(super) fn of(dataset: &Dataset) -> Result<Storage> {
    let number = number(dataset)?;
    let _lock = hdf5_sys::LOCK.lock();
    // SAFETY: the library is locked and the dataset is open.
    let list = hdf5::h5check(unsafe { H5Dget_create_plist(dataset.id()) }).map_err(said)?;
    let list = Open(list, H5Pclose);
    // SAFETY: the library is locked; `list` is an open list of a dataset's properties in these calls and those below.
    let (layout, outside) = unsafe { (H5Pget_layout(list.0), H5Pget_external_count(list.0)) };
    let layout = match layout {
        _ if outside > 0 => Arrangement::Outside,
        H5D_layout_t::H5D_COMPACT => Arrangement::Compact,
        H5D_layout_t::H5D_CONTIGUOUS => {
            // SAFETY: the library is locked and the dataset is open.
            let place = unsafe { H5Dget_offset(dataset.id()) };
            Arrangement::Contiguous((place != u64::MAX).then_some(place))
        }
        H5D_layout_t::H5D_CHUNKED => {
            let chunk = chunk_shape(list.0)?;
            let written = records(dataset, &chunk)?.len() / WORDS;
            Arrangement::Chunked { chunk: chunk.into_iter().map(|size| size as usize).collect(), written }
        }
        H5D_layout_t::H5D_VIRTUAL => Arrangement::Virtual(mappings(list.0)?),
        _ => return Err("its values are stored in a way that is not known".into()),
    };
    let mut options = 0;
    // SAFETY: as above; only a chunked dataset has options, and others leave them as they are.
    let asked = unsafe { H5Pget_chunk_opts(list.0, &raw mut options) };
    let partial_unfiltered = asked >= 0 && options & PARTIAL_UNFILTERED != 0;
    Ok(Storage { number, layout, filters: filters(list.0)?, partial_unfiltered })
}

fn chunk_shape(list: hid_t) -> Result<Vec<u64>> {
    let mut sizes = [0_u64; RANK];
    // SAFETY: the library is locked by whoever calls; there is room for every dimension that the library knows.
    let rank =
        hdf5::h5check(unsafe { H5Pget_chunk(list, RANK as c_int, sizes.as_mut_ptr()) }).map_err(said)?;
    Ok(sizes[..(rank as usize).min(RANK)].to_vec())
}

fn filters(list: hid_t) -> Result<Vec<FilterUse>> {
    // SAFETY: as in `chunk_shape`.
    let count = unsafe { H5Pget_nfilters(list) };
    let filter = |number: c_int| {
        let mut values = [0 as c_uint; SETTINGS];
        let (mut flags, mut count, mut config) = (0, SETTINGS, 0);
        // SAFETY: as above; `count` is the room for settings, and no name is asked for.
        let id = unsafe {
            H5Pget_filter2(
                list,
                number as c_uint,
                &raw mut flags,
                &raw mut count,
                values.as_mut_ptr(),
                0,
                std::ptr::null_mut::<c_char>(),
                &raw mut config,
            )
        };
        let id = hdf5::h5check(id).map_err(said)?;
        Ok(FilterUse { id, values: values[..count.min(SETTINGS)].to_vec() })
    };
    (0..count.clamp(0, 32)).map(filter).collect()
}

fn mappings(list: hid_t) -> Result<Vec<Mapping>> {
    let mut count = 0;
    // SAFETY: as in `chunk_shape`, here and in what is called below.
    hdf5::h5check(unsafe { H5Pget_virtual_count(list, &raw mut count) }).map_err(said)?;
    let mapping = |number| {
        let (here, there) = unsafe {
            // SAFETY: as above.
            (H5Pget_virtual_vspace(list, number), H5Pget_virtual_srcspace(list, number))
        };
        Ok(Mapping {
            file: name(|text, size| {
                // SAFETY: as above, with room for `size` bytes.
                unsafe { H5Pget_virtual_filename(list, number, text, size) }
            })?,
            dataset: name(|text, size| {
                // SAFETY: as above, with room for `size` bytes.
                unsafe { H5Pget_virtual_dsetname(list, number, text, size) }
            })?,
            here: region(Open(hdf5::h5check(here).map_err(said)?, H5Sclose))?,
            there: region(Open(hdf5::h5check(there).map_err(said)?, H5Sclose))?,
        })
    };
    (0..count).map(mapping).collect()
}

fn name(get: impl Fn(*mut c_char, usize) -> isize) -> Result<String> {
    let mut text = vec![0_u8; LONGEST + 1];
    match get(text.as_mut_ptr().cast(), LONGEST) {
        length if length < 0 => Err("a part of it has no name".into()),
        length if length as usize >= LONGEST => Err("a part of it has a name that is too long".into()),
        _ => Ok(CStr::from_bytes_until_nul(&text).unwrap_or_default().to_string_lossy().into_owned()),
    }
}

fn region(space: Open) -> Result<Extract> {
    let mut sizes = [0_u64; RANK];
    // SAFETY: the library is locked by whoever calls, the space is open, and there is room for every dimension.
    let (rank, kind) = unsafe {
        (
            H5Sget_simple_extent_ndims(space.0).min(H5Sget_simple_extent_dims(
                space.0,
                sizes.as_mut_ptr(),
                std::ptr::null_mut(),
            )),
            H5Sget_select_type(space.0),
        )
    };
    let rank = usize::try_from(rank).map_err(|_| "a part of it has no shape")?.min(RANK);
    let shape = sizes[..rank].to_vec();
    let part = match kind {
        H5S_sel_type::H5S_SEL_ALL => Share::All,
        // SAFETY: as above.
        H5S_sel_type::H5S_SEL_HYPERSLABS if unsafe { H5Sis_regular_hyperslab(space.0) } > 0 => {
            let [mut start, mut step, mut count, mut block] = [[0_u64; RANK]; 4];
            // SAFETY: as above.
            let code = unsafe {
                H5Sget_regular_hyperslab(
                    space.0,
                    start.as_mut_ptr(),
                    step.as_mut_ptr(),
                    count.as_mut_ptr(),
                    block.as_mut_ptr(),
                )
            };
            hdf5::h5check(code).map_err(said)?;
            let stride =
                |i: usize| Stride { start: start[i], step: step[i], count: count[i], block: block[i] };
            match (0..rank).any(|i| count[i] == H5S_UNLIMITED || block[i] == H5S_UNLIMITED) {
                true => Share::Endless,
                false => Share::Regular((0..rank).map(stride).collect()),
            }
        }
        _ => Share::Irregular,
    };
    Ok(Extract { shape, part })
}

/// Hands on [`WORDS`] numbers for each chunk that is in the file.
pub(super) fn chunks(dataset: &Dataset, take: Take<'_>) -> Result<()> {
    let chunk = {
        let _lock = hdf5_sys::LOCK.lock();
        // SAFETY: the library is locked and the dataset is open.
        let list = hdf5::h5check(unsafe { H5Dget_create_plist(dataset.id()) }).map_err(said)?;
        chunk_shape(Open(list, H5Pclose).0)?
    };
    records(dataset, &chunk)?.chunks(PIECE / size_of::<u64>()).try_for_each(|piece| take(wire::bytes(piece)))
}

/// What is gathered, chunk by chunk.
struct Gathered<'a> {
    chunk: &'a [u64],
    /// Chunks along each dimension.
    grid: Vec<u64>,
    records: Vec<u64>,
}

fn records(dataset: &Dataset, chunk: &[u64]) -> Result<Vec<u64>> {
    let shape = dataset.get_shape().map_err(said)?;
    if chunk.len() != shape.len() || chunk.contains(&0) {
        return Err("its chunks do not have its dimensions".into());
    }
    let grid = shape.iter().zip(chunk).map(|(&size, chunk)| (size as u64).div_ceil(*chunk)).collect();
    let mut gathered = Gathered { chunk, grid, records: Vec::new() };
    let _lock = hdf5_sys::LOCK.lock();
    // SAFETY: the library is locked and the dataset is open; `gather` is given the one `Gathered`, which outlives the call.
    let code = unsafe {
        H5Dchunk_iter(dataset.id(), H5P_DEFAULT, Some(gather), (&raw mut gathered).cast::<c_void>())
    };
    hdf5::h5check(code).map_err(said)?;
    Ok(gathered.records)
}

/// Called by the library for each chunk.
unsafe extern "C" fn gather(
    at: *const u64,
    skipped: c_uint,
    place: u64,
    size: u64,
    gathered: *mut c_void,
) -> c_int {
    // SAFETY: it is what `records` handed in, and nobody else has it now.
    let gathered = unsafe { &mut *gathered.cast::<Gathered<'_>>() };
    // SAFETY: the library gives one number a dimension.
    let at = unsafe { std::slice::from_raw_parts(at, gathered.chunk.len()) };
    if size == 0 || place == u64::MAX {
        return 0;
    }
    let mut places = at.iter().zip(gathered.chunk).map(|(at, chunk)| at / chunk).zip(&gathered.grid);
    let number = places.try_fold(0_u64, |number, (place, &size)| {
        // One outside of the grid is left from a time when the dataset was larger.
        Some(number).filter(|_| place < size)?.checked_mul(size)?.checked_add(place)
    });
    if let Some(number) = number {
        gathered.records.extend([number, place, size, u64::from(skipped)]);
    }
    0
}
