//! Results that are NXazint1d or NXazint2d, too: whatever they are made of, NeXus's own rules hold and the arrays are the result's.

use std::fs;
use std::path::Path;

use crate::support::{SMALL_PONI, write_small_scan, xrdct};

const FRAMES: usize = 20;

#[track_caller]
fn run(at: &Path, options: &[&str], output: &str) {
    let words = [
        "integrate",
        "scan",
        "-p",
        "small.poni",
        "-c",
        "30",
        "--device",
        "cpu",
        "-q",
        "--overwrite",
        "-o",
        output,
    ];
    let done = xrdct(at, &[&words[..], options].concat());
    assert_eq!(done.code, 0, "{options:?}: {}", done.stderr);
}

#[test]
fn what_cannot_be_of_a_definition_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_small_scan(at, 2);
    let colourless: Vec<&str> = SMALL_PONI.lines().filter(|line| !line.starts_with("Wavelength")).collect();
    fs::write(at.join("colourless.poni"), colourless.join("\n") + "\n").unwrap();
    for (options, code, words) in [
        (&["-p", "small.poni", "--definition", "NXazint2d"][..], 2, "needs --npt-azim"),
        (
            &["-p", "small.poni", "--definition", "NXazint1d", "--npt-azim", "4"],
            2,
            "bins of two are NXazint2d",
        ),
        (
            &["-p", "small.poni", "--definition", "NXazint1d", "--unit", "r_mm"],
            2,
            "its radial axis is q or 2theta, not r_mm",
        ),
        (&["-p", "small.poni", "--definition", "NXfluo"], 2, "NXazint1d"),
        (&["-p", "colourless.poni", "--definition", "NXazint1d", "--unit", "2th_deg"], 4, "colourless.poni"),
    ] {
        let done = xrdct(at, &[&["integrate", "scan", "--device", "cpu", "-o", "no.h5"], options].concat());
        assert!(
            done.code == code && done.stderr.contains(words),
            "{options:?}: {} {}",
            done.code,
            done.stderr
        );
        assert!(!at.join("no.h5").exists());
    }
}

mod needs_oracle {
    use super::*;
    use crate::support::ask_oracle;

    #[test]
    fn results_follow_the_definitions_of_nexus() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        write_small_scan(at, FRAMES);
        let one = ["--definition", "NXazint1d"];
        let two = ["--definition", "NXazint2d", "--npt-azim", "7"];
        let cases: [(&str, &[&str], &[&str]); 8] = [
            ("series.h5", &one, &["--unit", "2th_deg", "--error-model", "poisson", "--polarization", "0.95"]),
            ("q.h5", &one, &["--unit", "q_A^-1", "--sums", "--no-solid-angle"]),
            ("monitor.h5", &one, &["--monitor", "exposure_time", "--statistic", "clip"]),
            ("map.h5", &one, &["--slow", "5", "--fast", "4", "--zigzag"]),
            // The last lines have no frames.
            ("short.h5", &one, &["--slow", "30", "--fast", "4", "--error-model", "poisson"]),
            ("cakes.h5", &two, &["--error-model", "azimuthal"]),
            ("cakes_map.h5", &two, &["--slow", "5", "--fast", "4", "--unit", "2th_rad"]),
            ("segments.h5", &one, &["--segments", "64K", "--error-model", "poisson"]),
        ];
        for (name, definition, options) in cases {
            run(at, &[definition, options].concat(), name);
        }
        // A whole says what its parts say.
        for part in ["1", "2"] {
            let options = ["--part", &format!("{part}/2"), "--error-model", "poisson"];
            run(at, &[&one[..], &options].concat(), &format!("p{part}.h5"));
        }
        for (how, whole) in [(&[][..], "copied.h5"), (&["--virtual"], "virtual.h5")] {
            let done = xrdct(at, &[&["merge", "p1.h5", "p2.h5", "-q", "-o", whole], how].concat());
            assert_eq!(done.code, 0, "{}", done.stderr);
        }
        // It is a setting of the run, which a run of its configuration repeats.
        run(at, &["--config", "q.h5", "--sums"], "again.h5");
        let names = cases.map(|(name, ..)| name);
        let files: Vec<_> = names
            .into_iter()
            .chain(["copied.h5", "virtual.h5", "again.h5"])
            .map(|name| at.join(name))
            .collect();
        println!(
            "{}",
            ask_oracle("definition.py", &files.iter().map(|file| file.as_path()).collect::<Vec<_>>())
        );
    }
}
