//! `xrdct integrate`: a session's run, with a result file, a closing summary, and, with `--tomo`, slices too.

mod again;

use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, anyhow, bail};

use self::again::OnOthers;
use super::args::IntegrateArgs;
use super::exit::{Exit, Failure, OrExit};
use super::progress::{ProgressLine, Verbosity};
use super::signals::{self, Asked};
use super::tomo;
use super::{say, summary};
use crate::output::OutputError;
use crate::output::draft::{Draft, leftovers, write_whole};
use crate::output::lock::Lock;
use crate::output::result::Ending;
use crate::session::{PipelineError, Plan, Resume, Run, Session, configuration, plausible, resume};
use crate::trace::{self, Timeline};

/// Runs the command.
pub(super) fn run(args: &IntegrateArgs) -> Result<Exit, Failure> {
    let args = &again::as_meant(args);
    let verbosity = Verbosity::of(args.saying);
    let timeline = args.trace.is_some().then(Timeline::default);
    let follows = trace::follow(timeline.as_ref(), "main");
    let mut options = args.options();
    let mut lock = args.output.as_deref().map(|output| take_lock(args, output)).transpose()?.flatten();
    let resume = match &args.output {
        Some(output) if args.resume => Resume::open(output, &mut options)?,
        _ => None,
    };
    let mut plan = Plan::new(options)?;
    if plan.options.output.is_none() && !args.dry_run {
        return Err(anyhow!("no result file: name one with --output FILE.h5")).or_exit(Exit::Usage);
    }
    if args.tomo.is_some() && plan.part.is_some() {
        return Err(anyhow!("--tomo: a part makes no slices; `xrdct merge` the parts, then `xrdct tomo`"))
            .or_exit(Exit::Usage);
    }
    if args.tomo.is_some() && plan.npt_azim.is_some() {
        return Err(anyhow!(
            "--tomo: in one run slices are made of powder patterns; leave --npt-azim out, or integrate first and then \
             `xrdct tomo` the result, with --sectors"
        ))
        .or_exit(Exit::Usage);
    }
    check_outputs(args, &plan).or_exit(Exit::Output)?;
    // A configuration may have named it.
    if let (None, Some(output)) = (&lock, &plan.options.output) {
        lock = take_lock(args, output)?;
    }
    let tomo = tomo::after_integration(args, &plan.options).or_exit(Exit::Usage)?;
    if let Some(resume) = &resume {
        plan.settle_device()?;
        resume.check(&plan, args.retry_bad)?;
        if resume.is_complete(&plan, args.retry_bad) {
            return Ok(complete(&plan, resume, verbosity));
        }
    }
    if verbosity > Verbosity::Quiet {
        plan.notes.iter().for_each(|line| say::warn(line));
        let written = plan.options.output.iter().chain(&args.trace);
        super::warn_of_leftovers(written.flat_map(|path| leftovers(path)).collect());
    }
    let started = Instant::now();
    if args.dry_run {
        plan.settle_device()?;
        let said = plan.notes.len();
        let lost = plan.rehearse()?;
        if verbosity > Verbosity::Quiet {
            plan.notes[said..].iter().for_each(|line| say::warn(line));
        }
        save_configuration(args, &plan)?;
        summary::print_plan(args, &plan, &lost)?;
        return Ok(Exit::Success);
    }

    if verbosity == Verbosity::Verbose {
        plan.settle_device()?;
        summary::explain_plan(args, &plan);
    }
    let said = plan.notes.len();
    let session = Session::open(plan)?;
    let plan = session.plan();
    if verbosity > Verbosity::Quiet {
        plan.notes[said..].iter().for_each(|line| say::warn(line));
    }
    let output = plan.options.output.clone().unwrap_or_default();
    let lock = lock.map_or_else(|| Lock::take(&output), Ok).or_exit(Exit::Output)?;
    let overwrite = args.overwrite || resume.is_some();
    let mut draft = session.result_draft(lock, overwrite, resume.as_ref())?;
    let carried = resume.as_ref().map(|resume| resume.carry(&mut draft, args.retry_bad)).transpose();
    let carried = carried.or_exit(Exit::Output)?;
    let source = match &carried {
        Some(carried) => resume::what_is_left(plan.source(), carried),
        None => plan.source(),
    };
    // What an earlier run made is in the file only.
    let mut kept = tomo.as_ref().filter(|_| resume.is_none()).and_then(|tomo| tomo::store(tomo, plan));
    let doors = session.doors(source, timeline.as_ref(), kept.as_mut())?;
    doors.notes.iter().for_each(|line| say::warn(line));
    let matrix_time = started.elapsed();
    drop(follows);
    save_configuration(args, plan)?;
    let trace = open_trace(args)?;

    let asked = Asked::first();
    let mut file = draft.publish().or_exit(Exit::Output)?;
    file.sync_every(args.flush_interval());
    if let Some(why) = resume.as_ref().and_then(|resume| resume.goes_over(plan)) {
        file.go_over(&why).or_exit(Exit::Output)?;
    }
    let there = carried.as_ref().map_or(0, |carried| carried.good + carried.bad);
    let mut progress = ProgressLine::new(plan.frames.count() - there, verbosity);
    let (report, ended) = session.walk(
        doors,
        &mut file,
        Run {
            stop: asked.stop(),
            timeline: timeline.clone(),
            watchers: vec![&mut progress],
            kept: kept.as_mut(),
        },
    );
    progress.finish();

    // Rows of an earlier run may hold what these lack.
    let has_good = carried.as_ref().is_some_and(|carried| carried.good > 0);
    let barren = if has_good { None } else { plausible::barren(plan, &report) };
    let ending = match &ended {
        Err(error) => Ending::Failed(error.to_string()),
        Ok(()) => match &barren {
            Some(cause) => Ending::Failed(cause.to_string()),
            None => report.ending(),
        },
    };
    // Every GPU of several failed: those that are well can be used by another process only.
    let others = match &ended {
        Err(PipelineError::Reduce(_)) if !asked.stop().is_raised() => OnOthers::after(&report.lost),
        _ => None,
    };
    if let Some(OnOthers { cause, .. }) = &others {
        file.lose(&cause.why).or_exit(Exit::Output)?;
    }
    let finishing = Instant::now();
    let written = file.finish(&ending);
    let closing = finishing.elapsed();
    if let (Some(trace), Some(timeline)) = (trace, &timeline) {
        write_trace(trace, timeline)?;
    }
    if let (Some(others), Ok(_)) = (others, &written) {
        let cause = &others.cause.why;
        say::warn(&format!(
            "{cause}; no GPU serves this process any more: going on in a new one on {}",
            others.word()
        ));
        let error = others.begin();
        say::warn(&format!("that could not be begun: {error}"));
    }
    // The failure that ended the run comes first: closing the file may fail for the same reason.
    ended.map_err(|error| failed(error, &output))?;
    let written = written.or_exit(Exit::Output)?;
    if verbosity > Verbosity::Quiet {
        summary::print_run(&session, &report, &written, carried.as_ref(), (matrix_time, closing));
    }
    if let Some(cause) = barren {
        return Err(cause.into());
    }
    let ended = match () {
        () if report.interrupted => signals::heard().unwrap_or(Exit::Interrupted),
        () if report.bad.is_empty() && carried.is_none_or(|carried| carried.bad == 0) => Exit::Success,
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
            let made = tomo::reconstruct(&tomo, kept)?;
            Ok(if made == Exit::Success { ended } else { made })
        }
        (None, _) => Ok(ended),
    }
}

/// Everything that would end `--dry-run`, and the plan that it would print.
pub(super) fn check(args: &IntegrateArgs) -> Result<Plan, Failure> {
    let mut plan = Plan::new(args.options())?;
    check_outputs(args, &plan).or_exit(Exit::Output)?;
    tomo::after_integration(args, &plan.options).or_exit(Exit::Usage)?;
    plan.settle_device()?;
    plan.rehearse()?;
    Ok(plan)
}

/// The lock of the result file, for a run that writes it.
fn take_lock(args: &IntegrateArgs, output: &Path) -> Result<Option<Lock>, Failure> {
    if args.dry_run {
        return Ok(None);
    }
    let lock = Lock::take(output).or_exit(Exit::Output)?;
    if let Some(note) = lock.note().filter(|_| Verbosity::of(args.saying) > Verbosity::Quiet) {
        say::warn(note);
    }
    Ok(Some(lock))
}

/// There is nothing to go on with.
fn complete(plan: &Plan, resume: &Resume, verbosity: Verbosity) -> Exit {
    let (frames, bad) = (plan.frames.count(), resume.bad());
    if verbosity > Verbosity::Quiet {
        let bad = if bad == 0 {
            String::new()
        } else {
            format!(", {bad} of them bad (--retry-bad tries them again)")
        };
        let output = plan.options.output.clone().unwrap_or_default();
        say::summary(&format!("complete: {frames} frames are in {}{bad}\n", output.display()));
    }
    if bad == 0 { Exit::Success } else { Exit::BadFrames }
}

fn failed(error: PipelineError, output: &Path) -> Failure {
    let exit = match &error {
        PipelineError::Source(_) => Exit::Input,
        PipelineError::Reduce(_) => Exit::Device,
        PipelineError::Sink(_) => Exit::Output,
        PipelineError::BadFrame(_) => Exit::BadFrames,
        PipelineError::Panicked(_) | PipelineError::Thread(..) => Exit::Failure,
    };
    if let PipelineError::Sink(cause) = &error
        && matches!(cause.downcast_ref(), Some(OutputError::Gone { .. }))
    {
        return Failure { exit, error: error.into() };
    }
    let context =
        format!("stopped; what was done before is in {}: --resume goes on with it", output.display());
    Failure { exit, error: anyhow::Error::from(error).context(context) }
}

/// What is written must not be what is read, nor written twice.
fn check_outputs(args: &IntegrateArgs, plan: &Plan) -> anyhow::Result<()> {
    let options = &plan.options;
    let whole = |path: &Path| std::fs::canonicalize(path).ok();
    let images = options.mask.iter().chain(&options.dark).chain(&options.flat).map(Path::new);
    let read: Vec<&Path> = options.poni.iter().map(PathBuf::as_path).chain(images).collect();
    let beside = [("--trace", &args.trace), ("--tomo", &args.tomo), ("--save-config", &args.save_config)];
    for (option, written) in [("--output", &options.output)].into_iter().chain(beside) {
        let Some(path) = written else { continue };
        let Some(written) = whole(path) else { continue };
        let same = |other: &&Path| {
            other.file_name() == written.file_name() && whole(other).as_ref() == Some(&written)
        };
        let frames = plan.frames.files().iter().map(PathBuf::as_path);
        if let Some(input) = frames.chain(read.iter().copied()).find(same) {
            bail!("{option} {}: that is {}, which this run reads", path.display(), input.display());
        }
    }
    for (option, path) in beside {
        let Some(path) = path else { continue };
        if options
            .output
            .as_ref()
            .is_some_and(|o| o == path || whole(o).is_some_and(|o| whole(path) == Some(o)))
        {
            bail!("{option} {}: that is --output", path.display());
        }
        if path.exists() && !args.overwrite {
            bail!("{option} {}: there is already a file of that name; see --overwrite", path.display());
        }
    }
    Ok(())
}

/// Writes the file of `--save-config`.
fn save_configuration(args: &IntegrateArgs, plan: &Plan) -> Result<(), Failure> {
    let Some(path) = &args.save_config else { return Ok(()) };
    let text = format!("{:#}\n", configuration::for_file(plan));
    write_whole(path, text.as_bytes(), args.overwrite).context("--save-config").or_exit(Exit::Output)
}

/// The file of `--trace`, begun before anything is computed.
fn open_trace(args: &IntegrateArgs) -> Result<Option<Draft>, Failure> {
    let Some(path) = &args.trace else { return Ok(None) };
    let draft = Draft::begin(path, args.overwrite, 0).context("--trace");
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
