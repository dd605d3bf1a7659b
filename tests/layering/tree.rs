//! The files of the project, each with its text, and the module that a file is.

use std::fs;
use std::path::Path;

/// A file: its place from the top of the project, and what it holds.
#[derive(Debug, Clone)]
pub struct File {
    pub place: String,
    pub text: String,
}

fn walk(top: &Path, place: &str, found: &mut Vec<File>) {
    for entry in fs::read_dir(top.join(place)).expect("a folder of the project is readable") {
        let entry = entry.expect("a folder of the project is readable");
        let place = format!("{place}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            walk(top, &place, found);
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            found.push(File { place, text });
        }
    }
}

/// The text files below a folder of the project whose names end so, in order; others (pictures, frames) are passed over.
pub fn files(folder: &str, ending: &str) -> Vec<File> {
    let mut found = vec![];
    walk(Path::new(env!("CARGO_MANIFEST_DIR")), folder, &mut found);
    found.retain(|file| file.place.ends_with(ending));
    found.sort_by(|a, b| a.place.cmp(&b.place));
    assert!(!found.is_empty(), "no file *{ending} below {folder}");
    found
}

/// The module that a file is, its crate first: the library's is called `crate`, the program's `main`, that of benches `benches`.
pub fn module(place: &str) -> Vec<String> {
    let name = place.strip_suffix(".rs").unwrap_or(place);
    let name = name.strip_suffix("/mod").unwrap_or(name);
    let names = name.split('/').skip(1).map(String::from);
    match name {
        "src/lib" => vec!["crate".into()],
        "src/main" => vec!["main".into()],
        _ => {
            let home = if name.starts_with("src/") { "crate" } else { "benches" };
            [home.to_string()].into_iter().chain(names).collect()
        }
    }
}

#[test]
fn a_file_is_a_module() {
    for (place, expected) in [
        ("src/lib.rs", "crate"),
        ("src/frame.rs", "crate::frame"),
        ("src/cli/mod.rs", "crate::cli"),
        ("src/cli/tomo/args.rs", "crate::cli::tomo::args"),
        ("src/main.rs", "main"),
        ("benches/decode.rs", "benches::decode"),
    ] {
        assert_eq!(module(place).join("::"), expected);
    }
}
