//! What the reviews have in common.

use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use crate::labels;
use k8s_openapi::api::authorization::v1::{NonResourceAttributes, ResourceAttributes};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// That exactly one of the two things that can be asked for is asked for.
pub(super) fn one_question(
    errors: &mut Errors,
    resource: Option<&ResourceAttributes>,
    other: Option<&NonResourceAttributes>,
) {
    let path = FieldPath::new("spec");
    match (resource, other) {
        (Some(_), Some(other)) => {
            let detail = "cannot be specified in combination with resourceAttributes";
            errors.push(FieldError::invalid(path.child("nonResourceAttributes"), other, detail));
        }
        (None, None) => {
            let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            errors.push(FieldError::invalid(path.child("resourceAttributes"), &(), detail));
        }
        _ => {}
    }
    let Some(resource) = resource else { return };
    let path = path.child("resourceAttributes");
    if let Some(selector) = &resource.field_selector {
        let requirements = selector.requirements.as_deref().unwrap_or_default();
        let path = path.child("fieldSelector");
        one_form(errors, &path, selector.raw_selector.as_deref(), requirements.len());
        for (index, own) in requirements.iter().enumerate() {
            let path = path.child("requirements").index(index);
            if own.key.is_empty() {
                errors.push(FieldError::required(path.child("key"), "must be specified"));
            }
            known_operator(errors, &path, &own.operator, own.values.as_deref().unwrap_or_default());
        }
    }
    if let Some(selector) = &resource.label_selector {
        let requirements = selector.requirements.as_deref().unwrap_or_default();
        let path = path.child("labelSelector");
        one_form(errors, &path, selector.raw_selector.as_deref(), requirements.len());
        for (index, own) in requirements.iter().enumerate() {
            let path = path.child("requirements").index(index);
            let values = own.values.as_deref().unwrap_or_default();
            known_operator(errors, &path, &own.operator, values);
            check::label_key(errors, &path.child("key"), &own.key);
            for (index, value) in values.iter().enumerate() {
                check::each(errors, &path.child("values").index(index), value, labels::label_value(value));
            }
        }
    }
}

/// That a selector is said as text or in parts, not both.
fn one_form(errors: &mut Errors, path: &FieldPath, raw: Option<&str>, parts: usize) {
    match (raw.unwrap_or_default(), parts) {
        ("", 0) => {
            let detail = format!("when {} is specified, requirements or rawSelector is required", path.as_str());
            errors.push(FieldError::required(path.child("requirements"), &detail));
        }
        ("", _) | (_, 0) => {}
        (raw, _) => {
            let detail = "may not specified at the same time as requirements";
            errors.push(FieldError::invalid(path.child("rawSelector"), raw, detail));
        }
    }
}

/// Operators of newer clients may be asked about; they select nothing here.
fn known_operator(errors: &mut Errors, path: &FieldPath, operator: &str, values: &[String]) {
    if matches!(operator, "In" | "NotIn" | "Exists" | "DoesNotExist") {
        check::values_suit_operator(errors, path, operator, values);
    }
}

/// That it is said whom the question is about.
pub(super) fn somebody(errors: &mut Errors, user: Option<&str>, groups: Option<&Vec<String>>) {
    if user.unwrap_or_default().is_empty() && groups.is_none_or(Vec::is_empty) {
        let detail = "at least one of user or group must be specified";
        errors.push(FieldError::invalid(FieldPath::new("spec").child("user"), "", detail));
    }
}

/// A review is no object: its metadata says nothing, but what the server has put there.
pub(super) fn no_metadata(errors: &mut Errors, meta: &ObjectMeta, detail: &str, namespace_too: bool) {
    let rest = ObjectMeta {
        managed_fields: None,
        uid: None,
        creation_timestamp: None,
        namespace: if namespace_too { meta.namespace.clone() } else { None },
        ..meta.clone()
    };
    if !check::same(&rest, &ObjectMeta::default()) {
        errors.push(FieldError::invalid(FieldPath::new("metadata"), meta, detail));
    }
}
