//! Values as the bytes that stand for them in a file, and writing many of them at once.

use std::fs::File;
use std::io::{self, IoSlice};

/// Writes all slices one after the other at `offset`.
pub(super) fn write_slices_at(
    file: &File,
    mut slices: &mut [IoSlice<'_>],
    mut offset: u64,
) -> io::Result<()> {
    while !slices.is_empty() {
        match rustix::io::pwritev(file, slices, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                offset += n as u64;
                IoSlice::advance_slices(&mut slices, n);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// A text in a place of fixed length: cut at a character, filled up with NUL.
pub(in crate::output) fn fixed<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let mut end = text.len().min(N);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    bytes[..end].copy_from_slice(&text.as_bytes()[..end]);
    bytes
}

/// Numbers whose memory is exactly their bytes in the file: the datasets have the machine's own types.
pub(super) trait Plain: Copy {}
impl Plain for f32 {}
impl Plain for f64 {}
impl Plain for u32 {}
impl Plain for u8 {}

/// Their memory.
pub(super) fn bytes<T: Plain>(values: &[T]) -> &[u8] {
    // SAFETY: `Plain` is implemented for f32, f64, u32 and u8 only: no padding, every byte initialised, and u8 has no alignment.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// Their memory, to be filled.
pub(super) fn bytes_mut<T: Plain>(values: &mut [T]) -> &mut [u8] {
    // SAFETY: as above, and any bytes are a value.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) }
}
