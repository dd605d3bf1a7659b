//! Figures kept, and compared with the newest ones of the same class of machine.
//!
//! A record is a JSON file, `profiles/record/<class>/<date>.json`: for each bench a digest of what it computed, the ratio to the
//! ceiling measured in the same run, and the throughput. **Ratios are compared, not times**: machines of one class still
//! differ and drift, and a ceiling drifts with them. A loss of more than [`LOSS`] of a ratio, or another digest, is a finding
//! that fails the bench.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::BenchError;
use super::error::at;
use super::machine::Machine;

/// Part of a ratio that may be lost.
pub const LOSS: f64 = 0.10;

/// Version of the format.
const FORMAT: u32 = 1;

/// How much one call of a bench does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// Bytes that it takes in.
    pub bytes: usize,
    /// Pixels that they are.
    pub pixels: usize,
}

/// The figures of one bench.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Its name.
    pub name: String,
    /// Digest of what it computed.
    pub digest: String,
    /// What it is compared with.
    pub ceiling: String,
    /// Time of the ceiling over its own: 1 is perfect.
    pub ratio: f64,
    /// Seconds of a call.
    pub seconds: f64,
    /// Bytes a second that it takes in.
    pub bytes_per_second: f64,
    /// Pixels a second that they are.
    pub pixels_per_second: f64,
}

impl Measure {
    /// Figures from times that were taken elsewhere.
    pub fn new(
        name: &str,
        amount: Amount,
        digest: String,
        seconds: f64,
        (ceiling, ceiling_seconds): (&str, f64),
    ) -> Measure {
        Measure {
            name: name.to_owned(),
            digest,
            ceiling: ceiling.to_owned(),
            ratio: ceiling_seconds / seconds,
            seconds,
            bytes_per_second: amount.bytes as f64 / seconds,
            pixels_per_second: amount.pixels as f64 / seconds,
        }
    }

    /// Times `work` and what cannot be beaten, in turns, for `seconds` in all; the fastest call of each counts, which is the
    /// one that the rest of the machine disturbed least.
    pub fn take(
        name: &str,
        amount: Amount,
        digest: String,
        seconds: f64,
        work: &mut dyn FnMut(),
        (ceiling, limit): (&str, &mut dyn FnMut()),
    ) -> Measure {
        /// However slow it is.
        const FEWEST: usize = 3;
        let timed = |work: &mut dyn FnMut()| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        };
        work();
        limit();
        let (mut own, mut floor) = (f64::INFINITY, f64::INFINITY);
        let (begun, mut calls) = (Instant::now(), 0);
        while calls < FEWEST || begun.elapsed().as_secs_f64() < seconds {
            own = own.min(timed(work));
            floor = floor.min(timed(limit));
            calls += 1;
        }
        Measure::new(name, amount, digest, own, (ceiling, floor))
    }

    /// The figures in a line.
    pub fn line(&self) -> String {
        let time = match self.seconds {
            s if s < 1e-3 => format!("{:.2} us", s * 1e6),
            s if s < 1.0 => format!("{:.3} ms", s * 1e3),
            s => format!("{s:.3} s"),
        };
        format!(
            "{:<44}{time:>12}{:>10.2} GB/s{:>10.3} Gpixel/s{:>7.2} of {}",
            self.name,
            self.bytes_per_second / 1e9,
            self.pixels_per_second / 1e9,
            self.ratio,
            self.ceiling
        )
    }
}

/// Digest of a result: FNV-1a of its words.
pub fn digest(words: impl IntoIterator<Item = u64>) -> String {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    for word in words {
        state = (state ^ word).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{state:016x}")
}

/// All figures of one run of the benches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Version of the format.
    pub format: u32,
    /// When, year-month-day.
    pub date: String,
    /// Class of machine.
    pub class: String,
    /// The machine itself.
    pub machine: Machine,
    /// The figures.
    pub measures: Vec<Measure>,
}

/// What a comparison finds about one bench.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// It reaches less of its ceiling than it did.
    Slower {
        /// Which.
        name: String,
        /// Ratio then.
        before: f64,
        /// Ratio now.
        now: f64,
    },
    /// It computes something else.
    OtherResult {
        /// Which.
        name: String,
        /// Digest then.
        before: String,
        /// Digest now.
        now: String,
    },
    /// It was not in the record, or was compared with another ceiling there.
    New {
        /// Which.
        name: String,
    },
    /// It reaches more of its ceiling: worth a new record.
    Faster {
        /// Which.
        name: String,
        /// Ratio then.
        before: f64,
        /// Ratio now.
        now: f64,
    },
}

impl Finding {
    /// Whether it must not stand.
    pub fn is_bad(&self) -> bool {
        matches!(self, Finding::Slower { .. } | Finding::OtherResult { .. })
    }

    /// The finding in a sentence.
    pub fn sentence(&self) -> String {
        let change = |before: &f64, now: &f64| 100.0 * (now / before - 1.0);
        match self {
            Finding::Slower { name, before, now } => {
                format!(
                    "SLOWER  {name}: {now:.3} of its ceiling, was {before:.3} ({:+.0} %)",
                    change(before, now)
                )
            }
            Finding::OtherResult { name, before, now } => {
                format!("OTHER RESULT  {name}: digest {now}, was {before}")
            }
            Finding::New { name } => format!("new  {name}: not in the record, or with another ceiling there"),
            Finding::Faster { name, before, now } => {
                format!(
                    "faster  {name}: {now:.3} of its ceiling, was {before:.3} ({:+.0} %)",
                    change(before, now)
                )
            }
        }
    }
}

impl Record {
    /// A record of today.
    pub fn new(class: &str, machine: Machine, measures: Vec<Measure>) -> Record {
        let date = jiff::Zoned::now().strftime("%Y-%m-%d").to_string();
        Record { format: FORMAT, date, class: class.to_owned(), machine, measures }
    }

    /// What changed since an earlier record; none when it is of another class of machine, whose figures mean nothing here.
    /// Benches that were not run this time are not missed.
    pub fn compare(&self, before: &Record) -> Option<Vec<Finding>> {
        if self.class != before.class {
            return None;
        }
        let find = |now: &Measure| {
            let name = now.name.clone();
            let Some(then) = before.measures.iter().find(|then| then.name == now.name) else {
                return vec![Finding::New { name }];
            };
            let mut findings = Vec::new();
            if then.digest != now.digest {
                let (before, now) = (then.digest.clone(), now.digest.clone());
                findings.push(Finding::OtherResult { name: name.clone(), before, now });
            }
            if then.ceiling != now.ceiling {
                findings.push(Finding::New { name });
                return findings;
            }
            let (before, now) = (then.ratio, now.ratio);
            // Written so that a ratio that is no number is a loss.
            let holds = now >= before * (1.0 - LOSS);
            if !holds {
                findings.push(Finding::Slower { name, before, now });
            } else if now > before * (1.0 + LOSS) {
                findings.push(Finding::Faster { name, before, now });
            }
            findings
        };
        Some(self.measures.iter().flat_map(find).collect())
    }

    /// Reads a record.
    ///
    /// # Errors
    /// When the file cannot be read or is none.
    pub fn read(path: &Path) -> Result<Record, BenchError> {
        let text = at(path, fs::read_to_string(path))?;
        let wrong = |problem: String| BenchError::Record { path: path.to_path_buf(), problem };
        let record: Record = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        match record.format {
            FORMAT => Ok(record),
            other => Err(wrong(format!("its format is {other}, this program reads {FORMAT}"))),
        }
    }

    /// Writes `<root>/<class>/<date>.json`, in place of an earlier one of the same day.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, root: &Path) -> Result<PathBuf, BenchError> {
        let folder = root.join(&self.class);
        at(&folder, fs::create_dir_all(&folder))?;
        let path = folder.join(format!("{}.json", self.date));
        let text = serde_json::to_string_pretty(self);
        let text =
            text.map_err(|error| BenchError::Record { path: path.clone(), problem: error.to_string() })?;
        at(&path, fs::write(&path, text + "\n"))?;
        Ok(path)
    }
}

/// The newest record of a class below `root`, by the dates that are the files' names; none when there is none.
///
/// # Errors
/// When it cannot be read.
pub fn newest(root: &Path, class: &str) -> Result<Option<(PathBuf, Record)>, BenchError> {
    let Ok(entries) = fs::read_dir(root.join(class)) else { return Ok(None) };
    let is_record = |path: &PathBuf| {
        let name =
            path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".json"));
        name.is_some_and(|name| name.parse::<jiff::civil::Date>().is_ok())
    };
    let newest = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_record).max();
    newest.map(|path| Record::read(&path).map(|record| (path, record))).transpose()
}

/// Parts (first words of names) that seem to have lost something against the newest record of the class.
///
/// # Errors
/// When the record cannot be read.
pub fn suspects(root: &Path, record: &Record) -> Result<Vec<String>, BenchError> {
    let Some((_, before)) = newest(root, &record.class)? else { return Ok(vec![]) };
    let mut parts = Vec::new();
    for finding in record.compare(&before).unwrap_or_default() {
        if let Finding::Slower { name, .. } = finding {
            let part = name.split([',', ':']).next().unwrap_or_default().to_owned();
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
    }
    Ok(parts)
}

/// Takes over those figures of a second measurement that reach more of their ceiling; digests stay those that were first.
pub fn keep_better(measures: &mut [Measure], again: Vec<Measure>) {
    for other in again {
        let same =
            measures.iter_mut().find(|measure| measure.name == other.name && measure.digest == other.digest);
        if let Some(measure) = same.filter(|measure| other.ratio > measure.ratio) {
            *measure = other;
        }
    }
}

/// What comes of a run of the benches.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// For people.
    pub text: String,
    /// Whether nothing bad was found.
    pub is_good: bool,
}

/// Compares a run with the newest record of its class, and keeps it when asked to.
///
/// # Errors
/// When a record cannot be read or written.
pub fn conclude(root: &Path, record: &Record, save: bool) -> Result<Verdict, BenchError> {
    let mut text = String::new();
    let mut is_good = true;
    match newest(root, &record.class)? {
        None => {
            let _ = writeln!(
                text,
                "no record of {} below {}: --save keeps this one",
                record.class,
                root.display()
            );
        }
        Some((path, before)) => {
            let findings = record.compare(&before).unwrap_or_default();
            is_good = !findings.iter().any(Finding::is_bad);
            for finding in &findings {
                let _ = writeln!(text, "{}", finding.sentence());
            }
            let bad = findings.iter().filter(|finding| finding.is_bad()).count();
            let _ = writeln!(
                text,
                "{} benches compared with {}: {}",
                record.measures.len(),
                path.display(),
                if is_good {
                    "nothing lost".to_owned()
                } else if bad == 1 {
                    "1 bad finding".to_owned()
                } else {
                    format!("{bad} bad findings")
                }
            );
        }
    }
    if save {
        let _ = writeln!(text, "kept in {}", record.save(root)?.display());
    }
    Ok(Verdict { text, is_good })
}
