//! What the two kinds of roles have in common.

use crate::check::Errors;
use crate::field::{FieldError, FieldPath};
use k8s_openapi::api::rbac::v1::PolicyRule;

pub(super) fn validate(rules: Option<&Vec<PolicyRule>>, namespaced: bool) -> Errors {
    let mut errors = Errors::new();
    for (index, rule) in rules.into_iter().flatten().enumerate() {
        self::rule(&mut errors, &FieldPath::new("rules").index(index), rule, namespaced);
    }
    errors
}

fn rule(errors: &mut Errors, path: &FieldPath, rule: &PolicyRule, namespaced: bool) {
    let count = |list: &Option<Vec<String>>| list.as_ref().map_or(0, Vec::len);
    let (groups, resources) = (count(&rule.api_groups), count(&rule.resources));
    let names = count(&rule.resource_names);
    if rule.verbs.is_empty() {
        errors.push(FieldError::required(path.child("verbs"), "verbs must contain at least one value"));
    }
    if let Some(urls) = rule.non_resource_urls.as_ref().filter(|urls| !urls.is_empty()) {
        let path = path.child("nonResourceURLs");
        if namespaced {
            let detail = "namespaced rules cannot apply to non-resource URLs";
            errors.push(FieldError::invalid(path.clone(), urls, detail));
        }
        if groups + resources + names > 0 {
            let detail = "rules cannot apply to both regular resources and non-resource URLs";
            errors.push(FieldError::invalid(path, urls, detail));
        }
        return;
    }
    if groups == 0 {
        let detail = "resource rules must supply at least one api group";
        errors.push(FieldError::required(path.child("apiGroups"), detail));
    }
    if resources == 0 {
        let detail = "resource rules must supply at least one resource";
        errors.push(FieldError::required(path.child("resources"), detail));
    }
}
