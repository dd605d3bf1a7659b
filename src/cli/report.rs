//! `xrdct report`: one self-contained HTML page about a result, and its tomogram if there is one.

use std::path::PathBuf;

use clap::Args;

use super::exit::{Exit, Failure, OrExit};
use super::plot::{Sheet, overview, overview_of_cakes, refuse_existing};
use super::summary::pace;
use super::words::{count, ends};
use super::{say, settings};
use crate::output::draft::{leftovers, write_whole};
use crate::output::result::{Patterns, Progress, ResultInfo};
use crate::output::tomogram::Tomogram;
use crate::picture::report::{Section, page};
use crate::picture::sheet::Look;

/// One self-contained HTML page: pictures, settings, speeds, bad frames, what was repaired
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// Result of `xrdct integrate`
    #[arg(value_name = "RESULT.h5")]
    pub input: PathBuf,

    /// Tomogram of it
    #[arg(long, value_name = "TOMO.h5")]
    pub tomo: Option<PathBuf>,

    /// truth.h5 of a simulated scan: true maps beside the slices
    #[arg(long, value_name = "FILE", requires = "tomo")]
    pub truth: Option<PathBuf>,

    /// Page to write
    #[arg(short, long, value_name = "FILE.html")]
    pub output: PathBuf,

    /// Replace the page if it exists
    #[arg(long)]
    pub overwrite: bool,
}

/// More sentences than this are folded.
const LONG: usize = 12;

/// Runs the command.
pub(super) fn run(args: &ReportArgs) -> Result<Exit, Failure> {
    refuse_existing(&args.output, args.overwrite).or_exit(Exit::Output)?;
    super::warn_of_leftovers(leftovers(&args.output));
    let info = ResultInfo::open(&args.input).or_exit(Exit::Input)?;
    let patterns = Patterns::open(&args.input).or_exit(Exit::Input)?;
    let name = args.input.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let mut parts = vec![Section::Table(facts(&info))];
    parts.extend(inputs(&info.inputs));
    parts.push(Section::Heading("Patterns".into()));
    parts.push(pattern_picture(&patterns)?);
    if let Some(path) = &args.tomo {
        let tomo = Tomogram::open(path).or_exit(Exit::Input)?;
        parts.push(Section::Heading("Tomogram".into()));
        parts.push(Section::Picture(
            overview(&tomo, None, args.truth.as_deref(), Look::default())?,
            format!("{}: mean pattern with regions of interest, their sinograms and slices", path.display()),
        ));
        if let Some(duration) = tomo.duration {
            let slices = tomo.done.iter().filter(|done| **done).count();
            parts.push(Section::Text(format!("Made and written: {}.", pace(slices, "slices", duration))));
        }
        parts.push(Section::Heading("What was found and repaired".into()));
        parts.push(sentences(&tomo.layout.repairs, "Nothing.", "findings"));
        parts.push(Section::Heading("Settings of the tomogram".into()));
        parts.push(Section::Table(settings::tomogram(&tomo.layout.configuration)));
    }
    parts.push(Section::Heading("Bad frames".into()));
    parts.push(sentences(&info.bad_frames, "None.", "bad frames"));
    parts.push(Section::Heading("Settings of the integration".into()));
    parts.push(Section::Table(settings::integration(&info.configuration)));
    parts.push(Section::Heading("Open it".into()));
    let arrays: Vec<&str> = info.axes.iter().map(|axis| axis.name.as_str()).chain(["intensity"]).collect();
    let values: Vec<String> = arrays.iter().map(|name| format!("result[{name:?}][()]")).collect();
    parts.push(Section::Code(format!(
        "import h5py\nwith h5py.File({name:?}) as h5:\n    result = h5[\"/entry_0000/xrdct/result\"]\n    {} = {}",
        arrays.join(", "),
        values.join(", ")
    )));
    parts.push(Section::Text("The same run again:".into()));
    parts.push(Section::Code(format!("xrdct integrate --config {name} -o again.h5")));
    write_whole(&args.output, page(&format!("{name}: {}", info.title), &parts).as_bytes(), args.overwrite)
        .or_exit(Exit::Output)?;
    say::summary(&format!("{}\n", args.output.display()));
    Ok(Exit::Success)
}

/// All patterns and their mean, or the mean cake of a result of two axes.
fn pattern_picture(patterns: &Patterns) -> Result<Section, Failure> {
    let (look, size) = (Look::default(), [1160.0, 720.0]);
    let good = patterns.good.iter().filter(|good| **good).count();
    Ok(match patterns.averaging() {
        None => Section::Picture(
            Sheet::of(patterns, None).or_exit(Exit::Input)?.patterns(patterns, look, size)?,
            format!("Mean pattern, and all {good} patterns, one a row"),
        ),
        Some(how) => Section::Picture(
            overview_of_cakes(patterns, look, size)?,
            format!("Mean of {good} cakes, and of their patterns over the whole azimuthal axis: {how}"),
        ),
    })
}

fn facts(info: &ResultInfo) -> Vec<(String, String)> {
    let ended = match &info.progress {
        Progress::Running => "still running, or killed".to_owned(),
        Progress::Complete => "complete".to_owned(),
        Progress::Interrupted => "interrupted by the user".to_owned(),
        Progress::Failed(reason) => format!("failed: {reason}"),
    };
    let statuses: Vec<String> =
        info.statuses.iter().map(|(s, n)| format!("{n} {}", s.word().replace('_', " "))).collect();
    let speed = info.duration.map(|duration| ("speed", pace(info.frames_done(), "frames", duration)));
    let shape = match info.shape[..] {
        [slow, fast, ..] if info.shape.len() == info.axes.len() + 2 => {
            format!("a map of {slow} x {fast} points (slow x fast)")
        }
        [frames, ..] => count(frames, "frame"),
        [] => String::new(),
    };
    let bins: Vec<String> = info.axes.iter().map(|axis| axis.centres.len().to_string()).collect();
    let shape = format!("{shape}, {} bins each", bins.join(" x "));
    let besides = match &info.besides()[..] {
        [] => String::new(),
        names => format!("; with {}", names.join(", ")),
    };
    let facts = [
        ("file", info.path.display().to_string()),
        ("written by", format!("xrdct {}", info.version)),
        ("from, to", format!("{} … {}", info.start_time, info.end_time)),
        ("run", ended),
        ("patterns", shape + &besides),
        ("of them", statuses.join(", ")),
    ];
    let segments = info.segments.as_ref().map(|segments| {
        let first = segments.path(0).display().to_string();
        ("segments", format!("{}, from {first} on", count(segments.count(), "file")))
    });
    let over = info.gone_over.as_ref();
    let over =
        over.map(|(rows, why)| ("on the CPU", format!("{}, not on the GPU: {why}", count(*rows, "row"))));
    let lost = info.lost_devices.iter().map(|why| ("lost", format!("{why}; others did its frames again")));
    let axis = info.axes.last().and_then(ends).map(|ends| ("radial axis", ends));
    let azimuthal = info.axes.iter().rev().nth(1).and_then(ends).map(|ends| ("azimuthal axis", ends));
    let all =
        facts.into_iter().chain(segments).chain(over).chain(lost).chain(axis).chain(azimuthal).chain(speed);
    all.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The names of the frames, folded: there may be thousands.
fn inputs(names: &[String]) -> Option<Section> {
    let (first, last) = (names.first()?, names.last()?);
    let line = match names.len() {
        1 => format!("Input: {first}"),
        n => format!("Input: {n} files, {first} … {last}"),
    };
    Some(Section::Folded(line, vec![Section::List(names.to_vec())]))
}

/// Sentences, folded when there are many of them.
fn sentences(sentences: &[String], none: &str, what: &str) -> Section {
    match sentences.len() {
        0 => Section::Text(none.into()),
        n if n > LONG => Section::Folded(format!("{n} {what}"), vec![Section::List(sentences.to_vec())]),
        _ => Section::List(sentences.to_vec()),
    }
}
