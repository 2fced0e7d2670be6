//! Which objects a quota is about: its scopes, against what objects are like. Pure.

use k8s_openapi::api::core::v1::{ResourceQuotaSpec, ScopedResourceSelectorRequirement};
use std::collections::BTreeSet;

/// Of an object what scopes ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Traits {
    /// Of a kind that no scope selects.
    #[default]
    None,
    Pod {
        /// It ends after a time that its spec says.
        is_bounded_in_time: bool,
        is_best_effort: bool,
        priority_class: Option<String>,
        /// It wants to be near or far from pods of other namespaces.
        looks_abroad: bool,
    },
    Volume {
        /// Of attributes: those that it has, wants or is on its way to.
        classes: BTreeSet<String>,
    },
}

/// All of a quota's scopes; an object must match each.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Scopes(Vec<ScopedResourceSelectorRequirement>);

impl Scopes {
    pub(super) fn of(spec: &ResourceQuotaSpec) -> Scopes {
        let plain = spec.scopes.iter().flatten().map(|scope| ScopedResourceSelectorRequirement {
            scope_name: scope.clone(),
            operator: "Exists".to_owned(),
            values: None,
        });
        let selected = spec.scope_selector.iter().flat_map(|selector| selector.match_expressions.iter().flatten());
        Scopes(plain.chain(selected.cloned()).collect())
    }

    /// The names of those that match.
    pub(super) fn matching<'a>(&'a self, traits: &'a Traits) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(|scope| matches(scope, traits)).map(|scope| scope.scope_name.as_str())
    }

    pub(super) fn match_all(&self, traits: &Traits) -> bool {
        self.0.iter().all(|scope| matches(scope, traits))
    }
}

pub(super) fn matches(scope: &ScopedResourceSelectorRequirement, traits: &Traits) -> bool {
    match (scope.scope_name.as_str(), traits) {
        ("Terminating", Traits::Pod { is_bounded_in_time, .. }) => *is_bounded_in_time,
        ("NotTerminating", Traits::Pod { is_bounded_in_time, .. }) => !is_bounded_in_time,
        ("BestEffort", Traits::Pod { is_best_effort, .. }) => *is_best_effort,
        ("NotBestEffort", Traits::Pod { is_best_effort, .. }) => !is_best_effort,
        ("PriorityClass", Traits::Pod { priority_class, .. }) => selects(scope, priority_class.as_deref()),
        ("CrossNamespacePodAffinity", Traits::Pod { looks_abroad, .. }) => *looks_abroad,
        ("VolumeAttributesClass", Traits::Volume { classes }) if classes.is_empty() => selects(scope, None),
        ("VolumeAttributesClass", Traits::Volume { classes }) => {
            classes.iter().any(|class| selects(scope, Some(class)))
        }
        _ => false,
    }
}

fn selects(scope: &ScopedResourceSelectorRequirement, value: Option<&str>) -> bool {
    let is_listed = || value.is_some_and(|value| scope.values.iter().flatten().any(|listed| listed == value));
    match scope.operator.as_str() {
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "In" => is_listed(),
        "NotIn" => !is_listed(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(spec: Value, traits: &Traits, expected: bool) {
        let parsed: ResourceQuotaSpec = serde_json::from_value(spec.clone()).unwrap();
        assert_eq!(Scopes::of(&parsed).match_all(traits), expected, "{spec} {traits:?}");
    }

    #[test]
    fn every_scope_must_match() {
        let pod = |class: Option<&str>, is_bounded_in_time, is_best_effort| Traits::Pod {
            is_bounded_in_time,
            is_best_effort,
            priority_class: class.map(str::to_owned),
            looks_abroad: false,
        };
        let selector = |scope: &str, operator: &str, values: &[&str]| json!({"scopeSelector": {"matchExpressions": [{"scopeName": scope, "operator": operator, "values": values}]}});
        check(json!({}), &Traits::None, true);
        check(json!({"scopes": ["BestEffort"]}), &Traits::None, false);
        check(json!({"scopes": ["Terminating", "BestEffort"]}), &pod(None, true, true), true);
        check(json!({"scopes": ["Terminating", "BestEffort"]}), &pod(None, true, false), false);
        check(json!({"scopes": ["NotTerminating"]}), &pod(None, true, false), false);
        check(json!({"scopes": ["CrossNamespacePodAffinity"]}), &pod(None, true, false), false);
        check(selector("PriorityClass", "In", &["high"]), &pod(Some("high"), false, false), true);
        check(selector("PriorityClass", "In", &["high"]), &pod(None, false, false), false);
        check(selector("PriorityClass", "NotIn", &["high"]), &pod(None, false, false), true);
        check(selector("PriorityClass", "Exists", &[]), &pod(None, false, false), false);
        check(selector("PriorityClass", "DoesNotExist", &[]), &pod(None, false, false), true);
        let volume = |classes: &[&str]| Traits::Volume { classes: classes.iter().map(|&own| own.to_owned()).collect() };
        check(selector("VolumeAttributesClass", "In", &["gold"]), &volume(&["gold", "silver"]), true);
        check(selector("VolumeAttributesClass", "In", &["gold"]), &volume(&[]), false);
        check(selector("VolumeAttributesClass", "Exists", &[]), &pod(Some("gold"), false, false), false);
    }
}
