//! Reads listed frames into slots with `pread`, without a lock and without the library.
//!
//! A reader has few files open, those that it read last; scans have thousands. Places and sizes come out of files that may be
//! anything, so each is compared with the file and with what a frame can need before anything is read.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::index::{FramePlace, Holder};
use super::list::List;
use super::pipeline::{Between, Trouble};
use super::stack::{Access, Chunks, FrameKind, InFile, Stack};
use crate::codec::pixel::bytes_of;
use crate::files;
use crate::frame::{BadFrame, Codec, Encoding, Frame, FrameId, FrameStatus, PixelType, Slot, Slots};
use crate::h5::{Dataset, Opener};
use crate::source::{Place, Reader, Ticket};

/// Files that a reader keeps open: as many as detectors write to in turn.
const OPEN: usize = 8;

/// Reads the frames of a list.
pub(super) struct ListReader {
    list: Arc<List>,
    files: OpenFiles,
    memory: Memory,
    /// Frames of a slab that were unpacked together, or why not: part, slab.
    slab: Option<(u32, usize, Result<(), Trouble>)>,
    frames: Vec<u8>,
    /// What the library reads: part, dataset.
    library: Option<(u32, Dataset)>,
}

/// Memory that is used again from chunk to chunk.
#[derive(Default)]
struct Memory {
    packed: Vec<u8>,
    tile: Vec<u8>,
    between: Between,
}

/// The files that were read last, the last one at the end.
#[derive(Default)]
struct OpenFiles(Vec<(Arc<Path>, File)>);

impl OpenFiles {
    fn get(&mut self, path: &Arc<Path>) -> io::Result<&File> {
        match self.0.iter().rposition(|(open, _)| open == path) {
            Some(at) => self.0[at..].rotate_left(1),
            None => {
                let file = files::open(path)?;
                if self.0.len() >= OPEN {
                    self.0.remove(0);
                }
                self.0.push((Arc::clone(path), file));
            }
        }
        self.0.last().map(|(_, file)| file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Fills a buffer from a place in the file of a stack.
    fn read(&mut self, stack: &Stack, place: u64, buffer: &mut [u8]) -> Result<(), Trouble> {
        let file = self
            .get(&stack.file)
            .map_err(|cause| (FrameStatus::Unreadable, format!("cannot be read: {cause}")))?;
        file.read_exact_at(buffer, place).map_err(|cause| match cause.kind() {
            io::ErrorKind::UnexpectedEof => ends(stack, place, buffer.len() as u64),
            _ => (FrameStatus::Unreadable, format!("cannot be read: {cause}")),
        })
    }
}

fn ends(stack: &Stack, place: u64, size: u64) -> Trouble {
    let why = format!(
        "its {size} bytes begin at byte {place}, and the file has {}: it is not complete",
        stack.length
    );
    (FrameStatus::Truncated, why)
}

/// A frame that nobody wrote has a fill value instead of pixels, which is not data.
fn unwritten() -> Trouble {
    (FrameStatus::Unreadable, "it was never written: there is no chunk of it in the file".into())
}

/// A frame that `xrdct convert` had no image of.
fn blank() -> Trouble {
    (FrameStatus::Unreadable, "`xrdct convert` had no image of it: see frame_status in the stack".into())
}

fn no_memory(bytes: usize, cause: &io::Error) -> Trouble {
    (FrameStatus::Unreadable, format!("no memory for its {bytes} bytes: {cause}"))
}

impl ListReader {
    pub(super) fn new(list: Arc<List>) -> ListReader {
        ListReader {
            list,
            files: OpenFiles::default(),
            memory: Memory::default(),
            slab: None,
            frames: Vec::new(),
            library: None,
        }
    }

    /// Reads a frame into a slot: what it is packed with, and how many bytes it has.
    fn fill(&mut self, place: FramePlace, slot: &mut Slot) -> Result<(Codec, usize), Trouble> {
        let list = Arc::clone(&self.list);
        let stack = match &list.parts[place.part as usize] {
            Holder::Stack(stack) => stack,
            Holder::Absent { status, why, .. } => return Err((*status, why.clone())),
        };
        let (frame, bytes) = (place.frame as usize, stack.kind.bytes());
        let memory = slot.memory_mut();
        let mut room = |size: usize| {
            memory.grow(size).map_err(|cause| no_memory(size, &cause))?;
            Ok::<_, Trouble>(())
        };
        match &stack.access {
            Access::Together(None) => return Err(unwritten()),
            Access::Together(Some(_)) if stack.blank.binary_search(&frame).is_ok() => return Err(blank()),
            Access::Together(Some(first)) => {
                let at = (frame as u64).checked_mul(bytes as u64).and_then(|at| at.checked_add(*first));
                let at = at.filter(|at| at.saturating_add(bytes as u64) <= stack.length);
                let at =
                    at.ok_or_else(|| ends(stack, *first, (frame as u64 + 1).saturating_mul(bytes as u64)))?;
                room(bytes)?;
                self.files.read(stack, at, &mut memory.bytes_mut()[..bytes])?;
            }
            Access::Chunks(chunks) if stack.is_handed_on() => {
                let chunk = chunks.of(frame).next().flatten().ok_or_else(unwritten)?;
                if let Some(codec) = chunks.pipeline.codec(chunk.skipped) {
                    let size = checked(stack, chunks, chunk, bytes)?;
                    if codec == Codec::Raw && size != bytes {
                        let short = size < bytes;
                        let status = if short { FrameStatus::Truncated } else { FrameStatus::Overlong };
                        return Err((
                            status,
                            format!("its chunk has {size} bytes, and its pixels are {bytes}"),
                        ));
                    }
                    room(size)?;
                    self.files.read(stack, chunk.place, &mut memory.bytes_mut()[..size])?;
                    return Ok((codec, size));
                }
                checked(stack, chunks, chunk, bytes)?;
                room(bytes)?;
                let out = &mut memory.bytes_mut()[..bytes];
                self.memory.unpack(&mut self.files, stack, chunks, chunk, out)?;
            }
            Access::Chunks(chunks) => {
                let found = chunks.find(&stack.leading, frame);
                // All before any memory is taken for them.
                for chunk in chunks.of(found.slab) {
                    checked(
                        stack,
                        chunks,
                        chunk.ok_or_else(unwritten)?,
                        chunks.pixels() * stack.kind.pixel.size(),
                    )?;
                }
                room(bytes)?;
                let out = &mut memory.bytes_mut()[..bytes];
                if chunks.frames() == 1 {
                    self.memory.gather(&mut self.files, stack, chunks, found.slab, out)?;
                } else {
                    let is_there = matches!(self.slab, Some((part, slab, _)) if (part, slab) == (place.part, found.slab));
                    if !is_there {
                        self.slab = None;
                        self.frames.resize(chunks.frames() * bytes, 0);
                        let done =
                            self.memory.gather(&mut self.files, stack, chunks, found.slab, &mut self.frames);
                        self.slab = Some((place.part, found.slab, done));
                    }
                    if let Some((_, _, Err(trouble))) = &self.slab {
                        return Err(trouble.clone());
                    }
                    out.copy_from_slice(&self.frames[found.at * bytes..][..bytes]);
                }
            }
            Access::Library => {
                room(bytes)?;
                self.ask(place.part, stack, frame, &mut memory.bytes_mut()[..bytes])?;
                // In the order of this machine, whatever it was.
                return Ok((Codec::Raw, bytes));
            }
        }
        if stack.swapped {
            swap(stack.kind.pixel, &mut memory.bytes_mut()[..bytes]);
        }
        Ok((Codec::Raw, bytes))
    }

    /// Has the library read a frame.
    fn ask(&mut self, part: u32, stack: &Stack, frame: usize, out: &mut [u8]) -> Result<(), Trouble> {
        let unreadable = |cause: &dyn std::fmt::Display| {
            (
                FrameStatus::Unreadable,
                files::shown(&format!("`{}`: {cause}", stack.dataset), &[]).into_owned(),
            )
        };
        if self.library.as_ref().is_none_or(|(open, _)| *open != part) {
            self.library = None;
            let opened = Opener::default().open(&stack.file).map_err(|cause| unreadable(&cause))?;
            let dataset = opened.file.dataset(&stack.dataset).map_err(|cause| unreadable(&cause))?;
            self.library = Some((part, dataset));
        }
        let Some((_, dataset)) = &self.library else { return Ok(()) };
        let mut part: Vec<_> = stack
            .leading
            .iter()
            .rev()
            .scan(frame, |rest, &size| {
                let at = *rest % size;
                *rest /= size;
                Some(at..at + 1)
            })
            .collect();
        part.reverse();
        part.extend([0..stack.kind.shape.slow, 0..stack.kind.shape.fast]);
        macro_rules! read {
            ($($pixel:ident => $number:ty),*) => {
                match stack.kind.pixel {
                    $(PixelType::$pixel => dataset.read_part::<$number>(&part).map(|values| out.copy_from_slice(bytes_of(&values))),)*
                }
            };
        }
        let read = read!(I8 => i8, U8 => u8, I16 => i16, U16 => u16, I32 => i32, U32 => u32, I64 => i64, U64 => u64, F32 => f32, F64 => f64);
        // A child that did not survive says so of every other frame, at once.
        read.map_err(|cause| unreadable(&cause))
    }
}

/// Size of a chunk that lies in its file and is no longer than one can be.
fn checked(stack: &Stack, chunks: &Chunks, chunk: InFile, unpacked: usize) -> Result<usize, Trouble> {
    let most = chunks.pipeline.longest(unpacked);
    let size = usize::try_from(chunk.size).ok().filter(|&size| size <= most).ok_or_else(|| {
        let why = format!(
            "its chunk has {} bytes in the file, and {unpacked} bytes of pixels never need more than {most}",
            chunk.size
        );
        (FrameStatus::Overlong, why)
    })?;
    match chunk.place.checked_add(chunk.size).is_some_and(|end| end <= stack.length) {
        false => Err(ends(stack, chunk.place, chunk.size)),
        true if !chunks.pipeline.can_fill(size, unpacked) => {
            let why = format!("its chunk has {size} bytes in the file, which never unpack to {unpacked}");
            Err((FrameStatus::Truncated, why))
        }
        true => Ok(size),
    }
}

impl Memory {
    /// Reads a chunk and unpacks it.
    fn unpack(
        &mut self,
        files: &mut OpenFiles,
        stack: &Stack,
        chunks: &Chunks,
        chunk: InFile,
        out: &mut [u8],
    ) -> Result<(), Trouble> {
        let size = checked(stack, chunks, chunk, out.len())?;
        self.packed.resize(size, 0);
        files.read(stack, chunk.place, &mut self.packed)?;
        chunks.pipeline.unpack(chunk.skipped, &self.packed, out, &mut self.between)
    }

    /// Puts the frames of a slab together, in the order in which chunks have them.
    fn gather(
        &mut self,
        files: &mut OpenFiles,
        stack: &Stack,
        chunks: &Chunks,
        slab: usize,
        out: &mut [u8],
    ) -> Result<(), Trouble> {
        let FrameKind { pixel, shape } = stack.kind;
        let size = pixel.size();
        for (number, chunk) in chunks.of(slab).enumerate() {
            let chunk = chunk.ok_or_else(unwritten)?;
            if chunks.tile == shape {
                self.unpack(files, stack, chunks, chunk, out)?;
                continue;
            }
            let mut tile = std::mem::take(&mut self.tile);
            tile.resize(chunks.pixels() * size, 0);
            let unpacked = self.unpack(files, stack, chunks, chunk, &mut tile);
            self.tile = tile;
            unpacked?;
            // A tile at the edge reaches beyond the image.
            let row = number / chunks.tiles.fast * chunks.tile.slow;
            let column = number % chunks.tiles.fast * chunks.tile.fast;
            let rows = chunks.tile.slow.min(shape.slow - row);
            let width = chunks.tile.fast.min(shape.fast - column) * size;
            let frames = out.chunks_exact_mut(shape.pixels() * size);
            for (frame, piece) in frames.zip(self.tile.chunks_exact(chunks.tile.pixels() * size)) {
                for line in 0..rows {
                    let to = ((row + line) * shape.fast + column) * size;
                    frame[to..to + width].copy_from_slice(&piece[line * chunks.tile.fast * size..][..width]);
                }
            }
        }
        Ok(())
    }
}

/// Turns the bytes of each pixel round.
fn swap(pixel: PixelType, bytes: &mut [u8]) {
    match pixel.size() {
        2 => bytes.as_chunks_mut::<2>().0.iter_mut().for_each(|pixel| pixel.reverse()),
        4 => bytes.as_chunks_mut::<4>().0.iter_mut().for_each(|pixel| pixel.reverse()),
        8 => bytes.as_chunks_mut::<8>().0.iter_mut().for_each(|pixel| pixel.reverse()),
        _ => {}
    }
}

impl Reader for ListReader {
    fn read(&mut self, ticket: Ticket, slots: &mut Slots<'_>, out: &mut dyn FnMut(Result<Frame, BadFrame>)) {
        let Place::Listed(_) = ticket.place else { return ticket.refuse("not a number of a list", out) };
        for id in ticket.ids {
            // Whoever takes a ticket apart keeps the ids: they say which frames are meant, lap after lap.
            let listed = id % self.list.places.len().max(1);
            let Some(&place) = self.list.places.get(listed) else { continue };
            let (id, origin) = (FrameId(id), self.list.origin(place));
            let mut slot = slots.take();
            let filled = self.fill(place, &mut slot);
            out(match filled {
                Ok((codec, length)) => Ok(Frame {
                    id,
                    origin,
                    encoding: Encoding { codec, ..self.list.about.encoding },
                    slot: Arc::new(slot),
                    payload: 0..length,
                    header: self.list.numbers.header(listed),
                    factor: 1.0,
                }),
                Err((status, why)) => {
                    // It goes home before anybody hears of it.
                    drop(slot);
                    Err(BadFrame { id, status, message: format!("{origin}: {why}") })
                }
            });
        }
    }
}
