//! The segments of a result, as its master names them: what is read of it through the master, what is gone on with and merged through them.

use std::io;
use std::path::{Path, PathBuf};

use hdf5::Group;

use super::layout::Layout;
use super::part::PartOf;
use super::segment_names::is_segment_name;
use crate::files;
use crate::frame::FrameStatus;
use crate::h5;
use crate::output::draft::follow_link;
use crate::output::{OutputError, nexus};

const NAME: &str = "segments";

/// What every HDF5 file begins with.
const SIGNATURE: [u8; 8] = *b"\x89HDF\r\n\x1a\n";

/// The files that have the rows of a master, in the order of their frames.
#[derive(Debug, Clone, PartialEq)]
pub struct Segments {
    /// Their names, seen from the master's folder.
    pub names: Vec<String>,
    /// The first frame of each.
    firsts: Vec<usize>,
    /// What they are parts of, all together.
    pub whole: PartOf,
    master: PathBuf,
}

/// Says in a master what its segments are.
pub(super) fn describe(process: &Group, layout: &Layout) -> hdf5::Result<()> {
    let segments = nexus::group(process, NAME, "NXcollection")?;
    let names: Vec<&str> = layout.shows.iter().map(|segment| segment.file.as_str()).collect();
    nexus::texts(&segments, "file_names", &names)?;
    let firsts: Vec<i64> = layout.shows.iter().map(|segment| segment.first as i64).collect();
    nexus::numbers(&segments, "first_frames", [firsts.len()], &firsts)?;
    let whole = PartOf {
        number: 1,
        of: 1,
        first: 0,
        frames: layout.frames,
        offset: layout.offset,
        numbers: layout.numbers,
        scan: layout.scan.clone(),
        format: String::new(),
        named: String::new(),
    };
    let whole = serde_json::to_string(&whole).map_err(|e| e.to_string())?;
    nexus::text(&segments, "of", &whole).map(drop)
}

impl Segments {
    /// Reads what a result says of its segments; `None` where it is no master.
    pub(super) fn read(path: &Path, process: &h5::Group) -> Result<Option<Segments>, OutputError> {
        if !process.link_exists(NAME) {
            return Ok(None);
        }
        let not = |problem: String| OutputError::NotAResult { path: path.into(), problem };
        let part =
            |name: &'static str| move |e: h5::Error| not(format!("{name} is missing or different ({e})"));
        let segments = process.group(NAME).map_err(part(NAME))?;
        let names = nexus::read_texts(&segments, "file_names").map_err(part("segments/file_names"))?;
        let firsts = segments.dataset("first_frames").and_then(|firsts| firsts.read_raw::<i64>());
        let firsts = firsts.map_err(part("segments/first_frames"))?;
        let of = nexus::read_text(&segments, "of").map_err(part("segments/of"))?;
        let whole: PartOf = serde_json::from_str(&of)
            .map_err(|e| not(format!("segments/of does not say what they are of: {e}")))?;
        if let Some(name) = names.iter().find(|name| !is_segment_name(name)) {
            return Err(not(format!("segments/file_names: `{name}` is not what a segment is called")));
        }
        let firsts: Vec<usize> = firsts.into_iter().filter_map(|first| usize::try_from(first).ok()).collect();
        let in_order = firsts.first() == Some(&0)
            && firsts.is_sorted_by(|one, next| one < next)
            && firsts.last().is_some_and(|last| *last < whole.frames);
        if !in_order || firsts.len() != names.len() || !whole.fits(whole.frames) {
            return Err(not("segments are not one after the other".into()));
        }
        // Of a link: where the file is.
        let master = follow_link(path);
        Ok(Some(Segments { names, firsts, whole, master }))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// Where one is.
    pub fn path(&self, segment: usize) -> PathBuf {
        self.master.with_file_name(&self.names[segment])
    }

    /// One as a part of the whole.
    pub fn part(&self, segment: usize) -> PartOf {
        PartOf { number: segment + 1, of: self.count(), first: self.firsts[segment], ..self.whole.clone() }
    }

    /// How many frames one has.
    pub fn frames_of(&self, segment: usize) -> usize {
        let end = self.firsts.get(segment + 1).copied().unwrap_or(self.whole.frames);
        end - self.firsts[segment]
    }

    /// Frames of each, but of the last; `None` where they differ.
    pub fn each(&self) -> Option<usize> {
        let each = self.frames_of(0);
        let all_but_last = 0..self.count().saturating_sub(1);
        let last = self.frames_of(self.count() - 1);
        (all_but_last.clone().all(|segment| self.frames_of(segment) == each) && last <= each).then_some(each)
    }

    /// Those that are not there: not born yet, or lost.
    pub fn missing(&self) -> Vec<PathBuf> {
        (0..self.count()).map(|segment| self.path(segment)).filter(|path| !path.exists()).collect()
    }

    /// The first that cannot be read. HDF5 shows what it cannot open as empty, and says nothing; through a file that is none of its own it reads
    /// nothing at all, and does not say why. `statuses` are those of all rows, as the master of a complete run shows them; `None` where HDF5
    /// could not read them.
    pub(super) fn unreadable(&self, statuses: Option<&[u8]>) -> Option<OutputError> {
        let is_unreadable = |segment: &usize| match statuses {
            Some(statuses) => self.is_empty(*segment, statuses),
            None => is_foreign(&self.path(*segment)),
        };
        let path = self.path((0..self.count()).find(is_unreadable)?);
        let problem = if path.exists() { "cannot be read, or is another file" } else { "is not there" };
        Some(OutputError::NoSegment { path, master: self.master.clone(), problem })
    }

    /// Whether no row of a segment has a frame.
    fn is_empty(&self, segment: usize, statuses: &[u8]) -> bool {
        let end = self.firsts.get(segment + 1).copied().unwrap_or(statuses.len());
        let rows = statuses.get(self.firsts[segment]..end).unwrap_or_default();
        rows.iter().all(|status| *status == FrameStatus::Pending as u8)
    }
}

/// Whether a file is there and is no HDF5 file.
fn is_foreign(path: &Path) -> bool {
    match files::start(path, SIGNATURE.len()) {
        Ok(start) => start != SIGNATURE,
        Err(cause) => cause.kind() != io::ErrorKind::NotFound,
    }
}
