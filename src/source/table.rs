//! A text table of numbers, of which one column is read: what spreadsheets, loggers and numpy.savetxt write.
//!
//! Values are separated by tabs, semicolons, commas or blanks, by the first of these that the first line has. That line may name the columns (it does when it has the name that is asked for, or no number where one is wanted), or the
//! last of the remarks before it, which begin with `#` or `//`; other remarks are passed over. Where a cell is empty, or says `nan` or `NA`,
//! there is no value.

use std::path::{Path, PathBuf};

use crate::files;

/// Why there is no such column.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", path.display())]
pub struct TableError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub cause: String,
}

/// Longest table that is read: some million lines.
const LONGEST: u64 = 256 << 20;

/// Names that are listed.
const NAMED: usize = 20;

/// One column: that of this name, or of this number from 1 on; without either the only one there is.
///
/// # Errors
/// When the file cannot be read, has no such column, a line with another number of values, or a cell that is no number: with its line.
pub fn column(path: &Path, wanted: Option<&str>) -> Result<Vec<f64>, TableError> {
    let fail = |cause: String| TableError { path: path.to_owned(), cause };
    let text = files::read_text(path, LONGEST).map_err(|error| fail(error.to_string()))?;
    read(&text, wanted).map_err(fail)
}

fn read(text: &str, wanted: Option<&str>) -> Result<Vec<f64>, String> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut remark = None;
    let first = lines.by_ref().find(|line| {
        remark = Some(*line).filter(|line| is_remark(line)).or(remark);
        !is_remark(line)
    });
    let Some(first) = first else { return Err("there are no numbers in it".into()) };
    let separator = ['\t', ';', ','].into_iter().find(|separator| first.contains(*separator));
    let mut rows = rows(text, separator);
    let Some(first) = rows.next().transpose()? else { return Err("there are no numbers in it".into()) };
    // Names of columns may stand in a remark above, as numpy writes them.
    let above = match remark {
        Some(remark) => self::rows(remark.trim_start_matches(['#', '/']), separator).next().transpose()?,
        None => None,
    };
    let (place, is_named) = place(&first.cells, above.map(|above| above.cells), wanted)?;
    let of_row = |row: &Row| {
        let (line, width) = (row.line, first.cells.len());
        match row.cells.get(place) {
            Some(cell) if row.cells.len() == width => {
                value(cell).ok_or_else(|| format!("line {line}: `{cell}` is no number"))
            }
            _ => Err(format!(
                "line {line} has another number of values ({}) than the first ({width})",
                row.cells.len()
            )),
        }
    };
    let mut values = Vec::new();
    if !is_named {
        values.push(of_row(&first)?);
    }
    for row in rows {
        values.push(of_row(&row?)?);
    }
    Ok(values)
}

/// Whether a line says nothing to us.
fn is_remark(line: &str) -> bool {
    line.starts_with('#') || line.starts_with("//")
}

/// A line, taken apart.
struct Row {
    line: u64,
    cells: Vec<String>,
}

/// The lines that are no remarks. Without a separator it is blanks, however many.
fn rows(text: &str, separator: Option<char>) -> impl Iterator<Item = Result<Row, String>> {
    // Lines stay where they are, so that they can be named.
    let line = |line: &str| match separator {
        _ if is_remark(line.trim()) => "\n".to_owned(),
        Some(_) => format!("{line}\n"),
        None => line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n",
    };
    let text: String = text.lines().map(line).collect();
    let reader = csv::ReaderBuilder::new()
        .delimiter(separator.map_or(b' ', |separator| separator as u8))
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(std::io::Cursor::new(text));
    reader.into_records().map(|record| {
        let record = record.map_err(|error| error.to_string())?;
        let line = record.position().map_or(0, csv::Position::line);
        Ok(Row { line, cells: record.iter().map(str::to_owned).collect() })
    })
}

/// Which column is meant, and whether the first line names columns: `above` are names from a remark.
fn place(
    first: &[String],
    above: Option<Vec<String>>,
    wanted: Option<&str>,
) -> Result<(usize, bool), String> {
    let width = first.len();
    let above = above.filter(|above| above.len() == width);
    let there = || {
        let names = match (&above, first.iter().all(|cell| value(cell).is_none())) {
            (_, true) => first,
            (Some(above), _) => above,
            (None, _) => return format!("1 to {width}, without names"),
        };
        let more = if width > NAMED { format!(" and {} more", width - NAMED) } else { String::new() };
        format!("{}{more}", names[..width.min(NAMED)].join(", "))
    };
    let Some(wanted) = wanted else {
        return match width {
            1 => Ok((0, value(&first[0]).is_none())),
            several => {
                Err(format!("it has {several} columns ({}); which one? Name it: FILE::COLUMN", there()))
            }
        };
    };
    let number = wanted.parse::<usize>().ok();
    let numbered = number.filter(|number| (1..=width).contains(number)).map(|number| number - 1);
    let of = |names: &[String]| names.iter().position(|name| name == wanted);
    // What is above, or a number, says nothing of the first line: that its cell is no number does.
    let elsewhere =
        || numbered.or_else(|| of(above.as_deref()?)).map(|place| (place, value(&first[place]).is_none()));
    let named = || if number.is_none() { of(first).map(|place| (place, true)) } else { None };
    named().or_else(elsewhere).ok_or_else(|| format!("it has no column `{wanted}`; it has {}", there()))
}

/// A cell's number; NaN where it says that there is none.
fn value(cell: &str) -> Option<f64> {
    match cell {
        "" | "NA" | "N/A" | "null" => Some(f64::NAN),
        text => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_found_however_tables_are_written() {
        let comma = "frame,I0,\"a, b\"\n0,1.5,7\n1,2.5e3,8\n2,,9\n";
        let blanks = "# made by a logger of some kind\n# frame  I0\n  0   1.5\n\n  1 2.5e3\n2 nan\n";
        let semicolons = "frame;I0\n0;1.5\n1;2.5e3\n2;NA\n";
        for table in [comma, blanks, semicolons] {
            for wanted in ["I0", "2"] {
                let found = read(table, Some(wanted)).unwrap_or_else(|error| panic!("{table:?}: {error}"));
                assert_eq!(found[..2], [1.5, 2500.0], "{table:?}");
                assert!(found.len() == 3 && found[2].is_nan(), "{table:?}: {found:?}");
            }
        }
        assert_eq!(read(comma, Some("a, b")).expect("quoted"), [7.0, 8.0, 9.0]);
        // What other columns hold makes no names of the first line.
        let files = "a.cbf,10\nb.cbf,20\n";
        assert_eq!(read(files, Some("2")).expect("a number"), [10.0, 20.0]);
        assert_eq!(read("file,I0\na.cbf,10\n", Some("2")).expect("a number"), [10.0]);
        assert_eq!(read("# file I0\na.cbf 10\nb.cbf 20\n", Some("I0")).expect("a name above"), [10.0, 20.0]);
        assert_eq!(read("3\n4\n", None).expect("the only one"), [3.0, 4.0]);
        assert_eq!(read("I0\n3\n4", None).expect("the only one"), [3.0, 4.0]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let cases = [
            ("", None, "no numbers"),
            ("# nothing\n// here\n", None, "no numbers"),
            ("a,b\n1,2\n", None, "which one?"),
            ("a,b\n1,2\n", Some("c"), "no column `c`; it has a, b"),
            ("1 2\n3 4\n", Some("3"), "1 to 2, without names"),
            ("a,b\n1,2\n3\n", Some("a"), "line 3 has another number of values (1)"),
            ("a\n1\nx\n", Some("a"), "line 3: `x` is no number"),
        ];
        for (table, wanted, words) in cases {
            let error = read(table, wanted).expect_err(words);
            assert!(error.contains(words), "{table:?}: {error}");
        }
    }
}
