//! Exit codes: what a script can tell from `$?`. They are part of the interface and are listed in the README.

use std::fmt;
use std::process::ExitCode;

use signal_hook::consts::{SIGHUP, SIGTERM};

use crate::session::{Concern, SessionError};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All went well.
    Success = 0,
    /// Something unexpected; the message says what.
    Failure = 1,
    /// The command line makes no sense (clap's own code).
    Usage = 2,
    /// The frames cannot be used: missing, of no kind that is known, none at all.
    Input = 3,
    /// The calibration cannot be used: PONI, mask, dark, flat, or ranges that hold no pixel.
    Calibration = 4,
    /// The output cannot be written: it exists, the folder does not, the disk is full.
    Output = 5,
    /// The device that was asked for is not there, or failed.
    Device = 6,
    /// The run is complete, but some frames were bad; they are listed in the output.
    BadFrames = 10,
    /// Ended by SIGHUP, a terminal that went away; what was done is written and marked as such.
    HungUp = 129,
    /// Ended by SIGINT, Ctrl-C; the same.
    Interrupted = 130,
    /// Ended by SIGTERM, `kill` or a batch system; the same.
    Terminated = 143,
}

impl Exit {
    /// How a command ends because of a signal.
    pub fn of_signal(signal: i32) -> Exit {
        match signal {
            SIGHUP => Exit::HungUp,
            SIGTERM => Exit::Terminated,
            _ => Exit::Interrupted,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

impl From<Concern> for Exit {
    fn from(about: Concern) -> Exit {
        match about {
            Concern::Usage => Exit::Usage,
            Concern::Input => Exit::Input,
            Concern::Calibration => Exit::Calibration,
            Concern::Output => Exit::Output,
            Concern::Device => Exit::Device,
        }
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Failure {
        Failure { exit: error.about.into(), error: error.into() }
    }
}

/// Characters of a cause that are shown.
const LONGEST: usize = 2000;

/// An error on its way to the user, with the code that the process ends with.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What is printed, with its chain of causes.
    pub error: anyhow::Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Many errors name their cause already; it is said once.
        let mut said = String::new();
        for mut cause in self.error.chain().map(ToString::to_string) {
            // Some quote what they cannot read, however long it is.
            if let Some((end, _)) = cause.char_indices().nth(LONGEST) {
                cause.replace_range(end.., " …");
            }
            if !said.contains(&cause) {
                let colon = if said.is_empty() { "" } else { ": " };
                said.push_str(&format!("{colon}{cause}"));
            }
        }
        f.write_str(&said)
    }
}

/// Gives an error the exit code of the thing it is about.
pub trait OrExit<T> {
    /// Turns the error into a [`Failure`] with this code.
    ///
    /// # Errors
    /// The error itself, dressed.
    fn or_exit(self, exit: Exit) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> Result<T, Failure> {
        self.map_err(|error| Failure { exit, error: error.into() })
    }
}
