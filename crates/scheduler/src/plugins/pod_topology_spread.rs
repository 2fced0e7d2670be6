//! PodTopologySpread: pods of a kind spread evenly over zones, nodes or other places.

use crate::cluster::Cluster;
use crate::node::NodeInfo;
use crate::plugin::{Event, Interest, No, Plugin, SCORE_MAX};
use crate::pod::PodInfo;
use crate::spread::Constraint;
use crate::tally::Tally;
use reconcile::taints;

pub(super) struct PodTopologySpread;

#[derive(Default)]
pub(super) struct State {
    /// Matching pods by place, for each of the pod's hard constraints by its index among them.
    hard: Tally<usize>,
    /// Of each: how many the emptiest place has, and whether the pod itself will count.
    limits: Vec<(i64, i64)>,
    /// As `hard`, of the soft constraints.
    soft: Tally<usize>,
    /// The weight of a pod in a place.
    weights: Vec<f64>,
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
        let constraints: Vec<&Constraint> = pod.spread.iter().filter(|constraint| constraint.hard).collect();
        count(&mut state.hard, &constraints, pod, cluster);
        state.limits.clear();
        for (index, constraint) in constraints.into_iter().enumerate() {
            let enough_places = state.hard.places(index) >= constraint.min_domains;
            let least = state.hard.least(index).filter(|_| enough_places).unwrap_or(0);
            state.limits.push((least, i64::from(constraint.selector.matches(pod.labels()))));
        }
        Interest::Asks
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo, state: &State) -> Result<(), No> {
        let hard = pod.spread.iter().filter(|constraint| constraint.hard).zip(&state.limits);
        for (index, (constraint, (least, itself))) in hard.enumerate() {
            if !node.labels().contains_key(&constraint.topology_key) {
                return Err(No::for_good(NO_PLACE));
            }
            let there = state.hard.at(index, &constraint.topology_key, node) + itself;
            if there - least > constraint.max_skew {
                return Err(No::because(NOT_EVEN));
            }
        }
        Ok(())
    }

    fn pre_score(&self, pod: &PodInfo, cluster: &Cluster, _: &[usize], state: &mut State) -> Interest {
        let constraints: Vec<&Constraint> = pod.spread.iter().filter(|constraint| !constraint.hard).collect();
        if constraints.is_empty() {
            return Interest::Skips;
        }
        count(&mut state.soft, &constraints, pod, cluster);
        // The fewer the places, the more a pod in one of them weighs.
        state.weights = (0..constraints.len()).map(|index| (state.soft.places(index) as f64 + 2.0).ln()).collect();
        Interest::Asks
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo, state: &State) -> i64 {
        let mut score = 0.0;
        let soft = pod.spread.iter().filter(|constraint| !constraint.hard).zip(&state.weights);
        for (index, (constraint, weight)) in soft.enumerate() {
            // A node outside of the topology is the last choice.
            if !node.labels().contains_key(&constraint.topology_key) {
                return i64::MAX;
            }
            let there = state.soft.at(index, &constraint.topology_key, node);
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
                other.pod.namespace() == pod.pod.namespace() && pod.spread.iter().any(counts)
            }
            Event::NamespaceChanged => false,
        }
    }
}

/// Brings the matching pods by place up to date, of constraints that are all hard or all soft.
fn count(tally: &mut Tally<usize>, constraints: &[&Constraint], pod: &PodInfo, cluster: &Cluster) {
    tally.refresh(cluster.nodes(), |node, adding| {
        // A node counts that has a place in every topology.
        if !constraints.iter().all(|constraint| node.labels().contains_key(&constraint.topology_key)) {
            return;
        }
        for (index, constraint) in constraints.iter().enumerate().filter(|(_, c)| !excludes(c, pod, node)) {
            let there = node.pods.values().filter(|other| counts(constraint, pod, other)).count();
            adding.add(index, &constraint.topology_key, i64::try_from(there).unwrap_or(i64::MAX));
        }
    });
}

fn excludes(constraint: &Constraint, pod: &PodInfo, node: &NodeInfo) -> bool {
    (constraint.honors_affinity && !pod.required_node.matches(&node.node))
        || (constraint.honors_taints
            && taints::untolerated(node.taints(), &pod.tolerations, &["NoSchedule", "NoExecute"]).is_some())
}

fn counts(constraint: &Constraint, pod: &PodInfo, other: &PodInfo) -> bool {
    other.pod.namespace() == pod.pod.namespace() && !other.is_ending() && constraint.selector.matches(other.labels())
}
