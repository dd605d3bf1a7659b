//! The whole corridor, files in the page cache to HDF5, each figure beside the ceiling measured in the same run.
//!
//! ```sh
//! cargo bench --bench corridor                      # 200 frames, all cores, and the GPU when there is one
//! XRDCT_BENCH_FRAMES=2000 XRDCT_BENCH_FOLDER=/dev/shm cargo bench --bench corridor
//! ```
//!
//! Frames are simulated (Pilatus CdTe 2M, about 2.5 MB each; a quarter of them distinct, so that no cache but the page
//! cache holds them), read with the product's readers, reduced to 1000 bins (bbox) and written with the product's writer.
//! Ceilings: *read only* (the same readers, frames dropped), and on a GPU *read + upload only*. Every row is the median of
//! five runs that take turns. A pattern is compared with a plain CPU integration first: a bench that computes the wrong
//! thing fails.
#![allow(clippy::print_stdout)]

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use xrdct::cuda::driver::{DeviceBuffer, Event, Stream};
use xrdct::cuda::{CudaEngine, CudaReducer, Options, pinned, survey};
use xrdct::frame::{Frame, FrameHeader, FrameId, Norms, Outcome, Pattern, SlotPool};
use xrdct::geometry::correction::{normalization, solid_angle};
use xrdct::geometry::detector::Detector;
use xrdct::geometry::poni::Poni;
use xrdct::geometry::units::Unit;
use xrdct::integrate::axis::Axis;
use xrdct::integrate::engine::{Engine, ErrorModel, GROUP, Recipe, Scratch};
use xrdct::integrate::split::{Request, Split, build};
use xrdct::output::result::{Ending, Layout, RadialAxis, ResultFile};
use xrdct::pipeline::{self, BadFrames, Corridor, Report, Sink, SinkError, Stop, Strategy};
use xrdct::reduce::host::HostReducer;
use xrdct::reduce::{ReduceError, Reducer};
use xrdct::simulate::series::Destination;
use xrdct::simulate::{Request as Scene, Sample, simulate};
use xrdct::source::cbf::{CbfReader, probe};
use xrdct::source::{Reader, Ticket};

const BINS: usize = 1000;
const RUNS: usize = 5;
const SEQUENTIAL_FRAMES: usize = 100;
/// Each simulated frame is read this often.
const REPEATS: usize = 4;

/// What every run shares.
struct Bench {
    folder: PathBuf,
    files: Vec<Arc<Path>>,
    frames: usize,
    recipe: Recipe,
    axis: Axis,
    slot_bytes: usize,
    threads: usize,
}

fn main() -> Result<()> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<usize>().ok());
    let frames = number("XRDCT_BENCH_FRAMES").unwrap_or(200).max(REPEATS);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = number("XRDCT_BENCH_THREADS").unwrap_or(cores);
    let root = std::env::var_os("XRDCT_BENCH_FOLDER").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = root.join(format!("xrdct-corridor-{}", std::process::id()));
    let bench = Bench::new(folder.clone(), frames, threads);
    let done = bench.and_then(|bench| bench.run());
    // What was simulated goes, whatever happened.
    let _ = std::fs::remove_dir_all(&folder);
    done
}

impl Bench {
    fn new(folder: PathBuf, frames: usize, threads: usize) -> Result<Bench> {
        let poni = Poni::parse(PONI, "bench.poni")?;
        let destination =
            Destination { folder: folder.clone(), prefix: "frame".into(), first: 0, overwrite: false };
        let scene = Scene {
            destination,
            poni: poni.clone(),
            shape: None,
            sample: Sample::Powder {
                substances: vec![xrdct::simulate::crystal::Substance::by_name("LaB6").context("LaB6")?],
                rings: vec![],
                frames: frames.div_ceil(REPEATS),
            },
            fwhm: None,
            eta: 0.3,
            peak: 400.0,
            background: 15.0,
            polarization: 0.99,
            beamstop: None,
            bad_pixels: 247,
            hot_pixels: 0,
            exposure: 0.004,
            noise: true,
            seed: 1,
        };
        simulate(&scene, &|| ())?;
        let files: Vec<Arc<Path>> = (0..frames.div_ceil(REPEATS))
            .map(|number| Arc::from(folder.join(format!("frame_{number:05}.cbf"))))
            .collect();
        let first = probe(&files[0])?;
        let shape = first.encoding.shape;
        let mask = Detector::by_name("PilatusCdTe2M").and_then(|detector| detector.mask());
        let (axis, csr) = build(&Request {
            poni: &poni,
            shape,
            npt: BINS,
            unit: Unit::QNm,
            split: Split::BBox,
            mask: mask.as_ref(),
            radial_range: None,
            azimuth_range: None,
        })?;
        let recipe = Recipe {
            csr,
            normalization: normalization(shape.pixels(), 1.0, None, None, Some(&solid_angle(&poni, shape))),
            dark: None,
            dummy: poni.detector.dummy(first.encoding.pixel),
            error_model: ErrorModel::None,
            empty: 0.0,
            shape,
            pixel: first.encoding.pixel,
        };
        let bytes: u64 = files.iter().map(|f| f.metadata().map_or(0, |m| m.len())).sum();
        let each = bytes as f64 / files.len() as f64;
        println!(
            "{frames} frames of {shape}, {:.2} MB each, {} distinct files in {}",
            each / 1e6,
            files.len(),
            folder.display()
        );
        println!("{} entries of the matrix, {BINS} bins; {threads} threads\n", recipe.csr.entries());
        let slot_bytes = first.payload.end + first.payload.end / 4;
        Ok(Bench { folder, files, frames, recipe, axis, slot_bytes, threads })
    }

    fn run(&self) -> Result<()> {
        let engine = Arc::new(Engine::new(self.recipe.clone())?);
        let expected = self.plain_pattern(&engine)?;
        let readers = (self.threads / 2).max(1);
        let host = || -> Vec<Box<dyn Reducer>> {
            (0..self.threads).map(|_| Box::new(HostReducer::new(Arc::clone(&engine))) as _).collect()
        };
        let slots = SlotPool::on_host(2 * GROUP * self.threads + readers, self.slot_bytes);
        let mut read = Row::default();
        let mut sequential = Row::default();
        let mut pool = Row::default();
        for _ in 0..RUNS {
            read.add(self.walk(readers, vec![Box::new(Dropped::default())], &slots, Strategy::Pool, None)?.0);
            let (report, pattern) = self.walk(readers, host(), &slots, Strategy::Sequential, Some("cpu"))?;
            sequential.add(report);
            agree(&pattern, &expected)?;
            let (report, pattern) = self.walk(readers, host(), &slots, Strategy::Pool, Some("cpu"))?;
            pool.add(report);
            agree(&pattern, &expected)?;
        }
        println!("{:<44}{:>10}{:>9}", "files in the page cache to HDF5", "frames/s", "ceiling");
        read.print("ceiling: read only", None);
        sequential.print("CPU, sequential", Some(&read));
        pool.print(&format!("CPU, pool ({readers} readers, {} workers)", self.threads), Some(&read));
        match survey().devices {
            Ok(_) => self.run_cuda(&expected),
            Err(reason) => {
                println!("GPU rows are missing: {reason}");
                Ok(())
            }
        }
    }

    fn run_cuda(&self, expected: &[f32]) -> Result<()> {
        let engine = Arc::new(CudaEngine::new(0, &self.recipe)?);
        // The reducer's and the sink's threads want cores too.
        let fewer = self.threads.saturating_sub(2).max(1);
        for readers in [self.threads.div_ceil(2), (self.threads * 3).div_ceil(4), fewer, self.threads] {
            let (mut read, mut upload, mut whole) = (Row::default(), Row::default(), Row::default());
            let options = CudaReducer::new(Arc::clone(&engine), Options::default())?.options();
            let count = (options.lanes + 1) * options.batch + readers;
            let slots = pinned::slots(engine.context(), count, self.slot_bytes)?;
            for _ in 0..RUNS {
                read.add(
                    self.walk(readers, vec![Box::new(Dropped::default())], &slots, Strategy::Pool, None)?.0,
                );
                let uploads = Uploads::new(&engine, count, self.slot_bytes)?;
                upload.add(self.walk(readers, vec![Box::new(uploads)], &slots, Strategy::Pool, None)?.0);
                let reducer = CudaReducer::new(Arc::clone(&engine), options)?;
                let (report, pattern) =
                    self.walk(readers, vec![Box::new(reducer)], &slots, Strategy::Pool, Some("gpu"))?;
                whole.add(report);
                agree(&pattern, expected)?;
            }
            println!("\nGPU, {readers} readers, {} lanes of {} frames", options.lanes, options.batch);
            read.print("ceiling: read only, pinned slots", None);
            upload.print("ceiling: read + upload only", None);
            whole.print("GPU, files to HDF5", Some(&upload));
        }
        Ok(())
    }

    /// Walks every frame; with a name, patterns go to a result file of that name. The report, and frame 0's pattern.
    fn walk(
        &self,
        readers: usize,
        reducers: Vec<Box<dyn Reducer>>,
        slots: &SlotPool,
        strategy: Strategy,
        name: Option<&str>,
    ) -> Result<(Report, Vec<f32>)> {
        // One thread at one frame a time is slow; its rate does not depend on how many there are.
        let frames = match strategy {
            Strategy::Sequential => self.frames.min(SEQUENTIAL_FRAMES),
            Strategy::Pool => self.frames,
        };
        let ticket =
            |n: usize| Ticket { id: FrameId(n), path: Arc::clone(&self.files[n % self.files.len()]) };
        let encoding = probe(&self.files[0])?.encoding;
        let output = name.map(|name| self.folder.join(format!("{name}.h5")));
        let mut sink = match &output {
            Some(path) => {
                Keep { file: Some(ResultFile::create(path, &self.layout(frames), true)?), first: vec![] }
            }
            None => Keep { file: None, first: vec![] },
        };
        let (report, ended) = pipeline::run(
            Corridor {
                tickets: (0..frames).map(ticket).collect(),
                readers: (0..readers).map(|_| Box::new(CbfReader::new(Some(encoding), false)) as _).collect(),
                reducers,
                sink: &mut sink,
                slots: slots.clone(),
                bad_frames: BadFrames::Stop,
                stop: Stop::default(),
                timeline: None,
                progress: &mut |_, _| (),
            },
            strategy,
        );
        ended?;
        if let Some(file) = sink.file {
            let written = file.finish(&Ending::Complete)?;
            ensure!(written.good == frames, "{} of {frames} rows are good", written.good);
        }
        Ok((report, sink.first))
    }

    fn layout(&self, frames: usize) -> Layout {
        let axis = RadialAxis {
            name: "q".into(),
            unit: "nm^-1".into(),
            long_name: "q".into(),
            centres: self.axis.centres.clone(),
        };
        Layout { inputs: vec![String::new(); frames], ..Layout::new(frames, axis) }
    }

    /// Frame 0, integrated by itself.
    fn plain_pattern(&self, engine: &Engine) -> Result<Vec<f32>> {
        let encoding = probe(&self.files[0])?.encoding;
        let ticket = Ticket { id: FrameId(0), path: Arc::clone(&self.files[0]) };
        let slot = SlotPool::on_host(1, self.slot_bytes).take();
        let frame = CbfReader::new(Some(encoding), false).read(&ticket, slot);
        let frame = frame.map_err(|bad| anyhow::anyhow!(bad.message))?;
        let outcome = engine.integrate(&[frame], &mut Scratch::default()).pop().context("one frame")?;
        let pattern = outcome.map_err(|bad| anyhow::anyhow!(bad.message))?.intensity;
        ensure!(pattern.iter().any(|v| *v > 1.0), "an empty pattern proves nothing");
        Ok(pattern)
    }
}

fn agree(found: &[f32], expected: &[f32]) -> Result<()> {
    ensure!(found.len() == expected.len(), "{} bins, not {}", found.len(), expected.len());
    for (bin, (found, expected)) in found.iter().zip(expected).enumerate() {
        let off = (found - expected).abs();
        ensure!(off <= 1e-6 * expected.abs(), "bin {bin} is {found}, not {expected}");
    }
    Ok(())
}

/// Frames a second of some runs.
#[derive(Default)]
struct Row(Vec<f64>);

impl Row {
    fn add(&mut self, report: Report) {
        self.0.push(report.frames_per_second());
    }

    fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }

    fn print(&self, name: &str, ceiling: Option<&Row>) {
        let share = ceiling.map_or_else(String::new, |c| format!("{:.2}", self.median() / c.median()));
        let runs: Vec<String> = self.0.iter().map(|fps| format!("{fps:.0}")).collect();
        println!("{name:<44}{:>10.0}{share:>9}   ({})", self.median(), runs.join(" "));
    }
}

/// Keeps frame 0's pattern, and writes all when there is a file.
struct Keep {
    file: Option<ResultFile>,
    first: Vec<f32>,
}

impl Sink for Keep {
    fn put(&mut self, outcome: Outcome) -> Result<(), SinkError> {
        if let Ok(pattern) = &outcome
            && pattern.id == FrameId(0)
        {
            self.first.clone_from(&pattern.intensity);
        }
        match &mut self.file {
            Some(file) => Ok(file.put(outcome)?),
            None => Ok(()),
        }
    }

    fn pause(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

fn nothing(id: FrameId) -> Outcome {
    Ok(Pattern {
        id,
        header: FrameHeader::default(),
        intensity: vec![],
        errors: None,
        signal: vec![],
        variance: None,
        norms: Arc::new(Norms::default()),
    })
}

/// Takes frames and lets them go: what reading alone costs.
#[derive(Default)]
struct Dropped(Vec<FrameId>);

impl Reducer for Dropped {
    fn capacity(&self) -> usize {
        GROUP
    }

    fn submit(&mut self, frame: Frame) -> Result<(), ReduceError> {
        self.0.push(frame.id);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ReduceError> {
        Ok(())
    }

    fn is_ready(&self) -> Result<bool, ReduceError> {
        Ok(true)
    }

    fn collect(&mut self) -> Result<Vec<Outcome>, ReduceError> {
        Ok(self.0.drain(..).map(nothing).collect())
    }
}

/// Uploads frames and does nothing with them: the ceiling of anything on a GPU.
struct Uploads {
    // The stream goes first: it waits for its work while buffer and slots are alive.
    stream: Stream,
    arena: DeviceBuffer,
    events: Vec<Event>,
    flying: VecDeque<(usize, Frame)>,
    next: usize,
    room: usize,
}

impl Uploads {
    fn new(engine: &Arc<CudaEngine>, count: usize, room: usize) -> Result<Uploads> {
        let context = engine.context();
        Ok(Uploads {
            stream: Stream::new(context)?,
            arena: DeviceBuffer::take(context, count * room, "uploaded frames")?,
            events: (0..count).map(|_| Event::new(context)).collect::<Result<_, _>>()?,
            flying: VecDeque::new(),
            next: 0,
            room,
        })
    }
}

fn failed(error: xrdct::cuda::CudaError) -> ReduceError {
    ReduceError::Device(error.to_string())
}

impl Reducer for Uploads {
    fn capacity(&self) -> usize {
        self.events.len()
    }

    fn submit(&mut self, frame: Frame) -> Result<(), ReduceError> {
        self.stream.context().bind().map_err(failed)?;
        let at = self.next;
        self.next = (at + 1) % self.events.len();
        let bytes = frame.bytes();
        if bytes.len() > self.room {
            return Err(ReduceError::Device(format!("a frame of {} bytes", bytes.len())));
        }
        // SAFETY: the frame is kept in `flying` until the event behind the copy is done, and the stream is dropped first.
        unsafe { self.stream.enqueue_upload(&self.arena, at * self.room, bytes) }.map_err(failed)?;
        self.events[at].enqueue(&self.stream).map_err(failed)?;
        self.flying.push_back((at, frame));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ReduceError> {
        Ok(())
    }

    fn is_ready(&self) -> Result<bool, ReduceError> {
        self.flying.front().map_or(Ok(false), |(at, _)| self.events[*at].is_done().map_err(failed))
    }

    fn collect(&mut self) -> Result<Vec<Outcome>, ReduceError> {
        let Some((at, _)) = self.flying.front() else { return Ok(vec![]) };
        self.events[*at].wait().map_err(failed)?;
        let mut outcomes = Vec::new();
        while let Some((at, frame)) = self.flying.front() {
            if !self.events[*at].is_done().map_err(failed)? {
                break;
            }
            outcomes.push(nothing(frame.id));
            self.flying.pop_front();
        }
        Ok(outcomes)
    }
}

/// A Pilatus CdTe 2M, 0.5 m behind the sample, at 70 keV.
const PONI: &str = "poni_version: 2.1\nDetector: PilatusCdTe2M\n\
    Detector_config: {\"orientation\": 3}\nDistance: 0.5\nPoni1: 0.144394\nPoni2: 0.12685\nRot1: 0.0\nRot2: 0.0\nRot3: 0.0\n\
    Wavelength: 1.7712e-11\n";
