//! Pruning: what a schema does not name is not stored.

use super::schema::{Members, Schema};
use serde_json::{Map, Value};

/// Always there in a whole object.
const OBJECT_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Removes unknown fields below the root of an object; their paths.
pub(super) fn prune(schema: &Schema, object: &mut Map<String, Value>) -> Vec<String> {
    let mut unknown = Vec::new();
    members(schema, object, "", true, &mut unknown);
    unknown
}

/// As `prune`, of a value that is a whole object only if its schema says so.
pub(super) fn prune_value(schema: &Schema, value: &mut Value) {
    self::value(schema, value, "", &mut Vec::new());
}

fn value(schema: &Schema, value: &mut Value, path: &str, unknown: &mut Vec<String>) {
    match value {
        Value::Object(map) => members(schema, map, path, schema.embedded, unknown),
        Value::Array(list) => {
            let Some(items) = &schema.items else { return };
            for (index, item) in list.iter_mut().enumerate() {
                self::value(items, item, &format!("{path}[{index}]"), unknown);
            }
        }
        _ => {}
    }
}

fn members(schema: &Schema, map: &mut Map<String, Value>, path: &str, is_object: bool, unknown: &mut Vec<String>) {
    let keeps = schema.preserves_unknown || matches!(schema.members, Members::Anything);
    map.retain(|name, member| {
        if is_object && OBJECT_FIELDS.contains(&name.as_str()) {
            return true;
        }
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match schema.member(name) {
            Some(known) => value(known, member, &path, unknown),
            None if keeps => {}
            None => {
                unknown.push(path);
                return false;
            }
        }
        true
    });
}
