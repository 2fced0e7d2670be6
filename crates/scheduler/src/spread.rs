//! A pod's topology spread constraints.

use api::selector::Selector;
use client::Labels;
use k8s_openapi::api::core::v1::TopologySpreadConstraint;

#[derive(Debug)]
pub struct Constraint {
    pub topology_key: String,
    pub max_skew: i64,
    pub min_domains: usize,
    /// `DoNotSchedule`; else it only counts in the score.
    pub hard: bool,
    pub selector: Selector,
    /// Whether nodes that the pod's node affinity excludes are left out of the count.
    pub honors_affinity: bool,
    pub honors_taints: bool,
}

impl Constraint {
    pub fn of_pod(constraints: &[TopologySpreadConstraint], labels: &Labels) -> Vec<Constraint> {
        constraints
            .iter()
            .map(|constraint| {
                let mut selector = constraint.label_selector.clone();
                let keys = constraint.match_label_keys.as_deref().unwrap_or_default();
                crate::affinity::add_keys(selector.as_mut(), keys, "In", labels);
                Constraint {
                    topology_key: constraint.topology_key.clone(),
                    max_skew: constraint.max_skew.into(),
                    min_domains: constraint.min_domains.and_then(|n| usize::try_from(n).ok()).unwrap_or(1),
                    hard: constraint.when_unsatisfiable == "DoNotSchedule",
                    selector: selector
                        .and_then(|selector| Selector::from_label_selector(&selector).ok())
                        .unwrap_or_else(Selector::nothing),
                    honors_affinity: constraint.node_affinity_policy.as_deref() != Some("Ignore"),
                    honors_taints: constraint.node_taints_policy.as_deref() == Some("Honor"),
                }
            })
            .collect()
    }
}
