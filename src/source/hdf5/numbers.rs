//! What the files say of each frame: a row of numbers a frame, and now and then a date.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::budget;
use crate::frame::{Column, FrameHeader};

/// Numbers of one file's frames: by column, one a frame.
pub(super) type Columns = Vec<(Column, Vec<f64>)>;

/// What is known of each frame of a list.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// What the numbers are.
    pub columns: Arc<[Column]>,
    /// One row a frame; NaN where its file has none.
    rows: Vec<f64>,
    /// Of those frames that a file dates: its first ones.
    dates: BTreeMap<usize, String>,
    /// From which count on pixels are saturated.
    pub count_cutoff: Option<f64>,
}

impl Numbers {
    /// Those of files one after the other, each with the number of its frames, its columns and its date.
    ///
    /// # Errors
    /// When there is no memory for so many.
    pub(super) fn of(files: Vec<(usize, Columns, String)>) -> Result<Numbers, budget::OverBudget> {
        let mut columns: Vec<Column> = Vec::new();
        let mut place = BTreeMap::new();
        for (column, _) in files.iter().flat_map(|(_, columns, _)| columns) {
            place.entry(column.name.clone()).or_insert_with(|| {
                columns.push(column.clone());
                columns.len() - 1
            });
        }
        let frames: usize = files.iter().map(|(count, ..)| count).sum();
        budget::allow(
            format_args!("{} numbers of each of {frames} frames", columns.len()),
            budget::bytes_of(&[frames, columns.len()], size_of::<f64>()),
        )?;
        let width = columns.len();
        let (mut rows, mut dates, mut first) = (vec![f64::NAN; frames * width], BTreeMap::new(), 0);
        for (count, columns, date) in files {
            for (column, values) in columns {
                let at = place[&column.name];
                for (frame, value) in values.into_iter().take(count).enumerate() {
                    rows[(first + frame) * width + at] = value;
                }
            }
            if count > 0 && !date.is_empty() {
                dates.insert(first, date);
            }
            first += count;
        }
        Ok(Numbers { columns: columns.into(), rows, dates, count_cutoff: None })
    }

    /// Those of some frames.
    pub(super) fn selected(&self, frames: impl Iterator<Item = usize>) -> Numbers {
        let (mut rows, mut dates) = (Vec::new(), BTreeMap::new());
        for (at, frame) in frames.enumerate() {
            rows.extend_from_slice(self.row(frame));
            dates.extend(self.dates.get(&frame).map(|date| (at, date.clone())));
        }
        Numbers { columns: Arc::clone(&self.columns), rows, dates, count_cutoff: self.count_cutoff }
    }

    fn row(&self, frame: usize) -> &[f64] {
        let width = self.columns.len();
        self.rows.get(frame * width..(frame + 1) * width).unwrap_or_default()
    }

    /// What a frame's header would say.
    pub(super) fn header(&self, frame: usize) -> FrameHeader {
        FrameHeader {
            date: self.dates.get(&frame).cloned().unwrap_or_default(),
            numbers: self.row(frame).to_vec(),
            digest: None,
            count_cutoff: self.count_cutoff,
        }
    }
}
