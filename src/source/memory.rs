//! Frames that are in memory: what a program has, or makes as it goes, as a source.
//!
//! A [`MemorySource`] asks its `frames` for one image after the other (plain pixels, little endian, C order) and copies it into a
//! slot. The end may be unknown, and may never come; `frames` may say that nothing is there yet.

use std::iter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use super::facts::DetectorFacts;
use super::{About, Frames, Next, Place, Reader, Source, SourceError, TICK, Ticket};
use crate::frame::{
    BadFrame, Codec, Encoding, Frame, FrameHeader, FrameId, FrameStatus, Origin, PixelType, Shape, SlotPool,
    Slots,
};

/// What is in memory when the next image is asked for.
pub enum Arrival {
    /// The bytes of one.
    Bytes(Vec<u8>),
    /// None yet.
    NotYet,
    /// None any more.
    End,
}

/// Images by their number.
pub type Images = Box<dyn FnMut(usize) -> Arrival + Send>;

/// Images in memory.
pub struct MemorySource {
    about: Arc<About>,
    images: Images,
    given: usize,
    /// All of them, where they stay.
    kept: Option<Arc<[Vec<u8>]>>,
}

impl MemorySource {
    /// Images of one shape and pixel type; `count` of them, if that is known.
    pub fn new(shape: Shape, pixel: PixelType, count: Option<usize>, images: Images) -> MemorySource {
        MemorySource { about: Arc::new(about(shape, pixel, count)), images, given: 0, kept: None }
    }

    /// These images, in this order.
    pub fn of(shape: Shape, pixel: PixelType, images: Vec<Vec<u8>>) -> MemorySource {
        let count = Some(images.len());
        let mut left = images.into_iter();
        let next = move |_| left.next().map_or(Arrival::End, Arrival::Bytes);
        MemorySource::new(shape, pixel, count, Box::new(next))
    }

    /// So many images, which begin again at the first after the last.
    fn laps(shape: Shape, pixel: PixelType, kept: Arc<[Vec<u8>]>, count: usize) -> MemorySource {
        let images = Arc::clone(&kept);
        let image = move |number: usize| match number < count && !images.is_empty() {
            true => Arrival::Bytes(images[number % images.len()].clone()),
            false => Arrival::End,
        };
        MemorySource { kept: Some(kept), ..MemorySource::new(shape, pixel, Some(count), Box::new(image)) }
    }
}

/// Images in memory that can be walked any number of times.
pub struct MemoryFrames {
    about: Arc<About>,
    images: Arc<[Vec<u8>]>,
}

impl MemoryFrames {
    /// These images, in this order: plain pixels, little endian, C order.
    pub fn new(shape: Shape, pixel: PixelType, images: Vec<Vec<u8>>) -> MemoryFrames {
        let about = about(shape, pixel, Some(images.len()));
        MemoryFrames { about: Arc::new(about), images: images.into() }
    }
}

impl Frames for MemoryFrames {
    fn about(&self) -> &Arc<About> {
        &self.about
    }

    fn count(&self) -> usize {
        self.images.len()
    }

    fn files(&self) -> &[PathBuf] {
        &[]
    }

    fn origin(&self, frame: usize) -> Origin {
        origin(frame)
    }

    fn source(&self, frames: usize, _: bool) -> Box<dyn Source> {
        let Encoding { shape, pixel, .. } = self.about.encoding;
        Box::new(MemorySource::laps(shape, pixel, Arc::clone(&self.images), frames))
    }
}

fn about(shape: Shape, pixel: PixelType, count: Option<usize>) -> About {
    About {
        encoding: Encoding { codec: Codec::Raw, pixel, shape },
        undone: None,
        count,
        slot_bytes: shape.pixels() * pixel.size(),
        columns: Arc::default(),
        header: FrameHeader::default(),
        facts: DetectorFacts::default(),
    }
}

fn origin(image: usize) -> Origin {
    Origin { file: Path::new("memory").into(), image: Some(image) }
}

impl Source for MemorySource {
    fn about(&mut self) -> Result<Option<Arc<About>>, SourceError> {
        Ok(Some(Arc::clone(&self.about)))
    }

    fn next(&mut self, packed: &SlotPool) -> Result<Next, SourceError> {
        // Without a slot nothing is asked for: a slow end of the corridor reaches whoever makes the images.
        let Some(mut slot) = packed.take_for(TICK) else { return Ok(Next::Quiet) };
        let id = self.given;
        let bytes = match (self.images)(id) {
            Arrival::Bytes(bytes) => bytes,
            Arrival::NotYet => {
                drop(slot);
                thread::sleep(TICK);
                return Ok(Next::Quiet);
            }
            Arrival::End => return Ok(Next::End),
        };
        self.given += 1;
        let wanted = self.about.slot_bytes;
        if bytes.len() != wanted {
            let Encoding { shape, pixel, .. } = self.about.encoding;
            let message =
                format!("image {id}: {} bytes, {shape} pixels of {} are {wanted}", bytes.len(), pixel.name());
            return Ok(Next::Bad(BadFrame { id: FrameId(id), status: FrameStatus::OtherShape, message }));
        }
        let memory = slot.memory_mut();
        memory.grow(wanted).map_err(|cause| SourceError {
            origin: format!("image {id}"),
            cause: format!("no memory for its {wanted} bytes: {cause}"),
        })?;
        memory.bytes_mut()[..wanted].copy_from_slice(&bytes);
        Ok(Next::Read(Ticket {
            ids: id..id + 1,
            place: Place::Held { slot: Arc::new(slot), parts: iter::once(0..wanted).collect() },
        }))
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(HeldReader { about: Arc::clone(&self.about) })
    }

    fn again(&self) -> Option<Box<dyn Source>> {
        let Encoding { shape, pixel, .. } = self.about.encoding;
        let (kept, count) = (self.kept.as_ref()?, self.about.count?);
        Some(Box::new(MemorySource::laps(shape, pixel, Arc::clone(kept), count)))
    }
}

/// Hands on what a slot holds already.
pub struct HeldReader {
    /// What the frames are.
    pub about: Arc<About>,
}

impl Reader for HeldReader {
    fn read(&mut self, ticket: Ticket, _: &mut Slots<'_>, out: &mut dyn FnMut(Result<Frame, BadFrame>)) {
        let Ticket { ids, place: Place::Held { slot, parts } } = ticket else {
            return ticket.refuse("nobody holds it", out);
        };
        for (id, payload) in ids.zip(parts) {
            out(Ok(Frame {
                id: FrameId(id),
                origin: origin(id),
                encoding: self.about.encoding,
                slot: Arc::clone(&slot),
                payload,
                header: self.about.header.clone(),
                factor: 1.0,
            }));
        }
    }
}
