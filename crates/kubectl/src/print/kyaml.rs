//! KYAML: YAML's flow style as upstream's client prints it, so that indentation means nothing and texts are always quoted.

use super::json::sorted;
use super::yaml_scalar::{Style, style_of};
use serde_json::Value;

const INDENT: usize = 2;
/// Single letters that some readers take for a bool or a number.
const DOUBTFUL: [&str; 8] = ["f", "F", "t", "T", "y", "Y", "n", "N"];

/// One document with its marker.
pub(super) fn document(value: &Value) -> String {
    let mut out = "---\n".to_owned();
    write(value, 0, &mut out);
    out.push('\n');
    out
}

fn write(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            out.push('{');
            for (key, member) in sorted(members) {
                new_line(indent + INDENT, out);
                self::key(key, out);
                out.push_str(": ");
                write(member, indent + INDENT, out);
                out.push(',');
            }
            new_line(indent, out);
            out.push('}');
        }
        Value::Array(elements) if !elements.is_empty() => list(elements, indent, out),
        Value::String(text) => self::text(text, indent, out),
        Value::Object(_) => out.push_str("{}"),
        other => out.push_str(&other.to_string()),
    }
}

/// Brackets and braces share a line where every element has its own.
fn list(elements: &[Value], indent: usize, out: &mut String) {
    let cuddled = elements.iter().all(|element| element.is_object() || element.is_array());
    out.push('[');
    for (index, element) in elements.iter().enumerate() {
        if cuddled {
            out.push_str(if index > 0 { ", " } else { "" });
            write(element, indent, out);
        } else {
            new_line(indent + INDENT, out);
            write(element, indent + INDENT, out);
            out.push(',');
        }
    }
    if !cuddled {
        new_line(indent, out);
    }
    out.push(']');
}

fn new_line(indent: usize, out: &mut String) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
}

fn key(key: &str, out: &mut String) {
    let begins = key.starts_with(|first: char| first.is_ascii_alphabetic());
    let plain = begins && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    if plain && style_of(key) == Style::Plain && !DOUBTFUL.contains(&key) {
        out.push_str(key);
    } else {
        quoted(key, out);
    }
}

/// A text of several lines is written in several, each ending in `\n\`; spaces that begin one are held by a backslash.
fn text(text: &str, indent: usize, out: &mut String) {
    if !text.contains('\n') {
        return quoted(text, out);
    }
    out.push_str("\"\\");
    for line in text.split_inclusive('\n') {
        new_line(indent + INDENT + 1, out);
        if line.starts_with([' ', '\t']) {
            // In place of the space that aligns the line.
            out.pop();
            out.push('\\');
        }
        let body = line.trim_end_matches('\n');
        escape(body, out);
        if line.ends_with('\n') {
            out.push_str("\\n\\");
        }
    }
    if !text.ends_with('\n') {
        out.push('\\');
    }
    new_line(indent + INDENT, out);
    out.push('"');
}

fn quoted(text: &str, out: &mut String) {
    out.push('"');
    escape(text, out);
    out.push('"');
}

fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0b' => out.push_str("\\v"),
            '\x0c' => out.push_str("\\f"),
            '\x1b' => out.push_str("\\e"),
            control if (control as u32) < 0x20 && control != '\t' => {
                out.push_str(&format!("\\x{:02x}", control as u32))
            }
            other => out.push(other),
        }
    }
}
