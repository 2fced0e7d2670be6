//! Schemas of custom kinds as clients are shown them: with what every object has, and in v2 without what it cannot say.

use super::Dialect;
use serde_json::{Map, Value, json};

const PRESERVES: &str = "x-kubernetes-preserve-unknown-fields";
const VERSION: &str = "APIVersion defines the versioned schema of this representation of an object. Servers should \
                       convert recognized schemas to the latest internal value, and may reject unrecognized values. \
                       More info: \
                       https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
const KIND: &str = "Kind is a string value representing the REST resource this object represents. Servers may infer \
                    this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: \
                    https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";

/// The schema of a whole object.
pub(super) fn object(dialect: Dialect, schema: &Value, mut metadata: Value) -> Map<String, Value> {
    let shown = match dialect {
        Dialect::V2 => plain(schema),
        Dialect::V3 => schema.clone(),
    };
    let Value::Object(mut shown) = shown else { return Map::new() };
    if dialect == Dialect::V2 && shown.get(PRESERVES) == Some(&Value::Bool(true)) {
        return shown;
    }
    if let Value::Object(metadata) = &mut metadata
        && dialect == Dialect::V3
    {
        let about = "Standard object's metadata. More info: \
                     https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";
        metadata.insert("description".into(), about.into());
    }
    let properties = shown.entry("properties").or_insert_with(|| json!({}));
    if let Value::Object(properties) = properties {
        properties.insert("apiVersion".into(), json!({"description": VERSION, "type": "string"}));
        properties.insert("kind".into(), json!({"description": KIND, "type": "string"}));
        properties.insert("metadata".into(), metadata);
    }
    shown
}

/// What OpenAPI v2 can say of a schema; kubectl takes what is left of some constructs for more than it is.
fn plain(schema: &Value) -> Value {
    let Value::Object(source) = schema else { return schema.clone() };
    let flag = |name: &str| source.get(name) == Some(&Value::Bool(true));
    let is_open = flag(PRESERVES) || flag("nullable");
    let mut shown = Map::new();
    for (name, value) in source {
        match name.as_str() {
            "anyOf" | "oneOf" | "not" | "allOf" | "nullable" | "default" | "x-kubernetes-validations" => {}
            "items" | "properties" | "additionalProperties" if is_open => {}
            "type" if flag("nullable") || flag("x-kubernetes-int-or-string") => {}
            "properties" => {
                let members = value.as_object().into_iter().flatten();
                shown.insert(name.clone(), members.map(|(name, own)| (name.clone(), plain(own))).collect());
            }
            "items" | "additionalProperties" => drop(shown.insert(name.clone(), plain(value))),
            _ => drop(shown.insert(name.clone(), value.clone())),
        }
    }
    Value::Object(shown)
}
