//! CBF files as DECTRIS detectors write them: a text header, then one image packed with byte-offset.
//!
//! ```text
//! ###CBF: VERSION 1.5, …                        CIF text, CRLF lines
//! _array_data.header_convention "PILATUS_1.2"
//! _array_data.header_contents ; # Key value … ;  mini-CBF: what the detector did   → mini.rs
//! _array_data.data ;
//! --CIF-BINARY-FORMAT-SECTION--
//! X-Binary-Size: …                              how the image is packed            → section.rs
//! (empty line) 0C 1A 04 D5 packed bytes, padding
//! ```
//!
//! Full CBF has a long CIF text before the section; the old dialect SLS_1.0 has other words in its mini-CBF lines.
//! All of them are read. Other compressions than byte-offset are refused by name. The parser works on bytes that may be
//! anything: it never panics and never believes a size that the file does not have.
//! Format: CBFlib manual; DECTRIS, "Pilatus CBF header specification 1.4".

mod error;
mod files;
pub(in crate::source) mod mini;
mod reader;
mod section;

use std::ops::Range;
use std::path::Path;

pub use error::{CbfError, HeaderError};
pub use files::CbfFrames;
pub use mini::{HeaderLine, MiniCbf, NUMBERS};
pub use reader::CbfReader;
pub use section::BinarySection;

use crate::frame::{Encoding, FrameHeader};

/// Everything that a CBF file says before its image.
#[derive(Debug, Clone)]
pub struct CbfHeader {
    /// How to read the image.
    pub encoding: Encoding,
    /// Where in the file (unpacked, when it is gz or bz2) the packed bytes are.
    pub payload: Range<usize>,
    /// MD5 of the packed bytes, when the header has one.
    pub md5: Option<[u8; 16]>,
    /// What changes from frame to frame.
    pub frame: FrameHeader,
    /// The detector's own lines.
    pub mini: MiniCbf,
}

/// Reads the header of a CBF file from the file's bytes.
///
/// # Errors
/// A [`HeaderError`] that says what is wrong with it and where.
pub fn parse_header(bytes: &[u8]) -> Result<CbfHeader, HeaderError> {
    let text = section::Text::split(bytes)?;
    let section = BinarySection::parse(bytes, text.section)?;
    Ok(CbfHeader {
        encoding: section.encoding,
        md5: section.digest().ok().flatten(),
        payload: section.payload,
        frame: mini::frame_header(text.contents, &mini::columns()),
        mini: MiniCbf::parse(text.convention, text.contents),
    })
}

/// Reads the header of a CBF file, to learn shape and pixel type before a run.
///
/// # Errors
/// A [`CbfError`] when the file cannot be read or is not one that can be reduced.
pub fn probe(path: &Path) -> Result<CbfHeader, CbfError> {
    Ok(read(path)?.0)
}

/// Reads a CBF file: its header, and the bytes of the (unpacked) file that [`CbfHeader::payload`] points into.
///
/// # Errors
/// As [`probe`].
pub fn read(path: &Path) -> Result<(CbfHeader, Vec<u8>), CbfError> {
    let mut file = Vec::new();
    let length = reader::load(path, &mut file, &mut Vec::new(), reader::longest(None))?;
    file.truncate(length);
    let header = parse_header(&file).map_err(|source| CbfError::header(path, source))?;
    Ok((header, file))
}
