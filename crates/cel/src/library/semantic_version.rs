//! Semantic versions.

use super::{NO_OVERLOAD, Result, bool};
use crate::error::EvalError;
use crate::functions::Row;
use crate::value::{Opaque, Value};
use semver::Version;
use std::cmp::Ordering;
use std::sync::Arc;

pub(crate) const ROWS: &[Row] = &[
    ("semver", "string_to_semver", "(string) Semver", to_semver),
    ("semver", "string_bool_to_semver", "(string, bool) Semver", to_semver),
    ("isSemver", "is_semver_string", "(string) bool", is_semver),
    ("isSemver", "is_semver_string_bool", "(string, bool) bool", is_semver),
    ("isGreaterThan", "semver_is_greater_than", "Semver.(Semver) bool", is_greater),
    ("isLessThan", "semver_is_less_than", "Semver.(Semver) bool", is_less),
    ("compareTo", "semver_compare_to", "Semver.(Semver) int", compare),
    ("major", "semver_major", "Semver.() int", major),
    ("minor", "semver_minor", "Semver.() int", minor),
    ("patch", "semver_patch", "Semver.() int", patch),
];

fn parse(arguments: &[Value<'_>]) -> std::result::Result<Version, EvalError> {
    let (text, normalize) = match arguments {
        [Value::String(text)] => (text, false),
        [Value::String(text), Value::Bool(normalize)] => (text, *normalize),
        _ => return Err(NO_OVERLOAD),
    };
    let text = if normalize { normalized(text)? } else { text.to_string() };
    Version::parse(&text).map_err(|error| EvalError::failed(explained(&text, &error)))
}

/// Upstream's words for the usual mistakes.
fn explained(text: &str, error: &semver::Error) -> String {
    if text.is_empty() {
        return "Version string empty".to_owned();
    }
    let parts: Vec<&str> = text.splitn(3, '.').collect();
    if parts.len() != 3 {
        return "No Major.Minor.Patch elements found".to_owned();
    }
    let patch = parts[2].split(['-', '+']).next().unwrap_or_default();
    for (name, part) in [("major", parts[0]), ("minor", parts[1]), ("patch", patch)] {
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return format!("Invalid character(s) found in {name} number {part:?}");
        }
        if part.len() > 1 && part.starts_with('0') {
            let name = name[..1].to_uppercase() + &name[1..];
            return format!("{name} number must not contain leading zeroes {part:?}");
        }
    }
    error.to_string()
}

/// Without a leading `v`, without leading zeroes, and with three numbers.
fn normalized(text: &str) -> std::result::Result<String, EvalError> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let mut parts: Vec<String> = text.splitn(3, '.').map(without_zeroes).collect();
    if parts.len() < 3 && parts.last().is_some_and(|last| last.contains(['+', '-'])) {
        return Err(EvalError::failed("short version cannot contain PreRelease/Build meta data"));
    }
    parts.resize(3, "0".to_owned());
    Ok(parts.join("."))
}

fn without_zeroes(part: &str) -> String {
    let stripped = part.trim_start_matches('0');
    if part.len() < 2 || stripped.starts_with(|first: char| first.is_ascii_digit()) {
        return if part.len() < 2 { part } else { stripped }.to_owned();
    }
    format!("0{stripped}")
}

fn to_semver<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    parse(arguments).map(|version| Value::Opaque(Opaque::Semver(Arc::new(version))))
}

fn is_semver<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match parse(arguments) {
        Err(EvalError::NoSuchOverload) => Err(NO_OVERLOAD),
        parsed => bool(parsed.is_ok()),
    }
}

fn order(arguments: &[Value<'_>]) -> std::result::Result<Ordering, EvalError> {
    match arguments {
        [Value::Opaque(Opaque::Semver(a)), Value::Opaque(Opaque::Semver(b))] => Ok(a.cmp_precedence(b)),
        _ => Err(NO_OVERLOAD),
    }
}

fn is_greater<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    bool(order(arguments)?.is_gt())
}

fn is_less<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    bool(order(arguments)?.is_lt())
}

fn compare<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    Ok(Value::Int(order(arguments)? as i64))
}

fn number<'v>(arguments: &[Value<'v>], of: fn(&Version) -> u64) -> Result<'v> {
    match arguments {
        [Value::Opaque(Opaque::Semver(version))] => {
            i64::try_from(of(version)).map(Value::Int).map_err(|_| EvalError::IntegerOverflow)
        }
        _ => Err(NO_OVERLOAD),
    }
}

fn major<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    number(arguments, |version| version.major)
}

fn minor<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    number(arguments, |version| version.minor)
}

fn patch<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    number(arguments, |version| version.patch)
}
