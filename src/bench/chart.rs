//! The table as a chart: a bar a row on a logarithmic axis, the paper's figures and its real-time line among them.

use super::cache::StartFrom;
use super::outcome::{Row, RowGroup, Table};
use crate::picture::bars::{Bar, BarGroup, Bars};

/// What the paper set out to reach: its beamline's detector in real time.
pub const REAL_TIME: f64 = 250.0;

/// Names and colours, in the order of [`Group::ALL`], and the paper's own figures last.
const COLOURS: [BarGroup; 5] = [
    ("the paper's strategies, run by xrdct", "#5b8ff9"),
    ("xrdct", "#1d4ed8"),
    ("ceilings", "#9ca3af"),
    ("today's peers", "#f59e0b"),
    ("the paper (Titan X)", "#10b981"),
];

/// The rows of one source that have a figure.
pub fn chart(table: &Table, source: StartFrom) -> Bars {
    let mut bars = Vec::new();
    for (group, kind) in RowGroup::ALL.into_iter().enumerate() {
        for row in table.rows.iter().filter(|row| row.group == kind) {
            let rate = row.cells.get(&source).and_then(|cell| cell.rate());
            let label = row.name.clone();
            bars.extend(rate.map(|rate| Bar { label, value: rate.median, error: rate.mad, group }));
            bars.extend(published(row, source));
        }
    }
    let start = match source {
        StartFrom::Mem => "hot start",
        StartFrom::Ssd => "cold start",
    };
    let on = table.machine.gpu.as_deref().unwrap_or(&table.machine.cpu);
    Bars {
        title: format!("Table 1 on {on}, {} cores, {start}", table.machine.cores),
        unit: "frames/s, files to HDF5".to_owned(),
        bars,
        groups: COLOURS.to_vec(),
        reference: Some((REAL_TIME, format!("{REAL_TIME:.0} frames/s"))),
        log: true,
    }
}

/// The paper's own figure for a row.
fn published(row: &Row, source: StartFrom) -> Option<Bar> {
    let figure = row.published.get(&source)?;
    let label = format!("{}, 2018", row.name);
    Some(Bar { label, value: figure.median, error: figure.mad, group: RowGroup::ALL.len() })
}
