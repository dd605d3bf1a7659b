//! TIFF, EDF and npy files as frames: every layout, numbers and facts of their headers, and what is said of files that are bad.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tiff::encoder::{Compression, DeflateLevel};
use xrdct::codec::pixel::bytes_of;
use xrdct::frame::{BadFrame, Frame, FrameStatus, PixelType, SlotPool, Slots};
use xrdct::source::series::SeriesFrames;
use xrdct::source::{Frames, Next};

use crate::support::images::{ByHand, big_tiff, bz2, edf, gz, npy, tiff, tiff_by_hand};
use crate::support::{SMALL, SMALL_PONI, small_pixels, write_small_scan, xrdct};

/// Walks all frames, in order.
fn walk(frames: &dyn Frames) -> Vec<Result<Frame, BadFrame>> {
    let pool = SlotPool::on_host(frames.count() + 1, frames.about().slot_bytes);
    let mut source = frames.source(frames.count(), true);
    let (mut reader, mut read) = (source.reader(), vec![]);
    loop {
        match source.next(&pool).expect("a source") {
            Next::Read(ticket) => {
                reader.read(ticket, &mut Slots::of(&pool), &mut |frame| read.push(frame));
            }
            Next::End => return read,
            other => panic!("{other:?}"),
        }
    }
}

/// The small images as bytes.
fn small(number: usize) -> Vec<u8> {
    bytes_of(&small_pixels(number)).to_vec()
}

/// With the bytes of each pixel turned round.
fn turned(bytes: &[u8], size: usize) -> Vec<u8> {
    bytes.chunks(size).flat_map(|pixel| pixel.iter().rev().copied().collect::<Vec<u8>>()).collect()
}

fn write(folder: &Path, files: &[(&str, Vec<u8>)]) -> Vec<PathBuf> {
    let at = |(name, bytes): &(&str, Vec<u8>)| {
        let path = folder.join(name);
        fs::write(&path, bytes).expect("written");
        path
    };
    files.iter().map(at).collect()
}

fn by_hand(is_big_endian: bool, rows: usize, is_scattered: bool) -> ByHand {
    ByHand { is_big_endian, bits: 32, sample_format: 2, photometric: 1, rows, is_scattered }
}

#[test]
fn every_layout_gives_the_pixels_that_were_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let (image, bytes) = (small_pixels(3), small(3));
    let columns: Vec<i32> =
        (0..SMALL.pixels()).map(|i| image[i % SMALL.slow * SMALL.fast + i / SMALL.slow]).collect();
    let zlib = {
        let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, &bytes).expect("memory");
        packed.finish().expect("memory")
    };
    let shape = [SMALL.slow, SMALL.fast];
    let blob =
        |name: &str, packed: &[u8]| edf(&format!("Compression = {name} ;\n"), "SignedInteger", SMALL, packed);
    let high = "ByteOrder = HighByteFirst ;\n";
    let pages = || vec![image.clone()];
    let rows = SMALL.slow as u32;
    let uint = ByHand { sample_format: 1, photometric: 0, ..by_hand(false, 7, false) };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("npy", npy("<i4", false, &shape, &bytes)),
        ("npy, big-endian", npy(">i4", false, &shape, &turned(&bytes, 4))),
        ("npy, Fortran", npy("<i4", true, &shape, bytes_of(&columns))),
        ("npy, Fortran, big-endian", npy(">i4", true, &shape, &turned(bytes_of(&columns), 4))),
        ("npy, stack of one", npy("<i4", false, &[1, 1, SMALL.slow, SMALL.fast], &bytes)),
        ("npy, gz", gz(&npy("<i4", false, &shape, &bytes))),
        ("EDF", edf("", "SignedInteger", SMALL, &bytes)),
        ("EDF, big-endian", edf(high, "SignedLong", SMALL, &turned(&bytes, 4))),
        ("EDF, GZIP inside", blob("GZIP", &gz(&bytes))),
        ("EDF, BZIP2 inside", blob("BZIP2", &bz2(&bytes))),
        ("EDF, ZLIB inside", blob("ZLIB", &zlib)),
        ("EDF, gz", gz(&edf("", "SignedInteger", SMALL, &bytes))),
        ("EDF, bz2", bz2(&edf("", "SignedInteger", SMALL, &bytes))),
        (
            "EDF, padding behind",
            [edf("", "SignedInteger", SMALL, &bytes), vec![b'\n'; 700], vec![0; 9]].concat(),
        ),
        ("TIFF", tiff(SMALL, &pages(), rows, Compression::Uncompressed, "")),
        ("TIFF, strips", tiff(SMALL, &pages(), 4, Compression::Uncompressed, "")),
        ("TIFF, LZW", tiff(SMALL, &pages(), 9, Compression::Lzw, "")),
        ("TIFF, deflate", tiff(SMALL, &pages(), 9, Compression::Deflate(DeflateLevel::Fast), "")),
        ("TIFF, PackBits", tiff(SMALL, &pages(), 9, Compression::Packbits, "")),
        ("TIFF, bz2", bz2(&tiff(SMALL, &pages(), 9, Compression::Lzw, ""))),
        ("BigTIFF", big_tiff(SMALL, &image)),
        ("TIFF, by hand", tiff_by_hand(&by_hand(false, 61, false), SMALL, &bytes)),
        ("TIFF, big-endian", tiff_by_hand(&by_hand(true, 61, false), SMALL, &turned(&bytes, 4))),
        ("TIFF, big-endian, scattered", tiff_by_hand(&by_hand(true, 8, true), SMALL, &turned(&bytes, 4))),
        ("TIFF, scattered", tiff_by_hand(&by_hand(false, 10, true), SMALL, &bytes)),
        ("TIFF, zero is white", tiff_by_hand(&uint, SMALL, &bytes)),
        (
            "TIFF, zero is white, scattered",
            tiff_by_hand(&ByHand { is_scattered: true, ..uint }, SMALL, &bytes),
        ),
    ];
    for (name, file) in cases {
        let files = write(folder.path(), &[("image", file)]);
        assert!(SeriesFrames::is_one(&files), "{name}");
        let frames = SeriesFrames::open(&files).unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected = if name.contains("white") { PixelType::U32 } else { PixelType::I32 };
        let encoding = frames.about().encoding;
        assert_eq!((frames.count(), encoding.shape, encoding.pixel), (1, SMALL, expected), "{name}");
        let read = walk(&frames);
        let frame = read[0].as_ref().unwrap_or_else(|bad| panic!("{name}: {}", bad.message));
        assert!(frame.bytes() == bytes, "{name}");
        assert_eq!((frame.origin.file.as_ref(), frame.origin.image), (files[0].as_path(), None), "{name}");
    }
}

/// Several images a file, in each kind; and what part of them is wanted.
#[test]
fn files_of_several_images_give_each_of_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let all: Vec<Vec<u8>> = (0..7).map(small).collect();
    let block = |n: usize| edf(&format!("phi = {n}.5 ;\n"), "SignedInteger", SMALL, &all[n]);
    let blocks = |range: std::ops::Range<usize>| range.map(block).collect::<Vec<_>>().concat();
    let pages = |range: std::ops::Range<usize>, packing| {
        tiff(SMALL, &range.map(small_pixels).collect::<Vec<_>>(), 20, packing, "")
    };
    let stack = |range: std::ops::Range<usize>| {
        npy("<i4", false, &[range.len(), SMALL.slow, SMALL.fast], &all[range].concat())
    };
    let general = b"{\nEDF_DataBlockID = 0.Image.General ;\n}\n".to_vec();
    let cases: Vec<(&str, [Vec<u8>; 2])> = vec![
        ("EDF", [[general, blocks(0..4)].concat(), blocks(4..7)]),
        ("EDF, gz", [gz(&blocks(0..4)), gz(&blocks(4..7))]),
        ("EDF, one of one", [blocks(0..6), blocks(6..7)]),
        ("EDF, Dim_3", [edf("Dim_3 = 6 ;\n", "SignedInteger", SMALL, &all[..6].concat()), block(6)]),
        ("TIFF", [pages(0..3, Compression::Uncompressed), pages(3..7, Compression::Lzw)]),
        ("TIFF, gz", [gz(&pages(0..3, Compression::Lzw)), gz(&pages(3..7, Compression::Uncompressed))]),
        ("npy", [stack(0..2), stack(2..7)]),
        ("npy, bz2", [bz2(&stack(0..2)), stack(2..7)]),
    ];
    for (name, [a, b]) in cases {
        let files = write(folder.path(), &[("a", a), ("b", b)]);
        let frames = SeriesFrames::open(&files).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((frames.count(), frames.files().len()), (7, 2), "{name}");
        let numbers = |frames: &SeriesFrames| -> Vec<usize> {
            let find = |frame: &Frame| all.iter().position(|image| image == frame.bytes()).expect("an image");
            walk(frames).iter().map(|frame| find(frame.as_ref().expect(name))).collect()
        };
        assert_eq!(numbers(&frames), [0, 1, 2, 3, 4, 5, 6], "{name}");
        let some = frames.selected((1..7).step_by(2));
        assert_eq!(numbers(&some), [1, 3, 5], "{name}");
        let last = frames.selected((6..7).step_by(1));
        assert_eq!((numbers(&last), last.files()), (vec![6], &files[1..]), "{name}");
        let origin = frames.origin(1);
        assert_eq!((origin.file.as_ref(), origin.image), (files[0].as_path(), Some(1)), "{name}");
        if name == "EDF" {
            let column = frames.about().columns.iter().position(|column| column.name == "phi").expect("phi");
            let phi = |frame: &Result<Frame, BadFrame>| frame.as_ref().expect(name).header.number(column);
            assert_eq!(walk(&some).iter().map(phi).collect::<Vec<_>>(), [1.5, 3.5, 5.5]);
            assert_eq!(some.about().header.number(column), 1.5);
        }
    }
}

#[test]
fn bad_files_are_bad_frames_among_good_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = |n: usize| edf("", "SignedInteger", SMALL, &small(n));
    let cut = |n: usize, by: usize| {
        let mut file = good(n);
        file.truncate(file.len() - by);
        file
    };
    let other = xrdct::frame::Shape { slow: SMALL.fast, fast: SMALL.slow };
    let broken_gz = {
        let mut file = gz(&good(1));
        let half = file.len() / 2;
        file.truncate(half);
        file
    };
    let cases: Vec<(&str, Vec<u8>, FrameStatus, &str)> = vec![
        ("0.edf", b"".to_vec(), FrameStatus::BadHeader, "the file is empty"),
        ("1.edf", good(1), FrameStatus::Good, ""),
        ("2.edf", cut(2, 1), FrameStatus::Truncated, "is it still being written?"),
        (
            "3.edf",
            edf("", "SignedInteger", other, &small(3)),
            FrameStatus::OtherShape,
            "the image is 47 x 61 pixels of int32",
        ),
        (
            "4.edf",
            edf("", "UnsignedInteger", SMALL, &small(4)),
            FrameStatus::OtherShape,
            "of uint32, but this run's frames are 61 x 47 of int32",
        ),
        (
            "5.edf",
            edf("", "SignedShort", SMALL, &small(5)[..9]),
            FrameStatus::BadHeader,
            "do not fit into the 9 bytes",
        ),
        (
            "6.edf",
            npy("<i4", false, &[61, 47], &small(6)),
            FrameStatus::BadHeader,
            "this is NumPy, but this run's frames are EDF",
        ),
        ("7.edf", [good(7), good(8)].concat(), FrameStatus::OtherShape, "there are several images in it"),
        ("8.edf", b"###CBF: VERSION 1.5\r\n".to_vec(), FrameStatus::BadHeader, "neither TIFF, EDF nor NumPy"),
        ("9.edf.gz", broken_gz, FrameStatus::Unreadable, "cannot be unpacked as gzip"),
        ("10.edf", good(10)[..100].to_vec(), FrameStatus::BadHeader, "its header has no end"),
        ("11.edf", good(11), FrameStatus::Good, ""),
    ];
    let mut files: Vec<PathBuf> =
        cases.iter().flat_map(|(name, file, ..)| write(folder.path(), &[(name, file.clone())])).collect();
    files.push(folder.path().join("12.edf"));
    let frames = SeriesFrames::open(&files).expect("one is good");
    assert_eq!(frames.count(), 13);
    let read = walk(&frames);
    for ((name, _, status, words), frame) in cases.iter().zip(&read) {
        match frame {
            Ok(frame) => {
                let number: usize = name.split('.').next().and_then(|n| n.parse().ok()).expect("a number");
                assert!(*status == FrameStatus::Good && frame.bytes() == small(number), "{name}");
            }
            Err(bad) => {
                assert_eq!(bad.status, *status, "{}", bad.message);
                let place = folder.path().join(name).display().to_string();
                assert!(bad.message.contains(words) && bad.message.starts_with(&place), "{}", bad.message);
            }
        }
    }
    let gone = read[12].as_ref().err().expect("bad");
    assert_eq!(gone.status, FrameStatus::Unreadable, "{}", gone.message);

    // The same where files have several.
    let two = |n: usize| [good(n), good(n + 1)].concat();
    let mut half = two(5);
    half.truncate(half.len() - 40);
    let files = write(folder.path(), &[("a", two(1)), ("b", b"{\n".to_vec()), ("c", half), ("d", two(3))]);
    let frames =
        SeriesFrames::open(&[&files[..], &[folder.path().join("none")]].concat()).expect("good ones");
    let states: Vec<FrameStatus> = walk(&frames)
        .iter()
        .map(|frame| frame.as_ref().map_or_else(|bad| bad.status, |_| FrameStatus::Good))
        .collect();
    use FrameStatus::{BadHeader, Good, Truncated, Unreadable};
    assert_eq!(states, [Good, Good, BadHeader, Good, Truncated, Good, Good, Unreadable]);
    let message = walk(&frames)[4].as_ref().err().expect("bad").message.clone();
    assert!(message.contains("c, image 1: "), "{message}");
}

#[test]
fn files_that_are_no_series_are_told_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let pixels = |n: usize| vec![0; n];
    let small_edf =
        |keys: &str| edf(keys, "UnsignedByte", xrdct::frame::Shape { slow: 2, fast: 2 }, &pixels(4));
    // A page whose next is itself.
    let mut circle = tiff_by_hand(&by_hand(false, 61, false), SMALL, &small(0));
    let next = 8 + 2 + 9 * 12;
    circle[next..next + 4].copy_from_slice(&8_u32.to_le_bytes());
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (npy("<i4", false, &[0, 4, 4], b""), "it has no images"),
        (npy("<i4", false, &[4, 0], b""), "it has no pixels: 4 x 0"),
        (npy("<i4", false, &[4], &pixels(16)), "the shape [4]"),
        (npy("<c8", false, &[2, 2], &pixels(32)), "`<c8`"),
        (npy("<i4", true, &[3, 2, 2], &pixels(48)), "Fortran's order"),
        (npy("<i4", false, &[1 << 62, 1 << 62], b""), "dimensions"),
        (npy("<i4", false, &[1 << 62, 1 << 62, 2, 2], b""), "too large"),
        (small_edf("EDF_BinaryFileName = /etc/passwd ;\n"), "in another file"),
        (small_edf("Compression = LZMA\x1b[2J ;\n"), "`LZMA\\u{1b}[2J`"),
        (b"{\nDim_1 = 2 ;\n".to_vec(), "no end"),
        (b"II*\0\xff\xff\xff\x7f".to_vec(), "it ends before its image does"),
        (b"II*\0\x08\0\0\0\0\0".to_vec(), "image"),
        (circle, "cycle"),
    ];
    for (file, words) in cases {
        let files = write(folder.path(), &[("image", file)]);
        let message = SeriesFrames::open(&files).err().expect(words).to_string();
        assert!(
            message.contains(words) && message.contains("image: ") && !message.contains('\n'),
            "{message}"
        );
    }
}

fn numbers(file: &Path, name: &str) -> Vec<f64> {
    hdf5::File::open(file).expect("readable").dataset(name).expect("there").read_raw().expect("numbers")
}

#[track_caller]
fn run(folder: &Path, command: &str, code: i32) -> String {
    let done = xrdct(folder, &command.split_whitespace().collect::<Vec<_>>());
    assert_eq!(done.code, code, "{command}: {}", done.stderr);
    done.stderr
}

const INTENSITY: &str = "entry_0000/xrdct/result/intensity";

/// The user's level: the same pixels give the same patterns, whatever they lie in.
#[test]
fn patterns_are_those_of_the_same_pixels_in_cbf() {
    let scratch = tempfile::tempdir().expect("a folder");
    let folder = scratch.path();
    write_small_scan(folder, 4);
    for kind in ["tifs", "edfs"] {
        fs::create_dir(folder.join(kind)).expect("made");
    }
    for n in 0..4 {
        let lines = format!("# Exposure_time 0.25 s\r\n# Omega {n}.5 deg.\r\n# Count_cutoff 4000 counts\r\n");
        let page = tiff(SMALL, &[small_pixels(n)], 61, Compression::Uncompressed, &lines);
        fs::write(folder.join(format!("tifs/f_{n}.tif")), page).expect("written");
        let keys = format!(
            "motor_mne = sx sy ;\nmotor_pos = {n}.25 7 ;\ncount_time = 2 ;\nDate = 2026-11-2{n}T10:00:00 ;\n"
        );
        let block = edf(&keys, "SignedInteger", SMALL, &small(n));
        fs::write(folder.join(format!("edfs/f_{n}.edf")), block).expect("written");
    }
    let all: Vec<u8> = (0..4).flat_map(small).collect();
    fs::write(folder.join("stack.npy"), npy("<i4", false, &[4, 61, 47], &all)).expect("written");
    fs::write(folder.join("edfs/mask.npy"), npy("|u1", false, &[61, 47], &[0; 61 * 47])).expect("written");
    let integrate = |inputs: &str, output: &str| {
        let options = "--poni small.poni --npt 60 --dummy -2 --device cpu --error-model poisson";
        run(folder, &format!("integrate {inputs} {options} -o {output}"), 0)
    };
    integrate("scan", "cbf.h5");
    let expected = numbers(&folder.join("cbf.h5"), INTENSITY);
    assert_eq!(expected.len(), 4 * 60);
    integrate("tifs/f_0.tif tifs/f_1.tif tifs/f_2.tif tifs/f_3.tif", "tif.h5");
    let said = integrate("edfs", "edf.h5");
    assert!(said.contains("edfs: its EDF files are taken, others are not (1 NumPy)"), "{said}");
    integrate("stack.npy --strategy pool", "npy.h5");
    let floats: Vec<f32> = (0..4).flat_map(small_pixels).map(|counts| counts as f32).collect();
    fs::write(folder.join("floats.npy"), npy("<f4", false, &[4, 61, 47], bytes_of(&floats)))
        .expect("written");
    integrate("floats.npy", "floats.h5");
    for name in ["tif.h5", "edf.h5", "npy.h5", "floats.h5"] {
        assert!(numbers(&folder.join(name), INTENSITY) == expected, "{name}");
    }
    let input = "entry_0000/xrdct/input";
    assert_eq!(numbers(&folder.join("tif.h5"), &format!("{input}/omega")), [0.5, 1.5, 2.5, 3.5]);
    assert_eq!(numbers(&folder.join("edf.h5"), &format!("{input}/sx")), [0.25, 1.25, 2.25, 3.25]);
    assert_eq!(numbers(&folder.join("edf.h5"), &format!("{input}/exposure_time")), [2.0; 4]);
    let file = hdf5::File::open(folder.join("edf.h5")).expect("readable");
    assert!(file.dataset(&format!("{input}/sy")).is_err(), "it does not change");
    let saturated = numbers(&folder.join("tif.h5"), "entry_0000/xrdct/saturated");
    assert!(saturated.iter().all(|count| *count > 0.0), "{saturated:?}");

    integrate("stack.npy --frames 1::2", "some.h5");
    assert!(numbers(&folder.join("some.h5"), INTENSITY) == [&expected[60..120], &expected[180..]].concat());
    assert_eq!(numbers(&folder.join("some.h5"), "entry_0000/xrdct/result/frame"), [1.0, 3.0]);
    run(folder, "convert stack.npy -o npy_stack.h5", 0);
    run(folder, "convert scan -o cbf_stack.h5 --device cpu", 0);
    let data = "entry_0000/data/data";
    assert!(numbers(&folder.join("npy_stack.h5"), data) == numbers(&folder.join("cbf_stack.h5"), data));

    // One bad file of a run: its row is empty, the code says so, the others are as before.
    fs::write(folder.join("tifs/f_1.tif"), "II*\0").expect("written");
    let said = run(folder, "integrate tifs --poni small.poni --npt 60 --dummy -2 --device cpu -o bad.h5", 10);
    assert!(said.contains("f_1.tif"), "{said}");
    let rows = numbers(&folder.join("bad.h5"), INTENSITY);
    assert!(rows[60..120].iter().all(|value| value.is_nan()) && rows[120..] == expected[120..]);
    let said = run(folder, "integrate tifs/f_1.tif --poni small.poni -o none.h5", 3);
    assert!(said.contains("f_1.tif: it ends before its image does"), "{said}");
}

#[test]
fn mixed_kinds_are_not_mixed_and_info_explains_each() {
    let scratch = tempfile::tempdir().expect("a folder");
    let folder = scratch.path();
    write_small_scan(folder, 2);
    let geometry = "SampleDistance = 0.05 ;\nCenter_1 = 15.1 ;\nCenter_2 = 20.3 ;\nPSize_1 = 0.000172 ;\nPSize_2 = 0.000172 ;\nWaveLength = 1e-10 ;\n";
    let one = edf(geometry, "SignedInteger", SMALL, &small(0));
    let page = tiff(SMALL, &[small_pixels(1)], 9, Compression::Lzw, "");
    write(
        folder,
        &[
            ("scan/a.edf", one.clone()),
            ("scan/b.tif", page),
            ("scan/c.npy", npy("<i4", false, &[61, 47], &small(2))),
        ],
    );
    let said = run(folder, "integrate scan --poni small.poni --npt 40 -o folder.h5", 0);
    assert!(
        said.contains("scan: its CBF files are taken, others are not (1 TIFF, 1 EDF, 1 NumPy)"),
        "{said}"
    );
    assert_eq!(numbers(&folder.join("folder.h5"), INTENSITY).len(), 2 * 40);
    let files = "scan/a.edf scan/b.tif scan/small_00000.cbf scan/a.edf";
    let said = run(folder, &format!("integrate {files} --poni small.poni --npt 40 -o mixed.h5"), 10);
    assert!(said.contains("this is TIFF, but this run's frames are EDF"), "{said}");
    assert!(said.contains("small_00000.cbf: this is neither TIFF, EDF nor NumPy"), "{said}");

    let said = run(folder, "integrate scan/a.edf --poni auto --npt 40 -o auto.h5", 0);
    assert!(said.contains("beam at pixel 20.30 (slow), 15.10 (fast)"), "{said}");
    let explained = xrdct(folder, &["info", "scan/a.edf", "scan/b.tif", "scan/c.npy"]);
    assert_eq!(explained.code, 0, "{}", explained.stderr);
    for words in [
        "EDF images, plain pixels",
        "TIFF images, plain pixels",
        "NumPy images, plain pixels",
        "61 x 47 (slow x fast), int32",
        "0.05 m",
        "172 x 172 µm",
    ] {
        assert!(explained.stdout.contains(words), "{words}: {}", explained.stdout);
    }
    fs::write(folder.join("x.json"), "{\n  \"a\": 1\n}\n").expect("written");
    assert!(xrdct(folder, &["info", "x.json"]).stderr.contains("x.json: not a frame (CBF, TIFF, EDF, npy)"));
}

/// Images that are claimed and are not there cost no memory, and frames that need too much are refused in a sentence.
#[test]
fn what_headers_claim_is_not_believed() {
    let scratch = tempfile::tempdir().expect("a folder");
    let folder = scratch.path();
    fs::write(folder.join("small.poni"), SMALL_PONI).expect("written");
    write(
        folder,
        &[
            ("many.npy", npy("<i4", false, &[1 << 40, 61, 47], &small(0))),
            ("large.npy", npy("<i4", false, &[1 << 20, 1 << 20], &small(0))),
        ],
    );
    for (name, words) in [("many.npy", "1099511627776"), ("large.npy", "1048576 x 1048576")] {
        let said = xrdct(folder, &["integrate", name, "--poni", "small.poni", "-o", "x.h5"]);
        assert!([2, 3].contains(&said.code) && said.stderr.contains(words), "{}: {}", said.code, said.stderr);
        assert!(said.stderr.contains("memory"), "{}", said.stderr);
    }
}

#[test]
fn many_readers_share_a_series() {
    let folder = tempfile::tempdir().expect("a folder");
    let all: Vec<u8> = (0..50).flat_map(small).collect();
    let files = write(folder.path(), &[("s.npy.gz", gz(&npy("<i4", false, &[50, 61, 47], &all)))]);
    let frames: Arc<dyn Frames> = Arc::new(SeriesFrames::open(&files).expect("a stack"));
    let pool = SlotPool::on_host(2, 0);
    let mut source = frames.source(120, true);
    let mut readers = [source.reader(), source.reader(), source.reader()];
    let (mut ids, mut turn) = (vec![], 0);
    while let Next::Read(ticket) = source.next(&pool).expect("a source") {
        assert!(ticket.ids.len() <= 32);
        // A slot goes home before the next is taken: two are enough.
        readers[turn % 3].read(ticket, &mut Slots::of(&pool), &mut |frame| {
            let frame = frame.expect("a good one");
            assert!(frame.bytes() == small(frame.id.0 % 50), "{:?}", frame.id);
            ids.push(frame.id.0);
        });
        turn += 1;
    }
    assert_eq!(ids, (0..120).collect::<Vec<_>>());
}

mod needs_data {
    use super::*;
    use crate::support::data;
    use xrdct::codec::byte_offset::decode;

    #[test]
    fn a_real_edf_has_the_pixels_of_its_twin_in_cbf() {
        let frames = SeriesFrames::open(&[data("cbf/run2_1_00148.edf.bz2")]).expect("a frame");
        let (header, file) = xrdct::source::cbf::read(&data("cbf/run2_1_00148.cbf.bz2")).expect("a frame");
        let mut pixels = vec![0_i32; header.encoding.shape.pixels()];
        decode(&file[header.payload.clone()], &mut pixels).expect("whole");
        let read = walk(&frames);
        let frame = read[0].as_ref().expect("good");
        assert_eq!((frame.encoding.shape, frame.encoding.pixel), (header.encoding.shape, PixelType::I32));
        assert!(frame.bytes() == bytes_of(&pixels));
    }
}

mod needs_oracle {
    use super::*;
    use crate::support::ask_oracle;

    #[test]
    fn images_are_those_that_fabio_reads() {
        let folder = tempfile::tempdir().expect("a folder");
        let list = ask_oracle("series.py", &[folder.path()]);
        assert!(list.lines().count() > 80, "{list}");
        for line in list.lines() {
            let [name, raw, kind, count, slow, fast] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let frames = SeriesFrames::open(&[name.into()]).unwrap_or_else(|error| panic!("{error}"));
            let encoding = frames.about().encoding;
            let found = [frames.count(), encoding.shape.slow, encoding.shape.fast].map(|n| n.to_string());
            assert_eq!(
                (&found[..], encoding.pixel.name()),
                (&[count, slow, fast].map(String::from)[..], kind),
                "{name}"
            );
            let read = walk(&frames);
            let bytes: Vec<u8> =
                read.iter().flat_map(|frame| frame.as_ref().expect(name).bytes().to_vec()).collect();
            assert!(bytes == fs::read(raw).expect("readable"), "{name}");
        }
    }
}
