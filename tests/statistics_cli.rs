//! Statistics and errors at the command line: what may be said, what it becomes in configurations, and that a GPU is not asked for them.

use std::fs;

use serde_json::{Value, json};

use crate::config::{saved, scan, worker};
use crate::support::{SMALL, xrdct};

#[test]
fn statistics_and_errors_go_to_pyfais_keys_and_come_back() {
    let folder = scan(2);
    fs::write(folder.path().join("variance.npy"), npy(|at| at as f32 + 0.5)).expect("writable");
    let rows = [
        (&["--error-model", "azimuthal"][..], "azimuthal", Value::Null, Value::Null),
        (&["--error-model", "hybrid"], "hybrid", Value::Null, Value::Null),
        (&["--variance", "variance.npy"], "variance", Value::Null, Value::Null),
        (
            &["--statistic", "clip"],
            "azimuthal",
            json!("sigma_clip_ng"),
            json!({ "thres": 5.0, "max_iter": 5 }),
        ),
        (
            &["--clip", "3.5", "--error-model", "poisson"],
            "poisson",
            json!("sigma_clip_ng"),
            json!({ "thres": 3.5, "max_iter": 5 }),
        ),
        (
            &["--clip-cycles", "0", "--error-model", "hybrid"],
            "hybrid",
            json!("sigma_clip_ng"),
            json!({ "thres": 5.0, "max_iter": 0 }),
        ),
        (&["--statistic", "median"], "no", json!("medfilt1d_ng"), json!({ "percentile": 50.0 })),
        (&["--quantile", "0.25", "0.75"], "no", json!("medfilt1d_ng"), json!({ "percentile": [25.0, 75.0] })),
        (&["--quantile", "0.07", "0.07"], "no", json!("medfilt1d_ng"), json!({ "percentile": 0.07 * 100.0 })),
        (&["--statistic", "mean"], "no", Value::Null, Value::Null),
    ];
    for (options, errors, method, extra) in rows {
        let first = saved(&folder, options);
        assert_eq!(first["error_model"], errors, "{options:?}");
        assert_eq!((&first["integrator_method"], &first["extra_options"]), (&method, &extra), "{options:?}");
        // pyFAI clips without pixel splitting when nobody says.
        let split = if method == "sigma_clip_ng" { "no" } else { "bbox" };
        assert_eq!(first["method"][0], split, "{options:?}");
        fs::write(folder.path().join("first.json"), first.to_string()).expect("writable");
        let again = saved(&folder, &["--config", "first.json"]);
        assert_eq!(again, first, "{options:?}");
    }
    // What is typed takes what belongs to it along.
    let clip = worker(
        json!({ "integrator_method": "sigma_clip_ng", "extra_options": { "thres": 3, "error_model": "poisson" } }),
    );
    fs::write(folder.path().join("clip.json"), clip.to_string()).expect("writable");
    let over = |options: &[&str]| saved(&folder, &[&["--config", "clip.json"], options].concat());
    assert_eq!(over(&[])["extra_options"], json!({ "thres": 3.0, "max_iter": 5 }));
    assert_eq!(over(&["--clip-cycles", "9"])["extra_options"], json!({ "thres": 3.0, "max_iter": 9 }));
    assert_eq!(over(&["--statistic", "median"])["extra_options"], json!({ "percentile": 50.0 }));
    assert_eq!(over(&["--statistic", "mean"])["integrator_method"], Value::Null);
    assert_eq!(over(&["--variance", "variance.npy"])["error_model"], "variance");
    let median =
        worker(json!({ "integrator_method": "medfilt1d_ng", "extra_options": { "percentile": [90, 10] } }));
    fs::write(folder.path().join("clip.json"), median.to_string()).expect("writable");
    assert_eq!(over(&[])["extra_options"], json!({ "percentile": [10.0, 90.0] }));
    let bare = worker(json!({ "integrator_method": "medfilt1d_ng" }));
    fs::write(folder.path().join("clip.json"), bare.to_string()).expect("writable");
    assert_eq!(over(&[])["extra_options"], json!({ "percentile": 50.0 }));
}

/// An image of the small frames' shape as numpy writes it.
fn npy(value: impl Fn(usize) -> f32) -> Vec<u8> {
    let header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", SMALL.slow, SMALL.fast);
    let header = format!("{header:<117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    (0..SMALL.pixels()).for_each(|at| bytes.extend(value(at).to_le_bytes()));
    bytes
}

#[test]
fn statistics_that_cannot_be_meant_are_refused_and_a_gpu_is_not_asked_for_them() {
    let folder = scan(2);
    fs::write(folder.path().join("negative.npy"), npy(|at| if at == 50 { -1.0 } else { 1.0 }))
        .expect("writable");
    fs::write(folder.path().join("nowhere.npy"), npy(|_| f32::NAN)).expect("writable");
    fs::write(folder.path().join("holes.npy"), npy(|at| if at < 9 { f32::NAN } else { 1.0 }))
        .expect("writable");
    let run = |options: &[&str]| {
        let end = ["--poni", "small.poni", "--dry-run", "scan"];
        xrdct(folder.path(), &[&["integrate"], options, &end].concat())
    };
    for (options, code, message) in [
        (
            &["--statistic", "mean", "--clip", "3"][..],
            2,
            "--clip and --clip-cycles belong to --statistic clip, not to mean",
        ),
        (
            &["--statistic", "median", "--quantile", "0", "1"],
            2,
            "--quantile belongs to --statistic quantile, not to median",
        ),
        (&["--statistic", "quantile"], 2, "--statistic quantile needs --quantile LOW HIGH"),
        (&["--quantile", "0.5", "0.4"], 2, "--quantile 0.5 0.4: must be two numbers from 0 to 1"),
        (&["--quantile", "25", "75"], 2, "25 % is 0.25"),
        (&["--clip", "nan"], 2, "--clip NaN: must be 0 or a positive number"),
        (&["--clip-cycles", "1001"], 2, "--clip-cycles 1001: must be from 0 to 1000"),
        (&["--variance", "holes.npy", "--error-model", "poisson"], 2, "which of them?"),
        (&["--statistic", "median", "--error-model", "azimuthal"], 2, "do not say how all of them differ"),
        (&["--variance", "negative.npy"], 4, "row 1, column 3 is -1: a variance cannot be below 0"),
        (&["--variance", "nowhere.npy"], 4, "no pixel has a finite variance"),
        (&["--variance", "none.npy"], 4, "none.npy"),
        (
            &["--statistic", "clip", "--device", "cuda"],
            2,
            "--device cuda: --statistic clip is not done on a GPU yet",
        ),
        (
            &["--statistic", "median", "--device", "cuda:all"],
            2,
            "--statistic median is not done on a GPU yet",
        ),
        (
            &["--error-model", "azimuthal", "--device", "cuda:0"],
            2,
            "--error-model azimuthal is not done on a GPU yet",
        ),
        (&["--variance", "holes.npy", "--device", "cuda"], 2, "--variance is not done on a GPU yet"),
        (&["--clip", "3", "--strategy", "gpu"], 6, "--statistic clip is not done on a GPU yet"),
    ] {
        let run = run(options);
        assert!(run.stderr.contains(message), "{options:?}: {}", run.stderr);
        assert_eq!(run.code, code, "{options:?}: {}", run.stderr);
    }
    for (options, message) in [
        (&["--statistic", "clip"][..], "CPU (--statistic clip is not done on a GPU yet)"),
        (&["--clip", "4"], "those are azimuthal"),
        (&["--clip", "4", "--error-model", "hybrid", "--method", "bbox"], "pyFAI advises --method no"),
        (&["--variance", "holes.npy"], "9 pixels without a finite variance are left out"),
    ] {
        let run = run(options);
        assert_eq!(run.code, 0, "{options:?}: {}", run.stderr);
        assert!(
            (run.stderr.clone() + &run.stdout).contains(message),
            "{options:?}: {}{}",
            run.stderr,
            run.stdout
        );
    }
}
