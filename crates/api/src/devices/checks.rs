//! Names and lists as all kinds of the group have them.

use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use crate::labels;
use k8s_openapi::api::resource::v1::{DeviceTaint, DeviceToleration, OpaqueDeviceConfiguration};

const DRIVER_BYTES_MAX: usize = 63;
const POOL_BYTES_MAX: usize = 253;
const DOMAIN_BYTES_MAX: usize = 63;
const ID_BYTES_MAX: usize = 32;
const PARAMETERS_BYTES_MAX: usize = 10 * 1024;
/// How long an expression that selects devices may be.
pub const EXPRESSION_BYTES_MAX: usize = 10 * 1024;
pub(super) const LIST_MAX: usize = 32;
const EFFECTS: &[&str] = &["NoExecute", "NoSchedule", "None"];

/// No more than so many.
pub(super) fn at_most(errors: &mut Errors, path: &FieldPath, actual: usize, most: usize) {
    if actual > most {
        errors.push(FieldError::too_many(path.clone(), actual, most));
    }
}

/// No two alike.
pub(super) fn unique<'a>(errors: &mut Errors, path: &FieldPath, keys: impl Iterator<Item = &'a str>) {
    let mut seen: Vec<&str> = Vec::new();
    for (index, key) in keys.enumerate() {
        if seen.contains(&key) {
            errors.push(FieldError::duplicate(path.index(index), key));
        }
        seen.push(key);
    }
}

pub(super) fn driver(errors: &mut Errors, path: &FieldPath, name: &str) {
    check::present(errors, path.clone(), Some(name));
    if name.len() > DRIVER_BYTES_MAX {
        errors.push(FieldError::too_long(path.clone(), DRIVER_BYTES_MAX));
    }
    if !name.is_empty() {
        check::each(errors, path, name, labels::dns1123_subdomain(&name.to_lowercase(), false));
    }
}

pub(super) fn pool(errors: &mut Errors, path: &FieldPath, name: &str) {
    check::present(errors, path.clone(), Some(name));
    if name.is_empty() {
        return;
    }
    if name.len() > POOL_BYTES_MAX {
        errors.push(FieldError::too_long(path.clone(), POOL_BYTES_MAX));
    }
    for part in name.split('/') {
        check::dns1123_subdomain(errors, path, part);
    }
}

/// `domain/identifier`, the domain optional where `bare` may be.
pub(super) fn qualified(errors: &mut Errors, path: &FieldPath, name: &str, bare: bool) {
    if name.is_empty() {
        errors.push(FieldError::required(path.clone(), "name required"));
        return;
    }
    let (domain, id) = match name.split_once('/') {
        Some((domain, id)) => (Some(domain), id),
        None => (None, name),
    };
    match domain {
        None if !bare => errors.push(FieldError::invalid(path.clone(), name, "must include a domain")),
        None => {}
        Some("") => errors.push(FieldError::required(path.clone(), "the domain must not be empty")),
        Some(domain) => {
            if domain.len() > DOMAIN_BYTES_MAX {
                errors.push(FieldError::too_long(path.clone(), DOMAIN_BYTES_MAX));
            }
            check::each(errors, path, domain, labels::dns1123_subdomain(domain, false));
        }
    }
    if id.is_empty() {
        errors.push(FieldError::required(path.clone(), "the name must not be empty"));
        return;
    }
    if id.len() > ID_BYTES_MAX {
        errors.push(FieldError::too_long(path.clone(), ID_BYTES_MAX));
    }
    let starts = id.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts || !id.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()) {
        let detail = "a valid C identifier must start with alphabetic character or '_', followed by a string of \
                      alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for \
                      validation is '[A-Za-z_][A-Za-z0-9_]*')";
        errors.push(FieldError::invalid(path.clone(), id, detail));
    }
}

/// Settings for a driver, which only it understands.
pub(super) fn opaque(errors: &mut Errors, path: &FieldPath, configuration: Option<&OpaqueDeviceConfiguration>) {
    let path = path.child("opaque");
    let Some(own) = configuration else {
        errors.push(FieldError::required(path, ""));
        return;
    };
    driver(errors, &path.child("driver"), &own.driver);
    let path = path.child("parameters");
    match &own.parameters.0 {
        serde_json::Value::Null => errors.push(FieldError::required(path, "")),
        parameters @ serde_json::Value::Object(_) => {
            if parameters.to_string().len() > PARAMETERS_BYTES_MAX {
                errors.push(FieldError::too_long(path, PARAMETERS_BYTES_MAX));
            }
        }
        _ => errors.push(FieldError::invalid(path, "<value omitted>", "parsed JSON must be an object")),
    }
}

/// An expression that selects devices: that it is there and not too long. What it means is judged by who compiles it.
pub(super) fn expression(errors: &mut Errors, path: &FieldPath, text: &str) {
    check::present(errors, path.clone(), Some(text));
    if text.len() > EXPRESSION_BYTES_MAX {
        errors.push(FieldError::too_long(path.clone(), EXPRESSION_BYTES_MAX));
    }
}

pub(super) fn toleration(errors: &mut Errors, path: &FieldPath, toleration: &DeviceToleration) {
    let key = toleration.key.as_deref().unwrap_or_default();
    if !key.is_empty() {
        check::label_key(errors, &path.child("key"), key);
    }
    let value = toleration.value.as_deref().unwrap_or_default();
    let operator = toleration.operator.as_deref().unwrap_or_default();
    match operator {
        "Exists" if !value.is_empty() => {
            let detail = "must be empty for operator `Exists`";
            errors.push(FieldError::invalid(path.child("value"), value, detail));
        }
        "Equal" => check::each(errors, &path.child("value"), value, labels::label_value(value)),
        _ => {}
    }
    check::supported(errors, &path.child("operator"), Some(operator), &["Equal", "Exists"]);
    let effect = toleration.effect.as_deref().filter(|effect| !effect.is_empty());
    check::supported_if_set(errors, &path.child("effect"), effect, EFFECTS);
}

pub(super) fn taint(errors: &mut Errors, path: &FieldPath, taint: &DeviceTaint) {
    check::label_key(errors, &path.child("key"), &taint.key);
    let value = taint.value.as_deref().unwrap_or_default();
    check::each(errors, &path.child("value"), value, labels::label_value(value));
    check::supported(errors, &path.child("effect"), Some(&taint.effect), EFFECTS);
}
