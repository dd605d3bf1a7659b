//! Names that a shell has expanded a glob to, told by their order.

use std::path::{Path, PathBuf};

use super::{natural_order, plain};

/// Fewer names than this are taken as typed: two in any order say nothing.
const FEWEST: usize = 3;

/// The inputs, with names that stand in a shell's order, and not in that of their numbers, sorted by their numbers. A note for
/// each such run of names.
pub(super) fn in_order_of_numbers(inputs: &[String]) -> (Vec<String>, Vec<String>) {
    let mut sorted = Vec::with_capacity(inputs.len());
    let mut notes = Vec::new();
    for run in runs(inputs) {
        let paths: Vec<PathBuf> = run.iter().map(|name| plain(Path::new(name))).collect();
        let is_natural = paths.is_sorted_by(|a, b| natural_order(a, b).is_le());
        if run.len() < FEWEST || is_natural || !is_shells(run) {
            sorted.extend_from_slice(run);
            continue;
        }
        let mut order: Vec<usize> = (0..run.len()).collect();
        order.sort_by(|&a, &b| natural_order(&paths[a], &paths[b]));
        if let Some((at, &next)) = order.iter().enumerate().find(|(at, from)| at != *from) {
            notes.push(format!(
                "{} names stand as a shell's glob sorts them, {} before {}: they are taken in the order of their numbers. \
                 An @list keeps any order",
                run.len(),
                run[at],
                run[next]
            ));
        }
        sorted.extend(order.iter().map(|&at| run[at].clone()));
    }
    (sorted, notes)
}

/// Cuts the inputs where one glob may end and the next begin: at what is not a name of something that exists, and where the
/// order descends into another folder.
fn runs(inputs: &[String]) -> Vec<&[String]> {
    let is_name = |input: &String| !input.starts_with('@') && Path::new(input).exists();
    let folder = |input: &String| Path::new(input).parent().map(Path::to_path_buf);
    let belong = |a: &String, b: &String| {
        is_name(a)
            && is_name(b)
            && (folder(a) == folder(b) || ORDERS.iter().any(|order| order(a) <= order(b)))
    };
    inputs.chunk_by(belong).collect()
}

/// What shells sort by: bytes (the C locale), or letters and digits first (most others).
const ORDERS: [fn(&str) -> String; 2] = [str::to_owned, letters_and_digits];

fn letters_and_digits(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Whether names stand in an order that shells give them; no glob gives a name twice.
fn is_shells(run: &[String]) -> bool {
    let is_sorted = |key: &fn(&str) -> String| run.is_sorted_by_key(|name| key(name));
    ORDERS.iter().any(is_sorted) && run.windows(2).all(|pair| pair[0] != pair[1])
}
