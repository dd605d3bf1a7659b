//! Pixels of any number type and byte order.

use crate::frame::PixelType;

/// Type of one pixel in an image file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum NumberType {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F16,
    F32,
    F64,
}

/// Which byte of a number comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ByteOrder {
    Little,
    Big,
}

impl NumberType {
    /// Bytes of one pixel.
    pub const fn size(self) -> usize {
        match self {
            NumberType::I8 | NumberType::U8 => 1,
            NumberType::I16 | NumberType::U16 | NumberType::F16 => 2,
            NumberType::I32 | NumberType::U32 | NumberType::F32 => 4,
            NumberType::I64 | NumberType::U64 | NumberType::F64 => 8,
        }
    }

    /// What it is as a frame's pixel: itself, but halves are `float32`, which holds all of them exactly.
    pub const fn pixel(self) -> PixelType {
        match self {
            NumberType::I8 => PixelType::I8,
            NumberType::U8 => PixelType::U8,
            NumberType::I16 => PixelType::I16,
            NumberType::U16 => PixelType::U16,
            NumberType::I32 => PixelType::I32,
            NumberType::U32 => PixelType::U32,
            NumberType::I64 => PixelType::I64,
            NumberType::U64 => PixelType::U64,
            NumberType::F16 | NumberType::F32 => PixelType::F32,
            NumberType::F64 => PixelType::F64,
        }
    }

    /// Turns the bytes of each pixel round.
    pub fn swap(self, bytes: &mut [u8]) {
        match self.size() {
            2 => bytes.as_chunks_mut::<2>().0.iter_mut().for_each(|pixel| pixel.reverse()),
            4 => bytes.as_chunks_mut::<4>().0.iter_mut().for_each(|pixel| pixel.reverse()),
            8 => bytes.as_chunks_mut::<8>().0.iter_mut().for_each(|pixel| pixel.reverse()),
            _ => {}
        }
    }

    /// As many pixels as there are whole ones in `bytes`, which are little-endian.
    pub fn read(self, bytes: &[u8]) -> Vec<f64> {
        match self {
            NumberType::I8 => bytes.iter().map(|&b| f64::from(b as i8)).collect(),
            NumberType::U8 => bytes.iter().map(|&b| f64::from(b)).collect(),
            NumberType::I16 => each(bytes, |b| f64::from(i16::from_le_bytes(b))),
            NumberType::U16 => each(bytes, |b| f64::from(u16::from_le_bytes(b))),
            NumberType::I32 => each(bytes, |b| f64::from(i32::from_le_bytes(b))),
            NumberType::U32 => each(bytes, |b| f64::from(u32::from_le_bytes(b))),
            NumberType::I64 => each(bytes, |b| i64::from_le_bytes(b) as f64),
            NumberType::U64 => each(bytes, |b| u64::from_le_bytes(b) as f64),
            NumberType::F16 => each(bytes, |b| half(u16::from_le_bytes(b))),
            NumberType::F32 => each(bytes, |b| f64::from(f32::from_le_bytes(b))),
            NumberType::F64 => each(bytes, f64::from_le_bytes),
        }
    }
}

fn each<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| number(chunk)).collect()
}

/// Makes `float32` of the halves that fill the first half of `bytes`: from the last to the first, so that none is overwritten unread.
pub fn widen(bytes: &mut [u8]) {
    for pixel in (0..bytes.len() / 4).rev() {
        let bits = u16::from_le_bytes([bytes[2 * pixel], bytes[2 * pixel + 1]]);
        bytes[4 * pixel..4 * pixel + 4].copy_from_slice(&(half(bits) as f32).to_le_bytes());
    }
}

/// An IEEE 754 half: sign, 5 bits of exponent, 10 of fraction.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let fraction = f64::from(bits & 0x3ff);
    match i32::from(bits >> 10 & 0x1f) {
        0 => sign * fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => sign * f64::INFINITY,
        31 => f64::NAN,
        exponent => sign * (1024.0 + fraction) * 2_f64.powi(exponent - 25),
    }
}
