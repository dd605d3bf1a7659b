//! `xrdct convert`: decoded frames as an HDF5 stack, for programs that cannot read their files and for checking the decoder.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use rayon::prelude::*;

use super::args::ConvertArgs;
use super::exit::{Exit, Failure, OrExit};
use super::progress::{ProgressLine, Verbosity};
use super::say;
use super::signals::{self, Asked};
use super::words::{count, seconds};
use crate::frame::{BadFrame, FrameStatus};
use crate::output::OutputError;
use crate::output::draft::leftovers;
use crate::output::lock::Lock;
use crate::output::result::{Carried, Ending};
use crate::output::stack::{StackLayout, StackWriter};
use crate::pipeline::{Stop, Watch as _};
use crate::session::Device;
use crate::session::decode::StackDecoder;
use crate::session::options::Selection;
use crate::session::plan::input;
use crate::session::stack::{self, Permissions, Remains};

/// Runs the command.
pub(super) fn run(args: &ConvertArgs) -> Result<Exit, Failure> {
    if args.resume && args.gzip.is_some() {
        return Err(anyhow!(
            "--resume: where the frames of a compressed stack lie is known only at its end, so a run that does not end leaves nothing to \
             go on with. Leave --gzip out, or leave --resume out and begin anew"
        ))
        .or_exit(Exit::Usage);
    }
    let verbosity = Verbosity::of(args.saying);
    let selection =
        Selection { slice: args.frames.unwrap_or_default(), channel: args.channel, ..Selection::default() };
    let input = input(&args.inputs, selection, None)?;
    let warn = |notes: &[String]| {
        if verbosity > Verbosity::Quiet {
            notes.iter().for_each(|note| say::warn(note));
        }
    };
    warn(&input.notes);
    let frames = input.frames.as_ref();
    let encoding = frames.about().encoding;
    let lock = Lock::take(&args.output).or_exit(Exit::Output)?;
    warn(lock.note().map(str::to_owned).as_slice());
    let layout = stack::layout(frames, &selection, !args.no_verify, args.gzip);
    let mut notes = Vec::new();
    let may = Permissions { overwrite: args.overwrite, retry_bad: args.retry_bad };
    let found = match args.resume {
        true => stack::earlier(&lock, &layout, frames, may, &mut notes)?,
        false => Remains::Nothing,
    };
    if let Remains::Complete(bad) = found {
        return Ok(complete(args, frames.count(), bad, verbosity));
    }
    warn(&notes);
    if verbosity > Verbosity::Quiet {
        let is_used =
            |path: &PathBuf| matches!(&found, Remains::Earlier { stack, .. } if stack.info.path == *path);
        super::warn_of_leftovers(leftovers(&args.output).into_iter().filter(|path| !is_used(path)).collect());
    }
    let mut notes = Vec::new();
    let device = Device::choose(&args.device, &mut notes)?;
    warn(&notes);
    let (mut stack, carried) = open(lock, &layout, &found, may)?;
    stack.sync_every(Some(args.flush).filter(|seconds| *seconds > 0.0).map(Duration::from_secs_f64));
    let mut decoder = StackDecoder::new(&device, frames, !args.no_verify, carried.done.clone())?;

    let start = Instant::now();
    let there = carried.good + carried.bad;
    let mut progress = ProgressLine::new(frames.count() - there, verbosity);
    let asked = Asked::first();
    let walked = walk(&mut decoder, &mut stack, &mut progress, &asked.stop());
    progress.finish();
    let bad_frames = match walked {
        Ok(bad_frames) => bad_frames,
        Err(failure) => {
            let ending = Ending::Failed(format!("{:#}", failure.error));
            return Err(with_left(failure, left(stack, &ending)));
        }
    };
    if let Some(interrupted) = asked.stop().is_raised().then(|| signals::heard().unwrap_or(Exit::Interrupted))
    {
        let left = left(stack, &Ending::Interrupted);
        if verbosity > Verbosity::Quiet {
            say::summary(
                &left.map_or_else(|| "interrupted\n".to_owned(), |left| format!("interrupted; {left}\n")),
            );
        }
        return Ok(interrupted);
    }
    let draft = stack.draft();
    let path = stack.finish().or_exit(Exit::Output).map_err(|failure| {
        let is_gone = matches!(failure.error.downcast_ref(), Some(OutputError::Gone { .. }));
        let left = draft
            .filter(|_| !is_gone)
            .map(|draft| format!("all frames are in {}: --resume goes on with them", draft.display()));
        with_left(failure, left)
    })?;
    drop(asked);
    if verbosity > Verbosity::Quiet {
        let wall = start.elapsed();
        let came = frames.count() - there;
        let rate = came as f64 / wall.as_secs_f64();
        let failed = bad_frames.iter().filter(|bad| bad.status == FrameStatus::Md5Mismatch).count();
        let unverified = came - bad_frames.len() - decoder.verified();
        let digests = match args.no_verify {
            true => "digests not compared (--no-verify)\n".to_owned(),
            false => {
                format!(
                    "digests: {} verified, {unverified} unverified, {failed} failed\n",
                    decoder.verified()
                )
            }
        };
        say::summary(&format!(
            "{came} frames of {} {} in {} ({rate:.1} frames/s), {} bad\n{}{}{}: /entry_0000/data/data\n",
            encoding.shape,
            encoding.pixel.name(),
            seconds(wall),
            bad_frames.len(),
            resumed(&carried),
            digests,
            path.display(),
        ));
    }
    Ok(if bad_frames.is_empty() && carried.bad == 0 { Exit::Success } else { Exit::BadFrames })
}

/// The stack that is written, with what an earlier run left of it.
fn open(
    lock: Lock,
    layout: &StackLayout,
    found: &Remains,
    may: Permissions,
) -> Result<(StackWriter, Carried), Failure> {
    let Permissions { overwrite, retry_bad } = may;
    let opened = match found {
        Remains::Earlier { stack, replaces } => StackWriter::go_on(lock, stack, layout, *replaces, retry_bad),
        Remains::Nothing | Remains::Complete(_) => {
            StackWriter::begin(lock, layout, overwrite).map(|stack| (stack, Carried::default()))
        }
    };
    opened.or_exit(Exit::Output)
}

/// Decodes what is left, batch by batch; the bad frames of it.
fn walk(
    decoder: &mut StackDecoder,
    stack: &mut StackWriter,
    progress: &mut ProgressLine,
    stop: &Stop,
) -> Result<Vec<BadFrame>, Failure> {
    let (mut done, mut bad_frames) = (0, Vec::new());
    while !stop.is_raised() {
        decoder.take_notes().iter().for_each(|note| progress.hear(note));
        let batch = decoder.next_batch()?;
        if batch.is_empty() {
            break;
        }
        let crc = |pixels: &Vec<u8>| crc32fast::hash(pixels);
        let crcs: Vec<u32> = batch.par_iter().map(|(_, outcome)| outcome.as_ref().map_or(0, crc)).collect();
        for ((id, outcome), crc) in batch.into_iter().zip(crcs) {
            match &outcome {
                Ok(pixels) => stack.put_image(id, pixels, crc).or_exit(Exit::Output)?,
                Err(bad) => stack.put_bad(bad).or_exit(Exit::Output)?,
            }
            done += 1;
            progress.step(done, outcome.as_ref().err());
            bad_frames.extend(outcome.err());
        }
    }
    decoder.take_notes().iter().for_each(|note| progress.hear(note));
    Ok(bad_frames)
}

/// A failure, with what the run leaves.
fn with_left(failure: Failure, left: Option<String>) -> Failure {
    match left {
        Some(left) => {
            Failure { exit: failure.exit, error: failure.error.context(format!("stopped; {left}")) }
        }
        None => failure,
    }
}

/// What a run that does not end leaves, in words.
fn left(stack: StackWriter, ending: &Ending) -> Option<String> {
    let (done, frames) = stack.done();
    let path = stack.leave(ending)?;
    Some(format!(
        "{done} of {} are in {}: --resume goes on with them",
        count(frames, "frame"),
        path.display()
    ))
}

/// What was there already.
fn resumed(carried: &Carried) -> String {
    if carried.done.is_empty() {
        return String::new();
    }
    let bad = if carried.bad == 0 { String::new() } else { format!(", {} of them bad", carried.bad) };
    let damaged = match carried.damaged {
        0 => String::new(),
        some => format!("; {} made again", count(some, "damaged frame")),
    };
    format!("resumed: {} were there{bad}{damaged}\n", count(carried.good + carried.bad, "frame"))
}

/// There is nothing to go on with.
fn complete(args: &ConvertArgs, frames: usize, bad: usize, verbosity: Verbosity) -> Exit {
    if verbosity > Verbosity::Quiet {
        let bad = match bad {
            0 => String::new(),
            some => format!(", {some} of them bad (--retry-bad tries them again)"),
        };
        say::summary(&format!("complete: {frames} frames are in {}{bad}\n", args.output.display()));
    }
    if bad == 0 { Exit::Success } else { Exit::BadFrames }
}
