//! Sources.

mod contract;
