//! The byte-offset codec: every decoder says what the reference says, and the reference says what the format says.

#[path = "../fuzz/checks.rs"]
pub(crate) mod checks;

use std::path::Path;

use proptest::prelude::*;
use xrdct::codec::Pixel;
use xrdct::codec::byte_offset::{DecodeError, Decoder, Simd, decode, decode_reference, encode};
use xrdct::frame::{FrameId, FrameStatus, Shape};

const ESCAPE_2: &[u8] = &[0x80];
const ESCAPE_4: &[u8] = &[0x80, 0x00, 0x80];
const ESCAPE_8: &[u8] = &[0x80, 0x00, 0x80, 0x00, 0x00, 0x00, 0x80];

/// The codes of `delta` that are allowed, shortest first.
fn codes(delta: i64) -> Vec<Vec<u8>> {
    let mut codes = Vec::new();
    if (-0x7f..=0x7f).contains(&delta) {
        codes.push(vec![delta as u8]);
    }
    if (-0x7fff..=0x7fff).contains(&delta) {
        codes.push([ESCAPE_2, &(delta as i16).to_le_bytes()].concat());
    }
    if (-0x7fff_ffff..=0x7fff_ffff).contains(&delta) {
        codes.push([ESCAPE_4, &(delta as i32).to_le_bytes()].concat());
    }
    codes.push([ESCAPE_8, &delta.to_le_bytes()].concat());
    codes
}

fn decoded<T: Pixel>(packed: &[u8], pixels: usize) -> Result<Vec<T>, DecodeError> {
    let mut out = vec![T::default(); pixels];
    decode_reference(packed, &mut out).map(|()| out)
}

/// Twins of all eight types.
fn all_types(packed: &[u8], pixels: usize, tile: usize) {
    checks::twins::<i8>(packed, pixels, tile);
    checks::twins::<u8>(packed, pixels, tile);
    checks::twins::<i16>(packed, pixels, tile);
    checks::twins::<u16>(packed, pixels, tile);
    checks::twins::<i32>(packed, pixels, tile);
    checks::twins::<u32>(packed, pixels, tile);
    checks::twins::<i64>(packed, pixels, tile);
    checks::twins::<u64>(packed, pixels, tile);
}

#[test]
fn every_code_length_is_read_and_written() {
    let edges = [
        (0, 1),
        (127, 1),
        (-127, 1),
        (128, 3),
        (-128, 3),
        (32767, 3),
        (-32767, 3),
        (32768, 7),
        (-32768, 7),
        (0x7fff_ffff, 7),
        (-0x7fff_ffff, 7),
        (0x8000_0000, 15),
        (-0x8000_0000, 15),
        (i64::MAX, 15),
        (i64::MIN, 15),
    ];
    for (delta, length) in edges {
        let packed = encode(&[delta]);
        assert_eq!(packed.len(), length, "{delta}");
        assert_eq!(packed, codes(delta)[0], "{delta}");
        for code in codes(delta) {
            assert_eq!(decoded::<i64>(&code, 1), Ok(vec![delta]), "{code:02x?}");
        }
    }
}

#[test]
fn the_worked_example_of_the_format_decodes() {
    // 1, +126, −127, +128, −32768, +2³¹ : all widths in one stream.
    let packed = [
        &[0x01, 0x7e, 0x81][..],
        &[0x80, 0x80, 0x00],
        &[0x80, 0x00, 0x80, 0x00, 0x80, 0xff, 0xff],
        &[0x80, 0x00, 0x80, 0x00, 0x00, 0x00, 0x80, 0x00, 0x00, 0x00, 0x80, 0x00, 0x00, 0x00, 0x00],
    ]
    .concat();
    assert_eq!(decoded(&packed, 6), Ok(vec![1_i64, 127, 0, 128, -32640, 2_147_451_008]));
    assert_eq!(decoded(&packed, 6), Ok(vec![1_i32, 127, 0, 128, -32640, 2_147_451_008]));
    all_types(&packed, 6, 4);
}

#[test]
fn sums_wrap_in_the_pixel_type() {
    let up = [codes(i64::from(i32::MAX)).remove(0), vec![1]].concat();
    assert_eq!(decoded(&up, 2), Ok(vec![i32::MAX, i32::MIN]));
    assert_eq!(decoded(&up, 2), Ok(vec![0x7fff_ffff_u32, 0x8000_0000]));
    assert_eq!(decoded(&up, 2), Ok(vec![0x7fff_ffff_i64, 0x8000_0000]));
    assert_eq!(decoded(&[0x7f, 0x01, 0x7f, 0x01], 4), Ok(vec![127_i8, -128, -1, 0]));
    assert_eq!(decoded(&[0x81], 1), Ok(vec![129_u8]));
    assert_eq!(decoded(&[0xff], 1), Ok(vec![u64::MAX]));
    // 2³¹−1 next to −2 in an int32 frame: the case that needs 15 bytes.
    let packed = encode(&[i32::MAX, -2, i32::MIN, i32::MAX]);
    assert_eq!(packed.len(), 7 + 15 + 7 + 15);
    assert_eq!(decoded(&packed, 4), Ok(vec![i32::MAX, -2, i32::MIN, i32::MAX]));
    all_types(&packed, 4, 1);
}

#[test]
fn an_escape_at_every_place_of_a_block_and_a_tile() {
    for delta in [5_i64, -128, 0x0080, -0x7f80, 0x8080, -0x8000, 0x80_8080, 0x80_8000_8080, i64::MIN] {
        for code in codes(delta) {
            for before in 0..40 {
                let packed = [vec![1; before], code.clone(), vec![0xff; 70]].concat();
                for tile in [1, 7, 16, 17, 33, 64] {
                    checks::twins::<i32>(&packed, before + 71, tile);
                    checks::twins::<i64>(&packed, before + 71, tile);
                }
            }
        }
    }
}

#[test]
fn escapes_in_a_row_with_marks_in_their_payloads() {
    let deltas = [-128, 0x0080, 0x0180, -0x7f80, 300, 0x7f80, -0x8000, 0x8000_8080, 1];
    for start in 0..deltas.len() {
        for stride in 1..deltas.len() {
            for form in 0..4 {
                let mut packed = vec![0x7f; start];
                for i in 0..200 {
                    let mut codes = codes(deltas[(start + i * stride) % deltas.len()]);
                    packed.extend(codes.remove(form.min(codes.len() - 1)));
                }
                checks::twins::<i32>(&packed, start + 200, 61);
                checks::twins::<u16>(&packed, start + 200, 61);
                checks::twins::<i64>(&packed, start + 200, 61);
            }
        }
    }
}

#[test]
fn truncation_at_every_byte_names_the_pixel() {
    let deltas = [1, 200, -3, 70_000, 4, -0x80_0000_0000, 5, -129, 1, 1, 300];
    let mut packed = vec![1; 40];
    let mut begins: Vec<usize> = (0..40).collect();
    for delta in deltas {
        begins.push(packed.len());
        packed.extend(codes(delta).remove(0));
    }
    packed.extend([2; 20]);
    begins.extend(packed.len() - 20..packed.len());
    for length in 0..packed.len() {
        // The pixel whose code is cut: the last that begins before the end, unless it ends there too.
        let pixel = begins.iter().rposition(|&begin| begin <= length).expect("the first code begins at 0");
        let error = DecodeError::Truncated { pixel, byte: begins[pixel] };
        assert_eq!(decoded::<i32>(&packed[..length], begins.len()), Err(error), "{length} bytes");
        all_types(&packed[..length], begins.len(), 13);
    }
}

#[test]
fn bytes_left_over_are_counted() {
    for left in 1..50 {
        let packed = vec![1; 30 + left];
        assert_eq!(decoded::<i32>(&packed, 30), Err(DecodeError::Overlong { bytes_left: left }));
        all_types(&packed, 30, 8);
    }
}

#[test]
fn a_decoder_that_failed_says_the_same_again() {
    let mut decoder = Decoder::new(&[1, 2, 0x80, 0x00]);
    let error = Err(DecodeError::Truncated { pixel: 2, byte: 2 });
    let mut out = [0_i32; 4];
    assert_eq!(decoder.next(&mut out), error);
    assert_eq!(decoder.next(&mut out[..1]), error);
    assert_eq!(decoder.finish(), Err(DecodeError::Overlong { bytes_left: 2 }));
}

#[test]
fn an_empty_image_is_an_image() {
    assert_eq!(decoded::<i32>(&[], 0), Ok(vec![]));
    assert_eq!(decoded::<i32>(&[], 1), Err(DecodeError::Truncated { pixel: 0, byte: 0 }));
    all_types(&[], 0, 1);
}

#[test]
fn decode_errors_become_bad_frames_that_say_where() {
    let shape = Shape { slow: 10, fast: 7 };
    let bad = DecodeError::Truncated { pixel: 23, byte: 99 }.bad_frame(
        FrameId(5),
        &Path::new("x.cbf").into(),
        shape,
    );
    assert_eq!((bad.id, bad.status), (FrameId(5), FrameStatus::Truncated));
    assert!(bad.message.contains("row 3, column 2 of 10 x 7"), "{}", bad.message);
    assert!(bad.message.contains("byte 99"), "{}", bad.message);
    let bad =
        DecodeError::Overlong { bytes_left: 4 }.bad_frame(FrameId(6), &Path::new("x.cbf").into(), shape);
    assert_eq!((bad.id, bad.status), (FrameId(6), FrameStatus::Overlong));
    assert!(bad.message.contains("4 compressed bytes are left"), "{}", bad.message);
}

#[test]
fn this_machine_tests_the_decoders_that_it_has() {
    let available: Vec<Simd> = Simd::ALL.into_iter().filter(|simd| simd.is_available()).collect();
    println!("decoders compared with the reference: {available:?}");
    assert!(available.contains(&Simd::best()));
}

/// Pixels of all magnitudes: runs that change little, with jumps of any size.
fn image<T: Pixel>() -> impl Strategy<Value = Vec<T>> {
    let jump = prop_oneof![
        8 => -3..=3_i64,
        4 => -140..=140_i64,
        2 => -40_000..=40_000_i64,
        1 => any::<i32>().prop_map(i64::from),
        1 => any::<i64>(),
    ];
    prop::collection::vec(jump, 0..700).prop_map(|jumps| {
        let values = jumps.into_iter().scan(0_i64, |value, jump| {
            *value = value.wrapping_add(jump);
            Some(T::from_i64(*value))
        });
        values.collect()
    })
}

/// Bytes in which escapes, false escapes and escapes of escapes are frequent.
fn adversarial() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => any::<u8>().prop_map(|byte| vec![byte]),
        2 => Just(vec![0x80]),
        2 => Just(vec![0x00]),
        2 => any::<i16>().prop_map(|word| [ESCAPE_2, &word.to_le_bytes()].concat()),
        1 => any::<i32>().prop_map(|word| [ESCAPE_4, &word.to_le_bytes()].concat()),
        1 => any::<i64>().prop_map(|word| [ESCAPE_8, &word.to_le_bytes()].concat()),
        1 => prop::collection::vec(any::<u8>(), 16..100)
            .prop_map(|bytes| bytes.into_iter().map(|byte| byte & 0x0f).collect()),
    ];
    prop::collection::vec(piece, 0..200).prop_map(|pieces| pieces.concat())
}

fn round_trip<T: Pixel>(pixels: &[T], tile: usize) -> Result<(), TestCaseError> {
    let packed = encode(pixels);
    prop_assert_eq!(decoded::<T>(&packed, pixels.len()), Ok(pixels.to_vec()));
    let mut fast = vec![T::default(); pixels.len()];
    prop_assert_eq!(decode(&packed, &mut fast), Ok(()));
    prop_assert_eq!(&fast[..], pixels);
    checks::twins::<T>(&packed, pixels.len(), tile);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_was_encoded_decodes(
        i8s in image::<i8>(), u8s in image::<u8>(), i16s in image::<i16>(), u16s in image::<u16>(),
        i32s in image::<i32>(), u32s in image::<u32>(), i64s in image::<i64>(), u64s in image::<u64>(),
        tile in 1_usize..200,
    ) {
        round_trip(&i8s, tile)?;
        round_trip(&u8s, tile)?;
        round_trip(&i16s, tile)?;
        round_trip(&u16s, tile)?;
        round_trip(&i32s, tile)?;
        round_trip(&u32s, tile)?;
        round_trip(&i64s, tile)?;
        round_trip(&u64s, tile)?;
    }

    #[test]
    fn decoders_agree_on_any_bytes(packed in adversarial(), cut in 0_usize..40, tile in 1_usize..200) {
        // As many pixels as the bytes have codes, some fewer, some more.
        let codes = match decoded::<i64>(&packed, packed.len() + 1) {
            Err(DecodeError::Truncated { pixel, .. }) => pixel,
            _ => unreachable!("a code has at least one byte"),
        };
        for pixels in [codes, codes.saturating_sub(cut), codes + cut] {
            all_types(&packed, pixels, tile);
        }
    }
}
