//! Whether an intent fits the schema; what does not is refused in upstream's words.

use super::items;
use super::schema::{Expected, Form, Kind, Schema};
use serde_json::Value;

/// Every complaint, as one text; `None` for an intent that fits.
pub fn validate(schema: Schema<'_>, intent: &Value) -> Option<String> {
    let mut complaints = Vec::new();
    place(schema, intent, "", &mut complaints);
    match complaints.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(format!("errors:\n  {}", many.join("\n  "))),
    }
}

fn say(path: &str, what: impl std::fmt::Display, complaints: &mut Vec<String>) {
    complaints.push(if path.is_empty() { what.to_string() } else { format!("{path}: {what}") });
}

fn place(schema: Schema<'_>, value: &Value, path: &str, complaints: &mut Vec<String>) {
    if value.is_null() {
        return;
    }
    match (schema.expected(), value) {
        (Expected::Text, Value::String(_))
        | (Expected::Number, Value::Number(_))
        | (Expected::Flag, Value::Bool(_))
        | (Expected::List, Value::Array(_))
        | (Expected::Map, Value::Object(_))
        | (Expected::Anything, _) => {}
        (expected, value) => {
            let wanted = match expected {
                Expected::Text => "string",
                Expected::Number => "numeric (int or float)",
                Expected::Flag => "boolean",
                Expected::List => "list",
                Expected::Map | Expected::Anything => "map",
            };
            return say(path, format_args!("expected {wanted}, got {value}"), complaints);
        }
    }
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let path = format!("{path}.{name}");
                match schema.member(name) {
                    Some(member) => place(member.schema, value, &path, complaints),
                    None if schema.expected() == Expected::Anything => {}
                    None => say(&path, "field not declared in schema", complaints),
                }
            }
        }
        Value::Array(list) => list_items(schema, value, list, path, complaints),
        _ => {}
    }
}

fn list_items(schema: Schema<'_>, value: &Value, list: &[Value], path: &str, complaints: &mut Vec<String>) {
    let (form, item_schema) = (schema.form(Kind::of(value)), schema.item());
    let mut seen = Vec::with_capacity(list.len());
    for (index, item) in list.iter().enumerate() {
        if !matches!(form, Form::Keyed(_) | Form::Set) {
            place(item_schema, item, &format!("{path}[{index}]"), complaints);
            continue;
        }
        match items::element(&form, item_schema, item) {
            Err(why) => say(path, format_args!("element {index}: {why}"), complaints),
            Ok(element) => {
                if seen.contains(&element) {
                    say(path, format_args!("duplicate entries for key {element}"), complaints);
                }
                place(item_schema, item, &format!("{path}{element}"), complaints);
                seen.push(element);
            }
        }
    }
}
