//! Codecs: how detector images are packed into bytes, and back. Pure functions: no I/O, no threads.
//!
//! Each codec has one file with a format note, a simple reference decoder (the law), a fast one that is proven equal
//! to it, and an encoder. What they unpack to is any [`Pixel`] type. [`md5`] says whether packed bytes are those that were written.
//!
//! | codec | law, fast decoder, encoder | with |
//! |---|---|---|
//! | [`Codec::ByteOffset`](crate::frame::Codec) | [`byte_offset`] | AVX2, AVX-512 |
//! | [`Codec::Filtered`](crate::frame::ChunkFilter): LZ4, bitshuffle, bitshuffle with LZ4 or zstd | [`blocks`], of [`lz4`] and [`bitshuffle`] | AVX2, AVX-512 + GFNI |
//!
//! [`decode`] and [`Unpacker`] are for whoever does not care which.
pub mod bitshuffle;
pub mod blocks;
pub mod byte_offset;
pub mod lz4;
pub mod md5;
pub mod pixel;
pub mod simd;
pub mod unpack;

pub use pixel::Pixel;
pub use unpack::{UnpackError, Unpacker, decode};
