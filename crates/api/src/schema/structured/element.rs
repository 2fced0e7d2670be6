//! One step of a path into an object, its order among others, and how it is written.

use serde::Deserializer;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

pub(super) type Name = Cow<'static, str>;

/// A step into a map or list.
#[derive(Clone, Debug)]
pub enum PathElement {
    /// A member of a map or struct.
    Field(Name),
    /// The item of an associative list with these keys, sorted by their names.
    Key(Box<[(Name, Value)]>),
    /// The item of a set.
    Value(Box<Value>),
    /// The item of a list at this position.
    Index(i64),
}

impl PathElement {
    fn rank(&self) -> u8 {
        match self {
            PathElement::Field(_) => 0,
            PathElement::Key(_) => 1,
            PathElement::Value(_) => 2,
            PathElement::Index(_) => 3,
        }
    }

    /// As a member of `FieldsV1` is called: `f:name`, `k:{…}`, `v:…`, `i:n`.
    pub(super) fn text(&self) -> String {
        match self {
            PathElement::Field(name) => format!("f:{name}"),
            PathElement::Key(keys) => {
                let keys: serde_json::Map<String, Value> =
                    keys.iter().map(|(name, value)| (name.clone().into_owned(), value.clone())).collect();
                format!("k:{}", Value::Object(keys))
            }
            PathElement::Value(value) => format!("v:{value}"),
            PathElement::Index(index) => format!("i:{index}"),
        }
    }

    /// Appends `text` as a JSON string.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            PathElement::Field(name) if is_plain(name) => {
                out.extend_from_slice(b"\"f:");
                out.extend_from_slice(name.as_bytes());
                out.push(b'"');
            }
            PathElement::Key(keys) if keys.iter().all(|(name, value)| is_plain(name) && is_plain_value(value)) => {
                out.extend_from_slice(b"\"k:{");
                for (index, (name, value)) in keys.iter().enumerate() {
                    out.extend_from_slice(if index > 0 { b",\\\"" } else { b"\\\"" });
                    out.extend_from_slice(name.as_bytes());
                    out.extend_from_slice(b"\\\":");
                    write_plain_value(value, out);
                }
                out.extend_from_slice(b"}\"");
            }
            other => serde_json::to_writer(out, &other.text()).expect("writing text to memory does not fail"),
        }
    }

    /// The inverse of `text`; `None` for what no version of the format has.
    pub(super) fn parse(text: &str) -> Option<PathElement> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "f" => Some(PathElement::Field(Cow::Owned(rest.to_owned()))),
            "k" => {
                let mut keys = Vec::with_capacity(1);
                let mut json = serde_json::Deserializer::from_str(rest);
                json.deserialize_map(Keys(&mut keys)).ok()?;
                json.end().ok()?;
                Some(PathElement::key(keys))
            }
            "v" => serde_json::from_str(rest).ok().map(|value| PathElement::Value(Box::new(value))),
            "i" => rest.parse().ok().map(PathElement::Index),
            _ => None,
        }
    }

    /// The step to an associative list's item.
    pub(super) fn key(mut keys: Vec<(Name, Value)>) -> PathElement {
        keys.sort_by(|(one, _), (other, _)| one.cmp(other));
        PathElement::Key(keys.into_boxed_slice())
    }

    pub(super) fn field(name: &str) -> PathElement {
        PathElement::Field(Cow::Owned(name.to_owned()))
    }
}

/// The members of an item's keys.
struct Keys<'a>(&'a mut Vec<(Name, Value)>);

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = ();
    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object of keys")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            self.0.push((Cow::Owned(name), value));
        }
        Ok(())
    }
}

/// Whether JSON writes the text as it is.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\')
}

fn is_plain_value(value: &Value) -> bool {
    match value {
        Value::String(text) => is_plain(text),
        Value::Number(_) | Value::Bool(_) => true,
        _ => false,
    }
}

/// As it stands in a string: quotes escaped.
fn write_plain_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::String(text) => {
            out.extend_from_slice(b"\\\"");
            out.extend_from_slice(text.as_bytes());
            out.extend_from_slice(b"\\\"");
        }
        other => serde_json::to_writer(out, other).expect("writing to memory does not fail"),
    }
}

/// As errors name places: `.spec`, `[name="web"]`, `[="a"]`, `[3]`.
impl fmt::Display for PathElement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathElement::Field(name) => write!(out, ".{name}"),
            PathElement::Key(keys) => {
                out.write_str("[")?;
                for (index, (name, value)) in keys.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    write!(out, "{comma}{name}={value}")?;
                }
                out.write_str("]")
            }
            PathElement::Value(value) => write!(out, "[={value}]"),
            PathElement::Index(index) => write!(out, "[{index}]"),
        }
    }
}

impl Ord for PathElement {
    fn cmp(&self, other: &PathElement) -> Ordering {
        match (self, other) {
            (PathElement::Field(one), PathElement::Field(other)) => one.as_bytes().cmp(other.as_bytes()),
            (PathElement::Key(one), PathElement::Key(other)) => {
                for ((name, value), (other_name, other_value)) in one.iter().zip(other) {
                    let order = name.cmp(other_name).then_with(|| compare_values(value, other_value));
                    if order != Ordering::Equal {
                        return order;
                    }
                }
                one.len().cmp(&other.len())
            }
            (PathElement::Value(one), PathElement::Value(other)) => compare_values(one, other),
            (PathElement::Index(one), PathElement::Index(other)) => one.cmp(other),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for PathElement {
    fn partial_cmp(&self, other: &PathElement) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for PathElement {
    fn eq(&self, other: &PathElement) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for PathElement {}

fn value_rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    }
}

/// A total order of JSON values, numbers by their size whatever their form.
fn compare_values(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => match (one.as_i64(), other.as_i64()) {
            (Some(one), Some(other)) => one.cmp(&other),
            _ => one.as_f64().unwrap_or_default().total_cmp(&other.as_f64().unwrap_or_default()),
        },
        (Value::String(one), Value::String(other)) => one.cmp(other),
        (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
        (Value::Array(one), Value::Array(other)) => one
            .iter()
            .zip(other)
            .map(|(one, other)| compare_values(one, other))
            .find(|order| *order != Ordering::Equal)
            .unwrap_or_else(|| one.len().cmp(&other.len())),
        (Value::Object(one), Value::Object(other)) => {
            let sorted = |members: &serde_json::Map<String, Value>| {
                let mut pairs: Vec<(String, Value)> =
                    members.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
                pairs.sort_by(|one, other| one.0.cmp(&other.0));
                pairs
            };
            let (one, other) = (sorted(one), sorted(other));
            one.iter()
                .zip(&other)
                .map(|(one, other)| one.0.cmp(&other.0).then_with(|| compare_values(&one.1, &other.1)))
                .find(|order| *order != Ordering::Equal)
                .unwrap_or_else(|| one.len().cmp(&other.len()))
        }
        _ => value_rank(one).cmp(&value_rank(other)),
    }
}
