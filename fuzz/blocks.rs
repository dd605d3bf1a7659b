//! What must hold for any bytes whatever that are said to be LZ4 or blocks: the fast decoders say what the laws say, nothing is
//! written beyond the image, and what was decoded packs and unpacks to itself.

use xrdct::codec::blocks::{BlockDecoder, BlockError, decode_reference, encode};
use xrdct::codec::lz4;
use xrdct::codec::simd::Simd;
use xrdct::frame::ChunkFilter;

/// Bytes beyond the image that nobody may write.
const BEYOND: usize = 64;
const CANARY: u8 = 0x5a;
/// Largest image that a header may ask for here.
const LARGEST: u64 = 1 << 15;

/// An LZ4 block; the first two bytes say what it is to unpack to.
pub fn lz4_block(data: &[u8]) {
    let [low, high, packed @ ..] = data else { return };
    let len = usize::from(u16::from_le_bytes([*low, *high]));
    let mut truth = vec![0; len];
    let expected = lz4::decode_reference(packed, &mut truth);
    let mut memory = vec![CANARY; len + BEYOND];
    let (out, beyond) = memory.split_at_mut(len);
    assert_eq!(lz4::decode(packed, out), expected);
    assert!(beyond.iter().all(|byte| *byte == CANARY), "it wrote beyond its block");
    if expected.is_ok() {
        assert!(*out == truth, "{len} bytes");
    }
    let mut again = Vec::new();
    lz4::encode(&truth, &mut again);
    assert_eq!(lz4::decode_reference(&again, out), Ok(()));
    assert!(*out == truth, "{len} bytes do not come back");
}

/// An image of filter 32004; see [`image`].
pub fn hdf5_lz4(data: &[u8]) {
    image(ChunkFilter::Lz4, data);
}

/// An image of filter 32008; the first byte says in which way, and with it the block where that is no header's.
pub fn bitshuffle(data: &[u8]) {
    let [way, data @ ..] = data else { return };
    let filter = match way & 3 {
        0 => ChunkFilter::Bitshuffle { block: u32::from(way >> 2) * 4 },
        1 => ChunkFilter::BitshuffleZstd,
        _ => ChunkFilter::BitshuffleLz4,
    };
    image(filter, data);
}

/// A packed image; the first bytes say the size of its elements and how many are taken in a run, and where no header is, all there is
/// are elements.
fn image(filter: ChunkFilter, data: &[u8]) {
    let [size, run, packed @ ..] = data else { return };
    let size = 1 << (size & 3);
    let said = match (filter, packed.first_chunk()) {
        (ChunkFilter::Bitshuffle { .. }, _) | (_, None) => packed.len() as u64,
        (_, Some(said)) => u64::from_be_bytes(*said).min(LARGEST),
    };
    twins(filter, size, packed, said as usize / size, usize::from(*run) + 1);
}

/// Every decoder in runs and at once, against the law.
pub fn twins(filter: ChunkFilter, size: usize, packed: &[u8], elements: usize, run: usize) {
    let len = elements * size;
    let mut truth = vec![0; len];
    let expected = decode_reference(filter, size, packed, &mut truth);
    for simd in Simd::ALL {
        for run in [run.saturating_mul(size), usize::MAX] {
            let mut memory = vec![CANARY; len + BEYOND];
            let (out, beyond) = memory.split_at_mut(len);
            let found = in_runs(filter, size, packed, simd, run, out);
            assert_eq!(found, expected, "{simd:?}, {elements} of {size} bytes, {filter:?}, runs of {run}");
            assert!(beyond.iter().all(|byte| *byte == CANARY), "{simd:?} wrote beyond its image");
            if expected.is_ok() {
                assert!(*out == truth, "{simd:?}, {elements} of {size} bytes, {filter:?}, runs of {run}");
            }
        }
    }
    if expected.is_err() {
        return;
    }
    for block in [None, Some(8), Some(8 * run)] {
        let filter = match filter {
            ChunkFilter::Bitshuffle { .. } => ChunkFilter::Bitshuffle { block: block.unwrap_or(0) as u32 },
            other => other,
        };
        let mut again = vec![0; len];
        let packed = encode(filter, size, &truth, block);
        assert_eq!(decode_reference(filter, size, &packed, &mut again), Ok(()), "{filter:?}, {block:?}");
        assert!(
            again == truth,
            "{filter:?}, blocks of {block:?}, {elements} of {size} bytes do not come back"
        );
    }
}

fn in_runs(
    filter: ChunkFilter,
    size: usize,
    packed: &[u8],
    simd: Simd,
    run: usize,
    out: &mut [u8],
) -> Result<(), BlockError> {
    let mut decoder = BlockDecoder::with_simd(filter, size, packed, out.len(), simd)?;
    out.chunks_mut(run).try_for_each(|run| decoder.next(run))?;
    decoder.finish()
}
