//! Speed of the byte-offset decoder on one core, beside its floor.
//!
//! Frames: made here with known fractions of escapes, and a real Pilatus 2M frame when the test data are there. Each is decoded
//! whole (the output goes to L3 or memory) and in tiles of 2048 pixels (the output stays in L1, as the engine does it), with each
//! set of instructions that the CPU has. The floor of decoding a whole frame is writing its pixels: `store` fills and
//! `memcpy` copies as many bytes. Elements are pixels; bytes are those of the pixels.
//!
//! A digest of the decoded pixels is compared with the reference decoder's before anything is timed.

use std::hint::black_box;
use std::path::PathBuf;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use xrdct::codec::byte_offset::{Decoder, Simd, decode_reference, encode};

const PIXELS: usize = 1475 * 1679;
const TILE: usize = 2048;

/// The same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

/// A noisy frame with about `escapes` escapes among 1000 codes, single ones or in runs of about 75.
fn frame(escapes: u64, in_runs: bool) -> Vec<i32> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut pixels = Vec::with_capacity(PIXELS);
    while pixels.len() < PIXELS {
        let quiet = 20 + random.below(24) as i32;
        if in_runs && random.below(75_000) < escapes {
            pixels.extend((0..75).map(|_| 3000 + random.below(4000) as i32));
        } else if !in_runs && random.below(2000) < escapes {
            pixels.push(quiet + 500); // up and down again: two escapes
        } else {
            pixels.push(quiet);
        }
    }
    pixels.truncate(PIXELS);
    pixels
}

/// The packed bytes of a real frame of `PIXELS` pixels.
fn real_frame() -> Option<Vec<u8>> {
    let data = std::env::var_os("XRDCT_TEST_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let file = data.join("cbf/series_p03/jg_gisaxs_4nm_old_3ml_insitu_ds03_00001_00006.cbf");
    let bytes = std::fs::read(file).ok()?;
    let start = bytes.windows(4).position(|magic| magic == [0x0c, 0x1a, 0x04, 0xd5])? + 4;
    bytes.get(start..start + 2_486_619).map(<[u8]>::to_vec)
}

fn digest(pixels: &[i32]) -> u64 {
    pixels
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |h, &p| (h ^ u64::from(p as u32)).wrapping_mul(0x0100_0000_01b3))
}

fn whole(packed: &[u8], simd: Simd, pixels: &mut [i32]) {
    let mut decoder = Decoder::with_simd(packed, simd);
    decoder.next(pixels).expect("a complete frame");
    decoder.finish().expect("nothing left over");
}

fn tiles(packed: &[u8], simd: Simd, tile: &mut [i32]) {
    let mut decoder = Decoder::with_simd(packed, simd);
    let mut left = PIXELS;
    while left > 0 {
        let run = left.min(tile.len());
        decoder.next(black_box(&mut tile[..run])).expect("a complete frame");
        left -= run;
    }
    decoder.finish().expect("nothing left over");
}

fn bench(c: &mut Criterion) {
    let mut frames = vec![
        ("0_percent", encode(&frame(0, false))),
        ("0.2_percent", encode(&frame(2, false))),
        ("2_percent", encode(&frame(20, false))),
        ("5_percent", encode(&frame(50, false))),
        ("15_percent_in_runs", encode(&frame(150, true))),
        ("all_escapes", encode(&frame(100_000, true))),
    ];
    match real_frame() {
        Some(packed) => frames.push(("pilatus_2M", packed)),
        None => eprintln!("no test data: the real frame is left out"),
    }

    let mut pixels = vec![0_i32; PIXELS];
    let mut tile = vec![0_i32; TILE];
    for (name, packed) in &frames {
        decode_reference(packed, &mut pixels).expect("a complete frame");
        let truth = digest(&pixels);

        let mut group = c.benchmark_group(format!("decode/{name}"));
        group.throughput(Throughput::ElementsAndBytes { elements: PIXELS as u64, bytes: 4 * PIXELS as u64 });
        for simd in Simd::ALL.into_iter().filter(|simd| simd.is_available()) {
            pixels.fill(0);
            whole(packed, simd, &mut pixels);
            assert_eq!(digest(&pixels), truth, "{simd:?} decodes {name} wrongly");
            group.bench_function(format!("{simd:?}/whole"), |b| b.iter(|| whole(packed, simd, &mut pixels)));
            group.bench_function(format!("{simd:?}/tiles"), |b| b.iter(|| tiles(packed, simd, &mut tile)));
        }
        group.finish();
    }

    let mut group = c.benchmark_group("decode/floor");
    group.throughput(Throughput::ElementsAndBytes { elements: PIXELS as u64, bytes: 4 * PIXELS as u64 });
    group.bench_function("store", |b| b.iter(|| black_box(&mut pixels).fill(black_box(7))));
    let source = vec![1_i32; PIXELS];
    group.bench_function("memcpy", |b| b.iter(|| black_box(&mut pixels).copy_from_slice(black_box(&source))));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = bench
}
criterion_main!(benches);
