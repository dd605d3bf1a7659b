//! What a person reads before and after a run.

use std::time::Duration;

use super::args::IntegrateArgs;
use super::exit::Failure;
use super::say;
use super::words::{count, seconds};
use crate::frame::{BadFrame, FrameStatus};
use crate::output::result::{Carried, PartOf, Written};
use crate::pipeline::Report;
use crate::session::{
    Crew, Decode, ErrorModel, Lost, Mask, Plan, Reducers, Reduction, Saturated, Saturation, Session, Stage,
    Statistic,
};

/// Bad frames that the summary names; all are in the output.
const NAMED_BAD_FRAMES: usize = 5;

/// What `--dry-run` prints: everything that was decided, to stdout.
///
/// # Errors
/// As [`say::answer`].
pub(super) fn print_plan(args: &IntegrateArgs, plan: &Plan, lost: &Lost) -> Result<(), Failure> {
    let mut text = String::new();
    describe(args, plan, lost, &mut text);
    text.push_str(match args.save_config {
        None => "nothing done (--dry-run)\n",
        Some(_) => "nothing else done (--dry-run)\n",
    });
    say::answer(&text)
}

/// The same, to stderr, before a verbose run.
pub(super) fn explain_plan(args: &IntegrateArgs, plan: &Plan) {
    let mut text = String::new();
    // What the corrections leave out is in the closing summary.
    describe(args, plan, &Lost::default(), &mut text);
    say::note(text.trim_end());
}

fn describe(args: &IntegrateArgs, plan: &Plan, lost: &Lost, text: &mut String) {
    let encoding = plan.encoding();
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<14}{value}\n"));
    line(
        "frames",
        format!(
            "{} of {} {}, from {}",
            plan.frames.count(),
            encoding.shape,
            encoding.pixel.name(),
            plan.frames.origin(0)
        ),
    );
    if let Some(PartOf { number, of, first, frames, .. }) = &plan.part {
        line("part", format!("{number} of {of}: from frame {first} on, of {frames}"));
    }
    let poni = plan.geometry_name();
    line("geometry", format!("{poni}: {}, {:.4} m", plan.poni.detector.name, plan.poni.distance));
    let masked = plan.mask.as_ref().map_or(0, Mask::count);
    let origin = plan.options.mask.as_deref().unwrap_or("the detector's own");
    line("mask", format!("{masked} of {} pixels ({origin})", encoding.shape.pixels()));
    let dummy = plan.dummy.as_ref().map_or("none".to_owned(), |d| format!("{} +- {}", d.value, d.delta));
    line("dummy", dummy);
    let Saturation { cutoff, masked, .. } = plan.saturation;
    let saturation = match (cutoff.is_finite(), masked) {
        (false, _) => "not known: the header has no Count_cutoff".to_owned(),
        (true, true) => format!("from {cutoff} counts, left out"),
        (true, false) => format!("from {cutoff} counts (Count_cutoff), counted"),
    };
    line("saturation", saturation);
    let corrections: Vec<String> = [
        plan.dark.is_some().then(|| "dark".to_owned()),
        plan.flat.is_some().then(|| "flat".to_owned()),
        plan.options.polarization.map(|f| format!("polarisation {f}")),
        (plan.options.no_solid_angle != Some(true)).then(|| "solid angle".to_owned()),
        plan.options.normalization.map(|v| format!("normalisation {v}")),
        plan.options.monitor.as_ref().map(|name| format!("monitor {name}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    line("corrections", if corrections.is_empty() { "none".to_owned() } else { corrections.join(", ") });
    for note in lost.notes() {
        line("left out", note);
    }
    let split = format!("{:?}", plan.split).to_lowercase();
    line("statistic", statistic(&plan.reduction));
    let azimuthal = plan.npt_azim.map_or_else(String::new, |npt| format!(" x {npt} in chi_deg"));
    line("bins", format!("{} in {}{azimuthal}, {split} splitting", plan.npt, plan.unit.name()));
    if let Some(scan) = &plan.scan {
        let zigzag = if scan.zigzag { ", zigzag" } else { "" };
        line("map", format!("{} slow x {} fast{zigzag}", scan.slow.points, scan.fast.points));
    }
    line("device", plan.device.name());
    line("route", plan.route().to_string());
    line("strategy", strategy(&plan.crew));
    if let (Some(_), Reducers::Gpus(2.., _)) = (&args.tomo, plan.crew.reducers) {
        line(
            "",
            "patterns of several GPUs meet in the host's memory: sinograms are made of those".to_owned(),
        );
    }
    line("output", plan.options.output.as_ref().map_or("none named".to_owned(), |o| o.display().to_string()));
    if let Ok(Some(division)) = plan.division() {
        let each = count(division.each(), "frame");
        line("segments", format!("{} of up to {each}, which the output shows as one", division.count()));
    }
    if let Some(path) = &args.save_config {
        line("settings", path.display().to_string());
    }
    if let Some(tomo) = &args.tomo {
        line("tomogram", tomo.display().to_string());
    }
}

/// What a bin makes of its pixels, in words.
fn statistic(Reduction { statistic, errors }: &Reduction) -> String {
    let statistic = match *statistic {
        Statistic::Mean => "mean".to_owned(),
        Statistic::Clip { cutoff, cycles } => {
            format!("clip beyond {cutoff} standard deviations, {cycles} cycles at most")
        }
        Statistic::Quantile { from, to } if from == to && from == 0.5 => "median".to_owned(),
        Statistic::Quantile { from, to } if from == to => format!("quantile {from}"),
        Statistic::Quantile { from, to } => format!("quantiles {from} to {to}"),
    };
    match errors {
        ErrorModel::None => format!("{statistic}, no errors"),
        errors => format!("{statistic}, errors: {}", errors.name()),
    }
}

/// Who does what, in words.
fn strategy(crew: &Crew) -> String {
    let readers = crew.readers.map(|readers| count(readers, "reader"));
    match (readers, crew.reducers, crew.decode) {
        (None, Reducers::Host(_), _) => "sequential".to_owned(),
        (Some(readers), Reducers::Host(workers), _) => {
            format!("pool of {readers} and {}", count(workers, "worker"))
        }
        (None, Reducers::Gpus(..), _) => "sequential, the GPU integrates".to_owned(),
        (Some(readers), Reducers::Gpus(1, _), Decode::Reader) => {
            format!("pool of {readers} decoding, the GPU integrates")
        }
        (Some(readers), Reducers::Gpus(gpus, _), Decode::Reader) => {
            format!("pool of {readers} decoding, {gpus} GPUs integrate")
        }
        (Some(readers), Reducers::Gpus(gpus, sizes), Decode::Reducer) => {
            let lanes = format!("{} of up to {}", count(sizes.lanes, "lane"), count(sizes.batch, "frame"));
            match gpus {
                1 => format!("{readers}, the GPU decodes and integrates; {lanes}"),
                _ => format!("{readers}, {gpus} GPUs decode and integrate; {lanes} on each"),
            }
        }
    }
}

/// How many frames are known to be as they were written.
fn digests(plan: &Plan, report: &Report) -> String {
    if plan.options.no_verify == Some(true) {
        return "not compared (--no-verify)".to_owned();
    }
    let unverified = report.done - report.bad.len() - report.verified;
    let why = if unverified > 0 { " (no Content-MD5)" } else { "" };
    format!("{} verified, {unverified} unverified{why}, {} failed", report.verified, report.damaged())
}

/// The closing summary, to stdout.
pub(super) fn print_run(
    session: &Session,
    report: &Report,
    written: &Written,
    carried: Option<&Carried>,
    (matrix, closing): (Duration, Duration),
) {
    let (plan, lost) = (session.plan(), session.lost());
    let mut text = String::new();
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<14}{value}\n"));
    let interrupted = if report.interrupted { "; interrupted, --resume goes on with them" } else { "" };
    line("frames", format!("{} of {}{interrupted}", report.done, plan.frames.count()));
    if let Some(carried) = carried {
        let damaged = match carried.damaged {
            0 => String::new(),
            damaged => format!("; {} made again", count(damaged, "damaged row")),
        };
        let bad = if carried.bad == 0 { String::new() } else { format!(", {} of them bad", carried.bad) };
        line("resumed", format!("{} were there{bad}{damaged}", count(carried.good + carried.bad, "frame")));
    }
    if let Some(old) = &written.old {
        line("kept", format!("{}, which this file is to replace once it is complete", old.display()));
    }
    if !report.bad.is_empty() {
        let listed = "rows of NaN; listed in the output's bad_frames";
        line("bad frames", format!("{}: {} ({listed})", report.bad.len(), kinds(&report.bad)));
        for bad in report.bad.iter().take(NAMED_BAD_FRAMES) {
            line("", format!("{}: {}", bad.id.0, bad.message));
        }
    }
    line("digests", digests(plan, report));
    if let Some(note) = saturated(plan, report) {
        line("saturated", note);
    }
    for note in lost.notes() {
        line("left out", note);
    }
    line("device", plan.device.name());
    line("route", plan.route().to_string());
    for lost in &report.lost {
        line("lost", format!("{}; others did its {} again", lost.why, count(lost.frames, "frame")));
    }
    if let Some(over) = &report.gone_over {
        let marked = if over.frames > 0 { " (frame_device in the output)" } else { "" };
        line("on the CPU", format!("{}, not on the GPU{marked}: {}", count(over.frames, "frame"), over.why));
    }
    let rate = format!("{:.1} frames/s, {} in all", report.frames_per_second(), seconds(report.wall));
    line("speed", rate);
    let busy: f64 = Stage::ALL.iter().map(|s| report.times.of(*s).as_secs_f64()).sum();
    let stages: Vec<String> = Stage::ALL
        .iter()
        .map(|stage| {
            let time = report.times.of(*stage);
            let share = 100.0 * time.as_secs_f64() / busy.max(1e-9);
            let each = 1e3 * time.as_secs_f64() / report.done.max(1) as f64;
            format!("{} {share:.0} % ({each:.2} ms a frame)", stage.name())
        })
        .collect();
    line("time by stage", stages.join(", "));
    line("besides", format!("matrix {}, closing the file {}", seconds(matrix), seconds(closing)));
    let size = written.bytes as f64 / 1e6;
    let segments = match written.segments {
        0 => String::new(),
        segments => format!(", in {}", count(segments, "segment")),
    };
    line("file", format!("{} ({size:.1} MB{segments})", written.path.display()));
    say::summary(&text);
}

/// How many pixels were saturated and what became of them, if any were.
fn saturated(plan: &Plan, report: &Report) -> Option<String> {
    let Saturated { pixels, frames, most } = report.saturated;
    let (id, most) = most?;
    let so = match plan.saturation.masked {
        true => "left out",
        false => "counted, but not left out: --saturation header does that",
    };
    Some(format!(
        "{pixels} pixels in {frames} of {} frames, at most {most} in one (frame {}), from {} counts; {so}",
        report.done, id.0, plan.saturation.cutoff
    ))
}

/// How many bad frames are bad in which way.
fn kinds(bad: &[BadFrame]) -> String {
    let count = |status| bad.iter().filter(|bad| bad.status == status).count();
    let kinds = FrameStatus::ALL.into_iter().map(|status| (count(status), status.word()));
    kinds.filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect::<Vec<_>>().join(", ")
}

/// How many of something were done in how many seconds.
pub(super) fn pace(count: usize, what: &str, duration: f64) -> String {
    let rate = count as f64 / duration;
    format!(
        "{count} {what} in {}, {rate:.1} {what}/s",
        seconds(Duration::try_from_secs_f64(duration).unwrap_or(Duration::MAX))
    )
}
