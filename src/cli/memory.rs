//! What a run is going to take of memory, and whether it may.
//!
//! The matrix is not in it: how many shares it has is known when pixels were placed, and it is asked for then
//! (`integrate/split`). Neither are patterns that are kept for a tomogram: without room for them they are read back.

use super::place::Device;
use super::plan::Plan;
use crate::budget::{self, OverBudget};
use crate::frame::Shape;
use crate::pipeline::{Strategy, waiting};
use crate::reduce::host::BATCH;

/// Of a pixel: where it is, what it is divided by, mask, dark, flat.
const PIXEL: usize = 32;

/// Of a bin in a pattern: intensity, error, and five sums.
const BIN: usize = 2 * size_of::<f32>() + 5 * size_of::<f64>();

/// Of a row in the file: its status, its point of the map, its frame's name.
const ROW: usize = 32;

/// Bytes of a pattern on its way to the file.
pub(super) fn pattern_bytes(npt: usize) -> usize {
    npt.saturating_mul(BIN)
}

/// Slots for frames on their way, on the cores: a batch in work and one waiting for each worker, and one in the hands of each reader.
pub(super) fn host_slots(plan: &Plan) -> usize {
    match plan.crew.strategy {
        Strategy::Sequential => 1,
        Strategy::Pool => 2 * BATCH * plan.crew.threads + plan.crew.readers,
    }
}

/// Bytes of a frame as readers leave it.
pub(super) fn slot_bytes(plan: &Plan) -> usize {
    let encoding = plan.encoding();
    match plan.crew.readers_decode {
        true => (encoding.shape.pixels() + 1) * encoding.pixel.size(),
        false => plan.first.payload.end,
    }
}

/// Sees that there is memory for what is known of each pixel, as soon as the first frame says how many there are.
///
/// # Errors
/// [`OverBudget`].
pub(super) fn check_frames(Shape { slow, fast }: Shape) -> Result<(), OverBudget> {
    let what = format_args!("geometry and corrections of {slow} x {fast} pixels");
    budget::allow(what, budget::bytes_of(&[slow, fast], PIXEL))
}

/// Sees that there is memory for the run.
///
/// # Errors
/// [`OverBudget`], which says what the run is.
pub(super) fn check(plan: &Plan) -> Result<(), OverBudget> {
    let Shape { slow, fast } = plan.encoding().shape;
    let (slots, in_hand) = match &plan.crew.place {
        Device::Cpu { .. } => (host_slots(plan), BATCH * plan.crew.threads),
        Device::Cuda { .. } => {
            let cuda = plan.crew.cuda;
            ((cuda.lanes + 1) * cuda.batch + plan.crew.readers, cuda.lanes * cuda.batch)
        }
    };
    let rows = plan.scan.as_ref().map_or(plan.files.len(), |scan| scan.points());
    let patterns = match plan.crew.strategy {
        Strategy::Sequential => in_hand,
        Strategy::Pool => in_hand + waiting(pattern_bytes(plan.npt)),
    };
    let bytes = [
        budget::bytes_of(&[slow, fast], PIXEL),
        budget::bytes_of(&[slots], slot_bytes(plan)),
        budget::bytes_of(&[patterns, plan.npt], BIN),
        budget::bytes_of(&[rows], ROW),
    ];
    let frames = plan.files.len();
    budget::allow(
        format_args!(
            "a run of {frames} frames of {slow} x {fast} pixels to {rows} rows of {} bins ({slots} frames and {patterns} \
             patterns on their way)",
            plan.npt
        ),
        bytes.into_iter().fold(0, u64::saturating_add),
    )
}
