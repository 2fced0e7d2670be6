//! Patterns, in the syntax that upstream's engine has, and Kubernetes' functions that find them.
//!
//! Both engines take linear time. Ours knows more syntax (set operations in brackets) and reads `\d`, `\w`, `\s` as
//! Unicode, so a pattern is rewritten first to mean here what it means there.

use super::{NO_OVERLOAD, Result};
use crate::error::EvalError;
use crate::functions::Row;
use crate::value::Value;
use regex::{Regex, RegexBuilder};

pub(crate) const ROWS: &[Row] = &[
    ("find", "string_find_string", "string.(string) string", find),
    ("findAll", "string_find_all_string", "string.(string) list(string)", find_all),
    ("findAll", "string_find_all_string_int", "string.(string, int) list(string)", find_all),
];

/// Bytes of a compiled pattern.
const COMPILED_BYTES_MAX: usize = 4 * 1024 * 1024;
const NESTING_MAX: u32 = 200;

/// The pattern, or why it is none.
pub(crate) fn compile(pattern: &str) -> std::result::Result<Regex, String> {
    let mut builder = RegexBuilder::new(&rewritten(pattern));
    let built = builder.size_limit(COMPILED_BYTES_MAX).nest_limit(NESTING_MAX).build();
    built.map_err(|error| format!("error parsing regexp: {}", one_line(&error.to_string())))
}

/// The last line of an engine's message says what is wrong; those before it draw where.
fn one_line(message: &str) -> String {
    let last = message.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

fn rewritten(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut in_class = false;
    let mut rest = pattern;
    while let Some(character) = rest.chars().next() {
        let after = &rest[character.len_utf8()..];
        rest = match character {
            '\\' => escape(after, in_class, &mut out),
            '[' if !in_class => {
                in_class = true;
                class_start(after, &mut out)
            }
            '[' if after.starts_with(':') && after.contains(":]") => {
                let end = after.find(":]").map_or(after.len(), |end| end + 2);
                out.push('[');
                out.push_str(&after[..end]);
                &after[end..]
            }
            // Only here would it open a class within the class.
            '[' => {
                out.push_str("\\[");
                after
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
                after
            }
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(character);
                after
            }
            '-' if in_class && after.starts_with('-') => {
                out.push_str("\\-");
                after
            }
            other => {
                out.push(other);
                after
            }
        };
    }
    out
}

/// `[`, `[^`, and a `]` right after them, which stands for itself.
fn class_start<'p>(after: &'p str, out: &mut String) -> &'p str {
    out.push('[');
    let mut rest = after;
    if let Some(inner) = rest.strip_prefix('^') {
        out.push('^');
        rest = inner;
    }
    if let Some(inner) = rest.strip_prefix(']') {
        out.push_str("\\]");
        rest = inner;
    }
    rest
}

/// What follows a backslash, in ASCII's meaning; gives what follows that.
fn escape<'p>(after: &'p str, in_class: bool, out: &mut String) -> &'p str {
    let Some(letter) = after.chars().next() else {
        out.push('\\');
        return after;
    };
    let rest = &after[letter.len_utf8()..];
    let (members, negated) = match letter.to_ascii_lowercase() {
        'd' => ("0-9", letter == 'D'),
        'w' => ("0-9A-Za-z_", letter == 'W'),
        's' => ("\\t\\n\\f\\r ", letter == 'S'),
        'b' if letter == 'b' && !in_class => {
            out.push_str("(?-u:\\b)");
            return rest;
        }
        'q' if letter == 'Q' => {
            let (literal, rest) = rest.split_once("\\E").unwrap_or((rest, ""));
            out.push_str(&regex::escape(literal));
            return rest;
        }
        _ => {
            out.push('\\');
            out.push(letter);
            return rest;
        }
    };
    match (in_class, negated) {
        (true, false) => out.push_str(members),
        (_, true) => out.extend(["[^", members, "]"]),
        (false, false) => out.extend(["[", members, "]"]),
    }
    rest
}

fn illegal(message: String) -> EvalError {
    EvalError::failed(format!("Illegal regex: {message}"))
}

fn find<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::String(text), Value::String(pattern)] => {
            let pattern = compile(pattern).map_err(illegal)?;
            super::text(pattern.find(text).map_or("", |found| found.as_str()).to_owned())
        }
        _ => Err(NO_OVERLOAD),
    }
}

fn find_all<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    let (text, pattern, limit) = match arguments {
        [Value::String(text), Value::String(pattern)] => (text, pattern, -1),
        [Value::String(text), Value::String(pattern), Value::Int(limit)] => (text, pattern, *limit),
        _ => return Err(NO_OVERLOAD),
    };
    let pattern = compile(pattern).map_err(illegal)?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let found = pattern.find_iter(text).take(most).map(|found| Value::String(found.as_str().into()));
    Ok(Value::list(found.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_upstream() {
        for (pattern, text, expected) in [
            (r"^\d+$", "123", true),
            (r"^\d+$", "١٢٣", false),
            (r"^[\d.]+$", "1.2", true),
            (r"^[^\s]+$", "a b", false),
            (r"^[\D]+$", "ab", true),
            (r"^[[a]+$", "[a", true),
            (r"^[a&&b]+$", "a&b", true),
            (r"^[]a]+$", "]a", true),
            (r"^[[:alpha:]]+$", "ab", true),
            (r"\bfoo\b", "a foo b", true),
            (r"^\Qa.b\E$", "a.b", true),
            (r"^\Qa.b\E$", "axb", false),
            (r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "a-b", true),
            (r"^(?P<x>a)(?:b)$", "ab", true),
            (r"^\w+$", "é", false),
        ] {
            let compiled = compile(pattern).unwrap();
            assert_eq!(compiled.is_match(text), expected, "{pattern} on {text}");
        }
        for wrong in ["(", "[", "a{2,1}", "(?<=a)b", r"\1", "*"] {
            assert!(compile(wrong).is_err(), "{wrong}");
        }
    }
}
