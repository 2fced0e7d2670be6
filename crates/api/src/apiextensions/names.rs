//! The names of a custom kind.

use crate::check::Errors;
use crate::field::{FieldError, FieldPath};
use crate::labels;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinitionNames;

/// A value's complaints as one error.
fn label(errors: &mut Errors, path: FieldPath, value: &str, judged: &str, words: &str) {
    let complaints = labels::dns1035_label(judged, false);
    if !value.is_empty() && !complaints.is_empty() {
        errors.push(FieldError::invalid(path, value, format!("{words}{}", complaints.join(","))));
    }
}

/// What holds for wanted and for accepted names.
pub(super) fn names(errors: &mut Errors, path: &FieldPath, names: &CustomResourceDefinitionNames) {
    const CASES: &str = "may have mixed case, but should otherwise match: ";
    let singular = names.singular.as_deref().unwrap_or_default();
    let list_kind = names.list_kind.as_deref().unwrap_or_default();
    label(errors, path.child("plural"), &names.plural, &names.plural, "");
    label(errors, path.child("singular"), singular, singular, "");
    label(errors, path.child("kind"), &names.kind, &names.kind.to_lowercase(), CASES);
    label(errors, path.child("listKind"), list_kind, &list_kind.to_lowercase(), CASES);
    for (field, list) in [("shortNames", &names.short_names), ("categories", &names.categories)] {
        for (index, name) in list.iter().flatten().enumerate() {
            let complaints = labels::dns1035_label(name, false);
            if !complaints.is_empty() {
                errors.push(FieldError::invalid(path.child(field).index(index), name, complaints.join(",")));
            }
        }
    }
    if !names.kind.is_empty() && names.kind == list_kind {
        let detail = "kind and listKind may not be the same";
        errors.push(FieldError::invalid(path.child("listKind"), list_kind, detail));
    }
}

/// What a definition must ask for.
pub(super) fn required(errors: &mut Errors, path: &FieldPath, names: &CustomResourceDefinitionNames) {
    for (field, value) in [
        ("plural", Some(names.plural.as_str())),
        ("singular", names.singular.as_deref()),
        ("kind", Some(names.kind.as_str())),
        ("listKind", names.list_kind.as_deref()),
    ] {
        if value.unwrap_or_default().is_empty() {
            errors.push(FieldError::required(path.child(field), ""));
        }
    }
}
