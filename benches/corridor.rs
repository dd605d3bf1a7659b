//! The whole corridor, files in the page cache to HDF5, each figure beside the ceiling measured in the same run.
//!
//! Frames are simulated (Pilatus CdTe 2M, about 2.5 MB each; a quarter of them distinct, so that no cache but the page
//! cache holds them), and go through the plans of `xrdct bench table1`: the product's readers, reducers and writer. Every
//! figure is the best of eight runs that take turns with their ceiling. Frame 0's pattern is compared with a plain
//! integration: a bench that computes the wrong thing fails.
#![allow(dead_code)] // a bench of the CPU has no use for what a GPU does, and the other way round

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use xrdct::bench::cache::warm;
use xrdct::bench::ceiling::Ceiling;
use xrdct::bench::plan::{Crew, Plan};
use xrdct::bench::record::{Amount, Measure, digest};
use xrdct::bench::subject::{Engines, Subject};
use xrdct::bench::walk::{Errand, agree, walk};

use super::options::Options;

const BINS: usize = 1000;
const RUNS: usize = 8;
/// One thread at one frame a time is slow; its rate does not depend on how many there are.
const SEQUENTIAL_FRAMES: usize = 25;
/// Each simulated frame is read this often.
const REPEATS: usize = 4;

/// Frames on a disk, which go when the bench ends.
struct Bench {
    folder: PathBuf,
    subject: Subject,
    engines: Engines,
    expected: Vec<f32>,
    frames: usize,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What takes turns: a name, its plan, and how many frames.
type Row = (String, Plan, usize);

/// Sequential and pool, beside read only.
pub fn on_cpu(options: &Options) -> Result<Vec<Measure>> {
    let bench = Bench::new(options, false)?;
    let few = bench.frames.min(SEQUENTIAL_FRAMES);
    let sequential = [("corridor, CPU sequential".to_owned(), Plan::SEQUENTIAL, few)];
    let pool = [("corridor, CPU pool".to_owned(), Plan::host_pool(options.threads), bench.frames)];
    let mut measures = bench.measure(&sequential, "read only, 1 thread", Ceiling::Read { readers: 1 })?;
    measures.extend(bench.measure(&pool, "read only", Ceiling::Read { readers: options.threads })?);
    Ok(measures)
}

/// The overlapped GPU, beside read + upload only.
pub fn on_gpu(options: &Options) -> Result<Vec<Measure>> {
    let bench = Bench::new(options, true)?;
    let plan = Plan::overlapped(options.threads);
    let readers = plan.readers.unwrap_or(1);
    let rows = [(format!("corridor, GPU overlapped, {readers} readers"), plan, bench.frames)];
    bench.measure(&rows, "read + upload only", Ceiling::ReadUpload { readers })
}

impl Bench {
    fn new(options: &Options, gpu: bool) -> Result<Bench> {
        let folder = options.folder.join(format!("xrdct-corridor-{}", std::process::id()));
        let frames = options.frames.max(REPEATS);
        let made = Bench::with_frames(folder.clone(), frames, gpu);
        if made.is_err() {
            let _ = std::fs::remove_dir_all(&folder);
        }
        made
    }

    fn with_frames(folder: PathBuf, frames: usize, gpu: bool) -> Result<Bench> {
        let (files, path, poni) = Subject::simulate(&folder, frames.div_ceil(REPEATS), &|| ())?;
        let subject = Subject::new(&files, &path, &poni, BINS)?;
        let engines = Engines::new(&subject.recipe, gpu)?;
        let expected = subject.expected(&engines.host)?;
        warm(&subject.files)?;
        Ok(Bench { folder, subject, engines, expected, frames })
    }

    /// Seconds a frame of one run, and its pattern of frame 0.
    fn run(&self, crew: Crew, frames: usize, output: Option<PathBuf>) -> Result<(f64, Vec<f32>)> {
        let walked = walk(&self.subject, crew, &Errand { frames, output, ..Errand::default() })?;
        Ok((1.0 / walked.report.frames_per_second(), walked.first))
    }

    fn measure(&self, rows: &[Row], name: &str, ceiling: Ceiling) -> Result<Vec<Measure>> {
        let mut limit = Vec::new();
        let mut times = vec![Vec::new(); rows.len()];
        let mut digests = vec![String::new(); rows.len()];
        // The first round is not measured.
        for round in 0..=RUNS {
            let (seconds, _) = self.run(ceiling.crew(&self.subject, &self.engines)?, self.frames, None)?;
            limit.extend((round > 0).then_some(seconds));
            for (at, (name, plan, frames)) in rows.iter().enumerate() {
                let crew = plan.crew(&self.subject, &self.engines, None)?;
                let (seconds, first) = self.run(crew, *frames, Some(self.folder.join("corridor.h5")))?;
                agree(name, &first, &self.expected)?;
                digests[at] = digest(first.iter().map(|value| u64::from(value.to_bits())));
                times[at].extend((round > 0).then_some(seconds));
            }
        }
        let best = |times: &[f64]| times.iter().copied().reduce(f64::min).context("no runs");
        let limit = best(&limit)?;
        let amount = Amount {
            bytes: self.subject.frame_bytes() as usize,
            pixels: self.subject.encoding.shape.pixels(),
        };
        let measure = |((row, times), digest): ((&Row, Vec<f64>), String)| {
            Ok(Measure::new(&row.0, amount, digest, best(&times)?, (name, limit)))
        };
        rows.iter().zip(times).zip(digests).map(measure).collect()
    }
}
