//! What the reviews have in common.

use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
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
