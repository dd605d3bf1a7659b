//! The number types that a detector writes, as one trait.
//!
//! Decoders are generic over [`Pixel`], so that the eight element types of the CBF standard are one piece of code.
//! A pixel converts from the decoder's running value by wrapping (modulo 2^bits, as every reader of 32-bit frames does)
//! and to `f32` for integration by ordinary rounding, as numpy's `astype` does.
//! The trait is sealed: unsafe code may rely on its types being plain little integers of 1, 2, 4 or 8 bytes.

use crate::frame::PixelType;

mod sealed {
    pub trait Sealed {}
}

/// One of the eight integer types that a detector writes.
pub trait Pixel:
    sealed::Sealed + Copy + Default + PartialEq + std::fmt::Debug + Send + Sync + 'static
{
    /// The same type as a value.
    const TYPE: PixelType;

    /// The low bits of `value`: wraps modulo 2^bits.
    fn from_i64(value: i64) -> Self;

    /// The value itself; values of `u64` above `i64::MAX` wrap.
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
        }
    };
}

/// The memory of `pixels`, in the byte order of this machine.
pub fn bytes_of<T: Pixel>(pixels: &[T]) -> &[u8] {
    // SAFETY: the trait is sealed to integers, which have no padding and whose every byte is initialised;
    // the length in bytes is that of the slice itself, and u8 needs no alignment.
    unsafe { std::slice::from_raw_parts(pixels.as_ptr().cast::<u8>(), std::mem::size_of_val(pixels)) }
}

/// The part of `bytes` that can hold pixels (their memory is aligned), and where it begins.
pub fn pixels_in<T: Pixel>(bytes: &mut [u8]) -> (usize, &mut [T]) {
    // SAFETY: the trait is sealed to integers, for which every bit pattern is a value.
    let (head, pixels, _) = unsafe { bytes.align_to_mut::<T>() };
    (head.len(), pixels)
}
