//! Which frames of all that were found are wanted.

use std::fmt;
use std::iter::StepBy;
use std::ops::Range;
use std::str::FromStr;

/// Some of a series, as Python slices: `0:1000:2`, `:100`, `-10:`; a single number is that one frame. Numbers below 0 count from the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    start: Option<i64>,
    stop: Option<i64>,
    /// From one to the next; above 0.
    step: usize,
}

impl Default for Slice {
    fn default() -> Slice {
        Slice { start: None, stop: None, step: 1 }
    }
}

impl Slice {
    /// Which of `count` they are.
    pub fn of(&self, count: usize) -> StepBy<Range<usize>> {
        let place = |number: i64| match usize::try_from(number) {
            Ok(number) => number.min(count),
            Err(_) => count.saturating_sub(usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX)),
        };
        let start = self.start.map_or(0, place);
        (start..self.stop.map_or(count, place).max(start)).step_by(self.step)
    }

    /// From one to the next.
    pub fn step(&self) -> usize {
        self.step
    }
}

impl FromStr for Slice {
    type Err = String;

    fn from_str(text: &str) -> Result<Slice, String> {
        let wrong = || format!("{text:?} is not START:STOP:STEP, as Python slices, with a step above 0");
        let number = |part: &str| -> Result<Option<i64>, String> {
            (!part.trim().is_empty()).then(|| part.trim().parse().map_err(|_| wrong())).transpose()
        };
        let parts: Vec<&str> = text.split(':').collect();
        let (start, stop, step) = match parts[..] {
            [one] => {
                let one: i64 = one.trim().parse().map_err(|_| wrong())?;
                // After the last comes the end, which has no number from behind.
                (Some(one), (one != -1).then(|| one.saturating_add(1)), None)
            }
            [start, stop] => (number(start)?, number(stop)?, None),
            [start, stop, step] => (number(start)?, number(stop)?, number(step)?),
            _ => return Err(wrong()),
        };
        let step = step.map_or(Ok(1), usize::try_from).ok().filter(|step| *step > 0).ok_or_else(wrong)?;
        Ok(Slice { start, stop, step })
    }
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |end: Option<i64>| end.map_or_else(String::new, |end| end.to_string());
        write!(f, "{}:{}", end(self.start), end(self.stop))?;
        if self.step > 1 { write!(f, ":{}", self.step) } else { Ok(()) }
    }
}

/// One of several parts that a scan is shared out in: `2/8` is the second of eight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanPart {
    /// Which one, from 1 on.
    pub number: usize,
    /// Of how many.
    pub of: usize,
}

/// More parts than any cluster has nodes are a slip of the finger.
pub const MOST_PARTS: usize = 10_000;

impl ScanPart {
    /// Which of `count` things it has: parts differ by one at most, and have all of them in order.
    fn share(&self, count: usize) -> Range<usize> {
        let start = |number: usize| (number as u128 * count as u128 / self.of as u128) as usize;
        start(self.number - 1)..start(self.number)
    }
}

impl FromStr for ScanPart {
    type Err = String;

    fn from_str(text: &str) -> Result<ScanPart, String> {
        let numbers = text.split_once('/').map(|(number, of)| (number.trim().parse(), of.trim().parse()));
        match numbers {
            Some((Ok(number), Ok(of))) if 1 <= number && number <= of && of <= MOST_PARTS => {
                Ok(ScanPart { number, of })
            }
            _ => {
                Err(format!("{text:?} is not K/N, part K of N, with K from 1 to N and N up to {MOST_PARTS}"))
            }
        }
    }
}

impl fmt::Display for ScanPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// Frames that are wanted: those after an offset, of which a slice, of which a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Selection {
    /// Frames that are left out at the start.
    pub offset: usize,
    /// Which of the others.
    pub slice: Slice,
    /// Which channel of images that have several.
    pub channel: Option<usize>,
    /// Which part of all these.
    pub part: Option<ScanPart>,
    /// Frames that stay together in a part, those of a line of a map; 0: each is by itself.
    pub line: usize,
}

/// Which frames of all that were found are wanted.
#[derive(Debug, Clone)]
pub struct WantedNumbers {
    /// Their numbers, in order; at least one.
    pub numbers: StepBy<Range<usize>>,
    /// Where they stand among the frames of the whole, if they are a part of one.
    pub part: Option<PartRange>,
}

/// Where a part lies in its whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartRange {
    /// Which part.
    pub part: ScanPart,
    /// Frames of the whole before its first one.
    pub first: usize,
    /// Frames of the whole.
    pub whole: usize,
}

/// Why no frame is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoneWanted {
    /// All are left out.
    NothingLeft,
    /// There are fewer lines, or frames, than parts.
    TooManyParts {
        /// Parts that there can be.
        most: usize,
    },
}

impl Selection {
    /// Which of `count` they are.
    ///
    /// # Errors
    /// [`NoneWanted`]; of parts of which one would be empty, none is given.
    pub fn of(&self, count: usize) -> Result<WantedNumbers, NoneWanted> {
        let chosen = self.slice.of(count.saturating_sub(self.offset));
        let (Some(first), whole) = (chosen.clone().next(), chosen.len()) else {
            return Err(NoneWanted::NothingLeft);
        };
        let (range, part) = match self.part {
            None => (0..whole, None),
            Some(part) => {
                let line = self.line.max(1);
                let lines = whole.div_ceil(line);
                if part.of > lines {
                    return Err(NoneWanted::TooManyParts { most: lines });
                }
                let lines = part.share(lines);
                let range = lines.start * line..lines.end.saturating_mul(line).min(whole);
                let first = range.start;
                (range, Some(PartRange { part, first, whole }))
            }
        };
        let step = self.slice.step();
        let number = |frame: usize| self.offset + first + frame * step;
        Ok(WantedNumbers { numbers: (number(range.start)..number(range.end - 1) + 1).step_by(step), part })
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Selection { offset, slice, .. } = self;
        match (*offset, *slice == Slice::default()) {
            (offset, true) => write!(f, "--offset {offset}"),
            (0, false) => write!(f, "--frames {slice}"),
            (offset, false) => write!(f, "--offset {offset} --frames {slice}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(text: &str, count: usize) -> Vec<usize> {
        text.parse::<Slice>().expect("a slice").of(count).collect()
    }

    #[test]
    fn slices_are_pythons() {
        assert_eq!(chosen("0:1000:2", 7), [0, 2, 4, 6]);
        assert_eq!(chosen(":3", 7), [0, 1, 2]);
        assert_eq!(chosen("-2:", 7), [5, 6]);
        assert_eq!(chosen("2:-2", 7), [2, 3, 4]);
        assert_eq!(chosen("::3", 7), [0, 3, 6]);
        assert_eq!(chosen("5:2", 7), [0; 0]);
        assert_eq!(chosen("-100:2", 7), [0, 1]);
        assert_eq!(chosen("4", 7), [4]);
        assert_eq!(chosen("-1", 7), [6]);
        assert_eq!(chosen("9", 7), [0; 0]);
        for wrong in ["", "a", "1:2:0", "1:2:-1", "1:2:3:4", "1.5:", "::99999999999999999999"] {
            assert!(wrong.parse::<Slice>().is_err(), "{wrong}");
        }
        for text in ["0:1000:2", ":3", "-2:"] {
            assert_eq!(text.parse::<Slice>().expect("a slice").to_string(), text);
        }
    }

    #[test]
    fn an_offset_comes_first() {
        let of = |offset, slice: &str, count| {
            let slice = slice.parse().expect("a slice");
            let selection = Selection { offset, slice, ..Selection::default() };
            selection.of(count).map(|wanted| wanted.numbers.collect::<Vec<_>>())
        };
        assert_eq!(of(2, "::2", 7), Ok(vec![2, 4, 6]));
        assert_eq!(of(2, "-1:", 7), Ok(vec![6]));
        assert_eq!(of(7, ":", 7), Err(NoneWanted::NothingLeft));
        assert_eq!(of(9, ":", 7), Err(NoneWanted::NothingLeft));
        assert_eq!(of(0, "3:3", 7), Err(NoneWanted::NothingLeft));
    }

    #[test]
    fn parts_have_every_frame_once_and_whole_lines() {
        for (count, of, line, slice) in
            [(7, 3, 0, ":"), (160, 4, 10, ":"), (155, 4, 10, ":"), (31, 2, 20, ":"), (99, 5, 3, "1:90:3")]
        {
            let slice: Slice = slice.parse().expect("a slice");
            let all: Vec<usize> = slice.of(count).collect();
            let mut together = Vec::new();
            for number in 1..=of {
                let part = Some(ScanPart { number, of });
                let wanted =
                    Selection { slice, part, line, ..Selection::default() }.of(count).expect("frames");
                let place = wanted.part.expect("a part");
                assert_eq!((place.first, place.whole), (together.len(), all.len()));
                assert_eq!(place.first % line.max(1), 0, "a line is cut");
                let before = together.len();
                together.extend(wanted.numbers);
                assert!(together.len() > before);
            }
            assert_eq!(together, all);
        }
        let three = Selection { part: Some(ScanPart { number: 1, of: 3 }), line: 20, ..Selection::default() };
        assert_eq!(three.of(31).err(), Some(NoneWanted::TooManyParts { most: 2 }));
        assert_eq!(three.of(0).err(), Some(NoneWanted::NothingLeft));
    }

    #[test]
    fn a_part_is_k_of_n() {
        assert_eq!("2/8".parse::<ScanPart>().expect("a part").to_string(), "2/8");
        for wrong in ["", "2", "0/8", "9/8", "1/0", "1/10001", "-1/8", "1/8/2", "a/b", "1.5/2"] {
            assert!(wrong.parse::<ScanPart>().is_err(), "{wrong}");
        }
    }
}
