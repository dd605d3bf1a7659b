//! What can be wrong with a CBF file.
//!
//! [`HeaderError`] is about bytes: what the header says and where it contradicts itself or the file. [`CbfError`] adds the
//! path and what the file system says, and knows which [`FrameStatus`] a frame with that fault gets.
//! Messages are one line: path, place, cause, and what to do where there is something to do.

use std::io;
use std::path::{Path, PathBuf};

use crate::frame::{BadFrame, Encoding, FrameId, FrameStatus};

/// Why bytes are not a CBF image that can be reduced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum HeaderError {
    /// There are no bytes.
    #[error("the file is empty; is it still being written, or was the disk full?")]
    Empty,
    /// Neither CBF's first line nor a binary section.
    #[error("this is not a CBF file: it begins with {beginning:?} and has no CIF binary section{guess}")]
    NotCbf { beginning: String, guess: &'static str },
    /// A CIF text without an image.
    #[error(
        "the header has no binary section (no line --CIF-BINARY-FORMAT-SECTION-- in its first {searched} bytes): \
         this is a template, or the file was cut off inside its header"
    )]
    NoBinarySection { searched: usize },
    /// The image is packed in another way.
    #[error(
        "the image is {compression}; xrdct reads byte-offset (conversions=\"x-CBF_BYTE_OFFSET\") only; \
         CBFlib's cif2cbf -c byte_offset converts it"
    )]
    Compression { compression: String },
    /// The section is written as text.
    #[error("the image is stored as text (Content-Transfer-Encoding: {encoding}); xrdct reads BINARY only")]
    TransferEncoding { encoding: String },
    /// Not little-endian.
    #[error("the elements are {order} (X-Binary-Element-Byte-Order); xrdct reads LITTLE_ENDIAN only")]
    ByteOrder { order: String },
    /// Not one of the eight integer types.
    #[error(
        "elements of type {element:?} (X-Binary-Element-Type) are not read; \
         signed and unsigned integers of 8, 16, 32 and 64 bits are"
    )]
    ElementType { element: String },
    /// A key that must be there is not.
    #[error("the binary section has no {key}")]
    MissingKey { key: &'static str },
    /// A value that is not one.
    #[error("{key} is {value:?}; it must be {expected}")]
    BadValue { key: &'static str, value: String, expected: &'static str },
    /// More than one image.
    #[error(
        "the binary section holds {images} images (X-Binary-Size-Third-Dimension); xrdct reads one a file"
    )]
    Stack { images: usize },
    /// Dimensions and number of elements contradict each other.
    #[error(
        "X-Binary-Number-of-Elements is {elements}, but the dimensions say {fast} x {slow} = {product} elements"
    )]
    Elements { elements: usize, fast: usize, slow: usize, product: u128 },
    /// Too few bytes for so many pixels, whatever they hold.
    #[error("X-Binary-Size is {size} bytes for {pixels} pixels, but each takes at least one byte")]
    TooSmall { size: usize, pixels: usize },
    /// The section's header never gives way to its data.
    #[error(
        "the binary section that begins at byte {section} has no data (no bytes 0C 1A 04 D5 after its header)"
    )]
    NoMagic { section: usize },
    /// The file is shorter than its header says.
    #[error(
        "the file is truncated: {size} compressed bytes (X-Binary-Size) begin at byte {start}, \
         but only {left} are left in the file; is it still being written?"
    )]
    Truncated { size: usize, start: usize, left: usize },
}

/// Why a CBF file cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum CbfError {
    /// The system says no.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// A gz or bz2 file that does not unpack.
    #[error("{}: cannot be unpacked as {format}: {source}", path.display())]
    Unpack { path: PathBuf, format: &'static str, source: io::Error },
    /// The header says no.
    #[error("{}: {source}", path.display())]
    Header { path: PathBuf, source: HeaderError },
    /// Another kind of frame than the run's first.
    #[error(
        "{}: the image is {} pixels of {}, but this run's frames are {} of {}",
        path.display(), found.shape, found.pixel.name(), expected.shape, expected.pixel.name()
    )]
    OtherShape { path: PathBuf, found: Encoding, expected: Encoding },
}

impl CbfError {
    pub(super) fn header(path: &Path, source: HeaderError) -> CbfError {
        CbfError::Header { path: path.to_path_buf(), source }
    }

    /// What the output's `frame_status` says of a frame with this fault.
    pub fn status(&self) -> FrameStatus {
        match self {
            CbfError::Unreadable { .. } | CbfError::Unpack { .. } => FrameStatus::Unreadable,
            CbfError::Header { source: HeaderError::Truncated { .. }, .. } => FrameStatus::Truncated,
            CbfError::Header { .. } => FrameStatus::BadHeader,
            CbfError::OtherShape { .. } => FrameStatus::OtherShape,
        }
    }

    /// The same as data: the frame that cannot be reduced.
    pub fn bad_frame(&self, id: FrameId) -> BadFrame {
        BadFrame { id, status: self.status(), message: self.to_string() }
    }
}
