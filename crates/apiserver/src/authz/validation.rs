//! What is wrong with an authorization configuration, in upstream's words.

use super::configuration::{Configuration, ConnectionInfo, WebhookEntry};
use super::webhook::{Conditions, Version};
use api::{FieldError, FieldPath};
use std::time::Duration;

const TYPES: [&str; 6] = ["AlwaysAllow", "AlwaysDeny", "ABAC", "Webhook", "RBAC", "Node"];
const WEBHOOK: &str = "Webhook";
const TIMEOUT_MAX: Duration = Duration::from_secs(30);

pub(super) fn validate(configuration: &Configuration) -> Vec<FieldError> {
    let root = FieldPath::new("authorizers");
    let mut errors = Vec::new();
    if configuration.authorizers.is_empty() {
        errors.push(FieldError::required(root.clone(), "at least one authorization mode must be defined"));
    }
    let (mut types, mut names): (Vec<&str>, Vec<&str>) = Default::default();
    for (index, entry) in configuration.authorizers.iter().enumerate() {
        let path = root.index(index);
        let kind = entry.kind.as_str();
        if kind.is_empty() {
            errors.push(FieldError::required(path.child("type"), ""));
            continue;
        }
        if !TYPES.contains(&kind) {
            errors.push(FieldError::not_supported(path.child("type"), kind, &TYPES));
            continue;
        }
        if types.contains(&kind) && kind != WEBHOOK {
            errors.push(FieldError::duplicate(path.child("type"), kind));
            continue;
        }
        types.push(kind);
        errors.extend(name(&path.child("name"), &entry.name, &names));
        names.push(&entry.name);
        match &entry.webhook {
            None if kind == WEBHOOK => {
                errors.push(FieldError::required(path.child("webhook"), "required when type=Webhook"));
            }
            Some(_) if kind != WEBHOOK => {
                let why = "may only be specified when type=Webhook";
                errors.push(FieldError::invalid(path.child("webhook"), "non-null", why));
            }
            Some(entry) => webhook(&path, entry, &mut errors),
            None => {}
        }
    }
    errors
}

fn name(path: &FieldPath, name: &str, others: &[&str]) -> Option<FieldError> {
    if name.is_empty() {
        return Some(FieldError::required(path.clone(), ""));
    }
    if others.contains(&name) {
        return Some(FieldError::duplicate(path.clone(), name));
    }
    let complaints = api::labels::dns1123_subdomain(name, false);
    let why = format!("authorizer name is invalid: {}", complaints.join(", "));
    (!complaints.is_empty()).then(|| FieldError::invalid(path.clone(), name, why))
}

/// Upstream names the fields of a webhook as if they were its authorizer's.
fn webhook(path: &FieldPath, entry: &WebhookEntry, errors: &mut Vec<FieldError>) {
    match entry.timeout {
        None | Some(Duration::ZERO) => errors.push(FieldError::required(path.child("timeout"), "")),
        Some(timeout) if timeout > TIMEOUT_MAX => {
            let shown = format!("{}s", timeout.as_secs_f64());
            errors.push(FieldError::invalid(path.child("timeout"), &shown, "must be > 0s and <= 30s"));
        }
        Some(_) => {}
    }
    for (name, ttl) in [("authorizedTTL", entry.authorized_ttl), ("unauthorizedTTL", entry.unauthorized_ttl)] {
        if ttl == Some(Duration::ZERO) {
            errors.push(FieldError::required(path.child(name), ""));
        }
    }
    versions(path, entry, errors);
    let policy = path.child("failurePolicy");
    match entry.failure_policy.as_str() {
        "" => errors.push(FieldError::required(policy, "")),
        "NoOpinion" | "Deny" => {}
        other => errors.push(FieldError::not_supported(policy, other, &["NoOpinion", "Deny"])),
    }
    errors.extend(connection(&path.child("connectionInfo"), &entry.connection_info));
    Conditions::compile(path, &entry.expressions(), errors);
}

fn versions(path: &FieldPath, entry: &WebhookEntry, errors: &mut Vec<FieldError>) {
    let own = path.child("subjectAccessReviewVersion");
    match entry.subject_access_review_version.as_str() {
        "" => errors.push(FieldError::required(own, "")),
        version if Version::parse(version).is_some() => {}
        version => errors.push(FieldError::not_supported(own, version, &["v1", "v1beta1"])),
    }
    let own = path.child("matchConditionSubjectAccessReviewVersion");
    match entry.match_condition_subject_access_review_version.as_str() {
        "" if !entry.match_conditions.is_empty() => {
            errors.push(FieldError::required(own, "required if match conditions are specified"));
        }
        "" | "v1" => {}
        version => errors.push(FieldError::not_supported(own, version, &["v1"])),
    }
}

fn connection(path: &FieldPath, info: &ConnectionInfo) -> Option<FieldError> {
    let file_path = path.child("kubeConfigFile");
    let file = info.kube_config_file.as_deref().filter(|file| !file.as_os_str().is_empty());
    match (info.kind.as_str(), file) {
        ("", _) => Some(FieldError::required(path.child("type"), "")),
        ("InClusterConfig", None) => None,
        ("InClusterConfig", Some(file)) => {
            Some(FieldError::invalid(file_path, file, "can only be set when type=KubeConfigFile"))
        }
        ("KubeConfigFile", None) => Some(FieldError::required(file_path, "")),
        ("KubeConfigFile", Some(file)) if !file.is_absolute() => {
            Some(FieldError::invalid(file_path, file, "must be an absolute path"))
        }
        ("KubeConfigFile", Some(file)) => match std::fs::metadata(file) {
            Err(error) => Some(FieldError::invalid(file_path, file, format!("error loading file: {error}"))),
            Ok(found) if !found.is_file() => Some(FieldError::invalid(file_path, file, "must be a regular file")),
            Ok(_) => None,
        },
        (other, _) => {
            Some(FieldError::not_supported(path.child("type"), other, &["InClusterConfig", "KubeConfigFile"]))
        }
    }
}
