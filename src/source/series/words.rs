//! What headers say beside the pixels: numbers that change from frame to frame, when it was, detector and beam.
//!
//! An EDF may say anything: its keys are whatever a beamline's software knew, motors (`motor_mne`, `motor_pos`) and counters
//! (`counter_mne`, `counter_pos`) among it. Those that are numbers and differ from header to header become columns; which differ is seen
//! in all headers when files hold several images, and in the first, the second, the middle and the last of files of one. A Pilatus
//! writes the lines of its CBF headers into its TIFFs.

use std::collections::HashMap;
use std::sync::Arc;

use crate::frame::{Column, FrameHeader};
use crate::source::cbf::{MiniCbf, mini};
use crate::source::facts::DetectorFacts;
use crate::source::monitor::column_name;
use crate::source::plain::{EdfHeader, Says, TiffWords};

/// Keys of EDF, in lower case, that say how the file is written, or which of many it is.
const STRUCTURE: [&str; 17] = [
    "byteorder",
    "compression",
    "datatype",
    "dim_1",
    "dim_2",
    "dim_3",
    "dim_4",
    "edf_binarysize",
    "edf_blockboundary",
    "edf_datablocks",
    "edf_headersize",
    "headerid",
    "image",
    "size",
    "version",
    "versionnumber",
    "edf_datablockid",
];

/// Keys of EDF, in lower case, for the time that a frame was exposed, in seconds.
const EXPOSURE: [&str; 5] = ["exposure_time", "exposuretime", "acq_expo_time", "count_time", "expo_time"];

/// What that is called in results.
const EXPOSURE_TIME: &str = "exposure_time";

/// Keys of EDF for the time when a frame was taken: the first that is there and no mere number.
const DATES: [&str; 4] = ["Date", "HMStartTime", "time_of_frame", "time"];

/// Names that a result has for something else.
const TAKEN: [&str; 4] = ["date", "file_names", ".", ".."];

/// Most columns that are kept.
const MOST: usize = 256;

/// What the headers of a series say, as far as they were looked at.
#[derive(Debug, Clone, Default)]
pub(super) struct Words {
    /// Numbers of the first header: name, value, and whether another header has another one.
    numbers: Vec<(String, f64, bool)>,
    /// Whether a detector wrote lines as in CBF.
    has_mini: bool,
    /// A number that is kept whether it changes or not.
    also: Option<Arc<str>>,
    facts: Option<DetectorFacts>,
}

impl Words {
    /// Nothing yet; `also` is the name of a number that is asked for.
    pub(super) fn asking(also: Option<Arc<str>>) -> Words {
        Words { also, ..Words::default() }
    }

    /// Looks at one more header.
    pub(super) fn see(&mut self, says: &Says) {
        let is_first = self.facts.is_none();
        match says {
            Says::Nothing => {}
            Says::Edf { header, .. } if is_first => {
                self.numbers =
                    numbers(header).into_iter().map(|(name, value)| (name, value, false)).collect();
                self.facts = Some(edf_facts(header));
            }
            Says::Edf { header, .. } => {
                let now: HashMap<String, f64> = numbers(header).into_iter().collect();
                for (name, first, changes) in &mut self.numbers {
                    *changes |= now.get(name).is_some_and(|now| now.to_bits() != first.to_bits());
                }
            }
            Says::Tiff(words) if is_first => {
                self.has_mini = description(words).is_some();
                self.facts = Some(tiff_facts(words));
            }
            Says::Tiff(_) => {}
        }
    }

    /// Numbers that frames have a column of.
    pub(super) fn columns(&self) -> Arc<[Column]> {
        if self.has_mini {
            return mini::columns_with(self.also.as_deref());
        }
        self.kept().take(MOST).collect()
    }

    fn kept(&self) -> impl Iterator<Item = Column> {
        let also = self.also.as_deref().map(column_name);
        let is_asked = move |name: &str| also.as_deref().is_some_and(|also| also.eq_ignore_ascii_case(name));
        let kept = self.numbers.iter();
        let kept = kept.filter(move |(name, _, changes)| *changes || name == EXPOSURE_TIME || is_asked(name));
        kept.map(|(name, _, _)| Column {
            name: name.clone(),
            unit: if name == EXPOSURE_TIME { "s".into() } else { String::new() },
        })
    }

    /// That there are too many of them.
    pub(super) fn note(&self) -> Option<String> {
        let all = self.kept().count();
        (all > MOST).then(|| format!("{all} numbers of the headers change; the first {MOST} are kept"))
    }

    /// What is said of detector and beam.
    pub(super) fn facts(&self) -> DetectorFacts {
        self.facts.clone().unwrap_or_default()
    }
}

/// What a frame's own header says.
pub(super) fn frame_header(says: &Says, columns: &[Column]) -> FrameHeader {
    match says {
        Says::Nothing => FrameHeader::default(),
        Says::Edf { header, .. } => edf_frame(header, columns),
        Says::Tiff(words) => {
            let mut header = match description(words) {
                Some(lines) => mini::frame_header(lines.as_bytes(), columns),
                None => FrameHeader::default(),
            };
            if columns.is_empty() {
                header.numbers.clear();
            }
            if header.date.is_empty() {
                header.date = words.date.as_deref().map(tiff_date).unwrap_or_default();
            }
            header
        }
    }
}

/// The same of an EDF.
pub(super) fn edf_frame(header: &EdfHeader, columns: &[Column]) -> FrameHeader {
    let found = if columns.is_empty() { vec![] } else { numbers(header) };
    let of = |column: &Column| found.iter().find(|(name, _)| *name == column.name);
    let is_date = |text: &&str| !text.is_empty() && text.parse::<f64>().is_err();
    let date = DATES.iter().find_map(|key| header.get(key).filter(is_date));
    FrameHeader {
        date: date.map(mini::iso_date).unwrap_or_default(),
        numbers: columns.iter().map(|column| of(column).map_or(f64::NAN, |(_, value)| *value)).collect(),
        ..FrameHeader::default()
    }
}

/// Every number of an EDF header by the name of its column, each name once.
fn numbers(header: &EdfHeader) -> Vec<(String, f64)> {
    let mut found: Vec<(String, f64)> = Vec::new();
    let mut add = |name: &str, value: Option<f64>| {
        let name = dataset_name(name);
        if let Some(value) = value
            && !TAKEN.contains(&name.to_ascii_lowercase().as_str())
            && !name.is_empty()
        {
            found.push((name, value));
        }
    };
    for (key, value) in header.entries() {
        let lower = key.to_ascii_lowercase();
        if EXPOSURE.contains(&lower.as_str()) {
            add(EXPOSURE_TIME, leading(value));
        } else if let Some(what) = lower.strip_suffix("_mne") {
            let positions = header.get(&format!("{what}_pos")).unwrap_or_default();
            let pairs = value.split_ascii_whitespace().zip(positions.split_ascii_whitespace());
            pairs.for_each(|(name, position)| add(name, position.parse().ok()));
        } else if lower.strip_suffix("_pos").is_some_and(|what| header.get(&format!("{what}_mne")).is_some())
        {
            // The numbers of the names.
        } else if !STRUCTURE.contains(&lower.as_str()) {
            add(key, value.parse().ok());
        }
    }
    let mut met = std::collections::HashSet::new();
    found.retain(|(name, _)| met.insert(name.clone()));
    found
}

/// A name that a dataset may have.
fn dataset_name(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '.');
    name.trim().chars().take(64).map(|c| if is_plain(c) { c } else { '_' }).collect()
}

/// The number that a value begins with, whatever unit follows.
fn leading(value: &str) -> Option<f64> {
    let end = value.find(|c: char| !matches!(c, '0'..='9' | '.' | '-' | '+' | 'e' | 'E'));
    value[..end.unwrap_or(value.len())].parse().ok()
}

/// The keys of the ESRF's geometry: lengths in metres, centres in pixels from the corner of the first one.
fn edf_facts(header: &EdfHeader) -> DetectorFacts {
    let number = |key: &str| header.get(key).and_then(leading);
    let centre = |axis: u8| {
        let offset = number(&format!("Offset_{axis}")).unwrap_or(0.0);
        Some(number(&format!("Center_{axis}"))? - offset)
    };
    DetectorFacts {
        description: header.get("DetectorName").or(header.get("Detector")).map(str::to_owned),
        pixel_size: number("PSize_2").zip(number("PSize_1")),
        distance: number("SampleDistance"),
        beam_centre: centre(2).zip(centre(1)),
        wavelength: number("WaveLength"),
        ..DetectorFacts::default()
    }
}

/// The lines that a Pilatus writes, when it did.
fn description(words: &TiffWords) -> Option<&str> {
    words.description.as_deref().filter(|text| text.trim_start().starts_with('#'))
}

fn tiff_facts(words: &TiffWords) -> DetectorFacts {
    let lines = description(words).unwrap_or_default();
    let facts = MiniCbf::parse(b"", lines.as_bytes()).facts();
    let mut model = words.model.iter().flat_map(|model| model.split(',').map(str::trim));
    let (name, serial) = (model.next(), model.next());
    let serial = serial.map(|serial| serial.trim_start_matches("S/N").trim().to_owned());
    DetectorFacts {
        description: facts.description.clone().or(name.map(str::to_owned)),
        serial_number: facts.serial_number.clone().or(serial),
        ..facts
    }
}

/// TIFF's `2012:10:31 18:04:20` in ISO 8601; as written when it is not that.
fn tiff_date(written: &str) -> String {
    let written = written.trim();
    match written.split_once(' ') {
        Some((day, time)) if day.split(':').count() == 3 => format!("{}T{time}", day.replace(':', "-")),
        _ => mini::iso_date(written),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::plain::edf_header;

    fn edf(keys: &str) -> EdfHeader {
        edf_header(&format!("{{\n{keys}}}\n").as_bytes(), 0).expect("a header")
    }

    fn says(keys: &str) -> Says {
        Says::Edf { at: 0, header: edf(keys) }
    }

    #[test]
    fn numbers_that_change_are_columns_and_others_are_not() {
        let mut words = Words::default();
        let header = |image, phi, monitor| {
            format!(
                "HeaderID = EH:{image} ;\nImage = {image} ;\nSize = {image} ;\ncount_time = 0.5 s ;\nSRCUR = 196.{image} ;\n\
                 motor_mne = phi sa/mx ;\nmotor_pos = {phi} 7.25 ;\ncounter_mne = mon ;\ncounter_pos = {monitor} ;\n\
                 time = Wed May 30 14:07:47 2012 ;\nDate = 2012/05/30 14:07:47.5 ;\nnote = 12 apples ;\n"
            )
        };
        words.see(&says(&header(1, 0.0, 100)));
        words.see(&says(&header(2, 0.5, 100)));
        words.see(&says(&header(3, 0.0, 101)));
        let columns = words.columns();
        let names: Vec<(&str, &str)> = columns.iter().map(|c| (c.name.as_str(), c.unit.as_str())).collect();
        assert_eq!(names, [("exposure_time", "s"), ("SRCUR", ""), ("phi", ""), ("mon", "")]);
        assert_eq!(words.note(), None);
        let frame = edf_frame(&edf(&header(9, 4.5, 99)), &columns);
        assert_eq!(frame.numbers, [0.5, 196.9, 4.5, 99.0]);
        assert_eq!(frame.date, "2012-05-30T14:07:47.5");
        let none = edf_frame(&edf("time = Wed May 30 14:07:47 2012 ;\n"), &columns);
        assert!(none.numbers.iter().all(|value| value.is_nan()));
        assert_eq!(none.date, "Wed May 30 14:07:47 2012");
    }

    #[test]
    fn the_geometry_of_the_esrf_is_that_of_the_detector() {
        let keys = "Center_1 = 511.5 ;\nCenter_2 = 260 ;\nOffset_1 = 1.5 ;\nPSize_1 = 1.0e-4 ;\nPSize_2 = 0.0002_m ;\n\
                    SampleDistance = 1.25 m ;\nWaveLength = 9.95e-11 ;\n";
        let facts = edf_facts(&edf(keys));
        assert_eq!((facts.distance, facts.wavelength), (Some(1.25), Some(9.95e-11)));
        assert_eq!((facts.beam_centre, facts.pixel_size), (Some((260.0, 510.0)), Some((0.0002, 1e-4))));
        assert_eq!(edf_facts(&edf("Center_1 = 3 ;\n")), DetectorFacts::default());
    }

    #[test]
    fn a_pilatus_says_the_same_in_a_tiff_as_in_a_cbf() {
        let lines = "# Pixel_size 172e-6 m x 172e-6 m\r\n# Silicon sensor, thickness 0.000320 m\r\n# Exposure_time 5.0 s\r\n\
                     # Count_cutoff 1048500 counts\r\n# Wavelength 0.7 A\r\n# Detector_distance 0.2 m\r\n\
                     # Beam_xy (243.5, 309.25) pixels\r\n# Omega 12.5 deg.\r\n";
        let tiff = Says::Tiff(TiffWords {
            description: Some(lines.into()),
            date: Some("2012:10:31 18:04:20".into()),
            model: Some("PILATUS 300K, S/N 3-0118".into()),
        });
        let mut words = Words::default();
        words.see(&tiff);
        let (columns, facts) = (words.columns(), words.facts());
        assert_eq!(columns, mini::columns());
        assert_eq!((facts.distance, facts.beam_centre), (Some(0.2), Some((309.25, 243.5))));
        assert_eq!(
            (facts.description.as_deref(), facts.serial_number.as_deref()),
            (Some("PILATUS 300K"), Some("3-0118"))
        );
        let frame = frame_header(&tiff, &columns);
        let omega = columns.iter().position(|column| column.name == "omega").expect("a column");
        assert_eq!((frame.number(0), frame.number(omega)), (5.0, 12.5));
        assert_eq!((frame.count_cutoff, frame.date.as_str()), (Some(1_048_500.0), "2012-10-31T18:04:20"));
    }
}
