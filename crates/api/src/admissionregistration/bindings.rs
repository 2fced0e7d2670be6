//! What bindings of validating and mutating admission policies have in common.

use super::rules;
use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use crate::labels;
use crate::selector;
use crate::table::Cell;
use k8s_openapi::api::admissionregistration::v1::{MatchResources, ParamRef};

const EXCLUSIVE: &str = "name and selector are mutually exclusive";

pub(super) fn binding(
    errors: &mut Errors,
    path: &FieldPath,
    policy_name: &str,
    param: Option<&ParamRef>,
    resources: Option<&MatchResources>,
) {
    let name = path.child("policyName");
    match policy_name {
        "" => errors.push(FieldError::required(name, "")),
        own => check::dns1123_subdomain(errors, &name, own),
    }
    if let Some(param) = param {
        param_ref(errors, &path.child("paramRef"), param);
    }
    if let Some(resources) = resources {
        // Upstream's own spelling.
        rules::match_resources(errors, &path.child("matchResouces"), resources);
    }
}

fn param_ref(errors: &mut Errors, path: &FieldPath, param: &ParamRef) {
    let name = param.name.as_deref().unwrap_or_default();
    check::each(errors, &path.child("name"), name, labels::path_segment(name, false));
    match (&param.selector, name) {
        (None, "") => errors.push(FieldError::required(path.clone(), "one of name or selector must be specified")),
        (None, _) => {}
        (Some(selector), name) => {
            if !name.is_empty() {
                errors.push(FieldError::forbidden(path.child("name"), EXCLUSIVE));
            }
            check::label_selector(errors, &path.child("selector"), selector);
            if !name.is_empty() {
                errors.push(FieldError::forbidden(path.child("selector"), EXCLUSIVE));
            }
        }
    }
    let action = param.parameter_not_found_action.as_deref();
    check::supported(errors, &path.child("parameterNotFoundAction"), action, &["Deny", "Allow"]);
}

/// The table's cell for a binding's parameters.
pub(super) fn param_ref_cell(param: Option<&ParamRef>) -> Cell {
    let Some(param) = param else { return Cell::from("<unset>") };
    match (param.name.as_deref().filter(|name| !name.is_empty()), &param.selector) {
        (Some(name), _) => Cell::from(name),
        (None, Some(own)) => Cell::Text(selector::printed(Some(own))),
        (None, None) => Cell::from("<unset>"),
    }
}
