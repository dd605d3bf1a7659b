//! The one place that prints.
//!
//! Standard output and standard error may be closed, broken or full at any time: a pager was left, a terminal is gone, a log's disk
//! is full. Nothing said here panics, and nothing that is only *said* ends a run: an hour of patterns is not lost because nobody
//! reads the progress. What a command was *asked for* is another matter: where that cannot be written, and the reader has not
//! simply had enough, the command has failed.
//!
//! A reader that goes away is noticed as a failed write (`SIGPIPE` is ignored, Rust's default), so `xrdct info | head -1` is
//! quiet and a run whose summary nobody reads ends as it would have. Descriptors 0, 1 and 2 that are closed at the start are
//! opened as `/dev/null` before `main`, by Rust's runtime: no result file can get one of these numbers and a message in its middle.

use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::exit::{Exit, Failure, OrExit};
use crate::files;

/// What is left of the control characters: names, and texts out of files, do not command the terminal.
const KEPT: &[char] = &['\n', '\t'];

/// Prints what the command was asked for. Text that is to end a line brings the end along.
///
/// # Errors
/// [`Exit::Output`] when it cannot be written; not when the reader went away, which is nobody's error.
pub(super) fn answer(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(files::shown(text, KEPT).as_bytes()).and_then(|()| out.flush());
    readers_may_leave(written)
}

/// Forgives a reader that went away.
///
/// # Errors
/// As [`answer`].
pub(super) fn readers_may_leave(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => {
            written.context("standard output: what was asked for cannot be written").or_exit(Exit::Output)
        }
    }
}

/// Prints a closing summary to standard output. What it is about is done whether anybody reads it or not.
pub(super) fn summary(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(files::shown(text, KEPT).as_bytes()).and_then(|()| out.flush());
}

/// Says a line on standard error: progress, what was decided, why something failed.
pub(super) fn note(line: &str) {
    // In one piece, so that lines of several threads stay lines.
    let _ = io::stderr().lock().write_all(format!("{}\n", files::shown(line, KEPT)).as_bytes());
}

/// Says a line on standard error, or nothing: it waits neither for whoever prints at the moment nor for a pipe that nobody empties.
pub(super) fn at_once(line: &str) {
    let stderr = rustix::stdio::stderr();
    let mut place = [PollFd::new(&stderr, PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    // A pipe that is ready takes a page, and this is a line.
    if poll(&mut place, Some(&now)).is_ok() && place[0].revents().contains(PollFlags::OUT) {
        let _ = rustix::io::write(stderr, format!("{}\n", files::shown(line, KEPT)).as_bytes());
    }
}

/// Says what the user should know although the command goes on.
pub(super) fn warn(line: &str) {
    note(&format!("warning: {line}"));
}

/// Whether somebody is looking.
pub(super) fn to_terminal() -> bool {
    io::stderr().is_terminal()
}
