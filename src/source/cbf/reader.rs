//! Reads CBF files into slots.
//!
//! One open, one fstat, one fcntl, and reads straight into the slot's memory: that is all a frame costs here beside its header (a few µs).
//! Files packed with gzip or bzip2 are known by their first bytes, whatever their name, and are unpacked into the slot. Nothing
//! is decoded: the frame leaves still packed with byte-offset.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;

use super::section::{BinarySection, Text};
use super::{CbfError, mini};
use crate::files;
use crate::frame::{
    BadFrame, Column, Encoding, Frame, FrameHeader, FrameId, Origin, Slot, SlotMemory, Slots,
};
use crate::source::{Place, Reader, Ticket};
use crate::trace;

/// The longest file that is read when nothing is known of the frames yet: 16 million pixels (the largest detectors) of 15 bytes,
/// and room to spare.
const LONGEST: usize = 1 << 30;

/// The longest code of a pixel.
const LONGEST_CODE: usize = 15;

/// What a file may hold beside its pixels, or hold of a frame of another size, which is then named.
const BESIDE: usize = 64 << 20;

/// The longest file, unpacked, that is read for a frame of this kind: readers take no more memory, whatever comes.
pub(super) fn longest(expected: Option<Encoding>) -> usize {
    let pixels = expected.map(|encoding| encoding.shape.pixels());
    pixels.map_or(LONGEST, |pixels| pixels.saturating_mul(LONGEST_CODE).saturating_add(BESIDE).min(LONGEST))
}

/// Reads CBF frames.
#[derive(Debug, Clone)]
pub struct CbfReader {
    expected: Option<Encoding>,
    verify: bool,
    columns: Arc<[Column]>,
    /// Bytes of a gz or bz2 file; kept so that its memory is used again.
    unpacked: Vec<u8>,
}

impl Default for CbfReader {
    fn default() -> CbfReader {
        CbfReader::new(None, false)
    }
}

impl CbfReader {
    /// A reader that takes frames of `expected` only (of any encoding when it is `None`).
    ///
    /// With `verify`, frames carry the Content-MD5 of their header, which whoever reduces them compares with their bytes.
    pub fn new(expected: Option<Encoding>, verify: bool) -> CbfReader {
        CbfReader { expected, verify, columns: mini::columns(), unpacked: Vec::new() }
    }

    /// The same, for these numbers of the headers.
    pub(super) fn reading(self, columns: Arc<[Column]>) -> CbfReader {
        CbfReader { columns, ..self }
    }

    fn fill(
        &mut self,
        id: FrameId,
        path: &Path,
        memory: &mut dyn SlotMemory,
    ) -> Result<(Encoding, std::ops::Range<usize>, FrameHeader), CbfError> {
        let length = load(path, memory, &mut self.unpacked, longest(self.expected))?;
        let file = &memory.bytes()[..length];
        let range = trace::header(id);
        let header = |source| CbfError::header(path, source);
        let text = Text::split(file).map_err(header)?;
        let section = BinarySection::parse(file, text.section).map_err(header)?;

        let mut frame = mini::frame_header(text.contents, &self.columns);
        if self.verify {
            frame.digest = section.digest().map_err(header)?;
        }
        drop(range);

        if let Some(expected) = self.expected.filter(|&expected| expected != section.encoding) {
            return Err(CbfError::OtherShape { path: path.to_path_buf(), found: section.encoding, expected });
        }
        Ok((section.encoding, section.payload, frame))
    }
}

impl CbfReader {
    /// Reads the frame in a file into a slot, which grows when the file needs more room.
    ///
    /// # Errors
    /// A [`BadFrame`] when there is no frame that could be reduced; the slot has then gone home.
    pub fn read_file(&mut self, id: FrameId, path: &Arc<Path>, mut slot: Slot) -> Result<Frame, BadFrame> {
        match self.fill(id, path, slot.memory_mut()) {
            Ok((encoding, payload, header)) => {
                let (origin, slot) = (Origin::file(Arc::clone(path)), Arc::new(slot));
                Ok(Frame { id, origin, encoding, slot, payload, header, factor: 1.0 })
            }
            Err(error) => Err(error.bad_frame(id)),
        }
    }
}

impl Reader for CbfReader {
    fn read(&mut self, ticket: Ticket, slots: &mut Slots<'_>, out: &mut dyn FnMut(Result<Frame, BadFrame>)) {
        let id = ticket.first();
        match &ticket.place {
            Place::File(path) => out(self.read_file(id, path, slots.take())),
            _ => ticket.refuse("not a file", out),
        }
    }
}

/// Reads a file into `memory`, unpacked when it is gz or bz2; returns its length, which is at most `most`.
pub(super) fn load(
    path: &Path,
    memory: &mut dyn SlotMemory,
    unpacked: &mut Vec<u8>,
    most: usize,
) -> Result<usize, CbfError> {
    let length = read_whole(path, memory, most)
        .map_err(|source| CbfError::Unreadable { path: path.to_path_buf(), source })?;
    let file = &memory.bytes()[..length];

    unpacked.clear();
    let (format, unpack) = if file.starts_with(b"\x1f\x8b") {
        ("gzip", unpack(MultiGzDecoder::new(file), unpacked, most))
    } else if file.starts_with(b"BZh") {
        ("bzip2", unpack(MultiBzDecoder::new(file), unpacked, most))
    } else {
        return Ok(length);
    };
    let length = unpacked.len();
    unpack.and_then(|()| memory.grow(length)).map_err(|source| CbfError::Unpack {
        path: path.to_path_buf(),
        format,
        source,
    })?;
    memory.bytes_mut()[..length].copy_from_slice(unpacked);
    Ok(length)
}

/// Reads a file that is as long as the system says when it is opened, or shorter.
fn read_whole(path: &Path, memory: &mut dyn SlotMemory, most: usize) -> io::Result<usize> {
    let mut file = files::open(path)?;
    let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    if length > most {
        return Err(io::Error::other(format!(
            "its {length} bytes are more than the {most} that are read of a frame; is it an HDF5 file?"
        )));
    }
    memory.grow(length)?;
    let buffer = &mut memory.bytes_mut()[..length];
    let mut done = 0;
    while done < length {
        match file.read(&mut buffer[done..]) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

fn unpack(reader: impl Read, unpacked: &mut Vec<u8>, most: usize) -> io::Result<()> {
    reader.take(most as u64 + 1).read_to_end(unpacked)?;
    if unpacked.len() > most {
        return Err(io::Error::other(format!(
            "it unpacks to more than the {most} bytes that are read of a frame"
        )));
    }
    Ok(())
}
