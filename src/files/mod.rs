//! Opening what a user named, and cleaning up what is not to stay.
//!
//! A name may stand for anything: a FIFO that nobody writes to makes `open` wait for ever, a device answers as it likes, a
//! folder gives an odd error much later. So everything that a user can name is opened by [`open`]: without waiting
//! (`O_NONBLOCK`), and then what *was opened* is asked what it is. Asking the path first would leave a gap in which it can
//! become something else. `tests/layering/homes.rs` sees to it that nobody opens files another way.
//!
//! [`library`] is how the HDF5 library is made to open the same files, and [`temporary`] has files and folders that must be gone when the program ends, however it ends.
pub mod library;
pub mod temporary;

use std::borrow::Cow;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Text that may come from a file or a name, fit to be shown: control characters but those of `kept` are written out.
pub fn shown<'a>(text: &'a str, kept: &[char]) -> Cow<'a, str> {
    let is_loud = |c: char| c.is_control() && !kept.contains(&c);
    if !text.contains(is_loud) {
        return Cow::Borrowed(text);
    }
    let mut quiet = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match is_loud(c) {
            true => quiet.extend(c.escape_default()),
            false => quiet.push(c),
        }
    }
    Cow::Owned(quiet)
}

/// The folder that a file is in, or would be.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// Bytes that this user may still write to the disk that holds `path`; `None` when the system does not say.
pub fn free_bytes(path: &Path) -> Option<u64> {
    rustix::fs::statvfs(folder_of(path)).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Has the disk itself keep what a folder says of its files, where the file system does that.
///
/// # Errors
/// What the system says.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        Err(cannot) if cannot.kind() == io::ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}

/// What is at a name, links followed, without opening it.
///
/// # Errors
/// What the system says.
pub fn metadata(path: &Path) -> io::Result<Metadata> {
    std::fs::metadata(path)
}

/// Opens a file for reading, or says at once why there is none.
///
/// # Errors
/// What the system says; [`io::ErrorKind::InvalidInput`] with a sentence for anything but a file.
pub fn open(path: &Path) -> io::Result<File> {
    open_as(path, OFlags::RDONLY)
}

/// Opens a file that is there for reading and writing.
///
/// # Errors
/// As [`open`].
pub fn open_to_change(path: &Path) -> io::Result<File> {
    open_as(path, OFlags::RDWR)
}

fn open_as(path: &Path, access: OFlags) -> io::Result<File> {
    let flags = access | OFlags::CLOEXEC | OFlags::NOCTTY;
    let open = |path: &Path, flags| rustix::fs::open(path, flags, Mode::empty()).map(File::from);
    let file = match open(path, flags | OFlags::NONBLOCK) {
        Ok(file) => file,
        // Not to be had without waiting: a file that has to come back from a tape, or that a file server has lent out.
        // A descriptor that is only a place (O_PATH) says what it is; opening the file through it is no second look at the name.
        Err(Errno::AGAIN) => {
            let place = open(path, OFlags::PATH | OFlags::CLOEXEC)?;
            refuse_others(&place.metadata()?)?;
            return Ok(open(Path::new(&by_descriptor(&place)), flags)?);
        }
        // What the system says of a socket, and of a folder that is to be written: the name is only asked for better words.
        Err(refusal @ (Errno::NXIO | Errno::ISDIR)) => {
            std::fs::metadata(path).and_then(|there| refuse_others(&there))?;
            return Err(refusal.into());
        }
        Err(other) => return Err(other.into()),
    };
    refuse_others(&file.metadata()?)?;
    // From here on reads may wait, as those of any file do.
    rustix::fs::fcntl_setfl(&file, access)?;
    Ok(file)
}

/// A name for an open file that no renaming changes, for libraries that insist on opening by name.
pub fn by_descriptor(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// Reads a whole file of at most `most` bytes.
///
/// # Errors
/// As [`open`]; [`io::ErrorKind::FileTooLarge`] for a longer one.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let sentence = format!("it is longer than the {most} bytes that are read of such a file");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, sentence));
    }
    Ok(bytes)
}

/// Reads a whole text of at most `most` bytes.
///
/// # Errors
/// As [`read`]; [`io::ErrorKind::InvalidData`] for what is not UTF-8.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(read(path, most)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not a text (UTF-8)"))
}

/// Reads the first `count` bytes of a file, or as many as it has.
///
/// # Errors
/// As [`open`].
pub fn start(path: &Path, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(count as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Refuses what is not a file, in a sentence.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`].
pub fn refuse_others(what: &Metadata) -> io::Result<()> {
    let kind = what.file_type();
    let problem = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "it is a folder, and a file is wanted"
    } else if kind.is_fifo() {
        "it is a pipe (a FIFO, or the shell's <(...)), and a file is wanted: write it to a file first"
    } else if kind.is_socket() {
        "it is a socket, and a file is wanted"
    } else {
        "it is a device, and a file is wanted"
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixListener;

    use rustix::fs::{CWD, FileType, mknodat};

    use super::*;

    #[test]
    fn only_files_are_opened_and_nothing_waits() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "12345").unwrap();
        fs::create_dir(at("folder")).unwrap();
        mknodat(CWD, at("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let _listening = UnixListener::bind(at("socket")).unwrap();
        std::os::unix::fs::symlink("fifo", at("link")).unwrap();

        assert_eq!(read(&at("file"), 5).unwrap(), b"12345");
        assert_eq!(read(&at("file"), 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(start(&at("file"), 3).unwrap(), b"123");
        let others = [("folder", "a folder"), ("fifo", "a pipe"), ("socket", "a socket"), ("link", "a pipe")];
        for (name, word) in others {
            for open in [open, open_to_change] {
                let refusal = open(&at(name)).unwrap_err();
                assert!(refusal.to_string().contains(word), "{name}: {refusal}");
            }
        }
        assert!(open(Path::new("/dev/null")).unwrap_err().to_string().contains("a device"));
        assert_eq!(open(&at("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_descriptor_is_a_name_that_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (folder.path().join("file"), folder.path().join("elsewhere"));
        fs::write(&path, "this").unwrap();
        let file = open(&path).unwrap();
        fs::rename(&path, elsewhere).unwrap();
        fs::write(&path, "that").unwrap();
        assert_eq!(read(Path::new(&by_descriptor(&file)), 10).unwrap(), b"this");
    }
}
