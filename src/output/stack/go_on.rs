//! Goes on with a stack that an earlier run left.
//!
//! A run that did not end left a draft: its images stay where they are, however many they are, and everything else of the file is made
//! anew. A skeleton of the same layout is the same bytes, but for the times of objects, so what is written over the old one is what was there:
//! a kill in the middle of it does no harm, and what a power cut did to it is undone. The HDF5 library never opens what was left.
//!
//! A stack that has its name, and is to have other images in the places of bad ones, is copied instead: it stays whole until the new one is.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rayon::prelude::*;

use super::{EarlierStack, StackLayout, StackWriter, check, prepare, skeleton};
use crate::budget;
use crate::frame::{BadFrame, FrameId, FrameStatus};
use crate::output::OutputError;
use crate::output::disk::Disk;
use crate::output::draft::{Draft, drafts};
use crate::output::lock::{Lock, is_at};
use crate::output::result::Carried;

/// Bytes that are copied at a time.
const PIECE: usize = 1 << 20;

impl EarlierStack {
    /// What a run that writes to a file goes on with, if it is there: drafts that others left of it. The lock sees to it that nobody is at work on one.
    pub fn left(lock: &Lock) -> Vec<std::path::PathBuf> {
        match lock.note() {
            None => drafts(lock.output()),
            Some(_) => crate::output::draft::leftovers(lock.output()),
        }
    }
}

/// What became of a frame in an earlier run.
enum Was {
    Whole,
    Damaged,
    Bad(BadFrame),
    ToCome,
}

impl StackWriter {
    /// Goes on with what an earlier run left: images that are whole stay, bad frames with their reasons unless they are to be tried again.
    ///
    /// # Errors
    /// As [`StackWriter::create`]; [`OutputError::NotAResult`] when the earlier stack is of another layout.
    pub fn go_on(
        lock: Lock,
        earlier: &EarlierStack,
        layout: &StackLayout,
        overwrite: bool,
        retry_bad: bool,
    ) -> Result<(StackWriter, Carried), OutputError> {
        let path = &earlier.info.path;
        let not = |problem: String| OutputError::NotAResult { path: path.clone(), problem };
        check(layout).map_err(|problem| OutputError::Layout { path: path.clone(), problem })?;
        if earlier.crcs.len() != layout.frames || earlier.images.bytes != layout.needed() {
            return Err(not("it has other frames than there are now".into()));
        }
        let layout = StackLayout {
            goes_on: Some((earlier.uuid.clone(), earlier.info.times[0].clone())),
            // Texts of other lengths would shift what comes after them.
            inputs: earlier.info.inputs.clone(),
            ..layout.clone()
        };
        let unread = |cause| OutputError::Io { path: path.clone(), action: "reading an image", cause };
        let looked = look(earlier, &layout, retry_bad)?.map_err(unread)?;
        let is_draft = EarlierStack::left(&lock).contains(path);
        let mut carried = Carried { done: vec![false; layout.frames], ..Carried::default() };
        for (frame, was) in looked.iter().enumerate() {
            match was {
                Was::Whole => carried.good += 1,
                Was::Bad(_) => carried.bad += 1,
                Was::Damaged => carried.damaged += 1,
                Was::ToCome => {}
            }
            carried.done[frame] = matches!(was, Was::Whole | Was::Bad(_));
        }
        let mut stack = match is_draft {
            true => StackWriter::adopt(lock, earlier, &layout, overwrite, &looked)?,
            false => StackWriter::begin(lock, &layout, overwrite)?,
        };
        let mut image = vec![0; layout.frame_bytes()];
        for (frame, was) in looked.into_iter().enumerate() {
            match was {
                Was::Whole if !is_draft => {
                    // It is looked at again: between the two it may have changed.
                    if !earlier.is_whole(frame, &mut image).map_err(unread)? {
                        return Err(not(format!("frame {frame} changed while it was read")));
                    }
                    stack.put_image(FrameId(frame), &image, earlier.crcs[frame])?;
                }
                Was::Bad(bad) => stack.put_bad(&bad)?,
                Was::Whole | Was::Damaged | Was::ToCome => {}
            }
        }
        Ok((stack, carried))
    }

    /// Makes a draft one's own, with the images that are whole.
    fn adopt(
        lock: Lock,
        earlier: &EarlierStack,
        layout: &StackLayout,
        overwrite: bool,
        looked: &[Was],
    ) -> Result<StackWriter, OutputError> {
        let path: &Path = &earlier.info.path;
        let not = |problem: &str| OutputError::NotAResult { path: path.into(), problem: problem.into() };
        let draft = Draft::adopt(lock.output(), path, overwrite)?;
        if !is_at(&earlier.file, path) || !is_at(draft.file(), path) {
            return Err(OutputError::Gone { path: path.into() });
        }
        let scratch = Draft::begin(lock.output(), true, 0)?;
        let (places, compressed) = skeleton::build(scratch.file(), layout)
            .map_err(|e| OutputError::from_hdf5(path, "making the file anew", 0, e))?;
        let Some(images) = places.images.filter(|images| *images == earlier.images) else {
            return Err(not("its images are not where this program puts them. Delete it, and begin anew"));
        };
        let is_whole = |frame: usize| matches!(looked[frame], Was::Whole);
        let statuses: Vec<FrameStatus> = (0..layout.frames)
            .map(|frame| if is_whole(frame) { FrameStatus::Good } else { FrameStatus::Pending })
            .collect();
        let crcs: Vec<u32> =
            (0..layout.frames).map(|frame| if is_whole(frame) { earlier.crcs[frame] } else { 0 }).collect();
        let renew = || -> io::Result<()> {
            prepare(scratch.file(), places, &statuses, &crcs)?;
            let length = scratch.file().metadata()?.len();
            copy(&scratch, &draft, 0, images.offset)?;
            copy(&scratch, &draft, images.offset + images.bytes, length)?;
            draft.file().set_len(length)
        };
        renew().map_err(|e| OutputError::from_io(path, "making the file anew", 0, e))?;
        draft.reserve(images.offset + images.bytes)?;
        Ok(StackWriter {
            compressed,
            draft,
            _lock: lock,
            places,
            statuses,
            messages: std::collections::BTreeMap::new(),
            shuffled: Vec::new(),
            blank: layout.blank(),
            disk: Disk::default(),
            layout: layout.clone(),
        })
    }
}

/// Looks at every frame; images are read side by side.
fn look(
    earlier: &EarlierStack,
    layout: &StackLayout,
    retry_bad: bool,
) -> Result<io::Result<Vec<Was>>, OutputError> {
    let bytes = layout.frame_bytes();
    budget::allow(
        format_args!("images of {} that are compared with their checksums", layout.shape),
        budget::bytes_of(&[rayon::current_num_threads() + 2], bytes),
    )
    .map_err(|cause| OutputError::NotAResult {
        path: earlier.info.path.clone(),
        problem: cause.to_string(),
    })?;
    let one = |image: &mut Vec<u8>, frame: usize| {
        Ok(match earlier.status(frame) {
            Some(FrameStatus::Good) => match earlier.is_whole(frame, image)? {
                true => Was::Whole,
                false => Was::Damaged,
            },
            Some(FrameStatus::Pending) | None => Was::ToCome,
            Some(_) if retry_bad => Was::ToCome,
            Some(status) => match earlier.message(frame) {
                Some(message) => {
                    Was::Bad(BadFrame { id: FrameId(frame), status, message: message.to_owned() })
                }
                // A run that was killed has not said why: it is tried again.
                None => Was::ToCome,
            },
        })
    };
    Ok((0..layout.frames).into_par_iter().map_init(|| vec![0; bytes], one).collect())
}

/// Copies bytes to the same place in another file.
fn copy(from: &Draft, to: &Draft, mut place: u64, end: u64) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    while place < end {
        let size = PIECE.min(usize::try_from(end - place).unwrap_or(PIECE));
        from.file().read_exact_at(&mut piece[..size], place)?;
        to.file().write_all_at(&piece[..size], place)?;
        place += size as u64;
    }
    Ok(())
}
