//! InterPodAffinity: pods near or apart from others, by the topology of the nodes.

use crate::affinity::Term;
use crate::cluster::Cluster;
use crate::node::NodeInfo;
use crate::plugin::{Event, Interest, No, Plugin, SCORE_MAX};
use crate::pod::PodInfo;
use std::collections::HashMap;

pub(super) struct InterPodAffinity;

/// Numbers by topology key and value.
type Counts = HashMap<(String, String), i64>;

#[derive(Default)]
pub(super) struct State {
    /// Pods there that would not have this one.
    refusing: Counts,
    /// Pods that match all of this one's affinity terms.
    near: Counts,
    /// Pods that match one of its anti-affinity terms.
    apart: Counts,
    /// Whether the pod matches its own affinity terms: then it may be the first of its kind.
    matches_itself: bool,
    scores: Counts,
}

fn count(counts: &mut Counts, term: &Term, node: &NodeInfo, by: i64) {
    if let Some(value) = node.labels().get(&term.topology_key) {
        *counts.entry((term.topology_key.clone(), value.clone())).or_default() += by;
    }
}

fn counted(counts: &Counts, key: &str, node: &NodeInfo) -> i64 {
    let Some(value) = node.labels().get(key).filter(|_| !counts.is_empty()) else { return 0 };
    counts.get(&(key.to_owned(), value.clone())).copied().unwrap_or(0)
}

impl Plugin for InterPodAffinity {
    type State = State;
    const NAME: &'static str = "InterPodAffinity";
    const LOCAL: bool = false;
    const WEIGHT: i64 = 2;

    fn pre_filter(&self, pod: &PodInfo, cluster: &Cluster, state: &mut State) -> Interest {
        let wishes = &pod.affinity;
        let (_, keeping_away) = cluster.affinities();
        let own = !wishes.near.is_empty() || !wishes.apart.is_empty();
        if !own && keeping_away == 0 {
            return Interest::Skips;
        }
        state.matches_itself = wishes.near.iter().all(|term| term.matches(pod, cluster));
        for node in cluster.nodes().iter().filter(|node| own || node.with_anti_affinity > 0) {
            for other in node.pods.values() {
                for term in other.affinity.apart.iter().filter(|term| term.matches(pod, cluster)) {
                    count(&mut state.refusing, term, node, 1);
                }
                if !wishes.near.is_empty() && wishes.near.iter().all(|term| term.matches(other, cluster)) {
                    wishes.near.iter().for_each(|term| count(&mut state.near, term, node, 1));
                }
                for term in wishes.apart.iter().filter(|term| term.matches(other, cluster)) {
                    count(&mut state.apart, term, node, 1);
                }
            }
        }
        Interest::Asks
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo, state: &State) -> Result<(), No> {
        if !near_enough(pod, node, state) {
            return Err(No::for_good("node(s) didn't match pod affinity rules"));
        }
        if pod.affinity.apart.iter().any(|term| counted(&state.apart, &term.topology_key, node) > 0) {
            return Err(No::because("node(s) didn't match pod anti-affinity rules"));
        }
        if state.refusing.iter().any(|((key, value), _)| node.labels().get(key) == Some(value)) {
            return Err(No::because("node(s) didn't satisfy existing pods anti-affinity rules"));
        }
        Ok(())
    }

    fn pre_score(&self, pod: &PodInfo, cluster: &Cluster, _: &[usize], state: &mut State) -> Interest {
        let wishes = &pod.affinity;
        let own = !wishes.prefer_near.is_empty() || !wishes.prefer_apart.is_empty();
        if !own && cluster.affinities().0 == 0 {
            return Interest::Skips;
        }
        for node in cluster.nodes().iter().filter(|node| own || node.with_affinity > 0) {
            for other in node.pods.values() {
                add_preferences(&mut state.scores, pod, other, node, cluster);
            }
        }
        if state.scores.is_empty() { Interest::Skips } else { Interest::Asks }
    }

    fn score(&self, _: &PodInfo, node: &NodeInfo, state: &State) -> i64 {
        let here = state.scores.iter().filter(|((key, value), _)| node.labels().get(key) == Some(value));
        here.map(|(_, score)| score).sum()
    }

    fn normalize(&self, scores: &mut [i64]) {
        let (least, most) = (scores.iter().copied().min().unwrap_or(0), scores.iter().copied().max().unwrap_or(0));
        for score in scores {
            *score = if most == least { 0 } else { (*score - least) * SCORE_MAX / (most - least) };
        }
    }

    fn may_help(&self, pod: &PodInfo, event: Event<'_>) -> bool {
        match event {
            Event::Node(_) | Event::NamespaceChanged => true,
            Event::PodPlaced(_) => !pod.affinity.near.is_empty(),
            Event::PodGone(other, _) => other.affinity.keeps_away() || !pod.affinity.apart.is_empty(),
        }
    }
}

fn near_enough(pod: &PodInfo, node: &NodeInfo, state: &State) -> bool {
    let terms = &pod.affinity.near;
    if !terms.iter().all(|term| node.labels().contains_key(&term.topology_key)) {
        return false;
    }
    // The first of a group that wants to be together has nobody to be near to.
    terms.iter().all(|term| counted(&state.near, &term.topology_key, node) > 0)
        || (state.near.is_empty() && state.matches_itself)
}

/// What an existing pod's place is worth to the new one, and what the existing pod thinks of it.
fn add_preferences(scores: &mut Counts, pod: &PodInfo, other: &PodInfo, node: &NodeInfo, cluster: &Cluster) {
    /// An existing pod's required affinity counts like a preference of this weight.
    const REQUIRED_WEIGHT: i64 = 1;
    let (mine, theirs) = (&pod.affinity, &other.affinity);
    for (terms, sign) in [(&mine.prefer_near, 1), (&mine.prefer_apart, -1)] {
        for (weight, term) in terms.iter().filter(|(_, term)| term.matches(other, cluster)) {
            count(scores, term, node, sign * weight);
        }
    }
    for (terms, sign) in [(&theirs.prefer_near, 1), (&theirs.prefer_apart, -1)] {
        for (weight, term) in terms.iter().filter(|(_, term)| term.matches(pod, cluster)) {
            count(scores, term, node, sign * weight);
        }
    }
    for term in theirs.near.iter().filter(|term| term.matches(pod, cluster)) {
        count(scores, term, node, REQUIRED_WEIGHT);
    }
}
