//! What a door may import. Doors are where somebody asks for a corridor: the command line, benches, later a service and Python.
//! They say what is wanted; engines, sources and slots are for those who open the corridor.

use std::collections::BTreeMap;

use super::exceptions::beyond;
use super::paths::named;
use super::tree::{self, File};

/// What every door may name: modules whole, or some names of a module. `files` and `budget` are how anybody opens what a user named
/// and asks for memory; a door's process is the one that is started again to read foreign HDF5 files. Doors only read what `output`
/// made, but no name tells that yet.
const OPEN: &[(&str, &[&str])] = &[
    ("budget", &[]),
    ("files", &[]),
    ("h5", &["child", "read_in_children"]),
    ("output", &[]),
    ("picture", &[]),
    ("pipeline", &["run", "Stop", "Watch", "Report"]),
    ("session", &[]),
    ("simulate", &[]),
    ("trace", &[]),
];

/// `frame` is the words that all share; the slots are not among them.
const NOT_OF_FRAME: &str = "SlotPool";

/// Doors by where their files are, and the doors that each may lead to.
const DOORS: &[(&str, &[&str])] = &[
    ("src/main.rs", &["cli"]),
    ("src/cli/", &["cli", "bench", "service"]),
    ("src/bench/", &["bench"]),
    ("src/service/", &["service"]),
    ("benches/", &["bench"]),
];

/// Who measures a part by itself, and so must name it.
const OF_PARTS: &[&str] = &[
    "src/bench/ceiling.rs",
    "benches/blocks.rs",
    "benches/decode.rs",
    "benches/integrate.rs",
    "benches/kernels.rs",
    "benches/matrix.rs",
    "benches/startup.rs",
    "benches/statistics.rs",
    "benches/tomo.rs",
    "src/bench/tomo.rs",
];

/// What files of doors still reach for: nothing.
const EXCEPTIONS: &[(&str, &[&str])] = &[];

/// What a path reaches for that no door may name; modules of which some names are open are told name by name.
fn closed(path: &[String], own: &[&str]) -> Option<String> {
    let [home, module, rest @ ..] = path else { return (path == ["crate"]).then(|| "crate".into()) };
    if home != "crate" || own.contains(&module.as_str()) {
        return None;
    }
    let first = rest.first().map(String::as_str);
    let whole = || first.map_or(module.clone(), |name| format!("{module}::{name}"));
    match (module.as_str(), OPEN.iter().find(|(name, _)| name == module)) {
        ("frame", _) => first.is_none_or(|name| [NOT_OF_FRAME, "*"].contains(&name)).then(whole),
        ("source", _) => Some(whole()),
        (_, Some((_, []))) => None,
        (_, Some((_, names))) => (!first.is_some_and(|name| names.contains(&name))).then(whole),
        (_, None) => Some(module.clone()),
    }
}

fn offences(files: &[File]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for file in files.iter().filter(|file| !OF_PARTS.contains(&file.place.as_str())) {
        let Some((_, own)) = DOORS.iter().find(|(place, _)| file.place.starts_with(place)) else { continue };
        for named in named(&file.text, &tree::module(&file.place)).iter().filter(|named| !named.in_tests) {
            if let Some(name) = closed(&named.path, own) {
                let said = format!("{}:{}: no door may use {name}", file.place, named.line);
                found.entry(format!("{}: {name}", file.place)).or_insert(said);
            }
        }
    }
    found
}

#[test]
fn doors_ask_and_do_not_build() {
    let files = [tree::files("src", ".rs"), tree::files("benches", ".rs")].concat();
    let listed =
        EXCEPTIONS.iter().flat_map(|(place, names)| names.iter().map(move |name| format!("{place}: {name}")));
    let found = beyond(&offences(&files), listed);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_door_that_builds_is_found() {
    let found = |place: &str, text: &str| {
        offences(&[File { place: place.into(), text: text.into() }]).into_keys().collect::<Vec<_>>().join(" ")
    };
    for (place, text, expected) in [
        (
            "src/cli/x.rs",
            "use crate::{\n    cuda::{self, Lane},\n    frame::{Frame, SlotPool},\n};",
            "cuda frame::SlotPool",
        ),
        ("src/cli/x.rs", "use super::super::reduce::Reducer;", "reduce"),
        ("src/cli/x.rs", "use crate::source::cbf::CbfReader;", "source::cbf"),
        ("src/cli/x.rs", "use crate::pipeline::{Stop, Corridor};", "pipeline::Corridor"),
        ("src/cli/x.rs", "use crate::{pipeline, frame};", "frame pipeline"),
        ("src/bench/x.rs", "let x = crate::integrate::split::build();", "integrate"),
        ("src/bench/x.rs", "use crate::cli::Cli;", "cli"),
        ("src/main.rs", "use xrdct::{cli::start, cuda};", "cuda"),
        (
            "benches/x.rs",
            "use xrdct::bench::measure;\nuse xrdct::frame::{Frame, SlotPool};",
            "frame::SlotPool",
        ),
        ("benches/x.rs", "use xrdct as all;", "crate"),
        ("benches/x.rs", "use xrdct::*;", "*"),
        ("benches/x.rs", "use super::options::Options;", ""),
        ("src/cli/x.rs", "use crate::{frame::Frame, pipeline::{run, Stop}, session::Plan, bench::plan};", ""),
        ("src/cli/x.rs", "#[cfg(test)] mod tests { use crate::integrate::Recipe; }", ""),
        ("src/reduce/x.rs", "use crate::frame::SlotPool;", ""),
        ("benches/kernels.rs", "use xrdct::cuda::Lane;", ""),
    ] {
        let expected: Vec<_> = expected.split_whitespace().map(|name| format!("{place}: {name}")).collect();
        assert_eq!(found(place, text), expected.join(" "), "{text}");
    }
}
