//! What this program's own HDF5 files hold: results, tomograms, stacks, the truth of a simulated scan.

use std::path::Path;

use anyhow::anyhow;

use crate::cli::exit::{Exit, Failure, OrExit};
use crate::cli::settings::algorithm;
use crate::cli::summary::pace;
use crate::cli::words::{Sentences, count, ends, unit, with_unit};
use crate::frame::FrameStatus;
use crate::output::result::{PartOf, Progress, ResultInfo, SegmentOf, Segments, range_in_words};
use crate::output::stack::StackInfo;
use crate::output::tomogram::Tomogram;
use crate::session::kind::InputError;
use crate::simulate::truth;

/// Messages of bad frames that are shown; the file has them all.
const MESSAGES: usize = 10;

/// What others wrote, or the simulation.
pub(super) fn other(path: &Path, no_images: &InputError) -> Result<Sentences, Failure> {
    if let Some(phases) = truth::phases(path) {
        return Ok(true_maps(path, &phases));
    }
    Err(anyhow!(
        "{}: an HDF5 file, but none of xrdct's: it has no /entry_0000/xrdct (a result), /entry_0000/tomo (a tomogram) or \
         /entry_0000/data/data (a stack); nor images: {no_images}",
        path.display()
    ))
    .or_exit(Exit::Input)
}

pub(super) fn result(path: &Path) -> Result<Sentences, Failure> {
    let info = ResultInfo::open(path).or_exit(Exit::Input)?;
    let mut facts = Sentences::default();
    facts.add("kind", format!("result of xrdct {}", info.version));
    facts.add("run", state(&info.progress, "rows"));
    if let Some(PartOf { number, of, first, frames, .. }) = &info.part {
        facts.add("part", format!("{number} of {of}: from frame {first} on, of {frames} (xrdct merge)"));
    }
    if let Some(segments) = &info.segments {
        facts.add("segments", segments_in_words(segments));
        if info.progress == Progress::Complete {
            facts.add_all(
                "",
                segments.missing().iter().map(|path| format!("missing: {}", path.display())).take(MESSAGES),
            );
        }
    }
    if let Some(SegmentOf { number, first, master, .. }) = &info.segment {
        facts.add("segment", format!("{number} of {master}, from its frame {first} on; {master} shows all"));
    }
    if let [first, .., last] = &info.merged_from[..] {
        facts.add("merged from", format!("{}, {first} … {last}", count(info.merged_from.len(), "part")));
    }
    facts.add("from, to", times(&info.start_time, &info.end_time));
    if let Some(duration) = info.duration.filter(|_| info.merged_from.is_empty()) {
        facts.add("speed", pace(info.frames_done(), "frames", duration));
    }
    let bins = if info.axes.len() == 1 { "bins" } else { "azimuthal x radial bins" };
    let axes = if info.shape.len() == info.axes.len() + 2 { "slow x fast" } else { "frames" };
    let besides = match &info.besides()[..] {
        [] => String::new(),
        names => format!(", with {}", names.join(", ")),
    };
    facts.add("intensity", format!("{} ({axes} x {bins}){besides}", sizes(&info.shape)));
    facts.add_all("radial axis", info.axes.last().and_then(ends));
    facts.add_all("azimuthal axis", info.axes.iter().rev().nth(1).and_then(ends));
    facts.add("rows", statuses(&info.statuses));
    if let Some((frames, pixels)) = info.saturated.filter(|(frames, _)| *frames > 0) {
        facts.add("saturated", format!("{} in {}", count(pixels as usize, "pixel"), count(frames, "frame")));
    }
    if let Some(route) = &info.route {
        facts.add("route", route);
    }
    facts.add_all("lost", info.lost_devices.iter().map(|why| format!("{why}; others did its frames again")));
    if let Some((rows, why)) = &info.gone_over {
        facts.add("on the CPU", format!("{}, not on the GPU (frame_device): {why}", count(*rows, "row")));
    }
    messages(&mut facts, &info.bad_frames);
    inputs(&mut facts, &info.inputs);
    let file = path.display();
    facts.add("look at it", format!("silx view {file}"));
    if info.progress != Progress::Complete && info.segment.is_none() {
        facts.add("go on", format!("xrdct integrate --config {file} -o {file} --resume"));
    }
    facts.add("repeat it", format!("xrdct integrate --config {file} -o NEW.h5"));
    Ok(facts)
}

pub(super) fn tomogram(path: &Path) -> Result<Sentences, Failure> {
    let tomo = Tomogram::open(path).or_exit(Exit::Input)?;
    let layout = &tomo.layout;
    let mut facts = Sentences::default();
    facts.add("kind", format!("tomogram of xrdct {}", tomo.version));
    facts.add("run", state(&tomo.progress().or_exit(Exit::Input)?, "slices"));
    facts.add("from, to", times(&tomo.start_time, &tomo.end_time));
    let done = tomo.done.iter().filter(|done| **done).count();
    if let Some(duration) = tomo.duration {
        facts.add("speed", pace(done, "slices", duration));
    }
    facts.add("made of", &layout.input);
    facts.add(
        "sinograms",
        format!(
            "{}, {} … {}°; {}, {}",
            count(layout.rotation.len(), "rotation"),
            short(least(&layout.rotation)),
            short(most(&layout.rotation)),
            count(layout.translation.len(), "translation"),
            range(&layout.translation, &layout.unit),
        ),
    );
    facts.add(
        "slices",
        format!(
            "{done} of {} made, {} x {} pixels (y x x), x {}",
            layout.slices(),
            layout.y.len(),
            layout.x.len(),
            range(&layout.x, &layout.unit)
        ),
    );
    facts.add_all("radial axis", ends(&layout.axis));
    facts.add_all("sectors", sectors_in_words(&layout.sectors));
    if !layout.all_bins {
        facts.add("", "regions only: bins have no slices of their own");
    }
    facts.add("algorithm", algorithm(&layout.configuration));
    facts.add("rotation axis", format!("translation step {:.2}", layout.centre));
    let region = |r: &crate::output::tomogram::RegionEntry| {
        let background =
            if r.background == "none" { "no background taken off" } else { "above a straight background" };
        with_unit(format!("{}: {:.5} … {:.5}", r.name, r.from, r.to), &layout.axis.unit) + ", " + background
    };
    facts.add_all("regions", layout.regions.iter().map(region));
    facts.add_all("repairs", &layout.repairs);
    let file = path.display();
    facts.add("look at it", format!("xrdct plot {file} -o overview.png; silx view {file}"));
    facts.add("repeat it", format!("xrdct tomo {} --config {file} -o NEW.h5", layout.input));
    Ok(facts)
}

pub(super) fn stack(path: &Path) -> Result<Sentences, Failure> {
    let info = StackInfo::open(path).or_exit(Exit::Input)?;
    let mut facts = Sentences::default();
    facts.add("kind", format!("stack of decoded frames of {}", info.program));
    facts.add("run", state(&info.progress, "frames"));
    facts.add("from, to", times(&info.times[0], &info.times[1]));
    facts.add("frames", format!("{} (frames x slow x fast), {}", sizes(&info.shape), info.pixel));
    let packed = info.gzip.map_or("not compressed".to_owned(), |level| format!("gzip level {level}"));
    facts.add("in the file", format!("{:.1} MB, {packed}", info.stored as f64 / 1e6));
    facts.add("status", statuses(&info.statuses));
    messages(&mut facts, &info.bad_frames);
    inputs(&mut facts, &info.inputs);
    facts.add("look at it", format!("silx view {}", path.display()));
    if info.progress != Progress::Complete {
        facts.add(
            "go on",
            "xrdct convert --resume with the inputs, the options and the -o that it was begun with",
        );
    }
    Ok(facts)
}

fn true_maps(path: &Path, phases: &[truth::PhaseShape]) -> Sentences {
    let mut facts = Sentences::default();
    facts.add("kind", "truth of a scan that xrdct simulated");
    let words = |phase: &truth::PhaseShape| {
        let [map, sinogram] = [phase.map, phase.sinogram].map(|shape| sizes(&shape));
        format!("{}: map {map} (y x x), sinogram {sinogram} (rotations x translations)", phase.name)
    };
    facts.add_all("phases", phases.iter().map(words));
    facts.add("look at it", format!("xrdct plot TOMO.h5 --truth {} -o overview.png", path.display()));
    facts
}

fn state(progress: &Progress, what: &str) -> String {
    match progress {
        Progress::Complete => "complete".to_owned(),
        Progress::Interrupted => format!("interrupted by the user; the {what} that are there are good"),
        Progress::Failed(reason) => format!("failed: {reason}"),
        Progress::Running => "still being written, or its run was killed".to_owned(),
    }
}

/// Azimuthal sectors of a tomogram, a line each; of many the ends.
fn sectors_in_words(sectors: &[[f64; 2]]) -> Vec<String> {
    match sectors {
        [first, .., last] if sectors.len() > MESSAGES => {
            vec![format!("{}: {}, …, {}", sectors.len(), range_in_words(*first), range_in_words(*last))]
        }
        _ => sectors
            .iter()
            .enumerate()
            .map(|(n, sector)| format!("{n}: {}", range_in_words(*sector)))
            .collect(),
    }
}

/// How many there are, and where.
fn segments_in_words(segments: &Segments) -> String {
    let (there, all) = (segments.count() - segments.missing().len(), segments.count());
    let [first, last] = [0, all - 1].map(|segment| segments.path(segment).display().to_string());
    let there = if there == all { String::new() } else { format!("; {there} are there") };
    format!("{all}, {first} … {last}{there}")
}

fn times(start: &str, end: &str) -> String {
    format!("{start} … {end}").trim_end().to_owned()
}

fn sizes(shape: &[usize]) -> String {
    shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" x ")
}

fn statuses(statuses: &[(FrameStatus, usize)]) -> String {
    statuses.iter().map(|(status, n)| format!("{n} {}", status.word())).collect::<Vec<_>>().join(", ")
}

fn messages(facts: &mut Sentences, messages: &[String]) {
    facts.add_all("bad frames", messages.iter().take(MESSAGES));
    if messages.len() > MESSAGES {
        facts.add("", format!("and {} more, in the file's bad_frames", messages.len() - MESSAGES));
    }
}

fn inputs(facts: &mut Sentences, names: &[String]) {
    match names {
        [] => {}
        [only] => facts.add("input", only),
        [first, .., last] => facts.add("input", format!("{} files, {first} … {last}", names.len())),
    }
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

fn range(values: &[f64], symbol: &str) -> String {
    format!("{} … {} {}", short(least(values)), short(most(values)), unit(symbol))
}

/// A number with at most four digits after the point.
fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
