//! Takes over what an earlier run left, for one that goes on with it.
//!
//! The new run makes a file of its own and takes the rows over that are whole: status, checksum, and for a bad frame the reason. So the old
//! file is as it was until the new one takes its place, and nothing depends on the order in which a power cut let writes
//! reach the disk.

use super::block::RowBlock;
use super::earlier::{EarlierResult, StoredRows};
use super::layout::Layout;
use super::{ResultDraft, device};
use crate::frame::{BadFrame, FrameId, FrameStatus, Outcome};
use crate::output::OutputError;

/// What was taken over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carried {
    /// Which frames are done.
    pub done: Vec<bool>,
    /// Rows with a pattern.
    pub good: usize,
    /// Rows of bad frames.
    pub bad: usize,
    /// Rows that said that they are good, and are not what their checksum says.
    pub damaged: usize,
}

/// What becomes of the rows of an earlier result that are whole: its frame, whether the CPU made it in a GPU's place, and what it holds.
pub(super) type TakeRow<'a> = dyn FnMut(usize, bool, Outcome) -> Result<(), OutputError> + 'a;

/// Hands on every row of an earlier result of this layout that is whole, bad frames with their reasons unless they are to be tried again.
///
/// # Errors
/// [`OutputError::NotAResult`] when the earlier result is of another layout, what goes wrong while reading, or what `take` says.
pub(super) fn whole_rows(
    earlier: &EarlierResult,
    layout: &Layout,
    retry_bad: bool,
    take: &mut TakeRow<'_>,
) -> Result<Carried, OutputError> {
    let (has, wanted) = (earlier.rows(), layout.rows());
    if has != wanted {
        return Err(earlier.not(format!("it has {has} rows, there are {wanted} now")));
    }
    let rows = StoredRows::open(earlier, layout)?;
    let unread = |cause| earlier.unread(cause);
    let mut carried = Carried { done: vec![false; layout.frames], ..Carried::default() };
    let mut block = RowBlock::default();
    for range in rows.blocks() {
        if range.clone().any(|row| earlier.status(row) == Some(FrameStatus::Good)) {
            rows.load(&mut block, range.clone()).map_err(unread)?;
        }
        for row in range {
            // Turning a line round and back are the same.
            let frame = layout.row(row);
            if frame >= layout.frames {
                continue;
            }
            let outcome = match earlier.status(row) {
                Some(FrameStatus::Good)
                    if rows.checked(&mut block, frame, row).map_err(unread)?.is_some() =>
                {
                    carried.good += 1;
                    Ok(rows.pattern(&mut block, frame, row).map_err(unread)?)
                }
                Some(FrameStatus::Good) => {
                    carried.damaged += 1;
                    continue;
                }
                Some(status) if status != FrameStatus::Pending && !retry_bad => {
                    // A run that was killed has not said why: it is tried again.
                    let Some(message) = earlier.message(frame) else { continue };
                    carried.bad += 1;
                    Err(BadFrame { id: FrameId(frame), status, message: message.to_owned() })
                }
                _ => continue,
            };
            carried.done[frame] = true;
            take(frame, earlier.mark(row) == device::CPU, outcome)?;
        }
    }
    Ok(carried)
}

impl ResultDraft {
    /// Takes over what an earlier run left: every row that is whole, bad frames with their reasons unless they are to be tried again.
    ///
    /// # Errors
    /// [`OutputError::NotAResult`] when the earlier result is of another layout, or what goes wrong while reading and writing.
    pub fn carry(&mut self, earlier: &EarlierResult, retry_bad: bool) -> Result<Carried, OutputError> {
        let layout = self.file.layout.clone();
        self.mark_gone_over(earlier)?;
        self.keep_lost_devices(earlier)?;
        let file = &mut self.file;
        let carried = whole_rows(earlier, &layout, retry_bad, &mut |_, by_cpu, outcome| {
            file.by_cpu = by_cpu;
            file.put(outcome)
        })?;
        self.file.by_cpu = false;
        self.file.flush()?;
        Ok(carried)
    }

    /// Has the file tell of the devices that an earlier result lost, each once.
    ///
    /// # Errors
    /// As [`ResultFile::lose`](super::ResultFile::lose).
    pub fn keep_lost_devices(&mut self, earlier: &EarlierResult) -> Result<(), OutputError> {
        earlier.info.lost_devices.iter().try_for_each(|why| self.file.lose(why))
    }

    /// Has rows marked that the CPU made, when some of an earlier result are.
    pub(super) fn mark_gone_over(&mut self, earlier: &EarlierResult) -> Result<(), OutputError> {
        match &earlier.info.gone_over {
            Some((_, why)) => self.file.go_over(why),
            None => Ok(()),
        }
    }
}
