//! Defaults are judged when a definition is written: an object that is filled in with them must be valid.
//!
//! Bound: each default by its own part of the schema, so that all together cost no more than the schema's depth times
//! its size.

use super::{Compiler, Place, RuleSet};
use api::custom::Schema;
use api::{FieldError, FieldPath};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::Value;

/// What is wrong with the defaults of a schema whose rules compile.
pub(super) fn errors(schema: &JSONSchemaProps, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    walk(&mut errors, schema, path);
    errors
}

fn walk(errors: &mut Vec<FieldError>, schema: &JSONSchemaProps, path: &FieldPath) {
    if let Some(JSON(default)) = &schema.default {
        judge(errors, schema, default, &path.child("default"));
    }
    for (name, property) in schema.properties.iter().flatten() {
        walk(errors, property, &path.child("properties").key(name));
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        walk(errors, values, &path.child("additionalProperties"));
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        walk(errors, items, &path.child("items"));
    }
}

fn judge(errors: &mut Vec<FieldError>, schema: &JSONSchemaProps, default: &Value, path: &FieldPath) {
    // A pattern that is none was refused before.
    let Ok(compiled) = Schema::compile(schema) else { return };
    let complaints = compiled.judge(default, path);
    if !complaints.is_empty() {
        errors.extend(complaints);
        return;
    }
    let place = Place { path: FieldPath::new(""), name: "object".to_owned(), times: 1, root: false };
    if let Some(root) = Compiler::default().node(schema, place) {
        errors.extend(RuleSet { root }.check_at(path.as_str(), default));
    }
}
