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
mod hdf;

use std::io::{self, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use super::plain::{self, Flaw, Format, Packed, at_most};
use crate::budget::{self, OverBudget};
use crate::files;
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
    /// Another size than the frames have.
    #[error("{path}: it has {found} pixels, the frames have {wanted}")]
    OtherShape {
        /// The file.
        path: PathBuf,
        /// What it has.
        found: Shape,
        /// What is wanted.
        wanted: Shape,
    },
    /// More than an image takes, or than memory holds.
    #[error("{path}: {problem}")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What was asked for, and what is allowed.
        problem: String,
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
    Other { found: Shape, wanted: Shape },
    TooLarge(String),
}

impl Trouble {
    fn of(self, path: &Path, format: &'static str) -> ImageError {
        let path = path.to_path_buf();
        match self {
            Trouble::Malformed(problem) => {
                // It may quote what the file says of itself.
                let problem = files::shown(&problem, &[]).into_owned();
                ImageError::Malformed { path, format, problem }
            }
            Trouble::Shape(shape) => ImageError::NotAnImage { path, shape },
            Trouble::Other { found, wanted } => ImageError::OtherShape { path, found, wanted },
            Trouble::TooLarge(problem) => ImageError::TooLarge { path, problem },
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

impl From<Flaw> for Trouble {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Unreadable(problem) | Flaw::Malformed(problem) | Flaw::Truncated(problem) => {
                Trouble::Malformed(problem)
            }
            Flaw::Dimensions(shape) => Trouble::Shape(shape),
            Flaw::TooLarge(problem) => Trouble::TooLarge(problem),
        }
    }
}

impl From<OverBudget> for Trouble {
    fn from(cause: OverBudget) -> Self {
        Trouble::TooLarge(cause.to_string())
    }
}

/// What is wanted of an image, so that nothing is taken for one that is of no use.
#[derive(Debug, Clone, Copy)]
struct Wanted(Option<Shape>);

impl Wanted {
    /// What a file may hold beside its pixels: headers, tables, padding.
    const BESIDE: u64 = 64 << 20;

    /// Called with the size that a header claims, before memory is taken for its pixels.
    fn claim(self, found: Shape) -> Result<(), Trouble> {
        match self.0 {
            Some(wanted) if wanted != found => Err(Trouble::Other { found, wanted }),
            _ => Ok(budget::allow(
                format_args!("an image of {found} pixels"),
                budget::bytes_of(&[found.slow, found.fast], size_of::<f64>()),
            )?),
        }
    }

    /// Most bytes that its file may have, unpacked: the largest pixels, twice; or what memory allows.
    fn longest(self) -> u64 {
        match self.0 {
            Some(shape) => Wanted::BESIDE.saturating_add(budget::bytes_of(&[shape.slow, shape.fast], 16)),
            None => budget::allowed().bytes,
        }
    }

    /// Why a longer file is not read.
    fn too_long(self, longest: u64) -> String {
        let longest = budget::size(longest);
        match self.0 {
            Some(shape) => format!(
                "it is longer than {longest} (unpacked), which one image of {shape} pixels never is; is it a series?"
            ),
            None => format!("it is longer than the {longest} of memory that are allowed here"),
        }
    }
}

/// Reads an image: `mask.npy`, `dark.edf.gz`, `flat.tif`, `frame.cbf`, `file.h5::/path` or `file.h5::/path[3]`.
///
/// # Errors
/// See [`ImageError`].
pub fn read_image(name: &str) -> Result<Image, ImageError> {
    read(name, Wanted(None))
}

/// As [`read_image`], for an image that must be of this size: any other is refused before memory is taken for its pixels.
///
/// # Errors
/// See [`ImageError`].
pub fn read_image_of(name: &str, shape: Shape) -> Result<Image, ImageError> {
    read(name, Wanted(Some(shape)))
}

fn read(name: &str, wanted: Wanted) -> Result<Image, ImageError> {
    match name.split_once("::") {
        Some((file, dataset)) if !Path::new(name).exists() => {
            let path = Path::new(file);
            // A sentence from the operating system is better than HDF5's.
            let magic =
                files::start(path, 8).map_err(|cause| ImageError::Unreadable { path: path.into(), cause })?;
            if magic.is_empty() {
                return Err(ImageError::Empty { path: path.into() });
            }
            hdf::read(path, dataset, wanted).map_err(|trouble| trouble.of(Path::new(name), "HDF5"))
        }
        _ => read_file(Path::new(name), wanted),
    }
}

fn read_file(path: &Path, wanted: Wanted) -> Result<Image, ImageError> {
    let bytes = bytes_of(path, wanted)?;
    if bytes.is_empty() {
        return Err(ImageError::Empty { path: path.into() });
    }
    match (bytes.as_slice(), Format::of(&bytes)) {
        (bytes, Some(format)) => only_image(bytes, format, wanted).map_err(|t| t.of(path, format.name())),
        ([0x89, b'H', b'D', b'F', ..], None) => Err(ImageError::Name {
            path: path.into(),
            problem: "an HDF5 file needs the name of a dataset: file.h5::/path/to/dataset".into(),
        }),
        ([b'#', b'#', b'#', ..], None) => cbf::read(&bytes, wanted).map_err(|t| t.of(path, "CBF")),
        _ => Err(ImageError::UnknownKind { path: path.into() }),
    }
}

/// The only image of a TIFF, EDF or npy.
fn only_image(bytes: &[u8], format: Format, wanted: Wanted) -> Result<Image, Trouble> {
    let (mut first, mut count) = (None, 0_usize);
    plain::look(&bytes, format, &mut |found| {
        count = count.saturating_add(found.images);
        first.get_or_insert(found.picture);
        Ok(true)
    })?;
    let picture = first.filter(|_| count == 1).ok_or_else(|| Trouble::Several(count.to_string()))?;
    picture.is_there(&bytes)?;
    wanted.claim(picture.shape)?;
    let mut pixels = vec![0; picture.shape.pixels() * picture.number.size()];
    picture.load(&bytes, &mut pixels)?;
    Ok(Image { shape: picture.shape, data: picture.number.read(&pixels) })
}

/// The bytes of a file, unpacked when it is gzip or bzip2; of an HDF5 file, which is read by name, only the first.
fn bytes_of(path: &Path, wanted: Wanted) -> Result<Vec<u8>, ImageError> {
    let unreadable = |cause| ImageError::Unreadable { path: path.into(), cause };
    let mut file = files::open(path).map_err(unreadable)?;
    let mut start = Vec::new();
    (&mut file).take(8).read_to_end(&mut start).map_err(unreadable)?;
    if start.starts_with(b"\x89HDF") {
        return Ok(start);
    }
    let longest = wanted.longest();
    let packed = Packed::of(&start);
    let whole = BufReader::new(Cursor::new(start).chain(file));
    let bytes = match packed {
        Some(packed) => packed.unpack(whole, longest),
        None => at_most(longest, whole),
    };
    bytes
        .map_err(unreadable)?
        .ok_or_else(|| ImageError::TooLarge { path: path.into(), problem: wanted.too_long(longest) })
}
