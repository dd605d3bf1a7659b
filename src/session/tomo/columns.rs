//! One number a row of the result, from wherever a user has it: a header number, a column of a text file, a dataset.

use std::io;
use std::path::Path;

use crate::files;
use crate::h5::{self, File};
use crate::output::result::Patterns;

/// Longest table that is read: a million lines.
const LONGEST_TABLE: u64 = 256 << 20;

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
    /// A text file cannot be read.
    #[error("{of}: {cause}")]
    Table {
        of: String,
        #[source]
        cause: io::Error,
    },
    /// It names nothing.
    #[error("{of}: neither a file nor a header number of this result; it has {there}")]
    Nothing { of: String, there: String },
    /// A table has no column of this name or number.
    #[error("{of}: there is no column `{name}`; the first line is `{first}`")]
    NoColumn { of: String, name: String, first: String },
    /// A cell of a table is something else.
    #[error("{of}: line {line}: `{cell}` is not a number")]
    NotANumber { of: String, line: usize, cell: String },
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
    if let Some((file, path)) = text.split_once("::") {
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
    of_frames(column_of(Path::new(file), column, &of)?, of, patterns)
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

/// A column of a text file with commas, semicolons or blanks between; by name or number (from 1), else the last one.
fn column_of(file: &Path, column: Option<&str>, of: &impl Fn() -> String) -> Result<Vec<f64>, ColumnError> {
    let text =
        files::read_text(file, LONGEST_TABLE).map_err(|cause| ColumnError::Table { of: of(), cause })?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    let mut values = Vec::new();
    let mut which = None;
    for (number, line) in lines.enumerate() {
        let cells: Vec<&str> = line
            .trim_start_matches('#')
            .split(|c: char| c == ',' || c == ';' || c.is_whitespace())
            .filter(|cell| !cell.is_empty())
            .collect();
        let names = cells.iter().any(|cell| cell.parse::<f64>().is_err());
        if which.is_none() {
            which = Some(match column {
                None => cells.len().saturating_sub(1),
                Some(name) => match (cells.iter().position(|cell| *cell == name), name.parse::<usize>()) {
                    (Some(place), _) => place,
                    (None, Ok(place)) if place >= 1 => place - 1,
                    _ => {
                        let (name, first) = (name.to_owned(), line.to_owned());
                        return Err(ColumnError::NoColumn { of: of(), name, first });
                    }
                },
            });
        }
        if line.starts_with('#') || (values.is_empty() && names) {
            continue;
        }
        let cell = which.and_then(|place| cells.get(place)).copied().unwrap_or_default();
        let value = cell.parse().map_err(|_| ColumnError::NotANumber {
            of: of(),
            line: number + 1,
            cell: cell.to_owned(),
        })?;
        values.push(value);
    }
    Ok(values)
}
