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

/// Frames that are wanted: those after an offset, of which a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Selection {
    /// Frames that are left out at the start.
    pub offset: usize,
    /// Which of the others.
    pub slice: Slice,
    /// Which channel of images that have several.
    pub channel: Option<usize>,
}

impl Selection {
    /// Which of `count` they are, in order; `None` when there is none.
    pub fn of(&self, count: usize) -> Option<StepBy<Range<usize>>> {
        let left = count.checked_sub(self.offset)?;
        let chosen = self.slice.of(left);
        let (first, number) = (chosen.clone().next()?, chosen.len());
        let (first, step) = (self.offset + first, self.slice.step());
        Some((first..first + (number - 1) * step + 1).step_by(step))
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
            Selection { offset, slice, channel: None }.of(count).map(Iterator::collect::<Vec<_>>)
        };
        assert_eq!(of(2, "::2", 7), Some(vec![2, 4, 6]));
        assert_eq!(of(2, "-1:", 7), Some(vec![6]));
        assert_eq!(of(7, ":", 7), None);
        assert_eq!(of(9, ":", 7), None);
        assert_eq!(of(0, "3:3", 7), None);
    }
}
