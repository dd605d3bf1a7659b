//! The problem that robust statistics are for: spots and hits, which spoil the slices of means and not those of clipped ones.

use std::path::Path;

use crate::support::xrdct;

/// Correlations of three slices with the truth, of a scan that was integrated with a statistic.
fn correlations(at: &Path, scan: &str, statistic: &str) -> Vec<f64> {
    let run = |words: &[&str]| {
        let done = xrdct(at, words);
        assert_eq!(done.code, 0, "{words:?}: {}", done.stderr);
    };
    let poni = format!("{scan}/geometry.poni");
    let truth = format!("{scan}/truth.h5");
    run(&[
        "integrate",
        "-p",
        &poni,
        "--statistic",
        statistic,
        "--slow",
        "30",
        "--fast",
        "31",
        "--npt",
        "500",
        "--unit",
        "q_A^-1",
        "--device",
        "cpu",
        "-q",
        "--overwrite",
        "-o",
        "scan.h5",
        scan,
    ]);
    run(&[
        "tomo",
        "scan.h5",
        "-o",
        "tomo.h5",
        "--overwrite",
        "--device",
        "cpu",
        "-q",
        "--centre",
        "15",
        "--regions-only",
        "--region",
        "LaB6=2.077:2.199",
        "--region",
        "CeO2=1.950:2.072",
        "--region",
        "Al2O3=2.402:2.524",
    ]);
    run(&["plot", "tomo.h5", "--truth", &truth, "-o", "overview.svg", "--overwrite"]);
    let svg = std::fs::read_to_string(at.join("overview.svg")).unwrap();
    let words = svg.split("correlation ").skip(1);
    words.map(|text| text.split('<').next().unwrap().trim().parse().unwrap()).collect()
}

#[test]
fn spots_and_hits_spoil_slices_of_means_and_of_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (scan, more) in [("clean", &[][..]), ("spotted", &["--spots", "25", "--hits", "40"])] {
        let words = ["simulate", "-o", scan, "--phantom"];
        let done = xrdct(at, &[&words[..], more].concat());
        assert_eq!(done.code, 0, "{}", done.stderr);
    }
    // Without them all statistics find the sample.
    for (scan, statistic, least, most) in [
        ("clean", "mean", 0.97, 1.0),
        ("clean", "clip", 0.97, 1.0),
        ("clean", "median", 0.97, 1.0),
        ("spotted", "mean", -1.0, 0.75),
        ("spotted", "clip", 0.93, 1.0),
        ("spotted", "median", 0.97, 1.0),
    ] {
        let found = correlations(at, scan, statistic);
        println!("{scan} {statistic}: {found:?}");
        assert_eq!(found.len(), 3);
        assert!(found.iter().all(|found| (least..=most).contains(found)), "{scan} {statistic}: {found:?}");
    }
}
