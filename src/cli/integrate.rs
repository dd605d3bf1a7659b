//! `xrdct integrate`: a plan becomes a matrix, an output file, a corridor, and a closing summary; with `--tomo`, slices too.

use std::io::BufWriter;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::args::{IntegrateArgs, StrategyName};
use super::configuration;
use super::exit::{Exit, Failure, OrExit};
use super::memory::{self, host_slots, pattern_bytes, slot_bytes};
use super::place::Device;
use super::plan::Plan;
use super::plausible;
use super::progress::{ProgressLine, Verbosity};
use super::signals::{self, Asked};
use super::tomo::{self, PatternStore};
use super::{say, summary};
use crate::cuda::{CudaEngine, CudaError, CudaReducer, DevicePatterns, LaneSizes, pinned};
use crate::frame::{FrameId, Outcome, SlotPool};
use crate::integrate::axis::Axis;
use crate::integrate::corrections::Corrections;
use crate::integrate::engine::{Engine, Recipe};
use crate::integrate::split::{self, MatrixRequest};
use crate::output::OutputError;
use crate::output::draft::{Draft, leftovers, write_whole};
use crate::output::result::{Ending, Layout, RadialAxis, ResultFile};
use crate::pipeline::{self, Corridor, PipelineError, Sink, SinkError, Strategy};
use crate::reduce::Reducer;
use crate::reduce::host::HostReducer;
use crate::source::cbf::CbfReader;
use crate::source::decoded::Decoding;
use crate::source::{Reader, Ticket};
use crate::trace::Timeline;

/// The result file, and the patterns themselves when a tomogram is to follow.
struct Rows {
    file: ResultFile,
    kept: Option<PatternStore>,
}

impl Sink for Rows {
    fn put(&mut self, outcome: Outcome) -> Result<(), SinkError> {
        if let (Some(kept), Ok(pattern)) = (&mut self.kept, &outcome) {
            kept.put(pattern.id.0, &pattern.intensity);
        }
        Ok(self.file.put(outcome)?)
    }

    fn pause(&mut self) -> Result<(), SinkError> {
        Ok(self.file.flush()?)
    }
}

/// Runs the command.
pub(super) fn run(args: &IntegrateArgs) -> Result<Exit, Failure> {
    let verbosity = Verbosity::of(args.saying);
    let mut plan = Plan::new(args)?;
    let tomo = tomo::after_integration(&plan.args).or_exit(Exit::Usage)?;
    if verbosity > Verbosity::Quiet {
        plan.warnings.iter().for_each(|line| say::warn(line));
        let written = plan.args.output.iter().chain(&plan.args.trace);
        super::warn_of_leftovers(written.flat_map(|path| leftovers(path)).collect());
    }
    memory::check(&plan).or_exit(Exit::Usage)?;
    // The same number of threads builds the matrix; a pool that exists already (in tests) is as good.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(plan.crew.threads).build_global();
    let started = Instant::now();
    let Corrections { normalization, lost } = plan.corrections()?;
    if plan.args.dry_run {
        save_configuration(&plan)?;
        summary::print_plan(&plan, &lost)?;
        return Ok(Exit::Success);
    }
    if verbosity == Verbosity::Verbose {
        summary::explain_plan(&plan, &lost);
    }

    let (axis, recipe) = prepare(&plan, normalization)?;
    if let Some(line) = plausible::mostly_empty(&plan, &axis, &recipe.csr)
        && verbosity > Verbosity::Quiet
    {
        say::warn(&line);
    }
    let timeline = plan.args.trace.is_some().then(Timeline::default);
    let mut kept = tomo.as_ref().and_then(|tomo| PatternStore::new(tomo, plan.files.len(), plan.npt));
    let (reducers, slots) = reducers(&mut plan, recipe, timeline.as_ref(), kept.as_mut())?;
    let matrix_time = started.elapsed();
    save_configuration(&plan)?;
    let trace = open_trace(&plan)?;

    let output = plan.args.output.clone().unwrap_or_default();
    let asked = Asked::first();
    let file =
        ResultFile::create(&output, &layout(&plan, &axis), plan.args.overwrite).or_exit(Exit::Output)?;
    let mut rows = Rows { file, kept };
    let mut progress = ProgressLine::new(plan.files.len(), verbosity);
    let (report, ended) = pipeline::run(
        Corridor {
            tickets: tickets(&plan),
            readers: readers(&plan),
            reducers,
            sink: &mut rows,
            slots,
            waiting: pipeline::waiting(pattern_bytes(plan.npt)),
            bad_frames: plan.bad_frames,
            stop: asked.stop(),
            timeline: timeline.clone(),
            progress: &mut |done, bad| progress.step(done, bad),
        },
        plan.crew.strategy,
    );
    progress.finish();

    let barren = plausible::barren(&plan, &report);
    let ending = match &ended {
        Ok(()) if report.interrupted => Ending::Interrupted,
        Ok(()) => barren.as_ref().map_or(Ending::Complete, |failure| Ending::Failed(failure.to_string())),
        Err(error) => Ending::Failed(error.to_string()),
    };
    let finishing = Instant::now();
    let written = rows.file.finish(&ending);
    let closing = finishing.elapsed();
    if let (Some(trace), Some(timeline)) = (trace, &timeline) {
        write_trace(trace, timeline)?;
    }
    // The failure that ended the run comes first: closing the file may fail for the same reason.
    ended.map_err(|error| failed(error, &output))?;
    let written = written.or_exit(Exit::Output)?;
    if verbosity > Verbosity::Quiet {
        summary::print_run(&plan, &lost, &report, &written, (matrix_time, closing));
    }
    if let Some(failure) = barren {
        return Err(failure);
    }
    let ended = match () {
        () if report.interrupted => signals::heard().unwrap_or(Exit::Interrupted),
        () if report.bad.is_empty() => Exit::Success,
        () => Exit::BadFrames,
    };
    drop(asked);
    match (tomo, signals::heard()) {
        (Some(_), Some(interrupted)) => Ok(interrupted),
        (Some(tomo), None) => {
            if verbosity > Verbosity::Quiet {
                say::summary("\n");
            }
            // What became of the frames is still true when every slice was made.
            let made = tomo::reconstruct(&tomo, rows.kept)?;
            Ok(if made == Exit::Success { ended } else { made })
        }
        (None, _) => Ok(ended),
    }
}

fn failed(error: PipelineError, output: &std::path::Path) -> Failure {
    let exit = match &error {
        PipelineError::Reduce(_) => Exit::Device,
        PipelineError::Sink(_) => Exit::Output,
        PipelineError::BadFrame(_) => Exit::BadFrames,
        PipelineError::Panicked(_) | PipelineError::Thread(..) => Exit::Failure,
    };
    let context = format!("stopped; what was done before is in {}", output.display());
    Failure { exit, error: anyhow::Error::from(error).context(context) }
}

/// Axis, matrix and all that belongs to them.
fn prepare(plan: &Plan, normalization: Vec<f32>) -> Result<(Axis, Recipe), Failure> {
    let encoding = plan.encoding();
    let (axis, csr) = split::build(&MatrixRequest {
        poni: &plan.poni,
        shape: encoding.shape,
        npt: plan.npt,
        unit: plan.unit,
        split: plan.split,
        mask: plan.mask.as_ref(),
        radial_range: plan.radial_range(),
        azimuth_range: plan.azimuth_range(),
    })
    .or_exit(Exit::Calibration)?;
    let mut recipe = Recipe {
        csr,
        normalization,
        dark: plan.dark.clone(),
        dummy: plan.dummy,
        saturation: plan.saturation,
        error_model: plan.error_model,
        empty: plan.args.empty.unwrap_or(0.0),
        shape: encoding.shape,
        pixel: encoding.pixel,
    };
    if let Some(flat) = &plan.flat {
        recipe.exclude_flat(flat);
    }
    plausible::check_matrix(plan, &recipe.csr, |pixel| recipe.is_valid(pixel))?;
    Ok((axis, recipe))
}

fn layout(plan: &Plan, axis: &Axis) -> Layout {
    let radial = RadialAxis {
        name: plan.unit.short_name().to_owned(),
        unit: plan.unit.unit_symbol().to_owned(),
        long_name: plan.unit.label().to_owned(),
        centres: axis.centres.clone(),
    };
    Layout {
        scan: plan.scan.clone(),
        offset: plan.args.offset.unwrap_or(0),
        errors: plan.error_model != crate::integrate::engine::ErrorModel::None,
        sums: plan.args.sums == Some(true),
        saturated: plan.saturation.cutoff.is_finite(),
        header: plan.first.frame.clone(),
        inputs: plan.files.iter().map(|f| f.display().to_string()).collect(),
        configuration: configuration::to_worker(plan),
        title: plan.args.experiment_title.clone().unwrap_or_else(|| "xrdct integrate".to_owned()),
        poni_file: plan.args.poni.as_ref().map(|p| p.display().to_string()),
        mask_file: plan.args.mask.clone(),
        dark_files: plan.args.dark.clone(),
        flat_files: plan.args.flat.clone(),
        ..Layout::new(plan.files.len(), radial)
    }
}

fn tickets(plan: &Plan) -> Vec<Ticket> {
    let ticket =
        |(id, path): (usize, &std::path::PathBuf)| Ticket { id: FrameId(id), path: path.as_path().into() };
    plan.files.iter().enumerate().map(ticket).collect()
}

fn readers(plan: &Plan) -> Vec<Box<dyn Reader>> {
    let verify = plan.args.no_verify != Some(true);
    let reader = |_| {
        let reader = CbfReader::new(Some(plan.encoding()), verify);
        match plan.crew.readers_decode {
            true => Box::new(Decoding::new(reader)) as Box<dyn Reader>,
            false => Box::new(reader),
        }
    };
    (0..plan.crew.readers).map(reader).collect()
}

/// The third doors, and the slots that fit them. A GPU that nobody asked for by name and that cannot be used is not an
/// error: the plan then says why the cores do it.
fn reducers(
    plan: &mut Plan,
    recipe: Recipe,
    timeline: Option<&Timeline>,
    kept: Option<&mut PatternStore>,
) -> Result<(Vec<Box<dyn Reducer>>, SlotPool), Failure> {
    if let Device::Cuda { ordinal, asked, .. } = plan.crew.place {
        match cuda_reducers(plan, ordinal, &recipe, timeline, kept) {
            Ok(ready) => return Ok(ready),
            Err(reason) if asked || plan.args.strategy == Some(StrategyName::Gpu) => {
                return Err(reason).or_exit(Exit::Device);
            }
            Err(reason) => {
                say::warn(&format!("the GPU cannot be used: {reason}; computing on the CPU"));
                plan.crew.place = Device::Cpu { why: format!("the GPU cannot be used: {reason}") };
                plan.crew.readers_decode = false;
            }
        }
    }
    let engine = Arc::new(Engine::new(recipe).or_exit(Exit::Calibration)?);
    let reducer = |_| Box::new(HostReducer::new(Arc::clone(&engine))) as Box<dyn Reducer>;
    let slots = SlotPool::on_host(host_slots(plan), slot_bytes(plan));
    Ok(((0..plan.crew.threads).map(reducer).collect(), slots))
}

fn cuda_reducers(
    plan: &Plan,
    ordinal: usize,
    recipe: &Recipe,
    timeline: Option<&Timeline>,
    kept: Option<&mut PatternStore>,
) -> Result<(Vec<Box<dyn Reducer>>, SlotPool), CudaError> {
    let engine = Arc::new(CudaEngine::new(ordinal, recipe)?);
    // Where the GPU has no room for all patterns, the host's copy is brought back block by block.
    let patterns =
        match kept.as_ref().map(|_| DevicePatterns::new(engine.context(), plan.files.len(), plan.npt)) {
            None | Some(Err(CudaError::OutOfMemory { .. })) => None,
            Some(made) => Some(Arc::new(made?)),
        };
    let mut reducer = CudaReducer::new(Arc::clone(&engine), plan.crew.cuda)?;
    if plan.args.no_verify != Some(true) && !plan.crew.readers_decode {
        reducer.verify(plan.files.len())?;
    }
    if let Some(patterns) = &patterns {
        reducer.keep(Arc::clone(patterns));
    }
    if let Some(timeline) = timeline {
        reducer.record(timeline.clone())?;
    }
    let LaneSizes { lanes, batch } = reducer.options();
    let count = match plan.crew.strategy {
        Strategy::Sequential => 1,
        Strategy::Pool => (lanes + 1) * batch + plan.crew.readers,
    };
    // Frames of a scan differ a little in size; a slot that is too small grows, which is slow when pinned.
    let bytes = slot_bytes(plan);
    let slots = pinned::slots(engine.context(), count, bytes + bytes / 4)?;
    if let Some(kept) = kept {
        kept.on_device = patterns;
    }
    Ok((vec![Box::new(reducer)], slots))
}

/// Writes the file of `--save-config`.
fn save_configuration(plan: &Plan) -> Result<(), Failure> {
    let Some(path) = &plan.args.save_config else { return Ok(()) };
    let text = format!("{:#}\n", configuration::for_file(plan));
    write_whole(path, text.as_bytes(), plan.args.overwrite).context("--save-config").or_exit(Exit::Output)
}

/// The file of `--trace`, begun before anything is computed.
fn open_trace(plan: &Plan) -> Result<Option<Draft>, Failure> {
    let Some(path) = &plan.args.trace else { return Ok(None) };
    let draft = Draft::begin(path, plan.args.overwrite, 0).context("--trace");
    draft.map(Some).or_exit(Exit::Output)
}

/// Writes a timeline into its file, and gives that its name.
pub(super) fn write_trace(draft: Draft, timeline: &Timeline) -> Result<(), Failure> {
    let written = timeline.write_chrome(BufWriter::new(draft.file()));
    written
        .map_err(|cause| OutputError::from_io(draft.path(), "writing the timeline", 0, cause))
        .and_then(|()| draft.publish().map(|_| ()))
        .context("--trace")
        .or_exit(Exit::Output)
}

/// Time as people write it.
pub(super) fn seconds(time: Duration) -> String {
    match time.as_secs_f64() {
        s if s < 0.1 => format!("{:.1} ms", s * 1e3),
        s if s < 100.0 => format!("{s:.2} s"),
        s => format!("{:.0} min {:02.0} s", (s / 60.0).floor(), s % 60.0),
    }
}
