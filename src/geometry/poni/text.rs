//! The keys and values of a PONI file, and where each was found.
//!
//! As pyFAI reads them: a line without a colon is skipped, a line whose first character is `#` is a comment, the
//! key is what precedes the first colon, trimmed and in lower case; a later line replaces an earlier one.

use super::error::{PoniError, Problem};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::path::PathBuf;

/// Keys of which a PONI file has at least one.
const TELLING: [&str; 7] = ["distance", "dist", "poni1", "poni2", "detector", "pixelsize1", "poni_version"];

/// Value of a key, and the line (from 1) that gave it; JSON has no lines.
pub(super) struct Entry {
    pub(super) value: String,
    pub(super) line: Option<usize>,
}

/// All keys of a file.
pub(super) struct Entries {
    path: PathBuf,
    entries: HashMap<String, Entry>,
}

impl Entries {
    pub(super) fn new(text: &str, path: PathBuf) -> Entries {
        let mut entries = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            if line.starts_with('#') {
                continue;
            }
            if let Some((key, value)) = line.split_once(':') {
                let entry = Entry { value: value.trim().to_owned(), line: Some(index + 1) };
                entries.insert(key.trim().to_lowercase(), entry);
            }
        }
        Entries { path, entries }
    }

    /// The same keys in a JSON object, as pyFAI's `PoniFile.as_dict` makes it; null means that a key is not there.
    pub(super) fn from_json(object: &Map<String, Value>, path: PathBuf) -> Entries {
        let text = |value: &Value| match value {
            Value::Null => None,
            Value::String(text) => Some(text.trim().to_owned()),
            other => Some(other.to_string()),
        };
        let entry = |(key, value): (&String, &Value)| {
            Some((key.to_lowercase(), Entry { value: text(value)?, line: None }))
        };
        Entries { path, entries: object.iter().filter_map(entry).collect() }
    }

    /// Looks a key (lower case) up.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// An error at the line of this key.
    pub(super) fn error(&self, key: &str, problem: Problem) -> PoniError {
        PoniError { path: self.path.clone(), line: self.get(key).and_then(|e| e.line), problem }
    }

    /// The error for a key that is not there.
    pub(super) fn missing(&self, key: &'static str) -> PoniError {
        let is_poni = TELLING.iter().any(|key| self.entries.contains_key(*key));
        let problem = if is_poni { Problem::Missing(key) } else { Problem::NoKeys };
        PoniError { path: self.path.clone(), line: None, problem }
    }
}
