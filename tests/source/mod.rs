//! Sources.

mod contract;
mod select;
