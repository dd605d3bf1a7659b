//! The files of a scan while it is listed: one open at a time, names followed from file to file.
//!
//! Thousands of files are read by one child ([`Opener`]), which has one of them open. What is in another file is looked for as the
//! HDF5 library would: beside the file that names it, in the current folder, and beside the file that a symbolic link stands for; an
//! absolute name that is not there is looked for in the same places by its last part, because scans are copied with their masters.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::shown;
use crate::h5::links::{Found, Thing};
use crate::h5::{self, File, Opener};

/// Files that one name may lead through.
const MOST_FILES: usize = 16;

/// What is not there, or cannot be read.
#[derive(Debug, Clone)]
pub(super) struct NotThere {
    /// The file where it should be.
    pub file: PathBuf,
    /// Why it is not to be had: the end of a sentence that begins with the file.
    pub why: String,
}

impl NotThere {
    /// Both may be a file's words: they are made fit to be shown in a line.
    pub(super) fn new(file: &Path, why: impl ToString) -> NotThere {
        let file = match shown(&file.to_string_lossy(), &[]) {
            Cow::Owned(quiet) => quiet.into(),
            Cow::Borrowed(_) => file.to_path_buf(),
        };
        NotThere { file, why: shown(&why.to_string(), &[]).into_owned() }
    }
}

/// Where something was found.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    /// The file.
    pub file: Arc<Path>,
    /// Its name there, without links.
    pub path: String,
    /// What it is.
    pub what: Thing,
}

/// A file as the system knows it, whatever its name.
pub(super) type Identity = (u64, u64);

/// The files of a scan.
pub(super) struct Shelf {
    opener: Opener,
    open: Option<(PathBuf, File)>,
    /// Files that could not be opened, and why; looked at once.
    lost: HashMap<PathBuf, String>,
    /// What is to be told, in order, once each.
    notes: Vec<String>,
}

impl Shelf {
    /// An empty one.
    pub(super) fn new(opener: Opener) -> Shelf {
        Shelf { opener, open: None, lost: HashMap::new(), notes: Vec::new() }
    }

    /// Tells the user something, once.
    pub(super) fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// What is to be told.
    pub(super) fn into_notes(self) -> Vec<String> {
        self.notes
    }

    /// This file, open.
    pub(super) fn file(&mut self, path: &Path) -> Result<&File, NotThere> {
        let is_open = self.open.as_ref().is_some_and(|(open, _)| open == path);
        if !is_open {
            if let Some(why) = self.lost.get(path) {
                return Err(NotThere::new(path, why));
            }
            if let Some((_, file)) = self.open.take() {
                self.opener.done(file);
            }
            match self.opener.open(path) {
                Ok(opened) => {
                    if opened.unfinished.is_some() {
                        self.note(format!(
                            "{}: it ends too early, or was not closed by its writer: what is there is read",
                            path.display()
                        ));
                    }
                    self.open = Some((path.to_path_buf(), opened.file));
                }
                Err(cause) => {
                    let lost = NotThere::new(path, said(&cause));
                    self.lost.insert(path.to_path_buf(), lost.why.clone());
                    return Err(lost);
                }
            }
        }
        match &self.open {
            Some((_, file)) => Ok(file),
            None => Err(NotThere::new(path, "it is not open")),
        }
    }

    /// Asks a file; what it answers, or that it is lost.
    pub(super) fn ask<T>(
        &mut self,
        path: &Path,
        question: impl FnOnce(&File) -> h5::Result<T>,
    ) -> Result<T, NotThere> {
        let answer = question(self.file(path)?).map_err(|cause| NotThere::new(path, said(&cause)));
        if let Err(lost) = &answer
            && self.open.take_if(|(_, file)| !file.is_readable()).is_some()
        {
            // What did harm once is not asked again.
            self.lost.insert(path.to_path_buf(), lost.why.clone());
        }
        answer
    }

    /// Where a name leads, through as many files as it takes.
    pub(super) fn follow(&mut self, file: &Path, name: &str) -> Result<Spot, NotThere> {
        let (mut file, mut name) = (file.to_path_buf(), name.to_owned());
        for _ in 0..MOST_FILES {
            match self.ask(&file, |open| open.follow(&name))? {
                Found::Here { path, what } => return Ok(Spot { file: file.into(), path, what }),
                Found::Nothing { at } => {
                    return Err(NotThere::new(&file, format!("there is no `{at}` in it")));
                }
                Found::Elsewhere(outward) => {
                    let other = beside(&file, &outward.file());
                    if !other.exists() {
                        let why =
                            format!("it is not there; `{}` of {} links to it", outward.link, file.display());
                        return Err(NotThere::new(&other, why));
                    }
                    (file, name) = (other, outward.path);
                }
            }
        }
        Err(NotThere::new(&file, format!("links to `{name}` lead from file to file without an end")))
    }
}

/// What the library says, in the words of one who wants frames.
fn said(cause: &h5::Error) -> String {
    match cause {
        h5::Error::Unreadable(cause) => format!("cannot be read: {cause}"),
        other => other.to_string(),
    }
}

/// The file that `name` stands for in `file`; where it should be when there is none.
pub(super) fn beside(file: &Path, name: &Path) -> PathBuf {
    if name.is_absolute() && name.exists() {
        return name.to_path_buf();
    }
    let name = if name.is_absolute() { Path::new(name.file_name().unwrap_or_default()) } else { name };
    let folder = file.parent().unwrap_or(Path::new(""));
    let first = folder.join(name);
    let real = || fs::canonicalize(file).ok().and_then(|real| Some(real.parent()?.join(name)));
    if first.exists() {
        return first;
    }
    [Some(name.to_path_buf()), real()].into_iter().flatten().find(|path| path.exists()).unwrap_or(first)
}

/// What the system calls a file, and how long it is.
pub(super) fn identity(path: &Path) -> Result<(Identity, u64), NotThere> {
    let facts =
        fs::metadata(path).map_err(|cause| NotThere::new(path, format!("cannot be read: {cause}")))?;
    Ok(((facts.dev(), facts.ino()), facts.len()))
}
