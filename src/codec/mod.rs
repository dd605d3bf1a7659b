//! Codecs: how detector images are packed into bytes, and back. Pure functions: no I/O, no threads.
//!
//! Each codec has one file with a format note, a simple reference decoder (the law), a fast one that is proven equal
//! to it, and an encoder. What they unpack to is any [`Pixel`] type. [`md5`] says whether packed bytes are those that were written.
pub mod byte_offset;
pub mod md5;
pub mod pixel;
pub mod simd;

pub use pixel::Pixel;
