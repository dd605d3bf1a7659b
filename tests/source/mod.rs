//! Sources.

mod contract;
mod hdf5;
mod select;
