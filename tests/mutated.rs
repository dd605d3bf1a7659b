//! What the fuzz targets do at length, for some seconds each: good input, spoiled with words that matter in its format.

#[path = "../fuzz/answers.rs"]
mod answers;

use std::fs::{self, read};
use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
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
use xrdct::h5::wire::{Element, Question, Reply};
use xrdct::h5::{self, Answers, Opener};
use xrdct::source::hdf5::Hdf5Frames;

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
fn mutate(seeds: &[Vec<u8>], words: &[&[u8]], mut check: impl FnMut(&[u8])) {
    let start = Instant::now();
    let (inputs, _) = mutate_while(seeds, words, &mut check, |_| start.elapsed() < Duration::from_secs(2));
    println!("{inputs} mutated inputs");
    assert!(inputs > 100, "only {inputs} mutated inputs in two seconds");
}

/// Likewise, as long as more are wanted after so many bytes; how many inputs and bytes there were.
fn mutate_while(
    seeds: &[Vec<u8>],
    words: &[&[u8]],
    check: &mut dyn FnMut(&[u8]),
    wants_more: impl Fn(usize) -> bool,
) -> (usize, usize) {
    seeds.iter().for_each(|seed| check(seed));
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize % n.max(1)
    };
    let (mut inputs, mut length) = (0, 0);
    while wants_more(length) {
        let mut bytes = seeds[random(seeds.len())].clone();
        for _ in 0..=random(6) {
            let at = random(bytes.len() + 1);
            let end = (at + random(40)).min(bytes.len());
            match random(7) {
                0 if at < bytes.len() => bytes[at] ^= 1 << random(8),
                1 => drop(bytes.splice(at..at, words[random(words.len())].iter().copied())),
                2 => drop(bytes.drain(at..end)),
                3 => drop(bytes.splice(at..end, words[random(words.len())].iter().copied())),
                4 | 5 => {
                    // The next number becomes another word.
                    let is_digit = |byte: &u8| byte.is_ascii_digit();
                    let first = bytes[at..].iter().position(is_digit).map_or(bytes.len(), |next| at + next);
                    let many = bytes[first..].iter().take_while(|byte| is_digit(byte)).count();
                    bytes.splice(first..first + many, words[random(words.len())].iter().copied());
                }
                _ if random(8) == 0 => bytes.truncate(at),
                _ => {
                    let copy = bytes[at..end].to_vec();
                    let to = random(bytes.len() + 1);
                    bytes.splice(to..to, copy);
                }
            }
        }
        check(&bytes);
        inputs += 1;
        length += bytes.len();
    }
    (inputs, length)
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

/// Answers, and the script that gives the same again.
struct Recorder {
    answers: Box<dyn Answers>,
    script: Arc<Mutex<Vec<u8>>>,
}

/// Numbers of a long answer that a script repeats.
const SOME: usize = 24;

impl Answers for Recorder {
    fn ask(&mut self, question: &Question, numbers: &mut [u8]) -> h5::Result<Reply> {
        let reply = self.answers.ask(question, numbers);
        let line = match (&reply, numbers.is_empty()) {
            (Ok(_), false) => as_text(question, numbers).into_bytes(),
            _ => serde_json::to_vec(&reply.clone().map_err(|error| error.to_string())).expect("JSON"),
        };
        let mut script = self.script.lock().expect("no panic");
        script.extend(line);
        script.push(b'\n');
        reply
    }
}

/// The first numbers of an answer.
fn as_text(question: &Question, numbers: &[u8]) -> String {
    let of = |size: usize, text: &dyn Fn(&[u8]) -> String| {
        numbers.chunks_exact(size).take(SOME).map(text).collect::<Vec<_>>().join(",")
    };
    let eight = |bytes: &[u8]| bytes.try_into().expect("eight bytes");
    let four = |bytes: &[u8]| bytes.try_into().expect("four bytes");
    match question {
        Question::Numbers { element: Element::F64, .. } => {
            of(8, &|bytes| f64::from_ne_bytes(eight(bytes)).to_string())
        }
        Question::Numbers { element: Element::F32, .. } => {
            of(4, &|bytes| f32::from_ne_bytes(four(bytes)).to_string())
        }
        Question::Numbers { element: Element::U32, .. } => {
            of(4, &|bytes| u32::from_ne_bytes(four(bytes)).to_string())
        }
        Question::Numbers { element, .. } => panic!("nobody asks for {element:?} of a scan"),
        _ => of(8, &|bytes| u64::from_ne_bytes(eight(bytes)).to_string()),
    }
}

/// What the library says of these files when they are opened as a scan.
fn script_of(file: &Path) -> Vec<u8> {
    let script = Arc::new(Mutex::new(Vec::new()));
    let recorder = Recorder { answers: Box::new(h5::library()), script: Arc::clone(&script) };
    // A scan whose files are missing is a script, too.
    let _ = Hdf5Frames::opened_by(Opener::answered_by(Box::new(recorder)), &[file.to_path_buf()], None);
    let script = script.lock().expect("no panic").clone();
    let _frames = answers::answers(&script);
    script
}

/// Words that replies turn on.
const ANSWERS: [&[u8]; 22] = [
    b"18446744073709551615",
    b"9223372036854775807",
    b"4294967296",
    b"0",
    b"-1",
    b"NaN",
    b"1e400",
    b"null",
    b"[]",
    b"[0,0,0]",
    b"{\"Ok\":\"Nothing\"}",
    b"{\"Ok\":\"Done\"}",
    b"{\"Err\":\"no\"}",
    b"\n",
    b"\n!R\x02\0\0\0\0\0\0\0{}\n",
    b"\\u0000",
    b"/",
    b"/entry/data",
    b"data.h5",
    b"{\"id\":32008,\"values\":[0,2,4,0,2]},",
    b"{\"start\":0,\"step\":1,\"count\":9,\"block\":1},",
    b"\"Endless\"",
];

/// Scripts of what `convert` writes, and of virtual datasets over it: chunks, filters, contiguous and virtual storage.
fn answer_seeds() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a scratch folder");
    write_small_scan(folder.path(), 3);
    let convert = |arguments: &[&str]| {
        let done = xrdct(folder.path(), &[&["convert", "scan"], arguments].concat());
        assert_eq!(done.code, 0, "{}", done.stderr);
    };
    convert(&["-o", "plain.h5"]);
    convert(&["-o", "data.h5", "--gzip=1"]);
    let shape = [3, 61, 47];
    let file = hdf5::File::create(folder.path().join("virtual.h5")).expect("a file");
    let virtual_dataset = file.new_dataset::<i32>().shape(shape).virtual_map(
        "data.h5",
        "entry_0000/data/data",
        shape,
        hdf5::Selection::All,
        shape,
        hdf5::Selection::All,
    );
    virtual_dataset.create("images").expect("a dataset");
    file.close().expect("whole");
    ["plain.h5", "data.h5", "virtual.h5"].map(|name| script_of(&folder.path().join(name))).to_vec()
}

#[test]
fn whatever_the_reader_of_hdf5_says_is_frames_or_a_sentence() {
    mutate(&answer_seeds(), &ANSWERS, |script| {
        let _frames = answers::answers(script);
    });
}

mod needs_data {
    use super::*;

    fn real_answers() -> Vec<Vec<u8>> {
        let names = [
            "ANSTOtest_303_data_000001.h5",
            "LaB6_Normal_0042.hdf",
            "example_1_master.h5",
            "test_00_data_000001.h5",
            "test_00_master.h5",
        ];
        names.map(|name| script_of(&data("eiger").join(name))).to_vec()
    }

    #[test]
    fn whatever_is_said_of_real_files_is_frames_or_a_sentence() {
        let (mut found, mut refused) = (0, 0);
        mutate(&real_answers(), &ANSWERS, |script| match answers::answers(script) {
            Some(_) => found += 1,
            None => refused += 1,
        });
        println!("{found} with images, {refused} refused");
        assert!(found > 20 && refused > 100);
    }

    #[test]
    #[ignore = "a measurement of minutes: 10^8 bytes of answers; prints how many"]
    fn a_hundred_million_bytes_of_answers() {
        let seeds = [answer_seeds(), real_answers()].concat();
        let mut found = 0;
        let check = &mut |script: &[u8]| found += usize::from(answers::answers(script).is_some());
        let (inputs, bytes) = mutate_while(&seeds, &ANSWERS, check, |bytes| bytes < 100_000_000);
        println!("{bytes} bytes in {inputs} inputs, {found} of them with images");
    }

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
