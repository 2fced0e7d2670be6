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
