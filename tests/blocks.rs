//! LZ4 and bitshuffle: every decoder says what the law says, and the law says what hdf5plugin says.

#[path = "../fuzz/blocks.rs"]
pub(crate) mod checks;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use xrdct::codec::bitshuffle::{shuffle, unshuffle, unshuffle_reference};
use xrdct::codec::blocks::{BlockDecoder, BlockError, decode_reference, default_block, encode};
use xrdct::codec::lz4::{self, Lz4Error};
use xrdct::codec::pixel::bytes_of;
use xrdct::codec::simd::Simd;
use xrdct::codec::{UnpackError, decode};
use xrdct::frame::{ChunkFilter, Codec, Encoding, FrameId, FrameStatus, PixelType, Shape, SlotPool, Slots};
use xrdct::source::decoded::Decoding;
use xrdct::source::memory::HeldReader;
use xrdct::source::{About, Place, Reader, Ticket};

const FILTERS: [ChunkFilter; 4] = [
    ChunkFilter::Lz4,
    ChunkFilter::Bitshuffle { block: 0 },
    ChunkFilter::BitshuffleLz4,
    ChunkFilter::BitshuffleZstd,
];
const SIZES: [usize; 4] = [1, 2, 4, 8];

/// The same numbers in every run.
fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 11
    }
}

/// Counts of a detector: small, a few spots, runs of the largest value.
fn counts(size: usize, elements: usize, seed: u64) -> Vec<u8> {
    let mut next = random(seed);
    let mut bytes = Vec::with_capacity(elements * size);
    for at in 0..elements {
        let value = match (at / 100 % 13, next() % 200) {
            (7, _) => u64::MAX,
            (_, 0) => next(),
            (_, other) => other % 6,
        };
        bytes.extend_from_slice(&value.to_le_bytes()[..size]);
    }
    bytes
}

fn unpacked(packed: &[u8], len: usize) -> Result<Vec<u8>, Lz4Error> {
    let mut out = vec![0; len];
    lz4::decode_reference(packed, &mut out).map(|()| out)
}

/// The law's answer, after the fast decoder gave the same.
#[track_caller]
fn image(filter: ChunkFilter, size: usize, packed: &[u8], elements: usize) -> Result<Vec<u8>, BlockError> {
    checks::twins(filter, size, packed, elements, 13);
    let mut out = vec![0; elements * size];
    decode_reference(filter, size, packed, &mut out).map(|()| out)
}

#[test]
fn the_worked_examples_of_lz4_decode() {
    // Literals alone; a match that overlaps itself; lengths of 15 and more; a match of all that is 15 + 255 + 4 long.
    assert_eq!(unpacked(b"\x50hello", 5), Ok(b"hello".to_vec()));
    assert_eq!(unpacked(b"\x1ax\x01\x00\x50abcde", 20), Ok(b"xxxxxxxxxxxxxxxabcde".to_vec()));
    assert_eq!(unpacked(b"\x30abc\x03\x00\x10z", 8), Ok(b"abcabcaz".to_vec()));
    let long = [&b"\xf0\x05"[..], &[7; 20]].concat();
    assert_eq!(unpacked(&long, 20), Ok(vec![7; 20]));
    let longer = b"\x1f\x09\x01\x00\xff\x00\x10\x08";
    assert_eq!(unpacked(longer, 276), Ok([vec![9; 275], vec![8]].concat()));
    for (packed, len) in [(&b"\x50hello"[..], 5), (b"\x30abc\x03\x00\x10z", 8), (longer, 276), (&long, 20)] {
        checks::lz4_block(&[&(len as u16).to_le_bytes(), packed].concat());
    }
    // A last sequence without literals is what no writer makes and any reader takes.
    assert_eq!(unpacked(b"\x30abc\x03\x00\x00", 7), Ok(b"abcabca".to_vec()));
}

#[test]
fn a_damaged_block_is_an_error_with_its_place() {
    let truncated = |byte| Err(Lz4Error::Truncated { byte });
    for (packed, len, error) in [
        (&b""[..], 0, truncated(0)),
        (b"\x50hell", 5, truncated(0)),
        (b"\xf0", 40, truncated(0)),
        (b"\xf0\xff\xff", 600, truncated(0)),
        (b"\x30abc\x03", 8, truncated(0)),
        (b"\x3fabc\x03\x00", 30, truncated(0)),
        (b"\x30abc\x03\x00", 7, truncated(7 - 1)),
        (b"\x30abc\x03\x00\x20z", 9, truncated(6)),
        (b"\x30abc\x00\x00\x10z", 8, Err(Lz4Error::Offset { byte: 0, offset: 0, written: 3 })),
        (b"\x30abc\x04\x00\x10z", 8, Err(Lz4Error::Offset { byte: 0, offset: 4, written: 3 })),
        (b"\x30abc\xff\xff\x10z", 8, Err(Lz4Error::Offset { byte: 0, offset: 65535, written: 3 })),
        (b"\x50hello", 4, Err(Lz4Error::TooLong { byte: 0, expected: 4 })),
        (b"\x30abc\x03\x00\x10z", 7, Err(Lz4Error::TooLong { byte: 6, expected: 7 })),
        (b"\x30abc\x03\x00\x10z", 6, Err(Lz4Error::TooLong { byte: 0, expected: 6 })),
        (b"\x50hello", 6, Err(Lz4Error::TooShort { written: 5, expected: 6 })),
        (
            b"\x1f\x09\x01\x00\xff\xff\xff\xff\x00\x10\x08",
            999,
            Err(Lz4Error::TooLong { byte: 0, expected: 999 }),
        ),
    ] {
        assert_eq!(unpacked(packed, len), error.clone().map(|()| vec![]), "{packed:02x?} for {len} bytes");
        let mut out = vec![0; len];
        assert_eq!(lz4::decode(packed, &mut out), error, "{packed:02x?} for {len} bytes");
    }
}

#[test]
fn what_another_lz4_packs_unpacks_and_the_other_way_round() {
    for (size, elements) in [(1, 5), (4, 3), (4, 2048), (2, 40_000), (8, 9000), (1, 70_000)] {
        let bytes = counts(size, elements, 3);
        let mut out = vec![0; bytes.len()];
        let theirs = lz4_flex::block::compress(&bytes);
        assert_eq!(lz4::decode(&theirs, &mut out), Ok(()));
        assert!(out == bytes);
        let mut ours = Vec::new();
        lz4::encode(&bytes, &mut ours);
        assert!(ours.len() <= theirs.len() + theirs.len() / 10 + 1, "{} and {}", ours.len(), theirs.len());
        assert_eq!(lz4_flex::block::decompress(&ours, bytes.len()).expect("a good block"), bytes);
    }
}

#[test]
fn the_transposed_bits_of_eight_elements() {
    // Element i is 1 << i: plane k has bit k of element k.
    let elements: Vec<u8> = (0..8_u16).flat_map(|i| (1 << i | 0x8000_u16).to_le_bytes()).collect();
    let mut shuffled = [0; 16];
    shuffle(&elements, 2, &mut shuffled);
    assert_eq!(shuffled, [1, 2, 4, 8, 16, 32, 64, 128, 0, 0, 0, 0, 0, 0, 0, 255]);
    let mut back = [0; 16];
    unshuffle_reference(&shuffled, 2, &mut back);
    assert_eq!(back, elements[..]);
}

#[test]
fn every_route_of_the_transposition_is_the_law() {
    let available: Vec<Simd> = Simd::ALL.into_iter().filter(|simd| simd.is_available()).collect();
    println!("transpositions compared with the law: {available:?}");
    let mut next = random(11);
    for size in SIZES {
        for elements in [8, 16, 248, 256, 264, 504, 512, 520, 776, 1024, 2048, 4096] {
            // All bits, none, and those of one byte alone: bytes whose planes are zero are passed over.
            for kept in [usize::MAX, 0, 1, 1 << 1, 1 << (size - 1), 0b101] {
                let mut elements: Vec<u8> = (0..elements * size).map(|_| next() as u8).collect();
                for (at, byte) in elements.iter_mut().enumerate() {
                    *byte *= u8::from(kept >> (at % size) & 1 == 1);
                }
                let mut shuffled = vec![0; elements.len()];
                shuffle(&elements, size, &mut shuffled);
                let mut out = vec![0xa5; elements.len()];
                unshuffle_reference(&shuffled, size, &mut out);
                assert!(out == elements, "the law, {size}");
                for &simd in &available {
                    for (first, count) in [(0, elements.len() / size), (8, elements.len() / size / 16 * 8)] {
                        let Some(expected) = elements.get(first * size..(first + count) * size) else {
                            continue;
                        };
                        let mut out = vec![0xa5; count * size + 1];
                        let (part, beyond) = out.split_at_mut(count * size);
                        unshuffle(simd, &shuffled, size, first, part);
                        assert!(*part == *expected, "{simd:?}, {count} of {size} bytes from {first}");
                        assert_eq!(beyond, [0xa5], "{simd:?} wrote beyond");
                    }
                }
            }
        }
    }
}

#[test]
fn images_of_any_size_come_back_from_blocks_of_any_size() {
    for filter in FILTERS {
        for size in SIZES {
            for elements in [1, 7, 8, 9, 15, 16, 100, 1023, 2048, 2049, 2055, 2056, 5000, 20_011] {
                let bytes = counts(size, elements, elements as u64);
                for block in [None, Some(8), Some(16), Some(1000), Some(1 << 20)] {
                    let filter = match (filter, block) {
                        (ChunkFilter::Bitshuffle { .. }, Some(block)) => {
                            ChunkFilter::Bitshuffle { block: block as u32 }
                        }
                        _ => filter,
                    };
                    let packed = encode(filter, size, &bytes, block);
                    let back = image(filter, size, &packed, elements);
                    assert!(back == Ok(bytes.clone()), "{filter:?}, {elements} of {size} bytes, {block:?}");
                }
            }
        }
    }
    assert_eq!(SIZES.map(default_block), [8192, 4096, 2048, 1024]);
}

#[test]
fn a_block_that_does_not_get_smaller_is_stored() {
    let mut next = random(5);
    let noise: Vec<u8> = (0..1000).map(|_| next() as u8).collect();
    let packed = encode(ChunkFilter::Lz4, 1, &noise, Some(300));
    assert_eq!(packed.len(), 12 + 4 * 4 + 1000);
    assert_eq!(packed[12..16], 300_u32.to_be_bytes());
    assert_eq!(image(ChunkFilter::Lz4, 1, &packed, 1000), Ok(noise));
}

#[test]
fn wrong_headers_and_lengths_are_errors_with_their_place() {
    let bytes = counts(4, 100, 1);
    for filter in [ChunkFilter::Lz4, ChunkFilter::BitshuffleLz4, ChunkFilter::BitshuffleZstd] {
        let good = encode(filter, 4, &bytes, Some(40));
        let with = |at: usize, new: &[u8]| {
            let mut packed = good.clone();
            packed.splice(at..at + new.len(), new.iter().copied());
            image(filter, 4, &packed, 100)
        };
        assert_eq!(with(0, &[]), Ok(bytes.clone()));
        assert_eq!(image(filter, 4, &good[..11], 100), Err(BlockError::NoHeader { found: 11 }));
        let wrong = |said| Err(BlockError::WrongSize { said, expected: 400 });
        assert_eq!(with(0, &399_u64.to_be_bytes()), wrong(399));
        assert_eq!(with(0, &u64::MAX.to_be_bytes()), wrong(u64::MAX));
        assert_eq!(with(12, &[0xff; 4]), Err(BlockError::CutShort { block: 0, byte: 12 }));
        assert_eq!(
            image(filter, 4, &[&good[..], &[0, 0]].concat(), 100),
            Err(BlockError::LeftOver { bytes_left: 2 })
        );
        // Cut anywhere: which block it is, never a wrong image.
        for cut in 12..good.len() {
            let error = image(filter, 4, &good[..cut], 100).expect_err("it is cut");
            assert!(matches!(error, BlockError::CutShort { byte, .. } if byte <= cut), "{filter:?}: {error}");
        }
        let zero = with(8, &[0; 4]);
        match filter {
            ChunkFilter::Lz4 => assert_eq!(zero, Err(BlockError::BlockSize { bytes: 0, size: 4 })),
            // The default: all in one block, which that of 40 elements is not.
            _ => assert!(matches!(zero, Err(BlockError::Lz4 { block: 0, .. } | BlockError::Zstd { .. }))),
        }
        if filter != ChunkFilter::Lz4 {
            assert_eq!(with(8, &44_u32.to_be_bytes()), Err(BlockError::BlockSize { bytes: 44, size: 4 }));
        }
    }
    // A match that reaches before its block is one, whatever was in the block before.
    let lz4 = |block: &[u8]| {
        let length = (block.len() as u32).to_be_bytes();
        let header = [&16_u64.to_be_bytes()[..], &8_u32.to_be_bytes()].concat();
        image(ChunkFilter::Lz4, 1, &[&header[..], &[0, 0, 0, 8], b"01234567", &length, block].concat(), 16)
    };
    let cause = Lz4Error::Offset { byte: 0, offset: 9, written: 1 };
    assert_eq!(lz4(b"\x10x\x09\x00\x20yz"), Err(BlockError::Lz4 { block: 1, byte: 24, cause }));
    let block = ChunkFilter::Bitshuffle { block: 12 };
    assert_eq!(image(block, 4, &bytes, 100), Err(BlockError::BlockSize { bytes: 48, size: 4 }));
    assert_eq!(
        image(ChunkFilter::Bitshuffle { block: 8 }, 4, &bytes[..399], 100),
        Err(BlockError::CutShort { block: 12, byte: 384 })
    );
}

#[test]
fn a_frame_that_does_not_decode_is_a_bad_frame_with_path_place_and_cause() {
    let shape = Shape { slow: 10, fast: 10 };
    let encoding = |codec| Encoding { codec, pixel: PixelType::U32, shape };
    let bytes = counts(4, 100, 1);
    let packed = encode(ChunkFilter::BitshuffleLz4, 4, &bytes, Some(40));
    let bad = |codec, packed: &[u8]| {
        let mut pixels = vec![0_u32; 100];
        let error = decode(encoding(codec), packed, &mut pixels).expect_err("damaged");
        let bad = error.bad_frame(FrameId(3), &Path::new("a/b.h5").into(), encoding(codec));
        (bad.status, bad.message)
    };
    let bslz4 = Codec::Filtered(ChunkFilter::BitshuffleLz4);
    let mut pixels = vec![0_u32; 100];
    assert_eq!(decode(encoding(bslz4), &packed, &mut pixels), Ok(()));
    assert_eq!(bytes_of(&pixels), bytes);
    let mut damaged = packed.clone();
    damaged[16] ^= 0x0f;
    let (status, message) = bad(bslz4, &damaged);
    assert_eq!(status, FrameStatus::Corrupt);
    assert!(message.starts_with("a/b.h5: block 0, which begins at byte 12: "), "{message}");
    assert!(message.ends_with(": the data are damaged (bitshuffle-LZ4)"), "{message}");
    assert_eq!(bad(bslz4, &packed[..50]).0, FrameStatus::Truncated);
    assert_eq!(bad(bslz4, &[&packed[..], &[0]].concat()).0, FrameStatus::Overlong);
    assert_eq!(bad(Codec::Raw, &bytes[..399]).0, FrameStatus::Truncated);
    let (status, message) = bad(Codec::Raw, &[&bytes[..], &[0]].concat());
    assert_eq!((status, &*message), (FrameStatus::Overlong, "a/b.h5: 401 bytes, but 10 x 10 uint32 are 400"));
    let size = decode(encoding(Codec::Raw), &[], &mut pixels);
    assert!(matches!(size, Err(UnpackError::Size { found: 0, expected: 400, .. })), "{size:?}");
}

#[test]
fn a_reader_that_decodes_gives_pixels_or_a_bad_frame() {
    let shape = Shape { slow: 20, fast: 21 };
    let pixels = counts(2, shape.pixels(), 9);
    for filter in FILTERS {
        let encoding = Encoding { codec: Codec::Filtered(filter), pixel: PixelType::U16, shape };
        let packed = encode(filter, 2, &pixels, None);
        let slot_bytes = packed.len();
        let (columns, header, facts) = Default::default();
        let about = About { encoding, undone: None, count: Some(2), slot_bytes, columns, header, facts };
        let mut reader = Decoding::new(Box::new(HeldReader { about: Arc::new(about) }));
        let mut slot = SlotPool::on_host(1, packed.len()).take();
        slot.memory_mut().bytes_mut().copy_from_slice(&packed);
        let parts = vec![0..packed.len(), 0..packed.len() - 1];
        let ticket = Ticket { ids: 0..2, place: Place::Held { slot: Arc::new(slot), parts } };
        let (pool, mut seen) = (SlotPool::on_host(2, 0), Vec::new());
        reader.read(ticket, &mut Slots::of(&pool), &mut |frame| seen.push(frame));
        let [Ok(good), Err(bad)] = &seen[..] else { panic!("{filter:?}: {} frames", seen.len()) };
        assert_eq!(good.encoding, Encoding { codec: Codec::Raw, ..encoding });
        assert!(good.bytes() == pixels, "{filter:?}");
        assert_eq!((bad.id, bad.status), (FrameId(1), FrameStatus::Truncated), "{filter:?}");
    }
}

/// Bytes in which tokens, offsets and long lengths are frequent.
fn adversarial() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => any::<u8>().prop_map(|byte| vec![byte]),
        2 => (0_u8..16, prop::collection::vec(any::<u8>(), 0..15), 1_u16..40).prop_map(|(match_, literals, offset)| {
            let token = (literals.len() as u8) << 4 | match_;
            [&[token][..], &literals, &offset.to_le_bytes()].concat()
        }),
        1 => (1_u16..20, any::<u8>()).prop_map(|(offset, more)| {
            [&[0x1f, 0x33][..], &offset.to_le_bytes(), &[more]].concat()
        }),
        1 => Just(vec![0xff; 3]),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn decoders_agree_on_any_block(packed in adversarial(), len in 0_u16..2000) {
        checks::lz4_block(&[&len.to_le_bytes()[..], &packed].concat());
        // And as long as it says itself, if it says so.
        if let Err(Lz4Error::TooShort { written, .. }) = unpacked(&packed, 60_000) {
            checks::lz4_block(&[&(written as u16).to_le_bytes()[..], &packed].concat());
        }
    }

    #[test]
    fn decoders_agree_in_runs_of_any_length(
        filter in 0_usize..4, size in 0_usize..4, elements in 0_usize..3000, block in 1_usize..200, run in 1_usize..700,
        seed in any::<u64>(), spoilt in any::<prop::sample::Index>(), with in 0_u8..3,
    ) {
        let (filter, size) = (FILTERS[filter], SIZES[size]);
        let mut packed = encode(filter, size, &counts(size, elements, seed), Some(8 * block));
        if !packed.is_empty() {
            let at = spoilt.index(packed.len());
            packed[at] = packed[at].wrapping_add(with);
        }
        checks::twins(filter, size, &packed, elements, run);
    }
}

#[test]
#[ignore = "a measurement of minutes: 10^8 bytes for each decoder; prints how many"]
fn a_hundred_million_bytes_each() {
    let mut next = random(99);
    for (name, check) in [
        ("lz4", checks::lz4_block as fn(&[u8])),
        ("hdf5_lz4", checks::hdf5_lz4),
        ("bitshuffle", checks::bitshuffle),
    ] {
        let seeds = crate::mutated::block_seeds(name);
        let (mut bytes, mut runs) = (0, 0);
        while bytes < 100_000_000 {
            let mut input = seeds[next() as usize % seeds.len()].clone();
            for _ in 0..=next() % 6 {
                let at = next() as usize % input.len();
                match next() % 4 {
                    0 => input[at] ^= 1 << (next() % 8),
                    1 => input[at] = next() as u8,
                    2 => input[at] = 255,
                    _ => input.truncate(at.max(16)),
                }
            }
            check(&input);
            bytes += input.len();
            runs += 1;
        }
        println!("{name}: {bytes} bytes in {runs} inputs");
    }
}

mod needs_oracle {
    use super::*;
    use crate::support::ask_oracle;

    /// One chunk that the oracle has packed, or is to unpack: `name filter size block elements` in a line.
    fn described(line: &str) -> (&str, ChunkFilter, usize, Option<usize>, usize) {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, filter, size, block, elements] = words[..] else { panic!("{line}") };
        let number = |word: &str| word.parse::<usize>().expect("a number");
        let block = number(block);
        let filter = match filter {
            "lz4" => ChunkFilter::Lz4,
            "none" => ChunkFilter::Bitshuffle { block: block as u32 },
            "bslz4" => ChunkFilter::BitshuffleLz4,
            "bszstd" => ChunkFilter::BitshuffleZstd,
            other => panic!("{other}"),
        };
        (name, filter, number(size), Some(block).filter(|block| *block > 0), number(elements))
    }

    #[test]
    fn chunks_of_hdf5plugin_decode_to_what_was_written() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let list = ask_oracle("blocks.py", &[Path::new("write"), folder.path()]);
        let mut seen = 0;
        for line in list.lines() {
            let (name, filter, size, block, elements) = described(line);
            let read = |what| fs::read(folder.path().join(format!("{name}.{what}"))).expect("written");
            let (packed, bytes) = (read("packed"), read("bytes"));
            assert!(image(filter, size, &packed, elements) == Ok(bytes.clone()), "{line}");
            if matches!(filter, ChunkFilter::Bitshuffle { .. }) {
                assert!(encode(filter, size, &bytes, block) == packed, "{line}: the same bytes");
            }
            seen += 1;
        }
        assert!(seen >= 100, "{seen} chunks");
    }

    #[test]
    fn hdf5plugin_reads_what_is_packed_here() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let mut list = String::new();
        for (filter, name) in FILTERS.into_iter().zip(["lz4", "none", "bslz4", "bszstd"]) {
            for size in SIZES {
                for elements in [1, 7, 8, 1000, 2048, 20_011] {
                    for block in [0, 8, 1000] {
                        let bytes = counts(size, elements, 8);
                        let of = match filter {
                            ChunkFilter::Bitshuffle { .. } => ChunkFilter::Bitshuffle { block: block as u32 },
                            other => other,
                        };
                        let packed = encode(of, size, &bytes, Some(block).filter(|block| *block > 0));
                        let chunk = format!("{name}-{size}-{elements}-{block}");
                        fs::write(folder.path().join(format!("{chunk}.packed")), packed).expect("written");
                        fs::write(folder.path().join(format!("{chunk}.bytes")), bytes).expect("written");
                        list += &format!("{chunk} {name} {size} {block} {elements}\n");
                    }
                }
            }
        }
        fs::write(folder.path().join("list"), &list).expect("written");
        let said = ask_oracle("blocks.py", &[Path::new("read"), folder.path()]);
        assert_eq!(said.trim(), format!("{} chunks read", list.lines().count()));
    }

    mod needs_data {
        use super::*;
        use crate::support::data;

        #[test]
        fn every_chunk_of_real_eiger_files_decodes_as_h5py_reads_it() {
            let folder = tempfile::tempdir().expect("a scratch folder");
            let list = ask_oracle("blocks.py", &[Path::new("chunks"), folder.path(), &data("eiger")]);
            let mut seen = 0;
            for line in list.lines() {
                let (name, filter, size, _, elements) = described(line);
                let read = |what| fs::read(folder.path().join(format!("{name}.{what}"))).expect("written");
                let (packed, bytes) = (read("packed"), read("bytes"));
                let mut out = vec![0; bytes.len()];
                let mut decoder = BlockDecoder::new(filter, size, &packed, elements * size).expect(line);
                decoder.next(&mut out).and_then(|()| decoder.finish()).expect(line);
                assert!(out == bytes, "{line}");
                let mut law = vec![0; bytes.len()];
                assert_eq!(decode_reference(filter, size, &packed, &mut law), Ok(()), "{line}");
                assert!(law == bytes, "{line}");
                seen += 1;
            }
            println!("{seen} real chunks");
            assert!(seen >= 30, "{seen} chunks");
        }
    }
}
