//! What this machine is: figures mean nothing without it.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::session::device::{counted, survey};

/// A machine, as far as it matters to a figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Model of the processor.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Bytes of memory.
    pub memory: u64,
    /// The first GPU.
    pub gpu: Option<String>,
    /// All of them in words, where there are several: `2 × NVIDIA H100 80GB HBM3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus: Option<String>,
    /// Version of the NVIDIA driver.
    pub driver: Option<String>,
    /// Kernel and its version.
    pub kernel: String,
}

impl Machine {
    /// Looks around.
    pub fn here() -> Machine {
        let survey = survey();
        let cuda = survey.driver.map(|(major, minor)| format!("CUDA {major}.{minor}"));
        let version = fs::read_to_string("/proc/driver/nvidia/version").ok().and_then(|text| {
            let is_version =
                |word: &&str| word.split('.').count() >= 2 && word.starts_with(|c: char| c.is_ascii_digit());
            text.lines().next()?.split_whitespace().find(is_version).map(str::to_owned)
        });
        let driver = match (version, cuda) {
            (Some(version), Some(cuda)) => Some(format!("{version} ({cuda})")),
            (version, cuda) => version.or(cuda),
        };
        let names: Vec<String> = survey.devices.unwrap_or_default().into_iter().map(|gpu| gpu.name).collect();
        let uname = rustix::system::uname();
        Machine {
            cpu: first_of("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory: first_of("/proc/meminfo", "MemTotal")
                .and_then(|text| text.trim_end_matches(" kB").trim().parse::<u64>().ok())
                .map_or(0, |kilobytes| kilobytes * 1024),
            gpus: (names.len() > 1).then(|| counted(names.iter().cloned())),
            gpu: names.into_iter().next(),
            driver,
            kernel: format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy()),
        }
    }

    /// The class whose CPU figures may be compared: processor and cores.
    pub fn cpu_class(&self) -> String {
        format!("{}-{}-cores", slug(&self.cpu), self.cores)
    }

    /// The class whose GPU figures may be compared; none without a GPU.
    pub fn gpu_class(&self) -> Option<String> {
        self.gpu
            .as_deref()
            .map(|name| slug(name.trim_start_matches("NVIDIA ").trim_start_matches("GeForce ")))
    }

    /// The machine in one line.
    pub fn line(&self) -> String {
        let gpu = match (self.gpus.as_ref().or(self.gpu.as_ref()), &self.driver) {
            (Some(gpu), Some(driver)) => format!("{gpu}, driver {driver}"),
            (Some(gpu), None) => gpu.clone(),
            (None, _) => "no GPU".to_owned(),
        };
        format!(
            "{}, {} cores, {:.0} GB; {gpu}; {}",
            self.cpu,
            self.cores,
            self.memory as f64 / 1e9,
            self.kernel
        )
    }
}

/// What the first line of a file in /proc says after `name :`.
fn first_of(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}

/// Kind of the file system that a file or folder is on, as the kernel names it: the longest mount point above it.
pub fn file_system(path: &Path) -> Option<String> {
    let path = fs::canonicalize(path).ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mount = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let (point, kind) = (words.next()?.replace("\\040", " "), words.next()?);
        path.starts_with(&point).then(|| (point.len(), kind.to_owned()))
    };
    // Of two mounts on one point the later one is on top.
    mounts.lines().filter_map(mount).max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

/// Lower-case words joined by dashes, without marks and clock rates.
fn slug(name: &str) -> String {
    let name = name.to_lowercase().replace("(r)", "").replace("(tm)", "");
    let name = name.split(" @ ").next().unwrap_or_default();
    let dashed: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let noise = ["processor", "cpu", ""];
    dashed.split('-').filter(|word| !noise.contains(word)).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_names_of_folders() {
        assert_eq!(slug("Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz"), "intel-xeon-platinum-8481c");
        assert_eq!(slug("AMD EPYC 9B14 96-Core Processor"), "amd-epyc-9b14-96-core");
        let machine = |gpu: &str| Machine {
            cpu: "x".into(),
            cores: 2,
            memory: 0,
            gpu: Some(gpu.into()),
            gpus: None,
            driver: None,
            kernel: "Linux".into(),
        };
        assert_eq!(machine("NVIDIA H200").gpu_class().as_deref(), Some("h200"));
        assert_eq!(machine("NVIDIA H200").cpu_class(), "x-2-cores");
    }
}
