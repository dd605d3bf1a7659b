//! `xrdct tomo`: a result becomes sinograms, mended sinograms, slices, a file, and a closing summary.
//!
//! One way through: what the scan is and what is wrong with it is found once, on the sum over bins ([`Study::of`]); then
//! blocks of bins are gathered, mended alike, reconstructed and written, as many at a time as `--memory` allows. The result does
//! not depend on the size of the blocks.

mod after;
pub mod args;
mod choices;
mod hollow;
mod points;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) use after::{after_integration, store};
use anyhow::{Context, anyhow};
use args::TomoArgs;
use choices::{axis, bins, monitor, outside, reconstruction, regions, sums};
use hollow::Hollow;
use rayon::prelude::*;

use super::exit::{Exit, Failure, OrExit};
use crate::session::options::MOST_COUNT;

use super::progress::{ProgressLine, Verbosity};
use super::say;
use super::signals::{self, Asked};
use super::words::{seconds, with_unit};
use crate::budget;
use crate::cuda::driver::Context as GpuContext;
use crate::cuda::tomo::SliceSizes;
use crate::cuda::{CudaError, CudaReconstructor, DevicePatterns};
use crate::output::draft::leftovers;
use crate::output::result::{Ending, Patterns, RadialAxis};
use crate::output::tomogram::{RegionEntry, TomogramFile, TomogramLayout};
use crate::pipeline::Stop;
use crate::session::{Device, PatternStore, configuration, on_threads};
use crate::tomo::GROUP;
use crate::tomo::assembly::{Assembled, Assembly};
use crate::tomo::region::{Background, Region};
use crate::tomo::repair::{self, Holes};
use crate::tomo::{HostReconstructor, Method, ReconstructError, Reconstruction, Reconstructor, TomoError};

/// Memory to work in when nobody says.
const DEFAULT_MEMORY: u64 = 4 << 30;

/// Bytes to work in: as many as were asked for, but no more than may be taken.
fn working_memory(args: &TomoArgs) -> usize {
    args.memory.unwrap_or(DEFAULT_MEMORY).min(budget::allowed().bytes) as usize
}

/// Runs the command.
pub(super) fn run(args: &TomoArgs) -> Result<Exit, Failure> {
    reconstruct(args, None)
}

/// Reconstructs a result, from patterns that were kept if there are any.
pub(super) fn reconstruct(args: &TomoArgs, kept: Option<PatternStore>) -> Result<Exit, Failure> {
    let verbosity = Verbosity::of(args.saying);
    let args = match &args.config {
        Some(path) => merged(args, path).or_exit(Exit::Usage)?,
        None => args.clone(),
    };
    let Some(output) = args.output.clone().or(args.dry_run.then(Default::default)) else {
        return Err(anyhow!("no tomogram file: name one with --output TOMO.h5")).or_exit(Exit::Usage);
    };
    let same = |a: &Path, b: &Path| matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if same(&args.input, &output) {
        return Err(anyhow!("--output {}: that is the result that is read", output.display()))
            .or_exit(Exit::Output);
    }
    let threads = args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    on_threads(threads, || slices(&args, &output, kept, verbosity))?
}

/// Studies, makes and writes.
fn slices(
    args: &TomoArgs,
    output: &Path,
    kept: Option<PatternStore>,
    verbosity: Verbosity,
) -> Result<Exit, Failure> {
    let mut place = Device::choose(args.device.as_deref().unwrap_or("auto"))?;
    let on_device = kept.as_ref().and_then(|kept| kept.on_device.clone());

    let started = Instant::now();
    let scan = Study::of(args, kept)?;
    let studied = started.elapsed();
    if verbosity > Verbosity::Quiet {
        scan.warnings.iter().for_each(|line| say::warn(line));
        super::warn_of_leftovers(leftovers(output));
    }
    if args.dry_run {
        say::answer(&(scan.describe(&place.name()) + "nothing done (--dry-run)\n"))?;
        return Ok(Exit::Success);
    }
    let layout = scan.layout(args).or_exit(Exit::Failure)?;
    let mut maker = scan.maker(&mut place, on_device)?;
    let asked = Asked::first();
    let stop = asked.stop();
    let mut file = match args.resume {
        true => TomogramFile::resume(output, layout),
        false => TomogramFile::create(output, layout, args.overwrite),
    }
    .or_exit(Exit::Output)?;
    let making = Instant::now();
    let mut progress = ProgressLine::counting(file.layout().slices(), "slices", verbosity);
    let made = scan.make(&mut file, &mut maker, &stop, &mut |done| progress.step(done, None));
    progress.finish();
    let is_whole = file.done().iter().all(|done| *done);
    let made = made.and_then(|hollow| match is_whole {
        true => hollow.check(file.layout()).map(|()| hollow),
        false => Ok(hollow),
    });
    let ending = match &made {
        Ok(_) if !is_whole => Ending::Interrupted,
        Ok(_) => Ending::Complete,
        Err(failure) => Ending::Failed(failure.to_string()),
    };
    let slices = file.layout().slices();
    let bytes = file.finish(&ending);
    let hollow = made?;
    let bytes = bytes.or_exit(Exit::Output)?;
    if verbosity > Verbosity::Quiet {
        let patterns = if maker.has_patterns() { ", patterns on it" } else { "" };
        let mut text = scan.describe(&(place.name() + patterns));
        let time = making.elapsed();
        let interrupted = if ending == Ending::Interrupted { "; interrupted, see --resume" } else { "" };
        text += &line("slices", &speed(slices, time, studied, interrupted));
        for note in hollow.notes(&scan) {
            text += &line("not whole", &note);
        }
        text += &line("file", &format!("{} ({:.1} MB)", output.display(), bytes as f64 / 1e6));
        text += &line("next", &format!("xrdct plot {} -o overview.png", output.display()));
        say::summary(&text);
    }
    Ok(match ending {
        Ending::Interrupted => signals::heard().unwrap_or(Exit::Interrupted),
        Ending::Complete | Ending::Failed(_) => Exit::Success,
    })
}

fn speed(slices: usize, making: Duration, studied: Duration, interrupted: &str) -> String {
    let rate = slices as f64 / making.as_secs_f64().max(1e-9);
    format!(
        "{slices} in {} ({rate:.0}/s), after {} of looking at the scan{interrupted}",
        seconds(making),
        seconds(studied)
    )
}

fn line(name: &str, value: &str) -> String {
    format!("{name:<14}{value}\n")
}

/// Options of an earlier run, and those given now on top.
fn merged(args: &TomoArgs, path: &Path) -> anyhow::Result<TomoArgs> {
    let at = || format!("--config {}", path.display());
    let mut settings =
        configuration::object(path, &["entry_0000/tomo/configuration/data"]).with_context(at)?;
    if let serde_json::Value::Object(now) = serde_json::to_value(args)? {
        let given =
            |value: &serde_json::Value| !value.is_null() && value.as_array().is_none_or(|a| !a.is_empty());
        settings.extend(now.into_iter().filter(|(_, value)| given(value)));
    }
    let merged: TomoArgs = serde_json::from_value(settings.into()).with_context(at)?;
    if let Some(size) = merged.size
        && !(1..=MOST_COUNT).contains(&size)
    {
        anyhow::bail!("{}: size {size}: must be from 1 to {MOST_COUNT}", at());
    }
    let TomoArgs { input, output, overwrite, resume, dry_run, device, threads, memory, saying, .. } =
        args.clone();
    Ok(TomoArgs {
        input,
        output,
        overwrite,
        resume,
        config: None,
        dry_run,
        device,
        threads,
        memory,
        saying,
        ..merged
    })
}

/// Everything that is known of the scan before the first slice.
struct Study {
    patterns: Patterns,
    /// All patterns, when they fit into memory.
    whole: Option<Vec<f32>>,
    assembly: Assembly,
    /// Unit of lengths.
    unit: &'static str,
    bins: Range<usize>,
    mean: Vec<f32>,
    reconstruction: Reconstruction,
    regions: Vec<Region>,
    all_bins: bool,
    /// Bins that are worked on together.
    block: usize,
    notes: Vec<String>,
    warnings: Vec<String>,
}

impl Study {
    /// Opens the result, finds out what the scan is and what has to be mended.
    fn of(args: &TomoArgs, kept: Option<PatternStore>) -> Result<Study, Failure> {
        let patterns = Patterns::open(&args.input).or_exit(Exit::Input)?;
        let bins = bins(args, &patterns).or_exit(Exit::Usage)?;
        let memory = working_memory(args);
        let (rows, npt) = (patterns.rows(), patterns.npt());
        let all = budget::bytes_of(&[rows, npt], size_of::<f32>());
        let whole = match (kept, all <= memory as u64 / 2) {
            (Some(kept), _) => Some(kept.rows(&patterns)),
            (None, true) => Some(patterns.read(0..patterns.npt()).or_exit(Exit::Input)?),
            (None, false) => None,
        };
        let chunk = (memory / 4 / (rows * size_of::<f32>())).clamp(1, bins.len());
        let (sums, mean) = sums(&patterns, whole.as_deref(), &bins, chunk).or_exit(Exit::Input)?;
        let points = points::find(args, &patterns, &sums).or_exit(Exit::Input)?;
        let mut notes = points.grid.notes.clone();
        let monitor = args.monitor.as_ref().map(|source| monitor(source, &patterns)).transpose();
        let monitor = monitor.or_exit(Exit::Usage)?;
        if monitor.is_some() {
            notes.push("each frame is divided by its monitor".into());
        }

        let mut total = points.grid.gather(&sums, 1, 0..1, monitor.as_deref());
        let unseen = |point: &usize| {
            points.grid.frames_of(*point).iter().all(|(row, _)| patterns.frames[*row as usize].is_none())
        };
        let nobody = (0..points.grid.points()).filter(unseen).count();
        if nobody > 0 {
            notes.push(format!("{nobody} points of the scan were not measured"));
        }
        let bad = (0..patterns.rows()).filter(|&r| patterns.frames[r].is_some() && !patterns.good[r]).count();
        if bad > 0 {
            notes.push(format!("{bad} frames are bad and count as missing"));
        }
        let hollow = (0..patterns.rows()).filter(|&r| patterns.good[r] && sums[r].is_nan()).count();
        if hollow > 0 {
            notes.push(match hollow {
                1 => "1 frame holds no number and counts as missing".into(),
                _ => format!("{hollow} frames hold no number and count as missing"),
            });
        }
        let spikes = if args.keep_spikes == Some(true) { vec![] } else { repair::spikes(&mut total) };
        if !spikes.is_empty() {
            notes.push(format!(
                "{} single points stand out from all neighbours and count as missing",
                spikes.len()
            ));
        }
        let holes = Holes::find(&total);
        notes.extend(holes.notes(&total.rays));
        let mut total = holes.mend(total);
        if total.rays.angles.len() < 2 {
            let (rotations, translations) = (total.rays.angles.len(), total.rays.translations);
            return Err(TomoError::TooSmall { rotations, translations }).or_exit(Exit::Input);
        }
        let mut scan = Study {
            whole,
            assembly: Assembly {
                grid: points.grid,
                monitor,
                spikes,
                holes,
                air: args.air,
                row_factors: None,
                shifts: None,
                stripes: args.stripes == Some(true),
            },
            unit: points.unit,
            bins,
            mean,
            reconstruction: reconstruction(args, total.rays.clone()),
            regions: Vec::new(),
            all_bins: args.regions_only != Some(true),
            block: 1,
            notes: Vec::new(),
            warnings: points.warnings,
            patterns,
        };
        if let Some(edge) = scan.assembly.air {
            notes.push(repair::remove_air(&mut total, edge));
        }
        if args.constant_total == Some(true) {
            let (factors, note) = repair::row_factors(&total);
            repair::scale_rows(&mut total, &factors);
            scan.assembly.row_factors = Some(factors);
            notes.push(note);
        }
        if args.jitter == Some(true) {
            let (shifts, note) = repair::jitter(&total);
            repair::shift_rows(&mut total, &shifts);
            scan.assembly.shifts = Some(shifts);
            notes.push(note);
        }
        if scan.assembly.stripes {
            notes.push(repair::remove_stripes(&mut total));
        }
        let (axis, note) = axis(args, &total, &scan.reconstruction)?;
        notes.push(note);
        scan.reconstruction.rays.axis = axis;
        scan.reconstruction.check().or_exit(Exit::Usage)?;
        scan.regions = regions(args, &scan, &mut notes).or_exit(Exit::Usage)?;
        let each = 4 * (scan.patterns.rows() + 4 * total.rays.len() + 3 * scan.reconstruction.grid.pixels());
        let fit = (memory / 2 / each).max(1);
        scan.block = if fit >= GROUP { fit / GROUP * GROUP } else { fit }.min(scan.bins.len());
        scan.notes = notes;
        Ok(scan)
    }

    fn axis(&self) -> &RadialAxis {
        &self.patterns.axis
    }

    /// What was found and will be done, for people.
    fn describe(&self, place: &str) -> String {
        let Reconstruction { rays, grid, method, .. } = &self.reconstruction;
        let method = match method {
            Method::Fbp { filter } => format!("filtered back-projection, {filter:?}").to_lowercase(),
            Method::Sirt { iterations, .. } => format!("SIRT, {iterations} iterations"),
            Method::Mlem { iterations } => format!("MLEM, {iterations} iterations"),
        };
        let mut text = line(
            "sinograms",
            &format!("{} rotations x {} translations", rays.angles.len(), rays.translations),
        );
        for (i, note) in self.notes.iter().enumerate() {
            text += &line(if i == 0 { "found" } else { "" }, note);
        }
        let names: Vec<String> = self
            .regions
            .iter()
            .map(|r| with_unit(format!("{} {:.5} to {:.5}", r.name, r.from, r.to), &self.axis().unit))
            .collect();
        text += &line("regions", &names.join(", "));
        text += &line(
            "reconstruct",
            &format!(
                "{method}; {} x {} pixels of {:.6} {}",
                grid.rows,
                grid.columns,
                grid.pixel * self.step(),
                self.unit
            ),
        );
        text + &line("device", &format!("{place}; {} bins at a time", self.block))
    }

    /// One translation step, in the unit of lengths.
    fn step(&self) -> f64 {
        self.assembly.grid.step()
    }

    fn layout(&self, args: &TomoArgs) -> anyhow::Result<TomogramLayout> {
        let Reconstruction { rays, grid, .. } = &self.reconstruction;
        let along = |first: f64, count: usize| {
            (0..count).map(|i| (first + i as f64 * grid.pixel) * self.step()).collect::<Vec<_>>()
        };
        let entry = |region: &Region| RegionEntry {
            name: region.name.clone(),
            from: region.from,
            to: region.to,
            background: if region.background == Background::Linear { "linear" } else { "none" }.into(),
        };
        Ok(TomogramLayout {
            axis: RadialAxis {
                centres: self.axis().centres[self.bins.clone()].to_vec(),
                ..self.axis().clone()
            },
            mean: self.mean[self.bins.clone()].to_vec(),
            rotation: rays.angles.clone(),
            translation: self.assembly.grid.positions.clone(),
            x: along(grid.x0, grid.columns),
            y: along(grid.y0, grid.rows),
            unit: self.unit.into(),
            missing: self.assembly.holes.map(),
            regions: self.regions.iter().map(entry).collect(),
            all_bins: self.all_bins,
            centre: rays.axis,
            repairs: self.notes.clone(),
            input: args.input.canonicalize().unwrap_or_else(|_| args.input.clone()).display().to_string(),
            configuration: serde_json::to_value(args)?,
        })
    }

    /// Makes every slice that the file does not have yet.
    fn make(
        &self,
        file: &mut TomogramFile,
        maker: &mut Maker,
        stop: &Stop,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Hollow, Failure> {
        let pixels = self.reconstruction.grid.pixels();
        let points = self.reconstruction.rays.len();
        let all_bins = if self.all_bins { self.bins.len() } else { 0 };
        let weights: Vec<Vec<f32>> = self
            .regions
            .iter()
            .map(|r| r.weights(&self.axis().centres))
            .collect::<Result<_, _>>()
            .or_exit(Exit::Usage)?;
        // Areas are sums over bins, kept in f64 so that blocks of any size give the same bits.
        let mut areas = vec![vec![0.0_f64; points]; self.regions.len()];
        let mut hollow = Hollow::new(&weights);
        let mut needed: Vec<Range<usize>> = vec![self.bins.clone()];
        needed.extend(outside(&weights, &self.bins));
        for range in needed {
            for first in range.clone().step_by(self.block) {
                if stop.is_raised() {
                    return Ok(hollow);
                }
                let block = first..(first + self.block).min(range.end);
                let inside = self.all_bins && self.bins.contains(&first);
                let place = first.wrapping_sub(self.bins.start);
                let wanted = inside && !file.done()[place..place + block.len()].iter().all(|done| *done);
                let mut slices = vec![0.0; if wanted { block.len() * pixels } else { 0 }];
                let Assembled { mut values, empty } = self.block(maker, block.clone(), &mut slices)?;
                for (area, weights) in areas.iter_mut().zip(&weights) {
                    for (weight, bin) in weights[block.clone()].iter().zip(values.chunks(points)) {
                        if *weight != 0.0 {
                            area.iter_mut()
                                .zip(bin)
                                .for_each(|(a, v)| *a += f64::from(*weight) * f64::from(*v));
                        }
                    }
                }
                for bin in &empty {
                    hollow.add_bin(block.start + bin, inside, &weights);
                }
                if wanted {
                    for bin in empty {
                        values[bin * points..(bin + 1) * points].fill(f32::NAN);
                        slices[bin * pixels..(bin + 1) * pixels].fill(f32::NAN);
                    }
                    hollow.look_at(slices.chunks(pixels));
                    file.put_bins(place, &values, &slices).or_exit(Exit::Output)?;
                }
                progress(file.done().iter().filter(|done| **done).count());
            }
        }
        for (i, area) in areas.iter().enumerate() {
            if stop.is_raised() {
                return Ok(hollow);
            }
            if !file.done()[all_bins + i] {
                let mut sinogram: Vec<f32> = area.iter().map(|v| *v as f32).collect();
                let mut slice = vec![0.0; pixels];
                if hollow.is_nothing(i) {
                    sinogram.fill(f32::NAN);
                    slice.fill(f32::NAN);
                } else {
                    failed(maker.reconstructor().reconstruct(&sinogram, &mut slice))?;
                    self.per_length(&mut slice);
                }
                hollow.look_at(std::iter::once(&slice[..]));
                file.put_region(i, &sinogram, &slice).or_exit(Exit::Output)?;
            }
            progress(file.done().iter().filter(|done| **done).count());
        }
        Ok(hollow)
    }

    /// Whoever makes the slices. A GPU that nobody asked for by name and that cannot be used is not an error: the CPU takes
    /// over, aloud.
    fn maker(&self, place: &mut Device, on_device: Option<Arc<DevicePatterns>>) -> Result<Maker, Failure> {
        if let Device::Cuda { gpu, asked, .. } = &*place {
            match gpu.wait().map_err(Into::into).and_then(|context| self.on_gpu(context, on_device)) {
                Ok(maker) => return Ok(Maker::Gpu(maker)),
                Err(reason) if *asked => return Err(anyhow!(reason)).or_exit(Exit::Device),
                Err(reason) => {
                    say::warn(&format!("the GPU cannot be used: {reason}; computing on the CPU"));
                    *place = Device::Cpu { why: format!("the GPU cannot be used: {reason}") };
                }
            }
        }
        Ok(Maker::Cores(HostReconstructor::new(&self.reconstruction).or_exit(Exit::Usage)?))
    }

    /// On a GPU, sinograms are made there too: of the patterns that the integration left there, else of those in the host's
    /// memory. Where neither is, or the GPU has too little memory for them, the host makes the sinograms.
    fn on_gpu(
        &self,
        context: &Arc<GpuContext>,
        on_device: Option<Arc<DevicePatterns>>,
    ) -> Result<CudaReconstructor, ReconstructError> {
        let (wanted, assembly, options) = (&self.reconstruction, &self.assembly, SliceSizes::default());
        if let Some(patterns) = on_device.filter(|there| there.context().is_on_the_device_of(context)) {
            let frame_of = |row: usize| self.patterns.frames[row];
            return CudaReconstructor::with_patterns(wanted, options, patterns, assembly, frame_of);
        }
        let Some(whole) = &self.whole else { return CudaReconstructor::new(context, wanted, options) };
        match DevicePatterns::holding(context, whole, self.patterns.npt()) {
            Ok(there) => CudaReconstructor::with_patterns(wanted, options, Arc::new(there), assembly, Some),
            Err(CudaError::OutOfMemory { .. }) => CudaReconstructor::new(context, wanted, options),
            Err(reason) => Err(reason.into()),
        }
    }

    /// Mended sinograms of some bins, and their slices in the unit of lengths; none are made when `slices` is empty.
    fn block(&self, maker: &mut Maker, bins: Range<usize>, slices: &mut [f32]) -> Result<Assembled, Failure> {
        let made = match maker {
            Maker::Gpu(gpu) if gpu.has_patterns() => failed(gpu.assemble(bins, slices))?,
            _ => {
                let made = self.sinograms(bins)?;
                if !slices.is_empty() {
                    failed(maker.reconstructor().reconstruct(&made.values, slices))?;
                }
                made
            }
        };
        self.per_length(slices);
        Ok(made)
    }

    /// Slices per translation step to slices per unit of lengths.
    fn per_length(&self, slices: &mut [f32]) {
        let factor = (1.0 / self.step()) as f32;
        slices.par_iter_mut().for_each(|v| *v *= factor);
    }

    /// Mended sinograms of some bins.
    fn sinograms(&self, bins: Range<usize>) -> Result<Assembled, Failure> {
        let read = match &self.whole {
            Some(whole) => return Ok(self.assembly.sinograms(whole, self.patterns.npt(), bins)),
            None => self.patterns.read(bins.clone()).or_exit(Exit::Input)?,
        };
        Ok(self.assembly.sinograms(&read, bins.len(), 0..bins.len()))
    }
}

/// Whoever makes slices.
enum Maker {
    Cores(HostReconstructor),
    Gpu(CudaReconstructor),
}

impl Maker {
    fn reconstructor(&mut self) -> &mut dyn Reconstructor {
        match self {
            Maker::Cores(cores) => cores,
            Maker::Gpu(gpu) => gpu,
        }
    }

    /// Whether it makes sinograms too, of patterns that are where it is.
    fn has_patterns(&self) -> bool {
        matches!(self, Maker::Gpu(gpu) if gpu.has_patterns())
    }
}

fn failed<T>(made: Result<T, ReconstructError>) -> Result<T, Failure> {
    made.map_err(|e| anyhow!(e)).or_exit(Exit::Device)
}
