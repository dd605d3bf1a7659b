//! What an earlier run left of a result: for one that goes on with it, and for a whole that it is a part of.
//!
//! What the HDF5 library says of the file is where things are; the rows are read without it ([`rows`]).

mod rows;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::device;
use super::info::{Progress, ResultInfo, not_whole, opened};
use super::layout::{FileStamp, Layout};
use super::mend;
use super::part::PartOf;
use super::raster::Raster;
use super::skeleton::DIGEST_LEN;
use crate::files;
use crate::frame::{Column, Digest, FrameHeader, FrameStatus};
use crate::h5::{self, Group, Kind};
use crate::output::{OutputError, nexus};

pub(super) use rows::StoredRows;

/// Name of the dataset of digests.
const DIGESTS: &str = "input/content_md5";

/// An earlier run's result, open.
#[derive(Debug)]
pub struct EarlierResult {
    /// What it says of itself.
    pub info: ResultInfo,
    /// Its run.
    pub uuid: String,
    /// What decided its patterns beside the configuration.
    pub recipe: Value,
    /// What its input files were.
    pub stamps: Vec<FileStamp>,
    path: PathBuf,
    file: File,
    process: Group,
    /// One a row.
    statuses: Vec<u8>,
    crcs: Vec<u32>,
    by_cpu: Option<Vec<u8>>,
    digests: Option<Digests>,
    messages: BTreeMap<usize, String>,
}

/// The digests of frames.
#[derive(Debug)]
enum Digests {
    /// One after the other, from here on.
    At(u64),
    /// As other files have them.
    Shown(Vec<u8>),
}

impl EarlierResult {
    /// Opens what a run left that may have been killed, to go on with it.
    ///
    /// # Errors
    /// As [`ResultInfo::open`].
    pub fn open_to_go_on(path: &Path) -> Result<EarlierResult, OutputError> {
        mend::mend(path)?;
        EarlierResult::open(path)
    }

    /// Opens a result of this program.
    ///
    /// # Errors
    /// As [`ResultInfo::open`].
    pub fn open(path: &Path) -> Result<EarlierResult, OutputError> {
        let file = opened(path)?;
        let info = ResultInfo::of(path, &file)?;
        let part = |name: &'static str| move |e: h5::Error| not_whole(path, name, &e);
        let unread = |cause| OutputError::Io { path: path.into(), action: "opening the file", cause };
        let entry = file.group("entry_0000").map_err(part("entry_0000"))?;
        let process = entry.group("xrdct").map_err(part("xrdct"))?;
        let text = |name: &'static str| nexus::read_text(&process, name).map_err(part(name));
        let recipe = serde_json::from_str(&text("configuration/recipe")?).unwrap_or_default();
        let of_rows = |name: &'static str| process.dataset(name).map_err(part(name));
        let statuses = of_rows("frame_status")?.read_raw().map_err(part("frame_status"))?;
        let crcs: Vec<u32> = of_rows("row_crc")?.read_raw().map_err(part("row_crc"))?;
        let earlier = EarlierResult {
            uuid: nexus::read_text(&entry, "entry_identifier_uuid").map_err(part("entry_identifier_uuid"))?,
            recipe,
            stamps: stamps(&process).map_err(part("input"))?,
            path: path.into(),
            file: files::open(path).map_err(unread)?,
            digests: match process.link_exists(DIGESTS) {
                true => {
                    let digests = process.dataset(DIGESTS).map_err(part(DIGESTS))?;
                    Some(match digests.facts().place {
                        Some((place, _)) => Digests::At(place),
                        None => Digests::Shown(digests.read_raw().map_err(part(DIGESTS))?),
                    })
                }
                false => None,
            },
            by_cpu: device::marks(&process).map_err(part("frame_device"))?,
            messages: info.bad_frames.iter().filter_map(|line| message(line)).collect(),
            statuses,
            crcs,
            process,
            info,
        };
        match earlier.crcs.len() == earlier.statuses.len() {
            true => Ok(earlier),
            false => Err(earlier.not("row_crc and frame_status have different lengths".into())),
        }
    }

    /// Whether the run ended and every frame has come, so that there is nothing to go on with.
    pub fn is_complete(&self, frames: usize) -> bool {
        self.info.progress == Progress::Complete && self.info.frames_done() == frames
    }

    /// That every segment of a master whose run is complete can be read; of any other result nothing.
    ///
    /// # Errors
    /// [`OutputError::NoSegment`], with its path.
    pub fn check_segments(&self) -> Result<(), OutputError> {
        let segments = self.info.segments.as_ref().filter(|_| self.info.progress == Progress::Complete);
        segments.and_then(|segments| segments.unreadable(Some(&self.statuses))).map_or(Ok(()), Err)
    }

    /// What became of the frame in a row.
    pub fn status(&self, row: usize) -> Option<FrameStatus> {
        let status = self.statuses.get(row)?;
        FrameStatus::ALL.into_iter().find(|known| *known as u8 == *status)
    }

    /// Why a frame is bad.
    pub(super) fn message(&self, frame: usize) -> Option<&str> {
        self.messages.get(&frame).map(String::as_str)
    }

    /// Where a row was made.
    pub(super) fn mark(&self, row: usize) -> u8 {
        let marks = self.by_cpu.as_deref().unwrap_or_default();
        marks.get(row).copied().unwrap_or(device::mark(false))
    }

    /// Rows that it has.
    pub(super) fn rows(&self) -> usize {
        self.statuses.len()
    }

    /// The digest of a frame's bytes that was verified.
    pub fn digest(&self, frame: usize) -> Option<Digest> {
        let mut digest = Digest::default();
        match self.digests.as_ref()? {
            Digests::At(place) => {
                self.file.read_exact_at(&mut digest, place + (frame * DIGEST_LEN) as u64).ok()?;
            }
            Digests::Shown(all) => {
                digest.copy_from_slice(all.get(frame * DIGEST_LEN..(frame + 1) * DIGEST_LEN)?);
            }
        }
        Some(digest).filter(|digest| *digest != Digest::default())
    }

    pub(super) fn not(&self, problem: String) -> OutputError {
        OutputError::NotAResult { path: self.path.clone(), problem }
    }

    /// The layout of a part of something: what it holds, in its own numbers of frames and rows.
    ///
    /// # Errors
    /// [`OutputError::NotAResult`] when what it says of the part is not what it holds.
    pub fn layout_of_part(&self, part: &PartOf) -> Result<Layout, OutputError> {
        let missing = |name: &str| {
            let name = name.to_owned();
            move |e: h5::Error| not_whole(&self.path, &name, &e)
        };
        let dates = self.process.dataset("input/date").map_err(missing("input/date"))?;
        let [frames] = dates.shape()[..] else {
            return Err(self.not("input/date is not one date a frame".into()));
        };
        let is_like = |layout: &Layout| {
            let leading =
                layout.scan.as_ref().map_or(vec![frames], |scan| vec![scan.slow.points, scan.fast.points]);
            self.info.shape == [leading, layout.bins()].concat() && self.statuses.len() == layout.rows()
        };
        let with = |scan: Option<Raster>| Layout { scan, ..Layout::new(frames, self.info.axes.clone()) };
        // A part has the lines of its frames; what a master shows may have lines that no frame comes for.
        let whole = (part.of == 1).then(|| with(part.scan.clone()));
        let layouts = [Some(with(part.raster(frames))), whole];
        let layout = layouts.into_iter().flatten().find(|layout| part.fits(frames) && is_like(layout));
        let Some(layout) = layout.filter(|_| frames > 0) else {
            let (shape, PartOf { number, of, .. }) = (&self.info.shape, part);
            return Err(
                self.not(format!("{shape:?} is not the shape of what it says to be part {number} of {of}"))
            );
        };
        if self.stamps.len() != self.info.inputs.len() {
            return Err(self.not("input has another number of file_names than of file_sizes".into()));
        }
        let columns = self.columns(frames).map_err(missing("input"))?;
        let text = |name: &str| nexus::read_text(&self.process, name).ok();
        let texts = |name: &str| nexus::read_texts(&self.process, name).unwrap_or_default();
        Ok(Layout {
            beside: self.info.beside.clone(),
            route: self.info.route.clone(),
            sums: self.info.sums,
            saturated: self.info.saturated.is_some(),
            // Only those are there that the first frame had.
            header: FrameHeader { numbers: vec![0.0; columns.len()], ..FrameHeader::default() },
            columns: columns.into(),
            inputs: self.info.inputs.clone(),
            stamps: self.stamps.clone(),
            digests: self.digests.is_some(),
            recipe: self.recipe.clone(),
            configuration: self.info.configuration.clone(),
            title: self.info.title.clone(),
            poni_file: text("PONIfile"),
            mask_file: text("maskfile"),
            dark_files: texts("darkfiles"),
            flat_files: texts("flatfiles"),
            ..layout
        })
    }

    /// The numbers of the frames' headers, in the order of their datasets.
    fn columns(&self, frames: usize) -> h5::Result<Vec<Column>> {
        let input = self.process.group("input")?;
        let mut columns = Vec::new();
        for name in input.member_names()? {
            let dataset = input.dataset(&name)?;
            let (place, _) = dataset.facts().place.unwrap_or_default();
            if dataset.facts().kind == Kind::Float && dataset.shape() == [frames] {
                let unit = nexus::read_attribute(&dataset, "units").unwrap_or_default();
                columns.push((place, Column { name, unit }));
            }
        }
        columns.sort_unstable_by_key(|(place, _)| *place);
        Ok(columns.into_iter().map(|(_, column)| column).collect())
    }
}

/// What the input files of a run were.
pub(in crate::output) fn stamps(process: &Group) -> h5::Result<Vec<FileStamp>> {
    let input = process.group("input")?;
    let numbers = |name: &str| input.dataset(name)?.read_raw::<i64>();
    let (sizes, times, heads) = (numbers("file_sizes")?, numbers("file_times")?, numbers("file_heads")?);
    let stamp = |((size, time), head): ((i64, i64), i64)| FileStamp { size, time, head: head as u32 };
    Ok(sizes.into_iter().zip(times).zip(heads).map(stamp).collect())
}

/// `frame 17: why`.
pub(in crate::output) fn message(line: &str) -> Option<(usize, String)> {
    let (number, why) = line.strip_prefix("frame ")?.split_once(": ")?;
    Some((number.parse().ok()?, why.to_owned()))
}
