//! Everything that can go wrong while a file is written or read back, in words for the person at the terminal.
//!
//! Each message says which file, what happened and what to do about it. A full disk is told apart from other failures
//! because the remedy differs, and it is noticed at the start: the whole file is reserved before the first frame.
use std::io;
use std::path::{Path, PathBuf};

use crate::files::free_bytes;
use crate::h5;

/// Why an output file could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// There is already something at that path and nobody said that it may be replaced.
    #[error(
        "{path}: there is already a file of that name. Choose another name, or allow it to be replaced (--overwrite)"
    )]
    Exists {
        /// The file that is in the way.
        path: PathBuf,
    },
    /// The path names a folder, a device, a pipe: not something that a result may replace.
    #[error("{path}: this is not an ordinary file, so it is not replaced. Give the name of a file")]
    NotAFile {
        /// What is in the way.
        path: PathBuf,
    },
    /// Another run writes to it.
    #[error("{path}: another run writes to this file ({by}). Wait for it to end, or choose another name")]
    Locked {
        /// The file.
        path: PathBuf,
        /// Who, as far as is known.
        by: String,
    },
    /// The file that a run writes to is no longer where it was.
    #[error(
        "{path}: this file was deleted, renamed or replaced while the run wrote to it: what it has of the run is not under that name"
    )]
    Gone {
        /// Where it was.
        path: PathBuf,
    },
    /// The folder that the file would be in does not exist or may not be written.
    #[error(
        "{folder}: cannot create a file in this folder: {cause}. Create the folder or choose one that you may write"
    )]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// There is no room for the file: disk full, quota used up, or larger than the system lets a file be.
    #[error("{path}: no room to write: {needed} bytes are needed and {} ({cause}). Free some space or choose another disk", free_words(*.free))]
    Full {
        /// The file.
        path: PathBuf,
        /// Bytes that the file needs (the whole file at the start, the block that failed later).
        needed: u64,
        /// Bytes that are free for this user, when the system could tell.
        free: Option<u64>,
        /// What the operating system said.
        cause: io::Error,
    },
    /// Reading or writing failed for another reason.
    #[error("{path}: {action} failed: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// What the operating system said.
        cause: io::Error,
    },
    /// The HDF5 library refused.
    #[error("{path}: {action} failed: HDF5 says: {cause}")]
    Hdf5 {
        /// The file.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// What the library said.
        cause: hdf5::Error,
    },
    /// A file could not be read back.
    #[error("{path}: {action} failed: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// Why.
        cause: h5::Error,
    },
    /// The layout that was asked for contradicts itself.
    #[error("{path}: {problem}")]
    Layout {
        /// The file that was to be written.
        path: PathBuf,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A pattern or a frame that does not fit the file.
    #[error("{path}: frame {frame}: {problem}")]
    Misfit {
        /// The file.
        path: PathBuf,
        /// The frame's place in the scan, from 0.
        frame: usize,
        /// What does not fit.
        problem: String,
    },
    /// A segment of a complete result that is not to be had.
    #[error(
        "{path}: this segment of {master} {problem}: bring it back, or take it away and have it made again (xrdct integrate --resume)"
    )]
    NoSegment {
        /// The segment.
        path: PathBuf,
        /// The result that shows it.
        master: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A file that is opened as a result and is not one.
    #[error("{path}: this is not a result of xrdct: {problem}")]
    NotAResult {
        /// The file.
        path: PathBuf,
        /// What is missing or different.
        problem: String,
    },
}

fn free_words(free: Option<u64>) -> String {
    free.map_or_else(|| "the system does not say how many are free".into(), |n| format!("{n} are free"))
}

impl OutputError {
    /// Sorts an operating-system error: a full disk is [`OutputError::Full`], the rest [`OutputError::Io`].
    ///
    /// `needed` is how many bytes were to be written.
    pub fn from_io(path: &Path, action: &'static str, needed: u64, cause: io::Error) -> OutputError {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let path = path.to_path_buf();
        match cause.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => {
                let free = free_bytes(&path);
                OutputError::Full { path, needed, free, cause }
            }
            _ => OutputError::Io { path, action, cause },
        }
    }

    /// As [`OutputError::from_io`] for an error of the HDF5 library, whose words carry the system's error number.
    pub fn from_hdf5(path: &Path, action: &'static str, needed: u64, cause: hdf5::Error) -> OutputError {
        let words = cause.to_string();
        let number =
            words.split("errno = ").nth(1).and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
        match number.and_then(|digits| digits.parse().ok()) {
            Some(number) => OutputError::from_io(path, action, needed, io::Error::from_raw_os_error(number)),
            None => OutputError::Hdf5 { path: path.to_path_buf(), action, cause },
        }
    }
}
