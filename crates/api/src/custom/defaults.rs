//! Defaulting: what a schema has a default for and the writer left out, or wrote as a null that may not be one.

use super::schema::Schema;
use serde_json::{Map, Value};

/// Fills in the defaults below an object; whether there was anything to fill in.
pub(super) fn fill(schema: &Schema, object: &mut Map<String, Value>) -> bool {
    let mut filled = false;
    for (name, property) in &schema.properties {
        let Some(default) = &property.default else { continue };
        let is_missing = match object.get(name) {
            None => true,
            Some(Value::Null) => !property.nullable,
            Some(_) => false,
        };
        if is_missing {
            object.insert(name.clone(), default.clone());
            filled = true;
        }
    }
    for (name, member) in object.iter_mut() {
        if let Some(known) = schema.member(name) {
            filled |= value(known, member);
        }
    }
    filled
}

fn value(schema: &Schema, value: &mut Value) -> bool {
    match value {
        Value::Object(map) => fill(schema, map),
        Value::Array(list) => {
            let Some(items) = &schema.items else { return false };
            let mut filled = false;
            for item in list {
                if item.is_null()
                    && !items.nullable
                    && let Some(default) = &items.default
                {
                    *item = default.clone();
                    filled = true;
                }
                filled |= self::value(items, item);
            }
            filled
        }
        _ => false,
    }
}
