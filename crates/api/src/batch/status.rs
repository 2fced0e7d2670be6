//! What a job's controller may say of it: counts that make sense, ends that stay, indexes in their form.
//!
//! Upstream asks this of changes only, so that a status of long ago can stay; here as well a rule holds where the
//! status that it is about has changed.

use super::indexes;
use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};

fn holds(status: &JobStatus, kind: &str) -> bool {
    status.conditions.iter().flatten().any(|condition| condition.type_ == kind && condition.status == "True")
}

fn is_finished(status: &JobStatus) -> bool {
    holds(status, "Complete") || holds(status, "Failed")
}

fn uncounted(status: &JobStatus) -> usize {
    let pods = status.uncounted_terminated_pods.as_ref();
    pods.map_or(0, |pods| pods.succeeded.iter().flatten().count() + pods.failed.iter().flatten().count())
}

/// Errors of a changed status.
pub(super) fn update(errors: &mut Errors, new: &Job, old: &Job) {
    let (spec, status) = (new.spec.clone().unwrap_or_default(), new.status.clone().unwrap_or_default());
    let before = old.status.clone().unwrap_or_default();
    if status == before {
        return;
    }
    let path = FieldPath::new("status");
    counts(errors, &path, &status);
    conditions(errors, &path.child("conditions"), &status, &before);
    times(errors, &path, &spec, &status, &before);
    if is_finished(&status) != is_finished(&before) {
        finished(errors, &path, &status);
    }
    let is_elastic = spec.completion_mode.as_deref() == Some("Indexed") && spec.completions == spec.parallelism;
    for (field, new, old, may_fall) in
        [("failed", status.failed, before.failed, false), ("succeeded", status.succeeded, before.succeeded, is_elastic)]
    {
        let new = new.unwrap_or_default();
        if !may_fall && new < old.unwrap_or_default() {
            let detail = format!("cannot decrease the {field} counter");
            errors.push(FieldError::invalid(path.child(field), &new, detail));
        }
    }
    if (&status.completed_indexes, &status.failed_indexes) != (&before.completed_indexes, &before.failed_indexes) {
        index_lists(errors, &path, &spec, &status);
    }
}

fn counts(errors: &mut Errors, path: &FieldPath, status: &JobStatus) {
    for (field, count) in [
        ("active", status.active),
        ("succeeded", status.succeeded),
        ("failed", status.failed),
        ("ready", status.ready),
        ("terminating", status.terminating),
    ] {
        check::non_negative(errors, path.child(field), count);
    }
    if let Some(ready) = status.ready.filter(|ready| *ready > status.active.unwrap_or_default()) {
        errors.push(FieldError::invalid(path.child("ready"), &ready, "cannot set more ready pods than active"));
    }
    let Some(pods) = &status.uncounted_terminated_pods else { return };
    let path = path.child("uncountedTerminatedPods");
    let mut seen: Vec<&str> = Vec::new();
    for (field, uids) in [("succeeded", &pods.succeeded), ("failed", &pods.failed)] {
        for (index, uid) in uids.iter().flatten().enumerate() {
            let path = path.child(field).index(index);
            if uid.is_empty() {
                errors.push(FieldError::invalid(path, uid, "must not be empty"));
            } else if seen.contains(&uid.as_str()) {
                errors.push(FieldError::duplicate(path, uid));
            }
            seen.push(uid);
        }
    }
}

fn conditions(errors: &mut Errors, path: &FieldPath, status: &JobStatus, before: &JobStatus) {
    for (one, other, detail) in [
        ("Complete", "Failed", "cannot set Complete=True and Failed=true conditions"),
        ("Complete", "FailureTarget", "cannot set Complete=True and FailureTarget=true conditions"),
        ("SuccessCriteriaMet", "Failed", "cannot set SuccessCriteriaMet=True and Failed=true conditions"),
        ("SuccessCriteriaMet", "FailureTarget", "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"),
    ] {
        if holds(status, one) && holds(status, other) {
            errors.push(FieldError::invalid_unshown(path.clone(), detail));
        }
    }
    for (end, herald, detail) in [
        ("Failed", "FailureTarget", "cannot set Failed=True condition without the FailureTarget=true condition"),
        (
            "Complete",
            "SuccessCriteriaMet",
            "cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
        ),
    ] {
        if holds(status, end) && !holds(before, end) && !holds(status, herald) {
            errors.push(FieldError::invalid_unshown(path.clone(), detail));
        }
    }
    for kind in ["Failed", "Complete", "FailureTarget"] {
        if holds(before, kind) && !holds(status, kind) {
            let detail = format!("cannot disable the terminal {kind}=True condition");
            errors.push(FieldError::invalid_unshown(path.clone(), detail));
        }
    }
    if holds(before, "SuccessCriteriaMet") && !holds(status, "SuccessCriteriaMet") {
        let detail = "cannot disable the SuccessCriteriaMet=True condition";
        errors.push(FieldError::invalid_unshown(path.clone(), detail));
    }
}

fn times(errors: &mut Errors, path: &FieldPath, spec: &JobSpec, status: &JobStatus, before: &JobStatus) {
    let (at, complete) = (path.child("completionTime"), holds(status, "Complete"));
    match &status.completion_time {
        Some(end) if !complete && status.completion_time != before.completion_time => {
            let detail = "cannot set completionTime when there is no Complete=True condition";
            errors.push(FieldError::invalid(at.clone(), end, detail));
        }
        None if complete => {
            errors.push(FieldError::required(at.clone(), "completionTime is required for Complete jobs"));
        }
        _ => {}
    }
    if let (Some(start), Some(end)) = (&status.start_time, &status.completion_time)
        && end.0 < start.0
    {
        errors.push(FieldError::invalid(at.clone(), end, "completionTime cannot be set before startTime"));
    }
    if let (Some(new), Some(old)) = (&status.completion_time, &before.completion_time)
        && new != old
    {
        errors.push(FieldError::invalid(at, new, "completionTime cannot be mutated"));
    }
    let moved = before.start_time.is_some() && status.start_time != before.start_time;
    if moved && spec.suspend != Some(true) {
        let detail = "startTime cannot be removed for unsuspended job";
        errors.push(FieldError::required(path.child("startTime"), detail));
    }
}

fn finished(errors: &mut Errors, path: &FieldPath, status: &JobStatus) {
    if !is_finished(status) {
        return;
    }
    for (field, count, detail) in [
        ("active", status.active, "active>0 is invalid for finished job"),
        ("terminating", status.terminating, "terminating>0 is invalid for finished job"),
    ] {
        if let Some(count) = count.filter(|count| *count > 0) {
            errors.push(FieldError::invalid(path.child(field), &count, detail));
        }
    }
    if status.start_time.is_none() {
        errors.push(FieldError::required(path.child("startTime"), "startTime is required for finished job"));
    }
    if uncounted(status) > 0 {
        let detail = "uncountedTerminatedPods needs to be empty for finished job";
        let path = path.child("uncountedTerminatedPods");
        errors.push(FieldError::invalid(path, &status.uncounted_terminated_pods, detail));
    }
}

fn index_lists(errors: &mut Errors, path: &FieldPath, spec: &JobSpec, status: &JobStatus) {
    let done = status.completed_indexes.as_deref().unwrap_or_default();
    let failed = status.failed_indexes.as_deref();
    if !done.is_empty() && spec.completion_mode.as_deref() != Some("Indexed") {
        let detail = "cannot set non-empty completedIndexes when non-indexed completion mode";
        errors.push(FieldError::invalid(path.child("completedIndexes"), done, detail));
    }
    if let Some(failed) = failed.filter(|_| spec.backoff_limit_per_index.is_none()) {
        let detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
        errors.push(FieldError::invalid(path.child("failedIndexes"), failed, detail));
    }
    let Some(completions) = spec.completions else { return };
    let limited = failed.filter(|_| spec.backoff_limit_per_index.is_some());
    for (field, list) in [("completedIndexes", Some(done)), ("failedIndexes", limited)] {
        if let Some(list) = list
            && let Err(error) = indexes::count(list, completions)
        {
            let detail = format!("error parsing {field}: {error}");
            errors.push(FieldError::invalid(path.child(field), list, detail));
        }
    }
    if let Some(failed) = failed
        && let Some(index) = indexes::overlap(done, failed, completions)
    {
        let detail = format!("failedIndexes and completedIndexes overlap at index: {index}");
        errors.push(FieldError::invalid(path.child("failedIndexes"), failed, detail));
    }
}
