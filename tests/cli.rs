//! The program as a user meets it: what it prints, what it writes, how it ends.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{ask_oracle, names, write_small_scan, xrdct};

fn scan(frames: usize) -> TempDir {
    let folder = tempfile::tempdir().expect("a scratch folder");
    write_small_scan(folder.path(), frames);
    folder
}

const INTEGRATE: [&str; 6] = ["integrate", "--poni", "small.poni", "--npt", "60", "scan"];

#[track_caller]
fn done(folder: &TempDir, arguments: &[&str]) -> String {
    let done = xrdct(folder.path(), arguments);
    assert_eq!(done.code, 0, "{}", done.stderr);
    done.stdout
}

#[test]
fn every_option_is_explained() {
    let folder = scan(0);
    let help = done(&folder, &["integrate", "--help"]);
    for option in [
        "--poni",
        "--output",
        "--npt",
        "--unit",
        "--method",
        "--mask",
        "--dark",
        "--flat",
        "--polarization",
        "--no-solid-angle",
        "--error-model",
        "--radial-range",
        "--azimuth-range",
        "--dummy",
        "--delta-dummy",
        "--normalization",
        "--slow",
        "--fast",
        "--zigzag",
        "--offset",
        "--strategy",
        "--readers",
        "--threads",
        "--device",
        "--bad-frames",
        "--no-verify",
        "--overwrite",
        "--dry-run",
        "--quiet",
        "--verbose",
        "--config",
    ] {
        assert!(help.contains(option), "no {option} in:\n{help}");
    }
    for command in ["integrate", "merge", "convert", "info", "simulate", "completions"] {
        assert!(done(&folder, &["--help"]).contains(command));
    }
    assert!(done(&folder, &["completions", "bash"]).contains("--azimuth-range"));
}

#[test]
fn info_says_what_this_machine_can_do() {
    let folder = scan(1);
    let info = done(&folder, &["info"]);
    for word in ["xrdct", "threads", "HDF5", "kernels", "GPU"] {
        assert!(info.contains(word), "no '{word}' in:\n{info}");
    }
    let info = done(&folder, &["info", "scan/small_00000.cbf", "small.poni"]);
    for word in ["byte-offset", "61 x 47", "int32", "Exposure_time", "PONI file", "172", "1.000000 Å"] {
        assert!(info.contains(word), "no '{word}' in:\n{info}");
    }
    let other = xrdct(folder.path(), &["info", "nowhere"]);
    assert_eq!(other.code, 3);
    assert!(other.stderr.contains("nowhere"), "{}", other.stderr);
}

#[test]
fn a_dry_run_says_everything_and_does_nothing() {
    let folder = scan(3);
    let said = done(&folder, &[&INTEGRATE[..], &["-o", "out.h5", "--dry-run"]].concat());
    for word in
        ["3 of 61 x 47 int32", "small.poni", "60 in q_nm^-1", "bbox", "solid angle", "out.h5", "nothing done"]
    {
        assert!(said.contains(word), "no '{word}' in:\n{said}");
    }
    assert_eq!(names(folder.path()), ["scan", "small.poni"]);
}

#[test]
fn quiet_says_nothing_and_the_summary_says_all() {
    let folder = scan(3);
    let quiet = xrdct(folder.path(), &[&INTEGRATE[..], &["-o", "a.h5", "--quiet"]].concat());
    assert_eq!((quiet.code, quiet.stdout.as_str(), quiet.stderr.as_str()), (0, "", ""));
    let said = done(&folder, &[&INTEGRATE[..], &["-o", "b.h5"]].concat());
    for word in ["3 of 3", "frames/s", "read", "decode+integrate", "write", "matrix", "b.h5"] {
        assert!(said.contains(word), "no '{word}' in:\n{said}");
    }
}

#[test]
fn a_trace_is_a_timeline_that_can_be_drawn() {
    let folder = scan(5);
    done(
        &folder,
        &[&INTEGRATE[..], &["-o", "out.h5", "--trace", "trace.json", "--strategy", "pool"]].concat(),
    );
    let text = fs::read_to_string(folder.path().join("trace.json")).expect("readable");
    let trace: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("a list");
    for stage in ["read", "decode+integrate", "write"] {
        let bars = events.iter().filter(|e| e["ph"] == "X" && e["name"] == stage).count();
        assert!(bars >= 1, "no {stage}");
    }
    assert_eq!(events.iter().filter(|e| e["name"] == "read").count(), 5);
}

#[test]
fn a_gpu_that_is_not_there_is_an_error() {
    let folder = scan(1);
    // Hides the GPUs of a machine that has some.
    let run = Command::new(env!("CARGO_BIN_EXE_xrdct"))
        .current_dir(folder.path())
        .env("CUDA_VISIBLE_DEVICES", "")
        .args(INTEGRATE)
        .args(["-o", "out.h5", "--device", "cuda"])
        .output()
        .expect("xrdct starts");
    assert_eq!(run.status.code(), Some(6));
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(["driver", "GPU", "kernels"].iter().any(|word| said.contains(word)), "{said}");
    assert_eq!(names(folder.path()), ["scan", "small.poni"]);
    let other = xrdct(folder.path(), &[&INTEGRATE[..], &["-o", "out.h5", "--device", "cuda:99"]].concat());
    assert_eq!(other.code, 6, "{}", other.stderr);
}

#[test]
fn nobody_misses_a_gpu_that_nobody_asked_for() {
    let folder = scan(3);
    for more in [&["--verbose"][..], &["--dry-run"], &["--overwrite"]] {
        let run = Command::new(env!("CARGO_BIN_EXE_xrdct"))
            .current_dir(folder.path())
            .env("CUDA_VISIBLE_DEVICES", "")
            .args(INTEGRATE)
            .args(["-o", "out.h5", "--save-config", "out.json"])
            .args(more)
            .output()
            .expect("xrdct starts");
        let said = [run.stdout, run.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
        assert_eq!(run.status.code(), Some(0), "{said}");
        assert!(said.contains("CPU (") && !said.contains("cannot be used"), "{said}");
        let settings = std::fs::read_to_string(folder.path().join("out.json")).unwrap();
        assert!(settings.contains("csr cpu"), "{settings}");
        std::fs::remove_file(folder.path().join("out.json")).unwrap();
    }
}

mod needs_oracle {
    use super::*;

    #[test]
    fn the_same_bits_for_every_crew() {
        let folder = scan(23);
        let options = ["--dummy", "-2", "--delta-dummy", "1.5", "--polarization", "0.9", "--sums"];
        let crews: [(&str, &[&str]); 6] = [
            ("sequential", &["--strategy", "sequential"]),
            ("one", &["--strategy", "pool", "--threads", "1"]),
            ("two", &["--strategy", "pool", "--threads", "2"]),
            ("seven", &["--strategy", "pool", "--threads", "7", "--readers", "3"]),
            ("auto", &[]),
            ("again", &[]),
        ];
        let reductions: [&[&str]; 9] = [
            &["--method", "no", "--error-model", "poisson"],
            &["--method", "bbox", "--error-model", "poisson"],
            &["--method", "full", "--error-model", "poisson"],
            &["--error-model", "azimuthal"],
            &["--clip", "2"],
            &["--clip", "2", "--method", "full", "--error-model", "hybrid"],
            &["--clip", "1", "--error-model", "poisson"],
            &["--statistic", "median", "--error-model", "poisson"],
            &["--quantile", "0.2", "0.9", "--method", "no"],
        ];
        for (n, reduction) in reductions.into_iter().enumerate() {
            let files: Vec<_> = crews
                .iter()
                .map(|(name, crew)| {
                    let file = format!("{n}-{name}.h5");
                    done(&folder, &[&INTEGRATE[..], &options, crew, reduction, &["-o", &file]].concat());
                    folder.path().join(file)
                })
                .collect();
            let paths: Vec<_> = files.iter().map(|f| f.as_path()).collect();
            assert_eq!(ask_oracle("same_bits.py", &paths).trim(), "6 files hold the same bits");
        }
    }

    #[test]
    fn a_result_repeats_itself() {
        let folder = scan(4);
        let options = [
            "--unit",
            "2th_deg",
            "--method",
            "full",
            "--polarization",
            "-0.5",
            "--azimuth-range",
            "-90",
            "100",
        ];
        done(
            &folder,
            &[&INTEGRATE[..], &options, &["-o", "first.h5", "--sums", "--normalization", "2"]].concat(),
        );
        // From another folder, to be sure that the configuration's names mean the same there.
        let elsewhere = tempfile::tempdir().expect("a scratch folder");
        let first = folder.path().join("first.h5");
        let again = elsewhere.path().join("again.h5");
        let said =
            xrdct(elsewhere.path(), &["integrate", "--config", &first.to_string_lossy(), "-o", "again.h5"]);
        assert_eq!(said.code, 0, "{}", said.stderr);
        assert_eq!(ask_oracle("same_bits.py", &[&first, &again]).trim(), "2 files hold the same bits");
        // What is typed wins.
        let other = elsewhere.path().join("other.h5");
        let said = xrdct(
            elsewhere.path(),
            &["integrate", "--config", &first.to_string_lossy(), "-o", "other.h5", "--normalization", "4"],
        );
        assert_eq!(said.code, 0, "{}", said.stderr);
        assert_eq!(ask_oracle("half.py", &[&first, &other]).trim(), "half");
    }

    #[test]
    fn a_map_is_laid_out_as_it_was_scanned() {
        let folder = scan(12);
        done(&folder, &[&INTEGRATE[..], &["-o", "plain.h5", "--offset", "2"]].concat());
        done(
            &folder,
            &[&INTEGRATE[..], &["-o", "map.h5", "--offset", "2", "--slow", "3", "--fast", "4"]].concat(),
        );
        let zigzag = ["-o", "zigzag.h5", "--offset", "2", "--slow", "3", "--fast", "4", "--zigzag"];
        done(&folder, &[&INTEGRATE[..], &zigzag].concat());
        let files = ["plain.h5", "map.h5", "zigzag.h5"].map(|n| folder.path().join(n));
        let paths: Vec<_> = files.iter().map(|f| f.as_path()).collect();
        assert_eq!(ask_oracle("maps.py", &paths).trim(), "3 x 4 points, rows where they belong, 2 pending");
    }

    #[test]
    fn the_demo_opens_by_default_attributes_alone() {
        // What scripts/demo.sh does, with fewer points.
        let folder = tempfile::tempdir().expect("a scratch folder");
        done(
            &folder,
            &["simulate", "--phantom", "--rotations", "4", "--translations", "5", "--output", "scan"],
        );
        let integrate = [
            "integrate",
            "--poni",
            "scan/geometry.poni",
            "--slow",
            "4",
            "--fast",
            "5",
            "--npt",
            "100",
            "--unit",
            "q_A^-1",
        ];
        for (name, more) in [("plain.h5", &[][..]), ("errors.h5", &["--error-model", "poisson"])] {
            done(&folder, &[&integrate[..], more, &["--output", name, "scan"]].concat());
            let reached = ask_oracle("follow_default.py", &[&folder.path().join(name)]);
            assert!(reached.contains("/entry_0000/xrdct/result"), "{reached}");
        }
    }

    #[test]
    fn compressed_files_are_the_same_frames() {
        let folder = scan(3);
        done(&folder, &[&INTEGRATE[..], &["-o", "plain.h5", "--sums"]].concat());
        let zipped = folder.path().join("zipped");
        fs::create_dir(&zipped).expect("writable");
        for (number, suffix) in ["gz", "bz2", ""].iter().enumerate() {
            let bytes =
                fs::read(folder.path().join(format!("scan/small_{number:05}.cbf"))).expect("readable");
            let name = zipped.join(format!("small_{number:05}.cbf.{suffix}").trim_end_matches('.'));
            let file = fs::File::create(name).expect("writable");
            match *suffix {
                "gz" => std::io::Write::write_all(
                    &mut flate2::write::GzEncoder::new(file, flate2::Compression::fast()),
                    &bytes,
                ),
                "bz2" => std::io::Write::write_all(
                    &mut bzip2::write::BzEncoder::new(file, bzip2::Compression::fast()),
                    &bytes,
                ),
                _ => std::io::Write::write_all(&mut &file, &bytes),
            }
            .expect("writable");
        }
        done(
            &folder,
            &["integrate", "--poni", "small.poni", "--npt", "60", "--sums", "zipped", "-o", "zipped.h5"],
        );
        let files = ["plain.h5", "zipped.h5"].map(|n| folder.path().join(n));
        assert_eq!(ask_oracle("same_bits.py", &[&files[0], &files[1]]).trim(), "2 files hold the same bits");
    }
}
