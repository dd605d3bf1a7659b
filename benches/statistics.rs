//! Statistics, error models and bins of two axes: frames of a Pilatus CdTe 2M, packed in memory, to their sums, on as many threads as are
//! asked for.
//!
//! Of each there is a row beside decoding the same frames on the same threads, and one beside pyFAI's Cython on these threads, in the same
//! run: its frames are decoded before anything is timed. Intensities of frame 0 are compared with pyFAI's.

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
use xrdct::frame::{Frame, Pattern, PixelType};
use xrdct::geometry::correction::solid_angle;
use xrdct::geometry::poni::Poni;
use xrdct::geometry::units::Unit;
use xrdct::integrate::engine::{Engine, GROUP, Recipe, Saturation, Scratch};
use xrdct::integrate::reduction::{ErrorModel, Reduction, Statistic};
use xrdct::integrate::split::{MatrixRequest, Split, build};

use super::integrate::{PONI, SHAPE, counts, frame};
use super::options::{Options, told};

const RADIAL: usize = 1000;
const AZIMUTHAL: usize = 360;

/// Groups of frames that each thread takes in one turn, and turns.
const GROUPS: usize = 2;
const TURNS: usize = 4;

const SCRIPT: &str = include_str!("statistics.py");

/// What is measured, and how pyFAI is asked for the same.
#[derive(Clone)]
struct Case {
    name: &'static str,
    split: Split,
    npt_azim: Option<usize>,
    reduction: Reduction,
    /// A method of pyFAI's engine, and its arguments.
    function: &'static str,
    arguments: &'static str,
    /// Frames that each of the peer's processes takes.
    repeats: usize,
}

#[derive(Deserialize)]
struct Answer {
    seconds: f64,
    how: String,
    intensities: Vec<f64>,
}

fn cases() -> Vec<Case> {
    let mean = Case {
        name: "mean",
        split: Split::BBox,
        npt_azim: None,
        reduction: Reduction::default(),
        function: "integrate_ng",
        arguments: "{}",
        repeats: 24,
    };
    let azimuthal = || Reduction::mean(ErrorModel::Azimuthal);
    let quantiles =
        |from, to| Reduction { statistic: Statistic::Quantile { from, to }, errors: ErrorModel::None };
    let clip = Statistic::Clip { cutoff: 5.0, cycles: 5 };
    vec![
        Case { name: "cakes of 360 x 1000 bins", npt_azim: Some(AZIMUTHAL), ..mean.clone() },
        Case {
            name: "cakes of 360 x 1000 bins, not split",
            npt_azim: Some(AZIMUTHAL),
            split: Split::No,
            ..mean.clone()
        },
        Case {
            name: "mean, azimuthal errors",
            reduction: azimuthal(),
            arguments: r#"{"error_model": "azimuthal"}"#,
            ..mean.clone()
        },
        // pyFAI clips without pixel splitting.
        Case {
            name: "clip of 5 cycles, not split",
            split: Split::No,
            reduction: Reduction { statistic: clip, ..azimuthal() },
            function: "sigma_clip",
            arguments: r#"{"error_model": "azimuthal", "cutoff": 5.0, "cycle": 5}"#,
            ..mean.clone()
        },
        Case {
            name: "median",
            reduction: quantiles(0.5, 0.5),
            function: "medfilt",
            arguments: r#"{"quant_min": 0.5, "quant_max": 0.5}"#,
            repeats: 6,
            ..mean.clone()
        },
        Case {
            name: "quantiles 0.1 to 0.9",
            reduction: quantiles(0.1, 0.9),
            function: "medfilt",
            arguments: r#"{"quant_min": 0.1, "quant_max": 0.9}"#,
            repeats: 6,
            ..mean.clone()
        },
        mean,
    ]
}

/// All rows.
pub fn measure(options: &Options) -> Result<Vec<Measure>> {
    let mut inputs = None;
    let mut measures = Vec::new();
    for case in cases() {
        let (floor, beside) =
            (format!("statistics, {}", case.name), format!("statistics beside pyFAI, {}", case.name));
        let wanted = [floor, beside.clone()].into_iter().filter(|name| options.wants(name));
        let wanted: Vec<String> = wanted.collect();
        if wanted.is_empty() {
            continue;
        }
        let inputs = match &mut inputs {
            Some(inputs) => inputs,
            none => none.insert(Inputs::make()?),
        };
        measures.extend(inputs.rows(options, &case, &wanted, wanted.contains(&beside))?);
    }
    Ok(measures)
}

/// What all cases take.
struct Inputs {
    poni: Poni,
    frames: Vec<Frame>,
    /// For the peer: frames, and the geometry.
    folder: tempfile::TempDir,
}

impl Inputs {
    fn make() -> Result<Inputs> {
        let poni = Poni::parse(PONI, Path::new("bench.poni"))?;
        let mask = poni.detector.mask().context("a Pilatus has gaps")?;
        let counts: Vec<Vec<i32>> = (0..GROUP).map(|id| counts(id as u64, &mask.masked)).collect();
        let frames = counts.iter().enumerate().map(|(id, counts)| frame(id, counts)).collect();
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("bench.poni"), PONI)?;
        std::fs::write(folder.path().join("frames.npy"), npy(&counts))?;
        Ok(Inputs { poni, frames, folder })
    }

    /// The engine of a case.
    fn engine(&self, case: &Case) -> Result<Engine> {
        let mask = self.poni.detector.mask();
        let bins = build(&MatrixRequest {
            poni: &self.poni,
            shape: SHAPE,
            npt: RADIAL,
            npt_azim: case.npt_azim,
            unit: Unit::QNm,
            split: case.split,
            mask: mask.as_ref(),
            radial_range: None,
            azimuth_range: None,
            chi_at_zero: false,
        })?;
        Ok(Engine::new(Recipe {
            csr: bins.matrix,
            normalization: solid_angle(&self.poni, SHAPE)?,
            dark: None,
            dummy: self.poni.detector.dummy(PixelType::I32),
            saturation: Saturation::default(),
            reduction: case.reduction.clone(),
            empty: 0.0,
            shape: SHAPE,
            pixel: PixelType::I32,
        })?)
    }

    fn rows(&self, options: &Options, case: &Case, wanted: &[String], asks: bool) -> Result<Vec<Measure>> {
        let engine = self.engine(case)?;
        let first = engine.integrate(&self.frames[..1], &mut Scratch::default());
        let first = first.into_iter().next().context("one frame")?;
        let first = first.map_err(|bad| anyhow::anyhow!(bad.message))?;
        let truth = digest(first.signal.iter().map(|sum| sum.to_bits()));
        let bytes: usize = self.frames.iter().map(|frame| frame.bytes().len()).sum();
        let amount = Amount { bytes: bytes / GROUP, pixels: SHAPE.pixels() };
        let integrating = || {
            let (engine, mut scratch) = (&engine, Scratch::default());
            move |frames: &[Frame]| drop(black_box(engine.integrate(frames, &mut scratch)))
        };
        let (mut own, mut floor, mut peer) = (f64::INFINITY, f64::INFINITY, None);
        for turn in 0..TURNS {
            // In the middle: what else the machine does then is nearest to what it does in our turns.
            if asks && turn == TURNS / 2 {
                let answer = self.ask(options.threads, case)?;
                compare(&first, &answer.intensities).with_context(|| case.name)?;
                peer = Some(answer);
            }
            own = own.min(on_threads(options.threads, &self.frames, integrating));
            floor = floor.min(on_threads(options.threads, &self.frames, decoding));
        }
        let row = |name: &String| match &peer {
            Some(Answer { seconds, how, .. }) if name.starts_with("statistics beside") => {
                Measure::new(name, amount, truth.clone(), own, (how, *seconds))
            }
            _ => Measure::new(name, amount, truth.clone(), own, ("decode alone", floor)),
        };
        Ok(wanted.iter().map(|name| told(row(name))).collect())
    }

    /// What pyFAI needs on as many threads.
    fn ask(&self, threads: usize, case: &Case) -> Result<Answer> {
        let numbers = [threads, case.repeats, RADIAL, case.npt_azim.unwrap_or(0)];
        let done = Command::new(peers::find_python(None)?)
            .args(["-c", SCRIPT])
            .args([self.folder.path().join("frames.npy"), self.folder.path().join("bench.poni")])
            .args(numbers.map(|number| number.to_string()))
            .args([case.split.name(), case.function, case.arguments])
            .output()?;
        ensure!(done.status.success(), "the peer: {}", String::from_utf8_lossy(&done.stderr));
        serde_json::from_slice(&done.stdout).context("the peer's answer")
    }
}

/// Sees that intensities are the peer's. Where several pixels share a quantile's intensity the two may choose others of them, which have other
/// norms: hence some of the bins may differ, by little.
fn compare(pattern: &Pattern, peer: &[f64]) -> Result<()> {
    let own: Vec<f64> = pattern.intensity.iter().map(|intensity| f64::from(*intensity)).collect();
    ensure!(own.len() == peer.len(), "{} bins, the peer has {}", own.len(), peer.len());
    let most = own.iter().fold(0.0_f64, |most, intensity| most.max(intensity.abs()));
    let apart = |(own, its): (&f64, &f64)| (own - its).abs() > 1e-5 * most;
    let others = own.iter().zip(peer).filter(|pair| apart(*pair)).count();
    ensure!(others * 100 <= own.len(), "{others} of {} bins are not the peer's", own.len());
    Ok(())
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

/// Images as numpy stores them.
fn npy(images: &[Vec<i32>]) -> Vec<u8> {
    let header = format!(
        "{{'descr': '<i4', 'fortran_order': False, 'shape': ({}, {}, {}), }}",
        images.len(),
        SHAPE.slow,
        SHAPE.fast
    );
    let padded = format!("{header:<117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((padded.len() as u16).to_le_bytes());
    bytes.extend(padded.as_bytes());
    bytes.extend(images.iter().flatten().flat_map(|count| count.to_le_bytes()));
    bytes
}
