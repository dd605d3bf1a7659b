//! What is left behind: NeXus/HDF5 files of patterns, and stacks of decoded frames.
//!
//! One idea carries this floor: **the HDF5 file is finished before the first frame is.** [`result`] builds the whole
//! file first (every group, attribute and dataset, all space allocated), closes it with the HDF5 library, and from then
//! on only writes numbers into places that were reserved for them. The library's metadata never changes while frames
//! arrive, so a run that is killed at any instant leaves a file that opens, and its `frame_status` says which rows are
//! complete. The same choice makes writing cheap: a run of rows is one `pwritev` per dataset, straight from the
//! patterns' memory, with no library lock and no copy.
//!
//! [`stack`] writes decoded frames likewise, under a temporary name that becomes the real one at the end.
//! [`chunk`] writes chunks that are packed already. [`draft`] owns the temporary names, the reservation of disk space and the renaming
//! for both, [`lock`] sees to it that one run at a time writes to an output.
pub mod chunk;
mod disk;
pub mod draft;
pub mod error;
pub mod lock;
pub mod nexus;
pub mod result;
pub mod sink;
pub mod stack;
pub mod tomogram;

pub use error::OutputError;
