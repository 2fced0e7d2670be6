//! Nobody may hand out, by roles or bindings, what he may not do himself.

use super::rules::url_matches;
use api::user::User;
use k8s_openapi::api::rbac::v1::PolicyRule;
use std::collections::BTreeSet;

const ALL: &str = "*";

fn list(texts: &Option<Vec<String>>) -> &[String] {
    texts.as_deref().unwrap_or_default()
}

/// A rule's elements, each of one verb on one resource (and name) or URL.
fn elements(rule: &PolicyRule) -> Vec<PolicyRule> {
    let mut all = Vec::new();
    let one = |text: &String| Some(vec![text.clone()]);
    for verb in &rule.verbs {
        let verbs = vec![verb.clone()];
        for group in list(&rule.api_groups) {
            for resource in list(&rule.resources) {
                let element = PolicyRule {
                    api_groups: one(group),
                    resources: one(resource),
                    verbs: verbs.clone(),
                    ..PolicyRule::default()
                };
                match list(&rule.resource_names) {
                    [] => all.push(element),
                    names => {
                        all.extend(names.iter().map(|name| PolicyRule { resource_names: one(name), ..element.clone() }))
                    }
                }
            }
        }
        for url in list(&rule.non_resource_urls) {
            all.push(PolicyRule { non_resource_urls: one(url), verbs: verbs.clone(), ..PolicyRule::default() });
        }
    }
    all
}

fn covers_text(held: &[String], wanted: &[String]) -> bool {
    held.iter().any(|one| one == ALL) || wanted.iter().all(|text| held.contains(text))
}

fn covers_resource(held: &[String], wanted: &str) -> bool {
    held.iter().any(|one| {
        one == ALL
            || one == wanted
            || wanted.split_once('/').is_some_and(|(_, subresource)| one.strip_prefix("*/") == Some(subresource))
    })
}

fn covers(held: &PolicyRule, element: &PolicyRule) -> bool {
    let names = list(&held.resource_names);
    let wanted_names = list(&element.resource_names);
    covers_text(&held.verbs, &element.verbs)
        && covers_text(list(&held.api_groups), list(&element.api_groups))
        && list(&element.resources).iter().all(|resource| covers_resource(list(&held.resources), resource))
        && (names.is_empty() || (!wanted_names.is_empty() && wanted_names.iter().all(|name| names.contains(name))))
        && list(&element.non_resource_urls)
            .iter()
            .all(|url| list(&held.non_resource_urls).iter().any(|pattern| pattern == url || url_matches(pattern, url)))
}

/// What of `granted` is not held, in elements.
fn missing(held: &[PolicyRule], granted: &[PolicyRule]) -> Vec<PolicyRule> {
    let elements = granted.iter().flat_map(elements);
    elements.filter(|element| !held.iter().any(|rule| covers(rule, element))).collect()
}

/// Elements of the same resource are one rule with several verbs, as upstream prints them.
fn compact(elements: Vec<PolicyRule>) -> Vec<PolicyRule> {
    let mut rules: Vec<PolicyRule> = Vec::new();
    for mut element in elements {
        let verbs = std::mem::take(&mut element.verbs);
        let same = |rule: &&mut PolicyRule| {
            rule.api_groups == element.api_groups
                && rule.resources == element.resources
                && rule.resource_names == element.resource_names
                && rule.non_resource_urls.is_none()
                && element.non_resource_urls.is_none()
        };
        match rules.iter_mut().find(same) {
            Some(rule) => rule.verbs.extend(verbs),
            None => rules.push(PolicyRule { verbs, ..element }),
        }
    }
    rules
}

/// What of `wanted` is not held, as rules.
pub(crate) fn missing_rules(held: &[PolicyRule], wanted: &[PolicyRule]) -> Vec<PolicyRule> {
    compact(missing(held, wanted))
}

/// A list as Go's `%q` prints it: `["a" "b"]`.
pub(crate) fn quoted(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
    format!("[{}]", quoted.join(" "))
}

fn described(rule: &PolicyRule) -> String {
    let parts = [
        ("APIGroups", list(&rule.api_groups)),
        ("Resources", list(&rule.resources)),
        ("NonResourceURLs", list(&rule.non_resource_urls)),
        ("ResourceNames", list(&rule.resource_names)),
        ("Verbs", &rule.verbs),
    ];
    let shown: Vec<String> = parts
        .iter()
        .filter(|(_, texts)| !texts.is_empty())
        .map(|(name, texts)| format!("{name}:{}", quoted(texts)))
        .collect();
    format!("{{{}}}", shown.join(", "))
}

/// `Err` names what would be granted without being held.
pub(crate) fn confirm(user: &User, held: &[PolicyRule], granted: &[PolicyRule]) -> Result<(), String> {
    let missing = missing(held, granted);
    if missing.is_empty() {
        return Ok(());
    }
    let lines: BTreeSet<String> = compact(missing).iter().map(described).collect();
    let lines: Vec<String> = lines.into_iter().collect();
    Err(format!(
        "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        quoted(&user.groups),
        lines.join("\n")
    ))
}
