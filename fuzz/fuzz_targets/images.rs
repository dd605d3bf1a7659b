#![no_main]
//! See `checks::image`. HDF5 files are read in a child, as the program does: the environment's XRDCT names the program
//! (target/release/xrdct). Without it the C library reads them in this process, and its crashes are found instead of ours.

#[path = "../checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(
    init: {
        if let Some(program) = std::env::var_os("XRDCT") {
            xrdct::h5::read_in_children(program.into());
        }
    },
    |data: &[u8]| checks::image(data)
);
