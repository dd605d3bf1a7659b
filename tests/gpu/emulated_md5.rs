//! The kernel of digests, under the emulator, against the plain crate's.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use xrdct::codec::md5::digest;
use xrdct::cuda::params::{XRDCT_DIGEST_DONE, XRDCT_MAX_BATCH, XrdctDigest};

use super::emulated::{build, bytes_of, run_on, values_of};

const BATCH: usize = XRDCT_MAX_BATCH as usize;

fn emulator() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| build("tests/gpu/emulate_md5.cpp", "emulate-md5"))
}

/// Digests of frames of these lengths, `budget` blocks a slice; each frame begins at another byte of sixteen.
fn check(lengths: &[usize], entries: &[u32], budget: u32) {
    let idle = XrdctDigest { blocks: XRDCT_DIGEST_DONE, ..XrdctDigest::default() };
    let mut digests = vec![idle; 3 * BATCH];
    let mut arena: Vec<u8> = Vec::new();
    let mut expected = Vec::new();
    for (n, &length) in lengths.iter().enumerate() {
        arena.resize(arena.len().next_multiple_of(16) + n % 16, 0xEE);
        let first = arena.len();
        arena.extend((0..length).map(|i| (i * i / 7 + 31 * n) as u8));
        let place = entries[n % entries.len()] as usize * BATCH + n / entries.len();
        digests[place] = XrdctDigest {
            next: first as u64,
            blocks: (length / 64) as u32,
            length: length as u32,
            state: [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476],
        };
        expected.push((place, digest(&arena[first..])));
    }
    // Nothing is read beyond the sixteen bytes that the last frame ends in.
    arena.resize(arena.len().next_multiple_of(16), 0xEE);
    let name = format!("{} frames, {budget} blocks", lengths.len());
    let budgets = [budget];
    let arrays: [&[u8]; 4] = [bytes_of(&digests), &arena, bytes_of(entries), bytes_of(&budgets)];
    let answer = run_on(emulator(), &name, &arrays);
    let found: Vec<XrdctDigest> = values_of(&answer[0]);
    assert_eq!(found.len(), digests.len());
    for (place, expected) in &expected {
        let state = found[*place].state;
        let bytes: Vec<u8> = state.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(bytes, expected, "{name}: place {place}");
    }
    let touched = |place: usize| found[place].state != idle.state;
    let alone = (0..digests.len()).filter(|place| touched(*place)).count();
    assert_eq!(alone, expected.len(), "{name}: places without a frame are left alone");
}

#[test]
fn digests_are_the_plain_crates() {
    // Around a block, where a tail takes one block or two, and at all sixteen offsets.
    let lengths: Vec<usize> = (0..128).collect();
    check(&lengths, &[0, 2], 1);
    check(&lengths.iter().map(|n| 64 * 9 + n).collect::<Vec<_>>(), &[1, 2], 4);
    // A slice longer than the frames, and one that ends with them.
    check(&[640, 641, 703, 6400], &[2], 10);
    check(&[5000; 40], &[0], 1000);
}
