//! The table as data: what was measured, on what, and what is missing and why. Serialises to the JSON of `--json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cache::StartFrom;
use super::machine::Machine;
use super::paper::{Published, published};

/// Whose row it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowGroup {
    /// A strategy of the paper, run by this program.
    Paper,
    /// This program's own.
    Ours,
    /// What no strategy can beat.
    Ceiling,
    /// Another program.
    Peer,
}

impl RowGroup {
    /// Every group, in the order of the table.
    pub const ALL: [RowGroup; 4] = [RowGroup::Paper, RowGroup::Ours, RowGroup::Ceiling, RowGroup::Peer];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            RowGroup::Paper => "paper",
            RowGroup::Ours => "ours",
            RowGroup::Ceiling => "ceiling",
            RowGroup::Peer => "peer",
        }
    }

    /// The heading over its rows.
    pub const fn heading(self) -> &'static str {
        match self {
            RowGroup::Paper => "strategies of the paper, run by xrdct",
            RowGroup::Ours => "beyond the paper",
            RowGroup::Ceiling => "ceilings",
            RowGroup::Peer => "today's peers, same frames",
        }
    }
}

/// Frames a second of some runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// Median of the runs.
    pub median: f64,
    /// Median absolute deviation from it.
    pub mad: f64,
    /// Each run.
    pub runs: Vec<f64>,
    /// Frames that a run walked through (the fewest of all runs): less than there are when `--row-time` cut it, more when
    /// a hot run was so short that the list was walked through several times.
    pub frames: usize,
}

impl Rate {
    /// Statistics of runs; none of no runs.
    pub fn of(runs: Vec<f64>, frames: usize) -> Option<Rate> {
        let middle = median(&runs)?;
        let deviations: Vec<f64> = runs.iter().map(|run| (run - middle).abs()).collect();
        Some(Rate { median: middle, mad: median(&deviations)?, runs, frames })
    }
}

/// The middle of some numbers; of an even count the mean of the two in the middle.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    let high = *sorted.get(half)?;
    Some(if sorted.len().is_multiple_of(2) { (sorted[half - 1] + high) / 2.0 } else { high })
}

/// What stands in one place of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cell {
    /// A figure.
    Measured(Rate),
    /// None, and why.
    Missing(String),
}

impl Cell {
    /// The figure, if there is one.
    pub fn rate(&self) -> Option<&Rate> {
        match self {
            Cell::Measured(rate) => Some(rate),
            Cell::Missing(_) => None,
        }
    }
}

/// One row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Name for `--rows`, CSV and JSON.
    pub key: String,
    /// Name for people.
    pub name: String,
    /// Whose it is.
    pub group: RowGroup,
    /// What it does, in words; for a peer its versions.
    pub words: String,
    /// The row that it cannot beat.
    pub ceiling: Option<String>,
    /// What the paper says, by source; nothing of rows that are not its own. Whatever a file says, it is what we know now.
    #[serde(skip_deserializing)]
    pub published: BTreeMap<StartFrom, Published>,
    /// Figures by source.
    pub cells: BTreeMap<StartFrom, Cell>,
}

/// What frames were measured with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeasuredFrames {
    /// How many.
    pub count: usize,
    /// Pixels, slow × fast.
    pub shape: [usize; 2],
    /// numpy's name of the pixels' type.
    pub pixel: String,
    /// Bytes of all files.
    pub bytes: u64,
    /// Kind of the file system that they are on.
    pub file_system: Option<String>,
    /// Whether they were simulated.
    pub simulated: bool,
    /// Bins of a pattern.
    pub npt: usize,
}

/// The whole table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Program and version.
    pub program: String,
    /// When.
    pub date: String,
    /// On what.
    pub machine: Machine,
    /// With what.
    pub frames: MeasuredFrames,
    /// Threads that plans were given.
    pub threads: usize,
    /// Runs of each row.
    pub runs: usize,
    /// Versions of the peers' programs.
    pub versions: BTreeMap<String, String>,
    /// Sentences that belong under the table.
    pub notes: Vec<String>,
    /// The rows, in order.
    pub rows: Vec<Row>,
}

/// A figure over another of the same run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// What over what.
    pub name: String,
    /// By how much.
    pub value: f64,
}

impl Table {
    /// The table of an earlier run.
    ///
    /// # Errors
    /// When it is not the JSON of one.
    pub fn from_json(json: &[u8]) -> serde_json::Result<Table> {
        let mut table: Table = serde_json::from_slice(json)?;
        table.rows.iter_mut().for_each(|row| row.published = published(&row.key));
        Ok(table)
    }

    /// A row by its key.
    pub fn row(&self, key: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.key == key)
    }

    /// The figure of a row.
    pub fn rate(&self, key: &str, source: StartFrom) -> Option<&Rate> {
        self.row(key)?.cells.get(&source)?.rate()
    }

    /// What a row reaches of its ceiling.
    pub fn share(&self, row: &Row, source: StartFrom) -> Option<f64> {
        let own = row.cells.get(&source)?.rate()?;
        Some(own.median / self.rate(row.ceiling.as_deref()?, source)?.median)
    }

    /// Sources that have a figure or a reason, hot first.
    pub fn sources(&self) -> Vec<StartFrom> {
        let has = |source: &StartFrom| self.rows.iter().any(|row| row.cells.contains_key(source));
        [StartFrom::Mem, StartFrom::Ssd].into_iter().filter(has).collect()
    }

    /// The fastest row of those that `wanted` picks.
    pub fn best(&self, source: StartFrom, wanted: impl Fn(&Row) -> bool) -> Option<(&Row, &Rate)> {
        let rate = |row: &'_ Row| row.cells.get(&source).and_then(Cell::rate).map(|rate| rate.median);
        let rows = self.rows.iter().filter(|row| wanted(row) && rate(row).is_some());
        let best = rows.max_by(|a, b| rate(a).unwrap_or(0.0).total_cmp(&rate(b).unwrap_or(0.0)))?;
        Some((best, best.cells.get(&source)?.rate()?))
    }

    /// What the figures come to, where they are there.
    pub fn ratios(&self) -> Vec<Ratio> {
        let mut ratios = Vec::new();
        for source in self.sources() {
            let mut add = |what: String, over: Option<&Rate>, under: Option<&Rate>| {
                if let (Some(over), Some(under)) = (over, under) {
                    let value = over.median / under.median;
                    ratios.push(Ratio { name: format!("{what} ({})", source.name()), value });
                }
            };
            let own = |row: &Row| matches!(row.group, RowGroup::Paper | RowGroup::Ours);
            let gpu = self.best(source, |row| own(row) && row.ceiling.as_deref() == Some("read-upload"));
            let peer = self.best(source, |row| row.group == RowGroup::Peer);
            let any = self.best(source, own);
            if let Some((row, rate)) = gpu {
                let what = format!("{} / read + upload only", row.name);
                add(what, Some(rate), self.rate("read-upload", source));
            }
            if let (Some((row, rate)), Some((peer, peers))) = (any, peer) {
                add(format!("{} / {} (the best peer)", row.name, peer.name), Some(rate), Some(peers));
            }
            add(
                "CPU pool / FabIO + pyFAI, sequential".into(),
                self.rate("cpu-pool", source),
                self.rate("peer-sequential", source),
            );
        }
        ratios
    }
}
