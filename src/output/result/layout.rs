//! What a result file is to hold, as its writer is told at the start.
//!
//! Everything that decides the size or the names in the file is known before the first frame: the number of frames,
//! the bins, whether there are errors, whether the frames are points of a map. [`Layout`] carries exactly that, as
//! plain values: the writer knows nothing of geometry, and its caller nothing of HDF5.
use std::sync::Arc;

use serde_json::Value;

use super::beside::Beside;
use super::definition::Definition;
use super::part::{MergedFrom, PartOf, SegmentOf, VirtualPart};
use super::raster::{FrameNumbers, Raster};
use crate::frame::{Column, FrameHeader};

/// An axis of the patterns' bins: the radial one, or the azimuthal one.
#[derive(Debug, Clone, PartialEq)]
pub struct BinAxis {
    /// Name of the dataset, pyFAI's `unit.space`: `q`, `2th`, `r`, …, `azimuthal`
    pub name: String,
    /// Symbol of the unit, pyFAI's name after the underscore: `nm^-1`, `deg`, `mm`, …
    pub unit: String,
    /// Label for plots, e.g. `Scattering vector $q$ ($nm^{-1}$)`.
    pub long_name: String,
    /// Bin centres in that unit, one a bin, ascending.
    pub centres: Vec<f64>,
}

/// What an input file was when its run began: enough to find out later whether it still is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    /// Bytes; -1: it was not there.
    pub size: i64,
    /// When it was last changed, nanoseconds since 1970 (UTC).
    pub time: i64,
    /// CRC-32 of its first 4 KiB; 0: they were not looked at, for frames have digests.
    pub head: u32,
}

impl FileStamp {
    /// Whether two are of the same contents, as far as they tell: a file that was copied has another time.
    pub fn is_same_file(&self, other: &FileStamp) -> bool {
        let was_looked_at = self.head != 0 && other.head != 0;
        self.size == other.size
            && if was_looked_at { self.head == other.head } else { self.time == other.time }
    }
}

/// What a result file is to hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// Number of frames; the patterns' ids are below it.
    pub frames: usize,
    /// The map that the frames are points of, if any. Points without a frame stay `pending`.
    pub scan: Option<Raster>,
    /// How many frames of the input were left out before frame 0 (`offset` and `map_ptr`, as diffmap counts).
    pub offset: usize,
    /// Which frames of the input they are.
    pub numbers: FrameNumbers,
    /// Axes of the patterns' bins, slowest first: the radial one is the last. Of two, bins are an array (azimuthal, radial).
    pub axes: Vec<BinAxis>,
    /// What patterns have in each bin beside their intensity. With errors they have variances, too.
    pub beside: Vec<Beside>,
    /// Whether the float64 sums are kept, 3 to 5 times what the patterns take.
    pub sums: bool,
    /// Whether it is known from which count on pixels are saturated, so that their numbers mean something.
    pub saturated: bool,
    /// Numbers that the frames' headers may have.
    pub columns: Arc<[Column]>,
    /// Header of the first frame: columns that are not NaN in it get a dataset each.
    pub header: FrameHeader,
    /// Names of the input files, in the order of the frames.
    pub inputs: Vec<String>,
    /// What these files are, one each; none: nobody has looked.
    pub stamps: Vec<FileStamp>,
    /// Whether frames have digests, so that they are kept.
    pub digests: bool,
    /// What decides the patterns beside the configuration: what masks, darks and flats hold.
    pub recipe: Value,
    /// The run that this one goes on with: its number and when it began.
    pub goes_on: Option<(String, String)>,
    /// What these frames are a part of.
    pub part: Option<PartOf>,
    /// The results that it is merged from.
    pub merged_from: Vec<MergedFrom>,
    /// Files whose rows it shows instead of having its own; none: it has them.
    pub shows: Vec<VirtualPart>,
    /// Whether these files are its own segments.
    pub is_master: bool,
    /// What it is a segment of.
    pub segment: Option<SegmentOf>,
    /// The run, so that it can be repeated. A superset of pyFAI's worker configuration lets pyFAI's viewer open the file.
    pub configuration: Value,
    /// Who decodes and who integrates, in words, as it was planned.
    pub route: Option<String>,
    /// What an application definition of NeXus wants to know, where the patterns are shown as it has them, too.
    pub definition: Option<Definition>,
    /// Title of the entry.
    pub title: String,
    /// PONI file, as given.
    pub poni_file: Option<String>,
    /// Mask file, as given.
    pub mask_file: Option<String>,
    /// Dark files, as given.
    pub dark_files: Vec<String>,
    /// Flat files, as given.
    pub flat_files: Vec<String>,
}

impl Layout {
    /// A plain series of `frames` patterns without errors; the rest can be set field by field.
    pub fn new(frames: usize, axes: Vec<BinAxis>) -> Layout {
        Layout {
            frames,
            scan: None,
            offset: 0,
            numbers: FrameNumbers { first: 0, step: 1 },
            axes,
            beside: Vec::new(),
            sums: false,
            saturated: false,
            columns: Arc::default(),
            header: FrameHeader::default(),
            inputs: Vec::new(),
            stamps: Vec::new(),
            digests: false,
            recipe: Value::Null,
            goes_on: None,
            part: None,
            merged_from: Vec::new(),
            shows: Vec::new(),
            is_master: false,
            segment: None,
            configuration: Value::Null,
            route: None,
            definition: None,
            title: "xrdct integrate".into(),
            poni_file: None,
            mask_file: None,
            dark_files: Vec::new(),
            flat_files: Vec::new(),
        }
    }

    /// Whether the parts fit each other; says what does not and what would.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.frames == 0 || self.npt() == 0 {
            return Err(format!(
                "a result needs frames and bins, here are {} and {}",
                self.frames,
                self.npt()
            ));
        }
        if let Some(scan) = &self.scan {
            let (slow, fast) = (scan.slow.points, scan.fast.points);
            if scan.points() == 0 || scan.points() < self.frames {
                return Err(format!(
                    "{} frames do not fit into a map of {slow} x {fast} points. Give a larger map or fewer frames",
                    self.frames
                ));
            }
        }
        if self.sums && u32::try_from(self.rows()).is_err() {
            return Err(format!("sums are kept of at most {} rows, here are {}", u32::MAX, self.rows()));
        }
        let mut taken = vec!["intensity", "map", "map_ptr", "slow", "fast", "frame", "", "."];
        taken.extend(Beside::ALL.map(Beside::name));
        for BinAxis { name, .. } in &self.axes {
            if taken.contains(&name.as_str()) || name.contains('/') {
                return Err(format!("an axis cannot be called `{name}`"));
            }
            taken.push(name);
        }
        Ok(())
    }

    /// Whether patterns have this beside their intensity.
    pub fn has(&self, beside: Beside) -> bool {
        self.beside.contains(&beside)
    }

    /// Number of bins, along all axes.
    pub fn npt(&self) -> usize {
        self.bins().iter().product()
    }

    /// Number of bins along each axis.
    pub fn bins(&self) -> Vec<usize> {
        self.axes.iter().map(|axis| axis.centres.len()).collect()
    }

    /// Whether patterns are kept with the bins first, too: images of one bin, for a map of powder patterns.
    pub(super) fn has_map(&self) -> bool {
        self.scan.is_some() && self.axes.len() == 1
    }

    /// Number of rows of the file: points of the map, or frames.
    pub fn rows(&self) -> usize {
        self.scan.as_ref().map_or(self.frames, Raster::points)
    }

    /// Rows that have a place in the file: the frames, or the points of the map's lines up to the last frame's. What
    /// lies beyond them is shown as NaN and takes no room.
    pub(super) fn stored_rows(&self) -> usize {
        let lines = |scan: &Raster| self.frames.div_ceil(scan.fast.points) * scan.fast.points;
        self.scan.as_ref().map_or(self.frames, lines)
    }

    /// Which row frame `n` goes to.
    pub fn row(&self, n: usize) -> usize {
        self.scan.as_ref().map_or(n, |scan| scan.point(n))
    }

    /// The columns that get a dataset, and their places in [`FrameHeader::numbers`].
    pub fn header_numbers(&self) -> Vec<(usize, &Column)> {
        self.columns.iter().enumerate().filter(|(place, _)| !self.header.number(*place).is_nan()).collect()
    }
}

/// The word for a run whose every frame was handled.
pub(super) const COMPLETE: &str = "complete";

/// How a run ended; written into the file as `status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Every frame was handled.
    Complete,
    /// The user stopped the run; the rows that are there are good.
    Interrupted,
    /// The run could not go on, for this reason; the rows that are there are good.
    Failed(String),
}

impl Ending {
    /// One word, as it stands in the file.
    pub const fn word(&self) -> &'static str {
        match self {
            Ending::Complete => COMPLETE,
            Ending::Interrupted => "interrupted",
            Ending::Failed(_) => "failed",
        }
    }
}
