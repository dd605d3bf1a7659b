//! A file whose writer was killed while the library made it shorter: the end is cut off already, and the header does not say so yet.
//!
//! The library cuts first and writes the new length then, and opens no file that is shorter than its header says. What it cut off are sets of norms that no row
//! names. So the file is made as long again as its header says, with zeros that take no room. A file that lost its end otherwise is no such file: one that is not a
//! result of a run that has not ended stays as it is. The rows of such a run are compared with their checksums, norms included, before any is taken over.

use std::path::{Path, PathBuf};

use super::info::{Progress, ResultInfo};
use super::length::cut_short;
use super::segment_names::folder_of_segments;
use crate::files;
use crate::output::OutputError;
use crate::output::draft::set_length;

/// Words that every result has near its beginning: what has not is not touched.
const OURS: [&[u8]; 2] = [b"entry_identifier_uuid", b"frame_status"];
/// How much of a file is looked through for them.
const BEGINNING: usize = 256 << 10;

/// Makes a result that is to be gone on with, and each of its segments, as long as it must be, when its run did not end.
///
/// # Errors
/// What the operating system says.
pub(super) fn mend(path: &Path) -> Result<(), OutputError> {
    let segments = folder_of_segments(path).and_then(|folder| folder.read_dir().ok());
    let segments = segments.into_iter().flatten().flatten().map(|entry| entry.path());
    let files: Vec<PathBuf> = segments.filter(|file| file.extension().is_some_and(|it| it == "h5")).collect();
    files.iter().map(PathBuf::as_path).chain([path]).try_for_each(mend_one)
}

fn mend_one(path: &Path) -> Result<(), OutputError> {
    let failed = |cause| OutputError::Io { path: path.into(), action: "mending its length", cause };
    let Ok(file) = files::open(path) else { return Ok(()) };
    let (Some(length), Ok(there)) = (cut_short(&file), file.metadata()) else { return Ok(()) };
    let beginning = files::start(path, BEGINNING).map_err(failed)?;
    let has = |word: &&[u8]| beginning.windows(word.len()).any(|bytes| bytes == *word);
    if !OURS.iter().all(has) {
        return Ok(());
    }
    set_length(path, length).map_err(failed)?;
    match ResultInfo::open(path) {
        Ok(info) if info.progress == Progress::Running => Ok(()),
        _ => set_length(path, there.len()).map_err(failed),
    }
}
