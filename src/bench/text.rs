//! The table for people and for other programs: terminal, Markdown, CSV.

use std::fmt::Write;

use super::cache::StartFrom;
use super::outcome::{Cell, Row, RowGroup, Table};
use super::paper::CITED;
use super::profile::{Load, PartTime, Profile};

/// For a terminal: a line a row, at most 110 columns, reasons and ratios beneath.
pub fn terminal(table: &Table) -> String {
    let mut text = heading(table);
    let sources = table.sources();
    let _ = write!(text, "\n{:<36}", "frames/s, median ± deviation");
    for source in &sources {
        let _ = write!(text, "{:>20}{:>9}", source.name(), "ceiling");
    }
    let _ = writeln!(text, "{:>16}", "paper");
    for (group, rows) in groups(table) {
        let _ = writeln!(text, "{}", group.heading());
        for row in rows {
            let _ = write!(text, "  {:<34}", row.name);
            for source in &sources {
                let figure = row.cells.get(source).map_or_else(String::new, figure);
                let share = table.share(row, *source).map_or_else(String::new, |share| format!("{share:.2}"));
                let _ = write!(text, "{figure:>20}{share:>9}");
            }
            let _ = writeln!(text, "{:>16}", published(row, false));
        }
    }
    let mut lines = Vec::new();
    lines.extend(missing(table));
    lines.extend(cut(table));
    lines.extend(table.ratios().into_iter().map(|ratio| format!("{:.2}  {}", ratio.value, ratio.name)));
    lines.extend(table.notes.iter().cloned());
    lines.extend(versions(table));
    lines.push(format!(
        "ceiling: share of read only (CPU rows), of read + upload only (GPU rows). Paper: {CITED}."
    ));
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
    text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect()
}

/// A profile for a terminal: a line a part, a line for each who does work, and the bottleneck.
pub fn profile(profile: &Profile) -> String {
    let mut text = format!(
        "{}: {}\n{} frames in {:.2} s, {:.1} frames/s\n\n",
        profile.name,
        profile.words,
        profile.frames,
        profile.wall,
        profile.frames as f64 / profile.wall
    );
    let _ = writeln!(text, "  {:<32}{:>8}{:>14}{:>10}", "part", "share", "ms a frame", "tracks");
    for PartTime { part, share, ms_per_frame, tracks, .. } in &profile.parts {
        let _ =
            writeln!(text, "  {:<32}{:>6.1} %{ms_per_frame:>14.3}{tracks:>10}", part.name(), 100.0 * share);
    }
    let _ = writeln!(text, "\n  {:<32}{:>8}  most of it", "who", "busy");
    for Load { who, count, busy, mostly } in &profile.loads {
        let name = format!("{} ({count})", who.name());
        let mostly = mostly
            .map_or_else(String::new, |(part, share)| format!("{} {:.0} %", part.name(), 100.0 * share));
        let _ = writeln!(text, "  {name:<32}{:>6.1} %  {mostly}", 100.0 * busy);
    }
    let _ = writeln!(text, "\nbottleneck: {}", profile.bottleneck);
    text
}

/// A section for a README.
pub fn markdown(table: &Table) -> String {
    let mut text = heading(table);
    let sources = table.sources();
    text.push_str("\n| strategy | what runs where |");
    for source in &sources {
        let _ = write!(text, " {} (frames/s) | of ceiling |", source.name());
    }
    text.push_str(" paper |\n|---|---|");
    sources.iter().for_each(|_| text.push_str("---:|---:|"));
    text.push_str("---:|\n");
    for (group, rows) in groups(table) {
        let blanks = "  |".repeat(2 * sources.len() + 1);
        let _ = writeln!(text, "| *{}* | |{blanks}", group.heading());
        for row in rows {
            let _ = write!(text, "| {} | {} |", row.name, row.words);
            for source in &sources {
                let figure = row.cells.get(source).map_or_else(String::new, figure);
                let share = table.share(row, *source).map_or_else(String::new, |share| format!("{share:.2}"));
                let _ = write!(text, " {figure} | {share} |");
            }
            let _ = writeln!(text, " {} |", published(row, true));
        }
    }
    text.push('\n');
    for line in missing(table).into_iter().chain(cut(table)) {
        let _ = writeln!(text, "- {line}");
    }
    for ratio in table.ratios() {
        let _ = writeln!(text, "- {}: **{:.2}**", ratio.name, ratio.value);
    }
    for line in table.notes.iter().cloned().chain(versions(table)) {
        let _ = writeln!(text, "- {line}");
    }
    let _ = writeln!(
        text,
        "- Median ± median absolute deviation; *of ceiling* is the share of read only (CPU rows) or of read + upload only \
         (GPU rows) in the same run. Paper: {CITED}."
    );
    text
}

/// One line for each row and source: key, group, source, median, mad, frames, share of the ceiling, paper, runs or reason.
pub fn csv(table: &Table) -> String {
    let mut text =
        String::from("row,group,source,frames_per_second,mad,frames,of_ceiling,paper,runs,missing\n");
    for row in &table.rows {
        for (source, cell) in &row.cells {
            let share = table.share(row, *source).map_or_else(String::new, |share| format!("{share:.4}"));
            let figures = match cell {
                Cell::Measured(rate) => format!("{:.3},{:.3},{}", rate.median, rate.mad, rate.frames),
                Cell::Missing(_) => ",,".to_owned(),
            };
            let (runs, reason) = match cell {
                Cell::Measured(rate) => {
                    (rate.runs.iter().map(|run| format!("{run:.3}")).collect::<Vec<_>>().join(" "), "")
                }
                Cell::Missing(reason) => (String::new(), reason.as_str()),
            };
            let paper =
                row.published.get(source).map_or_else(String::new, |figure| figure.median.to_string());
            let _ = writeln!(
                text,
                "{},{},{},{figures},{share},{paper},{runs},{}",
                row.key,
                row.group.word(),
                source.name(),
                quoted(reason)
            );
        }
    }
    text
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn heading(table: &Table) -> String {
    let frames = &table.frames;
    let each = frames.bytes as f64 / frames.count.max(1) as f64 / 1e6;
    let simulated = if frames.simulated { "simulated frames" } else { "frames" };
    let on = frames.file_system.as_ref().map_or_else(String::new, |kind| format!(" on {kind}"));
    format!(
        "{}, {}: files to HDF5, median of {} runs\n{} {simulated} of {} x {} {}, {each:.2} MB each{on}; {} bins, bbox; {} threads\n{}\n",
        table.program,
        table.date,
        table.runs,
        frames.count,
        frames.shape[0],
        frames.shape[1],
        frames.pixel,
        frames.npt,
        table.threads,
        table.machine.line()
    )
}

fn groups(table: &Table) -> impl Iterator<Item = (RowGroup, Vec<&Row>)> {
    RowGroup::ALL.into_iter().filter_map(|group| {
        let rows: Vec<&Row> = table.rows.iter().filter(|row| row.group == group).collect();
        (!rows.is_empty()).then_some((group, rows))
    })
}

fn figure(cell: &Cell) -> String {
    match cell {
        Cell::Measured(rate) if rate.median < 100.0 => format!("{:.1} ± {:.1}", rate.median, rate.mad),
        Cell::Measured(rate) => format!("{:.0} ± {:.0}", rate.median, rate.mad),
        Cell::Missing(_) => "missing".to_owned(),
    }
}

/// The paper's figures for a row: the hot one, and the cold one where there is one.
fn published(row: &Row, with_deviation: bool) -> String {
    let figure = |source: StartFrom| {
        let figure = row.published.get(&source)?;
        let digits = usize::from(figure.median < 100.0 && figure.median.fract() > 0.0);
        let deviation = format!(" ± {:.digits$}", figure.mad);
        Some(format!("{:.digits$}{}", figure.median, if with_deviation { deviation.as_str() } else { "" }))
    };
    let cold = figure(StartFrom::Ssd).map(|cold| format!("{} {cold}", StartFrom::Ssd.name()));
    [figure(StartFrom::Mem), cold].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Why rows are missing: a sentence for each reason, with the sources and rows that it keeps away.
fn missing(table: &Table) -> Vec<String> {
    /// More names than this are counted instead: the table shows which.
    const NAMED: usize = 4;
    let mut reasons: Vec<(&str, Vec<StartFrom>, Vec<&str>)> = Vec::new();
    for row in &table.rows {
        for (source, cell) in &row.cells {
            let Cell::Missing(reason) = cell else { continue };
            if !reasons.iter().any(|(known, ..)| known == reason) {
                reasons.push((reason, vec![], vec![]));
            }
            let Some((_, sources, rows)) = reasons.iter_mut().find(|(known, ..)| known == reason) else {
                continue;
            };
            if !sources.contains(source) {
                sources.push(*source);
            }
            if !rows.contains(&row.name.as_str()) {
                rows.push(&row.name);
            }
        }
    }
    let sentence = |(reason, sources, rows): (&str, Vec<StartFrom>, Vec<&str>)| {
        let sources: Vec<&str> = sources.into_iter().map(StartFrom::name).collect();
        let rows = match rows.len() {
            all if all == table.rows.len() => "every row".to_owned(),
            many if many > NAMED => format!("{many} rows"),
            _ => rows.join(", "),
        };
        format!("missing ({}): {rows}: {reason}", sources.join(", "))
    };
    reasons.into_iter().map(sentence).collect()
}

/// Rows whose runs did not walk through the whole list once.
fn cut(table: &Table) -> Option<String> {
    let short = |row: &Row| {
        let cells = row.cells.iter().filter_map(|(source, cell)| Some((source, cell.rate()?.frames)));
        let cells = cells.filter(|(_, frames)| *frames < table.frames.count);
        let cells: Vec<String> =
            cells.map(|(source, frames)| format!("{frames} frames {}", source.name())).collect();
        (!cells.is_empty()).then(|| format!("{} {}", row.name, cells.join(", ")))
    };
    let rows: Vec<String> = table.rows.iter().filter_map(short).collect();
    (!rows.is_empty()).then(|| format!("cut short by --row-time: {}", rows.join("; ")))
}

fn versions(table: &Table) -> Option<String> {
    let versions: Vec<String> =
        table.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    (!versions.is_empty()).then(|| format!("peers: {}", versions.join(", ")))
}
