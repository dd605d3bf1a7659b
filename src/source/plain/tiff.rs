//! TIFF of grey images: integers of 8 to 64 bits and floats, as detectors and image editors write it, BigTIFF too.
//!
//! Strips that lie one after the other, as detectors write them, are read as they are; what is packed (LZW, deflate, PackBits),
//! in tiles or scattered, the library unpacks. Where zero is white the numbers are taken as they are, as FabIO does.
//! Format: TIFF 6.0.

use tiff::decoder::{ChunkType, Decoder, Limits};
use tiff::tags::{ByteOrder as TiffOrder, Tag, Type};
use tiff::{ColorType, TiffError};

use super::{ByteOrder, Flaw, NumberType, Picture, PictureRun, PixelStorage, Pixels, Says, Walk};
use crate::frame::Shape;

/// TIFF's number for "zero is white".
const WHITE_IS_ZERO: u32 = 0;

/// TIFF's number for "not packed".
const NOT_PACKED: u32 = 1;

/// TIFF's number for "differences between pixels are not taken".
const NO_PREDICTOR: u32 = 1;

/// Longest text of a tag that is read.
const LONGEST_TEXT: u64 = 1 << 16;

/// What a detector wrote about the exposure.
#[derive(Debug, Default)]
pub struct TiffWords {
    /// `ImageDescription`: a Pilatus writes the lines `# Key value` of its CBF headers.
    pub description: Option<String>,
    /// `DateTime`, as written.
    pub date: Option<String>,
    /// `Model`.
    pub model: Option<String>,
}

impl From<TiffError> for Flaw {
    fn from(cause: TiffError) -> Flaw {
        let is_end = |cause: &std::io::Error| cause.kind() == std::io::ErrorKind::UnexpectedEof;
        match cause {
            TiffError::IoError(cause) if is_end(&cause) => {
                Flaw::Truncated("it ends before its image does; is it still being written?".into())
            }
            TiffError::IoError(cause) => Flaw::Unreadable(format!("cannot be read: {cause}")),
            other => Flaw::Malformed(other.to_string()),
        }
    }
}

pub(super) fn look(
    from: &dyn PixelStorage,
    each: &mut dyn FnMut(PictureRun) -> Result<bool, Flaw>,
) -> Result<(), Flaw> {
    let mut decoder = Decoder::new(Walk::new(from, 0))?;
    for page in 0.. {
        let picture = picture(&mut decoder, page)?;
        let mut text = |tag| {
            // A text that claims more than any detector writes is not asked for.
            let entry = decoder.image_ifd().find_entry(tag).filter(|entry| entry.count() <= LONGEST_TEXT)?;
            let is_text = entry.field_type() == Type::ASCII;
            decoder.find_tag(tag).ok().flatten().filter(|_| is_text)?.into_string().ok()
        };
        let words = TiffWords {
            description: text(Tag::ImageDescription),
            date: text(Tag::DateTime),
            model: text(Tag::Model),
        };
        let goes_on = each(PictureRun { picture, images: 1, says: Says::Tiff(words) })?;
        if !goes_on || !decoder.more_images() {
            break;
        }
        decoder.next_image()?;
    }
    Ok(())
}

/// The image of the page that the decoder is at.
fn picture(decoder: &mut Decoder<Walk<'_>>, page: usize) -> Result<Picture, Flaw> {
    let (fast, slow) = decoder.dimensions()?;
    let shape = Shape { slow: slow as usize, fast: fast as usize };
    let bits = match decoder.colortype()? {
        ColorType::Gray(bits @ (8 | 16 | 32 | 64)) => bits,
        other => return Err(format!("its pixels are {other:?}, not grey of 8, 16, 32 or 64 bits").into()),
    };
    let format = decoder.find_tag_unsigned_vec::<u16>(Tag::SampleFormat)?;
    let number = match (format.and_then(|format| format.first().copied()).unwrap_or(1), bits) {
        (1 | 4, 8) => NumberType::U8,
        (1 | 4, 16) => NumberType::U16,
        (1 | 4, 32) => NumberType::U32,
        (1 | 4, 64) => NumberType::U64,
        (2, 8) => NumberType::I8,
        (2, 16) => NumberType::I16,
        (2, 32) => NumberType::I32,
        (2, 64) => NumberType::I64,
        (3, 16) => NumberType::F16,
        (3, 32) => NumberType::F32,
        (3, 64) => NumberType::F64,
        (format, bits) => {
            return Err(format!("its pixels have {bits} bits of the SampleFormat {format}").into());
        }
    };
    if let Some(at) = one_piece(decoder, shape, number)? {
        let order = match decoder.byte_order() {
            TiffOrder::LittleEndian => ByteOrder::Little,
            TiffOrder::BigEndian => ByteOrder::Big,
        };
        return Ok(Picture { shape, number, order, pixels: Pixels::At(at) });
    }
    if is_inverted(decoder)? && !is_unsigned(number) {
        return Err("its pixels are packed, zero is white, and they are no unsigned integers".into());
    }
    Ok(Picture { shape, number, order: ByteOrder::Little, pixels: Pixels::Page(page) })
}

/// Where the pixels begin, when they lie in C order in one piece.
fn one_piece(
    decoder: &mut Decoder<Walk<'_>>,
    Shape { slow, fast }: Shape,
    number: NumberType,
) -> Result<Option<u64>, Flaw> {
    let mut is = |tag, usual: u32| {
        Ok::<_, TiffError>(decoder.find_tag_unsigned::<u32>(tag)?.unwrap_or(usual) == usual)
    };
    if !is(Tag::Compression, NOT_PACKED)? || !is(Tag::Predictor, NO_PREDICTOR)? {
        return Ok(None);
    }
    if decoder.get_chunk_type() != ChunkType::Strip {
        return Ok(None);
    }
    let offsets = decoder.find_tag_unsigned_vec::<u64>(Tag::StripOffsets)?.unwrap_or_default();
    let counts = decoder.find_tag_unsigned_vec::<u64>(Tag::StripByteCounts)?.unwrap_or_default();
    let rows =
        decoder.find_tag_unsigned::<u32>(Tag::RowsPerStrip)?.map_or(slow, |rows| rows as usize).min(slow);
    let row = (fast * number.size()) as u64;
    let Some(&first) = offsets.first() else { return Ok(None) };
    let strips = offsets.iter().zip(&counts).enumerate();
    let lie_in_order = strips.fold(true, |so_far, (strip, (&offset, &count))| {
        let above = strip.saturating_mul(rows);
        let here = slow.saturating_sub(above).min(rows) as u64;
        let place = first.checked_add(row.saturating_mul(above as u64));
        so_far && place == Some(offset) && count >= here.saturating_mul(row)
    });
    Ok((lie_in_order && offsets.len() == counts.len()).then_some(first))
}

/// Unpacks a page.
pub(super) fn load(
    from: &dyn PixelStorage,
    page: usize,
    picture: &Picture,
    into: &mut [u8],
) -> Result<(), Flaw> {
    let mut decoder = Decoder::new(Walk::new(from, 0))?;
    if page > 0 {
        decoder.seek_to_image(page)?;
    }
    let mut limits = Limits::default();
    // Tiles may be larger than the image; whatever the file says of them, they get no more than this.
    limits.decoding_buffer_size = limits.decoding_buffer_size.max(into.len());
    limits.intermediate_buffer_size = limits.intermediate_buffer_size.max(into.len());
    let mut decoder = decoder.with_limits(limits);
    let (fast, slow) = decoder.dimensions()?;
    let layout = decoder.image_buffer_layout()?;
    if (slow as usize, fast as usize) != (picture.shape.slow, picture.shape.fast) || layout.len != into.len()
    {
        return Err("its header changed while it was read".into());
    }
    decoder.read_image_bytes(into)?;
    // Undoes the inversion that the decoder makes of "zero is white".
    if is_inverted(&mut decoder)? && is_unsigned(picture.number) {
        into.iter_mut().for_each(|byte| *byte = !*byte);
    }
    Ok(())
}

fn is_inverted(decoder: &mut Decoder<Walk<'_>>) -> Result<bool, Flaw> {
    Ok(decoder.find_tag_unsigned::<u32>(Tag::PhotometricInterpretation)? == Some(WHITE_IS_ZERO))
}

fn is_unsigned(number: NumberType) -> bool {
    matches!(number, NumberType::U8 | NumberType::U16 | NumberType::U32 | NumberType::U64)
}
