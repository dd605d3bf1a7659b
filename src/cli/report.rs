//! `xrdct report`: one self-contained HTML page about a result, and its tomogram if there is one.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::exit::{Exit, Failure, OrExit};
use super::plot::{Sheet, overview, refuse_existing, write_whole};
use super::summary::pace;
use crate::output::result::{Patterns, Progress, ResultInfo};
use crate::output::tomogram::Tomogram;
use crate::picture::report::{Part, page};
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

/// Runs the command.
pub(super) fn run(args: &ReportArgs) -> Result<Exit, Failure> {
    refuse_existing(&args.output, args.overwrite).or_exit(Exit::Output)?;
    let info = ResultInfo::open(&args.input).or_exit(Exit::Input)?;
    let patterns = Patterns::open(&args.input).or_exit(Exit::Input)?;
    let name = args.input.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let mut parts = vec![Part::Table(facts(&info))];
    let sheet = Sheet::of(&patterns).or_exit(Exit::Input)?;
    parts.push(Part::Heading("Patterns".into()));
    let picture = sheet.patterns(&patterns, Look::default(), [1160.0, 720.0])?;
    parts.push(Part::Picture(
        picture,
        format!("Mean pattern, and all {} patterns, one a row", patterns.rows()),
    ));
    if let Some(path) = &args.tomo {
        let tomo = Tomogram::open(path).or_exit(Exit::Input)?;
        parts.push(Part::Heading("Tomogram".into()));
        parts.push(Part::Picture(
            overview(&tomo, args.truth.as_deref(), Look::default())?,
            format!("{}: mean pattern with regions of interest, their sinograms and slices", path.display()),
        ));
        if let Some(duration) = tomo.duration {
            let slices = tomo.done.iter().filter(|done| **done).count();
            parts.push(Part::Text(format!("Made and written: {}.", pace(slices, "slices", duration))));
        }
        parts.push(Part::Heading("What was found and repaired".into()));
        parts.push(Part::List(tomo.layout.repairs.clone()));
        parts.push(Part::Heading("Settings of the tomogram".into()));
        parts.push(Part::Table(settings(&tomo.layout.configuration)));
    }
    parts.push(Part::Heading("Bad frames".into()));
    parts.push(match info.bad_frames.is_empty() {
        true => Part::Text("None.".into()),
        false => Part::List(info.bad_frames.clone()),
    });
    parts.push(Part::Heading("Settings of the integration".into()));
    parts.push(Part::Table(settings(&info.configuration)));
    parts.push(Part::Heading("Open it".into()));
    parts.push(Part::Code(format!(
        "import h5py\nwith h5py.File({name:?}) as h5:\n    result = h5[\"/entry_0000/xrdct/result\"]\n    \
         {0}, intensity = result[\"{0}\"][()], result[\"intensity\"][()]",
        info.axis.name
    )));
    write_whole(&args.output, page(&format!("{name}: {}", info.title), &parts).as_bytes(), args.overwrite)
        .or_exit(Exit::Output)?;
    super::print(&format!("{}\n", args.output.display()));
    Ok(Exit::Success)
}

fn facts(info: &ResultInfo) -> Vec<(String, String)> {
    let row = |name: &str, value: String| (name.to_owned(), value);
    let ended = match &info.progress {
        Progress::Running => "still running, or killed".to_owned(),
        Progress::Complete => "complete".to_owned(),
        Progress::Interrupted => "interrupted by the user".to_owned(),
        Progress::Failed(reason) => format!("failed: {reason}"),
    };
    let statuses: Vec<String> = info.statuses.iter().map(|(s, n)| format!("{n} {}", s.word())).collect();
    let speed = info.duration.map(|duration| row("speed", pace(info.frames_done(), "frames", duration)));
    let facts = [
        row("file", info.path.display().to_string()),
        row("written by", format!("xrdct {}", info.version)),
        row("from, to", format!("{} … {}", info.start_time, info.end_time)),
        row("run", ended),
        row("rows", statuses.join(", ")),
        row("shape", format!("{:?}", info.shape)),
        row(
            "input",
            format!(
                "{} files, the first is {}",
                info.inputs.len(),
                info.inputs.first().map_or("", String::as_str)
            ),
        ),
    ];
    facts.into_iter().chain(speed).collect()
}

/// The options that were set, a row each.
fn settings(configuration: &Value) -> Vec<(String, String)> {
    let empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.len() > 4 => format!("{} … ({} in all)", items[0], items.len()),
        other => other.to_string(),
    };
    let all = configuration.as_object().into_iter().flatten();
    all.filter(|(_, value)| !empty(value)).map(|(name, value)| (name.clone(), text(value))).collect()
}
