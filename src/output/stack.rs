//! Stack of decoded frames: `/entry_0000/data/data`, one chunk a frame, in the detector's own pixel type.
//!
//! A chunk is written as it is, past the library's filters ([`chunk`]): a frame that is to be compressed is
//! shuffled and deflated here, exactly as HDF5's own filters would do it, so every HDF5 reader opens the file without a
//! plugin. Frames may come in any order. A frame that never came, or could not be read, is left at the fill value, all
//! bits set: −1 for signed pixels (what DECTRIS writes into gaps) and the largest number for unsigned ones, and
//! `frame_status` says which those are.
//!
//! The stack has a temporary name until [`StackWriter::finish`]: a run that dies leaves nothing behind that looks whole.
mod info;

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use hdf5::plist::dataset_create::FillTime;
use hdf5::{Dataset, File, H5Type};

use super::draft::Draft;
use super::lock::Lock;
use super::{OutputError, chunk, nexus};
use crate::files::library;
use crate::frame::{BadFrame, FrameId, FrameStatus, PixelType, Shape};

pub use info::StackInfo;

/// Title of the entry, by which a stack is known again.
const TITLE: &str = "xrdct convert";

/// What a stack is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
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
}

/// A stack that is being written; removed when dropped before [`StackWriter::finish`].
pub struct StackWriter {
    // The file is closed before the draft removes it: fields are dropped in this order.
    dataset: Dataset,
    file: File,
    draft: Draft,
    _lock: Lock,
    layout: StackLayout,
    statuses: Vec<FrameStatus>,
    messages: Vec<(usize, String)>,
    shuffled: Vec<u8>,
}

impl StackWriter {
    /// Begins a stack under a temporary name; without compression its disk space is reserved.
    ///
    /// # Errors
    /// [`OutputError::Exists`], [`OutputError::NotAFile`], [`OutputError::Folder`], [`OutputError::Full`],
    /// [`OutputError::Layout`] for a stack without pixels or a level of compression that does not exist, or what HDF5
    /// says.
    pub fn create(path: &Path, layout: &StackLayout, overwrite: bool) -> Result<StackWriter, OutputError> {
        let frame_bytes = layout.shape.pixels() as u64 * layout.pixel.size() as u64;
        if let Err(problem) = check(layout, frame_bytes) {
            return Err(OutputError::Layout { path: path.into(), problem });
        }
        let needed = if layout.gzip.is_none() { frame_bytes.saturating_mul(layout.frames as u64) } else { 0 };
        let lock = Lock::take(path)?;
        let draft = Draft::begin(path, overwrite, needed)?;
        let (file, dataset) = skeleton(draft.file(), layout)
            .map_err(|e| OutputError::from_hdf5(draft.path(), "creating the file", needed, e))?;
        if needed > 0 {
            draft.reserve_beyond(needed)?;
        }
        Ok(StackWriter {
            dataset,
            file,
            draft,
            _lock: lock,
            statuses: vec![FrameStatus::Pending; layout.frames],
            messages: Vec::new(),
            shuffled: Vec::new(),
            layout: layout.clone(),
        })
    }

    /// Where the stack is going to be.
    pub fn path(&self) -> &Path {
        self.draft.path()
    }

    /// Writes a frame: little-endian pixels in C order. Frames may come in any order, each once.
    ///
    /// # Errors
    /// [`OutputError::Misfit`] when number or length do not fit; [`OutputError::Full`], or what HDF5 says.
    pub fn put(&mut self, id: FrameId, pixels: &[u8]) -> Result<(), OutputError> {
        let bytes = self.layout.shape.pixels() * self.layout.pixel.size();
        if pixels.len() != bytes {
            let problem = format!("the frame has {} bytes, one of this stack has {bytes}", pixels.len());
            return Err(OutputError::Misfit { path: self.draft.path().into(), frame: id.0, problem });
        }
        self.take(id, FrameStatus::Good)?;
        match self.layout.gzip {
            None => self.write_chunk(id, pixels),
            Some(level) => {
                shuffle(pixels, self.layout.pixel.size(), &mut self.shuffled);
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(level.into()));
                let packed = encoder.write_all(&self.shuffled).and_then(|()| encoder.finish());
                let packed = packed
                    .map_err(|e| OutputError::from_io(self.draft.path(), "compressing a frame", 0, e))?;
                self.write_chunk(id, &packed)
            }
        }
    }

    /// Notes a frame that could not be read; its pixels stay at the fill value.
    ///
    /// # Errors
    /// [`OutputError::Misfit`] when there is no such frame or it was put before.
    pub fn put_bad(&mut self, bad: &BadFrame) -> Result<(), OutputError> {
        self.take(bad.id, bad.status)?;
        self.messages.push((bad.id.0, bad.message.clone()));
        Ok(())
    }

    fn take(&mut self, id: FrameId, status: FrameStatus) -> Result<(), OutputError> {
        let problem = match self.statuses.get_mut(id.0) {
            Some(FrameStatus::Pending) => {
                self.statuses[id.0] = status;
                return Ok(());
            }
            Some(_) => "this frame was put before".to_string(),
            None => format!("the stack has room for frames 0 to {}", self.layout.frames - 1),
        };
        Err(OutputError::Misfit { path: self.draft.path().into(), frame: id.0, problem })
    }

    fn write_chunk(&self, id: FrameId, bytes: &[u8]) -> Result<(), OutputError> {
        chunk::write(&self.dataset, id.0, bytes)
            .map_err(|e| OutputError::from_hdf5(self.draft.path(), "writing a frame", bytes.len() as u64, e))
    }

    /// Ends the stack: statuses and messages of bad frames, then its final name.
    ///
    /// # Errors
    /// [`OutputError::Exists`] when a file of that name came meanwhile; [`OutputError::Full`], or what HDF5 says.
    pub fn finish(self) -> Result<PathBuf, OutputError> {
        let StackWriter { dataset, file, draft, statuses, mut messages, .. } = self;
        messages.sort_unstable();
        let close = || -> hdf5::Result<()> {
            drop(dataset);
            let entry = file.group("entry_0000")?;
            let statuses: Vec<u8> = statuses.iter().map(|&s| s as u8).collect();
            let dataset = nexus::numbers(&entry, "frame_status", [statuses.len()], &statuses)?;
            nexus::attribute(&dataset, "legend", &nexus::status_legend())?;
            let lines: Vec<String> = messages.iter().map(|(n, m)| format!("frame {n}: {m}")).collect();
            nexus::texts(&entry, "bad_frames", &lines)?;
            nexus::text(&entry, "end_time", &nexus::now())?;
            drop((dataset, entry));
            file.close()
        };
        close().map_err(|e| OutputError::from_hdf5(draft.path(), "closing the file", 0, e))?;
        draft.publish().map(|(path, _)| path)
    }
}

fn check(layout: &StackLayout, frame_bytes: u64) -> Result<(), String> {
    if layout.frames == 0 || frame_bytes == 0 {
        return Err(format!(
            "a stack needs frames and pixels, here are {} of {}",
            layout.frames, layout.shape
        ));
    }
    if frame_bytes >= 1 << 32 {
        return Err(format!("HDF5 cannot hold frames of 4 GiB or more, these have {frame_bytes} bytes"));
    }
    match layout.gzip {
        Some(level) if !(1..=9).contains(&level) => Err(format!("gzip has levels 1 to 9, not {level}")),
        _ => Ok(()),
    }
}

fn skeleton(file: &std::fs::File, layout: &StackLayout) -> hdf5::Result<(File, Dataset)> {
    let file = library::create_in(file)?;
    nexus::attribute(&file, "NX_class", "NXroot")?;
    nexus::attribute(&file, "default", "entry_0000")?;
    nexus::attribute(&file, "creator", "xrdct")?;
    let entry = nexus::group(&file, "entry_0000", "NXentry")?;
    nexus::attribute(&entry, "default", "data")?;
    nexus::text(&entry, "title", TITLE)?;
    nexus::text(&entry, "program_name", concat!("xrdct ", env!("CARGO_PKG_VERSION")))?;
    nexus::text(&entry, "start_time", &nexus::now())?;
    nexus::texts(&nexus::group(&entry, "input", "NXcollection")?, "file_names", &layout.inputs)?;
    let data = nexus::group(&entry, "data", "NXdata")?;
    nexus::attribute(&data, "signal", "data")?;
    let dataset = match layout.pixel {
        PixelType::I8 => chunked(&data, layout, -1_i8),
        PixelType::U8 => chunked(&data, layout, u8::MAX),
        PixelType::I16 => chunked(&data, layout, -1_i16),
        PixelType::U16 => chunked(&data, layout, u16::MAX),
        PixelType::I32 => chunked(&data, layout, -1_i32),
        PixelType::U32 => chunked(&data, layout, u32::MAX),
        PixelType::I64 => chunked(&data, layout, -1_i64),
        PixelType::U64 => chunked(&data, layout, u64::MAX),
        PixelType::F32 => chunked(&data, layout, f32::NAN),
        PixelType::F64 => chunked(&data, layout, f64::NAN),
    }?;
    nexus::attribute(&dataset, "interpretation", "image")?;
    Ok((file, dataset))
}

fn chunked<T: H5Type + Into<hdf5::types::OwnedDynValue>>(
    data: &hdf5::Group,
    layout: &StackLayout,
    fill: T,
) -> hdf5::Result<Dataset> {
    let Shape { slow, fast } = layout.shape;
    let mut builder =
        data.new_dataset::<T>().chunk([1, slow, fast]).fill_value(fill).fill_time(FillTime::IfSet);
    if let Some(level) = layout.gzip {
        builder = builder.shuffle().deflate(level);
    }
    builder.shape([layout.frames, slow, fast]).create("data")
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
