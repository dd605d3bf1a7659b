//! What must hold for any bytes whatever. The fuzz targets call these functions with what the fuzzer invents;
//! `cargo test` calls the same ones for a few seconds with seeded mutations.

use std::fmt::Display;
use std::fs;
use std::path::Path;

use xrdct::codec::Pixel;
use xrdct::codec::byte_offset::{DecodeError, Decoder, Simd, decode, decode_reference, encode};
use xrdct::frame::{Encoding, FrameStatus, PixelType, SlotPool, Slots};
use xrdct::session::Options;
use xrdct::session::configuration;
use xrdct::source::cbf::parse_header;
use xrdct::source::image::read_image;
use xrdct::source::listing;
use xrdct::source::series::SeriesFrames;
use xrdct::source::{Frames, Next};
use xrdct::with_pixel;

/// What a fuzzer invented stands in a file while it is looked at.
fn in_a_file(bytes: &[u8], look: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let path = folder.path().join("invented");
    fs::write(&path, bytes).expect("room for a file");
    look(&path);
}

/// A refusal that a person can use: it names the file and is one line.
fn names_the_file(error: &impl Display, path: &Path) {
    let message = error.to_string();
    assert!(message.contains(&path.display().to_string()), "no file in: {message}");
    assert!(!message.contains('\n'), "more than a line: {message}");
}

/// A configuration is followed, with warnings of a line each, or refused.
pub fn configuration(file: &[u8]) {
    in_a_file(file, |path| match configuration::read(path, &Options::default()) {
        Ok(earlier) => {
            for warning in &earlier.warnings {
                names_the_file(warning, path);
            }
        }
        Err(error) => names_the_file(&error, path),
    });
}

/// A mask, dark or flat is an image of as many numbers as it says, or refused; whatever its format, and as an HDF5 file too. As
/// frames the same file gives what it says, or bad ones.
pub fn image(file: &[u8]) {
    in_a_file(file, |path| {
        frames(path);
        let name = path.display().to_string();
        for name in [name.clone(), format!("{name}::/data")] {
            match read_image(&name) {
                Ok(image) => assert_eq!(image.data.len(), image.shape.pixels()),
                Err(error) => names_the_file(&error, path),
            }
        }
    });
}

/// The first images of a file, as frames.
fn frames(path: &Path) {
    /// No frame of a seed is longer: what claims more would only fill memory.
    const LONGEST: usize = 1 << 24;
    let frames = match SeriesFrames::open(&[path.to_path_buf()]) {
        Ok(frames) if frames.about().slot_bytes <= LONGEST => frames,
        Ok(_) => return,
        Err(error) => return names_the_file(&error, path),
    };
    assert!(frames.count() > 0);
    let pool = SlotPool::on_host(1, 0);
    let mut source = frames.source(frames.count().min(4), true);
    let mut reader = source.reader();
    while let Ok(Next::Read(ticket)) = source.next(&pool) {
        let (mut expected, mut slots) = (ticket.ids.clone(), Slots::of(&pool));
        reader.read(ticket, &mut slots, &mut |frame| {
            let id = match frame {
                Ok(frame) => {
                    let Encoding { shape, pixel, .. } = frame.encoding;
                    assert_eq!(frame.bytes().len(), shape.pixels() * pixel.size());
                    frame.id
                }
                Err(bad) => {
                    names_the_file(&bad.message, path);
                    assert_ne!(bad.status, FrameStatus::Good);
                    bad.id
                }
            };
            assert_eq!(Some(id.0), expected.next());
        });
        assert_eq!(expected.next(), None);
    }
}

/// A list names files, or is refused. Its names are kept below a folder of three files, so that no glob walks the machine.
pub fn list(file: &[u8]) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let inside = folder.path().display();
    for name in ["a_1.cbf", "a_2.cbf", "other.txt"] {
        fs::write(folder.path().join(name), name).expect("room for a file");
    }
    if file.windows(2).any(|two| two == b"..") {
        return;
    }
    let stays = |line: &[u8]| line.trim_ascii().is_empty() || matches!(line.trim_ascii()[0], b'#' | b'@');
    let mut text = Vec::new();
    for line in file.split(|byte| *byte == b'\n') {
        if !stays(line) {
            text.extend(format!("{inside}/").bytes());
        }
        text.extend(line);
        text.push(b'\n');
    }
    let path = folder.path().join("invented");
    fs::write(&path, &text).expect("room for a file");
    match listing::list(&[format!("@{}", path.display())]) {
        Ok(found) => {
            assert!(!found.files.is_empty());
            assert!(found.files.iter().all(|file| file.starts_with(folder.path()) && file.exists()));
        }
        Err(error) => names_the_file(&error, &path),
    }
}

/// The header parser never panics, and what it accepts fits the file.
pub fn header(file: &[u8]) {
    match parse_header(file) {
        Ok(header) => {
            assert!(header.payload.end <= file.len());
            let pixels = header.encoding.shape.slow.checked_mul(header.encoding.shape.fast);
            assert!(pixels.is_some_and(|pixels| 0 < pixels && pixels <= header.payload.len()));
            for entry in &header.mini.entries {
                let _ = (header.mini.number(&entry.key), header.mini.pair(&entry.key));
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Every decoder says what the reference says. The first bytes choose type, number of pixels and length of a tile.
pub fn decoders(data: &[u8]) {
    const TYPES: [PixelType; 8] = [
        PixelType::I8,
        PixelType::U8,
        PixelType::I16,
        PixelType::U16,
        PixelType::I32,
        PixelType::U32,
        PixelType::I64,
        PixelType::U64,
    ];
    let [pixel, pixels, more, tile, packed @ ..] = data else { return };
    let pixels = usize::from(*pixels) + 256 * usize::from(*more & 7);
    let tile = usize::from(*tile) + 1;
    with_pixel!(TYPES[usize::from(*pixel & 7)], T => twins::<T>(packed, pixels, tile));
}

/// The fast decoders agree with the reference on `packed`: pixels, place of the error, and nothing written beyond.
pub fn twins<T: Pixel>(packed: &[u8], pixels: usize, tile: usize) {
    let canary = T::from_i64(0x5a5a_5a5a_5a5a_5a5a);
    let mut truth = vec![canary; pixels];
    let expected = decode_reference(packed, &mut truth);
    let good = match expected {
        Err(DecodeError::Truncated { pixel, .. }) => pixel,
        _ => pixels,
    };

    let mut fast = vec![canary; pixels];
    assert_eq!(decode(packed, &mut fast), expected, "decode, {} pixels of {:?}", pixels, T::TYPE);
    assert_eq!(fast[..good], truth[..good]);

    for simd in Simd::ALL {
        for tile in [tile, usize::MAX] {
            let mut fast = vec![canary; pixels + 64];
            let (image, beyond) = fast.split_at_mut(pixels);
            let mut decoder = Decoder::with_simd(packed, simd);
            let mut found = image.chunks_mut(tile).try_for_each(|run| decoder.next(run));
            if found.is_ok() {
                found = decoder.finish();
            }
            assert_eq!(found, expected, "{simd:?}, {pixels} pixels of {:?} in runs of {tile}", T::TYPE);
            assert_eq!(image[..good], truth[..good], "{simd:?}, {:?} in runs of {tile}", T::TYPE);
            assert!(beyond.iter().all(|&pixel| pixel == canary), "{simd:?} wrote beyond its pixels");
        }
    }

    let packed = encode(&truth);
    let mut again = vec![canary; pixels];
    assert_eq!(decode(&packed, &mut again), Ok(()));
    assert_eq!(again, truth);
}
