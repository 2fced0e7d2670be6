//! What may be used only where a quota of the namespace speaks of it, as the administrator's configuration says.

use super::measure::{KindId, Usage};
use super::scope::{self, Traits};
use k8s_openapi::api::core::v1::ScopedResourceSelectorRequirement;
use serde::Deserialize;
use std::collections::BTreeSet;

/// One entry of `limitedResources`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(in crate::admission) struct LimitedResource {
    api_group: String,
    resource: String,
    /// Parts of measures' names.
    match_contains: Vec<String>,
    match_scopes: Vec<ScopedResourceSelectorRequirement>,
}

/// What quotas speak of, of one kind and of objects like one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Covered {
    pub(super) measures: BTreeSet<String>,
    pub(super) scopes: BTreeSet<String>,
}

/// What no quota speaks of; in upstream's words and, oddly, with its codes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Uncovered {
    /// Forbidden.
    Measures(String),
    /// Not a refusal but an error.
    Scopes(String),
}

impl LimitedResource {
    pub(in crate::admission) fn error(&self) -> Option<String> {
        self.resource.is_empty().then(|| "resource: Required value".to_owned())
    }
}

/// Those that are about a kind.
pub(super) fn of_kind(all: &[LimitedResource], kind: KindId) -> impl Iterator<Item = &LimitedResource> {
    all.iter().filter(move |own| (own.api_group.as_str(), own.resource.as_str()) == kind)
}

fn measures<'a>(limited: &'a [&LimitedResource], usage: &'a Usage) -> impl Iterator<Item = &'a String> {
    let is_limited =
        |name: &str| limited.iter().flat_map(|own| &own.match_contains).any(|part| name.contains(part.as_str()));
    usage.amounts.keys().filter(move |name| is_limited(name))
}

fn scopes<'a>(
    limited: &'a [&LimitedResource],
    traits: &'a Traits,
) -> impl Iterator<Item = &'a ScopedResourceSelectorRequirement> {
    limited.iter().flat_map(|own| &own.match_scopes).filter(|scope| scope::matches(scope, traits))
}

/// # Errors
/// What is limited and not covered.
pub(super) fn judge(limited: &[&LimitedResource], usage: &Usage, covered: &Covered) -> Result<(), Uncovered> {
    let open: BTreeSet<&str> =
        measures(limited, usage).filter(|name| !covered.measures.contains(*name)).map(String::as_str).collect();
    if !open.is_empty() {
        let open: Vec<&str> = open.into_iter().collect();
        return Err(Uncovered::Measures(format!("insufficient quota to consume: {}", open.join(","))));
    }
    let open = scopes(limited, &usage.traits).filter(|scope| !covered.scopes.contains(&scope.scope_name));
    let open: Vec<String> = open.map(written).collect();
    match open.is_empty() {
        true => Ok(()),
        false => Err(Uncovered::Scopes(format!("insufficient quota to match these scopes: [{}]", open.join(" ")))),
    }
}

/// `{PriorityClass In [high]}`.
fn written(scope: &ScopedResourceSelectorRequirement) -> String {
    let values = scope.values.as_deref().unwrap_or_default().join(" ");
    format!("{{{} {} [{values}]}}", scope.scope_name, scope.operator)
}

#[cfg(test)]
mod tests {
    use super::super::measure::ONE;
    use super::*;
    use serde_json::{Value, json};

    fn check(limited: Value, covered: &[&str], scopes: &[&str]) -> Result<(), Uncovered> {
        let limited: LimitedResource = serde_json::from_value(limited).unwrap();
        let amounts = ["pods", "requests.cpu", "requests.memory"].map(|name| (name.to_owned(), ONE));
        let traits = Traits::Pod {
            is_bounded_in_time: false,
            is_best_effort: false,
            priority_class: Some("high".to_owned()),
            looks_abroad: false,
        };
        let usage = Usage { amounts: amounts.into(), traits };
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        judge(&[&limited], &usage, &Covered { measures: set(covered), scopes: set(scopes) })
    }

    #[test]
    fn what_is_limited_needs_a_quota_that_speaks_of_it() {
        let requests = json!({"resource": "pods", "matchContains": ["requests."]});
        let says = "insufficient quota to consume: requests.cpu,requests.memory".to_owned();
        assert_eq!(check(requests.clone(), &[], &[]), Err(Uncovered::Measures(says)));
        let says = "insufficient quota to consume: requests.memory".to_owned();
        assert_eq!(check(requests.clone(), &["requests.cpu"], &[]), Err(Uncovered::Measures(says)));
        assert_eq!(check(requests, &["requests.cpu", "requests.memory"], &[]), Ok(()));
        let class = |values: &[&str]| {
            json!({"resource": "pods", "matchScopes": [
            {"scopeName": "PriorityClass", "operator": "In", "values": values}]})
        };
        let says = "insufficient quota to match these scopes: [{PriorityClass In [high top]}]".to_owned();
        assert_eq!(check(class(&["high", "top"]), &[], &[]), Err(Uncovered::Scopes(says)));
        assert_eq!(check(class(&["high"]), &[], &["PriorityClass"]), Ok(()));
        assert_eq!(check(class(&["low"]), &[], &[]), Ok(()));
    }
}
