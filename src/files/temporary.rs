//! Files and folders that must not outlive the program, unless they are kept on purpose.
//!
//! A [`Temporary`] removes what it stands for when it is dropped, which covers errors and panics. A process that is told to give
//! up at once drops nothing: so all of them are also in one list, and [`remove_all`] empties it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fs, io, mem};

/// What is to go, in this process.
static LIVING: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A file or a folder that goes when this is dropped.
#[derive(Debug)]
pub struct Temporary {
    path: PathBuf,
}

impl Temporary {
    /// Makes the file or folder with `make`, which must fail when there is something of that name already: only what this process
    /// made is ever removed.
    ///
    /// # Errors
    /// What `make` says.
    pub fn make<T>(path: &Path, make: impl FnOnce() -> io::Result<T>) -> io::Result<(Temporary, T)> {
        // Made and listed in one step, as `remove_all` sees it.
        let mut living = living();
        let made = make()?;
        living.push(path.to_path_buf());
        Ok((Temporary { path: path.to_path_buf() }, made))
    }

    /// Makes a folder in one that is there: of this name, or of one like it where that is taken.
    ///
    /// # Errors
    /// What the system says.
    pub fn folder_in(above: &Path, name: &str) -> io::Result<Temporary> {
        (1_u32..)
            .map(|number| above.join(if number == 1 { name.to_owned() } else { format!("{name}-{number}") }))
            .map(|path| Temporary::make(&path, || fs::create_dir(&path)))
            .find(|made| !made.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists))
            .unwrap_or_else(|| Err(io::ErrorKind::AlreadyExists.into()))
            .map(|(folder, ())| folder)
    }

    /// Of a file that this process has for itself alone, whoever made it.
    pub fn own(path: &Path) -> Temporary {
        living().push(path.to_path_buf());
        Temporary { path: path.to_path_buf() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// It has another name by now, or may stay.
    pub fn keep(self) {
        forget(&self.path);
        mem::forget(self);
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        remove(&self.path);
        forget(&self.path);
    }
}

/// Whether this process has a living temporary file of that name.
pub fn is_living(path: &Path) -> bool {
    living().iter().any(|other| other == path)
}

/// Removes every temporary file and folder of this process, which may then make no other: it is about to end.
pub fn remove_all() {
    let living = living();
    living.iter().for_each(|path| remove(path));
    // Never unlocked again: whoever is about to make one waits for the end.
    mem::forget(living);
}

fn living() -> MutexGuard<'static, Vec<PathBuf>> {
    LIVING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn forget(path: &Path) {
    living().retain(|other| other != path);
}

/// Nothing can be done if this fails; the name says what it is.
fn remove(path: &Path) {
    let is_folder = fs::symlink_metadata(path).is_ok_and(|there| there.is_dir());
    let _ = if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_goes_and_what_is_kept_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let file = |path: &Path| Temporary::make(path, || fs::File::create_new(path)).map(|(made, _)| made);
        let scratch = Temporary::make(&at("folder"), || fs::create_dir(at("folder"))).unwrap().0;
        fs::write(at("folder/inside"), "").unwrap();
        let (kept, dropped) = (file(&at("kept")).unwrap(), file(&at("dropped")).unwrap());
        assert!(is_living(&at("kept")) && is_living(&at("dropped")));
        assert!(file(&at("kept")).is_err(), "what is there is somebody's");
        kept.keep();
        drop((scratch, dropped));
        assert!(at("kept").exists() && !at("dropped").exists() && !at("folder").exists());
        assert!(!is_living(&at("kept")));
    }
}
