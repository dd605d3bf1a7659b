//! The device half and its mirror: each `cuda/x/y.cu` has its twin `src/cuda/x/y.rs`, and nobody else loads its kernels.

use std::collections::{BTreeMap, BTreeSet};

use super::exceptions::beyond;
use super::text::{Kind, Token, tokens};
use super::tree::{self, File};

/// Units that somebody else loads today, and who: a unit's kernels belong into its twin.
const EXCEPTIONS: &[(&str, &str)] = &[];

/// A macro that writes kernels: its parameters and its body.
struct Macro<'a> {
    parameters: Vec<&'a str>,
    body: Vec<Token<'a>>,
}

/// Words between the parentheses that open at a place, by comma; and where they close.
fn arguments<'a>(tokens: &[Token<'a>], at: usize) -> (Vec<&'a str>, usize) {
    let is_open = |token: &Token<'_>| token.kind != Kind::Sign(')');
    let end = at + tokens[at..].iter().take_while(|token| is_open(token)).count();
    let inside = tokens[at + 1..end].split(|token| token.kind == Kind::Sign(','));
    let word = |part: &[Token<'a>]| {
        part.iter().find_map(|token| match token.kind {
            Kind::Word(word) => Some(word),
            _ => None,
        })
    };
    (inside.filter_map(word).collect(), end)
}

/// Names of the kernels in a run of tokens, `with` in place of a macro's parameters: the name stands before the parameters, behind
/// `__launch_bounds__(…)` if there is any.
fn kernels_of(tokens: &[Token<'_>], with: &BTreeMap<&str, &str>) -> Vec<String> {
    let is_kernel = |at: &usize| tokens[*at].kind == Kind::Word("__global__");
    let name = |start: usize| {
        let (mut name, mut at) = (String::new(), start + 1);
        while let Some(token) = tokens.get(at) {
            match token.kind {
                Kind::Word("void") => {}
                Kind::Word("__launch_bounds__") => at = arguments(tokens, at + 1).1,
                Kind::Word(word) => name.push_str(with.get(word).unwrap_or(&word)),
                Kind::Sign('#') | Kind::Sign('\\') => {}
                _ => break,
            }
            at += 1;
        }
        name
    };
    (0..tokens.len()).filter(is_kernel).map(name).collect()
}

/// The kernels of a unit, those that macros write among them.
fn kernels(unit: &str) -> Vec<String> {
    let (mut macros, mut code) = (BTreeMap::new(), vec![]);
    let lines: Vec<&str> = unit.lines().collect();
    let all = tokens(unit);
    let mut at = 0;
    while at < all.len() {
        let start = all[at];
        let first = all[at..].iter().map(|token| token.kind).take(2).collect::<Vec<_>>();
        // A directive goes on as long as its lines end so.
        let goes_on = |line: usize| lines[line - 1].trim_end().ends_with('\\');
        let last = (start.line..).find(|line| !goes_on(*line)).unwrap_or(start.line);
        let end = at + all[at..].iter().take_while(|token| token.line <= last).count();
        let is_directive = first.first() == Some(&Kind::Sign('#'));
        if let [Kind::Sign('#'), Kind::Word("define")] = first[..]
            && let [_, _, name, open, ..] = &all[at..end]
            && let (Kind::Word(name), Kind::Sign('(')) = (name.kind, open.kind)
        {
            let (parameters, close) = arguments(&all, at + 3);
            macros.insert(name, Macro { parameters, body: all[close + 1..end].to_vec() });
        }
        if is_directive {
            at = end;
        } else {
            code.push(start);
            at += 1;
        }
    }
    let mut found = kernels_of(&code, &BTreeMap::new());
    for (at, token) in code.iter().enumerate() {
        if let Kind::Word(name) = token.kind
            && let Some(written) = macros.get(name)
            && code.get(at + 1).is_some_and(|next| next.kind == Kind::Sign('('))
        {
            let (given, _) = arguments(&code, at + 1);
            let with = written.parameters.iter().copied().zip(given).collect();
            found.extend(kernels_of(&written.body, &with));
        }
    }
    found
}

/// Whether a file's strings name a kernel: whole, or as a beginning such as `xrdct_tomo_{name}` and a string for the rest.
fn loads(text: &str, kernel: &str) -> bool {
    let strings: BTreeSet<&str> = tokens(text)
        .iter()
        .filter_map(|token| match token.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        })
        .collect();
    let beginning = |text: &&&str| text.ends_with('}') && text.matches('{').count() == 1;
    let beginnings = strings.iter().filter(beginning).filter_map(|text| text.split('{').next());
    strings.contains(kernel)
        || beginnings
            .filter(|beginning| beginning.starts_with("xrdct_"))
            .filter_map(|beginning| kernel.strip_prefix(beginning))
            .any(|rest| strings.contains(rest))
}

/// What is not mirrored: units by who loads them instead of the twin, and kernels that not exactly one file loads.
fn offences(units: &[File], host: &[File]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for unit in units {
        let twin = format!("src/{}", unit.place.replace(".cu", ".rs"));
        let kernels = kernels(&unit.text);
        if kernels.is_empty() {
            found.insert(unit.place.clone(), format!("{}: no kernels in it", unit.place));
        }
        for kernel in kernels {
            let loaders: Vec<_> =
                host.iter().filter(|file| loads(&file.text, &kernel)).map(|file| &file.place).collect();
            match loaders[..] {
                [one] if *one == twin => {}
                [one] => {
                    let said = format!("{}: {kernel} is loaded by {one}; its place is {twin}", unit.place);
                    found.insert(format!("{} by {one}", unit.place), said);
                }
                _ => {
                    let said =
                        format!("{}: {kernel} must be loaded by one file, not by {loaders:?}", unit.place);
                    found.insert(kernel, said);
                }
            }
        }
    }
    found
}

#[test]
fn each_unit_has_its_twin() {
    let listed = EXCEPTIONS.iter().map(|(unit, loader)| format!("{unit} by {loader}"));
    let found = beyond(&offences(&tree::files("cuda", ".cu"), &tree::files("src", ".rs")), listed);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_kernel_without_its_twin_is_found() {
    let file = |place: &str, text: &str| File { place: place.into(), text: text.into() };
    let unit = "extern \"C\" __global__ void __launch_bounds__(A, 2)\nk_one(int a) {}\n\
        #define K(bits, T) \\\n    extern \"C\" __global__ void k_##bits(T a) { \\\n    }\nK(8, int)\nK(wide, long)\n";
    assert_eq!(kernels(unit), ["k_one", "k_8", "k_wide"]);
    let units = [file("cuda/codec/a.cu", &unit.replace("k_", "xrdct_k_"))];
    let found = |host: &[(&str, &str)]| {
        let host: Vec<_> = host.iter().map(|(place, text)| file(place, text)).collect();
        offences(&units, &host).into_keys().collect::<Vec<_>>()
    };
    let all = "f(\"xrdct_k_one\"); let k = |n| format!(\"xrdct_k_{n}\"); g(\"8\", \"wide\");";
    assert!(found(&[("src/cuda/codec/a.rs", all), ("src/cuda/lane.rs", "\"one\"")]).is_empty());
    assert_eq!(found(&[("src/cuda/kernels.rs", all)]), ["cuda/codec/a.cu by src/cuda/kernels.rs"]);
    assert_eq!(
        found(&[("src/cuda/codec/a.rs", &all.replace("wide", ""))]),
        ["xrdct_k_wide"],
        "nobody loads it"
    );
    let twice = [("src/cuda/codec/a.rs", all), ("src/cuda/lane.rs", "\"xrdct_k_one\"")];
    assert_eq!(found(&twice), ["xrdct_k_one"], "two load it");
    assert_eq!(offences(&[file("cuda/codec/a.cu", "")], &[]).len(), 1, "no kernels");
}
