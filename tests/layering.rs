//! Who may call whom: modules stand on floors, and imports go down only (ARCHITECTURE.md, "Floors").

use std::fs;
use std::path::{Path, PathBuf};

/// Modules by floor. Two modules on one floor do not know each other.
const FLOORS: &[(&str, u32)] = &[
    ("files", 0),
    ("frame", 0),
    ("budget", 0),
    ("trace", 1),
    ("codec", 1),
    ("geometry", 1),
    ("h5", 1),
    ("integrate", 2),
    ("tomo", 2),
    ("source", 2),
    ("output", 2),
    ("reduce", 3),
    ("cuda", 4),
    ("pipeline", 5),
    ("simulate", 6),
    ("picture", 6),
    ("bench", 7),
    ("cli", 8),
];

/// Crates that one module owns: nobody else names them.
const OWNED: &[(&str, &[&str])] = &[
    ("nvtx::", &["trace"]),
    ("cudarc::", &["cuda"]),
    ("crossbeam_channel::", &["pipeline"]),
    ("clap::", &["cli"]),
    ("anyhow::", &["cli"]),
    ("indicatif::", &["cli"]),
    ("signal_hook::", &["cli"]),
    ("rustfft::", &["tomo"]),
    ("resvg::", &["picture"]),
    ("colorous::", &["picture"]),
];

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

fn floor(module: &str) -> Option<u32> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("src is readable") {
        let path = entry.expect("src is readable").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Names of the crate's modules that a line of code reaches for.
fn reached(line: &str) -> Vec<&str> {
    let code = line.split("//").next().unwrap_or("");
    code.split("crate::")
        .skip(1)
        .flat_map(|rest| {
            let group = rest.strip_prefix('{').map(|g| g.split('}').next().unwrap_or(g));
            let names: Vec<&str> = match group {
                Some(group) => group.split(',').collect(),
                None => vec![rest],
            };
            names.into_iter().map(|name| {
                let name = name.trim();
                &name[..name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len())]
            })
        })
        .collect()
}

fn offences(module: &str, place: &str, text: &str) -> Vec<String> {
    let mut found = vec![];
    let own_floor = floor(module);
    for (number, line) in text.lines().enumerate() {
        let at = || format!("{place}:{}: {}", number + 1, line.trim());
        for name in reached(line) {
            let (Some(own), Some(other)) = (own_floor, floor(name)) else { continue };
            if name != module && other >= own {
                found
                    .push(format!("{}\n    {module} (floor {own}) may not use {name} (floor {other})", at()));
            }
        }
        let code = line.split("//").next().unwrap_or("");
        for (path, owners) in OWNED {
            if code.contains(path) && !owners.contains(&module) && own_floor.is_some() {
                found.push(format!("{}\n    only {owners:?} may use {path}", at()));
            }
        }
    }
    found
}

#[test]
fn imports_go_down_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![];
    rust_files(&src, &mut files);
    assert!(files.len() > 20, "found only {} files below {}", files.len(), src.display());
    let mut found = vec![];
    for file in files {
        let inside = file.strip_prefix(&src).expect("below src");
        let module = inside.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
        let module = module.trim_end_matches(".rs");
        assert!(
            floor(module).is_some() || ["lib", "main"].contains(&module),
            "{} has no floor: give it one in FLOORS and in ARCHITECTURE.md",
            inside.display()
        );
        let text = fs::read_to_string(&file).expect("readable");
        let place = format!("src/{}", inside.display());
        found.extend(offences(module, &place, &text));
        found.extend(strays(&place, &text));
    }
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

#[test]
fn an_upward_import_is_found() {
    for line in [
        "use crate::pipeline::Stop;",
        "use crate::{frame::Frame, cli::Exit};",
        "let x = crate::cuda::device::survey();",
        "use crossbeam_channel::bounded;",
    ] {
        assert_eq!(offences("source", "x", line).len(), 1, "{line}");
    }
    for line in ["use crate::frame::Frame;", "// see crate::cli", "use crate::source::Ticket;"] {
        assert!(offences("source", "x", line).is_empty(), "{line}");
    }
    assert_eq!(offences("source", "x", "use crate::output::OutputError;").len(), 1, "same floor");
}
