//! A file in the making: born under a temporary name, renamed into place when it is fit to be seen.
//!
//! The temporary name is in the same folder, so that the renaming is one step for everybody who looks. Until then an
//! existing file of the final name is untouched, and a [`Draft`] that is dropped takes its file with it. Whatever can
//! be known before the first byte is checked there, each with its own message: something in the way, a folder that
//! does not exist or may not be written, a disk without room.
//!
//! Room is reserved with `fallocate`, so that a disk that is too full is an error at the start and not after an hour.
//! File systems that cannot reserve (NFS 3, some parallel ones) are asked for their free space instead. A limit on the
//! size of files (`ulimit -f`) is compared first, so that it is not found in the middle.
//!
//! A draft is a new file (`O_EXCL`, `O_NOFOLLOW`): whatever stands under the temporary name, a link to something precious say, is
//! left alone and another name taken. Whoever fills the draft does so through [`Draft::file`], never by the name again. Only a
//! process that is killed leaves one behind; [`leftovers`] finds it.
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FallocateFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Resource, getrlimit, test_kill_process};

use super::OutputError;
use crate::files::temporary::{Temporary, is_living};
use crate::files::{folder_of, free_bytes};

/// Temporary names that one process tries for one file. More than one is taken where process numbers come again, as in containers.
const MOST_NAMES: usize = 100;

/// A file that does not have its final name yet; removed when dropped, unless it [may stay](Draft::let_stay).
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    temporary: PathBuf,
    /// Has it removed.
    goes: Option<Temporary>,
    file: File,
    overwrite: bool,
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
        let (temporary, file) = create(&path, &name.to_string_lossy())
            .map_err(|cause| OutputError::Folder { folder: folder_of(&path).to_path_buf(), cause })?;
        let draft =
            Draft { path, temporary: temporary.path().to_path_buf(), goes: Some(temporary), file, overwrite };
        check_room(&draft.path, needed)?;
        Ok(draft)
    }

    /// Goes on with a draft of `path` that an earlier run left under this temporary name, and that whoever holds the lock of `path` has for
    /// himself. It stays.
    ///
    /// # Errors
    /// [`OutputError::Io`] when it cannot be written, or is no file.
    pub fn adopt(path: &Path, temporary: &Path, overwrite: bool) -> Result<Draft, OutputError> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::open(temporary, flags, Mode::empty()).map_err(io::Error::from);
        let opened = opened.and_then(|file| {
            let file = File::from(file);
            match file.metadata()?.is_file() {
                true => Ok(file),
                false => Err(io::Error::other("it is not an ordinary file")),
            }
        });
        let action = "opening what an earlier run left";
        let file = opened.map_err(|cause| OutputError::Io { path: temporary.into(), action, cause })?;
        Ok(Draft { path: path.into(), temporary: temporary.into(), goes: None, file, overwrite })
    }

    /// From now on it stays under its temporary name, whatever ends the run: there is something in it to go on with.
    pub fn let_stay(&mut self) {
        if let Some(goes) = self.goes.take() {
            goes.keep();
        }
    }

    /// Whether it stays.
    pub fn stays(&self) -> bool {
        self.goes.is_none()
    }

    /// The name that it has until then.
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// The file itself, to read and write.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The name that it is going to have; a symbolic link is followed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reserves `bytes` bytes on the disk; the file is that long then.
    ///
    /// # Errors
    /// [`OutputError::Full`] when there is no room.
    pub fn reserve(&self, bytes: u64) -> Result<(), OutputError> {
        self.allocate(FallocateFlags::empty(), bytes)
    }

    /// As [`Draft::reserve`], for a file that grows into its room by itself: its length does not change.
    ///
    /// # Errors
    /// [`OutputError::Full`] when there is no room.
    pub fn reserve_beyond(&self, bytes: u64) -> Result<(), OutputError> {
        self.allocate(FallocateFlags::KEEP_SIZE, bytes)
    }

    fn allocate(&self, flags: FallocateFlags, bytes: u64) -> Result<(), OutputError> {
        match rustix::fs::fallocate(&self.file, flags, 0, bytes) {
            Ok(()) => Ok(()),
            // This file system cannot: the free space has to do.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => check_room(&self.path, bytes),
            Err(cause) => Err(OutputError::from_io(&self.path, "reserving disk space", bytes, cause.into())),
        }
    }

    /// As [`Draft::publish`]; what had that name until now is kept beside it ([`kept_old`]), unless something is kept there already.
    ///
    /// # Errors
    /// As [`Draft::publish`].
    pub fn publish_beside_old(self) -> Result<(PathBuf, File), OutputError> {
        let (path, old) = (&self.path, kept_old(&self.path));
        // What is kept is whole; what has the name then is what a run left that did not end.
        if self.overwrite && path.exists() && !old.exists() {
            // Where the file system has no links there is no file of that name for a moment.
            let kept = fs::hard_link(path, &old).or_else(|_| fs::rename(path, &old));
            let action = "keeping the file that is replaced";
            kept.map_err(|cause| OutputError::Io { path: path.clone(), action, cause })?;
        }
        self.publish()
    }

    /// Gives the file its final name, which is returned with the file. Without `overwrite` it never replaces a file, not even one
    /// that came meanwhile.
    ///
    /// # Errors
    /// [`OutputError::Exists`], or what the operating system says.
    pub fn publish(self) -> Result<(PathBuf, File), OutputError> {
        let Draft { path, temporary, goes, file, overwrite } = self;
        let done =
            if overwrite { fs::rename(&temporary, &path) } else { rename_to_new_name(&temporary, &path) };
        match done {
            Ok(()) => {
                if let Some(goes) = goes {
                    goes.keep();
                }
                Ok((path, file))
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(OutputError::Exists { path }),
            Err(cause) => Err(OutputError::Io { path, action: "giving the file its name", cause }),
        }
    }
}

/// Where a file is kept whose place another one takes, until that is complete: `.NAME.old`. A name of our own, for what is kept under it is
/// removed in the end: `NAME.old` may be somebody's backup.
pub fn kept_old(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.old"))
}

/// What is still kept of a file that another one replaces: nothing once that is complete.
pub(super) fn settle_old(path: &Path, is_complete: bool) -> Option<PathBuf> {
    let old = kept_old(path);
    match is_complete {
        _ if !old.exists() => None,
        true => fs::remove_file(&old).err().map(|_| old),
        false => Some(old),
    }
}

/// Writes a file that is there whole or not at all.
///
/// # Errors
/// As [`Draft::begin`] and [`Draft::publish`].
pub fn write_whole(path: &Path, bytes: &[u8], overwrite: bool) -> Result<(), OutputError> {
    let draft = Draft::begin(path, overwrite, bytes.len() as u64)?;
    let written = draft.file().write_all(bytes);
    written.map_err(|e| OutputError::from_io(draft.path(), "writing the file", bytes.len() as u64, e))?;
    draft.publish().map(|_| ())
}

/// What runs left of a file that is to be `path`, which were killed: the processes that began them are gone.
pub fn leftovers(path: &Path) -> Vec<PathBuf> {
    let path = follow_link(path);
    let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else { return vec![] };
    leftovers_in(folder_of(&path), |other| other == name)
}

/// All drafts of a file, for whoever holds its lock: no process is at work on any of them, on whichever computer it was.
pub(super) fn drafts(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    found_in(folder_of(path), |other, _, _| other == name)
}

/// As [`leftovers`], for all files of a folder whose final names are wanted.
pub fn leftovers_in(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    found_in(folder, |name, process, path| wanted(name) && !is_at_work(process, path))
}

/// Drafts in a folder, by final name, process and path.
fn found_in(folder: &Path, wanted: impl Fn(&str, u32, &Path) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_left = |path: &PathBuf| {
        let parts = path.file_name().and_then(|name| parts(name.to_str()?));
        parts.is_some_and(|(name, process)| wanted(name, process, path))
    };
    let mut left: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_left).collect();
    left.sort();
    left
}

/// `.NAME.PROCESS.part`, or `.NAME.PROCESS-N.part`.
fn parts(temporary: &str) -> Option<(&str, u32)> {
    let (name, process) = temporary.strip_prefix('.')?.strip_suffix(".part")?.rsplit_once('.')?;
    let process = process.split_once('-').map_or(process, |(process, _)| process);
    Some((name, process.parse().ok()?))
}

/// Whether that process may still be writing the file.
fn is_at_work(process: u32, path: &Path) -> bool {
    if process == std::process::id() {
        return is_living(path);
    }
    let number = i32::try_from(process).ok().and_then(Pid::from_raw);
    number.is_some_and(|number| test_kill_process(number) != Err(Errno::SRCH))
}

/// A new file beside the final name.
fn create(path: &Path, name: &str) -> io::Result<(Temporary, File)> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let process = std::process::id();
    let mut taken = io::Error::from(io::ErrorKind::AlreadyExists);
    for number in 1..=MOST_NAMES {
        let ending = if number == 1 { String::new() } else { format!("-{number}") };
        let temporary = path.with_file_name(format!(".{name}.{process}{ending}.part"));
        let open = || Ok(File::from(rustix::fs::open(&temporary, flags, Mode::from_raw_mode(0o666))?));
        match Temporary::make(&temporary, open) {
            Err(there) if there.kind() == io::ErrorKind::AlreadyExists => taken = there,
            made => return made,
        }
    }
    Err(taken)
}

fn rename_to_new_name(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // This file system cannot: a hard link does not replace either.
        Err(Errno::INVAL | Errno::NOSYS) => fs::hard_link(from, to).and_then(|()| fs::remove_file(from)),
        other => other.map_err(io::Error::from),
    }
}

/// The file that a symbolic link stands for, so that a link in the results folder stays a link.
pub(super) fn follow_link(path: &Path) -> PathBuf {
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_symlink() => fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf()),
        _ => path.to_path_buf(),
    }
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

/// Makes a file of ours longer, with zeros that take no room, or shorter.
///
/// # Errors
/// What the operating system says.
pub fn set_length(path: &Path, length: u64) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    File::from(rustix::fs::open(path, flags, Mode::empty())?).set_len(length)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_trap_under_the_temporary_name_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("precious"), "precious").unwrap();
        let trap = format!(".out.h5.{}.part", std::process::id());
        symlink("precious", at(&trap)).unwrap();
        let draft = Draft::begin(&at("out.h5"), false, 0).unwrap();
        draft.file().write_all(b"new").unwrap();
        draft.publish().unwrap();
        assert_eq!(fs::read(at("precious")).unwrap(), b"precious");
        assert_eq!(fs::read(at("out.h5")).unwrap(), b"new");
        assert_eq!(names(folder.path()), [trap.as_str(), "out.h5", "precious"]);
    }

    #[test]
    fn what_killed_runs_left_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        let dead = gone.id();
        gone.wait().unwrap();
        let own = std::process::id();
        let left =
            [format!(".o.h5.{dead}.part"), format!(".o.h5.{dead}-2.part"), format!(".o.h5.{own}.part")];
        for name in &left {
            fs::write(folder.path().join(name), "").unwrap();
        }
        // A process that lives, another file's, and names that are not ours.
        for name in
            [".o.h5.1.part", &format!(".p.h5.{dead}.part"), ".o.h5.part", "o.h5.5.part", ".o.h5.x.part"]
        {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let draft = Draft::begin(&folder.path().join("o.h5"), false, 0).unwrap();
        let mut expected: Vec<PathBuf> = left.iter().map(|name| folder.path().join(name)).collect();
        expected.sort();
        assert_eq!(leftovers(&folder.path().join("o.h5")), expected);
        drop(draft);
        assert_eq!(names(folder.path()).len(), 8, "nothing of others was deleted");
    }
}
