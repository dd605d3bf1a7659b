//! Speed of the CUDA engine, each figure beside the ceiling that was measured in the same run: kernels, the whole corridor, the start
//! of the program, reconstruction. Frames are of a Pilatus CdTe 2M (1679 x 1475, int32, about 2.5 MB packed), bbox splitting, 1000 bins
//! where nothing else is said. Everything is compared with the best that this GPU ever reached (profiles/record).
//! Without a GPU it says so and ends with status 1.
//!
//! ```sh
//! cargo bench --bench gpu                              # all of them, some five minutes on 16 cores
//! cargo bench --bench gpu -- corridor "weak: decode"   # those whose names begin so; --list tells the names
//! cargo bench --bench gpu -- weak --sweep --trace FILE # other cuts of the matrix; a timeline
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod corridor;
mod kernels;
mod options;
mod startup;
mod tomo;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use xrdct::bench::machine::Machine;
use xrdct::session::device::survey;

use options::{Options, Part};

const PARTS: [Part; 5] = [
    ("weak", kernels::weak),
    ("powder", kernels::powder),
    ("corridor", corridor::on_gpu),
    ("start-up", startup::on_gpu),
    ("tomo", tomo::on_gpu),
];

fn main() -> ExitCode {
    options::exit(measure())
}

fn measure() -> Result<ExitCode> {
    let options = Options::read()?;
    let survey = survey();
    println!("kernels for {:?}, driver {:?}", survey.architectures, survey.driver);
    println!("{:?}", survey.devices.context("no GPU: this bench needs one")?);
    let machine = Machine::here();
    let class = machine.gpu_class().context("no GPU")?;
    options.run(&class, machine, &PARTS)
}
