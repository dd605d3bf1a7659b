//! Sources.

mod contract;
mod hdf5;
mod hdf5_damage;
mod select;
