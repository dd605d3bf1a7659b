//! MD5 of many messages: every twin says what the plain crate says, for any number of messages of any lengths.

use proptest::prelude::*;
use xrdct::codec::md5::{LANES, digest, digests, digests_with};
use xrdct::codec::simd::Simd;

/// Bytes that look random and are the same every time.
fn bytes(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(next).collect()
}

fn hex(digest: [u8; 16]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn twins(messages: &[Vec<u8>]) {
    let views: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    let law: Vec<_> = views.iter().map(|message| digest(message)).collect();
    for simd in Simd::ALL.into_iter().filter(|simd| simd.is_available()) {
        let lengths: Vec<usize> = views.iter().map(|v| v.len()).collect();
        assert_eq!(digests_with(simd, &views), law, "{simd:?}, messages of {lengths:?} bytes");
    }
    assert_eq!(digests(&views), law);
}

/// RFC 1321, A.5.
#[test]
fn the_standards_own_examples() {
    let examples = [
        ("", "d41d8cd98f00b204e9800998ecf8427e"),
        ("a", "0cc175b9c0f1b6a831c399e269772661"),
        ("abc", "900150983cd24fb0d6963f7d28e17f72"),
        ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
        ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
        (
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            "d174ab98d277d9f5a5611c2c9f419d9f",
        ),
    ];
    let messages: Vec<&[u8]> = examples.iter().map(|(message, _)| message.as_bytes()).collect();
    for simd in Simd::ALL {
        let found: Vec<String> = digests_with(simd, &messages).into_iter().map(hex).collect();
        assert_eq!(found, examples.map(|(_, digest)| digest), "{simd:?}");
    }
}

#[test]
fn every_length_around_a_block_and_every_number_of_lanes() {
    // 55, 56, 63, 64: where the tail takes one block, two, and a block is whole.
    let lengths: Vec<usize> = (0..200).collect();
    twins(&lengths.iter().map(|&len| bytes(len, len as u32)).collect::<Vec<_>>());
    for count in 0..2 * LANES + 3 {
        twins(&(0..count).map(|i| bytes(1000 + 64 * (i % 3), i as u32)).collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_messages(lengths in prop::collection::vec(0_usize..5000, 0..70), seed in any::<u32>()) {
        twins(&lengths.iter().enumerate().map(|(i, &len)| bytes(len, seed ^ i as u32)).collect::<Vec<_>>());
    }
}

#[test]
fn a_flipped_bit_is_another_digest() {
    let messages: Vec<Vec<u8>> = (0..LANES).map(|i| bytes(5000, i as u32)).collect();
    let views: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    let before = digests(&views);
    for lane in 0..LANES {
        let mut spoilt = messages.clone();
        spoilt[lane][4999 - 300 * lane] ^= 1 << (lane % 8);
        let views: Vec<&[u8]> = spoilt.iter().map(Vec::as_slice).collect();
        let others: Vec<usize> = digests(&views)
            .iter()
            .zip(&before)
            .enumerate()
            .filter(|(_, (a, b))| a != b)
            .map(|(i, _)| i)
            .collect();
        assert_eq!(others, [lane]);
    }
}
