//! What is wrong with the rules of a FlowSchema: whose requests they match, and which.

use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use crate::labels;
use k8s_openapi::api::flowcontrol::v1::{
    NonResourcePolicyRule, PolicyRulesWithSubjects, ResourcePolicyRule, ServiceAccountSubject, Subject,
};

const ALL: &str = "*";
const VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];
const SUBJECTS: &[&str] = &["Group", "ServiceAccount", "User"];

pub(super) fn rule(errors: &mut Errors, path: &FieldPath, rule: &PolicyRulesWithSubjects) {
    if rule.subjects.is_empty() {
        errors.push(FieldError::required(path.child("subjects"), "subjects must contain at least one value"));
    }
    for (index, subject) in rule.subjects.iter().enumerate() {
        self::subject(errors, &path.child("subjects").index(index), subject);
    }
    let resources = rule.resource_rules.as_deref().unwrap_or_default();
    let others = rule.non_resource_rules.as_deref().unwrap_or_default();
    if resources.is_empty() && others.is_empty() {
        let detail = "at least one of resourceRules and nonResourceRules has to be non-empty";
        errors.push(FieldError::required(path.clone(), detail));
    }
    for (index, rule) in resources.iter().enumerate() {
        resource_rule(errors, &path.child("resourceRules").index(index), rule);
    }
    for (index, rule) in others.iter().enumerate() {
        other_rule(errors, &path.child("nonResourceRules").index(index), rule);
    }
}

fn subject(errors: &mut Errors, path: &FieldPath, subject: &Subject) {
    let named = |name: Option<&str>| name.map(str::to_owned);
    let parts = [
        ("ServiceAccount", "serviceAccount", subject.service_account.as_ref().map(|own| own.name.clone())),
        ("User", "user", subject.user.as_ref().map(|own| own.name.clone())),
        ("Group", "group", named(subject.group.as_ref().map(|own| own.name.as_str()))),
    ];
    if !SUBJECTS.contains(&subject.kind.as_str()) {
        errors.push(FieldError::not_supported(path.child("kind"), &subject.kind, SUBJECTS));
        return;
    }
    for (kind, field, name) in &parts {
        match name {
            None if *kind == subject.kind => {
                let detail = format!("{field} is required when subject kind is '{kind}'");
                errors.push(FieldError::required(path.child(field), &detail));
            }
            Some(name) if *kind == subject.kind => {
                check::present(errors, path.child(field).child("name"), Some(name));
            }
            _ => {}
        }
    }
    for (kind, field, _) in parts.iter().filter(|(kind, _, name)| *kind != subject.kind && name.is_some()) {
        let detail = format!("{field} is forbidden when subject kind is not '{kind}'");
        errors.push(FieldError::forbidden(path.child(field), detail));
    }
    if let Some(account) = subject.service_account.as_ref().filter(|_| subject.kind == "ServiceAccount") {
        service_account(errors, &path.child("serviceAccount"), account);
    }
}

fn service_account(errors: &mut Errors, path: &FieldPath, account: &ServiceAccountSubject) {
    if account.name != ALL && !account.name.is_empty() {
        check::dns1123_subdomain(errors, &path.child("name"), &account.name);
    }
    match account.namespace.as_str() {
        "" => {
            let detail = "must specify namespace for service account";
            errors.push(FieldError::required(path.child("namespace"), detail));
        }
        namespace => check::dns1123_label(errors, &path.child("namespace"), namespace),
    }
}

/// That a list with `*` has nothing else, and whether it has it.
fn alone(errors: &mut Errors, path: &FieldPath, values: &[String], what: &str) -> bool {
    let all = values.iter().any(|value| value == ALL);
    if all && values.len() > 1 {
        errors.push(FieldError::invalid(
            path.clone(),
            values,
            format!("if '*' is present, must not specify other {what}"),
        ));
    }
    all
}

fn verbs(errors: &mut Errors, path: &FieldPath, verbs: &[String]) {
    if verbs.is_empty() {
        errors.push(FieldError::required(path.clone(), "verbs must contain at least one value"));
    } else if !alone(errors, path, verbs, "verbs") && !verbs.iter().all(|verb| VERBS.contains(&verb.as_str())) {
        errors.push(FieldError::not_supported(path.clone(), verbs, VERBS));
    }
}

fn resource_rule(errors: &mut Errors, path: &FieldPath, rule: &ResourcePolicyRule) {
    verbs(errors, &path.child("verbs"), &rule.verbs);
    for (field, values, what, none) in [
        ("apiGroups", &rule.api_groups, "api groups", "resource rules must supply at least one api group"),
        ("resources", &rule.resources, "resources", "resource rules must supply at least one resource"),
    ] {
        if values.is_empty() {
            errors.push(FieldError::required(path.child(field), none));
        }
        alone(errors, &path.child(field), values, what);
    }
    let path = path.child("namespaces");
    let namespaces = rule.namespaces.as_deref().unwrap_or_default();
    if namespaces.is_empty() && !rule.cluster_scope.unwrap_or_default() {
        let detail = "resource rules that are not cluster scoped must supply at least one namespace";
        errors.push(FieldError::required(path, detail));
    } else if !alone(errors, &path, namespaces, "namespaces") {
        for (index, namespace) in namespaces.iter().enumerate() {
            let complaints = labels::dns1123_label(namespace, false).into_iter();
            let complaints =
                complaints.map(|text| format!("each member of this list must be '*' or a DNS-1123 label; {text}"));
            check::each(errors, &path.index(index), namespace, complaints);
        }
    }
}

fn other_rule(errors: &mut Errors, path: &FieldPath, rule: &NonResourcePolicyRule) {
    verbs(errors, &path.child("verbs"), &rule.verbs);
    let path = path.child("nonResourceURLs");
    let urls = &rule.non_resource_urls;
    if urls.is_empty() {
        errors.push(FieldError::required(path, "nonResourceURLs must contain at least one value"));
    } else if !alone(errors, &path, urls, "non-resource URLs") {
        for (index, url) in urls.iter().enumerate() {
            if let Some(detail) = bad_path(url) {
                errors.push(FieldError::invalid(path.index(index), url, detail));
            }
        }
    }
}

fn bad_path(path: &str) -> Option<&'static str> {
    let stars = path.matches('*').count();
    match path {
        "" => Some("must not be empty"),
        "/" => None,
        path if !path.starts_with('/') => Some("must start with slash"),
        path if path.contains(' ') => Some("must not contain white-space"),
        path if path.contains("//") => Some("must not contain double slash"),
        path if stars > 1 || (stars == 1 && !path.ends_with("/*")) => Some("wildcard can only do suffix matching"),
        _ => None,
    }
}

/// That conditions have types, each its own.
pub(super) fn condition_types<'a>(errors: &mut Errors, types: impl Iterator<Item = &'a str>) {
    let path = FieldPath::new("status").child("conditions");
    let mut seen: Vec<&str> = Vec::new();
    for (index, kind) in types.enumerate() {
        let path = path.index(index).child("type");
        if seen.contains(&kind) {
            errors.push(FieldError::duplicate(path.clone(), kind));
        }
        if kind.is_empty() {
            errors.push(FieldError::required(path, "must not be empty"));
        }
        seen.push(kind);
    }
}
