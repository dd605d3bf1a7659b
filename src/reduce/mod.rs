//! (stand-in until the engine lands)
use crate::frame::{Frame, Outcome};

pub mod host;

/// Why a reducer cannot go on: the system is broken, not a frame.
#[derive(Debug, thiserror::Error)]
pub enum ReduceError {
    /// The device failed.
    #[error("{0}")]
    Device(String),
}

/// The third door: frames in, patterns out.
pub trait Reducer: Send {
    /// How many frames may be in flight at once.
    fn capacity(&self) -> usize;
    /// Takes a frame; never blocks.
    fn submit(&mut self, frame: Frame) -> Result<(), ReduceError>;
    /// Nothing else waits: start what has been gathered.
    fn flush(&mut self) -> Result<(), ReduceError>;
    /// Waits for the oldest batch; empty when nothing is in flight.
    fn collect(&mut self) -> Result<Vec<Outcome>, ReduceError>;
}
