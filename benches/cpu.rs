//! Benches of the CPU, each beside the ceiling measured in the same run; compared with the newest record of this machine's
//! class (profiles/record), so that a release that became slower does not pass.
//!
//! ```sh
//! cargo bench --bench cpu                          # all of them, some two minutes
//! cargo bench --bench cpu -- decode integrate      # some
//! cargo bench --bench cpu -- --save                # and keep the figures
//! ```
#![allow(clippy::print_stdout)]

mod corridor;
mod decode;
mod integrate;
mod matrix;
mod options;
mod tomo;

use std::process::ExitCode;

use anyhow::Result;
use xrdct::bench::machine::Machine;
use xrdct::bench::record::Measure;

use options::Options;

/// A part: its name and what it measures.
type Part = (&'static str, fn(&Options) -> Result<Vec<Measure>>);

const PARTS: [Part; 5] = [
    ("decode", decode::measure),
    ("matrix", matrix::measure),
    ("integrate", integrate::measure),
    ("corridor", corridor::on_cpu),
    ("tomo", tomo::measure),
];

fn main() -> Result<ExitCode> {
    let options = Options::read()?;
    let machine = Machine::here();
    println!("{}\n", machine.line());
    let mut measures = Vec::new();
    for (name, part) in PARTS {
        if options.wants(name) {
            for measure in part(&options)? {
                println!("{}", measure.line());
                measures.push(measure);
            }
        }
    }
    let class = machine.cpu_class();
    // A bench's name begins with the name of its part.
    let again = |name: &str| {
        let part = PARTS.iter().find(|(part, _)| *part == name);
        part.map_or_else(|| Ok(vec![]), |(_, measure)| measure(&options))
    };
    let measures = options.assured(&class, &machine, measures, again)?;
    options.end(&class, machine, measures)
}
