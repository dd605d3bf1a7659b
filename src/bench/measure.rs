//! The figures of one bench: its time beside that of what cannot be beaten, taken in turns.

use std::time::Instant;

use serde::{Deserialize, Serialize};

/// How much one call of a bench does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// Bytes that it takes in.
    pub bytes: usize,
    /// Pixels that they are.
    pub pixels: usize,
}

/// The figures of one bench.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Its name.
    pub name: String,
    /// Digest of what it computed.
    pub digest: String,
    /// What it is compared with.
    pub ceiling: String,
    /// Time of the ceiling over its own: 1 is perfect.
    pub ratio: f64,
    /// Seconds of a call.
    pub seconds: f64,
    /// Bytes a second that it takes in.
    pub bytes_per_second: f64,
    /// Pixels a second that they are.
    pub pixels_per_second: f64,
}

impl Measure {
    /// Figures from times that were taken elsewhere.
    pub fn new(
        name: &str,
        amount: Amount,
        digest: String,
        seconds: f64,
        (ceiling, ceiling_seconds): (&str, f64),
    ) -> Measure {
        Measure {
            name: name.to_owned(),
            digest,
            ceiling: ceiling.to_owned(),
            ratio: ceiling_seconds / seconds,
            seconds,
            bytes_per_second: amount.bytes as f64 / seconds,
            pixels_per_second: amount.pixels as f64 / seconds,
        }
    }

    /// Times `work` and what cannot be beaten, in turns, for `seconds` in all; the fastest call of each counts, which is the
    /// one that the rest of the machine disturbed least.
    pub fn take(
        name: &str,
        amount: Amount,
        digest: String,
        seconds: f64,
        work: &mut dyn FnMut(),
        (ceiling, limit): (&str, &mut dyn FnMut()),
    ) -> Measure {
        /// However slow it is.
        const FEWEST: usize = 3;
        let timed = |work: &mut dyn FnMut()| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        };
        work();
        limit();
        let (mut own, mut floor) = (f64::INFINITY, f64::INFINITY);
        let (begun, mut calls) = (Instant::now(), 0);
        while calls < FEWEST || begun.elapsed().as_secs_f64() < seconds {
            own = own.min(timed(work));
            floor = floor.min(timed(limit));
            calls += 1;
        }
        Measure::new(name, amount, digest, own, (ceiling, floor))
    }

    /// The figures in a line.
    pub fn line(&self) -> String {
        let time = match self.seconds {
            s if s < 1e-3 => format!("{:.2} us", s * 1e6),
            s if s < 1.0 => format!("{:.3} ms", s * 1e3),
            s => format!("{s:.3} s"),
        };
        format!(
            "{:<56}{time:>12}{:>10.2} GB/s{:>10.3} Gpixel/s{:>7.2} of {}",
            self.name,
            self.bytes_per_second / 1e9,
            self.pixels_per_second / 1e9,
            self.ratio,
            self.ceiling
        )
    }
}

/// Digest of a result: FNV-1a of its words.
pub fn digest(words: impl IntoIterator<Item = u64>) -> String {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    for word in words {
        state = (state ^ word).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{state:016x}")
}
