//! One run writes to an output, and no other: the lock beside it.
//!
//! The lock is on a file of its own, `.NAME.lock`, never on the result: HDF5 locks what it reads, so viewers and runs would be in each
//! other's way. It is the system's (`flock`), and so ends with the process, however that ends; it holds between nodes where the file
//! system carries it (NFS, GPFS, Lustre mounted with `flock`). Where the file system has no locks, [`Lock::note`] says so. The file says
//! who holds the lock, and goes with it; one that a killed run left is in nobody's way.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

use super::OutputError;
use super::draft::follow_link;
use super::nexus;
use crate::files::temporary::Temporary;
use crate::files::{folder_of, shown};

/// How often the lock's file may be another one once it is locked: its holder has just gone and taken it along.
const MOST_TRIES: usize = 100;
/// What is read of the words of whoever holds a lock.
const MOST_WORDS: u64 = 256;

/// Held until dropped.
#[derive(Debug)]
pub struct Lock {
    output: PathBuf,
    // Removed while it is still locked: who opens it from then on finds another file, or none.
    _path: Temporary,
    _file: File,
    note: Option<String>,
}

impl Lock {
    /// Takes the lock of a file that is to be written; a symbolic link is followed.
    ///
    /// # Errors
    /// [`OutputError::Locked`] when another run has it, [`OutputError::NotAFile`], [`OutputError::Folder`].
    pub fn take(output: &Path) -> Result<Lock, OutputError> {
        let output = follow_link(output);
        let name = output.file_name().ok_or_else(|| OutputError::NotAFile { path: output.clone() })?;
        let path = output.with_file_name(format!(".{}.lock", name.to_string_lossy()));
        let refused = |cause: Errno| OutputError::Folder {
            folder: folder_of(&output).to_path_buf(),
            cause: cause.into(),
        };
        for _ in 0..MOST_TRIES {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
            let open = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o666));
            let file = open.map(File::from).map_err(refused)?;
            let note = match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => None,
                Err(Errno::WOULDBLOCK) => return Err(OutputError::Locked { by: words(file), path: output }),
                Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOLCK | Errno::INVAL) => Some(format!(
                    "{}: this file system has no locks: a second run on the same output would not be noticed",
                    output.display()
                )),
                Err(cause) => return Err(refused(cause)),
            };
            // Whoever held it may have removed the file between the opening and the locking.
            if is_at(&file, &path) {
                say_who(&file);
                return Ok(Lock { output, _path: Temporary::own(&path), _file: file, note });
            }
        }
        Err(OutputError::Locked { path: output, by: "other runs, one after the other".into() })
    }

    /// The file that is to be written.
    pub fn output(&self) -> &Path {
        &self.output
    }

    /// That there are no locks here.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }
}

/// Whether an open file still has this name.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    let place = |there: fs::Metadata| (there.dev(), there.ino());
    let (open, there) = (file.metadata().map(place), fs::metadata(path).map(place));
    open.is_ok_and(|open| there.is_ok_and(|there| open == there))
}

/// Who holds a lock, as the lock's file says.
fn words(file: File) -> String {
    let mut said = Vec::new();
    let _ = file.take(MOST_WORDS).read_to_end(&mut said);
    let said = String::from_utf8_lossy(&said);
    match said.trim() {
        "" => "another run".to_owned(),
        said => shown(said, &[]).into_owned(),
    }
}

fn say_who(mut file: &File) {
    let node = rustix::system::uname();
    let node = node.nodename().to_string_lossy();
    let who = format!("process {} on {node}, since {}\n", std::process::id(), nexus::now());
    // For people only: the lock holds without it.
    let _ = file.set_len(0).and_then(|()| file.write_all(who.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_it_and_the_next_is_told_who() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("scan.h5");
        let lock = Lock::take(&output).unwrap();
        assert_eq!((lock.output(), lock.note()), (output.as_path(), None));
        let refused = Lock::take(&output).unwrap_err().to_string();
        let own = format!("process {}", std::process::id());
        assert!(refused.contains("scan.h5") && refused.contains(&own), "{refused}");
        drop(lock);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "the file goes with the lock");
        drop(Lock::take(&output).unwrap());
    }

    #[test]
    fn what_a_killed_run_left_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".scan.h5.lock"), "process 1 on a node that is gone\n").unwrap();
        let lock = Lock::take(&folder.path().join("scan.h5")).unwrap();
        let said = fs::read_to_string(folder.path().join(".scan.h5.lock")).unwrap();
        assert!(said.contains(&std::process::id().to_string()), "{said}");
        drop(lock);
    }

    #[test]
    fn a_link_and_its_file_have_one_lock() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("scan.h5"), folder.path().join("latest.h5"));
        fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink("scan.h5", &link).unwrap();
        let _lock = Lock::take(&link).unwrap();
        assert!(matches!(Lock::take(&file), Err(OutputError::Locked { .. })));
    }

    #[test]
    fn many_at_once_never_hold_it_together() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("scan.h5");
        let (holders, times) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let Ok(lock) = Lock::take(&output) else { continue };
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                        times.fetch_add(1, Ordering::SeqCst);
                        holders.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert!(times.into_inner() > 0);
        drop(Lock::take(&output).unwrap());
    }
}
