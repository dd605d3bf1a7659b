//! `xrdct convert`: decoded frames as an HDF5 stack, for programs that cannot read CBF and for checking the decoder.

use std::path::Path;
use std::time::Instant;

use rayon::prelude::*;

use super::args::ConvertArgs;
use super::exit::{Exit, Failure, OrExit};
use super::integrate::seconds;
use super::plan::first_usable;
use super::progress::{Progress, Verbosity};
use crate::codec::byte_offset;
use crate::codec::pixel::bytes_of;
use crate::frame::{BadFrame, Encoding, FrameId, SlotPool};
use crate::output::stack::{StackLayout, StackWriter};
use crate::source::cbf::CbfReader;
use crate::source::listing::expand;
use crate::source::{Reader, Ticket};
use crate::with_pixel;

/// Frames decoded side by side for each thread before they are written.
const FRAMES_A_THREAD: usize = 4;

/// Runs the command.
pub(super) fn run(args: &ConvertArgs) -> Result<Exit, Failure> {
    let verbosity = Verbosity::of(args.saying);
    let files = expand(&args.inputs).or_exit(Exit::Input)?;
    let encoding = first_usable(&files).or_exit(Exit::Input)?.encoding;
    let layout = StackLayout {
        frames: files.len(),
        shape: encoding.shape,
        pixel: encoding.pixel,
        gzip: args.gzip,
        inputs: files.iter().map(|f| f.display().to_string()).collect(),
    };
    let mut stack = StackWriter::create(&args.output, &layout, args.overwrite).or_exit(Exit::Output)?;

    let start = Instant::now();
    let mut progress = Progress::new(files.len(), verbosity);
    let (mut done, mut bad_frames) = (0, Vec::new());
    let batch = FRAMES_A_THREAD * rayon::current_num_threads();
    let slots = SlotPool::on_host(batch, 0);
    for (number, some) in files.chunks(batch).enumerate() {
        let decoded: Vec<Result<Vec<u8>, BadFrame>> = some
            .par_iter()
            .enumerate()
            .map(|(i, path)| decode(FrameId(number * batch + i), path, encoding, args.verify_md5, &slots))
            .collect();
        for (i, outcome) in decoded.into_iter().enumerate() {
            let id = FrameId(number * batch + i);
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
        let rate = files.len() as f64 / wall.as_secs_f64();
        super::print(&format!(
            "{} frames of {} {} in {} ({rate:.1} frames/s), {} bad\n{}: /entry_0000/data/data\n",
            files.len(),
            encoding.shape,
            encoding.pixel.name(),
            seconds(wall),
            bad_frames.len(),
            path.display(),
        ));
    }
    Ok(if bad_frames.is_empty() { Exit::Success } else { Exit::BadFrames })
}

/// One frame's pixels as little-endian bytes.
fn decode(
    id: FrameId,
    path: &Path,
    expected: Encoding,
    verify_md5: bool,
    slots: &SlotPool,
) -> Result<Vec<u8>, BadFrame> {
    let ticket = Ticket { id, path: path.into() };
    let frame = CbfReader::new(Some(expected), verify_md5).read(&ticket, slots.take())?;
    with_pixel!(frame.encoding.pixel, T => {
        let mut pixels = vec![T::default(); frame.encoding.shape.pixels()];
        byte_offset::decode(frame.bytes(), &mut pixels)
            .map(|()| bytes_of(&pixels).to_vec())
            .map_err(|error| error.bad_frame(id, path, frame.encoding.shape))
    })
}
