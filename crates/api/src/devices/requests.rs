//! What a claim asks for: requests, constraints between them, settings. Also the defaults of all these.

use super::checks::{self, LIST_MAX};
use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use k8s_openapi::api::resource::v1::{
    DeviceClaim, DeviceConstraint, DeviceRequest, DeviceSelector, DeviceToleration, ExactDeviceRequest,
    ResourceClaimSpec,
};

const FIRST_AVAILABLE_MAX: usize = 8;
const TOLERATIONS_MAX: usize = 16;
const ONE_OF: &str = "exactly one of `exactly` or `firstAvailable` is required";
const NO_SUCH_REQUEST: &str =
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";

pub(super) fn defaults(spec: &mut ResourceClaimSpec) {
    for request in spec.devices.iter_mut().flat_map(|devices| devices.requests.iter_mut().flatten()) {
        if let Some(own) = &mut request.exactly {
            amount(&mut own.allocation_mode, &mut own.count);
            operators(&mut own.tolerations);
        }
        for own in request.first_available.iter_mut().flatten() {
            amount(&mut own.allocation_mode, &mut own.count);
            operators(&mut own.tolerations);
        }
    }
}

fn amount(mode: &mut Option<String>, count: &mut Option<i64>) {
    let mode = mode.get_or_insert_with(|| "ExactCount".to_owned());
    if mode == "ExactCount" && count.unwrap_or_default() == 0 {
        *count = Some(1);
    }
}

fn operators(tolerations: &mut Option<Vec<DeviceToleration>>) {
    for toleration in tolerations.iter_mut().flatten() {
        toleration.operator.get_or_insert_with(|| "Equal".to_owned());
    }
}

pub(super) fn spec(errors: &mut Errors, path: &FieldPath, spec: &ResourceClaimSpec) {
    let path = path.child("devices");
    let devices = spec.devices.clone().unwrap_or_default();
    let requests = devices.requests.as_deref().unwrap_or_default();
    let own = path.child("requests");
    checks::at_most(errors, &own, requests.len(), LIST_MAX);
    checks::unique(errors, &own, requests.iter().map(|request| request.name.as_str()));
    for (index, request) in requests.iter().enumerate() {
        self::request(errors, &own.index(index), request);
    }
    let constraints = devices.constraints.as_deref().unwrap_or_default();
    checks::at_most(errors, &path.child("constraints"), constraints.len(), LIST_MAX);
    for (index, constraint) in constraints.iter().enumerate() {
        self::constraint(errors, &path.child("constraints").index(index), constraint, &devices);
    }
    let settings = devices.config.as_deref().unwrap_or_default();
    checks::at_most(errors, &path.child("config"), settings.len(), LIST_MAX);
    for (index, setting) in settings.iter().enumerate() {
        let path = path.child("config").index(index);
        references(errors, &path.child("requests"), setting.requests.as_deref().unwrap_or_default(), &devices);
        checks::opaque(errors, &path, setting.opaque.as_ref());
    }
}

fn request(errors: &mut Errors, path: &FieldPath, request: &DeviceRequest) {
    check::dns1123_label(errors, &path.child("name"), &request.name);
    let alternatives = request.first_available.as_deref().unwrap_or_default();
    match (&request.exactly, alternatives) {
        (None, []) => errors.push(FieldError::required(path.clone(), ONE_OF)),
        (None, alternatives) => {
            let path = path.child("firstAvailable");
            checks::at_most(errors, &path, alternatives.len(), FIRST_AVAILABLE_MAX);
            checks::unique(errors, &path, alternatives.iter().map(|own| own.name.as_str()));
            for (index, own) in alternatives.iter().enumerate() {
                let path = path.index(index);
                check::dns1123_label(errors, &path.child("name"), &own.name);
                // An alternative is an exact request with a name and without access for administrators.
                let exact = ExactDeviceRequest {
                    admin_access: None,
                    allocation_mode: own.allocation_mode.clone(),
                    capacity: None,
                    count: own.count,
                    derived_attributes: None,
                    device_class_name: own.device_class_name.clone(),
                    selectors: own.selectors.clone(),
                    tolerations: own.tolerations.clone(),
                };
                exactly(errors, &path, &exact);
            }
        }
        (Some(own), []) => exactly(errors, &path.child("exactly"), own),
        (Some(_), _) => {
            let detail = format!("{ONE_OF}, but multiple fields are set");
            errors.push(FieldError::invalid(path.clone(), &serde_json::Value::Null, detail));
        }
    }
}

fn exactly(errors: &mut Errors, path: &FieldPath, request: &ExactDeviceRequest) {
    let class = path.child("deviceClassName");
    match request.device_class_name.as_str() {
        "" => errors.push(FieldError::required(class, "")),
        name => check::dns1123_subdomain(errors, &class, name),
    }
    selectors(errors, &path.child("selectors"), request.selectors.as_deref().unwrap_or_default());
    let count = request.count.unwrap_or_default();
    let mode = request.allocation_mode.as_deref().unwrap_or_default();
    match mode {
        "All" if count != 0 => {
            let detail = "must not be specified when allocationMode is 'All'";
            errors.push(FieldError::invalid(path.child("count"), &count, detail));
        }
        "ExactCount" if count <= 0 => {
            errors.push(FieldError::invalid(path.child("count"), &count, "must be greater than zero"));
        }
        mode => check::supported_if_set(errors, &path.child("allocationMode"), Some(mode), &["All", "ExactCount"]),
    }
    let tolerations = request.tolerations.as_deref().unwrap_or_default();
    checks::at_most(errors, &path.child("tolerations"), tolerations.len(), TOLERATIONS_MAX);
    for (index, toleration) in tolerations.iter().enumerate() {
        checks::toleration(errors, &path.child("tolerations").index(index), toleration);
    }
}

pub(super) fn selectors(errors: &mut Errors, path: &FieldPath, selectors: &[DeviceSelector]) {
    checks::at_most(errors, path, selectors.len(), LIST_MAX);
    for (index, selector) in selectors.iter().enumerate() {
        let path = path.index(index).child("cel");
        match &selector.cel {
            None => errors.push(FieldError::required(path, "")),
            Some(cel) => checks::expression(errors, &path.child("expression"), &cel.expression),
        }
    }
}

fn constraint(errors: &mut Errors, path: &FieldPath, constraint: &DeviceConstraint, devices: &DeviceClaim) {
    references(errors, &path.child("requests"), constraint.requests.as_deref().unwrap_or_default(), devices);
    match (&constraint.match_attribute, &constraint.distinct_attribute) {
        (Some(name), _) => checks::qualified(errors, &path.child("matchAttribute"), name, false),
        (None, Some(name)) => checks::qualified(errors, &path.child("distinctAttribute"), name, false),
        (None, None) => {
            let detail = "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple \
                          fields are set";
            errors.push(FieldError::required(path.clone(), detail));
        }
    }
}

/// That names are of requests, or of alternatives: `request/alternative`.
fn references(errors: &mut Errors, path: &FieldPath, names: &[String], devices: &DeviceClaim) {
    checks::at_most(errors, path, names.len(), LIST_MAX);
    checks::unique(errors, path, names.iter().map(String::as_str));
    for (index, name) in names.iter().enumerate() {
        reference(errors, &path.index(index), name, devices);
    }
}

pub(super) fn reference(errors: &mut Errors, path: &FieldPath, name: &str, devices: &DeviceClaim) {
    let parts: Vec<&str> = name.split('/').collect();
    if parts.len() <= 2 {
        parts.iter().for_each(|part| check::dns1123_label(errors, path, part));
    }
    let requests = devices.requests.iter().flatten();
    let known = match parts.as_slice() {
        [own] => requests.into_iter().any(|request| request.name == *own),
        [own, alternative] => requests
            .into_iter()
            .filter(|request| request.name == *own)
            .any(|request| request.first_available.iter().flatten().any(|other| other.name == *alternative)),
        _ => false,
    };
    if !known {
        errors.push(FieldError::invalid(path.clone(), name, NO_SUCH_REQUEST));
    }
}
