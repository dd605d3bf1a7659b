//! Reconstruction on this machine: slices by filtered back-projection, on the cores and on the GPU, each beside its floor, and
//! today's other programs on the same sinograms.
//!
//! Sinograms are those of the simulated phantom, one phase after another. Every row reconstructs what the first one does: a slice
//! that is not the same ends the bench; peers, which place pixels by other conventions, must correlate with ours.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::BenchError;
use super::error::at;
use super::machine::Machine;
use super::outcome::RowGroup;
use super::peers;
use crate::cuda::driver::{Context, DeviceBuffer, PinnedBuffer, Stream};
use crate::cuda::tomo::SliceSizes;
use crate::cuda::{CudaError, CudaReconstructor, device};
use crate::session::on_threads;
use crate::simulate::phantom::{Trajectory, truth};
use crate::tomo::GROUP;
use crate::tomo::centre::correlation;
use crate::tomo::filter::Filter;
use crate::tomo::{Grid, HostReconstructor, Method, Rays, Reconstruction, Reconstructor, TomoError};

/// The script, as it was when this program was built.
const SCRIPT: &str = include_str!("../../scripts/peers_tomo.py");

/// Bins of a block when the GPU's kernels are timed alone.
const KERNEL_BLOCK: usize = 1 << 20;
/// Largest difference between rows of ours, of the largest value.
const AGREE: f32 = 5e-6;
/// Correlation with a peer's slice.
const AGREE_PEER: f64 = 0.99;

/// What is reconstructed, and how it is measured.
#[derive(Debug, Clone)]
pub struct SliceBench {
    /// Bins.
    pub bins: usize,
    /// Rotations over 180°.
    pub rotations: usize,
    /// Translations, and pixels along each side of a slice.
    pub translations: usize,
    /// Runs of each row.
    pub runs: usize,
    /// Seconds that a run of a peer goes on for.
    pub seconds: f64,
    /// Cores.
    pub threads: usize,
    /// Whether to leave a GPU alone.
    pub cpu_only: bool,
    /// Folder for what the peers read.
    pub scratch: PathBuf,
}

/// A way to make slices.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SliceRow {
    /// What it is called in files.
    pub key: String,
    /// What it is called for people.
    pub name: String,
    /// What runs where.
    pub words: String,
    /// Whose it is.
    pub group: RowGroup,
    /// Seconds a slice, median of the runs.
    pub seconds: Option<f64>,
    /// What it cannot be faster than, seconds a slice, and what that is.
    pub floor: Option<(f64, String)>,
    /// Why there is no figure.
    pub missing: Option<String>,
}

impl From<TomoError> for BenchError {
    fn from(error: TomoError) -> BenchError {
        BenchError::Tomo(error.to_string())
    }
}

/// All rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SliceTable {
    /// Version of this program.
    pub version: String,
    /// When.
    pub date: String,
    /// Where.
    pub machine: Machine,
    /// Bins, rotations, translations.
    pub shape: [usize; 3],
    /// Cores.
    pub threads: usize,
    /// The rows.
    pub rows: Vec<SliceRow>,
    /// Versions of the peers.
    pub versions: BTreeMap<String, String>,
}

/// Sinograms and their reconstruction.
#[derive(Debug)]
pub struct SliceSubject {
    /// What is wanted of each bin.
    pub wanted: Reconstruction,
    /// Sinograms of a few bins, each of another phase; a row takes them over and over.
    pub phases: Vec<f32>,
}

impl SliceSubject {
    /// The phantom, seen from all sides. Slices have the middle where scikit-image has it: at translation n ÷ 2.
    pub fn new(rotations: usize, translations: usize) -> SliceSubject {
        let scan = Trajectory {
            rotations,
            translations,
            range: 180.0,
            field: 1.2,
            diameter: 0.9,
            axis_offset: (translations as f64 / 2.0).floor() - (translations as f64 - 1.0) / 2.0,
        };
        let middle = (translations / 2) as f64;
        let wanted = Reconstruction {
            rays: Rays { angles: scan.angles(), translations, axis: middle },
            grid: Grid { x0: -middle, y0: -middle, ..Grid::square(translations) },
            method: Method::Fbp { filter: Filter::Ramp },
            circle: true,
        };
        SliceSubject {
            wanted,
            phases: truth(&scan, 3).into_iter().flat_map(|phase| phase.sinogram).collect(),
        }
    }

    /// Sinograms of so many bins.
    pub fn sinograms(&self, bins: usize) -> Vec<f32> {
        self.phases.iter().copied().cycle().take(bins * self.wanted.rays.len()).collect()
    }

    /// How many phases: bins that differ.
    pub fn distinct(&self) -> usize {
        self.phases.len() / self.wanted.rays.len()
    }

    /// Values that are read a slice: two a pixel and rotation.
    fn values(&self) -> f64 {
        2.0 * self.wanted.grid.pixels() as f64 * self.wanted.rays.angles.len() as f64
    }
}

/// Median of the seconds that `work` takes.
fn median(runs: usize, mut work: impl FnMut() -> Result<f64, BenchError>) -> Result<f64, BenchError> {
    let mut times = (0..runs.max(1)).map(|_| work()).collect::<Result<Vec<_>, _>>()?;
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// Seconds that the multiply-adds of one slice take on all cores when values lie where they are wanted: no geometry, no filter.
pub fn host_floor(subject: &SliceSubject, runs: usize) -> f64 {
    let Reconstruction { rays, grid, .. } = &subject.wanted;
    let row = vec![[1.0_f32; GROUP]; rays.translations];
    // One line of pixels, its sums in the first-level cache; as many lines and rotations as GROUP slices have.
    let line = |sums: &mut Vec<[f32; GROUP]>| {
        for (sums, pair) in sums.iter_mut().zip(black_box(&row).windows(2).cycle()) {
            for lane in 0..GROUP {
                sums[lane] += pair[0][lane] * 0.25 + pair[1][lane] * 0.75;
            }
        }
    };
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn with_avx2(sums: &mut Vec<[f32; GROUP]>, line: impl Fn(&mut Vec<[f32; GROUP]>)) {
        line(sums);
    }
    let work = || {
        (0..grid.rows).into_par_iter().for_each(|_| {
            let mut sums = vec![[0.0_f32; GROUP]; grid.columns];
            for _ in 0..rays.angles.len() {
                #[cfg(target_arch = "x86_64")]
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has AVX2.
                    unsafe { with_avx2(&mut sums, line) };
                    continue;
                }
                line(&mut sums);
            }
            black_box(&sums);
        });
    };
    let fastest = (0..runs.max(1)).map(|_| timed(work)).fold(f64::INFINITY, f64::min);
    fastest / GROUP as f64
}

/// Seconds that one slice's values take through all first-level caches of a GPU, at its highest clock.
///
/// # Errors
/// What the driver refuses.
pub fn cache_floor(subject: &SliceSubject, context: &Context) -> Result<f64, CudaError> {
    Ok(subject.values() * size_of::<f32>() as f64 / context.cache_bandwidth()?)
}

/// Seconds that one slice and its sinogram take on the link, both directions at once.
///
/// # Errors
/// What the driver refuses.
pub fn link_floor(subject: &SliceSubject, context: &std::sync::Arc<Context>) -> Result<f64, CudaError> {
    let Reconstruction { rays, grid, .. } = &subject.wanted;
    const BINS: usize = 128;
    let bytes = |values: usize| BINS * values * size_of::<f32>();
    let (up, mut down) =
        (PinnedBuffer::take(context, bytes(rays.len()))?, PinnedBuffer::take(context, bytes(grid.pixels()))?);
    let sinograms = DeviceBuffer::take(context, bytes(rays.len()), "the link's ceiling")?;
    let slices = DeviceBuffer::take(context, bytes(grid.pixels()), "the link's ceiling")?;
    let (there, back) = (Stream::new(context)?, Stream::new(context)?);
    let mut fastest = f64::INFINITY;
    for _ in 0..10 {
        let start = Instant::now();
        // SAFETY: both streams are waited for before the memory is touched again.
        unsafe {
            there.enqueue_upload(&sinograms, 0, up.bytes())?;
            back.enqueue_download(&slices, 0, down.bytes_mut())?;
        }
        there.wait()?;
        back.wait()?;
        fastest = fastest.min(start.elapsed().as_secs_f64());
    }
    Ok(fastest / BINS as f64)
}

/// Measures every row; with a python, the peers too.
///
/// # Errors
/// When a row fails, or computes something else than the first.
pub fn run(
    settings: &SliceBench,
    python: Option<&Path>,
    say: &mut dyn FnMut(&str),
) -> Result<SliceTable, BenchError> {
    let subject = SliceSubject::new(settings.rotations, settings.translations);
    let expected = slices_of(&mut HostReconstructor::new(&subject.wanted)?, &subject, subject.distinct())?;
    let mut rows = vec![];
    say("CPU");
    rows.extend(on_host(settings, &subject)?);
    say("GPU");
    rows.extend(on_gpu(settings, &subject, &expected)?);
    let mut versions = BTreeMap::new();
    if let Some(python) = python {
        say("peers");
        let (theirs, who) = of_peers(settings, python, &subject, &expected)?;
        rows.extend(theirs);
        versions = who;
    }
    Ok(SliceTable {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        date: jiff::Zoned::now().strftime("%Y-%m-%d %H:%M").to_string(),
        machine: Machine::here(),
        shape: [settings.bins, settings.rotations, settings.translations],
        threads: settings.threads,
        rows,
        versions,
    })
}

fn slices_of(
    maker: &mut dyn Reconstructor,
    subject: &SliceSubject,
    bins: usize,
) -> Result<Vec<f32>, BenchError> {
    let mut slices = vec![0.0; bins * subject.wanted.grid.pixels()];
    maker.reconstruct(&subject.sinograms(bins), &mut slices).map_err(|e| BenchError::Tomo(e.to_string()))?;
    Ok(slices)
}

fn row(key: &str, name: &str, words: String, seconds: f64, floor: Option<(f64, &str)>) -> SliceRow {
    SliceRow {
        key: key.to_owned(),
        name: name.to_owned(),
        words,
        group: RowGroup::Ours,
        seconds: Some(seconds),
        floor: floor.map(|(seconds, what)| (seconds, what.to_owned())),
        missing: None,
    }
}

/// All cores, and one.
fn on_host(settings: &SliceBench, subject: &SliceSubject) -> Result<Vec<SliceRow>, BenchError> {
    let mut rows = vec![];
    let pools: &[usize] = if settings.threads > 1 { &[settings.threads, 1] } else { &[1] };
    for &threads in pools {
        let bins = (2 * GROUP * threads).min(settings.bins.next_multiple_of(GROUP));
        let (seconds, floor) = on_threads(threads, || -> Result<_, BenchError> {
            let mut maker = HostReconstructor::new(&subject.wanted)?;
            let sinograms = subject.sinograms(bins);
            let mut slices = vec![0.0; bins * subject.wanted.grid.pixels()];
            let seconds = median(settings.runs, || {
                let start = Instant::now();
                maker.reconstruct(&sinograms, &mut slices).map_err(|e| BenchError::Tomo(e.to_string()))?;
                Ok(start.elapsed().as_secs_f64())
            })?;
            Ok((seconds / bins as f64, host_floor(subject, settings.runs)))
        })??;
        let name = if threads == 1 { "CPU, 1 thread".to_owned() } else { format!("CPU, {threads} threads") };
        let key = if threads == 1 { "cpu-1" } else { "cpu" };
        let words = format!("FBP, ramp, {GROUP} bins side by side");
        rows.push(row(key, &name, words, seconds, Some((floor, "the multiply-adds alone"))));
    }
    Ok(rows)
}

/// The kernels alone, and from memory to memory.
fn on_gpu(
    settings: &SliceBench,
    subject: &SliceSubject,
    expected: &[f32],
) -> Result<Vec<SliceRow>, BenchError> {
    let missing = |reason: String| {
        let row = |key: &str, name: &str| SliceRow {
            key: key.to_owned(),
            name: name.to_owned(),
            words: String::new(),
            group: RowGroup::Ours,
            seconds: None,
            floor: None,
            missing: Some(reason.clone()),
        };
        vec![row("gpu-kernels", "GPU, kernels"), row("gpu", "GPU, memory to memory")]
    };
    if settings.cpu_only {
        return Ok(missing("--device cpu".to_owned()));
    }
    let context = match device::open(0) {
        Ok(context) => context,
        Err(reason) => return Ok(missing(reason.to_string())),
    };
    let failed = |e: crate::tomo::ReconstructError| BenchError::Tomo(e.to_string());
    let pixels = subject.wanted.grid.pixels();
    let sinograms = subject.sinograms(settings.bins);
    let mut slices = vec![0.0; settings.bins * pixels];
    let mut measure = |options: SliceSizes, kernels: bool| -> Result<(f64, SliceSizes), BenchError> {
        let mut maker = CudaReconstructor::new(&context, &subject.wanted, options).map_err(failed)?;
        maker.reconstruct(&sinograms, &mut slices).map_err(failed)?;
        for (bin, slice) in slices.chunks(pixels).enumerate() {
            let at = bin % subject.distinct() * pixels;
            same("GPU", slice, &expected[at..at + pixels])?;
        }
        let seconds = median(settings.runs, || {
            let start = Instant::now();
            maker.reconstruct(&sinograms, &mut slices).map_err(failed)?;
            Ok(if kernels { maker.kernel_milliseconds() * 1e-3 } else { start.elapsed().as_secs_f64() })
        })?;
        Ok((seconds / settings.bins as f64, maker.options()))
    };
    let block = settings.bins.min(KERNEL_BLOCK);
    let (kernels, _) = measure(SliceSizes { lanes: 1, bins: block }, true)?;
    let (whole, options) = measure(SliceSizes::default(), false)?;
    let caches = cache_floor(subject, &context)?;
    let link = link_floor(subject, &context)?;
    Ok(vec![
        row(
            "gpu-kernels",
            "GPU, kernels",
            format!("{} bins on the device, CUDA events", settings.bins),
            kernels,
            Some((caches, "two values a pixel and rotation through the first-level caches")),
        ),
        row(
            "gpu",
            "GPU, memory to memory",
            format!("{} lanes of {} bins", options.lanes, options.bins),
            whole,
            Some((link.max(caches), "the link, both ways at once")),
        ),
    ])
}

/// Whether a slice is the host's.
fn same(who: &str, found: &[f32], expected: &[f32]) -> Result<(), BenchError> {
    let largest = expected.iter().fold(0.0_f32, |all, v| all.max(v.abs()));
    let off = found
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0_f32, |all, v| if v.is_nan() { f32::INFINITY } else { all.max(v) });
    match off <= AGREE * largest {
        true => Ok(()),
        false => Err(BenchError::Tomo(format!(
            "{who}: its slice differs from the host's by {:.1e} of the largest value: not a benchmark but a defect",
            off / largest
        ))),
    }
}

#[derive(Serialize)]
struct Request<'a> {
    sinograms: &'a Path,
    angles: &'a [f64],
    translations: usize,
    axis: f64,
    threads: usize,
    runs: usize,
    seconds: f64,
}

#[derive(Deserialize)]
struct Answer {
    rows: Vec<PeerRow>,
    versions: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct PeerRow {
    key: String,
    name: String,
    words: String,
    seconds: Option<f64>,
    missing: Option<String>,
    slice: Option<Vec<f32>>,
}

fn of_peers(
    settings: &SliceBench,
    python: &Path,
    subject: &SliceSubject,
    expected: &[f32],
) -> Result<(Vec<SliceRow>, BTreeMap<String, String>), BenchError> {
    let path = settings.scratch.join("sinograms.f32");
    let bytes: Vec<u8> = subject.phases.iter().flat_map(|v| v.to_le_bytes()).collect();
    at(&path, std::fs::write(&path, bytes))?;
    let Rays { angles, translations, axis } = &subject.wanted.rays;
    let request = Request {
        sinograms: &path,
        angles,
        translations: *translations,
        axis: *axis,
        threads: settings.threads,
        runs: settings.runs,
        seconds: settings.seconds,
    };
    let answer: Answer = peers::ask(python, SCRIPT, &settings.scratch, &request)?;
    let pixels = subject.wanted.grid.pixels();
    let row = |peer: PeerRow| {
        let disagreement = peer.slice.as_deref().and_then(|slice| {
            let pairs = slice.iter().zip(&expected[..pixels]).map(|(a, b)| (f64::from(*a), f64::from(*b)));
            let close = if slice.len() == pixels { correlation(pairs) } else { 0.0 };
            (close < AGREE_PEER).then(|| format!("its slice correlates with ours at {close:.3} only"))
        });
        let missing = peer.missing.or(disagreement);
        SliceRow {
            seconds: peer.seconds.filter(|_| missing.is_none()),
            key: peer.key,
            name: peer.name,
            words: peer.words,
            group: RowGroup::Peer,
            floor: None,
            missing,
        }
    };
    Ok((answer.rows.into_iter().map(row).collect(), answer.versions))
}

impl SliceTable {
    /// Rows of ours over rows of theirs that they are to be compared with, as sentences.
    pub fn ratios(&self) -> Vec<String> {
        let seconds = |key: &str| self.rows.iter().find(|r| r.key == key).and_then(|r| Some((r, r.seconds?)));
        let pairs = [
            ("cpu", "scikit-image"),
            ("cpu", "scikit-image-pool"),
            ("cpu-1", "scikit-image"),
            ("gpu", "silx"),
            ("gpu-kernels", "silx-kernel"),
        ];
        let ratio = |(ours, theirs): (&str, &str)| {
            let ((ours, fast), (theirs, slow)) = (seconds(ours)?, seconds(theirs)?);
            Some(format!("{:.1}  {} / {}", slow / fast, ours.name, theirs.name))
        };
        pairs.into_iter().filter_map(ratio).collect()
    }

    fn heading(&self) -> String {
        let [bins, rotations, translations] = self.shape;
        format!(
            "xrdct {}, {}: slices by filtered back-projection (ramp), {rotations} rotations x {translations} translations\n\
             {bins} bins of simulated sinograms (GPU; the CPU takes some of them); {} threads\n{}\n",
            self.version,
            self.date,
            self.threads,
            self.machine.line()
        )
    }

    fn reasons(&self) -> impl Iterator<Item = String> + '_ {
        self.rows.iter().filter_map(|row| Some(format!("{}: {}", row.name, row.missing.as_ref()?)))
    }

    fn floors(&self) -> impl Iterator<Item = String> + '_ {
        self.rows.iter().filter_map(|row| {
            Some(format!("floor of {}: {}", row.name, row.floor.as_ref().map(|(_, what)| what)?))
        })
    }

    fn versions_line(&self) -> Option<String> {
        let list: Vec<String> = self.versions.iter().map(|(name, v)| format!("{name} {v}")).collect();
        (!list.is_empty()).then(|| format!("peers: {}", list.join(", ")))
    }

    fn lines(&self) -> Vec<String> {
        self.ratios()
            .into_iter()
            .chain(self.reasons())
            .chain(self.floors())
            .chain(self.versions_line())
            .collect()
    }

    /// For a terminal.
    pub fn terminal(&self) -> String {
        let mut text = self.heading();
        let _ = writeln!(text, "\n{:<40}{:>14}{:>14}{:>10}", "", "ms a slice", "slices/s", "of floor");
        for row in &self.rows {
            let [milliseconds, rate, share] = figures(row);
            let _ = writeln!(text, "{:<40}{milliseconds:>14}{rate:>14}{share:>10}", row.name);
        }
        text.push('\n');
        self.lines().iter().for_each(|line| text += &format!("{line}\n"));
        text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect()
    }

    /// A section for a README.
    pub fn markdown(&self) -> String {
        let mut text = self.heading();
        text += "\n| | what runs where | ms a slice | slices/s | of floor |\n|---|---|---:|---:|---:|\n";
        for row in &self.rows {
            let [milliseconds, rate, share] = figures(row);
            let _ = writeln!(text, "| {} | {} | {milliseconds} | {rate} | {share} |", row.name, row.words);
        }
        text.push('\n');
        self.lines().iter().for_each(|line| text += &format!("- {line}\n"));
        text
    }
}

/// Milliseconds a slice, slices a second, share of the floor.
fn figures(row: &SliceRow) -> [String; 3] {
    let Some(seconds) = row.seconds else { return ["missing".into(), String::new(), String::new()] };
    let share = row.floor.as_ref().map_or_else(String::new, |(floor, _)| format!("{:.2}", floor / seconds));
    [format!("{:.4}", seconds * 1e3), format!("{:.0}", 1.0 / seconds), share]
}
