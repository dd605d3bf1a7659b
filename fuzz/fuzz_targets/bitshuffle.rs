#![no_main]
//! See `blocks::bitshuffle`.

#[path = "../blocks.rs"]
#[allow(dead_code)]
mod blocks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| blocks::bitshuffle(data));
