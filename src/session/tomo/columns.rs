//! One number a row of the result, from wherever a user has it: a header number, a column of a text file, a dataset.

use std::path::Path;

use crate::h5::{self, File};
use crate::output::result::Patterns;
use crate::source::hdf5::is_hdf5;
use crate::source::table::{self, TableError};

/// Why there are no such numbers. `of` is the option and what it was given.
#[derive(Debug, thiserror::Error)]
pub(super) enum ColumnError {
    /// An HDF5 file or its dataset cannot be read.
    #[error("{of}: {cause}")]
    Dataset {
        of: String,
        #[source]
        cause: h5::Error,
    },
    /// A text file has no such column.
    #[error("{of}: {cause}")]
    Table {
        of: String,
        #[source]
        cause: TableError,
    },
    /// It names nothing.
    #[error("{of}: neither a file nor a header number of this result; it has {there}")]
    Nothing { of: String, there: String },
    /// There are fewer numbers than frames.
    #[error("{of}: it has {found} values, the result {needed} frames")]
    TooFew { of: String, found: usize, needed: usize },
}

/// One number a row, NaN for rows without a frame: a header number, a column of a text file, or a dataset. `option` is who asks.
///
/// # Errors
/// [`ColumnError`].
pub(super) fn each(text: &str, option: &str, patterns: &Patterns) -> Result<Vec<f64>, ColumnError> {
    let of = || format!("{option} {text}");
    let table = |file: &str, column| {
        table::column(Path::new(file), column).map_err(|cause| ColumnError::Table { of: of(), cause })
    };
    if let Some((file, path)) = text.split_once("::") {
        if Path::new(file).is_file() && !is_hdf5(Path::new(file)) {
            return of_frames(table(file, Some(path))?, of, patterns);
        }
        let read = || File::open(Path::new(file))?.dataset(path)?.read_raw();
        return of_frames(read().map_err(|cause| ColumnError::Dataset { of: of(), cause })?, of, patterns);
    }
    if let Some(values) = patterns.number(text) {
        return Ok(values);
    }
    let (file, column) = match text.rsplit_once(':') {
        Some((file, column)) if !Path::new(text).exists() => (file, Some(column)),
        _ => (text, None),
    };
    if !Path::new(file).exists() {
        let there = match patterns.number_names() {
            names if names.is_empty() => "none".to_owned(),
            names => names.join(", "),
        };
        return Err(ColumnError::Nothing { of: of(), there });
    }
    of_frames(table(file, column)?, of, patterns)
}

fn of_frames(
    values: Vec<f64>,
    of: impl Fn() -> String,
    patterns: &Patterns,
) -> Result<Vec<f64>, ColumnError> {
    let needed = patterns.frames.iter().flatten().max().map_or(0, |last| last + 1);
    if values.len() < needed {
        return Err(ColumnError::TooFew { of: of(), found: values.len(), needed });
    }
    Ok(patterns.frames.iter().map(|f| f.map_or(f64::NAN, |n| values[n])).collect())
}
