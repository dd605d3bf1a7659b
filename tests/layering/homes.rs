//! Calls that have one home each: how files are opened and made, and who prints.

use super::tree;

/// Calls that have one home each: files that a user named are opened without waiting for a FIFO, files are made such that no link
/// is followed, and what is printed cannot fail. The homes, and who opens what no user named.
const AT_HOME: &[(&[&str], &str, &[&str])] = &[
    (
        &[
            "fs::File::open(",
            "File::open(",
            "fs::read(",
            "fs::read_to_string(",
            "hdf5::File::",
            "FileBuilder::new",
            "with_options()",
        ],
        "src/files",
        &[
            "src/bench/machine.rs",
            "src/bench/peers.rs",
            "src/bench/record.rs",
            "src/bench/tomo.rs",
            "src/budget.rs",
            "src/cli/signals.rs",
            "src/cuda/numa.rs",
        ],
    ),
    (
        &["File::create", "OpenOptions", "fs::write("],
        "src/output/draft.rs",
        &["src/bench/peers.rs", "src/bench/record.rs", "src/bench/tomo.rs", "src/files/"],
    ),
    (
        &["println!", "print!", "eprintln!", "eprint!", "stdout()", "stderr()"],
        "src/cli/say.rs",
        &["src/cli/mod.rs", "src/h5/child.rs"],
    ),
    // Who makes recipes, slots and pools of threads: a session; and what a bench measures by itself.
    (
        &[
            "Recipe {",
            "SlotPool::on_host(",
            "pinned::slots(",
            "pinned::slots_for(",
            "pinned::Ready::new(",
            "ThreadPoolBuilder",
        ],
        "src/session/",
        &[
            "src/bench/ceiling.rs",
            "src/bench/subject.rs",
            "src/frame.rs",
            "src/integrate/engine.rs",
            "src/source/decoded.rs",
        ],
    ),
];

/// Whether a line has the call as a whole name: `ResultFile::create` is not `File::create`.
fn calls_it(line: &str, call: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(call).any(|(place, _)| !line[..place].ends_with(is_part))
}

/// What is done away from its home. Tests at the end of a file are their own masters.
fn strays(place: &str, text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or("");
    let lines =
        code.lines().enumerate().map(|(number, line)| (number, line.split("//").next().unwrap_or("")));
    // Files of others are opened by `h5::File`, which is as careful.
    let means_h5 =
        |call: &str| call == "File::open(" && (code.contains("h5::File") || code.contains("h5::{"));
    let stray = |(number, line): (usize, &str)| {
        AT_HOME.iter().find_map(|(calls, home, others)| {
            let call = calls.iter().find(|call| calls_it(line, call) && !means_h5(call))?;
            let may = place.starts_with(home) || others.iter().any(|other| place.starts_with(other));
            (!may).then(|| format!("{place}:{}: {call} is for {home} alone", number + 1))
        })
    };
    lines.filter_map(stray).collect()
}

#[test]
fn calls_stay_at_home() {
    let found: Vec<_> =
        tree::files("src", ".rs").iter().flat_map(|file| strays(&file.place, &file.text)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_call_away_from_its_home_is_found() {
    for line in [
        "let f = File::open(path)?;",
        "use crate::h5::File;\nlet f = std::fs::File::open(path)?;",
        "std::fs::write(path, b)?;",
        "eprintln!(\"x\");",
        "io::stdout().lock()",
    ] {
        assert_eq!(strays("src/source/listing.rs", line).len(), 1, "{line}");
    }
    for line in [
        "let f = files::open(path)?;",
        "use crate::h5::File;\nlet f = File::open(path)?;",
        "// println!",
        "ResultFile::create(path)?",
        "#[cfg(test)]\nmod tests { fn x() { println!(); } }",
    ] {
        assert!(strays("src/source/listing.rs", line).is_empty(), "{line}");
    }
}
