//! Go's `printf` over values of the API.

use super::eval::{Found, shown};
use serde_json::Value;

/// A verb with its flags: `%-10.3s`.
#[derive(Default)]
struct Verb {
    left: bool,
    zero: bool,
    plus: bool,
    width: usize,
    precision: Option<usize>,
}

pub(super) fn format(format: &str, arguments: &[Found]) -> String {
    let mut out = String::new();
    let mut arguments = arguments.iter();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let (verb, letter, after) = parse(&rest[at + 1..]);
        rest = after;
        match letter {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(letter) => match arguments.next() {
                Some(value) => out.push_str(&verb.pad(verb.show(letter, value))),
                None => out.push_str(&format!("%!{letter}(MISSING)")),
            },
        }
    }
    out.push_str(rest);
    out
}

fn parse(text: &str) -> (Verb, Option<char>, &str) {
    let mut verb = Verb::default();
    let mut rest = text;
    while let Some(flag) = rest.chars().next().filter(|flag| "-+0# ".contains(*flag)) {
        match flag {
            '-' => verb.left = true,
            '0' => verb.zero = true,
            '+' => verb.plus = true,
            _ => {}
        }
        rest = &rest[1..];
    }
    (verb.width, rest) = number(rest);
    if let Some(after) = rest.strip_prefix('.') {
        let (precision, after) = number(after);
        (verb.precision, rest) = (Some(precision), after);
    }
    let letter = rest.chars().next();
    (verb, letter, &rest[letter.map_or(0, char::len_utf8)..])
}

fn number(text: &str) -> (usize, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    // Nobody reads lines wider than this; Go's own bound is a million.
    (text[..end].parse().unwrap_or(0).min(10_000), &text[end..])
}

impl Verb {
    fn show(&self, letter: char, value: &Found) -> String {
        let cut = |text: String| match self.precision {
            Some(length) => text.chars().take(length).collect(),
            None => text,
        };
        match (letter, value) {
            ('v', value) => shown(value),
            ('s', Some(Value::String(text))) => cut(text.clone()),
            ('q', Some(Value::String(text))) => format!("{text:?}"),
            ('s', Some(value @ (Value::Array(_) | Value::Object(_)))) => shown(&Some(value.clone())),
            ('d', Some(Value::Number(number))) if number.is_i64() || number.is_u64() => {
                if self.plus && number.as_i64() >= Some(0) { format!("+{number}") } else { number.to_string() }
            }
            ('x', Some(Value::Number(number))) => format!("{:x}", number.as_i64().unwrap_or_default()),
            ('x', Some(Value::String(text))) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
            ('f', Some(Value::Number(number))) if number.is_f64() => {
                format!("{:.*}", self.precision.unwrap_or(6), number.as_f64().unwrap_or_default())
            }
            ('t', Some(Value::Bool(bool))) => bool.to_string(),
            (letter, value) => {
                let kind = value.as_ref().map_or("nil", crate::print::type_name);
                format!("%!{letter}({kind}={})", shown(value))
            }
        }
    }

    fn pad(&self, text: String) -> String {
        let width = self.width;
        match (self.left, self.zero) {
            (true, _) => format!("{text:<width$}"),
            (false, true) => format!("{text:0>width$}"),
            (false, false) => format!("{text:>width$}"),
        }
    }
}
