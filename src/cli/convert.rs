//! `xrdct convert`: decoded frames as an HDF5 stack, for programs that cannot read CBF and for checking the decoder.

use std::path::PathBuf;
use std::time::Instant;

use rayon::prelude::*;

use super::args::ConvertArgs;
use super::exit::{Exit, Failure, OrExit};
use super::integrate::{seconds, stop_on_ctrl_c};
use super::place::Place;
use super::plan::first_usable;
use super::progress::{Progress, Verbosity};
use crate::codec::byte_offset;
use crate::codec::pixel::bytes_of;
use crate::cuda::decoder::{CudaDecoder, Decoded};
use crate::frame::{Encoding, Frame, FrameId, SlotPool};
use crate::output::stack::{StackLayout, StackWriter};
use crate::source::cbf::CbfReader;
use crate::source::listing::{Listing, list};
use crate::source::{Reader, Ticket};
use crate::with_pixel;

/// Frames decoded side by side for each thread before they are written.
const FRAMES_A_THREAD: usize = 4;

/// Runs the command.
pub(super) fn run(args: &ConvertArgs) -> Result<Exit, Failure> {
    let verbosity = Verbosity::of(args.saying);
    let Listing { files, notes } = list(&args.inputs).or_exit(Exit::Input)?;
    if verbosity > Verbosity::Quiet {
        notes.iter().for_each(|note| eprintln!("warning: {note}"));
    }
    let encoding = first_usable(&files).or_exit(Exit::Input)?.encoding;
    let layout = StackLayout {
        frames: files.len(),
        shape: encoding.shape,
        pixel: encoding.pixel,
        gzip: args.gzip,
        inputs: files.iter().map(|f| f.display().to_string()).collect(),
    };
    let mut decoder = Decoder::new(args, encoding)?;
    let mut stack = StackWriter::create(&args.output, &layout, args.overwrite).or_exit(Exit::Output)?;

    let start = Instant::now();
    let mut progress = Progress::new(files.len(), verbosity);
    let (mut done, mut bad_frames) = (0, Vec::new());
    let stop = stop_on_ctrl_c().or_exit(Exit::Failure)?;
    for (number, some) in files.chunks(decoder.batch).enumerate() {
        if stop.is_raised() {
            progress.finish();
            eprintln!("interrupted: {} is not written; a stack is whole or not there", args.output.display());
            return Ok(Exit::Interrupted);
        }
        let first = number * decoder.batch;
        for (id, outcome) in (first..).map(FrameId).zip(decoder.decode(first, some)?) {
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

/// Decodes files a batch at a time, on the cores or on a GPU.
struct Decoder {
    encoding: Encoding,
    verify_md5: bool,
    batch: usize,
    slots: SlotPool,
    cuda: Option<CudaDecoder>,
}

impl Decoder {
    fn new(args: &ConvertArgs, encoding: Encoding) -> Result<Decoder, Failure> {
        let batch = FRAMES_A_THREAD * rayon::current_num_threads();
        let (cuda, slots) = match Place::choose(&args.device)? {
            Place::Cpu { .. } => (None, SlotPool::on_host(batch, 0)),
            Place::Cuda { ordinal, .. } => {
                let decoder = CudaDecoder::new(ordinal, encoding, batch).or_exit(Exit::Device)?;
                // Grown to the frames' size when they are read.
                let slots = decoder.slots(batch, encoding.shape.pixels()).or_exit(Exit::Device)?;
                (Some(decoder), slots)
            }
        };
        Ok(Decoder { encoding, verify_md5: args.verify_md5, batch, slots, cuda })
    }

    /// Pixels of each file as little-endian bytes; the first file is frame `first`.
    fn decode(&mut self, first: usize, files: &[PathBuf]) -> Result<Vec<Decoded>, Failure> {
        let read = |(number, path): (usize, &PathBuf)| {
            let ticket = Ticket { id: FrameId(first + number), path: path.as_path().into() };
            CbfReader::new(Some(self.encoding), self.verify_md5).read(&ticket, self.slots.take())
        };
        let frames = files.par_iter().enumerate().map(read);
        let Some(cuda) = &mut self.cuda else {
            return Ok(frames.map(|frame| frame.and_then(|frame| decode_on_host(&frame))).collect());
        };
        let (good, bad): (Vec<_>, Vec<_>) = frames.collect::<Vec<_>>().into_iter().partition(Result::is_ok);
        let good: Vec<Frame> = good.into_iter().flatten().collect();
        let mut outcomes: Vec<(FrameId, Decoded)> = Vec::with_capacity(files.len());
        let ids: Vec<FrameId> = good.iter().map(|frame| frame.id).collect();
        outcomes.extend(ids.into_iter().zip(cuda.decode(good).or_exit(Exit::Device)?));
        outcomes.extend(bad.into_iter().filter_map(Result::err).map(|bad| (bad.id, Err(bad))));
        outcomes.sort_by_key(|(id, _)| *id);
        Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
    }
}

fn decode_on_host(frame: &Frame) -> Decoded {
    with_pixel!(frame.encoding.pixel, T => {
        let mut pixels = vec![T::default(); frame.encoding.shape.pixels()];
        byte_offset::decode(frame.bytes(), &mut pixels)
            .map(|()| bytes_of(&pixels).to_vec())
            .map_err(|error| error.bad_frame(frame.id, &frame.origin, frame.encoding.shape))
    })
}
