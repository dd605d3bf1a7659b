//! The `xrdct` command: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use xrdct::cli::{Cli, run};

fn main() -> ExitCode {
    run(&Cli::parse()).into()
}
