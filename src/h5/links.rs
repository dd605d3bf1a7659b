//! Where names lead in a file, and what is in its groups: links are looked at, never followed out of the file.
//!
//! The library would follow a link to another file by opening what stands there, whatever it is, and would look beside
//! `/proc/self/fd` for it, because that is the name by which it was given this file. So whoever wants what a link of a file
//! leads to in another asks [`File::follow`](super::File::follow) and opens that other file as any other.
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::storage::Numeric;

/// Where a name leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// To something in this file.
    Here {
        /// Its name without a link in it.
        path: String,
        /// What it is.
        what: Thing,
    },
    /// To another file.
    Elsewhere(Outward),
    /// To nothing: the last name that there is leads nowhere.
    Nothing {
        /// The name at which it ends.
        at: String,
    },
}

/// A link to another file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outward {
    /// The link.
    pub link: String,
    /// Name of the other file, as it is written in the link.
    file: Vec<u8>,
    /// Name in that file.
    pub path: String,
}

impl Outward {
    /// Name of the other file, as it is written in the link.
    pub fn file(&self) -> PathBuf {
        PathBuf::from(OsString::from_vec(self.file.clone()))
    }

    /// A link that leads to `path` in `file`.
    pub(super) fn new(link: String, file: Vec<u8>, path: String) -> Outward {
        Outward { link, file, path }
    }
}

/// What stands in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Thing {
    /// A group.
    Group {
        /// The same for each name of the same group in a file.
        address: u64,
    },
    /// A dataset.
    Dataset {
        /// The same for each name of the same dataset in a file.
        address: u64,
        /// Size along each dimension.
        shape: Vec<usize>,
        /// What its values are, if they are plain numbers.
        number: Option<Numeric>,
    },
    /// Something else, or something that the library cannot read.
    Other,
}

/// Something in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// What is behind it.
    pub behind: Behind,
}

/// What is behind a name in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Behind {
    /// The thing itself.
    Thing(Thing),
    /// Another name in this file.
    Name(String),
    /// A name in another file.
    Outward(Outward),
}
