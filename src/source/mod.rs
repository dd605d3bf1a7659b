//! Where frames come from: files, lists of them, memory; calibration images.
//!
//! ```text
//!   Source ──Ticket──▶ Reader ──Frame──▶ …          what a source knows of its frames: About
//!   (lists; may wait)  (reads; one a thread)
//! ```
//!
//! A [`Source`] lists a scan as [`Ticket`]s: one read each, and the ids of the frames that it gives. It may not know how many there
//! will be, and it may have to wait for the next: then it waits [`TICK`] at most and says [`Next::Quiet`], so that whoever walks
//! the corridor can look around. It knows nothing of stopping. A [`Reader`] turns tickets into [`Frame`]s, still packed, in slots; each
//! thread that reads has one. What cannot be used is a [`BadFrame`], not a failure of the run.
pub mod cbf;
pub mod decoded;
pub mod detector_file;
pub mod facts;
pub mod hdf5;
pub mod image;
pub mod input;
pub mod listing;
pub mod memory;
pub mod monitor;
pub mod plain;
pub mod select;
pub mod selection;
pub mod series;
pub mod table;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use facts::DetectorFacts;

use crate::frame::{
    BadFrame, Column, Digest, Encoding, Frame, FrameHeader, FrameId, FrameStatus, Origin, Slot, SlotPool,
    Slots,
};

/// Longest time that a source waits before it says that nothing came.
pub const TICK: Duration = Duration::from_millis(100);

/// What a source knows of its frames before the first is read.
#[derive(Debug, Clone)]
pub struct About {
    /// What every frame is.
    pub encoding: Encoding,
    /// What its readers undo before they hand a frame on, in words (`shuffle, gzip`); `None` where frames leave them as they are in the file.
    pub undone: Option<Arc<str>>,
    /// How many there will be; `None` when only the end will tell.
    pub count: Option<usize>,
    /// Bytes that hold any of them as it is read.
    pub slot_bytes: usize,
    /// Numbers that their headers may have.
    pub columns: Arc<[Column]>,
    /// What the first one's header says.
    pub header: FrameHeader,
    /// What is said of detector and beam.
    pub facts: DetectorFacts,
}

/// Why a source gives nothing more.
#[derive(Debug, thiserror::Error)]
#[error("{origin}: {cause}")]
pub struct SourceError {
    /// Which source.
    pub origin: String,
    /// What happened.
    pub cause: String,
}

/// One read.
#[derive(Debug)]
pub struct Ticket {
    /// Ids of the frames that it gives: the rows of their patterns.
    pub ids: Range<usize>,
    /// Where the bytes are.
    pub place: Place,
}

impl Ticket {
    /// A file that is one frame.
    pub fn file(id: FrameId, path: impl Into<Arc<Path>>) -> Ticket {
        Ticket { ids: id.0..id.0 + 1, place: Place::File(path.into()) }
    }

    /// Makes bad frames of them, for a reader that reads other places.
    pub fn refuse(self, why: &str, out: &mut dyn FnMut(Result<Frame, BadFrame>)) {
        let Ticket { ids, place } = self;
        let (status, message) = (FrameStatus::Unreadable, format!("{place:?}: {why}"));
        ids.for_each(|id| out(Err(BadFrame { id: FrameId(id), status, message: message.clone() })));
    }

    /// The first of its frames.
    pub fn first(&self) -> FrameId {
        FrameId(self.ids.start)
    }
}

/// Where the bytes of a ticket are.
pub enum Place {
    /// In a file.
    File(Arc<Path>),
    /// At this number of a list that the source shares with its readers; the list knows which of the ticket's ids is where.
    Listed(usize),
    /// Here already: a slot, and where in it each frame is.
    Held {
        /// The bytes; with other tickets' when there are more frames in the slot.
        slot: Arc<Slot>,
        /// One range a frame.
        parts: Vec<Range<usize>>,
    },
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::File(path) => write!(f, "{}", path.display()),
            Place::Listed(number) => write!(f, "number {number}"),
            Place::Held { parts, .. } => write!(f, "{parts:?} of a slot"),
        }
    }
}

/// What a source says when it is asked for the next ticket.
#[derive(Debug)]
pub enum Next {
    /// One more.
    Read(Ticket),
    /// A frame that is bad before it is read.
    Bad(BadFrame),
    /// Nothing came; ask again.
    Quiet,
    /// There is nothing more.
    End,
}

/// Lists a scan.
pub trait Source: Send {
    /// What the frames are, as soon as anything is known; `None` when nothing came yet ([`TICK`] at most was waited).
    ///
    /// # Errors
    /// When the source will never give a frame.
    fn about(&mut self) -> Result<Option<Arc<About>>, SourceError>;

    /// The next ticket. A source that receives frames receives them into slots of `packed`.
    ///
    /// # Errors
    /// When the source breaks: frames that it gave before are good.
    fn next(&mut self, packed: &SlotPool) -> Result<Next, SourceError>;

    /// One who reads its tickets.
    fn reader(&self) -> Box<dyn Reader>;

    /// The same frames from the first on, whatever was given of them; `None` where they come but once.
    fn again(&self) -> Option<Box<dyn Source>> {
        None
    }
}

/// The frames of a scan, which can be walked any number of times.
pub trait Frames: Send + Sync {
    /// What they are.
    fn about(&self) -> &Arc<About>;

    /// How many there are.
    fn count(&self) -> usize;

    /// The files that hold them, in order.
    fn files(&self) -> &[PathBuf];

    /// Where a frame comes from.
    fn origin(&self, frame: usize) -> Origin;

    /// The digest that a frame's own header has for its bytes, read now; `None` where frames have none.
    fn written_digest(&self, _frame: usize) -> Option<Digest> {
        None
    }

    /// Lists so many of them; beyond the last it begins again at the first. With `verify`, frames carry the digests of their headers.
    fn source(&self, frames: usize, verify: bool) -> Box<dyn Source>;
}

/// Turns tickets into frames; each thread that reads has one.
pub trait Reader: Send {
    /// Reads a ticket's frames, still packed, into slots, and hands each to `out` before it takes another slot. Slots grow when a frame
    /// needs more room. Every id of the ticket is given to `out` once, as a frame or as a bad one whose slot has gone home.
    fn read(&mut self, ticket: Ticket, slots: &mut Slots<'_>, out: &mut dyn FnMut(Result<Frame, BadFrame>));
}
