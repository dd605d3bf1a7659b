//! Sources.

mod contract;
mod hdf5;
