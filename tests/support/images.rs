//! TIFF, EDF and npy files of images that are known exactly.

use std::io::{Cursor, Write};

use flate2::Compression as Level;
use flate2::write::GzEncoder;
use tiff::encoder::{Compression, TiffEncoder, colortype};
use tiff::tags::Tag;
use xrdct::frame::Shape;

/// A npy of that description (`<i4`) and shape.
pub fn npy(descr: &str, is_fortran: bool, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let order = if is_fortran { "True" } else { "False" };
    let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({sizes}), }}\n");
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
}

/// A block of an EDF: `keys` go before those that say how it is written.
pub fn edf(keys: &str, data_type: &str, Shape { slow, fast }: Shape, data: &[u8]) -> Vec<u8> {
    let size = data.len();
    let header = format!(
        "{{\nHeaderID = EH:000001:000000:000000 ;\n{keys}DataType = {data_type} ;\nDim_1 = {fast} ;\nDim_2 = {slow} ;\nSize = {size} ;\n"
    );
    let order = if keys.contains("ByteOrder") { "" } else { "ByteOrder = LowByteFirst ;\n" };
    let header = format!("{header}{order}");
    // Headers fill blocks of 512 bytes.
    let whole = (header.len() + 2).next_multiple_of(512);
    [format!("{header:<width$}}}\n", width = whole - 2).as_bytes(), data].concat()
}

/// A TIFF of int32, a page an image, in strips of `rows`.
pub fn tiff(shape: Shape, pages: &[Vec<i32>], rows: u32, packing: Compression, description: &str) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut file).expect("a TIFF").with_compression(packing);
    for page in pages {
        let mut image =
            encoder.new_image::<colortype::GrayI32>(shape.fast as u32, shape.slow as u32).expect("a page");
        image.rows_per_strip(rows).expect("rows");
        if !description.is_empty() {
            image.encoder().write_tag(Tag::ImageDescription, description).expect("a tag");
        }
        image.write_data(page).expect("an image");
    }
    file.into_inner()
}

/// The same as BigTIFF.
pub fn big_tiff(shape: Shape, image: &[i32]) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new_big(&mut file).expect("a TIFF");
    encoder.write_image::<colortype::GrayI32>(shape.fast as u32, shape.slow as u32, image).expect("an image");
    file.into_inner()
}

/// What is said of a TIFF that is made by hand.
pub struct ByHand {
    pub is_big_endian: bool,
    pub bits: u16,
    /// 1 unsigned, 2 signed, 3 floating point.
    pub sample_format: u16,
    /// 0: zero is white.
    pub photometric: u16,
    /// Rows of a strip.
    pub rows: usize,
    /// The last strip comes first.
    pub is_scattered: bool,
}

/// A TIFF of these bytes, which are in its byte order.
pub fn tiff_by_hand(how: &ByHand, Shape { slow, fast }: Shape, pixels: &[u8]) -> Vec<u8> {
    let short = |value: u16| if how.is_big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
    let long = |value: u32| if how.is_big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
    let strips: Vec<&[u8]> = pixels.chunks(how.rows * fast * usize::from(how.bits) / 8).collect();
    let count = strips.len();
    let entries = 9;
    let arrays = 8 + 2 + 12 * entries + 4;
    let mut places = vec![0_u32; count];
    let mut at = arrays + 8 * count;
    let mut order: Vec<usize> = (0..count).collect();
    if how.is_scattered {
        order.reverse();
    }
    for &strip in &order {
        places[strip] = at as u32;
        at += strips[strip].len();
    }
    let mut file = if how.is_big_endian { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
    file.extend(long(8));
    file.extend(short(entries as u16));
    let mut one = |tag: u16, value: u16| {
        file.extend([short(tag), short(3)].concat());
        file.extend(long(1));
        file.extend([short(value), [0; 2]].concat());
    };
    one(256, fast as u16);
    one(257, slow as u16);
    one(258, how.bits);
    one(259, 1);
    one(262, how.photometric);
    let mut many = |tag: u16, here: usize, first: u32| {
        file.extend([short(tag), short(4)].concat());
        file.extend(long(count as u32));
        file.extend(long(if count == 1 { first } else { here as u32 }));
    };
    many(273, arrays, places[0]);
    file.extend([short(278), short(3)].concat());
    file.extend(long(1));
    file.extend([short(how.rows as u16), [0; 2]].concat());
    let mut many = |tag: u16, here: usize, first: u32| {
        file.extend([short(tag), short(4)].concat());
        file.extend(long(count as u32));
        file.extend(long(if count == 1 { first } else { here as u32 }));
    };
    many(279, arrays + 4 * count, strips[0].len() as u32);
    file.extend([short(339), short(3)].concat());
    file.extend(long(1));
    file.extend([short(how.sample_format), [0; 2]].concat());
    file.extend(long(0));
    places.iter().for_each(|place| file.extend(long(*place)));
    strips.iter().for_each(|strip| file.extend(long(strip.len() as u32)));
    order.iter().for_each(|&strip| file.extend(strips[strip]));
    file
}

/// The same in gzip.
pub fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Level::fast());
    packed.write_all(bytes).expect("memory");
    packed.finish().expect("memory")
}

/// The same in bzip2.
pub fn bz2(bytes: &[u8]) -> Vec<u8> {
    let mut packed = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    packed.write_all(bytes).expect("memory");
    packed.finish().expect("memory")
}
