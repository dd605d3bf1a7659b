//! One word, one meaning: a type that others can name has a name of its own in all of `src`.
//!
//! Public is whatever says `pub`, however far it goes. Private types and those of a trait are their file's own business, but for the
//! words that once meant several things: those stand once, private or not, constants too. Names that others bring (`Error`,
//! `Result`) get no leave: an error is called after its module.

use std::collections::BTreeMap;

use super::exceptions::beyond;
use super::text::{Kind, Token, tokens};
use super::tree::{self, File};

/// Words that stand once, however private.
const ONCE: &[&str] = &[
    "Crew", "Device", "Kept", "LANES", "Lane", "Layout", "Options", "Place", "Places", "Plan", "Rows",
    "Scan", "Shape", "Step", "Tile", "Tiles",
];

/// Words that go.
const NEVER: &[&str] = &["Errand", "Walked"];

/// Names that stand several times today: why, or what becomes of them, and where.
const EXCEPTIONS: &[(&str, &str, &[&str])] = &[(
    "Sealed",
    "what nobody else may implement, in a private module",
    &["src/codec/pixel.rs", "src/h5/wire.rs"],
)];

/// Whether what stands before a keyword makes it public: `pub`, `pub(…)`, either with `unsafe` behind it.
fn is_public(before: &[Token<'_>]) -> bool {
    let before = match before {
        [rest @ .., last] if last.kind == Kind::Word("unsafe") => rest,
        _ => before,
    };
    match before {
        [.., last] if last.kind == Kind::Word("pub") => true,
        [rest @ .., last] if last.kind == Kind::Sign(')') => {
            let open = rest.iter().rposition(|token| token.kind == Kind::Sign('('));
            open.and_then(|open| open.checked_sub(1)).is_some_and(|at| rest[at].kind == Kind::Word("pub"))
        }
        _ => false,
    }
}

/// The names that a file takes, each as often as it does.
fn taken(text: &str) -> Vec<&str> {
    let tokens = tokens(text);
    let name = |at: usize| {
        let (Kind::Word(keyword), Kind::Word(name)) = (tokens[at].kind, tokens.get(at + 1)?.kind) else {
            return None;
        };
        let is_type = ["struct", "enum", "trait", "type", "union"].contains(&keyword);
        let is_word = ONCE.contains(&name) || NEVER.contains(&name);
        let counts = is_type && (is_word || is_public(&tokens[..at]))
            || ["const", "static"].contains(&keyword) && is_word;
        counts.then_some(name)
    };
    (0..tokens.len()).filter_map(name).collect()
}

fn offences(files: &[File]) -> BTreeMap<String, String> {
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for file in files {
        for name in taken(&file.text) {
            places.entry(name).or_default().push(&file.place);
        }
    }
    let mut found = BTreeMap::new();
    for (name, places) in places {
        let most = if NEVER.contains(&name) { 0 } else { 1 };
        for place in places.iter().filter(|_| places.len() > most) {
            let said = format!("{place}: {name} stands in {} places, at most {most} may be", places.len());
            found.insert(format!("{name} in {place}"), said);
        }
    }
    found
}

#[test]
fn a_name_stands_once() {
    let listed = EXCEPTIONS
        .iter()
        .flat_map(|(name, _, places)| places.iter().map(move |place| format!("{name} in {place}")));
    let found = beyond(&offences(&tree::files("src", ".rs")), listed);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_second_meaning_is_found() {
    let found = |first: &str, second: &str| {
        let file = |place: &str, text: &str| File { place: place.into(), text: text.into() };
        offences(&[file("src/a.rs", first), file("src/b.rs", second)]).len()
    };
    let first = "pub struct A<T>(T);";
    for second in [
        "pub enum A {}",
        "pub(crate) trait A {}",
        "pub(in crate::x) type A = u8;",
        "pub unsafe trait A {}",
        "#[derive(Debug)]\npub(super) union A {}",
    ] {
        assert_eq!(found(first, second), 2, "{second}");
    }
    for second in [
        "struct A;",
        "pub fn a() -> A {}",
        "// pub struct A;",
        "impl X for Y { type A = u8; }",
        "pub struct B;",
    ] {
        assert_eq!(found(first, second), 0, "{second}");
    }
    assert_eq!(found("struct Lane;", "enum Lane {}"), 2, "a word, though private");
    assert_eq!(found("const LANES: usize = 8;", "const LANES: usize = 8;"), 2, "a word, though a constant");
    assert_eq!(found("struct Walked;", ""), 1, "a word that goes");
    assert_eq!(found("pub struct A; mod b { pub struct A; }", ""), 1, "twice in a file");
}
