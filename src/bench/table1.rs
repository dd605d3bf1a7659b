//! The paper's Table 1 on this machine: rows take turns in rounds, so that a drifting machine spoils none of them alone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::BenchError;
use super::cache::StartFrom;
use super::cache::{self, Cold};
use super::ceiling::{self, Ceiling};
use super::machine::{Machine, file_system};
use super::outcome::{Cell, MeasuredFrames, Rate, Row, RowGroup, Table};
use super::paper::published;
use super::subject::Subject;
use super::walk::{Pass, Passed, agree, walk};
use crate::pipeline::Stop;
use crate::session::Crew;
use crate::session::{Engines, Reducers};

/// Readers of the paper's pools.
pub const POOLS: [usize; 7] = [1, 2, 3, 4, 6, 12, 24];

/// A hot run is made at least about so long, by walking through the list several times.
const SHORTEST_RUN: f64 = 0.5;
/// But not more often than this.
const MOST_PASSES: usize = 32;
/// A run that is not measured comes first: caches, clocks and lazy loading.
const WARM_UP: Duration = Duration::from_secs(1);

/// How to measure.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Cold, hot or both.
    pub sources: Vec<StartFrom>,
    /// Keys of rows or words of groups; empty for all.
    pub rows: Vec<String>,
    /// Measured runs of each row.
    pub runs: usize,
    /// What one row may take for one source, over all its runs.
    pub row_time: Duration,
    /// Threads that plans are made for.
    pub threads: usize,
    /// Where programs and requests of peers are written while measuring.
    pub scratch: PathBuf,
    /// Where results are written while measuring.
    pub results: PathBuf,
    /// Whether the frames were simulated.
    pub simulated: bool,
    /// Ends it early.
    pub stop: Stop,
}

/// What a row does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Files to HDF5.
    Corridor(Crew),
    /// A part of it.
    Ceiling(Ceiling),
}

/// A row that is to be measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// What it does.
    pub work: Work,
    /// Its place in the table.
    pub row: Row,
}

/// Every row of this program for numbers of threads and GPUs, in the order of the table.
pub fn rows(threads: usize, gpus: usize) -> Vec<Wanted> {
    let gpu_readers = Crew::overlapped(threads, 1).reading();
    let row = |key: &str, name: &str, group, work: Work| {
        let (words, ceiling) = match work {
            Work::Corridor(plan) => {
                let ceiling = match plan.reducers {
                    Reducers::Host(_) => "read",
                    Reducers::Gpus(1, _) => "read-upload",
                    Reducers::Gpus(..) => "read-upload-gpus",
                };
                (plan.words(), Some(ceiling.to_owned()))
            }
            Work::Ceiling(ceiling) => (ceiling.words(), None),
        };
        let (published, key, name) = (published(key), key.to_owned(), name.to_owned());
        Wanted { work, row: Row { key, name, group, words, ceiling, published, cells: BTreeMap::new() } }
    };
    let paper = |key: &str, name: &str, plan| row(key, name, RowGroup::Paper, Work::Corridor(plan));
    let mut rows = vec![
        paper("sequential-cpu", "sequential CPU/CPU", Crew::SEQUENTIAL),
        paper("sequential-gpu", "sequential CPU/GPU", Crew::SEQUENTIAL_GPU),
    ];
    rows.extend(POOLS.map(|readers| {
        let plural = if readers == 1 { "" } else { "s" };
        let name = format!("pool of {readers} reader{plural} + GPU");
        paper(&format!("pool-{readers}"), &name, Crew::decoding_pool(readers))
    }));
    rows.push(paper("gpu-gpu", "GPU/GPU", Crew::gpu(gpu_readers)));
    let ours = |key: &str, name: &str, plan| row(key, name, RowGroup::Ours, Work::Corridor(plan));
    rows.push(ours("cpu-pool", "CPU pool", Crew::host_pool(threads)));
    rows.push(ours("gpu-overlapped", "GPU, overlapped", Crew::overlapped(threads, 1)));
    if gpus > 1 {
        let name = format!("{gpus} GPUs, overlapped");
        rows.push(ours("gpus-overlapped", &name, Crew::overlapped(threads, gpus)));
    }
    let limit = |key: &str, name: &str, ceiling| row(key, name, RowGroup::Ceiling, Work::Ceiling(ceiling));
    rows.push(limit("read", "read only", Ceiling::Read { readers: threads }));
    rows.push(limit("read-pinned", "read only, pinned", Ceiling::ReadPinned { readers: gpu_readers }));
    let upload = |readers, gpus| Ceiling::ReadUpload { readers, gpus };
    rows.push(limit("read-upload", "read + upload only", upload(gpu_readers, 1)));
    if gpus > 1 {
        let readers = Crew::overlapped(threads, gpus).reading();
        rows.push(limit("read-upload-gpus", &format!("the same, {gpus} GPUs"), upload(readers, gpus)));
    }
    rows.push(limit("upload", "pinned upload", Ceiling::Upload));
    rows
}

/// Those of [`rows`] that were asked for by key or group.
///
/// # Errors
/// [`BenchError::UnknownRow`] for a word that names none; words of peers (`peer…`) are left to them.
pub fn choose(threads: usize, gpus: usize, asked: &[String]) -> Result<Vec<Wanted>, BenchError> {
    let all = rows(threads, gpus);
    let names = |wanted: &Wanted, word: &str| wanted.row.key == word || wanted.row.group.word() == word;
    for word in asked.iter().filter(|word| !word.starts_with("peer")) {
        if !all.iter().any(|wanted| names(wanted, word)) {
            let known: Vec<&str> = all.iter().map(|wanted| wanted.row.key.as_str()).collect();
            return Err(BenchError::UnknownRow { asked: word.clone(), known: known.join(", ") });
        }
    }
    let is_asked = |wanted: &Wanted| asked.is_empty() || asked.iter().any(|word| names(wanted, word));
    Ok(all.into_iter().filter(is_asked).collect())
}

/// Measures. Every row must find the pattern `expected` for frame 0 ([`Subject::expected`]). `say` is told what is being
/// done, a line at a time.
///
/// # Errors
/// When a result is wrong, or the frames or the scratch folder cannot be used. A row that this machine cannot do is not an
/// error but says why.
pub fn run(
    subject: &Subject,
    engines: &Engines,
    settings: &Settings,
    expected: &[f32],
    say: &mut dyn FnMut(&str),
) -> Result<Table, BenchError> {
    let wanted = choose(settings.threads, engines.count_of_gpus(), &settings.rows)?;
    let mut table = Table {
        program: format!("xrdct {}", env!("CARGO_PKG_VERSION")),
        date: jiff::Zoned::now().strftime("%Y-%m-%d %H:%M").to_string(),
        machine: Machine::here(),
        frames: frames(subject, settings),
        threads: settings.threads,
        runs: settings.runs,
        versions: BTreeMap::new(),
        notes: Vec::new(),
        rows: wanted.iter().map(|wanted| wanted.row.clone()).collect(),
    };
    let bench = Bench { subject, engines, settings, expected };
    for source in &settings.sources {
        let cells = match bench.begin(*source)? {
            Cold::Yes => bench.rounds(*source, Some(source) == settings.sources.first(), &wanted, say)?,
            Cold::No(reason) => {
                say(&format!("{}: left out: {reason}", source.name()));
                wanted.iter().map(|_| Cell::Missing(reason.clone())).collect()
            }
        };
        for (row, cell) in table.rows.iter_mut().zip(cells) {
            row.cells.insert(*source, cell);
        }
    }
    Ok(table)
}

fn frames(subject: &Subject, settings: &Settings) -> MeasuredFrames {
    let shape = subject.encoding.shape;
    MeasuredFrames {
        count: subject.files.len(),
        shape: [shape.slow, shape.fast],
        pixel: subject.encoding.pixel.name().to_owned(),
        bytes: subject.bytes,
        file_system: subject.files.first().and_then(|file| file_system(file)),
        simulated: settings.simulated,
        npt: subject.recipe.csr.bins(),
    }
}

struct Bench<'a> {
    subject: &'a Subject,
    engines: &'a Engines,
    settings: &'a Settings,
    expected: &'a [f32],
}

/// One row while it is measured.
struct Measuring<'a> {
    wanted: &'a Wanted,
    runs: Vec<f64>,
    frames: usize,
    /// Frames to ask for.
    ask: usize,
    missing: Option<String>,
}

impl Bench<'_> {
    /// Brings the cache into the state that a run is to begin in; a hot start always can be.
    fn begin(&self, source: StartFrom) -> Result<Cold, BenchError> {
        match source {
            StartFrom::Mem => cache::warm(&self.subject.files).map(|()| Cold::Yes),
            StartFrom::Ssd => cache::chill(&self.subject.files),
        }
    }

    /// Measures every row in turns; those that are cold as programs (`first`) are warmed up before.
    fn rounds(
        &self,
        source: StartFrom,
        first: bool,
        wanted: &[Wanted],
        say: &mut dyn FnMut(&str),
    ) -> Result<Vec<Cell>, BenchError> {
        let files = self.subject.files.len();
        let mut rows: Vec<Measuring> = wanted
            .iter()
            .map(|wanted| Measuring { wanted, runs: vec![], frames: usize::MAX, ask: files, missing: None })
            .collect();
        for row in rows.iter_mut().filter(|_| first || source == StartFrom::Mem) {
            say(&format!("{:>3}  warming up  {}", source.name(), row.wanted.row.name));
            match self.once(row.wanted, files, WARM_UP.min(self.run_time())) {
                Ok((rate, _)) if source == StartFrom::Mem => {
                    let frames = SHORTEST_RUN.min(self.run_time().as_secs_f64()) * rate;
                    row.ask = files * ((frames / files as f64).ceil() as usize).clamp(1, MOST_PASSES);
                }
                Ok(_) => {}
                Err(error) => row.missing = Some(reason(error)?),
            }
        }
        for round in 1..=self.settings.runs {
            for row in rows.iter_mut().filter(|row| row.missing.is_none()) {
                if source == StartFrom::Ssd
                    && let Cold::No(reason) = cache::chill(&self.subject.files)?
                {
                    row.missing = Some(reason);
                    continue;
                }
                match self.once(row.wanted, row.ask, self.run_time()) {
                    Ok((rate, frames)) => {
                        row.runs.push(rate);
                        row.frames = row.frames.min(frames);
                        let (name, of) = (source.name(), self.settings.runs);
                        say(&format!(
                            "{name:>3}  run {round} of {of}  {:<34}{rate:>9.1} frames/s",
                            row.wanted.row.name
                        ));
                    }
                    Err(error) => row.missing = Some(reason(error)?),
                }
            }
        }
        let cell = |row: Measuring| match (row.missing, Rate::of(row.runs, row.frames)) {
            (None, Some(rate)) => Cell::Measured(rate),
            (reason, _) => Cell::Missing(reason.unwrap_or_else(|| "not run".to_owned())),
        };
        Ok(rows.into_iter().map(cell).collect())
    }

    fn run_time(&self) -> Duration {
        self.settings.row_time / u32::try_from(self.settings.runs.max(1)).unwrap_or(u32::MAX)
    }

    /// One run of a row: its rate and frames, checked.
    fn once(&self, wanted: &Wanted, frames: usize, time: Duration) -> Result<(f64, usize), BenchError> {
        if self.settings.stop.is_raised() {
            return Err(BenchError::Interrupted);
        }
        let plan = match wanted.work {
            Work::Ceiling(Ceiling::Upload) => {
                let len = self.subject.frame_bytes() as usize;
                return ceiling::upload(self.engines.gpu()?.context(), len, time.min(WARM_UP));
            }
            Work::Ceiling(ceiling) => {
                let pass = self.pass(frames, time, None);
                let walked =
                    walk(self.subject, ceiling.doors(self.subject, self.engines, pass.frames)?, &pass)?;
                return Ok(self.rate(&walked));
            }
            Work::Corridor(plan) => plan,
        };
        let output = self.settings.results.join(format!("{}.h5", wanted.row.key));
        let pass = self.pass(frames, time, Some(output.clone()));
        let walked = walk(self.subject, self.subject.doors(&plan, self.engines, frames, None)?, &pass)?;
        // Only figures are kept of a run.
        let _ = std::fs::remove_file(output);
        agree(&wanted.row.name, &walked.first, self.expected)?;
        let done = walked.report.done;
        if walked.good != done {
            return Err(BenchError::Incomplete { row: wanted.row.name.clone(), good: walked.good, done });
        }
        Ok(self.rate(&walked))
    }

    fn rate(&self, walked: &Passed) -> (f64, usize) {
        (walked.report.frames_per_second(), walked.report.done)
    }

    fn pass(&self, frames: usize, time: Duration, output: Option<PathBuf>) -> Pass {
        Pass { frames, time: Some(time), output, timeline: None, stop: self.settings.stop.clone() }
    }
}

/// Why a row is missing. A defect is not a reason but an error.
fn reason(error: BenchError) -> Result<String, BenchError> {
    match error {
        error if error.is_defect() => Err(error),
        BenchError::Interrupted => Err(error),
        BenchError::NoGpu(reason) => Ok(reason),
        error => Ok(format!("failed: {error}")),
    }
}
