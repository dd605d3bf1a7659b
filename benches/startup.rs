//! From the start of the program to its first row: a process is started as a user would start it, and the result file is watched
//! until the status of frame 0 says that its row is there.
//!
//! The floor is what it cannot do without: starting a process (with a GPU, one that looks for it: `xrdct info`) and building the
//! matrix on as many threads.
#![allow(dead_code)] // one module, two benches

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use xrdct::bench::measure::{Amount, Measure, digest};
use xrdct::bench::subject::Subject;
use xrdct::frame::FrameStatus;
use xrdct::geometry::units::Unit;
use xrdct::integrate::split::{MatrixRequest, Split, build};

use super::options::{Options, told};

const FRAMES: usize = 8;
const BINS: usize = 1000;
const FEWEST: usize = 5;
/// How often the file is looked at.
const LOOK: Duration = Duration::from_micros(100);
/// A program that has no row by then has none at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// The cores alone.
pub fn on_cpu(options: &Options) -> Result<Vec<Measure>> {
    measure(options, "start-up, CPU to the first row", "cpu", ("exec and the matrix", &["--version"]))
}

/// A GPU.
pub fn on_gpu(options: &Options) -> Result<Vec<Measure>> {
    measure(
        options,
        "start-up, GPU to the first row",
        "cuda",
        ("exec, a look for GPUs, and the matrix", &["info"]),
    )
}

fn measure(
    options: &Options,
    name: &str,
    device: &str,
    (words, least): (&str, &[&str]),
) -> Result<Vec<Measure>> {
    if !options.wants(name) {
        return Ok(vec![]);
    }
    let folder = options.folder.join(format!("xrdct-startup-{}", std::process::id()));
    let measured = in_folder(options, &folder, device, least);
    let _ = std::fs::remove_dir_all(&folder);
    let (amount, truth, own, floor) = measured?;
    Ok(vec![told(Measure::new(name, amount, truth, own, (words, floor)))])
}

/// Amount of a frame, digest of the patterns, seconds to the first row, seconds of the floor.
fn in_folder(
    options: &Options,
    folder: &Path,
    device: &str,
    least: &[&str],
) -> Result<(Amount, String, f64, f64)> {
    let (files, path, poni) = Subject::simulate(folder, FRAMES, &|| ())?;
    let subject = Subject::new(&files, &path, &poni, BINS)?;
    let mask = poni.detector.mask();
    let shape = subject.encoding.shape;
    let request = MatrixRequest {
        poni: &poni,
        shape,
        npt: BINS,
        npt_azim: None,
        unit: Unit::QNm,
        split: Split::BBox,
        mask: mask.as_ref(),
        radial_range: None,
        azimuth_range: None,
        chi_at_zero: false,
    };
    let output = folder.join("startup.h5");
    let integrate = || {
        let mut command = Command::new(&options.xrdct);
        command.args([
            "integrate",
            "--quiet",
            "--overwrite",
            "--device",
            device,
            "--npt",
            &BINS.to_string(),
            "--poni",
        ]);
        command.arg(&path).arg("--output").arg(&output).args(&files);
        command
    };
    let (mut own, mut floor, mut truth) = (f64::INFINITY, f64::INFINITY, String::new());
    let (begun, mut runs) = (Instant::now(), 0);
    while runs <= FEWEST || begun.elapsed().as_secs_f64() < 2.0 * options.seconds {
        let start = Instant::now();
        let done = Command::new(&options.xrdct).args(least).stdout(Stdio::null()).status();
        ensure!(done.with_context(|| options.xrdct.display().to_string())?.success(), "{least:?} fails");
        black_box(build(&request)?);
        let limit = start.elapsed().as_secs_f64();
        let _ = std::fs::remove_file(&output);
        let seconds = to_first_row(integrate(), &output)?;
        truth = digest(rows(&output)?.iter().map(|value| u64::from(value.to_bits())));
        // The first run finds nothing in the system's cache.
        if runs > 0 {
            (own, floor) = (own.min(seconds), floor.min(limit));
        }
        runs += 1;
    }
    let amount = Amount { bytes: subject.frame_bytes() as usize, pixels: shape.pixels() };
    Ok((amount, truth, own, floor))
}

/// Seconds from the start of the program until its file says that frame 0 is good; then the program's end is awaited.
fn to_first_row(mut command: Command, output: &Path) -> Result<f64> {
    let start = Instant::now();
    let mut run = command.stdin(Stdio::null()).spawn().context("xrdct does not start")?;
    let seconds = watch(&mut run, output, start);
    if seconds.is_err() {
        let _ = run.kill();
    }
    let status = run.wait()?;
    let seconds = seconds?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(seconds)
}

fn watch(run: &mut Child, output: &Path, start: Instant) -> Result<f64> {
    let mut place = None;
    loop {
        let ended = run.try_wait()?.is_some();
        if place.is_none() && output.exists() {
            // The file is whole before its first row is written.
            let offset = hdf5::File::open(output)?.dataset("/entry_0000/xrdct/frame_status")?.offset();
            place = Some((File::open(output)?, offset.context("the statuses have no place of their own")?));
        }
        if let Some((file, offset)) = &place {
            let mut status = [u8::MAX];
            file.read_exact_at(&mut status, *offset)?;
            if status[0] == FrameStatus::Good as u8 {
                return Ok(start.elapsed().as_secs_f64());
            }
        }
        if ended || start.elapsed() > PATIENCE {
            bail!("no row in {}", output.display());
        }
        std::thread::sleep(LOOK);
    }
}

fn rows(output: &Path) -> Result<Vec<f32>> {
    Ok(hdf5::File::open(output)?.dataset("/entry_0000/xrdct/result/intensity")?.read_raw::<f32>()?)
}
