//! Images in blocks: what HDF5's filters 32004 (LZ4) and 32008 (bitshuffle) make of a chunk, and DECTRIS detectors of a frame.
//!
//! | [`ChunkFilter`] | header | each block | at the end |
//! |---|---|---|---|
//! | `Lz4` | 12 bytes | length, then an LZ4 block, or as it is where the length is that of the block | |
//! | `Bitshuffle` | none | bitshuffled | up to 7 elements as they are |
//! | `BitshuffleLz4` | 12 bytes | length, then an LZ4 block of what is bitshuffled | up to 7 elements as they are |
//! | `BitshuffleZstd` | 12 bytes | length, then a zstd frame of what is bitshuffled | up to 7 elements as they are |
//!
//! The header is the number of bytes that it all unpacks to (8 bytes) and that of a block (4 bytes); a length is the number of packed
//! bytes (4 bytes). All of them are big endian, elements are little endian. The last block is shorter. A bitshuffled block
//! is a multiple of 8 elements, so 7 are left at most; block size 0 is that of [`default_block`]. Without a header its size
//! stands in the filter's parameters.
//!
//! [`decode_reference`] is the law; [`BlockDecoder`] is fast and equal to it, errors included. It unpacks one block into memory that
//! stays in the first-level cache, and sorts its bits from there into the caller's pixels. Formats: `lz4/H5Zlz4.c` and
//! `bitshuffle/src/bshuf_h5filter.c` as hdf5plugin carries them.

use zstd::bulk::{Compressor, Decompressor};

use super::simd::Simd;
use super::{bitshuffle, lz4};
use crate::frame::ChunkFilter;

/// Why packed bytes are not the image that they were said to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Not even the header is there.
    #[error("the packed bytes are {found}, their header alone takes {HEADER}")]
    NoHeader {
        /// How many there are.
        found: usize,
    },
    /// The header says another size.
    #[error("their header says that they unpack to {said} bytes, the image has {expected}")]
    WrongSize {
        /// What it says.
        said: u64,
        /// The image's size.
        expected: usize,
    },
    /// Blocks of that size cannot be.
    #[error("blocks of {bytes} bytes are not whole eights of {size}-byte elements")]
    BlockSize {
        /// Bytes of a block.
        bytes: usize,
        /// Bytes of an element.
        size: usize,
    },
    /// The packed bytes end in a block.
    #[error("the packed bytes end in block {block}, which begins at byte {byte}")]
    CutShort {
        /// Which block, counted from 0.
        block: usize,
        /// Where it begins, in bytes from the start of the packed bytes; its length comes first where it has one.
        byte: usize,
    },
    /// All blocks are there and bytes are left.
    #[error("{bytes_left} packed bytes are left after the last block")]
    LeftOver {
        /// How many.
        bytes_left: usize,
    },
    /// A block is damaged.
    #[error("block {block}, which begins at byte {byte}: {cause}")]
    Lz4 {
        /// Which block, counted from 0.
        block: usize,
        /// Where it begins, in bytes from the start of the packed bytes.
        byte: usize,
        /// What is wrong with it.
        cause: lz4::Lz4Error,
    },
    /// A block is damaged.
    #[error("block {block}, which begins at byte {byte}: zstd: {cause}")]
    Zstd {
        /// Which block, counted from 0.
        block: usize,
        /// Where it begins, in bytes from the start of the packed bytes.
        byte: usize,
        /// What the library says.
        cause: String,
    },
}

/// Bytes of the header.
const HEADER: usize = 12;
/// Bytes of the length before a block.
const LENGTH: usize = 4;
/// Elements are shuffled by the eight.
const EIGHT: usize = 8;

/// Elements of a bitshuffled block when nobody says: 8192 bytes, which is bitshuffle's own choice and will remain it.
pub const fn default_block(size: usize) -> usize {
    8192 / size / EIGHT * EIGHT
}

/// How the bytes of a block are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Stored,
    Lz4,
    Zstd,
}

/// One block of an image.
#[derive(Debug, Clone, Copy)]
struct Block<'a> {
    number: usize,
    /// Where it begins, for messages.
    byte: usize,
    packed: &'a [u8],
    packing: Packing,
    /// Whether the bits of what it unpacks to are shuffled.
    shuffled: bool,
    /// Bytes that it unpacks to.
    len: usize,
}

/// The blocks of an image, one after the other.
#[derive(Debug, Clone)]
struct Blocks<'a> {
    packed: &'a [u8],
    filter: ChunkFilter,
    /// Bytes of an element.
    size: usize,
    /// Bytes that a block unpacks to.
    block: usize,
    /// Where the next one begins.
    at: usize,
    /// Bytes that are still to come out.
    left: usize,
    number: usize,
}

impl<'a> Blocks<'a> {
    fn open(filter: ChunkFilter, size: usize, packed: &'a [u8], expected: usize) -> Result<Self, BlockError> {
        let (at, bytes) = match filter {
            ChunkFilter::Bitshuffle { block } => (0, block as usize * size),
            ChunkFilter::Lz4 | ChunkFilter::BitshuffleLz4 | ChunkFilter::BitshuffleZstd => {
                let no_header = BlockError::NoHeader { found: packed.len() };
                let (header, _) = packed.split_first_chunk::<HEADER>().ok_or(no_header)?;
                let said = u64::from_be_bytes(*header.first_chunk().expect("eight of twelve bytes"));
                if said != expected as u64 {
                    return Err(BlockError::WrongSize { said, expected });
                }
                let block = u32::from_be_bytes(*header.last_chunk().expect("four of twelve bytes"));
                (HEADER, block as usize)
            }
        };
        let block = match filter {
            ChunkFilter::Lz4 => bytes,
            // As bitshuffle has it: a size that is no multiple is cut.
            _ if bytes / size == 0 => default_block(size) * size,
            _ => bytes / size * size,
        };
        if block == 0 || filter != ChunkFilter::Lz4 && !block.is_multiple_of(EIGHT * size) {
            return Err(BlockError::BlockSize { bytes, size });
        }
        Ok(Blocks { packed, filter, size, block, at, left: expected, number: 0 })
    }

    /// The next block; `None` after the last.
    fn next(&mut self) -> Result<Option<Block<'a>>, BlockError> {
        let (number, byte) = (self.number, self.at);
        let cut_short = || BlockError::CutShort { block: number, byte };
        if self.left == 0 {
            return match self.packed.len() - self.at {
                0 => Ok(None),
                bytes_left => Err(BlockError::LeftOver { bytes_left }),
            };
        }
        let mut len = self.block.min(self.left);
        let mut shuffled = self.filter != ChunkFilter::Lz4;
        if shuffled {
            let eights = len / (EIGHT * self.size) * EIGHT * self.size;
            shuffled = eights > 0;
            len = if shuffled { eights } else { self.left };
        }
        let has_length = self.filter == ChunkFilter::Lz4
            || shuffled && !matches!(self.filter, ChunkFilter::Bitshuffle { .. });
        let rest = &self.packed[self.at..];
        let (packed_len, rest) = match has_length {
            false => (len, rest),
            true => {
                let (length, rest) = rest.split_first_chunk::<LENGTH>().ok_or_else(cut_short)?;
                (u32::from_be_bytes(*length) as usize, rest)
            }
        };
        let packed = rest.get(..packed_len).ok_or_else(cut_short)?;
        let packing = match self.filter {
            ChunkFilter::Lz4 if packed_len == len => Packing::Stored,
            ChunkFilter::Lz4 => Packing::Lz4,
            ChunkFilter::BitshuffleLz4 if shuffled => Packing::Lz4,
            ChunkFilter::BitshuffleZstd if shuffled => Packing::Zstd,
            ChunkFilter::Bitshuffle { .. } | ChunkFilter::BitshuffleLz4 | ChunkFilter::BitshuffleZstd => {
                Packing::Stored
            }
        };
        self.at += if has_length { LENGTH } else { 0 } + packed_len;
        self.left -= len;
        self.number += 1;
        Ok(Some(Block { number, byte, packed, packing, shuffled, len }))
    }
}

impl Block<'_> {
    /// What it unpacks to; `lz4` decodes what is packed with it.
    fn unpack(
        &self,
        lz4: fn(&[u8], &mut [u8]) -> Result<(), lz4::Lz4Error>,
        zstd: &mut Option<Decompressor<'static>>,
        out: &mut [u8],
    ) -> Result<(), BlockError> {
        let Block { number: block, byte, packed, .. } = *self;
        match self.packing {
            Packing::Stored => out.copy_from_slice(packed),
            Packing::Lz4 => {
                lz4(packed, out).map_err(|cause| BlockError::Lz4 { block, byte, cause })?;
            }
            Packing::Zstd => {
                let damaged = |cause: String| BlockError::Zstd { block, byte, cause };
                let zstd = match zstd {
                    Some(zstd) => zstd,
                    None => zstd.insert(Decompressor::new().map_err(|cause| damaged(cause.to_string()))?),
                };
                let (expected, found) = (out.len(), zstd.decompress_to_buffer(packed, out));
                let found = found.map_err(|cause| damaged(cause.to_string()))?;
                if found != expected {
                    return Err(damaged(format!("it unpacks to {found} bytes instead of {expected}")));
                }
            }
        }
        Ok(())
    }
}

/// Unpacks an image of `size`-byte elements into little-endian bytes: block after block, each whole, with the laws of [`lz4`] and
/// [`bitshuffle`]. What it says is the law.
///
/// # Errors
/// When the packed bytes are not what `filter` makes of an image of that size.
///
/// # Panics
/// When `out` is not a multiple of `size` long, or that is not 1, 2, 4 or 8.
pub fn decode_reference(
    filter: ChunkFilter,
    size: usize,
    packed: &[u8],
    out: &mut [u8],
) -> Result<(), BlockError> {
    check(size, out.len());
    let mut blocks = Blocks::open(filter, size, packed, out.len())?;
    let (mut done, mut zstd) = (0, None);
    while let Some(block) = blocks.next()? {
        let out = &mut out[done..done + block.len];
        done += block.len;
        if block.shuffled {
            let mut shuffled = vec![0; block.len];
            block.unpack(lz4::decode_reference, &mut zstd, &mut shuffled)?;
            bitshuffle::unshuffle_reference(&shuffled, size, out);
        } else {
            block.unpack(lz4::decode_reference, &mut zstd, out)?;
        }
    }
    Ok(())
}

fn check(size: usize, bytes: usize) {
    assert!(bitshuffle::takes(size) && bytes.is_multiple_of(size), "{bytes} bytes of {size}-byte elements");
}

/// Unpacks an image a run of elements at a time, so that the caller can use them while they are in cache.
pub struct BlockDecoder<'a> {
    blocks: Blocks<'a>,
    simd: Simd,
    /// The block that runs are taken from.
    current: Option<Current<'a>>,
    /// What it unpacks to, where that is not as it is packed.
    unpacked: Vec<u8>,
    zstd: Option<Decompressor<'static>>,
}

/// A block from which something was taken.
#[derive(Debug, Clone, Copy)]
struct Current<'a> {
    block: Block<'a>,
    /// Bytes taken.
    done: usize,
}

impl<'a> BlockDecoder<'a> {
    /// Starts at the first element of an image that has `bytes` bytes in all.
    ///
    /// # Errors
    /// When the header is not that of such an image.
    ///
    /// # Panics
    /// As [`decode_reference`].
    pub fn new(
        filter: ChunkFilter,
        size: usize,
        packed: &'a [u8],
        bytes: usize,
    ) -> Result<BlockDecoder<'a>, BlockError> {
        BlockDecoder::with_simd(filter, size, packed, bytes, Simd::best())
    }

    /// Like [`BlockDecoder::new`], with other instructions than the best; slower ones where the CPU lacks them.
    ///
    /// # Errors
    /// As [`BlockDecoder::new`].
    ///
    /// # Panics
    /// As [`decode_reference`].
    pub fn with_simd(
        filter: ChunkFilter,
        size: usize,
        packed: &'a [u8],
        bytes: usize,
        simd: Simd,
    ) -> Result<BlockDecoder<'a>, BlockError> {
        check(size, bytes);
        let blocks = Blocks::open(filter, size, packed, bytes)?;
        Ok(BlockDecoder { blocks, simd, current: None, unpacked: Vec::new(), zstd: None })
    }

    /// Fills `out` with the next bytes.
    ///
    /// # Errors
    /// When the block that they are in is not there or damaged.
    ///
    /// # Panics
    /// When `out` is not a multiple of an element, or longer than what is left of the image.
    pub fn next(&mut self, mut out: &mut [u8]) -> Result<(), BlockError> {
        let size = self.blocks.size;
        assert!(out.len().is_multiple_of(size));
        while !out.is_empty() {
            let Some(Current { block, done }) = self.current else {
                let block = self.blocks.next()?.expect("no more is asked for than the image has");
                if !block.shuffled && block.len <= out.len() {
                    let (now, later) = out.split_at_mut(block.len);
                    block.unpack(lz4::decode, &mut self.zstd, now)?;
                    out = later;
                    continue;
                }
                if block.packing != Packing::Stored {
                    self.unpacked.resize(self.unpacked.len().max(block.len), 0);
                    block.unpack(lz4::decode, &mut self.zstd, &mut self.unpacked[..block.len])?;
                }
                self.current = Some(Current { block, done: 0 });
                continue;
            };
            let bytes = match block.packing {
                Packing::Stored => block.packed,
                _ => &self.unpacked[..block.len],
            };
            let (now, later) = out.split_at_mut(out.len().min(block.len - done));
            match block.shuffled {
                true => unshuffle(self.simd, bytes, size, done / size, now),
                false => now.copy_from_slice(&bytes[done..done + now.len()]),
            }
            let done = done + now.len();
            self.current = (done < block.len).then_some(Current { block, done });
            out = later;
        }
        Ok(())
    }

    /// Says that the image ends here.
    ///
    /// # Errors
    /// [`BlockError::LeftOver`] when bytes are left.
    ///
    /// # Panics
    /// When elements are left.
    pub fn finish(mut self) -> Result<(), BlockError> {
        assert!(self.current.is_none() && self.blocks.left == 0, "the image does not end here");
        self.blocks.next().map(|_| ())
    }
}

/// Any run of a block's elements: eights as they come, what is left of eights at both ends by way of a copy.
fn unshuffle(simd: Simd, shuffled: &[u8], size: usize, first: usize, mut out: &mut [u8]) {
    let eight = EIGHT * size;
    let mut at = first * size;
    while !out.is_empty() {
        let skipped = at % eight;
        let whole = out.len() / eight * eight;
        let taken = if skipped == 0 && whole > 0 {
            bitshuffle::unshuffle(simd, shuffled, size, at / size, &mut out[..whole]);
            whole
        } else {
            let mut elements = [0; EIGHT * 8];
            bitshuffle::unshuffle(simd, shuffled, size, (at - skipped) / size, &mut elements[..eight]);
            let taken = out.len().min(eight - skipped);
            out[..taken].copy_from_slice(&elements[skipped..][..taken]);
            taken
        };
        at += taken;
        out = &mut out[taken..];
    }
}

/// Packs an image of `size`-byte elements, given as little-endian bytes. Blocks are of so many elements; with none given, of
/// [`default_block`], or all in one for [`ChunkFilter::Lz4`], as hdf5plugin does. [`ChunkFilter::Bitshuffle`] says it itself.
///
/// # Panics
/// When `bytes` is not a multiple of `size` long, or that is not 1, 2, 4 or 8, or shuffled blocks are no multiple of 8 elements, or
/// a block is not smaller than 4 GiB.
pub fn encode(filter: ChunkFilter, size: usize, bytes: &[u8], block: Option<usize>) -> Vec<u8> {
    check(size, bytes.len());
    let block = match (filter, block) {
        (ChunkFilter::Bitshuffle { block: 0 }, _) => default_block(size),
        (ChunkFilter::Bitshuffle { block }, _) => block as usize,
        (_, Some(block)) => block,
        (ChunkFilter::Lz4, None) => (bytes.len() / size).clamp(1, (1 << 30) / size),
        (ChunkFilter::BitshuffleLz4 | ChunkFilter::BitshuffleZstd, None) => default_block(size),
    };
    let is_lz4 = filter == ChunkFilter::Lz4;
    assert!(block > 0, "blocks of nothing");
    assert!(is_lz4 || block.is_multiple_of(EIGHT), "blocks of {block} elements cannot be shuffled");
    let block = block * size;
    let mut packed = Vec::with_capacity(bytes.len() / 4);
    if !matches!(filter, ChunkFilter::Bitshuffle { .. }) {
        packed.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        packed.extend_from_slice(&length(block));
    }
    // What is shuffled, and what is left of an eight.
    let eights = if is_lz4 { bytes.len() } else { bytes.len() / (EIGHT * size) * EIGHT * size };
    let (blocks, left) = bytes.split_at(eights);
    let (mut shuffled, mut one) = (Vec::new(), Vec::new());
    let mut zstd = Compressor::new(zstd::DEFAULT_COMPRESSION_LEVEL).expect("memory for zstd");
    for block in blocks.chunks(block) {
        shuffled.resize(block.len(), 0);
        match filter {
            ChunkFilter::Lz4 => shuffled.copy_from_slice(block),
            _ => bitshuffle::shuffle(block, size, &mut shuffled),
        }
        one.clear();
        match filter {
            ChunkFilter::Bitshuffle { .. } => {
                packed.extend_from_slice(&shuffled);
                continue;
            }
            ChunkFilter::Lz4 | ChunkFilter::BitshuffleLz4 => lz4::encode(&shuffled, &mut one),
            ChunkFilter::BitshuffleZstd => {
                one = zstd.compress(&shuffled).expect("zstd packs any bytes");
            }
        }
        if is_lz4 && one.len() >= block.len() {
            one.clone_from(&shuffled);
        }
        packed.extend_from_slice(&length(one.len()));
        packed.extend_from_slice(&one);
    }
    packed.extend_from_slice(left);
    packed
}

/// A length as it stands in the packed bytes.
fn length(bytes: usize) -> [u8; LENGTH] {
    u32::try_from(bytes).expect("a block is smaller than 4 GiB").to_be_bytes()
}
