//! From what was typed to the list of frames: files, folders, globs and `@list.txt`.
//!
//! - A file is taken whatever its name; a path that exists is never read as a glob.
//! - A folder gives its `.cbf`, `.cbf.gz` and `.cbf.bz2` files. Without them it gives the kind of which it has most: HDF5 (of masters,
//!   `…_master.h5`, those alone), TIFF, EDF or NumPy (`.tif`, `.tiff`, `.edf`, `.npy`, and `.gz` and `.bz2` of them). A note says what stays
//!   behind: beside frames lie masks and darks. Folders inside it are not searched, hidden files are left out.
//! - `file.h5::/path` is a dataset, or a group with images, in a file; the file's name may be a glob.
//! - A glob (`scan_*/*.cbf`, `**` for any depth) gives the files that it matches, and the frames of the folders.
//! - `@list.txt` has one such input a line; empty lines and lines that begin with `#` are left out. What does not exist from
//!   where the program runs is looked for beside the list.
//!
//! The order of the frames is the order of the rows in the output:
//!
//! - Inputs, and the lines of a list, stand in the order in which they were given, and as often.
//! - What one folder or one glob brings is sorted by the numbers in the names (`scan_9` before `scan_10`), folder by folder,
//!   each file once.
//! - A glob without quotes is expanded by the shell, which sorts letter by letter: `scan_1 scan_10 scan_2`. Three or more
//!   names on the command line that stand in such an order are therefore taken for a glob and sorted by their numbers too, and
//!   a note says so. Every other order is somebody's own, and is kept; a list is never taken for a glob.

mod shell;

use std::cmp::Ordering;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::files;

/// Longest list that is read: half a million names.
const LONGEST_LIST: u64 = 64 << 20;

/// Why the inputs do not make a list of frames.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ListingError {
    /// Nothing was given.
    #[error("no input: name files of frames (CBF, HDF5, TIFF, EDF, npy), folders, globs or @list.txt")]
    NoInput,
    /// A path that is not there.
    #[error("{}: no such file or folder", path.display())]
    Missing { path: PathBuf },
    /// A folder without frames.
    #[error(
        "{}: the folder has no .cbf, .cbf.gz or .cbf.bz2 file, and no HDF5, TIFF, EDF or npy file \
         (folders inside it are not searched: '{}/**/*.cbf' does)",
        path.display(), path.display()
    )]
    EmptyFolder { path: PathBuf },
    /// A folder or file that cannot be opened.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// A glob that is not one.
    #[error("{pattern}: not a valid pattern: {message}")]
    BadPattern { pattern: String, message: String },
    /// A glob without matches.
    #[error("{pattern}: no file matches this pattern")]
    NoMatch { pattern: String },
    /// A list that cannot be opened.
    #[error("{}: the list cannot be read: {source}", path.display())]
    UnreadableList { path: PathBuf, source: io::Error },
    /// A list without entries.
    #[error("{}: the list names no file", path.display())]
    EmptyList { path: PathBuf },
    /// A list in a list.
    #[error("{}: line {line}: a list cannot name another list ({entry})", path.display())]
    NestedList { path: PathBuf, line: usize, entry: String },
    /// A fault in one line of a list.
    #[error("{}: line {line}: {source}", path.display())]
    InList { path: PathBuf, line: usize, source: Box<ListingError> },
}

/// The frames of a run, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// One a row.
    pub files: Vec<PathBuf>,
    /// What somebody who looks at the order should know, a line each.
    pub notes: Vec<String>,
}

/// The frames that `inputs` name, in order, and what is to be said of the order.
///
/// # Errors
/// A [`ListingError`] for the first input that names nothing; nothing is left out in silence.
pub fn list(inputs: &[String]) -> Result<Listing, ListingError> {
    if inputs.is_empty() {
        return Err(ListingError::NoInput);
    }
    let (inputs, notes) = shell::in_order_of_numbers(inputs);
    let mut found = Listing { files: Vec::new(), notes };
    for input in &inputs {
        match input.strip_prefix('@') {
            Some(list) if !Path::new(input).exists() => add_list(Path::new(list), &mut found)?,
            _ => add(input, Path::new(""), &mut found)?,
        }
    }
    found.notes.extend(repeated(&found.files));
    Ok(found)
}

/// The files of [`list`].
///
/// # Errors
/// As [`list`].
pub fn expand(inputs: &[String]) -> Result<Vec<PathBuf>, ListingError> {
    list(inputs).map(|listing| listing.files)
}

/// Says that frames come more than once: it may be meant, or two globs overlap.
fn repeated(files: &[PathBuf]) -> Option<String> {
    let mut seen = HashSet::with_capacity(files.len());
    let again: Vec<&PathBuf> = files.iter().filter(|file| !seen.insert(*file)).collect();
    let first = again.first()?;
    let times = if again.len() == 1 { "frame is".to_owned() } else { format!("{} frames are", again.len()) };
    Some(format!(
        "{times} named again, and integrated again ({}{})",
        first.display(),
        if again.len() > 1 { ", …" } else { "" }
    ))
}

fn add_list(list: &Path, paths: &mut Listing) -> Result<(), ListingError> {
    let text = files::read_text(list, LONGEST_LIST)
        .map_err(|source| ListingError::UnreadableList { path: list.to_path_buf(), source })?;
    let beside = list.parent().unwrap_or(Path::new(""));
    let before = paths.files.len();
    for (number, entry) in text.lines().map(str::trim).enumerate() {
        let line = number + 1;
        if entry.is_empty() || entry.starts_with('#') {
            continue;
        }
        if entry.starts_with('@') {
            let path = list.to_path_buf();
            return Err(ListingError::NestedList { path, line, entry: entry.to_owned() });
        }
        add(entry, beside, paths).map_err(|source| ListingError::InList {
            path: list.to_path_buf(),
            line,
            source: Box::new(source),
        })?;
    }
    if paths.files.len() == before {
        return Err(ListingError::EmptyList { path: list.to_path_buf() });
    }
    Ok(())
}

/// Adds what one input names; `beside` is where else to look.
fn add(input: &str, beside: &Path, paths: &mut Listing) -> Result<(), ListingError> {
    let here = PathBuf::from(input);
    let path = if here.exists() { here } else { beside.join(input) };
    if path.exists() {
        return add_path(&path, paths);
    }
    if let Some((file, dataset)) = input.split_once("::") {
        let mut found = Listing::default();
        add(file, beside, &mut found)?;
        paths.files.extend(found.files.into_iter().map(|file| {
            let mut name = file.into_os_string();
            name.push(format!("::{dataset}"));
            PathBuf::from(name)
        }));
        paths.notes.append(&mut found.notes);
        return Ok(());
    }
    if !input.contains(['*', '?', '[']) {
        return Err(ListingError::Missing { path: PathBuf::from(input) });
    }
    let mut found = matches(input)?;
    if found.files.is_empty() && beside != Path::new("") {
        // Only what the list's line says is a pattern, not the folder that the list is in.
        let folder = glob::Pattern::escape(&beside.to_string_lossy());
        found = matches(&format!("{folder}/{input}"))?;
    }
    if found.files.is_empty() {
        return Err(ListingError::NoMatch { pattern: input.to_owned() });
    }
    paths.files.append(&mut found.files);
    paths.notes.append(&mut found.notes);
    Ok(())
}

/// What a glob brings: in order, and each file once, though a folder may be matched beside its own files.
fn matches(pattern: &str) -> Result<Listing, ListingError> {
    let mut paths = Listing::default();
    let matches = glob::glob(pattern).map_err(|error| ListingError::BadPattern {
        pattern: pattern.to_owned(),
        message: error.to_string(),
    })?;
    for found in matches {
        let path = found.map_err(|error| ListingError::Unreadable {
            path: error.path().to_path_buf(),
            source: error.into(),
        })?;
        match add_path(&path, &mut paths) {
            // `scan/*` may match a folder of something else beside the frames.
            Ok(()) | Err(ListingError::EmptyFolder { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    paths.files.sort_by(|a, b| natural_order(a, b));
    paths.files.dedup();
    Ok(paths)
}

/// Adds a file, or the frames of a folder in order.
fn add_path(path: &Path, paths: &mut Listing) -> Result<(), ListingError> {
    let unreadable = |source| ListingError::Unreadable { path: path.to_path_buf(), source };
    // A link to nowhere, which a glob finds, is a frame that cannot be read: a bad one among good ones.
    let there = fs::metadata(path).ok();
    if !there.as_ref().is_some_and(fs::Metadata::is_dir) {
        there.map_or(Ok(()), |there| files::refuse_others(&there)).map_err(unreadable)?;
        paths.files.push(plain(path));
        return Ok(());
    }
    let mut found: [Vec<PathBuf>; KINDS.len()] = Default::default();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let kind = entry.file_type().map_err(unreadable)?;
        let Some(which) = kind_of(&entry.file_name()).filter(|_| !kind.is_dir()) else { continue };
        let path = entry.path();
        if !kind.is_file()
            && let Ok(there) = fs::metadata(&path)
            && let Err(source) = files::refuse_others(&there)
        {
            return Err(ListingError::Unreadable { path, source });
        }
        found[which].push(plain(&path));
    }
    let all: Vec<(&str, usize)> =
        KINDS.iter().zip(&found).map(|((name, _), files)| (*name, files.len())).collect();
    // Of two as large the first.
    let chosen = match found[CBF].is_empty() {
        true => (0..KINDS.len()).rev().max_by_key(|kind| found[*kind].len()).unwrap_or(CBF),
        false => CBF,
    };
    let mut files = std::mem::take(&mut found[chosen]);
    if files.is_empty() {
        return Err(ListingError::EmptyFolder { path: path.to_path_buf() });
    }
    let others = all.iter().enumerate().filter(|(kind, (_, count))| *kind != chosen && *count > 0);
    let others: Vec<String> = others.map(|(_, (name, count))| format!("{count} {name}")).collect();
    if !others.is_empty() {
        paths.notes.push(format!(
            "{}: its {} files are taken, others are not ({}); a glob takes those",
            path.display(),
            KINDS[chosen].0,
            others.join(", ")
        ));
    }
    if files.iter().any(|file| is_master(file)) {
        files.retain(|file| is_master(file));
    }
    files.sort_by(|a, b| natural_order(a, b));
    paths.files.append(&mut files);
    Ok(())
}

/// Kinds of images, and how names of their files end.
const KINDS: [(&str, &[&str]); 5] = [
    ("CBF", &[".cbf"]),
    ("HDF5", &[".h5", ".hdf5", ".hdf", ".nxs", ".nx", ".cxi"]),
    ("TIFF", &[".tif", ".tiff"]),
    ("EDF", &[".edf"]),
    ("NumPy", &[".npy"]),
];

/// Which of them is taken wherever there is one.
const CBF: usize = 0;

/// What a file of a folder is, by its name; all but HDF5 may be packed.
fn kind_of(name: &OsStr) -> Option<usize> {
    let name = name.to_string_lossy().to_ascii_lowercase();
    let packed = [".gz", ".bz2"].iter().find_map(|packed| name.strip_suffix(packed));
    let plain = packed.unwrap_or(&name);
    let kind = KINDS.iter().position(|(_, ends)| ends.iter().any(|end| plain.ends_with(end)))?;
    let is_seen = !name.starts_with('.') && (packed.is_none() || KINDS[kind].0 != "HDF5");
    is_seen.then_some(kind)
}

/// Whether it names the files that hold a scan of a DECTRIS detector.
fn is_master(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    ["_master.h5", "_master.hdf5"].iter().any(|end| name.ends_with(end))
}

/// Without `.` components, so that `./a.cbf` and `a.cbf` are one file.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|component| !matches!(component, Component::CurDir)).collect()
}

/// Folder by folder; within a name, runs of digits by their value.
fn natural_order(a: &Path, b: &Path) -> Ordering {
    let by_component = || {
        let mut others = b.components();
        for component in a.components() {
            let Some(other) = others.next() else { return Ordering::Greater };
            let names = (component.as_os_str().as_encoded_bytes(), other.as_os_str().as_encoded_bytes());
            let order = natural_order_of_names(names.0, names.1);
            if order.is_ne() {
                return order;
            }
        }
        if others.next().is_some() { Ordering::Less } else { Ordering::Equal }
    };
    // `a1` and `a01` have the same numbers: any fixed order will do.
    by_component().then_with(|| a.cmp(b))
}

fn natural_order_of_names(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while let (Some(&first), Some(&other)) = (a.first(), b.first()) {
        let order = if first.is_ascii_digit() && other.is_ascii_digit() {
            let (number, rest) = split_number(a);
            let (other, others) = split_number(b);
            (a, b) = (rest, others);
            number.len().cmp(&other.len()).then_with(|| number.cmp(other))
        } else {
            (a, b) = (&a[1..], &b[1..]);
            first.cmp(&other)
        };
        if order.is_ne() {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

/// The digits at the start of a name, without leading zeros, and what follows them.
fn split_number(name: &[u8]) -> (&[u8], &[u8]) {
    let end = name.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(name.len());
    let (digits, rest) = name.split_at(end);
    let zeros = digits.iter().take_while(|&&byte| byte == b'0').count();
    (&digits[zeros..], rest)
}
