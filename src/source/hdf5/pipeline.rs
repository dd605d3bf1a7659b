//! What a chunk went through when it was written, undone.
//!
//! | filter | number | here |
//! |---|---|---|
//! | deflate (gzip) | 1 | undone |
//! | shuffle | 2 | undone: byte b of all elements lies together, then byte b + 1 |
//! | fletcher32 | 3 | compared: a chunk with another sum is bad |
//! | n-bit, scale-offset | 5, 6 | by the library, in its child |
//! | LZF | 32000 | undone |
//! | LZ4, bitshuffle | 32004, 32008 | undone, or handed on where the chunk is a frame: [`blocks`](crate::codec::blocks) |
//! | Zstandard | 32015 | undone |
//!
//! A bit of a chunk's mask says that it did not go through that filter. Nothing grows beyond the chunk that is to come out.

use flate2::{Decompress, FlushDecompress, Status};
use zstd::bulk::Decompressor;

use crate::codec::bitshuffle;
use crate::codec::blocks::{BlockDecoder, BlockError};
use crate::frame::{ChunkFilter, Codec, FrameStatus};
use crate::h5::storage::FilterUse;

/// Why a chunk does not unpack: the status of its frames, and a cause.
pub(super) type Trouble = (FrameStatus, String);

/// Most bytes that a filter may add to what it is given: a checksum, or a stream that does not compress.
const BESIDE: usize = 64;

/// Most bytes that one byte unpacks to: deflate's 1032, and those of LZ4 and LZF are fewer; a byte of Zstandard may stand for
/// a block of 128 KiB.
const DENSEST: usize = 1100;
const DENSEST_ZSTD: usize = 128 << 10;

/// One filter, to be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Deflate,
    /// Elements of so many bytes.
    Shuffle(usize),
    Fletcher32,
    Lzf,
    /// Blocks of elements of so many bytes.
    Blocks(ChunkFilter, usize),
    Zstd,
}

/// Filters, in the order in which they were applied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Pipeline {
    steps: Vec<Step>,
    /// Bytes of an element.
    element: usize,
}

/// Who undoes the filters of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Undone {
    /// A reader.
    Here(Pipeline),
    /// The library alone: names of the filters.
    ByLibrary(String),
}

/// Memory that is used again from chunk to chunk.
#[derive(Default)]
pub(super) struct Between([Vec<u8>; 2]);

impl Pipeline {
    /// The filters of a dataset whose elements have `element` bytes.
    ///
    /// # Errors
    /// The name of one that neither this nor the library undoes.
    pub(super) fn of(filters: &[FilterUse], element: usize) -> Result<Undone, String> {
        let (mut steps, mut foreign) = (Vec::new(), Vec::new());
        for filter in filters {
            let value = |at: usize| filter.values.get(at).map(|&value| value as usize);
            match filter.id {
                1 => steps.push(Step::Deflate),
                2 => steps.push(Step::Shuffle(value(0).filter(|&size| size > 0).unwrap_or(element))),
                3 => steps.push(Step::Fletcher32),
                5 | 6 => foreign.push(named(filter.id)),
                32000 => steps.push(Step::Lzf),
                32004 => steps.push(Step::Blocks(ChunkFilter::Lz4, element)),
                32008 => {
                    // Versions, bytes of an element, elements of a block, what comes after.
                    let size = value(2).filter(|&size| bitshuffle::takes(size));
                    let filter = match value(4).unwrap_or(0) {
                        0 => Some(ChunkFilter::Bitshuffle {
                            block: filter.values.get(3).copied().unwrap_or(0),
                        }),
                        2 => Some(ChunkFilter::BitshuffleLz4),
                        3 => Some(ChunkFilter::BitshuffleZstd),
                        _ => None,
                    };
                    let known =
                        filter.zip(size).ok_or_else(|| format!("an unknown form of {}", named(32008)))?;
                    steps.push(Step::Blocks(known.0, known.1));
                }
                32015 => steps.push(Step::Zstd),
                other => return Err(named(other)),
            }
        }
        Ok(match foreign.is_empty() {
            true => Undone::Here(Pipeline { steps, element }),
            false => Undone::ByLibrary(foreign.join(", ")),
        })
    }

    /// What a chunk is packed with when nothing is undone, if that has a name in the corridor.
    pub(super) fn codec(&self, skipped: u32) -> Option<Codec> {
        let mut steps = self.steps(skipped);
        match (steps.next(), steps.next()) {
            (None, _) => Some(Codec::Raw),
            (Some(Step::Blocks(filter, size)), None) if size == self.element => Some(Codec::Filtered(filter)),
            _ => None,
        }
    }

    /// The filters in words, in the order in which they were applied; `None` when there are none.
    pub(super) fn words(&self) -> Option<String> {
        let names: Vec<&str> = self.steps.iter().map(|step| step.name()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// Most bytes that `unpacked` bytes may be packed to: more is not read.
    pub(super) fn longest(&self, unpacked: usize) -> usize {
        match self.steps.is_empty() {
            true => unpacked,
            // What does not compress grows a little; by most where blocks are of eight elements, each with its length.
            false => unpacked.saturating_mul(2).saturating_add(4096),
        }
    }

    /// Whether so few bytes can unpack to so many.
    pub(super) fn can_fill(&self, packed: usize, unpacked: usize) -> bool {
        let is_zstd = |step: &Step| matches!(step, Step::Zstd | Step::Blocks(ChunkFilter::BitshuffleZstd, _));
        let densest = if self.steps.iter().any(is_zstd) { DENSEST_ZSTD } else { DENSEST };
        self.steps.is_empty() || packed.saturating_mul(densest) >= unpacked
    }

    /// The filters that a chunk went through, last one first.
    fn steps(&self, skipped: u32) -> impl Iterator<Item = Step> {
        let through = move |at: usize| skipped.checked_shr(at as u32).is_none_or(|bits| bits & 1 == 0);
        self.steps.iter().enumerate().rev().filter(move |(at, _)| through(*at)).map(|(_, step)| *step)
    }

    /// Unpacks a chunk, which must fill `out`.
    ///
    /// # Errors
    /// When it does not.
    pub(super) fn unpack(
        &self,
        skipped: u32,
        packed: &[u8],
        out: &mut [u8],
        Between([from, to]): &mut Between,
    ) -> Result<(), Trouble> {
        let mut steps = self.steps(skipped).peekable();
        let mut is_first = true;
        if steps.peek().is_none() {
            return fill(packed, out);
        }
        while let Some(step) = steps.next() {
            let input = if is_first { packed } else { &from[..] };
            if steps.peek().is_none() {
                let written = step.undo(input, out)?;
                return match written == out.len() {
                    true => Ok(()),
                    false => Err(too_short(written, out.len())),
                };
            }
            to.resize(out.len() + BESIDE, 0);
            let written = step.undo_some(input, to)?;
            to.truncate(written);
            std::mem::swap(from, to);
            is_first = false;
        }
        Ok(())
    }
}

/// Copies what was not packed.
pub(super) fn fill(bytes: &[u8], out: &mut [u8]) -> Result<(), Trouble> {
    match bytes.len().cmp(&out.len()) {
        std::cmp::Ordering::Less => Err(too_short(bytes.len(), out.len())),
        std::cmp::Ordering::Greater => Err(too_long(out.len())),
        std::cmp::Ordering::Equal => {
            out.copy_from_slice(bytes);
            Ok(())
        }
    }
}

fn too_short(found: usize, wanted: usize) -> Trouble {
    (FrameStatus::Truncated, format!("its chunk has {found} bytes of pixels, {wanted} are wanted"))
}

fn too_long(wanted: usize) -> Trouble {
    (FrameStatus::Overlong, format!("its chunk has more than the {wanted} bytes of pixels that are wanted"))
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Step::Deflate => "gzip",
            Step::Shuffle(_) => "shuffle",
            Step::Fletcher32 => "fletcher32",
            Step::Lzf => "LZF",
            Step::Blocks(filter, _) => Codec::Filtered(filter).name(),
            Step::Zstd => "Zstandard",
        }
    }

    /// Undoes the filter where it is not known how many bytes it gave: how many of `out` were written.
    fn undo_some(self, input: &[u8], out: &mut [u8]) -> Result<usize, Trouble> {
        let size = match self {
            // As many as there are packed.
            Step::Blocks(ChunkFilter::Bitshuffle { .. }, _) => input.len(),
            // As many as its header says.
            Step::Blocks(..) => {
                let said = input.first_chunk::<8>().map_or(0, |said| u64::from_be_bytes(*said));
                usize::try_from(said).unwrap_or(usize::MAX)
            }
            _ => out.len(),
        };
        let room = out.len();
        self.undo(input, out.get_mut(..size).ok_or_else(|| too_long(room))?)
    }

    /// Undoes the filter: how many bytes of `out` were written.
    fn undo(self, input: &[u8], out: &mut [u8]) -> Result<usize, Trouble> {
        match self {
            Step::Deflate => inflate(input, out),
            Step::Shuffle(size) => {
                let out = out.get_mut(..input.len()).ok_or_else(|| too_long(0))?;
                unshuffle(input, size, out);
                Ok(input.len())
            }
            Step::Fletcher32 => {
                let (bytes, sum) = input.split_last_chunk::<4>().ok_or_else(|| {
                    (FrameStatus::Truncated, "its chunk ends before its checksum".to_owned())
                })?;
                // Some versions wrote the bytes of each half the other way round; readers take both.
                let [a, b, c, d] = *sum;
                let found = fletcher32(bytes);
                if found != u32::from_le_bytes(*sum) && found != u32::from_le_bytes([b, a, d, c]) {
                    let why = "the bytes of its chunk are not those that were written (fletcher32)";
                    return Err((FrameStatus::Corrupt, why.into()));
                }
                fill(bytes, out.get_mut(..bytes.len()).ok_or_else(|| too_long(0))?)?;
                Ok(bytes.len())
            }
            Step::Lzf => lzf(input, out),
            Step::Blocks(filter, size) => {
                if !out.len().is_multiple_of(size) {
                    return Err((FrameStatus::Corrupt, format!("its chunk is not of {size}-byte elements")));
                }
                let blocks = BlockDecoder::new(filter, size, input, out.len());
                let unpacked = blocks.and_then(|mut blocks| {
                    blocks.next(out)?;
                    blocks.finish()
                });
                unpacked.map_err(|cause| {
                    let status = match cause {
                        BlockError::NoHeader { .. } | BlockError::CutShort { .. } => FrameStatus::Truncated,
                        BlockError::LeftOver { .. } => FrameStatus::Overlong,
                        _ => FrameStatus::Corrupt,
                    };
                    (status, format!("its chunk: {cause}"))
                })?;
                Ok(out.len())
            }
            Step::Zstd => {
                let unpacked = Decompressor::new().and_then(|mut zstd| zstd.decompress_to_buffer(input, out));
                unpacked.map_err(|cause| (FrameStatus::Corrupt, format!("its chunk (Zstandard): {cause}")))
            }
        }
    }
}

fn inflate(input: &[u8], out: &mut [u8]) -> Result<usize, Trouble> {
    let damaged = || (FrameStatus::Corrupt, "its chunk does not inflate (gzip): it is damaged".to_owned());
    let mut zlib = Decompress::new(true);
    let status = zlib.decompress(input, out, FlushDecompress::Finish).map_err(|_| damaged())?;
    if status == Status::StreamEnd {
        return Ok(zlib.total_out() as usize);
    }
    // What is full and was not all that there is had to end somewhere else.
    match (zlib.total_out() as usize) == out.len() && (zlib.total_in() as usize) < input.len() {
        true => Err(too_long(out.len())),
        false => Err((FrameStatus::Truncated, "its chunk ends in the middle of its gzip stream".into())),
    }
}

/// Brings the bytes of each element together; a rest that is less than an element was left as it is.
fn unshuffle(input: &[u8], size: usize, out: &mut [u8]) {
    let count = input.len() / size.max(1);
    if size <= 1 || count <= 1 {
        out.copy_from_slice(input);
        return;
    }
    let whole = count * size;
    let (elements, rest) = out.split_at_mut(whole);
    match size {
        2 => gather::<2>(&input[..whole], count, elements),
        4 => gather::<4>(&input[..whole], count, elements),
        8 => gather::<8>(&input[..whole], count, elements),
        _ => {
            for (byte, plane) in input[..whole].chunks_exact(count).enumerate() {
                for (element, value) in elements.chunks_exact_mut(size).zip(plane) {
                    element[byte] = *value;
                }
            }
        }
    }
    rest.copy_from_slice(&input[whole..]);
}

/// Element by element, so that each is written once.
fn gather<const SIZE: usize>(planes: &[u8], count: usize, elements: &mut [u8]) {
    let planes: [&[u8]; SIZE] = std::array::from_fn(|byte| &planes[byte * count..][..count]);
    for (at, element) in elements.as_chunks_mut::<SIZE>().0.iter_mut().enumerate() {
        *element = std::array::from_fn(|byte| planes[byte][at]);
    }
}

/// HDF5's checksum: Fletcher's, of 16-bit words, first byte high.
fn fletcher32(bytes: &[u8]) -> u32 {
    let fold = |sum: u32| (sum & 0xffff) + (sum >> 16);
    let (mut low, mut high) = (0_u32, 0_u32);
    // So many words fit before a sum runs over.
    for part in bytes.chunks(720) {
        for word in part.chunks(2) {
            low += u32::from(word[0]) << 8 | word.get(1).map_or(0, |&byte| u32::from(byte));
            high += low;
        }
        (low, high) = (fold(low), fold(high));
    }
    fold(high) << 16 | fold(low)
}

/// LZF, as LibLZF and h5py write it: runs of up to 32 literals, and repetitions of what came before.
fn lzf(input: &[u8], out: &mut [u8]) -> Result<usize, Trouble> {
    let ends = || (FrameStatus::Truncated, "its chunk ends in the middle of its LZF stream".to_owned());
    let (mut at, mut written) = (0, 0);
    while at < input.len() {
        let control = usize::from(input[at]);
        at += 1;
        if control < 32 {
            let literals = input.get(at..=at + control).ok_or_else(ends)?;
            out.get_mut(written..=written + control).ok_or_else(|| too_long(0))?.copy_from_slice(literals);
            at += control + 1;
            written += control + 1;
            continue;
        }
        let mut next = || {
            at += 1;
            input.get(at - 1).map(|&byte| usize::from(byte)).ok_or_else(ends)
        };
        let length = 2 + if control >> 5 == 7 { 7 + next()? } else { control >> 5 };
        let back = ((control & 31) << 8 | next()?) + 1;
        if back > written {
            let why =
                format!("its LZF stream repeats what is {back} bytes back, where {written} are written");
            return Err((FrameStatus::Corrupt, why));
        }
        if out.len() - written < length {
            return Err(too_long(out.len()));
        }
        // Byte by byte: what is repeated may be what is being written.
        for to in written..written + length {
            out[to] = out[to - back];
        }
        written += length;
    }
    Ok(written)
}

/// A filter by its number, with its name if it is a known one.
fn named(id: i32) -> String {
    let name = match id {
        4 => "szip",
        5 => "n-bit",
        6 => "scale-offset",
        32001 => "Blosc",
        32004 => "LZ4",
        32006 => "CBF",
        32008 => "bitshuffle",
        32013 => "ZFP",
        32015 => "Zstandard",
        32017 => "SZ",
        32018 => "FCIDECOMP",
        32019 => "JPEG",
        32024 => "SZ3",
        32026 => "Blosc2",
        _ => return format!("filter {id}"),
    };
    format!("{name} (filter {id})")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::codec::blocks;

    fn filters(ids: &[(i32, &[u32])]) -> Pipeline {
        let filters: Vec<_> =
            ids.iter().map(|(id, values)| FilterUse { id: *id, values: values.to_vec() }).collect();
        match Pipeline::of(&filters, 4) {
            Ok(Undone::Here(pipeline)) => pipeline,
            other => panic!("{other:?}"),
        }
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    #[test]
    fn a_chunk_unpacks_to_as_many_bytes_as_it_should_or_says_why_not() {
        let gzip = filters(&[(1, &[6])]);
        let bytes: Vec<u8> = (0..5000_u32).map(|i| ((i * i) >> 7) as u8).collect();
        let packed = zlib(&bytes);
        let unpack = |packed: &[u8], size: usize, skipped| {
            let mut out = vec![0; size];
            gzip.unpack(skipped, packed, &mut out, &mut Between::default()).map(|()| out)
        };
        assert_eq!(unpack(&packed, 5000, 0), Ok(bytes.clone()));
        assert_eq!(unpack(&bytes, 5000, 1), Ok(bytes.clone()), "it did not go through the filter");
        let status = |result: Result<Vec<u8>, Trouble>| result.expect_err("bad").0;
        assert_eq!(status(unpack(&packed, 5001, 0)), FrameStatus::Truncated);
        assert_eq!(status(unpack(&packed, 4999, 0)), FrameStatus::Overlong);
        assert_eq!(status(unpack(&packed[..packed.len() / 2], 5000, 0)), FrameStatus::Truncated);
        assert_eq!(status(unpack(b"no zlib at all", 5000, 0)), FrameStatus::Corrupt);
        assert_eq!(status(unpack(&bytes[1..], 5000, 1)), FrameStatus::Truncated);
        for end in 0..packed.len() {
            assert!(unpack(&packed[..end], 5000, 0).is_err(), "{end}");
        }
    }

    #[test]
    fn lzf_is_what_the_format_says() {
        let lzf = filters(&[(32000, &[4, 261, 0])]);
        let unpack = |packed: &[u8], size: usize| {
            let mut out = vec![0; size];
            lzf.unpack(0, packed, &mut out, &mut Between::default()).map(|()| out)
        };
        // Two literals, then six bytes that repeat both, then eleven (7 + 2 + 2) of one.
        assert_eq!(
            unpack(b"\x01ab\x80\x01\xe0\x02\x00", 19),
            Ok(b"abababab".iter().copied().chain([b'b'; 11]).collect())
        );
        assert_eq!(unpack(b"\x01ab\x80\x02", 8).expect_err("bad").0, FrameStatus::Corrupt);
        assert_eq!(unpack(b"\x05ab", 6).expect_err("bad").0, FrameStatus::Truncated);
        assert_eq!(unpack(b"\x01ab\x80", 8).expect_err("bad").0, FrameStatus::Truncated);
        assert_eq!(unpack(b"\x01ab\x80\x01", 7).expect_err("bad").0, FrameStatus::Overlong);
    }

    #[test]
    fn unknown_filters_have_names() {
        let of = |id| Pipeline::of(&[FilterUse { id, values: vec![] }], 4);
        assert_eq!(of(32001).expect_err("unknown"), "Blosc (filter 32001)");
        assert_eq!(of(777).expect_err("unknown"), "filter 777");
        assert_eq!(of(6), Ok(Undone::ByLibrary("scale-offset (filter 6)".into())));
        assert_eq!(filters(&[]).codec(0), Some(Codec::Raw));
        assert_eq!(filters(&[(1, &[])]).codec(0), None);
        assert_eq!(filters(&[(1, &[])]).codec(1), Some(Codec::Raw));
    }

    #[test]
    fn shuffled_elements_of_any_size_come_together() {
        for size in [2, 3, 4, 8] {
            let bytes: Vec<u8> = (0..size * 5 + 1).map(|i| i as u8).collect();
            let mut planes: Vec<u8> =
                (0..size).flat_map(|byte| (0..5).map(move |at| (at * size + byte) as u8)).collect();
            planes.push(bytes[size * 5]);
            let mut out = vec![0; bytes.len()];
            unshuffle(&planes, size, &mut out);
            assert_eq!(out, bytes, "{size}");
        }
    }

    #[test]
    fn spoiled_chunks_fill_or_say_why_not() {
        let bytes: Vec<u8> = (0..4000_u32).flat_map(|i| (i * i % 37 / 30).to_le_bytes()).collect();
        let planes =
            |bytes: &[u8]| (0..4).flat_map(|b| bytes.iter().skip(b).step_by(4).copied()).collect::<Vec<u8>>();
        let sum = |bytes: &[u8]| [bytes, &fletcher32(bytes).to_le_bytes()].concat();
        let blocks = |filter| blocks::encode(filter, 4, &bytes, None);
        let of = |last: u32| [0, 4, 4, 0, last];
        let seeds = [
            (filters(&[(2, &[4]), (1, &[6]), (3, &[])]), sum(&zlib(&planes(&bytes)))),
            (filters(&[(3, &[]), (1, &[6])]), zlib(&sum(&bytes))),
            (filters(&[(32004, &[0])]), blocks(ChunkFilter::Lz4)),
            (filters(&[(32008, &of(2))]), blocks(ChunkFilter::BitshuffleLz4)),
            (filters(&[(32008, &of(3))]), blocks(ChunkFilter::BitshuffleZstd)),
            (filters(&[(32008, &of(2)), (1, &[1])]), zlib(&blocks(ChunkFilter::BitshuffleLz4))),
            (filters(&[(32008, &of(0)), (3, &[])]), sum(&blocks(ChunkFilter::Bitshuffle { block: 0 }))),
        ];
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = move |n: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 16) as usize % n.max(1)
        };
        let (mut out, mut between) = (vec![0; bytes.len()], Between::default());
        for (pipeline, packed) in &seeds {
            assert_eq!(pipeline.unpack(0, packed, &mut out, &mut between), Ok(()), "{pipeline:?}");
            assert_eq!(out, bytes, "{pipeline:?}");
            let mut bad = 0;
            for _ in 0..500 {
                let mut spoiled = packed.clone();
                for _ in 0..=random(3) {
                    let within = if random(2) == 0 { 40 } else { spoiled.len() };
                    let at = random(within.min(spoiled.len()));
                    match random(4) {
                        0 => spoiled.truncate(at.max(1)),
                        1 => spoiled[at] = [0, 0x7f, 0x80, 0xff][random(4)],
                        _ => spoiled[at] ^= 1 << random(8),
                    }
                }
                let skipped = if random(8) == 0 { random(8) as u32 } else { 0 };
                bad += usize::from(pipeline.unpack(skipped, &spoiled, &mut out, &mut between).is_err());
            }
            assert!(bad > 100, "{pipeline:?}: {bad}");
        }
    }
}
