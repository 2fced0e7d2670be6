//! What validating and mutating admission policies have in common. What their expressions mean is judged where they
//! are evaluated: here they only have to be there.

use super::rules::{self, FAILURE_POLICIES};
use crate::cel_names::is_identifier;
use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use crate::labels;
use crate::table::Cell;
use k8s_openapi::api::admissionregistration::v1::{MatchCondition, MatchResources, ParamKind, Variable};

/// A policy's common part.
pub(super) struct Policy<'a> {
    pub(super) failure_policy: Option<&'a str>,
    pub(super) param_kind: Option<&'a ParamKind>,
    pub(super) constraints: Option<&'a MatchResources>,
    pub(super) conditions: &'a [MatchCondition],
    pub(super) variables: &'a [Variable],
}

pub(super) fn policy(errors: &mut Errors, path: &FieldPath, policy: &Policy<'_>) {
    check::supported(errors, &path.child("failurePolicy"), policy.failure_policy, FAILURE_POLICIES);
    if let Some(kind) = policy.param_kind {
        param_kind(errors, &path.child("paramKind"), kind);
    }
    let own = path.child("matchConstraints");
    match policy.constraints {
        None => errors.push(FieldError::required(own, "")),
        Some(constraints) => {
            rules::match_resources(errors, &own, constraints);
            if constraints.resource_rules.as_ref().is_none_or(Vec::is_empty) {
                errors.push(FieldError::required(own.child("resourceRules"), ""));
            }
        }
    }
    rules::conditions(errors, &path.child("matchConditions"), policy.conditions);
    for (index, variable) in policy.variables.iter().enumerate() {
        let path = path.child("variables").index(index);
        if variable.name.trim().is_empty() {
            errors.push(FieldError::required(path.child("name"), "name is not specified"));
        } else if !is_identifier(&variable.name) {
            let detail = "name is not a valid CEL identifier";
            errors.push(FieldError::invalid(path.child("name"), &variable.name, detail));
        }
        if variable.expression.trim().is_empty() {
            errors.push(FieldError::required(path.child("expression"), "expression is not specified"));
        }
    }
}

fn param_kind(errors: &mut Errors, path: &FieldPath, own: &ParamKind) {
    let version = own.api_version.as_deref().unwrap_or_default();
    let at = path.child("apiVersion");
    let mut refuse = |at: FieldPath, value: &str, complaints: Vec<String>| {
        if !complaints.is_empty() {
            errors.push(FieldError::invalid(at, value, complaints.join(",")));
        }
    };
    match version.split('/').collect::<Vec<_>>().as_slice() {
        [""] => errors.push(FieldError::required(at, "")),
        [version] => refuse(at, version, labels::dns1035_label(version, false)),
        [group, version] => {
            if !group.is_empty() {
                refuse(at.clone(), group, labels::dns1123_subdomain(group, false));
            }
            refuse(at, version, labels::dns1035_label(version, false));
        }
        _ => refuse(at, version, vec![format!("unexpected GroupVersion string: {version}")]),
    }
    let kind = own.kind.as_deref().unwrap_or_default();
    let complaints = labels::dns1035_label(&kind.to_lowercase(), false);
    if kind.is_empty() {
        errors.push(FieldError::required(path.child("kind"), ""));
    } else if !complaints.is_empty() {
        let detail = format!("may have mixed case, but should otherwise match: {}", complaints.join(","));
        errors.push(FieldError::invalid(path.child("kind"), kind, detail));
    }
}

/// The table's cell for a policy's parameters.
pub(super) fn param_kind_cell(kind: Option<&ParamKind>) -> Cell {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    match kind {
        Some(kind) => Cell::Text(format!("{}/{}", text(&kind.api_version), text(&kind.kind))),
        None => Cell::from("<unset>"),
    }
}
