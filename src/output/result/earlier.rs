//! What an earlier run left of a result, for one that goes on with it.
//!
//! The new run makes a file of its own and takes the rows over that are whole: status, checksum, and for a bad frame the reason. So the old
//! file is as it was until the new one takes its place, and nothing depends on the order in which a power cut let writes
//! reach the disk. What the HDF5 library says of the file is where things are; the rows are read without it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::info::{Progress, ResultInfo, not_whole, opened};
use super::layout::{FileStamp, Layout};
use super::plain::{Plain, bytes_mut};
use super::rows::crc;
use super::skeleton::{DATE_LEN, DIGEST_LEN, RowOffsets};
use super::{ResultDraft, device};
use crate::files;
use crate::frame::{BadFrame, Digest, FrameHeader, FrameId, FrameStatus, Norms, Pattern};
use crate::h5::storage::Arrangement;
use crate::h5::{self, Dataset, Group};
use crate::output::{OutputError, nexus};

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
    /// Where the digests of frames are.
    digests: Option<u64>,
    messages: BTreeMap<usize, String>,
}

/// What was taken over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carried {
    /// Which frames are done.
    pub done: Vec<bool>,
    /// Rows with a pattern.
    pub good: usize,
    /// Rows of bad frames.
    pub bad: usize,
    /// Rows that said that they are good, and are not what their checksum says.
    pub damaged: usize,
}

impl EarlierResult {
    /// Opens a result of this program.
    ///
    /// # Errors
    /// As [`ResultInfo::open`].
    pub fn open(path: &Path) -> Result<EarlierResult, OutputError> {
        let info = ResultInfo::open(path)?;
        let part = |name: &'static str| move |e: h5::Error| not_whole(path, name, &e);
        let unread = |cause| OutputError::Io { path: path.into(), action: "opening the file", cause };
        let entry = opened(path)?.group("entry_0000").map_err(part("entry_0000"))?;
        let process = entry.group("xrdct").map_err(part("xrdct"))?;
        let text = |name: &'static str| nexus::read_text(&process, name).map_err(part(name));
        let recipe = serde_json::from_str(&text("configuration/recipe")?).unwrap_or_default();
        let of_rows = |name: &'static str| process.dataset(name).map_err(part(name));
        let numbers = |name: &'static str| {
            of_rows(name).and_then(|dataset| dataset.read_raw::<i64>().map_err(part(name)))
        };
        let (sizes, times) = (numbers("input/file_sizes")?, numbers("input/file_times")?);
        let heads = numbers("input/file_heads")?;
        let stamp = |((size, time), head): ((i64, i64), i64)| FileStamp { size, time, head: head as u32 };
        let statuses = of_rows("frame_status")?.read_raw().map_err(part("frame_status"))?;
        let crcs: Vec<u32> = of_rows("row_crc")?.read_raw().map_err(part("row_crc"))?;
        let earlier = EarlierResult {
            uuid: nexus::read_text(&entry, "entry_identifier_uuid").map_err(part("entry_identifier_uuid"))?,
            recipe,
            stamps: sizes.into_iter().zip(times).zip(heads).map(stamp).collect(),
            path: path.into(),
            file: files::open(path).map_err(unread)?,
            digests: match process.link_exists(DIGESTS) {
                true => {
                    process.dataset(DIGESTS).map_err(part(DIGESTS))?.facts().place.map(|(place, _)| place)
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

    /// What became of the frame in a row.
    pub fn status(&self, row: usize) -> Option<FrameStatus> {
        let status = self.statuses.get(row)?;
        FrameStatus::ALL.into_iter().find(|known| *known as u8 == *status)
    }

    /// The digest of a frame's bytes that was verified.
    pub fn digest(&self, frame: usize) -> Option<Digest> {
        let mut digest = Digest::default();
        let place = self.digests?.saturating_add((frame * DIGEST_LEN) as u64);
        self.file.read_exact_at(&mut digest, place).ok()?;
        Some(digest).filter(|digest| *digest != Digest::default())
    }

    fn not(&self, problem: String) -> OutputError {
        OutputError::NotAResult { path: self.path.clone(), problem }
    }

    /// Where the bytes of a dataset are, which has `bytes` of them.
    fn place(&self, name: &str, bytes: usize) -> Result<u64, OutputError> {
        let dataset = self.process.dataset(name).map_err(|e| not_whole(&self.path, name, &e))?;
        match dataset.facts().place {
            Some((place, has)) if has == bytes as u64 => Ok(place),
            _ => Err(self.not(format!("{name} is not {bytes} bytes one after the other"))),
        }
    }

    /// The places of all that has a row, and of the frames' numbers, as this layout has them.
    fn places(&self, layout: &Layout) -> Result<RowOffsets, OutputError> {
        let (rows, frames, npt) = (layout.stored_rows(), layout.frames, layout.npt());
        // Lines of a map that no frame came for are not stored: then what is stored is in a group of its own.
        let stored = |group: &str, name: &str| match self.process.link_exists("measured") {
            true => format!("measured/{name}"),
            false => format!("{group}/{name}"),
        };
        let patterns = rows * npt * size_of::<f32>();
        let mut places = RowOffsets {
            intensity: self.place(&stored("result", "intensity"), patterns)?,
            date: self.place("input/date", frames * DATE_LEN)?,
            ..RowOffsets::default()
        };
        if layout.errors {
            places.errors = Some(self.place(&stored("result", "errors"), patterns)?);
        }
        if layout.saturated {
            places.saturated = Some(self.place("saturated", layout.rows() * size_of::<u32>())?);
        }
        for (number, column) in layout.header_numbers() {
            let place = self.place(&format!("input/{}", column.name), frames * size_of::<f64>())?;
            places.header.push((number, place));
        }
        Ok(places)
    }

    fn read<T: Plain + Default>(&self, place: u64, row: usize, count: usize) -> io::Result<Vec<T>> {
        let mut values = vec![T::default(); count];
        self.file.read_exact_at(
            bytes_mut(&mut values),
            place.saturating_add((row * count * size_of::<T>()) as u64),
        )?;
        Ok(values)
    }
}

/// The sums of an earlier result, when it has them.
struct EarlierSums {
    signal: u64,
    variance: Option<u64>,
    norms_of: u64,
    /// Where each set is.
    sets: Vec<u64>,
    last: Option<(u32, Arc<Norms>)>,
}

impl EarlierSums {
    fn open(earlier: &EarlierResult, layout: &Layout) -> Result<Option<EarlierSums>, OutputError> {
        if !layout.sums {
            return Ok(None);
        }
        let part = |e: h5::Error| not_whole(&earlier.path, "sums/norms", &e);
        let (rows, npt) = (layout.stored_rows(), layout.npt());
        let group = if earlier.process.link_exists("measured") { "measured" } else { "sums" };
        let sums = rows * npt * size_of::<f64>();
        let variance = match layout.errors {
            true => Some(earlier.place(&format!("{group}/variance"), sums)?),
            false => None,
        };
        let table = earlier.process.dataset("sums/norms").map_err(part)?;
        Ok(Some(EarlierSums {
            signal: earlier.place(&format!("{group}/signal"), sums)?,
            variance,
            norms_of: earlier.place("sums/norms_of", layout.rows() * size_of::<u32>())?,
            sets: sets(&table, npt, rows + 1).map_err(part)?,
            last: None,
        }))
    }

    fn norms(&mut self, earlier: &EarlierResult, row: usize, npt: usize) -> io::Result<Arc<Norms>> {
        let number = earlier.read::<u32>(self.norms_of, row, 1)?[0];
        if let Some((last, norms)) = &self.last
            && *last == number
        {
            return Ok(Arc::clone(norms));
        }
        let no_set =
            || io::Error::other(format!("row {row} has the set of norms {number}, which is not there"));
        let place = self.sets.get(number as usize).ok_or_else(no_set)?;
        let values: Vec<f64> = earlier.read(*place, 0, 3 * npt)?;
        let every_third = |first: usize| values.iter().skip(first).step_by(3).copied().collect();
        let norms = Arc::new(Norms {
            normalization: every_third(0),
            normalization_squared: every_third(1),
            count: every_third(2),
        });
        self.last = Some((number, Arc::clone(&norms)));
        Ok(norms)
    }
}

/// Where each set of norms is; a set that has no place is at 0.
fn sets(table: &Dataset, npt: usize, most: usize) -> h5::Result<Vec<u64>> {
    let Arrangement::Chunked { chunk, written } = table.storage()?.layout else {
        return Err("is not in chunks".into());
    };
    let [many, bins] = chunk[..] else { return Err("has not two dimensions".into()) };
    if bins != npt || table.shape().get(1) != Some(&npt) {
        return Err("has another number of bins".into());
    }
    let count = table.shape()[0];
    if count > most {
        return Err("has more sets than there are rows".into());
    }
    let mut places = vec![0; count];
    for chunk in table.chunks(written)? {
        let first = (chunk.number as usize).saturating_mul(many);
        for (at, place) in places.iter_mut().skip(first).take(many).enumerate() {
            *place = chunk.place.saturating_add((at * 3 * npt * size_of::<f64>()) as u64);
        }
    }
    Ok(places)
}

/// `frame 17: why`.
fn message(line: &str) -> Option<(usize, String)> {
    let (number, why) = line.strip_prefix("frame ")?.split_once(": ")?;
    Some((number.parse().ok()?, why.to_owned()))
}

impl ResultDraft {
    /// Takes over what an earlier run left: every row that is whole, bad frames with their reasons unless they are to be tried again.
    ///
    /// # Errors
    /// [`OutputError::NotAResult`] when the earlier result is of another layout, or what goes wrong while reading and writing.
    pub fn carry(&mut self, earlier: &EarlierResult, retry_bad: bool) -> Result<Carried, OutputError> {
        let layout = self.file.layout.clone();
        if earlier.statuses.len() != layout.rows() {
            let (has, wanted) = (earlier.statuses.len(), layout.rows());
            return Err(earlier.not(format!("it has {has} rows, there are {wanted} now")));
        }
        let places = earlier.places(&layout)?;
        let mut sums = EarlierSums::open(earlier, &layout)?;
        // What a checksum covers is what this file has.
        let checked = self.file.writer.places.clone();
        let mut carried = Carried { done: vec![false; layout.frames], ..Carried::default() };
        if let (Some(_), Some((_, why))) = (&earlier.by_cpu, &earlier.info.gone_over) {
            self.file.go_over(why)?;
        }
        for frame in 0..layout.frames {
            let row = layout.row(frame);
            let outcome = match earlier.status(row) {
                Some(FrameStatus::Good) => {
                    let read = earlier.pattern(frame, row, &layout, &places, sums.as_mut());
                    let action = "reading what an earlier run wrote";
                    let pattern = read.map_err(|e| OutputError::from_io(&earlier.path, action, 0, e))?;
                    if crc(&pattern, &checked) != earlier.crcs[row] {
                        carried.damaged += 1;
                        continue;
                    }
                    carried.good += 1;
                    Ok(pattern)
                }
                Some(status) if status != FrameStatus::Pending && !retry_bad => {
                    // A run that was killed has not said why: it is tried again.
                    let Some(message) = earlier.messages.get(&frame).cloned() else { continue };
                    carried.bad += 1;
                    Err(BadFrame { id: FrameId(frame), status, message })
                }
                _ => continue,
            };
            self.file.by_cpu =
                earlier.by_cpu.as_ref().is_some_and(|marks| marks.get(row) == Some(&device::CPU));
            carried.done[frame] = true;
            self.file.put(outcome)?;
        }
        self.file.by_cpu = false;
        self.file.flush()?;
        Ok(carried)
    }
}

impl EarlierResult {
    fn pattern(
        &self,
        frame: usize,
        row: usize,
        layout: &Layout,
        places: &RowOffsets,
        sums: Option<&mut EarlierSums>,
    ) -> io::Result<Pattern> {
        let npt = layout.npt();
        let mut numbers = vec![f64::NAN; layout.columns.len()];
        for (number, place) in &places.header {
            numbers[*number] = self.read::<f64>(*place, frame, 1)?[0];
        }
        let digest = self.digest(frame);
        let date = self.read::<u8>(places.date, frame, DATE_LEN)?;
        let date = String::from_utf8_lossy(&date).trim_end_matches('\0').to_owned();
        let (mut signal, mut variance, mut norms) = (vec![], None, Arc::default());
        if let Some(sums) = sums {
            signal = self.read(sums.signal, row, npt)?;
            variance = sums.variance.map(|place| self.read(place, row, npt)).transpose()?;
            norms = sums.norms(self, row, npt)?;
        }
        Ok(Pattern {
            id: FrameId(frame),
            header: FrameHeader { date, numbers, digest, ..FrameHeader::default() },
            intensity: self.read(places.intensity, row, npt)?,
            errors: places.errors.map(|place| self.read(place, row, npt)).transpose()?,
            signal,
            variance,
            norms,
            saturated: places
                .saturated
                .map_or(Ok(0), |place| Ok::<_, io::Error>(self.read::<u32>(place, row, 1)?[0]))?,
        })
    }
}
