//! What pyFAI's `method` says of pixel splitting, in all the forms that it has had: `"csr"`, `"full_csr_ocl"`,
//! `["bbox", "csr", "cython"]`, `[1, "bbox", "csr", "opencl", [0, 0]]`, `{"split": "no", "algo": "csr"}`.
//!
//! Algorithm and implementation say how pyFAI computes, not what; they are checked and have no effect here. A method
//! that names no splitting is one that pyFAI chooses: the first of its registry that has the algorithm and the
//! implementation. The same one is taken here, and said, because older releases chose otherwise.

use serde_json::Value;

use super::values::{Fault, Keys};
use crate::session::options::Splitting;

/// Spellings of "any".
const ANY: [&str; 4] = ["", "*", "any", "all"];
/// Algorithms of pyFAI.
const ALGORITHMS: [&str; 5] = ["histogram", "histo", "lut", "csr", "csc"];
/// Implementations of pyFAI, and the name that this program once wrote.
const IMPLEMENTATIONS: [&str; 6] = ["python", "numpy", "cython", "opencl", "ocl", "xrdct"];
/// What a method in one word is put together from, whatever stands between them; long ones first.
const PARTS: [&str; 18] = [
    "splitpixel",
    "splitbbox",
    "nosplit",
    "histogram",
    "opencl",
    "cython",
    "python",
    "numpy",
    "histo",
    "bbox",
    "full",
    "csr",
    "csc",
    "lut",
    "ocl",
    "gpu",
    "cpu",
    "no",
];

/// A method, taken apart; `None` is "any".
#[derive(Debug, Default)]
struct Parts {
    split: Option<String>,
    algorithm: Option<String>,
    implementation: Option<String>,
}

/// The splitting that pyFAI 2026.9.0 uses for this method, and a remark where it had to choose.
pub(super) fn take(
    keys: &mut Keys,
    version: u8,
    warnings: &mut Vec<String>,
) -> Result<Option<Splitting>, Fault> {
    let Some(value) = keys.take("method") else { return Ok(None) };
    let parts = match &value {
        Value::String(word) => one_word(&word.to_lowercase()),
        Value::Array(items) => list(items),
        Value::Object(map) => {
            let part = |short: &str, long: &str| map.get(short).or(map.get(long)).unwrap_or(&Value::Null);
            list(&[
                part("split", "pixel_splitting").clone(),
                part("algo", "algorithm").clone(),
                part("impl", "implementation").clone(),
            ])
        }
        _ => None,
    };
    let parts = parts.ok_or_else(|| {
        keys.fault("method", &value, "not a method of pyFAI: [\"bbox\", \"csr\", \"cython\"] is one")
    })?;
    let unknown = |part: &Option<String>, known: &[&str]| {
        part.as_deref().is_some_and(|part| !known.contains(&part)).then(|| {
            let known = known.join(", ");
            keys.fault("method", &value, format!("one of its parts is none of {known}"))
        })
    };
    if let Some(fault) =
        unknown(&parts.algorithm, &ALGORITHMS).or_else(|| unknown(&parts.implementation, &IMPLEMENTATIONS))
    {
        return Err(fault);
    }
    match parts.split.as_deref() {
        Some("no" | "nosplit") => Ok(Some(Splitting::No)),
        Some("bbox") => Ok(Some(Splitting::Bbox)),
        Some("full") => Ok(Some(Splitting::Full)),
        Some(_) => Err(keys.fault("method", &value, "xrdct splits pixels by no, bbox or full")),
        None => {
            let (method, name) = chosen(&parts);
            warnings.push(format!(
                "{} is {value}, which names no pixel splitting: \"{name}\" is taken, as pyFAI 2026.9.0 does{}; \
                 --method says which",
                keys.name("method"),
                if version < 3 { " (releases of its time may have taken another)" } else { "" },
            ));
            Ok(Some(method))
        }
    }
}

/// The first of pyFAI's registry with this algorithm and implementation.
fn chosen(parts: &Parts) -> (Splitting, &'static str) {
    let opencl = matches!(parts.implementation.as_deref(), Some("opencl" | "ocl"));
    match parts.algorithm.as_deref() {
        Some("lut") => (Splitting::Bbox, "bbox"),
        Some("csr") if opencl => (Splitting::Bbox, "bbox"),
        _ => (Splitting::No, "no"),
    }
}

/// A method in one word: what is searched for in it, in pyFAI's order.
fn one_word(word: &str) -> Option<Parts> {
    let mut left = word.to_owned();
    for part in PARTS {
        left = left.replace(part, " ");
    }
    let is_target = |rest: &str| ANY.contains(&rest) || rest.bytes().all(|b| b.is_ascii_digit() || b == b',');
    if !left.split([' ', '_']).all(is_target) {
        return None;
    }
    let first = |words: &[(&str, &str)]| {
        words.iter().find(|(part, _)| word.contains(part)).map(|(_, name)| (*name).to_owned())
    };
    Some(Parts {
        split: first(&[("bbox", "bbox"), ("full", "full"), ("no", "no")]),
        algorithm: first(&[("lut", "lut"), ("csr", "csr")]),
        implementation: first(&[("ocl", "opencl")]),
    })
}

/// (split, algorithm, implementation), or these after the dimension and before the device.
fn list(items: &[Value]) -> Option<Parts> {
    let part = |value: &Value| match value {
        Value::Null => Some(None),
        Value::String(word) => {
            let word = word.trim().to_lowercase();
            Some(Some(word).filter(|word| !ANY.contains(&word.as_str())))
        }
        _ => None,
    };
    let (split, algorithm, implementation) = match items {
        [split, algorithm, implementation] => (split, algorithm, implementation),
        [_, split, algorithm, implementation] | [_, split, algorithm, implementation, _] => {
            (split, algorithm, implementation)
        }
        _ => return None,
    };
    Some(Parts { split: part(split)?, algorithm: part(algorithm)?, implementation: part(implementation)? })
}
