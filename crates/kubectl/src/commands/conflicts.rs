//! Whether two strategic patches of one object contradict each other.

use api::schema::{Field, Message, Type, message};
use serde_json::{Map, Value};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";

/// Whether a key that both set has two values.
pub(super) fn between(kind: &str, left: &Value, right: &Value) -> bool {
    match (left.as_object(), right.as_object()) {
        (Some(left), Some(right)) => maps(message(kind), left, right),
        _ => false,
    }
}

fn maps(message: Option<&Message>, left: &Map<String, Value>, right: &Map<String, Value>) -> bool {
    let named = |key: &String| !matches!(key.as_str(), DIRECTIVE | RETAIN_KEYS);
    left.iter().filter(|(key, _)| named(key)).any(|(key, value)| {
        let field = message.and_then(|message| message.field(key.as_bytes()));
        right.get(key).is_some_and(|other| fields(field, value, other))
    })
}

fn fields(field: Option<&Field>, left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            // What is replaced whole or deleted is so on both sides, or it is a conflict.
            if left.get(DIRECTIVE) != right.get(DIRECTIVE) {
                return true;
            }
            !field.is_some_and(|field| field.patch_replace) && maps(inner(field), left, right)
        }
        (Value::Array(left), Value::Array(right)) => lists(field, left, right),
        (left, right) => left != right,
    }
}

/// Elements that are found by a key are compared by it, others by their places; merging lists of words never conflict.
fn lists(field: Option<&Field>, left: &[Value], right: &[Value]) -> bool {
    let Some(field) = field.filter(|field| field.patch_merge) else {
        return left.len() != right.len() || left.iter().zip(right).any(|(left, right)| fields(field, left, right));
    };
    left.iter().filter(|element| element.is_object()).any(|element| {
        let same = |other: &&Value| other.get(field.merge_key) == element.get(field.merge_key);
        right.iter().find(same).is_some_and(|other| fields(Some(field), element, other))
    })
}

fn inner(field: Option<&Field>) -> Option<&'static Message> {
    match field?.kind {
        Type::Message(id) => Some(id.get()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Kind;
    use k8s_openapi::api::apps::v1::Deployment;
    use serde_json::json;

    #[test]
    fn only_two_values_of_one_field_conflict() {
        let containers = |name: &str, image: &str| json!({"spec": {"template": {"spec": {"containers": [{"name": name, "image": image}]}}}});
        for (left, right, expected) in [
            (json!({"spec": {"replicas": 1}}), json!({"spec": {"replicas": 2}}), true),
            (json!({"spec": {"replicas": 1}}), json!({"spec": {"replicas": 1, "paused": true}}), false),
            (json!({"spec": {"replicas": null}}), json!({"spec": {"replicas": 2}}), true),
            (containers("a", "x"), containers("a", "y"), true),
            (containers("a", "x"), containers("b", "y"), false),
            (json!({"metadata": {"finalizers": ["a"]}}), json!({"metadata": {"finalizers": ["b"]}}), false),
            (json!({"metadata": {"labels": {"$patch": "replace"}}}), json!({"metadata": {"labels": {}}}), true),
        ] {
            assert_eq!(between(Deployment::DEF.message, &left, &right), expected, "{left} {right}");
        }
    }
}
