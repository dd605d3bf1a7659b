//! (stand-in until the source lands)
use std::path::PathBuf;

use crate::frame::{BadFrame, Frame, FrameId, Slot};

pub mod cbf;
pub mod image;
pub mod listing;

/// Where one frame is to be found.
#[derive(Debug, Clone, PartialEq)]
pub struct Ticket {
    /// Which row its pattern goes to.
    pub id: FrameId,
    /// The file.
    pub path: PathBuf,
}

/// The second door: a ticket and a slot in, a frame out.
pub trait Reader: Send {
    /// Reads one frame into the slot.
    fn read(&mut self, ticket: &Ticket, slot: Slot) -> Result<Frame, BadFrame>;
}
