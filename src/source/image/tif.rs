//! TIFF with one grey image: integers of 8 to 64 bits and floats, as detectors and image editors write it.

use std::io::Cursor;

use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;
use tiff::{ColorType, TiffError};

use super::{Image, Trouble, Wanted};
use crate::frame::Shape;

/// TIFF's number for "zero is white"; the numbers in the file are taken as they are, as FabIO does.
const WHITE_IS_ZERO: u32 = 0;

pub(super) fn read(bytes: &[u8], wanted: Wanted) -> Result<Image, Trouble> {
    let mut decoder = Decoder::new(Cursor::new(bytes))?;
    let (fast, slow) = decoder.dimensions()?;
    let shape = Shape { slow: slow as usize, fast: fast as usize };
    wanted.claim(shape)?;
    let mut limits = Limits::default();
    // Eight bytes are the largest pixels; whatever the file says of its strips, it gets no more.
    limits.decoding_buffer_size = shape.pixels().saturating_mul(8);
    let mut decoder = decoder.with_limits(limits);
    match decoder.colortype()? {
        ColorType::Gray(8 | 16 | 32 | 64) => {}
        other => return Err(format!("its pixels are {other:?}, not grey of 8, 16, 32 or 64 bits").into()),
    }
    let inverted = decoder.find_tag_unsigned::<u32>(Tag::PhotometricInterpretation)? == Some(WHITE_IS_ZERO);
    let numbers = decoder.read_image()?;
    let data: Vec<f64> = match numbers {
        DecodingResult::U8(v) => v.into_iter().map(|x| upright(f64::from(x), inverted, 255.0)).collect(),
        DecodingResult::U16(v) => v.into_iter().map(|x| upright(f64::from(x), inverted, 65535.0)).collect(),
        DecodingResult::U32(v) => {
            v.into_iter().map(|x| upright(f64::from(x), inverted, 4294967295.0)).collect()
        }
        DecodingResult::U64(v) => v.into_iter().map(|x| x as f64).collect(),
        DecodingResult::I8(v) => v.into_iter().map(f64::from).collect(),
        DecodingResult::I16(v) => v.into_iter().map(f64::from).collect(),
        DecodingResult::I32(v) => v.into_iter().map(f64::from).collect(),
        DecodingResult::I64(v) => v.into_iter().map(|x| x as f64).collect(),
        DecodingResult::F16(v) => v.into_iter().map(f64::from).collect(),
        DecodingResult::F32(v) => v.into_iter().map(f64::from).collect(),
        DecodingResult::F64(v) => v,
    };
    if decoder.more_images() {
        return Err(Trouble::Several("several".into()));
    }
    if data.len() != shape.pixels() {
        return Err(format!("{} pixels for an image of {shape}", data.len()).into());
    }
    Ok(Image { shape, data })
}

/// Undoes the inversion that the decoder makes of "zero is white".
fn upright(value: f64, inverted: bool, largest: f64) -> f64 {
    if inverted { largest - value } else { value }
}

impl From<TiffError> for Trouble {
    fn from(cause: TiffError) -> Self {
        Trouble::Malformed(cause.to_string())
    }
}
