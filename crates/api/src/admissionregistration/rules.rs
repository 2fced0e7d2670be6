//! Which requests are looked at: operations, groups, versions, resources, scopes, and conditions.

use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use crate::labels;
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MatchResources, NamedRuleWithOperations, RuleWithOperations,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

const OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const SCOPES: &[&str] = &["*", "Cluster", "Namespaced"];
pub(super) const FAILURE_POLICIES: &[&str] = &["Fail", "Ignore"];
pub(super) const MATCH_POLICIES: &[&str] = &["Equivalent", "Exact"];
const CONDITIONS_MAX: usize = 64;

/// A rule as both of upstream's types have it.
pub(super) struct Rule<'a> {
    operations: &'a [String],
    groups: &'a [String],
    versions: &'a [String],
    resources: &'a [String],
    scope: Option<&'a str>,
}

fn list(list: &Option<Vec<String>>) -> &[String] {
    list.as_deref().unwrap_or_default()
}

impl<'a> From<&'a RuleWithOperations> for Rule<'a> {
    fn from(rule: &'a RuleWithOperations) -> Rule<'a> {
        Rule {
            operations: list(&rule.operations),
            groups: list(&rule.api_groups),
            versions: list(&rule.api_versions),
            resources: list(&rule.resources),
            scope: rule.scope.as_deref(),
        }
    }
}

impl<'a> From<&'a NamedRuleWithOperations> for Rule<'a> {
    fn from(rule: &'a NamedRuleWithOperations) -> Rule<'a> {
        Rule {
            operations: list(&rule.operations),
            groups: list(&rule.api_groups),
            versions: list(&rule.api_versions),
            resources: list(&rule.resources),
            scope: rule.scope.as_deref(),
        }
    }
}

pub(super) fn rule(errors: &mut Errors, path: &FieldPath, rule: &Rule<'_>) {
    for (field, values, what) in [
        ("operations", rule.operations, "operations"),
        ("apiGroups", rule.groups, "API groups"),
        ("apiVersions", rule.versions, "API versions"),
    ] {
        let path = path.child(field);
        if values.is_empty() {
            errors.push(FieldError::required(path.clone(), ""));
        }
        if values.len() > 1 && values.iter().any(|value| value == "*") {
            let detail = format!("if '*' is present, must not specify other {what}");
            errors.push(FieldError::invalid(path.clone(), values, detail));
        }
        for (index, value) in values.iter().enumerate() {
            match field {
                "operations" => {
                    check::supported_if_set(errors, &path.index(index), Some(value), OPERATIONS);
                }
                "apiVersions" => check::present(errors, path.index(index), Some(value)),
                // The core group's name is empty.
                _ => {}
            }
        }
    }
    resources(errors, &path.child("resources"), rule.resources);
    check::supported_if_set(errors, &path.child("scope"), rule.scope, SCOPES);
}

fn resources(errors: &mut Errors, path: &FieldPath, resources: &[String]) {
    if resources.is_empty() {
        errors.push(FieldError::required(path.clone(), ""));
    }
    let mut all_of: Vec<&str> = Vec::new();
    let mut same_of_all: Vec<&str> = Vec::new();
    for (index, text) in resources.iter().enumerate() {
        let path = path.index(index);
        if text.is_empty() {
            errors.push(FieldError::required(path, ""));
            continue;
        }
        let Some((resource, sub)) = text.split_once('/') else { continue };
        if all_of.contains(&resource) {
            let detail = format!("if '{resource}/*' is present, must not specify {text}");
            errors.push(FieldError::invalid(path.clone(), text, detail));
        }
        if same_of_all.contains(&sub) {
            let detail = format!("if '*/{sub}' is present, must not specify {text}");
            errors.push(FieldError::invalid(path, text, detail));
        }
        if sub == "*" {
            all_of.push(resource);
        }
        if resource == "*" {
            same_of_all.push(sub);
        }
    }
    let has = |wanted: &str| resources.iter().any(|text| text == wanted);
    if resources.len() > 1 && has("*/*") {
        let detail = "if '*/*' is present, must not specify other resources";
        errors.push(FieldError::invalid(path.clone(), resources, detail));
    }
    if has("*") && resources.iter().any(|text| !text.contains('/') && text != "*") {
        let detail = "if '*' is present, must not specify other resources without subresources";
        errors.push(FieldError::invalid(path.clone(), resources, detail));
    }
}

/// The scope that rules have where nobody says one.
pub(super) fn default_scopes(rules: &mut Option<Vec<RuleWithOperations>>) {
    for rule in rules.iter_mut().flatten() {
        rule.scope.get_or_insert_with(|| "*".to_owned());
    }
}

/// What webhooks and policies look at where nobody says it: everything, in every equivalent version.
pub(super) fn default_match(
    policy: &mut Option<String>,
    namespaces: &mut Option<LabelSelector>,
    objects: &mut Option<LabelSelector>,
) {
    policy.get_or_insert_with(|| "Equivalent".to_owned());
    namespaces.get_or_insert_default();
    objects.get_or_insert_default();
}

pub(super) fn default_resources(resources: &mut MatchResources) {
    default_match(&mut resources.match_policy, &mut resources.namespace_selector, &mut resources.object_selector);
    let rules = [&mut resources.resource_rules, &mut resources.exclude_resource_rules];
    for rule in rules.into_iter().flat_map(|rules| rules.iter_mut().flatten()) {
        rule.scope.get_or_insert_with(|| "*".to_owned());
    }
}

pub(super) fn match_resources(errors: &mut Errors, path: &FieldPath, resources: &MatchResources) {
    let policy = resources.match_policy.as_deref();
    check::supported(errors, &path.child("matchPolicy"), policy, MATCH_POLICIES);
    for (field, selector) in
        [("namespaceSelector", &resources.namespace_selector), ("objectSelector", &resources.object_selector)]
    {
        match selector {
            None => errors.push(FieldError::required(path.child(field), "")),
            Some(selector) => check::label_selector(errors, &path.child(field), selector),
        }
    }
    for (field, rules) in
        [("resourceRules", &resources.resource_rules), ("excludeResourceRules", &resources.exclude_resource_rules)]
    {
        for (index, rule) in rules.iter().flatten().enumerate() {
            let path = path.child(field).index(index);
            names(errors, &path.child("resourceNames"), list(&rule.resource_names));
            self::rule(errors, &path, &Rule::from(rule));
        }
    }
}

fn names(errors: &mut Errors, path: &FieldPath, names: &[String]) {
    for (index, name) in names.iter().enumerate() {
        check::each(errors, &path.index(index), name, labels::path_segment(name, false));
        if names[..index].contains(name) {
            errors.push(FieldError::duplicate(path.index(index), name));
        }
    }
}

/// Conditions that a request must meet. What their expressions mean is judged where they are evaluated.
pub(super) fn conditions(errors: &mut Errors, path: &FieldPath, conditions: &[MatchCondition]) {
    if conditions.len() > CONDITIONS_MAX {
        errors.push(FieldError::too_many(path.clone(), conditions.len(), CONDITIONS_MAX));
    }
    for (index, condition) in conditions.iter().enumerate() {
        let path = path.index(index);
        check::present(errors, path.child("expression"), Some(condition.expression.trim()));
        if condition.name.is_empty() {
            errors.push(FieldError::required(path.child("name"), ""));
            continue;
        }
        check::label_key(errors, &path.child("name"), &condition.name);
        if conditions[..index].iter().any(|other| other.name == condition.name) {
            errors.push(FieldError::duplicate(path.child("name"), &condition.name));
        }
    }
}
