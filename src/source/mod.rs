//! Where frames come from: lists of files, CBF frames, calibration images.
//!
//! A source is a list of [`Ticket`]s, each of which says where one frame is and which row its pattern goes to. A [`Reader`]
//! turns a ticket into a [`Frame`]: it reads the file into a [`Slot`] and finds out how its bytes are packed; it does not
//! decode. Each thread that reads has its own reader. A file that cannot be used is a [`BadFrame`], not a failure of the
//! run: the slot goes home and the run goes on.
pub mod cbf;
pub mod decoded;
pub mod image;
pub mod listing;

use std::path::Path;
use std::sync::Arc;

use crate::frame::{BadFrame, Frame, FrameId, Slot};

/// A frame that is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Which row its pattern goes to.
    pub id: FrameId,
    /// Where it is.
    pub path: Arc<Path>,
}

/// Turns tickets into frames; each thread that reads has one.
pub trait Reader: Send {
    /// Reads the frame of `ticket` into `slot`, still packed. The slot grows when the frame needs more room.
    ///
    /// # Errors
    /// A [`BadFrame`] when there is no frame that could be reduced; the slot has then gone home.
    fn read(&mut self, ticket: &Ticket, slot: Slot) -> Result<Frame, BadFrame>;
}
