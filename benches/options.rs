//! What the benches are told, and how they end: figures printed, compared with the best that this class of machine ever reached.
//!
//! ```text
//! cargo bench --bench cpu -- [NAME…] [--list] [--save] [--replace NAME --because TEXT] [--retire NAME --because TEXT]
//!                            [--records FOLDER] [--seconds S] [--frames N] [--folder FOLDER] [--threads N] [--xrdct PROGRAM]
//! ```
//!
//! A NAME chooses the benches whose names begin with it: `corridor`, or `"corridor, CPU pool, 250 bins"`.
#![allow(dead_code)] // one module, two benches, and neither needs all of it

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use xrdct::bench::machine::Machine;
use xrdct::bench::measure::Measure;
use xrdct::bench::record::Record;
use xrdct::bench::verdict::{BenchRun, Intent, conclude, keep_better, suspects};

/// How often a part that seems slower is measured again.
const AGAIN: usize = 2;

/// A part: the first word of its benches' names, and what measures those that are wanted.
pub type Part = (&'static str, fn(&Options) -> Result<Vec<Measure>>);

/// What was asked for.
pub struct Options {
    /// Beginnings of the names of the benches to run; all when empty.
    names: Vec<String>,
    /// Names only.
    list: bool,
    /// What the record is to become.
    intent: Intent,
    /// Where records are.
    records: PathBuf,
    /// How long one bench is repeated.
    pub seconds: f64,
    /// Frames of the corridor.
    pub frames: usize,
    /// Where they are simulated.
    pub folder: PathBuf,
    /// Threads of the corridor.
    pub threads: usize,
    /// The program that start-up is measured with.
    pub xrdct: PathBuf,
    /// Fewer repetitions, for profilers (GPU).
    pub short: bool,
    /// Other cuts of the work, printed and not kept (GPU).
    pub sweep: bool,
    /// Where a timeline goes (GPU).
    pub trace: Option<PathBuf>,
    /// Every bench that was asked about.
    seen: RefCell<Vec<String>>,
    /// Only these, to measure them once more.
    again: RefCell<Vec<String>>,
}

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// An option that is none.
    pub fn read() -> Result<Options> {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/record");
        let mut options = Options {
            names: vec![],
            list: false,
            intent: Intent::default(),
            records: if beside.exists() { beside } else { PathBuf::from("profiles/record") },
            seconds: 1.5,
            frames: 1202,
            folder: std::env::temp_dir(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            xrdct: program(),
            short: false,
            sweep: false,
            trace: None,
            seen: RefCell::default(),
            again: RefCell::default(),
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match word.as_str() {
                // cargo's own.
                "--bench" => {}
                "--list" => options.list = true,
                "--save" => options.intent.save = true,
                "--replace" => options.intent.replace.push(value()?),
                "--retire" => options.intent.retire.push(value()?),
                "--because" => options.intent.because = Some(value()?),
                "--records" => options.records = value()?.into(),
                "--folder" => options.folder = value()?.into(),
                "--seconds" => options.seconds = value()?.parse().context("--seconds")?,
                "--frames" => options.frames = value()?.parse().context("--frames")?,
                "--threads" => options.threads = value()?.parse().context("--threads")?,
                "--xrdct" => options.xrdct = value()?.into(),
                "--short" => options.short = true,
                "--sweep" => options.sweep = true,
                "--trace" => options.trace = Some(value()?.into()),
                other if other.starts_with("--") => bail!("{other}: unknown option"),
                other => options.names.push(other.to_owned()),
            }
        }
        Ok(options)
    }

    /// Whether a bench is to be measured.
    pub fn wants(&self, name: &str) -> bool {
        let mut seen = self.seen.borrow_mut();
        if !seen.iter().any(|other| other == name) {
            seen.push(name.to_owned());
        }
        let again = self.again.borrow();
        let chosen = |chosen: &String| name.starts_with(chosen.as_str());
        match () {
            () if self.list => false,
            () if !again.is_empty() => again.iter().any(|other| other == name),
            () => self.names.is_empty() || self.names.iter().any(chosen),
        }
    }

    /// Whether any bench whose name begins so may be wanted.
    pub fn wants_any(&self, beginning: &str) -> bool {
        let may = |chosen: &String| chosen.starts_with(beginning) || beginning.starts_with(chosen.as_str());
        self.list || self.names.is_empty() || self.names.iter().any(may)
    }

    /// Measures what is wanted, what seems to have lost something once or twice more (another program that takes the cores for a
    /// moment is no loss; the best ratio of each counts), compares, prints, and says how to exit.
    ///
    /// # Errors
    /// When a part fails, a name is no bench's, or a record cannot be read or written.
    pub fn run(&self, class: &str, machine: Machine, parts: &[Part]) -> Result<ExitCode> {
        // What cannot be done is said before minutes are spent.
        self.intent.check(&Record::read(&self.records, class)?)?;
        let mut measures = Vec::new();
        for (_, part) in parts.iter().filter(|(name, _)| self.wants_any(name)) {
            measures.extend(part(self)?);
        }
        let seen = self.seen.borrow().clone();
        if self.list {
            seen.iter().for_each(|name| println!("{name}"));
            return Ok(ExitCode::SUCCESS);
        }
        for chosen in &self.names {
            let is_one = seen.iter().any(|name| name.starts_with(chosen.as_str()));
            ensure!(is_one, "no bench's name begins with {chosen:?}; --list tells them");
        }
        let whole = self.names.is_empty();
        let run = |measures: &[Measure]| BenchRun::new(class, machine.clone(), measures.to_vec(), whole);
        for _ in 0..AGAIN {
            let again = suspects(&self.records, &run(&measures))?;
            if again.is_empty() {
                break;
            }
            println!("\nonce more:");
            // A bench's name begins with the name of its part.
            let concerns = |part: &str| again.iter().any(|name| name.starts_with(part));
            self.again.replace(again.clone());
            for (_, part) in parts.iter().filter(|(name, _)| concerns(name)) {
                keep_better(&mut measures, part(self)?);
            }
        }
        let verdict = conclude(&self.records, &run(&measures), &self.intent)?;
        print!("\n{}", verdict.text);
        Ok(if verdict.is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The program that was built with this bench, or lies beside it (`make dist`).
fn program() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_xrdct"));
    let beside = || std::env::current_exe().ok().map(|bench| bench.with_file_name("xrdct"));
    if built.exists() { built } else { beside().unwrap_or(built) }
}

/// How a bench exits; an error is a line.
pub fn exit(ended: Result<ExitCode>) -> ExitCode {
    ended.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

/// Prints a figure and hands it on.
pub fn told(measure: Measure) -> Measure {
    println!("{}", measure.line());
    measure
}
