//! Configurations: what a run was, in pyFAI's JSON, so that pyFAI and this program read each other's.
//!
//! * [`read`] takes worker configurations (versions 1 to 5) and those of pyFAI-diffmap as pyFAI writes them, results of either
//!   program, and our own. What pyFAI has no word for is in the object `xrdct`; everything else is said once, in pyFAI's
//!   keys, so that a file that was edited cannot contradict itself.
//! * [`to_worker`] and [`for_file`] write them.
//!
//! A setting that would change numbers and that this program cannot follow is refused; a key that nobody knows is
//! named in a warning. Reference: `pyFAI/io/integration_config.py`, `pyFAI/io/diffmap_config.py` and `pyFAI/worker.py` of
//! 2026.9.0. Nothing here prints or knows the command line.

mod diffmap;
mod file;
mod geometry;
mod merge;
mod method;
mod names;
mod own;
mod url;
mod values;
mod worker;
mod write;

use std::io;
use std::path::{Path, PathBuf};

use super::options::Options;
use crate::geometry::poni::PoniError;
use values::Keys;

pub use file::{HDF5_MAGIC, LONGEST_SETTINGS, object};
pub use merge::over;
pub use names::{is_pattern, made_absolute};
pub use own::of_whole;
pub use values::Fault;
pub use write::{for_file, worker as to_worker};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// It is something else.
    #[error("{}: not a configuration: {problem}", path.display())]
    NotAConfiguration {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// One setting is wrong, or cannot be followed.
    #[error("{}: {fault}", path.display())]
    Setting {
        /// The file.
        path: PathBuf,
        /// Which, and why.
        fault: Fault,
    },
    /// The geometry in it cannot be used.
    #[error(transparent)]
    Geometry(PoniError),
}

/// The settings of an earlier run, or of pyFAI.
#[derive(Debug, Clone)]
pub struct Earlier {
    /// As if they had been typed.
    pub options: Options,
    /// What the user should know, one line each.
    pub warnings: Vec<String>,
}

/// Reads a configuration: a JSON file or an HDF5 result. A geometry in it is left alone when `typed` names a PONI file.
///
/// # Errors
/// [`ConfigError`], with the file, the key and what would be right.
pub fn read(path: &Path, typed: &Options) -> Result<Earlier, ConfigError> {
    let whole = file::object(path, &file::IN_RESULTS)?;
    let keys = whole.len();
    let mut reading = Reading { path, warnings: Vec::new(), unknown: Vec::new(), typed };
    let mut args = match diffmap::is_one(&whole) {
        true => diffmap::read(Keys::new("", whole), &mut reading)?,
        false => worker::read(Keys::new("", whole), worker::Defaults::OfFile, &mut reading)?,
    };
    if keys > 0 && reading.unknown.len() == keys {
        return Err(ConfigError::NotAConfiguration {
            path: path.into(),
            problem: format!("no setting of an integration is in it, only {}", reading.unknown.join(", ")),
        });
    }
    names::find_all(&mut args, path);
    let at = |line: String| format!("{}: {line}", path.display());
    let unknown = reading.unknown.iter().map(|key| format!("{key} is not known and has no effect"));
    let warnings = reading.warnings.iter().cloned().chain(unknown).map(at).collect();
    Ok(Earlier { options: args, warnings })
}

/// A configuration while it is read.
struct Reading<'a> {
    path: &'a Path,
    warnings: Vec<String>,
    /// Keys that nobody took.
    unknown: Vec<String>,
    typed: &'a Options,
}
