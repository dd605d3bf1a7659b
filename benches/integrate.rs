//! Speed of the engine on one core, beside its floor: frames of a Pilatus CdTe 2M, packed in memory, to patterns.
//!
//! Frames: Debye–Scherrer rings on a background with counting noise, gaps at −1; the matrix is that of a real geometry
//! (bbox, 1000 bins, the detector's mask).
//!
//! The floor of integrating a group of frames is decoding each once in the first-level cache: no engine can be faster. (Reading
//! the matrix once belongs to the work too, but hides behind it; as a part of the floor it made the ratio follow what
//! the machine's neighbours do to its memory.)
//!
//! Statistics that choose among a bin's pixels (clip, median, quantiles) have the same floor: what they cost beside it is told so.
//!
//! Sums are compared with a plain product of the matrix and the decoded pixels before anything is timed.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use xrdct::bench::measure::{Amount, Measure, digest};
use xrdct::codec::byte_offset::{Decoder, decode_reference, encode};
use xrdct::frame::{Codec, Encoding, Frame, FrameHeader, FrameId, PixelType, Shape, SlotPool};
use xrdct::geometry::correction::solid_angle;
use xrdct::geometry::poni::Poni;
use xrdct::geometry::units::Unit;
use xrdct::integrate::csr::Csr;
use xrdct::integrate::engine::{Engine, GROUP, Recipe, Saturation, Scratch};
use xrdct::integrate::reduction::{ErrorModel, Reduction, Statistic};
use xrdct::integrate::split::{MatrixRequest, Split, build};

use super::options::{Options, told};

pub(super) const SHAPE: Shape = Shape { slow: 1679, fast: 1475 };

pub(super) const PONI: &str = "poni_version: 2\nDetector: PilatusCdTe2M\nDetector_config: {}\nDistance: 0.9\nPoni1: 0.1444\nPoni2: \
                    0.1268\nRot1: 0.004\nRot2: -0.002\nRot3: 0.0\nWavelength: 1.24e-11\n";

/// The same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

/// Counts of one frame: about 20 between rings, a few hundred on them, noise of the right size.
pub(super) fn counts(seed: u64, masked: &[bool]) -> Vec<i32> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (seed << 32));
    let count = |(pixel, masked): (usize, &bool)| {
        let (y, x) = ((pixel / SHAPE.fast) as f64 - 839.5, (pixel % SHAPE.fast) as f64 - 737.0);
        let mean: f64 = if y.hypot(x) % 97.0 < 4.0 { 400.0 } else { 20.0 };
        let normal = (0..4).map(|_| random.below(1000) as f64).sum::<f64>() / 577.0 - 3.46;
        if *masked { -1 } else { (mean + normal * mean.sqrt()).max(0.0) as i32 }
    };
    masked.iter().enumerate().map(count).collect()
}

pub(super) fn frame(id: usize, counts: &[i32]) -> Frame {
    let bytes = encode(counts);
    let mut slot = SlotPool::on_host(1, bytes.len()).take();
    slot.memory_mut().bytes_mut().copy_from_slice(&bytes);
    let encoding = Encoding { codec: Codec::ByteOffset, pixel: PixelType::I32, shape: SHAPE };
    let origin = std::path::Path::new("simulated").into();
    // Every detector says from which count on its pixels are saturated.
    let header = FrameHeader { count_cutoff: Some(1_048_575.0), ..FrameHeader::default() };
    Frame {
        id: FrameId(id),
        origin,
        encoding,
        slot: Arc::new(slot),
        payload: 0..bytes.len(),
        header,
        factor: 1.0,
    }
}

/// S of each bin, entry by entry.
fn product(csr: &Csr, packed: &[u8]) -> Vec<f64> {
    let mut pixels = vec![0_i32; SHAPE.pixels()];
    decode_reference(packed, &mut pixels).expect("a complete frame");
    let row = |bin| {
        let (indices, weights) = csr.row(bin);
        let entries = indices.iter().zip(weights);
        entries.fold(0.0, |s, (pixel, w)| s + f64::from(*w) * f64::from(pixels[*pixel as usize] as f32))
    };
    (0..csr.bins()).map(row).collect()
}

/// Sums of all frames, as bits.
fn sums(engine: &Engine, frames: &[Frame], scratch: &mut Scratch) -> Result<Vec<Vec<f64>>> {
    let outcomes = engine.integrate(frames, scratch);
    outcomes.into_iter().map(|o| Ok(o.map_err(|bad| anyhow::anyhow!(bad.message))?.signal)).collect()
}

/// Groups of frames and one alone.
pub fn measure(options: &Options) -> Result<Vec<Measure>> {
    let poni = Poni::parse(PONI, Path::new("bench.poni"))?;
    let mask = poni.detector.mask().context("a Pilatus has gaps")?;
    let request = MatrixRequest {
        poni: &poni,
        shape: SHAPE,
        npt: 1000,
        npt_azim: None,
        unit: Unit::QNm,
        split: Split::BBox,
        mask: Some(&mask),
        radial_range: None,
        azimuth_range: None,
        chi_at_zero: false,
    };
    let csr = build(&request)?.matrix;
    let unmasked = build(&MatrixRequest { mask: None, ..request })?.matrix;
    let masked: Vec<bool> = mask.masked.iter().map(|masked| *masked as u8 != 0).collect();
    let frames: Vec<Frame> = (0..GROUP).map(|id| frame(id, &counts(id as u64, &masked))).collect();
    let recipe = Recipe {
        csr,
        normalization: solid_angle(&poni, SHAPE).expect("a grid"),
        dark: None,
        dummy: poni.detector.dummy(PixelType::I32),
        saturation: Saturation::default(),
        reduction: Reduction::default(),
        empty: 0.0,
        shape: SHAPE,
        pixel: PixelType::I32,
    };
    let bytes: usize = frames.iter().map(|frame| frame.bytes().len()).sum();
    let group = Amount { bytes, pixels: GROUP * SHAPE.pixels() };
    let one = Amount { bytes: frames[0].bytes().len(), pixels: SHAPE.pixels() };
    let poisson = Recipe { reduction: Reduction::mean(ErrorModel::Poisson), ..recipe.clone() };
    let gaps = Recipe { csr: unmasked, ..recipe.clone() };
    // pyFAI clips without pixel splitting.
    let unsplit = build(&MatrixRequest { split: Split::No, ..request })?.matrix;
    let of = |statistic, errors| Recipe { reduction: Reduction { statistic, errors }, ..recipe.clone() };
    let azimuthal = of(Statistic::Mean, ErrorModel::Azimuthal);
    let clip = of(Statistic::Clip { cutoff: 5.0, cycles: 5 }, ErrorModel::Azimuthal);
    let clip = Recipe { csr: unsplit, ..clip };
    let median = of(Statistic::Quantile { from: 0.5, to: 0.5 }, ErrorModel::None);
    let quantile = of(Statistic::Quantile { from: 0.1, to: 0.9 }, ErrorModel::None);
    let cases = [
        ("integrate, a group of 8", &recipe, GROUP, group),
        ("integrate, one frame alone", &recipe, 1, one),
        ("integrate, a group of 8, poisson", &poisson, GROUP, group),
        ("integrate, a group of 8, dummies in the gaps", &gaps, GROUP, group),
        ("integrate, a group of 8, azimuthal", &azimuthal, GROUP, group),
        ("integrate, one frame alone, azimuthal", &azimuthal, 1, one),
        ("integrate, a group of 8, clip, not split", &clip, GROUP, group),
        ("integrate, one frame alone, clip, not split", &clip, 1, one),
        ("integrate, a group of 8, median", &median, GROUP, group),
        ("integrate, one frame alone, median", &median, 1, one),
        ("integrate, a group of 8, quantiles", &quantile, GROUP, group),
    ];
    let (mut measures, mut scratch) = (Vec::new(), Scratch::default());
    for (name, recipe, count, amount) in cases {
        if !options.wants(name) {
            continue;
        }
        let engine = Engine::new(recipe.clone())?;
        let found = sums(&engine, &frames[..count], &mut scratch)?;
        if name == "integrate, a group of 8" {
            for (found, frame) in found.iter().zip(&frames) {
                ensure!(*found == product(&recipe.csr, frame.bytes()), "sums are not the plain product's");
            }
        }
        let truth = digest(found.iter().flatten().map(|sum| sum.to_bits()));
        let mut tile = vec![0_i32; 1024];
        let mut floor = || {
            for frame in &frames[..count] {
                let mut decoder = Decoder::new(frame.bytes());
                for first in (0..SHAPE.pixels()).step_by(tile.len()) {
                    let run = tile.len().min(SHAPE.pixels() - first);
                    decoder.next(black_box(&mut tile[..run])).expect("a complete frame");
                }
            }
        };
        measures.push(told(Measure::take(
            name,
            amount,
            truth,
            options.seconds,
            &mut || drop(black_box(engine.integrate(&frames[..count], &mut scratch))),
            ("decode alone", &mut floor),
        )));
    }
    Ok(measures)
}
