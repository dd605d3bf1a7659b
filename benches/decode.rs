//! Decoding byte-offset on one core: whole frames a tile at a time, as the engine does it.
//!
//! Frames have the number of escapes of weak, usual and strong detectors. The ceiling is reading every byte and writing every
//! pixel, a tile at a time and with the compiler's widest instructions, without adding anything up: `widen`. The digest of
//! the pixels is the reference decoder's, or the bench fails.

use std::hint::black_box;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use xrdct::bench::measure::{Amount, Measure, digest};
use xrdct::codec::byte_offset::{Decoder, Simd, decode_reference, encode};

use super::options::{Options, told};

const PIXELS: usize = 1475 * 1679;
const TILE: usize = 1024;

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

/// Bytes to pixels, one each, as far as there are bytes.
fn widen(packed: &[u8], tile: &mut [i32]) {
    for bytes in packed.chunks(tile.len()) {
        let pixels = tile.iter_mut().zip(black_box(bytes));
        pixels.for_each(|(pixel, byte)| *pixel = i32::from(*byte as i8));
        black_box(&mut *tile);
    }
}

/// Every kind of frame with the best instructions, the usual one with all of them.
pub fn measure(options: &Options) -> Result<Vec<Measure>> {
    let mut frames = vec![
        ("0 % escapes", encode(&frame(0, false))),
        ("0.2 % escapes", encode(&frame(2, false))),
        ("2 % escapes", encode(&frame(20, false))),
        ("15 % escapes in runs", encode(&frame(150, true))),
        ("all escapes", encode(&frame(100_000, true))),
    ];
    match real_frame() {
        Some(packed) => frames.push(("a real Pilatus 2M", packed)),
        None => println!("no test data (XRDCT_TEST_DATA): the real frame is left out"),
    }
    let best = Simd::best();
    let mut measures = Vec::new();
    let (mut pixels, mut tile) = (vec![0_i32; PIXELS], vec![0_i32; TILE]);
    let mut widened = vec![0_i32; TILE];
    for (kind, packed) in &frames {
        let of = |pixels: &[i32]| digest(pixels.iter().map(|pixel| u64::from(*pixel as u32)));
        decode_reference(packed, &mut pixels)?;
        let truth = of(&pixels);
        for simd in Simd::ALL.into_iter().filter(|simd| simd.is_available()) {
            let name = match simd == best {
                true => format!("decode, {kind}"),
                false => format!("decode, {kind}, {simd:?}"),
            };
            if simd != best && *kind != "2 % escapes" || !options.wants(&name) {
                continue;
            }
            pixels.fill(0);
            let mut decoder = Decoder::with_simd(packed, simd);
            decoder.next(&mut pixels)?;
            decoder.finish()?;
            ensure!(of(&pixels) == truth, "{simd:?} decodes {kind} wrongly");
            measures.push(told(Measure::take(
                &name,
                Amount { bytes: packed.len(), pixels: PIXELS },
                truth.clone(),
                options.seconds,
                &mut || tiles(packed, simd, &mut tile),
                ("widen", &mut || widen(packed, &mut widened)),
            )));
        }
    }
    Ok(measures)
}
