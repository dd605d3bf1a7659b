//! `xrdct tomo`: a result becomes sinograms, mended sinograms, slices, a file, and a closing summary.
//!
//! One way through: what the scan is and what is wrong with it is found once, on the sum over bins ([`Scan::study`]); then
//! blocks of bins are gathered, mended alike, reconstructed and written, as many at a time as `--memory` allows. The result does
//! not depend on the size of the blocks.

pub mod args;
mod points;

use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use args::{Algorithm, FilterName, TomoArgs};
use points::Points;
use rayon::prelude::*;

use clap::Parser;

use super::args::IntegrateArgs;
use super::exit::{Exit, Failure, OrExit};
use super::integrate::{seconds, stop_on_ctrl_c};
use super::place::Place;
use super::plan::HDF5_MAGIC;
use super::progress::{Progress, Verbosity};
use crate::cuda::CudaReconstructor;
use crate::cuda::tomo::Options;
use crate::output::result::{Ending, Patterns, RadialAxis};
use crate::output::tomogram::{RegionEntry, TomogramFile, TomogramLayout};
use crate::pipeline::Stop;
use crate::tomo::centre::{self, CentreMethod};
use crate::tomo::filter::Filter;
use crate::tomo::reconstruction::LANES;
use crate::tomo::region::{Background, Region};
use crate::tomo::repair::{self, Holes};
use crate::tomo::{
    Grid, HostReconstructor, Method, Rays, Reconstruction, Reconstructor, Sinograms, TomoError,
};

/// Memory to work in when nobody says.
const DEFAULT_MEMORY: u64 = 4 << 30;

/// Regions that are looked at when nobody names one.
const SUGGESTED_REGIONS: usize = 3;

/// Runs the command.
pub(super) fn run(args: &TomoArgs) -> Result<Exit, Failure> {
    reconstruct(args, None)
}

/// What `xrdct integrate --tomo` asks for, its options read like those of `xrdct tomo`.
pub(super) fn after_integration(args: &IntegrateArgs) -> anyhow::Result<Option<TomoArgs>> {
    #[derive(Parser)]
    #[command(name = "--tomo-options", no_binary_name = true, disable_help_flag = true)]
    struct Words {
        #[command(flatten)]
        args: TomoArgs,
    }
    let Some(output) = &args.tomo else { return Ok(None) };
    let text = args.tomo_options.as_deref().unwrap_or_default();
    let words =
        shlex::split(text).with_context(|| format!("--tomo-options {text:?}: a quote is not closed"))?;
    // The result is not there yet: its name takes the place of the input.
    let input = args.output.clone().unwrap_or_default();
    let words = [input.clone().into_os_string()].into_iter().chain(words.into_iter().map(Into::into));
    let said = Words::try_parse_from(words).map_err(|e| {
        let text = e.to_string();
        anyhow!("--tomo-options: {}", text.lines().next().unwrap_or_default().trim_start_matches("error: "))
    })?;
    let TomoArgs { device, threads, .. } = said.args.clone();
    ensure!(said.args.output.is_none() && !said.args.dry_run, "--tomo-options: the file is named by --tomo");
    Ok(Some(TomoArgs {
        input,
        output: Some(output.clone()),
        overwrite: args.overwrite,
        device: device.or_else(|| args.device.clone()),
        threads: threads.or(args.threads),
        saying: args.saying,
        ..said.args
    }))
}

/// Patterns as they come out of the corridor, for a tomogram in the same run: frame by frame, NaN where none came.
pub(super) struct Kept {
    npt: usize,
    values: Vec<f32>,
}

impl Kept {
    /// Room for all patterns; none when that is more than half of the memory to work in: they are read back then.
    pub(super) fn new(args: &TomoArgs, frames: usize, npt: usize) -> Option<Kept> {
        let values = frames * npt;
        let fits = values * size_of::<f32>() <= args.memory.unwrap_or(DEFAULT_MEMORY) as usize / 2;
        fits.then(|| Kept { npt, values: vec![f32::NAN; values] })
    }

    /// Keeps a pattern.
    pub(super) fn put(&mut self, frame: usize, intensity: &[f32]) {
        self.values[frame * self.npt..][..self.npt].copy_from_slice(intensity);
    }

    /// The rows of a result.
    fn rows(self, patterns: &Patterns) -> Vec<f32> {
        let in_order = patterns.frames.iter().enumerate().all(|(row, frame)| *frame == Some(row));
        if in_order && self.values.len() == patterns.rows() * self.npt {
            return self.values;
        }
        let mut rows = vec![f32::NAN; patterns.rows() * self.npt];
        for (row, frame) in rows.chunks_mut(self.npt).zip(&patterns.frames) {
            if let Some(pattern) = frame.and_then(|n| self.values.get(n * self.npt..(n + 1) * self.npt)) {
                row.copy_from_slice(pattern);
            }
        }
        rows
    }
}

/// Reconstructs a result, from patterns that were kept if there are any.
pub(super) fn reconstruct(args: &TomoArgs, kept: Option<Kept>) -> Result<Exit, Failure> {
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
    let mut place = Place::choose(args.device.as_deref().unwrap_or("auto"))?;
    let threads = args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    let stop = stop_on_ctrl_c().or_exit(Exit::Failure)?;

    let started = Instant::now();
    let scan = Scan::study(&args, kept)?;
    let studied = started.elapsed();
    if verbosity > Verbosity::Quiet {
        scan.warnings.iter().for_each(|line| eprintln!("warning: {line}"));
    }
    if args.dry_run {
        super::print(&scan.describe(&place));
        super::print("nothing done (--dry-run)\n");
        return Ok(Exit::Success);
    }
    let layout = scan.layout(&args).or_exit(Exit::Failure)?;
    let mut maker = scan.maker(&mut place)?;
    let mut file = match args.resume {
        true => TomogramFile::resume(&output, layout),
        false => TomogramFile::create(&output, layout, args.overwrite),
    }
    .or_exit(Exit::Output)?;
    let making = Instant::now();
    let mut progress = Progress::counting(file.layout().slices(), "slices", verbosity);
    let made = scan.make(&mut file, maker.as_mut(), &stop, &mut |done| progress.step(done, None));
    progress.finish();
    let ending = match &made {
        Ok(()) if stop.is_raised() => Ending::Interrupted,
        Ok(()) => Ending::Complete,
        Err(failure) => Ending::Failed(failure.to_string()),
    };
    let slices = file.layout().slices();
    let bytes = file.finish(&ending);
    made?;
    let bytes = bytes.or_exit(Exit::Output)?;
    if verbosity > Verbosity::Quiet {
        let mut text = scan.describe(&place);
        let time = making.elapsed();
        let interrupted = if ending == Ending::Interrupted { "; interrupted, see --resume" } else { "" };
        text += &line("slices", &speed(slices, time, studied, interrupted));
        text += &line("file", &format!("{} ({:.1} MB)", output.display(), bytes as f64 / 1e6));
        text += &line("next", &format!("xrdct plot {} -o overview.png", output.display()));
        super::print(&text);
    }
    Ok(if ending == Ending::Interrupted { Exit::Interrupted } else { Exit::Success })
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
    let read = || -> anyhow::Result<serde_json::Value> {
        let bytes = std::fs::read(path)?;
        match bytes.starts_with(HDF5_MAGIC) {
            true => Ok(crate::output::tomogram::Tomogram::open(path)?.layout.configuration),
            false => Ok(serde_json::from_slice(&bytes)?),
        }
    };
    let mut settings = read().with_context(|| format!("--config {}", path.display()))?;
    let now = serde_json::to_value(args)?;
    if let (Some(settings), Some(now)) = (settings.as_object_mut(), now.as_object()) {
        let given =
            |value: &serde_json::Value| !value.is_null() && value.as_array().is_none_or(|a| !a.is_empty());
        for (name, value) in now.iter().filter(|(_, value)| given(value)) {
            settings.insert(name.clone(), value.clone());
        }
    }
    let merged: TomoArgs =
        serde_json::from_value(settings).with_context(|| format!("--config {}", path.display()))?;
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
struct Scan {
    patterns: Patterns,
    /// All patterns, when they fit into memory.
    whole: Option<Vec<f32>>,
    points: Points,
    bins: Range<usize>,
    mean: Vec<f32>,
    monitor: Option<Vec<f32>>,
    /// Points that are not believed.
    spikes: Vec<usize>,
    holes: Holes,
    air: Option<usize>,
    row_factors: Option<Vec<f32>>,
    shifts: Option<Vec<f32>>,
    stripes: bool,
    reconstruction: Reconstruction,
    regions: Vec<Region>,
    all_bins: bool,
    /// Bins that are worked on together.
    block: usize,
    notes: Vec<String>,
    warnings: Vec<String>,
}

impl Scan {
    /// Opens the result, finds out what the scan is and what has to be mended.
    fn study(args: &TomoArgs, kept: Option<Kept>) -> Result<Scan, Failure> {
        let patterns = Patterns::open(&args.input).or_exit(Exit::Input)?;
        let bins = bins(args, &patterns).or_exit(Exit::Usage)?;
        let memory = args.memory.unwrap_or(DEFAULT_MEMORY) as usize;
        let all = patterns.rows() * patterns.npt() * size_of::<f32>();
        let whole = match (kept, all <= memory / 2) {
            (Some(kept), _) => Some(kept.rows(&patterns)),
            (None, true) => Some(patterns.read(0..patterns.npt()).or_exit(Exit::Input)?),
            (None, false) => None,
        };
        let chunk = (memory / 4 / (patterns.rows() * size_of::<f32>())).clamp(1, bins.len());
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
        let mut scan = Scan {
            whole,
            bins,
            mean,
            monitor,
            spikes,
            holes,
            air: args.air,
            row_factors: None,
            shifts: None,
            stripes: args.stripes == Some(true),
            reconstruction: reconstruction(args, total.rays.clone()),
            regions: Vec::new(),
            all_bins: args.regions_only != Some(true),
            block: 1,
            notes: Vec::new(),
            warnings: points.warnings.clone(),
            points,
            patterns,
        };
        if let Some(edge) = scan.air {
            notes.push(repair::remove_air(&mut total, edge));
        }
        if args.constant_total == Some(true) {
            let (factors, note) = repair::row_factors(&total);
            repair::scale_rows(&mut total, &factors);
            scan.row_factors = Some(factors);
            notes.push(note);
        }
        if args.jitter == Some(true) {
            let (shifts, note) = repair::jitter(&total);
            repair::shift_rows(&mut total, &shifts);
            scan.shifts = Some(shifts);
            notes.push(note);
        }
        if scan.stripes {
            notes.push(repair::remove_stripes(&mut total));
        }
        let (axis, note) = axis(args, &total, &scan.reconstruction)?;
        notes.push(note);
        scan.reconstruction.rays.axis = axis;
        scan.reconstruction.check().or_exit(Exit::Usage)?;
        scan.regions = regions(args, &scan, &mut notes).or_exit(Exit::Usage)?;
        let each = 4 * (scan.patterns.rows() + 4 * total.rays.len() + 3 * scan.reconstruction.grid.pixels());
        let fit = (memory / 2 / each).max(1);
        scan.block = if fit >= LANES { fit / LANES * LANES } else { fit }.min(scan.bins.len());
        scan.notes = notes;
        Ok(scan)
    }

    fn axis(&self) -> &RadialAxis {
        &self.patterns.axis
    }

    /// What was found and will be done, for people.
    fn describe(&self, place: &Place) -> String {
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
            .map(|r| format!("{} {:.5} to {:.5} {}", r.name, r.from, r.to, self.axis().unit))
            .collect();
        text += &line("regions", &names.join(", "));
        text += &line(
            "reconstruct",
            &format!(
                "{method}; {} x {} pixels of {:.6} {}",
                grid.rows,
                grid.columns,
                grid.pixel * self.step(),
                self.points.unit
            ),
        );
        text + &line("device", &format!("{}; {} bins at a time", place.name(), self.block))
    }

    /// One translation step, in the unit of lengths.
    fn step(&self) -> f64 {
        self.points.grid.step()
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
            translation: self.points.grid.positions.clone(),
            x: along(grid.x0, grid.columns),
            y: along(grid.y0, grid.rows),
            unit: self.points.unit.into(),
            missing: self.holes.map(),
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
        maker: &mut dyn Reconstructor,
        stop: &Stop,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(), Failure> {
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
        let mut needed: Vec<Range<usize>> = vec![self.bins.clone()];
        needed.extend(outside(&weights, &self.bins));
        for range in needed {
            for first in range.clone().step_by(self.block) {
                if stop.is_raised() {
                    return Ok(());
                }
                let block = first..(first + self.block).min(range.end);
                let (sinograms, holes) = self.sinograms(block.clone())?;
                for (area, weights) in areas.iter_mut().zip(&weights) {
                    for (weight, bin) in weights[block.clone()].iter().zip(sinograms.values.chunks(points)) {
                        if *weight != 0.0 {
                            area.iter_mut()
                                .zip(bin)
                                .for_each(|(a, v)| *a += f64::from(*weight) * f64::from(*v));
                        }
                    }
                }
                let inside = self.all_bins && self.bins.contains(&first);
                let place = first.wrapping_sub(self.bins.start);
                if inside && !file.done()[place..place + block.len()].iter().all(|done| *done) {
                    let mut slices = vec![0.0; block.len() * pixels];
                    self.reconstruct(maker, &sinograms.values, &mut slices)?;
                    let mut sinograms = sinograms.values;
                    for bin in holes {
                        sinograms[bin * points..(bin + 1) * points].fill(f32::NAN);
                        slices[bin * pixels..(bin + 1) * pixels].fill(f32::NAN);
                    }
                    file.put_bins(place, &sinograms, &slices).or_exit(Exit::Output)?;
                }
                progress(file.done().iter().filter(|done| **done).count());
            }
        }
        for (i, area) in areas.iter().enumerate() {
            if stop.is_raised() {
                return Ok(());
            }
            if !file.done()[all_bins + i] {
                let sinogram: Vec<f32> = area.iter().map(|v| *v as f32).collect();
                let mut slice = vec![0.0; pixels];
                self.reconstruct(maker, &sinogram, &mut slice)?;
                file.put_region(i, &sinogram, &slice).or_exit(Exit::Output)?;
            }
            progress(file.done().iter().filter(|done| **done).count());
        }
        Ok(())
    }

    /// Whoever makes the slices. A GPU that nobody asked for by name and that cannot be used is not an error: the CPU takes
    /// over, aloud.
    fn maker(&self, place: &mut Place) -> Result<Box<dyn Reconstructor>, Failure> {
        if let Place::Cuda { context, asked, .. } = &*place {
            match CudaReconstructor::new(context, &self.reconstruction, Options::default()) {
                Ok(maker) => return Ok(Box::new(maker)),
                Err(reason) if *asked => return Err(anyhow!(reason)).or_exit(Exit::Device),
                Err(reason) => {
                    eprintln!("warning: the GPU cannot be used: {reason}; computing on the CPU");
                    *place = Place::Cpu { why: format!("the GPU cannot be used: {reason}") };
                }
            }
        }
        Ok(Box::new(HostReconstructor::new(&self.reconstruction).or_exit(Exit::Usage)?))
    }

    /// Slices in the unit of lengths.
    fn reconstruct(
        &self,
        maker: &mut dyn Reconstructor,
        sinograms: &[f32],
        slices: &mut [f32],
    ) -> Result<(), Failure> {
        maker.reconstruct(sinograms, slices).map_err(|e| anyhow!(e)).or_exit(Exit::Device)?;
        let per_length = (1.0 / self.step()) as f32;
        slices.par_iter_mut().for_each(|v| *v *= per_length);
        Ok(())
    }

    /// Mended sinograms of some bins; and which of them hold no data at all, which are 0 for the time being.
    fn sinograms(&self, bins: Range<usize>) -> Result<(Sinograms, Vec<usize>), Failure> {
        let count = bins.len();
        let read = if self.whole.is_none() {
            self.patterns.read(bins.clone()).or_exit(Exit::Input)?
        } else {
            vec![]
        };
        let (patterns, width, among) = match &self.whole {
            Some(whole) => (whole, self.patterns.npt(), bins),
            None => (&read, count, 0..count),
        };
        let mut sinograms = self.points.grid.gather(patterns, width, among, self.monitor.as_deref());
        drop(read);
        let each = sinograms.rays.len();
        for bin in sinograms.values.chunks_mut(each) {
            self.spikes.iter().for_each(|&point| bin[point] = f32::NAN);
        }
        let mut sinograms = self.holes.mend(sinograms);
        let each = sinograms.rays.len();
        let empty: Vec<usize> = (0..count)
            .filter(|bin| sinograms.values[bin * each..(bin + 1) * each].iter().any(|v| !v.is_finite()))
            .collect();
        empty.iter().for_each(|bin| sinograms.values[bin * each..(bin + 1) * each].fill(0.0));
        if let Some(edge) = self.air {
            repair::remove_air(&mut sinograms, edge);
        }
        if let Some(factors) = &self.row_factors {
            repair::scale_rows(&mut sinograms, factors);
        }
        if let Some(shifts) = &self.shifts {
            repair::shift_rows(&mut sinograms, shifts);
        }
        if self.stripes {
            repair::remove_stripes(&mut sinograms);
        }
        Ok((sinograms, empty))
    }
}

/// Bins outside the range that some region counts.
fn outside(weights: &[Vec<f32>], bins: &Range<usize>) -> Vec<Range<usize>> {
    let counted = |bin: &usize| !bins.contains(bin) && weights.iter().any(|w| w[*bin] != 0.0);
    let all: Vec<usize> = (0..weights.first().map_or(0, Vec::len)).filter(counted).collect();
    all.chunk_by(|a, b| a + 1 == *b).map(|run| run[0]..run[run.len() - 1] + 1).collect()
}

/// The bins that are asked for.
fn bins(args: &TomoArgs, patterns: &Patterns) -> anyhow::Result<Range<usize>> {
    let centres = &patterns.axis.centres;
    let [low, high] = args.radial_range[..] else { return Ok(0..centres.len()) };
    let inside: Vec<usize> = (0..centres.len()).filter(|&i| (low..=high).contains(&centres[i])).collect();
    match (inside.first(), inside.last()) {
        (Some(first), Some(last)) => Ok(*first..last + 1),
        _ => Err(anyhow!(
            "--radial-range {low} {high}: no bin lies in it; they go from {:.6} to {:.6} {}",
            centres.first().copied().unwrap_or(f64::NAN),
            centres.last().copied().unwrap_or(f64::NAN),
            patterns.axis.unit
        )),
    }
}

/// Sum of each row over the bins (NaN for bad ones), and the mean over good rows of every bin.
fn sums(
    patterns: &Patterns,
    whole: Option<&[f32]>,
    bins: &Range<usize>,
    chunk: usize,
) -> anyhow::Result<(Vec<f32>, Vec<f32>)> {
    let (rows, npt) = (patterns.rows(), patterns.npt());
    let mut sums = vec![0.0_f64; rows];
    let mut mean = vec![0.0_f64; npt];
    let step = if whole.is_some() { npt } else { chunk };
    for first in (0..npt).step_by(step) {
        let range = first..(first + step).min(npt);
        let read = if whole.is_none() { patterns.read(range.clone())? } else { vec![] };
        let values = whole.unwrap_or(&read);
        for (row, good) in values
            .chunks(range.len())
            .zip(&patterns.good)
            .enumerate()
            .filter(|(_, (_, g))| **g)
            .map(|(r, (v, _))| (r, v))
        {
            for (bin, value) in range.clone().zip(good).filter(|(_, v)| v.is_finite()) {
                mean[bin] += f64::from(*value);
                if bins.contains(&bin) {
                    sums[row] += f64::from(*value);
                }
            }
        }
    }
    let good = patterns.good.iter().filter(|good| **good).count();
    ensure!(good > 0, "there is not one good frame in the result");
    for (sum, _) in sums.iter_mut().zip(&patterns.good).filter(|(_, good)| !**good) {
        *sum = f64::NAN;
    }
    let mean = mean.into_iter().map(|v| (v / good as f64) as f32).collect();
    Ok((sums.into_iter().map(|v| v as f32).collect(), mean))
}

/// What each row is multiplied by: mean monitor / its monitor.
fn monitor(source: &str, patterns: &Patterns) -> anyhow::Result<Vec<f32>> {
    let values = points::each(source, "--monitor", patterns)?;
    let known: Vec<f64> = (0..values.len()).filter(|&r| patterns.good[r]).map(|r| values[r]).collect();
    if let Some(value) = known.iter().find(|v| !(v.is_finite() && **v > 0.0)) {
        return Err(anyhow!(
            "--monitor {source}: a good frame has the value {value}, which nothing can be divided by"
        ));
    }
    let mean = known.iter().sum::<f64>() / known.len() as f64;
    Ok(values.into_iter().map(|v| (mean / v) as f32).collect())
}

fn reconstruction(args: &TomoArgs, rays: Rays) -> Reconstruction {
    let side = args.size.unwrap_or(rays.translations);
    let pixel = args.pixel_size.unwrap_or(1.0);
    let corner = -(side as f64 - 1.0) / 2.0 * pixel;
    let filter = match args.filter.unwrap_or(FilterName::Ramp) {
        FilterName::Ramp => Filter::Ramp,
        FilterName::SheppLogan => Filter::SheppLogan,
        FilterName::Cosine => Filter::Cosine,
        FilterName::Hamming => Filter::Hamming,
        FilterName::Hann => Filter::Hann,
        FilterName::None => Filter::None,
    };
    let method = match args.algorithm.unwrap_or(Algorithm::Fbp) {
        Algorithm::Fbp => Method::Fbp { filter },
        Algorithm::Sirt => Method::Sirt {
            iterations: args.iterations.unwrap_or(100),
            non_negative: args.negative != Some(true),
        },
        Algorithm::Mlem => Method::Mlem { iterations: args.iterations.unwrap_or(30) },
    };
    let grid = Grid { x0: corner, y0: corner, pixel, ..Grid::square(side) };
    Reconstruction { rays, grid, method, circle: args.no_circle != Some(true) }
}

/// Where the rotation axis is, and how that is known.
fn axis(args: &TomoArgs, total: &Sinograms, wanted: &Reconstruction) -> Result<(f64, String), Failure> {
    let shift = args.centre_shift.unwrap_or(0.0);
    let method = match args.centre.as_deref().unwrap_or("auto") {
        "auto" => CentreMethod::Auto,
        "mass" => CentreMethod::Mass,
        "mirror" => CentreMethod::Mirror,
        "sharpness" => CentreMethod::Sharpness,
        word => match word.parse::<f64>() {
            Ok(step) if step.is_finite() => {
                return Ok((step + shift, format!("rotation axis at step {:.2}, as asked", step + shift)));
            }
            _ => {
                return Err(anyhow!(
                    "--centre {word}: choose auto, mass, mirror, sharpness or a translation step"
                ))
                .or_exit(Exit::Usage);
            }
        },
    };
    let square = Grid::square(wanted.rays.translations);
    let slice = |rays: &Rays| -> Result<Vec<f32>, TomoError> {
        let method = Method::Fbp { filter: Filter::Ramp };
        let trial = Reconstruction { rays: rays.clone(), grid: square.clone(), method, circle: false };
        let mut image = vec![0.0; square.pixels()];
        HostReconstructor::new(&trial)?
            .reconstruct(&total.values, &mut image)
            .map_err(|e| TomoError::Impossible(e.to_string()))?;
        Ok(image)
    };
    let found = centre::find(total, method, slice).or_exit(Exit::Input)?;
    let added = if shift == 0.0 { String::new() } else { format!(", and {shift:+} as asked") };
    Ok((found.axis + shift, found.note + &added))
}

/// The regions that are named, or the strongest peaks.
fn regions(args: &TomoArgs, scan: &Scan, notes: &mut Vec<String>) -> anyhow::Result<Vec<Region>> {
    let centres = &scan.axis().centres;
    let mut regions = match args.region.is_empty() {
        false => args.region.iter().map(|text| Region::parse(text)).collect::<Result<Vec<_>, _>>()?,
        true => {
            let range = scan.bins.clone();
            let found = Region::suggest(&centres[range.clone()], &scan.mean[range], SUGGESTED_REGIONS);
            notes.push(format!("no --region was named: the {} strongest peaks are taken", found.len()));
            found
        }
    };
    regions.sort_by(|a, b| a.from.total_cmp(&b.from).then_with(|| a.name.cmp(&b.name)));
    for (i, region) in regions.iter().enumerate() {
        region.weights(centres)?;
        ensure!(
            regions[..i].iter().all(|r| r.name != region.name),
            "--region: two are called `{}`",
            region.name
        );
    }
    ensure!(
        !(args.regions_only == Some(true) && regions.is_empty()),
        "--regions-only: there is no region; name one with --region NAME=LOW:HIGH"
    );
    Ok(regions)
}
