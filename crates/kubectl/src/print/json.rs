//! JSON as Go writes it: members sorted, `<`, `>` and `&` escaped.

use serde_json::{Map, Value};

const INDENT: &str = "    ";

/// In lines, indented by four spaces, without a newline at the end.
pub(crate) fn pretty(value: &Value) -> String {
    let mut out = String::new();
    write(value, Some(0), &mut out);
    out
}

/// On one line.
pub(crate) fn compact(value: &Value) -> String {
    let mut out = String::new();
    write(value, None, &mut out);
    out
}

pub(super) fn sorted(members: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut members: Vec<_> = members.iter().collect();
    members.sort_by_key(|(key, _)| *key);
    members
}

/// `depth` is absent on one line.
fn write(value: &Value, depth: Option<usize>, out: &mut String) {
    let inner = depth.map(|depth| depth + 1);
    match value {
        Value::Array(elements) if !elements.is_empty() => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                separate(index, inner, out);
                write(element, inner, out);
            }
            new_line(depth, out);
            out.push(']');
        }
        Value::Object(members) if !members.is_empty() => {
            out.push('{');
            for (index, (key, member)) in sorted(members).into_iter().enumerate() {
                separate(index, inner, out);
                string(key, out);
                out.push_str(if depth.is_some() { ": " } else { ":" });
                write(member, inner, out);
            }
            new_line(depth, out);
            out.push('}');
        }
        Value::String(text) => string(text, out),
        other => out.push_str(&other.to_string()),
    }
}

fn separate(index: usize, depth: Option<usize>, out: &mut String) {
    if index > 0 {
        out.push(',');
    }
    new_line(depth, out);
}

fn new_line(depth: Option<usize>, out: &mut String) {
    if let Some(depth) = depth {
        out.push('\n');
        out.extend(std::iter::repeat_n(INDENT, depth));
    }
}

fn string(text: &str, out: &mut String) {
    for character in Value::from(text).to_string().chars() {
        match character {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_reads_as_go_writes_it() {
        let value = json!({"b": [1, {"z": null}], "a": "<&>\n", "c": {}, "d": []});
        assert_eq!(compact(&value), r#"{"a":"\u003c\u0026\u003e\n","b":[1,{"z":null}],"c":{},"d":[]}"#);
        let lines = "{\n    \"a\": [\n        1\n    ]\n}";
        assert_eq!(pretty(&json!({"a": [1]})), lines);
    }
}
