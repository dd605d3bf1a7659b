//! `xrdct merge`: the results of parts to the result of the whole.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use clap::Args;

use super::args::Saying;
use super::exit::{Exit, Failure, OrExit};
use super::progress::{ProgressLine, Verbosity};
use super::say;
use super::words::{count, seconds};
use crate::output::draft::leftovers;
use crate::output::lock::Lock;
use crate::session::Merge;

/// Make one result of those of all parts of a scan (`integrate --part`), with the bits that one run would have given
#[derive(Debug, Clone, Args)]
pub struct MergeArgs {
    /// Results of the parts, in any order
    #[arg(value_name = "PART", required = true)]
    parts: Vec<PathBuf>,

    /// Result of the whole
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Replace the result if it exists
    #[arg(long)]
    overwrite: bool,

    /// Copy nothing: a small file that shows the parts where they are, by HDF5's virtual datasets. It needs the parts; where one is not
    /// there, its frames are pending
    #[arg(long = "virtual")]
    is_virtual: bool,

    #[command(flatten)]
    saying: Saying,
}

/// Runs the command.
pub(super) fn run(args: &MergeArgs) -> Result<Exit, Failure> {
    let verbosity = Verbosity::of(args.saying);
    let begun = Instant::now();
    let lock = Lock::take(&args.output).or_exit(Exit::Output)?;
    let merge = Merge::open(&args.parts)?;
    merge.check_output(&args.output)?;
    if verbosity > Verbosity::Quiet {
        lock.note().into_iter().chain(merge.notes().iter().map(String::as_str)).for_each(say::warn);
        super::warn_of_leftovers(leftovers(&args.output));
    }
    let written = if args.is_virtual {
        merge.show(lock, args.overwrite)?
    } else {
        let progress = Mutex::new((0, ProgressLine::new(merge.frames(), verbosity)));
        let copied = merge.copy(lock, args.overwrite, &|frames| {
            let (done, line) = &mut *progress.lock().unwrap_or_else(PoisonError::into_inner);
            *done += frames;
            line.step(*done, None);
        });
        progress.into_inner().unwrap_or_else(PoisonError::into_inner).1.finish();
        copied?
    };
    if verbosity > Verbosity::Quiet {
        let how = if args.is_virtual { "shown" } else { "merged" };
        let bad = if written.bad == 0 { String::new() } else { format!(", {} of them bad", written.bad) };
        say::summary(&format!(
            "{how:<14}{} in {}: {}{bad}\n{:<14}{} ({:.1} MB)\n",
            count(merge.parts(), "part"),
            seconds(begun.elapsed()),
            count(merge.frames(), "frame"),
            "file",
            written.path.display(),
            written.bytes as f64 / 1e6
        ));
    }
    Ok(if written.bad == 0 { Exit::Success } else { Exit::BadFrames })
}
