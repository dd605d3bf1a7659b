//! Geometry: detectors, PONI files, units and corrections as pyFAI has them.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use xrdct::frame::{PixelType, Shape};
use xrdct::geometry::catalogue;
use xrdct::geometry::detector::{Detector, Dummy, Orientation, Sensor};
use xrdct::geometry::mask::{Mask, MaskError};
use xrdct::geometry::poni::{Poni, Problem};
use xrdct::geometry::units::Unit;
use xrdct::geometry::{correction, position};

use crate::support::{ask_oracle, data};

/// What `tests/oracle/geometry.py` prints.
pub fn ask_geometry(arguments: &[&Path]) -> Value {
    serde_json::from_str(&ask_oracle("geometry.py", arguments)).expect("JSON")
}

fn pair(shape: Option<Shape>) -> Value {
    shape.map_or(json!(null), |s| json!([s.slow, s.fast]))
}

#[test]
fn known_detectors_have_their_known_masks() {
    for (name, masked) in [
        ("Pilatus100k", 0),
        ("Pilatus2M", 197_365),
        ("PilatusCdTe2M", 211_405),
        ("Eiger4M", 250_330),
        ("Eiger2_4M", 260_328),
        ("Eiger2CdTe_4M", 268_520),
    ] {
        let mask = Detector::by_name(name).and_then(|d| d.mask()).expect("a mask");
        assert_eq!(mask.count(), masked, "{name}");
    }
    let cdte = Detector::by_name("Pilatus CdTe 2M").and_then(|d| d.mask()).expect("a mask");
    for column in [242, 243, 244, 736, 738, 1230, 1232] {
        assert!(cdte.masked[column], "column {column}: between two wafers");
    }
    assert!(!cdte.masked[241] && !cdte.masked[245]);
    assert_eq!(catalogue::find("Frelon 4M").map(|c| c.name), None);
}

#[test]
fn automatic_dummies_wrap_into_the_frames_type() {
    let detector = Detector::by_name("Pilatus2M").expect("known");
    let invalid = |pixel, raw: f32| detector.dummy(pixel).expect("a dummy").matches(raw);
    for (raw, is) in [(0.0, false), (-1.0, true), (-2.0, true), (-3.0, true), (-4.0, false)] {
        assert_eq!(invalid(PixelType::I32, raw), is, "{raw}");
    }
    for (raw, is) in [(65532.0, false), (65533.0, true), (65535.0, true), (0.0, false)] {
        assert_eq!(invalid(PixelType::U16, raw), is, "{raw}");
    }
    assert!(invalid(PixelType::U32, u32::MAX as f32) && !invalid(PixelType::U32, (u32::MAX - 400) as f32));
    assert!(Dummy::new(-1.0, 0.0).matches(-1.0) && !Dummy::new(-1.0, 0.0).matches(-1.1));
    assert_eq!(Detector::plain(1e-4, 1e-4, None).dummy(PixelType::I32), None);
}

#[test]
fn units_go_by_name_with_or_without_none() {
    for unit in Unit::ALL {
        assert_eq!(unit.name().parse(), Ok(unit));
    }
    assert_eq!("log(q.nm)".parse(), Ok(Unit::LogQNm));
    let message = "q".parse::<Unit>().expect_err("unknown").to_string();
    assert!(message.starts_with("unknown unit \"q\": use one of q_nm^-1, q_A^-1, 2th_deg"), "{message}");
}

const GOOD: &str = "poni_version: 2.1\nDetector: PilatusCdTe2M\nDetector_config: {\"orientation\": 2}\nDistance: 0.9\n\
    Poni1: 0.1\nPoni2: 0.2\nRot1: 0.01\nRot2: -0.02\nRot3: 1.57\nWavelength: 1.2e-11\n";

/// That pyFAI and we read the same from each of these texts.
fn assert_read_alike(texts: &[String]) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let paths: Vec<PathBuf> = (0..texts.len()).map(|i| folder.path().join(format!("{i}.poni"))).collect();
    for (path, text) in paths.iter().zip(texts) {
        std::fs::write(path, text).expect("written");
    }
    let arguments: Vec<&Path> =
        std::iter::once(Path::new("ponis")).chain(paths.iter().map(PathBuf::as_path)).collect();
    let theirs = ask_geometry(&arguments);
    assert_eq!(theirs.as_array().map(Vec::len), Some(texts.len()), "an answer a file");
    for (i, text) in texts.iter().enumerate() {
        let ours = Poni::read(&paths[i]).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_same(&ours, &theirs[i], text);
    }
}

fn assert_same(poni: &Poni, theirs: &Value, text: &str) {
    let d = &poni.detector;
    let numbers = json!([poni.distance, poni.poni1, poni.poni2, poni.rot1, poni.rot2, poni.rot3]);
    assert_eq!(numbers, theirs["numbers"], "{text}");
    assert_eq!(json!(poni.wavelength), theirs["wavelength"], "{text}");
    assert_eq!(json!(poni.version), theirs["version"], "{text}");
    assert_eq!(json!(d.name), theirs["detector"], "{text}");
    assert_eq!(json!([d.pixel1, d.pixel2]), theirs["pixel"], "{text}");
    assert_eq!(pair(d.shape), theirs["shape"], "{text}");
    assert_eq!(json!([d.binning.0, d.binning.1]), theirs["binning"], "{text}");
    assert_eq!(json!(d.orientation.number()), theirs["orientation"], "{text}");
    let sensor = d.sensor.as_ref().map(|s| match s.thickness {
        Some(thickness) => json!({"material": s.material, "thickness": thickness}),
        None => json!({"material": s.material}),
    });
    assert_eq!(json!(sensor), theirs["sensor"], "{text}");
}

#[test]
fn bad_poni_files_are_refused_with_place_and_reason() {
    let without = |line: &str| {
        GOOD.lines().filter(|l| !l.starts_with(line)).map(|l| format!("{l}\n")).collect::<String>()
    };
    let with = |from: &str, to: &str| {
        assert!(GOOD.contains(from));
        GOOD.replace(from, to)
    };
    let config = |json: &str| with("{\"orientation\": 2}", json);
    let refusals = [
        (String::new(), "x.poni: this is not a PONI file"),
        ("\u{fffd}\u{1}binary: yes\n".to_owned(), "x.poni: this is not a PONI file"),
        (without("Distance"), "x.poni: Distance is missing"),
        (without("Poni2"), "x.poni: Poni2 is missing"),
        (without("Rot3"), "x.poni: Rot3 is missing"),
        (without("Detector:"), "x.poni: Detector is missing"),
        (with("Poni1: 0.1", "Poni1: here"), "x.poni, line 5: Poni1 is \"here\", not a finite number"),
        (with("Poni1: 0.1", "Poni1: None"), "x.poni, line 5: Poni1 is \"None\", not a finite number"),
        (with("Rot1: 0.01", "Rot1: nan"), "x.poni, line 7: Rot1 is \"nan\", not a finite number"),
        (with("Distance: 0.9", "Distance: inf"), "x.poni, line 4: Distance is \"inf\", not a finite number"),
        (with("Distance: 0.9", "Distance: 0"), "x.poni, line 4: Distance is 0: it must be greater than 0"),
        (with("Distance: 0.9", "Distance: -1"), "x.poni, line 4: Distance is -1: it must be greater than 0"),
        (
            with("Wavelength: 1.2e-11", "Wavelength: 0"),
            "x.poni, line 10: Wavelength is 0: it must be greater than 0",
        ),
        (with("PilatusCdTe2M", "Frelon 4M"), "x.poni, line 2: detector \"Frelon 4M\" is not known"),
        (
            with("PilatusCdTe2M", "NexusDetector"),
            "x.poni, line 3: a NexusDetector needs the name of its file",
        ),
        (
            with("PilatusCdTe2M", "CylindricalDetector"),
            "x.poni, line 2: CylindricalDetector is what detectors are made of in pyFAI, not a detector",
        ),
        (with("2.1", "3.1"), "x.poni, line 1: version 3.1 of the PONI format is not known"),
        (with("2.1", "two"), "x.poni, line 1: poni_version is \"two\""),
        (config("{"), "x.poni, line 3: Detector_config is not a JSON object"),
        (config("[]"), "x.poni, line 3: Detector_config is not a JSON object: it is []"),
        (
            config("{\"orientation\": 5}"),
            "x.poni, line 3: orientation in Detector_config is 5: an orientation from 1 to 4",
        ),
        (config("{\"orientation\": \"2\"}"), "x.poni, line 3: orientation in Detector_config is \"2\""),
        (
            config("{\"pixel1\": -1e-4}"),
            "x.poni, line 3: pixel1 in Detector_config is -0.0001: a length above 0",
        ),
        (config("{\"pixel1\": 172}"), "x.poni, line 3: binning in Detector_config is 1000000 x 1"),
        (
            config("{\"max_shape\": [0, 7]}"),
            "x.poni, line 3: max_shape in Detector_config is [0,7]: two sizes in pixels",
        ),
        (config("{\"binning\": 0}"), "x.poni, line 3: binning in Detector_config is 0"),
        (config("{\"sensor\": \"Si\"}"), "x.poni, line 3: sensor in Detector_config is \"Si\""),
        (
            config("{\"x_offset_file\": \"x.cbf\"}"),
            "x.poni, line 3: the distortion files \"\"x.cbf\"\" are not supported",
        ),
        (
            config("{\"splineFile\": \"a.spline\"}"),
            "x.poni, line 3: the distortion of spline file \"a.spline\"",
        ),
        (
            format!("{GOOD}Parallax: True\n"),
            "x.poni, line 11: parallax cannot be corrected: the detector's sensor is not said",
        ),
        (
            format!("{}Parallax: True\n", config("{\"sensor\": {\"material\": \"Cheese\"}}")),
            "x.poni, line 11: parallax cannot be corrected: the absorption of the sensor's material \"Cheese\" is not known: Si,",
        ),
        (
            format!(
                "{}Parallax: True\n",
                config("{\"sensor\": {\"material\": \"Si\"}}").replace("1.2e-11", "1.2e-14")
            ),
            "x.poni, line 11: parallax cannot be corrected: the absorption of Si at 103320.1654 keV is not known",
        ),
        (with("PilatusCdTe2M", "Detector"), "x.poni: pixel1 in Detector_config is missing"),
        ("PixelSize1: 1e-4\nDistance: 1\n".to_owned(), "x.poni: PixelSize2 is missing"),
        ("PixelSize1: 1e-4\nPixelSize2: 0\n".to_owned(), "x.poni, line 2: PixelSize2 is 0"),
        (
            "SplineFile: a.spline\n".to_owned(),
            "x.poni, line 1: the distortion of spline file \"a.spline\" is not supported",
        ),
    ];
    for (text, message) in refusals {
        let error = Poni::parse(&text, "x.poni").expect_err(message).to_string();
        assert!(error.starts_with(message), "{error}\nshould begin with\n{message}");
    }
    let error = Poni::read("no/such.poni").expect_err("absent");
    assert!(matches!(error.problem, Problem::Unreadable(_)));
    assert!(error.to_string().starts_with("no/such.poni: cannot be read: No such file"), "{error}");
}

#[test]
fn flipped_images_are_flipped_positions() {
    let shape = Shape { slow: 5, fast: 7 };
    let mut poni = Poni::parse(GOOD, "good.poni").expect("good");
    poni.detector = Detector::plain(1e-3, 2e-3, Some(shape));
    let q = |poni: &Poni| position::radial(poni, shape, Unit::QNm).expect("a wavelength");
    let native = q(&poni);
    for (orientation, slow, fast) in [
        (Orientation::TopLeft, true, true),
        (Orientation::TopRight, true, false),
        (Orientation::BottomLeft, false, true),
    ] {
        poni.detector.orientation = orientation;
        let flipped = q(&poni);
        assert_eq!(flipped.len(), shape.pixels());
        for (i, value) in flipped.iter().enumerate() {
            let (row, column) = (i / 7, i % 7);
            let row = if slow { 4 - row } else { row };
            let column = if fast { 6 - column } else { column };
            assert_eq!(*value, native[row * 7 + column]);
        }
    }
}

#[test]
fn corrections_are_one_where_the_beam_is_not_bent() {
    let shape = Shape { slow: 1, fast: 1 };
    let text = GOOD.replace("Poni1: 0.1", "Poni1: 0.0005").replace("Poni2: 0.2", "Poni2: 0.0005");
    let mut poni = Poni::parse(&text, "centre.poni").expect("good");
    poni.detector = Detector::plain(1e-3, 1e-3, Some(shape));
    (poni.rot1, poni.rot2) = (0.0, 0.0);
    assert_eq!(correction::solid_angle(&poni, shape).expect("a grid"), [1.0]);
    assert_eq!(correction::polarization(&poni, shape, 0.99).expect("a grid"), [1.0]);
    assert_eq!(correction::normalization(2, 3.0, Some(&[1.0, 2.0]), None, Some(&[0.5, 0.5])), [1.5, 3.0]);
}

#[test]
fn masks_combine_and_check_their_size() {
    let shape = Shape { slow: 2, fast: 2 };
    let mask = Mask::from_values(shape, &[0.0_f32, 1.0, f32::NAN, 0.0]).expect("four values");
    assert_eq!(mask.masked, [false, true, true, false]);
    let other = Mask::from_values(shape, &[1_u8, 0, 0, 0]).expect("four values");
    assert_eq!(mask.clone().union(&other).expect("one shape").count(), 3);
    assert_eq!(Mask::from_values(shape, &[0_u8]), Err(MaskError::Length { shape, found: 1 }));
    let odd = Mask::empty(Shape { slow: 1, fast: 4 });
    assert!(mask.union(&odd).is_err());
}

mod needs_oracle {
    use super::*;

    #[test]
    fn units_are_pyfais() {
        let theirs = ask_geometry(&["units".as_ref()]);
        for unit in Unit::ALL {
            let facts = &theirs[unit.name()];
            assert_eq!(json!(unit.scale()).as_f64(), facts["scale"].as_f64(), "{unit}");
            assert_eq!(json!(unit.label()), facts["label"], "{unit}");
            assert_eq!(json!(unit.unit_symbol()), facts["symbol"], "{unit}");
            assert_eq!(json!(unit.positive()), facts["positive"], "{unit}");
        }
        let mut missing: Vec<&String> = theirs.as_object().expect("units").keys().collect();
        missing.retain(|name| name.parse::<Unit>().is_err());
        assert!(missing.is_empty(), "pyFAI's radial units that are missing: {missing:?}");
    }

    #[test]
    fn poni_files_are_read_as_pyfai_reads_them() {
        let numbers = "Distance: 0.9\nPoni1: 0.1\nPoni2: 0.2\nRot1: 0\nRot2: 0.0\nRot3: -1e-3\n";
        let mut texts: Vec<String> = [
            GOOD.to_owned(),
            // Saved twice: the last value wins. Keys in any case, blanks around, no blank after the colon.
            format!("{GOOD}{}", GOOD.replace("0.9", "0.8").replace("Poni1: 0.1", " PONI1 :0.15 ")),
            format!("# Detector: Pilatus1M\nno colon here\n{GOOD}"),
            // Version 1.
            format!("PixelSize1: 1e-4\nPixelSize2: 2e-4\nSplineFile: None\n{numbers}"),
            format!("Detector: Pilatus300k\n{numbers}"),
            format!("Detector: Pilatus300k\nPixelSize1: 0.000172\nPixelSize2: 0.000172\n{numbers}"),
            format!("Detector: Pilatus 6M\nPixelSize1: 0.000344\nPixelSize2: 0.000516\n{numbers}"),
            format!("Detector: Detector\nPixelSize1: 0.000344\nPixelSize2: 0.000516\n{numbers}"),
            format!("Dist: 0.7\nDetector: eiger_4m\n{}", numbers.replace("Distance: 0.9\n", "")),
        ]
        .into();
        for config in [
            r#"{}"#,
            r#"{"orientation": 0}"#,
            r#"{"orientation": null, "pixel1": null}"#,
            r#"{"Orientation": 4, "PIXEL1": 0.000172, "pixel2": "0.000172"}"#,
            r#"{"pixel1": 0.000344, "pixel2": 0.000344}"#,
            r#"{"pixel1": 0, "pixel2": 0.0001}"#,
            r#"{"binning": [2, 3]}"#,
            r#"{"binning": 4, "orientation": 1}"#,
            r#"{"max_shape": [619, 487], "module_size": [100, 100]}"#,
            r#"{"sensor": {"material": "CdTe", "thickness": 0.001}}"#,
            r#"{"sensor": {"material": "Si"}, "colour": "blue"}"#,
        ] {
            texts.push(format!(
                "poni_version: 2\nDetector: PilatusCdTe2M\nDetector_config: {config}\n{numbers}"
            ));
        }
        // What a pixel size means is each class's own affair.
        for (detector, configs) in [
            (
                "Perkin",
                &["{}", r#"{"pixel1": 1e-4, "pixel2": 1e-4}"#, r#"{"pixel1": 4e-4, "pixel2": 2e-4}"#]
                    as &[&str],
            ),
            (
                "Pixium",
                &["{}", r#"{"pixel1": 154e-6, "pixel2": 154e-6}"#, r#"{"pixel1": 616e-6, "pixel2": 308e-6}"#],
            ),
            ("Apex2", &["{}", r#"{"pixel1": 240e-6, "pixel2": 240e-6}"#]),
            ("Mar345", &["{}", r#"{"pixel1": 150e-6, "pixel2": 150e-6}"#]),
            (
                "Rayonix MX225",
                &[
                    "{}",
                    r#"{"pixel1": 146.484e-6, "pixel2": 146.484e-6}"#,
                    r#"{"binning": 8}"#,
                    r#"{"pixel1": 5e-5}"#,
                ],
            ),
            ("RayonixSx165", &[r#"{"binning": [3, 3]}"#, r#"{"max_shape": [2048, 2048]}"#]),
            ("Aarhus", &["{}", r#"{"radius": 1.2, "pixel1": 5e-5, "pixel2": 5e-5}"#, r#"{"binning": 2}"#]),
            ("Pixirad-2", &["{}", r#"{"pitch": 5e-5}"#, r#"{"pixel1": 1e-3}"#]),
            ("FReLoN", &["{}", r#"{"binning": 2}"#]),
            ("Fairchild", &[r#"{"pixel1": 3e-5, "pixel2": 6e-5}"#]),
            ("d5", &["{}"]),
        ] {
            for config in configs {
                texts.push(format!("Detector: {detector}\nDetector_config: {config}\n{numbers}"));
            }
        }
        texts.push(format!("Detector: FReLoN\nPixelSize1: 1e-4\nPixelSize2: 2e-4\n{numbers}"));
        texts.push(format!("Detector: Eiger2\nDetector_config: {{\"max_shape\": [1062, 1028]}}\n{numbers}"));
        texts.push(format!(
        "Detector: Detector\nDetector_config: {{\"pixel1\": 1e-4, \"pixel2\": 2e-4, \"orientation\": 1}}\n{numbers}"
    ));
        texts.push(format!(
            "poni_version: 3\nDetector: Eiger4M\nDetector_config: {{}}\nParallax: False\n{numbers}"
        ));
        assert_read_alike(&texts);
    }

    #[test]
    fn written_poni_files_are_read_back_by_pyfai_and_us() {
        let mut poni = Poni::parse(GOOD, "good.poni").expect("good");
        let mut texts = vec![poni.to_text()];
        poni.detector.sensor = Some(Sensor { material: "CdTe".to_owned(), thickness: Some(7.5e-4) });
        poni.wavelength = None;
        texts.push(poni.to_text());
        poni.detector = Detector::plain(1e-4, 2.5e-4, Some(Shape { slow: 12, fast: 34 }));
        poni.detector.orientation = Orientation::BottomLeft;
        texts.push(poni.to_text());
        let binned = GOOD.replace("{\"orientation\": 2}", "{\"binning\": [2, 2]}");
        texts.push(Poni::parse(&binned, "binned.poni").expect("good").to_text());
        for text in &texts {
            let again = Poni::parse(text, "again.poni").expect("our own text");
            assert_eq!(&again.to_text(), text);
        }
        assert_read_alike(&texts);
    }
}

mod needs_data {
    use super::*;

    mod needs_oracle {
        use super::*;

        #[test]
        fn real_poni_files_are_read_as_pyfai_reads_them() {
            let names = [
                "EIG500",
                "Fairchild",
                "Mar3450",
                "PIL11",
                "PIL5",
                "PIL9",
                "Pilatus1M",
                "Pilatus6M",
                "Ti64_908mm_refined",
            ];
            let text = |name| std::fs::read_to_string(data(&format!("poni/{name}.poni"))).expect("a PONI");
            assert_read_alike(&names.map(text));
        }
    }

    #[test]
    fn real_poni_files_with_spline_files_are_refused() {
        for (name, file) in [("Frelon2k", "frelon.spline"), ("halfccd", "halfccd.spline")] {
            let error = Poni::read(data(&format!("poni/{name}.poni"))).expect_err("refused");
            assert!(matches!(&error.problem, Problem::SplineFile(f) if f == file), "{error}");
        }
    }
}
