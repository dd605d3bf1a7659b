//! Every stage leaves its NVTX range, with the right payload, on whatever listens: here a library of our own
//! (tests/gpu/nvtx_count.c), loaded as Nsight's would be. No GPU is needed.

use std::path::Path;
use std::process::Command;

use xrdct::frame::FrameId;
use xrdct::trace;

use crate::support::one_test_passed;

const REPORT: &str = "XRDCT_NVTX_REPORT";

/// Run in a process of its own by the test below; on its own it opens ranges that nobody counts.
#[test]
fn stages_open_their_ranges() {
    trace::name_thread("tester");
    for id in 1..=4 {
        let _read = trace::read(FrameId(id));
        drop(trace::upload(FrameId(10 * id)));
    }
    for batch in [3, 5] {
        drop(trace::decode(batch));
        drop(trace::integrate(batch));
        drop(trace::download(batch));
    }
    drop(trace::write(FrameId(7)));
}

#[test]
fn ranges_are_counted_by_an_injected_library() {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libnvtx_count.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gpu/nvtx_count.c");
    let built = Command::new(&compiler)
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &source])
        .output()
        .unwrap_or_else(|e| panic!("{compiler}: {e}; a C compiler is needed, CC names it"));
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report");
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cuda::nvtx::stages_open_their_ranges"])
        .env("NVTX_INJECTION64_PATH", &library)
        .env(REPORT, &report)
        .output()
        .unwrap();
    one_test_passed(&ran);
    let report = std::fs::read_to_string(&report).expect("the library was loaded and wrote its report");
    let mut lines: Vec<&str> = report.lines().collect();
    lines.sort_unstable();
    let expected =
        ["decode 2 8", "download 2 8", "integrate 2 8", "open 0", "read 4 10", "upload 4 100", "write 1 7"];
    assert_eq!(lines, expected);
}
