//! What must hold for any bytes whatever. The fuzz targets call these functions with what the fuzzer invents;
//! `cargo test` calls the same ones for a few seconds with seeded mutations.

use xrdct::codec::Pixel;
use xrdct::codec::byte_offset::{DecodeError, Decoder, Simd, decode, decode_reference, encode};
use xrdct::frame::PixelType;
use xrdct::source::cbf::parse_header;
use xrdct::with_pixel;

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
