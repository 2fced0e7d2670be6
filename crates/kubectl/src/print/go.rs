//! Values as Go's `%v` writes them: `map[a:1 b:[x y]]`, `<nil>`.

use super::json::sorted;
use serde_json::Value;

pub(crate) fn display(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(elements) => format!("[{}]", elements.iter().map(display).collect::<Vec<_>>().join(" ")),
        Value::Object(members) => {
            let members = sorted(members).into_iter().map(|(key, member)| format!("{key}:{}", display(member)));
            format!("map[{}]", members.collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

/// Values as Go's `%#v` writes them: `map[string]interface {}{"a":1}`.
pub(crate) fn syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::Array(elements) => {
            format!("{}{{{}}}", type_name(value), elements.iter().map(syntax).collect::<Vec<_>>().join(", "))
        }
        Value::Object(members) => {
            let members = sorted(members).into_iter().map(|(key, member)| format!("{key:?}:{}", syntax(member)));
            format!("{}{{{}}}", type_name(value), members.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// The Go type that upstream decodes a value to.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
