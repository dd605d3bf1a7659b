//! The third door: frames in, patterns out.
//!
//! A [`Reducer`] takes frames as they come, gathers them into batches, and gives outcomes back batch by batch. Whoever
//! drives it does not know what stands behind: the host's engine ([`host::HostReducer`], which works in the calling thread)
//! or a GPU. The rules are the same for all: `submit` never waits for a result, `flush` starts what has been gathered when
//! no other frame is waiting, `collect` waits for the oldest batch. A frame's slot goes home as early as the reducer can let
//! it go; a corrupt frame is an outcome, an error means that the reducer cannot go on: then it is asked to `abandon` what it has.

use crate::frame::{Frame, FrameId, Outcome};

pub mod host;

/// Why a reducer cannot go on: the system is broken, not a frame.
#[derive(Debug, thiserror::Error)]
pub enum ReduceError {
    /// The device failed.
    #[error("{0}")]
    Device(String),
}

/// Frames in, patterns out.
pub trait Reducer: Send {
    /// How many frames may be in flight at once.
    fn capacity(&self) -> usize;

    /// Whether a frame more would be of use: one that would only wait in line here is better left to another reducer.
    fn wants(&self) -> bool {
        true
    }

    /// What stands behind it, as `--device` names it; none: this machine's cores.
    fn device(&self) -> Option<String> {
        None
    }

    /// Takes a frame; never waits for a result. Starts a batch by itself when one is full.
    ///
    /// # Errors
    /// When the device or engine behind it has failed.
    fn submit(&mut self, frame: Frame) -> Result<(), ReduceError>;

    /// Starts what has been gathered: no other frame is waiting.
    ///
    /// # Errors
    /// When the device or engine behind it has failed.
    fn flush(&mut self) -> Result<(), ReduceError>;

    /// Whether [`Reducer::collect`] would give outcomes without waiting for a device.
    ///
    /// # Errors
    /// When the device or engine behind it has failed.
    fn is_ready(&self) -> Result<bool, ReduceError>;

    /// Waits for the oldest batch and gives one outcome for each of its frames; empty when nothing is in flight.
    ///
    /// # Errors
    /// When the device or engine behind it has failed.
    fn collect(&mut self) -> Result<Vec<Outcome>, ReduceError>;

    /// Gives up what is in flight, after an error: the frames that no outcome will be given for. Their slots go home, but for those that
    /// a device which does not answer may still fetch; these stay with it.
    fn abandon(&mut self) -> Vec<FrameId>;
}
