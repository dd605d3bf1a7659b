//! The fourth door: whoever keeps what became of the frames.

use super::result::ResultFile;
use crate::frame::Outcome;

/// Puts each outcome in the row of its id.
pub trait Sink {
    /// Takes one outcome, in whatever order they come.
    ///
    /// # Errors
    /// When it cannot be kept: a full disk, a closed file.
    fn put(&mut self, outcome: Outcome) -> Result<(), SinkError>;

    /// Nothing came for a while: what is buffered may be written.
    ///
    /// # Errors
    /// As [`Sink::put`].
    fn pause(&mut self) -> Result<(), SinkError>;

    /// What comes from here on was reduced elsewhere than planned, for this reason; outcomes of before are all there. Whoever keeps rows for
    /// others to read marks them.
    ///
    /// # Errors
    /// As [`Sink::put`].
    fn go_over(&mut self, _why: &str) -> Result<(), SinkError> {
        Ok(())
    }

    /// A device was lost, for this reason, and others of its kind do its frames again. Rows have the same bits; whoever keeps them says
    /// beside them what happened.
    ///
    /// # Errors
    /// As [`Sink::put`].
    fn lose(&mut self, _why: &str) -> Result<(), SinkError> {
        Ok(())
    }
}

/// Whatever made a sink fail.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

impl Sink for ResultFile {
    fn put(&mut self, outcome: Outcome) -> Result<(), SinkError> {
        Ok(ResultFile::put(self, outcome)?)
    }

    fn pause(&mut self) -> Result<(), SinkError> {
        Ok(self.flush()?)
    }

    fn go_over(&mut self, why: &str) -> Result<(), SinkError> {
        Ok(ResultFile::go_over(self, why)?)
    }

    fn lose(&mut self, why: &str) -> Result<(), SinkError> {
        Ok(ResultFile::lose(self, why)?)
    }
}
