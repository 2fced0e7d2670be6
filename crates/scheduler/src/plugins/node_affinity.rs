//! NodeAffinity: nodes by their labels and names, required or preferred.

use crate::node::NodeInfo;
use crate::plugin::{No, Plugin, in_proportion};
use crate::pod::PodInfo;

pub(super) struct NodeAffinity;

impl Plugin for NodeAffinity {
    type State = ();
    const NAME: &'static str = "NodeAffinity";
    const LOCAL: bool = true;
    const WEIGHT: i64 = 2;

    fn filter(&self, pod: &PodInfo, node: &NodeInfo, _: &()) -> Result<(), No> {
        if pod.required_node.is_any() || pod.required_node.matches(&node.node) {
            return Ok(());
        }
        Err(No::for_good("node(s) didn't match Pod's node affinity/selector"))
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo, _: &()) -> i64 {
        let matching = pod.preferred_nodes.iter().filter(|(_, term)| term.matches(&node.node));
        matching.map(|(weight, _)| weight).sum()
    }

    fn normalize(&self, scores: &mut [i64]) {
        in_proportion(scores, false);
    }
}
