//! Files of one module do not use each other in a circle.
//!
//! A file and those below it count as one way only: a parent names its children, and they use its words. What is handed on by
//! `pub use` counts as a use of where it comes from. What only tests use is no dependence.

use std::collections::{BTreeMap, BTreeSet};

use super::exceptions::beyond;
use super::paths::{Named, named};
use super::tree::{self, File};

/// The circles of today: files that reach each other.
const EXCEPTIONS: &[&[&str]] = &[];

type Uses = BTreeMap<String, BTreeSet<String>>;

/// The files of the library, what each names, and where names that are handed on come from.
struct Modules {
    named: BTreeMap<String, Vec<Named>>,
    handed_on: BTreeMap<String, Vec<String>>,
}

impl Modules {
    fn of(files: &[File]) -> Modules {
        let in_library = |file: &&File| tree::module(&file.place)[0] == "crate";
        let named = files.iter().filter(in_library).map(|file| {
            let module = tree::module(&file.place);
            (module.join("::"), named(&file.text, &module))
        });
        let mut modules = Modules { named: named.collect(), handed_on: BTreeMap::new() };
        let handed_on = modules.named.values().flatten().filter(|named| named.is_handed_on);
        let handed_on = handed_on
            .map(|named| (format!("{}::{}", named.from.join("::"), named.called), modules.whole(named)));
        modules.handed_on = handed_on.collect();
        modules
    }

    /// A path from the crate on, where the first name may be a child of the file in which it stands.
    fn whole(&self, named: &Named) -> Vec<String> {
        let below = || [&named.from[..], &named.path[..1]].concat();
        if named.path[0] != "crate" && self.named.contains_key(&below().join("::")) {
            [&named.from[..], &named.path[..]].concat()
        } else {
            named.path.clone()
        }
    }

    /// The file in which what a path names is written. A file's name wins over what is handed on under the same name.
    fn home(&self, mut path: Vec<String>) -> Option<String> {
        // Handed on from module to module; with an end, so that a circle of names has one.
        for _ in 0..8 {
            let from = (1..=path.len()).rev().find_map(|end| {
                let name = path[..end].join("::");
                let from = self.handed_on.get(&name).filter(|_| !self.named.contains_key(&name))?;
                Some([&from[..], &path[end..]].concat())
            });
            match from {
                Some(from) => path = from,
                None => break,
            }
        }
        (1..=path.len()).rev().map(|end| path[..end].join("::")).find(|place| self.named.contains_key(place))
    }

    /// Which file uses which other one of the same top module.
    fn uses(&self) -> Uses {
        let top = |place: &str| place.split("::").nth(1).map(String::from);
        let is_below = |place: &str, other: &str| place.starts_with(&format!("{other}::"));
        let mut uses = Uses::new();
        for (place, named) in &self.named {
            for named in named.iter().filter(|named| !named.in_tests && !named.is_handed_on) {
                let Some(home) = self.home(self.whole(named)) else { continue };
                let is_other = home != *place && !is_below(&home, place) && !is_below(place, &home);
                if is_other && top(&home) == top(place) {
                    uses.entry(place.clone()).or_default().insert(home);
                }
            }
        }
        uses
    }
}

/// All that can be reached from a file.
fn reached(uses: &Uses, from: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut next = vec![from];
    while let Some(place) = next.pop() {
        for other in uses.get(place).into_iter().flatten() {
            if found.insert(other.clone()) {
                next.push(other);
            }
        }
    }
    found
}

/// Groups of files that reach each other, by name, and the uses that make them circles.
fn circles(files: &[File]) -> BTreeMap<String, String> {
    let uses = Modules::of(files).uses();
    let all: BTreeMap<&String, BTreeSet<String>> =
        uses.keys().map(|place| (place, reached(&uses, place))).collect();
    let mut found = BTreeMap::new();
    for (place, reached) in all.iter().filter(|(place, reached)| reached.contains(**place)) {
        let group: BTreeSet<&String> = reached
            .iter()
            .filter(|other| all.get(*other).is_some_and(|reached| reached.contains(*place)))
            .collect();
        let inside = group.iter().flat_map(|from| {
            let to = uses[*from].iter().filter(|to| group.contains(to));
            to.map(move |to| format!("\n    {from} uses {to}"))
        });
        let inside: String = inside.collect();
        let names: Vec<_> = group.iter().map(|place| place.trim_start_matches("crate::")).collect();
        found.insert(names.join(", "), format!("a circle: {}{inside}", names.join(", ")));
    }
    found
}

#[test]
fn no_file_uses_itself_by_way_of_others() {
    let listed = EXCEPTIONS.iter().map(|group| group.join(", "));
    let found = beyond(&circles(&tree::files("src", ".rs")), listed);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_circle_is_found() {
    let found = |files: &[(&str, &str)]| {
        let file = |(place, text): &(&str, &str)| File { place: place.to_string(), text: text.to_string() };
        circles(&files.iter().map(file).collect::<Vec<_>>()).into_keys().collect::<Vec<_>>()
    };
    let a = ("src/x/a.rs", "use super::{\n    b::B,\n};");
    assert_eq!(found(&[a, ("src/x/b.rs", "fn b() { crate::x::a::f() }")]), ["x::a, x::b"]);
    assert_eq!(
        found(&[
            a,
            ("src/x/b.rs", "use super::c::C;"),
            ("src/x/c/d.rs", ""),
            ("src/x/c.rs", "use crate::x::a::A;")
        ]),
        ["x::a, x::b, x::c"]
    );
    let parent = ("src/x/mod.rs", "mod a;\npub use a::{A, f as b};\nuse b::B;");
    assert_eq!(found(&[a, parent, ("src/x/b.rs", "use crate::x::A;")]), ["x::a, x::b"], "handed on");
    assert!(found(&[a, parent, ("src/x/b.rs", "use super::X;")]).is_empty(), "a parent's words");
    assert!(
        found(&[a, ("src/x/b.rs", "#[cfg(test)] mod tests { use super::super::a::A; }")]).is_empty(),
        "tests"
    );
    assert!(
        found(&[a, ("src/x/b.rs", "use crate::y::a::A;"), ("src/y/a.rs", "use crate::x::a::A;")]).is_empty()
    );
}
