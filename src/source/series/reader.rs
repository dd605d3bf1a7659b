//! Reads images into slots.
//!
//! An image that lies in its file as it is costs one open (none, if the file is still open from the image before), a read of the
//! header's bytes and one of the pixels, straight into the slot. Everything else is unpacked into the slot.

use std::sync::Arc;

use super::SeriesList;
use super::list::{Holds, Said, Stretch, encoding_of, format_of};
use super::words::{edf_frame, frame_header};
use crate::budget;
use crate::frame::{BadFrame, Frame, FrameHeader, FrameId, FrameStatus, Slot, Slots};
use crate::source::plain::{Content, Flaw, NumberType, Picture, edf_header, look, nth, widen};
use crate::source::{Place, Reader, Ticket};
use crate::trace;

/// What a packed file may hold beside the pixels, or hold of a frame of another size, which is then named.
const BESIDE: u64 = 64 << 20;

/// Why there is no frame, and in which word.
type Refusal = (FrameStatus, String);

/// Reads the images of a series.
pub(super) struct SeriesReader {
    list: Arc<SeriesList>,
    /// A file with several images that was read last.
    open: Option<(usize, Content)>,
}

impl SeriesReader {
    pub(super) fn new(list: Arc<SeriesList>) -> SeriesReader {
        SeriesReader { list, open: None }
    }

    /// Reads the image of that number of all into a slot.
    fn fill(&mut self, id: FrameId, number: usize, slot: &mut Slot) -> Result<FrameHeader, Refusal> {
        let list = Arc::clone(&self.list);
        let gone = || (FrameStatus::Unreadable, format!("there is no image {number}"));
        let (piece, at) = list.album.find(number).ok_or_else(gone)?;
        match &piece.holds {
            Holds::Bad(status, why) => Err((*status, why.clone())),
            Holds::Unseen => self.unseen(id, piece.file, slot),
            Holds::Images(images) => self.seen(id, piece.file, images, at, slot),
        }
    }

    /// The only image of a file.
    fn unseen(&self, id: FrameId, file: usize, slot: &mut Slot) -> Result<FrameHeader, Refusal> {
        let album = &self.list.album;
        let longest = (self.list.about.slot_bytes as u64).saturating_mul(2).saturating_add(BESIDE);
        let content = Content::open(&album.files[file], longest).map_err(refusal)?;
        let range = trace::header(id);
        let format = format_of(&content, Some(album.format)).map_err(refusal)?;
        let (mut first, mut count) = (None, 0_usize);
        let looked = look(&content, format, &mut |found| {
            count = count.saturating_add(found.images);
            first.get_or_insert(found);
            Ok(count < 2)
        });
        let Some(found) = first.filter(|_| count > 0) else {
            return Err(refusal(looked.err().unwrap_or_else(|| "it has no images".into())));
        };
        if count > 1 || looked.is_err() {
            let why = "there are several images in it, and one in the first file of this run; files with several go first, or \
                       into a run of their own";
            return Err((FrameStatus::OtherShape, why.into()));
        }
        let header = frame_header(&found.says, &self.list.about.columns);
        drop(range);
        load(&self.list, &content, &found.picture, slot)?;
        Ok(header)
    }

    /// An image of a file that was looked at before.
    fn seen(
        &mut self,
        id: FrameId,
        file: usize,
        images: &Stretch,
        at: usize,
        slot: &mut Slot,
    ) -> Result<FrameHeader, Refusal> {
        let content = match self.open.take() {
            Some((open, content)) if open == file => content,
            _ => {
                let unpacked = images.unpacked.unwrap_or(0);
                let what = format_args!("{} unpacked", self.list.album.files[file].display());
                budget::allow(what, unpacked).map_err(|cause| refusal(cause.into()))?;
                Content::open(&self.list.album.files[file], unpacked).map_err(refusal)?
            }
        };
        let (_, content) = &*self.open.insert((file, content));
        let range = trace::header(id);
        let header = match &images.said {
            Said::Here(header) => header.clone(),
            Said::Edf(at) => edf_frame(&edf_header(content, *at).map_err(refusal)?, &self.list.about.columns),
        };
        drop(range);
        let picture = nth(&images.picture, at);
        load(&self.list, content, &picture, slot)?;
        Ok(header)
    }
}

/// Reads pixels into a slot.
fn load(list: &SeriesList, content: &Content, picture: &Picture, slot: &mut Slot) -> Result<(), Refusal> {
    let (found, expected) = (encoding_of(picture).map_err(refusal)?, list.album.encoding);
    if found != expected {
        let why = format!(
            "the image is {} pixels of {}, but this run's frames are {} of {}",
            found.shape,
            found.pixel.name(),
            expected.shape,
            expected.pixel.name()
        );
        return Err((FrameStatus::OtherShape, why));
    }
    picture.is_there(content).map_err(refusal)?;
    let bytes = list.about.slot_bytes;
    let memory = slot.memory_mut();
    memory.grow(bytes).map_err(|cause| {
        (FrameStatus::Unreadable, format!("no memory for its {bytes} bytes of pixels: {cause}"))
    })?;
    let pixels = &mut memory.bytes_mut()[..bytes];
    let stored = found.shape.pixels() * picture.number.size();
    picture.load(content, &mut pixels[..stored]).map_err(refusal)?;
    if picture.number == NumberType::F16 {
        widen(pixels);
    }
    Ok(())
}

fn refusal(flaw: Flaw) -> Refusal {
    (flaw.status(), flaw.to_string())
}

impl Reader for SeriesReader {
    fn read(&mut self, ticket: Ticket, slots: &mut Slots<'_>, out: &mut dyn FnMut(Result<Frame, BadFrame>)) {
        let Place::Listed(_) = ticket.place else { return ticket.refuse("not a number of a list", out) };
        let chosen = self.list.chosen;
        for id in ticket.ids {
            // Ids are the images' places in the list, lap after lap.
            let number = chosen.number(id % chosen.count.max(1)).unwrap_or(usize::MAX);
            let (id, origin) = (FrameId(id), self.list.album.origin(number));
            let mut slot = slots.take();
            let filled = self.fill(id, number, &mut slot);
            out(match filled {
                Ok(header) => Ok(Frame {
                    id,
                    origin,
                    encoding: self.list.album.encoding,
                    slot: Arc::new(slot),
                    payload: 0..self.list.about.slot_bytes,
                    header,
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
