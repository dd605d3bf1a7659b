//! How a result is divided into segments: how many frames each has.
//!
//! A segment has whole lines of a map (pairs of lines of a zigzag one, so that its first runs forwards), and all have as many frames but the
//! last. So which segment a frame belongs to is a division, and one more can be put behind the last: where the number of frames is not known yet, the
//! master alone has to learn of it. Here it is known.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::layout::Layout;
use super::part::VirtualPart;
use super::segment_names::SegmentNames;
use super::skeleton;

/// Largest result that is one file, unless somebody asks for something else. It is made whole, every row NaN, before the first frame: 2 GiB
/// take about a second, and what takes longer had better be made beside the frames.
pub const MOST_OF_ONE_FILE: u64 = 2 << 30;
/// About what a segment holds: a tenth of a second to make, and a run that goes on copies no more than that of each segment that it left open.
pub const SEGMENT_BYTES: u64 = 256 << 20;
/// Segments become larger before there are more, unless somebody asks for their size: HDF5 keeps each file open while an array is read that
/// shows it, and most systems let a process open 1024.
pub const MOST_SEGMENTS: usize = 512;
/// More are refused.
pub const MOST_ASKED_FOR: usize = 100_000;

/// Into how large segments a result is divided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SegmentSize {
    /// Of about 256 MiB, where one file would be larger than 2 GiB.
    #[default]
    Auto,
    /// One file, however large.
    Off,
    /// Of about so many bytes.
    Bytes(u64),
}

/// What sizes are called, largest first.
const UNITS: [(char, u64); 4] = [('T', 1 << 40), ('G', 1 << 30), ('M', 1 << 20), ('K', 1 << 10)];

impl FromStr for SegmentSize {
    type Err = String;

    fn from_str(text: &str) -> Result<SegmentSize, String> {
        match text.to_lowercase().as_str() {
            "auto" => return Ok(SegmentSize::Auto),
            "off" => return Ok(SegmentSize::Off),
            _ => {}
        }
        let last = text.chars().last().map(|last| last.to_ascii_uppercase());
        let unit = UNITS.iter().find(|(letter, _)| Some(*letter) == last);
        let (number, unit) = unit.map_or((text, 1), |(_, bytes)| (&text[..text.len() - 1], *bytes));
        let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
        match bytes {
            Some(bytes @ 1..) => Ok(SegmentSize::Bytes(bytes)),
            _ => Err("must be auto, off, or a size such as 256M or 1G".into()),
        }
    }
}

impl fmt::Display for SegmentSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SegmentSize::Auto => f.write_str("auto"),
            SegmentSize::Off => f.write_str("off"),
            SegmentSize::Bytes(bytes) => match UNITS.iter().find(|(_, unit)| bytes % unit == 0) {
                Some((letter, unit)) => write!(f, "{}{letter}", bytes / unit),
                None => write!(f, "{bytes}"),
            },
        }
    }
}

/// A result in segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Division {
    frames: usize,
    /// Frames of each segment, but of the last.
    each: usize,
}

impl Division {
    /// The division of a result of this layout; `None` where it is one file.
    ///
    /// # Errors
    /// When there would be too many segments.
    pub fn of(layout: &Layout, size: SegmentSize) -> Result<Option<Division>, String> {
        let whole = skeleton::size(layout);
        let wanted = match size {
            SegmentSize::Off => return Ok(None),
            SegmentSize::Auto if whole <= MOST_OF_ONE_FILE => return Ok(None),
            SegmentSize::Auto => SEGMENT_BYTES.max(whole.div_ceil(MOST_SEGMENTS as u64)),
            SegmentSize::Bytes(bytes) => bytes,
        };
        let together = layout.scan.as_ref().map_or(1, |scan| {
            let lines = if scan.zigzag { 2 } else { 1 };
            scan.fast.points.saturating_mul(lines)
        });
        let of_frame = whole.div_ceil(layout.frames.max(1) as u64).max(1);
        let fit = usize::try_from(wanted / of_frame).unwrap_or(usize::MAX);
        // Rounded down they might be one too many.
        let least = match size {
            SegmentSize::Auto => layout.frames.div_ceil(MOST_SEGMENTS).div_ceil(together),
            SegmentSize::Off | SegmentSize::Bytes(_) => 1,
        };
        let each = (fit / together).max(least).max(1).saturating_mul(together);
        let division = Division { frames: layout.frames, each };
        match division.count() {
            0 | 1 => Ok(None),
            count if count > MOST_ASKED_FOR => Err(format!(
                "segments of {size} would be {count}; at most {MOST_ASKED_FOR} may be: ask for larger ones"
            )),
            _ => Ok(Some(division)),
        }
    }

    /// The division that an earlier result has; `None` where it cannot be one of a result of this layout.
    pub fn as_there(layout: &Layout, each: usize) -> Option<Division> {
        let whole_lines = layout.scan.as_ref().is_none_or(|scan| {
            let lines = if scan.zigzag { 2 } else { 1 };
            each.is_multiple_of(scan.fast.points.saturating_mul(lines).max(1))
        });
        (each > 0 && whole_lines).then_some(Division { frames: layout.frames, each })
    }

    /// Frames of each segment, but of the last.
    pub fn each(&self) -> usize {
        self.each
    }

    /// How many segments there are.
    pub fn count(&self) -> usize {
        self.frames.div_ceil(self.each)
    }

    /// The frames of one.
    pub fn frames_of(&self, segment: usize) -> Range<usize> {
        let first = segment * self.each;
        first..self.frames.min(first + self.each)
    }

    /// Which one a frame belongs to.
    pub fn segment_of(&self, frame: usize) -> usize {
        frame / self.each
    }

    /// The segments as files, seen from the folder of their master.
    pub(super) fn files(&self, names: &SegmentNames) -> Vec<VirtualPart> {
        let file = |segment: usize| {
            let Range { start, end } = self.frames_of(segment);
            VirtualPart { file: names.of(segment), first: start, frames: end - start, gone_over: None }
        };
        (0..self.count()).map(file).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::result::{BinAxis, Raster};

    fn layout(frames: usize, scan: Option<Raster>) -> Layout {
        let axis = BinAxis {
            name: "q".into(),
            unit: String::new(),
            long_name: String::new(),
            centres: vec![0.0; 1000],
        };
        Layout { scan, ..Layout::new(frames, vec![axis]) }
    }

    fn division(frames: usize, scan: Option<Raster>, size: &str) -> Option<(usize, usize)> {
        let division = Division::of(&layout(frames, scan), size.parse().unwrap()).unwrap();
        division.map(|division| (division.count(), division.each()))
    }

    #[test]
    fn what_is_small_is_one_file_and_what_is_not_is_about_equal_segments() {
        assert_eq!(division(500_000, None, "auto"), None);
        assert_eq!(division(500_000, None, "off"), None);
        assert_eq!(division(1_000_000, None, "off"), None);
        let (count, each) = division(1_000_000, None, "auto").unwrap();
        assert!(
            count == 1_000_000_usize.div_ceil(each) && (60_000..70_000).contains(&each),
            "{count} {each}"
        );
        assert_eq!(division(100, None, "1G"), None);
        // Readers open every file: beyond half a thousand, segments grow.
        let (count, _) = division(100_000_000, None, "auto").unwrap();
        assert!((500..=MOST_SEGMENTS).contains(&count), "{count}");
        assert!(Division::of(&layout(1_000_000, None), SegmentSize::Bytes(1)).is_err());
    }

    #[test]
    fn lines_and_pairs_of_lines_stay_together() {
        for (zigzag, together) in [(false, 70), (true, 140)] {
            let map = || Some(Raster::new(30, 70, zigzag));
            assert_eq!(division(2000, map(), "1K"), Some((2000_usize.div_ceil(together), together)));
            let (_, each) = division(2000, map(), "3M").unwrap();
            assert!(each.is_multiple_of(together) && each > together, "{each}");
        }
    }

    #[test]
    fn every_frame_is_in_one_segment() {
        let division = Division::of(&layout(1003, None), SegmentSize::Bytes(100_000)).unwrap().unwrap();
        let ranges: Vec<_> = (0..division.count()).map(|segment| division.frames_of(segment)).collect();
        assert_eq!(ranges.concat_frames(), (0..1003).collect::<Vec<_>>());
        assert!((0..1003).all(|frame| ranges[division.segment_of(frame)].contains(&frame)));
    }

    trait ConcatFrames {
        fn concat_frames(&self) -> Vec<usize>;
    }

    impl ConcatFrames for Vec<Range<usize>> {
        fn concat_frames(&self) -> Vec<usize> {
            self.iter().flat_map(Clone::clone).collect()
        }
    }

    #[test]
    fn sizes_are_words_and_words_sizes() {
        for (text, size) in [
            ("auto", SegmentSize::Auto),
            ("off", SegmentSize::Off),
            ("256M", SegmentSize::Bytes(256 << 20)),
            ("3G", SegmentSize::Bytes(3 << 30)),
            ("1000", SegmentSize::Bytes(1000)),
        ] {
            assert_eq!((text.parse(), size.to_string()), (Ok(size), text.to_owned()));
        }
        for wrong in ["", "0", "M", "-1", "1.5G", "99999999999T", "ü"] {
            assert!(wrong.parse::<SegmentSize>().is_err(), "{wrong}");
        }
    }
}
