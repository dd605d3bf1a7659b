//! The command line: what was typed ([`args`]), and one file a subcommand; what it means, a [session](crate::session) knows.
//!
//! Only this floor prints, in one place (`say`). What a command was asked for goes to stdout, everything else (progress,
//! warnings, errors) to stderr. Signals are heard in one place (`signals`). Exit codes are in [`exit`].

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

pub mod args;
mod bench;
mod convert;
pub mod exit;
mod info;
mod integrate;
mod merge;
mod plot;
mod progress;
mod report;
mod say;
mod settings;
mod signals;
mod simulate;
mod slurm;
mod summary;
mod tomo;
mod words;

use args::{ConvertArgs, IntegrateArgs};
use bench::BenchArgs;
use exit::{Exit, Failure, OrExit};
use info::InfoArgs;
use merge::MergeArgs;
use plot::PlotArgs;
use report::ReportArgs;
use simulate::SimulateArgs;
use slurm::args::SlurmArgs;
use tomo::args::TomoArgs;

use crate::h5::{child, read_in_children};
use crate::session::device::one_was_given_up;
use crate::simulate::SimulateError;

/// X-ray diffraction scans to powder patterns, in real time
///
/// Frames of a scan are decoded, azimuthally integrated and written as patterns to a NeXus/HDF5 file.
/// Results are pyFAI's, see `xrdct integrate --help`.
#[derive(Debug, Parser)]
#[command(name = "xrdct", version, max_term_width = 110, after_help = AFTER_HELP)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Exit codes: 0 all went well · 1 unexpected · 2 command line · 3 frames · 4 PONI, mask, dark, flat, ranges ·
5 output · 6 device · 10 done, but some frames were bad · ended by a signal: 129 SIGHUP, 130 Ctrl-C, 143 SIGTERM,
what was done is written";

#[derive(Debug, Subcommand)]
enum Command {
    Integrate(Box<IntegrateArgs>),
    Merge(MergeArgs),
    Slurm(Box<SlurmArgs>),
    Tomo(Box<TomoArgs>),
    Plot(Box<PlotArgs>),
    Report(ReportArgs),
    Convert(ConvertArgs),
    Info(InfoArgs),
    Simulate(Box<SimulateArgs>),
    Bench(BenchArgs),
    /// Shell completions, to stdout
    Completions {
        /// Shell to complete for
        shell: clap_complete::Shell,
    },
}

/// What this process is when it was started to read HDF5 files for another ([`child`]); `None` when it was not. From here on
/// files are read in such processes.
pub fn answer_for_hdf5() -> Option<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == child::ARGUMENT) {
        let patience = words.next().and_then(|word| word.to_str()?.parse().ok()).unwrap_or(child::PATIENCE);
        // When a pipe breaks, whoever asked is gone.
        return Some(child::serve(patience).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS));
    }
    // By this name the program is found even when its file was moved or replaced meanwhile.
    read_in_children("/proc/self/exe".into());
    None
}

/// The program: what was typed is run to its end. Errors are printed to stderr.
pub fn start() -> Exit {
    let done = signals::listen().or_exit(Exit::Failure).and_then(|()| match Cli::try_parse() {
        Ok(cli) => run(&cli),
        Err(said) => tell(&said),
    });
    let exit = done.unwrap_or_else(|failure| {
        say::note(&format!("xrdct: {failure}"));
        failure.exit
    });
    if one_was_given_up() {
        // The driver's own end may wait for it.
        let _ = std::io::stdout().flush();
        signals::leave(exit);
    }
    exit
}

/// Help and versions are what was asked for; the rest is about a mistake.
fn tell(said: &clap::Error) -> Result<Exit, Failure> {
    let printed = said.print().and_then(|()| std::io::stdout().flush());
    match said.use_stderr() {
        true => Ok(Exit::Usage),
        false => say::readers_may_leave(printed).map(|()| Exit::Success),
    }
}

fn run(cli: &Cli) -> Result<Exit, Failure> {
    match &cli.command {
        Command::Integrate(args) => integrate::run(args),
        Command::Merge(args) => merge::run(args),
        Command::Slurm(args) => slurm::run(args),
        Command::Tomo(args) => tomo::run(args),
        Command::Plot(args) => plot::run(args),
        Command::Report(args) => report::run(args),
        Command::Convert(args) => convert::run(args),
        Command::Info(args) => info::run(args),
        Command::Simulate(args) => simulated(args),
        Command::Bench(args) => bench::run(args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "xrdct", &mut script);
            say::answer(&String::from_utf8_lossy(&script))?;
            Ok(Exit::Success)
        }
    }
}

/// Names what killed runs left of files that are about to be written. Nothing is deleted: on a shared disk another computer may
/// be writing it.
fn warn_of_leftovers(left: Vec<PathBuf>) {
    for path in left {
        say::warn(&format!(
            "{}: a run that was killed left this. Its process is gone: unless one on another computer is writing it, it can be \
             deleted (what `convert` left, --resume goes on with)",
            path.display()
        ));
    }
}

fn simulated(args: &SimulateArgs) -> Result<Exit, Failure> {
    let summary = simulate::run(args).map_err(|error| {
        let exit = match error.downcast_ref::<SimulateError>() {
            Some(error) if error.is_about_writing() => Exit::Output,
            _ => Exit::Usage,
        };
        Failure { exit, error }
    })?;
    say::summary(&format!("{summary}\n"));
    Ok(Exit::Success)
}
