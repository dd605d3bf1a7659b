//! A run that goes on in a new process, on the GPUs that are left.
//!
//! When a kernel breaks the context of one GPU, the driver refuses everything to every GPU of that process from then on, new contexts as
//! well (CUDA 13, seen on two H100s); a GPU that hangs does not do that. So a run on several GPUs of which every one failed begins again as a
//! new program in the same process: `exec`, with the words that were typed, which goes on with the result as `--resume` does. What
//! it computes with is one GPU less: the one whose failure was heard first. That may be the wrong one, for all of them fail within
//! moments; then the next one fails, too, and in the end those that were left out are tried.

use std::env;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::cli::args::IntegrateArgs;
use crate::session::LostReducer;

/// What the new program computes with, as `--device` has it: `cuda:1,2`.
const DEVICE: &str = "XRDCT_GOES_ON_WITH";

/// What was left out until then, likewise; empty when these were tried, too.
const LEFT_OUT: &str = "XRDCT_LEFT_OUT";

/// What a run goes on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OnOthers {
    /// GPUs, as `--device` names each.
    devices: Vec<String>,
    /// Those that are left out, to be tried in the end.
    left_out: Vec<String>,
    /// Which one is held to be the cause, and why it failed.
    pub(super) cause: LostReducer,
}

impl OnOthers {
    /// What is left when these failed, in this order; `None` when nothing is.
    pub(super) fn after(lost: &[LostReducer]) -> Option<OnOthers> {
        OnOthers::than(lost, names(&env::var(LEFT_OUT).unwrap_or_default()))
    }

    fn than(lost: &[LostReducer], mut left_out: Vec<String>) -> Option<OnOthers> {
        let cause = lost.first()?.clone();
        let mut failed = lost.iter().filter_map(|lost| lost.device.clone());
        let first = failed.next()?;
        let others: Vec<String> = failed.collect();
        let (devices, left_out) = match others.is_empty() {
            // It was this one, then.
            true => (left_out, Vec::new()),
            false => {
                left_out.push(first);
                (others, left_out)
            }
        };
        (!devices.is_empty()).then_some(OnOthers { devices, left_out, cause })
    }

    /// As `--device` has it.
    pub(super) fn word(&self) -> String {
        word(&self.devices)
    }

    /// Begins again as a new program; comes back only when the system does not let it.
    pub(super) fn begin(&self) -> io::Error {
        let program = match env::current_exe() {
            Ok(program) => program,
            Err(error) => return error,
        };
        if let Err(error) = close_all_at_exec() {
            return error;
        }
        let mut command = Command::new(program);
        command.args(env::args_os().skip(1));
        command.env(DEVICE, self.word()).env(LEFT_OUT, word(&self.left_out));
        command.exec()
    }
}

/// What was typed, as it is meant in a program that goes on.
pub(super) fn as_meant(args: &IntegrateArgs) -> IntegrateArgs {
    let mut args = args.clone();
    if let Ok(device) = env::var(DEVICE) {
        args.device = Some(device);
        // What this run wrote before is its own.
        (args.resume, args.overwrite) = (true, true);
    }
    args
}

/// `cuda:1,2` of `cuda:1` and `cuda:2`.
fn word(devices: &[String]) -> String {
    let numbers: Vec<&str> = devices.iter().filter_map(|device| device.strip_prefix("cuda:")).collect();
    if numbers.is_empty() { String::new() } else { format!("cuda:{}", numbers.join(",")) }
}

fn names(word: &str) -> Vec<String> {
    let numbers = word.strip_prefix("cuda:").into_iter().flat_map(|numbers| numbers.split(','));
    numbers.map(|number| format!("cuda:{number}")).collect()
}

/// What this process has open, the driver's files above all, is not the new program's: a broken context would keep its memory.
fn close_all_at_exec() -> io::Result<()> {
    use std::os::fd::{AsFd, BorrowedFd};

    use rustix::io::{FdFlags, fcntl_setfd};

    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2)
        .collect();
    for number in open {
        // SAFETY: only its flag is set; one that was closed meanwhile is an error, which does not matter.
        let file = unsafe { BorrowedFd::borrow_raw(number) };
        let _ = fcntl_setfd(file.as_fd(), FdFlags::CLOEXEC);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(devices: &[&str]) -> Vec<LostReducer> {
        let one = |device: &&str| LostReducer {
            device: Some((*device).to_owned()),
            why: format!("{device}: failed"),
            frames: 1,
        };
        devices.iter().map(one).collect()
    }

    fn after(devices: &[&str], left_out: &str) -> Option<(String, String)> {
        let next = OnOthers::than(&lost(devices), names(left_out))?;
        Some((next.word(), word(&next.left_out)))
    }

    #[test]
    fn each_gpu_is_left_out_once_and_the_last_one_for_good() {
        let pair = |devices: &str, left_out: &str| Some((devices.to_owned(), left_out.to_owned()));
        assert_eq!(after(&["cuda:1", "cuda:0"], ""), pair("cuda:0", "cuda:1"));
        assert_eq!(after(&["cuda:0"], "cuda:1"), pair("cuda:1", ""));
        assert_eq!(after(&["cuda:1"], ""), None);
        assert_eq!(after(&["cuda:2", "cuda:0", "cuda:3"], ""), pair("cuda:0,3", "cuda:2"));
        assert_eq!(after(&["cuda:3", "cuda:0"], "cuda:2"), pair("cuda:0", "cuda:2,3"));
        assert_eq!(after(&["cuda:0"], "cuda:2,3"), pair("cuda:2,3", ""));
        assert_eq!(after(&[], ""), None);
    }
}
