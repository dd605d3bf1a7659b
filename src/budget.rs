//! How much memory may be taken: asked before it is, so that a slip of the finger or a hostile file is an error and not the end
//! of the machine.
//!
//! What is allowed is seven eighths of the least of: the memory that the machine has free (`MemAvailable`), what the control
//! group and those above it leave (v2 and v1; file pages that the kernel can drop count as free), and the limits of the process
//! (`ulimit -v`, `ulimit -d`). It is looked up when it is asked for, because it changes. Small requests are never refused.
//!
//! Whoever takes memory whose size the user, a file or a header decides calls [`allow`] with that size first; the error says
//! what was asked for, what is allowed and whose limit that is.

use std::fmt;
use std::fs;
use std::path::Path;

use rustix::process::{Resource, getrlimit};

/// Requests up to this are not looked at: 16 MiB.
const SMALL: u64 = 16 << 20;

/// What is left to everybody else: one part in eight.
const RESERVE: u64 = 8;

/// Memory that may be taken now, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// Bytes.
    pub bytes: u64,
    /// Whose limit it is.
    pub limit: Limit,
}

/// Who limits the memory of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The machine's free memory.
    Machine,
    /// A control group: a container, a batch job.
    ControlGroup,
    /// `ulimit -v`.
    AddressSpace,
    /// `ulimit -d`.
    Data,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Limit::Machine => "what this machine has free",
            Limit::ControlGroup => "what the limit of this job or container leaves",
            Limit::AddressSpace => "what `ulimit -v` leaves",
            Limit::Data => "what `ulimit -d` leaves",
        })
    }
}

/// More memory than is allowed was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} would take {} of memory, and {} are allowed here ({})", size(*.asked), size(.allowed.bytes), .allowed.limit)]
pub struct OverBudget {
    /// What the memory was for, with the numbers that decide its size.
    pub what: String,
    /// Bytes that it would take.
    pub asked: u64,
    /// What would have been allowed.
    pub allowed: Allowed,
}

/// Sees that `bytes` bytes for `what` may be taken.
///
/// # Errors
/// [`OverBudget`] when they may not.
pub fn allow(what: impl fmt::Display, bytes: u64) -> Result<(), OverBudget> {
    if bytes <= SMALL {
        return Ok(());
    }
    let allowed = allowed();
    match bytes <= allowed.bytes {
        true => Ok(()),
        false => Err(OverBudget { what: what.to_string(), asked: bytes, allowed }),
    }
}

/// Bytes of an array, or as many as a number can say.
pub fn bytes_of(sizes: &[usize], each: usize) -> u64 {
    sizes.iter().fold(each as u64, |bytes, &size| bytes.saturating_mul(size as u64))
}

/// A size as people read it: `27.3 GB`.
pub fn size(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} bytes");
    }
    let mut value = bytes as f64 / 1e3;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < units.len() {
        value /= 1e3;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

/// What may be taken now.
pub fn allowed() -> Allowed {
    let rlimit = |resource, used: &str| Some(getrlimit(resource).current?.saturating_sub(status(used)));
    let all = [
        (Limit::Machine, meminfo(&read("/proc/meminfo"), "MemAvailable")),
        (Limit::ControlGroup, control_group(Path::new("/"))),
        (Limit::AddressSpace, rlimit(Resource::As, "VmSize")),
        (Limit::Data, rlimit(Resource::Data, "VmData")),
    ];
    let known = all.into_iter().filter_map(|(limit, bytes)| Some((limit, bytes?)));
    // Where nothing says anything there is nothing to go by.
    let (limit, bytes) = known.min_by_key(|(_, bytes)| *bytes).unwrap_or((Limit::Machine, u64::MAX));
    Allowed { bytes: bytes - bytes / RESERVE, limit }
}

/// Bytes of address space that this process has mapped.
pub fn mapped() -> u64 {
    status("VmSize")
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Bytes of memory that this process has now, by a name of `/proc/self/status`; 0 where the system does not say.
fn status(name: &str) -> u64 {
    meminfo(&read("/proc/self/status"), name).unwrap_or(0)
}

/// A line `Name:  1234 kB`, in bytes.
fn meminfo(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// What the tightest of this process's control groups leaves; `root` is `/`, but for tests.
fn control_group(root: &Path) -> Option<u64> {
    let groups = read(root.join("proc/self/cgroup"));
    let of = |line: &str| {
        let mut parts = line.splitn(3, ':');
        let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let (mount, names): (_, &[&str; 3]) = match number {
            "0" => ("sys/fs/cgroup", &["memory.max", "memory.current", ""]),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("sys/fs/cgroup/memory", &["memory.limit_in_bytes", "memory.usage_in_bytes", "total_"])
            }
            _ => return None,
        };
        let mount = root.join(mount);
        // In a container the path may be that of the host, which is not there; the mount itself then is the group.
        let own = mount.join(path.trim_start_matches('/'));
        let folders = own.ancestors().take_while(|folder| folder.starts_with(&mount));
        folders.filter_map(|folder| left(folder, names)).min()
    };
    groups.lines().filter_map(of).min()
}

/// What one control group leaves: its limit, less what is used and cannot be dropped.
fn left(folder: &Path, [limit, used, prefix]: &[&str; 3]) -> Option<u64> {
    let number = |name: &str| read(folder.join(name)).trim().parse::<u64>().ok();
    let limit = number(limit)?;
    let used = number(used).unwrap_or(0);
    let statistics = read(folder.join("memory.stat"));
    let pages = |name: &str| {
        let name = format!("{prefix}{name} ");
        statistics.lines().find_map(|line| line.strip_prefix(&name)?.trim().parse::<u64>().ok()).unwrap_or(0)
    };
    let files = pages("active_file").saturating_add(pages("inactive_file"));
    Some(limit.saturating_sub(used.saturating_sub(files)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// A made-up system.
    fn write(root: &Path, files: &[(&str, &str)]) -> PathBuf {
        for (name, text) in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
            fs::write(path, text).expect("writable");
        }
        root.to_path_buf()
    }

    #[test]
    fn the_tightest_control_group_counts_and_its_file_pages_are_free() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = write(
            folder.path(),
            &[
                ("proc/self/cgroup", "12:cpu:/x\n0::/slice/job\n"),
                ("sys/fs/cgroup/slice/job/memory.max", "max\n"),
                ("sys/fs/cgroup/slice/memory.max", "1000000\n"),
                ("sys/fs/cgroup/slice/memory.current", "700000\n"),
                ("sys/fs/cgroup/slice/memory.stat", "anon 1\nactive_file 100000\ninactive_file 200000\n"),
            ],
        );
        assert_eq!(control_group(&root), Some(600_000));
    }

    #[test]
    fn version_1_and_a_container_without_its_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = write(
            folder.path(),
            &[
                ("proc/self/cgroup", "4:memory,x:/docker/none\n"),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "5000\n"),
                ("sys/fs/cgroup/memory/memory.usage_in_bytes", "3000\n"),
                ("sys/fs/cgroup/memory/memory.stat", "total_inactive_file 1000\n"),
            ],
        );
        assert_eq!(control_group(&root), Some(3000));
    }

    #[test]
    fn what_is_asked_and_what_is_allowed_are_said() {
        assert_eq!(meminfo("MemFree: 3 kB\nMemAvailable:   5 kB\n", "MemAvailable"), Some(5 * 1024));
        assert!(allow("nothing much", SMALL).is_ok());
        let message = allow("2 x 2 things", u64::MAX).expect_err("too much").to_string();
        assert!(message.starts_with("2 x 2 things would take 18.4 EB of memory, and "), "{message}");
        assert!(message.contains("are allowed here (what"), "{message}");
        assert_eq!(bytes_of(&[usize::MAX, 2], 8), u64::MAX);
        assert_eq!([999, 1500, 999_999_999].map(size), ["999 bytes", "1.5 kB", "1.0 GB"]);
    }
}
