//! A CBF frame as an image: the dark or the mask that a Pilatus control program wrote.

use super::{Image, Trouble, Wanted};
use crate::codec::{Pixel, byte_offset};
use crate::frame::Codec;
use crate::source::cbf::{CbfHeader, parse_header};
use crate::with_pixel;

pub(super) fn read(bytes: &[u8], wanted: Wanted) -> Result<Image, Trouble> {
    let header = parse_header(bytes).map_err(|cause| cause.to_string())?;
    wanted.claim(header.encoding.shape)?;
    let data = with_pixel!(header.encoding.pixel, T => decode::<T>(&header, bytes))?;
    Ok(Image { shape: header.encoding.shape, data })
}

fn decode<T: Pixel>(header: &CbfHeader, bytes: &[u8]) -> Result<Vec<f64>, Trouble> {
    let packed = bytes.get(header.payload.clone()).ok_or("it ends before its image does")?;
    if header.encoding.codec != Codec::ByteOffset {
        return Err("its image is not packed as byte-offset".into());
    }
    let mut pixels = vec![T::default(); header.encoding.shape.pixels()];
    byte_offset::decode(packed, &mut pixels).map_err(|cause| cause.to_string())?;
    Ok(pixels.into_iter().map(T::to_f64).collect())
}
