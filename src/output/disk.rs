//! Has what was written sent to the disk, so that a power cut costs no more than an interval.
//!
//! What a killed process wrote the kernel keeps; what a power cut takes is what is not on the disk yet. Sending takes as long as the disk
//! needs, so a thread of its own does it while rows go on coming.

use std::fs::File;
use std::io;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Sends a file to the disk at intervals.
#[derive(Debug)]
pub(super) struct Disk {
    interval: Option<Duration>,
    sent: Instant,
    sending: Option<JoinHandle<io::Result<()>>>,
}

impl Default for Disk {
    fn default() -> Disk {
        Disk { interval: None, sent: Instant::now(), sending: None }
    }
}

impl Disk {
    /// How often; `None`: never before the end.
    pub(super) fn set(&mut self, interval: Option<Duration>) {
        self.interval = interval;
    }

    /// Something was written. Begins to send when it is time to, and nothing is on its way; an earlier sending that failed comes out here.
    pub(super) fn wrote(&mut self, file: &File) -> io::Result<()> {
        let is_time = self.interval.is_some_and(|interval| self.sent.elapsed() >= interval);
        if !is_time || self.sending.as_ref().is_some_and(|sending| !sending.is_finished()) {
            return Ok(());
        }
        self.wait()?;
        let twin = file.try_clone()?;
        self.sent = Instant::now();
        self.sending = Some(thread::Builder::new().name("to disk".into()).spawn(move || twin.sync_data())?);
        Ok(())
    }

    /// Waits for what is on its way.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        let Some(sending) = self.sending.take() else { return Ok(()) };
        sending.join().unwrap_or_else(|_| Err(io::Error::other("the thread that sends it panicked")))
    }
}
