//! Reads patterns back: whole or some bins of all, with what is known of each frame. Rows are points of the map, or frames.
//!
//! pyFAI-diffmap's files have the same layout under `/entry_0000/pyFAI` and are read too; what they do not have (statuses,
//! header numbers) is absent then.
mod cakes;
mod weights;

use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::info::{bin_axes, not_whole, opened};
use super::layout::{BinAxis, COMPLETE};
use super::plain::bytes;
use super::sector::Sector;
use super::segments::Segments;
use crate::budget;
use crate::files;
use crate::frame::FrameStatus;
use crate::geometry::letters::with_unit;
use crate::h5::{self, Dataset, Group, Kind};
use crate::output::{OutputError, nexus};

pub use cakes::MeanCake;
use weights::BinWeights;

/// Rows are counted in 32 bits by those who work with them.
const MOST_ROWS: usize = u32::MAX as usize;

/// Name of the azimuthal axis, as pyFAI-diffmap has it.
const AZIMUTHAL: &str = "azimuthal";

/// What is kept of each row beside its pattern: status, frame, sum, positions.
const ROW_BYTES: usize = 64;

/// The patterns of a result file, open for reading.
#[derive(Debug)]
pub struct Patterns {
    path: PathBuf,
    intensity: Dataset,
    process: Group,
    /// How azimuthal bins are averaged, where there are some.
    weights: Option<BinWeights>,
    /// What tells this result from another one, and from itself once more rows came.
    pub identity: String,
    /// Axes of the bins, slowest first: the radial one is the last, before it may be the azimuthal one.
    pub axes: Vec<BinAxis>,
    /// (slow, fast) of a map; `None` when rows are frames one after the other.
    pub map: Option<(usize, usize)>,
    /// Which rows hold a pattern.
    pub good: Vec<bool>,
    /// Which frame (of this file) is in each row; `None` for points that no frame came for.
    pub frames: Vec<Option<usize>>,
}

impl Patterns {
    /// Opens a result file of xrdct or pyFAI-diffmap.
    ///
    /// # Errors
    /// [`OutputError::Io`] when it cannot be read, [`OutputError::NotAResult`] when it is something else.
    pub fn open(path: &Path) -> Result<Patterns, OutputError> {
        let not = |problem: String| OutputError::NotAResult { path: path.into(), problem };
        let part = |name: &'static str| move |e: h5::Error| not_whole(path, name, &e);
        let file = opened(path)?;
        let process = ["entry_0000/xrdct", "entry_0000/pyFAI"]
            .iter()
            .find_map(|name| file.group(name).ok())
            .ok_or_else(|| not("there is no group /entry_0000/xrdct or /entry_0000/pyFAI in it".into()))?;
        let data = process.group("result").map_err(part("result"))?;
        let intensity = data.dataset("intensity").map_err(part("result/intensity"))?;
        let axes = bin_axes(path, &data)?;
        check_axes(&axes).map_err(not)?;
        let bins: Vec<usize> = axes.iter().map(|axis| axis.centres.len()).collect();
        let shape = intensity.shape();
        let leading = &shape[..shape.len().saturating_sub(bins.len())];
        let (rows, map) = match *leading {
            [frames] => (Some(frames), None),
            [slow, fast] => (slow.checked_mul(fast), Some((slow, fast))),
            _ => {
                let each = if bins.len() == 1 { "npt" } else { "azimuthal, npt" };
                return Err(not(format!(
                    "intensity has the shape {shape:?}, not (frames, {each}) or (slow, fast, {each})"
                )));
            }
        };
        let rows = rows.filter(|rows| (1..=MOST_ROWS).contains(rows) && !bins.contains(&0));
        let Some(rows) = rows else {
            return Err(not(format!(
                "intensity has the shape {shape:?}; at least 1 and at most {MOST_ROWS} rows of at least 1 bin are wanted"
            )));
        };
        budget::allow(format_args!("what is known of {rows} rows"), budget::bytes_of(&[rows], ROW_BYTES))
            .map_err(|cause| not(cause.to_string()))?;
        let of_rows = |dataset: h5::Dataset| match dataset.facts().count() {
            Some(length) if length == rows => Ok(dataset),
            _ => Err(format!("it has the shape {:?}, there are {rows} rows", dataset.shape()).into()),
        };
        if shape[leading.len()..] != bins {
            return Err(not(format!(
                "intensity has the shape {shape:?}, {} {bins:?} bins",
                if bins.len() == 1 { "the axis has" } else { "the axes have" }
            )));
        }
        let good = match process.dataset("frame_status") {
            Ok(statuses) => {
                let segments = Segments::read(path, &process)?;
                let statuses: Vec<u8> = of_rows(statuses).and_then(|d| d.read_raw()).map_err(|error| {
                    let unreadable = segments.as_ref().and_then(|segments| segments.unreadable(None));
                    unreadable.unwrap_or_else(|| part("frame_status")(error))
                })?;
                let is_complete = nexus::read_text(&process, "status").is_ok_and(|word| word == COMPLETE);
                let segments = segments.filter(|_| is_complete);
                if let Some(error) = segments.and_then(|segments| segments.unreadable(Some(&statuses))) {
                    return Err(error);
                }
                statuses.iter().map(|&s| s == FrameStatus::Good as u8).collect()
            }
            Err(_) => vec![true; rows],
        };
        let frames = match map {
            None => (0..rows).map(Some).collect(),
            Some(_) => {
                let pointers = data.dataset("map_ptr").and_then(of_rows);
                let pointers: Vec<i32> =
                    pointers.and_then(|d| d.read_raw()).map_err(part("result/map_ptr"))?;
                let offset = process.dataset("offset").and_then(|d| d.read_scalar::<i64>()).unwrap_or(0);
                let frame = |&p: &i32| usize::try_from(i64::from(p).checked_sub(offset)?).ok();
                pointers.iter().map(frame).collect::<Vec<_>>()
            }
        };
        let identity = identity(path, &file, &process);
        let weights = match axes.len() {
            1 => None,
            _ => Some(BinWeights::of(path, &process, rows, bins.iter().product())?),
        };
        Ok(Patterns { path: path.into(), intensity, process, weights, identity, axes, map, good, frames })
    }

    /// The radial axis.
    pub fn radial(&self) -> &BinAxis {
        // There is one: no file without is opened.
        &self.axes[self.axes.len() - 1]
    }

    /// The azimuthal axis, degrees, of a result of two axes.
    pub fn azimuthal(&self) -> Option<&BinAxis> {
        self.axes.iter().rev().nth(1)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.frames.len()
    }

    /// Number of radial bins.
    pub fn npt(&self) -> usize {
        self.radial().centres.len()
    }

    /// Some radial bins of every row: `[row][bin]`, of two axes the means over the whole azimuthal one
    /// ([`Patterns::read_sectors`]). Rows without a pattern are NaN.
    ///
    /// # Errors
    /// [`OutputError::Read`].
    pub fn read(&self, bins: Range<usize>) -> Result<Vec<f32>, OutputError> {
        if let Some(azimuthal) = self.azimuthal() {
            return self.read_sectors(&[Sector::whole(&azimuthal.centres)], bins);
        }
        let count = bins.len();
        let part = match self.map {
            None => vec![0..self.rows(), bins],
            Some((slow, fast)) => vec![0..slow, 0..fast, bins],
        };
        let mut values = self.intensity.read_part::<f32>(&part).map_err(|cause| self.failed(cause))?;
        for (row, _) in values.chunks_mut(count).zip(&self.good).filter(|(_, good)| !**good) {
            row.fill(f32::NAN);
        }
        Ok(values)
    }

    fn failed(&self, cause: h5::Error) -> OutputError {
        OutputError::Read { path: self.path.clone(), action: "reading patterns", cause }
    }

    /// A number of the frames' headers, one a row; NaN where no frame is. `None` when the file has none of that name.
    pub fn number(&self, name: &str) -> Option<Vec<f64>> {
        let numbers: Vec<f64> = self.process.dataset(&format!("input/{name}")).ok()?.read_raw().ok()?;
        let of = |frame: &Option<usize>| frame.and_then(|n| numbers.get(n).copied()).unwrap_or(f64::NAN);
        Some(self.frames.iter().map(of).collect())
    }

    /// Names of the header numbers that the file has.
    pub fn number_names(&self) -> Vec<String> {
        let Ok(input) = self.process.group("input") else { return vec![] };
        let is_number = |name: &String| {
            input
                .dataset(name)
                .is_ok_and(|dataset| matches!(dataset.facts().kind, Kind::Integer | Kind::Float))
        };
        input.member_names().unwrap_or_default().into_iter().filter(is_number).collect()
    }
}

/// Whether powder patterns can be made of bins of these axes; says why not.
fn check_axes(axes: &[BinAxis]) -> Result<(), String> {
    match axes {
        [_] => Ok(()),
        [azimuthal, _] if azimuthal.name == AZIMUTHAL && azimuthal.unit == "deg" => Ok(()),
        _ => {
            let name = |axis: &BinAxis| with_unit(&axis.name, &axis.unit);
            Err(format!(
                "its bins have {} axes ({}); those that are read are a radial one, and before it `{AZIMUTHAL}` in degrees",
                axes.len(),
                axes.iter().map(name).collect::<Vec<_>>().join(", ")
            ))
        }
    }
}

/// A run's number and the checksum of its rows' checksums and statuses; of a file that has none, its size and time.
fn identity(path: &Path, file: &h5::File, process: &Group) -> String {
    let rows = || -> h5::Result<String> {
        let uuid = nexus::read_text(&file.group("entry_0000")?, "entry_identifier_uuid")?;
        let (crcs, statuses): (Vec<u32>, Vec<u8>) =
            (process.dataset("row_crc")?.read_raw()?, process.dataset("frame_status")?.read_raw()?);
        let mut all = crc32fast::Hasher::new();
        all.update(bytes(&crcs));
        all.update(&statuses);
        Ok(format!("run {uuid}, rows crc32:{:08x}", all.finalize()))
    };
    rows().unwrap_or_else(|_| {
        let there = files::metadata(path);
        let (size, time) = there.map_or((0, 0), |there| (there.len(), there.mtime()));
        format!("{size} bytes, changed at {time} s")
    })
}
