//! A file in the making: born under a temporary name, renamed into place when it is fit to be seen.
//!
//! The temporary name is in the same folder, so that the renaming is one step for everybody who looks. Until then an
//! existing file of the final name is untouched, and a [`Draft`] that is dropped takes its file with it. Whatever can
//! be known before the first byte is checked there, each with its own message: something in the way, a folder that
//! does not exist or may not be written, a disk without room.
//!
//! Room is reserved with `fallocate`, so that a disk that is too full is an error at the start and not after an hour.
//! File systems that cannot reserve (NFS 3, some parallel ones) are asked for their free space instead. A limit on the
//! size of files (`ulimit -f`) is compared first: the kernel's own answer to exceeding it is to kill the process.
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FallocateFlags, RenameFlags};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::OutputError;

/// A file that does not have its final name yet; removed when dropped.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    temporary: PathBuf,
    overwrite: bool,
    published: bool,
}

impl Draft {
    /// Claims a temporary name for a file that is to be `path`, and creates it, empty.
    ///
    /// `needed` is how many bytes it is going to have, at least.
    ///
    /// # Errors
    /// [`OutputError::Exists`], [`OutputError::NotAFile`], [`OutputError::Folder`], [`OutputError::Full`].
    pub fn begin(path: &Path, overwrite: bool, needed: u64) -> Result<Draft, OutputError> {
        let path = follow_link(path);
        match fs::metadata(&path) {
            Ok(there) if !there.is_file() => return Err(OutputError::NotAFile { path }),
            Ok(_) if !overwrite => return Err(OutputError::Exists { path }),
            _ => {}
        }
        let name = path.file_name().ok_or_else(|| OutputError::NotAFile { path: path.clone() })?;
        let temporary =
            path.with_file_name(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
        let created = OpenOptions::new().write(true).create(true).truncate(true).open(&temporary);
        if let Err(cause) = created {
            let folder = folder_of(&path).to_path_buf();
            return Err(OutputError::Folder { folder, cause });
        }
        let draft = Draft { path, temporary, overwrite, published: false };
        check_room(&draft.path, needed)?;
        Ok(draft)
    }

    /// The name that it has now.
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// The name that it is going to have; a symbolic link is followed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reserves `bytes` bytes on the disk for `file`, which is this draft, opened; it is that long then.
    ///
    /// # Errors
    /// [`OutputError::Full`] when there is no room.
    pub fn reserve(&self, file: &File, bytes: u64) -> Result<(), OutputError> {
        self.allocate(file, FallocateFlags::empty(), bytes)
    }

    /// As [`Draft::reserve`], for a file that grows into its room by itself: its length does not change.
    ///
    /// # Errors
    /// [`OutputError::Full`] when there is no room.
    pub fn reserve_beyond(&self, file: &File, bytes: u64) -> Result<(), OutputError> {
        self.allocate(file, FallocateFlags::KEEP_SIZE, bytes)
    }

    fn allocate(&self, file: &File, flags: FallocateFlags, bytes: u64) -> Result<(), OutputError> {
        match rustix::fs::fallocate(file, flags, 0, bytes) {
            Ok(()) => Ok(()),
            // This file system cannot: the free space has to do.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => check_room(&self.path, bytes),
            Err(cause) => Err(OutputError::from_io(&self.path, "reserving disk space", bytes, cause.into())),
        }
    }

    /// Gives the file its final name. Without `overwrite` it never replaces a file, not even one that came meanwhile.
    ///
    /// # Errors
    /// [`OutputError::Exists`], or what the operating system says.
    pub fn publish(mut self) -> Result<PathBuf, OutputError> {
        let done = if self.overwrite {
            fs::rename(&self.temporary, &self.path)
        } else {
            rename_to_new_name(&self.temporary, &self.path)
        };
        match done {
            Ok(()) => {
                self.published = true;
                Ok(self.path.clone())
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                Err(OutputError::Exists { path: self.path.clone() })
            }
            Err(cause) => {
                Err(OutputError::Io { path: self.path.clone(), action: "giving the file its name", cause })
            }
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published {
            // Nothing can be done if this fails; the name begins with a dot and ends in .part.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

fn rename_to_new_name(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // This file system cannot: a hard link does not replace either.
        Err(Errno::INVAL | Errno::NOSYS) => fs::hard_link(from, to).and_then(|()| fs::remove_file(from)),
        other => other.map_err(io::Error::from),
    }
}

/// The file that a symbolic link stands for, so that a link in the results folder stays a link.
fn follow_link(path: &Path) -> PathBuf {
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_symlink() => fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf()),
        _ => path.to_path_buf(),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// Bytes that this user may still write to the disk that holds `path`; `None` when the system does not say.
pub fn free_bytes(path: &Path) -> Option<u64> {
    rustix::fs::statvfs(folder_of(path)).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn check_room(path: &Path, needed: u64) -> Result<(), OutputError> {
    let limit = getrlimit(Resource::Fsize).current;
    if let Some(limit) = limit.filter(|&limit| limit < needed) {
        let cause = io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("files may be at most {limit} bytes here, see `ulimit -f`"),
        );
        return Err(OutputError::Full { path: path.into(), needed, free: free_bytes(path), cause });
    }
    match free_bytes(path) {
        Some(free) if free < needed => {
            let cause = io::ErrorKind::StorageFull.into();
            Err(OutputError::Full { path: path.into(), needed, free: Some(free), cause })
        }
        _ => Ok(()),
    }
}
