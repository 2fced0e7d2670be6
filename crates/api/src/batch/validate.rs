//! Whether a job's spec makes sense, by itself and as a change.

use super::policies;
use crate::check::{self, Errors};
use crate::core::pod;
use crate::field::{FieldError, FieldPath};
use crate::selector::Selector;
use k8s_openapi::api::batch::v1::JobSpec;
use k8s_openapi::api::core::v1::{Affinity, PodTemplateSpec};

/// Bounds of upstream's.
const PARALLELISM_MAX: i32 = 100_000;
const FAILED_INDEXES_MAX: i32 = 100_000;
/// Beyond so many completions a job whose indexes have retries of their own is held to less.
const COMPLETIONS_SOFT: i32 = 100_000;
const PARALLELISM_SOFT_MAX: i32 = 10_000;
const FAILED_INDEXES_SOFT_MAX: i32 = 10_000;
const MANAGED_BY_BYTES_MAX: usize = 63;

/// The spec of a job, or of the jobs that a CronJob makes.
pub(super) fn spec(errors: &mut Errors, path: &FieldPath, spec: &JobSpec) {
    for (field, count) in [
        ("parallelism", spec.parallelism),
        ("completions", spec.completions),
        ("backoffLimit", spec.backoff_limit),
        ("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished),
        ("backoffLimitPerIndex", spec.backoff_limit_per_index),
        ("maxFailedIndexes", spec.max_failed_indexes),
    ] {
        check::non_negative(errors, path.child(field), count);
    }
    check::non_negative(errors, path.child("activeDeadlineSeconds"), spec.active_deadline_seconds);
    if spec.max_failed_indexes.is_some() && spec.backoff_limit_per_index.is_none() {
        let detail = "when maxFailedIndexes is specified";
        errors.push(FieldError::required(path.child("backoffLimitPerIndex"), detail));
    }
    if let Some(manager) = &spec.managed_by {
        check::domain_prefixed_path(errors, &path.child("managedBy"), manager);
        if manager.len() > MANAGED_BY_BYTES_MAX {
            errors.push(FieldError::too_long(path.child("managedBy"), MANAGED_BY_BYTES_MAX));
        }
    }
    let mode = spec.completion_mode.as_deref();
    check::supported_if_set(errors, &path.child("completionMode"), mode, &["Indexed", "NonIndexed"]);
    match mode {
        Some("Indexed") => indexed(errors, path, spec),
        None | Some("NonIndexed") => not_indexed(errors, path, spec),
        Some(_) => {}
    }
    policies::failure(errors, path, spec);
    policies::success(errors, path, spec);
    let replacements: &[&str] =
        if spec.pod_failure_policy.is_some() { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    let replacement = spec.pod_replacement_policy.as_deref();
    check::supported_if_set(errors, &path.child("podReplacementPolicy"), replacement, replacements);
    let path = path.child("template");
    pod::validate::template(errors, &path, &spec.template);
    restart_policy(errors, &path.child("spec").child("restartPolicy"), spec);
}

fn restart_policy(errors: &mut Errors, path: &FieldPath, spec: &JobSpec) {
    let policy = spec.template.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
    match policy.unwrap_or_default() {
        "" | "Always" => {
            let detail = "valid values: \"OnFailure\", \"Never\"";
            errors.push(FieldError::required(path.clone(), detail));
        }
        "OnFailure" if spec.pod_failure_policy.is_some() => {
            let detail = "only \"Never\" is supported when podFailurePolicy is specified";
            errors.push(FieldError::invalid(path.clone(), "OnFailure", detail));
        }
        // What is no restart policy at all the pod's own rules refuse.
        _ => {}
    }
}

fn indexed(errors: &mut Errors, path: &FieldPath, spec: &JobSpec) {
    let mut at_most = |field: &str, value: Option<i32>, most: i32, detail: String| {
        if let Some(value) = value.filter(|value| *value > most) {
            errors.push(FieldError::invalid(path.child(field), &value, detail));
        }
    };
    let detail = format!("must be less than or equal to {PARALLELISM_MAX} when completion mode is Indexed");
    at_most("parallelism", spec.parallelism, PARALLELISM_MAX, detail);
    if let Some(completions) = spec.completions {
        let detail = "must be less than or equal to completions".to_owned();
        at_most("maxFailedIndexes", spec.max_failed_indexes, completions, detail);
    }
    let detail = format!("must be less than or equal to {FAILED_INDEXES_MAX}");
    at_most("maxFailedIndexes", spec.max_failed_indexes, FAILED_INDEXES_MAX, detail);
    let is_large = spec.completions.is_some_and(|completions| completions > COMPLETIONS_SOFT);
    if is_large && spec.backoff_limit_per_index.is_some() {
        for (field, value, most) in [
            ("parallelism", spec.parallelism, PARALLELISM_SOFT_MAX),
            ("maxFailedIndexes", spec.max_failed_indexes, FAILED_INDEXES_SOFT_MAX),
        ] {
            let detail = format!(
                "must be less than or equal to {most} when completions are above {COMPLETIONS_SOFT} and used with \
                 backoff limit per index"
            );
            at_most(field, value, most, detail);
        }
        if spec.max_failed_indexes.is_none() {
            let detail = format!("must be specified when completions is above {COMPLETIONS_SOFT}");
            errors.push(FieldError::required(path.child("maxFailedIndexes"), &detail));
        }
    }
    if spec.completions.is_none() {
        errors.push(FieldError::required(path.child("completions"), "when completion mode is Indexed"));
    }
}

fn not_indexed(errors: &mut Errors, path: &FieldPath, spec: &JobSpec) {
    for (field, value) in
        [("backoffLimitPerIndex", spec.backoff_limit_per_index), ("maxFailedIndexes", spec.max_failed_indexes)]
    {
        if let Some(value) = value {
            errors.push(FieldError::invalid(path.child(field), &value, "requires indexed completion mode"));
        }
    }
}

/// That a job's selector is there and finds the pods of its template.
pub(super) fn selector(errors: &mut Errors, path: &FieldPath, spec: &JobSpec) {
    let Some(selector) = &spec.selector else {
        errors.push(FieldError::required(path.child("selector"), ""));
        return;
    };
    check::label_selector(errors, &path.child("selector"), selector);
    let labels = spec.template.metadata.as_ref().and_then(|meta| meta.labels.clone()).unwrap_or_default();
    if Selector::from_label_selector(selector).is_ok_and(|selector| !selector.matches(&labels)) {
        let path = path.child("template").child("metadata").child("labels");
        errors.push(FieldError::invalid(path, &labels, "`selector` does not match template `labels`"));
    }
}

/// What stays as it is once a job is there. A suspended job that has not begun may still be sent elsewhere.
pub(super) fn update(errors: &mut Errors, path: &FieldPath, new: &JobSpec, old: &JobSpec, may_move: bool) {
    if new.completion_mode.as_deref() != Some("Indexed") {
        check::immutable(errors, path.child("completions"), &new.completions, &old.completions);
    } else if new.completions.is_some() && new.completions != old.completions && new.completions != new.parallelism {
        let detail = format!("can only be modified in tandem with {path}.parallelism");
        errors.push(FieldError::invalid(path.child("completions"), &new.completions, detail));
    }
    check::immutable(errors, path.child("selector"), &new.selector, &old.selector);
    let before = if may_move { moved(&new.template, &old.template) } else { old.template.clone() };
    check::immutable(errors, path.child("template"), &new.template, &before);
    check::immutable(errors, path.child("completionMode"), &new.completion_mode, &old.completion_mode);
    check::immutable(errors, path.child("podFailurePolicy"), &new.pod_failure_policy, &old.pod_failure_policy);
    let (limit, before) = (&new.backoff_limit_per_index, &old.backoff_limit_per_index);
    check::immutable(errors, path.child("backoffLimitPerIndex"), limit, before);
    check::immutable(errors, path.child("managedBy"), &new.managed_by, &old.managed_by);
    check::immutable(errors, path.child("successPolicy"), &new.success_policy, &old.success_policy);
}

/// The old template with what the new one says of where its pods go, and what they ask for.
fn moved(new: &PodTemplateSpec, old: &PodTemplateSpec) -> PodTemplateSpec {
    let mut moved = old.clone();
    let meta = new.metadata.clone().unwrap_or_default();
    let own = moved.metadata.get_or_insert_default();
    own.labels = meta.labels;
    own.annotations = meta.annotations;
    let (Some(spec), Some(new)) = (&mut moved.spec, &new.spec) else { return moved };
    spec.node_selector.clone_from(&new.node_selector);
    spec.tolerations.clone_from(&new.tolerations);
    spec.scheduling_gates.clone_from(&new.scheduling_gates);
    let mut affinity = spec.affinity.take().unwrap_or_default();
    affinity.node_affinity = new.affinity.as_ref().and_then(|affinity| affinity.node_affinity.clone());
    let is_none = new.affinity.is_none() && affinity == Affinity::default();
    spec.affinity = (!is_none).then_some(affinity);
    for (own, new) in spec.containers.iter_mut().zip(&new.containers) {
        own.resources.clone_from(&new.resources);
    }
    moved
}
