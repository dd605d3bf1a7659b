//! Why a session does not open, or a plan cannot be made: what it is about, and what a person can do.

use std::error::Error;
use std::fmt::Display;

/// What an error is about. A door makes of it what its users know: an exit code, an exception, a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    /// An option makes no sense, or not with the others.
    Usage,
    /// The frames: missing, of another kind, none at all.
    Input,
    /// PONI, mask, dark, flat, or ranges that hold no pixel.
    Calibration,
    /// What is to be written.
    Output,
    /// The device that was asked for.
    Device,
}

/// An error with its cause. Options are named as the command line writes them: `--npt` is [`Options::npt`](super::Options).
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
pub struct SessionError {
    /// What it is about.
    pub about: Concern,
    words: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl SessionError {
    /// An error in words.
    pub fn new(about: Concern, words: impl Into<String>) -> SessionError {
        SessionError { about, words: words.into(), source: None }
    }

    /// An error that something else is the cause of.
    pub(super) fn because(about: Concern, cause: Box<dyn Error + Send + Sync>) -> SessionError {
        SessionError { about, words: cause.to_string(), source: Some(cause) }
    }
}

/// Says what an error is about.
pub(super) trait OrAbout<T> {
    /// The error as one about this.
    fn or_about(self, about: Concern) -> Result<T, SessionError>;

    /// The same, with words before it.
    fn or_about_in(self, about: Concern, place: impl Display) -> Result<T, SessionError>;
}

impl<T, E: Error + Send + Sync + 'static> OrAbout<T> for Result<T, E> {
    fn or_about(self, about: Concern) -> Result<T, SessionError> {
        self.map_err(|error| SessionError::because(about, Box::new(error)))
    }

    fn or_about_in(self, about: Concern, place: impl Display) -> Result<T, SessionError> {
        self.map_err(|error| SessionError { about, words: place.to_string(), source: Some(Box::new(error)) })
    }
}

/// Returns an error in words: `refuse!(Usage, "--npt {npt}: must be …")`.
macro_rules! refuse {
    ($about:ident, $($words:tt)*) => {
        return Err($crate::session::SessionError::new($crate::session::Concern::$about, format!($($words)*)))
    };
}
pub(super) use refuse;
