//! Structural schemas: every field is declared outside of logic, so that what an object may hold is known without
//! evaluating anything. Pruning and defaulting rely on it.
//!
//! Bound: as deep as the body's decoder lets JSON be.

use crate::check::Errors;
use crate::field::{FieldError, FieldPath};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

pub(super) fn structural(errors: &mut Errors, path: &FieldPath, schema: &JSONSchemaProps) {
    invariants(errors, path, schema, Level::Root);
    complete(errors, path, schema, path);
}

pub(super) fn kind(schema: &JSONSchemaProps) -> &str {
    schema.type_.as_deref().unwrap_or_default()
}

pub(super) fn items(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match &schema.items {
        Some(JSONSchemaPropsOrArray::Schema(schema)) => Some(schema),
        _ => None,
    }
}

pub(super) fn additional(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match &schema.additional_properties {
        Some(JSONSchemaPropsOrBool::Schema(schema)) => Some(schema),
        _ => None,
    }
}

fn set(flag: Option<bool>) -> bool {
    flag.unwrap_or_default()
}

fn invariants(errors: &mut Errors, path: &FieldPath, schema: &JSONSchemaProps, level: Level) {
    if kind(schema) == "array" && schema.items.is_none() {
        errors.push(FieldError::required(path.child("items"), "must be specified"));
    }
    if let Some(items) = items(schema) {
        invariants(errors, &path.child("items"), items, Level::Item);
    }
    for (name, property) in schema.properties.iter().flatten() {
        invariants(errors, &path.child("properties").key(name), property, Level::Field);
    }
    if schema.additional_properties.is_some() && level == Level::Root {
        errors.push(FieldError::forbidden(path.child("additionalProperties"), "must not be used at the root"));
    }
    if let Some(additional) = additional(schema) {
        invariants(errors, &path.child("additionalProperties"), additional, Level::Field);
    }
    extensions(errors, path, schema);
    let is_int_or_string = set(schema.x_kubernetes_int_or_string);
    let either = |list: &Option<Vec<JSONSchemaProps>>| is_int_or_string && list.as_deref().is_some_and(is_either);
    let first = schema.all_of.as_ref().and_then(|list| list.first());
    let skip_first = first.is_some_and(|first| either(&first.any_of));
    junctors(errors, path, schema, either(&schema.any_of), skip_first);
    declared_type(errors, path, schema, level);
    meta(errors, path, schema, level);
}

/// `anyOf` of an integer and a string, the one place where a type may stand in logic.
fn is_either(list: &[JSONSchemaProps]) -> bool {
    let bare = |kind: &str| JSONSchemaProps { type_: Some(kind.to_owned()), ..JSONSchemaProps::default() };
    *list == [bare("integer"), bare("string")]
}

fn extensions(errors: &mut Errors, path: &FieldPath, schema: &JSONSchemaProps) {
    if !set(schema.x_kubernetes_int_or_string) {
        return;
    }
    for (field, also) in [
        ("x-kubernetes-preserve-unknown-fields", schema.x_kubernetes_preserve_unknown_fields),
        ("x-kubernetes-embedded-resource", schema.x_kubernetes_embedded_resource),
    ] {
        if set(also) {
            let detail = "must be false if x-kubernetes-int-or-string is true";
            errors.push(FieldError::invalid(path.child(field), &true, detail));
        }
    }
}

fn declared_type(errors: &mut Errors, path: &FieldPath, schema: &JSONSchemaProps, level: Level) {
    let embedded = set(schema.x_kubernetes_embedded_resource);
    let any = set(schema.x_kubernetes_int_or_string) || set(schema.x_kubernetes_preserve_unknown_fields);
    let own = path.child("type");
    let kind = kind(schema);
    if embedded && kind != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(match kind {
            "" => FieldError::required(own.clone(), detail),
            kind => FieldError::invalid(own.clone(), kind, detail),
        });
    } else if kind.is_empty() && !any {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.push(FieldError::required(own.clone(), detail));
    }
    if embedded && schema.additional_properties.is_some() {
        let detail = "must not be used if x-kubernetes-embedded-resource is set";
        errors.push(FieldError::forbidden(path.child("additionalProperties"), detail));
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        errors.push(FieldError::invalid(own, kind, "must be object at the root"));
    }
    let no_properties = schema.properties.as_ref().is_none_or(std::collections::BTreeMap::is_empty);
    if embedded && !set(schema.x_kubernetes_preserve_unknown_fields) && no_properties {
        let detail = "must not be empty if x-kubernetes-embedded-resource is true without \
                      x-kubernetes-preserve-unknown-fields";
        errors.push(FieldError::required(path.child("properties"), detail));
    }
}

/// What every object has is declared implicitly: a schema may at most say that kind, version and metadata are there.
fn meta(errors: &mut Errors, path: &FieldPath, schema: &JSONSchemaProps, level: Level) {
    let checked = level == Level::Root || set(schema.x_kubernetes_embedded_resource);
    let property = |name: &str| schema.properties.as_ref().and_then(|properties| properties.get(name));
    let at = |name: &str| path.child("properties").key(name);
    for (name, wanted, words) in [
        ("kind", "string", "must be string"),
        ("apiVersion", "string", "must be string"),
        ("metadata", "object", "must be object"),
    ] {
        if let Some(own) = property(name).filter(|own| checked && kind(own) != wanted) {
            errors.push(FieldError::invalid(at(name).child("type"), kind(own), words));
        }
    }
    if level != Level::Root {
        return;
    }
    let Some(metadata) = property("metadata") else { return };
    let mut rest = metadata.clone();
    let names = ["name", "generateName"];
    let only_names = |properties: &std::collections::BTreeMap<String, JSONSchemaProps>| {
        !properties.is_empty() && properties.keys().all(|name| names.contains(&name.as_str()))
    };
    if rest.properties.as_ref().is_some_and(only_names) {
        rest.properties = None;
    }
    rest.type_ = None;
    rest.default = None;
    if rest != JSONSchemaProps::default() {
        let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        errors.push(FieldError::forbidden(at("metadata"), detail));
    }
}

fn junctors(errors: &mut Errors, path: &FieldPath, schema: &JSONSchemaProps, skip_any: bool, skip_first_all: bool) {
    for (field, list, skip) in
        [("anyOf", &schema.any_of, skip_any), ("allOf", &schema.all_of, false), ("oneOf", &schema.one_of, false)]
    {
        for (index, nested) in list.iter().flatten().enumerate().filter(|_| !skip) {
            let skip_any = field == "allOf" && index == 0 && skip_first_all;
            self::nested(errors, &path.child(field).index(index), nested, skip_any);
        }
    }
    if let Some(not) = &schema.not {
        nested(errors, &path.child("not"), not, false);
    }
}

/// Inside of logic a schema judges values only.
fn nested(errors: &mut Errors, path: &FieldPath, schema: &JSONSchemaProps, skip_any: bool) {
    junctors(errors, path, schema, skip_any, false);
    if let Some(items) = items(schema) {
        nested(errors, &path.child("items"), items, false);
    }
    for (name, property) in schema.properties.iter().flatten() {
        nested(errors, &path.child("properties").key(name), property, false);
    }
    let filled = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    const EMPTY: &str = "must be empty to be structural";
    const UNDEFINED: &str = "must be undefined to be structural";
    const FALSE: &str = "must be false to be structural";
    for (field, is_set, detail) in [
        ("type", filled(&schema.type_), EMPTY),
        ("additionalProperties", schema.additional_properties.is_some(), UNDEFINED),
        ("default", schema.default.is_some(), UNDEFINED),
        ("title", filled(&schema.title), EMPTY),
        ("description", filled(&schema.description), EMPTY),
        ("nullable", set(schema.nullable), FALSE),
        ("externalDocs", schema.external_docs.is_some(), UNDEFINED),
        ("x-kubernetes-preserve-unknown-fields", set(schema.x_kubernetes_preserve_unknown_fields), FALSE),
        ("x-kubernetes-embedded-resource", set(schema.x_kubernetes_embedded_resource), FALSE),
        ("x-kubernetes-int-or-string", set(schema.x_kubernetes_int_or_string), FALSE),
        ("x-kubernetes-list-map-keys", schema.x_kubernetes_list_map_keys.is_some(), EMPTY),
        ("x-kubernetes-list-type", schema.x_kubernetes_list_type.is_some(), UNDEFINED),
        ("x-kubernetes-map-type", schema.x_kubernetes_map_type.is_some(), UNDEFINED),
        ("x-kubernetes-validations", schema.x_kubernetes_validations.is_some(), EMPTY),
    ] {
        if is_set {
            errors.push(FieldError::forbidden(path.child(field), detail));
        }
    }
    if schema.properties.as_ref().is_some_and(|properties| properties.contains_key("metadata")) {
        let path = path.child("properties").key("metadata");
        errors.push(FieldError::forbidden(path, "must not be specified in a nested context"));
    }
}

/// What logic speaks of must be declared outside of it too.
fn complete(errors: &mut Errors, path: &FieldPath, schema: &JSONSchemaProps, logic: &FieldPath) {
    junctors_complete(errors, path, schema, logic, schema);
    if let Some(items) = items(schema) {
        complete(errors, &path.child("items"), items, &logic.child("items"));
    }
    for (name, property) in schema.properties.iter().flatten() {
        let (path, logic) = (path.child("properties").key(name), logic.child("properties").key(name));
        complete(errors, &path, property, &logic);
    }
    if let Some(additional) = additional(schema) {
        let (path, logic) = (path.child("additionalProperties"), logic.child("additionalProperties"));
        complete(errors, &path, additional, &logic);
    }
}

fn junctors_complete(
    errors: &mut Errors,
    path: &FieldPath,
    declared: &JSONSchemaProps,
    logic: &FieldPath,
    schema: &JSONSchemaProps,
) {
    if let Some(not) = &schema.not {
        declares(errors, path, Some(declared), &logic.child("not"), not);
    }
    for (field, list) in [("allOf", &schema.all_of), ("anyOf", &schema.any_of), ("oneOf", &schema.one_of)] {
        for (index, nested) in list.iter().flatten().enumerate() {
            declares(errors, path, Some(declared), &logic.child(field).index(index), nested);
        }
    }
}

fn declares(
    errors: &mut Errors,
    path: &FieldPath,
    declared: Option<&JSONSchemaProps>,
    logic: &FieldPath,
    nested: &JSONSchemaProps,
) {
    let Some(declared) = declared else {
        errors.push(FieldError::required(path.clone(), &format!("because it is defined in {logic}")));
        return;
    };
    junctors_complete(errors, path, declared, logic, nested);
    if let Some(own) = items(nested) {
        declares(errors, &path.child("items"), items(declared), &logic.child("items"), own);
    }
    for (name, property) in nested.properties.iter().flatten() {
        let known = declared.properties.as_ref().and_then(|properties| properties.get(name));
        let (path, logic) = (path.child("properties").key(name), logic.child("properties").key(name));
        declares(errors, &path, known, &logic, property);
    }
}
