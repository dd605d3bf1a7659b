//! `xrdct info`: what this program can do here, or what a file is.

mod hdf5;
mod images;

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;

use super::exit::{Exit, Failure, OrExit};
use super::say;
use super::words::{Sentences, energy};
use crate::session::Poni;
use crate::session::device::survey;
use crate::session::kind::{CbfHeader, FileKind, kind};

/// What xrdct can do on this machine, or what a file holds: a frame (CBF, TIFF, EDF, npy, HDF5), a PONI, a result, tomogram or stack of xrdct
#[derive(Debug, Clone, Args)]
pub struct InfoArgs {
    /// Files to explain; without any: version, processor, HDF5, kernels, GPUs
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs the command.
pub(super) fn run(args: &InfoArgs) -> Result<Exit, Failure> {
    if args.files.is_empty() {
        say::answer(&this_machine().text())?;
        return Ok(Exit::Success);
    }
    for (number, file) in args.files.iter().enumerate() {
        let text = explain(file)?.text();
        let gap = if number > 0 { "\n" } else { "" };
        say::answer(&format!("{gap}{}\n{text}", file.display()))?;
    }
    Ok(Exit::Success)
}

/// Version, processor, HDF5, kernels, GPUs.
fn this_machine() -> Sentences {
    let mut facts = Sentences::default();
    facts.add("xrdct", env!("CARGO_PKG_VERSION"));
    facts.add("processor", format!("{} threads; {}", threads(), processor_features().join(" ")));
    let (major, minor, patch) = ::hdf5::library_version();
    facts.add("HDF5", format!("{major}.{minor}.{patch}, built in"));
    gpus(&mut facts);
    facts
}

/// Kernels, driver, GPUs, or the reason why there is none.
fn gpus(facts: &mut Sentences) {
    let survey = survey();
    let names: Vec<String> = survey.architectures.iter().map(|arch| format!("sm_{arch}")).collect();
    let kernels = match names.is_empty() {
        true => "none: built without nvcc".to_owned(),
        false => format!("built in for {} (newer GPUs through PTX)", names.join(" ")),
    };
    facts.add("CUDA kernels", kernels);
    if let Some((major, minor)) = survey.driver {
        facts.add("NVIDIA driver", format!("CUDA {major}.{minor}"));
    }
    match survey.devices {
        Err(reason) => facts.add("GPUs", format!("none: {reason}")),
        Ok(devices) => devices.iter().for_each(|gpu| {
            let free = gpu.free.map_or_else(String::new, |free| format!(", {:.1} free", free as f64 / 1e9));
            let (major, minor) = gpu.capability;
            let memory = gpu.memory as f64 / 1e9;
            let sms = gpu.multiprocessors;
            facts.add(
                format!("GPU cuda:{}", gpu.ordinal),
                format!("{}, sm_{major}{minor}, {sms} SMs, {memory:.1} GB{free}", gpu.name),
            );
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

/// Says what a file holds.
fn explain(path: &Path) -> Result<Sentences, Failure> {
    match kind(path)? {
        FileKind::Cbf(header) => Ok(cbf(&header)),
        FileKind::Poni(poni) => Ok(geometry(&poni)),
        FileKind::Result => hdf5::result(path),
        FileKind::Tomogram => hdf5::tomogram(path),
        FileKind::Stack => hdf5::stack(path),
        FileKind::Images(input) => Ok(images::explain(&input)),
        FileKind::BareMaster(master) => Ok(images::bare(&master)),
        FileKind::OtherHdf5(why) => hdf5::other(path, &why),
        FileKind::Unknown => Err(anyhow!(
            "{}: not a frame (CBF, TIFF, EDF, npy), a PONI file or an HDF5 file of xrdct",
            path.display()
        ))
        .or_exit(Exit::Input),
    }
}

fn cbf(header: &CbfHeader) -> Sentences {
    let mut facts = Sentences::default();
    let encoding = header.encoding;
    let packed = header.payload.len();
    let raw = encoding.shape.pixels() * encoding.pixel.size();
    facts.add("kind", "CBF frame, byte-offset");
    facts.add("pixels", format!("{} (slow x fast), {}", encoding.shape, encoding.pixel.name()));
    let ratio = raw as f64 / packed.max(1) as f64;
    facts.add("packed", format!("{packed} bytes, ratio {ratio:.2}"));
    facts.add("Content-MD5", if header.md5.is_some() { "given" } else { "none" });
    for entry in &header.mini.entries {
        facts.add(&entry.key, &entry.value);
    }
    facts
}

fn geometry(poni: &Poni) -> Sentences {
    let mut facts = Sentences::default();
    facts.add("kind", format!("PONI file, version {}", poni.version));
    let detector = &poni.detector;
    facts.add("detector", &detector.name);
    let shape = detector.shape.map_or("not given: the frames decide".to_owned(), |s| s.to_string());
    facts.add("pixels", format!("{shape} (slow x fast)"));
    if let Some(file) = &detector.file {
        facts.add("described by", file.path.display());
    }
    if detector.pixel1 > 0.0 {
        facts.add("pixel size", format!("{} x {} µm", 1e6 * detector.pixel1, 1e6 * detector.pixel2));
    }
    facts.add("orientation", format!("{} ({:?})", detector.orientation.number(), detector.orientation));
    if let Some(mask) = detector.mask() {
        facts.add("masked pixels", mask.count());
    }
    facts.add("distance", format!("{} m", poni.distance));
    facts.add("PONI", format!("{} m slow, {} m fast", poni.poni1, poni.poni2));
    facts.add("rotations", format!("{} {} {} rad", poni.rot1, poni.rot2, poni.rot3));
    if let Some(sensor) = &detector.sensor {
        let thickness = sensor.thickness.map_or("thick".to_owned(), |metres| format!("{} µm", 1e6 * metres));
        let parallax = if poni.parallax { "; parallax is corrected" } else { "" };
        facts.add("sensor", format!("{}, {thickness}{parallax}", sensor.material));
    }
    let none = || "none: only angles and radii can be computed".to_owned();
    facts.add("wavelength", poni.wavelength.map_or_else(none, energy));
    facts
}
