#![no_main]
//! See `answers::answers`.

#[path = "../answers.rs"]
#[allow(dead_code)]
mod answers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _frames = answers::answers(data);
});
