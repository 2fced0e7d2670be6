//! A pod's wishes about other pods: near them, or apart from them.

use crate::cluster::Cluster;
use crate::pod::PodInfo;
use api::selector::Selector;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub struct Affinity {
    pub near: Vec<Term>,
    pub apart: Vec<Term>,
    pub prefer_near: Vec<(i64, Term)>,
    pub prefer_apart: Vec<(i64, Term)>,
}

/// Which pods, and what counts as one place.
#[derive(Debug)]
pub struct Term {
    pub topology_key: String,
    selector: Selector,
    namespaces: Vec<String>,
    namespace_selector: Option<Selector>,
}

impl Affinity {
    pub fn new(affinity: Option<&core::Affinity>, namespace: &str, labels: &BTreeMap<String, String>) -> Affinity {
        let near = affinity.and_then(|affinity| affinity.pod_affinity.as_ref());
        let apart = affinity.and_then(|affinity| affinity.pod_anti_affinity.as_ref());
        let term = |term: &core::PodAffinityTerm| Term::new(term, namespace, labels);
        let weighted = |weighted: &core::WeightedPodAffinityTerm| {
            (i64::from(weighted.weight), Term::new(&weighted.pod_affinity_term, namespace, labels))
        };
        let required = |terms: Option<&Vec<core::PodAffinityTerm>>| terms.into_iter().flatten().map(term).collect();
        let preferred =
            |terms: Option<&Vec<core::WeightedPodAffinityTerm>>| terms.into_iter().flatten().map(weighted).collect();
        Affinity {
            near: required(near.and_then(|near| near.required_during_scheduling_ignored_during_execution.as_ref())),
            apart: required(apart.and_then(|apart| apart.required_during_scheduling_ignored_during_execution.as_ref())),
            prefer_near: preferred(
                near.and_then(|near| near.preferred_during_scheduling_ignored_during_execution.as_ref()),
            ),
            prefer_apart: preferred(
                apart.and_then(|apart| apart.preferred_during_scheduling_ignored_during_execution.as_ref()),
            ),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.near.is_empty() && self.apart.is_empty() && self.prefer_near.is_empty() && self.prefer_apart.is_empty()
    }

    /// Whether others may be refused for its sake.
    pub fn keeps_away(&self) -> bool {
        !self.apart.is_empty()
    }
}

impl Term {
    fn new(term: &core::PodAffinityTerm, namespace: &str, labels: &BTreeMap<String, String>) -> Term {
        let own_only = term.namespaces.as_ref().is_none_or(Vec::is_empty) && term.namespace_selector.is_none();
        let mut selector = term.label_selector.clone();
        for (keys, operator) in [(&term.match_label_keys, "In"), (&term.mismatch_label_keys, "NotIn")] {
            add_keys(selector.as_mut(), keys.as_deref().unwrap_or_default(), operator, labels);
        }
        Term {
            topology_key: term.topology_key.clone(),
            // None selects nothing; one that is illegal, which validation refuses, does too.
            selector: selector
                .and_then(|selector| Selector::from_label_selector(&selector).ok())
                .unwrap_or_else(Selector::nothing),
            namespaces: if own_only { vec![namespace.to_owned()] } else { term.namespaces.clone().unwrap_or_default() },
            namespace_selector: term
                .namespace_selector
                .as_ref()
                .map(|selector| Selector::from_label_selector(selector).unwrap_or_else(|_| Selector::nothing())),
        }
    }

    pub fn matches(&self, pod: &PodInfo, cluster: &Cluster) -> bool {
        let there = self.namespaces.iter().any(|own| own == pod.pod.namespace())
            || self
                .namespace_selector
                .as_ref()
                .is_some_and(|s| s.matches(cluster.namespace_labels(pod.pod.namespace())));
        there && self.selector.matches(pod.labels())
    }
}

/// `matchLabelKeys`: as if the selector named the pod's own values.
pub(crate) fn add_keys(
    selector: Option<&mut k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector>,
    keys: &[String],
    operator: &str,
    labels: &BTreeMap<String, String>,
) {
    let Some(selector) = selector else { return };
    for (key, value) in keys.iter().filter_map(|key| Some((key, labels.get(key)?))) {
        selector.match_expressions.get_or_insert_default().push(LabelSelectorRequirement {
            key: key.clone(),
            operator: operator.to_owned(),
            values: Some(vec![value.clone()]),
        });
    }
}
