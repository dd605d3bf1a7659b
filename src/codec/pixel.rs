//! The number types that a detector writes, as one trait.
//!
//! Decoders are generic over [`Pixel`], so that all element types are one piece of code.
//! A pixel converts from the decoder's running value by wrapping (modulo 2^bits, as every reader of 32-bit frames does)
//! and to `f32` for integration by ordinary rounding, as numpy's `astype` does.
//! The trait is sealed: unsafe code may rely on its types being plain numbers of 1, 2, 4 or 8 bytes, any bits of which are a value.

use crate::frame::PixelType;

mod sealed {
    pub trait Sealed {}
}

#[cfg(not(target_endian = "little"))]
compile_error!("pixels are little endian in files and in memory");

/// One of the integer and floating-point types that a detector, or what came after it, writes.
pub trait Pixel:
    sealed::Sealed + Copy + Default + PartialEq + std::fmt::Debug + Send + Sync + 'static
{
    /// The same type as a value.
    const TYPE: PixelType;

    /// Whether it may be NaN or infinite.
    const IS_FLOAT: bool = Self::TYPE.is_float();

    /// The low bits of `value`: wraps modulo 2^bits. Of floating-point types they are the representation.
    fn from_i64(value: i64) -> Self;

    /// The value itself; values of `u64` above `i64::MAX` wrap, floating-point types give their representation.
    fn to_i64(self) -> i64;

    /// The nearest `f32`.
    fn to_f32(self) -> f32;

    /// The nearest `f64`.
    fn to_f64(self) -> f64;
}

macro_rules! pixel {
    ($($type:ty => $variant:ident),*) => {$(
        impl sealed::Sealed for $type {}

        impl Pixel for $type {
            const TYPE: PixelType = PixelType::$variant;

            #[inline(always)]
            fn from_i64(value: i64) -> Self {
                value as $type
            }

            #[inline(always)]
            fn to_i64(self) -> i64 {
                self as i64
            }

            #[inline(always)]
            fn to_f32(self) -> f32 {
                self as f32
            }

            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
        }
    )*};
}

macro_rules! float {
    ($($type:ty, $bits:ty => $variant:ident),*) => {$(
        impl sealed::Sealed for $type {}

        impl Pixel for $type {
            const TYPE: PixelType = PixelType::$variant;

            #[inline(always)]
            fn from_i64(value: i64) -> Self {
                <$type>::from_bits(value as $bits)
            }

            #[inline(always)]
            fn to_i64(self) -> i64 {
                self.to_bits() as i64
            }

            #[inline(always)]
            fn to_f32(self) -> f32 {
                self as f32
            }

            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
        }
    )*};
}

float!(f32, u32 => F32, f64, u64 => F64);
pixel!(i8 => I8, u8 => U8, i16 => I16, u16 => U16, i32 => I32, u32 => U32, i64 => I64, u64 => U64);

/// Calls generic code with the Rust type that a [`PixelType`] value names.
///
/// `with_pixel!(encoding.pixel, T => decode::<T>(…))` expands to a `match` with one arm a type.
#[macro_export]
macro_rules! with_pixel {
    ($pixel_type:expr, $T:ident => $body:expr) => {
        match $pixel_type {
            $crate::frame::PixelType::I8 => {
                type $T = i8;
                $body
            }
            $crate::frame::PixelType::U8 => {
                type $T = u8;
                $body
            }
            $crate::frame::PixelType::I16 => {
                type $T = i16;
                $body
            }
            $crate::frame::PixelType::U16 => {
                type $T = u16;
                $body
            }
            $crate::frame::PixelType::I32 => {
                type $T = i32;
                $body
            }
            $crate::frame::PixelType::U32 => {
                type $T = u32;
                $body
            }
            $crate::frame::PixelType::I64 => {
                type $T = i64;
                $body
            }
            $crate::frame::PixelType::U64 => {
                type $T = u64;
                $body
            }
            $crate::frame::PixelType::F32 => {
                type $T = f32;
                $body
            }
            $crate::frame::PixelType::F64 => {
                type $T = f64;
                $body
            }
        }
    };
}

/// The memory of `pixels`, in the byte order of this machine.
pub fn bytes_of<T: Pixel>(pixels: &[T]) -> &[u8] {
    // SAFETY: the trait is sealed to numbers, which have no padding and whose every byte is initialised;
    // the length in bytes is that of the slice itself, and u8 needs no alignment.
    unsafe { std::slice::from_raw_parts(pixels.as_ptr().cast::<u8>(), std::mem::size_of_val(pixels)) }
}

/// The memory of `pixels`, to be filled.
pub fn bytes_of_mut<T: Pixel>(pixels: &mut [T]) -> &mut [u8] {
    // SAFETY: as in `bytes_of`; and the trait is sealed to numbers, for which every bit pattern is a value.
    unsafe { std::slice::from_raw_parts_mut(pixels.as_mut_ptr().cast::<u8>(), std::mem::size_of_val(pixels)) }
}

/// The part of `bytes` that can hold pixels (their memory is aligned), and where it begins.
pub fn pixels_in<T: Pixel>(bytes: &mut [u8]) -> (usize, &mut [T]) {
    // SAFETY: the trait is sealed to numbers, for which every bit pattern is a value.
    let (head, pixels, _) = unsafe { bytes.align_to_mut::<T>() };
    (head.len(), pixels)
}
