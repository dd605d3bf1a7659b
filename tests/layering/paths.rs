//! The paths that a file names: in `use` items, however they are broken into groups and lines, and in the midst of code.

use super::text::{Kind, Token, tokens};

/// A path as it is meant: `crate`, `self`, `super` and `xrdct` are resolved, everything else stands as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub path: Vec<String>,
    /// What it is called from here on: its last name, or what stands behind `as`.
    pub called: String,
    pub line: usize,
    /// Where it was typed: the file's module, or one that is written out in the file.
    pub from: Vec<String>,
    /// In what is built for tests only.
    pub in_tests: bool,
    /// `pub use`: a name for others, no use of its own.
    pub is_handed_on: bool,
}

/// A path from the top of its crate. The library is `crate` wherever it is named from.
fn resolve(path: &[String], from: &[String]) -> Vec<String> {
    let mut place = match path.first().map(String::as_str) {
        Some("crate") => from[..1].to_vec(),
        Some("self" | "super") => from.to_vec(),
        Some("xrdct") => vec!["crate".into()],
        _ => return path.to_vec(),
    };
    let climbs = path.iter().take_while(|name| ["self", "super"].contains(&name.as_str()));
    let skipped = climbs.clone().count().max(1);
    for _ in climbs.filter(|name| *name == "super") {
        if place.len() > 1 {
            place.pop();
        }
    }
    place.extend(path[skipped..].iter().filter(|name| *name != "self").cloned());
    place
}

/// The paths of a `use` item from behind its keyword on, and where it ends.
fn use_tree(
    tokens: &[Token<'_>],
    mut at: usize,
    before: &[String],
    found: &mut Vec<(Vec<String>, Option<String>)>,
) -> usize {
    let mut path = before.to_vec();
    let mut called = None;
    let mut is_group = false;
    while let Some(token) = tokens.get(at) {
        match token.kind {
            Kind::Sign(',' | '}' | ';') => break,
            Kind::Sign('{') => {
                is_group = true;
                at += 1;
                while tokens.get(at).is_some_and(|token| token.kind != Kind::Sign('}')) {
                    at = use_tree(tokens, at, &path, found);
                    if tokens.get(at).is_some_and(|token| token.kind == Kind::Sign(',')) {
                        at += 1;
                    } else if tokens.get(at).is_some_and(|token| token.kind == Kind::Sign(';')) {
                        return at;
                    }
                }
            }
            Kind::Word("as") => {
                at += 1;
                called = tokens.get(at).and_then(|token| match token.kind {
                    Kind::Word(name) => Some(name.to_string()),
                    _ => None,
                });
            }
            Kind::Word(name) => path.push(name.into()),
            Kind::Sign('*') => path.push("*".into()),
            _ => {}
        }
        at += 1;
    }
    if !is_group {
        found.push((path, called));
    }
    at
}

/// Whether an attribute at this place keeps what follows for tests.
fn is_for_tests(tokens: &[Token<'_>], at: usize) -> bool {
    let inside = |kind: &Kind<'_>| *kind != Kind::Sign(']');
    let words: Vec<_> = tokens[at..].iter().map(|token| token.kind).take_while(inside).collect();
    words.starts_with(&[Kind::Sign('#'), Kind::Sign('['), Kind::Word("cfg")])
        && words.contains(&Kind::Word("test"))
        && !words.contains(&Kind::Word("not"))
}

/// Every path of a file that is the module `module`.
pub fn named(text: &str, module: &[String]) -> Vec<Named> {
    let tokens = tokens(text);
    let kind = |at: usize| tokens.get(at).map(|token| token.kind);
    let mut found = vec![];
    // One entry an open brace: the module that it opens, if any, and whether tests alone are in it.
    let mut open: Vec<(Option<&str>, bool)> = vec![];
    let mut for_tests = false;
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let in_tests = for_tests || open.iter().any(|(_, tests)| *tests);
        let from = || {
            let inner = open.iter().filter_map(|(name, _)| name.map(String::from));
            module.iter().cloned().chain(inner).collect::<Vec<_>>()
        };
        let mut push = |path: Vec<String>, called: Option<String>, is_handed_on: bool| {
            let path = resolve(&path, &from());
            let called = called.or_else(|| path.last().cloned()).unwrap_or_default();
            found.push(Named { path, called, line: token.line, from: from(), in_tests, is_handed_on });
        };
        match token.kind {
            Kind::Sign('#') if is_for_tests(&tokens, at) => for_tests = true,
            Kind::Sign(';') => for_tests = false,
            Kind::Sign('{') => {
                let name = match (at.checked_sub(2).and_then(kind), at.checked_sub(1).and_then(kind)) {
                    (Some(Kind::Word("mod")), Some(Kind::Word(name))) => Some(name),
                    _ => None,
                };
                open.push((name, std::mem::take(&mut for_tests)));
            }
            Kind::Sign('}') => {
                open.pop();
            }
            // `use<'a>` in a type is no item.
            Kind::Word("use") if kind(at + 1) != Some(Kind::Sign('<')) => {
                let before = at.checked_sub(1).and_then(kind);
                let is_handed_on = matches!(before, Some(Kind::Word("pub") | Kind::Sign(')')));
                let mut paths = vec![];
                at = use_tree(&tokens, at + 1, &[], &mut paths);
                paths.into_iter().for_each(|(path, called)| push(path, called, is_handed_on));
                for_tests = false;
            }
            Kind::Word(first) if kind(at + 1) == Some(Kind::Colons) => {
                let mut path = vec![first.to_string()];
                while let (Some(Kind::Colons), Some(Kind::Word(name))) = (kind(at + 1), kind(at + 2)) {
                    path.push(name.into());
                    at += 2;
                }
                if path.len() > 1 {
                    push(path, None, false);
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

#[test]
fn paths_are_read_whole() {
    let module: Vec<String> = ["crate", "cli", "tomo"].map(String::from).into();
    let paths = |text: &str| {
        named(text, &module).iter().map(|named| named.path.join("::")).collect::<Vec<_>>().join(" ")
    };
    for (text, expected) in [
        (
            "use crate::{\n    a::B,\n    c::{D, e::{self, F}},\n    g,\n};",
            "crate::a::B crate::c::D crate::c::e crate::c::e::F crate::g",
        ),
        ("use crate::a::B as C;", "crate::a::B"),
        ("use crate::a::*;", "crate::a::*"),
        ("use {crate::a, std::fs};", "crate::a std::fs"),
        ("use super::super::a::B;", "crate::a::B"),
        ("use super::{super::a, b};", "crate::a crate::cli::b"),
        ("use self::a::B;", "crate::cli::tomo::a::B"),
        ("mod a { use super::B; fn c() { super::super::d(); } }", "crate::cli::tomo::B crate::cli::d"),
        ("fn a() { let b = crate::c::d(xrdct::e::F); }", "crate::c::d crate::e::F"),
        ("#[derive(clap::Args)] struct A;", "clap::Args"),
        ("// crate::a\nlet b = \"crate::c\";", ""),
        ("fn a() -> impl B + use<'_> { 1 }", ""),
    ] {
        assert_eq!(paths(text), expected, "{text}");
    }
    let benches: Vec<String> = ["benches", "decode"].map(String::from).into();
    let found = named("use crate::options; use xrdct::{cuda, frame::Frame};", &benches);
    let found: Vec<_> = found.iter().map(|named| named.path.join("::")).collect();
    assert_eq!(found, ["benches::options", "crate::cuda", "crate::frame::Frame"]);
}

#[test]
fn what_tests_name_is_told_apart() {
    let module = vec!["crate".to_string()];
    let text = "use a::b; #[cfg(test)] use c::d; #[cfg(test)] mod tests { use e::f; fn g() { h::i() } } fn j() { k::l() }";
    let marks: Vec<_> = named(text, &module).iter().map(|named| named.in_tests).collect();
    assert_eq!(marks, [false, true, true, true, false]);
    let handed_on = named("pub(super) use a::{b as c};", &module);
    assert!(handed_on[0].is_handed_on && handed_on[0].called == "c");
}
