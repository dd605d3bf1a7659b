//! Calibration images: masks, dark currents and flat fields, as every tool around pyFAI writes them.
//!
//! [`read_image`] reads NumPy (`.npy`), EDF, TIFF, CBF and HDF5 (`file.h5::/path/to/dataset`) into one [`Image`] of f64.
//! What a file is, its first bytes say, not its name; `.gz` and `.bz2` around any of them are seen through in the same
//! way. Every pixel type of the field is read, in either byte order, and f64 holds all of them exactly (64-bit integers up
//! to 2⁵³).
//!
//! An image is one image: where FabIO silently takes the first of several, this refuses and says how many there are,
//! because the first frame of a dark series is rarely what was meant. For HDF5 one of them can be chosen, counted from
//! 0: `file.h5::/entry/data[3]`. A group stands for its signal (`@signal`, else `data`), as in FabIO.
mod cbf;
mod edf;
mod hdf;
mod npy;
mod number;
mod tif;

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::frame::Shape;

/// An image read from a file, as numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Its size.
    pub shape: Shape,
    /// Its pixels in C order, `shape.pixels()` of them.
    pub data: Vec<f64>,
}

/// Why an image could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file could not be opened or read.
    #[error("{path}: cannot be read: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// There is nothing in the file.
    #[error("{path}: the file is empty")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The first bytes are none of a known format.
    #[error(
        "{path}: not a kind of image that is known. Give NumPy (.npy), EDF, TIFF, CBF or HDF5 (file.h5::/path)"
    )]
    UnknownKind {
        /// The file.
        path: PathBuf,
    },
    /// An HDF5 file without the name of a dataset, or another file with one.
    #[error("{path}: {problem}")]
    Name {
        /// The file.
        path: PathBuf,
        /// What is wrong with the name and what would be right.
        problem: String,
    },
    /// The file contradicts itself or its format.
    #[error("{path}: not a usable {format} file: {problem}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: &'static str,
        /// What is wrong, and where.
        problem: String,
    },
    /// More images than one.
    #[error("{path}: there are {count} images in it and one is wanted. {remedy}")]
    Several {
        /// The file.
        path: PathBuf,
        /// How many.
        count: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Not two dimensions.
    #[error("{path}: an image has two dimensions, this has the shape {shape:?}")]
    NotAnImage {
        /// The file.
        path: PathBuf,
        /// What it has.
        shape: Vec<usize>,
    },
}

/// What goes wrong inside one format, before the path is added.
enum Trouble {
    Malformed(String),
    Several(String),
    Shape(Vec<usize>),
}

impl Trouble {
    fn of(self, path: &Path, format: &'static str) -> ImageError {
        let path = path.to_path_buf();
        match self {
            Trouble::Malformed(problem) => ImageError::Malformed { path, format, problem },
            Trouble::Shape(shape) => ImageError::NotAnImage { path, shape },
            Trouble::Several(count) => {
                let remedy = match format {
                    "HDF5" => "Choose one: file.h5::/path[0], or average them first",
                    _ => "Save the one that is wanted in a file of its own, or average them first",
                };
                ImageError::Several { path, count, remedy }
            }
        }
    }
}

impl From<String> for Trouble {
    fn from(problem: String) -> Self {
        Trouble::Malformed(problem)
    }
}

impl From<&str> for Trouble {
    fn from(problem: &str) -> Self {
        Trouble::Malformed(problem.into())
    }
}

/// Reads an image: `mask.npy`, `dark.edf.gz`, `flat.tif`, `frame.cbf`, `file.h5::/path` or `file.h5::/path[3]`.
///
/// # Errors
/// See [`ImageError`].
pub fn read_image(name: &str) -> Result<Image, ImageError> {
    match name.split_once("::") {
        Some((file, dataset)) if !Path::new(name).exists() => {
            let path = Path::new(file);
            // A sentence from the operating system is better than HDF5's.
            let mut magic = Vec::new();
            fs::File::open(path)
                .and_then(|file| file.take(8).read_to_end(&mut magic))
                .map_err(|cause| ImageError::Unreadable { path: path.into(), cause })?;
            if magic.is_empty() {
                return Err(ImageError::Empty { path: path.into() });
            }
            hdf::read(path, dataset).map_err(|trouble| trouble.of(Path::new(name), "HDF5"))
        }
        _ => read_file(Path::new(name)),
    }
}

fn read_file(path: &Path) -> Result<Image, ImageError> {
    let unreadable = |cause| ImageError::Unreadable { path: path.into(), cause };
    let bytes = fs::read(path).and_then(unpack).map_err(unreadable)?;
    if bytes.is_empty() {
        return Err(ImageError::Empty { path: path.into() });
    }
    match bytes.as_slice() {
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => npy::read(&bytes).map_err(|t| t.of(path, "NumPy")),
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => {
            tif::read(&bytes).map_err(|t| t.of(path, "TIFF"))
        }
        [0x89, b'H', b'D', b'F', ..] => Err(ImageError::Name {
            path: path.into(),
            problem: "an HDF5 file needs the name of a dataset: file.h5::/path/to/dataset".into(),
        }),
        [b'#', b'#', b'#', ..] => cbf::read(&bytes).map_err(|t| t.of(path, "CBF")),
        _ if bytes.trim_ascii_start().first() == Some(&b'{') => {
            edf::read(&bytes).map_err(|t| t.of(path, "EDF"))
        }
        _ => Err(ImageError::UnknownKind { path: path.into() }),
    }
}

/// Sees through gzip and bzip2.
fn unpack(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    match bytes.as_slice() {
        [0x1f, 0x8b, ..] => flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut plain)?,
        [b'B', b'Z', b'h', ..] => {
            bzip2::read::MultiBzDecoder::new(bytes.as_slice()).read_to_end(&mut plain)?
        }
        _ => return Ok(bytes),
    };
    Ok(plain)
}

/// The bytes of one image as numbers; `bytes` may be longer than the image.
fn image(
    bytes: &[u8],
    shape: Shape,
    number: number::Number,
    order: number::ByteOrder,
) -> Result<Image, Trouble> {
    let wanted = shape.slow.checked_mul(shape.fast).and_then(|n| n.checked_mul(number.size()));
    match wanted.and_then(|wanted| bytes.get(..wanted)) {
        Some(bytes) => Ok(Image { shape, data: number.read(bytes, order) }),
        None => Err(format!(
            "{shape} pixels of {} bytes do not fit into the {} bytes that are there",
            number.size(),
            bytes.len()
        )
        .into()),
    }
}
