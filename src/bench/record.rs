//! The best that each bench ever reached on a class of machine: `profiles/record/<class>/record.json`.
//!
//! A record holds what a bench computed (a digest), the ratio to the ceiling measured in the same run, and the throughput. **Ratios
//! are compared, not times**: machines of one class still differ and drift, and a ceiling drifts with them. A run can only raise a
//! record. What lowers one, or ends it, is done by name and with a reason, and what it was stays in the file.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::BenchError;
use super::error::at;
use super::machine::Machine;
use super::measure::Measure;

/// Version of the format.
const FORMAT: u32 = 2;

/// Figures as they were taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The figures.
    #[serde(flatten)]
    pub measure: Measure,
    /// When, year-month-day.
    pub date: String,
    /// On which of the record's machines.
    pub machine: usize,
}

/// What was a record once, and why it is none any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// The figures.
    #[serde(flatten)]
    pub was: Kept,
    /// When it ended, year-month-day.
    pub ended: String,
    /// Why.
    pub because: String,
}

/// All records of a class of machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Version of the format.
    pub format: u32,
    /// Class of machine.
    pub class: String,
    /// The machines that the figures are from.
    pub machines: Vec<Machine>,
    /// The best of each bench.
    pub best: Vec<Kept>,
    /// What was replaced or retired on purpose, the oldest first.
    pub ended: Vec<Ended>,
}

impl Record {
    /// A record in which nothing is recorded.
    pub fn empty(class: &str) -> Record {
        Record { format: FORMAT, class: class.to_owned(), machines: vec![], best: vec![], ended: vec![] }
    }

    /// Where the record of a class is, below `root`.
    pub fn path(root: &Path, class: &str) -> PathBuf {
        root.join(class).join("record.json")
    }

    /// Reads the record of a class; an empty one where there is none.
    ///
    /// # Errors
    /// When the file cannot be read or is none.
    pub fn read(root: &Path, class: &str) -> Result<Record, BenchError> {
        let path = Record::path(root, class);
        if !path.exists() {
            return Ok(Record::empty(class));
        }
        let text = at(&path, fs::read_to_string(&path))?;
        let wrong = |problem: String| BenchError::Record { path: path.clone(), problem };
        let record: Record = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let machines = record.machines.len();
        let mut kept = record.best.iter().chain(record.ended.iter().map(|ended| &ended.was));
        match () {
            () if record.format != FORMAT => {
                Err(wrong(format!("its format is {}, this program reads {FORMAT}", record.format)))
            }
            () if record.class != class => Err(wrong(format!("it is of the class {}", record.class))),
            () if kept.any(|kept| kept.machine >= machines) => {
                Err(wrong(format!("a figure is from a machine that is none of its {machines}")))
            }
            () => Ok(record),
        }
    }

    /// Writes the record where [`Record::read`] finds it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, root: &Path) -> Result<PathBuf, BenchError> {
        let path = Record::path(root, &self.class);
        let folder = root.join(&self.class);
        at(&folder, fs::create_dir_all(&folder))?;
        let text = serde_json::to_string_pretty(self);
        let text =
            text.map_err(|error| BenchError::Record { path: path.clone(), problem: error.to_string() })?;
        at(&path, fs::write(&path, text + "\n"))?;
        Ok(path)
    }

    /// The record of a bench.
    pub fn of(&self, name: &str) -> Option<&Kept> {
        self.best.iter().find(|kept| kept.measure.name == name)
    }

    /// Makes a run's figures the record of their bench. With `because`, what they replace is kept with that reason.
    pub fn keep(&mut self, measure: &Measure, date: &str, machine: &Machine, because: Option<&str>) {
        let known = self.machines.iter().position(|known| known == machine);
        let machine = known.unwrap_or_else(|| {
            self.machines.push(machine.clone());
            self.machines.len() - 1
        });
        let now = Kept { measure: measure.clone(), date: date.to_owned(), machine };
        match self.best.iter_mut().find(|kept| kept.measure.name == measure.name) {
            None => self.best.push(now),
            Some(place) => {
                let was = std::mem::replace(place, now);
                self.ended.extend(because.map(|because| Ended {
                    was,
                    ended: date.to_owned(),
                    because: because.to_owned(),
                }));
            }
        }
    }

    /// Ends the record of a bench that is no more. False when there is none.
    pub fn retire(&mut self, name: &str, date: &str, because: &str) -> bool {
        let Some(at) = self.best.iter().position(|kept| kept.measure.name == name) else { return false };
        let was = self.best.remove(at);
        self.ended.push(Ended { was, ended: date.to_owned(), because: because.to_owned() });
        true
    }
}
