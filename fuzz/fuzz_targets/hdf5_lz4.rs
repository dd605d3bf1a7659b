#![no_main]
//! See `blocks::hdf5_lz4`.

#[path = "../blocks.rs"]
#[allow(dead_code)]
mod blocks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| blocks::hdf5_lz4(data));
