//! What every test file needs: small frames that are known exactly, the program itself, the oracle's python, real data.

pub mod images;
pub mod slurm;

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use xrdct::codec::byte_offset;
use xrdct::frame::Shape;

/// Shape of the small frames: wide enough for rings, small enough for a test to take milliseconds.
pub const SMALL: Shape = Shape { slow: 61, fast: 47 };

/// What a test cannot do without. Absent: the test fails, with the way out; it never passes in silence.
#[track_caller]
fn need(path: PathBuf, module: &str, way_out: &str) -> PathBuf {
    // A test's thread has the test's path for its name (with --test-threads=1 it is the main thread).
    let thread = thread::current();
    if let Some(test) = thread.name().filter(|name| name.contains("::")) {
        let says_so = test.split("::").any(|part| part == module);
        assert!(says_so, "{test} must stand in a module `{module}`: `make test` goes by these names");
    }
    assert!(path.exists(), "{} is not there: {way_out}", path.display());
    path
}

/// A real file or folder below `XRDCT_TEST_DATA` (default `../shared/data`), for tests in modules `needs_data`.
#[track_caller]
pub fn data(name: &str) -> PathBuf {
    let root = std::env::var_os("XRDCT_TEST_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let way_out = "XRDCT_TEST_DATA names the folder of real data; without it, `make test` says what it leaves out \
                   (or: cargo test -- --skip needs_data)";
    need(root.join(name), "needs_data", way_out)
}

/// Every real CBF frame.
pub fn real_frames() -> Vec<PathBuf> {
    let folder = data("cbf");
    let inputs = [folder.clone(), folder.join("series_p03")].map(|path| path.display().to_string());
    let frames = xrdct::source::listing::expand(&inputs).expect("the folders hold frames");
    assert_eq!(frames.len(), 17, "frames below {}", folder.display());
    frames
}

/// The python that has pyFAI, FabIO and h5py, for tests in modules `needs_oracle`.
#[track_caller]
pub fn oracle() -> PathBuf {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/oracle/bin/python");
    let way_out = "`make oracle` (or `make test`) brings it; without it: make test WITHOUT=needs_oracle";
    need(python, "needs_oracle", way_out)
}

/// Runs a script of `tests/oracle` and returns what it printed; a non-zero status fails the test with its output.
#[track_caller]
pub fn ask_oracle(script: &str, arguments: &[&Path]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle").join(script);
    run_oracle(&[&script], arguments)
}

/// Runs lines of python as [`ask_oracle`] does a script.
#[track_caller]
pub fn ask_oracle_code(code: &str, arguments: &[&Path]) -> String {
    run_oracle(&[Path::new("-c"), Path::new(code)], arguments)
}

#[track_caller]
fn run_oracle(what: &[&Path], arguments: &[&Path]) -> String {
    let done = Command::new(oracle()).args(what).args(arguments).output().expect("python runs");
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(
        done.status.success(),
        "{what:?} {arguments:?}: {}\n{printed}\n{}",
        done.status,
        String::from_utf8_lossy(&done.stderr)
    );
    printed
}

/// Both lists side by side. Where one is longer the test fails; `zip` would compare what the shorter one has.
#[track_caller]
pub fn side_by_side<'a, A, B>(a: &'a [A], b: &'a [B]) -> impl Iterator<Item = (&'a A, &'a B)> + Clone {
    assert_eq!(a.len(), b.len(), "as many on either side");
    a.iter().zip(b)
}

/// What some work gives; where it takes longer than `limit` the test fails, and what hangs does not hang the suite.
#[track_caller]
pub fn within<T: Send + 'static>(
    limit: Duration,
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (done, wait) = channel();
    let worker = thread::spawn(move || drop(done.send(work())));
    match wait.recv_timeout(limit) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => panic!("{what} did not end within {limit:?}"),
        Err(RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(worker.join().expect_err("work that gives nothing has panicked"))
        }
    }
}

/// That a child of this program ran the one test that it was to run, and that it passed: a name that is no test's runs none and
/// ends well, too.
#[track_caller]
pub fn one_test_passed(child: &Output) {
    let said = String::from_utf8_lossy(&child.stdout);
    let passed = child.status.success() && said.contains("test result: ok. 1 passed");
    assert!(passed, "{}: {said}{}", child.status, String::from_utf8_lossy(&child.stderr));
}

/// Has a program hear signals although whoever started the tests in the background ignores SIGINT: its programs would too.
pub fn hear_signals(command: &mut Command) {
    // SAFETY: the call may be made between fork and exec.
    unsafe {
        command.pre_exec(|| {
            for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
                libc::signal(signal, libc::SIG_DFL);
            }
            Ok(())
        });
    }
}

/// What one call of the program did.
pub struct Done {
    /// Exit code; -1 when killed by a signal.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it said.
    pub stderr: String,
}

/// Runs `xrdct` in a folder.
pub fn xrdct(folder: &Path, arguments: &[&str]) -> Done {
    let done = Command::new(env!("CARGO_BIN_EXE_xrdct"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("xrdct starts");
    Done {
        code: done.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&done.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
    }
}

/// Counts of a small frame: a ring on a background, different in every frame, with a gap at −1 and a dead pixel at −2.
pub fn small_pixels(number: usize) -> Vec<i32> {
    let mut pixels = Vec::with_capacity(SMALL.pixels());
    for y in 0..SMALL.slow {
        for x in 0..SMALL.fast {
            let radius = ((y as f64 - 20.0).powi(2) + (x as f64 - 15.0).powi(2)).sqrt();
            let ring = 5000.0 * (-(radius - 12.0 - number as f64 * 0.5).powi(2) / 3.0).exp();
            let value = (10.0 + ring) as i32 + ((7 * x + 13 * y + number) % 5) as i32;
            pixels.push(if (29..32).contains(&y) { -1 } else { value });
        }
    }
    pixels[5 * SMALL.fast + 40] = -2;
    pixels
}

/// A CBF file around a packed image; `edit` may spoil the header.
pub fn cbf_bytes(packed: &[u8], shape: Shape, number: usize, edit: impl Fn(String) -> String) -> Vec<u8> {
    let header = format!(
        "###CBF: VERSION 1.5, CBFlib v0.7.8 - SLS/DECTRIS PILATUS detectors\r\n\r\ndata_small_{number:05}\r\n\r\n\
         _array_data.header_convention \"PILATUS_1.2\"\r\n_array_data.header_contents\r\n;\r\n\
         # Detector: PILATUS small, S/N 00-0000\r\n# 2026-11-22T10:00:{:02}.500\r\n\
         # Pixel_size 172e-6 m x 172e-6 m\r\n# Exposure_time 0.0990000 s\r\n# Start_angle {}.5000 deg.\r\n;\r\n\r\n\
         _array_data.data\r\n;\r\n--CIF-BINARY-FORMAT-SECTION--\r\nContent-Type: application/octet-stream;\r\n     \
         conversions=\"x-CBF_BYTE_OFFSET\"\r\nContent-Transfer-Encoding: BINARY\r\nX-Binary-Size: {}\r\n\
         X-Binary-ID: 1\r\nX-Binary-Element-Type: \"signed 32-bit integer\"\r\n\
         X-Binary-Element-Byte-Order: LITTLE_ENDIAN\r\nContent-MD5: {}\r\nX-Binary-Number-of-Elements: {}\r\n\
         X-Binary-Size-Fastest-Dimension: {}\r\nX-Binary-Size-Second-Dimension: {}\r\n\
         X-Binary-Size-Padding: 4095\r\n\r\n",
        number % 60,
        number,
        packed.len(),
        STANDARD.encode(Md5::digest(packed)),
        shape.pixels(),
        shape.fast,
        shape.slow,
    );
    let mut bytes = edit(header).into_bytes();
    bytes.extend([0x0c, 0x1a, 0x04, 0xd5]);
    bytes.extend(packed);
    bytes.extend([0; 4095]);
    bytes.extend(b"\r\n--CIF-BINARY-FORMAT-SECTION----\r\n;\r\n");
    bytes
}

/// Writes small frame `number` where a scan has it and returns its name.
pub fn write_small_frame(folder: &Path, number: usize) -> PathBuf {
    let path = folder.join(format!("small_{number:05}.cbf"));
    let packed = byte_offset::encode(&small_pixels(number));
    fs::write(&path, cbf_bytes(&packed, SMALL, number, |h| h)).expect("the scratch folder is writable");
    path
}

/// Writes a scan of small frames and its geometry: `scan/small_00000.cbf` …, `small.poni`.
pub fn write_small_scan(folder: &Path, frames: usize) {
    let scan = folder.join("scan");
    fs::create_dir_all(&scan).expect("the scratch folder is writable");
    for number in 0..frames {
        write_small_frame(&scan, number);
    }
    fs::write(folder.join("small.poni"), SMALL_PONI).expect("the scratch folder is writable");
}

/// Geometry of the small frames: no mask of its own, dummies as typed.
pub const SMALL_PONI: &str = "poni_version: 2.1\nDetector: Detector\n\
    Detector_config: {\"pixel1\": 0.000172, \"pixel2\": 0.000172, \"max_shape\": [61, 47], \"orientation\": 3}\n\
    Distance: 0.05\nPoni1: 0.0035\nPoni2: 0.0026\nRot1: 0.01\nRot2: -0.02\nRot3: 0.1\nWavelength: 1e-10\n";

/// The line of a text that begins with a word.
#[track_caller]
pub fn one_line<'a>(text: &'a str, word: &str) -> &'a str {
    text.lines().find(|line| line.starts_with(word)).unwrap_or_else(|| panic!("no line `{word}` in:\n{text}"))
}

/// Names in a folder, sorted: what a run left on disk.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("readable")
        .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Words of the panic that some work ends with.
pub fn panic_of(work: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let panic = std::panic::catch_unwind(work).expect_err("it must panic");
    let words = panic.downcast_ref::<String>().cloned();
    words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned())).expect("words")
}

#[test]
fn what_a_test_lacks_fails_it_with_the_way_out() {
    let absent = || PathBuf::from("no/such/file");
    let said = panic_of(|| drop(need(absent(), "support", "somebody brings it")));
    assert_eq!(said, "no/such/file is not there: somebody brings it");
    // A test that stands elsewhere could not be left out by its name.
    let elsewhere = panic_of(|| drop(need(PathBuf::from("."), "needs_data", "")));
    assert!(
        elsewhere.ends_with("must stand in a module `needs_data`: `make test` goes by these names"),
        "{elsewhere}"
    );
}

#[test]
fn what_hangs_does_not_hang_the_suite() {
    let said =
        panic_of(|| within(Duration::from_millis(20), "sleep", || thread::sleep(Duration::from_secs(5))));
    assert_eq!(said, "sleep did not end within 20ms");
    assert_eq!(
        panic_of(|| within(Duration::from_secs(60), "work", || panic!("its own words"))),
        "its own words"
    );
    assert_eq!(within(Duration::from_secs(60), "work", || 7), 7);
}

#[test]
fn lists_of_different_lengths_are_not_compared() {
    let said = panic_of(|| assert_eq!(side_by_side(&[1, 2], &[1]).count(), 1));
    assert!(said.contains("as many on either side"), "{said}");
}
