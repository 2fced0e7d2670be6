//! InterPodAffinity: pods near or apart from others, by the topology of the nodes.

use crate::cluster::Cluster;
use crate::node::NodeInfo;
use crate::plugin::{Event, Interest, No, Plugin, SCORE_MAX};
use crate::pod::PodInfo;
use crate::tally::{Adding, Tally};

pub(super) struct InterPodAffinity;

/// What is counted of the pods at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Count {
    /// Those that would not have this one.
    Refusing,
    /// Those that match all of this one's affinity terms.
    Near,
    /// Those that match one of its anti-affinity terms.
    Apart,
    /// What the place is worth for all preferences.
    Worth,
}

#[derive(Default)]
pub(super) struct State {
    /// As of which state of the namespaces, by whose labels terms may select.
    namespaces_generation: u64,
    filters: Tally<Count>,
    scores: Tally<Count>,
    /// Whether the pod matches its own affinity terms: then it may be the first of its kind.
    matches_itself: bool,
}

impl Plugin for InterPodAffinity {
    type State = State;
    const NAME: &'static str = "InterPodAffinity";
    const LOCAL: bool = false;
    const WEIGHT: i64 = 2;

    fn pre_filter(&self, pod: &PodInfo, cluster: &Cluster, state: &mut State) -> Interest {
        if state.namespaces_generation != cluster.namespaces_generation() {
            *state = State { namespaces_generation: cluster.namespaces_generation(), ..State::default() };
        }
        let wishes = &pod.affinity;
        let (_, keeping_away) = cluster.affinities();
        let own = !wishes.near.is_empty() || !wishes.apart.is_empty();
        if !own && keeping_away == 0 {
            return Interest::Skips;
        }
        state.matches_itself = wishes.near.iter().all(|term| term.matches(pod, cluster));
        state.filters.refresh(cluster.nodes(), |node, adding| {
            if !own && node.with_anti_affinity == 0 {
                return;
            }
            node.pods.values().for_each(|other| add_requirements(adding, pod, other, cluster));
        });
        Interest::Asks
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo, state: &State) -> Result<(), No> {
        if !near_enough(pod, node, state) {
            return Err(No::for_good("node(s) didn't match pod affinity rules"));
        }
        if pod.affinity.apart.iter().any(|term| state.filters.at(Count::Apart, &term.topology_key, node) > 0) {
            return Err(No::because("node(s) didn't match pod anti-affinity rules"));
        }
        if state.filters.over_all(Count::Refusing, node) > 0 {
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
        state.scores.refresh(cluster.nodes(), |node, adding| {
            if own || node.with_affinity > 0 {
                node.pods.values().for_each(|other| add_preferences(adding, pod, other, cluster));
            }
        });
        if state.scores.places(Count::Worth) == 0 { Interest::Skips } else { Interest::Asks }
    }

    fn score(&self, _: &PodInfo, node: &NodeInfo, state: &State) -> i64 {
        state.scores.over_all(Count::Worth, node)
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
    terms.iter().all(|term| state.filters.at(Count::Near, &term.topology_key, node) > 0)
        || (state.filters.places(Count::Near) == 0 && state.matches_itself)
}

/// Whether an existing pod is one that the new one must be near to or apart from, or one that refuses it.
fn add_requirements(adding: &mut Adding<'_, Count>, pod: &PodInfo, other: &PodInfo, cluster: &Cluster) {
    let (mine, theirs) = (&pod.affinity, &other.affinity);
    for term in theirs.apart.iter().filter(|term| term.matches(pod, cluster)) {
        adding.add(Count::Refusing, &term.topology_key, 1);
    }
    if !mine.near.is_empty() && mine.near.iter().all(|term| term.matches(other, cluster)) {
        mine.near.iter().for_each(|term| adding.add(Count::Near, &term.topology_key, 1));
    }
    for term in mine.apart.iter().filter(|term| term.matches(other, cluster)) {
        adding.add(Count::Apart, &term.topology_key, 1);
    }
}

/// What an existing pod's place is worth to the new one, and what the existing pod thinks of it.
fn add_preferences(adding: &mut Adding<'_, Count>, pod: &PodInfo, other: &PodInfo, cluster: &Cluster) {
    /// An existing pod's required affinity counts like a preference of this weight.
    const REQUIRED_WEIGHT: i64 = 1;
    let (mine, theirs) = (&pod.affinity, &other.affinity);
    for (terms, whose, sign) in [
        (&mine.prefer_near, other, 1),
        (&mine.prefer_apart, other, -1),
        (&theirs.prefer_near, pod, 1),
        (&theirs.prefer_apart, pod, -1),
    ] {
        for (weight, term) in terms.iter().filter(|(_, term)| term.matches(whose, cluster)) {
            adding.add(Count::Worth, &term.topology_key, sign * weight);
        }
    }
    for term in theirs.near.iter().filter(|term| term.matches(pod, cluster)) {
        adding.add(Count::Worth, &term.topology_key, REQUIRED_WEIGHT);
    }
}
