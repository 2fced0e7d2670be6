//! PodTopologySpread: pods of a kind spread evenly over zones, nodes or other places.

use crate::cluster::Cluster;
use crate::node::NodeInfo;
use crate::plugin::{Event, Interest, No, Plugin, SCORE_MAX};
use crate::pod::PodInfo;
use crate::spread::Constraint;
use reconcile::taints;
use std::collections::HashMap;

pub(super) struct PodTopologySpread;

/// For one constraint: matching pods by place.
#[derive(Default)]
struct Places {
    pods: HashMap<String, i64>,
    least: i64,
    matches_itself: bool,
}

#[derive(Default)]
pub(super) struct State {
    /// As the pod's hard constraints, in their order.
    hard: Vec<Places>,
    /// As its soft ones, with the weight of a pod in a place.
    soft: Vec<(Places, f64)>,
}

const NOT_EVEN: &str = "node(s) didn't match pod topology spread constraints";
const NO_PLACE: &str = "node(s) didn't match pod topology spread constraints (missing required label)";

impl Plugin for PodTopologySpread {
    type State = State;
    const NAME: &'static str = "PodTopologySpread";
    const LOCAL: bool = false;
    const WEIGHT: i64 = 2;

    fn pre_filter(&self, pod: &PodInfo, cluster: &Cluster, state: &mut State) -> Interest {
        if !pod.spread.iter().any(|constraint| constraint.hard) {
            return Interest::Skips;
        }
        state.hard = pod.spread.iter().filter(|c| c.hard).map(|c| places(pod, c, cluster)).collect();
        Interest::Asks
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo, state: &State) -> Result<(), No> {
        for (constraint, places) in pod.spread.iter().filter(|c| c.hard).zip(&state.hard) {
            let Some(place) = node.labels().get(&constraint.topology_key) else { return Err(No::for_good(NO_PLACE)) };
            let there = places.pods.get(place).copied().unwrap_or(0) + i64::from(places.matches_itself);
            if there - places.least > constraint.max_skew {
                return Err(No::because(NOT_EVEN));
            }
        }
        Ok(())
    }

    fn pre_score(&self, pod: &PodInfo, cluster: &Cluster, _: &[usize], state: &mut State) -> Interest {
        let soft = pod.spread.iter().filter(|constraint| !constraint.hard);
        state.soft = soft
            .map(|constraint| {
                let places = places(pod, constraint, cluster);
                // The fewer the places, the more a pod in one of them weighs.
                let weight = (places.pods.len() as f64 + 2.0).ln();
                (places, weight)
            })
            .collect();
        if state.soft.is_empty() { Interest::Skips } else { Interest::Asks }
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo, state: &State) -> i64 {
        let mut score = 0.0;
        for (constraint, (places, weight)) in pod.spread.iter().filter(|c| !c.hard).zip(&state.soft) {
            // A node outside of the topology is the last choice.
            let Some(place) = node.labels().get(&constraint.topology_key) else { return i64::MAX };
            let there = places.pods.get(place).copied().unwrap_or(0);
            score += there as f64 * weight + (constraint.max_skew - 1) as f64;
        }
        score.round() as i64
    }

    fn normalize(&self, scores: &mut [i64]) {
        let inside = || scores.iter().copied().filter(|score| *score != i64::MAX);
        let (least, most) = (inside().min().unwrap_or(0), inside().max().unwrap_or(0));
        for score in scores {
            *score = match *score {
                i64::MAX => 0,
                _ if most == 0 => SCORE_MAX,
                pods => SCORE_MAX * (most + least - pods) / most,
            };
        }
    }

    fn may_help(&self, pod: &PodInfo, event: Event<'_>) -> bool {
        match event {
            Event::Node(_) => true,
            Event::PodPlaced(other) | Event::PodGone(other, _) => {
                let counts = |constraint: &Constraint| constraint.selector.matches(other.labels());
                other.namespace == pod.namespace && pod.spread.iter().any(counts)
            }
            Event::NamespaceChanged => false,
        }
    }
}

fn places(pod: &PodInfo, constraint: &Constraint, cluster: &Cluster) -> Places {
    let mut places = Places { matches_itself: constraint.selector.matches(pod.labels()), ..Places::default() };
    let has_all_keys = |node: &NodeInfo| {
        let alike = pod.spread.iter().filter(|other| other.hard == constraint.hard);
        alike.into_iter().all(|other| node.labels().contains_key(&other.topology_key))
    };
    for node in cluster.nodes() {
        let excluded = (constraint.honors_affinity && !pod.required_node.matches(&node.node))
            || (constraint.honors_taints
                && taints::untolerated(node.taints(), &pod.tolerations, &["NoSchedule", "NoExecute"]).is_some());
        let Some(place) = node.labels().get(&constraint.topology_key).filter(|_| !excluded && has_all_keys(node))
        else {
            continue;
        };
        let counts = |other: &PodInfo| {
            other.namespace == pod.namespace && !other.is_ending() && constraint.selector.matches(other.labels())
        };
        let there = node.pods.values().filter(|other| counts(other)).count() as i64;
        match places.pods.get_mut(place) {
            Some(known) => *known += there,
            None => {
                places.pods.insert(place.clone(), there);
            }
        }
    }
    if places.pods.len() >= constraint.min_domains {
        places.least = places.pods.values().copied().min().unwrap_or(0);
    }
    places
}
