//! `x-kubernetes-list-type`, `x-kubernetes-list-map-keys` and `x-kubernetes-map-type`: what makes lists sets and maps.

use super::structural::{items, kind};
use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{JSONSchemaProps, JSONSchemaPropsOrArray};

const MAP_TYPE: &str = "x-kubernetes-map-type";
const LIST_TYPE: &str = "x-kubernetes-list-type";
const KEYS: &str = "x-kubernetes-list-map-keys";

pub(super) fn lists(errors: &mut Errors, path: &FieldPath, schema: &JSONSchemaProps) {
    let list_type = schema.x_kubernetes_list_type.as_deref();
    let map_type = schema.x_kubernetes_map_type.as_deref();
    type_must_be(errors, path, schema, "object", map_type.is_some().then_some(MAP_TYPE));
    check::supported_if_set(errors, &path.child(MAP_TYPE), map_type, &["atomic", "granular"]);
    type_must_be(errors, path, schema, "array", list_type.is_some().then_some(LIST_TYPE));
    if kind(schema) == "array" && list_type == Some("set") {
        items_of_set(errors, &path.child("items"), schema);
    }
    check::supported_if_set(errors, &path.child(LIST_TYPE), list_type, &["atomic", "set", "map"]);
    let keys = schema.x_kubernetes_list_map_keys.as_deref().unwrap_or_default();
    if !keys.is_empty() && list_type != Some("map") {
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        errors.push(match list_type {
            None => FieldError::required(path.child(LIST_TYPE), detail),
            Some(other) => FieldError::invalid(path.child(LIST_TYPE), other, detail),
        });
    }
    if list_type == Some("map") {
        map(errors, path, schema, keys);
    }
    if matches!(list_type, Some("map" | "set")) {
        keys_are_there(errors, &path.child("items"), schema, list_type.unwrap_or_default(), keys);
    }
}

fn type_must_be(
    errors: &mut Errors,
    path: &FieldPath,
    schema: &JSONSchemaProps,
    wanted: &str,
    because: Option<&'static str>,
) {
    let Some(extension) = because.filter(|_| kind(schema) != wanted) else { return };
    let detail = format!("must be {wanted} if {extension} is specified");
    errors.push(match kind(schema) {
        "" => FieldError::required(path.child("type"), &detail),
        other => FieldError::invalid(path.child("type"), other, detail),
    });
}

/// The members of a set are compared whole.
fn items_of_set(errors: &mut Errors, path: &FieldPath, schema: &JSONSchemaProps) {
    const ATOMIC: &str = "must be atomic as item of a list with x-kubernetes-list-type=set";
    let Some(items) = items(schema) else { return };
    let list_type = items.x_kubernetes_list_type.as_deref();
    match kind(items) {
        "array" if list_type.is_some_and(|own| own != "atomic") => {
            errors.push(FieldError::invalid(path.child(LIST_TYPE), &list_type, ATOMIC));
        }
        "object" if items.x_kubernetes_map_type.as_deref() != Some("atomic") => {
            errors.push(FieldError::invalid(path.child(MAP_TYPE), &list_type, ATOMIC));
        }
        _ => {}
    }
}

fn map(errors: &mut Errors, path: &FieldPath, schema: &JSONSchemaProps, keys: &[String]) {
    if keys.is_empty() {
        let detail = "must not be empty if x-kubernetes-list-type is map";
        errors.push(FieldError::required(path.child(KEYS), detail));
    }
    let own = path.child("items");
    let items = match &schema.items {
        None => {
            errors.push(FieldError::required(own, "must have a schema if x-kubernetes-list-type is map"));
            return;
        }
        Some(JSONSchemaPropsOrArray::Schemas(_)) => {
            let detail = "must only have a single schema if x-kubernetes-list-type is map";
            errors.push(FieldError::invalid(own, &schema.items, detail));
            return;
        }
        Some(JSONSchemaPropsOrArray::Schema(items)) => items,
    };
    if kind(items) != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(FieldError::invalid(own.child("type"), kind(items), detail));
        return;
    }
    for (index, key) in keys.iter().enumerate() {
        match items.properties.as_ref().and_then(|properties| properties.get(key)) {
            Some(property) if matches!(kind(property), "array" | "object") => {
                let path = own.child("properties").key(key).child("type");
                let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                errors.push(FieldError::invalid(path, kind(items), detail));
            }
            Some(_) => {}
            None => {
                let detail = "entries must all be names of item properties";
                errors.push(FieldError::invalid(path.child(KEYS), keys, detail));
            }
        }
        if keys[..index].contains(key) {
            errors.push(FieldError::invalid(path.child(KEYS), keys, "must not contain duplicate entries"));
        }
    }
}

/// Keys by which members are told apart are in every member.
fn keys_are_there(errors: &mut Errors, path: &FieldPath, schema: &JSONSchemaProps, list_type: &str, keys: &[String]) {
    let Some(items) = items(schema) else { return };
    if items.nullable.unwrap_or_default() {
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
        errors.push(FieldError::forbidden(path.child("nullable"), detail));
    }
    if list_type != "map" {
        return;
    }
    let required = items.required.as_deref().unwrap_or_default();
    for key in keys {
        let Some(property) = items.properties.as_ref().and_then(|properties| properties.get(key)) else { continue };
        let path = path.child("properties").key(key);
        if !required.contains(key) && property.default.is_none() {
            let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required \
                          property";
            errors.push(FieldError::required(path.child("default"), detail));
        }
        if property.nullable.unwrap_or_default() {
            let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.push(FieldError::forbidden(path.child("nullable"), detail));
        }
    }
}
