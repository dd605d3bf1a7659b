//! Ctrl-C, `kill`, a terminal that goes away: SIGINT, SIGTERM and SIGHUP.
//!
//! A thread of its own waits for them, and neither prints nor waits for anything else: whatever state standard error, a disk or
//! the rest of the program is in, signals are heard.
//!
//! - While a run writes something worth closing, it holds [`Asked`]: the first signal raises its [`Stop`] and the run ends in good
//!   order. If it has not after [`GRACE`] (it waits for a file server that does not answer, say), the program gives up.
//! - At any other time, and for a second signal, it gives up at once.
//!
//! Giving up removes what must not stay ([`temporary`]) and ends the process, nothing else; result files are such that they can be
//! read whenever that happens. The exit code is 128 and the number of the signal: 130, 143, 129.
//!
//! A signal that was ignored when the program began (`nohup`, or SIGINT of what a script starts with `&`) stays ignored.
//! SIGXFSZ, a file beyond `ulimit -f`, is taken so that it does not kill: the write fails then, as on a full disk.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use super::exit::Exit;
use super::say;
use crate::files::temporary;
use crate::pipeline::Stop;

/// Longest time that a run may take to end in good order: every command looks for its [`Stop`] several times a second, and closing
/// a file takes a few seconds when gigabytes of empty rows are to be filled.
const GRACE: Duration = Duration::from_secs(10);

/// Longest time for removing temporary files, which may be on a file server that does not answer.
const CLEANING: Duration = Duration::from_secs(5);

/// The last signal that was heard; 0: none.
static HEARD: AtomicI32 = AtomicI32::new(0);

/// The run that is asked first, if there is one.
static RUN: Mutex<Option<Stop>> = Mutex::new(None);

/// Begins to listen.
///
/// # Errors
/// What the system says.
pub(super) fn listen() -> io::Result<()> {
    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    let wanted: Vec<i32> =
        [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(*signal)).collect();
    let mut signals = Signals::new(wanted)?;
    thread::Builder::new().name("signals".into()).spawn(move || signals.forever().for_each(hear))?;
    Ok(())
}

/// A run that wants to be asked to end, as long as it lives.
pub(super) struct Asked {
    stop: Stop,
}

impl Asked {
    /// From now on the first signal asks.
    pub(super) fn first() -> Asked {
        let stop = Stop::default();
        *run() = Some(stop.clone());
        // A step that begins after a signal (the tomogram after the integration) is not to begin.
        if heard().is_some() {
            stop.raise();
        }
        Asked { stop }
    }

    /// What is raised.
    pub(super) fn stop(&self) -> Stop {
        self.stop.clone()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        *run() = None;
    }
}

/// How the command ends because of a signal, if there was one.
pub(super) fn heard() -> Option<Exit> {
    match HEARD.load(Ordering::SeqCst) {
        0 => None,
        signal => Some(Exit::of_signal(signal)),
    }
}

fn run() -> MutexGuard<'static, Option<Stop>> {
    RUN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a signal does.
fn hear(signal: i32) {
    let is_first = HEARD.swap(signal, Ordering::SeqCst) == 0;
    let Some(stop) = run().as_ref().filter(|_| is_first).cloned() else { give_up(signal) };
    stop.raise();
    say::at_once("\ninterrupted: finishing what is under way (once more to give up at once)");
    let waiting = move || {
        thread::sleep(GRACE);
        give_up(signal)
    };
    // Without another thread there is nobody to see that the run ends.
    if thread::Builder::new().spawn(waiting).is_err() {
        give_up(signal);
    }
}

/// Ends the process, now.
fn give_up(signal: i32) -> ! {
    leave(Exit::of_signal(signal))
}

/// Ends the process and waits for nothing that may not come, such as a driver whose GPU hangs.
pub(super) fn leave(exit: Exit) -> ! {
    let (done, wait) = channel();
    let cleaning = move || {
        temporary::remove_all();
        let _ = done.send(());
    };
    if thread::Builder::new().spawn(cleaning).is_ok() {
        let _ = wait.recv_timeout(CLEANING);
    }
    // Not `std::process::exit`, which waits for locks that a thread may hold for ever.
    signal_hook::low_level::exit(exit as i32)
}

/// Whether a signal was ignored when the program began.
fn is_ignored(signal: i32) -> bool {
    // Where there is no /proc, nothing counts as ignored.
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| is_in_ignored(&status, signal))
}

/// Whether the mask of ignored signals, which /proc writes in hexadecimal digits, has this one.
fn is_in_ignored(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_mask() {
        let status =
            "Name:\txrdct\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000002\n";
        let ignored = [SIGHUP, SIGINT, SIGTERM].map(|signal| is_in_ignored(status, signal));
        assert_eq!(ignored, [true, false, false]);
        assert!(!is_in_ignored("", SIGHUP));
    }
}
