//! The functions of templates: Go's own, and kubectl's `exists` and `base64decode`.

use super::eval::{Found, shown, truth};
use super::printf;
use base64::Engine;
use serde_json::Value;
use std::cmp::Ordering;

const KNOWN: &[&str] = &[
    "and",
    "base64decode",
    "eq",
    "exists",
    "ge",
    "gt",
    "html",
    "index",
    "js",
    "le",
    "len",
    "lt",
    "ne",
    "not",
    "or",
    "print",
    "printf",
    "println",
    "slice",
    "urlquery",
];

pub(super) fn is_known(name: &str) -> bool {
    KNOWN.contains(&name)
}

pub(super) fn call(name: &str, arguments: &[Found]) -> Result<Found, String> {
    let text = |text: String| Ok(Some(Value::from(text)));
    let truth_of = |bool: bool| Ok(Some(Value::from(bool)));
    match (name, arguments) {
        ("not", [one]) => truth_of(!truth(one)),
        ("len", [one]) => length(one).map(|length| Some(length.into())),
        ("index", [of, keys @ ..]) => keys.iter().try_fold(of.clone(), index),
        ("exists", [of, keys @ ..]) => {
            let found = keys.iter().try_fold(of.clone(), index);
            truth_of(matches!(found, Ok(Some(_))))
        }
        ("slice", [of, bounds @ ..]) => slice(of, bounds),
        ("print", all) => text(print(all)),
        ("println", all) => text(all.iter().map(shown).collect::<Vec<_>>().join(" ") + "\n"),
        ("printf", [Some(Value::String(format)), rest @ ..]) => text(printf::format(format, rest)),
        ("html", all) => text(html(&print(all))),
        ("js", all) => text(print(all).replace('\\', "\\\\").replace('\'', "\\'").replace('"', "\\\"")),
        ("urlquery", all) => text(url(&print(all))),
        ("base64decode", [Some(Value::String(encoded))]) => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(encoded);
            text(
                String::from_utf8_lossy(&bytes.map_err(|error| format!("base64 decode failed: {error}"))?).into_owned(),
            )
        }
        ("eq", [one, rest @ ..]) if !rest.is_empty() => truth_of(rest.iter().any(|other| same(one, other))),
        ("ne", [one, other]) => truth_of(!same(one, other)),
        ("lt" | "le" | "gt" | "ge", [one, other]) => {
            let order = compare(one, other)
                .ok_or_else(|| format!("error calling {name}: incompatible types for comparison"))?;
            truth_of(match name {
                "lt" => order == Ordering::Less,
                "le" => order != Ordering::Greater,
                "gt" => order == Ordering::Greater,
                _ => order != Ordering::Less,
            })
        }
        _ => Err(format!("wrong number or kind of args for {name}")),
    }
}

fn length(of: &Found) -> Result<usize, String> {
    match of {
        Some(Value::String(text)) => Ok(text.len()),
        Some(Value::Array(elements)) => Ok(elements.len()),
        Some(Value::Object(members)) => Ok(members.len()),
        _ => Err("error calling len: len of nil pointer".to_owned()),
    }
}

fn index(of: Found, key: &Found) -> Result<Found, String> {
    match (of, key) {
        (Some(Value::Object(mut members)), Some(Value::String(key))) => Ok(members.shift_remove(key)),
        (Some(Value::Array(elements)), Some(Value::Number(number))) => {
            let at = number.as_u64().and_then(|at| usize::try_from(at).ok());
            let found = at.and_then(|at| elements.into_iter().nth(at));
            found.map(Some).ok_or_else(|| format!("error calling index: index out of range: {number}"))
        }
        (None, _) => Err("error calling index: index of untyped nil".to_owned()),
        _ => Err("error calling index: can't index item".to_owned()),
    }
}

fn slice(of: &Found, bounds: &[Found]) -> Result<Found, String> {
    let bound = |at: usize, default: usize| match bounds.get(at) {
        Some(Some(Value::Number(number))) => number.as_u64().and_then(|number| usize::try_from(number).ok()),
        Some(_) => None,
        None => Some(default),
    };
    let wrong = || "error calling slice: index out of range".to_owned();
    let size = length(of)?;
    let (start, end) = (bound(0, 0).ok_or_else(wrong)?, bound(1, size).ok_or_else(wrong)?);
    match of {
        Some(Value::String(text)) => text.get(start..end).map(|part| Some(part.into())).ok_or_else(wrong),
        Some(Value::Array(elements)) => {
            elements.get(start..end).map(|part| Some(part.to_vec().into())).ok_or_else(wrong)
        }
        _ => Err("error calling slice: can't slice item".to_owned()),
    }
}

/// Spaces between operands of which neither is a text.
fn print(all: &[Found]) -> String {
    let mut out = String::new();
    for (at, one) in all.iter().enumerate() {
        let is_text = |value: &Found| matches!(value, Some(Value::String(_)));
        if at > 0 && !is_text(one) && !is_text(&all[at - 1]) {
            out.push(' ');
        }
        out.push_str(&shown(one));
    }
    out
}

fn html(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&#34;").replace('\'', "&#39;")
}

fn url(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b' ' => "+".to_owned(),
        byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

fn same(one: &Found, other: &Found) -> bool {
    match (one, other) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => a.as_f64() == b.as_f64(),
        (None | Some(Value::Null), None | Some(Value::Null)) => true,
        _ => one == other,
    }
}

fn compare(one: &Found, other: &Found) -> Option<Ordering> {
    match (one, other) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        (Some(Value::String(a)), Some(Value::String(b))) => Some(a.cmp(b)),
        _ => None,
    }
}
