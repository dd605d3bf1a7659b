//! EDF, the format of the ESRF: a text header `{ key = value ; … }` and a blob of numbers, once or several times.
//!
//! Keys are compared without regard to case, as FabIO does, and types have many names, all listed here. A header ends with
//! the first `}` at the end of a line. Blocks without dimensions (the general block of EDF 2) are passed over. Blobs may be
//! compressed inside the file (`Compression = GZIP`, `ZLIB`, `BZIP2`).

use std::borrow::Cow;
use std::io::Read;

use super::number::{ByteOrder, NumberType};
use super::{Image, Trouble, Wanted, image};
use crate::budget;
use crate::frame::Shape;

pub(super) fn read(bytes: &[u8], wanted: Wanted) -> Result<Image, Trouble> {
    let mut rest = bytes;
    let mut found: Option<Image> = None;
    let mut count = 0;
    while let Some((header, blob)) = next_block(rest, count)? {
        let size = header.binary_size()?;
        if header.get("Dim_1").is_some() {
            count += 1;
            if found.is_none() {
                found = Some(block(&header, blob, wanted)?);
            }
        }
        rest = blob.get(size..).unwrap_or_default();
    }
    match (found, count) {
        (Some(image), 1) => Ok(image),
        (Some(_), count) => Err(Trouble::Several(count.to_string())),
        (None, _) => Err("its header has no Dim_1".into()),
    }
}

/// Keys and values of one header.
struct Header(Vec<(String, String)>);

impl Header {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str())
    }

    fn size(&self, key: &str) -> Result<Option<usize>, Trouble> {
        let Some(text) = self.get(key) else { return Ok(None) };
        // FabIO takes `12.0` for 12 as well.
        let whole =
            text.split_once('.').filter(|(_, f)| f.chars().all(|c| c == '0')).map_or(text, |(w, _)| w);
        whole.parse().map(Some).map_err(|_| format!("`{key}` is `{text}`, not a number").into())
    }

    fn number(&self) -> Result<NumberType, Trouble> {
        let name = self.get("DataType").unwrap_or("UnsignedShort");
        Ok(match name.to_ascii_lowercase().as_str() {
            "signedbyte" | "signed8" => NumberType::I8,
            "unsignedbyte" | "unsigned8" => NumberType::U8,
            "signedshort" | "signed16" => NumberType::I16,
            "unsignedshort" | "unsigned16" | "unsignedshortinteger" => NumberType::U16,
            "signedinteger" | "signed32" | "signedlong" => NumberType::I32,
            "unsignedinteger" | "unsigned32" | "unsignedlong" => NumberType::U32,
            "signed64" => NumberType::I64,
            "unsigned64" => NumberType::U64,
            "floatvalue" | "float" | "floatieee32" | "float32" => NumberType::F32,
            "double" | "doublevalue" | "floatieee64" | "doubleieee64" => NumberType::F64,
            _ => return Err(format!("its `DataType` is `{name}`, which is not known").into()),
        })
    }

    /// Length of the blob in the file: as the header says, or as the pixels need.
    fn binary_size(&self) -> Result<usize, Trouble> {
        match self.size("EDF_BinarySize")?.or(self.size("Size")?) {
            Some(size) => Ok(size),
            None if self.get("Dim_1").is_none() => Ok(0),
            None => {
                let pixels = self.size("Dim_1")?.unwrap_or(0).checked_mul(self.size("Dim_2")?.unwrap_or(1));
                let bytes = pixels.and_then(|n| n.checked_mul(self.number().map_or(1, NumberType::size)));
                bytes.ok_or_else(|| "its dimensions are too large".into())
            }
        }
    }
}

/// The next header and everything behind it; `None` at the end of the file.
fn next_block(bytes: &[u8], count: usize) -> Result<Option<(Header, &[u8])>, Trouble> {
    let inside = bytes.trim_ascii_start();
    let inside = match inside.strip_prefix(b"{") {
        Some(inside) => inside,
        // Padding and whatever else follows the last blob.
        None if count > 0 || inside.is_empty() => return Ok(None),
        None => return Err("a header that begins with `{` is missing".into()),
    };
    let mut from = 0;
    let (end, blob) = loop {
        let brace = inside[from..].iter().position(|&b| b == b'}').ok_or("its header has no end `}`")?;
        match inside[from + brace + 1..] {
            [b'\n', ref blob @ ..] | [b'\r', b'\n', ref blob @ ..] => break (from + brace, blob),
            _ => from += brace + 1,
        }
    };
    let blank = |c: char| c.is_ascii_whitespace() || c == '\0';
    let text = String::from_utf8_lossy(&inside[..end]);
    let pairs = text.split(';').filter_map(|line| line.split_once('='));
    let pairs = pairs.map(|(key, value)| (key.trim_matches(blank).into(), value.trim_matches(blank).into()));
    Ok(Some((Header(pairs.collect()), blob)))
}

fn block(header: &Header, blob: &[u8], wanted: Wanted) -> Result<Image, Trouble> {
    let dim = |key| Ok::<usize, Trouble>(header.size(key)?.unwrap_or(1));
    let (fast, slow, third) = (dim("Dim_1")?, dim("Dim_2")?, dim("Dim_3")?);
    if third > 1 {
        return Err(Trouble::Several(third.to_string()));
    }
    if let Some(name) = header.get("EDF_BinaryFileName") {
        return Err(format!("its pixels are in another file, {name}").into());
    }
    let order = match header.get("ByteOrder") {
        Some(order) if order.contains("High") => ByteOrder::Big,
        _ => ByteOrder::Little,
    };
    let blob = &blob[..header.binary_size()?.min(blob.len())];
    let (shape, number) = (Shape { slow, fast }, header.number()?);
    let needed = budget::bytes_of(&[slow, fast], number.size());
    let blob = unpack(blob, header.get("Compression").unwrap_or("None"), needed, || wanted.claim(shape))?;
    image(&blob, shape, number, order, wanted)
}

/// Undoes the compression inside the file: `needed` bytes of it, which are claimed before anything is unpacked.
fn unpack<'a>(
    blob: &'a [u8],
    compression: &str,
    needed: u64,
    claim: impl FnOnce() -> Result<(), Trouble>,
) -> Result<Cow<'a, [u8]>, Trouble> {
    let mut plain = Vec::new();
    let name = compression.to_ascii_uppercase();
    if name.starts_with("NO") {
        return Ok(blob.into());
    }
    claim()?;
    let done = match name.as_str() {
        _ if name.contains("GZ") => {
            flate2::read::MultiGzDecoder::new(blob).take(needed).read_to_end(&mut plain)
        }
        _ if name.contains("BZ") => {
            bzip2::read::MultiBzDecoder::new(blob).take(needed).read_to_end(&mut plain)
        }
        _ if name.starts_with('Z') => {
            flate2::read::ZlibDecoder::new(blob).take(needed).read_to_end(&mut plain)
        }
        _ => return Err(format!("its `Compression` is `{compression}`, which is not known").into()),
    };
    match done {
        Ok(_) => Ok(plain.into()),
        Err(cause) => Err(format!("its {compression} compression cannot be undone: {cause}").into()),
    }
}
