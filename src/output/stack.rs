//! Stack of decoded frames: `/entry_0000/data/data`, in the detector's own pixel type.
//!
//! As with [`super::result`], the whole file is made before the first frame, here under a temporary name, and images are then written into
//! places that exist: the image first, then its checksum (`image_crc`), then its `frame_status`. The name that it is to have it gets when it is
//! complete: what a run leaves that did not end never looks whole. It stays under its temporary name, and
//! another run can [go on](StackWriter::go_on) with it.
//!
//! A stack that is compressed has a chunk a frame, which is shuffled and deflated here, exactly as HDF5's own filters would do it, and
//! written past them ([`chunk`]), so every HDF5 reader opens the file without a plugin. Where a chunk is only the library
//! knows, and nobody before the end: nothing is left of such a run.
//!
//! Frames may come in any order. A frame that never came, or could not be read, has the fill value, all
//! bits set: −1 for signed pixels (what DECTRIS writes into gaps) and the largest number for unsigned ones (NaN for floats), and
//! `frame_status` says which those are.
mod earlier;
mod go_on;
mod info;
mod skeleton;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use hdf5::types::VarLenUnicode;
use serde_json::Value;

use super::disk::Disk;
use super::draft::Draft;
use super::lock::{Lock, is_at};
use super::result::{DATE_LEN, Ending, FileStamp, MESSAGE_LEN, RUNNING, STATUS_LEN, fixed};
use super::{OutputError, chunk, nexus};
use crate::codec::pixel::bytes_of;
use crate::files::{folder_of, library, sync_folder};
use crate::frame::{BadFrame, FrameId, FrameStatus, PixelType, Shape};
use skeleton::{Compressed, StackPlaces};

pub use earlier::EarlierStack;
pub use info::StackInfo;

/// Title of the entry, by which a stack is known again.
const TITLE: &str = "xrdct convert";

/// What a stack is to hold.
#[derive(Debug, Clone, PartialEq)]
pub struct StackLayout {
    /// Number of frames.
    pub frames: usize,
    /// Pixels of a frame.
    pub shape: Shape,
    /// Type of a pixel.
    pub pixel: PixelType,
    /// Level of the gzip filter, 1 (fast) to 9 (small); `None`: not compressed.
    pub gzip: Option<u8>,
    /// Names of the input files, in the order of the frames.
    pub inputs: Vec<String>,
    /// What these files are, one each; none: nobody has looked.
    pub stamps: Vec<FileStamp>,
    /// What decides the images beside the files: which frames and channel were taken, what was compared.
    pub recipe: Value,
    /// The run that this one goes on with: its number and when it began.
    pub goes_on: Option<(String, String)>,
}

impl StackLayout {
    /// Frames that are not compressed; the rest can be set field by field.
    pub fn new(frames: usize, shape: Shape, pixel: PixelType) -> StackLayout {
        StackLayout {
            frames,
            shape,
            pixel,
            gzip: None,
            inputs: Vec::new(),
            stamps: Vec::new(),
            recipe: Value::Null,
            goes_on: None,
        }
    }

    /// Bytes of a frame.
    fn frame_bytes(&self) -> usize {
        self.shape.pixels() * self.pixel.size()
    }

    /// Bytes of all frames, where they are known before they come.
    fn needed(&self) -> u64 {
        if self.gzip.is_none() { (self.frame_bytes() as u64).saturating_mul(self.frames as u64) } else { 0 }
    }

    /// The image of a frame that there is none of.
    fn blank(&self) -> Vec<u8> {
        let pixel = match self.pixel {
            PixelType::F32 => bytes_of(&[f32::NAN]).to_vec(),
            PixelType::F64 => bytes_of(&[f64::NAN]).to_vec(),
            whole => vec![0xff; whole.size()],
        };
        pixel.repeat(self.shape.pixels())
    }
}

/// A stack that is being written. Dropped before [`StackWriter::finish`], it stays under its temporary name where it can be gone on
/// with, and is removed where it cannot.
pub struct StackWriter {
    // The file is closed before the draft removes it: fields are dropped in this order.
    compressed: Option<Compressed>,
    draft: Draft,
    _lock: Lock,
    places: StackPlaces,
    layout: StackLayout,
    statuses: Vec<FrameStatus>,
    messages: BTreeMap<usize, String>,
    shuffled: Vec<u8>,
    blank: Vec<u8>,
    disk: Disk,
}

impl StackWriter {
    /// Begins a stack under a temporary name; without compression its disk space is reserved.
    ///
    /// # Errors
    /// [`OutputError::Locked`], [`OutputError::Exists`], [`OutputError::NotAFile`], [`OutputError::Folder`], [`OutputError::Full`],
    /// [`OutputError::Layout`] for a stack without pixels or a level of compression that does not exist, or what HDF5
    /// says.
    pub fn create(path: &Path, layout: &StackLayout, overwrite: bool) -> Result<StackWriter, OutputError> {
        StackWriter::begin(Lock::take(path)?, layout, overwrite)
    }

    /// Likewise, by who has the lock.
    ///
    /// # Errors
    /// As [`StackWriter::create`].
    pub fn begin(lock: Lock, layout: &StackLayout, overwrite: bool) -> Result<StackWriter, OutputError> {
        if let Err(problem) = check(layout) {
            return Err(OutputError::Layout { path: lock.output().into(), problem });
        }
        let needed = layout.needed();
        let draft = Draft::begin(lock.output(), overwrite, needed)?;
        let (places, compressed) = skeleton::build(draft.file(), layout)
            .map_err(|e| OutputError::from_hdf5(draft.path(), "creating the file", needed, e))?;
        let statuses = vec![FrameStatus::Pending; layout.frames];
        prepare(draft.file(), places, &statuses, &vec![0; layout.frames])
            .map_err(|e| OutputError::from_io(draft.path(), "preparing the file", needed, e))?;
        if needed > 0 {
            draft.reserve(places.images.map_or(0, |images| images.offset + images.bytes))?;
        }
        Ok(StackWriter {
            compressed,
            draft,
            _lock: lock,
            places,
            statuses,
            messages: BTreeMap::new(),
            shuffled: Vec::new(),
            blank: layout.blank(),
            disk: Disk::default(),
            layout: layout.clone(),
        })
    }

    /// Has the disk itself keep what was written this often, so that a power cut costs no more; `None`: only at the end.
    pub fn sync_every(&mut self, interval: Option<Duration>) {
        self.disk.set(interval);
    }

    /// Where the stack is going to be.
    pub fn path(&self) -> &Path {
        self.draft.path()
    }

    /// Writes a frame: little-endian pixels in C order. Frames may come in any order, each once.
    ///
    /// # Errors
    /// [`OutputError::Misfit`] when number or length do not fit; [`OutputError::Full`], [`OutputError::Gone`], or what HDF5 says.
    pub fn put(&mut self, id: FrameId, pixels: &[u8]) -> Result<(), OutputError> {
        self.put_image(id, pixels, crc32fast::hash(pixels))
    }

    /// Likewise, with the CRC-32 of the pixels, for whoever has it already.
    ///
    /// # Errors
    /// As [`StackWriter::put`].
    pub fn put_image(&mut self, id: FrameId, pixels: &[u8], crc: u32) -> Result<(), OutputError> {
        let bytes = self.layout.frame_bytes();
        if pixels.len() != bytes {
            let problem = format!("the frame has {} bytes, one of this stack has {bytes}", pixels.len());
            return Err(self.misfit(id, problem));
        }
        self.check_free(id)?;
        self.write_image(id, pixels)?;
        self.mark(id, FrameStatus::Good, crc)?;
        if self.compressed.is_none() {
            self.draft.let_stay();
        }
        Ok(())
    }

    /// Notes a frame that could not be read; its pixels are the fill value.
    ///
    /// # Errors
    /// [`OutputError::Misfit`] when there is no such frame or it was put before, or as [`StackWriter::put`].
    pub fn put_bad(&mut self, bad: &BadFrame) -> Result<(), OutputError> {
        self.check_free(bad.id)?;
        self.write_blank(bad.id)?;
        self.messages.insert(bad.id.0, bad.message.clone());
        self.mark(bad.id, bad.status, 0)
    }

    fn misfit(&self, id: FrameId, problem: String) -> OutputError {
        OutputError::Misfit { path: self.draft.path().into(), frame: id.0, problem }
    }

    fn check_free(&self, id: FrameId) -> Result<(), OutputError> {
        match self.statuses.get(id.0) {
            Some(FrameStatus::Pending) => Ok(()),
            Some(_) => Err(self.misfit(id, "this frame was put before".to_string())),
            None => {
                Err(self.misfit(id, format!("the stack has room for frames 0 to {}", self.layout.frames - 1)))
            }
        }
    }

    fn write_image(&mut self, id: FrameId, pixels: &[u8]) -> Result<(), OutputError> {
        match (self.layout.gzip, &self.compressed) {
            (Some(level), Some(Compressed { dataset, .. })) => {
                shuffle(pixels, self.layout.pixel.size(), &mut self.shuffled);
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(level.into()));
                let packed = encoder.write_all(&self.shuffled).and_then(|()| encoder.finish());
                let packed = packed
                    .map_err(|e| OutputError::from_io(self.draft.path(), "compressing a frame", 0, e))?;
                chunk::write(dataset, id.0, &packed).map_err(|e| {
                    OutputError::from_hdf5(self.draft.path(), "writing a frame", packed.len() as u64, e)
                })
            }
            _ => self.write_at(id, pixels),
        }
    }

    /// What is not in a chunk is the fill value already.
    fn write_blank(&self, id: FrameId) -> Result<(), OutputError> {
        if self.compressed.is_some() { Ok(()) } else { self.write_at(id, &self.blank) }
    }

    fn write_at(&self, id: FrameId, pixels: &[u8]) -> Result<(), OutputError> {
        let place = self.places.images.map_or(0, |images| images.offset) + (id.0 * pixels.len()) as u64;
        let written = self.draft.file().write_all_at(pixels, place);
        written
            .map_err(|e| OutputError::from_io(self.draft.path(), "writing a frame", pixels.len() as u64, e))
    }

    /// The image is there: its checksum, then its status.
    fn mark(&mut self, id: FrameId, status: FrameStatus, crc: u32) -> Result<(), OutputError> {
        let (file, places) = (self.draft.file(), self.places);
        let marked = file
            .write_all_at(&crc.to_ne_bytes(), places.crcs + (id.0 * size_of::<u32>()) as u64)
            .and_then(|()| file.write_all_at(&[status as u8], places.statuses + id.0 as u64))
            .and_then(|()| self.disk.wrote(file));
        marked.map_err(|e| OutputError::from_io(self.draft.path(), "writing a frame", 1, e))?;
        self.statuses[id.0] = status;
        self.check_place()
    }

    /// That the draft still has its name.
    fn check_place(&self) -> Result<(), OutputError> {
        match is_at(self.draft.file(), self.draft.temporary()) {
            true => Ok(()),
            false => Err(OutputError::Gone { path: self.draft.temporary().into() }),
        }
    }

    /// Ends the stack: messages of bad frames, everything to the disk, then its final name.
    ///
    /// # Errors
    /// [`OutputError::Exists`] when a file of that name came meanwhile; [`OutputError::Full`], [`OutputError::Gone`], or what HDF5 says.
    pub fn finish(mut self) -> Result<PathBuf, OutputError> {
        for frame in 0..self.layout.frames {
            if self.statuses[frame] == FrameStatus::Pending {
                self.write_blank(FrameId(frame))?;
            }
        }
        self.list_bad_frames()?;
        self.mark_end(&Ending::Complete)
            .and_then(|()| self.disk.wait())
            .and_then(|()| self.draft.file().sync_all())
            .map_err(|e| OutputError::from_io(self.draft.path(), "sending the file to the disk", 0, e))?;
        self.check_place()?;
        let (path, _) = self.draft.publish()?;
        let kept = sync_folder(folder_of(&path));
        kept.map_err(|e| OutputError::from_io(&path, "sending the file's name to the disk", 0, e))?;
        Ok(path)
    }

    /// Leaves what is there to a run that goes on with it, and says where. None when there is nothing to go on with: then
    /// nothing stays.
    pub fn leave(mut self, ending: &Ending) -> Option<PathBuf> {
        let left = self.draft()?;
        // For people, and against power cuts: the statuses tell the truth without it.
        let _ =
            self.mark_end(ending).and_then(|()| self.disk.wait()).and_then(|()| self.draft.file().sync_all());
        Some(left)
    }

    /// The draft, where it stays whatever happens.
    pub fn draft(&self) -> Option<PathBuf> {
        let is_left = self.draft.stays() && self.check_place().is_ok();
        is_left.then(|| self.draft.temporary().to_path_buf())
    }

    /// Frames with an image, of how many.
    pub fn done(&self) -> (usize, usize) {
        (self.statuses.iter().filter(|status| **status == FrameStatus::Good).count(), self.layout.frames)
    }

    /// The library closes the file, or opens it once more, for the messages.
    fn list_bad_frames(&mut self) -> Result<(), OutputError> {
        let lines: Vec<String> = self.messages.iter().map(|(n, m)| format!("frame {n}: {m}")).collect();
        let (file, path) = (self.draft.file(), self.draft.path());
        // Longer before the library changes it, so that a kill between its writes leaves no file shorter than its header says.
        let room = (1 << 20) + lines.iter().map(|line| 2 * line.len() + 64).sum::<usize>() as u64;
        if self.compressed.is_none() && !lines.is_empty() {
            let longer = file.metadata().and_then(|there| file.set_len(there.len() + room));
            longer.map_err(|e| OutputError::from_io(path, "making room for messages", room, e))?;
        }
        let compressed = self.compressed.take();
        let store = || -> hdf5::Result<()> {
            let file = match compressed {
                Some(Compressed { dataset, file }) => {
                    drop(dataset);
                    file
                }
                None if lines.is_empty() => return Ok(()),
                None => library::open_to_change(file)?,
            };
            if !lines.is_empty() {
                let bad = file.dataset("entry_0000/bad_frames")?;
                bad.resize([lines.len()])?;
                let lines =
                    lines.iter().map(|l| nexus::unicode(l)).collect::<hdf5::Result<Vec<VarLenUnicode>>>()?;
                bad.write_raw(&lines)?;
            }
            file.close()
        };
        store().map_err(|e| OutputError::from_hdf5(path, "listing bad frames", room, e))
    }

    fn mark_end(&self, ending: &Ending) -> io::Result<()> {
        let (file, places) = (self.draft.file(), self.places);
        let message = match ending {
            Ending::Failed(reason) => reason.as_str(),
            Ending::Complete | Ending::Interrupted => "",
        };
        file.write_all_at(&fixed::<DATE_LEN>(&nexus::now()), places.end_time)?;
        file.write_all_at(&fixed::<MESSAGE_LEN>(message), places.message)?;
        file.write_all_at(&fixed::<STATUS_LEN>(ending.word()), places.status)
    }
}

/// Everything that is not zero in a stack whose run has just begun, or goes on.
fn prepare(file: &File, places: StackPlaces, statuses: &[FrameStatus], crcs: &[u32]) -> io::Result<()> {
    let statuses: Vec<u8> = statuses.iter().map(|status| *status as u8).collect();
    let crcs: Vec<u8> = crcs.iter().flat_map(|crc| crc.to_ne_bytes()).collect();
    file.write_all_at(&crcs, places.crcs)?;
    file.write_all_at(&statuses, places.statuses)?;
    file.write_all_at(&fixed::<STATUS_LEN>(RUNNING), places.status)
}

fn check(layout: &StackLayout) -> Result<(), String> {
    let frame_bytes = layout.frame_bytes() as u64;
    if layout.frames == 0 || frame_bytes == 0 {
        return Err(format!(
            "a stack needs frames and pixels, here are {} of {}",
            layout.frames, layout.shape
        ));
    }
    if layout.gzip.is_some() && frame_bytes >= 1 << 32 {
        return Err(format!("HDF5 cannot compress frames of 4 GiB or more, these have {frame_bytes} bytes"));
    }
    match layout.gzip {
        Some(level) if !(1..=9).contains(&level) => Err(format!("gzip has levels 1 to 9, not {level}")),
        _ => Ok(()),
    }
}

/// HDF5's shuffle filter: the first bytes of all pixels, then the second bytes, …
fn shuffle(pixels: &[u8], size: usize, out: &mut Vec<u8>) {
    out.resize(pixels.len(), 0);
    if size == 1 {
        out.copy_from_slice(pixels);
        return;
    }
    let count = pixels.len() / size;
    for (byte, plane) in out.chunks_exact_mut(count).enumerate() {
        for (value, pixel) in plane.iter_mut().zip(pixels.chunks_exact(size)) {
            *value = pixel[byte];
        }
    }
}
