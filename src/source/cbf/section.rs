//! The binary section of a CBF file: where it is, and how its image is packed.
//!
//! The file is walked line by line, once, until the line `--CIF-BINARY-FORMAT-SECTION--`; on the way the detector's own lines
//! (`_array_data.header_contents`) are noted. The section's header is MIME-like: `Key: value` lines, of which
//! `conversions="…"` may stand on a line of its own, an empty line, and the bytes 0C 1A 04 D5. Keys are taken in any order and case.
//! Nothing is allocated: a reader does this for every frame, in 3 µs for a mini-CBF header and 10 µs for a full one.

use std::ops::Range;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::HeaderError;
use crate::codec::md5::Digest;
use crate::frame::{Codec, Encoding, PixelType, Shape};

const BOUNDARY: &[u8] = b"--CIF-BINARY-FORMAT-SECTION--";
const MAGIC: [u8; 4] = [0x0c, 0x1a, 0x04, 0xd5];
/// How far into a file the section may begin: far beyond the headers of real full-CBF frames, which have 7 kB.
const TEXT_LIMIT: usize = 1 << 20;
/// How long the header of a section may be. DECTRIS writes about 500 bytes.
const SECTION_LIMIT: usize = 1 << 16;

/// The parts of a CBF file's text.
pub(super) struct Text<'a> {
    /// Value of `_array_data.header_convention`, without quotes; empty when there is none.
    pub(super) convention: &'a [u8],
    /// Lines of `_array_data.header_contents`; empty when there are none.
    pub(super) contents: &'a [u8],
    /// Where the line after the section's boundary begins.
    pub(super) section: usize,
}

impl<'a> Text<'a> {
    /// Finds the binary section and what stands before it.
    pub(super) fn split(file: &'a [u8]) -> Result<Text<'a>, HeaderError> {
        let searched = &file[..file.len().min(TEXT_LIMIT)];
        let mut convention: &[u8] = b"";
        let mut contents = 0..0;
        let mut contents_next = false;
        let mut lines = Lines { bytes: searched, next: 0 };
        while let Some(line) = lines.next() {
            if line.starts_with(BOUNDARY) && !line[BOUNDARY.len()..].starts_with(b"--") {
                return Ok(Text { convention, contents: &file[contents], section: lines.next });
            }
            if contents_next && line.starts_with(b";") {
                let first = lines.next;
                contents = first..lines.skip_text_field().unwrap_or(first);
                contents_next = false;
            } else if let Some(value) = line.strip_prefix(b"_array_data.header_convention") {
                convention = unquoted(value);
            } else if line.starts_with(b"_array_data.header_contents") {
                contents_next = true;
            }
        }
        Err(match file {
            [] => HeaderError::Empty,
            _ if file.starts_with(b"###CBF") => HeaderError::NoBinarySection { searched: searched.len() },
            _ => {
                HeaderError::NotCbf { beginning: printable(&file[..file.len().min(12)]), guess: guess(file) }
            }
        })
    }
}

/// How the image of a CBF file is packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BinarySection<'a> {
    /// How to read the image.
    pub encoding: Encoding,
    /// Where in the file the packed bytes are.
    pub payload: Range<usize>,
    /// Content-MD5 as written: base64.
    pub md5: Option<&'a [u8]>,
}

impl<'a> BinarySection<'a> {
    /// Reads the section whose header begins at byte `section` of `file`.
    pub(super) fn parse(file: &'a [u8], section: usize) -> Result<Self, HeaderError> {
        let (keys, start) = Keys::read(file, section)?;

        match keys.conversion {
            Some(name) if name.eq_ignore_ascii_case(b"x-CBF_BYTE_OFFSET") => {}
            Some(name) => {
                let name = name.strip_prefix(b"x-").or(name.strip_prefix(b"X-")).unwrap_or(name);
                let compression = format!("compressed with {}", printable(name));
                return Err(HeaderError::Compression { compression });
            }
            None => return Err(HeaderError::Compression { compression: "uncompressed".to_owned() }),
        }
        if let Some(encoding) = keys.transfer.filter(|v| !v.eq_ignore_ascii_case(b"BINARY")) {
            return Err(HeaderError::TransferEncoding { encoding: printable(encoding) });
        }
        if let Some(order) = keys.order.filter(|v| !v.eq_ignore_ascii_case(b"LITTLE_ENDIAN")) {
            return Err(HeaderError::ByteOrder { order: printable(order) });
        }
        // CBFlib's default, and FabIO's.
        let pixel = keys.element.map_or(Ok(PixelType::I32), pixel_type)?;

        let fast = required("X-Binary-Size-Fastest-Dimension", keys.fast)?;
        let slow = required("X-Binary-Size-Second-Dimension", keys.slow)?;
        let size = required("X-Binary-Size", keys.size)?;
        if let Some(third) = keys.third {
            match number("X-Binary-Size-Third-Dimension", third, "a number of images")? {
                0 | 1 => {}
                images => return Err(HeaderError::Stack { images }),
            }
        }
        let product = slow as u128 * fast as u128;
        let pixels = match keys.elements {
            Some(value) => number("X-Binary-Number-of-Elements", value, POSITIVE)?,
            None => usize::try_from(product).unwrap_or(usize::MAX),
        };
        if pixels as u128 != product {
            return Err(HeaderError::Elements { elements: pixels, fast, slow, product });
        }
        let left = file.len() - start;
        if size > left {
            return Err(HeaderError::Truncated { size, start, left });
        }
        if size < pixels {
            return Err(HeaderError::TooSmall { size, pixels });
        }

        let encoding = Encoding { codec: Codec::ByteOffset, pixel, shape: Shape { slow, fast } };
        Ok(BinarySection { encoding, payload: start..start + size, md5: keys.md5 })
    }

    /// The MD5 that the packed bytes must have; none when the header has none.
    pub(super) fn digest(&self) -> Result<Option<Digest>, HeaderError> {
        let Some(base64) = self.md5.filter(|value| !value.is_empty()) else { return Ok(None) };
        match BASE64_STANDARD.decode(base64).ok().and_then(|bytes| bytes.try_into().ok()) {
            Some(digest) => Ok(Some(digest)),
            None => Err(HeaderError::BadValue {
                key: "Content-MD5",
                value: printable(base64),
                expected: "16 bytes in base64 (--no-verify leaves it unread)",
            }),
        }
    }
}

/// The values of the section's header, as written but without quotes.
#[derive(Default)]
struct Keys<'a> {
    conversion: Option<&'a [u8]>,
    transfer: Option<&'a [u8]>,
    size: Option<&'a [u8]>,
    element: Option<&'a [u8]>,
    order: Option<&'a [u8]>,
    md5: Option<&'a [u8]>,
    elements: Option<&'a [u8]>,
    fast: Option<&'a [u8]>,
    slow: Option<&'a [u8]>,
    third: Option<&'a [u8]>,
}

impl<'a> Keys<'a> {
    /// Reads the lines from byte `section` of `file` to the magic bytes; also says where the data begin.
    fn read(file: &'a [u8], section: usize) -> Result<(Self, usize), HeaderError> {
        let mut keys = Keys::default();
        let mut lines = Lines { bytes: file, next: section };
        while lines.next < section.saturating_add(SECTION_LIMIT) {
            if lines.rest().starts_with(&MAGIC) {
                return Ok((keys, lines.next + MAGIC.len()));
            }
            match lines.next() {
                Some(line) if !line.starts_with(BOUNDARY) => keys.take(line),
                _ => break,
            }
        }
        Err(HeaderError::NoMagic { section })
    }

    fn take(&mut self, line: &'a [u8]) {
        const CONVERSIONS: &[u8] = b"conversions=";
        if let Some(at) = line.windows(CONVERSIONS.len()).position(|w| w.eq_ignore_ascii_case(CONVERSIONS)) {
            self.conversion = Some(unquoted(&line[at + CONVERSIONS.len()..]));
        }
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { return };
        let (key, value) = (line[..colon].trim_ascii(), unquoted(&line[colon + 1..]));
        for (name, place) in [
            ("Content-Transfer-Encoding", &mut self.transfer),
            ("Content-MD5", &mut self.md5),
            ("X-Binary-Size", &mut self.size),
            ("X-Binary-Element-Type", &mut self.element),
            ("X-Binary-Element-Byte-Order", &mut self.order),
            ("X-Binary-Number-of-Elements", &mut self.elements),
            ("X-Binary-Size-Fastest-Dimension", &mut self.fast),
            ("X-Binary-Size-Second-Dimension", &mut self.slow),
            ("X-Binary-Size-Third-Dimension", &mut self.third),
        ] {
            if key.eq_ignore_ascii_case(name.as_bytes()) {
                *place = Some(value);
            }
        }
    }
}

/// The lines of a text, without their ends (LF or CRLF).
struct Lines<'a> {
    bytes: &'a [u8],
    /// Where the next line begins.
    next: usize,
}

impl<'a> Lines<'a> {
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.next..).unwrap_or_default()
    }

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest();
        if rest.is_empty() {
            return None;
        }
        let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        self.next += (end + 1).min(rest.len());
        let line = &rest[..end];
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// Goes past the line that begins with `;` and ends a text field; says where it begins.
    ///
    /// Stays where it is when there is no such line, so that the search for the section does not miss it.
    fn skip_text_field(&mut self) -> Option<usize> {
        let first = self.next;
        loop {
            let start = self.next;
            match self.next() {
                Some(line) if line.starts_with(b";") => return Some(start),
                Some(line) if !line.starts_with(BOUNDARY) => {}
                _ => {
                    self.next = first;
                    return None;
                }
            }
        }
    }
}

const POSITIVE: &str = "a positive integer";

/// The value of a key that must be there and be a positive number.
fn required(key: &'static str, value: Option<&[u8]>) -> Result<usize, HeaderError> {
    let value = value.ok_or(HeaderError::MissingKey { key })?;
    match number(key, value, POSITIVE)? {
        0 => Err(HeaderError::BadValue { key, value: "0".to_owned(), expected: POSITIVE }),
        number => Ok(number),
    }
}

fn number(key: &'static str, value: &[u8], expected: &'static str) -> Result<usize, HeaderError> {
    let digits = std::str::from_utf8(value).ok();
    digits.and_then(|d| d.parse().ok()).ok_or_else(|| HeaderError::BadValue {
        key,
        value: printable(value),
        expected,
    })
}

fn pixel_type(element: &[u8]) -> Result<PixelType, HeaderError> {
    const TYPES: [(&str, PixelType); 8] = [
        ("signed 32-bit integer", PixelType::I32),
        ("unsigned 32-bit integer", PixelType::U32),
        ("signed 16-bit integer", PixelType::I16),
        ("unsigned 16-bit integer", PixelType::U16),
        ("signed 8-bit integer", PixelType::I8),
        ("unsigned 8-bit integer", PixelType::U8),
        ("signed 64-bit integer", PixelType::I64),
        ("unsigned 64-bit integer", PixelType::U64),
    ];
    TYPES
        .iter()
        .find(|(name, _)| element.eq_ignore_ascii_case(name.as_bytes()))
        .map(|&(_, pixel)| pixel)
        .ok_or_else(|| HeaderError::ElementType { element: printable(element) })
}

/// Without blanks and quotes around it; of a quoted value, what stands in the quotes.
fn unquoted(value: &[u8]) -> &[u8] {
    let value = value.trim_ascii();
    match value {
        [quote @ (b'"' | b'\''), inner @ ..] => {
            let end = inner.iter().position(|byte| byte == quote).unwrap_or(inner.len());
            inner[..end].trim_ascii()
        }
        _ => value.strip_suffix(b";").unwrap_or(value),
    }
}

/// At most 60 characters for a message.
fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).replace(|c: char| c.is_control(), "?")
}

/// What a file that is not CBF may be.
fn guess(file: &[u8]) -> &'static str {
    const KNOWN: [(&[u8], &str); 8] = [
        (b"\x89HDF\r\n\x1a\n", " (it looks like HDF5)"),
        (b"II*\0", " (it looks like TIFF)"),
        (b"MM\0*", " (it looks like TIFF)"),
        (b"\x93NUMPY", " (it looks like a numpy array)"),
        (b"\x1f\x8b", " (it looks like gzip)"),
        (b"BZh", " (it looks like bzip2)"),
        (b"PK\x03\x04", " (it looks like a zip archive)"),
        (b"{", " (it looks like EDF)"),
    ];
    KNOWN.iter().find(|(magic, _)| file.starts_with(magic)).map_or("", |(_, guess)| guess)
}
