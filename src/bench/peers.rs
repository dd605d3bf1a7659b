//! Today's other programs on the same frames, in the same session: FabIO + pyFAI, and silx + pyFAI on OpenCL.
//!
//! They are python programs; `scripts/peers.py`, embedded here, measures them in one process of a python that has them. What it
//! is asked for and what it answers are JSON files in the scratch folder. Their patterns are compared with ours: a peer that
//! was timed on something else would be no peer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::BenchError;
use super::cache::StartFrom;
use super::error::at;
use super::outcome::{Cell, Rate, Row, RowGroup, Table};
use super::subject::Subject;
use super::table1::Settings;

/// The script, as it was when this program was built.
const SCRIPT: &str = include_str!("../../scripts/peers.py");

/// What a peer needs to be one, asked before anything is measured.
const IMPORTS: &str = "import fabio, h5py, numpy, pyFAI, silx";

/// Largest difference to our pattern of frame 0, relative to its largest intensity: float32 sums on a device, float64 on a CPU.
const AGREE_OPENCL: f32 = 1e-4;
const AGREE_CPU: f32 = 1e-6;

#[derive(Serialize)]
struct Request<'a> {
    files: Vec<&'a Path>,
    poni: &'a Path,
    npt: usize,
    unit: &'a str,
    threads: usize,
    runs: usize,
    run_seconds: f64,
    sources: &'a [StartFrom],
    results: &'a Path,
    rows: &'a [String],
    quiet: bool,
}

#[derive(Deserialize)]
struct Answer {
    versions: BTreeMap<String, String>,
    rows: Vec<PeerRow>,
}

#[derive(Deserialize)]
struct PeerRow {
    key: String,
    name: String,
    words: String,
    rates: BTreeMap<StartFrom, Vec<f64>>,
    frames: BTreeMap<StartFrom, usize>,
    missing: BTreeMap<StartFrom, String>,
    first: Option<Vec<f32>>,
}

/// The python to ask: the one named, else `XRDCT_PEER_PYTHON`, else `.tools/oracle` in a folder above the program or the
/// current one. It must be able to import the peers.
///
/// # Errors
/// [`BenchError::Peers`] with the way out when there is none, or it lacks something.
pub fn find_python(named: Option<PathBuf>) -> Result<PathBuf, BenchError> {
    let in_folder =
        |folder: &Path| Some(folder.join(".tools/oracle/bin/python")).filter(|python| python.exists());
    let above = |start: PathBuf| start.ancestors().find_map(in_folder);
    let python = named
        .or_else(|| std::env::var_os("XRDCT_PEER_PYTHON").map(PathBuf::from))
        .or_else(|| std::env::current_exe().ok().and_then(above))
        .or_else(|| std::env::current_dir().ok().and_then(above));
    let failed = |python: &Path, problem: String| BenchError::Peers { python: python.to_path_buf(), problem };
    let Some(python) = python else {
        let problem = "no python with the peers was found: name one with --peers=PYTHON or XRDCT_PEER_PYTHON \
                       (`make oracle` makes .tools/oracle, scripts/peers_setup.sh one without a network)";
        return Err(failed(Path::new("python"), problem.to_owned()));
    };
    let tried = Command::new(&python).args(["-c", IMPORTS]).output();
    match tried {
        Err(cause) => Err(failed(&python, format!("does not start: {cause}"))),
        Ok(output) if !output.status.success() => {
            let said = String::from_utf8_lossy(&output.stderr);
            let cause = said.lines().last().unwrap_or("it failed").to_owned();
            Err(failed(
                &python,
                format!("lacks what the peers need: {cause}; install pyFAI, silx, fabio and h5py there"),
            ))
        }
        Ok(_) => Ok(python),
    }
}

/// Measures the peers and adds their rows and versions to the table.
///
/// # Errors
/// When the script fails.
pub fn run(
    python: &Path,
    subject: &Subject,
    settings: &Settings,
    expected: &[f32],
    table: &mut Table,
    quiet: bool,
) -> Result<(), BenchError> {
    let run_seconds =
        (settings.row_time / u32::try_from(settings.runs.max(1)).unwrap_or(u32::MAX)).as_secs_f64();
    // Cold starts that were not possible for us are not possible for them.
    let left_out = |source: &StartFrom| {
        let missing = |row: &Row| matches!(row.cells.get(source), Some(Cell::Missing(_)));
        *source == StartFrom::Ssd && table.rows.iter().all(missing)
    };
    let sources: Vec<StartFrom> =
        settings.sources.iter().copied().filter(|source| !left_out(source)).collect();
    let request = Request {
        files: subject.files.iter().map(|file| &**file).collect(),
        poni: &subject.poni,
        npt: subject.recipe.csr.bins(),
        unit: &subject.unit,
        threads: settings.threads,
        runs: settings.runs,
        run_seconds,
        sources: &sources,
        results: &settings.results,
        rows: &settings.rows,
        quiet,
    };
    let answer: Answer = ask(python, SCRIPT, &settings.scratch, &request)?;
    table.versions = answer.versions;
    for peer in answer.rows {
        let row = peer.row(expected, &settings.sources);
        table.rows.push(row);
    }
    Ok(())
}

/// Runs a script in a peer's python: what it is asked for and what it answers are JSON files in the scratch folder.
pub(super) fn ask<Q: Serialize, A: DeserializeOwned>(
    python: &Path,
    script: &str,
    scratch: &Path,
    request: &Q,
) -> Result<A, BenchError> {
    let failed = |problem: String| BenchError::Peers { python: python.to_path_buf(), problem };
    let [program, asked, answered] =
        ["peers.py", "peers-request.json", "peers-answer.json"].map(|name| scratch.join(name));
    let text = serde_json::to_string(request).map_err(|error| failed(error.to_string()))?;
    at(&program, std::fs::write(&program, script))?;
    at(&asked, std::fs::write(&asked, text))?;
    let status = Command::new(python).arg(&program).arg(&asked).arg(&answered).status();
    match status {
        Err(cause) => return Err(failed(format!("does not start: {cause}"))),
        Ok(status) if !status.success() => {
            return Err(failed(format!("the peers' script failed ({status})")));
        }
        Ok(_) => {}
    }
    let text = at(&answered, std::fs::read_to_string(&answered))?;
    serde_json::from_str(&text).map_err(|error| failed(format!("the peers' answer cannot be read: {error}")))
}

impl PeerRow {
    fn row(mut self, expected: &[f32], sources: &[StartFrom]) -> Row {
        let allowed = if self.words.contains("Cython") { AGREE_CPU } else { AGREE_OPENCL };
        let disagreement = self.first.as_deref().and_then(|found| disagreement(found, expected, allowed));
        let cells = sources.iter().map(|source| {
            let rate = self.rates.remove(source).and_then(|runs| Rate::of(runs, *self.frames.get(source)?));
            let cell = match (self.missing.remove(source), &disagreement, rate) {
                (Some(reason), _, _) => Cell::Missing(reason),
                (None, Some(reason), _) => Cell::Missing(reason.clone()),
                (None, None, Some(rate)) => Cell::Measured(rate),
                (None, None, None) => Cell::Missing("a cold start is not possible here".to_owned()),
            };
            (*source, cell)
        });
        Row {
            cells: cells.collect(),
            key: self.key,
            name: self.name,
            group: RowGroup::Peer,
            words: self.words,
            ceiling: None,
            published: BTreeMap::new(),
        }
    }
}

/// Why a peer's pattern is not ours, if it is not.
fn disagreement(found: &[f32], expected: &[f32], allowed: f32) -> Option<String> {
    if found.len() != expected.len() {
        return Some(format!("its pattern has {} bins, ours {}", found.len(), expected.len()));
    }
    let largest = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let worst =
        found.iter().zip(expected).map(|(a, b)| (a - b).abs() / largest).fold(0.0_f32, |worst, off| {
            // A NaN is as wrong as can be.
            if off.is_nan() { f32::INFINITY } else { worst.max(off) }
        });
    (worst > allowed)
        .then(|| format!("its pattern differs from ours by {worst:.1e} of the largest intensity"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_pattern_is_no_peer() {
        let ours = [1.0, 10.0, 100.0];
        assert_eq!(disagreement(&[1.0, 10.0, 100.00001], &ours, AGREE_CPU), None);
        assert!(disagreement(&[1.0, 10.1, 100.0], &ours, AGREE_OPENCL).is_some());
        assert!(disagreement(&[1.0, f32::NAN, 100.0], &ours, AGREE_OPENCL).is_some());
        assert!(disagreement(&[1.0], &ours, AGREE_OPENCL).is_some());
    }
}
