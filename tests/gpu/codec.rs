//! Decoding alone, on a GPU.

use std::sync::Arc;

use xrdct::codec::Pixel;
use xrdct::codec::byte_offset::decode_reference;
use xrdct::cuda::lane::{Lane, MAX_BATCH};
use xrdct::cuda::{CudaEngine, pinned};
use xrdct::frame::{Codec, Encoding, PixelType, Shape};

use super::super::streams::{self, Case};
use super::frame;

fn check_codec<T: Pixel + Default + PartialEq + std::fmt::Debug>(cases: &[Case<T>], pixels: usize) {
    let encoding =
        Encoding { codec: Codec::ByteOffset, pixel: T::TYPE, shape: Shape { slow: 1, fast: pixels } };
    let engine = Arc::new(CudaEngine::decoding(0, encoding).unwrap());
    let slots = pinned::slots(engine.context(), MAX_BATCH, pixels * 16 + 64).unwrap();
    let mut lane = Lane::new(&engine, MAX_BATCH).unwrap();
    let mut waiting: Vec<&Case<T>> = Vec::new();
    let check = |lane: &mut Lane, waiting: &mut Vec<&Case<T>>| {
        let (verdicts, bytes) = lane.wait_for_pixels().unwrap();
        for (n, case) in waiting.drain(..).enumerate() {
            assert_eq!(verdicts[n].status, case.status, "{}", case.name);
            let Some(expected) = &case.pixels else { continue };
            let size = size_of::<T>();
            let found = bytes[n * pixels * size..][..pixels * size].chunks_exact(size).map(|bytes| {
                let mut wide = [0; 8];
                wide[..size].copy_from_slice(bytes);
                T::from_i64(i64::from_le_bytes(wide))
            });
            let wrong = found.zip(expected).position(|(found, expected)| found != *expected);
            assert_eq!(wrong, None, "{}: first wrong pixel", case.name);
        }
    };
    for (n, case) in cases.iter().enumerate() {
        if !lane.has_room(Codec::ByteOffset, case.bytes.len()) {
            check(&mut lane, &mut waiting);
        }
        if case.bytes.len() > pixels * 15 {
            continue;
        }
        let frame = frame(&slots, n, encoding, &case.bytes, n % 37);
        lane.enqueue_upload(Codec::ByteOffset, frame.slot, frame.payload).unwrap();
        waiting.push(case);
    }
    check(&mut lane, &mut waiting);
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn codec_decodes_every_stream_as_the_reference_does() {
    for (seed, pixels) in
        [1_usize, 2, 15, 16, 17, 255, 511, 4095, 4096, 4097, 100_000].into_iter().enumerate()
    {
        check_codec(&streams::corpus::<i32>(pixels, seed as u64 * 100), pixels);
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn codec_decodes_large_frames() {
    // Pilatus 6M.
    let pixels = 2527 * 2463;
    let cases: Vec<Case<i32>> = [streams::Kind::Weak, streams::Kind::Powder, streams::Kind::All0x80]
        .into_iter()
        .map(|kind| Case::new(format!("{kind:?} 6M"), streams::stream(kind, pixels, 6), pixels))
        .collect();
    check_codec(&cases, pixels);
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn codec_decodes_every_pixel_type() {
    check_codec(&streams::corpus::<i8>(9000, 1), 9000);
    check_codec(&streams::corpus::<u8>(9000, 2), 9000);
    check_codec(&streams::corpus::<i16>(9000, 3), 9000);
    check_codec(&streams::corpus::<u16>(9000, 4), 9000);
    check_codec(&streams::corpus::<u32>(9000, 5), 9000);
    check_codec(&streams::corpus::<i64>(9000, 6), 9000);
    check_codec(&streams::corpus::<u64>(9000, 7), 9000);
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn codec_is_clean_under_the_sanitizer() {
    // Small enough for compute-sanitizer, which runs this one.
    for pixels in [1_usize, 700, 9000] {
        check_codec(&streams::corpus::<i32>(pixels, 3 + pixels as u64), pixels);
    }
    check_codec(&streams::corpus::<u16>(2000, 5), 2000);
    check_codec(&streams::corpus::<i64>(2000, 6), 2000);
}

#[test]
fn reference_is_what_the_corpus_says() {
    // The corpus has good and bad streams of every kind: a test that meets only one of them proves little.
    let cases = streams::corpus::<i32>(50, 1);
    for status in [0, 5, 6] {
        assert!(
            cases.iter().filter(|case| case.status == status).count() > 5,
            "few streams of status {status}"
        );
    }
    let mut pixels = vec![0_i32; 50];
    assert_eq!(decode_reference(&cases.last().unwrap().bytes, &mut pixels), Ok(()));
}

mod needs_data {
    use super::super::needs_data::packed_frames;
    use super::*;

    #[test]
    #[ignore = "needs an NVIDIA GPU"]
    fn codec_decodes_every_real_frame() {
        for (path, encoding, bytes) in packed_frames() {
            assert_eq!(encoding.pixel, PixelType::I32);
            let pixels = encoding.shape.pixels();
            check_codec(&[Case::<i32>::new(path.display().to_string(), bytes, pixels)], pixels);
        }
    }
}
