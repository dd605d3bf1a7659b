//! What is left behind: NeXus/HDF5 files of patterns, stacks of decoded frames.
pub mod result;
pub mod stack;
