//! ClusterRoles that are made of others: `aggregationRule` evaluated.

use api::selector::Selector;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use std::collections::BTreeMap;

type Roles<'a> = BTreeMap<&'a str, &'a ClusterRole>;

fn selects(role: &ClusterRole, candidate: &ClusterRole) -> bool {
    let none = BTreeMap::new();
    let labels = candidate.metadata.labels.as_ref().unwrap_or(&none);
    let selectors = role.aggregation_rule.iter().flat_map(|rule| rule.cluster_role_selectors.iter().flatten());
    selectors.into_iter().any(|selector| Selector::from_label_selector(selector).is_ok_and(|own| own.matches(labels)))
}

/// A role's rules: its own, or those of all roles that its aggregation selects, through any number of levels.
pub fn aggregated_rules(name: &str, roles: &BTreeMap<&str, &ClusterRole>) -> Vec<PolicyRule> {
    let mut rules = Vec::new();
    let mut visited = Vec::new();
    collect(name, roles, &mut visited, &mut rules);
    rules
}

fn collect<'a>(name: &str, roles: &Roles<'a>, visited: &mut Vec<&'a str>, rules: &mut Vec<PolicyRule>) {
    let Some((name, role)) = roles.get_key_value(name) else { return };
    if visited.contains(name) {
        return;
    }
    visited.push(name);
    if role.aggregation_rule.is_none() {
        for rule in role.rules.iter().flatten() {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
        return;
    }
    for (other, candidate) in roles {
        if selects(role, candidate) {
            collect(other, roles, visited, rules);
        }
    }
}
