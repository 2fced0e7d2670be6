//! What the kinds that keep pods of one template have in common.

use crate::check::{self, Errors};
use crate::core::{columns, pod};
use crate::field::{FieldError, FieldPath};
use crate::resource::Column;
use crate::selector::Selector;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// Of ReplicaSets and ReplicationControllers.
pub(crate) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::integer("Desired").about("How many pods it is to keep."),
    Column::integer("Current").about("How many it has."),
    Column::integer("Ready").about("How many of those are ready."),
    Column::AGE,
    columns::CONTAINERS,
    columns::IMAGES,
    columns::SELECTOR,
];

/// A selector that must select something, as what matches; `None` when it makes no sense.
pub(super) fn selector(
    errors: &mut Errors,
    path: &FieldPath,
    selector: &LabelSelector,
    kind: &str,
) -> Option<Selector> {
    check::label_selector(errors, path, selector);
    match Selector::from_label_selector(selector) {
        Ok(parsed) => {
            if parsed.is_empty() {
                let detail = format!("empty selector is invalid for {kind}");
                errors.push(FieldError::invalid(path.clone(), selector, detail));
            }
            Some(parsed)
        }
        Err(_) => {
            errors.push(FieldError::invalid(path.clone(), selector, "invalid label selector"));
            None
        }
    }
}

/// A template whose pods the selector must find, and which are always restarted.
pub(crate) fn template(
    errors: &mut Errors,
    path: &FieldPath,
    template: Option<&PodTemplateSpec>,
    selector: &Selector,
    kind: &str,
) {
    let Some(template) = template else {
        errors.push(FieldError::required(path.clone(), ""));
        return;
    };
    found_by(errors, path, template, selector);
    pod::validate::template(errors, path, template);
    let Some(spec) = &template.spec else { return };
    let path = path.child("spec");
    check::supported_if_set(errors, &path.child("restartPolicy"), spec.restart_policy.as_deref(), &["Always"]);
    if spec.active_deadline_seconds.is_some() {
        let detail = format!("activeDeadlineSeconds in {kind} is not Supported");
        errors.push(FieldError::forbidden(path.child("activeDeadlineSeconds"), detail));
    }
}

pub(super) fn found_by(errors: &mut Errors, path: &FieldPath, template: &PodTemplateSpec, selector: &Selector) {
    let labels = template.metadata.as_ref().and_then(|meta| meta.labels.clone()).unwrap_or_default();
    if !selector.is_empty() && !selector.matches(&labels) {
        let detail = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid(path.child("metadata").child("labels"), &labels, detail));
    }
}

/// Counts of a status: none negative, none more than there are replicas.
pub(crate) fn counts(errors: &mut Errors, path: &FieldPath, replicas: i32, counts: &[(&str, Option<i32>)]) {
    check::non_negative(errors, path.child("replicas"), Some(replicas));
    for (field, count) in counts {
        check::non_negative(errors, path.child(field), *count);
        if let Some(count) = count.filter(|count| *count > replicas) {
            errors.push(FieldError::invalid(path.child(field), &count, "cannot be greater than status.replicas"));
        }
    }
    let count = |name: &str| counts.iter().find(|(field, _)| *field == name).and_then(|(_, count)| *count);
    let (available, ready) = (count("availableReplicas").unwrap_or(0), count("readyReplicas").unwrap_or(0));
    if available > ready {
        let detail = "cannot be greater than readyReplicas";
        errors.push(FieldError::invalid(path.child("availableReplicas"), &available, detail));
    }
}
