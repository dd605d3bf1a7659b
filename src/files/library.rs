//! How HDF5 files are opened: the very file that was looked at, by the library's own code alone, without a lock.
//!
//! The library opens by name. A name can be a FIFO, which would make it wait, and can become another file between a look and the
//! opening, so files are opened by [`super::open`] and the library is given the open descriptor's name in `/proc`, which no
//! renaming changes.
//!
//! The library also loads code when it is asked to: the environment can name a VOL connector or a file driver, and any file can
//! name a filter, that are then looked for in `HDF5_PLUGIN_PATH` and in a folder that was compiled in. None of it is wanted here:
//! [`disarm_environment`] takes the words out of the environment before the library wakes, and loading is switched off.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;

use hdf5::plist::DatasetAccess;
use hdf5::plist::file_access::{FileAccessBuilder, FileCloseDegree};
use hdf5::{Dataset, FileBuilder, OpenMode};
use hdf5_sys::h5d::H5Dopen2;
use hdf5_sys::h5f::{H5F_ACC_RDONLY, H5Fopen};
use hdf5_sys::h5p::{H5Pset, H5Pset_virtual_prefix};
use hdf5_sys::h5pl::H5PLset_loading_state;

use super::by_descriptor;

/// Variables that make the library load code, or open files by other means than its own.
const ARMING: [&str; 4] = ["HDF5_PLUGIN_PATH", "HDF5_VOL_CONNECTOR", "HDF5_DRIVER", "HDF5_DRIVER_CONFIG"];

/// Why a file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system does not give it, or it is no file.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is not what the library reads.
    #[error("it is not an HDF5 file, or it is damaged: {0}")]
    Hdf5(#[from] hdf5::Error),
}

/// Opens a file for reading.
///
/// # Errors
/// [`OpenError`], without the path.
pub fn open(path: &Path) -> Result<hdf5::File, OpenError> {
    Ok(look_into(&super::open(path)?)?)
}

/// Opens a file for reading although it ends before it says it does, or was not closed by its writer: what is missing is zero.
///
/// The library has the two settings for its own tool, `h5clear`.
///
/// # Errors
/// As [`open`].
pub fn open_unfinished(path: &Path) -> Result<hdf5::File, OpenError> {
    let file = super::open(path)?;
    let settings = builder()?.fapl().finish()?;
    let name =
        CString::new(by_descriptor(&file)).map_err(|_| hdf5::Error::from("a name with a zero in it"))?;
    let opened = {
        let _locked = hdf5_sys::LOCK.lock();
        let mut yes = true;
        let mut set = |name: &CStr| {
            // SAFETY: the library is locked, the list of settings lives, and both settings are C booleans, one byte each, which
            // are copied.
            hdf5::h5check(unsafe { H5Pset(settings.id(), name.as_ptr(), (&raw mut yes).cast()) })
        };
        set(c"skip_eof_check")?;
        set(c"clear_status_flags")?;
        // SAFETY: the library is locked, the name ends with a zero, the list of settings lives.
        hdf5::h5check(unsafe { H5Fopen(name.as_ptr(), H5F_ACC_RDONLY, settings.id()) })?
    };
    // SAFETY: the id was made here, is that of a file, and nobody else has it.
    Ok(unsafe { hdf5::from_id(opened) }?)
}

/// Opens a dataset. Files that a virtual one shows are looked for in `folder`, where its own file is: the library, which has that by a name
/// in `/proc`, would look in the working directory first.
///
/// # Errors
/// What the library says.
pub fn dataset(file: &hdf5::File, path: &str, folder: &Path) -> hdf5::Result<Dataset> {
    let settings = DatasetAccess::try_new()?;
    let no_zeros = |_| hdf5::Error::from("a name with a zero in it");
    let folder = CString::new(folder.as_os_str().as_bytes()).map_err(no_zeros)?;
    let path = CString::new(path).map_err(no_zeros)?;
    let opened = {
        let _locked = hdf5_sys::LOCK.lock();
        // SAFETY: the library is locked, the list of settings lives, the folder ends with a zero and is copied.
        hdf5::h5check(unsafe { H5Pset_virtual_prefix(settings.id(), folder.as_ptr()) })?;
        // SAFETY: the library is locked, file and settings live, the name ends with a zero.
        hdf5::h5check(unsafe { H5Dopen2(file.id(), path.as_ptr(), settings.id()) })?
    };
    // SAFETY: the id was made here, is that of a dataset, and nobody else has it.
    unsafe { hdf5::from_id(opened) }
}

/// Opens a file that is open already, for reading.
///
/// # Errors
/// What the library says.
pub fn look_into(file: &File) -> hdf5::Result<hdf5::File> {
    library_file(file, OpenMode::Read)
}

/// Opens a file that is open already, for the library to change it.
///
/// # Errors
/// What the library says.
pub fn open_to_change(file: &File) -> hdf5::Result<hdf5::File> {
    library_file(file, OpenMode::ReadWrite)
}

/// Makes an open file, empty until now, an HDF5 file.
///
/// # Errors
/// What the library says.
pub fn create_in(file: &File) -> hdf5::Result<hdf5::File> {
    library_file(file, OpenMode::Create)
}

/// As [`create_in`], for files whose bytes say nothing of when they were made: groups of the earliest format have no times.
///
/// # Errors
/// What the library says.
pub fn create_timeless(file: &File) -> hdf5::Result<hdf5::File> {
    create_with(file, FileAccessBuilder::libver_earliest)
}

/// As [`create_in`], with settings of its own for how the file is written.
///
/// # Errors
/// What the library says.
pub fn create_with(
    file: &File,
    adjust: impl FnOnce(&mut FileAccessBuilder) -> &mut FileAccessBuilder,
) -> hdf5::Result<hdf5::File> {
    let mut builder = builder()?;
    adjust(builder.fapl());
    builder.open_as(by_descriptor(file), OpenMode::Create)
}

fn library_file(file: &File, mode: OpenMode) -> hdf5::Result<hdf5::File> {
    builder()?.open_as(by_descriptor(file), mode)
}

/// Every object closes with its file, and no lock is taken, so that a viewer that looks at a running file stops neither us nor
/// itself.
fn builder() -> hdf5::Result<FileBuilder> {
    loads_no_code()?;
    let mut builder = FileBuilder::new();
    builder.fapl().sec2().fclose_degree(FileCloseDegree::Strong).file_locking(false);
    Ok(builder)
}

/// Takes what makes the library load code out of the environment, before anything else happens.
///
/// # Safety
/// No other thread may run: the environment belongs to all of them.
pub unsafe fn disarm_environment() {
    for name in ARMING {
        // SAFETY: the caller's promise.
        unsafe { std::env::remove_var(name) };
    }
    // The library's own word for "no code", read when it wakes: nothing can switch loading on again.
    // SAFETY: the caller's promise.
    unsafe { std::env::set_var("HDF5_PLUGIN_PRELOAD", "::") };
}

/// Switches loading off, once. Where the environment was not disarmed (a program that has this one inside), a variable that would
/// have the library load code as it wakes is an error: that cannot be switched off.
fn loads_no_code() -> hdf5::Result<()> {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    let switch_off = || {
        for name in ["HDF5_VOL_CONNECTOR", "HDF5_DRIVER"] {
            if std::env::var_os(name).is_some() {
                return Err(format!("{name} is set, and would have the HDF5 library load code: unset it"));
            }
        }
        // Wakes the library as the crate wants it woken.
        hdf5::library_version();
        let _locked = hdf5_sys::LOCK.lock();
        // SAFETY: the library is locked. In C the argument is a number, the kinds of code that may be loaded (the binding has a
        // pointer in its place, passed in the same register); 0 is none.
        match unsafe { H5PLset_loading_state(std::ptr::null_mut()) } {
            0.. => Ok(()),
            _ => Err("the HDF5 library does not let loading code be switched off".to_owned()),
        }
    };
    DONE.get_or_init(switch_off).clone().map_err(hdf5::Error::from)
}
