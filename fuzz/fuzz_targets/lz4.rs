#![no_main]
//! See `blocks::lz4_block`.

#[path = "../blocks.rs"]
#[allow(dead_code)]
mod blocks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| blocks::lz4_block(data));
