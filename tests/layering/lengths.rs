//! No file is longer than can be read at a sitting.

use super::tree;

const FOLDERS: [&str; 5] = ["src", "cuda", "tests", "benches", "scripts"];
/// Lines that a file may have.
const MOST: usize = 600;

/// Files that are longer today, and what they must not outgrow.
const EXCEPTIONS: &[(&str, usize)] = &[("tests/integrate.rs", 640), ("tests/manners.rs", 740)];

fn offence(place: &str, lines: usize, exceptions: &[(&str, usize)]) -> Option<String> {
    let listed = exceptions.iter().find(|(name, _)| *name == place).map(|(_, most)| *most);
    if lines > listed.unwrap_or(MOST) {
        Some(format!("{place}: {lines} lines, at most {} may be: split it", listed.unwrap_or(MOST)))
    } else if listed.is_some() && lines <= MOST {
        Some(format!("{place}: {lines} lines, no longer too long: take it off the list"))
    } else {
        None
    }
}

#[test]
fn files_are_short() {
    let files: Vec<_> = FOLDERS.iter().flat_map(|folder| tree::files(folder, "")).collect();
    let mut found: Vec<_> =
        files.iter().filter_map(|file| offence(&file.place, file.text.lines().count(), EXCEPTIONS)).collect();
    let is_gone = |place: &str| files.iter().all(|file| file.place != place);
    let gone = EXCEPTIONS.iter().filter(|(place, _)| is_gone(place));
    found.extend(gone.map(|(place, _)| format!("{place}: there is no such file, take it off the list")));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_long_file_is_found() {
    let listed = [("a.rs", 700)];
    for (place, lines, is_offence) in [
        ("b.rs", 600, false),
        ("b.rs", 601, true),
        ("a.rs", 700, false),
        ("a.rs", 701, true),
        ("a.rs", 600, true),
    ] {
        assert_eq!(offence(place, lines, &listed).is_some(), is_offence, "{place}: {lines}");
    }
}
