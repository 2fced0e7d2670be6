//! What OpenAPI allows and Kubernetes does not, and what its extensions demand of each other.

use super::schema_lists;
use super::structural::kind;
use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};

const TYPES: &[&str] = &["array", "boolean", "integer", "number", "object", "string"];
const REASONS: &[&str] = &["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// Where in the object a schema stands.
#[derive(Clone, Copy, Default)]
struct Place {
    /// In the metadata of the object or of an embedded one.
    in_meta: bool,
    /// Why there can be no default, if there can be none.
    no_default: Option<&'static str>,
}

pub(super) fn schema(errors: &mut Errors, path: &FieldPath, schema: &JSONSchemaProps) {
    walk(errors, path, schema, Place::default(), true);
}

fn walk(errors: &mut Errors, path: &FieldPath, schema: &JSONSchemaProps, place: Place, is_root: bool) {
    unsupported(errors, path, schema, place);
    if schema.unique_items.unwrap_or_default() {
        let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(FieldError::forbidden(path.child("uniqueItems"), detail));
    }
    children(errors, path, schema, place, is_root);
    if schema.x_kubernetes_preserve_unknown_fields == Some(false) {
        let path = path.child("x-kubernetes-preserve-unknown-fields");
        errors.push(FieldError::invalid(path, &false, "must be true or undefined"));
    }
    schema_lists::lists(errors, path, schema);
    for (index, rule) in schema.x_kubernetes_validations.iter().flatten().enumerate() {
        self::rule(errors, &path.child("x-kubernetes-validations").index(index), rule);
    }
}

fn children(errors: &mut Errors, path: &FieldPath, schema: &JSONSchemaProps, place: Place, is_root: bool) {
    let has_properties = schema.properties.as_ref().is_some_and(|properties| !properties.is_empty());
    if has_properties && matches!(&schema.additional_properties, Some(own) if *own != JSONSchemaPropsOrBool::Bool(true))
    {
        let detail = "additionalProperties and properties are mutual exclusive";
        errors.push(FieldError::forbidden(path.child("additionalProperties"), detail));
    }
    if let Some(JSONSchemaPropsOrBool::Schema(additional)) = &schema.additional_properties {
        let mut place = place;
        if place.in_meta {
            place.no_default = Some("inside additionalProperties applying to object metadata");
        }
        walk(errors, &path.child("additionalProperties"), additional, place, false);
    }
    for (name, property) in schema.properties.iter().flatten() {
        let mut place = place;
        let is_meta = matches!(name.as_str(), "metadata" | "kind" | "apiVersion");
        if is_meta && (is_root || schema.x_kubernetes_embedded_resource.unwrap_or_default()) {
            place.in_meta = true;
            if is_root {
                place.no_default = Some(match name.as_str() {
                    "metadata" => "in top-level metadata",
                    "kind" => "in top-level kind",
                    _ => "in top-level apiVersion",
                });
            }
        }
        walk(errors, &path.child("properties").key(name), property, place, false);
    }
    if let Some(not) = &schema.not {
        walk(errors, &path.child("not"), not, place, false);
    }
    for (field, list) in [("allOf", &schema.all_of), ("oneOf", &schema.one_of), ("anyOf", &schema.any_of)] {
        for (index, nested) in list.iter().flatten().enumerate() {
            walk(errors, &path.child(field).index(index), nested, place, false);
        }
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        walk(errors, &path.child("items"), items, place, false);
    }
}

fn unsupported(errors: &mut Errors, path: &FieldPath, schema: &JSONSchemaProps, place: Place) {
    let kind = kind(schema);
    if !kind.is_empty() && !TYPES.contains(&kind) {
        errors.push(FieldError::not_supported(path.child("type"), kind, TYPES));
    }
    if let Some(why) = place.no_default.filter(|_| schema.default.is_some()) {
        errors.push(FieldError::forbidden(path.child("default"), format!("must not be set {why}")));
    }
    let filled = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    for (field, is_set, detail) in [
        ("id", filled(&schema.id), "id is not supported"),
        ("additionalItems", schema.additional_items.is_some(), "additionalItems is not supported"),
        ("patternProperties", schema.pattern_properties.is_some(), "patternProperties is not supported"),
        ("definitions", schema.definitions.is_some(), "definitions is not supported"),
        ("dependencies", schema.dependencies.is_some(), "dependencies is not supported"),
        ("$ref", schema.ref_path.is_some(), "$ref is not supported"),
        ("type", kind == "null", "type cannot be set to null, use nullable as an alternative"),
        (
            "items",
            matches!(schema.items, Some(JSONSchemaPropsOrArray::Schemas(_))),
            "items must be a schema object and not an array",
        ),
        (
            "x-kubernetes-embedded-resource",
            place.in_meta && schema.x_kubernetes_embedded_resource.unwrap_or_default(),
            "must not be used inside of resource meta",
        ),
    ] {
        if is_set {
            errors.push(FieldError::forbidden(path.child(field), detail));
        }
    }
}

/// A validation rule's texts. What its expressions mean is judged where they are evaluated.
fn rule(errors: &mut Errors, path: &FieldPath, rule: &ValidationRule) {
    let breaks = |text: &str| text.contains(['\n', '\r']);
    let message = rule.message.as_deref().unwrap_or_default();
    let own = path.child("message");
    if rule.rule.trim().is_empty() {
        errors.push(FieldError::required(path.child("rule"), "rule is not specified"));
    } else if !message.is_empty() && message.trim().is_empty() {
        errors.push(FieldError::invalid(own, message, "message must be non-empty if specified"));
    } else if breaks(message.trim()) {
        errors.push(FieldError::invalid(own, message, "message must not contain line breaks"));
    } else if breaks(rule.rule.trim()) && message.trim().is_empty() {
        errors.push(FieldError::required(own, "message must be specified if rule contains line breaks"));
    }
    let expression = rule.message_expression.as_deref().unwrap_or_default();
    if !expression.is_empty() && expression.trim().is_empty() {
        let detail = "messageExpression must be non-empty if specified";
        errors.push(FieldError::required(path.child("messageExpression"), detail));
    }
    check::supported_if_set(errors, &path.child("reason"), rule.reason.as_deref(), REASONS);
    let field = rule.field_path.as_deref().unwrap_or_default();
    let own = path.child("fieldPath");
    if !field.is_empty() && field.trim().is_empty() {
        errors.push(FieldError::invalid(own.clone(), field, "fieldPath must be non-empty if specified"));
    }
    if breaks(field) {
        errors.push(FieldError::invalid(own, field, "fieldPath must not contain line breaks"));
    }
}
