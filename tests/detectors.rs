//! Every detector of pyFAI's registry: names, sizes, masks, dummies, and where each pixel is.

use std::path::Path;

use serde_json::{Value, json};
use xrdct::frame::{PixelType, Shape};
use xrdct::geometry::catalogue::{CLASSES, Masking, PixelLayout};
use xrdct::geometry::detector::{Detector, Orientation};
use xrdct::geometry::surface::{PixelSheet, Points, axes};

use crate::geometry::ask_geometry;

const PIXEL_TYPES: [PixelType; 8] = [
    PixelType::I8,
    PixelType::U8,
    PixelType::I16,
    PixelType::U16,
    PixelType::I32,
    PixelType::U32,
    PixelType::I64,
    PixelType::U64,
];

fn pair(shape: Option<Shape>) -> Value {
    shape.map_or(json!(null), |s| json!([s.slow, s.fast]))
}

#[test]
fn every_class_fits_together() {
    for class in CLASSES {
        let mut detector = Detector::by_name(class.name).expect("its own name");
        assert_eq!(detector.set_pixels(None, None), Ok(()), "{}", class.name);
        assert_eq!(detector.shape.is_some(), class.max_shape.is_some(), "{}", class.name);
        let Some(shape) = detector.shape else { continue };
        assert!(PixelSheet::new(&detector, shape).is_some(), "{}", class.name);
        assert_eq!(detector.mask().is_some(), class.masking != Masking::Nothing, "{}", class.name);
    }
}

mod needs_oracle {
    use super::*;

    #[test]
    fn every_class_is_pyfais() {
        let theirs = ask_geometry(&["detectors".as_ref()]);
        let theirs = theirs.as_object().expect("classes");
        assert_eq!(theirs.len(), CLASSES.len(), "as many classes");
        for (name, facts) in theirs {
            let detector = Detector::by_name(name).unwrap_or_else(|| panic!("{name} is missing"));
            assert_eq!(&detector.name, name);
            assert_eq!(pair(detector.shape), facts["shape"], "{name}");
            assert_eq!(json!([detector.pixel1, detector.pixel2]), facts["pixel"], "{name}");
            assert_eq!(json!(detector.orientation.number()), facts["orientation"], "{name}");
            for alias in facts["names"].as_array().expect("names") {
                let found = Detector::by_name(alias.as_str().expect("a name"));
                assert_eq!(found.as_ref(), Some(&detector), "{name} by the name {alias}");
            }
            let mask = detector.mask().filter(|mask| mask.count() > 0).map(|mask| {
                let bytes: Vec<u8> = mask.masked.iter().map(|&masked| masked.into()).collect();
                json!({"count": mask.count(), "crc": crc32fast::hash(&bytes)})
            });
            assert_eq!(json!(mask), *facts.get("mask").unwrap_or(&Value::Null), "{name}");
            for pixel in PIXEL_TYPES {
                let dummy = detector.dummy(pixel).map_or(json!(null), |d| json!([d.value, d.delta]));
                assert_eq!(dummy, facts["dummies"][pixel.name()], "{name}, {}", pixel.name());
            }
        }
    }

    /// Some lines of an axis, as `tests/oracle/geometry.py` has them.
    fn sample(pixels: usize) -> Vec<usize> {
        let mut lines: Vec<usize> =
            (1..9).map(|k| pixels * k / 9).chain([0, 1.min(pixels - 1), pixels - 1]).collect();
        lines.sort_unstable();
        lines.dedup();
        lines
    }

    /// The largest difference between places, and where it is.
    fn compare(ours: &[f64], theirs: &Path) -> (f64, usize) {
        let bytes = std::fs::read(theirs).expect("pyFAI's places");
        let theirs: Vec<f64> =
            bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().expect("eight"))).collect();
        assert_eq!(ours.len(), theirs.len(), "as many places");
        let off = |(i, (a, b)): (usize, (&f64, &f64))| (if a == b { 0.0 } else { (a - b).abs() }, i);
        let worst = |a: (f64, usize), b: (f64, usize)| if b.0 > a.0 || b.0.is_nan() { b } else { a };
        ours.iter().zip(&theirs).enumerate().map(off).fold((0.0, 0), worst)
    }

    /// Corners are pyFAI's to the last bit of float32, centres of flat detectors to the last bit of float64; but where pyFAI
    /// rotates modules with numpy's matrix product (CirPAD) or takes sines of arrays (cylinders) a float32 step of a place is allowed, and of hexagons
    /// what a cosine of 90° is not quite 0.
    #[test]
    fn every_pixel_is_where_pyfai_has_it() {
        let turned = ["Pilatus300k", "Lambda750k", "Mar345", "Mythen"];
        let mut cases = vec![];
        for class in CLASSES.iter().filter(|class| class.max_shape.is_some()) {
            // Tables of corners of the largest take pyFAI half a minute each.
            let is_large = class.max_shape.is_some_and(|shape| shape.pixels() > 5_000_000);
            let turns = (!is_large && class.layout != PixelLayout::Grid) || turned.contains(&class.name);
            for orientation in [3, 1, 2, 4].into_iter().take(if turns { 4 } else { 1 }) {
                cases.push((class.name, orientation, json!({})));
            }
        }
        cases.push(("Aarhus", 3, json!({"radius": 1.2, "binning": 2})));
        cases.push(("Pixirad1", 3, json!({"pitch": 5.5e-5})));
        cases.push(("Xpad_flat", 3, json!({"pixel1": 1.3e-4, "module_size": [120, 70]})));
        cases.push(("RayonixMx225", 2, json!({"binning": 4})));
        let asked: Vec<Value> = cases
            .iter()
            .map(|(name, orientation, config)| json!({"name": name, "orientation": orientation, "config": config}))
            .collect();
        let folder = tempfile::tempdir().expect("a scratch folder");
        let list = folder.path().join("cases.json");
        std::fs::write(&list, json!(asked).to_string()).expect("written");
        ask_geometry(&["places".as_ref(), &list, folder.path()]);
        let mut wrong = vec![];
        for (i, (name, orientation, config)) in cases.iter().enumerate() {
            let mut detector = Detector::by_name(name).expect("known");
            detector.orientation = Orientation::from_number(*orientation).expect("an orientation");
            detector.radius = config["radius"].as_f64();
            detector.pitch = config["pitch"].as_f64();
            if config["module_size"].is_array() {
                detector.module_size = Some((120, 70));
            }
            if let Some(binning) = config["binning"].as_u64() {
                detector.set_binning((binning as usize, binning as usize)).expect("binned");
            }
            let shape = detector.shape.expect("a size");
            let sheet = PixelSheet::new(&detector, shape).expect("a place for each pixel");
            let integrated = axes(&detector, shape, Points::Corners);
            let rows = sample(shape.slow).into_iter().flat_map(|r| (0..shape.fast).map(move |c| (r, c)));
            let columns = sample(shape.fast).into_iter().flat_map(|c| (0..shape.slow).map(move |r| (r, c)));
            let (mut centres, mut corners, mut table) = (vec![], vec![], vec![]);
            for (row, column) in rows.chain(columns) {
                centres.extend(sheet.centre(row, column));
                for k in 0..sheet.corners_each() {
                    table.extend(sheet.corner(row, column, k));
                    corners.extend(match &integrated {
                        None => sheet.integrated_corner(row, column, k),
                        Some(axes) => {
                            let right = column + usize::from(k >= 2);
                            let behind = axes.behind.get(right).copied().unwrap_or_default();
                            [behind, axes.slow[row + usize::from(k == 1 || k == 2)], axes.fast[right]]
                        }
                    });
                }
            }
            let limit = match detector.layout() {
                PixelLayout::Cylinder(_) | PixelLayout::Cirpad => 1.2e-7,
                // A corner at 0 is at 3e-16 of the pitch in one of both.
                PixelLayout::Hexagons(_) => 1e-18,
                _ => 0.0,
            };
            for (kind, places) in [("centres", centres), ("corners", corners), ("table", table)] {
                let (off, at) = compare(&places, &folder.path().join(format!("{i}.{kind}")));
                if off > limit || off.is_nan() {
                    wrong.push(format!(
                        "{name}, orientation {orientation}, {config}: {kind} differ by {off:e} m at {at}"
                    ));
                }
            }
        }
        println!("{} detectors and orientations", cases.len());
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

mod files {
    use super::*;
    use xrdct::source::detector_file;

    /// A file with a detector of 2 x 3 pixels; what is in its group decides `fill`.
    fn file(path: &Path, fill: impl Fn(&hdf5::Group)) {
        let file = hdf5::File::create(path).expect("a file");
        let class = |group: &hdf5::Group, class: &str| {
            let text: hdf5::types::VarLenUnicode = class.parse().expect("a text");
            let attribute =
                group.new_attr::<hdf5::types::VarLenUnicode>().create("NX_class").expect("an attribute");
            attribute.write_scalar(&text).expect("written");
        };
        let mut group = file.create_group("entry").expect("a group");
        class(&group, "NXentry");
        for (name, kind) in [("pyFAI", "NXinstrument"), ("detector", "NXdetector")] {
            group = group.create_group(name).expect("a group");
            class(&group, kind);
        }
        fill(&group);
    }

    fn numbers(group: &hdf5::Group, name: &str, shape: &[usize], values: &[f32]) {
        if shape.is_empty() {
            let dataset = group.new_dataset::<f32>().create(name).expect("a dataset");
            return dataset.write_scalar(&values[0]).expect("written");
        }
        let dataset = group.new_dataset::<f32>().shape(shape.to_vec()).create(name).expect("a dataset");
        dataset.write_raw(values).expect("written");
    }

    #[test]
    fn pixels_without_a_place_are_masked_and_nonsense_is_refused_in_words() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let path = folder.path().join("detector.h5");
        let mut corners = vec![0.25_f32; 2 * 3 * 4 * 3];
        corners[4 * 4 * 3 + 5] = f32::NAN;
        file(&path, |group| {
            numbers(group, "shape", &[2], &[2.0, 3.0]);
            numbers(group, "mask", &[2, 3], &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
            numbers(group, "pixel_corners", &[2, 3, 4, 3], &corners);
            numbers(group, "orientation", &[], &[2.0]);
        });
        let content = detector_file::read(&path).expect("a detector");
        let mask = content.mask.as_ref().expect("a mask");
        assert_eq!(mask.masked, [true, false, false, false, true, false]);
        assert_eq!(
            (content.orientation, content.is_flat, content.is_contiguous),
            (Orientation::TopRight, true, true)
        );
        let mut detector = Detector::of_file(path.clone());
        assert!(PixelSheet::new(&detector, content.shape).is_none(), "nobody has read the file yet");
        detector.describe(content);
        assert_eq!(detector.orientation, Orientation::TopRight);
        assert!(PixelSheet::new(&detector, Shape { slow: 2, fast: 3 }).is_some());
        assert!(PixelSheet::new(&detector, Shape { slow: 3, fast: 2 }).is_none());

        type Fill = fn(&hdf5::Group);
        let refusals: [(Fill, &str); 6] = [
            (|_| (), "neither `shape` nor an image says how many pixels there are"),
            (
                |g| numbers(g, "shape", &[2], &[2.0, 3.0]),
                "neither `pixel_size` nor `pixel_corners` says where",
            ),
            (
                |g| numbers(g, "shape", &[2], &[2.5, 3.0]),
                "`shape` is 2.5 x 3, which is no size of a detector",
            ),
            (
                |g| numbers(g, "pixel_corners", &[2, 3, 5, 3], &[0.0; 90]),
                "`pixel_corners` has the shape [2, 3, 5, 3]: 4 or 6 corners",
            ),
            (
                |g| {
                    numbers(g, "shape", &[2], &[2.0, 3.0]);
                    numbers(g, "mask", &[3, 2], &[0.0; 6]);
                },
                "its `mask` is for 3 x 2 pixels, and it has 2 x 3",
            ),
            (
                |g| {
                    numbers(g, "pixel_corners", &[2, 3, 4, 3], &[0.0; 72]);
                    numbers(g, "orientation", &[], &[7.0]);
                },
                "`orientation` is 7: 1 to 4 are known",
            ),
        ];
        for (i, (fill, message)) in refusals.into_iter().enumerate() {
            let path = folder.path().join(format!("{i}.h5"));
            file(&path, fill);
            let error = detector_file::read(&path).expect_err(message).to_string();
            assert!(
                error.contains(message) && error.contains(".h5: no detector can be made of it"),
                "{error}"
            );
        }
        let path = folder.path().join("none.h5");
        drop(hdf5::File::create(&path).expect("a file"));
        let error = detector_file::read(&path).expect_err("empty").to_string();
        assert!(
            error.ends_with("it has no NXdetector in an NXinstrument or NXsubentry of an NXentry"),
            "{error}"
        );
        std::fs::write(&path, "no HDF5").expect("written");
        assert!(detector_file::read(&path).is_err());
    }
}
