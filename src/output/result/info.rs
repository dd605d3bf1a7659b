//! Reads back what a result file says of itself: for `xrdct info`, for resuming, for tests.
//!
//! Nothing is taken on trust: a file that another program wrote, that is cut short or that lacks a part gives one
//! sentence that names the part. The patterns are not read.
use std::path::{Path, PathBuf};

use super::beside::Beside;
use super::device;
use super::layout::{BinAxis, COMPLETE};
use super::length::cut_short;
use super::part::{PartOf, SegmentOf};
use super::segments::Segments;
use super::skeleton::RUNNING;
use crate::files;
use crate::frame::FrameStatus;
use crate::h5;
use crate::output::{OutputError, nexus};

/// How far the run that wrote a file came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Still being written, or killed: the file cannot know which.
    Running,
    /// The run ended by itself.
    Complete,
    /// The user stopped it.
    Interrupted,
    /// It could not go on, for this reason.
    Failed(String),
}

impl Progress {
    /// From the word in a file; `None` for any other. A failed run has a reason.
    pub(in crate::output) fn parse(word: &str, reason: impl FnOnce() -> String) -> Option<Progress> {
        match word {
            RUNNING => Some(Progress::Running),
            COMPLETE => Some(Progress::Complete),
            "interrupted" => Some(Progress::Interrupted),
            "failed" => Some(Progress::Failed(reason())),
            _ => None,
        }
    }
}

/// What a result file holds, without its patterns.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultInfo {
    /// The file.
    pub path: PathBuf,
    /// Version of xrdct that wrote it.
    pub version: String,
    /// Title of the entry.
    pub title: String,
    /// When the run began, ISO 8601.
    pub start_time: String,
    /// When it ended, ISO 8601; empty while it runs.
    pub end_time: String,
    /// How long it took, seconds; `None` while it runs.
    pub duration: Option<f64>,
    /// How far it came.
    pub progress: Progress,
    /// Shape of `intensity`: (frames, npt) or (slow, fast, npt), with two axes (…, azimuthal, radial).
    pub shape: Vec<usize>,
    /// Axes of the bins, slowest first.
    pub axes: Vec<BinAxis>,
    /// What there is in each bin beside the intensity.
    pub beside: Vec<Beside>,
    /// Whether there are float64 sums.
    pub sums: bool,
    /// Number of rows of each status, only those that occur.
    pub statuses: Vec<(FrameStatus, usize)>,
    /// Frames with saturated pixels, and how many those are; `None` when it was not known which are.
    pub saturated: Option<(usize, u64)>,
    /// Rows that the CPU made although a GPU was planned, and why; `None` when there are none.
    pub gone_over: Option<(usize, String)>,
    /// Who decoded and who integrated, as it was planned; older files do not say it.
    pub route: Option<String>,
    /// What it is a part of.
    pub part: Option<PartOf>,
    /// The files that have its rows, of a master.
    pub segments: Option<Segments>,
    /// What it is a segment of.
    pub segment: Option<SegmentOf>,
    /// Names of the results that it was merged from.
    pub merged_from: Vec<String>,
    /// Why devices were lost whose frames others of their kind did again.
    pub lost_devices: Vec<String>,
    /// Messages of bad frames; written at the end of a run.
    pub bad_frames: Vec<String>,
    /// The input files.
    pub inputs: Vec<String>,
    /// The run.
    pub configuration: serde_json::Value,
}

impl ResultInfo {
    /// Names of what it holds beside the intensity.
    pub fn besides(&self) -> Vec<&'static str> {
        let sums = self.sums.then_some("sums");
        self.beside.iter().map(|beside| beside.name()).chain(sums).collect()
    }

    /// Frames that came, good and bad.
    pub fn frames_done(&self) -> usize {
        self.statuses
            .iter()
            .filter(|(status, _)| *status != FrameStatus::Pending)
            .map(|(_, count)| count)
            .sum()
    }

    /// Number of rows of a status.
    pub fn count(&self, status: FrameStatus) -> usize {
        self.statuses.iter().filter(|(other, _)| *other == status).map(|(_, count)| count).sum()
    }

    /// Reads what a result file says of itself.
    ///
    /// # Errors
    /// [`OutputError::Io`] when it cannot be read, [`OutputError::NotAResult`] when it is something else.
    pub fn open(path: &Path) -> Result<ResultInfo, OutputError> {
        ResultInfo::of(path, &opened(path)?)
    }

    /// The same of a file that is open.
    pub(super) fn of(path: &Path, file: &h5::File) -> Result<ResultInfo, OutputError> {
        let not = |problem: String| OutputError::NotAResult { path: path.into(), problem };
        let process = file.group("entry_0000/xrdct").map_err(|_| {
            not("there is no group /entry_0000/xrdct in it. pyFAI's own results can be opened with pyFAI"
                .into())
        })?;
        let entry = file.group("entry_0000").map_err(|e| not(e.to_string()))?;
        let part = |name: &str| {
            let name = name.to_string();
            move |e: h5::Error| not_whole(path, &name, &e)
        };
        let text = |group: &h5::Group, name: &str| nexus::read_text(group, name).map_err(part(name));

        let data = process.group("result").map_err(part("result"))?;
        let intensity = data.dataset("intensity").map_err(part("result/intensity"))?;
        let axes = bin_axes(path, &data)?;
        let segments = Segments::read(path, &process)?;
        let statuses = process.dataset("frame_status").and_then(|statuses| statuses.read_raw());
        let statuses: Vec<u8> = statuses.map_err(|error| {
            let unreadable = segments.as_ref().and_then(|segments| segments.unreadable(None));
            unreadable.unwrap_or_else(|| part("frame_status")(error))
        })?;
        let count = |status: FrameStatus| statuses.iter().filter(|&&s| s == status as u8).count();
        let saturated: Option<Vec<i64>> = match process.link_exists("saturated") {
            true => Some(process.dataset("saturated").and_then(|s| s.read_raw()).map_err(part("saturated"))?),
            false => None,
        };
        let configuration = text(&process, "configuration/data")?;
        let (status, message) = (text(&process, "status")?, text(&process, "message")?);

        Ok(ResultInfo {
            path: path.into(),
            version: text(&process, "version")?,
            title: text(&entry, "title")?,
            start_time: text(&entry, "start_time")?,
            end_time: text(&entry, "end_time")?,
            duration: nexus::read_duration(&process),
            progress: Progress::parse(&status, || message)
                .ok_or_else(|| not(format!("its status is `{status}`")))?,
            shape: intensity.shape(),
            axes,
            beside: Beside::ALL.into_iter().filter(|beside| data.link_exists(beside.name())).collect(),
            sums: process.link_exists("sums"),
            statuses: FrameStatus::ALL.into_iter().map(|s| (s, count(s))).filter(|(_, n)| *n > 0).collect(),
            saturated: saturated.map(|counts| {
                let some = counts.iter().filter(|count| **count > 0);
                (some.clone().count(), some.map(|count| *count as u64).sum())
            }),
            gone_over: device::read(&process).map_err(part("frame_device"))?,
            route: nexus::read_text(&process, "route").ok(),
            part: match process.link_exists("part") {
                true => {
                    let part = serde_json::from_str(&text(&process, "part")?);
                    Some(part.map_err(|e| not(format!("part does not say which part it is: {e}")))?)
                }
                false => None,
            },
            segments,
            segment: match process.link_exists("segment") {
                true => {
                    let segment = serde_json::from_str(&text(&process, "segment")?);
                    Some(segment.map_err(|e| not(format!("segment does not say which segment it is: {e}")))?)
                }
                false => None,
            },
            merged_from: nexus::read_texts(&process, "merged_from/file_names").unwrap_or_default(),
            lost_devices: device::lost(&process).map_err(part("lost_devices"))?,
            bad_frames: nexus::read_texts(&process, "bad_frames").unwrap_or_default(),
            inputs: nexus::read_texts(&process, "input/file_names").map_err(part("input/file_names"))?,
            configuration: serde_json::from_str(&configuration)
                .map_err(|e| not(format!("configuration/data is not JSON: {e}")))?,
        })
    }
}

/// The axes of a group of patterns that are not motors, slowest first; at least one.
pub(super) fn bin_axes(path: &Path, data: &h5::Group) -> Result<Vec<BinAxis>, OutputError> {
    let part = |name: &str| {
        let name = name.to_string();
        move |e: h5::Error| not_whole(path, &name, &e)
    };
    let names = data.attribute_texts("axes").map_err(part("result@axes"))?;
    let names = names.iter().map(String::as_str);
    let mut axes = Vec::new();
    for name in names.filter(|axis| !["slow", "fast", "frame", "."].contains(axis)) {
        let axis = data.dataset(name).map_err(part(name))?;
        axes.push(BinAxis {
            name: name.into(),
            unit: nexus::read_attribute(&axis, "unit").unwrap_or_default(),
            long_name: nexus::read_attribute(&axis, "long_name").unwrap_or_default(),
            centres: axis.read_raw().map_err(part(name))?,
        });
    }
    match axes.is_empty() {
        true => {
            Err(OutputError::NotAResult { path: path.into(), problem: "result has no radial axis".into() })
        }
        false => Ok(axes),
    }
}

/// Opens a file that may be anything.
pub(in crate::output) fn opened(path: &Path) -> Result<h5::File, OutputError> {
    let unread = |cause| OutputError::Io { path: path.into(), action: "opening the file", cause };
    let there = files::open(path).map_err(unread)?;
    h5::File::open(path).map_err(|cause| {
        let problem = match cause {
            h5::Error::Said(_) if cut_short(&there).is_some() => {
                "it is shorter than it says: a part of it is missing. Where its run was killed at the very end, --resume mends it".into()
            }
            h5::Error::Said(_) => "it is not an HDF5 file, or it is damaged".into(),
            other => other.to_string(),
        };
        OutputError::NotAResult { path: path.into(), problem }
    })
}

pub(super) fn not_whole(path: &Path, part: &str, cause: &h5::Error) -> OutputError {
    OutputError::NotAResult {
        path: path.into(),
        problem: format!("{part} is missing or different ({cause})"),
    }
}
