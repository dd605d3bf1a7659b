//! What a run of the benches is worth beside the record of its class of machine, and what the record becomes.
//!
//! Bad, so that the bench fails: a loss of more than [`LOSS`] of the best ratio that was ever kept, another digest, another ceiling, a
//! bench without a record, and a record whose bench is no more.

use std::fmt::Write;
use std::path::Path;

use super::BenchError;
use super::machine::Machine;
use super::measure::Measure;
use super::record::Record;

/// Part of the best ratio that may be lost.
pub const LOSS: f64 = 0.10;

/// All figures of one run of the benches.
#[derive(Debug, Clone, PartialEq)]
pub struct BenchRun {
    /// Class of machine.
    pub class: String,
    /// The machine itself.
    pub machine: Machine,
    /// When, year-month-day.
    pub date: String,
    /// The figures.
    pub measures: Vec<Measure>,
    /// Whether every bench was to run: only then is one missed.
    pub whole: bool,
}

impl BenchRun {
    /// A run of today.
    pub fn new(class: &str, machine: Machine, measures: Vec<Measure>, whole: bool) -> BenchRun {
        let date = jiff::Zoned::now().strftime("%Y-%m-%d").to_string();
        BenchRun { class: class.to_owned(), machine, date, measures, whole }
    }
}

/// What the record is to become.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Intent {
    /// Keep what is new and what is better.
    pub save: bool,
    /// Benches whose record is to be what this run found, be it less.
    pub replace: Vec<String>,
    /// Benches that are no more.
    pub retire: Vec<String>,
    /// Why records are replaced or retired.
    pub because: Option<String>,
}

impl Intent {
    /// Whether a reason is given where one is needed, and what is named is recorded: what can be known before anything is measured.
    ///
    /// # Errors
    /// [`BenchError::Intent`].
    pub fn check(&self, record: &Record) -> Result<(), BenchError> {
        let refused = |problem: String| Err(BenchError::Intent(problem));
        let on_purpose = !self.replace.is_empty() || !self.retire.is_empty();
        match self.because.as_deref().map(str::trim) {
            None if on_purpose => refused("--replace and --retire need --because TEXT".to_owned()),
            Some("") => refused("--because needs a reason".to_owned()),
            Some(_) if !on_purpose => refused("--because goes with --replace or --retire".to_owned()),
            _ => match self.replace.iter().chain(&self.retire).find(|name| record.of(name).is_none()) {
                Some(name) => refused(format!("{name}: it has no record in {}", record.class)),
                None => Ok(()),
            },
        }
    }
}

/// What a comparison finds about one bench.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// It reaches less of its ceiling than it did at its best.
    Slower {
        /// Ratio at its best.
        best: f64,
        /// When that was.
        date: String,
        /// Ratio now.
        now: f64,
    },
    /// It computes something else.
    OtherResult {
        /// Digest then.
        before: String,
        /// Digest now.
        now: String,
    },
    /// It is compared with something else.
    OtherCeiling {
        /// Ceiling then.
        before: String,
        /// Ceiling now.
        now: String,
    },
    /// Nobody knows whether it is slow.
    NotRecorded,
    /// It has a record, and was not run although all were to be.
    Missing,
    /// It reaches more of its ceiling than ever.
    Better {
        /// Ratio at its best until now.
        best: f64,
        /// Ratio now.
        now: f64,
    },
}

impl Finding {
    /// Whether it must not stand.
    pub fn is_bad(&self) -> bool {
        !matches!(self, Finding::Better { .. })
    }

    /// The finding about a bench in a sentence.
    fn sentence(&self, name: &str) -> String {
        let change = |best: &f64, now: &f64| 100.0 * (now / best - 1.0);
        match self {
            Finding::Slower { best, date, now } => {
                format!(
                    "SLOWER  {name}: {now:.3} of its ceiling, {best:.3} on {date} ({:+.0} %)",
                    change(best, now)
                )
            }
            Finding::OtherResult { before, now } => {
                format!("OTHER RESULT  {name}: digest {now}, was {before}")
            }
            Finding::OtherCeiling { before, now } => {
                format!("OTHER CEILING  {name}: beside \"{now}\", was beside \"{before}\"")
            }
            Finding::NotRecorded => format!("NOT RECORDED  {name}"),
            Finding::Missing => {
                format!("MISSING  {name}: recorded, and not measured by a run of all benches")
            }
            Finding::Better { best, now } => {
                format!(
                    "better  {name}: {now:.3} of its ceiling, was {best:.3} ({:+.0} %)",
                    change(best, now)
                )
            }
        }
    }
}

/// What there is to say of each bench beside the record.
pub fn compare(run: &BenchRun, record: &Record) -> Vec<(String, Finding)> {
    let mut findings = Vec::new();
    for now in &run.measures {
        let mut found = |finding| findings.push((now.name.clone(), finding));
        let Some(kept) = record.of(&now.name) else {
            found(Finding::NotRecorded);
            continue;
        };
        let best = &kept.measure;
        if best.digest != now.digest {
            found(Finding::OtherResult { before: best.digest.clone(), now: now.digest.clone() });
        }
        if best.ceiling != now.ceiling {
            found(Finding::OtherCeiling { before: best.ceiling.clone(), now: now.ceiling.clone() });
            continue;
        }
        // Written so that a ratio that is no number is a loss.
        let holds = now.ratio >= best.ratio * (1.0 - LOSS);
        match () {
            () if !holds => {
                let date = kept.date.clone();
                found(Finding::Slower { best: best.ratio, date, now: now.ratio });
            }
            () if now.ratio > best.ratio && now.digest == best.digest => {
                found(Finding::Better { best: best.ratio, now: now.ratio });
            }
            () => {}
        }
    }
    let missed = |name: &String| run.whole && run.measures.iter().all(|measure| measure.name != *name);
    let recorded = record.best.iter().map(|kept| kept.measure.name.clone());
    findings.extend(recorded.filter(missed).map(|name| (name, Finding::Missing)));
    findings
}

/// Benches that seem to have lost something.
///
/// # Errors
/// When the record cannot be read.
pub fn suspects(root: &Path, run: &BenchRun) -> Result<Vec<String>, BenchError> {
    let found = compare(run, &Record::read(root, &run.class)?).into_iter();
    Ok(found.filter(|(_, finding)| matches!(finding, Finding::Slower { .. })).map(|(name, _)| name).collect())
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

/// Compares a run with the record of its class, and changes the record as intended: never to something worse by itself.
///
/// # Errors
/// When an intention means nothing ([`BenchError::Intent`]), or the record cannot be read or written.
pub fn conclude(root: &Path, run: &BenchRun, intent: &Intent) -> Result<Verdict, BenchError> {
    let mut record = Record::read(root, &run.class)?;
    let before = record.clone();
    intent.check(&record)?;
    fits(intent, run)?;
    let because = intent.because.as_deref().unwrap_or_default();
    let (mut text, mut bad, mut kept) = (String::new(), 0, 0);
    for (name, finding) in compare(run, &record) {
        let measure = run.measures.iter().find(|measure| measure.name == name);
        let is_sound = measure.is_some_and(|measure| measure.ratio.is_finite() && measure.ratio > 0.0);
        let on_purpose = intent.replace.contains(&name) || intent.retire.contains(&name);
        let saved =
            intent.save && is_sound && matches!(finding, Finding::NotRecorded | Finding::Better { .. });
        if let Some(measure) = measure.filter(|_| saved) {
            record.keep(measure, &run.date, &run.machine, None);
            kept += 1;
        }
        let stands = finding.is_bad() && !saved && !on_purpose;
        bad += usize::from(stands);
        let what_became = match () {
            () if on_purpose => " - replaced or retired on purpose",
            () if saved => " - kept",
            () => "",
        };
        let _ = writeln!(text, "{}{what_became}", finding.sentence(&name));
    }
    for name in &intent.replace {
        if let Some(measure) = run.measures.iter().find(|measure| measure.name == *name) {
            record.keep(measure, &run.date, &run.machine, Some(because));
        }
    }
    for name in &intent.retire {
        record.retire(name, &run.date, because);
    }
    let path = Record::path(root, &run.class);
    let _ = writeln!(
        text,
        "{} benches beside {} ({} recorded): {}",
        run.measures.len(),
        path.display(),
        before.best.len(),
        match bad {
            0 => "nothing lost".to_owned(),
            1 => "1 bad finding".to_owned(),
            n => format!("{n} bad findings"),
        }
    );
    if bad > 0 {
        text.push_str(
            "the ways out: make it as fast as it was; --save keeps what is not recorded; --replace NAME --because TEXT accepts \
             what is less or other; --retire NAME --because TEXT ends a record\n",
        );
    }
    if record != before {
        let _ = writeln!(
            text,
            "{kept} kept, {} replaced, {} retired in {}",
            intent.replace.len(),
            intent.retire.len(),
            record.write(root)?.display()
        );
    }
    Ok(Verdict { text, is_good: bad == 0 })
}

/// Whether what is intended can be done with what was measured.
fn fits(intent: &Intent, run: &BenchRun) -> Result<(), BenchError> {
    let measured = |name: &String| run.measures.iter().find(|measure| measure.name == *name);
    let refused = |problem: String| Err(BenchError::Intent(problem));
    for name in &intent.replace {
        match measured(name).map(|measure| measure.ratio) {
            None => return refused(format!("--replace {name}: this run has not measured it")),
            Some(ratio) if !(ratio.is_finite() && ratio > 0.0) => {
                return refused(format!("--replace {name}: {ratio} is no ratio"));
            }
            Some(_) => {}
        }
    }
    match intent.retire.iter().find(|name| measured(name).is_some()) {
        Some(name) => refused(format!("--retire {name}: this run has measured it")),
        None => Ok(()),
    }
}
