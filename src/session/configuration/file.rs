//! From a file to one JSON object: a JSON file as Python writes it, or the configuration that an HDF5 result carries.

use std::borrow::Cow;
use std::path::Path;

use serde_json::{Map, Value};

use super::ConfigError;
use crate::files;
use crate::h5;
use crate::output::nexus;

/// Longest file of settings that is read: one that names a million frames.
pub const LONGEST_SETTINGS: u64 = 256 << 20;

/// First bytes of an HDF5 file.
pub const HDF5_MAGIC: &[u8] = b"\x89HDF\r\n\x1a\n";

/// Where results keep their configuration: ours, those of pyFAI-diffmap, and those of pyFAI-integrate.
pub const IN_RESULTS: [&str; 3] = [
    "entry_0000/xrdct/configuration/data",
    "entry_0000/pyFAI/configuration/data",
    "entry_0000/integrate/configuration/data",
];

/// The JSON object in a file: a JSON file, or an HDF5 file with the text in the first of `places` that is there.
///
/// # Errors
/// [`ConfigError::Unreadable`] or [`ConfigError::NotAConfiguration`].
pub fn object(path: &Path, places: &[&str]) -> Result<Map<String, Value>, ConfigError> {
    let unreadable = |cause| ConfigError::Unreadable { path: path.into(), cause };
    if files::start(path, HDF5_MAGIC.len()).map_err(unreadable)? == HDF5_MAGIC {
        return parsed(path, &in_hdf5(path, places)?);
    }
    let bytes = files::read(path, LONGEST_SETTINGS).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|_| ConfigError::NotAConfiguration {
        path: path.into(),
        problem: "it is neither JSON (not UTF-8) nor HDF5".into(),
    })?;
    parsed(path, &text)
}

fn in_hdf5(path: &Path, places: &[&str]) -> Result<String, ConfigError> {
    let not = |problem: String| ConfigError::NotAConfiguration { path: path.into(), problem };
    let root = h5::File::open(path).map_err(|error| not(error.to_string()))?.root();
    places
        .iter()
        .find(|place| root.link_exists(place))
        .ok_or_else(|| not(format!("this HDF5 file has no {}", places.join(", no "))))
        .and_then(|place| nexus::read_text(&root, place).map_err(|error| not(format!("{place}: {error}"))))
}

fn parsed(path: &Path, text: &str) -> Result<Map<String, Value>, ConfigError> {
    let not = |problem: String| ConfigError::NotAConfiguration { path: path.into(), problem };
    match serde_json::from_str(&quote_python_words(text)) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(not("it is JSON, but not an object { … }".into())),
        Err(error) => Err(not(format!("it is not JSON: {error}"))),
    }
}

/// Python writes `NaN`, `Infinity` and `-Infinity` into JSON, which knows no such numbers: here they become texts.
fn quote_python_words(text: &str) -> Cow<'_, str> {
    const WORDS: [&str; 3] = ["NaN", "-Infinity", "Infinity"];
    if !WORDS.iter().any(|word| text.contains(word)) {
        return Cow::Borrowed(text);
    }
    let mut quoted = String::with_capacity(text.len());
    let (mut rest, mut in_text) = (text, false);
    while let Some(next) = rest.chars().next() {
        let word = WORDS.iter().find(|word| !in_text && rest.starts_with(**word));
        let taken = match (word, next) {
            (Some(word), _) => {
                quoted.push_str(&format!("\"{word}\""));
                word.len()
            }
            (None, '\\') if in_text => {
                let escaped = rest.chars().nth(1).map_or(0, char::len_utf8);
                quoted.push_str(&rest[..1 + escaped]);
                1 + escaped
            }
            (None, _) => {
                in_text ^= next == '"';
                quoted.push(next);
                next.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    Cow::Owned(quoted)
}
