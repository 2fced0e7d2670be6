//! The parts of an intent that would replace a whole value: lists, maps and structs that the schema calls atomic.

use super::schema::{Form, Kind, Schema};
use serde_json::Value;

/// The paths of all atomic lists, maps and structs in an intent, as `.spec.containers[0].args`.
pub fn atomics(schema: Schema<'_>, intent: &Value) -> Vec<String> {
    let mut found = Vec::new();
    place(schema, intent, "", &mut found);
    found
}

fn place(schema: Schema<'_>, value: &Value, path: &str, found: &mut Vec<String>) {
    let kind = Kind::of(value);
    if matches!(kind, Kind::List | Kind::Map) && matches!(schema.form(kind), Form::Leaf) {
        found.push(path.to_owned());
    }
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                // Upstream looks below the fields of structs only, not below the keys of maps.
                if let Some(known) = schema.member(name).filter(|known| known.named) {
                    place(known.schema, member, &format!("{path}.{name}"), found);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                place(schema.item(), item, &format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn finds_what_would_be_replaced_whole() {
        let pod = Schema::of_message("k8s.io.api.core.v1.Pod");
        for (intent, expected) in [
            (
                json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}),
                vec![],
            ),
            (json!({"spec": {"containers": [{"name": "c", "args": ["x"]}]}}), vec![".spec.containers[0].args"]),
            (json!({"spec": {"nodeSelector": {"a": "b"}}}), vec![".spec.nodeSelector"]),
            (json!({"metadata": {"finalizers": ["a"]}}), vec![]),
        ] {
            assert_eq!(atomics(pod, &intent), expected, "{intent}");
        }
        let open = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "plain": {"type": "array", "items": {"type": "string"}},
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}}}}});
        let intent = json!({"spec": {"plain": ["a"], "set": ["b"]}});
        assert_eq!(atomics(Schema::of_custom(&open), &intent), [".spec.plain"]);
    }
}
