//! `xrdct convert`: decoded frames as an HDF5 stack, for programs that cannot read CBF and for checking the decoder.

use std::path::PathBuf;
use std::time::Instant;

use rayon::prelude::*;

use super::args::ConvertArgs;
use super::exit::{Exit, Failure, OrExit};
use super::integrate::seconds;
use super::place::Device;
use super::plan::first_usable;
use super::progress::{ProgressLine, Verbosity};
use super::say;
use crate::budget;
use crate::codec::pixel::bytes_of;
use crate::codec::{byte_offset, md5};
use crate::cuda::decoder::{CudaDecoder, Decoded};
use crate::frame::{BadFrame, Encoding, Frame, FrameId, FrameStatus, Shape, SlotPool};
use crate::output::draft::leftovers;
use crate::output::stack::{StackLayout, StackWriter};
use crate::source::cbf::CbfReader;
use crate::source::listing::{Listing, list};
use crate::source::{Reader, Ticket};
use crate::with_pixel;

/// Frames that each thread reads, verifies side by side and decodes before they are written.
const FRAMES_A_THREAD: usize = 4;

/// Runs the command.
pub(super) fn run(args: &ConvertArgs) -> Result<Exit, Failure> {
    let verbosity = Verbosity::of(args.saying);
    let Listing { files, notes } = list(&args.inputs).or_exit(Exit::Input)?;
    if verbosity > Verbosity::Quiet {
        notes.iter().for_each(|note| say::warn(note));
    }
    let encoding = first_usable(&files).or_exit(Exit::Input)?.encoding;
    let layout = StackLayout {
        frames: files.len(),
        shape: encoding.shape,
        pixel: encoding.pixel,
        gzip: args.gzip,
        inputs: files.iter().map(|f| f.display().to_string()).collect(),
    };
    if verbosity > Verbosity::Quiet {
        super::warn_of_leftovers(leftovers(&args.output));
    }
    let batch = FRAMES_A_THREAD * rayon::current_num_threads();
    let Shape { slow, fast } = encoding.shape;
    budget::allow(
        format_args!("{batch} frames of {slow} x {fast} pixels at a time"),
        budget::bytes_of(&[batch, slow, fast], 3 * encoding.pixel.size()),
    )
    .or_exit(Exit::Input)?;
    let mut decoder = Decoder::new(args, encoding, batch)?;
    let mut stack = StackWriter::create(&args.output, &layout, args.overwrite).or_exit(Exit::Output)?;

    let start = Instant::now();
    let mut progress = ProgressLine::new(files.len(), verbosity);
    let (mut done, mut bad_frames) = (0, Vec::new());
    for (number, some) in files.chunks(decoder.batch).enumerate() {
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
        let failed = bad_frames.iter().filter(|bad| bad.status == FrameStatus::Md5Mismatch).count();
        let unverified = files.len() - bad_frames.len() - decoder.verified;
        let digests = match args.no_verify {
            true => "digests not compared (--no-verify)\n".to_owned(),
            false => {
                format!("digests: {} verified, {unverified} unverified, {failed} failed\n", decoder.verified)
            }
        };
        say::summary(&format!(
            "{} frames of {} {} in {} ({rate:.1} frames/s), {} bad\n{}{}: /entry_0000/data/data\n",
            files.len(),
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

/// Verifies and decodes files a batch at a time, on the cores or on a GPU.
struct Decoder {
    encoding: Encoding,
    verify: bool,
    /// Frames whose bytes had the digest of their header.
    verified: usize,
    batch: usize,
    slots: SlotPool,
    cuda: Option<CudaDecoder>,
}

impl Decoder {
    fn new(args: &ConvertArgs, encoding: Encoding, batch: usize) -> Result<Decoder, Failure> {
        let (cuda, slots) = match Device::choose(&args.device)? {
            Device::Cpu { .. } => (None, SlotPool::on_host(batch, 0)),
            Device::Cuda { ordinal, .. } => {
                let decoder = CudaDecoder::new(ordinal, encoding, batch).or_exit(Exit::Device)?;
                // Grown to the frames' size when they are read.
                let slots = decoder.slots(batch, encoding.shape.pixels()).or_exit(Exit::Device)?;
                (Some(decoder), slots)
            }
        };
        Ok(Decoder { encoding, verify: !args.no_verify, verified: 0, batch, slots, cuda })
    }

    /// Pixels of each file as little-endian bytes; the first file is frame `first`.
    fn decode(&mut self, first: usize, files: &[PathBuf]) -> Result<Vec<Decoded>, Failure> {
        let (mut good, mut outcomes) = (Vec::new(), Vec::new());
        for (id, frame) in (first..).map(FrameId).zip(self.read(first, files)) {
            match frame {
                Ok(frame) => good.push(frame),
                Err(bad) => outcomes.push((id, Err(bad))),
            }
        }
        let ids: Vec<_> = good.iter().map(|frame| (frame.id, frame.header.digest.is_some())).collect();
        let decoded: Vec<Decoded> = match &mut self.cuda {
            None => good.into_par_iter().map(|frame| decode_on_host(&frame)).collect(),
            Some(cuda) => cuda.decode(good).or_exit(Exit::Device)?,
        };
        for ((id, has_digest), decoded) in ids.into_iter().zip(decoded) {
            self.verified += usize::from(has_digest && decoded.is_ok());
            outcomes.push((id, decoded));
        }
        outcomes.sort_by_key(|(id, _)| *id);
        Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
    }

    /// Each file's frame, packed, and as it was written where its header tells.
    fn read(&self, first: usize, files: &[PathBuf]) -> Vec<Result<Frame, BadFrame>> {
        let (encoding, verify, slots) = (self.encoding, self.verify, &self.slots);
        let read = |(number, path): (usize, &PathBuf)| {
            let ticket = Ticket { id: FrameId(first + number), path: path.as_path().into() };
            CbfReader::new(Some(encoding), verify).read(&ticket, slots.take())
        };
        files.par_iter().enumerate().map(read).chunks(FRAMES_A_THREAD).flat_map_iter(verified).collect()
    }
}

/// The same, with frames that are not as they were written made bad ones.
fn verified(read: Vec<Result<Frame, BadFrame>>) -> Vec<Result<Frame, BadFrame>> {
    let mut damage = md5::damage(&read.iter().flatten().collect::<Vec<_>>()).into_iter();
    read.into_iter()
        .map(|frame| {
            let frame = frame?;
            damage.next().flatten().map_or(Ok(frame), Err)
        })
        .collect()
}

fn decode_on_host(frame: &Frame) -> Decoded {
    with_pixel!(frame.encoding.pixel, T => {
        let mut pixels = vec![T::default(); frame.encoding.shape.pixels()];
        byte_offset::decode(frame.bytes(), &mut pixels)
            .map(|()| bytes_of(&pixels).to_vec())
            .map_err(|error| error.bad_frame(frame.id, &frame.origin, frame.encoding.shape))
    })
}
