//! TIFF, EDF and NumPy's npy: where in a file the pixels of its images are, and how they are written.
//!
//! ```text
//!   file ─Content─▶ bytes from any place ─look─▶ PictureRun: shape, number type, place, what the header says
//!                                                  │
//!                                    Picture::load ▼ little-endian pixels in C order, in memory of the caller's
//! ```
//!
//! What a file is, its first bytes say, not its name. Both those who want one image as numbers (`image`) and those who read a scan
//! (`series`) look at headers here, so that a format is told in one place. Nothing here believes a size that the file does not have.
mod content;
mod edf;
mod npy;
mod number;
mod tiff;

use std::fmt;
use std::io::{self, Read};

pub use content::{Content, Packed, PixelStorage, Walk, at_most};
pub use edf::EdfHeader;
pub use number::{ByteOrder, NumberType, widen};
pub use tiff::TiffWords;

use crate::budget::{self, OverBudget};
use crate::files;
use crate::frame::{FrameStatus, Shape};

/// A kind of image file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// TIFF, BigTIFF too.
    Tiff,
    /// EDF, the format of the ESRF.
    Edf,
    /// NumPy's own.
    Npy,
}

impl Format {
    /// Told by the first bytes; `None` when it is none of these.
    pub fn of(start: &[u8]) -> Option<Format> {
        match start {
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Some(Format::Npy),
            [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some(Format::Tiff),
            // What has a quote behind the bracket is JSON.
            _ => match start.trim_ascii_start().strip_prefix(b"{")?.trim_ascii_start() {
                [b'"' | b'}', ..] => None,
                _ => Some(Format::Edf),
            },
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Tiff => "TIFF",
            Format::Edf => "EDF",
            Format::Npy => "NumPy",
        }
    }
}

/// What is wrong with a file or an image in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// The system, or what unpacks it, says no.
    Unreadable(String),
    /// It contradicts itself or its format.
    Malformed(String),
    /// It ends before its pixels do.
    Truncated(String),
    /// It has this shape, which is not that of images.
    Dimensions(Vec<usize>),
    /// It needs more memory than there is.
    TooLarge(String),
}

impl Flaw {
    /// What the output's `frame_status` says of a frame with this flaw.
    pub fn status(&self) -> FrameStatus {
        match self {
            Flaw::Unreadable(_) => FrameStatus::Unreadable,
            Flaw::Truncated(_) => FrameStatus::Truncated,
            Flaw::Malformed(_) | Flaw::Dimensions(_) | Flaw::TooLarge(_) => FrameStatus::BadHeader,
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::Dimensions(shape) => {
                write!(f, "an image has two dimensions, this has the shape {shape:?}")
            }
            // They may quote what the file says of itself.
            Flaw::Unreadable(what) | Flaw::Malformed(what) | Flaw::Truncated(what) | Flaw::TooLarge(what) => {
                f.write_str(&files::shown(what, &[]))
            }
        }
    }
}

impl From<io::Error> for Flaw {
    fn from(cause: io::Error) -> Flaw {
        Flaw::Unreadable(format!("cannot be read: {cause}"))
    }
}

impl From<String> for Flaw {
    fn from(problem: String) -> Flaw {
        Flaw::Malformed(problem)
    }
}

impl From<&str> for Flaw {
    fn from(problem: &str) -> Flaw {
        Flaw::Malformed(problem.into())
    }
}

impl From<OverBudget> for Flaw {
    fn from(cause: OverBudget) -> Flaw {
        Flaw::TooLarge(cause.to_string())
    }
}

/// An image in a file: its size, its numbers and where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Its size.
    pub shape: Shape,
    /// What a pixel is.
    pub number: NumberType,
    /// Which of its bytes comes first.
    pub order: ByteOrder,
    /// Where they are.
    pub pixels: Pixels,
}

/// Where the pixels of an image are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pixels {
    /// In C order, from this byte on.
    At(u64),
    /// In Fortran's order, from this byte on: the file has the image turned.
    Turned(u64),
    /// In C order, after these bytes are unpacked.
    Blob {
        /// The first of them.
        at: u64,
        /// How many there are.
        length: u64,
        /// How they are packed.
        packing: Packing,
    },
    /// In strips or tiles of this page of a TIFF, packed or scattered.
    Page(usize),
}

/// How an EDF packs a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// gzip.
    Gzip,
    /// bzip2.
    Bzip2,
    /// zlib.
    Zlib,
}

impl Pixels {
    /// What they are packed with, or scattered in, in a word.
    pub fn packing(&self) -> Option<&'static str> {
        match self {
            Pixels::At(_) | Pixels::Turned(_) => None,
            Pixels::Blob { packing: Packing::Gzip, .. } => Some("gzip"),
            Pixels::Blob { packing: Packing::Bzip2, .. } => Some("bzip2"),
            Pixels::Blob { packing: Packing::Zlib, .. } => Some("zlib"),
            Pixels::Page(_) => Some("strips or tiles of a TIFF"),
        }
    }
}

impl Picture {
    /// Bytes of its pixels, or as many as a number can say.
    pub fn bytes(&self) -> u64 {
        budget::bytes_of(&[self.shape.slow, self.shape.fast], self.number.size())
    }

    /// Puts the pixels into memory of [`bytes`](Picture::bytes) bytes: little-endian, in C order.
    ///
    /// # Errors
    /// When they are not there, or cannot be unpacked.
    pub fn load(&self, from: &dyn PixelStorage, into: &mut [u8]) -> Result<(), Flaw> {
        if into.len() as u64 != self.bytes() {
            return Err(Flaw::TooLarge(format!("{} pixels are not {} bytes", self.shape, into.len())));
        }
        match self.pixels {
            Pixels::At(at) => self.read_all(from, at, into)?,
            Pixels::Turned(at) => {
                budget::allow(format_args!("an image of {} pixels", self.shape), self.bytes())?;
                let mut turned = vec![0; into.len()];
                self.read_all(from, at, &mut turned)?;
                turn(&turned, self.shape, self.number.size(), into);
            }
            Pixels::Blob { at, length, packing } => self.unpack(from, at, length, packing, into)?,
            Pixels::Page(page) => tiff::load(from, page, self, into)?,
        }
        if self.order == ByteOrder::Big {
            self.number.swap(into);
        }
        Ok(())
    }

    /// Sees that a file is long enough for the pixels, where that can be seen.
    ///
    /// # Errors
    /// [`Flaw::Truncated`].
    pub fn is_there(&self, from: &dyn PixelStorage) -> Result<(), Flaw> {
        match self.pixels {
            Pixels::At(at) | Pixels::Turned(at) => match from.length().saturating_sub(at) {
                left if left < self.bytes() => Err(self.short(left)),
                _ => Ok(()),
            },
            Pixels::Blob { .. } | Pixels::Page(_) => Ok(()),
        }
    }

    /// Fills `into` from a byte on.
    fn read_all(&self, from: &dyn PixelStorage, at: u64, into: &mut [u8]) -> Result<(), Flaw> {
        self.is_there(from)?;
        match from.read_at(at, into)? {
            count if count == into.len() => Ok(()),
            count => Err(self.short(count as u64)),
        }
    }

    fn short(&self, there: u64) -> Flaw {
        Flaw::Truncated(format!(
            "{} pixels of {} bytes do not fit into the {there} bytes that are there; is it still being written?",
            self.shape,
            self.number.size()
        ))
    }

    fn unpack(
        &self,
        from: &dyn PixelStorage,
        at: u64,
        length: u64,
        packing: Packing,
        into: &mut [u8],
    ) -> Result<(), Flaw> {
        let blob = io::BufReader::new(Walk::new(from, at).take(length));
        let done = match packing {
            Packing::Gzip => fill(flate2::bufread::MultiGzDecoder::new(blob), into),
            Packing::Bzip2 => fill(bzip2::bufread::MultiBzDecoder::new(blob), into),
            Packing::Zlib => fill(flate2::bufread::ZlibDecoder::new(blob), into),
        };
        match done {
            Ok(count) if count == into.len() => Ok(()),
            Ok(count) => Err(self.short(count as u64)),
            Err(cause) => {
                let what = format!("its {} compression cannot be undone: {cause}", packing.name());
                let ends = at.saturating_add(length) > from.length();
                Err(if ends { Flaw::Truncated(what) } else { Flaw::Malformed(what) })
            }
        }
    }
}

impl Packing {
    fn name(self) -> &'static str {
        match self {
            Packing::Gzip => "GZIP",
            Packing::Bzip2 => "BZIP2",
            Packing::Zlib => "ZLIB",
        }
    }
}

/// Fills `into` as far as there is something to read.
fn fill(mut from: impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < into.len() {
        match from.read(&mut into[done..]) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Pixels of `size` bytes, column after column, as rows of an image of that shape.
fn turn(turned: &[u8], Shape { slow, fast }: Shape, size: usize, into: &mut [u8]) {
    for (number, pixel) in into.chunks_exact_mut(size).enumerate() {
        let from = (number % fast * slow + number / fast) * size;
        pixel.copy_from_slice(&turned[from..from + size]);
    }
}

/// One image of a file, or several that lie one after the other.
#[derive(Debug)]
pub struct PictureRun {
    /// The first.
    pub picture: Picture,
    /// How many there are; 0 when an array has none.
    pub images: usize,
    /// What else the header says.
    pub says: Says,
}

impl PictureRun {
    /// One of them.
    pub fn image(&self, number: usize) -> Picture {
        nth(&self.picture, number)
    }
}

/// The image that lies so many images behind `first`.
pub fn nth(first: &Picture, number: usize) -> Picture {
    let pixels = match first.pixels {
        Pixels::At(at) => Pixels::At(at.saturating_add(first.bytes().saturating_mul(number as u64))),
        other => other,
    };
    Picture { pixels, ..first.clone() }
}

/// What a header says beside where the pixels are.
#[derive(Debug)]
pub enum Says {
    /// Nothing.
    Nothing,
    /// Keys and values.
    Edf {
        /// Where the header begins.
        at: u64,
        /// The header.
        header: EdfHeader,
    },
    /// What a detector wrote into a TIFF.
    Tiff(TiffWords),
}

/// Looks at the headers of a file, and gives each that has images to `each`, which says whether to go on.
///
/// # Errors
/// What is wrong with the first header that is not right; those before it have been given.
pub fn look(
    from: &dyn PixelStorage,
    format: Format,
    each: &mut dyn FnMut(PictureRun) -> Result<bool, Flaw>,
) -> Result<(), Flaw> {
    match format {
        Format::Npy => npy::look(from).and_then(each).map(|_| ()),
        Format::Edf => edf::look(from, each),
        Format::Tiff => tiff::look(from, each),
    }
}

/// Reads the EDF header that begins at a byte.
///
/// # Errors
/// When there is none any more.
pub fn edf_header(from: &dyn PixelStorage, at: u64) -> Result<EdfHeader, Flaw> {
    edf::header_at(from, at, true)?.map(|(header, _)| header).ok_or_else(|| "its header is gone".into())
}
