//! An Eiger2 4M: HDF5 files of bitshuffle-LZ4 frames in the page cache, read alone, and to an HDF5 file of patterns.
//!
//! Frames are simulated (`uint32`, one a chunk, a master over data files) and read several times. Reading alone stands beside `pread` of the
//! same bytes by as many threads into as many buffers; the corridor stands beside reading alone, and beside h5py + hdf5plugin + pyFAI's
//! Cython on the same cores, in processes of one thread each or in one process of many, whichever is faster. Frame 0's pattern is compared with a plain
//! integration, and the peer's with it: a bench that computes the wrong thing fails.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use xrdct::bench::cache::warm;
use xrdct::bench::ceiling::Ceiling;
use xrdct::bench::measure::{Amount, Measure, digest};
use xrdct::bench::peers;
use xrdct::bench::subject::Subject;
use xrdct::bench::walk::{Pass, agree, walk};
use xrdct::session::{Crew, Engines};

use super::options::{Options, told};

const BINS: usize = 1000;
/// Frames in the files, and how often each is read.
const FRAMES: usize = 100;
const LAPS: usize = 4;
/// Runs of a row.
const RUNS: usize = 4;
/// Buffers of a thread that reads: as many as slots of a reader (`ceiling.rs`).
const BUFFERS: usize = 33;

const READ: &str = "Eiger, read only";
const POOL: &str = "Eiger, CPU pool";
const PEER: &str = "Eiger, CPU pool, beside pyFAI";

/// Seconds a frame of h5py + hdf5plugin + pyFAI, and their pattern of frame 0.
const SCRIPT: &str = include_str!("eiger.py");

#[derive(Deserialize)]
struct Answer {
    seconds: f64,
    how: String,
    first: Vec<f32>,
}

/// All rows.
pub fn on_cpu(options: &Options) -> Result<Vec<Measure>> {
    let wanted: Vec<&str> = [READ, POOL, PEER].into_iter().filter(|name| options.wants(name)).collect();
    if wanted.is_empty() {
        return Ok(vec![]);
    }
    let folder = tempfile::Builder::new().prefix("xrdct-eiger").tempdir_in(&options.folder)?;
    let (master, path, poni) = Subject::simulate_eiger(folder.path(), FRAMES, &|| ())?;
    let subject = Subject::new(std::slice::from_ref(&master), &path, &poni, BINS)?;
    let engines = Engines::on_host(subject.recipe.clone(), "this bench is the host's")?;
    let bench = Bench { options, folder: folder.path(), master, engines, subject };
    warm_up(&bench)?;
    wanted.into_iter().map(|name| Ok(told(bench.row(name)?))).collect()
}

struct Bench<'a> {
    options: &'a Options,
    folder: &'a Path,
    master: PathBuf,
    engines: Engines,
    subject: Subject,
}

fn warm_up(bench: &Bench<'_>) -> Result<()> {
    let files: Vec<std::sync::Arc<Path>> =
        bench.subject.plan.frames.files().iter().map(|file| file.as_path().into()).collect();
    warm(&files)?;
    bench.pool().map(|_| ())
}

impl Bench<'_> {
    fn row(&self, name: &str) -> Result<Measure> {
        let (mut own, mut beside, mut truth, mut words) =
            (f64::INFINITY, f64::INFINITY, String::new(), String::new());
        for _ in 0..RUNS {
            let (limit, what) = match name {
                READ => (self.pread()?, "pread of the same bytes".to_owned()),
                POOL => (self.read()?, "read only".to_owned()),
                _ => self.peer()?,
            };
            (beside, words) = if limit < beside { (limit, what) } else { (beside, words) };
            let (seconds, first) = if name == READ { (self.read()?, vec![]) } else { self.pool()? };
            own = own.min(seconds);
            truth = digest(first.iter().map(|value| u64::from(value.to_bits())));
        }
        let pixels = self.subject.encoding.shape.pixels();
        let amount = Amount { bytes: self.subject.frame_bytes() as usize, pixels };
        Ok(Measure::new(name, amount, truth, own, (&words, beside)))
    }

    /// Seconds a frame of reading with the product's readers.
    fn read(&self) -> Result<f64> {
        let readers = self.options.threads;
        let doors = Ceiling::Read { readers }.doors(&self.subject, &self.engines, FRAMES * LAPS)?;
        let walked = walk(&self.subject, doors, &Pass { frames: FRAMES * LAPS, ..Pass::default() })?;
        Ok(1.0 / walked.report.frames_per_second())
    }

    /// The same of plain reads of the files, a frame's mean size at a time.
    fn pread(&self) -> Result<f64> {
        let piece = self.subject.frame_bytes() as usize;
        let files = self.subject.plan.frames.files().iter().map(File::open).collect::<Result<Vec<_>, _>>()?;
        let mut places = Vec::new();
        for file in &files {
            let length = file.metadata()?.len() as usize;
            places.extend((0..length / piece).map(|n| (file, (n * piece) as u64)));
        }
        let (next, count) = (AtomicUsize::new(0), places.len() * LAPS);
        let work = || -> std::io::Result<Instant> {
            let mut buffers = vec![vec![1_u8; piece]; BUFFERS];
            let begun = Instant::now();
            for turn in 0.. {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    break;
                }
                let (file, place) = places[n % places.len()];
                let buffer = &mut buffers[turn % BUFFERS];
                file.read_exact_at(black_box(buffer), place)?;
            }
            Ok(begun)
        };
        let begun = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.options.threads).map(|_| scope.spawn(work)).collect();
            let begun = threads.into_iter().map(|thread| thread.join().expect("reads"));
            begun.collect::<std::io::Result<Vec<_>>>()
        })?;
        let first = begun.into_iter().min().context("no threads")?;
        Ok(first.elapsed().as_secs_f64() / count as f64)
    }

    /// Seconds a frame of the pool, and the pattern of frame 0.
    fn pool(&self) -> Result<(f64, Vec<f32>)> {
        let crew = Crew::host_pool(self.options.threads);
        let doors = self.subject.doors(&crew, &self.engines, FRAMES * LAPS, None)?;
        let output = Some(self.folder.join("patterns.h5"));
        let walked = walk(&self.subject, doors, &Pass { frames: FRAMES * LAPS, output, ..Pass::default() })?;
        agree(POOL, &walked.first, &self.subject.expected(&self.engines)?)?;
        Ok((1.0 / walked.report.frames_per_second(), walked.first))
    }

    fn peer(&self) -> Result<(f64, String)> {
        let python = peers::find_python(None)?;
        let numbers = [BINS, self.options.threads, FRAMES].map(|number| number.to_string());
        let mut command = Command::new(python);
        command
            .args(["-c", SCRIPT])
            .arg(&self.master)
            .arg(&self.subject.poni)
            .arg(self.folder.join("peer.h5"));
        let done = command.args(numbers).output()?;
        ensure!(done.status.success(), "the peer: {}", String::from_utf8_lossy(&done.stderr));
        let answer: Answer = serde_json::from_slice(&done.stdout).context("the peer's answer")?;
        let expected = self.subject.expected(&self.engines)?;
        let most = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        let apart = |(own, its): (&f32, &f32)| (own - its).abs() / most;
        let difference = expected.iter().zip(&answer.first).map(apart).fold(0.0, f32::max);
        ensure!(
            answer.first.len() == BINS && difference < 1e-5,
            "the peer's pattern is another: {difference} apart"
        );
        Ok((answer.seconds, answer.how))
    }
}
