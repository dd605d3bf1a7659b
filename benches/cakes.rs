//! Bins of two axes, 360 azimuthal × 1000 radial: frames of a Pilatus CdTe 2M, packed in memory, to their sums, on as many threads as are asked
//! for.
//!
//! One row stands beside decoding the same frames on the same threads, the other beside pyFAI's Cython on these threads, in the same run:
//! its frames are decoded before anything is timed. Sums of frame 0 are compared with pyFAI's.

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::Barrier;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use xrdct::bench::measure::{Amount, Measure, digest};
use xrdct::bench::peers;
use xrdct::codec::byte_offset::Decoder;
use xrdct::frame::{Frame, PixelType};
use xrdct::geometry::correction::solid_angle;
use xrdct::geometry::poni::Poni;
use xrdct::geometry::units::Unit;
use xrdct::integrate::engine::{Engine, GROUP, Recipe, Saturation, Scratch};
use xrdct::integrate::reduction::Reduction;
use xrdct::integrate::split::{MatrixRequest, Split, build};

use super::integrate::{PONI, SHAPE, counts, frame};
use super::options::{Options, told};

const RADIAL: usize = 1000;
const AZIMUTHAL: usize = 360;

const DECODE: &str = "cakes, 360 x 1000 bins";
const PEER: &str = "cakes, 360 x 1000 bins, beside pyFAI";

/// Groups of frames that each thread takes in one turn, and turns.
const GROUPS: usize = 4;
const TURNS: usize = 4;
/// Frames that each of the peer's processes takes.
const REPEATS: usize = 32;

const SCRIPT: &str = include_str!("cakes.py");

#[derive(Deserialize)]
struct Answer {
    seconds: f64,
    how: String,
    sums: Vec<f64>,
}

/// All rows.
pub fn measure(options: &Options) -> Result<Vec<Measure>> {
    let wanted: Vec<&str> = [DECODE, PEER].into_iter().filter(|name| options.wants(name)).collect();
    if wanted.is_empty() {
        return Ok(vec![]);
    }
    let poni = Poni::parse(PONI, Path::new("bench.poni"))?;
    let mask = poni.detector.mask().context("a Pilatus has gaps")?;
    let bins = build(&MatrixRequest {
        poni: &poni,
        shape: SHAPE,
        npt: RADIAL,
        npt_azim: Some(AZIMUTHAL),
        unit: Unit::QNm,
        split: Split::BBox,
        mask: Some(&mask),
        radial_range: None,
        azimuth_range: None,
        chi_at_zero: false,
    })?;
    let counts: Vec<Vec<i32>> = (0..GROUP).map(|id| counts(id as u64, &mask.masked)).collect();
    let frames: Vec<Frame> = counts.iter().enumerate().map(|(id, counts)| frame(id, counts)).collect();
    let engine = Engine::new(Recipe {
        csr: bins.matrix,
        normalization: solid_angle(&poni, SHAPE)?,
        dark: None,
        dummy: poni.detector.dummy(PixelType::I32),
        saturation: Saturation::default(),
        reduction: Reduction::default(),
        empty: 0.0,
        shape: SHAPE,
        pixel: PixelType::I32,
    })?;
    let first = engine.integrate(&frames[..1], &mut Scratch::default());
    let first = first.into_iter().next().context("one frame")?.map_err(|bad| anyhow::anyhow!(bad.message))?;
    let truth = digest(first.signal.iter().map(|sum| sum.to_bits()));
    let bytes: usize = frames.iter().map(|frame| frame.bytes().len()).sum();
    let amount = Amount { bytes: bytes / GROUP, pixels: SHAPE.pixels() };

    let integrating = || {
        let (engine, mut scratch) = (&engine, Scratch::default());
        move |frames: &[Frame]| drop(black_box(engine.integrate(frames, &mut scratch)))
    };
    let mut own = f64::INFINITY;
    let (mut floor, mut peer) = (f64::INFINITY, None);
    for _ in 0..TURNS {
        own = own.min(on_threads(options.threads, &frames, integrating));
        floor = floor.min(on_threads(options.threads, &frames, decoding));
    }
    if wanted.contains(&PEER) {
        let answer = ask(options.threads, &counts)?;
        let most = first.signal.iter().fold(0.0_f64, |most, sum| most.max(sum.abs()));
        let apart = |(own, its): (&f64, &f64)| (own - its).abs() / most;
        let difference = first.signal.iter().zip(&answer.sums).map(apart).fold(0.0, f64::max);
        ensure!(
            answer.sums.len() == first.signal.len() && difference < 1e-9,
            "the peer's sums are others: {difference} apart"
        );
        peer = Some(answer);
    }
    let row = |name: &str| match (&peer, name) {
        (Some(Answer { seconds, how, .. }), PEER) => {
            Measure::new(name, amount, truth.clone(), own, (how, *seconds))
        }
        _ => Measure::new(name, amount, truth.clone(), own, ("decode alone", floor)),
    };
    Ok(wanted.into_iter().map(|name| told(row(name))).collect())
}

/// Decodes frames a run at a time.
fn decoding() -> impl FnMut(&[Frame]) {
    let mut pixels = vec![0_i32; 1024];
    move |frames| {
        for frame in frames {
            let mut decoder = Decoder::new(frame.bytes());
            for first in (0..SHAPE.pixels()).step_by(pixels.len()) {
                let run = pixels.len().min(SHAPE.pixels() - first);
                decoder.next(black_box(&mut pixels[..run])).expect("a complete frame");
            }
        }
    }
}

/// Seconds a frame when each of some threads takes the frames several times; what each needs is made before.
fn on_threads<W: FnMut(&[Frame])>(threads: usize, frames: &[Frame], work: impl Fn() -> W + Sync) -> f64 {
    let start = Barrier::new(threads);
    let run = || {
        let mut work = work();
        work(frames);
        start.wait();
        let begun = Instant::now();
        (0..GROUPS).for_each(|_| work(frames));
        begun.elapsed().as_secs_f64()
    };
    let took = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        running.into_iter().map(|thread| thread.join().expect("integrates")).fold(0.0, f64::max)
    });
    took / (threads * GROUPS * frames.len()) as f64
}

/// What pyFAI needs on as many threads.
fn ask(threads: usize, counts: &[Vec<i32>]) -> Result<Answer> {
    let folder = tempfile::tempdir()?;
    let (frames, poni) = (folder.path().join("frames.npy"), folder.path().join("bench.poni"));
    std::fs::write(&poni, PONI)?;
    let header = format!(
        "{{'descr': '<i4', 'fortran_order': False, 'shape': ({}, {}, {}), }}",
        counts.len(),
        SHAPE.slow,
        SHAPE.fast
    );
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    let padded = format!("{header:<117}\n");
    bytes.extend((padded.len() as u16).to_le_bytes());
    bytes.extend(padded.as_bytes());
    bytes.extend(counts.iter().flatten().flat_map(|count| count.to_le_bytes()));
    std::fs::write(&frames, bytes)?;
    let numbers = [RADIAL, AZIMUTHAL, threads, REPEATS].map(|number| number.to_string());
    let done = Command::new(peers::find_python(None)?)
        .args(["-c", SCRIPT])
        .args([&frames, &poni])
        .args(numbers)
        .output()?;
    ensure!(done.status.success(), "the peer: {}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).context("the peer's answer")
}
