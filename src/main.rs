//! The `xrdct` command: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use xrdct::cli::{Cli, answer_for_hdf5, run};

fn main() -> ExitCode {
    match answer_for_hdf5() {
        Some(code) => code,
        None => run(&Cli::parse()).into(),
    }
}
