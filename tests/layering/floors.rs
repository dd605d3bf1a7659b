//! Modules stand on floors, and imports go down only (ARCHITECTURE.md, "Floors"). Tests at the end of a file stand where it does.

use super::paths::named;
use super::tree;

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
    ("session", 6),
    ("simulate", 6),
    ("picture", 6),
    ("bench", 7),
    ("cli", 8),
];

/// Crates that one module owns: nobody else names them.
const OWNED: &[(&str, &[&str])] = &[
    ("nvtx", &["trace"]),
    ("cudarc", &["cuda"]),
    ("crossbeam_channel", &["pipeline"]),
    ("clap", &["cli"]),
    ("anyhow", &["cli"]),
    ("indicatif", &["cli"]),
    ("signal_hook", &["cli"]),
    ("rustfft", &["tomo"]),
    ("resvg", &["picture"]),
    ("colorous", &["picture"]),
];

fn floor(module: &str) -> Option<u32> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

fn offences(place: &str, text: &str) -> Vec<String> {
    let file = tree::module(place);
    let Some(module) = file.get(1) else { return vec![] };
    let Some(own) = floor(module) else {
        return vec![format!("{place} has no floor: give it one in FLOORS and in ARCHITECTURE.md")];
    };
    let mut found = vec![];
    for named in named(text, &file) {
        let mut say = |what: String| {
            found.push(format!("{place}:{}: {}\n    {what}", named.line, named.path.join("::")))
        };
        match (named.path[0].as_str(), named.path.get(1).map(String::as_str)) {
            ("crate", None | Some("*")) => say("names the whole crate: say which module is meant".into()),
            ("crate", Some(name)) if name != module => match floor(name) {
                Some(other) if other >= own => {
                    say(format!("{module} (floor {own}) may not use {name} (floor {other})"));
                }
                _ => {}
            },
            (name, _) => {
                if let Some((_, owners)) = OWNED.iter().find(|(owned, _)| *owned == name)
                    && !owners.contains(&module.as_str())
                {
                    say(format!("only {owners:?} may use {name}"));
                }
            }
        }
    }
    found
}

#[test]
fn imports_go_down_only() {
    let files = tree::files("src", ".rs");
    assert!(files.len() > 20, "found only {} files below src", files.len());
    let found: Vec<_> = files.iter().flat_map(|file| offences(&file.place, &file.text)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn an_upward_import_is_found() {
    for text in [
        "use crate::pipeline::Stop;",
        "use crate::{frame::Frame, cli::Exit};",
        "use crate::{\n    frame::Frame,\n    cli::Exit,\n};",
        "use crate::{frame::{Frame, FrameId}, cuda::{driver::{Stream}}};",
        "use super::super::cuda;",
        "use super::super::{frame, cuda};",
        "use {std::fs, crate::cuda};",
        "pub(crate) use crate::cuda::Lane;",
        "let x = crate::cuda::device::survey();",
        "let x = crate // so\n    ::cuda::device();",
        "mod inner { use super::super::super::cuda; }",
        "use crate::output::OutputError;",
        "use crate::*;",
        "use crate as all;",
        "use crossbeam_channel::bounded;",
        "use {std::fs, crossbeam_channel as channel};",
        "let (a, b) = crossbeam_channel::bounded(1);",
    ] {
        assert_eq!(offences("src/source/listing.rs", text).len(), 1, "{text}");
    }
    for text in [
        "use crate::frame::Frame;",
        "// see crate::cli",
        "/* crate::cli */",
        "let x = \"crate::cli::Exit\";",
        "use crate::source::Ticket;",
        "use super::Ticket;",
        "use super::super::{frame, source::Ticket};",
        "let crate_ = other::cli::exit();",
    ] {
        assert!(offences("src/source/listing.rs", text).is_empty(), "{text}");
    }
    assert_eq!(offences("src/roof.rs", "").len(), 1, "no floor");
}
