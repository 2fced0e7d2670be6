//! The default policy compared with upstream's, object by object (`testdata/upstream.tsv` explains its own form).

use super::policy::Policy;
use k8s_openapi::api::rbac::v1::{PolicyRule, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::{BTreeMap, BTreeSet};

const FACTS: &str = include_str!("testdata/upstream.tsv");

/// What is ours on purpose: objects that upstream has not.
const OURS: &[(&str, &str)] = &[
    ("clusterrole sampan:node", "the node's proxy, DNS and pod network ask with the node's own identity"),
    ("clusterrolebinding sampan:node", "binds it"),
    ("rolebinding kube-system sampan:node-authentication-reader", "the kubelet learns here whom it may trust"),
    ("clusterrolebinding sampan:node-bootstrapper", "kubeadm makes this binding elsewhere: joining is built in here"),
    ("clusterrole system:aggregated-metrics-reader", "metrics-server brings it elsewhere: metrics are built in here"),
    (
        "clusterrole sampan:logs-query",
        "a search has lines of the namespaces whose pods/log its asker may get, and no more",
    ),
    ("clusterrolebinding sampan:logs-query", "binds it"),
    ("clusterrole sampan:metrics-query", "a query's answer has what its asker may see in metrics.k8s.io, and no more"),
    ("clusterrolebinding sampan:metrics-query", "binds it"),
    ("clusterrolebinding sampan:kubelet-api-admins", "likewise: as whom the server talks to kubelets"),
    ("role kube-public sampan:cluster-info", "likewise, but not for nobody: a join token names the authority itself"),
    ("rolebinding kube-public sampan:cluster-info", "binds it"),
];

/// An object's name, and what is known of it: the verbs by what they are for, or the words of a fact without verbs.
type Facts = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

fn upstream() -> Facts {
    let mut facts = Facts::new();
    for line in FACTS.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [object, words, rest @ ..] = columns.as_slice() else { panic!("{line:?}") };
        let about = facts.entry((*object).to_owned()).or_default().entry(rest.join("\t")).or_default();
        about.extend(words.split(',').map(str::to_owned));
    }
    facts
}

fn add(facts: &mut Facts, object: &str, about: String, words: impl IntoIterator<Item = String>) {
    facts.entry(object.to_owned()).or_default().entry(about).or_default().extend(words);
}

fn add_rules(facts: &mut Facts, object: &str, rules: &Option<Vec<PolicyRule>>) {
    for rule in rules.iter().flatten() {
        for url in rule.non_resource_urls.iter().flatten() {
            add(facts, object, url.clone(), rule.verbs.clone());
        }
        let none = vec!["-".to_owned()];
        for group in rule.api_groups.iter().flatten() {
            let group = if group.is_empty() { "core" } else { group };
            for resource in rule.resources.iter().flatten() {
                for name in rule.resource_names.as_ref().unwrap_or(&none) {
                    add(facts, object, format!("{group}\t{resource}\t{name}"), rule.verbs.clone());
                }
            }
        }
    }
}

fn add_subjects(facts: &mut Facts, object: &str, role: &RoleRef, subjects: &Option<Vec<Subject>>) {
    let to = || ["to".to_owned()];
    for subject in subjects.iter().flatten() {
        let namespace = subject.namespace.iter().map(|namespace| format!("{namespace} ")).collect::<String>();
        let about = format!("{}\t{} {namespace}{}", role.name, subject.kind, subject.name);
        add(facts, object, about, to());
    }
    if subjects.is_none() {
        add(facts, object, format!("{}\t-", role.name), to());
    }
}

fn named(kind: &str, meta: &ObjectMeta) -> String {
    let namespace = meta.namespace.iter().map(|namespace| format!("{namespace} ")).collect::<String>();
    format!("{kind} {namespace}{}", meta.name.as_deref().unwrap())
}

/// That it is a default object, which every start repairs.
#[track_caller]
fn check_meta(meta: &ObjectMeta) {
    let labels = meta.labels.as_ref().unwrap();
    assert_eq!(labels["kubernetes.io/bootstrapping"], "rbac-defaults", "{meta:?}");
    assert_eq!(meta.annotations.as_ref().unwrap()["rbac.authorization.kubernetes.io/autoupdate"], "true", "{meta:?}");
}

fn own() -> Facts {
    let policy = Policy::default_policy().unwrap();
    let mut facts = Facts::new();
    let aggregated = "rbac.authorization.k8s.io/aggregate-to-";
    for role in &policy.cluster_roles {
        check_meta(&role.metadata);
        let object = named("clusterrole", &role.metadata);
        add_rules(&mut facts, &object, &role.rules);
        let parts = role.metadata.labels.iter().flatten().filter_map(|(key, _)| key.strip_prefix(aggregated));
        parts.for_each(|purpose| add(&mut facts, &object, purpose.to_owned(), ["part-of".to_owned()]));
        let selectors = role.aggregation_rule.iter().flat_map(|rule| rule.cluster_role_selectors.iter().flatten());
        for key in selectors.flat_map(|selector| selector.match_labels.iter().flatten().map(|(key, _)| key)) {
            add(&mut facts, &object, key.strip_prefix(aggregated).unwrap().to_owned(), ["aggregates".to_owned()]);
        }
    }
    for role in &policy.roles {
        check_meta(&role.metadata);
        add_rules(&mut facts, &named("role", &role.metadata), &role.rules);
    }
    for binding in &policy.cluster_bindings {
        check_meta(&binding.metadata);
        assert_eq!(binding.role_ref.kind, "ClusterRole");
        let object = named("clusterrolebinding", &binding.metadata);
        add_subjects(&mut facts, &object, &binding.role_ref, &binding.subjects);
    }
    for binding in &policy.bindings {
        check_meta(&binding.metadata);
        assert_eq!(binding.role_ref.kind, "Role");
        add_subjects(&mut facts, &named("rolebinding", &binding.metadata), &binding.role_ref, &binding.subjects);
    }
    facts
}

#[test]
fn every_default_role_and_binding_is_upstreams() {
    let (upstream, mut own) = (upstream(), own());
    for (object, reason) in OURS {
        assert!(!upstream.contains_key(*object), "{object} is upstream's too");
        assert!(own.remove(*object).is_some(), "{object} ({reason}) is not there");
    }
    let mut differences = Vec::new();
    for object in upstream.keys().chain(own.keys()).collect::<BTreeSet<_>>() {
        if upstream.get(object) != own.get(object) {
            differences.push(format!("{object}\n  upstream {:?}\n  ours {:?}", upstream.get(object), own.get(object)));
        }
    }
    assert_eq!(differences.join("\n"), "");
    assert_eq!(own.len(), 73 + 54 + 7 + 7, "cluster roles, their bindings, roles, their bindings");
}
