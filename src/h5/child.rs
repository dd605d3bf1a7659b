//! The child that reads: how it is started, asked, watched and ended; and what it does itself.
//!
//! It may take as much memory as this process might ([`budget::allowed`]), [`PATIENCE`] seconds of processor for each piece of an
//! answer, and `SILENCE` altogether before something is heard of it (a disk may be slow, a pipe in disguise never
//! answers). It is not in this process' group, so Ctrl-C is heard here only, and ends when this process does, because its input
//! closes. Its standard error is closed: what the C library or the allocator has to say when it dies is not for the user.
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::answer::Library;
use super::wire::{DATA, Question, REPLY, Reply, hear, next_request, send, send_request};
use super::{Error, Result};
use crate::budget;

/// What the program is started with to be the child.
pub const ARGUMENT: &str = "--answer-for-hdf5";

/// Seconds of processor time that one piece of an answer may take: 8 MiB, or one chunk, which takes less than a second.
pub const PATIENCE: u64 = 10;

/// Longest wait for a sign of life.
const SILENCE: Duration = Duration::from_secs(120);

/// A child that reads HDF5 files, one at a time.
pub struct Child {
    process: std::process::Child,
    requests: ChildStdin,
    answers: AnswerPipe,
    /// Seconds of processor time that it has for a piece.
    patience: u64,
    /// Why it can be asked no more.
    ended: Option<String>,
}

impl Child {
    /// Starts `program` with [`ARGUMENT`] and the seconds of processor time that it has for a piece of an answer.
    ///
    /// # Errors
    /// [`Error::NoChild`].
    pub fn start(program: &Path, patience: u64) -> Result<Child> {
        let mut command = Command::new(program);
        command
            .arg(ARGUMENT)
            .arg(patience.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut process =
            command.process_group(0).spawn().map_err(|cause| Error::NoChild(cause.to_string()))?;
        let (Some(requests), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(Error::NoChild("it has no pipes".into()));
        };
        Ok(Child { process, requests, answers: AnswerPipe(BufReader::new(answers)), patience, ended: None })
    }

    /// Whether it can be asked again.
    pub fn is_alive(&self) -> bool {
        self.ended.is_none()
    }

    /// Asks; numbers of the answer must fill `numbers`.
    pub(super) fn ask(&mut self, request: &Question, numbers: &mut [u8]) -> Result<Reply> {
        if let Some(reason) = &self.ended {
            return Err(Error::Harmful(reason.clone()));
        }
        let answered =
            send_request(&mut self.requests, request).and_then(|()| hear(&mut self.answers, numbers));
        match answered {
            Ok(reply) => reply.map_err(Error::Said),
            Err(cause) => {
                let reason = self.end(&cause);
                self.ended = Some(reason.clone());
                Err(Error::Harmful(reason))
            }
        }
    }

    /// Ends it and says how it had ended.
    fn end(&mut self, cause: &io::Error) -> String {
        use io::ErrorKind::{BrokenPipe, UnexpectedEof};
        if !matches!(cause.kind(), BrokenPipe | UnexpectedEof) {
            // It may be dead already.
            let _ = self.process.kill();
            let _ = self.process.wait();
            return match cause.kind() {
                io::ErrorKind::TimedOut => format!("nothing came of it for {} seconds", SILENCE.as_secs()),
                _ => format!("what was read makes no sense: {cause}"),
            };
        }
        match self.process.wait() {
            Ok(status) => in_words(status, self.patience),
            Err(cause) => format!("its reader was lost: {cause}"),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended; a child that is not waited for would stay in the table of processes.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The pipe that answers come through, which is not waited for for ever.
struct AnswerPipe(BufReader<ChildStdout>);

impl Read for AnswerPipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.buffer().is_empty() {
            wait(self.0.get_ref())?;
        }
        self.0.read(buffer)
    }
}

/// Waits until there is something to read.
fn wait(answers: &ChildStdout) -> io::Result<()> {
    let until = Instant::now() + SILENCE;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        match poll(&mut [PollFd::new(answers, PollFlags::IN)], Some(&left)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// What killed the reader.
fn in_words(status: ExitStatus, patience: u64) -> String {
    const SIGABRT: i32 = 6;
    const SIGXCPU: i32 = 24;
    match status.signal() {
        Some(SIGXCPU) => format!("HDF5 was still busy with it after {patience} seconds"),
        Some(SIGABRT) => "HDF5 gave up on it (signal 6: out of memory, or its memory was overwritten)".into(),
        Some(signal) => format!("HDF5 crashed on it (signal {signal})"),
        None => format!("its reader ended ({status})"),
    }
}

/// The child's whole life: answers what comes in on standard input, until nothing does. `patience` is what it was started with.
///
/// # Errors
/// When a pipe breaks: whoever asked is gone.
pub fn serve(patience: u64) -> io::Result<()> {
    limit_memory();
    allow_files();
    let (input, output) = (io::stdin(), io::stdout());
    let mut requests = BufReader::new(input.lock());
    let mut answers = BufWriter::new(output.lock());
    let mut library = Library::default();
    while let Some(request) = next_request(&mut requests)? {
        allow_time(patience);
        let mut broken = Ok(());
        let reply = library.answer(&request, &mut |piece| {
            broken = send(&mut answers, DATA, piece);
            allow_time(patience);
            if broken.is_ok() { Ok(()) } else { Err("the pipe is broken".into()) }
        });
        broken?;
        let reply = serde_json::to_vec(&reply.map_err(|error| error.to_string()))?;
        send(&mut answers, REPLY, &reply)?;
        answers.flush()?;
    }
    Ok(())
}

fn lower(resource: Resource, to: u64) {
    let limits = getrlimit(resource);
    let current = limits.current.map_or(to, |current| current.min(to));
    // A limit that cannot be set is one protection less, not a reason to fail.
    let _ = setrlimit(resource, Rlimit { current: Some(current), maximum: limits.maximum });
}

/// No more memory than is allowed now, beside what is mapped already; no core file when it dies.
fn limit_memory() {
    let allowed = budget::allowed().bytes;
    lower(Resource::As, budget::mapped().saturating_add(allowed));
    lower(Resource::Core, 0);
}

/// As many open files as the system lets it have: an array that shows thousands of files has them all open while it is read, and the library shows
/// one that it cannot open as empty.
fn allow_files() {
    let limits = getrlimit(Resource::Nofile);
    // One that stays low is a file that cannot be opened, which whoever asked notices.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limits.maximum, maximum: limits.maximum });
}

/// Processor time for the next piece.
fn allow_time(patience: u64) {
    let used = clock_gettime(ClockId::ProcessCPUTime).tv_sec.unsigned_abs();
    let limits = getrlimit(Resource::Cpu);
    let wanted = used.saturating_add(patience);
    let current = limits.maximum.map_or(wanted, |most| most.min(wanted));
    // As in `lower`.
    let _ = setrlimit(Resource::Cpu, Rlimit { current: Some(current), maximum: limits.maximum });
}
