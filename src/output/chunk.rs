//! Chunks that go into a dataset as they are, past the library's filters (`H5Dwrite_chunk`): whoever writes one has packed it
//! himself, as the dataset's filters say.

use std::ffi::{c_int, c_uint, c_void};

use hdf5::Dataset;
use hdf5::filters::Filter;
use hdf5_sys::h5d::H5Dwrite_chunk;
use hdf5_sys::h5p::H5P_DEFAULT;
use hdf5_sys::h5z::{H5Z_class2_t, H5Zregister};

/// Bitshuffle, as it is registered with the HDF Group.
const BITSHUFFLE: c_int = 32008;

/// Writes the chunk of a frame into a dataset of three dimensions whose chunks are one frame each.
///
/// # Errors
/// What the library says.
pub fn write(dataset: &Dataset, frame: usize, bytes: &[u8]) -> hdf5::Result<()> {
    let offset = [frame as u64, 0, 0];
    let _lock = hdf5_sys::LOCK.lock();
    // SAFETY: the library is locked; the dataset is open and has three dimensions and chunks of one frame, so `offset` names a
    // chunk; `bytes` is as long as said. The call reads these and keeps nothing.
    let code = unsafe {
        H5Dwrite_chunk(
            dataset.id(),
            H5P_DEFAULT,
            0,
            offset.as_ptr(),
            bytes.len(),
            bytes.as_ptr().cast::<c_void>(),
        )
    };
    hdf5::h5check(code).map(|_| ())
}

/// The filter that DECTRIS detectors name: bitshuffle with LZ4, of elements of `size` bytes in blocks of the usual length.
///
/// The library takes a filter only when it knows one of that number. It is told of one that packs nothing: chunks come packed.
///
/// # Errors
/// What the library says.
pub fn bitshuffle_lz4(size: usize) -> hdf5::Result<Filter> {
    // Version of the plugin, bytes of an element, usual blocks, LZ4: what DECTRIS detectors record.
    let parameters = [0, 3, size as c_uint, 0, 2];
    let class = H5Z_class2_t {
        version: 1,
        id: BITSHUFFLE,
        encoder_present: 1,
        decoder_present: 0,
        name: c"bitshuffle; see https://github.com/kiyo-masui/bitshuffle".as_ptr(),
        can_apply: None,
        set_local: None,
        filter: Some(packs_nothing),
    };
    // Wakes the library as the crate wants it woken.
    hdf5::library_version();
    let _lock = hdf5_sys::LOCK.lock();
    // SAFETY: the library is locked and copies the class; the name and the function live as long as the program.
    hdf5::h5check(unsafe { H5Zregister((&raw const class).cast()) })?;
    Ok(Filter::user(BITSHUFFLE, &parameters))
}

/// Zero is the library's word for a filter that failed.
unsafe extern "C" fn packs_nothing(
    _: c_uint,
    _: usize,
    _: *const c_uint,
    _: usize,
    _: *mut usize,
    _: *mut *mut c_void,
) -> usize {
    0
}
