//! What a file is that somebody names without saying what it is.

use std::path::Path;

use super::calibration;
use super::configuration::HDF5_MAGIC;
use super::error::{Concern, OrAbout, SessionError};
use crate::files;
use crate::geometry::poni::Poni;
use crate::h5::File;
use crate::output::stack::StackInfo;
pub use crate::source::cbf::CbfHeader;
use crate::source::cbf::probe;
pub use crate::source::hdf5::BareMaster;
pub use crate::source::input::{Input, InputError};
use crate::source::selection::Selection;
use crate::source::series::SeriesFrames;

/// What a file is.
pub enum FileKind {
    /// A frame, and what its header says.
    Cbf(Box<CbfHeader>),
    /// A geometry.
    Poni(Box<Poni>),
    /// A result of ours or pyFAI's layout in ours.
    Result,
    /// A tomogram.
    Tomogram,
    /// A stack of `convert`.
    Stack,
    /// Images in a TIFF, EDF or npy, or in an HDF5 file of somebody else.
    Images(Box<Input>),
    /// A master whose images are all missing.
    BareMaster(Box<BareMaster>),
    /// An HDF5 file of somebody else without images, and why none are seen.
    OtherHdf5(InputError),
    /// None that is known.
    Unknown,
}

/// Tells a file's kind by its first bytes and what is in it.
///
/// # Errors
/// When it cannot be read, or is not whole.
pub fn kind(path: &Path) -> Result<FileKind, SessionError> {
    let cannot = || format!("{}: cannot be read", path.display());
    let start = files::start(path, 4096).or_about_in(Concern::Input, cannot())?;
    let is_cbf_name = [".cbf", ".cbf.gz", ".cbf.bz2"].iter().any(|e| path.to_string_lossy().ends_with(e));
    if start.starts_with(HDF5_MAGIC) {
        return hdf5(path);
    }
    if start.starts_with(b"###CBF") || is_cbf_name {
        return Ok(FileKind::Cbf(Box::new(probe(path).or_about(Concern::Input)?)));
    }
    if SeriesFrames::is_one(&[path.to_path_buf()]) {
        let images = Input::open(&[path.display().to_string()], Selection::default(), None)
            .or_about(Concern::Input)?;
        return Ok(FileKind::Images(Box::new(images)));
    }
    let has_poni_key = String::from_utf8_lossy(&start).lines().any(|line| {
        let key = line.split(':').next().unwrap_or("").trim().to_ascii_lowercase();
        ["distance", "poni1", "poni_version"].contains(&key.as_str())
    });
    match has_poni_key {
        true => {
            let mut poni = Poni::read(path).or_about(Concern::Calibration)?;
            calibration::describe(&mut poni)?;
            Ok(FileKind::Poni(Box::new(poni)))
        }
        false => Ok(FileKind::Unknown),
    }
}

fn hdf5(path: &Path) -> Result<FileKind, SessionError> {
    let cannot = || format!("{}: this HDF5 file cannot be opened", path.display());
    let file = File::open(path).or_about_in(Concern::Input, cannot())?;
    Ok(match () {
        () if file.link_exists("entry_0000/xrdct") => FileKind::Result,
        () if file.link_exists("entry_0000/tomo") => FileKind::Tomogram,
        () if StackInfo::is_one(&file) => FileKind::Stack,
        () => match Input::open(&[path.display().to_string()], Selection::default(), None) {
            Ok(images) => FileKind::Images(Box::new(images)),
            Err(why) => match BareMaster::open(path) {
                Some(master) => FileKind::BareMaster(Box::new(master)),
                None => FileKind::OtherHdf5(why),
            },
        },
    })
}
