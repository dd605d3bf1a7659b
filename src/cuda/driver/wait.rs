//! Waiting for a device, with an end.
//!
//! The driver's own waits have none, and they spin: a core is lost for as long as the device computes. Here a wait is a question
//! that is asked again: at first at once, giving way to other threads each time, later after a nap.

use std::thread;
use std::time::{Duration, Instant};

use super::context::Context;
use crate::cuda::error::CudaError;

/// How long a launch may take, whatever else runs on the device: batches and slices take milliseconds, the largest iterations of a
/// reconstruction some seconds. Other programs on the same GPU may have their turn meanwhile.
pub const LIMIT: Duration = Duration::from_secs(60);
/// As long as a batch usually takes nobody naps: a live frame's pattern comes back after 0.2 ms.
const EAGER: Duration = Duration::from_millis(2);
/// A nap: a tenth of what is waited for at least, and a hundred times as long as a question takes.
const NAP: Duration = Duration::from_micros(200);

/// Asks until it is so. After `limit` the device is given up: nothing will be asked of it any more.
pub(super) fn until(
    context: &Context,
    doing: &'static str,
    limit: Duration,
    is_so: impl Fn() -> Result<bool, CudaError>,
) -> Result<(), CudaError> {
    if within(limit, is_so)? {
        return Ok(());
    }
    context.give_up();
    Err(CudaError::Hung { doing, seconds: limit.as_secs() })
}

/// Whether it came to be so in time.
fn within(limit: Duration, is_so: impl Fn() -> Result<bool, CudaError>) -> Result<bool, CudaError> {
    let start = Instant::now();
    while !is_so()? {
        let waited = start.elapsed();
        if waited >= limit {
            return Ok(false);
        }
        if waited < EAGER { thread::yield_now() } else { thread::sleep(NAP) }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_wait_ends() {
        let (limit, asked) = (Duration::from_millis(20), Cell::new(0));
        let start = Instant::now();
        assert_eq!(within(limit, || Ok(false)), Ok(false));
        assert!(start.elapsed() >= limit);
        let later = || Ok(start.elapsed() > Duration::from_millis(30));
        assert_eq!(within(Duration::from_secs(600), later), Ok(true));
        let failed = || {
            asked.set(asked.get() + 1);
            if asked.get() < 3 { Ok(false) } else { Err(CudaError::GivenUp) }
        };
        assert_eq!(within(limit, failed), Err(CudaError::GivenUp));
    }
}
