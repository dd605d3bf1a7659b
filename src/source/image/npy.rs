//! NumPy's own format: magic, version, length of the header, a Python literal, the numbers.
//!
//! Versions 1, 2 and 3 differ in the width of the length (2 or 4 bytes) and the encoding of the header only. The header is
//! `{'descr': '<f4', 'fortran_order': False, 'shape': (195, 487), }`; its three values are looked up by their keys.
//! Format: numpy.lib.format.

use super::number::{ByteOrder, NumberType};
use super::{Image, Trouble, Wanted, image};
use crate::frame::Shape;

pub(super) fn read(bytes: &[u8], wanted: Wanted) -> Result<Image, Trouble> {
    let (start, len) = match bytes {
        [_, _, _, _, _, _, 1, _, a, b, ..] => (10, usize::from(u16::from_le_bytes([*a, *b]))),
        [_, _, _, _, _, _, 2 | 3, _, a, b, c, d, ..] => (12, u32::from_le_bytes([*a, *b, *c, *d]) as usize),
        _ => return Err("its version is not 1, 2 or 3".into()),
    };
    let header = bytes.get(start..start + len).ok_or("it ends within its header")?;
    let header = String::from_utf8_lossy(header);
    let data = &bytes[start + len..];

    let (number, order) = number(after(&header, "descr")?)?;
    let shape = shape(after(&header, "shape")?)?;
    let (slow, fast) = match shape[..] {
        [slow, fast] | [1, slow, fast] => (slow, fast),
        [n, _, _] if n > 1 => return Err(Trouble::Several(n.to_string())),
        _ => return Err(Trouble::Shape(shape)),
    };
    if !after(&header, "fortran_order")?.starts_with("True") {
        return image(data, Shape { slow, fast }, number, order, wanted);
    }
    // In Fortran's order the file is the image turned.
    wanted.claim(Shape { slow, fast })?;
    let turned = image(data, Shape { slow: fast, fast: slow }, number, order, Wanted(None))?;
    let data = (0..slow * fast).map(|i| turned.data[i % fast * slow + i / fast]).collect();
    Ok(Image { shape: Shape { slow, fast }, data })
}

/// What stands behind a key of the header.
fn after<'a>(header: &'a str, key: &str) -> Result<&'a str, Trouble> {
    let found = ["'", "\""].iter().find_map(|quote| header.split_once(&format!("{quote}{key}{quote}")));
    let value = found.and_then(|(_, rest)| rest.trim_start().strip_prefix(':'));
    value.map(str::trim_start).ok_or_else(|| format!("its header has no `{key}`").into())
}

fn number(text: &str) -> Result<(NumberType, ByteOrder), Trouble> {
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

fn shape(text: &str) -> Result<Vec<usize>, Trouble> {
    let inside = text.strip_prefix('(').and_then(|rest| rest.split_once(')')).map(|(inside, _)| inside);
    let inside = inside.ok_or("its `shape` is not a tuple")?;
    let sizes = inside.split(',').map(str::trim).filter(|size| !size.is_empty());
    sizes.map(|size| size.parse().map_err(|_| format!("its `shape` has a size `{size}`").into())).collect()
}
