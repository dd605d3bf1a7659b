//! What HDF5 files say of detector and beam, and of each frame, beside the images.
//!
//! Names are those of NeXus (NXdetector, NXbeam, NXmx), and where DECTRIS had others before, those; LImA's `detector_information`
//! for ESRF's files. What is not there, or not a number, is not known; nothing here can fail. Lengths and energies are read with the unit
//! that their attribute names.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::placement::placement;
use super::values::{factor, image, number, quantity, text, unit};
use crate::frame::{Column, Shape};
use crate::geometry::detector::Sensor;
use crate::geometry::placement::Placement;
use crate::h5::{Attributes, Dataset, File, Kind};
use crate::source::facts::DetectorFacts;

/// hc, eV·m (pyFAI's, which is CODATA 2018's).
const HC: f64 = 12.398_419_843_320_026e-7;

/// Columns of a scan that are looked for; a file that has more of them has a reason of its own.
const MOST_COLUMNS: usize = 256;

/// Pixels and distances that there are, metres. Some write millimetres and no unit: what that makes is none.
const PIXELS: RangeInclusive<f64> = 1e-7..=1e-2;
const DISTANCES: RangeInclusive<f64> = 1e-4..=200.0;

/// Where pixel masks are.
const PIXEL_MASKS: [&str; 2] = ["pixel_mask", "detectorSpecific/pixel_mask"];

/// Names that a result has for something else.
const TAKEN: [&str; 4] = ["file_names", "date", "image", "file"];

/// An entry of an open file.
pub(super) struct EntryWords<'a> {
    file: &'a File,
    /// `/entry`.
    path: &'a str,
    /// The group of its detector.
    detector: Option<String>,
}

impl<'a> EntryWords<'a> {
    /// The entry at a path.
    pub(super) fn new(file: &'a File, path: &'a str) -> EntryWords<'a> {
        let mut entry = EntryWords { file, path, detector: None };
        entry.detector = entry.find_detector();
        entry
    }

    /// `instrument/detector`, else the only NXdetector of an instrument.
    fn find_detector(&self) -> Option<String> {
        let usual = "instrument/detector".to_owned();
        if self.file.group(&self.inside(&usual)).is_ok() {
            return Some(usual);
        }
        let root = self.file.group(self.path).ok()?;
        let is = |path: &str, class: &str| {
            self.file
                .group(&self.inside(path))
                .is_ok_and(|group| group.attribute("NX_class").as_deref() == Some(class))
        };
        for instrument in root.member_names().ok()?.into_iter().filter(|name| is(name, "NXinstrument")) {
            let names = self.file.group(&self.inside(&instrument)).and_then(|group| group.member_names());
            let paths = names.unwrap_or_default().into_iter().map(|name| format!("{instrument}/{name}"));
            let mut detectors = paths.filter(|path| is(path, "NXdetector"));
            if let (Some(one), None) = (detectors.next(), detectors.next()) {
                return Some(one);
            }
        }
        None
    }

    fn inside(&self, name: &str) -> String {
        format!("{}/{name}", self.path.trim_end_matches('/'))
    }

    fn dataset(&self, name: &str) -> Option<Dataset> {
        self.file.dataset(&self.inside(name)).ok()
    }

    /// A dataset of the detector.
    fn of_detector(&self, name: &str) -> Option<Dataset> {
        self.dataset(&format!("{}/{name}", self.detector.as_ref()?))
    }

    /// The first of these datasets of the detector that is there.
    fn first_of_detector(&self, names: &[&str]) -> Option<Dataset> {
        names.iter().find_map(|name| self.of_detector(name))
    }

    /// What is said of detector and beam, for images of this size; of several channels, of this one.
    pub(super) fn facts(&self, shape: Shape, channel: usize) -> DetectorFacts {
        let pixel = |names: [&str; 2]| {
            self.first_of_detector(&names)
                .and_then(|d| quantity(&d, "m"))
                .filter(|size| PIXELS.contains(size))
        };
        let pixel_size = pixel(["y_pixel_size", "detector_information/pixel_size/ysize"])
            .zip(pixel(["x_pixel_size", "detector_information/pixel_size/xsize"]));
        let material = self.of_detector("sensor_material").and_then(|d| text(&d));
        let thickness = self.of_detector("sensor_thickness").and_then(|d| quantity(&d, "m"));
        DetectorFacts {
            file: None,
            description: self
                .first_of_detector(&["description", "detector_information/model", "model"])
                .and_then(|d| text(&d)),
            serial_number: self
                .first_of_detector(&["detector_number", "serial_number"])
                .and_then(|d| text(&d)),
            sensor: material.map(|material| Sensor { material, thickness }),
            pixel_size,
            distance: self
                .first_of_detector(&["detector_distance", "distance"])
                .and_then(|d| quantity(&d, "m"))
                .filter(|distance| DISTANCES.contains(distance)),
            beam_centre: self
                .centre("y", pixel_size.map(|(slow, _)| slow))
                .zip(self.centre("x", pixel_size.map(|(_, fast)| fast))),
            placement: self.placement(pixel_size),
            wavelength: self.wavelength(),
            threshold: self.of_detector("threshold_energy").and_then(|d| quantity(&d, "eV")),
            bit_depth: self
                .of_detector("bit_depth_image")
                .and_then(|d| number(&d))
                .filter(|bits| (1.0..=64.0).contains(bits))
                .map(|bits| bits as u32),
            pixel_mask: self.first_of_detector(&PIXEL_MASKS).and_then(|d| image::<u32>(&d, shape, channel)),
            flatfield: self
                .first_of_detector(&["flatfield", "detectorSpecific/flatfield"])
                .and_then(|d| image::<f32>(&d, shape, channel)),
            flatfield_applied: self
                .of_detector("flatfield_correction_applied")
                .and_then(|d| number(&d))
                .map(|applied| applied != 0.0),
        }
    }

    /// Size of an image, as the pixel mask has it, or as a DECTRIS detector says it.
    pub(super) fn shape(&self) -> Option<Shape> {
        let mask = self.first_of_detector(&PIXEL_MASKS).map(|mask| mask.shape());
        if let Some(&[slow, fast]) = mask.as_deref().and_then(|shape| shape.last_chunk::<2>()) {
            return Some(Shape { slow, fast });
        }
        let pixels = |axis: &str| {
            let pixels = number(&self.of_detector(&format!("detectorSpecific/{axis}_pixels_in_detector"))?)?;
            (1.0..1e6).contains(&pixels).then_some(pixels as usize)
        };
        Some(Shape { slow: pixels("y")?, fast: pixels("x")? })
    }

    fn placement(&self, pixel_size: Option<(f64, f64)>) -> Option<Result<Placement, String>> {
        placement(self.file, &self.inside(self.detector.as_ref()?), pixel_size)
    }

    /// Where the beam meets the detector along an axis, in pixels.
    fn centre(&self, axis: &str, pixel: Option<f64>) -> Option<f64> {
        let dataset = self.of_detector(&format!("beam_center_{axis}"))?;
        let unit = dataset.attribute("units").unwrap_or_default();
        match factor(&unit) {
            // A length, not a number of pixels.
            Some((per, 'm')) => Some(number(&dataset)? * per / pixel?),
            _ => number(&dataset),
        }
    }

    fn wavelength(&self) -> Option<f64> {
        let lengths = [
            "instrument/beam/incident_wavelength",
            "sample/beam/incident_wavelength",
            "instrument/monochromator/wavelength",
            "instrument/beam/wavelength",
        ];
        let energies = [
            "instrument/beam/incident_energy",
            "sample/beam/incident_energy",
            "instrument/monochromator/energy",
        ];
        let positive = |value: &f64| value.is_finite() && *value > 0.0;
        let length = |name: &&str| self.dataset(name).and_then(|d| quantity(&d, "angstrom")).filter(positive);
        let energy = |name: &&str| self.dataset(name).and_then(|d| quantity(&d, "eV")).filter(positive);
        lengths
            .iter()
            .find_map(length)
            .or_else(|| energies.iter().find_map(energy).map(|energy| HC / energy))
            .or_else(|| {
                let photon = self.of_detector("detectorSpecific/photon_energy")?;
                quantity(&photon, "eV").filter(positive).map(|energy| HC / energy)
            })
    }

    /// From which count on pixels are saturated: that of the rate correction, else what NeXus calls `saturation_value`.
    pub(super) fn count_cutoff(&self) -> Option<f64> {
        let names = ["detectorSpecific/countrate_correction_count_cutoff", "saturation_value"];
        let value = number(&self.first_of_detector(&names)?)?;
        (value.is_finite() && value > 0.0).then_some(value)
    }

    /// When the first frame was taken, as it is written.
    pub(super) fn date(&self) -> String {
        let dataset =
            self.of_detector("detectorSpecific/data_collection_date").or_else(|| self.dataset("start_time"));
        dataset.and_then(|d| text(&d)).unwrap_or_default()
    }

    /// Numbers that each of `count` frames has, and numbers that all share: angles, positions, times, monitors.
    pub(super) fn columns(&self, count: usize) -> Vec<(Column, Vec<f64>)> {
        let mut columns: Vec<(Column, Vec<f64>)> = Vec::new();
        let mut names = BTreeSet::from(TAKEN.map(str::to_owned));
        let mut add = |name: &str, unit: String, values: Vec<f64>| {
            let is_name = !matches!(name, "" | ".") && !name.contains(|c: char| c == '/' || c.is_control());
            let fits = columns.len() < MOST_COLUMNS && is_name;
            if fits && names.insert(name.to_owned()) {
                columns.push((Column { name: name.to_owned(), unit }, values));
            }
        };
        for group in [
            "measurement",
            "sample/goniometer",
            "sample/transformations",
            "instrument/NDAttributes",
            "instrument/detector/NDAttributes",
            "instrument/positioners",
        ] {
            let Ok(there) = self.file.group(&self.inside(group)) else { continue };
            for name in there.member_names().unwrap_or_default() {
                let Ok(dataset) = there.dataset(&name) else { continue };
                let is_number = matches!(dataset.facts().kind, Kind::Integer | Kind::Float);
                if dataset.shape() == [count] && is_number {
                    let values = dataset.read_raw::<f64>().unwrap_or_default();
                    if values.len() == count {
                        add(&name, unit(&dataset), values);
                    }
                }
            }
        }
        for (name, of_detector) in [("exposure_time", "count_time"), ("exposure_period", "frame_time")] {
            let Some(dataset) = self.of_detector(of_detector) else { continue };
            match (dataset.shape().iter().product::<usize>(), quantity(&dataset, "s")) {
                (1, Some(seconds)) => add(name, "s".to_owned(), vec![seconds; count]),
                _ if dataset.shape() == [count] => {
                    let values = dataset.read_raw::<f64>().unwrap_or_default();
                    if values.len() == count {
                        add(name, unit(&dataset), values);
                    }
                }
                _ => {}
            }
        }
        columns
    }
}
