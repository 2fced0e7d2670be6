//! `'%s is %d'.format(['a', 1])`, as the version of the extension does that Kubernetes has: English numbers, and
//! values inside of collections as their literals.

use super::arithmetic::fits;
use super::conversions::double_text;
use super::{NO_OVERLOAD, Result, text};
use crate::error::EvalError;
use crate::functions::Row;
use crate::limits::TEXT_BYTES_MAX;
use crate::value::{List, Map, Value};

pub(crate) const ROWS: &[Row] = &[("format", "string_format", "string.(list(dyn)) string", format)];

type Formatted = std::result::Result<String, EvalError>;

const PRECISION: usize = 6;
/// Digits after the point: more than a double ever has.
const PRECISION_MAX: usize = 1100;

fn format<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    let [Value::String(pattern), Value::List(list)] = arguments else { return Err(NO_OVERLOAD) };
    let mut out = String::with_capacity(pattern.len());
    let mut rest: &str = pattern;
    let mut next = 0;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(after) = after.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let value = list.get(next).ok_or_else(|| EvalError::failed(format!("index {next} out of range")))?;
        next += 1;
        let (clause, precision, after) = clause(after)?;
        out.push_str(&formatted(&value, clause, precision)?);
        fits(out.len(), TEXT_BYTES_MAX)?;
        rest = after;
    }
    out.push_str(rest);
    text(out)
}

/// A clause's letter, its precision, and what follows.
fn clause(after: &str) -> std::result::Result<(char, Option<usize>, &str), EvalError> {
    let unparsed = |why: &str| EvalError::failed(format!("could not parse formatting clause: {why}"));
    let (precision, rest) = match after.strip_prefix('.') {
        None => (None, after),
        Some(digits) => {
            let length = digits.bytes().take_while(u8::is_ascii_digit).count();
            let precision = digits[..length].parse().ok().filter(|precision| *precision <= PRECISION_MAX);
            (Some(precision.ok_or_else(|| unparsed("error while parsing precision"))?), &digits[length..])
        }
    };
    let letter = rest.chars().next().ok_or_else(|| EvalError::failed("unexpected end of string"))?;
    if !"sdfebxXo".contains(letter) {
        return Err(unparsed(&format!("unrecognized formatting clause \"{letter}\"")));
    }
    Ok((letter, precision, &rest[letter.len_utf8()..]))
}

fn formatted(value: &Value<'_>, clause: char, precision: Option<usize>) -> Formatted {
    let precision = precision.unwrap_or(PRECISION);
    match clause {
        's' => plain(value),
        'd' => match value {
            Value::Int(value) => Ok(value.to_string()),
            Value::Uint(value) => Ok(value.to_string()),
            _ => Err(unfit(value, "decimal clause can only be used on integers")),
        },
        'f' => match double(value) {
            Some(value) => Ok(grouped(value, precision)),
            None => Err(unfit(value, "fixed-point clause can only be used on doubles")),
        },
        'e' => match double(value) {
            Some(value) => Ok(scientific(value, precision)),
            None => Err(unfit(value, "scientific clause can only be used on doubles")),
        },
        'b' => match value {
            Value::Int(value) => Ok(signed(*value, |magnitude| format!("{magnitude:b}"))),
            Value::Uint(value) => Ok(format!("{value:b}")),
            Value::Bool(value) => Ok(u8::from(*value).to_string()),
            _ => Err(unfit(value, "only integers and bools can be formatted as binary")),
        },
        'o' => match value {
            Value::Int(value) => Ok(signed(*value, |magnitude| format!("{magnitude:o}"))),
            Value::Uint(value) => Ok(format!("{value:o}")),
            _ => Err(unfit(value, "octal clause can only be used on integers")),
        },
        _ => hexadecimal(value).map(|text| if clause == 'X' { text.to_uppercase() } else { text }),
    }
}

fn unfit(value: &Value<'_>, why: &str) -> EvalError {
    EvalError::failed(format!("error during formatting: {why}, was given {}", value.runtime_type().runtime_name()))
}

fn signed(value: i64, digits: fn(u64) -> String) -> String {
    let sign = if value < 0 { "-" } else { "" };
    sign.to_owned() + &digits(value.unsigned_abs())
}

fn hexadecimal(value: &Value<'_>) -> Formatted {
    let bytes = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    match value {
        Value::Int(value) => Ok(signed(*value, |magnitude| format!("{magnitude:x}"))),
        Value::Uint(value) => Ok(format!("{value:x}")),
        Value::String(text) => Ok(bytes(text.as_bytes())),
        Value::Bytes(value) => Ok(bytes(value)),
        _ => Err(unfit(value, "only integers, byte buffers, and strings can be formatted as hex")),
    }
}

/// A double, or the text of one that is no number.
fn double(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Double(value) => Some(*value),
        Value::String(text) => match &**text {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

fn not_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "∞"
    } else {
        "-∞"
    }
}

/// `1,234.500000`.
fn grouped(value: f64, precision: usize) -> String {
    if !value.is_finite() {
        return not_finite(value).to_owned();
    }
    let fixed = format!("{value:.precision$}");
    let (sign, digits) = fixed.strip_prefix('-').map_or(("", fixed.as_str()), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, part)| (whole, Some(part)));
    let mut out = sign.to_owned();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

/// `1.052033 × 10⁰³`, with narrow spaces.
fn scientific(value: f64, precision: usize) -> String {
    if !value.is_finite() {
        return not_finite(value).to_owned();
    }
    let text = format!("{value:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(("", exponent), |digits| ("⁻", digits));
    let raised: String = format!("{digits:0>2}").chars().filter_map(superscript).collect();
    format!("{mantissa}\u{202f}×\u{202f}10{sign}{raised}")
}

fn superscript(digit: char) -> Option<char> {
    "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().nth(digit.to_digit(10)? as usize)
}

/// What `%s` shows.
fn plain(value: &Value<'_>) -> Formatted {
    match value {
        Value::List(list) => list_text(list),
        Value::Map(map) => map_text(map),
        Value::Null => Ok("null".to_owned()),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Int(value) => Ok(value.to_string()),
        Value::Uint(value) => Ok(value.to_string()),
        Value::Double(value) => Ok(double_text(*value)),
        Value::String(text) => Ok(text.to_string()),
        Value::Bytes(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        Value::Timestamp(value) => Ok(value.to_string()),
        Value::Duration(value) => Ok(value.to_string()),
        Value::Type(named) => Ok(named.runtime_name().to_owned()),
        _ => Err(unfit(
            value,
            "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps",
        )),
    }
}

/// A value inside of a collection, as its literal.
fn literal(value: &Value<'_>) -> Formatted {
    match value {
        Value::String(text) => Ok(format!("{:?}", &**text)),
        Value::Bytes(bytes) => Ok(format!("b{:?}", String::from_utf8_lossy(bytes))),
        Value::Timestamp(value) => Ok(format!("timestamp(\"{value}\")")),
        Value::Duration(value) => Ok(format!("duration(\"{value}\")")),
        Value::Double(value) if !value.is_finite() => Ok(format!("{:?}", double_text(*value))),
        Value::Double(value) => Ok(format!("{value:.PRECISION$}")),
        Value::Optional(_) | Value::Opaque(_) | Value::Struct(_) | Value::Fields(_) => {
            Err(EvalError::failed(format!("no formatting function for {}", value.runtime_type().runtime_name())))
        }
        other => plain(other),
    }
}

fn list_text(list: &List<'_>) -> Formatted {
    let items = list.iter().map(|item| literal(&item)).collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(format!("[{}]", items.join(", ")))
}

fn map_text(map: &Map<'_>) -> Formatted {
    let mut entries = Vec::with_capacity(map.len());
    for (key, value) in map.entries() {
        entries.push((literal(&key)?, literal(&value)?));
    }
    entries.sort();
    let entries: Vec<String> = entries.into_iter().map(|(key, value)| format!("{key}:{value}")).collect();
    Ok(format!("{{{}}}", entries.join(", ")))
}
