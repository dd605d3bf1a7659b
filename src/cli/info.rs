//! `xrdct info`: what this program can do here, or what a file is.

use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;

use super::exit::{Exit, Failure, OrExit};
use super::plan::HDF5_MAGIC;
use super::summary::pace;
use crate::cuda::device;
use crate::geometry::poni::Poni;
use crate::output::result::{Progress, ResultInfo};
use crate::source::cbf::probe;

/// What xrdct can do on this machine, or what a CBF, PONI or result file holds
#[derive(Debug, Clone, Args)]
pub struct InfoArgs {
    /// Files to explain; without any: version, processor, HDF5, kernels, GPUs
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs the command.
pub(super) fn run(args: &InfoArgs) -> Result<Exit, Failure> {
    if args.files.is_empty() {
        super::print(&this_machine());
        return Ok(Exit::Success);
    }
    for (number, file) in args.files.iter().enumerate() {
        let text = explain(file)?;
        let gap = if number > 0 { "\n" } else { "" };
        super::print(&format!("{gap}{}\n{text}", file.display()));
    }
    Ok(Exit::Success)
}

fn line(text: &mut String, name: &str, value: impl std::fmt::Display) {
    let _ = writeln!(text, "{name:<17}{value}");
}

/// Version, processor, HDF5, kernels, GPUs.
fn this_machine() -> String {
    let mut text = String::new();
    line(&mut text, "xrdct", env!("CARGO_PKG_VERSION"));
    line(&mut text, "processor", format!("{} threads; {}", threads(), processor_features().join(" ")));
    let (major, minor, patch) = hdf5::library_version();
    line(&mut text, "HDF5", format!("{major}.{minor}.{patch}, built in"));
    gpus(&mut text);
    text
}

/// Kernels, driver, GPUs, or the reason why there is none.
fn gpus(text: &mut String) {
    let survey = device::survey();
    let names: Vec<String> = survey.architectures.iter().map(|arch| format!("sm_{arch}")).collect();
    let kernels = match names.is_empty() {
        true => "none: built without nvcc".to_owned(),
        false => format!("built in for {} (newer GPUs through PTX)", names.join(" ")),
    };
    line(text, "CUDA kernels", kernels);
    if let Some((major, minor)) = survey.driver {
        line(text, "NVIDIA driver", format!("CUDA {major}.{minor}"));
    }
    match survey.devices {
        Err(reason) => line(text, "GPUs", format!("none: {reason}")),
        Ok(devices) => devices.iter().for_each(|gpu| {
            let free = gpu.free.map_or_else(String::new, |free| format!(", {:.1} free", free as f64 / 1e9));
            let (major, minor) = gpu.capability;
            let memory = gpu.memory as f64 / 1e9;
            let name = format!("GPU cuda:{}", gpu.ordinal);
            let sms = gpu.multiprocessors;
            line(text, &name, format!("{}, sm_{major}{minor}, {sms} SMs, {memory:.1} GB{free}", gpu.name));
        }),
    }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Instruction sets that the decoders and the engine choose between.
fn processor_features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        let seen = [
            ("avx2", std::arch::is_x86_feature_detected!("avx2")),
            ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
            ("avx512bw", std::arch::is_x86_feature_detected!("avx512bw")),
        ];
        let names: Vec<_> = seen.into_iter().filter(|(_, seen)| *seen).map(|(name, _)| name).collect();
        if names.is_empty() { vec!["no AVX2: scalar code"] } else { names }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        vec!["not x86-64: scalar code"]
    }
}

/// Tells a file's kind by its first bytes and says what it holds.
fn explain(path: &Path) -> Result<String, Failure> {
    let mut start = [0; 4096];
    let length = File::open(path)
        .and_then(|mut file| file.read(&mut start))
        .with_context(|| format!("{}: cannot be read", path.display()))
        .or_exit(Exit::Input)?;
    let start = &start[..length];
    let is_cbf_name = [".cbf", ".cbf.gz", ".cbf.bz2"].iter().any(|e| path.to_string_lossy().ends_with(e));
    if start.starts_with(HDF5_MAGIC) {
        return result(path);
    }
    if start.starts_with(b"###CBF") || is_cbf_name {
        return cbf(path);
    }
    let has_poni_key = String::from_utf8_lossy(start).lines().any(|line| {
        let key = line.split(':').next().unwrap_or("").trim().to_ascii_lowercase();
        ["distance", "poni1", "poni_version"].contains(&key.as_str())
    });
    if has_poni_key {
        return poni(path);
    }
    Err(anyhow!("{}: not a CBF frame, a PONI file or a result of xrdct", path.display())).or_exit(Exit::Input)
}

fn cbf(path: &Path) -> Result<String, Failure> {
    let header = probe(path).or_exit(Exit::Input)?;
    let mut text = String::new();
    let encoding = header.encoding;
    let packed = header.payload.len();
    let raw = encoding.shape.pixels() * encoding.pixel.size();
    line(&mut text, "kind", "CBF frame, byte-offset");
    line(&mut text, "pixels", format!("{} (slow x fast), {}", encoding.shape, encoding.pixel.name()));
    let ratio = raw as f64 / packed.max(1) as f64;
    line(&mut text, "packed", format!("{packed} bytes, ratio {ratio:.2}"));
    line(&mut text, "Content-MD5", if header.md5.is_some() { "given" } else { "none" });
    for entry in &header.mini.entries {
        line(&mut text, &entry.key, &entry.value);
    }
    Ok(text)
}

fn poni(path: &Path) -> Result<String, Failure> {
    let poni = Poni::read(path).or_exit(Exit::Calibration)?;
    let mut text = String::new();
    line(&mut text, "kind", format!("PONI file, version {}", poni.version));
    let detector = &poni.detector;
    line(&mut text, "detector", &detector.name);
    let shape = detector.shape.map_or("not given: the frames decide".to_owned(), |s| s.to_string());
    line(&mut text, "pixels", format!("{shape} (slow x fast)"));
    let size = format!("{} x {} µm", 1e6 * detector.pixel1, 1e6 * detector.pixel2);
    line(&mut text, "pixel size", size);
    line(&mut text, "orientation", format!("{} ({:?})", detector.orientation.number(), detector.orientation));
    if let Some(mask) = detector.mask() {
        line(&mut text, "masked pixels", mask.count());
    }
    line(&mut text, "distance", format!("{} m", poni.distance));
    line(&mut text, "PONI", format!("{} m slow, {} m fast", poni.poni1, poni.poni2));
    line(&mut text, "rotations", format!("{} {} {} rad", poni.rot1, poni.rot2, poni.rot3));
    let wavelength = match poni.wavelength {
        // hc in keV·Å, as pyFAI has it
        Some(metres) => {
            format!("{:.6} Å, {:.4} keV", 1e10 * metres, 12.398_419_843_320_026 / (1e10 * metres))
        }
        None => "none: only angles and radii can be computed".to_owned(),
    };
    line(&mut text, "wavelength", wavelength);
    Ok(text)
}

fn result(path: &Path) -> Result<String, Failure> {
    let info = ResultInfo::open(path).or_exit(Exit::Input)?;
    let mut text = String::new();
    line(&mut text, "kind", format!("result of xrdct {}", info.version));
    let state = match &info.progress {
        Progress::Complete => "complete".to_owned(),
        Progress::Interrupted => "interrupted by the user; the rows that are there are good".to_owned(),
        Progress::Failed(reason) => format!("failed: {reason}"),
        Progress::Running => "still being written, or its run was killed".to_owned(),
    };
    line(&mut text, "run", state);
    line(&mut text, "from, to", format!("{} … {}", info.start_time, info.end_time));
    if let Some(duration) = info.duration {
        line(&mut text, "speed", pace(info.frames_done(), "frames", duration));
    }
    let shape: Vec<String> = info.shape.iter().map(ToString::to_string).collect();
    let axes = if shape.len() == 3 { "slow x fast x bins" } else { "frames x bins" };
    line(
        &mut text,
        "intensity",
        format!("{} ({axes}){}", shape.join(" x "), if info.errors { ", with errors" } else { "" }),
    );
    let axis = &info.axis;
    if let (Some(first), Some(last)) = (axis.centres.first(), axis.centres.last()) {
        line(&mut text, "radial axis", format!("{} {first:.6} … {last:.6} {}", axis.name, axis.unit));
    }
    let rows: Vec<String> =
        info.statuses.iter().map(|(status, n)| format!("{n} {}", status.word())).collect();
    line(&mut text, "rows", rows.join(", "));
    for message in info.bad_frames.iter().take(10) {
        line(&mut text, "bad frame", message);
    }
    if let (Some(first), Some(last)) = (info.inputs.first(), info.inputs.last()) {
        line(&mut text, "input", format!("{} files, {first} … {last}", info.inputs.len()));
    }
    let file = path.display();
    line(&mut text, "look at it", format!("silx view {file}"));
    line(&mut text, "repeat it", format!("xrdct integrate --config {file} -o NEW.h5"));
    Ok(text)
}
