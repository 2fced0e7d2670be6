//! Schemas from OpenAPI: what of a structural schema expressions may use, with upstream's reckoning of sizes.

use crate::escape::escape;
use crate::schema::{ListIdentity, Schema};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Schema {
    /// The schema of an OpenAPI v3 schema with Kubernetes' extensions, or none where expressions may not use the value.
    /// At the root of a resource (also an embedded one), its type and the name in its metadata are always there.
    ///
    /// `name` is what messages call the type.
    pub fn from_openapi(schema: &Json, name: &str, is_resource_root: bool) -> Option<Schema> {
        let object = schema.as_object()?;
        if flag(object, "x-kubernetes-int-or-string") {
            return Some(Schema::int_or_string(number(object, "maxLength")));
        }
        match object.get("type").and_then(Json::as_str)? {
            "array" => list(object, name),
            "object" => match object.get("additionalProperties") {
                Some(values) if values.is_object() => {
                    let embedded = values.as_object().is_some_and(|values| flag(values, EMBEDDED));
                    let values = Schema::from_openapi(values, &format!("{name}.@values"), embedded)?;
                    Some(Schema::map(Arc::new(values), number(object, "maxProperties")))
                }
                _ => Some(fields(object, name, is_resource_root)),
            },
            "string" => Some(text(object)),
            "boolean" => Some(Schema::bool()),
            "number" => Some(Schema::double()),
            "integer" => Some(Schema::int()),
            _ => None,
        }
    }
}

const EMBEDDED: &str = "x-kubernetes-embedded-resource";

fn flag(schema: &Map<String, Json>, name: &str) -> bool {
    schema.get(name).and_then(Json::as_bool).unwrap_or(false)
}

/// A bound; a negative one is 0.
fn number(schema: &Map<String, Json>, name: &str) -> Option<u64> {
    let bound = schema.get(name)?;
    bound.as_u64().or_else(|| bound.as_i64().map(|_| 0))
}

fn list(schema: &Map<String, Json>, name: &str) -> Option<Schema> {
    let items = schema.get("items")?;
    let embedded = items.as_object().is_some_and(|items| flag(items, EMBEDDED));
    let items = Schema::from_openapi(items, &format!("{name}.@items"), embedded)?;
    let keys = || schema.get("x-kubernetes-list-map-keys").and_then(Json::as_array).into_iter().flatten();
    let identity = match schema.get("x-kubernetes-list-type").and_then(Json::as_str) {
        Some("set") => ListIdentity::Set,
        Some("map") => ListIdentity::Map(keys().filter_map(Json::as_str).map(str::to_owned).collect()),
        _ => ListIdentity::Atomic,
    };
    Some(Schema::list(Arc::new(items), number(schema, "maxItems"), identity))
}

fn fields(schema: &Map<String, Json>, name: &str, is_resource_root: bool) -> Schema {
    let required = |field: &str| {
        let names = schema.get("required").and_then(Json::as_array);
        names.is_some_and(|names| names.iter().any(|name| name.as_str() == Some(field)))
    };
    let mut fields: BTreeMap<Arc<str>, Arc<Schema>> = BTreeMap::new();
    // `{}`, and what must be there.
    let mut bytes_min = 2;
    for (field, property) in schema.get("properties").and_then(Json::as_object).into_iter().flatten() {
        let embedded = property.as_object().is_some_and(|property| flag(property, EMBEDDED));
        let Some(found) = Schema::from_openapi(property, &format!("{name}.{field}"), embedded) else { continue };
        if required(field) && property.get("default").is_none() {
            bytes_min += field.len() as u64 + found.bytes_min + 4;
        }
        if let Some(escaped) = escape(field) {
            fields.insert(escaped.into(), Arc::new(found));
        }
    }
    if is_resource_root {
        for field in ["apiVersion", "kind"] {
            fields.entry(field.into()).or_insert_with(|| Arc::new(Schema::string(None)));
        }
        let names = ["name", "generateName"].map(|field| (field.into(), Arc::new(Schema::string(None))));
        fields.insert("metadata".into(), Arc::new(Schema::object(format!("{name}.metadata"), names.into())));
    }
    Schema::object(name, fields).with_bytes_min(bytes_min)
}

fn text(schema: &Map<String, Json>) -> Schema {
    let length_max = number(schema, "maxLength");
    match schema.get("format").and_then(Json::as_str) {
        Some("byte") => Schema::bytes(length_max),
        Some("duration") => Schema::duration(),
        Some("date") => Schema::date(),
        Some("date-time") => Schema::timestamp(),
        _ => match (length_max, schema.get("enum").and_then(Json::as_array)) {
            (None, Some(values)) if !values.is_empty() => {
                let longest = values.iter().filter_map(Json::as_str).map(str::len).max().unwrap_or(0);
                Schema::string(None).with_size_max(longest as u64)
            }
            _ => Schema::string(length_max),
        },
    }
}
