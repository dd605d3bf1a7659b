//! `xrdct tomo`: a session's study of a result becomes slices in a file, and a closing summary.

mod after;
pub mod args;

use std::path::Path;
use std::time::{Duration, Instant};

pub(super) use after::{after_integration, store};
use anyhow::anyhow;
use args::TomoArgs;

use super::exit::{Exit, Failure, OrExit};
use super::progress::{ProgressLine, Verbosity};
use super::say;
use super::signals::{self, Asked};
use super::words::{seconds, with_unit};
use crate::output::draft::leftovers;
use crate::output::result::{Ending, range_in_words};
use crate::output::tomogram::{RegionEntry, TomogramFile, TomogramLayout};
use crate::session::tomo::{Maker, Study, TomoOptions};
use crate::session::{Concern, Device, PatternStore, SessionError};

/// Sectors that are told one by one.
const SECTORS_TOLD: usize = 12;

/// Runs the command.
pub(super) fn run(args: &TomoArgs) -> Result<Exit, Failure> {
    reconstruct(args, None)
}

/// Reconstructs a result, from patterns that were kept if there are any.
pub(super) fn reconstruct(args: &TomoArgs, kept: Option<PatternStore>) -> Result<Exit, Failure> {
    let options = args.options().settled()?;
    let Some(output) = args.output.clone().or(args.dry_run.then(Default::default)) else {
        return Err(anyhow!("no tomogram file: name one with --output TOMO.h5")).or_exit(Exit::Usage);
    };
    let same = |a: &Path, b: &Path| matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if same(&args.input, &output) {
        return Err(anyhow!("--output {}: that is the result that is read", output.display()))
            .or_exit(Exit::Output);
    }
    slices(args, options, &output, kept)
}

/// Studies, makes and writes.
fn slices(
    args: &TomoArgs,
    options: TomoOptions,
    output: &Path,
    kept: Option<PatternStore>,
) -> Result<Exit, Failure> {
    let verbosity = Verbosity::of(args.saying);
    let mut notes = Vec::new();
    let mut device = Device::choose(options.device.as_deref().unwrap_or("auto"), &mut notes)?;

    let started = Instant::now();
    let study = Study::open(options, kept)?;
    let studied = started.elapsed();
    if verbosity > Verbosity::Quiet {
        notes.iter().chain(study.warnings()).for_each(|line| say::warn(line));
        super::warn_of_leftovers(leftovers(output));
    }
    let layout = study.layout();
    if args.dry_run {
        say::answer(&(describe(&study, &layout, &device.name()) + "nothing done (--dry-run)\n"))?;
        return Ok(Exit::Success);
    }
    let mut maker = maker(&study, &mut device)?;
    let asked = Asked::first();
    let mut file = match args.resume {
        true => TomogramFile::resume(output, layout),
        false => TomogramFile::create(output, layout, args.overwrite),
    }
    .or_exit(Exit::Output)?;
    let making = Instant::now();
    let mut progress = ProgressLine::counting(file.layout().slices(), "slices", verbosity);
    let made = study.make(&mut file, &mut maker, &asked.stop(), &mut |done| progress.step(done, None));
    progress.finish();
    let on_gpu = matches!(device, Device::Cuda { .. });
    let made = made.map_err(|error| failed(error, output, on_gpu));
    let ending = match &made {
        Ok(_) if file.done().iter().all(|done| *done) => Ending::Complete,
        Ok(_) => Ending::Interrupted,
        Err(failure) => Ending::Failed(failure.to_string()),
    };
    let layout = file.layout().clone();
    let bytes = file.finish(&ending);
    let hollow = made?;
    let bytes = bytes.or_exit(Exit::Output)?;
    if verbosity > Verbosity::Quiet {
        let patterns = if maker.has_patterns() { ", patterns on it" } else { "" };
        let mut text = describe(&study, &layout, &(device.name() + patterns));
        let time = making.elapsed();
        let interrupted = if ending == Ending::Interrupted { "; interrupted, see --resume" } else { "" };
        text += &line("slices", &speed(layout.slices(), time, studied, interrupted));
        for note in hollow.notes() {
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

/// Where slices stop, and the way on when a GPU stopped them.
fn failed(error: SessionError, output: &Path, on_gpu: bool) -> Failure {
    let is_devices = on_gpu && error.about == Concern::Device;
    let Failure { exit, error } = error.into();
    if !is_devices {
        return Failure { exit, error };
    }
    let place = output.display();
    let way_on =
        format!("stopped; slices that were made are in {place}: --resume --device cpu goes on with them");
    Failure { exit, error: error.context(way_on) }
}

/// Whoever makes the slices; aloud when that is not the GPU after all.
fn maker(study: &Study, device: &mut Device) -> Result<Maker, Failure> {
    let was_gpu = matches!(device, Device::Cuda { .. });
    let maker = study.maker(device);
    if was_gpu && let Device::Cpu { why } = device {
        say::warn(&format!("{why}; computing on the CPU"));
    }
    Ok(maker?)
}

/// What was found and will be done, for people.
fn describe(study: &Study, layout: &TomogramLayout, device: &str) -> String {
    let TomogramLayout { rotation, translation, x, y, unit, .. } = layout;
    let mut text =
        line("sinograms", &format!("{} rotations x {} translations", rotation.len(), translation.len()));
    for (i, note) in layout.repairs.iter().enumerate() {
        text += &line(if i == 0 { "found" } else { "" }, note);
    }
    let region =
        |r: &RegionEntry| with_unit(format!("{} {:.5} to {:.5}", r.name, r.from, r.to), &layout.axis.unit);
    let names: Vec<String> = layout.regions.iter().map(region).collect();
    text += &line("regions", &names.join(", "));
    let sectors: Vec<String> = layout.sectors.iter().map(|sector| range_in_words(*sector)).collect();
    match &sectors[..] {
        [] => {}
        [first, .., last] if sectors.len() > SECTORS_TOLD => {
            text += &line("sectors", &format!("{}: {first}, …, {last}", sectors.len()));
        }
        sectors => text += &line("sectors", &sectors.join(", ")),
    }
    text += &line(
        "reconstruct",
        &format!("{}; {} x {} pixels of {:.6} {unit}", study.method(), y.len(), x.len(), study.pixel()),
    );
    text + &line("device", &format!("{device}; {} bins at a time", study.block()))
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
