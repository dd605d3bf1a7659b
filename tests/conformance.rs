//! The same numbers as pyFAI 2026.9.0 and FabIO, on real detector frames, through the program itself.

use std::path::Path;

use crate::support::{ask_oracle, data};

#[test]
fn patterns_are_pyfais() {
    let Some(frames) = data("cbf") else { return };
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let root = frames.parent().expect("cbf is below the data");
    let printed =
        ask_oracle("conformance.py", &[Path::new(env!("CARGO_BIN_EXE_xrdct")), root, scratch.path()]);
    println!("{printed}");
    assert!(printed.trim_end().ends_with(" passed, 0 failed"), "{printed}");
}

#[test]
fn converted_frames_are_fabios() {
    let Some(frames) = data("cbf") else { return };
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let printed =
        ask_oracle("convert.py", &[Path::new(env!("CARGO_BIN_EXE_xrdct")), &frames, scratch.path()]);
    println!("{printed}");
    assert!(printed.trim_end().ends_with(" passed, 0 failed"), "{printed}");
}
