//! What the benches are told, and how they end: figures printed, compared with the newest record of this class of machine.
//!
//! ```text
//! cargo bench --bench cpu -- [PART…] [--save] [--records FOLDER] [--seconds S] [--frames N] [--folder FOLDER] [--threads N]
//! ```
#![allow(dead_code)] // one module, two benches, and neither needs all of it

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use xrdct::bench::machine::Machine;
use xrdct::bench::record::{Measure, Record, conclude, keep_better, suspects};

/// How often a part that seems slower is measured again.
const AGAIN: usize = 2;

/// What was asked for.
pub struct Options {
    /// Parts to run; all when empty.
    pub words: Vec<String>,
    /// Keep the figures as a record.
    pub save: bool,
    /// Where records are.
    pub records: PathBuf,
    /// How long one bench is repeated.
    pub seconds: f64,
    /// Frames of the corridor.
    pub frames: usize,
    /// Where they are simulated.
    pub folder: PathBuf,
    /// Threads of the corridor.
    pub threads: usize,
}

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// An option that is none.
    pub fn read() -> Result<Options> {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/record");
        let mut options = Options {
            words: vec![],
            save: false,
            records: if beside.exists() { beside } else { PathBuf::from("profiles/record") },
            seconds: 1.5,
            frames: 200,
            folder: std::env::temp_dir(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match word.as_str() {
                // cargo's own.
                "--bench" => {}
                "--save" => options.save = true,
                "--records" => options.records = value()?.into(),
                "--folder" => options.folder = value()?.into(),
                "--seconds" => options.seconds = value()?.parse().context("--seconds")?,
                "--frames" => options.frames = value()?.parse().context("--frames")?,
                "--threads" => options.threads = value()?.parse().context("--threads")?,
                other if other.starts_with("--") => bail!("{other}: unknown option"),
                other => options.words.push(other.to_owned()),
            }
        }
        Ok(options)
    }

    /// Whether a part is wanted.
    pub fn wants(&self, part: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| word == part)
    }

    /// The figures with which the parts that seem to have lost something were measured again, up to twice: another program that
    /// takes the cores for a moment is no loss. The best ratio of each counts.
    ///
    /// # Errors
    /// When a record cannot be read, or a part fails.
    pub fn assured(
        &self,
        class: &str,
        machine: &Machine,
        mut measures: Vec<Measure>,
        mut again: impl FnMut(&str) -> Result<Vec<Measure>>,
    ) -> Result<Vec<Measure>> {
        for _ in 0..AGAIN {
            let record = Record::new(class, machine.clone(), measures.clone());
            for name in suspects(&self.records, &record)? {
                println!("again: {name}");
                keep_better(&mut measures, again(&name)?);
            }
        }
        Ok(measures)
    }

    /// Compares, prints, and says how to exit.
    ///
    /// # Errors
    /// When a record cannot be read or written.
    pub fn end(&self, class: &str, machine: Machine, measures: Vec<Measure>) -> Result<ExitCode> {
        let record = Record::new(class, machine, measures);
        let verdict = conclude(&self.records, &record, self.save)?;
        print!("\n{}", verdict.text);
        Ok(if verdict.is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
