//! A data file: `/entry/data/data`, a frame a chunk, packed as detectors pack them.

use std::path::Path;

use hdf5::{Dataset, File, Group, H5Type};

use super::BitDepth;
use crate::files::library;
use crate::frame::Shape;
use crate::output::draft::Draft;
use crate::output::{OutputError, chunk, nexus};

/// A data file that takes frame after frame; removed when dropped before [`DataFile::finish`].
pub(super) struct DataFile {
    // The file is closed before the draft removes it: fields are dropped in this order.
    dataset: Dataset,
    file: File,
    draft: Draft,
    frames: usize,
    written: usize,
}

impl DataFile {
    /// Begins a file of so many frames, the first of which has the number `first`.
    pub fn begin(
        path: &Path,
        first: usize,
        frames: usize,
        shape: Shape,
        depth: BitDepth,
        overwrite: bool,
    ) -> Result<DataFile, OutputError> {
        let draft = Draft::begin(path, overwrite, 0)?;
        let create = || -> hdf5::Result<(File, Dataset)> {
            let file = library::create_timeless(draft.file())?;
            let entry = nexus::group(&file, "entry", "NXentry")?;
            let data = nexus::group(&entry, "data", "NXdata")?;
            nexus::attribute(&data, "signal", "data")?;
            let dataset = match depth {
                BitDepth::Sixteen => chunked::<u16>(&data, frames, shape),
                BitDepth::ThirtyTwo => chunked::<u32>(&data, frames, shape),
            }?;
            for (name, number) in [("image_nr_low", first), ("image_nr_high", first + frames - 1)] {
                dataset.new_attr::<u64>().create(name)?.write_scalar(&(number as u64))?;
            }
            Ok((file, dataset))
        };
        let (file, dataset) =
            create().map_err(|e| OutputError::from_hdf5(draft.path(), "creating the file", 0, e))?;
        Ok(DataFile { dataset, file, draft, frames, written: 0 })
    }

    /// Appends a frame.
    pub fn put(&mut self, packed: &[u8]) -> Result<(), OutputError> {
        chunk::write(&self.dataset, self.written, packed).map_err(|e| {
            OutputError::from_hdf5(self.draft.path(), "writing a frame", packed.len() as u64, e)
        })?;
        self.written += 1;
        Ok(())
    }

    /// Whether it has all of its frames.
    pub fn is_complete(&self) -> bool {
        self.written == self.frames
    }

    /// Gives it its name.
    pub fn finish(self) -> Result<(), OutputError> {
        let DataFile { dataset, file, draft, .. } = self;
        drop(dataset);
        file.close().map_err(|e| OutputError::from_hdf5(draft.path(), "closing the file", 0, e))?;
        draft.publish().map(|_| ())
    }
}

fn chunked<T: H5Type>(data: &Group, frames: usize, Shape { slow, fast }: Shape) -> hdf5::Result<Dataset> {
    let filter = chunk::bitshuffle_lz4(size_of::<T>())?;
    let builder = data.new_dataset::<T>().chunk([1, slow, fast]).set_filters(&[filter]);
    builder.shape([frames, slow, fast]).create("data")
}
