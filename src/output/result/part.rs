//! Parts of a whole: what a part says of itself, and what a result says of the parts that it was merged from.

use serde::{Deserialize, Serialize};

use super::raster::{FrameNumbers, Raster};

/// What a result is a part of, as its file says it (`part`, JSON).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartOf {
    /// Which part, from 1 on.
    pub number: usize,
    /// Of how many.
    pub of: usize,
    /// Frames of the whole before its first one.
    pub first: usize,
    /// Frames of the whole.
    pub frames: usize,
    /// Frames of the input that the whole leaves out at the start.
    pub offset: usize,
    /// Which frames of the input those of the whole are.
    pub numbers: FrameNumbers,
    /// The map that the frames of the whole are points of, if any.
    pub scan: Option<Raster>,
    /// What kind of files they are in.
    pub format: String,
    /// Checksum of the names of all files that were named.
    pub named: String,
}

impl PartOf {
    /// The lines of the map that a part of `frames` frames is; `None` where there is no map.
    pub fn raster(&self, frames: usize) -> Option<Raster> {
        self.scan.as_ref().map(|whole| {
            let first = self.first / whole.fast.points;
            whole.lines(first..first + frames.div_ceil(whole.fast.points))
        })
    }

    /// Whether a part of `frames` frames can be what this says. A file may say anything.
    pub(super) fn fits(&self, frames: usize) -> bool {
        let lines_fit = |scan: &Raster| {
            let line = scan.fast.points;
            let points = scan.slow.points.checked_mul(line).filter(|points| *points >= self.frames);
            line > 0 && points.is_some() && self.first.is_multiple_of(line)
        };
        let FrameNumbers { first, step } = self.numbers;
        let last = self.frames.checked_mul(step).and_then(|last| last.checked_add(first));
        let numbers = [last, self.frames.checked_add(self.offset)];
        numbers.iter().all(|number| number.is_some_and(|number| i64::try_from(number).is_ok()))
            && (1..=self.of).contains(&self.number)
            && self.first.checked_add(frames).is_some_and(|end| end <= self.frames)
            && self.scan.as_ref().is_none_or(lines_fit)
    }
}

/// What a segment is of, as its file says it (`segment`, JSON). It is a result by itself, of its own frames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentOf {
    /// Which segment, from 0 on.
    pub number: usize,
    /// Frames of the whole before its first one.
    pub first: usize,
    /// Frames of the whole; absent where that is not known yet.
    pub frames: Option<usize>,
    /// The file that shows all segments as one result, without its folder.
    pub master: String,
}

/// A part that a result was merged from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergedFrom {
    /// Its file, as it was named.
    pub name: String,
    /// Its run.
    pub uuid: String,
}

/// A file that has the rows of some frames of a result, which shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualPart {
    /// Its name, seen from the folder of the result.
    pub file: String,
    /// Its first frame in the whole.
    pub first: usize,
    /// How many it has.
    pub frames: usize,
    /// Whether it says which rows the CPU made, and why.
    pub gone_over: Option<String>,
}
