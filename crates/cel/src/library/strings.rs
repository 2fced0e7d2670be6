//! The extension of functions on texts. Positions count code points.

use super::arithmetic::fits;
use super::{NO_OVERLOAD, Result, text};
use crate::error::EvalError;
use crate::functions::Row;
use crate::limits::{LIST_LENGTH_MAX, TEXT_BYTES_MAX};
use crate::value::{Text, Value};

pub(crate) const ROWS: &[Row] = &[
    ("charAt", "string_char_at_int", "string.(int) string", char_at),
    ("indexOf", "string_index_of_string", "string.(string) int", index_of),
    ("indexOf", "string_index_of_string_int", "string.(string, int) int", index_of),
    ("lastIndexOf", "string_last_index_of_string", "string.(string) int", last_index_of),
    ("lastIndexOf", "string_last_index_of_string_int", "string.(string, int) int", last_index_of),
    ("lowerAscii", "string_lower_ascii", "string.() string", lower_ascii),
    ("upperAscii", "string_upper_ascii", "string.() string", upper_ascii),
    ("replace", "string_replace_string_string", "string.(string, string) string", replace),
    ("replace", "string_replace_string_string_int", "string.(string, string, int) string", replace),
    ("split", "string_split_string", "string.(string) list(string)", split),
    ("split", "string_split_string_int", "string.(string, int) list(string)", split),
    ("substring", "string_substring_int", "string.(int) string", substring),
    ("substring", "string_substring_int_int", "string.(int, int) string", substring),
    ("trim", "string_trim", "string.() string", trim),
    ("join", "list_join", "list(string).() string", join),
    ("join", "list_join_string", "list(string).(string) string", join),
    ("strings.quote", "strings_quote", "(string) string", quote),
    ("reverse", "string_reverse", "string.() string", reverse),
];

fn out_of_range(index: i64) -> EvalError {
    EvalError::failed(format!("index out of range: {index}"))
}

/// Where a code point begins; the end of the text counts as one.
fn offset(text: &str, index: i64) -> Option<usize> {
    let index = usize::try_from(index).ok()?;
    if text.is_ascii() {
        return (index <= text.len()).then_some(index);
    }
    text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(index)
}

/// How many code points come before a byte.
fn position(text: &str, offset: usize) -> i64 {
    text[..offset].chars().count() as i64
}

fn char_at<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    let [Value::String(whole), Value::Int(index)] = arguments else { return Err(NO_OVERLOAD) };
    let start = offset(whole, *index).ok_or_else(|| out_of_range(*index))?;
    text(whole[start..].chars().take(1).collect())
}

fn index_of<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    let (whole, part, from) = match arguments {
        [Value::String(whole), Value::String(part)] => (whole, part, 0),
        [Value::String(whole), Value::String(part), Value::Int(from)] => (whole, part, *from),
        _ => return Err(NO_OVERLOAD),
    };
    if part.is_empty() && from >= 0 {
        return Ok(Value::Int(from));
    }
    let start = match offset(whole, from) {
        Some(start) => start,
        None if from < 0 => return Err(out_of_range(from)),
        None => return Ok(Value::Int(-1)),
    };
    Ok(Value::Int(whole[start..].find(&**part).map_or(-1, |found| position(whole, start + found))))
}

fn last_index_of<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    let (whole, part, last) = match arguments {
        [Value::String(whole), Value::String(part)] => (whole, part, None),
        [Value::String(whole), Value::String(part), Value::Int(last)] => (whole, part, Some(*last)),
        _ => return Err(NO_OVERLOAD),
    };
    let length = whole.length() as i64;
    if part.is_empty() {
        return Ok(Value::Int(last.unwrap_or(length)));
    }
    let last = last.unwrap_or(length);
    if last < 0 || last > length {
        return Err(out_of_range(last));
    }
    let start = offset(whole, last).ok_or_else(|| out_of_range(last))?;
    // What begins at the last position allowed may reach beyond it.
    let mut end = (start + part.len()).min(whole.len());
    while !whole.is_char_boundary(end) {
        end += 1;
    }
    let found = whole[..end].rmatch_indices(&**part).map(|(at, _)| at).find(|at| *at <= start);
    Ok(Value::Int(found.map_or(-1, |found| position(whole, found))))
}

fn lower_ascii<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::String(whole)] => text(whole.to_ascii_lowercase()),
        _ => Err(NO_OVERLOAD),
    }
}

fn upper_ascii<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::String(whole)] => text(whole.to_ascii_uppercase()),
        _ => Err(NO_OVERLOAD),
    }
}

fn replace<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    let (whole, old, new, limit) = match arguments {
        [Value::String(whole), Value::String(old), Value::String(new)] => (whole, old, new, -1),
        [Value::String(whole), Value::String(old), Value::String(new), Value::Int(limit)] => (whole, old, new, *limit),
        _ => return Err(NO_OVERLOAD),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let count = if old.is_empty() { whole.length() + 1 } else { whole.matches(&**old).count() }.min(limit);
    fits(
        (whole.len() - count * old.len().min(whole.len())).saturating_add(count.saturating_mul(new.len())),
        TEXT_BYTES_MAX,
    )?;
    text(whole.replacen(&**old, new, count))
}

fn split<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    let (whole, separator, limit) = match arguments {
        [Value::String(whole), Value::String(separator)] => (whole, separator, -1),
        [Value::String(whole), Value::String(separator), Value::Int(limit)] => (whole, separator, *limit),
        _ => return Err(NO_OVERLOAD),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    fits(whole.len().min(limit), LIST_LENGTH_MAX)?;
    let part = |part: &str| Value::String(Text::from(part));
    let parts = if limit == 0 {
        Vec::new()
    } else if separator.is_empty() {
        characters(whole, limit).into_iter().map(part).collect()
    } else {
        whole.splitn(limit, &**separator).map(part).collect()
    };
    Ok(Value::list(parts))
}

/// Each code point, and what is left over with the last.
fn characters(whole: &str, limit: usize) -> Vec<&str> {
    let starts: Vec<usize> = whole.char_indices().map(|(at, _)| at).take(limit).collect();
    let ends = starts.iter().skip(1).copied().chain([whole.len()]);
    starts.iter().zip(ends).map(|(start, end)| &whole[*start..end]).collect()
}

fn substring<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    let (whole, start, end) = match arguments {
        [Value::String(whole), Value::Int(start)] => (whole, *start, None),
        [Value::String(whole), Value::Int(start), Value::Int(end)] => (whole, *start, Some(*end)),
        _ => return Err(NO_OVERLOAD),
    };
    if let Some(end) = end
        && start > end
    {
        return Err(EvalError::failed(format!("invalid substring range. start: {start}, end: {end}")));
    }
    let from = offset(whole, start).ok_or_else(|| out_of_range(start))?;
    let to = match end {
        Some(end) => offset(whole, end).ok_or_else(|| out_of_range(end))?,
        None => whole.len(),
    };
    text(whole[from..to].to_owned())
}

fn trim<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::String(whole)] => text(whole.trim().to_owned()),
        _ => Err(NO_OVERLOAD),
    }
}

fn join<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    let (list, separator) = match arguments {
        [Value::List(list)] => (list, ""),
        [Value::List(list), Value::String(separator)] => (list, &**separator),
        _ => return Err(NO_OVERLOAD),
    };
    let mut joined = String::new();
    for (index, item) in list.iter().enumerate() {
        let Value::String(item) = item else { return Err(NO_OVERLOAD) };
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(&item);
        fits(joined.len(), TEXT_BYTES_MAX)?;
    }
    text(joined)
}

fn quote<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    let [Value::String(whole)] = arguments else { return Err(NO_OVERLOAD) };
    let mut quoted = String::with_capacity(whole.len() + 2);
    quoted.push('"');
    for character in whole.chars() {
        match character {
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            '\\' => quoted.push_str("\\\\"),
            '"' => quoted.push_str("\\\""),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    text(quoted)
}

fn reverse<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::String(whole)] => text(whole.chars().rev().collect()),
        _ => Err(NO_OVERLOAD),
    }
}
