//! The bytes of a file, on the disk or unpacked in memory, read from any place.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::Flaw;
use crate::files;

/// Bytes of a file that are read when it is opened: most headers are shorter.
const START: usize = 8192;

/// Bytes, read from any place.
pub trait PixelStorage {
    /// How many there are.
    fn length(&self) -> u64;

    /// Fills `into` with the bytes from `at` on, as far as there are any; says how many that were.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize>;
}

impl PixelStorage for &[u8] {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(at).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// A file, open.
pub enum Content {
    /// As it is.
    Disk {
        /// The file.
        file: File,
        /// Its length when it was opened.
        length: u64,
        /// Its first bytes.
        start: Vec<u8>,
    },
    /// What a gz or bz2 file has inside.
    Unpacked(Packed, Vec<u8>),
}

impl Content {
    /// Opens a file; gz and bz2, which their first bytes tell, are unpacked, at most `most` bytes of them.
    ///
    /// # Errors
    /// When it cannot be read or unpacked, or is longer, unpacked, than that.
    pub fn open(path: &Path, most: u64) -> Result<Content, Flaw> {
        let file = files::open(path)?;
        let length = file.metadata()?.len();
        let mut start = vec![0; START.min(usize::try_from(length).unwrap_or(START))];
        let count = read_at(&file, 0, &mut start)?;
        start.truncate(count);
        match Packed::of(&start) {
            None => Ok(Content::Disk { file, length, start }),
            Some(packed) => match packed.unpack(BufReader::new(file), most) {
                Ok(Some(bytes)) => Ok(Content::Unpacked(packed, bytes)),
                Ok(None) => Err(Flaw::TooLarge(format!("it unpacks to more than {most} bytes"))),
                Err(cause) => {
                    Err(Flaw::Unreadable(format!("cannot be unpacked as {}: {cause}", packed.name())))
                }
            },
        }
    }

    /// Its first bytes.
    pub fn start(&self) -> &[u8] {
        match self {
            Content::Disk { start, .. } => start,
            Content::Unpacked(_, bytes) => bytes,
        }
    }

    /// What it was packed with.
    pub fn packed(&self) -> Option<Packed> {
        match self {
            Content::Disk { .. } => None,
            Content::Unpacked(packed, _) => Some(*packed),
        }
    }
}

impl PixelStorage for Content {
    fn length(&self) -> u64 {
        match self {
            Content::Disk { length, .. } => *length,
            Content::Unpacked(_, bytes) => bytes.len() as u64,
        }
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Content::Unpacked(_, bytes) => bytes.as_slice().read_at(at, into),
            Content::Disk { start, .. } if at.saturating_add(into.len() as u64) <= start.len() as u64 => {
                start.as_slice().read_at(at, into)
            }
            Content::Disk { file, .. } => read_at(file, at, into),
        }
    }
}

/// As many bytes as the file has.
fn read_at(file: &File, at: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < into.len() {
        let Some(at) = at.checked_add(done as u64).filter(|at| i64::try_from(*at).is_ok()) else { break };
        match file.read_at(&mut into[done..], at) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// What a whole file is packed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packed {
    /// gzip.
    Gz,
    /// bzip2.
    Bz2,
}

impl Packed {
    /// Told by the first bytes.
    pub fn of(start: &[u8]) -> Option<Packed> {
        match start {
            [0x1f, 0x8b, ..] => Some(Packed::Gz),
            [b'B', b'Z', b'h', ..] => Some(Packed::Bz2),
            _ => None,
        }
    }

    /// Its name, in a word.
    pub fn name(self) -> &'static str {
        match self {
            Packed::Gz => "gzip",
            Packed::Bz2 => "bzip2",
        }
    }

    /// All that it has inside; `None` when that is more than `most` bytes.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn unpack(self, packed: impl io::BufRead, most: u64) -> io::Result<Option<Vec<u8>>> {
        match self {
            Packed::Gz => at_most(most, flate2::bufread::MultiGzDecoder::new(packed)),
            Packed::Bz2 => at_most(most, bzip2::bufread::MultiBzDecoder::new(packed)),
        }
    }

    /// The first bytes of what it has inside; what is damaged has none.
    pub fn beginning(self, packed: &[u8], count: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ends_there = match self {
            Packed::Gz => flate2::bufread::MultiGzDecoder::new(packed).take(count).read_to_end(&mut bytes),
            Packed::Bz2 => bzip2::bufread::MultiBzDecoder::new(packed).take(count).read_to_end(&mut bytes),
        };
        bytes
    }
}

/// All that there is to read, unless it is more than `most` bytes.
///
/// # Errors
/// When reading fails.
pub fn at_most(most: u64, from: impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    from.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

/// Bytes of a [`PixelStorage`] that are read at once by a [`Walk`].
const WINDOW: usize = 4096;

/// A [`PixelStorage`] for those who read from where they are.
pub struct Walk<'a> {
    from: &'a dyn PixelStorage,
    at: u64,
    /// Bytes that were read already, and where they begin.
    window: Vec<u8>,
    window_at: u64,
}

impl<'a> Walk<'a> {
    /// Begins at a byte.
    pub fn new(from: &'a dyn PixelStorage, at: u64) -> Walk<'a> {
        Walk { from, at, window: Vec::new(), window_at: 0 }
    }

    /// What is there already.
    fn ready(&self) -> &[u8] {
        let offset = self.at.checked_sub(self.window_at).and_then(|offset| usize::try_from(offset).ok());
        offset.and_then(|offset| self.window.get(offset..)).unwrap_or_default()
    }
}

impl Read for Walk<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.ready().is_empty() {
            if into.len() >= WINDOW {
                let count = self.from.read_at(self.at, into)?;
                self.at += count as u64;
                return Ok(count);
            }
            self.window.resize(WINDOW, 0);
            let count = self.from.read_at(self.at, &mut self.window)?;
            self.window.truncate(count);
            self.window_at = self.at;
        }
        let ready = self.ready();
        let count = ready.len().min(into.len());
        into[..count].copy_from_slice(&ready[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Walk<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.from.length().checked_add_signed(by),
        };
        self.at = place.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}
