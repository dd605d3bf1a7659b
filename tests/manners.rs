//! Manners of a process: what it does when its terminal, its disk, its files or its user do not behave.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::{TempDir, tempdir};

use crate::support::{Done, hear_signals, names, write_small_scan, xrdct};

/// Longest time for anything that is not to wait: generous, for machines that do a lot at once.
const PATIENCE: Duration = Duration::from_secs(60);

const INTEGRATE: [&str; 6] = ["integrate", "--poni", "small.poni", "--npt", "60", "scan"];

fn scan(frames: usize) -> TempDir {
    let folder = tempdir().expect("a scratch folder");
    write_small_scan(folder.path(), frames);
    folder
}

fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xrdct"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    hear_signals(&mut command);
    command
}

/// A line of `sh` in which `"$XRDCT"` is the program.
fn shell(folder: &Path, line: &str) -> Command {
    let mut command = Command::new("sh");
    command.current_dir(folder).args(["-c", line]).stdin(Stdio::null());
    command.env("XRDCT", env!("CARGO_BIN_EXE_xrdct"));
    command
}

/// Waits for the end of a program; one that does not end fails the test.
#[track_caller]
fn end_of(mut child: Child) -> Done {
    let mut pipes = [child.stdout.take().map(reading), child.stderr.take().map(reading)];
    let begun = Instant::now();
    let status = loop {
        match child.try_wait().expect("a child") {
            Some(status) => break status,
            None if begun.elapsed() < PATIENCE => sleep(Duration::from_millis(10)),
            None => {
                child.kill().expect("killed");
                child.wait().expect("gone");
                panic!("it hangs");
            }
        }
    };
    let [stdout, stderr] =
        pipes.each_mut().map(|pipe| pipe.take().map_or_else(String::new, |p| p.join().expect("read")));
    Done { code: status.code().unwrap_or(-1), stdout, stderr }
}

fn reading(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

#[track_caller]
fn ran(command: &mut Command) -> Done {
    end_of(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts"))
}

/// The writing end of a pipe whose reader has left.
fn broken() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

fn full() -> Stdio {
    fs::File::options().write(true).open("/dev/full").expect("there is one").into()
}

#[track_caller]
fn calm(done: &Done, code: i32, words: &[&str]) {
    assert_eq!(done.code, code, "{}{}", done.stdout, done.stderr);
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
    for word in words {
        assert!(done.stderr.contains(word), "no '{word}' in: {}", done.stderr);
    }
}

#[track_caller]
fn is_complete(folder: &Path, file: &str) {
    let info = xrdct(folder, &["info", file]);
    assert!(info.code == 0 && info.stdout.contains("complete"), "{}{}", info.stdout, info.stderr);
}

// Standard output and standard error.

#[test]
fn a_reader_that_leaves_is_nobodys_error() {
    let folder = scan(3);
    let asked: [&[&str]; 7] = [
        &["completions", "bash"],
        &["--help"],
        &["integrate", "--help"],
        &["--version"],
        &["info"],
        &["info", "scan/small_00000.cbf"],
        &["integrate", "--poni", "small.poni", "scan", "--dry-run"],
    ];
    for arguments in asked {
        let child = program(folder.path(), arguments).stdout(broken()).stderr(Stdio::piped()).spawn();
        calm(&end_of(child.expect("it starts")), 0, &[]);
    }
    let piped = ran(&mut shell(folder.path(), "\"$XRDCT\" completions bash | head -1"));
    calm(&piped, 0, &[]);
    assert_eq!((piped.stdout.lines().count(), piped.stderr.as_str()), (1, ""));
}

#[test]
fn what_was_asked_for_and_cannot_be_written_is_an_error() {
    let folder = scan(1);
    let asked: [&[&str]; 4] = [
        &["completions", "bash"],
        &["--help"],
        &["info", "small.poni"],
        &["integrate", "--poni", "small.poni", "scan", "--dry-run"],
    ];
    for arguments in asked {
        let child = program(folder.path(), arguments).stdout(full()).stderr(Stdio::piped()).spawn();
        calm(&end_of(child.expect("it starts")), 5, &["standard output", "No space left"]);
    }
}

#[test]
fn nobody_reading_ends_no_run() {
    let folder = scan(4);
    // A bad frame is something to say while running, -v before, the summary after.
    fs::write(folder.path().join("scan/small_00002.cbf"), "no frame").expect("writable");
    let ways: [fn() -> Stdio; 2] = [broken, full];
    for (number, way) in ways.into_iter().enumerate() {
        let file = format!("{number}.h5");
        let run = program(folder.path(), &[&INTEGRATE[..], &["-v", "-o", &file]].concat())
            .stdout(way())
            .stderr(way())
            .spawn();
        assert_eq!(end_of(run.expect("it starts")).code, 10);
        is_complete(folder.path(), &file);
        // An error has its code even if nobody hears why.
        let run = program(folder.path(), &["integrate", "scan", "-o", "none.h5"]).stderr(way()).spawn();
        assert_eq!(end_of(run.expect("it starts")).code, 2);
        let converted = format!("stack-{number}.h5");
        let run = program(folder.path(), &["convert", "scan", "-o", &converted]).stderr(way()).spawn();
        assert_eq!(end_of(run.expect("it starts")).code, 10);
    }
}

#[test]
fn messages_do_not_end_up_in_a_result() {
    let folder = scan(4);
    fs::write(folder.path().join("scan/small_00002.cbf"), "no frame").expect("writable");
    for (file, closed) in [("a.h5", "2>&-"), ("b.h5", ">&-"), ("c.h5", "<&- >&- 2>&-")] {
        let line = format!("exec \"$XRDCT\" {} -v -o {file} {closed}", INTEGRATE.join(" "));
        assert_eq!(ran(&mut shell(folder.path(), &line)).code, 10);
        is_complete(folder.path(), file);
    }
}

// Disks that misbehave.

/// `tests/support/disk.c`, compiled.
pub fn disk() -> &'static Path {
    static DISK: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, library) = DISK.get_or_init(|| {
        let folder = tempdir().expect("a scratch folder");
        let library = folder.path().join("disk.so");
        compile(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/disk.c"), &library);
        (folder, library)
    });
    library
}

pub fn compile(source: &Path, library: &Path) {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let done = Command::new(compiler).args(["-shared", "-fPIC", "-o"]).args([library, source]).output();
    let done = done.expect("a C compiler, which building HDF5 needs too");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// A run that reads from (or writes to) a disk that misbehaves.
fn on_disk(folder: &Path, arguments: &[&str], trouble: (&str, &str)) -> Command {
    let mut command = program(folder, arguments);
    command.env("LD_PRELOAD", disk()).env(trouble.0, trouble.1);
    command
}

// Signals.

const SIGNALS: [(&str, i32); 3] = [("INT", 130), ("TERM", 143), ("HUP", 129)];

fn send(signal: &str, child: &Child) {
    let sent = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
}

#[track_caller]
fn wait_for(what: impl Fn() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert!(begun.elapsed() < PATIENCE, "it does not come so far");
        sleep(Duration::from_millis(20));
    }
}

/// Rows that are marked good are those of a run that nobody disturbed.
#[track_caller]
fn good_rows_are_whole(folder: &Path, file: &str) {
    let open = |path: &Path| {
        let patterns = xrdct::output::result::Patterns::open(path).expect("a result");
        let values = patterns.read(0..patterns.npt()).expect("its patterns");
        (patterns, values)
    };
    let (patterns, values) = open(&folder.join(file));
    let npt = patterns.npt().to_string();
    let elsewhere = tempdir().expect("a scratch folder");
    let whole = elsewhere.path().join("whole.h5");
    let again =
        ["integrate", "--poni", "small.poni", "scan", "--npt", &npt, "-o", &whole.display().to_string()];
    xrdct(folder, &again);
    let (_, expected) = open(&whole);
    assert_eq!(values.len(), expected.len());
    let good: Vec<usize> = (0..patterns.rows()).filter(|row| patterns.good[*row]).collect();
    assert!(!good.is_empty());
    for row in good {
        let row = row * patterns.npt()..(row + 1) * patterns.npt();
        assert!(values[row.clone()] == expected[row]);
    }
}

/// Rows that are good in a result that is being written.
fn good_rows(file: &Path) -> usize {
    let info = xrdct::output::result::ResultInfo::open(file);
    let good =
        |(status, count): &(xrdct::frame::FrameStatus, usize)| (status.word() == "good").then_some(*count);
    info.map_or(0, |info| info.statuses.iter().find_map(good).unwrap_or(0))
}

#[test]
fn every_signal_ends_a_run_in_good_order() {
    for strategy in ["sequential", "pool"] {
        for (signal, code) in SIGNALS {
            let folder = scan(600);
            let options = ["-o", "out.h5", "--strategy", strategy];
            let run =
                on_disk(folder.path(), &[&INTEGRATE[..], &options].concat(), ("XRDCT_TEST_SLOW", ".cbf:20"))
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .expect("it starts");
            wait_for(|| good_rows(&folder.path().join("out.h5")) > 0);
            send(signal, &run);
            let done = end_of(run);
            calm(&done, code, &["interrupted: finishing"]);
            let info = xrdct(folder.path(), &["info", "out.h5"]).stdout;
            assert!(info.contains("interrupted by the user") && info.contains("pending"), "{info}");
            good_rows_are_whole(folder.path(), "out.h5");
            assert_eq!(names(folder.path()), ["out.h5", "scan", "small.poni"]);
        }
    }
}

#[test]
fn a_killed_run_leaves_a_file_that_says_what_is_done() {
    let folder = scan(600);
    let run =
        on_disk(folder.path(), &[&INTEGRATE[..], &["-o", "out.h5"]].concat(), ("XRDCT_TEST_SLOW", ".cbf:20"))
            .spawn()
            .expect("it starts");
    wait_for(|| good_rows(&folder.path().join("out.h5")) > 0);
    send("KILL", &run);
    assert_eq!(end_of(run).code, -1);
    let info = xrdct(folder.path(), &["info", "out.h5"]).stdout;
    assert!(info.contains("killed") && info.contains("pending"), "{info}");
    good_rows_are_whole(folder.path(), "out.h5");
}

#[test]
fn signals_are_heard_when_nobody_reads() {
    let folder = scan(600);
    let run =
        on_disk(folder.path(), &[&INTEGRATE[..], &["-o", "out.h5"]].concat(), ("XRDCT_TEST_SLOW", ".cbf:20"))
            .stdout(broken())
            .stderr(broken())
            .spawn()
            .expect("it starts");
    wait_for(|| good_rows(&folder.path().join("out.h5")) > 0);
    send("TERM", &run);
    assert_eq!(end_of(run).code, 143);
    let info = xrdct(folder.path(), &["info", "out.h5"]).stdout;
    assert!(info.contains("interrupted by the user"), "{info}");
}

/// A run that waits for ever for its sixth frame.
fn hanging(folder: &Path, more: &[&str]) -> Child {
    let options = ["-o", "out.h5", "--strategy", "pool", "--readers", "1"];
    let run =
        on_disk(folder, &[&INTEGRATE[..], &options, more].concat(), ("XRDCT_TEST_HANG", "small_00005.cbf"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
    wait_for(|| good_rows(&folder.join("out.h5")) == 5);
    run
}

#[test]
fn a_second_signal_gives_up_at_once() {
    let folder = scan(12);
    let run = hanging(folder.path(), &["--trace", "trace.json"]);
    send("INT", &run);
    sleep(Duration::from_millis(300));
    let begun = Instant::now();
    send("TERM", &run);
    let done = end_of(run);
    // The grace that one signal gives is ten seconds.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    calm(&done, 143, &["interrupted: finishing"]);
    assert_eq!(names(folder.path()), ["out.h5", "scan", "small.poni"], "the trace's .part is gone");
    let info = xrdct(folder.path(), &["info", "out.h5"]).stdout;
    assert!(info.contains("5 good, 7 pending"), "{info}");
}

#[test]
fn one_signal_is_enough_for_a_run_that_waits_for_ever() {
    let folder = scan(12);
    let run = hanging(folder.path(), &[]);
    send("HUP", &run);
    calm(&end_of(run), 129, &["interrupted: finishing"]);
    let info = xrdct(folder.path(), &["info", "out.h5"]).stdout;
    assert!(info.contains("5 good, 7 pending"), "{info}");
}

#[test]
fn what_nohup_ignores_stays_ignored() {
    let folder = scan(600);
    let line = format!("trap '' HUP; exec \"$XRDCT\" {} -o out.h5", INTEGRATE.join(" "));
    let run = shell(folder.path(), &line)
        .env("LD_PRELOAD", disk())
        .env("XRDCT_TEST_SLOW", ".cbf:20")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let out = folder.path().join("out.h5");
    wait_for(|| good_rows(&out) > 0);
    send("HUP", &run);
    let (begun, rows) = (Instant::now(), good_rows(&out));
    wait_for(|| good_rows(&out) > rows + 20);
    assert!(begun.elapsed() > Duration::from_millis(100));
    send("TERM", &run);
    calm(&end_of(run), 143, &[]);
}

#[test]
fn what_is_whole_or_not_there_is_not_there() {
    for (signal, code) in SIGNALS {
        let folder = scan(300);
        let run =
            on_disk(folder.path(), &["convert", "scan", "-o", "stack.h5"], ("XRDCT_TEST_SLOW", ".cbf:20"))
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("it starts");
        let is_part = |name: &String| name.ends_with(".part");
        wait_for(|| names(folder.path()).iter().any(is_part));
        send(signal, &run);
        let done = end_of(run);
        calm(&done, code, &[]);
        // What there is to go on with has another name, which is said.
        let left: Vec<String> = names(folder.path()).into_iter().filter(is_part).collect();
        assert!(left.iter().all(|name| done.stdout.contains(name)), "{left:?}: {}", done.stdout);
        left.iter().for_each(|name| fs::remove_file(folder.path().join(name)).expect("there"));
        assert_eq!(names(folder.path()), ["scan", "small.poni"]);

        let arguments = ["simulate", "-n", "5000", "--detector", "Pilatus100k", "-o", "frames"];
        let run = program(folder.path(), &arguments).stderr(Stdio::piped()).spawn().expect("it starts");
        let frames = folder.path().join("frames");
        wait_for(|| frames.exists() && names(&frames).len() > 5);
        send(signal, &run);
        calm(&end_of(run), code, &[]);
        let made = names(&frames);
        assert!(made.iter().all(|name| !name.ends_with(".part")), "{made:?}");
        for name in made.iter().filter(|name| name.ends_with(".cbf")) {
            xrdct::source::cbf::read(&frames.join(name)).expect("a whole frame");
        }
    }
}

// Full disks.

#[test]
fn a_limit_on_the_size_of_files_is_an_error() {
    let folder = scan(6);
    fs::write(folder.path().join("scan/small_00003.cbf"), "no frame").expect("writable");
    let integrate = format!("\"$XRDCT\" {} --npt 1000", INTEGRATE.join(" ").replace(" --npt 60", ""));
    assert_eq!(ran(&mut shell(folder.path(), &format!("{integrate} -o first.h5"))).code, 10);
    assert_eq!(ran(&mut shell(folder.path(), "\"$XRDCT\" info first.h5")).code, 0);
    // Room for what came of the run above, but not for the megabyte that the list of bad frames may need (`ulimit -f` counts 512
    // bytes).
    let size = fs::metadata(folder.path().join("first.h5")).expect("there").len();
    let blocks = size / 512 + 1;
    let done = ran(&mut shell(folder.path(), &format!("ulimit -f {blocks}; exec {integrate} -o out.h5")));
    calm(&done, 5, &["out.h5", "no room"]);
    let info = xrdct(folder.path(), &["info", "out.h5"]).stdout;
    assert!(info.contains("5 good") && info.contains("failed: "), "{info}");
    good_rows_are_whole(folder.path(), "out.h5");
    for command in [
        "convert --gzip scan -o small.h5",
        "plot first.h5 -o small.svg",
        "report first.h5 -o small.html",
        "simulate -n 2 --detector Pilatus100k -o frames",
    ] {
        let done = ran(&mut shell(folder.path(), &format!("ulimit -f 8; exec \"$XRDCT\" {command}")));
        calm(&done, 5, &["no room"]);
    }
    let trace = format!("ulimit -f {}; exec {integrate} -o traced.h5 --trace small.json", 3 + size / 512);
    let done = ran(&mut shell(folder.path(), &trace));
    assert!(done.code == 10 || done.code == 5, "{}", done.stderr);
    let left = names(folder.path());
    assert!(!left.iter().any(|name| name.contains("small.h5") || name.contains(".part")), "{left:?}");
}

#[test]
fn a_disk_that_fills_up_is_an_error() {
    let folder = scan(40);
    // As long as a file is before bad frames are listed in it.
    assert_eq!(xrdct(folder.path(), &[&INTEGRATE[..], &["-o", "plain.h5"]].concat()).code, 0);
    fs::write(folder.path().join("scan/small_00003.cbf"), "no frame").expect("writable");
    assert_eq!(xrdct(folder.path(), &[&INTEGRATE[..], &["-o", "first.h5"]].concat()).code, 10);
    let cases: [(&[&str], &str); 6] = [
        (&["convert", "scan", "-o", "full.h5"], "full.h5:40000"),
        (&["convert", "--gzip", "scan", "-o", "full.h5"], "full.h5:40000"),
        (&["plot", "first.h5", "-o", "full.png"], "full.png:1000"),
        (&["report", "first.h5", "-o", "full.html"], "full.html:1000"),
        (&["simulate", "-n", "3", "--detector", "Pilatus100k", "-o", "frames"], "frame_00002.cbf:1000"),
        (&["simulate", "--phantom", "--rotations", "2", "--translations", "3", "-o", "ct"], "truth.h5:1000"),
    ];
    for (arguments, full) in cases {
        let done = ran(&mut on_disk(folder.path(), arguments, ("XRDCT_TEST_FULL", full)));
        calm(&done, 5, &["no room", "No space left", full.split(':').next().expect("a name")]);
        // Frames that were written are there to go on with.
        let left = names(folder.path()).into_iter().find(|name| name.ends_with(".part"));
        let goes_on = arguments[0] == "convert" && arguments[1] != "--gzip";
        assert_eq!(left.is_some(), goes_on, "{arguments:?}");
        left.into_iter().for_each(|name| fs::remove_file(folder.path().join(name)).expect("there"));
    }
    // What was written before the disk was full stays readable, and says what became of the run.
    let arguments = [&INTEGRATE[..], &["-o", "full-list.h5"]].concat();
    let size = fs::metadata(folder.path().join("plain.h5")).expect("there").len();
    let full = format!("full-list.h5:{size}");
    let done = ran(&mut on_disk(folder.path(), &arguments, ("XRDCT_TEST_FULL", &full)));
    calm(&done, 5, &["no room", "full-list.h5"]);
    let info = xrdct(folder.path(), &["info", "full-list.h5"]).stdout;
    assert!(info.contains("39 good") && info.contains("failed: "), "{info}");
    let left = names(folder.path());
    assert!(!left.iter().any(|name| name == "full.h5" || name.contains(".part")), "{left:?}");
    xrdct::source::cbf::read(&folder.path().join("frames/frame_00001.cbf")).expect("a whole frame");
}

// What is not a file.

#[test]
fn what_is_not_a_file_is_refused_at_once() {
    let folder = workshop();
    let at = |name: &str| folder.path().join(name);
    assert!(Command::new("mkfifo").arg(at("fifo")).status().expect("mkfifo runs").success());
    let _listening = UnixListener::bind(at("socket")).expect("bound");
    fs::create_dir(at("dir")).expect("made");
    symlink("/dev/zero", at("device")).expect("linked");
    for name in ["fifo", "socket", "device"] {
        fs::write(at(&format!("{name}.txt")), format!("scan/small_00000.cbf\n{name}\n")).expect("writable");
    }
    let before = names(folder.path());
    let others = [("fifo", "a pipe"), ("socket", "a socket"), ("dir", "a folder"), ("device", "a device")];
    // `?` stands for what is not a file; `@?` for a list that names it.
    let uses: [(&[&str], i32); 24] = [
        (&["integrate", "--poni", "small.poni", "-o", "new.h5", "?"], 3),
        (&["integrate", "--poni", "small.poni", "-o", "new.h5", "@?"], 3),
        (&["integrate", "--poni", "small.poni", "-o", "new.h5", "@?.txt"], 3),
        (&["integrate", "--poni", "?", "-o", "new.h5", "scan"], 4),
        (&["integrate", "--poni", "small.poni", "-o", "new.h5", "scan", "--mask", "?"], 4),
        (&["integrate", "--poni", "small.poni", "-o", "new.h5", "scan", "--mask", "?::/mask"], 4),
        (&["integrate", "--poni", "small.poni", "-o", "new.h5", "scan", "--dark", "?"], 4),
        (&["integrate", "--poni", "small.poni", "-o", "new.h5", "scan", "--flat", "?"], 4),
        (&["integrate", "--config", "?", "-o", "new.h5"], 2),
        (&["convert", "?", "-o", "new.h5"], 3),
        (&["convert", "@?", "-o", "new.h5"], 3),
        (&["info", "?"], 3),
        (&["tomo", "?", "-o", "new.h5"], 3),
        (&["tomo", "ct.h5", "-o", "new.h5", "--config", "?"], 2),
        (&["tomo", "ct.h5", "-o", "new.h5", "--rotation", "?"], 3),
        (&["tomo", "ct.h5", "-o", "new.h5", "--translation", "?::/x"], 3),
        (&["tomo", "ct.h5", "-o", "?", "--resume"], 5),
        (&["plot", "?", "-o", "new.png"], 3),
        (&["report", "?", "-o", "new.html"], 3),
        (&["report", "ct.h5", "--tomo", "?", "-o", "new.html"], 3),
        (&["simulate", "--poni", "?", "-o", "frames"], 2),
        (&["bench", "table1", "--from", "?"], 3),
        (&["bench", "table1", "--frames", "?", "--poni", "small.poni"], 3),
        (&["bench", "profile", "--frames", "scan", "--poni", "?"], 4),
    ];
    for (name, kind) in others {
        for (arguments, code) in uses {
            let typed: Vec<String> = arguments.iter().map(|word| word.replace('?', name)).collect();
            let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
            // A folder may be an input, and there is no list that names one.
            if name == "dir" && (typed.contains(&"@dir.txt") || is_list_of_frames(arguments)) {
                continue;
            }
            let done = ran(&mut program(folder.path(), &typed));
            assert_eq!(done.code, code, "{typed:?}: {}", done.stderr);
            calm(&done, code, &[name, kind]);
        }
    }
    assert_eq!(names(folder.path()), before);
}

/// Whether the place of `?` is one where a folder of frames may stand.
fn is_list_of_frames(arguments: &[&str]) -> bool {
    matches!(
        arguments,
        ["integrate", "--poni", "small.poni", "-o", "new.h5", "?"]
            | ["convert", "?", ..]
            | ["bench", "table1", "--frames", ..]
    )
}

#[test]
fn a_folder_with_something_else_among_its_frames() {
    let folder = scan(3);
    let fifo = folder.path().join("scan/small_00001.cbf");
    fs::remove_file(&fifo).expect("removed");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs").success());
    for input in ["scan", "scan/*.cbf"] {
        let done =
            ran(&mut program(folder.path(), &["integrate", "--poni", "small.poni", "-o", "new.h5", input]));
        calm(&done, 3, &["small_00001.cbf", "a pipe"]);
    }
    fs::remove_file(&fifo).expect("removed");
    // A shell's <(...) is a pipe too.
    let line = "\"$XRDCT\" integrate --poni <(cat small.poni) -o new.h5 scan";
    let done = ran(Command::new("bash")
        .current_dir(folder.path())
        .args(["-c", line])
        .env("XRDCT", env!("CARGO_BIN_EXE_xrdct")));
    calm(&done, 4, &["/dev/fd/", "a pipe"]);
    assert_eq!(names(folder.path()), ["scan", "small.poni"]);
}

// Temporary files.

/// Every command that writes a file, what it writes, and what it must have.
const WRITERS: [(&str, &str); 8] = [
    ("integrate --poni small.poni --npt 60 scan -o NAME", "o.h5"),
    ("integrate --poni small.poni --npt 60 scan -o traced.h5 --overwrite --trace NAME", "o.json"),
    ("convert scan -o NAME", "o.h5"),
    ("tomo ct.h5 --device cpu -o NAME", "o.h5"),
    ("plot ct.h5 -o NAME", "o.svg"),
    ("report ct.h5 -o NAME", "o.html"),
    ("simulate -n 1 --detector Pilatus100k -o . --overwrite --prefix o", "o_00001.cbf"),
    ("bench table1 --from table.json --quiet --markdown NAME", "o.md"),
];

/// A small scan, a result of an XRD-CT scan, and a table of a bench.
fn workshop() -> TempDir {
    let folder = scan(3);
    let ct = ["simulate", "--phantom", "--rotations", "6", "--translations", "7", "-o", "ct"];
    assert_eq!(xrdct(folder.path(), &ct).code, 0);
    let result =
        ["integrate", "--poni", "ct/geometry.poni", "ct", "-o", "ct.h5", "--npt", "100", "--device", "cpu"];
    assert_eq!(xrdct(folder.path(), &result).code, 0);
    folder
}

#[test]
fn a_link_under_a_temporary_name_loses_nothing() {
    let folder = workshop();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("precious"), "precious").expect("writable");
    for (command, name) in WRITERS.into_iter().filter(|(command, _)| !command.starts_with("bench")) {
        // The shell's process becomes the program's, so its number is known beforehand.
        let command = command.replace("NAME", name);
        let line = format!("ln -s precious .{name}.$$.part; exec \"$XRDCT\" {command}");
        let done = ran(&mut shell(folder.path(), &line));
        calm(&done, 0, &["is gone", ".part"]);
        assert_eq!(fs::read(at("precious")).expect("there"), b"precious", "{command}");
        let written = fs::symlink_metadata(at(name)).expect("written");
        assert!(written.is_file() && written.len() > 100, "{command}");
        fs::remove_file(at(name)).expect("removed");
    }
}

#[test]
fn what_a_killed_run_left_is_named() {
    let folder = workshop();
    let mut gone = Command::new("true").spawn().expect("it starts");
    let dead = gone.id();
    gone.wait().expect("it ends");
    for (command, name) in WRITERS.into_iter().filter(|(command, _)| !command.starts_with("bench")) {
        let (left, living) = (format!(".{name}.{dead}.part"), format!(".{name}.1.part"));
        for part in [&left, &living] {
            fs::write(folder.path().join(part), "half").expect("writable");
        }
        let words: Vec<String> = command.replace("NAME", name).split(' ').map(str::to_owned).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let done = ran(&mut program(folder.path(), &words));
        calm(&done, 0, &[&left, &dead.to_string(), "delete"]);
        assert!(!done.stderr.contains(&living), "process 1 lives: {}", done.stderr);
        for part in [&left, &living] {
            assert_eq!(fs::read(folder.path().join(part)).expect("nobody deleted it"), b"half");
            fs::remove_file(folder.path().join(part)).expect("removed");
        }
        fs::remove_file(folder.path().join(name)).expect("written");
    }
    // One that is really killed.
    let slow = ("XRDCT_TEST_SLOW", "small_00002.cbf:2000");
    let run = on_disk(folder.path(), &["convert", "scan", "-o", "k.h5"], slow).spawn().expect("it starts");
    let part = format!(".k.h5.{}.part", run.id());
    wait_for(|| folder.path().join(&part).exists());
    send("KILL", &run);
    assert_eq!(end_of(run).code, -1);
    let done = xrdct(folder.path(), &["convert", "scan", "-o", "k.h5"]);
    calm(&done, 0, &[&part]);
}

#[test]
fn a_failed_command_leaves_no_temporary_file() {
    let folder = workshop();
    let before = names(folder.path());
    fs::write(folder.path().join("scan/small_00001.cbf"), "no frame").expect("writable");
    let stop =
        [&INTEGRATE[..], &["-o", "o.h5", "--trace", "t.json", "--radial-range", "900", "901"]].concat();
    for arguments in [&stop[..], &["plot", "ct.h5", "tomogram", "-o", "o.svg"]] {
        assert_ne!(xrdct(folder.path(), arguments).code, 0);
    }
    assert_eq!(names(folder.path()), before);
}

// HDF5 and code.

#[test]
fn hdf5_loads_no_code() {
    let folder = workshop();
    let at = |name: &str| folder.path().join(name);
    let source = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n\
        static void mark(const char *what) { FILE *f = fopen(getenv(\"XRDCT_TEST_MARK\"), \"a\"); fputs(what, f); fclose(f); }\n\
        __attribute__((constructor)) static void loaded(void) { mark(\"loaded\\n\"); }\n\
        int H5PLget_plugin_type(void) { mark(\"asked\\n\"); return 0; }\n\
        const void *H5PLget_plugin_info(void) { mark(\"used\\n\"); return 0; }\n";
    fs::write(at("evil.c"), source).expect("writable");
    fs::create_dir(at("plugins")).expect("made");
    compile(&at("evil.c"), &at("plugins/libevil.so"));
    // A mask whose values went through a filter that no library has: gzip's number in the file, made another.
    let mut builder = hdf5::File::with_options();
    let mask = builder.with_fapl(|access| access.libver_earliest()).create(at("mask.h5")).expect("created");
    let dataset = mask.new_dataset::<u8>().deflate(1).chunk((61, 47)).shape((61, 47)).create("mask");
    dataset.expect("made").write_raw(&[0_u8; 61 * 47]).expect("written");
    mask.close().expect("closed");
    let mut bytes = fs::read(at("mask.h5")).expect("read");
    let filter = bytes.windows(15).position(|w| w.starts_with(&[1, 0]) && w.ends_with(b"deflate"));
    let filter = filter.expect("the filter's number, then its name");
    bytes[filter..filter + 2].copy_from_slice(&32_001_u16.to_le_bytes());
    fs::write(at("mask.h5"), bytes).expect("written");
    let runs: [(&[&str], i32); 6] = [
        (&["integrate", "--poni", "small.poni", "--npt", "60", "scan", "-o", "o.h5", "--overwrite"], 0),
        (&["integrate", "--poni", "small.poni", "scan", "-o", "p.h5", "--mask", "mask.h5::/mask"], 4),
        (&["info"], 0),
        (&["info", "ct.h5"], 0),
        (&["convert", "scan", "-o", "stack.h5", "--overwrite"], 0),
        (&["plot", "ct.h5", "-o", "o.svg", "--overwrite"], 0),
    ];
    for (name, value) in
        [("HDF5_PLUGIN_PRELOAD", ""), ("HDF5_VOL_CONNECTOR", "evil"), ("HDF5_DRIVER", "evil")]
    {
        for (arguments, code) in runs {
            let done = ran(program(folder.path(), arguments)
                .env("HDF5_PLUGIN_PATH", at("plugins"))
                .env("XRDCT_TEST_MARK", at("mark"))
                .env(name, value));
            calm(&done, code, &[]);
            let marks = fs::read_to_string(at("mark")).unwrap_or_default();
            assert!(marks.is_empty(), "{name}={value} {arguments:?}: {marks}");
        }
    }
    assert!(!at("p.h5").exists());
}

#[test]
fn the_program_knows_no_folder_of_plug_ins() {
    let program = fs::read(env!("CARGO_BIN_EXE_xrdct")).expect("readable");
    let has = |text: &str| program.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("HDF5_PLUGIN_PATH"), "HDF5 is in the program, and its words are found");
    assert!(
        !has("/lib/plugin"),
        "HDF5 was built without .cargo/hdf5.cmake, by an earlier version perhaps: cargo clean --release -p hdf5-metno-src"
    );
}

#[test]
fn what_a_file_or_a_name_holds_does_not_command_the_terminal() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let at = folder.path();
    write_small_scan(at, 1);
    std::fs::write(at.join("loud.edf"), "{\nDataType = \x1b[2J\x07 ;\nDim_1 = 2 ;\nDim_2 = 2 ;\n}\nabcd")
        .expect("writable");
    let loud = "\x1b]0;gone\x07.cbf";
    std::fs::write(at.join(loud), "no frame").expect("writable");
    let common = ["integrate", "--poni", "small.poni", "-o", "o.h5", "--device", "cpu", "scan"];
    for (more, said) in
        [(&["--mask", "loud.edf"][..], "\\u{1b}[2J\\u{7}"), (&[loud], "\\u{1b}]0;gone\\u{7}.cbf")]
    {
        let done = xrdct(at, &[&common[..], more].concat());
        assert_ne!(done.code, 0);
        assert!(done.stderr.to_lowercase().contains(&said.to_lowercase()), "{:?}", done.stderr);
        assert!(!done.stderr.contains(['\x1b', '\x07']), "{:?}", done.stderr);
    }
}
