//! One file after the other, read by one child: a scan of thousands of files costs one start of a process.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::wire::Question;
use super::{Answers, Error, File, Line, Result};
use crate::files;

/// Opens one file after the other.
#[derive(Default)]
pub struct Opener {
    /// Who reads, while no file is open.
    idle: Option<Line>,
}

/// A file that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The file.
    pub file: File,
    /// Why it is not what its writer meant it to be: it ends too early, or was never closed.
    pub unfinished: Option<String>,
}

impl Opener {
    /// One whose files somebody else reads.
    pub fn answered_by(answers: Box<dyn Answers>) -> Opener {
        Opener { idle: Some(Line::Other(answers)) }
    }

    /// Opens a file, even one that ends too early or was never closed; what is missing of its description reads as zeros, which the
    /// library refuses, and places of values may lie beyond its end.
    ///
    /// # Errors
    /// When it is not an HDF5 file, or one that cannot be read.
    pub fn open(&mut self, path: &Path) -> Result<Opened> {
        // The better words are to be had here.
        files::open(path).map_err(|cause| Error::Unreadable(cause.to_string()))?;
        let mut line = self.idle.take().map_or_else(Line::new, Ok)?;
        let unfinished = match line.ask(&Question::open(path), &mut []) {
            Ok(_) => None,
            Err(Error::Said(first)) => match line.ask(&Question::open_unfinished(path), &mut []) {
                Ok(_) => Some(first),
                Err(_) => {
                    self.keep(line);
                    return Err(Error::Said(first));
                }
            },
            Err(other) => return Err(other),
        };
        Ok(Opened { file: File { line: Arc::new(Mutex::new(line)) }, unfinished })
    }

    /// Takes a file back that nobody needs any more, so that whoever read it reads the next.
    pub fn done(&mut self, file: File) {
        if let Some(line) = Arc::into_inner(file.line) {
            self.keep(line.into_inner().unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn keep(&mut self, line: Line) {
        self.idle = Some(line).filter(Line::is_alive);
    }
}
