//! What every test file needs: small frames that are known exactly, the program itself, the oracle's python, real data.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use xrdct::codec::byte_offset;
use xrdct::frame::Shape;

/// Shape of the small frames: wide enough for rings, small enough for a test to take milliseconds.
pub const SMALL: Shape = Shape { slow: 61, fast: 47 };

/// A real file below `XRDCT_TEST_DATA` (default `../shared/data`), or `None`, said aloud, where the data are absent.
pub fn data(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("XRDCT_TEST_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there (XRDCT_TEST_DATA names the folder of real data)", path.display());
    None
}

/// The python that has pyFAI, FabIO and h5py; `make test` brings it. Absent: the test fails, with the way out.
pub fn oracle() -> PathBuf {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/oracle/bin/python");
    assert!(python.exists(), "{} is not there: run `make oracle` (or `make test`) first", python.display());
    python
}

/// Runs a script of `tests/oracle` and returns what it printed; a non-zero status fails the test with its output.
pub fn ask_oracle(script: &str, arguments: &[&Path]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle").join(script);
    let done = Command::new(oracle()).arg(&script).args(arguments).output().expect("python runs");
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(
        done.status.success(),
        "{}: {}\n{printed}\n{}",
        script.display(),
        done.status,
        String::from_utf8_lossy(&done.stderr)
    );
    printed
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

/// Names in a folder, sorted: what a run left on disk.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("readable")
        .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
