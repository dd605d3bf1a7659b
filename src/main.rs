//! The `xrdct` command: parse, run, exit code.

use std::process::ExitCode;

use xrdct::cli::{answer_for_hdf5, start};

fn main() -> ExitCode {
    // SAFETY: nothing was started yet, so this is the only thread.
    unsafe {
        xrdct::files::library::disarm_environment();
        xrdct::session::device::ask_for_few_queues();
    }
    match answer_for_hdf5() {
        Some(code) => code,
        None => start().into(),
    }
}
