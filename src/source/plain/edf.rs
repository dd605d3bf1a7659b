//! EDF, the format of the ESRF: a text header `{ key = value ; … }` and a blob of numbers, once or several times.
//!
//! Keys are compared without regard to case, as FabIO does, and types have many names, all listed here. A header ends with
//! the first `}` at the end of a line. Blocks without dimensions (the general block of EDF 2) are passed over. Blobs may be
//! compressed inside the file (`Compression = GZIP`, `ZLIB`, `BZIP2`), or be a stack (`Dim_3`).

use super::{ByteOrder, Flaw, NumberType, Packing, Picture, PictureRun, PixelStorage, Pixels, Says};
use crate::frame::Shape;

/// Longest header that is read.
const LONGEST_HEADER: usize = 4 << 20;

/// Most blanks between a blob and the next header.
const MOST_BLANKS: u64 = 1 << 20;

/// Bytes that are read of a header at first.
const PIECE: usize = 4096;

pub(super) fn look(
    from: &dyn PixelStorage,
    each: &mut dyn FnMut(PictureRun) -> Result<bool, Flaw>,
) -> Result<(), Flaw> {
    let (mut at, mut count) = (0, 0);
    while let Some((header, blob)) = header_at(from, at, count == 0)? {
        let size = header.binary_size()?;
        if header.get("Dim_1").is_some() {
            count += 1;
            let (picture, images) = header.picture(blob, size)?;
            if !each(PictureRun { picture, images, says: Says::Edf { at, header } })? {
                return Ok(());
            }
        }
        at = blob.saturating_add(size);
    }
    if count == 0 { Err("its header has no Dim_1".into()) } else { Ok(()) }
}

/// The header that begins at `at`, perhaps behind blanks, and where its blob begins; `None` at the end of the file.
pub(super) fn header_at(
    from: &dyn PixelStorage,
    mut at: u64,
    is_first: bool,
) -> Result<Option<(EdfHeader, u64)>, Flaw> {
    let latest = at.saturating_add(MOST_BLANKS);
    let mut text = Vec::new();
    loop {
        text.resize(PIECE, 0);
        let there = from.read_at(at, &mut text)?;
        text.truncate(there);
        let blanks = there - text.trim_ascii_start().len();
        at += blanks as u64;
        if blanks < there || there < PIECE || at > latest {
            text.drain(..blanks);
            break;
        }
    }
    if !text.starts_with(b"{") {
        // Padding and whatever else follows the last blob.
        return match !is_first || text.is_empty() {
            true => Ok(None),
            false => Err("a header that begins with `{` is missing".into()),
        };
    }
    let mut searched = 1;
    loop {
        if let Some((end, blob)) = end_of(&text, &mut searched) {
            let header = EdfHeader::parse(&text[1..end]);
            return Ok(Some((header, at + blob as u64)));
        }
        let known = text.len();
        if known >= LONGEST_HEADER {
            return Err(format!("its header has no end `}}` in its first {known} bytes").into());
        }
        text.resize(2 * known.max(PIECE), 0);
        let more = from.read_at(at + known as u64, &mut text[known..])?;
        text.truncate(known + more);
        if more == 0 {
            return Err("its header has no end `}`".into());
        }
    }
}

/// Where the first `}` at the end of a line is, and where the next line begins. `searched` bytes are known to have none.
fn end_of(text: &[u8], searched: &mut usize) -> Option<(usize, usize)> {
    while let Some(found) = text[*searched..].iter().position(|&byte| byte == b'}') {
        let brace = *searched + found;
        match text[brace + 1..] {
            [b'\n', ..] => return Some((brace, brace + 2)),
            [b'\r', b'\n', ..] => return Some((brace, brace + 3)),
            // It may end with the next bytes.
            [] | [b'\r'] => {
                *searched = brace;
                return None;
            }
            _ => *searched = brace + 1,
        }
    }
    *searched = text.len();
    None
}

/// Keys and values of one header.
#[derive(Debug)]
pub struct EdfHeader(Vec<(String, String)>);

impl EdfHeader {
    fn parse(text: &[u8]) -> EdfHeader {
        let blank = |c: char| c.is_ascii_whitespace() || c == '\0';
        let text = String::from_utf8_lossy(text);
        let pairs = text.split(';').filter_map(|line| line.split_once('='));
        let pairs =
            pairs.map(|(key, value)| (key.trim_matches(blank).into(), value.trim_matches(blank).into()));
        EdfHeader(pairs.collect())
    }

    /// Keys and values, in order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The value of a key, in any case.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, value)| value)
    }

    fn size(&self, key: &str) -> Result<Option<usize>, Flaw> {
        let Some(text) = self.get(key) else { return Ok(None) };
        // FabIO takes `12.0` for 12 as well.
        let whole =
            text.split_once('.').filter(|(_, f)| f.chars().all(|c| c == '0')).map_or(text, |(w, _)| w);
        whole.parse().map(Some).map_err(|_| format!("`{key}` is `{text}`, not a number").into())
    }

    fn number(&self) -> Result<NumberType, Flaw> {
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
    fn binary_size(&self) -> Result<u64, Flaw> {
        match self.size("EDF_BinarySize")?.or(self.size("Size")?) {
            Some(size) => Ok(size as u64),
            None if self.get("Dim_1").is_none() => Ok(0),
            None => {
                let dims = ["Dim_1", "Dim_2", "Dim_3"].map(|key| self.size(key));
                let mut bytes = self.number().map_or(1, NumberType::size);
                for dim in dims {
                    bytes = bytes.checked_mul(dim?.unwrap_or(1)).ok_or("its dimensions are too large")?;
                }
                Ok(bytes as u64)
            }
        }
    }

    /// The image, or the first of a stack, whose blob has `size` bytes from `blob` on; and how many there are.
    fn picture(&self, blob: u64, size: u64) -> Result<(Picture, usize), Flaw> {
        let dim = |key| Ok::<usize, Flaw>(self.size(key)?.unwrap_or(1));
        let (fast, slow, images) = (dim("Dim_1")?, dim("Dim_2")?, dim("Dim_3")?);
        if let Some(name) = self.get("EDF_BinaryFileName") {
            return Err(format!("its pixels are in another file, {name}").into());
        }
        let order = match self.get("ByteOrder") {
            Some(order) if order.contains("High") => ByteOrder::Big,
            _ => ByteOrder::Little,
        };
        let compression = self.get("Compression").unwrap_or("None");
        let name = compression.to_ascii_uppercase();
        let packing = match name.as_str() {
            _ if name.starts_with("NO") => None,
            _ if name.contains("GZ") => Some(Packing::Gzip),
            _ if name.contains("BZ") => Some(Packing::Bzip2),
            _ if name.starts_with('Z') => Some(Packing::Zlib),
            _ => return Err(format!("its `Compression` is `{compression}`, which is not known").into()),
        };
        let pixels = match packing {
            None => Pixels::At(blob),
            Some(_) if images > 1 => {
                return Err(format!("its {images} images are in one compressed blob").into());
            }
            Some(packing) => Pixels::Blob { at: blob, length: size, packing },
        };
        let picture = Picture { shape: Shape { slow, fast }, number: self.number()?, order, pixels };
        let needed = picture.bytes().saturating_mul(images as u64);
        if packing.is_none() && size < needed {
            let what = format!(
                "{} pixels of {} bytes do not fit into the {size} bytes that its header says it has",
                picture.shape,
                picture.number.size()
            );
            return Err(what.into());
        }
        Ok((picture, images))
    }
}
