//! Configurations: what the program writes and reads, at the command line.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use xrdct::codec::byte_offset;

use crate::support::{SMALL, cbf_bytes, names, write_small_scan, xrdct};

pub fn scan(frames: usize) -> TempDir {
    let folder = tempfile::tempdir().expect("a scratch folder");
    write_small_scan(folder.path(), frames);
    folder
}

/// A mask that leaves out a corner.
fn write_mask(folder: &TempDir) {
    let corner = |n: usize| i32::from(n / SMALL.fast < 9 && n % SMALL.fast < 9);
    let pixels: Vec<i32> = (0..SMALL.pixels()).map(corner).collect();
    let file = cbf_bytes(&byte_offset::encode(&pixels), SMALL, 0, |header| header);
    fs::write(folder.path().join("mask.cbf"), file).expect("writable");
}

#[track_caller]
fn done(folder: &TempDir, arguments: &[&str]) -> String {
    let done = xrdct(folder.path(), arguments);
    assert_eq!(done.code, 0, "{arguments:?}: {}", done.stderr);
    done.stderr
}

/// The settings that a dry run of these options saves.
#[track_caller]
pub fn saved(folder: &TempDir, options: &[&str]) -> Value {
    let end = ["--dry-run", "--save-config", "saved.json", "--overwrite", "scan"];
    done(folder, &[&["integrate", "--poni", "small.poni", "--device", "cpu"], options, &end].concat());
    let text = fs::read_to_string(folder.path().join("saved.json")).expect("written");
    serde_json::from_str(&text).expect("JSON")
}

/// A configuration of pyFAI for the small frames.
pub fn worker(change: Value) -> Value {
    let mut config = json!({
        "application": "worker", "version": 5, "nbpt_rad": 60, "nbpt_azim": 1, "unit": "q_nm^-1",
        "method": ["bbox", "csr", "cython"],
        "poni": {
            "poni_version": 2.1, "dist": 0.05, "poni1": 0.0035, "poni2": 0.0026, "rot1": 0.01, "rot2": -0.02, "rot3": 0.1,
            "wavelength": 1e-10, "detector": "Detector",
            "detector_config": { "pixel1": 0.000172, "pixel2": 0.000172, "max_shape": [61, 47], "orientation": 3 },
        },
    });
    for (key, value) in change.as_object().expect("an object") {
        config[key] = value.clone();
    }
    config
}

/// A dry run with a configuration: exit code and what was said.
fn tried(folder: &TempDir, config: &str) -> (i32, String) {
    fs::write(folder.path().join("try.json"), config).expect("writable");
    let tried = xrdct(folder.path(), &["integrate", "--config", "try.json", "--dry-run", "scan"]);
    (tried.code, tried.stderr + &tried.stdout)
}

#[test]
fn a_dark_or_flat_takes_one_file_and_may_be_repeated() {
    let folder = scan(2);
    let dark = "scan/small_00000.cbf";
    // Before: `scan` was taken for a second dark, and no frames were left.
    for option in ["--dark", "--flat", "-d", "-f"] {
        done(&folder, &["integrate", "--poni", "small.poni", "--dry-run", option, dark, "scan"]);
    }
    let config = saved(&folder, &["--dark", dark, "--flat", dark, "--dark", "scan/small_00001.cbf"]);
    let file = |n: usize| folder.path().canonicalize().expect("there").join(format!("scan/small_{n:05}.cbf"));
    assert_eq!(config["dark_current"], json!([file(0), file(1)]));
    assert_eq!(config["flat_field"], json!([file(0)]));
}

#[test]
fn values_of_a_configuration_pass_the_checks_of_the_command_line() {
    let folder = scan(2);
    let refused = [
        // Before: 200,000 threads were started.
        (json!({ "xrdct": { "threads": 200_000 } }), 2, "threads 200000: must be from 1 to 1024"),
        (json!({ "threads": 200_000 }), 2, "threads 200000: must be from 1 to 1024"),
        (json!({ "xrdct": { "readers": 0 } }), 2, "readers 0: must be from 1 to 1024"),
        (json!({ "xrdct": { "lanes": 1025 } }), 2, "lanes 1025"),
        (json!({ "xrdct": { "batch": 5000 } }), 2, "batch 5000"),
        (json!({ "nbpt_rad": 0 }), 2, "nbpt_rad 0: must be from 1"),
        (json!({ "nbpt_rad": 10_000_001 }), 2, "nbpt_rad 10000001: must be from 1 to 10000000"),
        (json!({ "nbpt_rad": "many" }), 2, "nbpt_rad is \"many\": a whole number is wanted"),
        (json!({ "nbpt_rad": 2.5 }), 2, "nbpt_rad is 2.5: a whole number is wanted"),
        (json!({ "nbpt_rad": -3 }), 2, "nbpt_rad is -3: a whole number is wanted"),
        (json!({ "polarization_description": [2, 0] }), 2, "polarization_factor 2: must be between -1 and 1"),
        (json!({ "polarization_description": [0.9, 0.1] }), 2, "the axis of polarisation cannot be turned"),
        (json!({ "polarization_factor": "x" }), 2, "polarization_factor is \"x\": a factor from -1 to 1"),
        (json!({ "normalization_factor": 0 }), 2, "normalization_factor 0: must be a positive number"),
        (json!({ "radial_range": [3, 2] }), 2, "radial_range 3 2: the first must be below the second"),
        (json!({ "radial_range": [3] }), 2, "radial_range is [3]: two numbers are wanted"),
        (json!({ "radial_range": [3, null] }), 2, "radial_range is [3,null]: a range needs both ends"),
        (json!({ "radial_range_min": 3 }), 2, "a range needs both ends"),
        (json!({ "delta_dummy": -1, "val_dummy": 2 }), 2, "delta_dummy -1: must be 0 or a positive number"),
        (json!({ "unit": "q_m^-1" }), 2, "unit is \"q_m^-1\": unknown unit"),
        (json!({ "unit": 3 }), 2, "unit is 3: a text is wanted"),
        (
            json!({ "correct_solid_angle": "yes" }),
            2,
            "correct_solid_angle is \"yes\": true or false is wanted",
        ),
        (json!({ "error_model": "variance" }), 2, "error_model is \"variance\": it needs --variance FILE"),
        (json!({ "error_model": 7 }), 2, "error_model is 7: no, poisson, azimuthal, hybrid or variance"),
        (json!({ "clip": -1 }), 2, "clip -1: must be 0 or a positive number of standard deviations"),
        (json!({ "quantile": [25, 75] }), 2, "quantile 25 75: must be two numbers from 0 to 1"),
        (
            json!({ "quantile": [0.1, 0.9], "clip": 3 }),
            2,
            "--quantile belongs to --statistic quantile, not to clip",
        ),
        (
            json!({ "integrator_method": "medfilt1d_ng", "error_model": "azimuthal" }),
            2,
            "--error-model azimuthal: pixels between two quantiles",
        ),
        (json!({ "method": ["pseudo", "csr", "cython"] }), 2, "xrdct splits pixels by no, bbox or full"),
        (json!({ "method": ["bbox", "fast", "cython"] }), 2, "one of its parts is none of histogram"),
        (json!({ "method": "frobnicate" }), 2, "not a method of pyFAI"),
        (json!({ "method": 3 }), 2, "not a method of pyFAI"),
        (json!({ "nbpt_azim": 10_000_001 }), 2, "nbpt_azim 10000001: must be from 1 to 10000000"),
        (json!({ "nbpt_azim": -2 }), 2, "nbpt_azim is -2: a whole number is wanted"),
        (json!({ "integrator_class": "FiberIntegrator" }), 2, "only AzimuthalIntegrator has a counterpart"),
        (json!({ "integrator_method": "sigma_clip_legacy" }), 2, "only integrate1d_ng, sigma_clip_ng and"),
        (
            json!({ "extra_options": { "max_iter": 3 } }),
            2,
            "extra_options.max_iter is 3: it has no counterpart",
        ),
        (
            json!({ "integrator_method": "sigma_clip_ng", "extra_options": { "percentile": 3 } }),
            2,
            "extra_options.percentile is 3: it has no counterpart",
        ),
        (
            json!({ "integrator_method": "medfilt1d_ng", "extra_options": { "percentile": "x" } }),
            2,
            "extra_options.percentile is \"x\": a number of percent, or two",
        ),
        (json!({ "extra_options": { "error_model": "variance" } }), 2, "error_model is \"variance\""),
        (json!({ "monitor_name": "bpm" }), 2, "--monitor bpm: "),
        (json!({ "version": 6 }), 2, "version is 6: versions 1 to 5 of pyFAI's format are known"),
        (json!({ "version": "new" }), 2, "version is \"new\""),
        (json!({ "dark_current": [1] }), 2, "dark_current is [1]: a text or a list of texts is wanted"),
        (
            json!({ "mask_file": "fabio:///m.edf?slice=7" }),
            2,
            "slice=7: save that image in a file of its own",
        ),
        (json!({ "mask_file": "nowhere.npy" }), 4, "nowhere.npy: cannot be read"),
        (json!({ "poni": "nowhere.poni" }), 4, "nowhere.poni: cannot be read"),
        (json!({ "poni": 3 }), 2, "poni is 3: an object or the name of a PONI file is wanted"),
        (json!({ "poni": { "dist": 1 } }), 4, "is missing"),
        (json!({ "xrdct": 3 }), 2, "xrdct is 3: a JSON object is wanted"),
        (json!({ "xrdct": { "strategy": "fast" } }), 2, "strategy is \"fast\": unknown variant"),
        (json!({ "xrdct": { "device": "tpu" } }), 2, "--device tpu: unknown"),
        (json!({ "xrdct": { "slow": 3 } }), 2, "--slow needs --fast"),
        (json!({ "xrdct": { "nbpt_rad": 61 } }), 2, "nbpt_rad is 60: but xrdct.nbpt_rad is 61: which one?"),
        (json!({ "xrdct": { "offset": "two" } }), 2, "offset is \"two\": a whole number is wanted"),
    ];
    for (change, code, message) in refused {
        let (ended, said) = tried(&folder, &worker(change.clone()).to_string());
        assert_eq!(ended, code, "{change}: {said}");
        assert!(said.contains(message), "{change}: {said}\nwithout: {message}");
        // The geometry's reader and the image's name the file that is missing.
        assert!(
            said.contains("try.json") || said.contains("nowhere") || said.contains("--"),
            "{change}: {said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    assert_eq!(names(folder.path()), ["scan", "small.poni", "try.json"]);
}

#[test]
fn what_is_no_configuration_is_told_apart() {
    let folder = scan(1);
    for (text, message) in [
        ("", "not JSON: EOF"),
        ("{", "not JSON: EOF"),
        ("[1, 2]", "it is JSON, but not an object"),
        ("\"x\"", "it is JSON, but not an object"),
        ("{\"a\": NaN, \"b\": \"NaN\\\"Infinity\"}", "no setting of an integration is in it, only a, b"),
        ("{\"a\": \"\\", "not JSON"),
        (&"[".repeat(100_000), "not JSON: recursion limit"),
    ] {
        let (code, said) = tried(&folder, text);
        assert_eq!(code, 2, "{said}");
        assert!(
            said.contains("try.json: not a configuration") && said.contains(message),
            "{text:.20}: {said}"
        );
    }
    fs::write(folder.path().join("binary.json"), [0xff_u8; 100]).expect("writable");
    let magic = b"\x89HDF\r\n\x1a\n and then nothing";
    fs::write(folder.path().join("broken.h5"), magic).expect("writable");
    for (name, message) in [
        ("binary.json", "neither JSON"),
        ("broken.h5", "not a configuration"),
        ("scan", "it is a folder"),
        ("none", "No such file"),
    ] {
        let tried = xrdct(folder.path(), &["integrate", "--config", name, "--dry-run", "scan"]);
        assert_eq!(tried.code, 2, "{}", tried.stderr);
        assert!(tried.stderr.contains(message) && tried.stderr.contains(name), "{}", tried.stderr);
    }
    // A tomogram's configuration has keys of the same names.
    let end = ["--poni", "small.poni", "--npt", "20", "--slow", "2", "--fast", "2", "-q", "scan"];
    write_small_scan(folder.path(), 4);
    done(&folder, &[&["integrate", "-o", "map.h5"], &end[..]].concat());
    done(&folder, &["tomo", "map.h5", "-o", "tomo.h5", "--rotation", "0:90:2", "--device", "cpu", "-q"]);
    let tried = xrdct(folder.path(), &["integrate", "--config", "tomo.h5", "--dry-run", "scan"]);
    assert_eq!(tried.code, 2, "{}", tried.stderr);
    assert!(tried.stderr.contains("tomo.h5: not a configuration: this HDF5 file has no"), "{}", tried.stderr);
}

#[test]
fn unknown_keys_are_named_and_the_run_goes_on() {
    let folder = scan(2);
    let config = worker(json!({ "colour": "blue", "nbpt_radial": 7, "xrdct": { "treads": 3 } }));
    let (code, said) = tried(&folder, &config.to_string());
    assert_eq!(code, 0, "{said}");
    for key in ["colour", "nbpt_radial", "treads"] {
        assert!(
            said.contains(&format!("warning: try.json: {key} is not known and has no effect")),
            "{key}: {said}"
        );
    }
    assert!(said.contains("60 in q_nm^-1"), "{said}");
    let map = json!({ "diffmap_config_version": 1, "ai": worker(json!({ "hue": 3 })), "speed": 2 });
    let (code, said) = tried(&folder, &map.to_string());
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("ai.hue is not known") && said.contains("speed is not known"), "{said}");
}

#[test]
fn old_switches_that_pyfai_overlooks_are_followed_aloud() {
    let folder = scan(2);
    let config = worker(json!({ "version": 4, "do_solid_angle": false, "do_2D": false, "nbpt_azim": 360 }));
    let (code, said) = tried(&folder, &config.to_string());
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("do_solid_angle is false and is followed"), "{said}");
    assert!(said.contains("do_2D is false and is followed"), "{said}");
    assert!(said.contains("corrections   none"), "{said}");
    write_mask(&folder);
    let config = worker(json!({ "do_mask": false, "mask_file": "mask.cbf" }));
    let (_, said) = tried(&folder, &config.to_string());
    assert!(
        said.contains("do_mask is false, but pyFAI does not heed it in version 5: mask_file stays"),
        "{said}"
    );
}

#[test]
fn what_is_typed_wins_and_keeps_its_meaning() {
    let folder = scan(2);
    let config = worker(json!({
        "unit": "2th_deg", "radial_range": [1.0, 8.0], "val_dummy": 5, "delta_dummy": 1, "polarization_description": [0.9, 0],
        "dark_current": ["scan/small_00000.cbf"], "correct_solid_angle": false,
    }));
    fs::write(folder.path().join("run.json"), config.to_string()).expect("writable");
    let said = |options: &[&str]| {
        let end = ["--dry-run", "--save-config", "saved.json", "--overwrite", "scan"];
        let run = xrdct(folder.path(), &[&["integrate", "--config", "run.json"], options, &end].concat());
        let text = fs::read_to_string(folder.path().join("saved.json")).unwrap_or_default();
        (run.code, run.stderr, serde_json::from_str::<Value>(&text).unwrap_or_default())
    };
    let (_, _, plain) = said(&[]);
    assert_eq!(plain["radial_range"], json!([1.0, 8.0]));
    assert_eq!((&plain["val_dummy"], &plain["delta_dummy"]), (&json!(5.0), &json!(1.0)));
    assert_eq!(plain["correct_solid_angle"], json!(false));
    let typed =
        ["--npt", "77", "--polarization", "0.5", "--dark", "scan/small_00001.cbf", "--no-solid-angle=false"];
    let (_, _, other) = said(&typed);
    assert_eq!(other["nbpt_rad"], json!(77));
    assert_eq!(other["polarization_description"], json!([0.5, 0.0]));
    assert!(
        other["dark_current"].as_array().is_some_and(|d| d.len() == 1 && d[0].to_string().contains("00001"))
    );
    assert_eq!(other["correct_solid_angle"], json!(true));
    assert_eq!(other["unit"], "2th_deg");
    // A range without its unit, a delta without its dummy would mean something else.
    let (code, error, _) = said(&["--unit", "q_nm^-1"]);
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("radial_range of the configuration is in 2th_deg"), "{error}");
    let (code, _, both) = said(&["--unit", "q_nm^-1", "--radial-range", "2", "9"]);
    assert_eq!((code, &both["radial_range"]), (0, &json!([2.0, 9.0])));
    let (_, _, dummy) = said(&["--dummy", "7"]);
    assert_eq!((&dummy["val_dummy"], &dummy["delta_dummy"]), (&json!(7.0), &Value::Null));
    // A typed PONI takes the place of the geometry, even of one that cannot be read.
    let broken = worker(json!({ "poni": { "dist": "far" } }));
    fs::write(folder.path().join("run.json"), broken.to_string()).expect("writable");
    assert_eq!(said(&[]).0, 4);
    assert_eq!(said(&["--poni", "small.poni"]).0, 0);
}

#[test]
fn names_are_found_beside_the_configuration() {
    let folder = scan(3);
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("[odd] folder")).expect("writable");
    for name in ["scan", "small.poni"] {
        fs::rename(at(name), at("[odd] folder").join(name)).expect("movable");
    }
    fs::write(at("[odd] folder/list.txt"), "scan/small_00002.cbf\n").expect("writable");
    for (input, frames) in [("scan", 3), ("scan/*1.cbf", 1), ("@list.txt", 1), ("scan/small_00000.cbf", 1)] {
        let config = json!({
            "nbpt_rad": 60, "poni": "small.poni", "input_data": [input], "dark_current": "scan/small_0000?.cbf",
        });
        fs::write(at("[odd] folder/run.json"), config.to_string()).expect("writable");
        let run =
            xrdct(folder.path(), &["integrate", "--config", "[odd] folder/run.json", "--dry-run", "-q"]);
        assert_eq!(run.code, 0, "{input}: {}", run.stderr);
        assert!(run.stdout.contains(&format!("{frames} of 61 x 47")), "{input}: {}", run.stdout);
        // Seen from the folder itself, and what is saved means the same from elsewhere.
        let inside = at("[odd] folder");
        let save = [
            "integrate",
            "--config",
            "run.json",
            "--dry-run",
            "-q",
            "--save-config",
            "again.json",
            "--overwrite",
        ];
        assert_eq!(xrdct(&inside, &save).code, 0);
        let again = inside.join("again.json").display().to_string();
        let run = xrdct(std::path::Path::new("/"), &["integrate", "--config", &again, "--dry-run"]);
        assert_eq!(run.code, 0, "{input}: {}", run.stderr);
        assert!(run.stdout.contains(&format!("{frames} of 61 x 47")), "{input}: {}", run.stdout);
    }
}

#[test]
fn settings_are_saved_once_and_nothing_is_replaced_unasked() {
    let folder = scan(2);
    let save = ["integrate", "--poni", "small.poni", "--dry-run", "--save-config", "run.json", "scan"];
    done(&folder, &save);
    let again = xrdct(folder.path(), &save);
    assert_eq!(again.code, 5);
    assert!(again.stderr.contains("--save-config run.json: there is already a file"), "{}", again.stderr);
    done(&folder, &[&save[..], &["--overwrite"]].concat());
    let input = xrdct(
        folder.path(),
        &[&save[..4], &["--save-config", "scan/small_00000.cbf", "--overwrite", "scan"]].concat(),
    );
    assert_eq!(input.code, 5, "{}", input.stderr);
    assert!(input.stderr.contains("which this run reads"), "{}", input.stderr);
    // The file says what pyFAI has words for in pyFAI's words only.
    let config =
        saved(&folder, &["--npt", "50", "--threads", "3", "--empty", "nan", "--azimuth-range", "100", "170"]);
    assert_eq!(config["method"], json!(["bbox", "csr", "cython"]));
    assert_eq!(config["xrdct"]["threads"], json!(3));
    assert_eq!(config["xrdct"]["empty"], json!("NaN"));
    for key in ["nbpt_rad", "unit", "method", "val_dummy", "poni"] {
        assert!(config["xrdct"].get(key).is_none(), "{key} is said twice");
    }
}

mod needs_oracle {
    use std::fs;
    use std::path::Path;

    use super::{done, scan, write_mask};
    use crate::support::{ask_oracle, xrdct};

    #[track_caller]
    fn ask(check: &str) {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let program = Path::new(env!("CARGO_BIN_EXE_xrdct"));
        let printed = ask_oracle("configuration.py", &[Path::new(check), program, scratch.path()]);
        assert!(printed.trim_end().ends_with(" passed, 0 failed") && !printed.starts_with("0 "), "{printed}");
    }

    #[test]
    fn a_worker_of_our_configuration_gives_our_numbers() {
        ask("ours");
    }

    #[test]
    fn pyfai_integrate_runs_our_configuration() {
        ask("integrate");
    }

    #[test]
    fn pyfais_viewer_and_diffmap_open_our_map() {
        ask("maps");
    }

    #[test]
    fn worker_configurations_of_every_version_are_followed() {
        ask("theirs");
    }

    #[test]
    fn configurations_and_results_of_diffmap_are_followed() {
        ask("their_maps");
    }

    /// Runs with these options, then from its result and from its saved settings, from other folders.
    #[track_caller]
    fn repeats(options: &[&str]) {
        let folder = scan(12);
        write_mask(&folder);
        let integrate = ["integrate", "--poni", "small.poni", "--device", "cpu"];
        let end = ["-o", "first.h5", "--save-config", "run.json"];
        done(&folder, &[&integrate[..], options, &end].concat());
        let elsewhere = tempfile::tempdir().expect("a scratch folder");
        let mut files = vec![folder.path().join("first.h5")];
        for (config, result) in [("first.h5", "second.h5"), ("run.json", "third.h5")] {
            let config = folder.path().join(config).display().to_string();
            let run = xrdct(elsewhere.path(), &["integrate", "--config", &config, "-o", result]);
            assert_eq!(run.code, 0, "{}", run.stderr);
            assert_eq!(run.stderr, "", "{options:?}");
            files.push(elsewhere.path().join(result));
        }
        // A repetition can be repeated, and needs no PONI file any more.
        fs::remove_file(folder.path().join("small.poni")).expect("removable");
        let second = files[1].display().to_string();
        let run = xrdct(elsewhere.path(), &["integrate", "--config", &second, "-o", "fourth.h5"]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        files.push(elsewhere.path().join("fourth.h5"));
        let paths: Vec<&Path> = files.iter().map(|file| file.as_path()).collect();
        assert_eq!(ask_oracle("repeats.py", &paths).trim(), "4 files repeat the run", "{options:?}");
    }

    #[test]
    fn our_own_output_repeats_the_run() {
        repeats(&["scan"]);
        // 0.1 + 0.2 has 17 digits; a value that is not exact would show.
        let odd = "0.30000000000000004";
        repeats(&[
            "--npt",
            "61",
            "--unit",
            "2th_deg",
            "--method",
            "full",
            "--polarization",
            "-0.5",
            "--azimuth-range",
            "-90",
            "100",
            "--normalization",
            odd,
            "--error-model",
            "poisson",
            "--dummy",
            "-2",
            "--delta-dummy",
            "1.5",
            "--empty",
            "nan",
            "--sums",
            "--strategy",
            "pool",
            "--threads",
            "2",
            "--readers",
            "1",
            "--bad-frames",
            "stop",
            "--offset",
            "2",
            "scan",
        ]);
        repeats(&[
            "--method",
            "no",
            "--no-solid-angle",
            "--radial-range",
            "1.1",
            "12.7",
            "--dark",
            "scan/small_0000?.cbf",
            "--flat",
            "scan/small_00003.cbf",
            "--mask",
            "mask.cbf",
            "--empty=-0.1",
            "scan/*.cbf",
            "--dummy",
            "3",
        ]);
    }

    #[test]
    fn our_own_maps_repeat_the_run() {
        let map = ["--slow", "3", "--fast", "4", "--npt", "40"];
        repeats(&[&map[..], &["--zigzag", "--error-model", "poisson", "scan"]].concat());
        repeats(&[&map[..], &["--offset", "1", "--unit", "q_A^-1", "scan"]].concat());
    }
}
