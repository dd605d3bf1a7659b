//! `xrdct slurm`: what is wrong is said at once, the scripts are sound, and a real Slurm runs them to the same bits, whatever is killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{names, write_small_scan, xrdct};

const FRAMES: usize = 40;

/// A folder whose name nobody quotes right by accident.
const AWKWARD: &str = "visit 7 'b' $HOME";

/// A small scan with a bad frame, in a folder of an awkward name.
fn scan() -> (tempfile::TempDir, PathBuf) {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join(AWKWARD);
    fs::create_dir(&folder).unwrap();
    write_small_scan(&folder, FRAMES);
    let frame = folder.join("scan/small_00011.cbf");
    let whole = fs::read(&frame).unwrap();
    fs::write(&frame, &whole[..whole.len() / 2]).unwrap();
    (scratch, folder)
}

const INTEGRATION: [&str; 8] = ["scan", "--poni", "small.poni", "-c", "60", "--sums", "--frames", "0:40"];

#[test]
fn what_is_wrong_is_said_at_once_in_integrates_words() {
    let (_scratch, folder) = scan();
    let before = names(&folder);
    for (wrong, code) in [
        (&["scan", "-p", "no.poni", "-o", "r.h5"][..], 4),
        (&["no", "-p", "small.poni", "-o", "r.h5"], 3),
        (&["scan", "-p", "small.poni", "-o", "r.h5", "--unit", "miles"], 2),
        (&["scan", "-p", "small.poni", "-o", "r.h5", "--device", "abacus"], 2),
        (&["scan", "-p", "small.poni", "-o", "small.poni"], 5),
        (&["scan", "-p", "small.poni", "-o", "r.h5", "-r", "3", "-t", "3"], 2),
        (&["scan", "-p", "small.poni", "-o", "r.h5", "--tomo", "t.h5", "--tomo-options", "--filter x"], 2),
        (&["scan", "-p", "small.poni", "-o", "r.h5", "--mask", "no.npy"], 4),
        (&["scan", "-p", "small.poni", "-o", "r.h5", "-c", "50", "--radial-range", "900", "950"], 4),
        // The corners are elsewhere.
        (
            &[
                "scan",
                "-p",
                "small.poni",
                "-o",
                "r.h5",
                "--radial-range",
                "12",
                "12.4",
                "--azimuth-range",
                "0",
                "1",
            ],
            4,
        ),
    ] {
        let integrate = xrdct(&folder, &[&["integrate", "--dry-run"], wrong].concat());
        let slurm = xrdct(&folder, &[&["slurm", "--parts", "2"], wrong].concat());
        assert_eq!((slurm.code, &slurm.stderr), (integrate.code, &integrate.stderr), "{wrong:?}");
        assert_eq!(slurm.code, code, "{wrong:?}: {}", slurm.stderr);
    }
    for (options, expected) in [
        (&["--parts", "41"][..], "--part: "),
        (&["--parts", "10001"], "10001 is not a number of parts from 1 to 10000"),
        (&["--parts", "0"], "MaxArraySize, 1001 unless the site says otherwise"),
        (&["--parts", "2", "--part", "1/2"], "--part: the tasks of the job array say which"),
        (&["--parts", "2", "--sbatch", "gpu"], "gpu is no option"),
        (&["--parts", "2", "--sbatch", "--time='5"], "a quote is not closed"),
        (&["--parts", "2", "--sbatch", "--array=1-9"], "--array=1-9 is for the scripts to say"),
        (&["--parts", "2", "--sbatch", "-p gpu -a1-9"], "-a1-9 is for the scripts to say"),
        (&["--parts", "2", "--sbatch", "--comment='a\nb'"], "a line break cannot stand in a script"),
        (&["--parts", "2", "--folder", "50%a"], "50%a: Slurm takes % and"),
        (&["--parts", "2", "--trace", "t.json"], "--trace: for one run"),
        (&["--parts", "2", "--prologue", "no.sh"], "--prologue no.sh"),
    ] {
        let words = [&["slurm", "-o", "r.h5"], &INTEGRATION[..], options].concat();
        let refused = xrdct(&folder, &words);
        assert!(
            refused.code == 2 && refused.stderr.contains(expected),
            "{}: {}",
            refused.code,
            refused.stderr
        );
    }
    let dry =
        xrdct(&folder, &[&["slurm", "-o", "r.h5", "--parts", "3", "--dry-run"], &INTEGRATION[..]].concat());
    assert!(dry.code == 0 && dry.stdout.contains("nothing done"), "{}", dry.stderr);
    assert_eq!(names(&folder), before, "nothing is written");
}

#[test]
fn what_is_there_is_not_replaced_unasked() {
    let (_scratch, folder) = scan();
    let run = |more: &[&str]| {
        xrdct(&folder, &[&["slurm", "-q", "-o", "r.h5", "--parts", "3"], &INTEGRATION[..], more].concat())
    };
    assert_eq!(run(&[]).code, 0);
    let again = run(&[]);
    assert!(
        again.code == 5 && again.stderr.contains("r.slurm: there is already a folder"),
        "{}",
        again.stderr
    );
    assert_eq!((run(&["--overwrite"]).code, run(&["--resume"]).code), (0, 0));
    fs::write(folder.join("r.slurm/parts/part_1.h5"), "").unwrap();
    let parts = run(&["--overwrite"]);
    assert!(parts.code == 5 && parts.stderr.contains("parts of an earlier run"), "{}", parts.stderr);
    assert_eq!(run(&["--resume"]).code, 0);
    fs::write(folder.join("r.h5"), "").unwrap();
    let result = run(&["--folder", "other"]);
    assert!(result.code == 5 && result.stderr.contains("r.h5: there is already a file"), "{}", result.stderr);
    assert!(!folder.join("other").exists());
}

/// Text of a script that was written for options.
fn script(folder: &Path, name: &str, more: &[&str]) -> String {
    let words =
        [&["slurm", "-q", "-o", "r.h5", "--parts", "12", "--overwrite"], &INTEGRATION[..], more].concat();
    let done = xrdct(folder, &words);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    fs::read_to_string(folder.join("r.slurm").join(name)).unwrap()
}

#[test]
fn options_of_slurm_stand_where_they_count() {
    let (_scratch, folder) = scan();
    let text = |more: &[&str]| script(&folder, "integrate.sbatch", more);
    let plain = text(&[]);
    assert!(
        plain.contains("--device cpu --threads \"${SLURM_CPUS_PER_TASK:-$SLURM_CPUS_ON_NODE}\""),
        "{plain}"
    );
    assert!(plain.contains("#SBATCH --array=1-12\n") && plain.contains("part_%02d.h5"), "{plain}");
    for gpu in ["--gres=gpu:1", "--gres gpu", "-p x --gpus=2", "-G1", "--tres-per-task=gres:gpu:1"] {
        let text = text(&["--sbatch", gpu]);
        assert!(text.contains("--device cuda ") && text.contains(&format!("#SBATCH {gpu}\n")), "{text}");
    }
    let said = text(&["--sbatch", "--gres=gpu:1", "--device", "cuda:1", "--threads", "3"]);
    assert!(said.contains("--device cuda:1 --threads 3 "), "{said}");
    assert!(text(&["--sbatch", "--gres=nvme:1"]).contains("--device cpu"));
    let merge = |more: &[&str]| script(&folder, "merge.sbatch", more);
    assert!(merge(&["--sbatch", "-p gpu"]).contains("#SBATCH -p gpu\n"));
    let own = merge(&["--sbatch", "-p gpu", "--sbatch-merge", "-p cpu"]);
    assert!(own.contains("#SBATCH -p cpu\n") && !own.contains("-p gpu"), "{own}");
    assert!(own.contains("parts/part_{01..12}.h5"), "{own}");
}

#[test]
fn every_script_is_bash() {
    let (_scratch, folder) = scan();
    fs::write(folder.join("modules.sh"), "module load hdf5\n").unwrap();
    let more = ["--tomo", "t.h5", "--tomo-options", "--region 'a b=1:2'", "--prologue", "modules.sh"];
    script(&folder, "tomo.sbatch", &more);
    let folder = folder.join("r.slurm");
    let scripts =
        ["integrate.sbatch", "logs", "merge.sbatch", "parts", "prologue.sh", "submit.sh", "tomo.sbatch"];
    assert_eq!(names(&folder), scripts);
    for name in scripts.into_iter().filter(|name| name.contains('.')) {
        let checked = Command::new("bash").arg("-n").arg(folder.join(name)).output().unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success() && said.is_empty(), "{name}: {said}");
    }
}

mod needs_slurm {
    use super::*;
    use crate::support::slurm::{Cluster, shellcheck, wait_for};
    use xrdct::output::result::ResultInfo;

    #[test]
    fn shellcheck_has_nothing_to_say() {
        let (_scratch, folder) = scan();
        fs::write(folder.join("modules.sh"), "export A=b\n").unwrap();
        let plain = ["--tomo", "t.h5", "--tomo-options", "--region 'a b=1:2'"];
        for more in [&plain[..], &[&plain[..], &["--prologue", "modules.sh", "--threads", "2"]].concat()] {
            script(&folder, "tomo.sbatch", more);
            for name in ["integrate.sbatch", "merge.sbatch", "tomo.sbatch", "submit.sh"] {
                assert_eq!(shellcheck(&folder.join("r.slurm").join(name)), "", "{name}");
            }
        }
    }

    mod needs_oracle {
        use super::*;
        use crate::manners::disk;
        use crate::support::{Done, ask_oracle, ask_oracle_code, one_line};

        /// Compares tomograms: every slice, sinogram and axis.
        const SAME_TOMOGRAM: &str = "
import sys, h5py, numpy as np
one, two = (h5py.File(name) for name in sys.argv[1:])
compared = 0
def compare(name, item):
    global compared
    if isinstance(item, h5py.Dataset) and item.dtype.kind == 'f' and item.ndim > 0:
        assert item[()].tobytes() == two[name][()].tobytes(), name
        compared += item.ndim > 1
one.visititems(compare)
print('same', compared > 2)
";

        const TOMO: &str = "--rotation 0:157.5:8 --rotations 8 --translations 5 --centre 2 --device cpu";

        /// Two files of the folder.
        fn pair(folder: &Path, one: &str, two: &str) -> [PathBuf; 2] {
            [one, two].map(|name| folder.join(name))
        }

        /// What one run makes of the scan: `one.h5`, `one_tomo.h5`.
        fn one_run(folder: &Path) {
            // As jobs of one CPU are told.
            let words = ["integrate", "-q", "-o", "one.h5", "--device", "cpu", "--threads", "1"];
            assert_eq!(xrdct(folder, &[&words, &INTEGRATION[..]].concat()).code, 10);
            let tomo = ["tomo", "-q", "one.h5", "-o", "one_tomo.h5"];
            let words: Vec<&str> = tomo.into_iter().chain(TOMO.split(' ')).collect();
            let done = xrdct(folder, &words);
            assert_eq!((done.code, done.stderr.as_str()), (0, ""));
        }

        #[track_caller]
        fn are_the_same(folder: &Path) {
            let [one, whole] = pair(folder, "one.h5", "the whole.h5");
            assert_eq!(ask_oracle("parts.py", &[&one, &whole]), "copied same\n");
            let [one, whole] = pair(folder, "one_tomo.h5", "tomo.h5");
            assert_eq!(ask_oracle_code(SAME_TOMOGRAM, &[&one, &whole]), "same True\n");
        }

        /// Hands four parts and a tomogram to a cluster, with lines that every job begins with; the disk takes its time.
        fn submit(cluster: &Cluster, folder: &Path, prologue: &str) -> Done {
            let slow =
                format!("export LD_PRELOAD='{}' XRDCT_TEST_SLOW=small_:1500\n{prologue}", disk().display());
            fs::write(folder.join("the prologue.sh"), slow).unwrap();
            let mut command = Command::new(env!("CARGO_BIN_EXE_xrdct"));
            command.current_dir(folder).args(["slurm", "-o", "the whole.h5", "--parts", "4", "--submit"]);
            command.args(["--sbatch", "--cpus-per-task=1 --time=10 --comment='a b'", "--flush", "0.01"]);
            command.args(["--prologue", "the prologue.sh", "--tomo", "tomo.h5", "--tomo-options", TOMO]);
            command.args(INTEGRATION);
            cluster.tell(&mut command);
            let done = command.output().unwrap();
            Done {
                code: done.status.code().unwrap_or(-1),
                stdout: String::from_utf8_lossy(&done.stdout).into_owned(),
                stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
            }
        }

        /// Number of a job, as submit.sh prints it.
        fn number<'a>(said: &'a str, job: &str) -> &'a str {
            one_line(said, job).rsplit(' ').next().unwrap()
        }

        fn part(folder: &Path, task: usize) -> PathBuf {
            folder.join(format!("the whole.slurm/parts/part_{task}.h5"))
        }

        /// Waits until parts are half done.
        #[track_caller]
        fn wait_for_rows(folder: &Path, tasks: &[usize]) {
            let has_rows = |task: &usize| {
                ResultInfo::open(&part(folder, *task)).is_ok_and(|info| info.frames_done() > 2)
            };
            wait_for("parts get rows", || tasks.iter().all(has_rows));
        }

        fn log(folder: &Path, name: &str) -> String {
            fs::read_to_string(folder.join("the whole.slurm/logs").join(name)).unwrap()
        }

        #[test]
        fn tasks_killed_and_requeued_go_on_and_the_whole_is_the_same() {
            let (_scratch, folder) = scan();
            one_run(&folder);
            let cluster = Cluster::start();
            // Task 2 does not hear that it is to end: it is killed.
            let deaf = "if [ \"${SLURM_ARRAY_TASK_ID:-}\" = 2 ]; then trap '' TERM; fi\n";
            let submitted = submit(&cluster, &folder, deaf);
            assert_eq!((submitted.code, submitted.stderr.as_str()), (0, ""));
            let array = number(&submitted.stdout, "integrate ");
            wait_for_rows(&folder, &[2, 3]);
            for task in [2, 3] {
                cluster.ask("scontrol", &["requeue", &format!("{array}_{task}")]);
            }
            let ended = cluster.wait_for_the_end();
            let tasks = (1..=4).map(|task| format!("{array}_{task}"));
            let others = ["merge ", "tomo "].map(|job| number(&submitted.stdout, job).to_owned());
            let expected: Vec<_> = tasks.chain(others).map(|job| (job, "COMPLETED".to_owned())).collect();
            assert_eq!(ended, expected);
            for (task, its_end) in [(2, ""), (3, "interrupted")] {
                let log = log(&folder, &format!("integrate_{array}_{task}.log"));
                assert!(log.contains("\nresumed ") && log.contains(its_end), "{task}: {log}");
            }
            let first = log(&folder, &format!("integrate_{array}_1.log"));
            assert!(!first.contains("\nresumed "), "{first}");
            are_the_same(&folder);
        }

        #[test]
        fn a_task_that_fails_stops_what_waits_and_submitting_again_goes_on() {
            let (_scratch, folder) = scan();
            one_run(&folder);
            let cluster = Cluster::start();
            let submitted = submit(&cluster, &folder, "");
            assert_eq!((submitted.code, submitted.stderr.as_str()), (0, ""));
            wait_for_rows(&folder, &[3]);
            let lock = fs::read_to_string(part(&folder, 3).with_file_name(".part_3.h5.lock")).unwrap();
            let process: i32 = lock.split(' ').nth(1).unwrap().parse().unwrap();
            // SAFETY: a signal to the process that holds the lock of our scratch file.
            unsafe { libc::kill(process, libc::SIGKILL) };
            let states: Vec<String> =
                cluster.wait_for_the_end().into_iter().map(|(_, state)| state).collect();
            let expected = ["COMPLETED", "COMPLETED", "FAILED", "COMPLETED", "CANCELLED", "CANCELLED"];
            assert_eq!(states, expected, "nothing waits for ever");
            assert!(!folder.join("the whole.h5").exists());

            let mut command = Command::new(folder.join("the whole.slurm/submit.sh"));
            cluster.tell(&mut command);
            let again = command.output().unwrap();
            assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
            let said = String::from_utf8_lossy(&again.stdout).into_owned();
            let ended = cluster.wait_for_the_end();
            assert!(ended[6..].iter().all(|(_, state)| state == "COMPLETED"), "{ended:?}");
            let array = number(&said, "integrate ");
            assert!(log(&folder, &format!("integrate_{array}_1.log")).contains("complete: 10 frames"));
            assert!(log(&folder, &format!("integrate_{array}_3.log")).contains("\nresumed "));
            are_the_same(&folder);
        }
    }

    #[test]
    fn what_slurm_refuses_leaves_nothing_in_the_queue() {
        let (_scratch, folder) = scan();
        let cluster = Cluster::start();
        let submit = |more: &[&str]| {
            let words = [&["slurm", "-q", "-o", "r.h5", "--overwrite", "--submit"], &INTEGRATION[..], more];
            let mut command = Command::new(env!("CARGO_BIN_EXE_xrdct"));
            command.current_dir(&folder).args(words.concat());
            cluster.tell(&mut command);
            let done = command.output().unwrap();
            (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
        };
        for (options, expected) in [
            (&["--parts", "9"][..], "9 parts, and this Slurm takes job arrays up to 8 (MaxArraySize 9)"),
            (&["--parts", "8", "--sbatch", "--partition=moon"], "invalid partition"),
            (
                &["--parts", "8", "--sbatch", "--hold", "--sbatch-merge", "--partition=moon"],
                "invalid partition",
            ),
        ] {
            let (code, said) = submit(options);
            assert!(
                code == Some(1) && said.contains(expected) && said.contains("submit.sh: exit status"),
                "{said}"
            );
            let left = cluster.wait_for_the_end();
            assert!(left.iter().all(|(_, state)| state == "CANCELLED"), "{left:?}");
        }
        let mut alone = Command::new(env!("CARGO_BIN_EXE_xrdct"));
        alone.current_dir(&folder).args([
            "slurm",
            "-q",
            "-o",
            "r.h5",
            "--parts",
            "2",
            "--overwrite",
            "--submit",
        ]);
        let alone = alone.args(INTEGRATION).output().unwrap();
        let said = String::from_utf8_lossy(&alone.stderr);
        assert!(alone.status.code() == Some(1) && said.contains("there is no sbatch on the PATH"), "{said}");
    }
}
