//! Benches of the CPU, each beside the ceiling measured in the same run; compared with the best that this machine's class ever
//! reached (profiles/record), so that a release that became slower does not pass.
//!
//! ```sh
//! cargo bench --bench cpu                                     # all of them, some six minutes on two cores
//! cargo bench --bench cpu -- decode "corridor, CPU pool"      # those whose names begin so; --list tells the names
//! cargo bench --bench cpu -- --save                           # and keep what is new and what is better
//! cargo bench --bench cpu -- decode --replace "decode, 2 % escapes" --because "escapes are checked twice now"
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod blocks;
mod corridor;
mod decode;
mod eiger;
mod integrate;
mod matrix;
mod options;
mod spots;
mod startup;
mod statistics;
mod tomo;

use std::process::ExitCode;

use anyhow::Result;
use xrdct::bench::machine::Machine;

use options::{Options, Part};

const PARTS: [Part; 10] = [
    ("decode", decode::measure),
    ("blocks", blocks::measure),
    ("matrix", matrix::measure),
    ("integrate", integrate::measure),
    ("statistics", statistics::measure),
    ("spots", spots::measure),
    ("corridor", corridor::on_cpu),
    ("Eiger", eiger::on_cpu),
    ("start-up", startup::on_cpu),
    ("tomo", tomo::measure),
];

fn main() -> ExitCode {
    options::exit(measure())
}

fn measure() -> Result<ExitCode> {
    let options = Options::read()?;
    let machine = Machine::here();
    println!("{}\n", machine.line());
    options.run(&machine.cpu_class(), machine, &PARTS)
}
