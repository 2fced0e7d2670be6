//! Whether a container's environment, and what refers to fields and resources of its pod, makes sense.

use super::volumes::unreserved_path;
use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use crate::labels;
use crate::quantity::Quantity;
use k8s_openapi::api::core::v1::{
    EnvFromSource, EnvVar, EnvVarSource, FileKeySelector, ObjectFieldSelector, ResourceFieldSelector, Volume,
};

const FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// The fields of which a file can be made.
pub(super) const FIELDS_OF_FILES: &[&str] =
    &["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
const RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const DIVISORS: &[&str] = &["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

pub(super) fn variables(errors: &mut Errors, path: &FieldPath, variables: &[EnvVar], volumes: &[Volume]) {
    for (index, variable) in variables.iter().enumerate() {
        let path = path.index(index);
        if variable.name.is_empty() {
            errors.push(FieldError::required(path.child("name"), ""));
        } else {
            let complaints = labels::environment_name(&variable.name);
            check::each(errors, &path.child("name"), &variable.name, complaints);
        }
        if let Some(source) = &variable.value_from {
            let path = path.child("valueFrom");
            value_from(errors, &path, source, variable.value.as_deref().unwrap_or_default());
            if let Some(selector) = &source.file_key_ref {
                file_key_ref(errors, &path.child("fileKeyRef"), selector, volumes);
            }
        }
    }
}

fn value_from(errors: &mut Errors, path: &FieldPath, source: &EnvVarSource, value: &str) {
    let mut sources = 0;
    if let Some(selector) = &source.field_ref {
        sources += 1;
        field_ref(errors, &path.child("fieldRef"), selector, FIELDS);
    }
    if let Some(selector) = &source.resource_field_ref {
        sources += 1;
        resource_ref(errors, &path.child("resourceFieldRef"), selector, false);
    }
    if let Some(selector) = &source.config_map_key_ref {
        sources += 1;
        key_ref(errors, &path.child("configMapKeyRef"), &selector.name, &selector.key);
    }
    if let Some(selector) = &source.secret_key_ref {
        sources += 1;
        key_ref(errors, &path.child("secretKeyRef"), &selector.name, &selector.key);
    }
    if source.file_key_ref.is_some() {
        sources += 1;
    }
    let detail = match sources {
        0 => "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        _ if !value.is_empty() => "may not be specified when `value` is not empty",
        1 => return,
        _ => "may not have more than one field specified at a time",
    };
    errors.push(FieldError::invalid(path.clone(), "", detail));
}

/// A line of a file that another container of the pod has written, into a volume that is empty at first.
fn file_key_ref(errors: &mut Errors, path: &FieldPath, selector: &FileKeySelector, volumes: &[Volume]) {
    if selector.key.is_empty() {
        errors.push(FieldError::required(path.child("key"), ""));
    } else {
        check::each(errors, &path.child("key"), &selector.key, labels::environment_name(&selector.key));
    }
    let at = path.child("volumeName");
    match volumes.iter().find(|volume| volume.name == selector.volume_name) {
        _ if selector.volume_name.is_empty() => errors.push(FieldError::required(at, "")),
        None => errors.push(FieldError::not_found(at, &selector.volume_name)),
        Some(volume) if volume.empty_dir.is_none() => {
            let detail = "referenced volume must be of type emptyDir";
            errors.push(FieldError::invalid(at, &selector.volume_name, detail));
        }
        Some(_) => {}
    }
    if selector.path.is_empty() {
        errors.push(FieldError::required(path.child("path"), ""));
    } else {
        unreserved_path(errors, &path.child("path"), &selector.path);
    }
}

fn key_ref(errors: &mut Errors, path: &FieldPath, name: &str, key: &str) {
    check::dns1123_subdomain(errors, &path.child("name"), name);
    if key.is_empty() {
        errors.push(FieldError::required(path.child("key"), ""));
    } else {
        check::each(errors, &path.child("key"), key, labels::config_key(key));
    }
}

/// Whole ConfigMaps and Secrets as variables.
pub(super) fn sources(errors: &mut Errors, path: &FieldPath, sources: &[EnvFromSource]) {
    for (index, source) in sources.iter().enumerate() {
        let at = path.index(index);
        if let Some(prefix) = source.prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
            check::each(errors, &at.child("prefix"), prefix, labels::environment_name(prefix));
        }
        let config_map = source.config_map_ref.as_ref().map(|source| ("configMapRef", &source.name));
        let secret = source.secret_ref.as_ref().map(|source| ("secretRef", &source.name));
        for (field, name) in [config_map, secret].into_iter().flatten() {
            let path = at.child(field).child("name");
            if name.is_empty() {
                errors.push(FieldError::required(path, ""));
            } else {
                check::each(errors, &path, name, labels::dns1123_subdomain(name, true));
            }
        }
        let detail = match (config_map, secret) {
            (None, None) => "must specify one of: `configMapRef` or `secretRef`",
            (Some(_), Some(_)) => "may not have more than one field specified at a time",
            _ => continue,
        };
        errors.push(FieldError::invalid(path.clone(), "", detail));
    }
}

pub(super) fn field_ref(errors: &mut Errors, path: &FieldPath, selector: &ObjectFieldSelector, fields: &[&str]) {
    let version = selector.api_version.as_deref().unwrap_or_default();
    if version.is_empty() {
        errors.push(FieldError::required(path.child("apiVersion"), ""));
        return;
    }
    let field = selector.field_path.as_str();
    if field.is_empty() {
        errors.push(FieldError::required(path.child("fieldPath"), ""));
        return;
    }
    if version != "v1" {
        let detail = format!("error converting fieldPath: unsupported pod version: {version}");
        errors.push(FieldError::invalid(path.child("fieldPath"), field, detail));
        return;
    }
    match subscript(field) {
        Some(("metadata.annotations", key)) => check::label_key(errors, path, &key.to_lowercase()),
        Some(("metadata.labels", key)) => check::label_key(errors, path, key),
        Some(_) => {
            let detail = format!("error converting fieldPath: field label does not support subscript: {field}");
            errors.push(FieldError::invalid(path.child("fieldPath"), field, detail));
        }
        None if !FIELDS.contains(&field) && !FIELDS_OF_FILES.contains(&field) => {
            let detail = format!("error converting fieldPath: field label not supported: {field}");
            errors.push(FieldError::invalid(path.child("fieldPath"), field, detail));
        }
        None => check::supported_if_set(errors, &path.child("fieldPath"), Some(field), fields),
    }
}

/// `metadata.labels['key']` as `metadata.labels` and `key`.
fn subscript(field: &str) -> Option<(&str, &str)> {
    field.strip_suffix("']")?.split_once("['")
}

pub(super) fn resource_ref(errors: &mut Errors, path: &FieldPath, selector: &ResourceFieldSelector, of_file: bool) {
    let resource = selector.resource.as_str();
    let huge_pages = resource.starts_with("limits.hugepages-") || resource.starts_with("requests.hugepages-");
    if of_file && selector.container_name.as_deref().unwrap_or_default().is_empty() {
        errors.push(FieldError::required(path.child("containerName"), ""));
    } else if resource.is_empty() {
        errors.push(FieldError::required(path.child("resource"), ""));
    } else if !huge_pages {
        check::supported_if_set(errors, &path.child("resource"), Some(resource), RESOURCES);
    }
    divisor(errors, &path.child("divisor"), selector, huge_pages);
}

fn divisor(errors: &mut Errors, path: &FieldPath, selector: &ResourceFieldSelector, huge_pages: bool) {
    let Some(divisor) = selector.divisor.as_ref().and_then(|divisor| Quantity::try_from(divisor).ok()) else { return };
    if divisor.is_zero() {
        return;
    }
    let text = divisor.to_string();
    let what = match selector.resource.split_once('.') {
        Some((_, "cpu")) if !matches!(text.as_str(), "1" | "1m") => {
            let detail = "only divisor's values 1m and 1 are supported with the cpu resource";
            errors.push(FieldError::invalid(path.clone(), &selector.resource, detail));
            return;
        }
        Some((_, "memory")) => "memory",
        Some((_, "ephemeral-storage")) => "local ephemeral storage",
        _ if huge_pages => "hugepages",
        _ => return,
    };
    if !DIVISORS.contains(&text.as_str()) {
        let detail = format!("only divisor's values {} are supported with the {what} resource", DIVISORS.join(", "));
        errors.push(FieldError::invalid(path.clone(), &selector.resource, detail));
    }
}
