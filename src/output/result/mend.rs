//! A file whose writer was killed while the library made it shorter: the end is cut off already, and the header does not say so yet.
//!
//! The library cuts first and writes the new length then, and opens no file that is shorter than its header says. Nothing is lost: what was cut
//! off are sets of norms that no row names. So the file is made as long again as its header says, with zeros that take no room.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::segment_names::folder_of_segments;
use crate::files;
use crate::output::OutputError;
use crate::output::draft::lengthen;

/// How an HDF5 file begins.
const SIGNATURE: &[u8; 8] = b"\x89HDF\r\n\x1a\n";
/// A header (superblock) of version 2 or 3: signature, version, sizes of addresses and lengths, flags, four addresses, checksum.
const HEADER: usize = 48;
/// Where in it the length of the file stands. HDF5 File Format Specification 3.0, II.A.
const LENGTH: std::ops::Range<usize> = 28..36;

/// How long a file's header says that it is, when the file is shorter.
pub(super) fn cut_short(file: &File) -> Option<u64> {
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, 0).ok()?;
    let is_ours = header.starts_with(SIGNATURE) && matches!(header[8], 2 | 3) && header[9] == 8;
    let length = u64::from_le_bytes(header[LENGTH].try_into().ok()?);
    let has = file.metadata().ok()?.len();
    (is_ours && has < length).then_some(length)
}

/// Makes a result that is to be gone on with, and each of its segments, as long as it must be.
///
/// # Errors
/// What the operating system says.
pub(super) fn mend(path: &Path) -> Result<(), OutputError> {
    let segments = folder_of_segments(path).and_then(|folder| folder.read_dir().ok());
    let segments = segments.into_iter().flatten().flatten().map(|entry| entry.path());
    let files: Vec<PathBuf> = segments.filter(|file| file.extension().is_some_and(|it| it == "h5")).collect();
    for file in files.iter().map(PathBuf::as_path).chain([path]) {
        let Some(length) = files::open(file).ok().as_ref().and_then(cut_short) else { continue };
        lengthen(file, length).map_err(|cause| OutputError::Io {
            path: file.into(),
            action: "mending its length",
            cause,
        })?;
    }
    Ok(())
}
