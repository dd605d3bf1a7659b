//! NumPy's own format: magic, version, length of the header, a Python literal, the numbers.
//!
//! Versions 1, 2 and 3 differ in the width of the length (2 or 4 bytes) and the encoding of the header only. The header is
//! `{'descr': '<f4', 'fortran_order': False, 'shape': (195, 487), }`; its three values are looked up by their keys.
//! An array of more than two dimensions is a stack: the last two are an image's, as in FabIO.
//! Format: numpy.lib.format.

use super::{ByteOrder, Flaw, NumberType, Picture, PictureRun, PixelStorage, Pixels, Says};
use crate::frame::Shape;

/// Longest header that is read; NumPy itself reads 10,000 bytes.
const LONGEST_HEADER: usize = 1 << 20;

pub(super) fn look(from: &dyn PixelStorage) -> Result<PictureRun, Flaw> {
    let mut start = [0; 12];
    let there = from.read_at(0, &mut start)?;
    let (begin, len) = match &start[..there] {
        [_, _, _, _, _, _, 1, _, a, b, ..] => (10, usize::from(u16::from_le_bytes([*a, *b]))),
        [_, _, _, _, _, _, 2 | 3, _, a, b, c, d] => (12, u32::from_le_bytes([*a, *b, *c, *d]) as usize),
        _ => return Err("its version is not 1, 2 or 3".into()),
    };
    if len > LONGEST_HEADER {
        return Err(format!("its header claims {len} bytes").into());
    }
    let mut header = vec![0; len];
    if from.read_at(begin, &mut header)? < len {
        return Err(Flaw::Truncated("it ends within its header".into()));
    }
    let header = String::from_utf8_lossy(&header);

    let (number, order) = number(after(&header, "descr")?)?;
    let shape = shape(after(&header, "shape")?)?;
    let [stack @ .., slow, fast] = &shape[..] else { return Err(Flaw::Dimensions(shape)) };
    let images = stack.iter().try_fold(1_usize, |images, n| images.checked_mul(*n));
    let images = images.ok_or_else(|| format!("its `shape` {shape:?} is too large"))?;
    let at = begin + len as u64;
    let pixels = match after(&header, "fortran_order")?.starts_with("True") {
        false => Pixels::At(at),
        true if images <= 1 => Pixels::Turned(at),
        true => {
            let what = "its images are in Fortran's order, where each is spread over the file; save \
                        numpy.ascontiguousarray of it";
            return Err(what.into());
        }
    };
    let picture = Picture { shape: Shape { slow: *slow, fast: *fast }, number, order, pixels };
    Ok(PictureRun { picture, images, says: Says::Nothing })
}

/// What stands behind a key of the header.
fn after<'a>(header: &'a str, key: &str) -> Result<&'a str, Flaw> {
    let found = ["'", "\""].iter().find_map(|quote| header.split_once(&format!("{quote}{key}{quote}")));
    let value = found.and_then(|(_, rest)| rest.trim_start().strip_prefix(':'));
    value.map(str::trim_start).ok_or_else(|| format!("its header has no `{key}`").into())
}

fn number(text: &str) -> Result<(NumberType, ByteOrder), Flaw> {
    let name = match text.chars().next() {
        Some(quote @ ('\'' | '"')) => text[1..].split(quote).next().unwrap_or_default(),
        _ => return Err("it holds records, an image is of plain numbers".into()),
    };
    let order = if name.starts_with('>') { ByteOrder::Big } else { ByteOrder::Little };
    let number = match name.trim_start_matches(['<', '>', '|', '=']) {
        "b1" | "u1" => NumberType::U8,
        "i1" => NumberType::I8,
        "i2" => NumberType::I16,
        "u2" => NumberType::U16,
        "i4" => NumberType::I32,
        "u4" => NumberType::U32,
        "i8" => NumberType::I64,
        "u8" => NumberType::U64,
        "f2" => NumberType::F16,
        "f4" => NumberType::F32,
        "f8" => NumberType::F64,
        _ => return Err(format!("it holds `{name}`; save it as a plain integer or float type").into()),
    };
    Ok((number, order))
}

fn shape(text: &str) -> Result<Vec<usize>, Flaw> {
    let inside = text.strip_prefix('(').and_then(|rest| rest.split_once(')')).map(|(inside, _)| inside);
    let inside = inside.ok_or("its `shape` is not a tuple")?;
    let sizes = inside.split(',').map(str::trim).filter(|size| !size.is_empty());
    sizes.map(|size| size.parse().map_err(|_| format!("its `shape` has a size `{size}`").into())).collect()
}
