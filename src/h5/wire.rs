//! What is said between this process and the child that reads: requests one way; bytes of numbers, and replies, the other.
//!
//! A request is its length (u64) and JSON. An answer is any number of pieces, `D`, length, bytes of numbers, and one reply, `R`,
//! length, JSON. Both ends are the same program on the same machine, so numbers are in its own byte order.
use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::links::{Found, Member};
use super::storage::Storage;
use crate::budget;

/// What is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Question {
    /// Open this file; one that was open is closed.
    Open {
        /// Its name, which need not be text.
        path: Vec<u8>,
        /// Whether one that ends too early, or that its writer did not close, will do.
        unfinished: bool,
    },
    /// Where does this name lead, from link to link?
    Follow {
        /// From the root.
        path: String,
    },
    /// What is in this group, and what is each?
    Links {
        /// From the root.
        path: String,
    },
    /// How are the values of this dataset stored?
    Storage {
        /// From the root.
        path: String,
    },
    /// Where are its chunks?
    Chunks {
        /// From the root.
        path: String,
    },
    /// What is of this name?
    Look {
        /// From the root.
        path: String,
    },
    /// What is in this group?
    Members {
        /// From the root.
        path: String,
    },
    /// Numbers of a dataset.
    Numbers {
        /// From the root.
        path: String,
        /// What to convert them to.
        element: Element,
        /// First and end along each dimension.
        part: Vec<(usize, usize)>,
    },
    /// Texts of a dataset.
    Texts {
        /// From the root.
        path: String,
    },
    /// Texts of an attribute.
    AttributeTexts {
        /// Object, from the root.
        path: String,
        /// Attribute.
        name: String,
    },
    /// Numbers of an attribute.
    AttributeNumbers {
        /// Object, from the root.
        path: String,
        /// Attribute.
        name: String,
    },
}

impl Question {
    /// To open a file.
    pub fn open(path: &Path) -> Question {
        Question::Open { path: path.as_os_str().as_bytes().to_vec(), unfinished: false }
    }

    /// To open a file that may end too early.
    pub fn open_unfinished(path: &Path) -> Question {
        Question::Open { path: path.as_os_str().as_bytes().to_vec(), unfinished: true }
    }
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// It was done; numbers came before.
    Done,
    /// There is nothing of that name.
    Nothing,
    /// It is a group.
    Group,
    /// It is a dataset.
    Dataset(DatasetFacts),
    /// Where a name leads.
    Found(Found),
    /// What is in a group.
    Links(Vec<Member>),
    /// How values are stored.
    Storage(Storage),
    /// Texts, or names.
    Texts(Vec<String>),
    /// Bits of f64: JSON has neither NaN nor infinity.
    Numbers(Vec<u64>),
}

/// What is known of a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetFacts {
    /// Size along each dimension.
    pub shape: Vec<usize>,
    /// What the values are.
    pub kind: Kind,
    /// Their type, as numpy spells it where it can.
    pub type_name: String,
    /// Where its bytes lie when they lie together: the first one, and how many.
    pub place: Option<(u64, u64)>,
    /// Bytes that it takes in the file.
    pub stored: u64,
    /// Level of the gzip filter, if it is compressed so.
    pub gzip: Option<u8>,
}

impl DatasetFacts {
    /// Number of values, when a number can say it.
    pub fn count(&self) -> Option<usize> {
        self.shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size))
    }
}

/// What the values of a dataset are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// h5py's booleans.
    Boolean,
    /// Whole numbers, signed or not.
    Integer,
    /// Floating-point numbers.
    Float,
    /// Texts.
    Text,
    /// Something else, in words.
    Other(String),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Boolean => "booleans",
            Kind::Integer => "integers",
            Kind::Float => "floats",
            Kind::Text => "texts",
            Kind::Other(words) => words,
        })
    }
}

/// Type of a number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Element {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
}

/// A number that can be read: plain, every pattern of bits is one.
pub trait Number: Copy + Default + From<bool> + sealed::Sealed {
    /// Its type on the wire.
    const ELEMENT: Element;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! number {
    ($($name:ty => $element:ident),*) => {$(
        impl sealed::Sealed for $name {}
        impl Number for $name {
            const ELEMENT: Element = Element::$element;
        }
    )*};
}
number!(i8 => I8, u8 => U8, i16 => I16, u16 => U16, i32 => I32, u32 => U32, i64 => I64, u64 => U64, f32 => F32, f64 => F64);

/// The memory of numbers.
pub(super) fn bytes_mut<T: Number>(values: &mut [T]) -> &mut [u8] {
    let bytes = size_of_val(values);
    // SAFETY: `Number` is sealed and implemented for plain integers and floats: no padding, every byte is initialised, every
    // pattern of bits is a value, and u8 has no alignment.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), bytes) }
}

/// The memory of numbers.
pub(super) fn bytes<T: Number>(values: &[T]) -> &[u8] {
    // SAFETY: as in `bytes_mut`.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// A piece of numbers follows.
pub const DATA: u8 = b'D';
/// The reply follows, and ends the answer.
pub const REPLY: u8 = b'R';

/// Longest reply: texts, such as the names of all files of a scan.
const LONGEST_REPLY: u64 = 256 << 20;

/// Longest request: a name and a few numbers.
const LONGEST_REQUEST: u64 = 1 << 20;

pub(super) fn send_request(to: &mut impl Write, request: &Question) -> io::Result<()> {
    let text = serde_json::to_vec(request)?;
    to.write_all(&(text.len() as u64).to_ne_bytes())?;
    to.write_all(&text)?;
    to.flush()
}

/// The next request; `None` when no more will come.
pub(super) fn next_request(from: &mut impl Read) -> io::Result<Option<Question>> {
    let mut length = [0; 8];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = u64::from_ne_bytes(length);
    if length > LONGEST_REQUEST {
        return Err(io::Error::other("a request that is too long"));
    }
    let mut text = vec![0; length as usize];
    from.read_exact(&mut text)?;
    Ok(Some(serde_json::from_slice(&text)?))
}

/// One answer: numbers, which must fill `numbers`, and the reply, or what the library said against it. What came is believed no more than
/// a file would be.
///
/// # Errors
/// When it ends too early, is no answer, or has other numbers than were asked for: whoever gave it is not asked again.
pub fn hear(from: &mut impl Read, numbers: &mut [u8]) -> io::Result<Result<Reply, String>> {
    let mut filled = 0_usize;
    loop {
        let mut head = [0; 9];
        from.read_exact(&mut head)?;
        let [tag, length @ ..] = head;
        let length = u64::from_ne_bytes(length);
        match tag {
            DATA => {
                let end = usize::try_from(length).ok().and_then(|length| filled.checked_add(length));
                let room = end.and_then(|end| numbers.get_mut(filled..end));
                let room = room.ok_or_else(|| io::Error::other("it sent more than it was asked for"))?;
                filled += room.len();
                from.read_exact(room)?;
            }
            REPLY if length <= LONGEST_REPLY => {
                budget::allow("what the file says", length).map_err(io::Error::other)?;
                let mut text = vec![0; length as usize];
                from.read_exact(&mut text)?;
                let reply: Result<Reply, String> = serde_json::from_slice(&text)?;
                if reply.is_ok() && filled != numbers.len() {
                    return Err(io::Error::other("it sent less than it was asked for"));
                }
                return Ok(reply);
            }
            _ => return Err(io::Error::other("it gave no answer that makes sense")),
        }
    }
}

pub(super) fn send(to: &mut impl Write, tag: u8, bytes: &[u8]) -> io::Result<()> {
    to.write_all(&[tag])?;
    to.write_all(&(bytes.len() as u64).to_ne_bytes())?;
    to.write_all(bytes)
}
