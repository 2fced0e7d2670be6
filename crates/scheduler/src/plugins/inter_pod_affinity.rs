//! InterPodAffinity: pods near or apart from others, by the topology of the nodes.

use crate::affinity::Term;
use crate::cluster::Cluster;
use crate::node::NodeInfo;
use crate::plugin::{Event, Interest, No, Plugin, SCORE_MAX};
use crate::pod::PodInfo;
use std::collections::HashMap;

pub(super) struct InterPodAffinity;

/// Numbers by topology key and value.
#[derive(Default)]
struct Counts(HashMap<String, HashMap<String, i64>>);

impl Counts {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds at the node's place in the term's topology, if it has one.
    fn add(&mut self, term: &Term, node: &NodeInfo, by: i64) {
        let Some(value) = node.labels().get(&term.topology_key) else { return };
        // Looked up before it is inserted: nearly always it is there, and nothing need be copied.
        let known = self.0.get_mut(&term.topology_key).and_then(|values| values.get_mut(value));
        match known {
            Some(known) => *known += by,
            None => {
                self.0.entry(term.topology_key.clone()).or_default().insert(value.clone(), by);
            }
        }
    }

    fn at(&self, topology_key: &str, node: &NodeInfo) -> i64 {
        let Some(values) = self.0.get(topology_key) else { return 0 };
        node.labels().get(topology_key).and_then(|value| values.get(value)).copied().unwrap_or(0)
    }

    /// Over all topologies.
    fn sum(&self, node: &NodeInfo) -> i64 {
        self.0.keys().map(|key| self.at(key, node)).sum()
    }
}

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
                    state.refusing.add(term, node, 1);
                }
                if !wishes.near.is_empty() && wishes.near.iter().all(|term| term.matches(other, cluster)) {
                    wishes.near.iter().for_each(|term| state.near.add(term, node, 1));
                }
                for term in wishes.apart.iter().filter(|term| term.matches(other, cluster)) {
                    state.apart.add(term, node, 1);
                }
            }
        }
        Interest::Asks
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo, state: &State) -> Result<(), No> {
        if !near_enough(pod, node, state) {
            return Err(No::for_good("node(s) didn't match pod affinity rules"));
        }
        if pod.affinity.apart.iter().any(|term| state.apart.at(&term.topology_key, node) > 0) {
            return Err(No::because("node(s) didn't match pod anti-affinity rules"));
        }
        if state.refusing.sum(node) > 0 {
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
        state.scores.sum(node)
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
    terms.iter().all(|term| state.near.at(&term.topology_key, node) > 0)
        || (state.near.is_empty() && state.matches_itself)
}

/// What an existing pod's place is worth to the new one, and what the existing pod thinks of it.
fn add_preferences(scores: &mut Counts, pod: &PodInfo, other: &PodInfo, node: &NodeInfo, cluster: &Cluster) {
    /// An existing pod's required affinity counts like a preference of this weight.
    const REQUIRED_WEIGHT: i64 = 1;
    let (mine, theirs) = (&pod.affinity, &other.affinity);
    for (terms, sign) in [(&mine.prefer_near, 1), (&mine.prefer_apart, -1)] {
        for (weight, term) in terms.iter().filter(|(_, term)| term.matches(other, cluster)) {
            scores.add(term, node, sign * weight);
        }
    }
    for (terms, sign) in [(&theirs.prefer_near, 1), (&theirs.prefer_apart, -1)] {
        for (weight, term) in terms.iter().filter(|(_, term)| term.matches(pod, cluster)) {
            scores.add(term, node, sign * weight);
        }
    }
    for term in theirs.near.iter().filter(|term| term.matches(pod, cluster)) {
        scores.add(term, node, REQUIRED_WEIGHT);
    }
}
