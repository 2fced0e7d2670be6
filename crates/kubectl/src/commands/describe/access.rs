//! Roles and bindings: who may do what.
//!
//! Invariant: a role's rules are shown one resource a line, whichever way they are written.

use super::page::{Page, items};
use crate::calls::{name_of, text};
use serde_json::Value;

/// One line: what may be done with one resource, one object or one URL.
#[derive(PartialEq)]
struct Rule {
    verbs: Vec<String>,
    group: Option<String>,
    resource: Option<String>,
    name: Option<String>,
    url: Option<String>,
}

pub(super) fn role(role: &Value, _: &[Value], page: &mut Page) {
    page.pair(0, "Name", name_of(role));
    page.labels_and_annotations(role);
    page.line(0, "PolicyRule:");
    page.line(1, "Resources\tNon-Resource URLs\tResource Names\tVerbs");
    page.line(1, "---------\t-----------------\t--------------\t-----");
    let mut rules = Vec::new();
    items(role, "/rules").iter().for_each(|rule| add(rule, &mut rules));
    rules.sort_by_key(Rule::order);
    for rule in rules {
        let (resource, verbs) = (rule.combined(), rule.verbs.join(" "));
        page.line(1, format_args!("{resource}\t{}\t{}\t[{verbs}]", listed(&rule.url), listed(&rule.name)));
    }
}

fn listed(word: &Option<String>) -> String {
    format!("[{}]", word.as_deref().unwrap_or_default())
}

impl Rule {
    /// By the text that upstream's type has: verbs first.
    fn order(&self) -> String {
        format!(
            "Verbs:[{}],APIGroups:{},Resources:{},ResourceNames:{},NonResourceURLs:{},",
            self.verbs.join(" "),
            listed(&self.group),
            listed(&self.resource),
            listed(&self.name),
            listed(&self.url)
        )
    }

    /// `deployments.apps/scale`.
    fn combined(&self) -> String {
        let resource = self.resource.as_deref().unwrap_or_default();
        let group = self.group.as_deref().filter(|group| !group.is_empty() && !resource.is_empty());
        let group = group.map(|group| format!(".{group}")).unwrap_or_default();
        match resource.split_once('/') {
            Some((resource, below)) => format!("{resource}{group}/{below}"),
            None => format!("{resource}{group}"),
        }
    }

    /// Whether both are about the same; rules of URLs stand for themselves.
    fn is_about(&self, other: &Rule) -> bool {
        self.url.is_none()
            && (&self.group, &self.resource, &self.name, &self.url)
                == (&other.group, &other.resource, &other.name, &other.url)
    }
}

fn words(rule: &Value, pointer: &str) -> Vec<String> {
    items(rule, pointer).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Each word alone, or one nothing.
fn each(words: Vec<String>) -> Vec<Option<String>> {
    if words.is_empty() { vec![None] } else { words.into_iter().map(Some).collect() }
}

fn add(rule: &Value, rules: &mut Vec<Rule>) {
    let verbs = words(rule, "/verbs");
    for group in words(rule, "/apiGroups") {
        for resource in words(rule, "/resources") {
            for name in each(words(rule, "/resourceNames")) {
                let (group, resource) = (Some(group.clone()), Some(resource.clone()));
                join(Rule { verbs: verbs.clone(), group, resource, name, url: None }, rules);
            }
        }
    }
    for url in words(rule, "/nonResourceURLs") {
        for verb in &verbs {
            join(
                Rule { verbs: vec![verb.clone()], group: None, resource: None, name: None, url: Some(url.clone()) },
                rules,
            );
        }
    }
}

fn join(rule: Rule, rules: &mut Vec<Rule>) {
    match rules.iter_mut().find(|known| known.is_about(&rule)) {
        Some(known) => {
            for verb in rule.verbs {
                if !known.verbs.contains(&verb) {
                    known.verbs.push(verb);
                }
            }
        }
        None => rules.push(rule),
    }
}

pub(super) fn binding(binding: &Value, _: &[Value], page: &mut Page) {
    page.pair(0, "Name", name_of(binding));
    page.labels_and_annotations(binding);
    page.line(0, "Role:");
    page.pair(1, "Kind", text(binding, "/roleRef/kind"));
    page.pair(1, "Name", text(binding, "/roleRef/name"));
    page.line(0, "Subjects:");
    page.line(1, "Kind\tName\tNamespace");
    page.line(1, "----\t----\t---------");
    for subject in items(binding, "/subjects") {
        let (kind, name, namespace) = (text(subject, "/kind"), text(subject, "/name"), text(subject, "/namespace"));
        page.line(1, format_args!("{kind}\t{name}\t{namespace}"));
    }
}
