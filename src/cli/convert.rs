//! `xrdct convert`: decoded frames as an HDF5 stack, for programs that cannot read their files and for checking the decoder.

use std::time::Instant;

use super::args::ConvertArgs;
use super::exit::{Exit, Failure, OrExit};
use super::progress::{ProgressLine, Verbosity};
use super::say;
use super::words::seconds;
use crate::frame::FrameStatus;
use crate::output::draft::leftovers;
use crate::output::stack::{StackLayout, StackWriter};
use crate::pipeline::Watch as _;
use crate::session::Device;
use crate::session::decode::StackDecoder;
use crate::session::options::Selection;
use crate::session::plan::input;

/// Runs the command.
pub(super) fn run(args: &ConvertArgs) -> Result<Exit, Failure> {
    let verbosity = Verbosity::of(args.saying);
    let selection =
        Selection { slice: args.frames.unwrap_or_default(), channel: args.channel, ..Selection::default() };
    let input = input(&args.inputs, selection)?;
    if verbosity > Verbosity::Quiet {
        input.notes.iter().for_each(|note| say::warn(note));
    }
    let frames = input.frames.as_ref();
    let (count, encoding) = (frames.count(), frames.about().encoding);
    let layout = StackLayout {
        frames: count,
        shape: encoding.shape,
        pixel: encoding.pixel,
        gzip: args.gzip,
        inputs: frames.files().iter().map(|f| f.display().to_string()).collect(),
    };
    if verbosity > Verbosity::Quiet {
        super::warn_of_leftovers(leftovers(&args.output));
    }
    let mut notes = Vec::new();
    let device = Device::choose(&args.device, &mut notes)?;
    if verbosity > Verbosity::Quiet {
        notes.iter().for_each(|note| say::warn(note));
    }
    let mut decoder = StackDecoder::new(&device, frames, !args.no_verify)?;
    let mut stack = StackWriter::create(&args.output, &layout, args.overwrite).or_exit(Exit::Output)?;

    let start = Instant::now();
    let mut progress = ProgressLine::new(count, verbosity);
    decoder.take_notes().iter().for_each(|note| progress.hear(note));
    let (mut done, mut bad_frames) = (0, Vec::new());
    loop {
        let batch = decoder.next_batch()?;
        decoder.take_notes().iter().for_each(|note| progress.hear(note));
        if batch.is_empty() {
            break;
        }
        for (id, outcome) in batch {
            match &outcome {
                Ok(pixels) => stack.put(id, pixels).or_exit(Exit::Output)?,
                Err(bad) => stack.put_bad(bad).or_exit(Exit::Output)?,
            }
            done += 1;
            progress.step(done, outcome.as_ref().err());
            bad_frames.extend(outcome.err());
        }
    }
    progress.finish();
    let path = stack.finish().or_exit(Exit::Output)?;
    if verbosity > Verbosity::Quiet {
        let wall = start.elapsed();
        let rate = count as f64 / wall.as_secs_f64();
        let failed = bad_frames.iter().filter(|bad| bad.status == FrameStatus::Md5Mismatch).count();
        let unverified = count - bad_frames.len() - decoder.verified();
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
            "{} frames of {} {} in {} ({rate:.1} frames/s), {} bad\n{}{}: /entry_0000/data/data\n",
            count,
            encoding.shape,
            encoding.pixel.name(),
            seconds(wall),
            bad_frames.len(),
            digests,
            path.display(),
        ));
    }
    Ok(if bad_frames.is_empty() { Exit::Success } else { Exit::BadFrames })
}
