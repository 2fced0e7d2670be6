//! What a job does about pods that fail, and when it has had success enough.

use super::indexes;
use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use k8s_openapi::api::batch::v1::{
    JobSpec, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
    SuccessPolicyRule,
};
use k8s_openapi::api::core::v1::PodSpec;

/// Bounds of upstream's.
const FAILURE_RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;
const CONDITIONS_MAX: usize = 20;
const SUCCESS_RULES_MAX: usize = 20;
const INDEXES_BYTES_MAX: usize = 64 * 1024;

const ACTIONS: &[&str] = &["Count", "FailIndex", "FailJob", "Ignore"];
const OPERATORS: &[&str] = &["In", "NotIn"];
const STATUSES: &[&str] = &["False", "True", "Unknown"];

/// A pod's condition that is named without its status is one that holds.
pub(super) fn defaults(spec: &mut JobSpec) {
    let rules = spec.pod_failure_policy.iter_mut().flat_map(|policy| &mut policy.rules);
    for pattern in rules.flat_map(|rule| rule.on_pod_conditions.iter_mut().flatten()) {
        if pattern.status.as_deref().unwrap_or_default().is_empty() {
            pattern.status = Some("True".to_owned());
        }
    }
}

/// `valid values: ["A" "B"]`, as Go prints a list.
fn valid_values(values: &[&str]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    format!("valid values: [{}]", quoted.join(" "))
}

/// That one of these values is there.
fn one_of(errors: &mut Errors, path: &FieldPath, value: &str, values: &[&str]) {
    if value.is_empty() {
        errors.push(FieldError::required(path.clone(), &valid_values(values)));
    } else {
        check::supported_if_set(errors, path, Some(value), values);
    }
}

pub(super) fn failure(errors: &mut Errors, path: &FieldPath, spec: &JobSpec) {
    let Some(policy) = &spec.pod_failure_policy else { return };
    let path = path.child("podFailurePolicy").child("rules");
    if policy.rules.len() > FAILURE_RULES_MAX {
        errors.push(FieldError::too_many(path.clone(), policy.rules.len(), FAILURE_RULES_MAX));
    }
    for (index, rule) in policy.rules.iter().enumerate() {
        failure_rule(errors, &path.index(index), rule, spec);
    }
}

fn failure_rule(errors: &mut Errors, path: &FieldPath, rule: &PodFailurePolicyRule, spec: &JobSpec) {
    let action = path.child("action");
    if rule.action == "FailIndex" && spec.backoff_limit_per_index.is_none() {
        errors.push(FieldError::invalid(action, &rule.action, "requires the backoffLimitPerIndex to be set"));
    } else {
        one_of(errors, &action, &rule.action, ACTIONS);
    }
    if let Some(codes) = &rule.on_exit_codes {
        exit_codes(errors, &path.child("onExitCodes"), codes, spec.template.spec.as_ref());
    }
    let conditions = rule.on_pod_conditions.as_deref().unwrap_or_default();
    self::conditions(errors, &path.child("onPodConditions"), conditions);
    let detail = match (&rule.on_exit_codes, conditions) {
        (Some(_), [_, ..]) => "specifying both OnExitCodes and OnPodConditions is not supported",
        (None, []) => "specifying one of OnExitCodes and OnPodConditions is required",
        _ => return,
    };
    errors.push(FieldError::invalid_unshown(path.clone(), detail));
}

fn conditions(errors: &mut Errors, path: &FieldPath, patterns: &[PodFailurePolicyOnPodConditionsPattern]) {
    if patterns.len() > CONDITIONS_MAX {
        errors.push(FieldError::too_many(path.clone(), patterns.len(), CONDITIONS_MAX));
    }
    for (index, pattern) in patterns.iter().enumerate() {
        let path = path.index(index);
        check::label_key(errors, &path.child("type"), &pattern.type_);
        one_of(errors, &path.child("status"), pattern.status.as_deref().unwrap_or_default(), STATUSES);
    }
}

fn exit_codes(
    errors: &mut Errors,
    path: &FieldPath,
    codes: &PodFailurePolicyOnExitCodesRequirement,
    pod: Option<&PodSpec>,
) {
    one_of(errors, &path.child("operator"), &codes.operator, OPERATORS);
    if let Some(name) = &codes.container_name {
        let known = pod.is_some_and(|pod| {
            pod.containers.iter().chain(pod.init_containers.iter().flatten()).any(|own| own.name == *name)
        });
        if !known {
            let detail = "must be one of the container or initContainer names in the pod template";
            errors.push(FieldError::invalid(path.child("containerName"), name, detail));
        }
    }
    let path = path.child("values");
    let values = &codes.values;
    match values.len() {
        0 => errors.push(FieldError::invalid(path.clone(), values, "at least one value is required")),
        count if count > EXIT_CODES_MAX => {
            errors.push(FieldError::too_many(path.clone(), count, EXIT_CODES_MAX));
        }
        _ => {}
    }
    for (index, code) in values.iter().enumerate() {
        if codes.operator == "In" && *code == 0 {
            errors.push(FieldError::invalid(path.index(index), code, "must not be 0 for the In operator"));
        }
        if values[..index].contains(code) {
            errors.push(FieldError::duplicate(path.index(index), code));
        }
    }
    if !values.is_sorted() {
        errors.push(FieldError::invalid(path, values, "must be ordered"));
    }
}

pub(super) fn success(errors: &mut Errors, path: &FieldPath, spec: &JobSpec) {
    let Some(policy) = &spec.success_policy else { return };
    let path = path.child("successPolicy");
    if spec.completion_mode.as_deref() != Some("Indexed") {
        errors.push(FieldError::invalid(path, policy, "requires indexed completion mode"));
        return;
    }
    let path = path.child("rules");
    if policy.rules.is_empty() {
        let detail = "at least one rules must be specified when the successPolicy is specified";
        errors.push(FieldError::required(path.clone(), detail));
    }
    if policy.rules.len() > SUCCESS_RULES_MAX {
        errors.push(FieldError::too_many(path.clone(), policy.rules.len(), SUCCESS_RULES_MAX));
    }
    for (index, rule) in policy.rules.iter().enumerate() {
        success_rule(errors, &path.index(index), rule, spec.completions.unwrap_or_default());
    }
}

fn success_rule(errors: &mut Errors, path: &FieldPath, rule: &SuccessPolicyRule, completions: i32) {
    if rule.succeeded_count.is_none() && rule.succeeded_indexes.is_none() {
        let detail = "at least one of succeededCount or succeededIndexes must be specified";
        errors.push(FieldError::required(path.clone(), detail));
    }
    let mut named = 0;
    if let Some(list) = &rule.succeeded_indexes {
        let path = path.child("succeededIndexes");
        if list.len() > INDEXES_BYTES_MAX {
            errors.push(FieldError::too_long(path.clone(), INDEXES_BYTES_MAX));
        }
        match indexes::count(list, completions) {
            Ok(count) => named = count,
            Err(error) => {
                errors.push(FieldError::invalid(path, list, format!("error parsing succeededIndexes: {error}")));
            }
        }
    }
    let Some(count) = rule.succeeded_count else { return };
    let path = path.child("succeededCount");
    check::non_negative(errors, path.clone(), Some(count));
    if count > completions {
        let detail = format!("must be less than or equal to {completions} (the number of specified completions)");
        errors.push(FieldError::invalid(path.clone(), &count, detail));
    }
    if rule.succeeded_indexes.is_some() && count > named {
        let detail = format!(
            "must be less than or equal to {named} (the number of indexes in the specified succeededIndexes field)"
        );
        errors.push(FieldError::invalid(path, &count, detail));
    }
}
