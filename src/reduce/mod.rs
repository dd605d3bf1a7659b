//! The third door: frames in, patterns out.
pub mod host;
