//! What a session is going to take: slots, patterns on their way, bytes; and whether it may.
//!
//! The matrix is not in it: how many shares it has is known when pixels were placed, and it is asked for then
//! (`integrate/split`). Neither are patterns that are kept for a tomogram: without room for them they are read back.

use super::crew::{Crew, Reducers, Traffic};
use crate::budget::{self, OverBudget};
use crate::cuda::LaneSizes;
use crate::frame::Shape;
use crate::integrate::engine::GROUP;
use crate::pipeline::waiting;
use crate::reduce::host::BATCH;

/// Of a pixel: where it is, what it is divided by, mask, dark, flat.
const PIXEL: usize = 32;

/// Of a bin in a pattern: intensity, error, deviation, and five sums.
const BIN: usize = 3 * size_of::<f32>() + 5 * size_of::<f64>();

/// Of a bin while frames are integrated together: their sums, with an error model twice.
const SUMS: usize = 2 * GROUP * size_of::<f64>();

/// Of a row in the file: its status, its point of the map, its frame's name.
const ROW: usize = 32;

/// How many outcomes of so many bins may wait for the sink.
pub fn waiting_outcomes(bins: usize) -> usize {
    waiting(bins.saturating_mul(BIN))
}

/// Frames that a crew's reducers have in work at most.
fn in_work(crew: &Crew) -> usize {
    match crew.reducers {
        Reducers::Host(workers) => BATCH * workers,
        Reducers::Gpus(gpus, LaneSizes { lanes, batch }) => gpus * lanes * batch,
    }
}

/// Slots for a crew: what is in work, as much again that waits (for each worker, or for the next lane of each GPU), and one in the hands
/// of each reader; no more than there are frames. On one thread there is one frame at a time.
pub fn slots(crew: &Crew, frames: usize) -> usize {
    let Some(readers) = crew.readers else { return 1 };
    let waiting = match crew.reducers {
        Reducers::Host(_) => in_work(crew),
        Reducers::Gpus(gpus, LaneSizes { batch, .. }) => gpus * batch,
    };
    (in_work(crew) + waiting + readers).min(frames).max(1)
}

/// Sees that there is memory for what is known of each pixel, as soon as the first frame says how many there are.
///
/// # Errors
/// [`OverBudget`].
pub(super) fn check_frames(Shape { slow, fast }: Shape) -> Result<(), OverBudget> {
    let what = format_args!("geometry and corrections of {slow} x {fast} pixels");
    budget::allow(what, budget::bytes_of(&[slow, fast], PIXEL))
}

/// Sees that there is memory for the run; where it goes bin by bin each thread has decoded frames, `whole_pixel` bytes of every pixel.
///
/// # Errors
/// [`OverBudget`], which says what the run is.
pub(super) fn check(
    crew: &Crew,
    traffic: &Traffic,
    bins: usize,
    rows: usize,
    whole_pixel: usize,
) -> Result<(), OverBudget> {
    let Shape { slow, fast } = traffic.encoding.shape;
    let gathering = match crew.reducers {
        Reducers::Host(workers) if whole_pixel > 0 => workers,
        _ => 0,
    };
    let slots = slots(crew, traffic.frames);
    let patterns = in_work(crew) + crew.readers.map_or(0, |_| waiting_outcomes(bins));
    let workers = match crew.reducers {
        Reducers::Host(workers) => workers,
        Reducers::Gpus(..) => 0,
    };
    let bytes = [
        budget::bytes_of(&[slow, fast], PIXEL),
        budget::bytes_of(&[slots], traffic.bytes(crew)),
        budget::bytes_of(&[gathering, slow, fast], whole_pixel),
        budget::bytes_of(&[patterns, bins], BIN),
        budget::bytes_of(&[workers, bins], SUMS),
        budget::bytes_of(&[rows], ROW),
    ];
    budget::allow(
        format_args!(
            "a run of {} frames of {slow} x {fast} pixels to {rows} rows of {bins} bins ({slots} frames and {patterns} \
             patterns on their way{})",
            traffic.frames,
            if gathering > 0 { format!(", {gathering} threads with decoded frames") } else { String::new() }
        ),
        bytes.into_iter().fold(0, u64::saturating_add),
    )
}
