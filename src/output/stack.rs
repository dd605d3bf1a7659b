//! Stack of decoded frames (to come).
use std::path::{Path, PathBuf};

use super::OutputError;
use crate::frame::{BadFrame, FrameId, PixelType, Shape};

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

/// A stack that is being written.
pub struct StackWriter {
    path: PathBuf,
}

impl StackWriter {
    /// Begins a stack.
    ///
    /// # Errors
    /// See [`OutputError`].
    pub fn create(path: &Path, layout: &StackLayout, overwrite: bool) -> Result<StackWriter, OutputError> {
        let _ = (layout, overwrite);
        Ok(StackWriter { path: path.to_path_buf() })
    }

    /// Writes a frame: little-endian pixels in C order.
    ///
    /// # Errors
    /// See [`OutputError`].
    pub fn put(&mut self, id: FrameId, pixels: &[u8]) -> Result<(), OutputError> {
        let _ = (id, pixels);
        Ok(())
    }

    /// Notes a frame that could not be read; its pixels stay at the fill value.
    pub fn put_bad(&mut self, bad: &BadFrame) {
        let _ = bad;
    }

    /// Ends the stack and gives it its name.
    ///
    /// # Errors
    /// See [`OutputError`].
    pub fn finish(self) -> Result<PathBuf, OutputError> {
        Ok(self.path)
    }
}
