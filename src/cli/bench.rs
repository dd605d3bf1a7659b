//! `xrdct bench`: the paper's Table 1 on this machine, where the time goes, and reconstruction.
//!
//! Frames are the user's or simulated; either way they go through the product's own corridor. What is asked for goes to
//! stdout, progress to stderr; files beside it with `-o FOLDER` or by name.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use super::args::count;
use super::exit::{Exit, Failure, OrExit};
use super::integrate::write_trace;
use super::say;
use crate::bench::cache::StartFrom;
use crate::bench::outcome::Table;
use crate::bench::subject::Subject;
use crate::bench::table1::{self, Settings, Work};
use crate::bench::walk::{Pass, walk};
use crate::bench::{BenchError, cache, chart, peers, profile, text, tomo};
use crate::budget;
use crate::files;
use crate::files::temporary::Temporary;
use crate::output::draft::{Draft, leftovers, write_whole};
use crate::pipeline::Stop;
use crate::session::configuration::LONGEST_SETTINGS;
use crate::session::options::MOST_BINS;
use crate::session::{Device, Engines, Poni, on_threads, plan};
use crate::trace::Timeline;

/// What `--peers` means without a value.
const FIND_PYTHON: &str = "auto";

/// Pixels of a chart in PNG for each unit of its page.
const CHART_SCALE: f64 = 1.5;

/// Measure this machine: the paper's Table 1, where the time goes, reconstruction
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Table1(Box<Table1Args>),
    Profile(Box<ProfileArgs>),
    Tomo(TomoArgs),
}

/// Where frames come from, and what they are measured on
#[derive(Debug, Args)]
struct InputArgs {
    /// Frames to measure with: CBF files, folders, globs in quotes, or @list.txt [default: simulated ones]
    #[arg(long, value_name = "INPUT", num_args = 1.., help_heading = "Frames")]
    frames: Vec<String>,

    /// Their geometry [default: the only .poni file beside the first frame]
    #[arg(short, long, value_name = "FILE", help_heading = "Frames")]
    poni: Option<PathBuf>,

    /// How many frames of a Pilatus CdTe 2M to simulate, 2.5 MB each, as many as in the paper
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1202,
        conflicts_with = "frames",
        help_heading = "Frames"
    )]
    count: usize,

    /// Number of radial bins
    #[arg(short = 'c', long, value_name = "N", default_value_t = 1000, help_heading = "Frames")]
    npt: usize,

    /// Folder for simulated frames and whatever else a bench needs while it runs [default: the system's]
    #[arg(long, value_name = "FOLDER", help_heading = "Running")]
    scratch: Option<PathBuf>,

    /// Folder for results while they are measured, a tmpfs say [default: that of --scratch]
    #[arg(long, value_name = "FOLDER", help_heading = "Running")]
    results: Option<PathBuf>,

    /// Threads that plans are made for [default: all cores]
    #[arg(long, value_name = "N", value_parser = count, help_heading = "Running")]
    threads: Option<usize>,

    /// auto, cpu to leave GPUs alone, cuda:N, cuda:N,N,... or cuda:all; with several GPUs there are rows for all of them
    #[arg(long, value_name = "DEVICE", default_value = "auto", help_heading = "Running")]
    device: String,

    /// Say nothing while running
    #[arg(short, long, help_heading = "Running")]
    quiet: bool,
}

/// Every row of the paper's Table 1 on this machine, ours beyond it, the ceilings, and today's other programs
///
/// Kieffer, Petitdemange & Vincent, J. Synchrotron Rad. (2018) 25, 612-617. Each row is a strategy of the product's own
/// corridor, files to HDF5; figures are medians of runs that take turns, with their median absolute deviation. Results
/// are checked: a row that computes something else ends the bench.
#[derive(Debug, Args)]
struct Table1Args {
    #[command(flatten)]
    input: InputArgs,

    /// Measure nothing: print and draw the table of an earlier run, its table1.json
    #[arg(long, value_name = "FILE.json", help_heading = "Rows")]
    from: Option<PathBuf>,

    /// Hot start (mem), cold start (ssd: pages are dropped from the cache, which is verified), or both
    #[arg(
        long,
        value_name = "SOURCE",
        value_delimiter = ',',
        default_value = "mem,ssd",
        help_heading = "Rows"
    )]
    source: Vec<SourceName>,

    /// Rows to measure, by key (see --csv) or group: paper, ours, ceiling, peer [default: all]
    #[arg(long, value_name = "ROW", value_delimiter = ',', help_heading = "Rows")]
    rows: Vec<String>,

    /// Also measure FabIO + pyFAI and silx, with this python [default: XRDCT_PEER_PYTHON, else .tools/oracle]
    #[arg(
        long,
        value_name = "PYTHON",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = FIND_PYTHON,
        help_heading = "Rows"
    )]
    peers: Option<PathBuf>,

    /// Measured runs of each row
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = count, help_heading = "Rows")]
    runs: usize,

    /// What one row may take for one source, all its runs together; a run that would take longer stops early
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, help_heading = "Rows")]
    row_time: f64,

    /// Folder for table1.md, .csv, .json, .png and .svg; made when it does not exist
    #[arg(short, long, value_name = "FOLDER", help_heading = "Output")]
    output: Option<PathBuf>,

    /// Write the table as Markdown
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    markdown: Option<PathBuf>,

    /// Write the figures as CSV
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    csv: Option<PathBuf>,

    /// Write everything as JSON
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    json: Option<PathBuf>,

    /// Draw the hot start (without one, the cold start) as bars: SVG or PNG, by the file's ending
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    chart: Option<PathBuf>,
}

/// Time by stage of one strategy, how busy everybody is, and what the bottleneck is
#[derive(Debug, Args)]
struct ProfileArgs {
    #[command(flatten)]
    input: InputArgs,

    /// sequential, pool, gpu, all of these that this machine can do, or the key of a row of table1
    #[arg(short, long, value_name = "STRATEGY", default_value = "all", help_heading = "Running")]
    strategy: String,

    /// No new frame is begun after so long
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, help_heading = "Running")]
    time: f64,

    /// Walk through the frames this often; a GPU is done with a list before it is warm
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count, help_heading = "Running")]
    passes: usize,

    /// Write the profiles as JSON
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    json: Option<PathBuf>,

    /// Write the timeline that a profile was computed from (Chrome trace format); one strategy only
    #[arg(long, value_name = "FILE.json", help_heading = "Output")]
    trace: Option<PathBuf>,
}

/// Reconstruction: slices by filtered back-projection on the cores and on the GPU, and today's other programs beside them
///
/// Seconds a slice are medians of the runs. Slices are checked: a row that computes something else ends the bench.
#[derive(Debug, Args)]
struct TomoArgs {
    /// Bins, each a sinogram and a slice
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = count)]
    bins: usize,

    /// Rotations over 180 degrees
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = count)]
    rotations: usize,

    /// Translations, and pixels along each side of a slice
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = count)]
    translations: usize,

    /// Also measure scikit-image and silx, with this python [default: XRDCT_PEER_PYTHON, else .tools/oracle]
    #[arg(
        long,
        value_name = "PYTHON",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = FIND_PYTHON
    )]
    peers: Option<PathBuf>,

    /// Measured runs of each row
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = count)]
    runs: usize,

    /// How long one run of a peer goes on
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    time: f64,

    /// Cores [default: all]
    #[arg(long, value_name = "N", value_parser = count)]
    threads: Option<usize>,

    /// auto, or cpu to leave a GPU alone
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = ["auto", "cpu"])]
    device: String,

    /// Folder for what the peers read [default: the system's]
    #[arg(long, value_name = "FOLDER")]
    scratch: Option<PathBuf>,

    /// Write the table as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,

    /// Write everything as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Say nothing while running
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SourceName {
    /// Hot start
    Mem,
    /// Cold start
    Ssd,
}

/// Runs the command.
pub(super) fn run(args: &BenchArgs) -> Result<Exit, Failure> {
    match &args.what {
        What::Table1(args) => table1(args),
        What::Profile(args) => profile(args),
        What::Tomo(args) => tomo(args),
    }
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Failure {
        let exit = match &error {
            BenchError::NoFrames | BenchError::BadFrame(_) => Exit::Input,
            BenchError::Poni(_) => Exit::Calibration,
            BenchError::Session(error) => error.about.into(),
            BenchError::UnknownRow { .. } | BenchError::Peers { .. } => Exit::Usage,
            BenchError::File { .. } | BenchError::Output(_) | BenchError::Simulate(_) => Exit::Output,
            BenchError::NoGpu(_) | BenchError::Gpu(_) => Exit::Device,
            BenchError::Interrupted => Exit::Interrupted,
            _ => Exit::Failure,
        };
        Failure { exit, error: error.into() }
    }
}

fn table1(args: &Table1Args) -> Result<Exit, Failure> {
    if let Some(path) = &args.from {
        let read =
            || -> anyhow::Result<Table> { Ok(Table::from_json(&files::read(path, LONGEST_SETTINGS)?)?) };
        let table = read().with_context(|| format!("--from {}", path.display())).or_exit(Exit::Input)?;
        check(args).or_exit(Exit::Usage)?;
        write_files(args, &table)?;
        say::answer(&text::terminal(&table))?;
        return Ok(Exit::Success);
    }
    check(args).or_exit(Exit::Usage)?;
    let python = python(args.peers.as_deref())?;
    let scratch = Scratch::new(args.input.scratch.as_deref())?;
    let results = args.input.results.as_deref().map(|folder| Scratch::new(Some(folder))).transpose()?;
    let (subject, engines, threads) = prepare(&args.input, &scratch)?;
    let mut sources = Vec::new();
    for source in &args.source {
        let source = match source {
            SourceName::Mem => StartFrom::Mem,
            SourceName::Ssd => StartFrom::Ssd,
        };
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    let settings = Settings {
        sources,
        rows: args.rows.clone(),
        runs: args.runs,
        row_time: Duration::from_secs_f64(args.row_time),
        threads,
        results: results.as_ref().unwrap_or(&scratch).path().to_path_buf(),
        scratch: scratch.path().to_path_buf(),
        simulated: args.input.frames.is_empty(),
        // A signal ends a bench at once: nothing that it writes is worth closing.
        stop: Stop::default(),
    };
    let mut say = |line: &str| {
        if !args.input.quiet {
            say::note(line);
        }
    };
    let expected = subject.expected(&engines)?;
    let mut table = table1::run(&subject, &engines, &settings, &expected, &mut say)?;
    if let Some(python) = python {
        peers::run(&python, &subject, &settings, &expected, &mut table, args.input.quiet)?;
    }
    write_files(args, &table)?;
    say::answer(&text::terminal(&table))?;
    Ok(Exit::Success)
}

/// The peers' python, when they are wanted.
fn python(peers: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
    let named = |path: &Path| Some(path.to_path_buf()).filter(|path| path.as_os_str() != FIND_PYTHON);
    Ok(peers.map(|path| peers::find_python(named(path))).transpose()?)
}

fn tomo(args: &TomoArgs) -> Result<Exit, Failure> {
    check_time("--time", args.time).or_exit(Exit::Usage)?;
    if args.rotations < 2 || args.translations < 2 {
        return Err(anyhow!("--rotations and --translations must be at least 2")).or_exit(Exit::Usage);
    }
    let (bins, rays) = (args.bins, [args.rotations, args.translations]);
    let each = budget::bytes_of(&rays, 4).saturating_add(budget::bytes_of(&[args.translations; 2], 4));
    budget::allow(
        format_args!("{bins} sinograms of {} x {} and their slices", rays[0], rays[1]),
        // Once more, as they are checked.
        each.saturating_mul(2 * bins as u64),
    )
    .or_exit(Exit::Usage)?;
    let python = python(args.peers.as_deref())?;
    let scratch = Scratch::new(args.scratch.as_deref())?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let settings = tomo::SliceBench {
        bins: args.bins,
        rotations: args.rotations,
        translations: args.translations,
        runs: args.runs,
        seconds: args.time,
        threads: args.threads.unwrap_or(cores),
        cpu_only: args.device == "cpu",
        scratch: scratch.path().to_path_buf(),
    };
    let mut say = |line: &str| {
        if !args.quiet {
            say::note(line);
        }
    };
    let table = tomo::run(&settings, python.as_deref(), &mut say)?;
    let json = serde_json::to_string_pretty(&table).context("the table as JSON").or_exit(Exit::Failure)?;
    for (path, content) in [(&args.markdown, table.markdown()), (&args.json, json + "\n")] {
        if let Some(path) = path {
            write(path, content.as_bytes())?;
        }
    }
    say::answer(&table.terminal())?;
    Ok(Exit::Success)
}

fn check(args: &Table1Args) -> anyhow::Result<()> {
    table1::choose(1, 2, &args.rows)?;
    check_time("--row-time", args.row_time)?;
    if let Some(chart) = &args.chart
        && !["svg", "png"]
            .iter()
            .any(|known| chart.extension().is_some_and(|e| e.eq_ignore_ascii_case(known)))
    {
        return Err(anyhow!("--chart {}: name it .svg or .png", chart.display()));
    }
    check_input(&args.input)
}

fn profile(args: &ProfileArgs) -> Result<Exit, Failure> {
    let is_all = args.strategy == "all";
    let keys: Vec<&str> = match args.strategy.as_str() {
        "all" => vec!["sequential-cpu", "cpu-pool", "gpu-overlapped", "gpus-overlapped"],
        "sequential" => vec!["sequential-cpu"],
        "pool" => vec!["cpu-pool"],
        "gpu" => vec!["gpu-overlapped"],
        key => vec![key],
    };
    check_time("--time", args.time).and_then(|()| check_input(&args.input)).or_exit(Exit::Usage)?;
    if args.trace.is_some() && is_all {
        return Err(anyhow!("--trace: a timeline is of one run; choose it with --strategy"))
            .or_exit(Exit::Usage);
    }
    table1::choose(1, 2, &keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>())?;
    let scratch = Scratch::new(args.input.scratch.as_deref())?;
    let results = args.input.results.as_deref().map(|folder| Scratch::new(Some(folder))).transpose()?;
    let (subject, engines, threads) = prepare(&args.input, &scratch)?;
    cache::warm(&subject.files)?;
    let mut profiles = Vec::new();
    for row in table1::rows(threads, engines.count_of_gpus())
        .into_iter()
        .filter(|wanted| keys.contains(&wanted.row.key.as_str()))
    {
        let Work::Corridor(plan) = row.work else {
            return Err(anyhow!("--strategy {}: a ceiling is no strategy", row.row.key)).or_exit(Exit::Usage);
        };
        if let (true, true, Err(reason)) = (is_all, plan.needs_gpu(), engines.gpu()) {
            say::note(&format!("{}: left out: {reason}", row.row.name));
            continue;
        }
        let timeline = Timeline::default();
        let mut pass = Pass {
            frames: subject.files.len(),
            time: Some(Duration::from_secs(1)),
            output: Some(results.as_ref().unwrap_or(&scratch).path().join("profile.h5")),
            timeline: None,
            stop: Stop::default(),
        };
        // A run that is not measured comes first.
        walk(&subject, subject.doors(&plan, &engines, pass.frames, None)?, &pass)?;
        pass.frames *= args.passes;
        pass.time = Some(Duration::from_secs_f64(args.time));
        pass.timeline = Some(timeline.clone());
        let crew = subject.doors(&plan, &engines, pass.frames, Some(&timeline))?;
        let profile = profile::run(&subject, &plan, &row.row.name, crew, &pass)?;
        say::answer(&(text::profile(&profile) + "\n"))?;
        profiles.push(profile);
        if let Some(path) = &args.trace {
            write_trace(Draft::begin(path, true, 0).context("--trace").or_exit(Exit::Output)?, &timeline)?;
        }
    }
    if let Some(path) = &args.json {
        let json =
            serde_json::to_string_pretty(&profiles).context("profiles as JSON").or_exit(Exit::Failure)?;
        write(path, (json + "\n").as_bytes())?;
    }
    Ok(Exit::Success)
}

fn check_time(option: &str, seconds: f64) -> anyhow::Result<()> {
    match seconds > 0.0 && seconds < 1e6 {
        true => Ok(()),
        false => Err(anyhow!("{option} {seconds}: must be a number of seconds above 0")),
    }
}

fn check_input(args: &InputArgs) -> anyhow::Result<()> {
    match args.count > 0 && (1..=MOST_BINS).contains(&args.npt) {
        true => Ok(()),
        false => Err(anyhow!("--count must be at least 1, --npt from 1 to {MOST_BINS}")),
    }
}

/// Frames, found or made; and the engines.
fn prepare(args: &InputArgs, scratch: &Scratch) -> Result<(Subject, Engines, usize), Failure> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = args.threads.unwrap_or(cores);
    on_threads(threads, || subject_and_engines(args, scratch))?
        .map(|(subject, engines)| (subject, engines, threads))
}

fn subject_and_engines(args: &InputArgs, scratch: &Scratch) -> Result<(Subject, Engines), Failure> {
    let (files, path, poni) = match args.frames.is_empty() {
        true => simulated(args, scratch)?,
        false => {
            let files = plan::input(&args.frames, Default::default(), None)?.files;
            let path = match &args.poni {
                Some(path) => path.clone(),
                None => poni_beside(&files[0]).or_exit(Exit::Usage)?,
            };
            let poni = Poni::read(&path).or_exit(Exit::Calibration)?;
            (files, path, poni)
        }
    };
    let subject = Subject::new(&files, &path, &poni, args.npt)?;
    let device = match Device::begin(&args.device)? {
        Device::Cpu { .. } if args.device == "cpu" => {
            Device::Cpu { why: "the GPU was left out (--device cpu)".into() }
        }
        device => device,
    };
    let engines = Engines::both(&subject.recipe, &device)?;
    Ok((subject, engines))
}

fn simulated(args: &InputArgs, scratch: &Scratch) -> Result<(Vec<PathBuf>, PathBuf, Poni), Failure> {
    if !args.quiet {
        say::note(&format!(
            "simulating {} frames of a Pilatus CdTe 2M in {}",
            args.count,
            scratch.path().display()
        ));
    }
    // Hidden by itself when standard error is not a terminal.
    let bar = if args.quiet { ProgressBar::hidden() } else { ProgressBar::new(args.count as u64) };
    let style =
        ProgressStyle::with_template("{bar:40} {pos}/{len} frames  {eta} left").context("progress bar");
    let bar = bar.with_style(style.or_exit(Exit::Failure)?);
    let made = Subject::simulate(&scratch.path().join("frames"), args.count, &|| bar.inc(1));
    bar.finish_and_clear();
    Ok(made?)
}

/// The only PONI file beside a frame.
fn poni_beside(frame: &Path) -> anyhow::Result<PathBuf> {
    let folder = frame.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let is_poni = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "poni");
    let found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_poni).collect();
    match found.as_slice() {
        [only] => Ok(only.clone()),
        _ => Err(anyhow!(
            "no geometry: {} PONI files are in {}; name theirs with --poni FILE.poni",
            found.len(),
            folder.display()
        )),
    }
}

/// A folder that goes when the bench ends, whatever happened.
struct Scratch(Temporary);

impl Scratch {
    fn new(above: Option<&Path>) -> Result<Scratch, Failure> {
        let above = above.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let made = std::fs::create_dir_all(&above)
            .and_then(|()| Temporary::folder_in(&above, &format!("xrdct-bench-{}", std::process::id())));
        made.map(Scratch).with_context(|| format!("--scratch {}", above.display())).or_exit(Exit::Output)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Writes a file, in the place of one that is there.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    super::warn_of_leftovers(leftovers(path));
    write_whole(path, bytes, true).or_exit(Exit::Output)
}

fn write_files(args: &Table1Args, table: &Table) -> Result<(), Failure> {
    if let Some(folder) = &args.output {
        std::fs::create_dir_all(folder)
            .with_context(|| folder.display().to_string())
            .or_exit(Exit::Output)?;
    }
    let json =
        serde_json::to_string_pretty(table).context("the table as JSON").or_exit(Exit::Failure)? + "\n";
    let files = [
        (&args.markdown, "table1.md", text::markdown(table)),
        (&args.csv, "table1.csv", text::csv(table)),
        (&args.json, "table1.json", json),
    ];
    let source = table.sources().into_iter().next().unwrap_or(StartFrom::Mem);
    let drawn = chart::chart(table, source).draw();
    let in_folder = args.output.iter().flat_map(|f| ["table1.svg", "table1.png"].map(|name| f.join(name)));
    for path in args.chart.iter().cloned().chain(in_folder) {
        let bytes = match path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png")) {
            true => drawn.png(CHART_SCALE).or_exit(Exit::Failure)?,
            false => drawn.finish().into_bytes(),
        };
        write(&path, &bytes)?;
    }
    for (named, usual, content) in files {
        let in_folder = args.output.as_ref().map(|folder| folder.join(usual));
        for path in named.iter().chain(&in_folder) {
            write(path, content.as_bytes())?;
        }
    }
    Ok(())
}
