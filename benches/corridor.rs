//! The whole corridor, files in the page cache to HDF5, each figure beside what it is measured in turns with.
//!
//! Frames are simulated (Pilatus CdTe 2M, about 2.5 MB each): as many as the paper's scan had, 1202, of which a quarter are files of
//! their own and each of these is read four times. These files are 750 MB, which no cache but the page cache holds, so that what
//! moves between disk cache, cores and GPU is what would move with 1202 files; what is saved is disk and the time to simulate them.
//!
//! Frames go through the plans of `xrdct bench table1`: the product's readers, reducers and writer. A figure is the best of several
//! runs. Frame 0's pattern is compared with a plain integration: a bench that computes the wrong thing fails.
#![allow(dead_code)] // a bench of the CPU has no use for what a GPU does, and the other way round

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use xrdct::bench::cache::warm;
use xrdct::bench::ceiling::Ceiling;
use xrdct::bench::measure::{Amount, Measure, digest};
use xrdct::bench::subject::Subject;
use xrdct::bench::walk::{Pass, agree, walk};
use xrdct::session::{Crew, Device, Doors, Engines, Poni};

use super::options::{Options, told};

/// Each simulated frame is read this often.
const REPEATS: usize = 4;
/// One thread at one frame a time is slow; its rate does not depend on how many there are.
const SEQUENTIAL_FRAMES: usize = 25;
/// Scans that a GPU's verified run has: the digest of its last frame takes 30 ms, which is a third of one scan's time and nothing of a
/// long run's. Both are measured.
const SCANS: usize = 20;
/// Fewest and most runs of a row, between which `--seconds` decides: so many of them as [`SHARE`] says.
const RUNS: std::ops::RangeInclusive<usize> = 4..=24;
const SHARE: f64 = 8.0;

/// What a row makes of its frames.
#[derive(Clone, Copy, PartialEq)]
struct Task {
    bins: usize,
    dark_and_variance: bool,
}

const PLAIN: Task = Task { bins: 1000, dark_and_variance: false };

/// What a row takes turns with.
enum Beside {
    /// What it cannot beat.
    Ceiling(&'static str, Ceiling),
    /// The same without something.
    Crew(&'static str, Crew),
}

/// A row: what is done, how, with how many frames, beside what.
struct Row {
    name: String,
    task: Task,
    plan: Crew,
    frames: usize,
    beside: Beside,
}

/// One thread; the pool.
pub fn on_cpu(options: &Options) -> Result<Vec<Measure>> {
    let alone = Row {
        name: "corridor, CPU sequential".to_owned(),
        task: PLAIN,
        plan: Crew::SEQUENTIAL,
        frames: options.frames.min(SEQUENTIAL_FRAMES),
        beside: Beside::Ceiling("read only, 1 thread", Ceiling::Read { readers: 1 }),
    };
    let ceiling = || Beside::Ceiling("read only", Ceiling::Read { readers: options.threads });
    let mut rows = vec![alone];
    rows.extend(every_task(options, "corridor, CPU pool", Crew::host_pool(options.threads), 1, ceiling));
    measure(options, false, rows)
}

/// The overlapped GPU.
pub fn on_gpu(options: &Options) -> Result<Vec<Measure>> {
    let plan = Crew::overlapped(options.threads, 1);
    let readers = plan.readers.unwrap_or(1);
    let ceiling = || Beside::Ceiling("read + upload only", Ceiling::ReadUpload { readers, gpus: 1 });
    let name = format!("corridor, GPU overlapped, {readers} readers");
    measure(options, true, every_task(options, &name, plan, SCANS, ceiling))
}

/// What a plan does in full, also with so many scans, and how soon one frame is through.
fn every_task(
    options: &Options,
    name: &str,
    plan: Crew,
    scans: usize,
    ceiling: impl Fn() -> Beside,
) -> Vec<Row> {
    let row = |what: &str, task: Task| Row {
        name: if what.is_empty() { name.to_owned() } else { format!("{name}, {what}") },
        task,
        plan,
        frames: options.frames,
        beside: ceiling(),
    };
    let bins = |bins: usize| row(&format!("{bins} bins"), Task { bins, ..PLAIN });
    let verified = |what: &str, scans: usize| {
        let beside = Beside::Crew("unverified", plan);
        Row { plan: plan.verified(), beside, frames: scans * options.frames, ..row(what, PLAIN) }
    };
    let mut rows = vec![
        row("", PLAIN),
        Row { frames: 1, ..row("one frame", PLAIN) },
        Row { frames: 1, plan: plan.verified(), ..row("one frame, verified", PLAIN) },
        verified("verified", 1),
    ];
    if scans > 1 {
        rows.push(verified(&format!("verified, {scans} scans"), scans));
    }
    rows.push(row("dark and variance", Task { dark_and_variance: true, ..PLAIN }));
    rows.extend([250, 2000, 5000].map(bins));
    rows
}

fn measure(options: &Options, gpu: bool, rows: Vec<Row>) -> Result<Vec<Measure>> {
    let rows: Vec<Row> = rows.into_iter().filter(|row| options.wants(&row.name)).collect();
    if rows.is_empty() {
        return Ok(vec![]);
    }
    let scan = Scan::simulate(options)?;
    let mut measures = Vec::new();
    for rows in rows.chunk_by(|a, b| a.task == b.task) {
        let bench = Bench::new(&scan, rows[0].task, gpu)?;
        for row in rows {
            measures.push(told(bench.measure(row, options)?));
        }
    }
    Ok(measures)
}

/// Frames on a disk, which go when the bench ends.
struct Scan {
    folder: PathBuf,
    files: Vec<PathBuf>,
    path: PathBuf,
    poni: Poni,
}

impl Scan {
    fn simulate(options: &Options) -> Result<Scan> {
        let folder = options.folder.join(format!("xrdct-corridor-{}", std::process::id()));
        let files = options.frames.max(REPEATS).div_ceil(REPEATS);
        match Subject::simulate(&folder, files, &|| ()) {
            Ok((files, path, poni)) => Ok(Scan { folder, files, path, poni }),
            Err(error) => {
                let _ = std::fs::remove_dir_all(&folder);
                Err(error.into())
            }
        }
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The frames, and what a task needs to make of them.
struct Bench<'a> {
    folder: &'a Path,
    subject: Subject,
    engines: Engines,
    expected: Vec<f32>,
}

impl Bench<'_> {
    fn new(scan: &Scan, task: Task, gpu: bool) -> Result<Bench<'_>> {
        let mut subject = Subject::new(&scan.files, &scan.path, &scan.poni, task.bins)?;
        if task.dark_and_variance {
            subject.add_dark_and_variance();
        }
        let device = match gpu {
            true => Device::begin("auto")?,
            false => Device::Cpu { why: "this bench is the host's".into() },
        };
        let engines = Engines::both(&subject.recipe, &device)?;
        let expected = subject.expected(&engines)?;
        warm(&subject.files)?;
        Ok(Bench { folder: &scan.folder, subject, engines, expected })
    }

    /// Seconds a frame of one run, and its pattern of frame 0.
    fn walk(&self, crew: Doors, frames: usize, output: Option<PathBuf>) -> Result<(f64, Vec<f32>)> {
        let walked = walk(&self.subject, crew, &Pass { frames, output, ..Pass::default() })?;
        Ok((1.0 / walked.report.frames_per_second(), walked.first))
    }

    /// The same of a plan, its patterns written; they are right, or it fails.
    fn run(&self, name: &str, plan: Crew, frames: usize) -> Result<(f64, Vec<f32>)> {
        let crew = self.subject.doors(&plan, &self.engines, frames, None)?;
        let (seconds, first) = self.walk(crew, frames, Some(self.folder.join("corridor.h5")))?;
        agree(name, &first, &self.expected)?;
        Ok((seconds, first))
    }

    fn beside(&self, beside: &Beside, frames: usize) -> Result<f64> {
        match beside {
            Beside::Ceiling(_, ceiling) => {
                Ok(self.walk(ceiling.doors(&self.subject, &self.engines, frames)?, frames, None)?.0)
            }
            Beside::Crew(words, plan) => Ok(self.run(words, *plan, frames)?.0),
        }
    }

    fn measure(&self, row: &Row, options: &Options) -> Result<Measure> {
        // Not measured: memory is touched, threads are started, a GPU wakes up.
        self.beside(&row.beside, row.frames.min(SEQUENTIAL_FRAMES))?;
        self.run(&row.name, row.plan, row.frames.min(SEQUENTIAL_FRAMES))?;
        let (mut own, mut limit, mut truth) = (f64::INFINITY, f64::INFINITY, String::new());
        let (begun, mut runs) = (Instant::now(), 0);
        while runs < *RUNS.start()
            || runs < *RUNS.end() && begun.elapsed().as_secs_f64() < SHARE * options.seconds
        {
            limit = limit.min(self.beside(&row.beside, row.frames)?);
            let (seconds, first) = self.run(&row.name, row.plan, row.frames)?;
            own = own.min(seconds);
            truth = digest(first.iter().map(|value| u64::from(value.to_bits())));
            runs += 1;
        }
        let amount = Amount {
            bytes: self.subject.frame_bytes() as usize,
            pixels: self.subject.encoding.shape.pixels(),
        };
        let (Beside::Ceiling(words, _) | Beside::Crew(words, _)) = &row.beside;
        Ok(Measure::new(&row.name, amount, truth, own, (words, limit)))
    }
}
