//! Codecs: how detector images are packed into bytes, and back. Pure functions: no I/O, no threads.
pub mod byte_offset;
