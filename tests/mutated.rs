//! What the fuzz targets do at length, for some seconds each: good input, spoiled with words that matter in its format.

use std::fs::{self, read};
use std::io::{Cursor, Write};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use tiff::encoder::{TiffEncoder, colortype};
use xrdct::codec::byte_offset::encode;
use xrdct::codec::{blocks, lz4};

use crate::blocks::checks as block_checks;
use crate::codec::checks;
use crate::support::images;
use crate::support::{cbf_bytes, data, small_pixels, write_small_scan, xrdct};
use xrdct::frame::{ChunkFilter, Shape};

/// Words that CBF headers and byte-offset streams turn on.
const CBF: [&[u8]; 9] = [
    b"\x80",
    b"\x80\x00\x80",
    b"\x80\x00\x80\x00\x00\x00\x80",
    b"\r\n",
    b"\n;",
    b"--CIF-BINARY-FORMAT-SECTION--",
    b"\x0c\x1a\x04\xd5",
    b"18446744073709551615",
    b"X-Binary-Size: 1",
];

/// Runs `check` with seeded mutations of `seeds` for about two seconds.
fn mutate(seeds: &[Vec<u8>], words: &[&[u8]], check: fn(&[u8])) {
    seeds.iter().for_each(|seed| check(seed));
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize % n.max(1)
    };
    let start = Instant::now();
    let mut runs = 0;
    while start.elapsed() < Duration::from_secs(2) {
        let mut bytes = seeds[random(seeds.len())].clone();
        for _ in 0..=random(6) {
            let at = random(bytes.len() + 1);
            let end = (at + random(40)).min(bytes.len());
            match random(5) {
                0 if at < bytes.len() => bytes[at] ^= 1 << random(8),
                1 => drop(bytes.splice(at..at, words[random(words.len())].iter().copied())),
                2 => drop(bytes.drain(at..end)),
                3 => drop(bytes.splice(at..end, words[random(words.len())].iter().copied())),
                _ if random(8) == 0 => bytes.truncate(at),
                _ => {
                    let copy = bytes[at..end].to_vec();
                    let to = random(bytes.len() + 1);
                    bytes.splice(to..to, copy);
                }
            }
        }
        check(&bytes);
        runs += 1;
    }
    println!("{runs} mutated inputs");
    assert!(runs > 100, "only {runs} mutated inputs in two seconds");
}

/// A frame of 61 x 47 pixels.
fn small_frame() -> Vec<u8> {
    cbf_bytes(&encode(&small_pixels(0)), Shape { slow: 61, fast: 47 }, 0, |header| header)
}

#[test]
fn headers_never_panic_the_parser() {
    mutate(&[small_frame()], &CBF, checks::header);
}

#[test]
fn streams_never_part_the_decoders() {
    let noisy: Vec<i32> = (0..400).map(|i| (i * 7919) % 251 + if i % 29 == 0 { 70_000 } else { 0 }).collect();
    let mut seeds: Vec<Vec<u8>> =
        (0..8).map(|pixel| [&[pixel, 144, 1, 50], &encode(&noisy)[..]].concat()).collect();
    seeds.push([&[4, 144, 1, 50], &encode(&[i64::MIN, 0, 1, -1, i64::MAX])[..]].concat());
    mutate(&seeds, &CBF, checks::decoders);
}

/// Good inputs of the fuzz target of that name.
pub(crate) fn block_seeds(target: &str) -> Vec<Vec<u8>> {
    let counts = |size: usize, elements: usize| -> Vec<u8> {
        let value = |i: usize| ((i * 7919) % 251 % 7 + if i.is_multiple_of(97) { 70_000 } else { 0 }) as u64;
        (0..elements).flat_map(|i| value(i).to_le_bytes()[..size].to_vec()).collect()
    };
    let mut seeds = Vec::new();
    for (at, size) in [1, 2, 4, 8].into_iter().enumerate() {
        for (elements, block) in [(40, None), (611, Some(64)), (2500, None)] {
            let bytes = counts(size, elements);
            let image = |filter, first: &[u8]| {
                [first, &[at as u8, 50], &blocks::encode(filter, size, &bytes, block)[..]].concat()
            };
            match target {
                "lz4" => {
                    let mut seed = (bytes.len() as u16).to_le_bytes().to_vec();
                    lz4::encode(&bytes, &mut seed);
                    seeds.push(seed);
                }
                "hdf5_lz4" => seeds.push(image(ChunkFilter::Lz4, &[])),
                _ => {
                    seeds.push(image(ChunkFilter::Bitshuffle { block: 0 }, &[0]));
                    seeds.push(image(ChunkFilter::BitshuffleZstd, &[1]));
                    seeds.push(image(ChunkFilter::BitshuffleLz4, &[2]));
                }
            }
        }
    }
    seeds
}

/// Words that LZ4's tokens and lengths turn on.
const BLOCKS: [&[u8]; 7] = [
    b"\x00",
    b"\xff\xff",
    b"\x0f\x01\x00\xff",
    b"\x1f\x07\x00",
    b"\xf0\xff",
    b"\x00\x00\x00\x08",
    b"\x00\x00\x20\x00",
];

#[test]
fn lz4_blocks_never_part_the_decoders() {
    mutate(&block_seeds("lz4"), &BLOCKS, block_checks::lz4_block);
}

#[test]
fn images_of_filter_32004_never_part_the_decoders() {
    mutate(&block_seeds("hdf5_lz4"), &BLOCKS, block_checks::hdf5_lz4);
}

#[test]
fn images_of_filter_32008_never_part_the_decoders() {
    mutate(&block_seeds("bitshuffle"), &BLOCKS, block_checks::bitshuffle);
}

#[test]
fn configurations_are_followed_or_refused_by_name() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    write_small_scan(folder.path(), 2);
    let command = "integrate --poni small.poni -o o.h5 --device cpu --npt 50 --dummy -2 --polarization 0.9 \
                   --azimuth-range -20 90 --radial-range 1 20 --slow 1 --fast 2 --save-config our.json scan";
    let done = xrdct(folder.path(), &command.split_whitespace().collect::<Vec<_>>());
    assert_eq!(done.code, 0, "{}", done.stderr);
    let of_worker = |version: u32| {
        let poni = json!({
            "dist": 0.1, "poni1": 0.01, "poni2": 0.02, "rot1": 0.0, "rot2": 0.0, "rot3": 0.0, "wavelength": 1e-10,
            "detector": "Pilatus100k", "detector_config": {}, "poni_version": 2.1,
        });
        let mut whole = json!({
            "application": "worker", "version": version, "unit": "2th_deg", "nbpt_rad": 300, "nbpt_azim": 1, "do_2D": false,
            "method": ["no", "csr", "cython"], "mask_file": null, "dark_current": [], "flat_field": [], "error_model": "poisson",
            "polarization_factor": null, "val_dummy": null, "delta_dummy": null, "correct_solid_angle": true,
            "radial_range": [0.5, 20.0], "azimuth_range": null, "normalization_factor": 1.0, "extra_options": null,
        });
        let keys = whole.as_object_mut().expect("an object");
        match version {
            4.. => drop(keys.insert("poni".into(), poni)),
            _ => keys.extend(poni.as_object().expect("an object").clone()),
        }
        whole
    };
    let diffmap = json!({
        "ai": of_worker(5), "nbpt_slow": 2, "nbpt_fast": 3, "nbpt_rad": 100, "input_data": [["scan/a.cbf", null, 0, 1]],
        "output_file": "map.h5", "application": "pyfai-diffmap", "version": 4, "experiment_title": "title", "offset": 0,
    });
    let mut seeds: Vec<Vec<u8>> = (1..=5).map(|v| of_worker(v).to_string().into_bytes()).collect();
    seeds.push(diffmap.to_string().into_bytes());
    seeds.push(read(folder.path().join("our.json")).expect("saved"));
    let words: [&[u8]; 14] = [
        b"null",
        b"-1",
        b"1e999",
        b"18446744073709551616",
        b"NaN",
        b"\"",
        b"{",
        b"}",
        b"[",
        b"]",
        b"[null,[]]",
        b"true",
        b"\\ud800",
        b"\"version\": 99,",
    ];
    mutate(&seeds, &words, checks::configuration);
}

#[test]
fn images_are_as_large_as_they_say_or_refused() {
    let header = "{'descr': '<u2', 'fortran_order': False, 'shape': (3, 4), }\n";
    let npy = [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &[7; 24]]
        .concat();
    let keys = "ByteOrder = LowByteFirst ;\nDataType = FloatValue ;\nDim_1 = 4 ;\nDim_2 = 3 ;\nSize = 48 ;\n";
    let edf = [format!("{{\n{keys}}}\n").as_bytes(), &[0; 48]].concat();
    let mut tiff = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut tiff).expect("a TIFF");
    encoder.write_image::<colortype::Gray16>(4, 3, &[9; 12]).expect("an image");
    let two = [edf.clone(), edf.clone()].concat();
    let pages = |packing| {
        images::tiff(Shape { slow: 3, fast: 4 }, &[vec![7; 12], vec![8; 12]], 2, packing, "# Omega 1 deg.")
    };
    let pages = [pages(tiff::encoder::Compression::Lzw), pages(tiff::encoder::Compression::Uncompressed)];
    let plain = [vec![npy, edf, two, tiff.into_inner(), small_frame()], pages.to_vec()].concat();
    let packed = plain.iter().map(|bytes| {
        let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
        gz.write_all(bytes).expect("memory");
        gz.finish().expect("memory")
    });
    let seeds: Vec<Vec<u8>> = plain.iter().cloned().chain(packed).collect();
    let words: [&[u8]; 14] = [
        b"(9223372036854775807, 9)",
        b"(9, 3, 4)",
        b"Dim_3 = 9 ;\n",
        b"EDF_BinarySize = 18446744073709551615 ;\n",
        b"Compression = GZIP ;\n",
        b"4294967295",
        b"Dim_1 = 99999999 ;\n",
        b"\xff\xff\xff\xff",
        b"'<f8'",
        b"}\n{\n",
        b"II*\x00",
        b"\x89HDF\r\n\x1a\n",
        b"\x1f\x8b\x08",
        b"BZh9",
    ];
    mutate(&seeds, &words, checks::image);
}

#[test]
fn lists_name_files_or_are_refused() {
    let seeds = [&b"a_1.cbf\na_2.cbf\n# no more\n\n"[..], b"a_?.cbf\n.\n*.cbf\n", b"@other\r\na_[12].cbf\n"];
    let words: [&[u8]; 10] =
        [b"**", b"**/", b"[", b"]", b"@", b"\n", b"\xff\xfe", b"\x00", b"a_1.cbf/", b"{a,b}"];
    mutate(&seeds.map(<[u8]>::to_vec), &words, checks::list);
}

mod needs_data {
    use super::*;

    #[test]
    fn real_headers_never_panic_the_parser() {
        let names = ["cbf/omega_scan.cbf", "cbf/pilatus3_2M_fragmax.cbf", "refused/packed_mar345.cbf"];
        let begin = |name| {
            let mut file = fs::read(data(name)).expect("read");
            file.truncate(10_000);
            file
        };
        mutate(&names.map(begin), &CBF, checks::header);
    }
}
