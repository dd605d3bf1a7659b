//! A JSON object whose keys are taken one by one, each with the type that it must have. What is left over in the end,
//! nobody knew.

use std::path::Path;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::ConfigError;

/// pyFAI says quantiles in percent.
pub(super) const PERCENT: f64 = 100.0;

/// Longest value that a message quotes.
const LONGEST_QUOTE: usize = 60;

/// What is wrong with one setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} is {value}: {problem}")]
pub struct Fault {
    /// The key, with the objects that it is in: `ai.nbpt_rad`.
    pub key: String,
    /// What the file says, shortened.
    pub value: String,
    /// What would be right.
    pub problem: String,
}

impl Fault {
    /// The same, in a file.
    pub(super) fn of(self, path: &Path) -> ConfigError {
        ConfigError::Setting { path: path.into(), fault: self }
    }
}

/// A setting: absent and null are the same.
pub(super) type Taken<T> = Result<Option<T>, Fault>;

/// The keys of one JSON object that have not been taken yet.
pub(super) struct Keys {
    /// What stands before the keys in messages: empty, or `ai.`.
    prefix: String,
    map: Map<String, Value>,
}

impl Keys {
    pub(super) fn new(prefix: &str, map: Map<String, Value>) -> Keys {
        Keys { prefix: prefix.to_owned(), map }
    }

    /// The key as messages name it.
    pub(super) fn name(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Whether the key says something.
    pub(super) fn says(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(|value| !value.is_null())
    }

    /// Whether the key is there, be it null.
    pub(super) fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    pub(super) fn peek(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// The keys that are left.
    pub(super) fn left(&self) -> impl Iterator<Item = &String> {
        self.map.keys()
    }

    /// Puts a value in the place of a key, unless the key says something already.
    pub(super) fn offer(&mut self, key: &str, value: Value) {
        if !self.says(key) {
            self.map.insert(key.to_owned(), value);
        }
    }

    pub(super) fn fault(&self, key: &str, value: &Value, problem: impl Into<String>) -> Fault {
        let mut quote = value.to_string();
        if let Some((end, _)) = quote.char_indices().nth(LONGEST_QUOTE) {
            quote.truncate(end);
            quote.push('…');
        }
        Fault { key: self.name(key), value: quote, problem: problem.into() }
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.map.shift_remove(key).filter(|value| !value.is_null())
    }

    fn typed<T>(&mut self, key: &str, wanted: &str, read: impl Fn(&Value) -> Option<T>) -> Taken<T> {
        let Some(value) = self.take(key) else { return Ok(None) };
        read(&value).map(Some).ok_or_else(|| self.fault(key, &value, wanted))
    }

    pub(super) fn number(&mut self, key: &str) -> Taken<f64> {
        self.typed(key, "a number is wanted", Value::as_f64)
    }

    /// A number, or one of Python's words for what is none: NaN, Infinity, -Infinity.
    pub(super) fn any_number(&mut self, key: &str) -> Taken<f64> {
        self.typed(key, "a number or \"NaN\" is wanted", any_number)
    }

    pub(super) fn count(&mut self, key: &str) -> Taken<usize> {
        self.typed(key, "a whole number is wanted", whole)
    }

    pub(super) fn flag(&mut self, key: &str) -> Taken<bool> {
        self.typed(key, "true or false is wanted", |value| match value {
            Value::Bool(flag) => Some(*flag),
            other => other.as_u64().filter(|n| *n < 2).map(|n| n == 1),
        })
    }

    pub(super) fn text(&mut self, key: &str) -> Taken<String> {
        self.typed(key, "a text is wanted", |value| value.as_str().map(str::to_owned))
    }

    /// A text that says something.
    pub(super) fn parsed<T: FromStr>(&mut self, key: &str, wanted: &'static str) -> Taken<T> {
        self.typed(key, wanted, |value| value.as_str()?.parse().ok())
    }

    /// A text, or a list of them; an empty text is an empty list.
    pub(super) fn texts(&mut self, key: &str) -> Result<Vec<String>, Fault> {
        let texts = self.typed(key, "a text or a list of texts is wanted", |value| match value {
            Value::String(text) if text.is_empty() => Some(Vec::new()),
            Value::String(text) => Some(vec![text.clone()]),
            Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
            _ => None,
        })?;
        Ok(texts.unwrap_or_default())
    }

    pub(super) fn object(&mut self, key: &str) -> Taken<Map<String, Value>> {
        self.typed(key, "a JSON object is wanted", |value| value.as_object().cloned())
    }

    /// Two ends of a range; an end that is null or infinite is open.
    pub(super) fn range(&mut self, key: &str) -> Taken<[Option<f64>; 2]> {
        self.typed(key, "two numbers are wanted", |value| match value.as_array()?.as_slice() {
            [from, to] => Some([end(from)?, end(to)?]),
            _ => None,
        })
    }

    /// One end of a range.
    pub(super) fn end(&mut self, key: &str) -> Taken<Option<f64>> {
        self.typed(key, "a number is wanted", end)
    }

    /// One word of a list of known ones, in any case.
    pub(super) fn word<T: DeserializeOwned>(&mut self, key: &str) -> Taken<T> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let Some(word) = value.as_str() else { return Err(self.fault(key, &value, "a text is wanted")) };
        let read = serde_json::from_value(Value::String(word.to_lowercase()));
        read.map(Some).map_err(|error| self.fault(key, &value, error.to_string()))
    }
}

/// The whole number that a JSON value is; Python sometimes writes 500.0.
pub(super) fn whole(value: &Value) -> Option<usize> {
    let exact = value.as_f64().filter(|n| n.fract() == 0.0 && (0.0..9e15).contains(n));
    value.as_u64().or(exact.map(|n| n as u64)).and_then(|n| usize::try_from(n).ok())
}

fn any_number(value: &Value) -> Option<f64> {
    match value {
        Value::String(word) => match word.to_lowercase().as_str() {
            "nan" => Some(f64::NAN),
            "infinity" | "inf" => Some(f64::INFINITY),
            "-infinity" | "-inf" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        other => other.as_f64(),
    }
}

fn end(value: &Value) -> Option<Option<f64>> {
    match value {
        Value::Null => Some(None),
        other => any_number(other).map(|end| Some(end).filter(|end| end.is_finite())),
    }
}

/// A number as JSON, which has no NaN and no infinities: these become texts.
pub(super) fn number_or_word(number: f64) -> Value {
    match number {
        n if n.is_nan() => Value::from("NaN"),
        n if n.is_infinite() => Value::from(if n > 0.0 { "Infinity" } else { "-Infinity" }),
        n => Value::from(n),
    }
}
