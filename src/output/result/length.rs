//! Whether a file is as long as its header says.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// How an HDF5 file begins.
const SIGNATURE: &[u8; 8] = b"\x89HDF\r\n\x1a\n";
/// A header (superblock) of version 2 or 3: signature, version, sizes of addresses and lengths, flags, four addresses, checksum.
const HEADER: usize = 48;
/// Where in it the length of the file stands. HDF5 File Format Specification 3.0, II.A.
const LENGTH: std::ops::Range<usize> = 28..36;

/// How long a file's header says that it is, when the file is shorter.
pub(super) fn cut_short(file: &File) -> Option<u64> {
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, 0).ok()?;
    let is_ours = header.starts_with(SIGNATURE) && matches!(header[8], 2 | 3) && header[9] == 8;
    let length = u64::from_le_bytes(header[LENGTH].try_into().ok()?);
    let has = file.metadata().ok()?.len();
    (is_ours && has < length).then_some(length)
}
