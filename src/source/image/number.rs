//! Pixels of any number type and byte order, as f64.

/// Type of one pixel in an image file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberType {
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
pub(super) enum ByteOrder {
    Little,
    Big,
}

impl NumberType {
    /// Bytes of one pixel.
    pub(super) const fn size(self) -> usize {
        match self {
            NumberType::I8 | NumberType::U8 => 1,
            NumberType::I16 | NumberType::U16 | NumberType::F16 => 2,
            NumberType::I32 | NumberType::U32 | NumberType::F32 => 4,
            NumberType::I64 | NumberType::U64 | NumberType::F64 => 8,
        }
    }

    /// Reads as many pixels as there are whole ones in `bytes`.
    pub(super) fn read(self, bytes: &[u8], order: ByteOrder) -> Vec<f64> {
        match self {
            NumberType::I8 => bytes.iter().map(|&b| f64::from(b as i8)).collect(),
            NumberType::U8 => bytes.iter().map(|&b| f64::from(b)).collect(),
            NumberType::I16 => each(bytes, order, |b| f64::from(i16::from_le_bytes(b))),
            NumberType::U16 => each(bytes, order, |b| f64::from(u16::from_le_bytes(b))),
            NumberType::I32 => each(bytes, order, |b| f64::from(i32::from_le_bytes(b))),
            NumberType::U32 => each(bytes, order, |b| f64::from(u32::from_le_bytes(b))),
            NumberType::I64 => each(bytes, order, |b| i64::from_le_bytes(b) as f64),
            NumberType::U64 => each(bytes, order, |b| u64::from_le_bytes(b) as f64),
            NumberType::F16 => each(bytes, order, |b| half(u16::from_le_bytes(b))),
            NumberType::F32 => each(bytes, order, |b| f64::from(f32::from_le_bytes(b))),
            NumberType::F64 => each(bytes, order, f64::from_le_bytes),
        }
    }
}

fn each<const N: usize>(bytes: &[u8], order: ByteOrder, number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    let (chunks, _) = bytes.as_chunks::<N>();
    let turned = |mut chunk: [u8; N]| {
        if order == ByteOrder::Big {
            chunk.reverse();
        }
        number(chunk)
    };
    chunks.iter().map(|&chunk| turned(chunk)).collect()
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
