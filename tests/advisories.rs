//! `scripts/advisories.py`: a crate with a known hole fails `.ci/run`.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::tempdir;

/// Checks a lock file of these crates against these advisories (id, crate, kind, safe versions); what it printed, and its success.
fn check(crates: &[(&str, &str)], advisories: &[[&str; 4]], ignored: &[&str]) -> (bool, String) {
    let folder = tempdir().expect("a scratch folder");
    let at = |name: &str| folder.path().join(name);
    let lock: String = crates
        .iter()
        .map(|(name, version)| {
            format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\nsource = \"registry+x\"\n")
        })
        .collect();
    fs::write(at("Cargo.lock"), lock).expect("written");
    let rows: String = advisories.iter().map(|row| row.join("\t") + "\ta title\n").collect();
    fs::write(at("advisories.tsv"), format!("# RustSec advisory-db 0123456789ab 2026-08-21; made\n{rows}"))
        .expect("written");
    let names: Vec<String> =
        ignored.iter().map(|id| format!("{{ id = \"{id}\", reason = \"because\" }}")).collect();
    fs::write(at("deny.toml"), format!("[advisories]\nignore = [{}]\n", names.join(", "))).expect("written");
    let done = Command::new("python3")
        .arg(script())
        .arg("--snapshot")
        .arg(at("advisories.tsv"))
        .args(["check", "--offline", "--lock"])
        .arg(at("Cargo.lock"))
        .arg("--policy")
        .arg(at("deny.toml"))
        .output()
        .expect("python3, which building needs too");
    let printed = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8_lossy(&printed).into_owned())
}

fn script() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/advisories.py")
}

#[test]
fn a_crate_with_a_known_hole_fails_the_check() {
    let hole = [["RUSTSEC-2026-0001", "leaky", "vulnerability", "< 0.5.0 | >= 1.2.3, < 2.0.0 | ^3.1"]];
    for (version, is_safe) in [
        ("0.4.9", true),
        ("0.5.0", false),
        ("1.2.2", false),
        ("1.2.3-rc.1", false),
        ("1.2.3", true),
        ("1.10.0", true),
        ("2.0.0", false),
        ("3.0.9", false),
        ("3.1.0", true),
        ("4.0.0", false),
    ] {
        let (passed, printed) = check(&[("other", "1.0.0"), ("leaky", version)], &hole, &[]);
        assert_eq!(passed, is_safe, "{version}: {printed}");
        assert_eq!(printed.contains("RUSTSEC-2026-0001"), !is_safe, "{printed}");
    }
}

#[test]
fn what_is_ignored_must_be_needed() {
    let hole = [["RUSTSEC-2026-0001", "old", "unmaintained", ""]];
    let old = [("old", "1.0.0")];
    assert!(!check(&old, &hole, &[]).0);
    assert!(check(&old, &hole, &["RUSTSEC-2026-0001"]).0);
    let (passed, printed) = check(&[("new", "1.0.0")], &hole, &["RUSTSEC-2026-0001"]);
    assert!(!passed && printed.contains("concerns nothing"), "{printed}");
    assert!(check(&old, &[["RUSTSEC-2026-0002", "old", "notice", ""]], &[]).0, "a notice is no hole");
}

#[test]
fn today_s_crates_have_no_known_hole() {
    let done = Command::new("python3").arg(script()).args(["check", "--offline"]).output().expect("python3");
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{printed}{}", String::from_utf8_lossy(&done.stderr));
    assert!(printed.contains("days old") && printed.contains("none concerns the "), "{printed}");
    let gate = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/run")).expect("readable");
    assert!(gate.lines().any(|line| line == "make advisories"), "{gate}");
}
