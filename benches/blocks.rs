//! Decoding LZ4 and bitshuffle on one core: whole frames a tile at a time, as the engine does it, and at once, as a reader does.
//!
//! Frames are like those of an Eiger2 4M: Poisson counts of a background and rings, some spots, gaps that hold the largest value.
//! The ceiling of tiles is reading every packed byte and writing every pixel; of whole frames, a copy of the image. LZ4 alone
//! stands beside the crate `lz4_flex`; a whole frame beside hdf5plugin too, which reads the same chunk through h5py on
//! one core. What is decoded is compared with the frame, or the bench fails.

use std::fs;
use std::hint::black_box;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Poisson};
use xrdct::bench::measure::{Amount, Measure, digest};
use xrdct::bench::peers;
use xrdct::codec::blocks::{BlockDecoder, encode};
use xrdct::codec::{lz4, simd::Simd};
use xrdct::frame::ChunkFilter;

use super::options::{Options, told};

const SLOW: usize = 2162;
const FAST: usize = 2068;
/// Pixels of a tile.
const TILE: usize = 1024;

/// Packed frames of one kind.
struct Kind {
    name: &'static str,
    filter: ChunkFilter,
    /// hdf5plugin's number of the compression; -1: its LZ4 filter.
    peer: i32,
    size: usize,
}

const BSLZ4: Kind = Kind { name: "u32 bslz4", filter: ChunkFilter::BitshuffleLz4, peer: 2, size: 4 };
const KINDS: [Kind; 5] = [
    BSLZ4,
    Kind { name: "u16 bslz4", size: 2, ..BSLZ4 },
    Kind { name: "u32 bitshuffle-zstd", filter: ChunkFilter::BitshuffleZstd, peer: 3, size: 4 },
    Kind { name: "u32 bitshuffle", filter: ChunkFilter::Bitshuffle { block: 0 }, peer: 0, size: 4 },
    Kind { name: "u32 LZ4", filter: ChunkFilter::Lz4, peer: -1, size: 4 },
];

/// A frame of `size`-byte counts, mostly 0 to 5.
fn frame(size: usize) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(4);
    let rings = [(200.0, 20.0), (350.0, 8.0), (500.0, 5.0), (700.0, 3.0)];
    let mut bytes = Vec::with_capacity(SLOW * FAST * size);
    for row in 0..SLOW {
        for column in 0..FAST {
            let r = (row as f64 - 1080.0).hypot(column as f64 - 1040.0);
            let ring = |(at, high): (f64, f64)| high * (-0.5 * ((r - at) / 6.0).powi(2)).exp();
            let mean = 0.5 + 2.0 * (-r / 500.0).exp() + rings.into_iter().map(ring).sum::<f64>();
            let is_gap = row % 550 >= 512 || (1028..1040).contains(&column);
            let value = match random.random_range(0..2000) {
                _ if is_gap => u64::MAX,
                0 => random.random_range(100..60_000),
                _ => Poisson::new(mean).map_or(0.0, |counts| counts.sample(&mut random)) as u64,
            };
            bytes.extend_from_slice(&value.to_le_bytes()[..size]);
        }
    }
    bytes
}

fn decode(kind: &Kind, packed: &[u8], simd: Simd, len: usize, runs: &mut dyn FnMut(&mut BlockDecoder<'_>)) {
    let decoder = BlockDecoder::with_simd(kind.filter, kind.size, packed, len, simd);
    let mut decoder = decoder.expect("a good header");
    runs(&mut decoder);
    decoder.finish().expect("nothing left over");
}

fn whole(kind: &Kind, packed: &[u8], simd: Simd, out: &mut [u8]) {
    decode(kind, packed, simd, out.len(), &mut |decoder| decoder.next(out).expect("a complete frame"));
}

fn tiles(kind: &Kind, packed: &[u8], simd: Simd, len: usize, tile: &mut [u8]) {
    decode(kind, packed, simd, len, &mut |decoder| {
        let mut left = len;
        while left > 0 {
            let run = left.min(tile.len());
            decoder.next(black_box(&mut tile[..run])).expect("a complete frame");
            left -= run;
        }
    });
}

/// Every byte is read, every pixel written, a tile at a time.
fn read_and_write(packed: &[u8], len: usize, tile: &mut [u8]) {
    let (words, _) = packed.as_chunks::<8>();
    black_box(words.iter().fold(0, |sum: u64, word| sum.wrapping_add(u64::from_le_bytes(*word))));
    for _ in 0..len.div_ceil(tile.len()) {
        tile.fill(black_box(1));
        black_box(&mut *tile);
    }
}

/// Seconds in which hdf5plugin decodes the same chunk through h5py, on one core; a check that it gives the same comes first.
const PEER: &str = "
import sys, time, h5py, hdf5plugin, numpy
packed, image, slow, fast, size, kind = *(open(name, 'rb').read() for name in sys.argv[1:3]), *map(int, sys.argv[3:7])
of = dict(hdf5plugin.LZ4()) if kind < 0 else {'compression': 32008, 'compression_opts': (0, kind)}
with h5py.File('peer', 'w', driver='core', backing_store=False) as h5:
    data = h5.create_dataset('d', (1, slow, fast), f'u{size}', chunks=(1, slow, fast), **of)
    data.id.write_direct_chunk((0, 0, 0), packed)
    out, best = numpy.empty((1, slow, fast), f'u{size}'), 1e9
    data.read_direct(out)
    assert out.tobytes() == image
    begun = time.perf_counter()
    while time.perf_counter() - begun < 3:
        start = time.perf_counter()
        data.read_direct(out)
        best = min(best, time.perf_counter() - start)
print(best)
";

fn peer(kind: &Kind, packed: &[u8], image: &[u8]) -> Result<f64> {
    let python = peers::find_python(None)?;
    let folder = tempfile::tempdir()?;
    let [chunk, plain] = ["chunk", "plain"].map(|name| folder.path().join(name));
    fs::write(&chunk, packed)?;
    fs::write(&plain, image)?;
    let numbers = [SLOW.to_string(), FAST.to_string(), kind.size.to_string(), kind.peer.to_string()];
    let done = Command::new(python).args(["-c", PEER]).args([&chunk, &plain]).args(numbers).output()?;
    ensure!(done.status.success(), "hdf5plugin: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().parse().context("hdf5plugin's seconds")
}

/// Every kind of frame with the best instructions, the usual one with all of them.
pub fn measure(options: &Options) -> Result<Vec<Measure>> {
    let mut measures = Vec::new();
    let best = Simd::best();
    for kind in &KINDS {
        let image = frame(kind.size);
        let packed = encode(kind.filter, kind.size, &image, None);
        let (len, mut out) = (image.len(), vec![0; image.len()]);
        let words = image.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
        let truth = digest(words);
        let amount = Amount { bytes: packed.len(), pixels: SLOW * FAST };
        let (mut tile, mut floor) = (vec![0; TILE * kind.size], vec![0; TILE * kind.size]);
        for simd in Simd::ALL.into_iter().filter(|simd| simd.is_available()) {
            let name = match simd == best {
                true => format!("blocks, {}", kind.name),
                false => format!("blocks, {}, {simd:?}", kind.name),
            };
            if simd != best && kind.name != BSLZ4.name || !options.wants(&name) {
                continue;
            }
            out.fill(0);
            whole(kind, &packed, simd, &mut out);
            ensure!(out == image, "{simd:?} decodes {} wrongly", kind.name);
            measures.push(told(Measure::take(
                &name,
                amount,
                truth.clone(),
                options.seconds,
                &mut || tiles(kind, &packed, simd, len, &mut tile),
                ("read + write", &mut || read_and_write(&packed, len, &mut floor)),
            )));
        }
        let name = format!("blocks, whole, {}", kind.name);
        if options.wants(&name) {
            let mut copy = vec![0; len];
            let measure = told(Measure::take(
                &name,
                amount,
                truth.clone(),
                options.seconds,
                &mut || whole(kind, &packed, best, &mut out),
                ("copy of the image", &mut || black_box(&mut copy).copy_from_slice(&image)),
            ));
            let (seconds, own) = (peer(kind, &packed, &image)?, measure.seconds);
            measures.push(measure);
            let beside = format!("{name}, beside hdf5plugin");
            measures.push(told(Measure::new(
                &beside,
                amount,
                truth.clone(),
                own,
                ("h5py + hdf5plugin", seconds),
            )));
        }
        let name = format!("blocks, LZ4 alone, {}", kind.name);
        if matches!(kind.filter, ChunkFilter::Lz4 | ChunkFilter::BitshuffleLz4) && options.wants(&name) {
            let list = lz4_blocks(kind, &packed, len);
            let mut other = out.clone();
            measures.push(told(Measure::take(
                &name,
                amount,
                truth,
                options.seconds,
                &mut || {
                    for (packed, len) in &list {
                        lz4::decode(packed, &mut out[..*len]).expect("a good block");
                    }
                },
                ("lz4_flex", &mut || {
                    for (packed, len) in &list {
                        lz4_flex::block::decompress_into(packed, &mut other[..*len]).expect("a good block");
                    }
                }),
            )));
        }
    }
    Ok(measures)
}

/// What is packed with LZ4, and what it unpacks to.
fn lz4_blocks<'a>(kind: &Kind, packed: &'a [u8], mut left: usize) -> Vec<(&'a [u8], usize)> {
    let (mut at, mut list) = (12, Vec::new());
    let number = |at: usize| u32::from_be_bytes(*packed[at..].first_chunk().expect("a number")) as usize;
    let block = number(8);
    let eight = if kind.filter == ChunkFilter::Lz4 { 1 } else { 8 * kind.size };
    while left >= eight {
        let (from, to) = (at + 4, at + 4 + number(at));
        let len = block.min(left / eight * eight);
        if to - from != len {
            list.push((&packed[from..to], len));
        }
        (at, left) = (to, left - len);
    }
    list
}
